//! An engine that is asked no more often than its rate limit allows.

use std::path::Path;

use async_trait::async_trait;
use qsketch_media::{Bench, MissingTool};
use qsketch_runtime::throttle;
use qsketch_video::Voice;
use tokio::sync::Mutex;

use crate::engine::{EngineError, SpeechEngine};

/// An engine with the turns that an attempt has taken at it.
pub struct Paced<'a> {
    engine: &'a dyn SpeechEngine,
    turns: Mutex<throttle::Pace<'a>>,
}

impl<'a> Paced<'a> {
    /// This engine, asked at these turns.
    #[must_use]
    pub fn new(engine: &'a dyn SpeechEngine, turns: throttle::Pace<'a>) -> Self {
        Self { engine, turns: Mutex::new(turns) }
    }
}

#[async_trait]
impl SpeechEngine for Paced<'_> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    async fn version(&self) -> Result<String, MissingTool> {
        self.engine.version().await
    }

    async fn speak(&self, bench: Bench<'_>, text: &str, voice: Voice, file: &Path) -> Result<(), EngineError> {
        self.turns.lock().await.next().await.map_err(EngineError::Limited)?;
        self.engine.speak(bench, text, voice, file).await
    }
}
