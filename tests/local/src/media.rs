//! What a finished video is measured by.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The rate at which the sound is measured, in samples a second.
const RATE: usize = 16_000;

/// The length of a window of sound, in milliseconds.
pub const WINDOW_MS: u64 = 50;

/// What ffprobe says of a file, as JSON.
///
/// # Errors
/// When it can't be read.
pub fn probe(file: &Path) -> Result<serde_json::Value> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams"])
        .arg(file)
        .output()
        .context("ffprobe is missing")?;
    ensure!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The loudness of each window of sound, in dB of full scale; silence is -120.
///
/// # Errors
/// When the sound can't be decoded.
pub fn windows(file: &Path) -> Result<Vec<f64>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"])
        .output()
        .context("ffmpeg is missing")?;
    ensure!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    let samples: Vec<f64> = output
        .stdout
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let window = RATE * usize::try_from(WINDOW_MS)? / 1_000;
    let rms = |part: &[f64]| (part.iter().map(|sample| sample * sample).sum::<f64>() / part.len() as f64).sqrt();
    Ok(samples.chunks(window).map(|part| (20.0 * rms(part).max(1e-6).log10()).max(-120.0)).collect())
}

/// The longest run of windows under `quiet` dB, in milliseconds.
#[must_use]
pub fn longest_silence_ms(windows: &[f64], quiet: f64) -> u64 {
    let mut longest = 0;
    let mut run = 0;
    for window in windows {
        run = if *window < quiet { run + WINDOW_MS } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// The integrated loudness in LUFS, by EBU R128.
///
/// # Errors
/// When ffmpeg does not say it.
pub fn loudness(file: &Path) -> Result<f64> {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(file)
        .args(["-vn", "-af", "ebur128", "-f", "null", "-"])
        .output()
        .context("ffmpeg is missing")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = said.rsplit_once("Integrated loudness:").context("no summary")?.1;
    let line = summary.lines().find(|line| line.trim_start().starts_with("I:")).context("no integrated loudness")?;
    let number = line.split_whitespace().nth(1).context("no number")?;
    Ok(number.parse()?)
}

/// A caption: from when to when, in milliseconds, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it appears.
    pub start_ms: u64,
    /// When it goes.
    pub end_ms: u64,
    /// What it says.
    pub text: String,
}

/// Reads a WebVTT file.
///
/// # Errors
/// When it is none.
pub fn cues(text: &str) -> Result<Vec<Cue>> {
    ensure!(text.starts_with("WEBVTT"), "no WebVTT header");
    let mut cues = Vec::new();
    for block in text.split("\n\n") {
        let Some((timing, said)) = block.lines().position(|line| line.contains(" --> ")).map(|at| {
            let lines: Vec<&str> = block.lines().collect();
            (lines[at].to_owned(), lines[at + 1..].join(" "))
        }) else {
            continue;
        };
        let (start, rest) = timing.split_once(" --> ").context("no arrow")?;
        let end = rest.split_whitespace().next().context("no end")?;
        cues.push(Cue { start_ms: millis(start)?, end_ms: millis(end)?, text: said });
    }
    Ok(cues)
}

fn millis(stamp: &str) -> Result<u64> {
    let (clock, fraction) = stamp.trim().split_once('.').context("no fraction")?;
    let seconds = clock.split(':').try_fold(0, |sum, part| part.parse::<u64>().map(|part| sum * 60 + part))?;
    Ok(seconds * 1_000 + fraction.parse::<u64>()?)
}
