//! The closed lists a customer chooses from: voices, the languages they speak, picture qualities.
use serde::{Deserialize, Serialize};

/// A language that a voice speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Arabic.
    Ar,
    /// German.
    De,
    /// English.
    En,
    /// Spanish.
    Es,
    /// French.
    Fr,
    /// Italian.
    It,
    /// Japanese. espeak-ng reads kana; kanji are spelled poorly.
    Ja,
    /// Korean.
    Ko,
    /// Portuguese.
    Pt,
    /// Chinese (Mandarin).
    Zh,
}

impl Language {
    /// The language's BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Language::Ar => "ar",
            Language::De => "de",
            Language::En => "en",
            Language::Es => "es",
            Language::Fr => "fr",
            Language::It => "it",
            Language::Ja => "ja",
            Language::Ko => "ko",
            Language::Pt => "pt",
            Language::Zh => "zh",
        }
    }
}

/// A voice that narrates; each is an espeak-ng voice that Debian's package brings.
///
/// # Source
/// `espeak-ng --voices` of espeak-ng 1.51, Debian 12, run on 2026-11-22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Voice {
    /// American English; the default for text in Latin letters.
    #[default]
    EnUs,
    /// British English.
    EnGb,
    /// German.
    De,
    /// French of France.
    FrFr,
    /// Spanish of Spain.
    Es,
    /// Italian.
    It,
    /// Portuguese of Brazil.
    PtBr,
    /// Mandarin Chinese.
    Zh,
    /// Japanese.
    Ja,
    /// Korean.
    Ko,
    /// Arabic.
    Ar,
}

impl Voice {
    /// Every voice, in the order in which it is offered.
    pub const ALL: [Voice; 11] = [
        Voice::EnUs,
        Voice::EnGb,
        Voice::De,
        Voice::FrFr,
        Voice::Es,
        Voice::It,
        Voice::PtBr,
        Voice::Zh,
        Voice::Ja,
        Voice::Ko,
        Voice::Ar,
    ];

    /// The name in submissions and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Voice::EnUs => "en-us",
            Voice::EnGb => "en-gb",
            Voice::De => "de",
            Voice::FrFr => "fr-fr",
            Voice::Es => "es",
            Voice::It => "it",
            Voice::PtBr => "pt-br",
            Voice::Zh => "zh",
            Voice::Ja => "ja",
            Voice::Ko => "ko",
            Voice::Ar => "ar",
        }
    }

    /// The voice of this name.
    pub fn named(name: &str) -> Option<Voice> {
        Voice::ALL.into_iter().find(|voice| voice.name() == name)
    }

    /// The name that espeak-ng's `-v` takes.
    pub fn espeak(self) -> &'static str {
        match self {
            Voice::Zh => "cmn",
            other => other.name(),
        }
    }

    /// The language that the voice speaks.
    pub fn language(self) -> Language {
        match self {
            Voice::EnUs | Voice::EnGb => Language::En,
            Voice::De => Language::De,
            Voice::FrFr => Language::Fr,
            Voice::Es => Language::Es,
            Voice::It => Language::It,
            Voice::PtBr => Language::Pt,
            Voice::Zh => Language::Zh,
            Voice::Ja => Language::Ja,
            Voice::Ko => Language::Ko,
            Voice::Ar => Language::Ar,
        }
    }

    /// The voice for a text when none was asked for: by its writing system, else the default.
    ///
    /// An English voice reads a Chinese sentence as "Chinese letter" over and over, so silence about the voice can't mean English there.
    pub fn for_text(text: &str) -> Voice {
        let (mut han, mut kana, mut hangul, mut arabic, mut other) = (0, 0, 0, 0, 0);
        for c in text.chars() {
            match c {
                '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' => kana += 1,
                '\u{3400}'..='\u{4dbf}'
                | '\u{4e00}'..='\u{9fff}'
                | '\u{f900}'..='\u{faff}'
                | '\u{20000}'..='\u{3134f}' => han += 1,
                '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => hangul += 1,
                '\u{0600}'..='\u{06ff}'
                | '\u{0750}'..='\u{077f}'
                | '\u{fb50}'..='\u{fdff}'
                | '\u{fe70}'..='\u{fefc}' => arabic += 1,
                c if c.is_alphabetic() => other += 1,
                _ => {}
            }
        }
        // One Latin word holds about five letters, one Han character is about a word.
        let weight = 3 * (han + kana) + 2 * hangul + arabic;
        if weight <= other {
            Voice::default()
        } else if kana > 0 {
            Voice::Ja
        } else if hangul > han {
            Voice::Ko
        } else if han > 0 {
            Voice::Zh
        } else {
            Voice::Ar
        }
    }
}

