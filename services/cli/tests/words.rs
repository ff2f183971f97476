//! What `show` and the lines of `--follow` say, word for word. `BLESS=1` writes the golden files anew.

#[path = "../../../shared/ops/tests/scene/mod.rs"]
mod scene;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use qsketch_cli::render::{Paint, after_list, change, list, story, why_not_completed};
use qsketch_core::parts::Outcome;
use qsketch_core::story::Story;
use qsketch_core::write::apply;
use qsketch_core::{Done, Job, JobId, Part, Shard, ShardId, Tenant, Verdict, Write, tenant};
use qsketch_ops::{Listing, Query, Row, Shown, at_once_max, beside, changes};
use qsketch_sim::Sim;
use scene::{Scene, Tried, at, with_a_lost_worker};

const RAISED: (&str, &str) = ("RenderFailed", "NameError: name 'Circl' is not defined (line 12 of scene.py)");

/// Compares with a golden file, or writes it.
#[expect(clippy::disallowed_methods, reason = "BLESS is for the person who runs the test")]
fn assert_golden(name: &str, text: &str) -> Tried {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, text)?;
        return Ok(());
    }
    assert_eq!(text, std::fs::read_to_string(&path)?, "{name}; BLESS=1 writes it anew");
    Ok(())
}

async fn shown(sim: &Sim, id: &str, millis: u64) -> Tried<Shown> {
    tokio::time::advance(Duration::from_millis(millis)).await;
    Ok(qsketch_ops::show(&sim.observer(), &JobId::try_from(id)?).await?)
}

fn failed(id: &str) -> Tried<Scene> {
    Scene::new(id)?
        .ran("generate-script", 120, 320, Some(2))?
        .began("render-manim#0", 1, 500)?
        .ran("generate-tts#0", 505, 1_705, None)?
        .ran("generate-tts#1", 510, 1_910, None)?
        .began("render-manim#1", 1, 520)?
        .ended("render-manim#1", 2_100, Outcome::Failed, RAISED, Some(12_100))?
        .began("render-manim#1", 2, 12_300)?
        .ended("render-manim#1", 13_900, Outcome::Failed, RAISED, Some(33_900))
}

