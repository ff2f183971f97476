//! The small JSON documents beside the media: what the next step must know, without decoding anything.

use qsketch_core::{Failure, StepName, TaskId};
use qsketch_runtime::Attempt;
use qsketch_video::Script;
use qsketch_video::pipeline::GENERATE_SCRIPT;
use serde::{Deserialize, Serialize};

/// The layout of the documents that this release writes and reads.
pub const LAYOUT: u32 = 1;

/// The script's file.
pub const SCRIPT_FILE: &str = "script.json";
/// A rendered scene.
pub const SCENE_FILE: &str = "scene.mp4";
/// What is known of a rendered scene: a [`SceneSheet`].
pub const SCENE_SHEET: &str = "scene.json";
/// A spoken scene.
pub const SPEECH_FILE: &str = "speech.wav";
/// What is known of a spoken scene: a [`SpeechSheet`].
pub const SPEECH_SHEET: &str = "speech.json";

/// The largest script that is read, in bytes: eight scenes of the longest code and narration, escaped.
pub const SCRIPT_BYTES_MAX: u64 = 2 * 1_024 * 1_024;

/// The largest document beside the media that is read, in bytes.
pub const SHEET_BYTES_MAX: u64 = 256 * 1_024;

/// What is known of a rendered scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneSheet {
    /// [`LAYOUT`].
    pub layout: u32,
    /// Which scene, from 0.
    pub scene: u32,
    /// The class that was rendered.
    pub class_name: String,
    /// The quality that was asked for: `720p30`.
    pub quality: String,
    /// How long it is, in seconds.
    pub duration_secs: f64,
    /// How many frames it has.
    pub frames: u32,
    /// Frames a second.
    pub frame_rate: u32,
    /// The width, in pixels.
    pub width: u32,
    /// The height, in pixels.
    pub height: u32,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// Who rendered it: `manim 0.22.0`.
    pub renderer: String,
}

/// What is known of a spoken scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechSheet {
    /// [`LAYOUT`].
    pub layout: u32,
    /// Which scene, from 0.
    pub scene: u32,
    /// The voice: `en-us`.
    pub voice: String,
    /// Who spoke: `espeak-ng`.
    pub engine: String,
    /// The version of who spoke, in its own words.
    pub engine_version: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// How long the file is, in milliseconds, with the pause after its last sentence.
    pub duration_ms: u64,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The sentences, in order; none overlaps the next.
    pub sentences: Vec<SpokenSentence>,
}

/// One sentence of a spoken scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpokenSentence {
    /// The sentence as captions show it.
    pub text: String,
    /// When it begins, in milliseconds from the scene's start.
    pub start_ms: u64,
    /// When it ends, in milliseconds from the scene's start.
    pub end_ms: u64,
}

/// The step of this name.
///
/// # Errors
/// [`Failure`] when it is no name; the names of this module are.
pub fn step(name: &str) -> Result<StepName, Failure> {
    StepName::try_from(name).map_err(|error| Failure::fail("NoStep", error))
}

/// The script of an attempt's job: what the winning attempt of [`GENERATE_SCRIPT`] wrote.
///
/// # Errors
/// [`Failure`] when it is not there, or no script.
pub async fn script_of(attempt: &Attempt) -> Result<Script, Failure> {
    let task = TaskId::only(step(GENERATE_SCRIPT)?);
    let bytes = attempt.get(&task, SCRIPT_FILE, SCRIPT_BYTES_MAX).await?;
    let text = String::from_utf8(bytes).map_err(|error| Failure::fail("BadScript", error))?;
    Script::parse(&text).map_err(|reasons| {
        let reasons = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Failure::fail("BadScript", reasons)
    })
}

/// Which scene an attempt works on, and the scene's number; both are checked against the script.
///
/// # Errors
/// [`Failure`], final: the script has no such scene.
pub fn scene_of<'a>(attempt: &Attempt, script: &'a Script) -> Result<(u32, &'a qsketch_video::Scene), Failure> {
    let index = attempt.index().ok_or_else(|| Failure::fail("NoSuchScene", "the task names no scene"))?;
    let scene = usize::try_from(index).ok().and_then(|index| script.scenes.get(index));
    let absent = || format!("the task is for scene {index}, but the script has {} scenes", script.scenes.len());
    Ok((index, scene.ok_or_else(|| Failure::fail("NoSuchScene", absent()))?))
}

/// A document as it is stored.
///
/// # Errors
/// [`Failure`] when it can't be written as JSON; a number that is not finite can't.
pub fn to_json(document: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(document).map_err(|error| Failure::fail("BadSheet", error))
}

/// A document of the attempt that won an earlier task.
///
/// # Errors
/// [`Failure`] when it is not there, too large, or not what it should be.
pub async fn sheet_of<T: for<'de> Deserialize<'de>>(
    attempt: &Attempt,
    task: &TaskId,
    file: &str,
) -> Result<T, Failure> {
    let bytes = attempt.get(task, file, SHEET_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::fail("BadSheet", format!("{file} of {task}: {error}")))
}
