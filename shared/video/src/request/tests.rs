use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::reason::{REASON_BYTES_MAX, REASONS_MAX};

fn reasons(value: Value) -> Vec<String> {
    match VideoRequest::from_value(&value) {
        Ok(_) => Vec::new(),
        Err(error) => error.reasons().iter().map(Reason::to_string).collect(),
    }
}

#[test]
fn a_prompt_alone_is_enough_and_the_rest_has_defaults() {
    let request = VideoRequest::parse(r#"{"prompt": "  Explain Pythagoras \n"}"#).unwrap();
    assert_eq!(request.prompt(), "Explain Pythagoras");
    assert_eq!((request.id(), request.title(), request.tenant()), (None, None, "default"));
    assert_eq!((request.voice(), request.quality()), (Voice::EnUs, Quality::P720));
}

#[test]
fn what_is_no_json_object_is_unreadable() {
    for text in ["", "hello", "{", "[1]", "null", "\"x\"", "{\"prompt\": \"\\ud800\"}", "{\"prompt\": \"x\"} y"] {
        let error = VideoRequest::parse(text).unwrap_err();
        assert!(matches!(error, RequestError::Unreadable(_)), "{text}: {error}");
        assert!(error.to_string().contains("{\"prompt\""), "it says what to send: {error}");
    }
}

#[test]
fn every_mistake_is_named_at_once() {
    let found = reasons(json!({
        "prompt": 7, "id": "a/b", "title": "", "voice": "klingon", "quality": "4k", "tenant": "x".repeat(65), "colour": "red", "lang": "en"
    }));
    assert_eq!(
        found,
        [
            "prompt: must be a string, but is a number",
            "id: is \"a/b\"; use 1 to 64 letters A-Z a-z, digits, _ or -",
            "title: is empty; give 1 to 200 characters of text",
            "voice: is \"klingon\"; choose one of en-us, en-gb, de, fr-fr, es, it, pt-br, zh, ja, ko, ar",
            "quality: is \"4k\"; choose one of 480p15, 720p30, 1080p60",
            "tenant: is \"xxxxxxxxxxxxxxxxxxxxxxxx…\"; use 1 to 64 letters A-Z a-z, digits, _ or -",
            "colour: is no field of a submission; remove it or use one of prompt, id, title, voice, quality, tenant, approve",
            "lang: is no field of a submission; remove it or use one of prompt, id, title, voice, quality, tenant, approve",
        ]
    );
}

#[test]
fn a_refusal_keeps_the_id_and_tenant_that_were_asked_for() {
    let error = VideoRequest::from_value(&json!({ "id": "my-job", "tenant": "acme" })).unwrap_err();
    let RequestError::Invalid { requested_id, tenant, reasons } = error else { panic!("it is readable") };
    assert_eq!((requested_id.as_deref(), tenant.as_str(), reasons.len()), (Some("my-job"), "acme", 1));
    assert!(reasons[0].problem.starts_with("is missing"));
}

#[test]
fn the_prompt_is_counted_in_characters_not_bytes() {
    assert!(reasons(json!({ "prompt": "語".repeat(4_000) })).is_empty());
    assert!(reasons(json!({ "prompt": format!(" {} ", "😀".repeat(4_000)) })).is_empty());
    assert_eq!(
        reasons(json!({ "prompt": "x".repeat(4_001) })),
        ["prompt: has 4001 characters; shorten it to at most 4000"]
    );
    assert_eq!(
        reasons(json!({ "prompt": "y".repeat(100_000) })),
        ["prompt: has 100000 characters; shorten it to at most 4000"]
    );
}

#[test]
fn a_prompt_without_a_visible_character_is_empty() {
    for prompt in ["", "   ", "\n\t", "\u{200b}\u{feff}", "\u{3164}"] {
        assert_eq!(
            reasons(json!({ "prompt": prompt })),
            ["prompt: is empty; give 1 to 4000 characters of text"],
            "{prompt:?}"
        );
    }
}

#[test]
fn characters_that_sqs_refuses_are_refused_by_name() {
    assert_eq!(
        reasons(json!({ "prompt": "ab\u{7}c" })),
        ["prompt: holds U+0007 at character 3; remove control characters (tabs and line ends are fine)"]
    );
    for c in ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{fffe}', '\u{ffff}'] {
        assert_eq!(reasons(json!({ "prompt": format!("a{c}b") })).len(), 1, "{c:?}");
    }
    assert!(reasons(json!({ "prompt": "a\tb\r\nc\rd" })).is_empty());
    assert_eq!(reasons(json!({ "prompt": "x", "title": "a\nb" })).len(), 1);
}

