//! What is kept in memory of organizations for views, and what changed since.
use super::Kind;
use crate::core::{Id, TenantId};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record that has been written.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The record.
    pub id: Id,
    /// Its register.
    pub kind: &'static Kind,
}

/// Rows of all models together, about a hundred bytes each.
pub(super) const ROWS: usize = 500_000;

/// The models of all organizations, shared by all readers of a process.
#[derive(Default)]
pub struct Models(Mutex<HashMap<(TenantId, TypeId), Shared>>);
pub(super) type Shared = Arc<Mutex<Slot>>;

#[derive(Default)]
pub(super) struct Slot {
    /// The position that the model stands at.
    pub seq: i64,
    pub model: Option<Arc<dyn Any + Send + Sync>>,
    pub rows: usize,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Models {
    /// The slot of a type.
    pub(super) fn slot(&self, tenant: TenantId, of: TypeId) -> Shared {
        let mut all = locked(&self.0);
        all.entry((tenant, of)).or_default().clone()
    }
    /// Gives up the models of other organizations until the rest fits.
    pub(super) fn fit(&self, tenant: TenantId) {
        let mut all = locked(&self.0);
        // A slot that is in use is passed over, so nobody waits here.
        let rows = |slot: &Arc<Mutex<Slot>>| slot.try_lock().map_or(0, |held| held.rows);
        let mut sum: usize = all.values().map(rows).sum();
        all.retain(|(of, _), slot| {
            let goes = sum > ROWS && *of != tenant;
            if goes {
                sum -= rows(slot).min(sum);
            }
            !goes
        });
    }
}
