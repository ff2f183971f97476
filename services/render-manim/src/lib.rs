//! The step that renders one scene of a script with Manim.
//!
//! ```text
//! script.json, scene k --scene.py--> driver.py (Manim) --out.mp4--> checks --> scene.mp4, scene.json
//!                                        |
//!                                        +--> frames so far --> progress of the attempt
//! ```
//!
//! Manim's exit code says little, so a render counts only when a regular file lies where it was asked for, decodes to
//! its end without a complaint, and has the size, rate and length that were asked for (`what_is_no_video_is_found_out`).

mod render;

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::{Failure, failure::Remedy};
use qsketch_media::sheets::{self, SCENE_FILE, SCENE_SHEET, SceneSheet};
use qsketch_media::{Bench, MissingTool, chain};
use qsketch_runtime::config::Environment;
use qsketch_runtime::{Attempt, Handler};
use qsketch_video::{Scene, Script, speech};

pub use render::{Manim, Order, PICTURE_BYTES_MAX, PICTURE_SECS_MAX, PICTURE_SECS_MIN, RenderError, Rendered};

/// The setting that names the Python which has Manim.
pub const PYTHON_VARIABLE: &str = "QSKETCH_MANIM_PYTHON";

/// The most that progress says before the video is checked and kept, in shares of 1,000: the estimate may be short.
const RENDERING_PERMILLE_MAX: u64 = 950;

/// The step that renders a scene.
pub struct RenderManim {
    manim: Manim,
}

impl RenderManim {
    /// The step with the tools that this environment names.
    ///
    /// # Errors
    /// [`MissingTool`] names the variable to set or the package to install.
    pub fn new(environment: &Environment) -> Result<Self, MissingTool> {
        Ok(Self { manim: Manim::find(environment)? })
    }

    /// Asks each tool for its version: Manim, ffmpeg, ffprobe. About 0.2 s.
    ///
    /// # Errors
    /// [`MissingTool::Broken`] when one does not work.
    pub async fn check(&self) -> Result<Vec<String>, MissingTool> {
        self.manim.versions().await
    }

    /// The languages whose letters no font of this machine has.
    pub async fn languages_without_font(&self) -> Vec<&'static str> {
        self.manim.languages_without_font().await
    }
}

#[async_trait]
impl Handler for RenderManim {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let script = sheets::script_of(attempt).await?;
        let (index, scene) = sheets::scene_of(attempt, &script)?;
        let renderer = self.manim.version().await.map_err(|error| Failure::retry("ToolMissing", error))?;
        let bench = Bench { announcer: attempt.announcer(), log: attempt.log() };
        let order = Order {
            code: &scene.code,
            class_name: &scene.class_name,
            quality: script.quality,
            folder: attempt.scratch().await?,
        };
        let expected = frames_expected(scene, &script);
        attempt.report(0, "starting Manim");
        let on_frames = |frames: u64| {
            attempt.report(permille(frames, expected), &format!("frame {frames} of about {expected}"));
        };
        let rendered = self.manim.render(bench, order, on_frames).await.map_err(failure_of)?;
        attempt.report(990, "keeping the video");
        let sheet = sheet(index, scene, &script, &rendered, renderer);
        attempt.upload(SCENE_FILE, &rendered.file, "video/mp4").await?;
        attempt.put(SCENE_SHEET, sheets::to_json(&sheet)?, "application/json").await?;
        Ok(Output::default())
    }
}

/// How many frames a scene will have: a scene keeps step with its narration, so about the length of its speech.
///
/// A scene that does not is rendered all the same; only its progress is told badly.
#[must_use]
pub fn frames_expected(scene: &Scene, script: &Script) -> u64 {
    let sentences = speech::sentences(&scene.narration);
    let secs: f64 = sentences
        .iter()
        .map(|sentence| speech::estimate_secs(sentence, script.language) + speech::SENTENCE_PAUSE_SECS)
        .sum();
    let frames = secs * f64::from(script.quality.frame_rate());
    // A cast of a float is bounded by its target; a scene has at least one frame.
    (frames.round() as u64).max(1)
}

fn permille(frames: u64, expected: u64) -> u16 {
    let share = frames.saturating_mul(RENDERING_PERMILLE_MAX) / expected.max(1);
    u16::try_from(share.min(RENDERING_PERMILLE_MAX)).unwrap_or(0)
}

fn sheet(index: u32, scene: &Scene, script: &Script, rendered: &Rendered, renderer: String) -> SceneSheet {
    let picture = &rendered.picture;
    SceneSheet {
        layout: sheets::LAYOUT,
        scene: index,
        class_name: scene.class_name.clone(),
        quality: script.quality.name().to_owned(),
        duration_secs: picture.secs(),
        frames: picture.frames,
        frame_rate: script.quality.frame_rate(),
        width: picture.width,
        height: picture.height,
        bytes: rendered.bytes,
        renderer,
    }
}

fn failure_of(error: RenderError) -> Failure {
    let remedy = match error {
        RenderError::NoScene { .. } => Remedy::Fail,
        _ => Remedy::Retry { after: None },
    };
    Failure::new(error.error_type(), chain(&error), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_stays_below_the_end_however_wrong_the_estimate() {
        assert_eq!(permille(0, 100), 0);
        assert_eq!(permille(50, 100), 475);
        assert_eq!(permille(u64::MAX, 1), 950);
        assert_eq!(permille(1, 0), 950);
    }
}
