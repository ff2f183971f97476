//! Decodes speech in this process and says what is wrong with it, before anything is built on it.
//!
//! ```text
//! bytes --header--> declared length     --+
//!       --decode--> finite? clipped? loud? +--> faults: none -> AudioReport, else -> BadAudio with every fault
//!       --windows-> silent? noisy?        --+
//! ```
//!
//! No tool's exit code is trusted: ffprobe's misses nearly everything, and merging truncated or silent sound succeeds.
//! No input makes it panic or run for long: bytes and decoded seconds are bounded (`no_bytes_make_the_check_panic`).
mod decode;
mod stats;

use std::fmt;

use crate::speech;
use crate::voice::Language;

pub use stats::AudioReport;

/// The most bytes that are looked at: ten minutes of 48 kHz stereo in 16 bits are 115 MB; speech of a scene is below 10.
pub const AUDIO_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The longest sound, in seconds; a scene has at most [`NARRATION_CHARS_MAX`](crate::script::NARRATION_CHARS_MAX) characters to say.
pub const AUDIO_SECS_MAX: f64 = 1_500.0;

/// How far the decoded length may lie from the declared one, in seconds.
///
/// # Source
/// Measured with symphonia 0.6 on truncated and intact files, 2026-11-22; encoders pad by less than two frames (52 ms of mp3).
pub const LENGTH_TOLERANCE_SECS: f64 = 0.1;

/// The share of samples at full scale from which sound is distorted. Intact speech has next to none.
pub const CLIPPED_SHARE_MAX: f64 = 0.01;

/// The loudness below which sound is as good as silent, in dB of full scale. espeak-ng speaks at about -22.
pub const RMS_DB_MIN: f64 = -45.0;

/// The share of silent windows from which words are missing. espeak-ng's has 4 to 17 %, and more with pauses between short sentences.
pub const SILENT_SHARE_MAX: f64 = 0.5;

/// The shortest sound whose silent share is judged, in seconds: "Hello." alone is 36 % silence, and a pause after it half.
pub const SILENT_CHECK_SECS_MIN: f64 = 2.0;

/// The share of loud, noisy windows from which bytes are garbage. Speech has noisy windows ("s"), but they are not loud.
pub const NOISY_SHARE_MAX: f64 = 0.05;

/// What one window of the analysis lasts, in seconds.
pub const WINDOW_SECS: f64 = 0.05;

/// What the sound should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The shortest plausible length, in seconds.
    pub secs_min: f64,
    /// The longest plausible length, in seconds.
    pub secs_max: f64,
}

impl Expected {
    /// Any length but none.
    pub const ANY: Expected = Expected { secs_min: 0.0, secs_max: AUDIO_SECS_MAX };

    /// The speech of these words, as [`speech::secs_range`] has it, and room for the pause after each sentence.
    pub fn speech(text: &str, language: Language) -> Expected {
        let (secs_min, secs_max) = speech::secs_range(text, language);
        let pauses = speech::sentences(text).len() as f64 * speech::SENTENCE_PAUSE_SECS;
        Expected { secs_min, secs_max: secs_max + pauses }
    }
}

/// One thing that is wrong with a sound.
#[derive(Debug, Clone, PartialEq)]
pub enum AudioFault {
    /// More bytes than [`AUDIO_BYTES_MAX`], or longer than [`AUDIO_SECS_MAX`].
    TooLarge,
    /// No decoder knows it: garbage, or another kind of file.
    Unknown(String),
    /// The decoder gave up, or skipped something: truncated or damaged.
    Damaged(String),
    /// It decodes to nothing.
    Empty,
    /// The header promises another length than what was there, in seconds.
    Length {
        /// What the header says.
        declared: f64,
        /// What was decoded.
        decoded: f64,
    },
    /// The file has fewer or more bytes than its header says.
    Bytes {
        /// What the header says.
        declared: u64,
        /// What is there.
        present: u64,
    },
    /// Samples that are no numbers.
    NotFinite,
    /// The share of samples at full scale is above [`CLIPPED_SHARE_MAX`].
    Clipped(f64),
    /// The loudness, in dB of full scale, is below [`RMS_DB_MIN`].
    Quiet(f64),
    /// The share of silent windows is above [`SILENT_SHARE_MAX`].
    Silent(f64),
    /// The share of loud, noisy windows is above [`NOISY_SHARE_MAX`].
    Noisy(f64),
    /// Too short for its words, in seconds.
    TooShort {
        /// The shortest plausible length.
        least: f64,
        /// What was decoded.
        decoded: f64,
    },
    /// Too long for its words, in seconds.
    TooLong {
        /// The longest plausible length.
        most: f64,
        /// What was decoded.
        decoded: f64,
    },
}

impl fmt::Display for AudioFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AudioFault::TooLarge => write!(f, "it is larger than {AUDIO_BYTES_MAX} bytes or {AUDIO_SECS_MAX} s"),
            AudioFault::Unknown(why) => write!(f, "no decoder knows it ({why})"),
            AudioFault::Damaged(why) => write!(f, "it does not decode to its end ({why})"),
            AudioFault::Empty => f.write_str("it holds no samples"),
            AudioFault::Length { declared, decoded } => {
                write!(f, "its header says {declared:.2} s, but it decodes to {decoded:.2} s")
            }
            AudioFault::Bytes { declared, present } => {
                write!(f, "its header says {declared} bytes of sound, but {present} are there")
            }
            AudioFault::NotFinite => f.write_str("it holds samples that are no numbers"),
            AudioFault::Clipped(share) => write!(f, "{:.1} % of its samples are at full scale", share * 100.0),
            AudioFault::Quiet(db) => write!(f, "it is as good as silent ({db:.1} dB)"),
            AudioFault::Silent(share) => write!(f, "{:.0} % of it is silent", share * 100.0),
            AudioFault::Noisy(share) => write!(f, "{:.0} % of it is loud noise", share * 100.0),
            AudioFault::TooShort { least, decoded } => {
                write!(f, "it lasts {decoded:.2} s, but its words need at least {least:.2} s")
            }
            AudioFault::TooLong { most, decoded } => {
                write!(f, "it lasts {decoded:.2} s, but its words need at most {most:.2} s")
            }
        }
    }
}

/// Sound that must not be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the sound is corrupt: {}", .faults.iter().map(AudioFault::to_string).collect::<Vec<_>>().join("; "))]
pub struct BadAudio {
    /// Everything that is wrong with it; at least one.
    pub faults: Vec<AudioFault>,
    /// What was measured, as far as it could be decoded.
    pub report: Option<AudioReport>,
}

/// Decodes wav, mp3, flac or ogg/vorbis whole and checks it.
///
/// # Errors
/// [`BadAudio`] with every fault that was found.
///
/// # Source
/// The checks are those that caught every kind of corruption that was tried (truncated, silence, clipped noise, garbage, NaN), 2026-11-22.
pub fn check_audio(bytes: &[u8], expected: Expected) -> Result<AudioReport, BadAudio> {
    if bytes.len() > AUDIO_BYTES_MAX {
        return Err(BadAudio { faults: vec![AudioFault::TooLarge], report: None });
    }
    let mut faults = Vec::new();
    faults.extend(decode::wav_bytes(bytes));
    let decoded = decode::decode(bytes);
    faults.extend(decoded.faults);
    let Some(report) = decoded.report else {
        return Err(BadAudio { faults, report: None });
    };
    report.judge(expected, &mut faults);
    if faults.is_empty() { Ok(report) } else { Err(BadAudio { faults, report: Some(report) }) }
}

#[cfg(test)]
mod tests;
