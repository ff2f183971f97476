//! Tools as child processes: each in a process group of its own, announced, bounded, and ended as a whole.

use std::collections::VecDeque;
use std::io;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::ports::{PortError, PortErrorKind};

/// The longest line of a tool's output that is handed on whole, in bytes.
pub const LINE_BYTES_MAX: u64 = 64 * 1_024;

/// How much of the beginning, and how much of the end, of a log is kept, in bytes.
pub const LOG_HALF_BYTES_MAX: usize = 128 * 1_024;

/// Why a tool could not be run.
#[derive(Debug, Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("{} can't be started: is it installed?", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its input or output broke.
    #[error("talking to {} failed", program.display())]
    Talk {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Tells the parent of this process which process groups there are, so that it can end them after a crash.
#[derive(Clone, Debug, Default)]
pub struct Announcer(Option<Arc<Mutex<UnixStream>>>);

impl Announcer {
    /// An announcer on the pipe to the parent.
    #[must_use]
    pub fn new(pipe: UnixStream) -> Self {
        Self(Some(Arc::new(Mutex::new(pipe))))
    }

    fn say(&self, sign: char, group: Pid) {
        let Some(pipe) = &self.0 else { return };
        let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(pipe, "{sign}{group}") {
            tracing::warn!(%error, %group, "the parent could not be told of a process group");
        }
    }
}

/// A process group that ends, all of it, when this is dropped.
struct Group {
    id: Pid,
    announcer: Announcer,
}

impl Drop for Group {
    fn drop(&mut self) {
        // No such group is the good case: everybody is gone already.
        let _ = killpg(self.id, Signal::SIGKILL);
        self.announcer.say('-', self.id);
    }
}

/// A tool to run.
#[derive(Clone, Debug)]
pub struct Tool {
    program: PathBuf,
    arguments: Vec<std::ffi::OsString>,
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
    input: Vec<u8>,
}

/// How a tool ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The last lines that it wrote to standard error.
    pub last_words: String,
}

impl Ended {
    /// Whether it says that it succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl core::fmt::Display for Ended {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "ended by signal {signal}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

impl Tool {
    /// A run of this program, with an empty environment but `PATH`, `HOME` and `LANG`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let environment = vec![
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        Self { program: program.into(), arguments: Vec::new(), environment, folder: None, input: Vec::new() }
    }

    /// The same run with one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<std::ffi::OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same run with more arguments.
    #[must_use]
    pub fn args<A: Into<std::ffi::OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same run with a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same run in this folder, which is also its home.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self.env("HOME", &folder.to_string_lossy())
    }

    /// The same run with this on its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it to its end. `on_line` gets each line of its standard output; both outputs go into `log`.
    ///
    /// Dropping the future ends the whole process group at once.
    ///
    /// # Errors
    /// [`ToolError`]; a tool that ran and failed is no error here, see [`Ended`].
    pub async fn run(
        self,
        announcer: &Announcer,
        log: &ToolLog,
        mut on_line: impl FnMut(&str) + Send,
    ) -> Result<Ended, ToolError> {
        let start = |source| ToolError::Start { program: self.program.clone(), source };
        let talk = |source| ToolError::Talk { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        log.line(&format!("$ {} {}", self.program.display(), self.shown_arguments()));
        let mut child = command.spawn().map_err(start)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let _group = id.map(|id| {
            let group = Group { id: Pid::from_raw(id), announcer: announcer.clone() };
            announcer.say('+', group.id);
            group
        });
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(pipe) = stdin.as_mut() {
                // A tool that ends without reading its input says why by its exit code.
                let _ = pipe.write_all(&self.input).await;
            }
            drop(stdin.take());
        };
        let read_out = each_line(stdout, |line| {
            log.line(line);
            on_line(line);
        });
        let read_err = each_line(stderr, |line| log.error_line(line));
        let ((), out, err, status) = tokio::join!(feed, read_out, read_err, child.wait());
        out.and(err).map_err(talk)?;
        let status = status.map_err(talk)?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let ended = Ended { code: status.code(), signal, last_words: log.last_words() };
        log.line(&format!("= {ended}"));
        Ok(ended)
    }

    fn shown_arguments(&self) -> String {
        self.arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

async fn each_line(pipe: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&str)) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        take(String::from_utf8_lossy(&line).trim_end());
    }
}

