//! Duplicates, reordering, delays, lost replies, errors and crashes: the promises hold under all of them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::write::apply;
use qsketch_core::{
    Commit, Input, Job, JobId, JobStatus, Part, Pipeline, Shard, ShardId, StepName, Task, TaskId, Write,
};
use qsketch_runtime::ports::{Depth, Hidden, Outgoing, Parts, Receipt};
use qsketch_runtime::{Delivery, PortError, Ports, QueueName, Queues, Table};
use qsketch_sim::{Disorder, Fault, Order};

use crate::stage::{Play, Running, Stage, TASKS, status};

/// How often the shell tries a call of the table before its drive gives up.
const CALL_TRIES: usize = 5;

/// How many seeds each kind of disorder is tried with.
const SEEDS: u64 = 300;

fn makes(seed: u64) -> Stage {
    Stage::new(seed, |_, _| Play::Make(Duration::from_millis(300)))
}

/// The stages that every promise holds on: jobs are loaded, travel in messages, or are handed on within a process.
const KINDS: [fn(u64) -> Stage; 3] = [makes, |seed| makes(seed).light(), |seed| makes(seed).crew()];

/// A stage of each kind for each seed.
fn stages() -> impl Iterator<Item = (u64, Stage)> {
    (0..SEEDS).flat_map(|seed| KINDS.iter().map(move |kind| (seed, kind(seed))))
}

/// What must hold of a job that closed, however it closed.
fn check(stage: &Stage, id: &JobId) {
    stage.check_outputs(id);
    assert_eq!(stage.notifications().len(), 1, "one event, however often it was sent\n{}", stage.log());
}

pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

/// Runs one job on two workers; the number of attempts that were charged.
async fn one_job(stage: &Stage, seed: u64) -> u32 {
    let workers = [stage.worker("w1"), stage.worker("w2")];
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    // Let duplicates and late messages come in as well: they must change nothing.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.sim.parts(&id).job, parts.job, "seed {seed}: a closed job stays as it is");
    assert_eq!(status(&parts), JobStatus::Completed, "seed {seed}\n{}", stage.log());
    check(stage, &id);
    for worker in workers {
        worker.stop().await;
    }
    parts.tasks.values().map(|task| task.charged).sum()
}

/// How many claims were written, of which nobody learned: the reply was lost, and every repetition failed until the drive
/// gave up. Like the claims of a crashed process they lapse, and that is charged.
fn given_up(stage: &Stage) -> u32 {
    let mut runs: BTreeMap<(String, String), Vec<Fault>> = BTreeMap::new();
    let mut lost = 0;
    for call in stage.sim.calls().into_iter().filter(|call| call.kind == "claim") {
        let run = runs.entry((call.process, call.target)).or_default();
        match call.fault {
            Some(fault) => run.push(fault),
            None => run.clear(),
        }
        if run.len() == CALL_TRIES {
            lost += u32::from(run.contains(&Fault::LostReply));
            run.clear();
        }
    }
    lost
}

#[test]
fn duplicates_reordering_and_delays_change_nothing() {
    for (seed, stage) in stages() {
        run(async {
            stage.sim.set_disorder(Disorder {
                lost_reply_permille: 0,
                unavailable_permille: 0,
                throttled_permille: 0,
                partial_permille: 0,
                ..Disorder::wild()
            });
            let charged = one_job(&stage, seed).await;
            assert_eq!(charged, 0, "seed {seed}");
            for task in TASKS {
                assert_eq!(stage.played(task).len(), 1, "seed {seed}: {task} ran again\n{}", stage.log());
            }
        });
    }
}

#[test]
fn a_wild_world_closes_every_job_once_with_its_outputs_unchanged() {
    let mut with_a_loss = 0;
    for (seed, stage) in stages() {
        run(async {
            stage.sim.set_disorder(Disorder::wild());
            let (charged, most) = (one_job(&stage, seed).await, given_up(&stage));
            assert!(charged <= most, "seed {seed}: an error of a call must not cost an attempt\n{}", stage.log());
            with_a_loss += u64::from(most > 0);
        });
    }
    // Rare: all that it excuses is what nobody can tell from a crash.
    assert!(with_a_loss * 100 <= SEEDS, "{with_a_loss} worlds lost a claim");
}

/// Keeps two workers running; who crashes is replaced.
pub async fn keep_running(stage: &Stage, until: impl Future<Output = ()>) {
    let crashed = async {
        let mut workers: Vec<Running> = ["w1", "w2"].iter().map(|name| stage.worker(name)).collect();
        for number in 3.. {
            let place = {
                let (first, second) = (workers[0].process.clone(), workers[1].process.clone());
                tokio::select! {
                    () = first.crashed() => 0,
                    () = second.crashed() => 1,
                }
            };
            let fresh = stage.worker(&format!("w{number}"));
            core::mem::replace(&mut workers[place], fresh).crash();
        }
    };
    tokio::select! {
        () = until => {}
        () = crashed => {}
    }
}

/// Runs one job on workers that crash, and lets what comes late come in as well: its id, and its parts then.
pub async fn through_crashes(stage: &Stage) -> (JobId, Parts) {
    let id = stage.submit("j").await;
    keep_running(stage, async {
        stage.until_over(&id).await;
        tokio::time::sleep(Duration::from_secs(300)).await;
    })
    .await;
    let parts = stage.sim.parts(&id);
    (id, parts)
}

