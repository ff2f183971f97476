//! The writes of the part `job` that people and the reconciler make: reopening, pausing, refunds, the next look, and the end of its
//! time in the table.

use qsketch_core::parts::Pause;
use qsketch_core::refund::{Issued, Redemption};
use qsketch_core::write::{Kept, Reopened, Started};
use qsketch_core::{Closing, Commit, JobId, JobStatus, TaskId, Time};
use qsketch_runtime::ports::PortError;

use crate::table::{Condition, DynamoTable, JOB, number, text};

/// What every write sets that ends a job's time in the queue.
const KEPT: &str = "#status = :status, #check_shard = :check_shard, #check_at = :check_at, #expires_at = :expires_at";

fn kept(kept: &Kept) -> Condition {
    Condition::new("#status = :queued")
        .name("#status", "status")
        .name("#check_shard", "check_shard")
        .name("#check_at", "check_at")
        .name("#expires_at", "expires_at")
        .value(":queued", text(JobStatus::Queued.as_str()))
        .value(":check_shard", text(&kept.check_shard))
        .value(":check_at", number(kept.check_at.0))
        .value(":expires_at", number(kept.expires_at))
}

impl DynamoTable {
    pub(crate) async fn reopen(
        &self,
        job: &JobId,
        (closing, is_refunded): (u32, bool),
        (finalizer, is_notified): (&TaskId, bool),
        set: &Reopened,
    ) -> Result<Commit, PortError> {
        let is_there = |is_there| if is_there { "attribute_exists" } else { "attribute_not_exists" };
        let condition = format!(
            "#status <> :running AND #closing = :closing AND {}(#done.#finalizer) AND {}(#refunded)",
            is_there(is_notified),
            is_there(is_refunded)
        );
        let condition = Condition::new(condition)
            .of_closing(closing)
            .name("#done", "done")
            .name("#finalizer", &finalizer.to_string())
            .name("#folded", "folded")
            .name("#deadline", "deadline")
            .name("#reopened_at", "reopened_at")
            .name("#check_shard", "check_shard")
            .name("#check_at", "check_at")
            .name("#paused", "paused")
            .name("#generations", "generations")
            .name("#refunded", "refunded")
            .value(":next", number(closing.saturating_add(1)))
            .value(":done", self.attribute(job, &set.done)?)
            .value(":folded", self.attribute(job, &set.folded)?)
            .value(":deadline", number(set.deadline.0))
            .value(":at", number(set.at.0))
            .value(":check_shard", text(&set.check_shard))
            .value(":check_at", number(set.check_at.0));
        let (sets, removes, condition) = if set.generations.is_empty() {
            ("", ", #generations", condition)
        } else {
            let condition = condition.value(":generations", self.attribute(job, &set.generations)?);
            (", #generations = :generations", "", condition)
        };
        let update = format!(
            "SET #status = :running, #closing = :next, #done = :done, #folded = :folded, #deadline = :deadline, \
             #reopened_at = :at, #check_shard = :check_shard, #check_at = :check_at{sets} REMOVE #paused{removes}"
        );
        self.update(job, JOB, &update, condition).await
    }

    pub(crate) async fn pause(
        &self,
        job: &JobId,
        closing: u32,
        changes: u32,
        set: &Pause,
    ) -> Result<Commit, PortError> {
        let condition = if changes == 0 {
            Condition::new("#status = :running AND #closing = :closing AND attribute_not_exists(#paused)")
        } else {
            Condition::new("#status = :running AND #closing = :closing AND #paused.#changes = :changes")
                .name("#changes", "changes")
                .value(":changes", number(changes))
        };
        let condition =
            condition.of_closing(closing).name("#paused", "paused").value(":set", self.attribute(job, set)?);
        self.update(job, JOB, "SET #paused = :set", condition).await
    }

    pub(crate) async fn start(&self, job: &JobId, set: &Started) -> Result<Commit, PortError> {
        let condition = kept(&set.kept)
            .name("#started_at", "started_at")
            .name("#deadline", "deadline")
            .value(":at", number(set.at.0))
            .value(":status", text(JobStatus::Running.as_str()))
            .value(":deadline", number(set.deadline.0));
        self.update(job, JOB, &format!("SET {KEPT}, #started_at = :at, #deadline = :deadline"), condition).await
    }

    pub(crate) async fn withdraw(&self, job: &JobId, entry: &Closing, to: &Kept) -> Result<Commit, PortError> {
        let condition = self.closing(job, kept(to), entry)?;
        self.update(job, JOB, &format!("SET {KEPT}, #closings = list_append(#closings, :entry)"), condition).await
    }

    pub(crate) async fn expire(&self, job: &JobId, closing: u32, expires_at: u64) -> Result<Commit, PortError> {
        let condition = Condition::new("#status <> :running AND #closing = :closing")
            .of_closing(closing)
            .name("#expires_at", "expires_at")
            .value(":expires_at", number(expires_at));
        self.update(job, JOB, "SET #expires_at = :expires_at", condition).await
    }

    pub(crate) async fn issue(&self, job: &JobId, closing: u32, issued: &Issued) -> Result<Commit, PortError> {
        let entry = format!("#closings[{closing}]");
        let condition = format!(
            "#status <> :running AND #closing = :closing AND attribute_not_exists(#refunded) AND \
             attribute_exists({entry}.#verdict) AND attribute_not_exists({entry}.#refund)"
        );
        let condition = Condition::new(condition)
            .of_closing(closing)
            .name("#closings", "closings")
            .name("#verdict", "verdict")
            .name("#refund", "refund")
            .name("#refunded", "refunded")
            .value(":issued", self.attribute(job, issued)?);
        self.update(job, JOB, &format!("SET {entry}.#refund = :issued"), condition).await
    }

    pub(crate) async fn redeem(&self, job: &JobId, closing: u32, redemption: &Redemption) -> Result<Commit, PortError> {
        let condition = Condition::new(
            "#status <> :running AND #status <> :completed AND #closing = :closing AND attribute_not_exists(#refunded)",
        )
        .of_closing(closing)
        .name("#refunded", "refunded")
        .value(":completed", text(JobStatus::Completed.as_str()))
        .value(":redemption", self.attribute(job, redemption)?);
        self.update(job, JOB, "SET #refunded = :redemption", condition).await
    }

    pub(crate) async fn look(&self, job: &JobId, seen: Time, next: Option<Time>) -> Result<Commit, PortError> {
        let condition =
            Condition::new("#check_at = :seen").name("#check_at", "check_at").value(":seen", number(seen.0));
        let (update, condition) = match next {
            Some(next) => ("SET #check_at = :next", condition.value(":next", number(next.0))),
            None => ("REMOVE #check_at, #check_shard", condition.name("#check_shard", "check_shard")),
        };
        self.update(job, JOB, update, condition).await
    }
}
