//! Scope of the ISMS (ISO/IEC 27001:2022 4.3): what it covers, where its borders are, and what it
//! leaves out, each with a justification. Several scopes may stand side by side.
use crate::access::policy::SCOPE;
use crate::core::Result;
use crate::http::describe::{Changed, Found, Refusals};
use crate::http::handlers::Comment;
use crate::http::{
    Answer, Approve, At, Because, Guard, Input, Read, Retire, Return, Revise, Submit, transit,
};
use crate::records::{By, Kind, Known, Limit, Part, Record, Resource, Tx};
use crate::registers::revision;
use crate::registers::revision::Revised;
use actix_web::{HttpRequest, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What clients say about a scope.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// What the ISMS covers, in one statement.
    #[validate(length(min = 1, max = 10000))]
    #[schema(min_length = 1, max_length = 10000)]
    pub statement: String,
    /// Parts of the organization.
    #[serde(default)]
    #[validate(length(max = 200), custom(function = lines))]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub business_units: Vec<String>,
    /// What is done there.
    #[serde(default)]
    #[validate(length(max = 200), custom(function = lines))]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub processes: Vec<String>,
    /// Where.
    #[serde(default)]
    #[validate(length(max = 200), custom(function = lines))]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub locations: Vec<String>,
    /// With which systems.
    #[serde(default)]
    #[validate(length(max = 200), custom(function = lines))]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub systems: Vec<String>,
    /// On which cloud services it relies.
    #[serde(default)]
    #[validate(length(max = 200), custom(function = lines))]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub cloud_services: Vec<String>,
    /// Interfaces and dependencies with what lies outside.
    #[serde(default)]
    #[validate(length(max = 200), custom(function = lines))]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub interfaces: Vec<String>,
    /// What is left out, and why.
    #[serde(default)]
    #[validate(length(max = 200), nested)]
    #[schema(max_items = 200)]
    pub exclusions: Vec<Exclusion>,
    /// The frameworks that it answers to.
    #[serde(default)]
    #[validate(length(max = 50))]
    #[schema(max_items = 50, max_length = 64)]
    pub frameworks: Vec<String>,
}

/// Something that is left out of the scope.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// What.
    #[validate(length(min = 1, max = 500))]
    #[schema(min_length = 1, max_length = 500)]
    pub item: String,
    /// Why it may be.
    #[validate(length(min = 1, max = 4000))]
    #[schema(min_length = 1, max_length = 4000)]
    pub justification: String,
}

/// Each entry is a line of 1 to 500 characters.
pub fn lines(entries: &[String]) -> Result<(), validator::ValidationError> {
    let fits = |line: &String| (1..=500).contains(&line.chars().count());
    if entries.iter().all(fits) {
        Ok(())
    } else {
        Err(crate::records::spine::fault(
            "lines",
            "each entry has 1 to 500 characters",
        ))
    }
}

impl Resource for Scope {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: SCOPE,
        searched: &["statement"],
        path: "scopes",
        code: "SCO",
        about: "Scopes of the ISMS (4.3).",
        initial: "draft",
        limited_by: &[
            (Limit::Scopes, By::Itself),
            (
                Limit::Frameworks,
                By::ReadOnly(
                    "a statement of applicability is of a scope; other frameworks that it names \
                        are left out",
                ),
            ),
            (
                Limit::Controls,
                By::ReadOnly("controls and evidence are read with the name of their scope"),
            ),
            (
                Limit::Sources,
                By::ReadOnly("evidence is read with the name of its scope"),
            ),
            (
                Limit::Period,
                By::ReadOnly("evidence is read with the name of its scope"),
            ),
        ],
        transitions: &[
            revision::SUBMIT,
            revision::APPROVE,
            revision::RETURN,
            revision::REVISE,
            revision::RETIRE,
        ],
        done: &["retired"],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = Revised;
    fn example() -> Value {
        json!({"name": "Online shop", "statement": "Development and operation of the online \
            shop.", "business_units": ["Engineering"], "locations": ["Frankfurt"],
            "exclusions": [{"item": "Warehouse", "justification": "No information of the shop is \
                processed there."}], "frameworks": ["iso-27001-2022"]})
    }
    fn frameworks(&self) -> Vec<(String, &str)> {
        self.frameworks
            .iter()
            .enumerate()
            .map(|(n, slug)| (format!("/frameworks/{n}"), slug.as_str()))
            .collect()
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        revision::changeable(record)
    }
    fn archivable(record: &Record<Self>, _: chrono::NaiveDate) -> Result<()> {
        revision::archivable(record)
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        revision::schemas(to);
    }
}