#[test]
fn line_ends_are_unified_so_that_equal_prompts_are_equal() {
    let unix = VideoRequest::from_value(&json!({ "prompt": "a\nb\nc" })).unwrap();
    let other = VideoRequest::from_value(&json!({ "prompt": "a\r\nb\rc" })).unwrap();
    assert_eq!(unix.content(), other.content());
}

#[test]
fn content_is_stable_and_leaves_the_id_out() {
    let request = VideoRequest::parse(
        r#"{"tenant":"default","id":"x1","quality":"1080p60","prompt":" tea ","voice":"de","title":"T"}"#,
    )
    .unwrap();
    assert_eq!(
        request.content(),
        r#"{"prompt":"tea","title":"T","voice":"de","quality":"1080p60","tenant":"default"}"#
    );
    let other = VideoRequest::parse(r#"{"prompt":"tea","title":"T","voice":"de","quality":"1080p60"}"#).unwrap();
    assert_eq!(request.content(), other.content());
    assert_ne!(
        request.content(),
        VideoRequest::parse(r#"{"prompt":"tea","title":"T","voice":"de"}"#).unwrap().content()
    );
}

#[test]
fn an_approval_is_part_of_the_content_and_leaves_no_trace_where_none_is_asked_for() {
    let asked = VideoRequest::parse(r#"{"prompt":"tea","approve":true}"#).unwrap();
    assert!(asked.approve());
    assert!(asked.content().ends_with(r#""approve":true}"#), "{}", asked.content());
    let not = VideoRequest::parse(r#"{"prompt":"tea","approve":false}"#).unwrap();
    assert_eq!(not, VideoRequest::parse(r#"{"prompt":"tea"}"#).unwrap());
    assert!(!not.content().contains("approve"));
    assert_eq!(
        reasons(json!({ "prompt": "tea", "approve": "yes" })),
        ["approve: must be true or false, but is a string"]
    );
}

#[test]
fn a_stored_request_is_read_again_as_it_was() {
    let request = VideoRequest::parse(r#"{"prompt":"tea","id":"a_B-9","voice":"zh","approve":true}"#).unwrap();
    let stored = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<VideoRequest>(&stored).unwrap(), request);
    assert!(serde_json::from_str::<VideoRequest>("{\"prompt\":\"\"}").is_err());
}

#[test]
fn hundreds_of_unknown_fields_are_answered_within_bounds() {
    let many: Map<String, Value> = (0..500).map(|n| (format!("field{n}{}", "x".repeat(300)), Value::Null)).collect();
    let found = reasons(Value::Object(many));
    assert_eq!(found.len(), REASONS_MAX);
    assert!(found.iter().all(|reason| reason.len() <= REASON_BYTES_MAX));
}

proptest! {
    #[test]
    fn any_text_is_answered_without_panic_and_within_bounds(text in "\\PC{0,200}") {
        let error = VideoRequest::parse(&text);
        if let Err(error) = error {
            prop_assert!(error.reasons().iter().all(|reason| reason.to_string().len() <= REASON_BYTES_MAX));
        }
    }

    #[test]
    fn what_is_accepted_is_stored_and_read_the_same(prompt in "[ -~é語😀\t\n\r]{1,80}", id in "[A-Za-z0-9_-]{1,64}") {
        if let Ok(request) = VideoRequest::from_value(&json!({ "prompt": prompt, "id": id })) {
            let again: VideoRequest = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
            prop_assert_eq!(again.content(), request.content());
            prop_assert_eq!(again, request);
        }
    }
}
