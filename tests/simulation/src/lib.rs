//! Whole jobs through the real shells, over the ports in memory, under seeded disorder.
//!
//! ```text
//!   seed ─► schedule ─► world: customers ─► intake ─► workers ─► finalizer        ─► check ─► violations, by number
//!                              operators ─► commands      ▲ reconciler, each minute      or none
//!                              faults of ports, crashes, kills, stops, freezes, purges, until it is calm
//! ```
//! Nothing of the product is modelled here: intake, the poll loops, the drives, the heartbeats, the parent that gives back,
//! the reconciler, the operators' commands and the finalizer are the ones that run on AWS. What is simulated is the world
//! outside (`qsketch-sim`), and what attempts do, which the seed draws.
//!
//! All of a world is one thread of tokio with paused time: the same seed is the same run, call by call.
//!
//! # Invariants (each names its test)
//! - No schedule breaks one of [`check::INVARIANTS`]: `tests/sound.rs`.
//! - Each variant that is broken on purpose breaks the one that it should: `tests/broken.rs`.
//! - A seed replays exactly: `tests/replay.rs`.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a crate of tests: a simulation that is wrong about itself must stop"
)]

pub mod broken;
mod broken_ports;
pub mod check;
pub mod gallery;
pub mod many;
mod people;
pub mod player;
mod referee;
pub mod run;
pub mod schedule;
mod story;
pub mod tally;
pub mod witness;
mod workers;
pub mod world;
