//! Where words go: data to stdout, talk to stderr, in colours only where somebody sees them.

use std::io::{IsTerminal, Write};

use qsketch_runtime::config::Environment;
use serde::Serialize;

use crate::exit::Problem;
use crate::progress::JSON_LAYOUT;
use crate::render::Paint;

/// How this run speaks.
pub(crate) struct Output {
    /// Whether it speaks JSON.
    pub(crate) is_json: bool,
    /// Whether stderr is a terminal that can be drawn on.
    pub(crate) draws: bool,
    /// The colours of stdout.
    pub(crate) paint: Paint,
    paint_talk: Paint,
}

impl Output {
    pub(crate) fn new(is_json: bool, environment: &Environment) -> Self {
        let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        let is_dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        let paint =
            |is_terminal| if is_terminal && !is_set("NO_COLOR") && !is_dumb { Paint::Colours } else { Paint::Plain };
        let talk_is_seen = std::io::stderr().is_terminal();
        Self {
            is_json,
            draws: talk_is_seen && !is_json && !is_dumb,
            paint: paint(std::io::stdout().is_terminal()),
            paint_talk: paint(talk_is_seen),
        }
    }

    /// Data, as it is.
    pub(crate) fn data(&self, text: &str) -> Result<(), Problem> {
        written(std::io::stdout().lock().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()))
    }

    /// Data as JSON, on lines of its own.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_string_pretty(document).map_err(|error| Problem::Other(error.to_string()))?;
        self.data(&format!("{text}\n"))
    }

    /// Data as JSON, on one line.
    pub(crate) fn json_line(&self, document: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_string(document).map_err(|error| Problem::Other(error.to_string()))?;
        self.data(&format!("{text}\n"))
    }

    /// Talk, for people only.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_json {
            talk(text);
        }
    }

    /// A problem, in the words that were asked for.
    pub(crate) fn problem(&self, problem: &Problem) {
        if self.is_json {
            let document = Wrong {
                layout: JSON_LAYOUT,
                error: WrongInside {
                    code: problem.code(),
                    exit: problem.exit() as u8,
                    message: problem.message(),
                    reasons: problem.reasons(),
                },
            };
            talk(&serde_json::to_string(&document).unwrap_or_default());
            return;
        }
        let head = self.paint_talk.bad("qsketch:");
        match problem {
            Problem::Ops(qsketch_ops::OpsError::Invalid { reasons }) => {
                talk(&format!("{head} the submission is invalid, nothing was sent:"));
                reasons.iter().for_each(|reason| talk(&format!("  {}", crate::render::line_of(reason))));
            }
            other => talk(&format!("{head} {}", crate::render::line_of(&other.message()))),
        }
    }
}

#[derive(Serialize)]
struct Wrong<'a> {
    layout: u32,
    error: WrongInside<'a>,
}

#[derive(Serialize)]
struct WrongInside<'a> {
    code: &'a str,
    exit: u8,
    message: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
}

fn talk(text: &str) {
    // Where nobody listens any more there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A reader that went away has read enough: that is no problem.
fn written(result: std::io::Result<()>) -> Result<(), Problem> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::Other(format!("standard output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
