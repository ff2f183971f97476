//! One conditional write of one part: what it stands on, and what it does.
//!
//! [`apply`] is the meaning of a write. The in-memory table and the model run it; the DynamoDB table must behave the
//! same, and the conformance suite holds it to that.

use std::collections::BTreeMap;

use crate::ids::{Owner, ShardId, StepName, TaskId};
use crate::limits::LAYOUT;
use crate::parts::{Closing, Done, Input, Job, JobStatus, Part, Pause, Task};
use crate::refund::{Issued, Redemption};
use crate::shard::Shard;
use crate::time::Time;

/// What a write of a task's part stands on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Footing {
    /// There is no such part: this is the task's first claim.
    Absent,
    /// The newest attempt and the end of its lease are as they were seen.
    Seen {
        /// The newest attempt.
        attempt: u32,
        /// Until when its lease holds, if it has one.
        lease_until: Option<Time>,
    },
    /// This attempt is the newest, and its owner holds it.
    Mine {
        /// The attempt.
        attempt: u32,
        /// The owner.
        owner: Owner,
    },
}

/// What tells an attempt from every other: what its owner stands on, and whoever speaks for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// The nonce of the delivery that claims it.
    pub owner: Owner,
}

/// A conditional write of one part of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// The part `input`, if absent.
    CreateInput(Box<Input>),
    /// The part `job`, if absent.
    CreateJob(Box<Job>),
    /// A task's part: claim, heartbeat, failure, release.
    Task {
        /// The task.
        task: TaskId,
        /// What it stands on.
        footing: Footing,
        /// The part as it becomes.
        set: Box<Task>,
    },
    /// A completion: on a running job of this closing, where the task is not recorded.
    Record {
        /// The task.
        task: TaskId,
        /// The closing that the attempt works towards.
        closing: u32,
        /// The record.
        done: Done,
        /// The job's result, where this step makes it.
        result: Option<String>,
        /// The closing of the job in the same write, where this was the last task.
        close: Option<Box<Closing>>,
    },
    /// The finalizer's completion: on a closed job of this closing, where it is not recorded. Ends looking after the job.
    RecordFinal {
        /// The finalizer's task.
        task: TaskId,
        /// The closing that it finalizes.
        closing: u32,
        /// The record.
        done: Done,
    },
    /// The completion of an element of a wide step, in its shard: where it is not recorded there, and has no tombstone of
    /// this closing or a later one. The part need not be there. It stands on nothing of the job: on a closed one it is inert.
    RecordElement {
        /// The shard.
        shard: ShardId,
        /// The element, counted from the list's first.
        element: u32,
        /// The closing that the attempt works towards.
        closing: u32,
        /// The record.
        done: Done,
        /// When the table may delete the part, in seconds since the epoch.
        expires_at: u64,
    },
    /// The tombstone of an element for which the job is about to be closed: where it is not recorded in its shard.
    Bury {
        /// The shard.
        shard: ShardId,
        /// The element.
        element: u32,
        /// The number of the closing.
        closing: u32,
        /// When the table may delete the part, in seconds since the epoch.
        expires_at: u64,
    },
    /// A full shard's entry in the part `job`: on a running job of this closing, where it is not folded yet.
    Fold {
        /// The shard.
        shard: ShardId,
        /// The closing that its records were made for.
        closing: u32,
        /// When its last record was made.
        at: Time,
        /// The closing of the job in the same write, where this was the last of all.
        close: Option<Closing>,
    },
    /// A closing: on a running job of this closing; a failed one also where its task is not recorded.
    Close {
        /// The number of the closing.
        closing: u32,
        /// The closing.
        entry: Closing,
    },
    /// A redrive: on a closed job of this closing, whose finalizer is recorded or not and which is refunded or not, as it was seen.
    Reopen {
        /// The number of the closing that it is closed with.
        closing: u32,
        /// The finalizer's task of that closing.
        finalizer: TaskId,
        /// Whether that is recorded: nothing else of a closed job changes.
        is_notified: bool,
        /// Whether its refund was redeemed.
        is_refunded: bool,
        /// The job as it becomes.
        set: Box<Reopened>,
    },
    /// What of a job is paused: on a running job of this closing, whose pauses were changed as often as was seen.
    Pause {
        /// The closing ahead.
        closing: u32,
        /// How often they had been changed.
        changes: u32,
        /// The pauses as they become.
        set: Pause,
    },
    /// The start of a job that is queued.
    Start(Started),
    /// The closing of a job that is queued, before it began: its first.
    Withdraw {
        /// The closing.
        entry: Closing,
        /// From now on it is looked after like every other closed job.
        kept: Kept,
    },
    /// The end of a closed job's time in the table, before its parts are removed: on a closed job of this closing.
    Expire {
        /// The number of the closing.
        closing: u32,
        /// When the table may delete the part `job`, in seconds since the epoch.
        expires_at: u64,
    },
    /// What is kept of a refund token: on a closed job of this closing, which keeps none yet, and that is not refunded.
    Issue {
        /// The number of the closing.
        closing: u32,
        /// What is kept.
        issued: Issued,
    },
    /// The redemption of a refund token: on a closed job of this closing that is not COMPLETED and not refunded.
    Redeem {
        /// The number of the closing that it is closed with; the token may be an earlier one's.
        closing: u32,
        /// The redemption.
        redemption: Redemption,
    },
    /// When to look after a job again: on one that was to be looked after at that time. Of several that look, one wins.
    Look {
        /// When it was to be looked after.
        seen: Time,
        /// When to look again; none where nothing is left to look after.
        next: Option<Time>,
    },
}

