//! The pure core of qsketch: what a pipeline is, what a job consists of, and what to do next.
//!
//! Nothing here waits, reads a clock, draws a random number or speaks to a network: `now`, owners and jitter are
//! arguments. The shell (`qsketch-runtime`) carries out what [`decide()`] says and holds no branch on a status of its own.
//!
//! ```text
//!   pipeline   the graph of steps, checked when built
//!   parts      what the job table holds of a job: input, job, task
//!   shard      the part that holds records of a wide step
//!   write      one conditional write of one part, and what it does to it
//!   route      which tasks are ready, given what is recorded
//!   decide     event in, next step of the drive out
//!   cancel     what to do to cancel a job, as it is now
//!   redrive    what to do to run a closed job again, and what that means for each step
//!   refund     the token of a failed closing, and what to do to redeem it
//!   rate       whose turn it is to ask a provider, by the limit that all workers share
//!   pause      what to do to pause and resume a job or a step of it
//!   tenant     how many jobs of one tenant run at once, and which one starts next
//!   reconcile  what to mend of a job that nobody may be at work on
//!   wait       what a signal does, and what is due when a time is over
//!   message    the pointer that travels through a queue
//!   size       how large a part is as an item, and what reading and writing it is billed
//! ```
//!
//! # Invariants (each names its test)
//! - A task's recorded output never changes: `write::tests::a_recorded_task_refuses_a_second_record`.
//! - A job never exceeds a step's maximum attempts: `decide::tests::the_last_charged_attempt_closes_the_job`.
//! - A closed job stays closed: `write::tests::a_closed_job_refuses_every_record_and_closing`.
//! - All of them together, under crashes, duplicates and lost replies: `tests/model/tests/exhausted.rs`.

pub mod backoff;
pub mod cancel;
pub mod decide;
pub mod digest;
pub mod failure;
pub mod ids;
pub mod limits;
pub mod message;
pub mod offset;
pub mod parts;
pub mod pause;
pub mod pipeline;
pub mod rate;
pub mod reconcile;
pub mod redrive;
pub mod refund;
pub mod route;
pub mod shard;
pub mod size;
pub mod story;
pub mod tenant;
pub mod time;
pub mod wait;
pub mod write;

pub use cancel::{Canceling, cancel};
pub use decide::{Act, Drive, Event, Step, decide};
pub use failure::{ErrorText, Failure, Remedy};
pub use ids::{IdError, JobId, Owner, Provider, Reference, ShardId, SignalName, StepName, TaskId, Tenant};
pub use message::{Message, MessageError};
pub use offset::Offset;
pub use parts::{Attempt, Closing, Done, Input, Job, JobStatus, Outcome, Part, Refusal, Task, Verdict};
pub use pipeline::{Pipeline, PipelineError, PipelineHash, StepSpec, Wait};
pub use rate::RateLimit;
pub use shard::Shard;
pub use tenant::{Roster, RosterCommit, RosterWrite};
pub use time::Time;
pub use write::{Claim, Commit, Footing, Write};
