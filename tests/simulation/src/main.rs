//! Runs any number of simulated schedules: `make simulate N=… SEED=…`.

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use qsketch_simulation::broken::Broken;
use qsketch_simulation::many::{report, run_many};

/// Runs simulated schedules until all are run or one breaks an invariant.
#[derive(Parser)]
#[command(name = "simulation")]
struct Args {
    /// How many schedules.
    #[arg(long, default_value_t = 20_000)]
    schedules: u64,
    /// The first seed; the others follow it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The world is broken in this way, which the schedules should find.
    #[arg(long, value_parser = broken)]
    broken: Option<Broken>,
}

fn broken(name: &str) -> Result<Broken, String> {
    let known = || Broken::ALL.map(Broken::name).join(", ");
    Broken::ALL.into_iter().find(|broken| broken.name() == name).ok_or_else(|| format!("use one of {}", known()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let bar = ProgressBar::new(args.schedules);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} schedules, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let sum = run_many(args.seed, args.schedules, args.broken, || bar.inc(1));
    bar.finish_and_clear();
    print!("{}", sum.tally);
    match sum.failed {
        None => {
            println!("no schedule broke an invariant");
            ExitCode::SUCCESS
        }
        Some(outcome) => {
            println!("{}", report(&outcome, args.broken));
            ExitCode::FAILURE
        }
    }
}
