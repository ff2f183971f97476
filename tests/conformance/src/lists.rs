//! Lists: a tenant's jobs of a day, newest first, page by page, each once.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use qsketch_core::{Commit, Job, JobId, Tenant, Time, Write};
use qsketch_runtime::ports::{DayPage, Due, DuePage, Dues, LOAD_MAX, Place, Places};

use crate::gallery::{self, NOW};
use crate::{Case, World, cases};

/// The cases of lists.
#[must_use]
pub fn list_cases() -> Vec<Case> {
    cases![
        a_list_of_nothing_is_empty_and_has_no_more,
        a_day_s_jobs_come_newest_first_and_only_those_of_the_tenant_and_the_day,
        a_list_begins_and_ends_where_it_was_asked_to,
        pages_of_every_size_bring_each_job_once_also_those_of_one_millisecond,
        a_page_begins_after_its_place_though_that_job_is_gone,
        jobs_are_loaded_by_the_hundred_and_those_that_are_gone_are_left_out,
        due_jobs_come_the_longest_first_page_by_page_and_none_before_its_time,
        of_two_that_look_one_moves_the_next_look_and_the_last_look_takes_the_job_out,
    ]
}

/// A tenant of one case.
struct Subject {
    world: World,
    tenant: Tenant,
}

impl Subject {
    fn new(world: World) -> Result<Self> {
        let tenant = Tenant::try_from(world.unique())?;
        Ok(Self { world, tenant })
    }

    /// A job of the tenant, taken in at this time.
    async fn born(&self, at: Time) -> Result<Place> {
        let job = JobId::try_from(self.world.unique())?;
        let part = Job::begun(job.clone(), self.tenant.clone(), &gallery::pipeline()?, at);
        let commit = self.world.ports.table.commit(&job, &Write::CreateJob(Box::new(part))).await?;
        ensure!(matches!(commit, Commit::Written(_)), "it was there: {job}");
        Ok(Place { created_at: at, job })
    }

    fn page(&self, since: Time, until: Time) -> DayPage {
        DayPage { tenant: self.tenant.clone(), since, until, after: None, most: LOAD_MAX }
    }

    fn day(&self) -> DayPage {
        self.page(NOW.day_begin(), NOW.day_end())
    }

    async fn ask(&self, page: &DayPage) -> Result<Places> {
        Ok(self.world.ports.lists.places(page).await?)
    }

    /// All places of a page and those that follow it.
    async fn all(&self, mut page: DayPage) -> Result<Vec<Place>> {
        let mut all = Vec::new();
        loop {
            let Places { places, has_more } = self.ask(&page).await?;
            ensure!(places.len() <= page.most, "{} places, {} were asked for", places.len(), page.most);
            page.after = places.last().cloned().or(page.after);
            all.extend(places);
            ensure!(all.len() <= 1_000, "the list does not end");
            if !has_more {
                return Ok(all);
            }
        }
    }
}

/// NOW and some milliseconds.
const fn later(millis: u64) -> Time {
    Time(NOW.0 + millis)
}

async fn a_list_of_nothing_is_empty_and_has_no_more(world: World) -> Result<()> {
    let subject = Subject::new(world)?;
    let found = subject.ask(&subject.day()).await?;
    ensure!(found == Places::default(), "{found:?}");
    ensure!(subject.world.ports.lists.jobs(&[]).await?.is_empty(), "something was loaded");
    Ok(())
}

async fn a_day_s_jobs_come_newest_first_and_only_those_of_the_tenant_and_the_day(world: World) -> Result<()> {
    let subject = Subject::new(world.clone())?;
    let (begin, end) = (NOW.day_begin(), NOW.day_end());
    subject.born(Time(begin.0 - 1)).await?;
    subject.born(Time(end.0 + 1)).await?;
    let first = subject.born(begin).await?;
    let second = subject.born(NOW).await?;
    let last = subject.born(end).await?;
    // One whose name begins like ours, and one of another name.
    let longer = Subject { world: world.clone(), tenant: Tenant::try_from(format!("{}x", subject.tenant))? };
    longer.born(NOW).await?;
    Subject::new(world)?.born(NOW).await?;
    let found = subject.ask(&subject.day()).await?.places;
    ensure!(found == [last, second, first], "{found:?}");
    Ok(())
}

async fn a_list_begins_and_ends_where_it_was_asked_to(world: World) -> Result<()> {
    let subject = Subject::new(world)?;
    let mut places = Vec::new();
    for millis in 0..5 {
        places.push(subject.born(later(millis)).await?);
    }
    for (since, until) in [(0, 4), (1, 3), (2, 2), (3, 4), (4, 9)] {
        let found = subject.ask(&subject.page(later(since), later(until))).await?.places;
        let asked = places.iter().rev().filter(|place| (later(since)..=later(until)).contains(&place.created_at));
        ensure!(found == asked.cloned().collect::<Vec<_>>(), "{since} to {until}: {found:?}");
    }
    Ok(())
}

async fn pages_of_every_size_bring_each_job_once_also_those_of_one_millisecond(world: World) -> Result<()> {
    let subject = Subject::new(world)?;
    let mut born = BTreeSet::new();
    for millis in [0, 1, 1, 1, 1, 2, 3, 3, 4] {
        born.insert(subject.born(later(millis)).await?);
    }
    let whole = subject.all(subject.day()).await?;
    ensure!(whole.iter().cloned().collect::<BTreeSet<_>>() == born && whole.len() == born.len(), "{whole:?}");
    ensure!(whole.is_sorted_by_key(|place| core::cmp::Reverse(place.created_at)), "not newest first: {whole:?}");
    for most in 1..=10 {
        let paged = subject.all(DayPage { most, ..subject.day() }).await?;
        ensure!(paged == whole, "pages of {most}: {paged:?}\n  the whole: {whole:?}");
        let part = DayPage { most, since: later(1), until: later(3), ..subject.day() };
        let part = subject.all(part).await?;
        ensure!(part == whole[1..8], "pages of {most} of a part: {part:?}");
    }
    Ok(())
}

