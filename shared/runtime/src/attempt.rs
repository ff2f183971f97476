//! One attempt at a task, as the code that does the work sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::ids::Which;
use qsketch_core::parts::Progress;
use qsketch_core::rate::Standing;
use qsketch_core::{
    Closing, Done, Failure, Input, Job, Pipeline, Shard, ShardId, SignalName, StepName, TaskId, Time, route,
};
use tokio::sync::watch;

use crate::batch::Outbox;
use crate::ports::{Outgoing, PortError, PortErrorKind, Ports, QueueName, Remedy};
use crate::process::{Announcer, ToolLog};

/// The name of the file that keeps the tools' output of an attempt.
pub const LOG_FILE: &str = "log.txt";

/// Does the work of a step.
///
/// Its future may be dropped at any point: when the attempt times out, loses its task, or the worker is told to stop.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does the work of one attempt.
    ///
    /// # Errors
    /// [`Failure`] with its remedy.
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure>;
}

/// What an attempt is given.
pub struct Attempt {
    pub(crate) ports: Ports,
    pub(crate) outbox: Outbox,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) job: Job,
    pub(crate) task: TaskId,
    pub(crate) number: u32,
    pub(crate) is_unclaimed: bool,
    pub(crate) progress: watch::Sender<Option<Progress>>,
    pub(crate) log: ToolLog,
    pub(crate) announcer: Announcer,
    pub(crate) scratch: Scratch,
    /// With which standing it asks for its turn at a provider.
    pub(crate) standing: Standing,
    /// Whether it has had one.
    pub(crate) has_had_turn: AtomicBool,
    /// The shards that were read so far.
    pub(crate) shards: tokio::sync::Mutex<BTreeMap<ShardId, Shard>>,
}

impl Attempt {
    /// The job as it was when the attempt began.
    #[must_use]
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The task.
    #[must_use]
    pub const fn task(&self) -> &TaskId {
        &self.task
    }

    /// The attempt's number, from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Which element of the list this is, for a mapped step.
    #[must_use]
    pub const fn index(&self) -> Option<u32> {
        match self.task.which() {
            Which::Element(index) => Some(index),
            Which::Only | Which::Closing(_) => None,
        }
    }

    /// The closing that this finalizes, for the finalizer.
    #[must_use]
    pub fn closing(&self) -> Option<(u32, &Closing)> {
        match self.task.which() {
            Which::Closing(number) => self.job.closings.get(number as usize).map(|closing| (number, closing)),
            Which::Only | Which::Element(_) => None,
        }
    }

    /// The tasks of an earlier step.
    #[must_use]
    pub fn tasks_of(&self, step: &StepName) -> Vec<TaskId> {
        let step = self.pipeline.step(step);
        step.and_then(|step| route::tasks_of(step, &self.job)).unwrap_or_default()
    }

