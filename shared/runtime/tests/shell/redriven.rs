//! Jobs that are redriven or paused while workers are at them.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qsketch_core::pause::{Pausing, pause, resume};
use qsketch_core::redrive::{Redriving, messages, redrive};
use qsketch_core::{Commit, Failure, Job, JobId, JobStatus, Part, StepName, TaskId, Write};

use crate::disorder::run;
use crate::stage::{Play, Stage, status};

/// A stage on which `task` fails for good until it is mended, and everything else succeeds.
fn fails_until_mended(seed: u64, task: &'static str) -> (Stage, Arc<AtomicBool>) {
    let is_mended = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&is_mended);
    let stage = Stage::new(seed, move |id, _| {
        if id.to_string() == task && !known.load(Ordering::SeqCst) {
            return Play::Fail(Failure::fail("Broken", "on purpose"));
        }
        Play::Make(Duration::from_millis(300))
    });
    (stage, is_mended)
}

async fn write(stage: &Stage, job: &JobId, write: &Write) -> Job {
    match stage.sim.observer().table.commit(job, write).await.unwrap() {
        Commit::Written(Part::Job(job)) => *job,
        other => panic!("{other:?}"),
    }
}

async fn send_open(stage: &Stage, job: &Job) {
    for message in messages(&stage.pipeline, job) {
        stage.send(message.task.step().as_str(), &message.body()).await;
    }
}

/// Redrives a job as `qsketch redrive` does.
async fn again(stage: &Stage, id: &JobId, from: Option<&str>) {
    let job = stage.sim.parts(id).job.unwrap();
    let from = from.map(|from| StepName::try_from(from).unwrap());
    let planned = redrive(&stage.pipeline, &job, None, from.as_ref(), stage.sim.now());
    let Redriving::Write(reopen) = planned else { panic!("{planned:?}") };
    let job = write(stage, id, &reopen).await;
    send_open(stage, &job).await;
}

async fn until_told(stage: &Stage, id: &JobId, closing: u32) -> Job {
    let told: TaskId = format!("z@{closing}").parse().unwrap();
    let is_told = |sim: &qsketch_sim::Sim| sim.parts(id).job.is_some_and(|job| job.done.contains_key(&told));
    stage.until("the closing is notified", is_told).await;
    stage.sim.parts(id).job.unwrap()
}

#[test]
fn a_redriven_job_reuses_what_is_recorded_and_notifies_of_each_closing_once() {
    for seed in 0..30 {
        run(async {
            let (stage, is_mended) = fails_until_mended(seed, "b#1");
            stage.sim.set_disorder(qsketch_sim::Disorder::wild());
            let workers = [stage.worker("w1"), stage.worker("w2")];
            let id = stage.submit("j").await;
            let failed = until_told(&stage, &id, 0).await;
            assert_eq!(failed.status, JobStatus::Failed);
            is_mended.store(true, Ordering::SeqCst);
            again(&stage, &id, None).await;
            let completed = until_told(&stage, &id, 1).await;
            tokio::time::sleep(Duration::from_secs(300)).await;
            assert_eq!(stage.sim.parts(&id).job.unwrap(), completed, "late messages change nothing");
            assert_eq!((completed.status, completed.closings.len()), (JobStatus::Completed, 2));
            for task in failed.done.keys() {
                assert_eq!(completed.done[task], failed.done[task], "seed {seed}: {task} is reused");
            }
            stage.check_outputs(&id);
            assert_eq!(stage.notifications().len(), 2, "seed {seed}: one event per closing\n{}", stage.log());
            let tried = stage.sim.parts(&id).tasks[&"b#1".parse().unwrap()].clone();
            assert!(tried.attempt >= 2 && tried.closing == 1, "seed {seed}: {tried:?}");
            for worker in workers {
                worker.stop().await;
            }
        });
    }
}

