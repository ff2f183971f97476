//! The step that writes the script: asks a [`ScriptProvider`], checks what it wrote, and keeps it as one JSON document.

use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::{Failure, failure::Remedy};
use qsketch_runtime::{Attempt, Handler, Throttle};
use qsketch_video::script::Retry;
use qsketch_video::{RequestError, ScriptError, ScriptProvider, TemplateProvider, VideoRequest};
use thiserror::Error;

/// The file that holds the script.
pub const SCRIPT_FILE: &str = "script.json";

/// The setting that says who writes scripts.
pub const PROVIDER_VARIABLE: &str = "QSKETCH_SCRIPT_PROVIDER";

/// The setting that limits how often all workers together ask that provider.
pub const RATE_VARIABLE: &str = "QSKETCH_SCRIPT_RATE";

/// The setting names a provider that is not there.
#[derive(Debug, Error)]
#[error("{PROVIDER_VARIABLE} is {name:?}: use template, the only provider of this release")]
pub struct UnknownProvider {
    name: String,
}

/// The provider of this name; the template when none is named.
///
/// # Errors
/// [`UnknownProvider`].
pub fn provider(name: Option<&str>) -> Result<Arc<dyn ScriptProvider>, UnknownProvider> {
    match name {
        None | Some("" | "template") => Ok(Arc::new(TemplateProvider)),
        Some(other) => Err(UnknownProvider { name: other.to_owned() }),
    }
}

/// The step that writes the script.
pub struct GenerateScript {
    provider: Arc<dyn ScriptProvider>,
    throttle: Option<Throttle>,
}

impl GenerateScript {
    /// The step with this provider.
    #[must_use]
    pub fn new(provider: Arc<dyn ScriptProvider>) -> Self {
        Self { provider, throttle: None }
    }

    /// The same step, which takes a turn before it asks.
    #[must_use]
    pub fn throttled(self, throttle: Option<Throttle>) -> Self {
        Self { throttle, ..self }
    }
}

#[async_trait]
impl Handler for GenerateScript {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let input = attempt.input().await?;
        let request = VideoRequest::from_value(&input.submission).map_err(|error| damaged(&error))?;
        attempt.turn(self.throttle.as_ref()).await?;
        attempt.log().line(&format!("asking provider {}", self.provider.name()));
        let script = self.provider.write(&request).await.map_err(failure_of)?;
        let script = script.checked().map_err(|reasons| failure_of(ScriptError::invalid(&reasons, Retry::Policy)))?;
        let lesson = script.lesson.as_deref().unwrap_or("-");
        attempt.log().line(&format!("{} scenes by provider {}, lesson {lesson}", script.scenes.len(), script.provider));
        for note in &script.notes {
            attempt.log().line(note);
        }
        tracing::info!(job = %attempt.job().job_id, provider = script.provider, lesson, scenes = script.scenes.len(), "script");
        let width = u32::try_from(script.scenes.len()).unwrap_or(u32::MAX);
        attempt.put(SCRIPT_FILE, script.to_json().into_bytes(), "application/json").await?;
        Ok(Output { width: Some(width), result: None })
    }
}

fn damaged(error: &RequestError) -> Failure {
    Failure::fail("DamagedInput", format!("the part `input` is no valid request: {error}"))
}

fn failure_of(error: ScriptError) -> Failure {
    let remedy = match error.retry {
        Retry::Never => Remedy::Fail,
        Retry::Policy => Remedy::Retry { after: None },
        Retry::After(delay) => Remedy::Retry { after: Some(delay) },
        Retry::Overload(after) => Remedy::Overload { after },
    };
    Failure::new(error.kind, &error.message, remedy)
}
