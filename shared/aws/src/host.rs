//! The main of every service: a Lambda when `AWS_LAMBDA_RUNTIME_API` is set, else a long-polling worker under a parent.
//!
//! What a schedule begins has a main of its own: each invocation is one turn, and without Lambda it takes turns by itself.

use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use qsketch_core::JobId;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::config::{Environment, Settings};
use qsketch_runtime::parent::{self, CHILD_VARIABLE, EXIT_CONFIGURATION};
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::{PortError, PortErrorKind, Ports, QueueName};
use qsketch_runtime::process::Announcer;
use qsketch_runtime::{Consumer, Handler, Worker, lambda, shutdown};

/// What a service is.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name, which is also its queue's and its step's.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// How many messages one worker works on at once, unless it is set.
    pub concurrency: usize,
    /// Settings of its own, each `NAME  what it is`.
    pub settings: &'static [(&'static str, &'static str)],
}

/// How long a worker may take until it is ready; asking Manim for its version takes seconds on a busy machine.
const START_MAX: Duration = Duration::from_secs(120);

/// What a service is built from.
pub struct Context {
    /// The environment, as it was at the start.
    pub environment: Environment,
    /// The settings of every service.
    pub settings: Settings,
    /// The outside world.
    pub ports: Ports,
    /// Sends in natural batches.
    pub outbox: Outbox,
}

/// What takes the messages of a service's queue.
pub enum Role {
    /// A step of the pipeline.
    Step(Arc<dyn Handler>),
    /// A consumer of its own kind.
    Consumer(Arc<dyn Consumer>),
}

/// Why a service can't start; shown as it is, in one line.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// What a schedule begins.
#[derive(Clone, Copy, Debug)]
pub struct Scheduled {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// How often it takes a turn where no schedule begins it.
    pub period: Duration,
}

/// Runs what a schedule begins: a turn for each invocation as a Lambda, else one each period until it is told to stop.
pub fn run_scheduled<F>(service: Scheduled, turn: impl Fn(Ports) -> F) -> ExitCode
where
    F: Future<Output = Result<serde_json::Value, StartError>>,
{
    let Scheduled { name, about, period } = service;
    let service = Service { name, about, concurrency: 1, settings: &[] };
    let (environment, settings) = match begin(service) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(service, &format!("no runtime: {error}")),
    };
    runtime.block_on(async {
        let ports = crate::connect(&settings, &crate::sdk_config().await);
        if environment.contains_key("AWS_LAMBDA_RUNTIME_API") {
            return match lambda::take_turns(|| turn(ports.clone())).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(%error, "the Lambda runtime broke off");
                    ExitCode::FAILURE
                }
            };
        }
        let stopped = match shutdown::signal() {
            Ok(stopped) => stopped,
            Err(error) => return refuse(service, &format!("it can't hear signals: {error}")),
        };
        let turns = async {
            loop {
                match turn(ports.clone()).await {
                    Ok(report) => tracing::info!(service = name, %report, "turn"),
                    Err(error) => tracing::error!(service = name, %error, "turn"),
                }
                tokio::time::sleep(period).await;
            }
        };
        tracing::info!(service = name, version = env!("CARGO_PKG_VERSION"), period_secs = period.as_secs(), "ready");
        tokio::select! {
            () = stopped => tracing::info!(service = name, "stopped"),
            () = turns => {}
        }
        ExitCode::SUCCESS
    })
}

/// What every main does first: arguments, log, settings. Else the exit code, and why on stderr.
fn begin(service: Service) -> Result<(Environment, Settings), ExitCode> {
    // What is not text can't be a setting of ours.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    if let Some(argument) = std::env::args().nth(1) {
        return Err(answer(service, &argument));
    }
    qsketch_runtime::log::start(environment.get("QSKETCH_LOG").map_or("info", String::as_str));
    match Settings::read(&environment) {
        Ok(settings) => Ok((environment, settings)),
        Err(error) => Err(refuse(service, &error.to_string())),
    }
}

/// Runs a service until it is told to stop: 0 after a clean stop, 2 when its settings or tools are wrong, else 1.
pub fn run<B, F>(service: Service, build: B) -> ExitCode
where
    B: FnOnce(Arc<Context>) -> F,
    F: Future<Output = Result<Role, StartError>>,
{
    let (environment, settings) = match begin(service) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let is_lambda = environment.contains_key("AWS_LAMBDA_RUNTIME_API");
    let is_child = environment.contains_key(CHILD_VARIABLE);
    let runtime = if is_lambda || is_child {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return refuse(service, &format!("no runtime: {error}")),
    };
    if !is_lambda && !is_child {
        let scratch = scratch_of(service, &settings);
        let connect = || async { crate::connect(&settings, &crate::sdk_config().await) };
        return match runtime.block_on(parent::supervise(service.name, &scratch, connect)) {
            Ok(code) => code,
            Err(error) => refuse(service, &format!("the worker can't be started: {error}")),
        };
    }
    let code = runtime.block_on(serve(service, environment, settings, build, is_lambda));
    // A work thread that still computes must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn serve<B, F>(
    service: Service,
    environment: Environment,
    settings: Settings,
    build: B,
    is_lambda: bool,
) -> ExitCode
where
    B: FnOnce(Arc<Context>) -> F,
    F: Future<Output = Result<Role, StartError>>,
{
    let ports = crate::connect(&settings, &crate::sdk_config().await);
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let context = Arc::new(Context { environment, settings, ports, outbox });
    let queue = QueueName::new(service.name);
    if !is_lambda {
        return work(service, build, &context, queue).await;
    }
    let role = match build(Arc::clone(&context)).await {
        Ok(role) => role,
        Err(error) => return refuse(service, &error.to_string()),
    };
    let consumer = consumer_of(role, &context, &queue, None);
    match lambda::run(queue, Arc::clone(&context.ports.queues), context.outbox.clone(), consumer).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime broke off");
            ExitCode::FAILURE
        }
    }
}

