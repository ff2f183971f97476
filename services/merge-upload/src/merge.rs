//! Scenes and speech into one video: local files in, local files out.

use std::path::{Path, PathBuf};

use qsketch_media::sheets::SpokenSentence;
use qsketch_media::{Bench, Ffmpeg, MediaError, Picture, Untrusted};
use qsketch_runtime::process::{Keep, Tool};
use qsketch_video::captions::{self, CaptionError, Chapter, Spoken};
use qsketch_video::{Language, Quality};
use thiserror::Error;

use crate::check::{self, Checked};
use crate::loudness::{self, Channels, Loudness};
use crate::plan::{self, Lengths, Place};
use crate::sound::{self, SoundError};
use crate::tags;

/// The encoder's settings for a scene that must be encoded again: Manim's own, so that the result joins the other
/// scenes as it is. Whether it does is looked at, not assumed.
///
/// # Source
/// manim 0.22.0, `_config/video_encoder.py`: libx264, crf 23, all else the encoder's defaults.
const ENCODER: [&str; 8] = ["-c:v", "libx264", "-preset", "medium", "-crf", "23", "-pix_fmt", "yuv420p"];

/// The bit rate of the sound: transparent for one voice.
const SOUND_BIT_RATE: &str = "128k";

/// One scene's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneFiles {
    /// The scene's heading.
    pub title: String,
    /// The rendered scene.
    pub video: PathBuf,
    /// The spoken scene: a WAV file of 16-bit mono.
    pub speech: PathBuf,
    /// When each sentence is said, from the scene's start.
    pub sentences: Vec<SpokenSentence>,
}

/// What is to be joined.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The video's title.
    pub title: &'a str,
    /// The language of its narration.
    pub language: Language,
    /// The size and rate that every scene has.
    pub quality: Quality,
    /// The scenes, in order.
    pub scenes: &'a [SceneFiles],
    /// A folder of this attempt.
    pub folder: &'a Path,
}

/// A video that passed every check, and what goes with it.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The video.
    pub video: PathBuf,
    /// Its captions, as WebVTT.
    pub captions: PathBuf,
    /// A picture of it, as PNG.
    pub poster: PathBuf,
    /// What is said in it, as text.
    pub transcript: PathBuf,
    /// Where each scene stands in it.
    pub places: Vec<Place>,
    /// What was measured of it.
    pub checked: Checked,
}

/// How far a merge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Fitting this scene, from 0.
    Fitting(usize),
    /// Measuring how loud the speech is.
    Measuring,
    /// Joining.
    Joining,
    /// Checking the video.
    Checking,
}

