//! The cap on a tenant's jobs: who runs, who waits, in which order, what it costs, and what a death leaves behind.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use qsketch_core::decide::start_message;
use qsketch_core::limits::{PATIENCE, TENANT_LOOK_INTERVAL};
use qsketch_core::tenant::apply;
use qsketch_core::{Commit, Job, JobId, JobStatus, Part, Roster, RosterWrite, Tenant, Write};
use qsketch_runtime::Ports;
use qsketch_runtime::QueueName;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::pipelines::Pipelines;
use qsketch_runtime::ports::{Outgoing, PortError};
use qsketch_runtime::reconcile::{Mode, PERIOD, reconcile};
use qsketch_runtime::tenants::Tenants;
use qsketch_sim::{Fault, Sim};

use crate::disorder::run;
use crate::reconciled::Sweeping;
use crate::stage::{Play, Stage, status};

/// The cap.
const JOBS_MAX: u32 = 3;

fn work(_: &qsketch_core::TaskId, _: u32) -> Play {
    Play::Work(Duration::from_secs(2))
}

/// Takes a job in as intake does.
async fn take(stage: &Stage, ports: &Ports, tenant: &str, id: &str) -> Result<Job, PortError> {
    stage.sim.observer().table.keep_pipeline(&stage.pipeline).await.unwrap();
    let (id, tenant) = (JobId::try_from(id).unwrap(), Tenant::try_from(tenant).unwrap());
    let queued = Job::queued(id.clone(), tenant, &stage.pipeline, ports.clock.now());
    let job = match ports.table.commit(&id, &Write::CreateJob(Box::new(queued))).await? {
        Commit::Written(Part::Job(job)) | Commit::Overtaken(Some(Part::Job(job))) => *job,
        other => panic!("{other:?}"),
    };
    let (outbox, pipelines) = (Outbox::new(std::sync::Arc::clone(&ports.queues)), Pipelines::default());
    let job = Tenants { ports, outbox: &outbox, pipelines: &pipelines }.begin(job, JOBS_MAX).await?;
    if job.status == JobStatus::Running {
        let first = Outgoing::task(&start_message(&stage.pipeline, &job), &job.tenant);
        ports.queues.send(&QueueName::new("a"), &[first]).await?.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(job)
}

/// The most jobs of each tenant that ever ran at once, and the order in which they were started.
fn ran(sim: &Sim) -> (BTreeMap<String, usize>, Vec<JobId>) {
    let (mut running, mut most, mut order) = (BTreeMap::<String, BTreeSet<JobId>>::new(), BTreeMap::new(), Vec::new());
    for commit in sim.commits() {
        let tenant = sim.parts(&commit.job).job.unwrap().tenant.to_string();
        match commit.write {
            Write::Start(_) => {
                let of_tenant = running.entry(tenant.clone()).or_default();
                of_tenant.insert(commit.job.clone());
                let seen = most.entry(tenant).or_default();
                *seen = of_tenant.len().max(*seen);
                order.push(commit.job);
            }
            Write::Close { .. } | Write::Record { close: Some(_), .. } => {
                running.entry(tenant).or_default().remove(&commit.job);
            }
            _ => {}
        }
    }
    (most, order)
}

fn is_over(sim: &Sim, id: &JobId) -> bool {
    sim.parts(id).job.is_some_and(|job| job.status.is_closed() && job.check_at.is_none())
}

async fn until_all_are_over(stage: &Stage, jobs: usize) {
    let over = |sim: &Sim| {
        let ids = sim.jobs();
        ids.len() == jobs && ids.iter().all(|id| is_over(sim, id))
    };
    stage.until("every job is over", over).await;
    let tenants: BTreeSet<Tenant> = stage.sim.jobs().iter().map(|id| stage.sim.parts(id).job.unwrap().tenant).collect();
    let is_vacated =
        |sim: &Sim| tenants.iter().all(|tenant| sim.roster(tenant).is_none_or(|roster| roster.running.is_empty()));
    stage.until("every place is free", is_vacated).await;
}

#[test]
fn one_tenant_s_thousand_jobs_keep_no_worker_from_another_s_one() {
    run(async {
        let stage = Stage::new(1, work);
        let ports = stage.sim.process("intake").ports();
        for n in 0..1_000 {
            take(&stage, &ports, "many", &format!("many-{n:04}")).await.unwrap();
        }
        let workers = [stage.worker("w1"), stage.worker("w2")];
        let began = stage.sim.now();
        let one = take(&stage, &ports, "one", "one").await.unwrap().job_id;
        stage.until_notified(&one).await;
        let took = stage.sim.now().since(began);
        let over = stage.sim.jobs().iter().filter(|id| is_over(&stage.sim, id)).count();
        // Four steps of 2 s, and a few of the other's tasks before it.
        assert!(over < 20, "{over} jobs were over before it, which took {took:?}");
        until_all_are_over(&stage, 1_001).await;
        let (most, order) = ran(&stage.sim);
        assert_eq!(most, [("many".to_owned(), JOBS_MAX as usize), ("one".to_owned(), 1)].into());
        let many: Vec<&JobId> = order.iter().filter(|id| id.as_str() != "one").collect();
        assert!(many.is_sorted(), "they start in their order: {:?}", &many[..20]);
        assert!(stage.sim.jobs().iter().all(|id| status(&stage.sim.parts(id)) == JobStatus::Completed));
        for worker in workers {
            worker.stop().await;
        }
    });
}

#[test]
fn without_a_cap_another_s_one_waits_behind_all_of_them() {
    run(async {
        let stage = Stage::new(1, work);
        for n in 0..200 {
            stage.submit(&format!("many-{n:04}")).await;
        }
        let workers = [stage.worker("w1"), stage.worker("w2")];
        let one = stage.submit("one").await;
        stage.until_notified(&one).await;
        let over = stage.sim.jobs().iter().filter(|id| is_over(&stage.sim, id)).count();
        assert!(over > 100, "only {over} of 200 were over before it: the cap of the other test would prove nothing");
        for worker in workers {
            worker.stop().await;
        }
    });
}

#[test]
fn a_job_within_the_cap_costs_three_writes_more_and_one_beyond_it_two_more_and_two_questions() {
    run(async {
        let stage = Stage::new(1, work);
        let ports = stage.sim.process("intake").ports();
        let worker = stage.worker("w");
        let cost = async |jobs: u32| {
            let before = stage.sim.calls().len();
            for n in 0..jobs {
                take(&stage, &ports, "t", &format!("j-{jobs}-{n}")).await.unwrap();
            }
            let already = stage.sim.jobs().len();
            until_all_are_over(&stage, already).await;
            let mut counts = BTreeMap::new();
            for call in &stage.sim.calls()[before..] {
                *counts.entry(call.kind).or_insert(0) += 1;
            }
            ["enter", "start", "leave", "queue", "admit", "due"].map(|kind| counts.get(kind).copied().unwrap_or(0))
        };
        assert_eq!(cost(JOBS_MAX).await, [3, 3, 3, 0, 0, 0], "enter, start and leave for each");
        // One that is refused is queued, and asked for by whoever leaves; that one's own entry is an admission.
        assert_eq!(cost(JOBS_MAX + 1).await[..5], [4, 4, 4, 1, 1]);
        worker.stop().await;
    });
}

#[test]
fn within_the_cap_a_job_takes_five_write_units_more() {
    let units = |is_capped: bool| {
        run(async move {
            let stage = Stage::new(1, work);
            let ports = stage.sim.process("intake").ports();
            let worker = stage.worker("w");
            let one = async |n: u32| {
                let before = stage.sim.units();
                let id = format!("j{n}");
                if is_capped {
                    take(&stage, &ports, "t", &id).await.unwrap();
                } else {
                    stage.submit(&id).await;
                }
                until_all_are_over(&stage, n as usize + 1).await;
                let after = stage.sim.units();
                after.writes + after.index_writes - before.writes - before.index_writes
            };
            // The first one makes the roster's entry in the index.
            one(0).await;
            let second = one(1).await;
            worker.stop().await;
            second
        })
    };
    // Its input is written by the one of the two that is not capped: a unit.
    let (capped, free) = (units(true), units(false));
    assert_eq!(capped + 1, free + 5, "{capped} with a cap, {free} without one");
}

#[test]
fn every_call_of_a_capped_job_may_fail_or_lose_its_reply_and_no_place_is_lost() {
    let calls = run_with(None);
    assert!(calls > 60, "{calls}");
    for number in 0..calls {
        for fault in [Fault::Unavailable, Fault::LostReply, Fault::CrashBefore, Fault::CrashAfter] {
            run_with(Some((number, fault)));
        }
    }
}

/// Three tenants' worth of trouble in one: five jobs at a cap of three, one of them canceled; the number of calls.
fn run_with(fault: Option<(u64, Fault)>) -> u64 {
    run(async move {
        let stage = Stage::new(7, work);
        if let Some((number, fault)) = fault {
            stage.sim.fail_call(number, fault);
        }
        let _sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
        // Whoever dies is followed by another.
        for n in 0..5 {
            let mut turn = 0;
            loop {
                let process = stage.sim.process(&format!("intake-{n}.{turn}"));
                let ports = process.ports();
                let id = format!("j{n}");
                let taken = tokio::select! {
                    biased;
                    taken = take(&stage, &ports, "t", &id) => taken.is_ok(),
                    () = process.crashed() => false,
                };
                if taken {
                    break;
                }
                turn += 1;
            }
        }
        let workers = [stage.worker("w1"), stage.worker("w2")];
        let _again = Sweeping::every_minute(stage.sim.process("reconciler-2").ports());
        until_all_are_over(&stage, 5).await;
        let (most, _) = ran(&stage.sim);
        assert!(most["t"] <= JOBS_MAX as usize, "{fault:?}: {most:?}\n{}", stage.log());
        let statuses: Vec<JobStatus> = stage.sim.jobs().iter().map(|id| status(&stage.sim.parts(id))).collect();
        assert_eq!(statuses, [JobStatus::Completed; 5], "{fault:?}");
        let calls = stage.sim.calls().len() as u64;
        drop(workers);
        calls
    })
}

#[test]
fn a_place_that_nobody_gives_up_is_found_by_a_sweep() {
    run(async {
        let stage = Stage::new(3, work);
        let ports = stage.sim.process("intake").ports();
        let tenant = Tenant::try_from("t").unwrap();
        // The notification is stuck: nobody serves its queue, so nobody leaves.
        let worker = stage.worker_of("w", &["a", "b", "c"]);
        for n in 0..=JOBS_MAX {
            take(&stage, &ports, "t", &format!("j{n}")).await.unwrap();
        }
        let last = JobId::try_from(format!("j{JOBS_MAX}")).unwrap();
        stage
            .until("three have closed", |sim| {
                sim.jobs().iter().filter(|id| status(&sim.parts(id)).is_closed()).count() == 3
            })
            .await;
        assert_eq!(status(&stage.sim.parts(&last)), JobStatus::Queued);
        let closed = stage.sim.now();
        let _sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
        stage.until("the fourth starts", |sim| status(&sim.parts(&last)) != JobStatus::Queued).await;
        let waited = stage.sim.now().since(closed);
        assert!(waited <= TENANT_LOOK_INTERVAL + PERIOD + PATIENCE, "{waited:?}");
        assert!(!stage.sim.roster(&tenant).unwrap().running.is_empty());
        worker.stop().await;
    });
}

#[test]
fn a_dry_run_tells_what_it_would_do_for_a_tenant_and_does_nothing() {
    run(async {
        let stage = Stage::new(3, work);
        let ports = stage.sim.process("intake").ports();
        for n in 0..=JOBS_MAX {
            take(&stage, &ports, "t", &format!("j{n}")).await.unwrap();
        }
        let first = JobId::try_from("j0").unwrap();
        let operator = stage.sim.observer();
        let job = stage.sim.parts(&first).job.unwrap();
        let qsketch_core::Canceling::Write(close) = qsketch_core::cancel(&stage.pipeline, &job, "no", stage.sim.now())
        else {
            panic!("no write")
        };
        operator.table.commit(&first, &close).await.unwrap();
        tokio::time::sleep(TENANT_LOOK_INTERVAL).await;
        let told = reconcile(&ports, Mode::DryRun).await.unwrap();
        let of_tenant: Vec<String> = told.deeds.iter().map(|deed| format!("{}: {}", deed.job, deed.what)).collect();
        assert!(of_tenant.contains(&"j0: give up its place: it has closed".to_owned()), "{of_tenant:?}");
        assert!(of_tenant.contains(&format!("j{JOBS_MAX}: start it: its tenant has room")), "{of_tenant:?}");
        let tenant = Tenant::try_from("t").unwrap();
        assert_eq!(stage.sim.roster(&tenant).unwrap().running.len(), JOBS_MAX as usize, "nothing was done");
        assert_eq!(reconcile(&ports, Mode::Mend).await.unwrap().tenants, 1);
        assert_eq!(status(&stage.sim.parts(&JobId::try_from(format!("j{JOBS_MAX}")).unwrap())), JobStatus::Running);
    });
}

#[test]
fn a_roster_that_lets_everybody_in_is_seen_by_these_checks() {
    run(async {
        let stage = Stage::new(1, work);
        let wide = |tenant: &Tenant, write: &RosterWrite, current: Option<&Roster>| match write {
            RosterWrite::Enter { job, check_at, .. } => {
                let write = RosterWrite::Enter { job: job.clone(), jobs_max: u32::MAX, check_at: *check_at };
                apply(tenant, &write, current)
            }
            write => apply(tenant, write, current),
        };
        stage.sim.set_roster_law(std::sync::Arc::new(wide));
        let ports = stage.sim.process("intake").ports();
        for n in 0..5 {
            take(&stage, &ports, "t", &format!("j{n}")).await.unwrap();
        }
        let (most, _) = ran(&stage.sim);
        assert_eq!(most["t"], 5);
    });
}
