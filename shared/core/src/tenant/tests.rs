use super::*;
use crate::cancel::{Canceling, cancel};
use crate::limits::KEEP_QUEUED;
use crate::parts::{Part, queue_shard};
use crate::pipeline::StepSpec;
use crate::write;

type Tried<T> = Result<T, Box<dyn std::error::Error>>;

const NOW: Time = Time(1_000_000);

fn tenant() -> Tried<Tenant> {
    Ok(Tenant::try_from("t")?)
}

fn id(name: &str) -> Tried<JobId> {
    Ok(JobId::try_from(name)?)
}

fn ids(names: &[&str]) -> Tried<BTreeSet<JobId>> {
    names.iter().map(|name| id(name)).collect()
}

fn roster(jobs_max: u32, running: &[&str]) -> Tried<Roster> {
    Ok(Roster { running: ids(running)?, ..new(&tenant()?, jobs_max) })
}

fn known(jobs: &[(&str, Option<JobStatus>)]) -> Tried<Known> {
    jobs.iter().map(|(name, status)| Ok((id(name)?, *status))).collect()
}

#[test]
fn newcomers_enter_up_to_the_cap_and_not_past_a_queue() -> Tried<()> {
    let tenant = tenant()?;
    let first = apply(&tenant, &enter(&id("a")?, 2, NOW), None).ok_or("refused")?;
    assert_eq!((first.running.clone(), first.check_at), (ids(&["a"])?, Some(NOW.plus(TENANT_LOOK_INTERVAL))));
    let second = apply(&tenant, &enter(&id("b")?, 2, Time(NOW.0 + 1)), Some(&first)).ok_or("refused")?;
    assert_eq!(second.check_at, first.check_at, "whoever looks already, looks when it was to");
    assert_eq!(apply(&tenant, &enter(&id("c")?, 2, NOW), Some(&second)), None, "it is full");
    assert!(apply(&tenant, &enter(&id("c")?, 3, NOW), Some(&second)).is_some(), "the cap was raised");
    assert!(apply(&tenant, &enter(&id("a")?, 1, NOW), Some(&second)).is_some(), "it has a place, twice delivered");
    let queued = apply(&tenant, &queue(2, NOW), Some(&first)).ok_or("refused")?;
    assert_eq!(apply(&tenant, &enter(&id("c")?, 2, NOW), Some(&queued)), None, "somebody waits");
    assert!(apply(&tenant, &admit(&id("c")?, NOW), Some(&queued)).is_some(), "it may be the oldest");
    Ok(())
}

#[test]
fn a_cap_of_none_at_all_lets_nobody_in_and_a_lowered_one_nobody_out() -> Tried<()> {
    let (tenant, full) = (tenant()?, roster(1, &["a", "b", "c"])?);
    assert_eq!(full.room(), 0);
    assert_eq!(apply(&tenant, &admit(&id("d")?, NOW), Some(&full)), None);
    assert!(apply(&tenant, &admit(&id("b")?, NOW), Some(&full)).is_some(), "it runs");
    assert_eq!(apply(&tenant, &admit(&id("d")?, NOW), None), None, "there is no roster");
    Ok(())
}

#[test]
fn whoever_admits_late_sees_to_it_that_somebody_looks() -> Tried<()> {
    // It read the roster while another queue was there; since then that queue has ended, and with it the looking.
    let quiet = roster(1, &[])?;
    assert_eq!(quiet.check_at, None);
    let after = apply(&tenant()?, &admit(&id("a")?, NOW), Some(&quiet)).ok_or("refused")?;
    assert_eq!(after.check_at, Some(NOW.plus(TENANT_LOOK_INTERVAL)));
    assert_eq!(after.check_shard.as_deref(), Some(ROSTERS_SHARD));
    Ok(())
}

#[test]
fn a_place_given_up_twice_is_given_up_once() -> Tried<()> {
    let (tenant, leave) = (tenant()?, RosterWrite::Leave { jobs: ids(&["a"])? });
    let after = apply(&tenant, &leave, Some(&roster(2, &["a", "b"])?)).ok_or("refused")?;
    assert_eq!(after.running, ids(&["b"])?);
    assert_eq!(apply(&tenant, &leave, Some(&after)), Some(after), "again");
    assert_eq!(apply(&tenant, &leave, None), None);
    Ok(())
}

#[test]
fn looking_ends_only_where_nothing_is_left_and_a_queue_only_as_it_was_seen() -> Tried<()> {
    let tenant = tenant()?;
    let entered = apply(&tenant, &enter(&id("a")?, 1, NOW), None).ok_or("refused")?;
    let seen = entered.check_at.ok_or("nobody looks")?;
    let end = RosterWrite::Look { seen, next: None };
    assert_eq!(apply(&tenant, &end, Some(&entered)), None, "a job runs");
    let queued = Roster { running: BTreeSet::new(), queued_at: Some(NOW), ..entered.clone() };
    assert_eq!(apply(&tenant, &end, Some(&queued)), None, "a job may wait");
    assert_eq!(apply(&tenant, &RosterWrite::Unqueue { seen: Time(1) }, Some(&queued)), None, "another one was queued");
    let quiet = apply(&tenant, &RosterWrite::Unqueue { seen: NOW }, Some(&queued)).ok_or("refused")?;
    let left = apply(&tenant, &end, Some(&quiet)).ok_or("refused")?;
    assert_eq!((left.check_shard, left.check_at), (None, None));
    let again = RosterWrite::Look { seen: Time(1), next: Some(NOW) };
    assert_eq!(apply(&tenant, &again, Some(&entered)), None, "somebody else has looked");
    Ok(())
}

