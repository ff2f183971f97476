//! How often a provider may be asked, as a setting says it: `60/min`, `600/min burst 20`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use thiserror::Error;

use crate::limits::TURNS_PER_SECOND_MAX;

/// The span that a limit counts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Per {
    const fn secs(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }
}

/// How often a provider may be asked: so many requests in a span, evenly spaced, and at most `burst` at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    count: u32,
    per: Per,
    burst: u32,
}

/// Why a text is no rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RateLimitError {
    /// It does not read as one.
    #[error("{0:?} is no rate limit: use a number of requests per s, min or h, as in 60/min or 600/min burst 20")]
    Unreadable(String),
    /// No request at all.
    #[error("a rate limit of {0:?} lets nothing through: use at least 1, and to let everything through leave it out")]
    Zero(String),
    /// More than one item of the table can count.
    #[error(
        "a rate limit of {0:?} is too fast: use at most {TURNS_PER_SECOND_MAX}/s, which is what one item of the table takes"
    )]
    TooFast(String),
    /// More at once than in the whole span.
    #[error("the burst of {0:?} is out of bounds: use 1 to the number of requests")]
    Burst(String),
}

impl RateLimit {
    /// So many requests in a span, of which so many at once.
    ///
    /// # Errors
    /// [`RateLimitError`].
    pub fn new(count: u32, per: Per, burst: u32) -> Result<Self, RateLimitError> {
        let limit = Self { count, per, burst };
        let text = limit.to_string();
        if count == 0 {
            Err(RateLimitError::Zero(text))
        } else if u64::from(count) > TURNS_PER_SECOND_MAX * per.secs() {
            Err(RateLimitError::TooFast(text))
        } else if burst == 0 || burst > count {
            Err(RateLimitError::Burst(text))
        } else {
            Ok(limit)
        }
    }

    /// The time between two turns (T), in microseconds, rounded up: never faster than was said.
    #[must_use]
    pub fn interval(self) -> u64 {
        (self.per.secs() * 1_000_000).div_ceil(u64::from(self.count.max(1)))
    }

    /// How much earlier than evenly spaced a turn may be (τ), in microseconds: less than the limit's span.
    #[must_use]
    pub fn tolerance(self) -> u64 {
        self.interval() * u64::from(self.burst.saturating_sub(1))
    }

    /// How many turns may be at once after a rest.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// How long so many turns take from the first to the last, after a rest.
    #[must_use]
    pub fn takes(self, turns: u32) -> Duration {
        Duration::from_micros(self.interval().saturating_mul(u64::from(turns.saturating_sub(self.burst))))
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let unreadable = || RateLimitError::Unreadable(text.chars().take(TEXT_CHARS_SHOWN).collect());
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| unreadable());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (rate, burst) = match words[..] {
            [rate] => (rate, 1),
            [rate, "burst", burst] => (rate, number(burst)?),
            _ => return Err(unreadable()),
        };
        let (count, per) = rate.split_once('/').ok_or_else(unreadable)?;
        let per = match per {
            "s" => Per::Second,
            "min" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(unreadable()),
        };
        Self::new(number(count)?, per, burst)
    }
}

/// How much of an unreadable text is shown, in characters.
const TEXT_CHARS_SHOWN: usize = 40;

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.as_str())?;
        if self.burst == 1 { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}
