//! Lists on simulated ports, and what they cost: as much on a hundred thousand jobs as on a thousand.

use std::collections::BTreeSet;
use std::error::Error;

use qsketch_core::{Closing, Commit, Job, JobId, JobStatus, Pipeline, StepSpec, Tenant, Time, Verdict, Write};
use qsketch_ops::list::{DAYS_MAX, EXAMINED_MAX, LIMIT_MAX};
use qsketch_ops::{Listing, OpsError, Query, list};
use qsketch_sim::{EPOCH, Sim};

type Tried<T = ()> = Result<T, Box<dyn Error>>;

const DAY: u64 = 86_400_000;

/// When the newest job was taken in: in the middle of a day.
const NEWEST: Time = Time(EPOCH.day_begin().0 + 40 * DAY + DAY / 2);

fn pipeline() -> Tried<Pipeline> {
    Ok(Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?)
}

/// Jobs of a tenant, each taken in `every` milliseconds before the one in front of it; every hundredth failed.
async fn filled(count: u64, every: u64) -> Tried<Sim> {
    let (sim, pipeline) = (Sim::new(1), pipeline()?);
    let (table, tenant) = (sim.observer().table, Tenant::try_from("t")?);
    for n in 0..count {
        let id = JobId::try_from(format!("j{n}"))?;
        let job = Job::begun(id.clone(), tenant.clone(), &pipeline, Time(NEWEST.0 - n * every));
        table.commit(&id, &Write::CreateJob(Box::new(job))).await?;
        if n % 100 == 99 {
            let entry = Closing {
                verdict: Verdict::Failed,
                at: NEWEST,
                task: Some("a".parse()?),
                attempt: Some(3),
                error_type: Some("Broken".to_owned()),
                error: Some("it broke".to_owned().into()),
                result: None,
                refund: None,
            };
            let commit = table.commit(&id, &Write::Close { closing: 0, entry }).await?;
            assert!(matches!(commit, Commit::Written(_)));
        }
    }
    Ok(sim)
}

fn query() -> Tried<Query> {
    Ok(Query {
        tenant: Tenant::try_from("t")?,
        statuses: BTreeSet::new(),
        since: Time(NEWEST.0 - 30 * DAY),
        until: NEWEST,
        limit: 20,
        after: None,
    })
}

/// What a list brought, with its calls and the halves of read units that it consumed.
async fn cost(sim: &Sim, query: &Query) -> Tried<(Listing, usize, u64)> {
    let before = (sim.calls().len(), sim.units());
    let listing = list(&sim.ports(), query).await?;
    let after = sim.units();
    assert_eq!((after.reads, after.writes), (before.1.reads, before.1.writes), "a list reads at half the price");
    let calls = &sim.calls()[before.0..];
    assert!(calls.iter().all(|call| ["places", "jobs"].contains(&call.kind)), "{calls:?}");
    Ok((listing, calls.len(), after.list_halves - before.1.list_halves))
}

#[tokio::test(start_paused = true)]
async fn a_list_costs_the_same_on_a_thousand_jobs_and_on_a_hundred_thousand() -> Tried {
    let mut costs = Vec::new();
    // As dense in both, so that as many days are walked: some 3,300 jobs a day.
    for count in [1_000, 100_000] {
        let sim = filled(count, DAY * 30 / 100_000).await?;
        let newest = query()?;
        let (first, calls, halves) = cost(&sim, &newest).await?;
        assert_eq!(first.jobs.len(), 20);
        assert_eq!((calls, halves), (2, 21), "one question to the index, half a unit; twenty jobs, half a unit each");
        let next = Query { after: first.cursor, ..newest.clone() };
        let (second, ..) = cost(&sim, &next).await?;
        assert_eq!(second.jobs[0].job.as_str(), "j20");
        let failed = Query { statuses: BTreeSet::from([JobStatus::Failed]), limit: 5, ..newest.clone() };
        let (of_failed, ..) = cost(&sim, &failed).await?;
        assert_eq!((of_failed.jobs.len(), of_failed.examined), (5, 500));
        let most = Query { limit: LIMIT_MAX, ..newest };
        let mut of = Vec::new();
        for query in [next, failed, most] {
            let (_, calls, halves) = cost(&sim, &query).await?;
            of.push((calls, halves));
        }
        costs.push(of);
    }
    assert_eq!(costs[0], costs[1]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn pages_reach_every_job_of_a_month_and_an_empty_day_costs_half_a_unit() -> Tried {
    // One job every two days.
    let sim = filled(15, 2 * DAY).await?;
    let mut query = Query { limit: 4, ..query()? };
    let mut found = Vec::new();
    loop {
        let (listing, ..) = cost(&sim, &query).await?;
        found.extend(listing.jobs.into_iter().map(|row| row.job.to_string()));
        query.after = listing.cursor;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..15).map(|n| format!("j{n}")).collect::<Vec<_>>());
    let nobody = Query { tenant: Tenant::try_from("nobody")?, ..query };
    let (none, calls, halves) = cost(&sim, &nobody).await?;
    assert_eq!((none.jobs.len(), none.cursor, calls, halves), (0, None, 31, 31));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rare_status_costs_at_most_what_its_bound_allows_and_tells_how_each_job_closed() -> Tried {
    let sim = filled(3_000, 1_000).await?;
    let failed = Query { statuses: BTreeSet::from([JobStatus::Failed]), limit: LIMIT_MAX, ..query()? };
    let (listing, calls, halves) = cost(&sim, &failed).await?;
    assert_eq!((listing.jobs.len(), listing.examined, calls), (10, EXAMINED_MAX, 20));
    // Ten pages of a hundred places, each somewhat over 4 KiB; a thousand jobs.
    assert_eq!(halves, 10 * 2 + 1_000);
    let row = &listing.jobs[0];
    assert_eq!((row.status, row.closed_at), (Some(JobStatus::Failed), Some(NEWEST)));
    assert_eq!(row.closing.as_ref().and_then(|closing| closing.error_type.as_deref()), Some("Broken"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_question_asks_nothing_and_says_what_to_do() -> Tried {
    let sim = filled(1, 1).await?;
    let good = query()?;
    for (wrong, word) in [
        (Query { limit: 0, ..good.clone() }, "give 1 to 100"),
        (Query { limit: LIMIT_MAX + 1, ..good.clone() }, "give 1 to 100"),
        (Query { since: Time(good.until.0 + 1), ..good.clone() }, "begins after that"),
        (Query { since: Time(good.until.0 - DAYS_MAX * DAY), ..good }, "at most 366 at once"),
    ] {
        let before = sim.calls().len();
        match list(&sim.ports(), &wrong).await {
            Err(OpsError::BadQuestion { problem }) => assert!(problem.contains(word), "{problem}"),
            other => return Err(format!("{other:?}").into()),
        }
        assert_eq!(sim.calls().len(), before);
    }
    Ok(())
}
