//! A job of one scene whose script is written and spoken by the real handlers, over ports in memory.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qsketch_core::decide::start_message;
use qsketch_core::pipeline::{RetryPolicy, Timeouts};
use qsketch_core::{JobId, JobStatus, Pipeline, StepSpec, Tenant};
use qsketch_generate_script::GenerateScript;
use qsketch_generate_tts::GenerateTts;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::{Outgoing, Parts, Ports};
use qsketch_runtime::{Handler, QueueName, Worker, shutdown};
use qsketch_sim::Sim;
use qsketch_video::{Language, Quality, Scene, Script, ScriptError, ScriptProvider, VideoRequest, Voice};

use crate::faulty::{Count, FaultyEngine, FaultyStore, Plan};

/// How long a lease holds: as short as can be.
const LEASE: Duration = Duration::from_secs(3);

/// How long one attempt may take.
const START_TO_CLOSE: Duration = Duration::from_secs(5);

/// How long a test waits for its job, in real time: seconds of work on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// What is said: two runs of the tool.
const NARRATION: &str = "A square has four sides. Its angles are right.";

/// What a job came to.
pub struct Ran {
    parts: Parts,
    keys: Vec<String>,
    /// The calls on the store, in their order.
    pub calls: Vec<String>,
    /// How often the tool was run.
    pub spoken: usize,
    /// Whether what was planned happened.
    pub is_met: bool,
    /// What each task was charged, where it was anything.
    pub charged: BTreeMap<String, u32>,
    /// The error types of the attempts that ended.
    pub error_types: BTreeSet<String>,
}

impl Ran {
    /// What is wrong with how it ended.
    pub fn wrong(&self) -> Option<String> {
        let job = self.parts.job.as_ref()?;
        if job.status != JobStatus::Completed {
            return Some(format!("the job closed as {:?}", job.closings));
        }
        let files =
            [("generate-script", "script.json"), ("generate-tts#0", "speech.wav"), ("generate-tts#0", "speech.json")];
        let missing = files.into_iter().find(|(task, file)| {
            let won = job.done.iter().find(|(id, _)| id.to_string() == *task).map(|(_, done)| done.attempt);
            !won.is_some_and(|won| self.keys.iter().any(|key| key.ends_with(&format!("/{task}/{won}/{file}"))))
        });
        missing.map(|(task, file)| format!("{file} of {task} is not there"))
    }
}

/// Writes a script of one scene.
struct OneScene;

#[async_trait]
impl ScriptProvider for OneScene {
    fn name(&self) -> &'static str {
        "one-scene"
    }

    async fn write(&self, request: &VideoRequest) -> Result<Script, ScriptError> {
        Ok(Script {
            layout: qsketch_video::script::LAYOUT,
            title: "A test".to_owned(),
            prompt: request.prompt().to_owned(),
            quality: Quality::P480,
            voice: Voice::EnUs,
            language: Language::En,
            provider: "one-scene".to_owned(),
            lesson: None,
            notes: Vec::new(),
            scenes: vec![Scene {
                title: "Squares".to_owned(),
                narration: NARRATION.to_owned(),
                class_name: "Drawn".to_owned(),
                code: "from manim import *\n\n\nclass Drawn(Scene):\n    def construct(self):\n        pass\n"
                    .to_owned(),
            }],
        })
    }
}

fn pipeline() -> Pipeline {
    let timeouts = Timeouts {
        schedule_to_start: None,
        start_to_close: START_TO_CLOSE,
        schedule_to_close: PATIENCE,
        heartbeat: LEASE,
    };
    let retry = RetryPolicy { initial_interval: Duration::from_millis(100), ..RetryPolicy::default() };
    let step = |name: &str| StepSpec::new(name).timeouts(timeouts.clone()).retry(retry.clone());
    let builder = Pipeline::builder("spoken").step(step("generate-script"));
    let builder = builder.step(step("generate-tts").over("generate-script")).finalizer(step("notify"));
    builder.build().expect("a pipeline that passes the checks")
}

/// Runs a job in which what is planned goes wrong, until it has closed.
pub async fn run(plan: Plan) -> Ran {
    let (sim, folder, pipeline) = (Sim::new(1), tempfile::tempdir().expect("a folder"), pipeline());
    let (store_count, tool_count) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let id = JobId::try_from("job").expect("an id");
    let tenant = Tenant::try_from("t").expect("a tenant");
    let job =
        sim.begin_job(&id, &tenant, &pipeline, serde_json::json!({"prompt": "Test it"})).await.expect("it begins");
    let start = Outgoing::new(start_message(&pipeline, &job).body());
    let ports = sim.process("worker").ports();
    let (inner, count) = (Arc::clone(&ports.store), Arc::clone(&store_count));
    let store = FaultyStore { inner, plan: plan.store, count, seen: Arc::clone(&seen) };
    let ports = Ports { store: Arc::new(store), ..ports };
    let engine = FaultyEngine::new(folder.path(), plan.tool, Arc::clone(&tool_count));
    let handlers: [(&str, Arc<dyn Handler>); 2] = [
        ("generate-script", Arc::new(GenerateScript::new(Arc::new(OneScene)))),
        ("generate-tts", Arc::new(GenerateTts::with_engine(Arc::new(engine)))),
    ];
    let (stopper, stop) = shutdown::pair();
    let mut loops = Vec::new();
    for (step, handler) in handlers {
        let (outbox, queue) = (Outbox::new(Arc::clone(&ports.queues)), QueueName::new(step));
        let worker = Worker::new(ports.clone(), outbox.clone(), queue.clone(), handler);
        let worker = Arc::new(worker.with_parent(Default::default(), folder.path().join(step)));
        let polling = Polling { queue, concurrency: 1, wait: Duration::from_secs(1), hide: LEASE };
        let (queues, stop) = (Arc::clone(&ports.queues), stop.clone());
        loops.push(tokio::spawn(async move { poll::run(&polling, queues, &outbox, worker, &stop).await }));
    }
    let queues = sim.observer().queues;
    queues.send(&QueueName::new("generate-script"), &[start]).await.expect("the queue is there");
    let is_closed = |sim: &Sim| sim.parts(&id).job.is_some_and(|job| job.status != JobStatus::Running);
    let closed = tokio::time::timeout(PATIENCE, sim.until(is_closed)).await;
    assert!(closed.is_ok(), "{plan:?}: it never closed: {:#?}", sim.parts(&id));
    stopper.stop();
    for ended in loops {
        ended.await.expect("it does not panic").expect("it ends well");
    }
    let parts = sim.parts(&id);
    let charged = parts.tasks.iter().filter(|(_, task)| task.charged > 0);
    let charged = charged.map(|(id, task)| (id.to_string(), task.charged)).collect();
    let ended = parts.tasks.values().flat_map(|task| &task.attempts);
    let error_types = ended.map(|attempt| attempt.error_type.clone()).collect();
    let calls = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (spoken, is_met) = (tool_count.calls(), store_count.is_met() || tool_count.is_met());
    Ran { parts, keys: sim.keys(), calls, spoken, is_met, charged, error_types }
}
