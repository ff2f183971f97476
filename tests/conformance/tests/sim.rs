//! The suite on the simulated world, and on worlds that are broken on purpose: it must catch them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use qsketch_conformance::{World, all_cases, check, failures, queue_cases, store_cases, table_cases};
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::rate::{Take, Taken};
use qsketch_core::{
    Commit, Input, Job, JobId, Part, Pipeline, Provider, Shard, ShardId, StepName, Task, TaskId, Write,
};
use qsketch_runtime::ports::{DayPage, Depth, DuePage, Dues, Hidden, Outgoing, Parts, Places, Receipt, Stored};
use qsketch_runtime::{Delivery, Lists, PortError, Ports, QueueName, Queues, Store, Table, Turns};
use qsketch_sim::Sim;

fn world(sim: &Sim) -> World {
    let (ports, missing_queue) = (sim.ports(), QueueName::new("missing"));
    sim.remove_queue(&missing_queue);
    let clock = Arc::clone(&ports.clock);
    let make_queue = Arc::new(move || {
        let queue = QueueName::new(&clock.nonce());
        Box::pin(async move { Ok(queue) }) as futures_util::future::BoxFuture<'static, _>
    });
    World { ports, eraser: sim.eraser("eraser"), make_queue, missing_queue }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_table_conforms() -> Result<()> {
    check(&world(&Sim::new(1)), table_cases()).await
}

#[tokio::test(start_paused = true)]
async fn the_simulated_queues_conform() -> Result<()> {
    check(&world(&Sim::new(1)), queue_cases()).await
}

#[tokio::test(start_paused = true)]
async fn the_simulated_store_conforms() -> Result<()> {
    check(&world(&Sim::new(1)), store_cases()).await
}

#[tokio::test(start_paused = true)]
async fn all_of_it_conforms_with_latency_too() -> Result<()> {
    let sim = Sim::new(2);
    sim.set_latency(Duration::from_millis(15));
    check(&world(&sim), all_cases()).await
}

/// Ports of a simulated world, broken in one way.
struct Broken {
    inner: Ports,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    /// A refusal is told as a success.
    SaysWritten,
    /// A refusal does not bring the part.
    ForgetsTheWinner,
    /// A task reads back without its progress.
    DropsProgress,
    /// A page of a list begins at the list's beginning, whatever it was to follow.
    RepeatsAPlace,
    /// The last job of a batch is not loaded.
    LoadsFewer,
    /// A refused take is told as written.
    GrantsRefused,
    /// Hiding does nothing.
    NeverHides,
    /// Deleting does nothing.
    NeverDeletes,
    /// A file's last byte is lost.
    CutsFiles,
}

#[async_trait]
impl Lists for Broken {
    async fn places(&self, page: &DayPage) -> Result<Places, PortError> {
        let mut found = self.inner.lists.places(page).await?;
        if self.how == How::RepeatsAPlace {
            found = self.inner.lists.places(&DayPage { after: None, ..page.clone() }).await?;
        }
        Ok(found)
    }
    async fn due(&self, page: &DuePage) -> Result<Dues, PortError> {
        let known = if self.how == How::RepeatsAPlace { DuePage { after: None, ..page.clone() } } else { page.clone() };
        self.inner.lists.due(&known).await
    }
    async fn jobs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Result<Job, PortError>>, PortError> {
        let known = if self.how == How::LoadsFewer { &jobs[..jobs.len().saturating_sub(1)] } else { jobs };
        self.inner.lists.jobs(known).await
    }
}

#[async_trait]
impl Table for Broken {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.inner.table.load_job(job).await
    }
    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        let task = self.inner.table.load_task(job, task).await?;
        Ok(task.map(|task| if self.how == How::DropsProgress { Task { progress: None, ..task } } else { task }))
    }
    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.inner.table.load_input(job).await
    }
    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        self.inner.table.load_shard(job, shard).await
    }
    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        self.inner.table.load_shards(job, step, generation).await
    }
    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.inner.table.load_parts(job).await
    }
    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        self.inner.table.load_pipeline(hash).await
    }
    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        self.inner.table.keep_pipeline(pipeline).await
    }
    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        Ok(match (self.inner.table.commit(job, write).await?, self.how) {
            (Commit::Overtaken(Some(Part::Task(task))), How::SaysWritten) => Commit::Written(Part::Task(task)),
            (Commit::Overtaken(_), How::ForgetsTheWinner) => Commit::Overtaken(None),
            (commit, _) => commit,
        })
    }
}

