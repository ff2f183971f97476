//! What may happen next in a state.

use qsketch_core::parts::JobStatus;

use crate::book::{Book, is_gone, is_live};
use crate::config::{Broken, Config, Fault};
use crate::protocol::Protocol;
use crate::state::{ABSENT, COPIES, Copied, Phase, Signal, State, number};

/// How the work of an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It is done.
    Done,
    /// It failed, and may be tried again.
    Failed,
    /// It met an overload.
    Overloaded,
    /// It failed for good.
    FailedForGood,
    /// It ran into its start-to-close timeout.
    TimedOut,
    /// Its worker was told to stop.
    Stopped,
}

/// What becomes of the reply to a write or a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It arrives.
    Arrives,
    /// It is lost, and the shell asks again.
    Lost,
    /// It is lost, and the shell gives the drive up.
    GivenUp,
}

/// What happens. Slots, tasks and copies by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A copy of a task's message is received into a slot.
    Deliver {
        /// The task.
        task: u8,
        /// The copy.
        copy: u8,
        /// The slot.
        slot: u8,
    },
    /// The same, of a copy that was sent before the job was redriven.
    DeliverOld {
        /// The task.
        task: u8,
        /// The copy.
        copy: u8,
        /// The slot.
        slot: u8,
    },
    /// The claim beside a load is carried out.
    Claim(u8, Reply),
    /// The job is read.
    ReadJob(u8),
    /// The task is read.
    ReadTask(u8),
    /// The shard that may hold the task's record is read.
    ReadShard(u8),
    /// A write that is waiting is carried out.
    Commit(u8, Reply),
    /// The work ends, and the write that follows from it is carried out.
    Work(u8, End, Reply),
    /// A worker is told to stop while its drive waits for an answer, which it then ignores.
    Stop(u8),
    /// A heartbeat that changes something: it renews a lapsed lease, or ends the work.
    Beat(u8),
    /// The next message is sent.
    Send(u8, Reply),
    /// The last act: what becomes of the message. With a stale receipt this copy is deleted, if any.
    Settle(u8, Option<u8>),
    /// The lease of a task lapses.
    LeaseLapse(u8),
    /// The wait before a task's next attempt is over.
    WaitOver(u8),
    /// A hidden copy becomes visible, although its receiver is still at it.
    VisibilityLapse(u8, u8),
    /// A second copy appears, as of a message that was never received.
    Duplicate(u8),
    /// A process dies.
    Crash(u8),
    /// The parent of a process that died carries out what it was about to write of a task.
    GiveBack(u8),
    /// A drive that waits for it has its process to itself.
    Alone(u8),
    /// A drive gives up waiting for that.
    Crowded(u8),
    /// Every deadline passes.
    Late,
    /// The job is canceled, and its notification sent; when the reply is lost, whoever cancels died in between.
    Cancel(Reply),
    /// The job is redriven, and its ready tasks are sent.
    Redrive(From),
    /// The job is paused.
    Pause,
    /// The job is resumed, and its ready tasks are sent.
    Resume,
    /// The signal is recorded.
    Signal,
    /// What it made ready is sent; when the reply is lost, its sender died before that.
    SendSignaled(Reply),
    /// Whoever canceled the job, and heard nothing of it, cancels it again: its notification is sent.
    CancelAgain,
    /// Whoever sweeps over the open jobs does what is due of its waits.
    Look,
}

/// From where a job is redriven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// From what failed.
    Failure,
    /// From its second step, or from its only one.
    Step,
}

