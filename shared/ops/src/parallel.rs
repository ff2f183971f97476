//! What ran at the same time: a pure question to a story.

use std::collections::BTreeMap;

use qsketch_core::Time;
use qsketch_core::story::{Story, TaskStatus, TaskStory};

use crate::crowd::{Line, lines};

/// When one attempt of a task was at work: from `from` until before `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The task.
    pub task: String,
    /// When it began.
    pub from: Time,
    /// When it ended; for one that is still at work, now.
    pub to: Time,
}

/// The spans of all attempts that a story knows, in its order.
#[must_use]
pub fn spans(story: &Story, now: Time) -> Vec<Span> {
    story.tasks.iter().flat_map(|task| spans_of(task, story, now)).collect()
}

fn spans_of(task: &TaskStory, story: &Story, now: Time) -> Vec<Span> {
    let span = |from, to| Span { task: task.task.clone(), from, to };
    let mut found: Vec<Span> = task.attempts.iter().map(|attempt| span(attempt.started_at, attempt.ended_at)).collect();
    let is_told = task.attempts.iter().any(|attempt| Some(attempt.attempt) == task.attempt);
    let newest_end = match task.status {
        TaskStatus::Completed => task.ended_at,
        TaskStatus::Running => Some(now),
        // Nobody recorded the end of what was at work when the job closed.
        _ if !is_told => story.closed_at,
        _ => None,
    };
    if let (Some(from), Some(to)) = (task.attempt_started_at, newest_end) {
        found.push(span(from, to));
    }
    found
}

/// For each task, the other tasks that were at work at the same time, in the story's order. Symmetric. A step of more than
/// [`crate::crowd::ROWS_MAX`] tasks counts as one, under its own name.
#[must_use]
pub fn beside(story: &Story, now: Time) -> BTreeMap<String, Vec<String>> {
    let mut times: Vec<(&str, Vec<(Time, Time)>)> = Vec::new();
    for lines in lines(story) {
        let (name, tasks) = match lines {
            Line::Task(task) => (task.task.as_str(), std::slice::from_ref(task)),
            Line::Crowd(crowd) => (crowd.step, crowd.tasks),
        };
        let all = tasks.iter().flat_map(|task| spans_of(task, story, now)).map(|span| (span.from, span.to));
        times.push((name, joined(all.collect())));
    }
    let meet = |mine: &[(Time, Time)], others: &[(Time, Time)]| {
        mine.iter().any(|(from, to)| others.iter().any(|(other_from, other_to)| from < other_to && other_from < to))
    };
    let mut found = BTreeMap::new();
    for (name, mine) in &times {
        let others = times.iter().filter(|(other, others)| other != name && meet(mine, others));
        let names: Vec<String> = others.map(|(other, _)| (*other).to_owned()).collect();
        if !names.is_empty() {
            found.insert((*name).to_owned(), names);
        }
    }
    found
}

/// The same times, those that meet joined.
fn joined(mut times: Vec<(Time, Time)>) -> Vec<(Time, Time)> {
    times.sort_unstable();
    let mut found: Vec<(Time, Time)> = Vec::new();
    for (from, to) in times {
        match found.last_mut() {
            Some((_, end)) if from < *end => *end = to.max(*end),
            _ => found.push((from, to)),
        }
    }
    found
}

/// The most tasks that were at work at one time.
#[must_use]
pub fn at_once_max(story: &Story, now: Time) -> usize {
    let mut ends = Vec::new();
    for task in &story.tasks {
        let times = spans_of(task, story, now).into_iter().map(|span| (span.from, span.to));
        // At one time the ends come first: what ends then is not at work any more.
        ends.extend(
            joined(times.filter(|(from, to)| from < to).collect())
                .into_iter()
                .flat_map(|(from, to)| [(from, 1), (to, -1)]),
        );
    }
    ends.sort_unstable();
    let sums = ends.iter().scan(0_i64, |at_once, (_, change)| {
        *at_once += change;
        Some(*at_once)
    });
    usize::try_from(sums.max().unwrap_or(0)).unwrap_or(0)
}

/// Names of tasks in few words: `render-manim#0..2 generate-tts#1` for four tasks.
#[must_use]
pub fn compact(names: &[String]) -> String {
    let mut words: Vec<(String, Option<(u32, u32)>)> = Vec::new();
    for name in names {
        let element = name.split_once('#').and_then(|(step, index)| Some((step, index.parse::<u32>().ok()?)));
        match (element, words.last_mut()) {
            (Some((step, index)), Some((last, Some((_, to))))) if last == step && to.checked_add(1) == Some(index) => {
                *to = index;
            }
            (Some((step, index)), _) => words.push((step.to_owned(), Some((index, index)))),
            (None, _) => words.push((name.clone(), None)),
        }
    }
    let word = |(step, range): &(String, Option<(u32, u32)>)| match range {
        None => step.clone(),
        Some((from, to)) if from == to => format!("{step}#{from}"),
        Some((from, to)) => format!("{step}#{from}..{to}"),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_step_are_told_as_a_range() {
        let names = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(compact(&names(&["a", "r#0", "r#1", "r#2", "t#1", "t#3"])), "a r#0..2 t#1 t#3");
        assert_eq!(compact(&names(&["r#1", "t#2", "notify@0"])), "r#1 t#2 notify@0");
        assert_eq!(compact(&[]), "");
    }
}
