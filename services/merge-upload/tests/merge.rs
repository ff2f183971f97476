//! Real ffmpeg on small drawn scenes and real speech.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

use qsketch_media::sheets::SpokenSentence;
use qsketch_media::{Bench, Ffmpeg, chain};
use qsketch_merge_upload::loudness::{LOUDNESS_LUFS, LOUDNESS_TOLERANCE_LU};
use qsketch_merge_upload::{MergeError, Merged, Order, SceneFiles, Stage, is_faststart, merge};
use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Announcer, ToolLog};
use qsketch_video::{Language, Quality, captions};

type Tried = Result<(), Box<dyn std::error::Error>>;

/// The pause that follows each sentence of the speech made here, in seconds.
const PAUSE_SECS: f64 = 0.3;

struct Set {
    folder: tempfile::TempDir,
    log: ToolLog,
    scenes: Vec<SceneFiles>,
}

impl Set {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), log: ToolLog::default(), scenes: Vec::new() }
    }

    /// Adds a scene: a test picture of this length, and this sentence.
    fn scene(mut self, title: &str, picture_secs: f64, encoder: &[&str], sentence: &str) -> Self {
        let number = self.scenes.len();
        let at = |name: &str| self.folder.path().join(format!("{number}-{name}"));
        let (video, raw, speech) = (at("scene.mp4"), at("raw.wav"), at("speech.wav"));
        let source = format!("testsrc2=size=854x480:rate=15:duration={picture_secs}");
        let picture = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-pix_fmt", "yuv420p"];
        tool("ffmpeg", &[&picture[..], encoder, &[text(&video)]].concat());
        tool("espeak-ng", &["-v", "en-us", "-s", "150", "-w", text(&raw), sentence]);
        tool("ffmpeg", &["-v", "error", "-i", text(&raw), "-af", &format!("apad=pad_dur={PAUSE_SECS}"), text(&speech)]);
        let end_ms = (hound::WavReader::open(&raw).expect("speech").duration() as f64 / 22.05).round() as u64;
        let sentences = vec![SpokenSentence { text: sentence.to_owned(), start_ms: 0, end_ms }];
        self.scenes.push(SceneFiles { title: title.to_owned(), video, speech, sentences });
        self
    }

    async fn merge(&self, stages: &mut Vec<Stage>) -> Result<Merged, MergeError> {
        let announcer = Announcer::default();
        let bench = Bench { announcer: &announcer, log: &self.log };
        let order = Order {
            title: "Squares; \"c=a+b\" #1 \\ 勾股\n[CHAPTER]",
            language: Language::En,
            quality: Quality::P480,
            scenes: &self.scenes,
            folder: self.folder.path(),
        };
        let ffmpeg = Ffmpeg::find(&Environment::new());
        let ffmpeg = ffmpeg.unwrap_or_else(|error| panic!("these tests need real ffmpeg: {error}"));
        merge(&ffmpeg, bench, order, |stage| stages.push(stage)).await
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need real {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The loudness of each tenth of a second of a file's sound, as root mean square of full scale.
fn tenths(file: &Path) -> Vec<f64> {
    let pcm: PathBuf = file.with_extension("pcm.wav");
    tool("ffmpeg", &["-v", "error", "-y", "-i", text(file), "-map", "0:a", "-ac", "1", "-ar", "16000", text(&pcm)]);
    let samples = hound::WavReader::open(&pcm).expect("sound").into_samples::<i16>();
    let samples: Vec<f64> = samples.map(|sample| f64::from(sample.expect("a sample")) / 32_768.0).collect();
    samples.chunks(1_600).map(|tenth| (tenth.iter().map(|s| s * s).sum::<f64>() / tenth.len() as f64).sqrt()).collect()
}

const LONG: &str = "The square on the longest side is as large as the squares on both other sides together.";
const SHORT: &str = "Now look at all of it once more.";
const PLAIN: [&str; 2] = ["-crf", "23"];

#[tokio::test]
async fn scenes_are_joined_without_cutting_speech() -> Tried {
    let set = Set::new().scene("Speech is longer", 2.0, &PLAIN, LONG).scene("Picture = longer", 6.0, &PLAIN, SHORT);
    let mut stages = Vec::new();
    let merged = set.merge(&mut stages).await.map_err(|error| format!("{}\n{}", chain(&error), set.log.text()))?;
    assert_eq!(stages.len(), 5, "{stages:?}");
    assert!(!set.log.text().contains("encoded again"), "a held frame joins the others: {}", set.log.text());

    assert!(set.log.text().contains("\"input_i\"") && !set.log.text().contains("Duration:"), "{}", set.log.text());

    let last_word = |scene: usize| set.scenes[scene].sentences[0].end_ms as f64 / 1_000.0;
    let offset = merged.places[1].start_secs(15);
    assert!(last_word(0) > 4.0 && offset >= last_word(0) + PAUSE_SECS && offset < last_word(0) + PAUSE_SECS + 0.1);
    assert_eq!((merged.places[1].held, merged.places[1].frames), (0, 90));
    assert!((merged.checked.secs - (offset + 6.0)).abs() < 1e-6);
    assert!((merged.checked.loudness.lufs - LOUDNESS_LUFS).abs() <= LOUDNESS_TOLERANCE_LU);
    assert!(is_faststart(&merged.video)?);

    // Each second sentence begins where its scene does, and each is heard to its end; after it nothing is.
    let sound = tenths(&merged.video);
    let loudest = |from: f64, to: f64| {
        let span = &sound[(from * 10.0).round() as usize..(to * 10.0).round() as usize];
        span.iter().copied().fold(0.0, f64::max)
    };
    for (begin, end) in [(0.0, last_word(0)), (offset, offset + last_word(1))] {
        assert!(loudest(begin, begin + 0.3) > 0.02, "it begins at {begin}: {sound:?}");
        assert!(loudest(end - 0.7, end - 0.1) > 0.02, "it is heard until {end}: {sound:?}");
    }
    assert!(loudest(offset + last_word(1) + 0.1, merged.checked.secs - 0.1) < 0.002, "{sound:?}");

    let cues = captions::check(&std::fs::read_to_string(&merged.captions)?)?;
    let second = cues.iter().find(|cue| cue.lines.concat().starts_with("Now look")).ok_or("no second caption")?;
    assert!(second.begin_ms.abs_diff((offset * 1_000.0) as u64) <= 1, "{cues:?}");
    assert!(std::fs::read_to_string(&merged.transcript)?.contains("[00:05] Picture = longer\nNow look"));

    let told = tool("ffprobe", &["-v", "error", "-show_chapters", "-show_format", "-of", "json", text(&merged.video)]);
    let told: serde_json::Value = serde_json::from_str(&told)?;
    assert_eq!(told["format"]["tags"]["title"], "Squares; \"c=a+b\" #1 \\ 勾股 [CHAPTER]");
    assert_eq!(told["chapters"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["chapters"][1]["tags"]["title"], "Picture = longer");
    assert!(std::fs::read(&merged.poster)?.starts_with(b"\x89PNG"));
    Ok(())
}

#[tokio::test]
async fn scenes_of_different_encoders_are_encoded_again_and_fit() -> Tried {
    let set = Set::new().scene("One", 4.0, &PLAIN, SHORT).scene("Two", 4.0, &["-crf", "30", "-bf", "0"], SHORT);
    let merged = set.merge(&mut Vec::new()).await.map_err(|error| chain(&error))?;
    assert!(set.log.text().contains("encoded again"));
    assert!((merged.checked.secs - 8.0).abs() < 1e-6, "{:?}", merged.places);
    Ok(())
}

#[tokio::test]
async fn a_scene_that_is_damaged_or_of_another_kind_is_refused() {
    let small = Set::new().scene("Small", 2.0, &["-vf", "scale=320:240"], SHORT);
    let error = small.merge(&mut Vec::new()).await.map(|_| ()).expect_err("it is small");
    assert_eq!((error.error_type(), chain(&error).contains("320 x 240")), ("BadScene", true), "{}", chain(&error));

    let cut = Set::new().scene("Cut", 3.0, &["-movflags", "+faststart"], SHORT);
    let bytes = std::fs::read(&cut.scenes[0].video).expect("a video");
    std::fs::write(&cut.scenes[0].video, &bytes[..bytes.len() / 2]).expect("half a video");
    let error = cut.merge(&mut Vec::new()).await.map(|_| ()).expect_err("half of it is gone");
    assert_eq!(error.error_type(), "MergeFailed", "{}", chain(&error));

    let error = Set::new().merge(&mut Vec::new()).await.map(|_| ()).expect_err("there is nothing");
    assert!(matches!(error, MergeError::NoScenes));
}
