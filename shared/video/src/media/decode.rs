//! The decoder at work, and what a WAV header says of its bytes.
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use super::stats::Stats;
use super::{AUDIO_SECS_MAX, AudioFault, AudioReport};

/// The most channels that a sound may have.
const CHANNELS_MAX: usize = 8;

/// The most packets that are decoded: an mp3 packet lasts 26 ms, so this is far beyond [`AUDIO_SECS_MAX`].
const PACKETS_MAX: usize = 4_000_000;

/// What came of decoding.
pub(super) struct Decoded {
    pub(super) report: Option<AudioReport>,
    pub(super) faults: Vec<AudioFault>,
}

/// Decodes the first sound track whole.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    // The formats are parsed by someone else's code from someone else's bytes: a panic there is one more way to be damaged.
    let run = AssertUnwindSafe(|| try_decode(bytes));
    catch_unwind(run).unwrap_or_else(|_| failed(AudioFault::Damaged("the decoder failed".to_owned())))
}

fn failed(fault: AudioFault) -> Decoded {
    Decoded { report: None, faults: vec![fault] }
}

fn try_decode(bytes: &[u8]) -> Decoded {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes.to_vec())), MediaSourceStreamOptions::default());
    let probed = symphonia::default::get_probe().probe(
        &Hint::new(),
        source,
        FormatOptions::default(),
        MetadataOptions::default(),
    );
    let mut format = match probed {
        Ok(format) => format,
        Err(error) => return failed(AudioFault::Unknown(error.to_string())),
    };
    let Some(track) = format.default_track(TrackType::Audio) else {
        return failed(AudioFault::Unknown("it has no sound track".to_owned()));
    };
    let (id, frames) = (track.id, track.num_frames);
    let Some(parameters) = track.codec_params.as_ref().and_then(|parameters| parameters.audio()) else {
        return failed(AudioFault::Unknown("its codec is not named".to_owned()));
    };
    let declared_rate = parameters.sample_rate;
    let options = AudioDecoderOptions::default().verify(true);
    let mut decoder = match symphonia::default::get_codecs().make_audio_decoder(parameters, &options) {
        Ok(decoder) => decoder,
        Err(error) => return failed(AudioFault::Unknown(error.to_string())),
    };
    let mut faults = Vec::new();
    let stats = samples(format.as_mut(), decoder.as_mut(), id, &mut faults);
    if decoder.finalize().verify_ok == Some(false) {
        faults.push(AudioFault::Damaged("its checksum is wrong".to_owned()));
    }
    let declared =
        frames.zip(declared_rate).filter(|(_, rate)| *rate > 0).map(|(frames, rate)| frames as f64 / f64::from(rate));
    let report = stats.and_then(|stats| stats.report(declared));
    if report.is_none() && faults.is_empty() {
        faults.push(AudioFault::Empty);
    }
    Decoded { report, faults }
}

/// Runs the decoder to the end of the track, or to the first thing that it can't read.
fn samples(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: u32,
    faults: &mut Vec<AudioFault>,
) -> Option<Stats> {
    let mut stats: Option<Stats> = None;
    let mut buffer: Vec<f32> = Vec::new();
    for _ in 0..PACKETS_MAX {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return stats,
            Err(error) => {
                faults.push(damaged(&error));
                return stats;
            }
        };
        if packet.track_id != track {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(error) => {
                faults.push(damaged(&error));
                return stats;
            }
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if rate == 0 || !(1..=CHANNELS_MAX).contains(&channels) {
            faults.push(AudioFault::Damaged(format!("{rate} samples a second in {channels} channels")));
            return stats;
        }
        decoded.copy_to_vec_interleaved(&mut buffer);
        let stats = stats.get_or_insert_with(|| Stats::new(rate, channels));
        stats.take(&buffer);
        if stats.secs() > AUDIO_SECS_MAX {
            break;
        }
    }
    faults.push(AudioFault::TooLarge);
    stats
}

fn damaged(error: &Error) -> AudioFault {
    AudioFault::Damaged(error.to_string())
}

/// What a WAV file's header promises, against the bytes that follow it. A decoder just stops where they end.
pub(super) fn wav_bytes(bytes: &[u8]) -> Option<AudioFault> {
    if bytes.get(0..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return None;
    }
    let mut at = 12;
    // Each round goes on by at least a chunk's head, so the file's length bounds the loop.
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let present = (bytes.len() - at - 8) as u64;
        if &head[0..4] == b"data" {
            let declared = u64::from(size);
            return (declared > present || declared == 0).then_some(AudioFault::Bytes { declared, present });
        }
        at = at.saturating_add(8).saturating_add(size as usize).saturating_add(size as usize % 2);
        if at >= bytes.len() {
            break;
        }
    }
    Some(AudioFault::Bytes { declared: 0, present: 0 })
}
