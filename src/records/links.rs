//! Links between records: rows of one table with foreign keys both ways, each valid from one ledger
//! entry to another; shown in bodies as `…_ids` arrays, and as `…_id` where there is at most one.
use super::{Kind, Relation};
use crate::core::{Id, Invalid, TenantId};
use crate::db::dialect::OPEN;
use crate::db::ending::{Turn, Which};
use crate::db::{Conn, schema::links as l, schema::records as r, schema::requirement_links as rl};
use diesel::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a body says about references, before they are looked up: ids or codes, by member.
pub type References = BTreeMap<&'static str, Vec<String>>;

/// What a record refers to, by member; sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<&'static str, Vec<Id>>);

impl Links {
    /// The target of a member that has at most one.
    pub fn one(&self, member: &str) -> Option<Id> {
        self.0.get(member).and_then(|ids| ids.first()).copied()
    }
    /// The targets of a member.
    pub fn many(&self, member: &str) -> &[Id] {
        self.0.get(member).map(Vec::as_slice).unwrap_or_default()
    }
    /// Sets the targets of a member.
    pub fn set(&mut self, member: &'static str, mut ids: Vec<Id>) {
        ids.sort();
        ids.dedup();
        self.0.insert(member, ids);
    }
    /// As members of a body, the empty ones too.
    pub fn shown(&self, kind: &Kind) -> Map<String, Value> {
        let value = |relation: &Relation| match relation.many() {
            true => json!(self.many(relation.member)),
            false => json!(self.one(relation.member)),
        };
        kind.all_relations()
            .map(|relation| (relation.member.to_owned(), value(relation)))
            .collect()
    }
    /// From the members of an image.
    pub fn of_image(image: Value, kind: &Kind) -> Self {
        let ids = |value: &Value| match value {
            Value::Array(items) => items
                .iter()
                .filter_map(|item| Id::parse(item.as_str()?))
                .collect(),
            one => one
                .as_str()
                .and_then(Id::parse)
                .into_iter()
                .collect::<Vec<_>>(),
        };
        let found = kind
            .all_relations()
            .filter_map(|relation| Some((relation.member, ids(image.get(relation.member)?))));
        Links(found.filter(|(_, ids)| !ids.is_empty()).collect())
    }
    fn pairs(&self) -> BTreeSet<(&'static str, Id)> {
        self.0
            .iter()
            .flat_map(|(member, ids)| ids.iter().map(move |id| (*member, *id)))
            .collect()
    }
}

/// Takes the references out of a body; what is no id and no code is a fault.
pub fn take(body: &mut Map<String, Value>, kind: &Kind, faults: &mut Vec<Invalid>) -> References {
    let mut found = References::new();
    for relation in kind.all_relations() {
        let value = body.remove(relation.member).unwrap_or(Value::Null);
        let texts = match (&value, relation.many()) {
            (Value::Null, _) => Some(vec![]),
            (Value::String(one), false) => Some(vec![one.clone()]),
            (Value::Array(items), true) if items.len() <= 1000 => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        let pointer = format!("/{}", relation.member);
        match texts {
            Some(texts) if texts.is_empty() && relation.required => {
                faults.push(Invalid::body(pointer, "required", "is required"))
            }
            Some(texts) => drop(found.insert(relation.member, texts)),
            None if relation.many() => faults.push(Invalid::body(
                pointer,
                "invalid",
                "must be an array of at most 1,000 ids or codes",
            )),
            None => faults.push(Invalid::body(pointer, "invalid", "must be an id or a code")),
        }
    }
    found
}

impl Links {
    /// What begins and what ends where a record that was linked as before comes to be linked so.
    pub fn since(&self, before: &Links) -> (Vec<Which>, Vec<Which>) {
        let (old, new) = (before.pairs(), self.pairs());
        let which = |(member, to): &(&'static str, Id)| Which::Link(member, *to);
        (
            new.difference(&old).map(which).collect(),
            old.difference(&new).map(which).collect(),
        )
    }
}

/// The same of requirements.
pub fn cited_since(now: &[String], before: &[String]) -> (Vec<Which>, Vec<Which>) {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), now.iter().collect());
    let which = |text: &&String| Which::Requirement((*text).clone());
    (
        new.difference(&old).map(which).collect(),
        old.difference(&new).map(which).collect(),
    )
}

/// Adds rows of links and of requirements.
pub fn insert(conn: &mut Conn, tenant: TenantId, rows: &[Turn]) -> QueryResult<()> {
    let link = |row: &Turn| match &row.which {
        Which::Link(member, to) => Some((
            l::tenant_id.eq(tenant),
            l::from_id.eq(row.id),
            l::relation.eq(*member),
            l::to_id.eq(*to),
            l::from_seq.eq(row.seq),
            l::to_seq.eq(OPEN),
        )),
        _ => None,
    };
    let cited = |row: &Turn| match &row.which {
        Which::Requirement(requirement) => Some((
            rl::tenant_id.eq(tenant),
            rl::from_id.eq(row.id),
            rl::requirement.eq(requirement.clone()),
            rl::from_seq.eq(row.seq),
            rl::to_seq.eq(OPEN),
        )),
        _ => None,
    };
    for some in rows.iter().filter_map(link).collect::<Vec<_>>().chunks(500) {
        crate::each!(conn, |c| diesel::insert_into(l::table)
            .values(some)
            .execute(c))?;
    }
    for some in rows
        .iter()
        .filter_map(cited)
        .collect::<Vec<_>>()
        .chunks(500)
    {
        crate::each!(conn, |c| diesel::insert_into(rl::table)
            .values(some)
            .execute(c))?;
    }
    Ok(())
}

/// Records of this tenant that these ids name, whatever their kind: what `r` knows of them.
pub fn exist(conn: &mut Conn, tenant: TenantId, ids: &[Id]) -> QueryResult<Vec<(Id, String)>> {
    r::table
        .filter(r::tenant_id.eq(tenant).and(r::id.eq_any(ids)))
        .select((r::id, r::kind))
        .load(conn)
}
