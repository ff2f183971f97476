//! A deployment on a MiniStack of its own, the processes of one release, and what a test sees of both.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qsketch_bench::stack::{self, Stack, StackKind, create_table, sdk};
use qsketch_core::parts::Attempt;
use qsketch_core::{Job, JobId, JobStatus, StepName, TaskId};
use qsketch_intake::INTAKE_QUEUE;
use qsketch_release_tests::{AFTER, HELD_VARIABLE, MADE_BY_BYTES_MAX, SERVICE_VARIABLE};
use qsketch_runtime::config::Settings;
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::{Ports, QueueName};
use serde_json::json;

/// The longest wait for anything: a story takes some seconds, on busy cores some ten.
const WAIT_MAX: Duration = Duration::from_secs(180);

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The job table.
pub const TABLE: &str = "release";
const BUCKET: &str = "release-media";
const ACCOUNT: &str = "000000000000";

/// A table, a bucket, and a queue and its dead letters for each service of both releases.
pub struct Deployment {
    stack: Stack,
    pub sdk: aws_config::SdkConfig,
    pub ports: Ports,
    settings: Settings,
    folder: tempfile::TempDir,
}

impl Deployment {
    pub async fn new() -> Result<Self> {
        let stack = Stack::start(StackKind::Ministack, &root()).await?;
        let environment = stack.environment();
        let endpoint =
            environment.first().map(|(_, endpoint)| endpoint.clone()).context("the stack has no endpoint")?;
        let sdk = sdk(&endpoint).await;
        create_table(&sdk, TABLE).await?;
        let buckets = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(buckets).create_bucket().bucket(BUCKET).send().await?;
        let queues = aws_sdk_sqs::Client::new(&sdk);
        for service in services(AFTER.steps) {
            for queue in [QueueName::new(service), QueueName::new(service).dead()] {
                queues.create_queue().queue_name(queue.as_str()).send().await?;
            }
        }
        let folder = tempfile::tempdir()?;
        let settings = Settings {
            table: TABLE.to_owned(),
            bucket: BUCKET.to_owned(),
            queue_url_prefix: format!("{endpoint}/{ACCOUNT}/"),
            lease: Duration::from_secs(30),
            concurrency: None,
            poll_wait: Duration::from_secs(1),
            dir: folder.path().to_owned(),
        };
        let ports = qsketch_aws::connect(&settings, &sdk);
        Ok(Self { stack, sdk, ports, settings, folder })
    }