/// What the start makes of a job that was queued, beside its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Started {
    /// When.
    pub at: Time,
    /// When its time is over.
    pub deadline: Time,
    /// Where it is looked after.
    pub kept: Kept,
}

/// Where a job is looked after, and until when it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// The shard of the index of jobs to look after.
    pub check_shard: String,
    /// When to look after it.
    pub check_at: Time,
    /// When the table may delete it, in seconds since the epoch.
    pub expires_at: u64,
}

/// What a redrive makes of a job, beside its status and the number of the closing ahead, which is one more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reopened {
    /// The records that stay.
    pub done: BTreeMap<TaskId, Done>,
    /// The folded shards that stay.
    pub folded: BTreeMap<ShardId, Time>,
    /// The generation of each step that was ever forgotten.
    pub generations: BTreeMap<StepName, u32>,
    /// When its time is over now.
    pub deadline: Time,
    /// When it was opened.
    pub at: Time,
    /// The shard of the index of jobs to look after.
    pub check_shard: String,
    /// When to look after it.
    pub check_at: Time,
}

impl Write {
    /// Whether it begins an attempt.
    #[must_use]
    pub const fn is_claim(&self) -> bool {
        matches!(self, Self::Task { footing: Footing::Absent | Footing::Seen { .. }, set, .. } if set.lease.is_some())
    }

    /// The task, the attempt and its owner, where it begins an attempt.
    #[must_use]
    pub fn claims(&self) -> Option<Claim> {
        let Self::Task { task, set, .. } = self else { return None };
        let owner = set.lease.as_ref().filter(|_| self.is_claim()).map(|lease| lease.owner.clone())?;
        Some(Claim { task: task.clone(), attempt: set.attempt, owner })
    }

    /// A short name for logs and counts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CreateInput(_) => "create-input",
            Self::CreateJob(_) => "create-job",
            Self::Task { footing: Footing::Mine { .. }, .. } => "hold",
            Self::Task { set, .. } if set.lease.is_none() => "end",
            Self::Task { .. } => "claim",
            Self::Record { .. } | Self::RecordFinal { .. } | Self::RecordElement { .. } => "record",
            Self::Bury { .. } => "bury",
            Self::Fold { .. } => "fold",
            Self::Close { .. } => "close",
            Self::Reopen { .. } => "reopen",
            Self::Pause { .. } => "pause",
            Self::Start(_) => "start",
            Self::Withdraw { .. } => "withdraw",
            Self::Expire { .. } => "expire",
            Self::Issue { .. } => "issue",
            Self::Redeem { .. } => "redeem",
            Self::Look { .. } => "look",
        }
    }
}

/// What became of a write. Losing a race is a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Commit {
    /// It was written; this is the part as it is now.
    Written(Part),
    /// Its footing was gone; this is the part as it is now, if it is there.
    Overtaken(Option<Part>),
}

