//! Sending a job's messages, each to its step's queue, as its tenant's, in full batches.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use qsketch_core::{Job, Message};
use qsketch_runtime::ports::{BATCH_MAX, Outgoing};
use qsketch_runtime::{PortError, Ports, QueueName};

/// Sends all messages. What failed may have been sent all the same; to send all again is safe.
pub(crate) async fn send(ports: &Ports, job: &Job, messages: &[Message]) -> Result<(), PortError> {
    let mut by_queue: BTreeMap<QueueName, Vec<Outgoing>> = BTreeMap::new();
    for message in messages {
        let queue = QueueName::new(message.task.step().as_str());
        by_queue.entry(queue).or_default().push(Outgoing::task(message, &job.tenant));
    }
    let lane = |(queue, messages): (QueueName, Vec<Outgoing>)| async move {
        for batch in messages.chunks(BATCH_MAX) {
            for answer in ports.queues.send(&queue, batch).await? {
                answer?;
            }
        }
        Ok(())
    };
    join_all(by_queue.into_iter().map(lane)).await.into_iter().collect()
}
