//! The store of files on S3. A key is written once: a second write of the same content is no error, of another one is.

use core::time::Duration;
use std::path::Path;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use qsketch_core::digest::sha256;
use qsketch_runtime::digest::sha256_of;
use qsketch_runtime::ports::{PortError, PortErrorKind, Store, Stored};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::port_error;

/// How long the first byte of an answer may take, an upload's own time included: 4 GiB at 40 MB/s. A body that stalls is
/// ended by the SDK's own protection.
const FIRST_BYTE: Duration = Duration::from_secs(120);

/// The name of the metadata that holds a file's SHA-256.
const SHA256: &str = "sha256";

/// The most keys of one page of a list.
///
/// # Source
/// S3 API reference, `ListObjectsV2`, `max-keys`, read 2026-11-22.
const PAGE_KEYS: usize = 1_000;

/// The store of a deployment.
pub struct S3Store {
    pub(crate) client: Client,
    pub(crate) bucket: String,
}

impl S3Store {
    /// The store in this bucket.
    #[must_use]
    pub fn new(sdk: &SdkConfig, bucket: &str) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(crate::CONNECT).read_timeout(FIRST_BYTE).build();
        let config = aws_sdk_s3::config::Builder::from(sdk).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), bucket: bucket.to_owned() }
    }

    async fn write(&self, key: &str, body: ByteStream, sha256: &str, content_type: &str) -> Result<(), PortError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(body);
        let request = request.content_type(content_type).metadata(SHA256, sha256).if_none_match("*");
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("PreconditionFailed") => {
                let there = self.head(key).await?.and_then(|stored| stored.sha256);
                if there.as_deref() == Some(sha256) {
                    return Ok(());
                }
                Err(PortError::new(self.what("write", key), PortErrorKind::Invalid)
                    .because("the key holds another file already"))
            }
            Err(error) => Err(port_error(self.what("write", key), error)),
        }
    }

    async fn open(&self, key: &str) -> Result<Option<aws_sdk_s3::operation::get_object::GetObjectOutput>, PortError> {
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => Ok(Some(output)),
            Err(SdkError::ServiceError(service)) if service.err().is_no_such_key() => Ok(None),
            Err(error) => Err(port_error(self.what("read", key), error)),
        }
    }

    fn what(&self, verb: &str, key: &str) -> String {
        format!("{verb} file {key} in bucket {}", self.bucket)
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), PortError> {
        let sha256 = sha256(&bytes);
        self.write(key, ByteStream::from(bytes), &sha256, content_type).await
    }

    async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, PortError> {
        let Some(output) = self.open(key).await? else { return Ok(None) };
        let broken = |error| PortError::new(self.what("read", key), PortErrorKind::Unavailable).because(error);
        let mut bytes = Vec::new();
        let mut reader = output.body.into_async_read().take(most + 1);
        reader.read_to_end(&mut bytes).await.map_err(broken)?;
        if bytes.len() as u64 > most {
            return Err(PortError::new(self.what("read", key), PortErrorKind::TooLarge));
        }
        Ok(Some(bytes))
    }

    async fn upload(&self, key: &str, file: &Path, content_type: &str) -> Result<(), PortError> {
        let local = |error: Box<dyn std::error::Error + Send + Sync>| {
            PortError::new(format!("read local file {}", file.display()), PortErrorKind::Unavailable).because(error)
        };
        let sha256 = sha256_of(file).await.map_err(|error| local(error.into()))?;
        let body = ByteStream::from_path(file).await.map_err(|error| local(error.into()))?;
        self.write(key, body, &sha256, content_type).await
    }

    async fn download(&self, key: &str, file: &Path) -> Result<Option<u64>, PortError> {
        let Some(output) = self.open(key).await? else { return Ok(None) };
        let broken = |error: std::io::Error| {
            PortError::new(format!("{} into {}", self.what("read", key), file.display()), PortErrorKind::Unavailable)
                .because(error)
        };
        let mut to = tokio::fs::File::create(file).await.map_err(broken)?;
        let bytes = tokio::io::copy(&mut output.body.into_async_read(), &mut to).await.map_err(broken)?;
        to.flush().await.map_err(broken)?;
        Ok(Some(bytes))
    }

    async fn head(&self, key: &str) -> Result<Option<Stored>, PortError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => Ok(Some(Stored {
                bytes: output.content_length().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
                content_type: output.content_type().map(str::to_owned),
                sha256: output.metadata().and_then(|all| all.get(SHA256).cloned()),
            })),
            Err(SdkError::ServiceError(service)) if service.err().is_not_found() => Ok(None),
            Err(error) => Err(port_error(self.what("look at", key), error)),
        }
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<String>, PortError> {
        let mut keys = Vec::new();
        let mut next = None;
        for _ in 0..=most / PAGE_KEYS {
            let page = i32::try_from((most - keys.len()).min(PAGE_KEYS)).unwrap_or(i32::MAX);
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(page);
            let request = request.set_continuation_token(next);
            let output = request.send().await.map_err(|error| port_error(self.what("list", prefix), error))?;
            keys.extend(output.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            next = output.next_continuation_token;
            if next.is_none() || keys.len() >= most {
                break;
            }
        }
        keys.truncate(most);
        Ok(keys)
    }

    fn location(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}
