//! The `qsketch` command: submit, list, show, cancel, logs, download, doctor.
//!
//! Data goes to stdout, talk to stderr. What it asks and does is in `qsketch-ops`; here are only arguments, words and
//! colours. The environment is read in `main` and handed in.
//!
//! ```text
//!   arguments ─► command ─► qsketch-ops ─► render (text) or JSON ─► stdout
//!                   └─► progress (bars, lines or JSON lines) ─► stderr, or stdout with --json
//! ```

pub mod arguments;
mod commands;
mod dlq;
mod exit;
mod output;
mod progress;
pub mod render;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use qsketch_runtime::config::Environment;

use crate::arguments::Arguments;
use crate::exit::{Exit, Problem};
use crate::output::Output;

/// Runs the command with these arguments, the first of which is the program's name.
#[must_use]
pub fn run(arguments: Vec<OsString>, environment: &Environment) -> ExitCode {
    let parsed = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return misunderstood(&arguments, &error),
    };
    let output = Output::new(parsed.json, environment);
    let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(commands::run(&parsed, environment, &output)),
        Err(error) => Err(Problem::Other(format!("it can't be started: {error}"))),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(problem) => {
            output.problem(&problem);
            problem.exit().into()
        }
    }
}

/// Help and versions are answers; everything else is a mistake of the caller.
fn misunderstood(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    let before_text = arguments.iter().take_while(|argument| *argument != "--");
    let is_json = before_text.into_iter().any(|argument| argument == "--json");
    if error.use_stderr() && is_json {
        let output = Output::new(true, &Environment::new());
        let text = error.to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim().to_owned();
        output.problem(&Problem::Usage(message));
        return Exit::Usage.into();
    }
    // Where nobody listens any more there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
}