async fn work<B, F>(service: Service, build: B, context: &Arc<Context>, queue: QueueName) -> ExitCode
where
    B: FnOnce(Arc<Context>) -> F,
    F: Future<Output = Result<Role, StartError>>,
{
    let (inherited, signal) = match parent::inherit().and_then(|inherited| Ok((inherited, shutdown::signal()?))) {
        Ok(pair) => pair,
        Err(error) => return refuse(service, &format!("it was not started by its parent: {error}")),
    };
    let announcer = inherited.announcer.clone();
    let (stopper, stop) = shutdown::pair();
    tokio::spawn(async move {
        tokio::select! {
            () = signal => {}
            () = inherited.parent_gone() => tracing::error!("the parent is gone: stopping"),
        }
        stopper.stop();
    });
    let started = async {
        check(&context.ports, &queue).await.map_err(|error| error.chain())?;
        build(Arc::clone(context)).await.map_err(|error| error.to_string())
    };
    let role = tokio::select! {
        started = tokio::time::timeout(START_MAX, started) => match started {
            Ok(Ok(role)) => role,
            Ok(Err(reason)) => return refuse(service, &reason),
            Err(_) => return refuse(service, &format!("it was not ready within {} s", START_MAX.as_secs())),
        },
        () = stop.stopping() => return ExitCode::SUCCESS,
    };
    let consumer = consumer_of(role, context, &queue, Some(announcer));
    let polling = Polling {
        queue,
        concurrency: context.settings.concurrency.unwrap_or(service.concurrency),
        wait: context.settings.poll_wait,
        hide: context.settings.lease,
    };
    let concurrency = polling.concurrency;
    tracing::info!(service = service.name, version = env!("CARGO_PKG_VERSION"), concurrency, "ready");
    match poll::run(&polling, Arc::clone(&context.ports.queues), &context.outbox, consumer, &stop).await {
        Ok(()) => {
            tracing::info!(service = service.name, "stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(service = service.name, error = error.chain(), "the worker can't go on");
            ExitCode::FAILURE
        }
    }
}

fn consumer_of(role: Role, context: &Context, queue: &QueueName, announcer: Option<Announcer>) -> Arc<dyn Consumer> {
    match role {
        Role::Consumer(consumer) => consumer,
        Role::Step(handler) => {
            let worker = Worker::new(context.ports.clone(), context.outbox.clone(), queue.clone(), handler);
            Arc::new(worker.with_parent(announcer.unwrap_or_default(), context.settings.dir.clone()))
        }
    }
}

/// Whether the table and the queue are there: a wrong name is told at the start, not at the first job.
async fn check(ports: &Ports, queue: &QueueName) -> Result<(), PortError> {
    let nobody = JobId::try_from("start-check")
        .map_err(|error| PortError::new("check the table", PortErrorKind::Invalid).because(error))?;
    let (job, depth) = tokio::join!(ports.table.load_job(&nobody), ports.queues.depth(queue));
    job?;
    depth?;
    Ok(())
}

fn scratch_of(service: Service, settings: &Settings) -> PathBuf {
    settings.dir.join(format!("qsketch-{}-{}", service.name, std::process::id()))
}

/// One clear line, and the exit code that says that starting again can't help.
#[allow(clippy::print_stderr)]
fn refuse(service: Service, reason: &str) -> ExitCode {
    eprintln!("{}: {}", service.name, reason.replace('\n', " "));
    ExitCode::from(EXIT_CONFIGURATION)
}

#[allow(clippy::print_stdout)]
fn answer(service: Service, argument: &str) -> ExitCode {
    match argument {
        "--version" | "-V" => {
            println!("{} {}", service.name, env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        "--help" | "-h" => {
            println!(
                "{} - {}\n\nIt takes no arguments; its settings stand in the environment:",
                service.name, service.about
            );
            for (name, what) in SETTINGS.iter().chain(service.settings) {
                println!("  {name:26} {what}");
            }
            println!(
                "\nWith AWS_LAMBDA_RUNTIME_API it is a Lambda function, else a process that goes on until it is told to stop."
            );
            println!("Exit codes: 0 stopped, 2 settings or tools are wrong, 1 anything else.");
            ExitCode::SUCCESS
        }
        other => refuse(service, &format!("argument {other:?} is not known: it takes --help or --version")),
    }
}

const SETTINGS: &[(&str, &str)] = &[
    ("QSKETCH_TABLE", "the job table (needed)"),
    ("QSKETCH_BUCKET", "the bucket for files (needed)"),
    ("QSKETCH_QUEUE_URL_PREFIX", "the queues' URL without the last name (needed)"),
    ("QSKETCH_LEASE_SECS", "how long a lease holds without a heartbeat; 30"),
    ("QSKETCH_CONCURRENCY", "how many messages are worked on at once"),
    ("QSKETCH_POLL_WAIT_SECS", "how long one poll waits for a message; 20"),
    ("QSKETCH_DIR", "the folder for scratch files; the system's"),
    ("QSKETCH_LOG", "what to log, as a tracing filter; info"),
    ("AWS_ENDPOINT_URL, AWS_REGION", "and whatever else the AWS SDK reads"),
];
