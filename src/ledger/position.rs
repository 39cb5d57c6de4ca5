//! The last position of each organization's ledger, in memory: what a poll is answered from when
//! nothing changed, and what wakes it when something does.
use crate::core::TenantId;
use std::collections::HashMap;
use std::sync::RwLock;
use tokio::sync::watch;

/// What this process has committed or read, by organization.
#[derive(Debug, Default)]
pub struct Positions(RwLock<HashMap<TenantId, watch::Sender<i64>>>);

impl Positions {
    /// The last committed position, when it is known here.
    pub fn last(&self, tenant: TenantId) -> Option<i64> {
        self.0.read().ok()?.get(&tenant).map(|last| *last.borrow())
    }
    /// A position that is committed; an older one changes nothing. Whoever waits for it wakes up.
    pub fn publish(&self, tenant: TenantId, seq: i64) {
        let newer = |last: &mut i64| std::mem::replace(last, seq.max(*last)) < seq;
        if let Some(last) = self.0.read().ok().as_ref().and_then(|all| all.get(&tenant)) {
            last.send_if_modified(newer);
            return;
        }
        if let Ok(mut all) = self.0.write() {
            all.entry(tenant)
                .or_insert_with(|| watch::Sender::new(seq))
                .send_if_modified(newer);
        }
    }
    /// Tells of every position from now on; at least `known` is committed.
    pub fn watch(&self, tenant: TenantId, known: i64) -> Option<watch::Receiver<i64>> {
        self.publish(tenant, known);
        self.0
            .read()
            .ok()?
            .get(&tenant)
            .map(watch::Sender::subscribe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_by_what_is_newer_alone() {
        let (positions, tenant) = (Positions::default(), TenantId(uuid::Uuid::from_u128(1)));
        assert_eq!(positions.last(tenant), None);
        let Some(mut watch) = positions.watch(tenant, 7) else {
            panic!("nothing to watch")
        };
        assert_eq!(
            (*watch.borrow_and_update(), positions.last(tenant)),
            (7, Some(7))
        );
        positions.publish(tenant, 6);
        positions.publish(tenant, 7);
        assert_eq!(watch.has_changed().ok(), Some(false));
        positions.publish(tenant, 8);
        assert_eq!(
            (watch.has_changed().ok(), positions.last(tenant)),
            (Some(true), Some(8))
        );
    }
}
