//! The places of the workers: each is a machine with one worker, a proxy and a folder of its own.

use core::time::Duration;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use qsketch_intake::INTAKE_QUEUE;

use crate::broken::{BROKEN_VARIABLE, Broken};
use crate::graph::{CHECK, JOIN, MAKE, PLAN, TELL};
use crate::machine::{CLOCK_VARIABLE, Disk, Memory, set_clock};
use crate::processes::{children, descendants, is_alive, signal};
use crate::proxy::{Proxy, Weather};
use crate::stack::Deployment;
use crate::watch::Watch;
use crate::worker::{JOURNAL_VARIABLE, LEASE_VARIABLE, RECONCILER, SERVICE_VARIABLE};

/// Which services there are, and how many workers of each.
pub const SLOTS: [(&str, usize); 7] =
    [(INTAKE_QUEUE, 1), (PLAN, 2), (CHECK, 1), (MAKE, 3), (JOIN, 1), (TELL, 1), (RECONCILER, 1)];

/// The pause between two looks at processes.
const LOOK: Duration = Duration::from_millis(20);

/// What the slots of a deployment have in common.
pub struct Site {
    /// The worker's program.
    pub program: PathBuf,
    /// Where logs, journal and the machines' folders are.
    pub folder: PathBuf,
    /// How the deployment is broken on purpose.
    pub broken: Option<Broken>,
    /// What the proxies do.
    pub weather: Arc<Weather>,
    /// What the proxies see.
    pub watch: Arc<Watch>,
    /// What the proxies draw from.
    pub seed: u64,
    /// What is preloaded into workers, so that their clocks can be set off.
    pub clock: Option<PathBuf>,
    /// Whether machines that run tools have disks and memory of their own.
    pub is_apart: bool,
}

impl Site {
    /// The folder of the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }
}

/// A machine with a worker.
pub struct Slot {
    /// Its number.
    pub number: usize,
    /// The service of its worker.
    pub service: &'static str,
    environment: Vec<(&'static str, String)>,
    program: PathBuf,
    log: PathBuf,
    folder: PathBuf,
    /// Each machine that was lost is followed by a new one, with a disk of its own.
    machine: u32,
    worker: Option<Child>,
    is_apart: bool,
    /// Its disk, where it has one of its own.
    pub disk: Option<Disk>,
    /// Its memory, where it has some of its own.
    pub memory: Option<Memory>,
    clock: Option<PathBuf>,
}

impl Slot {
    /// A slot that nothing runs in yet.
    ///
    /// # Errors
    /// Its proxy can't be started.
    pub async fn new(deployment: &Deployment, site: &Site, number: usize, service: &'static str) -> Result<Self> {
        let seed = site.seed.wrapping_mul(1_000).wrapping_add(number as u64);
        let proxy = Proxy::start(&deployment.endpoint, number, seed, &site.weather, &site.watch).await?;
        let mut environment = deployment.environment(&proxy.endpoint);
        let broken = site.broken.map(Broken::name).unwrap_or_default();
        environment.extend([
            (SERVICE_VARIABLE, service.to_owned()),
            (JOURNAL_VARIABLE, site.journal().to_string_lossy().into_owned()),
            (LEASE_VARIABLE, deployment.settings.lease.as_secs().to_string()),
            (BROKEN_VARIABLE, broken),
        ]);
        let clock = site.clock.as_ref().map(|_| site.folder.join(format!("clock-{number}")));
        if let (Some(library), Some(file)) = (&site.clock, &clock) {
            set_clock(file, 0)?;
            environment.push(("LD_PRELOAD", library.to_string_lossy().into_owned()));
            environment.push((CLOCK_VARIABLE, file.to_string_lossy().into_owned()));
        }
        let is_apart = site.is_apart && service == MAKE;
        let name = format!("qsketch-chaos-{}-{number}", std::process::id());
        let memory = if is_apart { Memory::limited(&name) } else { None };
        let (log, folder) = (site.folder.join(format!("{service}-{number}.log")), site.folder.join("machines"));
        let (program, machine, worker, disk) = (site.program.clone(), 0, None, None);
        Ok(Self { number, service, environment, program, log, folder, machine, worker, is_apart, disk, memory, clock })
    }

