//! How long to wait before the next attempt.

use core::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_source_s_numbers_wait_ten_twenty_and_forty_seconds() {
        let waits = [1, 2, 3].map(|n| wait(&RetryPolicy::default(), n, Jitter(0)).as_secs());
        assert_eq!(waits, [10, 20, 40]);
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
