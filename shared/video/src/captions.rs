//! Captions as WebVTT, and the transcript, from the times of the sentences.
//!
//! ```text
//! scenes: [offset, sentences with (begin, end)] --cues--> [Cue] --webvtt--> captions.vtt
//!                                                           |----transcript--> transcript.txt
//! ```
//!
//! Cues never overlap and never go back (`cues_never_overlap`); what [`webvtt`] writes, [`check`] accepts (`what_is_written_is_read_again`).
use std::fmt::Write;

use crate::speech;

/// The longest line of a caption, in columns: what broadcasters allow on a 16:9 picture.
///
/// # Source
/// BBC Subtitle Guidelines, "Line length": 68 % of the width of a 16:9 picture, which is about 42 Latin characters.
pub const LINE_COLUMNS_MAX: usize = 42;

/// The most lines of one cue; a longer sentence goes on in the next cue.
pub const LINES_MAX: usize = 2;

/// The shortest cue, in seconds, where a sentence is cut into several.
const CUE_SECS_MIN: f64 = 0.2;

/// One sentence as it is heard, in seconds from its scene's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// The original text, not its spoken form.
    pub text: String,
    /// When it begins.
    pub begin: f64,
    /// When it ends.
    pub end: f64,
}

/// One scene of the video, as captions see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chapter {
    /// The scene's heading.
    pub title: String,
    /// When the scene begins in the video, in seconds.
    pub offset: f64,
    /// Its sentences, in order.
    pub sentences: Vec<Spoken>,
}

/// One caption: some lines, from when to when, in milliseconds of the video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears.
    pub begin_ms: u64,
    /// When it goes; always later.
    pub end_ms: u64,
    /// At most [`LINES_MAX`] lines of at most [`LINE_COLUMNS_MAX`] columns, save a single word that is longer.
    pub lines: Vec<String>,
}

/// Why a caption file is no WebVTT, or breaks our own rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("captions, line {line}: {problem}")]
pub struct CaptionError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// The cues of a video: every sentence in one or more, in order, none overlapping.
pub fn cues(chapters: &[Chapter]) -> Vec<Cue> {
    let mut found: Vec<Cue> = Vec::new();
    for chapter in chapters {
        for sentence in &chapter.sentences {
            let begin = found.last().map_or(0, |cue| cue.end_ms).max(millis(chapter.offset + sentence.begin));
            let end = millis(chapter.offset + sentence.end).max(begin + 1);
            spread(&sentence.text, begin, end, &mut found);
        }
    }
    found
}

/// The cues as a WebVTT file.
pub fn webvtt(cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n");
    for (n, cue) in cues.iter().enumerate() {
        let lines: Vec<String> = cue.lines.iter().map(|line| escaped(line)).collect();
        // Writing into a String can't fail.
        let _ = write!(out, "\n{}\n{} --> {}\n{}\n", n + 1, stamp(cue.begin_ms), stamp(cue.end_ms), lines.join("\n"));
    }
    out
}

/// The whole narration as plain text: a heading with its time per scene, one paragraph each.
pub fn transcript(title: &str, chapters: &[Chapter]) -> String {
    let mut out = format!("{title}\n");
    for chapter in chapters {
        let secs = millis(chapter.offset) / 1_000;
        let text: Vec<&str> = chapter.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
        let _ = write!(out, "\n[{:02}:{:02}] {}\n{}\n", secs / 60, secs % 60, chapter.title, text.join(" "));
    }
    out
}

