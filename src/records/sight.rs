//! What a caller may see of a register: the limits of a key as one condition on the spine, for
//! lists, records, versions and aggregates alike.
use super::{By, Condition, Kind, Limit, Reader};
use crate::access::Caller;
use crate::core::{Id, Result, TenantId};
use crate::db::schema::{links as l, requirement_links as rl, versions as v};
use crate::db::{Conn, dialect::at};
use diesel::sql_types::Bool;
use diesel::{IntoSql, dsl::exists, dsl::not, prelude::*};
use std::collections::BTreeSet;

/// The condition that a limited caller's view of a kind is under, at a position; `None` when all is
/// seen.
pub fn limits(caller: &Caller, kind: &Kind, seq: i64) -> Option<Condition> {
    limited(caller, kind, When::At(seq))
}

/// When a version's links are looked at.
#[derive(Debug, Clone, Copy)]
enum When {
    /// At a position.
    At(i64),
    /// When the version was written.
    Then,
}

fn limited(caller: &Caller, kind: &Kind, when: When) -> Option<Condition> {
    let limits = &caller.limits;
    let of = |limit: Limit| match kind.meaning(limit) {
        None => Some(nothing()),
        Some(By::ReadOnly(_) | By::Rule(_)) => None,
        Some(By::Itself) => Some(Box::new(v::id.eq_any(limit.ids(limits).to_vec())) as Condition),
        Some(By::Scopes) => Some(linked_or_free("scope_ids", limit.ids(limits), when)),
        Some(By::Controls) => Some(linked("control_ids", Some(limit.ids(limits)), when)),
        Some(By::Citations) => Some(cited(&limits.framework_slugs, when)),
        Some(By::Fact(_, condition)) => Some(condition(limits)),
    };
    let own = kind.also.and_then(|also| also(caller));
    Limit::ALL
        .into_iter()
        .filter(|limit| limit.set(limits))
        .filter_map(of)
        .chain(own)
        .reduce(both)
}
/// No record at all.
pub fn nothing() -> Condition {
    Box::new(false.into_sql::<Bool>())
}

/// The same for versions of any of these kinds; `None` when all of them are seen.
pub fn shown(caller: &Caller, kinds: &[&Kind], seq: i64) -> Option<Condition> {
    any_of(caller, kinds, When::At(seq))
}

fn any_of(caller: &Caller, kinds: &[&Kind], when: When) -> Option<Condition> {
    let all = kinds
        .iter()
        .map(|kind| (*kind, limited(caller, kind, when)));
    let all: Vec<(&Kind, Option<Condition>)> = all.collect();
    if all.iter().all(|(_, limits)| limits.is_none()) {
        return None;
    }
    let seen = |(kind, _): &(&Kind, Option<Condition>)| kind.read_with(&caller.limits);
    let of = |(kind, limits): (&Kind, Option<Condition>)| {
        let its: Condition = Box::new(v::kind.eq(kind.name));
        limits.into_iter().fold(its, both)
    };
    let any = all
        .into_iter()
        .filter(seen)
        .map(of)
        .reduce(|a, b| Box::new(a.or(b)));
    Some(any.unwrap_or_else(nothing))
}

/// Both conditions.
pub fn both(a: Condition, b: Condition) -> Condition {
    Box::new(a.and(b))
}

/// Either condition.
pub fn either(a: Condition, b: Condition) -> Condition {
    Box::new(a.or(b))
}

/// Of one of these scopes, or of the whole organization.
pub fn scoped(scopes: &[Id], seq: i64) -> Condition {
    linked_or_free("scope_ids", scopes, When::At(seq))
}

fn linked_or_free(member: &'static str, ids: &[Id], when: When) -> Condition {
    Box::new(linked(member, Some(ids), when).or(not(linked(member, None, when))))
}

/// Linked with one of these, or with any.
fn linked(member: &'static str, ids: Option<&[Id]>, when: When) -> Condition {
    let links = || {
        l::table.filter(
            l::tenant_id
                .eq(v::tenant_id)
                .and(l::from_id.eq(v::id))
                .and(l::relation.eq(member)),
        )
    };
    let ids = ids.map(<[Id]>::to_vec);
    match (when, ids) {
        (When::At(seq), None) => Box::new(exists(
            links().filter(l::from_seq.le(seq).and(l::to_seq.gt(seq))),
        )),
        (When::At(seq), Some(ids)) => Box::new(exists(
            links()
                .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
                .filter(l::to_id.eq_any(ids)),
        )),
        (When::Then, None) => Box::new(exists(
            links().filter(l::from_seq.le(v::from_seq).and(l::to_seq.gt(v::from_seq))),
        )),
        (When::Then, Some(ids)) => {
            let then = links().filter(l::from_seq.le(v::from_seq).and(l::to_seq.gt(v::from_seq)));
            Box::new(exists(then.filter(l::to_id.eq_any(ids))))
        }
    }
}

/// Cites a requirement of one of these frameworks, or none at all.
fn cited(slugs: &[String], when: When) -> Condition {
    let links = || rl::table.filter(rl::tenant_id.eq(v::tenant_id).and(rl::from_id.eq(v::id)));
    let free: Condition = match when {
        When::At(seq) => Box::new(not(exists(
            links().filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq))),
        ))),
        When::Then => Box::new(not(exists(
            links().filter(rl::from_seq.le(v::from_seq).and(rl::to_seq.gt(v::from_seq))),
        ))),
    };
    slugs
        .iter()
        .map(|slug| beginning(slug))
        .fold(free, |all, pattern| {
            let of_it: Condition = match when {
                When::At(seq) => {
                    let cited = links().filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)));
                    Box::new(exists(
                        cited.filter(rl::requirement.like(pattern).escape('\\')),
                    ))
                }
                When::Then => {
                    let cited = links()
                        .filter(rl::from_seq.le(v::from_seq).and(rl::to_seq.gt(v::from_seq)));
                    Box::new(exists(
                        cited.filter(rl::requirement.like(pattern).escape('\\')),
                    ))
                }
            };
            either(all, of_it)
        })
}

