//! A paused job or step: rule 12.

use super::*;

#[test]
fn the_message_of_a_paused_task_is_acknowledged_and_nothing_begins() -> Tried<()> {
    let scene = Scene::at("b#0")?.paused();
    assert_eq!(sent(&scene.loaded(NOW)?), ["ack"]);
    let mut other = Scene::at("b#0")?;
    let steps = [("c".try_into()?, NOW)];
    other.job.paused = Some(Pause { changes: 1, steps: steps.into(), ..Pause::default() });
    assert_eq!(short(&other.loaded(NOW)?), "claim", "another step is paused");
    Ok(())
}

#[test]
fn a_task_that_was_claimed_beside_the_load_is_given_back_uncharged_and_acknowledged() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?.paused();
    let part = Part::Task(Box::new(scene.task.clone().ok_or("no task")?));
    let mut drive = scene.drive()?;
    let event = Event::Claimed { commit: Commit::Written(part), job: Some(Box::new(scene.job.clone())) };
    let end = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, end, NOW)?), ["ack"]);
    let task = scene.task.ok_or("no task")?;
    assert_eq!((task.charged, task.released, task.attempts[0].error_type.as_str()), (0, 1, "Paused"));
    Ok(())
}

#[test]
fn an_attempt_that_runs_goes_on_and_sends_what_follows() -> Tried<()> {
    let mut scene = Scene::at("b#0")?.held_by("me", 1)?.paused();
    let hold = scene.knowing()?.hold(&scene.pipeline).ok_or("no hold")?;
    let beat = Commit::Written(Part::Task(Box::new(scene.task.clone().ok_or("no task")?)));
    assert_eq!(hold.verdict(&beat, Some(&scene.job)), Beat::GoOn);
    scene.job.done.insert("b#1".parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    let mut drive = scene.knowing()?;
    let record = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    assert_eq!(sent(&scene.commit(&mut drive, record, NOW)?), ["c", "ack"]);
    Ok(())
}

#[test]
fn a_task_that_another_holds_is_looked_at_again_when_its_lease_ends() -> Tried<()> {
    let scene = Scene::at("b#0")?.held_by("other", 1)?.paused();
    assert_eq!(sent(&scene.loaded(NOW)?), ["hide 31000"]);
    Ok(())
}

#[test]
fn the_notification_of_a_job_that_closed_while_it_was_paused_is_sent() -> Tried<()> {
    let scene = Scene::at("z@0")?.paused().closed(Verdict::Canceled);
    assert_eq!(short(&scene.loaded(NOW)?), "claim");
    Ok(())
}

#[test]
fn schedule_to_start_stands_still_and_schedule_to_close_goes_on() -> Tried<()> {
    let mut scene = hurried()?.paused();
    let after = |secs| NOW.plus(Duration::from_secs(secs));
    assert_eq!(sent(&scene.loaded(after(100))?), ["ack"]);
    scene.job.paused = Some(Pause { changes: 2, resumed_at: Some(after(200)), ..Pause::default() });
    assert_eq!(short(&scene.loaded(after(219))?), "claim");
    assert_eq!(short(&scene.loaded(after(220))?), "close TimedOut");
    let late = scene.paused();
    assert_eq!(short(&late.loaded(after(900))?), "close TimedOut");
    Ok(())
}
