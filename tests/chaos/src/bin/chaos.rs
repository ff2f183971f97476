//! Chaos on the local stack: `make chaos SEED=… JOBS=…`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use qsketch_chaos::broken::Broken;
use qsketch_chaos::run::{Options, run};

/// For how long there are faults for each job.
const SPAN_OF_JOB: Duration = Duration::from_millis(750);

/// For how long there are faults at least.
const SPAN_MIN: Duration = Duration::from_secs(20);

/// How many mistakes are told.
const TOLD_MAX: usize = 40;

/// Runs jobs with real work on a local stack of its own, while processes, network, queues, disks and clocks fail.
#[derive(Parser)]
#[command(name = "chaos")]
struct Args {
    /// What the faults are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many jobs.
    #[arg(long, default_value_t = 200)]
    jobs: u32,
    /// The deployment is broken in this way, which the run should find.
    #[arg(long)]
    broken: Option<Broken>,
    /// Where logs and journal go, and stay; else they are kept only where something is wrong.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match chaos(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn chaos(args: Args) -> Result<bool> {
    let bar = ProgressBar::new(u64::from(args.jobs));
    let style = ProgressStyle::with_template("{elapsed} {bar:40} {pos}/{len} jobs closed and told; {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let own = std::env::current_exe()?;
    let program = own.parent().context("a program has a folder")?.join("chaos-worker");
    let scratch = tempfile::Builder::new().prefix("qsketch-chaos-").tempdir()?;
    let folder = args.keep.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let (seed, jobs, broken) = (args.seed, args.jobs, args.broken);
    let span = (SPAN_OF_JOB * jobs).max(SPAN_MIN);
    let report = run(Options { seed, jobs, span, broken, program, folder: folder.clone(), bar: bar.clone() }).await?;
    bar.finish_and_clear();
    println!("seed {seed}, {jobs} jobs, {} s", report.took.as_secs());
    for (what, count) in &report.done {
        println!("{count:8}  {what}");
    }
    if report.wrong.is_empty() {
        println!("nothing is lost: every job closed as planned, and nothing is left");
        return Ok(true);
    }
    println!("{} things are wrong:", report.wrong.len());
    report.wrong.iter().take(TOLD_MAX).for_each(|what| println!("  {what}"));
    let broken = broken.map(|broken| format!(" --broken {}", broken.name())).unwrap_or_default();
    println!("again: cargo run -p qsketch-chaos -- --seed {seed} --jobs {jobs}{broken}");
    let kept = scratch.keep();
    println!("logs: {}", args.keep.unwrap_or(kept).display());
    Ok(false)
}
