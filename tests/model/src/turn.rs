//! The shell and its world, as far as the protocol depends on them: one action at a time.
//!
//! A local step of a drive is taken together with the operation on the table that it leads to: nobody else can see
//! what stands between them. Everything that others can see is a step of its own: each read, each write, each send, the
//! acknowledgement.

use qsketch_core::cancel::{Canceling, cancel};
use qsketch_core::decide::{Act, Drive, Step};
use qsketch_core::ids::{StepName, TaskId};
use qsketch_core::message::Message;
use qsketch_core::parts::{Job, JobStatus, Part};
use qsketch_core::pause::{Pausing, pause, resume};
use qsketch_core::pipeline::Pipeline;
use qsketch_core::reconcile::follow_up;
use qsketch_core::redrive::{Redriving, messages, redrive};
use qsketch_core::route;
use qsketch_core::time::Time;
use qsketch_core::wait::{self, Signaling};
use qsketch_core::write::{Commit, Write};

use crate::action::{Action, End, From, Reply};
use crate::book::{Book, Heard, NOW, Wrote, now, owner};
use crate::config::{Broken, SIGNAL};
use crate::promise::Promise;
use crate::protocol::{Protocol, plan};
use crate::state::{ABSENT, Copied, Phase, SLOTS, Signal, Slot, State, number};

/// One action on a state.
pub(crate) struct Turn<'a> {
    pub(crate) protocol: &'a Protocol,
    pub(crate) book: &'a mut Book,
    pub(crate) before: &'a State,
    pub(crate) state: State,
}

