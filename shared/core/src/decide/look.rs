//! What to do, given what is known now. Every path of a drive comes through here.

use core::time::Duration;

use super::{Act, Drive, Step, dead_letter, entry};
use crate::ids::{TaskId, Which};
use crate::limits::CLOCK_SKEW_MAX;
use crate::message::Message;
use crate::parts::{Job, JobStatus, Task};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::route;
use crate::time::Time;

/// How long a message rests when others win every race for its task.
pub(super) const CROWDED_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn look(pipeline: &Pipeline, drive: &Drive, step: &CheckedStep, now: Time) -> Step {
    let id = &drive.message.task;
    let Some(job) = drive.job() else {
        return Step::Settle(vec![Act::DeadLetter(format!(
            "there is no job {:?} in the table",
            drive.message.job.as_str()
        ))]);
    };
    if let Err(foreign) = route::belongs(pipeline, id, Some(job)) {
        return dead_letter(drive, foreign);
    }
    if let Which::Closing(closing) = id.which() {
        return look_final(drive, job, step, closing, now);
    }
    if job.status != JobStatus::Running {
        return settle_closed(pipeline, job);
    }
    if job.done.contains_key(id) {
        return settle_recorded(pipeline, job, id, now);
    }
    if !route::is_ready(pipeline, step, job) {
        return Step::Settle(vec![Act::Acknowledge]);
    }
    if let Some(task) = drive.task() {
        if task.is_held_by(&drive.owner) && task.closing == job.closing {
            return look_held(pipeline, drive, job, task, step, now);
        }
        if let Some(until) = held_until(drive, task).filter(|until| *until > now) {
            return Step::Settle(vec![Act::Hide(until)]);
        }
        if let Some(end) = entry::end_lapsed(id, job, task, step, now) {
            return Step::Commit(end);
        }
        if let Some(entry) = entry::exhausted(id, job, task, step, now) {
            return Step::Commit(entry);
        }
    }
    if let Some(close) = entry::out_of_time(pipeline, id, job, drive.task(), step, now) {
        return Step::Commit(close);
    }
    claim_or_wait(drive, job, step, now)
}

/// This drive holds the task: it may work, once it knows the job as it was after its claim.
fn look_held(pipeline: &Pipeline, drive: &Drive, job: &Job, task: &Task, step: &CheckedStep, now: Time) -> Step {
    // Rule 3: what a later claim replaces may have been recorded between load and claim.
    if task.attempt > 1 && !drive.is_fresh {
        return Step::LoadJob;
    }
    let id = &drive.message.task;
    if let Some(close) = entry::out_of_time(pipeline, id, job, Some(task), step, now) {
        return Step::Commit(close);
    }
    let (until, _) = entry::cut_off(pipeline, id, job, task, step);
    Step::Work { attempt: task.attempt, until }
}

fn look_final(drive: &Drive, job: &Job, step: &CheckedStep, closing: u32, now: Time) -> Step {
    let id = &drive.message.task;
    let is_over = job.status == JobStatus::Running || job.closing != closing || job.done.contains_key(id);
    if is_over || job.closings.get(closing as usize).is_none() {
        return Step::Settle(vec![Act::Acknowledge]);
    }
    if let Some(task) = drive.task() {
        if task.is_held_by(&drive.owner) {
            let must_reload = task.attempt > 1 && !drive.is_fresh;
            let until = task.started_at.plus(step.timeouts.start_to_close);
            return if must_reload { Step::LoadJob } else { Step::Work { attempt: task.attempt, until } };
        }
        if let Some(until) = held_until(drive, task).filter(|until| *until > now) {
            return Step::Settle(vec![Act::Hide(until)]);
        }
        if let Some(end) = entry::end_lapsed(id, job, task, step, now) {
            return Step::Commit(end);
        }
        if let Some(reason) = entry::exhausted_reason(job, task, step) {
            return Step::Settle(vec![Act::DeadLetter(format!("{id} failed for good: {reason}"))]);
        }
    }
    claim_or_wait(drive, job, step, now)
}

/// Until when another owner may hold the task, by a clock that may be off.
fn held_until(drive: &Drive, task: &Task) -> Option<Time> {
    let lease = task.lease.as_ref()?;
    (lease.owner != drive.owner).then(|| lease.until.plus(CLOCK_SKEW_MAX))
}

fn claim_or_wait(drive: &Drive, job: &Job, step: &CheckedStep, now: Time) -> Step {
    match drive.task().and_then(|task| task.not_before).filter(|not_before| *not_before > now) {
        Some(not_before) => Step::Settle(vec![Act::Hide(not_before)]),
        None => Step::Commit(entry::claim(drive, job.closing, step, now)),
    }
}

/// Rule 1: the successors of a recorded task, but none that is recorded itself.
fn settle_recorded(pipeline: &Pipeline, job: &Job, id: &TaskId, now: Time) -> Step {
    if route::is_all_complete(pipeline, job, None) {
        return Step::Commit(entry::completed(job, now));
    }
    let next: Vec<_> =
        route::successors(pipeline, id.step(), job).into_iter().map(|task| Message::to(pipeline, job, task)).collect();
    Step::Settle(sending(next))
}

/// Rule 2: a closed job's notification, unless it is recorded.
fn settle_closed(pipeline: &Pipeline, job: &Job) -> Step {
    let id = TaskId::closing(pipeline.finalizer().name.clone(), job.closing);
    let is_due = job.closings.get(job.closing as usize).is_some() && !job.done.contains_key(&id);
    let next = if is_due { vec![Message::to(pipeline, job, id)] } else { Vec::new() };
    Step::Settle(sending(next))
}

fn sending(messages: Vec<Message>) -> Vec<Act> {
    if messages.is_empty() { vec![Act::Acknowledge] } else { vec![Act::Send(messages), Act::Acknowledge] }
}
