//! The pointer that travels through a queue: which task of which job.
//!
//! It points with what can't change while its closing stays the same, so it never goes stale. Beside that, to a light
//! step, it may carry the job as its sender knew it: hearsay, good for one thing, to spare a first attempt the load.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{JobId, TaskId};
use crate::limits::{KNOWN_TASKS_MAX, LAYOUT, MESSAGE_BYTES_MAX};
use crate::parts::{Job, is_zero};
use crate::pipeline::{Pipeline, PipelineHash};
use crate::time::Time;

/// The body of a message, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// The layout that it was written in.
    pub layout: u32,
    /// The job.
    pub job: JobId,
    /// The task to do.
    pub task: TaskId,
    /// The graph that the job began with.
    pub pipeline: PipelineHash,
    /// The closing that the sender saw ahead of the job; it fences redrive.
    pub closing: u32,
    /// Which generation of its step's records counts, while the closing stays the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// When the job's time is over; from it follows when its parts expire.
    pub deadline: Time,
    /// The job as the sender knew it, its inputs recorded; only to a light step, and only while it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Arc<Job>>,
}

/// Why a body is not a message.
#[derive(Debug, Error)]
pub enum MessageError {
    /// It was written by a newer release: it must be given back untouched.
    #[error("the message has layout {found}, this release reads up to {LAYOUT}: a newer worker must take it")]
    Newer {
        /// Its layout.
        found: u32,
    },
    /// It is no message at all: it must go to the dead-letter queue.
    #[error("the body is not a task message: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl Message {
    /// The message to a task, from somebody who knows the job as it is.
    #[must_use]
    pub fn to(pipeline: &Pipeline, job: &Job, task: TaskId) -> Self {
        Self::of(pipeline, job, &mut None, task)
    }

    /// The messages to several tasks of one job.
    #[must_use]
    pub fn to_all(pipeline: &Pipeline, job: &Job, tasks: impl IntoIterator<Item = TaskId>) -> Vec<Self> {
        let mut known = None;
        tasks.into_iter().map(|task| Self::of(pipeline, job, &mut known, task)).collect()
    }

    /// The notification of how a job has closed; none of one that runs or was refused, and none once it is recorded.
    #[must_use]
    pub fn to_finalizer(pipeline: &Pipeline, job: &Job) -> Option<Self> {
        let id = TaskId::closing(pipeline.finalizer().name.clone(), job.closing);
        let is_due = job.closings.get(job.closing as usize).is_some() && !job.done.contains_key(&id);
        is_due.then(|| Self::to(pipeline, job, id))
    }

    fn of(pipeline: &Pipeline, job: &Job, known: &mut Option<Arc<Job>>, task: TaskId) -> Self {
        let is_light = pipeline.step(task.step()).is_some_and(|step| step.is_light);
        let travels = is_light && job.done.len() + job.folded.len() <= KNOWN_TASKS_MAX;
        Self {
            layout: LAYOUT,
            job: job.job_id.clone(),
            generation: job.generation(task.step()),
            task,
            pipeline: job.pipeline_hash.clone(),
            closing: job.closing,
            deadline: job.deadline,
            known: travels.then(|| Arc::clone(known.get_or_insert_with(|| Arc::new(job.clone())))),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError::Newer`] for a layout of a later release, else [`MessageError::Unreadable`].
    pub fn parse(body: &str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Layout {
            layout: u32,
        }
        let unreadable = |reason: String| MessageError::Unreadable { reason };
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(unreadable(format!("it has {} bytes, at most {MESSAGE_BYTES_MAX} are read", body.len())));
        }
        let Layout { layout } = serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))?;
        if layout > LAYOUT {
            return Err(MessageError::Newer { found: layout });
        }
        serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))
    }

    /// The body. What the sender knew of the job is left out where it makes the body too long.
    #[must_use]
    pub fn body(&self) -> String {
        // A message is plain fields and text for keys: nothing in it can fail to become JSON.
        let whole = serde_json::to_string(self).unwrap_or_default();
        if whole.len() <= MESSAGE_BYTES_MAX || self.known.is_none() {
            return whole;
        }
        serde_json::to_string(&Self { known: None, ..self.clone() }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_newer_layout_is_told_apart_from_nonsense() {
        assert!(matches!(Message::parse(r#"{"layout":2,"new":"field"}"#), Err(MessageError::Newer { found: 2 })));
        assert!(matches!(Message::parse("{}"), Err(MessageError::Unreadable { .. })));
        assert!(matches!(Message::parse(&"x".repeat(10_000)), Err(MessageError::Unreadable { .. })));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in ".{0,200}") {
            let _ = Message::parse(&body);
        }
    }
}
