//! Rosters: every write means what [`apply`] says, and the tenants that are due come once each.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use qsketch_core::tenant::{apply, enter, queue};
use qsketch_core::{Job, JobId, Part, Roster, RosterCommit, RosterWrite, Tenant, Time, Verdict, Write, tenant};
use qsketch_runtime::ports::{DueTenant, TenantPage};

use crate::gallery::{self, NOW};
use crate::{Case, World, cases};

/// How many ask for a place at once.
const CROWD: u32 = 16;

/// How many of them get one.
const ROOM: u32 = 5;

/// The cases of rosters.
#[must_use]
pub fn roster_cases() -> Vec<Case> {
    cases![
        a_roster_that_is_not_there_reads_as_nothing_and_takes_no_admission,
        every_write_of_a_roster_follows_apply,
        a_roster_at_its_widest_reads_back_as_written,
        of_sixteen_that_enter_at_once_as_many_do_as_may,
        tenants_that_are_due_come_the_longest_first_page_by_page,
        a_queued_job_starts_once_or_is_withdrawn,
    ]
}

/// A tenant of one case, and its roster as it must be by [`apply`].
struct Subject {
    world: World,
    tenant: Tenant,
    roster: Option<Roster>,
}

impl Subject {
    fn new(world: World) -> Result<Self> {
        let tenant = Tenant::try_from(world.unique())?;
        Ok(Self { world, tenant, roster: None })
    }

    /// Carries a write out, holds the answer against [`apply`], and reads the roster back.
    async fn commit(&mut self, write: &RosterWrite) -> Result<bool> {
        let next = apply(&self.tenant, write, self.roster.as_ref());
        let expected = next.clone().map_or_else(|| RosterCommit::Overtaken(self.roster.clone()), RosterCommit::Written);
        let found = self.world.ports.rosters.commit(&self.tenant, write).await.with_context(|| format!("{write:?}"))?;
        ensure!(found == expected, "{write:?}\n  found    {found:?}\n  expected {expected:?}");
        let is_written = next.is_some();
        self.roster = next.or_else(|| self.roster.take());
        let read = self.world.ports.rosters.load(&self.tenant).await?;
        ensure!(read == self.roster, "after {write:?}\n  found    {read:?}\n  expected {:?}", self.roster);
        Ok(is_written)
    }

    async fn written(&mut self, write: &RosterWrite) -> Result<()> {
        ensure!(self.commit(write).await?, "it was refused: {write:?} on {:?}", self.roster);
        Ok(())
    }

    async fn refused(&mut self, write: &RosterWrite) -> Result<()> {
        ensure!(!self.commit(write).await?, "it was written: {write:?}");
        Ok(())
    }
}

fn id(name: &str) -> Result<JobId> {
    Ok(JobId::try_from(name)?)
}

fn admit(name: &str) -> Result<RosterWrite> {
    Ok(tenant::admit(&id(name)?, Time(NOW.0 + 5)))
}

fn leave(names: &[&str]) -> Result<RosterWrite> {
    Ok(RosterWrite::Leave { jobs: names.iter().map(|name| id(name)).collect::<Result<_>>()? })
}

async fn a_roster_that_is_not_there_reads_as_nothing_and_takes_no_admission(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    ensure!(subject.world.ports.rosters.load(&subject.tenant).await?.is_none());
    subject.refused(&admit("a")?).await?;
    subject.refused(&leave(&["a"])?).await?;
    subject.refused(&RosterWrite::Unqueue { seen: NOW }).await?;
    subject.refused(&RosterWrite::Look { seen: NOW, next: None }).await
}

async fn every_write_of_a_roster_follows_apply(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    subject.written(&enter(&id("a")?, 2, NOW)).await?;
    subject.written(&enter(&id("a")?, 2, NOW)).await?;
    subject.written(&enter(&id("b")?, 2, Time(NOW.0 + 1))).await?;
    subject.refused(&enter(&id("c")?, 2, NOW)).await?;
    subject.refused(&admit("c")?).await?;
    subject.written(&admit("b")?).await?;
    subject.written(&queue(2, Time(NOW.0 + 2))).await?;
    subject.written(&queue(3, Time(NOW.0 + 3))).await?;
    subject.refused(&enter(&id("d")?, 9, NOW)).await?;
    subject.written(&enter(&id("b")?, 1, NOW)).await?;
    subject.refused(&admit("c")?).await?;
    subject.written(&queue(3, Time(NOW.0 + 3))).await?;
    subject.written(&admit("c")?).await?;
    subject.written(&leave(&["a", "nobody"])?).await?;
    subject.refused(&RosterWrite::Unqueue { seen: Time(NOW.0 + 2) }).await?;
    let seen = subject.roster.as_ref().and_then(|roster| roster.check_at).context("nobody looks")?;
    subject.refused(&RosterWrite::Look { seen, next: None }).await?;
    subject.refused(&RosterWrite::Look { seen: Time(1), next: Some(NOW) }).await?;
    subject.written(&leave(&["b", "c"])?).await?;
    subject.refused(&RosterWrite::Look { seen, next: None }).await?;
    subject.written(&RosterWrite::Unqueue { seen: Time(NOW.0 + 3) }).await?;
    subject.refused(&RosterWrite::Unqueue { seen: Time(NOW.0 + 3) }).await?;
    subject.written(&RosterWrite::Look { seen, next: Some(Time(seen.0 + 1)) }).await?;
    subject.written(&RosterWrite::Look { seen: Time(seen.0 + 1), next: None }).await?;
    subject.written(&admit("e")?).await?;
    subject.written(&leave(&["e"])?).await?;
    subject.written(&enter(&id("e")?, 1, Time(NOW.0 + 9))).await
}

