//! Risk assessments (ISO/IEC 27001:2022 6.1.2, 8.2): each scores a risk under the methodology in force and is an entry of the risk's history,
//! with its rationale; so there is a trend, and no second table of it.
use super::methodology::{self, RiskMethodology};
use super::risk::{Risk, RiskScore};
use crate::access::Actor;
use crate::core::{Code, Id, Instant, Invalid, Problem, Result};
use crate::db::schema::ledger_entries as e;
use crate::http::describe::{Refusals, Rejections};
use crate::http::{Answer, Assess, At, Guard, Input, Read, Then, input};
use crate::records::history::{self, Entry};
use crate::records::{Known, Record, Resource};
use actix_web::{HttpRequest, get, http::StatusCode, post};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// Before controls, or with those that are in place.
    pub enum Stage { Inherent, Current }
}
/// An assessment to come.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stage": "current", "likelihood": 4, "impact": 5, "rationale": "Two attempts last year; no second factor yet."}))]
pub struct AssessmentInput {
    /// Before controls, or with those that are in place.
    pub stage: Stage,
    /// How likely, on the methodology's scale.
    #[validate(range(min = 1, max = 10))]
    #[schema(minimum = 1, maximum = 10)]
    pub likelihood: i32,
    /// How bad, on the methodology's scale; or `impacts`.
    #[validate(range(min = 1, max = 10))]
    #[schema(minimum = 1, maximum = 10)]
    pub impact: Option<i32>,
    /// How bad in each of the methodology's dimensions; the highest counts.
    pub impacts: Option<BTreeMap<String, i32>>,
    /// Why so; it stands in the history.
    #[validate(length(min = 1, max = 2000), custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 2000)]
    pub rationale: String,
}

/// An assessment that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessment {
    /// The risk.
    pub risk_id: Id,
    /// Before controls, or with those that were in place.
    pub stage: Stage,
    /// Why so.
    #[schema(max_length = 2500)]
    pub rationale: String,
    /// The score.
    #[serde(flatten)]
    pub score: RiskScore,
    /// The risk's version that it made.
    #[schema(minimum = 1)]
    pub version: i32,
    /// Its position in the organization's ledger.
    #[schema(minimum = 0)]
    pub seq: i64,
}
/// The assessments of a risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessments {
    /// Newest first.
    #[schema(max_items = 100000)]
    pub data: Vec<Assessment>,
}

/// Pure: the score of an assessment under a methodology; every fault is named.
fn scored(said: &AssessmentInput, method: &Record<RiskMethodology>, at: Instant, by: Actor) -> Result<RiskScore> {
    let (own, mut faults) = (&method.own, Vec::new());
    let most = |scale: &[methodology::Step]| i32::try_from(scale.len()).unwrap_or(10);
    let (likelihoods, impacts) = (most(&own.likelihood_scale), most(&own.impact_scale));
    if !(1..=likelihoods).contains(&said.likelihood) {
        faults.push(Invalid::body("/likelihood", "range", format!("1 to {likelihoods}")));
    }
    let dimensions = said.impacts.iter().flatten();
    for (name, value) in dimensions.clone() {
        let at = format!("/impacts/{name}");
        match own.impact_dimensions.contains(name) {
            false => faults.push(Invalid::body(at, "unknown_dimension", "the methodology has no such dimension")),
            true if !(1..=impacts).contains(value) => faults.push(Invalid::body(at, "range", format!("1 to {impacts}"))),
            true => {}
        }
    }
    let impact = match (said.impact, dimensions.map(|(_, value)| *value).max()) {
        (Some(_), Some(_)) => Err(Invalid::body("/impacts", "either", "either impact or impacts is given")),
        (Some(impact), None) if !(1..=impacts).contains(&impact) => Err(Invalid::body("/impact", "range", format!("1 to {impacts}"))),
        (Some(impact), None) | (None, Some(impact)) => Ok(impact),
        (None, None) => Err(Invalid::body("/impact", "required", "is needed, or impacts by dimension")),
    };
    let impact = impact.map_err(|fault| faults.push(fault)).unwrap_or_default();
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let score =
        score(method, (said.likelihood, impact), (at, by)).ok_or_else(|| Problem::internal("a methodology without a level for a pair"))?;
    Ok(RiskScore { impacts: said.impacts.clone().filter(|all| !all.is_empty()), ..score })
}

