//! What the job table holds of a job. All parts of one job share its id as their key.
//!
//! | part | holds | written |
//! |---|---|---|
//! | `input` | the validated submission and its hash | once, if absent |
//! | `job` | status, records, closings | once per recorded completion, once per closing |
//! | `task:<task>` | attempt, lease, ended attempts | at claim, heartbeat and failure |
//! | `done:<step>@<generation>/<k>` | records of the elements of a wide step | once per recorded completion |

use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failure::ErrorText;
use crate::ids::{JobId, Owner, ShardId, StepName, TaskId, Tenant};
use crate::limits::{
    ATTEMPTS_KEPT_MAX, CHECK_SHARDS, CRASHES_IN_COMPANY_MAX, CRASHES_MAX, KEEP_AFTER_DEADLINE, KEEP_QUEUED, LAYOUT,
    OVERLOADS_MAX, PATIENCE, RELEASES_MAX,
};
use crate::pipeline::{Pipeline, PipelineHash};
use crate::refund::{Issued, Redemption};
use crate::shard::Shard;
use crate::time::Time;

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// It waits until its tenant has room for one more job that runs ([`crate::tenant`]).
    Queued,
    /// It is on its way.
    Running,
    /// Every task is recorded.
    Completed,
    /// A task failed for good.
    Failed,
    /// Its time, or that of one of its tasks, is over.
    TimedOut,
    /// Somebody canceled it.
    Canceled,
    /// Its submission was invalid: it never began.
    Rejected,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::TimedOut, Self::Canceled, Self::Rejected];

    /// Whether it has ended, and stays so unless somebody opens it again.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The status as it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Canceled => "CANCELED",
            Self::Rejected => "REJECTED",
        }
    }
}

/// A recorded completion: the first one of its task, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Done {
    /// The attempt that won; its outputs are the task's.
    pub attempt: u32,
    /// When it was recorded.
    pub at: Time,
    /// How many elements its list has, where a later step maps over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// What came with the signal of a wait: JSON of at most [`crate::limits::PAYLOAD_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// How a job closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Every task is recorded.
    Completed,
    /// A task failed for good.
    Failed,
    /// A time was over.
    TimedOut,
    /// Somebody canceled the job.
    Canceled,
}

impl Verdict {
    /// The job's status after it.
    #[must_use]
    pub const fn status(self) -> JobStatus {
        match self {
            Self::Completed => JobStatus::Completed,
            Self::Failed => JobStatus::Failed,
            Self::TimedOut => JobStatus::TimedOut,
            Self::Canceled => JobStatus::Canceled,
        }
    }
}

/// One closing of a job: what its notification is made from, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Closing {
    /// How it closed.
    pub verdict: Verdict,
    /// When.
    pub at: Time,
    /// The task that failed, or the wait that was rejected; for a completed or otherwise canceled job none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The last attempt of that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The error's type; `Canceled` for a canceled job, whose reason is the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The error, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorText>,
    /// Where the result is, for a completed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What is kept of its refund token, for a failed job whose notification was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Box<Issued>>,
}

/// Why a submission was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// Every reason at once, each saying what to do.
    pub reasons: Vec<String>,
    /// The id that the submission asked for; the job under that id is untouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_id: Option<String>,
}

/// The part `job`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// The layout that it was written in.
    pub layout: u32,
    /// Its id.
    pub job_id: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// The pipeline's hash: the graph that it began with.
    pub pipeline_hash: PipelineHash,
    /// How it is.
    pub status: JobStatus,
    /// Whose it is.
    pub tenant: Tenant,
    /// When it was taken in.
    pub created_at: Time,
    /// When its time is over; of a job that is queued, when it would be, had it begun at once.
    pub deadline: Time,
    /// Whether it was born with a cap on its tenant's jobs: while it runs it takes one of the places.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_capped: bool,
    /// When it began, where it was queued at first: what is open counts as scheduled no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// The recorded completions.
    pub done: BTreeMap<TaskId, Done>,
    /// The shards whose every element is recorded, and when the last one was.
    #[serde(default)]
    pub folded: BTreeMap<ShardId, Time>,
    /// How often it has closed and was opened again; the number of the closing ahead, or of the last one once closed.
    pub closing: u32,
    /// The closings, by number.
    pub closings: Vec<Closing>,
    /// The steps whose records a redrive forgot, and how often: the number is part of their shards' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generations: BTreeMap<StepName, u32>,
    /// When a redrive opened it again: what is open counts as scheduled no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<Time>,
    /// What of it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Where its result is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// When its refund was redeemed, and by which token: once for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Redemption>,
    /// Why it was refused, for [`JobStatus::Rejected`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The shard of the index of jobs to look after; gone once the finalizer is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_shard: Option<String>,
    /// When to look after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_at: Option<Time>,
    /// Tenant and day of its birth: the key of the index for lists.
    pub tenant_day: String,
    /// When the table may delete it, in seconds since the epoch.
    pub expires_at: u64,
}

