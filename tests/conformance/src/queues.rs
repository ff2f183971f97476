//! The queues: at least once, hidden while somebody works on it, back when its visibility ends.

use core::time::Duration;
use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use qsketch_runtime::ports::{BATCH_MAX, Depth, Hidden, Outgoing, Receipt};
use qsketch_runtime::{Delivery, PortErrorKind, QueueName};

use crate::gallery::UNICODE;
use crate::{Case, World, cases};

/// Long enough for any message that is there.
const WAIT: Duration = Duration::from_secs(10);

/// Longer than any case takes.
const HIDE: Duration = Duration::from_secs(60);

/// The shortest time that a message can be hidden for.
const SECOND: Duration = Duration::from_secs(1);

/// The cases of the queues.
#[must_use]
pub fn queue_cases() -> Vec<Case> {
    cases![
        a_message_comes_as_it_was_sent_and_is_gone_once_deleted,
        bodies_of_every_alphabet_and_size_come_as_they_were_sent,
        ten_messages_travel_in_one_call_each_way,
        a_received_message_is_hidden_and_comes_back_when_its_visibility_ends,
        a_message_given_back_comes_at_once,
        hiding_again_counts_from_now,
        a_stale_receipt_is_no_error_and_harms_nobody,
        a_receipt_that_never_was_is_no_error,
        a_poll_wakes_when_a_message_is_sent,
        an_empty_queue_answers_a_poll_without_wait_at_once,
        receivers_side_by_side_never_hold_the_same_message,
        the_depth_tells_what_waits_from_what_is_worked_on,
        a_queue_that_is_not_there_is_missing,
    ]
}

/// A queue of one case.
struct Subject {
    world: World,
    queue: QueueName,
}

impl Subject {
    async fn new(world: World) -> Result<Self> {
        let queue = world.queue().await?;
        Ok(Self { world, queue })
    }

    async fn send(&self, bodies: &[&str]) -> Result<()> {
        let messages: Vec<_> = bodies.iter().map(|body| Outgoing::new((*body).to_owned())).collect();
        for answer in self.world.ports.queues.send(&self.queue, &messages).await? {
            answer?;
        }
        Ok(())
    }

    async fn receive(&self, most: usize, wait: Duration, hide: Duration) -> Result<Vec<Delivery>> {
        let got = self.world.ports.queues.receive(&self.queue, most, wait, hide).await?;
        ensure!(got.len() <= most, "{} came where {most} were asked for", got.len());
        Ok(got)
    }

    async fn one(&self, hide: Duration) -> Result<Delivery> {
        let got = self.receive(1, WAIT, hide).await?;
        let one = got.into_iter().next().context("no message came")?;
        ensure!(one.hidden_for == Some(hide), "hidden for {:?}", one.hidden_for);
        Ok(one)
    }

    async fn nothing(&self, wait: Duration) -> Result<()> {
        let got = self.receive(BATCH_MAX, wait, HIDE).await?;
        ensure!(got.is_empty(), "there is a message that should not be: {got:?}");
        Ok(())
    }

    async fn hide(&self, receipt: &Receipt, span: Duration) -> Result<Hidden> {
        Ok(self.world.ports.queues.hide(&self.queue, receipt, span).await?)
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<()> {
        Ok(self.world.ports.queues.delete(&self.queue, receipts).await?)
    }

    async fn depth(&self) -> Result<Depth> {
        Ok(self.world.ports.queues.depth(&self.queue).await?)
    }

    /// Receives until `count` messages came, each by one receipt.
    async fn receive_all(&self, count: usize) -> Result<Vec<Delivery>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.extend(self.receive(BATCH_MAX, WAIT, HIDE).await?);
            if all.len() >= count {
                return Ok(all);
            }
        }
        bail!("only {} of {count} messages came", all.len())
    }
}

