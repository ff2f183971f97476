//! The poll loop of a container worker.
//!
//! It receives only as much as it can work on, goes on receiving while slow messages work, and when told to stop it
//! opens no further poll, waits for the open one, gives everything back, and leaves nothing behind.

use core::time::Duration;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::batch::Outbox;
use crate::consume::{Consumer, Fate};
use crate::guard;
use crate::ports::QueueName;
use crate::ports::{BATCH_MAX, Delivery, HIDE_MAX, PortError, Queues, Remedy};
use crate::shutdown::{self, Stop, Stopper};

/// How long ending may take beyond the open poll's wait: giving back, flushing, going.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// The first and the longest wait after a poll that failed.
const TROUBLE_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// From how many messages at work on a poll that brought less than a full batch is followed by [`CROWDED_PAUSE`].
const CROWDED: usize = 4;

/// The pause between two polls of a busy worker: what comes meanwhile is one batch, and what it sends is another. A worker
/// that has little to do never pauses.
const CROWDED_PAUSE: Duration = Duration::from_millis(5);

/// How many polls in a row may be refused for a queue or credentials that are not there, before the worker ends for it:
/// credentials that are being renewed come back within seconds.
const REFUSALS_MAX: u32 = 6;

/// How a poll loop receives.
#[derive(Clone, Debug)]
pub struct Polling {
    /// The queue.
    pub queue: QueueName,
    /// How many messages are worked on at once.
    pub concurrency: usize,
    /// How long one poll waits for a message.
    pub wait: Duration,
    /// For how long a received message is hidden: the lease.
    pub hide: Duration,
}

/// Receives and consumes until told to stop.
///
/// # Errors
/// [`PortError`] when nothing will work until somebody mends the deployment: the queue is gone, or the credentials may
/// not read it.
pub async fn run(
    polling: &Polling,
    queues: Arc<dyn Queues>,
    outbox: &Outbox,
    consumer: Arc<dyn Consumer>,
    stop: &Stop,
) -> Result<(), PortError> {
    let permits = Arc::new(Semaphore::new(polling.concurrency));
    let running = TaskTracker::new();
    let (stopper, told) = shutdown::pair();
    let result = tokio::select! {
        biased;
        result = receive_all(polling, &queues, outbox, &consumer, &told, &permits, &running) => result,
        never = forward(stop, &stopper) => match never {},
    };
    // Whoever works is told to stop, whether the worker was or can't go on.
    stopper.stop();
    running.close();
    let left = running.len();
    if left > 0 {
        tracing::info!(queue = %polling.queue, left, "giving running messages back");
    }
    if tokio::time::timeout(SHUTDOWN_MAX, running.wait()).await.is_err() {
        tracing::error!(queue = %polling.queue, left = running.len(), "messages did not end in time: their leases will lapse");
    }
    if tokio::time::timeout(SHUTDOWN_MAX, outbox.flush()).await.is_err() {
        tracing::error!(queue = %polling.queue, "the outbox could not be flushed in time");
    }
    result
}

/// Hands the word to stop on; it never ends, so that an open poll is always waited for.
async fn forward(stop: &Stop, stopper: &Stopper) -> core::convert::Infallible {
    stop.stopping().await;
    stopper.stop();
    core::future::pending().await
}

async fn receive_all(
    polling: &Polling,
    queues: &Arc<dyn Queues>,
    outbox: &Outbox,
    consumer: &Arc<dyn Consumer>,
    stop: &Stop,
    permits: &Arc<Semaphore>,
    running: &TaskTracker,
) -> Result<(), PortError> {
    let mut pause = TROUBLE_PAUSES.0;
    let mut refusals = 0;
    while !stop.is_stopping() {
        let first = tokio::select! {
            biased;
            permit = Arc::clone(permits).acquire_owned() => permit,
            () = stop.stopping() => break,
        };
        let Ok(first) = first else { break };
        let mut held = vec![first];
        while held.len() < BATCH_MAX {
            match Arc::clone(permits).try_acquire_owned() {
                Ok(permit) => held.push(permit),
                Err(_) => break,
            }
        }
        tokio::select! {
            biased;
            () = guard::ready(&**consumer, &polling.queue, &**queues) => {}
            () = stop.stopping() => break,
        }
        // An open poll is always waited for: an abandoned one would swallow messages until their visibility ends.
        let deliveries = match queues.receive(&polling.queue, held.len(), polling.wait, polling.hide).await {
            Ok(deliveries) => deliveries,
            Err(error) if error.remedy() == Remedy::Stop && refusals >= REFUSALS_MAX => return Err(error),
            Err(error) => {
                refusals += u32::from(error.remedy() == Remedy::Stop);
                tracing::warn!(queue = %polling.queue, error = error.chain(), "a poll failed");
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    () = stop.stopping() => {}
                }
                pause = (pause * 2).min(TROUBLE_PAUSES.1);
                continue;
            }
        };
        (pause, refusals) = (TROUBLE_PAUSES.0, 0);
        let is_crowded = deliveries.len() < BATCH_MAX && running.len() + deliveries.len() > CROWDED;
        for (delivery, permit) in deliveries.into_iter().zip(held) {
            if stop.is_stopping() {
                settle(&**queues, outbox, &polling.queue, &delivery, Fate::Hide(Duration::ZERO)).await;
                continue;
            }
            let (queues, outbox, consumer) = (Arc::clone(queues), outbox.clone(), Arc::clone(consumer));
            let (stop, queue) = (stop.clone(), polling.queue.clone());
            running.spawn(async move {
                let fate = guard::consume(&*consumer, &queue, &outbox, &delivery, &stop).await;
                settle(&*queues, &outbox, &queue, &delivery, fate).await;
                consumer.settled(&delivery);
                drop(permit);
            });
        }
        if is_crowded {
            tokio::select! {
                biased;
                () = tokio::time::sleep(CROWDED_PAUSE) => {}
                () = stop.stopping() => {}
            }
        }
    }
    Ok(())
}

async fn settle(queues: &dyn Queues, outbox: &Outbox, queue: &QueueName, delivery: &Delivery, fate: Fate) {
    match fate {
        Fate::Delete => outbox.delete(queue, delivery.receipt.clone()).await,
        Fate::Hide(span) => {
            if let Err(error) = queues.hide(queue, &delivery.receipt, span.min(HIDE_MAX)).await {
                tracing::warn!(%queue, error = error.chain(), "a message could not be hidden: it comes back when its visibility ends");
            }
        }
        Fate::Leave => {}
    }
}
