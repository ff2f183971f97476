//! A local stack of a test's own, and what the tests do with it.
//!
//! Every stack has a name of its own, so that tests run side by side; it ends with the test.

pub mod media;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The longest wait for anything on the local stack: a job with a crash in it takes a minute or two on two busy cores.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// The root of the working tree.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of the built binaries.
///
/// # Errors
/// When this test's own place can't be told.
pub fn binaries() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).context("a test stands in target/PROFILE/deps")?;
    ensure!(folder.join("intake").exists(), "the binaries are not built: run make test, or cargo build --bins");
    Ok(folder.to_owned())
}

/// A local stack that ends with this value.
pub struct Stack {
    /// Its name.
    pub name: String,
    env: BTreeMap<String, String>,
}

impl Stack {
    /// Brings a stack up whose name begins with `prefix`.
    ///
    /// # Errors
    /// When it does not come up; with the scripts' words.
    pub fn up(prefix: &str) -> Result<Self> {
        Self::up_with(prefix, &[])
    }

    /// The same, with these settings in the environment of the deployment.
    ///
    /// # Errors
    /// When it does not come up; with the scripts' words.
    pub fn up_with(prefix: &str, settings: &[(&str, &str)]) -> Result<Self> {
        binaries()?;
        let mut stack = Self { name: format!("{prefix}{}", std::process::id()), env: BTreeMap::new() };
        let output = stack.command("up", &["--no-build"]).envs(settings.iter().copied()).output()?;
        ensure!(output.status.success(), "the stack did not come up: {}", text(&output));
        stack.env = stack.read_env()?;
        Ok(stack)
    }