/// `LIKE` pattern of the requirements of a framework.
pub fn beginning(slug: &str) -> String {
    let mut pattern = crate::db::dialect::inside(&format!("{slug}:"));
    pattern.remove(0);
    pattern
}

/// Which of these entries of the ledger the caller sees: those whose version it saw when it was
/// written and whose record it sees at the position. Two queries, and none for a caller that sees
/// all of these kinds.
pub fn entries(
    conn: &mut Conn,
    caller: &Caller,
    (kinds, seq): (&[&Kind], i64),
    of: &[(i64, Id)],
) -> Result<Option<BTreeSet<i64>>> {
    let Some(then) = any_of(caller, kinds, When::Then) else {
        return Ok(None);
    };
    let mut found = BTreeSet::new();
    let ids = recorded(conn, caller.tenant, (caller, kinds, seq), of)?;
    let seqs: Vec<i64> = of
        .iter()
        .filter(|(_, id)| ids.contains(id))
        .map(|(seq, _)| *seq)
        .collect();
    if !seqs.is_empty() {
        let versions = v::table
            .filter(v::tenant_id.eq(caller.tenant))
            .filter(v::from_seq.eq_any(seqs))
            .filter(then);
        found.extend(versions.select(v::from_seq).load::<i64>(conn)?);
    }
    Ok(Some(found))
}

fn recorded(
    conn: &mut Conn,
    tenant: TenantId,
    (caller, kinds, seq): (&Caller, &[&Kind], i64),
    of: &[(i64, Id)],
) -> Result<BTreeSet<Id>> {
    let Some(now) = any_of(caller, kinds, When::At(seq)) else {
        return Ok(of.iter().map(|(_, id)| *id).collect());
    };
    let ids: BTreeSet<Id> = of.iter().map(|(_, id)| *id).collect();
    let standing = v::table
        .filter(v::tenant_id.eq(tenant))
        .filter(at(seq))
        .filter(now);
    let rows = standing
        .filter(v::id.eq_any(ids.into_iter().collect::<Vec<_>>()))
        .select(v::id)
        .load::<Id>(conn)?;
    Ok(rows.into_iter().collect())
}

/// Which records of a register a caller sees.
#[derive(Debug, Clone)]
pub struct Seen(Option<BTreeSet<Id>>);
impl Seen {
    /// None.
    pub const NOTHING: Seen = Seen(Some(BTreeSet::new()));
    /// All, without a question, where the caller is not limited.
    pub fn of(reader: &mut Reader<'_>, kind: &'static str) -> Result<Seen> {
        if !reader.limited(kind) {
            return Ok(Seen(None));
        }
        let seen = v::table.filter(reader.seen(kind)).select(v::id);
        Ok(Seen(Some(
            seen.load::<Id>(reader.conn())?.into_iter().collect(),
        )))
    }
    /// Does it see this one?
    pub fn has(&self, id: Id) -> bool {
        self.0.as_ref().is_none_or(|seen| seen.contains(&id))
    }
}

impl Reader<'_> {
    /// The versions of a kind that this caller sees at this moment, archived or not.
    pub fn seen(&self, kind: &'static str) -> Condition {
        let mine: Condition = Box::new(v::tenant_id.eq(self.tenant()).and(v::kind.eq(kind)));
        let standing = both(mine, at(self.moment.seq));
        match limits(self.caller, self.kinds.or_plain(kind), self.moment.seq) {
            Some(limits) => both(standing, limits),
            None => standing,
        }
    }
    /// Does this caller see less than all of a kind?
    pub fn limited(&self, kind: &str) -> bool {
        limits(self.caller, self.kinds.or_plain(kind), self.moment.seq).is_some()
    }
    /// The entries of a record, which this caller sees now, whose versions it saw when they were
    /// written; `None` when it sees all.
    pub fn past_seen(&mut self, kind: &'static str, id: Id) -> Result<Option<BTreeSet<i64>>> {
        let Some(then) = limited(self.caller(), self.kinds.or_plain(kind), When::Then) else {
            return Ok(None);
        };
        let versions = v::table
            .filter(v::tenant_id.eq(self.tenant()).and(v::id.eq(id)))
            .filter(then);
        let seen = versions.select(v::from_seq).load::<i64>(self.conn())?;
        Ok(Some(seen.into_iter().collect()))
    }
    /// The same as numbers of versions.
    pub fn past_seen_versions(
        &mut self,
        kind: &'static str,
        id: Id,
    ) -> Result<Option<BTreeSet<i32>>> {
        let Some(then) = limited(self.caller(), self.kinds.or_plain(kind), When::Then) else {
            return Ok(None);
        };
        let versions = v::table
            .filter(v::tenant_id.eq(self.tenant()).and(v::id.eq(id)))
            .filter(then);
        let seen = versions.select(v::version).load::<i32>(self.conn())?;
        Ok(Some(seen.into_iter().collect()))
    }
    /// The same as positions, for every record of a kind.
    pub fn all_past_seen(&mut self, kind: &'static str) -> Result<Option<BTreeSet<i64>>> {
        let Some(then) = limited(self.caller(), self.kinds.or_plain(kind), When::Then) else {
            return Ok(None);
        };
        let versions = v::table
            .filter(v::tenant_id.eq(self.tenant()).and(v::kind.eq(kind)))
            .filter(then);
        let seen = versions.select(v::from_seq).load::<i64>(self.conn())?;
        Ok(Some(seen.into_iter().collect()))
    }
}