/// The faults that an action is: none, one, or a failure whose write's reply is lost as well.
#[must_use]
pub fn faults(book: &Book, state: &State, action: Action) -> [Option<Fault>; 2] {
    let lost = |reply| match reply {
        Reply::Arrives => None,
        Reply::Lost => Some(Fault::LostReply),
        Reply::GivenUp => Some(Fault::Dropped),
    };
    let one = match action {
        Action::Work(_, end, reply) => {
            let of_work = match end {
                End::Done => None,
                End::Failed => Some(Fault::Failure),
                End::Overloaded => Some(Fault::Overload),
                End::FailedForGood => Some(Fault::FinalFailure),
                End::TimedOut => Some(Fault::Timeout),
                End::Stopped => Some(Fault::Stop),
            };
            return [of_work, lost(reply)];
        }
        Action::Claim(_, reply) | Action::Commit(_, reply) | Action::Send(_, reply) => lost(reply),
        Action::LeaseLapse(task) => {
            let is_dead = book.task_at(state.tasks[usize::from(task)]).is_some_and(is_gone);
            (!is_dead).then_some(Fault::LeaseLapse)
        }
        Action::VisibilityLapse(..) => Some(Fault::VisibilityLapse),
        Action::Duplicate(_) => Some(Fault::Duplicate),
        Action::Crash(_) => Some(Fault::Crash),
        Action::Stop(_) => Some(Fault::Stop),
        Action::Late => Some(Fault::Late),
        Action::Cancel(_) => Some(Fault::Cancel),
        Action::Redrive(From::Failure) => Some(Fault::Redrive),
        Action::Redrive(From::Step) => Some(Fault::RedriveFrom),
        Action::Pause => Some(Fault::Pause),
        Action::SendSignaled(reply) => lost(reply),
        Action::Deliver { .. }
        | Action::DeliverOld { .. }
        | Action::Resume
        | Action::Signal
        | Action::CancelAgain
        | Action::Look
        | Action::ReadJob(_)
        | Action::ReadTask(_)
        | Action::ReadShard(_)
        | Action::Beat(_)
        | Action::Settle(..)
        | Action::GiveBack(_)
        | Action::Alone(_)
        | Action::Crowded(_)
        | Action::WaitOver(_) => None,
    };
    [one, None]
}

/// How many faults an action is.
#[must_use]
pub fn cost(book: &Book, state: &State, action: Action) -> u8 {
    number(faults(book, state, action).into_iter().flatten().count())
}

/// Everything that may happen in a state; some of it may turn out to change nothing.
pub fn list(protocol: &Protocol, book: &Book, state: &State, actions: &mut Vec<Action>) {
    let (config, finalizer) = (&protocol.config, protocol.finalizer());
    if state.broken.is_some() {
        return;
    }
    let tasks = state.tasks.len();
    for slot in 0..config.processes.len() {
        if state.slots[slot].phase == Phase::Alone {
            actions.push(Action::Crowded(number(slot)));
            if config.broken == Some(Broken::NotAlone) || !has_neighbours(config, state, slot) {
                actions.push(Action::Alone(number(slot)));
            }
        }
        of_slot(protocol, state, slot, actions);
    }
    // A finalizer that fails for good goes to the dead letters, on purpose: nothing is left to promise.
    actions.retain(|action| match action {
        Action::Work(slot, End::FailedForGood, _) => {
            let is_final = usize::from(state.slots[usize::from(*slot)].task) >= finalizer;
            !is_final || config.broken == Some(Broken::FinalizerFails)
        }
        _ => true,
    });
    for task in 0..tasks {
        for place in 0..COPIES {
            let copy = state.copies[task][place];
            let is_repeat = place > 0 && state.copies[task][place - 1] == copy;
            if copy == Copied::None || is_repeat {
                continue;
            }
            let is_old = book.job_at(state.job).closing > 0 && task < finalizer;
            deliveries(config, state, task, place, is_old, actions);
        }
        if state.copies[task].contains(&Copied::None) && state.copies[task].iter().any(|copy| *copy != Copied::None) {
            actions.push(Action::Duplicate(number(task)));
        }
        if state.left[task] != ABSENT {
            actions.push(Action::GiveBack(number(task)));
        }
        if let Some(part) = book.task_at(state.tasks[task]) {
            if is_live(part) {
                actions.push(Action::LeaseLapse(number(task)));
            }
            if part.not_before.is_some() {
                actions.push(Action::WaitOver(number(task)));
            }
        }
    }
    let mut processes = config.processes.clone();
    processes.dedup();
    for process in processes {
        let is_busy = (0..config.processes.len())
            .any(|slot| config.processes[slot] == process && state.slots[slot].phase != Phase::Idle);
        if is_busy {
            actions.push(Action::Crash(process));
        }
    }
    if !state.is_late {
        actions.push(Action::Late);
    }
    let job = book.job_at(state.job);
    let is_running = job.status == JobStatus::Running;
    match job.status {
        JobStatus::Running if job.paused.as_ref().is_some_and(|pause| !pause.is_over()) => {
            actions.push(Action::Resume);
        }
        JobStatus::Running => actions.push(Action::Pause),
        // There is room for two closings.
        JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled if job.closings.len() == 1 => {
            actions.extend([Action::Redrive(From::Failure), Action::Redrive(From::Step)]);
        }
        _ => {}
    }
    if is_running || config.broken == Some(Broken::CanceledBlindly) {
        actions.extend([Action::Cancel(Reply::Arrives), Action::Cancel(Reply::GivenUp)]);
    }
    match state.signal {
        Signal::NotYet | Signal::CutOff => actions.push(Action::Signal),
        Signal::Recorded(_) => {
            actions.extend([Action::SendSignaled(Reply::Arrives), Action::SendSignaled(Reply::GivenUp)]);
        }
        Signal::Sent => {}
    }
    if state.is_cancel_cut_off {
        actions.push(Action::CancelAgain);
    }
    if protocol.sweep_time(state.is_late).is_some() {
        actions.push(Action::Look);
    }
    actions.retain(|action| {
        let kinds = faults(book, state, *action);
        cost(book, state, *action) <= state.faults && kinds.iter().flatten().all(|kind| config.kinds.contains(kind))
    });
}

