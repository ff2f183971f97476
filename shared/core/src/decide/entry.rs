//! The writes that a drive makes: claims, ends, records, closings.

use core::time::Duration;

use super::{Drive, Output};
use crate::backoff::{self, Jitter};
use crate::failure::{ErrorText, Failure, Remedy};
use crate::ids::{TaskId, Which};
use crate::limits::{RESULT_BYTES_MAX, WIDTH_MAX};
use crate::parts::{Attempt, Closing, Done, Job, Lease, Outcome, Task, Verdict, expires_at};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::route::{self, Also, Span};
use crate::shard::Shard;
use crate::time::Time;
use crate::write::{Footing, Write};

/// The claim of a task that nobody is known to have claimed.
pub(super) fn first_claim(drive: &Drive, step: &CheckedStep, now: Time) -> Write {
    let set = Task {
        lease: Some(Lease { owner: drive.owner.clone(), until: now.plus(step.timeouts.heartbeat) }),
        ..Task::begun(1, drive.message.closing, now, expires_at(drive.message.deadline))
    };
    Write::Task { task: drive.message.task.clone(), footing: Footing::Absent, set: Box::new(set) }
}

/// The claim of the next attempt, on the task as it was seen.
pub(super) fn claim(drive: &Drive, closing: u32, step: &CheckedStep, now: Time) -> Write {
    let Some(seen) = drive.task() else {
        return match first_claim(drive, step, now) {
            Write::Task { task, footing, mut set } => {
                set.closing = closing;
                // An attempt without a claim was the first, and may have got as far as its record.
                set.attempt += u32::from(step.is_unclaimed);
                Write::Task { task, footing, set }
            }
            other => other,
        };
    };
    let footing = Footing::Seen { attempt: seen.attempt, lease_until: seen.lease.as_ref().map(|lease| lease.until) };
    let end = if seen.closing == closing { lapsed(seen, step, now) } else { left_behind(seen, now) };
    let mut set = match end {
        Some(end) => seen.clone().ended(end, None),
        None => seen.clone(),
    };
    if set.closing != closing {
        (set.charged, set.released, set.overloaded, set.crashed) = (0, 0, 0, 0);
    }
    set.attempt = seen.attempt + 1;
    set.closing = closing;
    set.started_at = now;
    set.lease = Some(Lease { owner: drive.owner.clone(), until: now.plus(step.timeouts.heartbeat) });
    set.not_before = None;
    set.is_alone = drive.is_alone;
    set.progress = None;
    Write::Task { task: drive.message.task.clone(), footing, set: Box::new(set) }
}

/// The end of an attempt of before a redrive, which takes its task over: it was under way when the job closed, or it was
/// recorded and is forgotten.
fn left_behind(task: &Task, now: Time) -> Option<Attempt> {
    task.lease.as_ref()?;
    let error = ErrorText::from("the job was redriven: what this attempt made does not count");
    Some(end_of(task, Outcome::Released, "Redriven", error, false, now))
}

/// The end of an attempt of which nothing was heard any more.
fn lapsed(task: &Task, step: &CheckedStep, now: Time) -> Option<Attempt> {
    let lease = task.lease.as_ref()?;
    let error =
        format!("no heartbeat for {} s: its worker died, hung or lost its network", step.timeouts.heartbeat.as_secs());
    Some(Attempt {
        attempt: task.attempt,
        closing: task.closing,
        started_at: task.started_at,
        ended_at: lease.until.min(now),
        outcome: Outcome::TimedOut,
        error_type: HEARTBEAT.to_owned(),
        error: ErrorText::from(error),
        is_final: false,
    })
}

/// The record of a completion, with the job's closing where it was the last task.
pub(crate) fn record(pipeline: &Pipeline, id: &TaskId, job: &Job, attempt: u32, output: Output, now: Time) -> Write {
    let done = Done { attempt, at: now, width: output.width, payload: None };
    if id.step() == &pipeline.finalizer().name {
        return Write::RecordFinal { task: id.clone(), closing: job.closing, done };
    }
    let is_last = route::is_all_complete(pipeline, job, Also::Record(id, &done));
    let result = output.result;
    let close = is_last.then(|| closing_completed(result.clone().or_else(|| job.result.clone()), now)).map(Box::new);
    Write::Record { task: id.clone(), closing: job.closing, done, result, close }
}

/// The record of an element of a wide step.
pub(super) fn record_element(id: &TaskId, span: Span, job: &Job, attempt: u32, now: Time) -> Write {
    let done = Done { attempt, at: now, width: None, payload: None };
    let element = element_of(id);
    Write::RecordElement { shard: span.shard, element, closing: job.closing, done, expires_at: job.expires_at }
}

