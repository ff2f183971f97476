//! The checks of a pipeline, all mistakes named at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckedStep, Document, Pipeline, PipelineError, RetryPolicy, StepSpec, Timeouts, hash_of};
use crate::ids::StepName;
use crate::limits::{INLINE_WIDTH_MAX, SHARD_WIDTH, STEPS_MAX};

/// Checks a document and turns it into a pipeline.
pub(super) fn build(document: Document, finalizers: usize) -> Result<Pipeline, PipelineError> {
    let mut mistakes = Vec::new();
    let name = StepName::try_from(document.name.as_str());
    if let Err(error) = &name {
        mistakes.push(format!("pipeline: {error}"));
    }
    if document.job_timeout.is_zero() {
        mistakes.push("the job timeout is zero: give it a duration".to_owned());
    }
    if document.steps.len() > STEPS_MAX {
        mistakes.push(format!("it has {} steps: at most {STEPS_MAX}", document.steps.len()));
    }
    let sharding = document.sharding;
    if sharding.inline_width_max > INLINE_WIDTH_MAX || !(1..=SHARD_WIDTH).contains(&sharding.shard_width) {
        mistakes.push(format!(
            "its records stand up to {} wide in the job and {} in a shard: use at most {INLINE_WIDTH_MAX}, and 1 to {SHARD_WIDTH}",
            sharding.inline_width_max, sharding.shard_width
        ));
    }
    if finalizers > 1 {
        mistakes.push(format!("it has {finalizers} finalizers: it needs one"));
    }
    check_names(&document, &mut mistakes);
    for step in document.steps.iter().chain(&document.finalizer) {
        let own = step.timeouts.mistakes().into_iter().chain(step.retry.mistakes());
        mistakes.extend(own.map(|mistake| format!("step {:?}: {mistake}", step.name)));
        if step.is_unclaimed && !step.is_light {
            mistakes
                .push(format!("step {:?} is unclaimed and not light: it takes the job from its message", step.name));
        }
        if step.is_unclaimed && step.timeouts.start_to_close > step.timeouts.heartbeat {
            mistakes.push(format!(
                "step {:?} is unclaimed and its start-to-close timeout longer than its heartbeat timeout: nothing keeps its message hidden",
                step.name
            ));
        }
    }
    check_inputs(&document, &mut mistakes);
    check_waits(&document, &mut mistakes);
    let order = check_graph(&document.steps, &mut mistakes);
    let Some(finalizer) = &document.finalizer else {
        mistakes.push("it has no finalizer: name the step that runs once the job has closed".to_owned());
        return Err(PipelineError { mistakes });
    };
    if !finalizer.after.is_empty() || finalizer.over.is_some() {
        mistakes.push(format!("finalizer {:?} has inputs: it runs after the job, not after a step", finalizer.name));
    }
    let Ok(name) = name else { return Err(PipelineError { mistakes }) };
    if !mistakes.is_empty() {
        return Err(PipelineError { mistakes });
    }
    let steps = order.iter().map(|index| checked(&document.steps[*index])).collect::<Result<Vec<_>, _>>()?;
    let finalizer = checked(finalizer)?;
    let text = serde_json::to_string(&document)
        .map_err(|error| PipelineError { mistakes: vec![format!("it can't be written: {error}")] })?;
    let (hash, job_timeout) = (hash_of(&text), document.job_timeout);
    Ok(Pipeline { name, hash, document: text, job_timeout, steps, finalizer, sharding })
}

fn checked(step: &StepSpec) -> Result<CheckedStep, PipelineError> {
    let parse = |name: &String| {
        StepName::try_from(name.as_str()).map_err(|error| PipelineError { mistakes: vec![error.to_string()] })
    };
    Ok(CheckedStep {
        name: parse(&step.name)?,
        after: step.after.iter().map(parse).collect::<Result<_, _>>()?,
        over: step.over.as_ref().map(parse).transpose()?,
        timeouts: step.timeouts.clone(),
        retry: step.retry.clone(),
        is_light: step.is_light,
        is_unclaimed: step.is_unclaimed,
        wait: step.wait.clone(),
    })
}

/// A step that waits has one task and no attempt, and nobody works for it.
fn check_waits(document: &Document, mistakes: &mut Vec<String>) {
    let mut signals = BTreeSet::new();
    for step in &document.steps {
        let Some(wait) = &step.wait else { continue };
        let name = &step.name;
        mistakes.extend(wait.mistakes(document.job_timeout).iter().map(|mistake| format!("step {name:?}: {mistake}")));
        if step.after.is_empty() {
            mistakes.push(format!("step {name:?} waits and has no inputs: a job begins with work"));
        }
        if step.over.is_some() {
            mistakes.push(format!("step {name:?} waits and is mapped: it has one task"));
        }
        if document.steps.iter().any(|other| other.over.as_ref() == Some(name)) {
            mistakes.push(format!("step {name:?} waits and is mapped over: it makes no list"));
        }
        if step.is_light || step.is_unclaimed {
            mistakes.push(format!("step {name:?} waits and is light: it has no message"));
        }
        if step.timeouts != Timeouts::default() || step.retry != RetryPolicy::default() {
            mistakes.push(format!(
                "step {name:?} waits and has timeouts or retries: it has no attempts, only its own time-out"
            ));
        }
        if let Some(signal) = &wait.signal
            && !signals.insert(signal)
        {
            mistakes.push(format!("two steps wait for the signal {signal:?}: give each its own"));
        }
    }
    if document.finalizer.as_ref().is_some_and(|finalizer| finalizer.wait.is_some()) {
        mistakes.push("the finalizer waits: it runs at once".to_owned());
    }
}