crate::columns! {
    table scopes of Scope as scope {
        revision: Integer = scope.state.revision,
        revision_in_force: Nullable<Integer> = scope.state.revision_in_force,
    }
    /// What a list of scopes can be filtered by.
    pub struct ScopeFilter {
        /// With a revision in force, or without.
        #[param(max_items = 2)]
        in_force: Vec<bool> => set(revision_in_force),
    }
}

/// Ask for approval of a scope
///
/// The draft goes into review; another person approves it.
#[utoipa::path(operation_id = "submitScope", tag = "scopes", security(("bearer" = [])),
    request_body = Option<Comment>, responses(Changed<Scope>),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/scopes/{id}/submit")]
pub async fn submit(
    guard: Guard<Submit<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::submit(guard, at, known, input).await
}

/// Approve a scope
///
/// Puts the revision in force. Whoever submitted it cannot approve it: persons are compared, not
/// credentials.
#[utoipa::path(operation_id = "approveScope", tag = "scopes", security(("bearer" = [])),
    request_body = Option<Comment>, responses(Changed<Scope>),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        crate::http::document::Decided))]
#[post("/v1/scopes/{id}/approve")]
pub async fn approve(
    guard: Guard<Approve<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::approve(guard, at, known, input).await
}

/// Return a scope
///
/// Sends it back to draft, with the reason.
#[utoipa::path(operation_id = "returnScope", tag = "scopes", security(("bearer" = [])),
    request_body = Because, responses(Changed<Scope>),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/scopes/{id}/return")]
pub async fn return_scope(
    guard: Guard<Return<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::return_to_draft(guard, at, known, input).await
}

/// Revise a scope
///
/// Opens the next revision as a draft; the one in force stays.
#[utoipa::path(operation_id = "reviseScope", tag = "scopes", security(("bearer" = [])),
    request_body = Option<Comment>, responses(Changed<Scope>),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/scopes/{id}/revise")]
pub async fn revise(
    guard: Guard<Revise<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::revise(guard, at, known, input).await
}

/// Retire a scope
///
/// The scope is no longer in use.
#[utoipa::path(operation_id = "retireScope", tag = "scopes", security(("bearer" = [])),
    request_body = Option<Comment>, responses(Changed<Scope>),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/scopes/{id}/retire")]
pub async fn retire(
    guard: Guard<Retire<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let out = |_: &mut Tx<'_, _>, record: &mut Record<Scope>, _: Comment| {
        record.state.revision_in_force = None;
        Ok(())
    };
    transit::transit(guard, (at, known, input), "retire", transit::anyone, out).await
}

/// List the revisions of a scope
///
/// What was approved, newest first.
#[utoipa::path(operation_id = "listScopeRevisions", tag = "scopes", security(("bearer" = [])),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        crate::http::document::Past),
    responses((status = 200, description = "The revisions.", body = revision::Revisions),
        crate::http::describe::Unchanged, Refusals))]
#[get("/v1/scopes/{id}/revisions")]
pub async fn revisions(guard: Guard<Read<Scope>>, at: At, request: HttpRequest) -> Result<Answer> {
    revision::list(guard, at, request).await
}

/// Get a revision of a scope
///
/// The scope as it was approved.
#[utoipa::path(operation_id = "getScopeRevision", tag = "scopes", security(("bearer" = [])),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64),
        ("n" = i32, Path, description = "The revision.", minimum = 1), crate::http::document::Past),
    responses(Found<Scope>))]
#[get("/v1/scopes/{id}/revisions/{n}")]
pub async fn revision_of(
    guard: Guard<Read<Scope>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    revision::get(guard, at, request).await
}

/// Mounts what is particular to scopes.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.service(submit);
    api.service(approve);
    api.service(return_scope);
    api.service(revise);
    api.service(retire);
    api.service(revisions);
    api.service(revision_of);
}
