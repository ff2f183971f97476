//! The cap on a tenant's jobs: a model of its own, beside that of one job, over the real [`tenant::apply`] and
//! [`tenant::plan`].
//!
//! ```text
//!   intake (per job)      create QUEUED ─► Enter ─┬─► Start
//!                                                 └─► Queue ─► [room] ask the index ─► Admit, Start …
//!   finalizer (per job)   Leave ─► [queue, room] ask the index ─► Admit, Start …
//!   reconciler            load the roster ─► how are its jobs? ─► ask the index ─► Leave, Start, Admit, Unqueue … ─► Look
//!   index                 shows a job as it is later, and a queued one that has begun a while longer
//!   person                cancels a job that is queued
//! ```
//! Each arrow is a step of its own, and a crash may come before each; the message of whoever died comes back. What a job
//! does between its start and its closing is the other models'.

use std::collections::BTreeSet;

use qsketch_core::tenant::{self, Deed, Known};
use qsketch_core::{JobId, JobStatus, Roster, RosterWrite, Tenant, Time};
use stateright::{Model, Property};

/// The most jobs that there are.
const JOBS: usize = 3;

/// A time by which every queue has settled.
const LATE: Time = Time(1_000_000_000);

/// A way in which the model is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A job that has a place and was not started is taken for one that nobody will start, and leaves.
    QueuedLeaves,
    /// A newcomer that may not enter says nothing.
    QueuesSilently,
    /// A queue counts as empty as soon as the index shows none.
    UnqueuesAtOnce,
    /// The end of looking stands on nothing but the time of the look.
    LookEndsBlindly,
    /// The start stands on nothing.
    StartsBlindly,
    /// A job enters whatever there is room for.
    EntersBlindly,
    /// Whoever admits a job leaves the looking as it is.
    AdmitsUnseen,
}

impl Broken {
    /// Every way.
    pub const ALL: [Self; 7] = [
        Self::QueuedLeaves,
        Self::QueuesSilently,
        Self::UnqueuesAtOnce,
        Self::LookEndsBlindly,
        Self::StartsBlindly,
        Self::EntersBlindly,
        Self::AdmitsUnseen,
    ];
}

/// What a process is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing: it has no message.
    Idle,
    /// It takes a place for the job.
    Enter,
    /// It says that the job is queued.
    Queue,
    /// It gives up the job's place.
    Leave,
    /// It looks how the jobs of this roster are.
    Know(Roster),
    /// It asks the index, and plans.
    Ask(Roster, Vec<(JobId, Option<JobStatus>)>),
    /// It carries these out.
    Do(Vec<Todo>),
}

/// A call that is left to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Todo {
    /// A write of the roster; where it is refused, the rest is left.
    Roster(RosterWrite),
    /// The start of this job.
    Start(usize),
    /// The end of a look that began when the roster was to be looked after then; and whether it ends the looking, by what
    /// the process saw of the roster last.
    Look(Time, bool),
}

/// The state of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The jobs as they are; none that was not made.
    pub jobs: [Option<JobStatus>; JOBS],
    /// Whether the index shows them as queued.
    shown: [bool; JOBS],
    roster: Option<Roster>,
    /// The processes: an intake and a finalizer for each job, and the reconciler.
    intakes: [Phase; JOBS],
    finalizers: [Phase; JOBS],
    reconciler: Phase,
    /// The time, which goes on by one with each job that is queued.
    now: u64,
    /// How many crashes are left.
    crashes: u8,
    /// What broke.
    broken: Option<&'static str>,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A submission is delivered: the job is made, if it is not there.
    Deliver(usize),
    /// An intake, a finalizer or the reconciler takes its next step.
    Intake(usize),
    /// The finalizer of this job.
    Finalizer(usize),
    /// The reconciler.
    Reconciler,
    /// The same, where it asks, so long after a job was queued last that each must be shown.
    ReconcilerLate,
    /// One of these dies before it; its message comes back.
    IntakeDies(usize),
    /// The finalizer of this job.
    FinalizerDies(usize),
    /// The reconciler.
    ReconcilerDies,
    /// The reconciler's turn comes.
    Turn,
    /// The index shows this job as it is.
    Shows(usize),
    /// A job that runs closes, and is told of.
    Closes(usize),
    /// Somebody cancels a job that is queued.
    Withdraw(usize),
}