fn check_names(document: &Document, mistakes: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for step in document.steps.iter().chain(&document.finalizer) {
        if let Err(error) = StepName::try_from(step.name.as_str()) {
            mistakes.push(error.to_string());
        }
        if !seen.insert(&step.name) {
            mistakes.push(format!("step {:?} is there twice", step.name));
        }
    }
}

fn check_inputs(document: &Document, mistakes: &mut Vec<String>) {
    let steps: BTreeMap<&str, &StepSpec> = document.steps.iter().map(|step| (step.name.as_str(), step)).collect();
    for step in &document.steps {
        let mut seen = BTreeSet::new();
        for input in &step.after {
            if !seen.insert(input) {
                mistakes.push(format!("step {:?} names its input {input:?} twice", step.name));
            }
            if document.finalizer.as_ref().is_some_and(|finalizer| finalizer.name == *input) {
                mistakes.push(format!("step {:?} comes after the finalizer {input:?}: nothing does", step.name));
            } else if !steps.contains_key(input.as_str()) {
                mistakes.push(format!("step {:?} needs {input:?}, which is no step", step.name));
            }
        }
        let Some(over) = &step.over else { continue };
        if !step.after.contains(over) {
            mistakes.push(format!("step {:?} is mapped over {over:?}, which is not among its inputs", step.name));
        }
        if steps.get(over.as_str()).is_some_and(|mapped| mapped.over.is_some()) {
            mistakes.push(format!(
                "step {:?} is mapped over {over:?}, which is mapped itself: map over the same list",
                step.name
            ));
        }
    }
}

/// An order of the steps with every step after its inputs; names cycles, starts and what can't be reached.
fn check_graph(steps: &[StepSpec], mistakes: &mut Vec<String>) -> Vec<usize> {
    let starts: Vec<&str> = steps.iter().filter(|s| s.after.is_empty()).map(|s| s.name.as_str()).collect();
    match starts.as_slice() {
        [_] => {}
        [] => mistakes.push("it has no start: one step must have no inputs".to_owned()),
        several => mistakes.push(format!(
            "it has {} starts ({}): one step may have no inputs",
            several.len(),
            several.join(", ")
        )),
    }
    let known: BTreeSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let mut placed = BTreeSet::new();
    let mut order = Vec::new();
    for _ in 0..steps.len() {
        for (index, step) in steps.iter().enumerate() {
            let mut inputs = step.after.iter().filter(|input| known.contains(input.as_str()));
            if !order.contains(&index) && inputs.all(|input| placed.contains(input.as_str())) {
                order.push(index);
                placed.insert(step.name.as_str());
            }
        }
    }
    let left: Vec<&str> = steps.iter().map(|s| s.name.as_str()).filter(|name| !placed.contains(name)).collect();
    if !left.is_empty() {
        mistakes.push(format!("these steps wait for each other in a cycle, or after one: {}", left.join(", ")));
    }
    for step in unreachable(steps, &starts) {
        mistakes.push(format!("step {step:?} can't be reached from the start"));
    }
    order
}

