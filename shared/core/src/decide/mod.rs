//! One message, from its delivery to its acknowledgement: event in, next step out.
//!
//! ```text
//!   Delivered ─► claim ∥ load ─► Work ─► record ─► Settle [Send successors, Acknowledge]
//!        │                         └──► end (failed, timed out, released) ─► Settle [Hide until] or close
//!        └─ again ─► load ─► (died twice: BeAlone) ─► claim ─► load again ─► Work …
//! ```
//!
//! [`decide`] is the only code that branches on a status. After every event it takes what is now known of the job and
//! the task and looks at it afresh, so that a lost race, a lost reply and a redelivery all take the same path.
//! The numbered rules stand in `docs/design.md`.

mod crash;
pub(crate) mod entry;
mod hold;
mod look;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::backoff::Jitter;
use crate::failure::{ErrorText, Failure};
use crate::ids::{Owner, ShardId, TaskId};
use crate::limits::{ALONE_PAUSE, COMMITS_MAX};
use crate::message::Message;
use crate::parts::{Job, JobStatus, Part, Task};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::route;
use crate::shard::Shard;
use crate::time::Time;
use crate::write::{Commit, Write};

pub use crash::{GivingBack, Known, give_back_after_crash};
pub use hold::{Beat, Hold};

/// What an attempt made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Output {
    /// How many elements its list has; needed where a later step maps over it.
    pub width: Option<u32>,
    /// The job's result, from the step that makes it: a location of at most
    /// [`crate::limits::RESULT_BYTES_MAX`] bytes.
    pub result: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The message was received.
    Delivered {
        /// How often it has been received, this time included.
        receives: u32,
    },
    /// The answer to [`Step::ClaimBesideLoad`].
    Claimed {
        /// What became of the claim.
        commit: Commit,
        /// The job as it was loaded beside the claim.
        job: Option<Box<Job>>,
    },
    /// The answer to [`Step::Load`].
    Loaded {
        /// The job.
        job: Option<Box<Job>>,
        /// The task, if any attempt has begun.
        task: Option<Box<Task>>,
        /// The shard that may hold its record, if it is there.
        shard: Option<Box<Shard>>,
    },
    /// The answer to [`Step::LoadJob`].
    JobLoaded {
        /// The job.
        job: Option<Box<Job>>,
        /// The shard that may hold the task's record, if it is there.
        shard: Option<Box<Shard>>,
    },
    /// The answer to [`Step::Commit`].
    Committed(Commit),
    /// An answer to [`Step::BeAlone`]: nothing else is at work in this process until the drive is over.
    Alone,
    /// The other answer: it could not be had in time.
    Crowded,
    /// The work is done.
    Worked(Output),
    /// The work failed.
    Failed {
        /// Why.
        failure: Failure,
        /// A share of 1,000, drawn by the shell.
        jitter: Jitter,
    },
    /// The work was ended at the time that [`Step::Work`] named.
    TimedOut {
        /// A share of 1,000, drawn by the shell.
        jitter: Jitter,
    },
    /// A heartbeat found that the attempt has lost its task, or that the work is no longer wanted.
    Lost {
        /// The job as the heartbeat found it.
        job: Option<Box<Job>>,
        /// The task as the heartbeat found it.
        task: Option<Box<Task>>,
    },
    /// The worker was told to stop.
    Stopping,
    /// The outside world kept the drive from going on, for this reason.
    BrokenOff(ErrorText),
}

/// What the shell must do next; all but [`Step::Settle`] are answered by an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Carry out this first claim and load the job, both at once.
    ClaimBesideLoad(Write),
    /// Load the job, the task and the shard that may hold its record ([`Drive::shard_to_load`]), all at once.
    Load,
    /// Load the job and that shard, both at once.
    LoadJob,
    /// Carry out this write.
    Commit(Write),
    /// See to it that nothing else is at work in this process until the drive is over; wait for it, but not for ever.
    BeAlone,
    /// Do the work, with a heartbeat beside it.
    Work {
        /// The attempt's number.
        attempt: u32,
        /// When to end it.
        until: Time,
    },
    /// Carry these out in order; the drive is over.
    Settle(Vec<Act>),
}

/// An act at the end of a drive. Acts are ordered and repeatable; the last one says what becomes of the message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Send these messages; only then go on.
    Send(Vec<Message>),
    /// The job gives up its place among its tenant's jobs that run; whoever waits for one takes it.
    Vacate,
    /// Delete the message.
    Acknowledge,
    /// Hide the message until this time.
    Hide(Time),
    /// Make the message visible at once.
    GiveBack,
    /// Leave the message alone: it is somebody else's by now.
    LetGo,
    /// Move the message to the dead-letter queue, with the reason.
    DeadLetter(String),
}

