//! Real espeak-ng, and engines that lie.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;

use async_trait::async_trait;
use qsketch_generate_tts::{EngineError, Espeak, Narrated, Order, SpeechEngine, SpeechError, narrate};
use qsketch_media::{Bench, MissingTool, chain};
use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Announcer, ToolLog};
use qsketch_video::{Voice, speech};

type Tried = Result<(), Box<dyn std::error::Error>>;

fn espeak() -> Espeak {
    Espeak::find(&Environment::new()).unwrap_or_else(|error| panic!("these tests need real espeak-ng: {error}"))
}

async fn say(engine: &dyn SpeechEngine, voice: Voice, narration: &str) -> Result<Narrated, SpeechError> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (announcer, log) = (Announcer::default(), ToolLog::default());
    let bench = Bench { announcer: &announcer, log: &log };
    let mut told = Vec::new();
    let order = Order { narration, voice, folder: folder.path() };
    let narrated = narrate(engine, bench, order, |spoken, of| told.push((spoken, of))).await?;
    assert_eq!(told.len(), told[0].1, "progress is told for each sentence: {told:?}");
    assert_eq!(std::fs::metadata(&narrated.file).map(|file| file.len()).ok(), Some(narrated.bytes));
    Ok(narrated)
}

#[tokio::test]
async fn each_sentence_is_timed_and_a_pause_follows_it() -> Tried {
    let narrated = say(&espeak(), Voice::EnUs, "A square has four sides. Its area is a^2! Is that all?").await?;
    let texts: Vec<&str> = narrated.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
    assert_eq!(texts, ["A square has four sides.", "Its area is a^2!", "Is that all?"], "captions keep the symbols");
    let pause = (speech::SENTENCE_PAUSE_SECS * 1_000.0) as u64;
    assert_eq!(narrated.sentences[0].start_ms, 0);
    let mut ends = narrated.sentences.iter().map(|sentence| sentence.end_ms + pause);
    let begins = narrated.sentences.iter().skip(1).map(|sentence| sentence.start_ms).chain([narrated.duration_ms]);
    assert!(begins.zip(&mut ends).all(|(begin, end)| begin.abs_diff(end) <= 1), "{narrated:?}");
    assert_eq!(narrated.sample_rate, 22_050);
    let bytes = 44.0 + 2.0 * narrated.duration_ms as f64 * 22.05;
    assert!((narrated.bytes as f64 - bytes).abs() < 2.0 * 22.05, "a sample has two bytes: {narrated:?}");
    Ok(())
}

