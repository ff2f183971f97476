//! What is modelled: a graph, the workers, the faults that may happen, and what is broken on purpose.

use core::time::Duration;

use qsketch_core::ids::{StepName, TaskId};
use qsketch_core::pipeline::{Pipeline, PipelineError, RetryPolicy, Sharding, StepSpec, Wait};

/// The most attempts of a step in the model.
pub const ATTEMPTS_MAX: u32 = 2;

/// The most attempts of the finalizer: more than all faults together can use up, so that it must be recorded.
pub const FINALIZER_ATTEMPTS_MAX: u32 = 12;

/// How many elements the list of a mapped step has.
pub const WIDTH: u32 = 2;

/// What a step of the model waits for.
pub const SIGNAL: &str = "go";

/// How long it waits at most: until every deadline passes.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1_800);

/// After which time a step of the model goes on by itself.
pub const WAIT_AFTER: Duration = Duration::from_secs(60);

/// The graph of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graph {
    /// `a`, then the finalizer.
    One,
    /// `a → b`.
    Line,
    /// `a → (b ∥ c)`: two steps that nothing follows.
    Fork,
    /// `a → (b ∥ c) → d`.
    Diamond,
    /// `a → w → b`, where `w` waits for a signal.
    Waits,
    /// `a → (b ∥ w)`, where `w` waits for a signal and nothing follows.
    WaitsLast,
    /// `a → w → b`, where `w` waits for a time.
    Rests,
    /// `a → b#0..1`, which nothing follows.
    Mapped,
    /// `a → b#0..1 → c`.
    MappedJoin,
    /// `a → b#0..1`, both records in one shard.
    OneShard,
    /// `a → b#0..1 → c`, both records in one shard.
    OneShardJoin,
    /// `a → b#0..1`, each record in a shard of its own.
    TwoShards,
    /// `a → b#0..1 → c`, each record in a shard of its own.
    TwoShardsJoin,
}

impl Graph {
    /// The graph in a line.
    #[must_use]
    pub const fn drawn(self) -> &'static str {
        match self {
            Self::One => "a",
            Self::Line => "a → b",
            Self::Fork => "a → (b ∥ c)",
            Self::Diamond => "a → (b ∥ c) → d",
            Self::Waits => "a → w → b, w waits for a signal",
            Self::WaitsLast => "a → (b ∥ w), w waits for a signal",
            Self::Rests => "a → w → b, w is a timer",
            Self::Mapped => "a → b#0..1",
            Self::MappedJoin => "a → b#0..1 → c",
            Self::OneShard => "a → b#0..1 in one shard",
            Self::OneShardJoin => "a → b#0..1 in one shard → c",
            Self::TwoShards => "a → b#0..1 in two shards",
            Self::TwoShardsJoin => "a → b#0..1 in two shards → c",
        }
    }

    /// The pipeline of this graph, with the finalizer `z`.
    ///
    /// # Errors
    /// Never, unless the checks of a pipeline change.
    pub fn pipeline(self) -> Result<Pipeline, PipelineError> {
        let retry = |maximum_attempts| RetryPolicy { maximum_attempts, ..RetryPolicy::default() };
        let step = |name: &str| StepSpec::new(name).retry(retry(ATTEMPTS_MAX));
        let wait = |name: &str| StepSpec::new(name).wait(Wait::signal(SIGNAL).timeout(WAIT_TIMEOUT));
        let steps = match self {
            Self::One => vec![step("a")],
            Self::Line => vec![step("a"), step("b").after(["a"])],
            Self::Waits => vec![step("a"), wait("w").after(["a"]), step("b").after(["w"])],
            Self::Rests => {
                vec![step("a"), StepSpec::new("w").after(["a"]).wait(Wait::after(WAIT_AFTER)), step("b").after(["w"])]
            }
            Self::WaitsLast => vec![step("a"), step("b").after(["a"]), wait("w").after(["a"])],
            Self::Fork => vec![step("a"), step("b").after(["a"]), step("c").after(["a"])],
            Self::Diamond => {
                vec![step("a"), step("b").after(["a"]), step("c").after(["a"]), step("d").after(["b", "c"])]
            }
            Self::Mapped | Self::OneShard | Self::TwoShards => vec![step("a"), step("b").over("a")],
            Self::MappedJoin | Self::OneShardJoin | Self::TwoShardsJoin => {
                vec![step("a"), step("b").over("a"), step("c").after(["b"])]
            }
        };
        let builder = steps.into_iter().fold(Pipeline::builder("model"), qsketch_core::pipeline::PipelineBuilder::step);
        let builder = match self.shard_width() {
            Some(shard_width) => builder.sharding(Sharding { inline_width_max: WIDTH - 1, shard_width }),
            None => builder,
        };
        builder.finalizer(StepSpec::new("z").retry(retry(FINALIZER_ATTEMPTS_MAX))).build()
    }

    /// How many records stand in one shard; none where all of them stand in the part `job`.
    #[must_use]
    pub const fn shard_width(self) -> Option<u32> {
        match self {
            Self::OneShard | Self::OneShardJoin => Some(WIDTH),
            Self::TwoShards | Self::TwoShardsJoin => Some(1),
            Self::One | Self::Line | Self::Fork | Self::Diamond | Self::Mapped | Self::MappedJoin => None,
            Self::Waits | Self::WaitsLast | Self::Rests => None,
        }
    }
}

