//! A state of the model: small, copied, compared and hashed as it is. The real parts, drives and steps stand behind
//! its numbers, in the [`crate::book::Book`].

/// The most tasks of a modelled job.
pub const TASKS: usize = 5;

/// The most shards of records of a modelled job.
pub const SHARDS: usize = 2;

/// The most drives at a time.
pub const SLOTS: usize = 3;

/// The most copies of one message; a send that finds as many changes nothing.
pub const COPIES: usize = 2;

/// No part: nobody has claimed the task, or recorded anything in the shard, yet.
pub const ABSENT: u16 = 0;

/// What a drive is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// There is no drive.
    #[default]
    Idle,
    /// `Step::ClaimBesideLoad`: claim and load, in either order.
    ClaimBesideLoad,
    /// `Step::Load`: job, task and, of a wide step, shard, in any order.
    Load,
    /// `Step::LoadJob`: job and, of a wide step, shard, in either order.
    LoadJob,
    /// `Step::Commit`.
    Commit,
    /// `Step::BeAlone`: it has no seat, and waits for all of them.
    Alone,
    /// `Step::Work`.
    Work,
    /// `Step::Settle`.
    Settle,
}

/// What a drive has in its hands of the answers that it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answers {
    /// The job as it was read.
    pub job: Option<u16>,
    /// The task as it was read, or as the claim left or found it.
    pub task: Option<u16>,
    /// Whether the claim was written.
    pub is_written: bool,
    /// The shard as it was read.
    pub shard: Option<u16>,
}

/// One drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// What it is about to do.
    pub phase: Phase,
    /// The task of its message.
    pub task: u8,
    /// The next act, while it settles.
    pub act: u8,
    /// The real `Drive`, by number; 0 while it settles, for nothing asks it any more.
    pub drive: u32,
    /// The real `Step`, by number; the plan of acts while it settles.
    pub step: u32,
    /// The answers so far.
    pub answers: Answers,
    /// Whether its task was recorded already when it was claimed.
    pub was_recorded: bool,
    /// Whether it has its process to itself.
    pub is_alone: bool,
    /// Whether somebody but a drive has sent messages anew since it received its own: its receipt is of none of those.
    pub is_outdated: bool,
}

/// One copy of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Copied {
    /// There is none.
    #[default]
    None,
    /// Visible, never received.
    Fresh,
    /// Visible, received before.
    Again,
    /// Received, and hidden for the drive in this slot.
    Held(u8),
}

/// How far whoever sends the signal has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// The signal is still to be sent.
    #[default]
    NotYet,
    /// It is recorded; the messages that are due of the job of this number are still to be sent.
    Recorded(u16),
    /// Its sender died with those in hand: it is to be sent again.
    CutOff,
    /// Its sender has heard that it was taken, and sends it no more. So it is where nothing waits.
    Sent,
}

/// A state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// The drives. First, so that the order of two states that differ in them is cheap to tell.
    pub slots: [Slot; SLOTS],
    /// The part `job`, by number.
    pub job: u16,
    /// The parts `task:…`, by number plus one; [`ABSENT`] where there is none.
    pub tasks: [u16; TASKS],
    /// The parts `done:…`, by number plus one; [`ABSENT`] where there is none.
    pub shards: [u16; SHARDS],
    /// What the parent of a process that died is about to write of each task, by number plus one: it has read all that it
    /// needs, and may carry it out at any time, or never.
    pub left: [u16; TASKS],
    /// The copies of each task's message, in order.
    pub copies: [[Copied; COPIES]; TASKS],
    /// How far whoever sends the signal has come.
    pub signal: Signal,
    /// Whether whoever canceled a job with a wait died before the notification was sent: it is to be canceled again.
    pub is_cancel_cut_off: bool,
    /// How many faults may still happen.
    pub faults: u8,
    /// Whether every deadline has passed.
    pub is_late: bool,
    /// The first promise that was broken on the way here.
    pub broken: Option<crate::promise::Promise>,
}

impl State {
    /// The copies of a task's message, in order again after a change.
    pub fn sort_copies(&mut self, task: usize) {
        self.copies[task].sort_unstable();
    }

    /// Adds a copy of a task's message, where there is room for it.
    pub fn add_copy(&mut self, task: usize, copy: Copied) {
        if let Some(free) = self.copies[task].iter_mut().find(|copy| **copy == Copied::None) {
            *free = copy;
        }
        self.sort_copies(task);
    }

    /// Adds a copy of a task's message, in the place of an older one where there is no room: those say nothing new.
    pub fn add_newer_copy(&mut self, task: usize) {
        if !self.copies[task].contains(&Copied::None) {
            self.copies[task][0] = Copied::None;
        }
        self.add_copy(task, Copied::Fresh);
    }

    /// The place of the copy that this slot received, while it is hidden for it.
    #[must_use]
    pub fn own_copy(&self, slot: usize) -> Option<usize> {
        let task = usize::from(self.slots[slot].task);
        self.copies[task].iter().position(|copy| *copy == Copied::Held(number(slot)))
    }

    /// Makes the slot's message visible again, where it is still hidden for it.
    pub fn reveal(&mut self, slot: usize) {
        let task = usize::from(self.slots[slot].task);
        if let Some(place) = self.own_copy(slot) {
            self.copies[task][place] = Copied::Again;
            self.sort_copies(task);
        }
    }

    /// Whether a message is visible or a drive is on its way.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        let busy = self.slots.iter().any(|slot| slot.phase != Phase::Idle);
        busy || self.copies.iter().flatten().any(|copy| *copy != Copied::None)
    }
}

/// A small index as it stands in a state.
#[must_use]
pub fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}
