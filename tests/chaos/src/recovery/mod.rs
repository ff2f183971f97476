//! Recovery, measured: how long after a fault the task runs again.
//!
//! A time counts from the signal (the purge, the start of the workers) until the next attempt at the task is at work, as it
//! writes down itself. All numbers of the product are those of a deployment: a lease of 30 s, the reconciler once a minute.

mod cases;
mod report;

use core::time::Duration;
use std::path::PathBuf;

use anyhow::Result;

pub use report::{page, table};

/// A case, as it was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What was done.
    pub what: &'static str,
    /// How the tries were made.
    pub how: &'static str,
    /// The longest that it may take, as a sentence.
    pub bound: &'static str,
    /// What each try took.
    pub took: Vec<Duration>,
}

/// What to measure with.
#[derive(Clone, Debug)]
pub struct Bench {
    /// How many tries of each case.
    pub tries: usize,
    /// For how long all workers are down in the case that has them down.
    pub down: Duration,
    /// The worker's program.
    pub program: PathBuf,
    /// Where logs, journals and folders go.
    pub folder: PathBuf,
}

/// Measures all cases; `done` is told of each try.
///
/// Those that mostly wait run beside the others.
///
/// # Errors
/// The stack does not come up, or a task does not run again at all.
pub async fn measure(bench: &Bench, done: &impl Fn()) -> Result<Vec<Measured>> {
    let in_turn = async {
        let mut measured = Vec::new();
        measured.push(cases::killed_with_another(bench, done).await?);
        measured.push(cases::killed_alone(bench, done).await?);
        measured.push(cases::terminated(bench, done).await?);
        anyhow::Ok(measured)
    };
    let (mut measured, polling, lost, purged, down) = tokio::try_join!(
        in_turn,
        cases::killed_polling(bench, done),
        cases::machine_lost(bench, done),
        cases::purged(bench, done),
        cases::all_down(bench, done),
    )?;
    measured.insert(2, polling);
    measured.extend([lost, purged, down]);
    Ok(measured)
}

/// How many tries there are in all.
#[must_use]
pub const fn tries_of_all(bench: &Bench) -> usize {
    7 * bench.tries
}
