//! Rewrites symbols to words, since a voice reads what it sees: "c^2" would lose the power, "[[" would switch espeak-ng to phonemes.
use super::symbols::{Words, words_of};
use crate::voice::Language;

/// The longest run that counts as an operand, in characters.
const OPERAND_CHARS_MAX: usize = 12;

/// The longest HTML tag that is left out, in characters.
const TAG_CHARS_MAX: usize = 12;

/// What the voice is given for a text: maths symbols as words, markup gone, web addresses shortened. Captions keep the text itself.
///
/// Never longer than a small multiple of the text, and never holds `[[`, which espeak-ng takes for phonemes.
pub fn spoken(text: &str, language: Language) -> String {
    let plain = text.split_whitespace().map(shortened).collect::<Vec<_>>().join(" ").replace("**", "");
    let reading = Reading { chars: plain.chars().collect(), words: words_of(language) };
    let mut out = String::with_capacity(plain.len());
    let mut n = 0;
    while n < reading.chars.len() {
        n += reading.take(n, &mut out);
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A web address says its host only.
fn shortened(run: &str) -> &str {
    let Some(rest) = run.strip_prefix("https://").or_else(|| run.strip_prefix("http://")) else { return run };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    host.strip_prefix("www.").unwrap_or(host)
}

struct Reading {
    chars: Vec<char>,
    words: Option<&'static Words>,
}

impl Reading {
    /// Speaks what stands at `n`; returns how many characters that was.
    fn take(&self, n: usize, out: &mut String) -> usize {
        let c = self.chars[n];
        if matches!(c, '[' | ']' | '{' | '}' | '|' | '\\' | '`' | '~') {
            out.push(' ');
            return 1;
        }
        if let Some(length) = self.tag(n) {
            out.push(' ');
            return length;
        }
        if let Some(letter) = greek(c) {
            say(out, letter);
            return 1;
        }
        let Some(words) = self.words else {
            out.push(if matches!(c, '<' | '>' | '*' | '_' | '^') { ' ' } else { c });
            return 1;
        };
        if let Some((word, length)) = self.pair(n, words).or_else(|| self.single(n, words)) {
            say(out, word);
            return length;
        }
        if c == '^' {
            return self.power(n, words, out);
        }
        out.push(if matches!(c, '<' | '>' | '*' | '_' | '#') { ' ' } else { c });
        1
    }

    /// The length of a short HTML tag that begins here.
    fn tag(&self, n: usize) -> Option<usize> {
        if self.chars[n] != '<' || self.near(n, 1).is_none_or(|c| c != '/' && !c.is_ascii_alphabetic()) {
            return None;
        }
        let rest = self.chars[n + 1..].iter().take(TAG_CHARS_MAX);
        let inside = rest.take_while(|c| c.is_ascii_alphanumeric() || **c == '/').count();
        (self.chars.get(n + 1 + inside) == Some(&'>')).then_some(inside + 2)
    }

    fn pair(&self, n: usize, words: &Words) -> Option<(&'static str, usize)> {
        let word = match (self.chars[n], *self.chars.get(n + 1)?) {
            ('<', '=') => words.at_most,
            ('>', '=') => words.at_least,
            ('!', '=') => words.differs,
            ('=', '=') => words.equals,
            ('-' | '=', '>') => words.to,
            _ => return None,
        };
        Some((word, 2))
    }

    fn single(&self, n: usize, words: &Words) -> Option<(&'static str, usize)> {
        let word = match self.chars[n] {
            '²' => words.squared,
            '³' => words.cubed,
            '√' => words.root,
            '∑' => words.sum,
            '∫' => words.integral,
            '×' | '·' | '⋅' => words.times,
            '÷' => words.over,
            '=' => words.equals,
            '≠' => words.differs,
            '≈' => words.about,
            '≤' => words.at_most,
            '≥' => words.at_least,
            '→' | '⟶' | '↦' => words.to,
            '∞' => words.infinity,
            '%' => words.percent,
            '°' => words.degrees,
            '−' => words.minus,
            '<' if self.between(n) => words.less,
            '>' if self.between(n) => words.greater,
            '*' if self.between(n) => words.times,
            '+' if self.between(n) && self.near(n, 1) != Some('+') && self.near(n, -1) != Some('+') => words.plus,
            '/' if self.touches(n, |c| c.is_ascii_digit()) => words.over,
            '-' if self.is_minus(n) => words.minus,
            _ => return None,
        };
        Some((word, 1))
    }

    fn power(&self, n: usize, words: &Words, out: &mut String) -> usize {
        let rest: String = self.chars[n + 1..].iter().take_while(|c| c.is_alphanumeric()).collect();
        match rest.as_str() {
            "2" => say(out, words.squared),
            "3" => say(out, words.cubed),
            _ => say(out, words.power),
        }
        1 + usize::from(matches!(rest.as_str(), "2" | "3"))
    }

    /// A hyphen before a number, or between two spaces and two short operands, is a minus.
    fn is_minus(&self, n: usize) -> bool {
        let (before, after) = (self.near(n, -1), self.near(n, 1));
        let opens = before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '=' | '+' | '*' | '/'));
        if opens && after.is_some_and(|c| c.is_ascii_digit()) {
            return true;
        }
        before == Some(' ')
            && after == Some(' ')
            && self.is_operand(n.saturating_sub(2), -1)
            && self.is_operand(n + 2, 1)
    }

    /// Whether the run that starts at `n` and goes the given way is a short and joins no two letters: a number, a variable, a small term.
    fn is_operand(&self, n: usize, way: isize) -> bool {
        let mut run = Vec::new();
        let mut at = Some(n);
        while let Some(c) = at.and_then(|at| self.chars.get(at)).filter(|c| !c.is_whitespace()) {
            run.push(*c);
            at = at.and_then(|at| at.checked_add_signed(way));
        }
        let letters_meet = run.windows(2).any(|pair| pair.iter().all(|c| c.is_alphabetic()));
        !letters_meet && run.len() <= OPERAND_CHARS_MAX && run.iter().any(|c| c.is_alphanumeric())
    }

    fn near(&self, n: usize, way: isize) -> Option<char> {
        n.checked_add_signed(way).and_then(|at| self.chars.get(at)).copied()
    }

    /// Whether operands stand on both sides, next to it or after one space.
    fn between(&self, n: usize) -> bool {
        let side = |way: isize| match self.near(n, way) {
            Some(' ') => self.near(n, 2 * way),
            other => other,
        };
        let operand = |c: Option<char>| {
            c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '(' | ')' | '²' | '³' | '√' | '−' | '-'))
        };
        operand(side(-1)) && operand(side(1))
    }

    fn touches(&self, n: usize, is: fn(char) -> bool) -> bool {
        self.near(n, -1).is_some_and(is) && self.near(n, 1).is_some_and(is)
    }
}

