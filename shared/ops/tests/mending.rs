//! Redriving, pausing and deleting jobs.

mod scene;

use core::time::Duration;

use qsketch_core::redrive::Why;
use qsketch_core::{Done, Job, JobId, JobStatus, Outcome, StepName, Verdict, Write};
use qsketch_ops::redrive::NOTIFIED_MAX;
use qsketch_ops::{OpsError, delete, pause, preview, redrive, resume, show};
use qsketch_runtime::QueueName;
use qsketch_sim::{Fault, Sim};
use scene::{Scene, Tried};

const WHY: (&str, &str) = ("RenderFailed", "NameError: name 'Circl' is not defined");

/// A job that failed at its second scene.
fn failed(id: &str) -> Tried<Scene> {
    Scene::new(id)?
        .ran("generate-script", 100, 200, Some(2))?
        .ran("render-manim#0", 300, 700, None)?
        .ran("generate-tts#0", 300, 500, None)?
        .ran("generate-tts#1", 300, 500, None)?
        .began("render-manim#1", 1, 300)?
        .ended("render-manim#1", 900, Outcome::Failed, WHY, None)?
        .closed(Verdict::Failed, 900, Some("render-manim#1"), Some(WHY))
}

/// The same job with its notification sent.
fn told(id: &str) -> Tried<Scene> {
    failed(id)?.ran("notify@0", 950, 1_000, None)
}

fn sent(sim: &Sim, step: &str) -> usize {
    sim.messages(&QueueName::new(step)).len()
}

fn job_of(sim: &Sim, id: &JobId) -> Tried<Job> {
    Ok(sim.parts(id).job.ok_or("no job")?)
}

