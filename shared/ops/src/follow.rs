//! Following a job until it closes, by looking at its parts.

use core::time::Duration;

use qsketch_core::story::{Story, TaskStatus};
use qsketch_core::{JobId, JobStatus, Pipeline, Time};
use qsketch_runtime::ports::{Parts, Remedy};
use qsketch_runtime::{PortError, Ports};

use crate::error::OpsError;
use crate::show::{load_pipeline, tell};

/// How soon a job is looked at again while it changes.
pub const LOOK_FIRST: Duration = Duration::from_millis(300);

/// How long a look is put off at most while nothing changes.
pub const LOOK_MAX: Duration = Duration::from_secs(2);

/// How long a submission may take to become a job.
pub const TAKEN_MAX: Duration = Duration::from_secs(120);

/// How long past its deadline a job may close: a sweep that looks for such jobs needs its time.
pub const LATE_MAX: Duration = Duration::from_secs(300);

/// How many looks in a row may fail before following is given up.
pub const FAILURES_MAX: u32 = 10;

/// Until when to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the job is closed.
    Closed,
    /// Until the notification of its closing is recorded too, or this long after the closing.
    Notified(Duration),
}

/// Follows a job to its end: calls `on_update` with each story that differs from the one before; the last story.
///
/// `content_hash` is that of our own submission, where there is one: a job under the same id with another content is not
/// ours.
///
/// # Errors
/// [`OpsError::IdTaken`]; [`OpsError::NotTaken`] when the job does not appear within [`TAKEN_MAX`];
/// [`OpsError::Stalled`] when it is open [`LATE_MAX`] after its deadline; [`OpsError::Port`] when [`FAILURES_MAX`] looks
/// in a row failed, or one that no repetition mends.
pub async fn follow(
    ports: &Ports,
    job: &JobId,
    content_hash: Option<&str>,
    until: Until,
    mut on_update: impl FnMut(&Story),
) -> Result<Story, OpsError> {
    let began = ports.clock.now();
    let (mut last, mut pause, mut failures) = (None::<Story>, LOOK_FIRST, 0);
    let mut pipeline = None::<Pipeline>;
    loop {
        match look(ports, job, content_hash, &mut pipeline).await {
            Ok(story) => {
                failures = 0;
                if story.is_some() && story != last {
                    (last, pause) = (story, LOOK_FIRST);
                    last.iter().for_each(&mut on_update);
                } else {
                    pause = (pause * 5 / 4).min(LOOK_MAX);
                }
            }
            Err(OpsError::Port(error)) if error.remedy() == Remedy::Retry && failures < FAILURES_MAX => {
                failures += 1;
                pause = (pause * 2).min(LOOK_MAX);
            }
            Err(error) => return Err(error),
        }
        let now = ports.clock.now();
        match &last {
            Some(story) if is_over(story, until, now) => return Ok(story.clone()),
            Some(story) if story.status == JobStatus::Running && now.since(story.deadline) > LATE_MAX => {
                return Err(OpsError::Stalled { job: job.clone(), late: now.since(story.deadline) });
            }
            None if failures == 0 && now.since(began) > TAKEN_MAX => {
                return Err(OpsError::NotTaken { job: job.clone(), waited: now.since(began) });
            }
            Some(_) | None => tokio::time::sleep(pause).await,
        }
    }
}

async fn look(
    ports: &Ports,
    job: &JobId,
    content_hash: Option<&str>,
    pipeline: &mut Option<Pipeline>,
) -> Result<Option<Story>, OpsError> {
    let parts = ports.table.load_parts(job).await.map_err(|error: PortError| OpsError::Port(error))?;
    if let (Some(ours), Some(input)) = (content_hash, &parts.input)
        && input.content_hash != ours
    {
        return Err(OpsError::IdTaken { job: job.clone() });
    }
    let Parts { job: Some(there), .. } = &parts else { return Ok(None) };
    let known = match pipeline.take().filter(|known| *known.hash() == there.pipeline_hash) {
        Some(known) => known,
        None => load_pipeline(ports, &there.pipeline_hash, job).await?,
    };
    Ok(tell(pipeline.insert(known), &parts))
}

fn is_over(story: &Story, until: Until, now: Time) -> bool {
    let Some(closed_at) = story.closed_at else { return story.status.is_closed() };
    match until {
        Until::Closed => true,
        Until::Notified(patience) => {
            let notified = story.tasks.last().is_some_and(|task| task.status == TaskStatus::Completed);
            notified || now.since(closed_at) >= patience
        }
    }
}
