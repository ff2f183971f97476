//! The Lambda entry: a batch of SQS records in, a partial batch response out.
//!
//! One bad record never fails its neighbours: each is consumed by itself, a panic included.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use lambda_runtime::{LambdaEvent, service_fn};
use qsketch_core::Time;
use serde::{Deserialize, Serialize};

use crate::batch::Outbox;
use crate::consume::{Consumer, Fate};
use crate::guard;
use crate::ports::{Delivery, HIDE_MAX, QueueName, Queues, Receipt};
use crate::shutdown::{self, Stop};

/// An event of an SQS event source mapping. Bodies stay text: each is parsed by itself.
///
/// # Source
/// AWS Lambda developer guide, "Using Lambda with Amazon SQS", read 2026-11-22.
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// The records.
    #[serde(rename = "Records")]
    pub records: Vec<Record>,
}

/// A record of a batch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The queue's id of the message.
    pub message_id: String,
    /// The handle of this receipt.
    pub receipt_handle: String,
    /// The body.
    pub body: String,
    /// What the queue says of it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The attributes that its sender gave it.
    #[serde(default)]
    pub message_attributes: BTreeMap<String, RecordAttribute>,
}

/// An attribute of a record; one that is no text has no value here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAttribute {
    /// Its text.
    #[serde(default)]
    pub string_value: Option<String>,
}

/// Which records failed; the others are deleted.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The records that come back.
    pub batch_item_failures: Vec<FailedItem>,
}

/// A record that comes back.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedItem {
    /// Its message id.
    pub item_identifier: String,
}

/// Serves invocations until the runtime ends the process.
///
/// # Errors
/// When the Lambda runtime API can't be spoken to.
pub async fn run(
    queue: QueueName,
    queues: Arc<dyn Queues>,
    outbox: Outbox,
    consumer: Arc<dyn Consumer>,
) -> Result<(), lambda_runtime::Error> {
    let handler = |event: LambdaEvent<Batch>| {
        let (queue, queues, outbox, consumer) =
            (queue.clone(), Arc::clone(&queues), outbox.clone(), Arc::clone(&consumer));
        async move { Ok::<_, lambda_runtime::Error>(answer(event.payload, &queue, &*queues, &outbox, &*consumer).await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Takes a turn for each invocation, whatever its event says, and answers with what the turn reports; ends with the process.
///
/// # Errors
/// When the Lambda runtime API can't be spoken to.
pub async fn take_turns<F, E>(turn: impl Fn() -> F) -> Result<(), lambda_runtime::Error>
where
    F: Future<Output = Result<serde_json::Value, E>>,
    E: Into<lambda_runtime::Error>,
{
    let handler = |_: LambdaEvent<serde_json::Value>| {
        let turn = turn();
        async move {
            let report = turn.await.map_err(Into::into)?;
            tracing::info!(%report, "turn");
            Ok::<_, lambda_runtime::Error>(report)
        }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Consumes a batch; every send of it is out before this returns.
pub async fn answer(
    batch: Batch,
    queue: &QueueName,
    queues: &dyn Queues,
    outbox: &Outbox,
    consumer: &dyn Consumer,
) -> Answer {
    // A function is not told to stop: its environment is frozen, or ended when it has answered.
    let (_stopper, stop) = shutdown::pair();
    let fates =
        join_all(batch.records.into_iter().map(|record| consume(record, queue, queues, outbox, consumer, &stop))).await;
    outbox.flush().await;
    Answer {
        batch_item_failures: fates
            .into_iter()
            .flatten()
            .map(|item_identifier| FailedItem { item_identifier })
            .collect(),
    }
}

/// The id of the record if it comes back.
async fn consume(
    record: Record,
    queue: &QueueName,
    queues: &dyn Queues,
    outbox: &Outbox,
    consumer: &dyn Consumer,
    stop: &Stop,
) -> Option<String> {
    let receives = record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(2);
    let sent_at = record.attributes.get("SentTimestamp").and_then(|millis| millis.parse().ok()).map(Time);
    let group = record.attributes.get("MessageGroupId").cloned();
    let attributes = record.message_attributes.into_iter();
    let delivery = Delivery {
        message_id: record.message_id.clone(),
        receipt: Receipt(record.receipt_handle),
        receives,
        body: record.body,
        attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
        group,
        sent_at,
        hidden_for: None,
    };
    match guard::consume(consumer, queue, outbox, &delivery, stop).await {
        Fate::Delete => None,
        Fate::Leave => Some(record.message_id),
        Fate::Hide(span) => {
            if let Err(error) = queues.hide(queue, &delivery.receipt, span.min(HIDE_MAX)).await {
                tracing::warn!(%queue, error = error.chain(), "a record could not be hidden: it comes back when its visibility ends");
            }
            Some(record.message_id)
        }
    }
}
