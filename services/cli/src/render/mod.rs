//! Words and colours: pure functions from what is known to text.

mod dlq;
mod doctor;
mod line;
mod list;
mod reconcile;
mod redrive;
mod story;

use core::time::Duration;

use qsketch_core::JobStatus;
use qsketch_core::story::TaskStatus;

pub use dlq::{handled, letter, letters};
pub use doctor::checks;
pub use line::{change, task_message};
pub use list::{after_list, list};
pub use reconcile::{after_sweep, swept};
pub use redrive::redrive_plan;
pub use story::{crowd_counts, crowd_name, story, why_not_completed};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// It is not.
    Plain,
    /// It is, with ANSI sequences.
    Colours,
}

impl Paint {
    /// What went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What went wrong.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is worth a look.
    #[must_use]
    pub fn notable(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What is on its way.
    #[must_use]
    pub fn busy(self, text: &str) -> String {
        self.with("36", text)
    }

    /// What stands in the background.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What stands out.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colours if text.is_empty() => String::new(),
            Self::Colours => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    pub(crate) fn task(self, status: TaskStatus, text: &str) -> String {
        match status {
            TaskStatus::Completed => self.good(text),
            TaskStatus::Failed | TaskStatus::TimedOut => self.bad(text),
            TaskStatus::Running => self.busy(text),
            TaskStatus::Scheduled => self.notable(text),
            TaskStatus::Waiting | TaskStatus::Canceled => self.faint(text),
        }
    }

    pub(crate) fn job(self, status: JobStatus, text: &str) -> String {
        match status {
            JobStatus::Completed => self.good(text),
            JobStatus::Queued => self.notable(text),
            JobStatus::Running => self.busy(text),
            JobStatus::Failed | JobStatus::TimedOut | JobStatus::Rejected => self.bad(text),
            JobStatus::Canceled => self.faint(text),
        }
    }
}

/// A length of time for people: `0.2 s`, `41.2 s`, `1 min 05 s`, `2 h 03 min`.
#[must_use]
pub fn duration(span: Duration) -> String {
    // Rounded once, so that 59.97 s does not become 60.0 s.
    let tenths = (span.as_millis() + 50) / 100;
    let secs = (span.as_millis() + 500) / 1_000;
    match (tenths, secs) {
        (0..600, _) => format!("{}.{} s", tenths / 10, tenths % 10),
        (_, 0..3_600) => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3_600, secs / 60 % 60),
    }
}

/// Text from outside on one line, without what a terminal would obey.
#[must_use]
pub fn line_of(text: &str) -> String {
    let plain: String = text.chars().map(|c| if is_obeyed(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text from outside with its lines, without what a terminal would obey.
#[must_use]
pub fn lines_of(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.peek() == Some(&'[') {
            // A control sequence ends with its first character from @ to ~.
            rest.next();
            let _ = rest.find(|c| ('@'..='~').contains(c));
        } else if matches!(c, '\n' | '\t') || !is_obeyed(c) {
            found.push(c);
        }
    }
    found
}

/// Control characters, and those that turn the writing direction of a whole line.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text, cut to a number of characters.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_rounded_once() {
        let of = |millis| duration(Duration::from_millis(millis));
        assert_eq!(
            [of(0), of(149), of(41_160), of(59_949), of(59_970), of(65_400), of(3_599_600), of(7_380_000)],
            ["0.0 s", "0.1 s", "41.2 s", "59.9 s", "1 min 00 s", "1 min 05 s", "1 h 00 min", "2 h 03 min"]
        );
    }

    #[test]
    fn text_from_outside_gives_the_terminal_no_orders() {
        assert_eq!(line_of("a\n\tb\u{1b}[2J c\u{202e}d"), "a b [2J c d");
        assert_eq!(lines_of("one\u{1b}[31m red\u{1b}[0m\r\ntwo\tx\u{7}"), "one red\ntwo\tx");
        assert_eq!(lines_of("cut \u{1b}["), "cut ");
    }
}
