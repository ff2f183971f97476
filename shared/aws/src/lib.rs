//! The ports on DynamoDB, SQS and S3, and secrets in Parameter Store: the only crate that names an `aws-*` crate.
//!
//! Which cloud it speaks to is decided by the SDK's own environment (`AWS_ENDPOINT_URL`, region, credentials); nothing
//! here asks where it runs.

mod dates;
mod eraser;
mod error;
pub mod host;
mod lists;
mod meter;
mod operator;
mod parameter;
mod queues;
mod rosters;
mod shards;
mod store;
mod table;
mod turns;

use core::time::Duration;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use qsketch_runtime::clock::WatchedClock;
use qsketch_runtime::config::Settings;
use qsketch_runtime::ports::Ports;

pub use eraser::AwsEraser;
pub use meter::{Meter, Metered};
pub use parameter::SecretParameter;
pub use queues::SqsQueues;
pub use store::S3Store;
pub use table::DynamoTable;

/// The allocator of every service; what it brings stands in `docs/benchmarks.md`, "What was tried".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often the SDK tries a call, the first time included.
///
/// Each call of ours is safe to repeat: conditional writes know their owner again, sends are repeatable, keys of files
/// are written once. Four tries with the SDK's backoff (50 ms at first here) ride out a throttled partition.
const TRIES_MAX: u32 = 4;

/// The first wait before the SDK tries again. The SDK's own second is longer than most of our drives.
const BACKOFF: Duration = Duration::from_millis(50);

/// The longest wait before the SDK tries again.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// How long one try of a table's or queue's call may take: a lease of 30 s must outlive a few of them.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(5);

/// The SDK's configuration from its own environment, with our retries and time-outs.
pub async fn sdk_config() -> SdkConfig {
    let retries = RetryConfig::standard()
        .with_max_attempts(TRIES_MAX)
        .with_initial_backoff(BACKOFF)
        .with_max_backoff(BACKOFF_MAX);
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).build();
    aws_config::defaults(BehaviorVersion::latest()).retry_config(retries).timeout_config(timeouts).load().await
}

/// The ports of a deployment. The clock is compared with the dates of the table's and the queues' replies.
#[must_use]
pub fn connect(settings: &Settings, sdk: &SdkConfig) -> Ports {
    let clock = WatchedClock::default();
    let table = Arc::new(DynamoTable::watched(sdk, &settings.table, &clock));
    Ports {
        lists: Arc::clone(&table) as Arc<dyn qsketch_runtime::Lists>,
        rosters: Arc::clone(&table) as Arc<dyn qsketch_runtime::Rosters>,
        turns: Arc::clone(&table) as Arc<dyn qsketch_runtime::Turns>,
        table,
        queues: Arc::new(SqsQueues::watched(sdk, &settings.queue_url_prefix, &clock)),
        store: Arc::new(S3Store::new(sdk, &settings.bucket)),
        clock: Arc::new(clock),
    }
}
