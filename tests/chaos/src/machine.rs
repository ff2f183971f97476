//! What a machine has beside its processes: a disk that can be full, memory that has an end, and a clock that can be off.
//!
//! Each needs something of the machine that this runs on: to mount (root), a writable control group for memory, a C
//! compiler. What is not there is left out, and the report says so by its count.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// The variable by which the preloaded clock finds how far it is off.
pub const CLOCK_VARIABLE: &str = "CHAOS_CLOCK";

/// How large a machine's disk is, as `mount` is told.
const DISK: &str = "size=8m";

/// How much memory the processes of a machine have, in bytes: less than a tool that eats takes.
const MEMORY_BYTES: u64 = 256 * 1_024 * 1_024;

/// The file that fills a disk.
const FILLER: &str = "filler";

/// Where control groups of memory are, what their limit is called, and where they tell of processes that were killed.
///
/// # Source
/// Linux kernel, Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst; read 2026-11-27.
const GROUPS: [(&str, &str, &str); 2] = [
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
    ("/sys/fs/cgroup", "memory.max", "memory.events"),
];

/// Mounts of this process and of those that it starts are their own, and end with them; where that may not be, nothing is
/// mounted.
pub fn keep_mounts_apart() -> bool {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).is_ok()
        && mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).is_ok()
}

/// A disk of its own, for as long as this value lives.
pub struct Disk(PathBuf);

impl Disk {
    /// A small disk at this folder; none where that may not be.
    #[must_use]
    pub fn mount(folder: &Path) -> Option<Self> {
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(DISK)).ok()?;
        Some(Self(folder.to_owned()))
    }

    /// Writes until there is no room.
    pub fn fill(&self) {
        if let Ok(mut filler) = std::fs::File::create(self.0.join(FILLER)) {
            while filler.write_all(&[0; 4_096]).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn empty(&self) {
        // It may be gone with the disk.
        let _ = std::fs::remove_file(self.0.join(FILLER));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It goes when nobody uses it any more.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Memory that has an end: the kernel kills what takes more.
pub struct Memory {
    group: PathBuf,
    told: &'static str,
}

impl Memory {
    /// A group of this name; none where that may not be.
    #[must_use]
    pub fn limited(name: &str) -> Option<Self> {
        GROUPS.into_iter().find_map(|(root, limit, told)| {
            let group = Path::new(root).join(name);
            std::fs::create_dir(&group).ok()?;
            let group = Self { group, told };
            std::fs::write(group.group.join(limit), MEMORY_BYTES.to_string()).ok()?;
            Some(group)
        })
    }

    /// The file that takes the processes in.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.group.join("cgroup.procs")
    }

    /// How many processes the kernel has killed in it.
    #[must_use]
    pub fn killed(&self) -> u64 {
        let told = std::fs::read_to_string(self.group.join(self.told)).unwrap_or_default();
        let killed = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // One that still has a process stays; there is none once its slot has ended.
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// Builds the clock that is preloaded; none where there is no C compiler.
///
/// # Errors
/// The folder can't be written, or the compiler refuses.
pub fn build_clock(folder: &Path) -> Result<Option<PathBuf>> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, include_str!("clock.c"))?;
    let command = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output();
    let Ok(output) = command else { return Ok(None) };
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(library))
}

/// Sets how far a clock is off, in milliseconds.
///
/// # Errors
/// Its file can't be written.
pub fn set_clock(file: &Path, off_ms: i64) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    // Written in place: whoever has preloaded the clock has this very file in its memory.
    let file = std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(file)?;
    file.write_all_at(&off_ms.to_ne_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preloaded_clock_is_off_by_what_its_file_says() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let Some(library) = build_clock(folder.path())? else { return Ok(()) };
        let file = folder.path().join("off");
        let date = |off_ms| -> Result<i64> {
            set_clock(&file, off_ms)?;
            let date =
                Command::new("date").arg("+%s").env("LD_PRELOAD", &library).env(CLOCK_VARIABLE, &file).output()?;
            Ok(String::from_utf8(date.stdout)?.trim().parse()?)
        };
        let (right, ahead, behind) = (date(0)?, date(3_600_500)?, date(-3_600_500)?);
        ensure!(ahead - right >= 3_600 && right - behind >= 3_600, "{right} {ahead} {behind}");
        Ok(())
    }
}
