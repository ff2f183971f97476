//! Points in time, as the core sees them: arguments, never read from a clock here.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: whole milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// This point plus `span`, in whole milliseconds rounded up, never past the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis_up(span)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the Unix epoch, as DynamoDB's time to live wants them.
    #[must_use]
    pub const fn epoch_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// The first moment of its day in UTC.
    #[must_use]
    pub const fn day_begin(self) -> Self {
        Self(self.0 - self.0 % DAY_MILLIS)
    }

    /// The last moment of its day in UTC.
    #[must_use]
    pub const fn day_end(self) -> Self {
        Self(self.day_begin().0.saturating_add(DAY_MILLIS - 1))
    }

    /// The day in UTC as `YYYY-MM-DD`.
    #[must_use]
    pub fn day(self) -> String {
        let (year, month, day) = civil(self.0 / DAY_MILLIS);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY_MILLIS);
        let of_day = self.0 % DAY_MILLIS;
        let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (seconds, millis) = (of_day / 1_000 % 60, of_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

/// A duration in whole milliseconds, rounded up: a wait must never end early.
#[must_use]
pub fn millis_up(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Durations in documents: whole milliseconds.
pub mod millis {
    use core::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes whole milliseconds.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::millis_up(*span))
    }

    /// Reads whole milliseconds.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

const DAY_MILLIS: u64 = 86_400_000;

/// Days since the epoch to a date of the Gregorian calendar.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_rfc_3339() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Time(1_795_382_157_042).to_string(), "2026-11-22T21:15:57.042Z");
        assert_eq!(Time(1_795_382_157_042).day(), "2026-11-22");
        assert_eq!(Time(1_795_382_157_042).day_begin().to_string(), "2026-11-22T00:00:00.000Z");
        assert_eq!(Time(1_795_382_157_042).day_end().to_string(), "2026-11-22T23:59:59.999Z");
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_overflows() {
        assert_eq!(Time(5).plus(Duration::from_micros(1)), Time(6));
        assert_eq!(Time(u64::MAX).plus(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
    }
}
