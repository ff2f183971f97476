//! The results as lines, as tables in `docs/benchmarks.md`, and as plots beside it.

mod findings;
mod tables;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::agree::Agreement;
use crate::machine::Machine;
use crate::measured::{Measured, thousands};
use crate::plot;
use crate::prices::Bill;

pub use findings::{agreement, findings};

/// All runs on one stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The stack's name.
    pub stack: String,
    /// What it was measured on.
    pub machine: Machine,
    /// The command that does it again.
    pub command: String,
    /// How many jobs ran before anything was counted, and how many of them at once.
    pub warm_up: (u32, u32),
    /// The runs.
    pub runs: Vec<Measured>,
    /// Whether the units that the store reports are those that are computed, for each way.
    pub agreements: Vec<Agreement>,
}

impl Results {
    /// The runs with jobs in flight, the first one of each load: the others are repetitions that watch the memory.
    #[must_use]
    pub fn in_flight(&self) -> Vec<&Measured> {
        let mut first: Vec<&Measured> = Vec::new();
        for run in self.runs.iter().filter(|run| !run.is_queued) {
            if !first.iter().any(|known| (known.way, known.in_flight) == (run.way, run.in_flight)) {
                first.push(run);
            }
        }
        first
    }
}

/// One run in one line.
#[must_use]
pub fn line(run: &Measured) -> String {
    let job = run.counted.consumption();
    format!(
        "{:>6} jobs {:>38}: {:>6.1} jobs/s  p50 {:>7.2} ms  p99 {:>7.2} ms  {:>5.2} CPU s per 1,000 jobs (stack {:>5.2})  peak {:>5.1} MB (stack {:>6.1})  {:.1} calls, {:.1} + {:.1} write units, {:.1} read units a job, ${:.2} a million",
        run.counted.jobs,
        run.name(),
        run.jobs_per_second(),
        run.p50_ms,
        run.p99_ms,
        run.per_1000(run.cpu_seconds),
        run.per_1000(run.stack_cpu_seconds),
        run.peak_mb,
        run.stack_peak_mb,
        run.counted.per_job(run.counted.calls()),
        job.table_writes,
        job.index_writes,
        job.reads,
        Bill::of(&job).sum(),
    )
}

/// Writes the plots of a stack, and its tables into its place in `benchmarks.md`; the rest of that page stays as it is.
///
/// # Errors
/// The page has no place for this stack, or can't be written.
pub fn write(docs: &Path, results: &Results) -> Result<()> {
    let folder = docs.join("benchmarks");
    std::fs::write(folder.join(format!("{}.json", results.stack)), serde_json::to_string_pretty(results)? + "\n")?;
    std::fs::write(folder.join(format!("{}.svg", results.stack)), plot::throughput(results)?)?;
    if let Some(run) = results.runs.iter().find(|run| !run.waterfall.is_empty()) {
        std::fs::write(folder.join(format!("{}-waterfall.svg", results.stack)), plot::waterfall(run)?)?;
    }
    let page = docs.join("benchmarks.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    std::fs::write(&page, replaced(&text, &results.stack, &section(results))?)?;
    Ok(())
}

/// Writes what a command counted into its place in `benchmarks.md`.
///
/// # Errors
/// The page has no place for it, or can't be written.
pub fn write_counted(docs: &Path, name: &str, command: &str, machine: &Machine, table: &str) -> Result<()> {
    let Machine { date, commit, processor, processors, stack, .. } = machine;
    let head = format!("`{command}` on {date}, commit {commit}: {processors} × {processor}; {stack}.");
    let page = docs.join("benchmarks.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    std::fs::write(&page, replaced(&text, name, &format!("{head}\n\n{table}"))?)?;
    Ok(())
}

/// The page with the section of this name replaced.
///
/// # Errors
/// It has no such section.
fn replaced(page: &str, name: &str, section: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end: {name} -->"));
    let (before, rest) = page.split_once(&begin).with_context(|| format!("the page has no line {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("the page has no line {end}"))?;
    ensure!(!after.contains(&begin), "the page has two places for {name}");
    Ok(format!("{before}{begin}{section}{end}{after}"))
}

fn section(results: &Results) -> String {
    let Machine { date, commit, processor, processors, memory_gb, kernel, rustc, stack, log } = &results.machine;
    let (warm, at_once) = results.warm_up;
    let mut parts = vec![
        format!(
            "`{}` on {date}, commit {commit}: {processors} × {processor}, {memory_gb} GB, Linux {kernel}, {rustc}; {stack}; log level `{log}`.\nEach way ran on emulators of its own; before anything was counted, {} jobs at {at_once} in flight warmed them up.",
            results.command,
            thousands(warm as usize),
        ),
        tables::goals(results),
        tables::times(results),
        format!("![jobs per second and latency](benchmarks/{}.svg)", results.stack),
        tables::calls(results),
        tables::dollars(results),
        tables::kinds(results),
    ];
    parts.extend(results.agreements.iter().map(agreement));
    parts.extend(findings(results));
    if let Some(run) = results.runs.iter().find(|run| !run.waterfall.is_empty()) {
        let load = run.name();
        parts.push(format!("The calls of one job ({load}), the one with the median time:"));
        parts.push(format!("![the calls of one job](benchmarks/{}-waterfall.svg)", results.stack));
    }
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
}

#[cfg(test)]
mod tests;
