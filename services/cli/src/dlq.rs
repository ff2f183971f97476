//! The commands for what was set aside.

use qsketch_ops::dlq::{self, Handled, Letter, Letters, Which};
use qsketch_runtime::Ports;
use serde::Serialize;

use crate::arguments::{Dlq, DlqCommand, DlqDrop, DlqRedrive};
use crate::exit::{Exit, Problem};
use crate::output::Output;
use crate::progress::JSON_LAYOUT;
use crate::render;

#[derive(Serialize)]
struct LettersDocument<'a> {
    layout: u32,
    #[serde(flatten)]
    letters: &'a Letters,
}

#[derive(Serialize)]
struct LetterDocument<'a> {
    layout: u32,
    #[serde(flatten)]
    letter: &'a Letter,
}

#[derive(Serialize)]
struct HandledDocument<'a> {
    layout: u32,
    what: &'static str,
    #[serde(flatten)]
    handled: &'a Handled,
}

/// What is refused before anything is asked of the outside world.
pub(crate) fn check(asked: &Dlq) -> Result<(), Problem> {
    match &asked.command {
        DlqCommand::Drop(DlqDrop { yes: false, .. }) => {
            Err(Problem::Usage("these letters would be deleted for good: say --yes to do it".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(crate) async fn run(asked: &Dlq, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    match &asked.command {
        DlqCommand::List(asked) => {
            let letters = dlq::list(ports, asked.queue.as_deref()).await?;
            list(&letters, output)
        }
        DlqCommand::Show(asked) => {
            let letter = dlq::show(ports, &asked.id, asked.queue.as_deref()).await?;
            if output.is_json {
                output.json(&LetterDocument { layout: JSON_LAYOUT, letter: &letter })?;
            } else {
                output.data(&render::letter(&letter, output.paint))?;
            }
            Ok(Exit::Done)
        }
        DlqCommand::Redrive(DlqRedrive { ids, all, queue }) => {
            let handled = dlq::redrive(ports, &which(ids, *all), queue.as_deref()).await?;
            told("letters-redriven", &handled, output)
        }
        DlqCommand::Drop(DlqDrop { ids, all, queue, yes: _ }) => {
            let handled = dlq::discard(ports, &which(ids, *all), queue.as_deref()).await?;
            told("letters-dropped", &handled, output)
        }
    }
}

fn which(ids: &[String], all: bool) -> Which {
    if all { Which::All } else { Which::These(ids.to_vec()) }
}

fn list(letters: &Letters, output: &Output) -> Result<Exit, Problem> {
    if output.is_json {
        output.json(&LettersDocument { layout: JSON_LAYOUT, letters })?;
        return Ok(Exit::Done);
    }
    output.data(&render::letters(&letters.letters, output.paint))?;
    if letters.letters.is_empty() {
        output.say("nothing is set aside");
    }
    if letters.has_more {
        output.say(&format!("there may be more: of each queue {} were looked at", dlq::LOOKED_MAX));
    }
    Ok(Exit::Done)
}

/// Not all of what was asked for is 1; nothing of it is not there is 4, and told as an error.
fn told(what: &'static str, handled: &Handled, output: &Output) -> Result<Exit, Problem> {
    if output.is_json {
        output.json_line(&HandledDocument { layout: JSON_LAYOUT, what, handled })?;
    } else {
        output.say(&render::handled(what == "letters-redriven", handled));
    }
    let is_whole = handled.missing.is_empty() && handled.refused.is_empty();
    Ok(if is_whole { Exit::Done } else { Exit::Other })
}
