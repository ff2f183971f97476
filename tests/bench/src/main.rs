//! `make bench`: starts a stack, runs the measured jobs on it, and writes the results into docs. And the account of a job,
//! counted without a stack.

mod run;
mod tried;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use qsketch_aws::{DynamoTable, Meter, S3Store, SqsQueues};
use qsketch_bench::agree::{Told, agree};
use qsketch_bench::machine::Machine;
use qsketch_bench::measure::{measure, queue_prefix};
use qsketch_bench::measured::Load;
use qsketch_bench::stack::{StackKind, root, serve_table};
use qsketch_bench::{account, list, report, way::Way, wide};
use qsketch_runtime::Ports;
use qsketch_runtime::clock::SystemClock;

use run::{Queued, Run};

/// How many jobs are in flight in the run that watches the memory.
const SOAK_IN_FLIGHT: u32 = 64;

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
        /// Also runs with that many jobs queued before any worker starts; 100x20 queues 100 jobs, 20 times.
        #[arg(long, value_delimiter = ',')]
        queued: Vec<Queued>,
        /// How tasks reach their workers, all these runs for each.
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Way::Queues])]
        ways: Vec<Way>,
        /// Also one run of that many jobs at 64 in flight in the last of the ways, to see whether the memory grows.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        soak: Option<u32>,
        /// What the services log: a tracing filter.
        #[arg(long, default_value = "info")]
        log: String,
        /// Write docs/benchmarks and docs/benchmarks.md; else only print.
        #[arg(long)]
        keep: bool,
    },
    /// Count what a job costs on the ports in memory, and print it; no stack is started.
    Account {
        /// Write tests/bench/account.txt instead, which `cargo test` holds every change against.
        #[arg(long)]
        keep: bool,
    },
    /// Count what a task of a wide step costs, in memory and on dynoxide, and print it.
    Wide {
        /// Write it into docs/benchmarks.md too.
        #[arg(long)]
        keep: bool,
    },
    /// Count what a list costs on up to 100,000 jobs on dynoxide, and print it.
    List {
        /// Write it into docs/benchmarks.md too.
        #[arg(long)]
        keep: bool,
    },
    /// Measure what was tried: this commit as it is, and with each patch of tests/bench/tried; print it.
    Tried {
        /// Write it into docs/benchmarks.md too.
        #[arg(long)]
        keep: bool,
    },
    /// Write the tables and plots of a stack anew, from the results in docs/benchmarks; nothing is measured.
    Render {
        /// Which stack.
        #[arg(long, value_enum)]
        stack: StackKind,
    },
    /// One run, on the stack that the environment names; started by `run`.
    #[command(hide = true)]
    Measure {
        #[command(flatten)]
        on: On,
        #[arg(long)]
        jobs: usize,
        #[arg(long)]
        in_flight: usize,
        #[arg(long)]
        queued: bool,
        #[arg(long, value_delimiter = ',')]
        stack_pids: Vec<u32>,
    },
    /// Compare computed and reported units, on the stack that the environment names; started by `run`.
    #[command(hide = true)]
    Agree {
        #[command(flatten)]
        on: On,
        #[arg(long)]
        writes_only: bool,
    },
    /// Serve an in-memory DynamoDB; started by `run`.
    #[command(hide = true)]
    ServeTable {
        #[arg(long)]
        port: u16,
    },
}

/// Where a child runs its jobs, and where its result goes.
#[derive(clap::Args)]
struct On {
    #[arg(long, value_enum)]
    way: Way,
    #[arg(long)]
    table: String,
    #[arg(long)]
    queue_url_prefix: String,
    #[arg(long)]
    log: String,
    #[arg(long)]
    result: PathBuf,
}

fn main() -> Result<()> {
    let action = Arguments::parse().command;
    match action {
        // These bring their own runtimes.
        Action::Account { keep } => count_account(keep),
        Action::Wide { keep } => count_wide(keep),
        Action::Render { stack } => render(stack),
        Action::Tried { keep } => {
            let table = tokio::runtime::Runtime::new()?.block_on(tried::table(&root()))?;
            run::say(table.trim_end());
            kept(keep, "tried", StackKind::Fast.about(), &table)
        }
        action => tokio::runtime::Runtime::new()?.block_on(act(action)),
    }
}

