//! The coordination, measured: what one job costs in calls, in units and in time, apart from its work.
//!
//! [`pipeline`] is the job that every measurement runs.

pub mod pipeline;
