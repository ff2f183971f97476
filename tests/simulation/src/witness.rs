//! What the queues were asked for and gave: they keep no history of their own.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use qsketch_core::Time;
use qsketch_intake::INTAKE_QUEUE;
use qsketch_runtime::ports::{Depth, Hidden, Outgoing, Receipt};
use qsketch_runtime::{Delivery, PortError, Ports, QueueName, Queues};
use qsketch_sim::{Process, Sim};

/// A message that somebody asked to be sent; whether it was, and whether its sender knows, is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Time,
    /// Who.
    pub process: String,
    /// To which queue.
    pub queue: String,
    /// Its body.
    pub body: String,
}

/// What was seen of the queues.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every message that was to be sent, in the order of the calls.
    pub sent: Vec<Sent>,
    /// The ids of the submissions' messages that were delivered, by whether the submission names an id.
    pub submissions: [BTreeSet<String>; 2],
    /// The first deliveries, by queue, message and receipt count: a second one of the same is a duplicate.
    first: BTreeSet<(String, String)>,
    /// How many messages were delivered as duplicates.
    pub duplicates: u64,
    /// How many deliveries were not a message's first.
    pub redeliveries: u64,
}

/// Sees what all processes of a world send and receive.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

impl Witness {
    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ports of a process, with this witness at its queues.
    pub(crate) fn ports(&self, sim: &Sim, process: &Process, name: &str) -> Ports {
        let ports = process.ports();
        let inner = Arc::clone(&ports.queues);
        let queues = Witnessed { inner, witness: self.clone(), sim: sim.clone(), process: name.to_owned() };
        Ports { queues: Arc::new(queues), ..ports }
    }
}

struct Witnessed {
    inner: Arc<dyn Queues>,
    witness: Witness,
    sim: Sim,
    process: String,
}

#[async_trait]
impl Queues for Witnessed {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let received = self.inner.receive(queue, most, wait, hide).await?;
        let mut seen = self.witness.seen();
        for delivery in &received {
            if queue.as_str() == INTAKE_QUEUE {
                let is_named = usize::from(delivery.body.contains("\"id\""));
                seen.submissions[is_named].insert(delivery.message_id.clone());
            }
            if delivery.receives > 1 {
                seen.redeliveries += 1;
            } else if !seen.first.insert((queue.to_string(), delivery.message_id.clone())) {
                seen.duplicates += 1;
            }
        }
        Ok(received)
    }
    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        let sent = messages.iter().map(|message| Sent {
            at: self.sim.now(),
            process: self.process.clone(),
            queue: queue.to_string(),
            body: message.body.clone(),
        });
        self.witness.seen().sent.extend(sent);
        self.inner.send(queue, messages).await
    }
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        self.inner.delete(queue, receipts).await
    }
    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        self.inner.hide(queue, receipt, hide).await
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        self.inner.depth(queue).await
    }
}
