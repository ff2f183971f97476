//! The coordination, measured: what one job costs in calls, in units and in time, apart from its work.
//!
//! [`pipeline`] is the job that every measurement runs. [`measure`] runs many of them in one process on a local
//! [`stack`], through a [`meter`]; [`report`] writes what came out into docs.

pub mod machine;
pub mod measure;
pub mod meter;
pub mod pipeline;
pub mod plot;
pub mod report;
pub mod stack;
pub mod usage;
