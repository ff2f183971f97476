//! Who may be at work in this process: many together, or one alone.
//!
//! ```text
//!   drive ─► seat ─► work …                 while one waits to be alone, nobody sits down any more;
//!   drive ─► seat ─► alone (all seats) ─►   the others end, it works, and whoever came meanwhile follows in turn
//! ```
//! Rule 8 of `docs/design.md`: an attempt whose task was there when two processes died has its worker to itself. It is fair:
//! first come, first served. One gate stands before all queues of a process.

use core::time::Duration;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::CONCURRENCY_MAX;

/// How many may sit: the drives of a great many poll loops, so that nobody waits where nobody is alone.
const SEATS: u32 = 64 * CONCURRENCY_MAX as u32;

/// How long a drive waits for its neighbours to end. They have at most their start-to-close, 5 min unless it is set.
pub const ALONE_WAIT_MAX: Duration = Duration::from_secs(330);

/// How long a delivery waits that came while another was alone or about to be. Polls wait themselves, so it is a rare one.
pub const SEAT_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long its message rests after that.
pub const SEAT_PAUSE: Duration = Duration::from_secs(5);

const _: () = assert!(
    SEAT_WAIT_MAX.as_secs() < qsketch_core::pipeline::HEARTBEAT_MIN.as_secs(),
    "a message that waits for a seat stays hidden"
);

/// The gate of one process.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

/// A place in the process: one of many, or all of them.
#[derive(Debug)]
pub struct Seat(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SEATS as usize)))
    }
}

impl Gate {
    /// Waits until somebody new may sit down.
    pub async fn open(&self) {
        // Nobody closes it.
        let _ = self.0.acquire().await;
    }

    /// A seat among others; none while one is alone, or about to be, for longer than [`SEAT_WAIT_MAX`].
    pub async fn seat(&self) -> Option<Seat> {
        let seat = tokio::time::timeout(SEAT_WAIT_MAX, Arc::clone(&self.0).acquire_owned()).await;
        seat.ok()?.ok().map(Seat)
    }

    /// All seats, once those who sit have gone; to be bounded by the caller, who must have given up its own.
    pub async fn alone(&self) -> Option<Seat> {
        Arc::clone(&self.0).acquire_many_owned(SEATS).await.ok().map(Seat)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_to_be_alone_lets_nobody_sit_down_and_those_who_came_later_follow() {
        let gate = Gate::default();
        let (first, second) = (gate.seat().await, gate.seat().await);
        let mut alone = Box::pin(gate.alone());
        assert!(alone.as_mut().now_or_never().is_none(), "two sit");
        assert!(gate.open().now_or_never().is_none(), "a poll waits");
        assert!(gate.seat().await.is_none(), "a delivery waits a bounded time");
        drop(first);
        assert!(alone.as_mut().now_or_never().is_none(), "one sits");
        drop(second);
        let alone = alone.await;
        assert!(alone.is_some());
        let mut next = Box::pin(gate.seat());
        assert!(next.as_mut().now_or_never().is_none(), "one is alone");
        drop(alone);
        assert!(next.await.is_some() && gate.open().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_to_be_alone_leaves_the_gate_open() {
        let gate = Gate::default();
        let seat = gate.seat().await;
        assert!(tokio::time::timeout(ALONE_WAIT_MAX, gate.alone()).await.is_err());
        assert!(gate.seat().await.is_some() && seat.is_some());
    }
}
