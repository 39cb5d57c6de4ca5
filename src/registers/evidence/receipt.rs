//! The receipt of evidence: where in the ledger it was entered.
use crate::core::{Id, Instant, Result, text::hex};
use crate::db::among::among;
use crate::db::schema::ledger_entries as e;
use crate::records::Reader;
use diesel::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Proof of entry: where in the ledger it stands, and the hash that commits to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// Position in the organization's ledger.
    #[schema(minimum = 0)]
    pub seq: i64,
    /// RFC 6962 hash of its leaf, in hexadecimal digits.
    #[schema(min_length = 64, max_length = 64)]
    pub leaf_hash: String,
    /// When it was entered.
    pub recorded_at: Instant,
}

/// The first entries of these records.
pub fn receipts(reader: &mut Reader<'_>, ids: &[Id]) -> Result<BTreeMap<Id, Receipt>> {
    let first = e::table
        .filter(e::tenant_id.eq(reader.tenant()))
        .filter(e::kind.eq("evidence"))
        .filter(among(e::record_id, ids))
        .filter(e::record_version.eq(1));
    let first = first.select((e::record_id, (e::seq, e::leaf_hash, e::at)));
    type Entered = (i64, Vec<u8>, Instant);
    let found: Vec<(Id, Entered)> = first.load(reader.conn())?;
    let receipt = |(seq, hash, recorded_at): Entered| Receipt {
        seq,
        leaf_hash: hex(&hash),
        recorded_at,
    };
    Ok(found
        .into_iter()
        .map(|(id, entry)| (id, receipt(entry)))
        .collect())
}
