//! The real values behind the numbers of a state, and the answers of the real functions, each asked once.
//!
//! `decide` and `apply` are pure, so an answer may be kept: [`Book::decide`] and [`Book::write`] call the real
//! function the first time and look the answer up from then on.
//!
//! Two things make the states few. Neither may change a decision:
//! - **Time** is three points: now, lapsed, and far ahead. What `decide` writes is set to one of them before it is kept
//!   (`settled_task`, `settled_job`), and of the ended attempts only the last is, which is all that `decide` reads.
//! - **Owners** are names of slots in the store. A drive knows them as `me` and `other`, for `decide` only ever asks
//!   whether an owner is its own. The lease of a drive that is gone belongs to `gone`.

use qsketch_core::backoff::Jitter;
use qsketch_core::decide::{Drive, Event, GivingBack, Known, Output, Step, decide, give_back_after_crash};
use qsketch_core::failure::Failure;
use qsketch_core::ids::{Owner, StepName, TaskId};
use qsketch_core::parts::{Closing, Done, Job, JobStatus, Outcome, Part, Pause, Task, Verdict};
use qsketch_core::pipeline::Pipeline;
use qsketch_core::shard::Shard;
use qsketch_core::time::Time;
use qsketch_core::write::{Claim, Commit, Footing, Write, apply};

use crate::config::{Broken, WIDTH};
use crate::names::{Map, Names};
use crate::state::ABSENT;

/// The time of every decision, and of everything that was written.
pub const NOW: Time = Time(1_000_000_000_000);

/// The time of every decision once all deadlines have passed.
pub const LATE: Time = Time(NOW.0 + 10 * 3_600_000);

/// Until when a live lease holds.
const LIVE: Time = Time(LATE.0 + 10 * 3_600_000);

/// Until when a lapsed lease held.
const LAPSED: Time = Time(1);

/// When a wait ends.
const LATER: Time = Time(NOW.0 + 1_000);

/// The owner of a lease whose drive is gone.
const GONE: &str = "gone";

/// An event, with parts by number, tasks as the drive sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// `Event::Delivered`, for the first time or again.
    Delivered(u32),
    /// `Event::Claimed`.
    Claimed(bool, u16, u16),
    /// `Event::Loaded`: job, task and shard.
    Loaded(u16, u16, u16),
    /// `Event::JobLoaded`: job and shard.
    JobLoaded(u16, u16),
    /// `Event::Committed` with the part `job`.
    JobCommitted(bool, u16),
    /// `Event::Committed` with a task's part.
    TaskCommitted(bool, u16),
    /// `Event::Committed` with a shard.
    ShardCommitted(bool, u16),
    /// `Event::Worked`.
    Worked,
    /// `Event::Failed`, to be tried again.
    Failed,
    /// `Event::Failed`, by an overload.
    Overloaded,
    /// `Event::Failed`, for good.
    FailedForGood,
    /// `Event::TimedOut`.
    TimedOut,
    /// `Event::Lost`: job and task.
    Lost(u16, u16),
    /// `Event::Stopping`.
    Stopping,
    /// `Event::Alone`.
    Alone,
    /// `Event::Crowded`.
    Crowded,
}

/// The owner that a drive's delivery has in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Me(pub u8);

impl Me {
    fn owner(self) -> Owner {
        owner(&format!("w{}", self.0))
    }
}

/// What became of a write: whether it was written, and the part as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrote {
    /// The part `job`.
    Job(bool, u16),
    /// The task's part, as the store has it.
    Task(bool, u16),
    /// A shard.
    Shard(bool, u16),
}

/// A change of a task's part that no drive makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Change {
    SeenBy(Me),
    GoneOf(Me),
    Lapsed,
    Waited,
    Spent,
    Swapped,
}

