//! The history of a record: its versions, newest first, each with who, when, why and what changed.
use super::{Kinds, Reader, Record, Resource, Selector, veil};
use crate::access::{Actor, ActorKind};
use crate::core::{Id, Instant, Problem, Result};
use crate::db::schema::ledger_entries as e;
use diesel::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Versions of a record, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryPage {
    /// The versions.
    #[schema(max_items = 200)]
    pub data: Vec<HistoryEntry>,
    /// Are there older ones? Ask with `before_seq` of the last.
    pub has_more: bool,
}

/// One version: who made it, when, why, and what it changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryEntry {
    /// Position in the organization's ledger.
    #[schema(minimum = 0)]
    pub seq: i64,
    /// When.
    pub at: Instant,
    /// Who.
    pub actor: Actor,
    /// `create`, `update`, `archive`, `restore`, or the word of a workflow.
    #[schema(max_length = 64)]
    pub action: String,
    /// Why, in the actor's words.
    #[schema(required, max_length = 2500)]
    pub reason: Option<String>,
    /// The record's version after it.
    #[schema(minimum = 1)]
    pub version: i32,
    /// The request that caused it.
    pub request_id: Id,
    /// What changed, member by member.
    #[schema(max_items = 1000)]
    pub changes: Vec<MemberChange>,
    /// The whole record after it, when asked for with `include=body`.
    #[schema(required, value_type = AnyValue)]
    pub body: Option<Value>,
}

/// A member before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberChange {
    /// JSON Pointer (RFC 6901) of the member.
    #[schema(max_length = 200)]
    pub pointer: String,
    /// Its value before; null when there was none.
    #[schema(value_type = AnyValue)]
    pub from: Value,
    /// Its value after.
    #[schema(value_type = AnyValue)]
    pub to: Value,
}

/// Any JSON value. It names no type: a list of all six says the same, but generators of clients
/// make a class of it that takes three.
pub struct AnyValue;
impl utoipa::PartialSchema for AnyValue {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Any JSON value."))
            .into()
    }
}
impl ToSchema for AnyValue {}

/// An entry as the ledger keeps it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = e)]
pub struct Entry {
    /// Position.
    pub seq: i64,
    /// When.
    pub at: Instant,
    /// What kind of account.
    pub actor_kind: ActorKind,
    /// Which account.
    pub actor_id: Id,
    /// The person behind it.
    pub person_id: Option<Id>,
    /// What.
    pub action: String,
    /// Why.
    pub reason: Option<String>,
    /// The register.
    pub kind: String,
    /// The record.
    pub record_id: Id,
    /// Its version after it.
    pub record_version: i32,
    /// The request.
    pub request_id: Id,
    /// The record after it.
    pub body: String,
    /// Its personal half.
    pub personal: Option<String>,
    /// The shape of the two.
    pub schema: i16,
    /// The hash of its leaf.
    pub leaf_hash: Vec<u8>,
}

impl Entry {
    /// The whole record after it.
    pub fn image(&self, kinds: Kinds) -> Result<Map<String, Value>> {
        let kind = kinds.or_plain(&self.kind);
        let damaged =
            |what: serde_json::Error| Problem::internal(format!("entry {}: {what}", self.seq));
        super::record::image(kind, self.schema, &self.body, self.personal.as_deref())
            .map_err(damaged)
    }
    /// The record as it was after it.
    pub fn record<R: Resource>(&self) -> Result<Record<R>> {
        Record::of_image(self.schema, &self.body, self.personal.as_deref())
    }
    /// Who, with the name that was put into its image.
    pub fn actor(&self, name: &str) -> Actor {
        Actor {
            kind: self.actor_kind,
            id: self.actor_id,
            name: name.to_owned(),
            person_id: self.person_id,
        }
    }
}

