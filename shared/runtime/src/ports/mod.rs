//! The outside world, behind few narrow traits: a table, queues, a store, a clock.
//!
//! Each has one implementation on AWS (`qsketch-aws`) and one in memory (`qsketch-sim`); one conformance suite runs on
//! both.

mod error;
mod rosters;
mod turns;

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{
    Commit, Input, Job, JobId, Message, Offset, Pipeline, Shard, ShardId, StepName, Task, TaskId, Tenant, Time, Write,
};

pub use error::{PortError, PortErrorKind, Remedy};
pub use rosters::{DueTenant, DueTenants, Rosters, TenantPage};
pub use turns::Turns;

/// Everything a service needs of the outside world.
#[derive(Clone)]
pub struct Ports {
    /// The job table.
    pub table: Arc<dyn Table>,
    /// The job table's lists.
    pub lists: Arc<dyn Lists>,
    /// The rosters of tenants whose jobs are capped.
    pub rosters: Arc<dyn Rosters>,
    /// The turns at providers.
    pub turns: Arc<dyn Turns>,
    /// The queues.
    pub queues: Arc<dyn Queues>,
    /// The store of files.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// All parts of one job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// The part `input`.
    pub input: Option<Input>,
    /// The part `job`.
    pub job: Option<Job>,
    /// The parts `task:<task>`.
    pub tasks: BTreeMap<TaskId, Task>,
    /// The parts `done:<shard>`.
    pub shards: BTreeMap<ShardId, Shard>,
}

/// The job table. Every read is strongly consistent.
#[async_trait]
pub trait Table: Send + Sync {
    /// The part `job`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError>;

    /// The part `task:<task>`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError>;

    /// The part `input`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError>;

    /// The part `done:<shard>`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError>;

    /// The parts `done:<shard>` of one step's generation, in one query.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError>;

    /// All parts of a job, in one query.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError>;

    /// A pipeline by its hash.
    ///
    /// # Errors
    /// [`PortError`]; [`PortErrorKind::Damaged`] when its document does not have that hash.
    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError>;

    /// Keeps a pipeline under its hash, if it is not there; the same one again is no error.
    ///
    /// # Errors
    /// [`PortError`].
    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError>;

    /// Carries out one conditional write; what it means is [`qsketch_core::write::apply`].
    ///
    /// A refusal is no error: it brings the part as it is now.
    ///
    /// # Errors
    /// [`PortError`]; whether it was written is then not known.
    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError>;
}

/// A job's place in the list of its tenant, which is sorted by when a job was taken in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it was taken in.
    pub created_at: Time,
    /// The job.
    pub job: JobId,
}

/// A question for a tenant's jobs of one UTC day, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayPage {
    /// Whose jobs.
    pub tenant: Tenant,
    /// The earliest time at which they were taken in.
    pub since: Time,
    /// The latest such time; it names the day, and `since` lies in it too.
    pub until: Time,
    /// The place after which the answer begins: a place of an earlier answer, not later than `until`.
    pub after: Option<Place>,
    /// The most places, 1 to [`LOAD_MAX`].
    pub most: usize,
}

/// The answer to a [`DayPage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The places, newest first. Jobs of the same millisecond stand in an order of the store's own, which stays.
    pub places: Vec<Place>,
    /// Whether there may be more behind them.
    pub has_more: bool,
}

/// A job that is due to be looked after, and since when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// When it was to be looked after.
    pub check_at: Time,
    /// The job.
    pub job: JobId,
}

/// A question for the jobs of one shard of the index that are due, the longest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePage {
    /// The shard, of [`qsketch_core::parts::check_shards`].
    pub shard: String,
    /// The latest time at which they were to be looked after.
    pub until: Time,
    /// The job after which the answer begins: one of an earlier answer.
    pub after: Option<Due>,
    /// The most jobs, at least 1.
    pub most: usize,
}

