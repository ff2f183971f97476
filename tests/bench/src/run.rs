//! All runs on one stack: each in a process of its own, so that memory and processor time are its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use qsketch_bench::agree::{self, Agreement, Told};
use qsketch_bench::machine::Machine;
use qsketch_bench::measure::sets;
use qsketch_bench::measured::Measured;
use qsketch_bench::report::{self, Results};
use qsketch_bench::stack::{Stack, StackKind, root};
use qsketch_bench::way::Way;

/// The most jobs that are queued at a time, and the most times.
const QUEUED_MAX: (u32, u32) = (100_000, 1_000);

/// How many lines of a child's log are shown when it breaks off.
const LOG_LINES: usize = 5;

/// After how many jobs a child says how far it is.
const SAY_EVERY: usize = 10;

/// One run.
#[derive(Clone, Copy)]
pub struct Run {
    way: Way,
    jobs: u32,
    in_flight: u32,
    is_queued: bool,
}

impl Run {
    /// So many jobs, so many of them at once.
    pub const fn in_flight(way: Way, jobs: u32, in_flight: u32) -> Self {
        Self { way, jobs, in_flight, is_queued: false }
    }

    /// Jobs that are queued before any worker starts.
    pub const fn queued(way: Way, queued: Queued) -> Self {
        Self { way, jobs: queued.jobs * queued.times, in_flight: queued.jobs, is_queued: true }
    }

    /// How many sets of queues it needs.
    const fn sets(self) -> usize {
        if self.is_queued { sets(self.jobs as usize, self.in_flight as usize) } else { 1 }
    }
}

/// So many jobs queued, so many times: `10000` or `100x20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    jobs: u32,
    times: u32,
}

impl FromStr for Queued {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (jobs, times) = text.split_once('x').unwrap_or((text, "1"));
        let (jobs, times): (u32, u32) = (jobs.parse()?, times.parse()?);
        let (jobs_max, times_max) = QUEUED_MAX;
        let is_fine = (1..=jobs_max).contains(&jobs) && (1..=times_max).contains(&times) && jobs * times <= jobs_max;
        ensure!(is_fine, "1 to {jobs_max} jobs in all, 1 to {times_max} times");
        Ok(Self { jobs, times })
    }
}

/// The parent reads it for the progress bar.
#[allow(clippy::print_stdout)]
pub fn say_done(done: usize) {
    if done.is_multiple_of(SAY_EVERY) {
        println!("{done}");
    }
}

#[allow(clippy::print_stdout)]
pub fn say(line: &str) {
    println!("{line}");
}

/// Runs them all, those of each way on a stack of its own, after what warms it up; with `keep`, the results go into docs.
pub async fn run(kind: StackKind, runs: &[Run], ways: &[Way], log: &str, keep: bool) -> Result<()> {
    let own = std::env::current_exe()?;
    let (jobs, in_flight) = kind.warm_up();
    let mut results = Results {
        stack: kind.name().to_owned(),
        machine: Machine::of_now(&root(), kind.about(), log),
        command: kind.command().to_owned(),
        warm_up: kind.warm_up(),
        runs: Vec::new(),
        agreements: Vec::new(),
    };
    for way in ways {
        let stack = Stack::start(kind, &root()).await?;
        measured(&stack, &own, Run::in_flight(Way::Queues, jobs, in_flight), "warm-up", log).await?;
        for (index, run) in runs.iter().filter(|run| run.way == *way).enumerate() {
            let measured = measured(&stack, &own, *run, &format!("run{index}"), log).await?;
            say(&report::line(&measured));
            results.runs.push(measured);
        }
        let agreement = agreed(&stack, kind, *way, log).await?;
        say(&report::agreement(&agreement));
        agreement.check()?;
        results.agreements.push(agreement);
    }
    for line in report::findings(&results) {
        say(&line);
    }
    if keep {
        let docs = root().join("docs");
        std::fs::create_dir_all(docs.join("benchmarks"))?;
        report::write(&docs, &results)?;
        say(&format!("written: docs/benchmarks/{0}.json, docs/benchmarks/{0}.svg, docs/benchmarks.md", kind.name()));
    }
    Ok(())
}

/// What one run measures in a process of this program.
pub async fn measured(stack: &Stack, program: &Path, run: Run, name: &str, log: &str) -> Result<Measured> {
    let prefix = stack.prepare(name, run.sets()).await?;
    let pids: Vec<String> = stack.pids().iter().map(ToString::to_string).collect();
    let mut arguments = vec!["measure".to_owned(), "--way".to_owned(), run.way.id().to_owned()];
    arguments.extend(["--jobs".to_owned(), run.jobs.to_string(), "--in-flight".to_owned(), run.in_flight.to_string()]);
    arguments.extend(run.is_queued.then(|| "--queued".to_owned()));
    arguments.extend(["--stack-pids".to_owned(), pids.join(",")]);
    arguments.extend(["--table", name, "--queue-url-prefix", &prefix, "--log", log].map(str::to_owned));
    let load = if run.is_queued { format!("{} queued", run.in_flight) } else { format!("{} in flight", run.in_flight) };
    let result = child(stack, program, &arguments, &format!("{load}, {}", run.way.name()), run.jobs).await?;
    Ok(serde_json::from_slice(&result)?)
}

async fn agreed(stack: &Stack, kind: StackKind, way: Way, log: &str) -> Result<Agreement> {
    let name = format!("units-{}", way.id());
    let prefix = stack.prepare(&name, 1).await?;
    let mut arguments = vec!["agree".to_owned(), "--way".to_owned(), way.id().to_owned()];
    arguments.extend((kind.told() == Told::Writes).then(|| "--writes-only".to_owned()));
    arguments.extend(["--table", &name, "--queue-url-prefix", &prefix, "--log", log].map(str::to_owned));
    let (own, what) = (std::env::current_exe()?, format!("units, {}", way.name()));
    let result = child(stack, &own, &arguments, &what, u32::try_from(agree::JOBS)?).await?;
    Ok(serde_json::from_slice(&result)?)
}

/// What a child writes as its result.
async fn child(stack: &Stack, program: &Path, arguments: &[String], what: &str, jobs: u32) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let (result, log) = (folder.path().join("result.json"), folder.path().join("log"));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg("--result")
        .arg(&result)
        .envs(stack.environment())
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_PROFILE")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log)?);
    let bar = ProgressBar::new(u64::from(jobs));
    bar.set_style(ProgressStyle::with_template("{prefix:>38} {wide_bar} {pos}/{len} jobs, {eta} left")?);
    bar.set_prefix(what.to_owned());
    let mut child = command.spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let shown = bar.clone();
    let follow = move || {
        lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).for_each(|done| shown.set_position(done))
    };
    tokio::task::spawn_blocking(follow).await?;
    let code = child.wait()?;
    bar.finish_and_clear();
    if !code.success() {
        bail!("the run broke off ({code}):\n{}", last_lines(&log));
    }
    Ok(std::fs::read(&result)?)
}

fn last_lines(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(LOG_LINES).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_jobs_are_a_number_or_a_number_of_times_and_bounded() -> Result<()> {
        assert_eq!("10000".parse::<Queued>()?, Queued { jobs: 10_000, times: 1 });
        assert_eq!("100x20".parse::<Queued>()?, Queued { jobs: 100, times: 20 });
        for wrong in ["", "x", "0", "100x0", "100x", "100001", "100x1001", "1001x100", "4000000000x2"] {
            assert!(wrong.parse::<Queued>().is_err(), "{wrong}");
        }
        Ok(())
    }
}
