//! Wide steps: whole jobs whose records stand in shards.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use qsketch_core::{Failure, JobId, JobStatus, Outcome, TaskId, Write};
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{Ports, QueueName};
use qsketch_sim::{Disorder, Fault};

use crate::disorder::{Broken, How, keep_running, run, through_crashes};
use crate::stage::{Play, Stage, status};

const SEEDS: u64 = 40;

/// The elements of the wide step: one shard and a bit.
const WIDTH: u32 = 35;

fn makes(seed: u64) -> Stage {
    Stage::new(seed, |_, _| Play::Make(Duration::from_millis(300))).wide(WIDTH)
}

/// A join after the wide step, a wide step after it, and both with the job in the messages.
const KINDS: [fn(u64) -> Stage; 3] = [makes, |seed| makes(seed).mapped_twice(), |seed| makes(seed).light()];

/// How often each element was recorded, and each shard folded.
fn counts(stage: &Stage) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut records, mut folds) = (BTreeMap::new(), BTreeMap::new());
    for commit in stage.sim.commits() {
        match commit.write {
            Write::RecordElement { shard, element, .. } => {
                *records.entry(format!("{}#{element}", shard.step())).or_default() += 1;
            }
            Write::Fold { shard, .. } => *folds.entry(shard.to_string()).or_default() += 1,
            _ => {}
        }
    }
    (records, folds)
}

/// What must hold of a completed job: every element is recorded once, every shard folded once, and who read an
/// element's output read that of the attempt that won.
fn check(stage: &Stage, id: &JobId, width: u32) {
    let parts = stage.sim.parts(id);
    assert_eq!(status(&parts), JobStatus::Completed, "{}", stage.log());
    let job = parts.job.as_ref().unwrap();
    let (records, folds) = counts(stage);
    let wide: Vec<_> = stage.pipeline.steps().iter().filter(|step| step.over.is_some()).collect();
    assert_eq!(records.len(), wide.len() * width as usize, "{records:?}");
    assert!(records.values().all(|count| *count == 1), "{records:?}");
    assert_eq!(folds.len(), wide.len() * width.div_ceil(32) as usize);
    assert!(folds.values().all(|count| *count == 1), "{folds:?}");
    assert_eq!(job.folded.keys().map(ToString::to_string).collect::<Vec<_>>(), folds.into_keys().collect::<Vec<_>>());
    assert_eq!(stage.sim.refused_keys(), Vec::<String>::new());
    assert_eq!(stage.notifications().len(), 1, "{}", stage.log());
    let mut read = 0;
    for key in stage.sim.keys() {
        let text = String::from_utf8(stage.sim.bytes(&key).unwrap()).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("in b#")) {
            let mut words = line.split(' ');
            let (element, attempt): (u32, u32) = (number(words.next()), number(words.next()));
            assert_eq!(won(&parts, element), attempt, "{key} read another attempt of b#{element}");
            read += 1;
        }
    }
    assert!(read >= width, "only {read} outputs were read");
}

fn number(word: Option<&str>) -> u32 {
    word.and_then(|word| word.parse().ok()).unwrap()
}

fn won(parts: &Parts, element: u32) -> u32 {
    parts.shards[&format!("b@0/{}", element / 32).parse().unwrap()].done[&element].attempt
}

#[test]
fn jobs_of_every_width_come_to_their_end() {
    for width in [9, 10, 32, 33, 100] {
        for kind in KINDS {
            run(async {
                let stage = kind(1).wide(width);
                let workers = [stage.worker("w1"), stage.worker("w2")];
                let id = stage.submit("j").await;
                stage.until_notified(&id).await;
                check(&stage, &id, width);
                for worker in workers {
                    worker.stop().await;
                }
            });
        }
    }
}

#[test]
fn a_first_attempt_records_after_two_calls_and_only_the_last_of_a_shard_folds() {
    run(async {
        let stage = Stage::new(1, |_, _| Play::Work(Duration::from_secs(1))).wide(WIDTH);
        let worker = stage.worker("w");
        let id = stage.submit("j").await;
        stage.until_notified(&id).await;
        worker.stop().await;
        let calls = stage.sim.calls();
        let count = |kind: &str| calls.iter().filter(|call| call.kind == kind).count();
        let tasks = WIDTH as usize + 3;
        // The load beside each claim is the only read; nothing is loaded again, and no shard is read.
        let expected = [tasks, tasks, 2, tasks, 0, 0];
        assert_eq!(["claim", "record", "fold", "load-job", "load-task", "load-shard"].map(count), expected);
        // The shard's last record, its fold, and then what follows: claim, record, fold, send.
        let fold = calls.iter().rposition(|call| call.kind == "fold").unwrap();
        let next = calls[fold + 1..].iter().find(|call| call.kind != "delete" && call.kind != "receive").unwrap();
        assert_eq!((next.kind, next.target.as_str()), ("send", "c"), "{}", stage.log());
    });
}