    /// The folder of its machine.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.folder.join(format!("{}-{}", self.number, self.machine))
    }

    /// Sets a variable of its worker, from the next start on.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value));
    }

    /// Starts its worker.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(&mut self) -> Result<()> {
        std::fs::create_dir_all(self.place())?;
        if self.is_apart && self.disk.is_none() {
            self.disk = Disk::mount(&self.place());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = match &self.memory {
            None => Command::new(&self.program),
            Some(memory) => {
                // It is in the group before it is the worker, so that nothing that it starts is not.
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$1\""]).arg(memory.processes()).arg(&self.program);
                shell
            }
        };
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("QSKETCH_DIR", self.place());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let worker = command.spawn().with_context(|| format!("{} can't be started", self.program.display()))?;
        self.worker = Some(worker);
        Ok(())
    }

    /// Sets how far the machine's clock is off; whether it has one that can be set.
    ///
    /// # Errors
    /// Its file can't be written.
    pub fn set_clock(&self, off_ms: i64) -> Result<bool> {
        self.clock.as_ref().map_or(Ok(()), |file| set_clock(file, off_ms))?;
        Ok(self.clock.is_some())
    }

    /// The parent of its worker, or its only process.
    #[must_use]
    pub fn parent(&self) -> Option<i32> {
        i32::try_from(self.worker.as_ref()?.id()).ok()
    }

    /// The process that works: the parent's child that is the same program.
    #[must_use]
    pub fn child(&self) -> Option<i32> {
        let name = self.program.file_name()?;
        children(self.parent()?).into_iter().find(|pid| {
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
            program.is_some_and(|program| program.file_name() == Some(name))
        })
    }

    /// All its processes, the parent first.
    #[must_use]
    pub fn tree(&self) -> Vec<i32> {
        let parent = self.parent();
        parent.into_iter().chain(parent.map(descendants).unwrap_or_default()).collect()
    }

    /// Whether its parent runs.
    pub fn is_running(&mut self) -> bool {
        self.worker.as_mut().is_some_and(|worker| matches!(worker.try_wait(), Ok(None)))
    }

    /// Whether its worker has logged this, by any of its processes.
    #[must_use]
    pub fn has_logged(&self, words: &str) -> bool {
        std::fs::read_to_string(&self.log).is_ok_and(|log| log.contains(words))
    }

    /// Everything on the machine stands still.
    #[must_use]
    pub fn freeze(&self) -> Vec<i32> {
        // What is started meanwhile is found by the next look.
        let mut frozen = Vec::new();
        loop {
            let new: Vec<i32> = self.tree().into_iter().filter(|pid| !frozen.contains(pid)).collect();
            if new.is_empty() {
                return frozen;
            }
            new.iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
            frozen.extend(new);
        }
    }

    /// The machine is gone with everything on it; a new one comes with the next start.
    ///
    /// # Errors
    /// Its folder can't be removed.
    pub async fn lose(&mut self) -> Result<()> {
        let all = self.freeze();
        all.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
        while all.iter().any(|pid| is_alive(*pid)) {
            tokio::time::sleep(LOOK).await;
        }
        self.ended();
        self.disk = None;
        remove(&self.place())?;
        self.machine += 1;
        Ok(())
    }

    /// Waits until the worker has ended, and with it everything that it had started.
    pub async fn gone(&mut self) {
        let all = self.tree();
        while self.is_running() || all.iter().any(|pid| is_alive(*pid)) {
            tokio::time::sleep(LOOK).await;
        }
        self.ended();
    }

    fn ended(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            // It has ended: this takes it off the process table.
            let _ = worker.wait();
        }
    }

    /// The files that its machine has.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.place())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        for pid in self.freeze() {
            signal(pid, Signal::SIGKILL);
        }
        self.ended();
    }
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
