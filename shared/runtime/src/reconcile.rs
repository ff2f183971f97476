//! One sweep of the reconciler: every job that is due is looked at, mended, and looked at again later.
//!
//! ```text
//!   index ─► a page of due jobs ─► look at each (core) ─► mend ─► suspects ─► depth of their queues ─► send ─► move `check_at`
//! ```
//! `check_at` moves last, on what was seen: a sweep that dies repeats what it did, which is harmless, and of two sweeps at
//! once one moves it. Nothing is scanned: a job that is not due costs nothing.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::parts::check_shards;
use qsketch_core::reconcile::{Looking, Outlook, Seen, Suspect, choose, follow_up, look};
use qsketch_core::{Commit, JobId, JobStatus, Message, Part, Tenant, Time, Write};
use serde::Serialize;

use crate::batch::Outbox;
use crate::pipelines::Pipelines;
use crate::ports::{Due, DuePage, Dues, Outgoing, Parts, PortError, PortErrorKind, Ports, QueueName, TenantPage};
use crate::tenants::{Deeds, Tenants};

/// How often a sweep is due: the finest rate of a schedule.
///
/// # Source
/// EventBridge Scheduler user guide, "Rate-based schedules": minutes, hours or days; read 2026-11-26.
pub const PERIOD: Duration = Duration::from_secs(60);

/// For how long a sweep begins new pages: the next one comes a period after this one.
pub const SWEEP_MAX: Duration = Duration::from_secs(45);

/// How many jobs a page brings.
const PAGE_MAX: usize = 100;

/// How many jobs are looked at at once.
const LOOKS_AT_ONCE: usize = 32;

/// How many jobs a report names; the others are counted.
pub const NAMED_MAX: usize = 100;

/// Whether a sweep may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It mends.
    Mend,
    /// It tells what it would do first to each job.
    DryRun,
}

/// What a sweep did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// How many jobs were looked at.
    pub looked: u64,
    /// How many tenants were looked after whose jobs are capped.
    pub tenants: u64,
    /// How many writes mended something.
    pub mended: u64,
    /// How many messages were sent again, by queue.
    pub resent: BTreeMap<String, usize>,
    /// How many messages may be lost or wait in a backlog, and were not sent again, by queue.
    pub waiting: BTreeMap<String, usize>,
    /// What was done, the first jobs by name.
    pub deeds: Vec<Deed>,
    /// How many jobs could not be looked after; they are due again.
    pub failed: u64,
    /// The first of them, and why.
    pub failures: Vec<Deed>,
    /// Whether time was over before all that were due were looked at.
    pub has_more: bool,
}

/// What was done to a job, or went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// The job.
    pub job: JobId,
    /// What, for a person.
    pub what: String,
}

/// Looks after every job that is due.
///
/// # Errors
/// [`PortError`] of the index. What fails for one job alone is told in [`Swept::failures`].
pub async fn reconcile(ports: &Ports, mode: Mode) -> Result<Swept, PortError> {
    let began = ports.clock.now();
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let mut sweep = Sweep { ports, mode, began, outbox, pipelines: Pipelines::default(), queues: BTreeMap::new() };
    let mut swept = Swept::default();
    let mut shards: Vec<String> = check_shards().collect();
    // What is left when time is over stands in another shard each time.
    let first = usize::try_from(began.epoch_secs() / PERIOD.as_secs()).unwrap_or_default() % shards.len().max(1);
    shards.rotate_left(first);
    for shard in shards {
        sweep.shard(shard, &mut swept).await?;
    }
    sweep.tenants(&mut swept).await?;
    sweep.outbox.flush().await;
    Ok(swept)
}

/// A sweep by a clock that is off would end what has time left.
fn check_clock(ports: &Ports) -> Result<(), PortError> {
    match ports.clock.offset().filter(|offset| offset.is_off()) {
        None => Ok(()),
        Some(offset) => Err(PortError::new("look after the jobs", PortErrorKind::Invalid)
            .because(format!("this machine's clock is {offset}, and at most 1 s is allowed: set it (NTP)"))),
    }
}

struct Sweep<'a> {
    ports: &'a Ports,
    mode: Mode,
    began: Time,
    outbox: Outbox,
    pipelines: Pipelines,
    queues: BTreeMap<QueueName, Lane>,
}

/// What a sweep knows of a queue.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    /// How many messages waited there when the sweep first asked.
    visible: u64,
    /// How many the sweep has sent there again.
    sent: usize,
}

/// A job that was looked at.
struct Looked {
    due: Due,
    /// What was mended of it, for a person.
    deeds: Vec<String>,
    /// None where somebody else is at work on it: it has been looked at, or stays due.
    outlook: Result<Option<Outlook>, PortError>,
}

