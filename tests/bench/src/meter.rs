//! Ports that count and time every call, and tell when a job is done.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{Commit, Input, Job, JobId, Pipeline, Shard, ShardId, StepName, Task, TaskId, Write};
use qsketch_runtime::ports::{Depth, Hidden, Outgoing, Parts, Receipt};
use qsketch_runtime::{Delivery, PortError, Ports, QueueName, Queues, Table};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::prices::requests;

/// What was called, by kind: `table.claim`, `queues.receive` and so on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls by kind; a receive that brought nothing is `queues.receive-empty`.
    pub calls: BTreeMap<String, u64>,
    /// Messages that these calls carried, for the queues.
    pub messages: BTreeMap<String, u64>,
    /// As how many requests these calls are billed, for the queues.
    #[serde(default)]
    pub requests: BTreeMap<String, u64>,
}

impl Tally {
    /// Leaves one kind out.
    pub fn forget(&mut self, kind: &str) {
        for all in [&mut self.calls, &mut self.messages, &mut self.requests] {
            all.remove(kind);
        }
    }
}

/// What came since `before`; kinds of which none came are left out.
impl core::ops::Sub<&Self> for Tally {
    type Output = Self;

    fn sub(self, before: &Self) -> Self {
        let since = |now: BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let since = |(kind, sum): (String, u64)| {
                let before = before.get(&kind).copied().unwrap_or_default();
                (sum > before).then(|| (kind, sum - before))
            };
            now.into_iter().filter_map(since).collect()
        };
        Self {
            calls: since(self.calls, &before.calls),
            messages: since(self.messages, &before.messages),
            requests: since(self.requests, &before.requests),
        }
    }
}

/// Whether the times of every call are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// They are only counted.
    Off,
    /// Their times are kept.
    On,
}

/// One call, in microseconds since the meter began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedCall {
    /// Its kind.
    pub kind: String,
    /// The part or the queue.
    pub target: String,
    /// When it began.
    pub began_micros: u64,
    /// When its answer was there.
    pub ended_micros: u64,
}

#[derive(Default)]
struct State {
    tally: Tally,
    calls: Option<Vec<TimedCall>>,
    waiting: HashMap<JobId, oneshot::Sender<Instant>>,
}

/// Counts what goes through its ports.
pub struct Meter {
    began: Instant,
    state: Mutex<State>,
}

impl Meter {
    /// A meter from now on.
    #[must_use]
    pub fn new(tracing: Tracing) -> Arc<Self> {
        let state = State { calls: (tracing == Tracing::On).then(Vec::new), ..State::default() };
        Arc::new(Self { began: Instant::now(), state: Mutex::new(state) })
    }

    /// The same ports, counted.
    #[must_use]
    pub fn around(self: &Arc<Self>, ports: &Ports) -> Ports {
        Ports {
            table: Arc::new(MeteredTable { meter: Arc::clone(self), inner: Arc::clone(&ports.table) }),
            queues: Arc::new(MeteredQueues { meter: Arc::clone(self), inner: Arc::clone(&ports.queues) }),
            lists: Arc::clone(&ports.lists),
            rosters: Arc::clone(&ports.rosters),
            turns: Arc::clone(&ports.turns),
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
        }
    }

