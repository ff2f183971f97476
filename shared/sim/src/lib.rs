//! The ports in memory, with seeded disorder, for tests.
//!
//! ```text
//!   Sim ──┬─ process("w1") ─► Ports   logged, delayed, disturbed; crash() silences them for ever
//!         ├─ process("w2") ─► Ports
//!         └─ observer() ────► Ports   neither logged nor disturbed: for setting up and looking
//! ```
//! The clock follows tokio's. In a test with `#[tokio::test(start_paused = true)]` no wait takes any time, and the same
//! seed gives the same faults.
//!
//! A crash is the crash of a process: from then on none of its calls takes effect or returns, whichever of its tasks
//! made it. What it had received stays hidden until its visibility ends, and its leases lapse.

mod clock;
mod disorder;
mod eraser;
mod queues;
mod random;
mod rosters;
mod store;
mod table;
mod turns;
mod world;

use core::time::Duration;
use std::sync::Arc;

use qsketch_core::limits::LAYOUT;
use qsketch_core::{Input, Job, JobId, Pipeline, Roster, Tenant, Time, Write};
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{PortError, Ports, QueueName};
use serde_json::Value;

pub use clock::{EPOCH, SimClock};
pub use disorder::{Disorder, Fault, Order, TIMED_OUT_AFTER};
pub use queues::{BODY_BYTES_MAX, SimQueues, Waiting};
pub use random::Random;
pub use rosters::RosterLaw;
pub use store::SimStore;
pub use table::{Committed, Law, SimTable, Units};
pub use world::{Call, Port};

use world::{Actor, World};

/// A simulated world: one table, any queues, one store, one clock.
#[derive(Clone)]
pub struct Sim {
    world: Arc<World>,
}

impl Sim {
    /// A new, empty and orderly world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { world: World::new(seed) }
    }

    /// A process of this name.
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        Process { world: Arc::clone(&self.world), actor: Actor::new(name, true) }
    }

    /// The ports of a process that never crashes by hand.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.process("process").ports()
    }

    /// Ports that are neither logged nor delayed nor disturbed.
    #[must_use]
    pub fn observer(&self) -> Ports {
        ports(&self.world, &Actor::new("observer", false))
    }

    /// Deletes for good, as a process of this name.
    #[must_use]
    pub fn eraser(&self, name: &str) -> Arc<dyn qsketch_runtime::Eraser> {
        Arc::new(eraser::SimEraser { world: Arc::clone(&self.world), actor: Actor::new(name, true) })
    }

    /// How disorderly the world is from now on.
    pub fn set_disorder(&self, disorder: Disorder) {
        self.world.state().disorder = disorder;
    }

    /// How long every call takes from now on, all else in order.
    pub fn set_latency(&self, latency: Duration) {
        self.set_disorder(Disorder { latency, ..Disorder::default() });
    }

    /// Plans what goes wrong with the call of this number.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.world.state().planned.insert(number, fault);
    }

    /// What is wrong from now on with every call of a kind, such as `hide`: a fault, and by how much it is slower.
    pub fn trouble(&self, kind: &'static str, fault: Option<Fault>, slower: Duration) {
        self.world.state().troubles.insert(kind, (fault, slower));
    }

    /// From now on a queue sees the connections of a crashed process close, and ends its open polls. Until then such a poll
    /// goes on, and swallows what becomes visible.
    pub fn see_connections_close(&self) {
        self.world.state().is_closing_seen = true;
    }

    /// Ends all of [`Sim::trouble`].
    pub fn end_trouble(&self) {
        self.world.state().troubles.clear();
    }

    /// The time as it is now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// Waits until something holds in this world; it is asked after every call's effect.
    ///
    /// It waits for ever where nothing moves any more: bound it with a timeout.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        loop {
            let moved = self.world.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if holds(self) {
                return;
            }
            moved.await;
        }
    }

    /// All calls so far, in the order in which they began.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world.state().calls.clone()
    }

    /// All writes that took effect, in their order.
    #[must_use]
    pub fn commits(&self) -> Vec<Committed> {
        self.world.state().items.committed.clone()
    }

    /// How many writes have taken effect so far.
    #[must_use]
    pub fn commits_made(&self) -> usize {
        self.world.state().items.committed.len()
    }

    /// Breaks the table on purpose: from now on this is what it makes of a write, instead of
    /// [`qsketch_core::write::apply`].
    pub fn set_law(&self, law: Arc<Law>) {
        self.world.state().items.law = Some(law);
    }

    /// The same for the rosters of tenants.
    pub fn set_roster_law(&self, law: Arc<RosterLaw>) {
        self.world.state().items.rosters.law = Some(law);
    }

    /// A tenant's roster, without a call.
    #[must_use]
    pub fn roster(&self, tenant: &Tenant) -> Option<Roster> {
        self.world.state().items.rosters.get(tenant).cloned()
    }

    /// Begins a job as intake does, graph and input included, but for its first message; without a call.
    ///
    /// # Errors
    /// [`PortError`]; none in this world.
    pub async fn begin_job(
        &self,
        id: &JobId,
        tenant: &Tenant,
        pipeline: &Pipeline,
        submission: Value,
    ) -> Result<Job, PortError> {
        let table = self.observer().table;
        table.keep_pipeline(pipeline).await?;
        let job = Job::begun(id.clone(), tenant.clone(), pipeline, self.now());
        let input = Input {
            layout: LAYOUT,
            job_id: id.clone(),
            content_hash: "h".to_owned(),
            submission,
            received_at: self.now(),
            expires_at: job.expires_at,
        };
        table.commit(id, &Write::CreateInput(Box::new(input))).await?;
        table.commit(id, &Write::CreateJob(Box::new(job.clone()))).await?;
        Ok(job)
    }

    /// The jobs that have a part `job`, in the order of their ids.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobId> {
        self.world.state().items.job_ids()
    }

    /// What the table's calls would have cost so far, the observer's included.
    #[must_use]
    pub fn units(&self) -> Units {
        self.world.state().items.units
    }

    /// All parts of a job.
    #[must_use]
    pub fn parts(&self, job: &JobId) -> Parts {
        self.world.state().items.all(job)
    }

    /// Takes all parts of a job out of the table, as its time to live does.
    pub fn remove_job(&self, job: &JobId) {
        self.world.state().items.remove_job(job);
    }

    /// The messages of a queue, hidden ones included.
    #[must_use]
    pub fn messages(&self, queue: &QueueName) -> Vec<Waiting> {
        self.world.state().queues.messages(queue)
    }

    /// The queues that anybody spoke of.
    #[must_use]
    pub fn queue_names(&self) -> Vec<QueueName> {
        self.world.state().queues.names()
    }

    /// Takes a queue away: who speaks of it is told that it is missing.
    pub fn remove_queue(&self, queue: &QueueName) {
        self.world.state().queues.remove(queue);
    }

    /// Empties a queue; what was received of it is gone too.
    pub fn purge(&self, queue: &QueueName) {
        self.world.state().queues.purge(queue);
    }

    /// How many polls were dropped while they were open: each may swallow messages.
    #[must_use]
    pub fn abandoned_polls(&self) -> u64 {
        self.world.state().abandoned_polls
    }

    /// The keys of the store, in their order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.world.state().files.kept.keys().cloned().collect()
    }

    /// The bytes under a key.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.world.state().files.kept.get(key).map(|file| file.bytes.clone())
    }

    /// The keys that somebody tried to write again with something else; there should be none.
    #[must_use]
    pub fn refused_keys(&self) -> Vec<String> {
        self.world.state().files.refused.clone()
    }
}

