//! The port of voices, and espeak-ng behind it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use qsketch_core::Failure;
use qsketch_media::{Bench, MissingTool, program, version};
use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Ended, Tool, ToolError};
use qsketch_video::{Voice, speech};
use thiserror::Error;
use tokio::sync::OnceCell;

/// The setting that names espeak-ng.
pub const ESPEAK_VARIABLE: &str = "QSKETCH_ESPEAK";

/// Whoever speaks a text into a file.
#[async_trait]
pub trait SpeechEngine: Send + Sync {
    /// The name in the documents beside the speech.
    fn name(&self) -> &'static str;

    /// The version, in its own words.
    ///
    /// # Errors
    /// [`MissingTool`] when it does not work.
    async fn version(&self) -> Result<String, MissingTool>;

    /// Speaks one sentence into a new WAV file of 16-bit mono. Whether the file is sound is for the caller to check.
    ///
    /// # Errors
    /// [`EngineError`] when it says itself that it failed.
    async fn speak(&self, bench: Bench<'_>, text: &str, voice: Voice, file: &Path) -> Result<(), EngineError>;
}

/// Why an engine did not speak.
#[derive(Debug, Error)]
pub enum EngineError {
    /// It can't be run.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Its rate limit lets nothing through for now.
    #[error(transparent)]
    Limited(Failure),
    /// It failed.
    #[error("{ended}: {}", ended.last_words.lines().last().unwrap_or("it said nothing"))]
    Failed {
        /// How it ended.
        ended: Ended,
    },
}

/// espeak-ng: free, fast, in many languages, and it sounds like a machine.
#[derive(Clone, Debug)]
pub struct Espeak {
    program: PathBuf,
    version: OnceCell<String>,
}

impl Espeak {
    /// The program that [`ESPEAK_VARIABLE`] names, else the system's.
    ///
    /// # Errors
    /// [`MissingTool`].
    pub fn find(environment: &Environment) -> Result<Self, MissingTool> {
        let program = program(environment, ESPEAK_VARIABLE, Some("espeak-ng"), "Debian's package espeak-ng")?;
        Ok(Self { program, version: OnceCell::new() })
    }
}

#[async_trait]
impl SpeechEngine for Espeak {
    fn name(&self) -> &'static str {
        "espeak-ng"
    }

    async fn version(&self) -> Result<String, MissingTool> {
        let said = self.version.get_or_try_init(|| version(&self.program, &["--version"])).await?;
        // It also tells where its data lies, which says nothing about the speech.
        Ok(said.split("  Data at").next().unwrap_or(said).to_owned())
    }

    async fn speak(&self, bench: Bench<'_>, text: &str, voice: Voice, file: &Path) -> Result<(), EngineError> {
        let tool = Tool::new(&self.program)
            .args(["-v", voice.espeak(), "-s", &speech::ESPEAK_RATE.to_string(), "-w"])
            .arg(file)
            // A text on the command line that begins with '-' would be an option.
            .arg("--stdin")
            .input(text);
        let ended = bench.run(tool).await?;
        if ended.is_success() { Ok(()) } else { Err(EngineError::Failed { ended }) }
    }
}