/// The size and rate of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Quality {
    /// 854 x 480 at 15 frames a second: a draft, in about half the CPU time of the default.
    P480,
    /// 1280 x 720 at 30 frames a second. The default: small text is sharp and motion smooth, at about 0.6 CPU seconds per second of
    /// video, where 480p15 looks like a draft and 1080p60 costs three times as much.
    #[default]
    P720,
    /// 1920 x 1080 at 60 frames a second.
    P1080,
}

impl Quality {
    /// Every quality, the cheapest first.
    pub const ALL: [Quality; 3] = [Quality::P480, Quality::P720, Quality::P1080];

    /// The name in submissions and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Quality::P480 => "480p15",
            Quality::P720 => "720p30",
            Quality::P1080 => "1080p60",
        }
    }

    /// The quality of this name.
    pub fn named(name: &str) -> Option<Quality> {
        Quality::ALL.into_iter().find(|quality| quality.name() == name)
    }

    /// Manim's option for it.
    pub fn manim_flag(self) -> &'static str {
        match self {
            Quality::P480 => "-ql",
            Quality::P720 => "-qm",
            Quality::P1080 => "-qh",
        }
    }

    /// Width and height, in pixels.
    pub fn size(self) -> (u32, u32) {
        match self {
            Quality::P480 => (854, 480),
            Quality::P720 => (1280, 720),
            Quality::P1080 => (1920, 1080),
        }
    }

    /// Frames a second.
    pub fn frame_rate(self) -> u32 {
        match self {
            Quality::P480 => 15,
            Quality::P720 => 30,
            Quality::P1080 => 60,
        }
    }
}

/// Serialises a closed list by its names, and reads only those.
macro_rules! by_name {
    ($type:ty, $what:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = String::deserialize(from)?;
                <$type>::named(&name).ok_or_else(|| serde::de::Error::custom(format!("no such {}: {name:?}", $what)))
            }
        }
    };
}
by_name!(Voice, "voice");
by_name!(Quality, "quality");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_value() {
        for voice in Voice::ALL {
            assert_eq!(Voice::named(voice.name()), Some(voice));
            assert_eq!(serde_json::to_value(voice.language()).unwrap(), voice.language().tag());
        }
        for quality in Quality::ALL {
            assert_eq!(Quality::named(quality.name()), Some(quality));
        }
        assert_eq!(Voice::named("klingon"), None);
    }

    #[test]
    fn an_unasked_voice_follows_the_writing_system() {
        for (text, voice) in [
            ("Explain the theorem of Pythagoras", Voice::EnUs),
            ("勾股定理是什么?", Voice::Zh),
            ("ピタゴラスの定理を説明して", Voice::Ja),
            ("피타고라스 정리를 설명해 줘", Voice::Ko),
            ("اشرح نظرية فيثاغورس", Voice::Ar),
            ("Explain the word 道 in the Tao Te Ching", Voice::EnUs),
            ("用 Python 解释快速排序", Voice::Zh),
            ("😀😀", Voice::EnUs),
        ] {
            assert_eq!(Voice::for_text(text), voice, "{text}");
        }
    }
}
