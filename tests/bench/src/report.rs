//! The results as lines, as tables in `docs/benchmarks.md`, and as plots beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::Measured;
use crate::plot;

/// All runs on one stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The stack's name.
    pub stack: String,
    /// What it was measured on.
    pub machine: Machine,
    /// The command that does it again.
    pub command: String,
    /// The runs.
    pub runs: Vec<Measured>,
}

/// One run in one line.
#[must_use]
pub fn line(run: &Measured) -> String {
    format!(
        "{:>6} jobs {:>23}: {:>6.1} jobs/s  p50 {:>7.2} ms  p99 {:>7.2} ms  {:>5.2} CPU s per 1,000 jobs (stack {:>5.2})  peak {:>5.1} MB (stack {:>6.1})  {:.1} calls, {:.1} + {:.1} write units, {:.1} read units a job",
        run.jobs,
        load(run),
        run.jobs_per_second(),
        run.p50_ms,
        run.p99_ms,
        run.per_job(run.cpu_seconds) * 1e3,
        run.per_job(run.stack_cpu_seconds) * 1e3,
        run.peak_mb,
        run.stack_peak_mb,
        run.per_job(run.calls_of("") as f64),
        run.per_job(run.table_write_units as f64),
        run.per_job(run.index_write_units as f64),
        run.per_job(run.read_units as f64),
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
    let mut text = format!(
        "`{}` on {date}, commit {commit}: {processors} × {processor}, {memory_gb} GB, Linux {kernel}, {rustc}; {stack}; log level `{log}`.\n\n",
        results.command
    );
    text.push_str("| load | jobs | jobs/s | p50 ms | p99 ms | CPU s per 1,000 jobs | CPU s of the emulators | peak MB | peak MB of the emulators |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for run in &results.runs {
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} |",
            load(run),
            run.jobs,
            run.jobs_per_second(),
            run.p50_ms,
            run.p99_ms,
            run.per_job(run.cpu_seconds) * 1e3,
            run.per_job(run.stack_cpu_seconds) * 1e3,
            run.peak_mb,
            run.stack_peak_mb,
        );
    }
    let _ = write!(text, "\n![jobs per second and latency](benchmarks/{}.svg)\n\n", results.stack);
    calls(&mut text, results);
    if let Some(longest) = results.runs.iter().filter(|run| !run.is_queued).max_by_key(|run| run.jobs) {
        let memory: Vec<String> = longest.memory_mb.iter().map(|mb| format!("{mb:.1}")).collect();
        let _ = writeln!(text, "\nMemory along the run of {} jobs, in MB: {}.", longest.jobs, memory.join(", "));
    }
    if results.runs.iter().any(|run| !run.waterfall.is_empty()) {
        let _ = write!(text, "\n![the calls of one job](benchmarks/{}-waterfall.svg)\n", results.stack);
    }
    text
}

/// Calls and units per job: a row for each kind, a column for each run.
fn calls(text: &mut String, results: &Results) {
    let heads: Vec<String> = results.runs.iter().map(load).collect();
    let _ = writeln!(text, "| per job | {} |", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "--:|".repeat(heads.len()));
    let mut kinds: BTreeMap<&str, ()> = BTreeMap::new();
    for run in &results.runs {
        kinds.extend(run.tally.calls.keys().map(|kind| (kind.as_str(), ())));
    }
    for kind in kinds.into_keys() {
        let mut cells = results.runs.iter().map(|run| {
            let calls = run.tally.calls.get(kind).copied().unwrap_or_default();
            format!("{:.2}", run.per_job(calls as f64))
        });
        let _ = writeln!(text, "| `{kind}` calls | {} |", cells.by_ref().collect::<Vec<_>>().join(" | "));
    }
    let mut row = |name: &str, cell: &dyn Fn(&Measured) -> String| {
        let cells: Vec<String> = results.runs.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    row("all calls", &|run| format!("{:.1}", run.per_job(run.calls_of("") as f64)));
    row("messages in a batch", &|run| format!("{:.2}", run.batch_factor()));
    row("write units of the table", &|run| format!("{:.2}", run.per_job(run.table_write_units as f64)));
    row("write units of its indexes", &|run| format!("{:.2}", run.per_job(run.index_write_units as f64)));
    row("read units", &|run| format!("{:.2}", run.per_job(run.read_units as f64)));
}

/// What a run was, in a few words.
pub(crate) fn load(run: &Measured) -> String {
    let how = if run.is_crew { ", handed on" } else { "" };
    if run.is_queued { format!("{} queued{how}", run.jobs) } else { format!("{} in flight{how}", run.in_flight) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_between_its_marks_is_replaced() -> Result<()> {
        let page =
            "# A\n<!-- measured: fast -->\nold\n<!-- end: fast -->\n# B\n<!-- measured: x -->\n<!-- end: x -->\n";
        let new = replaced(page, "fast", "new\n")?;
        assert_eq!(new, page.replace("old", "new"));
        assert!(replaced(page, "slow", "new").is_err());
        Ok(())
    }
}
