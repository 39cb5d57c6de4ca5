//! How a gap assessment is answered: one requirement, or several at once.
use super::answers::{GapAnswer, GapAnswerShown, GapAnswers, GapState, answered, asks, shown};
use super::gap::GapAssessment;
use crate::core::catalogue::Framework;
use crate::core::{Id, Invalid, Problem, Result};
use crate::db::dialect::NOW;
use crate::http::describe::{Preconditions, Rejections};
use crate::http::{Answer, At, Change, Guard, Input, input};
use crate::ledger::Recorded;
use crate::records::frameworks::Library;
use crate::records::{Covers, Draft, Known, Record, Resource, Selector, Tx, read_part};
use actix_web::{HttpRequest, post, put, web::Path};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// Who may change an assessment may answer in it.
impl Covers<GapAnswer> for Change<GapAssessment> {}

/// What a client answers.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "partially_met", "target_state": "met", "due_on": "2027-03-31", "note": "Written, not yet approved."}))]
pub struct GapAnswerInput {
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapState>,
    /// By when.
    pub due_on: Option<NaiveDate>,
    /// What was seen, and what is missing; needed where it is not applicable.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}
impl GapAnswerInput {
    fn faults(&self, at: &str) -> Vec<Invalid> {
        let silent = self.state == GapState::NotApplicable && self.note.as_deref().is_none_or(|text| text.trim().is_empty());
        let aimless = self.target_state == Some(GapState::NotAssessed);
        let silent = silent.then(|| Invalid::body(format!("{at}/note"), "required", "what does not apply needs a reason"));
        let aimless = aimless.then(|| Invalid::body(format!("{at}/target_state"), "invalid", "that is nothing to aim for"));
        silent.into_iter().chain(aimless).collect()
    }
}
/// Several answers at once.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.5.1", "state": "met"}]}))]
pub struct GapAnswerBatch {
    /// Up to 1,000; all are made, or none.
    #[validate(length(min = 1, max = 1000), nested)]
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<GapAnswerItem>,
}
/// One answer of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAnswerItem {
    /// The requirement.
    #[validate(length(min = 1, max = 120))]
    #[schema(min_length = 1, max_length = 120)]
    pub requirement: String,
    /// The version that was read; when sent, it has to match.
    #[validate(range(min = 0))]
    #[schema(minimum = 0)]
    pub if_match: Option<i32>,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapState>,
    /// By when.
    pub due_on: Option<NaiveDate>,
    /// What was seen, and what is missing; needed where it is not applicable.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}

/// Answer for a requirement in a gap assessment
///
/// Replaces the answer. The first one is given with `If-Match: "0"` or `*`.
#[utoipa::path(operation_id = "putGapAnswer", tag = "gap-assessments", security(("bearer" = [])), request_body = GapAnswerInput,
    params(("id" = String, Path, description = "The gap assessment: its id or its code.", max_length = 64), ("requirement" = String, Path, description = "The requirement.", max_length = 120, example = "iso-27001-2022:A.5.1"),
        ("If-Match" = String, Header, description = "The ETag that was read, `\"0\"` for the first answer, or `*`.", max_length = 255),
        ("Change-Reason" = Option<String>, Header, description = "Why, percent-encoded UTF-8.", max_length = 6000)),
    responses((status = 200, description = "The answer.", body = GapAnswerShown), Rejections, Preconditions))]
#[put("/v1/gap-assessments/{id}/answers/{requirement}")]
pub async fn put(
    guard: Guard<Change<GapAssessment>>,
    path: Path<(String, String)>,
    known: Known,
    request: HttpRequest,
    input: Input,
) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, GapAssessment::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .effect(&[], move |tx| {
            let (assessment, framework) = assessed(tx, &selector)?;
            let stored = answered(&mut tx.reader(), framework.as_deref(), assessment.spine.id, Some(&requirement))?.remove(&requirement);
            if stored.is_none() && asks(framework.as_deref(), &requirement).is_none() {
                return Err(Problem::not_found());
            }
            known.check(stored.as_ref().map_or(0, |(_, answer)| answer.version))?;
            let said: GapAnswerInput = read_part(input.members())?;
            let faults = said.faults("");
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let made = answer(tx, &assessment, framework.as_deref(), &requirement, stored.map(|(id, _)| id), &said)?;
            made.try_map(|answer| Ok(Answer::of(&answer)?.tagged(format!("\"{}\"", answer.version))))
        })
        .await
}

