//! A narration, sentence by sentence, into one checked file.

use std::path::{Path, PathBuf};

use qsketch_media::sheets::SpokenSentence;
use qsketch_media::{Bench, NotRegular, regular};
use qsketch_video::media::{AUDIO_BYTES_MAX, AudioFault, BadAudio, Expected, check_audio};
use qsketch_video::{Language, Voice, speech};
use thiserror::Error;

use crate::engine::{EngineError, SpeechEngine};
use crate::track::{Track, TrackError};

/// What is to be said.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The narration of a scene.
    pub narration: &'a str,
    /// Who says it.
    pub voice: Voice,
    /// A folder of this attempt.
    pub folder: &'a Path,
}

/// Speech that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrated {
    /// Where it is: a WAV file of 16-bit mono.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Samples a second.
    pub sample_rate: u32,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// When each sentence is said.
    pub sentences: Vec<SpokenSentence>,
}

/// Why a narration was not spoken.
#[derive(Debug, Error)]
pub enum SpeechError {
    /// The engine failed, or can't be run.
    #[error("sentence {number} ({text:?}) was not spoken")]
    Engine {
        /// Which sentence, from 1.
        number: usize,
        /// Its beginning.
        text: String,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The engine left no file.
    #[error("sentence {number} ({text:?}) was not written")]
    NoFile {
        /// Which sentence, from 1.
        number: usize,
        /// Its beginning.
        text: String,
        /// What was there instead.
        #[source]
        source: NotRegular,
    },
    /// The engine says that it succeeded, but its file is no speech.
    #[error("sentence {number} ({text:?}) is no speech")]
    Corrupt {
        /// Which sentence, from 1.
        number: usize,
        /// Its beginning.
        text: String,
        /// Everything that is wrong with it.
        #[source]
        source: BadAudio,
    },
    /// Each sentence passed, but the whole is no speech.
    #[error("the joined sentences are no speech")]
    CorruptWhole(#[source] BadAudio),
    /// The sentences can't be joined.
    #[error("the sentences can't be joined")]
    Track(#[from] TrackError),
    /// The narration holds nothing that a voice can say.
    #[error("the narration holds nothing that can be said")]
    NothingToSay,
    /// A file can't be read.
    #[error("file {} can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SpeechError {
    /// The type that a retry policy and the story name.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Engine { source: EngineError::Tool(_), .. } => "ToolMissing",
            Self::Engine { source: EngineError::Limited(_), .. } => "RateLimited",
            Self::Engine { .. } => "SpeechFailed",
            Self::NoFile { .. } | Self::Corrupt { .. } | Self::CorruptWhole(_) => "CorruptSpeech",
            Self::Track(TrackError::Format(_) | TrackError::Read(_)) => "CorruptSpeech",
            Self::NothingToSay => "NothingToSay",
            Self::Track(_) | Self::Read { .. } => "NoScratch",
        }
    }
}

/// How often the engine will be asked for a narration: once for each sentence with anything to say.
#[must_use]
pub fn requests(order: Order<'_>) -> u32 {
    let language = order.voice.language();
    let sentences = speech::sentences(order.narration);
    let said = sentences.iter().filter(|sentence| !speech::spoken(sentence, language).is_empty());
    u32::try_from(said.count()).unwrap_or(u32::MAX)
}

/// Speaks a narration. `on_sentence` gets how many sentences are spoken, and of how many.
///
/// # Errors
/// [`SpeechError`]; nothing but a file that passed every check is a success.
pub async fn narrate(
    engine: &dyn SpeechEngine,
    bench: Bench<'_>,
    order: Order<'_>,
    mut on_sentence: impl FnMut(usize, usize) + Send,
) -> Result<Narrated, SpeechError> {
    let language = order.voice.language();
    let sentences = speech::sentences(order.narration);
    let mut track: Option<Track> = None;
    let mut said = Vec::new();
    for (index, sentence) in sentences.iter().enumerate() {
        on_sentence(index, sentences.len());
        let Some(samples) = say(engine, bench, order, index + 1, sentence, language).await? else {
            bench.log.line(&format!("sentence {} holds nothing that can be said: {sentence:?}", index + 1));
            continue;
        };
        let track = match &mut track {
            Some(track) => track,
            None => track.insert(Track::create(&order.folder.join("speech.wav"), samples.sample_rate)?),
        };
        let (start_ms, end_ms) = track.add(&samples, speech::SENTENCE_PAUSE_SECS)?;
        said.push(SpokenSentence { text: sentence.clone(), start_ms, end_ms });
    }
    let finished = track.ok_or(SpeechError::NothingToSay)?.finish()?;
    let bytes = read(&finished.file).await?;
    let size = bytes.len() as u64;
    check_whole(bytes, finished.duration_ms).await.map_err(SpeechError::CorruptWhole)?;
    Ok(Narrated {
        file: finished.file,
        bytes: size,
        sample_rate: finished.sample_rate,
        duration_ms: finished.duration_ms,
        sentences: said,
    })
}

/// One sentence as checked samples; none where there is nothing to say.
async fn say(
    engine: &dyn SpeechEngine,
    bench: Bench<'_>,
    order: Order<'_>,
    number: usize,
    sentence: &str,
    language: Language,
) -> Result<Option<crate::track::Samples>, SpeechError> {
    let spoken = speech::spoken(sentence, language);
    if spoken.is_empty() {
        return Ok(None);
    }
    let text = || sentence.chars().take(TEXT_CHARS_SHOWN).collect::<String>();
    let file = order.folder.join(format!("sentence-{number}.wav"));
    let asked = engine.speak(bench, &spoken, order.voice, &file).await;
    asked.map_err(|source| SpeechError::Engine { number, text: text(), source })?;
    let most = AUDIO_BYTES_MAX as u64;
    regular(&file, most).map_err(|source| SpeechError::NoFile { number, text: text(), source })?;
    let bytes = read(&file).await?;
    let checked = check(bytes.clone(), Expected::speech(sentence, language)).await;
    match checked {
        Ok(()) => Ok(Some(crate::track::Samples::read(&bytes)?)),
        // A voice has a name for many a symbol, but not for each: a sentence of nothing else may be silent.
        Err(_) if !spoken.chars().any(char::is_alphanumeric) => Ok(None),
        Err(source) => Err(SpeechError::Corrupt { number, text: text(), source }),
    }
}

/// How much of a sentence an error shows, in characters.
const TEXT_CHARS_SHOWN: usize = 32;

async fn read(path: &Path) -> Result<Vec<u8>, SpeechError> {
    tokio::fs::read(path).await.map_err(|source| SpeechError::Read { path: path.to_owned(), source })
}

/// The joined sentences, each of which has passed: they must decode to exactly what was written. Their share of silence
/// says nothing, since the pauses are ours: "No. Yes." is silent for more than half of its time.
async fn check_whole(bytes: Vec<u8>, duration_ms: u64) -> Result<(), BadAudio> {
    let secs = duration_ms as f64 / 1_000.0;
    let exactly = Expected { secs_min: secs - ROUNDING_SECS, secs_max: secs + ROUNDING_SECS };
    let Err(mut bad) = check(bytes, exactly).await else { return Ok(()) };
    bad.faults.retain(|fault| !matches!(fault, AudioFault::Silent(_)));
    if bad.faults.is_empty() && bad.report.is_some() { Ok(()) } else { Err(bad) }
}

/// How far a length told in milliseconds may lie from the samples, in seconds.
const ROUNDING_SECS: f64 = 0.002;

/// Decodes in a thread of its own: a minute of speech takes some milliseconds, or some hundred without optimisation.
async fn check(bytes: Vec<u8>, expected: Expected) -> Result<(), BadAudio> {
    let checked = tokio::task::spawn_blocking(move || check_audio(&bytes, expected).map(|_| ())).await;
    checked.unwrap_or(Err(BadAudio { faults: Vec::new(), report: None }))
}