/// The answer to a [`DuePage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dues {
    /// The jobs, the one that is due longest first.
    pub due: Vec<Due>,
    /// Whether there may be more behind them.
    pub has_more: bool,
}

/// The most jobs that one call loads.
///
/// # Source
/// DynamoDB API reference, `BatchGetItem`: up to 100 items; read 2026-11-26.
pub const LOAD_MAX: usize = 100;

/// Lists of jobs: by the index of tenants and days, never by a scan. What was written a moment ago may be missing, or
/// may be seen as it was before.
#[async_trait]
pub trait Lists: Send + Sync {
    /// A page of a tenant's jobs of one day.
    ///
    /// # Errors
    /// [`PortError`].
    async fn places(&self, page: &DayPage) -> Result<Places, PortError>;

    /// A page of the jobs of a shard that are due to be looked after.
    ///
    /// # Errors
    /// [`PortError`].
    async fn due(&self, page: &DuePage) -> Result<Dues, PortError>;

    /// The parts `job` of up to [`LOAD_MAX`] jobs, each once. One that is gone is not among them; one that can't be
    /// read does not keep the others back.
    ///
    /// # Errors
    /// [`PortError`].
    async fn jobs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Result<Job, PortError>>, PortError>;
}

/// The name of a queue, without what a deployment puts before it: `render-manim`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

impl QueueName {
    /// The queue of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Its dead-letter queue.
    #[must_use]
    pub fn dead(&self) -> Self {
        Self(format!("{}-dead", self.0))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The handle of one receipt of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's own id of the message.
    pub message_id: String,
    /// The handle of this receipt.
    pub receipt: Receipt,
    /// How often it has been received, this time included.
    pub receives: u32,
    /// The body.
    pub body: String,
    /// Its attributes: of a dead letter, why it is one.
    pub attributes: BTreeMap<String, String>,
    /// Whose it is, as its sender said.
    pub group: Option<String>,
    /// When it was sent, by the queue's clock, where that is known.
    pub sent_at: Option<Time>,
    /// For how long it is hidden from others, where the receiver asked for it; none where something else received it.
    pub hidden_for: Option<Duration>,
}

/// The attribute with the id of the message of which this one is a copy.
pub const ORIGINAL_ID: &str = "original_message_id";

impl Delivery {
    /// The id of the message that was first sent: a copy of it tells that as an attribute.
    #[must_use]
    pub fn original_id(&self) -> &str {
        self.attributes.get(ORIGINAL_ID).unwrap_or(&self.message_id)
    }
}

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The body.
    pub body: String,
    /// Attributes, such as the reason of a dead letter.
    pub attributes: BTreeMap<String, String>,
    /// Whose it is: what SQS shares a queue out by (its fair queues). It orders nothing.
    pub group: Option<String>,
}

impl Outgoing {
    /// A message without attributes, of nobody.
    #[must_use]
    pub fn new(body: String) -> Self {
        Self { body, attributes: BTreeMap::new(), group: None }
    }

    /// The message of a task, as this tenant's.
    #[must_use]
    pub fn task(message: &Message, tenant: &Tenant) -> Self {
        Self { group: Some(tenant.as_str().to_owned()), ..Self::new(message.body()) }
    }
}

/// The most messages of one call.
///
/// # Source
/// SQS API reference, `SendMessageBatch`, `DeleteMessageBatch`, `ReceiveMessage`, read 2026-11-22.
pub const BATCH_MAX: usize = 10;

/// The longest wait of one long poll.
///
/// # Source
/// SQS API reference, `ReceiveMessage`, `WaitTimeSeconds`, read 2026-11-22.
pub const POLL_WAIT_MAX: Duration = Duration::from_secs(20);

/// How much longer than the longest wait one poll may take before it counts as failed; it is not repeated by itself.
pub const POLL_GRACE: Duration = Duration::from_secs(5);

/// The longest time that a message can be hidden, counted from its receipt.
///
/// # Source
/// SQS API reference, `ChangeMessageVisibility`, read 2026-11-22.
pub const HIDE_MAX: Duration = Duration::from_secs(43_200);

