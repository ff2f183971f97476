//! The table of every status against every event, and the rules one by one.

mod crash;
mod light;
mod paused;
mod redriven;
mod scene;
mod unclaimed;
mod wide;

use core::time::Duration;

use super::*;
use crate::failure::Failure;
use crate::ids::{JobId, Tenant};
use crate::parts::{Closing, Done, JobStatus, Lease, Outcome, Pause, Verdict};
use crate::pipeline::{StepSpec, Wait};
use crate::write::{Footing, apply};
use scene::{Scene, pipeline, sent, short};

type Tried<T> = Result<T, Box<dyn std::error::Error>>;

const NOW: Time = Time(1_000_000);

/// Every event, from a drive that holds attempt 1 of `b#0` where the status allows it.
fn every_event(scene: &Scene) -> Tried<Vec<(&'static str, Event)>> {
    let job = || Some(Box::new(scene.job.clone()));
    let task = || scene.task.clone().map(Box::new);
    let part = Part::Task(Box::new(scene.task.clone().ok_or("the table needs a held task")?));
    let failure = Failure::retry("Boom", "it broke");
    Ok(vec![
        ("delivered first", Event::Delivered { receives: 1 }),
        ("delivered again", Event::Delivered { receives: 2 }),
        ("claimed", Event::Claimed { commit: Commit::Written(part.clone()), job: job() }),
        ("claim overtaken", Event::Claimed { commit: Commit::Overtaken(Some(part.clone())), job: job() }),
        ("loaded", Event::Loaded { job: job(), task: task(), shard: None }),
        ("loaded, no job", Event::Loaded { job: None, task: task(), shard: None }),
        ("job loaded", Event::JobLoaded { job: job(), shard: None }),
        ("committed", Event::Committed(Commit::Written(part.clone()))),
        ("overtaken", Event::Committed(Commit::Overtaken(Some(part)))),
        ("alone", Event::Alone),
        ("crowded", Event::Crowded),
        ("worked", Event::Worked(Output::default())),
        ("failed", Event::Failed { failure, jitter: Jitter(0) }),
        ("overloaded", Event::Failed { failure: Failure::overload("Busy", "529", None), jitter: Jitter(0) }),
        ("timed out", Event::TimedOut { jitter: Jitter(0) }),
        ("lost", Event::Lost { job: job(), task: task() }),
        ("lost, no task", Event::Lost { job: job(), task: None }),
        ("stopping", Event::Stopping),
        ("broken off", Event::BrokenOff(crate::failure::ErrorText::from("no answer"))),
    ])
}

/// What a scene answers to every event, a row each.
fn rows(name: &str, scene: &Scene) -> Tried<String> {
    let row = |(event, step): (&str, Step)| format!("{name:9} | {event:15} | {}\n", short(&step));
    let answer = |(name, event)| Ok((name, decide(&scene.pipeline, &mut scene.knowing()?, event, NOW)));
    every_event(scene)?.into_iter().map(answer).map(|answered: Tried<_>| answered.map(row)).collect()
}

#[test]
fn every_status_answers_every_event() -> Tried<()> {
    let mut table = String::new();
    for status in JobStatus::ALL {
        let scene = Scene::at("b#0")?.held_by("me", 1)?;
        let mut scene = match status {
            JobStatus::Queued | JobStatus::Running => scene,
            JobStatus::Completed => scene.closed(Verdict::Completed),
            JobStatus::Failed => scene.closed(Verdict::Failed),
            JobStatus::TimedOut => scene.closed(Verdict::TimedOut),
            JobStatus::Canceled => scene.closed(Verdict::Canceled),
            JobStatus::Rejected => scene,
        };
        scene.job.status = status;
        table.push_str(&rows(status.as_str(), &scene)?);
    }
    let finalizer =
        Scene { id: "z@0".parse()?, ..Scene::at("b#0")?.held_by("me", 1)?.closed(Verdict::Failed).capped() };
    let done = Done { attempt: 1, at: NOW, width: None, payload: None };
    let mut told = Scene {
        task: finalizer.task.clone(),
        id: finalizer.id.clone(),
        ..Scene::at("b#0")?.closed(Verdict::Failed).capped()
    };
    told.job.done.insert("z@0".parse()?, done);
    table.push_str(&rows("CAPPED", &finalizer)?);
    table.push_str(&rows("TOLD", &told)?);
    table.push_str(&rows("PAUSED", &Scene::at("b#0")?.held_by("me", 1)?.paused())?);
    table.push_str(&rows("REDRIVEN", &Scene::at("b#0")?.held_by("me", 1)?.redriven())?);
    table.push_str(&rows("CRASHED", &Scene::at("b#0")?.held_by("me", 2)?.crashed(2)?)?);
    table.push_str(&rows("POISON", &Scene::at("b#0")?.held_by("me", 1)?.panicked()?)?);
    table.push_str(&rows("AWAITING", &Scene::at("b#0")?.held_by("me", 1)?.with_wait()?)?);
    table.push_str(&rows("WAIT", &Scene { id: "w".parse()?, ..Scene::at("b#0")?.held_by("me", 1)?.with_wait()? })?);
    assert_eq!(table, include_str!("table.txt"), "the table as it is now:\n{table}");
    Ok(())
}

