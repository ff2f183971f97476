//! What a list costs on tables of a thousand to a hundred thousand jobs: calls, read units, time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use qsketch_aws::{DynamoTable, Meter};
use qsketch_core::size::READ_UNIT_PARTS;
use qsketch_core::{Closing, Job, JobId, JobStatus, StepSpec, Tenant, Time, Verdict, Write};
use qsketch_ops::list::{EXAMINED_MAX, LIMIT_MAX};
use qsketch_ops::{Query, list};
use qsketch_runtime::Ports;
use qsketch_sim::Sim;

use crate::measured::thousands;
use crate::pipeline::{STEPS, five_steps};
use crate::prices::READ_UNIT;
use crate::stack::table_in_memory;

/// How many jobs the tables have.
pub const SIZES: [u64; 3] = [1_000, 10_000, 100_000];

/// How often each question is asked; its time is the median.
const TIMES: usize = 21;

/// How many jobs are written at once.
const WRITERS: usize = 16;

/// One in so many jobs failed.
const FAILED_EVERY: u64 = 100;

const DAY: u64 = 86_400_000;

/// When the newest job was taken in: in the middle of a day.
const NEWEST: Time = Time(20_000 * DAY + DAY / 2);

/// How many milliseconds lie between two jobs: the largest table has a month of them, the smaller ones its newest.
const EVERY: u64 = 30 * DAY / SIZES[SIZES.len() - 1];

/// What one question cost on one table.
#[derive(Clone, Debug)]
pub struct Cost {
    /// What was asked.
    pub question: &'static str,
    /// How many jobs the table has.
    pub jobs: u64,
    /// How many jobs came.
    pub found: usize,
    /// How many were looked at.
    pub examined: usize,
    /// Read units, as the store reports them.
    pub read_units: f64,
    /// Read units, as they are computed.
    pub computed_units: f64,
    /// Calls of the table.
    pub calls: usize,
    /// The median time in milliseconds.
    pub p50_ms: f64,
}

/// The costs of all questions on tables of [`SIZES`], on dynoxide; `progress` is told each time a table has that many
/// jobs.
///
/// # Errors
/// The table does not answer, or a question does not bring what it must.
pub async fn costs(mut progress: impl FnMut(u64)) -> Result<Vec<Cost>> {
    let (sdk, name) = table_in_memory().await?;
    let meter = Arc::new(Meter::default());
    let table = Arc::new(DynamoTable::new(&sdk, &name).metered(Arc::clone(&meter)));
    let sim = Sim::new(1);
    let ports = Ports { lists: Arc::clone(&table) as _, table, ..sim.observer() };
    let (mut costs, mut filled) = (Vec::new(), 0);
    for jobs in SIZES {
        fill(&ports, filled..jobs).await?;
        fill(&sim.observer(), filled..jobs).await?;
        filled = jobs;
        progress(jobs);
        for (question, query, found) in questions(&ports).await? {
            let before = meter.read().list_halves;
            let listing = list(&ports, &query).await?;
            let halves = meter.read().list_halves - before;
            ensure!(listing.jobs.len() == found, "{question}: {} jobs came, not {found}", listing.jobs.len());
            // The same on the ports in memory, which count their calls.
            let (calls, units) = (sim.calls().len(), sim.units().list_halves);
            let same = list(&sim.ports(), &query).await?;
            ensure!(same.jobs == listing.jobs, "{question}: the ports in memory bring other jobs");
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let began = Instant::now();
                list(&ports, &query).await?;
                times.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            times.sort_by(f64::total_cmp);
            costs.push(Cost {
                question,
                jobs,
                found,
                examined: listing.examined,
                read_units: halves as f64 / READ_UNIT_PARTS as f64,
                computed_units: (sim.units().list_halves - units) as f64 / READ_UNIT_PARTS as f64,
                calls: sim.calls().len() - calls,
                p50_ms: times[TIMES / 2],
            });
        }
    }
    Ok(costs)
}

