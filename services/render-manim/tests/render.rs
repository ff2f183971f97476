//! Real Manim on tiny scenes, good and bad. `QSKETCH_MANIM_PYTHON` names the Python that has Manim.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use core::time::Duration;
use std::path::Path;

use qsketch_media::{Bench, chain};
use qsketch_render_manim::{Manim, Order, RenderError, Rendered};
use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Announcer, ToolLog};
use qsketch_video::Quality;

type Tried = Result<(), Box<dyn std::error::Error>>;

/// One try at a scene: its folder, its log, its progress.
struct Try {
    manim: Manim,
    folder: tempfile::TempDir,
    announcer: Announcer,
    log: ToolLog,
}

impl Try {
    #[expect(clippy::disallowed_methods, reason = "a test has no main that reads the environment")]
    fn new() -> Self {
        let environment: Environment = std::env::vars().collect();
        let manim = Manim::find(&environment).unwrap_or_else(|error| panic!("these tests need real Manim: {error}"));
        let folder = tempfile::tempdir().expect("a scratch folder");
        Self { manim, folder, announcer: Announcer::default(), log: ToolLog::default() }
    }

    async fn render(&self, code: &str, frames: &mut Vec<u64>) -> Result<Rendered, RenderError> {
        let bench = Bench { announcer: &self.announcer, log: &self.log };
        let code = format!("from manim import *\n{code}");
        let order = Order { code: &code, class_name: "Wanted", quality: Quality::P480, folder: self.folder.path() };
        self.manim.render(bench, order, |frame| frames.push(frame)).await
    }

    /// The type and the text of the error of a scene that must fail.
    async fn fails(code: &str) -> (&'static str, String) {
        let one = Self::new();
        match one.render(code, &mut Vec::new()).await {
            Ok(rendered) => panic!("it rendered: {rendered:?}\n{}", one.log.text()),
            Err(error) => (error.error_type(), chain(&error)),
        }
    }
}

/// The processes that name this folder on their command lines.
fn processes_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&*folder.to_string_lossy())).collect()
}

#[tokio::test]
async fn a_good_scene_is_rendered_in_the_asked_quality_and_tells_its_frames() -> Tried {
    let (one, mut frames) = (Try::new(), Vec::new());
    let code = "class Other(Scene):\n    pass\nclass Wanted(Scene):\n    def construct(self):\n        \
                print('{\"qsketch_frames\": \"forged\"}')\n        self.play(Create(Circle()))\n        self.wait(1)\n";
    let rendered = one.render(code, &mut frames).await?;
    assert_eq!((rendered.picture.width, rendered.picture.height, rendered.picture.rate), (854, 480, (15, 1)));
    assert_eq!((rendered.picture.frames, rendered.picture.secs()), (30, 2.0));
    assert_eq!(rendered.bytes, std::fs::metadata(&rendered.file)?.len());
    assert!(!frames.is_empty() && frames.is_sorted() && frames.iter().all(|frame| *frame <= 30), "{frames:?}");
    let log = one.log.text();
    assert!(log.contains("\"forged\"") && !log.contains("_frames\": 1}"), "{log}");
    assert!(one.manim.version().await?.starts_with("manim 0."));
    assert_eq!(one.manim.languages_without_font().await, Vec::<&str>::new(), "the set-up installs fonts for them");
    Ok(())
}

#[tokio::test]
async fn a_scene_that_raises_fails_with_the_last_line_of_its_traceback() {
    let raises =
        "class Wanted(Scene):\n    def construct(self):\n        self.wait(1)\n        raise KeyError('π = 3')\n";
    assert_eq!(Try::fails(raises).await, ("RenderFailed", "the scene raised KeyError: 'π = 3'".to_owned()));
    let (error_type, text) = Try::fails("class Wanted(Scene)\n    pass\n").await;
    assert_eq!(error_type, "RenderFailed");
    assert!(text.contains("SyntaxError"), "{text}");
}

#[tokio::test]
async fn a_file_without_the_named_scene_is_final_even_where_manim_would_take_another() {
    let said = "the code has no scene class Wanted".to_owned();
    assert_eq!(Try::fails("class Wanted:\n    pass\n").await, ("NoScene", said.clone()));
    let other = "class Other(Scene):\n    def construct(self):\n        self.play(Create(Circle()))\n";
    assert_eq!(Try::fails(other).await, ("NoScene", said));
}

#[tokio::test]
async fn what_is_no_video_is_found_out() {
    let bad = [
        ("import sys\n        sys.exit(0)", "Manim left no video: no file was left"),
        ("import os\n        os._exit(0)", "Manim left no video: no file was left"),
        (
            "import os, sys\n        os.symlink('/etc/passwd', config.output_file)\n        os._exit(0)",
            "Manim left no video: what was left is no regular file",
        ),
        (
            "import os\n        open(config.output_file, 'w').write('#EXTM3U\\n#EXTINF:1,\\n/etc/passwd\\n')\n        os._exit(0)",
            "the video is damaged: reading the file's headers failed",
        ),
    ];
    for (body, said) in bad {
        let code = format!("class Wanted(Scene):\n    def construct(self):\n        {body}\n");
        let (error_type, text) = Try::fails(&code).await;
        assert!(error_type == "BadVideo" && text.contains(said), "{body}: {error_type}: {text}");
    }
}

#[tokio::test]
async fn a_video_of_another_length_or_size_is_refused() {
    let short = "class Wanted(Scene):\n    def construct(self):\n        self.play(Create(Circle()), run_time=0.2)\n";
    let (error_type, text) = Try::fails(short).await;
    assert!(error_type == "BadVideo" && text.contains("it lasts 0.20 s"), "{error_type}: {text}");
    let small = "config.pixel_width = 320\nconfig.pixel_height = 240\nclass Wanted(Scene):\n    def construct(self):\n        \
                 self.play(Create(Circle()))\n";
    let (error_type, text) = Try::fails(small).await;
    assert!(error_type == "BadVideo" && text.contains("854 x 480 was asked for"), "{error_type}: {text}");
}

#[tokio::test]
async fn an_endless_scene_that_is_dropped_leaves_no_process() -> Tried {
    let (one, mut frames) = (Try::new(), Vec::new());
    let code = "import subprocess, pathlib\nclass Wanted(Scene):\n    def construct(self):\n        \
                here = pathlib.Path(config.media_dir).parent\n        \
                subprocess.Popen(['/bin/sh', '-c', f'sleep 1000; echo {here}'])\n        \
                (here / 'running').write_text('')\n        \
                while True:\n            self.wait(1)\n";
    let running = one.folder.path().join("running");
    let started = async {
        while !running.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = one.render(code, &mut frames) => return Err(format!("it ended: {ended:?}\n{}", one.log.text()).into()),
        () = started => {}
    }
    for _ in 0..1_000 {
        if processes_in(one.folder.path()).is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(format!("left over: {:?}", processes_in(one.folder.path())).into())
}

#[tokio::test]
async fn a_python_without_manim_is_found_out_at_the_start() -> Tried {
    let error = Manim::find(&Environment::new()).map(|_| ()).expect_err("it is not set");
    assert!(error.to_string().starts_with("QSKETCH_MANIM_PYTHON is not set: give it the Python of"), "{error}");
    let environment = Environment::from([("QSKETCH_MANIM_PYTHON".to_owned(), "/bin/false".to_owned())]);
    let error = Manim::find(&environment)?.versions().await.expect_err("it has no Manim");
    assert!(error.to_string().starts_with("/bin/false does not work: exit code 1"), "{error}");
    Ok(())
}
