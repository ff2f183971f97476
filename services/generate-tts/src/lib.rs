//! The step that speaks one scene's narration.
//!
//! ```text
//! narration --sentences--> one call of the engine each --checked--> joined, a pause after each --checked--> speech.wav
//!                                                                              |
//!                                                                              +--> speech.json: when each is said
//! ```
//!
//! An engine that says that it succeeded is not believed: every sentence is decoded in this process, and so is the
//! whole (`an_engine_that_succeeds_with_a_bad_file_is_found_out`).

mod engine;
mod narrate;
mod paced;
mod track;

use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::{Failure, failure::Remedy};
use qsketch_media::sheets::{self, SPEECH_FILE, SPEECH_SHEET, SpeechSheet};
use qsketch_media::{Bench, MissingTool, chain};
use qsketch_runtime::config::Environment;
use qsketch_runtime::throttle::ThrottleError;
use qsketch_runtime::{Attempt, Handler, Throttle};

pub use engine::{ESPEAK_VARIABLE, EngineError, Espeak, SpeechEngine};
pub use narrate::{Narrated, Order, SpeechError, narrate, requests};
pub use paced::Paced;
pub use track::TrackError;

/// The setting that limits how often all workers together ask the engine: once for each sentence.
pub const RATE_VARIABLE: &str = "QSKETCH_SPEECH_RATE";

/// The step that speaks a scene's narration.
pub struct GenerateTts {
    engine: Arc<dyn SpeechEngine>,
    throttle: Option<Throttle>,
}

impl GenerateTts {
    /// The step with the engine of this release, espeak-ng, as this environment names it.
    ///
    /// # Errors
    /// [`MissingTool`] names the variable to set or the package to install.
    pub fn new(environment: &Environment) -> Result<Self, MissingTool> {
        Ok(Self::with_engine(Arc::new(Espeak::find(environment)?)))
    }

    /// The step with another engine.
    #[must_use]
    pub fn with_engine(engine: Arc<dyn SpeechEngine>) -> Self {
        Self { engine, throttle: None }
    }

    /// The same step, which asks its engine no more often than this environment allows.
    ///
    /// # Errors
    /// [`ThrottleError`] when the setting is no limit.
    pub fn throttled(self, environment: &Environment) -> Result<Self, ThrottleError> {
        let throttle = Throttle::read(environment, RATE_VARIABLE, self.engine.name())?;
        Ok(Self { throttle, ..self })
    }

    /// Asks the engine for its version.
    ///
    /// # Errors
    /// [`MissingTool::Broken`] when it does not work.
    pub async fn check(&self) -> Result<Vec<String>, MissingTool> {
        Ok(vec![self.engine.version().await?])
    }
}

#[async_trait]
impl Handler for GenerateTts {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let script = sheets::script_of(attempt).await?;
        let (index, scene) = sheets::scene_of(attempt, &script)?;
        let engine_version = self.engine.version().await.map_err(|error| Failure::retry("ToolMissing", error))?;
        let bench = Bench { announcer: attempt.announcer(), log: attempt.log() };
        let order = Order { narration: &scene.narration, voice: script.voice, folder: attempt.scratch().await? };
        let on_sentence = |spoken: usize, of: usize| {
            let share = spoken * 950 / of.max(1);
            attempt.report(u16::try_from(share).unwrap_or(950), &format!("sentence {spoken} of {of}"));
        };
        let turns = attempt.turns(self.throttle.as_ref(), requests(order)).await?;
        let engine = Paced::new(self.engine.as_ref(), turns);
        let narrated = narrate(&engine, bench, order, on_sentence).await.map_err(failure_of)?;
        let sheet = SpeechSheet {
            layout: sheets::LAYOUT,
            scene: index,
            voice: script.voice.name().to_owned(),
            engine: self.engine.name().to_owned(),
            engine_version,
            sample_rate: narrated.sample_rate,
            duration_ms: narrated.duration_ms,
            bytes: narrated.bytes,
            sentences: narrated.sentences,
        };
        attempt.report(990, "keeping the speech");
        attempt.upload(SPEECH_FILE, &narrated.file, "audio/wav").await?;
        attempt.put(SPEECH_SHEET, sheets::to_json(&sheet)?, "application/json").await?;
        Ok(Output::default())
    }
}

fn failure_of(error: SpeechError) -> Failure {
    if let SpeechError::Engine { source: EngineError::Limited(failure), .. } = error {
        return failure;
    }
    let remedy = match error {
        SpeechError::NothingToSay => Remedy::Fail,
        _ => Remedy::Retry { after: None },
    };
    Failure::new(error.error_type(), chain(&error), remedy)
}