#[tokio::test(start_paused = true)]
async fn a_completed_job_with_a_lost_worker() -> Tried {
    let scene = with_a_lost_worker("3f2akt07mxqz9b1c")?.with_script(1).await?.with_video(1).await?;
    let scene = scene.closed(Verdict::Completed, 47_000, None, None)?.ran("notify@0", 47_100, 47_180, None)?;
    let sim = scene.stand().await?;
    assert_golden("completed.txt", &story(&shown(&sim, "3f2akt07mxqz9b1c", 60_000).await?, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_running_job_with_a_retry_ahead() -> Tried {
    let scene = failed("running-1")?.told("render-manim#0", 450, "animation 3 of 7")?;
    let scene = scene.with_script(1).await?.with_log("render-manim#1", 1, "x").await?;
    let sim = scene.stand().await?;
    assert_golden("running.txt", &story(&shown(&sim, "running-1", 25_000).await?, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_running_job_that_nobody_works_on() -> Tried {
    let scene =
        Scene::new("stuck-1")?.ran("generate-script", 4_120, 4_320, Some(1))?.began("render-manim#0", 1, 4_500)?;
    let sim = scene.stand().await?;
    assert_golden("stuck.txt", &story(&shown(&sim, "stuck-1", 50_000).await?, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_running_job_whose_worker_died_once_in_company_and_once_alone() -> Tried {
    let together = ("WorkerDied", "its worker died, and every attempt in it: not charged");
    let alone = (
        "WorkerDied",
        "its worker died while nothing else was at work in it: look at its memory limit and the log of the worker",
    );
    let scene = Scene::new("crashed-1")?.ran("generate-script", 120, 320, Some(1))?;
    let scene =
        scene.began("render-manim#0", 1, 500)?.ended("render-manim#0", 6_500, Outcome::Crashed, together, None)?;
    let scene = scene.began("render-manim#0", 2, 6_700)?;
    let scene = scene.ended("render-manim#0", 12_700, Outcome::Crashed, alone, Some(22_700))?;
    let sim = scene.with_script(1).await?.stand().await?;
    assert_golden("crashed.txt", &story(&shown(&sim, "crashed-1", 15_000).await?, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_failed_job() -> Tried {
    let scene = failed("failed-1")?.began("render-manim#1", 3, 34_000)?;
    let scene = scene.ended("render-manim#1", 35_600, Outcome::Failed, RAISED, None)?;
    let scene = scene.with_script(1).await?.with_log("render-manim#1", 3, "x").await?;
    let scene = scene.closed(Verdict::Failed, 35_650, Some("render-manim#1"), Some(RAISED))?;
    let sim = scene.ran("notify@0", 35_700, 35_760, None)?.stand().await?;
    let shown = shown(&sim, "failed-1", 90_000).await?;
    let why = why_not_completed(&shown.story);
    assert_eq!(why, Some(format!("render-manim#1, attempt 3: {}: {}", RAISED.0, RAISED.1)));
    assert_golden("failed.txt", &story(&shown, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_redriven_job_one_step_of_which_is_paused() -> Tried {
    let scene = failed("redriven-1")?.ended("render-manim#0", 35_640, Outcome::Released, CLOSED, None)?;
    let scene = scene.began("render-manim#1", 3, 34_000)?;
    let scene = scene.ended("render-manim#1", 35_600, Outcome::Failed, RAISED, None)?.with_script(1).await?;
    let scene = scene.closed(Verdict::Failed, 35_650, Some("render-manim#1"), Some(RAISED))?;
    let sim = scene.ran("notify@0", 35_700, 35_760, None)?.stand().await?;
    let (ports, id) = (sim.observer(), JobId::try_from("redriven-1")?);
    tokio::time::advance(Duration::from_secs(600)).await;
    qsketch_ops::redrive(&ports, &id, Some(&"generate-tts".try_into()?)).await?;
    qsketch_ops::pause(&ports, &id, Some(&"render-manim".try_into()?)).await?;
    assert_golden("redriven.txt", &story(&shown(&sim, "redriven-1", 30_000).await?, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_its_approval_and_one_that_has_it() -> Tried {
    let scene = Scene::approved("waits-1")?.ran("generate-script", 120, 320, Some(2))?.with_script(1).await?;
    let sim = scene.stand().await?;
    let waits = story(&shown(&sim, "waits-1", 7_200_000).await?, Paint::Plain);
    qsketch_ops::signal(&sim.observer(), &JobId::try_from("waits-1")?, "approve", Some("{\"by\":\"ada\"}")).await?;
    let has = story(&shown(&sim, "waits-1", 500).await?, Paint::Plain);
    assert_golden("waits.txt", &format!("{waits}\n{has}"))
}

#[test]
fn the_line_of_a_wait_comes_when_it_begins_and_when_it_is_over() -> Tried {
    let early = Scene::approved("waits-1")?;
    let written = Scene::approved("waits-1")?.ran("generate-script", 120, 320, Some(1))?;
    let mut approved = Scene::approved("waits-1")?.ran("generate-script", 120, 320, Some(1))?;
    let done = Done { attempt: 1, at: at(9_000), width: None, payload: None };
    approved.job.done.insert("approve".parse()?, done);
    let tell = |scene: &Scene| qsketch_core::story::tell(&scene.pipeline, &scene.job, &scene.tasks, &BTreeMap::new());
    let lines = |before: &Scene, after: &Scene| {
        let (before, after) = (tell(before), tell(after));
        let found = changes(Some(&before), &after, at(9_500));
        let lines = found.iter().filter_map(|found| change(found, after.created_at, Paint::Plain));
        lines.filter(|line| line.contains("approve")).collect::<Vec<_>>()
    };
    assert_eq!(lines(&early, &written), ["   +0.3 s  approve             WAITING"]);
    assert!(lines(&written, &written).is_empty());
    assert_eq!(lines(&written, &approved), ["   +9.0 s  approve             COMPLETED"]);
    Ok(())
}

/// A job that was queued until its tenant had room, at this time; none where it still is.
fn queued(started: Option<u64>) -> Tried<Scene> {
    let mut scene = Scene::new("queued-1")?;
    let (id, tenant) = (scene.job.job_id.clone(), scene.job.tenant.clone());
    scene.job = Job::queued(id, tenant, &scene.pipeline, at(0));
    if let Some(millis) = started {
        let write = tenant::start(&scene.pipeline, &scene.job, at(millis));
        let Some(Part::Job(job)) = apply(&write, Some(&Part::Job(Box::new(scene.job.clone())))) else {
            return Err("it does not start".into());
        };
        scene.job = *job;
    }
    Ok(scene)
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_queued_and_one_that_was() -> Tried {
    let waits = story(&shown(&queued(None)?.stand().await?, "queued-1", 90_000).await?, Paint::Plain);
    let was = queued(Some(60_000))?.stand().await?;
    let was = story(&shown(&was, "queued-1", 90_000).await?, Paint::Plain);
    assert_golden("queued.txt", &format!("{waits}\n{was}"))
}

#[test]
fn the_line_of_a_queued_job_s_start_has_the_time_of_its_start() -> Tried {
    let tell = |scene: &Scene| qsketch_core::story::tell(&scene.pipeline, &scene.job, &scene.tasks, &BTreeMap::new());
    let (before, after) = (tell(&queued(None)?), tell(&queued(Some(60_000))?));
    let lines = |before: Option<&Story>, after: &Story| {
        let found = changes(before, after, at(61_000));
        found.iter().filter_map(|found| change(found, after.created_at, Paint::Plain)).collect::<Vec<_>>()
    };
    assert_eq!(lines(None, &before), ["   +0.0 s  job                 QUEUED"]);
    let started = lines(Some(&before), &after);
    assert!(started.contains(&"+1 min 00 s  job                 RUNNING".to_owned()), "{started:?}");
    Ok(())
}

const CLOSED: (&str, &str) = ("WorkerStopped", "its worker was told to stop and gave it back");

/// A job of a list of forty, whose records stand in two shards.
fn wide() -> Tried<Shown> {
    let mut scene = Scene::new("wide-1")?.ran("generate-script", 120, 320, Some(40))?;
    let mut shards: BTreeMap<ShardId, Shard> = BTreeMap::new();
    for n in 0..30 {
        scene = scene.began(&format!("generate-tts#{n}"), 1, 400 + u64::from(n))?;
        let shard = shards.entry(format!("generate-tts@0/{}", n / 32).parse()?).or_insert_with(|| Shard::new(1, 0));
        shard.done.insert(n, Done { attempt: 1, at: at(2_000 + u64::from(n)), width: None, payload: None });
    }
    for n in 30..40 {
        scene = scene.began(&format!("generate-tts#{n}"), 1, 500)?;
    }
    scene = scene.ended("generate-tts#33", 2_100, Outcome::Failed, RAISED, Some(12_100))?;
    scene = scene.began("render-manim#2", 1, 900)?;
    let story = qsketch_core::story::tell(&scene.pipeline, &scene.job, &scene.tasks, &shards);
    let now = at(5_000);
    Ok(Shown {
        parallel: beside(&story, now),
        at_once_max: at_once_max(&story, now),
        now,
        story,
        asked: None,
        script: None,
        logs: BTreeMap::new(),
        logs_location: "s3://sim/jobs/wide-1/TASK/ATTEMPT/log.txt".to_owned(),
        store_problem: None,
    })
}

#[test]
fn of_a_wide_step_one_line_tells_all_and_those_that_need_a_look_follow() -> Tried {
    let shown = wide()?;
    assert_golden("wide.txt", &story(&shown, Paint::Plain))?;
    assert_eq!(shown.story.tasks.len(), 1 + 40 + 40 + 2, "--json has all of them");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rejected_submission() -> Tried {
    let reasons = ["prompt: is empty; give 1 to 4000 characters of text", "voice: is \"x\"; choose one of en-us, zh"];
    let sim = Scene::rejected("6b1f", &reasons, Some("lesson-1"))?.stand().await?;
    assert_golden("rejected.txt", &story(&shown(&sim, "6b1f", 1_000).await?, Paint::Plain))
}

#[tokio::test(start_paused = true)]
async fn a_list_of_jobs_of_every_kind() -> Tried {
    let sim =
        failed("failed-1")?.closed(Verdict::Failed, 35_650, Some("render-manim#1"), Some(RAISED))?.stand().await?;
    for scene in [
        Scene::new("running-1")?,
        with_a_lost_worker("3f2akt07mxqz9b1c")?.with_video(1).await?.closed(Verdict::Completed, 47_000, None, None)?,
        Scene::rejected("6b1f", &["prompt: is empty; give 1 to 4000 characters of text"], Some("lesson-1"))?,
    ] {
        let write = Write::CreateJob(Box::new(scene.job.clone()));
        sim.observer().table.commit(&scene.job.job_id, &write).await?;
    }
    tokio::time::advance(Duration::from_millis(60_000)).await;
    let query = Query {
        tenant: Tenant::try_from("default")?,
        statuses: BTreeSet::new(),
        since: at(0),
        until: at(0),
        limit: 9,
        after: None,
    };
    let mut listing = qsketch_ops::list(&sim.observer(), &query).await?;
    // As if a newer release had written it.
    let problem = "read part job of newer-1 in table jobs: it was written by a newer release".to_owned();
    listing.jobs.push(Row {
        status: None,
        closed_at: None,
        closing: None,
        result: None,
        problem: Some(problem),
        job: JobId::try_from("newer-1")?,
        ..listing.jobs[0].clone()
    });
    assert_golden("list.txt", &list(&listing, Paint::Plain))?;
    let words = |listing: &Listing, query: &Query| after_list(listing, query).unwrap_or_default();
    assert_eq!((&listing.cursor, words(&listing, &query).as_str()), (&None, ""));
    let more = Listing { cursor: Some("5.j".parse()?), examined: 1_000, ..listing.clone() };
    assert_eq!(words(&more, &query), "5 of 1000 jobs; there may be more: the same with --cursor 5.j");
    let full = Query { limit: 5, ..query.clone() };
    assert_eq!(words(&more, &full), "there may be more: the same with --cursor 5.j");
    listing.jobs.clear();
    let none = format!("no jobs of tenant default from {} to {}", at(0), at(0));
    assert_eq!((list(&listing, Paint::Plain), words(&listing, &query)), (String::new(), none));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_job_that_is_followed() -> Tried {
    let looks = [
        (100, Scene::new("lines-1")?),
        (400, Scene::new("lines-1")?.ran("generate-script", 120, 320, Some(2))?),
        (3_000, failed_once()?),
        (3_100, failed_once()?.told("render-manim#0", 100, "animation 1 of 7")?),
        (14_000, failed("lines-1")?.done("render-manim#0", 13_000, None)?),
        (36_000, {
            let scene = failed("lines-1")?.began("render-manim#1", 3, 34_000)?;
            let scene = scene.ended("render-manim#1", 35_600, Outcome::Failed, RAISED, None)?;
            scene.closed(Verdict::Failed, 35_650, Some("render-manim#1"), Some(RAISED))?
        }),
    ];
    let (mut before, mut text) = (None, String::new());
    for (millis, scene) in looks {
        let after = qsketch_core::story::tell(&scene.pipeline, &scene.job, &scene.tasks, &BTreeMap::new());
        for found in changes(before.as_ref(), &after, at(millis)) {
            if let Some(line) = change(&found, after.created_at, Paint::Plain) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        assert!(changes(Some(&after), &after, at(millis)).is_empty(), "nothing changed");
        before = Some(after);
    }
    assert_golden("lines.txt", &text)
}

fn failed_once() -> Tried<Scene> {
    Scene::new("lines-1")?
        .ran("generate-script", 120, 320, Some(2))?
        .began("render-manim#0", 1, 500)?
        .began("render-manim#1", 1, 520)?
        .ended("render-manim#1", 2_100, Outcome::Failed, RAISED, Some(12_100))?
        .began("generate-tts#0", 1, 600)
}

#[tokio::test(start_paused = true)]
async fn the_story_as_json_has_one_layout_and_the_names_of_the_docs() -> Tried {
    let scene = with_a_lost_worker("j1")?.closed(Verdict::Completed, 47_000, None, None)?;
    let sim = scene.with_script(1).await?.stand().await?;
    let document = serde_json::to_value(shown(&sim, "j1", 60_000).await?)?;
    let names: Vec<&str> = document.as_object().ok_or("no object")?.keys().map(String::as_str).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "asked",
            "at_once_max",
            "closed_at",
            "closing",
            "created_at",
            "deadline",
            "job",
            "layout",
            "logs",
            "logs_location",
            "now",
            "parallel",
            "pipeline",
            "refusal",
            "result",
            "script",
            "status",
            "store_problem",
            "tasks",
            "tenant"
        ]
    );
    assert_eq!(document["layout"], 1);
    assert_eq!(document["tasks"][1]["attempts"][0]["outcome"], "TIMED_OUT");
    Ok(())
}
