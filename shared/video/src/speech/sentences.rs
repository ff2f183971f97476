//! Cuts a text into sentences.

/// Words whose full stop ends no sentence, in lower case and without it.
const ABBREVIATIONS: [&str; 32] = [
    "e.g", "i.e", "etc", "vs", "cf", "approx", "fig", "eq", "no", "vol", "mr", "mrs", "ms", "dr", "prof", "st", "jr",
    "sr", "z.b", "d.h", "bzw", "ca", "usw", "u.a", "nr", "abb", "p.ex", "ex", "sra", "sig", "al", "resp",
];

/// Abbreviations that often end a sentence too: they do when a capital letter follows.
const ENDING_ABBREVIATIONS: [&str; 4] = ["etc", "usw", "al", "no"];

/// The sentences of a text, in order, with white space collapsed; nothing but white space is lost.
///
/// A full stop ends a sentence when white space follows it, and it belongs to no abbreviation, initial or list number. `。！？` need no
/// white space. An empty line and a line that starts a list item end a sentence too.
pub fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in paragraphs(text) {
        cut(&paragraph, &mut found);
    }
    found
}

/// How many words a text has: runs between white space that hold a letter or a digit; a Han or kana character counts as one word.
pub fn words(text: &str) -> usize {
    text.split_whitespace()
        .map(|run| {
            let wide = run.chars().filter(|&c| is_ideograph(c)).count();
            let other = run.chars().any(|c| c.is_alphanumeric() && !is_ideograph(c));
            wide + usize::from(other)
        })
        .sum()
}

/// Whether a character is written without spaces between words: Han and kana.
pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

fn paragraphs(text: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![String::new()];
    for line in text.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if (line.is_empty() || starts_item(&line)) && found.last().is_some_and(|p| !p.is_empty()) {
            found.push(String::new());
        }
        if let Some(paragraph) = found.last_mut() {
            let joins = paragraph.chars().next_back().is_some_and(is_ideograph)
                && line.chars().next().is_some_and(is_ideograph);
            if !paragraph.is_empty() && !line.is_empty() && !joins {
                paragraph.push(' ');
            }
            paragraph.push_str(&line);
        }
    }
    found.retain(|p| !p.is_empty());
    found
}

fn starts_item(line: &str) -> bool {
    let mut chars = line.chars();
    match chars.next() {
        Some('-' | '*' | '•' | '–' | '#') => true,
        Some(c) if c.is_ascii_digit() => {
            let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
            rest.starts_with(". ") || rest.starts_with(") ")
        }
        _ => false,
    }
}

fn cut(paragraph: &str, found: &mut Vec<String>) {
    let chars: Vec<char> = paragraph.chars().collect();
    let (mut begin, mut n) = (0, 0);
    while n < chars.len() {
        if ends_here(&chars, begin, n) {
            let mut end = n + 1;
            while end < chars.len() && (is_closing(chars[end]) || is_end(chars[end])) {
                end += 1;
            }
            push(&chars[begin..end], found);
            begin = end;
            n = end;
        } else {
            n += 1;
        }
    }
    push(&chars[begin..], found);
}

fn push(chars: &[char], found: &mut Vec<String>) {
    let text: String = chars.iter().collect();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    // Stray marks belong to the sentence before them: a voice asked to say "!" says nothing.
    match found.last_mut() {
        Some(last) if !text.chars().any(char::is_alphanumeric) && text.chars().count() <= 3 => {
            last.push(' ');
            last.push_str(text);
        }
        _ => found.push(text.to_owned()),
    }
}

fn ends_here(chars: &[char], begin: usize, n: usize) -> bool {
    let c = chars[n];
    if matches!(c, '。' | '！' | '？' | '｡' | '．') {
        return true;
    }
    if !is_end(c) {
        return false;
    }
    let mut next = n + 1;
    while next < chars.len() && (is_closing(chars[next]) || is_end(chars[next])) {
        next += 1;
    }
    if next < chars.len() && !chars[next].is_whitespace() {
        return false;
    }
    if c != '.' || next > n + 1 {
        return true;
    }
    let follows = chars[next..].iter().copied().find(|c| !c.is_whitespace());
    !stop_is_inside(&chars[begin..n], follows)
}

