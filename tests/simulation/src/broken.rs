//! Worlds that are broken on purpose, each in one way: the checks must see every one of them.

use std::sync::{Arc, Mutex};

use qsketch_core::decide::Output;
use qsketch_core::tenant;
use qsketch_core::write::apply;
use qsketch_core::{Failure, Footing, JobStatus, Part, Roster, RosterWrite, Tenant, Time, Write};
use qsketch_notify::{NOTIFICATIONS_QUEUE, Notification};
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::{Attempt, Ports, QueueName};
use qsketch_sim::{Law, Random, RosterLaw};

use crate::broken_ports::{BrokenLists, BrokenQueues, BrokenTable, NoRosters};
use crate::gallery::Shape;
use crate::schedule::{Deed, Schedule};

/// A way in which a world is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// The table carries out a write of a task whatever it stands on: an attempt that lost its task goes on writing.
    NoFence,
    /// Every lease looks lapsed to whoever wants to claim.
    ClaimIgnoresLease,
    /// A record takes the place of the one that is there.
    RecordTwice,
    /// A message is deleted as soon as it is received.
    AcknowledgeFirst,
    /// A message in sixteen is told as sent, and is not.
    SendsDropped,
    /// What is sent is sent only once the message that it follows from has been deleted.
    SendsAfterDelete,
    /// There is no reconciler, and queues are purged.
    NoReconciler,
    /// The reconciler looks at every job every time.
    EagerReconciler,
    /// Each attempt at a notification makes an event of its own.
    KeyPerNotification,
    /// A heartbeat is told as written, and is not: the attempt does not notice that its lease lapses.
    DeafHeartbeat,
    /// A redrive from a step keeps the records that it is to forget.
    RedriveKeepsRecords,
    /// A task is recorded on a job that has closed.
    CancelDoesNotFence,
    /// A job is read, one time in three, as it was at the read before.
    StaleLoads,
    /// A submission without an id gets another id at each delivery.
    JobPerDelivery,
    /// A signal is taken only by a step that waits already.
    SignalWhenWaitingOnly,
    /// Every job gets a place among its tenant's, whether there is one or not.
    EveryoneEnters,
    /// A place that is given up is told as free, and is not.
    NobodyLeaves,
    /// Whoever is queued is started when a place is free, and not by a sweep: the reconciler sees no tenants.
    TenantsUnseen,
}

impl Broken {
    /// Every way.
    pub const ALL: [Self; 18] = [
        Self::NoFence,
        Self::ClaimIgnoresLease,
        Self::RecordTwice,
        Self::AcknowledgeFirst,
        Self::SendsDropped,
        Self::SendsAfterDelete,
        Self::NoReconciler,
        Self::EagerReconciler,
        Self::KeyPerNotification,
        Self::DeafHeartbeat,
        Self::RedriveKeepsRecords,
        Self::CancelDoesNotFence,
        Self::StaleLoads,
        Self::JobPerDelivery,
        Self::SignalWhenWaitingOnly,
        Self::EveryoneEnters,
        Self::NobodyLeaves,
        Self::TenantsUnseen,
    ];

