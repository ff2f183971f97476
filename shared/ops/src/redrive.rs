//! Redriving a job: it runs again, from what failed or from a step.

use core::time::Duration;

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::redrive::{IfRefunded, Redriving, Refused, StepPlan, messages, outline, redrive_with as plan};
use qsketch_core::{Commit, Job, JobId, Message, Part, Pipeline, StepName, TaskId};
use qsketch_runtime::Ports;
use tokio::time::{Instant, sleep};

use crate::error::OpsError;
use crate::send::send;
use crate::show::load_pipeline;

/// How long the notification of the job's closing is waited for.
pub const NOTIFIED_MAX: Duration = Duration::from_secs(15);

/// How often the job is looked at meanwhile.
const LOOK_PERIOD: Duration = Duration::from_millis(300);

/// What a redrive did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// Whether it was opened again before: its ready tasks were sent once more.
    pub is_again: bool,
    /// What it means for each step; empty where it was opened before.
    pub plan: Vec<StepPlan>,
    /// How many messages were sent.
    pub sent: usize,
}

/// What a redrive would do.
///
/// # Errors
/// As [`redrive`]; nothing is written or sent.
pub async fn preview(ports: &Ports, job: &JobId, from: Option<&StepName>) -> Result<Redriven, OpsError> {
    preview_with(ports, job, from, IfRefunded::Refuse).await
}

/// As [`preview`]; where the job's refund was redeemed, `refunded` says what to do.
///
/// # Errors
/// As [`redrive`]; nothing is written or sent.
pub async fn preview_with(
    ports: &Ports,
    job: &JobId,
    from: Option<&StepName>,
    refunded: IfRefunded,
) -> Result<Redriven, OpsError> {
    let parts = ports.table.load_parts(job).await?;
    let there = parts.job.ok_or_else(|| OpsError::no_job(job))?;
    let pipeline = load_pipeline(ports, &there.pipeline_hash, job).await?;
    let told = TaskId::closing(pipeline.finalizer().name.clone(), there.closing);
    match plan(&pipeline, &there, parts.tasks.get(&told), from, refunded, ports.clock.now()) {
        Redriving::Write(write) | Redriving::Notify { then: write, .. } => {
            let plan = outline(&pipeline, &there, &parts.shards, from, &write);
            Ok(Redriven { is_again: false, plan, sent: 0 })
        }
        Redriving::Running => Ok(Redriven { is_again: true, plan: Vec::new(), sent: 0 }),
        Redriving::Refused(refused) => Err(refusal(job, &refused)),
    }
}

/// Redrives a job, from what failed or from a step. The notification of its closing comes first, and is waited for.
///
/// To redrive again, without a step, is safe: while the job runs its ready tasks are sent once more, which changes nothing
/// unless their messages were lost.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::Refused`] and [`OpsError::BadQuestion`] with the reason; [`OpsError::NotNotified`];
/// [`OpsError::Port`]: to redrive again then mends what is missing.
pub async fn redrive(ports: &Ports, job: &JobId, from: Option<&StepName>) -> Result<Redriven, OpsError> {
    redrive_with(ports, job, from, IfRefunded::Refuse).await
}

/// As [`redrive`]; where the job's refund was redeemed, `refunded` says what to do.
///
/// # Errors
/// As [`redrive`].
pub async fn redrive_with(
    ports: &Ports,
    job: &JobId,
    from: Option<&StepName>,
    refunded: IfRefunded,
) -> Result<Redriven, OpsError> {
    let parts = ports.table.load_parts(job).await?;
    let mut there = parts.job.ok_or_else(|| OpsError::no_job(job))?;
    let pipeline = load_pipeline(ports, &there.pipeline_hash, job).await?;
    for _ in 0..COMMITS_MAX {
        let told = TaskId::closing(pipeline.finalizer().name.clone(), there.closing);
        let finalizer = ports.table.load_task(job, &told).await?;
        let write = match plan(&pipeline, &there, finalizer.as_ref(), from, refunded, ports.clock.now()) {
            Redriving::Write(write) => write,
            Redriving::Running => return opened(ports, &pipeline, &there, Vec::new()).await,
            Redriving::Refused(refused) => return Err(refusal(job, &refused)),
            Redriving::Notify { message, .. } => {
                there = notified(ports, &there, &message).await?;
                continue;
            }
        };
        let plan = outline(&pipeline, &there, &parts.shards, from, &write);
        match ports.table.commit(job, &write).await? {
            Commit::Written(Part::Job(now)) => return opened(ports, &pipeline, &now, plan).await,
            Commit::Overtaken(Some(Part::Job(now))) => there = *now,
            Commit::Written(_) | Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
        }
    }
    Err(OpsError::crowded(job))
}

/// The job that was just opened, or before: its ready tasks are sent.
async fn opened(ports: &Ports, pipeline: &Pipeline, job: &Job, plan: Vec<StepPlan>) -> Result<Redriven, OpsError> {
    let messages = messages(pipeline, job);
    send(ports, job, &messages).await?;
    Ok(Redriven { is_again: plan.is_empty(), plan, sent: messages.len() })
}

/// Sends the notification of a closing, and waits until it is recorded: the job then.
async fn notified(ports: &Ports, job: &Job, message: &Message) -> Result<Job, OpsError> {
    send(ports, job, core::slice::from_ref(message)).await?;
    let began = Instant::now();
    loop {
        let now = ports.table.load_job(&job.job_id).await?.ok_or_else(|| OpsError::no_job(&job.job_id))?;
        if now.done.contains_key(&message.task) || now.closing != job.closing {
            return Ok(now);
        }
        if began.elapsed() >= NOTIFIED_MAX {
            return Err(OpsError::NotNotified { job: job.job_id.clone(), waited: NOTIFIED_MAX });
        }
        sleep(LOOK_PERIOD).await;
    }
}

fn refusal(job: &JobId, refused: &Refused) -> OpsError {
    match refused {
        Refused::NoSuchStep { .. } => OpsError::BadQuestion { problem: format!("job {job}: {refused}") },
        refused => OpsError::Refused { job: job.clone(), verb: "redriven", reason: refused.to_string() },
    }
}
