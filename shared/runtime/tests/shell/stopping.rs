//! Workers that are told to stop, and workers that die.

use core::time::Duration;

use qsketch_core::parts::Outcome;
use qsketch_core::{JobStatus, TaskId};
use qsketch_runtime::QueueName;

use crate::stage::{End, LEASE, Play, Stage, status};

/// The first attempt at `c` hangs, everything else is quick.
fn first_c_hangs(task: &TaskId, attempt: u32) -> Play {
    if task.to_string() == "c" && attempt == 1 { Play::Hang } else { Play::Make(Duration::ZERO) }
}

#[tokio::test(start_paused = true)]
async fn a_worker_told_to_stop_gives_its_message_back_uncharged_and_another_goes_on_at_once() {
    let stage = Stage::new(1, first_c_hangs);
    stage.sim.set_latency(Duration::from_millis(10));
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    let new = stage.worker("new");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let told = stage.sim.now();
    let stopping = tokio::spawn(old.stop());
    let second = stage.until_begun("c", 2).await;
    assert!(second.began.since(told) < Duration::from_millis(500), "{:?}", second.began.since(told));
    let parts = stage.until_notified(&id).await;
    stopping.await.unwrap();
    // The open poll is waited for, then everything is done within the named bound.
    assert!(stage.sim.now().since(told) < Duration::from_secs(20) + qsketch_runtime::poll::SHUTDOWN_MAX);
    assert_eq!(status(&parts), JobStatus::Completed);
    let task = &parts.tasks[&"c".parse().unwrap()];
    assert_eq!((task.charged, task.released, task.attempts.len()), (0, 1, 1));
    assert_eq!((task.attempts[0].outcome, task.attempts[0].attempt), (Outcome::Released, 1));
    assert!(matches!(stage.played("c")[0].end, End::Dropped(_)));
    new.stop().await;
    assert_eq!(stage.sim.abandoned_polls(), 0);
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_an_ending_poll_still_brings_is_given_back_at_once() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::ZERO));
    stage.sim.set_latency(Duration::from_millis(10));
    let old = stage.worker("old");
    stage.until("its polls are open", |sim| sim.calls().len() == 4).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    old.stopper.stop();
    let id = stage.submit("j").await;
    // Only the old worker polls: its open poll brings the message.
    stage.until("it was received", |sim| sim.messages(&QueueName::new("a")).iter().any(|m| m.receives > 0)).await;
    let sent = stage.sim.now();
    let new = stage.worker("new");
    let first = stage.until_begun("a", 1).await;
    assert!(first.began.since(sent) < Duration::from_millis(500), "{:?}", first.began.since(sent));
    assert_eq!(status(&stage.until_notified(&id).await), JobStatus::Completed);
    old.stop().await;
    new.stop().await;
    assert_eq!(stage.sim.abandoned_polls(), 0);
    assert!(!stage.sim.calls().iter().any(|call| call.process == "old" && call.kind == "claim"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_costs_its_task_a_lease_and_the_job_goes_on_elsewhere() {
    let stage = Stage::new(1, first_c_hangs);
    stage.sim.set_latency(Duration::from_millis(10));
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    tokio::time::sleep(Duration::from_secs(45)).await;
    let died = stage.sim.now();
    old.crash();
    let new = stage.worker("new");
    let second = stage.until_begun("c", 2).await;
    let lost = second.began.since(died);
    // The lease, the bound of the clocks, and whole seconds of visibility.
    assert!(lost < LEASE + Duration::from_secs(2), "{lost:?}");
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let task = &parts.tasks[&"c".parse().unwrap()];
    assert_eq!((task.charged, task.attempts[0].error_type.as_str()), (1, "Heartbeat"));
    assert_eq!(stage.played("a").len(), 1, "a recorded step never runs again");
    new.stop().await;
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stood_still_finds_its_task_taken_and_changes_nothing() {
    let stage = Stage::new(1, |task, attempt| match (task.to_string().as_str(), attempt) {
        ("c", 1) => Play::Make(Duration::from_secs(20)),
        _ => Play::Make(Duration::ZERO),
    });
    stage.sim.set_latency(Duration::from_millis(10));
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    old.process.freeze();
    let new = stage.worker("new");
    let parts = stage.until_notified(&id).await;
    assert_eq!(
        (status(&parts), parts.job.as_ref().unwrap().done[&"c".parse().unwrap()].attempt),
        (JobStatus::Completed, 2)
    );
    old.process.thaw();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(stage.sim.parts(&id), parts, "nothing changes after it thawed");
    stage.check_outputs(&id);
    assert_eq!(stage.notifications().len(), 1);
    old.stop().await;
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hears_of_its_claim_after_the_lease_does_not_begin() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::from_millis(20)));
    stage.sim.set_latency(Duration::from_millis(10));
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    let task = "c".parse().unwrap();
    stage.until("it is claimed", |sim| sim.parts(&id).tasks.contains_key(&task)).await;
    old.process.freeze();
    let new = stage.worker("new");
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    old.process.thaw();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let begun: Vec<u32> = stage.played("c").iter().map(|played| played.attempt).collect();
    assert_eq!(begun, [2], "the first attempt's lease had lapsed before its worker heard of it");
    old.stop().await;
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stands_still_before_its_record_is_overtaken_or_wins_but_never_both() {
    for freeze_at in (0..=24).map(|number| Duration::from_millis(number * 5)) {
        let stage = Stage::new(1, |_, _| Play::Make(Duration::from_millis(20)));
        stage.sim.set_latency(Duration::from_millis(10));
        let old = stage.worker("old");
        let id = stage.submit("j").await;
        stage.until_begun("c", 1).await;
        tokio::time::sleep(freeze_at).await;
        old.process.freeze();
        let new = stage.worker("new");
        tokio::time::sleep(Duration::from_secs(100)).await;
        old.process.thaw();
        let parts = stage.until_notified(&id).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(status(&parts), JobStatus::Completed);
        assert_eq!(stage.notifications().len(), 1);
        stage.check_outputs(&id);
        old.stop().await;
        new.stop().await;
    }
}
