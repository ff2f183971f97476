//! The rosters of tenants whose jobs are capped.

use async_trait::async_trait;
use qsketch_core::{Roster, RosterCommit, RosterWrite, Tenant, Time};

use super::PortError;

/// A tenant that is due to be looked after, and since when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueTenant {
    /// When it was to be looked after.
    pub check_at: Time,
    /// The tenant.
    pub tenant: Tenant,
}

/// A question for the tenants that are due, the longest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPage {
    /// The latest time at which they were to be looked after.
    pub until: Time,
    /// The tenant after which the answer begins: one of an earlier answer.
    pub after: Option<DueTenant>,
    /// The most tenants, at least 1.
    pub most: usize,
}

/// The answer to a [`TenantPage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueTenants {
    /// The tenants, the one that is due longest first.
    pub due: Vec<DueTenant>,
    /// Whether there may be more behind them.
    pub has_more: bool,
}

/// The items of the job table that hold a tenant's roster.
#[async_trait]
pub trait Rosters: Send + Sync {
    /// A tenant's roster, as the last write left it.
    ///
    /// # Errors
    /// [`PortError`].
    async fn load(&self, tenant: &Tenant) -> Result<Option<Roster>, PortError>;

    /// Carries out one conditional write; what it means is [`qsketch_core::tenant::apply`].
    ///
    /// # Errors
    /// [`PortError`]; whether it was written is then not known.
    async fn commit(&self, tenant: &Tenant, write: &RosterWrite) -> Result<RosterCommit, PortError>;

    /// A page of the tenants that are due to be looked after. What was written a moment ago may be missing.
    ///
    /// # Errors
    /// [`PortError`].
    async fn due(&self, page: &TenantPage) -> Result<DueTenants, PortError>;
}
