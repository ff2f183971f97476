//! The rosters of tenants in memory: [`qsketch_core::tenant::apply`] is all it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::size::{CHECK_INDEX, Item, refused, written};
use qsketch_core::tenant::apply;
use qsketch_core::{Roster, RosterCommit, RosterWrite, Tenant};
use qsketch_runtime::ports::{DueTenant, DueTenants, TenantPage};
use qsketch_runtime::{PortError, Rosters};

use crate::table::{SimTable, Units};

/// What a table makes of a roster's write, as it is: the roster as it becomes, or none where the write is refused.
pub type RosterLaw = dyn Fn(&Tenant, &RosterWrite, Option<&Roster>) -> Option<Roster> + Send + Sync;

#[derive(Default)]
pub(crate) struct RosterSet {
    /// What it makes of a write instead of [`apply`].
    pub(crate) law: Option<Arc<RosterLaw>>,
    rosters: BTreeMap<Tenant, Roster>,
    due: BTreeSet<DueTenant>,
}

impl RosterSet {
    pub(crate) fn get(&self, tenant: &Tenant) -> Option<&Roster> {
        self.rosters.get(tenant)
    }

    fn commit(&mut self, tenant: &Tenant, write: &RosterWrite, units: &mut Units) -> RosterCommit {
        let current = self.rosters.get(tenant);
        let before = current.map(Item::of_roster);
        let next = match &self.law {
            Some(law) => law(tenant, write, current),
            None => apply(tenant, write, current),
        };
        let Some(next) = next else {
            units.write(refused(before.as_ref()));
            return RosterCommit::Overtaken(current.cloned());
        };
        units.write(written(before.as_ref(), &Item::of_roster(&next)));
        if let Some(check_at) = current.and_then(|roster| roster.check_at) {
            self.due.remove(&DueTenant { check_at, tenant: tenant.clone() });
        }
        if let Some(check_at) = next.check_at {
            self.due.insert(DueTenant { check_at, tenant: tenant.clone() });
        }
        self.rosters.insert(tenant.clone(), next.clone());
        RosterCommit::Written(next)
    }

    fn page(&self, page: &TenantPage, units: &mut Units) -> DueTenants {
        let asked = self.due.iter().skip_while(|due| page.after.as_ref().is_some_and(|after| *due <= after));
        let due: Vec<DueTenant> = asked.take_while(|due| due.check_at <= page.until).take(page.most).cloned().collect();
        let entry = |due: &DueTenant| Item::of_roster(self.rosters.get(&due.tenant)?).entry_bytes(CHECK_INDEX);
        units.list(due.iter().filter_map(entry).sum());
        DueTenants { has_more: due.len() == page.most, due }
    }
}

#[async_trait]
impl Rosters for SimTable {
    async fn load(&self, tenant: &Tenant) -> Result<Option<Roster>, PortError> {
        self.read("load-roster", format!("tenant:{tenant}"), |items| {
            let roster = items.rosters.get(tenant).cloned();
            items.units.read(roster.as_ref().map_or(0, |roster| Item::of_roster(roster).bytes()));
            Ok(roster)
        })
        .await
    }

    async fn commit(&self, tenant: &Tenant, write: &RosterWrite) -> Result<RosterCommit, PortError> {
        self.read(write.kind(), format!("tenant:{tenant}"), |items| {
            Ok(items.rosters.commit(tenant, write, &mut items.units))
        })
        .await
    }

    async fn due(&self, page: &TenantPage) -> Result<DueTenants, PortError> {
        self.read("due-tenants", "tenants".to_owned(), |items| Ok(items.rosters.page(page, &mut items.units))).await
    }
}
