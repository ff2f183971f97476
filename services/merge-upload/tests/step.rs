//! The step as workers run it, in a simulated world.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

#[path = "../../../shared/media/tests/stage/mod.rs"]
mod stage;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use qsketch_media::sheets::{SpeechSheet, SpokenSentence};
use qsketch_merge_upload::{MergeUpload, sha256};
use qsketch_runtime::config::Environment;

use stage::{Keeps, Stage, script};

fn made(folder: &Path, name: &str, program: &str, arguments: &[&str]) -> Vec<u8> {
    let file = folder.join(name);
    let output = Command::new(program).args(arguments).arg(&file).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need real {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).expect("what was made")
}

#[tokio::test]
async fn the_video_and_all_that_goes_with_it_are_kept_and_the_job_has_its_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(&[("One", "This is a test.", "pass"), ("Two", "And this is its end.", "pass")]);
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=854x480:rate=15:duration=3"];
    let encoder = ["-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"];
    let video = made(folder.path(), "scene.mp4", "ffmpeg", &[source, encoder].concat());
    let (mut renders, mut speeches) = (Keeps::default(), Keeps::default());
    for (index, scene) in script.scenes.iter().enumerate() {
        let wav = made(folder.path(), &format!("{index}.wav"), "espeak-ng", &[&scene.narration, "-w"]);
        let end_ms = (wav.len() as u64 - 44) * 10 / 441;
        let sheet = SpeechSheet {
            layout: 1,
            scene: index as u32,
            voice: "en-us".to_owned(),
            engine: "espeak-ng".to_owned(),
            engine_version: "1".to_owned(),
            sample_rate: 22_050,
            duration_ms: end_ms,
            bytes: wav.len() as u64,
            sentences: vec![SpokenSentence { text: scene.narration.clone(), start_ms: 0, end_ms }],
        };
        let sheet = serde_json::to_vec(&sheet).expect("a sheet");
        renders.files.insert(format!("render-manim#{index}"), vec![("scene.mp4", video.clone())]);
        speeches.files.insert(format!("generate-tts#{index}"), vec![("speech.wav", wav), ("speech.json", sheet)]);
    }
    let merge = MergeUpload::new(&Environment::new()).unwrap_or_else(|error| panic!("real ffmpeg is needed: {error}"));
    let stage = Stage::begin(vec![
        ("generate-script", Arc::new(Keeps::script(&script))),
        ("render-manim", Arc::new(renders)),
        ("generate-tts", Arc::new(speeches)),
        ("merge-upload", Arc::new(merge)),
    ]);
    let stage = stage.await;
    let job = stage.recorded(&["merge-upload"]).await.job.expect("the job");

    let key = "jobs/job/merge-upload/1/video.mp4";
    assert_eq!(job.result.as_deref(), Some(stage.sim.observer().store.location(key).as_str()));
    let manifest = stage.json("merge-upload", "manifest.json");
    assert_eq!(manifest["duration_secs"], 6.0);
    assert_eq!((&manifest["provider"], &manifest["quality"]), (&"test".into(), &"480p15".into()));
    assert_eq!(manifest["scenes"][1]["start_secs"], 3.0);
    assert_eq!(
        (&manifest["scenes"][1]["render_attempt"], &manifest["scenes"][1]["frames_held"]),
        (&1.into(), &0.into())
    );
    let files = manifest["files"].as_array().expect("files");
    let names: Vec<_> = files.iter().filter_map(|file| file["name"].as_str()).collect();
    assert_eq!(names, ["captions.vtt", "poster.png", "transcript.txt", "video.mp4"]);
    for (name, file) in names.iter().zip(files) {
        let kept = folder.path().join("kept");
        std::fs::write(&kept, stage.file("merge-upload", name)).expect("a copy");
        let (bytes, hash) = sha256(&kept).expect("a hash");
        assert_eq!((&file["bytes"], &file["sha256"]), (&bytes.into(), &hash.into()), "{name}");
    }
    assert!(String::from_utf8_lossy(&stage.file("merge-upload", "captions.vtt")).contains("00:00:03.000 --> "));
}
