//! A task whose worker's process died: what the one decides who outlived it, and how the next attempt begins.

use super::*;
use crate::limits::{ALONE_PAUSE, CRASHES_MAX};
use crate::write::Claim;

/// What is given back for the claim of this attempt by `me`.
fn given_back(scene: &Scene, attempt: u32, now: Time) -> Tried<GivingBack> {
    let claim = Claim { task: scene.id.clone(), attempt, owner: Owner::try_from("me")? };
    let known = Known { job: Some(&scene.job), task: scene.task.as_ref(), shard: scene.shard.as_ref() };
    Ok(give_back_after_crash(&scene.pipeline, &claim, known, Jitter(0), now))
}

/// Crashes the attempt that `me` holds; for how many milliseconds the message is hidden.
fn crash(scene: &mut Scene) -> Tried<u64> {
    let attempt = scene.task.as_ref().ok_or("no task")?.attempt;
    let GivingBack::End { write, until } = given_back(scene, attempt, NOW)? else { return Err("not ended".into()) };
    let current = scene.task.clone().map(|task| Part::Task(Box::new(task)));
    let Some(Part::Task(task)) = apply(&write, current.as_ref()) else { return Err("refused".into()) };
    scene.task = Some(*task);
    Ok(u64::try_from(until.since(NOW).as_millis())?)
}

/// A new delivery takes the task up, alone in its worker where that is asked for; whether it was.
fn taken_up(scene: &mut Scene, now: Time) -> Tried<bool> {
    let mut drive = scene.knowing()?;
    let loaded =
        Event::Loaded { job: Some(Box::new(scene.job.clone())), task: scene.task.clone().map(Box::new), shard: None };
    let mut step = decide(&scene.pipeline, &mut drive, loaded, now);
    let is_alone = step == Step::BeAlone;
    if is_alone {
        step = decide(&scene.pipeline, &mut drive, Event::Alone, now);
    }
    if scene.commit(&mut drive, step, now)? != Step::LoadJob {
        return Err("it holds nothing".into());
    }
    Ok(is_alone)
}

#[test]
fn a_task_that_kills_its_worker_every_time_fails_by_itself_after_three_crashes_alone() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    let mut told = Vec::new();
    for _ in 0..CRASHES_MAX {
        let hidden = crash(&mut scene)?;
        let later = NOW.plus(Duration::from_millis(hidden));
        let task = scene.task.clone().ok_or("no task")?;
        if short(&scene.loaded(later)?).starts_with("close") {
            told.push(format!("{hidden} ms, {} in company, {} charged, over", task.crashed, task.charged));
            break;
        }
        let how = if taken_up(&mut scene, later)? { "alone" } else { "in company" };
        told.push(format!("{hidden} ms, {} in company, {} charged, then {how}", task.crashed, task.charged));
        let lease = scene.task.as_ref().and_then(|task| task.lease.clone()).ok_or("not held")?;
        assert_eq!(lease.owner.as_str(), "me");
    }
    let expected = [
        "0 ms, 1 in company, 0 charged, then in company",
        "5000 ms, 2 in company, 0 charged, then alone",
        "10000 ms, 2 in company, 1 charged, then alone",
        "20000 ms, 2 in company, 2 charged, then alone",
        "0 ms, 2 in company, 3 charged, over",
    ];
    assert_eq!(told, expected);
    let Step::Commit(Write::Close { entry, .. }) = scene.loaded(NOW)? else { return Err("not closed".into()) };
    assert_eq!(
        (entry.verdict, entry.attempt, entry.error_type.as_deref()),
        (Verdict::Failed, Some(5), Some("WorkerDied"))
    );
    Ok(())
}

#[test]
fn a_process_that_is_not_alone_in_time_hides_the_message_and_has_claimed_nothing() -> Tried<()> {
    let scene = Scene::at("b#0")?.held_by("me", 2)?.crashed(2)?;
    let mut drive = scene.knowing()?;
    let loaded =
        Event::Loaded { job: Some(Box::new(scene.job.clone())), task: scene.task.clone().map(Box::new), shard: None };
    assert_eq!(decide(&scene.pipeline, &mut drive, loaded, NOW), Step::BeAlone);
    let step = decide(&scene.pipeline, &mut drive, Event::Crowded, NOW);
    assert_eq!(step, Step::Settle(vec![Act::Hide(NOW.plus(ALONE_PAUSE))]));
    Ok(())
}

