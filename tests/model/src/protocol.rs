//! The protocol of one configuration: its start, and the state after an action.

use std::sync::{Mutex, MutexGuard};

use qsketch_core::decide::{Act, Drive, Step, start_message};
use qsketch_core::ids::{JobId, ShardId, TaskId, Tenant, Which};
use qsketch_core::message::Message;
use qsketch_core::parts::{Done, Job, JobStatus};
use qsketch_core::pipeline::Pipeline;
use qsketch_core::time::Time;
use qsketch_core::{route, wait};

use crate::action::{self, Action};
use crate::book::{Book, LATE, Me, NOW};
use crate::config::{Broken, Config, Symmetry, WAIT_AFTER, WIDTH, tasks_of};
use crate::state::{ABSENT, COPIES, Copied, SHARDS, SLOTS, Signal, Slot, State, TASKS, number};
use crate::turn::Turn;

/// The protocol of one configuration.
#[derive(Debug)]
pub struct Protocol {
    /// The configuration.
    pub config: Config,
    /// Every task, the finalizer's last.
    pub tasks: Vec<TaskId>,
    /// Every shard of records.
    pub shards: Vec<ShardId>,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The job as intake writes it.
    pub job: Job,
    book: Mutex<Book>,
}

impl Protocol {
    /// The protocol of this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let pipeline = config.graph.pipeline().expect("a modelled graph passes the checks");
        let (id, tenant) = (JobId::try_from("job").expect("an id"), Tenant::try_from("tenant").expect("a tenant"));
        let job = Job::begun(id, tenant, &pipeline, NOW);
        let book = Mutex::new(Book::new(pipeline.clone(), config.broken));
        let closings = if config.is_redriven() { 2 } else { 1 };
        let tasks = tasks_of(&pipeline, closings);
        let shards = shards_of(&pipeline, &tasks, &job, closings);
        assert!(shards.len() <= SHARDS, "the state has room for the shards");
        assert!(tasks.len() <= TASKS && config.processes.len() <= SLOTS, "the state has room for the configuration");
        Self { config, tasks, shards, pipeline, job, book }
    }

    /// The book of real values.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panicked with the book")
    }

    /// The job right after intake: its parts are written, its first message is sent.
    #[must_use]
    pub fn start(&self) -> State {
        let first = start_message(&self.pipeline, &self.job);
        let mut state = State {
            slots: [Slot::default(); SLOTS],
            job: self.book().job(self.job.clone()),
            tasks: [ABSENT; TASKS],
            shards: [ABSENT; SHARDS],
            left: [ABSENT; TASKS],
            copies: [[Copied::None; COPIES]; TASKS],
            signal: if self.has_signals() { Signal::NotYet } else { Signal::Sent },
            is_cancel_cut_off: false,
            faults: self.config.faults,
            is_late: false,
            broken: None,
        };
        state.add_copy(self.index_of(&first), Copied::Fresh);
        state
    }

    /// Whether a step waits. A job that does may have no message at all.
    #[must_use]
    pub fn has_waits(&self) -> bool {
        self.pipeline.waits().next().is_some()
    }

    /// Whether a step waits for a signal.
    fn has_signals(&self) -> bool {
        self.pipeline.waits().any(|(_, wait)| wait.signal.is_some())
    }

    /// When a sweep may find something due of a job's waits: none where there is none, nor a reconciler. A timer fires before
    /// any deadline passes, so that it costs no fault.
    #[must_use]
    pub fn sweep_time(&self, is_late: bool) -> Option<Time> {
        let has_timer = self.pipeline.waits().any(|(_, wait)| wait.after.is_some());
        let at = if is_late { LATE } else { NOW.plus(WAIT_AFTER) };
        let looks = self.has_waits() && (is_late || has_timer) && self.config.broken != Some(Broken::NobodyLooks);
        looks.then_some(at)
    }

    /// Whether somebody has something to do that no message says: the signal, a cancellation once more, a sweep.
    #[must_use]
    pub fn is_up_to_somebody(&self, book: &Book, state: &State) -> bool {
        let is_due = |at| wait::due(&self.pipeline, book.job_at(state.job), at).is_some();
        if state.is_cancel_cut_off || self.sweep_time(state.is_late).is_some_and(is_due) {
            return true;
        }
        match state.signal {
            Signal::NotYet => book.job_at(state.job).status == JobStatus::Running,
            Signal::Recorded(_) | Signal::CutOff => true,
            Signal::Sent => false,
        }
    }

    /// Whether the job is closed and its notification recorded.
    #[must_use]
    pub fn is_over(&self, book: &Book, state: &State) -> bool {
        let job = book.job_at(state.job);
        let told = self.tasks.get(self.finalizer() + job.closing as usize);
        job.status != JobStatus::Running && told.is_some_and(|told| job.done.contains_key(told))
    }

    /// The state after an action; none when it changes nothing.
    #[must_use]
    pub fn after(&self, book: &mut Book, state: &State, action: Action) -> Option<State> {
        let mut turn = Turn { protocol: self, book, before: state, state: *state };
        turn.state.faults -= action::cost(turn.book, state, action);
        if !turn.act(action) {
            return None;
        }
        turn.check();
        turn.forget();
        if self.config.symmetry == Symmetry::Merged {
            turn.merge();
        }
        (turn.state != *state).then_some(turn.state)
    }

    /// The number of the finalizer's task of the first closing: every task before it is a step's.
    #[must_use]
    pub fn finalizer(&self) -> usize {
        self.tasks.len() - if self.config.is_redriven() { 2 } else { 1 }
    }

    /// The number of a shard.
    #[must_use]
    pub fn number_of(&self, shard: &ShardId) -> Option<usize> {
        self.shards.iter().position(|known| known == shard)
    }

    /// Whether a task's record stands in a shard.
    #[must_use]
    pub fn is_sharded(&self, task: usize) -> bool {
        !self.shards.is_empty() && self.tasks.get(task).is_some_and(|task| matches!(task.which(), Which::Element(_)))
    }

    /// The number of the shard that a drive looks into.
    #[must_use]
    pub fn shard_for(&self, drive: &Drive) -> Option<usize> {
        self.number_of(&drive.shard_to_load(&self.pipeline)?)
    }

    /// A task's record in a state.
    #[must_use]
    pub fn record_of<'a>(&self, book: &'a Book, state: &State, task: usize) -> Option<&'a Done> {
        let shard = |id: &ShardId| book.shard_at(state.shards[self.number_of(id)?]);
        route::record_of(&self.pipeline, &self.tasks[task], book.job_at(state.job), shard)
    }

    /// The number of a message's task.
    #[must_use]
    pub fn index_of(&self, message: &Message) -> usize {
        self.tasks.iter().position(|task| *task == message.task).expect("a message to a task of the job")
    }

    /// The owner of the deliveries in a slot.
    #[must_use]
    pub fn me(&self, slot: usize) -> Me {
        match self.config.broken {
            Some(Broken::OwnerPerProcess) => Me(self.config.processes[slot]),
            _ => Me(number(slot)),
        }
    }
}