#[test]
fn a_redelivery_sends_what_a_signal_made_ready() -> Tried<()> {
    let mut scene = Scene { id: "a".parse()?, ..Scene::at("b#0")?.with_wait()? };
    assert_eq!(sent(&scene.loaded(NOW)?), ["ack"], "the wait has no message");
    scene.job.done.insert("w".parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    assert_eq!(sent(&scene.loaded(NOW)?), ["b#0+b#1", "ack"]);
    Ok(())
}

#[test]
fn a_first_delivery_claims_beside_its_load_and_works() -> Tried<()> {
    let scene = Scene::at("b#0")?;
    let mut drive = scene.drive()?;
    let step = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    let Step::ClaimBesideLoad(write) = step else { return Err("no claim".into()) };
    let part = apply(&write, None).ok_or("refused")?;
    let event = Event::Claimed { commit: Commit::Written(part), job: Some(Box::new(scene.job.clone())) };
    let step = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(step, Step::Work { attempt: 1, until: NOW.plus(Duration::from_secs(300)) });
    Ok(())
}

#[test]
fn a_later_claim_loads_again_before_it_works() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("gone", 1)?;
    let now = NOW.plus(Duration::from_secs(32));
    let mut drive = scene.knowing()?;
    let event =
        Event::Loaded { job: Some(Box::new(scene.job.clone())), task: scene.task.clone().map(Box::new), shard: None };
    let step = decide(&scene.pipeline, &mut drive, event, now);
    assert_eq!(scene.commit(&mut drive, step, now)?, Step::LoadJob);
    scene.job.done.insert("b#0".parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    let step = decide(
        &scene.pipeline,
        &mut drive,
        Event::JobLoaded { job: Some(Box::new(scene.job.clone())), shard: None },
        now,
    );
    assert_eq!(sent(&step), ["ack"], "what was recorded meanwhile is not done again");
    Ok(())
}

#[test]
fn a_lapsed_lease_is_told_as_a_heartbeat_timeout_and_charged() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("gone", 1)?;
    let now = NOW.plus(Duration::from_secs(32));
    let mut drive = scene.knowing()?;
    let step = scene.loaded(now)?;
    scene.commit(&mut drive, step, now)?;
    let task = scene.task.ok_or("no task")?;
    assert_eq!((task.attempt, task.charged), (2, 1));
    assert_eq!(task.attempts[0].outcome, Outcome::TimedOut);
    assert_eq!(task.attempts[0].error_type, "Heartbeat");
    Ok(())
}

#[test]
fn a_last_attempt_that_lapsed_is_ended_before_the_job_closes_for_it() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("gone", 3)?;
    let now = NOW.plus(Duration::from_secs(32));
    let mut drive = scene.knowing()?;
    let ended = scene.loaded(now)?;
    assert_eq!(short(&ended), "end");
    let close = scene.commit(&mut drive, ended, now)?;
    assert_eq!(short(&close), "close TimedOut");
    let last = scene.task.as_ref().and_then(|task| task.attempts.last()).ok_or("not ended")?;
    assert_eq!((last.attempt, last.outcome, last.error_type.as_str()), (3, Outcome::TimedOut, "Heartbeat"));
    assert_eq!(sent(&scene.commit(&mut drive, close, now)?), ["z@0", "ack"]);
    Ok(())
}

