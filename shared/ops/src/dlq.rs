//! What was set aside: dead letters, and submissions that can't be read. Listed, shown, sent back, dropped.
//!
//! SQS has no way to look into a queue: whoever looks receives, and gives back. So a letter may be missing from a list while
//! somebody else looks at it.

use core::time::Duration;

use futures_util::future::join_all;
use qsketch_core::{JobId, Message, TaskId, Time};
use qsketch_runtime::ports::{BATCH_MAX, ORIGINAL_ID, Outgoing};
use qsketch_runtime::{Delivery, PortError, Ports, QueueName};
use serde::Serialize;

use crate::doctor::{CONSUMED, REJECTED_QUEUE};
use crate::error::OpsError;
use crate::submit::INTAKE_QUEUE;

/// The most letters of one queue that are looked at: so many are received in a fraction of the time for which they are held.
pub const LOOKED_MAX: usize = 1_000;

/// For how long a letter that is looked at is hidden from others; should this process die, it comes back after that.
const HOLD: Duration = Duration::from_secs(120);

/// How long a poll waits for letters. One that does not wait may find nothing where there is something.
///
/// # Source
/// SQS developer guide, "Amazon SQS short and long polling", read 2026-11-27.
const WAIT: Duration = Duration::from_secs(1);

/// The attributes that set a letter aside, and are not sent back with it.
const OF_DEATH: [&str; 5] = ["reason", "queue", "message_id", "receives", "cut_from_bytes"];

/// A message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// The id of the letter.
    pub id: String,
    /// The queue to which it belongs: to which a redrive sends it.
    pub queue: String,
    /// Why it was set aside.
    pub reason: String,
    /// When it was set aside; where SQS itself did it, when it was first sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// The job of its task, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Its task, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The body, as it was.
    pub body: String,
    /// Of how many bytes the body was, where it was cut: then it can't be sent back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_from_bytes: Option<u64>,
}

/// Which letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that are there when it begins.
    All,
    /// Those with these ids.
    These(Vec<String>),
}

/// Letters, and whether there may be more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Letters {
    /// The letters, by queue, the oldest first.
    pub letters: Vec<Letter>,
    /// Whether there may be more of a queue than the [`LOOKED_MAX`] that were looked at.
    pub has_more: bool,
}

/// What became of letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handled {
    /// Those that were sent back, or dropped.
    pub letters: Vec<Letter>,
    /// The ids that were asked for and not found.
    pub missing: Vec<String>,
    /// Those that can't be sent back, and stay, each with the reason.
    pub refused: Vec<(Letter, String)>,
    /// Whether there may be more.
    pub has_more: bool,
}

/// What is to be done with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Redrive,
    Drop,
}

/// The queues that hold what was set aside, each with the queue to which it belongs: of one queue, or of all.
///
/// # Errors
/// [`OpsError::BadQuestion`] for a queue that no service consumes.
fn holders(queue: Option<&str>) -> Result<Vec<(QueueName, &'static str)>, OpsError> {
    let all = CONSUMED.map(|name| (QueueName::new(name).dead(), name)).into_iter();
    let all = all.chain([(QueueName::new(REJECTED_QUEUE), INTAKE_QUEUE)]);
    let found: Vec<_> =
        all.filter(|(holder, origin)| queue.is_none_or(|name| holder.as_str() == name || *origin == name)).collect();
    if found.is_empty() {
        let problem = format!(
            "nothing is set aside of a queue {:?}: use one of {}",
            queue.unwrap_or_default(),
            CONSUMED.join(", ")
        );
        return Err(OpsError::BadQuestion { problem });
    }
    Ok(found)
}

/// The letters of one queue's dead-letter queue, or of all.
///
/// # Errors
/// [`OpsError::BadQuestion`], [`OpsError::Port`].
pub async fn list(ports: &Ports, queue: Option<&str>) -> Result<Letters, OpsError> {
    let looks = join_all(holders(queue)?.into_iter().map(|(holder, origin)| look(ports, holder, origin))).await;
    join_all(looks.iter().flatten().map(|looked| looked.give_back(ports))).await;
    let mut found = Letters::default();
    for look in looks {
        let looked = look?;
        found.has_more |= looked.has_more;
        let mut letters: Vec<Letter> = looked.held.into_iter().map(|held| held.letter).collect();
        letters.sort_by_key(|letter| letter.sent_at);
        found.letters.append(&mut letters);
    }
    Ok(found)
}

