//! Whether evidence is current, as it is read and as a filter (ISO/IEC 27001:2022 9.1).
use crate::core::{Id, Result};
use crate::db::among::among;
use crate::db::schema::evidence as ev;
use crate::records::ask::ListContext;
use crate::records::columns::row_of;
use crate::records::{Condition, Reader, Row};
use crate::registers::control::currency::{Span, ages, current_until};
use crate::registers::control::proven::frequencies;
use crate::registers::evidence::proving::Fresh;
use diesel::{dsl::not, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

crate::vocabulary! {
    /// Does it still prove something?
    pub enum Freshness { Current, Expired, Superseded }
}

/// Evidence of which one of these words is true.
pub fn any_fresh(words: &[Freshness], then: &ListContext) -> Option<Condition> {
    words
        .iter()
        .map(|word| fresh(*word, then))
        .reduce(|a, b| Box::new(a.or(b)))
}

/// Evidence of which this word is true.
fn fresh(word: Freshness, then: &ListContext) -> Condition {
    let superseded = row_of("evidence", ev::superseded_by_id.is_not_null());
    let current = Fresh {
        seq: then.seq,
        ages: ages(then),
    };
    match word {
        Freshness::Superseded => Box::new(superseded),
        Freshness::Current => Box::new(not(superseded).and(current)),
        Freshness::Expired => Box::new(not(superseded).and(not(current))),
    }
}

/// Whether these versions are current on the organization's date. How often controls are done is
/// asked only where a period depends on it.
pub fn freshness(reader: &mut Reader<'_>, rows: &[Row]) -> Result<BTreeMap<Id, Freshness>> {
    let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let own = ev::table
        .filter(ev::tenant_id.eq(reader.tenant()))
        .filter(among(ev::id, &ids));
    let columns = (
        (ev::id, ev::version),
        (ev::collected_on, ev::period_end_on, ev::expires_on),
        ev::superseded_by_id.is_not_null(),
    );
    let mut found: Vec<((Id, i32), Span, bool)> = own.select(columns).load(reader.conn())?;
    let asked: BTreeSet<(Id, i32)> = rows.iter().map(|row| (row.id, row.version)).collect();
    found.retain(|(key, ..)| asked.contains(key));
    let by_period: Vec<Id> = found
        .iter()
        .filter(|(_, span, _)| span.period_end_on.is_some() && span.expires_on.is_none())
        .map(|((id, _), ..)| *id)
        .collect();
    let frequencies = match by_period.is_empty() {
        true => BTreeMap::new(),
        false => frequencies(reader, &by_period)?,
    };
    let (today, default) = (reader.today, reader.settings.evidence_days);
    let word = |((id, _), span, superseded): ((Id, i32), Span, bool)| {
        let until = current_until(&span, frequencies.get(&id).copied(), default);
        let word = match (superseded, until >= today) {
            (true, _) => Freshness::Superseded,
            (false, true) => Freshness::Current,
            (false, false) => Freshness::Expired,
        };
        (id, word)
    };
    Ok(found.into_iter().map(word).collect())
}
