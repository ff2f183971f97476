//! Tools as child processes: each in a process group of its own, announced, bounded, and ended as a whole.

mod log;

use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::Notify;

pub use crate::intent::Announcer;
pub use log::{LOG_HALF_BYTES_MAX, ToolLog};

/// The longest line of a tool's output that is handed on whole, in bytes.
pub const LINE_BYTES_MAX: u64 = 64 * 1_024;

/// How many lines of standard error are told as a tool's last words.
const LAST_WORDS_MAX: usize = 12;

/// How long a tool's output is listened to once the tool and its group are gone: a descendant that left the group may
/// still hold the pipes.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// Where programs are looked for, and what tools have as `PATH`.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

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

/// A process group that ends, all of it, when this is dropped.
struct Group {
    id: Pid,
    announcer: Announcer,
}

impl Group {
    fn announced(id: i32, announcer: &Announcer) -> Self {
        let group = Self { id: Pid::from_raw(id), announcer: announcer.clone() };
        announcer.group(id);
        group
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // No such group is the good case: everybody is gone already.
        let _ = killpg(self.id, Signal::SIGKILL);
        self.announcer.group_ended(self.id.as_raw());
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

/// One line that a tool wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// To standard output.
    Out(&'a str),
    /// To standard error.
    Error(&'a str),
}

/// Whether a line goes into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It does.
    Yes,
    /// It does not: it was data, or progress.
    No,
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
    /// A run of this program, with an empty environment but `PATH` and `LANG`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let environment = vec![("PATH".to_owned(), SEARCH_PATH.to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())];
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

    /// Runs it to its end. `on_line` gets each line that it writes, and says whether `log` keeps it.
    ///
    /// The whole process group ends with its first process, and at once when the future is dropped.
    ///
    /// # Errors
    /// [`ToolError`]; a tool that ran and failed is no error here, see [`Ended`].
    pub async fn run(
        self,
        announcer: &Announcer,
        log: &ToolLog,
        on_line: impl FnMut(Line<'_>) -> Keep + Send,
    ) -> Result<Ended, ToolError> {
        let start = |source| ToolError::Start { program: self.program.clone(), source };
        let talk = |source| ToolError::Talk { program: self.program.clone(), source };
        log.line(&format!("$ {} {}", self.program.display(), self.shown_arguments()));
        let mut child = self.command().spawn().map_err(start)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(|id| Group::announced(id, announcer));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ear = Mutex::new(Ear { on_line, last_words: VecDeque::new() });
        let read_out = each_line(stdout, |line| hear(&ear, log, Line::Out(line)));
        let read_err = each_line(stderr, |line| hear(&ear, log, Line::Error(line)));
        let gone = Notify::new();
        let ending = async {
            let status = tokio::select! {
                status = child.wait() => status,
                () = feed(stdin, &self.input) => child.wait().await,
            };
            drop(group);
            gone.notify_one();
            status
        };
        let listening = async {
            tokio::select! {
                biased;
                heard = async { tokio::try_join!(read_out, read_err) } => heard.map(|_| ()),
                () = async { gone.notified().await; tokio::time::sleep(DRAIN_MAX).await } => Ok(()),
            }
        };
        let (status, heard) = tokio::join!(ending, listening);
        heard.map_err(talk)?;
        let status = status.map_err(talk)?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let last_words = ear.into_inner().unwrap_or_else(PoisonError::into_inner).last_words;
        let last_words = last_words.into_iter().collect::<Vec<_>>().join("\n");
        let ended = Ended { code: status.code(), signal, last_words };
        log.line(&format!("= {ended}"));
        Ok(ended)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    fn shown_arguments(&self) -> String {
        self.arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// What hears a tool's lines.
struct Ear<F> {
    on_line: F,
    last_words: VecDeque<String>,
}

fn hear<F: FnMut(Line<'_>) -> Keep>(ear: &Mutex<Ear<F>>, log: &ToolLog, line: Line<'_>) {
    let mut ear = ear.lock().unwrap_or_else(PoisonError::into_inner);
    let (Line::Out(text) | Line::Error(text)) = line;
    if (ear.on_line)(line) == Keep::No {
        return;
    }
    log.line(text);
    if matches!(line, Line::Error(_)) && !text.trim().is_empty() {
        if ear.last_words.len() == LAST_WORDS_MAX {
            ear.last_words.pop_front();
        }
        ear.last_words.push_back(text.to_owned());
    }
}

async fn feed(pipe: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut pipe) = pipe {
        // A tool that ends without reading its input says why by its exit code.
        let _ = pipe.write_all(input).await;
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

/// Finds a program as [`Tool::run`] would: a path as it is, a plain name in `/usr/local/bin`, `/usr/bin` and `/bin`.
/// None when there is no executable file.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        let executable = |found: std::fs::Metadata| found.is_file() && found.permissions().mode() & 0o111 != 0;
        std::fs::metadata(path).is_ok_and(executable)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(is_program);
    }
    SEARCH_PATH.split(':').map(|folder| Path::new(folder).join(program)).find(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_s_lines_code_and_last_words_are_kept() -> Result<(), ToolError> {
        let (log, mut lines) = (ToolLog::default(), Vec::new());
        let tool = Tool::new("/bin/sh").args(["-c", "cat; echo two; echo oh no >&2; exit 3"]).input("one\n");
        let announcer = Announcer::default();
        let run = tool.run(&announcer, &log, |line| {
            lines.push(format!("{line:?}"));
            Keep::Yes
        });
        let ended = run.await?;
        lines.sort();
        assert_eq!(lines, ["Error(\"oh no\")", "Out(\"one\")", "Out(\"two\")"]);
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
        let run = Tool::new("/bin/sh").args(["-c", &script]).run(&announcer, &log, |_| Keep::Yes);
        let started = async {
            while !pids.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = run => return Err("it ended by itself".into()),
            () = started => {}
        }
        gone(std::fs::read_to_string(&pids)?.trim().parse()?).await
    }

    #[tokio::test]
    async fn the_group_ends_with_its_first_process_and_no_pipe_holds_the_run() -> Result<(), Box<dyn std::error::Error>>
    {
        let mut pid = String::new();
        let tool = Tool::new("/bin/sh").args(["-c", "sleep 1000 & echo $!"]).input(vec![b'x'; 1 << 20]);
        let (announcer, log) = (Announcer::default(), ToolLog::default());
        let run = tool.run(&announcer, &log, |line| {
            let (Line::Out(text) | Line::Error(text)) = line;
            pid.push_str(text);
            Keep::No
        });
        let ended = tokio::time::timeout(Duration::from_secs(30), run).await??;
        assert!(ended.is_success());
        assert!(!log.text().contains(&pid), "what is not kept is not in the log");
        gone(pid.parse()?).await
    }

    #[tokio::test]
    async fn each_run_has_last_words_of_its_own() -> Result<(), ToolError> {
        let (announcer, log) = (Announcer::default(), ToolLog::default());
        for word in ["first", "second"] {
            let tool = Tool::new("/bin/sh").args(["-c", "echo $0 >&2", word]);
            assert_eq!(tool.run(&announcer, &log, |_| Keep::Yes).await?.last_words, word);
        }
        Ok(())
    }

    #[test]
    fn a_program_is_found_by_name_or_path_and_a_folder_is_none() {
        assert_eq!(find("/bin/sh"), Some(PathBuf::from("/bin/sh")));
        assert!(find("sh").is_some());
        assert_eq!(find("/bin"), None);
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    async fn gone(pid: i32) -> Result<(), Box<dyn std::error::Error>> {
        let is_alive = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..1_000 {
            if !is_alive() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(format!("process {pid} of the group is still there").into())
    }
}