/// What one delivery of a message knows so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive {
    message: Message,
    owner: Owner,
    job: Option<Box<Job>>,
    task: Option<Box<Task>>,
    shard: Option<Box<Shard>>,
    /// Whether the job is only what the message said of it.
    is_hearsay: bool,
    /// Whether the job was loaded after the newest claim of this drive.
    is_fresh: bool,
    /// Whether the task is only what a claim would have made it: nobody has written it.
    is_unclaimed: bool,
    is_giving_back: bool,
    /// Whether it has the process to itself.
    is_alone: bool,
    refusals: u32,
}

impl Drive {
    /// A drive of this message by this owner, a nonce of this delivery.
    #[must_use]
    pub const fn new(message: Message, owner: Owner) -> Self {
        Self {
            message,
            owner,
            job: None,
            task: None,
            shard: None,
            is_hearsay: false,
            is_fresh: false,
            is_unclaimed: false,
            is_giving_back: false,
            is_alone: false,
            refusals: 0,
        }
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// The job as it is known.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        self.job.as_deref()
    }

    /// The task as it is known.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.task.as_deref()
    }

    /// The shard that may hold the task's record; none for a task whose record stands in the part `job` for sure.
    #[must_use]
    pub fn shard_to_load(&self, pipeline: &Pipeline) -> Option<ShardId> {
        route::shard_to_load(pipeline, &self.message.task, self.message.generation)
    }

    /// Whether its attempt began without a claim: there is nothing to hold, and nobody to lose it to.
    #[must_use]
    pub const fn is_unclaimed(&self) -> bool {
        self.is_unclaimed
    }

    /// The hold of this drive on its task, for the heartbeat; none when it holds nothing.
    #[must_use]
    pub fn hold(&self, pipeline: &Pipeline) -> Option<Hold> {
        let task = self.task.as_deref().filter(|task| !self.is_unclaimed && task.is_held_by(&self.owner))?;
        let step = pipeline.step(self.message.task.step())?;
        Some(Hold::new(self.message.task.clone(), task.clone(), self.owner.clone(), step.timeouts.heartbeat))
    }

    /// Takes in what a write brought, without deciding: for a drive that breaks off before it can.
    pub fn absorb(&mut self, commit: Commit) {
        let part = match commit {
            Commit::Written(part) => Some(part),
            Commit::Overtaken(part) => {
                self.refusals += 1;
                part
            }
        };
        match part {
            Some(Part::Job(job)) => {
                self.is_hearsay = false;
                self.job = Some(job);
            }
            Some(Part::Task(task)) => {
                (self.is_fresh, self.is_unclaimed) = (false, false);
                self.task = Some(task);
            }
            Some(Part::Shard(shard)) => self.shard = Some(shard),
            Some(Part::Input(_)) | None => {}
        }
    }
}

/// Says what to do next, given what happened. `drive` keeps what is known; nothing else is remembered.
#[must_use]
pub fn decide(pipeline: &Pipeline, drive: &mut Drive, event: Event, now: Time) -> Step {
    let Some(step) = pipeline.step(drive.message.task.step()) else {
        return dead_letter(drive, route::Foreign::NoSuchStep);
    };
    match event {
        Event::Delivered { receives } => return delivered(pipeline, drive, step, receives, now),
        Event::Claimed { commit, job } => {
            drive.job = job;
            drive.absorb(commit);
        }
        Event::Loaded { job, task, shard } => {
            (drive.is_hearsay, drive.is_unclaimed) = (false, false);
            drive.job = job;
            drive.task = task;
            drive.shard = shard;
        }
        Event::JobLoaded { job, shard } => {
            drive.is_hearsay = false;
            drive.job = job;
            drive.shard = shard;
            drive.is_fresh = true;
        }
        Event::Committed(commit) => {
            let is_refused = matches!(commit, Commit::Overtaken(_));
            drive.absorb(commit);
            if drive.is_giving_back {
                return Step::Settle(vec![Act::GiveBack]);
            }
            if (drive.is_hearsay || drive.is_unclaimed) && is_refused {
                // Hearsay is good for a first attempt alone: somebody else was here, so ask.
                return Step::Load;
            }
        }
        Event::Alone => drive.is_alone = true,
        Event::Crowded => return Step::Settle(vec![Act::Hide(now.plus(ALONE_PAUSE))]),
        Event::Worked(output) => return worked(pipeline, drive, step, output, now),
        Event::Failed { failure, jitter } => return failed(drive, step, &failure, jitter, now),
        Event::TimedOut { jitter } => return timed_out(pipeline, drive, step, jitter, now),
        Event::Lost { task: None, .. } => return Step::Settle(vec![Act::LetGo]),
        Event::Lost { job, task } => {
            drive.is_hearsay = false;
            drive.job = job;
            drive.task = task;
            drive.is_fresh = false;
        }
        Event::Stopping => return give_back(drive, "WorkerStopped", ErrorText::from(STOPPED), now),
        Event::BrokenOff(error) => return give_back(drive, "BrokenOff", error, now),
    }
    if let Some(step) = catch_up(drive, step) {
        return step;
    }
    if drive.refusals > COMMITS_MAX {
        return Step::Settle(vec![Act::Hide(now.plus(look::CROWDED_PAUSE))]);
    }
    look::look(pipeline, drive, step, now)
}