#[test]
fn a_last_attempt_that_was_renewed_after_it_was_seen_lapsed_keeps_the_job_running() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("slow", 3)?;
    let now = NOW.plus(Duration::from_secs(32));
    let mut drive = scene.knowing()?;
    let ended = scene.loaded(now)?;
    let renewed = scene.task.as_mut().and_then(|task| task.lease.as_mut()).ok_or("not held")?;
    renewed.until = now.plus(Duration::from_secs(30));
    assert_eq!(sent(&scene.commit(&mut drive, ended, now)?), ["hide 63000"]);
    assert_eq!(scene.job.status, JobStatus::Running);
    Ok(())
}

#[test]
fn a_live_lease_hides_the_message_until_it_ends_by_the_slowest_clock() -> Tried<()> {
    let scene = Scene::at("b#0")?.held_by("other", 1)?;
    assert_eq!(sent(&scene.loaded(NOW)?), ["hide 31000"]);
    Ok(())
}

#[test]
fn the_first_two_failures_wait_ten_and_twenty_seconds() -> Tried<()> {
    for (attempt, wait) in [(1, "hide 10000"), (2, "hide 20000")] {
        let mut scene = Scene::at("b#0")?.held_by("me", attempt)?;
        let mut drive = scene.knowing()?;
        let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
        let step = decide(&scene.pipeline, &mut drive, event, NOW);
        assert_eq!(sent(&scene.commit(&mut drive, step, NOW)?), [wait]);
    }
    Ok(())
}

#[test]
fn the_last_charged_attempt_closes_the_job() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 3)?;
    let mut drive = scene.knowing()?;
    let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
    let ended = decide(&scene.pipeline, &mut drive, event, NOW);
    let close = scene.commit(&mut drive, ended, NOW)?;
    let settled = scene.commit(&mut drive, close, NOW)?;
    assert_eq!(sent(&settled), ["z@0", "ack"]);
    let closing = scene.job.closings.first().ok_or("not closed")?;
    assert_eq!((closing.verdict, closing.attempt), (Verdict::Failed, Some(3)));
    assert_eq!(closing.task.as_ref().map(ToString::to_string).as_deref(), Some("b#0"));
    Ok(())
}

#[test]
fn a_failure_that_no_repetition_mends_closes_the_job_at_once() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let event = Event::Failed { failure: Failure::fail("BadScript", "no scene"), jitter: Jitter(0) };
    let ended = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(short(&scene.commit(&mut drive, ended, NOW)?), "close Failed");
    Ok(())
}

#[test]
fn a_delay_that_the_other_side_asked_for_is_obeyed() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let remedy = crate::failure::Remedy::Retry { after: Some(Duration::from_secs(42)) };
    let event = Event::Failed { failure: Failure::new("Overloaded", "529", remedy), jitter: Jitter(0) };
    let ended = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, ended, NOW)?), ["hide 42000"]);
    Ok(())
}

/// Ends the attempt that `me` holds by an overload; the step after it.
fn overloaded(scene: &mut Scene, after: Option<Duration>, now: Time) -> Tried<Step> {
    let mut drive = scene.knowing()?;
    let event = Event::Failed { failure: Failure::overload("Overloaded", "529", after), jitter: Jitter(0) };
    let ended = decide(&scene.pipeline, &mut drive, event, now);
    scene.commit(&mut drive, ended, now)
}

#[test]
fn an_overload_is_not_charged_and_waits_by_a_budget_of_its_own() -> Tried<()> {
    let mut scene = Scene::at("b#0")?;
    for (attempt, after, wait) in [(1, None, 5_000), (2, None, 10_000), (3, Some(42), 42_000), (4, None, 40_000)] {
        let before = scene.task.take();
        scene = scene.held_by("me", attempt)?;
        if let (Some(task), Some(before)) = (&mut scene.task, before) {
            (task.charged, task.overloaded, task.attempts) = (0, before.overloaded, before.attempts);
        }
        let next = overloaded(&mut scene, after.map(Duration::from_secs), NOW)?;
        assert_eq!(sent(&next), [format!("hide {wait}")], "attempt {attempt}");
        let task = scene.task.as_ref().ok_or("no task")?;
        assert_eq!((task.charged, task.overloaded), (0, attempt));
        assert_eq!(task.attempts.last().map(|last| last.outcome), Some(Outcome::Overloaded));
    }
    // Three attempts are allowed, and this is the fifth.
    assert_eq!(short(&scene.loaded(NOW.plus(Duration::from_secs(100)))?), "claim");
    Ok(())
}

