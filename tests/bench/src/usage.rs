//! What a process uses, as `/proc` tells it.

use std::io;
use std::path::Path;

/// Clock ticks per second in `/proc/PID/stat`; Linux fixes them at 100 for user space on every architecture we build for.
///
/// # Source
/// `proc_pid_stat(5)`, read 2026-11-24.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time that a process has used, user and system, its ended children left out, in seconds.
///
/// # Errors
/// The process is gone, or `/proc` is not there.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    // The second field, the name, may hold blanks; it ends with the last parenthesis. utime and stime are 14 and 15.
    let after = stat.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
    let ticks = |index: usize| after.split_whitespace().nth(index).and_then(|text| text.parse::<f64>().ok());
    ticks(11)
        .zip(ticks(12))
        .map(|(user, system)| (user + system) / TICKS_PER_SECOND)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its stat can't be read"))
}

/// A memory line of `/proc/PID/status` in MB of 10^6 bytes: `VmRSS` is what it uses now, `VmHWM` its peak.
///
/// # Errors
/// The process is gone, or `/proc` is not there.
pub fn memory_mb(pid: u32, line: &str) -> io::Result<f64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    status
        .lines()
        .find_map(|text| {
            text.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
        })
        .map(|kib| kib * 1_024.0 / 1e6)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("it has no {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_a_peak_is_not_below_what_is_used() -> io::Result<()> {
        let (now, peak) = (memory_mb(std::process::id(), "VmRSS")?, memory_mb(std::process::id(), "VmHWM")?);
        assert!(now > 0.5 && peak >= now * 0.5, "{now} {peak}");
        assert!(cpu_seconds(std::process::id())? >= 0.0);
        assert!(cpu_seconds(u32::MAX).is_err());
        Ok(())
    }
}
