//! The work of the steps: short, and real. A tool in a process group of its own, a scratch file, an upload.

use core::time::Duration;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::digest::sha256;
use qsketch_core::{Failure, StepName, TaskId};
use qsketch_runtime::process::{Keep, Tool, ToolError};
use qsketch_runtime::{Attempt, Handler};

use crate::graph::{CHECK, JOIN, MAKE, PLAN, Plan, width};
use crate::journal;

/// The file that every attempt keeps.
pub const OUTPUT: &str = "out.txt";

/// What [`OUTPUT`] has at most, in bytes.
pub const OUTPUT_BYTES_MAX: u64 = 64 * 1_024;

/// The variable by which the worker's own program eats memory until it is killed.
pub const EAT_VARIABLE: &str = "CHAOS_EAT";

/// The error type of a failure for good that is planned.
pub const PLANNED_FINAL: &str = "PlannedFinal";

/// The error type of a failure that is planned for every attempt.
pub const PLANNED: &str = "Planned";

/// In how many attempts a tool eats memory.
const EATS: u32 = 2;

/// How long a check takes.
const CHECK_TAKES: Duration = Duration::from_millis(50);

/// What a tool does: a child of its own, half a second, a file.
const SCRIPT: &str = r#"sleep "$1" & wait "$!"; { cat; head -c 2000 /dev/zero | tr '\0' .; echo; } > out.txt"#;

/// A step of this deployment.
pub struct Step {
    /// Where its attempts write down what they do.
    pub journal: PathBuf,
    /// The worker's own program.
    pub program: PathBuf,
}

#[async_trait]
impl Handler for Step {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let unwritten = |error: std::io::Error| Failure::retry("NoJournal", error);
        journal::begin(&self.journal, attempt).map_err(unwritten)?;
        let nonce = attempt.ports().clock.nonce();
        let job = attempt.job().job_id.as_str();
        match attempt.task().step().as_str() {
            PLAN => {
                self.keep(attempt, format!("{nonce}\n")).await?;
                Ok(Output { width: Some(width(job)), result: None })
            }
            CHECK => {
                tokio::time::sleep(CHECK_TAKES).await;
                Ok(Output::default())
            }
            MAKE => {
                let plan = if attempt.index() == Some(0) { Plan::of(job) } else { Plan::Plain };
                let text = format!("{nonce}\n{}", seen(attempt, &TaskId::only(name(PLAN)?)).await?);
                self.make(attempt, plan, text).await?;
                Ok(Output::default())
            }
            JOIN => {
                let mut text = format!("{nonce}\n");
                for (task, _) in attempt.records_of(&name(MAKE)?).await? {
                    text.push_str(&seen(attempt, &task).await?);
                }
                let key = self.keep(attempt, text).await?;
                Ok(Output { width: None, result: Some(key) })
            }
            other => Err(Failure::fail("NoStep", format!("step {other} is not known"))),
        }
    }
}

impl Step {
    async fn make(&self, attempt: &Attempt, plan: Plan, text: String) -> Result<(), Failure> {
        let takes = match plan {
            Plan::Final => return Err(Failure::fail(PLANNED_FINAL, "it is planned that this fails for good")),
            Plan::Weary => return Err(Failure::retry(PLANNED, "it is planned that this fails every time")),
            Plan::Eats if attempt.number() <= EATS => return self.eat(attempt).await,
            Plan::Long if attempt.number() == 1 => 6.0,
            Plan::Held if attempt.number() == 1 => 3_600.0,
            _ => 0.3,
        };
        let folder = attempt.scratch().await?;
        let tool = Tool::new("/bin/sh").args(["-c", SCRIPT, "make"]).arg(takes.to_string());
        let run = tool.in_folder(folder).input(text).run(attempt.announcer(), attempt.log(), |_| Keep::Yes);
        let ended = run.await.map_err(no_tool)?;
        if !ended.is_success() {
            return Err(Failure::retry("ToolFailed", format!("the tool: {ended}: {}", ended.last_words)));
        }
        self.upload(attempt, &folder.join(OUTPUT)).await
    }

    /// A tool that eats memory until it is killed: that is a failure like any other.
    async fn eat(&self, attempt: &Attempt) -> Result<(), Failure> {
        let tool = Tool::new(&self.program).env(EAT_VARIABLE, "1");
        let ended = tool.run(attempt.announcer(), attempt.log(), |_| Keep::Yes).await.map_err(no_tool)?;
        Err(Failure::retry("ToolKilled", format!("the tool ate memory: {ended}")))
    }

    async fn keep(&self, attempt: &Attempt, text: String) -> Result<String, Failure> {
        let failed = |error: std::io::Error| Failure::retry("NoJournal", error);
        journal::wrote(&self.journal, attempt, &sha256(text.as_bytes())).map_err(failed)?;
        attempt.put(OUTPUT, text.into_bytes(), "text/plain").await
    }

    async fn upload(&self, attempt: &Attempt, file: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::retry("NoFile", error);
        let bytes = tokio::fs::read(file).await.map_err(failed)?;
        journal::wrote(&self.journal, attempt, &sha256(&bytes)).map_err(failed)?;
        attempt.upload(OUTPUT, file, "text/plain").await.map(drop)
    }
}

/// A line that tells what an attempt has seen of an earlier task: its record's attempt, and the nonce of its output.
async fn seen(attempt: &Attempt, task: &TaskId) -> Result<String, Failure> {
    let record = attempt.record_of(task).await?;
    let output = attempt.get(task, OUTPUT, OUTPUT_BYTES_MAX).await?;
    Ok(format!("in {task} {} {}\n", record.attempt, nonce_of(&output)))
}

/// The nonce of an output: its first line.
#[must_use]
pub fn nonce_of(output: &[u8]) -> String {
    String::from_utf8_lossy(output).lines().next().unwrap_or_default().to_owned()
}

fn name(step: &str) -> Result<StepName, Failure> {
    StepName::try_from(step).map_err(|error| Failure::fail("NoStep", error))
}

#[allow(clippy::needless_pass_by_value)]
fn no_tool(error: ToolError) -> Failure {
    Failure::retry("NoTool", error)
}