#[test]
fn waiting_to_be_alone_eats_no_start_to_close_but_schedule_to_close_runs_on() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 2)?.crashed(2)?;
    let waited = NOW.plus(Duration::from_secs(600));
    let mut drive = scene.knowing()?;
    let step = decide(&scene.pipeline, &mut drive, Event::Alone, waited);
    scene.commit(&mut drive, step, waited)?;
    let task = scene.task.as_ref().ok_or("no task")?;
    assert_eq!((task.attempt, task.started_at, task.is_alone), (3, waited, true));
    let step = decide(
        &scene.pipeline,
        &mut drive,
        Event::JobLoaded { job: Some(Box::new(scene.job.clone())), shard: None },
        waited,
    );
    assert_eq!(step, Step::Work { attempt: 3, until: NOW.plus(Duration::from_secs(900)) });
    let scene = Scene::at("b#0")?.held_by("me", 2)?.crashed(2)?;
    let step = decide(&scene.pipeline, &mut scene.knowing()?, Event::Alone, NOW.plus(Duration::from_secs(900)));
    assert_eq!(short(&step), "close TimedOut");
    Ok(())
}

/// How giving back looks in the table.
fn told(giving_back: &GivingBack) -> String {
    match giving_back {
        GivingBack::Reveal => "reveal".to_owned(),
        GivingBack::End { write, until } => format!("{}, hide {}", write.kind(), until.since(NOW).as_millis()),
    }
}

#[test]
fn only_an_attempt_that_the_dead_process_still_held_is_ended() -> Tried<()> {
    let held = || Scene::at("b#0")?.held_by("me", 1);
    let recorded = |mut scene: Scene| -> Tried<Scene> {
        scene.job.done.insert(scene.id.clone(), Done { attempt: 1, at: NOW, width: None, payload: None });
        Ok(scene)
    };
    let cases = [
        ("held", held()?, "hold, hide 0"),
        ("held, its job closed", held()?.closed(Verdict::Canceled), "reveal"),
        ("held, its job redriven", held()?.redriven(), "reveal"),
        ("held, its step paused", held()?.paused(), "hold, hide 0"),
        ("held and recorded", recorded(held()?)?, "reveal"),
        ("the claim was not written", Scene::at("b#0")?, "reveal"),
        ("ended", held()?.crashed(1)?, "reveal"),
        ("taken over", Scene::at("b#0")?.held_by("other", 2)?, "reveal"),
        ("a later claim of its own", Scene::at("b#0")?.held_by("me", 2)?, "reveal"),
        ("the finalizer, held", Scene::at("z@0")?.closed(Verdict::Failed).held_by("me", 1)?, "hold, hide 0"),
        ("the finalizer, recorded", recorded(Scene::at("z@0")?.closed(Verdict::Failed).held_by("me", 1)?)?, "reveal"),
    ];
    for (name, scene, expected) in cases {
        assert_eq!(told(&given_back(&scene, 1, NOW)?), expected, "{name}");
    }
    let nobody = Known::default();
    let claim = Claim { task: "b#0".parse()?, attempt: 1, owner: Owner::try_from("me")? };
    assert_eq!(give_back_after_crash(&pipeline()?, &claim, nobody, Jitter(0), NOW), GivingBack::Reveal);
    Ok(())
}

#[test]
fn a_give_back_that_comes_late_takes_nothing_from_whoever_has_the_task_by_then() -> Tried<()> {
    let scene = Scene::at("b#0")?.held_by("me", 1)?;
    let GivingBack::End { write, .. } = given_back(&scene, 1, NOW)? else { return Err("not ended".into()) };
    for by_then in [Scene::at("b#0")?.held_by("other", 2)?, Scene::at("b#0")?.held_by("me", 2)?] {
        let by_then = by_then.task.map(|task| Part::Task(Box::new(task)));
        assert_eq!(apply(&write, by_then.as_ref()), None);
    }
    Ok(())
}

#[test]
fn an_element_of_a_wide_step_that_is_recorded_in_its_shard_is_not_told_as_crashed() -> Tried<()> {
    let open = wide::wide("b#0", &[1])?.held_by("me", 1)?;
    assert_eq!(told(&given_back(&open, 1, NOW)?), "hold, hide 0");
    let recorded = wide::wide("b#0", &[0])?.held_by("me", 1)?;
    assert_eq!(told(&given_back(&recorded, 1, NOW)?), "reveal");
    Ok(())
}

#[test]
fn crashes_in_company_are_charged_once_their_own_budget_is_used_up() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?;
    scene.task.as_mut().ok_or("no task")?.crashed = CRASHES_MAX;
    crash(&mut scene)?;
    let task = scene.task.as_ref().ok_or("no task")?;
    assert_eq!((task.charged, task.crashed, task.attempts[0].outcome), (1, CRASHES_MAX, Outcome::Crashed));
    Ok(())
}

#[test]
fn a_redriven_task_has_no_crashes_behind_it() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 2)?.crashed(2)?.redriven();
    assert!(!taken_up(&mut scene, NOW)?);
    assert_eq!(scene.task.as_ref().map(|task| (task.crashed, task.is_alone)), Some((0, false)));
    Ok(())
}
