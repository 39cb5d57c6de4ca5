//! Whether a stored answer may be given again: what it wrote is still within the limits of who
//! asks.
use super::Reader;
use crate::core::{Id, Result};
use crate::db::among::among;
use crate::db::schema::{ledger_entries as e, versions as v};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

impl Reader<'_> {
    /// Does this caller see every record that these entries of the ledger wrote, as it stands now?
    pub fn still_sees(&mut self, (first, last): (i64, i64)) -> Result<bool> {
        let entries = e::table
            .filter(e::tenant_id.eq(self.tenant()))
            .filter(e::seq.between(first, last));
        let entries: Vec<(String, Id)> =
            entries.select((e::kind, e::record_id)).load(self.conn())?;
        let mut written: BTreeMap<&str, BTreeSet<Id>> = BTreeMap::new();
        for (kind, id) in &entries {
            written.entry(kind).or_default().insert(*id);
        }
        for (name, ids) in written {
            let Some(kind) = self.kinds.named(name) else {
                continue;
            };
            let ids: Vec<Id> = ids.into_iter().collect();
            for some in ids.chunks(500) {
                let seen = v::table
                    .filter(self.seen(kind.name))
                    .filter(among(v::id, some))
                    .count()
                    .get_result::<i64>(self.conn())?;
                if seen < some.len() as i64 {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
