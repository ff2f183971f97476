//! Which tasks are ready, given what is recorded. Nothing here is stored: what can be derived can't be wrong.

use crate::ids::{StepName, TaskId, Which};
use crate::parts::{Closing, Job};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::time::Time;

/// The tasks of a step, or none while it is not known how many there are.
#[must_use]
pub fn tasks_of(step: &CheckedStep, job: &Job) -> Option<Vec<TaskId>> {
    let Some(over) = &step.over else { return Some(vec![TaskId::only(step.name.clone())]) };
    let width = job.done.get(&TaskId::only(over.clone()))?.width.unwrap_or(0);
    Some((0..width).map(|index| TaskId::element(step.name.clone(), index)).collect())
}

/// Whether every task of a step is recorded.
#[must_use]
pub fn is_complete(pipeline: &Pipeline, name: &StepName, job: &Job) -> bool {
    let Some(step) = pipeline.step(name) else { return false };
    let listed = step.after.iter().all(|input| step.over.as_ref() != Some(input) || is_recorded(input, job));
    listed && tasks_of(step, job).is_some_and(|tasks| tasks.iter().all(|task| job.done.contains_key(task)))
}

/// Whether every input of a step is recorded.
#[must_use]
pub fn is_ready(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> bool {
    step.after.iter().all(|input| is_complete(pipeline, input, job))
}

/// Whether every task but the finalizer's is recorded, taking `also` as recorded.
#[must_use]
pub fn is_all_complete(pipeline: &Pipeline, job: &Job, also: Option<(&TaskId, &crate::parts::Done)>) -> bool {
    let mut seen = job.clone();
    if let Some((task, done)) = also {
        seen.done.entry(task.clone()).or_insert_with(|| done.clone());
    }
    pipeline.steps().iter().all(|step| is_complete(pipeline, &step.name, &seen))
}

/// The tasks that the completion of `step` makes ready and that are not recorded yet, in the graph's order.
///
/// A mapped step whose list is empty has no task: what follows it is then ready in its place. So is what follows a light
/// step that is complete: its tasks may have been handed on without messages of their own, and whoever asks may hold the
/// only message that is left.
#[must_use]
pub fn successors(pipeline: &Pipeline, step: &StepName, job: &Job) -> Vec<TaskId> {
    let mut found = Vec::new();
    let mut passed = vec![step.clone()];
    for next in pipeline.steps() {
        if !next.after.iter().any(|input| passed.contains(input)) || !is_ready(pipeline, next, job) {
            continue;
        }
        let tasks = tasks_of(next, job).unwrap_or_default();
        if tasks.is_empty() || next.is_light && is_complete(pipeline, &next.name, job) {
            passed.push(next.name.clone());
        }
        found.extend(tasks.into_iter().filter(|task| !job.done.contains_key(task)));
    }
    found
}

/// Why a task does not belong to a job's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The graph has no such step.
    NoSuchStep,
    /// The step is there, but not with such a task: an element of a step that is not mapped, or the other way round.
    WrongShape,
    /// The list has no such element.
    NoSuchElement,
}

/// Checks that a task belongs to the graph; whether its list has such an element is known only with a job.
///
/// # Errors
/// Why it does not belong.
pub fn belongs(pipeline: &Pipeline, task: &TaskId, job: Option<&Job>) -> Result<(), Foreign> {
    let step = pipeline.step(task.step()).ok_or(Foreign::NoSuchStep)?;
    let is_finalizer = step.name == pipeline.finalizer().name;
    match (task.which(), is_finalizer, step.over.is_some()) {
        (Which::Closing(_), true, _) | (Which::Only, false, false) => Ok(()),
        (Which::Element(index), false, true) => {
            let tasks = job.and_then(|job| tasks_of(step, job));
            let beyond = tasks.is_some_and(|tasks| tasks.len() <= index as usize);
            if beyond { Err(Foreign::NoSuchElement) } else { Ok(()) }
        }
        _ => Err(Foreign::WrongShape),
    }
}

/// When a task was scheduled: when the last of its inputs was recorded, the job was taken in, or it closed.
///
/// None while an input is missing.
#[must_use]
pub fn scheduled_at(pipeline: &Pipeline, task: &TaskId, job: &Job) -> Option<Time> {
    if let Which::Closing(closing) = task.which() {
        return job.closings.get(closing as usize).map(|Closing { at, .. }| *at);
    }
    let step = pipeline.step(task.step())?;
    let mut latest = job.created_at;
    for input in &step.after {
        if !is_complete(pipeline, input, job) {
            return None;
        }
        let input = pipeline.step(input)?;
        let tasks = tasks_of(input, job)?;
        if tasks.is_empty() {
            latest = latest.max(scheduled_at(pipeline, &TaskId::element(input.name.clone(), 0), job)?);
        }
        latest = tasks.iter().filter_map(|task| job.done.get(task)).fold(latest, |latest, done| latest.max(done.at));
    }
    Some(latest)
}