async fn act(action: Action) -> Result<()> {
    match action {
        Action::Account { .. } | Action::Wide { .. } | Action::Tried { .. } | Action::Render { .. } => {
            bail!("it brings its own runtime")
        }
        Action::List { keep } => count_list(keep).await,
        Action::Run { stack, jobs, in_flight, queued, ways, soak, log, keep } => {
            let [few, many] = match jobs.as_slice() {
                [same] => [*same, *same],
                [few, many] => [*few, *many],
                _ => bail!("--jobs takes one number, or two: with one in flight and with more"),
            };
            let mut runs = Vec::new();
            for way in &ways {
                let of_jobs = |in_flight| if in_flight == 1 { few } else { many };
                runs.extend(in_flight.iter().map(|at_once| Run::in_flight(*way, of_jobs(*at_once), *at_once)));
                runs.extend(queued.iter().map(|queued| Run::queued(*way, *queued)));
            }
            let last = ways.last().copied().context("--ways takes at least one")?;
            runs.extend(soak.map(|jobs| Run::in_flight(last, jobs, SOAK_IN_FLIGHT)));
            run::run(stack, &runs, &ways, &log, keep).await
        }
        Action::Measure { on, jobs, in_flight, queued, stack_pids } => {
            qsketch_runtime::log::start(&on.log);
            let (way, table, queue_url_prefix) = (on.way, on.table, on.queue_url_prefix);
            let load = Load { jobs, in_flight, is_queued: queued, way, table, queue_url_prefix, stack_pids };
            let measured = measure(&load, run::say_done).await?;
            std::fs::write(&on.result, serde_json::to_vec(&measured)?)?;
            // Polls may still be open: nobody needs their answers, and the queues are this run's own.
            std::process::exit(0)
        }
        Action::Agree { on, writes_only } => {
            qsketch_runtime::log::start(&on.log);
            let sdk = qsketch_aws::sdk_config().await;
            let meter = Arc::new(Meter::default());
            let table = Arc::new(DynamoTable::new(&sdk, &on.table).metered(Arc::clone(&meter)));
            let ports = Ports {
                lists: Arc::clone(&table) as _,
                rosters: Arc::clone(&table) as _,
                turns: Arc::clone(&table) as _,
                table,
                queues: Arc::new(SqsQueues::new(&sdk, &queue_prefix(&on.queue_url_prefix, 0))),
                store: Arc::new(S3Store::new(&sdk, "none")),
                clock: Arc::new(SystemClock),
            };
            let told = if writes_only { Told::Writes } else { Told::All };
            let agreement = agree(&ports, Box::new(move || meter.read().into()), on.way, told).await?;
            std::fs::write(&on.result, serde_json::to_vec(&agreement)?)?;
            std::process::exit(0)
        }
        Action::ServeTable { port } => serve_table(port).await,
    }
}

fn render(stack: StackKind) -> Result<()> {
    let docs = root().join("docs");
    let kept = docs.join("benchmarks").join(format!("{}.json", stack.name()));
    let results = std::fs::read(&kept).with_context(|| format!("read {}", kept.display()))?;
    report::write(&docs, &serde_json::from_slice(&results)?)
}

fn count_wide(keep: bool) -> Result<()> {
    let mut costs = Vec::new();
    for (on, declared) in wide::VARIANTS {
        for width in wide::WIDTHS {
            let cost = wide::per_task(on, declared, width)?;
            run::say(&wide::line(on, declared, &cost));
            costs.push((on, declared, cost));
        }
    }
    wide::check(&costs)?;
    kept(keep, "wide", "in memory, and dynoxide 3.2.0 (in memory) with queues in memory", &wide::table(&costs))
}

async fn count_list(keep: bool) -> Result<()> {
    let costs = list::costs(|jobs| run::say(&format!("{jobs} jobs are in the table"))).await?;
    run::say(list::table(&costs).trim_end());
    list::check(&costs)?;
    kept(keep, "list", "dynoxide 3.2.0 (in memory)", &list::table(&costs))
}

/// Writes what was counted into the page on benchmarks, if that was asked for.
fn kept(keep: bool, name: &str, stack: &str, table: &str) -> Result<()> {
    if keep {
        let command = format!("cargo run --release -p qsketch-bench -- {name} --keep");
        let machine = Machine::of_now(&root(), stack, "off");
        report::write_counted(&root().join("docs"), name, &command, &machine, table)?;
        run::say("written: docs/benchmarks.md");
    }
    Ok(())
}

fn count_account(keep: bool) -> Result<()> {
    let counted = account::count(&|ports| ports)?;
    if !keep {
        run::say(counted.to_string().trim_end());
        return Ok(());
    }
    let path = account::path(&root());
    std::fs::write(&path, counted.to_string()).with_context(|| format!("write {}", path.display()))?;
    run::say("written: tests/bench/account.txt");
    Ok(())
}
