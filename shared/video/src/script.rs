//! The script: one versioned JSON document that says what each scene shows and says, and the port of those who write one.
use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reason::{self, Reason};
use crate::request::{PROMPT_CHARS_MAX, TITLE_CHARS_MAX, VideoRequest};
use crate::voice::{Language, Quality, Voice};

/// The layout of the script documents that this code writes and reads.
pub const LAYOUT: u32 = 1;

/// The most scenes of one script: eight scenes of half a minute are a four-minute video, and two tasks each.
pub const SCENES_MAX: usize = 8;

const _: () =
    assert!(SCENES_MAX <= qsketch_core::limits::WIDTH_MAX as usize, "each scene is an element of a mapped step");

/// The longest narration of one scene, in characters: about 80 s of English. A longer one belongs into two scenes.
pub const NARRATION_CHARS_MAX: usize = 1_200;

/// The longest code of one scene, in bytes. Eight of them, with the rest of the script, stay below 1 MiB.
pub const CODE_BYTES_MAX: usize = 96 * 1024;

/// The longest class name, in characters.
pub const CLASS_NAME_CHARS_MAX: usize = 64;

/// The most notes, and the longest one in characters.
pub const NOTES_MAX: usize = 8;
/// The longest note, in characters.
pub const NOTE_CHARS_MAX: usize = 300;

/// A video's script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The layout of this document; [`LAYOUT`].
    pub layout: u32,
    /// The video's title.
    pub title: String,
    /// The prompt that it answers.
    pub prompt: String,
    /// The picture's quality.
    pub quality: Quality,
    /// Who narrates.
    pub voice: Voice,
    /// The narration's language.
    pub language: Language,
    /// Who wrote the script: [`ScriptProvider::name`].
    pub provider: String,
    /// The lesson that a template provider chose; absent where a model wrote the scenes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<String>,
    /// What a reader of the job's story must know about how the script came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The scenes, in the order of the video.
    pub scenes: Vec<Scene>,
}

/// One scene: what is said, and the Manim file that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// The scene's heading, as a chapter mark.
    pub title: String,
    /// What is said, as captions show it.
    pub narration: String,
    /// The Python class that Manim renders.
    pub class_name: String,
    /// A complete Python file.
    pub code: String,
}

impl Script {
    /// Reads a script document and checks every bound.
    ///
    /// # Errors
    /// Every mistake, at most [`REASONS_MAX`](crate::reason::REASONS_MAX).
    pub fn parse(text: &str) -> Result<Script, Vec<Reason>> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| vec![Reason::new("", format!("the script is not JSON: {error}"))])?;
        if let Some(layout) = value.get("layout").filter(|layout| **layout != LAYOUT) {
            return Err(vec![Reason::new("layout", format!("is {layout}; this code reads layout {LAYOUT}"))]);
        }
        let script: Script = serde_json::from_value(value)
            .map_err(|error| vec![Reason::new("", format!("the script misses its shape: {error}"))])?;
        script.checked()
    }

    /// Gives the script back when every bound holds.
    ///
    /// # Errors
    /// As [`Script::parse`].
    pub fn checked(self) -> Result<Script, Vec<Reason>> {
        let mut reasons = Vec::new();
        let mut refuse = |field: &str, problem: String| reasons.push(Reason::new(field, problem));
        if self.layout != LAYOUT {
            refuse("layout", format!("is {}; this code reads layout {LAYOUT}", self.layout));
        }
        between(&mut refuse, "title", &self.title, TITLE_CHARS_MAX);
        between(&mut refuse, "prompt", &self.prompt, PROMPT_CHARS_MAX);
        between(&mut refuse, "provider", &self.provider, CLASS_NAME_CHARS_MAX);
        if let Some(lesson) = &self.lesson {
            between(&mut refuse, "lesson", lesson, CLASS_NAME_CHARS_MAX);
        }
        if self.notes.len() > NOTES_MAX {
            refuse("notes", format!("has {} entries; at most {NOTES_MAX}", self.notes.len()));
        }
        for (n, note) in self.notes.iter().enumerate() {
            between(&mut refuse, &format!("notes.{n}"), note, NOTE_CHARS_MAX);
        }
        if !(1..=SCENES_MAX).contains(&self.scenes.len()) {
            refuse("scenes", format!("has {} scenes; give 1 to {SCENES_MAX}", self.scenes.len()));
        }
        for (n, scene) in self.scenes.iter().enumerate() {
            scene.check(n, &mut refuse);
        }
        if reasons.is_empty() { Ok(self) } else { Err(reason::bounded(reasons)) }
    }

    /// The document as it is stored.
    pub fn to_json(&self) -> String {
        // A struct of strings has no way to fail; the fallback keeps the function total.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Scene {
    fn check(&self, n: usize, refuse: &mut impl FnMut(&str, String)) {
        between(refuse, &format!("scenes.{n}.title"), &self.title, TITLE_CHARS_MAX);
        between(refuse, &format!("scenes.{n}.narration"), &self.narration, NARRATION_CHARS_MAX);
        if !is_class_name(&self.class_name) {
            let shown = reason::printable(&self.class_name, 24);
            refuse(
                &format!("scenes.{n}.class_name"),
                format!(
                    "is {shown:?}; use a Python class name of at most {CLASS_NAME_CHARS_MAX} ASCII letters, digits, _"
                ),
            );
        }
        let bytes = self.code.len();
        if self.code.trim().is_empty() || bytes > CODE_BYTES_MAX {
            refuse(
                &format!("scenes.{n}.code"),
                format!("has {bytes} bytes; give a Python file of at most {CODE_BYTES_MAX}"),
            );
        } else if !defines(&self.code, &self.class_name) {
            refuse(&format!("scenes.{n}.code"), "does not define the scene's class at its outermost level".to_owned());
        }
    }
}