fn unreachable<'a>(steps: &'a [StepSpec], starts: &[&str]) -> Vec<&'a str> {
    let Some(start) = starts.first() else { return Vec::new() };
    let mut reached = BTreeSet::from([*start]);
    for _ in 0..steps.len() {
        for step in steps {
            if step.after.iter().any(|input| reached.contains(input.as_str())) {
                reached.insert(step.name.as_str());
            }
        }
    }
    steps.iter().map(|step| step.name.as_str()).filter(|name| !reached.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::Wait;
    use super::*;

    fn video() -> super::super::PipelineBuilder {
        Pipeline::builder("video")
            .step(StepSpec::new("merge").after(["render", "speech"]))
            .step(StepSpec::new("script"))
            .step(StepSpec::new("render").over("script"))
            .step(StepSpec::new("speech").over("script"))
    }

    fn mistakes(builder: super::super::PipelineBuilder) -> String {
        builder.build().map(|_| String::new()).unwrap_or_else(|error| error.mistakes.join("\n"))
    }

    #[test]
    fn a_pipeline_stands_in_the_order_of_its_inputs_and_reads_back_the_same() -> Result<(), PipelineError> {
        let built = video().finalizer(StepSpec::new("notify")).build()?;
        assert_eq!(built.start().name.as_str(), "script");
        assert_eq!(built.steps().last().map(|s| s.name.as_str()), Some("merge"));
        assert_eq!(Pipeline::from_document(built.document())?, built);
        Ok(())
    }

    #[test]
    fn the_defaults_are_the_source_s_numbers() {
        let (timeouts, retry) = (Timeouts::default(), RetryPolicy::default());
        assert_eq!(timeouts.start_to_close, Duration::from_secs(300));
        assert_eq!(timeouts.schedule_to_close, Duration::from_secs(900));
        assert_eq!((retry.maximum_attempts, retry.initial_interval), (3, Duration::from_secs(10)));
        assert!((retry.backoff_coefficient - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let bad = Pipeline::builder("Video!")
            .job_timeout(Duration::ZERO)
            .step(StepSpec::new("a"))
            .step(StepSpec::new("a"))
            .step(StepSpec::new("b").after(["c", "nowhere"]))
            .step(StepSpec::new("c").after(["b"]))
            .step(StepSpec::new("d").after(["a"]).retry(RetryPolicy {
                maximum_attempts: 0,
                backoff_coefficient: 0.5,
                ..RetryPolicy::default()
            }))
            .step(
                StepSpec::new("e")
                    .after(["a"])
                    .timeouts(Timeouts { start_to_close: Duration::ZERO, ..Timeouts::default() }),
            );
        let text = mistakes(bad);
        for part in [
            "pipeline: step name",
            "job timeout is zero",
            "step \"a\" is there twice",
            "\"nowhere\", which is no step",
            "in a cycle",
            "\"b\" can't be reached",
            "maximum attempts are 0",
            "coefficient is 0.5",
            "start-to-close timeout is zero",
            "no finalizer",
            "2 starts",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_step_mapped_over_a_mapped_step_or_behind_the_finalizer_is_refused() {
        let text = mistakes(
            video()
                .step(StepSpec::new("late").after(["notify"]))
                .step(StepSpec::new("deep").over("render"))
                .finalizer(StepSpec::new("notify").after(["merge"])),
        );
        assert!(text.contains("mapped over \"render\", which is mapped itself"), "{text}");
        assert!(text.contains("comes after the finalizer"), "{text}");
        assert!(text.contains("finalizer \"notify\" has inputs"), "{text}");
    }

    #[test]
    fn a_wait_has_no_queue_no_list_and_no_attempts() {
        let hour = Duration::from_secs(3_600);
        let text = mistakes(
            Pipeline::builder("p")
                .step(StepSpec::new("first").wait(Wait::signal("go")))
                .step(StepSpec::new("none").after(["first"]).wait(Wait::default()))
                .step(StepSpec::new("wide").over("first").wait(Wait::signal("go")))
                .step(StepSpec::new("quick").after(["first"]).light().wait(Wait::signal("Go!")))
                .step(StepSpec::new("long").after(["first"]).wait(Wait::after(hour).timeout(Duration::ZERO)))
                .step(
                    StepSpec::new("tried")
                        .after(["first"])
                        .retry(RetryPolicy { maximum_attempts: 1, ..RetryPolicy::default() })
                        .wait(Wait::signal("tried").or_after(Duration::from_secs(9)).timeout(Duration::from_secs(9))),
                )
                .finalizer(StepSpec::new("z").wait(Wait::after(Duration::from_secs(1)))),
        );
        for part in [
            "\"first\" waits and has no inputs",
            "\"first\" waits and is mapped over",
            "\"none\": it waits for nothing",
            "\"wide\" waits and is mapped: it has one task",
            "two steps wait for the signal \"go\"",
            "\"quick\" waits and is light",
            "signal name \"Go!\" is not valid",
            "\"long\": its wait is 3600 s and the job's timeout 3600 s",
            "\"long\": its wait's time-out is zero",
            "\"tried\" waits and has timeouts or retries",
            "\"tried\": its wait ends by itself after its time-out",
            "the finalizer waits",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_mapped_step_may_come_after_a_wait_and_a_pipeline_with_one_reads_back_the_same() -> Result<(), PipelineError> {
        let day = Duration::from_secs(24 * 3_600);
        let built = Pipeline::builder("p")
            .job_timeout(2 * day)
            .step(StepSpec::new("script"))
            .step(StepSpec::new("approve").after(["script"]).wait(Wait::signal("approve").timeout(day)))
            .step(StepSpec::new("render").over("script").after(["approve"]))
            .finalizer(StepSpec::new("notify"))
            .build()?;
        assert_eq!(Pipeline::from_document(built.document())?, built);
        let wait = r#""wait":{"signal":"approve","timeout_millis":86400000}"#;
        assert!(built.document().contains(wait), "{}", built.document());
        Ok(())
    }

    #[test]
    fn two_finalizers_are_refused() {
        let text = mistakes(video().finalizer(StepSpec::new("notify")).finalizer(StepSpec::new("other")));
        assert!(text.contains("2 finalizers"), "{text}");
    }

    #[test]
    fn a_document_of_a_newer_layout_is_refused_with_both_numbers() {
        let text = r#"{"layout":2,"name":"x","job_timeout_millis":1,"steps":[],"finalizer":null}"#;
        let error = Pipeline::from_document(text).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(error, Err("the pipeline is not valid: its document has layout 2, this release reads 1".to_owned()));
    }
}
