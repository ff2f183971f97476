//! The clock of the machine, and how far it is off.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use qsketch_core::{Offset, Time};

use crate::ports::Clock;

/// For how long replies narrow one estimate of the clock; the one before it counts as long again, so that it never begins anew
/// from a single reply. A clock drifts, and may be set.
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
    told: Arc<Mutex<Option<Told>>>,
}

/// What replies told.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// What those of now and those before them tell.
    offset: Offset,
    /// What those of now tell alone.
    of_now: Offset,
    /// When the first of those came.
    since: Time,
}

impl WatchedClock {
    /// A reply came that names a time: when its request was sent and when it came, by this clock.
    pub fn hear(&self, sent: Time, received: Time, date: Time) {
        let Some(newer) = Offset::of_reply(sent, received, date) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(match *told {
            None => Told { offset: newer, of_now: newer, since: received },
            Some(Told { offset, of_now, since }) if received.since(since) < TOLD_FOR => {
                Told { offset: offset.narrowed(newer), of_now: of_now.narrowed(newer), since }
            }
            Some(Told { of_now, .. }) => Told { offset: of_now.narrowed(newer), of_now: newer, since: received },
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
        self.told.lock().unwrap_or_else(PoisonError::into_inner).map(|told| told.offset)
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
        // A minute later one reply alone does not make it less sure.
        clock.hear(Time(161_500), Time(161_510), Time(161_000));
        assert_eq!(clock.offset(), Some(Offset { least: -100, most: 10 }));
        // Two minutes later it may have drifted.
        clock.hear(Time(222_500), Time(222_510), Time(222_000));
        assert_eq!(clock.offset(), Some(Offset { least: -500, most: 510 }));
    }

    #[test]
    fn a_clock_that_is_a_little_too_far_off_stays_so_for_hours() {
        let (clock, ahead) = (WatchedClock::default(), 1_300);
        for asked in (0..7_200_000).step_by(310) {
            let theirs = 1_000_000 + asked;
            clock.hear(Time(theirs + ahead), Time(theirs + ahead + 20), Time((theirs + 10) / 1_000 * 1_000));
            let told = clock.offset().map(|offset| (offset.is_off(), offset.is_right()));
            // It takes the first few replies to be sure.
            assert!(asked < 3_000 || told == Some((true, false)), "after {asked} ms: {told:?}");
        }
    }
}