async fn a_page_begins_after_its_place_though_that_job_is_gone(world: World) -> Result<()> {
    let subject = Subject::new(world)?;
    let (old, new) = (subject.born(later(1)).await?, subject.born(later(9)).await?);
    // As if it had been between the two.
    let gone = Place { created_at: later(5), job: JobId::try_from(subject.world.unique())? };
    for (after, expected) in [(&new, vec![old.clone()]), (&gone, vec![old.clone()]), (&old, vec![])] {
        let found = subject.ask(&DayPage { after: Some(after.clone()), ..subject.day() }).await?;
        ensure!(found.places == expected, "after {after:?}: {found:?}");
    }
    Ok(())
}

async fn jobs_are_loaded_by_the_hundred_and_those_that_are_gone_are_left_out(world: World) -> Result<()> {
    let subject = Subject::new(world)?;
    let (mut ids, mut there) = (Vec::new(), BTreeSet::new());
    for n in 0..LOAD_MAX as u64 {
        // Every seventh one is gone.
        let id = if n % 7 == 0 { JobId::try_from(subject.world.unique())? } else { subject.born(later(n)).await?.job };
        if n % 7 != 0 {
            there.insert(id.clone());
        }
        ids.push(id);
    }
    let found = subject.world.ports.lists.jobs(&ids).await?;
    ensure!(found.keys().cloned().collect::<BTreeSet<_>>() == there, "{} of {}", found.len(), there.len());
    for (id, job) in found {
        let job = job?;
        let alone = subject.world.ports.table.load_job(&id).await?;
        ensure!(alone.as_ref() == Some(&job), "{job:?}\n  loaded alone: {alone:?}");
    }
    Ok(())
}

/// A shard of one case in the index of jobs to look after.
struct Watched {
    world: World,
    shard: String,
}

impl Watched {
    async fn born(&self, check_at: Time) -> Result<Due> {
        let (job, tenant) = (JobId::try_from(self.world.unique())?, Tenant::try_from(self.world.unique())?);
        let begun = Job::begun(job.clone(), tenant, &gallery::pipeline()?, NOW);
        let part = Job { check_shard: Some(self.shard.clone()), check_at: Some(check_at), ..begun };
        self.world.ports.table.commit(&job, &Write::CreateJob(Box::new(part))).await?;
        Ok(Due { check_at, job })
    }

    /// All that is due, in pages of so many.
    async fn due(&self, until: Time, most: usize) -> Result<Vec<Due>> {
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = DuePage { shard: self.shard.clone(), until, after, most };
            let Dues { due, has_more } = self.world.ports.lists.due(&page).await?;
            ensure!(due.len() <= most, "{} jobs, {most} were asked for", due.len());
            after = due.last().cloned().or(page.after);
            all.extend(due);
            ensure!(all.len() <= 100, "the list does not end");
            if !has_more {
                return Ok(all);
            }
        }
    }

    async fn look(&self, due: &Due, next: Option<Time>) -> Result<bool> {
        let write = Write::Look { seen: due.check_at, next };
        let commit = self.world.ports.table.commit(&due.job, &write).await?;
        Ok(matches!(commit, Commit::Written(_)))
    }
}

async fn due_jobs_come_the_longest_first_page_by_page_and_none_before_its_time(world: World) -> Result<()> {
    let watched = Watched { shard: world.unique(), world };
    let mut born = Vec::new();
    for millis in [0, 1, 1, 2, 3, 5] {
        born.push(watched.born(later(millis)).await?);
    }
    let whole = watched.due(later(3), 50).await?;
    ensure!(whole.is_sorted_by_key(|due| due.check_at), "not the longest first: {whole:?}");
    ensure!(whole.iter().collect::<BTreeSet<_>>() == born[..5].iter().collect(), "{whole:?}");
    for most in 1..=6 {
        let paged = watched.due(later(3), most).await?;
        ensure!(paged == whole, "pages of {most}: {paged:?}");
    }
    Ok(())
}

async fn of_two_that_look_one_moves_the_next_look_and_the_last_look_takes_the_job_out(world: World) -> Result<()> {
    let watched = Watched { shard: world.unique(), world };
    let due = watched.born(NOW).await?;
    ensure!(watched.look(&due, Some(later(7))).await?, "nobody had moved it");
    ensure!(!watched.look(&due, Some(later(9))).await?, "it was moved twice");
    let moved = Due { check_at: later(7), ..due };
    ensure!(watched.due(later(6), 9).await?.is_empty(), "it is due before its time");
    ensure!(watched.due(later(7), 9).await? == [moved.clone()], "it is not due at its time");
    ensure!(watched.look(&moved, None).await?, "the last look was refused");
    ensure!(watched.due(later(9), 9).await?.is_empty(), "it is still to be looked after");
    let job = watched.world.ports.table.load_job(&moved.job).await?;
    ensure!(job.is_some_and(|job| job.check_at.is_none() && job.check_shard.is_none()), "it has a next look");
    Ok(())
}
