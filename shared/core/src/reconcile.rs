//! Looking after a job: what to mend of one that nobody may be at work on.
//!
//! A job runs by its messages. Where they are gone (a queue was purged, an operator died between a write and its sending),
//! nothing moves until somebody looks: the reconciler, at the jobs whose `check_at` has come.
//!
//! ```text
//!   index of jobs to look after ─► parts ─► look ─┬─► Mend(write) ─► look again
//!                                                 └─► Quiet { suspects, next } ─► choose ─► send ─► Write::Look(next)
//! ```
//! A message can't be looked up in a queue. A task whose message should have been visible for [`PATIENCE`], and that
//! nobody holds, is a *suspect*: its message is gone, or waits in a backlog. [`choose`] tells which of them are sent again.
//! To send too many costs receives; to send too few costs time; neither breaks a promise.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::decide::entry;
use crate::ids::{ShardId, TaskId, Tenant, Which};
use crate::limits::{
    ABOUT_EMPTY, CLOCK_SKEW_MAX, LOOK_INTERVAL_MAX, LOOK_INTERVAL_MIN, NOTIFY_FOR, PATIENCE, RESENDS_IN_BACKLOG_MAX,
    WAIT_INTERVAL_MAX,
};
use crate::message::Message;
use crate::parts::{Job, JobStatus, Task};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::redrive;
use crate::route::{self, Also};
use crate::shard::Shard;
use crate::time::Time;
use crate::wait;
use crate::write::{Footing, Write};

/// All that is known of a job.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The graph that it began with.
    pub pipeline: &'a Pipeline,
    /// The part `job`.
    pub job: &'a Job,
    /// The parts `task:<task>`.
    pub tasks: &'a BTreeMap<TaskId, Task>,
    /// The parts `done:<shard>`.
    pub shards: &'a BTreeMap<ShardId, Shard>,
}

/// What a look at a job brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looking {
    /// Carry this write out, and look at the job again as it is then.
    Mend(Write),
    /// Nothing is to be written. Send what [`choose`] picks of the suspects; then write [`Write::Look`].
    Quiet(Outlook),
}

/// What stands still, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The messages that may be gone.
    pub suspects: Vec<Suspect>,
    /// When to look again; none where nothing is left to look after.
    pub next: Option<Time>,
}

/// A message that may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The message, as whoever lost it would have sent it.
    pub message: Message,
    /// Whose job it is.
    pub tenant: Tenant,
    /// Since when it should have been visible.
    pub since: Time,
}

/// Looks at a job.
#[must_use]
pub fn look(seen: Seen<'_>, now: Time) -> Looking {
    match seen.job.status {
        JobStatus::Running => look_running(seen, now),
        JobStatus::Completed | JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled => look_closed(seen, now),
        // It stands in another shard of the index, and is started by its tenant's roster.
        JobStatus::Queued => Looking::Quiet(Outlook { next: Some(now.plus(LOOK_INTERVAL_MAX)), suspects: Vec::new() }),
        JobStatus::Rejected => Looking::Quiet(Outlook::default()),
    }
}

