//! The tables of a stack: a row for each run, few columns each.

use std::collections::BTreeSet;

use crate::consumers::{POLL_WAIT, QUEUES};
use crate::counted::EMPTY;
use crate::measured::{Measured, thousands};
use crate::prices::{
    Bill, DOLLARS_MAX_ALONE, DOLLARS_MAX_MANY, FAIR_MESSAGE, MANY_IN_FLIGHT, PRICES, idle_dollars_a_month,
};
use crate::report::Results;
use crate::stack::StackKind;

/// A column: its head, and its cell for a run.
type Column = (&'static str, fn(&Measured) -> String);

/// Something that was asked for on the fast stack: a first goal, and one to go on to.
struct Goal {
    what: &'static str,
    in_flight: usize,
    of: fn(&Measured) -> f64,
    /// The first goal, and the next one; the same where there is one only.
    goals: [f64; 2],
    /// Whether more is better.
    is_least: bool,
}

impl Goal {
    fn asked(&self, goal: f64) -> String {
        format!("{} {goal}", if self.is_least { "≥" } else { "≤" })
    }

    fn reached(&self, found: f64) -> usize {
        self.goals.iter().filter(|goal| if self.is_least { found >= **goal } else { found <= **goal }).count()
    }
}

/// What was asked for.
const GOALS: [Goal; 6] = [
    Goal { what: "p50 ms, 1 in flight", in_flight: 1, of: |run| run.p50_ms, goals: [10.0, 5.0], is_least: false },
    Goal {
        what: "jobs/s, 64 in flight",
        in_flight: MANY_IN_FLIGHT,
        of: Measured::jobs_per_second,
        goals: [300.0, 500.0],
        is_least: true,
    },
    Goal {
        what: "CPU s per 1,000 jobs, 64",
        in_flight: MANY_IN_FLIGHT,
        of: |run| run.per_1000(run.cpu_seconds),
        goals: [3.0, 1.5],
        is_least: false,
    },
    Goal {
        what: "peak MB, 64",
        in_flight: MANY_IN_FLIGHT,
        of: |run| run.peak_mb,
        goals: [60.0, 60.0],
        is_least: false,
    },
    Goal {
        what: "$ a million, 1",
        in_flight: 1,
        of: |run| bill(run).sum(),
        goals: [DOLLARS_MAX_ALONE, DOLLARS_MAX_ALONE],
        is_least: false,
    },
    Goal {
        what: "$ a million, 64",
        in_flight: MANY_IN_FLIGHT,
        of: |run| bill(run).sum(),
        goals: [DOLLARS_MAX_MANY, DOLLARS_MAX_MANY],
        is_least: false,
    },
];

/// What was asked for, and what each way brings; empty for a stack of which nothing was asked.
pub(super) fn goals(results: &Results) -> String {
    if results.stack != StackKind::Fast.name() {
        return String::new();
    }
    let runs = results.in_flight();
    let mut ways: Vec<_> = runs.iter().map(|run| run.way).collect();
    ways.sort_unstable();
    ways.dedup();
    let row = |name: &str, cells: Vec<String>| format!("| {name} | {} |", cells.join(" | "));
    let mut lines = vec![
        row("", GOALS.iter().map(|goal| goal.what.to_owned()).collect()),
        format!("|---|{}", "--:|".repeat(GOALS.len())),
        row("*asked for first*", GOALS.iter().map(|goal| goal.asked(goal.goals[0])).collect()),
        row("*and then*", GOALS.iter().map(|goal| goal.asked(goal.goals[1])).collect()),
    ];
    for way in ways {
        let cell = |goal: &Goal| {
            let Some(run) = runs.iter().find(|run| (run.way, run.in_flight) == (way, goal.in_flight)) else {
                return "not measured".to_owned();
            };
            let found = (goal.of)(run);
            format!("{found:.1} {}", ["✗", "✓", "✓✓"][goal.reached(found)])
        };
        lines.push(row(way.name(), GOALS.iter().map(cell).collect()));
    }
    format!(
        "What was asked for on this stack, and what came out (✓ the first, ✓✓ both, ✗ neither):\n\n{}",
        lines.join("\n")
    )
}

/// Pace, latency, processor time and memory.
pub(super) fn times(results: &Results) -> String {
    table(
        results,
        &[
            ("jobs", |run| thousands(run.counted.jobs)),
            ("jobs/s", |run| format!("{:.0}", run.jobs_per_second())),
            ("p50 ms", |run| format!("{:.1}", run.p50_ms)),
            ("p99 ms", |run| format!("{:.1}", run.p99_ms)),
            ("CPU s per 1,000 jobs", |run| format!("{:.2}", run.per_1000(run.cpu_seconds))),
            ("CPU s of the emulators", |run| format!("{:.2}", run.per_1000(run.stack_cpu_seconds))),
            ("peak MB", |run| format!("{:.0}", run.peak_mb)),
            ("peak MB of the emulators", |run| format!("{:.0}", run.stack_peak_mb)),
        ],
    )
}

/// Calls for each job.
pub(super) fn calls(results: &Results) -> String {
    let table = table(
        results,
        &[
            ("receives", |run| of_kind(run, "queues.receive")),
            ("sends", |run| of_kind(run, "queues.send")),
            ("deletes", |run| of_kind(run, "queues.delete")),
            ("hides", |run| of_kind(run, "queues.hide")),
            ("table calls", |run| two(run.counted.per_job(run.counted.calls_of("table.")))),
            ("all calls", |run| two(run.counted.per_job(run.counted.calls()))),
            ("messages in a call", |run| two(run.counted.batch_factor())),
            ("receives that brought nothing", |run| of_kind(run, EMPTY)),
        ],
    );
    format!("Calls for each job; the submission, intake and its queue included:\n\n{table}")
}

/// Units for each job, and dollars for a million.
pub(super) fn dollars(results: &Results) -> String {
    let table = table(
        results,
        &[
            ("write units", |run| two(run.counted.consumption().table_writes)),
            ("of indexes", |run| two(run.counted.consumption().index_writes)),
            ("read units", |run| two(run.counted.consumption().reads)),
            ("$ writes", |run| two(bill(run).table_writes)),
            ("$ of indexes", |run| two(bill(run).index_writes)),
            ("$ reads", |run| two(bill(run).reads)),
            ("$ SQS", |run| two(bill(run).queues)),
            ("**$ in all**", |run| format!("**{}**", two(bill(run).sum()))),
            ("$ fair queues", |run| two(bill(run).fair_queues)),
            ("$ empty receives", |run| two(bill(run).empty_receives)),
        ],
    );
    let prices: Vec<String> = PRICES.iter().map(|price| format!("- {price}.")).collect();
    let (wait, idle) = (POLL_WAIT.as_secs(), idle_dollars_a_month(QUEUES, POLL_WAIT));
    format!(
        "Units for each job, and dollars for a million jobs at list prices (us-east-1, free tiers left out):\n\n{table}\n\n{}\n\nFair queues \
         (${:.2} a million messages, if that is true) and receives that bring nothing stand apart. Such a receive is a poll of {wait} s \
         on a queue without a message: it comes with time, not with jobs. A process that polls its {QUEUES} queues costs ${idle:.2} in 30 \
         idle days.",
        prices.join("\n"),
        FAIR_MESSAGE.dollars_per_million,
    )
}

/// Calls by kind, for the runs with one job in flight and with many.
pub(super) fn kinds(results: &Results) -> String {
    let runs: Vec<&Measured> =
        results.in_flight().into_iter().filter(|run| [1, MANY_IN_FLIGHT].contains(&run.in_flight)).collect();
    if runs.is_empty() {
        return String::new();
    }
    let kinds: BTreeSet<&String> = runs.iter().flat_map(|run| run.counted.tally.calls.keys()).collect();
    let heads: Vec<String> = runs.iter().map(|run| run.name()).collect();
    let mut lines = vec![format!("| calls for each job | {} |", heads.join(" | "))];
    lines.push(format!("|---|{}", "--:|".repeat(heads.len())));
    for kind in kinds {
        let cells: Vec<String> = runs.iter().map(|run| of_kind(run, kind)).collect();
        lines.push(format!("| `{kind}` | {} |", cells.join(" | ")));
    }
    lines.join("\n")
}

fn table(results: &Results, columns: &[Column]) -> String {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut lines = vec![format!("| way | load | {} |", heads.join(" | "))];
    lines.push(format!("|---|---|{}", "--:|".repeat(columns.len())));
    for run in &results.runs {
        let cells: Vec<String> = columns.iter().map(|(_, cell)| cell(run)).collect();
        lines.push(format!("| {} | {} | {} |", run.way.name(), run.load(), cells.join(" | ")));
    }
    lines.join("\n")
}

fn of_kind(run: &Measured, kind: &str) -> String {
    two(run.counted.per_job(run.counted.tally.calls.get(kind).copied().unwrap_or_default()))
}

fn bill(run: &Measured) -> Bill {
    Bill::of(&run.counted.consumption())
}

fn two(number: f64) -> String {
    format!("{number:.2}")
}
