//! The finalizer: one event per closing, made from the closing alone, so that every repetition is the same event.
//!
//! A failed one carries a refund token. It is made from a secret, and its hash is recorded in the closing before the event
//! leaves ([`qsketch_core::refund`]).

use std::sync::Arc;

use async_trait::async_trait;
use qsketch_aws::SecretParameter;
use qsketch_core::decide::Output;
use qsketch_core::refund::Secret;
use qsketch_core::{Closing, Failure, JobId, Tenant, Verdict};
use qsketch_runtime::attempt::failure_of;
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::refund::Refund;
use qsketch_runtime::{Attempt, Handler, QueueName};
use serde::Serialize;

/// The queue that the customer's systems read.
pub const NOTIFICATIONS_QUEUE: &str = "notifications";

/// The layout of an event.
pub const EVENT_LAYOUT: u32 = 1;

/// An event on the notifications queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// [`EVENT_LAYOUT`].
    pub layout: u32,
    /// `video.completed`, `generation.failed` or `generation.canceled`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The same for every repetition of this event: whoever acts on it acts once per key.
    pub idempotency_key: String,
    /// The job.
    pub job: String,
    /// Whose job it is.
    pub tenant: String,
    /// When it closed, RFC 3339 in UTC.
    pub closed_at: String,
    /// Where the video is, for `video.completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What failed, for `generation.failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureNote>,
    /// What pays it back, for `generation.failed`; none where no secret is configured, and once the job was refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundNote>,
    /// Why it was canceled, for `generation.canceled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A refund token, whole: whoever reads the event may redeem it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct RefundNote {
    /// The token.
    pub token: String,
    /// From when on it can't be redeemed, RFC 3339 in UTC.
    pub expires_at: String,
}

impl core::fmt::Debug for RefundNote {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RefundNote(until {})", self.expires_at)
    }
}

impl From<Refund> for RefundNote {
    fn from(refund: Refund) -> Self {
        Self { token: refund.token.text().to_owned(), expires_at: refund.expires_at.to_string() }
    }
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureNote {
    /// `FAILED` or `TIMED_OUT`.
    pub status: &'static str,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Its last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The error's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The error, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Notification {
    /// The event of a closing.
    #[must_use]
    pub fn of(job: &JobId, tenant: &Tenant, number: u32, closing: &Closing) -> Self {
        let failure = match closing.verdict {
            Verdict::Completed | Verdict::Canceled => None,
            Verdict::Failed | Verdict::TimedOut => Some(FailureNote {
                status: closing.verdict.status().as_str(),
                task: closing.task.as_ref().map(ToString::to_string),
                step: closing.task.as_ref().map(|task| task.step().to_string()),
                attempt: closing.attempt,
                error_type: closing.error_type.clone(),
                error: closing.error.as_ref().map(ToString::to_string),
            }),
        };
        let kind = match closing.verdict {
            Verdict::Completed => "video.completed",
            Verdict::Failed | Verdict::TimedOut => "generation.failed",
            Verdict::Canceled => "generation.canceled",
        };
        let reason = closing.error.as_ref().filter(|_| closing.verdict == Verdict::Canceled).map(ToString::to_string);
        Self {
            layout: EVENT_LAYOUT,
            kind,
            reason,
            refund: None,
            idempotency_key: format!("{job}/{number}"),
            job: job.to_string(),
            tenant: tenant.to_string(),
            closed_at: closing.at.to_string(),
            result: closing.result.clone(),
            failure,
        }
    }
}

/// Where the secret of refund tokens comes from.
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// The secret.
    ///
    /// # Errors
    /// [`Failure`], to be tried again: it can't be read now, or is none.
    async fn secret(&self) -> Result<Secret, Failure>;
}

#[async_trait]
impl SecretSource for Secret {
    async fn secret(&self) -> Result<Secret, Failure> {
        Ok(self.clone())
    }
}

#[async_trait]
impl SecretSource for SecretParameter {
    async fn secret(&self) -> Result<Secret, Failure> {
        // Never final: a parameter that is missing, forbidden or too short is mended by a person, and the event waits for it.
        let retry = |error: Failure| Failure::retry(&error.error_type, error.error);
        let text = self.read().await.map_err(|error| retry(failure_of(&error)))?;
        Secret::try_from(text).map_err(|error| Failure::retry("BadSecret", error))
    }
}

/// The finalizer. Without a source of secrets its events carry no refund token.
pub struct Notify {
    secrets: Option<Arc<dyn SecretSource>>,
}

impl Notify {
    /// The finalizer; `secrets` gives what refund tokens are made from.
    #[must_use]
    pub const fn new(secrets: Option<Arc<dyn SecretSource>>) -> Self {
        Self { secrets }
    }
}

#[async_trait]
impl Handler for Notify {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let Some((number, closing)) = attempt.closing() else {
            return Err(Failure::fail("NoClosing", format!("{} is no closing of this job", attempt.task())));
        };
        let job = attempt.job();
        let mut event = Notification::of(&job.job_id, &job.tenant, number, closing);
        if let Some(secrets) = self.secrets.as_ref().filter(|_| event.failure.is_some()) {
            event.refund = attempt.refund(&secrets.secret().await?).await?.map(RefundNote::from);
        }
        let body = serde_json::to_string(&event).map_err(|error| Failure::fail("Unwritable", error))?;
        let attributes = [("type", event.kind.to_owned()), ("idempotency_key", event.idempotency_key.clone())];
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        attempt.send(&QueueName::new(NOTIFICATIONS_QUEUE), Outgoing { body, attributes, group: None }).await?;
        tracing::info!(job = %job.job_id, closing = number, kind = event.kind, "notified");
        Ok(Output::default())
    }
}

