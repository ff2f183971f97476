//! A job of the real pipeline in a simulated world, for the tests of the steps that work on media: some steps are real,
//! the others keep what the test gives them.
#![allow(dead_code, reason = "each test uses a part of it")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::decide::{Output, start_message};
use qsketch_core::{Failure, JobId, TaskId, Tenant};
use qsketch_runtime::attempt::key;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::{Outgoing, Parts};
use qsketch_runtime::{Attempt, Handler, QueueName, Stopper, Worker, shutdown};
use qsketch_sim::Sim;
use qsketch_video::pipeline::pipeline;
use qsketch_video::{Language, Quality, Scene, Script, Voice};

/// The lease of every step.
const LEASE: Duration = Duration::from_secs(30);

/// How long a test waits for its job, in real time: minutes of work on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A script in the smallest quality: each scene has a heading, a narration, and the body of `construct`.
pub fn script(scenes: &[(&str, &str, &str)]) -> Script {
    let scene = |(title, narration, body): &(&str, &str, &str)| Scene {
        title: (*title).to_owned(),
        narration: (*narration).to_owned(),
        class_name: "Drawn".to_owned(),
        code: format!("from manim import *\n\n\nclass Drawn(Scene):\n    def construct(self):\n        {body}\n"),
    };
    let script = Script {
        layout: qsketch_video::script::LAYOUT,
        title: "A test".to_owned(),
        prompt: "Test it".to_owned(),
        quality: Quality::P480,
        voice: Voice::EnUs,
        language: Language::En,
        provider: "test".to_owned(),
        lesson: None,
        notes: Vec::new(),
        scenes: scenes.iter().map(scene).collect(),
    };
    script.checked().expect("a valid script")
}

/// A step that keeps files, for the tasks that have any.
#[derive(Default)]
pub struct Keeps {
    /// By task: the files' names and contents.
    pub files: BTreeMap<String, Vec<(&'static str, Vec<u8>)>>,
    /// The width of its list.
    pub width: Option<u32>,
}

impl Keeps {
    /// The step that keeps this script.
    pub fn script(script: &Script) -> Self {
        let file = ("script.json", script.to_json().into_bytes());
        let width = u32::try_from(script.scenes.len()).expect("few scenes");
        Self { files: BTreeMap::from([("generate-script".to_owned(), vec![file])]), width: Some(width) }
    }
}

#[async_trait]
impl Handler for Keeps {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        for (name, bytes) in self.files.get(&attempt.task().to_string()).into_iter().flatten() {
            attempt.put(name, bytes.clone(), "application/octet-stream").await?;
        }
        Ok(Output { width: self.width, result: None })
    }
}

/// A job that is under way; its workers stop when this is dropped.
pub struct Stage {
    /// The world.
    pub sim: Sim,
    /// The job.
    pub job: JobId,
    stopper: Stopper,
    _scratch: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

impl Stage {
    /// Begins a job whose steps these handlers serve; a step without a handler just waits.
    pub async fn begin(steps: Vec<(&'static str, Arc<dyn Handler>)>) -> Self {
        let (sim, scratch) = (Sim::new(1), tempfile::tempdir().expect("a folder"));
        let pipeline = pipeline(LEASE).expect("the pipeline");
        let id = JobId::try_from("job").expect("a job's id");
        let tenant = Tenant::try_from("t").expect("a tenant");
        let job =
            sim.begin_job(&id, &tenant, &pipeline, serde_json::json!({"prompt": "Test it"})).await.expect("it begins");
        let outside = sim.observer();
        let start = Outgoing::new(start_message(&pipeline, &job).body());
        let (stopper, stop) = shutdown::pair();
        for (step, handler) in steps {
            let (ports, stop) = (sim.process(step).ports(), stop.clone());
            let outbox = Outbox::new(Arc::clone(&ports.queues));
            let queue = QueueName::new(step);
            let worker = Worker::new(ports.clone(), outbox.clone(), queue.clone(), handler);
            let worker = Arc::new(worker.with_parent(Default::default(), scratch.path().join(step)));
            let polling = Polling { queue, concurrency: 1, wait: Duration::from_secs(20), hide: LEASE };
            tokio::spawn(async move { poll::run(&polling, ports.queues, &outbox, worker, &stop).await });
        }
        let queue = QueueName::new("generate-script");
        let sent = outside.queues.send(&queue, &[start]).await.expect("the queue is there");
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
        Self { sim, job: id, stopper, _scratch: scratch }
    }

    /// Waits until something holds of the job's parts.
    pub async fn until(&self, what: &str, holds: impl Fn(&Parts) -> bool) -> Parts {
        let waiting = self.sim.until(|sim| holds(&sim.parts(&self.job)));
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("it never came to this: {what}\n{:#?}", self.sim.parts(&self.job));
        }
        self.sim.parts(&self.job)
    }

    /// Waits until these tasks are recorded, or the job has closed otherwise.
    pub async fn recorded(&self, tasks: &[&str]) -> Parts {
        let all = |parts: &Parts| {
            let job = parts.job.as_ref().expect("the job");
            let is_done = |task: &&str| job.done.contains_key(&task.parse::<TaskId>().expect("a task"));
            tasks.iter().all(is_done)
                || !job.closings.is_empty()
                || parts.tasks.values().any(|t| !t.attempts.is_empty())
        };
        let parts = self.until(&format!("{tasks:?} are recorded"), all).await;
        let failed: Vec<_> = parts.tasks.values().flat_map(|task| &task.attempts).collect();
        assert!(failed.is_empty(), "{failed:#?}\n{}", self.logs());
        parts
    }

    /// A file of a task's first attempt.
    pub fn file(&self, task: &str, name: &str) -> Vec<u8> {
        let key = key(self.job.as_str(), &task.parse().expect("a task"), 1, name);
        self.sim.bytes(&key).unwrap_or_else(|| panic!("{key} is not among {:?}", self.sim.keys()))
    }

    /// A JSON file of a task's first attempt.
    pub fn json(&self, task: &str, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.file(task, name)).expect("JSON")
    }

    fn logs(&self) -> String {
        let keys = self.sim.keys().into_iter().filter(|key| Path::new(key).ends_with("log.txt"));
        keys.filter_map(|key| Some(format!("{key}\n{}", String::from_utf8_lossy(&self.sim.bytes(&key)?)))).collect()
    }
}
