//! Messages that nobody can work on: they go to the dead letters with the reason, and their neighbours go on.

use core::time::Duration;

use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{JobId, JobStatus, Message};
use qsketch_runtime::QueueName;

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