/// The model: how many jobs there are, how many may run, how many crashes there are, and how it is broken.
#[derive(Clone, Copy, Debug)]
pub struct Tenants {
    /// How many jobs are submitted, at most three.
    pub jobs: usize,
    /// The cap.
    pub jobs_max: u32,
    /// How many crashes there may be.
    pub crashes: u8,
    /// How it is broken, if it is.
    pub broken: Option<Broken>,
}

/// The promises, as they are told.
pub const CAP: &str = "no more jobs run than may";
/// Each job that was queued ends, though nothing but sweeps comes from here on.
pub const BEGINS: &str = "every job that is queued begins, by sweeps alone";
/// A job that was withdrawn never runs.
pub const STAYS: &str = "a job that was withdrawn never begins";

fn name(job: usize) -> JobId {
    JobId::try_from(format!("j{job}")).expect("a name of two letters is a job's id")
}

fn number(job: &JobId) -> usize {
    (0..JOBS).find(|number| name(*number) == *job).expect("a job of the model")
}

fn owner() -> Tenant {
    Tenant::try_from("t").expect("a letter is a tenant")
}

impl Tenants {
    fn write(self, state: &mut State, write: &RosterWrite) -> bool {
        let current = state.roster.as_ref();
        let next = match (self.broken, write) {
            (Some(Broken::EntersBlindly), RosterWrite::Enter { job, check_at, .. }) => {
                let wide = RosterWrite::Enter { job: job.clone(), jobs_max: u32::MAX, check_at: *check_at };
                let jobs_max = self.jobs_max;
                tenant::apply(&owner(), &wide, current).map(|roster| Roster { jobs_max, ..roster })
            }
            (Some(Broken::AdmitsUnseen), RosterWrite::Admit { .. }) => {
                let looked = current.map(|roster| (roster.check_at, roster.check_shard.clone()));
                let next = tenant::apply(&owner(), write, current);
                next.zip(looked).map(|(roster, (check_at, check_shard))| Roster { check_at, check_shard, ..roster })
            }
            (Some(Broken::LookEndsBlindly), RosterWrite::Look { seen, next: None }) => {
                let current = current.filter(|roster| roster.check_at == Some(*seen)).cloned();
                current.map(|roster| Roster { check_at: None, check_shard: None, ..roster })
            }
            _ => tenant::apply(&owner(), write, current),
        };
        let is_written = next.is_some();
        if is_written {
            state.roster = next;
        }
        is_written
    }

    fn start(self, state: &mut State, job: usize) {
        let is_blind = self.broken == Some(Broken::StartsBlindly);
        match state.jobs[job] {
            Some(JobStatus::Queued) => {}
            Some(status) if status.is_closed() && is_blind => state.broken = Some(STAYS),
            _ => return,
        }
        state.jobs[job] = Some(JobStatus::Running);
        let running = state.jobs.iter().filter(|status| **status == Some(JobStatus::Running)).count();
        if running > self.jobs_max as usize {
            state.broken = Some(CAP);
        }
    }

    /// What the plan for this roster is, as calls.
    fn plan(self, state: &State, roster: &Roster, known: &Known, own: Option<usize>, is_late: bool) -> Vec<Todo> {
        let is_shown = |job: &usize| state.shown[*job] || own == Some(*job);
        let queued: Vec<JobId> = (0..JOBS).filter(is_shown).map(name).collect();
        let mut known = known.clone();
        if self.broken == Some(Broken::QueuedLeaves) {
            known.values_mut().filter(|status| **status == Some(JobStatus::Queued)).for_each(|status| *status = None);
        }
        let is_settled = is_late || self.broken == Some(Broken::UnqueuesAtOnce);
        let now = if is_settled { LATE } else { Time(state.now) };
        let mut todo = Vec::new();
        for deed in tenant::plan(roster, &known, &queued, now) {
            match deed {
                Deed::Leave(jobs) => todo.push(Todo::Roster(RosterWrite::Leave { jobs })),
                Deed::Start(job) => todo.push(Todo::Start(number(&job))),
                Deed::Admit(job) => {
                    let start = Todo::Start(number(&job));
                    todo.extend([Todo::Roster(tenant::admit(&job, Time(0))), start]);
                }
                Deed::Unqueue(seen) => todo.push(Todo::Roster(RosterWrite::Unqueue { seen })),
            }
        }
        todo
    }

