//! The cases: each has a stack of its own.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use qsketch_core::JobId;
use qsketch_intake::INTAKE_QUEUE;
use qsketch_runtime::clock::SystemClock;
use qsketch_runtime::ports::BATCH_MAX;
use qsketch_runtime::{Clock as _, QueueName};

use super::{Bench, Measured};
use crate::graph::{CHECK, JOIN, MAKE, PLAN, Plan, TELL};
use crate::journal::{Journal, Tried};
use crate::processes::signal;
use crate::proxy::Weather;
use crate::slots::{Site, Slot};
use crate::stack::Deployment;
use crate::watch::Watch;
use crate::worker::{RECONCILER, TURN_VARIABLE};

/// The lease of a deployment: the default of its setting.
const LEASE: Duration = Duration::from_secs(30);

/// How many tasks a worker works on at once where many wait: all of a case.
const CONCURRENCY: usize = 64;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// The longest wait for anything beside the down time: a purge is mended after minutes.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Everything before and behind `make`: they are not what is measured.
const OTHERS: [&str; 5] = [INTAKE_QUEUE, PLAN, CHECK, JOIN, TELL];

/// A deployment of a case.
struct Case {
    name: &'static str,
    deployment: Deployment,
    site: Site,
    others: Vec<Slot>,
    slots: usize,
    jobs: usize,
}

impl Case {
    async fn start(bench: &Bench, name: &'static str) -> Result<Self> {
        let folder = bench.folder.join(name);
        let deployment = Deployment::start(folder.clone(), LEASE).await?;
        let (weather, watch) = (Arc::<Weather>::default(), Arc::<Watch>::default());
        let program = bench.program.clone();
        let site = Site { program, folder, broken: None, weather, watch, seed: 0, clock: None, is_apart: false };
        std::fs::create_dir_all(site.journal())?;
        let mut case = Self { name, deployment, site, others: Vec::new(), slots: 0, jobs: 0 };
        for service in OTHERS.into_iter().chain([RECONCILER]) {
            let slot = case.slot(service, CONCURRENCY).await?;
            case.others.push(slot);
        }
        Ok(case)
    }

    /// A worker that is started; it speaks to the stack without a proxy.
    async fn slot(&mut self, service: &'static str, concurrency: usize) -> Result<Slot> {
        let mut slot = Slot::new(&self.deployment, &self.site, self.slots, service).await?;
        self.slots += 1;
        slot.set("AWS_ENDPOINT_URL", self.deployment.endpoint.clone());
        slot.set("QSKETCH_CONCURRENCY", concurrency.to_string());
        slot.set(TURN_VARIABLE, qsketch_runtime::reconcile::PERIOD.as_secs().to_string());
        slot.start()?;
        Ok(slot)
    }

    /// A worker of `make` that is ready.
    async fn worker(&mut self, concurrency: usize) -> Result<Slot> {
        let slot = self.slot(MAKE, concurrency).await?;
        until(&format!("worker {} of {MAKE} to be ready", slot.number), || {
            Ok(slot.has_logged("\"ready\"").then_some(()))
        })
        .await?;
        Ok(slot)
    }

    /// Submits a job whose `make` does not end by itself in its first attempt.
    async fn submit(&mut self, count: usize) -> Result<Vec<JobId>> {
        let numbers = self.jobs..self.jobs + count;
        self.jobs += count;
        let ids: Vec<String> = numbers.map(|number| format!("{}-{}-{number}", Plan::Held, self.name)).collect();
        self.deployment.submit(&ids).await?;
        ids.into_iter().map(|id| Ok(JobId::try_from(id)?)).collect()
    }

    /// When an attempt at `make` of each of these jobs had begun, once all have.
    async fn begun(&self, jobs: &[JobId], attempt: u32) -> Result<BTreeMap<JobId, u64>> {
        let tried = |job: &JobId| anyhow::Ok(Tried { job: job.clone(), task: format!("{MAKE}#0").parse()?, attempt });
        let tried = jobs.iter().map(tried).collect::<Result<Vec<_>>>()?;
        let folder = self.site.journal();
        until(&format!("attempt {attempt} at {} jobs of case {}", jobs.len(), self.name), || {
            let journal = Journal::read(&folder)?;
            let begun = |tried: &Tried| Some((tried.job.clone(), *journal.begun.get(tried)?.first()?));
            Ok(tried.iter().map(begun).collect())
        })
        .await
    }

    /// Until the next attempt at each of these jobs is at work, from `since` on.
    async fn again(&self, jobs: &[JobId], attempt: u32, since: u64) -> Result<Vec<Duration>> {
        let begun = self.begun(jobs, attempt).await?;
        Ok(begun.into_values().map(|at| Duration::from_millis(at.saturating_sub(since))).collect())
    }

    /// Waits until so many messages wait for `make`.
    async fn waiting(&self, count: u64) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            if self.deployment.ports.queues.depth(&QueueName::new(MAKE)).await?.visible >= count {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("{count} messages did not come to queue {MAKE}")
    }
}

fn now() -> u64 {
    SystemClock.now().0
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    while began.elapsed() < WAIT_MAX {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("waited {} s in vain for {what}", WAIT_MAX.as_secs())
}

/// The worker's process is killed while another worker of the step is there. It was fully busy: no poll of it is open.
pub(super) async fn killed_with_another(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "killed").await?;
    let took = one_by_one(bench, &mut case, done, true, kill_child).await?;
    let what = "`kill -9` of a worker that is fully busy, another one is there";
    Ok(Measured { what, how: "one after the other", bound: "1 s", took })
}

