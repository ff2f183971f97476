//! Steps that fail, hang and panic.

use core::time::Duration;

use qsketch_core::parts::{Outcome, Verdict};
use qsketch_core::pipeline::{RetryPolicy, Timeouts};
use qsketch_core::{Canceling, Commit, Failure, JobStatus, TaskId, cancel};
use qsketch_sim::Fault;

use crate::stage::{End, LEASE, Play, Stage, status};

/// A script in which one task plays otherwise than the others.
fn only(name: &'static str, play: impl Fn(u32) -> Play + Send + Sync) -> impl Fn(&TaskId, u32) -> Play + Send + Sync {
    move |task, attempt| if task.to_string() == name { play(attempt) } else { Play::Make(Duration::ZERO) }
}

#[tokio::test(start_paused = true)]
async fn a_failing_step_is_tried_again_after_10_and_20_seconds_and_then_the_job_has_failed() {
    let stage = Stage::new(1, only("b#1", |n| Play::Fail(Failure::retry("Broken", format!("on purpose, {n}")))));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Failed);
    let closing = &parts.job.as_ref().unwrap().closings[0];
    assert_eq!((closing.verdict, closing.attempt), (Verdict::Failed, Some(3)));
    assert_eq!(closing.task.as_ref().map(ToString::to_string).as_deref(), Some("b#1"));
    assert_eq!(closing.error_type.as_deref(), Some("Broken"));
    assert_eq!(closing.error.as_ref().map(|error| error.as_str()), Some("on purpose, 3"));
    let began: Vec<_> = stage.played("b#1").iter().map(|played| played.began).collect();
    assert_eq!(began.len(), 3);
    // A tenth of jitter, and a second because visibility counts in whole ones.
    let waits = [began[1].since(began[0]), began[2].since(began[1])];
    assert!((10_000..12_100).contains(&waits[0].as_millis()), "{waits:?}");
    assert!((20_000..23_100).contains(&waits[1].as_millis()), "{waits:?}");
    let task = &parts.tasks[&"b#1".parse().unwrap()];
    assert_eq!((task.charged, task.attempts.len()), (3, 3));
    assert_eq!(stage.notifications().len(), 1);
    assert!(stage.notifications()[0].contains("on purpose, 3"));
    assert_eq!(stage.played("c"), []);
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_no_repetition_mends_closes_the_job_at_once() {
    let stage = Stage::new(1, only("a", |_| Play::Fail(Failure::fail("Refused", "never"))));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let began = stage.sim.now();
    let parts = stage.until_notified(&id).await;
    assert_eq!((status(&parts), stage.played("a").len()), (JobStatus::Failed, 1));
    assert_eq!(stage.sim.now(), began);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_overload_delays_a_job_and_burns_no_attempt() {
    let busy = |attempt| match attempt {
        1..=6 => Play::Fail(Failure::overload("Busy", "529", (attempt == 2).then_some(Duration::from_secs(60)))),
        _ => Play::Make(Duration::ZERO),
    };
    let stage = Stage::new(1, only("b#1", busy));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed, "{}", stage.log());
    let task = &parts.tasks[&"b#1".parse().unwrap()];
    assert_eq!((task.attempt, task.charged, task.overloaded), (7, 0, 6));
    assert!(task.attempts.iter().all(|attempt| attempt.outcome == Outcome::Overloaded));
    let began: Vec<_> = stage.played("b#1").iter().map(|played| played.began).collect();
    let waits: Vec<u128> = began.windows(2).map(|pair| pair[1].since(pair[0]).as_secs().into()).collect();
    // 5, then the minute that was asked for, then 20, 40, 80, 160: each up to a half longer, and a second of visibility.
    for (wait, least) in waits.iter().zip([5, 60, 20, 40, 80, 160]) {
        assert!((least..=least + least / 2 + 2).contains(wait), "{waits:?}");
    }
    stage.check_outputs(&id);
}

#[tokio::test(start_paused = true)]
async fn a_storm_that_does_not_end_ends_the_job_by_its_schedule_to_close() {
    let stage = Stage::new(1, only("b#1", |_| Play::Fail(Failure::overload("Busy", "529", None))));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    let closing = &parts.job.as_ref().unwrap().closings[0];
    assert_eq!((closing.verdict, closing.error_type.as_deref()), (Verdict::TimedOut, Some("ScheduleToClose")));
    assert!(closing.error.as_ref().unwrap().as_str().contains("Busy: 529"), "{closing:?}");
    assert_eq!(parts.tasks[&"b#1".parse().unwrap()].charged, 0);
}

