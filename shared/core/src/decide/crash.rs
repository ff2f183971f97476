//! What becomes of an attempt whose process died, as the one decides who outlived it.
//!
//! ```text
//!   crash 1            ─► visible at once, uncharged
//!   crash 2            ─► hidden for a while, uncharged; from here on every attempt has its worker to itself
//!   crash while alone  ─► hidden for a while, charged: nobody else can have been the cause
//! ```
//! Rule 8 of `docs/design.md`: one task that runs out of memory must not take its neighbours' attempts with it.

use super::entry;
use crate::backoff::{self, Jitter};
use crate::failure::ErrorText;
use crate::parts::{Job, JobStatus, Outcome, Task};
use crate::pipeline::Pipeline;
use crate::route;
use crate::shard::Shard;
use crate::time::Time;
use crate::write::{Claim, Footing, Write};

/// What is known of a claimed task after the crash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The job.
    pub job: Option<&'a Job>,
    /// The task.
    pub task: Option<&'a Task>,
    /// The shard that may hold the task's record, if it is there.
    pub shard: Option<&'a Shard>,
}

/// How to give a task back whose process died.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GivingBack {
    /// Carry out this write. Written, the message is hidden until that time; overtaken, it is made visible at once.
    End {
        /// The end of the attempt.
        write: Box<Write>,
        /// Until when to hide the message; in the past, it is visible at once.
        until: Time,
    },
    /// Make the message visible at once: the attempt is not the dead process's any more, or never was.
    Reveal,
}

/// Says how to give a claimed task back, once its process is gone and everything that it had started.
///
/// It stands on the claim, so that it does nothing to an attempt that is recorded, ended or taken over, however late it comes.
#[must_use]
pub fn give_back_after_crash(
    pipeline: &Pipeline,
    claim: &Claim,
    known: Known<'_>,
    jitter: Jitter,
    now: Time,
) -> GivingBack {
    let id = &claim.task;
    let Some(((job, task), step)) = known.job.zip(known.task).zip(pipeline.step(id.step())) else {
        return GivingBack::Reveal;
    };
    let is_final = step.name == pipeline.finalizer().name;
    let is_open = (job.status == JobStatus::Running) != is_final && task.closing == job.closing;
    let is_mine = task.attempt == claim.attempt && task.is_held_by(&claim.owner);
    if !is_open || !is_mine || route::record_of(pipeline, id, job, |_| known.shard).is_some() {
        return GivingBack::Reveal;
    }
    // A charged crash waits by all that came before it, failures too; one in company by the crashes alone.
    let before = if task.is_alone { task.crashed + task.charged } else { task.crashed };
    let wait = backoff::crash_wait(before + 1, jitter);
    let not_before = (!wait.is_zero()).then(|| now.plus(wait));
    let error = ErrorText::from(if task.is_alone { DIED_ALONE } else { DIED });
    let end = entry::end_of(task, Outcome::Crashed, WORKER_DIED, error, false, now);
    let ended = task.clone().ended(end, not_before);
    let is_over = entry::exhausted(id, job, &ended, step, now).is_some()
        || (!is_final && entry::out_of_time(pipeline, id, job, Some(&ended), step, now).is_some());
    let until = not_before.filter(|_| !is_over).unwrap_or(now);
    let footing = Footing::Mine { attempt: claim.attempt, owner: claim.owner.clone() };
    let write = Write::Task { task: id.clone(), footing, set: Box::new(ended) };
    GivingBack::End { write: Box::new(write), until }
}

/// The error's type, as the story tells it.
const WORKER_DIED: &str = "WorkerDied";
const DIED: &str = "its worker died, and every attempt in it: not charged";
const DIED_ALONE: &str =
    "its worker died while nothing else was at work in it: look at its memory limit and the log of the worker";
