//! The general lesson: a title card, the prompt's own sentences as points, its key words or questions to ask, and the title again.
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{code, folded};
use crate::request::VideoRequest;
use crate::script::Scene;
use crate::speech::{self, is_ideograph};
use crate::voice::{Language, Voice};

const WORDS: &str = include_str!("../../lessons/general/words.py");
const TITLE_CARD: &str = include_str!("../../lessons/general/title_card.py");
const POINTS: &str = include_str!("../../lessons/general/points.py");
const KEY_WORDS: &str = include_str!("../../lessons/general/key_words.py");
const IN_SHORT: &str = include_str!("../../lessons/general/in_short.py");

/// What a title may take on the card: five lines of 24 columns, with room for words that don't fit a line's end.
const TITLE_COLUMNS: usize = 90;

/// What a point may take on its card: three lines of 46 columns, less what line ends lose.
const POINT_COLUMNS: usize = 120;

/// Marks without a width make text longer than its columns; the voice reads by characters.
const TEXT_CHARS_MAX: usize = 190;

/// The same where a language is written in wide characters, each of which takes as long as a word.
const WIDE_POINT_COLUMNS: usize = 72;

/// The speech of one scene of points, in seconds.
const POINTS_SECS_MAX: f64 = 26.0;

/// The points of one scene, and the scenes of points: nine points are about a minute of speech.
const POINTS_PER_SCENE: usize = 3;
const POINT_SCENES_MAX: usize = 3;

/// Fewer key words make no picture, more no room.
const KEY_WORDS_MIN: usize = 3;
const KEY_WORDS_MAX: usize = 6;
const KEY_WORD_CHARS_MAX: usize = 22;

/// The fixed words of the lesson in one language.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phrases {
    intro: String,
    points: String,
    questions: String,
    words: String,
    remember: String,
    about: String,
    end: String,
    onward: String,
    ask: Vec<String>,
}

static PHRASES: LazyLock<BTreeMap<String, Phrases>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../lessons/general/phrases.json")).unwrap_or_default());

/// Words that carry no subject, by language, parted by spaces.
const STOP_WORDS: [&str; 6] = [
    "about above after again also always among another because been before being below between both cannot could does doing down during each either every explain \
     explained find from give have having here into itself just know like look made make many more most much must need only other over please same shall should show \
     some such take tell than that their them then there these they this those through under until upon very video want were what when where which while will with within \
     without would your using used uses user how why they're it's don't",
    "aber alle alles auch beim bitte dann dass dein deine denn dies diese diesem diesen dieser dieses doch durch eine einem einen einer eines erkläre \
     erklären etwas euch gibt haben hier ihre immer ist kann kein keine können machen mehr mein meine nach nicht noch oder ohne sehr sein seine sich sind über unter viel vom warum \
     wenn werden wird wurde zeige zwischen",
    "alors aussi avec avoir bien cela cette comme comment dans depuis donc elle elles encore entre être explique expliquer fait leur leurs mais même moins nous \
     notre parce pour pourquoi quand quel quelle sans sera sont sous leur tout tous toute très vers votre vous",
    "algo ante antes como cómo cuando cuál desde donde dónde entre esta este esto estos explica hace hacia hasta muestra mucho para pero porque puede qué sobre también tiene todo \
     todos unas unos",
    "alla alle anche ancora come cosa così dalla dalle degli della delle dello dove essere fare hanno loro molto nella nelle perché però più poi quale quando quanto questa questo \
     sono spiega sulla tutti tutto",
    "ainda alguma algum antes aqui como cada depois desde ela eles entre essa esse esta este explica isso mais mesmo muito muitos nosso onde para pela pelo porque quando qual quem \
     são sobre também tem toda todo uma você",
];

