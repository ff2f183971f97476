//! Several sets of the same queues, of which one is used at a time.
//!
//! Jobs that are to be queued before any worker starts need queues that nobody polls; an open poll ends only after its
//! wait. So every time has a set of its own, and the workers go from one to the next, with all that they have in memory.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use qsketch_runtime::ports::{Depth, Hidden, Outgoing, Receipt};
use qsketch_runtime::{Delivery, PortError, PortErrorKind, QueueName, Queues};

/// The sets.
pub struct Sets {
    all: Vec<Arc<dyn Queues>>,
    used: AtomicUsize,
}

impl Sets {
    /// These sets; the first one is used.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Queues>>) -> Self {
        Self { all, used: AtomicUsize::new(0) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// From now on calls go to the set of this number; calls on their way stay where they are.
    pub fn go_to(&self, number: usize) {
        self.used.store(number, Ordering::SeqCst);
    }

    fn used(&self) -> Result<&Arc<dyn Queues>, PortError> {
        let number = self.used.load(Ordering::SeqCst);
        let missing = || PortError::new(format!("use set {number} of the queues"), PortErrorKind::Missing);
        self.all.get(number).ok_or_else(missing)
    }
}

#[async_trait]
impl Queues for Sets {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        self.used()?.receive(queue, most, wait, hide).await
    }

    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        self.used()?.send(queue, messages).await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        self.used()?.delete(queue, receipts).await
    }

    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        self.used()?.hide(queue, receipt, hide).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, PortError> {
        self.used()?.depth(queue).await
    }
}

#[cfg(test)]
mod tests {
    use qsketch_sim::Sim;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_to_one_set_is_not_received_from_another() -> Result<(), PortError> {
        let (first, second) = (Sim::new(1), Sim::new(2));
        let sets = Sets::new(vec![first.ports().queues, second.ports().queues]);
        let queue = QueueName::new("a");
        sets.send(&queue, &[Outgoing::new("x".to_owned())]).await?;
        sets.go_to(1);
        let (wait, hide) = (Duration::ZERO, Duration::from_secs(1));
        assert!(sets.receive(&queue, 1, wait, hide).await?.is_empty());
        sets.go_to(0);
        assert_eq!(sets.receive(&queue, 1, wait, hide).await?.len(), 1);
        sets.go_to(sets.count());
        assert!(sets.receive(&queue, 1, wait, hide).await.is_err());
        Ok(())
    }
}
