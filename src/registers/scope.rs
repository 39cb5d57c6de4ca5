//! Scope of the ISMS (ISO/IEC 27001:2022 4.3): what it covers, where its borders are, and what it
//! leaves out, each with a justification. Several scopes may stand side by side.
use crate::core::{Result, VersionKey};
use crate::db::{Conn, schema::scopes as s, schema::versions as v};
use crate::http::handlers::Comment;
use crate::http::{
    Answer, Approve, At, Because, Guard, Input, Read, Retire, Return, Revise, Submit, transit,
};
use crate::records::ask::Moments;
use crate::records::query::RecordRef;
use crate::records::{
    By, Condition, Kind, Known, Limit, Part, Record, Resource, Stored, Tx, unasked,
};
use crate::registers::revision;
use crate::registers::revision::Revised;
use actix_web::HttpRequest;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
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
            "each entry must have 1 to 500 characters",
        ))
    }
}

/// What a list of scopes can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScopeFilter {
    /// With a revision in force, or without.
    #[param(max_items = 2)]
    pub in_force: Vec<bool>,
}

/// A scope in a query.
pub type ScopeRef = RecordRef<Scope>;

impl Resource for Scope {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "scope",
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

impl Stored for Scope {
    type Filter = ScopeFilter;
    fn insert(
        (tenant, id, version): VersionKey,
        record: &Record<Self>,
        conn: &mut Conn,
    ) -> QueryResult<usize> {
        let (state, key) = (
            &record.state,
            (
                s::tenant_id.eq(tenant),
                s::id.eq(id),
                s::version.eq(version),
            ),
        );
        let row = (
            key,
            s::revision.eq(state.revision),
            s::revision_in_force.eq(state.revision_in_force),
        );
        diesel::insert_into(s::table).values(row).execute(conn)
    }
    fn matching(filter: &ScopeFilter, _: &Moments) -> Condition {
        let own = s::table.filter(
            s::tenant_id
                .eq(v::tenant_id)
                .and(s::id.eq(v::id))
                .and(s::version.eq(v::version)),
        );
        Box::new(exists(
            own.filter(
                s::revision_in_force
                    .is_not_null()
                    .eq_any(filter.in_force.clone())
                    .or(unasked(&filter.in_force)),
            ),
        ))
    }
}

async fn submit(guard: Guard<Submit<Scope>>, at: At, known: Known, input: Input) -> Result<Answer> {
    revision::submit(guard, at, known, input).await
}

async fn approve(
    guard: Guard<Approve<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::approve(guard, at, known, input).await
}

async fn return_scope(
    guard: Guard<Return<Scope>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    revision::return_to_draft(guard, at, known, input).await
}

async fn revise(guard: Guard<Revise<Scope>>, at: At, known: Known, input: Input) -> Result<Answer> {
    revision::revise(guard, at, known, input).await
}

async fn retire(guard: Guard<Retire<Scope>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let out = |_: &mut Tx<'_, _>, record: &mut Record<Scope>, _: Comment| {
        record.state.revision_in_force = None;
        Ok(())
    };
    transit::transit(guard, (at, known, input), "retire", transit::anyone, out).await
}

async fn revisions(guard: Guard<Read<Scope>>, at: At, request: HttpRequest) -> Result<Answer> {
    revision::list(guard, at, request).await
}

async fn revision_of(guard: Guard<Read<Scope>>, at: At, request: HttpRequest) -> Result<Answer> {
    revision::get(guard, at, request).await
}

/// Mounts what is particular to scopes.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.post("/v1/scopes/{id}/submit", submit)
        .id("submitScope")
        .says(
            "Ask for approval of a scope",
            "The draft goes into review; another person approves \
            it.",
        )
        .changes::<Scope>()
        .body::<Comment>()
        .optional();
    api.post("/v1/scopes/{id}/approve", approve)
        .id("approveScope")
        .says(
            "Approve a scope",
            "Puts the revision in force. Whoever submitted it cannot approve \
            it: persons are compared, not credentials.",
        )
        .decides::<Scope>()
        .body::<Comment>()
        .optional();
    api.post("/v1/scopes/{id}/return", return_scope)
        .id("returnScope")
        .says("Return a scope", "Sends it back to draft, with the reason.")
        .changes::<Scope>()
        .body::<Because>();
    api.post("/v1/scopes/{id}/revise", revise)
        .id("reviseScope")
        .says(
            "Revise a scope",
            "Opens the next revision as a draft; the one in force stays.",
        )
        .changes::<Scope>()
        .body::<Comment>()
        .optional();
    api.post("/v1/scopes/{id}/retire", retire)
        .id("retireScope")
        .says("Retire a scope", "The scope is no longer in use.")
        .changes::<Scope>()
        .body::<Comment>()
        .optional();
    api.get("/v1/scopes/{id}/revisions", revisions)
        .id("listScopeRevisions")
        .says(
            "List the revisions of a scope",
            "What was approved, newest first.",
        )
        .past()
        .answers::<revision::Revisions>("The revisions.");
    api.get("/v1/scopes/{id}/revisions/{n}", revision_of)
        .id("getScopeRevision")
        .says("Get a revision of a scope", "The scope as it was approved.")
        .past()
        .record(&Scope::name(), "The record.");
}
