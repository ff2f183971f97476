//! Why a document was refused: one sentence per mistake, each saying what to do.
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest [`Reason`], in bytes, as it is displayed: sixteen of them still fit one item and one message.
pub const REASON_BYTES_MAX: usize = 200;

/// The most reasons that one answer carries; the last one says how many more there are.
pub const REASONS_MAX: usize = 16;

/// The longest field name that is repeated to the customer, in characters.
const FIELD_CHARS_MAX: usize = 40;

/// The longest field name that is repeated, in bytes.
const FIELD_BYTES_MAX: usize = 64;

/// One mistake in a document: where it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The field, as a dotted path (`scenes.2.code`); empty for the document as a whole.
    pub field: String,
    /// What is wrong and what is allowed, in one sentence.
    pub problem: String,
}

impl Reason {
    /// Makes a reason of at most [`REASON_BYTES_MAX`] bytes; longer text is cut with an ellipsis.
    pub fn new(field: &str, problem: impl AsRef<str>) -> Reason {
        let field = cut_bytes(&printable(field, FIELD_CHARS_MAX), FIELD_BYTES_MAX);
        let problem = cut_bytes(problem.as_ref(), REASON_BYTES_MAX - field.len() - ": ".len());
        Reason { field, problem }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.problem) } else { write!(f, "{}: {}", self.field, self.problem) }
    }
}

/// Keeps at most [`REASONS_MAX`] reasons; what is left out is counted in the last one.
pub(crate) fn bounded(mut reasons: Vec<Reason>) -> Vec<Reason> {
    if reasons.len() > REASONS_MAX {
        let left = reasons.len() - (REASONS_MAX - 1);
        reasons.truncate(REASONS_MAX - 1);
        reasons.push(Reason::new("", format!("and {left} more mistakes; mend these first")));
    }
    reasons
}

/// The text with control characters escaped, cut at `chars_max` characters.
pub(crate) fn printable(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == chars_max {
            out.push('…');
            break;
        }
        if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
    }
    out
}

fn cut_bytes(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let ellipsis = '…';
    let mut end = bytes_max.saturating_sub(ellipsis.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ellipsis}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_never_exceeds_its_bound_whatever_it_repeats() {
        for text in ["x".repeat(10_000), "語".repeat(5_000), "\u{7}".repeat(900), "😀".repeat(3_000)] {
            let reason = Reason::new(&text, &text).to_string();
            assert!(reason.len() <= REASON_BYTES_MAX, "{}", reason.len());
        }
        assert_eq!(Reason::new("prompt", "say more").to_string(), "prompt: say more");
    }

    #[test]
    fn many_reasons_are_counted_in_the_last_one() {
        let reasons = bounded((0..40).map(|n| Reason::new(&n.to_string(), "wrong")).collect());
        assert_eq!(reasons.len(), REASONS_MAX);
        assert!(reasons[REASONS_MAX - 1].problem.starts_with("and 25 more"));
    }
}
