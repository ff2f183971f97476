//! Every outside call of whole jobs, found by running them, and every fault at each of them.
//!
//! ```text
//!   scene ─► run without faults ─► its calls: who, kind, target, which of them
//!                                    └─ for each call, for each fault that it can have ─► run again, with that fault alone
//!                                                                                           └─ close, check, charges
//! ```
//! What runs is what the simulation runs (`tests/simulation`): intake, poll loops, drives, heartbeats, the parent that gives
//! back, the reconciler, the operators' commands and the finalizer. A run is the same, call by call, up to its fault, so
//! that the number of a call names it. No call is listed anywhere: a new one is tried because it is made.
//!
//! # Invariants (each names its test)
//! - At every point the jobs close as they should, no invariant of the simulation breaks, and nothing is charged that the
//!   fault does not account for; worlds that are broken on purpose are caught: `tests/every_call.rs`.
//! - A fault at any store call or tool run of the real steps that write and speak a script costs its attempt: `tests/steps`.
//! - Of two who race for a refund token one wins: `tests/refunds.rs`.
//! - Whatever is read, nothing panics and every input is answered: `tests/fuzz.rs`.

mod charges;
pub mod fuzz;
mod points;
pub mod scenes;
mod trial;

pub use points::{Point, points};
pub use trial::{Caught, Sum, try_all};
