//! The job that is measured: five steps that do nothing, two of them in parallel.

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::pipeline::{PipelineError, StepSpec};
use qsketch_core::{Failure, Pipeline};
use qsketch_runtime::{Attempt, Handler};

/// The steps, in the order of the graph; the last one is the finalizer. Each has a queue of its own.
pub const STEPS: [&str; 5] = ["plan", "left", "right", "join", "tell"];

/// All of them are light: what is measured is what a step costs that costs nothing else.
///
/// `plan` → `left` ∥ `right` → `join` → (the job closes) → `tell`.
///
/// # Errors
/// [`PipelineError`] never: it is checked by a test.
pub fn five_steps() -> Result<Pipeline, PipelineError> {
    let [plan, left, right, join, tell] = STEPS;
    Pipeline::builder("bench")
        .step(StepSpec::new(plan).light())
        .step(StepSpec::new(left).after([plan]).light())
        .step(StepSpec::new(right).after([plan]).light())
        .step(StepSpec::new(join).after([left, right]).light())
        .finalizer(StepSpec::new(tell).light())
        .build()
}

/// A step that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

#[async_trait]
impl Handler for Nothing {
    async fn run(&self, _attempt: &Attempt) -> Result<Output, Failure> {
        Ok(Output::default())
    }
}
