//! What a task of a wide step costs: calls and units for each, at widths from ten to ten thousand.
//!
//! A job runs `plan` → `each` over a list → `gather` → (the job closes) → `tell`. What its tasks cost is what the job costs
//! more than the same job with an empty list: claims, records, folds, loads, and the sends, receives and deletes of their
//! messages, with whatever the longer part `job` costs those that come after them.

use core::time::Duration;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use qsketch_aws::{DynamoTable, Meter as Consumed};
use qsketch_core::decide::{Output, start_message};
use qsketch_core::{Failure, Job, JobId, Pipeline, StepSpec, Tenant, Write};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::clock::SystemClock;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::{Attempt, Consumer, Handler, Ports, QueueName, Worker, shutdown};
use qsketch_sim::{Disorder, Sim};

use crate::consumers::POLL_WAIT;
use crate::counted::{Counted, EMPTY, Units};
use crate::measured::thousands;
use crate::meter::{Meter, Tracing};
use crate::stack::table_in_memory;
use crate::submissions::all_deleted;

/// The widths that are measured.
pub const WIDTHS: [u32; 4] = [10, 100, 1_000, 10_000];

/// By how much the cost of a task may differ from that at another width, as a share of their mean.
pub const SPREAD_MAX: f64 = 0.15;

/// The steps of the job, each with a queue of its own; the second one is mapped.
const STEPS: [&str; 4] = ["plan", "each", "gather", "tell"];

/// How many messages each poll loop works on at once.
const CONCURRENCY: usize = 64;

/// How long a call of the ports in memory takes, the least and what may be drawn on top.
const LATENCY: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(8));

/// How the wide step is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It loads the job beside its claim.
    Plain,
    /// It is light: it takes the job from its message.
    Light,
}

/// Where the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// In memory, in paused time.
    Memory,
    /// On dynoxide, served by this process; the queues are in memory.
    Dynoxide,
}

/// What is measured: each way to declare the step, each place of the table.
pub const VARIANTS: [(On, Declared); 4] = [
    (On::Memory, Declared::Light),
    (On::Memory, Declared::Plain),
    (On::Dynoxide, Declared::Light),
    (On::Dynoxide, Declared::Plain),
];

/// What one task costs.
#[derive(Clone, Debug)]
pub struct PerTask {
    /// How many tasks the step has.
    pub width: u32,
    /// What all of them cost.
    pub counted: Counted,
}

impl PerTask {
    /// Calls of a kind, for each task.
    #[must_use]
    pub fn calls_of(&self, kind: &str) -> f64 {
        self.counted.per_job(self.counted.calls_of(kind))
    }

    /// Write units, for each task.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        self.counted.per_job(self.counted.units.table_writes + self.counted.units.index_writes)
    }

    /// Read units, for each task.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        self.counted.per_job(self.counted.units.reads)
    }
}

/// What the tasks of a step of this width cost. Not to be called within a runtime: it brings its own.
///
/// # Errors
/// The job does not end.
pub fn per_task(on: On, declared: Declared, width: u32) -> Result<PerTask> {
    let runtime = match on {
        On::Memory => tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?,
        On::Dynoxide => tokio::runtime::Builder::new_multi_thread().enable_all().build()?,
    };
    let measured = runtime.block_on(async {
        let empty = one_job(on, declared, 0).await?;
        let wide = one_job(on, declared, width).await?;
        anyhow::Ok(Counted { jobs: width as usize, ..wide - &Counted { jobs: 0, ..empty } })
    });
    runtime.shutdown_background();
    Ok(PerTask { width, counted: measured? })
}

fn pipeline(declared: Declared) -> Result<Pipeline> {
    let [plan, each, gather, tell] = STEPS;
    let step = |name| match declared {
        Declared::Plain => StepSpec::new(name),
        Declared::Light => StepSpec::new(name).light(),
    };
    let builder = Pipeline::builder("wide").step(step(plan)).step(step(each).over(plan));
    Ok(builder.step(step(gather).after([each])).finalizer(step(tell)).build()?)
}

async fn one_job(on: On, declared: Declared, width: u32) -> Result<Counted> {
    let sim = Sim::new(u64::from(width));
    let (latency, latency_spread) = if on == On::Memory { LATENCY } else { Default::default() };
    sim.set_disorder(Disorder { latency, latency_spread, ..Disorder::default() });
    let consumed = Arc::new(Consumed::default());
    let inner = match on {
        On::Memory => sim.ports(),
        On::Dynoxide => {
            let (sdk, name) = table_in_memory().await?;
            let table = Arc::new(DynamoTable::new(&sdk, &name).metered(Arc::clone(&consumed)));
            Ports { table, clock: Arc::new(SystemClock), ..sim.ports() }
        }
    };
    let meter = Meter::new(Tracing::Off);
    let ports = meter.around(&inner);
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let (stopper, stop) = shutdown::pair();
    for queue in STEPS.map(QueueName::new) {
        let worker = Worker::new(ports.clone(), outbox.clone(), queue.clone(), Arc::new(List(width)));
        let polling = Polling { queue, concurrency: CONCURRENCY, wait: POLL_WAIT, hide: Duration::from_secs(30) };
        let (queues, outbox, stop) = (Arc::clone(&ports.queues), outbox.clone(), stop.clone());
        let consumer: Arc<dyn Consumer> = Arc::new(worker);
        tokio::spawn(async move {
            if let Err(error) = poll::run(&polling, queues, &outbox, consumer, &stop).await {
                tracing::error!(queue = %polling.queue, error = error.chain(), "the poll loop ended");
            }
        });
    }
    let pipeline = pipeline(declared)?;
    let (id, tenant) = (JobId::try_from("wide")?, Tenant::try_from("t")?);
    let job = Job::begun(id.clone(), tenant, &pipeline, ports.clock.now());
    let first = start_message(&pipeline, &job);
    ports.table.keep_pipeline(&pipeline).await?;
    ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await?;
    let done = meter.done(id);
    outbox.send(&QueueName::new(STEPS[0]), Outgoing::new(first.body())).await?;
    done.await.context("the job's end was lost")?;
    all_deleted(&meter).await?;
    let units = match on {
        On::Memory => Units::from(sim.units()),
        On::Dynoxide => Units::from(consumed.read()),
    };
    let mut tally = meter.tally();
    tally.forget(EMPTY);
    stopper.stop();
    Ok(Counted { jobs: 1, tally, units })
}

