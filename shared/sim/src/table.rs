//! The job table in memory: [`qsketch_core::write::apply`] is all it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::parts::tenant_day;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::size::{
    CHECK_INDEX, Consistency, Index, Item, READ_UNIT_PARTS, TENANT_INDEX, WriteUnits, read_halves, refused, written,
};
use qsketch_core::write::apply;
use qsketch_core::{Commit, Input, Job, JobId, Part, Pipeline, Shard, ShardId, StepName, Task, TaskId, Time, Write};
use qsketch_runtime::ports::{DayPage, Due, DuePage, Dues, Parts, Place, Places};
use qsketch_runtime::{Lists, PortError, PortErrorKind, Table};

use crate::rosters::RosterSet;
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

/// What the table's calls would have cost on DynamoDB, by [`qsketch_core::size`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Write units of the table itself.
    pub writes: u64,
    /// Write units of its indexes.
    pub index_writes: u64,
    /// Read units of strongly consistent reads.
    pub reads: u64,
    /// Halves of read units of lists, which are eventually consistent.
    pub list_halves: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Input,
    Job,
    Task(TaskId),
    Shard(ShardId),
}

/// What a table makes of a write on a part as it is: the part as it becomes, or none where it is refused.
pub type Law = dyn Fn(&Write, Option<&Part>) -> Option<Part> + Send + Sync;

#[derive(Default)]
pub(crate) struct Items {
    /// What it makes of a write instead of [`apply`].
    pub(crate) law: Option<Arc<Law>>,
    parts: BTreeMap<(JobId, Key), Part>,
    /// The index of tenants and days.
    listed: BTreeMap<String, BTreeSet<Place>>,
    /// The index of jobs to look after.
    checked: BTreeMap<String, BTreeSet<Due>>,
    pipelines: BTreeMap<PipelineHash, String>,
    pub(crate) rosters: RosterSet,
    pub(crate) committed: Vec<Committed>,
    pub(crate) units: Units,
}

impl SimTable {
    pub(crate) const fn new(world: Arc<World>, actor: Arc<Actor>) -> Self {
        Self { world, actor }
    }

    pub(crate) async fn read<T: Send>(
        &self,
        kind: &'static str,
        target: String,
        mut look: impl FnMut(&mut Items) -> Result<T, PortError> + Send,
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

    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        let look = |items: &mut Items| match items.look(job, Key::Shard(shard.clone())) {
            Some(Part::Shard(shard)) => Ok(Some((**shard).clone())),
            _ => Ok(None),
        };
        self.read("load-shard", format!("{job} done:{shard}"), look).await
    }

    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        let look = |items: &mut Items| {
            let of = |number| (job.clone(), Key::Shard(ShardId::new(step.clone(), generation, number)));
            let found = items.parts.range(of(0)..=of(u32::MAX));
            let (mut bytes, mut shards) = (0, BTreeMap::new());
            for (key, part) in found {
                bytes += item_of(key, part).bytes();
                if let (Key::Shard(id), Part::Shard(shard)) = (&key.1, part) {
                    shards.insert(id.clone(), (**shard).clone());
                }
            }
            items.units.read(bytes);
            Ok(shards)
        };
        self.read("load-shards", format!("{job} done:{step}@{generation}"), look).await
    }

    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.read("load-parts", format!("{job} *"), |items| {
            let bytes = items.of_job(job).map(|(key, part)| item_of(key, part).bytes()).sum();
            items.units.read(bytes);
            Ok(items.all(job))
        })
        .await
    }

    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        let look = |items: &mut Items| {
            let Some(document) = items.pipelines.get(hash) else {
                items.units.read(0);
                return Ok(None);
            };
            let damaged = || PortError::new(format!("load pipeline {hash}"), PortErrorKind::Damaged);
            let pipeline = Pipeline::from_document(document).map_err(|error| damaged().because(error))?;
            items.units.read(Item::of_pipeline(&pipeline).bytes());
            if pipeline.hash() == hash { Ok(Some(pipeline)) } else { Err(damaged()) }
        };
        self.read("load-pipeline", format!("pipeline:{hash}"), look).await
    }

    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        let keep = |items: &mut Items| {
            let item = Item::of_pipeline(pipeline);
            items.units.write(match items.pipelines.insert(pipeline.hash().clone(), pipeline.document().to_owned()) {
                // The hash is the document's: what was there is the same.
                Some(_) => refused(Some(&item)),
                None => written(None, &item),
            });
            Ok(())
        };
        self.read("keep-pipeline", format!("pipeline:{}", pipeline.hash()), keep).await
    }

    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        let key = key_of(write);
        let request = Request { port: Port::Table, kind: write.kind(), target: format!("{job} {key:?}"), size: 1 };
        let process = self.actor.name.clone();
        let effect = |items: &mut Items, at| {
            items.commit(Committed { at, process: process.clone(), job: job.clone(), write: write.clone() })
        };
        self.world.call(&self.actor, request, |state, at| Ok(effect(&mut state.items, at))).await
    }
}

