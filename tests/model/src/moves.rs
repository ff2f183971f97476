//! How the status of a job and of a task moves, and by which writes: collected from every state of a model, and drawn.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use qsketch_core::ids::{ShardId, TaskId};
use qsketch_core::parts::Job;
use qsketch_core::story::{TaskStatus, tell};

use crate::action;
use crate::book::Book;
use crate::config::Config;
use crate::protocol::Protocol;
use crate::state::{SHARDS, State, TASKS};

/// From a status, to a status: by these writes.
type Edges = BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>;

/// A picture of statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    starts: BTreeSet<&'static str>,
    edges: Edges,
}

impl Picture {
    /// A beginning.
    pub fn begin(&mut self, status: &'static str) {
        self.starts.insert(status);
    }

    fn add(&mut self, from: &'static str, to: &'static str, by: &'static str) {
        if from != to {
            self.edges.entry((from, to)).or_default().insert(by);
        }
    }

    /// The picture for Mermaid, as GitHub draws it.
    #[must_use]
    pub fn drawn(&self) -> String {
        let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
        for start in &self.starts {
            writeln!(text, "    [*] --> {start}").expect("text takes a line");
        }
        for ((from, to), by) in &self.edges {
            let by: Vec<_> = by.iter().copied().collect();
            writeln!(text, "    {from} --> {to} : {}", by.join(", ")).expect("text takes a line");
        }
        text + "```"
    }
}

/// The pictures of all models together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Of a job.
    pub job: Picture,
    /// Of a task of a step that works.
    pub task: Picture,
    /// Of a wait.
    pub wait: Picture,
    /// Of the finalizer's tasks.
    pub finalizer: Picture,
    /// How many states were looked at.
    pub states: usize,
}

/// What the statuses of all tasks follow from.
type Parts = (u16, [u16; TASKS], [u16; SHARDS]);

impl Moves {
    /// Adds every move of a model.
    pub fn collect(&mut self, config: Config) {
        let protocol = Protocol::new(config);
        let start = protocol.start();
        let mut book = protocol.book();
        let mut known = HashMap::new();
        self.begin(&protocol, &book, &start);
        let (mut seen, mut open, mut actions) = (HashSet::from([start]), VecDeque::from([start]), Vec::new());
        while let Some(state) = open.pop_front() {
            assert!(state.broken.is_none(), "the model is sound");
            action::list(&protocol, &book, &state, &mut actions);
            for action in actions.drain(..) {
                book.wrote = None;
                let Some(after) = protocol.after(&mut book, &state, action) else { continue };
                self.note(&protocol, &book, &mut known, &state, &after);
                if seen.insert(after) {
                    open.push_back(after);
                }
            }
        }
        self.states += seen.len();
    }

    fn begin(&mut self, protocol: &Protocol, book: &Book, start: &State) {
        self.job.begin(book.job_at(start.job).status.as_str());
        let tasks = statuses(protocol, book, start);
        for task in &protocol.tasks {
            if let Some(status) = tasks.get(&task.to_string()).or(tasks.get(task.step().as_str())) {
                self.picture_of(protocol, task).begin(status.as_str());
            }
        }
    }

    fn note(
        &mut self,
        protocol: &Protocol,
        book: &Book,
        known: &mut HashMap<Parts, BTreeMap<String, TaskStatus>>,
        before: &State,
        after: &State,
    ) {
        let by = book.wrote.unwrap_or("nothing");
        let (old, new) = (book.job_at(before.job), book.job_at(after.job));
        self.job.add(old.status.as_str(), new.status.as_str(), by);
        let parts = |state: &State| (state.job, state.tasks, state.shards);
        if parts(before) == parts(after) {
            return;
        }
        for state in [before, after] {
            known.entry(parts(state)).or_insert_with(|| statuses(protocol, book, state));
        }
        let (old, new) = (&known[&parts(before)], &known[&parts(after)]);
        for task in &protocol.tasks {
            // Before its list is known, a mapped step stands for its tasks.
            let of = |statuses: &BTreeMap<String, TaskStatus>| {
                statuses.get(&task.to_string()).or(statuses.get(task.step().as_str())).copied()
            };
            match (of(old), of(new)) {
                (Some(old), Some(new)) => self.picture_of(protocol, task).add(old.as_str(), new.as_str(), by),
                (None, Some(new)) => self.picture_of(protocol, task).begin(new.as_str()),
                (_, None) => {}
            }
        }
    }

    fn picture_of(&mut self, protocol: &Protocol, task: &TaskId) -> &mut Picture {
        let step = protocol.pipeline.step(task.step());
        if *task.step() == protocol.pipeline.finalizer().name {
            &mut self.finalizer
        } else if step.is_some_and(|step| step.wait.is_some()) {
            &mut self.wait
        } else {
            &mut self.task
        }
    }
}

/// The status of every task, by the real `tell`.
fn statuses(protocol: &Protocol, book: &Book, state: &State) -> BTreeMap<String, TaskStatus> {
    let job: &Job = book.job_at(state.job);
    let of = |(id, number): (&TaskId, &u16)| Some((id.clone(), book.task_at(*number)?.clone()));
    let tasks = protocol.tasks.iter().zip(&state.tasks).filter_map(of).collect();
    let of = |(id, number): (&ShardId, &u16)| Some((id.clone(), book.shard_at(*number)?.clone()));
    let shards = protocol.shards.iter().zip(&state.shards).filter_map(of).collect();
    tell(&protocol.pipeline, job, &tasks, &shards).tasks.into_iter().map(|task| (task.task, task.status)).collect()
}
