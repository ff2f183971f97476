//! Which tasks are ready, given what is recorded. Nothing here is stored: what can be derived can't be wrong.

use core::ops::Range;

use crate::ids::{ShardId, StepName, TaskId, Which};
use crate::parts::{Closing, Done, Job};
use crate::pipeline::{CheckedStep, Pipeline};
use crate::shard::Shard;
use crate::time::Time;

/// How many tasks a step has, or none while it is not known.
#[must_use]
pub fn width_of(step: &CheckedStep, job: &Job) -> Option<u32> {
    let Some(over) = &step.over else { return Some(1) };
    Some(job.done.get(&TaskId::only(over.clone()))?.width.unwrap_or(0))
}

/// The tasks of a step, or none while it is not known how many there are.
#[must_use]
pub fn tasks_of(step: &CheckedStep, job: &Job) -> Option<Vec<TaskId>> {
    if step.over.is_none() {
        return Some(vec![TaskId::only(step.name.clone())]);
    }
    let width = width_of(step, job)?;
    Some((0..width).map(|index| TaskId::element(step.name.clone(), index)).collect())
}

/// A shard, and which elements of the list it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The shard.
    pub shard: ShardId,
    /// The elements whose records it holds.
    pub elements: Range<u32>,
}

impl Span {
    /// Whether every element of it is recorded there.
    #[must_use]
    pub fn is_full(&self, shard: &Shard) -> bool {
        shard.done.range(self.elements.clone()).count() == self.elements.len()
    }
}

/// The shards of a step's records, in their order; none where they stand in the part `job`.
pub fn spans_of(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> impl Iterator<Item = Span> {
    let (of, width) = (pipeline.sharding().shard_width, sharded_width(pipeline, step, job).unwrap_or(0));
    let (name, generation) = (step.name.clone(), job.generation(&step.name));
    (0..width.div_ceil(of)).map(move |index| span_at(ShardId::new(name.clone(), generation, index), width, of))
}

/// How many elements a step has whose records stand in shards; none where the part `job` has them.
fn sharded_width(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> Option<u32> {
    let most = pipeline.sharding().inline_width_max;
    width_of(step, job).filter(|width| step.over.is_some() && *width > most)
}

fn span_at(shard: ShardId, width: u32, of: u32) -> Span {
    let index = shard.index();
    Span { shard, elements: index * of..width.min((index + 1) * of) }
}

/// The shard that holds a task's record; none where the part `job` does, or where it is not known yet.
#[must_use]
pub fn span_of(pipeline: &Pipeline, task: &TaskId, job: &Job) -> Option<Span> {
    let step = pipeline.step(task.step())?;
    let Which::Element(element) = task.which() else { return None };
    let (of, width) = (pipeline.sharding().shard_width, sharded_width(pipeline, step, job)?);
    let shard = ShardId::new(step.name.clone(), job.generation(&step.name), element / of);
    (element < width).then(|| span_at(shard, width, of))
}

/// The shard that would hold a task's record in this generation if its step is wide: to be loaded beside the job that tells.
#[must_use]
pub fn shard_to_load(pipeline: &Pipeline, task: &TaskId, generation: u32) -> Option<ShardId> {
    pipeline.step(task.step()).filter(|step| step.over.is_some())?;
    let Which::Element(element) = task.which() else { return None };
    Some(ShardId::new(task.step().clone(), generation, element / pipeline.sharding().shard_width))
}

/// A task's record, from the part `job` or, for an element of a wide step, from its shard.
#[must_use]
pub fn record_of<'a>(
    pipeline: &Pipeline,
    task: &TaskId,
    job: &'a Job,
    shard: impl FnOnce(&ShardId) -> Option<&'a Shard>,
) -> Option<&'a Done> {
    match (span_of(pipeline, task, job), task.which()) {
        (Some(span), Which::Element(element)) => shard(&span.shard)?.done.get(&element),
        _ => job.done.get(task),
    }
}

