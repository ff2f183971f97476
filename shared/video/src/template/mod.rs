//! The provider without a model: it fits a prompt to one of the hand-made lessons, or draws a general lesson from the prompt itself.
//!
//! ```text
//! prompt --words of a lesson's vocabulary, English voice--> enough? --yes--> that lesson
//!                                                              | no
//!                                                              v
//!                                        general lesson: title card, points, key words or questions, in short
//! ```
//!
//! Invariants: text from outside goes into Python only as a JSON string, which is also a Python string (`text_from_outside_stays_text`);
//! every script keeps the bounds of [`Script`] whatever the prompt (`any_prompt_becomes_a_valid_script`).
mod code;
mod general;
mod lessons;

use async_trait::async_trait;

pub use lessons::{Lesson, lessons};

use crate::request::VideoRequest;
use crate::script::{LAYOUT, Retry, Script, ScriptError, ScriptProvider};
use crate::voice::Language;

/// The name of [`TemplateProvider`] in scripts and logs.
pub const TEMPLATE: &str = "template";

/// The name of the lesson that is drawn from the prompt itself.
pub const GENERAL: &str = "general";

/// How much of a lesson's vocabulary a prompt must name: one word that only this lesson has, or two that it shares.
const SCORE_MIN: u32 = 3;

/// Writes scripts from templates.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemplateProvider;

impl TemplateProvider {
    /// Writes the script for a request, at once: no network, no randomness, the same script for the same request.
    ///
    /// # Errors
    /// None that a valid request can cause; a mistake in a template is reported as one that no retry mends.
    pub fn script(&self, request: &VideoRequest) -> Result<Script, ScriptError> {
        let voice = request.voice();
        let chosen = choose(request);
        let (lesson, title, scenes, mut notes) = match chosen {
            Some(lesson) => (lesson.name.as_str(), lesson.title.clone(), lesson.scenes(voice), Vec::new()),
            None => {
                let (title, scenes, notes) = general::lesson(request);
                (GENERAL, title, scenes, notes)
            }
        };
        notes.insert(
            0,
            format!(
                "No model wrote this script: the template provider chose its lesson '{lesson}' by the prompt's words."
            ),
        );
        let title = request.title().map_or(title, str::to_owned);
        let script = Script {
            layout: LAYOUT,
            title,
            prompt: request.prompt().to_owned(),
            quality: request.quality(),
            voice,
            language: voice.language(),
            provider: TEMPLATE.to_owned(),
            lesson: Some(lesson.to_owned()),
            notes,
            scenes,
        };
        script.checked().map_err(|reasons| ScriptError::invalid(&reasons, Retry::Never))
    }
}

#[async_trait]
impl ScriptProvider for TemplateProvider {
    fn name(&self) -> &'static str {
        TEMPLATE
    }

    async fn write(&self, request: &VideoRequest) -> Result<Script, ScriptError> {
        self.script(request)
    }
}

/// The hand-made lesson that fits best, if one fits at all. They speak English, so another language gets the general lesson.
fn choose(request: &VideoRequest) -> Option<&'static Lesson> {
    if request.voice().language() != Language::En {
        return None;
    }
    let text = folded(&format!("{} {}", request.title().unwrap_or_default(), request.prompt()));
    let scored = lessons().iter().map(|lesson| (lesson.score(&text), lesson));
    // The first of equals: the order of the lessons decides, not a hash map's.
    let best = scored.rev().max_by_key(|(score, _)| *score)?;
    (best.0 >= SCORE_MIN).then_some(best.1)
}

/// A text for matching: lower case, without the commonest diacritics, words parted by single spaces, a space at both ends.
pub(crate) fn folded(text: &str) -> String {
    let mut out = String::from(" ");
    for c in text.chars().flat_map(char::to_lowercase) {
        let c = match c {
            'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'ā' => 'a',
            'é' | 'è' | 'ê' | 'ë' | 'ē' => 'e',
            'í' | 'ì' | 'î' | 'ï' | 'ī' => 'i',
            'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ō' => 'o',
            'ú' | 'ù' | 'û' | 'ü' | 'ū' => 'u',
            'ç' => 'c',
            'ñ' => 'n',
            'ý' | 'ÿ' => 'y',
            c if ('\u{300}'..='\u{36f}').contains(&c) => continue,
            c if c.is_alphanumeric() || matches!(c, '^' | '²' | '/' | '(' | ')') => c,
            _ => ' ',
        };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    out
}

#[cfg(test)]
mod tests;
