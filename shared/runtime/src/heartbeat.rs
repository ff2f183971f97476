//! The heartbeat of an attempt: one write, one read, one change of visibility, every third of the lease.

use core::time::Duration;

use qsketch_core::decide::{Beat, Hold};
use qsketch_core::limits::CLOCK_SKEW_MAX;
use qsketch_core::parts::{Part, Progress};
use qsketch_core::{Commit, Event, JobId, TaskId, Time};
use tokio::sync::{oneshot, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::ports::{Delivery, PortError, Ports, QueueName};
use crate::shutdown::{self, Stop, Stopper};

/// A running heartbeat; dropping it ends it.
pub(crate) struct Heartbeat {
    lost: oneshot::Receiver<Event>,
    stopper: Stopper,
    task: AbortOnDropHandle<()>,
}

/// How long a beat under way is waited for at the end.
const END_MAX: Duration = Duration::from_secs(1);

/// What the heartbeat needs to know.
pub(crate) struct Pulse {
    pub(crate) ports: Ports,
    pub(crate) queue: QueueName,
    pub(crate) delivery: Delivery,
    pub(crate) job: JobId,
    pub(crate) task: TaskId,
    pub(crate) hold: Hold,
    /// Until when the claim holds, and later the last renewal.
    pub(crate) held_until: Time,
    pub(crate) progress: watch::Receiver<Option<Progress>>,
}

impl Heartbeat {
    /// Starts beating, a third of the lease from now.
    pub(crate) fn start(pulse: Pulse) -> Self {
        let (tell, lost) = oneshot::channel();
        let (stopper, stop) = shutdown::pair();
        let task = tokio::spawn(async move {
            if let Some(event) = pulse.beat_until_lost(&stop).await {
                // The drive may be over by now.
                let _ = tell.send(event);
            }
        });
        Self { lost, stopper, task: AbortOnDropHandle::new(task) }
    }

    /// Ends it, and waits for a beat that is under way.
    pub(crate) async fn end(self) {
        self.stopper.stop();
        // After that it is ended where it stands.
        let _ = timeout(END_MAX, self.task).await;
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
    async fn beat_until_lost(mut self, stop: &Stop) -> Option<Event> {
        let period = self.hold.period();
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        // A beat that took long is followed by the next at once: the lease does not wait.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let lapses = self.held_until.plus(CLOCK_SKEW_MAX).since(self.ports.clock.now());
            tokio::select! {
                biased;
                _ = ticks.tick() => {}
                () = stop.stopping() => return None,
                () = tokio::time::sleep(lapses) => return Some(self.lapsed()),
            }
            if let Some(lost) = self.beat().await {
                return Some(lost);
            }
        }
    }

    /// One beat. Only its write decides about the hold, so neither of the others may hold it up.
    async fn beat(&mut self) -> Option<Event> {
        let (now, period) = (self.ports.clock.now(), self.hold.period());
        let lapses = self.held_until.plus(CLOCK_SKEW_MAX).since(now);
        let write = self.hold.beat(self.progress.borrow().clone(), now);
        let (commit, job, hidden) = tokio::join!(
            timeout(lapses, self.ports.table.commit(&self.job, &write)),
            timeout(period, self.ports.table.load_job(&self.job)),
            timeout(period, self.ports.queues.hide(&self.queue, &self.delivery.receipt, self.hold.lease())),
        );
        // No loss: at worst somebody sees the message and finds the lease.
        self.answered("visibility", hidden);
        let job = self.answered("job", job);
        let Some(commit) = self.answered("lease", commit) else {
            return (self.held_until.plus(CLOCK_SKEW_MAX) <= self.ports.clock.now()).then(|| self.lapsed());
        };
        if matches!(commit, Commit::Written(_)) {
            self.held_until = now.plus(self.hold.lease());
        }
        let is_lost = match &job {
            Some(job) => self.hold.verdict(&commit, job.as_ref()) == Beat::Stop,
            None => matches!(commit, Commit::Overtaken(_)),
        };
        if !is_lost {
            return None;
        }
        tracing::info!(job = %self.job, task = %self.task, "the attempt has lost its task, or it is no longer wanted");
        // What is known of a task without its job decides nothing: the message comes back.
        let known = job.map(|job| Event::Lost { job: job.map(Box::new), task: part_of(commit) });
        Some(known.unwrap_or(Event::Lost { job: None, task: None }))
    }

    /// The answer, or none where the call failed or took too long.
    fn answered<T>(&self, what: &str, answer: Result<Result<T, PortError>, Elapsed>) -> Option<T> {
        let error = match answer {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.chain(),
            Err(elapsed) => elapsed.to_string(),
        };
        tracing::warn!(job = %self.job, task = %self.task, what, error, "a part of a heartbeat failed");
        None
    }

    /// Nothing renewed the lease in time: another worker may have the task by now.
    fn lapsed(&self) -> Event {
        tracing::warn!(job = %self.job, task = %self.task, "the lease lapsed: the work is ended");
        Event::Lost { job: None, task: None }
    }
}

fn part_of(commit: Commit) -> Option<Box<qsketch_core::Task>> {
    match commit {
        Commit::Written(Part::Task(task)) | Commit::Overtaken(Some(Part::Task(task))) => Some(task),
        Commit::Written(_) | Commit::Overtaken(_) => None,
    }
}
