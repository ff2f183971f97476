//! What was tried: the same jobs on the tree of this commit with one thing changed, a patch for each.
//!
//! Each patch in `tests/bench/tried` begins with a line of words. It is applied to a worktree of its own, and built there.
//! Then all that was built runs on one stack, in turn and several times over, so that what the machine does meanwhile
//! meets all of them. A patch that no longer applies is named, and left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use qsketch_bench::measured::Measured;
use qsketch_bench::stack::{Stack, StackKind};
use qsketch_bench::way::Way;

use crate::run::{Run, measured, say};

/// How many jobs with one in flight.
const ALONE: u32 = 500;

/// How many jobs with many in flight, and how many that is.
const MANY: (u32, u32) = (2_000, 64);

/// How often each program runs; the medians are told.
const ROUNDS: usize = 5;

/// What the tree as it is is called.
const AS_IT_IS: &str = "as it is";

/// What the programs log.
const LOG: &str = "info";

/// A program to be measured.
struct Candidate {
    what: String,
    program: PathBuf,
    alone: Vec<Measured>,
    many: Vec<Measured>,
}

/// Measures the tree as it is and with each patch; a Markdown table.
///
/// # Errors
/// The tree can't be built, or a run breaks off.
pub(crate) async fn table(root: &Path) -> Result<String> {
    let mut candidates = build(root)?;
    let stack = Stack::start(StackKind::Fast, root).await?;
    let (jobs, in_flight) = StackKind::Fast.warm_up();
    let warm_up = Run::in_flight(Way::Queues, jobs, in_flight);
    measured(&stack, &candidates[0].program, warm_up, "warm-up", LOG).await?;
    let (alone, many) = (Run::in_flight(Way::Queues, ALONE, 1), Run::in_flight(Way::Queues, MANY.0, MANY.1));
    for round in 1..=ROUNDS {
        for (index, candidate) in candidates.iter_mut().enumerate() {
            say(&format!("round {round} of {ROUNDS}: {}", candidate.what));
            let name = |load: &str| format!("tried{index}-{round}-{load}");
            candidate.alone.push(measured(&stack, &candidate.program, alone, &name("alone"), LOG).await?);
            candidate.many.push(measured(&stack, &candidate.program, many, &name("many"), LOG).await?);
        }
    }
    Ok(markdown(&candidates))
}

/// Builds the tree as it is and with each patch.
fn build(root: &Path) -> Result<Vec<Candidate>> {
    let tree = Tree::new(root)?;
    let folder = root.join("tests/bench/tried");
    let mut patches: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    patches.sort();
    let mut candidates = vec![tree.build(AS_IT_IS, 0)?];
    for patch in &patches {
        let text = std::fs::read_to_string(patch)?;
        let words = text.lines().next().unwrap_or_default();
        let place = patch.canonicalize()?;
        if !git(&tree.folder, &["apply", &place.to_string_lossy()])?.status.success() {
            say(&format!("{} does not apply any more: left out", patch.display()));
            continue;
        }
        candidates.push(tree.build(words, candidates.len())?);
        said(git(&tree.folder, &["checkout", "--quiet", "--", "."])?)?;
    }
    Ok(candidates)
}

fn markdown(candidates: &[Candidate]) -> String {
    let mut text = format!(
        "| the medians of {ROUNDS} rounds | jobs/s, {} in flight | CPU s per 1,000 jobs | calls a job | p50 ms, 1 in flight | calls a job |\n\
         |---|--:|--:|--:|--:|--:|\n",
        MANY.1,
    );
    for Candidate { what, alone, many, .. } in candidates {
        let calls = |run: &Measured| run.counted.per_job(run.counted.calls());
        text.push_str(&format!(
            "| {what} | {:.0} | {:.2} | {:.1} | {:.1} | {:.1} |\n",
            median(many, Measured::jobs_per_second),
            median(many, |run| run.per_1000(run.cpu_seconds)),
            median(many, calls),
            median(alone, |run| run.p50_ms),
            median(alone, calls),
        ));
    }
    text
}

fn median(runs: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut all: Vec<f64> = runs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A worktree with a target folder of its own; it is removed with this value.
struct Tree {
    root: PathBuf,
    target: PathBuf,
    folder: PathBuf,
}

impl Tree {
    fn new(root: &Path) -> Result<Self> {
        let root = root.canonicalize()?;
        let target = root.join("target/tried");
        let folder = target.join("tree");
        std::fs::create_dir_all(&target)?;
        let place = folder.to_string_lossy();
        git(&root, &["worktree", "remove", "--force", &place])?;
        said(git(&root, &["worktree", "add", "--force", "--quiet", "--detach", &place, "HEAD"])?)?;
        Ok(Self { root, target, folder })
    }

    fn build(&self, what: &str, number: usize) -> Result<Candidate> {
        say(&format!("{what}: the release build, without link-time optimisation"));
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "--release", "--locked", "-p", "qsketch-bench"]).current_dir(&self.folder);
        build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_TARGET_DIR", &self.target);
        ensure!(build.status()?.success(), "{what}: it can't be built");
        let program = self.target.join(format!("qsketch-bench-{number}"));
        std::fs::copy(self.target.join("release/qsketch-bench"), &program)?;
        Ok(Candidate { what: what.to_owned(), program, alone: Vec::new(), many: Vec::new() })
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What can't be removed here is removed by the next one.
        let _ = git(&self.root, &["worktree", "remove", "--force", &self.folder.to_string_lossy()]);
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Command::new("git").args(arguments).current_dir(folder).output().context("git can't be started")
}

fn said(output: Output) -> Result<()> {
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
