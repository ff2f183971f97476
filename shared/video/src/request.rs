//! What a customer asks for, parsed once from a JSON submission.
//!
//! ```text
//! bytes --JSON object?--> no: Unreadable (kept in the rejected queue)
//!            | yes
//!            v
//!   every field checked --mistakes--> Invalid (answered as REJECTED, every reason at once)
//!            | none
//!            v
//!       VideoRequest (can't be wrong any more)
//! ```
//!
//! Text that SQS would refuse in a message (control characters, U+FFFE, U+FFFF) is refused, not stripped: a prompt changed in silence is
//! not what the customer wrote. Only line ends are unified (`\r\n` and `\r` become `\n`) and outer white space is cut.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reason::{self, Reason};
use crate::voice::{Quality, Voice};

/// The longest prompt, in characters (Unicode scalar values), after trimming.
pub const PROMPT_CHARS_MAX: usize = 4_000;

/// The longest title, in characters: two lines of the title card.
pub const TITLE_CHARS_MAX: usize = 200;

/// The longest id and tenant, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// The tenant of a submission that names none.
pub const TENANT_DEFAULT: &str = "default";

/// The fields of a submission.
pub const FIELDS: [&str; 7] = ["prompt", "id", "title", "voice", "quality", "tenant", "approve"];

/// A valid request for one video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoRequest {
    id: Option<String>,
    prompt: String,
    title: Option<String>,
    voice: Option<Voice>,
    quality: Quality,
    tenant: String,
    approve: bool,
}

/// Why a submission is no [`VideoRequest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or no JSON object: nothing in it can be trusted to name a job.
    #[error("the submission can't be read: {0}")]
    Unreadable(Reason),
    /// A JSON object with mistakes: it is answered, under an id derived from the message.
    #[error("the submission is invalid: {}", list(.reasons))]
    Invalid {
        /// Every mistake, at most [`REASONS_MAX`](crate::reason::REASONS_MAX).
        reasons: Vec<Reason>,
        /// The id that the submission asked for, if it is a valid id.
        requested_id: Option<String>,
        /// The tenant that the submission named, or the default when it named no valid one.
        tenant: String,
    },
}

impl RequestError {
    /// Every reason, whichever kind of error it is.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            RequestError::Unreadable(reason) => std::slice::from_ref(reason),
            RequestError::Invalid { reasons, .. } => reasons,
        }
    }
}

impl VideoRequest {
    /// Reads a submission from the text of a message.
    ///
    /// # Errors
    /// [`RequestError::Unreadable`] when the text is not a JSON object; [`RequestError::Invalid`] with every mistake otherwise.
    pub fn parse(text: &str) -> Result<VideoRequest, RequestError> {
        let value = serde_json::from_str(text).map_err(|error| {
            RequestError::Unreadable(Reason::new(
                "",
                format!("this is not JSON ({error}); send one object such as {{\"prompt\": \"…\"}}"),
            ))
        })?;
        VideoRequest::from_value(&value)
    }

    /// Reads a submission that is JSON already.
    ///
    /// # Errors
    /// As [`VideoRequest::parse`].
    pub fn from_value(value: &Value) -> Result<VideoRequest, RequestError> {
        let Value::Object(object) = value else {
            let what = format!("this is {}, not a JSON object; send one such as {{\"prompt\": \"…\"}}", kind(value));
            return Err(RequestError::Unreadable(Reason::new("", what)));
        };
        Reading { object, reasons: Vec::new() }.read()
    }

    /// The id that the customer gave; the same id with the same content is the same job.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What the video is to explain: 1 to [`PROMPT_CHARS_MAX`] characters, trimmed.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// The title that the customer gave, one line.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The voice: as asked, else by the prompt's writing system (see [`Voice::for_text`]).
    pub fn voice(&self) -> Voice {
        self.voice.unwrap_or_else(|| Voice::for_text(&self.prompt))
    }

    /// The voice that was asked for by name, if any.
    pub fn asked_voice(&self) -> Option<Voice> {
        self.voice
    }

    /// The picture's quality.
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// Whose job it is.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Whether the job waits after its script until it is approved.
    pub fn approve(&self) -> bool {
        self.approve
    }

