//! An action as a person reads it.

use qsketch_core::decide::{Act, Step};
use qsketch_core::parts::Job;

use crate::action::{Action, End, From, Reply};
use crate::book::{Book, is_live};
use crate::config::Broken;
use crate::protocol::{Protocol, plan};
use crate::state::{Copied, Phase, State};

/// An action and what it did, in one line.
#[must_use]
pub fn tell(protocol: &Protocol, before: &State, action: Action, after: &State) -> String {
    let book = protocol.book();
    let name = |task: u8| protocol.tasks[usize::from(task)].to_string();
    let of = |slot: u8| name(before.slots[usize::from(slot)].task);
    let who = |slot: u8| format!("w{slot}");
    let told = match action {
        Action::Deliver { task, copy, slot } | Action::DeliverOld { task, copy, slot } => {
            let is_old = matches!(action, Action::DeliverOld { .. });
            let is_first = before.copies[usize::from(task)][usize::from(copy)] == Copied::Fresh;
            let times = if is_first { "for the first time" } else { "again" };
            let sent = if is_old { ", sent before the redrive" } else { "" };
            format!("{} receives {} {times}{sent}", who(slot), name(task))
        }
        Action::Claim(slot, reply) => {
            format!("{} claims {}: {}{}", who(slot), of(slot), tell_part(&book, before, after, slot), lost(reply))
        }
        Action::ReadJob(slot)
            if protocol.config.broken == Some(Broken::NoSecondLoad)
                && before.slots[usize::from(slot)].phase == Phase::LoadJob =>
        {
            format!("{} does not load again (the job is now {})", who(slot), tell_job(book.job_at(before.job)))
        }
        Action::ReadJob(slot) => format!("{} reads the job: {}", who(slot), tell_job(book.job_at(before.job))),
        Action::ReadTask(slot) => {
            let task = usize::from(before.slots[usize::from(slot)].task);
            format!("{} reads task {}: {}", who(slot), of(slot), part(&book, before.tasks[task]))
        }
        Action::ReadShard(slot) => {
            let drive = book.drives.value(before.slots[usize::from(slot)].drive);
            let shard = protocol.shard_for(drive).unwrap_or_default();
            let (id, read) = (&protocol.shards[shard], tell_shard(&book, before.shards[shard]));
            format!("{} reads shard {id}: {read}", who(slot))
        }
        Action::Commit(slot, reply) => {
            let step = book.steps.value(before.slots[usize::from(slot)].step);
            let kind = match step {
                Step::Commit(write) => write.kind(),
                _ => "?",
            };
            format!("{} writes ({kind}, {}): {}{}", who(slot), of(slot), changes(&book, before, after), lost(reply))
        }
        Action::Work(slot, end, reply) => {
            let end = match end {
                End::Done => "is done with",
                End::Failed => "fails at",
                End::Overloaded => "meets an overload at",
                End::FailedForGood => "fails for good at",
                End::TimedOut => "runs out of time at",
                End::Stopped => "is told to stop at",
            };
            let attempt = match book.steps.value(before.slots[usize::from(slot)].step) {
                Step::Work { attempt, .. } => *attempt,
                _ => 0,
            };
            let written = changes(&book, before, after);
            format!("{} {end} {} attempt {attempt} and writes it: {written}{}", who(slot), of(slot), lost(reply))
        }
        Action::Stop(slot) => format!("{} is told to stop at {}, and waits for no answer", who(slot), of(slot)),
        Action::Beat(slot) => format!("{} heartbeats at {}: {}", who(slot), of(slot), changes(&book, before, after)),
        Action::Send(slot, reply) => {
            let at = before.slots[usize::from(slot)];
            let sends = plan(protocol, book.steps.value(at.step)).sends;
            let to = sends.get(usize::from(at.act)).or(sends.last()).map_or(0, |to| *to);
            format!("{} sends {}{}", who(slot), protocol.tasks[to], lost(reply))
        }
        Action::Settle(slot, stale) => {
            let at = before.slots[usize::from(slot)];
            let end = match plan(protocol, book.steps.value(at.step)).end {
                Act::Acknowledge => "acknowledges",
                Act::Hide(_) => "hides",
                Act::GiveBack => "gives back",
                Act::LetGo => "lets go of",
                Act::DeadLetter(_) => "moves to the dead letters",
                Act::Send(_) | Act::Vacate => panic!("not a last act"),
            };
            let receipt = if stale.is_some() { " with a stale receipt that still deletes" } else { "" };
            format!("{} {end} {}{receipt}", who(slot), of(slot))
        }
        Action::LeaseLapse(task) => format!("the lease of {} lapses", name(task)),
        Action::WaitOver(task) => format!("the wait before {} is over", name(task)),
        Action::VisibilityLapse(task, _) => format!("the message of {} becomes visible again", name(task)),
        Action::Duplicate(task) => format!("the message of {} is there a second time", name(task)),
        Action::Crash(process) => format!("process {process} crashes"),
        Action::GiveBack(task) => {
            format!("the dead process's parent gives {} back: {}", name(task), changes(&book, before, after))
        }
        Action::Alone(slot) => format!("{} has its process to itself for {}", who(slot), of(slot)),
        Action::Crowded(slot) => format!("{} does not get its process to itself for {}", who(slot), of(slot)),
        Action::Late => "every deadline passes".to_owned(),
        Action::Cancel(Reply::Arrives) => "somebody cancels the job and sends its notification".to_owned(),
        Action::Cancel(_) => "somebody cancels the job and dies before sending its notification".to_owned(),
        Action::Redrive(From::Failure) => format!("somebody redrives the job: {}", changes(&book, before, after)),
        Action::Redrive(From::Step) => {
            format!("somebody redrives the job from its second step: {}", changes(&book, before, after))
        }
        Action::Pause => "somebody pauses the job".to_owned(),
        Action::Resume => "somebody resumes the job".to_owned(),
        Action::Signal => format!("somebody sends the signal: {}", tell_job(book.job_at(after.job))),
        Action::SendSignaled(Reply::Arrives) => "they send what the signal made ready".to_owned(),
        Action::SendSignaled(_) => "they die before they send what the signal made ready".to_owned(),
        Action::CancelAgain => "they cancel the job again, which sends its notification".to_owned(),
        Action::Look => format!("a sweep does what is due: {}", changes(&book, before, after)),
    };
    told + &begins(&book, protocol, before, after)
}

