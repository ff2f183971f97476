//! The graph of the jobs, and what is planned for each of them.
//!
//! ```text
//! plan ─┬─► make#0..n ─┬─► join ─► (the job closes) ─► tell
//!       └─► check ─────┘
//! ```
//! `check` is unclaimed, `plan` and `join` are light, `make` runs a tool; a wide job's `make` has shards.

use core::fmt;
use core::time::Duration;

use qsketch_core::Pipeline;
use qsketch_core::pipeline::{PipelineError, RetryPolicy, StepSpec, Timeouts};

/// How long a lease holds: short, so that what waits for one takes seconds.
pub const LEASE: Duration = Duration::from_secs(4);

/// The most attempts of a task that are charged. Faults of the network and lapsed leases are charged, and must not use
/// them up; what always fails is to do so within a minute.
pub const ATTEMPTS_MAX: u32 = 12;

/// How wide a job's `make` is at most where its records stand in the part `job`.
const NARROW_MAX: u64 = 4;

/// How wide a wide job's `make` is: more than the part `job` holds.
const WIDE: u32 = 10;

/// The first step.
pub const PLAN: &str = "plan";
/// A light step that claims nothing.
pub const CHECK: &str = "check";
/// The mapped step that runs a tool.
pub const MAKE: &str = "make";
/// The last step.
pub const JOIN: &str = "join";
/// The finalizer.
pub const TELL: &str = "tell";

/// All of them.
pub const STEPS: [&str; 5] = [PLAN, CHECK, MAKE, JOIN, TELL];

/// The graph, with this lease.
///
/// # Errors
/// [`PipelineError`] where the lease does not fit.
pub fn graph(lease: Duration) -> Result<Pipeline, PipelineError> {
    let timeouts = |start_to_close| Timeouts { start_to_close, heartbeat: lease, ..Timeouts::default() };
    let retry = || RetryPolicy {
        initial_interval: Duration::from_secs(1),
        backoff_coefficient: 1.5,
        maximum_interval: Duration::from_secs(5),
        maximum_attempts: ATTEMPTS_MAX,
        non_retryable_error_types: Vec::new(),
    };
    let step = |name| StepSpec::new(name).timeouts(timeouts(Duration::from_secs(60))).retry(retry());
    Pipeline::builder("chaos")
        .step(step(PLAN).light())
        .step(step(CHECK).timeouts(timeouts(lease)).light().unclaimed().after([PLAN]))
        .step(step(MAKE).after([PLAN]).over(PLAN))
        .step(step(JOIN).light().after([MAKE, CHECK]))
        .finalizer(step(TELL))
        .build()
}

/// What is planned for a job; its id begins with the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// It completes.
    Plain,
    /// It completes, and is wide.
    Wide,
    /// Its first `make` fails for good.
    Final,
    /// Its first `make` fails in every attempt.
    Weary,
    /// The tool of its first `make` eats memory until it is killed, twice; then it completes.
    Eats,
    /// Its first `make` goes on until something ends it, once.
    Long,
    /// The first attempt at its first `make` does not end by itself; none of a run under chaos.
    Held,
}

impl Plan {
    /// All plans, and how many of 100 jobs have them.
    pub const SHARES: [(Self, u64); 7] = [
        (Self::Plain, 68),
        (Self::Wide, 10),
        (Self::Final, 6),
        (Self::Weary, 5),
        (Self::Eats, 6),
        (Self::Long, 5),
        (Self::Held, 0),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Wide => "wide",
            Self::Final => "final",
            Self::Weary => "weary",
            Self::Eats => "eats",
            Self::Long => "long",
            Self::Held => "held",
        }
    }

    /// The plan of a job by its id.
    #[must_use]
    pub fn of(job: &str) -> Self {
        let name = job.split('-').next().unwrap_or_default();
        Self::SHARES.into_iter().map(|(plan, _)| plan).find(|plan| plan.name() == name).unwrap_or(Self::Plain)
    }

    /// The plan that a number under 100 draws.
    #[must_use]
    pub fn drawn(mut number: u64) -> Self {
        for (plan, share) in Self::SHARES {
            match number.checked_sub(share) {
                Some(rest) => number = rest,
                None => return plan,
            }
        }
        Self::Plain
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How wide a job's `make` is.
#[must_use]
pub fn width(job: &str) -> u32 {
    if Plan::of(job) == Plan::Wide {
        return WIDE;
    }
    if Plan::of(job) == Plan::Held {
        return 1;
    }
    let sum = job.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    u32::try_from(sum % NARROW_MAX).unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_right_and_every_hundredth_has_a_plan() -> Result<(), PipelineError> {
        graph(LEASE)?;
        assert_eq!(Plan::SHARES.iter().map(|(_, share)| share).sum::<u64>(), 100);
        for (plan, share) in Plan::SHARES {
            let drawn = (0..100).filter(|number| Plan::drawn(*number) == plan).count() as u64;
            assert_eq!((Plan::of(&format!("{plan}-1")), drawn), (plan, share));
        }
        Ok(())
    }
}