/// A process of the simulated world.
#[derive(Clone)]
pub struct Process {
    world: Arc<World>,
    actor: Arc<Actor>,
}

impl Process {
    /// Its ports.
    #[must_use]
    pub fn ports(&self) -> Ports {
        ports(&self.world, &self.actor)
    }

    /// Kills it now: none of its calls takes effect or returns from here on. Drop its futures as well.
    pub fn crash(&self) {
        self.actor.crash();
    }

    /// Stops its calls, and the answers to them, until [`Process::thaw`]: a machine that stands still, or has lost
    /// its network. Calls that are on their way take effect.
    pub fn freeze(&self) {
        self.actor.freeze(true);
    }

    /// Lets it go on where it stood.
    pub fn thaw(&self) {
        self.actor.freeze(false);
    }

    /// Sets its clock so many milliseconds ahead, or behind where negative. It knows that it is off.
    pub fn set_clock(&self, ahead_millis: i64) {
        self.actor.set_ahead(ahead_millis);
    }

    /// Whether it has crashed.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.actor.is_crashed()
    }

    /// Waits until it has crashed.
    pub async fn crashed(&self) {
        self.actor.crashed().await;
    }
}

fn ports(world: &Arc<World>, actor: &Arc<Actor>) -> Ports {
    let table = Arc::new(SimTable::new(Arc::clone(world), Arc::clone(actor)));
    Ports {
        lists: Arc::clone(&table) as Arc<dyn qsketch_runtime::Lists>,
        rosters: Arc::clone(&table) as Arc<dyn qsketch_runtime::Rosters>,
        table,
        turns: Arc::new(turns::SimTurns { world: Arc::clone(world), actor: Arc::clone(actor) }),
        queues: Arc::new(SimQueues::new(Arc::clone(world), Arc::clone(actor))),
        store: Arc::new(SimStore::new(Arc::clone(world), Arc::clone(actor))),
        clock: Arc::new(clock::ProcessClock { world: Arc::clone(world), actor: Arc::clone(actor) }),
    }
}
