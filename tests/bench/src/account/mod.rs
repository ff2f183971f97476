//! The account of one job: what it costs in calls, messages, units and dollars, counted on the ports in memory.
//!
//! ```text
//!   every Way, one job at a time and many ─► Consumers, as a service runs them ─► Meter ─► Sim (time is paused)
//!                                                                                   │
//!   account.txt, as committed ◄── compared by a test ──── Account as text ◄─────────┘
//! ```
//! No clock is involved: time stands still while anything can go on, so the same code gives the same numbers, however
//! slow the machine. What a stack answers is measured elsewhere ([`crate::measure`]); what is called is the same.
//!
//! Invariants: the committed account is the counted one, number for number
//! (`tests::the_committed_account_is_what_a_job_costs`); one call more is found
//! (`tests::one_load_more_for_each_claim_is_found`).

mod text;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use qsketch_runtime::Ports;
use qsketch_runtime::batch::Outbox;
use qsketch_sim::{Disorder, Sim};

use crate::consumers::Consumers;
use crate::counted::{Counted, EMPTY};
use crate::meter::{Meter, Tracing};
use crate::prices::MANY_IN_FLIGHT;
use crate::submissions::{Submissions, all_deleted, ids};
use crate::way::Way;

pub use text::{Account, Change, DOLLARS, Section, TOLERANCE_PERMILLE, Title, complaint};

/// The command that renews the committed account.
pub const COMMAND: &str = "cargo run -p qsketch-bench -- account --keep";

/// How many jobs are in flight, a section for each.
pub const IN_FLIGHT: [usize; 2] = [1, MANY_IN_FLIGHT];

/// How many jobs run before anything is counted: pipelines are kept and loaded once in a process.
const WARM_UP: usize = 8;

/// How many jobs are counted, one at a time; each must cost the same.
const JOBS_ALONE: usize = 20;

/// How many jobs are counted with many in flight: beginning and end, where fewer are, are a small part.
const JOBS_MANY: usize = 1_600;

/// How long a call takes on the ports in memory, the least and what may be drawn on top: about as long as in a region of
/// AWS. Only what is batched depends on it: calls must overlap, and not in step.
const LATENCY: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(8));

/// The seed of the simulated world.
const SEED: u64 = 4;

/// What stands around the metered ports: nothing, but for the tests of the guard.
pub type Around<'a> = &'a (dyn Fn(Ports) -> Ports + Sync);

/// Where the committed account is.
#[must_use]
pub fn path(root: &Path) -> PathBuf {
    root.join("tests/bench/account.txt")
}

/// Counts what a job costs, every way. Not to be called within a runtime: it brings its own, with paused time.
///
/// # Errors
/// A job does not end, or two jobs cost something different, one at a time.
pub fn count(around: Around<'_>) -> Result<Account> {
    let mut sections = Vec::new();
    for way in Way::ALL {
        for in_flight in IN_FLIGHT {
            let counted = count_one(way, in_flight, around)
                .with_context(|| format!("the account of jobs {}, {in_flight} in flight", way.name()))?;
            sections.push(Section::of(way, in_flight, &counted));
        }
    }
    Ok(Account { sections })
}

/// What jobs cost in one way, so many in flight.
///
/// # Errors
/// See [`count`].
pub fn count_one(way: Way, in_flight: usize, around: Around<'_>) -> Result<Counted> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let sim = Sim::new(SEED);
        let (latency, latency_spread) = LATENCY;
        sim.set_disorder(Disorder { latency, latency_spread, ..Disorder::default() });
        let meter = Meter::new(Tracing::Off);
        let ports = around(meter.around(&sim.ports()));
        let outbox = Outbox::new(Arc::clone(&ports.queues));
        let _polls = Consumers::new(&ports, &outbox, way)?.poll(&ports.queues, &outbox);
        let bench = Bench { sim, meter, outbox };
        bench.run("warm", WARM_UP, 1).await?;
        if in_flight == 1 { bench.each().await } else { bench.run("many", JOBS_MANY, in_flight).await }
    })
}

struct Bench {
    sim: Sim,
    meter: Arc<Meter>,
    outbox: Outbox,
}

impl Bench {
    /// What these jobs cost together.
    async fn run(&self, name: &str, jobs: usize, in_flight: usize) -> Result<Counted> {
        let before = self.counted(0);
        Submissions::new(&self.meter, &self.outbox).run(ids(name, jobs)?, in_flight, |_| Ok(())).await?;
        all_deleted(&self.meter).await?;
        Ok(self.counted(jobs) - &before)
    }

    /// What one job costs, if all cost the same.
    async fn each(&self) -> Result<Counted> {
        let mut first = None;
        for number in 0..JOBS_ALONE {
            let mut counted = self.run(&format!("alone-{number}"), 1, 1).await?;
            // They come with time, not with jobs.
            counted.tally.forget(EMPTY);
            let first = first.get_or_insert_with(|| counted.clone());
            ensure!(counted == *first, "job {number} cost {counted:?}, the first one {first:?}");
        }
        first.context("no job was run")
    }

    fn counted(&self, jobs: usize) -> Counted {
        Counted { jobs, tally: self.meter.tally(), units: self.sim.units().into() }
    }
}

#[cfg(test)]
mod tests;
