//! How a gap assessment is answered, requirement by requirement, and what controls and evidence say
//! beside it. What was answered stays, though a later revision of the framework is without the
//! requirement.
use crate::access::Actor;
use crate::core::catalogue::{self, Framework, Requirement};
use crate::core::{Id, Instant, Invalid, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::versions as v;
use crate::http::{Answer, Change, Guard, Read, RecordId, ViewQuery};
use crate::records::frameworks::{self, Library};
use crate::records::{Covers, IfMatch, Reader, Record, Resource, Selector, Tx};
use crate::registers::answers::{
    Answers, Asks, Said, Shown, answer_bodies, answered, batch, get, history, put,
};
use crate::registers::gap::GapAssessment;
use crate::registers::gap::answer::{GapAnswer, GapState, GapTarget, gap_answers as ga};
use crate::registers::gap::support::{self, GapSupport};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

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
impl Shown for GapAnswerShown {
    fn id(&self) -> Option<Id> {
        self.id
    }
    fn version(&self) -> (i32, Option<&Actor>) {
        (self.version, self.updated_by.as_ref())
    }
    fn followed(&self) -> Result<String> {
        serde_json::to_string(&self.support).map_err(Problem::internal)
    }
}
/// The answers of an assessment.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapAnswers {
    /// In natural order, each requirement once; then what the framework is without by now.
    #[schema(max_items = 10000)]
    pub data: Vec<GapAnswerShown>,
}

answer_bodies! {
    /// What a client answers.
    #[schema(example = json!({"state": "partially_met", "target_state": "met",
        "due_on": "2027-03-31", "note": "Written, not yet approved."}))]
    GapAnswerInput,
    /// Several answers at once.
    #[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.5.1", "state": "met"}]}))]
    GapAnswerBatch,
    /// One answer of a batch.
    GapAnswerItem {
        /// How far it is met.
        state: GapState,
        /// How far it should be.
        target_state: Option<GapTarget>,
        /// By when.
        due_on: Option<NaiveDate>,
        /// Who answers for it: the id or the code of a person.
        #[schema(min_length = 1, max_length = 64)]
        owner_id: Option<String>,
        /// What was seen, and what is missing; needed where it is not applicable.
        #[schema(max_length = 4000)]
        note: Option<String>,
    }
}
impl Said for GapAnswerInput {
    /// What does not apply needs a reason.
    fn fault(&self, at: &str) -> Option<Invalid> {
        let words = "give a reason why it does not apply";
        let silent = self.note.as_ref().is_none_or(|text| text.trim().is_empty());
        (silent && self.state == GapState::NotApplicable)
            .then(|| Invalid::body(format!("{at}/note"), "required", words))
    }
}

/// Who may change an assessment may answer in it.
impl Covers<GapAnswer> for Change<GapAssessment> {}

/// An assessment, and its framework.
pub struct Assessed {
    record: Record<GapAssessment>,
    framework: Option<Arc<Framework>>,
}
impl Assessed {
    fn of(record: Record<GapAssessment>, mut library: Library<'_>) -> Result<Self> {
        let framework = library.framework(&record.own.framework)?;
        Ok(Assessed { record, framework })
    }
    /// The requirement, where the framework asks for it by itself.
    fn asks(&self, requirement: &str) -> Option<&Requirement> {
        let (slug, reference) = catalogue::parts(requirement)?;
        let framework = self
            .framework
            .as_deref()
            .filter(|framework| framework.slug == slug)?;
        framework
            .requirement(reference)
            .filter(|found| found.assessable)
    }
}

impl Answers for GapAnswer {
    type Of = GapAssessment;
    type Place = Assessed;
    type Read = Read<GapAssessment>;
    type Change = Change<GapAssessment>;
    type Said = GapAnswerInput;
    type Several = GapAnswerBatch;
    type Shown = GapAnswerShown;