impl Turn<'_> {
    /// Takes the action; false when it can't be taken or changes nothing.
    pub(crate) fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Deliver { task, copy, slot } => {
                let job = self.book.job_at(self.state.job).clone();
                self.deliver(task.into(), copy.into(), slot.into(), &job);
            }
            Action::DeliverOld { task, copy, slot } => {
                self.deliver(task.into(), copy.into(), slot.into(), &self.protocol.job);
            }
            Action::Claim(slot, reply) => return self.claim(slot.into(), reply),
            Action::ReadJob(slot) => self.read_job(slot.into()),
            Action::ReadTask(slot) => {
                let slot = usize::from(slot);
                let task = self.state.tasks[usize::from(self.state.slots[slot].task)];
                self.state.slots[slot].answers.task = Some(self.book.seen_by(task, self.protocol.me(slot)));
                self.loaded(slot);
            }
            Action::ReadShard(slot) => {
                let slot = usize::from(slot);
                let shard = self.protocol.shard_for(self.book.drives.value(self.state.slots[slot].drive));
                self.state.slots[slot].answers.shard = shard.map(|shard| self.state.shards[shard]);
                self.loaded(slot);
            }
            Action::Commit(slot, reply) => return self.commit(slot.into(), reply),
            Action::Work(slot, end, reply) => return self.work(slot.into(), end, reply),
            Action::Stop(slot) => self.hear(slot.into(), Heard::Stopping),
            Action::Beat(slot) => return self.beat(slot.into()),
            Action::Send(slot, reply) => return self.send(slot.into(), reply),
            Action::Settle(slot, stale) => return self.settle(slot.into(), stale.map(usize::from)),
            Action::LeaseLapse(task) => {
                let task = &mut self.state.tasks[usize::from(task)];
                *task = self.book.lapsed(*task);
            }
            Action::WaitOver(task) => {
                let task = &mut self.state.tasks[usize::from(task)];
                *task = self.book.waited(*task);
            }
            Action::VisibilityLapse(task, copy) => {
                self.state.copies[usize::from(task)][usize::from(copy)] = Copied::Again;
                self.state.sort_copies(task.into());
            }
            Action::Duplicate(task) => self.state.add_copy(task.into(), Copied::Fresh),
            Action::Crash(process) => self.crash(process),
            Action::GiveBack(task) => return self.give_back(task.into()),
            Action::Alone(slot) => {
                self.state.slots[usize::from(slot)].is_alone = true;
                self.hear(slot.into(), Heard::Alone);
            }
            Action::Crowded(slot) => self.hear(slot.into(), Heard::Crowded),
            Action::Late => self.state.is_late = true,
            Action::Cancel(reply) => return self.cancel(reply),
            Action::Redrive(from) => return self.redrive(from),
            Action::Pause => return self.pause(pause),
            Action::Resume => {
                if !self.pause(resume) {
                    return false;
                }
                if self.protocol.config.broken != Some(Broken::ResumedSilently) {
                    self.send_ready();
                }
            }
            Action::Signal => return self.signal(),
            Action::SendSignaled(reply) => return self.send_signaled(reply),
            Action::CancelAgain => self.cancel_again(),
            Action::Look => return self.look(),
        }
        true
    }

    /// A process dies; its parent looks at what its drives held.
    fn crash(&mut self, process: u8) {
        let config = &self.protocol.config;
        let of_process = (0..config.processes.len()).filter(|slot| config.processes[*slot] == process);
        let dying: Vec<usize> = of_process.filter(|slot| self.state.slots[*slot].phase != Phase::Idle).collect();
        let crowded: Vec<usize> =
            dying.iter().copied().filter(|slot| crate::action::has_neighbours(config, &self.state, *slot)).collect();
        for slot in dying {
            let task = usize::from(self.state.slots[slot].task);
            let held = self.state.tasks[task];
            let is_held = self.book.gone_of(held, self.protocol.me(slot)) != held;
            self.give_up(slot);
            let now = self.state.tasks[task];
            if !is_held {
                continue;
            }
            let id = &self.protocol.tasks[task];
            let generation = self.book.job_at(self.state.job).generation(id.step());
            let shard = route::shard_to_load(&self.protocol.pipeline, id, generation);
            let shard = shard.and_then(|shard| self.protocol.number_of(&shard));
            let shard = shard.map_or(ABSENT, |shard| self.state.shards[shard]);
            let left = self.book.given_back(id, now, self.state.job, shard, self.state.is_late);
            self.state.left[task] = left;
            let charged = |part| self.book.task_at(part).map_or(0, |task| task.charged);
            let is_charged = left != ABSENT && charged(left) > charged(now);
            if is_charged && crowded.contains(&slot) {
                self.breaks(Promise::ChargedAlone);
            }
        }
    }

    fn give_back(&mut self, task: usize) -> bool {
        let left = core::mem::replace(&mut self.state.left[task], ABSENT);
        if let Some(part) = self.book.give_back(&self.protocol.tasks[task], left, self.state.tasks[task]) {
            self.check_lease(task, part);
            self.state.tasks[task] = part;
        }
        true
    }

    fn redrive(&mut self, from: From) -> bool {
        let pipeline = &self.protocol.pipeline;
        let job = self.book.job_at(self.state.job);
        let told = self.protocol.finalizer() + job.closing as usize;
        let finalizer = self.book.task_at(self.state.tasks[told]);
        let step = pipeline.steps().get(1).unwrap_or(pipeline.start());
        let from = (from == From::Step).then_some(&step.name);
        let Redriving::Write(write) = redrive(pipeline, job, finalizer, from, now(self.state.is_late)) else {
            return false;
        };
        let Wrote::Job(true, opened) = self.book.carry_out(write, self.state.job, self.protocol.me(0)) else {
            return false;
        };
        self.state.job = opened;
        let is_recorded = |task: TaskId| self.book.job_at(opened).done.contains_key(&task);
        if !pipeline.waits().all(|(step, _)| is_recorded(TaskId::only(step.name.clone()))) {
            // It waits anew: whoever is asked for the signal sends it again.
            self.state.signal = Signal::NotYet;
        }
        let is_of_step = |task: &TaskId| from.is_some_and(|from| task.step() == from);
        let forgotten = (0..self.protocol.finalizer()).filter(|task| is_of_step(&self.protocol.tasks[*task]));
        if forgotten.into_iter().any(|task| self.protocol.record_of(self.book, &self.state, task).is_some()) {
            self.breaks(Promise::ForgottenIsGone);
        }
        self.send_ready();
        true
    }

    fn pause(&mut self, change: fn(&Pipeline, &Job, Option<&StepName>, Time) -> Pausing) -> bool {
        let Pausing::Write(write) = change(&self.protocol.pipeline, self.book.job_at(self.state.job), None, NOW) else {
            return false;
        };
        match self.book.carry_out(write, self.state.job, self.protocol.me(0)) {
            Wrote::Job(true, changed) => self.state.job = changed,
            _ => return false,
        }
        true
    }

    /// Somebody sends the signal: up to its record, which loses no race for long.
    fn signal(&mut self) -> bool {
        let pipeline = &self.protocol.pipeline;
        let job = self.book.job_at(self.state.job);
        let waits = pipeline.waits().any(|(step, _)| wait::waiting(pipeline, step, job).is_some());
        if self.protocol.config.broken == Some(Broken::SignalAsks) && !waits {
            self.state.signal = Signal::Sent;
            return job.status == JobStatus::Running;
        }
        match wait::signal(pipeline, job, SIGNAL, None, NOW) {
            Signaling::Write(write) => {
                let Wrote::Job(true, signaled) = self.book.carry_out(write, self.state.job, self.protocol.me(0)) else {
                    return false;
                };
                self.state.job = signaled;
            }
            Signaling::Is { .. } => {}
            Signaling::Refused(_) => return false,
        }
        self.state.signal = Signal::Recorded(self.state.job);
        true
    }

    /// It sends what its record made ready, as the job was then.
    fn send_signaled(&mut self, reply: Reply) -> bool {
        let Signal::Recorded(job) = self.state.signal else { return false };
        if reply != Reply::Arrives {
            self.state.signal = Signal::CutOff;
            return true;
        }
        self.state.signal = Signal::Sent;
        let waits = self.protocol.pipeline.waits().map(|(step, _)| TaskId::only(step.name.clone()));
        if self.protocol.config.broken != Some(Broken::SignaledSilently) {
            waits.for_each(|task| self.send_after_wait(job, &task));
        }
        true
    }

    fn send_after_wait(&mut self, job: u16, task: &TaskId) {
        for message in wait::messages(&self.protocol.pipeline, self.book.job_at(job), task) {
            self.state.add_copy(self.protocol.index_of(&message), Copied::Fresh);
        }
    }

    /// Whoever sweeps over the open jobs does what is due of a wait, and sends what follows.
    fn look(&mut self) -> bool {
        let job = self.book.job_at(self.state.job);
        let due = |at| wait::due(&self.protocol.pipeline, job, at);
        let Some(write) = self.protocol.sweep_time(self.state.is_late).and_then(due) else { return false };
        let Wrote::Job(true, job) = self.book.carry_out(write.clone(), self.state.job, self.protocol.me(0)) else {
            return false;
        };
        self.state.job = job;
        for message in follow_up(&self.protocol.pipeline, &write, self.book.job_at(job)) {
            self.state.add_copy(self.protocol.index_of(&message), Copied::Fresh);
        }
        true
    }

    /// Sends the messages of all ready tasks, as a person who redrives or resumes.
    fn send_ready(&mut self) {
        self.state.slots.iter_mut().for_each(|slot| slot.is_outdated = slot.phase != Phase::Idle);
        for message in messages(&self.protocol.pipeline, self.book.job_at(self.state.job)) {
            self.state.add_newer_copy(self.protocol.index_of(&message));
        }
    }

    fn cancel(&mut self, reply: Reply) -> bool {
        let pipeline = &self.protocol.pipeline;
        let mut job = self.book.job_at(self.state.job).clone();
        if self.protocol.config.broken == Some(Broken::CanceledBlindly) {
            job.status = JobStatus::Running;
        }
        let Canceling::Write(write) = cancel(pipeline, &job, "not needed", NOW) else { return false };
        let Wrote::Job(true, canceled) = self.book.carry_out(write, self.state.job, self.protocol.me(0)) else {
            return false;
        };
        self.state.job = canceled;
        let Canceling::Notify(Some(message)) = cancel(pipeline, self.book.job_at(canceled), "again", NOW) else {
            return false;
        };
        if reply == Reply::Arrives {
            self.state.add_copy(self.protocol.index_of(&message), Copied::Fresh);
        }
        // Of every other job somebody holds a message, and settles it by rule 2.
        self.state.is_cancel_cut_off = reply != Reply::Arrives && self.protocol.has_waits();
        true
    }

    fn cancel_again(&mut self) {
        self.state.is_cancel_cut_off = false;
        let job = self.book.job_at(self.state.job);
        if let Canceling::Notify(Some(message)) = cancel(&self.protocol.pipeline, job, "again", NOW) {
            self.state.add_copy(self.protocol.index_of(&message), Copied::Fresh);
        }
    }

    /// Delivers a copy that was sent by somebody who knew the job like this.
    fn deliver(&mut self, task: usize, copy: usize, slot: usize, job: &Job) {
        let receives = if self.state.copies[task][copy] == Copied::Fresh { 1 } else { 2 };
        self.state.copies[task][copy] = Copied::Held(number(slot));
        self.state.sort_copies(task);
        let message = Message::to(&self.protocol.pipeline, job, self.protocol.tasks[task].clone());
        let drive = self.book.drives.number(Drive::new(message, owner("me")));
        self.state.slots[slot] = Slot { task: number(task), drive, ..Slot::default() };
        self.hear(slot, Heard::Delivered(receives));
    }

    /// Carries a write out on the part that it is about.
    fn write(&mut self, slot: usize, step: u32) -> Wrote {
        let task = usize::from(self.state.slots[slot].task);
        let closing = self.book.job_at(self.state.job).closing;
        let (mut is_claim, mut is_tombstone, mut is_of_now, mut place) = (false, false, true, 0);
        let current = match self.book.steps.value(step) {
            Step::ClaimBesideLoad(write) | Step::Commit(write @ Write::Task { .. }) => {
                is_claim = write.is_claim();
                self.state.tasks[task]
            }
            Step::Commit(write @ (Write::RecordElement { shard, .. } | Write::Bury { shard, .. })) => {
                is_tombstone = matches!(write, Write::Bury { .. });
                place = self.protocol.number_of(shard).expect("a shard of the model");
                self.state.shards[place]
            }
            Step::Commit(
                Write::Record { closing: of, .. } | Write::Fold { closing: of, .. } | Write::Close { closing: of, .. },
            ) => {
                is_of_now = *of == closing;
                self.state.job
            }
            _ => self.state.job,
        };
        let wrote = self.book.write(step, current, self.protocol.me(slot));
        if !is_of_now && matches!(wrote, Wrote::Job(true, _)) {
            self.breaks(Promise::ClosingFences);
        }
        let is_skipped = is_tombstone && self.protocol.config.broken == Some(Broken::TombstoneSkipped);
        if !is_skipped {
            self.keep(task, place, wrote);
        }
        if is_claim && matches!(wrote, Wrote::Task(true, _)) && self.protocol.is_sharded(task) {
            let is_recorded = self.protocol.record_of(self.book, &self.state, task).is_some();
            self.state.slots[slot].was_recorded = is_recorded;
        }
        wrote
    }

    fn keep(&mut self, task: usize, shard: usize, wrote: Wrote) {
        match wrote {
            Wrote::Job(true, job) => self.state.job = job,
            Wrote::Task(true, part) => {
                self.check_lease(task, part);
                self.state.tasks[task] = part;
            }
            Wrote::Shard(true, part) => self.state.shards[shard] = part,
            Wrote::Job(false, _) | Wrote::Task(false, _) | Wrote::Shard(false, _) => {}
        }
    }

    fn claim(&mut self, slot: usize, reply: Reply) -> bool {
        let Wrote::Task(is_written, part) = self.write(slot, self.state.slots[slot].step) else { return false };
        match reply {
            Reply::Arrives => {
                let seen = self.book.seen_by(part, self.protocol.me(slot));
                let answers = &mut self.state.slots[slot].answers;
                (answers.task, answers.is_written) = (Some(seen), is_written);
                self.loaded(slot);
            }
            Reply::Lost => return is_written,
            Reply::GivenUp => self.give_up(slot),
        }
        is_written || reply == Reply::Arrives
    }

    fn read_job(&mut self, slot: usize) {
        let known = self.book.drives.value(self.state.slots[slot].drive).job().cloned();
        let job = match (self.state.slots[slot].phase, self.protocol.config.broken, known) {
            (Phase::LoadJob, Some(Broken::NoSecondLoad), Some(known)) => self.book.job(known),
            _ => self.state.job,
        };
        self.state.slots[slot].answers.job = Some(job);
        self.loaded(slot);
    }

    /// Goes on once all answers are there.
    fn loaded(&mut self, slot: usize) {
        let Slot { phase, answers, task, .. } = self.state.slots[slot];
        let shard = if self.protocol.is_sharded(task.into()) { answers.shard } else { Some(ABSENT) };
        let heard = match (phase, answers.job, answers.task, shard) {
            (Phase::ClaimBesideLoad, Some(job), Some(task), _) => Heard::Claimed(answers.is_written, task, job),
            (Phase::Load, Some(job), Some(task), Some(shard)) => Heard::Loaded(job, task, shard),
            (Phase::LoadJob, Some(job), _, Some(shard)) => Heard::JobLoaded(job, shard),
            _ => return,
        };
        self.hear(slot, heard);
    }

    fn commit(&mut self, slot: usize, reply: Reply) -> bool {
        let Slot { drive, step, .. } = self.state.slots[slot];
        let wrote = self.write(slot, step);
        let (Wrote::Job(is_written, _) | Wrote::Task(is_written, _) | Wrote::Shard(is_written, _)) = wrote;
        match (reply, wrote) {
            (Reply::Lost, _) => return is_written,
            (Reply::GivenUp, _) => {
                self.give_up(slot);
                return is_written;
            }
            (Reply::Arrives, Wrote::Job(is_written, mut job)) => {
                if is_written && self.protocol.config.broken == Some(Broken::StaleJoin) {
                    job = self.book.job_as_known(drive, step).unwrap_or(job);
                }
                self.hear(slot, Heard::JobCommitted(is_written, job));
            }
            (Reply::Arrives, Wrote::Shard(is_written, part)) => {
                self.hear(slot, Heard::ShardCommitted(is_written, part))
            }
            (Reply::Arrives, Wrote::Task(is_written, part)) => {
                let seen = self.book.seen_by(part, self.protocol.me(slot));
                self.hear(slot, Heard::TaskCommitted(is_written, seen));
            }
        }
        true
    }

    fn work(&mut self, slot: usize, end: End, reply: Reply) -> bool {
        self.hear(
            slot,
            match end {
                End::Done => Heard::Worked,
                End::Failed => Heard::Failed,
                End::Overloaded => Heard::Overloaded,
                End::FailedForGood => Heard::FailedForGood,
                End::TimedOut => Heard::TimedOut,
                End::Stopped => Heard::Stopping,
            },
        );
        if self.state.slots[slot].phase == Phase::Commit { self.commit(slot, reply) } else { reply == Reply::Arrives }
    }

    fn beat(&mut self, slot: usize) -> bool {
        let Slot { drive, task, .. } = self.state.slots[slot];
        let (task, me) = (usize::from(task), self.protocol.me(slot));
        let Some(hold) = self.book.drives.value(drive).hold(&self.protocol.pipeline) else { return false };
        let write = hold.beat(None, now(self.state.is_late));
        let wrote = self.book.carry_out_beat(write, self.state.tasks[task], me);
        self.keep(task, 0, wrote);
        let Wrote::Task(is_written, part) = wrote else { return false };
        let seen = self.book.seen_by(part, me);
        let found = self.book.task_at(seen).map(|task| Part::Task(Box::new(task.clone())));
        let commit = match (is_written, found) {
            (true, Some(part)) => Commit::Written(part),
            (_, found) => Commit::Overtaken(found),
        };
        if hold.verdict(&commit, Some(self.book.job_at(self.state.job))) == qsketch_core::decide::Beat::Stop {
            self.hear(slot, Heard::Lost(self.state.job, seen));
        }
        true
    }

    fn send(&mut self, slot: usize, reply: Reply) -> bool {
        let Slot { step, act, .. } = self.state.slots[slot];
        let plan = plan(self.protocol, self.book.steps.value(step));
        let first = usize::from(self.protocol.config.broken == Some(Broken::AcknowledgeFirst));
        let Some(task) = usize::from(act).checked_sub(first).and_then(|next| plan.sends.get(next)) else {
            return false;
        };
        self.state.add_copy(*task, Copied::Fresh);
        if reply == Reply::Arrives {
            self.state.slots[slot].act += 1;
            if usize::from(act) + 1 == plan.sends.len() + first && first == 1 {
                self.state.slots[slot] = Slot::default();
            }
        }
        true
    }

    fn settle(&mut self, slot: usize, stale: Option<usize>) -> bool {
        let Slot { step, act, task, .. } = self.state.slots[slot];
        let plan = plan(self.protocol, self.book.steps.value(step));
        let is_first = self.protocol.config.broken == Some(Broken::AcknowledgeFirst);
        let due = if is_first { 0 } else { plan.sends.len() };
        if usize::from(act) != due {
            return false;
        }
        let task = usize::from(task);
        match plan.end {
            Act::Acknowledge | Act::DeadLetter(_) => {
                if let Some(copy) = self.state.own_copy(slot).or(stale) {
                    self.state.copies[task][copy] = Copied::None;
                    self.state.sort_copies(task);
                }
            }
            _ if stale.is_some() => return false,
            Act::Hide(_) | Act::GiveBack | Act::LetGo => self.state.reveal(slot),
            Act::Send(_) | Act::Vacate => panic!("not a last act"),
        }
        if let Act::DeadLetter(_) = plan.end {
            self.breaks(Promise::NoDeadLetter);
        }
        if is_first && !plan.sends.is_empty() {
            self.state.slots[slot].act = 1;
        } else {
            self.state.slots[slot] = Slot::default();
        }
        true
    }

    /// Ends a drive without a word: its message comes back, its lease stays.
    fn give_up(&mut self, slot: usize) {
        self.state.reveal(slot);
        self.state.slots[slot].phase = Phase::Settle;
        self.retire(slot);
        self.state.slots[slot] = Slot::default();
    }

    /// The leases of a slot whose drive has nothing to write any more belong to nobody.
    fn retire(&mut self, slot: usize) {
        let me = self.protocol.me(slot);
        let is_driving = |slot: &Slot| !matches!(slot.phase, Phase::Idle | Phase::Settle);
        let others = (0..SLOTS).filter(|other| *other != slot && is_driving(&self.state.slots[*other]));
        if others.into_iter().any(|other| self.protocol.me(other) == me) {
            return;
        }
        for task in &mut self.state.tasks {
            *task = self.book.gone_of(*task, me);
        }
    }

    /// Tells a drive what happened, by the real `decide`, and takes up the step that it answers.
    fn hear(&mut self, slot: usize, heard: Heard) {
        let (drive, mut step) = self.book.decide(self.state.slots[slot].drive, heard, self.state.is_late);
        step = self.skip_fold(heard, step);
        let phase = match self.book.steps.value(step) {
            Step::ClaimBesideLoad(_) => Phase::ClaimBesideLoad,
            Step::Load => Phase::Load,
            Step::LoadJob => Phase::LoadJob,
            Step::Commit(_) => Phase::Commit,
            Step::BeAlone => Phase::Alone,
            Step::Work { .. } => Phase::Work,
            Step::Settle(_) => Phase::Settle,
        };
        if phase == Phase::Settle {
            step = self.bend(slot, heard, step);
        }
        let Slot { task, was_recorded, is_alone, is_outdated, .. } = self.state.slots[slot];
        let (drive, was_recorded) = if phase == Phase::Settle { (0, false) } else { (drive, was_recorded) };
        let answers = crate::state::Answers::default();
        self.state.slots[slot] =
            Slot { phase, task, act: 0, drive, step, answers, was_recorded, is_alone, is_outdated };
        match phase {
            Phase::Settle => self.retire(slot),
            Phase::Work => self.check_work(slot),
            _ => {}
        }
    }

    /// What a record does that fills its shard, in a variant that is broken on purpose.
    fn skip_fold(&mut self, heard: Heard, step: u32) -> u32 {
        let is_fold = matches!(self.book.steps.value(step), Step::Commit(Write::Fold { .. }));
        let is_own = matches!(heard, Heard::ShardCommitted(true, _));
        if self.protocol.config.broken == Some(Broken::FoldSkipped) && is_fold && is_own {
            return self.book.steps.number(Step::Settle(vec![Act::Acknowledge]));
        }
        step
    }

    /// The plan of acts of a variant that is broken on purpose.
    fn bend(&mut self, slot: usize, heard: Heard, step: u32) -> u32 {
        let plan = plan(self.protocol, self.book.steps.value(step));
        let is_own_write = matches!(heard, Heard::JobCommitted(true, _));
        let is_closed = plan.sends.iter().any(|task| *task >= self.protocol.finalizer());
        let is_final = self.is_finalizer(self.state.slots[slot].task.into());
        let is_dropped = match self.protocol.config.broken {
            Some(Broken::ClosedJustAcknowledged) => is_closed && !is_own_write,
            Some(Broken::RecordedJustAcknowledged) => !is_closed && !is_final && !is_own_write,
            Some(Broken::HeldJustAcknowledged) => {
                matches!((heard, &plan.end), (Heard::Claimed(..) | Heard::Loaded(..), Act::Hide(_)))
            }
            _ => false,
        };
        if self.protocol.config.broken == Some(Broken::NotifiedEarly) && self.state.slots[slot].task == 0 {
            let Step::Settle(mut acts) = self.book.steps.value(step).clone() else { return step };
            if let Some(Act::Send(messages)) = acts.first_mut() {
                messages.extend(
                    messages
                        .first()
                        .cloned()
                        .map(|first| Message { task: self.protocol.tasks[self.protocol.finalizer()].clone(), ..first }),
                );
                return self.book.steps.number(Step::Settle(acts));
            }
        }
        if is_dropped && (!plan.sends.is_empty() || matches!(plan.end, Act::Hide(_))) {
            return self.book.steps.number(Step::Settle(vec![Act::Acknowledge]));
        }
        match plan.end {
            // Until when does not matter: a hidden message is one that nobody has received yet.
            Act::Hide(_) => self.book.steps.number(Step::Settle(vec![Act::Hide(NOW)])),
            _ => step,
        }
    }
}
