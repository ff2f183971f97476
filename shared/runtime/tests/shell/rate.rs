//! The rate limit of a provider, which all workers share.

use core::time::Duration;
use std::sync::Arc;

use qsketch_core::limits::{CLOCK_SKEW_MAX, TURN_WAIT_MAX};
use qsketch_core::parts::{Outcome, Verdict};
use qsketch_core::rate::RATE_LIMITED;
use qsketch_core::{JobStatus, Provider, RateLimit, TaskId};
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{Ports, Throttle};
use qsketch_sim::{Fault, Sim};

use crate::stage::{Play, Stage, status};

/// How many tasks ask at the same time.
const TASKS: u32 = 40;

fn limit(text: &str) -> RateLimit {
    text.parse().unwrap()
}

/// A throttle of a process of its own.
fn throttle(text: &str) -> Arc<Throttle> {
    Arc::new(Throttle::new(Provider::try_from("model").unwrap(), limit(text)))
}

/// A stage where every task of `b` asks the provider so many times.
fn asks(seed: u64, text: &'static str, turns: u32) -> Stage {
    let throttle = throttle(text);
    Stage::new(seed, move |task: &TaskId, _| match task.step().as_str() {
        "b" => Play::Ask(Arc::clone(&throttle), turns),
        _ => Play::Work(Duration::ZERO),
    })
}

/// By how many requests some window has more than the limit allows, for clocks that differ as much as they may.
fn excess(text: &str, asked: &[u64]) -> u64 {
    let limit = limit(text);
    let windows = (0..asked.len()).flat_map(|from| (from..asked.len()).map(move |to| (from, to)));
    let over = windows.map(|(from, to)| {
        let millis = asked[to] - asked[from] + u64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap() + 1;
        ((to - from + 1) as u64).saturating_sub(u64::from(limit.burst()) + millis * 1_000 / limit.interval())
    });
    over.max().unwrap_or(0)
}

/// Forty tasks of one job on three workers, whose clocks differ.
async fn forty(seed: u64, text: &'static str, around: impl Fn(Ports) -> Ports) -> (Stage, Parts) {
    let stage = asks(seed, text, 1).wide(TASKS);
    stage.sim.set_latency(Duration::from_millis(8));
    let workers: Vec<_> = ["w1", "w2", "w3"].iter().map(|name| stage.worker_around(name, &around)).collect();
    workers[1].process.set_clock(450);
    workers[2].process.set_clock(-450);
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(status(&parts), JobStatus::Completed, "{}", stage.log());
    assert_eq!(stage.asked().len(), TASKS as usize);
    (stage, parts)
}

