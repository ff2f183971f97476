//! A cap on how many jobs of one tenant run at once, so that nobody's thousand jobs keep another's one from its workers.
//!
//! ```text
//!   submission ─► QUEUED ─┬─ room, and nobody waits ─► Enter ─► Start ─► RUNNING ─► closed ─► notified ─► Leave
//!                         └─ full ─► Queue                                                                 │
//!                                      └─────────────── Admit the oldest ─► Start ◄────────────────────────┘
//! ```
//! A tenant has an item of its own, its *roster*: the ids of its jobs that run. Every job is born QUEUED and starts by a
//! write of its own, so only a job that was never started can enter. What somebody left half done (a job that entered and
//! was not started, one that closed and did not leave, a queue that nobody woke) the reconciler finds by [`plan`].
//!
//! A job that is redriven is not counted again: it has waited before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, Tenant};
use crate::limits::{LAYOUT, QUEUE_SETTLED, TENANT_LOOK_INTERVAL};
use crate::parts::{Job, JobStatus, check_shard, expires_at, first_check};
use crate::pipeline::Pipeline;
use crate::time::Time;
use crate::write::{Kept, Started, Write};

/// The shard of the index of jobs to look after in which the rosters stand.
pub const ROSTERS_SHARD: &str = "tenants";

/// The item of a tenant whose jobs are capped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Roster {
    /// The layout that it was written in.
    pub layout: u32,
    /// Whose it is.
    pub tenant: Tenant,
    /// How many of its jobs may run at once.
    pub jobs_max: u32,
    /// Those that do. DynamoDB keeps no empty set.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub running: BTreeSet<JobId>,
    /// When a job was queued last; none where none is for sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Time>,
    /// [`ROSTERS_SHARD`], while there is something to look after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_shard: Option<String>,
    /// When to look after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_at: Option<Time>,
}

impl Roster {
    /// How many more jobs may run.
    #[must_use]
    pub fn room(&self) -> usize {
        usize::try_from(self.jobs_max).unwrap_or(usize::MAX).saturating_sub(self.running.len())
    }

    fn is_quiet(&self) -> bool {
        self.running.is_empty() && self.queued_at.is_none()
    }
}

/// A conditional write of a roster; [`apply`] is its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RosterWrite {
    /// A newcomer takes a place: where there is one within this cap and nobody waits, or where it has one. The roster need
    /// not be there.
    Enter {
        /// The job.
        job: JobId,
        /// The cap.
        jobs_max: u32,
        /// When to look after the roster, where nobody does yet.
        check_at: Time,
    },
    /// A job from the queue takes a place: where there is one, or where it has one.
    Admit {
        /// The job.
        job: JobId,
        /// When to look after the roster, where nobody does any more: whoever admits may have read it long ago.
        check_at: Time,
    },
    /// Jobs give up their places, if they have them.
    Leave {
        /// The jobs.
        jobs: BTreeSet<JobId>,
    },
    /// A job is queued, under this cap. The roster need not be there.
    Queue {
        /// The cap.
        jobs_max: u32,
        /// When.
        at: Time,
        /// When to look after the roster, where nobody does yet.
        check_at: Time,
    },
    /// No job is queued: where none was since.
    Unqueue {
        /// When one was queued last, as it was seen.
        seen: Time,
    },
    /// When to look after the roster again: where it was to be looked after at that time. The end of looking also stands on
    /// an empty roster without a queue.
    Look {
        /// When it was to be looked after.
        seen: Time,
        /// When to look again; none where there is nothing to look after.
        next: Option<Time>,
    },
}

impl RosterWrite {
    /// A short name for logs and counts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Enter { .. } => "enter",
            Self::Admit { .. } => "admit",
            Self::Leave { .. } => "leave",
            Self::Queue { .. } => "queue",
            Self::Unqueue { .. } => "unqueue",
            Self::Look { .. } => "look-tenant",
        }
    }
}

/// What became of a roster's write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RosterCommit {
    /// It was written; this is the roster as it is now.
    Written(Roster),
    /// Its footing was gone; this is the roster as it is, if it is there.
    Overtaken(Option<Roster>),
}

impl RosterCommit {
    /// The roster as it is now.
    #[must_use]
    pub fn into_roster(self) -> Option<Roster> {
        match self {
            Self::Written(roster) => Some(roster),
            Self::Overtaken(roster) => roster,
        }
    }
}

