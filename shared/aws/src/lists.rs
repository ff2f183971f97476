//! Lists of jobs: the index of tenants and days for the places, one batch of reads for the jobs.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use qsketch_core::parts::tenant_day;
use qsketch_core::size::{CHECK_INDEX, TENANT_INDEX};
use qsketch_core::{Job, JobId, Time};
use qsketch_runtime::ports::{DayPage, Due, DuePage, Dues, LOAD_MAX, Lists, Place, Places, PortError, PortErrorKind};

use crate::error::port_error;
use crate::table::{DynamoTable, Item, JOB, number, text};

/// How often in a row a batch may bring nothing at all: a throttled table answers with keys that it did not look up.
const FRUITLESS_MAX: u32 = 6;

/// The wait before what was not looked up is asked for again; it doubles while nothing comes.
const AGAIN: Duration = Duration::from_millis(50);

#[async_trait]
impl Lists for DynamoTable {
    async fn places(&self, page: &DayPage) -> Result<Places, PortError> {
        let day = tenant_day(&page.tenant, page.until);
        let what = || format!("list the jobs of {day} in table {}", self.table);
        let most = i32::try_from(page.most.clamp(1, LOAD_MAX)).unwrap_or(1);
        let request = self.client.query().table_name(&self.table).index_name(TENANT_INDEX.name);
        let request = request
            .key_condition_expression("tenant_day = :day AND created_at BETWEEN :since AND :until")
            .expression_attribute_values(":day", text(&day))
            .expression_attribute_values(":since", number(page.since.0))
            .expression_attribute_values(":until", number(page.until.0))
            .scan_index_forward(false)
            .limit(most)
            .set_exclusive_start_key(page.after.as_ref().map(|after| key_of(&day, after)))
            .set_return_consumed_capacity(self.capacity());
        let output = request.send().await.map_err(|error| port_error(what(), error))?;
        self.listed(output.consumed_capacity.as_slice());
        let entries = entries(&what, "created_at", output.items())?;
        let places = entries.into_iter().map(|(created_at, job)| Place { created_at, job }).collect();
        Ok(Places { places, has_more: has_more(output.last_evaluated_key) })
    }

    async fn due(&self, page: &DuePage) -> Result<Dues, PortError> {
        let what = || format!("list the jobs of {} to look after in table {}", page.shard, self.table);
        let from = page.after.as_ref().map(|after| due_key(&page.shard, after));
        let (items, has_more) = self.check_index(&what, &page.shard, page.until, page.most, from).await?;
        let entries = entries(&what, "check_at", &items)?;
        let due = entries.into_iter().map(|(check_at, job)| Due { check_at, job }).collect();
        Ok(Dues { due, has_more })
    }

    async fn jobs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Result<Job, PortError>>, PortError> {
        let what = || format!("read the parts {JOB} of {} jobs in table {}", jobs.len(), self.table);
        let key = |job: &JobId| Item::from([part("job_id", job.as_str()), part("part", JOB)]);
        let mut keys: Vec<Item> = jobs.iter().map(key).collect();
        let (mut found, mut fruitless) = (BTreeMap::new(), 0);
        while !keys.is_empty() {
            let invalid = |error| PortError::new(what(), PortErrorKind::Invalid).because(error);
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).build().map_err(invalid)?;
            let request = self.client.batch_get_item().request_items(&self.table, wanted);
            let request = request.set_return_consumed_capacity(self.capacity());
            let output = request.send().await.map_err(|error| port_error(what(), error))?;
            self.listed(output.consumed_capacity());
            let items = output.responses.and_then(|mut of_table| of_table.remove(&self.table)).unwrap_or_default();
            fruitless = if items.is_empty() { fruitless + 1 } else { 0 };
            for item in items {
                let id = item.get("job_id").and_then(|id| id.as_s().ok()).cloned().unwrap_or_default();
                if let Ok(job) = JobId::try_from(id.as_str()) {
                    found.insert(job, self.read(&id, JOB, item));
                }
            }
            let left = output.unprocessed_keys.and_then(|mut of_table| of_table.remove(&self.table));
            keys = left.map(|left| left.keys).unwrap_or_default();
            if !keys.is_empty() && fruitless >= FRUITLESS_MAX {
                return Err(PortError::new(what(), PortErrorKind::Throttled));
            }
            if !keys.is_empty() {
                tokio::time::sleep(AGAIN * 2_u32.pow(fruitless)).await;
            }
        }
        Ok(found)
    }
}

impl DynamoTable {
    /// The entries of a shard of the index of looks up to this time, from behind a key on; and whether there may be more.
    pub(crate) async fn check_index(
        &self,
        what: &(impl Fn() -> String + Sync),
        shard: &str,
        until: Time,
        most: usize,
        from: Option<Item>,
    ) -> Result<(Vec<Item>, bool), PortError> {
        let request = self.client.query().table_name(&self.table).index_name(CHECK_INDEX.name);
        let request = request
            .key_condition_expression("check_shard = :shard AND check_at <= :until")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":until", number(until.0))
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .set_exclusive_start_key(from)
            .set_return_consumed_capacity(self.capacity());
        let output = request.send().await.map_err(|error| port_error(what(), error))?;
        self.listed(output.consumed_capacity.as_slice());
        Ok((output.items.unwrap_or_default(), has_more(output.last_evaluated_key)))
    }
}

fn part(name: &str, value: &str) -> (String, AttributeValue) {
    (name.to_owned(), text(value))
}

/// The time and the job of each entry of an index.
fn entries(what: &impl Fn() -> String, time: &str, items: &[Item]) -> Result<Vec<(Time, JobId)>, PortError> {
    let entry = |item: &Item| {
        let at = item.get(time)?.as_n().ok()?.parse().ok().map(Time)?;
        Some((at, JobId::try_from(item.get("job_id")?.as_s().ok()?.as_str()).ok()?))
    };
    let damaged = || PortError::new(what(), PortErrorKind::Damaged).because("an entry of the index has no job");
    items.iter().map(|item| entry(item).ok_or_else(damaged)).collect()
}

fn has_more(last: Option<Item>) -> bool {
    last.is_some_and(|key| !key.is_empty())
}

fn due_key(shard: &str, due: &Due) -> HashMap<String, AttributeValue> {
    let check_at = ("check_at".to_owned(), number(due.check_at.0));
    [part("check_shard", shard), check_at, part("job_id", due.job.as_str()), part("part", JOB)].into()
}

/// An entry of the index as a query wants it: the index's keys and the table's.
fn key_of(day: &str, place: &Place) -> HashMap<String, AttributeValue> {
    let created_at = ("created_at".to_owned(), number(place.created_at.0));
    [part("tenant_day", day), created_at, part("job_id", place.job.as_str()), part("part", JOB)].into()
}