fn is_recorded(step: &StepName, job: &Job) -> bool {
    job.done.contains_key(&TaskId::only(step.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Tenant};
    use crate::parts::Done;
    use crate::pipeline::{PipelineError, StepSpec};

    fn video() -> Result<Pipeline, PipelineError> {
        Pipeline::builder("video")
            .step(StepSpec::new("script"))
            .step(StepSpec::new("render").over("script"))
            .step(StepSpec::new("speech").over("script"))
            .step(StepSpec::new("merge").after(["render", "speech"]))
            .finalizer(StepSpec::new("notify"))
            .build()
    }

    fn job(pipeline: &Pipeline, done: &[(&str, u64, Option<u32>)]) -> Result<Job, crate::ids::IdError> {
        let mut job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, pipeline, Time(100));
        for (task, at, width) in done {
            job.done.insert(task.parse()?, Done { attempt: 1, at: Time(*at), width: *width });
        }
        Ok(job)
    }

    fn names(tasks: &[TaskId]) -> Vec<String> {
        tasks.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_of_two_fans_out_into_four_tasks_and_back_into_one() -> Result<(), Box<dyn std::error::Error>> {
        let pipeline = video()?;
        let (script, render) = (StepName::try_from("script")?, StepName::try_from("render")?);
        let fanned = job(&pipeline, &[("script", 200, Some(2))])?;
        assert_eq!(names(&successors(&pipeline, &script, &fanned)), ["render#0", "render#1", "speech#0", "speech#1"]);
        let most =
            [("script", 200, Some(2)), ("render#0", 210, None), ("speech#0", 220, None), ("speech#1", 250, None)];
        let waiting = job(&pipeline, &most)?;
        assert_eq!(names(&successors(&pipeline, &render, &waiting)), Vec::<String>::new());
        assert_eq!(
            names(&successors(&pipeline, &script, &waiting)),
            ["render#1"],
            "what is recorded is not sent again"
        );
        let all = job(&pipeline, &[&most[..], &[("render#1", 240, None)]].concat())?;
        assert_eq!(names(&successors(&pipeline, &render, &all)), ["merge"]);
        assert_eq!(scheduled_at(&pipeline, &"merge".parse()?, &all), Some(Time(250)));
        assert_eq!(scheduled_at(&pipeline, &"merge".parse()?, &waiting), None);
        Ok(())
    }

    #[test]
    fn what_follows_a_complete_light_step_is_found_from_before_it() -> Result<(), Box<dyn std::error::Error>> {
        let line = |middle: StepSpec| {
            let builder = Pipeline::builder("line").step(StepSpec::new("a")).step(middle.after(["a"]));
            builder.step(StepSpec::new("c").after(["b"])).finalizer(StepSpec::new("z")).build()
        };
        let (light, other) = (line(StepSpec::new("b").light())?, line(StepSpec::new("b"))?);
        let done = [("a", 200, None), ("b", 210, None)];
        let start = StepName::try_from("a")?;
        assert_eq!(names(&successors(&light, &start, &job(&light, &done)?)), ["c"]);
        assert_eq!(names(&successors(&light, &start, &job(&light, &done[..1])?)), ["b"]);
        assert!(successors(&other, &start, &job(&other, &done)?).is_empty(), "b had a message of its own");
        Ok(())
    }

    #[test]
    fn an_empty_list_lets_what_follows_it_begin() -> Result<(), Box<dyn std::error::Error>> {
        let pipeline = video()?;
        let empty = job(&pipeline, &[("script", 200, Some(0))])?;
        assert_eq!(names(&successors(&pipeline, &StepName::try_from("script")?, &empty)), ["merge"]);
        assert_eq!(scheduled_at(&pipeline, &"merge".parse()?, &empty), Some(Time(200)));
        Ok(())
    }

    #[test]
    fn a_task_that_the_graph_does_not_have_is_foreign() -> Result<(), Box<dyn std::error::Error>> {
        let pipeline = video()?;
        let fanned = job(&pipeline, &[("script", 200, Some(2))])?;
        for (task, expected) in [
            ("render#1", Ok(())),
            ("merge", Ok(())),
            ("notify@0", Ok(())),
            ("paint", Err(Foreign::NoSuchStep)),
            ("merge#0", Err(Foreign::WrongShape)),
            ("render", Err(Foreign::WrongShape)),
            ("merge@0", Err(Foreign::WrongShape)),
            ("notify", Err(Foreign::WrongShape)),
            ("render#2", Err(Foreign::NoSuchElement)),
        ] {
            assert_eq!(belongs(&pipeline, &task.parse()?, Some(&fanned)), expected, "{task}");
        }
        Ok(())
    }
}
