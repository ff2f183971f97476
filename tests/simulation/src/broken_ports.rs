//! Ports that are broken on purpose: each hands on all calls to the port that it wraps, and lies in one place.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{
    Commit, Footing, Input, Job, JobId, Part, Pipeline, Roster, RosterCommit, RosterWrite, Shard, ShardId, StepName,
    Task, TaskId, Tenant, Time, Write,
};
use qsketch_intake::INTAKE_QUEUE;
use qsketch_runtime::ports::{
    DayPage, Depth, DuePage, DueTenants, Dues, Hidden, Outgoing, Parts, Places, Receipt, Rosters, TenantPage,
};
use qsketch_runtime::{Delivery, Lists, PortError, QueueName, Queues, Table};
use qsketch_sim::Random;

use crate::broken::Broken;

/// Of how many messages [`Broken::SendsDropped`] drops one.
const DROPS_ONE_OF: u64 = 16;

/// Of how many loads [`Broken::StaleLoads`] answers one as the job was at the load before.
const STALE_ONE_OF: u64 = 3;

pub(crate) struct BrokenTable {
    pub(crate) inner: Arc<dyn Table>,
    pub(crate) how: Broken,
    /// Each job as it was when it was last loaded.
    pub(crate) known: Mutex<BTreeMap<JobId, Job>>,
    pub(crate) random: Mutex<Random>,
}

impl BrokenTable {
    fn stale(&self, job: Job) -> Job {
        let before = self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(job.job_id.clone(), job.clone());
        let is_stale = self.random.lock().unwrap_or_else(PoisonError::into_inner).under(STALE_ONE_OF) == 0;
        before.filter(|_| is_stale).unwrap_or(job)
    }

    fn lapsed(&self, mut task: Task) -> Task {
        if self.how == Broken::ClaimIgnoresLease
            && let Some(lease) = &mut task.lease
        {
            lease.until = Time(0);
        }
        task
    }
}

#[async_trait]
impl Table for BrokenTable {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        let loaded = self.inner.load_job(job).await?;
        Ok(if self.how == Broken::StaleLoads { loaded.map(|job| self.stale(job)) } else { loaded })
    }
    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        Ok(self.inner.load_task(job, task).await?.map(|task| self.lapsed(task)))
    }
    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.inner.load_input(job).await
    }
    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        self.inner.load_shard(job, shard).await
    }
    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        self.inner.load_shards(job, step, generation).await
    }
    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.inner.load_parts(job).await
    }
    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        self.inner.load_pipeline(hash).await
    }
    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        self.inner.keep_pipeline(pipeline).await
    }
    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        let mut write = write.clone();
        if let (Broken::RedriveKeepsRecords, Write::Reopen { set, .. }) = (self.how, &mut write)
            && let Some(job) = self.inner.load_job(job).await?
        {
            (set.done, set.folded) = (job.done, job.folded);
        }
        if let (Broken::DeafHeartbeat, Write::Task { footing: Footing::Mine { .. }, set, .. }) = (self.how, &write)
            && set.lease.is_some()
        {
            return Ok(Commit::Written(Part::Task(set.clone())));
        }
        Ok(match self.inner.commit(job, &write).await? {
            Commit::Overtaken(Some(Part::Task(task))) => {
                Commit::Overtaken(Some(Part::Task(Box::new(self.lapsed(*task)))))
            }
            commit => commit,
        })
    }
}

pub(crate) struct BrokenQueues {
    pub(crate) inner: Arc<dyn Queues>,
    pub(crate) how: Broken,
    pub(crate) random: Mutex<Random>,
    /// What [`Broken::SendsAfterDelete`] has told as sent.
    pub(crate) held: Mutex<Vec<(QueueName, Vec<Outgoing>)>>,
}

#[async_trait]
impl Queues for BrokenQueues {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let mut received = self.inner.receive(queue, most, wait, hide).await?;
        if self.how == Broken::AcknowledgeFirst && !received.is_empty() {
            let receipts: Vec<Receipt> = received.iter().map(|delivery| delivery.receipt.clone()).collect();
            self.inner.delete(queue, &receipts).await?;
        }
        if self.how == Broken::JobPerDelivery && queue.as_str() == INTAKE_QUEUE {
            received.iter_mut().for_each(|delivery| delivery.message_id = delivery.receipt.0.clone());
        }
        Ok(received)
    }
    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        let is_dropped = self.how == Broken::SendsDropped
            && self.random.lock().unwrap_or_else(PoisonError::into_inner).under(DROPS_ONE_OF) == 0;
        if self.how == Broken::SendsAfterDelete {
            let held = (queue.clone(), messages.to_vec());
            self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
        }
        if is_dropped || self.how == Broken::SendsAfterDelete {
            return Ok(messages.iter().map(|_| Ok(())).collect());
        }
        self.inner.send(queue, messages).await
    }
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        self.inner.delete(queue, receipts).await?;
        let held = core::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for (queue, messages) in held {
            self.inner.send(&queue, &messages).await?;
        }
        Ok(())
    }
    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        self.inner.hide(queue, receipt, hide).await
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        self.inner.depth(queue).await
    }
}

/// Lists in which every job is due.
pub(crate) struct BrokenLists(pub(crate) Arc<dyn Lists>);

#[async_trait]
impl Lists for BrokenLists {
    async fn places(&self, page: &DayPage) -> Result<Places, PortError> {
        self.0.places(page).await
    }
    async fn due(&self, page: &DuePage) -> Result<Dues, PortError> {
        self.0.due(&DuePage { until: Time(u64::MAX), ..page.clone() }).await
    }
    async fn jobs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Result<Job, PortError>>, PortError> {
        self.0.jobs(jobs).await
    }
}

/// A reconciler's rosters: none is ever due.
pub(crate) struct NoRosters;

#[async_trait]
impl Rosters for NoRosters {
    async fn load(&self, _: &Tenant) -> Result<Option<Roster>, PortError> {
        Ok(None)
    }

    async fn commit(&self, _: &Tenant, _: &RosterWrite) -> Result<RosterCommit, PortError> {
        Ok(RosterCommit::Overtaken(None))
    }

    async fn due(&self, _: &TenantPage) -> Result<DueTenants, PortError> {
        Ok(DueTenants::default())
    }
}