/// The real values behind the numbers, and the answers of the real functions.
#[derive(Debug)]
pub struct Book {
    pipeline: Pipeline,
    broken: Option<Broken>,
    /// The parts `job`.
    pub jobs: Names<Job>,
    tasks: Names<Task>,
    shards: Names<Shard>,
    /// The drives.
    pub drives: Names<Drive>,
    /// The steps, and the plans of acts.
    pub steps: Names<Step>,
    decided: Map<(u32, Heard, bool), (u32, u32)>,
    written: Map<(u32, u16, Me), Wrote>,
    changed: Map<(u16, Change), u16>,
    /// What was written last, in a word; see [`crate::moves`].
    pub wrote: Option<&'static str>,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(pipeline: Pipeline, broken: Option<Broken>) -> Self {
        Self {
            pipeline,
            broken,
            jobs: Names::new(),
            tasks: Names::new(),
            shards: Names::new(),
            drives: Names::new(),
            steps: Names::new(),
            decided: Map::default(),
            written: Map::default(),
            changed: Map::default(),
            wrote: None,
        }
    }

    /// How many distinct questions the real `decide` has answered, and how many writes the real `apply`.
    #[must_use]
    pub fn questions(&self) -> (usize, usize) {
        (self.decided.len(), self.written.len())
    }

    /// The number of a job.
    pub fn job(&mut self, job: Job) -> u16 {
        u16::try_from(self.jobs.number(settled_job(job))).expect("fewer than 2^16 jobs")
    }

    /// The job of a number.
    #[must_use]
    pub fn job_at(&self, job: u16) -> &Job {
        self.jobs.value(u32::from(job))
    }

    /// The task's part of a number.
    #[must_use]
    pub fn task_at(&self, task: u16) -> Option<&Task> {
        (task != ABSENT).then(|| self.tasks.value(u32::from(task) - 1))
    }

    fn task(&mut self, task: Task) -> u16 {
        u16::try_from(self.tasks.number(settled_task(task)) + 1).expect("fewer than 2^16 tasks")
    }

    /// The shard of a number.
    #[must_use]
    pub fn shard_at(&self, shard: u16) -> Option<&Shard> {
        (shard != ABSENT).then(|| self.shards.value(u32::from(shard) - 1))
    }

    fn shard(&mut self, mut shard: Shard) -> u16 {
        shard.done.values_mut().for_each(|done| done.at = NOW);
        u16::try_from(self.shards.number(shard) + 1).expect("fewer than 2^16 shards")
    }

    /// Asks the real `decide`, and keeps its answer.
    pub fn decide(&mut self, drive: u32, heard: Heard, is_late: bool) -> (u32, u32) {
        if let Some(answer) = self.decided.get(&(drive, heard, is_late)) {
            return *answer;
        }
        let event = self.event(drive, heard);
        let mut real = self.drives.value(drive).clone();
        let step = decide(&self.pipeline, &mut real, event, now(is_late));
        let answer = (self.drives.number(real), self.steps.number(step));
        self.decided.insert((drive, heard, is_late), answer);
        answer
    }

    fn event(&self, drive: u32, heard: Heard) -> Event {
        let step = self.drives.value(drive).message().task.step();
        let job = |job: u16| Some(Box::new(self.shown(self.job_at(job).clone(), step)));
        let task = |task: u16| self.task_at(task).cloned().map(Box::new);
        let shard = |shard: u16| self.shard_at(shard).cloned().map(|shard| Box::new(self.shown_shard(shard)));
        let commit = |is_written, part: Option<Part>| match (is_written, part) {
            (true, Some(part)) => Commit::Written(part),
            (_, part) => Commit::Overtaken(part),
        };
        match heard {
            Heard::Delivered(receives) => Event::Delivered { receives },
            Heard::Claimed(is_written, seen, loaded) => {
                Event::Claimed { commit: commit(is_written, task(seen).map(Part::Task)), job: job(loaded) }
            }
            Heard::Loaded(loaded, seen, of) => Event::Loaded { job: job(loaded), task: task(seen), shard: shard(of) },
            Heard::JobLoaded(loaded, of) => Event::JobLoaded { job: job(loaded), shard: shard(of) },
            Heard::JobCommitted(is_written, now) => Event::Committed(commit(is_written, job(now).map(Part::Job))),
            Heard::TaskCommitted(is_written, now) => Event::Committed(commit(is_written, task(now).map(Part::Task))),
            Heard::ShardCommitted(is_written, now) => Event::Committed(commit(is_written, shard(now).map(Part::Shard))),
            Heard::Worked => {
                Event::Worked(Output { width: self.pipeline.is_mapped_over(step).then_some(WIDTH), result: None })
            }
            Heard::Failed => Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) },
            Heard::Overloaded => {
                Event::Failed { failure: Failure::overload("Busy", "it has too much to do", None), jitter: Jitter(0) }
            }
            Heard::FailedForGood => Event::Failed { failure: Failure::fail("Bad", "it can't"), jitter: Jitter(0) },
            Heard::TimedOut => Event::TimedOut { jitter: Jitter(0) },
            Heard::Lost(loaded, seen) => Event::Lost { job: job(loaded), task: task(seen) },
            Heard::Stopping => Event::Stopping,
            Heard::Alone => Event::Alone,
            Heard::Crowded => Event::Crowded,
        }
    }

    /// The job as a drive of this step is told of it: as it is, but in the variants that are broken on purpose.
    fn shown(&self, mut job: Job, step: &StepName) -> Job {
        match self.broken {
            Some(Broken::JoinWithoutCondition) => {
                for joined in self.pipeline.steps() {
                    let inputs: Vec<_> = joined.after.iter().map(|input| TaskId::only(input.clone())).collect();
                    if inputs.iter().any(|input| job.done.contains_key(input)) {
                        for input in inputs {
                            job.done.entry(input).or_insert(Done { attempt: 1, at: NOW, width: None, payload: None });
                        }
                    }
                }
            }
            Some(Broken::FirstAttemptTaken) => job.done.values_mut().for_each(|done| done.attempt = 1),
            Some(Broken::NotifiedEarly) if *step == self.pipeline.finalizer().name && job.closings.is_empty() => {
                let verdict = Verdict::Completed;
                (job.status, job.result) = (verdict.status(), None);
                let (task, attempt, error_type, error, result) = (None, None, None, None, None);
                job.closings.push(Closing { verdict, at: NOW, task, attempt, error_type, error, result, refund: None });
            }
            _ => {}
        }
        job
    }

    /// A shard as a drive is told of it: as it is, but in one variant that is broken on purpose.
    fn shown_shard(&self, mut shard: Shard) -> Shard {
        if let (Some(Broken::FoldedEarly), Some(done)) = (self.broken, shard.done.values().next().cloned()) {
            for element in 0..WIDTH {
                shard.done.entry(element).or_insert_with(|| done.clone());
            }
        }
        shard
    }

    /// Carries the write of a step out with the real `apply`, on the part of this number; the answer is kept.
    pub fn write(&mut self, step: u32, current: u16, me: Me) -> Wrote {
        if let Some(wrote) = self.written.get(&(step, current, me)) {
            if let Step::Commit(write) | Step::ClaimBesideLoad(write) = self.steps.value(step) {
                self.wrote = Some(word(write));
            }
            return *wrote;
        }
        let write = match self.steps.value(step) {
            Step::Commit(write) | Step::ClaimBesideLoad(write) => write.clone(),
            other => panic!("no write: {other:?}"),
        };
        let wrote = self.carry_out(write, current, me);
        self.written.insert((step, current, me), wrote);
        wrote
    }

    /// Carries a heartbeat's write out.
    pub fn carry_out_beat(&mut self, write: Write, current: u16, me: Me) -> Wrote {
        if self.broken == Some(Broken::BeatRevives)
            && let Write::Task { set, .. } = in_store(write.clone(), me)
        {
            return Wrote::Task(true, self.task(*set));
        }
        self.carry_out(write, current, me)
    }

    /// Carries a write out that no step asks for.
    pub fn carry_out(&mut self, write: Write, current: u16, me: Me) -> Wrote {
        let mut write = in_store(write, me);
        self.wrote = Some(word(&write));
        if let (Some(Broken::ReleaseCharged), Write::Task { set, .. }) = (self.broken, &mut write) {
            let is_released =
                set.lease.is_none() && set.attempts.last().is_some_and(|a| a.outcome == Outcome::Released);
            set.charged += u32::from(is_released);
        }
        if let (Some(Broken::OverloadCharged), Write::Task { set, .. }) = (self.broken, &mut write) {
            let is_overload =
                set.lease.is_none() && set.attempts.last().is_some_and(|a| a.outcome == Outcome::Overloaded);
            set.charged += u32::from(is_overload);
        }
        if let (Some(Broken::NothingCharged), Write::Task { set, .. }) = (self.broken, &mut write) {
            set.charged = 0;
        }
        if matches!(write, Write::Task { .. }) {
            let part = self.task_at(current).map(|task| Part::Task(Box::new(task.clone())));
            return match (apply(&write, part.as_ref()), write) {
                (Some(Part::Task(task)), _) => Wrote::Task(true, self.task(*task)),
                (None, Write::Task { set, .. }) if self.broken == Some(Broken::NoFence) => {
                    Wrote::Task(true, self.task(*set))
                }
                _ => Wrote::Task(false, current),
            };
        }
        if let Write::RecordElement { .. } | Write::Bury { .. } = write {
            return self.carry_out_in_shard(&write, current);
        }
        if let (Some(Broken::ForgottenWithoutGeneration), Write::Reopen { set, .. }) = (self.broken, &mut write) {
            set.generations.clear();
        }
        let mut job = self.job_at(current).clone();
        if let (
            Some(Broken::RecordBlindToClosing),
            Write::Record { closing, .. } | Write::Fold { closing, .. } | Write::Close { closing, .. },
        ) = (self.broken, &mut write)
        {
            *closing = job.closing;
        }
        if let (Some(Broken::RecordTwice), Write::Record { task, .. }) = (self.broken, &write) {
            job.done.remove(task);
        }
        if let (Some(Broken::CanceledBlindly), Write::Close { entry, .. }) = (self.broken, &write)
            && entry.verdict == Verdict::Canceled
        {
            job.status = JobStatus::Running;
        }
        if let (Some(Broken::ClosedTwice), Write::Record { .. } | Write::Close { .. }) = (self.broken, &write) {
            job.status = JobStatus::Running;
        }
        match apply(&write, Some(&Part::Job(Box::new(job)))) {
            Some(Part::Job(mut job)) => {
                if self.broken == Some(Broken::RedriveWithoutClosing) && matches!(write, Write::Reopen { .. }) {
                    job.closing -= 1;
                }
                Wrote::Job(true, self.job(*job))
            }
            _ => Wrote::Job(false, current),
        }
    }

    /// What the parent of a dead process is about to write of a task that one of its drives held, by the real core, on all
    /// that it reads right after the death; [`ABSENT`] where it leaves the task alone.
    pub fn given_back(&mut self, id: &TaskId, task: u16, job: u16, shard: u16, is_late: bool) -> u16 {
        let Some(part) = self.task_at(task).filter(|task| is_gone(task)) else { return ABSENT };
        let claim = Claim { task: id.clone(), attempt: part.attempt, owner: owner(GONE) };
        let known = Known { job: Some(self.job_at(job)), task: Some(part), shard: self.shard_at(shard) };
        let GivingBack::End { write, .. } =
            give_back_after_crash(&self.pipeline, &claim, known, Jitter(0), now(is_late))
        else {
            return ABSENT;
        };
        let (Write::Task { mut set, .. }, charged) = (*write, part.charged) else { panic!("no end of an attempt") };
        if self.broken == Some(Broken::CrashCharged) && set.charged == charged {
            set.charged += 1;
        }
        self.task(*set)
    }

    /// Carries out what a parent was about to write, on the task's part as it is now; none when it is overtaken.
    pub fn give_back(&mut self, id: &TaskId, left: u16, current: u16) -> Option<u16> {
        let set = self.task_at(left)?.clone();
        self.wrote = Some("crash");
        if self.broken == Some(Broken::GivenBackBlindly) {
            return Some(left);
        }
        let footing = Footing::Mine { attempt: set.attempt, owner: owner(GONE) };
        let write = Write::Task { task: id.clone(), footing, set: Box::new(set) };
        let part = self.task_at(current).map(|task| Part::Task(Box::new(task.clone())));
        apply(&write, part.as_ref()).map(|_| left)
    }

    fn carry_out_in_shard(&mut self, write: &Write, current: u16) -> Wrote {
        let mut shard = self.shard_at(current).cloned();
        if let (Some(Broken::RecordedOnTombstone), Write::RecordElement { .. }, Some(shard)) =
            (self.broken, write, &mut shard)
        {
            shard.closed.clear();
        }
        match apply(write, shard.map(|shard| Part::Shard(Box::new(shard))).as_ref()) {
            Some(Part::Shard(shard)) => Wrote::Shard(true, self.shard(*shard)),
            _ => Wrote::Shard(false, current),
        }
    }

    /// What the write of a step makes of the job as its drive knows it, without what others recorded meanwhile.
    pub fn job_as_known(&mut self, drive: u32, step: u32) -> Option<u16> {
        let known = Part::Job(Box::new(self.drives.value(drive).job()?.clone()));
        let Step::Commit(write) = self.steps.value(step) else { return None };
        match apply(write, Some(&known)) {
            Some(Part::Job(job)) => Some(self.job(*job)),
            _ => None,
        }
    }

    /// The task's part as the drive of this owner sees it.
    pub fn seen_by(&mut self, task: u16, me: Me) -> u16 {
        self.change(task, Change::SeenBy(me))
    }

    /// The task's part once the drive of this owner is gone.
    pub fn gone_of(&mut self, task: u16, me: Me) -> u16 {
        self.change(task, Change::GoneOf(me))
    }

    /// The task's part once its lease has lapsed.
    pub fn lapsed(&mut self, task: u16) -> u16 {
        self.change(task, Change::Lapsed)
    }

    /// The task's part once its wait is over.
    pub fn waited(&mut self, task: u16) -> u16 {
        self.change(task, Change::Waited)
    }

    /// The part of a task that is recorded, or whose job has closed, while no drive is at it: nothing that it holds can
    /// matter any more.
    pub fn spent(&mut self, task: u16) -> u16 {
        self.change(task, Change::Spent)
    }

    /// The task's part with the names of the first two drives swapped.
    pub fn swapped(&mut self, task: u16) -> u16 {
        self.change(task, Change::Swapped)
    }

    fn change(&mut self, number: u16, change: Change) -> u16 {
        if number == ABSENT {
            return ABSENT;
        }
        if let Some(known) = self.changed.get(&(number, change)) {
            return *known;
        }
        let mut task = self.tasks.value(u32::from(number) - 1).clone();
        match change {
            Change::Waited => task.not_before = None,
            Change::Spent => {
                (task.attempt, task.charged, task.released, task.overloaded, task.crashed) = (1, 0, 0, 0, 0);
                (task.lease, task.not_before, task.is_alone) = (None, None, false);
                task.attempts.clear();
            }
            Change::Lapsed | Change::SeenBy(_) | Change::GoneOf(_) | Change::Swapped => {
                if let Some(lease) = &mut task.lease {
                    match change {
                        Change::Lapsed => lease.until = LAPSED,
                        Change::SeenBy(me) => {
                            lease.owner = owner(if lease.owner == me.owner() { "me" } else { "other" });
                        }
                        Change::GoneOf(me) if lease.owner == me.owner() => lease.owner = owner(GONE),
                        Change::Swapped if lease.owner == Me(0).owner() => lease.owner = Me(1).owner(),
                        Change::Swapped if lease.owner == Me(1).owner() => lease.owner = Me(0).owner(),
                        _ => {}
                    }
                }
            }
        }
        let changed = self.task(task);
        self.changed.insert((number, change), changed);
        changed
    }
}

