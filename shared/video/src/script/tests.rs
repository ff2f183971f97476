use serde_json::json;

use super::*;

fn document() -> Value {
    json!({
        "layout": 1, "title": "Tea", "prompt": "Tell me about tea", "quality": "480p15", "voice": "en-us", "language": "en",
        "provider": "template", "scenes": [{ "title": "Hot", "narration": "It is hot.", "class_name": "Hot", "code": "class Hot(Scene):\n    pass\n" }]
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut document = document();
    *document.pointer_mut(path).unwrap() = value;
    document
}

fn reasons(document: &Value) -> Vec<String> {
    Script::parse(&document.to_string())
        .map_or_else(|reasons| reasons.iter().map(Reason::to_string).collect(), |_| Vec::new())
}

#[test]
fn a_script_is_read_again_as_it_was_written() {
    let script = Script::parse(&document().to_string()).unwrap();
    assert_eq!(Script::parse(&script.to_json()).unwrap(), script);
}

#[test]
fn another_layout_is_refused_before_its_shape_is_looked_at() {
    assert_eq!(reasons(&json!({ "layout": 2, "acts": [] })), ["layout: is 2; this code reads layout 1"]);
}

#[test]
fn every_bound_is_named_at_once() {
    let mut document = document();
    document["title"] = json!("");
    document["scenes"][0]["class_name"] = json!("--help");
    document["scenes"][0]["narration"] = json!("x".repeat(NARRATION_CHARS_MAX + 1));
    document["scenes"][0]["code"] = json!("x = 1");
    assert_eq!(
        reasons(&document),
        [
            "title: has 0 characters; give 1 to 200, not all white space",
            "scenes.0.narration: has 1201 characters; give 1 to 1200, not all white space",
            "scenes.0.class_name: is \"--help\"; use a Python class name of at most 64 ASCII letters, digits, _",
            "scenes.0.code: does not define the scene's class at its outermost level",
        ]
    );
}

#[test]
fn each_bound_can_fail() {
    let scene = document()["scenes"][0].clone();
    for (path, value) in [
        ("/scenes", json!([])),
        ("/scenes", json!(vec![scene; SCENES_MAX + 1])),
        ("/quality", json!("8k")),
        ("/voice", json!("nobody")),
        ("/language", json!("xx")),
        ("/provider", json!("")),
        ("/prompt", json!("x".repeat(PROMPT_CHARS_MAX + 1))),
        ("/scenes/0/code", json!(format!("class Hot(Scene): pass\n#{}", "x".repeat(CODE_BYTES_MAX)))),
        ("/scenes/0/title", json!(" ")),
        ("/scenes/0", json!({ "title": "x" })),
    ] {
        assert_eq!(reasons(&with(path, value)).len(), 1, "{path}");
    }
    let mut extra = document();
    extra["extra"] = json!(1);
    assert_eq!(reasons(&extra).len(), 1);
    assert_eq!(reasons(&json!("text")).len(), 1);
}

#[test]
fn a_class_name_is_never_an_option_a_path_or_code() {
    for good in ["Hot", "_A1", "A"] {
        assert!(is_class_name(good));
    }
    for bad in ["", "-h", "1A", "a b", "A;B", "../A", "Ä", "A\n", &"A".repeat(65)] {
        assert!(!is_class_name(bad), "{bad:?}");
    }
}

#[test]
fn a_class_inside_another_word_does_not_count() {
    assert!(defines("class  Hot (Scene):", "Hot") && defines("class Hot:", "Hot"));
    assert!(
        !defines("class Hotter(Scene):", "Hot")
            && !defines("    class Hot(Scene):", "Hot")
            && !defines("# class Hot(Scene):", "Hot")
    );
}

#[test]
fn an_error_says_what_failed_and_whether_to_try_again() {
    let error = ScriptError::invalid(&[Reason::new("title", "is empty")], Retry::Policy);
    assert_eq!(error.to_string(), "InvalidScript: title: is empty");
    assert_eq!(error.retry, Retry::Policy);
}
