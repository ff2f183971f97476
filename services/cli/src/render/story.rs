//! A job's story as text: what was asked, how it is, and a table of its tasks with their attempts.

use core::time::Duration;

use qsketch_core::parts::Attempt;
use qsketch_core::story::{Story, TaskStatus, TaskStory, WaitStory};
use qsketch_core::{Closing, JobStatus, StepName, Time};
use qsketch_ops::{Crowd, Line, Shown, compact, lines};

use super::{Paint, cut, duration, line_of};

/// How much of a prompt is shown, in characters.
const PROMPT_CHARS_MAX: usize = 100;

/// From when on a wait in a queue is told.
const QUEUED_NOTABLE: Duration = Duration::from_secs(1);

/// The story as `qsketch show` prints it.
#[must_use]
pub fn story(shown: &Shown, paint: Paint) -> String {
    let mut text = String::new();
    head(shown, paint, &mut text);
    if !shown.story.tasks.is_empty() {
        text.push('\n');
        table(shown, paint, &mut text);
    }
    text
}

/// Why a closed job did not complete, in one line; none for one that did or is open.
#[must_use]
pub fn why_not_completed(story: &Story) -> Option<String> {
    match story.status {
        JobStatus::Queued | JobStatus::Running | JobStatus::Completed => None,
        JobStatus::Rejected => {
            let reasons = story.refusal.as_ref().map(|refusal| refusal.reasons.join("; ")).unwrap_or_default();
            Some(line_of(&reasons))
        }
        JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled => story.closing.as_ref().map(why_closed),
    }
}

