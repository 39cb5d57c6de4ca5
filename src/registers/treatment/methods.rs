//! What became of methodologies, as acceptances are compared with it: one lapses with a new
//! revision or the retirement of the methodology that it was scored by, and where one comes into
//! force that names a scope of its risk.
use crate::core::{Id, Instant, Result};
use crate::db::dialect::same_version;
use crate::db::schema::{links as l, risk_methodologies as m, versions as v};
use crate::records::Reader;
use crate::registers::treatment::acceptance::Acceptance;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A record is in a scope from one position to another.
#[derive(Debug, Queryable)]
struct Stay {
    record: Id,
    scope: Id,
    from: i64,
    to: i64,
}
impl Stay {
    fn at(&self, seq: i64) -> bool {
        (self.from..self.to).contains(&seq)
    }
}

/// A version of a methodology.
#[derive(Debug, Clone, Queryable)]
struct Version {
    method: Id,
    status: String,
    seq: i64,
    at: Instant,
}

/// A methodology came into force (a revision of it), or went out of it.
#[derive(Debug, Clone)]
struct Event {
    method: Id,
    seq: i64,
    at: Instant,
    /// The scopes that it named as it came; none where it went.
    scopes: BTreeSet<Id>,
}

/// All of them, in the order of the ledger, and where the risks were meanwhile.
#[derive(Debug, Default)]
pub struct Events {
    all: Vec<Event>,
    risks: BTreeMap<Id, Vec<Stay>>,
}

impl Events {
    /// Those that end this acceptance, or would have.
    pub fn of(&self, one: &Acceptance) -> Vec<(i64, Instant)> {
        let stays = self
            .risks
            .get(&one.risk)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let within = |event: &Event| {
            let here = |stay: &Stay| stay.at(event.seq) && event.scopes.contains(&stay.scope);
            stays.iter().any(here)
        };
        let ends = self
            .all
            .iter()
            .filter(|event| event.method == one.approval.methodology || within(event));
        ends.map(|event| (event.seq, event.at)).collect()
    }
}

/// What became of methodologies until the reader's moment.
pub fn events(reader: &mut Reader<'_>, acceptances: &[Acceptance]) -> Result<Events> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let own = m::table.inner_join(same_version!(v, m));
    let own = own
        .filter(m::tenant_id.eq(tenant))
        .order((m::id, m::version))
        .select((m::id, v::status, v::from_seq, v::updated_at));
    let versions: Vec<Version> = own.load(reader.conn())?;
    let turned = |pair: &[Version]| match pair {
        [before, now] if before.method == now.method && before.status != now.status => {
            let turned = ["approved", "retired"].contains(&now.status.as_str());
            (turned && now.seq <= seq).then(|| now.clone())
        }
        _ => None,
    };
    let mut turns: Vec<Version> = versions.windows(2).filter_map(turned).collect();
    turns.sort_by_key(|turn| turn.seq);
    let named = stays(reader, &turns.iter().map(|turn| turn.method).collect())?;
    let event = |turn: Version| {
        let there = named.get(&turn.method).into_iter().flatten();
        let there = there.filter(|stay| turn.status == "approved" && stay.at(turn.seq));
        Event {
            method: turn.method,
            seq: turn.seq,
            at: turn.at,
            scopes: there.map(|stay| stay.scope).collect(),
        }
    };
    let all: Vec<Event> = turns.into_iter().map(event).collect();
    let risks = match all.iter().all(|event| event.scopes.is_empty()) {
        true => BTreeMap::new(),
        false => stays(reader, &acceptances.iter().map(|one| one.risk).collect())?,
    };
    Ok(Events { all, risks })
}

/// Which scopes these records were in, and when.
fn stays(reader: &mut Reader<'_>, of: &BTreeSet<Id>) -> Result<BTreeMap<Id, Vec<Stay>>> {
    let (tenant, ids): (_, Vec<Id>) = (reader.tenant(), of.iter().copied().collect());
    let mut all: BTreeMap<Id, Vec<Stay>> = BTreeMap::new();
    for some in ids.chunks(500) {
        let own = l::tenant_id.eq(tenant).and(l::from_id.eq_any(some));
        let own = l::table.filter(own.and(l::relation.eq("scope_ids")));
        let own = own.select((l::from_id, l::to_id, l::from_seq, l::to_seq));
        for stay in own.load::<Stay>(reader.conn())? {
            all.entry(stay.record).or_default().push(stay);
        }
    }
    Ok(all)
}
