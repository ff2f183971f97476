//! Messages that nobody can work on: they go to the dead letters with the reason, and their neighbours go on.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{JobId, JobStatus, Message};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::guard::{self, RECEIVES_FRESH};
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::{Outgoing, Receipt};
use qsketch_runtime::{Consumer, Delivery, Fate, PortError, QueueName, Stop, Stopper, shutdown};
use tokio::task::JoinHandle;

use crate::stage::{Play, Stage, status};

fn stage() -> Stage {
    Stage::new(1, |_, _| Play::Make(Duration::ZERO))
}

/// A message of a job, as its sender would write it.
async fn message(stage: &Stage, job: &JobId, task: &str) -> Message {
    let job = stage.sim.parts(job).job.unwrap();
    Message { task: task.parse().unwrap(), ..qsketch_core::decide::start_message(&stage.pipeline, &job) }
}

/// Sends a body into the queue `b` beside a running job: the reason with which it ends in the dead letters.
async fn reason_of(body: impl AsyncFnOnce(&Stage, &JobId) -> String) -> String {
    let stage = stage();
    let worker = stage.worker("w");
    let other = stage.begin("other").await;
    let body = body(&stage, &other).await;
    stage.send("b", &body).await;
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed, "the neighbours go on");
    let dead = QueueName::new("b").dead();
    stage.until("it is a dead letter", |sim| !sim.messages(&dead).is_empty()).await;
    stage.until("it is gone from its queue", |sim| sim.messages(&QueueName::new("b")).is_empty()).await;
    worker.stop().await;
    let letters = stage.sim.messages(&dead);
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].body.as_str(), letters[0].attributes["queue"].as_str()), (body.as_str(), "b"));
    assert_eq!(letters[0].attributes["receives"], "1");
    stage.check_outputs(&id);
    letters[0].attributes["reason"].clone()
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_says_what_is_wrong_with_it() {
    let reason = reason_of(async |_, _| "{nonsense \u{1F642}".to_owned()).await;
    assert!(reason.starts_with("the body is not a task message: "), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_huge_body_is_not_even_parsed() {
    let reason = reason_of(async |_, _| "x".repeat(200_000)).await;
    assert!(reason.contains("200000 bytes, at most 4096"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_queue_is_told_apart() {
    let reason = reason_of(async |stage, job| message(stage, job, "a").await.body()).await;
    assert_eq!(reason, "task a does not belong into queue b");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_job_is_named() {
    let lost = async |stage: &Stage, job: &JobId| {
        Message { job: JobId::try_from("lost").unwrap(), ..message(stage, job, "b#0").await }.body()
    };
    assert_eq!(reason_of(lost).await, "there is no job \"lost\" in the table");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_pipeline_is_named() {
    let foreign = async |stage: &Stage, job: &JobId| {
        let pipeline = PipelineHash::try_from("0".repeat(32)).unwrap();
        Message { pipeline, ..message(stage, job, "b#0").await }.body()
    };
    assert_eq!(reason_of(foreign).await, format!("there is no pipeline {} in the table", "0".repeat(32)));
}

#[tokio::test(start_paused = true)]
async fn a_task_of_the_wrong_shape_is_named() {
    let reason = reason_of(async |stage, job| message(stage, job, "b").await.body()).await;
    assert_eq!(reason, "its pipeline has no task of the form \"b\"");
}

#[tokio::test(start_paused = true)]
async fn an_element_beyond_the_list_is_named_once_the_list_is_known() {
    let stage = stage();
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_notified(&id).await;
    let other = stage.submit("other").await;
    stage.until("its list is known", |sim| sim.parts(&other).job.is_some_and(|job| !job.done.is_empty())).await;
    stage.send("b", &message(&stage, &other, "b#9").await.body()).await;
    let dead = QueueName::new("b").dead();
    stage.until("it is a dead letter", |sim| !sim.messages(&dead).is_empty()).await;
    assert_eq!(stage.sim.messages(&dead)[0].attributes["reason"], "the list has no element for \"b#9\"");
    assert_eq!(status(&stage.until_notified(&other).await), JobStatus::Completed);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_newer_layout_is_given_back_untouched() {
    let stage = stage();
    let worker = stage.worker("w");
    let body = r#"{"layout":2,"what":"nobody here knows"}"#;
    stage.send("b", body).await;
    let id = stage.submit("j").await;
    assert_eq!(status(&stage.until_notified(&id).await), JobStatus::Completed);
    worker.stop().await;
    let left = stage.sim.messages(&QueueName::new("b"));
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].body, body);
    assert!(left[0].visible_at.since(stage.sim.now()) > Duration::from_secs(30), "it rests for a while");
    assert_eq!(stage.sim.messages(&QueueName::new("b").dead()), []);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_in_every_attempt_fails_its_job_and_is_a_dead_letter() {
    let stage = Stage::new(1, |task, _| match task.to_string().as_str() {
        "b#1" => Play::Panic,
        _ => Play::Make(Duration::ZERO),
    });
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    let dead = QueueName::new("b").dead();
    stage.until("it is a dead letter", |sim| !sim.messages(&dead).is_empty()).await;
    stage.until("its queue is empty", |sim| sim.messages(&QueueName::new("b")).is_empty()).await;
    worker.stop().await;
    let job = parts.job.unwrap();
    assert_eq!(job.status, JobStatus::Failed);
    assert_eq!(job.closings[0].error_type.as_deref(), Some("Panic"));
    assert!(["b#0", "b#2"].iter().all(|task| job.done.contains_key(&task.parse().unwrap())), "its neighbours go on");
    let letters = stage.sim.messages(&dead);
    assert_eq!(letters.len(), 1);
    let reason = "b#1 failed for good, its attempt 3 panicked: the step panicked on purpose";
    assert_eq!(letters[0].attributes["reason"], reason);
    assert_eq!(Message::parse(&letters[0].body).unwrap().task.to_string(), "b#1");
}

/// Panics at every message that says so; hides every one that says so, and deletes the others.
struct Rough {
    consumed: Mutex<Vec<Delivery>>,
}

#[async_trait]
impl Consumer for Rough {
    async fn consume(&self, delivery: &Delivery, _: &Stop) -> Fate {
        self.consumed.lock().unwrap().push(delivery.clone());
        assert!(!delivery.body.contains("panic"), "cannot stand {}", delivery.body);
        if delivery.body.contains("wait") { Fate::Hide(Duration::from_secs(1)) } else { Fate::Delete }
    }
}

/// A worker process of this consumer, for the queue `q`.
fn run(stage: &Stage) -> (Arc<Rough>, Stopper, JoinHandle<Result<(), PortError>>) {
    let queues = stage.sim.ports().queues;
    let rough = Arc::new(Rough { consumed: Mutex::default() });
    let (stopper, stop) = shutdown::pair();
    let queue = QueueName::new("q");
    let polling = Polling { queue, concurrency: 4, wait: Duration::from_secs(20), hide: Duration::from_secs(30) };
    let consumer = Arc::clone(&rough);
    let running = async move { poll::run(&polling, Arc::clone(&queues), &Outbox::new(queues), consumer, &stop).await };
    (rough, stopper, tokio::spawn(running))
}

#[tokio::test(start_paused = true)]
async fn a_message_at_which_every_consumer_panics_is_a_dead_letter_and_blocks_nobody() {
    let stage = stage();
    let (rough, stopper, running) = run(&stage);
    stage.send("q", "panic").await;
    for number in 0..20 {
        stage.send("q", &format!("sound {number}")).await;
    }
    let (queue, dead) = (QueueName::new("q"), QueueName::new("q").dead());
    stage.until("the others are gone", |sim| sim.messages(&queue).len() <= 1).await;
    assert_eq!(stage.sim.messages(&dead), [], "it has not been given up when its neighbours are done");
    stage.until("all are gone", |sim| sim.messages(&queue).is_empty()).await;
    stopper.stop();
    running.await.unwrap().unwrap();
    let letters = stage.sim.messages(&dead);
    assert_eq!((letters.len(), letters[0].body.as_str()), (1, "panic"));
    assert_eq!(letters[0].attributes["reason"], "its consumer panicked, at receipt 5: cannot stand panic");
    assert_eq!((letters[0].attributes["queue"].as_str(), letters[0].attributes["receives"].as_str()), ("q", "5"));
    let receipts = rough.consumed.lock().unwrap().iter().filter(|delivery| delivery.body == "panic").count();
    assert_eq!(receipts, 5);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_long_never_runs_out_of_receives() {
    let stage = stage();
    let (rough, stopper, running) = run(&stage);
    let queue = QueueName::new("q");
    let attributes = BTreeMap::from([("trace".to_owned(), "t-1".to_owned())]);
    let message = Outgoing { body: "wait".to_owned(), attributes, group: Some("t".to_owned()) };
    stage.sim.observer().queues.send(&queue, &[message]).await.unwrap()[0].as_ref().unwrap();
    let received = || rough.consumed.lock().unwrap().len();
    stage.until("it was received 2,000 times", |_| received() >= 2_000).await;
    stopper.stop();
    running.await.unwrap().unwrap();
    let consumed = rough.consumed.lock().unwrap();
    assert!(consumed.iter().all(|delivery| delivery.attributes["trace"] == "t-1" && delivery.body == "wait"));
    assert!(consumed.iter().all(|delivery| delivery.group.as_deref() == Some("t")), "it stays its tenant's");
    assert!(consumed.iter().all(|delivery| delivery.original_id() == consumed[0].message_id), "it keeps its first id");
    assert_eq!(consumed.iter().map(|delivery| delivery.receives).max(), Some(RECEIVES_FRESH));
    assert_eq!(stage.sim.messages(&queue).len(), 1, "there is one of it");
    assert_eq!(stage.sim.messages(&queue.dead()), []);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_copy_of_a_task_does_not_say_what_the_job_was() {
    let stage = stage().light();
    let job = stage.begin("j").await;
    let message = message(&stage, &job, "a").await;
    let known = Message { known: Some(Arc::new(stage.sim.parts(&job).job.unwrap())), ..message.clone() };
    let outbox = Outbox::new(stage.sim.ports().queues);
    let delivery = Delivery {
        message_id: "m".to_owned(),
        receipt: Receipt("r".to_owned()),
        receives: RECEIVES_FRESH,
        body: known.body(),
        attributes: BTreeMap::new(),
        group: None,
        sent_at: None,
        hidden_for: None,
    };
    let (_stopper, stop) = shutdown::pair();
    let fate = guard::consume(&Waits, &QueueName::new("q"), &outbox, &delivery, &stop).await;
    assert_eq!(fate, Fate::Delete);
    let copies = stage.sim.messages(&QueueName::new("q"));
    assert_eq!(copies.len(), 1);
    assert_eq!(Message::parse(&copies[0].body).unwrap(), Message { known: None, ..message });
}

/// Hides every message.
struct Waits;

#[async_trait]
impl Consumer for Waits {
    async fn consume(&self, _: &Delivery, _: &Stop) -> Fate {
        Fate::Hide(Duration::from_secs(1))
    }
}
