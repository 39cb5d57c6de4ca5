//! Occurrences (ISO/IEC 27001:2022 8.1): whether a control was done in each period of its
//! frequency, as evidence tells. Computed: a review that nobody made is there as missing, without
//! anybody having entered it.
use crate::core::{Id, Instant, Invalid, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{evidence as ev, links as l, versions as v};
use crate::http::{Answer, At, Guard, Read, ViewQuery};
use crate::records::{Reader, Record, Resource};
use crate::registers::control::calendar::{MOST, grace, period, periods};
use crate::registers::control::in_force::{in_force, span};
use crate::registers::control::{Control, Frequency, Implementation};
use crate::registers::evidence::Evidence;
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::proving::PROVES;
use crate::registers::facts::{Seen, code};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Pieces of evidence that a period names.
const NAMED: usize = 50;

crate::vocabulary! {
    /// What became of a period: proven in time, proven after its grace, not proven and over, not
    /// over yet; a control that waits for events had none; or a test of it failed, and none of its
    /// series passed within the period.
    pub enum OccurrenceState { Done, Late, Missing, Due, NoEvent, Failed }
}

/// A piece of evidence in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EvidenceRef {
    /// The evidence.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// When it was collected.
    pub collected_at: Instant,
}

/// A period in which the control is to be done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Occurrence {
    /// Its first day.
    pub period_start_on: NaiveDate,
    /// Its last day.
    pub period_end_on: NaiveDate,
    /// The last day on which evidence of it is in time: 10 % of the period after its end, at least
    /// a day.
    pub due_on: NaiveDate,
    /// What became of it.
    pub status: OccurrenceState,
    /// The evidence that covers it, or lies within it; up to 50, first collected first.
    #[schema(max_items = 50)]
    pub evidence: Vec<EvidenceRef>,
    /// All of it.
    #[schema(minimum = 0)]
    pub evidence_count: i64,
}

/// Periods by what became of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct OccurrenceSummary {
    /// Proven in time.
    #[schema(minimum = 0)]
    pub done: i64,
    /// Proven later.
    #[schema(minimum = 0)]
    pub late: i64,
    /// Not proven, and over.
    #[schema(minimum = 0)]
    pub missing: i64,
    /// Not proven, and not over.
    #[schema(minimum = 0)]
    pub due: i64,
    /// Without an event.
    #[schema(minimum = 0)]
    pub no_event: i64,
    /// With a test that failed.
    #[schema(minimum = 0)]
    pub failed: i64,
}

/// The occurrences of a control.
#[derive(Debug, Serialize, ToSchema)]
pub struct Occurrences {
    /// The control.
    pub control_id: Id,
    /// How often it is done.
    #[schema(required)]
    pub frequency: Option<Frequency>,
    /// The first day that was looked at.
    pub period_start_on: NaiveDate,
    /// The last.
    pub period_end_on: NaiveDate,
    /// In the order of time.
    #[schema(max_items = 400)]
    pub data: Vec<Occurrence>,
    /// In numbers.
    pub summary: OccurrenceSummary,
}

/// Evidence as a period looks at it.
#[derive(Debug, Clone)]
struct Piece {
    what: EvidenceRef,
    collected_on: NaiveDate,
    start: NaiveDate,
    end: NaiveDate,
    series: (String, Option<String>),
    outcome: Option<EvidenceOutcome>,
}

impl Piece {
    /// Pure: does it prove this period: by covering it, or as something that was done within it?
    fn proves(&self, (start, end): (NaiveDate, NaiveDate)) -> bool {
        (self.start <= start && self.end >= end) || (self.start >= start && self.end <= end)
    }
}

/// Pure: did a test fail that none of its series answered? The pieces come in the order of their
/// collection.
fn failed(proofs: &[&Piece]) -> bool {
    let mut last: BTreeMap<&(String, Option<String>), bool> = BTreeMap::new();
    for piece in proofs {
        match piece.outcome {
            Some(EvidenceOutcome::Failed) => drop(last.insert(&piece.series, true)),
            Some(EvidenceOutcome::Passed) => drop(last.insert(&piece.series, false)),
            Some(EvidenceOutcome::Inconclusive) | None => {}
        }
    }
    last.values().any(|failed| *failed)
}

/// Pure: what became of a period.
fn became(
    of: (NaiveDate, NaiveDate),
    proofs: &[&Piece],
    events: bool,
    today: NaiveDate,
) -> OccurrenceState {
    let due = grace(of);
    let shows = |piece: &&&Piece| matches!(piece.outcome, None | Some(EvidenceOutcome::Passed));
    match proofs
        .iter()
        .filter(shows)
        .map(|piece| piece.collected_on)
        .min()
    {
        _ if failed(proofs) => OccurrenceState::Failed,
        Some(first) if first <= due => OccurrenceState::Done,
        Some(_) => OccurrenceState::Late,
        None if events => OccurrenceState::NoEvent,
        None if due < today => OccurrenceState::Missing,
        None => OccurrenceState::Due,
    }
}