/// The entry of a full shard in the job, with the job's closing where it was the last of all.
pub(super) fn fold(pipeline: &Pipeline, span: &Span, shard: &Shard, job: &Job, now: Time) -> Write {
    let at = shard.last_at().unwrap_or(now);
    let is_last = route::is_all_complete(pipeline, job, Also::Fold(&span.shard, at));
    let close = is_last.then(|| closing_completed(job.result.clone(), now));
    Write::Fold { shard: span.shard.clone(), closing: job.closing, at, close }
}

/// Rule 7: a job is closed for an element of a wide step once its tombstone keeps a record out.
pub(super) fn closing_of(drive: &Drive, job: &Job, span: Option<&Span>, close: Write) -> Write {
    buried_first(&drive.message.task, job, span, drive.shard.as_deref(), close)
}

/// The same for whoever is no drive.
pub(crate) fn buried_first(id: &TaskId, job: &Job, span: Option<&Span>, shard: Option<&Shard>, close: Write) -> Write {
    let element = element_of(id);
    let is_buried = shard.and_then(|shard| shard.closed.get(&element)) == Some(&job.closing);
    match span.filter(|_| !is_buried) {
        Some(span) => {
            let shard = span.shard.clone();
            Write::Bury { shard, element, closing: job.closing, expires_at: job.expires_at }
        }
        None => close,
    }
}

/// Whether the task has a tombstone of this closing.
pub(super) fn is_buried(drive: &Drive, job: &Job, span: Option<&Span>) -> bool {
    let buried = drive.shard.as_deref().and_then(|shard| shard.closed.get(&element_of(&drive.message.task)));
    span.is_some() && buried == Some(&job.closing)
}

const fn element_of(id: &TaskId) -> u32 {
    match id.which() {
        Which::Element(element) => element,
        Which::Only | Which::Closing(_) => 0,
    }
}

/// What a step made must be something that the job can keep.
pub(super) fn check_output(
    pipeline: &Pipeline,
    step: &CheckedStep,
    span: Option<&Span>,
    output: &Output,
) -> Result<(), Failure> {
    if span.is_some() && output.result.is_some() {
        return Err(Failure::fail(
            "ResultOfElement",
            format!("{} is mapped over a wide list: let the step that joins it make the job's result", step.name),
        ));
    }
    if output.result.as_ref().is_some_and(|result| result.len() > RESULT_BYTES_MAX) {
        return Err(Failure::fail(
            "ResultTooLong",
            format!("the result is over {RESULT_BYTES_MAX} bytes: store it and give its location"),
        ));
    }
    match output.width {
        None if pipeline.is_mapped_over(&step.name) => {
            Err(Failure::fail("NoList", format!("{} did not say how many elements its list has", step.name)))
        }
        Some(width) if width > WIDTH_MAX => {
            Err(Failure::fail("ListTooWide", format!("the list has {width} elements: at most {WIDTH_MAX}")))
        }
        _ => Ok(()),
    }
}

/// The closing of a job whose every task is recorded.
pub(crate) fn completed(job: &Job, now: Time) -> Write {
    Write::Close { closing: job.closing, entry: closing_completed(job.result.clone(), now) }
}

/// The entry of that closing.
pub(crate) const fn closing_completed(result: Option<String>, now: Time) -> Closing {
    Closing {
        verdict: Verdict::Completed,
        at: now,
        task: None,
        attempt: None,
        error_type: None,
        error: None,
        result,
        refund: None,
    }
}

/// The end of a failed attempt; none when this drive holds nothing.
pub(super) fn end_failed(
    drive: &Drive,
    step: &CheckedStep,
    failure: &Failure,
    jitter: Jitter,
    now: Time,
) -> Option<Write> {
    let task = drive.task().filter(|task| task.is_held_by(&drive.owner))?;
    let is_final = failure.remedy == Remedy::Fail || step.retry.non_retryable_error_types.contains(&failure.error_type);
    let by_policy = |asked: Duration| backoff::wait(&step.retry, task.charged + 1, jitter).max(asked);
    let (outcome, wait) = match failure.remedy {
        Remedy::Overload { after } if !is_final => {
            (Outcome::Overloaded, backoff::overload_wait(task.overloaded + 1, after.unwrap_or_default(), jitter))
        }
        // Without jitter: those who wait have each their own time.
        Remedy::Later { at } if !is_final => (Outcome::Overloaded, at.since(now)),
        Remedy::Later { at } => (Outcome::Failed, by_policy(at.since(now))),
        Remedy::Retry { after } | Remedy::Overload { after } => (Outcome::Failed, by_policy(after.unwrap_or_default())),
        Remedy::Fail => (Outcome::Failed, by_policy(Duration::ZERO)),
    };
    let end = end_of(task, outcome, &failure.error_type, failure.error.clone(), is_final, now);
    Some(ended(drive, task, end, Some(now.plus(wait))))
}

