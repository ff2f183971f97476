//! The heartbeat of an attempt: one write, one read, one change of visibility, every third of the lease.

use qsketch_core::decide::{Beat, Hold};
use qsketch_core::parts::{Part, Progress};
use qsketch_core::{Commit, Event, JobId, TaskId};
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::ports::{Delivery, Ports, QueueName};

/// A running heartbeat; dropping it ends it.
pub(crate) struct Heartbeat {
    lost: oneshot::Receiver<Event>,
    _task: AbortOnDropHandle<()>,
}

/// What the heartbeat needs to know.
pub(crate) struct Pulse {
    pub(crate) ports: Ports,
    pub(crate) queue: QueueName,
    pub(crate) delivery: Delivery,
    pub(crate) job: JobId,
    pub(crate) task: TaskId,
    pub(crate) hold: Hold,
    pub(crate) progress: watch::Receiver<Option<Progress>>,
}

impl Heartbeat {
    /// Starts beating, a third of the lease from now.
    pub(crate) fn start(pulse: Pulse) -> Self {
        let (tell, lost) = oneshot::channel();
        let task = tokio::spawn(async move {
            let event = pulse.beat_until_lost().await;
            // The drive may be over by now.
            let _ = tell.send(event);
        });
        Self { lost, _task: AbortOnDropHandle::new(task) }
    }

    /// Waits until the hold is lost or nobody wants the work any more.
    pub(crate) async fn lost(&mut self) -> Event {
        match (&mut self.lost).await {
            Ok(event) => event,
            Err(_) => Event::Lost { job: None, task: None },
        }
    }
}

impl Pulse {
    async fn beat_until_lost(self) -> Event {
        let mut renewed = self.ports.clock.now();
        loop {
            tokio::time::sleep(self.hold.period()).await;
            let now = self.ports.clock.now();
            let write = self.hold.beat(self.progress.borrow().clone(), now);
            let (commit, job, hidden) = tokio::join!(
                self.ports.table.commit(&self.job, &write),
                self.ports.table.load_job(&self.job),
                self.ports.queues.hide(&self.queue, &self.delivery.receipt, self.hold.lease()),
            );
            if let Err(error) = hidden {
                // No loss: only a refused lease write is. At worst somebody sees the message and finds the lease.
                tracing::debug!(job = %self.job, task = %self.task, error = error.chain(), "visibility was not renewed");
            }
            match (commit, job) {
                (Ok(commit), Ok(job)) => {
                    if matches!(commit, Commit::Written(_)) {
                        renewed = now;
                    }
                    if self.hold.verdict(&commit, job.as_ref()) == Beat::Stop {
                        tracing::info!(job = %self.job, task = %self.task, "the attempt has lost its task, or it is no longer wanted");
                        return Event::Lost { job: job.map(Box::new), task: part_of(commit) };
                    }
                }
                (commit, job) => {
                    let error = commit.err().or(job.err()).map(|error| error.chain()).unwrap_or_default();
                    tracing::warn!(job = %self.job, task = %self.task, error, "a heartbeat failed");
                    if now.since(renewed) > self.hold.lease() {
                        return Event::Lost { job: None, task: None };
                    }
                }
            }
        }
    }
}

fn part_of(commit: Commit) -> Option<Box<qsketch_core::Task>> {
    match commit {
        Commit::Written(Part::Task(task)) | Commit::Overtaken(Some(Part::Task(task))) => Some(task),
        Commit::Written(_) | Commit::Overtaken(_) => None,
    }
}