#[test]
fn a_plan_mends_what_was_left_half_done_and_fills_the_room_with_the_oldest() -> Tried<()> {
    let roster = Roster { queued_at: Some(NOW), ..roster(4, &["closed", "gone", "left", "new", "runs"])? };
    let known = known(&[
        ("closed", Some(JobStatus::TimedOut)),
        ("gone", None),
        ("left", Some(JobStatus::Queued)),
        ("runs", Some(JobStatus::Running)),
    ])?;
    let queued = [id("left")?, id("first")?, id("second")?];
    let deeds = plan(&roster, &known, &queued, NOW.plus(QUEUE_SETTLED));
    let leave = Deed::Leave(ids(&["closed", "gone"])?);
    assert_eq!(deeds, [leave, Deed::Start(id("left")?), Deed::Admit(id("first")?), Deed::Admit(id("second")?)]);
    Ok(())
}

#[test]
fn a_queue_counts_as_empty_only_once_what_was_queued_last_must_be_seen() -> Tried<()> {
    let roster = Roster { queued_at: Some(NOW), ..roster(1, &["a"])? };
    let runs = known(&[("a", Some(JobStatus::Running))])?;
    let settled = NOW.plus(QUEUE_SETTLED);
    assert_eq!(plan(&roster, &runs, &[], Time(settled.0 - 1)), []);
    assert_eq!(plan(&roster, &runs, &[], settled), [Deed::Unqueue(NOW)]);
    assert_eq!(plan(&roster, &runs, &[id("b")?], settled), [], "it is full, and one waits");
    assert_eq!(next_look(&Roster { queued_at: None, running: BTreeSet::new(), ..roster.clone() }, NOW), None);
    assert!(next_look(&roster, NOW).is_some());
    Ok(())
}

#[test]
fn a_queued_job_starts_once_with_all_its_time_and_is_looked_after_from_then_on() -> Tried<()> {
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    let job = Job::queued(id("j")?, tenant()?, &pipeline, NOW);
    assert_eq!((job.status, job.check_shard.clone()), (JobStatus::Queued, Some(queue_shard(&tenant()?))));
    assert_eq!(job.expires_at, NOW.plus(KEEP_QUEUED).epoch_secs());
    let later = Time(NOW.0 + 100_000_000);
    let write = start(&pipeline, &job, later);
    let Some(Part::Job(started)) = write::apply(&write, Some(&Part::Job(Box::new(job.clone())))) else {
        return Err("it was refused".into());
    };
    let whole = Job::begun(id("j")?, tenant()?, &pipeline, later);
    assert_eq!((started.status, started.deadline), (JobStatus::Running, whole.deadline));
    assert_eq!((started.check_shard.clone(), started.check_at), (whole.check_shard, whole.check_at));
    assert_eq!((started.expires_at, started.created_at), (whole.expires_at, NOW));
    let scheduled = crate::route::scheduled_at(&pipeline, &"a".parse()?, &started);
    assert_eq!(scheduled, Some(later), "no timeout ran while it was queued");
    assert_eq!(write::apply(&write, Some(&Part::Job(started.clone()))), None, "a second time");
    for status in JobStatus::ALL.into_iter().filter(|status| *status != JobStatus::Queued) {
        let other = Part::Job(Box::new(Job { status, ..job.clone() }));
        assert_eq!(write::apply(&write, Some(&other)), None, "{status:?}");
    }
    Ok(())
}

#[test]
fn a_queued_job_is_canceled_before_it_begins_or_after_never_both() -> Tried<()> {
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    let queued = Job::queued(id("j")?, tenant()?, &pipeline, NOW);
    let Canceling::Write(withdraw) = cancel(&pipeline, &queued, "not needed", NOW) else {
        return Err("no write".into());
    };
    let Some(Part::Job(canceled)) = write::apply(&withdraw, Some(&Part::Job(Box::new(queued.clone())))) else {
        return Err("it was refused".into());
    };
    assert_eq!((canceled.status, canceled.closings.len()), (JobStatus::Canceled, 1));
    assert_ne!(canceled.check_shard, queued.check_shard, "its notification is looked after");
    let start = start(&pipeline, &queued, NOW);
    assert_eq!(write::apply(&start, Some(&Part::Job(canceled))), None, "it starts no more");
    let started = write::apply(&start, Some(&Part::Job(Box::new(queued))));
    assert_eq!(write::apply(&withdraw, started.as_ref()), None, "it has begun: whoever cancels looks again");
    Ok(())
}