impl Job {
    /// A job as it begins.
    #[must_use]
    pub fn begun(id: JobId, tenant: Tenant, pipeline: &Pipeline, now: Time) -> Self {
        let deadline = now.plus(pipeline.job_timeout());
        Self {
            layout: LAYOUT,
            pipeline: pipeline.name().to_string(),
            pipeline_hash: pipeline.hash().clone(),
            status: JobStatus::Running,
            created_at: now,
            deadline,
            is_capped: false,
            started_at: None,
            done: BTreeMap::new(),
            folded: BTreeMap::new(),
            closing: 0,
            closings: Vec::new(),
            generations: BTreeMap::new(),
            reopened_at: None,
            paused: None,
            result: None,
            refunded: None,
            refusal: None,
            check_shard: Some(check_shard(&id)),
            check_at: Some(first_check(pipeline, now)),
            tenant_day: tenant_day(&tenant, now),
            expires_at: expires_at(deadline),
            job_id: id,
            tenant,
        }
    }

    /// A job that begins once its tenant has room for it. Until then it stands in the queue of its tenant, in the index of
    /// jobs to look after, by when it was taken in.
    #[must_use]
    pub fn queued(id: JobId, tenant: Tenant, pipeline: &Pipeline, now: Time) -> Self {
        Self {
            status: JobStatus::Queued,
            is_capped: true,
            check_shard: Some(queue_shard(&tenant)),
            check_at: Some(now),
            expires_at: now.plus(KEEP_QUEUED).epoch_secs(),
            ..Self::begun(id, tenant, pipeline, now)
        }
    }

    /// A job whose submission was refused: closed from its birth, with nobody to look after it.
    #[must_use]
    pub fn rejected(id: JobId, tenant: Tenant, pipeline: &Pipeline, refusal: Refusal, now: Time) -> Self {
        Self {
            status: JobStatus::Rejected,
            refusal: Some(refusal),
            check_shard: None,
            check_at: None,
            ..Self::begun(id, tenant, pipeline, now)
        }
    }
}

impl Job {
    /// Which generation of a step's records counts; 0 until a redrive forgets the step.
    #[must_use]
    pub fn generation(&self, step: &StepName) -> u32 {
        self.generations.get(step).copied().unwrap_or(0)
    }

    /// Whether no attempt of a step may begin for now.
    #[must_use]
    pub fn is_paused(&self, step: &StepName) -> bool {
        self.paused_since(step).is_some()
    }

    /// Since when no attempt of a step may begin; none where it may.
    #[must_use]
    pub fn paused_since(&self, step: &StepName) -> Option<Time> {
        let pause = self.paused.as_ref()?;
        pause.since.into_iter().chain(pause.steps.get(step).copied()).min()
    }
}

/// What of a job is paused: no new attempt begins there, what runs goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pause {
    /// How often it was changed; a change stands on the one before.
    pub changes: u32,
    /// Since when the whole job is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The steps that are, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<StepName, Time>,
    /// When something was resumed last: schedule-to-start counts from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<Time>,
}

impl Pause {
    /// Whether nothing is paused.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.since.is_none() && self.steps.is_empty()
    }
}

/// When to look after a job for the first time that was begun, or opened again, at `now`.
pub(crate) fn first_check(pipeline: &Pipeline, now: Time) -> Time {
    let works = pipeline.steps().iter().filter(|step| step.wait.is_none());
    let shortest = works.map(|step| step.timeouts.schedule_to_close).min().unwrap_or(PATIENCE);
    now.plus(PATIENCE.min(shortest))
}

/// When the parts of a job with this deadline may be deleted, in seconds since the epoch.
#[must_use]
pub fn expires_at(deadline: Time) -> u64 {
    deadline.plus(KEEP_AFTER_DEADLINE).epoch_secs()
}

/// The key of a tenant's jobs of one UTC day in the index for lists.
#[must_use]
pub fn tenant_day(tenant: &Tenant, at: Time) -> String {
    format!("{tenant}#{}", at.day())
}

/// The shards of the index of jobs to look after: every open job stands in one of them.
pub fn check_shards() -> impl Iterator<Item = String> {
    (0..CHECK_SHARDS).map(check_shard_name)
}

/// The shard of the same index in which the jobs of a tenant stand that are queued; nobody looks after them there.
#[must_use]
pub fn queue_shard(tenant: &Tenant) -> String {
    format!("queued#{tenant}")
}

fn check_shard_name(index: u32) -> String {
    format!("check#{index}")
}

pub(crate) fn check_shard(id: &JobId) -> String {
    // FNV-1a: any even spread will do, as long as every release computes the same.
    let hash = id
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Less than the number of shards, so it fits.
    check_shard_name(u32::try_from(hash % u64::from(CHECK_SHARDS)).unwrap_or_default())
}

/// How an attempt ended that was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It failed.
    Failed,
    /// One of its timeouts ended it, or nothing was heard of it.
    TimedOut,
    /// Its worker was told to stop and gave it back.
    Released,
    /// What it needs has too much to do.
    Overloaded,
    /// Its worker's process died.
    Crashed,
}

