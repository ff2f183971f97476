//! The steps that one process serves, so that a light successor can begin where its input was recorded.
//!
//! ```text
//!   message of `a`: claim a ─► work ─► record a ─┬─► claim b ─► work ─► record b ─► …  ─► acknowledge a
//!                                                └─► (b not served here, or not settled) send b ─► acknowledge a
//! ```
//!
//! A successor that is handed on has no message of its own: the message that recorded its input stays until the successor
//! is settled or sent. Should the process die, that message comes back, finds its task recorded, and sends the successors
//! that are not (rule 1 of `docs/design.md`): the same path as a crash before a send.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use futures_util::future::{BoxFuture, join_all};
use qsketch_core::{Message, Pipeline, Tenant};

use crate::batch::Outbox;
use crate::consume::Fate;
use crate::drive::Worker;
use crate::gate::Gate;
use crate::ports::{Delivery, Outgoing, PortError, QueueName};
use crate::shutdown::Stop;

/// The most successors of one task that are handed on; a wider fan-out is the queues' to spread.
const HANDED_ON_MAX: usize = 4;

/// The workers of one process, by queue; empty, everything is sent.
#[derive(Clone, Default)]
pub struct Crew {
    /// Each of them has the crew: it must not keep them in turn, or none is ever dropped.
    workers: Arc<OnceLock<HashMap<QueueName, Weak<Worker>>>>,
    gate: Gate,
}

/// The message that a consumer has in hand; it is kept hidden while successors of its task are at work.
#[derive(Clone, Copy)]
pub struct InHand<'a> {
    /// The queue that it came from.
    pub queue: &'a QueueName,
    /// The message as it was received.
    pub delivery: &'a Delivery,
    /// The word to stop.
    pub stop: &'a Stop,
}

impl Crew {
    /// Makes these the workers of the crew, once. Whoever consumes with them keeps them; a successor of one that is gone is sent.
    pub fn enlist(&self, workers: impl IntoIterator<Item = Arc<Worker>>) {
        let known = |worker: Arc<Worker>| (worker.queue().clone(), Arc::downgrade(&worker));
        self.workers.get_or_init(|| workers.into_iter().map(known).collect());
    }

    /// The gate of the process.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Sees to it that these messages are settled here or sent, while another one is in hand.
    ///
    /// # Errors
    /// [`PortError`] when one could not be sent; the message in hand must then come back.
    pub async fn pass_on(
        &self,
        pipeline: &Pipeline,
        tenant: &Tenant,
        messages: Vec<Message>,
        outbox: &Outbox,
        in_hand: InHand<'_>,
    ) -> Result<(), PortError> {
        let is_few = messages.len() <= HANDED_ON_MAX;
        let passed = messages.into_iter().map(|message| async move {
            let is_light = pipeline.step(message.task.step()).is_some_and(|step| step.is_light);
            // What came back has met trouble before: from here on each task has a message of its own, which counts it.
            let is_first = in_hand.delivery.receives == 1;
            let may_stay = is_few && is_light && is_first && !in_hand.stop.is_stopping();
            let worker = self.worker(&message).filter(|_| may_stay);
            let Some(message) = (match worker {
                Some(worker) => hand_on(&worker, message, in_hand).await,
                None => Some(message),
            }) else {
                return Ok(());
            };
            outbox.send(&QueueName::new(message.task.step().as_str()), Outgoing::task(&message, tenant)).await
        });
        join_all(passed).await.into_iter().collect()
    }

    fn worker(&self, message: &Message) -> Option<Arc<Worker>> {
        self.workers.get()?.get(&QueueName::new(message.task.step().as_str()))?.upgrade()
    }
}

/// The message, unless it is settled: then it must be sent.
fn hand_on<'a>(worker: &'a Worker, message: Message, in_hand: InHand<'a>) -> BoxFuture<'a, Option<Message>> {
    Box::pin(async move {
        let delivery = Delivery { receives: 1, body: message.body(), ..in_hand.delivery.clone() };
        worker.announcer().begin(in_hand.queue, &delivery, &message);
        // It sits on the seat of the message in hand, so it can't be alone: where it must be, it is sent.
        match worker.drive(message.clone(), InHand { delivery: &delivery, ..in_hand }, &mut None).await {
            Ok(Fate::Delete) => None,
            Ok(Fate::Hide(_) | Fate::Leave) => Some(begun(message)),
            Err(error) => {
                tracing::warn!(job = %message.job, task = %message.task, error = error.chain(), "not settled here: it is sent");
                Some(begun(message))
            }
        }
    })
}

/// The message of a task that has begun: whoever receives it must not take it for untouched.
fn begun(message: Message) -> Message {
    Message { known: None, ..message }
}
