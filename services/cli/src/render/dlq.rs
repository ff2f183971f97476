//! What was set aside, as text.

use qsketch_ops::dlq::{Handled, LOOKED_MAX, Letter};

use super::{Paint, line_of, lines_of};

/// A line for each letter; nothing at all without letters.
#[must_use]
pub fn letters(letters: &[Letter], paint: Paint) -> String {
    if letters.is_empty() {
        return String::new();
    }
    let widest = |of: fn(&Letter) -> &str, title: &str| {
        letters.iter().map(|letter| of(letter).len()).max().unwrap_or(0).max(title.len())
    };
    let (queue_width, id_width) = (widest(|letter| &letter.queue, "QUEUE"), widest(|letter| &letter.id, "ID"));
    let line = |queue: &str, sent: &str, id: &str, rest: &str| {
        format!("{queue:queue_width$}  {sent:20}  {id:id_width$}  {rest}").trim_end().to_owned()
    };
    let mut text = format!("{}\n", paint.faint(&line("QUEUE", "SET ASIDE", "ID", "REASON")));
    for letter in letters {
        let of = [letter.job.as_ref().map(ToString::to_string), letter.task.as_ref().map(ToString::to_string)];
        let of: Vec<String> = of.into_iter().flatten().collect();
        let of = if of.is_empty() { String::new() } else { format!("{}: ", of.join(" ")) };
        let rest = format!("{of}{}", line_of(&letter.reason));
        text.push_str(&format!("{}\n", line(&letter.queue, &sent(letter), &letter.id, &rest)));
    }
    text
}

/// A letter, with its body.
#[must_use]
pub fn letter(letter: &Letter, paint: Paint) -> String {
    let job = letter.job.as_ref().map(ToString::to_string);
    let task = letter.task.as_ref().map(ToString::to_string);
    let cut = letter.cut_from_bytes.map(|bytes| format!("its end is not kept: it had {bytes} bytes"));
    let rows = [
        ("Letter", Some(letter.id.clone())),
        ("Queue", Some(letter.queue.clone())),
        ("Set aside", Some(sent(letter))),
        ("Job", job),
        ("Task", task),
        ("Reason", Some(line_of(&letter.reason))),
        ("Cut", cut),
    ];
    let row =
        |(name, value): (&str, Option<String>)| Some(format!("{} {}\n", paint.faint(&format!("{name:10}")), value?));
    let mut text: String = rows.into_iter().filter_map(row).collect();
    text.push_str(&format!("\n{}\n", lines_of(&letter.body)));
    text
}

/// What became of letters, in a sentence.
#[must_use]
pub fn handled(is_redrive: bool, handled: &Handled) -> String {
    let done = if is_redrive { "sent back" } else { "dropped" };
    let mut text = format!("{done}: {} letters", handled.letters.len());
    for (letter, reason) in &handled.refused {
        text.push_str(&format!("; {} stays: {reason}", letter.id));
    }
    if !handled.missing.is_empty() {
        text.push_str(&format!("; not there: {}", handled.missing.join(", ")));
    }
    if handled.has_more {
        text.push_str(&format!("; there may be more, for the next time: of each queue {LOOKED_MAX} were looked at"));
    }
    text
}

/// Whole seconds are enough to find it.
fn sent(letter: &Letter) -> String {
    let sent = letter.sent_at.map(|sent| sent.to_string()).unwrap_or_default();
    sent.split_once('.').map_or_else(|| sent.clone(), |(secs, _)| format!("{secs}Z"))
}

#[cfg(test)]
mod tests {
    use qsketch_core::Time;

    use super::*;

    fn of(queue: &str, id: &str, reason: &str) -> Letter {
        Letter {
            id: id.to_owned(),
            queue: queue.to_owned(),
            reason: reason.to_owned(),
            sent_at: Some(Time(1_795_305_600_123)),
            job: None,
            task: None,
            body: "{\n}\u{1b}[31m".to_owned(),
            cut_from_bytes: None,
        }
    }

    #[test]
    fn letters_are_told_a_line_each_and_give_the_terminal_no_orders() -> Result<(), Box<dyn std::error::Error>> {
        let task = Letter {
            job: Some("j1".try_into()?),
            task: Some("render-manim#2".parse()?),
            ..of("render-manim", "5f", "render-manim#2 panicked\n\u{1b}[2Jtwice")
        };
        let expected = "\
QUEUE         SET ASIDE             ID  REASON
intake        2026-11-22T00:00:00Z  4e  it is no JSON object
render-manim  2026-11-22T00:00:00Z  5f  j1 render-manim#2: render-manim#2 panicked [2Jtwice
";
        assert_eq!(letters(&[of("intake", "4e", "it is no JSON object"), task.clone()], Paint::Plain), expected);
        assert_eq!(letters(&[], Paint::Plain), "");
        let expected = "\
Letter     5f
Queue      render-manim
Set aside  2026-11-22T00:00:00Z
Job        j1
Task       render-manim#2
Reason     render-manim#2 panicked [2Jtwice

{
}
";
        assert_eq!(letter(&task, Paint::Plain), expected);
        let told = Handled {
            letters: vec![task.clone()],
            missing: vec!["7a".to_owned()],
            refused: vec![(of("intake", "4e", "x"), "its end is not kept: it had 9 bytes".to_owned())],
            has_more: false,
        };
        let words = "sent back: 1 letters; 4e stays: its end is not kept: it had 9 bytes; not there: 7a";
        assert_eq!(handled(true, &told), words);
        Ok(())
    }
}
