//! The whole sound track as one WAV file: each scene's speech at the place of its picture, to the sample.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

use crate::plan::Place;

/// Why the sound track can't be made.
#[derive(Debug, Error)]
pub enum SoundError {
    /// A scene's speech can't be read.
    #[error("speech {} can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: hound::Error,
    },
    /// A scene's speech is no WAV of 16-bit mono at the rate of the first.
    #[error("speech {} is not in 16-bit mono at the rate of the first scene's", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The track can't be written.
    #[error("the sound track can't be written")]
    Write(#[source] hound::Error),
}

/// How long a scene's speech is, in seconds.
///
/// # Errors
/// [`SoundError::Read`].
pub fn secs(speech: &Path) -> Result<f64, SoundError> {
    let reader = WavReader::open(speech).map_err(|source| SoundError::Read { path: speech.to_owned(), source })?;
    Ok(f64::from(reader.duration()) / f64::from(reader.spec().sample_rate.max(1)))
}

/// Writes the track. Speech that is longer than its scene loses only what [`crate::plan`] has found to be a pause.
///
/// It reads and writes files without waiting for others: about 0.1 s a minute of speech.
///
/// # Errors
/// [`SoundError`].
pub fn write_track(speeches: &[PathBuf], places: &[Place], frame_rate: u32, track: &Path) -> Result<(), SoundError> {
    let mut written: Option<Track> = None;
    for (speech, place) in speeches.iter().zip(places) {
        let failed = |source| SoundError::Read { path: speech.clone(), source };
        let mut reader = WavReader::open(speech).map_err(failed)?;
        let spec = reader.spec();
        let track = match &mut written {
            Some(track) => track,
            None => written.insert(Track::create(track, spec.sample_rate)?),
        };
        if spec != track.spec {
            return Err(SoundError::Format { path: speech.clone() });
        }
        // Counted from the video's start, so that roundings never add up.
        let end = place.end_frame() * u64::from(spec.sample_rate) / u64::from(frame_rate);
        for sample in reader.samples::<i16>() {
            let sample = sample.map_err(failed)?;
            if track.samples < end {
                track.write(sample)?;
            }
        }
        while track.samples < end {
            track.write(0)?;
        }
    }
    match written {
        Some(track) => track.writer.finalize().map_err(SoundError::Write),
        None => Ok(()),
    }
}

struct Track {
    writer: WavWriter<BufWriter<std::fs::File>>,
    spec: WavSpec,
    samples: u64,
}

impl Track {
    fn create(file: &Path, sample_rate: u32) -> Result<Self, SoundError> {
        let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        Ok(Self { writer: WavWriter::create(file, spec).map_err(SoundError::Write)?, spec, samples: 0 })
    }

    fn write(&mut self, sample: i16) -> Result<(), SoundError> {
        self.samples += 1;
        self.writer.write_sample(sample).map_err(SoundError::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(folder: &Path, name: &str, rate: u32, samples: usize) -> PathBuf {
        let (file, spec) = (
            folder.join(name),
            WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int },
        );
        let mut writer = WavWriter::create(&file, spec).expect("a file");
        (0..samples).for_each(|_| writer.write_sample(7_i16).expect("a sample"));
        writer.finalize().expect("a header");
        file
    }

    #[test]
    fn each_speech_begins_with_its_scene_and_silence_fills_the_rest() -> Result<(), SoundError> {
        let folder = tempfile::tempdir().expect("a folder");
        let speeches = [speech(folder.path(), "a.wav", 1_000, 500), speech(folder.path(), "b.wav", 1_000, 2_500)];
        let places = [Place { first_frame: 0, frames: 15, held: 0 }, Place { first_frame: 15, frames: 30, held: 0 }];
        let track = folder.path().join("track.wav");
        write_track(&speeches, &places, 15, &track)?;
        let read = WavReader::open(&track).expect("a track").into_samples::<i16>().collect::<Result<Vec<_>, _>>();
        let read = read.expect("samples");
        assert_eq!(read.len(), 3_000);
        assert!(read[..500].iter().all(|s| *s == 7) && read[500..1_000].iter().all(|s| *s == 0));
        assert!(read[1_000..].iter().all(|s| *s == 7));
        assert!((secs(&speeches[1])? - 2.5).abs() < 1e-9);
        let other = [speeches[0].clone(), speech(folder.path(), "c.wav", 8_000, 10)];
        assert!(matches!(write_track(&other, &places, 15, &track), Err(SoundError::Format { .. })));
        Ok(())
    }
}
