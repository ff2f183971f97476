//! The step that joins scenes and speech into the video, checks it, and keeps it.
//!
//! ```text
//! scene.mp4 --as it is, or with its last frame held--+
//!                                                    +--join--> video.mp4 --checks--> kept, and the kept object checked
//! speech.wav --placed to the sample, loudness evened-+             |
//! speech.json --offsets--> captions.vtt, transcript.txt            +--> poster.png, manifest.json
//! ```
//!
//! Scenes are joined without encoding them again wherever their streams allow it, which is nearly always: that is looked
//! at, not assumed (`scenes_are_joined_without_cutting_speech`).

mod check;
mod faststart;
pub mod loudness;
mod manifest;
mod merge;
pub mod plan;
mod poster;
mod sound;
mod tags;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::{Failure, TaskId};
use qsketch_media::sheets::{self, SCENE_FILE, SPEECH_FILE, SPEECH_SHEET, SpeechSheet};
use qsketch_media::{Bench, Ffmpeg, MissingTool, chain};
use qsketch_runtime::attempt::failure_of;
use qsketch_runtime::config::Environment;
use qsketch_runtime::{Attempt, Handler};
use qsketch_video::Script;
use qsketch_video::pipeline::{GENERATE_TTS, RENDER_MANIM};

pub use check::{Checked, LENGTH_TOLERANCE_SECS, VIDEO_BYTES_MAX};
pub use faststart::is_faststart;
pub use manifest::{FileEntry, MANIFEST_LAYOUT, Manifest, SceneEntry, sha256};
pub use merge::{MergeError, Merged, Order, SceneFiles, Stage, merge};
pub use sound::SoundError;

/// The video.
pub const VIDEO_FILE: &str = "video.mp4";
/// The captions, as WebVTT.
pub const CAPTIONS_FILE: &str = "captions.vtt";
/// A picture of the video.
pub const POSTER_FILE: &str = "poster.png";
/// What is said in the video.
pub const TRANSCRIPT_FILE: &str = "transcript.txt";
/// What was made: a [`Manifest`].
pub const MANIFEST_FILE: &str = "manifest.json";

/// The step that makes the video.
pub struct MergeUpload {
    ffmpeg: Ffmpeg,
}

impl MergeUpload {
    /// The step with the tools that this environment names.
    ///
    /// # Errors
    /// [`MissingTool`] names the variable to set or the package to install.
    pub fn new(environment: &Environment) -> Result<Self, MissingTool> {
        Ok(Self { ffmpeg: Ffmpeg::find(environment)? })
    }

    /// Asks each tool for its version: ffmpeg, ffprobe.
    ///
    /// # Errors
    /// [`MissingTool::Broken`] when one does not work.
    pub async fn check(&self) -> Result<Vec<String>, MissingTool> {
        self.ffmpeg.versions().await
    }
}

#[async_trait]
impl Handler for MergeUpload {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let script = sheets::script_of(attempt).await?;
        let folder = attempt.scratch().await?;
        let tasks = tasks(attempt, &script)?;
        let mut scenes = Vec::new();
        for (index, (render, speech)) in tasks.iter().enumerate() {
            attempt.report(share(index, tasks.len(), 0, 100), &format!("loading scene {}", index + 1));
            scenes.push(load(attempt, folder, index, render, speech, &script.scenes[index].title).await?);
        }
        let order =
            Order { title: &script.title, language: script.language, quality: script.quality, scenes: &scenes, folder };
        let bench = Bench { announcer: attempt.announcer(), log: attempt.log() };
        let on_stage = |stage| report(attempt, stage, scenes.len());
        let merged = merge(&self.ffmpeg, bench, order, on_stage).await;
        let merged = merged.map_err(|error| Failure::retry(error.error_type(), chain(&error)))?;
        let mut manifest = manifest(attempt, &script, &merged, &tasks).await?;
        attempt.report(900, "keeping the video");
        for (name, file, content_type) in [
            (CAPTIONS_FILE, &merged.captions, "text/vtt; charset=utf-8"),
            (POSTER_FILE, &merged.poster, "image/png"),
            (TRANSCRIPT_FILE, &merged.transcript, "text/plain; charset=utf-8"),
            (VIDEO_FILE, &merged.video, "video/mp4"),
        ] {
            manifest.files.push(keep(attempt, name, file, content_type).await?);
        }
        attempt.put(MANIFEST_FILE, sheets::to_json(&manifest)?, "application/json").await?;
        let location = attempt.ports().store.location(&attempt.key(VIDEO_FILE));
        Ok(Output { width: None, result: Some(location) })
    }
}

