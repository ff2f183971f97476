//! What happens in one simulated world, all drawn from its seed before anything runs.

use core::time::Duration;

use qsketch_core::TaskId;
use qsketch_sim::{Disorder, Order, Random};

use crate::gallery::Shape;
use crate::player::Play;

/// The most jobs of a schedule.
const JOBS_MAX: u64 = 3;

/// Within how many seconds all submissions come.
const SUBMITTED_WITHIN: u64 = 40;

/// Between how many seconds the faults cease.
const CALM_AFTER: (u64, u64) = (30, 200);

/// How long all workers may be away at once, in seconds: long enough for the reconciler to look several times.
const OUTAGE: (u64, u64) = (120, 960);

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What it was drawn from.
    pub seed: u64,
    /// The shape of its jobs' graph.
    pub shape: Shape,
    /// How many elements the list of `a` has.
    pub width: u32,
    /// The submissions.
    pub submissions: Vec<Submission>,
    /// How disorderly the ports are until [`Schedule::calm_at`].
    pub disorder: Disorder,
    /// Until when there are faults, counted from the beginning.
    pub calm_at: Duration,
    /// The worker processes, each with what happens to it.
    pub slots: Vec<Slot>,
    /// What operators do.
    pub acts: Vec<Act>,
    /// How many of the jobs may run at once, where that is capped: they are one tenant's. Only where there is a reconciler.
    pub jobs_max: Option<u32>,
    /// Whether there is a reconciler. Where there is none, nothing happens that only it could mend.
    pub has_reconciler: bool,
    /// The share of attempts that do not succeed, in thousandths.
    pub trouble_permille: u16,
    /// What attempts do where it is not drawn.
    pub script: Option<Script>,
    /// Whether an operator repeats a command until what it asks for is so. Else it is given once.
    pub is_patient: bool,
}

/// What the attempt of this number at a task does, and how long it works; the number of the job's closing is the second.
pub type Script = fn(&TaskId, u32, u32) -> (Play, Duration);

/// A submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// When it is sent.
    pub at: Duration,
    /// Its number; a submission with an id is called after it.
    pub number: u64,
    /// Whether it names an id; without one, its message's id is the job's.
    pub is_named: bool,
    /// When the customer sends the same again; only with an id.
    pub again_at: Option<Duration>,
}

/// A place for a worker process; whoever dies or stops there is followed by another.
#[derive(Clone, Debug)]
pub struct Slot {
    /// What its own draws begin with.
    pub seed: u64,
    /// Whether its processes are crews.
    pub is_crew: bool,
    /// Whether a parent gives back what a dead process had.
    pub has_parent: bool,
    /// What happens to it, in the order of time.
    pub mishaps: Vec<(Duration, Mishap)>,
}

/// What happens to a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// It is told to stop, and followed by another after this time.
    Terminate(Duration),
    /// It is killed, and followed by another after this time.
    Kill(Duration),
    /// It stands still, or has lost its network, for this time.
    Freeze(Duration),
}

/// What an operator does at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Duration,
    /// To which job: the number of one that was made, counted anew from the first.
    pub job: usize,
    /// What.
    pub what: Deed,
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Cancels the job.
    Cancel,
    /// Pauses the job, or this step of it.
    Pause(Option<usize>),
    /// Resumes all of the job.
    Resume,
    /// Redrives the job once it has closed, from what failed or from this step.
    Redrive(Option<usize>),
    /// Sends the job its signal.
    Signal,
    /// Purges this step's queue, or all.
    Purge(Option<usize>),
}

impl Schedule {
    /// The schedule of this seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let random = &mut Random::new(seed ^ STREAM);
        let shape = Shape::ALL[pick(random, Shape::ALL.len())];
        let has_reconciler = shape.waits() || !random.happens(200);
        let calm_at = secs(between(random, CALM_AFTER));
        let (least, most) = shape.widths();
        let width = u32::try_from(between(random, (u64::from(least), u64::from(most)))).unwrap_or(least);
        let submissions = (0..=random.under(JOBS_MAX)).map(|number| Submission::draw(random, number)).collect();
        let is_crashing = random.happens(500);
        let mut slots: Vec<Slot> = (0..2 + random.under(2)).map(|_| Slot::draw(random, calm_at, is_crashing)).collect();
        if has_reconciler && random.happens(60) {
            let (at, away) = (millis(random.under(60_000)), secs(between(random, OUTAGE)));
            slots.iter_mut().for_each(|slot| slot.mishaps.push((at, Mishap::Terminate(away))));
        }
        slots.iter_mut().for_each(|slot| slot.mishaps.sort());
        let acts = if has_reconciler { acts(random, shape, calm_at) } else { Vec::new() };
        let disorder = disorder(random);
        let trouble_permille = if random.happens(600) { 40 + u16::try_from(random.under(260)).unwrap_or(0) } else { 0 };
        let is_capped = has_reconciler && random.happens(350);
        let jobs_max = is_capped.then(|| u32::try_from(1 + random.under(JOBS_MAX - 1)).unwrap_or(1));
        Self {
            seed,
            shape,
            width,
            submissions,
            disorder,
            calm_at,
            slots,
            acts,
            jobs_max,
            has_reconciler,
            trouble_permille,
            script: None,
            is_patient: false,
        }
    }
}

