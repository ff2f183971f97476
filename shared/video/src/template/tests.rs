use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::speech;
use crate::voice::Voice;

fn request(prompt: &str) -> VideoRequest {
    VideoRequest::from_value(&json!({ "prompt": prompt })).unwrap()
}

fn lesson_of(prompt: &str) -> String {
    TemplateProvider.script(&request(prompt)).unwrap().lesson.unwrap()
}

#[test]
fn a_prompt_finds_the_lesson_that_it_names() {
    for (prompt, lesson) in [
        ("Explain the Pythagorean theorem", "pythagoras"),
        ("PYTHAGORAS!", "pythagoras"),
        ("Why is the square on the hypotenuse of a triangle the sum of the other two?", "pythagoras"),
        ("What is a derivative?", "derivative"),
        ("Show the slope of the tangent to a curve", "derivative"),
        ("How does binary search work on a sorted array?", "binary-search"),
        ("Explain Fourier series with rotating vectors", "fourier"),
        ("Joseph FOURIÉR and his sine waves", "fourier"),
        ("Explain bubble sort", "bubble-sort"),
        ("Visualise how a list is sorted by swaps: sorting step by step", "bubble-sort"),
        ("Explain photosynthesis", GENERAL),
        ("Sort out my taxes", GENERAL),
        ("A triangle", GENERAL),
        ("derivatively yours", GENERAL),
        ("Entropy", GENERAL),
    ] {
        assert_eq!(lesson_of(prompt), lesson, "{prompt}");
    }
}

#[test]
fn a_voice_that_is_not_english_gets_a_lesson_in_its_language() {
    let german = VideoRequest::from_value(&json!({ "prompt": "Der Satz des Pythagoras", "voice": "de" })).unwrap();
    let script = TemplateProvider.script(&german).unwrap();
    assert_eq!(script.lesson.as_deref(), Some(GENERAL));
    assert!(script.scenes[0].narration.starts_with("Sehen wir uns das an:"), "{}", script.scenes[0].narration);
    assert_eq!(script.voice, Voice::De);
}

#[test]
fn the_script_says_plainly_that_it_is_a_template() {
    let script = TemplateProvider.script(&request("Explain Pythagoras")).unwrap();
    assert_eq!(script.provider, TEMPLATE);
    assert!(script.notes[0].contains("No model"));
    assert_eq!(script.title, "The theorem of Pythagoras");
}

#[test]
fn a_title_from_the_customer_wins() {
    let titled = VideoRequest::from_value(&json!({ "prompt": "Explain Pythagoras", "title": "Mein Film" })).unwrap();
    assert_eq!(TemplateProvider.script(&titled).unwrap().title, "Mein Film");
}

#[test]
fn the_port_answers_what_the_provider_writes() {
    let request = request("Explain Pythagoras");
    let mut writing = pin!(TemplateProvider.write(&request));
    let Poll::Ready(script) = writing.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it never waits")
    };
    assert_eq!(script.unwrap(), TemplateProvider.script(&request).unwrap());
    assert_eq!(TemplateProvider.name(), "template");
}

#[test]
fn text_from_outside_stays_text() {
    let prompt = "\"\"\"); import os; os.system('x') # \\ {braces} \\u0041 '''\n\"quoted\". And\ta tab.";
    let script = TemplateProvider.script(&request(prompt)).unwrap();
    for scene in &script.scenes {
        for line in scene.code.lines().filter(|line| line.contains("import os")) {
            let (begin, end) = (line.find('"').unwrap(), line.rfind('"').unwrap());
            let at = line.find("import os").unwrap();
            assert!(
                begin < at && at < end && line[..at].matches('"').count() > line[..at].matches("\\\"").count(),
                "{line}"
            );
        }
    }
}

