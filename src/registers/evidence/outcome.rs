//! What tests showed (ISO/IEC 27001:2022 9.1): a failed one proves nothing. It makes its control
//! failing for as long as it is current, until a later one of the same series passes. A series is
//! what has the same source and external id (or none, both times); where it has an external id, the
//! later piece supersedes the one before, whatever it shows.
use crate::core::{Id, Instant, Result};
use crate::db::among::among;
use crate::db::dialect::{at, same_version};
use crate::db::schema::{evidence as ev, links as l, versions as v};
use crate::records::Reader;
use crate::registers::evidence::proving::PROVES;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

crate::vocabulary! {
    /// What a test showed. Evidence that is no test has none.
    pub enum EvidenceOutcome { Passed, Failed, Inconclusive }
}

/// A test without an external id, as others of its series look at it.
#[derive(Queryable)]
struct Tried {
    control: Id,
    evidence: Id,
    series: (String, bool),
    collected_at: Instant,
    outcome: Option<EvidenceOutcome>,
}

/// Which failed tests of these controls a later one of their series has answered. What a caller
/// sees of them does not matter, as it does not for what is superseded.
pub fn answered(reader: &mut Reader<'_>, controls: &[Id]) -> Result<BTreeSet<(Id, Id)>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let tried = v::table
        .inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))))
        .inner_join(same_version!(ev, v));
    let tried = tried.filter(
        l::tenant_id
            .eq(tenant)
            .and(l::relation.eq_any(PROVES))
            .and(l::from_seq.le(seq))
            .and(l::to_seq.gt(seq)),
    );
    let tried = tried
        .filter(v::kind.eq("evidence").and(v::archived_at.is_null()))
        .filter(at(seq));
    let tried = tried.filter(
        ev::superseded_by_id
            .is_null()
            .and(ev::external_id.is_null()),
    );
    let tried = tried
        .filter(ev::outcome.eq_any([EvidenceOutcome::Passed, EvidenceOutcome::Failed]))
        .filter(among(l::to_id, controls));
    let series = (ev::source, ev::attests);
    let tried = tried.select((l::to_id, v::id, series, ev::collected_at, ev::outcome));
    Ok(settled(&tried.load(reader.conn())?))
}

/// Pure: the failed ones after which one of their series passed.
fn settled(all: &[Tried]) -> BTreeSet<(Id, Id)> {
    let mut passed: BTreeMap<(Id, &(String, bool)), Instant> = BTreeMap::new();
    let showed = |outcome| {
        all.iter()
            .filter(move |one: &&Tried| one.outcome == Some(outcome))
    };
    for one in showed(EvidenceOutcome::Passed) {
        let last = passed
            .entry((one.control, &one.series))
            .or_insert(one.collected_at);
        *last = (*last).max(one.collected_at);
    }
    let later = |one: &&Tried| {
        let passed = passed.get(&(one.control, &one.series));
        passed.is_some_and(|passed| *passed > one.collected_at)
    };
    let failed = showed(EvidenceOutcome::Failed).filter(later);
    failed.map(|one| (one.control, one.evidence)).collect()
}