#[cfg(test)]
mod tests {
    use qsketch_core::{ErrorText, Time};

    use super::*;

    #[test]
    fn a_failed_closing_tells_step_attempt_and_reason_under_one_key() -> Result<(), Box<dyn std::error::Error>> {
        let closing = Closing {
            verdict: Verdict::TimedOut,
            at: Time(1_795_382_157_042),
            task: Some("render-manim#2".parse()?),
            attempt: Some(3),
            error_type: Some("StartToClose".to_owned()),
            error: Some(ErrorText::from("ended after 300 s by its StartToClose timeout")),
            result: None,
            refund: None,
        };
        let event = Notification::of(&JobId::try_from("j1")?, &Tenant::try_from("t")?, 0, &closing);
        assert_eq!(
            serde_json::to_string(&event)?,
            r#"{"layout":1,"type":"generation.failed","idempotency_key":"j1/0","job":"j1","tenant":"t","closed_at":"2026-11-22T21:15:57.042Z","failure":{"status":"TIMED_OUT","task":"render-manim#2","step":"render-manim","attempt":3,"error_type":"StartToClose","error":"ended after 300 s by its StartToClose timeout"}}"#
        );
        Ok(())
    }

    #[test]
    fn a_canceled_job_tells_the_reason() -> Result<(), Box<dyn std::error::Error>> {
        let closing = Closing {
            verdict: Verdict::Canceled,
            at: Time(1_795_382_157_042),
            task: None,
            attempt: None,
            error_type: Some("Canceled".to_owned()),
            error: Some(ErrorText::from("the lesson was postponed")),
            result: None,
            refund: None,
        };
        let event = Notification::of(&JobId::try_from("j1")?, &Tenant::try_from("t")?, 0, &closing);
        assert_eq!(
            serde_json::to_string(&event)?,
            r#"{"layout":1,"type":"generation.canceled","idempotency_key":"j1/0","job":"j1","tenant":"t","closed_at":"2026-11-22T21:15:57.042Z","reason":"the lesson was postponed"}"#
        );
        Ok(())
    }
}
