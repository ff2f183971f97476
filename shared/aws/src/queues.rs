//! The queues on SQS.

use core::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use qsketch_core::Time;
use qsketch_runtime::clock::WatchedClock;
use qsketch_runtime::ports::{
    Delivery, Depth, HIDE_MAX, Hidden, Outgoing, POLL_GRACE, POLL_WAIT_MAX, PortError, PortErrorKind, QueueName,
    Queues, Receipt,
};

use crate::dates::Dates;
use crate::error::{kind_of, port_error};

/// The queues of a deployment.
pub struct SqsQueues {
    client: Client,
    /// A client of its own for polls: they wait, and are not repeated by themselves.
    polls: Client,
    prefix: String,
}

impl SqsQueues {
    /// The queues whose URLs begin with `prefix`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, prefix: &str) -> Self {
        Self::watched(sdk, prefix, &WatchedClock::default())
    }

    /// The same; this clock is told of the date of every reply.
    #[must_use]
    pub fn watched(sdk: &SdkConfig, prefix: &str, clock: &WatchedClock) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(crate::ATTEMPT).build();
        let patient = TimeoutConfig::builder().operation_attempt_timeout(POLL_WAIT_MAX + POLL_GRACE).build();
        let config = || aws_sdk_sqs::config::Builder::from(sdk).interceptor(Dates(clock.clone()));
        Self {
            client: Client::from_conf(config().timeout_config(timeouts).build()),
            polls: Client::from_conf(config().timeout_config(patient).retry_config(RetryConfig::disabled()).build()),
            prefix: prefix.to_owned(),
        }
    }

    fn url(&self, queue: &QueueName) -> String {
        format!("{}{queue}", self.prefix)
    }
}

#[async_trait]
impl Queues for SqsQueues {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let request = self
            .polls
            .receive_message()
            .queue_url(self.url(queue))
            .max_number_of_messages(i32::try_from(most).unwrap_or(i32::MAX))
            .wait_time_seconds(seconds_up(wait))
            .visibility_timeout(seconds_up(hide))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_attribute_names("All");
        let output = request.send().await.map_err(|error| port_error(format!("receive from queue {queue}"), error))?;
        let read = |message: aws_sdk_sqs::types::Message| {
            let system = |name| message.attributes().and_then(|all| all.get(&name));
            let number = |name| system(name).and_then(|text| text.parse().ok());
            let receives = number(MessageSystemAttributeName::ApproximateReceiveCount);
            let attributes = message.message_attributes.iter().flatten();
            let attributes = attributes.filter_map(|(name, value)| Some((name.clone(), value.string_value.clone()?)));
            Some(Delivery {
                // A count that is missing must not pass for a first delivery.
                receives: receives.and_then(|count| u32::try_from(count).ok()).unwrap_or(2),
                attributes: attributes.collect(),
                group: system(MessageSystemAttributeName::MessageGroupId).cloned(),
                sent_at: number(MessageSystemAttributeName::SentTimestamp).map(Time),
                message_id: message.message_id?,
                receipt: Receipt(message.receipt_handle?),
                body: message.body.unwrap_or_default(),
                hidden_for: Some(Duration::from_secs(u64::try_from(seconds_up(hide)).unwrap_or_default())),
            })
        };
        Ok(output.messages.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        let what = || format!("send to queue {queue}");
        let invalid =
            |error: aws_sdk_sqs::error::BuildError| PortError::new(what(), PortErrorKind::Invalid).because(error);
        let mut request = self.client.send_message_batch().queue_url(self.url(queue));
        for (index, message) in messages.iter().enumerate() {
            let mut entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(&message.body);
            entry = entry.set_message_group_id(message.group.clone());
            for (name, value) in &message.attributes {
                let value = MessageAttributeValue::builder()
                    .data_type("String")
                    .string_value(value)
                    .build()
                    .map_err(invalid)?;
                entry = entry.message_attributes(name, value);
            }
            request = request.entries(entry.build().map_err(invalid)?);
        }
        let output = request.send().await.map_err(|error| port_error(what(), error))?;
        let mut answers: Vec<Result<(), PortError>> = messages.iter().map(|_| Ok(())).collect();
        for failed in output.failed {
            let kind = if failed.sender_fault { PortErrorKind::Invalid } else { kind_of(&failed.code, 500) };
            let reason = failed.message.unwrap_or(failed.code);
            if let Some(answer) = failed.id.parse::<usize>().ok().and_then(|index| answers.get_mut(index)) {
                *answer = Err(PortError::new(what(), kind).because(reason));
            }
        }
        Ok(answers)
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        let what = || format!("delete from queue {queue}");
        let mut request = self.client.delete_message_batch().queue_url(self.url(queue));
        for (index, receipt) in receipts.iter().enumerate() {
            let entry =
                DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(&receipt.0).build();
            request =
                request.entries(entry.map_err(|error| PortError::new(what(), PortErrorKind::Invalid).because(error))?);
        }
        let output = request.send().await.map_err(|error| port_error(what(), error))?;
        // A sender's fault is a receipt that is no longer valid: the message was, or will be, acknowledged by another.
        match output.failed.into_iter().find(|failed| !failed.sender_fault) {
            None => Ok(()),
            Some(failed) => {
                Err(PortError::new(what(), kind_of(&failed.code, 500)).because(failed.message.unwrap_or(failed.code)))
            }
        }
    }

    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        let request = self.client.change_message_visibility().queue_url(self.url(queue)).receipt_handle(&receipt.0);
        match request.visibility_timeout(seconds_up(hide.min(HIDE_MAX))).send().await {
            Ok(_) => Ok(Hidden::Hidden),
            Err(error) => {
                let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
                let name = code.rsplit('.').next().unwrap_or(code);
                if matches!(name, "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue") {
                    Ok(Hidden::Gone)
                } else {
                    Err(port_error(format!("hide a message of queue {queue}"), error))
                }
            }
        }
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        let (visible, in_flight) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let request = self.client.get_queue_attributes().queue_url(self.url(queue));
        let request = request.attribute_names(visible.clone()).attribute_names(in_flight.clone());
        let output =
            request.send().await.map_err(|error| port_error(format!("ask queue {queue} for its depth"), error))?;
        let count = |name| output.attributes().and_then(|all| all.get(&name)?.parse().ok()).unwrap_or_default();
        Ok(Depth { visible: count(visible), in_flight: count(in_flight) })
    }
}

/// SQS counts in whole seconds; a wait must never end early.
fn seconds_up(span: Duration) -> i32 {
    let up = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}
