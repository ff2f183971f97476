//! Jobs with short real work on the local stack, while real processes die, stand still and are told to stop, the network
//! loses and garbles what it carries, and queues are purged.
//!
//! ```text
//!   seed ─► schedule of faults ─► workers (parent ─ child ─ tools), as slots that are started again
//!                 │                  │  each through a proxy of its own: drops, delays, duplicates, truncates
//!   customer ─────┼──────────► MiniStack: queues, table, store
//!                 └─ then it is calm: everything must come to rest ─► check ─► what is wrong, as sentences
//! ```
//! The workers are made from the shells of the services (`qsketch_aws::host`), with a graph and steps of their own; intake,
//! the finalizer and the reconciler are the real ones. The same seed draws the same faults at the same times; what they
//! meet is up to the machine, so that a run does not replay exactly.
//!
//! # Invariants (each names its test)
//! - No run breaks one of the end conditions of [`check`]: `tests/chaos.rs`, and `make chaos`.
//! - Each variant that is broken on purpose ([`broken`]) breaks one: `tests/chaos.rs`.

pub mod broken;
pub mod check;
pub mod graph;
pub mod journal;
pub mod machine;
pub mod processes;
pub mod proxy;
pub mod recovery;
pub mod run;
pub mod schedule;
pub mod slots;
pub mod stack;
pub mod steps;
pub mod watch;
pub mod worker;
