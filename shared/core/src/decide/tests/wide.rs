//! Wide steps, whose records stand in shards: rule 7.

use super::*;
use crate::pipeline::Sharding;

/// Four elements in shards of two: `b@0/0` holds the records of `b#0` and `b#1`.
pub(super) fn wide(id: &str, recorded: &[u32]) -> Tried<Scene> {
    let pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").over("a"))
        .step(StepSpec::new("c").over("a").after(["b"]))
        .finalizer(StepSpec::new("z"))
        .sharding(Sharding { inline_width_max: 1, shard_width: 2 })
        .build()?;
    let mut scene = Scene { pipeline, ..Scene::at(id)? };
    scene.job.pipeline_hash = scene.pipeline.hash().clone();
    scene.job.done.clear();
    scene.job.done.insert("a".parse()?, Done { attempt: 1, at: NOW, width: Some(4), payload: None });
    let mut shard = Shard::new(1, scene.job.expires_at);
    shard
        .done
        .extend(recorded.iter().map(|element| (*element, Done { attempt: 1, at: NOW, width: None, payload: None })));
    scene.shard = (!recorded.is_empty()).then_some(shard);
    Ok(scene)
}

fn folded(scene: &mut Scene, shards: &[&str]) -> Tried<()> {
    for shard in shards {
        scene.job.folded.insert(shard.parse()?, NOW);
    }
    Ok(())
}

/// What follows when a drive that holds the task has worked.
fn worked(scene: &mut Scene) -> Tried<(Drive, Step)> {
    let mut drive = scene.knowing()?;
    let record = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    assert!(matches!(record, Step::Commit(Write::RecordElement { .. })), "{record:?}");
    let next = scene.commit(&mut drive, record, NOW)?;
    Ok((drive, next))
}

#[test]
fn an_element_is_recorded_in_its_shard_and_leaves_the_job_alone() -> Tried<()> {
    let mut scene = wide("b#0", &[])?.held_by("me", 1)?;
    let before = scene.job.clone();
    let (_, settled) = worked(&mut scene)?;
    assert_eq!(sent(&settled), ["ack"]);
    assert_eq!(scene.job, before);
    assert!(scene.shard.ok_or("no shard")?.done.contains_key(&0));
    Ok(())
}

#[test]
fn the_record_that_fills_a_shard_folds_it_and_the_last_fold_sends_what_follows() -> Tried<()> {
    let mut scene = wide("b#1", &[0])?.held_by("me", 1)?;
    let (mut drive, fold) = worked(&mut scene)?;
    assert_eq!(short(&fold), "fold");
    assert_eq!(sent(&scene.commit(&mut drive, fold, NOW)?), ["ack"], "b@0/1 is not folded yet");
    let mut scene = wide("b#3", &[2])?.held_by("me", 1)?;
    folded(&mut scene, &["b@0/0"])?;
    let (mut drive, fold) = worked(&mut scene)?;
    assert_eq!(sent(&scene.commit(&mut drive, fold, NOW)?), ["c#0+c#1+c#2+c#3", "ack"]);
    Ok(())
}

#[test]
fn the_last_fold_of_the_last_step_closes_the_job_in_the_same_write() -> Tried<()> {
    let mut scene = wide("c#2", &[3])?.held_by("me", 1)?;
    folded(&mut scene, &["b@0/0", "b@0/1", "c@0/0"])?;
    let (mut drive, fold) = worked(&mut scene)?;
    assert_eq!(sent(&scene.commit(&mut drive, fold, NOW)?), ["z@0", "ack"]);
    assert_eq!(scene.job.status, JobStatus::Completed);
    Ok(())
}

#[test]
fn redelivered_to_a_full_shard_that_is_not_folded_it_is_folded_again() -> Tried<()> {
    let mut scene = wide("b#0", &[0, 1])?;
    let mut drive = scene.drive()?;
    let fold = scene.loaded(NOW)?;
    assert_eq!(short(&fold), "fold");
    drive.job = Some(Box::new(scene.job.clone()));
    assert_eq!(sent(&scene.commit(&mut drive, fold, NOW)?), ["ack"]);
    assert_eq!(sent(&scene.loaded(NOW)?), ["ack"], "now it is folded");
    Ok(())
}

#[test]
fn a_second_record_in_a_full_shard_folds_it_too() -> Tried<()> {
    let mut scene = wide("b#0", &[0, 1])?.held_by("me", 1)?;
    let (_, next) = worked(&mut scene)?;
    assert_eq!(short(&next), "fold");
    Ok(())
}