#[tokio::test(start_paused = true)]
async fn a_preview_tells_each_step_and_changes_nothing() -> Tried {
    let sim = told("j1")?.stand().await?;
    let (ports, id, before) = (sim.ports(), JobId::try_from("j1")?, sim.commits().len());
    let whole = preview(&ports, &id, None).await?.plan;
    let told: Vec<_> = whole.iter().map(|step| (step.step.as_str(), step.reused, step.runs)).collect();
    let expected = [
        ("generate-script", 1, Some(0)),
        ("render-manim", 1, Some(1)),
        ("generate-tts", 2, Some(0)),
        ("merge-upload", 0, Some(1)),
    ];
    assert_eq!(told, expected);
    assert_eq!(whole[1].why, Why::Failed { task: "render-manim#1".parse()?, error_type: WHY.0.to_owned() });
    let from = StepName::try_from("generate-script")?;
    let all = preview(&ports, &id, Some(&from)).await?.plan;
    assert_eq!(
        all.iter().map(|step| (step.reused, step.forgotten)).collect::<Vec<_>>(),
        [(0, 1), (0, 1), (0, 2), (0, 0)]
    );
    assert_eq!(all[2].runs, None, "the new script decides how many scenes there are");
    assert_eq!((sim.commits().len(), sent(&sim, "render-manim")), (before, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_is_redriven_from_what_failed_and_asking_again_is_safe() -> Tried {
    let sim = told("j1")?.stand().await?;
    let (ports, id) = (sim.ports(), JobId::try_from("j1")?);
    let redriven = redrive(&ports, &id, None).await?;
    assert_eq!((redriven.is_again, redriven.sent, redriven.plan.len()), (false, 1, 4));
    let job = job_of(&sim, &id)?;
    assert_eq!((job.status, job.closing, job.closings.len()), (JobStatus::Running, 1, 1));
    assert_eq!((sent(&sim, "render-manim"), sent(&sim, "generate-tts")), (1, 0));
    let again = redrive(&ports, &id, None).await?;
    assert_eq!((again.is_again, again.sent), (true, 1));
    assert_eq!(job_of(&sim, &id)?, job, "it is opened once");
    let shown = show(&ports, &id).await?;
    assert_eq!((shown.story.status, shown.story.closed_at), (JobStatus::Running, None));
    let from = StepName::try_from("generate-tts")?;
    let named = redrive(&ports, &id, Some(&from)).await.map_err(|error| error.line());
    assert!(named.as_ref().is_err_and(|text| text.contains("redrive it without a step")), "{named:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_redrive_from_a_step_whose_sending_failed_says_how_to_go_on() -> Tried {
    let sim = told("j1")?.stand().await?;
    let (ports, id, from) = (sim.ports(), JobId::try_from("j1")?, StepName::try_from("generate-tts")?);
    sim.trouble("send", Some(Fault::Unavailable), Duration::ZERO);
    assert!(matches!(redrive(&ports, &id, Some(&from)).await, Err(OpsError::Port(_))));
    sim.end_trouble();
    let again = redrive(&ports, &id, Some(&from)).await.map_err(|error| error.line());
    assert!(again.as_ref().is_err_and(|text| text.contains("redrive it without a step")), "{again:?}");
    assert_eq!(redrive(&ports, &id, None).await?.sent, 3, "the two that were named, and what had failed");
    assert_eq!((sent(&sim, "generate-tts"), sent(&sim, "render-manim")), (2, 1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_redrive_waits_for_the_notification_and_gives_up_when_nobody_sends_it() -> Tried {
    let scene = failed("j1")?;
    let (id, closing) = (scene.job.job_id.clone(), scene.job.closing);
    let sim = scene.stand().await?;
    let (ports, began) = (sim.ports(), sim.now());
    let refused = redrive(&ports, &id, None).await;
    assert!(matches!(refused, Err(OpsError::NotNotified { .. })), "{refused:?}");
    assert!(sim.now().since(began) >= NOTIFIED_MAX);
    assert_eq!((job_of(&sim, &id)?.status, sent(&sim, "notify")), (JobStatus::Failed, 1));
    let notify = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let done = Done { attempt: 1, at: sim.now(), width: None, payload: None };
        let record = Write::RecordFinal { task: "notify@0".parse()?, closing, done };
        sim.observer().table.commit(&id, &record).await?;
        Tried::Ok(())
    };
    let (redriven, notified) = tokio::join!(redrive(&ports, &id, None), notify);
    notified?;
    assert!(!redriven?.is_again);
    assert!(job_of(&sim, &id)?.done.contains_key(&"notify@0".parse()?), "the record stays");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_of_a_redrive_is_mended_by_asking_again() -> Tried {
    let calls = {
        let sim = told("j1")?.stand().await?;
        redrive(&sim.ports(), &JobId::try_from("j1")?, None).await?;
        sim.calls().len() as u64
    };
    assert!(calls >= 5, "{calls}");
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::LostReply] {
        for call in 0..calls {
            let sim = told("j1")?.stand().await?;
            let (ports, id) = (sim.ports(), JobId::try_from("j1")?);
            sim.fail_call(call, fault);
            let first = redrive(&ports, &id, None).await;
            assert!(first.is_err(), "{fault:?} at {call} is told");
            redrive(&ports, &id, None).await?;
            let job = job_of(&sim, &id)?;
            assert_eq!((job.status, job.closing), (JobStatus::Running, 1), "{fault:?} at {call}");
            assert!(sent(&sim, "render-manim") >= 1, "{fault:?} at {call}: its task was sent");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_redriven_says_why() -> Tried {
    let refusal = |scene: Scene, from: Option<&'static str>| async move {
        let id = scene.job.job_id.clone();
        let sim = scene.stand().await?;
        let from = from.map(StepName::try_from).transpose()?;
        match redrive(&sim.ports(), &id, from.as_ref()).await {
            Ok(redriven) => Err(format!("{redriven:?}").into()),
            Err(error) => Tried::Ok(error.line()),
        }
    };
    let running = Scene::new("j1")?.began("generate-script", 1, 100)?;
    assert!(refusal(running, None).await?.contains("nothing of it has failed"));
    let completed = Scene::new("j1")?.closed(Verdict::Completed, 900, None, None)?;
    assert!(refusal(completed, None).await?.contains("submit it under a new id"));
    assert!(refusal(told("j1")?, Some("paint")).await?.contains("it has generate-script, render-manim"));
    assert!(refusal(told("j1")?, Some("merge-upload")).await?.contains("render-manim before it is not complete"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_and_a_step_are_paused_and_resumed_and_asking_again_is_safe() -> Tried {
    let sim = Scene::new("j1")?.ran("generate-script", 100, 200, Some(2))?.stand().await?;
    let (ports, id) = (sim.ports(), JobId::try_from("j1")?);
    let render = StepName::try_from("render-manim")?;
    assert!(!pause(&ports, &id, Some(&render)).await?.is_again);
    assert!(pause(&ports, &id, Some(&render)).await?.is_again);
    let job = job_of(&sim, &id)?;
    assert!(job.is_paused(&render) && !job.is_paused(&"generate-tts".try_into()?));
    let resumed = resume(&ports, &id, None).await?;
    assert_eq!((resumed.is_again, resumed.sent), (false, 4));
    assert_eq!((sent(&sim, "render-manim"), sent(&sim, "generate-tts")), (2, 2));
    let again = resume(&ports, &id, None).await?;
    assert_eq!((again.is_again, again.sent), (true, 4), "should the first messages have been lost");
    pause(&ports, &id, None).await?;
    assert!(matches!(resume(&ports, &id, Some(&render)).await, Err(OpsError::Refused { .. })));
    assert!(matches!(pause(&ports, &id, Some(&"paint".try_into()?)).await, Err(OpsError::BadQuestion { .. })));
    let closed = told("j2")?.stand().await?;
    assert!(matches!(pause(&closed.ports(), &"j2".try_into()?, None).await, Err(OpsError::Refused { .. })));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deleted_job_is_gone_with_its_files_and_its_id_is_free() -> Tried {
    let scene = Scene::new("j1")?.ran("merge-upload", 100, 200, None)?.closed(Verdict::Completed, 200, None, None)?;
    let sim = scene.ran("notify@0", 210, 220, None)?.with_video(1).await?.stand().await?;
    let other = ("jobs/j10/a/1/out.txt", b"another job's".to_vec());
    sim.observer().store.put(other.0, other.1, "text/plain").await?;
    let (ports, id) = (sim.ports(), JobId::try_from("j1")?);
    let deleted = delete(&ports, &*sim.eraser("cli"), &id).await?;
    assert_eq!((deleted.files, deleted.parts), (4, 4), "the video and three beside it; input, job and two tasks");
    assert_eq!(sim.keys(), ["jobs/j10/a/1/out.txt"]);
    let gone = delete(&ports, &*sim.eraser("cli"), &id).await;
    assert!(matches!(gone, Err(OpsError::NotFound { .. })), "{gone:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_broke_off_is_ended_by_the_next_and_no_redrive_comes_between() -> Tried {
    for call in 0..5 {
        let sim = told("j1")?.stand().await?;
        let (ports, id) = (sim.ports(), JobId::try_from("j1")?);
        sim.fail_call(call, Fault::LostReply);
        let first = delete(&ports, &*sim.eraser("cli"), &id).await;
        assert!(first.is_err(), "call {call}: {first:?}");
        if sim.parts(&id).job.is_some_and(|job| job.expires_at <= sim.now().epoch_secs()) {
            let refused = redrive(&ports, &id, None).await;
            assert!(matches!(refused, Err(OpsError::Refused { .. })), "call {call}: {refused:?}");
        }
        match delete(&ports, &*sim.eraser("cli"), &id).await {
            Ok(_) | Err(OpsError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        assert!(sim.parts(&id).job.is_none(), "call {call}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_runs_or_is_not_notified_is_not_deleted() -> Tried {
    for (scene, reason) in
        [(Scene::new("j1")?, "cancel it first"), (failed("j1")?, "notification of its closing is not sent")]
    {
        let sim = scene.stand().await?;
        let refused = delete(&sim.ports(), &*sim.eraser("cli"), &"j1".try_into()?).await;
        let text = refused.map(|_| String::new()).map_err(|error| error.line());
        assert!(text.as_ref().is_err_and(|text| text.contains(reason)), "{text:?}");
        assert!(sim.parts(&"j1".try_into()?).job.is_some());
    }
    Ok(())
}