#[async_trait]
impl Lists for SimTable {
    async fn places(&self, page: &DayPage) -> Result<Places, PortError> {
        let day = tenant_day(&page.tenant, page.until);
        self.read("places", day.clone(), |items| Ok(items.places(&day, page))).await
    }

    async fn due(&self, page: &DuePage) -> Result<Dues, PortError> {
        self.read("due", page.shard.clone(), |items| Ok(items.due(page))).await
    }

    async fn jobs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Result<Job, PortError>>, PortError> {
        let look = |items: &mut Items| {
            let found = jobs.iter().filter_map(|id| {
                let key = (id.clone(), Key::Job);
                let part = items.parts.get(&key);
                items.units.list(part.map_or(0, |part| item_of(&key, part).bytes()));
                match part {
                    Some(Part::Job(job)) => Some((id.clone(), Ok((**job).clone()))),
                    _ => None,
                }
            });
            Ok(found.collect())
        };
        self.read("jobs", format!("{} jobs", jobs.len()), look).await
    }
}

impl Items {
    fn places(&mut self, day: &str, page: &DayPage) -> Places {
        let of_day = self.listed.get(day).into_iter().flatten().rev();
        let asked = of_day
            .skip_while(|place| place.created_at > page.until)
            .skip_while(|place| page.after.as_ref().is_some_and(|after| *place >= after))
            .take_while(|place| place.created_at >= page.since);
        let places: Vec<Place> = asked.take(page.most).cloned().collect();
        let bytes = places.iter().map(|place| self.entry_bytes(&place.job, TENANT_INDEX)).sum();
        self.units.list(bytes);
        // The store stops at the number that was asked for, and does not look whether there is one more.
        Places { has_more: places.len() == page.most, places }
    }

    fn due(&mut self, page: &DuePage) -> Dues {
        let of_shard = self.checked.get(&page.shard).into_iter().flatten();
        let asked = of_shard
            .skip_while(|due| page.after.as_ref().is_some_and(|after| *due <= after))
            .take_while(|due| due.check_at <= page.until);
        let due: Vec<Due> = asked.take(page.most).cloned().collect();
        let bytes = due.iter().map(|due| self.entry_bytes(&due.job, CHECK_INDEX)).sum();
        self.units.list(bytes);
        Dues { has_more: due.len() == page.most, due }
    }

    /// What a job's entry in an index has, in bytes.
    fn entry_bytes(&self, job: &JobId, index: Index) -> u64 {
        let key = (job.clone(), Key::Job);
        self.parts.get(&key).and_then(|part| item_of(&key, part).entry_bytes(index)).unwrap_or(0)
    }

    pub(crate) fn job(&mut self, job: &JobId) -> Option<&Job> {
        match self.look(job, Key::Job) {
            Some(Part::Job(job)) => Some(job),
            _ => None,
        }
    }

    fn look(&mut self, job: &JobId, key: Key) -> Option<&Part> {
        let key = (job.clone(), key);
        let found = self.parts.get(&key);
        self.units.read(found.map_or(0, |part| item_of(&key, part).bytes()));
        found
    }

    /// The jobs that have a part `job`, in the order of their ids.
    pub(crate) fn job_ids(&self) -> Vec<JobId> {
        self.parts.keys().filter(|(_, key)| *key == Key::Job).map(|(job, _)| job.clone()).collect()
    }

