//! The hand-made lessons: their Python lies in `lessons/<name>/`, next to the narration and its measured times.
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{code, folded};
use crate::script::Scene;
use crate::voice::Voice;

/// The measured times are those of this voice at [`ESPEAK_RATE`](crate::speech::ESPEAK_RATE).
const MEASURED_VOICE: Voice = Voice::EnUs;

/// One hand-made lesson.
#[derive(Debug)]
pub struct Lesson {
    /// The name in scripts: the folder's name.
    pub name: String,
    /// The video's title.
    pub title: String,
    vocabulary: BTreeMap<String, u32>,
    scenes: Vec<Told>,
    parts: &'static [(&'static str, &'static str)],
}

#[derive(Debug)]
struct Told {
    title: String,
    class_name: String,
    narration: Vec<String>,
    secs: Vec<f64>,
    source: &'static str,
}

/// `lesson.json` as it lies in the folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LessonFile {
    name: String,
    title: String,
    vocabulary: BTreeMap<String, u32>,
    scenes: Vec<SceneFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SceneFile {
    title: String,
    class_name: String,
    file: String,
    narration: Vec<String>,
}

/// A lesson's files as they are embedded.
struct Embedded {
    lesson: &'static str,
    seconds: &'static str,
    scenes: &'static [(&'static str, &'static str)],
    parts: &'static [(&'static str, &'static str)],
}

/// Embeds the named files of a lesson's folder.
macro_rules! embedded {
    ($folder:literal, [$($scene:literal),*], [$(($part:literal, $file:literal)),*]) => {
        Embedded {
            lesson: include_str!(concat!("../../lessons/", $folder, "/lesson.json")),
            seconds: include_str!(concat!("../../lessons/", $folder, "/seconds.json")),
            scenes: &[$(($scene, include_str!(concat!("../../lessons/", $folder, "/", $scene)))),*],
            parts: &[$(($part, include_str!(concat!("../../lessons/", $folder, "/", $file)))),*],
        }
    };
}

const EMBEDDED: [Embedded; 5] = [
    embedded!(
        "pythagoras",
        ["one_right_angle.py", "square_on_each_side.py", "why_always.py", "measuring_distance.py"],
        []
    ),
    embedded!("derivative", ["how_steep.py", "secant_to_tangent.py", "the_limit.py", "curve_of_slopes.py"], []),
    embedded!(
        "binary-search",
        ["looking_for_one.py", "halve_again.py", "why_fast.py", "the_recipe.py"],
        [("cards", "cards.py")]
    ),
    embedded!(
        "fourier",
        ["turning_arrow.py", "arrows_on_arrows.py", "towards_square.py", "every_rhythm.py"],
        [("arrows", "arrows.py")]
    ),
    embedded!("bubble-sort", ["two_neighbours.py", "pass_after_pass.py", "what_it_costs.py"], [("bars", "bars.py")]),
];

static LESSONS: LazyLock<Vec<Lesson>> = LazyLock::new(|| EMBEDDED.iter().filter_map(read).collect());

/// Every hand-made lesson. A test reads each one, so that none is left out for a mistake in its files.
pub fn lessons() -> &'static [Lesson] {
    &LESSONS
}

fn read(files: &Embedded) -> Option<Lesson> {
    let file: LessonFile = serde_json::from_str(files.lesson).ok()?;
    let seconds: Vec<Vec<f64>> = serde_json::from_str(files.seconds).ok()?;
    let scenes = file.scenes.into_iter().zip(seconds).map(|(scene, secs)| {
        let source = files.scenes.iter().find(|(name, _)| *name == scene.file)?.1;
        Some(Told { title: scene.title, class_name: scene.class_name, narration: scene.narration, secs, source })
    });
    let scenes = scenes.collect::<Option<Vec<Told>>>()?;
    let vocabulary = file.vocabulary.into_iter().map(|(words, weight)| (folded(&words), weight)).collect();
    Some(Lesson { name: file.name, title: file.title, vocabulary, scenes, parts: files.parts })
}

impl Lesson {
    /// The weights of the lesson's words that the folded text holds, summed; each word counts once.
    pub(super) fn score(&self, text: &str) -> u32 {
        self.vocabulary.iter().filter(|(words, _)| text.contains(words.as_str())).map(|(_, weight)| weight).sum()
    }

    /// The lesson's scenes, told by this voice.
    pub(super) fn scenes(&self, voice: Voice) -> Vec<Scene> {
        let measured = voice == MEASURED_VOICE;
        self.scenes
            .iter()
            .map(|told| {
                let timed = code::timed(&told.narration, measured.then_some(&told.secs), voice);
                Scene {
                    title: told.title.clone(),
                    narration: told.narration.join(" "),
                    class_name: told.class_name.clone(),
                    code: code::assemble(told.source, self.parts, &timed, None),
                }
            })
            .collect()
    }

    /// The measured seconds of each scene's speech with its pauses, in order.
    pub fn measured_secs(&self) -> Vec<f64> {
        let scene = |told: &Told| told.secs.iter().map(|secs| secs + crate::speech::SENTENCE_PAUSE_SECS).sum();
        self.scenes.iter().map(scene).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech;
    use crate::voice::Language;

    #[test]
    fn every_lesson_is_read_whole() {
        assert_eq!(lessons().len(), EMBEDDED.len());
        for lesson in lessons() {
            assert!((3..=6).contains(&lesson.scenes.len()), "{}", lesson.name);
            for told in &lesson.scenes {
                assert_eq!(told.narration.len(), told.secs.len(), "run measure_narration.py: {}", told.title);
                assert!((3..=6).contains(&told.narration.len()), "{}", told.title);
                assert_eq!(
                    speech::sentences(&told.narration.join(" ")),
                    told.narration,
                    "the splitter must find the lesson's own sentences"
                );
            }
        }
    }

    #[test]
    fn measured_times_are_near_the_estimate_so_none_is_stale() {
        for told in lessons().iter().flat_map(|lesson| &lesson.scenes) {
            for (sentence, secs) in told.narration.iter().zip(&told.secs) {
                let estimate = speech::estimate_secs(sentence, Language::En);
                assert!((secs / estimate - 1.0).abs() < 0.35, "run measure_narration.py: {sentence} {secs} {estimate}");
            }
        }
    }

    #[test]
    fn a_scene_takes_between_eight_and_thirty_seconds() {
        for lesson in lessons() {
            for secs in lesson.measured_secs() {
                assert!((8.0..=30.0).contains(&secs), "{}: {secs}", lesson.name);
            }
        }
    }

    #[test]
    fn narration_needs_no_symbols() {
        for told in lessons().iter().flat_map(|lesson| &lesson.scenes) {
            for sentence in &told.narration {
                assert_eq!(&speech::spoken(sentence, Language::En), sentence, "write it in words");
            }
        }
    }
}