/// The end of an attempt that one of its timeouts ended; none when this drive holds nothing.
pub(super) fn end_timed_out(
    pipeline: &Pipeline,
    drive: &Drive,
    step: &CheckedStep,
    jitter: Jitter,
    now: Time,
) -> Option<Write> {
    let task = drive.task().filter(|task| task.is_held_by(&drive.owner))?;
    let (_, timeout) = cut_off(pipeline, &drive.message.task, drive.job()?, task, step);
    let error = format!("ended after {} s by its {timeout} timeout", now.since(task.started_at).as_secs());
    let wait = backoff::wait(&step.retry, task.charged + 1, jitter);
    let end = end_of(task, Outcome::TimedOut, timeout, ErrorText::from(error), false, now);
    Some(ended(drive, task, end, Some(now.plus(wait))))
}

/// The end of an attempt that is given back; none when this drive holds nothing.
pub(super) fn end_released(drive: &Drive, error_type: &str, error: ErrorText, now: Time) -> Option<Write> {
    let task = drive.task().filter(|task| task.is_held_by(&drive.owner))?;
    let end = end_of(task, Outcome::Released, error_type, error, false, now);
    Some(ended(drive, task, end, None))
}

/// The end of an attempt that was claimed before its drive learned that its step is paused; none where nothing was written.
pub(super) fn end_paused(drive: &Drive, now: Time) -> Option<Write> {
    let error = ErrorText::from("its job or step is paused");
    end_released(drive, "Paused", error, now).filter(|_| !drive.is_unclaimed)
}

/// The end of an attempt that was claimed before its drive learned that its inputs are not recorded, as after a redrive from
/// a step; none where nothing was written.
pub(super) fn end_early(drive: &Drive, now: Time) -> Option<Write> {
    let error = ErrorText::from("its inputs are not recorded");
    end_released(drive, "TooEarly", error, now).filter(|_| !drive.is_unclaimed)
}

pub(super) fn end_of(
    task: &Task,
    outcome: Outcome,
    error_type: &str,
    error: ErrorText,
    is_final: bool,
    now: Time,
) -> Attempt {
    Attempt {
        attempt: task.attempt,
        closing: task.closing,
        started_at: task.started_at,
        ended_at: now,
        outcome,
        error_type: error_type.to_owned(),
        error,
        is_final,
    }
}

fn ended(drive: &Drive, task: &Task, end: Attempt, not_before: Option<Time>) -> Write {
    Write::Task {
        task: drive.message.task.clone(),
        footing: if drive.is_unclaimed {
            Footing::Absent
        } else {
            Footing::Mine { attempt: task.attempt, owner: drive.owner.clone() }
        },
        set: Box::new(task.clone().ended(end, not_before)),
    }
}

/// The closing of a job whose task may not be tried again; none while it may.
pub(crate) fn exhausted(id: &TaskId, job: &Job, task: &Task, step: &CheckedStep, now: Time) -> Option<Write> {
    let end = last_straw(job, task, step, now)?;
    let verdict = if end.outcome == Outcome::TimedOut { Verdict::TimedOut } else { Verdict::Failed };
    Some(close(job, verdict, id, Some(end.attempt), &end.error_type, end.error, now))
}

/// The end of a last attempt of which nothing was heard any more, written before the job is closed for it.
///
/// It stands on the lapsed lease as it was seen: an owner that renewed it, or gave the attempt back, meanwhile keeps the
/// job running. And the story has the end of the last attempt like that of every other.
pub(crate) fn end_lapsed(id: &TaskId, job: &Job, task: &Task, step: &CheckedStep, now: Time) -> Option<Write> {
    let until = task.lease.as_ref()?.until;
    let end = last_straw(job, task, step, now)?;
    let footing = Footing::Seen { attempt: task.attempt, lease_until: Some(until) };
    Some(Write::Task { task: id.clone(), footing, set: Box::new(task.clone().ended(end, None)) })
}

