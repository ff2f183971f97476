//! The stage that every test here plays on: a small pipeline `a → b#0..2 → c → z`, real workers, a simulated world.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use qsketch_core::decide::start_message;
use qsketch_core::pipeline::{RetryPolicy, Timeouts};
use qsketch_core::{JobId, JobStatus, Pipeline, StepSpec, TaskId, Tenant, Wait, Write};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::crew::Crew;
use qsketch_runtime::intent::{Announcer, Intent, Ledger};
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::{Outgoing, Parts};
use qsketch_runtime::{PortError, Ports, QueueName, Stop, Stopper, Worker, shutdown};
use qsketch_sim::{Call, Process, Sim};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::player::{OUTPUT, Player, Script};

pub use crate::player::{End, Play, Played};

/// How many elements the list of `a` has.
pub const WIDTH: u32 = 3;

/// The tasks of one job, in an order in which they can run.
pub const TASKS: [&str; 6] = ["a", "b#0", "b#1", "b#2", "c", "z@0"];

/// The lease of every step, and for how long a received message is hidden.
pub const LEASE: Duration = Duration::from_secs(30);

/// More simulated time than any test needs.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// A world with a pipeline.
#[derive(Clone)]
pub struct Stage {
    pub sim: Sim,
    pub pipeline: Pipeline,
    script: Arc<Script>,
    played: Arc<Mutex<Vec<Played>>>,
    /// When a provider was asked, by the true time.
    asked: Arc<Mutex<Vec<Instant>>>,
    is_crew: bool,
    /// Whether an attempt keeps an output.
    keeps: bool,
    /// How many elements the list of `a` has.
    width: u32,
    /// The job and the task whose every attempt hangs, for whoever kills its process.
    poison: Option<(String, String)>,
}

impl Stage {
    /// A stage on which every attempt plays as `script` says.
    pub fn new(seed: u64, script: impl Fn(&TaskId, u32) -> Play + Send + Sync + 'static) -> Self {
        Self::with(seed, Timeouts { heartbeat: LEASE, ..Timeouts::default() }, RetryPolicy::default(), script)
    }

    pub fn with(
        seed: u64,
        timeouts: Timeouts,
        retry: RetryPolicy,
        script: impl Fn(&TaskId, u32) -> Play + Send + Sync + 'static,
    ) -> Self {
        let step = |name| StepSpec::new(name).timeouts(timeouts.clone()).retry(retry.clone());
        let pipeline = Pipeline::builder("p")
            .step(step("a"))
            .step(step("b").over("a"))
            .step(step("c").after(["b"]))
            .finalizer(step("z"))
            .build()
            .unwrap();
        Self {
            sim: Sim::new(seed),
            pipeline,
            script: Arc::new(script),
            played: Arc::default(),
            asked: Arc::default(),
            is_crew: false,
            keeps: true,
            width: WIDTH,
            poison: None,
        }
    }

    /// The same stage, where every attempt at this task of this job hangs.
    pub fn poisoned(self, job: &str, task: &str) -> Self {
        Self { poison: Some((job.to_owned(), task.to_owned())), ..self }
    }

    /// The same stage with the pipeline of another one.
    pub fn like(self, other: &Self) -> Self {
        Self { pipeline: other.pipeline.clone(), is_crew: other.is_crew, keeps: other.keeps, ..self }
    }

    /// The same stage with a list of so many elements.
    pub fn wide(self, width: u32) -> Self {
        Self { width, ..self }
    }

    /// The same stage with `c` mapped over the list too, after `b`.
    pub fn mapped_twice(mut self) -> Self {
        let [a, b, c] = ["a", "b", "c"].map(|name| {
            let step = self.pipeline.steps().iter().find(|step| step.name.as_str() == name).unwrap();
            StepSpec::new(name).timeouts(step.timeouts.clone()).retry(step.retry.clone())
        });
        let builder = Pipeline::builder("p").step(a).step(b.over("a")).step(c.over("a").after(["b"]));
        self.pipeline = builder.finalizer(StepSpec::new("z")).build().unwrap();
        self
    }

