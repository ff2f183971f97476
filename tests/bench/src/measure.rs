//! One measured run: all of the coordination in one process, intake included, on the stack that the environment names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qsketch_aws::{DynamoTable, S3Store, SqsQueues};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::clock::SystemClock;
use qsketch_runtime::{Ports, Queues};

use crate::consumers::Consumers;
use crate::counted::Counted;
use crate::measured::{Load, Measured};
use crate::meter::{Meter, Tracing};
use crate::sets::Sets;
use crate::submissions::{Span, Submissions, all_deleted, ids};
use crate::usage::{cpu_seconds, memory_mb};

/// How many samples of the memory one run takes.
const SAMPLES: usize = 20;

/// Runs the jobs; `progress` is told how many are done.
///
/// # Errors
/// The stack does not answer, or a job does not end.
pub async fn measure(load: &Load, progress: impl FnMut(usize)) -> Result<Measured> {
    ensure!(load.jobs > 0 && load.in_flight > 0, "a run needs at least one job, and one in flight");
    let sdk = qsketch_aws::sdk_config().await;
    let capacity = Arc::new(qsketch_aws::Meter::default());
    let table = Arc::new(DynamoTable::new(&sdk, &load.table).metered(Arc::clone(&capacity)));
    let meter = Meter::new(if load.in_flight == 1 { Tracing::On } else { Tracing::Off });
    let of_set = |set| Arc::new(SqsQueues::new(&sdk, &queue_prefix(&load.queue_url_prefix, set))) as Arc<dyn Queues>;
    let count = if load.is_queued { sets(load.jobs, load.in_flight) } else { 1 };
    let queues = Arc::new(Sets::new((0..count).map(of_set).collect()));
    let ports = meter.around(&Ports {
        lists: Arc::clone(&table) as _,
        rosters: Arc::clone(&table) as _,
        turns: Arc::clone(&table) as _,
        table,
        queues: Arc::clone(&queues) as _,
        store: Arc::new(S3Store::new(&sdk, "none")),
        clock: Arc::new(SystemClock),
    });
    let mut run = Run {
        load,
        meter: &meter,
        progress,
        spans: Vec::with_capacity(load.jobs),
        memory: Vec::new(),
        seconds: Duration::ZERO,
    };
    let own = std::process::id();
    let cpu = cpu_seconds(own)?;
    let stack_cpu = total(&load.stack_pids, cpu_seconds)?;
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let consumers = Consumers::new(&ports, &outbox, load.way)?;
    if load.is_queued {
        run.queued(&ports, &outbox, &consumers, &queues).await?;
    } else {
        let _polls = consumers.poll(&ports.queues, &outbox);
        run.in_flight(&outbox).await?;
    }
    let used = (cpu_seconds(own)? - cpu, total(&load.stack_pids, cpu_seconds)? - stack_cpu);
    let Run { mut spans, memory, seconds, .. } = run;
    let counted = Counted { jobs: load.jobs, tally: meter.tally(), units: capacity.read().into() };
    spans.sort_by_key(Span::duration);
    let median = quantile(&spans, 50)?;
    Ok(Measured {
        in_flight: load.in_flight,
        is_queued: load.is_queued,
        way: load.way,
        seconds: seconds.as_secs_f64(),
        p50_ms: median.duration().as_secs_f64() * 1e3,
        p99_ms: quantile(&spans, 99)?.duration().as_secs_f64() * 1e3,
        counted,
        cpu_seconds: used.0,
        stack_cpu_seconds: used.1,
        peak_mb: memory_mb(own, "VmHWM")?,
        memory_mb: memory,
        stack_peak_mb: total(&load.stack_pids, |pid| memory_mb(pid, "VmHWM"))?,
        waterfall: meter.calls_between(median.submitted, median.done),
    })
}

/// How many sets of queues a run with so many jobs needs, of which so many are queued at a time.
#[must_use]
pub const fn sets(jobs: usize, queued: usize) -> usize {
    jobs.div_ceil(queued)
}

/// The URL of a queue of a set, without its name.
#[must_use]
pub fn queue_prefix(prefix: &str, set: usize) -> String {
    format!("{prefix}{set}-")
}

struct Run<'a, P> {
    load: &'a Load,
    meter: &'a Arc<Meter>,
    progress: P,
    spans: Vec<Span>,
    memory: Vec<f64>,
    seconds: Duration,
}

impl<P: FnMut(usize)> Run<'_, P> {
    async fn in_flight(&mut self, outbox: &Outbox) -> Result<()> {
        let ids = ids(&name(0), self.load.jobs)?;
        let began = Instant::now();
        let (meter, in_flight) = (self.meter, self.load.in_flight);
        Submissions::new(meter, outbox).run(ids, in_flight, |span| self.ended(span)).await?;
        self.seconds += began.elapsed();
        all_deleted(meter).await
    }

    async fn queued(&mut self, ports: &Ports, outbox: &Outbox, consumers: &Consumers, queues: &Sets) -> Result<()> {
        for set in 0..queues.count() {
            queues.go_to(set);
            let mut submissions = Submissions::new(self.meter, outbox);
            let left = self.load.jobs - self.spans.len();
            submissions.queue(ids(&name(set), self.load.in_flight.min(left))?).await?;
            let began = Instant::now();
            // An ending poll loop flushes its outbox: it is not that of the consumers, who go on.
            let _polls = consumers.poll(&ports.queues, &Outbox::new(Arc::clone(&ports.queues)));
            while let Some(span) = submissions.next().await? {
                self.ended(span)?;
            }
            self.seconds += began.elapsed();
            all_deleted(self.meter).await?;
        }
        Ok(())
    }

    fn ended(&mut self, span: Span) -> Result<()> {
        self.spans.push(span);
        let done = self.spans.len();
        if done.is_multiple_of((self.load.jobs / SAMPLES).max(1)) {
            self.memory.push(memory_mb(std::process::id(), "VmRSS")?);
        }
        (self.progress)(done);
        Ok(())
    }
}

/// What the ids of this process' jobs begin with.
fn name(set: usize) -> String {
    format!("b{:x}-{set}", std::process::id())
}

fn total(pids: &[u32], look: impl Fn(u32) -> std::io::Result<f64>) -> Result<f64> {
    pids.iter().map(|pid| look(*pid).with_context(|| format!("the stack's process {pid} is gone"))).sum()
}

fn quantile(sorted: &[Span], percent: usize) -> Result<Span> {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().context("no job ended")
}