#[test]
fn every_scene_stands_alone() {
    for prompt in [
        "Explain Pythagoras",
        "Explain derivatives",
        "binary search",
        "Fourier series",
        "bubble sort",
        "Tea. It is hot. It is good.",
    ] {
        for scene in TemplateProvider.script(&request(prompt)).unwrap().scenes {
            assert!(scene.code.contains("class Lesson(Scene)"));
            for line in scene.code.lines().filter(|line| line.starts_with("from ") || line.starts_with("import ")) {
                assert!(
                    ["hashlib", "math", "pathlib", "numpy", "manim", "unicodedata"]
                        .iter()
                        .any(|known| line.contains(known)),
                    "{line}"
                );
            }
            for latex in [
                "MathTex(",
                "Tex(",
                "DecimalNumber(",
                "Integer(",
                "BulletedList(",
                "Title(",
                "add_coordinates",
                "Matrix(",
            ] {
                let used = scene.code.lines().any(|line| {
                    line.contains(latex) && !line.contains("ziamath") && !line.contains(&format!("_{latex}"))
                });
                assert!(!used, "{latex} needs LaTeX: {}", scene.class_name);
            }
            assert!(scene.code.contains("NARRATION = [\n    (\""));
        }
    }
}

#[test]
fn a_prompt_of_four_thousand_characters_fits() {
    for unit in ["word ", "A sentence of some length stands here. ", "长", "긴 문장입니다. ", "😀", "\"\\{}", "ا "]
    {
        let prompt: String = unit.chars().cycle().take(4_000).collect();
        let script = TemplateProvider.script(&request(&prompt)).unwrap();
        assert!(script.scenes.len() <= 6, "{}", script.scenes.len());
        for scene in &script.scenes {
            let secs = speech::estimate_secs(&scene.narration, script.language);
            assert!(secs < 45.0, "{unit}: {secs} s");
        }
    }
}

#[test]
fn four_points_are_shared_evenly_and_slow_speech_gets_more_scenes() {
    let script = TemplateProvider.script(&request("Tea. It is hot. It is green. It is old. It is good.")).unwrap();
    let points = |script: &Script| -> Vec<usize> {
        script
            .scenes
            .iter()
            .filter(|scene| scene.class_name == "Points")
            .map(|scene| speech::sentences(&scene.narration).len())
            .collect()
    };
    assert_eq!(points(&script), [2, 2]);
    let slow = "茶。".to_owned() + &"它来自中国的茶树叶子，人们把叶子晒干，揉捻，有时还会熏制它们。".repeat(3);
    assert_eq!(points(&TemplateProvider.script(&request(&slow)).unwrap()), [2, 1]);
}

#[test]
fn one_word_becomes_three_scenes() {
    let script = TemplateProvider.script(&request("Entropy")).unwrap();
    let names: Vec<&str> = script.scenes.iter().map(|scene| scene.class_name.as_str()).collect();
    assert_eq!(names, ["TitleCard", "Points", "InShort"]);
    assert_eq!(script.scenes[0].narration, "Let us look at this: Entropy.");
}

#[test]
fn the_phrases_of_every_language_are_there() {
    for voice in Voice::ALL {
        let request = VideoRequest::from_value(&json!({ "prompt": "x", "voice": voice.name() })).unwrap();
        let script = TemplateProvider.script(&request).unwrap();
        assert!(script.scenes.iter().all(|scene| scene.narration.chars().count() > 3), "{voice}");
        assert_eq!(speech::sentences(&script.scenes[1].narration).len(), 3, "{voice}");
    }
}

proptest! {
    #[test]
    fn any_prompt_becomes_a_valid_script(prompt in "\\PC{1,400}") {
        if let Ok(request) = VideoRequest::from_value(&json!({ "prompt": prompt })) {
            let script = TemplateProvider.script(&request).unwrap();
            prop_assert!((3..=6).contains(&script.scenes.len()));
            prop_assert_eq!(Script::parse(&script.to_json()).unwrap(), script);
        }
    }
}
