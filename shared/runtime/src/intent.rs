//! What a worker's process tells its parent before it does it, so that its work can be given back when it dies.
//!
//! ```text
//!   begin (queue, receipt, job, task) ─► claim (attempt, owner) ─► group … group ended ─► settled (receipt)
//!        └── before it drives the delivery  └── before it is written                          └── the intent is taken back
//! ```
//! One line of JSON each. What is in the socket when the process dies is still read, so a word that was said is never lost
//! with its speaker. A word too many does no harm: whoever gives back looks at the items first.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{Claim, JobId, Message, Owner, TaskId};
use serde::{Deserialize, Serialize};

use crate::config::CONCURRENCY_MAX;
use crate::ports::{Delivery, QueueName, Receipt};

/// The most deliveries that a parent keeps in mind: those of four poll loops. What is beyond waits for its lease.
pub const INTENTS_MAX: usize = 4 * CONCURRENCY_MAX;

/// How long a word may take while the parent does not read: it reads all the time, unless it is stopped.
const SAY_MAX: Duration = Duration::from_millis(200);

/// One word from a process to its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// It begins to drive a delivery; again with the same receipt for a task that is handed on under the same message.
    Begin { queue: String, receipt: String, message_id: String, job: JobId, task: TaskId, pipeline: PipelineHash },
    /// It is about to claim a task.
    Claim { receipt: String, task: TaskId, attempt: u32, owner: Owner },
    /// The delivery has its fate.
    Settled { receipt: String },
    /// A process group was started.
    Group(i32),
    /// A process group has ended.
    GroupEnded(i32),
}

/// Tells the parent of this process what it is about to do, and which process groups there are; without a parent, nobody.
#[derive(Clone, Default)]
pub struct Announcer(Option<Arc<Mutex<Voice>>>);

struct Voice {
    sink: Box<dyn io::Write + Send>,
    /// Whether the last word may have been said in part: the next one begins a line of its own.
    is_torn: bool,
}

impl core::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Announcer").field(&self.0.is_some()).finish()
    }
}

impl Announcer {
    /// An announcer that writes its lines into `sink`.
    #[must_use]
    pub fn new(sink: impl io::Write + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(Voice { sink: Box::new(sink), is_torn: false }))))
    }

    /// A delivery is about to be driven.
    pub fn begin(&self, queue: &QueueName, delivery: &Delivery, message: &Message) {
        self.say(|| Word::Begin {
            queue: queue.to_string(),
            receipt: delivery.receipt.0.clone(),
            message_id: delivery.message_id.clone(),
            job: message.job.clone(),
            task: message.task.clone(),
            pipeline: message.pipeline.clone(),
        });
    }

    /// A claim is about to be written.
    pub fn claim(&self, delivery: &Delivery, claim: Claim) {
        let Claim { task, attempt, owner } = claim;
        self.say(|| Word::Claim { receipt: delivery.receipt.0.clone(), task, attempt, owner });
    }

    /// A delivery has its fate: nothing is left to give back.
    pub fn settled(&self, delivery: &Delivery) {
        self.say(|| Word::Settled { receipt: delivery.receipt.0.clone() });
    }

    pub(crate) fn group(&self, group: i32) {
        self.say(|| Word::Group(group));
    }

    pub(crate) fn group_ended(&self, group: i32) {
        self.say(|| Word::GroupEnded(group));
    }

    fn say(&self, word: impl FnOnce() -> Word) {
        let Some(voice) = &self.0 else { return };
        let word = word();
        let mut voice = voice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = if voice.is_torn { b"\n".to_vec() } else { Vec::new() };
        let said = serde_json::to_writer(&mut line, &word).map_err(io::Error::from).and_then(|()| {
            line.push(b'\n');
            voice.sink.write_all(&line)
        });
        voice.is_torn = said.is_err();
        if let Err(error) = said {
            tracing::warn!(%error, ?word, "the parent could not be told: should this process die, a lease must lapse");
        }
    }
}

/// The socket to the parent. It does not block, for others listen on it; who speaks waits a bounded time for room.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) UnixStream);

impl io::Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => return answer,
            }
            let wait = PollTimeout::try_from(SAY_MAX).unwrap_or(PollTimeout::ZERO);
            let mut room = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut room, wait)? == 0 {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A delivery that a process has begun to drive and not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The queue.
    pub queue: QueueName,
    /// The receipt.
    pub receipt: Receipt,
    /// The queue's own id of the message.
    pub message_id: String,
    /// The job.
    pub job: JobId,
    /// The job's pipeline.
    pub pipeline: PipelineHash,
    /// The message's task, and those handed on under it; each with its last claim, which may have been written or not.
    pub tasks: BTreeMap<TaskId, Option<Claim>>,
}

/// What a parent has heard of its child.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    groups: BTreeSet<i32>,
    intents: BTreeMap<String, Intent>,
}