/// Answer for several requirements in a gap assessment
///
/// All answers are given, or none; each is one entry of the ledger.
#[utoipa::path(operation_id = "batchGapAnswers", tag = "gap-assessments", security(("bearer" = [])), request_body = GapAnswerBatch,
    params(("id" = String, Path, description = "The gap assessment: its id or its code.", max_length = 64), crate::http::document::Retried),
    responses((status = 200, description = "The answers, in the same order.", body = GapAnswers), Rejections))]
#[post("/v1/gap-assessments/{id}/answers/batch")]
pub async fn batch(guard: Guard<Change<GapAssessment>>, at: At, request: HttpRequest, input: Input) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (selector, body) = (at.of(&GapAssessment::KIND)?, input.clone());
    guard
        .write(&input, move |tx| {
            let (assessment, framework) = assessed(tx, &selector)?;
            let said: GapAnswerBatch = read_part(body.members())?;
            let stored = answered(&mut tx.reader(), framework.as_deref(), assessment.spine.id, None)?;
            let (mut faults, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
            for (n, item) in said.items.iter().enumerate() {
                let (at, before) = (format!("/items/{n}"), stored.get(&item.requirement));
                faults.extend(item.said().faults(&at));
                if before.is_none() && asks(framework.as_deref(), &item.requirement).is_none() {
                    faults.push(Invalid::body(format!("{at}/requirement"), "unknown_reference", "there is no such requirement"));
                }
                if !seen.insert(item.requirement.as_str()) {
                    faults.push(Invalid::body(format!("{at}/requirement"), "twice", "stands in this batch twice"));
                }
                let version = before.map_or(0, |(_, answer)| answer.version);
                if item.if_match.is_some_and(|known| known != version) {
                    faults.push(Invalid::body(format!("{at}/if_match"), "version_mismatch", format!("it is at version {version} now")));
                }
            }
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let (mut data, mut last) = (Vec::with_capacity(said.items.len()), None);
            for item in &said.items {
                let before = stored.get(&item.requirement).map(|(id, _)| *id);
                let made = answer(tx, &assessment, framework.as_deref(), &item.requirement, before, &item.said())?;
                data.push(made.get().clone());
                last = Some(made);
            }
            let answer = Answer::of(&GapAnswers { data })?;
            Ok(last.ok_or_else(|| Problem::internal("an empty batch"))?.map(|_| answer))
        })
        .await
}
impl GapAnswerItem {
    fn said(&self) -> GapAnswerInput {
        GapAnswerInput { state: self.state, target_state: self.target_state, due_on: self.due_on, note: self.note.clone() }
    }
}

type Writing<'a> = Tx<'a, Change<GapAssessment>>;
type Assessed = (Record<GapAssessment>, Option<std::sync::Arc<Framework>>);

/// The assessment, for those who may change it, and its framework.
fn assessed(tx: &mut Writing<'_>, selector: &Selector) -> Result<Assessed> {
    let assessment = tx.load::<GapAssessment>(selector, &Known::any())?;
    let tenant = tx.caller().tenant;
    let framework = Library::new(tx.conn(), tenant, NOW).framework(&assessment.own.framework)?;
    Ok((assessment, framework))
}

/// Stores one answer; one that changes nothing leaves it as it is. It belongs to the scopes of its assessment.
fn answer(
    tx: &mut Writing<'_>,
    assessment: &Record<GapAssessment>,
    framework: Option<&Framework>,
    requirement: &str,
    stored: Option<Id>,
    said: &GapAnswerInput,
) -> Result<Recorded<GapAnswerShown>> {
    let scopes = assessment.links.many("scope_ids");
    let own = json!({"assessment_id": assessment.spine.id, "requirement": requirement, "state": said.state, "target_state": said.target_state, "note": said.note});
    let recorded = match stored {
        Some(id) => {
            let before = tx.reader().load::<GapAnswer>(&Selector::Id(id), false)?;
            let mut record = before.clone();
            record.own = serde_json::from_value(own).map_err(Problem::internal)?;
            record.common.due_on = said.due_on;
            record.links.set("scope_ids", scopes.to_vec());
            if record.body()? == before.body()? { tx.kept(before)? } else { tx.save(&before, record, "update")? }
        }
        None => {
            let mut body: Map<String, Value> = serde_json::from_value(own).map_err(Problem::internal)?;
            body.extend([
                ("name".to_owned(), json!(requirement)),
                ("scope_ids".into(), json!(scopes)),
                ("due_on".into(), json!(said.due_on)),
            ]);
            tx.create(Draft::<GapAnswer>::read(body)?)?
        }
    };
    let shown = shown(recorded.get(), framework);
    Ok(recorded.map(|_| shown))
}