    /// The stack's folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        root().join(".local").join(&self.name)
    }

    /// A setting of the stack.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn setting(&self, name: &str) -> Result<&str> {
        self.env.get(name).map(String::as_str).with_context(|| format!("the stack's env has no {name}"))
    }

    /// All settings of the stack.
    #[must_use]
    pub const fn settings(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Runs a script of `infra/` on this stack.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn script(&self, name: &str, arguments: &[&str]) -> Result<Output> {
        self.command(name, arguments).output().with_context(|| format!("infra/{name} can't be started"))
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(root().join("infra").join(name));
        command.args(["--stack", &self.name]).args(arguments).env("PROFILE", "dev");
        command
    }

    /// Runs lines of shell as a person would, in the root of the tree.
    ///
    /// # Errors
    /// When they fail; with what they printed.
    pub fn shell(&self, lines: &str) -> Result<String> {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", lines])
            .current_dir(root())
            .env("STACK", &self.name)
            .env("AWS_PAGER", "")
            .output()?;
        ensure!(output.status.success(), "these lines failed:\n{lines}\n{}", text(&output));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The `qsketch` command on this stack.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn qsketch(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binaries()?.join("qsketch"));
        command.args(arguments).envs(&self.env);
        Ok(command)
    }

    /// What the `qsketch` command prints as JSON.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.qsketch(arguments)?.output()?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("qsketch {arguments:?}: {}", text(&output)))
    }

    /// Sends a submission, as it is, by hand.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub fn send(&self, body: &str) -> Result<String> {
        let answer = self.aws(&[
            "sqs",
            "send-message",
            "--queue-url",
            self.setting("QSKETCH_INTAKE_QUEUE_URL")?,
            "--message-body",
            body,
        ])?;
        Ok(answer["MessageId"].as_str().context("no message id")?.to_owned())
    }

    /// The `aws` command on this stack.
    ///
    /// # Errors
    /// When it fails; with its words.
    pub fn aws(&self, arguments: &[&str]) -> Result<Value> {
        let aws = root().join(".local/_venv/ministack/bin/aws");
        let output = Command::new(aws)
            .args(["--endpoint-url", self.setting("AWS_ENDPOINT_URL")?, "--output", "json"])
            .args(arguments)
            .envs(&self.env)
            .env("AWS_PAGER", "")
            .output()?;
        ensure!(output.status.success(), "aws {arguments:?}: {}", text(&output));
        if output.stdout.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&output.stdout)?) }
    }

    /// The part `job` as `aws dynamodb get-item` shows it; null while it is not there.
    ///
    /// # Errors
    /// When the table does not answer.
    pub fn job(&self, id: &str) -> Result<Value> {
        let key = serde_json::json!({"job_id": {"S": id}, "part": {"S": "job"}}).to_string();
        let answer = self.aws(&[
            "dynamodb",
            "get-item",
            "--consistent-read",
            "--table-name",
            self.setting("QSKETCH_TABLE")?,
            "--key",
            &key,
        ])?;
        Ok(answer.get("Item").cloned().unwrap_or(Value::Null))
    }

    /// Waits until a job has this status.
    ///
    /// # Errors
    /// When it closes otherwise, or does not get there in [`WAIT_MAX`].
    pub fn wait_for_status(&self, id: &str, status: &str) -> Result<Value> {
        wait_for(&format!("job {id} to be {status}"), || {
            let job = self.job(id)?;
            match job["status"]["S"].as_str() {
                Some(now) if now == status => Ok(Some(job)),
                None | Some("RUNNING") => Ok(None),
                Some(other) => bail!("job {id} is {other}: {job}"),
            }
        })
    }

    /// Receives messages of a queue until there are `count`, and then looks once more for any that should not be there.
    ///
    /// # Errors
    /// When they do not come.
    pub fn receive(&self, queue: &str, count: usize) -> Result<Vec<Value>> {
        let url = format!("{}{queue}", self.setting("QSKETCH_QUEUE_URL_PREFIX")?);
        let mut found = Vec::new();
        let poll = |found: &mut Vec<Value>| -> Result<usize> {
            let answer = self.aws(&[
                "sqs",
                "receive-message",
                "--queue-url",
                &url,
                "--max-number-of-messages",
                "10",
                "--wait-time-seconds",
                "1",
                "--visibility-timeout",
                "3600",
                "--message-attribute-names",
                "All",
            ])?;
            let messages = answer.get("Messages").and_then(Value::as_array).cloned().unwrap_or_default();
            found.extend(messages.iter().cloned());
            Ok(messages.len())
        };
        wait_for(&format!("{count} messages in queue {queue}"), || {
            poll(&mut found)?;
            Ok((found.len() >= count).then_some(()))
        })?;
        poll(&mut found)?;
        Ok(found)
    }

    fn read_env(&self) -> Result<BTreeMap<String, String>> {
        let lines = format!(". '{}' && env -0", self.folder().join("env").display());
        let output = Command::new("bash").args(["-c", &lines]).output()?;
        let all = String::from_utf8(output.stdout)?;
        Ok(all.split('\0').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let ended = self.script("down", &[]);
        let is_down = ended.as_ref().is_ok_and(|output| output.status.success());
        if is_down && !std::thread::panicking() {
            // The logs of a failed test stay for whoever looks for the reason.
            let _ = std::fs::remove_dir_all(self.folder());
        }
    }
}

/// Looks until there is something to see.
///
/// # Errors
/// What the look returns, or that nothing was seen in [`WAIT_MAX`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    while began.elapsed() < WAIT_MAX {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        pause();
    }
    bail!("waited {} s in vain for {what}", WAIT_MAX.as_secs())
}

#[allow(clippy::disallowed_methods)] // It stands between two looks at a condition.
fn pause() {
    std::thread::sleep(LOOK);
}

/// What a command printed, for an error.
#[must_use]
pub fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}

/// The lines of shell in the README behind `<!-- test: NAME -->`.
///
/// # Errors
/// When the README has no such block.
pub fn readme(name: &str) -> Result<String> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let after = readme
        .split_once(&format!("<!-- test: {name} -->\n```sh\n"))
        .with_context(|| format!("the README has no block {name:?}"))?;
    Ok(after.1.split_once("```").context("the block has no end")?.0.to_owned())
}