/// Pure: the score of a pair under a methodology; `None` outside of its scales.
pub fn score(method: &Record<RiskMethodology>, (likelihood, impact): (i32, i32), (at, by): (Instant, Actor)) -> Option<RiskScore> {
    let level = method.own.level(likelihood, impact)?;
    Some(RiskScore {
        likelihood,
        impact,
        impacts: None,
        score: likelihood * impact,
        level: level.slug.clone(),
        level_rank: method.own.rank(&level.slug),
        acceptable: level.acceptable,
        methodology_id: method.spine.id,
        methodology_revision: method.state.revision,
        assessed_at: at,
        assessed_by: by,
    })
}

/// Assess a risk
///
/// Scores it under the methodology in force. The level is computed; the risk's version grows by one.
#[utoipa::path(operation_id = "createRiskAssessment", tag = "risks", security(("bearer" = [])), request_body = AssessmentInput,
    params(("id" = String, Path, description = "The risk: its id or its code.", max_length = 64), crate::http::document::MayMatch),
    responses((status = 201, description = "The assessment.", body = Assessment), Rejections))]
#[post("/v1/risks/{id}/assessments")]
pub async fn assess(guard: Guard<Assess<Risk>>, at: At, known: Known, input: Input) -> Result<Answer> {
    input::no_parameters(guard.request())?;
    let (selector, body) = (at.of(&Risk::KIND)?, input.clone());
    let known = known.or_any();
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<Risk>(&selector, &known)?;
            let said: AssessmentInput = body.read()?;
            Risk::changeable(&stored)?;
            let none = || Problem::new(Code::IllegalTransition, "No risk methodology is in force; approve one first.");
            let method = methodology::in_force(&mut tx.reader())?.ok_or_else(none)?;
            let at = tx.now().max(stored.spine.updated_at.plus_millis(1));
            let score = scored(&said, &method, at, tx.caller().actor.clone())?;
            let mut record = stored.clone();
            let place = match said.stage {
                Stage::Inherent => &mut record.state.inherent,
                Stage::Current => &mut record.state.current,
            };
            *place = Some(score.clone());
            tx.because(Some(said.rationale.clone()));
            let saved = tx.save(&stored, record, "assess")?;
            let seq = tx.position();
            let shown = tx.shown(saved)?;
            let (risk_id, version, etag) = (stored.spine.id, stored.spine.version + 1, shown.get().etag.clone());
            let made = Assessment { risk_id, stage: said.stage, rationale: said.rationale, score, version, seq };
            let answer =
                Answer { status: StatusCode::CREATED, location: Some(format!("/v1/risks/{risk_id}/assessments")), ..Answer::of(&made)? };
            Ok(shown.map(|_| answer.tagged(etag)))
        })
        .await
}

/// List the assessments of a risk
///
/// Newest first: how the risk was scored over time, by whom and why.
#[utoipa::path(operation_id = "listRiskAssessments", tag = "risks", security(("bearer" = [])),
    params(("id" = String, Path, description = "The risk: its id or its code.", max_length = 64), crate::http::document::Past),
    responses((status = 200, description = "The assessments.", body = Assessments), crate::http::describe::Unchanged, Refusals))]
#[get("/v1/risks/{id}/assessments")]
pub async fn assessments(guard: Guard<Read<Risk>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (then, selector) = (Then::read(&request, &[])?, at.of(&Risk::KIND)?);
    guard
        .view(then.as_of, move |reader| {
            let id = reader.row::<Risk>(&selector, then.archived_too)?.id;
            let of_it = e::table.filter(e::tenant_id.eq(reader.tenant()).and(e::record_id.eq(id)).and(e::seq.le(reader.moment.seq)));
            let mut entries: Vec<Entry> =
                of_it.filter(e::action.eq("assess")).order(e::seq.desc()).select(Entry::as_select()).load(reader.conn())?;
            history::name(reader, &mut entries)?;
            Answer::of(&Assessments { data: entries.into_iter().map(|entry| made(id, entry)).collect::<Result<_>>()? })
        })
        .await
}

/// The assessment that an entry made: the newest score of its image.
fn made(risk_id: Id, entry: Entry) -> Result<Assessment> {
    let scores = entry.record::<Risk>()?.state;
    let (inherent, current) = (scores.inherent.map(|s| (Stage::Inherent, s)), scores.current.map(|s| (Stage::Current, s)));
    let newest = inherent.into_iter().chain(current).max_by_key(|(_, score)| score.assessed_at);
    let (stage, score) = newest.ok_or_else(|| Problem::internal("an assessment without a score"))?;
    Ok(Assessment { risk_id, stage, rationale: entry.reason.unwrap_or_default(), score, version: entry.record_version, seq: entry.seq })
}
