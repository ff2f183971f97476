//! The pipelines that are simulated: each shape that a graph of the product may have, small.

use core::time::Duration;

use qsketch_core::pipeline::{PipelineBuilder, RetryPolicy, Sharding, Timeouts};
use qsketch_core::{Pipeline, StepSpec, Wait};

/// How long a lease holds: short, so that a schedule takes minutes of simulated time. A heartbeat follows every third of it.
pub const LEASE: Duration = Duration::from_secs(9);

/// How long one attempt may take: over two leases, so that it lives by its heartbeats.
pub const START_TO_CLOSE: Duration = Duration::from_secs(25);

/// How long all attempts of a task may take: longer than the longest outage, so that some jobs outlive it.
const SCHEDULE_TO_CLOSE: Duration = Duration::from_secs(20 * 60);

/// How long a job may take.
const JOB_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How long a signal is waited for.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How long the wait that ends by itself takes.
const TIMER: Duration = Duration::from_secs(90);

/// The signal that is waited for.
pub const SIGNAL: &str = "go";

/// The error type that the retry policy does not retry.
pub const HOPELESS: &str = "Hopeless";

/// The finalizer's step.
pub const FINALIZER: &str = "z";

/// A shape of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// `a → b → c`.
    Line,
    /// `a → (b ∥ c) → d`.
    Diamond,
    /// `a → b#0..n → c`, recorded in the part `job`.
    Narrow,
    /// The same in shards of two.
    Sharded,
    /// The same with over eight elements, which the defaults put into a shard.
    Wide,
    /// `a → b#0..n → c#0..n → d`: two steps mapped over one list, in shards of two.
    Twice,
    /// `a → w → b#0..n → c`, where `w` waits for a signal.
    Signal,
    /// `a → w → b → c`, where `w` waits for a time.
    Timer,
    /// A line of light steps.
    Light,
    /// `a → (b ∥ c) → d`, where `b` and `c` are unclaimed.
    Unclaimed,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 10] = [
        Self::Line,
        Self::Diamond,
        Self::Narrow,
        Self::Sharded,
        Self::Wide,
        Self::Twice,
        Self::Signal,
        Self::Timer,
        Self::Light,
        Self::Unclaimed,
    ];

    /// Whether its jobs wait without a message: only a reconciler ends such a wait whose signal is lost.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Signal | Self::Timer)
    }

    /// How many elements its list has, from and to.
    #[must_use]
    pub const fn widths(self) -> (u32, u32) {
        match self {
            Self::Wide => (9, 12),
            Self::Sharded | Self::Twice => (3, 6),
            _ => (1, 4),
        }
    }

    /// Its graph.
    #[must_use]
    pub fn pipeline(self) -> Pipeline {
        let builder = Pipeline::builder("simulated").job_timeout(JOB_TIMEOUT).step(step("a"));
        let twos = Sharding { inline_width_max: 2, shard_width: 2 };
        let builder = match self {
            Self::Line => builder.step(step("b").after(["a"])).step(step("c").after(["b"])),
            Self::Light => builder.step(step("b").after(["a"]).light()).step(step("c").after(["b"]).light()),
            Self::Diamond => diamond(builder, |step| step),
            Self::Unclaimed => diamond(builder, unclaimed),
            Self::Narrow | Self::Wide => mapped(builder),
            Self::Sharded => mapped(builder).sharding(twos),
            Self::Twice => {
                let c = step("c").over("a").after(["b"]);
                builder.step(step("b").over("a")).step(c).step(step("d").after(["c"])).sharding(twos)
            }
            Self::Signal => {
                let wait = Wait::signal(SIGNAL).timeout(SIGNAL_TIMEOUT);
                let builder = builder.step(StepSpec::new("w").after(["a"]).wait(wait));
                builder.step(step("b").over("a").after(["w"])).step(step("c").after(["b"]))
            }
            Self::Timer => {
                let builder = builder.step(StepSpec::new("w").after(["a"]).wait(Wait::after(TIMER)));
                builder.step(step("b").after(["w"])).step(step("c").after(["b"]))
            }
        };
        builder.finalizer(step(FINALIZER)).build().expect("a shape of the gallery passes the checks")
    }
}

fn diamond(builder: PipelineBuilder, middle: fn(StepSpec) -> StepSpec) -> PipelineBuilder {
    let builder = builder.step(middle(step("b").after(["a"]))).step(middle(step("c").after(["a"])));
    builder.step(step("d").after(["b", "c"]))
}

fn mapped(builder: PipelineBuilder) -> PipelineBuilder {
    builder.step(step("b").over("a")).step(step("c").after(["b"]))
}

/// Nothing renews the message of an unclaimed attempt, so that it must end within its lease.
fn unclaimed(step: StepSpec) -> StepSpec {
    let timeouts = Timeouts { start_to_close: LEASE, ..step.timeouts.clone() };
    step.timeouts(timeouts).unclaimed()
}

fn step(name: &str) -> StepSpec {
    let timeouts = Timeouts {
        schedule_to_start: None,
        start_to_close: START_TO_CLOSE,
        schedule_to_close: SCHEDULE_TO_CLOSE,
        heartbeat: LEASE,
    };
    let retry = RetryPolicy {
        initial_interval: Duration::from_secs(2),
        maximum_interval: Duration::from_secs(20),
        non_retryable_error_types: vec![HOPELESS.to_owned()],
        ..RetryPolicy::default()
    };
    StepSpec::new(name).timeouts(timeouts).retry(retry)
}
