//! Where the promises are checked: when an attempt begins to work, when a part is written, after every action.

use qsketch_core::decide::Step;
use qsketch_core::ids::TaskId;
use qsketch_core::parts::{Closing, Done, Job, JobStatus, Task, Verdict};
use qsketch_core::route;

use crate::book::is_live;
use crate::config::{ATTEMPTS_MAX, FINALIZER_ATTEMPTS_MAX};
use crate::promise::Promise;
use crate::state::{Phase, SLOTS, Slot};
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn breaks(&mut self, promise: Promise) {
        self.state.broken = self.state.broken.or(Some(promise));
    }

    /// What must hold when an attempt begins to work.
    pub(crate) fn check_work(&mut self, slot: usize) {
        let Slot { task: index, drive, step, .. } = self.state.slots[slot];
        let task = &self.protocol.tasks[usize::from(index)];
        let is_final = self.is_finalizer(index.into());
        let job = self.book.job_at(self.state.job);
        let drive = self.book.drives.value(drive);
        let spec = self.protocol.pipeline.step(task.step()).expect("a step of the pipeline");
        let maximum = if is_final { FINALIZER_ATTEMPTS_MAX } else { ATTEMPTS_MAX };
        let sees_the_recorded = drive.job().is_some_and(|known| {
            let is_same = |(task, done): (_, &Done)| job.done.get(task).is_some_and(|now| now.attempt == done.attempt);
            let sees_inputs = is_final || route::is_ready(&self.protocol.pipeline, spec, known);
            let sees_folds = known.folded.keys().all(|shard| job.folded.contains_key(shard));
            known.done.iter().all(is_same) && sees_folds && sees_inputs && (!is_final || known.closings == job.closings)
        });
        let attempt_of = |step: u32| match self.book.steps.value(step) {
            Step::Work { attempt, .. } => Some(*attempt),
            _ => None,
        };
        let is_shared = (0..SLOTS).filter(|other| *other != slot).map(|other| &self.state.slots[other]).any(|other| {
            other.phase == Phase::Work && other.task == index && attempt_of(other.step) == attempt_of(step)
        });
        let is_input = |input: &TaskId| spec.after.contains(input.step());
        let inputs = (0..self.protocol.finalizer()).filter(|other| is_input(&self.protocol.tasks[*other]));
        let is_ready = is_final
            || route::is_ready(&self.protocol.pipeline, spec, job)
                && inputs.into_iter().all(|input| self.protocol.record_of(self.book, &self.state, input).is_some());
        let is_within = drive.task().is_some_and(|task| {
            // Of a later closing, what came before it is not counted here.
            let is_first = task.closing == 0 || is_final;
            task.charged < maximum
                && (!is_first || task.attempt <= maximum + task.released + task.overloaded + task.crashed)
        });
        if drive.job().is_some_and(|known| known.closing != job.closing) {
            // It was redriven while this drive was on its way: what it makes does not count.
            return;
        }
        let kept = [
            (!is_final || job.status != JobStatus::Running, Promise::FinalizerLast),
            (is_ready, Promise::InputsFirst),
            (!self.runs_again(slot), Promise::NotRunAgain),
            (!is_shared, Promise::OneWorkerPerAttempt),
            (is_within, Promise::AttemptsBounded),
            (sees_the_recorded, Promise::SuccessorsSeeTheRecorded),
        ];
        for (_, promise) in kept.into_iter().filter(|(is_kept, _)| !is_kept) {
            self.breaks(promise);
        }
    }

    /// Whether the attempt that begins to work in a slot began when its task was recorded.
    ///
    /// Of a task in the part `job`, that is one read with the beginning of the work. Job and shard are two reads: between
    /// them an older attempt may still record, which is a race that no read can close; what the claim came after counts.
    fn runs_again(&self, slot: usize) -> bool {
        let Slot { task, was_recorded, .. } = self.state.slots[slot];
        let is_recorded = self.protocol.record_of(self.book, &self.state, task.into()).is_some();
        if self.protocol.is_sharded(task.into()) { was_recorded } else { is_recorded }
    }

    /// What must hold when a task's part is written.
    pub(crate) fn check_lease(&mut self, task: usize, part: u16) {
        let (Some(old), Some(new)) = (self.book.task_at(self.state.tasks[task]), self.book.task_at(part)) else {
            return;
        };
        let owner_of = |task: &Task| task.lease.as_ref().map(|lease| lease.owner.clone());
        let is_claim = owner_of(new).is_some() && owner_of(new) != owner_of(old);
        let is_live = is_live(old) && new.closing <= old.closing;
        let is_taken = is_claim && (is_live || new.attempt <= old.attempt);
        let is_beyond = new.charged > ATTEMPTS_MAX.max(FINALIZER_ATTEMPTS_MAX * u32::from(self.is_finalizer(task)));
        if is_taken || new.attempt < old.attempt {
            self.breaks(Promise::LeaseStays);
        }
        if is_beyond {
            self.breaks(Promise::AttemptsBounded);
        }
    }

    pub(crate) fn is_finalizer(&self, task: usize) -> bool {
        task >= self.protocol.finalizer()
    }

    /// What must hold between the job before and after.
    pub(crate) fn check(&mut self) {
        if (self.before.job, self.before.shards) == (self.state.job, self.state.shards) {
            return;
        }
        self.check_shards();
        let (old, new) = (self.book.job_at(self.before.job), self.book.job_at(self.state.job));
        let is_redrive = is_redrive(old, new);
        let stays = old
            .done
            .iter()
            .all(|(task, done)| new.done.get(task) == Some(done) || is_redrive && !new.done.contains_key(task))
            && old.folded.keys().all(|shard| is_redrive || new.folded.contains_key(shard));
        let is_recorded = |task| self.protocol.record_of(self.book, &self.state, task).is_some();
        let is_whole = new.status != JobStatus::Completed || (0..self.protocol.finalizer()).all(is_recorded);
        let failed =
            new.closings.last().filter(|_| new.status != JobStatus::Running).and_then(|closing| closing.task.as_ref());
        let failed = failed.and_then(|failed| self.protocol.tasks.iter().position(|task| task == failed));
        let is_kept_out = !failed.is_some_and(is_recorded);
        let closed = old.status != JobStatus::Running;
        let is_numbered = new.status == JobStatus::Running || new.closings.len() == new.closing as usize + 1;
        let is_caused = closed
            || new.status == JobStatus::Running
            || new.closings.last().is_none_or(|closing| self.is_caused(closing));
        let is_reopened = closed && !is_redrive && (new.status != old.status || new.closings != old.closings);
        if !stays {
            self.breaks(Promise::OutputStays);
        }
        if is_reopened {
            self.breaks(Promise::ClosingStays);
        }
        if !is_caused {
            self.breaks(Promise::FailsForCause);
        }
        if !is_kept_out {
            self.breaks(Promise::FailedStaysUnrecorded);
        }
        if !is_whole {
            self.breaks(Promise::CompletesWhole);
        }
        if !is_numbered {
            self.breaks(Promise::ClosingsNumbered);
        }
    }

    /// What must hold between the shards before and after.
    fn check_shards(&mut self) {
        for (old, new) in self.before.shards.into_iter().zip(self.state.shards) {
            let Some(old) = self.book.shard_at(old) else { continue };
            let stays = self
                .book
                .shard_at(new)
                .is_some_and(|new| old.done.iter().all(|(element, done)| new.done.get(element) == Some(done)));
            if !stays {
                self.breaks(Promise::OutputStays);
            }
        }
    }

    /// Whether there is a reason for a closing: what is given back is none, nor is an attempt that is still held.
    fn is_caused(&self, closing: &Closing) -> bool {
        let Some(index) = self.protocol.tasks.iter().position(|task| Some(task) == closing.task.as_ref()) else {
            return matches!(closing.verdict, Verdict::Completed | Verdict::Canceled);
        };
        let Some(part) = self.book.task_at(self.state.tasks[index]) else { return self.state.is_late };
        if part.closing > 0 {
            // What an earlier closing used up is in the numbers, but for what is charged.
            let is_used_up = part.charged >= ATTEMPTS_MAX && part.lease.is_none();
            return self.state.is_late || is_used_up || part.attempts.last().is_some_and(|last| last.is_final);
        }
        let is_used_up =
            part.attempt - part.released - part.overloaded - part.crashed >= ATTEMPTS_MAX && part.lease.is_none();
        self.state.is_late || is_used_up || part.attempts.last().is_some_and(|last| last.is_final)
    }
}

/// Whether a closed job was opened again, with a number of its own for the closing ahead, and nothing recorded in between.
fn is_redrive(old: &Job, new: &Job) -> bool {
    let is_opened = old.status != JobStatus::Running && new.status == JobStatus::Running;
    is_opened && new.closings == old.closings && new.done.keys().all(|task| old.done.contains_key(task))
}
