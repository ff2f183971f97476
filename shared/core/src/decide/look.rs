//! What to do, given what is known now. Every path of a drive comes through here.

use core::time::Duration;

use super::{Act, Drive, Step, dead_letter, entry};
use crate::failure::{ErrorText, PANIC};
use crate::ids::{TaskId, Which};
use crate::limits::CLOCK_SKEW_MAX;
use crate::message::Message;
use crate::parts::{Job, JobStatus, Task};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::route::{self, Also, Span};
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
    if job.status == JobStatus::Queued {
        // Nobody has sent it yet; whoever starts the job does.
        return entry::end_early(drive, now).map_or_else(|| Step::Settle(vec![Act::Acknowledge]), Step::Commit);
    }
    if job.status != JobStatus::Running {
        return settle_closed(pipeline, drive, job);
    }
    let span = route::span_of(pipeline, id, job);
    if let Some(span) = &span {
        if let Some(step) = look_wide(pipeline, drive, job, span, now) {
            return step;
        }
    } else if job.done.contains_key(id) {
        return settle_recorded(pipeline, job, id, now);
    }
    if !route::is_ready(pipeline, step, job) {
        // It may have been claimed beside the load that tells: whoever makes it ready must not wait for that lease.
        return entry::end_early(drive, now).map_or_else(|| Step::Settle(vec![Act::Acknowledge]), Step::Commit);
    }
    let close = |close| Step::Commit(entry::closing_of(drive, job, span.as_ref(), close));
    if let Some(task) = drive.task() {
        if task.closing > job.closing {
            // The job was opened again after it was read.
            return Step::Load;
        }
        if task.is_held_by(&drive.owner) && task.closing == job.closing {
            return look_held(pipeline, drive, job, task, step, span.as_ref(), now);
        }
        // The lease of an older closing is nobody's: its holder ends at its next heartbeat.
        let of_now = held_until(drive, task).filter(|_| task.closing == job.closing);
        if let Some(until) = of_now.filter(|until| *until > now) {
            return Step::Settle(vec![Act::Hide(until)]);
        }
        if let Some(end) = entry::end_lapsed(id, job, task, step, now) {
            return Step::Commit(end);
        }
        if let Some(used_up) = entry::exhausted(id, job, task, step, now) {
            return close(used_up);
        }
    }
    if let Some(gone) = entry::out_of_time(pipeline, id, job, drive.task(), step, now) {
        return close(gone);
    }
    if entry::is_buried(drive, job, span.as_ref()) {
        return buried(now);
    }
    if job.is_paused(&step.name) {
        return paused();
    }
    claim_or_wait(drive, job, step, now)
}

/// Rule 12: nothing begins; whoever resumes sends what is ready then.
fn paused() -> Step {
    Step::Settle(vec![Act::Acknowledge])
}

/// An element of a wide step that is recorded: its shard is folded once it is full; until then others are at it.
fn look_wide(pipeline: &Pipeline, drive: &Drive, job: &Job, span: &Span, now: Time) -> Option<Step> {
    let id = &drive.message.task;
    if job.folded.contains_key(&span.shard) {
        return Some(settle_recorded(pipeline, job, id, now));
    }
    let shard = drive.shard.as_deref()?;
    let Which::Element(element) = id.which() else { return None };
    shard.done.get(&element)?;
    if span.is_full(shard) {
        return Some(Step::Commit(entry::fold(pipeline, span, shard, job, now)));
    }
    Some(Step::Settle(vec![Act::Acknowledge]))
}

/// Somebody whose clock is ahead of ours has decided that the job closes for this task, and is about to close it.
fn buried(now: Time) -> Step {
    Step::Settle(vec![Act::Hide(now.plus(CROWDED_PAUSE))])
}