#[test]
fn an_attempt_that_waits_for_its_turn_comes_back_exactly_then_first_and_uncharged() -> Tried<()> {
    use crate::rate::{Standing, standing, waits};
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let failure = waits(&"model".try_into()?, "60/min".parse()?, NOW.plus(Duration::from_secs(61)));
    let ended = decide(&scene.pipeline, &mut drive, Event::Failed { failure, jitter: Jitter(999) }, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, ended, NOW)?), ["hide 61000"]);
    let task = scene.task.as_ref().ok_or("no task")?;
    assert_eq!((task.charged, task.overloaded, standing(Some(task))), (0, 1, Standing::Waited));
    // Another overload, or a redrive, and it stands behind the others.
    assert_eq!(standing(Some(&crate::Task { closing: 1, ..task.clone() })), Standing::New);
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    overloaded(&mut scene, None, NOW)?;
    assert_eq!(standing(scene.task.as_ref()), Standing::New);
    Ok(())
}

#[test]
fn a_storm_that_outlasts_schedule_to_close_ends_the_job_with_its_reason() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let next = overloaded(&mut scene, Some(Duration::from_secs(900)), NOW)?;
    let Step::Commit(Write::Close { entry, .. }) = next else { return Err(format!("{next:?}").into()) };
    assert_eq!((entry.verdict, entry.error_type.as_deref()), (Verdict::TimedOut, Some("ScheduleToClose")));
    let error = entry.error.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("Overloaded: 529"), "{error}");
    Ok(())
}

#[test]
fn an_overload_is_charged_once_its_own_budget_is_used_up_or_where_its_type_is_not_retried() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    scene.task.as_mut().ok_or("no task")?.overloaded = crate::limits::OVERLOADS_MAX;
    overloaded(&mut scene, None, NOW)?;
    let task = scene.task.as_ref().ok_or("no task")?;
    assert_eq!((task.charged, task.overloaded), (1, crate::limits::OVERLOADS_MAX));
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let retry = crate::pipeline::RetryPolicy {
        non_retryable_error_types: vec!["Overloaded".to_owned()],
        ..crate::pipeline::RetryPolicy::default()
    };
    scene.pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").over("a").retry(retry))
        .step(StepSpec::new("c").after(["b"]))
        .finalizer(StepSpec::new("z"))
        .build()?;
    assert_eq!(short(&overloaded(&mut scene, None, NOW)?), "close Failed");
    Ok(())
}

#[test]
fn a_worker_told_to_stop_gives_its_task_back_uncharged() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let step = decide(&scene.pipeline, &mut drive, Event::Stopping, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, step, NOW)?), ["give back"]);
    let task = scene.task.clone().ok_or("no task")?;
    assert_eq!((task.charged, task.released, task.lease.is_none()), (0, 1, true));
    assert_eq!(short(&scene.loaded(NOW)?), "claim", "the next delivery begins attempt 2 at once");
    Ok(())
}

/// A scene whose step must start within 20 s.
fn hurried() -> Tried<Scene> {
    let timeouts = crate::pipeline::Timeouts { schedule_to_start: Some(Duration::from_secs(20)), ..Default::default() };
    let mut scene = Scene::at("b#0")?;
    scene.pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").over("a").timeouts(timeouts))
        .step(StepSpec::new("c").after(["b"]))
        .finalizer(StepSpec::new("z"))
        .build()?;
    Ok(scene)
}

#[test]
fn a_first_attempt_that_begins_too_late_closes_the_job_and_a_later_one_does_not() -> Tried<()> {
    let late = NOW.plus(Duration::from_secs(32));
    assert_eq!(short(&hurried()?.loaded(late)?), "close TimedOut");
    let began_in_time = hurried()?.held_by("gone", 1)?;
    assert_eq!(short(&began_in_time.loaded(late)?), "claim");
    let mut claimed_too_late = hurried()?.held_by("me", 1)?;
    claimed_too_late.task.as_mut().ok_or("no task")?.started_at = late;
    assert_eq!(short(&claimed_too_late.loaded(late)?), "close TimedOut");
    Ok(())
}

#[test]
fn a_drive_that_breaks_off_gives_its_task_back_uncharged_with_the_reason() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let event = Event::BrokenOff(crate::failure::ErrorText::from("the table does not answer"));
    let step = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, step, NOW)?), ["give back"]);
    let task = scene.task.ok_or("no task")?;
    assert_eq!((task.charged, task.released, task.attempts[0].error_type.as_str()), (0, 1, "BrokenOff"));
    Ok(())
}

