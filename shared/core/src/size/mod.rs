//! How large a part is as an item of DynamoDB, and what DynamoDB bills for reading and writing it.
//!
//! ```text
//!   part ──► Item: the attributes as they are stored ──► bytes ──► units
//!              job_id, part, and the part's own fields      1 KiB written, 4 KiB read, rounded up
//! ```
//! The emulators' own answers are held against this in `tests/conformance/tests/aws.rs`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::ids::{JobId, TaskId};
use crate::limits::LAYOUT;
use crate::parts::{Input, Job, Part, Task};
use crate::pipeline::Pipeline;
use crate::tenant::Roster;

/// What one write unit covers, in bytes: DynamoDB's "1 KB".
///
/// # Source
/// DynamoDB developer guide, "DynamoDB read and write operations", "Capacity unit consumption for write operations",
/// read 2026-11-24.
pub const WRITE_UNIT_BYTES: u64 = 1_024;

/// What one read unit covers, in bytes: DynamoDB's "4 KB".
///
/// # Source
/// DynamoDB developer guide, "DynamoDB read and write operations", "Capacity unit consumption for read operations",
/// read 2026-11-24.
pub const READ_UNIT_BYTES: u64 = 4_096;

/// In how many parts a read unit comes: an eventually consistent read of up to 4 KB is half a unit.
pub const READ_UNIT_PARTS: u64 = 2;

/// What a list or a map costs by itself, and each of its elements or entries on top of its contents, in bytes.
///
/// # Source
/// DynamoDB developer guide, "DynamoDB item sizes and formats", read 2026-11-24.
const COLLECTION_BYTES: (u64, u64) = (3, 1);

/// A secondary index that projects keys only. An item is in it when it has both of the index's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name in the table.
    pub name: &'static str,
    /// Its partition key and its sort key.
    pub keys: [&'static str; 2],
}

/// The index of jobs to look after, by when.
pub const CHECK_INDEX: Index = Index { name: "check", keys: ["check_shard", "check_at"] };

/// The index for lists: the jobs of a tenant and a day, by when they were taken in.
pub const TENANT_INDEX: Index = Index { name: "tenant", keys: ["tenant_day", "created_at"] };

/// The table's indexes. The part `job` has the keys of both, a tenant's roster those of the first.
pub const INDEXES: [Index; 2] = [CHECK_INDEX, TENANT_INDEX];

/// The table's own keys, which every entry of an index has too.
const TABLE_KEYS: [&str; 2] = ["job_id", "part"];

/// How consistent a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// It sees every write that was answered before it began.
    Strong,
    /// It may see the past. Half the price; all that an index offers.
    Eventual,
}

/// What a write consumes, in write units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteUnits {
    /// The table's own.
    pub table: u64,
    /// Those of its indexes, added up.
    pub indexes: u64,
}

/// An item as DynamoDB stores it: its attributes by name, the keys included.
#[derive(Clone, Debug, PartialEq)]
pub struct Item(Map<String, Value>);

impl Item {
    /// The item of the part `input`.
    #[must_use]
    pub fn of_input(input: &Input) -> Self {
        Self::of(input.job_id.as_str(), "input", input)
    }

    /// The item of the part `job`.
    #[must_use]
    pub fn of_job(job: &Job) -> Self {
        Self::of(job.job_id.as_str(), "job", job)
    }

    /// The item of the part `task:<task>`.
    #[must_use]
    pub fn of_task(job: &JobId, id: &TaskId, task: &Task) -> Self {
        Self::of(job.as_str(), &format!("task:{id}"), task)
    }

    /// The item of a tenant's roster.
    #[must_use]
    pub fn of_roster(roster: &Roster) -> Self {
        Self::of(&format!("tenant:{}", roster.tenant), "tenant", roster)
    }

    /// The item of a part of this name.
    #[must_use]
    pub fn of_part(job: &JobId, name: &str, part: &Part) -> Self {
        match part {
            Part::Input(input) => Self::of(job.as_str(), name, input),
            Part::Job(of_job) => Self::of(job.as_str(), name, of_job),
            Part::Task(task) => Self::of(job.as_str(), name, task),
            Part::Shard(shard) => Self::of(job.as_str(), name, shard),
        }
    }

    /// The item of a pipeline.
    #[must_use]
    pub fn of_pipeline(pipeline: &Pipeline) -> Self {
        let attributes = [
            ("layout", Value::from(LAYOUT)),
            ("name", Value::from(pipeline.name().as_str())),
            ("document", Value::from(pipeline.document())),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Self::keyed(&format!("pipeline:{}", pipeline.hash()), "pipeline", attributes)
    }

    fn of(key: &str, part: &str, fields: &impl Serialize) -> Self {
        // Parts are structs of plain fields with text for keys: JSON can hold each of them, attribute for attribute.
        let attributes = match serde_json::to_value(fields) {
            Ok(Value::Object(attributes)) => attributes,
            _ => Map::new(),
        };
        Self::keyed(key, part, attributes)
    }

    fn keyed(key: &str, part: &str, mut attributes: Map<String, Value>) -> Self {
        for (name, value) in TABLE_KEYS.into_iter().zip([key, part]) {
            attributes.insert(name.to_owned(), Value::from(value));
        }
        Self(attributes)
    }

    /// Its size in bytes: the names and the values of all its attributes.
    ///
    /// # Source
    /// DynamoDB developer guide, "DynamoDB item sizes and formats", read 2026-11-24. The 100 bytes of overhead that the
    /// page names are for storage only.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(name, value)| length(name) + value_bytes(value)).sum()
    }