/// Builds the lesson: its title, its scenes, and what a reader must know.
pub(super) fn lesson(request: &VideoRequest) -> (String, Vec<Scene>, Vec<String>) {
    let voice = request.voice();
    let phrases = PHRASES.get(voice.language().tag()).cloned().unwrap_or_default();
    let said: Vec<String> =
        speech::sentences(request.prompt()).iter().map(|s| bare(s)).filter(|s| !s.is_empty()).collect();
    let (title, taken) = title(request, &said);
    let left: Vec<&String> = said[taken..].iter().filter(|s| speech::words(s) > 0).collect();
    let mut maker = Maker { voice, phrases, title: title.clone(), scenes: Vec::new() };
    maker.title_card(seed(request.prompt()));
    let mut notes = Vec::new();
    if left.is_empty() {
        maker.questions();
    } else {
        let columns_max = if matches!(voice.language(), Language::Zh | Language::Ja | Language::Ko) {
            WIDE_POINT_COLUMNS
        } else {
            POINT_COLUMNS
        };
        let points: Vec<String> = left.iter().map(|s| shortened(s, columns_max)).collect();
        let groups = grouped(&points, voice.language());
        let shown = groups.iter().map(|group| group.len()).sum();
        let mut first = 1;
        for group in &groups {
            maker.points(group, first, groups.len() > 1);
            first += group.len();
        }
        if shown < points.len() {
            notes.push(format!("The prompt has {} sentences; the first {shown} became points.", points.len()));
        }
        if left.iter().zip(&points).take(shown).any(|(whole, point)| *whole != point) {
            notes.push("Long sentences were cut to fit the picture.".to_owned());
        }
    }
    maker.key_words(&key_words(request.prompt()));
    maker.in_short();
    (title, maker.scenes, notes)
}

/// The title, and how many of the prompt's sentences it used up.
fn title(request: &VideoRequest, said: &[String]) -> (String, usize) {
    if let Some(title) = request.title() {
        return (shortened(title, TITLE_COLUMNS), 0);
    }
    let first = said.first().map_or(request.prompt(), String::as_str);
    let whole = first.trim_end_matches(['.', '。', ':', '：', ';', ',']);
    let whole = if whole.is_empty() { first } else { whole };
    let title = shortened(whole, TITLE_COLUMNS);
    let taken = usize::from(title == whole && !said.is_empty());
    (title, taken)
}

struct Maker {
    voice: Voice,
    phrases: Phrases,
    title: String,
    scenes: Vec<Scene>,
}

impl Maker {
    fn title_card(&mut self, seed: u64) {
        let said = vec![self.with_stop(&self.joined(&self.phrases.intro, &self.title))];
        self.scene(self.title.clone(), "TitleCard", TITLE_CARD, said, json!({ "title": self.title, "seed": seed }));
    }

    fn questions(&mut self) {
        let data = json!({ "title": self.phrases.questions, "points": self.phrases.ask, "first": 1 });
        self.scene(self.phrases.questions.clone(), "Points", POINTS, self.phrases.ask.clone(), data);
    }

    fn points(&mut self, points: &[String], first: usize, numbered: bool) {
        let mut title = self.phrases.points.clone();
        if numbered {
            title = format!("{title} ({first}–{})", first + points.len() - 1);
        }
        let said = points.iter().map(|point| self.with_stop(point)).collect();
        let data = json!({ "title": self.phrases.points, "points": points, "first": first });
        self.scene(title, "Points", POINTS, said, data);
    }

    fn key_words(&mut self, words: &[String]) {
        if words.len() < KEY_WORDS_MIN {
            return;
        }
        let remember = self.with_stop(&self.joined(&self.phrases.remember, &words.join(", ")));
        let said = vec![self.phrases.about.clone(), remember];
        let about = shortened(&self.title, 44);
        self.scene(
            self.phrases.words.clone(),
            "KeyWords",
            KEY_WORDS,
            said,
            json!({ "title": self.phrases.words, "words": words, "about": about }),
        );
    }

    fn in_short(&mut self) {
        let colon = format!("{}{}", self.phrases.end, if self.wide() { "：" } else { ":" });
        let said = vec![self.with_stop(&self.joined(&colon, &self.title)), self.phrases.onward.clone()];
        self.scene(
            self.phrases.end.clone(),
            "InShort",
            IN_SHORT,
            said,
            json!({ "title": self.phrases.end, "text": self.title }),
        );
    }

    fn scene(&mut self, title: String, class_name: &str, source: &str, said: Vec<String>, data: Value) {
        // What the voice will find: the splitter decides where a sentence ends, also inside a title.
        let separator = if self.wide() { "" } else { " " };
        let narration = said.join(separator);
        let timed = code::timed(&speech::sentences(&narration), None, self.voice);
        let code = code::assemble(source, &[("words", WORDS)], &timed, Some(&data));
        self.scenes.push(Scene { title, narration, class_name: class_name.to_owned(), code });
    }