/// A write in a word: how the attempt ended, where it ends one.
fn word(write: &Write) -> &'static str {
    match write {
        Write::Task { set, .. } if set.lease.is_none() => match set.attempts.last().map(|attempt| attempt.outcome) {
            Some(Outcome::Failed) | None => "failure",
            Some(Outcome::TimedOut) => "time-out",
            Some(Outcome::Released) => "release",
            Some(Outcome::Overloaded) => "overload",
            Some(Outcome::Crashed) => "crash",
        },
        Write::Task { footing: Footing::Mine { .. }, .. } => "heartbeat",
        write => write.kind(),
    }
}

/// The time of a decision.
#[must_use]
pub const fn now(is_late: bool) -> Time {
    if is_late { LATE } else { NOW }
}

/// Whether the lease of a task's part is live.
#[must_use]
pub fn is_live(task: &Task) -> bool {
    task.lease.as_ref().is_some_and(|lease| lease.until != LAPSED)
}

/// Whether the lease of a task's part belongs to a drive that is gone.
#[must_use]
pub fn is_gone(task: &Task) -> bool {
    task.lease.as_ref().is_some_and(|lease| lease.owner.as_str() == GONE)
}

/// An owner of this name.
#[must_use]
pub fn owner(name: &str) -> Owner {
    Owner::try_from(name).expect("an owner's name")
}

