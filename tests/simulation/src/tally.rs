//! How much of everything happened, so that it is seen that it did.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use qsketch_core::Write;
use qsketch_sim::{EPOCH, Order};

use crate::world::World;

/// Counts by name, which sum up over schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

/// What must happen at least once in many schedules, or they show less than they claim.
pub const MUST_HAPPEN: [&str; 51] = [
    "act cancel",
    "act pause",
    "act purge",
    "act redrive",
    "act refused",
    "act resume",
    "act signal",
    "act submitted-again",
    "closing CANCELED",
    "closing COMPLETED",
    "closing FAILED",
    "closing TIMED_OUT",
    "fault CrashAfter",
    "fault CrashBefore",
    "fault LostReply",
    "fault Throttled",
    "fault Unavailable",
    "fault at claim",
    "fault at close",
    "fault at delete",
    "fault at hide",
    "fault at hold",
    "fault at record",
    "fault at send",
    "message duplicated",
    "message redelivered",
    "mishap crash",
    "mishap freeze",
    "mishap give-back",
    "mishap kill",
    "mishap mended",
    "mishap operator-died",
    "mishap terminate",
    "play Fail",
    "play FailForGood",
    "play Hang",
    "play Overload",
    "play Panic",
    "play Succeed",
    "play dropped",
    "schedule with delays",
    "schedule with reordering",
    "schedule with refusals of single messages",
    "schedule without a reconciler",
    "shape Light",
    "shape Sharded",
    "shape Twice",
    "shape Unclaimed",
    "write bury",
    "write fold",
    "write reopen",
];

impl Tally {
    /// What happened in a world.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let mut tally = Self::default();
        let schedule = &world.schedule;
        tally.add("schedules", 1);
        tally.add(&format!("shape {:?}", schedule.shape), 1);
        let disorder = &schedule.disorder;
        tally.add("schedule with delays", u64::from(disorder.delay_permille > 0));
        tally.add("schedule with reordering", u64::from(disorder.order == Order::Drawn));
        tally.add("schedule with refusals of single messages", u64::from(disorder.partial_permille > 0));
        tally.add("schedule without a reconciler", u64::from(!schedule.has_reconciler));
        for call in world.sim.calls() {
            tally.add("calls", 1);
            if let Some(fault) = call.fault {
                tally.add(&format!("fault {fault:?}"), 1);
                tally.add(&format!("fault at {}", call.kind), 1);
            }
        }
        for (kind, count) in world.counts() {
            let is_act = matches!(
                kind,
                "cancel" | "pause" | "purge" | "redrive" | "refused" | "resume" | "signal" | "submitted-again"
            );
            tally.add(&format!("{} {kind}", if is_act { "act" } else { "mishap" }), count);
        }
        let seen = world.witness.seen();
        tally.add("message duplicated", seen.duplicates);
        tally.add("message redelivered", seen.redeliveries);
        for played in world.plays.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tally.add("attempts begun", 1);
            tally.add(&format!("play {:?}", played.play), 1);
            tally.add("play dropped", u64::from(!played.is_returned));
        }
        for commit in world.sim.commits() {
            match &commit.write {
                Write::Fold { .. } | Write::Bury { .. } | Write::Reopen { .. } => {
                    tally.add(&format!("write {}", commit.write.kind()), 1);
                }
                Write::CreateJob(_) => tally.add("jobs", 1),
                _ => {}
            }
        }
        for job in world.sim.jobs() {
            for closing in world.sim.parts(&job).job.map(|job| job.closings).unwrap_or_default() {
                tally.add(&format!("closing {}", closing.verdict.status().as_str()), 1);
            }
        }
        tally.add("simulated minutes", world.sim.now().since(EPOCH).as_secs() / 60);
        tally
    }

    /// Adds another one.
    pub fn sum(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, count)| self.add(name, *count));
    }

    /// How often a thing happened.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// What never happened of what must.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        MUST_HAPPEN.into_iter().filter(|name| self.count(name) == 0).collect()
    }

    fn add(&mut self, name: &str, count: u64) {
        match self.0.get_mut(name) {
            Some(sum) => *sum += count,
            None => {
                self.0.insert(name.to_owned(), count);
            }
        }
    }
}

impl core::fmt::Display for Tally {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (name, count) in self.0.iter().filter(|(_, count)| **count > 0) {
            writeln!(f, "{count:>12}  {name}")?;
        }
        Ok(())
    }
}