/// What the tools of one attempt wrote: the beginning and the end of it, bounded.
#[derive(Debug, Default)]
pub struct ToolLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    dropped: usize,
    errors: VecDeque<String>,
}

/// How many lines of standard error are told as last words.
const LAST_WORDS_MAX: usize = 12;

impl ToolLog {
    /// Adds a line.
    pub fn line(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn error_line(&self, line: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(line);
        if !line.trim().is_empty() {
            kept.errors.push_back(line.to_owned());
            if kept.errors.len() > LAST_WORDS_MAX {
                kept.errors.pop_front();
            }
        }
    }

    fn last_words(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.errors.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// The log as text; empty when nothing was written.
    #[must_use]
    pub fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = kept.head.clone();
        if kept.dropped > 0 {
            text.push_str(&format!("… {} bytes left out …\n", kept.dropped));
        }
        for line in &kept.tail {
            text.push_str(line);
        }
        text
    }
}

impl Kept {
    fn push(&mut self, line: &str) {
        let line = format!("{line}\n");
        if self.tail.is_empty() && self.head.len() + line.len() <= LOG_HALF_BYTES_MAX {
            self.head.push_str(&line);
            return;
        }
        self.tail_bytes += line.len();
        self.tail.push_back(line);
        while self.tail_bytes > LOG_HALF_BYTES_MAX {
            let Some(first) = self.tail.pop_front() else { break };
            self.tail_bytes -= first.len();
            self.dropped += first.len();
        }
    }
}

/// Finds a tool and asks it for its version: for a service's start and for `qsketch doctor`.
///
/// # Errors
/// [`PortErrorKind::Missing`] when it can't be started or answers with an error.
pub async fn version_of(program: &Path, argument: &str) -> Result<String, PortError> {
    let missing = || PortError::new(format!("tool {}", program.display()), PortErrorKind::Missing);
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.map_err(|source| missing().because(source))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(text.lines().next().unwrap_or_default().to_owned())
    } else {
        Err(missing().because(text.lines().last().unwrap_or_default().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_tool_s_lines_code_and_last_words_are_kept() -> Result<(), ToolError> {
        let (log, mut lines) = (ToolLog::default(), Vec::new());
        let tool = Tool::new("/bin/sh").args(["-c", "cat; echo two; echo oh no >&2; exit 3"]).input("one\n");
        let ended = tool.run(&Announcer::default(), &log, |line| lines.push(line.to_owned())).await?;
        assert_eq!(lines, ["one", "two"]);
        assert_eq!((ended.code, ended.last_words.as_str()), (Some(3), "oh no"));
        assert!(log.text().contains("exit code 3"));
        Ok(())
    }

    #[tokio::test]
    async fn dropping_the_run_ends_the_whole_group() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let pids = folder.path().join("pids");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pids.display());
        let (announcer, log) = (Announcer::default(), ToolLog::default());
        let run = Tool::new("/bin/sh").args(["-c", &script]).run(&announcer, &log, |_| {});
        let started = async {
            while !pids.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = run => return Err("it ended by itself".into()),
            () = started => {}
        }
        let pid: i32 = std::fs::read_to_string(&pids)?.trim().parse()?;
        let is_alive = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..1_000 {
            if !is_alive() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(format!("process {pid} of the group is still there").into())
    }

    #[test]
    fn a_log_keeps_its_beginning_and_its_end() {
        let log = ToolLog::default();
        for number in 0..100_000 {
            log.line(&format!("line {number}"));
        }
        let text = log.text();
        assert!(text.len() < 2 * LOG_HALF_BYTES_MAX + 100);
        assert!(text.starts_with("line 0\n") && text.ends_with("line 99999\n") && text.contains("left out"));
    }
}
