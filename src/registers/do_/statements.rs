//! The frozen statements, beside the ledger: each lies under the SHA-256 that its entry names, so that a
//! list or a decision moves no statement. The names of accounts are no part of them: they can be erased,
//! and are put in at reading.
use crate::core::{Id, Problem, Result, packed};
use crate::db::dialect::at;
use crate::db::schema::{soa_statements as st, versions as v};
use crate::records::{Reader, Tx};
use diesel::prelude::*;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What the accounts among these are called at the reader's moment: one query.
pub fn called(reader: &mut Reader<'_>, accounts: &BTreeSet<Id>) -> Result<BTreeMap<Id, String>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let ids: Vec<Id> = accounts.iter().copied().collect();
    let mut all = BTreeMap::from([(tenant.record(), crate::access::Actor::system(tenant).name)]);
    for some in ids.chunks(500) {
        let known = v::table.filter(v::tenant_id.eq(tenant)).filter(v::kind.eq_any(["user", "api_key"]));
        let known = known.filter(v::id.eq_any(some.to_vec())).filter(at(seq));
        all.extend(known.select((v::id, v::name)).load::<(Id, String)>(reader.conn())?);
    }
    Ok(all)
}

/// The accounts that a statement names: who decided what.
fn accounts(statement: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let entries = statement.get_mut("entries").and_then(Value::as_array_mut);
    entries.into_iter().flatten().filter_map(|entry| entry.get_mut("decided_by")?.as_object_mut())
}
/// What the accounts that a statement names are called, in its order.
pub fn names(statement: &Value) -> String {
    let entries = statement.get("entries").and_then(Value::as_array).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.get("decided_by")?.get("name")?.as_str());
    names.collect::<Vec<_>>().join("\n")
}
/// Takes the names of accounts out: what is kept, and what the SHA-256 is of.
pub fn nameless(mut statement: Value) -> Value {
    accounts(&mut statement).for_each(|account| drop(account.insert("name".into(), Value::Null)));
    statement
}

/// Keeps a statement under its SHA-256.
pub fn keep<P>(tx: &mut Tx<'_, P>, sha256: &str, canonical: &str) -> Result<()> {
    let tenant = tx.caller().tenant;
    let known: i64 = st::table.find((tenant, sha256)).count().get_result(tx.conn())?;
    if known == 0 {
        let row = (st::tenant_id.eq(tenant), st::sha256.eq(sha256), st::content.eq(packed::pack(canonical)?));
        diesel::insert_into(st::table).values(row).execute(tx.conn())?;
    }
    Ok(())
}

/// Reads a statement, checks that it is the one that was frozen, and puts the names of accounts in.
pub fn read(reader: &mut Reader<'_>, sha256: &str) -> Result<Value> {
    let found: Option<Vec<u8>> = st::table.find((reader.tenant(), sha256)).select(st::content).get_result(reader.conn()).optional()?;
    let text = packed::unpack(&found.ok_or_else(|| Problem::internal(format!("the statement {sha256} is missing")))?)?;
    if packed::digest(&text) != sha256 {
        return Err(Problem::internal(format!("the statement {sha256} is not the one that was frozen")));
    }
    let mut statement: Value = serde_json::from_str(&text).map_err(Problem::internal)?;
    let id = |account: &Map<String, Value>| account.get("id").and_then(Value::as_str).and_then(Id::parse);
    let ids: BTreeSet<Id> = accounts(&mut statement).filter_map(|account| id(account)).collect();
    let names = called(reader, &ids)?;
    for account in accounts(&mut statement) {
        let name = id(account).and_then(|id| names.get(&id)).cloned().unwrap_or_default();
        account.insert("name".into(), name.into());
    }
    Ok(statement)
}
