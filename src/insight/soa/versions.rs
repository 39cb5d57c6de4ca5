//! The statement frozen (ISO/IEC 27001:2022 6.1.3 d, 7.5.3): what stood when somebody asked for its approval, word for word in the ledger. The
//! position that it names is that of its own entry: the live statement `as_of=seq:<position>` says the same, for as long as the program computes
//! it the same way; the frozen one stays whatever it does. Another person approves it.
use super::{SoaSummary, StatementOfApplicability, compute};
use crate::access::Actor;
use crate::core::{Id, Instant, Problem, Result, catalogue, json, text::hex};
use crate::db::dialect::body_of;
use crate::db::schema::versions as v;
use crate::http::describe::{Preconditions, Refusals, Rejections};
use crate::http::format::wants;
use crate::http::handlers::Comment;
use crate::http::transit::Said;
use crate::http::{Answer, Approve, At, Guard, Input, Permission, Read, Return, Submit, Then, Withdraw, input};
use crate::records::{Covers, Deed, Draft, Known, Reader, Record, Resource, Selector, Tx, record::etag, record::members};
use crate::registers::r#do::shelf;
use crate::registers::r#do::soa_version::{self, Frozen, Numbered, SoaVersion};
use crate::registers::plan::{in_force::InForce, scope::Scope};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, get, post};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use validator::Validate;

/// What is to be frozen.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "For the surveillance audit."}))]
pub struct SoaFreeze {
    /// The framework; ISO/IEC 27001:2022 when absent.
    #[validate(length(min = 1, max = 64))]
    #[schema(min_length = 1, max_length = 64)]
    pub framework: Option<String>,
    /// Why; it stands in the history.
    #[validate(length(max = 2000))]
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}

/// A frozen statement of applicability.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SoaVersion)]
pub struct SoaVersionShown {
    /// The record.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// The scope.
    pub scope_id: Id,
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// 1, 2, … within the scope.
    #[schema(minimum = 1)]
    pub number: i32,
    /// `in_review`, `approved`, `returned` or `withdrawn`.
    #[schema(max_length = 64)]
    pub status: String,
    /// What can be done with it.
    #[schema(max_items = 10, max_length = 64)]
    pub allowed_transitions: Vec<&'static str>,
    /// Is it the one that was approved last?
    pub in_force: bool,
    /// Of the record, not of the statement: grows with each transition, and the entity tag begins with it.
    #[schema(minimum = 1)]
    pub version: i32,
    /// The position of the ledger entry that froze it: what stood then is what it says.
    #[schema(minimum = 0)]
    pub position: i64,
    /// The revision of the scope that was in force.
    #[schema(required, minimum = 1)]
    pub scope_revision: Option<i32>,
    /// The risk methodology that was in force.
    #[schema(required)]
    pub methodology_id: Option<Id>,
    /// Its revision.
    #[schema(required, minimum = 1)]
    pub methodology_revision: Option<i32>,
    /// SHA-256 of the statement's canonical JSON (RFC 8785), in hexadecimal digits.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// When it was frozen.
    pub created_at: Instant,
    /// Who froze it and asked for approval.
    pub created_by: Actor,
    /// When it last changed its state.
    pub updated_at: Instant,
    /// By whom.
    pub updated_by: Actor,
    /// When it was approved.
    #[schema(required)]
    pub approved_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub approved_by: Option<Actor>,
    /// The statement in numbers.
    pub summary: SoaSummary,
    /// The statement, word for word as it was frozen; null in lists.
    #[schema(required, value_type = Option<StatementOfApplicability>)]
    pub statement: Option<Value>,
}

/// The frozen statements of a scope.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"data": [{"id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e", "code": "SOA-1", "name": "Statement of applicability 1",
    "scope_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6f", "framework": "iso-27001-2022", "number": 1, "status": "approved", "allowed_transitions": [],
    "in_force": true, "version": 2, "position": 211, "scope_revision": 1, "methodology_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d70",
    "methodology_revision": 1, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "created_at": "2026-03-01T09:00:00.000Z",
    "created_by": {"kind": "user", "id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d71", "name": "manager", "person_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d72"},
    "updated_at": "2026-03-02T09:00:00.000Z",
    "updated_by": {"kind": "user", "id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d73", "name": "director", "person_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d74"},
    "approved_at": "2026-03-02T09:00:00.000Z",
    "approved_by": {"kind": "user", "id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d73", "name": "director", "person_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d74"},
    "summary": {"applicable": 92, "excluded": 1, "by_implementation": {"not_implemented": 20, "planned": 12, "partially_implemented": 5, "implemented": 55},
        "justification_missing": 0, "contradicted": 0, "own_controls": 2}, "statement": null}]}))]
