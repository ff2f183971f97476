//! Why a question or a command has no good answer.

use core::time::Duration;
use std::path::PathBuf;

use qsketch_core::refund::Refused as NoRefund;
use qsketch_core::{JobId, JobStatus};
use qsketch_runtime::PortError;
use thiserror::Error;

/// Why a question or a command has no good answer. Each message says what to do.
#[derive(Debug, Error)]
pub enum OpsError {
    /// The submission breaks the rules; nothing was sent.
    #[error("the submission is invalid: {}", reasons.join("; "))]
    Invalid {
        /// Every mistake, each saying what to do.
        reasons: Vec<String>,
    },
    /// The id belongs to a job with another content.
    #[error("id {job} was used before with another content: use a new id, or send the same again")]
    IdTaken {
        /// The id.
        job: JobId,
    },
    /// The question is wrong.
    #[error("{problem}")]
    BadQuestion {
        /// How, and what to do.
        problem: String,
    },
    /// There is no such thing.
    #[error("{what} is not there: {hint}")]
    NotFound {
        /// What was looked for.
        what: String,
        /// What to do, as half a sentence.
        hint: String,
    },
    /// The job has no video.
    #[error("job {job} has no video: it is {}{}", status.as_str(), shown(reason))]
    NoVideo {
        /// The job.
        job: JobId,
        /// How it is.
        status: JobStatus,
        /// Why, where it is known.
        reason: String,
    },
    /// The job closed before.
    #[error("job {job} is {}: it has closed, and can't be canceled any more", status.as_str())]
    TooLate {
        /// The job.
        job: JobId,
        /// How it closed.
        status: JobStatus,
    },
    /// The job is not in a state that allows it.
    #[error("job {job} can't be {verb}: {reason}")]
    Refused {
        /// The job.
        job: JobId,
        /// What was to be done to it: `redriven`.
        verb: &'static str,
        /// Why not, and what to do.
        reason: String,
    },
    /// A refund token can't be redeemed.
    #[error("the refund token of job {job} can't be redeemed: {refusal}")]
    NoRefund {
        /// The job.
        job: JobId,
        /// Why not.
        refusal: NoRefund,
    },
    /// The notification of the job's closing was sent, and is not recorded yet.
    #[error(
        "job {job} can't be redriven yet: its notification comes first, and was not recorded within {} s; see whether notify \
         runs and whether its dead-letter queue holds it (`qsketch doctor`)",
        waited.as_secs()
    )]
    NotNotified {
        /// The job.
        job: JobId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Nobody took the submission in.
    #[error(
        "job {job} was sent, but nothing took it in within {} s: it may still be; see whether intake runs and whether its \
         dead-letter queue or the rejected queue holds it (`qsketch doctor`)",
        waited.as_secs()
    )]
    NotTaken {
        /// The job.
        job: JobId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The job's time is over and it is still open.
    #[error("job {job} is still RUNNING {} s past its deadline: no worker looks after it (`qsketch doctor`)", late.as_secs())]
    Stalled {
        /// The job.
        job: JobId,
        /// How late it is.
        late: Duration,
    },
    /// What is stored does not fit together.
    #[error("{what} is damaged: {problem}")]
    Damaged {
        /// What.
        what: String,
        /// How.
        problem: String,
    },
    /// A local file can't be written.
    #[error("{path} can't be written: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        problem: String,
    },
    /// The outside world failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl OpsError {
    /// The error and its sources, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Port(error) => error.chain(),
            other => other.to_string(),
        }
    }

    /// The name of its kind, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::IdTaken { .. } => "id_taken",
            Self::BadQuestion { .. } => "usage",
            Self::NotFound { .. } => "not_found",
            Self::NoVideo { .. } => "no_video",
            Self::TooLate { .. } => "too_late",
            Self::Refused { .. } => "refused",
            Self::NoRefund { refusal, .. } => match refusal {
                NoRefund::Unknown => "refund_unknown",
                NoRefund::Redeemed(_) => "refund_redeemed",
                NoRefund::Completed => "refund_void",
                NoRefund::Runs => "refund_running",
                NoRefund::Expired(_) => "refund_expired",
            },
            Self::NotNotified { .. } => "not_notified",
            Self::NotTaken { .. } => "not_taken",
            Self::Stalled { .. } => "stalled",
            Self::Damaged { .. } => "damaged",
            Self::File { .. } => "file",
            Self::Port(_) => "port",
        }
    }

    /// A job that others changed whenever it was to be changed here.
    pub(crate) fn crowded(job: &JobId) -> Self {
        let problem = "others changed it whenever it was to be written: try again".to_owned();
        Self::Damaged { what: format!("job {job}"), problem }
    }

    /// A job that is not there.
    #[must_use]
    pub fn no_job(job: &JobId) -> Self {
        let hint = "check the id; a job that was just sent appears once intake has taken it in, and jobs are kept for \
                    30 days after their deadline";
        Self::NotFound { what: format!("job {job}"), hint: hint.to_owned() }
    }
}

fn shown(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(", {reason}") }
}
