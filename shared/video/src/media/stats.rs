//! What is measured while the samples pass by; nothing of them is kept.
use super::{
    AudioFault, CLIPPED_SHARE_MAX, Expected, LENGTH_TOLERANCE_SECS, NOISY_SHARE_MAX, RMS_DB_MIN, SILENT_CHECK_SECS_MIN,
    SILENT_SHARE_MAX, WINDOW_SECS,
};

/// From here on a sample is at full scale.
const FULL_SCALE: f32 = 0.999;

/// A window below this rms (-50 dB of full scale) is silent.
const SILENT_RMS: f64 = 0.00316;

/// A window above this rms (-14 dB of full scale) is loud.
const LOUD_RMS: f64 = 0.2;

/// A window whose sign changes at this share of its samples is noisy: white noise changes at a half, a vowel at a twentieth.
const NOISY_CROSSINGS: f64 = 0.3;

/// What a sound is like.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioReport {
    /// Samples a second, per channel.
    pub sample_rate: u32,
    /// How many channels.
    pub channels: usize,
    /// The length that the header declares, in seconds, if it does.
    pub declared_secs: Option<f64>,
    /// The length that was decoded, in seconds.
    pub secs: f64,
    /// The loudness over the whole, in dB of full scale; minus infinity for digital silence.
    pub rms_db: f64,
    /// The largest sample, 0 to 1 (more, where a float file exceeds full scale).
    pub peak: f32,
    /// The share of samples at full scale.
    pub clipped_share: f64,
    /// The share of silent windows.
    pub silent_share: f64,
    /// The share of loud, noisy windows.
    pub noisy_share: f64,
    /// Whether every sample is a number.
    pub finite: bool,
}

impl AudioReport {
    /// Adds what is wrong with it.
    pub(super) fn judge(&self, expected: Expected, faults: &mut Vec<AudioFault>) {
        if let Some(declared) =
            self.declared_secs.filter(|declared| (declared - self.secs).abs() > LENGTH_TOLERANCE_SECS)
        {
            faults.push(AudioFault::Length { declared, decoded: self.secs });
        }
        let checks = [
            (!self.finite, AudioFault::NotFinite),
            (self.clipped_share > CLIPPED_SHARE_MAX, AudioFault::Clipped(self.clipped_share)),
            (self.rms_db < RMS_DB_MIN, AudioFault::Quiet(self.rms_db)),
            (
                self.secs >= SILENT_CHECK_SECS_MIN && self.silent_share > SILENT_SHARE_MAX,
                AudioFault::Silent(self.silent_share),
            ),
            (self.noisy_share > NOISY_SHARE_MAX, AudioFault::Noisy(self.noisy_share)),
            (self.secs < expected.secs_min, AudioFault::TooShort { least: expected.secs_min, decoded: self.secs }),
            (self.secs > expected.secs_max, AudioFault::TooLong { most: expected.secs_max, decoded: self.secs }),
        ];
        faults.extend(checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, fault)| fault));
    }
}

/// Sums over the samples and over the window that is open.
pub(super) struct Stats {
    sample_rate: u32,
    channels: usize,
    window_frames: usize,
    frames: u64,
    squares: f64,
    peak: f32,
    clipped: u64,
    finite: bool,
    windows: u64,
    silent: u64,
    noisy: u64,
    in_window: usize,
    window_squares: f64,
    crossings: usize,
    last: f32,
}

impl Stats {
    pub(super) fn new(sample_rate: u32, channels: usize) -> Stats {
        let window_frames = (f64::from(sample_rate) * WINDOW_SECS).ceil().max(1.0) as usize;
        Stats {
            sample_rate,
            channels,
            window_frames,
            frames: 0,
            squares: 0.0,
            peak: 0.0,
            clipped: 0,
            finite: true,
            windows: 0,
            silent: 0,
            noisy: 0,
            in_window: 0,
            window_squares: 0.0,
            crossings: 0,
            last: 0.0,
        }
    }

    /// Takes interleaved samples.
    pub(super) fn take(&mut self, samples: &[f32]) {
        for frame in samples.chunks_exact(self.channels) {
            let mut sum = 0.0;
            for &sample in frame {
                let sample = if sample.is_finite() { sample } else { self.not_finite() };
                self.peak = self.peak.max(sample.abs());
                self.clipped += u64::from(sample.abs() >= FULL_SCALE);
                sum += sample;
            }
            self.take_frame(sum / self.channels as f32);
        }
    }

    pub(super) fn secs(&self) -> f64 {
        self.frames as f64 / f64::from(self.sample_rate)
    }

    pub(super) fn report(mut self, declared_secs: Option<f64>) -> Option<AudioReport> {
        if self.frames == 0 {
            return None;
        }
        if self.windows == 0 {
            self.end_window();
        }
        let samples = (self.frames * self.channels as u64) as f64;
        Some(AudioReport {
            sample_rate: self.sample_rate,
            channels: self.channels,
            declared_secs,
            secs: self.secs(),
            rms_db: 10.0 * (self.squares / self.frames as f64).log10(),
            peak: self.peak,
            clipped_share: self.clipped as f64 / samples,
            silent_share: self.silent as f64 / self.windows as f64,
            noisy_share: self.noisy as f64 / self.windows as f64,
            finite: self.finite,
        })
    }

    fn not_finite(&mut self) -> f32 {
        self.finite = false;
        0.0
    }

    fn take_frame(&mut self, sample: f32) {
        let square = f64::from(sample) * f64::from(sample);
        self.frames += 1;
        self.squares += square;
        self.window_squares += square;
        self.crossings += usize::from((sample < 0.0) != (self.last < 0.0));
        self.last = sample;
        self.in_window += 1;
        if self.in_window == self.window_frames {
            self.end_window();
        }
    }

    fn end_window(&mut self) {
        let frames = self.in_window.max(1) as f64;
        let rms = (self.window_squares / frames).sqrt();
        self.windows += 1;
        self.silent += u64::from(rms < SILENT_RMS);
        self.noisy += u64::from(rms > LOUD_RMS && self.crossings as f64 / frames > NOISY_CROSSINGS);
        (self.in_window, self.window_squares, self.crossings) = (0, 0.0, 0);
    }
}
