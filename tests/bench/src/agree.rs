//! Whether the units that a store reports are those that are computed from the sizes of the items.
//!
//! ```text
//!   consumers ─► SizedTable ─► the store ─► what it reports of this call
//!                    └ the part before and after ─► qsketch_core::size ─► what it must consume
//! ```
//! The calls of such a run go to the table one after the other: so the part before a write is known, and what the store
//! reports belongs to one call. Nothing is timed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::size::{Consistency, Item, READ_UNIT_PARTS, read_halves, written};
use qsketch_core::{Commit, Input, Job, JobId, Part, Pipeline, Shard, ShardId, StepName, Task, TaskId, Write};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{PortError, Ports, Table};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::consumers::Consumers;
use crate::counted::Units;
use crate::meter::{Meter, Tracing};
use crate::submissions::{Submissions, all_deleted, ids};
use crate::way::Way;

/// How many jobs are run to compare the units, each way.
pub const JOBS: usize = 50;

/// How many of them at once.
const IN_FLIGHT: usize = 8;

/// Of which calls a store reports what they consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// Of reads and writes.
    All,
    /// Of writes; of any read it says one unit, however large the item is.
    Writes,
}

/// What the jobs of one way consumed, as computed and as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// How tasks reached their workers.
    pub way: Way,
    /// How many jobs.
    pub jobs: usize,
    /// What is compared.
    pub told: Told,
    /// The calls of the table by kind.
    pub kinds: BTreeMap<String, Kind>,
    /// Calls of which a store tells nothing: refused writes, queries, and the pipeline that is kept once.
    pub untold: BTreeMap<String, u64>,
}

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// How many.
    pub calls: u64,
    /// What they must consume by the sizes of the items.
    pub computed: Units,
    /// What the store says that they consumed.
    pub reported: Units,
}

impl Agreement {
    /// What all calls must consume by the sizes of the items.
    #[must_use]
    pub fn computed(&self) -> Units {
        self.kinds.values().map(|kind| self.compared(kind.computed)).sum()
    }

    /// What the store says that all calls consumed.
    #[must_use]
    pub fn reported(&self) -> Units {
        self.kinds.values().map(|kind| self.compared(kind.reported)).sum()
    }

    /// Holds what was computed against what was reported, kind by kind.
    ///
    /// # Errors
    /// They differ; the message names each kind. Or there is nothing to compare.
    pub fn check(&self) -> Result<()> {
        ensure!(self.computed().table_writes > 0, "no job wrote anything: nothing is compared");
        let wrong: Vec<String> = self
            .kinds
            .iter()
            .filter(|(_, kind)| self.compared(kind.computed) != self.compared(kind.reported))
            .map(|(name, Kind { calls, computed, reported })| {
                format!("  {calls} {name}: {computed:?} computed, {reported:?} reported")
            })
            .collect();
        ensure!(
            wrong.is_empty(),
            "the units of jobs {} that the store reports are not those that are computed:\n{}",
            self.way.name(),
            wrong.join("\n")
        );
        Ok(())
    }

    const fn compared(&self, units: Units) -> Units {
        match self.told {
            Told::All => units,
            Told::Writes => Units { reads: 0, ..units },
        }
    }
}

/// What reads the units that a store has reported so far.
pub type Reported = Box<dyn Fn() -> Units + Send + Sync>;

/// Runs jobs on these ports, and computes what each of their calls of the table consumes; `reported` reads what its
/// store has reported so far.
///
/// # Errors
/// A job does not end.
pub async fn agree(ports: &Ports, reported: Reported, way: Way, told: Told) -> Result<Agreement> {
    let table = Arc::new(SizedTable { inner: Arc::clone(&ports.table), reported, book: Mutex::default() });
    let meter = Meter::new(Tracing::Off);
    let ports = meter.around(&Ports { table: Arc::clone(&table) as _, ..ports.clone() });
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let _polls = Consumers::new(&ports, &outbox, way)?.poll(&ports.queues, &outbox);
    let ids = ids(&format!("u{:x}-{}", std::process::id(), way.id()), JOBS)?;
    Submissions::new(&meter, &outbox).run(ids, IN_FLIGHT, |_| Ok(())).await?;
    all_deleted(&meter).await?;
    let book = core::mem::take(&mut *table.book.lock().await);
    Ok(Agreement { way, jobs: JOBS, told, kinds: book.kinds, untold: book.untold })
}

/// A table that knows every part as it was last written or read, and so what a call consumes.
struct SizedTable {
    inner: Arc<dyn Table>,
    reported: Reported,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    items: HashMap<(JobId, String), Item>,
    kinds: BTreeMap<String, Kind>,
    untold: BTreeMap<String, u64>,
}

impl Book {
    fn add(&mut self, kind: &str, computed: Units, reported: Units) {
        let of_kind = self.kinds.entry(kind.to_owned()).or_default();
        *of_kind = Kind {
            calls: of_kind.calls + 1,
            computed: [of_kind.computed, computed].into_iter().sum(),
            reported: [of_kind.reported, reported].into_iter().sum(),
        };
    }

    fn untold(&mut self, kind: &str) {
        *self.untold.entry(kind.to_owned()).or_default() += 1;
    }
}

