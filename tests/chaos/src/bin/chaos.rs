//! Chaos on the local stack: `make chaos SEED=… JOBS=…`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use qsketch_bench::machine::Machine;
use qsketch_bench::stack::{StackKind, root};
use qsketch_chaos::broken::Broken;
use qsketch_chaos::recovery::{self, Bench};
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
    /// No queue is purged: messages alone must bring every job to its end.
    #[arg(long)]
    without_purges: bool,
    /// The deployment is broken in this way, which the run should find.
    #[arg(long)]
    broken: Option<Broken>,
    /// Where logs and journal go, and stay; else they are kept only where something is wrong.
    #[arg(long)]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Measure>,
}

#[derive(Subcommand)]
enum Measure {
    /// Measures how long it takes until a task runs again after each kind of fault.
    Recovery {
        /// How many tries of each.
        #[arg(long, default_value_t = 30)]
        tries: usize,
        /// For how long all workers are down, in seconds.
        #[arg(long, default_value_t = 600)]
        down: u64,
        /// Writes docs/recovery.md.
        #[arg(long)]
        write: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Some(Measure::Recovery { tries, down, write }) => {
            measure(tries, Duration::from_secs(down), write, args.keep).await.map(|()| true)
        }
        None => chaos(args).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn measure(tries: usize, down: Duration, write: bool, keep: Option<PathBuf>) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("qsketch-recovery-").tempdir()?;
    let folder = keep.unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let bench = Bench { tries, down, program: worker_program()?, folder: folder.canonicalize()? };
    let bar = ProgressBar::new(recovery::tries_of_all(&bench) as u64);
    let style = ProgressStyle::with_template("{elapsed} {bar:40} {pos}/{len} tries");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_secs(1));
    let measured = match recovery::measure(&bench, &|| bar.inc(1)).await {
        Ok(measured) => measured,
        Err(error) => return Err(error.context(format!("logs: {}", scratch.keep().display()))),
    };
    bar.finish_and_clear();
    print!("{}", recovery::table(&measured));
    if write {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        // That of a quarter of an hour: about as long as it takes.
        let load = load.split(' ').nth(2).unwrap_or("unknown");
        let machine = Machine::of_now(&root(), StackKind::Ministack.about(), "info");
        std::fs::write(root().join("docs/recovery.md"), recovery::page(&measured, &machine, load))?;
    }
    Ok(())
}

/// The program of the workers: beside this one.
fn worker_program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("a program has a folder")?.join("chaos-worker"))
}

async fn chaos(args: Args) -> Result<bool> {
    let bar = ProgressBar::new(u64::from(args.jobs));
    let style = ProgressStyle::with_template("{elapsed} {bar:40} {pos}/{len} jobs closed and told; {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let program = worker_program()?;
    let scratch = tempfile::Builder::new().prefix("qsketch-chaos-").tempdir()?;
    let folder = args.keep.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let (seed, jobs, broken, purges) = (args.seed, args.jobs, args.broken, !args.without_purges);
    let span = (SPAN_OF_JOB * jobs).max(SPAN_MIN);
    let report =
        run(Options { seed, jobs, span, purges, broken, program, folder: folder.clone(), bar: bar.clone() }).await?;
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
    let purges = if purges { "" } else { " --without-purges" };
    println!("again: cargo run -p qsketch-chaos -- --seed {seed} --jobs {jobs}{purges}{broken}");
    let kept = scratch.keep();
    println!("logs: {}", args.keep.unwrap_or(kept).display());
    Ok(false)
}
