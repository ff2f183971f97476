//! One line of progress.

use qsketch_core::Time;
use qsketch_core::story::{TaskStatus, TaskStory};
use qsketch_ops::{Change, What};

use super::{Paint, duration, line_of};

/// A change on one line, its time counted from when the job was taken in; none for progress, which lines would drown in.
#[must_use]
pub fn change(change: &Change, created_at: Time, paint: Paint) -> Option<String> {
    let at = format!("{:>9}", format!("+{}", duration(change.at.since(created_at))));
    let at = paint.faint(&at);
    let attempt = change.attempt.map(|attempt| format!("  attempt {attempt}")).unwrap_or_default();
    let why = match (&change.error_type, &change.error) {
        (Some(kind), Some(error)) => format!("  {kind}: {}", line_of(error)),
        (None, Some(error)) => format!("  {}", line_of(error)),
        (Some(kind), None) => format!("  {kind}"),
        (None, None) => String::new(),
    };
    let task = change.task.as_deref().unwrap_or_default();
    match change.what {
        What::Progress => None,
        What::Job => {
            let about = if task.is_empty() { String::new() } else { format!("  {task}") };
            let attempt = if task.is_empty() { "" } else { attempt.as_str() };
            Some(format!("{at}  {:18}  {}{about}{attempt}{why}", "job", colour(change.status, paint)))
        }
        What::Task => {
            let wait = change.not_before.filter(|until| *until > change.at);
            let wait = wait.map(|until| format!("  next attempt in {}", duration(until.since(change.at))));
            let is_new = change.status == TaskStatus::Scheduled.as_str();
            let attempt = if is_new { String::new() } else { attempt };
            let took = change.started_at.filter(|_| change.status == TaskStatus::Completed.as_str());
            let took = took.map(|from| format!("  took {}", duration(change.at.since(from)))).unwrap_or_default();
            Some(format!(
                "{at}  {task:18}  {}{attempt}{took}{}",
                colour(change.status, paint),
                wait.unwrap_or_default()
            ))
        }
        What::Attempt => Some(format!(
            "{at}  {task:18}  {}{why}",
            paint.bad(&format!("attempt {} {}", attempt_of(change), change.status))
        )),
    }
}

/// What stands behind a task's bar: its status, attempt and note.
#[must_use]
pub fn task_message(task: &TaskStory, now: Time, paint: Paint) -> String {
    let status = paint.task(task.status, &format!("{:9}", task.status.as_str()));
    let attempt = match task.attempt {
        Some(attempt) if attempt > 1 => format!("  attempt {attempt}"),
        _ => String::new(),
    };
    let wait = task.not_before.filter(|until| task.status == TaskStatus::Scheduled && *until > now);
    let note = match (task.status, &task.progress, wait) {
        (TaskStatus::Running, Some(progress), _) => format!("  {}", line_of(&progress.note)),
        (TaskStatus::Waiting, _, _) => match task.wait.as_ref().filter(|wait| wait.since.is_some()) {
            Some(wait) => wait.signal.as_ref().map(|signal| format!("  for signal {signal}")).unwrap_or_default(),
            None => String::new(),
        },
        (_, _, Some(until)) => format!("  next attempt in {}", duration(until.since(now))),
        (TaskStatus::Completed, _, _) => {
            let took = task.attempt_started_at.zip(task.ended_at).map(|(from, to)| duration(to.since(from)));
            took.map(|took| format!("  {took}")).unwrap_or_default()
        }
        _ => String::new(),
    };
    let failed = match task.attempts.last() {
        Some(last) if task.status != TaskStatus::Completed => {
            let why =
                format!("  (attempt {} {}: {})", last.attempt, last.outcome.as_str(), line_of(&last.error.to_string()));
            paint.faint(&why)
        }
        _ => String::new(),
    };
    format!("{status}{attempt}{note}{failed}")
}

fn attempt_of(change: &Change) -> u32 {
    change.attempt.unwrap_or(0)
}

fn colour(status: &str, paint: Paint) -> String {
    match status {
        "COMPLETED" => paint.good(status),
        "FAILED" | "TIMED_OUT" | "REJECTED" => paint.bad(status),
        "RUNNING" => paint.busy(status),
        "QUEUED" | "SCHEDULED" => paint.notable(status),
        _ => paint.faint(status),
    }
}