/// The shards of all wide steps, once every list is known.
fn shards_of(pipeline: &Pipeline, tasks: &[TaskId], job: &Job, generations: u32) -> Vec<ShardId> {
    let mut known = job.clone();
    let list = Done { attempt: 1, at: NOW, width: Some(WIDTH), payload: None };
    known.done = tasks.iter().map(|task| (task.clone(), list.clone())).collect();
    let spans = pipeline.steps().iter().flat_map(|step| route::spans_of(pipeline, step, &known));
    let of = |shard: ShardId| {
        (0..generations).map(move |of| ShardId::new(shard.step().clone(), of, shard.index())).collect::<Vec<_>>()
    };
    spans.flat_map(|span| of(span.shard)).collect()
}

/// What a drive does when it settles: the tasks to send to, then the last act, in this order but for one variant.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The tasks to send to.
    pub sends: Vec<usize>,
    /// The last act.
    pub end: Act,
}

/// The plan of a settling step.
#[must_use]
pub fn plan(protocol: &Protocol, step: &Step) -> Plan {
    let Step::Settle(acts) = step else { panic!("no acts: {step:?}") };
    let (end, sends) = acts.split_last().expect("acts end with what becomes of the message");
    let sends = sends.iter().flat_map(|act| match act {
        Act::Send(messages) => messages.iter().map(|message| protocol.index_of(message)).collect::<Vec<_>>(),
        other => panic!("not the last act: {other:?}"),
    });
    Plan { sends: sends.collect(), end: end.clone() }
}