pub struct SoaVersions {
    /// Newest first.
    #[schema(max_items = 10000)]
    pub data: Vec<SoaVersionShown>,
}

impl SoaVersionShown {
    fn of(record: Record<SoaVersion>, all: &[Numbered]) -> Result<Self> {
        let (spine, state) = (record.spine, record.state);
        let summary = state.statement.get("summary").cloned().unwrap_or_default();
        Ok(SoaVersionShown {
            allowed_transitions: SoaVersion::KIND.allowed(&spine.status).collect(),
            in_force: soa_version::in_force(all, &record.own.framework) == Some(spine.id),
            id: spine.id,
            code: spine.code,
            name: record.common.name,
            scope_id: record.links.many("scope_ids").first().copied().ok_or_else(|| Problem::internal("a frozen statement of no scope"))?,
            framework: record.own.framework,
            number: state.number,
            status: spine.status,
            version: spine.version,
            position: state.position,
            scope_revision: state.scope_revision,
            methodology_id: state.methodology_id,
            methodology_revision: state.methodology_revision,
            sha256: state.sha256,
            created_at: spine.created_at,
            created_by: spine.created_by,
            updated_at: spine.updated_at,
            updated_by: spine.updated_by,
            approved_at: state.approved_at,
            approved_by: state.approved_by,
            summary: serde_json::from_value(summary).map_err(Problem::internal)?,
            statement: Some(state.statement),
        })
    }
    fn answer(&self) -> Result<Answer> {
        let by = [Some(&self.created_by), Some(&self.updated_by), self.approved_by.as_ref()];
        let names: Vec<&str> = by.into_iter().flatten().map(|actor| actor.name.as_str()).collect();
        let names = crc32fast::hash(names.join("\0").as_bytes());
        let tag = etag(self.version, names, if self.in_force { "in force" } else { "not in force" });
        Ok(Answer::of(self)?.tagged(tag))
    }
}

/// What was frozen, to compute with it.
pub fn read(frozen: &Value) -> Result<StatementOfApplicability> {
    StatementOfApplicability::deserialize(frozen).map_err(Problem::internal)
}

/// The versions of a scope, and the record of the one with that number; 404 without.
pub fn numbered(reader: &mut Reader<'_>, scope: Id, number: i32) -> Result<(Record<SoaVersion>, Vec<Numbered>)> {
    let all = soa_version::of_scope(reader, scope)?;
    let id = all.iter().find(|one| one.number == number).map(|one| one.id).ok_or_else(Problem::not_found)?;
    let framework = all.iter().find(|one| one.id == id).map(|one| one.framework.as_str());
    if !framework.is_some_and(|slug| shelf::seen(reader.caller(), slug)) {
        return Err(Problem::not_found());
    }
    soa_version::whole(reader.caller())?;
    Ok((reader.load::<SoaVersion>(&Selector::Id(id), false)?, all))
}

/// The number of the version in force; 404 without.
pub fn number_in_force(reader: &mut Reader<'_>, scope: Id, framework: &str) -> Result<i32> {
    let all = soa_version::of_scope(reader, scope)?;
    let id = soa_version::in_force(&all, framework);
    let none = || Problem::new(crate::core::Code::NotFound, "No version was approved yet; say `from` what to compare.");
    all.iter().find(|one| Some(one.id) == id).map(|one| one.number).ok_or_else(none)
}

/// The scope and the number of a path.
fn place(at: &At, request: &HttpRequest) -> Result<(Selector, i32)> {
    let number = request.match_info().query("n").parse().map_err(|_| Problem::not_found())?;
    Ok((at.of(&Scope::KIND)?, number))
}

/// List the frozen statements of a scope
///
/// Newest first, without the statements themselves.
#[utoipa::path(operation_id = "listSoaVersions", tag = "soa-versions", security(("bearer" = [])),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), crate::http::document::Past),
    responses((status = 200, description = "The versions.", body = SoaVersions), crate::http::describe::Unchanged, Refusals))]
#[get("/v1/scopes/{id}/soa-versions")]
pub async fn list(guard: Guard<Read<SoaVersion>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (then, selector) = (Then::read(&request, &[])?, at.of(&Scope::KIND)?);
    guard
        .view(then.as_of, move |reader| {
            let scope = reader.row::<Scope>(&selector, then.archived_too || reader.moment.past())?.id;
            let mut all = soa_version::of_scope(reader, scope)?;
            all.retain(|one| shelf::seen(reader.caller(), &one.framework));
            let ids: Vec<Id> = all.iter().map(|one| one.id).collect();
            let rows = v::table.filter(reader.seen(SoaVersion::KIND.name)).filter(v::id.eq_any(ids)).order(v::number.desc());
            let mut rows: Vec<(i16, String)> = rows.select((v::schema, body_of())).load(reader.conn())?;
            reader.name_actors(&mut rows.iter_mut().map(|(_, body)| body).collect::<Vec<_>>())?;
            let shown = |(schema, body): (i16, String)| {
                let shown = SoaVersionShown::of(Record::of_image(schema, &body, None)?, &all)?;
                Ok(SoaVersionShown { statement: None, ..shown })
            };
            Answer::of(&SoaVersions { data: rows.into_iter().map(shown).collect::<Result<_>>()? })
        })
        .await
}

