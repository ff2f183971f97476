//! The clock of the machine, and how far it is off.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use qsketch_core::{Offset, Time};

use crate::ports::Clock;

/// For how long what replies told of the clock counts: it drifts, and may be set.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// The machine's clock and its randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // This is the one place that reads the clock.
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn draw(&self) -> u16 {
        rand::random_range(0..1_000)
    }

    fn nonce(&self) -> String {
        format!("{:032x}", rand::random::<u128>())
    }
}

/// The machine's clock, compared with the dates of all replies that its owner hears of.
#[derive(Clone, Debug, Default)]
pub struct WatchedClock {
    told: Arc<Mutex<Option<(Offset, Time)>>>,
}

impl WatchedClock {
    /// A reply came that names a time: when its request was sent and when it came, by this clock.
    pub fn hear(&self, sent: Time, received: Time, date: Time) {
        let Some(newer) = Offset::of_reply(sent, received, date) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(match *told {
            // Since the first of those that it was narrowed by.
            Some((offset, since)) if received.since(since) < TOLD_FOR => (offset.narrowed(newer), since),
            _ => (newer, received),
        });
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Time {
        SystemClock.now()
    }

    fn draw(&self) -> u16 {
        SystemClock.draw()
    }

    fn nonce(&self) -> String {
        SystemClock.nonce()
    }

    fn offset(&self) -> Option<Offset> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).map(|(offset, _)| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_long_ago_no_longer_counts() {
        let clock = WatchedClock::default();
        assert_eq!(clock.offset(), None);
        clock.hear(Time(100_000), Time(100_010), Time(100_000));
        clock.hear(Time(100_900), Time(100_910), Time(100_000));
        assert_eq!(clock.offset(), Some(Offset { least: -100, most: 10 }));
        // It has drifted since.
        clock.hear(Time(161_500), Time(161_510), Time(161_000));
        assert_eq!(clock.offset(), Some(Offset { least: -500, most: 510 }));
    }
}
