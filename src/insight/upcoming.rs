//! What comes next: days by which something is done, reviews, and the ends of acceptances and of
//! evidence (ISO/IEC 27001:2022 9.1).
use super::basis::Basis;
use crate::core::{Id, Result};
use crate::db::among::among;
use crate::db::dialect::at;
use crate::db::schema::versions as v;
use crate::records::{Kind, Reader, Resource};
use crate::registers::evidence::Evidence;
use crate::registers::facts::Stub;
use crate::registers::treatment::RiskTreatment;
use crate::registers::treatment::acceptance::Acceptance;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
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

/// A day of an event, in the order in which the nearest are found: by day and number.
type Day = (NaiveDate, i64, Id);

/// The nearest days so far of each event, from today on.
#[derive(Debug, Default)]
pub struct Nearest {
    days: BTreeMap<&'static str, BTreeMap<Day, (&'static str, UpcomingEvent)>>,
}

impl Nearest {
    fn add(&mut self, on: NaiveDate, (kind, stub): (&Kind, &Stub), event: UpcomingEvent) {
        let days = self.days.entry(event.into()).or_default();
        days.insert((on, stub.number, stub.id), (kind.name, event));
        if days.len() > MOST {
            days.pop_last();
        }
    }
    /// The days by which a record is done, and on which it is looked at again.
    pub fn take(&mut self, kind: &Kind, stub: &Stub, today: NaiveDate) {
        for (day, event) in [
            (stub.due_on, UpcomingEvent::Due),
            (stub.review_due_on, UpcomingEvent::Review),
        ] {
            if let Some(day) = day.filter(|day| *day >= today) {
                self.add(day, (kind, stub), event);
            }
        }
    }
    /// The last days of these acceptances, which hold.
    pub fn acceptances(&mut self, basis: &Basis, holding: &[Acceptance]) {
        for one in holding
            .iter()
            .filter(|one| one.approval.expires_on >= basis.today)
        {
            if let Some(fact) = basis.facts.treatments.get(one.id) {
                let of = (&RiskTreatment::KIND, &fact.stub);
                self.add(one.approval.expires_on, of, UpcomingEvent::AcceptanceEnds);
            }
        }
    }
    /// The last days of evidence that is current; a piece whose controls are all proven for longer
    /// by other pieces is left out.
    pub fn evidence(&mut self, basis: &Basis, default_days: i32) {
        let (facts, kind) = (&basis.facts, &Evidence::KIND);
        let mut ends: Vec<_> = facts
            .evidence
            .iter()
            .filter(|piece| !piece.own.superseded && basis.here(kind.name, &piece.stub))
            .map(|piece| (facts.current_until(&piece.own, default_days), piece))
            .filter(|(until, _)| *until >= basis.today)
            .collect();
        ends.sort_unstable_by_key(|(until, piece)| (*until, piece.stub.id));
        // From the last day on: the first piece that is met of a control proves it for longest.
        let mut proven: BTreeSet<Id> = BTreeSet::new();
        for (until, piece) in ends.into_iter().rev() {
            let controls = &piece.own.controls;
            let longest = controls
                .iter()
                .filter(|control| proven.insert(**control))
                .count();
            if controls.is_empty() || longest > 0 {
                self.add(until, (kind, &piece.stub), UpcomingEvent::EvidenceEnds);
            }
        }
    }
    /// With what the records are called: one query.
    pub fn named(self, reader: &mut Reader<'_>) -> Result<Vec<Upcoming>> {
        let (kinds, days) = (reader.kinds(), self.days.into_values().flatten());
        let days: Vec<(Day, (&str, UpcomingEvent))> = days.collect();
        let ids: Vec<Id> = days.iter().map(|((.., id), _)| *id).collect();
        let standing = v::table
            .filter(v::tenant_id.eq(reader.tenant()))
            .filter(at(reader.moment.seq))
            .filter(among(v::id, &ids));
        let names: Vec<(Id, String)> = standing.select((v::id, v::name)).load(reader.conn())?;
        let names: BTreeMap<Id, String> = names.into_iter().collect();
        let told = |((due_on, number, id), (kind, event)): (Day, (&str, _))| {
            let name = names.get(&id).cloned().unwrap_or_default();
            let code = kinds.code(kind, number);
            Upcoming {
                id,
                kind: kind.to_owned(),
                code,
                name,
                event,
                due_on,
            }
        };
        let mut all: Vec<Upcoming> = days.into_iter().map(told).collect();
        all.sort_by(|a, b| {
            let order = |one: &Upcoming| (one.due_on, one.code.clone(), <&str>::from(one.event));
            order(a).cmp(&order(b))
        });
        all.truncate(MOST);
        Ok(all)
    }
}
