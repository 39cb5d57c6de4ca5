//! Gap assessments (ISO/IEC 27001:2022 9.1): for a framework and a scope, how far each requirement
//! is met and what it should be, and how that moved.
pub mod answer;
pub mod answers;
pub mod support;

use crate::access::Limits;
use crate::core::catalogue::Framework;
use crate::core::{Id, Instant, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{gap_assessments, versions as v};
use crate::http::{Answer, Guard, Read, RecordId, ViewQuery};
use crate::records::columns::own;
use crate::records::{
    By, Condition, Kind, Limit, NoState, PERIOD, Part, Reader, Resource, Row, SCOPED,
};
use crate::registers::gap::answer::{GapState, GapTarget, gap_answers as ga};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{PartialSchema, ToSchema};
use validator::Validate;

/// What clients say about a gap assessment.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAssessment {
    /// Why it is made, and how.
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// The framework that it is made against: its slug.
    #[schema(min_length = 2, max_length = 64)]
    pub framework: String,
}

/// The requirements of the framework by their states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct GapSummary {
    /// All that are asked for by themselves.
    #[schema(minimum = 0)]
    pub requirements: i64,
    /// Nobody has looked yet.
    #[schema(minimum = 0)]
    pub not_assessed: i64,
    /// Not met.
    #[schema(minimum = 0)]
    pub not_met: i64,
    /// Met in part.
    #[schema(minimum = 0)]
    pub partially_met: i64,
    /// Met.
    #[schema(minimum = 0)]
    pub met: i64,
    /// Not applicable here.
    #[schema(minimum = 0)]
    pub not_applicable: i64,
    /// Not at their targets, though the day for it has passed.
    #[schema(minimum = 0)]
    pub overdue: i64,
}

/// What an answer says, as far as numbers go.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct HasComment {
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target: Option<GapTarget>,
    /// By when.
    pub due_on: Option<NaiveDate>,
}

impl GapSummary {
    /// Pure: in numbers; an answer about what the framework does not ask for does not count.
    pub fn of<'a>(
        framework: Option<&Framework>,
        said: impl Iterator<Item = (&'a str, HasComment)>,
        today: NaiveDate,
    ) -> Self {
        let wanted: BTreeSet<&str> = framework
            .into_iter()
            .flat_map(|one| one.assessable())
            .map(|one| one.id.as_str())
            .collect();
        let mut all = GapSummary {
            requirements: wanted.len() as i64,
            not_assessed: wanted.len() as i64,
            ..GapSummary::default()
        };
        for (
            _,
            HasComment {
                state,
                target,
                due_on,
            },
        ) in said.filter(|(id, _)| wanted.contains(id))
        {
            all.not_assessed -= 1;
            *(match state {
                GapState::NotAssessed => &mut all.not_assessed,
                GapState::NotMet => &mut all.not_met,
                GapState::PartiallyMet => &mut all.partially_met,
                GapState::Met => &mut all.met,
                GapState::NotApplicable => &mut all.not_applicable,
            }) += 1;
            let open = target.map_or(
                !matches!(state, GapState::Met | GapState::NotApplicable),
                |target| target.state() != state,
            );
            all.overdue += i64::from(open && due_on.is_some_and(|day| day < today));
        }
        all
    }
}

impl Resource for GapAssessment {
    const KIND: Kind = Kind {
        part: Part::Check,
        name: "gap_assessment",
        path: "gap-assessments",
        code: "GAP",
        about: "Gap assessments: how far each requirement of a framework is met (9.1).",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::Fact("its `framework`", of_frameworks),
            ),
            PERIOD,
        ],
        ..Kind::PLAIN
    };
    type State = NoState;
    fn example() -> Value {
        json!({"name": "Before the first audit", "description": "Interviews with the owners of \
            the processes.", "framework": "iso-27001-2022", "due_on": "2027-01-31"})
    }
    fn frameworks(&self) -> Vec<(String, &str)> {
        vec![("/framework".into(), self.framework.as_str())]
    }
    fn computed(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        let (tenant, seq, today) = (reader.tenant(), reader.moment.seq, reader.today);
        let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
        let standing = ga::table.inner_join(same_version!(v, ga));
        let standing = standing
            .filter(ga::tenant_id.eq(tenant).and(ga::assessment_id.eq_any(ids)))
            .filter(at(seq));
        let said = (ga::state, ga::target_state, v::due_on);
        let standing = standing.select((ga::assessment_id, (ga::requirement, said)));
        let mut said: BTreeMap<Id, Vec<(String, HasComment)>> = BTreeMap::new();
        for (id, one) in standing.load::<(Id, (String, HasComment))>(reader.conn())? {
            said.entry(id).or_default().push(one);
        }
        let mut library = reader.library();
        let text = |row: &Row| {
            let against: Against = serde_json::from_str(&row.body).map_err(Problem::internal)?;
            let framework = library.framework(&against.framework)?;
            let said = said.get(&row.id).into_iter().flatten();
            let said = said.map(|(id, said)| (id.as_str(), *said));
            let summary = GapSummary::of(framework.as_deref(), said, today);
            let summary = serde_json::to_string(&summary).map_err(Problem::internal)?;
            Ok(format!("\"summary\":{summary}"))
        };
        rows.iter().map(text).collect()
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![(
            "summary",
            json!({"$ref": "#/components/schemas/GapSummary"}),
        )]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((GapSummary::name().into(), GapSummary::schema()));
    }
}
#[derive(Deserialize)]
struct Against {
    framework: String,
}

