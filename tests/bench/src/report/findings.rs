//! What the runs say when they are held against each other.

use crate::agree::{Agreement, Told};
use crate::counted::Units;
use crate::measured::{Measured, thousands};
use crate::report::Results;

/// The least pace with very many jobs queued, as a share of that with few.
const DEEP_LEAST: f64 = 0.85;

/// What the runs of a stack say when they are held against each other: a sentence for each.
#[must_use]
pub fn findings(results: &Results) -> Vec<String> {
    let mut ways: Vec<_> = results.runs.iter().map(|run| run.way).collect();
    ways.sort_unstable();
    ways.dedup();
    let of_way = |way| results.runs.iter().filter(move |run| run.way == way);
    let deep = ways.into_iter().filter_map(|way| {
        let shallow = of_way(way).filter(|run| run.is_queued && run.times() > 1).min_by_key(|run| run.in_flight)?;
        let deep = of_way(way).filter(|run| run.is_queued && run.in_flight > shallow.in_flight);
        Some(depth(shallow, deep.max_by_key(|run| run.in_flight)?))
    });
    let longest = results.runs.iter().filter(|run| !run.is_queued).max_by_key(|run| run.counted.jobs);
    deep.chain(longest.and_then(memory)).collect()
}

fn depth(shallow: &Measured, deep: &Measured) -> String {
    let ratio = deep.jobs_per_second() / shallow.jobs_per_second();
    let verdict = if ratio >= DEEP_LEAST { "at least" } else { "**less than**" };
    format!(
        "Deep, {}: {} jobs queued are done at {:.0} jobs/s, {} queued at {:.0} jobs/s ({} times in one process, each on new queues, all \
         summed; from the start of the polls to the end of the last job). That is {:.0} % of the shallow pace, \
         {verdict} the {:.0} % that are asked for.",
        deep.way.name(),
        thousands(deep.in_flight),
        deep.jobs_per_second(),
        thousands(shallow.in_flight),
        shallow.jobs_per_second(),
        shallow.times(),
        ratio * 1e2,
        DEEP_LEAST * 1e2,
    )
}

fn memory(run: &Measured) -> Option<String> {
    let (first, last) = run.memory_thirds()?;
    let (jobs, name) = (thousands(run.counted.jobs), run.name());
    Some(format!(
        "Memory of qsketch's process along the run of {jobs} jobs ({name}): {first:.1} MB on average in its first third, {last:.1} MB in its \
         last: {:+.1} MB.",
        last - first
    ))
}

/// What a store reported and what was computed, in a sentence.
#[must_use]
pub fn agreement(agreement: &Agreement) -> String {
    let (computed, reported) = (agreement.computed(), agreement.reported());
    let sign = if agreement.check().is_ok() { "=" } else { "≠" };
    let pair = |of: fn(&Units) -> u64| format!("{} {sign} {}", of(&computed), of(&reported));
    let (writes, indexes) = (pair(|units| units.table_writes), pair(|units| units.index_writes));
    let reads = match agreement.told {
        Told::All => format!("{} read units", pair(|units| units.reads)),
        Told::Writes => "reads are not compared, since this store reports one unit for any read".to_owned(),
    };
    let untold: Vec<String> = agreement.untold.iter().map(|(kind, calls)| format!("{calls} {kind}")).collect();
    let untold = if untold.is_empty() {
        String::new()
    } else {
        format!(" Of some calls the store tells nothing: {}.", untold.join("; "))
    };
    format!(
        "Units as computed from the items' sizes = as reported by the store, kind by kind, over {} jobs {}: {writes} write units of the \
         table, {indexes} of its indexes, {reads}.{untold}",
        agreement.jobs,
        agreement.way.name(),
    )
}