fn say(out: &mut String, word: &str) {
    out.push(' ');
    out.push_str(word);
    out.push(' ');
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' | 'Δ' => "delta",
        'ε' => "epsilon",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'π' => "pi",
        'σ' | 'Σ' => "sigma",
        'φ' => "phi",
        'ω' | 'Ω' => "omega",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn says(text: &str, expected: &str) {
        assert_eq!(spoken(text, Language::En), expected, "{text}");
    }

    #[test]
    fn powers_and_formulas_become_words() {
        says("c^2 = a^2 + b²", "c squared equals a squared plus b squared");
        says("x^3 and x^10", "x cubed and x to the power 10");
        says("(x+h)^2 - x^2 <= 1/2", "(x plus h) squared minus x squared is at most 1 over 2");
        says("√2 ≈ 1.41, 50% of 360°", "the square root of 2 is about 1.41, 50 percent of 360 degrees");
        says("θ → ∞ and 2π", "theta to infinity and 2 pi");
        says("x_1 < -3", "x 1 is less than minus 3");
    }

    #[test]
    fn prose_stays_prose() {
        for text in [
            "A well-known fact - it is true.",
            "C++ and/or Rust",
            "Is it? Yes: \"quite\" so!",
            "e.g. 3.14, and 1990-2000",
        ] {
            says(text, text);
        }
        says("- first item", "- first item");
    }

    #[test]
    fn markup_and_addresses_are_shortened() {
        says("**Bold** `code` [link]", "Bold code link");
        says("See https://www.example.com/a/b?c=d now", "See example.com now");
        says("[[h@'loU]] <b>hi</b>", "h@'loU hi");
    }

    #[test]
    fn other_languages_use_their_own_words() {
        assert_eq!(spoken("c² = 9", Language::De), "c zum Quadrat gleich 9");
        assert_eq!(spoken("c² = 9", Language::Fr), "c au carré égale 9");
        assert_eq!(spoken("c² = 9", Language::Ar), "c² = 9");
    }

    proptest! {
        #[test]
        fn phonemes_can_not_be_switched_on(text in "[\\[\\]a-c *<>{}\\\\-]{0,40}") {
            prop_assert!(!spoken(&text, Language::En).contains("[["));
        }

        #[test]
        fn any_text_is_spoken_without_panic_and_within_bounds(text in "\\PC{0,120}") {
            for language in [Language::En, Language::De, Language::Zh, Language::Ja] {
                prop_assert!(spoken(&text, language).len() <= 24 * text.len() + 24);
            }
        }
    }
}
