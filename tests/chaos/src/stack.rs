//! The stack under chaos: MiniStack, a table, a bucket, queues; and what is asked of it directly, past all proxies.

use core::time::Duration;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use qsketch_bench::stack::{self, Stack, StackKind, create_table, sdk};
use qsketch_core::{Job, JobId};
use qsketch_intake::{INTAKE_QUEUE, REJECTED_QUEUE};
use qsketch_notify::NOTIFICATIONS_QUEUE;
use qsketch_runtime::config::Settings;
use qsketch_runtime::ports::{BATCH_MAX, Depth, LOAD_MAX, Outgoing};
use qsketch_runtime::{Ports, QueueName};
use serde_json::json;

use crate::graph::STEPS;

/// The job table.
pub const TABLE: &str = "chaos";
const BUCKET: &str = "chaos-media";
const ACCOUNT: &str = "000000000000";

/// How long one poll of a worker waits: a worker that is told to stop waits for it.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// A stack that ends with this value.
pub struct Deployment {
    stack: Stack,
    /// Where it listens.
    pub endpoint: String,
    /// The ports, straight to the stack.
    pub ports: Ports,
    /// The settings of every worker, but for its folder.
    pub settings: Settings,
    sqs: aws_sdk_sqs::Client,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

impl Deployment {
    /// Starts MiniStack, and makes what the workers need.
    ///
    /// # Errors
    /// It is not installed, or does not answer.
    pub async fn start(folder: PathBuf, lease: Duration) -> Result<Self> {
        let stack = Stack::start(StackKind::Ministack, &root()).await?;
        let environment = stack.environment();
        let endpoint = environment.first().map(|(_, at)| at.clone()).context("the stack has no endpoint")?;
        let sdk = sdk(&endpoint).await;
        create_table(&sdk, TABLE).await?;
        let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build());
        s3.create_bucket().bucket(BUCKET).send().await?;
        let sqs = aws_sdk_sqs::Client::new(&sdk);
        let prefix = format!("{endpoint}/{ACCOUNT}/");
        for queue in queues() {
            sqs.create_queue().queue_name(queue.as_str()).send().await?;
        }
        let settings = Settings {
            table: TABLE.to_owned(),
            bucket: BUCKET.to_owned(),
            queue_url_prefix: prefix,
            lease,
            concurrency: None,
            poll_wait: POLL_WAIT,
            dir: folder,
        };
        let ports = qsketch_aws::connect(&settings, &sdk);
        let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
        Ok(Self { stack, endpoint, ports, settings, sqs, s3, dynamodb })
    }

    /// The processes of the stack itself.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.stack.pids()
    }

    /// The variables by which a worker finds it, through `endpoint`.
    #[must_use]
    pub fn environment(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("QSKETCH_TABLE", self.settings.table.clone()),
            ("QSKETCH_BUCKET", self.settings.bucket.clone()),
            ("QSKETCH_QUEUE_URL_PREFIX", self.settings.queue_url_prefix.clone()),
            ("QSKETCH_LEASE_SECS", self.settings.lease.as_secs().to_string()),
            ("QSKETCH_POLL_WAIT_SECS", self.settings.poll_wait.as_secs().to_string()),
        ]
    }

    /// Submits jobs, as a customer.
    ///
    /// # Errors
    /// The queue does not take them.
    pub async fn submit(&self, ids: &[String]) -> Result<()> {
        let bodies = ids.iter().map(|id| json!({"id": id, "prompt": "Explain binary search"}).to_string());
        let messages: Vec<Outgoing> = bodies.map(Outgoing::new).collect();
        for batch in messages.chunks(BATCH_MAX) {
            for sent in self.ports.queues.send(&QueueName::new(INTAKE_QUEUE), batch).await? {
                sent?;
            }
        }
        Ok(())
    }

    /// The jobs of these that are there.
    ///
    /// # Errors
    /// The table does not answer, or one can't be read.
    pub async fn jobs(&self, ids: &[String]) -> Result<Vec<Job>> {
        let ids = ids.iter().map(|id| Ok(JobId::try_from(id.as_str())?)).collect::<Result<Vec<_>>>()?;
        let mut found = Vec::new();
        for some in ids.chunks(LOAD_MAX) {
            for job in self.ports.lists.jobs(some).await?.into_values() {
                found.push(job?);
            }
        }
        Ok(found)
    }

    /// How full each queue is: those of intake, of the steps and of their dead letters, and that of what was refused.
    ///
    /// # Errors
    /// A queue does not answer.
    pub async fn depths(&self) -> Result<Vec<(QueueName, Depth)>> {
        let mut depths = Vec::new();
        for queue in queues().into_iter().filter(|queue| queue.as_str() != NOTIFICATIONS_QUEUE) {
            let depth = self.ports.queues.depth(&queue).await?;
            depths.push((queue, depth));
        }
        Ok(depths)
    }

    /// Purges the queues of intake and of all steps.
    ///
    /// # Errors
    /// A queue does not answer.
    pub async fn purge(&self) -> Result<()> {
        for queue in STEPS.into_iter().chain([INTAKE_QUEUE]) {
            let url = self.settings.queue_url(&QueueName::new(queue));
            self.sqs.purge_queue().queue_url(url).send().await?;
        }
        Ok(())
    }

    /// Takes every event off the notifications queue.
    ///
    /// # Errors
    /// The queue does not answer.
    pub async fn events(&self) -> Result<Vec<String>> {
        let queue = QueueName::new(NOTIFICATIONS_QUEUE);
        let mut events = Vec::new();
        loop {
            let some = self.ports.queues.receive(&queue, BATCH_MAX, Duration::ZERO, Duration::from_secs(600)).await?;
            if some.is_empty() {
                return Ok(events);
            }
            events.extend(some.into_iter().map(|delivery| delivery.body));
        }
    }

    /// The ids of all jobs in the table.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn job_ids(&self) -> Result<Vec<String>> {
        let (mut ids, mut start) = (Vec::new(), None);
        loop {
            // A test may scan; nothing of the product does.
            let page = self.dynamodb.scan().table_name(TABLE).set_exclusive_start_key(start).send().await?;
            for item in page.items.unwrap_or_default() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
                if text("part") == "job" {
                    ids.push(text("job_id"));
                }
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(ids);
            }
        }
    }

    /// How many multipart uploads the store has open.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open_uploads(&self) -> Result<usize> {
        Ok(self.s3.list_multipart_uploads().bucket(BUCKET).send().await?.uploads.unwrap_or_default().len())
    }
}

/// All queues.
fn queues() -> Vec<QueueName> {
    let consumed = STEPS.into_iter().chain([INTAKE_QUEUE]).map(QueueName::new);
    let with_dead = consumed.flat_map(|queue| [queue.dead(), queue]);
    with_dead.chain([REJECTED_QUEUE, NOTIFICATIONS_QUEUE].map(QueueName::new)).collect()
}

/// The tree that MiniStack is installed in: that of `QSKETCH_MINISTACK` (`…/infra/ministack`), else this one.
#[expect(clippy::disallowed_methods, reason = "what it says is where the tests' entry put MiniStack")]
fn root() -> PathBuf {
    let script = std::env::var_os("QSKETCH_MINISTACK").map(PathBuf::from);
    script.and_then(|script| Some(script.parent()?.parent()?.to_owned())).unwrap_or_else(stack::root)
}