/// The first step makes a list of so many elements; the others do nothing.
struct List(u32);

#[async_trait]
impl Handler for List {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        Ok(Output { width: (attempt.task().step().as_str() == STEPS[0]).then_some(self.0), result: None })
    }
}

/// The costs at several widths as a Markdown table.
#[must_use]
pub fn table(of: &[(On, Declared, PerTask)]) -> String {
    let mut text = String::from(
        "| table | the wide step | tasks | calls a task | claims | records | folds | loads | sends | receives | deletes | \
         write units a task | read units a task |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for (on, declared, task) in of {
        let on = if *on == On::Memory { "in memory" } else { "dynoxide" };
        let declared = if *declared == Declared::Light { "light" } else { "loads the job" };
        let calls = |kind: &str| format!("{:.3}", task.calls_of(kind));
        let kinds = [
            "",
            "table.claim",
            "table.record",
            "table.fold",
            "table.load",
            "queues.send",
            "queues.receive",
            "queues.delete",
        ];
        let cells = kinds.map(calls).join(" | ");
        let (writes, reads) = (task.write_units(), task.read_units());
        text.push_str(&format!(
            "| {on} | {declared} | {} | {cells} | {writes:.3} | {reads:.3} |\n",
            thousands(task.width as usize)
        ));
    }
    text
}

/// One cost in one line.
#[must_use]
pub fn line(on: On, declared: Declared, task: &PerTask) -> String {
    format!(
        "{:>6} tasks, {on:?}, {declared:?}: {:.3} calls, {:.3} write units, {:.3} read units a task",
        task.width,
        task.calls_of(""),
        task.write_units(),
        task.read_units()
    )
}

/// Holds the costs of each variant against each other.
///
/// # Errors
/// They differ by more than [`SPREAD_MAX`], or a task has no claim and no record.
pub fn check(of: &[(On, Declared, PerTask)]) -> Result<()> {
    for variant in VARIANTS {
        let tasks: Vec<&PerTask> =
            of.iter().filter(|(on, declared, _)| (*on, *declared) == variant).map(|(.., task)| task).collect();
        for (what, costs) in [
            ("calls", tasks.iter().map(|task| task.calls_of("")).collect::<Vec<_>>()),
            ("write units", tasks.iter().map(|task| task.write_units()).collect()),
        ] {
            ensure!(costs.iter().all(|cost| *cost >= 2.0), "a task has a claim and a record: {what} {costs:?}");
            let spread = spread(&costs);
            ensure!(spread <= SPREAD_MAX, "{variant:?}: {what} differ by {spread:.3}\n{}", table(of));
        }
    }
    Ok(())
}

/// By how much the largest and the smallest of these differ from their mean, as a share of it.
#[must_use]
pub fn spread(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().map(|value| (value - mean).abs() / mean).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(on: On, declared: Declared, widths: &[u32]) -> Result<()> {
        let costs = widths.iter().map(|width| per_task(on, declared, *width)).collect::<Result<Vec<_>>>()?;
        let rows: Vec<_> = costs.iter().map(|cost| (on, declared, cost.clone())).collect();
        check(&rows)
    }

    #[test]
    fn a_task_costs_the_same_from_ten_to_ten_thousand_of_them_in_memory() -> Result<()> {
        flat(On::Memory, Declared::Light, &WIDTHS)?;
        flat(On::Memory, Declared::Plain, &WIDTHS)
    }

    #[test]
    fn a_task_costs_the_same_from_ten_to_a_thousand_of_them_on_dynoxide() -> Result<()> {
        flat(On::Dynoxide, Declared::Light, &WIDTHS[..3])
    }

    #[test]
    fn costs_that_grow_with_the_width_are_found() -> Result<()> {
        let rows = |widths: &[(u32, u64)]| {
            let row = |(width, writes): &(u32, u64)| {
                let units = Units { table_writes: *writes, ..Units::default() };
                let tally = per_task(On::Memory, Declared::Light, 10)?.counted.tally;
                let counted = Counted { jobs: *width as usize, tally, units };
                Ok((On::Memory, Declared::Light, PerTask { width: *width, counted }))
            };
            widths.iter().map(row).collect::<Result<Vec<_>>>()
        };
        check(&rows(&[(10, 21), (10, 22)])?)?;
        assert!(check(&rows(&[(10, 21), (10, 30)])?).is_err());
        assert!(check(&rows(&[(10, 2)])?).is_err());
        assert!(spread(&[2.0, 2.1, 2.2]) < SPREAD_MAX);
        assert!(spread(&[2.0, 2.1, 2.9]) > SPREAD_MAX);
        Ok(())
    }
}
