//! A story's tasks as lines for a person: a line for each task, but one for all tasks of a wide step, with those of them
//! that need a look. Pure.

use std::collections::BTreeMap;

use qsketch_core::Time;
use qsketch_core::story::{Story, TaskStatus, TaskStory};

/// Up to how many tasks of a step have a line each; of a wider step as many at most are named.
pub const ROWS_MAX: usize = 8;

/// A task, or all tasks of a wide step.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// A task.
    Task(&'a TaskStory),
    /// A wide step.
    Crowd(Crowd<'a>),
}

/// The tasks of a wide step.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowd<'a> {
    /// The step.
    pub step: &'a str,
    /// All of its tasks.
    pub tasks: &'a [TaskStory],
    /// How many there are in each status.
    pub counts: BTreeMap<TaskStatus, usize>,
    /// Those that need a look: what failed, is tried again or is at work, at most [`ROWS_MAX`], in that order.
    pub named: Vec<&'a TaskStory>,
    /// How many more there are of them.
    pub unnamed: usize,
    /// When the first attempt of any of them began.
    pub started_at: Option<Time>,
    /// When the last of them was recorded, once all of them are.
    pub ended_at: Option<Time>,
}

/// The lines of a story, in its order.
#[must_use]
pub fn lines(story: &Story) -> Vec<Line<'_>> {
    let of_steps = story.tasks.chunk_by(|one, next| one.step == next.step);
    let lines = of_steps.flat_map(|tasks| match tasks {
        [first, ..] if tasks.len() > ROWS_MAX && first.task.contains('#') => {
            vec![Line::Crowd(crowd(&first.step, tasks))]
        }
        few => few.iter().map(Line::Task).collect(),
    });
    lines.collect()
}

fn crowd<'a>(step: &'a str, tasks: &'a [TaskStory]) -> Crowd<'a> {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(task.status).or_insert(0) += 1;
    }
    let mut named: Vec<(u8, &TaskStory)> = tasks.iter().filter_map(|task| Some((urgency(task)?, task))).collect();
    named.sort_by_key(|(urgency, _)| *urgency);
    let unnamed = named.len().saturating_sub(ROWS_MAX);
    let is_complete = counts.get(&TaskStatus::Completed) == Some(&tasks.len());
    Crowd {
        step,
        tasks,
        counts,
        named: named.into_iter().take(ROWS_MAX).map(|(_, task)| task).collect(),
        unnamed,
        started_at: tasks.iter().filter_map(|task| task.started_at).min(),
        ended_at: tasks.iter().filter_map(|task| task.ended_at).max().filter(|_| is_complete),
    }
}

/// How much a task needs a look, the most first; none for one that is done, or that nothing has happened to.
fn urgency(task: &TaskStory) -> Option<u8> {
    match task.status {
        TaskStatus::Failed | TaskStatus::TimedOut => Some(0),
        TaskStatus::Scheduled | TaskStatus::Running | TaskStatus::Canceled if !task.attempts.is_empty() => Some(1),
        TaskStatus::Running => Some(2),
        TaskStatus::Waiting | TaskStatus::Scheduled | TaskStatus::Completed | TaskStatus::Canceled => None,
    }
}
