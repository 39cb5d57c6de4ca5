//! The answers of a gap assessment: a requirement each, kept like any record, found by assessment
//! and requirement. Where nothing is stored, nobody has looked yet (`version` 0). What was answered
//! stays, though a later revision of the framework is without the requirement.
use crate::access::{Actor, Caller, Limits};
use crate::core::catalogue::Framework;
use crate::core::{Code, Id, Instant, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::versions as v;
use crate::http::{Answer, At, Guard, Read, ViewQuery, handlers::HistoryView};
use crate::records::columns::own;
use crate::records::limit::{self, Facts};
use crate::records::record::etag;
use crate::records::{
    By, Condition, Kind, Limit, PERIOD, Part, Reader, Record, Resource, SCOPED, Selector,
    Stateless, sight,
};
use crate::registers::control::proof::Support;
use crate::registers::evidence::Evidence;
use crate::registers::facts::{self, Proofs, Seen};
use crate::registers::framework::coverage;
use crate::registers::framework::coverage::CoverageState;
use crate::registers::gap::GapAssessment;
use actix_web::web::Path;
use chrono::NaiveDate;
use diesel::prelude::*;
use gap_answers as ga;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// How far a requirement is met.
    pub enum GapState { NotAssessed, NotMet, PartiallyMet, Met, NotApplicable }
}
crate::vocabulary! {
    /// How far a requirement should be met.
    pub enum GapTarget { NotMet, PartiallyMet, Met, NotApplicable }
}
impl GapTarget {
    /// The state in which it is reached.
    pub fn state(self) -> GapState {
        match self {
            GapTarget::NotMet => GapState::NotMet,
            GapTarget::PartiallyMet => GapState::PartiallyMet,
            GapTarget::Met => GapState::Met,
            GapTarget::NotApplicable => GapState::NotApplicable,
        }
    }
}

/// One answer, as it is kept; its day is that of the record.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAnswer {
    /// The assessment.
    pub assessment_id: Id,
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapTarget>,
    /// What was seen, and what is missing.
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}

impl Resource for GapAnswer {
    const KIND: Kind = Kind {
        part: Part::Check,
        name: "gap_answer",
        path: "gap-answers",
        code: "GAN",
        about: "Answers of gap assessments (9.1).",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::Fact("the framework of its requirement", of_frameworks),
            ),
            PERIOD,
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = Stateless;
    fn facts(record: &Record<Self>) -> Facts {
        Facts {
            frameworks: limit::frameworks_of([&record.own.requirement]),
            ..Facts::default()
        }
    }
    fn example() -> Value {
        json!({"name": "iso-27001-2022:A.5.1",
            "assessment_id": "018f0000-0000-7000-8000-000000000000",
                "requirement": "iso-27001-2022:A.5.1", "state": "partially_met"})
    }
}
/// Answers about requirements of these frameworks.
fn of_frameworks(limits: &Limits) -> Condition {
    let of_it = |slug: &String| {
        let within = ga::requirement.like(sight::beginning(slug));
        own::<GapAnswer>(within.escape('\\'))
    };
    limits
        .framework_slugs
        .iter()
        .map(of_it)
        .reduce(sight::either)
        .unwrap_or_else(sight::nothing)
}

crate::columns! {
    table gap_answers of GapAnswer {
        assessment_id: DbUuid,
        requirement: Text,
        state: Text,
        target_state: Nullable<Text>,
    }
}
/// How far a requirement is met.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = GapAnswer)]
pub struct GapAnswerShown {
    /// The record, as the ledger names it; null where nobody has looked yet.
    #[schema(required)]
    pub id: Option<Id>,
    /// Its readable identifier; null where nobody has looked yet.
    #[schema(required, max_length = 32)]
    pub code: Option<String>,
    /// The assessment.
    pub assessment_id: Id,
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title; null where the framework is without it by now.
    #[schema(required, max_length = 300)]
    pub title: Option<String>,
    /// Does the framework still ask for it?
    pub in_framework: bool,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    #[schema(required)]
    pub target_state: Option<GapTarget>,
    /// By when.
    #[schema(required)]
    pub due_on: Option<NaiveDate>,
    /// Who answers for it.
    #[schema(required)]
    pub owner_id: Option<Id>,
    /// What controls and evidence say of the requirement; null where the framework is without it,
    /// and in the answer to a write.
    #[schema(required)]
    pub support: Option<GapSupport>,
    /// What was seen, and what is missing.
    #[schema(required, max_length = 4000)]
    pub note: Option<String>,
    /// Grows by one with each change; 0 where nobody has looked yet.
    #[schema(minimum = 0)]
    pub version: i32,
    /// When it was last changed.
    #[schema(required)]
    pub updated_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub updated_by: Option<Actor>,
}
impl GapAnswerShown {
    /// Its entity tag, with what stands behind it and the name of the account.
    pub(crate) fn tag(&self) -> Result<String> {
        let names = crc32fast::hash(
            self.updated_by
                .as_ref()
                .map_or("", |by| by.name.as_str())
                .as_bytes(),
        );
        Ok(etag(
            self.version,
            names,
            &serde_json::to_string(&self.support).map_err(Problem::internal)?,
        ))
    }
}
/// What controls and evidence say of a requirement, beside what was answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GapSupport {
    /// How far controls cover it, as `/coverage` of the framework says: of the scope of the
    /// assessment where it has one, of the whole organization otherwise. Composed mappings do not
    /// count.
    pub coverage: CoverageState,
    /// What the coverage would be if composed mappings held; null where they would not change it.
    #[schema(required)]
    pub suggested_coverage: Option<CoverageState>,
    /// Current evidence that names the requirement itself.
    #[schema(minimum = 0)]
    pub current_evidence: i64,
    /// Is it answered `met` or `partially_met` with nothing behind it: neither a control that
    /// covers it nor current evidence?
    pub unsupported: bool,
}
/// The answers of an assessment.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapAnswers {
    /// In natural order, each requirement once; then what the framework is without by now.
    #[schema(max_items = 10000)]
    pub data: Vec<GapAnswerShown>,
}

