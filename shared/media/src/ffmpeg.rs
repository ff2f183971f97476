//! ffmpeg and ffprobe.

use std::path::{Path, PathBuf};

use qsketch_core::Failure;
use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Announcer, Ended, Keep, Line, Tool, ToolError, ToolLog};
use thiserror::Error;

use crate::probe::{self, Probed};
use crate::program::{MissingTool, program, version};

/// The only demuxer that a video is read with: MP4 and its relatives.
pub const CONTAINER: &str = "mov";

/// The longest answer of ffprobe that is read, in bytes; a file of ten streams takes about 15 KiB.
const PROBE_BYTES_MAX: usize = 256 * 1_024;

/// Where the tools of one attempt write and are announced.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Tells the parent of process groups.
    pub announcer: &'a Announcer,
    /// Keeps what the tools write.
    pub log: &'a ToolLog,
}

impl Bench<'_> {
    /// Runs a tool; its output goes into the log.
    ///
    /// # Errors
    /// [`ToolError`].
    pub async fn run(self, tool: Tool) -> Result<Ended, ToolError> {
        tool.run(self.announcer, self.log, |_| Keep::Yes).await
    }
}

/// Why a media file could not be worked on.
#[derive(Debug, Error)]
pub enum MediaError {
    /// A tool could not be run.
    #[error("a media tool could not be run")]
    Tool(#[from] ToolError),
    /// A tool failed.
    #[error("{what} failed ({ended}): {}", ended.last_words.lines().last().unwrap_or("it said nothing"))]
    Failed {
        /// What was being done.
        what: &'static str,
        /// How the tool ended.
        ended: Ended,
    },
    /// The decoder complained.
    #[error("the file does not decode cleanly: {0}")]
    Unclean(String),
    /// What ffprobe said could not be read.
    #[error("what ffprobe said of the file can't be read")]
    Unreadable(#[source] serde_json::Error),
}

impl MediaError {
    /// The failure that it makes of an attempt, under this type unless the tool itself is missing.
    #[must_use]
    pub fn failure(&self, error_type: &str) -> Failure {
        match self {
            Self::Tool(error) => Failure::retry("ToolMissing", crate::chain(error)),
            other => Failure::retry(error_type, crate::chain(other)),
        }
    }
}

/// A file that is read as a video only, whatever it is.
#[derive(Clone, Copy, Debug)]
pub struct Untrusted<'a>(pub &'a Path);

impl Untrusted<'_> {
    /// The arguments that make ffmpeg or ffprobe read it.
    #[must_use]
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let safe = ["-protocol_whitelist", "file", "-f", CONTAINER, "-i"];
        safe.iter().map(Into::into).chain([self.0.into()]).collect()
    }
}

/// The programs `ffmpeg` and `ffprobe`.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

impl Ffmpeg {
    /// The programs that `QSKETCH_FFMPEG` and `QSKETCH_FFPROBE` name, else those of the system.
    ///
    /// # Errors
    /// [`MissingTool`].
    pub fn find(environment: &Environment) -> Result<Self, MissingTool> {
        let found = |variable, name| program(environment, variable, Some(name), "Debian's package ffmpeg");
        Ok(Self { ffmpeg: found("QSKETCH_FFMPEG", "ffmpeg")?, ffprobe: found("QSKETCH_FFPROBE", "ffprobe")? })
    }

    /// The versions of both, a line each.
    ///
    /// # Errors
    /// [`MissingTool::Broken`].
    pub async fn versions(&self) -> Result<Vec<String>, MissingTool> {
        Ok(vec![version(&self.ffmpeg, &["-version"]).await?, version(&self.ffprobe, &["-version"]).await?])
    }

    /// A run of ffmpeg that tells only errors, overwrites what is there and never asks.
    #[must_use]
    pub fn tool(&self) -> Tool {
        Tool::new(&self.ffmpeg).args(["-nostdin", "-hide_banner", "-nostats", "-v", "error", "-y"])
    }

    /// What a file holds, as its headers say.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn probe(&self, bench: Bench<'_>, file: &Path) -> Result<Probed, MediaError> {
        let tool = Tool::new(&self.ffprobe)
            .args(["-hide_banner", "-v", "error", "-show_streams", "-show_format", "-show_data_hash", "SHA256"])
            .args(["-of", "json"])
            .args(Untrusted(file).arguments());
        let mut json = String::new();
        let run = tool.run(bench.announcer, bench.log, |line| match line {
            Line::Out(text) => {
                if json.len() + text.len() <= PROBE_BYTES_MAX {
                    json.push_str(text);
                }
                Keep::No
            }
            Line::Error(_) => Keep::Yes,
        });
        let ended = run.await?;
        if !ended.is_success() {
            return Err(MediaError::Failed { what: "reading the file's headers", ended });
        }
        probe::read(&json).map_err(MediaError::Unreadable)
    }

    /// Decodes every stream of a file to its end.
    ///
    /// # Errors
    /// [`MediaError::Failed`] or [`MediaError::Unclean`] when a single packet does not decode.
    pub async fn decode(&self, bench: Bench<'_>, file: &Path) -> Result<(), MediaError> {
        let tool = self.tool().arg("-xerror").args(Untrusted(file).arguments());
        let tool = tool.args(["-map", "0:v?", "-map", "0:a?", "-f", "null", "-"]);
        let ended = bench.run(tool).await?;
        clean(ended, "decoding the file")
    }
}

/// Nothing but success without a complaint will do: ffmpeg ends with 0 over many a broken packet.
///
/// # Errors
/// [`MediaError`].
pub(crate) fn clean(ended: Ended, what: &'static str) -> Result<(), MediaError> {
    if !ended.is_success() {
        return Err(MediaError::Failed { what, ended });
    }
    match ended.last_words.lines().next() {
        Some(complaint) => Err(MediaError::Unclean(complaint.to_owned())),
        None => Ok(()),
    }
}
