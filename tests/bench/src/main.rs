//! `make bench`: starts a stack, runs the measured jobs on it, and writes the results into docs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use qsketch_bench::machine::Machine;
use qsketch_bench::measure::{Load, Measured, measure};
use qsketch_bench::report::{self, Results};
use qsketch_bench::stack::{Stack, StackKind, root, serve_table};

/// Measures the coordination: a no-op job of five steps, each with a queue of its own, each claimed.
#[derive(Parser)]
#[command(name = "qsketch-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Measure on a stack that is started for it, and write docs/benchmarks.
    Run {
        /// Which emulators.
        #[arg(long, value_enum, default_value = "ministack")]
        stack: StackKind,
        /// Jobs per run, 1 to 100,000, for the runs with one in flight and with more.
        #[arg(long, value_delimiter = ',', default_values_t = [200, 1000], value_parser = clap::value_parser!(u32).range(1..=100_000))]
        jobs: Vec<u32>,
        /// How many jobs at once, a run for each.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32, 64], value_parser = clap::value_parser!(u32).range(1..=1_024))]
        in_flight: Vec<u32>,
        /// Also runs with that many jobs queued before any worker starts.
        #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
        queued: Vec<u32>,
        /// Also the same loads with the successors handed on within the process instead of sent.
        #[arg(long)]
        crew: bool,
        /// Also one run of that many jobs at 64 in flight, to see whether the memory grows.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        soak: Option<u32>,
        /// What the services log: a tracing filter.
        #[arg(long, default_value = "info")]
        log: String,
        /// Write docs/benchmarks and docs/benchmarks.md; else only print.
        #[arg(long)]
        keep: bool,
    },
    /// One run, on the stack that the environment names; started by `run`.
    #[command(hide = true)]
    Measure {
        #[arg(long)]
        jobs: usize,
        #[arg(long)]
        in_flight: usize,
        #[arg(long)]
        queued: bool,
        #[arg(long)]
        crew: bool,
        #[arg(long)]
        table: String,
        #[arg(long)]
        queue_url_prefix: String,
        #[arg(long, value_delimiter = ',')]
        stack_pids: Vec<u32>,
        #[arg(long)]
        log: String,
        #[arg(long)]
        result: PathBuf,
    },
    /// Serve an in-memory DynamoDB; started by `run`.
    #[command(hide = true)]
    ServeTable {
        #[arg(long)]
        port: u16,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Action::Run { stack, jobs, in_flight, queued, crew, soak, log, keep } => {
            let [few, many] = match jobs.as_slice() {
                [same] => [*same, *same],
                [few, many] => [*few, *many],
                _ => bail!("--jobs takes one number, or two: with one in flight and with more"),
            };
            let mut runs: Vec<Run> = in_flight
                .into_iter()
                .map(|in_flight| Run {
                    jobs: if in_flight == 1 { few } else { many },
                    in_flight,
                    is_queued: false,
                    is_crew: false,
                })
                .collect();
            runs.extend(queued.into_iter().map(|jobs| Run { jobs, in_flight: jobs, is_queued: true, is_crew: false }));
            if crew {
                let handed_on: Vec<Run> = runs.iter().map(|run| Run { is_crew: true, ..*run }).collect();
                runs.extend(handed_on);
            }
            runs.extend(soak.map(|jobs| Run { jobs, in_flight: 64, is_queued: false, is_crew: crew }));
            run(stack, &runs, &log, keep).await
        }
        Action::Measure { jobs, in_flight, queued, crew, table, queue_url_prefix, stack_pids, log, result } => {
            qsketch_runtime::log::start(&log);
            let load = Load { jobs, in_flight, is_queued: queued, is_crew: crew, table, queue_url_prefix, stack_pids };
            let measured = measure(&load, say_done).await?;
            std::fs::write(&result, serde_json::to_vec(&measured)?)?;
            // Polls may still be open: nobody needs their answers, and the queues are this run's own.
            std::process::exit(0)
        }
        Action::ServeTable { port } => serve_table(port).await,
    }
}

#[derive(Clone, Copy)]
struct Run {
    jobs: u32,
    in_flight: u32,
    is_queued: bool,
    is_crew: bool,
}

/// The parent reads it for the progress bar.
#[allow(clippy::print_stdout)]
fn say_done(done: usize) {
    if done.is_multiple_of(10) {
        println!("{done}");
    }
}

async fn run(kind: StackKind, runs: &[Run], log: &str, keep: bool) -> Result<()> {
    let stack = Stack::start(kind, &root()).await?;
    // The first run warms the stack up and is thrown away.
    let warm_up = Run { jobs: 100, in_flight: 16, is_queued: false, is_crew: false };
    one(&stack, warm_up, "warm-up", log).await?;
    let mut results = Results {
        stack: kind.name().to_owned(),
        machine: Machine::of_now(&root(), kind.about(), log),
        command: kind.command().to_owned(),
        runs: Vec::new(),
    };
    for (index, run) in runs.iter().enumerate() {
        let measured = one(&stack, *run, &format!("run{index}"), log).await?;
        say(&report::line(&measured));
        results.runs.push(measured);
    }
    if keep {
        let docs = root().join("docs");
        std::fs::create_dir_all(docs.join("benchmarks"))?;
        report::write(&docs, &results)?;
        say(&format!("written: docs/benchmarks/{0}.json, docs/benchmarks/{0}.svg, docs/benchmarks.md", kind.name()));
    }
    Ok(())
}

async fn one(stack: &Stack, run: Run, name: &str, log: &str) -> Result<Measured> {
    let prefix = stack.prepare(name).await?;
    let folder = tempfile::tempdir()?;
    let result = folder.path().join("result.json");
    let pids: Vec<String> = stack.pids().iter().map(ToString::to_string).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["measure", "--jobs", &run.jobs.to_string(), "--in-flight", &run.in_flight.to_string()])
        .args(run.is_queued.then_some("--queued"))
        .args(run.is_crew.then_some("--crew"))
        .args(["--table", name, "--queue-url-prefix", &prefix, "--stack-pids", &pids.join(","), "--log", log])
        .arg("--result")
        .arg(&result)
        .envs(stack.environment())
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_PROFILE")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.path().join("log"))?);
    let bar = ProgressBar::new(u64::from(run.jobs));
    bar.set_style(ProgressStyle::with_template("{prefix:>24} {wide_bar} {pos}/{len} jobs, {eta} left")?);
    bar.set_prefix(if run.is_queued { format!("{} queued", run.jobs) } else { format!("{} in flight", run.in_flight) });
    let mut child = command.spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    tokio::task::spawn_blocking({
        let bar = bar.clone();
        move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(done) = line.parse() {
                    bar.set_position(done);
                }
            }
        }
    })
    .await?;
    let code = child.wait()?;
    bar.finish_and_clear();
    if !code.success() {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        bail!("the run broke off ({code}):\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(serde_json::from_slice(&std::fs::read(&result)?)?)
}

#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}
