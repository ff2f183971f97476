//! The graph of steps: built once, checked when built, immutable from then on.
//!
//! ```text
//!   start ──► mapped step #0..n ──► … ──► sinks ──► (the job closes) ──► finalizer
//! ```

mod check;
mod policy;

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{SignalName, StepName};
use crate::limits::{INLINE_WIDTH_MAX, LAYOUT, SHARD_WIDTH};
use crate::time::millis;

pub use policy::{HEARTBEAT_MIN, RetryPolicy, Timeouts, Wait};

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Its name, which is also its queue's.
    pub name: String,
    /// The steps whose outputs it needs; none for the start and for the finalizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The step over whose list it is mapped: one task per element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// Its timeouts.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Its retry policy.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Whether it is light: short, and cheap to begin in vain.
    #[serde(default, rename = "light", skip_serializing_if = "core::ops::Not::not")]
    pub is_light: bool,
    /// Whether its first attempt begins without a claim.
    #[serde(default, rename = "unclaimed", skip_serializing_if = "core::ops::Not::not")]
    pub is_unclaimed: bool,
    /// What it waits for; none for a step that does work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

impl StepSpec {
    /// A step with the default timeouts and retry policy, after nothing.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            after: Vec::new(),
            over: None,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            is_light: false,
            is_unclaimed: false,
            wait: None,
        }
    }

    /// The same step, after these steps as well.
    #[must_use]
    pub fn after<'a>(mut self, steps: impl IntoIterator<Item = &'a str>) -> Self {
        self.after.extend(steps.into_iter().map(str::to_owned));
        self
    }

    /// The same step, one task for each element of `step`'s list; `step` is then among its inputs.
    #[must_use]
    pub fn over(mut self, step: &str) -> Self {
        if !self.after.iter().any(|name| name == step) {
            self.after.push(step.to_owned());
        }
        self.over = Some(step.to_owned());
        self
    }

    /// The same step with these timeouts.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same step, declared light: it ends within seconds, and costs nothing worth naming when it is begun in vain.
    ///
    /// Its first attempt takes the job from its message, as the sender knew it, and does not load it. Should the job have
    /// closed meanwhile, the attempt's record is refused as always. A step that costs money must not be light.
    #[must_use]
    pub const fn light(mut self) -> Self {
        self.is_light = true;
        self
    }

    /// The same step, declared light and harmless to repeat: its first attempt begins without a claim.
    ///
    /// Two deliveries of its message may work at the same time, and an attempt whose worker dies leaves no trace: the
    /// next one is claimed, and from then on the step is like any other. It keeps no files, no heartbeat renews its
    /// message, so that its start-to-close timeout must not exceed its heartbeat timeout, and its attempt without a
    /// claim is charged only if it says how it ended.
    #[must_use]
    pub const fn unclaimed(mut self) -> Self {
        self.is_light = true;
        self.is_unclaimed = true;
        self
    }

    /// The same step, which waits instead of doing work: for a signal, or for a time.
    ///
    /// It has no queue, no service and no message: whoever sends the signal records its one task, and whoever looks after
    /// the job does when a time is over.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// The same step with this retry policy.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}

/// A step of a checked pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedStep {
    /// Its name, which is also its queue's.
    pub name: StepName,
    /// The steps whose outputs it needs.
    pub after: Vec<StepName>,
    /// The step over whose list it is mapped.
    pub over: Option<StepName>,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Its retry policy.
    pub retry: RetryPolicy,
    /// Whether it is light: short, and cheap to begin in vain.
    pub is_light: bool,
    /// Whether its first attempt begins without a claim; it is light then.
    pub is_unclaimed: bool,
    /// What it waits for; none for a step that does work.
    pub wait: Option<Wait>,
}

/// Where the records of mapped steps stand. It belongs to the graph, so that a job in flight keeps what it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharding {
    /// Up to how many elements they stand in the part `job`.
    pub inline_width_max: u32,
    /// How many of a wider step stand in one shard; 1 to [`SHARD_WIDTH`].
    pub shard_width: u32,
}

impl Sharding {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Sharding {
    fn default() -> Self {
        Self { inline_width_max: INLINE_WIDTH_MAX, shard_width: SHARD_WIDTH }
    }
}

/// The document of a pipeline: what a job keeps a pointer to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    layout: u32,
    name: String,
    #[serde(rename = "job_timeout_millis", with = "millis")]
    job_timeout: Duration,
    steps: Vec<StepSpec>,
    finalizer: Option<StepSpec>,
    #[serde(default, skip_serializing_if = "Sharding::is_default")]
    sharding: Sharding,
}

/// The hash of a pipeline's document: 32 hexadecimal digits, the first half of its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PipelineHash(String);

impl PipelineHash {
    /// The hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PipelineHash {
    type Error = PipelineError;
    fn try_from(text: String) -> Result<Self, PipelineError> {
        let valid = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid {
            Ok(Self(text))
        } else {
            Err(PipelineError { mistakes: vec![format!("{text:?} is not a pipeline hash")] })
        }
    }
}

