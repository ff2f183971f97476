//! A clock that follows tokio's: where a test pauses that, waiting takes no time, and the clock moves all the same.

use std::sync::{Arc, Mutex, PoisonError};

use qsketch_core::{Offset, Time};
use qsketch_runtime::Clock;
use tokio::time::Instant;

use crate::random::Random;
use crate::world::{Actor, World};

/// When simulated time begins: 2026-11-22T00:00:00Z.
pub const EPOCH: Time = Time(1_795_305_600_000);

/// The simulated clock, with seeded draws and nonces.
#[derive(Debug)]
pub struct SimClock {
    began: Instant,
    random: Mutex<Random>,
}

impl SimClock {
    pub(crate) fn new(seed: u64) -> Self {
        Self { began: Instant::now(), random: Mutex::new(Random::new(seed ^ CLOCK_STREAM)) }
    }
}

/// The clock of one process: it may be off.
pub(crate) struct ProcessClock {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

impl Clock for ProcessClock {
    fn now(&self) -> Time {
        Time(self.world.clock.now().0.saturating_add_signed(self.actor.ahead()))
    }

    fn draw(&self) -> u16 {
        self.world.clock.draw()
    }

    fn nonce(&self) -> String {
        self.world.clock.nonce()
    }

    fn offset(&self) -> Option<Offset> {
        let ahead = self.actor.ahead();
        Some(Offset { least: ahead, most: ahead })
    }
}

/// Keeps the clock's draws apart from those of the disorder: more calls must not change a nonce.
const CLOCK_STREAM: u64 = 0x0000_c10c_0000_c10c;

impl Clock for SimClock {
    fn now(&self) -> Time {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time(EPOCH.0.saturating_add(elapsed))
    }

    #[allow(clippy::cast_possible_truncation, reason = "it is under 1,000")]
    fn draw(&self) -> u16 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).under(1_000) as u16
    }

    fn nonce(&self) -> String {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:016x}{:016x}", random.next(), random.next())
    }
}