#[test]
fn workers_that_crash_at_any_call_lose_no_job() {
    let mut completed = 0;
    for (seed, stage) in stages() {
        run(async {
            stage.sim.set_disorder(Disorder { crash_permille: 10, ..Disorder::wild() });
            let (id, parts) = through_crashes(&stage).await;
            stage.check_outputs(&id);
            assert!(stage.notifications().len() <= 1, "seed {seed}\n{}", stage.log());
            // A task whose every attempt died with its worker has failed, and the job says so.
            let died = parts.tasks.values().any(|task| task.charged >= 2);
            match status(&parts) {
                JobStatus::Completed => completed += 1,
                JobStatus::TimedOut => assert!(died, "seed {seed}\n{}", stage.log()),
                other => panic!("seed {seed}: {other:?}\n{}", stage.log()),
            }
        });
    }
    let jobs = SEEDS * KINDS.len() as u64;
    assert!(completed * 100 >= jobs * 98, "only {completed} of {jobs} jobs completed");
}

#[test]
fn every_fault_at_every_call_of_a_job_is_survived() {
    KINDS.into_iter().for_each(survives_every_fault);
}

fn survives_every_fault(makes: fn(u64) -> Stage) {
    let quiet = |stage: &Stage| stage.sim.set_latency(Duration::from_millis(10));
    let calls = run(async {
        let stage = makes(1);
        quiet(&stage);
        one_job(&stage, 1).await;
        stage.sim.calls().len() as u64
    });
    assert!(calls > 25, "{calls}");
    for fault in Fault::ALL {
        for number in 0..calls {
            run(async {
                let stage = makes(1);
                quiet(&stage);
                stage.sim.fail_call(number, fault);
                let id = stage.submit("j").await;
                keep_running(&stage, async {
                    stage.until_notified(&id).await;
                })
                .await;
                let parts = stage.sim.parts(&id);
                assert_eq!(status(&parts), JobStatus::Completed, "{fault:?} at {number}\n{}", stage.log());
                check(&stage, &id);
                for task in TASKS {
                    let runs = stage.played(task).len();
                    assert!(runs <= 2, "{fault:?} at {number}: {task} ran {runs} times");
                }
            });
        }
    }
}

/// A world that is broken on purpose: the checks must see it.
pub struct Broken(pub Ports, pub How);

/// How a table is broken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Whoever claims is told that the task is its own.
    NoFence,
    /// A fold is told as written, and is not.
    LosesFolds,
}

#[async_trait]
impl Table for Broken {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.0.table.load_job(job).await
    }
    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        self.0.table.load_task(job, task).await
    }
    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.0.table.load_input(job).await
    }
    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        self.0.table.load_shard(job, shard).await
    }
    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        self.0.table.load_shards(job, step, generation).await
    }
    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.0.table.load_parts(job).await
    }
    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        self.0.table.load_pipeline(hash).await
    }
    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        self.0.table.keep_pipeline(pipeline).await
    }
    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        if let (Write::Fold { .. }, How::LosesFolds) = (write, self.1) {
            let part = self.0.table.load_job(job).await?.map(|job| Part::Job(Box::new(job)));
            return Ok(apply(write, part.as_ref()).map_or(Commit::Overtaken(part), Commit::Written));
        }
        let commit = self.0.table.commit(job, write).await?;
        Ok(match (commit, write, self.1) {
            (Commit::Overtaken(_), Write::Task { set, .. }, How::NoFence) => Commit::Written(Part::Task(set.clone())),
            (commit, ..) => commit,
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
        self.0.queues.receive(queue, most, wait, hide).await
    }
    /// Acknowledged first: the crash between acknowledging and sending loses what was to be sent.
    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        if queue.as_str() == "c" {
            return Ok(messages.iter().map(|_| Ok(())).collect());
        }
        self.0.queues.send(queue, messages).await
    }
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        self.0.queues.delete(queue, receipts).await
    }
    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        self.0.queues.hide(queue, receipt, hide).await
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        self.0.queues.depth(queue).await
    }
}

/// Whether one job under duplicates comes out as promised, on ports that are broken in some way.
fn holds(seed: u64, break_it: impl Fn(Ports) -> Ports) -> bool {
    run(async {
        let stage = makes(seed);
        stage.sim.set_disorder(Disorder { duplicate_permille: 500, order: Order::Drawn, ..Disorder::default() });
        let worker = stage.worker_on(&break_it(stage.sim.ports()));
        let id = stage.submit("j").await;
        let hour = Duration::from_secs(3_600);
        let closed = tokio::time::timeout(hour, stage.until_notified(&id)).await.is_ok();
        worker.stop().await;
        let once = TASKS.iter().all(|task| stage.played(task).len() == 1);
        closed && once && stage.sim.refused_keys().is_empty()
    })
}

#[test]
fn a_shell_without_a_fence_and_one_that_loses_a_send_are_caught() {
    assert!((0..10).all(|seed| holds(seed, |ports| ports)));
    let no_fence = |ports: Ports| Ports { table: Arc::new(Broken(ports.clone(), How::NoFence)), ..ports };
    assert!((0..10).any(|seed| !holds(seed, no_fence)), "without a fence a task runs twice");
    let loses = |ports: Ports| Ports { queues: Arc::new(Broken(ports.clone(), How::NoFence)), ..ports };
    assert!((0..10).all(|seed| !holds(seed, loses)), "without its send a job never closes");
}
