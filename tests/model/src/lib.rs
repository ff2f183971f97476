//! An exhaustive model of the protocol over the real `decide` and the real `apply`.
//!
//! ```text
//!   state ── action ──► state        deliver, read, claim, commit, work, send, settle; crash, lapse, lost reply, …
//!     │                   │
//!     │  Drive, Event ──► qsketch_core::decide ──► Step
//!     └─ Write, Part ───► qsketch_core::write::apply ──► Part
//! ```
//!
//! The shell is modelled (each read, each write, each send and each acknowledgement is a step of its own, in every
//! order that the real one allows); what it is told to do comes from the core itself. Every state is visited twice:
//! by stateright, for the promises that hold in a state, and by [`explore`], which also builds the graph backwards
//! and checks that from every state the job can still close and notify, without a further fault.
//!
//! # Bounds
//! Two drives at a time (three in one model); two copies of a message; two attempts a step; a bounded number of faults
//! of any kinds, named by each model. See [`book`] for how time and owners are kept few.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a crate of tests: a model that is wrong about itself must stop"
)]

pub mod action;
pub mod book;
pub mod checker;
pub mod config;
pub mod explore;
pub mod golden;
pub mod moves;
pub mod names;
pub mod promise;
pub mod protocol;
mod reduce;
pub mod state;
pub mod tell;
pub mod tenants;
mod turn;
mod watch;
