//! Showing: the story of a job with what was asked, who wrote the script, what ran in parallel, and where the logs are.

use std::collections::BTreeMap;

use qsketch_core::pipeline::PipelineHash;
use qsketch_core::story::{self, Story};
use qsketch_core::{JobId, Pipeline, StepName, TaskId, Time};
use qsketch_runtime::attempt::{LOG_FILE, key};
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{PortError, PortErrorKind, Ports};
use qsketch_video::pipeline::GENERATE_SCRIPT;
use qsketch_video::{Script, VideoRequest};
use serde::Serialize;

use crate::error::OpsError;
use crate::logs::list_logs;
use crate::parallel::{at_once_max, beside};

/// The script's file.
pub const SCRIPT_FILE: &str = "script.json";

/// The largest script that is read, in bytes.
pub const SCRIPT_BYTES_MAX: u64 = 2 * 1_024 * 1_024;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// What the video is to explain.
    pub prompt: String,
    /// The title that was asked for.
    pub title: Option<String>,
    /// Who narrates.
    pub voice: String,
    /// The picture's quality.
    pub quality: String,
}

/// How the script came to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScriptNote {
    /// Who wrote it.
    pub provider: String,
    /// The lesson that a template provider chose.
    pub lesson: Option<String>,
    /// The video's title.
    pub title: String,
    /// The scenes' titles, in order.
    pub scenes: Vec<String>,
    /// What a reader must know about it.
    pub notes: Vec<String>,
}

/// A job's story with all that stands around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The story.
    #[serde(flatten)]
    pub story: Story,
    /// When it was looked at.
    pub now: Time,
    /// What was asked for; none for a refused submission.
    pub asked: Option<Asked>,
    /// How the script came to be; none while there is none.
    pub script: Option<ScriptNote>,
    /// For each task, which others were at work at the same time.
    pub parallel: BTreeMap<String, Vec<String>>,
    /// The most tasks that were at work at one time.
    pub at_once_max: usize,
    /// For each task, the attempts whose tools' output is kept.
    pub logs: BTreeMap<String, Vec<u32>>,
    /// Where tools' output is kept when an attempt ends, with `TASK` and `ATTEMPT` to be filled in.
    pub logs_location: String,
    /// Why `script` and `logs` may be incomplete.
    pub store_problem: Option<String>,
}

/// The story of a job, with all that stands around it.
///
/// # Errors
/// [`OpsError::NotFound`], [`OpsError::Damaged`], [`OpsError::Port`]. A store that fails does not keep the story back.
pub async fn show(ports: &Ports, job: &JobId) -> Result<Shown, OpsError> {
    let parts = ports.table.load_parts(job).await?;
    let pipeline = pipeline_of(ports, &parts, job).await?;
    let story = tell(&pipeline, &parts).ok_or_else(|| OpsError::no_job(job))?;
    let now = ports.clock.now();
    let (script, logs) = tokio::join!(script_of(ports, &parts), list_logs(ports, job));
    let mut problems = Vec::new();
    let script = script.unwrap_or_else(|error| {
        problems.push(error.line());
        None
    });
    let mut kept: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    match logs {
        Ok(logs) => logs.into_iter().for_each(|log| kept.entry(log.task.to_string()).or_default().push(log.attempt)),
        Err(error) => problems.push(error.line()),
    }
    Ok(Shown {
        parallel: beside(&story, now),
        at_once_max: at_once_max(&story, now),
        now,
        asked: parts.input.as_ref().and_then(|input| asked(&input.submission)),
        script,
        logs: kept,
        logs_location: ports.store.location(&format!("jobs/{job}/TASK/ATTEMPT/{LOG_FILE}")),
        store_problem: problems.into_iter().next(),
        story,
    })
}

/// The story of a job, and nothing around it.
///
/// # Errors
/// As [`show`].
pub async fn story(ports: &Ports, job: &JobId) -> Result<Story, OpsError> {
    let parts = ports.table.load_parts(job).await?;
    let pipeline = pipeline_of(ports, &parts, job).await?;
    tell(&pipeline, &parts).ok_or_else(|| OpsError::no_job(job))
}

pub(crate) fn tell(pipeline: &Pipeline, parts: &Parts) -> Option<Story> {
    parts.job.as_ref().map(|job| story::tell(pipeline, job, &parts.tasks, &parts.shards))
}

pub(crate) async fn load_pipeline(ports: &Ports, hash: &PipelineHash, job: &JobId) -> Result<Pipeline, OpsError> {
    ports.table.load_pipeline(hash).await?.ok_or_else(|| OpsError::Damaged {
        what: format!("job {job}"),
        problem: format!("its pipeline {} is not in the table", hash.as_str()),
    })
}

async fn pipeline_of(ports: &Ports, parts: &Parts, job: &JobId) -> Result<Pipeline, OpsError> {
    let hash = parts.job.as_ref().map(|job| &job.pipeline_hash).ok_or_else(|| OpsError::no_job(job))?;
    load_pipeline(ports, hash, job).await
}

fn asked(submission: &serde_json::Value) -> Option<Asked> {
    let request = VideoRequest::from_value(submission).ok()?;
    Some(Asked {
        prompt: request.prompt().to_owned(),
        title: request.title().map(str::to_owned),
        voice: request.voice().name().to_owned(),
        quality: request.quality().name().to_owned(),
    })
}

async fn script_of(ports: &Ports, parts: &Parts) -> Result<Option<ScriptNote>, OpsError> {
    let Some(job) = &parts.job else { return Ok(None) };
    let Some((task, attempt)) = winner(job, GENERATE_SCRIPT) else { return Ok(None) };
    let key = key(job.job_id.as_str(), &task, attempt, SCRIPT_FILE);
    let Some(bytes) = ports.store.get(&key, SCRIPT_BYTES_MAX).await? else {
        return Err(OpsError::NotFound { what: format!("file {key}"), hint: "it was deleted".to_owned() });
    };
    let script = Script::parse(&String::from_utf8_lossy(&bytes)).map_err(|reasons| {
        let problem = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        OpsError::Port(PortError::new(format!("read {key}"), PortErrorKind::Damaged).because(problem))
    })?;
    Ok(Some(ScriptNote {
        provider: script.provider,
        lesson: script.lesson,
        title: script.title,
        scenes: script.scenes.into_iter().map(|scene| scene.title).collect(),
        notes: script.notes,
    }))
}

/// The only task of this step and the attempt that won it.
pub(crate) fn winner(job: &qsketch_core::Job, step: &str) -> Option<(TaskId, u32)> {
    let task = TaskId::only(StepName::try_from(step).ok()?);
    let attempt = job.done.get(&task)?.attempt;
    Some((task, attempt))
}
