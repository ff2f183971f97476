//! The video pipeline: five steps, two in parallel, each of these mapped over the script's scenes.
//!
//! ```text
//! generate-script ─┬─► render-manim#0..n ─┬─► merge-upload ─► (the job closes) ─► notify
//!                  └─► generate-tts#0..n ─┘
//! ```

use core::time::Duration;

use qsketch_core::pipeline::{Pipeline, PipelineError, RetryPolicy, StepSpec, Timeouts};

/// Writes the script.
pub const GENERATE_SCRIPT: &str = "generate-script";
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

/// The video pipeline, with `lease` as every step's heartbeat timeout.
///
/// All other numbers are the source's: start-to-close 5 min, schedule-to-close 15 min, 3 attempts, 10 s and then twice
/// as long.
///
/// # Errors
/// [`PipelineError`] when the lease does not fit the other timeouts.
pub fn pipeline(lease: Duration) -> Result<Pipeline, PipelineError> {
    let timeouts = || Timeouts { heartbeat: lease, ..Timeouts::default() };
    let step = |name: &str| StepSpec::new(name).timeouts(timeouts()).retry(RetryPolicy::default());
    Pipeline::builder("video")
        .job_timeout(JOB_TIMEOUT)
        .step(step(GENERATE_SCRIPT))
        .step(step(RENDER_MANIM).over(GENERATE_SCRIPT))
        .step(step(GENERATE_TTS).over(GENERATE_SCRIPT))
        .step(step(MERGE_UPLOAD).after([RENDER_MANIM, GENERATE_TTS]))
        .finalizer(step(NOTIFY))
        .build()
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
}