fn in_store(write: Write, me: Me) -> Write {
    let named = |name: Owner| if name.as_str() == "me" { me.owner() } else { panic!("a drive writes {name}") };
    let Write::Task { task, footing, mut set } = write else { return write };
    let footing = match footing {
        Footing::Mine { attempt, owner } => Footing::Mine { attempt, owner: named(owner) },
        other => other,
    };
    if let Some(lease) = set.lease.take() {
        set.lease = Some(qsketch_core::parts::Lease { owner: named(lease.owner), until: lease.until });
    }
    Write::Task { task, footing, set }
}

/// A task's part with its times set to the three that there are, and of its ended attempts the last.
fn settled_task(mut task: Task) -> Task {
    task.started_at = NOW;
    if let Some(lease) = task.lease.as_mut().filter(|lease| lease.until != LAPSED) {
        lease.until = LIVE;
    }
    if task.not_before.is_some() {
        task.not_before = Some(LATER);
    }
    let excess = task.attempts.len().saturating_sub(1);
    task.attempts.drain(..excess);
    for attempt in &mut task.attempts {
        (attempt.started_at, attempt.ended_at) = (NOW, NOW);
    }
    task
}

/// A job with its times set to the one that there is.
fn settled_job(mut job: Job) -> Job {
    for done in job.done.values_mut() {
        done.at = NOW;
    }
    job.folded.values_mut().for_each(|at| *at = NOW);
    for closing in &mut job.closings {
        closing.at = NOW;
    }
    // Nobody in the model reads when to look after it; of its pauses only whether there are any decides.
    (job.check_shard, job.check_at) = (None, None);
    job.paused = job.paused.filter(|pause| !pause.is_over()).map(|_| Pause { since: Some(NOW), ..Pause::default() });
    job
}
