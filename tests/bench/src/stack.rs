//! The stacks that are measured on, each on loopback ports of its own; they end with their value.

use core::time::Duration;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use clap::ValueEnum;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::agree::Told;
use crate::consumers::INTAKE;
use crate::pipeline::STEPS;

/// How long an emulator may take to answer.
const START_MAX: Duration = Duration::from_secs(60);

/// The pause between two looks at an emulator that starts.
const LOOK: Duration = Duration::from_millis(100);

/// The account that the emulators have.
const ACCOUNT: &str = "000000000000";

/// Which emulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StackKind {
    /// MiniStack alone, as in the demo.
    Ministack,
    /// ElasticMQ for the queues and dynoxide for the table; needs a Java runtime.
    Fast,
}

impl StackKind {
    /// Its name, in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::Fast => "fast",
        }
    }

    /// The command that measures on it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Ministack => "make bench",
            Self::Fast => "make bench BENCH=fast",
        }
    }

    /// What runs on it before anything is measured, as jobs and jobs in flight: until then the fast stack's Java runtime
    /// is still compiling.
    #[must_use]
    pub const fn warm_up(self) -> (u32, u32) {
        match self {
            Self::Ministack => (200, 32),
            Self::Fast => (10_000, 32),
        }
    }

    /// Of which calls its table reports what they consumed.
    #[must_use]
    pub const fn told(self) -> Told {
        match self {
            Self::Ministack => Told::Writes,
            Self::Fast => Told::All,
        }
    }

    /// What it consists of, with versions.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Ministack => "MiniStack 1.5.33",
            Self::Fast => "ElasticMQ 1.7.1 (-Xmx256m, SerialGC) and dynoxide 3.2.0 (in memory)",
        }
    }
}

/// Emulators that run.
pub struct Stack {
    children: Vec<(&'static str, Child)>,
    sqs: String,
    dynamodb: String,
    _folder: tempfile::TempDir,
}

impl Stack {
    /// Starts the emulators of a stack and waits until they answer.
    ///
    /// # Errors
    /// One is not installed, or does not answer.
    pub async fn start(kind: StackKind, root: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut stack = match kind {
            StackKind::Ministack => {
                let mut command = Command::new(root.join("infra/ministack"));
                command.args(["--port", &port.to_string(), "--dir"]).arg(folder.path());
                let child = spawn(&mut command).context("MiniStack can't be started: run infra/setup stack")?;
                let children = vec![("MiniStack", child)];
                Self { children, sqs: endpoint.clone(), dynamodb: endpoint, _folder: folder }
            }
            StackKind::Fast => {
                let jars = root.join(".local/_java/elasticmq");
                if !jars.is_dir() {
                    bail!("ElasticMQ is not installed: run infra/setup fast");
                }
                let mut java = Command::new("java");
                java.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"])
                    .arg(jars.join("*"))
                    .arg("-Drest-sqs.bind-hostname=127.0.0.1")
                    .arg(format!("-Drest-sqs.bind-port={port}"))
                    .arg("-Drest-stats.enabled=false")
                    .arg("-Dnode-address.host=127.0.0.1")
                    .arg(format!("-Dnode-address.port={port}"))
                    .arg("org.elasticmq.server.Main")
                    .current_dir(folder.path());
                let queues = spawn(&mut java).context("java can't be started: run infra/setup fast")?;
                let table_port = free_port()?;
                let mut own = Command::new(std::env::current_exe()?);
                own.args(["serve-table", "--port", &table_port.to_string()]);
                let mut children = vec![("ElasticMQ", queues)];
                children.push(("dynoxide", spawn(&mut own)?));
                let dynamodb = format!("http://127.0.0.1:{table_port}");
                Self { children, sqs: endpoint, dynamodb, _folder: folder }
            }
        };
        stack.until_ready().await?;
        Ok(stack)
    }

    /// Its processes.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(|(_, child)| child.id()).collect()
    }

