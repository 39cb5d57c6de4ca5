//! The last position of each organization's ledger, in memory: what a poll is answered from when nothing changed.
use crate::core::TenantId;
use std::collections::HashMap;
use std::sync::RwLock;

/// What this process has committed or read, by organization.
#[derive(Debug, Default)]
pub struct Positions(RwLock<HashMap<TenantId, i64>>);

impl Positions {
    /// The last committed position, when it is known here.
    pub fn last(&self, tenant: TenantId) -> Option<i64> {
        self.0.read().ok()?.get(&tenant).copied()
    }
    /// A position that is committed; an older one changes nothing.
    pub fn publish(&self, tenant: TenantId, seq: i64) {
        if let Ok(mut all) = self.0.write() {
            let last = all.entry(tenant).or_insert(seq);
            *last = seq.max(*last);
        }
    }
}
