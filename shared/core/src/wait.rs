//! Waits: steps that end by a signal, or when a time is over. None of them has a message, so that days cost nothing.
//!
//! ```text
//!   signal ───────┐                                    ┌─► the messages of what became ready
//!                 ├─► Record, attempt 1 ─► the job ────┤
//!   due (timer) ──┘                                    └─► closed, if it was the last task: its notification
//!   due (time-out) ─► Close, TIMED_OUT ─► the notification
//! ```
//! Rule 12: a signal is the completion of its wait task, accepted before its inputs are ready. (Whoever asks "does it wait?"
//! and then wakes it loses wake-ups.) It is recorded like every completion, so that twice counts once, and a wait that is
//! recorded early is complete once its inputs are ([`route::is_complete`]).
//!
//! Whoever records a wait sends what follows; a signal that is sent again sends it again. And before it is recorded, the next
//! look at the job is moved near, so that the reconciler finds what a sender lost who died in between.
//!
//! Nobody but the reconciler looks at a wait's times: it asks [`look_by`] when to look, and carries out [`due`].

use core::time::Duration;

use crate::cancel;
use crate::decide::Output;
use crate::decide::entry::{self, JOB_DEADLINE};
use crate::failure::ErrorText;
use crate::ids::{SignalName, TaskId};
use crate::limits::{PATIENCE, PAYLOAD_BYTES_MAX, PAYLOAD_READ_MAX};
use crate::message::Message;
use crate::parts::{Done, Job, JobStatus, Verdict};
use crate::pipeline::{CheckedStep, Pipeline, Wait};
use crate::route::{self, Also};
use crate::time::Time;
use crate::write::Write;

/// The error's type of the closing of a job whose wait had no time left.
pub const WAIT_TIMEOUT: &str = "WaitTimeout";

/// What to do with a signal, given the job as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signaling {
    /// Carry this write out, and look at the job again.
    Write(Write),
    /// It is recorded: the messages of what it made ready are due, should they have been lost.
    Is {
        /// The wait's record.
        done: Done,
        /// The messages.
        messages: Vec<Message>,
    },
    /// It can't be taken.
    Refused(Refused),
}

/// Why a signal can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The job has not begun.
    #[error("it is QUEUED, and waits for nothing yet: it starts by itself once its tenant has room for it")]
    Queued,
    /// The job has closed.
    #[error("it is {}: only a job that runs takes signals", .0.as_str())]
    Closed(JobStatus),
    /// Its graph waits for no such signal.
    #[error("no step of it waits for {signal:?}; {}", waits_for(known))]
    NoSuchSignal {
        /// The signal.
        signal: String,
        /// The signals that steps wait for.
        known: Vec<String>,
    },
    /// The wait to be rejected is recorded.
    #[error("its signal {signal:?} was taken at {at}; to stop it all the same: qsketch cancel")]
    Taken {
        /// The signal.
        signal: String,
        /// When.
        at: Time,
    },
    /// What comes with it is no JSON.
    #[error("its payload is not JSON ({0}); text needs quotes around it: '\"text\"'")]
    NotJson(String),
    /// What comes with it is too long.
    #[error("its payload has {0} bytes: at most {PAYLOAD_BYTES_MAX} are kept; store it and send its location")]
    TooLong(usize),
}

fn waits_for(known: &[String]) -> String {
    match known {
        [] => "it waits for no signal at all".to_owned(),
        known => format!("it has {}", known.join(", ")),
    }
}

