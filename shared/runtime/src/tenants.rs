//! The cap on a tenant's jobs that run: a newcomer enters or is queued, a closed job gives up its place, the oldest that
//! waits takes it. What to write is the core's ([`qsketch_core::tenant`]); here it is carried out.
//!
//! Each step stands on a condition of its own, so that whoever dies between two of them leaves something that the next
//! sweep of the reconciler finds.

use std::collections::{BTreeMap, BTreeSet};

use qsketch_core::decide::start_message;
use qsketch_core::limits::CLOCK_SKEW_MAX;
use qsketch_core::parts::queue_shard;
use qsketch_core::tenant::{self, Deed, Known};
use qsketch_core::{Commit, Job, JobId, JobStatus, Part, Roster, RosterCommit, RosterWrite, Tenant, Time};

use crate::batch::Outbox;
use crate::drive::patiently;
use crate::pipelines::Pipelines;
use crate::ports::{Due, DuePage, Dues, LOAD_MAX, Outgoing, PortError, Ports, QueueName};
use crate::reconcile::Mode;

/// How many queued jobs one question brings.
const PAGE_MAX: usize = 100;

/// How many such questions one turn asks: the whole of the largest roster.
const PAGES_MAX: usize = 6;

/// What it takes to start jobs.
#[derive(Clone, Copy)]
pub struct Tenants<'a> {
    /// The outside world.
    pub ports: &'a Ports,
    /// Sends in natural batches.
    pub outbox: &'a Outbox,
    /// The graphs of jobs.
    pub pipelines: &'a Pipelines,
}

/// What was done for a tenant, for a person: each with the job that it was done to.
pub type Deeds = Vec<(JobId, String)>;

