//! The statement of applicability (ISO/IEC 27001:2022 6.1.3 d): every control of Annex A once (of other frameworks whatever is
//! asked for by itself), in natural order, with whether it applies and why,
//! how far it is implemented, and what proves it; and every necessary control outside it. Computed from what stands at a moment, one computation
//! for JSON and CSV; frozen in `versions`, compared in `diff`.
pub mod compute;
pub mod diff;
pub mod versions;

pub use compute::compute;

use super::format::as_csv;
use crate::core::{Id, Result};
use crate::http::describe::Refusals;
use crate::http::format::{CSV, wants};
use crate::http::{Answer, At, Guard, Read, Then};
use crate::records::Resource;
use crate::registers::r#do::applicability::{Applicability, Reason};
use crate::registers::r#do::framework::asked;
use crate::registers::r#do::support::{Operation, Support};
use crate::registers::plan::scope::Scope;
use actix_web::{HttpRequest, get};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

crate::vocabulary! {
    /// How far a requirement is met by the controls for it.
    pub enum ImplementationState { NotImplemented, Planned, PartiallyImplemented, Implemented }
}
crate::vocabulary! {
    /// Why a control is in the statement: an approved treatment of a risk applies it, or it was decided so.
    pub enum SoaReason { Risk, Law, Contract, Business }
}
impl From<Reason> for SoaReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Law => SoaReason::Law,
            Reason::Contract => SoaReason::Contract,
            Reason::Business => SoaReason::Business,
        }
    }
}

/// A control in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControlRef {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
}

/// One requirement in the statement.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SoaEntry {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title.
    #[schema(max_length = 300)]
    pub title: String,
    /// The theme it belongs to.
    #[schema(required, max_length = 40)]
    pub theme: Option<String>,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not.
    #[schema(required, max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it: `risk` where an approved treatment applies a control that meets it, the others as they were decided.
    #[schema(max_items = 4)]
    pub reasons: Vec<SoaReason>,
    /// Is it included without any reason?
    pub justification_missing: bool,
    /// The controls that meet it and that approved treatments rely on, where it is excluded all the same.
    #[schema(max_items = 200)]
    pub contradicted_by: Vec<ControlRef>,
    /// How far it is; null where it does not apply.
    #[schema(required)]
    pub implementation: Option<ImplementationState>,
    /// Whether its controls work; null where it does not apply.
    #[schema(required)]
    pub operation: Option<Operation>,
    /// The controls that meet it, up to 200; fewer where the whole would grow past a mebibyte.
    #[schema(max_items = 200)]
    pub controls: Vec<ControlRef>,
    /// All of them.
    #[schema(minimum = 0)]
    pub control_count: i64,
    /// Risks whose present level rests on them, or whose approved treatment applies them.
    #[schema(minimum = 0)]
    pub risk_count: i64,
    /// The evidence behind its controls.
    pub evidence: Support,
}

/// A necessary control outside the framework.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OwnControl {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// `risk` where an approved treatment applies it.
    #[schema(max_items = 4)]
    pub reasons: Vec<SoaReason>,
    /// How far it is.
    pub implementation: ImplementationState,
    /// Whether it works.
    pub operation: Operation,
    /// Risks whose present level rests on it, or whose approved treatment applies it.
    #[schema(minimum = 0)]
    pub risk_count: i64,
    /// The evidence behind it.
    pub evidence: Support,
}

/// The statement in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SoaSummary {
    /// Requirements that apply.
    #[schema(minimum = 0)]
    pub applicable: i64,
    /// Requirements that do not.
    #[schema(minimum = 0)]
    pub excluded: i64,
    /// Of those that apply.
    pub by_implementation: ByImplementation,
    /// Included without any reason.
    #[schema(minimum = 0)]
    pub justification_missing: i64,
    /// Excluded, though approved treatments rely on controls that meet them.
    #[schema(minimum = 0)]
    pub contradicted: i64,
    /// Necessary controls outside the framework.
    #[schema(minimum = 0)]
    pub own_controls: i64,
}
/// Counts by implementation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ByImplementation {
    /// No control, or none begun.
    #[schema(minimum = 0)]
    pub not_implemented: i64,
    /// Controls are planned.
    #[schema(minimum = 0)]
    pub planned: i64,
    /// Some controls are implemented.
    #[schema(minimum = 0)]
    pub partially_implemented: i64,
    /// All controls are implemented.
    #[schema(minimum = 0)]
    pub implemented: i64,
}

/// The statement of applicability of a scope.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementOfApplicability {
    /// The scope.
    pub scope_id: Id,
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// Each requirement once, in natural order.
    #[schema(max_items = 5000)]
    pub entries: Vec<SoaEntry>,
    /// Necessary controls that meet no requirement of the framework, in the order of their codes; those that approved treatments apply first where
    /// the whole would grow past a mebibyte. The summary counts all.
    #[schema(max_items = 5000)]
    pub own_controls: Vec<OwnControl>,
    /// The statement in numbers.
    pub summary: SoaSummary,
}

impl StatementOfApplicability {
    /// As JSON, or as a table.
    fn answer(&self, csv: bool) -> Result<Answer> {
        if csv { Ok(Answer::json(as_csv(self)?).as_media(CSV)) } else { Answer::of(self) }
    }
}

/// Get the statement of applicability of a scope
///
/// Live, or as of a moment. `format=csv` (or `Accept: text/csv`) is the same computation, a row for each entry and for each control outside the
/// framework.
#[utoipa::path(operation_id = "getStatementOfApplicability", tag = "statement-of-applicability", security(("bearer" = [])),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("framework" = Option<String>, Query, description = "The framework; ISO/IEC 27001:2022 when absent.", max_length = 64),
        ("format" = inline(Option<crate::http::document::TableFormat>), Query, description = "`json` or `csv`."), crate::http::document::Past),
    responses((status = 200, description = "The statement.", content((StatementOfApplicability = "application/json"), (crate::http::document::Csv = "text/csv"))), crate::http::describe::Unchanged, Refusals, crate::http::describe::NoFormat))]
#[get("/v1/scopes/{id}/statement-of-applicability")]
pub async fn get_statement(guard: Guard<Read<Applicability>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (then, selector) = (Then::read(&request, &["framework", "format"])?, at.of(&Scope::KIND)?);
    let csv = wants(&request, &then, "csv", "text/csv")?;
    guard
        .view_as(Some(if csv { "csv" } else { "json" }), then.as_of, move |reader| {
            let framework = asked(reader, then.get("framework"))?;
            let scope = reader.row::<Scope>(&selector, then.archived_too || reader.moment.past())?.id;
            compute(reader, scope, &framework)?.answer(csv)
        })
        .await
}

/// Mounts the statement, its versions and their difference.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.service(get_statement);
    api.service(diff::get_diff);
    versions::mount(api);
}
