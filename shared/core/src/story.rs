//! The story of a job, derived from its parts: what each task is doing, each attempt and its reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::{JobId, ShardId, TaskId, Which};
use crate::parts::{Attempt, Closing, Done, Job, JobStatus, Pause, Progress, Refusal, Task, Verdict};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::refund::Redemption;
use crate::route;
use crate::shard::Shard;
use crate::time::Time;
use crate::wait;

/// How a task is. Nothing of it is stored: it follows from the graph and the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// An input is missing, or it is a wait.
    Waiting,
    /// Its message is on its way, or its next attempt waits for its time.
    Scheduled,
    /// An attempt holds it.
    Running,
    /// It is recorded.
    Completed,
    /// It failed for good.
    Failed,
    /// Its time is over.
    TimedOut,
    /// The job closed before it was done.
    Canceled,
}

impl TaskStatus {
    /// The status in the words of the design.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Canceled => "CANCELED",
        }
    }
}

/// What happened to one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskStory {
    /// The task; for a mapped step whose list is not known yet, the step's name.
    pub task: String,
    /// The step.
    pub step: String,
    /// How it is.
    pub status: TaskStatus,
    /// When its inputs were complete.
    pub scheduled_at: Option<Time>,
    /// When its first attempt known here began.
    pub started_at: Option<Time>,
    /// When it was recorded, or when its last attempt ended.
    pub ended_at: Option<Time>,
    /// The newest attempt, or the one that won.
    pub attempt: Option<u32>,
    /// When the newest attempt, or the one that won, began.
    pub attempt_started_at: Option<Time>,
    /// When the next attempt may begin.
    pub not_before: Option<Time>,
    /// Until when the newest attempt's lease holds.
    pub lease_until: Option<Time>,
    /// How far the newest attempt is.
    pub progress: Option<Progress>,
    /// What it waits for, where it is a wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<WaitStory>,
    /// The attempts that ended without being recorded.
    pub attempts: Vec<Attempt>,
}

/// What a wait waits for, and what ended it. Its status is WAITING before its inputs are recorded and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitStory {
    /// The signal that ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Since when it waits; none before its inputs are recorded, and once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it ends by itself, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When the job is closed for it, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_out_at: Option<Time>,
    /// What came with its signal, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// The layout of this document.
    pub layout: u32,
    /// The job.
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// How it is.
    pub status: JobStatus,
    /// Whose it is.
    pub tenant: String,
    /// When it was taken in.
    pub created_at: Time,
    /// When it began, where it was queued at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it closed.
    pub closed_at: Option<Time>,
    /// When its time is over.
    pub deadline: Time,
    /// Where its result is.
    pub result: Option<String>,
    /// How it closed; none while it runs.
    pub closing: Option<Closing>,
    /// How it had closed before it was redriven, the first time first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Closing>,
    /// When it was redriven last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<Time>,
    /// What of it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// When its refund was redeemed, and by which token. That one was issued stands with the closing, as its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Redemption>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// Its tasks, in the graph's order, the finalizer's last.
    pub tasks: Vec<TaskStory>,
}

/// Tells the story of a job from its parts.
#[must_use]
pub fn tell(
    pipeline: &Pipeline,
    job: &Job,
    tasks: &BTreeMap<TaskId, Task>,
    shards: &BTreeMap<ShardId, Shard>,
) -> Story {
    let mut earlier = job.closings.clone();
    let closing = if job.status.is_closed() { earlier.pop() } else { None };
    let mut told = Vec::new();
    if job.status != JobStatus::Rejected {
        for step in pipeline.steps() {
            match route::tasks_of(step, job) {
                Some(ids) => {
                    told.extend(ids.iter().map(|id| tell_task(pipeline, job, step, id, tasks.get(id), shards)))
                }
                None => told.push(unknown_list(job, step)),
            }
        }
        for number in 0..=job.closing {
            let id = TaskId::closing(pipeline.finalizer().name.clone(), number);
            told.push(tell_task(pipeline, job, pipeline.finalizer(), &id, tasks.get(&id), shards));
        }
    }
    Story {
        layout: crate::limits::LAYOUT,
        job: job.job_id.clone(),
        pipeline: job.pipeline.clone(),
        status: job.status,
        tenant: job.tenant.to_string(),
        created_at: job.created_at,
        started_at: job.started_at,
        closed_at: closing.as_ref().map(|closing| closing.at),
        deadline: job.deadline,
        result: job.result.clone(),
        closing,
        earlier,
        reopened_at: job.reopened_at,
        paused: job.paused.clone().filter(|pause| job.status == JobStatus::Running && !pause.is_over()),
        refunded: job.refunded.clone(),
        refusal: job.refusal.clone(),
        tasks: told,
    }
}