impl From<PipelineHash> for String {
    fn from(hash: PipelineHash) -> Self {
        hash.0
    }
}

impl fmt::Display for PipelineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that is wrong with a pipeline, at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the pipeline is not valid: {}", mistakes.join("; "))]
pub struct PipelineError {
    /// The mistakes, each a sentence.
    pub mistakes: Vec<String>,
}

/// A checked, immutable graph of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    name: StepName,
    hash: PipelineHash,
    document: String,
    job_timeout: Duration,
    /// In an order in which every step stands after its inputs.
    steps: Vec<CheckedStep>,
    finalizer: CheckedStep,
    sharding: Sharding,
}

impl Pipeline {
    /// Starts a pipeline of this name.
    #[must_use]
    pub fn builder(name: &str) -> PipelineBuilder {
        PipelineBuilder {
            document: Document {
                layout: LAYOUT,
                name: name.to_owned(),
                job_timeout: Duration::from_secs(3_600),
                steps: Vec::new(),
                finalizer: None,
                sharding: Sharding::default(),
            },
            finalizers: 0,
        }
    }

    /// Reads a pipeline's document, with the same checks as when it was built.
    ///
    /// # Errors
    /// [`PipelineError`] when it is not such a document, or of a newer layout, or does not pass the checks.
    pub fn from_document(text: &str) -> Result<Self, PipelineError> {
        let document: Document = serde_json::from_str(text)
            .map_err(|error| PipelineError { mistakes: vec![format!("its document can't be read: {error}")] })?;
        if document.layout != LAYOUT {
            let mistake = format!("its document has layout {}, this release reads {LAYOUT}", document.layout);
            return Err(PipelineError { mistakes: vec![mistake] });
        }
        // Its hash is that of the text as it was written: a release that knows more fields must not change it.
        Ok(Self { document: text.to_owned(), hash: hash_of(text), ..check::build(document, 1)? })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &StepName {
        &self.name
    }

    /// The hash of its document.
    #[must_use]
    pub const fn hash(&self) -> &PipelineHash {
        &self.hash
    }

    /// Its document, one line of JSON.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.document
    }

    /// How long a job may take in all.
    #[must_use]
    pub const fn job_timeout(&self) -> Duration {
        self.job_timeout
    }

    /// The steps, every one after its inputs; the finalizer is not among them.
    #[must_use]
    pub fn steps(&self) -> &[CheckedStep] {
        &self.steps
    }

    /// The step that runs once the job has closed.
    #[must_use]
    pub const fn finalizer(&self) -> &CheckedStep {
        &self.finalizer
    }

    /// Where the records of its mapped steps stand.
    #[must_use]
    pub const fn sharding(&self) -> Sharding {
        self.sharding
    }

    /// The step that has no inputs.
    #[must_use]
    pub fn start(&self) -> &CheckedStep {
        &self.steps[0]
    }

    /// The step of this name, the finalizer included.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<&CheckedStep> {
        self.steps.iter().chain([&self.finalizer]).find(|step| step.name == *name)
    }

    /// The step that waits for this signal.
    #[must_use]
    pub fn waiting_for(&self, signal: &SignalName) -> Option<&CheckedStep> {
        self.waits().find(|(_, wait)| wait.signal.as_deref() == Some(signal.as_str())).map(|(step, _)| step)
    }

    /// The steps that wait, and what for.
    pub fn waits(&self) -> impl Iterator<Item = (&CheckedStep, &Wait)> {
        self.steps.iter().filter_map(|step| Some((step, step.wait.as_ref()?)))
    }

    /// Whether a step is mapped over this step's list, so that its output must say how many elements it has.
    #[must_use]
    pub fn is_mapped_over(&self, name: &StepName) -> bool {
        self.steps.iter().any(|step| step.over.as_ref() == Some(name))
    }
}

/// Collects a pipeline's parts; [`PipelineBuilder::build`] checks them.
#[derive(Clone, Debug)]
pub struct PipelineBuilder {
    document: Document,
    finalizers: usize,
}

impl PipelineBuilder {
    /// How long a job may take in all; an hour when not said.
    #[must_use]
    pub const fn job_timeout(mut self, span: Duration) -> Self {
        self.document.job_timeout = span;
        self
    }

    /// Says where the records of mapped steps stand; the defaults suit every width.
    #[must_use]
    pub const fn sharding(mut self, sharding: Sharding) -> Self {
        self.document.sharding = sharding;
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: StepSpec) -> Self {
        self.document.steps.push(step);
        self
    }

    /// Sets the step that runs once the job has closed, however it closed.
    #[must_use]
    pub fn finalizer(mut self, step: StepSpec) -> Self {
        self.document.finalizer = Some(step);
        self.finalizers += 1;
        self
    }

    /// Checks the graph.
    ///
    /// # Errors
    /// [`PipelineError`] with every mistake at once.
    pub fn build(self) -> Result<Pipeline, PipelineError> {
        check::build(self.document, self.finalizers)
    }
}

fn hash_of(document: &str) -> PipelineHash {
    PipelineHash(crate::digest::sha256(document.as_bytes()).chars().take(32).collect())
}