/// Why there is no video.
#[derive(Debug, Error)]
pub enum MergeError {
    /// There is nothing to join.
    #[error("there are no scenes")]
    NoScenes,
    /// A scene is not what was asked for.
    #[error("scene {scene} is wrong: {problem}")]
    Scene {
        /// Which scene, from 0.
        scene: usize,
        /// What is wrong.
        problem: String,
    },
    /// A tool failed.
    #[error("{0}")]
    Media(&'static str, #[source] MediaError),
    /// The sound track can't be made.
    #[error(transparent)]
    Sound(#[from] SoundError),
    /// The captions overlap or are damaged: a mistake of ours.
    #[error(transparent)]
    Captions(#[from] CaptionError),
    /// A file can't be written or read.
    #[error("file {} can't be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread of ours ended early.
    #[error("making the sound track was given up")]
    Thread,
    /// The video is not what it must be.
    #[error("the joined video is wrong: {0}")]
    Wrong(String),
}

impl MergeError {
    /// The type that a retry policy and the story name.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Media(_, MediaError::Tool(_)) => "ToolMissing",
            Self::NoScenes | Self::Scene { .. } | Self::Sound(_) => "BadScene",
            Self::Media(..) | Self::Captions(_) | Self::Wrong(_) => "MergeFailed",
            Self::File { .. } | Self::Thread => "NoScratch",
        }
    }
}

/// Joins scenes and speech.
///
/// # Errors
/// [`MergeError`]; nothing but a video that passed every check is a success.
pub async fn merge(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    order: Order<'_>,
    mut on_stage: impl FnMut(Stage) + Send,
) -> Result<Merged, MergeError> {
    let rate = order.quality.frame_rate();
    let (pictures, lengths) = look(ffmpeg, bench, order).await?;
    let places = plan::places(&lengths, rate);
    let videos = fit(ffmpeg, bench, order, &pictures, &places, &mut on_stage).await?;
    on_stage(Stage::Measuring);
    let track = track(order, &places).await?;
    let measured = loudness::measure(ffmpeg, bench, &track, Channels::Mono);
    let measured = measured.await.map_err(|source| MergeError::Media("the loudness can't be measured", source))?;
    let chapters = chapters(order, &places);
    let (captions, transcript) = (order.folder.join("captions.vtt"), order.folder.join("transcript.txt"));
    let cues = captions::webvtt(&captions::cues(&chapters));
    captions::check(&cues)?;
    write(&captions, &cues).await?;
    write(&transcript, &captions::transcript(order.title, &chapters)).await?;
    on_stage(Stage::Joining);
    let video =
        join(ffmpeg, bench, order, &Parts { videos, places: &places, track, captions: &captions, measured }).await?;
    on_stage(Stage::Checking);
    let checked = check::video(ffmpeg, bench, order, &video, &places).await?;
    let poster = order.folder.join("poster.png");
    check::poster(ffmpeg, bench, &video, checked.poster_secs, &poster).await?;
    Ok(Merged { video, captions, poster, transcript, places, checked })
}

/// What each scene is, by its headers and its speech.
async fn look(ffmpeg: &Ffmpeg, bench: Bench<'_>, order: Order<'_>) -> Result<(Vec<Picture>, Vec<Lengths>), MergeError> {
    let (mut pictures, mut lengths) = (Vec::new(), Vec::new());
    for (scene, files) in order.scenes.iter().enumerate() {
        let probed = ffmpeg.probe(bench, &files.video).await;
        let probed = probed.map_err(|source| MergeError::Media("a scene can't be read", source))?;
        let picture = probed.pictures.into_iter().next();
        let wrong = |problem: String| MergeError::Scene { scene, problem };
        let picture = picture.ok_or_else(|| wrong("it has no picture".to_owned()))?;
        let (size, rate) = (order.quality.size(), order.quality.frame_rate());
        if (picture.width, picture.height) != size || picture.rate != (rate, 1) || picture.frames == 0 {
            let Picture { width, height, rate: (upper, lower), frames, .. } = picture;
            return Err(wrong(format!("{frames} frames of {width} x {height} at {upper}/{lower}")));
        }
        let last_word_ms = files.sentences.last().map_or(0, |sentence| sentence.end_ms);
        let speech_secs = sound::secs(&files.speech)?;
        let last_word_secs = last_word_ms as f64 / 1_000.0;
        lengths.push(Lengths { frames: picture.frames, last_word_secs, speech_secs });
        pictures.push(picture);
    }
    if pictures.is_empty() { Err(MergeError::NoScenes) } else { Ok((pictures, lengths)) }
}

/// The scenes' pictures as they will be joined: as rendered where possible, else encoded again with the last frame held.
async fn fit(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    order: Order<'_>,
    pictures: &[Picture],
    places: &[Place],
    on_stage: &mut (impl FnMut(Stage) + Send),
) -> Result<Vec<PathBuf>, MergeError> {
    let mut fitted = Vec::new();
    for (scene, place) in places.iter().enumerate() {
        on_stage(Stage::Fitting(scene));
        fitted.push(match place.held {
            0 => (order.scenes[scene].video.clone(), pictures[scene].clone()),
            _ => encode(ffmpeg, bench, order, scene, place).await?,
        });
    }
    // Streams with other settings can't be joined as they are: then every scene is encoded, by the same encoder.
    if fitted.iter().any(|(_, picture)| !picture.joins(&fitted[0].1)) {
        bench.log.line("the scenes' streams differ: each is encoded again");
        for (scene, place) in places.iter().enumerate().filter(|(_, place)| place.held == 0) {
            on_stage(Stage::Fitting(scene));
            fitted[scene] = encode(ffmpeg, bench, order, scene, place).await?;
        }
    }
    if let Some(scene) = fitted.iter().position(|(_, picture)| !picture.joins(&fitted[0].1)) {
        return Err(MergeError::Scene { scene, problem: "its stream still differs from the first scene's".to_owned() });
    }
    Ok(fitted.into_iter().map(|(video, _)| video).collect())
}

async fn encode(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    order: Order<'_>,
    scene: usize,
    place: &Place,
) -> Result<(PathBuf, Picture), MergeError> {
    let failed = |source| MergeError::Media("a scene can't be fitted to its speech", source);
    let out = order.folder.join(format!("fitted-{scene}.mp4"));
    let tool = ffmpeg.tool().arg("-xerror").args(Untrusted(&order.scenes[scene].video).arguments());
    let tool = tool.args(["-map", "0:v:0", "-vf"]).arg(format!("tpad=stop_mode=clone:stop={}", place.held));
    run(bench, tool.args(ENCODER).args(["-movflags", "+faststart"]).arg(&out), failed).await?;
    let probed = ffmpeg.probe(bench, &out).await.map_err(failed)?;
    match probed.pictures.into_iter().next() {
        Some(picture) if picture.frames == place.frames => Ok((out, picture)),
        other => {
            let frames = other.map_or(0, |picture| picture.frames);
            let problem = format!("fitted, it has {frames} frames, not {}", place.frames);
            Err(MergeError::Scene { scene, problem })
        }
    }
}

async fn track(order: Order<'_>, places: &[Place]) -> Result<PathBuf, MergeError> {
    let track = order.folder.join("track.wav");
    let speeches: Vec<PathBuf> = order.scenes.iter().map(|scene| scene.speech.clone()).collect();
    let (places, rate, file) = (places.to_vec(), order.quality.frame_rate(), track.clone());
    let writing = tokio::task::spawn_blocking(move || sound::write_track(&speeches, &places, rate, &file));
    writing.await.map_err(|_| MergeError::Thread)??;
    Ok(track)
}

/// The scenes as captions and the transcript see them.
fn chapters(order: Order<'_>, places: &[Place]) -> Vec<Chapter> {
    let secs = |ms: u64| ms as f64 / 1_000.0;
    let spoken = |sentence: &SpokenSentence| Spoken {
        text: sentence.text.clone(),
        begin: secs(sentence.start_ms),
        end: secs(sentence.end_ms),
    };
    let scenes = order.scenes.iter().zip(places).map(|(scene, place)| Chapter {
        title: scene.title.clone(),
        offset: place.start_secs(order.quality.frame_rate()),
        sentences: scene.sentences.iter().map(spoken).collect(),
    });
    scenes.collect()
}

/// What the video is joined of.
struct Parts<'a> {
    videos: Vec<PathBuf>,
    places: &'a [Place],
    track: PathBuf,
    captions: &'a Path,
    measured: Loudness,
}