/// Why a task may not be tried again; none while it may.
pub(super) fn exhausted_reason(job: &Job, task: &Task, step: &CheckedStep) -> Option<String> {
    last_straw(job, task, step, Time(u64::MAX)).map(|end| format!("{}: {}", end.error_type, end.error))
}

/// The attempt after which there is no other. The caller has seen that no other owner's lease holds any more.
fn last_straw(job: &Job, task: &Task, step: &CheckedStep, now: Time) -> Option<Attempt> {
    if task.closing != job.closing {
        return None;
    }
    if let Some(end) = lapsed(task, step, now) {
        return (task.charged + 1 >= step.retry.maximum_attempts).then_some(end);
    }
    let last = task.attempts.last().filter(|last| last.closing == job.closing)?;
    (last.is_final || task.charged >= step.retry.maximum_attempts).then(|| last.clone())
}

/// The closing of a job whose task has no time left; none while it has.
pub(crate) fn out_of_time(
    pipeline: &Pipeline,
    id: &TaskId,
    job: &Job,
    task: Option<&Task>,
    step: &CheckedStep,
    now: Time,
) -> Option<Write> {
    let of_now = task.filter(|task| task.closing == job.closing);
    let next = of_now.and_then(|task| task.not_before).unwrap_or(now).max(now);
    let scheduled = route::scheduled_at(pipeline, id, job)?;
    let began = of_now.map(|task| {
        let earliest = task.attempts.iter().find(|attempt| attempt.closing == job.closing);
        earliest.map_or(task.started_at, |attempt| attempt.started_at)
    });
    // A task whose first attempt began in time has kept this timeout for good.
    // It stands still while the step is paused, and counts anew once something was resumed.
    let counts_from = scheduled.max(job.paused.as_ref().and_then(|pause| pause.resumed_at).unwrap_or_default());
    let start_by = step.timeouts.schedule_to_start.map(|span| counts_from.plus(span));
    let start_by = start_by
        .filter(|_| !job.is_paused(&step.name))
        .filter(|bound| began.unwrap_or(now) >= *bound)
        .map(|bound| (bound, SCHEDULE_TO_START));
    let bounds = [(scheduled.plus(step.timeouts.schedule_to_close), SCHEDULE_TO_CLOSE), (job.deadline, JOB_DEADLINE)];
    let (_, timeout) =
        bounds.into_iter().chain(start_by).filter(|(bound, _)| next >= *bound).min_by_key(|(bound, _)| *bound)?;
    let last = of_now.and_then(|task| task.attempts.last()).filter(|last| last.closing == job.closing);
    let error = match last {
        Some(last) => format!(
            "no attempt may begin after its {timeout} timeout; attempt {} ended with {}: {}",
            last.attempt, last.error_type, last.error
        ),
        None => format!("no attempt may begin after its {timeout} timeout"),
    };
    Some(close(job, Verdict::TimedOut, id, of_now.map(|task| task.attempt), timeout, ErrorText::from(error), now))
}

/// When to end a running attempt, and by which timeout.
pub(super) fn cut_off(
    pipeline: &Pipeline,
    id: &TaskId,
    job: &Job,
    task: &Task,
    step: &CheckedStep,
) -> (Time, &'static str) {
    let own = (task.started_at.plus(step.timeouts.start_to_close), START_TO_CLOSE);
    if id.step() == &pipeline.finalizer().name {
        return own;
    }
    let scheduled = route::scheduled_at(pipeline, id, job).unwrap_or(task.started_at);
    let all = (scheduled.plus(step.timeouts.schedule_to_close), SCHEDULE_TO_CLOSE);
    [own, all, (job.deadline, JOB_DEADLINE)].into_iter().min_by_key(|(bound, _)| *bound).unwrap_or(own)
}

/// The closing of a job for one of its tasks.
pub(crate) fn close(
    job: &Job,
    verdict: Verdict,
    id: &TaskId,
    attempt: Option<u32>,
    error_type: &str,
    error: ErrorText,
    now: Time,
) -> Write {
    let entry = Closing {
        verdict,
        at: now,
        task: Some(id.clone()),
        attempt,
        error_type: Some(error_type.to_owned()),
        error: Some(error),
        result: None,
        refund: None,
    };
    Write::Close { closing: job.closing, entry }
}

/// The names of the timeouts, as the story tells them.
const START_TO_CLOSE: &str = "StartToClose";
const SCHEDULE_TO_CLOSE: &str = "ScheduleToClose";
const SCHEDULE_TO_START: &str = "ScheduleToStart";
pub(crate) const JOB_DEADLINE: &str = "JobDeadline";
const HEARTBEAT: &str = "Heartbeat";