/// The questions, each with how many jobs it must bring.
async fn questions(ports: &Ports) -> Result<Vec<(&'static str, Query, usize)>> {
    let newest = Query {
        tenant: Tenant::try_from("t")?,
        statuses: BTreeSet::new(),
        since: Time(NEWEST.0 - 30 * DAY),
        until: NEWEST,
        limit: 20,
        after: None,
    };
    let next = Query { after: list(ports, &newest).await?.cursor, ..newest.clone() };
    ensure!(next.after.is_some(), "there is a second page");
    let nobody = Query { tenant: Tenant::try_from("nobody")?, ..newest.clone() };
    let failed = Query { statuses: BTreeSet::from([JobStatus::Failed]), ..newest.clone() };
    let few = EXAMINED_MAX / FAILED_EVERY as usize;
    Ok(vec![
        ("the newest 20", newest.clone(), 20),
        ("the page behind them", next, 20),
        ("the newest 100", Query { limit: LIMIT_MAX, ..newest }, LIMIT_MAX),
        ("the newest failed ones, 1 in 100", failed, few),
        ("a month of a tenant without jobs", nobody, 0),
    ])
}

async fn fill(ports: &Ports, which: core::ops::Range<u64>) -> Result<()> {
    let (pipeline, tenant) = (five_steps(StepSpec::light)?, Tenant::try_from("t")?);
    let (pipeline, tenant) = (&pipeline, &tenant);
    let one = |n: u64| async move {
        let id = JobId::try_from(format!("job-{n:06}"))?;
        let at = Time(NEWEST.0 - n * EVERY);
        let job = Job::begun(id.clone(), tenant.clone(), pipeline, at);
        ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await?;
        let task = Some(STEPS[0].parse()?).filter(|_| n % FAILED_EVERY == FAILED_EVERY - 1);
        let error_type = task.is_some().then(|| "Broken".to_owned());
        let verdict = if task.is_some() { Verdict::Failed } else { Verdict::Completed };
        let entry = Closing { verdict, at, task, attempt: None, error_type, error: None, result: None, refund: None };
        ports.table.commit(&id, &Write::Close { closing: 0, entry }).await?;
        anyhow::Ok(())
    };
    stream::iter(which).map(|n| Ok(one(n))).try_for_each_concurrent(WRITERS, |writing| writing).await
}

/// The costs as a Markdown table.
#[must_use]
pub fn table(costs: &[Cost]) -> String {
    let mut text = String::from(
        "| question | jobs in the table | jobs looked at | jobs found | calls | read units | as computed | p50, ms | a million such lists |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for cost in costs {
        let Cost { question, jobs, found, examined, read_units, computed_units, calls, p50_ms } = cost;
        let jobs = usize::try_from(*jobs).map_or_else(|_| jobs.to_string(), thousands);
        let dollars = read_units * READ_UNIT.dollars_per_million;
        let examined = thousands(*examined);
        text.push_str(&format!(
            "| {question} | {jobs} | {examined} | {found} | {calls} | {read_units:.1} | {computed_units:.1} | {p50_ms:.1} | ${dollars:.2} |\n"
        ));
    }
    text
}

/// Whether what a list costs depends on how many jobs there are, or differs from what is computed.
///
/// # Errors
/// It does; the message names the question.
pub fn check(costs: &[Cost]) -> Result<()> {
    for cost in costs {
        let smallest = costs.iter().find(|other| other.question == cost.question).context("it is among them")?;
        let same = (smallest.calls, smallest.read_units) == (cost.calls, cost.read_units);
        ensure!(same, "{}: {cost:?}, on fewer jobs {smallest:?}", cost.question);
        ensure!(cost.read_units.to_bits() == cost.computed_units.to_bits(), "computed otherwise: {cost:?}");
    }
    Ok(())
}
