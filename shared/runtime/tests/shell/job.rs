//! A job without trouble.

use core::time::Duration;

use qsketch_core::JobStatus;
use qsketch_core::parts::Verdict;

use crate::stage::{Play, Stage, TASKS, status};

#[tokio::test(start_paused = true)]
async fn a_job_runs_to_completed_each_step_once_one_finalizer() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::from_secs(2)));
    stage.sim.set_latency(Duration::from_millis(10));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let job = parts.job.unwrap();
    assert_eq!(job.done.keys().map(ToString::to_string).collect::<Vec<_>>(), TASKS);
    assert_eq!((job.closings.len(), job.closings[0].verdict), (1, Verdict::Completed));
    assert_eq!((job.check_at, job.result.as_deref()), (None, Some("s3://sim/result")));
    for task in TASKS {
        assert_eq!(stage.played(task).len(), 1, "{task}");
    }
    stage.check_outputs(&id);
    assert_eq!(stage.notifications().len(), 1);
    for queue in ["a", "b", "c", "z"] {
        assert_eq!(stage.sim.messages(&qsketch_runtime::QueueName::new(queue)), [], "queue {queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_runs_at_once_and_a_job_takes_as_long_as_its_longest_path() {
    let stage = Stage::new(1, |_, _| Play::Work(Duration::from_secs(10)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let began = stage.sim.now();
    stage.until_notified(&id).await;
    assert_eq!(stage.sim.now().since(began).as_secs(), 40);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn forty_jobs_at_once_all_complete_and_keep_apart() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::from_millis(50)));
    stage.sim.set_latency(Duration::from_millis(3));
    let workers = [stage.worker("w1"), stage.worker("w2")];
    let mut jobs = Vec::new();
    for number in 0..40 {
        jobs.push(stage.submit(&format!("j{number}")).await);
    }
    for id in &jobs {
        let parts = stage.until_notified(id).await;
        assert_eq!(status(&parts), JobStatus::Completed, "{id}");
        stage.check_outputs(id);
    }
    assert_eq!(stage.notifications().len(), 40);
    for worker in workers {
        worker.stop().await;
    }
}
