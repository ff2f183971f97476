//! One measured run: all of the coordination in one process, intake included, on the stack that the environment names.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use qsketch_aws::{DynamoTable, S3Store, SqsQueues};
use qsketch_core::{JobId, Pipeline};
use qsketch_intake::Intake;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::clock::SystemClock;
use qsketch_runtime::crew::Crew;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::{Consumer, Ports, QueueName, Stop, Worker, shutdown};
use serde::{Deserialize, Serialize};

use crate::meter::{Meter, Tally, TimedCall};
use crate::pipeline::{Nothing, STEPS, five_steps};
use crate::usage::{cpu_seconds, memory_mb};

/// The queue of submissions.
pub const INTAKE: &str = "intake";

/// How long a run may make no progress before it is given up.
const STALLED: Duration = Duration::from_secs(60);

/// How many messages each poll loop works on at once.
const CONCURRENCY: usize = 64;

/// How long one poll waits for a message.
const POLL_WAIT: Duration = Duration::from_secs(20);

/// For how long a received message is hidden.
const LEASE: Duration = Duration::from_secs(30);

/// The pause between two looks at whether all is deleted.
const LOOK: Duration = Duration::from_millis(5);

/// How many samples of the memory one run takes.
const SAMPLES: usize = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many jobs.
    pub jobs: usize,
    /// How many of them at once.
    pub in_flight: usize,
    /// Whether all are submitted before any worker starts.
    pub is_queued: bool,
    /// Whether the process hands light successors on to itself instead of sending them.
    pub is_crew: bool,
    /// The job table.
    pub table: String,
    /// The URL of a queue without its name.
    pub queue_url_prefix: String,
    /// The processes of the stack.
    pub stack_pids: Vec<u32>,
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// How many jobs were run.
    pub jobs: usize,
    /// How many of them at once.
    pub in_flight: usize,
    /// Whether all were submitted before any worker started.
    pub is_queued: bool,
    /// Whether the process handed light successors on to itself instead of sending them.
    #[serde(default)]
    pub is_crew: bool,
    /// From the first submission, or where they were queued from the start of the workers, to the last job's end, in seconds.
    pub seconds: f64,
    /// From a job's submission until its finalizer was recorded, in milliseconds; half of the jobs took less.
    pub p50_ms: f64,
    /// The same for 99 of 100.
    pub p99_ms: f64,
    /// Calls by kind.
    pub tally: Tally,
    /// Write units of the table, as the store reports them.
    pub table_write_units: u64,
    /// Write units of its indexes.
    pub index_write_units: u64,
    /// Read units.
    pub read_units: u64,
    /// Processor seconds of qsketch's process.
    pub cpu_seconds: f64,
    /// Processor seconds of the stack's processes.
    pub stack_cpu_seconds: f64,
    /// Peak memory of qsketch's process in MB.
    pub peak_mb: f64,
    /// Memory of qsketch's process in MB, sampled along the run.
    pub memory_mb: Vec<f64>,
    /// Peak memory of the stack's processes in MB, added up.
    pub stack_peak_mb: f64,
    /// The calls of one job, the one with the median time, where one was in flight.
    pub waterfall: Vec<TimedCall>,
}

impl Measured {
    /// How many jobs ended in a second.
    #[must_use]
    pub fn jobs_per_second(&self) -> f64 {
        self.jobs as f64 / self.seconds
    }

    /// A sum, for each job.
    #[must_use]
    pub fn per_job(&self, sum: f64) -> f64 {
        sum / self.jobs as f64
    }

    /// How many calls there were whose kind begins with this.
    #[must_use]
    pub fn calls_of(&self, prefix: &str) -> u64 {
        self.tally.calls.iter().filter(|(kind, _)| kind.starts_with(prefix)).map(|(_, calls)| calls).sum()
    }

    /// How many messages a send, a receive that brought something, or a delete carried on average.
    #[must_use]
    pub fn batch_factor(&self) -> f64 {
        let kinds = ["queues.send", "queues.receive", "queues.delete"];
        let sum = |of: &std::collections::BTreeMap<String, u64>| -> u64 {
            kinds.iter().filter_map(|kind| of.get(*kind)).sum()
        };
        sum(&self.tally.messages) as f64 / sum(&self.tally.calls).max(1) as f64
    }
}

