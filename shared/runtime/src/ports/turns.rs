//! The port of the turns that workers take at a provider.

use async_trait::async_trait;
use qsketch_core::Provider;
use qsketch_core::rate::{Take, Taken};

use super::PortError;

/// The cells of the providers' rate limits, which all workers of a deployment share.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Carries out one conditional write of a provider's cell; what it means is [`qsketch_core::rate::apply`].
    ///
    /// A refusal is no error: it brings the cell as it is now.
    ///
    /// # Errors
    /// [`PortError`]; whether it was written is then not known. At worst a turn goes by that nobody uses.
    async fn take(&self, provider: &Provider, take: &Take) -> Result<Taken, PortError>;
}
