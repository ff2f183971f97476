//! The job table on DynamoDB: one item per part, one conditional write per decision.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use qsketch_core::limits::LAYOUT;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::write::Footing;
use qsketch_core::{
    Closing, Commit, Done, Input, Job, JobId, JobStatus, Part, Pipeline, Shard, ShardId, StepName, Task, TaskId, Write,
};
use qsketch_runtime::clock::WatchedClock;
use qsketch_runtime::ports::{Parts, PortError, PortErrorKind, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dates::Dates;
use crate::error::port_error;
use crate::meter::Meter;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// What became of an update.
pub(crate) enum Updated {
    /// It was written; the item as it is now.
    Written(Item),
    /// Its condition did not hold; the item as it is, if it is there.
    Refused(Option<Item>),
}

/// The most pages of 1 MB that one query of a job's parts may take: the widest job has ten thousand parts of under a
/// kilobyte for each of its steps.
const PAGES_MAX: usize = 1_000;

/// A job table.
pub struct DynamoTable {
    pub(crate) client: Client,
    pub(crate) table: String,
    meter: Option<Arc<Meter>>,
}

impl DynamoTable {
    /// The table of this name.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: &str) -> Self {
        Self::watched(sdk, table, &WatchedClock::default())
    }

    /// The same; this clock is told of the date of every reply.
    #[must_use]
    pub fn watched(sdk: &SdkConfig, table: &str, clock: &WatchedClock) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(crate::ATTEMPT).build();
        let config = aws_sdk_dynamodb::config::Builder::from(sdk).interceptor(Dates(clock.clone()));
        let config = config.timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), table: table.to_owned(), meter: None }
    }

    /// The same table; what its calls consume is asked for and added to `meter`. A refused write tells nothing.
    #[must_use]
    pub fn metered(mut self, meter: Arc<Meter>) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Whether the store is asked what a call consumed: only for a meter, since the answers grow by it.
    pub(crate) fn capacity(&self) -> Option<ReturnConsumedCapacity> {
        self.meter.as_ref().map(|_| ReturnConsumedCapacity::Indexes)
    }

    pub(crate) fn listed(&self, consumed: &[ConsumedCapacity]) {
        if let Some(meter) = &self.meter {
            meter.listed(consumed);
        }
    }

    pub(crate) fn wrote(&self, consumed: Option<&ConsumedCapacity>) {
        if let Some(meter) = &self.meter {
            meter.wrote(consumed);
        }
    }

    pub(crate) async fn get(&self, key: &str, part: &str) -> Result<Option<Item>, PortError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("job_id", text(key)).key("part", text(part));
        let request = request.set_return_consumed_capacity(self.capacity());
        let output = request.send().await.map_err(|error| port_error(self.what("read", key, part), error))?;
        if let Some(meter) = &self.meter {
            meter.read_item(output.consumed_capacity());
        }
        Ok(output.item)
    }

    async fn put(
        &self,
        job: &JobId,
        part: &str,
        item: Item,
        condition: Condition,
        written: Part,
    ) -> Result<Commit, PortError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition.expression.as_ref())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .set_return_consumed_capacity(self.capacity())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(output) => {
                self.wrote(output.consumed_capacity());
                Ok(Commit::Written(written))
            }
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                use aws_sdk_dynamodb::operation::put_item::PutItemError as E;
                let item = match service.into_err() {
                    E::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                };
                self.overtaken(job, part, item)
            }
            Err(error) => Err(port_error(self.what("write", job.as_str(), part), error)),
        }
    }

    pub(crate) async fn update(
        &self,
        job: &JobId,
        part: &str,
        update: &str,
        condition: Condition,
    ) -> Result<Commit, PortError> {
        match self.update_item(job.as_str(), part, update, condition).await? {
            Updated::Written(item) => Ok(Commit::Written(self.part(job, part, item)?)),
            Updated::Refused(item) => self.overtaken(job, part, item),
        }
    }

    pub(crate) async fn update_item(
        &self,
        key: &str,
        part: &str,
        update: &str,
        condition: Condition,
    ) -> Result<Updated, PortError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", text(key))
            .key("part", text(part))
            .update_expression(update)
            .condition_expression(condition.expression.as_ref())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values(ReturnValue::AllNew)
            .set_return_consumed_capacity(self.capacity())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(output) => {
                self.wrote(output.consumed_capacity());
                let nothing = || PortError::new(self.what("write", key, part), PortErrorKind::Damaged);
                output.attributes.map(Updated::Written).ok_or_else(|| nothing().because("no item came back"))
            }
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                use aws_sdk_dynamodb::operation::update_item::UpdateItemError as E;
                let item = match service.into_err() {
                    E::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                };
                // An item that is not there comes as one without attributes.
                Ok(Updated::Refused(item.filter(|item| !item.is_empty())))
            }
            Err(error) => Err(port_error(self.what("write", key, part), error)),
        }
    }

    /// The items of a job whose parts begin so, page by page.
    async fn query(
        &self,
        job: &JobId,
        prefix: Option<&str>,
        what: &(impl Fn() -> String + Sync),
    ) -> Result<Vec<Item>, PortError> {
        let condition = if prefix.is_some() { "job_id = :job AND begins_with(part, :prefix)" } else { "job_id = :job" };
        let (mut items, mut start) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = self.client.query().table_name(&self.table).consistent_read(true);
            let request = request.key_condition_expression(condition).set_return_consumed_capacity(self.capacity());
            let mut request = request.expression_attribute_values(":job", text(job.as_str()));
            if let Some(prefix) = prefix {
                request = request.expression_attribute_values(":prefix", text(prefix));
            }
            let output =
                request.set_exclusive_start_key(start).send().await.map_err(|error| port_error(what(), error))?;
            if let Some(meter) = &self.meter {
                meter.read_item(output.consumed_capacity());
            }
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(items);
            }
        }
        Err(PortError::new(what(), PortErrorKind::TooLarge))
    }

    /// A write that lost its footing, with the part as it is now: the item that came back, empty where there is none.
    fn overtaken(&self, job: &JobId, part: &str, item: Option<Item>) -> Result<Commit, PortError> {
        let item = item.filter(|item| !item.is_empty());
        Ok(Commit::Overtaken(item.map(|item| self.part(job, part, item)).transpose()?))
    }

    fn part(&self, job: &JobId, part: &str, item: Item) -> Result<Part, PortError> {
        match part {
            JOB => Ok(Part::Job(Box::new(self.read(job.as_str(), part, item)?))),
            INPUT => Ok(Part::Input(Box::new(self.read(job.as_str(), part, item)?))),
            shard if shard.starts_with(SHARD) => Ok(Part::Shard(Box::new(self.read(job.as_str(), part, item)?))),
            _ => Ok(Part::Task(Box::new(self.read(job.as_str(), part, item)?))),
        }
    }

    /// Reads an item; one of a newer release is told apart from a damaged one.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str, part: &str, item: Item) -> Result<T, PortError> {
        self.check_layout(key, part, &item)?;
        serde_dynamo::from_item(item)
            .map_err(|error| PortError::new(self.what("read", key, part), PortErrorKind::Damaged).because(error))
    }

    fn check_layout(&self, key: &str, part: &str, item: &Item) -> Result<(), PortError> {
        let layout = item.get("layout").and_then(|layout| layout.as_n().ok()?.parse::<u32>().ok());
        if layout.is_some_and(|layout| layout > LAYOUT) {
            return Err(PortError::new(self.what("read", key, part), PortErrorKind::Newer));
        }
        Ok(())
    }

    fn item<T: Serialize>(&self, key: &str, part: &str, value: &T) -> Result<Item, PortError> {
        let mut item: Item = serde_dynamo::to_item(value)
            .map_err(|error| PortError::new(self.what("write", key, part), PortErrorKind::Invalid).because(error))?;
        item.insert("job_id".to_owned(), text(key));
        item.insert("part".to_owned(), text(part));
        Ok(item)
    }

    pub(crate) fn attribute<T: Serialize>(&self, job: &JobId, value: &T) -> Result<AttributeValue, PortError> {
        serde_dynamo::to_attribute_value(value).map_err(|error| {
            PortError::new(self.what("write", job.as_str(), JOB), PortErrorKind::Invalid).because(error)
        })
    }

    fn what(&self, verb: &str, key: &str, part: &str) -> String {
        format!("{verb} part {part} of {key} in table {}", self.table)
    }

    async fn record(
        &self,
        job: &JobId,
        task: &TaskId,
        closing: u32,
        done: &Done,
        result: Option<&String>,
        close: Option<&Closing>,
    ) -> Result<Commit, PortError> {
        let mut update = "SET #done.#task = :done".to_owned();
        let mut condition =
            Condition::new("#status = :running AND #closing = :closing AND attribute_not_exists(#done.#task)")
                .of_closing(closing)
                .name("#done", "done")
                .name("#task", &task.to_string())
                .value(":done", self.attribute(job, done)?);
        if let Some(result) = result {
            update.push_str(", #result = :result");
            condition = condition.name("#result", "result").value(":result", text(result));
        }
        if let Some(entry) = close {
            update.push_str(CLOSE);
            condition = self.closing(job, condition, entry)?;
        }
        self.update(job, JOB, &update, condition).await
    }

    async fn close(&self, job: &JobId, closing: u32, entry: &Closing) -> Result<Commit, PortError> {
        let open = "#status = :running AND #closing = :closing";
        let mut condition = match &entry.task {
            Some(task) => {
                Condition::new("#status = :running AND #closing = :closing AND attribute_not_exists(#done.#task)")
                    .name("#done", "done")
                    .name("#task", &task.to_string())
            }
            None => Condition::new(open),
        };
        condition = condition.of_closing(closing);
        let condition = self.closing(job, condition, entry)?;
        // What the record's update appends to another assignment stands alone here.
        self.update(job, JOB, &format!("SET {}", CLOSE.trim_start_matches(", ")), condition).await
    }

    pub(crate) fn closing(&self, job: &JobId, condition: Condition, entry: &Closing) -> Result<Condition, PortError> {
        Ok(condition
            .name("#closings", "closings")
            .value(":status", text(entry.verdict.status().as_str()))
            .value(":entry", AttributeValue::L(vec![self.attribute(job, entry)?])))
    }

    async fn record_final(&self, job: &JobId, task: &TaskId, closing: u32, done: &Done) -> Result<Commit, PortError> {
        let condition = "#status <> :running AND #closing = :closing AND attribute_not_exists(#done.#task)";
        let condition = Condition::new(condition)
            .of_closing(closing)
            .name("#done", "done")
            .name("#task", &task.to_string())
            .value(":done", self.attribute(job, done)?);
        self.update(job, JOB, "SET #done.#task = :done REMOVE check_shard, check_at", condition).await
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.get(job.as_str(), JOB).await?.map(|item| self.read(job.as_str(), JOB, item)).transpose()
    }

    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        let part = task_part(task);
        self.get(job.as_str(), &part).await?.map(|item| self.read(job.as_str(), &part, item)).transpose()
    }

    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.get(job.as_str(), INPUT).await?.map(|item| self.read(job.as_str(), INPUT, item)).transpose()
    }

    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        let part = shard_part(shard);
        self.get(job.as_str(), &part).await?.map(|item| self.read(job.as_str(), &part, item)).transpose()
    }

    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        let prefix = format!("{SHARD}{step}@{generation}/");
        let what = || format!("read the parts {prefix}* of {job} in table {}", self.table);
        let mut shards = BTreeMap::new();
        for item in self.query(job, Some(&prefix), &what).await? {
            let part = item.get("part").and_then(|part| part.as_s().ok()).cloned().unwrap_or_default();
            if let Some(Ok(shard)) = part.strip_prefix(SHARD).map(str::parse) {
                shards.insert(shard, self.read(job.as_str(), &part, item)?);
            }
        }
        Ok(shards)
    }

    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        let what = || format!("read all parts of {job} in table {}", self.table);
        let mut parts = Parts::default();
        for item in self.query(job, None, &what).await? {
            let part = item.get("part").and_then(|part| part.as_s().ok()).cloned().unwrap_or_default();
            match part.as_str() {
                JOB => parts.job = Some(self.read(job.as_str(), &part, item)?),
                INPUT => parts.input = Some(self.read(job.as_str(), &part, item)?),
                _ => {
                    if let Some(Ok(task)) = part.strip_prefix(TASK).map(str::parse) {
                        parts.tasks.insert(task, self.read(job.as_str(), &part, item)?);
                    } else if let Some(Ok(shard)) = part.strip_prefix(SHARD).map(str::parse) {
                        parts.shards.insert(shard, self.read(job.as_str(), &part, item)?);
                    }
                }
            }
        }
        Ok(parts)
    }

    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        let key = pipeline_key(hash);
        let damaged = || PortError::new(self.what("read", &key, PIPELINE), PortErrorKind::Damaged);
        let Some(item) = self.get(&key, PIPELINE).await? else { return Ok(None) };
        self.check_layout(&key, PIPELINE, &item)?;
        let document = item.get("document").and_then(|document| document.as_s().ok()).ok_or_else(damaged)?;
        let pipeline = Pipeline::from_document(document).map_err(|error| damaged().because(error))?;
        if pipeline.hash() == hash {
            Ok(Some(pipeline))
        } else {
            Err(damaged().because("its document has another hash"))
        }
    }

    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        let key = pipeline_key(pipeline.hash());
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("job_id", text(&key))
            .item("part", text(PIPELINE))
            .item("layout", number(LAYOUT))
            .item("name", text(pipeline.name().as_str()))
            .item("document", text(pipeline.document()))
            .condition_expression("attribute_not_exists(job_id)");
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(port_error(self.what("write", &key, PIPELINE), error)),
        }
    }

    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        match write {
            Write::CreateInput(input) => {
                let item = self.item(job.as_str(), INPUT, input)?;
                self.put(job, INPUT, item, Condition::new(ABSENT), Part::Input(input.clone())).await
            }
            Write::CreateJob(new) => {
                let item = self.item(job.as_str(), JOB, new)?;
                self.put(job, JOB, item, Condition::new(ABSENT), Part::Job(new.clone())).await
            }
            Write::Task { task, footing, set } => {
                let part = task_part(task);
                let item = self.item(job.as_str(), &part, set)?;
                self.put(job, &part, item, stands_on(footing), Part::Task(set.clone())).await
            }
            Write::Record { task, closing, done, result, close } => {
                self.record(job, task, *closing, done, result.as_ref(), close.as_deref()).await
            }
            Write::RecordElement { shard, element, closing, done, expires_at } => {
                self.record_element(job, shard, *element, *closing, done, *expires_at).await
            }
            Write::Bury { shard, element, closing, expires_at } => {
                self.bury(job, shard, *element, *closing, *expires_at).await
            }
            Write::Fold { shard, closing, at, close } => self.fold(job, shard, *closing, *at, close.as_ref()).await,
            Write::RecordFinal { task, closing, done } => self.record_final(job, task, *closing, done).await,
            Write::Close { closing, entry } => self.close(job, *closing, entry).await,
            Write::Reopen { closing, finalizer, is_notified, is_refunded, set } => {
                self.reopen(job, (*closing, *is_refunded), (finalizer, *is_notified), set).await
            }
            Write::Pause { closing, changes, set } => self.pause(job, *closing, *changes, set).await,
            Write::Start(set) => self.start(job, set).await,
            Write::Withdraw { entry, kept } => self.withdraw(job, entry, kept).await,
            Write::Expire { closing, expires_at } => self.expire(job, *closing, *expires_at).await,
            Write::Issue { closing, issued } => self.issue(job, *closing, issued).await,
            Write::Redeem { closing, redemption } => self.redeem(job, *closing, redemption).await,
            Write::Look { seen, next } => self.look(job, *seen, *next).await,
        }
    }
}

