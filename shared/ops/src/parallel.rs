//! What ran at the same time: a pure question to a story.

use std::collections::{BTreeMap, BTreeSet};

use qsketch_core::Time;
use qsketch_core::story::{Story, TaskStatus, TaskStory};

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

/// For each task, the other tasks that were at work at the same time, in the story's order. Symmetric.
#[must_use]
pub fn beside(story: &Story, now: Time) -> BTreeMap<String, Vec<String>> {
    let spans = spans(story, now);
    let mut found = BTreeMap::new();
    for task in &story.tasks {
        let mine: Vec<&Span> = spans.iter().filter(|span| span.task == task.task).collect();
        let mut names = Vec::new();
        for other in &spans {
            let meets = mine.iter().any(|span| span.from < other.to && other.from < span.to);
            if other.task != task.task && meets && !names.contains(&other.task) {
                names.push(other.task.clone());
            }
        }
        if !names.is_empty() {
            found.insert(task.task.clone(), names);
        }
    }
    found
}

/// The most tasks that were at work at one time.
#[must_use]
pub fn at_once_max(story: &Story, now: Time) -> usize {
    let spans = spans(story, now);
    // A new maximum can only begin where a span begins.
    let at = |time: Time| {
        let there = spans.iter().filter(|span| span.from <= time && time < span.to);
        there.map(|span| span.task.as_str()).collect::<BTreeSet<_>>().len()
    };
    spans.iter().map(|span| at(span.from)).max().unwrap_or(0)
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
