//! The job that is measured: five steps that do nothing, two of them in parallel.

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::pipeline::{PipelineError, StepSpec, Timeouts};
use qsketch_core::{Failure, Pipeline};
use qsketch_runtime::{Attempt, Handler};

/// The steps, in the order of the graph; the last one is the finalizer. Each has a queue of its own.
pub const STEPS: [&str; 5] = ["plan", "left", "right", "join", "tell"];

/// All of them are declared light, or light and unclaimed: what is measured is what a step costs that costs nothing else.
///
/// `plan` → `left` ∥ `right` → `join` → (the job closes) → `tell`.
///
/// # Errors
/// [`PipelineError`] never: it is checked by a test.
pub fn five_steps(declare: fn(StepSpec) -> StepSpec) -> Result<Pipeline, PipelineError> {
    let [plan, left, right, join, tell] = STEPS;
    let timeouts = Timeouts { start_to_close: Timeouts::default().heartbeat, ..Timeouts::default() };
    let step = |name| declare(StepSpec::new(name).timeouts(timeouts.clone()));
    Pipeline::builder("bench")
        .step(step(plan))
        .step(step(left).after([plan]))
        .step(step(right).after([plan]))
        .step(step(join).after([left, right]))
        .finalizer(step(tell))
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