#[async_trait]
impl Turns for Broken {
    async fn take(&self, provider: &Provider, take: &Take) -> Result<Taken, PortError> {
        Ok(match (self.inner.turns.take(provider, take).await?, self.how) {
            (Taken::Overtaken(Some(cell)), How::GrantsRefused) => Taken::Written(cell),
            (taken, _) => taken,
        })
    }
}

#[async_trait]
impl Queues for Broken {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        self.inner.queues.receive(queue, most, wait, hide).await
    }
    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        self.inner.queues.send(queue, messages).await
    }
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        if self.how == How::NeverDeletes { Ok(()) } else { self.inner.queues.delete(queue, receipts).await }
    }
    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        if self.how == How::NeverHides {
            return Ok(Hidden::Hidden);
        }
        self.inner.queues.hide(queue, receipt, hide).await
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        self.inner.queues.depth(queue).await
    }
}

#[async_trait]
impl Store for Broken {
    async fn put(&self, key: &str, mut bytes: Vec<u8>, content_type: &str) -> Result<(), PortError> {
        if self.how == How::CutsFiles {
            bytes.pop();
        }
        self.inner.store.put(key, bytes, content_type).await
    }
    async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.store.get(key, most).await
    }
    async fn upload(&self, key: &str, file: &Path, content_type: &str) -> Result<(), PortError> {
        self.inner.store.upload(key, file, content_type).await
    }
    async fn download(&self, key: &str, file: &Path) -> Result<Option<u64>, PortError> {
        self.inner.store.download(key, file).await
    }
    async fn head(&self, key: &str) -> Result<Option<Stored>, PortError> {
        self.inner.store.head(key).await
    }
    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<String>, PortError> {
        self.inner.store.list(prefix, most).await
    }
    fn location(&self, key: &str) -> String {
        self.inner.store.location(key)
    }
}

#[tokio::test(start_paused = true)]
async fn every_broken_world_is_caught() {
    let expected = [
        (How::SaysWritten, "of_sixteen_first_claims_one_wins"),
        (How::ForgetsTheWinner, "a_part_is_created_once_and_the_first_one_stays"),
        (How::DropsProgress, "a_full_task_and_a_bare_one_read_back_as_written"),
        (How::RepeatsAPlace, "pages_of_every_size_bring_each_job_once_also_those_of_one_millisecond"),
        (How::LoadsFewer, "jobs_are_loaded_by_the_hundred_and_those_that_are_gone_are_left_out"),
        (How::GrantsRefused, "of_takes_at_once_as_many_are_granted_as_fit_and_each_has_a_turn_of_its_own"),
        (How::NeverHides, "hiding_again_counts_from_now"),
        (How::NeverDeletes, "a_message_comes_as_it_was_sent_and_is_gone_once_deleted"),
        (How::CutsFiles, "bytes_come_back_as_they_were_kept"),
    ];
    for (how, case) in expected {
        let whole = world(&Sim::new(1));
        let broken = Arc::new(Broken { inner: whole.ports.clone(), how });
        let (clock, rosters) = (Arc::clone(&whole.ports.clock), Arc::clone(&whole.ports.rosters));
        let ports = Ports {
            lists: broken.clone(),
            rosters,
            turns: broken.clone(),
            table: broken.clone(),
            queues: broken.clone(),
            store: broken,
            clock,
        };
        let failed = failures(&World { ports, ..whole }, all_cases()).await;
        assert!(failed.iter().any(|failure| failure.starts_with(case)), "{how:?} was not caught: {failed:?}");
    }
}
