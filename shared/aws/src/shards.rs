//! The writes of a wide step's records: into a shard, and of a full shard into the part `job`.

use qsketch_core::limits::LAYOUT;
use qsketch_core::{Closing, Commit, Done, JobId, Shard, ShardId, Time};
use qsketch_runtime::ports::PortError;

use crate::table::{CLOSE, Condition, DynamoTable, JOB, number, shard_part, text};

/// What every write of a shard sets: the part may not be there yet.
const BORN: &str = "#layout = if_not_exists(#layout, :layout), #expires_at = if_not_exists(#expires_at, :expires_at)";

impl DynamoTable {
    pub(crate) async fn record_element(
        &self,
        job: &JobId,
        shard: &ShardId,
        element: u32,
        closing: u32,
        done: &Done,
        expires_at: u64,
    ) -> Result<Commit, PortError> {
        let condition = Condition::new(
            "attribute_not_exists(#record) AND (attribute_not_exists(#tombstone) OR #tombstone < :closing)",
        );
        let condition = born(condition, expires_at)
            .name("#record", &Shard::record_name(element))
            .name("#tombstone", &Shard::tombstone_name(element))
            .value(":record", text(&Shard::record_value(done)))
            .value(":closing", number(closing));
        self.update(job, &shard_part(shard), &format!("SET #record = :record, {BORN}"), condition).await
    }

    pub(crate) async fn bury(
        &self,
        job: &JobId,
        shard: &ShardId,
        element: u32,
        closing: u32,
        expires_at: u64,
    ) -> Result<Commit, PortError> {
        let condition = born(Condition::new("attribute_not_exists(#record)"), expires_at)
            .name("#record", &Shard::record_name(element))
            .name("#tombstone", &Shard::tombstone_name(element))
            .value(":closing", number(closing));
        self.update(job, &shard_part(shard), &format!("SET #tombstone = :closing, {BORN}"), condition).await
    }

    pub(crate) async fn fold(
        &self,
        job: &JobId,
        shard: &ShardId,
        closing: u32,
        at: Time,
        close: Option<&Closing>,
    ) -> Result<Commit, PortError> {
        let mut update = "SET #folded.#shard = :at".to_owned();
        let mut condition =
            Condition::new("#status = :running AND #closing = :closing AND attribute_not_exists(#folded.#shard)")
                .name("#folded", "folded")
                .name("#shard", &shard.to_string())
                .of_closing(closing)
                .value(":at", number(at.0));
        if let Some(entry) = close {
            update.push_str(CLOSE);
            condition = self.closing(job, condition, entry)?;
        }
        self.update(job, JOB, &update, condition).await
    }
}

fn born(condition: Condition, expires_at: u64) -> Condition {
    condition
        .name("#layout", "layout")
        .name("#expires_at", "expires_at")
        .value(":layout", number(LAYOUT))
        .value(":expires_at", number(expires_at))
}