#[tokio::test(start_paused = true)]
async fn a_canceled_job_ends_what_is_at_work_at_its_next_heartbeat_and_begins_nothing_more() {
    let stage = Stage::new(1, |task, _| match task.step().as_str() {
        "b" => Play::Hang,
        _ => Play::Make(Duration::from_secs(1)),
    });
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.sim.until(|_| stage.played("b#1").len() == 1 && stage.played("b#0").len() == 1).await;
    let canceled_at = stage.sim.now();
    let table = stage.sim.observer().table;
    let job = table.load_job(&id).await.unwrap().unwrap();
    let Canceling::Write(write) = cancel(&stage.pipeline, &job, "not needed", canceled_at) else { panic!("it runs") };
    assert!(matches!(table.commit(&id, &write).await.unwrap(), Commit::Written(_)));
    // Whoever canceled died here: the workers find the closing, and send its notification.
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Canceled);
    for task in ["b#0", "b#1"] {
        let played = stage.played(task);
        let End::Dropped(at) = played[0].end else { panic!("{task} was not ended: {played:?}") };
        assert!(at.since(canceled_at) <= LEASE / 3, "{task} ended {:?} after", at.since(canceled_at));
        assert_eq!(played.len(), 1, "{task} did not begin again");
        assert_eq!(parts.tasks[&task.parse().unwrap()].charged, 0);
    }
    assert_eq!(stage.played("c"), []);
    assert_eq!(stage.notifications().len(), 1, "{}", stage.log());
}

#[tokio::test(start_paused = true)]
async fn start_to_close_ends_a_hanging_handler_and_another_attempt_goes_on() {
    let timeouts = Timeouts { start_to_close: Duration::from_secs(70), heartbeat: LEASE, ..Timeouts::default() };
    let hangs_once = only("c", |attempt| if attempt == 1 { Play::Hang } else { Play::Make(Duration::ZERO) });
    let stage = Stage::with(1, timeouts, RetryPolicy::default(), hangs_once);
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let first = &stage.played("c")[0];
    let End::Dropped(dropped) = first.end else { panic!("it is still there: {first:?}") };
    assert_eq!(dropped.since(first.began).as_secs(), 70);
    let ended = &parts.tasks[&"c".parse().unwrap()].attempts;
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].outcome, ended[0].error_type.as_str()), (Outcome::TimedOut, "StartToClose"));
}

#[tokio::test(start_paused = true)]
async fn schedule_to_close_ends_the_last_attempt_and_closes_the_job_as_timed_out() {
    let timeouts = Timeouts {
        start_to_close: Duration::from_secs(100),
        schedule_to_close: Duration::from_secs(150),
        heartbeat: LEASE,
        ..Timeouts::default()
    };
    let stage = Stage::with(1, timeouts, RetryPolicy::default(), only("a", |_| Play::Hang));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let began = stage.sim.now();
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::TimedOut);
    assert_eq!(stage.sim.now().since(began).as_secs(), 150);
    let closing = &parts.job.as_ref().unwrap().closings[0];
    assert_eq!((closing.error_type.as_deref(), closing.attempt), (Some("ScheduleToClose"), Some(2)));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panicking_handler_is_a_failed_attempt_and_harms_nobody_else() {
    let panics_once = only("b#0", |attempt| if attempt == 1 { Play::Panic } else { Play::Make(Duration::ZERO) });
    let stage = Stage::new(1, panics_once);
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    let parts = stage.until_notified(&id).await;
    worker.stop().await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let ended = &parts.tasks[&"b#0".parse().unwrap()].attempts[0];
    assert_eq!((ended.outcome, ended.error_type.as_str()), (Outcome::Failed, "Panic"));
    assert_eq!(ended.error.as_str(), "the step panicked on purpose");
    assert_eq!((stage.played("b#1").len(), stage.played("b#2").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_breaks_off_gives_its_task_back_uncharged() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::ZERO));
    let worker = stage.worker("w");
    stage.sim.trouble("load-job", Some(Fault::Unavailable), Duration::ZERO);
    let id = stage.submit("j").await;
    let task: TaskId = "a".parse().unwrap();
    stage
        .until("the task is given back", |sim| {
            !sim.parts(&id).tasks.get(&task).is_none_or(|task| task.attempts.is_empty())
        })
        .await;
    stage.sim.end_trouble();
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    let told = &parts.tasks[&task];
    assert_eq!((told.charged, told.attempts[0].error_type.as_str()), (0, "BrokenOff"));
    assert!(told.started_at.since(told.attempts[0].ended_at) < LEASE, "nobody waited for a lease");
    worker.stop().await;
}
