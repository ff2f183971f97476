//! A process of the deployment under chaos.

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum as _;
use qsketch_chaos::broken::{BROKEN_VARIABLE, Broken};
use qsketch_chaos::steps::EAT_VARIABLE;
use qsketch_chaos::worker::{JOURNAL_VARIABLE, LEASE_VARIABLE, SERVICE_VARIABLE, TURN_VARIABLE, Told, run};

/// How much memory is eaten at a time.
const BITE: usize = 16 * 1_024 * 1_024;

#[expect(clippy::disallowed_methods, reason = "a main reads its environment")]
fn main() -> ExitCode {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if read(EAT_VARIABLE).is_some() {
        return eat();
    }
    let seconds = |name: &str| read(name).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    run(Told {
        service: read(SERVICE_VARIABLE),
        journal: read(JOURNAL_VARIABLE).map(Into::into),
        lease: seconds(LEASE_VARIABLE),
        turn: seconds(TURN_VARIABLE),
        broken: read(BROKEN_VARIABLE).and_then(|text| Broken::from_str(&text, false).ok()),
    })
}

/// Eats memory until the kernel, or the limit of its group, ends it; where there is no such limit it gives up.
fn eat() -> ExitCode {
    /// More than any group of a worker has.
    const BITES_MAX: usize = 24;
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    for _ in 0..BITES_MAX {
        // Every page is written, or it would not count.
        eaten.push((0..BITE).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect());
    }
    println!("{} bites, and nothing has ended it", eaten.len());
    ExitCode::FAILURE
}