/// Whoever writes scripts: a template, a model over the network.
#[async_trait]
pub trait ScriptProvider: Send + Sync {
    /// The name in scripts, logs and the job's story.
    fn name(&self) -> &'static str;

    /// Writes the script for a request.
    ///
    /// # Errors
    /// A [`ScriptError`], which says whether another try makes sense.
    async fn write(&self, request: &VideoRequest) -> Result<Script, ScriptError>;
}

/// Why no script was written, and whether to ask again.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ScriptError {
    /// The error's type, as retry policies name it: `OverloadedError`, `InvalidScript`.
    pub kind: &'static str,
    /// What failed, without the source's text.
    pub message: String,
    /// Whether another try makes sense.
    pub retry: Retry,
    /// What lay beneath.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// Whether another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: the same request would fail again.
    Never,
    /// Yes, as the step's retry policy has it.
    Policy,
    /// Yes, and not before this long from now: the provider said so.
    After(Duration),
    /// Yes, once the provider has less to do (HTTP 429, 503 or 529); not before this long from now where it said so.
    Overload(Option<Duration>),
}

impl ScriptError {
    /// A provider's script that breaks the bounds; a template's would do so again.
    pub fn invalid(reasons: &[Reason], retry: Retry) -> ScriptError {
        let message = reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ");
        ScriptError { kind: "InvalidScript", message, retry, source: None }
    }
}

/// The script as a JSON Schema (draft 2020-12), as published in `schema/script.schema.json`.
pub fn script_schema() -> Value {
    let voices = Voice::ALL.map(Voice::name);
    let qualities = Quality::ALL.map(Quality::name);
    let languages: std::collections::BTreeSet<&str> = Voice::ALL.iter().map(|voice| voice.language().tag()).collect();
    let text = |chars_max: usize, description: &str| {
        serde_json::json!({
            "description": description, "type": "string", "minLength": 1, "maxLength": chars_max, "pattern": "\\S"
        })
    };
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A qsketch script",
        "description": "What generate-script writes and render-manim, generate-tts and merge-upload read.",
        "type": "object",
        "required": ["layout", "title", "prompt", "quality", "voice", "language", "provider", "scenes"],
        "additionalProperties": false,
        "properties": {
            "layout": { "const": LAYOUT },
            "title": text(TITLE_CHARS_MAX, "The video's title."),
            "prompt": text(PROMPT_CHARS_MAX, "The prompt that it answers."),
            "quality": { "enum": qualities },
            "voice": { "enum": voices },
            "language": { "description": "The narration's language, a BCP 47 tag.", "enum": languages },
            "provider": text(CLASS_NAME_CHARS_MAX, "Who wrote the script."),
            "lesson": text(CLASS_NAME_CHARS_MAX, "The lesson that the template provider chose."),
            "notes": { "type": "array", "maxItems": NOTES_MAX, "items": text(NOTE_CHARS_MAX, "What a reader must know.") },
            "scenes": {
                "type": "array", "minItems": 1, "maxItems": SCENES_MAX,
                "items": {
                    "type": "object",
                    "required": ["title", "narration", "class_name", "code"],
                    "additionalProperties": false,
                    "properties": {
                        "title": text(TITLE_CHARS_MAX, "The scene's heading."),
                        "narration": text(NARRATION_CHARS_MAX, "What is said, as captions show it."),
                        "class_name": {
                            "description": "The Python class that Manim renders; the code defines it.",
                            "type": "string", "pattern": format!("^[A-Za-z_][A-Za-z0-9_]{{0,{}}}$", CLASS_NAME_CHARS_MAX - 1)
                        },
                        "code": text(CODE_BYTES_MAX, "A complete Python file; the bound is in bytes.")
                    }
                }
            }
        }
    })
}

/// Whether the text can stand on Manim's command line and in Python as a class name: ASCII only, so that it is never an option or a path.
pub fn is_class_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= CLASS_NAME_CHARS_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn defines(code: &str, class_name: &str) -> bool {
    code.lines().filter_map(|line| line.strip_prefix("class ")).any(|rest| {
        let rest = rest.trim_start();
        rest.strip_prefix(class_name).is_some_and(|after| after.trim_start().starts_with(['(', ':']))
    })
}

fn between(refuse: &mut impl FnMut(&str, String), field: &str, text: &str, chars_max: usize) {
    let chars = text.chars().count();
    if text.trim().is_empty() || chars > chars_max {
        refuse(field, format!("has {chars} characters; give 1 to {chars_max}, not all white space"));
    }
}

#[cfg(test)]
mod tests;
