//! A list of jobs as text: a line for each.

use qsketch_core::JobStatus;
use qsketch_ops::{Listing, Query, Row};

use super::{Paint, duration, line_of};

/// The list as `qsketch list` prints it; nothing at all without jobs.
#[must_use]
pub fn list(listing: &Listing, paint: Paint) -> String {
    if listing.jobs.is_empty() {
        return String::new();
    }
    let width = listing.jobs.iter().map(|row| row.job.as_str().len()).max().unwrap_or(0);
    let line = |job: &str, status: &str, taken_in: &str, took: &str, note: &str| {
        let text = format!("{job:width$}  {status}  {taken_in:20}  {took:>12}  {note}");
        format!("{}\n", text.trim_end())
    };
    let title = line("JOB", &format!("{:9}", "STATUS"), "TAKEN IN", "TOOK", "");
    let mut text = format!("{}\n", paint.faint(title.trim_end()));
    for row in &listing.jobs {
        let status = match row.status {
            Some(status) => paint.job(status, &format!("{:9}", status.as_str())),
            None => paint.notable(&format!("{:9}", "UNREAD")),
        };
        // Whole seconds: `show` has the rest.
        let taken_in = row.created_at.to_string();
        let taken_in = taken_in.split_once('.').map_or_else(|| taken_in.clone(), |(secs, _)| format!("{secs}Z"));
        let took = match (row.status, row.closed_at) {
            (Some(JobStatus::Queued | JobStatus::Running), _) => {
                format!("for {}", duration(listing.now.since(row.created_at)))
            }
            (Some(JobStatus::Rejected) | None, _) | (_, None) => String::new(),
            (_, Some(closed_at)) => duration(closed_at.since(row.created_at)),
        };
        text.push_str(&line(row.job.as_str(), &status, &taken_in, &took, &note(row)));
    }
    text
}

fn note(row: &Row) -> String {
    let failed = || {
        let closing = row.closing.as_ref()?;
        let task = closing.task.as_ref().map(ToString::to_string);
        let error = closing.error.as_ref().map(ToString::to_string);
        let parts = [task, closing.error_type.clone(), error].into_iter().flatten();
        Some(parts.collect::<Vec<_>>().join(": "))
    };
    let note = match row.status {
        None => row.problem.clone(),
        Some(JobStatus::Queued | JobStatus::Running) => None,
        Some(JobStatus::Completed) => row.result.clone(),
        Some(JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled) => failed(),
        Some(JobStatus::Rejected) => row.refusal.as_ref().map(|refusal| refusal.reasons.join("; ")),
    };
    line_of(&note.unwrap_or_default())
}

/// What to say after a list: how to go on, or that there is nothing.
#[must_use]
pub fn after_list(listing: &Listing, query: &Query) -> Option<String> {
    let Listing { tenant, jobs, examined, cursor, .. } = listing;
    match cursor {
        Some(cursor) if jobs.len() < query.limit => {
            Some(format!("{} of {examined} jobs; there may be more: the same with --cursor {cursor}", jobs.len()))
        }
        Some(cursor) => Some(format!("there may be more: the same with --cursor {cursor}")),
        None if jobs.is_empty() && query.after.is_some() => Some("no more jobs".to_owned()),
        None if jobs.is_empty() => {
            let kind = if query.statuses.is_empty() { "no jobs" } else { "no such jobs" };
            Some(format!("{kind} of tenant {tenant} from {} to {}", query.since, query.until))
        }
        None => None,
    }
}
