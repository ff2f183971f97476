//! Light steps, whose first attempts take the job from their messages.

use super::*;

/// A scene whose step at `id` is light.
fn light(id: &str) -> Tried<Scene> {
    let pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a").light())
        .step(StepSpec::new("b").over("a").light())
        .step(StepSpec::new("c").after(["b"]))
        .finalizer(StepSpec::new("z").light())
        .build()?;
    let mut scene = Scene { pipeline, ..Scene::at(id)? };
    scene.job.pipeline_hash = scene.pipeline.hash().clone();
    Ok(scene)
}

#[test]
fn a_light_step_s_first_attempt_takes_the_job_from_its_message() -> Tried<()> {
    for id in ["a", "b#1"] {
        let mut scene = light(id)?;
        let mut drive = Drive::new(Message::parse(&scene.drive()?.message().body())?, Owner::try_from("me")?);
        let claim = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
        assert!(matches!(&claim, Step::Commit(write) if write.is_claim()), "{id}: {claim:?}");
        let work = scene.commit(&mut drive, claim, NOW)?;
        assert!(matches!(work, Step::Work { attempt: 1, .. }), "{id}: {work:?}");
        assert_eq!(drive.job(), Some(&scene.job), "{id}: its inputs");
    }
    Ok(())
}

#[test]
fn a_record_on_hearsay_routes_by_the_job_as_it_is() -> Tried<()> {
    let mut scene = light("b#1")?;
    let mut drive = scene.drive()?;
    let claim = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    scene.commit(&mut drive, claim, NOW)?;
    scene.job.done.insert("b#0".parse()?, Done { attempt: 3, at: NOW, width: None, payload: None });
    let record = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    let Step::Settle(acts) = scene.commit(&mut drive, record, NOW)? else { return Err("not settled".into()) };
    let Some(Act::Send(next)) = acts.first() else { return Err(format!("{acts:?}").into()) };
    assert_eq!(next.iter().map(|next| next.task.to_string()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(next[0].known, None, "c is not light: it loads");
    Ok(())
}

#[test]
fn hearsay_is_good_for_a_first_claim_alone() -> Tried<()> {
    let mut scene = light("b#1")?.held_by("other", 1)?;
    let again = decide(&scene.pipeline, &mut scene.drive()?, Event::Delivered { receives: 2 }, NOW);
    assert_eq!(again, Step::Load, "a redelivery");
    let mut drive = scene.drive()?;
    let claim = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    assert_eq!(scene.commit(&mut drive, claim, NOW)?, Step::Load, "a claim that was refused");
    for change in [|job: &mut Job| job.closing += 1, |job: &mut Job| job.job_id = JobId::try_from("k").unwrap()] {
        let mut drive = scene.drive()?;
        change(std::sync::Arc::make_mut(drive.message.known.as_mut().unwrap()));
        let beside = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
        assert!(matches!(beside, Step::ClaimBesideLoad(_)), "another job's: {beside:?}");
    }
    Ok(())
}

#[test]
fn a_job_closed_meanwhile_refuses_the_record_of_a_light_step_and_is_notified() -> Tried<()> {
    let mut scene = light("b#1")?;
    let mut drive = scene.drive()?;
    let claim = decide(&scene.pipeline, &mut drive, Event::Delivered { receives: 1 }, NOW);
    scene.commit(&mut drive, claim, NOW)?;
    let mut scene = scene.closed(Verdict::Failed);
    let record = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    let asks = scene.commit(&mut drive, record, NOW)?;
    assert_eq!(
        asks,
        Step::Settle(vec![Act::Send(vec![Message::to(&scene.pipeline, &scene.job, "z@0".parse()?)]), Act::Acknowledge])
    );
    Ok(())
}

#[test]
fn only_a_small_job_travels_in_a_message() -> Tried<()> {
    let mut scene = light("b#1")?;
    assert!(Message::to(&scene.pipeline, &scene.job, scene.id.clone()).known.is_some());
    for index in 0..=u32::try_from(crate::limits::KNOWN_TASKS_MAX)? {
        scene.job.done.insert(format!("b#{index}").parse()?, Done { attempt: 1, at: NOW, width: None, payload: None });
    }
    assert_eq!(Message::to(&scene.pipeline, &scene.job, scene.id.clone()).known, None);
    scene.job.done.clear();
    scene.job.result = Some("x".repeat(crate::limits::MESSAGE_BYTES_MAX));
    let long = Message::to(&scene.pipeline, &scene.job, scene.id.clone());
    assert_eq!(Message::parse(&long.body())?.known, None, "a body that no reader takes is not written");
    Ok(())
}

#[test]
fn a_light_start_is_brought_about_only_with_the_finalizer() -> Tried<()> {
    for (is_light, recorded, expected) in [
        (true, "", false),
        (true, "a", false),
        (true, "a c", false),
        (true, "a c z@0", true),
        (false, "", false),
        (false, "a", true),
    ] {
        let mut scene = if is_light { light("a")? } else { Scene::at("a")? };
        for task in recorded.split_whitespace() {
            scene.job.done.insert(task.parse()?, Done { attempt: 1, at: NOW, width: Some(0), payload: None });
        }
        assert_eq!(is_started(&scene.pipeline, &scene.job), expected, "light: {is_light}, recorded: {recorded}");
    }
    Ok(())
}
