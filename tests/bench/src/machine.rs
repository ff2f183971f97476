//! What a result was measured on.

use std::path::Path;
use std::process::Command;

use qsketch_runtime::Clock;
use qsketch_runtime::clock::SystemClock;
use serde::{Deserialize, Serialize};

/// The machine, the versions and the day of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The day of the run, as `2026-11-24`.
    pub date: String,
    /// The commit that was built, with a word where the tree differed from it.
    pub commit: String,
    /// The model of its processors.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// Its memory in GB of 10^9 bytes.
    pub memory_gb: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// The emulators, with versions.
    pub stack: String,
    /// The tracing filter of the services.
    pub log: String,
}

impl Machine {
    /// This one, now.
    #[must_use]
    pub fn of_now(root: &Path, stack: &str, log: &str) -> Self {
        let proc = |file: &str, line: &str| {
            let text = std::fs::read_to_string(Path::new("/proc").join(file)).unwrap_or_default();
            let found = text.lines().find(|text| text.starts_with(line)).and_then(|text| text.split_once(':'));
            found.map_or_else(|| UNKNOWN.to_owned(), |(_, value)| value.trim().to_owned())
        };
        let memory_kib = proc("meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        let is_changed = !said(root, "git", &["status", "--porcelain", "--", ":!docs"]).is_empty();
        let commit = said(root, "git", &["rev-parse", "--short", "HEAD"]);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            date: SystemClock.now().day(),
            commit: if is_changed { format!("{commit} and changes") } else { commit },
            processor: proc("cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: memory_kib * 1_024 / 1_000_000_000,
            kernel: kernel.trim().to_owned(),
            rustc: said(root, "rustc", &["--version"]),
            stack: stack.to_owned(),
            log: log.to_owned(),
        }
    }
}

const UNKNOWN: &str = "unknown";

fn said(root: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root).output();
    output.map_or_else(|_| UNKNOWN.to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