/// Every task of the job, in the graph's order, the finalizer's last: one for each closing.
#[must_use]
pub fn tasks_of(pipeline: &Pipeline, closings: u32) -> Vec<TaskId> {
    let elements = |step: &StepName| (0..WIDTH).map(|index| TaskId::element(step.clone(), index)).collect();
    let of_step = |step: &qsketch_core::pipeline::CheckedStep| match step.over {
        Some(_) => elements(&step.name),
        None => vec![TaskId::only(step.name.clone())],
    };
    let mut tasks: Vec<TaskId> = pipeline.steps().iter().flat_map(of_step).collect();
    tasks.extend((0..closings).map(|closing| TaskId::closing(pipeline.finalizer().name.clone(), closing)));
    tasks
}

/// A kind of fault. Each one that happens is counted against [`Config::faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies, with all its drives: their messages come back, their leases stay until they lapse or the parent
    /// gives their tasks back.
    Crash,
    /// A lease lapses although its owner still works.
    LeaseLapse,
    /// A message becomes visible again although its receiver still works, or is delivered twice.
    VisibilityLapse,
    /// A second copy of a message, as of one that was never received.
    Duplicate,
    /// A write or a send took effect, but its reply is lost: it is repeated.
    LostReply,
    /// A write took effect, but its reply is lost and the drive gives up.
    Dropped,
    /// An attempt fails, and may be tried again.
    Failure,
    /// An attempt meets an overload.
    Overload,
    /// An attempt fails for good.
    FinalFailure,
    /// An attempt is ended at its start-to-close timeout.
    Timeout,
    /// A worker is told to stop, while it works or waits for an answer.
    Stop,
    /// The job's deadline and every timeout pass.
    Late,
    /// Somebody cancels the job.
    Cancel,
    /// Somebody redrives the job, from what failed.
    Redrive,
    /// Somebody redrives the job from its second step, or from its only one.
    RedriveFrom,
    /// Somebody pauses the job; resuming it is no fault.
    Pause,
}

impl Fault {
    /// The fault in a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Crash => "a crash",
            Self::LeaseLapse => "a lease that lapses",
            Self::VisibilityLapse => "a message that comes again",
            Self::Duplicate => "a duplicate",
            Self::LostReply => "a lost reply",
            Self::Dropped => "a drive that gives up",
            Self::Failure => "a failure",
            Self::Overload => "an overload",
            Self::FinalFailure => "a failure for good",
            Self::Timeout => "a time-out",
            Self::Stop => "a worker told to stop",
            Self::Late => "deadlines that pass",
            Self::Cancel => "a cancellation",
            Self::Redrive => "a redrive",
            Self::RedriveFrom => "a redrive from a step",
            Self::Pause => "a pause",
        }
    }

    /// Every kind but what a person does to a job that is to go on, which has models of its own.
    pub const ALL: [Self; 13] = [
        Self::Crash,
        Self::LeaseLapse,
        Self::VisibilityLapse,
        Self::Duplicate,
        Self::LostReply,
        Self::Dropped,
        Self::Failure,
        Self::Overload,
        Self::FinalFailure,
        Self::Timeout,
        Self::Stop,
        Self::Late,
        Self::Cancel,
    ];
}