    /// Whether the language is written without spaces.
    fn wide(&self) -> bool {
        matches!(self.voice.language(), Language::Zh | Language::Ja)
    }

    fn joined(&self, before: &str, after: &str) -> String {
        if self.wide() { format!("{before}{after}") } else { format!("{before} {after}") }
    }

    fn with_stop(&self, text: &str) -> String {
        let ended = text
            .trim_end_matches(['"', '\'', '”', '’', ')', '»', '」', '）'])
            .ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '。']);
        match (ended, self.wide()) {
            (true, _) => text.to_owned(),
            (false, true) => format!("{text}。"),
            (false, false) => format!("{text}."),
        }
    }
}

/// The points, scene by scene: as many as one scene has room and time for, in at most [`POINT_SCENES_MAX`] scenes.
fn grouped(points: &[String], language: Language) -> Vec<&[String]> {
    let mut groups = Vec::new();
    let mut rest = &points[..points.len().min(POINTS_PER_SCENE * POINT_SCENES_MAX)];
    // Four points are two and two, not three and one.
    let even = rest.len().div_ceil(rest.len().div_ceil(POINTS_PER_SCENE).max(1)).max(1);
    while !rest.is_empty() && groups.len() < POINT_SCENES_MAX {
        let mut secs = 0.0;
        let fits = rest.iter().take(even).take_while(|point| {
            secs += speech::estimate_secs(point, language) + speech::SENTENCE_PAUSE_SECS;
            secs <= POINTS_SECS_MAX
        });
        let (group, later) = rest.split_at(fits.count().max(1));
        groups.push(group);
        rest = later;
    }
    groups
}

/// A sentence without the marks of a list or a heading.
fn bare(sentence: &str) -> String {
    let text = sentence.trim_start_matches(['-', '*', '•', '–', '#', ' ']);
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let text = if digits.len() < text.len() {
        digits.strip_prefix(". ").or_else(|| digits.strip_prefix(") ")).unwrap_or(text)
    } else {
        text
    };
    text.replace("**", "").replace('`', "").trim().to_owned()
}

/// Cut at a word's end so that it takes at most so many columns, and a bounded number of characters.
fn shortened(text: &str, columns_max: usize) -> String {
    let (mut columns, mut chars, mut end, mut space) = (0, 0, 0, None);
    for (at, c) in text.char_indices() {
        columns += width(c);
        chars += 1;
        if columns > columns_max || chars > TEXT_CHARS_MAX {
            let end = space.filter(|space| *space > end / 2).unwrap_or(end);
            return format!("{}…", text[..end].trim_end_matches([' ', ',', ';', ':', '-', '–', '，', '、']));
        }
        if c == ' ' {
            space = Some(at);
        }
        end = at + c.len_utf8();
    }
    text.to_owned()
}

/// The columns of a character, as the lesson's own `columns` counts them, near enough: wide characters take two.
fn width(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{65f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' => 2,
        '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// The prompt's most frequent words that carry a subject, in the order in which they come.
fn key_words(prompt: &str) -> Vec<String> {
    let stop: Vec<String> = STOP_WORDS.iter().flat_map(|words| words.split_whitespace()).map(folded).collect();
    let mut counted: Vec<(String, String, usize)> = Vec::new();
    for word in prompt.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '\'' | '’'))) {
        let word = word.trim_matches(['-', '\'', '’']);
        let chars = word.chars().count();
        let hangul = word.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c));
        let short = chars < if hangul { 2 } else { 4 };
        let key = folded(word);
        if short
            || chars > KEY_WORD_CHARS_MAX
            || word.chars().any(is_ideograph)
            || !word.chars().any(char::is_alphabetic)
            || stop.contains(&key)
        {
            continue;
        }
        match counted.iter_mut().find(|(known, _, _)| *known == key) {
            Some((_, _, count)) => *count += 1,
            None => counted.push((key, word.to_owned(), 1)),
        }
    }
    let mut order: Vec<usize> = (0..counted.len()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(counted[n].2));
    order.truncate(KEY_WORDS_MAX);
    order.sort_unstable();
    order.into_iter().map(|n| counted[n].1.clone()).collect()
}

/// A small number from the prompt, the same on every machine (FNV-1a): it varies the title's figure.
fn seed(prompt: &str) -> u64 {
    let hash = prompt
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash % 1_000
}
