//! Pausing a job, or one of its steps, and resuming it.
//!
//! A pause is a flag on a running job (rule 12). Attempts that run go on; no new one begins: the message of a paused task is
//! acknowledged, and whoever resumes sends those of all ready tasks. While a step is paused its schedule-to-start timeout
//! stands still; schedule-to-close and the job's deadline go on. A light step may begin once more on what its message
//! said of the job.

use crate::ids::StepName;
use crate::parts::{Job, JobStatus, Pause};
use crate::pipeline::Pipeline;
use crate::time::Time;
use crate::write::Write;

/// What to do to pause or resume, given the job as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pausing {
    /// Carry this write out, and look at the job again.
    Write(Write),
    /// It is so already. Of a job that is not paused, the messages of all ready tasks
    /// ([`crate::redrive::messages`]) are due, should they have been lost.
    Is,
    /// It can't be.
    Refused(Refused),
}

/// Why a job can't be paused or resumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has not begun.
    #[error("it is QUEUED, and nothing of it runs: it starts by itself once its tenant has room for it; pause it then")]
    Queued,
    /// It has closed.
    #[error("it is {}: only a job that runs can be paused or resumed", .0.as_str())]
    Closed(JobStatus),
    /// Its graph has no such step.
    #[error("its pipeline has no step {step:?}; it has {}", known.join(", "))]
    NoSuchStep {
        /// The step that was asked for.
        step: String,
        /// The steps that there are.
        known: Vec<String>,
    },
    /// The step waits: no attempt of it ever begins.
    #[error("step {0} waits, and has no attempts to pause; pause the steps that follow it, or the job")]
    Waits(StepName),
    /// The step is not paused by itself: the whole job is.
    #[error("the whole job is paused: resume it without --step")]
    WholeJob,
}

/// Pauses a job or, with `step`, that step of it.
#[must_use]
pub fn pause(pipeline: &Pipeline, job: &Job, step: Option<&StepName>, now: Time) -> Pausing {
    change(pipeline, job, step, |pause| match step {
        None => {
            pause.since.get_or_insert(now);
        }
        Some(step) => {
            pause.steps.entry(step.clone()).or_insert(now);
        }
    })
}

/// Resumes a step or, without one, all of a job.
#[must_use]
pub fn resume(pipeline: &Pipeline, job: &Job, step: Option<&StepName>, now: Time) -> Pausing {
    let is_whole = job.paused.as_ref().is_some_and(|pause| pause.since.is_some());
    if job.status == JobStatus::Running && step.is_some() && is_whole {
        return Pausing::Refused(Refused::WholeJob);
    }
    change(pipeline, job, step, |pause| {
        let was_paused = match step {
            None => {
                let was_paused = !pause.is_over();
                (pause.since, pause.steps) = (None, std::collections::BTreeMap::new());
                was_paused
            }
            Some(step) => pause.steps.remove(step).is_some(),
        };
        if was_paused {
            pause.resumed_at = Some(now);
        }
    })
}