/// What was answered, by requirement, at the reader's moment: two queries.
pub(crate) fn answered(
    reader: &mut Reader<'_>,
    framework: Option<&Framework>,
    id: Id,
    only: Option<&str>,
) -> Result<BTreeMap<String, (Id, GapAnswerShown)>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let standing = ga::table.inner_join(same_version!(v, ga));
    let mut standing = standing
        .filter(ga::tenant_id.eq(tenant).and(ga::assessment_id.eq(id)))
        .filter(at(seq))
        .into_boxed();
    if let Some(requirement) = only {
        standing = standing.filter(ga::requirement.eq(requirement.to_owned()));
    }
    let seqs: Vec<i64> = standing.select(v::from_seq).load(reader.conn())?;
    let records = reader.written::<GapAnswer>(&seqs)?;
    Ok(records
        .iter()
        .map(|record| {
            (
                record.own.requirement.clone(),
                (record.spine.id, shown(record, framework)),
            )
        })
        .collect())
}

/// The requirement, where the framework asks for it by itself.
pub(crate) fn asks<'f>(
    framework: Option<&'f Framework>,
    requirement: &str,
) -> Option<&'f crate::core::catalogue::Requirement> {
    let (slug, reference) = crate::core::catalogue::parts(requirement)?;
    framework
        .filter(|framework| framework.slug == slug)?
        .requirement(reference)
        .filter(|found| found.assessable)
}
/// As it is answered.
pub(crate) fn shown(record: &Record<GapAnswer>, framework: Option<&Framework>) -> GapAnswerShown {
    let (own, spine, asked) = (
        record.own.clone(),
        &record.spine,
        asks(framework, &record.own.requirement),
    );
    GapAnswerShown {
        id: Some(spine.id),
        code: Some(spine.code.clone()),
        owner_id: record.links.one("owner_id"),
        support: None,
        assessment_id: own.assessment_id,
        requirement: own.requirement,
        title: asked.map(|found| found.title.clone()),
        in_framework: asked.is_some(),
        state: own.state,
        target_state: own.target_state,
        due_on: record.common.due_on,
        note: own.note,
        version: spine.version,
        updated_at: Some(spine.updated_at),
        updated_by: Some(spine.updated_by.clone()),
    }
}
fn unanswered(
    assessment_id: Id,
    requirement: &crate::core::catalogue::Requirement,
) -> GapAnswerShown {
    GapAnswerShown {
        id: None,
        code: None,
        owner_id: None,
        support: None,
        assessment_id,
        requirement: requirement.id.clone(),
        title: Some(requirement.title.clone()),
        in_framework: true,
        state: GapState::NotAssessed,
        target_state: None,
        due_on: None,
        note: None,
        version: 0,
        updated_at: None,
        updated_by: None,
    }
}

/// What can be asked of `listGapAnswers`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GapAnswersQuery {
    /// Only in this state.
    #[param(
        value_type = Option<String>,
        max_length = 20,
        pattern = "^(not_assessed|not_met|partially_met|met|not_applicable)$"
    )]
    state: Option<GapState>,
}

async fn list(
    guard: Guard<Read<GapAssessment>>,
    at: At,
    query: ViewQuery<GapAnswersQuery>,
) -> Result<Answer> {
    let (selector, state) = (at.of(&GapAssessment::KIND)?, query.own.state);
    guard
        .view(query.as_of, move |reader| {
            let record = reader.load::<GapAssessment>(&selector, query.archived_too)?;
            let id = record.spine.id;
            let framework = reader.library().framework(&record.own.framework)?;
            let mut answered = answered(reader, framework.as_deref(), id, None)?;
            let asked = framework
                .iter()
                .flat_map(|framework| framework.assessable());
            let mut data: Vec<_> = asked
                .map(|one| {
                    answered
                        .remove(&one.id)
                        .map_or_else(|| unanswered(id, one), |(_, answer)| answer)
                })
                .collect();
            data.extend(answered.into_values().map(|(_, answer)| answer));
            data.retain(|answer| state.is_none_or(|state| answer.state == state));
            supported(reader, &record, &mut data)?;
            Answer::of(&GapAnswers { data })
        })
        .await
}

