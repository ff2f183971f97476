//! How the command ends: its exit codes, and the problems that lead to them.

use std::process::ExitCode;

use qsketch_core::JobStatus;
use qsketch_core::refund::Refused;
use qsketch_ops::OpsError;
use qsketch_runtime::PortErrorKind;
use qsketch_runtime::config::SettingsError;
use thiserror::Error;

/// The exit codes; [`crate::arguments::EXIT_CODES`] tells them to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Anything else.
    Other = 1,
    /// Arguments, submission or settings are wrong.
    Usage = 2,
    /// No such thing.
    NotFound = 4,
    /// The outside world can't be reached.
    Unreachable = 5,
    /// The credentials are missing or not allowed to do this.
    Denied = 6,
    /// The job failed.
    Failed = 10,
    /// The job was canceled.
    Canceled = 11,
    /// The job stalls.
    Stalled = 12,
    /// The submission was rejected.
    Rejected = 13,
    /// The job timed out.
    TimedOut = 124,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the command can't do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum Problem {
    /// The arguments are wrong.
    #[error("{0}")]
    Usage(String),
    /// The settings are wrong.
    #[error("{0}; `. .local/dev/env` sets them for the local stack, and `make up` brings that up")]
    Settings(#[from] SettingsError),
    /// The question has no good answer.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// The job that was followed did not complete.
    #[error("{message}")]
    Closed {
        /// How it closed.
        status: JobStatus,
        /// Why, and where to look.
        message: String,
    },
    /// Interrupted while following.
    #[error("interrupted; job {0} goes on: qsketch show {0}")]
    Interrupted(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// The exit code of the problem.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Settings(_) => Exit::Usage,
            Self::Closed { status, .. } => exit_of(*status),
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Other(_) => Exit::Other,
            Self::Ops(error) => match error {
                OpsError::Invalid { .. } | OpsError::BadQuestion { .. } => Exit::Usage,
                OpsError::IdTaken { .. } => Exit::Rejected,
                OpsError::NotFound { .. } | OpsError::NoRefund { refusal: Refused::Unknown, .. } => Exit::NotFound,
                OpsError::NoVideo { status: JobStatus::Queued | JobStatus::Running | JobStatus::Completed, .. } => {
                    Exit::Other
                }
                OpsError::NoVideo { status, .. } => exit_of(*status),
                OpsError::NotTaken { .. } | OpsError::Stalled { .. } | OpsError::NotNotified { .. } => Exit::Stalled,
                OpsError::Damaged { .. }
                | OpsError::File { .. }
                | OpsError::TooLate { .. }
                | OpsError::NoRefund { .. }
                | OpsError::Refused { .. } => Exit::Other,
                OpsError::Port(error) => exit_of_port(error.kind),
            },
        }
    }

    /// The name of its kind, for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Settings(_) => "settings",
            Self::Ops(OpsError::Port(error)) => port_code(error.kind),
            Self::Ops(error) => error.code(),
            Self::Closed { status, .. } => status.as_str(),
            Self::Interrupted(_) => "interrupted",
            Self::Other(_) => "other",
        }
    }

    /// What went wrong, in one line or, for reasons, in one line each.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Ops(error) => error.line(),
            other => other.to_string(),
        }
    }

    /// The reasons of a refusal, one by one.
    pub(crate) fn reasons(&self) -> &[String] {
        match self {
            Self::Ops(OpsError::Invalid { reasons }) => reasons,
            Self::Settings(error) => &error.mistakes,
            _ => &[],
        }
    }
}

/// The exit code of a job that closed like this.
pub(crate) const fn exit_of(status: JobStatus) -> Exit {
    match status {
        JobStatus::Queued | JobStatus::Running | JobStatus::Completed => Exit::Done,
        JobStatus::Failed => Exit::Failed,
        JobStatus::TimedOut => Exit::TimedOut,
        JobStatus::Canceled => Exit::Canceled,
        JobStatus::Rejected => Exit::Rejected,
    }
}

const fn exit_of_port(kind: PortErrorKind) -> Exit {
    match kind {
        PortErrorKind::Throttled | PortErrorKind::Unavailable => Exit::Unreachable,
        PortErrorKind::Denied => Exit::Denied,
        PortErrorKind::Missing => Exit::Usage,
        PortErrorKind::Invalid | PortErrorKind::Damaged | PortErrorKind::Newer | PortErrorKind::TooLarge => Exit::Other,
    }
}

const fn port_code(kind: PortErrorKind) -> &'static str {
    match kind {
        PortErrorKind::Throttled => "throttled",
        PortErrorKind::Unavailable => "unreachable",
        PortErrorKind::Denied => "denied",
        PortErrorKind::Missing => "missing",
        PortErrorKind::Invalid => "refused",
        PortErrorKind::Damaged => "damaged",
        PortErrorKind::Newer => "newer",
        PortErrorKind::TooLarge => "too_large",
    }
}

#[cfg(test)]
mod tests {
    use qsketch_core::JobId;
    use qsketch_runtime::PortError;

    use super::*;

    #[test]
    fn every_problem_has_its_documented_exit_code() -> Result<(), qsketch_core::IdError> {
        let job = JobId::try_from("j")?;
        let port = |kind| Problem::Ops(OpsError::Port(PortError::new("ask", kind)));
        let closed = |status| Problem::Closed { status, message: String::new() };
        for (problem, exit) in [
            (Problem::Usage(String::new()), 2),
            (Problem::Settings(SettingsError { mistakes: Vec::new() }), 2),
            (Problem::Ops(OpsError::Invalid { reasons: Vec::new() }), 2),
            (Problem::Ops(OpsError::BadQuestion { problem: String::new() }), 2),
            (port(PortErrorKind::Missing), 2),
            (Problem::Ops(OpsError::no_job(&job)), 4),
            (Problem::Ops(OpsError::NoRefund { job: job.clone(), refusal: Refused::Unknown }), 4),
            (Problem::Ops(OpsError::NoRefund { job: job.clone(), refusal: Refused::Completed }), 1),
            (port(PortErrorKind::Unavailable), 5),
            (port(PortErrorKind::Throttled), 5),
            (port(PortErrorKind::Denied), 6),
            (closed(JobStatus::Failed), 10),
            (Problem::Ops(OpsError::NotTaken { job: job.clone(), waited: core::time::Duration::ZERO }), 12),
            (closed(JobStatus::Rejected), 13),
            (Problem::Ops(OpsError::IdTaken { job }), 13),
            (closed(JobStatus::TimedOut), 124),
            (closed(JobStatus::Canceled), 11),
            (Problem::Interrupted(String::new()), 130),
            (port(PortErrorKind::Damaged), 1),
        ] {
            assert_eq!(problem.exit() as u8, exit, "{problem:?}");
            let listed = crate::arguments::EXIT_CODES.lines().any(|line| line.trim().starts_with(&format!("{exit}  ")));
            assert!(listed, "{exit} is not documented");
        }
        Ok(())
    }
}
