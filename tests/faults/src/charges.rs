//! What a fault may be charged to: nothing, but an attempt whose own work met it, and one whose lease lapsed.

use std::collections::BTreeMap;

use qsketch_core::{JobId, TaskId, Verdict};
use qsketch_sim::{Fault, Port, Sim};

use crate::points::Point;
use crate::scenes::Scene;

/// The queue to which the finalizer sends as its own work.
const NOTIFICATIONS: &str = "notifications";

/// How many attempts of each task are charged.
pub(crate) type Charges = BTreeMap<(JobId, TaskId), u32>;

pub(crate) fn charges(sim: &Sim) -> Charges {
    let of_job = |job: JobId| {
        let tasks = sim.parts(&job).tasks;
        tasks.into_iter().map(move |(task, part)| ((job.clone(), task), part.charged)).collect::<Vec<_>>()
    };
    sim.jobs().into_iter().flat_map(of_job).filter(|(_, charged)| *charged > 0).collect()
}

/// What a fault may be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Nothing.
    Nothing,
    /// So many attempts: the work itself asked for what failed.
    Exactly(u32),
    /// One attempt of each task that the process had: nobody gave them back, and their leases lapsed.
    OneEach,
    /// So many attempts at most: the work or the shell asked, or the job closed before the attempt had failed.
    AtMost(u32),
}

/// What this fault at this call may be charged. The calls of a step's own work are those on the store, those that read the
/// records of a wide step, and those by which the finalizer sends its event and keeps its refund token.
pub(crate) fn allowed(point: &Point, port: Port, fault: Fault, scene: &Scene) -> Allowed {
    if !point.process.starts_with('w') {
        return Allowed::Nothing;
    }
    match fault {
        Fault::CrashBefore | Fault::CrashAfter if scene.has_parent() => Allowed::Nothing,
        Fault::CrashBefore | Fault::CrashAfter => Allowed::OneEach,
        Fault::Twice | Fault::StaleReceipt => Allowed::Nothing,
        // A job that closes for another reason ends its attempts uncharged, and a redrive forgets those of what it repeats.
        _ if port == Port::Store && scene.verdicts == [Verdict::Completed] => Allowed::Exactly(1),
        _ if port == Port::Store => Allowed::AtMost(1),
        _ if point.kind == "issue" => Allowed::Exactly(1),
        _ if point.kind == "send" && point.target == NOTIFICATIONS => Allowed::AtMost(1),
        _ if point.kind == "load-shards" || point.kind == "load-shard" => Allowed::AtMost(1),
        Fault::Unavailable | Fault::Throttled | Fault::LostReply | Fault::TimedOut | Fault::PartlyRefused => {
            Allowed::Nothing
        }
    }
}

impl Allowed {
    /// What is charged beyond it, where anything is.
    pub(crate) fn beyond(self, reference: &Charges, found: &Charges) -> Option<String> {
        let extra: Vec<(String, u32)> = found
            .iter()
            .map(|(key, charged)| (key, charged.saturating_sub(reference.get(key).copied().unwrap_or(0))))
            .filter(|(_, more)| *more > 0)
            .map(|((job, task), more)| (format!("{task} of {job}"), more))
            .collect();
        let sum: u32 = extra.iter().map(|(_, more)| more).sum();
        let is_right = match self {
            Self::Nothing => sum == 0,
            Self::Exactly(charged) => sum == charged,
            Self::AtMost(charged) => sum <= charged,
            Self::OneEach => extra.iter().all(|(_, more)| *more == 1),
        };
        (!is_right).then(|| format!("it is charged {extra:?}, allowed is {self:?}"))
    }
}
