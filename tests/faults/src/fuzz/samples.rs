//! Sound input of each kind, to be damaged.

use qsketch_core::{Verdict, decide};
use qsketch_runtime::ports::Parts;
use qsketch_simulation::gallery::Shape;
use qsketch_simulation::run::run_planned;
use qsketch_video::{Language, Quality, Scene, Script, Voice};
use serde::Serialize;

use crate::scenes::{fail_b, prompt, scene};

/// How many samples a second the sounds have.
const RATE: u32 = 8_000;

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(crate) fn submissions() -> Vec<String> {
    let texts = [
        r#"{"prompt": "why is the sky blue"}"#,
        r#"{"id": "sky", "prompt": "why is the sky blue", "title": "Sky", "voice": "de", "quality": "480p15", "tenant": "t", "approve": true}"#,
        r#"{"id": "a", "prompt": "Explain the Pythagorean theorem", "approve": false}"#,
    ];
    texts.map(str::to_owned).to_vec()
}

/// The parts of jobs that went through the real shells: one that completed, one in shards that failed.
fn parts() -> Vec<Parts> {
    let completed: &[Verdict] = &[Verdict::Completed];
    let scenes = [
        scene("straight", Shape::Signal, completed, prompt, &[]),
        scene("fail in a map", Shape::Sharded, &[Verdict::Failed], fail_b, &[]),
    ];
    let all = scenes.into_iter().flat_map(|scene| {
        let ran = run_planned(scene.schedule, None, &[]);
        ran.world.sim.jobs().into_iter().map(|job| ran.world.sim.parts(&job)).collect::<Vec<_>>()
    });
    all.collect()
}

/// The items of jobs, by the kind of the part: input, job, task, shard.
pub(crate) fn items() -> [Vec<String>; 4] {
    let mut items = <[Vec<String>; 4]>::default();
    for parts in parts() {
        items[0].extend(parts.input.iter().map(to_json));
        items[1].extend(parts.job.iter().map(to_json));
        items[2].extend(parts.tasks.values().map(to_json));
        items[3].extend(parts.shards.values().map(to_json));
    }
    items
}

/// Messages to tasks, one of which brings what its sender knew.
pub(crate) fn messages() -> Vec<String> {
    let of = |shape: Shape| {
        let pipeline = shape.pipeline();
        let jobs = parts().into_iter().filter_map(|parts| parts.job);
        jobs.map(move |job| decide::start_message(&pipeline, &job).body()).collect::<Vec<_>>()
    };
    [of(Shape::Line), of(Shape::Light)].concat()
}

pub(crate) fn scripts() -> Vec<String> {
    let scene = |title: &str| Scene {
        title: title.to_owned(),
        narration: "A square has four sides.".to_owned(),
        class_name: "Drawn".to_owned(),
        code: "from manim import *\n\n\nclass Drawn(Scene):\n    def construct(self):\n        self.wait(1)\n"
            .to_owned(),
    };
    let script = Script {
        layout: qsketch_video::script::LAYOUT,
        title: "A test".to_owned(),
        prompt: "Test it".to_owned(),
        quality: Quality::P480,
        voice: Voice::EnUs,
        language: Language::En,
        provider: "test".to_owned(),
        lesson: None,
        notes: vec!["a note".to_owned()],
        scenes: vec![scene("One"), scene("Two")],
    };
    vec![script.to_json()]
}

pub(crate) fn captions() -> Vec<String> {
    let texts = [
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\nA square has\nfour sides.\n\n2\n00:00:01.500 --> 00:00:02.000\n&lt;b&gt;\n",
        "WEBVTT\n\n1\n100:59:59.999 --> 101:00:00.000\nx\n",
    ];
    texts.map(str::to_owned).to_vec()
}

/// A second of a tone as a WAV file, and the beginnings of other kinds of media files.
pub(crate) fn media() -> Vec<Vec<u8>> {
    let tone = (0..RATE).flat_map(|n| {
        {
            let turn = f64::from(n) * 440.0 / f64::from(RATE);
            ((turn * core::f64::consts::TAU).sin() * 8_000.0) as i16
        }
        .to_le_bytes()
    });
    let data: Vec<u8> = tone.collect();
    let length = data.len() as u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    for half in [1_u16, 1] {
        wav.extend(half.to_le_bytes());
    }
    wav.extend(RATE.to_le_bytes());
    wav.extend((RATE * 2).to_le_bytes());
    for half in [2_u16, 16] {
        wav.extend(half.to_le_bytes());
    }
    wav.extend(b"data");
    wav.extend(length.to_le_bytes());
    wav.extend(data);
    let ogg = [b"OggS\x00\x02".as_slice(), &[0; 60], b"\x01vorbis", &[0; 40]].concat();
    let flac = [b"fLaC\x80\x00\x00\x22".as_slice(), &[0x10; 34], &[0xff; 64]].concat();
    let mp3 = [b"ID3\x04\x00\x00\x00\x00\x00\x00".as_slice(), &[0xff, 0xfb, 0x90, 0x00], &[0; 400]].concat();
    vec![wav, ogg, flac, mp3]
}
