//! Pausing and resuming a job, or a step of it.

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::pause::{Pausing, Refused, pause as plan_pause, resume as plan_resume};
use qsketch_core::redrive::messages;
use qsketch_core::{Commit, JobId, Part, StepName};
use qsketch_runtime::Ports;

use crate::error::OpsError;
use crate::send::send;
use crate::show::load_pipeline;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Pause,
    Resume,
}

/// What pausing or resuming did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Whether it was so before.
    pub is_again: bool,
    /// How many messages were sent: those of the tasks that are ready.
    pub sent: usize,
}

/// Pauses a job or, with `step`, that step of it: attempts that run go on, no new one begins.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::Refused`] and [`OpsError::BadQuestion`] with the reason; [`OpsError::Port`].
pub async fn pause(ports: &Ports, job: &JobId, step: Option<&StepName>) -> Result<Changed, OpsError> {
    change(ports, job, step, Asked::Pause).await
}

/// Resumes a step or, without one, all of a job, and sends its ready tasks. To resume again is safe: they are sent once
/// more, which changes nothing unless their messages were lost.
///
/// # Errors
/// As [`pause`]; after [`OpsError::Port`], to resume again mends what is missing.
pub async fn resume(ports: &Ports, job: &JobId, step: Option<&StepName>) -> Result<Changed, OpsError> {
    change(ports, job, step, Asked::Resume).await
}

async fn change(ports: &Ports, job: &JobId, step: Option<&StepName>, asked: Asked) -> Result<Changed, OpsError> {
    let mut there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    let pipeline = load_pipeline(ports, &there.pipeline_hash, job).await?;
    let mut is_again = true;
    for _ in 0..COMMITS_MAX {
        let now = ports.clock.now();
        let planned = match asked {
            Asked::Pause => plan_pause(&pipeline, &there, step, now),
            Asked::Resume => plan_resume(&pipeline, &there, step, now),
        };
        match planned {
            Pausing::Is => {
                let due = if asked == Asked::Resume { messages(&pipeline, &there) } else { Vec::new() };
                send(ports, &there, &due).await?;
                return Ok(Changed { is_again, sent: due.len() });
            }
            Pausing::Refused(refused) => return Err(refusal(job, &refused, asked)),
            Pausing::Write(write) => match ports.table.commit(job, &write).await? {
                Commit::Written(Part::Job(now)) => (there, is_again) = (*now, false),
                Commit::Overtaken(Some(Part::Job(now))) => there = *now,
                Commit::Written(_) | Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
            },
        }
    }
    Err(OpsError::crowded(job))
}

fn refusal(job: &JobId, refused: &Refused, asked: Asked) -> OpsError {
    let verb = match asked {
        Asked::Pause => "paused",
        Asked::Resume => "resumed",
    };
    match refused {
        Refused::NoSuchStep { .. } => OpsError::BadQuestion { problem: format!("job {job}: {refused}") },
        refused => OpsError::Refused { job: job.clone(), verb, reason: refused.to_string() },
    }
}
