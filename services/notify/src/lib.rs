//! The finalizer: one event per closing, made from the closing alone, so that every repetition is the same event.

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::{Closing, Failure, JobId, Tenant, Verdict};
use qsketch_runtime::ports::Outgoing;
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
    /// Why it was canceled, for `generation.canceled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
            idempotency_key: format!("{job}/{number}"),
            job: job.to_string(),
            tenant: tenant.to_string(),
            closed_at: closing.at.to_string(),
            result: closing.result.clone(),
            failure,
        }
    }
}

/// The finalizer.
pub struct Notify;

#[async_trait]
impl Handler for Notify {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let Some((number, closing)) = attempt.closing() else {
            return Err(Failure::fail("NoClosing", format!("{} is no closing of this job", attempt.task())));
        };
        let job = attempt.job();
        let event = Notification::of(&job.job_id, &job.tenant, number, closing);
        let body = serde_json::to_string(&event).map_err(|error| Failure::fail("Unwritable", error))?;
        let attributes = [("type", event.kind.to_owned()), ("idempotency_key", event.idempotency_key.clone())];
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        attempt.send(&QueueName::new(NOTIFICATIONS_QUEUE), Outgoing { body, attributes }).await?;
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
