//! What can go wrong outside, and what to do about it.

use core::fmt;

use thiserror::Error;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// Too many requests: the other side asks for less.
    Throttled,
    /// The other side failed, did not answer in time, or could not be reached.
    Unavailable,
    /// The credentials are missing or not allowed to do this.
    Denied,
    /// The table, queue or bucket does not exist.
    Missing,
    /// The request itself is wrong: a mistake of ours.
    Invalid,
    /// What is there can't be read.
    Damaged,
    /// What is there was written by a newer release.
    Newer,
    /// What is there is larger than the reader allows.
    TooLarge,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// It may pass: try again later.
    Retry,
    /// Repeating can't help this message; others may be fine.
    Fail,
    /// Nothing will work until somebody mends the deployment.
    Stop,
}

impl PortErrorKind {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Throttled | Self::Unavailable | Self::Newer => Remedy::Retry,
            Self::Invalid | Self::Damaged | Self::TooLarge => Remedy::Fail,
            Self::Denied | Self::Missing => Remedy::Stop,
        }
    }

    /// What an operator can do, as half a sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Throttled => "it is asked too often; it will be tried again",
            Self::Unavailable => {
                "it can't be reached or does not answer: check the endpoint and whether the stack is up"
            }
            Self::Denied => "the credentials are missing or may not do this: check the role and the AWS settings",
            Self::Missing => "it does not exist: check its name, and whether the stack is deployed",
            Self::Invalid => "the request was refused as wrong",
            Self::Damaged => "what is stored there can't be read",
            Self::Newer => "it was written by a newer release: update this one",
            Self::TooLarge => "it is larger than allowed",
        }
    }
}

/// An error of the outside world.
#[derive(Debug, Error)]
#[error("{what}: {}", kind.advice())]
pub struct PortError {
    /// What was tried, on what: `receive from queue render-manim`.
    pub what: String,
    /// What kind of thing went wrong.
    pub kind: PortErrorKind,
    /// Where it came from.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error of this kind.
    #[must_use]
    pub fn new(what: impl fmt::Display, kind: PortErrorKind) -> Self {
        Self { what: what.to_string(), kind, source: None }
    }

    /// The same error with where it came from.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        self.kind.remedy()
    }

    /// Whether the same call may work in a moment: nobody has to do anything for it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self.kind, PortErrorKind::Throttled | PortErrorKind::Unavailable)
    }

    /// The error and its sources, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut next = std::error::Error::source(self);
        for _ in 0..SOURCES_MAX {
            let Some(source) = next else { break };
            let text = source.to_string();
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = source.source();
        }
        line
    }
}

/// How many sources of an error are told.
const SOURCES_MAX: usize = 8;