/// Whether every task of a step is recorded; the elements of a wide one once all its shards are folded.
///
/// A wait may be recorded before its inputs are; it is complete once they are too.
#[must_use]
pub fn is_complete(pipeline: &Pipeline, name: &StepName, job: &Job) -> bool {
    let Some(step) = pipeline.step(name) else { return false };
    let Some(width) = width_of(step, job) else { return false };
    if step.over.is_none() {
        return is_recorded(name, job) && (step.wait.is_none() || is_ready(pipeline, step, job));
    }
    let mut spans = spans_of(pipeline, step, job).peekable();
    if spans.peek().is_some() {
        return spans.all(|span| job.folded.contains_key(&span.shard));
    }
    (0..width).all(|index| job.done.contains_key(&TaskId::element(name.clone(), index)))
}

/// Whether every input of a step is recorded.
#[must_use]
pub fn is_ready(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> bool {
    step.after.iter().all(|input| is_complete(pipeline, input, job))
}

/// Whether every task but the finalizer's is recorded, taking `also` as recorded.
#[must_use]
pub fn is_all_complete(pipeline: &Pipeline, job: &Job, also: Also<'_>) -> bool {
    let mut seen;
    let seen = match also {
        Also::Nothing => job,
        Also::Record(task, done) => {
            seen = job.clone();
            seen.done.entry(task.clone()).or_insert_with(|| done.clone());
            &seen
        }
        Also::Fold(shard, at) => {
            seen = job.clone();
            seen.folded.entry(shard.clone()).or_insert(at);
            &seen
        }
    };
    pipeline.steps().iter().rev().all(|step| is_complete(pipeline, &step.name, seen))
}

/// What to take as written already.
#[derive(Clone, Copy, Debug)]
pub enum Also<'a> {
    /// Nothing.
    Nothing,
    /// This record.
    Record(&'a TaskId, &'a Done),
    /// The fold of this shard.
    Fold(&'a ShardId, Time),
}

/// The tasks that the completion of `step` makes ready and that are not recorded yet, in the graph's order.
///
/// A mapped step whose list is empty has no task: what follows it is then ready in its place. So is what follows a light
/// step that is complete: its tasks may have been handed on without messages of their own, and whoever asks may hold the
/// only message that is left. And so is what follows a wait that is complete: it may have been recorded before its inputs, and
/// it never had a message.
#[must_use]
pub fn successors(pipeline: &Pipeline, step: &StepName, job: &Job) -> Vec<TaskId> {
    let mut found = Vec::new();
    let mut passed = vec![step.clone()];
    for next in pipeline.steps() {
        if !next.after.iter().any(|input| passed.contains(input)) || !is_ready(pipeline, next, job) {
            continue;
        }
        let is_passed = next.is_light || next.wait.is_some();
        if width_of(next, job) == Some(0) || is_passed && is_complete(pipeline, &next.name, job) {
            passed.push(next.name.clone());
        }
        found.extend(unrecorded(pipeline, next, job));
    }
    found
}

/// All tasks that are ready and not recorded, in the graph's order, but for waits: what a job that is opened again, or resumed, sends.
#[must_use]
pub fn open(pipeline: &Pipeline, job: &Job) -> Vec<TaskId> {
    let ready = pipeline.steps().iter().filter(|step| is_ready(pipeline, step, job));
    ready.flat_map(|step| unrecorded(pipeline, step, job)).collect()
}

/// The tasks of a step that are not recorded; of a wide one all that stand in shards that are not folded. A wait has no
/// message, so that none of it is ever to be sent.
fn unrecorded(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> Vec<TaskId> {
    if step.wait.is_some() {
        return Vec::new();
    }
    let mut spans = spans_of(pipeline, step, job).peekable();
    if spans.peek().is_none() {
        let tasks = tasks_of(step, job).unwrap_or_default();
        return tasks.into_iter().filter(|task| !job.done.contains_key(task)).collect();
    }
    let open = spans.filter(|span| !job.folded.contains_key(&span.shard));
    open.flat_map(|span| span.elements).map(|index| TaskId::element(step.name.clone(), index)).collect()
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
    /// The step waits: it has no work, and no message.
    Waits,
}

/// Checks that a task belongs to the graph; whether its list has such an element is known only with a job.
///
/// # Errors
/// Why it does not belong.
pub fn belongs(pipeline: &Pipeline, task: &TaskId, job: Option<&Job>) -> Result<(), Foreign> {
    let step = pipeline.step(task.step()).ok_or(Foreign::NoSuchStep)?;
    if step.wait.is_some() {
        return Err(Foreign::Waits);
    }
    let is_finalizer = step.name == pipeline.finalizer().name;
    match (task.which(), is_finalizer, step.over.is_some()) {
        (Which::Closing(_), true, _) | (Which::Only, false, false) => Ok(()),
        (Which::Element(index), false, true) => {
            let width = job.and_then(|job| width_of(step, job));
            let beyond = width.is_some_and(|width| width <= index);
            if beyond { Err(Foreign::NoSuchElement) } else { Ok(()) }
        }
        _ => Err(Foreign::WrongShape),
    }
}

/// When a task was scheduled: when the last of its inputs was recorded, the job was taken in or opened again, or it closed.
///
/// None while an input is missing.
#[must_use]
pub fn scheduled_at(pipeline: &Pipeline, task: &TaskId, job: &Job) -> Option<Time> {
    if let Which::Closing(closing) = task.which() {
        return job.closings.get(closing as usize).map(|Closing { at, .. }| *at);
    }
    let step = pipeline.step(task.step())?;
    let begun = job.started_at.unwrap_or_default().max(job.reopened_at.unwrap_or_default());
    let mut latest = job.created_at.max(begun);
    for input in &step.after {
        if !is_complete(pipeline, input, job) {
            return None;
        }
        let input = pipeline.step(input)?;
        if width_of(input, job)? == 0 {
            latest = latest.max(scheduled_at(pipeline, &TaskId::element(input.name.clone(), 0), job)?);
        }
        if input.wait.is_some() {
            // It may have been recorded before its own inputs.
            latest = latest.max(scheduled_at(pipeline, &TaskId::only(input.name.clone()), job)?);
        }
        latest = latest.max(recorded_at(pipeline, input, job));
    }
    Some(latest)
}

/// When the last task of a complete step was recorded; the beginning of time where it has none.
fn recorded_at(pipeline: &Pipeline, step: &CheckedStep, job: &Job) -> Time {
    let mut spans = spans_of(pipeline, step, job).peekable();
    if spans.peek().is_some() {
        return spans.filter_map(|span| job.folded.get(&span.shard)).max().copied().unwrap_or_default();
    }
    let tasks = tasks_of(step, job).unwrap_or_default();
    tasks.iter().filter_map(|task| job.done.get(task)).map(|done| done.at).max().unwrap_or_default()
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
            job.done.insert(task.parse()?, Done { attempt: 1, at: Time(*at), width: *width, payload: None });
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
    fn a_wait_is_never_sent_and_counts_once_its_inputs_are_recorded_too() -> Result<(), Box<dyn std::error::Error>> {
        let pipeline = Pipeline::builder("approved")
            .step(StepSpec::new("script"))
            .step(StepSpec::new("approve").after(["script"]).wait(crate::pipeline::Wait::signal("approve")))
            .step(StepSpec::new("publish").after(["approve"]))
            .step(StepSpec::new("render").over("script").after(["approve"]))
            .finalizer(StepSpec::new("notify"))
            .build()?;
        let (script, approve) = (StepName::try_from("script")?, StepName::try_from("approve")?);
        let written = job(&pipeline, &[("script", 200, Some(2))])?;
        assert!(successors(&pipeline, &script, &written).is_empty());
        assert!(open(&pipeline, &written).is_empty());
        let early = job(&pipeline, &[("approve", 150, None)])?;
        assert!(!is_complete(&pipeline, &approve, &early));
        assert!(successors(&pipeline, &approve, &early).is_empty(), "its own input is missing");
        assert_eq!(names(&open(&pipeline, &early)), ["script"]);
        let both = job(&pipeline, &[("approve", 150, None), ("script", 200, Some(2))])?;
        for step in [&script, &approve] {
            assert_eq!(names(&successors(&pipeline, step, &both)), ["publish", "render#0", "render#1"], "{step}");
        }
        assert_eq!(scheduled_at(&pipeline, &"publish".parse()?, &both), Some(Time(200)));
        let late = job(&pipeline, &[("approve", 900, None), ("script", 200, Some(2))])?;
        assert_eq!(scheduled_at(&pipeline, &"publish".parse()?, &late), Some(Time(900)));
        assert_eq!(belongs(&pipeline, &"approve".parse()?, Some(&written)), Err(Foreign::Waits));
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
