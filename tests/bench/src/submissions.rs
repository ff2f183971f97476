//! Submitting jobs, and waiting until each is done and nothing is left of it.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use qsketch_core::JobId;
use qsketch_runtime::QueueName;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::ports::Outgoing;
use tokio::sync::oneshot;

use crate::consumers::INTAKE;
use crate::meter::Meter;

/// How long a run may make no progress before it is given up.
const STALLED: Duration = Duration::from_secs(60);

/// The pause between two looks at whether all is deleted.
const LOOK: Duration = Duration::from_millis(5);

/// One job, from just before its submission was sent until its finalizer was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When its submission was about to be sent.
    pub submitted: Instant,
    /// When its finalizer was recorded.
    pub done: Instant,
}

impl Span {
    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.done.saturating_duration_since(self.submitted)
    }
}

/// So many new ids, different from those of other names.
///
/// # Errors
/// The name can't be part of an id.
pub fn ids(name: &str, jobs: usize) -> Result<Vec<JobId>> {
    (0..jobs).map(|number| Ok(JobId::try_from(format!("{name}-{number}"))?)).collect()
}

/// Jobs that were submitted and are not done.
pub struct Submissions<'a> {
    meter: &'a Arc<Meter>,
    outbox: &'a Outbox,
    waiting: FuturesUnordered<BoxFuture<'a, Result<Span>>>,
}

impl<'a> Submissions<'a> {
    /// None so far.
    #[must_use]
    pub fn new(meter: &'a Arc<Meter>, outbox: &'a Outbox) -> Self {
        Self { meter, outbox, waiting: FuturesUnordered::new() }
    }

    /// Submits these jobs, and waits until the queue has all of them.
    ///
    /// # Errors
    /// The queue does not take one.
    pub async fn queue(&self, ids: Vec<JobId>) -> Result<()> {
        let sent = ids.into_iter().map(|id| async move {
            let (submitted, done) = send(self.meter, self.outbox, id).await?;
            self.waiting.push(Box::pin(async move { Ok(Span { submitted, done: done.await? }) }));
            Ok(())
        });
        futures_util::future::join_all(sent).await.into_iter().collect()
    }

    /// Submits a job as soon as somebody waits for the next one that is done: no job waits for another's submission.
    fn submit(&self, id: JobId) {
        let (meter, outbox) = (self.meter, self.outbox);
        self.waiting.push(Box::pin(async move {
            let (submitted, done) = send(meter, outbox, id).await?;
            Ok(Span { submitted, done: done.await? })
        }));
    }

    /// The next job that is done; none when all are.
    ///
    /// # Errors
    /// None was done for long.
    pub async fn next(&mut self) -> Result<Option<Span>> {
        let next = tokio::time::timeout(STALLED, self.waiting.next()).await;
        next.with_context(|| format!("no job was done for {} s", STALLED.as_secs()))?.transpose()
    }

    /// Runs these jobs, so many at once: the next is submitted when one is done. `progress` hears of each that is done.
    ///
    /// # Errors
    /// One does not end.
    pub async fn run(
        &mut self,
        ids: Vec<JobId>,
        in_flight: usize,
        mut progress: impl FnMut(Span) -> Result<()>,
    ) -> Result<()> {
        let mut left = ids.into_iter();
        left.by_ref().take(in_flight).for_each(|id| self.submit(id));
        while let Some(span) = self.next().await? {
            progress(span)?;
            left.next().into_iter().for_each(|id| self.submit(id));
        }
        Ok(())
    }
}

async fn send(meter: &Meter, outbox: &Outbox, id: JobId) -> Result<(Instant, oneshot::Receiver<Instant>)> {
    let done = meter.done(id.clone());
    let body = serde_json::json!({ "id": id.as_str(), "prompt": "nothing at all" }).to_string();
    let submitted = Instant::now();
    outbox.send(&QueueName::new(INTAKE), Outgoing::new(body)).await?;
    Ok((submitted, done))
}

/// Waits until every message that was received is deleted: the last deletes belong to the jobs too, and the outbox
/// itself can't be flushed while poll loops use it.
///
/// # Errors
/// Some are not deleted for long.
pub async fn all_deleted(meter: &Meter) -> Result<()> {
    let deleted = async {
        loop {
            let messages = meter.tally().messages;
            let carried = |kind: &str| messages.get(kind).copied().unwrap_or_default();
            if carried("queues.delete") >= carried("queues.receive") {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(STALLED, deleted).await.context("some messages were received and not deleted")
}