    /// The same stage with a wait, `w`, between `a` and `b`.
    pub fn waiting(mut self, wait: Wait) -> Self {
        let builder = Pipeline::builder("p")
            .job_timeout(Duration::from_secs(30 * 24 * 3_600))
            .step(StepSpec::new("a"))
            .step(StepSpec::new("w").after(["a"]).wait(wait))
            .step(StepSpec::new("b").over("a").after(["w"]))
            .step(StepSpec::new("c").after(["b"]));
        self.pipeline = builder.finalizer(StepSpec::new("z")).build().unwrap();
        self
    }

    /// The same stage with light steps only.
    pub fn light(self) -> Self {
        self.declared(StepSpec::light)
    }

    /// The same stage with unclaimed steps only; they keep no outputs.
    pub fn unclaimed(self) -> Self {
        Self { keeps: false, ..self.declared(StepSpec::unclaimed) }
    }

    fn declared(mut self, declare: fn(StepSpec) -> StepSpec) -> Self {
        let light = |step: &qsketch_core::pipeline::CheckedStep| {
            let after: Vec<&str> = step.after.iter().map(qsketch_core::ids::StepName::as_str).collect();
            let timeouts = Timeouts { start_to_close: LEASE, ..step.timeouts.clone() };
            let spec = StepSpec::new(step.name.as_str()).after(after).timeouts(timeouts);
            let spec = declare(spec.retry(step.retry.clone()));
            step.over.iter().fold(spec, |spec, over| spec.over(over.as_str()))
        };
        let steps = self.pipeline.steps().iter().map(light);
        let builder = steps.fold(Pipeline::builder("p"), qsketch_core::pipeline::PipelineBuilder::step);
        self.pipeline = builder.finalizer(light(self.pipeline.finalizer())).build().unwrap();
        self
    }

    /// The same stage with light steps only, each worker process a crew.
    pub fn crew(self) -> Self {
        Self { is_crew: true, ..self.light() }
    }

    /// The same stage with unclaimed steps only, each worker process a crew.
    pub fn unclaimed_crew(self) -> Self {
        Self { is_crew: true, ..self.unclaimed() }
    }

    /// Begins a job, as intake does; its first message is sent.
    pub async fn submit(&self, id: &str) -> JobId {
        let job = self.begin(id).await;
        let begun = self.sim.parts(&job).job.unwrap();
        self.send("a", &start_message(&self.pipeline, &begun).body()).await;
        job
    }

    /// Begins a job without its first message.
    pub async fn begin(&self, id: &str) -> JobId {
        let (id, tenant) = (JobId::try_from(id).unwrap(), Tenant::try_from("t").unwrap());
        self.sim.begin_job(&id, &tenant, &self.pipeline, serde_json::json!({"prompt": "p"})).await.unwrap();
        id
    }

    pub async fn send(&self, queue: &str, body: &str) {
        let message = Outgoing::new(body.to_owned());
        self.sim.observer().queues.send(&QueueName::new(queue), &[message]).await.unwrap()[0].as_ref().unwrap();
    }

    /// Starts a worker process that serves all four queues.
    pub fn worker(&self, name: &str) -> Running {
        self.worker_of(name, &["a", "b", "c", "z"])
    }

    /// Starts a worker process that serves these queues.
    pub fn worker_of(&self, name: &str, queues: &[&str]) -> Running {
        let process = self.sim.process(name);
        let ports = process.ports();
        self.start(process, &ports, queues)
    }

    /// Starts a worker process that serves all four queues on what this makes of its ports.
    pub fn worker_around(&self, name: &str, around: impl FnOnce(Ports) -> Ports) -> Running {
        let process = self.sim.process(name);
        let ports = around(process.ports());
        self.start(process, &ports, &["a", "b", "c", "z"])
    }

