//! Deleting in memory.

use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::JobId;
use qsketch_runtime::{Eraser, PortError};

use crate::world::{Actor, Port, Request, World};

/// Deletes in the simulated world, as one process.
pub(crate) struct SimEraser {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

#[async_trait]
impl Eraser for SimEraser {
    async fn erase_files(&self, prefix: &str) -> Result<u64, PortError> {
        let request = Request { port: Port::Store, kind: "erase-files", target: prefix.to_owned(), size: 1 };
        self.world.call(&self.actor, request, |state, _| Ok(state.files.remove(prefix))).await
    }

    async fn erase_parts(&self, job: &JobId) -> Result<u64, PortError> {
        let request = Request { port: Port::Table, kind: "erase-parts", target: job.to_string(), size: 1 };
        self.world.call(&self.actor, request, |state, _| Ok(state.items.remove_job(job))).await
    }
}
