//! The checks of `doctor` as text.

use qsketch_ops::{Check, State};

use super::{Paint, line_of};

/// One line per check, and what to do below those that are not well.
#[must_use]
pub fn checks(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let state = match check.state {
            State::Ok => paint.good("ok  "),
            State::Warn => paint.notable("warn"),
            State::Fail => paint.bad("FAIL"),
        };
        text.push_str(&format!("{state}  {:width$}  {}\n", check.name, line_of(&check.detail)));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("      {:width$}  → {}\n", "", line_of(remedy)));
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (warnings, failures) = (count(State::Warn), count(State::Fail));
    text.push_str(&match (warnings, failures) {
        (0, 0) => format!("all {} checks are well\n", checks.len()),
        _ => format!("{failures} of {} checks fail, {warnings} worth a look\n", checks.len()),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_says_what_to_do() {
        let found = [
            Check::ok("table", "it answers"),
            Check::warn("queue rejected", "1 wait", "read them"),
            Check::fail("bucket", "it is\ngone", "make up"),
        ];
        let expected = "ok    table           it answers
warn  queue rejected  1 wait
                      → read them
FAIL  bucket          it is gone
                      → make up
1 of 3 checks fail, 1 worth a look
";
        assert_eq!(checks(&found, Paint::Plain), expected);
        assert_eq!(checks(&found[..1], Paint::Plain), "ok    table  it answers\nall 1 checks are well\n");
    }
}
