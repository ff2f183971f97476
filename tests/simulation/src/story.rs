//! What happened in a world, for a person and as a hash.

use std::sync::PoisonError;

use qsketch_core::digest::sha256;
use qsketch_core::{JobId, Time};
use qsketch_sim::{Call, EPOCH};

use crate::check::Violation;
use crate::player::Played;
use crate::world::World;

/// How many lines a story has at most: the last ones, which lead to the violation.
const LINES_MAX: usize = 120;

/// The hash of everything that happened, with its times.
pub(crate) fn hash(world: &World) -> String {
    let mut text = String::new();
    for call in world.sim.calls() {
        text.push_str(&format!("{call:?}\n"));
    }
    for commit in world.sim.commits() {
        text.push_str(&format!("{commit:?}\n"));
    }
    for sent in &world.witness.seen().sent {
        text.push_str(&format!("{sent:?}\n"));
    }
    for played in world.plays.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        text.push_str(&format!("{played:?}\n"));
    }
    sha256(text.as_bytes())
}

/// What happened to the job of a violation, or to all, in the order of time.
pub(crate) fn tell(world: &World, violation: &Violation) -> Vec<String> {
    let job = violation.job.as_ref();
    let is_ours = |of: &JobId| job.is_none_or(|job| job == of);
    let mut lines: Vec<(Time, String)> = Vec::new();
    for (number, commit) in world.sim.commits().into_iter().enumerate().filter(|(_, commit)| is_ours(&commit.job)) {
        lines.push((commit.at, format!("{:<14} write {number}: {}", commit.process, write_line(&commit.write))));
    }
    let named = job.map(ToString::to_string);
    let is_told =
        |call: &Call| call.fault.is_some() && (named.as_ref().is_none_or(|job| call.target.starts_with(job.as_str())));
    for call in world.sim.calls().into_iter().filter(is_told) {
        lines.push((call.at, format!("{:<14} {} {}: {:?}", call.process, call.kind, call.target, call.fault)));
    }
    for sent in world.witness.seen().sent.iter() {
        if named.as_ref().is_none_or(|job| sent.body.contains(job.as_str())) {
            let body: String = sent.body.chars().take(90).collect();
            lines.push((sent.at, format!("{:<14} sends to {}: {body}", sent.process, sent.queue)));
        }
    }
    for played in world.plays.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|it| is_ours(&it.job)) {
        let Played { task, attempt, process, play, began, ended, .. } = played;
        lines.push((*began, format!("{process:<14} attempt {attempt} of {task} begins, to {play:?}")));
        if let Some(ended) = ended {
            let how = if played.is_returned { "ends" } else { "is dropped" };
            lines.push((*ended, format!("{process:<14} attempt {attempt} of {task} {how}")));
        }
    }
    for event in world.events.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if event.job.as_ref().is_none_or(is_ours) {
            lines.push((event.at, format!("{:<14} {}", event.kind, event.what)));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    let skipped = lines.len().saturating_sub(LINES_MAX);
    let told =
        lines.into_iter().skip(skipped).map(|(at, line)| format!("{:>10.3} s  {line}", at.since(EPOCH).as_secs_f64()));
    let schedule = &world.schedule;
    let head = format!(
        "seed {}: {:?} of width {}, {} jobs, {} reconciler, calm after {:?}, over after {:?}{}",
        schedule.seed,
        schedule.shape,
        schedule.width,
        schedule.submissions.len(),
        if schedule.has_reconciler { "a" } else { "no" },
        schedule.calm_at,
        world.sim.now().since(EPOCH),
        if skipped > 0 { format!("; {skipped} lines before these") } else { String::new() }
    );
    core::iter::once(head).chain(told).collect()
}

fn write_line(write: &qsketch_core::Write) -> String {
    use qsketch_core::Write;
    match write {
        Write::Task { task, set, .. } => {
            let lease = set.lease.as_ref().map(|lease| lease.until.to_string());
            let ended = set.attempts.last().map(|last| (last.attempt, last.outcome));
            format!(
                "{} {task}, attempt {}, lease {lease:?}, charged {}, last ended {ended:?}",
                write.kind(),
                set.attempt,
                set.charged
            )
        }
        Write::Record { task, done, close, .. } => {
            format!("record {task}, attempt {}, closes {:?}", done.attempt, close.as_ref().map(|close| close.verdict))
        }
        Write::RecordFinal { task, done, .. } => format!("record {task}, attempt {}", done.attempt),
        Write::RecordElement { shard, element, done, .. } => {
            format!("record element {element} in {shard}, attempt {}", done.attempt)
        }
        Write::Close { closing, entry } => format!("close {closing} as {:?} for {:?}", entry.verdict, entry.task),
        Write::Look { next, .. } => format!("look again {next:?}"),
        other => other.kind().to_owned(),
    }
}
