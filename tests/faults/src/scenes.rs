//! The jobs that are run: each way through the product once, as small as shows it.

use core::time::Duration;

use qsketch_core::{TaskId, Verdict};
use qsketch_sim::Disorder;
use qsketch_simulation::gallery::{FINALIZER, Shape};
use qsketch_simulation::player::Play;
use qsketch_simulation::schedule::{Act, Deed, Schedule, Script, Slot, Submission};

/// How long every call takes.
const LATENCY: Duration = Duration::from_millis(2);

/// When whoever looks after what stands still begins: after all that operators do here.
const TIDY_AT: Duration = Duration::from_secs(100);

/// How many elements a list of two shards has that has the default width.
const TWO_SHARDS: u32 = 34;

/// Of the calls of a wide step that are alike but for the element, so many are tried.
const ALIKE_OF_WIDE: u32 = 3;

/// A job, or two, to be run with a fault at each of its calls.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Its name.
    pub name: &'static str,
    /// What happens in it.
    pub schedule: Schedule,
    /// How each of its jobs closes, in the order of its closings.
    pub verdicts: &'static [Verdict],
    /// Of calls that are alike but for the element, how many are tried.
    pub most_alike: u32,
}

impl Scene {
    /// The same scene where nobody gives back what a dead process had.
    #[must_use]
    pub fn without_parent(mut self) -> Self {
        self.schedule.slots.iter_mut().for_each(|slot| slot.has_parent = false);
        self
    }

    /// The same scene without a reconciler.
    #[must_use]
    pub const fn without_reconciler(mut self) -> Self {
        self.schedule.has_reconciler = false;
        self
    }

    /// Whether a parent gives back what a dead process had.
    #[must_use]
    pub fn has_parent(&self) -> bool {
        self.schedule.slots.iter().all(|slot| slot.has_parent)
    }
}

/// All scenes.
#[must_use]
pub fn all() -> Vec<Scene> {
    let completed: &[Verdict] = &[Verdict::Completed];
    let act = |at, what| Act { at: Duration::from_secs(at), job: 0, what };
    let mut scenes = vec![
        scene("straight", Shape::Line, completed, prompt, &[]),
        scene("diamond", Shape::Diamond, completed, prompt, &[]),
        scene("map", Shape::Narrow, completed, prompt, &[]),
        scene("map in shards", Shape::Sharded, completed, prompt, &[]),
        scene("two maps over one list", Shape::Twice, completed, prompt, &[]),
        scene("light", Shape::Light, completed, prompt, &[]),
        scene("unclaimed", Shape::Unclaimed, completed, prompt, &[]),
        scene("timer", Shape::Timer, completed, prompt, &[]),
        scene("heartbeats", Shape::Line, completed, slow, &[]),
        scene("approve", Shape::Signal, completed, prompt, &[act(20, Deed::Signal)]),
        scene("approve early", Shape::Signal, completed, slow, &[act(1, Deed::Signal)]),
        scene("fail", Shape::Line, &[Verdict::Failed], fail_b, &[]),
        scene("fail in a map", Shape::Sharded, &[Verdict::Failed], fail_b, &[]),
        scene(
            "redrive",
            Shape::Line,
            &[Verdict::Failed, Verdict::Completed],
            fail_b_first,
            &[act(30, Deed::Redrive(None))],
        ),
        scene(
            "redrive from a step",
            Shape::Sharded,
            &[Verdict::Failed, Verdict::Completed],
            fail_b_first,
            &[act(30, Deed::Redrive(Some(0)))],
        ),
        scene("cancel", Shape::Signal, &[Verdict::Canceled], prompt, &[act(10, Deed::Cancel)]),
        scene("cancel at work", Shape::Line, &[Verdict::Canceled], hang_b, &[act(10, Deed::Cancel)]),
        scene("pause and resume", Shape::Line, completed, slow, &[act(5, Deed::Pause(None)), act(40, Deed::Resume)]),
        scene("purge", Shape::Line, completed, slow, &[act(15, Deed::Purge(None))]),
    ];
    let mut capped = scene("one place for two jobs", Shape::Line, completed, prompt, &[]);
    let second = Submission { number: 1, ..capped.schedule.submissions[0].clone() };
    capped.schedule.submissions.push(second);
    capped.schedule.jobs_max = Some(1);
    let mut wide = scene("wide", Shape::Wide, completed, prompt, &[]);
    (wide.schedule.width, wide.most_alike) = (TWO_SHARDS, ALIKE_OF_WIDE);
    scenes.extend([capped, wide]);
    scenes
}

/// A scene of one job.
#[must_use]
pub fn scene(name: &'static str, shape: Shape, verdicts: &'static [Verdict], script: Script, acts: &[Act]) -> Scene {
    let slot = Slot { seed: 1, is_crew: false, has_parent: true, mishaps: Vec::new() };
    let submission = Submission { at: Duration::ZERO, number: 0, is_named: true, again_at: None };
    let width = if matches!(shape, Shape::Sharded | Shape::Twice) { 3 } else { 2 };
    let schedule = Schedule {
        seed: 1,
        shape,
        width,
        submissions: vec![submission],
        disorder: Disorder { latency: LATENCY, ..Disorder::default() },
        calm_at: if acts.is_empty() { Duration::from_secs(1) } else { TIDY_AT },
        slots: vec![slot],
        acts: acts.to_vec(),
        has_reconciler: true,
        trouble_permille: 0,
        jobs_max: None,
        script: Some(script),
        is_patient: true,
    };
    Scene { name, schedule, verdicts, most_alike: u32::MAX }
}

/// Every attempt succeeds within a moment.
#[must_use]
pub const fn prompt(_: &TaskId, _: u32, _: u32) -> (Play, Duration) {
    (Play::Succeed, Duration::from_millis(50))
}

/// Every attempt succeeds and takes longer than a lease: it lives by its heartbeats.
#[must_use]
pub const fn slow(_: &TaskId, _: u32, _: u32) -> (Play, Duration) {
    (Play::Succeed, Duration::from_secs(11))
}

/// `b` fails for good, or its first element where it is mapped.
#[must_use]
pub fn fail_b(task: &TaskId, _: u32, _: u32) -> (Play, Duration) {
    let fails = task.step().as_str() == "b" && matches!(task.to_string().as_str(), "b" | "b#0");
    (if fails { Play::FailForGood } else { Play::Succeed }, Duration::from_millis(50))
}

/// The same, until the job has been redriven.
#[must_use]
pub fn fail_b_first(task: &TaskId, closing: u32, attempt: u32) -> (Play, Duration) {
    let is_finalizer = task.step().as_str() == FINALIZER;
    if closing == 0 && !is_finalizer { fail_b(task, closing, attempt) } else { prompt(task, closing, attempt) }
}

/// `b` is at work until it is told to end.
#[must_use]
pub fn hang_b(task: &TaskId, closing: u32, attempt: u32) -> (Play, Duration) {
    if task.step().as_str() == "b" { (Play::Hang, Duration::ZERO) } else { prompt(task, closing, attempt) }
}
