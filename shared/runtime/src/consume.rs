//! What takes messages from a queue, whoever delivers them.

use core::time::Duration;

use async_trait::async_trait;

use crate::ports::{Clock, Delivery};
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

/// How long a message rests when the outside world does not answer: the first time, and at most.
const TROUBLE_PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How long a message rests that met trouble at its `receives`-th receipt: 5 s, twice as long each time, at most 5 min.
///
/// Receives are bounded by SQS's 1,000, after which it moves the message to the dead letters: so an outage of days does
/// not cost the messages that wait for its end.
#[must_use]
pub fn trouble_pause(receives: u32) -> Duration {
    TROUBLE_PAUSES.0.saturating_mul(1 << receives.saturating_sub(1).min(16)).min(TROUBLE_PAUSES.1)
}

/// A consumer of one queue. It never fails: whatever happens, the message gets a fate.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Takes one message from its delivery to its fate. Everything that must be sent for it has been sent when this
    /// returns [`Fate::Delete`].
    async fn consume(&self, delivery: &Delivery, stop: &Stop) -> Fate;

    /// The clock by which it decides: while that is off, it is given nothing. None where no decision hangs on a clock.
    fn clock(&self) -> Option<&dyn Clock> {
        None
    }

    /// Waits until it can begin with a message: while it can't, none is received.
    async fn ready(&self) {}

    /// A message that it consumed has its fate.
    fn settled(&self, _delivery: &Delivery) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_three_days_does_not_use_up_the_receives() {
        let waited: Duration = (1..1_000).map(trouble_pause).sum();
        assert_eq!((trouble_pause(1), trouble_pause(2)), (Duration::from_secs(5), Duration::from_secs(10)));
        assert!(waited > Duration::from_secs(3 * 24 * 3_600), "{waited:?}");
        assert_eq!(trouble_pause(u32::MAX), TROUBLE_PAUSES.1);
    }
}
