//! Joining sentences, sample by sample, with a pause after each.

use std::io::{BufWriter, Cursor};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

/// Why sentences can't be joined.
#[derive(Debug, Error)]
pub enum TrackError {
    /// A sentence is no WAV of 16-bit mono at the rate of the first.
    #[error("a sentence is {0}; 16-bit mono at the rate of the first one is needed")]
    Format(String),
    /// A sentence passed the check and can't be read all the same.
    #[error("a sentence can't be read")]
    Read(#[source] hound::Error),
    /// The joined file can't be written.
    #[error("the joined file can't be written")]
    Write(#[source] hound::Error),
}

/// The samples of one sentence.
pub(crate) struct Samples {
    pub(crate) sample_rate: u32,
    values: Vec<i16>,
}

impl Samples {
    /// Reads a WAV file of 16-bit mono.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, TrackError> {
        let reader = WavReader::new(Cursor::new(bytes)).map_err(TrackError::Read)?;
        let spec = reader.spec();
        if spec.channels != 1 || spec.bits_per_sample != 16 || spec.sample_format != SampleFormat::Int {
            let WavSpec { channels, bits_per_sample, sample_format, .. } = spec;
            return Err(TrackError::Format(format!("{bits_per_sample}-bit {sample_format:?} in {channels} channels")));
        }
        let values = reader.into_samples().collect::<Result<_, _>>().map_err(TrackError::Read)?;
        Ok(Self { sample_rate: spec.sample_rate, values })
    }
}

/// A WAV file that grows by sentences.
pub(crate) struct Track {
    file: PathBuf,
    sample_rate: u32,
    writer: WavWriter<BufWriter<std::fs::File>>,
}

/// A WAV file with all sentences.
pub(crate) struct Finished {
    pub(crate) file: PathBuf,
    pub(crate) sample_rate: u32,
    pub(crate) duration_ms: u64,
}

impl Track {
    pub(crate) fn create(file: &Path, sample_rate: u32) -> Result<Self, TrackError> {
        let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let writer = WavWriter::create(file, spec).map_err(TrackError::Write)?;
        Ok(Self { file: file.to_owned(), sample_rate, writer })
    }

    /// Adds a sentence and the pause after it; when the sentence begins and ends, in milliseconds.
    pub(crate) fn add(&mut self, samples: &Samples, pause_secs: f64) -> Result<(u64, u64), TrackError> {
        if samples.sample_rate != self.sample_rate {
            return Err(TrackError::Format(format!("at {} Hz, not {} Hz", samples.sample_rate, self.sample_rate)));
        }
        let begin = self.now_ms();
        self.write(samples.values.iter().copied())?;
        let end = self.now_ms();
        // The pause is a positive constant below a second.
        let pause = (pause_secs * f64::from(self.sample_rate)).round() as usize;
        self.write(std::iter::repeat_n(0, pause))?;
        Ok((begin, end))
    }

    pub(crate) fn finish(self) -> Result<Finished, TrackError> {
        let duration_ms = self.now_ms();
        self.writer.finalize().map_err(TrackError::Write)?;
        Ok(Finished { file: self.file, sample_rate: self.sample_rate, duration_ms })
    }

    fn write(&mut self, values: impl Iterator<Item = i16>) -> Result<(), TrackError> {
        for value in values {
            self.writer.write_sample(value).map_err(TrackError::Write)?;
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        let rate = u64::from(self.sample_rate.max(1));
        (u64::from(self.writer.duration()) * 1_000 + rate / 2) / rate
    }
}