    /// The request without its id, in one stable serialisation: what "the same content" means, and what is hashed.
    ///
    /// Fields have a fixed order and defaults are written out, so `{"prompt":"x"}` and `{"tenant":"default","prompt":" x "}` are the same.
    pub fn content(&self) -> String {
        let stored = Stored { id: None, ..self.into() };
        // A struct of strings has no way to fail; the fallback keeps the function total.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// The SHA-256 of [`VideoRequest::content`]: what tells "the same again" from "another content under the same id".
    #[must_use]
    pub fn content_hash(&self) -> String {
        qsketch_core::digest::sha256(self.content().as_bytes())
    }
}

/// The stored form; its field order is the serialisation that is hashed, so it never changes.
#[derive(Serialize)]
struct Stored<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<Voice>,
    quality: Quality,
    tenant: &'a str,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    approve: bool,
}

impl<'a> From<&'a VideoRequest> for Stored<'a> {
    fn from(request: &'a VideoRequest) -> Stored<'a> {
        Stored {
            id: request.id.as_deref(),
            prompt: &request.prompt,
            title: request.title.as_deref(),
            voice: request.voice,
            quality: request.quality,
            tenant: &request.tenant,
            approve: request.approve,
        }
    }
}

impl Serialize for VideoRequest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Stored::from(self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for VideoRequest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        VideoRequest::from_value(&value).map_err(serde::de::Error::custom)
    }
}

/// The submission as a JSON Schema (draft 2020-12), as published in `schema/submission.schema.json`.
///
/// Whatever it accepts, the parser accepts, save a prompt of nothing but invisible characters. The parser also forgives outer white
/// space that the schema counts.
pub fn submission_schema() -> Value {
    let names: Vec<&str> = Voice::ALL.iter().map(|voice| voice.name()).collect();
    let qualities: Vec<&str> = Quality::ALL.iter().map(|quality| quality.name()).collect();
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A submission to qsketch's intake queue",
        "description": "One SQS message body: a prompt that becomes a narrated video.",
        "type": "object",
        "required": ["prompt"],
        "additionalProperties": false,
        "properties": {
            "prompt": {
                "description": "What the video is to explain.",
                "type": "string", "minLength": 1, "maxLength": PROMPT_CHARS_MAX,
                "allOf": [
                    { "pattern": "\\S" },
                    { "pattern": "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F\\uFFFE\\uFFFF]*$" }
                ]
            },
            "id": {
                "description": "Your own id of the job. The same id again with the same content is the same job; with other content it is refused.",
                "type": "string", "pattern": format!("^[A-Za-z0-9_-]{{1,{NAME_CHARS_MAX}}}$")
            },
            "title": {
                "description": "The title card's text, one line. Without it the lesson or the prompt gives the title.",
                "type": "string", "minLength": 1, "maxLength": TITLE_CHARS_MAX,
                "allOf": [{ "pattern": "\\S" }, { "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F\\uFFFE\\uFFFF]*$" }]
            },
            "voice": {
                "description": "Who narrates. Without it the prompt's writing system decides: en-us for Latin letters, zh, ja, ko or ar for theirs.",
                "type": "string", "enum": names
            },
            "quality": {
                "description": "Height of the picture and frames a second.",
                "type": "string", "enum": qualities, "default": Quality::default().name()
            },
            "tenant": {
                "description": "Whose job it is.",
                "type": "string", "pattern": format!("^[A-Za-z0-9_-]{{1,{NAME_CHARS_MAX}}}$"), "default": TENANT_DEFAULT
            },
            "approve": {
                "description": "Whether the job waits after its script until it is approved (qsketch approve) or rejected.",
                "type": "boolean", "default": false
            }
        }
    })
}

/// One reading of one object: takes the fields one by one and collects every mistake.
struct Reading<'a> {
    object: &'a Map<String, Value>,
    reasons: Vec<Reason>,
}