    /// The variables that lead the SDK to it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_ENDPOINT_URL_SQS", self.sqs.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.clone()),
            ("AWS_ENDPOINT_URL_S3", self.sqs.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Makes a table of this name for one run, and so many sets of queues: a poll that the last run left open can't touch
    /// them.
    ///
    /// Returns the URL of a queue without the number of its set and its name.
    ///
    /// # Errors
    /// An emulator refuses.
    pub async fn prepare(&self, name: &str, sets: usize) -> Result<String> {
        let client = aws_sdk_sqs::Client::new(&sdk(&self.sqs).await);
        for set in 0..sets {
            for queue in STEPS.into_iter().chain([INTAKE]) {
                for queue in [format!("{name}-{set}-{queue}"), format!("{name}-{set}-{queue}-dead")] {
                    let made = client.create_queue().queue_name(&queue).send().await;
                    made.with_context(|| format!("make queue {queue}"))?;
                }
            }
        }
        create_table(&sdk(&self.dynamodb).await, name).await?;
        Ok(format!("{}/{ACCOUNT}/{name}-", self.sqs))
    }

    async fn until_ready(&mut self) -> Result<()> {
        let table = aws_sdk_dynamodb::Client::new(&sdk(&self.dynamodb).await);
        let queues = aws_sdk_sqs::Client::new(&sdk(&self.sqs).await);
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            for (name, child) in &mut self.children {
                if let Some(code) = child.try_wait()? {
                    bail!("{name} ended at once ({code}); is it installed? infra/setup stack, infra/setup fast");
                }
            }
            if table.list_tables().send().await.is_ok() && queues.list_queues().send().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the stack did not answer within {} s", START_MAX.as_secs())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            if let Ok(group) = i32::try_from(child.id()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = child.wait();
        }
    }
}

/// A new in-memory DynamoDB within this process, with a table: how to reach it, and the table's name.
///
/// # Errors
/// It does not answer.
pub async fn table_in_memory() -> Result<(aws_config::SdkConfig, String)> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    let (sdk, name) = (sdk(&endpoint).await, "jobs".to_owned());
    create_table(&sdk, &name).await?;
    Ok((sdk, name))
}

/// Serves an in-memory DynamoDB until it is ended.
///
/// # Errors
/// The port is taken.
pub async fn serve_table(port: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let database = dynoxide::Database::memory().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    dynoxide::server::serve_on(listener, database).await;
    Ok(())
}

/// The root of the clone that this was built in, unless the working folder is one.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn spawn(command: &mut Command) -> Result<Child> {
    use std::os::unix::process::CommandExt;
    // A group of its own, so that whatever it starts ends with it.
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// An SDK that speaks to an emulator.
pub async fn sdk(endpoint: &str) -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

/// Makes a table as the template has it.
///
/// # Errors
/// The emulator refuses.
pub async fn create_table(sdk: &aws_config::SdkConfig, name: &str) -> Result<()> {
    let client = aws_sdk_dynamodb::Client::new(sdk);
    let attribute = |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let index = |name: &str, hash: &str, range: &str| {
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let keys = [key(hash, KeyType::Hash)?, key(range, KeyType::Range)?];
        let index = GlobalSecondaryIndex::builder().index_name(name).set_key_schema(Some(keys.into()));
        anyhow::Ok(index.projection(keys_only).build()?)
    };
    let (text, number) = (ScalarAttributeType::S, ScalarAttributeType::N);
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("job_id", text.clone())?)
        .attribute_definitions(attribute("part", text.clone())?)
        .attribute_definitions(attribute("check_shard", text.clone())?)
        .attribute_definitions(attribute("check_at", number.clone())?)
        .attribute_definitions(attribute("tenant_day", text)?)
        .attribute_definitions(attribute("created_at", number)?)
        .key_schema(key("job_id", KeyType::Hash)?)
        .key_schema(key("part", KeyType::Range)?)
        .global_secondary_indexes(index("check", "check_shard", "check_at")?)
        .global_secondary_indexes(index("tenant", "tenant_day", "created_at")?)
        .send()
        .await
        .with_context(|| format!("make table {name}"))?;
    Ok(())
}
