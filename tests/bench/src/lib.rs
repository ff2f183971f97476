//! The coordination, measured: what one job costs in calls, in units and in time, apart from its work.
//!
//! [`pipeline`] is the job that every measurement runs, each [`way`]. [`account`] counts what it costs on the ports in
//! memory, which a test guards, and [`prices`] says what that is in dollars. [`measure`] runs many of them in one process
//! on a local [`stack`], through a [`meter`]; [`agree`] holds the units that a stack reports against those that are
//! computed. [`wide`] and [`list`](mod@list) count what a wide step's task and a list cost. [`report`] writes what came out
//! into docs, [`plot`] draws it.

pub mod account;
pub mod agree;
pub mod consumers;
pub mod counted;
pub mod list;
pub mod machine;
pub mod measure;
pub mod measured;
pub mod meter;
pub mod pipeline;
pub mod plot;
pub mod prices;
pub mod report;
pub mod sets;
pub mod stack;
pub mod submissions;
pub mod usage;
pub mod way;
pub mod wide;