const fn lost(reply: Reply) -> &'static str {
    match reply {
        Reply::Arrives => "",
        Reply::Lost => ", the reply is lost: it will ask again",
        Reply::GivenUp => ", the reply is lost and the drive gives up",
    }
}

fn begins(book: &Book, protocol: &Protocol, before: &State, after: &State) -> String {
    let mut told = String::new();
    for (old, new) in before.slots.iter().zip(&after.slots) {
        if new.phase == Phase::Work
            && (old.phase, old.step) != (new.phase, new.step)
            && let Step::Work { attempt, .. } = book.steps.value(new.step)
        {
            told = format!(" → works on {} attempt {attempt}", protocol.tasks[usize::from(new.task)]);
        }
    }
    told
}

fn tell_job(job: &Job) -> String {
    let done = job.done.iter().map(|(task, done)| format!("{task}={}", done.attempt));
    let done: Vec<_> = done.chain(job.folded.keys().map(|shard| format!("all of {shard}"))).collect();
    format!("{} [{}]", job.status.as_str(), done.join(" "))
}

fn tell_shard(book: &Book, number: u16) -> String {
    let Some(shard) = book.shard_at(number) else { return "none".to_owned() };
    let done = shard.done.iter().map(|(element, done)| format!("#{element}={}", done.attempt));
    let closed = shard.closed.keys().map(|element| format!("tombstone of #{element}"));
    format!("[{}]", done.chain(closed).collect::<Vec<_>>().join(" "))
}

fn part(book: &Book, number: u16) -> String {
    let Some(task) = book.task_at(number) else { return "none".to_owned() };
    let lease = match &task.lease {
        Some(lease) if is_live(task) => format!("held by {}", lease.owner),
        Some(lease) => format!("lapsed, of {}", lease.owner),
        None => "ended".to_owned(),
    };
    format!("attempt {} {lease}, {} charged", task.attempt, task.charged)
}

fn tell_part(book: &Book, before: &State, after: &State, slot: u8) -> String {
    let task = usize::from(before.slots[usize::from(slot)].task);
    if before.tasks[task] == after.tasks[task] {
        return format!("refused, {}", part(book, after.tasks[task]));
    }
    part(book, after.tasks[task])
}

fn changes(book: &Book, before: &State, after: &State) -> String {
    if before.job != after.job {
        return tell_job(book.job_at(after.job));
    }
    if let Some((_, new)) = before.shards.iter().zip(&after.shards).find(|(old, new)| old != new) {
        return tell_shard(book, *new);
    }
    let changed = before.tasks.iter().zip(&after.tasks).find(|(old, new)| old != new);
    changed.map_or_else(|| "refused".to_owned(), |(_, new)| part(book, *new))
}