/// Reads a WebVTT file as [`webvtt`] writes it and checks that no cue overlaps another.
///
/// # Errors
/// The first [`CaptionError`].
///
/// # Source
/// WebVTT: The Web Video Text Tracks Format, W3C, "WebVTT file body" and "WebVTT cue block".
pub fn check(text: &str) -> Result<Vec<Cue>, CaptionError> {
    let fault = |line: usize, problem| CaptionError { line, problem };
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line)).peekable();
    match lines.next() {
        Some((_, first)) if first == "WEBVTT" || first.starts_with("WEBVTT ") => {}
        _ => return Err(fault(1, "the first line must be WEBVTT")),
    }
    let mut found: Vec<Cue> = Vec::new();
    while let Some((n, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let timing = if line.contains("-->") { Some((n, line)) } else { lines.next() };
        let Some((n, timing)) = timing else { return Err(fault(n, "a cue has no times")) };
        let (begin, end) = timing.split_once(" --> ").ok_or(fault(n, "a cue has no times"))?;
        let (Some(begin_ms), Some(end_ms)) = (read_stamp(begin), read_stamp(end)) else {
            return Err(fault(n, "a time must look like 00:00:00.000"));
        };
        if end_ms <= begin_ms {
            return Err(fault(n, "a cue must end after it begins"));
        }
        if found.last().is_some_and(|last| last.end_ms > begin_ms) {
            return Err(fault(n, "a cue begins before the one before it has ended"));
        }
        let mut said = Vec::new();
        while let Some((n, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            if line.contains("-->") || line.contains('<') {
                return Err(fault(n, "a cue's text must escape < and >"));
            }
            said.push(unescaped(line));
        }
        if said.is_empty() {
            return Err(fault(n, "a cue has no text"));
        }
        found.push(Cue { begin_ms, end_ms, lines: said });
    }
    Ok(found)
}

/// Cuts a sentence into cues and shares its time among them by their length.
fn spread(text: &str, begin: u64, end: u64, found: &mut Vec<Cue>) {
    let lines = wrapped(text);
    let groups: Vec<&[String]> = balanced(&lines);
    let weights: Vec<usize> =
        groups.iter().map(|group| group.iter().map(|line| columns(line)).sum::<usize>().max(1)).collect();
    let total: usize = weights.iter().sum();
    let span = (end - begin) as f64;
    if groups.is_empty() {
        return;
    }
    // A time too short for every part keeps the first part only as long as the others need at least a millisecond each.
    let least = (CUE_SECS_MIN * 1_000.0).min(span / groups.len() as f64);
    let (mut at, mut passed) = (begin, 0);
    for (n, group) in groups.iter().enumerate() {
        passed += weights[n];
        let left = (groups.len() - n - 1) as f64;
        let ideal = begin as f64 + span * passed as f64 / total as f64;
        let next = if left == 0.0 { end } else { ideal.max(at as f64 + least).min(end as f64 - left * least) as u64 };
        let next = next.max(at + 1);
        found.push(Cue { begin_ms: at, end_ms: next, lines: group.to_vec() });
        at = next;
    }
}

/// Groups of at most [`LINES_MAX`] lines, as equal as can be: three lines are two and one.
fn balanced(lines: &[String]) -> Vec<&[String]> {
    lines.chunks(LINES_MAX).collect()
}

/// Lines of at most [`LINE_COLUMNS_MAX`] columns, as even as the words allow.
fn wrapped(text: &str) -> Vec<String> {
    let pieces = pieces(text);
    let total: usize = columns(&pieces.concat());
    let least = total.div_ceil(LINE_COLUMNS_MAX).max(1);
    // Even lines read better than full ones and one word left over. Where they do not fit, one line more may.
    let even = (least..=least + 1).map(|count| (count, (total.div_ceil(count) + 3).min(LINE_COLUMNS_MAX)));
    let mut fits =
        even.map(|(count, width)| (count, fill(&pieces, width))).filter(|(count, lines)| lines.len() == *count);
    fits.next().map_or_else(|| fill(&pieces, LINE_COLUMNS_MAX), |(_, lines)| lines)
}

fn fill(pieces: &[String], columns_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line)
                if columns(line.trim_end()) + columns(piece.trim_end())
                    < columns_max + usize::from(!line.ends_with(' ')) =>
            {
                line.push_str(piece)
            }
            _ => lines.push(piece.clone()),
        }
    }
    lines.iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// What can't be parted: words with the space after them, single wide characters with the marks that follow them.
fn pieces(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for c in text.chars() {
        let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
        let wide = speech::is_ideograph(c);
        match found.last_mut() {
            Some(last) if open && !wide => last.push(c),
            Some(last)
                if !open && !c.is_alphanumeric() && c != ' ' && last.chars().next_back().is_some_and(|l| l != ' ') =>
            {
                last.push(c)
            }
            _ => found.push(c.to_string()),
        }
        open = c != ' ' && !wide;
    }
    found
}

fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| {
            if speech::is_ideograph(c)
                || ('\u{3000}'..='\u{303f}').contains(&c)
                || ('\u{ff00}'..='\u{ff60}').contains(&c)
            {
                2
            } else {
                1
            }
        })
        .sum()
}

fn millis(secs: f64) -> u64 {
    // Negative and non-finite times become 0: `as` saturates.
    (secs * 1_000.0).round() as u64
}

fn stamp(ms: u64) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

fn read_stamp(text: &str) -> Option<u64> {
    let (rest, ms) = text.split_once('.')?;
    let parts: Vec<u64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, secs] = parts[..] else { return None };
    let ms: u64 = if ms.len() == 3 { ms.parse().ok()? } else { return None };
    (minutes < 60 && secs < 60).then(|| ((hours * 60 + minutes) * 60 + secs) * 1_000 + ms)
}

