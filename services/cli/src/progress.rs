//! How following is shown: bars on a terminal, plain lines elsewhere, JSON lines with `--json`.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use qsketch_core::Time;
use qsketch_core::story::{Story, TaskStatus, TaskStory};
use qsketch_ops::{Change, Crowd, Line, changes, lines};
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
            bars.rows.values().for_each(ProgressBar::abandon);
        }
    }
}

struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    rows: BTreeMap<String, ProgressBar>,
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
        Self { all, head, rows: BTreeMap::new(), paint: Paint::Colours }
    }

    fn update(&mut self, story: &Story, now: Time) {
        let rows = rows(story);
        let names: BTreeSet<&String> = rows.iter().map(Row::name).collect();
        for name in self.rows.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>() {
            if let Some(bar) = self.rows.remove(&name) {
                self.all.remove(&bar);
            }
        }
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (index, row) in rows.iter().enumerate() {
            let bar = self.rows.entry(row.name().clone()).or_insert_with(|| {
                let bar = self.all.insert(index + 1, ProgressBar::new(1_000));
                bar.enable_steady_tick(TICK);
                bar
            });
            row.draw(bar, width, now, self.paint);
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

/// What has a bar: a task, or all tasks of a wide step.
enum Row<'a> {
    Task(String, &'a TaskStory),
    Crowd(String, Crowd<'a>),
}

/// The bars of a story, in its order: of a wide step one for all, and those of the tasks that need a look.
fn rows(story: &Story) -> Vec<Row<'_>> {
    let of_line = |line| match line {
        Line::Task(task) => vec![Row::Task(task.task.clone(), task)],
        Line::Crowd(crowd) => {
            let named: Vec<Row<'_>> =
                crowd.named.iter().map(|task| Row::Task(format!("  {}", task.task), task)).collect();
            [vec![Row::Crowd(render::crowd_name(&crowd), crowd)], named].into_iter().flatten().collect()
        }
    };
    lines(story).into_iter().flat_map(of_line).collect()
}

impl Row<'_> {
    const fn name(&self) -> &String {
        let (Self::Task(name, _) | Self::Crowd(name, _)) = self;
        name
    }

    fn draw(&self, bar: &ProgressBar, width: usize, now: Time, paint: Paint) {
        let (permille, is_busy, since, message) = match self {
            Self::Task(_, task) => {
                let permille = match task.status {
                    TaskStatus::Completed => 1_000,
                    _ => task.progress.as_ref().map_or(0, |progress| u64::from(progress.permille)),
                };
                let message = render::task_message(task, now, paint);
                (permille, task.status == TaskStatus::Running, task.attempt_started_at, message)
            }
            Self::Crowd(_, crowd) => {
                let of = |status| crowd.counts.get(&status).copied().unwrap_or(0) as u64;
                let permille = of(TaskStatus::Completed) * 1_000 / crowd.tasks.len().max(1) as u64;
                let message = render::crowd_counts(crowd, paint).unwrap_or_default();
                (permille, of(TaskStatus::Running) > 0, crowd.started_at, message)
            }
        };
        let elapsed = if is_busy { "{elapsed:>4}" } else { "    " };
        bar.set_style(style(&format!("  {{prefix:{width}}}  {{bar:24.cyan/dim}} {elapsed}  {{wide_msg}}")));
        bar.set_prefix(self.name().clone());
        bar.set_elapsed(since.map(|from| now.since(from)).unwrap_or_default());
        bar.set_position(permille);
        bar.set_message(message);
    }
}

/// A template of ours; should indicatif refuse it, its own style serves.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}
