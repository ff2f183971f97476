//! What changed between two looks at a job: a pure comparison of two stories.

use std::collections::BTreeMap;

use qsketch_core::Time;
use qsketch_core::parts::{Outcome, Progress};
use qsketch_core::story::{Story, TaskStatus, TaskStory};
use serde::Serialize;

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The job's status.
    Job,
    /// A task's status, or its newest attempt.
    Task,
    /// An attempt that ended without being recorded.
    Attempt,
    /// How far an attempt is.
    Progress,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What it is about.
    pub what: What,
    /// When it happened; for progress, when it was seen.
    pub at: Time,
    /// The task; none for the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The status of the job or the task after it; for an attempt, its outcome.
    pub status: &'static str,
    /// The attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When that attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the next attempt may begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// The error's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The error, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How far the attempt is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Change {
    fn new(what: What, at: Time, status: &'static str) -> Self {
        Self {
            what,
            at,
            status,
            task: None,
            attempt: None,
            started_at: None,
            not_before: None,
            error_type: None,
            error: None,
            progress: None,
        }
    }
}

/// What changed between two stories of one job, in the order of time; everything that is known when there was none before.
///
/// Tasks that wait for their inputs are no news; a wait is, once its inputs are there.
#[must_use]
pub fn changes(before: Option<&Story>, after: &Story, now: Time) -> Vec<Change> {
    let mut found = Vec::new();
    let closes = before.is_some_and(|before| before.status != after.status);
    if before.is_none() {
        found.push(job_change(after));
    }
    let old: BTreeMap<&str, &TaskStory> =
        before.iter().flat_map(|before| &before.tasks).map(|task| (task.task.as_str(), task)).collect();
    for task in &after.tasks {
        task_changes(old.get(task.task.as_str()).copied(), task, after, now, &mut found);
    }
    if closes {
        found.push(job_change(after));
    }
    // Stable: what happened at one time stays in the pipeline's order.
    found.sort_by_key(|change| change.at);
    found
}

fn job_change(story: &Story) -> Change {
    let at = story.closed_at.or(story.started_at).unwrap_or(story.created_at);
    let mut change = Change::new(What::Job, at, story.status.as_str());
    if let Some(closing) = story.closing.as_ref().filter(|_| story.closed_at.is_some()) {
        change.task = closing.task.as_ref().map(ToString::to_string);
        change.attempt = closing.attempt;
        change.error_type.clone_from(&closing.error_type);
        change.error = closing.error.as_ref().map(ToString::to_string);
    }
    if let Some(refusal) = &story.refusal {
        change.error = Some(refusal.reasons.join("; "));
    }
    change
}

fn task_changes(earlier: Option<&TaskStory>, task: &TaskStory, story: &Story, now: Time, found: &mut Vec<Change>) {
    let name = Some(task.task.clone());
    let known = earlier.and_then(|earlier| earlier.attempts.last()).map_or(0, |attempt| attempt.attempt);
    for attempt in task.attempts.iter().filter(|attempt| attempt.attempt > known) {
        let outcome: Outcome = attempt.outcome;
        found.push(Change {
            task: name.clone(),
            attempt: Some(attempt.attempt),
            started_at: Some(attempt.started_at),
            error_type: Some(attempt.error_type.clone()),
            error: Some(attempt.error.to_string()),
            ..Change::new(What::Attempt, attempt.ended_at, outcome.as_str())
        });
    }
    let waits_since = |task: &TaskStory| task.wait.as_ref().and_then(|wait| wait.since);
    if let Some(since) = waits_since(task).filter(|since| earlier.and_then(waits_since) != Some(*since)) {
        found.push(Change { task: name.clone(), ..Change::new(What::Task, since, task.status.as_str()) });
    }
    let was = earlier.map_or((TaskStatus::Waiting, None), |earlier| (earlier.status, earlier.attempt));
    let at = match task.status {
        TaskStatus::Waiting => task.scheduled_at,
        TaskStatus::Scheduled => task.ended_at.or(task.scheduled_at),
        TaskStatus::Running => task.attempt_started_at,
        TaskStatus::Completed => task.ended_at,
        TaskStatus::Failed | TaskStatus::TimedOut | TaskStatus::Canceled => story.closed_at,
    };
    if was != (task.status, task.attempt) && task.status != TaskStatus::Waiting {
        found.push(Change {
            task: name,
            attempt: task.attempt,
            started_at: task.attempt_started_at.filter(|_| task.status != TaskStatus::Scheduled),
            not_before: task.not_before.filter(|_| task.status == TaskStatus::Scheduled),
            progress: task.progress.clone(),
            ..Change::new(What::Task, at.unwrap_or(now), task.status.as_str())
        });
    } else if task.progress.is_some() && earlier.is_some_and(|earlier| earlier.progress != task.progress) {
        found.push(Change {
            task: name,
            attempt: task.attempt,
            progress: task.progress.clone(),
            ..Change::new(What::Progress, now, task.status.as_str())
        });
    }
}
