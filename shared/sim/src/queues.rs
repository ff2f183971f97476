//! The queues in memory: visibility, receive counts, stale receipts, long polls.
//!
//! A queue is there as soon as somebody speaks of it, unless [`crate::Sim::remove_queue`] took it away. A dead-letter
//! queue is a queue like any other.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::Time;
use qsketch_runtime::ports::{BATCH_MAX, Depth, HIDE_MAX, Hidden, Outgoing, POLL_WAIT_MAX, Receipt};
use qsketch_runtime::{Delivery, PortError, PortErrorKind, QueueName, Queues};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::disorder::{Disorder, Fault, Order};
use crate::random::Random;
use crate::world::{Actor, Port, Request, World};

/// The largest message, and the largest batch, in bytes.
///
/// # Source
/// SQS developer guide, "Amazon SQS message quotas", read 2026-11-22.
pub const BODY_BYTES_MAX: usize = 1_048_576;

/// The queues in memory, as one process sees them.
#[derive(Clone)]
pub struct SimQueues {
    world: Arc<World>,
    actor: Arc<Actor>,
}

/// A message as it lies in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The queue's id of the message.
    pub message_id: String,
    /// The body.
    pub body: String,
    /// The attributes.
    pub attributes: BTreeMap<String, String>,
    /// Whose it is.
    pub group: Option<String>,
    /// When it was sent.
    pub sent_at: Time,
    /// How often it has been received.
    pub receives: u32,
    /// From when on it can be received.
    pub visible_at: Time,
    receipt: Option<String>,
}

#[derive(Default)]
pub(crate) struct QueueSet {
    queues: BTreeMap<QueueName, Queue>,
    removed: BTreeSet<QueueName>,
    sent: u64,
}

#[derive(Default)]
struct Queue {
    messages: Vec<Waiting>,
    changed: Arc<Notify>,
}

impl SimQueues {
    pub(crate) const fn new(world: Arc<World>, actor: Arc<Actor>) -> Self {
        Self { world, actor }
    }

    fn request(kind: &'static str, queue: &QueueName, size: usize) -> Request {
        Request { port: Port::Queues, kind, target: queue.to_string(), size }
    }
}

#[async_trait]
impl Queues for SimQueues {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        check_batch("receive from", queue, most)?;
        if wait > POLL_WAIT_MAX || hide > HIDE_MAX {
            return Err(invalid(format!("receive from queue {queue}: it waits or hides for too long")));
        }
        let pass = self.world.begin(&self.actor, Self::request("receive", queue, most)).await?;
        let order = if self.actor.is_real { self.world.state().disorder.order } else { Order::Sent };
        let poll = Poll { queue: queue.clone(), most, until: Instant::now() + whole_secs(wait), hide, order };
        let mut open = OpenPoll { world: &self.world, actor: &self.actor, poll: Some(poll.clone()), is_open: true };
        if pass.is_twice() {
            drop(self.world.poll(&poll).await);
        }
        let received = self.world.poll(&poll).await;
        open.poll = None;
        let answer = self.world.end(&self.actor, pass, received).await;
        open.is_open = false;
        answer
    }

    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        check_batch("send to", queue, messages.len())?;
        if messages.iter().map(|message| message.body.len()).sum::<usize>() > BODY_BYTES_MAX {
            return Err(invalid(format!("send to queue {queue}: the batch has over {BODY_BYTES_MAX} bytes")));
        }
        let is_real = self.actor.is_real;
        let request = Self::request("send", queue, messages.len());
        self.world
            .call_knowing(&self.actor, request, |state, now, fault| {
                let is_refused = |place: usize| place == 0 && fault == Some(Fault::PartlyRefused);
                let disorder = if is_real { state.disorder } else { Disorder::default() };
                let random = &mut state.random;
                let each = messages.iter().enumerate().map(|(place, message)| match is_refused(place) {
                    true => Err(refused(queue)),
                    false => state.queues.send(queue, message, now, &disorder, random),
                });
                let answers = each.collect();
                state.queues.get(queue)?.changed.notify_waiters();
                Ok(answers)
            })
            .await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        check_batch("delete from", queue, receipts.len())?;
        let request = Self::request("delete", queue, receipts.len());
        self.world
            .call_knowing(&self.actor, request, |state, _, fault| {
                if fault == Some(Fault::StaleReceipt) {
                    return Ok(());
                }
                let stale = |message: &Waiting| !receipts.iter().any(|receipt| message.is_received_as(receipt));
                state.queues.get(queue)?.messages.retain(stale);
                Ok(())
            })
            .await
    }

    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        if hide > HIDE_MAX {
            return Err(invalid(format!("hide in queue {queue}: {} s is too long", hide.as_secs())));
        }
        let effect = |queues: &mut QueueSet, now: Time| {
            let queue = queues.get(queue)?;
            let found = queue.messages.iter_mut().find(|message| message.is_received_as(receipt));
            let Some(message) = found.filter(|message| message.visible_at > now) else { return Ok(Hidden::Gone) };
            message.visible_at = now.plus(whole_secs(hide));
            queue.changed.notify_waiters();
            Ok(Hidden::Hidden)
        };
        let request = Self::request("hide", queue, 1);
        self.world
            .call_knowing(&self.actor, request, |state, now, fault| match fault {
                Some(Fault::StaleReceipt) => Ok(Hidden::Gone),
                _ => effect(&mut state.queues, now),
            })
            .await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        let request = Self::request("depth", queue, 1);
        self.world.call(&self.actor, request, |state, now| Ok(state.queues.get(queue)?.depth(now))).await
    }
}