#[test]
fn a_wild_world_with_crashes_completes_wide_jobs() {
    for (seed, kind) in (0..SEEDS).flat_map(|seed| KINDS.map(|kind| (seed, kind))) {
        run(async {
            let stage = kind(seed);
            stage.sim.set_disorder(Disorder { crash_permille: 3, ..Disorder::wild() });
            let (id, parts) = through_crashes(&stage).await;
            let (records, folds) = counts(&stage);
            assert!(records.values().chain(folds.values()).all(|count| *count == 1), "seed {seed}");
            // A task whose every attempt died with its worker has failed, and the job says so.
            let died = parts.tasks.values().any(|task| task.charged >= 2);
            assert!(status(&parts) == JobStatus::Completed || died, "seed {seed}: {:?}", status(&parts));
            if status(&parts) == JobStatus::Completed && !stage.notifications().is_empty() {
                check(&stage, &id, WIDTH);
            }
        });
    }
}

#[test]
fn a_crash_between_a_shard_s_last_record_and_its_fold_is_mended_by_the_message() {
    run(async {
        let calm = || {
            let stage = makes(1);
            stage.sim.set_latency(Duration::from_millis(10));
            stage
        };
        let stage = calm();
        let worker = stage.worker("w");
        let id = stage.submit("j").await;
        stage.until_notified(&id).await;
        worker.stop().await;
        let folds: Vec<u64> =
            stage.sim.calls().iter().filter(|call| call.kind == "fold").map(|call| call.number).collect();
        assert_eq!(folds.len(), 2);
        for (number, fault) in folds.into_iter().flat_map(|number| Fault::ALL.map(|fault| (number, fault))) {
            let stage = calm();
            stage.sim.fail_call(number, fault);
            let id = stage.submit("j").await;
            keep_running(&stage, async {
                stage.until_notified(&id).await;
            })
            .await;
            check(&stage, &id, WIDTH);
        }
    });
}

#[test]
fn a_failure_for_good_in_the_middle_closes_the_job_once() {
    for kind in KINDS {
        run(async {
            let fails = |task: &TaskId, _| match task.to_string().as_str() {
                "b#17" => Play::Fail(Failure::fail("Bad", "it can't")),
                _ => Play::Make(Duration::from_secs(2)),
            };
            let stage = kind(1);
            let stage = Stage::new(1, fails).wide(WIDTH).like(&stage);
            let workers = [stage.worker("w1"), stage.worker("w2")];
            let id = stage.submit("j").await;
            stage.until_notified(&id).await;
            // Whoever is still at work comes to its end: nothing of it changes the job.
            tokio::time::sleep(Duration::from_secs(120)).await;
            for worker in workers {
                worker.stop().await;
            }
            let parts = stage.sim.parts(&id);
            let job = parts.job.as_ref().unwrap();
            assert_eq!((job.status, job.closings.len()), (JobStatus::Failed, 1));
            assert_eq!(job.closings[0].task.as_ref().map(ToString::to_string).as_deref(), Some("b#17"));
            assert_eq!(stage.notifications().len(), 1);
            let shard = &parts.shards[&"b@0/0".parse().unwrap()];
            assert_eq!((shard.closed.get(&17), shard.done.get(&17)), (Some(&0), None), "its tombstone");
            assert!(!job.folded.contains_key(&"b@0/0".parse().unwrap()), "a shard with a tombstone is never full");
            let last = parts.tasks[&"b#17".parse().unwrap()].attempts.last().unwrap().outcome;
            assert_eq!(last, Outcome::Failed);
            assert_eq!(stage.sim.messages(&QueueName::new("b")).len(), 0, "{}", stage.log());
        });
    }
}

#[test]
fn a_table_that_loses_a_fold_is_caught() {
    let closes = |break_it: fn(Ports) -> Ports| {
        run(async {
            let stage = makes(1);
            let worker = stage.worker_on(&break_it(stage.sim.ports()));
            let id = stage.submit("j").await;
            let hour = Duration::from_secs(3_600);
            let is_closed = tokio::time::timeout(hour, stage.until_notified(&id)).await.is_ok();
            worker.stop().await;
            is_closed
        })
    };
    assert!(closes(|ports| ports));
    let loses = |ports: Ports| Ports { table: Arc::new(Broken(ports.clone(), How::LosesFolds)), ..ports };
    assert!(!closes(loses), "without its fold a job never closes");
}