#[test]
fn a_job_is_closed_for_an_element_only_after_its_tombstone() -> Tried<()> {
    let mut scene = wide("b#0", &[1])?.held_by("me", 3)?;
    let mut drive = scene.knowing()?;
    let event = Event::Failed { failure: Failure::retry("Boom", "it broke"), jitter: Jitter(0) };
    let ended = decide(&scene.pipeline, &mut drive, event, NOW);
    let bury = scene.commit(&mut drive, ended, NOW)?;
    assert_eq!(short(&bury), "bury");
    let close = scene.commit(&mut drive, bury, NOW)?;
    assert_eq!(short(&close), "close Failed");
    assert_eq!(short(&scene.loaded(NOW)?), "close Failed", "a crash between the two: the next one closes");
    assert_eq!(sent(&scene.commit(&mut drive, close, NOW)?), ["z@0", "ack"]);
    Ok(())
}

#[test]
fn a_tombstone_that_finds_a_record_closes_nothing() -> Tried<()> {
    let late = NOW.plus(Duration::from_secs(900));
    let mut scene = wide("b#0", &[])?.held_by("gone", 1)?;
    let mut drive = scene.drive()?;
    let bury = scene.loaded(late)?;
    assert_eq!(short(&bury), "bury");
    drive.job = Some(Box::new(scene.job.clone()));
    scene.shard = wide("b#0", &[0])?.shard;
    assert_eq!(sent(&scene.commit(&mut drive, bury, late)?), ["ack"]);
    assert_eq!(scene.job.status, JobStatus::Running);
    Ok(())
}

#[test]
fn a_record_that_finds_a_tombstone_waits_for_the_closing() -> Tried<()> {
    let mut scene = wide("b#0", &[1])?.held_by("me", 1)?;
    scene.shard.as_mut().ok_or("no shard")?.closed.insert(0, 0);
    let (_, next) = worked(&mut scene)?;
    assert_eq!(sent(&next), ["hide 1000"], "its clock is behind that of whoever buried it");
    assert_eq!(scene.job.status, JobStatus::Running);
    Ok(())
}

#[test]
fn a_record_after_the_closing_is_inert() -> Tried<()> {
    let mut scene = wide("b#1", &[0])?.held_by("me", 1)?;
    let mut drive = scene.knowing()?;
    scene = scene.closed(Verdict::Failed);
    let record = decide(&scene.pipeline, &mut drive, Event::Worked(Output::default()), NOW);
    let fold = scene.commit(&mut drive, record, NOW)?;
    assert_eq!(short(&fold), "fold", "the drive does not know yet");
    assert_eq!(sent(&scene.commit(&mut drive, fold, NOW)?), ["z@0", "ack"]);
    assert!(scene.job.folded.is_empty());
    Ok(())
}

#[test]
fn the_widest_list_is_routed_by_its_folds_alone() -> Tried<()> {
    let width = crate::limits::WIDTH_MAX;
    let pipeline = pipeline()?;
    let mut scene = Scene { pipeline, ..Scene::at("b#0")? };
    scene.job.done.insert("a".parse()?, Done { attempt: 1, at: NOW, width: Some(width), payload: None });
    let b = crate::ids::StepName::try_from("b")?;
    let step = scene.pipeline.step(&b).ok_or("no step")?.clone();
    let spans: Vec<_> = route::spans_of(&scene.pipeline, &step, &scene.job).collect();
    let elements: Vec<u32> = spans.iter().flat_map(|span| span.elements.clone()).collect();
    assert_eq!(elements, (0..width).collect::<Vec<_>>(), "every element has one shard");
    for (number, span) in spans.iter().enumerate() {
        assert!(!route::is_complete(&scene.pipeline, &b, &scene.job), "{number}");
        let at = NOW.plus(Duration::from_secs(number as u64));
        scene.job.folded.insert(span.shard.clone(), at);
    }
    assert!(route::is_complete(&scene.pipeline, &b, &scene.job));
    let after = route::scheduled_at(&scene.pipeline, &"c".parse()?, &scene.job);
    assert_eq!(after, Some(NOW.plus(Duration::from_secs(spans.len() as u64 - 1))));
    Ok(())
}

#[test]
fn a_full_shard_with_the_longest_names_is_written_with_one_unit() -> Tried<()> {
    let job = JobId::try_from("j".repeat(64).as_str())?;
    let mut shard = Shard::new(1, 1_900_000_000);
    let last = crate::limits::WIDTH_MAX;
    for element in last - crate::limits::SHARD_WIDTH..last {
        shard.done.insert(element, Done { attempt: 200, at: Time(1_900_000_000_000), width: None, payload: None });
    }
    let id = ShardId::new(crate::ids::StepName::try_from("s".repeat(40).as_str())?, 99, 312);
    let item = crate::size::Item::of_part(&job, &format!("done:{id}"), &Part::Shard(Box::new(shard)));
    assert_eq!(crate::size::written(None, &item).table, 1, "{} bytes", item.bytes());
    Ok(())
}
