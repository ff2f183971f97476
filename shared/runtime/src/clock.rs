//! The clock of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use qsketch_core::Time;

use crate::ports::Clock;

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