/// Get a frozen statement of applicability
///
/// Word for word as it was frozen. `format=csv` (or `Accept: text/csv`) is the table of the statement.
#[utoipa::path(operation_id = "getSoaVersion", tag = "soa-versions", security(("bearer" = [])),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("n" = i32, Path, description = "The version.", minimum = 1),
        ("format" = inline(Option<crate::http::document::TableFormat>), Query, description = "`json` or `csv`."), crate::http::document::Past),
    responses((status = 200, description = "The version.", content((SoaVersionShown = "application/json"), (crate::http::document::Csv = "text/csv"))), crate::http::describe::Unchanged, Refusals, crate::http::describe::NoFormat))]
#[get("/v1/scopes/{id}/soa-versions/{n}")]
pub async fn get(guard: Guard<Read<SoaVersion>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (then, (selector, number)) = (Then::read(&request, &["format"])?, place(&at, &request)?);
    let csv = wants(&request, &then, "csv", "text/csv")?;
    guard
        .read(then.as_of, move |reader| {
            let scope = reader.row::<Scope>(&selector, then.archived_too || reader.moment.past())?.id;
            let (record, all) = numbered(reader, scope, number)?;
            let shown = SoaVersionShown::of(record, &all)?;
            let answer = shown.answer()?.at(reader.moment.last);
            match csv {
                true => Ok(Answer { body: read(shown.statement.as_ref().unwrap_or(&Value::Null))?.answer(true)?.body, ..answer }
                    .as_media(crate::http::format::CSV)),
                false => Ok(answer),
            }
        })
        .await
}

/// Freeze the statement of applicability of a scope
///
/// What stands now becomes the next version, and waits for the approval of another person. It never changes. `If-Match` may name the version of
/// the scope that was read.
#[utoipa::path(operation_id = "createSoaVersion", tag = "soa-versions", security(("bearer" = [])), request_body = Option<SoaFreeze>,
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), crate::http::document::MayMatch),
    responses((status = 201, description = "The version.", body = SoaVersionShown), Rejections, Preconditions))]
#[post("/v1/scopes/{id}/soa-versions")]
pub async fn freeze(guard: Guard<Submit<SoaVersion>>, at: At, known: Known, request: HttpRequest, input: Input) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (selector, known, said) = (at.of(&Scope::KIND)?, known.for_decision().or_any(), input.clone().read::<SoaFreeze>());
    guard
        .write(&input, move |tx| {
            let scope: Record<Scope> = tx.reader().load(&selector, false)?;
            known.check(scope.spine.version)?;
            tx.person()?;
            soa_version::whole(tx.caller())?;
            let said = said?;
            let slug = said.framework.as_deref().unwrap_or(catalogue::ISO_27001);
            let unknown = || Problem::invalid_one("/framework", "unknown_reference", "there is no such framework");
            let framework = shelf::framework(&mut tx.reader(), slug)
                .map_err(|problem| if problem.is(crate::core::Code::NotFound) { unknown() } else { problem })?;
            tx.because(said.comment);
            let number = soa_version::of_scope(&mut tx.reader(), scope.spine.id)?.first().map_or(1, |newest| newest.number + 1);
            let statement = compute(&mut tx.reader(), scope.spine.id, &framework)?;
            let methodology = InForce::read(&mut tx.reader())?.of(&[scope.spine.id]).cloned();
            let canonical = json::canonical(&statement)?;
            let frozen = Frozen {
                number,
                position: tx.position() + 1,
                scope_revision: scope.state.revision_in_force,
                methodology_id: methodology.as_ref().map(|record| record.spine.id),
                methodology_revision: methodology.and_then(|record| record.state.revision_in_force),
                sha256: hex(&Sha256::digest(canonical.as_bytes())),
                statement: serde_json::from_str(&canonical).map_err(Problem::internal)?,
                ..Frozen::default()
            };
            let name = format!("Statement of applicability {number}");
            let mut draft: Map<String, Value> = members(&SoaVersion { framework: slug.to_owned() })?;
            draft.extend([("name".to_owned(), json!(name)), ("scope_ids".to_owned(), json!([scope.spine.id]))]);
            let made = tx.create_as(Id::new(), Draft::<SoaVersion>::read(draft)?, frozen, SoaVersion::KIND.initial)?;
            let shown = SoaVersionShown::of(made.get().clone(), &soa_version::of_scope(&mut tx.reader(), scope.spine.id)?)?;
            let location = Some(format!("/v1/scopes/{}/soa-versions/{number}", scope.spine.id));
            let answer = Answer { status: StatusCode::CREATED, location, ..shown.answer()? };
            Ok(made.map(|_| answer))
        })
        .await
}