/// One letter.
///
/// # Errors
/// [`OpsError::NotFound`], [`OpsError::BadQuestion`], [`OpsError::Port`].
pub async fn show(ports: &Ports, id: &str, queue: Option<&str>) -> Result<Letter, OpsError> {
    let Letters { letters, has_more } = list(ports, queue).await?;
    letters.into_iter().find(|letter| letter.id == id).ok_or_else(|| not_found(&[id.to_owned()], has_more))
}

/// Sends letters back to the queues to which they belong: each is sent before it is deleted, so that what fails between may
/// double it, which the protocol stands, and never loses it.
///
/// # Errors
/// [`OpsError::NotFound`] when none of those that were asked for is there; [`OpsError::BadQuestion`], [`OpsError::Port`].
pub async fn redrive(ports: &Ports, which: &Which, queue: Option<&str>) -> Result<Handled, OpsError> {
    handle(ports, which, queue, Deed::Redrive).await
}

/// Deletes letters for good.
///
/// # Errors
/// [`OpsError::NotFound`] when none of those that were asked for is there; [`OpsError::BadQuestion`], [`OpsError::Port`].
pub async fn discard(ports: &Ports, which: &Which, queue: Option<&str>) -> Result<Handled, OpsError> {
    handle(ports, which, queue, Deed::Drop).await
}

async fn handle(ports: &Ports, which: &Which, queue: Option<&str>, deed: Deed) -> Result<Handled, OpsError> {
    let holders = holders(queue)?.into_iter();
    let each = join_all(holders.map(|(holder, origin)| handle_queue(ports, holder, origin, which, deed))).await;
    let mut handled = Handled::default();
    for one in each {
        let one = one?;
        handled.letters.extend(one.letters);
        handled.refused.extend(one.refused);
        handled.has_more |= one.has_more;
    }
    if let Which::These(ids) = which {
        let is_there = |id: &String| {
            let refused = handled.refused.iter().map(|(letter, _)| letter);
            handled.letters.iter().chain(refused).any(|letter| letter.id == *id)
        };
        handled.missing = ids.iter().filter(|id| !is_there(id)).cloned().collect();
        if handled.missing.len() == ids.len() {
            return Err(not_found(ids, handled.has_more));
        }
    }
    Ok(handled)
}

async fn handle_queue(
    ports: &Ports,
    holder: QueueName,
    origin: &'static str,
    which: &Which,
    deed: Deed,
) -> Result<Handled, OpsError> {
    let looked = look(ports, holder, origin).await?;
    let mut handled = Handled { has_more: looked.has_more, ..Handled::default() };
    let (mut chosen, mut rest) = (Vec::new(), Vec::new());
    for held in looked.held {
        let is_meant = match which {
            Which::All => true,
            Which::These(ids) => ids.contains(&held.letter.id),
        };
        match held.letter.cut_from_bytes.filter(|_| is_meant && deed == Deed::Redrive) {
            Some(bytes) => {
                let reason = format!("its end is not kept: it had {bytes} bytes");
                handled.refused.push((held.letter.clone(), reason));
                rest.push(held);
            }
            None if is_meant => chosen.push(held),
            None => rest.push(held),
        }
    }
    let mut failure = None;
    let mut left = chosen.into_iter();
    loop {
        let batch: Vec<Held> = left.by_ref().take(BATCH_MAX).collect();
        if batch.is_empty() {
            break;
        }
        match settle(ports, &looked.holder, &batch, deed).await {
            Ok(()) => handled.letters.extend(batch.into_iter().map(|held| held.letter)),
            Err(error) => {
                rest.extend(batch);
                failure = Some(error);
                break;
            }
        }
    }
    rest.extend(left);
    Looked { holder: looked.holder, held: rest, has_more: false }.give_back(ports).await;
    failure.map_or(Ok(handled), |error| Err(error.into()))
}