    /// Starts a worker that serves all four queues on these ports.
    pub fn worker_on(&self, ports: &Ports) -> Running {
        self.start(self.sim.process("w"), ports, &["a", "b", "c", "z"])
    }

    fn start(&self, process: Process, ports: &Ports, queues: &[&str]) -> Running {
        let (stopper, stop) = shutdown::pair();
        let outbox = Outbox::new(Arc::clone(&ports.queues));
        let (crew, told) = (Crew::default(), Told::default());
        let consumers = queues.iter().map(|queue| self.consumer_in(&crew, &told, ports, &outbox, queue));
        let consumers: Vec<_> = consumers.collect();
        if self.is_crew {
            crew.enlist(consumers.iter().cloned());
        }
        let poll = |consumer| tokio::spawn(self.poll(ports, &outbox, consumer, stop.clone()));
        Running { process, stopper, told, loops: consumers.into_iter().map(poll).collect() }
    }

    /// The consumer of one queue.
    pub fn consumer(&self, ports: &Ports, outbox: &Outbox, queue: &str) -> Arc<Worker> {
        self.consumer_in(&Crew::default(), &Told::default(), ports, outbox, queue)
    }

    fn consumer_in(&self, crew: &Crew, told: &Told, ports: &Ports, outbox: &Outbox, queue: &str) -> Arc<Worker> {
        let handler = Arc::new(Player {
            keeps: self.keeps,
            width: self.width,
            script: Arc::clone(&self.script),
            played: Arc::clone(&self.played),
            asked: Arc::clone(&self.asked),
            poison: self.poison.clone(),
        });
        let worker = Worker::new(ports.clone(), outbox.clone(), QueueName::new(queue), handler);
        let worker = worker.with_parent(Announcer::new(told.clone()), std::env::temp_dir());
        Arc::new(worker.in_crew(crew.clone()))
    }

    fn poll(
        &self,
        ports: &Ports,
        outbox: &Outbox,
        consumer: Arc<Worker>,
        stop: Stop,
    ) -> impl Future<Output = Result<(), PortError>> + Send + use<> {
        let (ports, outbox) = (ports.clone(), outbox.clone());
        let wait = Duration::from_secs(20);
        let polling = Polling { queue: consumer.queue().clone(), concurrency: 4, wait, hide: LEASE };
        async move { poll::run(&polling, ports.queues, &outbox, consumer, &stop).await }
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl FnMut(&Sim) -> bool) {
        if tokio::time::timeout(PATIENCE, self.sim.until(holds)).await.is_err() {
            panic!("it never came to this: {what}\n{}", self.log());
        }
    }

    /// Waits until a job's finalizer is recorded.
    pub async fn until_notified(&self, job: &JobId) -> Parts {
        let notified = |sim: &Sim| {
            let job = sim.parts(job).job;
            job.is_some_and(|job| job.done.keys().any(|task| task.step().as_str() == "z"))
        };
        self.until("the finalizer is recorded", notified).await;
        self.sim.parts(job)
    }

    /// Waits until a job's finalizer is recorded, or has failed for good.
    pub async fn until_over(&self, job: &JobId) {
        let is_over = |sim: &Sim| {
            let recorded =
                sim.parts(job).job.is_some_and(|job| job.done.keys().any(|task| task.step().as_str() == "z"));
            recorded || !sim.messages(&QueueName::new("z").dead()).is_empty()
        };
        self.until("the finalizer is over", is_over).await;
    }

