//! The steps of a methodology's life, as clients take them: asked for, approved in the place of
//! another, revised, retired.
use crate::core::{Problem, Result};
use crate::http::handlers::Comment;
use crate::http::{
    Answer, Approve, At, Because, Guard, Input, Read, Retire, Return, Revise, Submit, transit,
};
use crate::records::{Known, Record, Resource, Tx, Writing};
use crate::registers::methodology::RiskMethodology;
use crate::registers::methodology::in_force;
use crate::registers::methodology::in_force::Approval;
use crate::registers::revision;
use actix_web::HttpRequest;
use utoipa::ToSchema;

async fn submit(
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

async fn approve(
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

async fn retire(
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

async fn return_methodology(
    guard: Guard<Return<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::return_to_draft(guard, at, known, input).await
}

async fn revise(
    guard: Guard<Revise<RiskMethodology>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::revise(guard, at, known, input).await
}

async fn revisions(
    guard: Guard<Read<RiskMethodology>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    revision::list(guard, at, request).await
}

async fn revision_of(
    guard: Guard<Read<RiskMethodology>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    revision::get(guard, at, request).await
}

/// Mounts what is particular to methodologies.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.post("/v1/risk-methodologies/{id}/submit", submit)
        .id("submitRiskMethodology")
        .says(
            "Ask for approval of a risk methodology",
            "The draft goes into review; another \
            person approves it. A matrix that falls, or in which everything is acceptable, is \
            refused.",
        )
        .changes::<RiskMethodology>()
        .body::<Comment>()
        .optional();
    api.post("/v1/risk-methodologies/{id}/approve", approve)
        .id("approveRiskMethodology")
        .says(
            "Approve a risk methodology",
            "Puts the revision in force for new scores: those of \
            risks in its scopes, or without scopes those of the whole organization; a scope's own \
            comes first. Old scores keep theirs. Where another one is in force for the same \
            scopes, `replaces` names it, and it is retired in the same step (409 otherwise). \
            Whoever submitted it cannot approve it.",
        )
        .decides::<RiskMethodology>()
        .body::<Approval>()
        .optional();
    api.post("/v1/risk-methodologies/{id}/return", return_methodology)
        .id("returnRiskMethodology")
        .says(
            "Return a risk methodology",
            "Sends it back to draft, with the reason.",
        )
        .changes::<RiskMethodology>()
        .body::<Because>();
    api.post("/v1/risk-methodologies/{id}/revise", revise)
        .id("reviseRiskMethodology")
        .says(
            "Revise a risk methodology",
            "Opens the next revision as a draft; the one in force \
            stays.",
        )
        .changes::<RiskMethodology>()
        .body::<Comment>()
        .optional();
    api.post("/v1/risk-methodologies/{id}/retire", retire)
        .id("retireRiskMethodology")
        .says(
            "Retire a risk methodology",
            "It is out of force for good: what it scored keeps its \
            scores, and acceptances that were signed under it lapse. 409 while assessed risks \
            would be left without a methodology; approve another one with `replaces` instead.",
        )
        .changes::<RiskMethodology>()
        .body::<Comment>()
        .optional();
    api.get("/v1/risk-methodologies/{id}/revisions", revisions)
        .id("listRiskMethodologyRevisions")
        .says(
            "List the revisions of a risk methodology",
            "What was approved, newest first.",
        )
        .past()
        .answers::<revision::Revisions>("The revisions.");
    api.get("/v1/risk-methodologies/{id}/revisions/{n}", revision_of)
        .id("getRiskMethodologyRevision")
        .says(
            "Get a revision of a risk methodology",
            "The methodology as it was approved.",
        )
        .past()
        .record(&RiskMethodology::name(), "The record.");
}