/// Carries a write out on the part as it is: the part as it becomes, or none when the footing is gone.
#[must_use]
pub fn apply(write: &Write, current: Option<&Part>) -> Option<Part> {
    match (write, current) {
        (Write::CreateInput(input), None) => Some(Part::Input(input.clone())),
        (Write::CreateJob(job), None) => Some(Part::Job(job.clone())),
        (Write::Task { footing, set, .. }, current) => stands(footing, current).then(|| Part::Task(set.clone())),
        (Write::Record { task, closing, done, result, close }, Some(Part::Job(job))) => {
            let holds = job.status == JobStatus::Running && job.closing == *closing && !job.done.contains_key(task);
            holds.then(|| {
                let mut job = job.clone();
                job.done.insert(task.clone(), done.clone());
                if result.is_some() {
                    job.result.clone_from(result);
                }
                if let Some(entry) = close {
                    job.status = entry.verdict.status();
                    job.closings.push((**entry).clone());
                }
                Part::Job(job)
            })
        }
        (Write::RecordFinal { task, closing, done }, Some(Part::Job(job))) => {
            let holds = job.status != JobStatus::Running && job.closing == *closing && !job.done.contains_key(task);
            holds.then(|| {
                let mut job = job.clone();
                job.done.insert(task.clone(), done.clone());
                job.check_shard = None;
                job.check_at = None;
                Part::Job(job)
            })
        }
        (Write::RecordElement { element, closing, done, expires_at, .. }, current) => {
            let mut shard = shard_of(current, *expires_at)?;
            let is_buried = shard.closed.get(element).is_some_and(|buried| buried >= closing);
            let holds = !shard.done.contains_key(element) && !is_buried;
            holds.then(|| {
                shard.done.insert(*element, done.clone());
                Part::Shard(shard)
            })
        }
        (Write::Bury { element, closing, expires_at, .. }, current) => {
            let mut shard = shard_of(current, *expires_at)?;
            (!shard.done.contains_key(element)).then(|| {
                shard.closed.insert(*element, *closing);
                Part::Shard(shard)
            })
        }
        (Write::Fold { shard, closing, at, close }, Some(Part::Job(job))) => {
            let holds = job.status == JobStatus::Running && job.closing == *closing && !job.folded.contains_key(shard);
            holds.then(|| {
                let mut job = job.clone();
                job.folded.insert(shard.clone(), *at);
                if let Some(entry) = close {
                    job.status = entry.verdict.status();
                    job.closings.push(entry.clone());
                }
                Part::Job(job)
            })
        }
        (Write::Close { closing, entry }, Some(Part::Job(job))) => {
            let recorded = entry.task.as_ref().is_some_and(|task| job.done.contains_key(task));
            let holds = job.status == JobStatus::Running && job.closing == *closing && !recorded;
            holds.then(|| {
                let mut job = job.clone();
                job.status = entry.verdict.status();
                job.closings.push(entry.clone());
                Part::Job(job)
            })
        }
        (Write::Reopen { closing, finalizer, is_notified, is_refunded, set }, Some(Part::Job(job))) => {
            let is_same = job.closing == *closing
                && job.done.contains_key(finalizer) == *is_notified
                && job.refunded.is_some() == *is_refunded;
            let holds = job.status != JobStatus::Running && is_same;
            holds.then(|| {
                let mut job = job.clone();
                job.status = JobStatus::Running;
                job.closing += 1;
                (job.done, job.folded) = (set.done.clone(), set.folded.clone());
                job.generations.clone_from(&set.generations);
                (job.deadline, job.reopened_at) = (set.deadline, Some(set.at));
                (job.check_shard, job.check_at) = (Some(set.check_shard.clone()), Some(set.check_at));
                job.paused = None;
                Part::Job(job)
            })
        }
        (Write::Pause { closing, changes, set }, Some(Part::Job(job))) => {
            let is_same = job.closing == *closing && job.paused.as_ref().map_or(0, |pause| pause.changes) == *changes;
            (job.status == JobStatus::Running && is_same).then(|| {
                let mut job = job.clone();
                job.paused = Some(set.clone());
                Part::Job(job)
            })
        }
        (Write::Start(set), Some(Part::Job(job))) => (job.status == JobStatus::Queued).then(|| {
            let mut job = job.clone();
            (job.status, job.started_at, job.deadline) = (JobStatus::Running, Some(set.at), set.deadline);
            keep(&mut job, &set.kept);
            Part::Job(job)
        }),
        (Write::Withdraw { entry, kept }, Some(Part::Job(job))) => (job.status == JobStatus::Queued).then(|| {
            let mut job = job.clone();
            job.status = entry.verdict.status();
            job.closings.push(entry.clone());
            keep(&mut job, kept);
            Part::Job(job)
        }),
        (Write::Expire { closing, expires_at }, Some(Part::Job(job))) => {
            let holds = job.status != JobStatus::Running && job.closing == *closing;
            holds.then(|| {
                let mut job = job.clone();
                job.expires_at = *expires_at;
                Part::Job(job)
            })
        }
        (Write::Issue { closing, issued }, Some(Part::Job(job))) => {
            let holds = job.status != JobStatus::Running && job.closing == *closing && job.refunded.is_none();
            let bare = job.closings.get(*closing as usize).is_some_and(|entry| entry.refund.is_none());
            (holds && bare).then(|| {
                let mut job = job.clone();
                job.closings[*closing as usize].refund = Some(Box::new(issued.clone()));
                Part::Job(job)
            })
        }
        (Write::Redeem { closing, redemption }, Some(Part::Job(job))) => {
            let is_over = !matches!(job.status, JobStatus::Running | JobStatus::Completed);
            (is_over && job.closing == *closing && job.refunded.is_none()).then(|| {
                let mut job = job.clone();
                job.refunded = Some(redemption.clone());
                Part::Job(job)
            })
        }
        (Write::Look { seen, next }, Some(Part::Job(job))) => (job.check_at == Some(*seen)).then(|| {
            let mut job = job.clone();
            job.check_at = *next;
            if next.is_none() {
                job.check_shard = None;
            }
            Part::Job(job)
        }),
        (Write::CreateInput(_) | Write::CreateJob(_), Some(_))
        | (
            Write::Record { .. }
            | Write::RecordFinal { .. }
            | Write::Fold { .. }
            | Write::Close { .. }
            | Write::Reopen { .. }
            | Write::Pause { .. }
            | Write::Start(_)
            | Write::Withdraw { .. }
            | Write::Expire { .. }
            | Write::Issue { .. }
            | Write::Redeem { .. }
            | Write::Look { .. },
            _,
        ) => None,
    }
}

