//! Unclaimed steps, whose first attempts begin without a claim.

use super::*;

/// A scene whose steps are all unclaimed.
fn unclaimed(id: &str) -> Tried<Scene> {
    let timeouts = crate::pipeline::Timeouts { start_to_close: Duration::from_secs(30), ..Default::default() };
    let step = |name| StepSpec::new(name).timeouts(timeouts.clone()).unclaimed();
    let pipeline = Pipeline::builder("p")
        .step(step("a"))
        .step(step("b").over("a"))
        .step(step("c").after(["b"]))
        .finalizer(step("z"))
        .build()?;
    let mut scene = Scene { pipeline, ..Scene::at(id)? };
    scene.job.pipeline_hash = scene.pipeline.hash().clone();
    Ok(scene)
}

#[test]
fn a_first_delivery_works_at_once_and_holds_nothing() -> Tried<()> {
    let mut scene = unclaimed("b#0")?;
    let mut drive = scene.drive()?;
    let work = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    assert_eq!(work, Step::Work { attempt: 1, until: NOW.plus(Duration::from_secs(30)) });
    assert!(drive.is_unclaimed() && drive.hold(&scene.pipeline).is_none());
    let record = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    assert_eq!(sent(&scene.commit(&mut drive, record, NOW)?), ["ack"]);
    assert!(scene.task.is_none() && scene.job.done.contains_key(&scene.id));
    Ok(())
}

#[test]
fn a_redelivery_claims_a_second_attempt_and_loads_again_after_it() -> Tried<()> {
    let mut scene = unclaimed("b#0")?;
    let mut drive = scene.drive()?;
    assert_eq!(decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 2 }, NOW), Step::Load);
    let loaded = Event::Loaded { job: Some(Box::new(scene.job.clone())), task: None, shard: None };
    let claim = decide(&scene.pipeline, &mut drive, loaded, NOW);
    assert_eq!(scene.commit(&mut drive, claim, NOW)?, Step::LoadJob, "the first one may have been recorded meanwhile");
    assert_eq!(scene.task.ok_or("no task")?.attempt, 2);
    Ok(())
}

#[test]
fn a_failure_becomes_the_task_s_first_ended_attempt() -> Tried<()> {
    let mut scene = unclaimed("b#0")?;
    let mut drive = scene.drive()?;
    let _ = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
    let end = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(sent(&scene.commit(&mut drive, end, NOW)?), ["hide 10000"]);
    let task = scene.task.ok_or("no task")?;
    assert_eq!((task.attempt, task.charged, task.lease.is_none()), (1, 1, true));
    Ok(())
}

#[test]
fn a_failure_beside_another_s_claim_asks_the_table() -> Tried<()> {
    let mut scene = unclaimed("b#0")?;
    let mut drive = scene.drive()?;
    let _ = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    scene = scene.held_by("other", 2)?;
    let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
    let end = decide(&scene.pipeline, &mut drive, event, NOW);
    assert_eq!(scene.commit(&mut drive, end, NOW)?, Step::Load);
    assert_eq!(sent(&scene.loaded(NOW)?), ["hide 31000"], "the other one's lease");
    Ok(())
}

#[test]
fn without_the_job_in_its_message_a_first_attempt_is_claimed() -> Tried<()> {
    let scene = unclaimed("b#0")?;
    let mut drive = scene.drive()?;
    drive.message.known = None;
    let step = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    assert_eq!(short(&step), "claim beside load");
    Ok(())
}

#[test]
fn an_unclaimed_step_that_outlasts_its_lease_is_no_pipeline() {
    let built = Pipeline::builder("p").step(StepSpec::new("a").unclaimed()).finalizer(StepSpec::new("z")).build();
    let mistakes = built.map_err(|error| error.mistakes.join("; ")).err().unwrap_or_default();
    assert!(mistakes.contains("start-to-close timeout longer than its heartbeat timeout"), "{mistakes}");
}
