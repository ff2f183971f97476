//! How long each scene becomes, so that its picture and its speech fit each other; pure arithmetic.
//!
//! ```text
//! picture  |==================|            the speech ends first: silence follows it
//! speech   |~~~~~~~~~~~|
//!
//! picture  |==========|++++++++|           the picture ends first: its last frame stays until the speech is over
//! speech   |~~~~~~~~~~~~~~~~|.             and for the pause after it
//! ```
//! Speech is never cut (`no_speech_is_cut_and_nothing_is_held_without_need`).

/// How long a scene's picture must last after its last word, in seconds; less, and its last frame is held.
pub const TAIL_SECS_MIN: f64 = 0.1;

/// What is known of a scene before it is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lengths {
    /// The frames of its picture.
    pub frames: u32,
    /// When its last word ends, in seconds.
    pub last_word_secs: f64,
    /// How long its speech is with the pause after the last word, in seconds.
    pub speech_secs: f64,
}

/// Where a scene stands in the video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first frame in the video, from 0.
    pub first_frame: u64,
    /// How many frames it has in the video.
    pub frames: u32,
    /// For how many of them its last frame is held.
    pub held: u32,
}

impl Place {
    /// When the scene begins, in seconds.
    #[must_use]
    pub fn start_secs(&self, frame_rate: u32) -> f64 {
        self.first_frame as f64 / f64::from(frame_rate)
    }

    /// How long the scene is, in seconds.
    #[must_use]
    pub fn secs(&self, frame_rate: u32) -> f64 {
        f64::from(self.frames) / f64::from(frame_rate)
    }

    /// The frame after its last.
    #[must_use]
    pub fn end_frame(&self) -> u64 {
        self.first_frame + u64::from(self.frames)
    }
}

/// Fits each scene and puts one after the other.
#[must_use]
pub fn places(scenes: &[Lengths], frame_rate: u32) -> Vec<Place> {
    let mut first_frame = 0;
    let fitted = scenes.iter().map(|scene| {
        let held = held(scene, frame_rate);
        let place = Place { first_frame, frames: scene.frames + held, held };
        first_frame = place.end_frame();
        place
    });
    fitted.collect()
}

fn held(scene: &Lengths, frame_rate: u32) -> u32 {
    let rate = f64::from(frame_rate);
    let picture_secs = f64::from(scene.frames) / rate;
    if picture_secs >= scene.last_word_secs + TAIL_SECS_MIN {
        return 0;
    }
    let wanted = scene.speech_secs.max(scene.last_word_secs + TAIL_SECS_MIN);
    // Speech is bounded to minutes, so the cast is exact.
    ((wanted * rate).ceil() as u32).saturating_sub(scene.frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(frames: u32, last_word_secs: f64) -> Lengths {
        Lengths { frames, last_word_secs, speech_secs: last_word_secs + 0.3 }
    }

    #[test]
    fn no_speech_is_cut_and_nothing_is_held_without_need() {
        for rate in [15, 30, 60] {
            for frames in [1, rate, 5 * rate] {
                for tenths in 0..100 {
                    let scene = lengths(frames, f64::from(tenths) / 10.0);
                    let [place] = places(&[scene], rate)[..] else { panic!("one scene, one place") };
                    assert!(place.secs(rate) >= scene.last_word_secs + TAIL_SECS_MIN - 1e-9, "{scene:?} {place:?}");
                    assert_eq!(place.frames, frames + place.held);
                    let is_long_enough = f64::from(frames) / f64::from(rate) >= scene.last_word_secs + TAIL_SECS_MIN;
                    assert_eq!(place.held == 0, is_long_enough, "{scene:?} {place:?}");
                }
            }
        }
    }

    #[test]
    fn scenes_follow_each_other_without_a_gap() {
        let found = places(&[lengths(30, 5.0), lengths(150, 2.0), lengths(15, 0.0)], 15);
        let shown: Vec<_> = found.iter().map(|place| (place.first_frame, place.frames, place.held)).collect();
        assert_eq!(shown, [(0, 80, 50), (80, 150, 0), (230, 15, 0)]);
        assert!((found[1].start_secs(15) - 80.0 / 15.0).abs() < 1e-9);
    }
}
