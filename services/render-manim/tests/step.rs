//! The step as workers run it, in a simulated world.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

#[path = "../../../shared/media/tests/stage/mod.rs"]
mod stage;

use std::sync::Arc;

use qsketch_media::sheets::SceneSheet;
use qsketch_render_manim::RenderManim;
use qsketch_runtime::Handler;
use qsketch_runtime::config::Environment;
use qsketch_runtime::ports::Parts;

use stage::{Keeps, Stage, script};

#[expect(clippy::disallowed_methods, reason = "a test has no main that reads the environment")]
fn manim() -> Arc<dyn Handler> {
    let environment: Environment = std::env::vars().collect();
    Arc::new(RenderManim::new(&environment).unwrap_or_else(|error| panic!("these tests need real Manim: {error}")))
}

#[tokio::test]
async fn a_scene_is_kept_and_one_that_raises_fails_its_attempt() {
    let script = script(&[
        ("Good", "A circle grows.", "self.play(Create(Circle()))"),
        ("Bad", "It never comes.", "raise ValueError('no such circle')"),
    ]);
    let stage =
        Stage::begin(vec![("generate-script", Arc::new(Keeps::script(&script))), ("render-manim", manim())]).await;
    let both = |parts: &Parts| {
        let is_rendered = parts.job.as_ref().is_some_and(|job| job.done.len() == 2);
        is_rendered && parts.tasks.values().any(|task| !task.attempts.is_empty())
    };
    let parts = stage.until("one is rendered, one fails", both).await;

    let sheet: SceneSheet = serde_json::from_value(stage.json("render-manim#0", "scene.json")).expect("a scene sheet");
    assert_eq!((sheet.frames, sheet.frame_rate, sheet.width, sheet.height), (15, 15, 854, 480));
    assert_eq!((sheet.scene, sheet.bytes), (0, stage.file("render-manim#0", "scene.mp4").len() as u64));
    assert!(sheet.renderer.starts_with("manim 0."), "{sheet:?}");

    let attempt = parts.tasks.values().flat_map(|task| &task.attempts).next().expect("an attempt");
    assert_eq!(attempt.error_type, "RenderFailed");
    assert_eq!(attempt.error.as_str(), "the scene raised ValueError: no such circle");
    stage
        .until("its log is kept", |_| stage.sim.keys().iter().any(|key| key.ends_with("render-manim#1/1/log.txt")))
        .await;
    assert!(String::from_utf8_lossy(&stage.file("render-manim#1", "log.txt")).contains("Traceback"));
}
