//! All consumers of the job in one process, as the services run them: intake, a worker for each step, their poll loops.

use core::time::Duration;
use std::sync::Arc;

use anyhow::Result;
use qsketch_intake::{Graphs, Intake};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::crew::Crew;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::{Consumer, Ports, QueueName, Queues, Stopper, Worker, shutdown};

use crate::pipeline::{Nothing, STEPS};
use crate::way::Way;

/// The queue of submissions.
pub const INTAKE: &str = qsketch_intake::INTAKE_QUEUE;

/// How many queues one process polls: those of the steps, and that of the submissions.
pub const QUEUES: usize = STEPS.len() + 1;

/// How long one poll waits for a message.
pub const POLL_WAIT: Duration = Duration::from_secs(20);

/// How many messages each poll loop works on at once.
const CONCURRENCY: usize = 64;

/// For how long a received message is hidden.
const LEASE: Duration = Duration::from_secs(30);

/// The consumers of one process, by queue.
pub struct Consumers(Vec<(QueueName, Arc<dyn Consumer>)>);

impl Consumers {
    /// Intake and a worker for each step, on these ports.
    ///
    /// # Errors
    /// The way has no pipeline.
    pub fn new(ports: &Ports, outbox: &Outbox, way: Way) -> Result<Self> {
        let crew = Crew::default();
        let graphs = Graphs { plain: way.pipeline()?, approved: way.pipeline()? };
        let intake = Intake::new(ports.clone(), outbox.clone(), graphs).in_crew(crew.clone());
        let workers = STEPS.map(|step| {
            let worker = Worker::new(ports.clone(), outbox.clone(), QueueName::new(step), Arc::new(Nothing));
            Arc::new(worker.in_crew(crew.clone()))
        });
        if way.is_crew() {
            crew.enlist(workers.iter().cloned());
        }
        let steps = workers.into_iter().map(|worker| (worker.queue().clone(), worker as Arc<dyn Consumer>));
        let intake = (QueueName::new(INTAKE), Arc::new(intake) as Arc<dyn Consumer>);
        Ok(Self(std::iter::once(intake).chain(steps).collect()))
    }

    /// Starts a poll loop for each of them; what is done with is deleted through this outbox.
    #[must_use]
    pub fn poll(&self, queues: &Arc<dyn Queues>, outbox: &Outbox) -> Polls {
        let (stopper, stop) = shutdown::pair();
        for (queue, consumer) in &self.0 {
            let polling = Polling { queue: queue.clone(), concurrency: CONCURRENCY, wait: POLL_WAIT, hide: LEASE };
            let (queues, outbox, stop) = (Arc::clone(queues), outbox.clone(), stop.clone());
            let consumer = Arc::clone(consumer);
            tokio::spawn(async move {
                if let Err(error) = poll::run(&polling, queues, &outbox, consumer, &stop).await {
                    tracing::error!(queue = %polling.queue, error = error.chain(), "the poll loop ended");
                }
            });
        }
        Polls(stopper)
    }
}

/// Poll loops at work; dropped, they are told to stop, and end with their open polls.
pub struct Polls(Stopper);

impl Drop for Polls {
    fn drop(&mut self) {
        self.0.stop();
    }
}
