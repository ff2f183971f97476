//! Which moment of a video makes its poster.
//!
//! The video is looked at in small grey pictures; the one with the most contrast wins: a black frame has none, a scene
//! that has just begun has little, a finished drawing has much.

/// The width of a small picture, in pixels.
pub const SAMPLE_WIDTH: usize = 160;
/// The height of a small picture, in pixels.
pub const SAMPLE_HEIGHT: usize = 90;

/// The bytes of a small picture.
const SAMPLE_BYTES: usize = SAMPLE_WIDTH * SAMPLE_HEIGHT;

/// The most small pictures of one video.
pub const SAMPLES_MAX: f64 = 240.0;

/// How many small pictures are taken a second of a video of this length.
#[must_use]
pub fn samples_a_second(secs: f64) -> f64 {
    (SAMPLES_MAX / secs.max(1.0)).min(2.0)
}

/// The moment of the best small picture, in seconds; the middle of the video when there is none.
#[must_use]
pub fn moment(samples: &[u8], samples_a_second: f64, secs: f64) -> f64 {
    let scored = samples.chunks_exact(SAMPLE_BYTES).map(contrast).enumerate();
    let best = scored.max_by(|(_, a), (_, b)| a.total_cmp(b));
    // A sample stands for the span around it, so its middle is the surest.
    best.map_or(secs / 2.0, |(index, _)| ((index as f64 + 0.5) / samples_a_second).min(secs * 0.999))
}

/// The standard deviation of the luminance.
fn contrast(sample: &[u8]) -> f64 {
    let count = sample.len() as f64;
    let mean = sample.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = sample.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    variance.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_richest_picture_wins_over_black_white_and_nearly_empty_ones() {
        let dots = |every: usize| (0..SAMPLE_BYTES).map(move |n| if n % every == 0 { 240 } else { 16 });
        let plain = |value| std::iter::repeat_n(value, SAMPLE_BYTES);
        let samples: Vec<u8> = plain(0).chain(dots(50)).chain(dots(5)).chain(plain(255)).collect();
        assert!((moment(&samples, 1.0, 4.0) - 2.5).abs() < 1e-9);
        assert!((moment(&[], 1.0, 4.0) - 2.0).abs() < 1e-9);
        assert!(moment(&samples, 0.5, 4.0) < 4.0);
    }

    #[test]
    fn samples_are_bounded_however_long_the_video() {
        for secs in [0.0, 1.0, 100.0, 10_000.0] {
            assert!(samples_a_second(secs) * secs <= SAMPLES_MAX + 1e-6);
        }
    }
}