impl SizedTable {
    async fn read<T: Send>(
        &self,
        kind: &str,
        read: impl Future<Output = Result<Option<T>, PortError>> + Send,
        item: impl FnOnce(&T) -> Item + Send,
    ) -> Result<Option<T>, PortError> {
        let mut book = self.book.lock().await;
        let before = (self.reported)();
        let found = read.await?;
        let bytes = found.as_ref().map_or(0, |found| item(found).bytes());
        let reads = read_halves(bytes, Consistency::Strong) / READ_UNIT_PARTS;
        book.add(kind, Units { reads, ..Units::default() }, (self.reported)() - before);
        Ok(found)
    }

    async fn untold<T: Send>(&self, kind: &str, call: impl Future<Output = T> + Send) -> T {
        let mut book = self.book.lock().await;
        book.untold(kind);
        call.await
    }
}

#[async_trait]
impl Table for SizedTable {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.read("load-job", self.inner.load_job(job), Item::of_job).await
    }

    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        self.read("load-task", self.inner.load_task(job, task), |part| Item::of_task(job, task, part)).await
    }

    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.read("load-input", self.inner.load_input(job), Item::of_input).await
    }

    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        let item = |part: &Shard| Item::of_part(job, &format!("done:{shard}"), &Part::Shard(Box::new(part.clone())));
        self.read("load-shard", self.inner.load_shard(job, shard), item).await
    }

    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        self.untold("load-shards", self.inner.load_shards(job, step, generation)).await
    }

    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.untold("load-parts", self.inner.load_parts(job)).await
    }

    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        self.read("load-pipeline", self.inner.load_pipeline(hash), Item::of_pipeline).await
    }

    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        self.untold("keep-pipeline", self.inner.keep_pipeline(pipeline)).await
    }

    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        let name = part_name(write);
        let key = (job.clone(), name.clone());
        let mut book = self.book.lock().await;
        let before = (self.reported)();
        let commit = self.inner.commit(job, write).await?;
        let reported = (self.reported)() - before;
        match &commit {
            Commit::Written(part) => {
                let after = Item::of_part(job, &name, part);
                let units = written(book.items.get(&key), &after);
                let computed = Units { table_writes: units.table, index_writes: units.indexes, reads: 0 };
                book.add(write.kind(), computed, reported);
                book.items.insert(key, after);
            }
            Commit::Overtaken(part) => {
                book.untold(&format!("{}, refused", write.kind()));
                if let Some(part) = part {
                    book.items.insert(key, Item::of_part(job, &name, part));
                }
            }
        }
        Ok(commit)
    }
}

/// The name of the part that a write is of.
fn part_name(write: &Write) -> String {
    match write {
        Write::CreateInput(_) => "input".to_owned(),
        Write::Task { task, .. } => format!("task:{task}"),
        Write::RecordElement { shard, .. } | Write::Bury { shard, .. } => format!("done:{shard}"),
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
        | Write::Look { .. } => "job".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU64, Ordering};

    use anyhow::Context;
    use qsketch_sim::Sim;

    use super::*;
    use crate::stack::{create_table, sdk};

    #[tokio::test(start_paused = true)]
    async fn the_units_of_the_table_in_memory_are_those_that_are_computed() -> Result<()> {
        for way in Way::ALL {
            let sim = Sim::new(1);
            let reported = sim.clone();
            let all = agree(&sim.ports(), Box::new(move || reported.units().into()), way, Told::All).await?;
            all.check()?;
            assert_eq!(all.kinds.get("record").context("there are records")?.calls, 5 * JOBS as u64);
        }
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_units_that_dynoxide_reports_for_the_jobs_are_those_that_are_computed() -> Result<()> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let sdk = sdk(&format!("http://{}", listener.local_addr()?)).await;
        let database = dynoxide::Database::memory().map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        for way in Way::ALL {
            create_table(&sdk, way.id()).await?;
            let meter = Arc::new(qsketch_aws::Meter::default());
            let table = qsketch_aws::DynamoTable::new(&sdk, way.id()).metered(Arc::clone(&meter));
            let ports = Ports { table: Arc::new(table), ..Sim::new(1).ports() };
            agree(&ports, Box::new(move || meter.read().into()), way, Told::All).await?.check()?;
        }
        server.abort();
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_reports_one_unit_too_many_is_found_unless_it_is_of_a_read_that_is_not_compared() -> Result<()>
    {
        let run = async |told, wrong: fn(&mut Units)| {
            let sim = Sim::new(1);
            let (reported, asked) = (sim.clone(), AtomicU64::new(0));
            // Once and for all, in the middle of the run: one call alone seems to have consumed more.
            let reported = move || {
                let mut units = Units::from(reported.units());
                if asked.fetch_add(1, Ordering::Relaxed) > 500 {
                    wrong(&mut units);
                }
                units
            };
            anyhow::Ok(agree(&sim.ports(), Box::new(reported), Way::Queues, told).await?.check())
        };
        let error = run(Told::All, |units| units.table_writes += 1).await?.err().context("a write too many")?;
        assert!(error.to_string().contains("computed"), "{error}");
        assert!(run(Told::Writes, |units| units.index_writes += 1).await?.is_err());
        assert!(run(Told::All, |units| units.reads += 1).await?.is_err());
        assert!(run(Told::Writes, |units| units.reads += 1).await?.is_ok());
        Ok(())
    }
}
