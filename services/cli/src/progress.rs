//! How following is shown: bars on a terminal, plain lines elsewhere, JSON lines with `--json`.

use core::time::Duration;
use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use qsketch_core::Time;
use qsketch_core::story::{Story, TaskStatus};
use qsketch_ops::{Change, changes};
use serde::Serialize;

use crate::output::Output;
use crate::render::{self, Paint};

/// How often the spinners turn.
const TICK: Duration = Duration::from_millis(120);

/// The layout of the JSON that this command prints.
pub(crate) const JSON_LAYOUT: u32 = 1;

/// Shows a job while it is followed.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    last: Option<Story>,
    bars: Option<Bars>,
}

#[derive(Serialize)]
struct ChangeLine<'a> {
    layout: u32,
    job: &'a str,
    #[serde(flatten)]
    change: &'a Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a str>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(output: &'a Output, job: &str) -> Self {
        Self { output, last: None, bars: output.draws.then(|| Bars::new(job)) }
    }

    /// Shows how the job is now.
    pub(crate) fn update(&mut self, story: &Story, now: Time) {
        match &mut self.bars {
            Some(bars) => bars.update(story, now),
            None => self.lines(story, now),
        }
        self.last = Some(story.clone());
    }

    fn lines(&self, story: &Story, now: Time) {
        for change in changes(self.last.as_ref(), story, now) {
            if self.output.is_json {
                let result = story.result.as_deref().filter(|_| change.task.is_none());
                let line = ChangeLine { layout: JSON_LAYOUT, job: story.job.as_str(), change: &change, result };
                // A reader that went away does not end the job.
                let _ = self.output.json_line(&line);
            } else if let Some(line) = render::change(&change, story.created_at, Paint::Plain) {
                self.output.say(&line);
            }
        }
    }

    /// Leaves what was drawn as it is.
    pub(crate) fn end(self) {
        if let Some(bars) = self.bars {
            bars.head.abandon();
            bars.tasks.values().for_each(ProgressBar::abandon);
        }
    }
}

struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    tasks: BTreeMap<String, ProgressBar>,
    paint: Paint,
}

impl Bars {
    fn new(job: &str) -> Self {
        let all = MultiProgress::new();
        let head = all.add(ProgressBar::new_spinner());
        head.set_style(style("{spinner} {prefix}  {elapsed:>4}  {wide_msg}"));
        head.set_prefix(format!("job {job}"));
        head.set_message("sent, waiting for intake");
        head.enable_steady_tick(TICK);
        // Where colours are not wanted, indicatif takes them out again by itself.
        Self { all, head, tasks: BTreeMap::new(), paint: Paint::Colours }
    }

    fn update(&mut self, story: &Story, now: Time) {
        let gone = |name: &String| !story.tasks.iter().any(|task| task.task == *name);
        for name in self.tasks.keys().filter(|name| gone(name)).cloned().collect::<Vec<_>>() {
            if let Some(bar) = self.tasks.remove(&name) {
                self.all.remove(&bar);
            }
        }
        let width = story.tasks.iter().map(|task| task.task.len()).max().unwrap_or(0);
        for (index, task) in story.tasks.iter().enumerate() {
            let bar = self.tasks.entry(task.task.clone()).or_insert_with(|| {
                let bar = self.all.insert(index + 1, ProgressBar::new(1_000));
                bar.enable_steady_tick(TICK);
                bar
            });
            let permille = match task.status {
                TaskStatus::Completed => 1_000,
                _ => task.progress.as_ref().map_or(0, |progress| u64::from(progress.permille)),
            };
            let template = match task.status {
                TaskStatus::Running => {
                    format!("  {{prefix:{width}}}  {{bar:24.cyan/dim}} {{elapsed:>4}}  {{wide_msg}}")
                }
                _ => format!("  {{prefix:{width}}}  {{bar:24.cyan/dim}}       {{wide_msg}}"),
            };
            bar.set_style(style(&template));
            bar.set_prefix(task.task.clone());
            bar.set_elapsed(task.attempt_started_at.map(|from| now.since(from)).unwrap_or_default());
            bar.set_position(permille);
            bar.set_message(render::task_message(task, now, self.paint));
        }
        self.head.set_elapsed(story.closed_at.unwrap_or(now).since(story.created_at));
        let took = story.closed_at.map(|at| format!(" in {}", render::duration(at.since(story.created_at))));
        let status = self.paint.job(story.status, story.status.as_str());
        self.head.set_message(format!("{status}{}", took.unwrap_or_default()));
        if story.closed_at.is_some() {
            self.head.set_style(style("  {prefix}        {wide_msg}"));
        }
    }
}

/// A template of ours; should indicatif refuse it, its own style serves.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}
