//! The cells of the providers' rate limits in memory: [`qsketch_core::rate::apply`] is all it knows.

use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::Provider;
use qsketch_core::rate::{Take, Taken, apply};
use qsketch_runtime::{PortError, Turns};

use crate::world::{Actor, Port, Request, World};

/// The cells of the simulated world, as one process sees them.
pub(crate) struct SimTurns {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

#[async_trait]
impl Turns for SimTurns {
    async fn take(&self, provider: &Provider, take: &Take) -> Result<Taken, PortError> {
        let target = format!("rate:{provider}");
        let request = Request { port: Port::Table, kind: take.kind(), target, size: 1 };
        self.world
            .call(&self.actor, request, |state, _| {
                // A cell is far smaller than a write unit, and a refused write is billed like one that is carried out.
                state.items.units.writes += 1;
                let before = state.cells.get(provider).copied();
                Ok(match apply(take, before.as_ref()) {
                    Some(cell) => {
                        state.cells.insert(provider.clone(), cell);
                        Taken::Written(cell)
                    }
                    None => Taken::Overtaken(before),
                })
            })
            .await
    }
}