    /// Starts every service of a release; the work of the tasks `held` does not end there.
    pub fn start(&self, binary: &str, release: &str, steps: &[&'static str], held: &str) -> Result<Running> {
        let mut running = Running { release: release.to_owned(), services: Vec::new() };
        for service in services(steps) {
            let log = self.log_of(release, service);
            let append = File::options().create(true).append(true).open(&log)?;
            let child = Command::new(binary)
                .envs(self.stack.environment())
                .env("QSKETCH_TABLE", &self.settings.table)
                .env("QSKETCH_BUCKET", &self.settings.bucket)
                .env("QSKETCH_QUEUE_URL_PREFIX", &self.settings.queue_url_prefix)
                .env("QSKETCH_POLL_WAIT_SECS", self.settings.poll_wait.as_secs().to_string())
                .env("QSKETCH_DIR", self.folder.path())
                .env(SERVICE_VARIABLE, service)
                .env(HELD_VARIABLE, held)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(append)
                .spawn()?;
            running.services.push((service, child));
        }
        Ok(running)
    }

    /// Whether a service of a release has logged this.
    pub fn has_logged(&self, release: &str, service: &str, words: &str) -> Result<bool> {
        Ok(std::fs::read_to_string(self.log_of(release, service))?.contains(words))
    }

    fn log_of(&self, release: &str, service: &str) -> PathBuf {
        Path::new(self.folder.path()).join(format!("{release}-{service}.log"))
    }

    /// Submits a job.
    pub async fn submit(&self, id: &str) -> Result<()> {
        let body = json!({"id": id, "prompt": "Explain binary search"}).to_string();
        let sent = self.ports.queues.send(&QueueName::new(INTAKE_QUEUE), &[Outgoing::new(body)]).await?;
        sent.into_iter().collect::<Result<(), _>>()?;
        Ok(())
    }

    /// A job, once its part is as it is waited for.
    pub async fn job(&self, id: &str, what: &str, is_there: impl Fn(&Job) -> bool) -> Result<Job> {
        let job = JobId::try_from(id)?;
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            if let Some(job) = self.ports.table.load_job(&job).await?.filter(|job| is_there(job)) {
                return Ok(job);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("waited {} s in vain for job {id} to {what}: {:?}", WAIT_MAX.as_secs(), self.story(id).await?)
    }

    /// A job, once it has closed and the finalizer is recorded.
    pub async fn closed(&self, id: &str) -> Result<Job> {
        let is_told =
            |job: &Job| job.done.keys().any(|task| matches!(task.which(), qsketch_core::ids::Which::Closing(_)));
        self.job(id, "close", move |job| job.status != JobStatus::Running && is_told(job)).await
    }

    /// Waits until a task is at work: an attempt has its lease.
    pub async fn at_work(&self, id: &str, step: &str) -> Result<()> {
        let (job, task) = (JobId::try_from(id)?, TaskId::only(StepName::try_from(step)?));
        self.until(&format!("{step} of job {id} to be at work"), async || {
            let task = self.ports.table.load_task(&job, &task).await?;
            Ok(task.is_some_and(|task| task.lease.is_some()))
        })
        .await
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            if is_so().await? {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("waited {} s in vain for {what}", WAIT_MAX.as_secs())
    }

    /// The ended attempts of a task.
    pub async fn attempts(&self, id: &str, step: &str) -> Result<(u32, Vec<Attempt>)> {
        let task = TaskId::only(StepName::try_from(step)?);
        let task = self.ports.table.load_task(&JobId::try_from(id)?, &task).await?;
        let task = task.with_context(|| format!("job {id} has no part of step {step}"))?;
        Ok((task.charged, task.attempts))
    }

    /// Which release did which task, a task a line, as the last step wrote it.
    pub async fn made_by(&self, job: &Job) -> Result<String> {
        let key = job.result.as_ref().with_context(|| format!("job {} has no result", job.job_id))?;
        let bytes = self.ports.store.get(key, MADE_BY_BYTES_MAX).await?.context("the result is not in the store")?;
        Ok(String::from_utf8(bytes)?)
    }

    /// How many messages a queue has, those included that are hidden.
    pub async fn messages(&self, queue: &QueueName) -> Result<u64> {
        let depth = self.ports.queues.depth(queue).await?;
        Ok(depth.visible + depth.in_flight)
    }

    /// That no message of either release went to the dead letters.
    pub async fn has_no_dead_letter(&self) -> Result<()> {
        for service in services(AFTER.steps) {
            let dead = self.messages(&QueueName::new(service).dead()).await?;
            ensure!(dead == 0, "queue {service} has {dead} dead letters");
        }
        Ok(())
    }

    async fn story(&self, id: &str) -> Result<String> {
        Ok(format!("{:?}", self.ports.table.load_parts(&JobId::try_from(id)?).await?))
    }
}

/// The tree that MiniStack is installed in: that of `QSKETCH_MINISTACK` (`…/infra/ministack`), else this one.
#[expect(clippy::disallowed_methods, reason = "a test's entry reads its environment")]
fn root() -> PathBuf {
    let script = std::env::var_os("QSKETCH_MINISTACK").map(PathBuf::from);
    script.and_then(|script| Some(script.parent()?.parent()?.to_owned())).unwrap_or_else(stack::root)
}

/// Intake and the steps.
fn services(steps: &[&'static str]) -> impl Iterator<Item = &'static str> {
    [INTAKE_QUEUE].into_iter().chain(steps.to_vec())
}

/// The processes of one release; those that are left are killed with this value.
pub struct Running {
    release: String,
    services: Vec<(&'static str, Child)>,
}

impl Running {
    /// Tells every process to stop, and waits until all have: each says that it stopped cleanly.
    pub async fn stop(mut self) -> Result<()> {
        for (_, child) in &self.services {
            kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        }
        let began = Instant::now();
        while let Some((service, child)) = self.services.last_mut() {
            match child.try_wait()? {
                Some(code) => {
                    ensure!(code.success(), "{service} of release {} ended with {code}", self.release);
                    self.services.pop();
                }
                None if began.elapsed() > WAIT_MAX => bail!("{service} of release {} does not stop", self.release),
                None => tokio::time::sleep(LOOK).await,
            }
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for (_, child) in &mut self.services {
            // Its child ends itself when its parent is gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
