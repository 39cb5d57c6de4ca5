//! What only administrators see of a record: the addresses of accounts. Auditors see whose account
//! has which roles since when, and who gave them.
use super::{Kind, Reader, Row};
use crate::access::Caller;
use crate::core::{Code, Invalid, Problem, Result, json::canonical};
use serde_json::{Map, Value};

impl Reader<'_> {
    /// Hides from rows what this caller is not to see.
    pub fn veil(&self, kind: &Kind, rows: &mut [Row]) -> Result<()> {
        rows.iter_mut()
            .try_for_each(|row| hide(self.caller(), kind, &mut row.personal))
    }
}

/// Hides it from the personal half of an image.
pub(super) fn hide(caller: &Caller, kind: &Kind, personal: &mut Option<String>) -> Result<()> {
    if kind.confidential.is_empty() || caller.administers() {
        return Ok(());
    }
    let Some(text) = personal else { return Ok(()) };
    let mut members: Map<String, Value> = serde_json::from_str(text).map_err(Problem::internal)?;
    for name in kind.confidential {
        members.insert((*name).to_owned(), Value::Null);
    }
    // An account may be called by its address: what comes before the @ is left.
    let local = members
        .get("name")
        .and_then(Value::as_str)
        .and_then(|name| name.split_once('@'))
        .map(|(local, _)| local.to_owned());
    if let Some(local) = local {
        members.insert(
            "name".into(),
            Value::String(if local.is_empty() {
                "…".into()
            } else {
                local
            }),
        );
    }
    *personal = Some(canonical(&members)?);
    Ok(())
}

/// 403 for a filter by what the caller is not to see.
pub fn asked(caller: &Caller, kind: &Kind, query: &str) -> Result<()> {
    if kind.confidential.is_empty() || caller.administers() {
        return Ok(());
    }
    let hidden = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| kind.confidential.contains(&name.as_ref()));
    let faults: Vec<Invalid> = hidden
        .map(|(name, _)| {
            Invalid::query(
                name,
                "forbidden",
                "only administrators can see it and filter by it",
            )
        })
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Problem::new(
            Code::Forbidden,
            "Only administrators can filter by addresses. Leave out this filter.",
        )
        .listing(faults)),
    }
}
