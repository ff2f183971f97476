//! What ffprobe says of a file.

use serde::Deserialize;

/// What a media file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// The pictures: video streams.
    pub pictures: Vec<Picture>,
    /// The sounds: audio streams.
    pub sounds: Vec<Sound>,
    /// The languages of its subtitle streams, as their tags say.
    pub captions: Vec<String>,
    /// How long the file says that it is, in seconds.
    pub secs: f64,
}

/// A video stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The codec: `h264`.
    pub codec: String,
    /// The width, in pixels.
    pub width: u32,
    /// The height, in pixels.
    pub height: u32,
    /// The pixel format: `yuv420p`.
    pub pixel_format: String,
    /// Frames in seconds: 30 frames in 1 second. It is the rate that the time stamps keep (`r_frame_rate`); the average over the
    /// duration is uneven where Manim has joined pieces.
    pub rate: (u32, u32),
    /// How many frames there are.
    pub frames: u32,
    /// The unit of its time stamps, in parts of a second.
    pub time_base: (u32, u32),
    /// The hash of the decoder's settings: streams that share it can be joined without encoding them again.
    pub settings_hash: String,
}

/// An audio stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// The codec: `aac`.
    pub codec: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// How many channels.
    pub channels: u32,
    /// How long it is, in seconds.
    pub secs: f64,
}

impl Picture {
    /// How long it is, in seconds: its frames at its rate.
    #[must_use]
    pub fn secs(&self) -> f64 {
        let (frames, seconds) = self.rate;
        if frames == 0 { 0.0 } else { f64::from(self.frames) * f64::from(seconds) / f64::from(frames) }
    }

    /// Whether it can be joined to `other` without encoding either again.
    #[must_use]
    pub fn joins(&self, other: &Self) -> bool {
        let shape = |picture: &Self| (picture.width, picture.height, picture.rate, picture.time_base);
        self.codec == other.codec && self.settings_hash == other.settings_hash && shape(self) == shape(other)
    }
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Format,
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stream {
    codec_type: String,
    codec_name: String,
    width: u32,
    height: u32,
    pix_fmt: String,
    r_frame_rate: String,
    time_base: String,
    nb_frames: String,
    extradata_hash: String,
    sample_rate: String,
    channels: u32,
    duration: String,
    tags: Tags,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    language: String,
}

/// Reads what `ffprobe -show_streams -show_format -show_data_hash SHA256 -of json` wrote.
pub(crate) fn read(json: &str) -> Result<Probed, serde_json::Error> {
    let told: Told = serde_json::from_str(json)?;
    let secs = told.format.duration.as_deref().map_or(0.0, number);
    let mut probed = Probed { pictures: Vec::new(), sounds: Vec::new(), captions: Vec::new(), secs };
    for stream in told.streams {
        match stream.codec_type.as_str() {
            "video" => probed.pictures.push(Picture {
                codec: stream.codec_name,
                width: stream.width,
                height: stream.height,
                pixel_format: stream.pix_fmt,
                rate: ratio(&stream.r_frame_rate),
                frames: stream.nb_frames.parse().unwrap_or(0),
                time_base: ratio(&stream.time_base),
                settings_hash: stream.extradata_hash,
            }),
            "audio" => probed.sounds.push(Sound {
                codec: stream.codec_name,
                sample_rate: stream.sample_rate.parse().unwrap_or(0),
                channels: stream.channels,
                secs: number(&stream.duration),
            }),
            "subtitle" => probed.captions.push(stream.tags.language),
            _ => {}
        }
    }
    Ok(probed)
}

/// A number of seconds; what is none or not finite is 0, which no check takes for a length.
fn number(text: &str) -> f64 {
    text.parse().ok().filter(|number: &f64| number.is_finite()).unwrap_or(0.0)
}

fn ratio(text: &str) -> (u32, u32) {
    let parts = text.split_once('/').and_then(|(upper, lower)| Some((upper.parse().ok()?, lower.parse().ok()?)));
    parts.unwrap_or((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_read_and_what_is_missing_or_absurd_becomes_nothing() -> Result<(), serde_json::Error> {
        let probed = read(
            r#"{"streams": [
                {"codec_type": "video", "codec_name": "h264", "width": 854, "height": 480, "pix_fmt": "yuv420p",
                 "r_frame_rate": "15/1", "avg_frame_rate": "860160/57343", "time_base": "1/15360", "nb_frames": "45", "extradata_hash": "SHA256:1"},
                {"codec_type": "audio", "codec_name": "aac", "sample_rate": "48000", "channels": 2, "duration": "3.02"},
                {"codec_type": "video", "r_frame_rate": "0/0", "nb_frames": "-1"},
                {"codec_type": "subtitle", "tags": {"language": "eng"}},
                {"codec_type": "data"}
            ], "format": {"duration": "nan"}}"#,
        )?;
        assert_eq!((probed.pictures.len(), probed.sounds.len(), probed.secs), (2, 1, 0.0));
        assert_eq!(probed.pictures.iter().map(Picture::secs).collect::<Vec<_>>(), [3.0, 0.0]);
        assert_eq!(probed.captions, ["eng"]);
        assert!(read("{}").is_err());
        Ok(())
    }
}
