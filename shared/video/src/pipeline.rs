//! The video pipeline: five steps, two in parallel, each of these mapped over the script's scenes.
//!
//! ```text
//! generate-script ─┬─► render-manim#0..n ─┬─► merge-upload ─► (the job closes) ─► notify
//!                  └─► generate-tts#0..n ─┘
//! ```
//! A submission may ask for an approval: then `approve` stands between the script and what is made of it, a wait for the
//! signal of that name.

use core::time::Duration;

use qsketch_core::pipeline::{Pipeline, PipelineBuilder, PipelineError, RetryPolicy, StepSpec, Timeouts, Wait};

/// Writes the script.
pub const GENERATE_SCRIPT: &str = "generate-script";
/// Waits for the script's approval, where a submission asks for one; also the name of its signal.
pub const APPROVE: &str = "approve";
/// Renders one scene.
pub const RENDER_MANIM: &str = "render-manim";
/// Speaks one scene's narration.
pub const GENERATE_TTS: &str = "generate-tts";
/// Joins pictures and sound, and uploads the video.
pub const MERGE_UPLOAD: &str = "merge-upload";
/// Tells the customer, once the job has closed.
pub const NOTIFY: &str = "notify";

/// How long one video may take in all: scripts, renders and merge each within their schedule-to-close.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(3_600);

/// How long an approval is waited for.
pub const APPROVAL_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The graphs of videos: which one a job gets, its submission says.
#[derive(Clone, Debug, PartialEq)]
pub struct Graphs {
    /// Of a job that goes on by itself.
    pub plain: Pipeline,
    /// Of a job that waits after its script until it is approved.
    pub approved: Pipeline,
}

impl Graphs {
    /// Both graphs, with `lease` as every step's heartbeat timeout.
    ///
    /// # Errors
    /// [`PipelineError`] when the lease does not fit the other timeouts.
    pub fn new(lease: Duration) -> Result<Self, PipelineError> {
        Ok(Self { plain: pipeline(lease)?, approved: approved_pipeline(lease)? })
    }

    /// The graph of a job whose submission asks for an approval, or does not.
    #[must_use]
    pub const fn of(&self, approve: bool) -> &Pipeline {
        if approve { &self.approved } else { &self.plain }
    }
}

/// The video pipeline, with `lease` as every step's heartbeat timeout.
///
/// All other numbers are the source's: start-to-close 5 min, schedule-to-close 15 min, 3 attempts, 10 s and then twice
/// as long.
///
/// # Errors
/// [`PipelineError`] when the lease does not fit the other timeouts.
pub fn pipeline(lease: Duration) -> Result<Pipeline, PipelineError> {
    let builder = Pipeline::builder("video").job_timeout(JOB_TIMEOUT).step(step(GENERATE_SCRIPT, lease));
    scenes(builder, lease, &[])
}

/// The same pipeline with a wait for approval after the script, and as much more time for the job.
///
/// # Errors
/// As [`pipeline`].
pub fn approved_pipeline(lease: Duration) -> Result<Pipeline, PipelineError> {
    let approve = StepSpec::new(APPROVE).after([GENERATE_SCRIPT]);
    let builder = Pipeline::builder("video-approved")
        .job_timeout(JOB_TIMEOUT + APPROVAL_TIMEOUT)
        .step(step(GENERATE_SCRIPT, lease))
        .step(approve.wait(Wait::signal(APPROVE).timeout(APPROVAL_TIMEOUT)));
    scenes(builder, lease, &[APPROVE])
}

/// What is made of a script, once these steps are complete too.
fn scenes(builder: PipelineBuilder, lease: Duration, also: &[&str]) -> Result<Pipeline, PipelineError> {
    let mapped = |name: &str| step(name, lease).over(GENERATE_SCRIPT).after(also.iter().copied());
    builder
        .step(mapped(RENDER_MANIM))
        .step(mapped(GENERATE_TTS))
        .step(step(MERGE_UPLOAD, lease).after([RENDER_MANIM, GENERATE_TTS]))
        .finalizer(step(NOTIFY, lease))
        .build()
}

fn step(name: &str, lease: Duration) -> StepSpec {
    let timeouts = Timeouts { heartbeat: lease, ..Timeouts::default() };
    StepSpec::new(name).timeouts(timeouts).retry(RetryPolicy::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_video_pipeline_passes_its_checks_and_keeps_the_source_s_numbers() -> Result<(), PipelineError> {
        let pipeline = pipeline(Duration::from_secs(30))?;
        let names: Vec<&str> = pipeline.steps().iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, [GENERATE_SCRIPT, RENDER_MANIM, GENERATE_TTS, MERGE_UPLOAD]);
        for step in pipeline.steps() {
            assert_eq!(step.timeouts.start_to_close, Duration::from_secs(300), "{}", step.name);
            assert_eq!(step.retry.maximum_attempts, 3, "{}", step.name);
        }
        Ok(())
    }

    #[test]
    fn an_approved_job_has_a_wait_after_its_script_and_the_time_for_it() -> Result<(), PipelineError> {
        let graphs = Graphs::new(Duration::from_secs(30))?;
        let names: Vec<&str> = graphs.approved.steps().iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, [GENERATE_SCRIPT, APPROVE, RENDER_MANIM, GENERATE_TTS, MERGE_UPLOAD]);
        assert_eq!(graphs.approved.job_timeout(), Duration::from_secs((7 * 24 + 1) * 3_600));
        assert_ne!(graphs.of(true).hash(), graphs.of(false).hash());
        // A job in flight finds its graph by this: it must not change with what approved jobs need.
        assert_eq!(graphs.of(false).hash().as_str(), "bcf57c70c734b2cf75838f758433eb48");
        Ok(())
    }
}
