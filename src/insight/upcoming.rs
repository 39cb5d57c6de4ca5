//! What comes next: days by which something is done, reviews, and the ends of acceptances and of
//! evidence (ISO/IEC 27001:2022 9.1).
use super::overview::standing;
use crate::core::{Id, Result};
use crate::db::schema::{evidence as ev, links as l, versions as v};
use crate::records::{Kind, Reader, kind, list};
use crate::registers::control::proof as support;
use crate::registers::control::proof::Span;
use crate::registers::treatment::lapse::Acceptance;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// So many are named.
const MOST: usize = 20;

crate::vocabulary! {
    /// What happens on the day: something has to be done, or looked at again; an acceptance or a
    /// piece of evidence ends.
    pub enum UpcomingEvent { Due, Review, AcceptanceEnds, EvidenceEnds }
}

/// Something with a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Upcoming {
    /// The record.
    pub id: Id,
    /// The register.
    #[schema(max_length = 64)]
    pub kind: String,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// What happens then.
    pub event: UpcomingEvent,
    /// Its day: of an acceptance or of evidence the last on which it holds.
    pub due_on: NaiveDate,
}

/// The nearest of all, from today on.
pub fn nearest(mut all: Vec<Upcoming>) -> Vec<Upcoming> {
    all.sort_by(|a, b| {
        (a.due_on, &a.code, <&str>::from(a.event)).cmp(&(b.due_on, &b.code, b.event.into()))
    });
    all.truncate(MOST);
    all
}

type Found = (Id, i64, String, Option<NaiveDate>);

fn upcoming(kind: &Kind, event: UpcomingEvent, (id, number, name, day): Found) -> Option<Upcoming> {
    Some(Upcoming {
        id,
        kind: kind.name.to_owned(),
        code: format!("{}-{number}", kind.code),
        name,
        event,
        due_on: day?,
    })
}

/// The days by which records of a kind are done, and on which they are looked at again.
pub fn of_kind(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    scope: Option<Id>,
) -> Result<Vec<Upcoming>> {
    let (today, most) = (reader.today, MOST as i64);
    let open = |reader: &Reader<'_>| {
        v::table
            .filter(standing(reader, kind.name, scope))
            .filter(list::unfinished(kind))
    };
    let due = open(reader).filter(
        v::due_on
            .is_not_null()
            .and(v::due_on.assume_not_null().ge(today)),
    );
    let due = due.order((v::due_on, v::number)).limit(most).select((
        v::id,
        v::number,
        v::name,
        v::due_on,
    ));
    let due: Vec<Found> = due.load(reader.conn())?;
    let review = open(reader).filter(
        v::review_due_on
            .is_not_null()
            .and(v::review_due_on.assume_not_null().ge(today)),
    );
    let review = review
        .order((v::review_due_on, v::number))
        .limit(most)
        .select((v::id, v::number, v::name, v::review_due_on));
    let review: Vec<Found> = review.load(reader.conn())?;
    let of = |event| move |found| upcoming(kind, event, found);
    Ok(due
        .into_iter()
        .filter_map(of(UpcomingEvent::Due))
        .chain(review.into_iter().filter_map(of(UpcomingEvent::Review)))
        .collect())
}

/// The last days of these acceptances, which hold.
pub fn of_acceptances(reader: &mut Reader<'_>, holding: &[Acceptance]) -> Result<Vec<Upcoming>> {
    let ends = holding
        .iter()
        .filter(|one| one.expires_on >= reader.today)
        .map(|one| (one.expires_on, one.id))
        .collect();
    ending(
        reader,
        "risk_treatment",
        UpcomingEvent::AcceptanceEnds,
        ends,
    )
}

/// The last days of evidence that is current; a piece whose controls are all proven for longer by
/// other pieces is left out.
pub fn of_evidence(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<Vec<Upcoming>> {
    let seen: Vec<(Id, i32)> = v::table
        .filter(standing(reader, "evidence", scope))
        .select((v::id, v::version))
        .load(reader.conn())?;
    let versions: BTreeMap<Id, i32> = seen.into_iter().collect();
    let ids: Vec<Id> = versions.keys().copied().collect();
    let (tenant, seq, default) = (
        reader.tenant(),
        reader.moment.seq,
        reader.settings.evidence_days,
    );
    let mut ends: Vec<(NaiveDate, Id)> = Vec::new();
    let mut controls: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for some in ids.chunks(500) {
        type Dated = (Id, i32, NaiveDate, Option<NaiveDate>, Option<NaiveDate>);
        let own = ev::table.filter(
            ev::tenant_id
                .eq(tenant)
                .and(ev::id.eq_any(some))
                .and(ev::superseded_by_id.is_null()),
        );
        let columns = (
            ev::id,
            ev::version,
            ev::collected_on,
            ev::period_end_on,
            ev::expires_on,
        );
        let rows: Vec<Dated> = own.select(columns).load(reader.conn())?;
        let frequencies = support::frequencies(reader, some)?;
        for (id, version, collected_on, period_end_on, expires_on) in rows {
            if versions.get(&id) == Some(&version) {
                let span = Span {
                    collected_on,
                    period_end_on,
                    expires_on,
                };
                ends.push((
                    support::current_until(&span, frequencies.get(&id).copied(), default),
                    id,
                ));
            }
        }
        let proves = l::table.filter(
            l::tenant_id
                .eq(tenant)
                .and(l::from_id.eq_any(some))
                .and(l::relation.eq("control_ids")),
        );
        let pairs: Vec<(Id, Id)> = proves
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
            .select((l::from_id, l::to_id))
            .load(reader.conn())?;
        pairs
            .into_iter()
            .for_each(|(piece, control)| controls.entry(piece).or_default().push(control));
    }
    let today = reader.today;
    ends.retain(|(until, _)| *until >= today);
    ends.sort();
    let mut longest: BTreeMap<Id, Id> = BTreeMap::new();
    for (_, piece) in &ends {
        longest.extend(
            controls
                .get(piece)
                .into_iter()
                .flatten()
                .map(|control| (*control, *piece)),
        );
    }
    let last = |piece: &Id| match controls.get(piece) {
        Some(controls) => controls
            .iter()
            .any(|control| longest.get(control) == Some(piece)),
        None => true,
    };
    ends.retain(|(_, piece)| last(piece));
    ending(reader, "evidence", UpcomingEvent::EvidenceEnds, ends)
}

/// The nearest of these, with what they are called.
fn ending(
    reader: &mut Reader<'_>,
    of: &'static str,
    event: UpcomingEvent,
    mut ends: Vec<(NaiveDate, Id)>,
) -> Result<Vec<Upcoming>> {
    let Some(kind) = kind::named(of) else {
        return Ok(vec![]);
    };
    ends.sort();
    ends.truncate(MOST);
    let ids: Vec<Id> = ends.iter().map(|(_, id)| *id).collect();
    let named = v::table
        .filter(reader.seen(of))
        .filter(v::id.eq_any(ids))
        .select((v::id, v::number, v::name));
    let named: Vec<(Id, i64, String)> = named.load(reader.conn())?;
    let day = |id: &Id| ends.iter().find(|(_, of)| of == id).map(|(day, _)| *day);
    Ok(named
        .into_iter()
        .filter_map(|(id, number, name)| upcoming(kind, event, (id, number, name, day(&id))))
        .collect())
}