/// The evidence of a control, superseded pieces too (each proves its own period), first collected
/// first.
fn pieces(reader: &mut Reader<'_>, control: Id) -> Result<Vec<Piece>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let seen = Seen::of(reader, Evidence::KIND.name)?;
    let linked = v::table
        .inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))))
        .inner_join(same_version!(ev, v));
    let linked = linked.filter(
        l::tenant_id
            .eq(tenant)
            .and(l::relation.eq_any(PROVES))
            .and(l::to_id.eq(control)),
    );
    let linked = linked.filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
    let linked = linked
        .filter(v::kind.eq("evidence").and(v::archived_at.is_null()))
        .filter(at(seq));
    let what = (v::id, v::number, v::name, ev::collected_at);
    let days = (ev::collected_on, ev::period_start_on, ev::period_end_on);
    let mut found: Vec<Found> = linked
        .order((ev::collected_at, v::number))
        .select((what, days, (ev::source, ev::external_id), ev::outcome))
        .load(reader.conn())?;
    // Linked as control and as subject alike: once.
    found.dedup_by_key(|row| row.what.0);
    let seen = |row: &Found| seen.has(row.what.0);
    Ok(found.into_iter().filter(seen).map(Piece::from).collect())
}

/// Evidence as it is read.
#[derive(Queryable)]
struct Found {
    what: (Id, i64, String, Instant),
    days: (NaiveDate, Option<NaiveDate>, Option<NaiveDate>),
    series: (String, Option<String>),
    outcome: Option<EvidenceOutcome>,
}
impl From<Found> for Piece {
    fn from(found: Found) -> Self {
        let (id, number, name, collected_at) = found.what;
        let (collected_on, start, end) = found.days;
        Piece {
            what: EvidenceRef {
                id,
                code: code(Evidence::KIND.name, number),
                name,
                collected_at,
            },
            collected_on,
            start: start.or(end).unwrap_or(collected_on),
            end: end.or(start).unwrap_or(collected_on),
            series: found.series,
            outcome: found.outcome,
        }
    }
}

fn too_many() -> Problem {
    let detail = format!("these dates have more than {MOST} periods; ask for fewer");
    Problem::parameters(vec![Invalid::query("period_start_on", "too_many", detail)])
}

/// The occurrences of a control at the reader's moment.
fn compute(
    reader: &mut Reader<'_>,
    record: &Record<Control>,
    asked: (Option<NaiveDate>, Option<NaiveDate>),
) -> Result<Occurrences> {
    let (own, today) = (&record.own, reader.today);
    let force = in_force(reader, record)?;
    let (start, end) = span(force, asked, today)?;
    let done = matches!(
        own.implementation,
        Implementation::Implemented | Implementation::Retired
    );
    let expected = done && force.0.is_some() && start <= end;
    let regular = own
        .frequency
        .filter(|frequency| period(*frequency, start).is_some());
    let all = match regular {
        _ if !expected => vec![],
        Some(frequency) => periods(frequency, start, end).ok_or_else(too_many)?,
        None => vec![(start, end)],
    };
    let events = regular.is_none() && own.frequency != Some(Frequency::Continuous);
    let pieces = if all.is_empty() {
        vec![]
    } else {
        pieces(reader, record.spine.id)?
    };
    let mut summary = OccurrenceSummary::default();
    let occurrence = |of: (NaiveDate, NaiveDate)| {
        let proofs: Vec<&Piece> = pieces.iter().filter(|piece| piece.proves(of)).collect();
        let status = became(of, &proofs, events, today);
        *(match status {
            OccurrenceState::Done => &mut summary.done,
            OccurrenceState::Late => &mut summary.late,
            OccurrenceState::Missing => &mut summary.missing,
            OccurrenceState::Due => &mut summary.due,
            OccurrenceState::NoEvent => &mut summary.no_event,
            OccurrenceState::Failed => &mut summary.failed,
        }) += 1;
        Occurrence {
            period_start_on: of.0,
            period_end_on: of.1,
            due_on: grace(of),
            status,
            evidence: proofs
                .iter()
                .take(NAMED)
                .map(|piece| piece.what.clone())
                .collect(),
            evidence_count: proofs.len() as i64,
        }
    };
    let data = all.into_iter().map(occurrence).collect();
    Ok(Occurrences {
        control_id: record.spine.id,
        frequency: own.frequency,
        period_start_on: start,
        period_end_on: end,
        data,
        summary,
    })
}