/// What became of hiding a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// It is hidden for that long from now on.
    Hidden,
    /// The receipt is no longer valid. That is no loss: the lease tells who owns a task.
    Gone,
}

/// The queues.
#[async_trait]
pub trait Queues: Send + Sync {
    /// Receives up to `most` messages (1 to [`BATCH_MAX`]), waiting up to `wait` for the first one, and hides them from
    /// others for `hide`. Whole seconds, rounded up.
    ///
    /// # Errors
    /// [`PortError`].
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError>;

    /// Sends up to [`BATCH_MAX`] messages; the answers stand in their order.
    ///
    /// # Errors
    /// [`PortError`] when the whole call failed; whether anything was sent is then not known.
    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError>;

    /// Deletes up to [`BATCH_MAX`] messages. A receipt that is no longer valid is no error.
    ///
    /// # Errors
    /// [`PortError`].
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError>;

    /// Hides a received message from others for `hide` from now on: whole seconds, rounded up, at most [`HIDE_MAX`].
    /// Zero makes it visible at once.
    ///
    /// # Errors
    /// [`PortError`].
    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError>;

    /// About how many messages wait in a queue, and how many are being worked on.
    ///
    /// # Errors
    /// [`PortError`].
    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError>;
}

/// About how full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Depth {
    /// Messages that wait.
    pub visible: u64,
    /// Messages that somebody has received and not yet deleted.
    pub in_flight: u64,
}

/// What the store says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its content type.
    pub content_type: Option<String>,
    /// The SHA-256 of its content in hexadecimal, where the writer gave it.
    pub sha256: Option<String>,
}

/// The store of files. A key is written once and never overwritten with something else.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps these bytes under `key`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), PortError>;

    /// The bytes under `key`, at most `most`.
    ///
    /// # Errors
    /// [`PortError`]; [`PortErrorKind::TooLarge`] when there are more.
    async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, PortError>;

    /// Keeps a local file under `key`, with its SHA-256.
    ///
    /// # Errors
    /// [`PortError`].
    async fn upload(&self, key: &str, file: &Path, content_type: &str) -> Result<(), PortError>;

    /// Writes what is under `key` into a local file; its size in bytes, or none when there is nothing.
    ///
    /// # Errors
    /// [`PortError`].
    async fn download(&self, key: &str, file: &Path) -> Result<Option<u64>, PortError>;

    /// What is under `key`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn head(&self, key: &str) -> Result<Option<Stored>, PortError>;

    /// The keys that begin with `prefix`, in their order, at most `most`.
    ///
    /// # Errors
    /// [`PortError`].
    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<String>, PortError>;

    /// Where `key` is, for people and other programs: `s3://bucket/key`.
    fn location(&self, key: &str) -> String;
}

/// Deletes for good. No service has it: it is for the commands of an operator.
#[async_trait]
pub trait Eraser: Send + Sync {
    /// Deletes every file whose key begins with `prefix`; how many.
    ///
    /// # Errors
    /// [`PortError`]; some may be deleted then.
    async fn erase_files(&self, prefix: &str) -> Result<u64, PortError>;

    /// Deletes every part of a job, the part `job` last; how many.
    ///
    /// # Errors
    /// [`PortError`]; some may be deleted then, and the part `job` is not.
    async fn erase_parts(&self, job: &JobId) -> Result<u64, PortError>;
}

/// The clock.
pub trait Clock: Send + Sync {
    /// The time as it is now.
    fn now(&self) -> Time;

    /// A share of 1,000 for jitter, and other small draws: 0 to 999.
    fn draw(&self) -> u16;

    /// A new nonce of at least 80 random bits, as an owner's name.
    fn nonce(&self) -> String;

    /// How far it is off the clock of the other side, where that is known.
    fn offset(&self) -> Option<Offset> {
        None
    }
}
