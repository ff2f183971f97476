//! The hold of an attempt on its task, as the heartbeat renews it.

use core::time::Duration;

use crate::ids::{Owner, TaskId};
use crate::parts::{Job, JobStatus, Lease, Part, Progress, Task};
use crate::time::Time;
use crate::write::{Commit, Footing, Write};

/// What a heartbeat found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The lease is renewed and the work is still wanted.
    GoOn,
    /// The lease is lost, or nobody wants the work any more.
    Stop,
}

/// An attempt's hold on its task. Only a refused lease write loses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    id: TaskId,
    task: Task,
    owner: Owner,
    lease: Duration,
}

impl Hold {
    pub(super) const fn new(id: TaskId, task: Task, owner: Owner, lease: Duration) -> Self {
        Self { id, task, owner, lease }
    }

    /// How long a renewed lease holds.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// How often to renew it: two heartbeats may fail.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.lease / 3
    }

    /// The write that renews the lease and carries progress.
    #[must_use]
    pub fn beat(&self, progress: Option<Progress>, now: Time) -> Write {
        let mut set = self.task.clone();
        set.lease = Some(Lease { owner: self.owner.clone(), until: now.plus(self.lease) });
        set.progress = progress;
        Write::Task {
            task: self.id.clone(),
            footing: Footing::Mine { attempt: self.task.attempt, owner: self.owner.clone() },
            set: Box::new(set),
        }
    }

    /// What the renewal and the job loaded beside it mean.
    #[must_use]
    pub fn verdict(&self, commit: &Commit, job: Option<&Job>) -> Beat {
        let mine = match commit {
            Commit::Written(_) => true,
            Commit::Overtaken(Some(Part::Task(task))) => {
                task.attempt == self.task.attempt && task.is_held_by(&self.owner)
            }
            Commit::Overtaken(_) => false,
        };
        let wanted = job.is_some_and(|job| self.is_wanted(job));
        if mine && wanted { Beat::GoOn } else { Beat::Stop }
    }

    fn is_wanted(&self, job: &Job) -> bool {
        let is_final = matches!(self.id.which(), crate::ids::Which::Closing(_));
        let open = (job.status == JobStatus::Running) != is_final;
        open && job.closing == self.task.closing && !job.done.contains_key(&self.id)
    }
}
