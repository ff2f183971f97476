//! Whether the joined video is what it must be.

use std::path::Path;

use qsketch_media::{Bench, Ffmpeg, Untrusted, regular};

use crate::loudness::{self, Channels, LOUDNESS_LUFS, LOUDNESS_TOLERANCE_LU, Loudness};
use crate::merge::{MergeError, Order, run};
use crate::plan::Place;
use crate::poster::{self, SAMPLE_HEIGHT, SAMPLE_WIDTH};
use crate::{faststart, tags};

/// The largest video, in bytes.
pub const VIDEO_BYTES_MAX: u64 = 4 * 1_024 * 1_024 * 1_024;

/// How far the length of the video and of its sound may lie from the sum of its scenes, in seconds: an AAC frame lasts 21 ms.
pub const LENGTH_TOLERANCE_SECS: f64 = 0.1;

/// What was measured of a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checked {
    /// How long it is, in seconds.
    pub secs: f64,
    /// Its size in bytes.
    pub bytes: u64,
    /// How loud it is.
    pub loudness: Loudness,
    /// The moment that makes its poster, in seconds.
    pub poster_secs: f64,
}

/// Checks a joined video: it decodes to its end without a complaint, holds one picture, one sound and the captions, is
/// as long as its scenes, evenly loud, and can be played while it loads.
///
/// # Errors
/// [`MergeError::Wrong`] with what is wrong.
pub async fn video(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    order: Order<'_>,
    file: &Path,
    places: &[Place],
) -> Result<Checked, MergeError> {
    let wrong = |problem: String| Err(MergeError::Wrong(problem));
    let unusable = |source| MergeError::File { path: file.to_owned(), source };
    let bytes = regular(file, VIDEO_BYTES_MAX).map_err(|error| MergeError::Wrong(error.to_string()))?;
    let probed =
        ffmpeg.probe(bench, file).await.map_err(|source| MergeError::Media("the video can't be read", source))?;
    let ([picture], [sound], [captions]) = (&probed.pictures[..], &probed.sounds[..], &probed.captions[..]) else {
        let (pictures, sounds, captions) = (probed.pictures.len(), probed.sounds.len(), probed.captions.len());
        return wrong(format!("it has {pictures} pictures, {sounds} sounds and {captions} captions"));
    };
    let frames: u64 = places.iter().map(|place| u64::from(place.frames)).sum();
    if u64::from(picture.frames) != frames {
        return wrong(format!("it has {} frames, its scenes have {frames}", picture.frames));
    }
    if (picture.codec.as_str(), sound.codec.as_str()) != ("h264", "aac") || captions != tags::iso_639_2(order.language)
    {
        return wrong(format!("it is in {} and {}, captions in {captions}", picture.codec, sound.codec));
    }
    let secs = places.iter().map(|place| place.secs(order.quality.frame_rate())).sum::<f64>();
    for (what, found) in [("it", probed.secs), ("its picture", picture.secs()), ("its sound", sound.secs)] {
        if (found - secs).abs() > LENGTH_TOLERANCE_SECS {
            return wrong(format!("{what} lasts {found:.2} s, its scenes {secs:.2} s"));
        }
    }
    if !faststart::is_faststart(file).map_err(unusable)? {
        return wrong("it can't be played while it loads".to_owned());
    }
    let measured = loudness::measure(ffmpeg, bench, file, Channels::Stereo).await;
    let loudness = measured.map_err(|source| MergeError::Media("the video's loudness can't be measured", source))?;
    if !loudness.is_even() {
        let lufs = loudness.lufs;
        return wrong(format!("it is {lufs:.1} LUFS loud, not {LOUDNESS_LUFS} (± {LOUDNESS_TOLERANCE_LU})"));
    }
    let poster_secs = decode(ffmpeg, bench, order, file, secs).await?;
    Ok(Checked { secs, bytes, loudness, poster_secs })
}

/// Decodes all of the video, and finds the moment for the poster on the way.
async fn decode(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    order: Order<'_>,
    file: &Path,
    secs: f64,
) -> Result<f64, MergeError> {
    let samples = order.folder.join("samples.gray");
    let rate = poster::samples_a_second(secs);
    let filter = format!("fps={rate:.6},scale={SAMPLE_WIDTH}:{SAMPLE_HEIGHT},format=gray");
    let tool = ffmpeg.tool().arg("-xerror").args(Untrusted(file).arguments());
    let tool = tool.args(["-map", "0:v:0", "-vf", &filter, "-f", "rawvideo"]).arg(&samples);
    let tool = tool.args(["-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"]);
    let ended = bench.run(tool).await.map_err(|error| MergeError::Media("decoding the video", error.into()))?;
    if !ended.is_success() || !ended.last_words.is_empty() {
        return Err(MergeError::Wrong(format!("it does not decode cleanly: {ended} {}", ended.last_words)));
    }
    let unusable = |source| MergeError::File { path: samples.clone(), source };
    let taken = tokio::fs::read(&samples).await.map_err(unusable)?;
    Ok(poster::moment(&taken, rate, secs))
}

/// Takes the poster out of the video.
///
/// # Errors
/// [`MergeError`].
pub async fn poster(
    ffmpeg: &Ffmpeg,
    bench: Bench<'_>,
    video: &Path,
    secs: f64,
    poster: &Path,
) -> Result<(), MergeError> {
    let tool = ffmpeg.tool().args(["-ss", &format!("{secs:.3}")]).args(Untrusted(video).arguments());
    let tool =
        tool.args(["-map", "0:v:0", "-frames:v", "1", "-f", "image2", "-c:v", "png", "-update", "1"]).arg(poster);
    run(bench, tool, |source| MergeError::Media("the poster can't be taken", source)).await?;
    regular(poster, VIDEO_BYTES_MAX).map(|_| ()).map_err(|error| MergeError::Wrong(format!("its poster: {error}")))
}
