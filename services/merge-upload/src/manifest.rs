//! What was made, as one document beside the video.

use std::io::Read as _;
use std::path::Path;

use qsketch_video::Script;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::loudness::Loudness;

/// The layout of the manifest that this release writes.
pub const MANIFEST_LAYOUT: u32 = 1;

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// [`MANIFEST_LAYOUT`].
    pub layout: u32,
    /// The job.
    pub job: String,
    /// The video's title.
    pub title: String,
    /// The language of the narration, as a BCP 47 tag.
    pub language: String,
    /// The voice.
    pub voice: String,
    /// The quality: `720p30`.
    pub quality: String,
    /// Who wrote the script.
    pub provider: String,
    /// The lesson that the script follows, where it follows one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lesson: Option<String>,
    /// What a reader must know of the script.
    pub notes: Vec<String>,
    /// How long the video is, in seconds.
    pub duration_secs: f64,
    /// How loud the video is, in LUFS.
    pub loudness_lufs: f64,
    /// The highest peak of its sound, in dB of full scale.
    pub peak_db: f64,
    /// The moment of the poster, in seconds.
    pub poster_secs: f64,
    /// The scenes, in order.
    pub scenes: Vec<SceneEntry>,
    /// The files, without this one.
    pub files: Vec<FileEntry>,
}

/// One scene of the video.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SceneEntry {
    /// Its heading.
    pub title: String,
    /// When it begins in the video, in seconds.
    pub start_secs: f64,
    /// How long it is, in seconds.
    pub duration_secs: f64,
    /// For how many frames its last one is held, so that its speech is not cut.
    pub frames_held: u32,
    /// The attempt whose picture it shows.
    pub render_attempt: u32,
    /// The attempt whose speech is heard.
    pub speech_attempt: u32,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub content_type: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// A manifest without scenes and files.
    #[must_use]
    pub fn new(job: &str, script: &Script, secs: f64, loudness: &Loudness, poster_secs: f64) -> Self {
        Self {
            layout: MANIFEST_LAYOUT,
            job: job.to_owned(),
            title: script.title.clone(),
            language: script.language.tag().to_owned(),
            voice: script.voice.name().to_owned(),
            quality: script.quality.name().to_owned(),
            provider: script.provider.clone(),
            lesson: script.lesson.clone(),
            notes: script.notes.clone(),
            duration_secs: secs,
            loudness_lufs: loudness.lufs,
            peak_db: loudness.peak_db,
            poster_secs,
            scenes: Vec::new(),
            files: Vec::new(),
        }
    }
}

/// A file's size in bytes and the SHA-256 of its content, in hexadecimal.
///
/// # Errors
/// When it can't be read.
pub fn sha256(file: &Path) -> std::io::Result<(u64, String)> {
    let mut file = std::fs::File::open(file)?;
    let (mut hash, mut bytes, mut block) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        hash.update(&block[..read]);
        bytes += read as u64;
    }
    let hash = hash.finalize();
    Ok((bytes, hash.iter().map(|byte| format!("{byte:02x}")).collect()))
}
