//! Deleting a job's parts and files for good.

use core::time::Duration;
use std::collections::HashMap;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use qsketch_core::JobId;
use qsketch_runtime::config::Settings;
use qsketch_runtime::ports::{Eraser, PortError, PortErrorKind, Store};

use crate::error::port_error;
use crate::store::S3Store;
use crate::table::{DynamoTable, Item, JOB, text};

/// The most items of one batch of writes.
///
/// # Source
/// DynamoDB API reference, `BatchWriteItem`, read 2026-11-26.
const WRITES_MAX: usize = 25;

/// The most keys of one call that deletes files.
///
/// # Source
/// S3 API reference, `DeleteObjects`, read 2026-11-26.
const KEYS_MAX: usize = 1_000;

/// How many times what is there is asked for before it counts as endless: 10,000 tasks of each of 32 steps, in pages.
const ROUNDS_MAX: usize = 20_000;

/// How often in a row a batch may be sent again because the table took nothing of it.
const FRUITLESS_MAX: u32 = 6;

/// The wait before that; it doubles each time.
const AGAIN: Duration = Duration::from_millis(50);

/// Deletes in a deployment's table and bucket.
pub struct AwsEraser {
    table: DynamoTable,
    store: S3Store,
}

impl AwsEraser {
    /// The eraser of a deployment.
    #[must_use]
    pub fn new(settings: &Settings, sdk: &SdkConfig) -> Self {
        Self { table: DynamoTable::new(sdk, &settings.table), store: S3Store::new(sdk, &settings.bucket) }
    }

    /// The names of a job's parts but `job`, a page of them.
    async fn parts(&self, job: &JobId) -> Result<Vec<String>, PortError> {
        let request = self.table.client.query().table_name(&self.table.table).consistent_read(true);
        let request = request
            .key_condition_expression("job_id = :job")
            .expression_attribute_values(":job", text(job.as_str()))
            .projection_expression("#part")
            .expression_attribute_names("#part", "part");
        let output = request.send().await.map_err(|error| port_error(self.what(job), error))?;
        let name = |item: &Item| item.get("part").and_then(|part| part.as_s().ok()).cloned();
        let more = output.last_evaluated_key.as_ref().is_some_and(|key| !key.is_empty());
        let names: Vec<String> = output.items().iter().filter_map(name).filter(|part| part != JOB).collect();
        if names.is_empty() && more {
            return Err(PortError::new(self.what(job), PortErrorKind::Damaged).because("a page of its parts is empty"));
        }
        Ok(names)
    }

    async fn remove(&self, job: &JobId, parts: &[String]) -> Result<(), PortError> {
        let request = |part: &String| {
            let key: HashMap<String, AttributeValue> =
                [("job_id".to_owned(), text(job.as_str())), ("part".to_owned(), text(part))].into();
            let delete = DeleteRequest::builder().set_key(Some(key)).build();
            let delete =
                delete.map_err(|error| PortError::new(self.what(job), PortErrorKind::Invalid).because(error))?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left = parts.iter().map(request).collect::<Result<Vec<_>, PortError>>()?;
        let mut fruitless = 0;
        while !left.is_empty() {
            let asked = left.len();
            let batch = self.table.client.batch_write_item().request_items(&self.table.table, left);
            let output = batch.send().await.map_err(|error| port_error(self.what(job), error))?;
            left = output.unprocessed_items.and_then(|mut of| of.remove(&self.table.table)).unwrap_or_default();
            fruitless = if left.len() == asked { fruitless + 1 } else { 0 };
            if fruitless >= FRUITLESS_MAX {
                return Err(PortError::new(self.what(job), PortErrorKind::Throttled));
            }
            if !left.is_empty() {
                tokio::time::sleep(AGAIN * 2_u32.pow(fruitless)).await;
            }
        }
        Ok(())
    }

    fn what(&self, job: &JobId) -> String {
        format!("delete the parts of {job} in table {}", self.table.table)
    }
}

#[async_trait]
impl Eraser for AwsEraser {
    async fn erase_files(&self, prefix: &str) -> Result<u64, PortError> {
        let what = || format!("delete the files {prefix}* in bucket {}", self.store.bucket);
        let mut erased = 0;
        for _ in 0..ROUNDS_MAX {
            let keys = self.store.list(prefix, KEYS_MAX).await?;
            if keys.is_empty() {
                return Ok(erased);
            }
            let invalid = |error| PortError::new(what(), PortErrorKind::Invalid).because(error);
            let count = keys.len() as u64;
            let objects = keys.into_iter().map(|key| ObjectIdentifier::builder().key(key).build().map_err(invalid));
            let objects = objects.collect::<Result<Vec<_>, _>>()?;
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(invalid)?;
            let request = self.store.client.delete_objects().bucket(&self.store.bucket).delete(delete);
            let output = request.send().await.map_err(|error| port_error(what(), error))?;
            if let Some(error) = output.errors().first() {
                let (code, key) = (error.code().unwrap_or("no code"), error.key().unwrap_or("no key"));
                let kind = if code == "AccessDenied" { PortErrorKind::Denied } else { PortErrorKind::Unavailable };
                return Err(PortError::new(what(), kind).because(format!("{key}: {code}")));
            }
            erased += count;
        }
        Err(PortError::new(what(), PortErrorKind::TooLarge))
    }

    async fn erase_parts(&self, job: &JobId) -> Result<u64, PortError> {
        let mut erased = 0;
        for _ in 0..ROUNDS_MAX {
            let parts = self.parts(job).await?;
            if parts.is_empty() {
                self.remove(job, &[JOB.to_owned()]).await?;
                return Ok(erased + 1);
            }
            for batch in parts.chunks(WRITES_MAX) {
                self.remove(job, batch).await?;
            }
            erased += parts.len() as u64;
        }
        Err(PortError::new(self.what(job), PortErrorKind::TooLarge))
    }
}
