//! The frozen statements, beside the ledger: each lies under the SHA-256 that its entry names, so
//! that a list or a decision moves no statement. The names of accounts are no part of them: they
//! can be erased, and are put in at reading.
use crate::core::{Problem, Result, packed};
use crate::db::schema::soa_statements as st;
use crate::records::{Reader, Writing, names};
use diesel::prelude::*;
use serde_json::Value;

/// Takes the names of accounts out: what is kept, and what the SHA-256 is of.
pub fn nameless(mut statement: Value) -> Value {
    names::anonymize(&mut statement);
    statement
}

/// Keeps a statement under its SHA-256.
pub fn keep(tx: &mut Writing<'_>, sha256: &str, canonical: &str) -> Result<()> {
    let tenant = tx.caller().tenant;
    let known: i64 = st::table
        .find((tenant, sha256))
        .count()
        .get_result(tx.conn())?;
    if known == 0 {
        let row = (
            st::tenant_id.eq(tenant),
            st::sha256.eq(sha256),
            st::content.eq(packed::pack(canonical)?),
        );
        diesel::insert_into(st::table)
            .values(row)
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Reads a statement, checks that it is the one that was frozen, and puts the names of accounts in;
/// with a digest of them for the entity tag.
pub fn read(reader: &mut Reader<'_>, sha256: &str) -> Result<(Value, u32)> {
    let found: Option<Vec<u8>> = st::table
        .find((reader.tenant(), sha256))
        .select(st::content)
        .get_result(reader.conn())
        .optional()?;
    let packed =
        found.ok_or_else(|| Problem::internal(format!("the statement {sha256} is missing")))?;
    let mut text = packed::unpack(&packed)?;
    if packed::digest(&text) != sha256 {
        return Err(Problem::internal(format!(
            "the statement {sha256} is not the one that was frozen"
        )));
    }
    let names = reader
        .name_actors(&mut [&mut text])?
        .pop()
        .unwrap_or_default();
    Ok((
        serde_json::from_str(&text).map_err(Problem::internal)?,
        names,
    ))
}
