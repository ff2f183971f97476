//! One simulated world, as everybody in it sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use qsketch_core::{JobId, Pipeline, Task, Time};
use qsketch_runtime::{Ports, QueueName};
use qsketch_sim::{Process, Sim};

use crate::broken::Broken;
use crate::gallery::FINALIZER;
use crate::player::Plays;
use crate::schedule::Schedule;
use crate::witness::Witness;

/// A world: what happens in it, and what was seen of it.
#[derive(Clone)]
pub struct World {
    /// The ports in memory.
    pub sim: Sim,
    /// What happens.
    pub schedule: Arc<Schedule>,
    /// The graph of its jobs.
    pub pipeline: Arc<Pipeline>,
    /// How it is broken, if it is.
    pub broken: Option<Broken>,
    /// What its queues were asked for.
    pub witness: Witness,
    /// What its attempts did.
    pub plays: Plays,
    /// What befell its processes, and what operators did.
    pub events: Arc<Mutex<Vec<Happened>>>,
}

/// Something that happened besides the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Time,
    /// Its kind, to be counted.
    pub kind: &'static str,
    /// To which job, where it was one.
    pub job: Option<JobId>,
    /// What, for a person.
    pub what: String,
    /// How many writes had taken effect by then.
    pub after_commits: usize,
}

impl World {
    pub(crate) fn new(schedule: Schedule, broken: Option<Broken>) -> Self {
        let sim = Sim::new(schedule.seed);
        sim.set_disorder(schedule.disorder);
        if let Some(law) = broken.and_then(Broken::law) {
            sim.set_law(law);
        }
        if let Some(law) = broken.and_then(Broken::roster_law) {
            sim.set_roster_law(law);
        }
        let pipeline = Arc::new(schedule.shape.pipeline());
        let (witness, plays, events) = (Witness::default(), Plays::default(), Arc::default());
        Self { sim, schedule: Arc::new(schedule), pipeline, broken, witness, plays, events }
    }

    /// A process of this name, with what it has of the world outside.
    pub(crate) fn process(&self, name: &str) -> (Process, Ports) {
        let process = self.sim.process(name);
        let ports = self.witness.ports(&self.sim, &process, name);
        (process, ports)
    }

    pub(crate) fn happened(&self, kind: &'static str, job: Option<&JobId>, what: String) {
        let (at, after_commits) = (self.sim.now(), self.sim.commits_made());
        let event = Happened { at, kind, job: job.cloned(), what, after_commits };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Whether a finalizer's attempts are used up.
    #[must_use]
    pub fn is_given_up(&self, finalizer: &Task) -> bool {
        finalizer.lease.is_none() && finalizer.charged >= self.pipeline.finalizer().retry.maximum_attempts
    }

    /// The queues of the steps that have one, the finalizer's included.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueName> {
        let works = self.pipeline.steps().iter().filter(|step| step.wait.is_none());
        works.map(|step| QueueName::new(step.name.as_str())).chain([QueueName::new(FINALIZER)]).collect()
    }

    /// How often each kind of thing happened.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for event in self.events.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *counts.entry(event.kind).or_insert(0) += 1;
        }
        counts
    }
}
