//! Deleting a job for good: its files, its parts, and with them its story.

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::redrive::is_told;
use qsketch_core::{Commit, Job, JobId, JobStatus, Part, TaskId, Write};
use qsketch_runtime::{Eraser, Ports};
use serde::Serialize;

use crate::error::OpsError;
use crate::show::load_pipeline;

/// What was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// How many files of the bucket.
    pub files: u64,
    /// How many parts of the table.
    pub parts: u64,
}

/// Deletes a closed job with all its files and parts. Its id is free again afterwards.
///
/// First its time in the table is ended, which keeps a redrive out; then its files go, then its parts, the part `job` last:
/// whatever stops it, to delete again goes on where it stopped.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::Refused`] while it runs or its notification is not sent; [`OpsError::Port`].
pub async fn delete(ports: &Ports, eraser: &dyn Eraser, job: &JobId) -> Result<Deleted, OpsError> {
    let mut there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    for _ in 0..COMMITS_MAX {
        if let Some(reason) = objection(ports, &there).await? {
            return Err(OpsError::Refused { job: job.clone(), verb: "deleted", reason });
        }
        let write = Write::Expire { closing: there.closing, expires_at: ports.clock.now().epoch_secs() };
        match ports.table.commit(job, &write).await? {
            Commit::Written(_) => {
                let files = eraser.erase_files(&format!("jobs/{job}/")).await?;
                let parts = eraser.erase_parts(job).await?;
                return Ok(Deleted { files, parts });
            }
            Commit::Overtaken(Some(Part::Job(now))) => there = *now,
            Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
        }
    }
    Err(OpsError::crowded(job))
}

/// Why a job can't be deleted now, and what to do; none where it can.
async fn objection(ports: &Ports, job: &Job) -> Result<Option<String>, OpsError> {
    if job.status == JobStatus::Queued {
        return Ok(Some("it is QUEUED; cancel it first".to_owned()));
    }
    if job.status == JobStatus::Running {
        return Ok(Some("it runs; cancel it first".to_owned()));
    }
    if job.status == JobStatus::Rejected {
        return Ok(None);
    }
    let pipeline = load_pipeline(ports, &job.pipeline_hash, &job.job_id).await?;
    let told = TaskId::closing(pipeline.finalizer().name.clone(), job.closing);
    let finalizer = ports.table.load_task(&job.job_id, &told).await?;
    let is_told = is_told(&pipeline, job, finalizer.as_ref());
    Ok((!is_told).then(|| "the notification of its closing is not sent yet; try again in a moment".to_owned()))
}