async fn a_message_comes_as_it_was_sent_and_is_gone_once_deleted(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    let attributes =
        BTreeMap::from([("reason".to_owned(), UNICODE.to_owned()), ("receives".to_owned(), "3".to_owned())]);
    let group = Some("tenant-1".to_owned());
    let message = Outgoing { body: "{\"layout\":1}".to_owned(), attributes: attributes.clone(), group: group.clone() };
    let before = subject.world.ports.clock.now();
    let answers = subject.world.ports.queues.send(&subject.queue, &[message]).await?;
    ensure!(answers.len() == 1 && answers[0].is_ok(), "{answers:?}");
    let got = subject.one(HIDE).await?;
    ensure!((got.body.as_str(), got.receives) == ("{\"layout\":1}", 1), "{got:?}");
    ensure!(!got.message_id.is_empty());
    ensure!((&got.attributes, &got.group) == (&attributes, &group), "{got:?}");
    let sent_at = got.sent_at.context("no time of sending")?;
    // The queue's own clock.
    let apart = sent_at.since(before).max(before.since(sent_at));
    ensure!(apart < Duration::from_secs(60), "sent at {sent_at}, by our clock after {before}");
    subject.delete(&[got.receipt]).await?;
    ensure!(subject.depth().await? == Depth::default());
    subject.nothing(Duration::ZERO).await
}

async fn bodies_of_every_alphabet_and_size_come_as_they_were_sent(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    let (long, wide) = ("x".repeat(200_000), "数".repeat(20_000));
    for body in [UNICODE, "0", " spaces around ", "<xml>&amp;</xml>", "a=b&c=d+e%20f", &long, &wide] {
        subject.send(&[body]).await?;
        let got = subject.one(HIDE).await?;
        ensure!(got.body == body, "{} bytes came otherwise: {:.80}", body.len(), got.body);
        subject.delete(&[got.receipt]).await?;
    }
    Ok(())
}

async fn ten_messages_travel_in_one_call_each_way(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    let bodies: Vec<_> = (0..BATCH_MAX).map(|number| format!("message {number}")).collect();
    subject.send(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let all = subject.receive_all(BATCH_MAX).await?;
    let mut got: Vec<_> = all.iter().map(|delivery| delivery.body.clone()).collect();
    got.sort();
    ensure!(got == bodies, "{got:?}");
    let receipts: Vec<_> = all.into_iter().map(|delivery| delivery.receipt).collect();
    subject.delete(&receipts).await?;
    ensure!(subject.depth().await? == Depth::default());
    Ok(())
}

async fn a_received_message_is_hidden_and_comes_back_when_its_visibility_ends(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    subject.send(&["one"]).await?;
    let first = subject.one(Duration::from_secs(2)).await?;
    subject.nothing(Duration::ZERO).await?;
    let second = subject.one(SECOND).await?;
    let third = subject.one(HIDE).await?;
    ensure!((first.receives, second.receives, third.receives) == (1, 2, 3), "{first:?} {second:?} {third:?}");
    ensure!(first.message_id == third.message_id && first.receipt != third.receipt);
    subject.delete(&[third.receipt]).await?;
    subject.nothing(Duration::ZERO).await
}

async fn a_message_given_back_comes_at_once(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    subject.send(&["one"]).await?;
    let first = subject.one(HIDE).await?;
    ensure!(subject.hide(&first.receipt, Duration::ZERO).await? == Hidden::Hidden);
    let began = subject.world.ports.clock.now();
    ensure!(subject.one(HIDE).await?.receives == 2);
    let took = subject.world.ports.clock.now().since(began);
    ensure!(took < Duration::from_secs(5), "it came after {took:?}");
    Ok(())
}

async fn hiding_again_counts_from_now(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    subject.send(&["one"]).await?;
    let first = subject.one(SECOND).await?;
    // Less than a second is rounded up, never down to nothing.
    ensure!(subject.hide(&first.receipt, Duration::from_millis(59_001)).await? == Hidden::Hidden);
    subject.nothing(Duration::from_secs(3)).await?;
    ensure!(subject.hide(&first.receipt, SECOND).await? == Hidden::Hidden, "and again");
    ensure!(subject.one(HIDE).await?.receives == 2);
    Ok(())
}

async fn a_stale_receipt_is_no_error_and_harms_nobody(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    subject.send(&["one"]).await?;
    let first = subject.one(SECOND).await?;
    let second = subject.one(HIDE).await?;
    // Standard queues may answer that it worked, or that the receipt is gone: both are no error.
    subject.hide(&first.receipt, HIDE).await?;
    subject.delete(std::slice::from_ref(&first.receipt)).await?;
    subject.delete(&[first.receipt, second.receipt.clone()]).await?;
    ensure!(subject.depth().await? == Depth::default(), "the valid receipt of a batch counts");
    ensure!(subject.hide(&second.receipt, HIDE).await? == Hidden::Gone, "what is deleted can't be hidden");
    subject.delete(&[second.receipt]).await?;
    subject.nothing(Duration::ZERO).await
}

async fn a_receipt_that_never_was_is_no_error(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    let never = Receipt("bm90IGEgcmVjZWlwdA".to_owned());
    ensure!(subject.hide(&never, HIDE).await? == Hidden::Gone);
    subject.delete(&[never]).await
}

async fn a_poll_wakes_when_a_message_is_sent(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    let began = subject.world.ports.clock.now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        subject.send(&["late"]).await
    };
    let (got, sent) = tokio::join!(subject.receive(1, Duration::from_secs(20), HIDE), late);
    sent?;
    ensure!(got?.len() == 1);
    let took = subject.world.ports.clock.now().since(began);
    ensure!(took < Duration::from_secs(10), "it came after {took:?}");
    Ok(())
}