fn change(pipeline: &Pipeline, job: &Job, step: Option<&StepName>, change: impl FnOnce(&mut Pause)) -> Pausing {
    if job.status == JobStatus::Queued {
        return Pausing::Refused(Refused::Queued);
    }
    if job.status != JobStatus::Running {
        return Pausing::Refused(Refused::Closed(job.status));
    }
    if let Some((waits, _)) = pipeline.waits().find(|(waits, _)| step == Some(&waits.name)) {
        return Pausing::Refused(Refused::Waits(waits.name.clone()));
    }
    if let Some(step) = step.filter(|step| !pipeline.steps().iter().any(|known| known.name == **step)) {
        let known = pipeline.steps().iter().map(|step| step.name.to_string()).collect();
        return Pausing::Refused(Refused::NoSuchStep { step: step.to_string(), known });
    }
    let before = job.paused.clone().unwrap_or_default();
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Pausing::Is;
    }
    after.changes += 1;
    Pausing::Write(Write::Pause { closing: job.closing, changes: before.changes, set: after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Tenant};
    use crate::parts::Part;
    use crate::pipeline::StepSpec;
    use crate::write::apply;

    type Tried<T> = Result<T, Box<dyn std::error::Error>>;

    fn pipeline() -> Tried<Pipeline> {
        let builder = Pipeline::builder("p").step(StepSpec::new("a")).step(StepSpec::new("b").after(["a"]));
        Ok(builder.finalizer(StepSpec::new("z")).build()?)
    }

    fn written(job: &Job, pausing: Pausing) -> Tried<Job> {
        let Pausing::Write(write) = pausing else { return Err(format!("no write: {pausing:?}").into()) };
        match apply(&write, Some(&Part::Job(Box::new(job.clone())))) {
            Some(Part::Job(job)) => Ok(*job),
            _ => Err("it was refused".into()),
        }
    }

    #[test]
    fn a_wait_is_not_paused_by_itself() -> Tried<()> {
        let builder = Pipeline::builder("p").step(StepSpec::new("a"));
        let builder = builder.step(StepSpec::new("w").after(["a"]).wait(crate::pipeline::Wait::signal("go")));
        let pipeline = builder.finalizer(StepSpec::new("z")).build()?;
        let job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1));
        let wait = StepName::try_from("w")?;
        let refused = Pausing::Refused(Refused::Waits(wait.clone()));
        assert_eq!(pause(&pipeline, &job, Some(&wait), Time(2)), refused);
        Ok(())
    }

    #[test]
    fn a_step_is_paused_by_itself_or_with_the_job_and_resuming_the_job_resumes_all() -> Tried<()> {
        let (pipeline, [a, b]) = (pipeline()?, [StepName::try_from("a")?, StepName::try_from("b")?]);
        let job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1));
        let step = written(&job, pause(&pipeline, &job, Some(&b), Time(2)))?;
        assert_eq!((step.is_paused(&a), step.is_paused(&b)), (false, true));
        assert_eq!(pause(&pipeline, &step, Some(&b), Time(3)), Pausing::Is);
        let whole = written(&step, pause(&pipeline, &step, None, Time(4)))?;
        assert!(whole.is_paused(&a) && whole.is_paused(&b));
        assert_eq!(resume(&pipeline, &whole, Some(&b), Time(5)), Pausing::Refused(Refused::WholeJob));
        let resumed = written(&whole, resume(&pipeline, &whole, None, Time(6)))?;
        assert!(!resumed.is_paused(&a) && !resumed.is_paused(&b));
        assert_eq!(resumed.paused.as_ref().map(|pause| (pause.changes, pause.resumed_at)), Some((3, Some(Time(6)))));
        assert_eq!(resume(&pipeline, &resumed, None, Time(7)), Pausing::Is);
        Ok(())
    }

    #[test]
    fn of_two_changes_that_saw_the_same_one_wins() -> Tried<()> {
        let (pipeline, b) = (pipeline()?, StepName::try_from("b")?);
        let job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1));
        let paused = written(&job, pause(&pipeline, &job, None, Time(2)))?;
        let Pausing::Write(late) = pause(&pipeline, &job, Some(&b), Time(3)) else { return Err("no write".into()) };
        assert_eq!(apply(&late, Some(&Part::Job(Box::new(paused)))), None);
        Ok(())
    }

    #[test]
    fn what_has_closed_or_is_no_step_is_refused() -> Tried<()> {
        let pipeline = pipeline()?;
        let job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1));
        let finalizer = StepName::try_from("z")?;
        assert!(matches!(
            pause(&pipeline, &job, Some(&finalizer), Time(2)),
            Pausing::Refused(Refused::NoSuchStep { .. })
        ));
        let queued = Job { status: JobStatus::Queued, ..job.clone() };
        assert_eq!(pause(&pipeline, &queued, None, Time(2)), Pausing::Refused(Refused::Queued));
        for status in JobStatus::ALL.into_iter().filter(|status| status.is_closed()) {
            let closed = Job { status, ..job.clone() };
            assert_eq!(pause(&pipeline, &closed, None, Time(2)), Pausing::Refused(Refused::Closed(status)));
            assert_eq!(resume(&pipeline, &closed, None, Time(2)), Pausing::Refused(Refused::Closed(status)));
        }
        Ok(())
    }
}
