//! The rate limit of a provider, which all workers of a deployment share.
//!
//! ```text
//!                    a turn is free within TURN_WAIT_MAX, and nobody waits
//!   ask ─► next() ─┬──────────────────────────────────────────────────────► turns in the cell, waited for in place
//!                  └─ else ─► a place in the line ─► back at its time, and first ─┘
//! ```
//!
//! A provider's cell holds two numbers. Only `tat` grants, by the generic cell rate algorithm, so whatever becomes of those
//! who wait, never more than `burst + rate × W` turns lie in a window of W. `line` is no more than advice: it spreads those who wait
//! over the turns ahead, in the order in which they came, and promises nothing. A task that never comes back (its job was
//! canceled) has therefore taken nothing, and a line that nobody comes back from is forgotten.
//!
//! A [`Take`] is one conditional write, and stands on bounds, not on the number as it was seen: turns that are taken at the
//! same time all count, and only a cell that changed its kind meanwhile refuses.
//!
//! # Invariants (each names its test)
//! - No window has more turns than its limit allows, whoever asks and by whichever clock:
//!   `rate::tests::no_window_of_any_length_has_more_turns_than_the_limit`.
//! - Ten thousand tasks that wait are served in turn, at the full rate: `rate::tests::a_crowd_is_served_in_order_at_the_full_rate`.
//!
//! # Source
//! ITU-T Recommendation I.371 (03/2004), Annex A.1, "Virtual scheduling algorithm": the theoretical arrival time and GCRA(T, τ).

mod limit;
#[cfg(test)]
mod tests;

use crate::failure::Failure;
use crate::ids::{Provider, TaskId, Which};
use crate::limits::{LINE_IDLE_MAX, LINE_MAX, TURN_WAIT_MAX};
use crate::parts::{Job, Outcome, Task};
use crate::pipeline::Pipeline;
use crate::route;
use crate::time::Time;

pub use limit::{Per, RateLimit, RateLimitError};

/// The error type of an attempt that ended to wait for its turn.
pub const RATE_LIMITED: &str = "RateLimited";

/// What is kept of a provider. Times are microseconds since the epoch: at 1,000 a second, turns are a millisecond apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The theoretical arrival time: when the next turn would be, if all came evenly spaced.
    pub tat: u64,
    /// When the line of those who wait ends; 0, or a time that is past, where nobody waits.
    pub line: u64,
}

/// Whether an asker has to wait behind the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has just come.
    New,
    /// It has waited for its place in the line, or is under way and has had a turn.
    Waited,
}

/// What an attempt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The limit.
    pub limit: RateLimit,
    /// How many requests it will make; at least 1. They are as far apart as the limit wants.
    pub turns: u32,
    /// Whether it has to wait behind the line.
    pub standing: Standing,
    /// Until when a place in the line is of use to it.
    pub by: Time,
}

/// What a [`Take`] stands on and does. Times are microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TakeKind {
    /// Turns from now on. Stands on: no cell, or `tat < now`.
    First {
        /// The asker's time.
        now: u64,
        /// For whom a line must be over or forgotten: `line <= now`, or `tat` at or before this time. It ends the line.
        idle: Option<u64>,
    },
    /// Turns behind those that are taken. Stands on `now <= tat <= latest`.
    Next {
        /// The asker's time.
        now: u64,
        /// The latest `tat` that lets the first of them be soon.
        latest: u64,
        /// As for [`TakeKind::First`].
        idle: Option<u64>,
    },
    /// The first place of a line. Stands on `line < from`.
    FirstPlace {
        /// When a turn is free.
        from: u64,
    },
    /// The last place of a line. Stands on `from <= line <= by`.
    Place {
        /// When a turn is free.
        from: u64,
        /// The latest place that is of use.
        by: u64,
    },
}

/// One conditional write of a provider's cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Take {
    /// What it stands on and does.
    pub kind: TakeKind,
    /// By how much it moves `tat` or `line`, in microseconds.
    pub span: u64,
    /// When the table may delete the cell, in seconds since the epoch: one that is gone counts as one of which no turn was taken.
    pub expires_at: u64,
}