/// Assessments of these frameworks.
fn of_frameworks(limits: &Limits) -> Condition {
    own::<GapAssessment>(gap_assessments::framework.eq_any(limits.framework_slugs.clone()))
}

crate::columns! {
    gap_assessments of GapAssessment {
        framework,
    }
    /// What a list of gap assessments can be filtered by.
    pub struct GapFilter {
        /// Against any of these frameworks.
        #[param(max_items = 50, max_length = 64)]
        framework: Vec<String> => any(framework),
    }
}

/// How a gap assessment stood at the end of a day.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GapPoint {
    /// The day.
    pub on: NaiveDate,
    /// How it stood; targets by that day.
    pub summary: GapSummary,
}
/// How a gap assessment moved.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapProgress {
    /// The assessment.
    pub assessment_id: Id,
    /// The days on which answers changed, oldest first; the last 1,000 of them.
    #[schema(max_items = 1000)]
    pub data: Vec<GapPoint>,
}

async fn progress(
    guard: Guard<Read<GapAssessment>>,
    at: RecordId,
    query: ViewQuery,
) -> Result<Answer> {
    let selector = at.of(&GapAssessment::KIND)?;
    guard
        .view(query.as_of, move |reader| {
            let record = reader.load::<GapAssessment>(&selector, query.archived_too)?;
            let (zone, id) = (reader.settings.zone, record.spine.id);
            let own = ga::tenant_id
                .eq(reader.tenant())
                .and(ga::assessment_id.eq(id));
            let versions = ga::table.inner_join(same_version!(v, ga));
            let versions = versions.filter(own.and(v::from_seq.le(reader.moment.seq)));
            let said = (ga::state, ga::target_state, v::due_on);
            let versions = versions.order(v::from_seq);
            let versions = versions.select((ga::requirement, said, v::updated_at));
            let found: Vec<(String, HasComment, Instant)> = versions.load(reader.conn())?;
            let framework = reader.library().framework(&record.own.framework)?;
            let changes = found.into_iter();
            let changes = changes.map(|(requirement, said, at)| (at.day(zone), requirement, said));
            Answer::of(&GapProgress {
                assessment_id: id,
                data: series(framework.as_deref(), changes.collect()),
            })
        })
        .await
}

/// Pure: the days and how each ended.
fn series(
    framework: Option<&Framework>,
    changes: Vec<(NaiveDate, String, HasComment)>,
) -> Vec<GapPoint> {
    let days: BTreeSet<NaiveDate> = changes.iter().map(|(day, ..)| *day).collect();
    let skipped = days.len().saturating_sub(1000);
    let (mut standing, mut rest): (BTreeMap<String, HasComment>, _) =
        (BTreeMap::new(), changes.into_iter().peekable());
    let point = |on: NaiveDate| {
        while let Some((_, requirement, said)) = rest.next_if(|(day, ..)| *day <= on) {
            standing.insert(requirement, said);
        }
        let said = standing.iter().map(|(id, said)| (id.as_str(), *said));
        GapPoint {
            on,
            summary: GapSummary::of(framework, said, on),
        }
    };
    days.into_iter().map(point).skip(skipped).collect()
}

/// Mounts what stands under gap assessments.
pub fn actions(api: &mut crate::http::Api<'_>) {
    answers::mount(api);
    api.get("/v1/gap-assessments/{id}/progress", progress)
        .id("getGapProgress")
        .says(
            "Get how a gap assessment moved",
            "A point for each day on which answers changed, \
            against the framework as it stands.",
        )
        .past()
        .answers::<GapProgress>("The series.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_ends_as_its_last_answers_say() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap_or_else(|e| panic!("{e}"));
        let said = |state| HasComment {
            state,
            target: Some(GapTarget::Met),
            due_on: Some(day("2026-03-02")),
        };
        let change = |on: &str, requirement: &str, state| {
            (day(on), format!("nis2-art21:{requirement}"), said(state))
        };
        let all = series(
            crate::core::catalogue::framework("nis2-art21").map(|found| &**found),
            vec![
                change("2026-03-01", "21(2)(a)", GapState::NotMet),
                change("2026-03-01", "21(2)(a)", GapState::PartiallyMet),
                change("2026-03-01", "21(2)(b)", GapState::NotMet),
                change("2026-03-04", "21(2)(a)", GapState::Met),
                change("2026-03-04", "21(2)(z)", GapState::Met),
            ],
        );
        let of = |not_assessed, not_met, partially_met, met, overdue| GapSummary {
            requirements: 10,
            not_assessed,
            not_met,
            partially_met,
            met,
            not_applicable: 0,
            overdue,
        };
        assert_eq!(
            all,
            [
                GapPoint {
                    on: day("2026-03-01"),
                    summary: of(8, 1, 1, 0, 0)
                },
                GapPoint {
                    on: day("2026-03-04"),
                    summary: of(8, 1, 0, 1, 1)
                }
            ]
        );
    }
}