/// This drive holds the task: it may work, once it knows the job as it was after its claim.
fn look_held(
    pipeline: &Pipeline,
    drive: &Drive,
    job: &Job,
    task: &Task,
    step: &CheckedStep,
    span: Option<&Span>,
    now: Time,
) -> Step {
    // Rule 3: what a later claim replaces may have been recorded between load and claim.
    if task.attempt > 1 && !drive.is_fresh {
        return Step::LoadJob;
    }
    let id = &drive.message.task;
    if let Some(gone) = entry::out_of_time(pipeline, id, job, Some(task), step, now) {
        return Step::Commit(entry::closing_of(drive, job, span, gone));
    }
    if entry::is_buried(drive, job, span) {
        return buried(now);
    }
    if job.is_paused(&step.name) {
        // It was claimed beside the load that tells.
        return entry::end_paused(drive, now).map_or_else(paused, Step::Commit);
    }
    let (until, _) = entry::cut_off(pipeline, id, job, task, step);
    Step::Work { attempt: task.attempt, until }
}

fn look_final(drive: &Drive, job: &Job, step: &CheckedStep, closing: u32, now: Time) -> Step {
    let id = &drive.message.task;
    let is_over = !job.status.is_closed() || job.closing != closing || job.done.contains_key(id);
    if is_over || job.closings.get(closing as usize).is_none() {
        return settle_final(job, Act::Acknowledge);
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
            return settle_final(job, Act::DeadLetter(format!("{id} failed for good: {reason}")));
        }
    }
    claim_or_wait(drive, job, step, now)
}

/// A closing that is told of, or can't be: the job's place goes to whoever waits for one.
fn settle_final(job: &Job, last: Act) -> Step {
    let vacate = job.is_capped.then_some(Act::Vacate);
    Step::Settle(vacate.into_iter().chain([last]).collect())
}

/// Until when another owner may hold the task, by a clock that may be off.
fn held_until(drive: &Drive, task: &Task) -> Option<Time> {
    let lease = task.lease.as_ref()?;
    (lease.owner != drive.owner).then(|| lease.until.plus(CLOCK_SKEW_MAX))
}

fn claim_or_wait(drive: &Drive, job: &Job, step: &CheckedStep, now: Time) -> Step {
    // A redrive begins at once: the wait before it was for the closing before.
    let of_now = drive.task().filter(|task| task.closing == job.closing);
    if let Some(not_before) = of_now.and_then(|task| task.not_before).filter(|not_before| *not_before > now) {
        return Step::Settle(vec![Act::Hide(not_before)]);
    }
    // Rule 8: asked before the claim, so that no timeout of the attempt runs while it waits for its neighbours.
    if !drive.is_alone && drive.task().is_some_and(|task| task.must_be_alone(job.closing)) {
        return Step::BeAlone;
    }
    Step::Commit(entry::claim(drive, job.closing, step, now))
}

/// Rule 1: the successors of a recorded task, but none that is recorded itself.
fn settle_recorded(pipeline: &Pipeline, job: &Job, id: &TaskId, now: Time) -> Step {
    if route::is_all_complete(pipeline, job, Also::Nothing) {
        return Step::Commit(entry::completed(job, now));
    }
    Step::Settle(sending(Message::to_all(pipeline, job, route::successors(pipeline, id.step(), job))))
}

/// Rule 2: a closed job's notification, unless it is recorded. The message of a task that failed for good by a panic goes
/// to the dead letters: it is poison, and whoever mends the handler finds it there.
fn settle_closed(pipeline: &Pipeline, drive: &Drive, job: &Job) -> Step {
    let mut acts = sending(Message::to_finalizer(pipeline, job).into_iter().collect());
    if let Some(reason) = poison(drive, job) {
        acts.pop();
        acts.push(Act::DeadLetter(reason));
    }
    Step::Settle(acts)
}

fn poison(drive: &Drive, job: &Job) -> Option<String> {
    let Message { task, closing, .. } = &drive.message;
    let entry = job.closings.last().filter(|_| *closing == job.closing)?;
    if entry.task.as_ref() != Some(task) || entry.error_type.as_deref() != Some(PANIC) {
        return None;
    }
    let error = entry.error.as_ref().map(ErrorText::as_str).unwrap_or_default();
    Some(format!("{task} failed for good, its attempt {} panicked: {error}", entry.attempt.unwrap_or_default()))
}

fn sending(messages: Vec<Message>) -> Vec<Act> {
    if messages.is_empty() { vec![Act::Acknowledge] } else { vec![Act::Send(messages), Act::Acknowledge] }
}