    /// Waits until an attempt of this task has begun.
    pub async fn until_begun(&self, task: &str, attempt: u32) -> Played {
        // A handler begins after the effect that let it begin; the next effect, at the latest a heartbeat's, finds it.
        loop {
            if let Some(found) = self.played(task).into_iter().find(|played| played.attempt == attempt) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What the attempts of a task did.
    pub fn played(&self, task: &str) -> Vec<Played> {
        self.played.lock().unwrap().iter().filter(|played| played.task.to_string() == task).cloned().collect()
    }

    /// When a provider was asked, in milliseconds of the true time since the first request.
    pub fn asked(&self) -> Vec<u64> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort_unstable();
        let first = asked.first().copied();
        let since = |at: &Instant| at.duration_since(first.unwrap()).as_millis().try_into().unwrap();
        asked.iter().map(since).collect()
    }

    /// How often each task was recorded, in the table's own history.
    pub fn records(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for committed in self.sim.commits() {
            if let Write::Record { task, .. } | Write::RecordFinal { task, .. } = committed.write {
                *counts.entry(format!("{} {task}", committed.job)).or_insert(0) += 1;
            }
        }
        counts
    }

    /// The notifications, without repetitions.
    pub fn notifications(&self) -> Vec<String> {
        let mut bodies: Vec<_> =
            self.sim.messages(&QueueName::new("notifications")).into_iter().map(|message| message.body).collect();
        bodies.sort();
        bodies.dedup();
        bodies
    }

    /// Each task was recorded once, the outputs are those of the winners, and nothing was overwritten.
    pub fn check_outputs(&self, job: &JobId) {
        let parts = self.sim.parts(job);
        let done = parts.job.unwrap().done;
        for (task, count) in self.records() {
            assert_eq!(count, 1, "{task} was recorded {count} times\n{}", self.log());
        }
        assert_eq!(self.sim.refused_keys(), Vec::<String>::new());
        let keeps =
            |task: &TaskId| self.keeps && self.pipeline.step(task.step()).is_some_and(|step| step.wait.is_none());
        for (task, record) in done.iter().filter(|(task, _)| keeps(task)) {
            let key = qsketch_runtime::attempt::key(job.as_str(), task, record.attempt, OUTPUT);
            let output = String::from_utf8(self.sim.bytes(&key).unwrap()).unwrap();
            for line in output.lines().filter(|line| line.starts_with("in ")) {
                let mut words = line.split(' ').skip(1);
                let (input, attempt, nonce) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                let winner = &done[&input.parse::<TaskId>().unwrap()];
                assert_eq!(attempt, winner.attempt.to_string(), "{task} saw another attempt of {input}");
                let key = qsketch_runtime::attempt::key(job.as_str(), &input.parse().unwrap(), winner.attempt, OUTPUT);
                let kept = String::from_utf8(self.sim.bytes(&key).unwrap()).unwrap();
                assert!(kept.contains(nonce), "{task} saw another output of {input}");
            }
        }
    }

    /// The calls as lines, for a failed assertion.
    pub fn log(&self) -> String {
        let line = |call: Call| {
            let at = call.at.since(qsketch_sim::EPOCH).as_millis();
            format!("{at:>8} {:>4} {:<8} {:<12} {} {:?}", call.number, call.process, call.kind, call.target, call.fault)
        };
        self.sim.calls().into_iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// How a job closed, in one word.
pub fn status(parts: &Parts) -> JobStatus {
    parts.job.as_ref().unwrap().status
}

/// A worker process.
pub struct Running {
    pub process: Process,
    pub stopper: Stopper,
    told: Told,
    pub loops: Vec<JoinHandle<Result<(), PortError>>>,
}

impl Running {
    /// Tells it to stop and waits until it has.
    pub async fn stop(self) {
        self.stopper.stop();
        for ended in self.loops {
            ended.await.unwrap().unwrap();
        }
    }

    /// Kills it; what it had told its parent and not taken back.
    pub fn crash(self) -> Vec<Intent> {
        self.process.crash();
        self.loops.iter().for_each(JoinHandle::abort);
        self.told.intents()
    }
}

/// What a process tells its parent.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Told {
    fn intents(&self) -> Vec<Intent> {
        let told = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let mut ledger = Ledger::default();
        told.lines().for_each(|line| ledger.hear(line));
        ledger.into_intents()
    }
}