/// Runs the jobs; `progress` is told how many are done.
///
/// # Errors
/// The stack does not answer, or a job does not end.
pub async fn measure(load: &Load, mut progress: impl FnMut(usize)) -> Result<Measured> {
    ensure!(load.jobs > 0 && load.in_flight > 0, "a run needs at least one job, and one in flight");
    let sdk = qsketch_aws::sdk_config().await;
    let capacity = Arc::new(qsketch_aws::Meter::default());
    let meter = Meter::new(load.in_flight == 1);
    let ports = meter.around(&Ports {
        table: Arc::new(DynamoTable::new(&sdk, &load.table).metered(Arc::clone(&capacity))),
        queues: Arc::new(SqsQueues::new(&sdk, &load.queue_url_prefix)),
        store: Arc::new(S3Store::new(&sdk, "none")),
        clock: Arc::new(SystemClock),
    });
    let pipeline = five_steps()?;
    let (stopper, stop) = shutdown::pair();
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let name = format!("{:x}", std::process::id());
    let ids = (0..load.jobs).map(|number| Ok(JobId::try_from(format!("b{name}-{number}").as_str())?));
    let ids: Vec<JobId> = ids.collect::<Result<_>>()?;
    let own = std::process::id();

    let mut workers = Vec::new();
    if !load.is_queued {
        workers = start(&ports, &outbox, &pipeline, load.is_crew, &stop);
    }
    let cpu = cpu_seconds(own)?;
    let stack_cpu = total(&load.stack_pids, cpu_seconds)?;
    let mut began = Instant::now();
    let mut waiting = FuturesUnordered::new();
    let mut left = ids.into_iter();
    let at_first = if load.is_queued { load.jobs } else { load.in_flight };
    let submit = |id: JobId| submit(&meter, &outbox, id);
    if load.is_queued {
        let sent: Vec<_> = left.by_ref().map(submit).collect();
        for sent in futures_util::future::join_all(sent).await {
            let (submitted, done) = sent?;
            waiting.push(end_of(submitted, done));
        }
        began = Instant::now();
        workers = start(&ports, &outbox, &pipeline, load.is_crew, &stop);
    } else {
        for id in left.by_ref().take(at_first) {
            let (submitted, done) = submit(id).await?;
            waiting.push(end_of(submitted, done));
        }
    }
    let mut spans = Vec::with_capacity(load.jobs);
    let mut memory = Vec::new();
    let sample_every = (load.jobs / SAMPLES).max(1);
    while !waiting.is_empty() {
        let next = tokio::time::timeout(STALLED, waiting.next()).await;
        let next = next.with_context(|| format!("no job ended for {} s, after {}", STALLED.as_secs(), spans.len()))?;
        spans.push(next.context("a job's end was lost")??);
        if spans.len() % sample_every == 0 {
            memory.push(memory_mb(own, "VmRSS")?);
        }
        progress(spans.len());
        if let Some(id) = left.next() {
            let (submitted, done) = submit(id).await?;
            waiting.push(end_of(submitted, done));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    // The last deletes belong to the jobs too; the outbox itself can't be flushed while the poll loops use it.
    tokio::time::timeout(STALLED, all_deleted(&meter)).await.context("some messages were received and not deleted")?;
    let used = (cpu_seconds(own)? - cpu, total(&load.stack_pids, cpu_seconds)? - stack_cpu);
    let (tally, capacity) = (meter.tally(), capacity.read());
    stopper.stop();
    drop(workers);
    spans.sort_by_key(|(from, to)| *to - *from);
    let median = spans[spans.len() / 2];
    Ok(Measured {
        jobs: load.jobs,
        in_flight: load.in_flight,
        is_queued: load.is_queued,
        is_crew: load.is_crew,
        seconds,
        p50_ms: quantile(&spans, 50),
        p99_ms: quantile(&spans, 99),
        tally,
        table_write_units: capacity.table_writes,
        index_write_units: capacity.index_writes,
        read_units: capacity.table_reads,
        cpu_seconds: used.0,
        stack_cpu_seconds: used.1,
        peak_mb: memory_mb(own, "VmHWM")?,
        memory_mb: memory,
        stack_peak_mb: total(&load.stack_pids, |pid| memory_mb(pid, "VmHWM"))?,
        waterfall: meter.calls_between(median.0, median.1),
    })
}

/// Waits until every message that was received is deleted.
async fn all_deleted(meter: &Meter) {
    loop {
        let messages = meter.tally().messages;
        let carried = |kind: &str| messages.get(kind).copied().unwrap_or_default();
        if carried("queues.delete") >= carried("queues.receive") {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn submit(
    meter: &Meter,
    outbox: &Outbox,
    id: JobId,
) -> Result<(Instant, tokio::sync::oneshot::Receiver<Instant>)> {
    let done = meter.done(id.clone());
    let body = serde_json::json!({ "id": id.as_str(), "prompt": "nothing at all" }).to_string();
    let submitted = Instant::now();
    outbox.send(&QueueName::new(INTAKE), Outgoing::new(body)).await?;
    Ok((submitted, done))
}

async fn end_of(submitted: Instant, done: tokio::sync::oneshot::Receiver<Instant>) -> Result<(Instant, Instant)> {
    Ok((submitted, done.await?))
}

fn start(
    ports: &Ports,
    outbox: &Outbox,
    pipeline: &Pipeline,
    is_crew: bool,
    stop: &Stop,
) -> Vec<tokio::task::JoinHandle<()>> {
    let crew = Crew::default();
    let intake = Intake::new(ports.clone(), outbox.clone(), pipeline.clone()).in_crew(crew.clone());
    let intake: Arc<dyn Consumer> = Arc::new(intake);
    let workers = STEPS.map(|step| {
        let worker = Worker::new(ports.clone(), outbox.clone(), QueueName::new(step), Arc::new(Nothing));
        Arc::new(worker.in_crew(crew.clone()))
    });
    if is_crew {
        crew.enlist(workers.iter().cloned());
    }
    let steps = STEPS.into_iter().zip(workers).map(|(step, worker)| (step, worker as Arc<dyn Consumer>));
    let all = std::iter::once((INTAKE, intake)).chain(steps);
    all.map(|(name, consumer)| {
        let polling = Polling { queue: QueueName::new(name), concurrency: CONCURRENCY, wait: POLL_WAIT, hide: LEASE };
        let (queues, outbox, stop) = (Arc::clone(&ports.queues), outbox.clone(), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = poll::run(&polling, queues, &outbox, consumer, &stop).await {
                tracing::error!(queue = %polling.queue, error = error.chain(), "the poll loop ended");
            }
        })
    })
    .collect()
}

fn total(pids: &[u32], look: impl Fn(u32) -> std::io::Result<f64>) -> Result<f64> {
    pids.iter().map(|pid| look(*pid).with_context(|| format!("the stack's process {pid} is gone"))).sum()
}

fn quantile(sorted: &[(Instant, Instant)], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |(from, to)| (*to - *from).as_secs_f64() * 1e3)
}