/// A message of before a redrive: what it was told of the shard no longer counts.
fn catch_up(drive: &mut Drive, step: &CheckedStep) -> Option<Step> {
    let generation = drive.job().map(|job| job.generation(&step.name))?;
    if generation == drive.message.generation {
        return None;
    }
    drive.message.generation = generation;
    step.over.is_some().then_some(Step::Load)
}

fn delivered(pipeline: &Pipeline, drive: &mut Drive, step: &CheckedStep, receives: u32, now: Time) -> Step {
    if let Err(foreign) = route::belongs(pipeline, &drive.message.task, None) {
        return dead_letter(drive, foreign);
    }
    let known = drive.message.known.take();
    if receives > 1 {
        return Step::Load;
    }
    let claim = entry::first_claim(drive, step, now);
    let message = &drive.message;
    let fits = |job: &Job| {
        job.job_id == message.job && job.pipeline_hash == message.pipeline && job.closing == message.closing
    };
    match known.filter(|job| step.is_light && fits(job)) {
        Some(job) => {
            (drive.job, drive.is_hearsay) = (Some(Box::new(Arc::unwrap_or_clone(job))), true);
            match claim {
                Write::Task { set, .. } if step.is_unclaimed => {
                    (drive.task, drive.is_unclaimed) = (Some(set), true);
                    look::look(pipeline, drive, step, now)
                }
                claim => Step::Commit(claim),
            }
        }
        None => Step::ClaimBesideLoad(claim),
    }
}

fn worked(pipeline: &Pipeline, drive: &Drive, step: &CheckedStep, output: Output, now: Time) -> Step {
    let Some((job, task)) = drive.job().zip(drive.task()) else { return Step::Settle(vec![Act::LetGo]) };
    let span = route::span_of(pipeline, &drive.message.task, job);
    if let Err(failure) = entry::check_output(pipeline, step, span.as_ref(), &output) {
        return failed(drive, step, &failure, Jitter(0), now);
    }
    Step::Commit(match span {
        Some(span) => entry::record_element(&drive.message.task, span, job, task.attempt, now),
        None => entry::record(pipeline, &drive.message.task, job, task.attempt, output, now),
    })
}

fn failed(drive: &Drive, step: &CheckedStep, failure: &Failure, jitter: Jitter, now: Time) -> Step {
    entry::end_failed(drive, step, failure, jitter, now).map_or_else(|| Step::Settle(vec![Act::LetGo]), Step::Commit)
}

fn timed_out(pipeline: &Pipeline, drive: &Drive, step: &CheckedStep, jitter: Jitter, now: Time) -> Step {
    entry::end_timed_out(pipeline, drive, step, jitter, now)
        .map_or_else(|| Step::Settle(vec![Act::LetGo]), Step::Commit)
}

/// What is given back is not charged.
fn give_back(drive: &mut Drive, error_type: &str, error: ErrorText, now: Time) -> Step {
    drive.is_giving_back = true;
    entry::end_released(drive, error_type, error, now).map_or_else(|| Step::Settle(vec![Act::GiveBack]), Step::Commit)
}

const STOPPED: &str = "its worker was told to stop and gave it back";

fn dead_letter(drive: &Drive, foreign: route::Foreign) -> Step {
    let task = &drive.message.task;
    let reason = match foreign {
        route::Foreign::NoSuchStep => format!("its pipeline has no step {:?}", task.step().as_str()),
        route::Foreign::WrongShape => format!("its pipeline has no task of the form {:?}", task.to_string()),
        route::Foreign::NoSuchElement => format!("the list has no element for {:?}", task.to_string()),
        route::Foreign::Waits => {
            format!("step {:?} waits, and has no work: nobody should have sent it", task.step().as_str())
        }
    };
    Step::Settle(vec![Act::DeadLetter(reason)])
}

/// Whether the message that starts a job has nothing left to bring about.
///
/// Where its step is light, what follows may have been handed on under the message that started it, up to the finalizer.
#[must_use]
pub fn is_started(pipeline: &Pipeline, job: &Job) -> bool {
    let (start, last) = (pipeline.start(), TaskId::closing(pipeline.finalizer().name.clone(), job.closing));
    if job.status == JobStatus::Queued {
        return false;
    }
    if start.is_light && job.status != JobStatus::Rejected {
        return job.done.contains_key(&last);
    }
    job.status != JobStatus::Running || job.done.contains_key(&TaskId::only(start.name.clone()))
}

/// The message that starts a job.
#[must_use]
pub fn start_message(pipeline: &Pipeline, job: &Job) -> Message {
    Message::to(pipeline, job, TaskId::only(pipeline.start().name.clone()))
}
