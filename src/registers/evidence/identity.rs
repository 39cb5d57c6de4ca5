//! Which evidence a push meets: the pieces of the same source and external id (or, without one, of
//! the same content) that its caller continues. Those are the pieces that it sees; for a machine
//! without sources, what any machine pushed, so that a new key takes over from the one before. What
//! belongs to others is not touched and not told: the push begins a series of its own beside it.
use crate::access::{Caller, Limits, Role};
use crate::core::{Code, Id, Problem, Result};
use crate::db::dialect::{NOW, OPEN, same_version};
use crate::db::schema::{api_keys as k, evidence as ev, versions as v};
use crate::http::Push;
use crate::records::{IfMatch, Record, Resource, Selector, Tx, Writing, sight};
use crate::registers::evidence::{Evidence, Pushed};
use diesel::dsl::exists;
use diesel::prelude::*;
use std::collections::BTreeSet;

/// Pieces that are looked at at once, and how often.
const AT_ONCE: i64 = 64;
const TIMES: i64 = 16;

/// Where the others lie, seen from the moment of collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// At the same moment.
    Same,
    /// The nearest before.
    Before,
    /// The nearest after.
    After,
}

/// A piece of the same source and name.
#[derive(Debug, Clone, Queryable)]
pub struct Other {
    /// The evidence.
    pub id: Id,
    /// The number in its code.
    pub number: i64,
    /// Its content.
    pub sha256: String,
}

/// Does it see all that there is?
fn sees_all(caller: &Caller) -> bool {
    caller.limits == Limits::default() && !caller.collects()
}
/// Does it take over from other machines?
fn takes_over(caller: &Caller) -> bool {
    caller.collects() && caller.limits.sources.is_empty()
}

/// The piece on that side that the caller continues; at the same moment, one with the same content
/// where there is one.
pub fn other(tx: &mut Writing<'_>, said: &Pushed, side: Side) -> Result<Option<Other>> {
    for time in 0..TIMES {
        let some = page(tx, said, side, time)?;
        let (many, mine) = (some.len() as i64, continued(tx, &some)?);
        let mut mine = some
            .into_iter()
            .filter(|other| mine.as_ref().is_none_or(|mine| mine.contains(&other.id)));
        let found = match side {
            Side::Same => {
                let all: Vec<Other> = mine.collect();
                let same = all.iter().find(|other| other.sha256 == said.sha256);
                same.or(all.first()).cloned()
            }
            Side::Before | Side::After => mine.next(),
        };
        if found.is_some() || many < AT_ONCE {
            return Ok(found);
        }
    }
    Ok(None)
}

fn page(tx: &mut Writing<'_>, said: &Pushed, side: Side, time: i64) -> Result<Vec<Other>> {
    let tenant = tx.caller().tenant;
    let same = ev::table
        .inner_join(same_version!(v, ev))
        .filter(ev::tenant_id.eq(tenant).and(ev::source.eq(&said.source)))
        .filter(v::to_seq.eq(OPEN).and(v::archived_at.is_null()))
        .select((ev::id, v::number, ev::sha256));
    // Of neighbours, whoever sees all continues the nearest.
    let some = match side {
        Side::Before | Side::After if sees_all(tx.caller()) => 1,
        _ => AT_ONCE,
    };
    let mut same = same.limit(some).offset(time * AT_ONCE).into_boxed();
    same = match &said.external_id {
        Some(name) => same.filter(ev::external_id.eq(name)),
        None => same
            .filter(ev::external_id.is_null())
            .filter(ev::sha256.eq(&said.sha256)),
    };
    same = match side {
        Side::Same => same
            .filter(ev::collected_at.eq(said.collected_at))
            .order(v::number),
        Side::Before => same
            .filter(ev::collected_at.lt(said.collected_at))
            .order((ev::collected_at.desc(), v::number.desc())),
        Side::After => same
            .filter(ev::collected_at.gt(said.collected_at))
            .order((ev::collected_at, v::number)),
    };
    Ok(same.load(tx.conn())?)
}

/// Which of these the caller continues; `None` for all.
fn continued(tx: &mut Writing<'_>, some: &[Other]) -> Result<Option<BTreeSet<Id>>> {
    let caller = tx.caller();
    if sees_all(caller) || some.is_empty() {
        return Ok(None);
    }
    let ids: Vec<Id> = some.iter().map(|other| other.id).collect();
    let own = v::tenant_id.eq(caller.tenant).and(v::kind.eq("evidence"));
    let standing = v::table.filter(own.and(v::to_seq.eq(OPEN)));
    let mut seen = standing.into_boxed().filter(v::id.eq_any(ids));
    // As one with the same limits that is no machine: those see what others pushed, too.
    let person = Caller {
        roles: vec![Role::Contributor],
        ..caller.clone()
    };
    let as_whom = if takes_over(caller) { &person } else { caller };
    if let Some(limits) = sight::limits(as_whom, &Evidence::KIND, NOW) {
        seen = seen.filter(limits);
    }
    let seen: BTreeSet<Id> = seen.select(v::id).load(tx.conn())?.into_iter().collect();
    match takes_over(caller) {
        true => machines(tx, &seen.into_iter().collect::<Vec<_>>()).map(Some),
        false => Ok(Some(seen)),
    }
}

/// Which of these a machine pushed.
fn machines(tx: &mut Writing<'_>, ids: &[Id]) -> Result<BTreeSet<Id>> {
    let key = k::table.filter(
        k::tenant_id
            .eq(ev::tenant_id)
            .and(k::id.eq(ev::pushed_by))
            .and(k::role.eq("collector")),
    );
    let pushed = ev::table
        .filter(ev::tenant_id.eq(tx.caller().tenant))
        .filter(ev::id.eq_any(ids))
        .filter(exists(key));
    let found: Vec<Id> = pushed.select(ev::id).distinct().load(tx.conn())?;
    Ok(found.into_iter().collect())
}

/// The piece that is about to be superseded: 403 where it is not the caller's to change, 409 while
/// it is on hold.
pub fn superseded(tx: &mut Tx<'_, Push<Evidence>>, id: Id) -> Result<Record<Evidence>> {
    let before: Record<Evidence> = match takes_over(tx.caller()) {
        true => Record::of(&tx.reader().standing::<Evidence>(id)?)?,
        false => tx.load(&Selector::Id(id), &IfMatch::any())?,
    };
    match before.spine.status.as_str() {
        "on_hold" => {
            let held = format!(
                "{} is on hold. It must be released before you can supersede it.",
                before.spine.code
            );
            Err(Problem::new(Code::Retained, held).needed_by([before.spine.code]))
        }
        _ => Ok(before),
    }
}