fn keep(job: &mut Job, kept: &Kept) {
    (job.check_shard, job.check_at) = (Some(kept.check_shard.clone()), Some(kept.check_at));
    job.expires_at = kept.expires_at;
}

/// The shard as it is, or a new one; none where another part stands in its place.
fn shard_of(current: Option<&Part>, expires_at: u64) -> Option<Box<Shard>> {
    match current {
        None => Some(Box::new(Shard::new(LAYOUT, expires_at))),
        Some(Part::Shard(shard)) => Some(shard.clone()),
        Some(Part::Input(_) | Part::Job(_) | Part::Task(_)) => None,
    }
}

fn stands(footing: &Footing, current: Option<&Part>) -> bool {
    match (footing, current) {
        (Footing::Absent, None) => true,
        (Footing::Seen { attempt, lease_until }, Some(Part::Task(task))) => {
            task.attempt == *attempt && task.lease.as_ref().map(|lease| lease.until) == *lease_until
        }
        (Footing::Mine { attempt, owner }, Some(Part::Task(task))) => {
            task.attempt == *attempt && task.is_held_by(owner)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Tenant};
    use crate::parts::Verdict;
    use crate::pipeline::{Pipeline, StepSpec};

    fn running() -> Result<Job, Box<dyn std::error::Error>> {
        let pipeline = Pipeline::builder("p")
            .step(StepSpec::new("a"))
            .step(StepSpec::new("b").after(["a"]))
            .finalizer(StepSpec::new("z"))
            .build()?;
        Ok(Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1)))
    }

    fn done(attempt: u32) -> Done {
        Done { attempt, at: Time(5), width: None, payload: None }
    }

    fn entry(verdict: Verdict, task: Option<TaskId>) -> Closing {
        Closing { verdict, at: Time(6), task, attempt: None, error_type: None, error: None, result: None, refund: None }
    }

    fn record(task: &str, closing: u32, attempt: u32) -> Result<Write, crate::ids::IdError> {
        Ok(Write::Record { task: task.parse()?, closing, done: done(attempt), result: None, close: None })
    }

    #[test]
    fn a_recorded_task_refuses_a_second_record() -> Result<(), Box<dyn std::error::Error>> {
        let first = apply(&record("a", 0, 1)?, Some(&Part::Job(Box::new(running()?))));
        assert!(first.is_some());
        assert_eq!(apply(&record("a", 0, 2)?, first.as_ref()), None);
        Ok(())
    }

    #[test]
    fn a_record_of_another_closing_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        assert_eq!(apply(&record("a", 1, 1)?, Some(&Part::Job(Box::new(running()?)))), None);
        Ok(())
    }

    #[test]
    fn a_closed_job_refuses_every_record_and_closing() -> Result<(), Box<dyn std::error::Error>> {
        for status in JobStatus::ALL.into_iter().filter(|status| *status != JobStatus::Running) {
            let job = Some(Part::Job(Box::new(Job { status, ..running()? })));
            assert_eq!(apply(&record("a", 0, 1)?, job.as_ref()), None, "{status:?}");
            let close = Write::Close { closing: 0, entry: entry(Verdict::Failed, None) };
            assert_eq!(apply(&close, job.as_ref()), None, "{status:?}");
        }
        Ok(())
    }

    #[test]
    fn a_failed_closing_is_refused_once_its_task_is_recorded() -> Result<(), Box<dyn std::error::Error>> {
        let recorded = apply(&record("a", 0, 1)?, Some(&Part::Job(Box::new(running()?))));
        let close = Write::Close { closing: 0, entry: entry(Verdict::Failed, Some("a".parse()?)) };
        assert_eq!(apply(&close, recorded.as_ref()), None);
        Ok(())
    }

    #[test]
    fn a_tombstone_and_a_record_keep_each_other_out() -> Result<(), Box<dyn std::error::Error>> {
        let shard: ShardId = "b@0/0".parse()?;
        let record =
            |closing| Write::RecordElement { shard: shard.clone(), element: 3, closing, done: done(1), expires_at: 9 };
        let bury = |closing| Write::Bury { shard: shard.clone(), element: 3, closing, expires_at: 9 };
        let recorded = apply(&record(0), None);
        assert!(recorded.is_some());
        assert_eq!(apply(&record(0), recorded.as_ref()), None, "a second record");
        assert_eq!(apply(&bury(0), recorded.as_ref()), None, "a tombstone on a record");
        let buried = apply(&bury(0), None);
        assert!(buried.is_some());
        assert_eq!(apply(&record(0), buried.as_ref()), None, "a record on a tombstone");
        assert_eq!(apply(&bury(0), buried.as_ref()), buried, "a repeated tombstone");
        assert!(apply(&record(1), buried.as_ref()).is_some(), "a record of the next closing");
        Ok(())
    }

    #[test]
    fn a_shard_is_folded_once_and_only_into_a_running_job() -> Result<(), Box<dyn std::error::Error>> {
        let fold = |closing| {
            Ok::<_, crate::ids::IdError>(Write::Fold { shard: "b@0/0".parse()?, closing, at: Time(7), close: None })
        };
        let open = Part::Job(Box::new(running()?));
        let folded = apply(&fold(0)?, Some(&open));
        assert!(folded.is_some());
        assert_eq!(apply(&fold(0)?, folded.as_ref()), None, "a second time");
        assert_eq!(apply(&fold(1)?, Some(&open)), None, "of another closing");
        for status in JobStatus::ALL.into_iter().filter(|status| *status != JobStatus::Running) {
            let job = Part::Job(Box::new(Job { status, ..running()? }));
            assert_eq!(apply(&fold(0)?, Some(&job)), None, "{status:?}");
        }
        Ok(())
    }

    #[test]
    fn the_finalizer_is_recorded_only_on_a_closed_job_and_ends_looking_after_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let write = Write::RecordFinal { task: "z@0".parse()?, closing: 0, done: done(1) };
        let open = Part::Job(Box::new(running()?));
        assert_eq!(apply(&write, Some(&open)), None);
        let close = Write::Close { closing: 0, entry: entry(Verdict::Completed, None) };
        let closed = apply(&close, Some(&open));
        let Some(Part::Job(job)) = apply(&write, closed.as_ref()) else { return Err("refused".into()) };
        assert_eq!((job.check_shard, job.check_at), (None, None));
        Ok(())
    }
}
