//! What attempts did, in files of their own: a line is written before the work and stays whatever dies afterwards.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use qsketch_core::{JobId, TaskId};
use qsketch_runtime::Attempt;

/// An attempt at a task of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tried {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskId,
    /// Its number.
    pub attempt: u32,
}

/// What all processes wrote down.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// When each attempt began its work, in milliseconds since the epoch: more than one where it began more than once.
    pub begun: BTreeMap<Tried, Vec<u64>>,
    /// The digests of what each attempt was about to keep.
    pub wrote: BTreeMap<Tried, Vec<String>>,
}

/// Writes down that an attempt begins.
///
/// # Errors
/// The file can't be written.
pub fn begin(folder: &Path, attempt: &Attempt) -> std::io::Result<()> {
    line(folder, "begin", attempt, &attempt.now().0.to_string())
}

/// Writes down what an attempt is about to keep.
///
/// # Errors
/// The file can't be written.
pub fn wrote(folder: &Path, attempt: &Attempt, digest: &str) -> std::io::Result<()> {
    line(folder, "wrote", attempt, digest)
}

fn line(folder: &Path, kind: &str, attempt: &Attempt, what: &str) -> std::io::Result<()> {
    let file = folder.join(format!("{}.journal", std::process::id()));
    let line = format!("{kind} {} {} {} {what}\n", attempt.job().job_id, attempt.task(), attempt.number());
    // One write: a process that is killed leaves whole lines.
    std::fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

impl Journal {
    /// Reads what all processes wrote down so far.
    ///
    /// # Errors
    /// A line can't be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut journal = Self::default();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "journal") {
                for line in std::fs::read_to_string(&path)?.lines() {
                    journal.take(line).with_context(|| format!("{}: {line}", path.display()))?;
                }
            }
        }
        Ok(journal)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, job, task, attempt, what] = words[..] else { anyhow::bail!("five words make a line") };
        let tried = Tried { job: JobId::try_from(job)?, task: task.parse()?, attempt: attempt.parse()? };
        match kind {
            "begin" => self.begun.entry(tried).or_default().push(what.parse()?),
            _ => self.wrote.entry(tried).or_default().push(what.to_owned()),
        }
        Ok(())
    }
}