/// What to send at once after a write of [`Looking::Mend`], given the job as it is then. What is lost here is a suspect later.
#[must_use]
pub fn follow_up(pipeline: &Pipeline, write: &Write, job: &Job) -> Vec<Message> {
    match write {
        Write::Record { task, .. } => wait::messages(pipeline, job, task),
        Write::Close { .. } => Message::to_finalizer(pipeline, job).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Which suspects of one queue to send again, given how many messages wait there and how many the sweep has sent again
/// there before: all where it is about empty, else those that stand still longest, [`RESENDS_IN_BACKLOG_MAX`] in all.
#[must_use]
pub fn choose(mut suspects: Vec<Suspect>, visible: u64, sent_before: usize) -> Vec<Suspect> {
    suspects.sort_by_key(|suspect| suspect.since);
    let most = if visible <= ABOUT_EMPTY { usize::MAX } else { RESENDS_IN_BACKLOG_MAX.saturating_sub(sent_before) };
    suspects.into_iter().take(most).collect()
}

/// A job that runs: what is complete, or out of time, is closed; whatever is ready and stands still is a suspect.
fn look_running(seen: Seen<'_>, now: Time) -> Looking {
    let Seen { pipeline, job, tasks, .. } = seen;
    if route::is_all_complete(pipeline, job, Also::Nothing) {
        // Whoever recorded the last task died before it saw that.
        return Looking::Mend(entry::completed(job, now));
    }
    if let Some(write) = wait::due(pipeline, job, now) {
        return Looking::Mend(write);
    }
    let open = open(seen);
    let rests = open.is_empty() && pipeline.waits().any(|(step, _)| wait::waiting(pipeline, step, job).is_some());
    let mut outlook = if rests { Outline::resting(job, now) } else { Outline::new(job, now) };
    wait::look_by(pipeline, job).into_iter().for_each(|at| outlook.look_at(at));
    for Open { id, step, is_recorded, scheduled } in open {
        let task = tasks.get(&id);
        if is_recorded {
            // Its shard is full, and not folded: its message does that.
            outlook.message(Message::to(pipeline, job, id), scheduled);
            continue;
        }
        let visible = visible_at(job, task, scheduled);
        let is_held = task.is_some_and(|task| {
            task.closing > job.closing || task.closing == job.closing && task.lease.is_some() && visible > now
        });
        if is_held {
            outlook.look_at(visible.plus(PATIENCE));
            continue;
        }
        if let Some(write) = over(seen, &id, task, step, now, visible) {
            return Looking::Mend(write);
        }
        let bounds = [scheduled.plus(step.timeouts.schedule_to_close), job.deadline];
        bounds.into_iter().for_each(|bound| outlook.look_at(bound));
        if let Some(since) = job.paused_since(&step.name) {
            // Whoever resumes it sends its messages, or dies before.
            outlook.look_at(now.plus(interval(now.since(since))));
            continue;
        }
        if let Some(span) = step.timeouts.schedule_to_start.filter(|_| task.is_none()) {
            outlook.look_at(visible.plus(span));
        }
        outlook.message(Message::to(pipeline, job, id), visible);
    }
    Looking::Quiet(outlook.end())
}

/// What ends a task that nobody holds and that may not be tried again: what a worker would write, had its message come.
fn over(
    seen: Seen<'_>,
    id: &TaskId,
    task: Option<&Task>,
    step: &CheckedStep,
    now: Time,
    visible: Time,
) -> Option<Write> {
    let Seen { pipeline, job, shards, .. } = seen;
    let stands_still = task.filter(|_| now >= visible.plus(PATIENCE));
    if let Some(end) = stands_still.and_then(|task| entry::end_lapsed(id, job, task, step, now)) {
        return Some(end);
    }
    let used_up = stands_still.and_then(|task| entry::exhausted(id, job, task, step, now));
    let close = used_up.or_else(|| entry::out_of_time(pipeline, id, job, task, step, now))?;
    let span = route::span_of(pipeline, id, job);
    let shard = span.as_ref().and_then(|span| shards.get(&span.shard));
    Some(entry::buried_first(id, job, span.as_ref(), shard, close))
}

/// A job that is closed: its notification is sent until it is recorded, or [`NOTIFY_FOR`] is over.
fn look_closed(seen: Seen<'_>, now: Time) -> Looking {
    let Seen { pipeline, job, tasks, .. } = seen;
    let id = TaskId::closing(pipeline.finalizer().name.clone(), job.closing);
    let Some(closing) = job.closings.get(job.closing as usize).filter(|_| !job.done.contains_key(&id)) else {
        return Looking::Quiet(Outlook::default());
    };
    let task = tasks.get(&id);
    let mut outlook = Outline::new(job, now);
    if let Some(task) = task.filter(|task| redrive::is_told(pipeline, job, Some(task))) {
        let last = task.attempts.last();
        let ended_at = last.map_or(closing.at, |last| last.ended_at);
        let is_over = last.is_some_and(|last| last.is_final) || ended_at.since(closing.at) >= NOTIFY_FOR;
        if is_over {
            return Looking::Quiet(Outlook::default());
        }
        let again = ended_at.plus(interval(ended_at.since(closing.at)));
        if now >= again {
            return Looking::Mend(another_round(&id, task));
        }
        outlook.look_at(again);
        return Looking::Quiet(outlook.end());
    }
    outlook.message(Message::to(pipeline, job, id), visible_at(job, task, closing.at));
    Looking::Quiet(outlook.end())
}

/// The attempts of a finalizer that are used up, anew: what it tells may have been out of reach for longer than they last.
fn another_round(id: &TaskId, task: &Task) -> Write {
    let footing = Footing::Seen { attempt: task.attempt, lease_until: task.lease.as_ref().map(|lease| lease.until) };
    Write::Task { task: id.clone(), footing, set: Box::new(Task { charged: 0, ..task.clone() }) }
}

/// A task that is ready and whose step is not complete.
struct Open<'a> {
    id: TaskId,
    step: &'a CheckedStep,
    /// Whether it stands for a full shard that is not folded.
    is_recorded: bool,
    /// Since when it could have been done.
    scheduled: Time,
}

/// The tasks that a message is for: each that is ready and not recorded, and one for each full shard that is not folded.
fn open(seen: Seen<'_>) -> Vec<Open<'_>> {
    let Seen { pipeline, job, shards, .. } = seen;
    let mut found = Vec::new();
    for id in route::open(pipeline, job) {
        let Some(step) = pipeline.step(id.step()) else { continue };
        let scheduled = route::scheduled_at(pipeline, &id, job).unwrap_or(job.created_at);
        let full = match (route::span_of(pipeline, &id, job), id.which()) {
            (Some(span), Which::Element(element)) => shards
                .get(&span.shard)
                .filter(|shard| shard.done.contains_key(&element))
                .map(|shard| (span.is_full(shard) && element == span.elements.start, shard.last_at())),
            _ => None,
        };
        match full {
            None => found.push(Open { id, step, is_recorded: false, scheduled }),
            Some((true, at)) => found.push(Open { id, step, is_recorded: true, scheduled: at.unwrap_or(scheduled) }),
            Some((false, _)) => {}
        }
    }
    found
}

/// From when on a task's message should be visible, by what its part says.
fn visible_at(job: &Job, task: Option<&Task>, scheduled: Time) -> Time {
    let earliest = scheduled.max(job.paused.as_ref().and_then(|pause| pause.resumed_at).unwrap_or_default());
    let Some(task) = task.filter(|task| task.closing == job.closing) else { return earliest };
    let by_task = match (&task.lease, task.not_before, task.attempts.last()) {
        (Some(lease), _, _) => lease.until.plus(CLOCK_SKEW_MAX),
        (None, Some(not_before), _) => not_before,
        (None, None, Some(last)) => last.ended_at,
        (None, None, None) => earliest,
    };
    by_task.max(earliest)
}

/// How long to wait for the next look at what has stood still for `standing`: as long again, within bounds.
fn interval(standing: Duration) -> Duration {
    standing.clamp(PATIENCE, LOOK_INTERVAL_MAX)
}

/// An outlook in the making.
struct Outline {
    now: Time,
    tenant: Tenant,
    suspects: Vec<Suspect>,
    next: Time,
}

impl Outline {
    fn new(job: &Job, now: Time) -> Self {
        Self { now, tenant: job.tenant.clone(), suspects: Vec::new(), next: now.plus(LOOK_INTERVAL_MAX) }
    }

    /// Of a job that only waits: it has no message that could be lost.
    fn resting(job: &Job, now: Time) -> Self {
        Self { next: now.plus(WAIT_INTERVAL_MAX), ..Self::new(job, now) }
    }

    fn look_at(&mut self, at: Time) {
        self.next = self.next.min(at);
    }

    /// A message that should be visible from `visible` on.
    fn message(&mut self, message: Message, visible: Time) {
        let patient_until = visible.plus(PATIENCE);
        if self.now < patient_until {
            return self.look_at(patient_until);
        }
        self.look_at(self.now.plus(interval(self.now.since(visible))));
        self.suspects.push(Suspect { message, tenant: self.tenant.clone(), since: visible });
    }

    fn end(self) -> Outlook {
        Outlook { next: Some(self.next.max(self.now.plus(LOOK_INTERVAL_MIN))), suspects: self.suspects }
    }
}

#[cfg(test)]
mod tests;