/// Why a job closed without having completed, in one line.
fn why_closed(closing: &Closing) -> String {
    let task = closing.task.as_ref().map(ToString::to_string);
    let attempt = closing.attempt.map(|attempt| format!("attempt {attempt}"));
    let place = [task, attempt].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let error = closing.error.as_ref().map(ToString::to_string);
    let parts = [(!place.is_empty()).then_some(place), closing.error_type.clone(), error];
    line_of(&parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

fn head(shown: &Shown, paint: Paint, text: &mut String) {
    let story = &shown.story;
    let mut say = |name: &str, what: &str| text.push_str(&format!("{}  {what}\n", paint.faint(&format!("{name:8}"))));
    let took = match (story.status, story.closed_at) {
        (JobStatus::Queued | JobStatus::Running, _) => format!(" for {}", duration(shown.now.since(story.created_at))),
        (_, Some(at)) => format!(" in {}", duration(at.since(story.created_at))),
        (_, None) => String::new(),
    };
    let status = paint.job(story.status, story.status.as_str());
    say("Job", &format!("{}  {status}{took}", paint.strong(story.job.as_str())));
    let asked = shown.asked.as_ref().map(|asked| format!(", {}, voice {}", asked.quality, asked.voice));
    let asked = asked.unwrap_or_default();
    say("", &format!("pipeline {}, tenant {}{asked}, taken in {}", story.pipeline, story.tenant, story.created_at));
    if let Some(asked) = &shown.asked {
        say("Prompt", &cut(&line_of(&asked.prompt), PROMPT_CHARS_MAX));
    }
    if let Some(script) = &shown.script {
        say("Title", &line_of(&script.title));
        let lesson = script.lesson.as_ref().map(|lesson| format!(", lesson {lesson}")).unwrap_or_default();
        // A lesson is named only where no model wrote the scenes.
        let plain = if script.lesson.is_some() { " (no model wrote this)" } else { "" };
        say("Script", &line_of(&format!("{}{lesson}, {} scenes{plain}", script.provider, script.scenes.len())));
        for note in script.notes.iter().filter(|note| !note.starts_with("No model wrote")) {
            say("", &line_of(note));
        }
    }
    if let Some(refusal) = &story.refusal {
        if let Some(id) = &refusal.requested_id {
            say("Asked id", &format!("{id}: no job under that id was made or changed"));
        }
        for (n, reason) in refusal.reasons.iter().enumerate() {
            say(if n == 0 { "Reasons" } else { "" }, &line_of(reason));
        }
    } else if let Some(why) = why_not_completed(story) {
        say("Why", &paint.bad(&why));
    }
    for (n, closing) in story.earlier.iter().enumerate() {
        let how = format!("{} in {}", closing.verdict.status().as_str(), duration(closing.at.since(story.created_at)));
        say(if n == 0 { "Before" } else { "" }, &format!("{how}: {}", why_closed(closing)));
    }
    if let Some(at) = story.started_at {
        say("Queued", &format!("for {}, until its tenant had room", duration(at.since(story.created_at))));
    }
    if let Some(at) = story.reopened_at {
        say("Redriven", &format!("+{}", duration(at.since(story.created_at))));
    }
    if let Some(refund) = refund_line(shown) {
        say("Refund", &refund);
    }
    if let Some(pause) = &story.paused {
        let since = |at: Time| duration(shown.now.since(at));
        let whole = pause.since.map(|at| format!("the job, for {}", since(at)));
        let steps = pause.steps.iter().map(|(step, at)| format!("{step}, for {}", since(*at)));
        let what = whole.into_iter().chain(steps).collect::<Vec<_>>().join("; ");
        say("Paused", &format!("{} {}", paint.notable(&what), paint.faint(&format!("(qsketch resume {})", story.job))));
    }
    if story.status == JobStatus::Queued {
        say(
            "Now",
            &paint.notable(&format!(
                "as many jobs of tenant {} run as may: it starts once one of them is over",
                story.tenant
            )),
        );
    }
    if story.status == JobStatus::Running {
        say("Now", &now_line(story));
        for signal in story.tasks.iter().filter_map(|task| awaited(task)) {
            let command = format!("(qsketch signal {} {signal})", story.job);
            say("Waits", &format!("{} {}", paint.notable(&format!("for the signal {signal}")), paint.faint(&command)));
        }
    }
    if let Some(result) = &story.result {
        say("Result", &line_of(result));
        say("", &paint.faint(&format!("qsketch download {}", story.job)));
    }
    if shown.at_once_max > 1 {
        say("Parallel", &format!("up to {} tasks at once (∥ names them)", shown.at_once_max));
    }
    if story.refusal.is_none() {
        say("Logs", &format!("{} {}", shown.logs_location, paint.faint(&format!("(qsketch logs {} TASK)", story.job))));
    }
    if let Some(problem) = &shown.store_problem {
        say("Store", &paint.notable(&format!("script and logs may be missing here: {}", line_of(problem))));
    }
}

/// How the job's refund is; none where no token was issued. The token itself is nowhere.
fn refund_line(shown: &Shown) -> Option<String> {
    let story = &shown.story;
    if let Some(redemption) = &story.refunded {
        let (closing, at, reference) = (redemption.closing, redemption.at, &redemption.reference);
        return Some(format!("redeemed at {at}, by the token of closing {closing}, reference {reference}"));
    }
    let closings = story.earlier.iter().chain(&story.closing);
    let expires_at = closings.filter_map(|closing| Some(closing.refund.as_ref()?.expires_at)).max()?;
    Some(match story.status {
        JobStatus::Completed => "its token is void: the job completed".to_owned(),
        JobStatus::Running => "its token is refused while the job runs again".to_owned(),
        _ if shown.now >= expires_at => format!("not redeemed; its token expired at {expires_at}"),
        _ => format!("not redeemed; its token is good until {expires_at}"),
    })
}

fn now_line(story: &Story) -> String {
    let count = |status| story.tasks.iter().filter(|task| task.status == status).count();
    let on_wait = story.tasks.iter().filter(|task| task.wait.as_ref().is_some_and(|wait| wait.since.is_some())).count();
    let parts = [
        (count(TaskStatus::Completed), "completed"),
        (count(TaskStatus::Running), "running"),
        (count(TaskStatus::Scheduled), "scheduled"),
        (count(TaskStatus::Waiting) - on_wait, "waiting for inputs"),
        (on_wait, "waiting for a signal or a time"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    format!("{}; deadline {}", told.collect::<Vec<_>>().join(", "), story.deadline)
}

fn table(shown: &Shown, paint: Paint, text: &mut String) {
    let story = &shown.story;
    let lines = lines(story);
    let named = |line: &Line<'_>| match line {
        Line::Task(task) => task.task.chars().count(),
        Line::Crowd(crowd) => crowd
            .named
            .iter()
            .map(|task| task.task.chars().count() + 2)
            .chain([crowd_name(crowd).chars().count()])
            .max()
            .unwrap_or(0),
    };
    let width = lines.iter().map(named).max().unwrap_or(0).max(11);
    let row = |name: &str, status: &str, started: &str, took: &str, attempt: &str, note: &str| {
        format!("  {name:width$}  {status}  {started:>12}  {took:>12}  {attempt:>7}  {note}").trim_end().to_owned()
            + "\n"
    };
    let title = row("TASK", &format!("{:9}", "STATUS"), "STARTED", "DURATION", "ATTEMPT", "");
    text.push_str(&paint.faint(title.trim_end()));
    text.push('\n');
    let since = |at: Time| format!("+{}", duration(at.since(story.created_at)));
    for line in &lines {
        match line {
            Line::Task(task) => text.push_str(&task_rows(task, "", shown, paint, &row)),
            Line::Crowd(crowd) => {
                let started = crowd.started_at.map(since).unwrap_or_default();
                let took = crowd.started_at.zip(crowd.ended_at).map(|(from, to)| duration(to.since(from)));
                let notes = [crowd_counts(crowd, paint), beside_of(crowd.step, shown, paint)].into_iter().flatten();
                let notes = notes.collect::<Vec<_>>().join("  ");
                text.push_str(&row(
                    &crowd_name(crowd),
                    &" ".repeat(9),
                    &started,
                    &took.unwrap_or_default(),
                    "",
                    &notes,
                ));
                crowd.named.iter().for_each(|task| text.push_str(&task_rows(task, "  ", shown, paint, &row)));
                if crowd.unnamed > 0 {
                    let more =
                        format!("  … and {} more that failed, are tried again or run (--json has all)", crowd.unnamed);
                    text.push_str(&format!("  {}\n", paint.faint(&more)));
                }
            }
        }
    }
}

/// A row of the table from its six cells.
type Row<'a> = dyn Fn(&str, &str, &str, &str, &str, &str) -> String + 'a;

/// A task's row, and one for each attempt of it that was not recorded.
fn task_rows(task: &TaskStory, indent: &str, shown: &Shown, paint: Paint, row: &Row<'_>) -> String {
    let since = |at: Time| format!("+{}", duration(at.since(shown.story.created_at)));
    let mut text = String::new();
    let status = paint.task(task.status, &format!("{:9}", task.status.as_str()));
    // While the next attempt is awaited, those that ended stand below, and the row names none.
    // A wait has no attempts: its times stand in its note.
    let is_named = task.status != TaskStatus::Scheduled && task.wait.is_none();
    let started = task.attempt_started_at.filter(|_| is_named).map(since).unwrap_or_default();
    let took = took(task, shown.now).filter(|_| is_named).map(duration).unwrap_or_default();
    let attempt = task.attempt.filter(|_| is_named).map(|attempt| attempt.to_string()).unwrap_or_default();
    text.push_str(&row(
        &format!("{indent}{}", task.task),
        &status,
        &started,
        &took,
        &attempt,
        &notes(task, shown, paint),
    ));
    for ended in &task.attempts {
        let status = paint.bad(&format!("{:9}", ended.outcome.as_str()));
        let took = duration(ended.ended_at.since(ended.started_at));
        let number = ended.attempt.to_string();
        let why = line_of(&format!("{}: {}", ended.error_type, ended.error));
        text.push_str(&row(&format!("{indent}  └ attempt"), &status, &since(ended.started_at), &took, &number, &why));
        if let Some(log) = log_of(shown, task, ended) {
            text.push_str(&row("", &" ".repeat(9), "", "", "", &paint.faint(&log)));
        }
    }
    text
}

/// The name of a wide step's tasks: `render-manim#0..99`.
#[must_use]
pub fn crowd_name(crowd: &Crowd<'_>) -> String {
    format!("{}#0..{}", crowd.step, crowd.tasks.len().saturating_sub(1))
}

/// How many of a wide step's tasks are how: `90 completed, 10 running`.
#[must_use]
pub fn crowd_counts(crowd: &Crowd<'_>, paint: Paint) -> Option<String> {
    let count = |(status, count): (&TaskStatus, &usize)| {
        let word = status.as_str().to_ascii_lowercase().replace('_', " ");
        paint.task(*status, &format!("{count} {word}"))
    };
    Some(crowd.counts.iter().rev().map(count).collect::<Vec<_>>().join(", ")).filter(|counts| !counts.is_empty())
}

fn beside_of(name: &str, shown: &Shown, paint: Paint) -> Option<String> {
    shown.parallel.get(name).map(|others| paint.faint(&format!("∥ {}", compact(others))))
}

/// How long the attempt of the row took, or has been at work.
fn took(task: &TaskStory, now: Time) -> Option<Duration> {
    let from = task.attempt_started_at?;
    match task.status {
        TaskStatus::Running => Some(now.since(from)),
        TaskStatus::Waiting | TaskStatus::Scheduled | TaskStatus::Canceled if task.attempts.is_empty() => None,
        _ => task.ended_at.map(|ended| ended.since(from)),
    }
}

fn notes(task: &TaskStory, shown: &Shown, paint: Paint) -> String {
    let now = shown.now;
    let mut notes = Vec::new();
    match task.status {
        TaskStatus::Running => {
            if let Some(progress) = &task.progress {
                notes.push(line_of(&format!("{} % {}", progress.permille / 10, progress.note)));
            }
            if let Some(until) = task.lease_until.filter(|until| *until < now) {
                let late = duration(now.since(until));
                notes
                    .push(paint.bad(&format!("no heartbeat: its lease ended {late} ago, another worker will take it")));
            }
        }
        TaskStatus::Scheduled => {
            let next = task.attempt.map(|attempt| format!("attempt {} ", attempt + 1)).unwrap_or_default();
            let since = task.not_before.max(task.ended_at).or(task.scheduled_at);
            let wait = since.map(|since| now.since(since)).filter(|wait| *wait >= QUEUED_NOTABLE);
            match (task.not_before.filter(|until| *until > now), wait) {
                (Some(until), _) => notes.push(format!("{next}in {}", duration(until.since(now)))),
                (None, _) if is_paused(task, shown) => notes.push(paint.notable("paused")),
                (None, Some(wait)) => notes.push(paint.notable(&format!("{next}in its queue for {}", duration(wait)))),
                (None, None) => {}
            }
        }
        TaskStatus::Waiting
        | TaskStatus::Completed
        | TaskStatus::Failed
        | TaskStatus::TimedOut
        | TaskStatus::Canceled => {}
    }
    notes.extend(task.wait.as_ref().and_then(|wait| wait_note(task, wait, shown, paint)));
    let queued = task.scheduled_at.zip(task.started_at).map(|(scheduled, started)| started.since(scheduled));
    if let Some(queued) = queued.filter(|queued| *queued >= QUEUED_NOTABLE) {
        notes.push(format!("queued {}", duration(queued)));
    }
    notes.extend(beside_of(&task.task, shown, paint));
    notes.join("  ")
}

/// What a wait waits for and how long yet or, once it is over, what ended it.
fn wait_note(task: &TaskStory, wait: &WaitStory, shown: &Shown, paint: Paint) -> Option<String> {
    let (now, created) = (shown.now, shown.story.created_at);
    if task.status == TaskStatus::Completed {
        let at = task.ended_at.map(|at| format!("+{}", duration(at.since(created)))).unwrap_or_default();
        let payload = wait.payload.as_ref().map(|payload| format!(": {}", line_of(payload))).unwrap_or_default();
        return Some(format!("{}over at {at}{payload}", signal_of(wait)));
    }
    let since = wait.since?;
    let what = wait.signal.as_ref().map_or_else(String::new, |signal| format!(" FOR SIGNAL {signal}"));
    let spent = [(wait.until, "goes on by itself in"), (wait.times_out_at, "times out in")];
    let ahead = spent.into_iter().filter_map(|(at, words)| Some(format!(", {words} {}", duration(at?.since(now)))));
    let ahead: String = ahead.collect();
    Some(paint.notable(&format!("WAITING{what}, for {}{ahead}", duration(now.since(since)))))
}

/// The signal that a task waits for now.
fn awaited(task: &TaskStory) -> Option<&str> {
    task.wait.as_ref().filter(|wait| wait.since.is_some())?.signal.as_deref()
}

fn signal_of(wait: &WaitStory) -> String {
    wait.signal.as_ref().map(|signal| format!("signal {signal}, ")).unwrap_or_default()
}

fn is_paused(task: &TaskStory, shown: &Shown) -> bool {
    let of_step = |step: &StepName| step.as_str() == task.step;
    shown.story.paused.as_ref().is_some_and(|pause| pause.since.is_some() || pause.steps.keys().any(of_step))
}

fn log_of(shown: &Shown, task: &TaskStory, ended: &Attempt) -> Option<String> {
    let kept = shown.logs.get(&task.task).is_some_and(|attempts| attempts.contains(&ended.attempt));
    if kept {
        Some(format!("log: qsketch logs {} {} --attempt {}", shown.story.job, task.task, ended.attempt))
    } else {
        shown.store_problem.is_none().then(|| "no log was kept".to_owned())
    }
}