async fn an_empty_queue_answers_a_poll_without_wait_at_once(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    let began = subject.world.ports.clock.now();
    subject.nothing(Duration::ZERO).await?;
    let took = subject.world.ports.clock.now().since(began);
    ensure!(took < Duration::from_secs(5), "it took {took:?}");
    Ok(())
}

async fn receivers_side_by_side_never_hold_the_same_message(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    for batch in 0..4 {
        let bodies: Vec<_> = (0..BATCH_MAX).map(|number| format!("{batch}/{number}")).collect();
        subject.send(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    let receivers = (0..8).map(|_| async {
        let mut held = Vec::new();
        loop {
            let got = subject.receive(3, SECOND, HIDE).await?;
            if got.is_empty() {
                return anyhow::Ok(held);
            }
            held.extend(got.into_iter().map(|delivery| delivery.body));
        }
    });
    let mut all = Vec::new();
    for held in join_all(receivers).await {
        all.extend(held?);
    }
    let count = all.len();
    all.sort();
    all.dedup();
    ensure!((count, all.len()) == (40, 40), "{count} receipts of {} messages", all.len());
    Ok(())
}

async fn the_depth_tells_what_waits_from_what_is_worked_on(world: World) -> Result<()> {
    let subject = Subject::new(world).await?;
    ensure!(subject.depth().await? == Depth::default());
    subject.send(&["one", "two", "three"]).await?;
    ensure!(subject.depth().await? == Depth { visible: 3, in_flight: 0 });
    subject.one(HIDE).await?;
    ensure!(subject.depth().await? == Depth { visible: 2, in_flight: 1 });
    Ok(())
}

async fn a_queue_that_is_not_there_is_missing(world: World) -> Result<()> {
    let (queues, queue) = (&world.ports.queues, &world.missing_queue);
    let kinds = [
        queues.receive(queue, 1, Duration::ZERO, HIDE).await.err().map(|error| error.kind),
        queues.send(queue, &[Outgoing::new("lost".to_owned())]).await.err().map(|error| error.kind),
        queues.depth(queue).await.err().map(|error| error.kind),
    ];
    ensure!(kinds == [Some(PortErrorKind::Missing); 3], "{kinds:?}");
    Ok(())
}
