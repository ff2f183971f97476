//! Deployments that are broken on purpose, to see that the check can fail. Nothing of this is in the product.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use async_trait::async_trait;
use clap::ValueEnum;
use qsketch_runtime::parent::CHILD_VARIABLE;
use qsketch_runtime::{Clock, Consumer, Delivery, Fate, QueueName, Queues, Stop, Worker};

/// The variable that says how a process is broken.
pub const BROKEN_VARIABLE: &str = "CHAOS_BROKEN";

/// In which way a deployment is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// A message is deleted before it is worked on, and nobody looks after the jobs.
    AcknowledgesFirst,
    /// Whoever starts a worker again leaves the tools of the dead one.
    NoParent,
    /// Nobody looks after the jobs.
    NoReconciler,
}

impl Broken {
    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether nobody looks after the jobs.
    #[must_use]
    pub const fn is_without_reconciler(self) -> bool {
        matches!(self, Self::AcknowledgesFirst | Self::NoReconciler)
    }
}

/// A worker that deletes each message before it works on it.
pub struct AcknowledgesFirst {
    /// The worker.
    pub worker: Worker,
    /// The queues.
    pub queues: Arc<dyn Queues>,
    /// Its queue.
    pub queue: QueueName,
}

#[async_trait]
impl Consumer for AcknowledgesFirst {
    async fn consume(&self, delivery: &Delivery, stop: &Stop) -> Fate {
        // What is not deleted now comes back, as it would anyhow.
        let _ = self.queues.delete(&self.queue, core::slice::from_ref(&delivery.receipt)).await;
        self.worker.consume(delivery, stop).await
    }

    fn clock(&self) -> Option<&dyn Clock> {
        self.worker.clock()
    }

    async fn ready(&self) {
        self.worker.ready().await;
    }
}

/// Whether this process is to work.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "it stands in for the main of a service")]
pub fn is_child() -> bool {
    std::env::var_os(CHILD_VARIABLE).is_some()
}

/// Starts this program as a worker, again whenever it has ended, and cares for nothing else.
#[must_use]
pub fn start_again_and_again() -> ExitCode {
    loop {
        let started = std::env::current_exe().and_then(|program| {
            let (ours, theirs) = UnixStream::pair()?;
            let child = Command::new(program).env(CHILD_VARIABLE, "1").stdin(OwnedFd::from(theirs)).spawn()?;
            Ok((ours, child))
        });
        let Ok((ours, mut child)) = started else { return ExitCode::FAILURE };
        match child.wait() {
            Ok(code) if code.success() => return ExitCode::SUCCESS,
            Ok(_) => drop(ours),
            Err(_) => return ExitCode::FAILURE,
        }
    }
}
