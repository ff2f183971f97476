//! The hold of a long attempt on its task.

use core::time::Duration;
use std::collections::BTreeMap;

use qsketch_core::parts::{Closing, Lease, Verdict};
use qsketch_core::{Commit, Footing, JobStatus, Owner, TaskId, Write};
use qsketch_sim::Fault;

use crate::stage::{End, LEASE, Play, Stage, status};

fn only_a(span: Duration) -> impl Fn(&TaskId, u32) -> Play + Send + Sync {
    move |task, attempt| {
        let long = task.to_string() == "a" && attempt == 1;
        Play::Make(if long { span } else { Duration::ZERO })
    }
}

#[tokio::test(start_paused = true)]
async fn work_longer_than_the_lease_keeps_its_task_with_three_calls_a_beat() {
    let stage = Stage::new(1, only_a(Duration::from_secs(105)));
    let workers = [stage.worker("w1"), stage.worker("w2")];
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    let before = stage.sim.calls().len();
    tokio::time::sleep(Duration::from_secs(104)).await;
    let mut counts = BTreeMap::new();
    for call in stage.sim.calls().split_off(before).into_iter().filter(|call| call.kind != "receive") {
        *counts.entry(call.kind).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("hold", 10), ("load-job", 10), ("hide", 10)]));
    let parts = stage.until_notified(&id).await;
    assert_eq!((status(&parts), stage.played("a").len()), (JobStatus::Completed, 1));
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_heartbeats_may_fail_and_the_task_is_kept() {
    let stage = Stage::new(1, only_a(Duration::from_secs(65)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let next = stage.sim.calls().len() as u64;
    // Two beats, three calls each; polls may stand between them, so a few more.
    for number in next..next + 6 {
        stage.sim.fail_call(number, Fault::Unavailable);
    }
    let parts = stage.until_notified(&id).await;
    assert_eq!((status(&parts), stage.played("a").len()), (JobStatus::Completed, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_the_old_work_and_the_old_worker_writes_nothing_more() {
    let stage = Stage::new(1, only_a(Duration::from_secs(1_000)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    // Somebody else takes the task, as after a lapsed lease.
    let task: TaskId = "a".parse().unwrap();
    let seen = stage.sim.parts(&id).tasks[&task].clone();
    let footing = Footing::Seen { attempt: 1, lease_until: seen.lease.as_ref().map(|lease| lease.until) };
    let until = stage.sim.now().plus(LEASE);
    let lease = Some(Lease { owner: Owner::try_from("thief").unwrap(), until });
    let set = Box::new(qsketch_core::Task { attempt: 2, lease, ..seen });
    let taken = Write::Task { task: task.clone(), footing, set };
    assert!(matches!(stage.sim.observer().table.commit(&id, &taken).await.unwrap(), Commit::Written(_)));
    let stolen = stage.sim.now();
    stage.until("the old work is dropped", |_| matches!(stage.played("a")[0].end, End::Dropped(_))).await;
    let End::Dropped(dropped) = stage.played("a")[0].end else { panic!() };
    assert!(dropped.since(stolen) <= LEASE / 3);
    let parts = stage.sim.parts(&id);
    assert_eq!((parts.tasks[&task].attempt, parts.job.unwrap().done.len()), (2, 0));
    // The thief never comes back: its lease lapses, and the message still does its work.
    let parts = stage.until_notified(&id).await;
    assert_eq!((status(&parts), parts.job.unwrap().done[&task].attempt), (JobStatus::Completed, 3));
    worker.stop().await;
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn work_that_nobody_wants_any_more_is_ended_at_the_next_beat() {
    let stage = Stage::new(1, only_a(Duration::from_secs(1_000)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    let entry = Closing {
        verdict: Verdict::Failed,
        at: stage.sim.now(),
        task: None,
        attempt: None,
        error_type: None,
        error: None,
        result: None,
        refund: None,
    };
    stage.sim.observer().table.commit(&id, &Write::Close { closing: 0, entry }).await.unwrap();
    let closed = stage.sim.now();
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Failed);
    let End::Dropped(dropped) = stage.played("a")[0].end else { panic!("it still works") };
    assert!(dropped.since(closed) <= LEASE / 3);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn purging_the_queue_does_not_stop_work_that_holds_its_lease() {
    let stage = Stage::new(1, only_a(Duration::from_secs(100)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    stage.sim.purge(&qsketch_runtime::QueueName::new("a"));
    let parts = stage.until_notified(&id).await;
    assert_eq!((status(&parts), stage.played("a").len()), (JobStatus::Completed, 1));
    worker.stop().await;
}

/// Runs one long attempt while every call of a kind is in trouble: it must be the only one.
async fn survives(kind: &'static str, fault: Option<Fault>, slower: Duration) {
    let stage = Stage::new(1, only_a(Duration::from_secs(250)));
    let workers = [stage.worker("w1"), stage.worker("w2")];
    let id = stage.submit("j").await;
    let first = stage.until_begun("a", 1).await;
    stage.sim.trouble(kind, fault, slower);
    tokio::time::sleep(Duration::from_secs(200)).await;
    stage.sim.end_trouble();
    let parts = stage.until_notified(&id).await;
    let task = &parts.tasks[&"a".parse().unwrap()];
    assert_eq!((status(&parts), task.attempt, task.charged), (JobStatus::Completed, 1, 0), "{}", stage.log());
    assert_eq!(stage.played("a").iter().map(|played| played.began).collect::<Vec<_>>(), [first.began]);
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_refused_lease_write_loses_a_task_not_a_job_that_can_not_be_read() {
    survives("load-job", Some(Fault::Unavailable), Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn only_a_refused_lease_write_loses_a_task_not_a_visibility_that_can_not_be_set() {
    survives("hide", Some(Fault::Unavailable), Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_until_their_own_timeouts_do_not_hold_up_the_lease() {
    // Four tries of five seconds, and the waits between them.
    survives("hide", Some(Fault::Unavailable), Duration::from_secs(22)).await;
    survives("load-job", Some(Fault::Unavailable), Duration::from_secs(22)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_can_not_be_renewed_ends_the_work_before_another_may_take_it() {
    let stage = Stage::new(1, only_a(Duration::from_secs(250)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let first = stage.until_begun("a", 1).await;
    stage.sim.trouble("hold", Some(Fault::Unavailable), Duration::ZERO);
    let dropped = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let End::Dropped(dropped) = stage.played("a")[0].end {
            break dropped;
        }
    };
    // The lease of 30 s, and the second by which clocks may differ.
    assert!(dropped.since(first.began) <= LEASE + Duration::from_secs(1), "{:?}", dropped.since(first.began));
    stage.sim.end_trouble();
    let parts = stage.until_notified(&id).await;
    assert_eq!((status(&parts), stage.played("a").len()), (JobStatus::Completed, 2));
    worker.stop().await;
}