    /// The time as it is now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.ports.clock.now()
    }

    /// The validated submission of the job.
    ///
    /// # Errors
    /// [`Failure`] when it can't be read.
    pub async fn input(&self) -> Result<Input, Failure> {
        let input = self.ports.table.load_input(&self.job.job_id).await.map_err(|error| failure_of(&error))?;
        input.ok_or_else(|| Failure::fail("NoInput", "the job has no part `input`"))
    }

    /// What came with the signal that a wait of this job ended by, as JSON. None where nothing did, where the wait is not
    /// over, and where it ended by itself.
    #[must_use]
    pub fn signal(&self, name: &SignalName) -> Option<&str> {
        let step = self.pipeline.waiting_for(name)?;
        self.job.done.get(&TaskId::only(step.name.clone()))?.payload.as_deref()
    }

    /// The key of a file of this attempt.
    #[must_use]
    pub fn key(&self, file: &str) -> String {
        key(self.job.job_id.as_str(), &self.task, self.number, file)
    }

    /// The record of an earlier task. That of an element of a wide step is read from its shard, once per attempt.
    ///
    /// # Errors
    /// [`Failure`] when that task is not recorded, or its shard can't be read.
    pub async fn record_of(&self, task: &TaskId) -> Result<Done, Failure> {
        let recorded = match route::span_of(&self.pipeline, task, &self.job) {
            None => self.job.done.get(task).cloned(),
            Some(span) => {
                let mut known = self.shards.lock().await;
                if !known.contains_key(&span.shard) {
                    let shard = self.ports.table.load_shard(&self.job.job_id, &span.shard).await;
                    known.extend(shard.map_err(|error| failure_of(&error))?.map(|shard| (span.shard.clone(), shard)));
                }
                route::record_of(&self.pipeline, task, &self.job, |shard| known.get(shard)).cloned()
            }
        };
        recorded.ok_or_else(|| Failure::fail("NotRecorded", format!("task {task} is not recorded")))
    }

    /// The records of all tasks of an earlier step, in their order. Those of a wide step are read by one query.
    ///
    /// # Errors
    /// [`Failure`] when one is not recorded, or they can't be read.
    pub async fn records_of(&self, step: &StepName) -> Result<Vec<(TaskId, Done)>, Failure> {
        let first = self.pipeline.step(step).and_then(|step| route::spans_of(&self.pipeline, step, &self.job).next());
        if let Some(span) = first {
            let read = self.ports.table.load_shards(&self.job.job_id, step, span.shard.generation()).await;
            self.shards.lock().await.extend(read.map_err(|error| failure_of(&error))?);
        }
        let mut records = Vec::new();
        for task in self.tasks_of(step) {
            let done = self.record_of(&task).await?;
            records.push((task, done));
        }
        Ok(records)
    }

    /// The key of a file of the attempt that won an earlier task.
    ///
    /// # Errors
    /// [`Failure`] when that task is not recorded.
    pub async fn key_of(&self, task: &TaskId, file: &str) -> Result<String, Failure> {
        let done = self.record_of(task).await?;
        Ok(key(self.job.job_id.as_str(), task, done.attempt, file))
    }

    /// The key of a file that this attempt may keep: two attempts without a claim have the same keys.
    fn own_key(&self, file: &str) -> Result<String, Failure> {
        if self.is_unclaimed {
            let reason = format!("file {file} can't be kept: step {} is unclaimed", self.task.step());
            return Err(Failure::fail("UnclaimedOutput", reason));
        }
        Ok(self.key(file))
    }

    /// Keeps these bytes as a file of this attempt; its key.
    ///
    /// # Errors
    /// [`Failure`] when the store fails.
    pub async fn put(&self, file: &str, bytes: Vec<u8>, content_type: &str) -> Result<String, Failure> {
        let key = self.own_key(file)?;
        self.ports.store.put(&key, bytes, content_type).await.map_err(|error| failure_of(&error))?;
        Ok(key)
    }

    /// Keeps a local file as a file of this attempt; its key.
    ///
    /// # Errors
    /// [`Failure`] when the store fails.
    pub async fn upload(&self, file: &str, from: &Path, content_type: &str) -> Result<String, Failure> {
        let key = self.own_key(file)?;
        self.ports.store.upload(&key, from, content_type).await.map_err(|error| failure_of(&error))?;
        Ok(key)
    }

    /// The bytes of a file of the attempt that won an earlier task.
    ///
    /// # Errors
    /// [`Failure`] when it is not there, too large, or the store fails.
    pub async fn get(&self, task: &TaskId, file: &str, most: u64) -> Result<Vec<u8>, Failure> {
        let key = self.key_of(task, file).await?;
        let bytes = self.ports.store.get(&key, most).await.map_err(|error| failure_of(&error))?;
        bytes.ok_or_else(|| lost(&key))
    }

    /// Writes a file of the attempt that won an earlier task into a local one.
    ///
    /// # Errors
    /// [`Failure`] when it is not there or the store fails.
    pub async fn download(&self, task: &TaskId, file: &str, to: &Path) -> Result<u64, Failure> {
        let key = self.key_of(task, file).await?;
        let bytes = self.ports.store.download(&key, to).await.map_err(|error| failure_of(&error))?;
        bytes.ok_or_else(|| lost(&key))
    }

    /// Everything outside, for what has no shorter way here.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Sends a message that is not part of the pipeline, such as a notification.
    ///
    /// # Errors
    /// [`Failure`] when it could not be sent; it may have been sent all the same.
    pub async fn send(&self, queue: &QueueName, message: Outgoing) -> Result<(), Failure> {
        self.outbox.send(queue, message).await.map_err(|error| failure_of(&error))
    }

    /// Reports how far the attempt is; the next heartbeat carries it.
    pub fn report(&self, permille: u16, note: &str) {
        let note = note.chars().take(NOTE_CHARS_MAX).collect();
        self.progress.send_replace(Some(Progress { permille: permille.min(1_000), note }));
    }

    /// The log of this attempt; it is kept under [`LOG_FILE`] when the attempt ends.
    #[must_use]
    pub const fn log(&self) -> &ToolLog {
        &self.log
    }

    /// Tells the parent of process groups.
    #[must_use]
    pub const fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// A folder for this attempt's own files; it is removed when the attempt ends.
    ///
    /// # Errors
    /// [`Failure`] when it can't be made.
    pub async fn scratch(&self) -> Result<&Path, Failure> {
        let path = self.scratch.path.as_path();
        self.scratch.is_made.store(true, core::sync::atomic::Ordering::Relaxed);
        let failed = |error| Failure::retry("NoScratch", format!("folder {} can't be made: {error}", path.display()));
        tokio::fs::create_dir_all(path).await.map_err(failed)?;
        Ok(path)
    }
}

/// The key of a file of an attempt: written once, never overwritten.
#[must_use]
pub fn key(job: &str, task: &TaskId, attempt: u32, file: &str) -> String {
    format!("jobs/{job}/{task}/{attempt}/{file}")
}

/// The failure that an error of the outside world makes of an attempt.
#[must_use]
pub fn failure_of(error: &PortError) -> Failure {
    let error_type = match error.kind {
        PortErrorKind::Throttled => "Throttled",
        PortErrorKind::Unavailable => "Unavailable",
        PortErrorKind::Denied => "Denied",
        PortErrorKind::Missing => "Missing",
        PortErrorKind::Invalid => "Invalid",
        PortErrorKind::Damaged => "Damaged",
        PortErrorKind::Newer => "Newer",
        PortErrorKind::TooLarge => "TooLarge",
    };
    match error.remedy() {
        Remedy::Retry | Remedy::Stop => Failure::retry(error_type, error.chain()),
        Remedy::Fail => Failure::fail(error_type, error.chain()),
    }
}

fn lost(key: &str) -> Failure {
    Failure::fail("OutputLost", format!("file {key} is recorded but not in the store"))
}

/// The longest note of a progress report, in characters.
const NOTE_CHARS_MAX: usize = 60;

/// A folder that is removed when this is dropped.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    /// Whether anybody has asked for it.
    pub(crate) is_made: core::sync::atomic::AtomicBool,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if *self.is_made.get_mut()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "a scratch folder could not be removed");
        }
    }
}