/// A transition of a frozen statement: checked in the order of every other.
async fn step<P: Permission + Covers<SoaVersion>>(
    guard: Guard<P>,
    (at, known, input): (At, Known, Input),
    verb: &'static str,
    may: impl FnOnce(&mut Tx<'_, P>, &Record<SoaVersion>) -> Result<()> + Send + 'static,
    change: impl FnOnce(&mut Tx<'_, P>, &mut Record<SoaVersion>) + Send + 'static,
) -> Result<Answer> {
    input::no_parameters(guard.request())?;
    let ((selector, number), known) = (place(&at, guard.request())?, known.for_verb(verb));
    let said = input.clone().read::<Comment>();
    guard
        .write(&input, move |tx| {
            let scope = tx.reader().row::<Scope>(&selector, false)?.id;
            let id = numbered(&mut tx.reader(), scope, number)?.0.spine.id;
            let stored = tx.load::<SoaVersion>(&Selector::Id(id), &known)?;
            may(tx, &stored)?;
            let said = said?;
            let mut record = stored.clone();
            tx.step(&mut record, verb, said.comment())?;
            change(tx, &mut record);
            let saved = tx.save(&stored, record, verb)?;
            let shown = SoaVersionShown::of(saved.get().clone(), &soa_version::of_scope(&mut tx.reader(), scope)?)?;
            let answer = shown.answer()?;
            Ok(saved.map(|_| answer))
        })
        .await
}

/// Approve a frozen statement of applicability
///
/// Puts it in force. Whoever froze it cannot approve it: persons are compared, not credentials.
#[utoipa::path(operation_id = "approveSoaVersion", tag = "soa-versions", security(("bearer" = [])), request_body = Option<Comment>,
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("n" = i32, Path, description = "The version.", minimum = 1), crate::http::document::Decided),
    responses((status = 200, description = "The version.", body = SoaVersionShown), Rejections, Preconditions))]
#[post("/v1/scopes/{id}/soa-versions/{n}/approve")]
pub async fn approve(guard: Guard<Approve<SoaVersion>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let another = |tx: &mut Tx<'_, _>, stored: &Record<SoaVersion>| {
        tx.another_than(&[Deed { by: &stored.spine.created_by, record: stored.spine.id, action: "create", what: "froze it" }])
    };
    let approved = |tx: &mut Tx<'_, _>, record: &mut Record<SoaVersion>| {
        record.state.approved_at = Some(tx.now());
        record.state.approved_by = Some(tx.caller().actor.clone());
    };
    step(guard, (at, known, input), "approve", another, approved).await
}

/// Return a frozen statement of applicability
///
/// It is not approved, and the comment says why; a better one is frozen anew.
#[utoipa::path(operation_id = "returnSoaVersion", tag = "soa-versions", security(("bearer" = [])), request_body = Option<Comment>,
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("n" = i32, Path, description = "The version.", minimum = 1), crate::http::document::Conditional),
    responses((status = 200, description = "The version.", body = SoaVersionShown), Rejections, Preconditions))]
#[post("/v1/scopes/{id}/soa-versions/{n}/return")]
pub async fn return_version(guard: Guard<Return<SoaVersion>>, at: At, known: Known, input: Input) -> Result<Answer> {
    step(guard, (at, known, input), "return", |tx, _| tx.person().map(drop), |_, _| ()).await
}

/// Withdraw a frozen statement of applicability
///
/// Takes it back before it was approved; the comment says why.
#[utoipa::path(operation_id = "withdrawSoaVersion", tag = "soa-versions", security(("bearer" = [])), request_body = Option<Comment>,
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("n" = i32, Path, description = "The version.", minimum = 1), crate::http::document::Conditional),
    responses((status = 200, description = "The version.", body = SoaVersionShown), Rejections, Preconditions))]
#[post("/v1/scopes/{id}/soa-versions/{n}/withdraw")]
pub async fn withdraw(guard: Guard<Withdraw<SoaVersion>>, at: At, known: Known, input: Input) -> Result<Answer> {
    step(guard, (at, known, input), "withdraw", |_, _| Ok(()), |_, _| ()).await
}

/// Mounts what stands under scopes.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.service(list);
    api.service(get);
    api.service(freeze);
    api.service(approve);
    api.service(return_version);
    api.service(withdraw);
}
