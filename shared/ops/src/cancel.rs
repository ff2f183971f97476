//! Canceling a job.

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::{Canceling, Commit, JobId, Part, cancel as plan};
use qsketch_runtime::Ports;

use crate::error::OpsError;
use crate::send::send;
use crate::show::load_pipeline;

/// What canceling a job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceled {
    /// It is canceled now.
    Now,
    /// It was canceled before, for the reason that was given then.
    Before,
}

/// Cancels a job for this reason. Canceling again is safe: it sends the notification again, which is one event.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::TooLate`] when it closed otherwise; [`OpsError::Port`]: to cancel again then mends
/// what is missing.
pub async fn cancel(ports: &Ports, job: &JobId, reason: &str) -> Result<Canceled, OpsError> {
    let mut there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    let pipeline = load_pipeline(ports, &there.pipeline_hash, job).await?;
    let mut canceled = Canceled::Before;
    for _ in 0..COMMITS_MAX {
        match plan(&pipeline, &there, reason, ports.clock.now()) {
            Canceling::TooLate(status) => return Err(OpsError::TooLate { job: job.clone(), status }),
            Canceling::Notify(message) => {
                send(ports, &there, message.as_slice()).await?;
                return Ok(canceled);
            }
            Canceling::Write(write) => match ports.table.commit(job, &write).await? {
                Commit::Written(Part::Job(now)) => (there, canceled) = (*now, Canceled::Now),
                Commit::Overtaken(Some(Part::Job(now))) => there = *now,
                Commit::Written(_) | Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
            },
        }
    }
    Err(OpsError::crowded(job))
}
