//! The shell on the simulated world: real workers, real poll loops, no real waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod batching;
mod calls;
mod clocks;
mod crashing;
mod crew;
mod disorder;
mod failures;
mod heartbeat;
mod job;
mod lambda;
mod player;
mod poison;
mod rate;
mod reconciled;
mod redriven;
mod signals;
mod stage;
mod stopping;
mod tenants;
mod unclaimed;
mod wide;