impl Ledger {
    /// Takes in a line; one that can't be read is passed over.
    pub fn hear(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Word::Begin { queue, receipt, message_id, job, task, pipeline }) => {
                if let Some(known) = self.intents.get_mut(&receipt) {
                    known.tasks.entry(task).or_insert(None);
                } else if self.intents.len() < INTENTS_MAX {
                    let (queue, tasks) = (QueueName::new(&queue), BTreeMap::from([(task, None)]));
                    let of = Receipt(receipt.clone());
                    self.intents.insert(receipt, Intent { queue, receipt: of, message_id, job, pipeline, tasks });
                }
            }
            Ok(Word::Claim { receipt, task, attempt, owner }) => {
                if let Some(known) = self.intents.get_mut(&receipt) {
                    known.tasks.insert(task.clone(), Some(Claim { task, attempt, owner }));
                }
            }
            Ok(Word::Settled { receipt }) => drop(self.intents.remove(&receipt)),
            Ok(Word::Group(group)) => drop(self.groups.insert(group)),
            Ok(Word::GroupEnded(group)) => drop(self.groups.remove(&group)),
            Err(error) => tracing::debug!(%error, "a word of the worker could not be read"),
        }
    }

    /// The process groups that have not ended.
    #[must_use]
    pub const fn groups(&self) -> &BTreeSet<i32> {
        &self.groups
    }

    /// The deliveries that are not settled.
    #[must_use]
    pub fn into_intents(self) -> Vec<Intent> {
        self.intents.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    type Tried<T> = Result<T, Box<dyn std::error::Error>>;

    fn delivery(receipt: &str) -> Delivery {
        Delivery {
            message_id: "m".to_owned(),
            receipt: Receipt(receipt.to_owned()),
            receives: 1,
            body: String::new(),
            attributes: std::collections::BTreeMap::new(),
            group: None,
            sent_at: None,
            hidden_for: None,
        }
    }

    fn message(task: &str) -> Tried<Message> {
        let spec = |name| qsketch_core::StepSpec::new(name);
        let pipeline = qsketch_core::Pipeline::builder("p").step(spec("a")).finalizer(spec("z")).build()?;
        let (id, tenant) = (JobId::try_from("j")?, qsketch_core::Tenant::try_from("t")?);
        let job = qsketch_core::Job::begun(id, tenant, &pipeline, qsketch_core::Time(1_000));
        Ok(Message::to(&pipeline, &job, task.parse()?))
    }

    fn claim(task: &str, attempt: u32) -> Tried<Claim> {
        Ok(Claim { task: task.parse()?, attempt, owner: Owner::try_from("me")? })
    }

    #[test]
    fn what_is_not_settled_is_left_with_its_last_claim_and_the_tasks_handed_on_under_it() -> Tried<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let announcer = Announcer::new(Socket(theirs));
        let queue = QueueName::new("a");
        for receipt in ["one", "two", "three"] {
            announcer.begin(&queue, &delivery(receipt), &message("a")?);
        }
        announcer.claim(&delivery("one"), claim("a", 1)?);
        announcer.claim(&delivery("one"), claim("a", 2)?);
        announcer.begin(&queue, &delivery("one"), &message("z@0")?);
        announcer.claim(&delivery("two"), claim("a", 1)?);
        announcer.settled(&delivery("two"));
        announcer.group(7);
        announcer.group(8);
        announcer.group_ended(7);
        drop(announcer);
        let mut ledger = Ledger::default();
        for line in BufReader::new(ours).lines() {
            ledger.hear(&line?);
        }
        ledger.hear("{\"claim\": torn");
        assert_eq!(ledger.groups(), &BTreeSet::from([8]));
        let left = ledger.into_intents();
        let tasks: Vec<_> = left.iter().map(|intent| (intent.receipt.0.as_str(), intent.tasks.clone())).collect();
        let one = BTreeMap::from([("a".parse()?, Some(claim("a", 2)?)), ("z@0".parse()?, None)]);
        assert_eq!(tasks, [("one", one), ("three", BTreeMap::from([("a".parse()?, None)]))]);
        Ok(())
    }

    #[test]
    fn a_parent_that_does_not_read_holds_nobody_up_for_long_and_hears_whole_words_afterwards() -> Tried<()> {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let mut socket = Socket(theirs.try_clone()?);
        let announcer = Announcer::new(Socket(theirs));
        // Fill the socket, then say something that has no room.
        while io::Write::write(&mut socket, &[b'x'; 4_096]).is_ok() {}
        announcer.group(1);
        let drained = std::thread::spawn(move || {
            let mut ledger = Ledger::default();
            for line in BufReader::new(ours).lines().map_while(Result::ok) {
                ledger.hear(&line);
            }
            ledger
        });
        announcer.group(2);
        drop((announcer, socket));
        let ledger = drained.join().map_err(|_| "the reader panicked")?;
        assert_eq!(ledger.groups(), &BTreeSet::from([2]));
        Ok(())
    }
}