    fn open(
        reader: &mut Reader<'_>,
        of: &Selector,
        _: Option<&str>,
        archived_too: bool,
    ) -> Result<Assessed> {
        Assessed::of(reader.load(of, archived_too)?, reader.library())
    }
    fn change(
        tx: &mut Tx<'_, Change<GapAssessment>>,
        of: &Selector,
        _: Option<&str>,
    ) -> Result<Assessed> {
        Assessed::of(tx.load(of, &IfMatch::any())?, tx.library())
    }
    fn standing(reader: &mut Reader<'_>, of: &Assessed, only: Option<&str>) -> Result<Vec<i64>> {
        let own = ga::tenant_id
            .eq(reader.tenant())
            .and(ga::assessment_id.eq(of.record.spine.id));
        let standing = ga::table.inner_join(same_version!(v, ga)).filter(own);
        let mut standing = standing.filter(at(reader.moment.seq)).into_boxed();
        if let Some(requirement) = only {
            standing = standing.filter(ga::requirement.eq(requirement.to_owned()));
        }
        Ok(standing.select(v::from_seq).load(reader.conn())?)
    }
    fn requirement(&self) -> &str {
        &self.requirement
    }
    fn shown(of: &Assessed, requirement: &str, record: Option<&Record<Self>>) -> GapAnswerShown {
        let (own, spine) = (
            record.map(|record| &record.own),
            record.map(|record| &record.spine),
        );
        let asked = of.asks(requirement);
        GapAnswerShown {
            id: spine.map(|spine| spine.id),
            code: spine.map(|spine| spine.code.clone()),
            owner_id: record.and_then(|record| record.links.one("owner_id")),
            support: None,
            assessment_id: of.record.spine.id,
            requirement: requirement.to_owned(),
            title: asked.map(|found| found.title.clone()),
            in_framework: asked.is_some(),
            state: own.map_or(GapState::NotAssessed, |own| own.state),
            target_state: own.and_then(|own| own.target_state),
            due_on: record.and_then(|record| record.common.due_on),
            note: own.and_then(|own| own.note.clone()),
            version: spine.map_or(0, |spine| spine.version),
            updated_at: spine.map(|spine| spine.updated_at),
            updated_by: spine.map(|spine| spine.updated_by.clone()),
        }
    }
    fn asked(reader: &mut Reader<'_>, of: &Assessed, requirement: &str) -> Result<()> {
        let seen = |slug: &str| frameworks::seen(reader.caller(), slug);
        let unknown = || {
            let near = catalogue::no_requirement(requirement, &seen);
            let words = format!("The assessment has no answer for this requirement: {near}.");
            Problem::not_found().saying(words)
        };
        of.asks(requirement).map(drop).ok_or_else(unknown)
    }
    fn all_asked<'p>(
        _: &mut Reader<'_>,
        of: &'p Assessed,
        stored: &'p BTreeMap<String, GapAnswerShown>,
    ) -> Result<Asks<'p>> {
        Ok(Box::new(|id| {
            stored.contains_key(id) || of.asks(id).is_some()
        }))
    }
    fn follow(
        reader: &mut Reader<'_>,
        of: &Assessed,
        answers: &mut [GapAnswerShown],
        written: bool,
    ) -> Result<()> {
        if written {
            return Ok(());
        }
        let said: Vec<_> = answers
            .iter()
            .map(|one| (one.requirement.as_str(), one.state))
            .collect();
        let mut all = support::of(reader, &of.record, &said)?;
        answers
            .iter_mut()
            .for_each(|one| one.support = all.remove(&one.requirement));
        Ok(())
    }
    /// It belongs to the scopes of its assessment.
    fn record(
        of: &Assessed,
        requirement: String,
        said: GapAnswerInput,
    ) -> (Self, Map<String, Value>) {
        let beside = [
            ("scope_ids", json!(of.record.links.many("scope_ids"))),
            ("due_on", json!(said.due_on)),
            ("owner_id", json!(said.owner_id)),
        ];
        let own = GapAnswer {
            assessment_id: of.record.spine.id,
            requirement,
            state: said.state,
            target_state: said.target_state,
            note: said.note,
        };
        (
            own,
            beside
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
        )
    }
    fn list(data: Vec<GapAnswerShown>) -> Result<Answer> {
        Answer::of(&GapAnswers { data })
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
    at: RecordId,
    query: ViewQuery<GapAnswersQuery>,
) -> Result<Answer> {
    let (selector, state) = (at.of(&GapAssessment::KIND)?, query.own.state);
    guard
        .view(query.as_of, move |reader| {
            let of = GapAnswer::open(reader, &selector, None, query.archived_too)?;
            let mut answered = answered::<GapAnswer>(reader, &of, None)?;
            let asked = of
                .framework
                .iter()
                .flat_map(|framework| framework.assessable());
            let given = |one: &Requirement| {
                let answer = answered.remove(&one.id);
                answer.unwrap_or_else(|| GapAnswer::shown(&of, &one.id, None))
            };
            let mut data: Vec<_> = asked.map(given).collect();
            data.extend(answered.into_values());
            data.retain(|answer| state.is_none_or(|state| answer.state == state));
            GapAnswer::follow(reader, &of, &mut data, false)?;
            GapAnswer::list(data)
        })
        .await
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
    api.get(
        "/v1/gap-assessments/{id}/answers/{requirement}",
        get::<GapAnswer>,
    )
    .id("getGapAnswer")
    .says(
        "Get an answer of a gap assessment",
        "Where nothing was answered: not assessed, and \
            `version` is 0.",
    )
    .past()
    .answers::<GapAnswerShown>("The answer.");
    let versions = "/v1/gap-assessments/{id}/answers/{requirement}/history";
    api.get(versions, history::<GapAnswer>)
        .id("listGapAnswerHistory")
        .says(
            "List the versions of an answer of a gap assessment",
            "Who answered what and why, \
            newest first; empty where nobody has looked yet.",
        )
        .history()
        .shared("ArchivedToo");
    api.post("/v1/gap-assessments/{id}/answers/batch", batch::<GapAnswer>)
        .id("batchGapAnswers")
        .says(
            "Answer for several requirements in a gap assessment",
            "All answers are given, or \
            none; each is one entry of the ledger.",
        )
        .retried()
        .body::<GapAnswerBatch>()
        .answers::<GapAnswers>("The answers, in the same order.");
    api.put(
        "/v1/gap-assessments/{id}/answers/{requirement}",
        put::<GapAnswer>,
    )
    .id("putGapAnswer")
    .says(
        "Answer for a requirement in a gap assessment",
        "Replaces the answer. The first one \
            is given with `If-Match: \"0\"` or `*`.",
    )
    .versioned("IfMatch")
    .body::<GapAnswerInput>()
    .answers::<GapAnswerShown>("The answer.");
}
