//! Occurrences (ISO/IEC 27001:2022 8.1): whether a control was done in each period of its
//! frequency, as evidence tells. Computed: a review that nobody made is there as missing, without
//! anybody having entered it.
use crate::core::{Id, Instant, Invalid, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{evidence as ev, links as l, versions as v};
use crate::http::{Answer, Guard, Read, RecordId, ViewQuery};
use crate::records::{Reader, Record, Resource};
use crate::registers::control::became::{EvidenceRef, OccurrenceState, Piece, became};
use crate::registers::control::calendar::{MOST, grace, period, periods};
use crate::registers::control::in_force::{in_force, span};
use crate::registers::control::{Control, Frequency, Implementation};
use crate::registers::evidence::Evidence;
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::proving::PROVES;
use crate::registers::facts::Seen;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Pieces of evidence that a period names.
const NAMED: usize = 50;

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
                code: Evidence::KIND.numbered(number),
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
    at: RecordId,
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
