//! Manim at work on one scene, and whether what it left is a video.

use std::io;
use std::path::{Path, PathBuf};

use qsketch_media::{Bench, Ffmpeg, MediaError, MissingTool, NotRegular, Picture, program, regular, version};
use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Announcer, Ended, Keep, Line, Tool, ToolError, ToolLog, find};
use qsketch_video::Quality;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::PYTHON_VARIABLE;

/// Renders the class of a name or nothing, tells progress, writes plain tracebacks.
const DRIVER: &str = include_str!("../driver.py");

/// The exit code of the driver when the file has no such scene.
const EXIT_NO_SCENE: i32 = 3;

/// The shortest video of a scene, in seconds: less is a still picture, or a scene that ended at once.
pub const PICTURE_SECS_MIN: f64 = 0.5;

/// The longest video of a scene, in seconds: the longest narration takes about 80 s of English, 480 s of Chinese.
pub const PICTURE_SECS_MAX: f64 = 600.0;

/// The largest video of a scene, in bytes: ten minutes of 1080p60 at 7 Mbit/s. Drawn pictures take a tenth of that.
pub const PICTURE_BYTES_MAX: u64 = 512 * 1_024 * 1_024;

/// The languages that need fonts of their own: fontconfig's tag, and the name.
const LANGUAGES: [(&str, &str); 4] = [("zh-cn", "Chinese"), ("ja", "Japanese"), ("ko", "Korean"), ("ar", "Arabic")];

/// The longest line that may be a progress line.
const PROGRESS_LINE_BYTES_MAX: usize = 64;

/// What is to be rendered.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The Python file.
    pub code: &'a str,
    /// The class to render.
    pub class_name: &'a str,
    /// The size and rate of the picture.
    pub quality: Quality,
    /// An empty folder of this attempt.
    pub folder: &'a Path,
}

/// A video that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Where it is.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it shows.
    pub picture: Picture,
}

/// Why a scene was not rendered.
#[derive(Debug, Error)]
pub enum RenderError {
    /// A file of the attempt can't be written.
    #[error("file {} can't be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Python can't be run.
    #[error("Manim can't be run")]
    Tool(#[source] ToolError),
    /// The scene's code raised an exception.
    #[error("the scene raised {last_line}")]
    Raised {
        /// The last line of the traceback.
        last_line: String,
    },
    /// A signal ended Manim.
    #[error("Manim was ended by signal {signal}{}", if *signal == 9 { ", perhaps for want of memory" } else { "" })]
    Killed {
        /// The signal.
        signal: i32,
    },
    /// The file has no such scene.
    #[error("the code has no scene class {class_name}")]
    NoScene {
        /// The class that was asked for.
        class_name: String,
    },
    /// Manim ended well and left no video.
    #[error("Manim left no video")]
    NoVideo(#[source] NotRegular),
    /// The video can't be read to its end.
    #[error("the video is damaged")]
    Damaged(#[source] MediaError),
    /// The video is not what was asked for.
    #[error("the video is wrong: {0}")]
    Wrong(String),
}

impl RenderError {
    /// The type that a retry policy and the story name.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Write { .. } => "NoScratch",
            Self::Tool(_) | Self::Damaged(MediaError::Tool(_)) => "ToolMissing",
            Self::Raised { .. } => "RenderFailed",
            Self::Killed { .. } => "RenderKilled",
            Self::NoScene { .. } => "NoScene",
            Self::NoVideo(_) | Self::Damaged(_) | Self::Wrong(_) => "BadVideo",
        }
    }
}

/// A line of the driver.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    qsketch_frames: u64,
}

/// Manim, and the tools that check what it makes.
#[derive(Clone, Debug)]
pub struct Manim {
    python: PathBuf,
    ffmpeg: Ffmpeg,
    version: OnceCell<String>,
}

impl Manim {
    /// Manim of the Python that [`PYTHON_VARIABLE`] names.
    ///
    /// # Errors
    /// [`MissingTool`].
    pub fn find(environment: &Environment) -> Result<Self, MissingTool> {
        let what = "the Python of a virtual environment that has Manim, as the set-up makes it";
        let python = program(environment, PYTHON_VARIABLE, None, what)?;
        Ok(Self { python, ffmpeg: Ffmpeg::find(environment)?, version: OnceCell::new() })
    }

    /// Manim's name and version; asked once.
    ///
    /// # Errors
    /// [`MissingTool::Broken`] when that Python has no Manim.
    pub async fn version(&self) -> Result<String, MissingTool> {
        let ask = ["-I", "-c", "import importlib.metadata as m; print('manim', m.version('manim'))"];
        self.version.get_or_try_init(|| version(&self.python, &ask)).await.cloned()
    }

    /// The versions of Manim and of the tools that check its videos.
    ///
    /// # Errors
    /// [`MissingTool::Broken`].
    pub async fn versions(&self) -> Result<Vec<String>, MissingTool> {
        let mut versions = vec![self.version().await?];
        versions.extend(self.ffmpeg.versions().await?);
        Ok(versions)
    }

