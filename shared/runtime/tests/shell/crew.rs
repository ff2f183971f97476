//! A process that serves several steps: light successors are handed on instead of sent.

use core::time::Duration;

use qsketch_core::{Failure, JobStatus};
use qsketch_runtime::QueueName;

use crate::stage::{Play, Stage, TASKS, status};

fn count(stage: &Stage, kind: &str) -> usize {
    stage.sim.calls().iter().filter(|call| call.kind == kind).count()
}

#[tokio::test(start_paused = true)]
async fn a_crew_runs_a_job_under_one_message() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::from_secs(1))).crew();
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    stage.check_outputs(&id);
    // The one send is the notification that the finalizer makes; the one delete is that of the job's first message.
    let counts = ["claim", "record", "load-job", "send", "delete"].map(|kind| count(&stage, kind));
    assert_eq!(counts, [TASKS.len(), TASKS.len(), 0, 1, 1], "{}", stage.log());
}

#[tokio::test(start_paused = true)]
async fn light_steps_without_a_crew_spare_the_loads_and_keep_their_messages() {
    let stage = Stage::new(1, |_, _| Play::Work(Duration::from_secs(1))).light();
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_notified(&id).await;
    worker.stop().await;
    let counts = ["claim", "record", "load-job"].map(|kind| count(&stage, kind));
    assert_eq!(counts, [TASKS.len(), TASKS.len(), 0], "{}", stage.log());
    assert!(count(&stage, "delete") >= 4, "{}", stage.log());
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_fails_in_its_crew_gets_a_message_of_its_own() {
    let fails = |task: &qsketch_core::TaskId, attempt| match task.to_string().as_str() {
        "b#1" if attempt == 1 => Play::Fail(Failure::retry("Boom", "it broke")),
        _ => Play::Make(Duration::from_secs(1)),
    };
    let stage = Stage::new(1, fails).crew();
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    stage.check_outputs(&id);
    assert_eq!((stage.played("b#0").len(), stage.played("b#1").len()), (1, 2));
    let sent = stage.sim.calls().into_iter().filter(|call| call.kind == "send" && call.target == "b").count();
    assert_eq!(sent, 1, "{}", stage.log());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_hands_nothing_on() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::from_secs(1))).crew();
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_begun("b#0", 1).await;
    worker.stop().await;
    assert_eq!(stage.sim.messages(&QueueName::new("b")).len(), 3, "what was begun is sent\n{}", stage.log());
    let next = stage.worker("w2");
    let parts = stage.until_notified(&id).await;
    next.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    stage.check_outputs(&id);
    assert_eq!(parts.tasks.values().map(|task| task.charged).sum::<u32>(), 0);
}