/// What to do with a signal of this name, given the job as it is now.
///
/// To send it again is safe: the first one counts, and what it made ready is sent once more.
#[must_use]
pub fn signal(pipeline: &Pipeline, job: &Job, name: &str, payload: Option<&str>, now: Time) -> Signaling {
    let (id, payload) = match waiting_for(pipeline, name).and_then(|id| Ok((id, payload.map(compact).transpose()?))) {
        Ok(found) => found,
        Err(refused) => return Signaling::Refused(refused),
    };
    if let Some(done) = job.done.get(&id) {
        return Signaling::Is { done: done.clone(), messages: messages(pipeline, job, &id) };
    }
    match job.status {
        JobStatus::Running => {
            // Of a job that only waits the next look may be hours away: what the signal makes ready must not be lost till then.
            let soon = now.plus(PATIENCE);
            let far = job.check_at.filter(|at| *at > soon);
            Signaling::Write(match far {
                Some(seen) => Write::Look { seen, next: Some(soon) },
                None => record(pipeline, job, &id, payload, now),
            })
        }
        JobStatus::Queued => Signaling::Refused(Refused::Queued),
        status @ (JobStatus::Completed
        | JobStatus::Failed
        | JobStatus::TimedOut
        | JobStatus::Canceled
        | JobStatus::Rejected) => Signaling::Refused(Refused::Closed(status)),
    }
}

/// What to do to reject what a job waits for, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejecting {
    /// Carry this write out, and look at the job again.
    Write(Write),
    /// The job is canceled: send its notification, which is none once that is recorded.
    Notify(Option<Message>),
    /// It can't be rejected.
    Refused(Refused),
}

/// What to do to cancel a job instead of sending it the signal of this name, as it is now.
///
/// Of a signal and a rejection at the same instant one wins: the closing stands on the wait's task not being recorded.
#[must_use]
pub fn reject(pipeline: &Pipeline, job: &Job, name: &str, reason: &str, now: Time) -> Rejecting {
    let id = match waiting_for(pipeline, name) {
        Ok(id) => id,
        Err(refused) => return Rejecting::Refused(refused),
    };
    match (job.status, job.done.get(&id)) {
        (JobStatus::Running, Some(done)) => Rejecting::Refused(Refused::Taken { signal: name.to_owned(), at: done.at }),
        (JobStatus::Running, None) => {
            Rejecting::Write(Write::Close { closing: job.closing, entry: cancel::entry(Some(id), reason, now) })
        }
        (JobStatus::Queued, _) => Rejecting::Refused(Refused::Queued),
        (JobStatus::Canceled, _) => Rejecting::Notify(Message::to_finalizer(pipeline, job)),
        (status @ (JobStatus::Completed | JobStatus::Failed | JobStatus::TimedOut | JobStatus::Rejected), _) => {
            Rejecting::Refused(Refused::Closed(status))
        }
    }
}

/// The task that waits for the signal of this name.
fn waiting_for(pipeline: &Pipeline, name: &str) -> Result<TaskId, Refused> {
    let found = SignalName::try_from(name).ok().and_then(|name| pipeline.waiting_for(&name));
    found.map(|step| TaskId::only(step.name.clone())).ok_or_else(|| {
        let known = pipeline.waits().filter_map(|(_, wait)| wait.signal.clone()).collect();
        Refused::NoSuchSignal { signal: name.chars().take(SHOWN_CHARS_MAX).collect(), known }
    })
}

/// How much of a name that is no signal is repeated, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// A payload without the white space between its parts.
fn compact(payload: &str) -> Result<String, Refused> {
    if payload.len() > PAYLOAD_READ_MAX {
        return Err(Refused::TooLong(payload.len()));
    }
    // Checked, and otherwise kept as it came: a number keeps every digit.
    let _: serde::de::IgnoredAny =
        serde_json::from_str(payload).map_err(|error| Refused::NotJson(error.to_string()))?;
    let text = without_spaces(payload);
    if text.len() > PAYLOAD_BYTES_MAX { Err(Refused::TooLong(text.len())) } else { Ok(text) }
}

/// JSON without the white space outside of its strings.
fn without_spaces(json: &str) -> String {
    let (mut is_inside, mut is_escaped) = (false, false);
    let keeps = |c: &char| {
        let stays = is_inside || !c.is_ascii_whitespace();
        is_inside ^= *c == '"' && !is_escaped;
        is_escaped = is_inside && *c == '\\' && !is_escaped;
        stays
    };
    json.chars().filter(keeps).collect()
}

/// The record of a wait, with the job's closing where it was the last task.
fn record(pipeline: &Pipeline, job: &Job, id: &TaskId, payload: Option<String>, now: Time) -> Write {
    let mut write = entry::record(pipeline, id, job, 1, Output::default(), now);
    if let Write::Record { done, .. } = &mut write {
        done.payload = payload;
    }
    write
}

