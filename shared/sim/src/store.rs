//! The store of files in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_runtime::ports::Stored;
use qsketch_runtime::{PortError, PortErrorKind, Store};
use sha2::{Digest, Sha256};

use crate::world::{Actor, Port, Request, World};

/// The store of files in memory, as one process sees it.
#[derive(Clone)]
pub struct SimStore {
    world: Arc<World>,
    actor: Arc<Actor>,
}

#[derive(Default)]
pub(crate) struct Files {
    pub(crate) kept: BTreeMap<String, File>,
    /// The keys that somebody tried to write again with something else.
    pub(crate) refused: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    content_type: String,
    sha256: String,
}

impl File {
    fn new(bytes: Vec<u8>, content_type: &str) -> Self {
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes, content_type: content_type.to_owned(), sha256 }
    }
}

impl SimStore {
    pub(crate) const fn new(world: Arc<World>, actor: Arc<Actor>) -> Self {
        Self { world, actor }
    }

    async fn call<T: Send>(
        &self,
        kind: &'static str,
        key: &str,
        mut effect: impl FnMut(&mut Files) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError> {
        let request = Request { port: Port::Store, kind, target: key.to_owned(), size: 1 };
        self.world.call(&self.actor, request, |state, _| effect(&mut state.files)).await
    }
}

#[async_trait]
impl Store for SimStore {
    async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), PortError> {
        let file = File::new(bytes, content_type);
        self.call("put", key, |files| files.keep(key, file.clone())).await
    }

    async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, PortError> {
        let look = |files: &mut Files| match files.kept.get(key) {
            Some(file) if file.bytes.len() as u64 > most => Err(PortError::new(
                format!("get {key}: it has {} bytes, at most {most} are read", file.bytes.len()),
                PortErrorKind::TooLarge,
            )),
            found => Ok(found.map(|file| file.bytes.clone())),
        };
        self.call("get", key, look).await
    }

    async fn upload(&self, key: &str, file: &Path, content_type: &str) -> Result<(), PortError> {
        let unread =
            |error| PortError::new(format!("upload {}", file.display()), PortErrorKind::Invalid).because(error);
        let file = File::new(std::fs::read(file).map_err(unread)?, content_type);
        self.call("upload", key, |files| files.keep(key, file.clone())).await
    }

    async fn download(&self, key: &str, file: &Path) -> Result<Option<u64>, PortError> {
        let look = |files: &mut Files| Ok(files.kept.get(key).map(|file| file.bytes.clone()));
        let Some(bytes) = self.call("download", key, look).await? else { return Ok(None) };
        let unwritten =
            |error| PortError::new(format!("download to {}", file.display()), PortErrorKind::Invalid).because(error);
        std::fs::write(file, &bytes).map_err(unwritten)?;
        Ok(Some(bytes.len() as u64))
    }

    async fn head(&self, key: &str) -> Result<Option<Stored>, PortError> {
        let look = |files: &mut Files| {
            Ok(files.kept.get(key).map(|file| Stored {
                bytes: file.bytes.len() as u64,
                content_type: Some(file.content_type.clone()),
                sha256: Some(file.sha256.clone()),
            }))
        };
        self.call("head", key, look).await
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<String>, PortError> {
        let look = |files: &mut Files| {
            let found = files.kept.keys().filter(|key| key.starts_with(prefix)).take(most).cloned();
            Ok(found.collect())
        };
        self.call("list", prefix, look).await
    }

    fn location(&self, key: &str) -> String {
        format!("s3://sim/{key}")
    }
}

impl Files {
    /// Removes what begins so; how many files.
    pub(crate) fn remove(&mut self, prefix: &str) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|key, _| !key.starts_with(prefix));
        (before - self.kept.len()) as u64
    }

    fn keep(&mut self, key: &str, file: File) -> Result<(), PortError> {
        if let Some(before) = self.kept.get(key) {
            if before.sha256 == file.sha256 {
                return Ok(());
            }
            self.refused.push(key.to_owned());
            let error = PortError::new(format!("write file {key}"), PortErrorKind::Invalid);
            return Err(error.because("the key holds another file already"));
        }
        self.kept.insert(key.to_owned(), file);
        Ok(())
    }
}
