//! A secret in Systems Manager's Parameter Store, read once per process.

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ssm::Client;
use qsketch_runtime::ports::{PortError, PortErrorKind};
use tokio::sync::OnceCell;

use crate::error::port_error;

/// A SecureString parameter. Its value is never logged.
pub struct SecretParameter {
    client: Client,
    name: String,
    value: OnceCell<String>,
}

impl SecretParameter {
    /// The parameter of this name; it is read when it is asked for first.
    #[must_use]
    pub fn new(sdk: &SdkConfig, name: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(crate::ATTEMPT).build();
        let config = aws_sdk_ssm::config::Builder::from(sdk).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), name: name.to_owned(), value: OnceCell::new() }
    }

    /// Its value. What failed is tried again when it is asked for again.
    ///
    /// # Errors
    /// [`PortError`]; [`PortErrorKind::Missing`] when there is no such parameter: the deploy script makes it.
    ///
    /// # Source
    /// Systems Manager API reference, GetParameter, "Request Parameters" (`WithDecryption`), read 2026-11-27.
    pub async fn read(&self) -> Result<&str, PortError> {
        self.value.get_or_try_init(|| self.fetch()).await.map(String::as_str)
    }

    async fn fetch(&self) -> Result<String, PortError> {
        let what = || format!("read parameter {}", self.name);
        let request = self.client.get_parameter().name(&self.name).with_decryption(true);
        let output = request.send().await.map_err(|error| port_error(what(), error))?;
        let value = output.parameter.and_then(|parameter| parameter.value);
        value.ok_or_else(|| PortError::new(what(), PortErrorKind::Damaged).because("no value came back"))
    }
}
