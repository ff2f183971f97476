//! What is run on a stack, and what came out of it.

use serde::{Deserialize, Serialize};

use crate::counted::Counted;
use crate::meter::TimedCall;
use crate::way::Way;

/// What to run.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many jobs.
    pub jobs: usize,
    /// How many of them at once; of queued ones, how many are queued at a time.
    pub in_flight: usize,
    /// Whether they are submitted before any worker starts: the first [`Load::in_flight`] of them, and when those are
    /// done, as many again on queues of their own.
    pub is_queued: bool,
    /// How tasks reach their workers.
    pub way: Way,
    /// The job table.
    pub table: String,
    /// The URL of a queue without the number of its set and its name.
    pub queue_url_prefix: String,
    /// The processes of the stack.
    pub stack_pids: Vec<u32>,
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// How many jobs were at work at once, or queued at a time.
    pub in_flight: usize,
    /// Whether they were submitted before any worker started.
    pub is_queued: bool,
    /// How tasks reached their workers.
    pub way: Way,
    /// From the first submission to the last job's end, in seconds; of queued ones from the start of the workers, each
    /// time, added up.
    pub seconds: f64,
    /// From a job's submission until its finalizer was recorded, in milliseconds; half of the jobs took less.
    pub p50_ms: f64,
    /// The same for 99 of 100.
    pub p99_ms: f64,
    /// How many jobs, and what they cost.
    #[serde(flatten)]
    pub counted: Counted,
    /// Processor seconds of qsketch's process.
    pub cpu_seconds: f64,
    /// Processor seconds of the stack's processes.
    pub stack_cpu_seconds: f64,
    /// Peak memory of qsketch's process in MB.
    pub peak_mb: f64,
    /// Memory of qsketch's process in MB, sampled along the run.
    pub memory_mb: Vec<f64>,
    /// Peak memory of the stack's processes in MB, added up.
    pub stack_peak_mb: f64,
    /// The calls of one job, the one with the median time, where one was in flight.
    pub waterfall: Vec<TimedCall>,
}

impl Measured {
    /// How many jobs ended in a second.
    #[must_use]
    pub fn jobs_per_second(&self) -> f64 {
        self.counted.jobs as f64 / self.seconds
    }

    /// Seconds, for 1,000 jobs.
    #[must_use]
    pub fn per_1000(&self, seconds: f64) -> f64 {
        seconds / self.counted.jobs.max(1) as f64 * 1e3
    }

    /// How many times jobs were queued; else 1.
    #[must_use]
    pub fn times(&self) -> usize {
        if self.is_queued { self.counted.jobs.div_ceil(self.in_flight.max(1)) } else { 1 }
    }

    /// The load in a few words, without the way.
    #[must_use]
    pub fn load(&self) -> String {
        match (self.is_queued, self.times()) {
            (true, 1) => format!("{} queued", thousands(self.in_flight)),
            (true, times) => format!("{times} × {} queued", thousands(self.in_flight)),
            (false, _) => format!("{} in flight", self.in_flight),
        }
    }

    /// The load and the way in a few words.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}, {}", self.load(), self.way.name())
    }

    /// The mean memory of the first and of the last third of the run, in MB; none of a run without samples.
    #[must_use]
    pub fn memory_thirds(&self) -> Option<(f64, f64)> {
        let third = self.memory_mb.len() / 3;
        let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
        (third > 0).then(|| (mean(&self.memory_mb[..third]), mean(&self.memory_mb[self.memory_mb.len() - third..])))
    }
}

/// A number with a comma before every third digit from the end.
#[must_use]
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|all| str::from_utf8(all).ok()).collect();
    grouped.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_end() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn memory_is_compared_by_thirds_and_not_at_all_without_samples() {
        let run = |memory_mb: &[f64]| Measured { memory_mb: memory_mb.to_vec(), ..Measured::default() };
        assert_eq!(run(&[1.0, 2.0]).memory_thirds(), None);
        assert_eq!(run(&[1.0, 3.0, 9.0, 9.0, 9.0, 4.0, 6.0]).memory_thirds(), Some((2.0, 5.0)));
    }
}
