//! Runs a scene once without faults, and then once for each fault at each of its calls.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use qsketch_core::Verdict;
use qsketch_sim::{Call, Fault};
use qsketch_simulation::broken::Broken;
use qsketch_simulation::run::{Planned, run_planned};

use crate::charges::{Charges, allowed, charges};
use crate::points::{Point, points};
use crate::scenes::Scene;

/// How many threads run trials; each trial has one to itself.
const THREADS: usize = 2;

/// A trial that went wrong.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The scene.
    pub scene: &'static str,
    /// The call; none where the run without faults went wrong.
    pub point: Option<Point>,
    /// What went wrong with it.
    pub fault: Option<Fault>,
    /// What was found.
    pub what: Vec<String>,
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.point.as_ref().map_or_else(|| "without a fault".to_owned(), ToString::to_string);
        let fault = self.fault.map(|fault| format!("{fault:?} at ")).unwrap_or_default();
        write!(f, "{}: {fault}{at}:\n  {}", self.scene, self.what.join("\n  "))
    }
}

/// What trials came to.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// How many calls were tried.
    pub points: usize,
    /// How many runs there were, by the kind of the call and the fault.
    pub runs: BTreeMap<(&'static str, String), usize>,
    /// How many of them did not reach the call with its fault: none should.
    pub missed: usize,
    /// What went wrong, in the order of the calls.
    pub caught: Vec<Caught>,
}

impl Sum {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.points += other.points;
        self.missed += other.missed;
        self.caught.extend(other.caught);
        for (key, runs) in other.runs {
            *self.runs.entry(key).or_default() += runs;
        }
    }

    /// How many runs there were.
    #[must_use]
    pub fn all_runs(&self) -> usize {
        self.runs.values().sum()
    }

    /// The runs by the kind of the call, and by the fault, in lines.
    #[must_use]
    pub fn table(&self) -> String {
        let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
        let mut by_fault: BTreeMap<&str, usize> = BTreeMap::new();
        for ((kind, fault), runs) in &self.runs {
            *by_kind.entry(kind).or_default() += runs;
            *by_fault.entry(fault).or_default() += runs;
        }
        let line =
            |all: BTreeMap<&str, usize>| all.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(", ");
        format!("by call: {}\nby fault: {}", line(by_kind), line(by_fault))
    }
}

/// Tries every fault that `wanted` takes at every call of a scene, in a world that may be broken; it ends with the first
/// that is caught where the world is.
#[must_use]
pub fn try_all(scene: &Scene, broken: Option<Broken>, wanted: fn(Fault) -> bool) -> Sum {
    let reference = run_planned(scene.schedule.clone(), broken, &[]);
    let calls = reference.world.sim.calls();
    let wrong = judge(scene, &reference);
    if !wrong.is_empty() {
        let caught = vec![Caught { scene: scene.name, point: None, fault: None, what: wrong }];
        return Sum { caught, ..Sum::default() };
    }
    let charged = charges(&reference.world.sim);
    drop(reference);
    let points = points(&calls, scene.most_alike);
    let trials: Vec<(&Point, Fault)> =
        points.iter().flat_map(|point| point.faults().into_iter().map(move |fault| (point, fault))).collect();
    let trials: Vec<_> = trials.into_iter().filter(|(_, fault)| wanted(*fault)).collect();
    let sum = Mutex::new(Sum { points: points.len(), ..Sum::default() });
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let one_thread = || {
        while let Some((point, fault)) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let (is_reached, what) = try_one(scene, broken, &charged, &calls, point, *fault);
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            *sum.runs.entry((point.kind, format!("{fault:?}"))).or_default() += 1;
            sum.missed += usize::from(!is_reached);
            if !what.is_empty() {
                let point = Some((*point).clone());
                sum.caught.push(Caught { scene: scene.name, point, fault: Some(*fault), what });
                is_over.store(broken.is_some(), Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(one_thread);
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.caught.sort_by_key(|caught| caught.point.as_ref().map(|point| point.number));
    sum
}

/// One run: whether the fault was at the call that was meant, and what went wrong.
fn try_one(
    scene: &Scene,
    broken: Option<Broken>,
    charged: &Charges,
    calls: &[Call],
    point: &Point,
    fault: Fault,
) -> (bool, Vec<String>) {
    let ran = run_planned(scene.schedule.clone(), broken, &[(point.number, fault)]);
    let index = usize::try_from(point.number).unwrap_or(usize::MAX);
    let call = ran.world.sim.calls().into_iter().nth(index);
    let is_reached = call.is_some_and(|call| point.is(&call) && call.fault == Some(fault));
    let mut wrong = judge(scene, &ran);
    if let Some(call) = calls.get(index) {
        let allowed = allowed(point, call.port, fault, scene);
        wrong.extend(allowed.beyond(charged, &charges(&ran.world.sim)));
    }
    (is_reached, wrong)
}

/// What is wrong with how a run ended.
fn judge(scene: &Scene, ran: &Planned) -> Vec<String> {
    let mut wrong: Vec<String> = ran.violations.iter().map(ToString::to_string).collect();
    if !ran.is_at_rest {
        wrong.push("it never comes to rest".to_owned());
    }
    for id in ran.world.sim.jobs() {
        let closings = ran.world.sim.parts(&id).job.map(|job| job.closings).unwrap_or_default();
        let verdicts: Vec<Verdict> = closings.iter().map(|closing| closing.verdict).collect();
        if verdicts != scene.verdicts {
            wrong.push(format!("job {id} closed as {verdicts:?}, and should as {:?}", scene.verdicts));
        }
    }
    wrong
}
