//! A store and a tool of which one call goes wrong.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qsketch_generate_tts::{ESPEAK_VARIABLE, EngineError, Espeak, SpeechEngine};
use qsketch_media::{Bench, MissingTool};
use qsketch_runtime::config::Environment;
use qsketch_runtime::ports::{Store, Stored};
use qsketch_runtime::{PortError, PortErrorKind};
use qsketch_video::Voice;

/// What goes wrong with a call on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It fails before any effect.
    Unavailable,
    /// It is refused because there are too many.
    Throttled,
    /// It takes effect, and its answer is lost.
    LostReply,
    /// It is done twice.
    Twice,
}

impl StoreFault {
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::Throttled, Self::LostReply, Self::Twice];
}

/// What goes wrong with a run of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolFault {
    /// It can't be started.
    Missing,
    /// It ends with another code than 0.
    Fails,
    /// A signal ends it.
    Killed,
    /// It never ends by itself.
    Hangs,
    /// It says that it succeeded, and wrote nothing.
    Lies,
}

impl ToolFault {
    pub const ALL: [Self; 5] = [Self::Missing, Self::Fails, Self::Killed, Self::Hangs, Self::Lies];

    const fn script(self) -> &'static str {
        match self {
            Self::Missing | Self::Lies => "#!/bin/sh\ncat > /dev/null\n",
            Self::Fails => "#!/bin/sh\necho it broke >&2\nexit 3\n",
            Self::Killed => "#!/bin/sh\nkill -9 $$\n",
            Self::Hangs => "#!/bin/sh\nexec sleep 1000\n",
        }
    }
}

/// Which call goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub store: Option<(usize, StoreFault)>,
    pub tool: Option<(usize, ToolFault)>,
}

impl Plan {
    /// Whether the attempt that meets it fails.
    pub fn fails(self) -> bool {
        self.tool.is_some() || self.store.is_some_and(|(_, fault)| fault != StoreFault::Twice)
    }

    /// What the attempt's error is to be called, where that is sure.
    pub const fn error_type(self) -> Option<&'static str> {
        match self.tool {
            Some((_, ToolFault::Hangs)) => Some("StartToClose"),
            _ => None,
        }
    }
}

/// Counts calls, and says which one goes wrong.
#[derive(Debug, Default)]
pub struct Count {
    calls: AtomicUsize,
    is_met: AtomicBool,
}

impl Count {
    fn next<F>(&self, plan: Option<(usize, F)>) -> Option<F> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = plan.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        if fault.is_some() {
            self.is_met.store(true, Ordering::SeqCst);
        }
        fault
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn is_met(&self) -> bool {
        self.is_met.load(Ordering::SeqCst)
    }
}

/// A store of which one call goes wrong.
pub struct FaultyStore {
    pub inner: Arc<dyn Store>,
    pub plan: Option<(usize, StoreFault)>,
    pub count: Arc<Count>,
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl FaultyStore {
    async fn call<T, F: Future<Output = Result<T, PortError>> + Send>(
        &self,
        what: &str,
        key: &str,
        call: impl Fn() -> F + Send,
    ) -> Result<T, PortError> {
        let what = format!("{what} {key}");
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
        let failed = |kind| Err(PortError::new(&what, kind).because("on purpose"));
        match self.count.next(self.plan) {
            None => call().await,
            Some(StoreFault::Unavailable) => failed(PortErrorKind::Unavailable),
            Some(StoreFault::Throttled) => failed(PortErrorKind::Throttled),
            Some(StoreFault::LostReply) => {
                call().await?;
                failed(PortErrorKind::Unavailable)
            }
            Some(StoreFault::Twice) => {
                call().await?;
                call().await
            }
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), PortError> {
        self.call("put", key, || self.inner.put(key, bytes.clone(), content_type)).await
    }
    async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.call("get", key, || self.inner.get(key, most)).await
    }
    async fn upload(&self, key: &str, file: &Path, content_type: &str) -> Result<(), PortError> {
        self.call("upload", key, || self.inner.upload(key, file, content_type)).await
    }
    async fn download(&self, key: &str, file: &Path) -> Result<Option<u64>, PortError> {
        self.call("download", key, || self.inner.download(key, file)).await
    }
    async fn head(&self, key: &str) -> Result<Option<Stored>, PortError> {
        self.call("head", key, || self.inner.head(key)).await
    }
    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<String>, PortError> {
        self.call("list", prefix, || self.inner.list(prefix, most)).await
    }
    fn location(&self, key: &str) -> String {
        self.inner.location(key)
    }
}

/// Real espeak-ng, of which one run is another program's.
pub struct FaultyEngine {
    real: Espeak,
    other: Option<Espeak>,
    pub plan: Option<(usize, ToolFault)>,
    pub count: Arc<Count>,
}

impl FaultyEngine {
    pub fn new(folder: &Path, plan: Option<(usize, ToolFault)>, count: Arc<Count>) -> Self {
        let real = Espeak::find(&Environment::new()).expect("these tests need real espeak-ng");
        Self { real, other: plan.map(|(_, fault)| stand_in(folder, fault)), plan, count }
    }
}

/// A program that goes wrong in this way.
fn stand_in(folder: &Path, fault: ToolFault) -> Espeak {
    use std::os::unix::fs::PermissionsExt as _;
    let program: PathBuf = folder.join("espeak");
    std::fs::write(&program, fault.script()).expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    let environment = Environment::from([(ESPEAK_VARIABLE.to_owned(), program.display().to_string())]);
    let engine = Espeak::find(&environment).expect("it is there");
    if fault == ToolFault::Missing {
        std::fs::remove_file(&program).expect("it is gone");
    }
    engine
}

#[async_trait]
impl SpeechEngine for FaultyEngine {
    fn name(&self) -> &'static str {
        self.real.name()
    }
    async fn version(&self) -> Result<String, MissingTool> {
        self.real.version().await
    }
    async fn speak(&self, bench: Bench<'_>, text: &str, voice: Voice, file: &Path) -> Result<(), EngineError> {
        match (self.count.next(self.plan), &self.other) {
            (Some(_), Some(other)) => other.speak(bench, text, voice, file).await,
            _ => self.real.speak(bench, text, voice, file).await,
        }
    }
}
