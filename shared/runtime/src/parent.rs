//! The parent of a container worker: the same binary, started first.
//!
//! ```text
//!   parent ──(a socket as the child's standard input)── child ── process groups of tools
//! ```
//! The child tells what it is about to do ([`crate::intent`]). When it dies, the parent first ends its process groups and
//! whatever else of its descendants is left (it is their subreaper), only then gives back what it had in its hands
//! ([`crate::give_back`]), and starts the child again. The child stops when the socket closes.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::give_back::{GIVE_BACK_MAX, give_back};
use crate::intent::{Announcer, Ledger, Socket};
use crate::poll::SHUTDOWN_MAX;
use crate::ports::{POLL_GRACE, POLL_WAIT_MAX, Ports};

/// Set in the child's environment: it works instead of starting another child.
pub const CHILD_VARIABLE: &str = "QSKETCH_CHILD";

/// The exit code of a service whose settings are wrong: starting it again can't help.
pub const EXIT_CONFIGURATION: u8 = 2;

/// The first and the longest wait before the child is started again.
const RESTART_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A child that lived this long was well: the next wait is the first again.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// How long a child may take to stop: its open poll, giving back and flushing, and a second.
pub const STOP_MAX: Duration =
    Duration::from_secs(POLL_WAIT_MAX.as_secs() + POLL_GRACE.as_secs() + 2 * SHUTDOWN_MAX.as_secs() + 1);

/// How long giving back everything may take, with the connection that it needs; then the leases must lapse.
const RETURN_MAX: Duration = Duration::from_secs(2 * GIVE_BACK_MAX.as_secs());

/// How often orphans that have ended are taken off the process table while the child lives.
const REAP_PERIOD: Duration = Duration::from_secs(5);

/// How often descendants are looked for until none is left.
const SWEEPS_MAX: usize = 100;

/// What the child has of its parent.
pub struct Inherited {
    /// Tells the parent what is about to be done.
    pub announcer: Announcer,
    /// Closes when the parent dies.
    pub pipe: tokio::net::UnixStream,
}

/// The child's end of the socket to its parent. To be called once, within a tokio runtime.
///
/// # Errors
/// When standard input is no socket: the process was not started by its parent.
pub fn inherit() -> io::Result<Inherited> {
    let own: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let pipe = UnixStream::from(own);
    let announcer = Announcer::new(Socket(pipe.try_clone()?));
    pipe.set_nonblocking(true)?;
    Ok(Inherited { announcer, pipe: tokio::net::UnixStream::from_std(pipe)? })
}

impl Inherited {
    /// Waits until the parent is gone.
    pub async fn parent_gone(self) {
        let mut byte = [0_u8; 1];
        loop {
            if self.pipe.readable().await.is_err() {
                return;
            }
            match self.pipe.try_read(&mut byte) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Starts this program again as a child, keeps it running, and ends with it when told to stop.
///
/// `scratch` is the folder of the child's scratch files; it is removed whenever the child is gone. Settings that are
/// wrong end the service with its first child; later the same exit code may come from a fault that passes. `connect` builds
/// the ports by which a dead child's work is given back.
///
/// # Errors
/// When the first child can't be started.
pub async fn supervise<P: Future<Output = Ports>>(
    name: &str,
    scratch: &Path,
    connect: impl Fn() -> P,
) -> io::Result<ExitCode> {
    nix::sys::prctl::set_child_subreaper(true)?;
    let program = std::env::current_exe()?;
    let mut pause = RESTART_PAUSES.0;
    let signal = crate::shutdown::signal()?;
    tokio::pin!(signal);
    for round in 1_u64.. {
        let began = tokio::time::Instant::now();
        let (code, left) = match start(&program, scratch) {
            Ok((mut child, announced)) => {
                let ear = Ear::listen(announced);
                let (code, is_stopping) = tokio::select! {
                    code = exit_of(&mut child) => (code?, false),
                    () = &mut signal => (stop(&mut child).await?, true),
                };
                let ledger = ear.ledger().await;
                let left = end(&ledger);
                return_work(name, ledger, &connect).await;
                remove(scratch);
                if is_stopping || is_final(code, round) {
                    return Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
                }
                (code, left)
            }
            Err(error) if round == 1 => return Err(error),
            Err(error) => {
                tracing::error!(service = name, %error, "the worker can't be started");
                (None, 0)
            }
        };
        if began.elapsed() > WELL_AFTER {
            pause = RESTART_PAUSES.0;
        }
        let pause_ms = pause.as_millis();
        tracing::error!(service = name, ?code, left, pause_ms, "the worker died: it is started again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut signal => return Ok(ExitCode::SUCCESS),
        }
        pause = (pause * 2).min(RESTART_PAUSES.1);
    }
    Ok(ExitCode::FAILURE)
}

/// Whether starting again can't help: it ended by itself, or the first child says that the settings are wrong.
fn is_final(code: Option<i32>, round: u64) -> bool {
    code == Some(0) || (round == 1 && code == Some(i32::from(EXIT_CONFIGURATION)))
}

fn remove(scratch: &Path) {
    if let Err(error) = std::fs::remove_dir_all(scratch)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %scratch.display(), %error, "the scratch folder could not be removed");
    }
}

fn start(program: &Path, scratch: &Path) -> io::Result<(Child, tokio::net::UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg0(program_name())
        .env(CHILD_VARIABLE, "1")
        .env("QSKETCH_DIR", scratch)
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    ours.set_nonblocking(true)?;
    Ok((child, tokio::net::UnixStream::from_std(ours)?))
}

fn program_name() -> std::ffi::OsString {
    std::env::args_os().next().unwrap_or_else(|| "worker".into())
}

/// Waits for the child's end, and meanwhile for that of every orphan that became ours.
async fn exit_of(child: &mut Child) -> io::Result<Option<i32>> {
    let worker = child.id().and_then(|id| i32::try_from(id).ok());
    let mut ticks = tokio::time::interval(REAP_PERIOD);
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?.code()),
            _ = ticks.tick() => {
                let orphans = children_of(Pid::this()).into_iter().filter(|pid| Some(pid.as_raw()) != worker);
                for orphan in orphans {
                    // One that is still alive is left to its group's end, or to the sweep.
                    let _ = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
                }
            }
        }
    }
}

