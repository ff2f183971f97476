//! The published schemas are the ones the code makes, and they agree with the parsers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::path::Path;

use jsonschema::Validator;
use qsketch_video::request::submission_schema;
use qsketch_video::script::script_schema;
use qsketch_video::{Script, TemplateProvider, VideoRequest};
use serde_json::{Value, json};

/// Set to write the published files anew instead of comparing them.
const WRITE: &str = "QSKETCH_WRITE_SCHEMAS";

#[expect(clippy::disallowed_methods, reason = "a test has no main that could pass it on")]
fn published(name: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(made).unwrap());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "schema/{name} is stale: run `{WRITE}=1 cargo test -p qsketch-video --test schemas`");
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

#[test]
fn the_published_schemas_are_those_of_the_code() {
    published("submission.schema.json", &submission_schema());
    published("script.schema.json", &script_schema());
}

#[test]
fn the_submission_schema_agrees_with_the_parser() {
    let schema = validator(&submission_schema());
    let cases = [
        json!({ "prompt": "x" }),
        json!({ "prompt": "a\tb\nc\r\nd", "id": "A_b-9", "title": "T", "voice": "pt-br", "quality": "1080p60", "tenant": "acme" }),
        json!({ "prompt": "x", "approve": true }),
        json!({ "prompt": "x", "approve": "true" }),
        json!({ "prompt": "x", "approve": null }),
        json!({ "prompt": "語".repeat(4_000) }),
        json!({ "prompt": "😀".repeat(4_000) }),
        json!({ "prompt": "x".repeat(4_001) }),
        json!({ "prompt": "" }),
        json!({ "prompt": " \n " }),
        json!({ "prompt": 1 }),
        json!({ "prompt": null }),
        json!({ "prompt": ["x"] }),
        json!({ "prompt": "a\u{0}b" }),
        json!({ "prompt": "a\u{7}b" }),
        json!({ "prompt": "a\u{7f}b" }),
        json!({ "prompt": "a\u{9f}b" }),
        json!({ "prompt": "a\u{fffe}b" }),
        json!({ "prompt": "a\u{ffff}b" }),
        json!({ "prompt": "x", "id": "" }),
        json!({ "prompt": "x", "id": "a/b" }),
        json!({ "prompt": "x", "id": "é" }),
        json!({ "prompt": "x", "id": "a\n" }),
        json!({ "prompt": "x", "id": "a".repeat(64) }),
        json!({ "prompt": "x", "id": "a".repeat(65) }),
        json!({ "prompt": "x", "id": 5 }),
        json!({ "prompt": "x", "title": "" }),
        json!({ "prompt": "x", "title": "a\nb" }),
        json!({ "prompt": "x", "title": "t".repeat(201) }),
        json!({ "prompt": "x", "title": null }),
        json!({ "prompt": "x", "voice": "xx" }),
        json!({ "prompt": "x", "voice": "en-us" }),
        json!({ "prompt": "x", "quality": "720p" }),
        json!({ "prompt": "x", "quality": 720 }),
        json!({ "prompt": "x", "tenant": "a b" }),
        json!({ "prompt": "x", "extra": 1 }),
        json!({}),
        json!([]),
        json!("x"),
        json!(null),
    ];
    let mut accepted = 0;
    for case in &cases {
        let parsed = VideoRequest::from_value(case).is_ok();
        assert_eq!(schema.is_valid(case), parsed, "{case}");
        accepted += usize::from(parsed);
    }
    assert_eq!(accepted, 7, "both sides of the line are covered");
}

#[test]
fn the_script_schema_accepts_what_the_provider_writes() {
    let schema = validator(&script_schema());
    for prompt in [
        "Explain Pythagoras",
        "Entropy",
        "勾股定理是什么？请解释。",
        "Tea. It is hot. It comes from China, where people drink it.",
    ] {
        let request = VideoRequest::from_value(&json!({ "prompt": prompt })).unwrap();
        let script = TemplateProvider.script(&request).unwrap();
        let value: Value = serde_json::from_str(&script.to_json()).unwrap();
        let faults: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{prompt}: {faults:?}");
    }
}

#[test]
fn the_script_schema_agrees_with_the_parser() {
    let schema = validator(&script_schema());
    let request = VideoRequest::from_value(&json!({ "prompt": "Entropy" })).unwrap();
    let good: Value = serde_json::from_str(&TemplateProvider.script(&request).unwrap().to_json()).unwrap();
    let scene = good["scenes"][0].clone();
    let changes = [
        ("/layout", json!(2)),
        ("/title", json!("")),
        ("/quality", json!("x")),
        ("/voice", json!("x")),
        ("/language", json!("x")),
        ("/provider", json!(" ")),
        ("/lesson", json!("")),
        ("/notes", json!(vec!["n"; 9])),
        ("/scenes", json!([])),
        ("/scenes", json!(vec![scene; 9])),
        ("/scenes/0/class_name", json!("-x")),
        ("/scenes/0/class_name", json!("1x")),
        ("/scenes/0/narration", json!("n".repeat(1_201))),
        ("/scenes/0/code", json!("")),
        ("/scenes/0", json!({})),
    ];
    for (path, value) in changes {
        let mut changed = good.clone();
        *changed.pointer_mut(path).unwrap() = value;
        assert!(!schema.is_valid(&changed), "the schema takes a bad {path}");
        assert!(Script::parse(&changed.to_string()).is_err(), "the parser takes a bad {path}");
    }
}