/// What became of a [`Take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was written; the cell as it is now.
    Written(Cell),
    /// It has lost its footing; the cell as it is.
    Overtaken(Option<Cell>),
}

/// What a written [`Take`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Turns: wait for each.
    Granted(Turns),
    /// A place in the line: come back then.
    Place(Time),
}

/// Turns that were granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    next: u64,
    interval: u64,
    left: u32,
}

/// What to do to get what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Carry this out.
    Take(Take),
    /// The line is longer than the asker has time. It ends then.
    Full(Time),
}

impl Iterator for Turns {
    type Item = Time;

    /// When the next of them is: not before this time, whole milliseconds, rounded up.
    fn next(&mut self) -> Option<Time> {
        self.left = self.left.checked_sub(1)?;
        let at = self.next;
        self.next = at.saturating_add(self.interval);
        Some(up(at))
    }
}

/// Says what to do next, given the cell as it is known; none where it is not there or nothing is known of it.
#[must_use]
pub fn next(ask: &Ask, seen: Option<&Cell>, now: Time) -> Next {
    let (limit, of_now) = (ask.limit, micros(now));
    let tolerance = limit.tolerance();
    let idle = match ask.standing {
        Standing::New => Some((of_now + tolerance).saturating_sub(micros_of(LINE_IDLE_MAX))),
        Standing::Waited => None,
    };
    let take = |kind| {
        let span = limit.interval().saturating_mul(u64::from(ask.turns.max(1)));
        let latest = now.plus(LINE_MAX).plus(TURN_WAIT_MAX);
        let expires_at = latest.epoch_secs().saturating_add((tolerance.saturating_add(span)) / MICROS_PER_SEC);
        Next::Take(Take { kind, span, expires_at: expires_at.saturating_add(KEPT_SECS) })
    };
    let Some(cell) = seen else { return take(TakeKind::First { now: of_now, idle }) };
    let latest = of_now + micros_of(TURN_WAIT_MAX) + tolerance;
    if is_passed(cell, of_now, idle) {
        if cell.tat < of_now {
            return take(TakeKind::First { now: of_now, idle });
        }
        if cell.tat <= latest {
            return take(TakeKind::Next { now: of_now, latest, idle });
        }
    }
    let from = cell.tat.saturating_sub(tolerance).max(of_now);
    let by = micros(ask.by.min(now.plus(LINE_MAX)));
    match cell.line.max(from) {
        place if place > by => Next::Full(up(place)),
        _ if cell.line < from => take(TakeKind::FirstPlace { from }),
        _ => take(TakeKind::Place { from, by }),
    }
}

/// What a take makes of a cell; none where it is refused. This is what it means: every implementation is held to it.
#[must_use]
pub fn apply(take: &Take, cell: Option<&Cell>) -> Option<Cell> {
    // Whoever need not wait behind the line ends it. Not at its own time: to a clock that is behind, that would be a line.
    let line = |cell: &Cell, idle: Option<u64>| if idle.is_some() { 0 } else { cell.line };
    let tat_from = |base: u64| base.saturating_add(take.span);
    match (take.kind, cell) {
        (TakeKind::First { now, .. }, None) => Some(Cell { tat: tat_from(now), line: 0 }),
        (TakeKind::First { now, idle }, Some(cell)) if cell.tat < now && is_passed(cell, now, idle) => {
            Some(Cell { tat: tat_from(now), line: line(cell, idle) })
        }
        (TakeKind::Next { now, latest, idle }, Some(cell))
            if (now..=latest).contains(&cell.tat) && is_passed(cell, now, idle) =>
        {
            Some(Cell { tat: tat_from(cell.tat), line: line(cell, idle) })
        }
        (TakeKind::FirstPlace { from }, Some(cell)) if cell.line < from => Some(Cell { line: tat_from(from), ..*cell }),
        (TakeKind::Place { from, by }, Some(cell)) if (from..=by).contains(&cell.line) => {
            Some(Cell { line: tat_from(cell.line), ..*cell })
        }
        _ => None,
    }
}

