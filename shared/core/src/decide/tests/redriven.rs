//! A job that closed and runs again: rule 6.

use super::*;
use crate::ids::StepName;
use crate::pipeline::Sharding;
use crate::redrive::{Redriving, Refused, Why, messages, outline, redrive};

/// A job that failed at `b#0`, its notification recorded.
fn failed() -> Tried<Scene> {
    let mut scene = Scene::at("b#0")?.held_by("gone", 3)?.closed(Verdict::Failed);
    if let Some(closing) = scene.job.closings.last_mut() {
        (closing.task, closing.error_type) = (Some(scene.id.clone()), Some("Boom".to_owned()));
    }
    if let Some(task) = &mut scene.task {
        task.lease = None;
    }
    scene.job.done.insert("b#1".parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    scene.job.done.insert("z@0".parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    Ok(scene)
}

fn later() -> Time {
    NOW.plus(Duration::from_secs(5_000))
}

fn reopen(scene: &mut Scene, from: Option<&str>) -> Tried<Write> {
    let from = from.map(StepName::try_from).transpose()?;
    let Redriving::Write(write) = redrive(&scene.pipeline, &scene.job, None, from.as_ref(), later()) else {
        return Err("no write".into());
    };
    let Some(Part::Job(job)) = apply(&write, Some(&Part::Job(Box::new(scene.job.clone())))) else {
        return Err("it was refused".into());
    };
    scene.job = *job;
    Ok(write)
}

fn to(scene: &Scene) -> Vec<String> {
    messages(&scene.pipeline, &scene.job).iter().map(|message| message.task.to_string()).collect()
}

#[test]
fn what_is_recorded_is_reused_and_what_failed_has_all_its_attempts_and_time_again() -> Tried<()> {
    let mut scene = failed()?;
    reopen(&mut scene, None)?;
    assert_eq!((scene.job.status, scene.job.closing), (JobStatus::Running, 1));
    assert_eq!(to(&scene), ["b#0"]);
    assert_eq!(scene.job.deadline, later().plus(Duration::from_secs(3_600)));
    let mut drive = scene.drive()?;
    let event =
        Event::Loaded { job: Some(Box::new(scene.job.clone())), task: scene.task.clone().map(Box::new), shard: None };
    let claim = decide(&scene.pipeline, &mut drive, event, later());
    assert_eq!(scene.commit(&mut drive, claim, later())?, Step::LoadJob);
    let task = scene.task.as_ref().ok_or("no task")?;
    assert_eq!((task.attempt, task.closing, task.charged), (4, 1, 0), "the number goes on, the charge does not");
    Ok(())
}

#[test]
fn a_wait_of_the_closing_before_is_over() -> Tried<()> {
    let mut scene = failed()?;
    scene.task.as_mut().ok_or("no task")?.not_before = Some(later().plus(Duration::from_secs(300)));
    reopen(&mut scene, None)?;
    assert_eq!(short(&scene.loaded(later())?), "claim");
    Ok(())
}

#[test]
fn a_lease_of_the_closing_before_is_taken_and_its_attempt_is_told_uncharged() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("old", 1)?.redriven();
    let mut drive = scene.knowing()?;
    let claim = scene.loaded(NOW)?;
    scene.commit(&mut drive, claim, NOW)?;
    let task = scene.task.as_ref().ok_or("no task")?;
    assert_eq!((task.attempt, task.closing, task.charged, task.released), (2, 1, 0, 0));
    assert_eq!((task.attempts[0].outcome, task.attempts[0].error_type.as_str()), (Outcome::Released, "Redriven"));
    Ok(())
}

#[test]
fn the_holder_of_the_closing_before_can_neither_hold_on_nor_record() -> Tried<()> {
    let before = Scene::at("b#0")?.held_by("me", 1)?;
    let mut drive = before.knowing()?;
    let hold = drive.hold(&before.pipeline).ok_or("no hold")?;
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?.redriven();
    let beat = Commit::Written(Part::Task(Box::new(scene.task.clone().ok_or("no task")?)));
    assert_eq!(hold.verdict(&beat, Some(&scene.job)), Beat::Stop);
    let record = decide(&before.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    assert_eq!(short(&record), "record");
    assert_eq!(short(&scene.commit(&mut drive, record, NOW)?), "claim", "it begins anew, under the closing ahead");
    Ok(())
}

#[test]
fn a_claim_of_a_closing_that_was_read_too_early_is_not_made() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("other", 2)?;
    let task = scene.task.as_mut().ok_or("no task")?;
    (task.closing, task.lease) = (1, None);
    assert_eq!(short(&scene.loaded(NOW)?), "load");
    Ok(())
}

#[test]
fn a_named_step_and_what_follows_it_are_forgotten() -> Tried<()> {
    let mut scene = failed()?;
    let before = scene.job.clone();
    let from = StepName::try_from("b")?;
    let write = reopen(&mut scene, Some("b"))?;
    assert_eq!(scene.job.done.keys().map(ToString::to_string).collect::<Vec<_>>(), ["a", "z@0"]);
    assert_eq!(scene.job.generations.iter().map(|(step, n)| format!("{step} {n}")).collect::<Vec<_>>(), ["b 1", "c 1"]);
    assert_eq!(to(&scene), ["b#0", "b#1"]);
    let plan = outline(&scene.pipeline, &before, &std::collections::BTreeMap::new(), Some(&from), &write);
    let told: Vec<_> = plan.iter().map(|step| (step.step.as_str(), step.reused, step.forgotten, step.runs)).collect();
    assert_eq!(told, [("a", 1, 0, Some(0)), ("b", 0, 1, Some(2)), ("c", 0, 0, Some(1))]);
    assert_eq!(plan[1].why, Why::Named);
    assert_eq!(plan[2].why, Why::Follows { step: from });
    Ok(())
}

#[test]
fn the_outline_of_a_whole_redrive_tells_what_failed() -> Tried<()> {
    let mut scene = failed()?;
    let before = scene.job.clone();
    let write = reopen(&mut scene, None)?;
    let plan = outline(&scene.pipeline, &before, &std::collections::BTreeMap::new(), None, &write);
    assert_eq!(plan[0].why, Why::Recorded);
    assert_eq!((plan[1].reused, plan[1].runs), (1, Some(1)));
    assert_eq!(plan[1].why, Why::Failed { task: "b#0".parse()?, error_type: "Boom".to_owned() });
    assert_eq!(plan[2].why, Why::Open);
    Ok(())
}

#[test]
fn the_notification_comes_first_unless_it_was_given_up() -> Tried<()> {
    let mut scene = failed()?;
    scene.job.done.remove(&"z@0".parse()?);
    let asked = |finalizer: Option<&Task>| redrive(&scene.pipeline, &scene.job, finalizer, None, later());
    assert!(matches!(asked(None), Redriving::Notify { message, .. } if message.task.to_string() == "z@0"));
    let mut finalizer = scene.task.clone().ok_or("no task")?;
    finalizer.charged = 2;
    assert!(matches!(asked(Some(&finalizer)), Redriving::Notify { then: Write::Reopen { is_notified: true, .. }, .. }));
    finalizer.charged = 3;
    assert!(matches!(asked(Some(&finalizer)), Redriving::Write(Write::Reopen { is_notified: false, .. })));
    Ok(())
}

#[test]
fn a_redrive_that_lost_the_race_changes_nothing() -> Tried<()> {
    let mut scene = failed()?;
    let write = reopen(&mut scene, None)?;
    assert_eq!(apply(&write, Some(&Part::Job(Box::new(scene.job.clone())))), None, "it runs already");
    let mut again = scene.closed(Verdict::Failed);
    again.job.done.insert("z@1".parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    assert_eq!(apply(&write, Some(&Part::Job(Box::new(again.job)))), None, "it has closed again");
    Ok(())
}

#[test]
fn each_refusal_has_its_reason() -> Tried<()> {
    let asked = |change: &dyn Fn(&mut Job), from: Option<&str>, now: Time| {
        let mut scene = failed()?;
        change(&mut scene.job);
        let from = from.map(StepName::try_from).transpose()?;
        match redrive(&scene.pipeline, &scene.job, None, from.as_ref(), now) {
            Redriving::Refused(refused) => Tried::Ok(refused),
            other => Err(format!("{other:?}").into()),
        }
    };
    let nothing = |_: &mut Job| {};
    assert_eq!(asked(&|job| job.status = JobStatus::Running, None, later())?, Refused::Runs);
    assert_eq!(asked(&|job| job.status = JobStatus::Completed, None, later())?, Refused::Completed);
    assert_eq!(asked(&|job| job.status = JobStatus::Rejected, None, later())?, Refused::Rejected);
    let closing = failed()?.job.closings[0].clone();
    let often = |job: &mut Job| job.closings = vec![closing.clone(); crate::limits::CLOSINGS_MAX];
    assert_eq!(asked(&often, None, later())?, Refused::TooOften);
    let weeks = NOW.plus(Duration::from_secs(17 * 24 * 3_600));
    assert!(matches!(asked(&nothing, None, weeks)?, Refused::ExpiresSoon { .. }));
    assert!(matches!(asked(&nothing, Some("paint"), later())?, Refused::NoSuchStep { .. }));
    assert!(matches!(asked(&nothing, Some("z"), later())?, Refused::NoSuchStep { .. }));
    let missing = Refused::InputsMissing { step: StepName::try_from("c")?, input: StepName::try_from("b")? };
    assert_eq!(asked(&nothing, Some("c"), later())?, missing);
    let opened = |job: &mut Job| (job.status, job.closing) = (JobStatus::Running, 1);
    assert_eq!(asked(&opened, Some("a"), later())?, Refused::RunsAgain, "a repeated one names no step");
    Ok(())
}

#[test]
fn a_job_that_was_canceled_with_every_task_recorded_is_closed_by_a_message_of_its_first_task() -> Tried<()> {
    let mut scene = Scene::at("c")?.closed(Verdict::Canceled);
    for task in ["c", "z@0"] {
        scene.job.done.insert(task.parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    }
    reopen(&mut scene, None)?;
    assert_eq!(to(&scene), ["a"]);
    scene.id = "a".parse()?;
    assert_eq!(short(&scene.loaded(later())?), "close Completed");
    Ok(())
}

/// A job whose wide step `b` failed, in shards of two.
fn wide(from: &str) -> Tried<Scene> {
    let builder = Pipeline::builder("p").step(StepSpec::new("a")).step(StepSpec::new("b").over("a"));
    let mut scene = failed()?;
    scene.pipeline =
        builder.finalizer(StepSpec::new("z")).sharding(Sharding { inline_width_max: 1, shard_width: 2 }).build()?;
    scene.job.done.retain(|task, _| task.step().as_str() != "b");
    scene.job.done.insert("a".parse()?, Done { attempt: 1, at: NOW, width: Some(4), payload: None });
    scene.job.folded.insert("b@0/0".parse()?, NOW);
    scene.id = "b#2".parse()?;
    reopen(&mut scene, Some(from))?;
    Ok(scene)
}

#[test]
fn the_shards_of_a_forgotten_step_are_not_read_any_more() -> Tried<()> {
    let scene = wide("b")?;
    assert!(scene.job.folded.is_empty());
    assert_eq!(to(&scene), ["b#0", "b#1", "b#2", "b#3"]);
    let shard = scene.drive()?.shard_to_load(&scene.pipeline).ok_or("no shard")?;
    assert_eq!(shard.to_string(), "b@1/1");
    Ok(())
}

#[test]
fn a_message_of_before_the_redrive_looks_into_the_shard_of_now() -> Tried<()> {
    let mut scene = wide("b")?;
    scene.task = None;
    let mut drive = scene.drive()?;
    drive.message.generation = 0;
    let mut old = Shard::new(1, 0);
    old.done.insert(2, Done { attempt: 1, at: NOW, width: None, payload: None });
    let loaded = |shard: Option<&Shard>| Event::Loaded {
        job: Some(Box::new(scene.job.clone())),
        task: None,
        shard: shard.cloned().map(Box::new),
    };
    assert_eq!(short(&decide(&scene.pipeline, &mut drive, loaded(Some(&old)), later())), "load");
    assert_eq!(drive.shard_to_load(&scene.pipeline).map(|shard| shard.to_string()).as_deref(), Some("b@1/1"));
    assert_eq!(short(&decide(&scene.pipeline, &mut drive, loaded(None), later())), "claim");
    Ok(())
}

#[test]
fn a_late_message_of_before_that_claims_its_task_too_early_gives_it_back() -> Tried<()> {
    // The step before was forgotten by the redrive, and its wait is open again.
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?.with_wait()?;
    let part = Part::Task(Box::new(scene.task.clone().ok_or("no task")?));
    let mut drive = scene.drive()?;
    let event = Event::Claimed { commit: Commit::Written(part), job: Some(Box::new(scene.job.clone())) };
    let end = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, end, NOW)?), ["ack"]);
    let task = scene.task.ok_or("no task")?;
    assert_eq!((task.lease, task.charged, task.released), (None, 0, 1));
    assert_eq!(task.attempts[0].error_type, "TooEarly");
    Ok(())
}
