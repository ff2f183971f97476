//! Duplicates, reordering, delays, lost replies, errors and crashes: the promises hold under all of them.

use core::time::Duration;

use qsketch_core::{JobId, JobStatus};
use qsketch_sim::{Disorder, Fault};

use crate::stage::{Play, Running, Stage, TASKS, status};

/// How many seeds each kind of disorder is tried with.
const SEEDS: u64 = 300;

fn makes(seed: u64) -> Stage {
    Stage::new(seed, |_, _| Play::Make(Duration::from_millis(300)))
}

/// What must hold of a job that closed, however it closed.
fn check(stage: &Stage, id: &JobId) {
    stage.check_outputs(id);
    assert_eq!(stage.notifications().len(), 1, "one event, however often it was sent\n{}", stage.log());
}

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

/// Runs one job on two workers; the number of attempts that were charged.
async fn one_job(stage: &Stage, seed: u64) -> u32 {
    let workers = [stage.worker("w1"), stage.worker("w2")];
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    // Let duplicates and late messages come in as well: they must change nothing.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.sim.parts(&id).job, parts.job, "seed {seed}: a closed job stays as it is");
    assert_eq!(status(&parts), JobStatus::Completed, "seed {seed}\n{}", stage.log());
    check(stage, &id);
    for worker in workers {
        worker.stop().await;
    }
    parts.tasks.values().map(|task| task.charged).sum()
}

#[test]
fn duplicates_reordering_and_delays_change_nothing() {
    for seed in 0..SEEDS {
        run(async {
            let stage = makes(seed);
            stage.sim.set_disorder(Disorder {
                lost_reply_permille: 0,
                unavailable_permille: 0,
                throttled_permille: 0,
                partial_permille: 0,
                ..Disorder::wild()
            });
            let charged = one_job(&stage, seed).await;
            assert_eq!(charged, 0, "seed {seed}");
            for task in TASKS {
                assert_eq!(stage.played(task).len(), 1, "seed {seed}: {task} ran again\n{}", stage.log());
            }
        });
    }
}

#[test]
fn a_wild_world_closes_every_job_once_with_its_outputs_unchanged() {
    for seed in 0..SEEDS {
        run(async {
            let stage = makes(seed);
            stage.sim.set_disorder(Disorder::wild());
            let charged = one_job(&stage, seed).await;
            assert_eq!(charged, 0, "seed {seed}: an error of a call must not cost an attempt\n{}", stage.log());
        });
    }
}

/// Keeps two workers running; who crashes is replaced.
async fn keep_running(stage: &Stage, until: impl Future<Output = ()>) {
    let crashed = async {
        let mut workers: Vec<Running> = ["w1", "w2"].iter().map(|name| stage.worker(name)).collect();
        for number in 3.. {
            let place = {
                let (first, second) = (workers[0].process.clone(), workers[1].process.clone());
                tokio::select! {
                    () = first.crashed() => 0,
                    () = second.crashed() => 1,
                }
            };
            let fresh = stage.worker(&format!("w{number}"));
            core::mem::replace(&mut workers[place], fresh).crash();
        }
    };
    tokio::select! {
        () = until => {}
        () = crashed => {}
    }
}

#[test]
fn workers_that_crash_at_any_call_lose_no_job() {
    let mut completed = 0;
    for seed in 0..SEEDS {
        run(async {
            let stage = makes(seed);
            stage.sim.set_disorder(Disorder { crash_permille: 10, ..Disorder::wild() });
            let id = stage.submit("j").await;
            keep_running(&stage, async {
                stage.until_over(&id).await;
                tokio::time::sleep(Duration::from_secs(300)).await;
            })
            .await;
            let parts = stage.sim.parts(&id);
            stage.check_outputs(&id);
            assert!(stage.notifications().len() <= 1, "seed {seed}\n{}", stage.log());
            // A task whose every attempt died with its worker has failed, and the job says so.
            let died = parts.tasks.values().any(|task| task.charged >= 2);
            match status(&parts) {
                JobStatus::Completed => completed += 1,
                JobStatus::TimedOut => assert!(died, "seed {seed}\n{}", stage.log()),
                other => panic!("seed {seed}: {other:?}\n{}", stage.log()),
            }
        });
    }
    assert!(completed * 100 >= SEEDS * 98, "only {completed} of {SEEDS} jobs completed");
}

#[test]
fn every_fault_at_every_call_of_a_job_is_survived() {
    let quiet = |stage: &Stage| stage.sim.set_latency(Duration::from_millis(10));
    let calls = run(async {
        let stage = makes(1);
        quiet(&stage);
        one_job(&stage, 1).await;
        stage.sim.calls().len() as u64
    });
    assert!(calls > 40, "{calls}");
    for fault in Fault::ALL {
        for number in 0..calls {
            run(async {
                let stage = makes(1);
                quiet(&stage);
                stage.sim.fail_call(number, fault);
                let id = stage.submit("j").await;
                keep_running(&stage, async {
                    stage.until_notified(&id).await;
                })
                .await;
                let parts = stage.sim.parts(&id);
                assert_eq!(status(&parts), JobStatus::Completed, "{fault:?} at {number}\n{}", stage.log());
                check(&stage, &id);
                for task in TASKS {
                    let runs = stage.played(task).len();
                    assert!(runs <= 2, "{fault:?} at {number}: {task} ran {runs} times");
                }
            });
        }
    }
}
