//! Timeouts and retry policy, in Temporal's words and with Temporal's meaning.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::SignalName;
use crate::time::millis;

/// The four timeouts of a step.
///
/// # Source
/// Temporal documentation, "Activity timeouts", read 2026-11-22.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// From being scheduled until the first attempt starts; none by default, as in Temporal.
    #[serde(
        rename = "schedule_to_start_millis",
        with = "optional_millis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub schedule_to_start: Option<Duration>,
    /// One attempt, from start to end.
    #[serde(rename = "start_to_close_millis", with = "millis")]
    pub start_to_close: Duration,
    /// All attempts and the waits between them, from being scheduled on.
    #[serde(rename = "schedule_to_close_millis", with = "millis")]
    pub schedule_to_close: Duration,
    /// Between two heartbeats: how long a lease holds. A third of it is the heartbeat's period.
    #[serde(rename = "heartbeat_millis", with = "millis")]
    pub heartbeat: Duration,
}

impl Default for Timeouts {
    /// Five minutes an attempt, fifteen minutes in all, a lease of 30 s.
    fn default() -> Self {
        Self {
            schedule_to_start: None,
            start_to_close: Duration::from_secs(5 * 60),
            schedule_to_close: Duration::from_secs(15 * 60),
            heartbeat: Duration::from_secs(30),
        }
    }
}

impl Timeouts {
    /// What is wrong with these timeouts, as sentences.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let named = [
            ("start-to-close", self.start_to_close),
            ("schedule-to-close", self.schedule_to_close),
            ("heartbeat", self.heartbeat),
            ("schedule-to-start", self.schedule_to_start.unwrap_or(Duration::from_secs(1))),
        ];
        for (name, span) in named {
            if span.is_zero() {
                mistakes.push(format!("its {name} timeout is zero: give it a duration"));
            }
        }
        if self.start_to_close > self.schedule_to_close {
            mistakes.push(
                "its start-to-close timeout is longer than its schedule-to-close: one attempt can't outlast all"
                    .to_owned(),
            );
        }
        if self.heartbeat < HEARTBEAT_MIN {
            mistakes.push(format!("its heartbeat timeout is under {} s", HEARTBEAT_MIN.as_secs()));
        }
        mistakes
    }
}

/// The shortest lease: visibility of a message counts in whole seconds, and two heartbeats may fail.
pub const HEARTBEAT_MIN: Duration = Duration::from_secs(3);

/// When to try again.
///
/// # Source
/// Temporal documentation, "Retry policies", read 2026-11-22: the fields and their meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// The wait after the first failed attempt.
    #[serde(rename = "initial_interval_millis", with = "millis")]
    pub initial_interval: Duration,
    /// By how much each further wait is longer; at least 1.
    pub backoff_coefficient: f64,
    /// No wait is longer.
    #[serde(rename = "maximum_interval_millis", with = "millis")]
    pub maximum_interval: Duration,
    /// The most attempts that are charged, the first included; 1 to [`crate::limits::ATTEMPTS_MAX`].
    pub maximum_attempts: u32,
    /// Error types that are never tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable_error_types: Vec<String>,
}

impl Default for RetryPolicy {
    /// Three attempts, 10 s and then twice as long each time.
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(10),
            backoff_coefficient: 2.0,
            maximum_interval: Duration::from_secs(1_000),
            maximum_attempts: 3,
            non_retryable_error_types: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// What is wrong with this policy, as sentences.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !(self.backoff_coefficient.is_finite() && self.backoff_coefficient >= 1.0) {
            mistakes.push(format!("its backoff coefficient is {}: use 1 or more", self.backoff_coefficient));
        }
        if !(1..=crate::limits::ATTEMPTS_MAX).contains(&self.maximum_attempts) {
            mistakes.push(format!(
                "its maximum attempts are {}: use 1 to {}",
                self.maximum_attempts,
                crate::limits::ATTEMPTS_MAX
            ));
        }
        if self.maximum_interval < self.initial_interval {
            mistakes.push("its maximum interval is shorter than its initial interval".to_owned());
        }
        mistakes
    }
}

/// What a step waits for. It has no message while it waits, so that days cost nothing.
///
/// With both a signal and a time, whichever comes first ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The name of the signal that ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How long after its inputs are recorded it ends by itself.
    #[serde(rename = "after_millis", with = "optional_millis", default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// How long after its inputs are recorded the job is closed for it; without it the job's deadline is.
    #[serde(rename = "timeout_millis", with = "optional_millis", default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl Wait {
    /// A wait for the signal of this name, with the job's deadline as its time-out.
    #[must_use]
    pub fn signal(name: &str) -> Self {
        Self { signal: Some(name.to_owned()), ..Self::default() }
    }

    /// A wait of this span, counted from when its inputs are recorded.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self { after: Some(span), ..Self::default() }
    }

    /// The same wait, which ends by itself after this span at the latest.
    #[must_use]
    pub const fn or_after(mut self, span: Duration) -> Self {
        self.after = Some(span);
        self
    }

    /// The same wait; after this span the job is closed for it.
    #[must_use]
    pub const fn timeout(mut self, span: Duration) -> Self {
        self.timeout = Some(span);
        self
    }

    /// What is wrong with this wait in a pipeline whose jobs may take `job_timeout`, as sentences.
    pub(super) fn mistakes(&self, job_timeout: Duration) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.signal.is_none() && self.after.is_none() {
            mistakes.push("it waits for nothing: name a signal or a span".to_owned());
        }
        if let Some(Err(error)) = self.signal.as_deref().map(SignalName::try_from) {
            mistakes.push(error.to_string());
        }
        for (name, span) in [("wait", self.after), ("wait's time-out", self.timeout)] {
            match span {
                Some(span) if span.is_zero() => mistakes.push(format!("its {name} is zero: give it a duration")),
                Some(span) if span >= job_timeout => mistakes.push(format!(
                    "its {name} is {} s and the job's timeout {} s: give the job more time",
                    span.as_secs(),
                    job_timeout.as_secs()
                )),
                Some(_) | None => {}
            }
        }
        if let (Some(after), Some(timeout)) = (self.after, self.timeout)
            && timeout <= after
        {
            mistakes.push("its wait ends by itself after its time-out: one of the two is in vain".to_owned());
        }
        mistakes
    }
}

mod optional_millis {
    use core::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => serializer.serialize_u64(crate::time::millis_up(*span)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