/// The names of the parts.
pub(crate) const JOB: &str = "job";
const INPUT: &str = "input";
const TASK: &str = "task:";
const SHARD: &str = "done:";
const PIPELINE: &str = "pipeline";
const ABSENT: &str = "attribute_not_exists(job_id)";
pub(crate) const CLOSE: &str = ", #status = :status, #closings = list_append(#closings, :entry)";

fn task_part(task: &TaskId) -> String {
    format!("{TASK}{task}")
}

pub(crate) fn shard_part(shard: &ShardId) -> String {
    format!("{SHARD}{shard}")
}

fn pipeline_key(hash: &PipelineHash) -> String {
    format!("pipeline:{hash}")
}

fn stands_on(footing: &Footing) -> Condition {
    match footing {
        Footing::Absent => Condition::new(ABSENT),
        Footing::Seen { attempt, lease_until: Some(until) } => {
            Condition::new("#attempt = :attempt AND #lease.#until = :until")
                .name("#attempt", "attempt")
                .name("#lease", "lease")
                .name("#until", "until")
                .value(":attempt", number(attempt))
                .value(":until", number(until.0))
        }
        Footing::Seen { attempt, lease_until: None } => {
            Condition::new("#attempt = :attempt AND attribute_not_exists(#lease)")
                .name("#attempt", "attempt")
                .name("#lease", "lease")
                .value(":attempt", number(attempt))
        }
        Footing::Mine { attempt, owner } => Condition::new("#attempt = :attempt AND #lease.#owner = :owner")
            .name("#attempt", "attempt")
            .name("#lease", "lease")
            .name("#owner", "owner")
            .value(":attempt", number(attempt))
            .value(":owner", text(owner.as_str())),
    }
}

/// A condition with its names and values. Every name is a placeholder: many are reserved words.
pub(crate) struct Condition {
    expression: Cow<'static, str>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    pub(crate) fn new(expression: impl Into<Cow<'static, str>>) -> Self {
        Self { expression: expression.into(), names: HashMap::new(), values: HashMap::new() }
    }

    /// The names and values of a condition on `#status`, `:running`, `#closing` and `:closing`.
    pub(crate) fn of_closing(self, closing: u32) -> Self {
        self.name("#status", "status")
            .name("#closing", "closing")
            .value(":running", text(JobStatus::Running.as_str()))
            .value(":closing", number(closing))
    }

    pub(crate) fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    pub(crate) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        Some(self.names.clone()).filter(|names| !names.is_empty())
    }

    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        Some(self.values.clone()).filter(|values| !values.is_empty())
    }
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: impl core::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
