//! How a gap assessment is answered: one requirement, or several at once.
use crate::core::catalogue::Framework;
use crate::core::{Id, Invalid, Problem, Result};
use crate::http::{Answer, At, Change, Guard, Input};
use crate::ledger::Recorded;
use crate::records::{About, Covers, Known, Record, Resource, Selector, Tx, about};
use crate::registers::gap::GapAssessment;
use crate::registers::gap::answers::{
    GapAnswer, GapAnswerShown, GapAnswers, GapState, GapTarget, answered, asks, shown, unknown,
};
use actix_web::web::Path;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use validator::Validate;

/// Who may change an assessment may answer in it.
impl Covers<GapAnswer> for Change<GapAssessment> {}

/// What a client answers.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "partially_met", "target_state": "met", "due_on": "2027-03-31",
    "note": "Written, not yet approved."}))]
pub struct GapAnswerInput {
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapTarget>,
    /// By when.
    pub due_on: Option<NaiveDate>,
    /// Who answers for it: the id or the code of a person.
    #[schema(min_length = 1, max_length = 64)]
    pub owner_id: Option<String>,
    /// What was seen, and what is missing; needed where it is not applicable.
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}
/// What does not apply needs a reason.
fn unexplained(state: GapState, note: Option<&str>, at: &str) -> Option<Invalid> {
    let silent = state == GapState::NotApplicable && note.is_none_or(|text| text.trim().is_empty());
    silent.then(|| {
        Invalid::body(
            format!("{at}/note"),
            "required",
            "give a reason why it does not apply",
        )
    })
}
/// Several answers at once.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.5.1", "state": "met"}]}))]
pub struct GapAnswerBatch {
    /// Up to 1,000; all are made, or none.
    #[validate(nested)]
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<GapAnswerItem>,
}
/// One answer of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAnswerItem {
    /// The requirement.
    #[schema(min_length = 1, max_length = 120)]
    pub requirement: String,
    /// The version that was read; when sent, it has to match.
    #[schema(minimum = 0)]
    pub if_match: Option<i32>,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapTarget>,
    /// By when.
    pub due_on: Option<NaiveDate>,
    /// Who answers for it: the id or the code of a person.
    #[schema(min_length = 1, max_length = 64)]
    pub owner_id: Option<String>,
    /// What was seen, and what is missing; needed where it is not applicable.
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}

async fn put(
    guard: Guard<Change<GapAssessment>>,
    path: Path<(String, String)>,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, &GapAssessment::KIND).ok_or_else(Problem::not_found)?;
    let said = input.read::<GapAnswerInput>();
    guard
        .effect(&[], move |tx| {
            let (assessment, framework) = assessed(tx, &selector)?;
            let stored = answered(
                &mut tx.reader(),
                framework.as_deref(),
                assessment.spine.id,
                Some(&requirement),
            )?
            .remove(&requirement);
            if stored.is_none() && asks(framework.as_deref(), &requirement).is_none() {
                return Err(unknown(tx.caller(), &requirement));
            }
            known.check(stored.as_ref().map_or(0, |(_, answer)| answer.version))?;
            let said = said?;
            if let Some(fault) = unexplained(said.state, said.note.as_deref(), "") {
                return Err(Problem::invalid(vec![fault]));
            }
            let GapAnswerInput {
                state,
                target_state,
                due_on,
                owner_id,
                note,
            } = said;
            let own = GapAnswer {
                assessment_id: assessment.spine.id,
                requirement,
                state,
                target_state,
                note,
            };
            let made = answer(
                tx,
                &assessment,
                framework.as_deref(),
                stored.map(|(id, _)| id),
                own,
                (due_on, owner_id),
            )?;
            made.try_map(|answer| Ok(Answer::of(&answer)?.tagged(answer.tag()?)))
        })
        .await
}

async fn batch(guard: Guard<Change<GapAssessment>>, at: At, input: Input) -> Result<Answer> {
    let (selector, said) = (
        at.of(&GapAssessment::KIND)?,
        input.clone().read::<GapAnswerBatch>(),
    );
    guard
        .write(&input, move |tx| {
            let (assessment, framework) = assessed(tx, &selector)?;
            let said = said?;
            let stored = answered(
                &mut tx.reader(),
                framework.as_deref(),
                assessment.spine.id,
                None,
            )?;
            let asked =
                |id: &str| stored.contains_key(id) || asks(framework.as_deref(), id).is_some();
            let version = |id: &str| stored.get(id).map_or(0, |(_, answer)| answer.version);
            let faults = about::faults(tx.caller(), &said.items, asked, version);
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let made = tx.say_all(&said.items, |tx, item| {
                let GapAnswerItem {
                    requirement,
                    state,
                    target_state,
                    due_on,
                    owner_id,
                    note,
                    ..
                } = item.clone();
                let before = stored.get(&requirement).map(|(id, _)| *id);
                let own = GapAnswer {
                    assessment_id: assessment.spine.id,
                    requirement,
                    state,
                    target_state,
                    note,
                };
                answer(
                    tx,
                    &assessment,
                    framework.as_deref(),
                    before,
                    own,
                    (due_on, owner_id),
                )
            })?;
            made.try_map(|data| Answer::of(&GapAnswers { data }))
        })
        .await
}
impl About for GapAnswerItem {
    fn requirement(&self) -> &str {
        &self.requirement
    }
    fn if_match(&self) -> Option<i32> {
        self.if_match
    }
    fn faults(&self, at: &str) -> Vec<Invalid> {
        Vec::from_iter(unexplained(self.state, self.note.as_deref(), at))
    }
}

type Writing<'a> = Tx<'a, Change<GapAssessment>>;
type Assessed = (Record<GapAssessment>, Option<std::sync::Arc<Framework>>);

/// The assessment, for those who may change it, and its framework.
fn assessed(tx: &mut Writing<'_>, selector: &Selector) -> Result<Assessed> {
    let assessment = tx.load::<GapAssessment>(selector, &Known::any())?;
    let framework = tx.library().framework(&assessment.own.framework)?;
    Ok((assessment, framework))
}

/// Stores one answer. It belongs to the scopes of its assessment.
fn answer(
    tx: &mut Writing<'_>,
    assessment: &Record<GapAssessment>,
    framework: Option<&Framework>,
    stored: Option<Id>,
    own: GapAnswer,
    (due_on, owner): (Option<NaiveDate>, Option<String>),
) -> Result<Recorded<GapAnswerShown>> {
    let (requirement, scopes) = (own.requirement.clone(), assessment.links.many("scope_ids"));
    let beside = [
        ("scope_ids", json!(scopes)),
        ("due_on", json!(due_on)),
        ("owner_id", json!(owner)),
    ];
    let beside = beside
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Ok(tx
        .say(stored, &requirement, own, beside)?
        .map(|record| shown(&record, framework)))
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/gap-assessments/{id}/answers/batch", batch)
        .id("batchGapAnswers")
        .says(
            "Answer for several requirements in a gap assessment",
            "All answers are given, or \
            none; each is one entry of the ledger.",
        )
        .retried()
        .body::<GapAnswerBatch>()
        .answers::<GapAnswers>("The answers, in the same order.");
    api.put("/v1/gap-assessments/{id}/answers/{requirement}", put)
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