/// One long poll, as the queue carries it out.
#[derive(Clone)]
struct Poll {
    queue: QueueName,
    most: usize,
    until: Instant,
    hide: Duration,
    order: Order,
}

impl World {
    async fn poll(&self, poll: &Poll) -> Result<Vec<Delivery>, PortError> {
        loop {
            let changed = Arc::clone(&self.state().queues.get(&poll.queue)?.changed);
            let notified = changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let now = self.now();
            let next = {
                let state = &mut *self.state();
                let queue = state.queues.get(&poll.queue)?;
                let taken = queue.take(poll, now, &mut state.random);
                if !taken.is_empty() || Instant::now() >= poll.until {
                    return Ok(taken);
                }
                queue.messages.iter().map(|message| message.visible_at).min()
            };
            let wake = next.map_or(poll.until, |next| poll.until.min(Instant::now() + next.since(now)));
            tokio::select! {
                biased;
                () = notified => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }
}

/// A poll that nobody waits for any more goes on at the queue, and swallows what it finds.
struct OpenPoll<'a> {
    world: &'a Arc<World>,
    actor: &'a Actor,
    poll: Option<Poll>,
    is_open: bool,
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        if self.is_open && !self.actor.is_crashed() {
            self.world.state().abandoned_polls += 1;
        }
        if self.actor.is_crashed() && self.world.state().is_closing_seen {
            return;
        }
        let (Some(poll), Ok(runtime)) = (self.poll.take(), tokio::runtime::Handle::try_current()) else { return };
        let world = Arc::clone(self.world);
        runtime.spawn(async move { world.poll(&poll).await });
    }
}

impl QueueSet {
    fn get(&mut self, name: &QueueName) -> Result<&mut Queue, PortError> {
        if self.removed.contains(name) {
            return Err(PortError::new(format!("queue {name}"), PortErrorKind::Missing));
        }
        Ok(self.queues.entry(name.clone()).or_default())
    }

    fn send(
        &mut self,
        name: &QueueName,
        message: &Outgoing,
        now: Time,
        disorder: &Disorder,
        random: &mut Random,
    ) -> Result<(), PortError> {
        if random.happens(disorder.partial_permille) {
            return Err(refused(name));
        }
        check_body(name, &message.body)?;
        self.sent += 1;
        let message_id = format!("m-{:06}", self.sent);
        let copies = if random.happens(disorder.duplicate_permille) { 2 } else { 1 };
        let queue = self.get(name)?;
        for _ in 0..copies {
            let late = random.happens(disorder.delay_permille);
            let most = u64::try_from(disorder.delay_max.as_millis()).unwrap_or(u64::MAX);
            let delay = Duration::from_millis(if late { random.under(most) } else { 0 });
            queue.messages.push(Waiting {
                message_id: message_id.clone(),
                body: message.body.clone(),
                attributes: message.attributes.clone(),
                group: message.group.clone(),
                sent_at: now,
                receives: 0,
                visible_at: now.plus(delay),
                receipt: None,
            });
        }
        Ok(())
    }

