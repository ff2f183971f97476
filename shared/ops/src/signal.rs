//! Signals: what a job waits for is sent to it, or rejected.

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::wait::{Refused, Rejecting, Signaling, reject as plan_reject, signal as plan_signal};
use qsketch_core::{Commit, JobId, Part, Time, Write};
use qsketch_runtime::Ports;
use qsketch_video::pipeline::APPROVE;

use crate::cancel::Canceled;
use crate::error::OpsError;
use crate::send::send;
use crate::show::load_pipeline;

/// What a signal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signaled {
    /// Whether the wait was over before: the first signal counts.
    pub is_again: bool,
    /// When the wait ended.
    pub at: Time,
    /// What came with the signal that counts, as JSON.
    pub payload: Option<String>,
    /// How many messages were sent: those of the tasks that it made ready.
    pub sent: usize,
}

/// Sends a job the signal of this name, with a payload of JSON. It need not wait for it yet: then it never waits.
///
/// To send it again is safe: the first one counts, and what it made ready is sent once more, which changes nothing unless
/// that was lost.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::Refused`] and [`OpsError::BadQuestion`] with the reason; [`OpsError::Port`]: to send
/// it again then mends what is missing.
pub async fn signal(ports: &Ports, job: &JobId, name: &str, payload: Option<&str>) -> Result<Signaled, OpsError> {
    let mut there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    let pipeline = load_pipeline(ports, &there.pipeline_hash, job).await?;
    let mut is_again = true;
    for _ in 0..COMMITS_MAX {
        match plan_signal(&pipeline, &there, name, payload, ports.clock.now()) {
            Signaling::Is { done, messages } => {
                send(ports, &there, &messages).await?;
                return Ok(Signaled { is_again, at: done.at, payload: done.payload, sent: messages.len() });
            }
            Signaling::Refused(refused) => return Err(refusal(job, &refused, "signaled")),
            Signaling::Write(write) => match ports.table.commit(job, &write).await? {
                Commit::Written(Part::Job(now)) => {
                    (there, is_again) = (*now, is_again && !matches!(write, Write::Record { .. }));
                }
                Commit::Overtaken(Some(Part::Job(now))) => there = *now,
                Commit::Written(_) | Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
            },
        }
    }
    Err(OpsError::crowded(job))
}

/// Approves a job that waits for it, or will.
///
/// # Errors
/// As [`signal`].
pub async fn approve(ports: &Ports, job: &JobId) -> Result<Signaled, OpsError> {
    signal(ports, job, APPROVE, None).await
}

/// Rejects a job that waits for its approval, or will: it is canceled for this reason. To reject again is safe.
///
/// # Errors
/// As [`signal`]; [`OpsError::Refused`] when it was approved before.
pub async fn reject(ports: &Ports, job: &JobId, reason: &str) -> Result<Canceled, OpsError> {
    let mut there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    let pipeline = load_pipeline(ports, &there.pipeline_hash, job).await?;
    let mut canceled = Canceled::Before;
    for _ in 0..COMMITS_MAX {
        match plan_reject(&pipeline, &there, APPROVE, reason, ports.clock.now()) {
            Rejecting::Notify(message) => {
                send(ports, &there, message.as_slice()).await?;
                return Ok(canceled);
            }
            Rejecting::Refused(refused) => return Err(refusal(job, &refused, "rejected")),
            Rejecting::Write(write) => match ports.table.commit(job, &write).await? {
                Commit::Written(Part::Job(now)) => (there, canceled) = (*now, Canceled::Now),
                Commit::Overtaken(Some(Part::Job(now))) => there = *now,
                Commit::Written(_) | Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
            },
        }
    }
    Err(OpsError::crowded(job))
}

fn refusal(job: &JobId, refused: &Refused, verb: &'static str) -> OpsError {
    match refused {
        Refused::NoSuchSignal { .. } | Refused::NotJson(_) | Refused::TooLong(_) => {
            OpsError::BadQuestion { problem: format!("job {job}: {refused}") }
        }
        Refused::Queued | Refused::Closed(_) | Refused::Taken { .. } => {
            OpsError::Refused { job: job.clone(), verb, reason: refused.to_string() }
        }
    }
}
