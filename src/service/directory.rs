//! The callers that were seen lately. Resolved ones stay in memory for a few seconds, so that a
//! request costs no query to know its caller; what this process changes is forgotten at once.
use crate::access::token::Session;
use crate::access::{Caller, KnownNames};
use crate::core::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant as Tick};

/// How long what another process may have changed is believed.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// What credentials are kept under: the digest of a key, or the session of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Key([u8; 32]),
    User(Session),
}

/// The callers that were seen lately, and since when they are believed; `None` is not any more.
#[derive(Default)]
pub struct Directory {
    callers: RwLock<HashMap<Slot, Known>>,
    names: RwLock<HashMap<TenantId, Arc<KnownNames>>>,
}
type Known = (Arc<Caller>, Option<Tick>);

impl Directory {
    /// Forgets an organization's callers.
    pub fn forget(&self, tenant: TenantId) {
        if let Ok(mut all) = self.callers.write() {
            all.values_mut()
                .filter(|(caller, _)| caller.tenant == tenant)
                .for_each(|(_, since)| *since = None);
        }
    }
    /// A caller that was looked up within `age`.
    pub(super) fn get(&self, slot: Slot, age: Duration) -> Option<Arc<Caller>> {
        let all = self.callers.read().ok()?;
        all.get(&slot)
            .filter(|(_, since)| since.is_some_and(|since| since.elapsed() < age))
            .map(|(caller, _)| caller.clone())
    }
    /// Was this credential good when it was last looked up?
    pub(super) fn seen(&self, slot: Slot) -> bool {
        self.callers.read().is_ok_and(|all| all.contains_key(&slot))
    }
    pub(super) fn drop(&self, slot: Slot) {
        if let Ok(mut all) = self.callers.write() {
            all.remove(&slot);
        }
    }
    /// What the accounts of an organization are called: one piece of memory for all its callers.
    pub(super) fn names(&self, tenant: TenantId) -> Arc<KnownNames> {
        self.names
            .write()
            .map(|mut all| all.entry(tenant).or_default().clone())
            .unwrap_or_default()
    }
    pub(super) fn put(&self, slot: Slot, caller: Caller) {
        let caller = Caller {
            names: self.names(caller.tenant),
            ..caller
        };
        if let Ok(mut all) = self.callers.write() {
            if all.len() >= 10_000 {
                all.retain(|_, (_, since)| since.is_some_and(|since| since.elapsed() < FRESH));
            }
            all.insert(slot, (Arc::new(caller), Some(Tick::now())));
        }
    }
}