    /// The size in bytes of its entry in an index that projects keys only, where it has one.
    #[must_use]
    pub fn entry_bytes(&self, index: Index) -> Option<u64> {
        self.entry(index).map(|entry| entry.bytes())
    }

    /// Its entry in an index that projects keys only, where it has one.
    fn entry(&self, index: Index) -> Option<Self> {
        let attribute = |name: &str| Some((name.to_owned(), self.0.get(name)?.clone()));
        index.keys.into_iter().chain(TABLE_KEYS).map(attribute).collect::<Option<Map<_, _>>>().map(Self)
    }
}

/// What a write consumes that took effect: the larger of the item before and after it, and what it changes in each index.
///
/// | entry before | entry after | units of the index |
/// |---|---|---|
/// | none | none | 0 |
/// | none | one, or the other way round | 1 |
/// | one | the same | 0 |
/// | one | another | 2: the old one is deleted, the new one put |
///
/// Each 1 is by the size of that entry, which is the projected keys and nothing else.
///
/// # Source
/// DynamoDB developer guide, "DynamoDB read and write operations" (`PutItem`, `UpdateItem`) and "Using Global Secondary
/// Indexes in DynamoDB", "Write capacity units", read 2026-11-24.
#[must_use]
pub fn written(before: Option<&Item>, after: &Item) -> WriteUnits {
    let table = write_units(before.map_or(0, Item::bytes).max(after.bytes()));
    let of_index = |index| match (before.and_then(|item| item.entry(index)), after.entry(index)) {
        // Only keys are projected: an entry that differs has another key.
        (old, new) if old == new => 0,
        (old, new) => [old, new].into_iter().flatten().map(|entry| write_units(entry.bytes())).sum(),
    };
    WriteUnits { table, indexes: INDEXES.into_iter().map(of_index).sum() }
}

/// What a write consumes whose condition did not hold: as much as the item that is there, at least one unit, and
/// nothing in the indexes.
///
/// # Source
/// DynamoDB developer guide, "Working with items and attributes", "Capacity units consumed by conditional writes", read
/// 2026-11-24. An older edition of the page counts the item that was to be written where that is larger.
#[must_use]
pub fn refused(existing: Option<&Item>) -> WriteUnits {
    WriteUnits { table: write_units(existing.map_or(0, Item::bytes)), indexes: 0 }
}

/// The write units of so many bytes: one for each started [`WRITE_UNIT_BYTES`], at least one.
#[must_use]
pub const fn write_units(bytes: u64) -> u64 {
    let units = bytes.div_ceil(WRITE_UNIT_BYTES);
    if units == 0 { 1 } else { units }
}

/// What a read of so many bytes consumes, in halves of a read unit ([`READ_UNIT_PARTS`]); one of nothing costs as much
/// as one of a byte.
///
/// For a query it is the sum of what it reads, rounded up once.
///
/// # Source
/// DynamoDB developer guide, "DynamoDB read and write operations", "Capacity unit consumption for read operations", read
/// 2026-11-24.
#[must_use]
pub const fn read_halves(bytes: u64, consistency: Consistency) -> u64 {
    let units = bytes.div_ceil(READ_UNIT_BYTES);
    let units = if units == 0 { 1 } else { units };
    match consistency {
        Consistency::Strong => units * READ_UNIT_PARTS,
        Consistency::Eventual => units,
    }
}

/// The size of a value in bytes, the name of its attribute left out.
fn value_bytes(value: &Value) -> u64 {
    let (of_all, of_each) = COLLECTION_BYTES;
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number_bytes(&number.to_string()),
        Value::String(text) => length(text),
        Value::Array(elements) => of_all + elements.iter().map(|element| of_each + value_bytes(element)).sum::<u64>(),
        Value::Object(entries) => {
            of_all + entries.iter().map(|(name, value)| of_each + length(name) + value_bytes(value)).sum::<u64>()
        }
    }
}

/// The size of a number in bytes: one for each two significant digits, one more, and one for a minus. Zeroes at both
/// ends are no significant digits.
///
/// The page says "approximately". Whether digits are paired from the first one, as here, or from the decimal point is
/// told apart by one byte for a number that ends in an odd number of zeroes; no page decides it. The authors of dynoxide
/// found the first by measuring in eu-west-2 (dynoxide 3.2.0, `types.rs`, `number_size`), `MiniStack` counts the second.
///
/// # Source
/// DynamoDB developer guide, "DynamoDB item sizes and formats", read 2026-11-24.
fn number_bytes(text: &str) -> u64 {
    let (sign, magnitude) = text.strip_prefix('-').map_or((0, text), |magnitude| (1, magnitude));
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let from_first = digits.trim_start_matches('0');
    let significant = length(from_first.trim_end_matches('0'));
    if significant == 0 {
        return 1;
    }
    // How many of the digits stand before the decimal point, once the exponent is spelled out.
    let leading = signed(length(&digits) - length(from_first));
    let before = signed(length(whole)) + exponent.parse::<i64>().unwrap_or(0) - leading;
    let before = u64::try_from(before).unwrap_or(0).min(significant);
    1 + sign + before.div_ceil(2) + (significant - before).div_ceil(2)
}

/// The length of a text as UTF-8.
const fn length(text: &str) -> u64 {
    text.len() as u64
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
