//! What the table says that its calls consumed.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// Capacity units as the store reports them, added up over all calls of a metered [`crate::DynamoTable`].
#[derive(Debug, Default)]
pub struct Meter {
    table_writes: AtomicU64,
    index_writes: AtomicU64,
    table_reads: AtomicU64,
    lists: AtomicU64,
}

/// The sums of a [`Meter`], in whole capacity units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// Write units of the table itself.
    pub table_writes: u64,
    /// Write units of its indexes.
    pub index_writes: u64,
    /// Read units of the table, strongly consistent.
    pub table_reads: u64,
    /// Halves of read units of lists, which are eventually consistent.
    pub list_halves: u64,
}

impl Meter {
    /// The sums so far.
    #[must_use]
    pub fn read(&self) -> Metered {
        let whole = |halves: &AtomicU64| halves.load(Ordering::Relaxed) / HALVES;
        Metered {
            table_writes: whole(&self.table_writes),
            index_writes: whole(&self.index_writes),
            table_reads: whole(&self.table_reads),
            list_halves: self.lists.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn wrote(&self, consumed: Option<&ConsumedCapacity>) {
        let Some(consumed) = consumed else { return };
        let total = halves(consumed.capacity_units());
        let indexes = consumed
            .global_secondary_indexes()
            .map_or(0, |all| all.values().map(|one| halves(one.capacity_units())).sum());
        let table =
            consumed.table().map_or_else(|| total.saturating_sub(indexes), |table| halves(table.capacity_units()));
        self.table_writes.fetch_add(table, Ordering::Relaxed);
        self.index_writes.fetch_add(indexes, Ordering::Relaxed);
    }

    pub(crate) fn listed(&self, consumed: &[ConsumedCapacity]) {
        let units = consumed.iter().map(|consumed| halves(consumed.capacity_units())).sum();
        self.lists.fetch_add(units, Ordering::Relaxed);
    }

    pub(crate) fn read_item(&self, consumed: Option<&ConsumedCapacity>) {
        let units = consumed.map_or(0, |consumed| halves(consumed.capacity_units()));
        self.table_reads.fetch_add(units, Ordering::Relaxed);
    }
}

/// The store counts in halves: an eventually consistent read of 4 KiB is one.
const HALVES: u64 = 2;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn halves(units: Option<f64>) -> u64 {
    (units.unwrap_or_default() * HALVES as f64).round() as u64
}