async fn join(ffmpeg: &Ffmpeg, bench: Bench<'_>, order: Order<'_>, parts: &Parts<'_>) -> Result<PathBuf, MergeError> {
    let rate = order.quality.frame_rate();
    let (list, metadata) = (order.folder.join("list.txt"), order.folder.join("metadata.txt"));
    let out = order.folder.join("video.mp4");
    write(&list, &tags::list(&parts.videos, parts.places, rate)).await?;
    let titles: Vec<&str> = order.scenes.iter().map(|scene| scene.title.as_str()).collect();
    write(&metadata, &tags::metadata(order.title, &titles, parts.places, rate)).await?;
    let language = tags::iso_639_2(order.language);
    let tool = ffmpeg
        .tool()
        // The list names our own files; whatever they hold, they are read as MP4 only.
        .args(["-protocol_whitelist", "file", "-format_whitelist", "concat,mov", "-f", "concat", "-safe", "0", "-i"])
        .arg(&list)
        .args(["-f", "wav", "-i"])
        .arg(&parts.track)
        .args(["-f", "webvtt", "-i"])
        .arg(parts.captions)
        .args(["-f", "ffmetadata", "-i"])
        .arg(&metadata)
        .args(["-map", "0:v:0", "-map", "1:a:0", "-map", "2:s:0", "-map_metadata", "3", "-map_chapters", "3"])
        .args(["-c:v", "copy", "-af"])
        .arg(parts.measured.filter())
        .args(["-c:a", "aac", "-b:a", SOUND_BIT_RATE, "-c:s", "mov_text"])
        .args(["-metadata:s:a:0", &format!("language={language}"), "-metadata:s:s:0", &format!("language={language}")])
        .args(["-movflags", "+faststart"])
        .arg(&out);
    run(bench, tool, |source| MergeError::Media("the scenes can't be joined", source)).await?;
    Ok(out)
}

/// Runs ffmpeg; whatever its exit code, a complaint goes into the log.
pub(crate) async fn run(
    bench: Bench<'_>,
    tool: Tool,
    failed: impl Fn(MediaError) -> MergeError,
) -> Result<(), MergeError> {
    let ended = tool.run(bench.announcer, bench.log, |_| Keep::Yes).await;
    let ended = ended.map_err(|error| failed(error.into()))?;
    if ended.is_success() { Ok(()) } else { Err(failed(MediaError::Failed { what: "ffmpeg", ended })) }
}

async fn write(path: &Path, text: &str) -> Result<(), MergeError> {
    tokio::fs::write(path, text).await.map_err(|source| MergeError::File { path: path.to_owned(), source })
}
