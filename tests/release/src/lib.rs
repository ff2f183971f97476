//! A release of a small deployment, as a binary: what `worker-before` and `worker-after` share.
//!
//! A binary is one release. Each of its processes is one service of it (`RELEASE_SERVICE`), with the main, the parent and
//! the intake of the real ones. The releases differ in their graph and in what their steps write.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_aws::host::{self, Role, Service};
use qsketch_core::decide::Output;
use qsketch_core::ids::TaskId;
use qsketch_core::pipeline::{PipelineError, RetryPolicy, StepSpec};
use qsketch_core::{Failure, Pipeline, StepName};
use qsketch_intake::{Graphs, INTAKE_QUEUE, Intake};
use qsketch_runtime::{Attempt, Handler};

/// The variable that says which service of the release a process is: `intake`, or a step.
pub const SERVICE_VARIABLE: &str = "RELEASE_SERVICE";

/// The variable that names the tasks whose work does not end in this process, as `JOB/TASK` with commas between.
pub const HELD_VARIABLE: &str = "RELEASE_HELD";

/// The file that every attempt keeps: which release did each task so far, a task a line.
pub const MADE_BY: &str = "made-by.txt";

/// What [`MADE_BY`] has at most, in bytes: a short line for each of a few tasks.
pub const MADE_BY_BYTES_MAX: u64 = 1_024;

/// The first step.
pub const DRAFT: &str = "draft";
/// The second step, which fails in every attempt of a job that is named [`FAILING`]….
pub const RENDER: &str = "render";
/// The step that only the release after has, between [`RENDER`] and [`PUBLISH`].
pub const CHECK: &str = "check";
/// The last step.
pub const PUBLISH: &str = "publish";
/// The finalizer.
pub const TELL: &str = "tell";

/// How the id of a job begins whose render always fails.
pub const FAILING: &str = "failing";

/// The settings of a process beside those of every service.
const SETTINGS: &[(&str, &str)] =
    &[(SERVICE_VARIABLE, "which service of the release it is"), (HELD_VARIABLE, "the tasks whose work does not end")];

/// A release.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Its name, which its steps write down.
    pub name: &'static str,
    /// Its steps, in the order of the graph; the last one is the finalizer.
    pub steps: &'static [&'static str],
    /// How often it tries a render.
    pub renders_max: u32,
}

/// The release that is there.
pub const BEFORE: Release = Release { name: "before", steps: &[DRAFT, RENDER, PUBLISH, TELL], renders_max: 2 };

/// The release that is deployed: a step more, and another retry policy.
pub const AFTER: Release = Release { name: "after", steps: &[DRAFT, RENDER, CHECK, PUBLISH, TELL], renders_max: 3 };

impl Release {
    /// Its graph: a line of its steps.
    ///
    /// # Errors
    /// [`PipelineError`] when the release has no steps.
    pub fn graph(self) -> Result<Pipeline, PipelineError> {
        let (finalizer, line) = self.steps.split_last().unwrap_or((&TELL, &[]));
        let mut builder = Pipeline::builder("release");
        for (index, name) in line.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| line.get(before)).copied();
            let mut step = StepSpec::new(name).after(before);
            if *name == RENDER {
                step = step.retry(RetryPolicy {
                    initial_interval: core::time::Duration::from_secs(1),
                    maximum_attempts: self.renders_max,
                    ..RetryPolicy::default()
                });
            }
            builder = builder.step(step);
        }
        builder.finalizer(StepSpec::new(finalizer)).build()
    }

    /// Runs the service of this name until it is told to stop; the work of the tasks `held` does not end.
    #[must_use]
    pub fn run(self, service: Option<String>, held: Option<String>) -> ExitCode {
        let known = [INTAKE_QUEUE].into_iter().chain(self.steps.iter().copied());
        // A name that the release does not know is its own mistake: the service's main has no word for it.
        let name = known.into_iter().find(|known| Some(*known) == service.as_deref()).unwrap_or("unknown");
        let about = "a service of a release that the tests deploy";
        let host = Service { name, about, concurrency: 4, settings: SETTINGS };
        host::run(host, async move |context| {
            if name == INTAKE_QUEUE {
                let graphs = Graphs { plain: self.graph()?, approved: self.graph()? };
                let intake = Intake::new(context.ports.clone(), context.outbox.clone(), graphs);
                return Ok(Role::Consumer(Arc::new(intake)));
            }
            if name == "unknown" {
                return Err(format!("release {} has no service {service:?}", self.name).into());
            }
            let held = held.unwrap_or_default().split(',').map(str::to_owned).collect();
            Ok(Role::Step(Arc::new(Writes { release: self, held })))
        })
    }
}

/// A step that writes down which release did it, behind what the step before it wrote.
struct Writes {
    release: Release,
    held: Vec<String>,
}

#[async_trait]
impl Handler for Writes {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let (job, task) = (attempt.job().job_id.as_str(), attempt.task());
        if self.held.contains(&format!("{job}/{task}")) {
            core::future::pending::<()>().await;
        }
        if task.step().as_str() == RENDER && job.starts_with(FAILING) {
            return Err(Failure::retry("Unlucky", "every render of this job fails"));
        }
        let mut made_by = match self.input_of(attempt)? {
            Some(input) => {
                String::from_utf8_lossy(&attempt.get(&input, MADE_BY, MADE_BY_BYTES_MAX).await?).into_owned()
            }
            None => String::new(),
        };
        made_by.push_str(&format!("{task} {}\n", self.release.name));
        let key = attempt.put(MADE_BY, made_by.into_bytes(), "text/plain").await?;
        let result = (task.step().as_str() == PUBLISH).then_some(key);
        Ok(Output { width: None, result })
    }
}

impl Writes {
    /// The nearest recorded task before this one; none where this is the first, or where the job closed before any was.
    fn input_of(&self, attempt: &Attempt) -> Result<Option<TaskId>, Failure> {
        let is_before = |step: &&&str| **step != attempt.task().step().as_str();
        let mut input = None;
        for step in self.release.steps.iter().take_while(is_before) {
            let step = StepName::try_from(*step).map_err(|error| Failure::fail("NoStep", error))?;
            let task = TaskId::only(step);
            if attempt.job().done.contains_key(&task) {
                input = Some(task);
            }
        }
        Ok(input)
    }
}
