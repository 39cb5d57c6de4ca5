//! What a caller may see of a register: the limits of a key as one condition on the spine, for lists, records and aggregates alike.
use super::Condition;
use crate::access::Caller;
use crate::core::Id;
use crate::db::proof::Sight;
use crate::db::schema::{evidence as ev, links as l, versions as v};
use diesel::{dsl::exists, dsl::not, prelude::*};

/// The condition that a limited caller's view of a kind is under, at a position; `None` when all is seen.
pub fn limits(caller: &Caller, kind: &str, seq: i64) -> Option<Condition> {
    let limits = &caller.limits;
    let mut all: Vec<Condition> = Vec::new();
    if !limits.scope_ids.is_empty() {
        all.push(match kind {
            "scope" => Box::new(v::id.eq_any(limits.scope_ids.clone())),
            _ => scoped(&limits.scope_ids, seq),
        });
    }
    if kind == "api_key" && !caller.sees_accounts() {
        let own = l::table.filter(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id)).and(l::relation.eq("user_id")));
        all.push(Box::new(exists(own.filter(l::to_id.nullable().eq(caller.user_id)))));
    }
    if kind == "control" && !limits.control_ids.is_empty() {
        all.push(Box::new(v::id.eq_any(limits.control_ids.clone())));
    }
    if kind == "evidence" {
        all.extend(evidence(caller, seq));
    }
    all.into_iter().reduce(both)
}

/// The same for versions of any of these kinds; `None` when all of them are seen.
pub fn shown(caller: &Caller, kinds: &[&'static str], seq: i64) -> Option<Condition> {
    let all: Vec<(&'static str, Option<Condition>)> = kinds.iter().map(|kind| (*kind, limits(caller, kind, seq))).collect();
    let limited = all.iter().any(|(_, limits)| limits.is_some());
    let of = |(kind, limits): (&'static str, Option<Condition>)| {
        let its: Condition = Box::new(v::kind.eq(kind));
        limits.into_iter().fold(its, both)
    };
    all.into_iter().filter(|_| limited).map(of).reduce(|a, b| Box::new(a.or(b)))
}

/// Both conditions.
pub fn both(a: Condition, b: Condition) -> Condition {
    Box::new(a.and(b))
}

/// Of one of these scopes, or of the whole organization.
pub fn scoped(scopes: &[Id], seq: i64) -> Condition {
    let of_it = || {
        let links = l::table.filter(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id)).and(l::relation.eq("scope_ids")));
        links.filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
    };
    Box::new(exists(of_it().filter(l::to_id.eq_any(scopes.to_vec()))).or(not(exists(of_it()))))
}

/// Which evidence a caller sees, for conditions of other registers on it. (Limits to controls are left out: who sees a control sees its evidence.)
pub fn of_evidence(caller: &Caller) -> Sight {
    let limits = &caller.limits;
    Sight {
        scopes: limits.scope_ids.clone(),
        sources: limits.sources.clone(),
        pushed_by: (limits.sources.is_empty() && caller.collects()).then_some(caller.actor.id),
        since: limits.period_start_on,
        until: limits.period_end_on,
    }
}

fn evidence(caller: &Caller, seq: i64) -> Vec<Condition> {
    let limits = &caller.limits;
    let own = || ev::table.filter(ev::tenant_id.eq(v::tenant_id).and(ev::id.eq(v::id)).and(ev::version.eq(v::version)));
    let mut all: Vec<Condition> = Vec::new();
    if !limits.sources.is_empty() {
        all.push(Box::new(exists(own().filter(ev::source.eq_any(limits.sources.clone())))));
    } else if caller.collects() {
        all.push(Box::new(exists(own().filter(ev::pushed_by.eq(caller.actor.id)))));
    }
    if let Some(since) = limits.period_start_on {
        all.push(Box::new(exists(own().filter(ev::collected_on.ge(since)))));
    }
    if let Some(until) = limits.period_end_on {
        all.push(Box::new(exists(own().filter(ev::collected_on.le(until)))));
    }
    if !limits.control_ids.is_empty() {
        let links = l::table.filter(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id)).and(l::relation.eq("control_ids")));
        let links = links.filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
        all.push(Box::new(exists(links.filter(l::to_id.eq_any(limits.control_ids.clone())))));
    }
    all
}
