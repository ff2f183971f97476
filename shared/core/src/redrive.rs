//! Redriving a job that closed otherwise than completed: it runs again, from what failed or from a step that is named.
//!
//! ```text
//!   closed, its notification sent ── Reopen ──► running, `closing` one higher ── the ready tasks' messages ──► …
//! ```
//! The new closing fences the old attempts: what they record is refused. A named step and all that follows it are
//! forgotten in the same write: their records go, and their `generations` rise, so that the shards of before are not read
//! any more. What stays recorded is not run again, and `attempt` goes on counting, so that every output keeps its key.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ids::{ShardId, StepName, TaskId};
use crate::limits::{CLOSINGS_MAX, REDRIVE_ROOM};
use crate::message::Message;
use crate::parts::{Job, JobStatus, Task, check_shard, first_check};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::refund::Redemption;
use crate::route::{self, Also};
use crate::shard::Shard;
use crate::time::Time;
use crate::write::{Reopened, Write};

/// What to do to redrive a job, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redriving {
    /// Carry this write out; then send the messages of [`messages`].
    Write(Write),
    /// It was opened again before: send the messages of [`messages`] again, should they have been lost.
    Running,
    /// The notification of its closing comes first: send it, and look at the job again until it is recorded.
    Notify {
        /// The notification's message.
        message: Message,
        /// The write that follows then.
        then: Write,
    },
    /// It can't be redriven.
    Refused(Refused),
}

/// Why a job can't be redriven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing of it has failed.
    #[error("it runs, and nothing of it has failed; to begin again, cancel it first")]
    Runs,
    /// It has not begun.
    #[error("it is QUEUED, and starts by itself once its tenant has room for it")]
    Queued,
    /// It was redriven before, and a step is named: whether it was the same is not known any more.
    #[error(
        "it was redriven before, and runs; where its tasks stand still, redrive it without a step: they are sent again"
    )]
    RunsAgain,
    /// It is complete.
    #[error("it is COMPLETED: submit it under a new id to make it again")]
    Completed,
    /// Its refund was redeemed.
    #[error(
        "its refund was redeemed at {}, under the reference {}: whoever runs it again gives it away; to do so all the same: \
         --after-refund",
        .0.at, .0.reference
    )]
    Refunded(Redemption),
    /// Its submission was refused.
    #[error("its submission was REJECTED: there is nothing to run; send the submission again, mended, under a new id")]
    Rejected,
    /// It was redriven too often.
    #[error("it has closed {CLOSINGS_MAX} times, which is the most: submit it under a new id")]
    TooOften,
    /// The table deletes its parts soon.
    #[error("its parts may be deleted from {expires_at} on, which leaves too little time: submit it under a new id")]
    ExpiresSoon {
        /// When.
        expires_at: Time,
    },
    /// Its graph has no such step.
    #[error("its pipeline has no step {step:?}; it has {}", known.join(", "))]
    NoSuchStep {
        /// The step that was asked for.
        step: String,
        /// The steps that there are.
        known: Vec<String>,
    },
    /// What the named step needs is not there.
    #[error("step {step} can't be first: {input} before it is not complete; redrive from what failed, or from {input}")]
    InputsMissing {
        /// The named step.
        step: StepName,
        /// The first of its inputs that is not complete.
        input: StepName,
    },
}

/// What to do to redrive a job, as it is now: from what failed or, with `from`, from that step.
///
/// `finalizer` is the task of its last closing's finalizer, if that was ever claimed.
#[must_use]
pub fn redrive(
    pipeline: &Pipeline,
    job: &Job,
    finalizer: Option<&Task>,
    from: Option<&StepName>,
    now: Time,
) -> Redriving {
    redrive_with(pipeline, job, finalizer, from, IfRefunded::Refuse, now)
}

/// What becomes of a redrive of a job whose refund was redeemed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfRefunded {
    /// It is refused.
    #[default]
    Refuse,
    /// The job runs again all the same.
    Redrive,
}