    pub(crate) fn messages(&self, name: &QueueName) -> Vec<Waiting> {
        self.queues.get(name).map(|queue| queue.messages.clone()).unwrap_or_default()
    }

    pub(crate) fn names(&self) -> Vec<QueueName> {
        self.queues.keys().cloned().collect()
    }

    pub(crate) fn remove(&mut self, name: &QueueName) {
        self.removed.insert(name.clone());
        if let Some(queue) = self.queues.remove(name) {
            queue.changed.notify_waiters();
        }
    }

    pub(crate) fn purge(&mut self, name: &QueueName) {
        if let Some(queue) = self.queues.get_mut(name) {
            queue.messages.clear();
        }
    }
}

impl Queue {
    fn take(&mut self, poll: &Poll, now: Time, random: &mut Random) -> Vec<Delivery> {
        let mut visible: Vec<usize> =
            (0..self.messages.len()).filter(|i| self.messages[*i].visible_at <= now).collect();
        let mut taken = Vec::new();
        while taken.len() < poll.most && !visible.is_empty() {
            let place = match poll.order {
                Order::Sent => 0,
                Order::Drawn => usize::try_from(random.under(visible.len() as u64)).unwrap_or(0),
            };
            let message = &mut self.messages[visible.remove(place)];
            message.receives += 1;
            message.visible_at = now.plus(whole_secs(poll.hide));
            let receipt = format!("{}/{}/{:016x}", message.message_id, message.receives, random.next());
            message.receipt = Some(receipt.clone());
            taken.push(Delivery {
                message_id: message.message_id.clone(),
                receipt: Receipt(receipt),
                receives: message.receives,
                body: message.body.clone(),
                attributes: message.attributes.clone(),
                group: message.group.clone(),
                sent_at: Some(message.sent_at),
                hidden_for: Some(poll.hide),
            });
        }
        taken
    }

    fn depth(&self, now: Time) -> Depth {
        let visible = self.messages.iter().filter(|message| message.visible_at <= now).count() as u64;
        let in_flight = self.messages.iter().filter(|message| message.is_in_flight(now)).count() as u64;
        Depth { visible, in_flight }
    }
}

impl Waiting {
    /// Whether somebody has received it and it is hidden.
    #[must_use]
    pub fn is_in_flight(&self, now: Time) -> bool {
        self.receipt.is_some() && self.visible_at > now
    }

    fn is_received_as(&self, receipt: &Receipt) -> bool {
        self.receipt.as_ref() == Some(&receipt.0)
    }
}

/// SQS counts in whole seconds; a wait must never end early.
fn whole_secs(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs() + u64::from(span.subsec_nanos() > 0))
}

fn check_batch(what: &str, queue: &QueueName, size: usize) -> Result<(), PortError> {
    if (1..=BATCH_MAX).contains(&size) {
        return Ok(());
    }
    Err(invalid(format!("{what} queue {queue}: {size} messages in one call, 1 to {BATCH_MAX} are allowed")))
}

/// # Source
/// SQS API reference, `SendMessage`, `MessageBody`, read 2026-11-22.
fn check_body(queue: &QueueName, body: &str) -> Result<(), PortError> {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if !body.is_empty() && body.len() <= BODY_BYTES_MAX && body.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!("send to queue {queue}: the body is empty, too long or has a character that SQS refuses")))
}

fn refused(queue: &QueueName) -> PortError {
    let error = PortError::new(format!("send to queue {queue}"), PortErrorKind::Unavailable);
    error.because("simulated refusal of one message")
}

fn invalid(what: String) -> PortError {
    PortError::new(what, PortErrorKind::Invalid)
}
