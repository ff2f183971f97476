//! The rosters of tenants on DynamoDB: an item of the job table for each, `tenant:<tenant>` + `tenant`.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use qsketch_core::limits::LAYOUT;
use qsketch_core::tenant::ROSTERS_SHARD;
use qsketch_core::{JobId, Roster, RosterCommit, RosterWrite, Tenant, Time};
use qsketch_runtime::ports::{DueTenant, DueTenants, PortError, PortErrorKind, Rosters, TenantPage};

use crate::table::{Condition, DynamoTable, Item, Updated, number, text};

/// The name of a roster's part.
const ROSTER: &str = "tenant";

/// What stands before the tenant in the key.
const KEY: &str = "tenant:";

/// What a write sets that leaves something to look after.
const LOOKED_AFTER: &str =
    "#check_shard = if_not_exists(#check_shard, :check_shard), #check_at = if_not_exists(#check_at, :check_at)";

/// What else a write sets of a roster that may not be there yet.
const BORN: &str = "#layout = if_not_exists(#layout, :layout), #tenant = if_not_exists(#tenant, :tenant), \
                    #jobs_max = :jobs_max";

fn key(tenant: &Tenant) -> String {
    format!("{KEY}{tenant}")
}

fn set<'a>(jobs: impl IntoIterator<Item = &'a JobId>) -> AttributeValue {
    AttributeValue::Ss(jobs.into_iter().map(ToString::to_string).collect())
}

fn born(condition: Condition, tenant: &Tenant, jobs_max: u32, check_at: Time) -> Condition {
    condition
        .name("#layout", "layout")
        .name("#tenant", "tenant")
        .name("#jobs_max", "jobs_max")
        .name("#queued_at", "queued_at")
        .name("#check_shard", "check_shard")
        .name("#check_at", "check_at")
        .value(":layout", number(LAYOUT))
        .value(":tenant", text(tenant.as_str()))
        .value(":jobs_max", number(jobs_max))
        .value(":check_shard", text(ROSTERS_SHARD))
        .value(":check_at", number(check_at.0))
}

/// The update of a write, and its condition.
fn update(tenant: &Tenant, write: &RosterWrite) -> (String, Condition) {
    match write {
        RosterWrite::Enter { job, jobs_max, check_at } => {
            let condition = Condition::new(
                "contains(#running, :job) OR (attribute_not_exists(#queued_at) AND \
                 (attribute_not_exists(#running) AND :jobs_max > :none OR size(#running) < :jobs_max))",
            );
            let condition = born(condition, tenant, *jobs_max, *check_at)
                .name("#running", "running")
                .value(":job", text(job.as_str()))
                .value(":none", number(0))
                .value(":jobs", set([job]));
            (format!("SET {BORN}, {LOOKED_AFTER} ADD #running :jobs"), condition)
        }
        RosterWrite::Admit { job, check_at } => {
            let condition = Condition::new(
                "attribute_exists(#jobs_max) AND (contains(#running, :job) OR \
                 attribute_not_exists(#running) AND #jobs_max > :none OR size(#running) < #jobs_max)",
            )
            .name("#running", "running")
            .name("#jobs_max", "jobs_max")
            .name("#check_shard", "check_shard")
            .name("#check_at", "check_at")
            .value(":job", text(job.as_str()))
            .value(":none", number(0))
            .value(":check_shard", text(ROSTERS_SHARD))
            .value(":check_at", number(check_at.0))
            .value(":jobs", set([job]));
            (format!("SET {LOOKED_AFTER} ADD #running :jobs"), condition)
        }
        RosterWrite::Leave { jobs } => {
            let condition = Condition::new("attribute_exists(#jobs_max)")
                .name("#running", "running")
                .name("#jobs_max", "jobs_max")
                .value(":jobs", set(jobs));
            ("DELETE #running :jobs".to_owned(), condition)
        }
        RosterWrite::Queue { jobs_max, at, check_at } => {
            // An update without a condition of its own; there is one for every write, so this one always holds.
            let condition = Condition::new("attribute_not_exists(#queued_at) OR attribute_exists(#queued_at)");
            let condition = born(condition, tenant, *jobs_max, *check_at).value(":at", number(at.0));
            (format!("SET {BORN}, {LOOKED_AFTER}, #queued_at = :at"), condition)
        }
        RosterWrite::Unqueue { seen } => {
            let condition =
                Condition::new("#queued_at = :seen").name("#queued_at", "queued_at").value(":seen", number(seen.0));
            ("REMOVE #queued_at".to_owned(), condition)
        }
        RosterWrite::Look { seen, next: Some(next) } => {
            let condition = Condition::new("#check_at = :seen").name("#check_at", "check_at");
            let condition = condition.value(":seen", number(seen.0)).value(":next", number(next.0));
            ("SET #check_at = :next".to_owned(), condition)
        }
        RosterWrite::Look { seen, next: None } => {
            let condition = Condition::new(
                "#check_at = :seen AND attribute_not_exists(#running) AND attribute_not_exists(#queued_at)",
            )
            .name("#running", "running")
            .name("#queued_at", "queued_at")
            .name("#check_at", "check_at")
            .name("#check_shard", "check_shard")
            .value(":seen", number(seen.0));
            ("REMOVE #check_at, #check_shard".to_owned(), condition)
        }
    }
}

#[async_trait]
impl Rosters for DynamoTable {
    async fn load(&self, tenant: &Tenant) -> Result<Option<Roster>, PortError> {
        let key = key(tenant);
        self.get(&key, ROSTER).await?.map(|item| self.read(&key, ROSTER, item)).transpose()
    }

    async fn commit(&self, tenant: &Tenant, write: &RosterWrite) -> Result<RosterCommit, PortError> {
        let key = key(tenant);
        let (update, condition) = update(tenant, write);
        match self.update_item(&key, ROSTER, &update, condition).await? {
            Updated::Written(item) => Ok(RosterCommit::Written(self.read(&key, ROSTER, item)?)),
            Updated::Refused(item) => {
                Ok(RosterCommit::Overtaken(item.map(|item| self.read(&key, ROSTER, item)).transpose()?))
            }
        }
    }

    async fn due(&self, page: &TenantPage) -> Result<DueTenants, PortError> {
        let what = || format!("list the tenants to look after in table {}", self.table);
        let from = page.after.as_ref().map(due_key);
        let (items, has_more) = self.check_index(&what, ROSTERS_SHARD, page.until, page.most, from).await?;
        let damaged = || PortError::new(what(), PortErrorKind::Damaged).because("an entry of the index has no tenant");
        let due = items.iter().map(|item| entry(item).ok_or_else(damaged)).collect::<Result<_, _>>()?;
        Ok(DueTenants { due, has_more })
    }
}

fn entry(item: &Item) -> Option<DueTenant> {
    let check_at = item.get("check_at")?.as_n().ok()?.parse().ok().map(Time)?;
    let tenant = item.get("job_id")?.as_s().ok()?.strip_prefix(KEY)?;
    Some(DueTenant { check_at, tenant: Tenant::try_from(tenant).ok()? })
}

fn due_key(due: &DueTenant) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("check_shard".to_owned(), text(ROSTERS_SHARD)),
        ("check_at".to_owned(), number(due.check_at.0)),
        ("job_id".to_owned(), text(&key(&due.tenant))),
        ("part".to_owned(), text(ROSTER)),
    ])
}
