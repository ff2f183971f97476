use std::collections::BTreeMap;

use super::*;
use crate::agree::{Kind, Told};
use crate::counted::{Counted, Units};
use crate::meter::Tally;
use crate::way::Way;

fn run(way: Way, jobs: usize, in_flight: usize, seconds: f64) -> Measured {
    let calls = BTreeMap::from([("queues.send".to_owned(), 6 * jobs as u64), ("table.claim".to_owned(), jobs as u64)]);
    let tally = Tally { requests: calls.clone(), messages: calls.clone(), calls };
    let counted = Counted { jobs, tally, units: Units::default() };
    Measured { way, in_flight, seconds, counted, memory_mb: vec![40.0, 41.0, 42.0], ..Measured::default() }
}

fn queued(way: Way, jobs: usize, queued: usize, seconds: f64) -> Measured {
    Measured { is_queued: true, ..run(way, jobs, queued, seconds) }
}

fn results(runs: Vec<Measured>) -> Results {
    let (stack, command) = ("fast".to_owned(), "make bench BENCH=fast".to_owned());
    let machine = Machine::of_now(Path::new("/"), "none", "info");
    Results { stack, machine, command, warm_up: (2_000, 32), runs, agreements: Vec::new() }
}

#[test]
fn only_the_place_between_its_marks_is_replaced() -> Result<()> {
    let page = "# A\n<!-- measured: fast -->\nold\n<!-- end: fast -->\n# B\n<!-- measured: x -->\n<!-- end: x -->\n";
    let new = replaced(page, "fast", "new\n")?;
    assert_eq!(new, page.replace("old", "new"));
    assert!(replaced(page, "slow", "new").is_err());
    Ok(())
}

#[test]
fn every_table_has_as_many_cells_in_each_row_as_in_its_head() {
    let text = section(&results(vec![run(Way::Queues, 10, 1, 1.0), run(Way::HandedOn, 10, 64, 1.0)]));
    let mut width = None;
    for line in text.lines() {
        width = line.starts_with('|').then(|| {
            let cells = line.matches('|').count();
            assert_eq!(cells, width.unwrap_or(cells), "{line}");
            cells
        });
    }
    assert!(text.contains("$ in all") && text.contains("| `table.claim` | 1.00 | 1.00 |"), "{text}");
}

#[test]
fn what_was_asked_for_is_held_against_what_came_out() {
    let runs = |jobs_per_second: f64, p50_ms: f64| {
        let alone = Measured { p50_ms, ..run(Way::Queues, 10, 1, 1.0) };
        section(&results(vec![alone, run(Way::Queues, 1_000, 64, 1_000.0 / jobs_per_second)]))
    };
    let row = |text: &str| text.lines().find(|line| line.contains('✓') && line.contains("queues")).map(str::to_owned);
    assert!(row(&runs(299.0, 11.0)).is_some_and(|row| row.starts_with("| through the queues | 11.0 ✗ | 299.0 ✗ |")));
    assert!(row(&runs(300.0, 10.0)).is_some_and(|row| row.starts_with("| through the queues | 10.0 ✓ | 300.0 ✓ |")));
    assert!(row(&runs(501.0, 5.0)).is_some_and(|row| row.starts_with("| through the queues | 5.0 ✓✓ | 501.0 ✓✓ |")));
}

#[test]
fn a_depth_is_held_against_the_few_that_were_queued_many_times_in_the_same_way() {
    let runs = |deep| {
        vec![
            queued(Way::Queues, 2_000, 100, 10.0),
            queued(Way::Queues, 10_000, 10_000, deep),
            queued(Way::HandedOn, 10_000, 10_000, deep),
        ]
    };
    let found = findings(&results(runs(50.0)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("10,000 jobs queued are done at 200 jobs/s, 100 queued at 200 jobs/s (20 times"));
    assert!(found[0].contains("100 % of the shallow pace, at least the 85 %"), "{}", found[0]);
    let found = findings(&results(runs(60.0)));
    assert!(found[0].contains("83 % of the shallow pace, **less than** the 85 %"), "{}", found[0]);
}

#[test]
fn the_longest_run_says_whether_its_memory_grew() {
    let found = findings(&results(vec![run(Way::Queues, 10, 1, 1.0), run(Way::Queues, 20_000, 64, 1.0)]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("20,000 jobs (64 in flight, through the queues): 40.0 MB"), "{}", found[0]);
    assert!(found[0].ends_with("+2.0 MB."), "{}", found[0]);
}

#[test]
fn a_run_that_repeats_a_load_is_not_drawn_again() {
    let results = results(vec![run(Way::Queues, 10, 64, 1.0), run(Way::Queues, 20_000, 64, 1.0)]);
    assert_eq!(results.in_flight().iter().map(|run| run.counted.jobs).collect::<Vec<_>>(), [10]);
}

#[test]
fn an_agreement_says_what_is_not_compared() {
    let units = Units { table_writes: 12, index_writes: 3, reads: 9 };
    let kinds = BTreeMap::from([("record".to_owned(), Kind { calls: 1, computed: units, reported: units })]);
    let untold = BTreeMap::from([("keep-pipeline".to_owned(), 1)]);
    let mut all = Agreement { way: Way::Queues, jobs: 50, told: Told::All, kinds, untold };
    assert!(agreement(&all).contains("12 = 12 write units of the table, 3 = 3 of its indexes, 9 = 9 read units"));
    all.told = Told::Writes;
    assert!(agreement(&all).contains("reads are not compared"));
}
