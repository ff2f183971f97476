//! The step as workers run it, in a simulated world.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

#[path = "../../../shared/media/tests/stage/mod.rs"]
mod stage;

use core::time::Duration;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use qsketch_core::JobStatus;
use qsketch_generate_tts::{EngineError, Espeak, GenerateTts, RATE_VARIABLE, SpeechEngine};
use qsketch_media::sheets::SpeechSheet;
use qsketch_media::{Bench, MissingTool};
use qsketch_runtime::Handler;
use qsketch_runtime::config::Environment;
use qsketch_runtime::ports::Parts;
use qsketch_video::Voice;
use qsketch_video::media::{Expected, check_audio};

use stage::{Keeps, Stage, script};

const BODY: &str = "self.wait(1)";

fn espeak() -> Arc<dyn Handler> {
    let step = GenerateTts::new(&Environment::new());
    Arc::new(step.unwrap_or_else(|error| panic!("these tests need real espeak-ng: {error}")))
}

#[tokio::test]
async fn each_scene_s_speech_is_kept_with_the_times_of_its_sentences() {
    let script = script(&[("One", "Hello there. This is a test.", BODY), ("Two", "And this is its end.", BODY)]);
    let steps: Vec<(&'static str, Arc<dyn Handler>)> =
        vec![("generate-script", Arc::new(Keeps::script(&script))), ("generate-tts", espeak())];
    let stage = Stage::begin(steps).await;
    stage.recorded(&["generate-tts#0", "generate-tts#1"]).await;
    for (task, sentences) in [("generate-tts#0", 2), ("generate-tts#1", 1)] {
        let sheet: SpeechSheet = serde_json::from_value(stage.json(task, "speech.json")).expect("a speech sheet");
        assert_eq!(
            (sheet.sentences.len(), sheet.engine.as_str(), sheet.voice.as_str()),
            (sentences, "espeak-ng", "en-us")
        );
        assert!(sheet.engine_version.starts_with("eSpeak NG"), "{sheet:?}");
        let wav = stage.file(task, "speech.wav");
        assert_eq!(wav.len() as u64, sheet.bytes);
        let report = check_audio(&wav, Expected::ANY).expect("sound speech");
        assert!((report.secs - sheet.duration_ms as f64 / 1_000.0).abs() < 0.01, "{report:?} {sheet:?}");
        assert!(String::from_utf8_lossy(&stage.file(task, "log.txt")).contains("--stdin"));
    }
}

/// Espeak-ng, and when it was asked.
struct Watched {
    inner: Espeak,
    asked: Arc<Mutex<Vec<Instant>>>,
}

#[async_trait]
impl SpeechEngine for Watched {
    fn name(&self) -> &'static str {
        "watched"
    }

    async fn version(&self) -> Result<String, MissingTool> {
        self.inner.version().await
    }

    async fn speak(&self, bench: Bench<'_>, text: &str, voice: Voice, file: &Path) -> Result<(), EngineError> {
        self.asked.lock().expect("nobody panicked").push(Instant::now());
        self.inner.speak(bench, text, voice, file).await
    }
}

#[tokio::test]
async fn the_engine_is_asked_for_each_sentence_and_no_faster_than_its_limit_by_one_write_for_each_scene() {
    let narrations = ["One. Two. Three.", "Four. Five."];
    let script = script(&[("One", narrations[0], BODY), ("Two", narrations[1], BODY)]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let inner = Espeak::find(&Environment::new()).expect("real espeak-ng");
    let engine = Arc::new(Watched { inner, asked: Arc::clone(&asked) });
    let environment = Environment::from([(RATE_VARIABLE.to_owned(), "5/s".to_owned())]);
    let step = Arc::new(GenerateTts::with_engine(engine).throttled(&environment).expect("a limit"));
    let began = Instant::now();
    let steps: Vec<(&'static str, Arc<dyn Handler>)> =
        vec![("generate-script", Arc::new(Keeps::script(&script))), ("generate-tts", step)];
    let stage = Stage::begin(steps).await;
    stage.recorded(&["generate-tts#0", "generate-tts#1"]).await;
    let asked = asked.lock().expect("nobody panicked").clone();
    assert_eq!(asked.len(), 5, "once for each sentence");
    for (nth, at) in (0u32..).zip(&asked) {
        assert!(*at - began >= Duration::from_millis(200) * nth, "{nth}: {:?}", *at - began);
    }
    let takes = stage.sim.calls().iter().filter(|call| call.kind == "take-turns").count();
    assert_eq!(takes, 2, "one for each scene");
}

/// An engine that always succeeds, and always leaves a second of silence.
struct Mute;

#[async_trait]
impl SpeechEngine for Mute {
    fn name(&self) -> &'static str {
        "mute"
    }

    async fn version(&self) -> Result<String, MissingTool> {
        Ok("1".to_owned())
    }

    async fn speak(&self, _: Bench<'_>, _: &str, _: Voice, file: &Path) -> Result<(), EngineError> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 22_050,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(file, spec).expect("a file");
        (0..22_050).for_each(|_| writer.write_sample(0_i16).expect("a sample"));
        writer.finalize().expect("a header");
        Ok(())
    }
}

#[tokio::test]
async fn corrupt_speech_fails_the_attempt_and_the_story_says_why() {
    let script = script(&[("One", "Hello there.", BODY)]);
    let mute = Arc::new(GenerateTts::with_engine(Arc::new(Mute)));
    let stage = Stage::begin(vec![("generate-script", Arc::new(Keeps::script(&script))), ("generate-tts", mute)]).await;
    let failed = |parts: &Parts| parts.tasks.values().any(|task| !task.attempts.is_empty());
    let parts = stage.until("an attempt fails", failed).await;
    let attempt = parts.tasks.values().flat_map(|task| &task.attempts).next().expect("an attempt");
    assert_eq!(attempt.error_type, "CorruptSpeech");
    assert!(attempt.error.as_str().contains("as good as silent"), "{}", attempt.error);
    assert!(!stage.sim.keys().iter().any(|key| key.contains("speech")), "nothing of it is kept");
}

#[tokio::test]
async fn a_task_beyond_the_script_s_scenes_closes_the_job() {
    let script = script(&[("One", "Hello there.", BODY)]);
    let writer = Arc::new(Keeps { width: Some(2), ..Keeps::script(&script) });
    let stage = Stage::begin(vec![("generate-script", writer), ("generate-tts", espeak())]).await;
    let closed = |parts: &Parts| parts.job.as_ref().is_some_and(|job| !job.closings.is_empty());
    let job = stage.until("the job closes", closed).await.job.expect("the job");
    assert_eq!(job.status, JobStatus::Failed);
    assert_eq!(job.closings[0].error_type.as_deref(), Some("NoSuchScene"));
    assert_eq!(job.closings[0].attempt, Some(1), "it was not tried again");
}
