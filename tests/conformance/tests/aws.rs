//! The suite through `qsketch-aws`: all of it on MiniStack, the table on dynoxide too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use core::time::Duration;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use qsketch_aws::{AwsEraser, DynamoTable, Meter, Metered, connect};
use qsketch_conformance::{World, all_cases, check, table_cases, walk};
use qsketch_core::JobId;
use qsketch_runtime::config::Settings;
use qsketch_runtime::{PortErrorKind, Ports, QueueName};
use qsketch_sim::{Sim, Units};

/// How long an emulator may take to answer.
const START_MAX: Duration = Duration::from_secs(60);

/// The pause between two looks at an emulator that starts.
const LOOK: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_conforms() -> Result<()> {
    let emulator = MiniStack::start().await?;
    let world = world(&emulator.sdk, &format!("{}/000000000000/", emulator.endpoint)).await?;
    create_bucket(&emulator.sdk).await?;
    check(&world, all_cases()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynoxide_s_table_conforms() -> Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
    let world = world(&sdk(&endpoint).await, "http://127.0.0.1:9/none/").await?;
    let result = check(&world, table_cases()).await;
    server.abort();
    result
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_on_is_unavailable_and_a_table_that_is_not_there_is_missing() -> Result<()> {
    let settings = settings("none", "http://127.0.0.1:9/none/");
    let endpoint = format!("http://127.0.0.1:{}", free_port()?);
    let nobody = connect(&settings, &sdk(&endpoint).await);
    let job = JobId::try_from("j")?;
    let error = nobody.table.load_job(&job).await.err().context("nobody answers")?;
    ensure!(error.kind == PortErrorKind::Unavailable, "{error:?}");
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
    let empty = connect(&settings, &sdk(&endpoint).await);
    let error = empty.table.load_job(&job).await.err().context("there is no table")?;
    ensure!(error.kind == PortErrorKind::Missing, "{error:?}");
    server.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_units_that_dynoxide_reports_are_those_that_are_computed() -> Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
    let (computed, reported) = consumed(&sdk(&endpoint).await).await?;
    server.abort();
    same(&computed, &reported)
}

/// MiniStack 1.5.33 reports one read unit however large the item is, and nothing for a batch of reads: of a read only
/// that is compared, that it was one, and lists are left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_units_that_ministack_reports_are_those_that_are_computed() -> Result<()> {
    let emulator = MiniStack::start().await?;
    let (computed, reported) = consumed(&emulator.sdk).await?;
    let writes = |steps: Consumed| -> Consumed {
        steps
            .into_iter()
            .map(|(name, units)| (name, Units { reads: units.reads.min(1), list_halves: 0, ..units }))
            .collect()
    };
    same(&writes(computed), &writes(reported))
}

/// What each step of a walk consumed.
type Consumed = Vec<(String, Units)>;

/// What a walk consumes on the simulated table, where it is computed, and what the store says that it consumed.
async fn consumed(sdk: &SdkConfig) -> Result<(Consumed, Consumed)> {
    let id = JobId::try_from("walk")?;
    let sim = Sim::new(1);
    let computed = walk(&*sim.observer().table, &*sim.observer().lists, &id, || sim.units()).await?;
    create_table(sdk).await?;
    let meter = Arc::new(Meter::default());
    let table = DynamoTable::new(sdk, TABLE).metered(Arc::clone(&meter));
    let read = || {
        let Metered { table_writes, index_writes, table_reads, list_halves } = meter.read();
        Units { writes: table_writes, index_writes, reads: table_reads, list_halves }
    };
    let reported = walk(&table, &table, &id, read).await?;
    Ok((each(computed), each(reported)))
}

/// Sums as what each step added to them.
fn each(sums: Consumed) -> Consumed {
    let mut before = Units::default();
    let added = |(name, sum): (String, Units)| {
        let added = Units {
            writes: sum.writes - before.writes,
            index_writes: sum.index_writes - before.index_writes,
            reads: sum.reads - before.reads,
            list_halves: sum.list_halves - before.list_halves,
        };
        before = sum;
        (name, added)
    };
    sums.into_iter().map(added).collect()
}

fn same(computed: &Consumed, reported: &Consumed) -> Result<()> {
    ensure!(!computed.is_empty() && computed.len() == reported.len(), "the walks differ");
    let pairs = computed.iter().zip(reported).filter(|(computed, reported)| computed != reported);
    let wrong: Vec<_> =
        pairs.map(|((name, computed), (_, told))| format!("{name}: {computed:?}, the store: {told:?}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A MiniStack of this test's own; it ends with this value, its whole process group.
struct MiniStack {
    endpoint: String,
    sdk: SdkConfig,
    child: Child,
    _folder: tempfile::TempDir,
}

impl MiniStack {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let child = Command::new(script())
            .args(["--port", &port.to_string(), "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group_of_its_own()
            .spawn()
            .context("MiniStack can't be started: run `make test`, which installs it")?;
        let mut emulator = Self { sdk: sdk(&endpoint).await, endpoint, child, _folder: folder };
        emulator.until_ready().await?;
        Ok(emulator)
    }

    async fn until_ready(&mut self) -> Result<()> {
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        let began = tokio::time::Instant::now();
        while began.elapsed() < START_MAX {
            if let Some(code) = self.child.try_wait()? {
                bail!("MiniStack ended at once ({code}): run `make test`, which installs it");
            }
            if client.list_tables().send().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("MiniStack did not answer within {} s", START_MAX.as_secs())
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// A group of its own, so that whatever MiniStack starts ends with it.
trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's entry reads its environment")]
fn script() -> std::path::PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/ministack");
    std::env::var_os("QSKETCH_MINISTACK").map_or_else(own, Into::into)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn sdk(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
        .load()
        .await
}

const TABLE: &str = "conformance";
const BUCKET: &str = "conformance-media";

fn settings(table: &str, queue_url_prefix: &str) -> Settings {
    Settings {
        table: table.to_owned(),
        bucket: BUCKET.to_owned(),
        queue_url_prefix: queue_url_prefix.to_owned(),
        lease: Duration::from_secs(30),
        concurrency: None,
        poll_wait: Duration::from_secs(2),
        dir: std::env::temp_dir(),
    }
}

async fn world(sdk: &SdkConfig, queue_url_prefix: &str) -> Result<World> {
    create_table(sdk).await?;
    let settings = settings(TABLE, queue_url_prefix);
    let (ports, eraser): (Ports, _) = (connect(&settings, sdk), Arc::new(AwsEraser::new(&settings, sdk)));
    let (client, clock) = (aws_sdk_sqs::Client::new(sdk), Arc::clone(&ports.clock));
    let make_queue = Arc::new(move || {
        let (client, name) = (client.clone(), format!("q-{}", clock.nonce()));
        Box::pin(async move {
            client.create_queue().queue_name(&name).send().await?;
            Ok(QueueName::new(&name))
        }) as futures_util::future::BoxFuture<'static, _>
    });
    Ok(World { ports, eraser, make_queue, missing_queue: QueueName::new("missing") })
}

/// The table as the template has it.
async fn create_table(sdk: &SdkConfig) -> Result<()> {
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
        .table_name(TABLE)
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
        .await?;
    Ok(())
}

async fn create_bucket(sdk: &SdkConfig) -> Result<()> {
    aws_sdk_s3::Client::new(sdk).create_bucket().bucket(BUCKET).send().await?;
    Ok(())
}
