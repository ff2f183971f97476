//! How many calls stand in sequence: every call takes the same time, so that elapsed time counts them.

use core::time::Duration;
use std::collections::BTreeMap;

use qsketch_core::Failure;
use qsketch_sim::Call;

use crate::stage::{Play, Stage};

const LATENCY: Duration = Duration::from_millis(10);

/// The calls in sequence from the end of the receive that brought a message to the end of its successor's send.
fn in_sequence(calls: &[Call], from: &str, to: &str) -> u128 {
    let last_end = |kind: &str, queue: &str| {
        let ended =
            calls.iter().filter(|call| call.kind == kind && call.target == queue).filter_map(|call| call.ended_at);
        ended.collect::<Vec<_>>()
    };
    let sent = *last_end("send", to).first().unwrap();
    let received = last_end("receive", from).into_iter().filter(|received| *received < sent).max().unwrap();
    let elapsed = sent.since(received).as_millis();
    assert_eq!(elapsed % LATENCY.as_millis(), 0, "something else than calls took time");
    elapsed / LATENCY.as_millis()
}

/// The calls of a job on a worker that knows the pipeline already.
async fn warm_calls(stage: &Stage) -> Vec<Call> {
    stage.sim.set_latency(LATENCY);
    let worker = stage.worker("w");
    let first = stage.submit("first").await;
    stage.until_notified(&first).await;
    // The deletes of the first are out.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = stage.sim.now();
    let second = stage.submit("second").await;
    stage.until_notified(&second).await;
    worker.stop().await;
    // The polls that bring the second job's messages may have been open before it began.
    stage.sim.calls().into_iter().filter(|call| call.ended_at.is_some_and(|ended| ended > began)).collect()
}

#[tokio::test(start_paused = true)]
async fn between_a_first_delivery_and_its_successor_s_send_are_at_most_three_calls_in_sequence() {
    let stage = Stage::new(1, |_, _| Play::Work(Duration::ZERO));
    let calls = warm_calls(&stage).await;
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "z")] {
        // The last of b's elements may have lost no race here: each of them is one write on one item.
        assert_eq!(in_sequence(&calls, from, to), 3, "{from} to {to}\n{}", stage.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_makes_two_writes_and_one_read_for_each_task_and_nothing_else() {
    let stage = Stage::new(1, |_, _| Play::Work(Duration::ZERO));
    let calls = warm_calls(&stage).await;
    let mut counts = BTreeMap::new();
    for call in calls.iter().filter(|call| call.kind != "receive") {
        *counts.entry(call.kind).or_insert(0) += 1;
    }
    // Deletes travel together where they happen to meet.
    assert!(counts.remove("delete").is_some_and(|deletes| (4..=6).contains(&deletes)), "{counts:?}");
    // b's three messages travel in one batch.
    assert_eq!(counts, BTreeMap::from([("claim", 6), ("load-job", 6), ("record", 6), ("send", 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_five_calls_in_sequence_it_loads_before_and_after_its_claim() {
    let fails_first = |task: &qsketch_core::TaskId, attempt| match (task.to_string().as_str(), attempt) {
        ("c", 1) => Play::Fail(Failure::retry("Once", "on purpose")),
        _ => Play::Work(Duration::ZERO),
    };
    let stage = Stage::new(1, fails_first);
    let calls = warm_calls(&stage).await;
    assert_eq!(in_sequence(&calls, "a", "b"), 3);
    assert_eq!(in_sequence(&calls, "c", "z"), 5);
}
