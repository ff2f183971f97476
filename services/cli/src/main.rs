//! The qsketch command.

use std::process::ExitCode;

use qsketch_runtime::config::Environment;

fn main() -> ExitCode {
    // What is not text can't be a setting of ours.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    qsketch_cli::run(std::env::args_os().collect(), &environment)
}
