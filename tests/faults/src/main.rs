//! Fuzzes what reads input, with any number of cases: `make fuzz CASES=… SEED=…`.

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use qsketch_faults::fuzz::{TARGETS, fuzz};

/// Gives damaged and invented input to everything that reads input, until all cases are tried or one breaks a promise.
#[derive(Parser)]
#[command(name = "fuzz")]
struct Args {
    /// How many inputs for each target; those that take longer get fewer.
    #[arg(long, default_value_t = 1_000_000)]
    cases: u32,
    /// What the inputs are drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut is_sound = true;
    for target in TARGETS {
        let bar = ProgressBar::new(u64::from((args.cases / target.costs).max(1)));
        let style = ProgressStyle::with_template("{msg:12} {bar:40} {pos}/{len} inputs, {per_sec}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(target.name);
        let fuzzed = fuzz(&target, args.cases, args.seed, &|| bar.inc(1));
        let tried = bar.position();
        bar.finish_and_clear();
        match fuzzed {
            Ok(()) => println!("{}: {tried} inputs, each answered", target.name),
            Err(error) => {
                println!("{error}");
                is_sound = false;
            }
        }
    }
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