async fn get(
    guard: Guard<Read<GapAssessment>>,
    path: Path<(String, String)>,
    query: ViewQuery,
) -> Result<Answer> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, GapAssessment::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .read(query.as_of, move |reader| {
            let record = reader.load::<GapAssessment>(&selector, query.archived_too)?;
            let id = record.spine.id;
            let framework = reader.library().framework(&record.own.framework)?;
            let stored = answered(reader, framework.as_deref(), id, Some(&requirement))?
                .remove(&requirement)
                .map(|(_, answer)| answer);
            let asked =
                || asks(framework.as_deref(), &requirement).map(|asked| unanswered(id, asked));
            let mut answer = stored
                .or_else(asked)
                .ok_or_else(|| unknown(reader.caller(), &requirement))?;
            supported(reader, &record, [&mut answer])?;
            Ok(Answer::of(&answer)?
                .tagged(answer.tag()?)
                .at(reader.moment.last))
        })
        .await
}

async fn past(
    guard: Guard<Read<GapAssessment>>,
    path: Path<(String, String)>,
    query: HistoryView,
) -> Result<Answer> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, GapAssessment::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .view(query.as_of, move |reader| {
            let record = reader.load::<GapAssessment>(&selector, query.archived_too)?;
            let id = record.spine.id;
            let framework = reader.library().framework(&record.own.framework)?;
            let stored = answered(reader, framework.as_deref(), id, Some(&requirement))?
                .remove(&requirement);
            if stored.is_none() && asks(framework.as_deref(), &requirement).is_none() {
                return Err(unknown(reader.caller(), &requirement));
            }
            let stored = stored.map(|(id, _)| Selector::Id(id));
            Answer::of(&query.history::<GapAnswer>(reader, stored.as_ref())?)
        })
        .await
}

/// 404 for what the framework does not ask for.
pub(crate) fn unknown(caller: &Caller, requirement: &str) -> Problem {
    let near = crate::core::catalogue::no_requirement(requirement, &|slug| {
        crate::records::frameworks::seen(caller, slug)
    });
    Problem::not_found().saying(format!(
        "The assessment has no answer for this requirement: {near}."
    ))
}

/// Puts what controls and evidence say beside the answers.
fn supported<'a>(
    reader: &mut Reader<'_>,
    assessment: &Record<GapAssessment>,
    answers: impl IntoIterator<Item = &'a mut GapAnswerShown>,
) -> Result<()> {
    let scope = match assessment.links.many("scope_ids") {
        [scope] => Some(*scope),
        _ => None,
    };
    let coverage = match coverage::compute(reader, &assessment.own.framework, scope) {
        Ok(coverage) => coverage,
        // The framework was archived, or the key does not see it.
        Err(problem) if problem.is(Code::NotFound) => return Ok(()),
        Err(problem) => return Err(problem),
    };
    let mut covered: BTreeMap<String, coverage::CoverageEntry> = coverage
        .entries
        .into_iter()
        .map(|entry| (entry.requirement.clone(), entry))
        .collect();
    let facts = facts::Facts::of(reader, &[facts::Part::Controls, facts::Part::Evidence])?;
    let seen = Seen::of(reader, Evidence::KIND.name)?;
    let proofs = Proofs::of(&facts, reader, &seen).direct(&seen, None);
    for answer in answers {
        let Some(entry) = covered.remove(&answer.requirement) else {
            continue;
        };
        let current_evidence = proofs
            .get(answer.requirement.as_str())
            .map_or(0, |proofs| Support::of(proofs.iter()).current);
        let said = matches!(answer.state, GapState::Met | GapState::PartiallyMet);
        let unsupported = said && entry.state == CoverageState::NotCovered && current_evidence == 0;
        let suggested_coverage = entry.suggested_state;
        answer.support = Some(GapSupport {
            coverage: entry.state,
            suggested_coverage,
            current_evidence,
            unsupported,
        });
    }
    Ok(())
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/gap-assessments/{id}/answers", list)
        .id("listGapAnswers")
        .says(
            "List the answers of a gap assessment",
            "Each requirement that the framework asks \
            for by itself; where nothing was answered, it is not assessed.",
        )
        .past()
        .query::<GapAnswersQuery>()
        .answers::<GapAnswers>("The answers.");
    api.get("/v1/gap-assessments/{id}/answers/{requirement}", get)
        .id("getGapAnswer")
        .says(
            "Get an answer of a gap assessment",
            "Where nothing was answered: not assessed, and \
            `version` is 0.",
        )
        .past()
        .answers::<GapAnswerShown>("The answer.");
    api.get(
        "/v1/gap-assessments/{id}/answers/{requirement}/history",
        past,
    )
    .id("listGapAnswerHistory")
    .says(
        "List the versions of an answer of a gap assessment",
        "Who answered what and why, \
            newest first; empty where nobody has looked yet.",
    )
    .history()
    .shared("ArchivedToo");
}
