//! Unclaimed steps: their first attempts write nothing before they work.

use core::time::Duration;

use qsketch_core::{Failure, JobStatus};
use qsketch_sim::{Disorder, Fault};

use crate::disorder::{keep_running, run, through_crashes};
use crate::stage::{Play, Stage, TASKS, status};

const SEEDS: u64 = 100;

/// Through the queues, and handed on within a process.
const KINDS: [fn(Stage) -> Stage; 2] = [Stage::unclaimed, Stage::unclaimed_crew];

fn stage(seed: u64) -> Stage {
    Stage::new(seed, |_, _| Play::Make(Duration::from_millis(300)))
}

fn counts<const N: usize>(stage: &Stage, kinds: [&str; N]) -> [usize; N] {
    let calls = stage.sim.calls();
    kinds.map(|kind| calls.iter().filter(|call| call.kind == kind).count())
}

#[tokio::test(start_paused = true)]
async fn a_sound_job_is_recorded_and_nothing_else() {
    for kind in KINDS {
        let stage = kind(stage(1));
        let worker = stage.worker("w");
        let id = stage.submit("j").await;
        let parts = stage.until_notified(&id).await;
        worker.stop().await;
        assert_eq!(status(&parts), JobStatus::Completed);
        let expected = [0, TASKS.len(), 0, 0, 0];
        assert_eq!(counts(&stage, ["claim", "record", "load-job", "load-task", "hold"]), expected, "{}", stage.log());
        assert!(parts.tasks.is_empty(), "{:?}", parts.tasks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_written_down_and_the_next_attempt_waits_and_is_claimed() {
    for kind in KINDS {
        let fails = |task: &qsketch_core::TaskId, attempt| match task.to_string().as_str() {
            "b#1" if attempt < 3 => Play::Fail(Failure::retry("Boom", "it broke")),
            _ => Play::Work(Duration::from_secs(1)),
        };
        let stage = kind(Stage::new(1, fails));
        let worker = stage.worker("w");
        let id = stage.submit("j").await;
        let parts = stage.until_notified(&id).await;
        worker.stop().await;
        assert_eq!(status(&parts), JobStatus::Completed);
        let task = &parts.tasks[&"b#1".parse().unwrap()];
        assert_eq!((task.attempt, task.charged), (3, 2));
        let began: Vec<_> = stage.played("b#1").iter().map(|played| (played.attempt, played.began)).collect();
        assert_eq!(began.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3], "{}", stage.log());
        let waits: Vec<_> = began.windows(2).map(|pair| pair[1].1.since(pair[0].1).as_secs()).collect();
        assert!(waits[0] >= 10 && waits[1] >= 20, "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_every_time_fails_its_job_after_its_maximum_attempts() {
    for kind in KINDS {
        let fails = |task: &qsketch_core::TaskId, _| match task.to_string().as_str() {
            "c" => Play::Panic,
            _ => Play::Work(Duration::from_secs(1)),
        };
        let stage = kind(Stage::new(1, fails));
        let worker = stage.worker("w");
        let id = stage.submit("j").await;
        let parts = stage.until_notified(&id).await;
        worker.stop().await;
        assert_eq!(status(&parts), JobStatus::Failed);
        assert_eq!(stage.played("c").len(), 3, "{}", stage.log());
    }
}

#[test]
fn a_wild_world_closes_every_job_and_records_every_task_once() {
    for (seed, kind) in (0..SEEDS).flat_map(|seed| KINDS.map(|kind| (seed, kind))) {
        run(async {
            let stage = kind(stage(seed));
            stage.sim.set_disorder(Disorder { crash_permille: 10, ..Disorder::wild() });
            let (id, parts) = through_crashes(&stage).await;
            stage.check_outputs(&id);
            assert!(stage.notifications().len() <= 1, "seed {seed}\n{}", stage.log());
            let died = parts.tasks.values().any(|task| task.charged >= 2);
            assert!(
                status(&parts) == JobStatus::Completed || died,
                "seed {seed}: {:?}\n{}",
                status(&parts),
                stage.log()
            );
        });
    }
}

#[test]
fn every_fault_at_every_call_of_a_job_is_survived() {
    for kind in KINDS {
        let calm = |seed| {
            let stage = kind(stage(seed));
            stage.sim.set_latency(Duration::from_millis(10));
            stage
        };
        let calls = run(async {
            let stage = calm(1);
            let worker = stage.worker("w1");
            let id = stage.submit("j").await;
            stage.until_notified(&id).await;
            worker.stop().await;
            stage.sim.calls().len() as u64
        });
        assert!(calls > 10, "{calls}");
        for (fault, number) in Fault::ALL.into_iter().flat_map(|fault| (0..calls).map(move |number| (fault, number))) {
            run(async {
                let stage = calm(1);
                stage.sim.fail_call(number, fault);
                let id = stage.submit("j").await;
                keep_running(&stage, async {
                    stage.until_notified(&id).await;
                })
                .await;
                assert_eq!(
                    status(&stage.sim.parts(&id)),
                    JobStatus::Completed,
                    "{fault:?} at {number}\n{}",
                    stage.log()
                );
                stage.check_outputs(&id);
                // Each of its three inputs' drives may have seen it ready, and one of their messages come back.
                for task in TASKS {
                    let runs = stage.played(task).len();
                    assert!(runs <= 5, "{fault:?} at {number}: {task} ran {runs} times\n{}", stage.log());
                }
            });
        }
    }
}