fn of_slot(protocol: &Protocol, state: &State, index: usize, actions: &mut Vec<Action>) {
    let (slot, name) = (state.slots[index], number(index));
    let replies = [Reply::Arrives, Reply::Lost, Reply::GivenUp];
    if matches!(slot.phase, Phase::ClaimBesideLoad | Phase::Load | Phase::LoadJob | Phase::Commit | Phase::Alone) {
        actions.push(Action::Stop(name));
    }
    let is_sharded = protocol.is_sharded(slot.task.into());
    if is_sharded && slot.answers.shard.is_none() && matches!(slot.phase, Phase::Load | Phase::LoadJob) {
        actions.push(Action::ReadShard(name));
    }
    match slot.phase {
        Phase::Idle | Phase::Alone => {}
        Phase::ClaimBesideLoad | Phase::Load => {
            if slot.answers.job.is_none() {
                actions.push(Action::ReadJob(name));
            }
            if slot.answers.task.is_none() && slot.phase == Phase::Load {
                actions.push(Action::ReadTask(name));
            } else if slot.answers.task.is_none() {
                actions.extend(replies.map(|reply| Action::Claim(name, reply)));
            }
        }
        Phase::LoadJob if slot.answers.job.is_none() => actions.push(Action::ReadJob(name)),
        Phase::LoadJob => {}
        Phase::Commit => actions.extend(replies.map(|reply| Action::Commit(name, reply))),
        Phase::Work => {
            for end in [End::Done, End::Failed, End::Overloaded, End::FailedForGood, End::TimedOut, End::Stopped] {
                actions.extend(replies.map(|reply| Action::Work(name, end, reply)));
            }
            actions.push(Action::Beat(name));
        }
        // Which of the two it is, the plan says: the other one changes nothing.
        Phase::Settle => {
            actions.extend([Action::Send(name, Reply::Arrives), Action::Send(name, Reply::Lost)]);
            actions.push(Action::Settle(name, None));
            // A stale receipt deletes a copy of the same message, if there is one; of those it can't be told apart here.
            if state.own_copy(index).is_none() && !slot.is_outdated {
                let copies = (0..COPIES).filter(|place| state.copies[usize::from(slot.task)][*place] != Copied::None);
                actions.extend(copies.map(|place| Action::Settle(name, Some(number(place)))));
            }
        }
    }
}

/// Whether another drive is at work in the same process. One that settles has nothing left to do but to send, and one that
/// gave up waiting to be alone settles without a seat.
pub(crate) fn has_neighbours(config: &Config, state: &State, slot: usize) -> bool {
    (0..config.processes.len()).any(|other| {
        let is_at_work = !matches!(state.slots[other].phase, Phase::Idle | Phase::Alone | Phase::Settle);
        other != slot && config.processes[other] == config.processes[slot] && is_at_work
    })
}

fn deliveries(config: &Config, state: &State, task: usize, place: usize, is_old: bool, actions: &mut Vec<Action>) {
    if let Copied::Held(_) = state.copies[task][place] {
        actions.push(Action::VisibilityLapse(number(task), number(place)));
        return;
    }
    let mut given = [false; crate::state::SLOTS];
    for (slot, process) in config.processes.iter().enumerate() {
        // Idle slots of one process are alike.
        let seen = &mut given[usize::from(*process)];
        // Nobody sits down where one is alone.
        let is_taken =
            (0..config.processes.len()).any(|other| config.processes[other] == *process && state.slots[other].is_alone);
        if state.slots[slot].phase == Phase::Idle && !is_taken && !core::mem::replace(seen, true) {
            let (task, copy, slot) = (number(task), number(place), number(slot));
            actions.push(Action::Deliver { task, copy, slot });
            if is_old {
                actions.push(Action::DeliverOld { task, copy, slot });
            }
        }
    }
}
