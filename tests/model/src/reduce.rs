//! What makes two states one: what can't matter any more, and the names of drives that are alike.

use qsketch_core::parts::JobStatus;
use qsketch_core::route;

use crate::state::{Copied, Phase};
use crate::turn::Turn;

impl Turn<'_> {
    /// Forgets what can't matter any more: the parts of tasks that are settled, while no drive is at them.
    pub(crate) fn forget(&mut self) {
        let job = self.book.job_at(self.state.job);
        if self.protocol.config.is_redriven() && job.closings.len() < 2 && job.status != JobStatus::Completed {
            // A redrive takes every task up as it is.
            return;
        }
        let is_closed = job.status != JobStatus::Running;
        let settled: Vec<bool> = (self.protocol.tasks.iter().enumerate())
            // A record in a shard does not settle a task: until the shard is folded, a drive that loaded the job alone
            // goes by the task's part.
            .map(|(index, task)| {
                let span = route::span_of(&self.protocol.pipeline, task, job);
                let is_folded = span.is_some_and(|span| job.folded.contains_key(&span.shard));
                (is_closed && !self.is_finalizer(index)) || job.done.contains_key(task) || is_folded
            })
            .collect();
        for (index, is_settled) in settled.into_iter().enumerate() {
            let is_driven = self
                .state
                .slots
                .iter()
                .any(|slot| usize::from(slot.task) == index && !matches!(slot.phase, Phase::Idle | Phase::Settle));
            if is_settled && !is_driven {
                self.state.tasks[index] = self.book.spent(self.state.tasks[index]);
                self.state.left[index] = crate::state::ABSENT;
            }
        }
    }

    /// Of two states that differ only in the names of the first two drives, takes the smaller.
    pub(crate) fn merge(&mut self) {
        if self.state.slots[0] < self.state.slots[1] {
            return;
        }
        let mut swapped = self.state;
        swapped.slots.swap(0, 1);
        for task in &mut swapped.tasks {
            *task = self.book.swapped(*task);
        }
        for copies in &mut swapped.copies {
            for copy in copies.iter_mut() {
                *copy = match *copy {
                    Copied::Held(0) => Copied::Held(1),
                    Copied::Held(1) => Copied::Held(0),
                    other => other,
                };
            }
            copies.sort_unstable();
        }
        self.state = self.state.min(swapped);
    }
}
