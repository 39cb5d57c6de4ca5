//! The steps of a methodology's life, as clients take them: asked for, approved in the place of
//! another, revised, retired.
use crate::core::{Problem, Result};
use crate::http::describe::{Changed, Found, Refusals};
use crate::http::handlers::Comment;
use crate::http::{
    Answer, Approve, At, Because, Guard, Input, Read, Retire, Return, Revise, Submit, transit,
};
use crate::records::{Known, Record, Resource, Tx, Writing};
use crate::registers::methodology::RiskMethodology;
use crate::registers::methodology::in_force;
use crate::registers::methodology::in_force::Approval;
use crate::registers::revision;
use actix_web::{HttpRequest, get, post};

/// Ask for approval of a risk methodology
///
/// The draft goes into review; another person approves it. A matrix that falls, or in which
/// everything is acceptable, is refused.
#[utoipa::path(operation_id = "submitRiskMethodology", tag = "risk-methodologies",
    security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<RiskMethodology>),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/risk-methodologies/{id}/submit")]
pub async fn submit(
    guard: Guard<Submit<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::submit_with(guard, at, known, input, sound).await
}
/// What was written under older rules is checked again before it is put to use.
fn sound(_: &mut Writing<'_>, record: &Record<RiskMethodology>) -> Result<()> {
    let faults = record.own.faults();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(faults))
    }
}

/// Approve a risk methodology
///
/// Puts the revision in force for new scores: those of risks in its scopes, or without scopes those
/// of the whole organization; a scope's own comes first. Old scores keep theirs. Where another one
/// is in force for the same scopes, `replaces` names it, and it is retired in the same step (409
/// otherwise). Whoever submitted it cannot approve it.
#[utoipa::path(operation_id = "approveRiskMethodology", tag = "risk-methodologies",
    security(("bearer" = [])), request_body = Option<Approval>, responses(Changed<RiskMethodology>),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), crate::http::document::Decided))]
#[post("/v1/risk-methodologies/{id}/approve")]
pub async fn approve(
    guard: Guard<Approve<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let enters = |tx: &mut Tx<'_, Approve<RiskMethodology>>,
                  record: &mut Record<RiskMethodology>,
                  said: Approval| {
        sound(tx, record)?;
        in_force::replace(tx, record, said.replaces.as_deref())
    };
    revision::approve_with(guard, at, known, input, enters).await
}

/// Retire a risk methodology
///
/// It is out of force for good: what it scored keeps its scores, and acceptances that were signed
/// under it lapse. 409 while assessed risks would be left without a methodology; approve another
/// one with `replaces` instead.
#[utoipa::path(operation_id = "retireRiskMethodology", tag = "risk-methodologies",
    security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<RiskMethodology>),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/risk-methodologies/{id}/retire")]
pub async fn retire(
    guard: Guard<Retire<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let out = |tx: &mut Tx<'_, Retire<RiskMethodology>>,
               record: &mut Record<RiskMethodology>,
               _: Comment| in_force::retire(tx, record);
    transit::transit(guard, (at, known, input), "retire", transit::anyone, out).await
}

/// Return a risk methodology
///
/// Sends it back to draft, with the reason.
#[utoipa::path(operation_id = "returnRiskMethodology", tag = "risk-methodologies",
    security(("bearer" = [])), request_body = Because, responses(Changed<RiskMethodology>),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/risk-methodologies/{id}/return")]
pub async fn return_methodology(
    guard: Guard<Return<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::return_to_draft(guard, at, known, input).await
}

/// Revise a risk methodology
///
/// Opens the next revision as a draft; the one in force stays.
#[utoipa::path(operation_id = "reviseRiskMethodology", tag = "risk-methodologies",
    security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<RiskMethodology>),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/risk-methodologies/{id}/revise")]
pub async fn revise(
    guard: Guard<Revise<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::revise(guard, at, known, input).await
}

/// List the revisions of a risk methodology
///
/// What was approved, newest first.
#[utoipa::path(operation_id = "listRiskMethodologyRevisions", tag = "risk-methodologies",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), crate::http::document::Past),
    responses((status = 200, description = "The revisions.", body = revision::Revisions),
        crate::http::describe::Unchanged, Refusals))]
#[get("/v1/risk-methodologies/{id}/revisions")]
pub async fn revisions(
    guard: Guard<Read<RiskMethodology>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    revision::list(guard, at, request).await
}

/// Get a revision of a risk methodology
///
/// The methodology as it was approved.
#[utoipa::path(operation_id = "getRiskMethodologyRevision", tag = "risk-methodologies",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The methodology: its id or its code.",
        max_length = 64), ("n" = i32, Path, description = "The revision.", minimum = 1),
            crate::http::document::Past),
    responses(Found<RiskMethodology>))]
#[get("/v1/risk-methodologies/{id}/revisions/{n}")]
pub async fn revision_of(
    guard: Guard<Read<RiskMethodology>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    revision::get(guard, at, request).await
}

/// Mounts what is particular to methodologies.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.service(submit);
    api.service(approve);
    api.service(return_methodology);
    api.service(revise);
    api.service(retire);
    api.service(revisions);
    api.service(revision_of);
}
