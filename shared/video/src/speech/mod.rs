//! Narration as speech: its sentences, how each is spoken, and how long that takes.
//!
//! ```text
//! narration --sentences--> one text a sentence --spoken--> what the voice reads
//!                               |                              |
//!                        captions show this            estimate_secs, secs_range
//! ```
//!
//! A voice speaks one sentence per call, which gives exact caption times; [`SENTENCE_PAUSE_SECS`] of silence follows each sentence.
mod sentences;
mod spoken;
mod symbols;

pub(crate) use sentences::is_ideograph;
pub use sentences::{sentences, words};
pub use spoken::spoken;

use crate::voice::Language;

/// The silence after every sentence, in seconds. The lessons' pace counts on it (`PAUSE` in `lessons/qsketch_style.py`).
pub const SENTENCE_PAUSE_SECS: f64 = 0.3;

/// The rate that espeak-ng is asked for (`-s`), in its words a minute. The measured times of the lessons are for this rate.
pub const ESPEAK_RATE: u32 = 150;

/// What every call of the voice takes beyond its characters, in seconds: espeak-ng ends each sentence with a short silence.
const SECS_PER_CALL: f64 = 0.25;

/// Speech shorter than this share of its estimate misses words. The widest miss of 70 measured English sentences was 16 %; other
/// languages, numbers and symbols miss by more.
const SHORTEST_SHARE: f64 = 0.4;

/// Speech longer than this many times its estimate says something else.
const LONGEST_SHARE: f64 = 4.0;

/// What the bounds of [`secs_range`] leave to very short texts, in seconds.
const SLACK_SECS: f64 = 3.0;

/// How long a voice will take for a text, in seconds: the sum over its characters, by writing system.
///
/// # Source
/// Measured with espeak-ng 1.51 at `-s 150` on 2026-11-22: 70 English sentences gave 0.23 s + 0.070 s a character (within 25 %); a few
/// sentences each gave 0.046 to 0.069 s for the other Latin languages, 0.10 s for Arabic, 0.21 s for Hangul, 0.40 s for Han read by the Chinese voice,
/// 0.8 s read by any other, 0.15 to 0.22 s for kana.
pub fn estimate_secs(text: &str, language: Language) -> f64 {
    let spoken = spoken(text, language);
    SECS_PER_CALL + spoken.chars().map(|c| char_secs(c, language)).sum::<f64>()
}

/// The shortest and the longest plausible speech of a text, in seconds: what lies outside lost words or said others.
pub fn secs_range(text: &str, language: Language) -> (f64, f64) {
    let estimate = estimate_secs(text, language);
    (SHORTEST_SHARE * (estimate - SECS_PER_CALL), LONGEST_SHARE * estimate + SLACK_SECS)
}

/// When each sentence begins and ends, in seconds from the scene's start, given how long each takes.
pub fn timeline(secs: &[f64]) -> Vec<(f64, f64)> {
    let mut at = 0.0;
    secs.iter()
        .map(|secs| {
            let begin = at;
            at += secs + SENTENCE_PAUSE_SECS;
            (begin, begin + secs)
        })
        .collect()
}

fn char_secs(c: char, language: Language) -> f64 {
    match c {
        c if c.is_ascii_digit() => 0.2,
        '\u{3040}'..='\u{30ff}' => 0.18,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}' => {
            match language {
                Language::Zh => 0.40,
                _ => 0.80,
            }
        }
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => 0.21,
        '\u{0600}'..='\u{06ff}' => 0.10,
        '\u{1f300}'..='\u{1faff}' => 0.6,
        _ => match language {
            Language::De | Language::Es | Language::It => 0.061,
            Language::Fr => 0.05,
            _ => 0.07,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_near_what_was_measured() {
        for (text, language, measured) in [
            ("Die Summe der Quadrate über den Katheten ist gleich dem Quadrat über der Hypotenuse", Language::De, 5.45),
            (
                "Le carré de la longueur de l’hypoténuse est égal à la somme des carrés des autres côtés.",
                Language::Fr,
                4.58,
            ),
            ("El cuadrado de la hipotenusa es igual a la suma de los cuadrados de los catetos", Language::Es, 5.25),
            (
                "Il quadrato costruito sull'ipotenusa è equivalente alla somma dei quadrati costruiti sui cateti",
                Language::It,
                6.44,
            ),
            ("O quadrado da hipotenusa é igual à soma dos quadrados dos catetos", Language::Pt, 4.94),
            ("直角三角形的两条直角边的平方和等于斜边的平方。", Language::Zh, 9.57),
            ("これを見てみましょう。それはなんですか", Language::Ja, 4.70),
            ("함께 살펴봅시다. 직각삼각형에서 빗변의 제곱", Language::Ko, 5.53),
            ("لننظر في هذا: كلمات للتذكر أين نجده", Language::Ar, 3.96),
            ("Hello.", Language::En, 0.91),
        ] {
            let estimate = estimate_secs(text, language);
            assert!((estimate / measured - 1.0).abs() < 0.35, "{text}: {estimate:.2} s, measured {measured}");
            let (shortest, longest) = secs_range(text, language);
            assert!(shortest < measured && measured < longest);
        }
    }

    #[test]
    fn a_timeline_leaves_the_pause_after_every_sentence() {
        assert_eq!(timeline(&[2.0, 1.0]), vec![(0.0, 2.0), (2.0 + SENTENCE_PAUSE_SECS, 3.0 + SENTENCE_PAUSE_SECS)]);
        assert!(timeline(&[]).is_empty());
    }
}