/// Carries a write out on a tenant's roster as it is: the roster as it becomes, or none when the footing is gone.
#[must_use]
pub fn apply(tenant: &Tenant, write: &RosterWrite, current: Option<&Roster>) -> Option<Roster> {
    match write {
        RosterWrite::Enter { job, jobs_max, check_at } => {
            let mut roster = current.map_or_else(|| new(tenant, *jobs_max), Clone::clone);
            roster.jobs_max = *jobs_max;
            let is_free = roster.queued_at.is_none() && roster.room() > 0;
            (is_free || roster.running.contains(job)).then(|| {
                roster.running.insert(job.clone());
                look_by(&mut roster, *check_at);
                roster
            })
        }
        RosterWrite::Admit { job, check_at } => {
            let mut roster = current?.clone();
            (roster.room() > 0 || roster.running.contains(job)).then(|| {
                roster.running.insert(job.clone());
                look_by(&mut roster, *check_at);
                roster
            })
        }
        RosterWrite::Leave { jobs } => {
            let mut roster = current?.clone();
            roster.running.retain(|job| !jobs.contains(job));
            Some(roster)
        }
        RosterWrite::Queue { jobs_max, at, check_at } => {
            let mut roster = current.map_or_else(|| new(tenant, *jobs_max), Clone::clone);
            (roster.jobs_max, roster.queued_at) = (*jobs_max, Some(*at));
            look_by(&mut roster, *check_at);
            Some(roster)
        }
        RosterWrite::Unqueue { seen } => {
            let roster = current?;
            (roster.queued_at == Some(*seen)).then(|| Roster { queued_at: None, ..roster.clone() })
        }
        RosterWrite::Look { seen, next } => {
            let roster = current?;
            let holds = roster.check_at == Some(*seen) && (next.is_some() || roster.is_quiet());
            holds.then(|| Roster {
                check_at: *next,
                check_shard: roster.check_shard.clone().filter(|_| next.is_some()),
                ..roster.clone()
            })
        }
    }
}

fn new(tenant: &Tenant, jobs_max: u32) -> Roster {
    Roster {
        layout: LAYOUT,
        tenant: tenant.clone(),
        jobs_max,
        running: BTreeSet::new(),
        queued_at: None,
        check_shard: None,
        check_at: None,
    }
}

fn look_by(roster: &mut Roster, at: Time) {
    roster.check_shard.get_or_insert_with(|| ROSTERS_SHARD.to_owned());
    roster.check_at.get_or_insert(at);
}

/// A newcomer's entry.
#[must_use]
pub fn enter(job: &JobId, jobs_max: u32, now: Time) -> RosterWrite {
    RosterWrite::Enter { job: job.clone(), jobs_max, check_at: now.plus(TENANT_LOOK_INTERVAL) }
}

/// The entry of one that was queued.
#[must_use]
pub fn admit(job: &JobId, now: Time) -> RosterWrite {
    RosterWrite::Admit { job: job.clone(), check_at: now.plus(TENANT_LOOK_INTERVAL) }
}

/// What a newcomer does that may not enter.
#[must_use]
pub fn queue(jobs_max: u32, now: Time) -> RosterWrite {
    RosterWrite::Queue { jobs_max, at: now, check_at: now.plus(TENANT_LOOK_INTERVAL) }
}

/// What is known of the jobs of a roster: each as it is, none where it is not in the table.
pub type Known = BTreeMap<JobId, Option<JobStatus>>;

/// Something to do for a tenant. Each stands on a condition of its own: in any order, done twice or left half done, they
/// start no job beyond the cap and none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// These are closed or gone: they leave.
    Leave(BTreeSet<JobId>),
    /// It has a place and was not started.
    Start(JobId),
    /// It is queued, and there is room: it enters, and is started.
    Admit(JobId),
    /// Nobody has been queued for long: newcomers may enter at once.
    Unqueue(Time),
}

/// What to do for a tenant, given its roster, what is known of the jobs in it, and the oldest of its jobs that are queued,
/// in their order. A job in the roster that nothing is known of is left alone.
#[must_use]
pub fn plan(roster: &Roster, known: &Known, queued: &[JobId], now: Time) -> Vec<Deed> {
    let is_over = |job: &&JobId| known.get(*job).is_some_and(|status| status.is_none_or(JobStatus::is_closed));
    let over: BTreeSet<JobId> = roster.running.iter().filter(is_over).cloned().collect();
    let room = roster.room() + over.len();
    let started: Vec<JobId> =
        roster.running.iter().filter(|job| known.get(*job) == Some(&Some(JobStatus::Queued))).cloned().collect();
    let is_empty = queued.is_empty() && started.is_empty();
    let unqueue = roster.queued_at.filter(|at| is_empty && now >= at.plus(QUEUE_SETTLED));
    let admitted = queued.iter().filter(|job| !roster.running.contains(*job)).take(room).cloned();
    let leave = (!over.is_empty()).then_some(Deed::Leave(over));
    let deeds = leave.into_iter().chain(started.into_iter().map(Deed::Start)).chain(admitted.map(Deed::Admit));
    deeds.chain(unqueue.map(Deed::Unqueue)).collect()
}

/// When to look after a roster again, as it is now; none where there is nothing to look after.
#[must_use]
pub fn next_look(roster: &Roster, now: Time) -> Option<Time> {
    (!roster.is_quiet()).then(|| now.plus(TENANT_LOOK_INTERVAL))
}

/// The start of a job that is queued: its time counts from now on.
#[must_use]
pub fn start(pipeline: &Pipeline, job: &Job, now: Time) -> Write {
    let deadline = now.plus(pipeline.job_timeout());
    Write::Start(Started { at: now, deadline, kept: kept(pipeline, job, deadline, now) })
}

/// Where a job is looked after that leaves the queue, with this deadline.
pub(crate) fn kept(pipeline: &Pipeline, job: &Job, deadline: Time, now: Time) -> Kept {
    Kept {
        check_shard: check_shard(&job.job_id),
        check_at: first_check(pipeline, now),
        expires_at: expires_at(deadline),
    }
}

#[cfg(test)]
mod tests;