/// Asks the child to stop, and ends it when it does not.
async fn stop(child: &mut Child) -> io::Result<Option<i32>> {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It may have gone by itself.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    match tokio::time::timeout(STOP_MAX, exit_of(child)).await {
        Ok(code) => code,
        Err(_) => {
            tracing::error!("the worker did not stop in time: it is ended");
            child.kill().await?;
            Ok(None)
        }
    }
}

/// What the child tells.
struct Ear {
    listening: tokio::task::JoinHandle<Ledger>,
}

impl Ear {
    fn listen(pipe: tokio::net::UnixStream) -> Self {
        let listening = tokio::spawn(async move {
            let mut ledger = Ledger::default();
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                ledger.hear(&line);
            }
            ledger
        });
        Self { listening }
    }

    /// All that it told, once the child is gone, and with it its end of the socket.
    async fn ledger(self) -> Ledger {
        self.listening.await.unwrap_or_default()
    }
}

/// Ends the process groups that are left, and every other descendant; how many there were.
fn end(ledger: &Ledger) -> usize {
    for group in ledger.groups() {
        let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
    }
    ledger.groups().len() + sweep()
}

/// Gives back what the child had in its hands. Only now are the ports needed, so only now are they built.
async fn return_work<P: Future<Output = Ports>>(name: &str, ledger: Ledger, connect: impl FnOnce() -> P) {
    let intents = ledger.into_intents();
    if intents.is_empty() {
        return;
    }
    let giving = async {
        let ports = connect().await;
        give_back(&ports, &intents).await
    };
    let given = tokio::time::timeout(RETURN_MAX, giving).await.unwrap_or_default();
    tracing::info!(service = name, intents = intents.len(), given, "the dead worker's messages are given back");
}

/// Ends every descendant that is left: the child is gone, so each of them is, or becomes, a child of ours; how many.
fn sweep() -> usize {
    let mut ended = 0;
    for _ in 0..SWEEPS_MAX {
        let orphans = children_of(Pid::this());
        if orphans.is_empty() {
            break;
        }
        for orphan in orphans {
            let _ = kill(orphan, Signal::SIGKILL);
            // What it leaves behind becomes ours, and is found by the next look.
            let _ = waitpid(orphan, None);
            ended += 1;
        }
    }
    ended
}

/// The processes whose parent this is.
///
/// # Source
/// proc(5), `/proc/pid/stat`: the parent's id is the second field after the command in brackets.
fn children_of(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after.split_whitespace().nth(1).and_then(|text| text.parse().ok()) == Some(parent.as_raw())
    })
    .map(Pid::from_raw)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_end_the_service_only_with_its_first_child() {
        let configuration = Some(i32::from(EXIT_CONFIGURATION));
        assert!(is_final(configuration, 1) && is_final(Some(0), 7));
        // Later the settings have been right once: the stack may just not answer.
        assert!(!is_final(configuration, 2) && !is_final(Some(1), 1) && !is_final(None, 1));
    }
}