    /// Its name, as `--broken` takes it.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The numbers of the invariants that it breaks.
    #[must_use]
    pub const fn breaks(self) -> &'static [u8] {
        match self {
            Self::NoFence | Self::ClaimIgnoresLease | Self::DeafHeartbeat => &[4],
            Self::RecordTwice | Self::RedriveKeepsRecords => &[1],
            Self::AcknowledgeFirst | Self::SendsDropped | Self::SendsAfterDelete | Self::SignalWhenWaitingOnly => &[2],
            Self::NoReconciler => &[8],
            Self::EagerReconciler => &[10],
            Self::KeyPerNotification | Self::CancelDoesNotFence => &[7],
            Self::StaleLoads => &[2, 3],
            Self::JobPerDelivery => &[9],
            Self::EveryoneEnters | Self::NobodyLeaves | Self::TenantsUnseen => &[11],
        }
    }

    /// Whether a schedule can show it at all. Where a reconciler is at work, a lost message is no lost job.
    #[must_use]
    pub fn fits(self, schedule: &Schedule) -> bool {
        let has = |deed: fn(&Deed) -> bool| schedule.acts.iter().any(|act| deed(&act.what));
        match self {
            Self::AcknowledgeFirst | Self::SendsDropped | Self::SendsAfterDelete => !schedule.has_reconciler,
            Self::NoReconciler => has(|deed| matches!(deed, Deed::Purge(_))),
            Self::EagerReconciler => schedule.has_reconciler,
            Self::RedriveKeepsRecords => has(|deed| matches!(deed, Deed::Redrive(Some(_)))),
            Self::SignalWhenWaitingOnly => schedule.shape == Shape::Signal,
            Self::EveryoneEnters | Self::NobodyLeaves | Self::TenantsUnseen => schedule.jobs_max.is_some(),
            Self::JobPerDelivery => schedule.submissions.iter().any(|submission| !submission.is_named),
            _ => true,
        }
    }

    /// What the table makes of a write, where that is what is broken.
    pub(crate) fn law(self) -> Option<Arc<Law>> {
        let law: fn(&Write, Option<&Part>) -> Option<Part> = match self {
            Self::NoFence => |write, current| match write {
                Write::Task { set, .. } => Some(Part::Task(set.clone())),
                _ => apply(write, current),
            },
            Self::ClaimIgnoresLease => |write, current| match (write, current) {
                (Write::Task { footing: Footing::Seen { attempt, .. }, set, .. }, Some(Part::Task(task)))
                    if task.attempt == *attempt =>
                {
                    Some(Part::Task(set.clone()))
                }
                _ => apply(write, current),
            },
            Self::RecordTwice => |write, current| record(write, current, |job| job.status == JobStatus::Running),
            Self::CancelDoesNotFence => |write, current| record(write, current, |job| job.status != JobStatus::Running),
            _ => return None,
        };
        Some(Arc::new(law))
    }

    /// The same for a tenant's roster.
    pub(crate) fn roster_law(self) -> Option<Arc<RosterLaw>> {
        let law: fn(&Tenant, &RosterWrite, Option<&Roster>) -> Option<Roster> = match self {
            Self::EveryoneEnters => |tenant, write, current| {
                let wide = current.map(|roster| Roster { jobs_max: u32::MAX, queued_at: None, ..roster.clone() });
                match write {
                    RosterWrite::Enter { job, check_at, .. } => {
                        let write = RosterWrite::Enter { job: job.clone(), jobs_max: u32::MAX, check_at: *check_at };
                        tenant::apply(tenant, &write, wide.as_ref())
                    }
                    write => tenant::apply(tenant, write, wide.as_ref()),
                }
            },
            Self::NobodyLeaves => |tenant, write, current| match write {
                RosterWrite::Leave { .. } => current.cloned(),
                _ => tenant::apply(tenant, write, current),
            },
            _ => return None,
        };
        Some(Arc::new(law))
    }

    /// These ports of a worker, broken.
    pub(crate) fn of_worker(self, ports: Ports) -> Ports {
        match self {
            Self::ClaimIgnoresLease | Self::DeafHeartbeat | Self::StaleLoads => self.table(ports),
            Self::AcknowledgeFirst | Self::SendsDropped | Self::SendsAfterDelete | Self::JobPerDelivery => {
                self.queues(ports)
            }
            _ => ports,
        }
    }

    /// These ports of an operator, broken.
    pub(crate) fn of_operator(self, ports: Ports) -> Ports {
        if self == Self::RedriveKeepsRecords { self.table(ports) } else { ports }
    }

    /// These ports of the reconciler, broken.
    pub(crate) fn of_reconciler(self, ports: Ports) -> Ports {
        if self == Self::TenantsUnseen {
            return Ports { rosters: Arc::new(NoRosters), ..ports };
        }
        if self != Self::EagerReconciler {
            return ports;
        }
        Ports { lists: Arc::new(BrokenLists(Arc::clone(&ports.lists))), ..ports }
    }

    fn table(self, ports: Ports) -> Ports {
        let random = Mutex::new(Random::new(u64::from(ports.clock.draw())));
        let table = BrokenTable { inner: Arc::clone(&ports.table), how: self, known: Mutex::default(), random };
        Ports { table: Arc::new(table), ..ports }
    }

    fn queues(self, ports: Ports) -> Ports {
        let random = Mutex::new(Random::new(u64::from(ports.clock.draw())));
        let queues = BrokenQueues { inner: Arc::clone(&ports.queues), how: self, random, held: Mutex::default() };
        Ports { queues: Arc::new(queues), ..ports }
    }
}

/// A record that is made whenever `holds`, on whatever is there.
fn record(write: &Write, current: Option<&Part>, holds: fn(&qsketch_core::Job) -> bool) -> Option<Part> {
    match (write, current) {
        (Write::Record { task, closing, done, .. }, Some(Part::Job(job))) if holds(job) && job.closing == *closing => {
            let is_there = job.done.contains_key(task);
            let sound = apply(write, current);
            if sound.is_some() || job.status == JobStatus::Running && !is_there {
                return sound;
            }
            let mut job = job.clone();
            job.done.insert(task.clone(), done.clone());
            Some(Part::Job(job))
        }
        _ => apply(write, current),
    }
}

/// Notifies as the product does, but under a key of this attempt's own.
pub(crate) async fn notify_with_a_new_key(attempt: &Attempt) -> Result<Output, Failure> {
    let (number, closing) = attempt.closing().ok_or_else(|| Failure::fail("NoClosing", attempt.task()))?;
    let job = attempt.job();
    let mut event = Notification::of(&job.job_id, &job.tenant, number, closing);
    event.closed_at = Time(attempt.now().0).to_string();
    let body = serde_json::to_string(&event).map_err(|error| Failure::fail("Unwritable", error))?;
    attempt.send(&QueueName::new(NOTIFICATIONS_QUEUE), Outgoing::new(body)).await?;
    Ok(Output::default())
}