/// Whether the full stop after `before` belongs to an abbreviation, an initial or a list number.
fn stop_is_inside(before: &[char], follows: Option<char>) -> bool {
    let Some(follows) = follows else { return false };
    let start = before.iter().rposition(|c| c.is_whitespace()).map_or(0, |at| at + 1);
    let word: String = before[start..]
        .iter()
        .collect::<String>()
        .trim_start_matches(['(', '"', '\'', '“', '„', '«', '['])
        .to_lowercase();
    if follows.is_lowercase() {
        return true;
    }
    if ENDING_ABBREVIATIONS.contains(&word.as_str()) {
        return word == "no" && follows.is_ascii_digit();
    }
    let number = before[..start].iter().all(|c| c.is_whitespace())
        && !word.is_empty()
        && word.chars().all(|c| c.is_ascii_digit());
    // One letter is an initial ("J. Fourier"), but a variable at a sentence's end is far likelier after a space: "… squared is c. So …".
    let initial = word.chars().count() == 1 && before[start].is_uppercase();
    number || initial || ABBREVIATIONS.contains(&word.as_str())
}

fn is_end(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '؟' | '۔' | '।' | '。' | '！' | '？' | '｡' | '．')
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '»' | '”' | '’' | '“' | '」' | '』' | '）' | '】' | '》')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_as(text: &str, expected: &[&str]) {
        assert_eq!(sentences(text), expected, "{text}");
    }

    #[test]
    fn full_stops_inside_numbers_abbreviations_and_initials_end_nothing() {
        cut_as("Pi is 3.14, e.g. in circles. It goes on.", &["Pi is 3.14, e.g. in circles.", "It goes on."]);
        cut_as("J. Fourier and Dr. Euler met. They did!", &["J. Fourier and Dr. Euler met.", "They did!"]);
        cut_as("See Fig. 3 and No. 7. Then stop", &["See Fig. 3 and No. 7.", "Then stop"]);
        cut_as("Squares, cubes, etc. Then more.", &["Squares, cubes, etc.", "Then more."]);
        cut_as("The answer is no. Try again.", &["The answer is no.", "Try again."]);
        cut_as("Its side is c. So it fits.", &["Its side is c.", "So it fits."]);
    }

    #[test]
    fn quotes_and_repeated_marks_stay_with_their_sentence() {
        cut_as(
            "He said \"stop.\" Then he went... Why?! Who knows",
            &["He said \"stop.\"", "Then he went...", "Why?!", "Who knows"],
        );
        cut_as("Wait ! Now", &["Wait !", "Now"]);
    }

    #[test]
    fn chinese_japanese_korean_and_arabic_end_as_they_do() {
        cut_as(
            "勾股定理是什么？它说：“两边的平方和。”很好。",
            &["勾股定理是什么？", "它说：“两边的平方和。”", "很好。"],
        );
        cut_as("これはペンです。あれは？", &["これはペンです。", "あれは？"]);
        cut_as("안녕하세요. 반갑습니다!", &["안녕하세요.", "반갑습니다!"]);
        cut_as("ما هذا؟ هذا كتاب.", &["ما هذا؟", "هذا كتاب."]);
    }

    #[test]
    fn lists_and_empty_lines_part_sentences_and_wrapped_lines_do_not() {
        cut_as("Explain:\n- one\n- two\n\nand\nthree", &["Explain:", "- one", "- two", "and three"]);
        cut_as("1. First this. 2. Then that.", &["1. First this.", "2. Then that."]);
        cut_as("第一行\n第二行。", &["第一行第二行。"]);
    }

    #[test]
    fn words_are_counted_by_spaces_or_by_characters() {
        assert_eq!(words("a plus b - 3"), 4);
        assert_eq!(words("勾股定理 and π"), 6);
        assert_eq!(words(" … "), 0);
    }

    proptest! {
        #[test]
        fn nothing_but_white_space_is_lost(text in "\\PC{0,200}") {
            let bare = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&sentences(&text).concat()), bare(&text));
        }

        #[test]
        fn no_sentence_is_empty(text in "[a-c .!?。\n\"-]{0,60}") {
            prop_assert!(sentences(&text).iter().all(|s| !s.trim().is_empty()));
        }
    }
}