#[test]
fn no_attempt_begins_after_its_schedule_to_close() -> Tried<()> {
    let scene = Scene::at("b#0")?;
    assert_eq!(short(&scene.loaded(NOW.plus(Duration::from_secs(899)))?), "claim");
    assert_eq!(short(&scene.loaded(NOW.plus(Duration::from_secs(900)))?), "close TimedOut");
    Ok(())
}

#[test]
fn a_wait_that_would_outlast_the_schedule_to_close_closes_the_job_now() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let late = NOW.plus(Duration::from_secs(895));
    let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
    let step = decide(&scene.pipeline, &mut drive, event, late);
    assert_eq!(short(&scene.commit(&mut drive, step, late)?), "close TimedOut");
    Ok(())
}

#[test]
fn the_last_task_closes_the_job_in_the_write_that_records_it() -> Tried<()> {
    let mut scene = Scene::at("c")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let output = Output { result: Some("s3://b/k".to_owned()), width: None };
    let step = decide(&scene.pipeline, &mut drive, Event::Worked(output), NOW);
    assert_eq!(sent(&scene.commit(&mut drive, step, NOW)?), ["z@0", "ack"]);
    assert_eq!(scene.job.status, JobStatus::Completed);
    assert_eq!(scene.job.result.as_deref(), Some("s3://b/k"));
    Ok(())
}

#[test]
fn a_record_whose_reply_was_lost_is_known_again() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    let step = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    scene.commit(&mut drive, step.clone(), NOW)?;
    assert_eq!(sent(&scene.commit(&mut drive, step, NOW)?), ["ack"]);
    Ok(())
}

#[test]
fn a_claim_whose_reply_was_lost_is_known_by_its_owner() -> Tried<()> {
    let scene = Scene::at("b#0")?.held_by("me", 1)?;
    let commit = Commit::Overtaken(scene.task.clone().map(|task| Part::Task(Box::new(task))));
    let event = Event::Claimed { commit, job: Some(Box::new(scene.job.clone())) };
    assert_eq!(short(&decide(&scene.pipeline, &mut scene.drive()?, event, NOW)), "work 1");
    Ok(())
}

#[test]
fn a_notification_of_a_closing_that_is_over_is_dropped() -> Tried<()> {
    let running = Scene::at("z@0")?;
    assert_eq!(sent(&running.loaded(NOW)?), ["ack"]);
    let mut newer = Scene::at("z@0")?.closed(Verdict::Failed).closed(Verdict::Failed);
    newer.job.closing = 1;
    assert_eq!(sent(&newer.loaded(NOW)?), ["ack"]);
    Ok(())
}

#[test]
fn a_notification_that_fails_for_good_goes_to_the_dead_letters() -> Tried<()> {
    let mut scene = Scene::at("z@0")?.closed(Verdict::Completed).held_by("me", 3)?;
    let mut drive = scene.knowing()?;
    let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
    let step = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, step, NOW)?), ["dead: z@0 failed for good: Boom: it broke"]);
    Ok(())
}

#[test]
fn a_list_that_is_missing_or_too_wide_fails_the_attempt() -> Tried<()> {
    for (width, error) in [(None, "NoList"), (Some(crate::limits::WIDTH_MAX + 1), "ListTooWide")] {
        let scene = Scene::at("a")?.held_by("me", 1)?;
        let event = Event::Worked(Output { width, result: None });
        let Step::Commit(Write::Task { set, footing, .. }) = decide(&scene.pipeline, &mut scene.knowing()?, event, NOW)
        else {
            return Err("not ended".into());
        };
        assert_eq!((set.attempts[0].error_type.as_str(), set.attempts[0].is_final), (error, true));
        assert!(matches!(footing, Footing::Mine { attempt: 1, .. }));
    }
    Ok(())
}

#[test]
fn a_drive_that_loses_every_race_leaves_the_message_for_later() -> Tried<()> {
    let scene = Scene::at("b#0")?;
    let mut drive = scene.knowing()?;
    let mut last = String::new();
    for _ in 0..=COMMITS_MAX {
        let commit = Commit::Overtaken(None);
        last = short(&decide(&scene.pipeline, &mut drive, Event::Committed(commit), NOW));
    }
    assert_eq!(last, "hide 1000");
    Ok(())
}
