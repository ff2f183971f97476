//! Canceling a job: a closing that no task asked for.
//!
//! Whoever works on the job learns it at the next heartbeat, and nothing new starts: every path of a drive looks at the
//! status first. The notification is sent by whoever cancels and, should that be lost, by whoever next receives a message of
//! the job (rule 2), as for every closing.

use crate::failure::ErrorText;
use crate::ids::TaskId;
use crate::message::Message;
use crate::parts::{Closing, Job, JobStatus, Verdict};
use crate::pipeline::Pipeline;
use crate::tenant;
use crate::time::Time;
use crate::write::Write;

/// The error's type of a canceled job's closing.
pub const CANCELED: &str = "Canceled";

/// What to do to cancel a job, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canceling {
    /// Carry this write out, and look at the job again.
    Write(Write),
    /// It is canceled: send its notification, which is none once that is recorded.
    Notify(Option<Message>),
    /// It closed otherwise.
    TooLate(JobStatus),
}

/// What to do to cancel a job for this reason, as it is now.
#[must_use]
pub fn cancel(pipeline: &Pipeline, job: &Job, reason: &str, now: Time) -> Canceling {
    match job.status {
        JobStatus::Queued => {
            let kept = tenant::kept(pipeline, job, now.plus(pipeline.job_timeout()), now);
            Canceling::Write(Write::Withdraw { entry: entry(None, reason, now), kept })
        }
        JobStatus::Running => Canceling::Write(Write::Close { closing: job.closing, entry: entry(None, reason, now) }),
        JobStatus::Canceled => Canceling::Notify(Message::to_finalizer(pipeline, job)),
        status @ (JobStatus::Completed | JobStatus::Failed | JobStatus::TimedOut | JobStatus::Rejected) => {
            Canceling::TooLate(status)
        }
    }
}

/// The closing of a job that is canceled; with a task, its write is refused once that is recorded.
pub(crate) fn entry(task: Option<TaskId>, reason: &str, now: Time) -> Closing {
    Closing {
        verdict: Verdict::Canceled,
        at: now,
        task,
        attempt: None,
        error_type: Some(CANCELED.to_owned()),
        error: Some(ErrorText::from(reason)),
        result: None,
        refund: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Tenant};
    use crate::parts::{Done, Part};
    use crate::pipeline::StepSpec;
    use crate::write::apply;

    type Tried<T> = Result<T, Box<dyn std::error::Error>>;

    #[test]
    fn a_running_job_is_closed_then_notified_and_every_other_one_stays_as_it_is() -> Tried<()> {
        let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
        let job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1));
        let Canceling::Write(write) = cancel(&pipeline, &job, "not needed", Time(5)) else {
            return Err("no write".into());
        };
        let Some(Part::Job(canceled)) = apply(&write, Some(&Part::Job(Box::new(job.clone())))) else {
            return Err("it was refused".into());
        };
        assert_eq!((canceled.status, canceled.closings.len()), (JobStatus::Canceled, 1));
        assert_eq!(canceled.closings[0].error.as_ref().map(ErrorText::as_str), Some("not needed"));
        let Canceling::Notify(Some(message)) = cancel(&pipeline, &canceled, "again", Time(6)) else {
            return Err("no notification".into());
        };
        assert_eq!(message.task.to_string(), "z@0");
        let mut notified = canceled.clone();
        notified.done.insert(message.task, Done { attempt: 1, at: Time(7), width: None, payload: None });
        assert_eq!(cancel(&pipeline, &notified, "again", Time(8)), Canceling::Notify(None));
        for status in [JobStatus::Completed, JobStatus::Failed, JobStatus::TimedOut, JobStatus::Rejected] {
            let closed = Job { status, ..job.clone() };
            assert_eq!(cancel(&pipeline, &closed, "late", Time(5)), Canceling::TooLate(status));
        }
        Ok(())
    }
}