#[test]
fn a_forgotten_step_runs_again_and_what_follows_sees_its_new_outputs() {
    for width in [3, 40] {
        run(async {
            let (stage, is_mended) = fails_until_mended(1, "c");
            let stage = stage.wide(width);
            let worker = stage.worker("w");
            let id = stage.submit("j").await;
            until_told(&stage, &id, 0).await;
            is_mended.store(true, Ordering::SeqCst);
            again(&stage, &id, Some("b")).await;
            let completed = until_told(&stage, &id, 1).await;
            worker.stop().await;
            assert_eq!(completed.status, JobStatus::Completed);
            assert_eq!(stage.played("a").len(), 1, "it came before");
            for element in 0..width {
                assert_eq!(stage.played(&format!("b#{element}")).len(), 2, "width {width}, element {element}");
            }
            let attempt = completed.done[&"c".parse().unwrap()].attempt;
            let key = qsketch_runtime::attempt::key("j", &"c".parse().unwrap(), attempt, "out.txt");
            let made = String::from_utf8(stage.sim.bytes(&key).unwrap()).unwrap();
            let seen: Vec<_> = made.lines().filter(|line| line.starts_with("in b#")).collect();
            assert_eq!(seen.len(), usize::try_from(width).unwrap());
            assert!(seen.iter().all(|line| line.split(' ').nth(2) == Some("2")), "{seen:?}");
        });
    }
}

#[test]
fn an_attempt_of_before_the_redrive_that_wakes_up_late_records_nothing() {
    run(async {
        let is_first = AtomicBool::new(true);
        let (is_mended, known) = {
            let mended = Arc::new(AtomicBool::new(false));
            (Arc::clone(&mended), mended)
        };
        let stage = Stage::new(1, move |task, _| match task.to_string().as_str() {
            "b#0" if is_first.swap(false, Ordering::SeqCst) => Play::Make(Duration::from_secs(20)),
            "b#1" if !known.load(Ordering::SeqCst) => Play::Fail(Failure::fail("Broken", "on purpose")),
            _ => Play::Make(Duration::from_millis(300)),
        });
        let slow = stage.worker_of("slow", &["a", "b"]);
        let id = stage.submit("j").await;
        stage.until_begun("b#0", 1).await;
        slow.process.freeze();
        let other = stage.worker("other");
        until_told(&stage, &id, 0).await;
        is_mended.store(true, Ordering::SeqCst);
        again(&stage, &id, None).await;
        slow.process.thaw();
        let completed = until_told(&stage, &id, 1).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(stage.sim.parts(&id).job.unwrap(), completed);
        assert_eq!(completed.status, JobStatus::Completed);
        assert!(completed.done[&"b#0".parse().unwrap()].attempt > 1, "{:?}", completed.done);
        stage.check_outputs(&id);
        slow.stop().await;
        other.stop().await;
    });
}

#[test]
fn a_paused_job_begins_nothing_and_ends_once_it_is_resumed() {
    for seed in 0..30 {
        run(async {
            let stage = Stage::new(seed, |_, _| Play::Make(Duration::from_secs(2)));
            stage.sim.set_disorder(qsketch_sim::Disorder::wild());
            let workers = [stage.worker("w1"), stage.worker("w2")];
            let id = stage.submit("j").await;
            stage.until_begun("a", 1).await;
            let job = stage.sim.parts(&id).job.unwrap();
            let Pausing::Write(pausing) = pause(&stage.pipeline, &job, None, stage.sim.now()) else {
                panic!("seed {seed}: it runs")
            };
            write(&stage, &id, &pausing).await;
            let is_recorded = |sim: &qsketch_sim::Sim| {
                sim.parts(&id).job.is_some_and(|job| job.done.contains_key(&"a".parse().unwrap()))
            };
            stage.until("what runs goes on", is_recorded).await;
            tokio::time::sleep(Duration::from_secs(200)).await;
            assert!(["b#0", "b#1", "b#2"].iter().all(|task| stage.played(task).is_empty()), "seed {seed}");
            let left: usize =
                ["b", "c"].iter().map(|step| stage.sim.messages(&qsketch_runtime::QueueName::new(step)).len()).sum();
            assert_eq!(left, 0, "seed {seed}: no message waits");
            let job = stage.sim.parts(&id).job.unwrap();
            let Pausing::Write(resuming) = resume(&stage.pipeline, &job, None, stage.sim.now()) else {
                panic!("seed {seed}: it is paused")
            };
            let job = write(&stage, &id, &resuming).await;
            send_open(&stage, &job).await;
            let parts = stage.until_notified(&id).await;
            assert_eq!(status(&parts), JobStatus::Completed, "seed {seed}\n{}", stage.log());
            stage.check_outputs(&id);
            assert!(parts.tasks.values().all(|task| task.charged == 0), "seed {seed}: a pause is not charged");
            for worker in workers {
                worker.stop().await;
            }
        });
    }
}
