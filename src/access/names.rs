//! What an organization's accounts are called. The ledger keeps who acted by id alone, so that a
//! name can be erased; answers put the names in.
use crate::core::Id;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// The names of all accounts of an organization, as of one entry of its ledger.
#[derive(Debug, Default)]
pub struct Names {
    /// The last entry about an account when they were read; `None` before they were.
    pub as_of: Option<i64>,
    /// By account: its name, and the position since when its current version holds.
    pub by_id: HashMap<Id, (String, i64)>,
}

/// The names that were read last, shared by all callers of an organization.
#[derive(Debug, Default)]
pub struct KnownNames(RwLock<Arc<Names>>);

impl KnownNames {
    /// The names that were read last.
    pub fn get(&self) -> Arc<Names> {
        self.0.read().map(|names| names.clone()).unwrap_or_default()
    }
    /// Keeps newer ones.
    pub fn put(&self, names: Arc<Names>) {
        if let Ok(mut known) = self.0.write()
            && known.as_of < names.as_of
        {
            *known = names;
        }
    }
}