/// Puts the names of accounts into the images of these entries, and hides what the reader is not to
/// see.
pub fn name(reader: &mut Reader<'_>, entries: &mut [Entry]) -> Result<()> {
    for entry in entries.iter_mut() {
        if let Some(kind) = reader.kinds.named(&entry.kind) {
            veil::hide(reader.caller(), kind, &mut entry.personal)?;
        }
    }
    let mut texts: Vec<&mut String> = entries.iter_mut().map(|entry| &mut entry.body).collect();
    reader.name_actors(&mut texts).map(drop)
}

/// What the account that wrote an image is called there.
fn named(image: &Map<String, Value>) -> &str {
    let by = image.get("updated_by").and_then(|by| by.get("name"));
    by.and_then(Value::as_str).unwrap_or_default()
}

/// What every version changes, and so says nothing.
pub const ALWAYS: &[&str] = &["version", "updated_at", "updated_by"];

/// The members in which two images differ.
pub fn changes(
    before: Option<&Map<String, Value>>,
    after: &Map<String, Value>,
) -> Vec<MemberChange> {
    let none = Map::new();
    let before = before.unwrap_or(&none);
    let names: BTreeSet<&String> = before
        .keys()
        .chain(after.keys())
        .filter(|name| !ALWAYS.contains(&name.as_str()))
        .collect();
    let value =
        |image: &Map<String, Value>, name: &String| image.get(name).cloned().unwrap_or(Value::Null);
    let change = |name: &String| MemberChange {
        pointer: format!("/{name}"),
        from: value(before, name),
        to: value(after, name),
    };
    names
        .into_iter()
        .map(change)
        .filter(|change| change.from != change.to)
        .collect()
}

/// The last of these positions.
fn newest(seen: BTreeSet<i64>, until: i64, most: i64) -> Vec<i64> {
    seen.into_iter()
        .rev()
        .filter(|seq| *seq <= until)
        .take(usize::try_from(most).unwrap_or_default())
        .collect()
}

/// The versions of a record that this caller sees, archived or not.
pub fn of<R: Resource>(
    reader: &mut Reader<'_>,
    selector: &Selector,
    limit: i64,
    before: Option<i64>,
    with_body: bool,
) -> Result<HistoryPage> {
    let id = reader.row::<R>(selector, true)?.id;
    let until = before.map_or(reader.moment.seq, |before| {
        reader.moment.seq.min(before.saturating_sub(1))
    });
    let of_it = e::table.filter(
        e::tenant_id
            .eq(reader.tenant())
            .and(e::record_id.eq(id))
            .and(e::seq.le(until)),
    );
    let mut of_it = of_it.into_boxed();
    if let Some(seen) = reader.past_seen(R::KIND.name, id)? {
        of_it = of_it.filter(e::seq.eq_any(newest(seen, until, limit + 1)));
    }
    let mut entries: Vec<Entry> = of_it
        .order(e::seq.desc())
        .limit(limit + 1)
        .select(Entry::as_select())
        .load(reader.conn())?;
    name(reader, &mut entries)?;
    let mut images = entries
        .iter()
        .map(|entry| entry.image(reader.kinds))
        .collect::<Result<Vec<_>>>()?;
    images.iter_mut().for_each(|image| reader.cut(image));
    // What was hidden before is no value that something changed from.
    let before = |n: usize| {
        let follows = entries
            .get(n)
            .zip(entries.get(n + 1))
            .is_some_and(|(this, last)| last.record_version + 1 == this.record_version);
        images.get(n + 1).filter(|_| follows)
    };
    let page = usize::try_from(limit).unwrap_or_default();
    let data = entries
        .iter()
        .zip(&images)
        .enumerate()
        .take(page)
        .map(|(n, (entry, image))| HistoryEntry {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor(named(image)),
            action: entry.action.clone(),
            reason: entry.reason.clone(),
            version: entry.record_version,
            request_id: entry.request_id,
            changes: changes(before(n), image),
            body: with_body.then(|| Value::Object(image.clone())),
        });
    Ok(HistoryPage {
        data: data.collect(),
        has_more: entries.len() > page,
    })
}