/// The tasks that rendered and spoke each scene.
fn tasks(attempt: &Attempt, script: &Script) -> Result<Vec<(TaskId, TaskId)>, Failure> {
    let renders = attempt.tasks_of(&sheets::step(RENDER_MANIM)?);
    let speeches = attempt.tasks_of(&sheets::step(GENERATE_TTS)?);
    if renders.len() != script.scenes.len() || speeches.len() != script.scenes.len() {
        let (scenes, renders, speeches) = (script.scenes.len(), renders.len(), speeches.len());
        let what = format!("the script has {scenes} scenes, but {renders} are rendered and {speeches} spoken");
        return Err(Failure::fail("NoSuchScene", what));
    }
    Ok(renders.into_iter().zip(speeches).collect())
}

async fn load(
    attempt: &Attempt,
    folder: &Path,
    index: usize,
    render: &TaskId,
    speech: &TaskId,
    title: &str,
) -> Result<SceneFiles, Failure> {
    let video = folder.join(format!("scene-{index}.mp4"));
    let sound = folder.join(format!("speech-{index}.wav"));
    let (_, _, sheet) = tokio::try_join!(
        attempt.download(render, SCENE_FILE, &video),
        attempt.download(speech, SPEECH_FILE, &sound),
        sheets::sheet_of::<SpeechSheet>(attempt, speech, SPEECH_SHEET),
    )?;
    Ok(SceneFiles { title: title.to_owned(), video, speech: sound, sentences: sheet.sentences })
}

/// Keeps a file and checks what is kept.
async fn keep(attempt: &Attempt, name: &str, file: &Path, content_type: &str) -> Result<FileEntry, Failure> {
    let path: PathBuf = file.to_owned();
    let hashed = tokio::task::spawn_blocking(move || sha256(&path)).await;
    let unreadable = |error: &dyn std::error::Error| Failure::retry("NoScratch", format!("{name}: {error}"));
    let (bytes, sha256) = hashed.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
    let key = attempt.upload(name, file, content_type).await?;
    let kept = attempt.ports().store.head(&key).await.map_err(|error| failure_of(&error))?;
    let kept = kept.ok_or_else(|| Failure::retry("UploadDamaged", format!("{key} is not there after its upload")))?;
    if kept.bytes != bytes || kept.sha256.as_ref().is_some_and(|hash| *hash != sha256) {
        let found = format!("{key} has {} bytes with hash {:?}, not {bytes} with {sha256}", kept.bytes, kept.sha256);
        return Err(Failure::retry("UploadDamaged", found));
    }
    Ok(FileEntry { name: name.to_owned(), content_type: content_type.to_owned(), bytes, sha256 })
}

async fn manifest(
    attempt: &Attempt,
    script: &Script,
    merged: &Merged,
    tasks: &[(TaskId, TaskId)],
) -> Result<Manifest, Failure> {
    let checked = &merged.checked;
    let job = attempt.job().job_id.as_str();
    let mut manifest = Manifest::new(job, script, checked.secs, &checked.loudness, checked.poster_secs);
    let rate = script.quality.frame_rate();
    for ((scene, place), (render, speech)) in script.scenes.iter().zip(&merged.places).zip(tasks) {
        manifest.scenes.push(SceneEntry {
            title: scene.title.clone(),
            start_secs: place.start_secs(rate),
            duration_secs: place.secs(rate),
            frames_held: place.held,
            render_attempt: attempt.record_of(render).await?.attempt,
            speech_attempt: attempt.record_of(speech).await?.attempt,
        });
    }
    Ok(manifest)
}

fn report(attempt: &Attempt, stage: Stage, scenes: usize) {
    match stage {
        Stage::Fitting(scene) => {
            attempt.report(share(scene, scenes, 100, 500), &format!("fitting scene {} of {scenes}", scene + 1));
        }
        Stage::Measuring => attempt.report(500, "measuring the loudness"),
        Stage::Joining => attempt.report(600, "joining the scenes"),
        Stage::Checking => attempt.report(750, "checking the video"),
    }
}

/// How far it is at part `part` of `of`, between two shares of 1,000.
fn share(part: usize, of: usize, from: u16, to: u16) -> u16 {
    let span = usize::from(to - from);
    from + u16::try_from(span * part / of.max(1)).unwrap_or(0)
}
