//! Names and ids, checked once where they enter.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} {text:?} is not valid: use {allowed}")]
pub struct IdError {
    what: &'static str,
    text: String,
    allowed: &'static str,
}

impl IdError {
    fn new(what: &'static str, text: &str, allowed: &'static str) -> Self {
        Self { what, text: text.chars().take(80).collect(), allowed }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(IdError::new($what, text, $allowed)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::try_from(text.as_str())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One run of a pipeline: 1 to 64 of `A-Z a-z 0-9 _ -`.
    JobId, "job id", "1 to 64 of the characters A-Z a-z 0-9 _ -", |text| word(text, 64)
);
text_id!(
    /// Whose job it is: 1 to 64 of `A-Z a-z 0-9 _ -`.
    Tenant, "tenant", "1 to 64 of the characters A-Z a-z 0-9 _ -", |text| word(text, 64)
);
text_id!(
    /// A node of the graph: 1 to 40 of `a-z 0-9 -`, starting with a letter. It is also the name of its queue.
    StepName, "step name", "1 to 40 of the characters a-z 0-9 -, starting with a letter", plain_name
);
text_id!(
    /// What a step waits for: 1 to 40 of `a-z 0-9 -`, starting with a letter.
    SignalName, "signal name", "1 to 40 of the characters a-z 0-9 -, starting with a letter", plain_name
);
text_id!(
    /// Who holds a lease: a nonce per delivery, never per process, so that two deliveries of one message into one
    /// process are two owners.
    Owner, "owner", "1 to 64 of the characters A-Z a-z 0-9 _ -", |text| word(text, 64)
);

text_id!(
    /// What a person's own books call a refund, such as a payment's id: 1 to 64 of `A-Z a-z 0-9 _ -`.
    Reference, "reference", "1 to 64 of the characters A-Z a-z 0-9 _ -", |text| word(text, 64)
);

text_id!(
    /// Whom a step asks, such as a model or a voice: 1 to 40 of `a-z 0-9 -`, starting with a letter.
    Provider, "provider", "1 to 40 of the characters a-z 0-9 -, starting with a letter", plain_name
);

fn plain_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Which of a step's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The step has one task.
    Only,
    /// The element of the list that the step maps over, from 0: `render-manim#2`.
    Element(u32),
    /// The finalizer of this closing: `notify@0`.
    Closing(u32),
}

/// A step of one job: `generate-script`, `render-manim#2` or `notify@0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    step: StepName,
    which: Which,
}

impl TaskId {
    /// The only task of `step`.
    #[must_use]
    pub const fn only(step: StepName) -> Self {
        Self { step, which: Which::Only }
    }

    /// The task of one element of the list that `step` maps over.
    #[must_use]
    pub const fn element(step: StepName, index: u32) -> Self {
        Self { step, which: Which::Element(index) }
    }

    /// The finalizer's task of one closing.
    #[must_use]
    pub const fn closing(step: StepName, closing: u32) -> Self {
        Self { step, which: Which::Closing(closing) }
    }

    /// The step that it belongs to.
    #[must_use]
    pub const fn step(&self) -> &StepName {
        &self.step
    }

    /// Which of the step's tasks it is.
    #[must_use]
    pub const fn which(&self) -> Which {
        self.which
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.which {
            Which::Only => write!(f, "{}", self.step),
            Which::Element(index) => write!(f, "{}#{index}", self.step),
            Which::Closing(closing) => write!(f, "{}@{closing}", self.step),
        }
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::new("task", text, "STEP, STEP#INDEX or STEP@CLOSING, as in render-manim#2");
        let number = |digits| canonical_number(digits).ok_or_else(bad);
        let (step, which) = match text.split_once(['#', '@']) {
            None => (text, Which::Only),
            Some((step, digits)) if text[step.len()..].starts_with('#') => (step, Which::Element(number(digits)?)),
            Some((step, digits)) => (step, Which::Closing(number(digits)?)),
        };
        Ok(Self { step: StepName::try_from(step).map_err(|_| bad())?, which })
    }
}

impl TryFrom<String> for TaskId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(task: TaskId) -> Self {
        task.to_string()
    }
}

/// A shard of a wide step's records: `render-manim@0/3` holds those of the elements from 96 to 127.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardId {
    step: StepName,
    generation: u32,
    index: u32,
}

impl ShardId {
    /// The shard of this number, from 0, of a step's records.
    #[must_use]
    pub const fn new(step: StepName, generation: u32, index: u32) -> Self {
        Self { step, generation, index }
    }

    /// The step whose records it holds.
    #[must_use]
    pub const fn step(&self) -> &StepName {
        &self.step
    }

    /// Which of the step's generations they belong to; a redrive from the step, or from one before it, raises it.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Its number, from 0.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.step, self.generation, self.index)
    }
}

impl FromStr for ShardId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::new("shard", text, "STEP@GENERATION/INDEX, as in render-manim@0/3");
        let (step, rest) = text.split_once('@').ok_or_else(bad)?;
        let (generation, index) = rest.split_once('/').ok_or_else(bad)?;
        let step = StepName::try_from(step).map_err(|_| bad())?;
        let number = |digits| canonical_number(digits).ok_or_else(bad);
        Ok(Self { step, generation: number(generation)?, index: number(index)? })
    }
}

impl TryFrom<String> for ShardId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ShardId> for String {
    fn from(shard: ShardId) -> Self {
        shard.to_string()
    }
}

/// A number as it is written here: no sign, no leading zeroes.
fn canonical_number(digits: &str) -> Option<u32> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (digits == "0" || !digits.starts_with('0'))).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_task_reads_back_as_it_was_written() {
        for text in ["generate-script", "render-manim#0", "render-manim#12", "notify@3"] {
            assert_eq!(text.parse::<TaskId>().map(|t| t.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_task_is_refused() {
        for text in ["", "#1", "Render", "a#", "a#01", "a#-1", "a#1#2", "a@x", "a#99999999999", "a b"] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_job_id_with_a_slash_is_refused_with_what_is_allowed() {
        let error = JobId::try_from("a/b").map_err(|e| e.to_string());
        assert_eq!(error, Err("job id \"a/b\" is not valid: use 1 to 64 of the characters A-Z a-z 0-9 _ -".to_owned()));
    }

    #[test]
    fn a_shard_reads_back_as_it_was_written_and_what_is_none_is_refused() {
        let shard = ShardId::new(StepName("render-manim".to_owned()), 2, 31);
        assert_eq!(shard.to_string().parse::<ShardId>(), Ok(shard));
        for text in ["", "a", "a@0", "a@0/", "a/0@0", "a@00/1", "A@0/1", "a@0/1/2"] {
            assert!(text.parse::<ShardId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_what_parses_is_canonical(text in ".{0,80}") {
            if let Ok(task) = text.parse::<TaskId>() {
                prop_assert_eq!(task.to_string(), text);
            }
        }
    }
}
