//! Runs many schedules, on a few threads, until all are run or one breaks an invariant.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::broken::Broken;
use crate::run::{Outcome, Trace, run};
use crate::schedule::Schedule;
use crate::tally::Tally;

/// How many threads run schedules; each schedule has one to itself.
pub const THREADS: usize = 2;

/// What many schedules came to.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// What happened in all of them.
    pub tally: Tally,
    /// The first that broke an invariant, by the seed among those that were run.
    pub failed: Option<Outcome>,
}

/// Runs the schedules of `count` seeds, from `first` on; only those that can show the variant where the world is `broken`.
///
/// It ends early with a schedule that breaks an invariant. `ran` is told of each schedule that was run.
pub fn run_many(first: u64, count: u64, broken: Option<Broken>, ran: impl Fn() + Sync) -> Sum {
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let one_thread = || {
        let mut sum = Sum::default();
        while !is_over.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let seed = first.wrapping_add(number);
            if broken.is_some_and(|broken| !broken.fits(&Schedule::draw(seed))) {
                ran();
                continue;
            }
            let outcome = run(seed, broken, Trace::Skipped);
            sum.tally.sum(&outcome.tally);
            if !outcome.violations.is_empty() {
                is_over.store(true, Ordering::Relaxed);
                sum.failed = Some(outcome);
            }
            ran();
        }
        sum
    };
    let sums: Vec<Sum> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one_thread)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut all = Sum::default();
    for sum in sums {
        all.tally.sum(&sum.tally);
        let is_first = |outcome: &Outcome| all.failed.as_ref().is_none_or(|first| outcome.seed < first.seed);
        if sum.failed.as_ref().is_some_and(is_first) {
            all.failed = sum.failed;
        }
    }
    all
}

/// A schedule that broke an invariant, for a person: what broke, what happened, and the command that replays it.
#[must_use]
pub fn report(outcome: &Outcome, broken: Option<Broken>) -> String {
    let violations: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    let how = broken.map(|broken| format!(" BROKEN={}", broken.name())).unwrap_or_default();
    let replay = format!("make simulate SEED={} N=1{how}", outcome.seed);
    format!("{}\n\n{}\n\nreplay it: {replay}", outcome.story.join("\n"), violations.join("\n"))
}