/// As [`redrive`]; where the job's refund was redeemed, `refunded` says what to do.
#[must_use]
pub fn redrive_with(
    pipeline: &Pipeline,
    job: &Job,
    finalizer: Option<&Task>,
    from: Option<&StepName>,
    refunded: IfRefunded,
    now: Time,
) -> Redriving {
    let expires_at = Time(job.expires_at.saturating_mul(1_000));
    let deadline = now.plus(pipeline.job_timeout());
    let refused = match job.status {
        JobStatus::Running if job.closing > 0 && from.is_none() => return Redriving::Running,
        JobStatus::Running if job.closing > 0 => Some(Refused::RunsAgain),
        JobStatus::Running => Some(Refused::Runs),
        JobStatus::Queued => Some(Refused::Queued),
        JobStatus::Completed => Some(Refused::Completed),
        JobStatus::Rejected => Some(Refused::Rejected),
        JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled => None,
    };
    let redeemed = job.refunded.clone().filter(|_| refunded == IfRefunded::Refuse);
    let refused = refused
        .or_else(|| redeemed.map(Refused::Refunded))
        .or_else(|| (job.closings.len() >= CLOSINGS_MAX).then_some(Refused::TooOften))
        .or_else(|| (deadline.plus(REDRIVE_ROOM) > expires_at).then_some(Refused::ExpiresSoon { expires_at }))
        .or_else(|| from.and_then(|from| check_from(pipeline, job, from).err()));
    if let Some(refused) = refused {
        return Redriving::Refused(refused);
    }
    let told = TaskId::closing(pipeline.finalizer().name.clone(), job.closing);
    let is_notified = job.done.contains_key(&told);
    let comes_first = !is_told(pipeline, job, finalizer);
    let message = comes_first.then(|| Message::to(pipeline, job, told.clone()));
    let set = Box::new(reopened(pipeline, job, from, deadline, now));
    let is_notified = is_notified || comes_first;
    let is_refunded = job.refunded.is_some();
    let write = Write::Reopen { closing: job.closing, finalizer: told, is_notified, is_refunded, set };
    match message {
        Some(message) => Redriving::Notify { message, then: write },
        None => Redriving::Write(write),
    }
}

/// Whether a closed job's finalizer has nothing left to do: it is recorded, or was given up.
#[must_use]
pub fn is_told(pipeline: &Pipeline, job: &Job, finalizer: Option<&Task>) -> bool {
    let told = TaskId::closing(pipeline.finalizer().name.clone(), job.closing);
    job.done.contains_key(&told) || finalizer.is_some_and(|task| has_given_up(pipeline, task))
}

/// Whether the finalizer will never be recorded: its message went to the dead letters.
fn has_given_up(pipeline: &Pipeline, task: &Task) -> bool {
    let is_final = task.attempts.last().is_some_and(|last| last.is_final);
    task.lease.is_none() && (is_final || task.charged >= pipeline.finalizer().retry.maximum_attempts)
}

fn check_from(pipeline: &Pipeline, job: &Job, from: &StepName) -> Result<(), Refused> {
    let Some(step) = pipeline.steps().iter().find(|step| step.name == *from) else {
        let known = pipeline.steps().iter().map(|step| step.name.to_string()).collect();
        return Err(Refused::NoSuchStep { step: from.to_string(), known });
    };
    match step.after.iter().find(|input| !route::is_complete(pipeline, input, job)) {
        Some(input) => Err(Refused::InputsMissing { step: from.clone(), input: input.clone() }),
        None => Ok(()),
    }
}

fn reopened(pipeline: &Pipeline, job: &Job, from: Option<&StepName>, deadline: Time, now: Time) -> Reopened {
    let forgotten = from.map(|from| following(pipeline, from)).unwrap_or_default();
    let mut generations = job.generations.clone();
    for step in &forgotten {
        *generations.entry(step.clone()).or_insert(0) += 1;
    }
    let stays = |step: &StepName| !forgotten.contains(step);
    Reopened {
        done: job
            .done
            .iter()
            .filter(|(task, _)| stays(task.step()))
            .map(|(task, done)| (task.clone(), done.clone()))
            .collect(),
        folded: job
            .folded
            .iter()
            .filter(|(shard, _)| stays(shard.step()))
            .map(|(shard, at)| (shard.clone(), *at))
            .collect(),
        generations,
        deadline,
        at: now,
        check_shard: check_shard(&job.job_id),
        check_at: first_check(pipeline, now),
    }
}

/// A step and every step that follows it, directly or not.
fn following(pipeline: &Pipeline, from: &StepName) -> BTreeSet<StepName> {
    let mut found = BTreeSet::from([from.clone()]);
    for step in pipeline.steps() {
        if step.after.iter().any(|input| found.contains(input)) {
            found.insert(step.name.clone());
        }
    }
    found
}

