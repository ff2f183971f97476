//! One suite for every implementation of the ports: what the shell relies on, and nothing else.
//!
//! ```text
//!   parts  ─┐
//!   shards ─┼─ table_cases() ─┐                 ┌─ tests/sim.rs   on the simulated world
//!   lists  ─┤  queue_cases() ─┼─ check(world) ──┤
//!   rosters ┤  store_cases() ─┘                 └─ tests/aws.rs   on MiniStack, the table on dynoxide too
//!   turns  ─┘
//! ```
//! [`walk()`] is for what the table's calls consume: tests/aws.rs holds what the stores say against the simulated table.
//!
//! Every case works on a job, queue or key of its own, so that cases run side by side on one stack.

mod gallery;
mod lists;
mod queues;
mod rosters;
mod shards;
mod store;
mod table;
mod turns;
mod units;

use core::time::Duration;
use std::sync::Arc;

use anyhow::{Result, bail};
use futures_util::future::{BoxFuture, join_all};
use qsketch_runtime::{Eraser, Ports, QueueName};

pub use queues::queue_cases;
pub use store::store_cases;
pub use units::walk;

/// How long one case may take.
const CASE_MAX: Duration = Duration::from_secs(120);

/// Makes a new, empty queue.
pub type MakeQueue = Arc<dyn Fn() -> BoxFuture<'static, Result<QueueName>> + Send + Sync>;

/// An implementation of the ports, ready to be tested.
#[derive(Clone)]
pub struct World {
    /// The ports.
    pub ports: Ports,
    /// Deletes in the same table and store.
    pub eraser: Arc<dyn Eraser>,
    /// Makes a new, empty queue.
    pub make_queue: MakeQueue,
    /// The name of a queue that is not there.
    pub missing_queue: QueueName,
}

impl World {
    /// A name that nobody else uses.
    #[must_use]
    pub fn unique(&self) -> String {
        self.ports.clock.nonce()
    }

    /// A new, empty queue.
    async fn queue(&self) -> Result<QueueName> {
        (self.make_queue)().await
    }
}

/// One thing that every implementation does.
pub struct Case {
    /// What it does, as a sentence.
    pub name: &'static str,
    run: fn(World) -> BoxFuture<'static, Result<()>>,
}

/// Everything that a job table does: parts, shards, lists, rosters, turns at providers.
#[must_use]
pub fn table_cases() -> Vec<Case> {
    table::part_cases()
        .into_iter()
        .chain(shards::shard_cases())
        .chain(lists::list_cases())
        .chain(rosters::roster_cases())
        .chain(turns::turn_cases())
        .collect()
}

/// Everything that the ports do.
#[must_use]
pub fn all_cases() -> Vec<Case> {
    table_cases().into_iter().chain(queue_cases()).chain(store_cases()).collect()
}

/// Lists functions as cases of their own names.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::Case { name: stringify!($name), run: |world| Box::pin($name(world)) }),*]
    };
}
pub(crate) use cases;

/// Runs cases side by side; the names and reasons of those that failed.
pub async fn failures(world: &World, cases: Vec<Case>) -> Vec<String> {
    let each = cases.into_iter().map(|case| {
        let run = tokio::spawn(tokio::time::timeout(CASE_MAX, (case.run)(world.clone())));
        async move {
            match run.await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(format!("{}: {error:#}", case.name)),
                Ok(Err(_)) => Some(format!("{}: it did not end within {} s", case.name, CASE_MAX.as_secs())),
                Err(panic) => Some(format!("{}: {panic}", case.name)),
            }
        }
    });
    join_all(each).await.into_iter().flatten().collect()
}

/// Runs cases side by side.
///
/// # Errors
/// With every case that failed, and why.
pub async fn check(world: &World, cases: Vec<Case>) -> Result<()> {
    let count = cases.len();
    let failed = failures(world, cases).await;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {count} cases failed:\n{}", failed.len(), failed.join("\n"))
}