    fn of_job(&self, job: &JobId) -> impl Iterator<Item = (&(JobId, Key), &Part)> {
        self.parts.range((job.clone(), Key::Input)..).take_while(move |((id, _), _)| id == job)
    }

    /// All parts of a job, without a cost.
    pub(crate) fn all(&self, job: &JobId) -> Parts {
        let mut all = Parts::default();
        for ((_, key), part) in self.of_job(job) {
            match (key, part) {
                (Key::Input, Part::Input(input)) => all.input = Some((**input).clone()),
                (Key::Job, Part::Job(job)) => all.job = Some((**job).clone()),
                (Key::Task(id), Part::Task(task)) => {
                    all.tasks.insert(id.clone(), (**task).clone());
                }
                (Key::Shard(id), Part::Shard(shard)) => {
                    all.shards.insert(id.clone(), (**shard).clone());
                }
                _ => {}
            }
        }
        all
    }

    fn commit(&mut self, committed: Committed) -> Commit {
        let key = (committed.job.clone(), key_of(&committed.write));
        let current = self.parts.get(&key);
        let before = current.map(|part| item_of(&key, part));
        let next = match &self.law {
            Some(law) => law(&committed.write, current),
            None => apply(&committed.write, current),
        };
        let Some(next) = next else {
            self.units.write(refused(before.as_ref()));
            return Commit::Overtaken(current.cloned());
        };
        self.units.write(written(before.as_ref(), &item_of(&key, &next)));
        if let (None, Part::Job(job)) = (current, &next) {
            let place = Place { created_at: job.created_at, job: job.job_id.clone() };
            self.listed.entry(job.tenant_day.clone()).or_default().insert(place);
        }
        let entry = |part: &Part| match part {
            Part::Job(job) => {
                let due = Due { check_at: job.check_at?, job: job.job_id.clone() };
                job.check_shard.clone().map(|shard| (shard, due))
            }
            Part::Input(_) | Part::Task(_) | Part::Shard(_) => None,
        };
        if let Some((shard, due)) = current.and_then(entry) {
            self.checked.entry(shard).or_default().remove(&due);
        }
        if let Some((shard, due)) = entry(&next) {
            self.checked.entry(shard).or_default().insert(due);
        }
        self.parts.insert(key, next.clone());
        self.committed.push(committed);
        Commit::Written(next)
    }

    /// Removes a job; how many parts it had.
    pub(crate) fn remove_job(&mut self, job: &JobId) -> u64 {
        let before = self.parts.len();
        self.parts.retain(|(id, _), _| id != job);
        self.listed.values_mut().for_each(|day| day.retain(|place| place.job != *job));
        self.checked.values_mut().for_each(|shard| shard.retain(|due| due.job != *job));
        (before - self.parts.len()) as u64
    }
}

fn key_of(write: &Write) -> Key {
    match write {
        Write::CreateInput(_) => Key::Input,
        Write::Task { task, .. } => Key::Task(task.clone()),
        Write::RecordElement { shard, .. } | Write::Bury { shard, .. } => Key::Shard(shard.clone()),
        Write::CreateJob(_)
        | Write::Record { .. }
        | Write::RecordFinal { .. }
        | Write::Fold { .. }
        | Write::Close { .. }
        | Write::Reopen { .. }
        | Write::Pause { .. }
        | Write::Start(_)
        | Write::Withdraw { .. }
        | Write::Expire { .. }
        | Write::Issue { .. }
        | Write::Redeem { .. }
        | Write::Look { .. } => Key::Job,
    }
}

fn item_of((job, key): &(JobId, Key), part: &Part) -> Item {
    let name = match key {
        Key::Input => "input".to_owned(),
        Key::Job => "job".to_owned(),
        Key::Task(id) => format!("task:{id}"),
        Key::Shard(id) => format!("done:{id}"),
    };
    Item::of_part(job, &name, part)
}

impl Units {
    pub(crate) fn read(&mut self, bytes: u64) {
        self.reads += read_halves(bytes, Consistency::Strong) / READ_UNIT_PARTS;
    }

    pub(crate) const fn list(&mut self, bytes: u64) {
        self.list_halves += read_halves(bytes, Consistency::Eventual);
    }

    pub(crate) const fn write(&mut self, units: WriteUnits) {
        self.writes += units.table;
        self.index_writes += units.indexes;
    }
}
