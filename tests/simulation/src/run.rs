//! Runs one schedule: the world begins, things go wrong, the faults cease, and what is left must come to rest.

use core::time::Duration;
use std::collections::BTreeSet;

use qsketch_core::{JobId, TaskId};
use qsketch_intake::INTAKE_QUEUE;
use qsketch_runtime::QueueName;
use qsketch_sim::{Disorder, Fault};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::broken::Broken;
use crate::check::{self, Violation};
use crate::people;
use crate::schedule::Schedule;
use crate::story;
use crate::tally::Tally;
use crate::workers;
use crate::world::World;

/// How often it is looked whether a world is at rest.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// How long a world may take to come to rest once the faults have ceased: a job's hour and that of one redrive, those of
/// the jobs that it waited for, and the looks of the reconciler, which are a quarter of an hour apart at most.
pub const REST_WITHIN: Duration = Duration::from_secs(8 * 3_600);

/// The latency of a call once the faults have ceased.
const CALM_LATENCY: Duration = Duration::from_millis(2);

/// What a schedule came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What broke, in the order in which it is checked; nothing, in a sound world.
    pub violations: Vec<Violation>,
    /// What happened.
    pub tally: Tally,
    /// The SHA-256 of all calls, writes and sends with their times, where it was asked for.
    pub trace: Option<String>,
    /// What happened around the first violation, one line each; empty without one.
    pub story: Vec<String>,
}

/// Whether a run's whole trace is hashed, which takes longer than the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// It is.
    Hashed,
    /// It is not.
    Skipped,
}

/// Runs the schedule of a seed, in a world that may be broken.
///
/// # Panics
/// When the runtime can't be built.
#[must_use]
pub fn run(seed: u64, broken: Option<Broken>, trace: Trace) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread can be built");
    runtime.block_on(async {
        let world = World::new(Schedule::draw(seed), broken);
        let rest = play(&world).await;
        let violations = check::check(&world, rest);
        let trace = (trace == Trace::Hashed).then(|| story::hash(&world));
        let story = violations.first().map(|first| story::tell(&world, first)).unwrap_or_default();
        Outcome { seed, violations, tally: Tally::of(&world), trace, story }
    })
}

/// What a schedule came to in which certain calls went wrong.
pub struct Planned {
    /// What broke; nothing, in a sound world.
    pub violations: Vec<Violation>,
    /// Whether everything came to its end.
    pub is_at_rest: bool,
    /// The world, to be looked at.
    pub world: World,
    /// What happened around the first violation, one line each; empty without one.
    pub story: Vec<String>,
}

/// Runs a schedule in a world that may be broken, with these faults at the calls of these numbers.
///
/// # Panics
/// When the runtime can't be built.
#[must_use]
pub fn run_planned(schedule: Schedule, broken: Option<Broken>, plan: &[(u64, Fault)]) -> Planned {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread can be built");
    runtime.block_on(async {
        let world = World::new(schedule, broken);
        plan.iter().for_each(|(number, fault)| world.sim.fail_call(*number, *fault));
        let rest = play(&world).await;
        let violations = check::check(&world, rest);
        let story = violations.first().map(|first| story::tell(&world, first)).unwrap_or_default();
        Planned { violations, is_at_rest: rest == Rest::Found, world, story }
    })
}

/// Whether a world came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Found,
    NotFound,
}

async fn play(world: &World) -> Rest {
    let schedule = &world.schedule;
    let mut always = Vec::new();
    let mut ending: Vec<JoinHandle<()>> = Vec::new();
    for (number, slot) in schedule.slots.iter().enumerate() {
        always.push(tokio::spawn(workers::keep(world.clone(), number, slot.clone())));
    }
    if schedule.has_reconciler && world.broken != Some(Broken::NoReconciler) {
        always.push(tokio::spawn(people::reconciler(world.clone())));
    }
    for submission in &schedule.submissions {
        ending.push(tokio::spawn(people::submit(world.clone(), submission.clone())));
    }
    for (number, act) in schedule.acts.iter().enumerate() {
        ending.push(tokio::spawn(people::operator(world.clone(), number, act.clone())));
    }
    sleep(schedule.calm_at).await;
    world.sim.set_disorder(Disorder { latency: CALM_LATENCY, ..Disorder::default() });
    let mut rest = Rest::NotFound;
    for _ in 0..REST_WITHIN.as_secs() / LOOK_PERIOD.as_secs() {
        sleep(LOOK_PERIOD).await;
        people::tidy(world).await;
        if ending.iter().all(JoinHandle::is_finished) && is_at_rest(world) {
            rest = Rest::Found;
            break;
        }
    }
    always.iter().for_each(JoinHandle::abort);
    rest
}

/// Whether nothing is left to be done: every submission is a job, every job is closed and notified, every queue is empty.
fn is_at_rest(world: &World) -> bool {
    let is_empty = |queue: &QueueName| world.sim.messages(queue).is_empty();
    let jobs = world.sim.jobs();
    is_empty(&QueueName::new(INTAKE_QUEUE))
        && world.queues().iter().all(is_empty)
        && jobs.len() >= expected(world).len()
        && jobs.iter().all(|job| is_over(world, job))
        && is_vacated(world)
}

/// Whether no job has a place any more.
pub(crate) fn is_vacated(world: &World) -> bool {
    let tenants = world.sim.jobs().into_iter().filter_map(|job| world.sim.parts(&job).job).map(|job| job.tenant);
    tenants.filter_map(|tenant| world.sim.roster(&tenant)).all(|roster| roster.running.is_empty())
}

/// Whether a job is closed and notified. Where nobody looks after it, a notification whose attempts are used up stays so.
pub(crate) fn is_over(world: &World, id: &JobId) -> bool {
    let parts = world.sim.parts(id);
    let Some(job) = parts.job.filter(|job| job.status.is_closed()) else { return false };
    let told = TaskId::closing(world.pipeline.finalizer().name.clone(), job.closing);
    let is_given_up = || parts.tasks.get(&told).is_some_and(|task| world.is_given_up(task));
    job.check_at.is_none() || !world.schedule.has_reconciler && is_given_up()
}

/// The jobs that the submissions make: by the ids that they name and, without one, by those of their messages.
pub(crate) fn expected(world: &World) -> BTreeSet<String> {
    let named = world.schedule.submissions.iter().filter(|submission| submission.is_named).map(people::id_of);
    let [unnamed, _] = &world.witness.seen().submissions;
    named.chain(unnamed.iter().cloned()).collect()
}
