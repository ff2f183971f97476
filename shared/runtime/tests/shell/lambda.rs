//! The Lambda entry: a batch in, the records that come back out.

use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::{JobId, Message, TaskId};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::lambda::{Answer, Batch, answer};
use qsketch_runtime::{Consumer, Delivery, Fate, QueueName, Stop};
use serde_json::json;

use crate::stage::{LEASE, Play, Stage};

/// For how long the event source mapping hides what it receives.
const MAPPED: Duration = Duration::from_secs(900);

fn stage() -> Stage {
    Stage::new(1, |task: &TaskId, _| match task.to_string().as_str() {
        "b#1" => Play::Panic,
        _ => Play::Work(Duration::from_secs(2)),
    })
}

/// A job whose three tasks of `b` wait in their queue.
async fn fanned_out(stage: &Stage, id: &str) -> JobId {
    let id = stage.submit(id).await;
    let worker = stage.worker_of("w", &["a"]);
    stage.until("b's tasks are sent", |sim| sim.messages(&QueueName::new("b")).len() >= 3).await;
    worker.stop().await;
    id
}

/// Receives as an event source mapping does, and makes the event of it.
async fn batch(stage: &Stage, queue: &str) -> Batch {
    let queues = stage.sim.observer().queues;
    let got = queues.receive(&QueueName::new(queue), 10, Duration::ZERO, MAPPED).await.unwrap();
    let records: Vec<_> = got
        .into_iter()
        .map(|delivery| {
            json!({
                "messageId": delivery.message_id,
                "receiptHandle": delivery.receipt.0,
                "body": delivery.body,
                "attributes": {
                    "ApproximateReceiveCount": delivery.receives.to_string(),
                    "SentTimestamp": "1545082649183",
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": "1545082649185"
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:qsketch-dev-b",
                "awsRegion": "us-east-1"
            })
        })
        .collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

async fn invoke(stage: &Stage, batch: Batch) -> Answer {
    let ports = stage.sim.process("lambda").ports();
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let consumer = stage.consumer(&ports, &outbox, "b");
    answer(batch, &QueueName::new("b"), &*ports.queues, &outbox, &*consumer).await
}

fn failed(answer: &Answer) -> Vec<String> {
    answer.batch_item_failures.iter().map(|item| item.item_identifier.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_records_that_come_back_are_in_the_answer() {
    let stage = stage();
    let id = fanned_out(&stage, "j").await;
    stage.send("b", "not a message").await;
    stage.send("b", r#"{"layout":9}"#).await;
    let queue = QueueName::new("b");
    let message_of = |text: &str| {
        let found = stage.sim.messages(&queue).into_iter().find(|message| message.body.contains(text));
        found.unwrap().message_id
    };
    let (panics, newer) = (message_of("b#1"), message_of("\"layout\":9"));
    let answer = invoke(&stage, batch(&stage, "b").await).await;
    assert_eq!(failed(&answer), [panics.clone(), newer]);
    let done = stage.sim.parts(&id).job.unwrap().done;
    assert_eq!(done.keys().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b#0", "b#2"]);
    assert_eq!(stage.sim.messages(&queue.dead()).len(), 1);
    // The failed attempt's message is its own retry timer: 10 to 12 s, of which its neighbours worked for 2 s.
    let retried = stage.sim.messages(&queue).into_iter().find(|message| message.message_id == panics).unwrap();
    let rests = retried.visible_at.since(stage.sim.now());
    assert!((8..=10).contains(&rests.as_secs()), "{rests:?}");
}

#[tokio::test(start_paused = true)]
async fn every_send_is_out_before_the_answer() {
    let stage = Stage::new(1, |_, _| Play::Work(Duration::ZERO));
    fanned_out(&stage, "j").await;
    stage.sim.set_latency(Duration::from_millis(10));
    let answer = invoke(&stage, batch(&stage, "b").await).await;
    assert_eq!(answer, Answer::default());
    assert_eq!(stage.sim.messages(&QueueName::new("c")).len(), 1);
    assert!(stage.sim.calls().iter().all(|call| call.ended_at.is_some()), "no call is left open");
}

#[tokio::test(start_paused = true)]
async fn visibility_is_set_for_each_record_at_its_claim_first_or_later() {
    for receives in [1, 2] {
        let stage = Stage::new(1, |_, _| Play::Hang);
        let id = stage.begin("j").await;
        let job = stage.sim.parts(&id).job.unwrap();
        let message: Message = qsketch_core::decide::start_message(&stage.pipeline, &job);
        stage.send("a", &message.body()).await;
        let queues = stage.sim.observer().queues;
        for _ in 1..receives {
            queues.receive(&QueueName::new("a"), 1, Duration::ZERO, Duration::ZERO).await.unwrap();
        }
        let batch = batch(&stage, "a").await;
        let ports = stage.sim.process("lambda").ports();
        let outbox = Outbox::new(Arc::clone(&ports.queues));
        let consumer = stage.consumer(&ports, &outbox, "a");
        let queue = QueueName::new("a");
        let invocation = answer(batch, &queue, &*ports.queues, &outbox, &*consumer);
        let claimed = stage.until_begun("a", 1);
        tokio::select! {
            _ = invocation => panic!("it hangs"),
            _ = claimed => {}
        }
        let rests = stage.sim.messages(&queue)[0].visible_at.since(stage.sim.now());
        assert!(rests <= LEASE, "received {receives} times: hidden for {rests:?} after its claim");
    }
}

#[tokio::test(start_paused = true)]
async fn one_environment_answers_invocation_after_invocation() {
    let stage = Stage::new(1, |_, _| Play::Work(Duration::ZERO));
    let ports = stage.sim.process("lambda").ports();
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let (consumer, queue) = (stage.consumer(&ports, &outbox, "a"), QueueName::new("a"));
    for number in 1..=3 {
        stage.submit(&format!("j{number}")).await;
        let answered = answer(batch(&stage, "a").await, &queue, &*ports.queues, &outbox, &*consumer).await;
        assert_eq!(answered, Answer::default());
        assert_eq!(stage.sim.messages(&QueueName::new("b")).len(), 3 * number);
    }
}

struct Panics;

#[async_trait]
impl Consumer for Panics {
    async fn consume(&self, delivery: &Delivery, _: &Stop) -> Fate {
        assert!(!delivery.body.contains("#1"), "on purpose");
        Fate::Delete
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_panics_fails_its_own_record_only() {
    let stage = stage();
    fanned_out(&stage, "j").await;
    let batch = batch(&stage, "b").await;
    let bad = batch.records.iter().find(|record| record.body.contains("b#1")).unwrap().message_id.clone();
    let ports = stage.sim.process("lambda").ports();
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let answer = answer(batch, &QueueName::new("b"), &*ports.queues, &outbox, &Panics).await;
    assert_eq!(failed(&answer), [bad]);
    let text = serde_json::to_value(&answer).unwrap();
    assert_eq!(text, json!({ "batchItemFailures": [{ "itemIdentifier": failed(&answer)[0] }] }));
}