    /// The languages whose letters no font of this machine has: their text would be drawn as boxes. Empty also where
    /// fontconfig's `fc-list` is not there to be asked.
    pub async fn languages_without_font(&self) -> Vec<&'static str> {
        let mut without = Vec::new();
        let Some(program) = find("fc-list") else { return without };
        for (tag, name) in LANGUAGES {
            let (announcer, log, mut fonts) = (Announcer::default(), ToolLog::default(), 0_usize);
            let tool = Tool::new(&program).args([&format!(":lang={tag}"), "family"]);
            let run = tool.run(&announcer, &log, |line| {
                fonts += usize::from(matches!(line, Line::Out(_)));
                Keep::No
            });
            if run.await.is_ok_and(|ended| ended.is_success()) && fonts == 0 {
                without.push(name);
            }
        }
        without
    }

    /// Renders a scene and checks the video. `on_frames` gets the number of frames so far, as the scene's process tells it.
    ///
    /// Dropping the future ends Manim and whatever it started in its process group.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn render(
        &self,
        bench: Bench<'_>,
        order: Order<'_>,
        on_frames: impl FnMut(u64) + Send,
    ) -> Result<Rendered, RenderError> {
        let out = order.folder.join("out.mp4");
        let ended = self.run(bench, order, &out, on_frames).await?;
        judge(&ended, order)?;
        let bytes = regular(&out, PICTURE_BYTES_MAX).map_err(RenderError::NoVideo)?;
        let probed = self.ffmpeg.probe(bench, &out).await.map_err(RenderError::Damaged)?;
        let picture = match <[Picture; 1]>::try_from(probed.pictures) {
            Ok([picture]) => picture,
            Err(pictures) => return Err(RenderError::Wrong(format!("it has {} pictures", pictures.len()))),
        };
        check(&picture, probed.secs, order.quality)?;
        self.ffmpeg.decode(bench, &out).await.map_err(RenderError::Damaged)?;
        Ok(Rendered { file: out, bytes, picture })
    }

    async fn run(
        &self,
        bench: Bench<'_>,
        order: Order<'_>,
        out: &Path,
        mut on_frames: impl FnMut(u64) + Send,
    ) -> Result<Ended, RenderError> {
        let (driver, scene) = (order.folder.join("driver.py"), order.folder.join("scene.py"));
        write(&driver, DRIVER).await?;
        write(&scene, order.code).await?;
        let tool = Tool::new(&self.python)
            // -I: neither the environment nor the folder adds modules. -B: no byte code is written.
            .args(["-I", "-B"])
            .arg(&driver)
            .arg(order.class_name)
            .arg(order.quality.manim_flag())
            // Without --silent, Manim asks a server for its newest version after each render.
            .args(["--silent", "--verbosity", "WARNING", "--progress_bar", "none", "--disable_caching"])
            .args(["--format", "mp4", "--media_dir"])
            .arg(order.folder.join("media"))
            .arg("-o")
            .arg(out)
            .arg(scene)
            .env("OPENBLAS_NUM_THREADS", "1")
            .env("NO_COLOR", "1")
            .in_folder(order.folder);
        let mut most = 0;
        let run = tool.run(bench.announcer, bench.log, |line| match line {
            Line::Out(text) => match frames_in(text) {
                Some(frames) => {
                    // The scene's code can write such lines too: frames never become fewer.
                    most = most.max(frames);
                    on_frames(most);
                    Keep::No
                }
                None => Keep::Yes,
            },
            Line::Error(_) => Keep::Yes,
        });
        run.await.map_err(RenderError::Tool)
    }
}

async fn write(path: &Path, text: &str) -> Result<(), RenderError> {
    let failed = |source| RenderError::Write { path: path.to_owned(), source };
    tokio::fs::write(path, text).await.map_err(failed)
}

fn frames_in(line: &str) -> Option<u64> {
    if line.len() > PROGRESS_LINE_BYTES_MAX || !line.starts_with('{') {
        return None;
    }
    serde_json::from_str::<Progress>(line).ok().map(|progress| progress.qsketch_frames)
}

fn judge(ended: &Ended, order: Order<'_>) -> Result<(), RenderError> {
    match (ended.code, ended.signal) {
        (Some(0), _) => Ok(()),
        (Some(EXIT_NO_SCENE), _) => Err(RenderError::NoScene { class_name: order.class_name.to_owned() }),
        (_, Some(signal)) => Err(RenderError::Killed { signal }),
        _ => {
            let last_line = ended.last_words.lines().last().unwrap_or("nothing that it tells").to_owned();
            Err(RenderError::Raised { last_line })
        }
    }
}

fn check(picture: &Picture, secs: f64, quality: Quality) -> Result<(), RenderError> {
    let wrong = |what: String| Err(RenderError::Wrong(what));
    let (size, rate) = ((picture.width, picture.height), picture.rate);
    if picture.codec != "h264" || picture.pixel_format != "yuv420p" {
        return wrong(format!("it is {} in {}; h264 in yuv420p was asked for", picture.codec, picture.pixel_format));
    }
    if size != quality.size() {
        let (width, height) = quality.size();
        return wrong(format!("it is {} x {}; {width} x {height} was asked for", size.0, size.1));
    }
    if rate != (quality.frame_rate(), 1) {
        return wrong(format!("it has {}/{} frames a second; {} was asked for", rate.0, rate.1, quality.frame_rate()));
    }
    for secs in [secs, picture.secs()] {
        if !(secs > PICTURE_SECS_MIN && secs < PICTURE_SECS_MAX) {
            return wrong(format!("it lasts {secs:.2} s; {PICTURE_SECS_MIN} to {PICTURE_SECS_MAX} s are plausible"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_driver_s_own_lines_are_progress() {
        assert_eq!(frames_in(r#"{"qsketch_frames": 42}"#), Some(42));
        for other in ["", "42", "{}", r#"{"qsketch_frames": -1}"#, r#"{"qsketch_frames": 1, "x": 2}"#, "{{{{"] {
            assert_eq!(frames_in(other), None, "{other}");
        }
        assert_eq!(frames_in(&format!("{}42}}", r#"{"qsketch_frames": "#.to_owned() + &" ".repeat(100))), None);
    }
}