async fn a_roster_at_its_widest_reads_back_as_written(world: World) -> Result<()> {
    let most = qsketch_core::limits::TENANT_JOBS_MAX;
    let mut subject = Subject::new(world)?;
    let name = |n: u32| format!("{n:064}");
    for n in 0..most {
        let write = enter(&id(&name(n))?, most, NOW);
        let RosterCommit::Written(roster) = subject.world.ports.rosters.commit(&subject.tenant, &write).await? else {
            anyhow::bail!("the place {n} was refused");
        };
        subject.roster = Some(roster);
    }
    ensure!(subject.roster.as_ref().is_some_and(|roster| roster.room() == 0));
    subject.refused(&enter(&id("one-more")?, most, NOW)).await?;
    let half: Vec<String> = (0..most / 2).map(name).collect();
    subject.written(&leave(&half.iter().map(String::as_str).collect::<Vec<_>>())?).await
}

async fn of_sixteen_that_enter_at_once_as_many_do_as_may(world: World) -> Result<()> {
    let subject = Subject::new(world)?;
    let enter = |n: u32| {
        let (world, tenant) = (subject.world.clone(), subject.tenant.clone());
        tokio::spawn(async move {
            let commit = world.ports.rosters.commit(&tenant, &enter(&id(&format!("j{n}"))?, ROOM, NOW)).await?;
            Ok::<_, anyhow::Error>(matches!(commit, RosterCommit::Written(_)))
        })
    };
    let mut won = 0;
    for entered in join_all((0..CROWD).map(enter)).await {
        won += u32::from(entered??);
    }
    let roster = subject.world.ports.rosters.load(&subject.tenant).await?.context("no roster")?;
    ensure!(won == ROOM && roster.running.len() == ROOM as usize, "{won} entered: {roster:?}");
    Ok(())
}

async fn tenants_that_are_due_come_the_longest_first_page_by_page(world: World) -> Result<()> {
    // Other cases have tenants in the same place: the earliest times are this one's.
    let mut mine = BTreeSet::new();
    for n in 0..5 {
        let mut subject = Subject::new(world.clone())?;
        let check_at = Time(1_000 + n);
        subject.written(&RosterWrite::Queue { jobs_max: 1, at: Time(1), check_at }).await?;
        mine.insert(DueTenant { check_at, tenant: subject.tenant });
    }
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = TenantPage { until: Time(1_003), after, most: 2 };
        let answer = world.ports.rosters.due(&page).await?;
        ensure!(answer.due.len() <= 2, "{answer:?}");
        after = answer.due.last().cloned();
        found.extend(answer.due);
        if !answer.has_more || after.is_none() {
            break;
        }
    }
    let expected: Vec<DueTenant> = mine.into_iter().filter(|due| due.check_at <= Time(1_003)).collect();
    ensure!(found == expected, "found {found:?}\nexpected {expected:?}");
    Ok(())
}

async fn a_queued_job_starts_once_or_is_withdrawn(world: World) -> Result<()> {
    let (pipeline, tenant) = (gallery::pipeline()?, Tenant::try_from(world.unique())?);
    let table = &world.ports.table;
    for is_withdrawn in [false, true] {
        let job = JobId::try_from(world.unique())?;
        let queued = Job::queued(job.clone(), tenant.clone(), &pipeline, NOW);
        table.commit(&job, &Write::CreateJob(Box::new(queued.clone()))).await?;
        let start = tenant::start(&pipeline, &queued, Time(NOW.0 + 7));
        let Write::Start(set) = &start else { anyhow::bail!("{start:?}") };
        let withdraw = Write::Withdraw { entry: gallery::bare_closing(Verdict::Canceled), kept: set.kept.clone() };
        let (first, second) = if is_withdrawn { (withdraw, start) } else { (start, withdraw) };
        for write in [first.clone(), first, second] {
            let current = table.load_job(&job).await?.map(|job| Part::Job(Box::new(job)));
            let next = qsketch_core::write::apply(&write, current.as_ref());
            let expected = next.map_or_else(|| qsketch_core::Commit::Overtaken(current), qsketch_core::Commit::Written);
            let found = table.commit(&job, &write).await?;
            ensure!(found == expected, "{write:?}\n  found    {found:?}\n  expected {expected:?}");
        }
    }
    Ok(())
}