    /// One call of a process; what it does next.
    fn step(self, state: &mut State, phase: Phase, job: Option<usize>, is_late: bool) -> Phase {
        let idle = Phase::Idle;
        match phase {
            Phase::Idle => idle,
            Phase::Enter => {
                let Some(job) = job.filter(|job| state.jobs[*job] == Some(JobStatus::Queued)) else { return idle };
                if self.write(state, &tenant::enter(&name(job), self.jobs_max, Time(0))) {
                    return Phase::Do(vec![Todo::Start(job)]);
                }
                if self.broken == Some(Broken::QueuesSilently) { idle } else { Phase::Queue }
            }
            Phase::Queue => {
                state.now += 1;
                let RosterWrite::Queue { check_at, .. } = tenant::queue(self.jobs_max, Time(0)) else { unreachable!() };
                self.write(state, &RosterWrite::Queue { jobs_max: self.jobs_max, at: Time(state.now), check_at });
                match state.roster.clone().filter(|roster| roster.room() > 0) {
                    Some(roster) => Phase::Ask(roster, Vec::new()),
                    None => idle,
                }
            }
            Phase::Leave => {
                let Some(job) = job else { return idle };
                self.write(state, &RosterWrite::Leave { jobs: BTreeSet::from([name(job)]) });
                match state.roster.clone().filter(|roster| roster.queued_at.is_some() && roster.room() > 0) {
                    Some(roster) => Phase::Ask(roster, Vec::new()),
                    None => idle,
                }
            }
            Phase::Know(roster) => {
                let known = roster.running.iter().map(|job| (job.clone(), state.jobs[number(job)])).collect();
                Phase::Ask(roster, known)
            }
            Phase::Ask(roster, known) => {
                let own = job.filter(|job| state.jobs[*job] == Some(JobStatus::Queued));
                let mut todo = self.plan(state, &roster, &known.into_iter().collect(), own, is_late);
                if let (None, Some(seen)) = (job, roster.check_at) {
                    todo.push(Todo::Look(seen, tenant::next_look(&roster, seen).is_none()));
                }
                Phase::Do(todo)
            }
            Phase::Do(mut todo) => {
                if todo.is_empty() {
                    return idle;
                }
                match todo.remove(0) {
                    Todo::Roster(write) => {
                        let is_admission = matches!(write, RosterWrite::Admit { .. });
                        if !self.write(state, &write) && is_admission {
                            // There is no room any more: the rest of the plan is left, but for the end of the look.
                            todo.retain(|todo| matches!(todo, Todo::Look(..)));
                        }
                        let seen = state.roster.as_ref();
                        let now = seen.is_none_or(|roster| tenant::next_look(roster, Time(0)).is_none());
                        todo.iter_mut().for_each(|todo| {
                            if let Todo::Look(_, is_quiet) = todo {
                                *is_quiet = now;
                            }
                        });
                    }
                    Todo::Start(job) => {
                        self.start(state, job);
                        if state.jobs[job].is_none_or(JobStatus::is_closed) {
                            let jobs = BTreeSet::from([name(job)]);
                            todo.insert(0, Todo::Roster(RosterWrite::Leave { jobs }));
                        }
                    }
                    Todo::Look(seen, is_quiet) => {
                        // There is one reconciler: that the next look has the time of this one misleads nobody, and keeps
                        // the states few.
                        let next = (!is_quiet).then_some(seen);
                        self.write(state, &RosterWrite::Look { seen, next });
                    }
                }
                if todo.is_empty() { idle } else { Phase::Do(todo) }
            }
        }
    }

    /// Whether every job ends where nothing comes from here on but sweeps and the ends of those that run.
    fn ends(self, state: &State) -> bool {
        let mut state = state.clone();
        for _ in 0..4 * JOBS {
            for job in 0..JOBS {
                let is_queued = state.jobs[job] == Some(JobStatus::Queued);
                state.shown[job] = is_queued;
                if state.jobs[job] == Some(JobStatus::Running) {
                    state.jobs[job] = Some(JobStatus::Completed);
                }
            }
            let Some(roster) = state.roster.clone().filter(|roster| roster.check_at.is_some()) else { break };
            let mut phase = Phase::Know(roster);
            while phase != Phase::Idle {
                phase = self.step(&mut state, phase, None, true);
            }
        }
        let is_empty = state.roster.as_ref().is_none_or(|roster| roster.running.is_empty());
        is_empty && state.jobs.iter().all(|status| status.is_none_or(JobStatus::is_closed))
    }