fn tell_task(
    pipeline: &Pipeline,
    job: &Job,
    step: &CheckedStep,
    id: &TaskId,
    task: Option<&Task>,
    shards: &BTreeMap<ShardId, Shard>,
) -> TaskStory {
    let done = route::record_of(pipeline, id, job, |shard| shards.get(shard));
    let attempts = task.map(|task| task.attempts.clone()).unwrap_or_default();
    let newest = task.map(|task| task.attempt);
    // What an attempt of before a redrive still holds is nobody's.
    let is_final = step.name == pipeline.finalizer().name;
    let live = task.filter(|task| is_final || task.closing == job.closing);
    let winner_start = done.zip(task).and_then(|(done, task)| {
        let earlier = attempts.iter().find(|attempt| attempt.attempt == done.attempt).map(|attempt| attempt.started_at);
        earlier.or((task.attempt == done.attempt).then_some(task.started_at))
    });
    TaskStory {
        task: id.to_string(),
        step: step.name.to_string(),
        status: if done.is_some() { TaskStatus::Completed } else { status_of(pipeline, job, step, id, live) },
        scheduled_at: route::scheduled_at(pipeline, id, job).filter(|_| job.status != JobStatus::Queued),
        started_at: attempts.first().map(|first| first.started_at).or(live.map(|task| task.started_at)),
        ended_at: done.map(|done| done.at).or_else(|| {
            let rests = live.is_none_or(|task| task.lease.is_none());
            attempts.last().filter(|_| rests).map(|last| last.ended_at)
        }),
        attempt: done.map(|done| done.attempt).or(newest).filter(|_| step.wait.is_none()),
        attempt_started_at: winner_start.or(live.map(|task| task.started_at)),
        not_before: live.filter(|_| done.is_none()).and_then(|task| task.not_before),
        lease_until: live.filter(|_| done.is_none()).and_then(|task| task.lease.as_ref()).map(|lease| lease.until),
        progress: live.filter(|_| done.is_none()).and_then(|task| task.progress.clone()),
        wait: tell_wait(pipeline, job, step, done),
        attempts,
    }
}

fn tell_wait(pipeline: &Pipeline, job: &Job, step: &CheckedStep, done: Option<&Done>) -> Option<WaitStory> {
    let now = wait::waiting(pipeline, step, job);
    step.wait.as_ref().map(|wait| WaitStory {
        signal: wait.signal.clone(),
        since: now.map(|now| now.since),
        until: now.and_then(|now| now.until),
        times_out_at: now.map(|now| now.times_out_at),
        payload: done.and_then(|done| done.payload.clone()),
    })
}

/// How a task is that is not recorded.
fn status_of(pipeline: &Pipeline, job: &Job, step: &CheckedStep, id: &TaskId, task: Option<&Task>) -> TaskStatus {
    if job.status == JobStatus::Queued {
        return TaskStatus::Waiting;
    }
    let is_final = step.name == pipeline.finalizer().name;
    let is_open = (job.status == JobStatus::Running) != is_final;
    if is_open {
        return match task {
            Some(task) if task.lease.is_some() => TaskStatus::Running,
            _ if step.wait.is_some() => TaskStatus::Waiting,
            _ if is_final || route::is_ready(pipeline, step, job) => TaskStatus::Scheduled,
            _ => TaskStatus::Waiting,
        };
    }
    if is_final {
        // A redrive goes on where a notification was given up.
        let is_over = matches!(id.which(), Which::Closing(closing) if closing < job.closing);
        return if is_over { TaskStatus::Failed } else { TaskStatus::Waiting };
    }
    match job.closings.last() {
        Some(closing) if closing.task.as_ref() == Some(id) => match closing.verdict {
            Verdict::TimedOut => TaskStatus::TimedOut,
            Verdict::Canceled => TaskStatus::Canceled,
            Verdict::Failed | Verdict::Completed => TaskStatus::Failed,
        },
        _ => TaskStatus::Canceled,
    }
}

fn unknown_list(job: &Job, step: &CheckedStep) -> TaskStory {
    TaskStory {
        task: step.name.to_string(),
        step: step.name.to_string(),
        status: if job.status.is_closed() { TaskStatus::Canceled } else { TaskStatus::Waiting },
        scheduled_at: None,
        started_at: None,
        ended_at: None,
        attempt: None,
        attempt_started_at: None,
        not_before: None,
        lease_until: None,
        progress: None,
        wait: None,
        attempts: Vec::new(),
    }
}