impl Tenants<'_> {
    /// Starts a job that is queued where its tenant has room, else leaves it in the queue: the job as it is then. Whoever
    /// asks sends its first message, if it runs. To ask again is safe.
    ///
    /// # Errors
    /// [`PortError`]; it may be queued, or started, by then.
    pub async fn begin(&self, job: Job, jobs_max: u32) -> Result<Job, PortError> {
        if job.status != JobStatus::Queued {
            return Ok(job);
        }
        let (tenant, rosters, now) = (&job.tenant, &self.ports.rosters, || self.ports.clock.now());
        if let RosterCommit::Written(_) = rosters.commit(tenant, &tenant::enter(&job.job_id, jobs_max, now())).await? {
            return Ok(self.start_known(job.clone()).await?.unwrap_or(job));
        }
        let queued = rosters.commit(tenant, &tenant::queue(jobs_max, now())).await?;
        if let Some(roster) = queued.into_roster().filter(|roster| roster.room() > 0) {
            // Somebody left in between, and saw no queue; the index may not show this job yet.
            let own = Due { check_at: job.created_at, job: job.job_id.clone() };
            self.admit(roster, &Known::new(), Some(own), Mode::Mend, &mut Deeds::new()).await?;
        }
        Ok(self.ports.table.load_job(&job.job_id).await?.unwrap_or(job))
    }

    /// A closed job gives up its place; whoever waits for one takes it.
    ///
    /// # Errors
    /// [`PortError`]: it may have its place still. That somebody else could not be started is left to the reconciler.
    pub async fn vacate(&self, job: &Job) -> Result<(), PortError> {
        let leave = RosterWrite::Leave { jobs: BTreeSet::from([job.job_id.clone()]) };
        let commit = patiently(|| self.ports.rosters.commit(&job.tenant, &leave)).await?;
        let waits = |roster: &Roster| roster.queued_at.is_some() && roster.room() > 0;
        if let Some(roster) = commit.into_roster().filter(waits)
            && let Err(error) = self.admit(roster, &Known::new(), None, Mode::Mend, &mut Deeds::new()).await
        {
            tracing::warn!(tenant = %job.tenant, error = error.chain(), "the next job was not started: it is when its tenant is looked after");
        }
        Ok(())
    }

    /// Looks after a tenant: what was left half done is mended, and the room is filled.
    ///
    /// # Errors
    /// [`PortError`]; the tenant stays due.
    pub async fn look_after(&self, tenant: &Tenant, mode: Mode, deeds: &mut Deeds) -> Result<(), PortError> {
        let rosters = &self.ports.rosters;
        let Some(roster) = rosters.load(tenant).await? else { return Ok(()) };
        let Some(seen) = roster.check_at else { return Ok(()) };
        let known = self.known(&roster).await?;
        let roster = self.admit(roster, &known, None, mode, deeds).await?;
        if mode == Mode::Mend {
            let next = tenant::next_look(&roster, self.ports.clock.now());
            // Of two that look one wins; and one that enters meanwhile keeps the end of looking out.
            rosters.commit(tenant, &RosterWrite::Look { seen, next }).await?;
        }
        Ok(())
    }

    /// How the jobs of a roster are. A list may show the past: one that it does not show is asked for.
    async fn known(&self, roster: &Roster) -> Result<Known, PortError> {
        let running: Vec<JobId> = roster.running.iter().cloned().collect();
        let mut found = BTreeMap::new();
        for some in running.chunks(LOAD_MAX) {
            found.extend(self.ports.lists.jobs(some).await?);
        }
        let mut known = Known::new();
        for id in running {
            let status = match found.remove(&id) {
                Some(Ok(job)) => Some(job.status),
                // It can't be read: left alone.
                Some(Err(_)) => continue,
                None => self.ports.table.load_job(&id).await?.map(|job| job.status),
            };
            known.insert(id, status);
        }
        Ok(known)
    }

    /// Carries out the plan for a tenant, page by page of its queue: the roster as it is then.
    async fn admit(
        &self,
        mut roster: Roster,
        known: &Known,
        own: Option<Due>,
        mode: Mode,
        deeds: &mut Deeds,
    ) -> Result<Roster, PortError> {
        let (mut after, mut first) = (None, own);
        for turn in 0..PAGES_MAX {
            let now = self.ports.clock.now();
            let page = self.queued(&roster.tenant, after, now).await?;
            after = page.due.last().cloned();
            let mut queued = page.due;
            queued.extend(first.take());
            queued.sort();
            queued.dedup();
            let queued: Vec<JobId> = queued.into_iter().map(|due| due.job).collect();
            // What is known of the roster's jobs is acted on once.
            let nothing = Known::new();
            let plan = tenant::plan(&roster, if turn == 0 { known } else { &nothing }, &queued, now);
            for deed in plan {
                if mode == Mode::DryRun {
                    deeds.extend(told(&deed));
                } else if !self.carry_out(&deed, &mut roster, deeds).await? {
                    return Ok(roster);
                }
            }
            if !page.has_more || roster.room() == 0 || mode == Mode::DryRun {
                break;
            }
        }
        Ok(roster)
    }

    async fn queued(&self, tenant: &Tenant, after: Option<Due>, now: Time) -> Result<Dues, PortError> {
        let until = now.plus(CLOCK_SKEW_MAX);
        self.ports.lists.due(&DuePage { shard: queue_shard(tenant), until, after, most: PAGE_MAX }).await
    }

    /// Whether to go on: not where the room is gone.
    async fn carry_out(&self, deed: &Deed, roster: &mut Roster, deeds: &mut Deeds) -> Result<bool, PortError> {
        let tenant = roster.tenant.clone();
        let write = match deed {
            Deed::Leave(jobs) => Some(RosterWrite::Leave { jobs: jobs.clone() }),
            Deed::Admit(job) => Some(tenant::admit(job, self.ports.clock.now())),
            Deed::Unqueue(seen) => Some(RosterWrite::Unqueue { seen: *seen }),
            Deed::Start(_) => None,
        };
        if let Some(write) = write {
            let commit = self.ports.rosters.commit(&tenant, &write).await?;
            let is_written = matches!(commit, RosterCommit::Written(_));
            if let Some(now) = commit.into_roster() {
                *roster = now;
            }
            if !is_written {
                return Ok(!matches!(deed, Deed::Admit(_)));
            }
        }
        if let Deed::Start(job) | Deed::Admit(job) = deed {
            match self.start(job).await? {
                Some(job) if !job.status.is_closed() => self.send_first(&job).await?,
                // It was canceled, or deleted, before it began.
                _ => {
                    let leave = RosterWrite::Leave { jobs: BTreeSet::from([job.clone()]) };
                    if let Some(now) = self.ports.rosters.commit(&tenant, &leave).await?.into_roster() {
                        *roster = now;
                    }
                    return Ok(true);
                }
            }
        }
        let told = told(deed);
        told.iter().for_each(|(job, what)| tracing::info!(%job, %tenant, what, "capped"));
        deeds.extend(told);
        Ok(true)
    }

    /// Starts a job that is queued: the job as it is then.
    async fn start(&self, id: &JobId) -> Result<Option<Job>, PortError> {
        match self.ports.table.load_job(id).await? {
            Some(job) if job.status == JobStatus::Queued => self.start_known(job).await,
            job => Ok(job),
        }
    }

    async fn start_known(&self, job: Job) -> Result<Option<Job>, PortError> {
        let pipeline = self.pipelines.of_job(&*self.ports.table, &job).await?;
        let write = tenant::start(&pipeline, &job, self.ports.clock.now());
        match self.ports.table.commit(&job.job_id, &write).await? {
            Commit::Written(Part::Job(job)) | Commit::Overtaken(Some(Part::Job(job))) => Ok(Some(*job)),
            Commit::Written(_) | Commit::Overtaken(_) => Ok(None),
        }
    }

    async fn send_first(&self, job: &Job) -> Result<(), PortError> {
        let pipeline = self.pipelines.of_job(&*self.ports.table, job).await?;
        let first = start_message(&pipeline, job);
        let queue = QueueName::new(first.task.step().as_str());
        self.outbox.send(&queue, Outgoing::task(&first, &job.tenant)).await
    }
}

/// A deed, for a person.
fn told(deed: &Deed) -> Deeds {
    match deed {
        Deed::Leave(jobs) => {
            jobs.iter().map(|job| (job.clone(), "give up its place: it has closed".to_owned())).collect()
        }
        Deed::Start(job) => vec![(job.clone(), "start it: it has a place".to_owned())],
        Deed::Admit(job) => vec![(job.clone(), "start it: its tenant has room".to_owned())],
        Deed::Unqueue(_) => Vec::new(),
    }
}