#[tokio::test]
async fn a_text_that_looks_like_an_option_and_very_short_ones_are_spoken() -> Tried {
    for text in
        ["--help is an option. -v is another.", "-w /etc/passwd", "No. Yes.", "I.", "7", "Sum: [[h@l'oU]] <b>x</b>"]
    {
        let narrated = say(&espeak(), Voice::EnUs, text).await.map_err(|error| format!("{text}: {}", chain(&error)))?;
        assert!(narrated.duration_ms > 300, "{text}: {narrated:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_voice_speaks_its_language() -> Tried {
    let texts = [
        (Voice::EnGb, "The sum of the squares."),
        (Voice::De, "Die Summe der Quadrate über den Katheten."),
        (Voice::FrFr, "La somme des carrés des côtés."),
        (Voice::Es, "La suma de los cuadrados."),
        (Voice::It, "La somma dei quadrati."),
        (Voice::PtBr, "A soma dos quadrados é igual."),
        (Voice::Zh, "勾股定理：两条直角边的平方和等于斜边的平方。这很美！"),
        (Voice::Ja, "これを見てみましょう。それはなんですか。"),
        (Voice::Ko, "함께 살펴봅시다. 직각삼각형입니다."),
        (Voice::Ar, "لننظر في هذا. أين نجده؟"),
    ];
    for (voice, text) in texts {
        let narrated = say(&espeak(), voice, text).await.map_err(|error| format!("{text}: {}", chain(&error)))?;
        assert_eq!(narrated.sentences.len(), speech::sentences(text).len(), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_narration_of_nothing_is_final_and_a_silent_mark_is_left_out() -> Tried {
    for text in ["[ ]", "…", "| ~ |"] {
        let error = say(&espeak(), Voice::EnUs, text).await.expect_err(text);
        assert!(matches!(error, SpeechError::NothingToSay), "{text}: {}", chain(&error));
    }
    let narrated = say(&espeak(), Voice::EnUs, "[ ]\n\nThis is said.").await?;
    assert_eq!(narrated.sentences.len(), 1);
    assert_eq!(narrated.sentences[0].text, "This is said.");
    Ok(())
}

/// An engine that says that it succeeded, and leaves what its function makes of real speech.
struct Liar(Lie);

/// What becomes of the bytes of real speech; none is no file.
type Lie = fn(Vec<u8>) -> Option<Vec<u8>>;

#[async_trait]
impl SpeechEngine for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    async fn version(&self) -> Result<String, MissingTool> {
        Ok("1".to_owned())
    }

    async fn speak(&self, bench: Bench<'_>, text: &str, voice: Voice, file: &Path) -> Result<(), EngineError> {
        espeak().speak(bench, text, voice, file).await?;
        let real = std::fs::read(file).expect("real speech");
        std::fs::remove_file(file).expect("the file goes");
        if let Some(bytes) = self.0(real) {
            std::fs::write(file, bytes).expect("the lie is written");
        }
        Ok(())
    }
}

/// Real speech with its samples replaced.
fn samples(mut wav: Vec<u8>, mut value: impl FnMut(usize) -> i16) -> Vec<u8> {
    for (index, sample) in wav[44..].chunks_exact_mut(2).enumerate() {
        sample.copy_from_slice(&value(index).to_le_bytes());
    }
    wav
}

#[tokio::test]
async fn an_engine_that_succeeds_with_a_bad_file_is_found_out() {
    let lies: [(&str, Lie); 9] = [
        ("nothing", |_| None),
        ("an empty file", |_| Some(Vec::new())),
        ("half the bytes", |wav| Some(wav[..wav.len() / 2].to_vec())),
        ("silence", |wav| Some(samples(wav, |_| 0))),
        ("noise", |wav| Some(samples(wav, |index| ((index as u32).wrapping_mul(2_654_435_761) >> 16) as i16))),
        ("garbage", |wav| Some(wav.iter().map(|byte| byte.wrapping_mul(167).wrapping_add(13)).collect())),
        ("a web page", |_| Some(b"<html>503 Service Unavailable</html>".to_vec())),
        ("only its beginning, with a right header", |wav| {
            let data = (wav.len() as u32 - 44) / 10 / 2 * 2;
            let mut short = wav[..44 + data as usize].to_vec();
            short[4..8].copy_from_slice(&(36 + data).to_le_bytes());
            short[40..44].copy_from_slice(&data.to_le_bytes());
            Some(short)
        }),
        ("stereo", |mut wav| {
            wav[22] = 2;
            wav[32] = 4;
            Some(wav)
        }),
    ];
    for (name, lie) in lies {
        let text = "A triangle with one right angle is a right triangle, whatever its other angles may be.";
        match say(&Liar(lie), Voice::EnUs, text).await {
            Ok(narrated) => panic!("{name} passed: {narrated:?}"),
            Err(error) => assert_eq!(error.error_type(), "CorruptSpeech", "{name}: {}", chain(&error)),
        }
    }
}

#[tokio::test]
async fn an_engine_that_fails_or_is_not_there_says_so() -> Tried {
    let environment = Environment::from([("QSKETCH_ESPEAK".to_owned(), "/bin/false".to_owned())]);
    let error = say(&Espeak::find(&environment)?, Voice::EnUs, "Hello there.").await.expect_err("false never speaks");
    assert_eq!(error.error_type(), "SpeechFailed");
    assert_eq!(chain(&error), "sentence 1 (\"Hello there.\") was not spoken: exit code 1: it said nothing");
    let environment = Environment::from([("QSKETCH_ESPEAK".to_owned(), "/no/espeak".to_owned())]);
    let error = Espeak::find(&environment).map(|_| ()).expect_err("it is not there");
    assert!(error.to_string().contains("set QSKETCH_ESPEAK to its path"), "{error}");
    Ok(())
}
