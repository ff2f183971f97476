//! Signals: a wait that is ended from outside, approved or rejected.

mod scene;

use qsketch_core::redrive::Why;
use qsketch_core::story::TaskStatus;
use qsketch_core::{Job, JobId, JobStatus, Verdict};
use qsketch_ops::{Canceled, OpsError, approve, pause, preview, redrive, reject, resume, show, signal};
use qsketch_runtime::QueueName;
use qsketch_sim::{Fault, Sim};
use scene::{Scene, Tried};

/// A job that waits for its approval; its script has two scenes.
async fn written() -> Tried<Sim> {
    Scene::approved("j1")?.ran("generate-script", 100, 200, Some(2))?.stand().await
}

fn id() -> Tried<JobId> {
    Ok(JobId::try_from("j1")?)
}

fn sent(sim: &Sim, step: &str) -> usize {
    sim.messages(&QueueName::new(step)).len()
}

fn job_of(sim: &Sim) -> Tried<Job> {
    Ok(sim.parts(&id()?).job.ok_or("no job")?)
}

#[tokio::test(start_paused = true)]
async fn an_approval_sends_what_follows_the_script_and_counts_once() -> Tried {
    let sim = written().await?;
    let ports = sim.ports();
    let first = signal(&ports, &id()?, "approve", Some(r#" {"by": "ada"} "#)).await?;
    assert_eq!((first.is_again, first.sent, first.payload.as_deref()), (false, 4, Some(r#"{"by":"ada"}"#)));
    assert_eq!((sent(&sim, "render-manim"), sent(&sim, "generate-tts"), sent(&sim, "approve")), (2, 2, 0));
    let job = job_of(&sim)?;
    let again = approve(&ports, &id()?).await?;
    assert_eq!((again.is_again, again.at, again.payload), (true, first.at, first.payload));
    assert_eq!(job_of(&sim)?, job, "it is recorded once");
    assert_eq!(sent(&sim, "render-manim"), 4, "sent once more, should the first have been lost");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_approval_before_the_script_is_kept_and_nothing_is_sent() -> Tried {
    let sim = Scene::approved("j1")?.began("generate-script", 1, 100)?.stand().await?;
    let signaled = approve(&sim.ports(), &id()?).await?;
    assert_eq!((signaled.is_again, signaled.sent), (false, 0));
    assert!(job_of(&sim)?.done.contains_key(&"approve".parse()?));
    let shown = show(&sim.ports(), &id()?).await?;
    let status: Vec<_> = shown.story.tasks.iter().map(|task| task.status).collect();
    use TaskStatus::{Completed, Running, Waiting};
    assert_eq!(status, [Running, Completed, Waiting, Waiting, Waiting, Waiting]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_of_a_signal_is_mended_by_sending_it_again() -> Tried {
    let calls = {
        let sim = written().await?;
        approve(&sim.ports(), &id()?).await?;
        sim.calls().len() as u64
    };
    assert!(calls >= 5, "{calls}: job, pipeline, write, and two queues");
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::LostReply] {
        for call in 0..calls {
            let sim = written().await?;
            sim.fail_call(call, fault);
            let first = approve(&sim.ports(), &id()?).await;
            assert!(matches!(first, Err(OpsError::Port(_))), "{fault:?} at {call} is told");
            approve(&sim.ports(), &id()?).await?;
            assert!(job_of(&sim)?.done.contains_key(&"approve".parse()?), "{fault:?} at {call}");
            assert!(sent(&sim, "render-manim") >= 2 && sent(&sim, "generate-tts") >= 2, "{fault:?} at {call}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_of_a_rejection_is_mended_by_rejecting_again() -> Tried {
    let calls = {
        let sim = written().await?;
        reject(&sim.ports(), &id()?, "off topic").await?;
        sim.calls().len() as u64
    };
    assert!(calls >= 4, "{calls}");
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::LostReply] {
        for call in 0..calls {
            let sim = written().await?;
            sim.fail_call(call, fault);
            assert!(reject(&sim.ports(), &id()?, "off topic").await.is_err(), "{fault:?} at {call} is told");
            reject(&sim.ports(), &id()?, "again").await?;
            let job = job_of(&sim)?;
            assert_eq!((job.status, job.closings.len()), (JobStatus::Canceled, 1), "{fault:?} at {call}");
            assert!(sent(&sim, "notify") >= 1, "{fault:?} at {call}: its notification was sent");
            assert_eq!(sent(&sim, "render-manim"), 0);
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rejection_cancels_the_job_with_its_reason_and_only_before_the_approval() -> Tried {
    let sim = written().await?;
    assert_eq!(reject(&sim.ports(), &id()?, "off topic").await?, Canceled::Now);
    assert_eq!(reject(&sim.ports(), &id()?, "another").await?, Canceled::Before);
    let shown = show(&sim.ports(), &id()?).await?;
    let closing = shown.story.closing.ok_or("no closing")?;
    assert_eq!(
        (closing.verdict, closing.error.map(|why| why.to_string())),
        (Verdict::Canceled, Some("off topic".into()))
    );
    let late = approve(&sim.ports(), &id()?).await.map_err(|error| error.line());
    assert_eq!(late, Err("job j1 can't be signaled: it is CANCELED: only a job that runs takes signals".to_owned()));
    let approved = written().await?;
    approve(&approved.ports(), &id()?).await?;
    let late = reject(&approved.ports(), &id()?, "off topic").await.map_err(|error| error.line());
    assert!(late.as_ref().is_err_and(|line| line.contains("\"approve\" was taken at 20")), "{late:?}");
    assert_eq!(job_of(&approved)?.status, JobStatus::Running);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_takes_its_approval_and_a_resume_sends_what_follows() -> Tried {
    let sim = written().await?;
    let ports = sim.ports();
    pause(&ports, &id()?, None).await?;
    assert_eq!(approve(&ports, &id()?).await?.sent, 0);
    assert_eq!(sent(&sim, "render-manim"), 0);
    assert_eq!(resume(&ports, &id()?, None).await?.sent, 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rejected_job_that_is_redriven_waits_for_its_approval_again() -> Tried {
    let sim = Scene::approved("j1")?
        .ran("generate-script", 100, 200, Some(2))?
        .closed(Verdict::Canceled, 900, None, None)?
        .ran("notify@0", 950, 1_000, None)?
        .stand()
        .await?;
    let plan = preview(&sim.ports(), &id()?, None).await?.plan;
    assert_eq!((plan[1].step.as_str(), &plan[1].why), ("approve", &Why::Waits));
    assert_eq!(redrive(&sim.ports(), &id()?, None).await?.sent, 0, "it waits, and a wait has no message");
    assert_eq!(approve(&sim.ports(), &id()?).await?.sent, 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_signaled_says_why() -> Tried {
    let sim = written().await?;
    let ports = sim.ports();
    let line = async |job: &str, name: &str, payload: Option<&str>| {
        let job = JobId::try_from(job)?;
        Tried::Ok(
            signal(&ports, &job, name, payload)
                .await
                .err()
                .map(|error| (error.code(), error.line()))
                .unwrap_or_default(),
        )
    };
    let (code, words) = line("j1", "aprove", None).await?;
    assert_eq!((code, words.as_str()), ("usage", "job j1: no step of it waits for \"aprove\"; it has approve"));
    let (code, words) = line("j1", "approve", Some("yes")).await?;
    assert!(code == "usage" && words.contains("is not JSON"), "{words}");
    let (code, words) = line("j1", "approve", Some(&format!("\"{}\"", "x".repeat(1_023)))).await?;
    assert!(code == "usage" && words.contains("has 1025 bytes: at most 1024"), "{words}");
    assert_eq!(line("j2", "approve", None).await?.0, "not_found");
    let plain = Scene::new("j3")?.stand().await?;
    let refused = approve(&plain.ports(), &JobId::try_from("j3")?).await.map_err(|error| error.line());
    let words = "job j3: no step of it waits for \"approve\"; it waits for no signal at all";
    assert_eq!(refused.err().as_deref(), Some(words));
    Ok(())
}
