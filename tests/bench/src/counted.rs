//! What some jobs cost, counted: calls, messages, units; and for each job on average.

use core::ops::Sub;

use qsketch_aws::Metered;
use serde::{Deserialize, Serialize};

use crate::meter::Tally;
use crate::prices::Consumption;

/// The calls that carry messages: their batch factor is reported.
const CARRIERS: [&str; 3] = ["queues.send", "queues.receive", "queues.delete"];

/// The kind of a receive that brought nothing: no call of a job, however many of them there are.
pub const EMPTY: &str = "queues.receive-empty";

/// Capacity units of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Write units of the table itself.
    pub table_writes: u64,
    /// Write units of its indexes.
    pub index_writes: u64,
    /// Read units.
    pub reads: u64,
}

impl From<Metered> for Units {
    fn from(Metered { table_writes, index_writes, table_reads, .. }: Metered) -> Self {
        Self { table_writes, index_writes, reads: table_reads }
    }
}

impl From<qsketch_sim::Units> for Units {
    fn from(qsketch_sim::Units { writes, index_writes, reads, .. }: qsketch_sim::Units) -> Self {
        Self { table_writes: writes, index_writes, reads }
    }
}

impl core::iter::Sum for Units {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            table_writes: sum.table_writes + one.table_writes,
            index_writes: sum.index_writes + one.index_writes,
            reads: sum.reads + one.reads,
        })
    }
}

impl Sub for Units {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            table_writes: self.table_writes.saturating_sub(before.table_writes),
            index_writes: self.index_writes.saturating_sub(before.index_writes),
            reads: self.reads.saturating_sub(before.reads),
        }
    }
}

/// What so many jobs cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// How many jobs.
    pub jobs: usize,
    /// Calls by kind.
    pub tally: Tally,
    /// Units of the table: as the store reports them, or on the ports in memory as they are computed.
    pub units: Units,
}

impl Counted {
    /// A sum, for each job.
    #[must_use]
    pub fn per_job(&self, sum: u64) -> f64 {
        sum as f64 / self.jobs.max(1) as f64
    }

    /// How many calls there were, receives that brought nothing left out.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls_of("")
    }

    /// How many calls there were whose kind begins with this, receives that brought nothing left out.
    #[must_use]
    pub fn calls_of(&self, prefix: &str) -> u64 {
        let kinds = self.tally.calls.iter().filter(|(kind, _)| *kind != EMPTY && kind.starts_with(prefix));
        kinds.map(|(_, calls)| calls).sum()
    }

    /// How many receives brought nothing.
    #[must_use]
    pub fn empty_receives(&self) -> u64 {
        self.tally.calls.get(EMPTY).copied().unwrap_or_default()
    }

    /// How many messages a send, a receive that brought something, or a delete carried on average.
    #[must_use]
    pub fn batch_factor(&self) -> f64 {
        let sum = |of: &std::collections::BTreeMap<String, u64>| -> u64 {
            CARRIERS.iter().filter_map(|kind| of.get(*kind)).sum()
        };
        sum(&self.tally.messages) as f64 / sum(&self.tally.calls).max(1) as f64
    }

    /// What one job consumes of what is billed.
    #[must_use]
    pub fn consumption(&self) -> Consumption {
        let requests = |kind: &str| self.tally.requests.get(kind).copied().unwrap_or_default();
        let all: u64 = self.tally.requests.values().sum();
        Consumption {
            table_writes: self.per_job(self.units.table_writes),
            index_writes: self.per_job(self.units.index_writes),
            reads: self.per_job(self.units.reads),
            queue_requests: self.per_job(all - requests(EMPTY)),
            messages: self.per_job(self.tally.messages.get("queues.send").copied().unwrap_or_default()),
            empty_receives: self.per_job(requests(EMPTY)),
        }
    }
}

/// What came since `before`.
impl Sub<&Self> for Counted {
    type Output = Self;

    fn sub(self, before: &Self) -> Self {
        Self { jobs: self.jobs - before.jobs, tally: self.tally - &before.tally, units: self.units - before.units }
    }
}
