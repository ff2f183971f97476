//! Runs every lesson's scenes in Manim, without drawing them, and checks their layout and their pace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use qsketch_video::{TemplateProvider, VideoRequest};
use serde_json::json;

/// The Python of a venv that holds Manim; `make test` sets it.
const PYTHON: &str = "QSKETCH_MANIM_PYTHON";

#[expect(clippy::disallowed_methods, reason = "a test has no main that could pass it on")]
fn python() -> String {
    std::env::var(PYTHON).unwrap_or_else(|_| {
        panic!("{PYTHON} is not set: name the Python of a venv that holds Manim, or run `make test`, which makes one")
    })
}

fn check(scenes: &[(PathBuf, String)]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lessons/check_layout.py");
    let mut command = Command::new(python());
    command.arg(script);
    for (path, class_name) in scenes {
        command.arg(path).arg(class_name);
    }
    command.output().expect("the Python that QSKETCH_MANIM_PYTHON names can't be started")
}

/// Writes the scenes that the provider makes of each prompt; returns their files and classes.
fn written(folder: &Path, submissions: &[serde_json::Value]) -> Vec<(PathBuf, String)> {
    let mut scenes = Vec::new();
    for (n, submission) in submissions.iter().enumerate() {
        let request = VideoRequest::from_value(submission).unwrap();
        for (k, scene) in TemplateProvider.script(&request).unwrap().scenes.into_iter().enumerate() {
            let path = folder.join(format!("script{n}_scene{k}.py"));
            std::fs::write(&path, &scene.code).unwrap();
            scenes.push((path, scene.class_name));
        }
    }
    scenes
}

fn assert_good(submissions: &[serde_json::Value]) {
    let folder = tempfile::tempdir().unwrap();
    let output = check(&written(folder.path(), submissions));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn hand_made_lessons_keep_the_frame_and_their_pace() {
    let prompts = ["Explain Pythagoras", "What is a derivative?", "binary search", "Fourier series", "bubble sort"];
    assert_good(&prompts.map(|prompt| json!({ "prompt": prompt })));
}

#[test]
fn a_lesson_told_by_another_english_voice_keeps_its_pace() {
    assert_good(&[json!({ "prompt": "Explain Pythagoras", "voice": "en-gb" })]);
}

#[test]
fn general_lessons_keep_the_frame_in_every_writing_system() {
    assert_good(&[
        json!({ "prompt": "Entropy" }),
        json!({ "prompt": "Explain tea. It is hot. It comes from leaves, which are dried, rolled and sometimes smoked. People drink it everywhere. Water must boil." }),
        json!({ "prompt": "光合作用是什么？植物用光把水和二氧化碳变成糖，同时放出氧气。没有它，地球上就没有我们呼吸的空气。" }),
        json!({ "prompt": "光合成とは何ですか？植物は光を使って水と二酸化炭素から糖を作ります。" }),
        json!({ "prompt": "광합성이란 무엇인가? 식물은 잎에서 빛을 받는다." }),
        json!({ "prompt": "ما هو التمثيل الضوئي؟ تلتقط النباتات الضوء في أوراقها." }),
    ]);
}

#[test]
fn general_lessons_keep_the_frame_whatever_the_prompt() {
    let long = "word ".repeat(800);
    assert_good(&[
        json!({ "prompt": "x".repeat(4_000) }),
        json!({ "prompt": long.trim(), "title": "W".repeat(200) }),
        json!({ "prompt": "長".repeat(4_000) }),
        json!({ "prompt": "\"quotes\" 'and' \\backslashes\\ {braces} %s {0} \\n <b>tags</b> #. \"\"\"; import os" }),
        json!({ "prompt": "😀 🎉 👨‍👩‍👧" }),
        json!({ "prompt": "e\u{301}".repeat(100) }),
    ]);
}

#[test]
fn the_check_catches_overlap_text_outside_and_a_late_end() {
    let folder = tempfile::tempdir().unwrap();
    let request = VideoRequest::from_value(&json!({ "prompt": "Explain Pythagoras" })).unwrap();
    let style = TemplateProvider.script(&request).unwrap().scenes[0]
        .code
        .split("class OneRightAngle")
        .next()
        .unwrap()
        .to_owned();
    let broken = [
        ("Overlap", "self.play(FadeIn(label('one text here'), label('another text')))", "overlap"),
        ("Outside", "self.play(FadeIn(label('far away').move_to([7, 0, 0])))", "leaves the frame"),
        ("Late", "self.wait(self.total + 2)", "its narration at"),
    ];
    for (name, body, fault) in broken {
        let path = folder.path().join(format!("{name}.py"));
        std::fs::write(&path, format!("{style}class {name}(Lesson):\n    def story(self):\n        {body}\n")).unwrap();
        let output = check(&[(path, name.to_owned())]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && told.contains(fault), "{name}: {told}");
    }
}
