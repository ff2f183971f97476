//! What `show` and the lines of `--follow` say, word for word. `BLESS=1` writes the golden files anew.

#[path = "../../../shared/ops/tests/scene/mod.rs"]
mod scene;

use core::time::Duration;
use std::path::PathBuf;

use qsketch_cli::render::{Paint, change, story, why_not_completed};
use qsketch_core::parts::Outcome;
use qsketch_core::{JobId, Verdict};
use qsketch_ops::{Shown, changes};
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
async fn a_rejected_submission() -> Tried {
    let reasons = ["prompt: is empty; give 1 to 4000 characters of text", "voice: is \"x\"; choose one of en-us, zh"];
    let sim = Scene::rejected("6b1f", &reasons, Some("lesson-1"))?.stand().await?;
    assert_golden("rejected.txt", &story(&shown(&sim, "6b1f", 1_000).await?, Paint::Plain))
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
        let after =
            qsketch_core::story::tell(&scene.pipeline, &scene.job, &scene.tasks, &std::collections::BTreeMap::new());
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
