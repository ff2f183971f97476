//! The settings of a service, read once from the environment at its start.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

use qsketch_core::pipeline::HEARTBEAT_MIN;
use thiserror::Error;

use crate::ports::{POLL_WAIT_MAX, QueueName};

/// The variables of the environment.
pub type Environment = BTreeMap<String, String>;

/// The longest lease that can be set.
pub const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// The most messages that one worker works on at once.
pub const CONCURRENCY_MAX: usize = 1_024;

/// Every mistake in the settings, at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the settings are not complete: {}", mistakes.join("; "))]
pub struct SettingsError {
    /// The mistakes, each a sentence.
    pub mistakes: Vec<String>,
}

/// What every service needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The job table.
    pub table: String,
    /// The bucket of the store.
    pub bucket: String,
    /// The URL of a queue without its name: `https://sqs.REGION.amazonaws.com/ACCOUNT/qsketch-STACK-`.
    pub queue_url_prefix: String,
    /// How long a lease holds, and for how long a received message is hidden.
    pub lease: Duration,
    /// How many messages one worker works on at once; the service's own number when not set.
    pub concurrency: Option<usize>,
    /// How long one poll waits for a message.
    pub poll_wait: Duration,
    /// The folder for scratch files.
    pub dir: PathBuf,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`SettingsError`] with every mistake at once.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let mut mistakes = Vec::new();
        let mut needed = |name: &str, what: &str| match environment.get(name).filter(|value| !value.is_empty()) {
            Some(value) => value.clone(),
            None => {
                mistakes.push(format!("{name} is not set: give it {what}"));
                String::new()
            }
        };
        let table = needed("QSKETCH_TABLE", "the name of the job table");
        let bucket = needed("QSKETCH_BUCKET", "the name of the bucket");
        let queue_url_prefix = needed("QSKETCH_QUEUE_URL_PREFIX", "the queues' URL without the last name");
        let lease = seconds(environment, "QSKETCH_LEASE_SECS", HEARTBEAT_MIN, LEASE_MAX, 30, &mut mistakes);
        let poll_wait =
            seconds(environment, "QSKETCH_POLL_WAIT_SECS", Duration::ZERO, POLL_WAIT_MAX, 20, &mut mistakes);
        let concurrency = environment.get("QSKETCH_CONCURRENCY").and_then(|text| match text.parse() {
            Ok(number) if (1..=CONCURRENCY_MAX).contains(&number) => Some(number),
            _ => {
                mistakes.push(format!("QSKETCH_CONCURRENCY is {text:?}: use 1 to {CONCURRENCY_MAX}"));
                None
            }
        });
        let dir = environment.get("QSKETCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        // Tools run in folders of their own: a relative path would mean another folder there.
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        if mistakes.is_empty() {
            Ok(Self { table, bucket, queue_url_prefix, lease, concurrency, poll_wait, dir })
        } else {
            Err(SettingsError { mistakes })
        }
    }

    /// The URL of a queue.
    #[must_use]
    pub fn queue_url(&self, queue: &QueueName) -> String {
        format!("{}{queue}", self.queue_url_prefix)
    }
}

fn seconds(
    environment: &Environment,
    name: &str,
    least: Duration,
    most: Duration,
    default: u64,
    mistakes: &mut Vec<String>,
) -> Duration {
    let Some(text) = environment.get(name) else { return Duration::from_secs(default) };
    match text.parse().map(Duration::from_secs) {
        Ok(span) if (least..=most).contains(&span) => span,
        _ => {
            mistakes.push(format!(
                "{name} is {text:?}: use whole seconds from {} to {}",
                least.as_secs(),
                most.as_secs()
            ));
            least
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_and_wrong_setting_is_named_at_once() {
        let environment = BTreeMap::from([
            ("QSKETCH_TABLE".to_owned(), "t".to_owned()),
            ("QSKETCH_LEASE_SECS".to_owned(), "1".to_owned()),
            ("QSKETCH_CONCURRENCY".to_owned(), "many".to_owned()),
        ]);
        let mistakes = Settings::read(&environment).map(|_| Vec::new()).unwrap_or_else(|error| error.mistakes);
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(
            mistakes.iter().any(|m| m == "QSKETCH_LEASE_SECS is \"1\": use whole seconds from 3 to 3600"),
            "{mistakes:?}"
        );
    }
}
