//! What takes messages from a queue, whoever delivers them.

use core::time::Duration;

use async_trait::async_trait;

use crate::ports::Delivery;
use crate::shutdown::Stop;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done with: delete it.
    Delete,
    /// It comes back after this time; zero is at once.
    Hide(Duration),
    /// It is left alone and comes back when its visibility ends.
    Leave,
}

/// A consumer of one queue. It never fails: whatever happens, the message gets a fate.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Takes one message from its delivery to its fate. Everything that must be sent for it has been sent when this
    /// returns [`Fate::Delete`].
    async fn consume(&self, delivery: &Delivery, stop: &Stop) -> Fate;
}
