//! What was tried: the same jobs on the tree of this commit with one thing changed, a patch for each.
//!
//! Each patch in `tests/bench/tried` begins with a line of words. It is applied to a worktree of its own, which is built
//! and measured there. A patch that no longer applies is named, and left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use qsketch_bench::measured::Measured;
use qsketch_bench::report::Results;
use qsketch_bench::stack::StackKind;

use crate::run::say;

/// What is measured with each patch: the run with one job in flight, and one with many.
const LOADS: [&str; 4] = ["--jobs", "500,2000", "--in-flight", "1,64"];

/// The tree as it is comes first, and last again: what lies between the two is noise.
const AS_IT_IS: &str = "as it is";

/// One row of the table.
struct Row {
    what: String,
    alone: Measured,
    many: Measured,
}

/// Measures the tree as it is and with each patch; a Markdown table.
///
/// # Errors
/// The tree can't be built, or a run breaks off.
pub(crate) fn table(root: &Path) -> Result<String> {
    let tree = Tree::new(root)?;
    let folder = root.join("tests/bench/tried");
    let mut patches: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    patches.sort();
    let mut rows = vec![tree.measure(AS_IT_IS)?];
    for patch in &patches {
        let text = std::fs::read_to_string(patch)?;
        let words = text.lines().next().unwrap_or_default();
        let patch = patch.to_str().context("a path that is no text")?;
        if !git(&tree.folder, &["apply", patch])?.status.success() {
            say(&format!("{patch} does not apply any more: left out"));
            continue;
        }
        rows.push(tree.measure(words)?);
        said(git(&tree.folder, &["checkout", "--quiet", "--", "."])?)?;
    }
    rows.push(tree.measure(AS_IT_IS)?);
    Ok(markdown(&rows))
}

fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | jobs/s, 64 in flight | CPU s per 1,000 jobs | calls a job | p50 ms, 1 in flight | calls a job |\n|---|--:|--:|--:|--:|--:|\n",
    );
    for Row { what, alone, many } in rows {
        let calls = |run: &Measured| run.counted.per_job(run.counted.calls());
        text.push_str(&format!(
            "| {what} | {:.0} | {:.2} | {:.1} | {:.1} | {:.1} |\n",
            many.jobs_per_second(),
            many.per_1000(many.cpu_seconds),
            calls(many),
            alone.p50_ms,
            calls(alone),
        ));
    }
    text
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
        let place = folder.to_str().context("a path that is no text")?;
        git(&root, &["worktree", "remove", "--force", place])?;
        said(git(&root, &["worktree", "add", "--force", "--quiet", "--detach", place, "HEAD"])?)?;
        // The emulators are installed once, here.
        std::os::unix::fs::symlink(root.join(".local"), folder.join(".local"))?;
        Ok(Self { root, target, folder })
    }

    fn measure(&self, what: &str) -> Result<Row> {
        say(&format!("{what}: the release build, without link-time optimisation"));
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "--release", "--locked", "-p", "qsketch-bench"]).current_dir(&self.folder);
        build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_TARGET_DIR", &self.target);
        ensure!(build.status()?.success(), "{what}: it can't be built");
        let mut run = Command::new(self.target.join("release/qsketch-bench"));
        run.args(["run", "--stack", StackKind::Fast.name(), "--keep"]).args(LOADS).current_dir(&self.folder);
        ensure!(run.status()?.success(), "{what}: its run broke off");
        let kept = self.folder.join("docs/benchmarks").join(format!("{}.json", StackKind::Fast.name()));
        let results: Results = serde_json::from_slice(&std::fs::read(kept)?)?;
        said(git(&self.folder, &["checkout", "--quiet", "--", "docs"])?)?;
        match <[Measured; 2]>::try_from(results.runs) {
            Ok([alone, many]) => Ok(Row { what: what.to_owned(), alone, many }),
            Err(runs) => bail!("{what}: {} runs came back, not two", runs.len()),
        }
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