    /// Resolves when the finalizer of this job is recorded.
    pub fn done(&self, job: JobId) -> oneshot::Receiver<Instant> {
        let (tell, told) = oneshot::channel();
        self.state().waiting.insert(job, tell);
        told
    }

    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    /// The calls that overlap this span, in the order in which they began; empty without tracing.
    #[must_use]
    pub fn calls_between(&self, from: Instant, to: Instant) -> Vec<TimedCall> {
        let (from, to) = (self.micros(from), self.micros(to));
        let state = self.state();
        let mut calls: Vec<_> = state
            .calls
            .iter()
            .flatten()
            .filter(|call| call.ended_micros >= from && call.began_micros <= to)
            .map(|call| TimedCall {
                began_micros: call.began_micros.saturating_sub(from),
                ended_micros: call.ended_micros.saturating_sub(from),
                ..call.clone()
            })
            .collect();
        calls.sort_by_key(|call| (call.began_micros, call.ended_micros));
        calls
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    fn count(&self, kind: String, target: String, began: Instant, carried: Option<Carried>) {
        let (began_micros, ended_micros) = (self.micros(began), self.micros(Instant::now()));
        let mut state = self.state();
        *state.tally.calls.entry(kind.clone()).or_default() += 1;
        if let Some(Carried { messages, bytes }) = carried {
            *state.tally.requests.entry(kind.clone()).or_default() += requests(bytes);
            if messages > 0 {
                *state.tally.messages.entry(kind.clone()).or_default() += messages;
            }
        }
        if let Some(calls) = &mut state.calls {
            calls.push(TimedCall { kind, target, began_micros, ended_micros });
        }
    }

    fn tell(&self, job: &JobId) {
        if let Some(tell) = self.state().waiting.remove(job) {
            // Nobody waits any more when the run was broken off.
            let _ = tell.send(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call of the queues carried.
#[derive(Clone, Copy, Default)]
struct Carried {
    messages: u64,
    bytes: u64,
}

impl Carried {
    fn bodies<'a>(bodies: impl Iterator<Item = &'a str>) -> Self {
        bodies.fold(Self::default(), |sum, body| Self {
            messages: sum.messages + 1,
            bytes: sum.bytes + body.len() as u64,
        })
    }

    const fn receipts(count: usize) -> Self {
        Self { messages: count as u64, bytes: 0 }
    }
}

struct MeteredTable {
    meter: Arc<Meter>,
    inner: Arc<dyn Table>,
}

impl MeteredTable {
    async fn call<T: Send>(&self, kind: &str, target: &str, call: impl Future<Output = T> + Send) -> T {
        let began = Instant::now();
        let answer = call.await;
        self.meter.count(format!("table.{kind}"), target.to_owned(), began, None);
        answer
    }
}

#[async_trait]
impl Table for MeteredTable {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.call("load-job", "job", self.inner.load_job(job)).await
    }

    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        self.call("load-task", &format!("task:{task}"), self.inner.load_task(job, task)).await
    }

    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.call("load-input", "input", self.inner.load_input(job)).await
    }

    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        self.call("load-shard", &format!("done:{shard}"), self.inner.load_shard(job, shard)).await
    }

    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        self.call("load-shards", &format!("done:{step}"), self.inner.load_shards(job, step, generation)).await
    }

    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.call("load-parts", "*", self.inner.load_parts(job)).await
    }

    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        self.call("load-pipeline", "pipeline", self.inner.load_pipeline(hash)).await
    }

    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        self.call("keep-pipeline", "pipeline", self.inner.keep_pipeline(pipeline)).await
    }

    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        let target = match write {
            Write::CreateInput(_) => "input".to_owned(),
            Write::CreateJob(_)
            | Write::Fold { .. }
            | Write::Close { .. }
            | Write::Reopen { .. }
            | Write::Pause { .. }
            | Write::Start(_)
            | Write::Withdraw { .. }
            | Write::Expire { .. }
            | Write::Issue { .. }
            | Write::Redeem { .. }
            | Write::Look { .. } => "job".to_owned(),
            Write::RecordElement { shard, element, .. } | Write::Bury { shard, element, .. } => {
                format!("{}#{element}", shard.step())
            }
            Write::Task { task, .. } | Write::Record { task, .. } | Write::RecordFinal { task, .. } => task.to_string(),
        };
        let commit = self.call(write.kind(), &target, self.inner.commit(job, write)).await?;
        if matches!((&commit, write), (Commit::Written(_), Write::RecordFinal { .. })) {
            self.meter.tell(job);
        }
        Ok(commit)
    }
}

struct MeteredQueues {
    meter: Arc<Meter>,
    inner: Arc<dyn Queues>,
}

impl MeteredQueues {
    fn count(&self, kind: &str, queue: &QueueName, carried: Carried, began: Instant) {
        self.meter.count(format!("queues.{kind}"), queue.as_str().to_owned(), began, Some(carried));
    }
}

#[async_trait]
impl Queues for MeteredQueues {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let began = Instant::now();
        let deliveries = self.inner.receive(queue, most, wait, hide).await?;
        let kind = if deliveries.is_empty() { "receive-empty" } else { "receive" };
        self.count(kind, queue, Carried::bodies(deliveries.iter().map(|delivery| &*delivery.body)), began);
        Ok(deliveries)
    }

    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        let began = Instant::now();
        let answer = self.inner.send(queue, messages).await;
        self.count("send", queue, Carried::bodies(messages.iter().map(|message| &*message.body)), began);
        answer
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        let began = Instant::now();
        let answer = self.inner.delete(queue, receipts).await;
        self.count("delete", queue, Carried::receipts(receipts.len()), began);
        answer
    }

    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        let began = Instant::now();
        let answer = self.inner.hide(queue, receipt, hide).await;
        self.count("hide", queue, Carried::receipts(1), began);
        answer
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        let began = Instant::now();
        let answer = self.inner.depth(queue).await;
        self.count("depth", queue, Carried::receipts(0), began);
        answer
    }
}