impl Reading<'_> {
    fn read(mut self) -> Result<VideoRequest, RequestError> {
        let prompt = self.prompt();
        let id = self.name("id");
        let title = self.title();
        let voice = self.choice("voice", Voice::named, &Voice::ALL.map(Voice::name));
        let quality = self.choice("quality", Quality::named, &Quality::ALL.map(Quality::name)).unwrap_or_default();
        let tenant = self.name("tenant").unwrap_or_else(|| TENANT_DEFAULT.to_owned());
        let approve = self.flag("approve");
        self.unknown();
        match prompt {
            Some(prompt) if self.reasons.is_empty() => {
                Ok(VideoRequest { id, prompt, title, voice, quality, tenant, approve })
            }
            _ => Err(RequestError::Invalid { reasons: reason::bounded(self.reasons), requested_id: id, tenant }),
        }
    }

    fn refuse(&mut self, field: &str, problem: impl AsRef<str>) {
        self.reasons.push(Reason::new(field, problem));
    }

    fn string(&mut self, field: &str) -> Option<&str> {
        match self.object.get(field)? {
            Value::String(text) => Some(text),
            other => {
                let problem = format!("must be a string, but is {}", kind(other));
                self.refuse(field, problem);
                None
            }
        }
    }

    fn flag(&mut self, field: &str) -> bool {
        match self.object.get(field) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                let problem = format!("must be true or false, but is {}", kind(other));
                self.refuse(field, problem);
                false
            }
        }
    }

    fn prompt(&mut self) -> Option<String> {
        if !self.object.contains_key("prompt") {
            self.refuse(
                "prompt",
                format!("is missing; say what the video is to explain, in 1 to {PROMPT_CHARS_MAX} characters"),
            );
            return None;
        }
        let text = unified(self.string("prompt")?);
        self.text("prompt", text, PROMPT_CHARS_MAX, |c| c.is_control() && !matches!(c, '\t' | '\n'))
    }

    fn title(&mut self) -> Option<String> {
        let text = self.string("title")?.trim().to_owned();
        self.text("title", text, TITLE_CHARS_MAX, char::is_control)
    }

    fn text(&mut self, field: &str, text: String, chars_max: usize, refused: fn(char) -> bool) -> Option<String> {
        let before = self.reasons.len();
        if !text.chars().any(is_visible) {
            self.refuse(field, format!("is empty; give 1 to {chars_max} characters of text"));
        }
        let chars = text.chars().count();
        if chars > chars_max {
            self.refuse(field, format!("has {chars} characters; shorten it to at most {chars_max}"));
        }
        if let Some((at, c)) =
            text.chars().enumerate().find(|&(_, c)| refused(c) || matches!(c, '\u{fffe}' | '\u{ffff}'))
        {
            self.refuse(
                field,
                format!(
                    "holds U+{:04X} at character {}; remove control characters{}",
                    c as u32,
                    at + 1,
                    allowed(field)
                ),
            );
        }
        (self.reasons.len() == before).then_some(text)
    }

    fn name(&mut self, field: &str) -> Option<String> {
        let text = self.string(field)?.to_owned();
        if is_name(&text) {
            return Some(text);
        }
        let shown = reason::printable(&text, 24);
        self.refuse(field, format!("is {shown:?}; use 1 to {NAME_CHARS_MAX} letters A-Z a-z, digits, _ or -"));
        None
    }

    fn choice<T>(&mut self, field: &str, named: fn(&str) -> Option<T>, names: &[&str]) -> Option<T> {
        let text = self.string(field)?.to_owned();
        let found = named(&text);
        if found.is_none() {
            let shown = reason::printable(&text, 24);
            self.refuse(field, format!("is {shown:?}; choose one of {}", names.join(", ")));
        }
        found
    }

    fn unknown(&mut self) {
        let unknown: Vec<&String> = self.object.keys().filter(|key| !FIELDS.contains(&key.as_str())).collect();
        for key in unknown {
            self.refuse(key, format!("is no field of a submission; remove it or use one of {}", FIELDS.join(", ")));
        }
    }
}

/// Whether the text is `[A-Za-z0-9_-]{1,64}`: what ids and tenants are made of.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn allowed(field: &str) -> &'static str {
    if field == "prompt" { " (tabs and line ends are fine)" } else { " and line ends" }
}

fn unified(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

/// Whether a character leaves a mark: no white space, no control character, none of the common characters without a glyph.
fn is_visible(c: char) -> bool {
    !(c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fffe}' | '\u{ffff}'))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn list(reasons: &[Reason]) -> String {
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