/// Keeps these draws apart from those of the ports, which begin with the seed itself.
const STREAM: u64 = 0x5c4e_d01e_5c4e_d01e;

impl Submission {
    fn draw(random: &mut Random, number: u64) -> Self {
        let at = millis(random.under(SUBMITTED_WITHIN * 1_000));
        let is_named = random.happens(600);
        let again_at = (is_named && random.happens(300)).then(|| at + millis(random.under(60_000)));
        Self { at, number, is_named, again_at }
    }
}

impl Slot {
    fn draw(random: &mut Random, calm_at: Duration, is_crashing: bool) -> Self {
        let (seed, is_crew, has_parent) = (random.next(), random.happens(500), random.happens(600));
        let mut mishaps = Vec::new();
        for _ in 0..random.under(3) {
            let at = within(random, calm_at);
            let away = millis(random.under(20_000));
            mishaps.push((
                at,
                match random.under(3) {
                    0 => Mishap::Terminate(away),
                    1 if is_crashing => Mishap::Kill(away),
                    // Longer than a lease, more often than not.
                    _ => Mishap::Freeze(secs(1) + millis(random.under(40_000))),
                },
            ));
        }
        Self { seed, is_crew, has_parent, mishaps }
    }
}

fn acts(random: &mut Random, shape: Shape, calm_at: Duration) -> Vec<Act> {
    let mut acts = Vec::new();
    let jobs = usize::try_from(JOBS_MAX).unwrap_or(1);
    let mut add = |random: &mut Random, at: Duration, what: Deed| {
        acts.push(Act { at, job: pick(random, jobs), what });
    };
    let steps = shape.pipeline().steps().len();
    let some_step = |random: &mut Random| random.happens(500).then(|| pick(random, steps));
    if random.happens(250) {
        let at = within(random, calm_at);
        add(random, at, Deed::Cancel);
    }
    if random.happens(300) {
        let (at, step) = (within(random, calm_at), some_step(random));
        add(random, at, Deed::Pause(step));
        if random.happens(700) {
            let at = at + millis(random.under(60_000));
            add(random, at, Deed::Resume);
        }
    }
    for _ in 0..random.under(3) {
        let (at, step) = (within(random, calm_at), some_step(random));
        add(random, at, Deed::Redrive(step));
    }
    if shape == Shape::Signal {
        for _ in 0..1 + random.under(3) {
            let at = within(random, calm_at);
            add(random, at, Deed::Signal);
        }
    }
    if random.happens(250) {
        for _ in 0..1 + random.under(3) {
            let (at, step) = (within(random, calm_at), some_step(random));
            add(random, at, Deed::Purge(step));
        }
    }
    acts
}

fn disorder(random: &mut Random) -> Disorder {
    let mut share = |most: u64| if random.happens(600) { u16::try_from(random.under(most)).unwrap_or(0) } else { 0 };
    let (duplicate_permille, delay_permille) = (share(400), share(400));
    let (lost_reply_permille, unavailable_permille) = (share(80), share(80));
    let (throttled_permille, partial_permille, crash_permille) = (share(50), share(80), share(14));
    Disorder {
        latency: Duration::from_millis(2),
        latency_spread: millis(random.under(120)),
        duplicate_permille,
        order: if random.happens(600) { Order::Drawn } else { Order::Sent },
        delay_permille,
        delay_max: secs(1 + random.under(15)),
        lost_reply_permille,
        unavailable_permille,
        throttled_permille,
        partial_permille,
        crash_permille,
    }
}

pub(crate) fn pick(random: &mut Random, of: usize) -> usize {
    usize::try_from(random.under(of as u64)).unwrap_or(0)
}

pub(crate) fn between(random: &mut Random, (least, most): (u64, u64)) -> u64 {
    least + random.under(most - least + 1)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn within(random: &mut Random, span: Duration) -> Duration {
    millis(random.under(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}
