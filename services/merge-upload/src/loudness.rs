//! How loud a sound is, and how to even it.

use std::path::Path;

use qsketch_media::{Bench, Ffmpeg, MediaError};
use qsketch_runtime::process::{Keep, Line};
use serde::Deserialize;

/// How loud a video is made, in LUFS: about what podcast directories ask for, with room for peaks.
pub const LOUDNESS_LUFS: f64 = -16.0;

/// How far from [`LOUDNESS_LUFS`] a video may be, in LU.
pub const LOUDNESS_TOLERANCE_LU: f64 = 1.5;

/// The highest peak between samples, in dB of full scale; lossy codecs overshoot by about a decibel.
pub const PEAK_DB_MAX: f64 = -1.5;

/// The range of loudness that evening aims at, in LU.
const RANGE_LU: f64 = 11.0;

/// The longest block of measurements that is read, in bytes; it has about 400.
const MEASURED_BYTES_MAX: usize = 4_096;

/// Both channels alike: two quiet copies of one voice, measured as the listener hears them.
const BOTH_CHANNELS: &str = "pan=stereo|c0=c0|c1=c0";

/// How loud a sound is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loudness {
    /// The loudness of all of it, in LUFS.
    pub lufs: f64,
    /// The highest peak between samples, in dB of full scale.
    pub peak_db: f64,
    /// The range of its loudness, in LU.
    pub range_lu: f64,
    /// Below this it counts as a pause, in LUFS.
    threshold_lufs: f64,
    /// What a second pass must add, in LU.
    offset_lu: f64,
}

impl Loudness {
    /// Whether a video may be as loud as this.
    #[must_use]
    pub fn is_even(&self) -> bool {
        (self.lufs - LOUDNESS_LUFS).abs() <= LOUDNESS_TOLERANCE_LU
    }

    /// The filter that evens a mono sound which measured like this.
    #[must_use]
    pub fn filter(&self) -> String {
        let Self { lufs, peak_db, range_lu, threshold_lufs, offset_lu } = self;
        format!(
            "{BOTH_CHANNELS},{}:measured_I={lufs}:measured_TP={peak_db}:measured_LRA={range_lu}:\
             measured_thresh={threshold_lufs}:offset={offset_lu}:linear=true,aresample=48000,aformat=channel_layouts=stereo",
            target()
        )
    }
}

/// Which channels a sound has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One: it is measured as if it came from two speakers.
    Mono,
    /// Two.
    Stereo,
}

/// Measures the sound of a file.
///
/// # Errors
/// [`MediaError`], also for a sound that has no loudness because it is silent.
pub async fn measure(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    file: &Path,
    channels: Channels,
) -> Result<Loudness, MediaError> {
    let filter = match channels {
        Channels::Mono => format!("{BOTH_CHANNELS},{}:print_format=json", target()),
        Channels::Stereo => format!("{}:print_format=json", target()),
    };
    let tool = ffmpeg.tool().args(["-v", "level+info", "-protocol_whitelist", "file", "-i"]).arg(file);
    let tool = tool.args(["-map", "0:a:0", "-af", &filter, "-f", "null", "-"]);
    let mut block = String::new();
    let run = tool.run(bench.announcer, bench.log, |line| {
        let (Line::Out(text) | Line::Error(text)) = line;
        let is_measurement = (text == "{" || !block.is_empty()) && !block.ends_with('}');
        if is_measurement && block.len() + text.len() <= MEASURED_BYTES_MAX {
            block.push_str(text.trim());
        }
        // What else it tells at this level is a description of the file.
        if is_measurement || !text.contains("[info]") { Keep::Yes } else { Keep::No }
    });
    let ended = run.await?;
    if !ended.is_success() {
        return Err(MediaError::Failed { what: "measuring the loudness", ended });
    }
    read(&block).ok_or_else(|| MediaError::Unclean(format!("its loudness can't be told: {block}")))
}

fn target() -> String {
    format!("loudnorm=I={LOUDNESS_LUFS}:TP={PEAK_DB_MAX}:LRA={RANGE_LU}")
}

#[derive(Deserialize)]
struct Told {
    input_i: String,
    input_tp: String,
    input_lra: String,
    input_thresh: String,
    target_offset: String,
}

fn read(json: &str) -> Option<Loudness> {
    let told: Told = serde_json::from_str(json).ok()?;
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    Some(Loudness {
        lufs: number(&told.input_i)?,
        peak_db: number(&told.input_tp)?,
        range_lu: number(&told.input_lra)?,
        threshold_lufs: number(&told.input_thresh)?,
        offset_lu: number(&told.target_offset)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = r#"{"input_i" : "-17.86","input_tp" : "-2.48","input_lra" : "1.20","input_thresh" : "-28.06",
        "output_i" : "-16.38","normalization_type" : "dynamic","target_offset" : "0.38"}"#;

    #[test]
    fn measurements_are_read_and_silence_has_none() {
        let loudness = read(TOLD).expect("a measurement");
        assert!(!loudness.is_even());
        assert_eq!(
            loudness.filter(),
            "pan=stereo|c0=c0|c1=c0,loudnorm=I=-16:TP=-1.5:LRA=11:measured_I=-17.86:measured_TP=-2.48:\
             measured_LRA=1.2:measured_thresh=-28.06:offset=0.38:linear=true,aresample=48000,aformat=channel_layouts=stereo"
        );
        assert_eq!(read(&TOLD.replace("-17.86", "-inf")), None);
        assert_eq!(read(""), None);
    }
}