/// Sends a batch back, where that is meant, and deletes it.
async fn settle(ports: &Ports, holder: &QueueName, batch: &[Held], deed: Deed) -> Result<(), PortError> {
    if deed == Deed::Redrive {
        for held in batch {
            // One by one: a batch may be no larger than one message, and a submission may be as large as that.
            let queue = QueueName::new(&held.letter.queue);
            let sent = ports.queues.send(&queue, &[outgoing(held)]).await?;
            sent.into_iter().collect::<Result<(), _>>()?;
        }
    }
    let receipts: Vec<_> = batch.iter().map(|held| held.delivery.receipt.clone()).collect();
    ports.queues.delete(holder, &receipts).await
}

/// The message as it goes back: intake gives a submission without an id the id of its first message.
fn outgoing(held: &Held) -> Outgoing {
    let mut attributes = held.delivery.attributes.clone();
    let first = attributes.get(ORIGINAL_ID).or_else(|| attributes.get("message_id")).unwrap_or(&held.letter.id).clone();
    attributes.retain(|name, _| !OF_DEATH.contains(&name.as_str()));
    attributes.insert(ORIGINAL_ID.to_owned(), first);
    Outgoing { body: held.letter.body.clone(), attributes, group: held.delivery.group.clone() }
}

struct Held {
    letter: Letter,
    delivery: Delivery,
}

struct Looked {
    holder: QueueName,
    held: Vec<Held>,
    has_more: bool,
}

impl Looked {
    /// Makes what was received visible again. What fails comes back by itself.
    async fn give_back(&self, ports: &Ports) {
        for few in self.held.chunks(BATCH_MAX) {
            let hide = |held: &Held| {
                let receipt = held.delivery.receipt.clone();
                async move { ports.queues.hide(&self.holder, &receipt, Duration::ZERO).await }
            };
            // Whichever fails is visible again when its hold is over.
            let _ = join_all(few.iter().map(hide)).await;
        }
    }
}

async fn look(ports: &Ports, holder: QueueName, origin: &'static str) -> Result<Looked, PortError> {
    let mut looked = Looked { holder, held: Vec::new(), has_more: false };
    loop {
        if looked.held.len() >= LOOKED_MAX {
            looked.has_more = true;
            return Ok(looked);
        }
        let most = BATCH_MAX.min(LOOKED_MAX - looked.held.len());
        match ports.queues.receive(&looked.holder, most, WAIT, HOLD).await {
            Ok(received) if received.is_empty() => return Ok(looked),
            Ok(received) => {
                looked
                    .held
                    .extend(received.into_iter().map(|delivery| Held { letter: read(&delivery, origin), delivery }));
            }
            Err(error) => {
                looked.give_back(ports).await;
                return Err(error);
            }
        }
    }
}

fn read(delivery: &Delivery, origin: &'static str) -> Letter {
    let message = Message::parse(&delivery.body).ok();
    let reason = delivery.attributes.get("reason").cloned();
    let (job, task) = message.map(|message| (message.job, message.task)).unzip();
    Letter {
        id: delivery.message_id.clone(),
        queue: origin.to_owned(),
        reason: reason
            .unwrap_or_else(|| "no service set it aside: SQS did, after as many receives as it allows".to_owned()),
        sent_at: delivery.sent_at,
        job,
        task,
        body: delivery.body.clone(),
        cut_from_bytes: delivery.attributes.get("cut_from_bytes").and_then(|bytes| bytes.parse().ok()),
    }
}

fn not_found(ids: &[String], has_more: bool) -> OpsError {
    let hint = if has_more {
        format!("it is not among the {LOOKED_MAX} letters that were looked at; name its queue, or drop others first")
    } else {
        "see `qsketch dlq list`; while somebody else looks at it, it is not seen for two minutes".to_owned()
    };
    OpsError::NotFound { what: format!("letter {}", ids.join(", ")), hint }
}