impl Outcome {
    /// The outcome as it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Released => "RELEASED",
            Self::Overloaded => "OVERLOADED",
            Self::Crashed => "CRASHED",
        }
    }
}

/// An attempt that ended without being recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// The closing that it worked towards.
    pub closing: u32,
    /// When it was claimed.
    pub started_at: Time,
    /// When it ended, or when its lease did.
    pub ended_at: Time,
    /// How it ended.
    pub outcome: Outcome,
    /// The error's type.
    pub error_type: String,
    /// The error, for a person.
    pub error: ErrorText,
    /// Whether the error can't be mended by trying again.
    #[serde(default, rename = "final", skip_serializing_if = "core::ops::Not::not")]
    pub is_final: bool,
}

/// A lease: who owns the task, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The nonce of the delivery that claimed it.
    pub owner: Owner,
    /// Until when it holds.
    pub until: Time,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// In thousandths.
    pub permille: u16,
    /// What it is doing, in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The part `task:<task>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// The layout that it was written in.
    pub layout: u32,
    /// The newest attempt, from 1. It only grows: it is the fencing token and part of every output's key.
    pub attempt: u32,
    /// The closing that the newest attempt works towards.
    pub closing: u32,
    /// When the newest attempt was claimed.
    pub started_at: Time,
    /// Who works on it; none once the attempt has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// No new attempt before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Whether the newest attempt has its worker to itself: only then is a crash its own.
    #[serde(default, rename = "alone", skip_serializing_if = "core::ops::Not::not")]
    pub is_alone: bool,
    /// How far the newest attempt is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// How many ended attempts of this closing were charged.
    pub charged: u32,
    /// How many ended attempts of this closing were given back.
    pub released: u32,
    /// How many ended attempts of this closing met an overload and were not charged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overloaded: u32,
    /// How many ended attempts of this closing died with their worker and were not charged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashed: u32,
    /// The last ended attempts, at most [`ATTEMPTS_KEPT_MAX`].
    pub attempts: Vec<Attempt>,
    /// When the table may delete it, in seconds since the epoch.
    pub expires_at: u64,
}

impl Task {
    /// A task of this attempt, which nobody holds and of which none has ended.
    #[must_use]
    pub const fn begun(attempt: u32, closing: u32, started_at: Time, expires_at: u64) -> Self {
        Self {
            layout: LAYOUT,
            attempt,
            closing,
            started_at,
            lease: None,
            not_before: None,
            is_alone: false,
            progress: None,
            charged: 0,
            released: 0,
            overloaded: 0,
            crashed: 0,
            attempts: Vec::new(),
            expires_at,
        }
    }

    /// Whether `owner` holds the newest attempt.
    #[must_use]
    pub fn is_held_by(&self, owner: &Owner) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.owner == *owner)
    }

    /// Rule 8: whether the next attempt of this closing must have its worker to itself.
    #[must_use]
    pub const fn must_be_alone(&self, closing: u32) -> bool {
        self.closing == closing && self.crashed >= CRASHES_IN_COMPANY_MAX
    }

    /// The same task after its newest attempt has ended.
    pub(crate) fn ended(mut self, end: Attempt, not_before: Option<Time>) -> Self {
        match end.outcome {
            Outcome::Released if self.released < RELEASES_MAX => self.released += 1,
            Outcome::Overloaded if self.overloaded < OVERLOADS_MAX => self.overloaded += 1,
            Outcome::Crashed if !self.is_alone && self.crashed < CRASHES_MAX => self.crashed += 1,
            Outcome::Failed | Outcome::TimedOut | Outcome::Released | Outcome::Overloaded | Outcome::Crashed => {
                self.charged += 1;
            }
        }
        self.is_alone = false;
        self.attempts.push(end);
        let excess = self.attempts.len().saturating_sub(ATTEMPTS_KEPT_MAX);
        self.attempts.drain(..excess);
        self.lease = None;
        self.progress = None;
        self.not_before = not_before;
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The part `input`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Input {
    /// The layout that it was written in.
    pub layout: u32,
    /// The job.
    pub job_id: JobId,
    /// The hash of the submission's content: the arbiter of "the same id again".
    pub content_hash: String,
    /// The validated submission.
    pub submission: serde_json::Value,
    /// When it was taken in.
    pub received_at: Time,
    /// When the table may delete it, in seconds since the epoch.
    pub expires_at: u64,
}

/// One part of a job, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The part `input`.
    Input(Box<Input>),
    /// The part `job`.
    Job(Box<Job>),
    /// The part `task:<task>`.
    Task(Box<Task>),
    /// The part `done:<shard>`.
    Shard(Box<Shard>),
}

/// How long parts are kept must cover the longest wait for a redelivery.
const _: () = assert!(
    KEEP_AFTER_DEADLINE.as_secs() > Duration::from_secs(14 * 24 * 3_600).as_secs(),
    "SQS keeps a message for 14 days"
);
