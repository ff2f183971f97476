//! Processes, as `/proc` shows them.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Parent and state of a process.
///
/// # Source
/// proc(5), `/proc/pid/stat`: state and the parent's id follow the command in brackets.
fn parent_and_state(pid: i32) -> Option<(i32, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut after = stat.rsplit_once(')')?.1.split_whitespace();
    let state = after.next()?.chars().next()?;
    Some((after.next()?.parse().ok()?, state))
}

/// Whether it runs, or could: one that nobody has waited for yet does not.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    parent_and_state(pid).is_some_and(|(_, state)| !matches!(state, 'Z' | 'X'))
}

/// The processes that it has started and that are alive.
#[must_use]
pub fn children(parent: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| parent_and_state(*id).is_some_and(|(of, state)| of == parent && !matches!(state, 'Z' | 'X')))
        .collect()
}

/// All that descend from it, itself not included: parents before their children.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    let mut found = children(root);
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(children(pid));
        at += 1;
    }
    found
}

/// What it was started as.
#[must_use]
pub fn command(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ").trim().to_owned()
}

/// Sends a signal; a process that is gone has no need of it.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Takes the orphans that became ours and have ended off the process table. Those that are waited for elsewhere are left.
pub fn reap(known: &[i32]) {
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    let own = Pid::this().as_raw();
    for id in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
        if !known.contains(&id) && parent_and_state(id) == Some((own, 'Z')) {
            let _ = waitpid(Pid::from_raw(id), Some(WaitPidFlag::WNOHANG));
        }
    }
}