/// Whether an asker may pass the line: it need not wait behind it, nobody waits, or those who wait let turns go by.
fn is_passed(cell: &Cell, now: u64, idle: Option<u64>) -> bool {
    idle.is_none_or(|idle| cell.line <= now || cell.tat <= idle)
}

impl Take {
    /// What it brought, now that the cell is so.
    #[must_use]
    pub fn brought(&self, ask: &Ask, cell: &Cell) -> Turn {
        let limit = ask.limit;
        match self.kind {
            TakeKind::First { .. } | TakeKind::Next { .. } => Turn::Granted(Turns {
                next: cell.tat.saturating_sub(self.span).saturating_sub(limit.tolerance()),
                interval: limit.interval(),
                left: ask.turns.max(1),
            }),
            TakeKind::FirstPlace { .. } | TakeKind::Place { .. } => {
                Turn::Place(up(cell.line.saturating_sub(self.span)))
            }
        }
    }

    /// Its kind, for logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            TakeKind::First { .. } | TakeKind::Next { .. } => "take-turns",
            TakeKind::FirstPlace { .. } | TakeKind::Place { .. } => "take-place",
        }
    }
}

/// Whether the attempt before this one ended to wait for its turn, and with which standing this one therefore asks.
#[must_use]
pub fn standing(task: Option<&Task>) -> Standing {
    let last = task.and_then(|task| Some((task.closing, task.attempts.last()?)));
    let has_waited = last.is_some_and(|(closing, last)| {
        last.closing == closing && last.outcome == Outcome::Overloaded && last.error_type == RATE_LIMITED
    });
    if has_waited { Standing::Waited } else { Standing::New }
}

/// Until when an attempt at this task may begin, a little before its time is over.
#[must_use]
pub fn begins_by(pipeline: &Pipeline, id: &TaskId, job: &Job) -> Time {
    let of_step = pipeline.step(id.step()).zip(route::scheduled_at(pipeline, id, job));
    let bound = match (id.which(), of_step) {
        // The finalizer has the time that it needs.
        (Which::Closing(_), _) | (_, None) => Time(u64::MAX),
        (_, Some((step, scheduled))) => scheduled.plus(step.timeouts.schedule_to_close).min(job.deadline),
    };
    Time(bound.0.saturating_sub(crate::time::millis_up(TURN_WAIT_MAX)))
}

/// The end of an attempt that waits for its place in the line.
#[must_use]
pub fn waits(provider: &Provider, limit: RateLimit, place: Time) -> Failure {
    let error = format!("our limit of {limit} for provider {provider} is used up: it waits for its turn, at {place}");
    Failure::later(RATE_LIMITED, error, place)
}

/// The end of an attempt for which there was no place.
#[must_use]
pub fn finds_no_place(provider: &Provider, limit: RateLimit, ends: Time) -> Failure {
    let error = format!(
        "our limit of {limit} for provider {provider} is used up until {ends}, past the time that this task has: it asks again"
    );
    Failure::overload(NO_TURN, error, None)
}

/// The error type of an attempt for which there was no place in the line.
const NO_TURN: &str = "NoTurn";

const MICROS_PER_SEC: u64 = 1_000_000;
const MICROS_PER_MILLI: u64 = 1_000;

/// How long a cell is kept beyond what it tells of.
const KEPT_SECS: u64 = 24 * 3_600;

const fn micros(at: Time) -> u64 {
    at.0.saturating_mul(MICROS_PER_MILLI)
}

const fn micros_of(span: core::time::Duration) -> u64 {
    // Our spans are hours at most.
    span.as_secs() * MICROS_PER_SEC + span.subsec_micros() as u64
}

const fn up(micros: u64) -> Time {
    Time(micros.div_ceil(MICROS_PER_MILLI))
}
