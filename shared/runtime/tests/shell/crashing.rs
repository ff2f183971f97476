//! Workers that die under a parent: a stand-in for it runs the same code that the real one does.

use core::time::Duration;
use std::collections::BTreeSet;

use qsketch_core::limits::CRASHES_IN_COMPANY_MAX;
use qsketch_core::parts::Outcome;
use qsketch_core::{JobId, JobStatus, Time, Verdict};
use qsketch_runtime::QueueName;
use qsketch_runtime::give_back::{GIVE_BACK_MAX, give_back};
use qsketch_sim::Fault;

use crate::stage::{End, LEASE, Play, Played, Stage, status};

/// How long it may take from a death until its work is visible again.
const BACK_WITHIN: Duration = Duration::from_secs(1);

/// A stage on which the first attempt at `task` hangs, and everything else succeeds at once.
fn hangs_once(task: &'static str) -> Stage {
    let stage = Stage::new(1, move |id, attempt| match attempt {
        1 if id.to_string() == task => Play::Hang,
        _ => Play::Make(Duration::ZERO),
    });
    stage.sim.set_latency(Duration::from_millis(10));
    stage
}

#[tokio::test(start_paused = true)]
async fn the_work_of_a_dead_process_begins_again_within_a_second_and_is_not_charged() {
    let stage = hangs_once("c");
    stage.sim.see_connections_close();
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    tokio::time::sleep(Duration::from_secs(45)).await;
    let died = stage.sim.now();
    let intents = old.crash();
    assert_eq!(intents.len(), 1, "{intents:?}");
    assert_eq!(give_back(&stage.sim.process("parent").ports(), &intents).await, 1);
    let new = stage.worker("new");
    let second = stage.until_begun("c", 2).await;
    assert!(second.began.since(died) < BACK_WITHIN, "{:?}", second.began.since(died));
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let task = &parts.tasks[&"c".parse().unwrap()];
    assert_eq!((task.charged, task.crashed, task.attempts.len()), (0, 1, 1));
    assert_eq!((task.attempts[0].outcome, task.attempts[0].attempt), (Outcome::Crashed, 1));
    new.stop().await;
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_s_open_poll_may_swallow_what_is_given_back_which_is_then_late_but_not_charged() {
    let stage = hangs_once("c");
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    let died = stage.sim.now();
    let intents = old.crash();
    assert_eq!(give_back(&stage.sim.process("parent").ports(), &intents).await, 1);
    let new = stage.worker("new");
    let late = stage.until_begun("c", 2).await.began.since(died);
    assert!(late > LEASE - BACK_WITHIN && late < LEASE + Duration::from_secs(2), "{late:?}");
    let parts = stage.until_notified(&id).await;
    let task = &parts.tasks[&"c".parse().unwrap()];
    assert_eq!((task.charged, task.crashed), (0, 1));
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_whichever_call_a_process_dies_no_work_waits_for_its_lease_and_nothing_is_charged() {
    let stage = |seed| Stage::new(seed, |_, _| Play::Make(Duration::from_millis(50)));
    let kinds: [fn(Stage) -> Stage; 5] = [|s| s, Stage::light, Stage::crew, Stage::unclaimed, Stage::unclaimed_crew];
    for kind in kinds {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let mut died_at = BTreeSet::new();
            for number in 0.. {
                assert!(number < 1_000, "a job takes fewer calls");
                match dies_at(&kind(stage(number)), number, fault).await {
                    Died::At(call) => drop(died_at.insert(call)),
                    Died::TooLate => {}
                    Died::Never => break,
                }
            }
            let writes = ["receive", "load-pipeline", "record", "send"];
            assert!(writes.iter().all(|call| died_at.contains(call)), "{fault:?}: it died at {died_at:?}");
        }
    }
}

/// How a process ended.
enum Died {
    /// At a call of this kind.
    At(&'static str),
    /// The job was over before that call had ended.
    TooLate,
    /// The job needs fewer calls.
    Never,
}

/// Runs a job by a process that dies at the call of this number, its parent, and a second process.
async fn dies_at(stage: &Stage, number: u64, fault: Fault) -> Died {
    stage.sim.set_latency(Duration::from_millis(10));
    stage.sim.see_connections_close();
    stage.sim.fail_call(number, fault);
    let first = stage.worker("first");
    let id = stage.submit("j").await;
    let is_dead = tokio::select! {
        biased;
        () = first.process.crashed() => true,
        _ = stage.until_notified(&id) => false,
    };
    if !is_dead {
        let is_called = stage.sim.calls().iter().any(|call| call.number == number);
        // It may still die at the calls by which it stops.
        let process = first.process.clone();
        tokio::select! {
            () = first.stop() => {}
            () = process.crashed() => {}
        }
        return if is_called { Died::TooLate } else { Died::Never };
    }
    let kind = stage.sim.calls().into_iter().find(|call| call.number == number).unwrap().kind;
    let died = stage.sim.now();
    let intents = first.crash();
    let given = give_back(&stage.sim.process("parent").ports(), &intents).await;
    assert_eq!(given, intents.len());
    assert!(stage.sim.now().since(died) < BACK_WITHIN);
    let second = stage.worker("second");
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    // What was received and never begun was no intent yet: that waits for its visibility.
    let took = stage.sim.now().since(died);
    assert!(kind == "receive" || took < Duration::from_secs(3), "died at {kind} ({number}): {took:?}\n{}", stage.log());
    assert!(parts.tasks.values().all(|task| task.charged == 0), "{:?}", parts.tasks);
    second.stop().await;
    stage.check_outputs(&id);
    Died::At(kind)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_kills_its_process_every_time_fails_by_itself_and_its_neighbours_complete() {
    let stage = Stage::new(1, |task, _| match task.step().as_str() {
        "b" => Play::Make(Duration::from_secs(20)),
        _ => Play::Make(Duration::ZERO),
    });
    let stage = stage.poisoned("bad", "b#1");
    stage.sim.set_latency(Duration::from_millis(10));
    let parent = stage.sim.process("parent").ports();
    let mut jobs = Vec::new();
    for name in ["bad", "good-1", "good-2"] {
        jobs.push(stage.submit(name).await);
    }
    let mut deaths: Vec<Time> = Vec::new();
    loop {
        let worker = stage.worker(&format!("worker-{}", deaths.len()));
        let is_poisoned = tokio::select! {
            () = poison_works(&stage, deaths.len()) => true,
            () = all_over(&stage, &jobs) => false,
        };
        if !is_poisoned {
            worker.stop().await;
            break;
        }
        // Its neighbours have begun by now, and what takes long has not ended.
        tokio::time::sleep(Duration::from_secs(1)).await;
        deaths.push(stage.sim.now());
        assert!(deaths.len() < 20, "it goes on for ever");
        let intents = worker.crash();
        assert_eq!(give_back(&parent, &intents).await, intents.len());
    }
    let poison = stage.played("b#1").into_iter().filter(|played| played.job.as_str() == "bad").collect::<Vec<_>>();
    let in_company = CRASHES_IN_COMPANY_MAX as usize;
    assert_eq!((poison.len(), deaths.len()), (in_company + 3, in_company + 3), "twice in company, three times alone");
    let [bad, good @ ..] = &jobs[..] else { panic!("three jobs") };
    let parts = stage.sim.parts(bad);
    let closing = parts.job.as_ref().unwrap().closings[0].clone();
    assert_eq!((closing.verdict, closing.error_type.as_deref()), (Verdict::Failed, Some("WorkerDied")));
    assert_eq!(closing.task.unwrap().to_string(), "b#1");
    let killer = &parts.tasks[&"b#1".parse().unwrap()];
    assert_eq!((killer.charged, killer.crashed, killer.attempts.len()), (3, 2, 5));
    assert!(killer.attempts.iter().all(|attempt| attempt.outcome == Outcome::Crashed));
    for id in good {
        let parts = stage.sim.parts(id);
        assert_eq!(status(&parts), JobStatus::Completed);
        stage.check_outputs(id);
    }
    let all = jobs.iter().flat_map(|id| stage.sim.parts(id).tasks.into_iter().map(|task| (id.clone(), task)));
    let mut died_too = 0;
    for (job, (id, task)) in all.filter(|(job, (id, _))| (job.as_str(), id.to_string().as_str()) != ("bad", "b#1")) {
        assert_eq!(task.charged, 0, "{job} {id} did nothing wrong");
        died_too += task.crashed;
    }
    assert!(died_too >= CRASHES_IN_COMPANY_MAX, "neighbours died with it, uncharged");
    for (number, attempt) in poison.iter().enumerate().skip(in_company) {
        let beside = beside(&stage, attempt, deaths[number - 1], deaths[number]);
        assert_eq!(beside, Vec::<Played>::new(), "attempt {} was alone", attempt.attempt);
    }
    assert_ne!(beside(&stage, &poison[0], Time(0), deaths[0]), Vec::<Played>::new(), "the first was not");
}

/// Waits until the poison has been at work once more than it has killed.
async fn poison_works(stage: &Stage, deaths: usize) {
    while stage.played("b#1").iter().filter(|played| played.job.as_str() == "bad").count() <= deaths {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn all_over(stage: &Stage, jobs: &[JobId]) {
    for id in jobs {
        stage.until_notified(id).await;
    }
}

/// What was at work in the same process at the same time: begun since the last death, and not ended before it began.
fn beside(stage: &Stage, attempt: &Played, since: Time, until: Time) -> Vec<Played> {
    let mut all: Vec<Played> =
        ["a", "b#0", "b#1", "b#2", "c", "z@0"].iter().flat_map(|task| stage.played(task)).collect();
    all.retain(|other| {
        let is_over = matches!(other.end, End::Returned(at) | End::Dropped(at) if at <= attempt.began);
        other != attempt && other.began >= since && other.began <= until && !is_over
    });
    all
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_reaches_nothing_leaves_the_work_to_its_lease() {
    let stage = hangs_once("c");
    stage.sim.see_connections_close();
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    let intents = old.crash();
    let (parent, died) = (stage.sim.process("parent"), stage.sim.now());
    parent.freeze();
    assert_eq!(give_back(&parent.ports(), &intents).await, 0);
    assert_eq!(stage.sim.now().since(died), GIVE_BACK_MAX, "it is bounded");
    let new = stage.worker("new");
    let second = stage.until_begun("c", 2).await;
    assert!(second.began.since(died) < LEASE + Duration::from_secs(2));
    let parts = stage.until_notified(&id).await;
    let task = &parts.tasks[&"c".parse().unwrap()];
    assert_eq!((task.charged, task.crashed, task.attempts[0].error_type.as_str()), (1, 0, "Heartbeat"));
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_give_back_that_comes_after_the_lease_changes_nothing() {
    let stage = Stage::new(1, |task, attempt| match (task.to_string().as_str(), attempt) {
        ("c", 1) => Play::Hang,
        ("c", 2) => Play::Make(Duration::from_secs(20)),
        _ => Play::Make(Duration::ZERO),
    });
    stage.sim.set_latency(Duration::from_millis(10));
    stage.sim.see_connections_close();
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("c", 1).await;
    let intents = old.crash();
    let new = stage.worker("new");
    stage.until_begun("c", 2).await;
    let held = stage.sim.parts(&id);
    assert_eq!(give_back(&stage.sim.process("parent").ports(), &intents).await, 1, "a lost race is no failure");
    assert_eq!(stage.sim.parts(&id), held);
    let parts = stage.until_notified(&id).await;
    assert_eq!(parts.job.unwrap().done[&"c".parse().unwrap()].attempt, 2);
    assert_eq!(stage.played("c").len(), 2);
    new.stop().await;
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn two_deliveries_of_one_message_in_a_process_that_dies_are_one_crash() {
    let stage = hangs_once("a");
    stage.sim.see_connections_close();
    let old = stage.worker("old");
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    let body = stage.sim.messages(&QueueName::new("a"))[0].body.clone();
    // The second one meets the first one's claim, and waits for the answer.
    stage.sim.trouble("claim", None, Duration::from_secs(5));
    stage.send("a", &body).await;
    stage.until("both are in hand", |sim| sim.messages(&QueueName::new("a")).iter().all(|m| m.receives > 0)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let intents = old.crash();
    assert_eq!(intents.len(), 2, "{intents:?}");
    stage.sim.end_trouble();
    assert_eq!(give_back(&stage.sim.process("parent").ports(), &intents).await, 2);
    let new = stage.worker("new");
    let parts = stage.until_notified(&id).await;
    let task = &parts.tasks[&"a".parse().unwrap()];
    assert_eq!((task.charged, task.crashed, task.attempts.len()), (0, 1, 1));
    new.stop().await;
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_attempt_must_be_alone_waits_for_its_neighbours_and_takes_nothing_new_meanwhile() {
    let stage = Stage::new(1, |task, attempt| match (task.step().as_str(), attempt) {
        ("c", 1 | 2) => Play::Hang,
        ("b", _) => Play::Make(Duration::from_secs(20)),
        _ => Play::Make(Duration::ZERO),
    });
    stage.sim.set_latency(Duration::from_millis(10));
    stage.sim.see_connections_close();
    let parent = stage.sim.process("parent").ports();
    let first = stage.submit("first").await;
    for attempt in 1..=CRASHES_IN_COMPANY_MAX {
        let worker = stage.worker(&format!("worker-{attempt}"));
        stage.until_begun("c", attempt).await;
        let intents = worker.crash();
        give_back(&parent, &intents).await;
    }
    // Its wait is over while the neighbours are at work.
    let worker = stage.worker("last");
    let second = stage.submit("second").await;
    let third = stage.until_begun("c", 3).await;
    let neighbours = [stage.played("b#0"), stage.played("b#1"), stage.played("b#2")].concat();
    let of_second: Vec<_> = neighbours.iter().filter(|played| played.job == second).collect();
    assert_eq!(of_second.len(), 3, "they had begun");
    for neighbour in of_second {
        assert!(matches!(neighbour.end, End::Returned(at) if at <= third.began), "{neighbour:?} {third:?}");
    }
    let parts = stage.until_notified(&first).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let task = &parts.tasks[&"c".parse().unwrap()];
    assert_eq!((task.charged, task.crashed, task.is_alone), (0, 2, true));
    // What came meanwhile follows.
    assert_eq!(status(&stage.until_notified(&second).await), JobStatus::Completed);
    worker.stop().await;
}