/// The messages that are due once a wait is recorded: of what it made ready and is not paused or, of a closed job, the
/// notification that is not recorded yet.
#[must_use]
pub fn messages(pipeline: &Pipeline, job: &Job, id: &TaskId) -> Vec<Message> {
    match job.status {
        JobStatus::Running if route::is_all_complete(pipeline, job, Also::Nothing) => {
            // It was canceled between its last record and its closing, and redriven: a recorded task's message closes it.
            vec![Message::to(pipeline, job, TaskId::only(pipeline.start().name.clone()))]
        }
        JobStatus::Running => {
            let next = route::successors(pipeline, id.step(), job).into_iter();
            Message::to_all(pipeline, job, next.filter(|task| !job.is_paused(task.step())))
        }
        JobStatus::Queued => Vec::new(),
        JobStatus::Completed | JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled | JobStatus::Rejected => {
            Message::to_finalizer(pipeline, job).into_iter().collect()
        }
    }
}

/// What a step waits for that is ready and not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Since when.
    pub since: Time,
    /// When it ends by itself.
    pub until: Option<Time>,
    /// When the job is closed for it: by its time-out, or the job's deadline.
    pub times_out_at: Time,
}

/// The times of a step that waits now; none for any other, and for one that is recorded or whose inputs are missing.
#[must_use]
pub fn waiting(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> Option<Waiting> {
    let wait = step.wait.as_ref().filter(|_| job.status == JobStatus::Running)?;
    let id = TaskId::only(step.name.clone());
    let since = route::scheduled_at(pipeline, &id, job).filter(|_| !job.done.contains_key(&id))?;
    let after = |span: Option<Duration>| span.map(|span| since.plus(span));
    let times_out_at = after(wait.timeout).map_or(job.deadline, |at| at.min(job.deadline));
    Some(Waiting { since, until: after(wait.after), times_out_at })
}

/// When somebody must look at a job's waits next: the earliest of their times. None while none of them waits.
///
/// It changes with every record, so it is asked of the job as it is now.
#[must_use]
pub fn look_by(pipeline: &Pipeline, job: &Job) -> Option<Time> {
    let now_waiting = pipeline.waits().filter_map(|(step, _)| waiting(pipeline, step, job));
    now_waiting.flat_map(|waiting| waiting.until.into_iter().chain([waiting.times_out_at])).min()
}

/// The first thing that is due of a job's waits, if any: the record of a timer that has fired, or the closing for a time-out
/// that has passed.
///
/// Carry it out, send [`crate::reconcile::follow_up`], and look again at the job that it brings until nothing is due. One at
/// a time, because only the last record of a job closes it.
#[must_use]
pub fn due(pipeline: &Pipeline, job: &Job, now: Time) -> Option<Write> {
    pipeline.waits().find_map(|(step, wait)| {
        let waiting = waiting(pipeline, step, job)?;
        let task = TaskId::only(step.name.clone());
        if waiting.until.is_some_and(|until| until <= now) {
            return Some(record(pipeline, job, &task, None, now));
        }
        (waiting.times_out_at <= now).then(|| timed_out(job, &task, wait, waiting, now))
    })
}

fn timed_out(job: &Job, task: &TaskId, wait: &Wait, waiting: Waiting, now: Time) -> Write {
    let own = wait.timeout.filter(|span| waiting.since.plus(*span) <= job.deadline);
    let (error_type, bound) = match own {
        Some(span) => (WAIT_TIMEOUT, format!("its time-out of {} s", span.as_secs())),
        None => (JOB_DEADLINE, "the job's deadline allows".to_owned()),
    };
    let for_what = wait.signal.as_ref().map_or_else(String::new, |signal| format!(" for the signal {signal}"));
    let error = ErrorText::from(format!("it waited{for_what} longer than {bound}"));
    entry::close(job, Verdict::TimedOut, task, None, error_type, error, now)
}

#[cfg(test)]
mod tests;