impl Sweep<'_> {
    async fn shard(&mut self, shard: String, swept: &mut Swept) -> Result<(), PortError> {
        let mut after = None;
        loop {
            if self.ports.clock.now().since(self.began) >= SWEEP_MAX {
                swept.has_more = true;
                return Ok(());
            }
            let page = DuePage { shard: shard.clone(), until: self.began, after, most: PAGE_MAX };
            let Dues { due, has_more } = self.ports.lists.due(&page).await?;
            check_clock(self.ports)?;
            after = due.last().cloned();
            self.page(due, swept).await;
            if !has_more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Looks after the tenants whose jobs are capped.
    async fn tenants(&self, swept: &mut Swept) -> Result<(), PortError> {
        let tenants = Tenants { ports: self.ports, outbox: &self.outbox, pipelines: &self.pipelines };
        let mut after = None;
        loop {
            if self.ports.clock.now().since(self.began) >= SWEEP_MAX {
                swept.has_more = true;
                return Ok(());
            }
            let page = self.ports.rosters.due(&TenantPage { until: self.began, after, most: PAGE_MAX }).await?;
            check_clock(self.ports)?;
            after = page.due.last().cloned();
            for due in page.due {
                let mut deeds = Deeds::new();
                swept.tenants += 1;
                if let Err(error) = tenants.look_after(&due.tenant, self.mode, &mut deeds).await {
                    tracing::warn!(tenant = %due.tenant, error = error.chain(), "a tenant could not be looked after: it is due again");
                    swept.failed += 1;
                }
                swept.mended += deeds.len() as u64;
                deeds.into_iter().for_each(|(job, what)| swept.tell(Deed { job, what }));
            }
            if !page.has_more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn page(&mut self, due: Vec<Due>, swept: &mut Swept) {
        let looks = stream::iter(due.into_iter().map(|due| self.look_at(due)));
        let looked: Vec<Looked> = looks.buffer_unordered(LOOKS_AT_ONCE).collect().await;
        let mut suspects: BTreeMap<QueueName, Vec<Suspect>> = BTreeMap::new();
        let mut nexts = Vec::new();
        for Looked { due, deeds, outlook } in looked {
            swept.looked += u64::from(matches!(outlook, Ok(Some(_))) || !deeds.is_empty());
            swept.mended += deeds.len() as u64;
            deeds.into_iter().for_each(|what| swept.tell(Deed { job: due.job.clone(), what }));
            match outlook {
                Ok(None) => {}
                Ok(Some(outlook)) => {
                    for suspect in outlook.suspects {
                        suspects.entry(queue_of(&suspect.message)).or_default().push(suspect);
                    }
                    nexts.push((due, outlook.next));
                }
                Err(error) => swept.fail(due.job, &error),
            }
        }
        let mut unsent = BTreeMap::new();
        for (queue, suspects) in suspects {
            self.resend(queue, suspects, swept, &mut unsent).await;
        }
        if self.mode == Mode::DryRun {
            return;
        }
        let moves = nexts.into_iter().filter(|(due, _)| !unsent.contains_key(&due.job));
        let moves = stream::iter(moves.map(|(due, next)| self.move_on(due, next)));
        let moved: Vec<_> = moves.buffer_unordered(LOOKS_AT_ONCE).collect().await;
        for (job, error) in moved.into_iter().flatten().chain(unsent) {
            swept.fail(job, &error);
        }
    }

    /// Looks at a job, and mends what can be written.
    async fn look_at(&self, due: Due) -> Looked {
        let mut deeds = Vec::new();
        let outlook = self.look(&due, &mut deeds).await;
        Looked { due, deeds, outlook }
    }

    async fn look(&self, due: &Due, deeds: &mut Vec<String>) -> Result<Option<Outlook>, PortError> {
        let mut parts = self.ports.table.load_parts(&due.job).await?;
        for _ in 0..COMMITS_MAX {
            let Some(job) = parts.job.clone().filter(|job| job.check_at == Some(due.check_at)) else { return Ok(None) };
            let pipeline = self.pipelines.of_job(&*self.ports.table, &job).await?;
            let seen = Seen { pipeline: &pipeline, job: &job, tasks: &parts.tasks, shards: &parts.shards };
            let write = match look(seen, self.ports.clock.now()) {
                Looking::Mend(write) => write,
                Looking::Quiet(outlook) => return Ok(Some(outlook)),
            };
            let what = told(&write);
            if self.mode == Mode::DryRun {
                deeds.push(what);
                return Ok(None);
            }
            match self.ports.table.commit(&due.job, &write).await? {
                Commit::Written(part) => {
                    tracing::info!(job = %due.job, what, "mended");
                    deeds.push(what);
                    if let Part::Job(now) = &part {
                        self.send(&now.tenant, follow_up(&pipeline, &write, now)).await?;
                    }
                    put(&mut parts, &write, part);
                }
                Commit::Overtaken(_) => parts = self.ports.table.load_parts(&due.job).await?,
            }
        }
        Ok(None)
    }

    /// Sends again what the core picks of the suspects of one queue; the jobs for which that failed come into `unsent`.
    async fn resend(
        &mut self,
        queue: QueueName,
        suspects: Vec<Suspect>,
        swept: &mut Swept,
        unsent: &mut BTreeMap<JobId, PortError>,
    ) {
        let fail = |error: &PortError| PortError::new(error.chain(), error.kind);
        let mut lane = match self.queues.get(&queue) {
            Some(lane) => *lane,
            None => match self.ports.queues.depth(&queue).await {
                Ok(depth) => Lane { visible: depth.visible, sent: 0 },
                Err(error) => {
                    unsent.extend(suspects.into_iter().map(|suspect| (suspect.message.job, fail(&error))));
                    return;
                }
            },
        };
        let all = suspects.len();
        let chosen = choose(suspects, lane.visible, lane.sent);
        let left = all - chosen.len();
        if left > 0 {
            *swept.waiting.entry(queue.to_string()).or_default() += left;
        }
        let mut sent = 0;
        if self.mode == Mode::Mend {
            let sweep = &*self;
            let sends = stream::iter(chosen.into_iter().map(|Suspect { message, tenant, .. }| async move {
                let job = message.job.clone();
                (job, sweep.send(&tenant, vec![message]).await)
            }));
            let answers: Vec<_> = sends.buffer_unordered(PAGE_MAX).collect().await;
            for (job, answer) in answers {
                match answer {
                    Ok(()) => sent += 1,
                    Err(error) => {
                        unsent.insert(job, error);
                    }
                }
            }
        } else {
            for Suspect { message, .. } in &chosen {
                swept.tell(Deed { job: message.job.clone(), what: format!("send {} again", message.task) });
            }
            sent = chosen.len();
        }
        if sent > 0 {
            tracing::info!(%queue, sent, waiting = left, visible = lane.visible, "sent again");
            *swept.resent.entry(queue.to_string()).or_default() += sent;
        }
        lane.sent += sent;
        self.queues.insert(queue, lane);
    }

    async fn send(&self, tenant: &Tenant, messages: Vec<Message>) -> Result<(), PortError> {
        let send = |message: Message| async move {
            self.outbox.send(&queue_of(&message), Outgoing::task(&message, tenant)).await
        };
        join_all(messages.into_iter().map(send)).await.into_iter().collect()
    }

    /// Moves a job's next look; the job and the error where that failed. To lose against another sweep is no failure.
    async fn move_on(&self, due: Due, next: Option<Time>) -> Option<(JobId, PortError)> {
        let write = Write::Look { seen: due.check_at, next };
        match self.ports.table.commit(&due.job, &write).await {
            Ok(Commit::Written(_) | Commit::Overtaken(_)) => None,
            Err(error) => Some((due.job, error)),
        }
    }
}

impl Swept {
    fn tell(&mut self, deed: Deed) {
        if self.deeds.len() < NAMED_MAX {
            self.deeds.push(deed);
        }
    }

    fn fail(&mut self, job: JobId, error: &PortError) {
        tracing::warn!(%job, error = error.chain(), "a job could not be looked after: it is due again");
        self.failed += 1;
        if self.failures.len() < NAMED_MAX {
            self.failures.push(Deed { job, what: error.chain() });
        }
    }
}

fn queue_of(message: &Message) -> QueueName {
    QueueName::new(message.task.step().as_str())
}

/// The parts with the one that was just written.
fn put(parts: &mut Parts, write: &Write, part: Part) {
    match (part, write) {
        (Part::Job(job), _) => parts.job = Some(*job),
        (Part::Task(now), Write::Task { task, .. }) => {
            parts.tasks.insert(task.clone(), *now);
        }
        (Part::Shard(now), Write::Bury { shard, .. } | Write::RecordElement { shard, .. }) => {
            parts.shards.insert(shard.clone(), *now);
        }
        (Part::Input(_) | Part::Task(_) | Part::Shard(_), _) => {}
    }
}

/// A write that mends, for a person.
fn told(write: &Write) -> String {
    match write {
        Write::Close { entry, .. } if entry.verdict.status() == JobStatus::Completed => {
            "close it as COMPLETED: every task is recorded".to_owned()
        }
        Write::Close { entry, .. } => {
            let error = entry.error.as_ref().map_or("", |error| error.as_str());
            let task = entry.task.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("close it as {} for {task}: {error}", entry.verdict.status().as_str())
        }
        Write::Task { task, set, .. } if set.charged == 0 => format!("try {task} anew: its attempts were used up"),
        Write::Task { task, set, .. } => format!("end attempt {} of {task}: nothing was heard of it", set.attempt),
        Write::Bury { shard, element, .. } => format!("bury {}#{element}: it can't be done any more", shard.step()),
        other => other.kind().to_owned(),
    }
}
