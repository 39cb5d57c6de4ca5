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
type Stay = (Id, Id, i64, i64);

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
            stays.iter().any(|(_, scope, from, to)| {
                (*from..*to).contains(&event.seq) && event.scopes.contains(scope)
            })
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
        .order((m::id, m::version));
    let rows: Vec<(Id, String, i64, Instant)> = own
        .select((m::id, v::status, v::from_seq, v::updated_at))
        .load(reader.conn())?;
    let turn = |pair: &[(Id, String, i64, Instant)]| match pair {
        [before, now] if before.0 == now.0 && before.1 != now.1 => match now.1.as_str() {
            "approved" => Some((now.0, true, now.2, now.3)),
            "retired" => Some((now.0, false, now.2, now.3)),
            _ => None,
        },
        _ => None,
    };
    let mut turns: Vec<(Id, bool, i64, Instant)> = rows
        .windows(2)
        .filter_map(turn)
        .filter(|turn| turn.2 <= seq)
        .collect();
    turns.sort_by_key(|turn| turn.2);
    let methods: BTreeSet<Id> = turns.iter().map(|turn| turn.0).collect();
    let named = stays(reader, &methods)?;
    let event = |(method, came, seq, at): (Id, bool, i64, Instant)| {
        let there = named
            .get(&method)
            .into_iter()
            .flatten()
            .filter(|(_, _, from, to)| came && (*from..*to).contains(&seq));
        Event {
            method,
            seq,
            at,
            scopes: there.map(|(_, scope, ..)| *scope).collect(),
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
        let own = l::table.filter(
            l::tenant_id
                .eq(tenant)
                .and(l::from_id.eq_any(some))
                .and(l::relation.eq("scope_ids")),
        );
        let found: Vec<Stay> = own
            .select((l::from_id, l::to_id, l::from_seq, l::to_seq))
            .load(reader.conn())?;
        found
            .into_iter()
            .for_each(|stay| all.entry(stay.0).or_default().push(stay));
    }
    Ok(all)
}
