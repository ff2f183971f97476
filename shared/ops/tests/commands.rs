//! Commands and questions on simulated ports.

mod scene;

use core::time::Duration;

use qsketch_core::parts::Outcome;
use qsketch_core::{JobId, JobStatus, Verdict};
use qsketch_ops::doctor::CONSUMED;
use qsketch_ops::follow::TAKEN_MAX;
use qsketch_ops::{
    Canceled, OpsError, Sent, State, Until, Wish, cancel, doctor, download, follow, list_logs, new_id, prepare,
    read_log, show, submit,
};
use qsketch_runtime::QueueName;
use qsketch_runtime::ports::Outgoing;
use qsketch_sim::{Fault, Sim};
use scene::{Scene, Tried, with_a_lost_worker};

fn wish(prompt: &str, id: &str) -> Wish {
    Wish { prompt: prompt.to_owned(), id: Some(id.to_owned()), ..Wish::default() }
}

#[test]
fn a_bad_submission_is_refused_with_every_reason_and_nothing_is_sent() -> Tried {
    let sim = Sim::new(1);
    let bad = Wish {
        prompt: " ".to_owned(),
        id: Some("a/b".to_owned()),
        title: Some("x".repeat(201)),
        voice: Some("gollum".to_owned()),
        quality: Some("4k".to_owned()),
        tenant: Some("ä".to_owned()),
        approve: true,
    };
    let Err(OpsError::Invalid { reasons }) = prepare(&bad, &*sim.ports().clock) else { return Err("taken".into()) };
    assert_eq!(reasons.len(), 6, "{reasons:?}");
    assert!(sim.calls().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_submission_travels_with_a_new_id_of_sixteen_plain_characters() -> Tried {
    let sim = Sim::new(1);
    let ports = sim.ports();
    let prepared = prepare(&Wish { prompt: "pi".to_owned(), ..Wish::default() }, &*ports.clock)?;
    assert_eq!(submit(&ports, &prepared).await?, Sent::New);
    let sent = sim.messages(&QueueName::new("intake"));
    assert_eq!(sent.len(), 1);
    assert!(prepared.body.contains(prepared.job.as_str()), "{}", prepared.body);
    let other = new_id(&*ports.clock);
    assert_ne!(other, prepared.job.as_str());
    for id in [other.as_str(), prepared.job.as_str()] {
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{id}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_is_canceled_once_with_its_reason_and_notified_however_often_it_is_asked() -> Tried {
    let scene = Scene::new("cancel-1")?.ran("generate-script", 120, 320, Some(2))?.began("render-manim#0", 1, 500)?;
    let sim = scene.stand().await?;
    let (ports, job) = (sim.ports(), JobId::try_from("cancel-1")?);
    assert_eq!(cancel(&ports, &job, "the lesson was postponed").await?, Canceled::Now);
    assert_eq!(cancel(&ports, &job, "another reason").await?, Canceled::Before);
    let shown = show(&ports, &job).await?;
    let closing = shown.story.closing.ok_or("no closing")?;
    assert_eq!((shown.story.status, closing.verdict), (JobStatus::Canceled, Verdict::Canceled));
    assert_eq!(closing.error.map(|error| error.to_string()).as_deref(), Some("the lesson was postponed"));
    let sent = sim.messages(&QueueName::new("notify"));
    assert_eq!(sent.len(), 2, "a message each time: they are one event");
    assert!(sent.iter().all(|message| message.body.contains("notify@0")), "{sent:?}");
    let closed = Scene::new("cancel-2")?.closed(Verdict::Failed, 900, None, None)?.stand().await?;
    let refused = cancel(&closed.ports(), &JobId::try_from("cancel-2")?, "late").await;
    assert!(matches!(refused, Err(OpsError::TooLate { status: JobStatus::Failed, .. })), "{refused:?}");
    let missing = cancel(&sim.ports(), &JobId::try_from("cancel-3")?, "none").await;
    assert!(matches!(missing, Err(OpsError::NotFound { .. })), "{missing:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_lost_does_not_cancel_twice() -> Tried {
    let sim = Scene::new("cancel-4")?.stand().await?;
    let job = JobId::try_from("cancel-4")?;
    sim.trouble("close", Some(Fault::LostReply), Duration::ZERO);
    assert!(matches!(cancel(&sim.ports(), &job, "once").await, Err(OpsError::Port(_))));
    sim.end_trouble();
    assert_eq!(cancel(&sim.ports(), &job, "again").await?, Canceled::Before);
    let parts = sim.parts(&job);
    let closings = parts.job.map(|job| job.closings).unwrap_or_default();
    assert_eq!(closings.len(), 1);
    assert_eq!(closings[0].error.as_ref().map(ToString::to_string).as_deref(), Some("once"));
    assert_eq!(sim.messages(&QueueName::new("notify")).len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_same_again_is_the_same_job() -> Tried {
    let scene = Scene::new("again")?;
    let prepared = scene.prepared.clone();
    let sim = scene.stand().await?;
    assert_eq!(submit(&sim.ports(), &prepared).await?, Sent::Again);
    assert_eq!(sim.messages(&QueueName::new("intake")).len(), 1, "it mends a message that was lost");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_id_that_holds_another_content_is_told_before_and_after_the_sending() -> Tried {
    let sim = Scene::new("taken")?.stand().await?;
    let ports = sim.ports();
    let ours = prepare(&wish("something else", "taken"), &*ports.clock)?;
    assert!(matches!(submit(&ports, &ours).await, Err(OpsError::IdTaken { .. })));
    assert!(sim.messages(&QueueName::new("intake")).is_empty());
    // Two submissions at once: both were sent, and the other one won.
    let followed = follow(&ports, &ours.job, Some(&ours.content_hash), Until::Closed, |_| {}).await;
    assert!(matches!(followed, Err(OpsError::IdTaken { .. })));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_story_tells_attempts_script_logs_and_what_ran_in_parallel() -> Tried {
    let scene = with_a_lost_worker("j1")?.closed(Verdict::Completed, 47_000, None, None)?;
    let scene =
        scene.with_script(1).await?.with_log("render-manim#0", 2, "ok").await?.ran("notify@0", 47_100, 47_200, None)?;
    let sim = scene.stand().await?;
    let shown = show(&sim.ports(), &JobId::try_from("j1")?).await?;
    assert_eq!(shown.story.status, JobStatus::Completed);
    assert_eq!(shown.script.as_ref().map(|script| script.provider.as_str()), Some("template"));
    let notes = shown.script.as_ref().map(|script| script.notes.join(" ")).unwrap_or_default();
    assert!(notes.contains("No model wrote this script"), "{notes}");
    assert_eq!(shown.logs.get("render-manim#0"), Some(&vec![2]));
    assert_eq!(shown.at_once_max, 4);
    let beside = |task: &str| shown.parallel.get(task).map(|others| others.join(" ")).unwrap_or_default();
    assert_eq!(beside("render-manim#2"), "render-manim#0");
    assert_eq!(beside("render-manim#0"), "render-manim#1 render-manim#2 generate-tts#0 generate-tts#1 generate-tts#2");
    assert_eq!(beside("merge-upload"), "", "what ends when another begins is not beside it");
    for (task, others) in &shown.parallel {
        assert!(others.iter().all(|other| shown.parallel.get(other).is_some_and(|back| back.contains(task))), "{task}");
    }
    assert_eq!(shown.asked.map(|asked| asked.prompt), Some("Explain the Pythagorean theorem".to_owned()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_there_is_said_to_be_not_there() -> Tried {
    let sim = Sim::new(1);
    let (ports, job) = (sim.ports(), JobId::try_from("nobody")?);
    assert!(matches!(show(&ports, &job).await, Err(OpsError::NotFound { .. })));
    let missing = read_log(&ports, &job, &"merge-upload".parse()?, None).await;
    assert!(missing.is_err_and(|error| error.to_string().starts_with("job nobody is not there")));
    let folder = tempfile::tempdir()?;
    assert!(matches!(download(&ports, &job, &folder.path().join("o.mp4")).await, Err(OpsError::NotFound { .. })));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn logs_are_listed_by_task_and_attempt_and_the_newest_is_read() -> Tried {
    let scene = with_a_lost_worker("j1")?.with_log("render-manim#1", 10, "tenth").await?;
    let scene = scene.with_log("render-manim#1", 9, "ninth").await?.with_log("generate-script", 1, "asking").await?;
    let sim = scene.stand().await?;
    let (ports, job) = (sim.ports(), JobId::try_from("j1")?);
    let names: Vec<String> =
        list_logs(&ports, &job).await?.iter().map(|log| format!("{} {}", log.task, log.attempt)).collect();
    assert_eq!(names, ["generate-script 1", "render-manim#1 9", "render-manim#1 10"]);
    let newest = read_log(&ports, &job, &"render-manim#1".parse()?, None).await?;
    assert_eq!((newest.text.as_str(), newest.attempts), ("tenth", vec![9, 10]));
    assert_eq!(read_log(&ports, &job, &"render-manim#1".parse()?, Some(9)).await?.text, "ninth");
    let absent = read_log(&ports, &job, &"render-manim#0".parse()?, Some(1)).await.map_err(|error| error.to_string());
    assert!(absent.is_err_and(|text| text.contains("there are: generate-script attempt 1")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_video_comes_with_its_poster_captions_and_transcript() -> Tried {
    let scene = with_a_lost_worker("j1")?.with_video(1).await?.closed(Verdict::Completed, 47_000, None, None)?;
    let sim = scene.stand().await?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out.mp4");
    std::fs::write(&out, "an older one")?;
    let files = download(&sim.ports(), &JobId::try_from("j1")?, &out).await?;
    let mut names: Vec<String> = std::fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Tried<_>>()?;
    names.sort();
    assert_eq!(names, ["out.mp4", "out.png", "out.txt", "out.vtt"], "and nothing else is left");
    assert_eq!(std::fs::read(&out)?, b"the video");
    assert_eq!(std::fs::read(folder.path().join("out.vtt"))?, b"WEBVTT");
    assert_eq!(files.first().map(|file| (file.path.clone(), file.bytes)), Some((out, 9)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_leaves_nothing_behind() -> Tried {
    let scene = with_a_lost_worker("j1")?.with_video(1).await?.closed(Verdict::Completed, 47_000, None, None)?;
    let sim = scene.stand().await?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out.mp4");
    std::fs::write(&out, "an older one")?;
    let mut ports = sim.ports();
    ports.store = std::sync::Arc::new(Broken(ports.store));
    let failed = download(&ports, &JobId::try_from("j1")?, &out).await;
    assert!(matches!(failed, Err(OpsError::Damaged { .. })), "{failed:?}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
    assert_eq!(std::fs::read(&out)?, b"an older one");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_output_that_can_not_be_written_is_refused_before_anything_is_fetched() -> Tried {
    let sim = Sim::new(1);
    let folder = tempfile::tempdir()?;
    for file in ["", "no/such/out.mp4", "out.png", "OUT.VTT"] {
        let failed = download(&sim.ports(), &JobId::try_from("j")?, &folder.path().join(file)).await;
        assert!(matches!(failed, Err(OpsError::File { .. })), "{file}: {failed:?}");
    }
    assert!(sim.calls().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_says_why_it_has_no_video() -> Tried {
    let why = ("RenderFailed", "NameError: name 'Circl' is not defined");
    let scene = Scene::new("j1")?.ran("generate-script", 100, 200, Some(1))?.began("render-manim#0", 1, 300)?;
    let scene = scene.ended("render-manim#0", 900, Outcome::Failed, why, None)?;
    let sim = scene.closed(Verdict::Failed, 900, Some("render-manim#0"), Some(why))?.stand().await?;
    let folder = tempfile::tempdir()?;
    let failed = download(&sim.ports(), &JobId::try_from("j1")?, &folder.path().join("o.mp4")).await;
    let text = failed.map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(text, Err(format!("job j1 has no video: it is FAILED, render-manim#0: {}", why.1)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn following_reports_each_change_once_and_ends_with_the_closing() -> Tried {
    let scene = Scene::new("j1")?.ran("generate-script", 100, 200, Some(1))?;
    let job = scene.job.clone();
    let sim = scene.stand().await?;
    let ports = sim.ports();
    let closer = {
        let ports = sim.observer();
        async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let entry = qsketch_core::Closing {
                verdict: Verdict::TimedOut,
                at: ports.clock.now(),
                task: None,
                attempt: None,
                error_type: None,
                error: None,
                result: None,
                refund: None,
            };
            ports.table.commit(&job.job_id, &qsketch_core::Write::Close { closing: 0, entry }).await
        }
    };
    let mut seen = Vec::new();
    let id = JobId::try_from("j1")?;
    let (followed, closed) =
        tokio::join!(follow(&ports, &id, None, Until::Closed, |story| seen.push(story.status)), closer);
    closed?;
    assert_eq!(followed?.status, JobStatus::TimedOut);
    assert_eq!(seen, [JobStatus::Running, JobStatus::TimedOut]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn following_outlives_an_outage_and_gives_up_on_a_submission_that_nobody_takes() -> Tried {
    let sim = Sim::new(1);
    let began = sim.now();
    for call in 0..5 {
        sim.fail_call(call, qsketch_sim::Fault::Unavailable);
    }
    let followed = follow(&sim.ports(), &JobId::try_from("j")?, None, Until::Closed, |_| {}).await;
    assert!(matches!(followed, Err(OpsError::NotTaken { .. })), "{followed:?}");
    assert!(sim.now().since(began) < TAKEN_MAX + Duration::from_secs(5));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn following_gives_up_on_a_job_that_nobody_closes() -> Tried {
    let sim = Scene::new("j1")?.stand().await?;
    let followed = follow(&sim.ports(), &JobId::try_from("j1")?, None, Until::Closed, |_| {}).await;
    assert!(matches!(followed, Err(OpsError::Stalled { .. })), "{followed:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_doctor_finds_dead_letters_lonely_messages_and_missing_queues() -> Tried {
    let sim = Sim::new(1);
    let ports = sim.ports();
    let dead = QueueName::new("render-manim").dead();
    for queue in [dead.clone(), QueueName::new("generate-tts"), QueueName::new("notifications")] {
        ports.queues.send(&queue, &[Outgoing::new("{}".to_owned())]).await?;
    }
    sim.remove_queue(&QueueName::new("rejected"));
    let checks = doctor(&ports).await;
    assert_eq!(checks.len(), 3 + 2 * CONSUMED.len() + 2);
    let state = |name: &str| checks.iter().find(|check| check.name == name).map(|check| check.state);
    assert_eq!(state("table"), Some(State::Ok));
    assert_eq!(state("bucket"), Some(State::Ok));
    assert_eq!(state("clock"), Some(State::Ok));
    assert_eq!(state(&format!("queue {dead}")), Some(State::Warn));
    assert_eq!(state("queue generate-tts"), Some(State::Warn));
    assert_eq!(state("queue notifications"), Some(State::Ok));
    assert_eq!(state("queue merge-upload"), Some(State::Ok));
    assert_eq!(state("queue rejected"), Some(State::Fail));
    assert!(checks.iter().all(|check| (check.state == State::Ok) == check.remedy.is_none()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_doctor_says_how_far_the_clock_is_off() -> Tried {
    let process = Sim::new(1).process("operator");
    process.set_clock(-61_500);
    let checks = doctor(&process.ports()).await;
    let clock = checks.iter().find(|check| check.name == "clock").ok_or("no such check")?;
    assert_eq!(
        (clock.state, clock.detail.as_str()),
        (State::Fail, "beside the services' this machine's is 61.5 to 61.5 s behind")
    );
    Ok(())
}

/// A store whose videos arrive with their bytes in another order.
struct Broken(std::sync::Arc<dyn qsketch_runtime::Store>);

#[async_trait::async_trait]
impl qsketch_runtime::Store for Broken {
    async fn put(&self, key: &str, bytes: Vec<u8>, kind: &str) -> Result<(), qsketch_runtime::PortError> {
        self.0.put(key, bytes, kind).await
    }

    async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, qsketch_runtime::PortError> {
        self.0.get(key, most).await
    }

    async fn upload(&self, key: &str, file: &std::path::Path, kind: &str) -> Result<(), qsketch_runtime::PortError> {
        self.0.upload(key, file, kind).await
    }

    async fn download(&self, key: &str, file: &std::path::Path) -> Result<Option<u64>, qsketch_runtime::PortError> {
        let bytes = self.0.download(key, file).await?;
        if key.ends_with(".mp4")
            && let Ok(mut there) = std::fs::read(file)
        {
            there.reverse();
            let _ = std::fs::write(file, there);
        }
        Ok(bytes)
    }

    async fn head(&self, key: &str) -> Result<Option<qsketch_runtime::ports::Stored>, qsketch_runtime::PortError> {
        use sha2::Digest as _;
        let bytes = self.0.get(key, 1_000).await?.unwrap_or_default();
        let sha256 = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let stored = self.0.head(key).await?;
        Ok(stored.map(|stored| qsketch_runtime::ports::Stored { sha256: Some(sha256), ..stored }))
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<String>, qsketch_runtime::PortError> {
        self.0.list(prefix, most).await
    }

    fn location(&self, key: &str) -> String {
        self.0.location(key)
    }
}
