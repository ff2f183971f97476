//! How far a worker's clock is off, as the dates of replies tell it. Leases hold by clocks that differ by
//! [`CLOCK_SKEW_MAX`] at most, so a worker whose clock is further off claims nothing.

use core::fmt;
use core::time::Duration;

use crate::limits::CLOCK_SKEW_MAX;
use crate::time::Time;

/// How long a `Date` header stays the same, in milliseconds: it counts in whole seconds, rounded down.
///
/// # Source
/// RFC 9110, sections 5.6.7 and 6.6.1, read 2026-11-27.
const DATE_MILLIS: i64 = 1_000;

/// By how many milliseconds our clock is ahead of theirs, between two bounds; negative where it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// At least so much.
    pub least: i64,
    /// At most so much.
    pub most: i64,
}

impl Offset {
    /// What one reply tells: the request left at `sent` and its reply came at `received`, by our clock; `date` is the time
    /// that the reply names, in whole seconds, by theirs. None where our clock went back between the two.
    #[must_use]
    pub fn of_reply(sent: Time, received: Time, date: Time) -> Option<Self> {
        let [sent, received, date] = [sent, received, date].map(|time| i64::try_from(time.0).unwrap_or(i64::MAX));
        let told = Self { least: sent.saturating_sub(date) - DATE_MILLIS, most: received.saturating_sub(date) };
        (sent <= received).then_some(told)
    }

    /// What both tell; the newer one alone where they contradict each other: then a clock was set meanwhile.
    #[must_use]
    pub fn narrowed(self, newer: Self) -> Self {
        let (least, most) = (self.least.max(newer.least), self.most.min(newer.most));
        if least <= most { Self { least, most } } else { newer }
    }

    /// Whether it is further off than clocks may be, for sure.
    #[must_use]
    pub fn is_off(self) -> bool {
        self.least > allowed() || self.most < -allowed()
    }

    /// Whether it is no further off than clocks may be, for sure.
    #[must_use]
    pub fn is_right(self) -> bool {
        self.least >= -allowed() && self.most <= allowed()
    }
}

fn allowed() -> i64 {
    i64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |millis: i64| Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
        match (self.least, self.most) {
            (least, most) if least > 0 => write!(f, "{:.1} to {:.1} s ahead", secs(least), secs(most)),
            (least, most) if most < 0 => write!(f, "{:.1} to {:.1} s behind", secs(most), secs(least)),
            (least, most) => write!(f, "between {:.1} s behind and {:.1} s ahead", secs(least), secs(most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reply tells to a clock that is so far ahead.
    fn reply(ahead: i64, asked: i64, took: i64, answered: i64) -> Offset {
        let ours = |theirs: i64| Time(u64::try_from(theirs + ahead).unwrap_or_default());
        let date = (asked + answered) / 1_000 * 1_000;
        let date = Time(u64::try_from(date).unwrap_or_default());
        Offset::of_reply(ours(asked), ours(asked + took), date).unwrap_or(Offset { least: i64::MAX, most: i64::MIN })
    }

    proptest! {
        #[test]
        fn the_truth_lies_between_the_bounds_of_every_reply(
            ahead in -100_000_i64..100_000,
            asked in 1_000_000_i64..2_000_000,
            took in 0_i64..20_000,
            share in 0_i64..=100,
        ) {
            let told = reply(ahead, asked, took, took * share / 100);
            prop_assert!(told.least <= ahead && ahead <= told.most, "{told:?}");
        }

        #[test]
        fn a_clock_within_the_bound_is_never_called_off_and_one_beyond_it_soon_is(
            ahead in -5_000_i64..5_000,
            starts in proptest::collection::vec(1_000_000_i64..2_000_000, 40),
        ) {
            let replies = starts.iter().map(|asked| reply(ahead, *asked, 20, 10));
            let told = replies.reduce(Offset::narrowed).ok_or_else(|| TestCaseError::fail("no reply"))?;
            prop_assert!(ahead.abs() > 1_000 || !told.is_off(), "{told:?}");
            // Forty replies at any moments of a second leave some tenths of it open.
            prop_assert!(ahead.abs() < 1_500 || told.is_off(), "{told:?}");
            prop_assert!(ahead.abs() > 500 || told.is_right(), "{told:?}");
            prop_assert!(ahead.abs() <= 1_000 || !told.is_right(), "{told:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_is_believed_and_one_that_went_back_tells_nothing() {
        let before = Offset { least: -200, most: 300 };
        let after = Offset { least: 4_000, most: 5_000 };
        assert_eq!(before.narrowed(after), after);
        assert_eq!(before.narrowed(Offset { least: 100, most: 900 }), Offset { least: 100, most: 300 });
        assert_eq!(Offset::of_reply(Time(5_000), Time(4_999), Time(5_000)), None);
    }

    #[test]
    fn it_is_told_in_seconds() {
        let told = |least, most| Offset { least, most }.to_string();
        assert_eq!(told(1_200, 1_900), "1.2 to 1.9 s ahead");
        assert_eq!(told(-62_000, -61_100), "61.1 to 62.0 s behind");
        assert_eq!(told(-400, 250), "between 0.4 s behind and 0.2 s ahead");
    }
}