fn escaped(line: &str) -> String {
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescaped(line: &str) -> String {
    line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chapter(offset: f64, sentences: &[(&str, f64, f64)]) -> Chapter {
        let sentences =
            sentences.iter().map(|&(text, begin, end)| Spoken { text: text.to_owned(), begin, end }).collect();
        Chapter { title: "One".to_owned(), offset, sentences }
    }

    #[test]
    fn a_short_sentence_is_one_cue_at_its_place_in_the_video() {
        let cues = cues(&[chapter(61.5, &[("Hello there.", 0.25, 1.0)])]);
        assert_eq!(webvtt(&cues), "WEBVTT\n\n1\n00:01:01.750 --> 00:01:02.500\nHello there.\n");
    }

    #[test]
    fn a_long_sentence_is_parted_into_lines_and_cues() {
        let text = "Where the wave climbs, the new curve is above zero; at a peak it crosses zero; where the wave falls, it is below.";
        let cues = cues(&[chapter(0.0, &[(text, 0.0, 8.0)])]);
        assert_eq!(cues.len(), 2);
        assert_eq!(cues.iter().flat_map(|cue| cue.lines.clone()).collect::<Vec<_>>().join(" "), text);
        for line in cues.iter().flat_map(|cue| &cue.lines) {
            assert!(columns(line) <= LINE_COLUMNS_MAX, "{line}");
        }
        assert_eq!((cues[0].begin_ms, cues[1].end_ms), (0, 8_000));
        assert_eq!(cues[0].end_ms, cues[1].begin_ms);
    }

    #[test]
    fn two_lines_are_about_equal() {
        let lines = wrapped("Two marks, low and high, enclose what is still possible.");
        assert_eq!(lines, ["Two marks, low and high,", "enclose what is still possible."]);
    }

    #[test]
    fn no_word_is_left_alone_in_a_cue_of_its_own() {
        let lines = wrapped("Sixteen numbers need four halvings, a thousand need ten, and a million only twenty.");
        assert_eq!(
            lines,
            ["Sixteen numbers need four", "halvings, a thousand need ten,", "and a million only twenty."]
        );
    }

    #[test]
    fn wide_text_is_parted_between_characters_and_marks_stay() {
        let text = "直角三角形的两条直角边的平方和等于斜边的平方，这就是勾股定理。";
        let lines = wrapped(text);
        assert_eq!(lines.concat(), text);
        assert!(
            lines.iter().all(|line| columns(line) <= LINE_COLUMNS_MAX && !line.starts_with(['，', '。'])),
            "{lines:?}"
        );
    }

    #[test]
    fn markup_and_arrows_are_escaped() {
        let text = webvtt(&cues(&[chapter(0.0, &[("a <b> & c --> d", 0.0, 1.0)])]));
        assert!(text.ends_with("a &lt;b&gt; &amp; c --&gt; d\n"), "{text}");
        assert_eq!(check(&text).unwrap()[0].lines, ["a <b> & c --> d"]);
    }

    #[test]
    fn each_break_of_the_format_is_named_with_its_line() {
        for (text, line, problem) in [
            ("1\n", 1, "the first line must be WEBVTT"),
            ("WEBVTT\n\n1\n00:00:01.000 --> 00:00:01.000\nx\n", 4, "a cue must end after it begins"),
            ("WEBVTT\n\n1\n0:1 --> 00:00:01.000\nx\n", 4, "a time must look like 00:00:00.000"),
            ("WEBVTT\n\n1\nx\n", 4, "a cue has no times"),
            ("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<b>\n", 4, "a cue's text must escape < and >"),
            ("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n\n", 3, "a cue has no text"),
            (
                "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nx\n\n00:00:01.000 --> 00:00:03.000\ny\n",
                6,
                "a cue begins before the one before it has ended",
            ),
        ] {
            assert_eq!(check(text), Err(CaptionError { line, problem }), "{text}");
        }
    }

    #[test]
    fn the_transcript_has_a_time_and_a_heading_per_scene() {
        let text = transcript("Tea", &[chapter(75.2, &[("It is hot.", 0.0, 1.0), ("Wait.", 1.3, 2.0)])]);
        assert_eq!(text, "Tea\n\n[01:15] One\nIt is hot. Wait.\n");
    }

    fn chapters() -> impl Strategy<Value = Vec<Chapter>> {
        let sentence = ("[ -~语、。é]{1,120}", 0.0_f64..6.0, 0.01_f64..8.0);
        prop::collection::vec((prop::collection::vec(sentence, 0..5), 0.0_f64..30.0), 0..4).prop_map(|all| {
            let made = all.into_iter().map(|(sentences, offset)| Chapter {
                title: "x".to_owned(),
                offset,
                sentences: sentences
                    .into_iter()
                    .map(|(text, begin, length)| Spoken { text, begin, end: begin + length })
                    .collect(),
            });
            made.collect()
        })
    }

    proptest! {
        #[test]
        fn cues_never_overlap(chapters in chapters()) {
            let cues = cues(&chapters);
            prop_assert!(cues.iter().all(|cue| cue.begin_ms < cue.end_ms));
            prop_assert!(cues.windows(2).all(|pair| pair[0].end_ms <= pair[1].begin_ms));
        }

        #[test]
        fn what_is_written_is_read_again(chapters in chapters()) {
            let cues = cues(&chapters);
            prop_assert_eq!(check(&webvtt(&cues)).unwrap(), cues);
        }

        #[test]
        fn no_character_is_lost(text in "[ -~语、。é]{0,200}") {
            let bare = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&wrapped(&text).concat()), bare(&text));
        }
    }
}