#[tokio::test(start_paused = true)]
async fn forty_tasks_on_three_workers_ask_no_faster_than_the_limit_and_no_attempt_is_charged() {
    for (text, least, most) in [("60/min", 39_000, 45_000), ("120/min burst 10", 15_000, 21_000)] {
        let (stage, parts) = forty(1, text, |ports| ports).await;
        let asked = stage.asked();
        assert_eq!(excess(text, &asked), 0, "{text}: {asked:?}");
        // Nor much slower, though most of them had to come back.
        let last = asked[asked.len() - 1];
        assert!((least - 1_000..=most).contains(&last), "{text}: {last}");
        let of_b = parts.tasks.iter().filter(|(task, _)| task.step().as_str() == "b");
        for (task, part) in of_b {
            assert_eq!((part.charged, part.released), (0, 0), "{task}");
            assert!(part.overloaded <= 2, "{task} waited {} times", part.overloaded);
            for ended in &part.attempts {
                assert_eq!((ended.outcome, ended.error_type.as_str()), (Outcome::Overloaded, RATE_LIMITED));
                assert!(ended.ended_at.since(ended.started_at) <= TURN_WAIT_MAX * 3, "{ended:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_each_worker_counts_for_itself_is_caught() {
    let text = "60/min";
    let (stage, _) = forty(1, text, |ports| Ports { turns: Sim::new(2).observer().turns, ..ports }).await;
    assert!(excess(text, &stage.asked()) > 0, "{:?}", stage.asked());
}

#[tokio::test(start_paused = true)]
async fn a_task_costs_one_write_where_it_need_not_wait_and_a_place_where_it_comes_back() {
    let calls = |stage: &Stage| {
        let count = |kind| stage.sim.calls().iter().filter(|call| call.kind == kind).count();
        (count("take-turns"), count("take-place"))
    };
    let stage = asks(1, "600/s burst 600", 1);
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(calls(&stage), (3, 0));

    let (stage, parts) = forty(1, "60/min", |ports| ports).await;
    let ended: usize = parts.tasks.values().map(|task| task.attempts.len()).sum();
    let (turns, places) = calls(&stage);
    // All twelve slots begin at once and know nothing: they guess that they are the first, and then that there is room. Later
    // guesses stand on what was seen last.
    let (tasks, slots) = (TASKS as usize, 12);
    assert!((tasks..=tasks + 2 * slots).contains(&turns), "{turns} takes of turns");
    assert!((ended..=ended + slots).contains(&places), "{places} takes of places for {ended} that came back");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_with_many_requests_takes_its_turns_in_one_write_and_keeps_its_lease_between_them() {
    let stage = asks(1, "60/min", 100).wide(1);
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    assert_eq!(stage.asked(), (0..100).map(|n| n * 1_000).collect::<Vec<u64>>());
    assert_eq!(stage.sim.calls().iter().filter(|call| call.kind == "take-turns").count(), 1);
    assert_eq!(stage.played("b#0").len(), 1);
    assert!(stage.sim.calls().iter().filter(|call| call.kind == "hold").count() >= 9, "{}", stage.log());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_requests_can_t_fit_into_it_fails_for_good_and_says_what_to_raise() {
    let stage = asks(1, "1/min", 10).wide(1);
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    let closing = &parts.job.as_ref().unwrap().closings[0];
    assert_eq!((closing.verdict, closing.error_type.as_deref()), (Verdict::Failed, Some("RateTooLow")));
    let error = closing.error.as_ref().unwrap().as_str();
    assert!(error.contains("take 540 s by our limit of 1/min") && error.ends_with("raise one of the two"), "{error}");
    assert_eq!(stage.asked(), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn what_has_no_turn_within_its_schedule_to_close_is_closed_by_it_and_the_reason_names_the_limit() {
    // Fifteen minutes have fifteen turns.
    let stage = asks(1, "1/min", 1).wide(TASKS);
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    let closing = &parts.job.as_ref().unwrap().closings[0];
    assert_eq!((closing.verdict, closing.error_type.as_deref()), (Verdict::TimedOut, Some("ScheduleToClose")));
    assert!(closing.error.as_ref().unwrap().as_str().contains("our limit of 1/min for provider model"), "{closing:?}");
    // The job is closed as soon as one of its tasks can't begin in time any more.
    assert!((8..=15).contains(&stage.asked().len()), "{:?}", stage.asked());
    assert_eq!(excess("1/min", &stage.asked()), 0);
    assert!(parts.tasks.values().all(|task| task.charged == 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_costs_a_turn_and_gives_none_twice() {
    let text = "60/min burst 3";
    let stage = asks(1, text, 1).wide(8);
    let worker = stage.worker("w");
    stage.sim.trouble("take-turns", Some(Fault::LostReply), Duration::ZERO);
    let id = stage.submit("j").await;
    stage.until("turns were taken", |sim| sim.calls().iter().any(|call| call.kind == "take-turns")).await;
    stage.sim.end_trouble();
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!((status(&parts), stage.asked().len()), (JobStatus::Completed, 8));
    assert_eq!(excess(text, &stage.asked()), 0, "{:?}", stage.asked());
}
