//! Around every consumer, whoever delivers to it: a panic blocks nobody and ends in the dead letters, no message runs out of
//! receives, and nothing is claimed by a clock that is off.

use core::panic::AssertUnwindSafe;
use core::time::Duration;

use futures_util::FutureExt;
use qsketch_core::{Message, Offset};

use crate::batch::Outbox;
use crate::consume::{Consumer, Fate, trouble_pause};
use crate::drive::{dead_letter, panic_text};
use crate::ports::{Clock, Delivery, ORIGINAL_ID, Outgoing, PortError, QueueName, Queues};
use crate::shutdown::Stop;

/// After how many receives SQS itself moves a message to the dead letters, with no reason: the queues' `maxReceiveCount`,
/// which a test compares with the template.
///
/// # Source
/// SQS API reference, `SetQueueAttributes`, `RedrivePolicy`: 1 to 1,000; read 2026-11-27.
pub const RECEIVES_MAX: u32 = 1_000;

/// From how many receives on a message that has to wait is replaced by a fresh copy: being held, overload, SIGTERM and
/// pause are all receives, and none of them is a failure.
pub const RECEIVES_FRESH: u32 = 900;

/// At which receipt a message whose consumer panics goes to the dead letters: the waits before it are 75 s, so that a
/// release that panics can be taken back before it has set much aside.
pub const RECEIVES_PANICKED_MAX: u32 = 5;

const _: () = assert!(RECEIVES_FRESH < RECEIVES_MAX, "a copy is made while there is still room");
const _: () = assert!(RECEIVES_PANICKED_MAX < RECEIVES_FRESH, "a copy must not hide a panic");

/// How long a message rests whose consumer has a clock that is off, and after how long the clock is compared again: somebody
/// has to set it, and other workers may take the message meanwhile.
pub const OFF_PAUSE: Duration = Duration::from_secs(5);

/// For how long a clock is compared again that replies have neither shown to be right nor to be off: `Date` counts in whole
/// seconds, so a second of replies tells all but a tenth.
const UNSURE_MAX: Duration = Duration::from_secs(1);

/// After how long such a clock is compared again.
const UNSURE_PAUSE: Duration = Duration::from_millis(100);

/// Waits until the consumer can begin with a message: until its clock is right, and it says so itself. The queue is asked
/// now and then meanwhile, since its replies tell the time. A clock that stays at the very bound may begin.
pub async fn ready(consumer: &dyn Consumer, queue: &QueueName, queues: &dyn Queues) {
    let offset = || consumer.clock().and_then(Clock::offset);
    let (mut waited, mut unsure) = (0_u32, Duration::ZERO);
    while let Some(offset) = offset().filter(|offset| !offset.is_right()) {
        let pause = if offset.is_off() {
            if waited.is_multiple_of(OFF_TOLD_EVERY) {
                tracing::error!(%queue, %offset, "this machine's clock is off by more than 1 s: nothing is claimed until it is set (NTP)");
            }
            waited = waited.saturating_add(1);
            OFF_PAUSE
        } else if unsure < UNSURE_MAX {
            unsure += UNSURE_PAUSE;
            UNSURE_PAUSE
        } else {
            break;
        };
        tokio::time::sleep(pause).await;
        if let Err(error) = queues.depth(queue).await {
            tracing::warn!(%queue, error = error.chain(), "the time could not be asked for");
        }
    }
    if waited > 0 {
        tracing::info!(%queue, "the clock is right again");
    }
    consumer.ready().await;
}

/// How many comparisons of the clock are told by one line of the log: one a minute.
const OFF_TOLD_EVERY: u32 = 12;

/// How far the consumer's clock is off, where that is too far.
fn off(consumer: &dyn Consumer) -> Option<Offset> {
    consumer.clock()?.offset().filter(|offset| offset.is_off())
}

/// Takes one message from its delivery to its fate.
pub async fn consume(
    consumer: &dyn Consumer,
    queue: &QueueName,
    outbox: &Outbox,
    delivery: &Delivery,
    stop: &Stop,
) -> Fate {
    let result = match off(consumer) {
        None => AssertUnwindSafe(consumer.consume(delivery, stop)).catch_unwind().await,
        Some(offset) => {
            tracing::error!(%queue, message_id = delivery.message_id, %offset, "this machine's clock is off by more than 1 s: nothing is claimed until it is set (NTP)");
            Ok(Fate::Hide(OFF_PAUSE))
        }
    };
    let settled = match result {
        Ok(Fate::Hide(span)) if delivery.receives >= RECEIVES_FRESH => renew(queue, outbox, delivery, span).await,
        Ok(fate) => Ok(fate),
        Err(panic) => {
            let text = panic_text(&*panic);
            tracing::error!(%queue, message_id = delivery.message_id, receives = delivery.receives, panic = text, "the consumer panicked");
            set_aside(queue, outbox, delivery, &text).await
        }
    };
    settled.unwrap_or_else(|error| {
        tracing::error!(%queue, message_id = delivery.message_id, error = error.chain(), "it must wait");
        Fate::Hide(trouble_pause(delivery.receives))
    })
}

async fn renew(queue: &QueueName, outbox: &Outbox, delivery: &Delivery, span: Duration) -> Result<Fate, PortError> {
    // Its task may have begun: whoever receives the copy must not take it for untouched.
    let body = Message::parse(&delivery.body).map(|message| Message { known: None, ..message }.body());
    let body = body.unwrap_or_else(|_| delivery.body.clone());
    let mut attributes = delivery.attributes.clone();
    attributes.insert(ORIGINAL_ID.to_owned(), delivery.original_id().to_owned());
    let copy = Outgoing { body, attributes, group: delivery.group.clone() };
    outbox.send(queue, copy).await?;
    tracing::info!(%queue, message_id = delivery.message_id, receives = delivery.receives, would_rest_secs = span.as_secs(), "replaced by a fresh copy");
    Ok(Fate::Delete)
}

async fn set_aside(queue: &QueueName, outbox: &Outbox, delivery: &Delivery, panic: &str) -> Result<Fate, PortError> {
    if delivery.receives < RECEIVES_PANICKED_MAX {
        return Ok(Fate::Hide(trouble_pause(delivery.receives)));
    }
    let reason = format!("its consumer panicked, at receipt {}: {panic}", delivery.receives);
    outbox.send(&queue.dead(), dead_letter(queue, delivery, &reason)).await?;
    Ok(Fate::Delete)
}