/// What is broken on purpose, in the model and never in the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A task's part is written whatever it holds: no footing, no fence.
    NoFence,
    /// The message is acknowledged before the successors are sent.
    AcknowledgeFirst,
    /// A record overwrites an earlier one.
    RecordTwice,
    /// A later claim works on the job as it was loaded before the claim (against rule 3).
    NoSecondLoad,
    /// Redelivered to a closed job: just acknowledged (against rule 2).
    ClosedJustAcknowledged,
    /// Redelivered to a recorded task: just acknowledged (against rule 1).
    RecordedJustAcknowledged,
    /// The owner is the process, not the delivery (against rule 5).
    OwnerPerProcess,
    /// The join is decided on the job as it was before the record, not as the record returned it.
    StaleJoin,
    /// An attempt that is given back is charged like a failure (against rule 4).
    ReleaseCharged,
    /// An attempt that meets an overload is charged like a failure.
    OverloadCharged,
    /// A crash is charged, whoever else was at work in the process (against rule 8).
    CrashCharged,
    /// An attempt that must be alone begins while others are at work in its process (against rule 8).
    NotAlone,
    /// A parent gives a task back without looking who holds it by then.
    GivenBackBlindly,
    /// A message whose task is held by another is acknowledged instead of hidden.
    HeldJustAcknowledged,
    /// A step with several inputs goes ahead when one of them is recorded.
    JoinWithoutCondition,
    /// Successors take the output of the first attempt, whichever was recorded.
    FirstAttemptTaken,
    /// Failures are not counted.
    NothingCharged,
    /// A job is canceled whatever its status is.
    CanceledBlindly,
    /// A redrive opens the job again without a new closing (against rule 6).
    RedriveWithoutClosing,
    /// A record and a closing do not compare the closing (against rule 6).
    RecordBlindToClosing,
    /// A redrive from a step forgets its records without a new generation (against rule 6).
    ForgottenWithoutGeneration,
    /// A heartbeat renews the lease whatever the task's part holds: it revives an attempt that is over.
    BeatRevives,
    /// Whoever resumes a job does not send what is ready (against rule 12).
    ResumedSilently,
    /// A signal is taken only where its step waits already, and forgotten otherwise (against rule 12).
    SignalAsks,
    /// Whoever sends a signal records it and does not send what it made ready.
    SignaledSilently,
    /// Nobody sweeps over the open jobs: there is no reconciler.
    NobodyLooks,
    /// A closing or a record is written whatever the job's status is.
    ClosedTwice,
    /// The finalizer's message is sent with the first step's successors, and the finalizer does not look whether the
    /// job has closed.
    NotifiedEarly,
    /// The finalizer may fail for good.
    FinalizerFails,
    /// A record that fills its shard is acknowledged, and the shard is not folded.
    FoldSkipped,
    /// A shard is taken for full when one of its elements is recorded.
    FoldedEarly,
    /// A job is closed for an element of a wide step without its tombstone (against rule 7).
    TombstoneSkipped,
    /// A record does not look for a tombstone (against rule 7).
    RecordedOnTombstone,
}

/// A model: what runs, what may go wrong, and how often.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name, for people.
    pub name: &'static str,
    /// The graph.
    pub graph: Graph,
    /// The process that each drive runs in; at most [`crate::state::SLOTS`] drives at a time. The first two must be
    /// interchangeable: both in one process, or each alone in its own.
    pub processes: Vec<u8>,
    /// How many faults may happen in all.
    pub faults: u8,
    /// The kinds that may.
    pub kinds: Vec<Fault>,
    /// What is broken on purpose.
    pub broken: Option<Broken>,
    /// Whether states that differ only in the names of the first two drives count as one.
    pub symmetry: Symmetry,
}

/// Whether states that differ only in the names of the first two drives count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// They do: half the states.
    Merged,
    /// They do not: a trace keeps its names.
    Kept,
}

impl Config {
    /// Whether a job may be redriven, once.
    #[must_use]
    pub fn is_redriven(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind, Fault::Redrive | Fault::RedriveFrom))
    }

    /// A model of two workers with these faults.
    #[must_use]
    pub fn new(name: &'static str, graph: Graph, faults: u8, kinds: &[Fault]) -> Self {
        let (processes, kinds) = (vec![0, 1], kinds.to_vec());
        Self { name, graph, processes, faults, kinds, broken: None, symmetry: Symmetry::Merged }
    }

    /// The same model with its drives in these processes.
    #[must_use]
    pub fn processes(mut self, processes: &[u8]) -> Self {
        self.processes = processes.to_vec();
        self
    }

    /// The same model, broken on purpose, its traces with the names as they are.
    #[must_use]
    pub fn broken(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self.symmetry = Symmetry::Kept;
        self
    }
}
