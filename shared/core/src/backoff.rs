//! How long to wait before the next attempt.

use core::time::Duration;

use crate::limits::{CRASH_INTERVAL, CRASH_INTERVAL_MAX, OVERLOAD_INTERVAL, OVERLOAD_INTERVAL_MAX};
use crate::pipeline::RetryPolicy;

/// A share of 1,000, drawn outside the core: 0 to 999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Jitter(pub u16);

/// The most by which jitter lengthens a wait: a tenth. It never shortens one.
const JITTER_SHARE: f64 = 0.1;

/// The wait after the `failures`-th charged failure (from 1), by Temporal's formula
/// `min(initial_interval × backoff_coefficient^(failures − 1), maximum_interval)`, lengthened by jitter.
#[must_use]
pub fn wait(policy: &RetryPolicy, failures: u32, jitter: Jitter) -> Duration {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let factor = policy.backoff_coefficient.powi(exponent);
    let maximum = policy.maximum_interval.as_secs_f64();
    let base = (policy.initial_interval.as_secs_f64() * factor).min(maximum);
    let lengthened = base * (1.0 + JITTER_SHARE * f64::from(jitter.0.min(999)) / 1_000.0);
    Duration::try_from_secs_f64(lengthened).unwrap_or(policy.maximum_interval)
}

/// The most by which jitter lengthens a wait after an overload: a half. Whoever met the same overload at the same time must
/// not come back at the same time.
const OVERLOAD_JITTER_SHARE: f64 = 0.5;

/// The wait after the `overloads`-th overload of a task (from 1): a budget of its own, whatever the step's retry policy.
/// It is at least the delay that the other side asked for; jitter lengthens either.
#[must_use]
pub fn overload_wait(overloads: u32, asked: Duration, jitter: Jitter) -> Duration {
    lengthened(
        doubled(OVERLOAD_INTERVAL, overloads).min(OVERLOAD_INTERVAL_MAX).max(asked),
        OVERLOAD_JITTER_SHARE,
        jitter,
    )
}

/// The most by which jitter lengthens a wait after a crash: all of it. Whoever died together should not meet again.
const CRASH_JITTER_SHARE: f64 = 1.0;

/// The wait after the `crashes`-th crash of a task (from 1): none after the first, then a budget of its own, whatever the
/// step's retry policy.
#[must_use]
pub fn crash_wait(crashes: u32, jitter: Jitter) -> Duration {
    match crashes.checked_sub(1) {
        None | Some(0) => Duration::ZERO,
        Some(later) => lengthened(doubled(CRASH_INTERVAL, later).min(CRASH_INTERVAL_MAX), CRASH_JITTER_SHARE, jitter),
    }
}

/// An interval after `times` (from 1): twice as long each time.
fn doubled(interval: Duration, times: u32) -> Duration {
    interval.saturating_mul(1 << times.saturating_sub(1).min(31))
}

fn lengthened(base: Duration, most: f64, jitter: Jitter) -> Duration {
    let share = 1.0 + most * f64::from(jitter.0.min(999)) / 1_000.0;
    Duration::try_from_secs_f64(base.as_secs_f64() * share).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_source_s_numbers_wait_ten_twenty_and_forty_seconds() {
        let waits = [1, 2, 3].map(|n| wait(&RetryPolicy::default(), n, Jitter(0)).as_secs());
        assert_eq!(waits, [10, 20, 40]);
    }

    #[test]
    fn overloads_wait_twice_as_long_each_time_up_to_their_bound_and_never_less_than_was_asked_for() {
        let wait = |n, asked| overload_wait(n, Duration::from_secs(asked), Jitter(0)).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 8, 99, u32::MAX].map(|n| wait(n, 0)), [5, 10, 20, 160, 300, 300, 300, 300]);
        assert_eq!((wait(1, 42), wait(4, 12), wait(1, 900)), (42, 40, 900));
        assert_eq!(overload_wait(1, Duration::from_secs(20), Jitter(999)).as_millis(), 29_990);
        assert!(overload_wait(u32::MAX, Duration::MAX, Jitter(999)) >= OVERLOAD_INTERVAL_MAX);
    }

    #[test]
    fn the_first_crash_waits_for_nothing_and_later_ones_twice_as_long_each_time_up_to_their_bound() {
        let wait = |n, jitter| crash_wait(n, Jitter(jitter)).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|n| wait(n, 0)), [0, 0, 5, 10, 20, 40, 60, 60]);
        assert_eq!((wait(1, 999), crash_wait(2, Jitter(999)).as_millis()), (0, 9_995));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_under_its_base_nor_a_tenth_over_its_maximum(
            initial in 1u64..100_000, times in 1.0f64..1e9, coefficient in 1.0f64..100.0, failures in 0u32..5_000, jitter in 0u16..2_000,
        ) {
            let policy = RetryPolicy {
                initial_interval: Duration::from_millis(initial),
                maximum_interval: Duration::from_millis((initial as f64 * times) as u64).max(Duration::from_millis(initial)),
                backoff_coefficient: coefficient,
                ..RetryPolicy::default()
            };
            let found = wait(&policy, failures, Jitter(jitter));
            prop_assert!(found + Duration::from_millis(1) >= policy.initial_interval);
            prop_assert!(found <= policy.maximum_interval.mul_f64(1.1) + Duration::from_millis(1));
        }
    }
}