/// The only worker's process is killed; it was fully busy.
pub(super) async fn killed_alone(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "killed-alone").await?;
    let took = one_by_one(bench, &mut case, done, false, kill_child).await?;
    let what = "`kill -9` of the only worker, fully busy; the start of the next one included";
    Ok(Measured { what, how: "one after the other", bound: "1 s", took })
}

/// A worker is told to stop while another one is there.
pub(super) async fn terminated(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "terminated").await?;
    let terminate = |slot: &Slot| {
        signal(slot.parent().context("no parent")?, Signal::SIGTERM);
        Ok(())
    };
    let took = one_by_one(bench, &mut case, done, true, terminate).await?;
    Ok(Measured { what: "SIGTERM of a worker, another one is there", how: "one after the other", bound: "1 s", took })
}

fn kill_child(slot: &Slot) -> Result<()> {
    signal(slot.child().context("no child")?, Signal::SIGKILL);
    Ok(())
}

/// One job at a time: its worker meets the fault, and is replaced by a new one after each try.
async fn one_by_one(
    bench: &Bench,
    case: &mut Case,
    done: &impl Fn(),
    has_other: bool,
    fault: impl Fn(&Slot) -> Result<()>,
) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for _ in 0..bench.tries {
        let victim = case.worker(1).await?;
        let jobs = case.submit(1).await?;
        case.begun(&jobs, 1).await?;
        let other = if has_other { Some(case.worker(CONCURRENCY).await?) } else { None };
        let since = now();
        fault(&victim)?;
        took.extend(case.again(&jobs, 2, since).await?);
        done();
        for slot in other.into_iter().chain([victim]) {
            end(slot).await;
        }
    }
    Ok(took)
}

/// The worker's process is killed while it has a poll open, which the stack goes on with.
pub(super) async fn killed_polling(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "killed-polling").await?;
    let took = ten_by_ten(bench, &mut case, done, async |victim: &mut Slot| kill_child(victim)).await?;
    let how = "ten tasks on each worker that is killed";
    let what = "`kill -9` of a worker that has a poll open, another one is there";
    Ok(Measured { what, how, bound: "31 s: the poll may swallow them for its visibility", took })
}

/// As many jobs as a poll may bring are on one worker, which meets the fault.
async fn ten_by_ten(
    bench: &Bench,
    case: &mut Case,
    done: &impl Fn(),
    fault: impl AsyncFn(&mut Slot) -> Result<()>,
) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    while took.len() < bench.tries {
        let count = BATCH_MAX.min(bench.tries - took.len());
        let mut victim = case.worker(CONCURRENCY).await?;
        let jobs = case.submit(count).await?;
        case.begun(&jobs, 1).await?;
        let other = case.worker(CONCURRENCY).await?;
        let since = now();
        fault(&mut victim).await?;
        let again = case.again(&jobs, 2, since).await?;
        again.iter().for_each(|_| done());
        took.extend(again);
        for slot in [other, victim] {
            end(slot).await;
        }
    }
    Ok(took)
}

/// The machine is gone, with worker and parent.
pub(super) async fn machine_lost(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "lost").await?;
    let took = ten_by_ten(bench, &mut case, done, async |victim: &mut Slot| victim.lose().await).await?;
    let how = "ten tasks on each machine that is lost";
    let what = "worker and parent together, as when a machine dies";
    Ok(Measured { what, how, bound: "32 s: the lease and 2 s", took })
}

/// The messages of tasks that wait are gone.
pub(super) async fn purged(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "purged").await?;
    let jobs = case.submit(bench.tries).await?;
    case.waiting(jobs.len() as u64).await?;
    let since = now();
    case.deployment.purge().await?;
    let worker = case.worker(CONCURRENCY).await?;
    let took = case.again(&jobs, 1, since).await?;
    took.iter().for_each(|_| done());
    end(worker).await;
    let how = "the messages of all tasks at once";
    let bound = "180 s: the reconciler's patience and one period";
    Ok(Measured { what: "all queues purged", how, bound, took })
}

/// All workers of the step, and those around it, are down for long.
pub(super) async fn all_down(bench: &Bench, done: &impl Fn()) -> Result<Measured> {
    let mut case = Case::start(bench, "down").await?;
    let jobs = case.submit(bench.tries).await?;
    case.waiting(jobs.len() as u64).await?;
    for slot in core::mem::take(&mut case.others) {
        if slot.service == RECONCILER {
            // It is a schedule's, and goes on.
            case.others.push(slot);
        } else {
            end(slot).await;
        }
    }
    tokio::time::sleep(bench.down).await;
    let since = now();
    let mut back = Vec::new();
    for service in OTHERS.into_iter().chain([MAKE]) {
        back.push(case.slot(service, CONCURRENCY).await?);
    }
    let took = case.again(&jobs, 1, since).await?;
    took.iter().for_each(|_| done());
    for slot in back {
        end(slot).await;
    }
    let how = "all tasks wait meanwhile; from the start of the workers' processes on";
    Ok(Measured { what: "all workers down for ten minutes", how, bound: "at once", took })
}

/// Ends a worker that is no longer needed: told to stop, it leaves no poll open that would swallow the next try's messages.
async fn end(mut slot: Slot) {
    if let Some(parent) = slot.parent() {
        signal(parent, Signal::SIGTERM);
    }
    slot.gone().await;
}