/// What can be asked of `listControlOccurrences`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ControlOccurrencesQuery {
    /// The first day; a year before the last when absent.
    period_start_on: Option<NaiveDate>,
    /// The last day; today when absent or later.
    period_end_on: Option<NaiveDate>,
}

async fn list(
    guard: Guard<Read<Control>>,
    at: At,
    query: ViewQuery<ControlOccurrencesQuery>,
) -> Result<Answer> {
    let selector = at.of(&Control::KIND)?;
    let asked = (query.own.period_start_on, query.own.period_end_on);
    guard
        .view(query.as_of, move |reader| {
            let record: Record<Control> = reader.load(&selector, query.archived_too)?;
            Answer::of(&compute(reader, &record, asked)?)
        })
        .await
}

/// Mounts what is particular to controls.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.get("/v1/controls/{id}/occurrences", list)
        .id("listControlOccurrences")
        .says(
            "List the occurrences of a control",
            "Whether it was done in each period of its \
            frequency, as its evidence tells: by a period that covers it, or by something done \
            within it. Days are the organization's; periods go by the calendar, each whole. \
            Nothing is expected before `implemented_on` (where that is not said, before the day \
            on which the control was first said to be implemented), after it was retired, or of a \
            control that is not implemented. A control that is done for each event or \
            continuously has one period: all the days that were asked for. Up to 400 periods.",
        )
        .past()
        .query::<ControlOccurrencesQuery>()
        .answers::<Occurrences>("The occurrences.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use EvidenceOutcome::{Failed, Inconclusive, Passed};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }
    fn march() -> (NaiveDate, NaiveDate) {
        (day("2026-03-01"), day("2026-03-31"))
    }
    fn piece([collected, start, end]: [&str; 3]) -> Piece {
        let at = format!("{collected}T10:00:00Z");
        Piece {
            what: EvidenceRef {
                id: Id::new(),
                code: "EVD-1".into(),
                name: "e".into(),
                collected_at: at.parse().unwrap_or_else(|e| panic!("{e}")),
            },
            collected_on: day(collected),
            start: day(start),
            end: day(end),
            series: ("tests".to_owned(), None),
            outcome: None,
        }
    }

    #[test]
    fn what_became_of_a_period() {
        use OccurrenceState::{Done, Due, Late, Missing, NoEvent};
        let of = |piece: Option<&Piece>, events, today: &str| {
            let all: Vec<&Piece> = piece
                .into_iter()
                .filter(|one| one.proves(march()))
                .collect();
            became(march(), &all, events, day(today))
        };
        assert_eq!(of(None, false, "2026-04-04"), Due);
        assert_eq!(of(None, false, "2026-04-05"), Missing);
        assert_eq!(of(None, true, "2026-06-01"), NoEvent);
        for (days, state, why) in [
            (["2026-04-04", "2026-03-01", "2026-03-31"], Done, "in time"),
            (["2026-04-05", "2026-03-01", "2026-03-31"], Late, "after it"),
            (
                ["2026-04-02", "2026-01-01", "2026-03-31"],
                Done,
                "a longer period",
            ),
            (
                ["2026-03-15", "2026-03-15", "2026-03-15"],
                Done,
                "within it",
            ),
            (
                ["2026-04-02", "2026-03-20", "2026-04-02"],
                Missing,
                "neither",
            ),
        ] {
            assert_eq!(of(Some(&piece(days)), false, "2026-06-01"), state, "{why}");
        }
    }

    #[test]
    fn a_failed_test_is_answered_by_its_own_series() {
        let one = |(series, outcome): &(&str, Option<EvidenceOutcome>)| Piece {
            series: ((*series).to_owned(), None),
            outcome: *outcome,
            ..piece(["2026-03-02"; 3])
        };
        for (tests, state) in [
            (
                vec![("a", Some(Failed)), ("a", Some(Passed))],
                OccurrenceState::Done,
            ),
            (
                vec![("a", Some(Passed)), ("a", Some(Failed))],
                OccurrenceState::Failed,
            ),
            (
                vec![("a", Some(Failed)), ("b", Some(Passed)), ("b", None)],
                OccurrenceState::Failed,
            ),
            (
                vec![("a", Some(Failed)), ("a", Some(Inconclusive)), ("a", None)],
                OccurrenceState::Failed,
            ),
            (vec![("a", Some(Inconclusive))], OccurrenceState::Missing),
            (
                vec![("a", Some(Inconclusive)), ("a", None)],
                OccurrenceState::Done,
            ),
        ] {
            let all: Vec<Piece> = tests.iter().map(one).collect();
            let proofs: Vec<&Piece> = all.iter().collect();
            assert_eq!(
                became(march(), &proofs, false, day("2026-06-01")),
                state,
                "{tests:?}"
            );
        }
    }
}
