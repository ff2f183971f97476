//! How an attempt failed, and what may be done about it.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::ERROR_BYTES_MAX;
use crate::time::Time;

/// An error text as an item keeps it: at most [`ERROR_BYTES_MAX`] bytes, on one line, cut with `…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct ErrorText(String);

impl ErrorText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ErrorText {
    fn from(text: &str) -> Self {
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.len() <= ERROR_BYTES_MAX {
            return Self(line);
        }
        const MARK: &str = "…";
        let mut end = ERROR_BYTES_MAX - MARK.len();
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        Self(format!("{}{MARK}", &line[..end]))
    }
}

impl From<String> for ErrorText {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Try again, by the step's retry policy; not before `after` where the other side named a delay.
    Retry {
        /// The delay that the other side asked for (`Retry-After`).
        after: Option<Duration>,
    },
    /// Try again later: the other side has too much to do (HTTP 429, 503 or 529), which is no fault of the attempt. It is
    /// not charged; see [`crate::limits::OVERLOADS_MAX`].
    Overload {
        /// The delay that the other side asked for (`Retry-After`).
        after: Option<Duration>,
    },
    /// Try again at this time: its turn comes then, by a limit of ours. It is counted like an overload, and not charged.
    Later {
        /// When.
        at: Time,
    },
    /// Trying again can't help.
    Fail,
}

/// The error type of an attempt whose handler panicked.
pub const PANIC: &str = "Panic";

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The error's type, in one word such as `RenderFailed`: what a retry policy's `non_retryable_error_types` names.
    pub error_type: String,
    /// What happened and what to do, for a person.
    pub error: ErrorText,
    /// What may be done about it.
    pub remedy: Remedy,
}

impl Failure {
    /// A failure that the retry policy may try again.
    #[must_use]
    pub fn retry(error_type: &str, error: impl fmt::Display) -> Self {
        Self::new(error_type, error, Remedy::Retry { after: None })
    }

    /// An attempt that met a service with too much to do, and the delay that it asked for.
    #[must_use]
    pub fn overload(error_type: &str, error: impl fmt::Display, after: Option<Duration>) -> Self {
        Self::new(error_type, error, Remedy::Overload { after })
    }

    /// An attempt whose turn comes at this time.
    #[must_use]
    pub fn later(error_type: &str, error: impl fmt::Display, at: Time) -> Self {
        Self::new(error_type, error, Remedy::Later { at })
    }

    /// A failure that no repetition mends.
    #[must_use]
    pub fn fail(error_type: &str, error: impl fmt::Display) -> Self {
        Self::new(error_type, error, Remedy::Fail)
    }

    /// A failure with its remedy.
    #[must_use]
    pub fn new(error_type: &str, error: impl fmt::Display, remedy: Remedy) -> Self {
        Self { error_type: error_type.to_owned(), error: ErrorText::from(error.to_string()), remedy }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.error)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_error_text_is_one_bounded_line(text in ".{0,400}") {
            let kept = ErrorText::from(text.as_str());
            prop_assert!(kept.as_str().len() <= ERROR_BYTES_MAX);
            prop_assert!(!kept.as_str().contains('\n'));
            prop_assert_eq!(ErrorText::from(kept.as_str()), kept);
        }
    }
}
