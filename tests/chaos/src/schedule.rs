//! What goes wrong when, drawn from a seed.

use core::time::Duration;

use qsketch_sim::Random;

use crate::graph::{LEASE, MAKE, Plan};
use crate::slots::SLOTS;
use crate::worker::RECONCILER;

/// The pause between two faults.
const PAUSE_MS: (u64, u64) = (250, 1_100);

/// How much longer than a lease what stands still does so, at least and at most.
const BEYOND_LEASE_MS: (u64, u64) = (1_500, 5_000);

/// How much time of faults has one purge of the queues.
const PURGE_PERIOD: Duration = Duration::from_secs(60);

/// How many submissions of 1,000 come twice.
const TWICE: u16 = 150;

/// What goes wrong with a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// `kill -9` of the process that works.
    KillChild,
    /// `kill -9` of its parent.
    KillParent,
    /// The machine is gone, with all processes and its disk.
    LoseMachine,
    /// The process that works stands still for longer than a lease.
    StopChild,
    /// The parent does.
    StopParent,
    /// Everything on the machine does.
    StopMachine,
    /// It is told to stop, and started again.
    Terminate,
    /// Its disk is full for a while.
    FillDisk,
    /// Its clock is set off for a while.
    SetClock,
}

impl Deed {
    /// Its name, as it is counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillChild => "kill -9 of a worker",
            Self::KillParent => "kill -9 of a parent",
            Self::LoseMachine => "a machine lost",
            Self::StopChild => "a worker stopped for longer than a lease",
            Self::StopParent => "a parent stopped for longer than a lease",
            Self::StopMachine => "a machine stopped for longer than a lease",
            Self::Terminate => "SIGTERM",
            Self::FillDisk => "a full disk",
            Self::SetClock => "a clock set off",
        }
    }
}

/// How often each of them is drawn, of 100.
const SHARES: [(Deed, u64); 9] = [
    (Deed::KillChild, 26),
    (Deed::KillParent, 12),
    (Deed::LoseMachine, 10),
    (Deed::StopChild, 12),
    (Deed::StopParent, 4),
    (Deed::StopMachine, 10),
    (Deed::Terminate, 14),
    (Deed::FillDisk, 6),
    (Deed::SetClock, 6),
];

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When, from the beginning on.
    pub at: Duration,
    /// Of which slot; the next one that is whole takes its place.
    pub slot: usize,
    /// What.
    pub deed: Deed,
    /// For how long.
    pub lasts: Duration,
    /// A number for whatever else is to be drawn.
    pub draw: u64,
}

/// A submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// When.
    pub at: Duration,
    /// The job's id, which tells its plan.
    pub id: String,
    /// Whether it comes twice.
    pub is_twice: bool,
}

/// All that is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The faults of workers, in their order.
    pub faults: Vec<Planned>,
    /// When the queues are purged.
    pub purges: Vec<Duration>,
    /// The submissions, in their order.
    pub submissions: Vec<Submission>,
}

impl Schedule {
    /// The schedule of a seed: so many jobs, and faults for that long.
    #[must_use]
    pub fn drawn(seed: u64, jobs: u32, span: Duration) -> Self {
        let mut random = Random::new(seed);
        let between =
            |random: &mut Random, (least, most): (u64, u64)| Duration::from_millis(least + random.under(most - least));
        let submissions = (0..jobs).map(|number| {
            // The last fifth of the time has no new jobs.
            let at = span * 4 / 5 * number / jobs.max(1);
            let id = format!("{}-{seed}-{number}", Plan::drawn(random.under(100)));
            Submission { at, id, is_twice: random.happens(TWICE) }
        });
        let submissions = submissions.collect();
        let workers: Vec<&str> = SLOTS.iter().flat_map(|(service, count)| vec![*service; *count]).collect();
        let (mut faults, mut at) = (Vec::new(), between(&mut random, PAUSE_MS) * 3);
        while at < span {
            let slot = usize::try_from(random.under(workers.len() as u64)).unwrap_or_default();
            let deed = drawn(&mut random);
            let lasts = LEASE + between(&mut random, BEYOND_LEASE_MS);
            // A disk that is full, and a clock that is off, are for those that run tools; the reconciler has no parent.
            let is_fit = match deed {
                Deed::FillDisk => workers[slot] == MAKE,
                Deed::SetClock => workers[slot] != RECONCILER,
                _ => true,
            };
            let deed = if is_fit { deed } else { Deed::KillChild };
            faults.push(Planned { at, slot, deed, lasts, draw: random.next() });
            at += between(&mut random, PAUSE_MS);
        }
        // Early in its period: what is purged is sent again after minutes.
        let purges = u32::try_from(span.as_millis().div_ceil(PURGE_PERIOD.as_millis())).unwrap_or(1);
        let purges = (0..purges).map(|number| span * (10 * number + 3) / (10 * purges)).collect();
        Self { faults, purges, submissions }
    }
}

fn drawn(random: &mut Random) -> Deed {
    let mut number = random.under(100);
    for (deed, share) in SHARES {
        match number.checked_sub(share) {
            Some(rest) => number = rest,
            None => return deed,
        }
    }
    Deed::KillChild
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_schedule_and_every_deed_has_its_share() {
        let drawn = |seed| Schedule::drawn(seed, 40, Duration::from_secs(600));
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<u64>(), 100);
        let schedule = drawn(7);
        assert!(SHARES.iter().all(|(deed, _)| schedule.faults.iter().any(|fault| fault.deed == *deed)));
        assert_eq!(schedule.submissions.len(), 40);
    }
}
