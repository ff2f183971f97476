//! What the tools of an attempt wrote, bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How much of the beginning, and how much of the end, of a log is kept, in bytes.
pub const LOG_HALF_BYTES_MAX: usize = 128 * 1_024;

/// What the tools of one attempt wrote: the beginning and the end of it, bounded.
#[derive(Debug, Default)]
pub struct ToolLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    dropped: usize,
}

impl ToolLog {
    /// Adds a line.
    pub fn line(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
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

#[cfg(test)]
mod tests {
    use super::*;

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
