//! The job table in memory: [`qsketch_core::write::apply`] is all it knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::write::apply;
use qsketch_core::{Commit, Input, Job, JobId, Part, Pipeline, Task, TaskId, Time, Write};
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{PortError, PortErrorKind, Table};
use serde::Serialize;

use crate::world::{Actor, Port, Request, World};

/// The job table in memory, as one process sees it.
#[derive(Clone)]
pub struct SimTable {
    world: Arc<World>,
    actor: Arc<Actor>,
}

/// A write that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// When.
    pub at: Time,
    /// Who wrote it.
    pub process: String,
    /// The job.
    pub job: JobId,
    /// The write.
    pub write: Write,
}

/// What the table's calls would have cost, estimated from the parts' length as JSON.
///
/// # Source
/// DynamoDB developer guide, "Read and write operations", read 2026-11-22: a write unit is 1 KiB, a strongly
/// consistent read unit 4 KiB, both rounded up; a refused write costs what the written item would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Write units, the indexes left out.
    pub writes: u64,
    /// Read units, strongly consistent.
    pub reads: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Input,
    Job,
    Task(TaskId),
}

#[derive(Default)]
pub(crate) struct Items {
    parts: BTreeMap<(JobId, Key), Part>,
    pipelines: BTreeMap<PipelineHash, String>,
    pub(crate) committed: Vec<Committed>,
    pub(crate) units: Units,
}

impl SimTable {
    pub(crate) const fn new(world: Arc<World>, actor: Arc<Actor>) -> Self {
        Self { world, actor }
    }

    async fn read<T: Send>(
        &self,
        kind: &'static str,
        target: String,
        look: impl FnOnce(&mut Items) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError> {
        let request = Request { port: Port::Table, kind, target, size: 1 };
        self.world.call(&self.actor, request, |state, _| look(&mut state.items)).await
    }
}

#[async_trait]
impl Table for SimTable {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.read("load-job", format!("{job} job"), |items| Ok(items.job(job).cloned())).await
    }

    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        let look = |items: &mut Items| match items.look(job, Key::Task(task.clone())) {
            Some(Part::Task(task)) => Ok(Some((**task).clone())),
            _ => Ok(None),
        };
        self.read("load-task", format!("{job} task:{task}"), look).await
    }

    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        let look = |items: &mut Items| match items.look(job, Key::Input) {
            Some(Part::Input(input)) => Ok(Some((**input).clone())),
            _ => Ok(None),
        };
        self.read("load-input", format!("{job} input"), look).await
    }

    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.read("load-parts", format!("{job} *"), |items| {
            let parts = items.all(job);
            items.units.reads += units_of(length_of_all(&parts), 4_096);
            Ok(parts)
        })
        .await
    }

    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        let look = |items: &mut Items| {
            let Some(document) = items.pipelines.get(hash) else { return Ok(None) };
            items.units.reads += units_of(document.len(), 4_096);
            let damaged = || PortError::new(format!("load pipeline {hash}"), PortErrorKind::Damaged);
            let pipeline = Pipeline::from_document(document).map_err(|error| damaged().because(error))?;
            if pipeline.hash() == hash { Ok(Some(pipeline)) } else { Err(damaged()) }
        };
        self.read("load-pipeline", format!("pipeline:{hash}"), look).await
    }

    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        let keep = |items: &mut Items| {
            items.units.writes += units_of(pipeline.document().len(), 1_024);
            items.pipelines.entry(pipeline.hash().clone()).or_insert_with(|| pipeline.document().to_owned());
            Ok(())
        };
        self.read("keep-pipeline", format!("pipeline:{}", pipeline.hash()), keep).await
    }

    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        let key = key_of(write);
        let request = Request { port: Port::Table, kind: write.kind(), target: format!("{job} {key:?}"), size: 1 };
        let process = self.actor.name.clone();
        let effect =
            |items: &mut Items, at| items.commit(Committed { at, process, job: job.clone(), write: write.clone() });
        self.world.call(&self.actor, request, |state, at| Ok(effect(&mut state.items, at))).await
    }
}

impl Items {
    pub(crate) fn job(&mut self, job: &JobId) -> Option<&Job> {
        match self.look(job, Key::Job) {
            Some(Part::Job(job)) => Some(job),
            _ => None,
        }
    }

    fn look(&mut self, job: &JobId, key: Key) -> Option<&Part> {
        let found = self.parts.get(&(job.clone(), key));
        self.units.reads += units_of(found.map_or(0, length_of), 4_096);
        found
    }

    /// All parts of a job, without a cost.
    pub(crate) fn all(&self, job: &JobId) -> Parts {
        let mut all = Parts::default();
        for ((_, key), part) in self.parts.iter().filter(|((id, _), _)| id == job) {
            match (key, part) {
                (Key::Input, Part::Input(input)) => all.input = Some((**input).clone()),
                (Key::Job, Part::Job(job)) => all.job = Some((**job).clone()),
                (Key::Task(id), Part::Task(task)) => {
                    all.tasks.insert(id.clone(), (**task).clone());
                }
                _ => {}
            }
        }
        all
    }

    fn commit(&mut self, committed: Committed) -> Commit {
        let key = (committed.job.clone(), key_of(&committed.write));
        let current = self.parts.get(&key);
        let before = current.map_or(0, length_of);
        let Some(next) = apply(&committed.write, current) else {
            self.units.writes += units_of(before, 1_024);
            return Commit::Overtaken(current.cloned());
        };
        self.units.writes += units_of(before.max(length_of(&next)), 1_024);
        self.parts.insert(key, next.clone());
        self.committed.push(committed);
        Commit::Written(next)
    }

    pub(crate) fn remove_job(&mut self, job: &JobId) {
        self.parts.retain(|(id, _), _| id != job);
    }
}

fn key_of(write: &Write) -> Key {
    match write {
        Write::CreateInput(_) => Key::Input,
        Write::Task { task, .. } => Key::Task(task.clone()),
        Write::CreateJob(_) | Write::Record { .. } | Write::RecordFinal { .. } | Write::Close { .. } => Key::Job,
    }
}

fn length_of(part: &Part) -> usize {
    match part {
        Part::Input(input) => json_length(input),
        Part::Job(job) => json_length(job),
        Part::Task(task) => json_length(task),
    }
}

fn length_of_all(parts: &Parts) -> usize {
    let tasks: usize = parts.tasks.values().map(json_length).sum();
    tasks + parts.input.as_ref().map_or(0, json_length) + parts.job.as_ref().map_or(0, json_length)
}

fn json_length(part: &impl Serialize) -> usize {
    serde_json::to_vec(part).map_or(0, |bytes| bytes.len())
}

fn units_of(length: usize, unit: usize) -> u64 {
    length.div_ceil(unit).max(1) as u64
}