/// The messages that a job needs that was just opened again, or resumed: those of all ready tasks that are not paused.
#[must_use]
pub fn messages(pipeline: &Pipeline, job: &Job) -> Vec<Message> {
    if job.status != JobStatus::Running {
        return Vec::new();
    }
    if route::is_all_complete(pipeline, job, Also::Nothing) {
        // It was canceled between its last record and its closing: whoever receives a recorded task closes it.
        return vec![Message::to(pipeline, job, TaskId::only(pipeline.start().name.clone()))];
    }
    let open = route::open(pipeline, job).into_iter().filter(|task| !job.is_paused(task.step()));
    Message::to_all(pipeline, job, open)
}

/// What a redrive means for one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepPlan {
    /// The step.
    pub step: StepName,
    /// How many of its tasks stay recorded.
    pub reused: u32,
    /// How many recorded tasks are forgotten.
    pub forgotten: u32,
    /// How many tasks run; none while the list that it is mapped over is not known.
    pub runs: Option<u32>,
    /// Why.
    pub why: Why,
}

/// Why a step runs in a redrive, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Why {
    /// Every task of it is recorded.
    Recorded,
    /// It was named.
    Named,
    /// It follows a step that is forgotten.
    Follows {
        /// That step.
        step: StepName,
    },
    /// A task of it failed, and the job with it.
    Failed {
        /// The task.
        task: TaskId,
        /// The error's type.
        error_type: String,
    },
    /// It waits, for its signal or its time.
    Waits,
    /// It had not got that far.
    Open,
}

/// What a redrive means for each step, in the graph's order; `write` is the one that [`redrive`] said. What its condition
/// asks for is taken to hold.
#[must_use]
pub fn outline(
    pipeline: &Pipeline,
    job: &Job,
    shards: &BTreeMap<ShardId, Shard>,
    from: Option<&StepName>,
    write: &Write,
) -> Vec<StepPlan> {
    let Write::Reopen { set, .. } = write else { return Vec::new() };
    let (done, folded, generations) = (set.done.clone(), set.folded.clone(), set.generations.clone());
    let after = Job { done, folded, generations, ..job.clone() };
    let plan = |step: &CheckedStep| {
        let (before, reused) = (recorded(pipeline, step, job, shards), recorded(pipeline, step, &after, shards));
        let width = route::width_of(step, &after);
        let runs = width.map(|width| width.saturating_sub(reused));
        let why = why(pipeline, job, step, from, runs);
        StepPlan { step: step.name.clone(), reused, forgotten: before.saturating_sub(reused), runs, why }
    };
    pipeline.steps().iter().map(plan).collect()
}

fn why(pipeline: &Pipeline, job: &Job, step: &CheckedStep, from: Option<&StepName>, runs: Option<u32>) -> Why {
    if runs == Some(0) {
        return Why::Recorded;
    }
    if from == Some(&step.name) {
        return Why::Named;
    }
    if let Some(from) = from.filter(|from| following(pipeline, from).contains(&step.name)) {
        return Why::Follows { step: from.clone() };
    }
    if step.wait.is_some() {
        return Why::Waits;
    }
    let failed = job.closings.last().and_then(|closing| closing.task.clone().zip(closing.error_type.clone()));
    match failed.filter(|(task, _)| *task.step() == step.name) {
        Some((task, error_type)) => Why::Failed { task, error_type },
        None => Why::Open,
    }
}

/// How many tasks of a step are recorded.
fn recorded(pipeline: &Pipeline, step: &CheckedStep, job: &Job, shards: &BTreeMap<ShardId, Shard>) -> u32 {
    let tasks = route::tasks_of(step, job).unwrap_or_default();
    let is_recorded = |task: &&TaskId| route::record_of(pipeline, task, job, |shard| shards.get(shard)).is_some();
    u32::try_from(tasks.iter().filter(is_recorded).count()).unwrap_or(u32::MAX)
}

const _: () = assert!(CLOSINGS_MAX >= 2, "a job can be redriven");
const _: () = assert!(
    REDRIVE_ROOM.as_secs() >= Duration::from_secs(14 * 24 * 3_600).as_secs(),
    "SQS keeps a message for 14 days"
);
