//! The shell around the core: it receives, asks [`qsketch_core::decide()`], and carries out what it says.
//!
//! ```text
//!   poll loop ─┐                        ┌─ heartbeat (lease, visibility, is it still wanted?)
//!   Lambda   ──┴─► Consumer::consume ─► drive ─► Handler::run (the work of one attempt)
//!                                        ├─► intent (the parent is told what is about to be done)
//!                                        └─► outbox (sends in natural batches) ─► acknowledge
//! ```
//!
//! Nothing here branches on the status of a job, and nothing here knows which cloud it runs on: the outside world is
//! behind the [`ports`].

pub mod attempt;
pub mod batch;
pub mod clock;
pub mod config;
pub mod consume;
pub mod crew;
pub mod digest;
pub mod drive;
pub mod gate;
pub mod give_back;
pub mod guard;
mod heartbeat;
pub mod intent;
pub mod lambda;
pub mod log;
pub mod parent;
pub mod pipelines;
pub mod poll;
pub mod ports;
pub mod process;
pub mod reconcile;
pub mod refund;
pub mod shutdown;
pub mod tenants;
pub mod throttle;

pub use attempt::{Attempt, Handler};
pub use consume::{Consumer, Fate};
pub use drive::Worker;
pub use ports::{
    Clock, Delivery, Eraser, Lists, PortError, PortErrorKind, Ports, QueueName, Queues, Rosters, Store, Table, Turns,
};
pub use shutdown::{Stop, Stopper};
pub use throttle::Throttle;