    /// Whether nobody has anything in hand.
    fn is_quiet(state: &State) -> bool {
        let mut phases = state.intakes.iter().chain(&state.finalizers).chain([&state.reconciler]);
        phases.all(|phase| *phase == Phase::Idle)
    }
}

impl Model for Tenants {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        const IDLE: Phase = Phase::Idle;
        vec![State {
            jobs: [None; JOBS],
            shown: [false; JOBS],
            roster: None,
            intakes: [IDLE; JOBS],
            finalizers: [IDLE; JOBS],
            reconciler: IDLE,
            now: 0,
            crashes: self.crashes,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let dies = state.crashes > 0;
        for job in 0..self.jobs {
            // In their order: a later one is not delivered before an earlier one is made.
            let is_next = job == 0 || state.jobs[job - 1].is_some();
            if state.jobs[job].is_none() && is_next {
                actions.push(Action::Deliver(job));
            }
            if state.intakes[job] != Phase::Idle {
                actions.push(Action::Intake(job));
                actions.extend(dies.then_some(Action::IntakeDies(job)));
            }
            if state.finalizers[job] != Phase::Idle {
                actions.push(Action::Finalizer(job));
                actions.extend(dies.then_some(Action::FinalizerDies(job)));
            }
            let is_queued = state.jobs[job] == Some(JobStatus::Queued);
            if state.shown[job] != is_queued {
                actions.push(Action::Shows(job));
            }
            if state.jobs[job] == Some(JobStatus::Running) {
                actions.push(Action::Closes(job));
            }
            // One may be canceled: which one makes no difference.
            if is_queued && job == 1 {
                actions.push(Action::Withdraw(job));
            }
        }
        match &state.reconciler {
            Phase::Idle => {
                if state.roster.as_ref().is_some_and(|roster| roster.check_at.is_some()) {
                    actions.push(Action::Turn);
                }
            }
            phase => {
                actions.push(Action::Reconciler);
                let shows = |job: usize| state.shown[job] || state.jobs[job] != Some(JobStatus::Queued);
                if matches!(phase, Phase::Ask(roster, _) if roster.queued_at.is_some()) && (0..JOBS).all(shows) {
                    actions.push(Action::ReconcilerLate);
                }
                actions.extend(dies.then_some(Action::ReconcilerDies));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Deliver(job) => {
                next.jobs[job] = Some(JobStatus::Queued);
                next.intakes[job] = Phase::Enter;
            }
            Action::Intake(job) => {
                next.intakes[job] = self.step(&mut next, state.intakes[job].clone(), Some(job), false)
            }
            Action::Finalizer(job) => {
                next.finalizers[job] = self.step(&mut next, state.finalizers[job].clone(), Some(job), false);
            }
            Action::Reconciler | Action::ReconcilerLate => {
                let is_late = action == Action::ReconcilerLate;
                next.reconciler = self.step(&mut next, state.reconciler.clone(), None, is_late);
            }
            Action::IntakeDies(job) => next.intakes[job] = Phase::Enter,
            Action::FinalizerDies(job) => next.finalizers[job] = Phase::Leave,
            Action::ReconcilerDies => next.reconciler = Phase::Idle,
            Action::Turn => next.reconciler = Phase::Know(state.roster.clone()?),
            Action::Shows(job) => next.shown[job] = state.jobs[job] == Some(JobStatus::Queued),
            Action::Closes(job) => {
                next.jobs[job] = Some(JobStatus::Completed);
                next.finalizers[job] = Phase::Leave;
            }
            Action::Withdraw(job) => {
                next.jobs[job] = Some(JobStatus::Canceled);
                next.finalizers[job] = Phase::Leave;
            }
        }
        if matches!(action, Action::IntakeDies(_) | Action::FinalizerDies(_) | Action::ReconcilerDies) {
            next.crashes -= 1;
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CAP, |_: &Self, state: &State| state.broken != Some(CAP)),
            Property::always(STAYS, |_: &Self, state: &State| state.broken != Some(STAYS)),
            Property::always(BEGINS, |model: &Self, state: &State| !Self::is_quiet(state) || model.ends(state)),
        ]
    }
}
