//! The statement frozen (ISO/IEC 27001:2022 6.1.3 d, 7.5.3): what stood when somebody asked for its
//! approval, word for word in the ledger. The position that it names is that of its own entry: the
//! live statement `as_of=seq:<position>` says the same, for as long as the program computes it the
//! same way; the frozen one stays whatever it does. Another person approves it.
use crate::access::Actor;
use crate::core::{Id, Instant, Problem, Result};
use crate::db::dialect::body_of;
use crate::db::schema::versions as v;
use crate::http::format::CSV;
use crate::http::{Answer, Guard, Read, RecordId, ViewQuery};
use crate::records::{Reader, Record, Resource, Selector, record::etag};
use crate::registers::framework::catalogue_list as shelf;
use crate::registers::scope::Scope;
use crate::registers::soa::csv::as_csv;
use crate::registers::soa::statement::StatementOfApplicability;
use crate::registers::soa::statements;
use crate::registers::soa::version as soa_version;
use crate::registers::soa::version::{Numbered, SoaIncomplete, SoaSummary, SoaVersion};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

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
    /// Of the record, not of the statement: grows with each transition, and the entity tag begins
    /// with it.
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
    /// SHA-256 of the statement's canonical JSON (RFC 8785), in hexadecimal digits. The names of
    /// accounts are null in it: they can be erased, and are put in when the statement is read.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// What it was frozen without, and why; null where every requirement was decided, justified and
    /// uncontradicted. Whoever approves it approves this.
    #[schema(required)]
    pub incomplete: Option<SoaIncomplete>,
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
    /// Stands for the names in the statement, in the entity tag.
    #[serde(skip)]
    pub(crate) names: u32,
}

/// The frozen statements of a scope.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"data": [{"id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e", "code": "SOA-1",
    "name": "Statement of applicability 1",
    "scope_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6f", "framework": "iso-27001-2022", "number": 1,
        "status": "approved", "allowed_transitions": [],
    "in_force": true, "version": 2, "position": 211, "scope_revision": 1,
        "methodology_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d70",
    "methodology_revision": 1,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "incomplete": null, "created_at": "2026-03-01T09:00:00.000Z",
    "created_by": {"kind": "user", "id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d71", "name": "manager",
        "person_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d72"},
    "updated_at": "2026-03-02T09:00:00.000Z",
    "updated_by": {"kind": "user", "id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d73",
        "name": "director", "person_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d74"},
    "approved_at": "2026-03-02T09:00:00.000Z",
    "approved_by": {"kind": "user", "id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d73",
        "name": "director", "person_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d74"},
    "summary": {"applicable": 92, "excluded": 1, "by_implementation": {"not_implemented": 20,
        "planned": 12, "partially_implemented": 5, "implemented": 55},
        "undecided": 0, "justification_missing": 0, "contradicted": 0, "own_controls": 2},
            "statement": null}]}))]
pub struct SoaVersions {
    /// Newest first.
    #[schema(max_items = 10000)]
    pub data: Vec<SoaVersionShown>,
}

impl SoaVersionShown {
    /// With its statement, or without where many are listed.
    pub(crate) fn of(
        record: Record<SoaVersion>,
        all: &[Numbered],
        statement: Option<Value>,
    ) -> Result<Self> {
        let (spine, state) = (record.spine, record.state);
        Ok(SoaVersionShown {
            allowed_transitions: SoaVersion::KIND.allowed(&spine.status).collect(),
            in_force: soa_version::in_force(all, &record.own.framework)
                .is_some_and(|one| one.id == spine.id),
            id: spine.id,
            code: spine.code,
            name: record.common.name,
            scope_id: record
                .links
                .many("scope_ids")
                .first()
                .copied()
                .ok_or_else(|| Problem::internal("a frozen statement of no scope"))?,
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
            incomplete: state.incomplete,
            summary: state.summary,
            statement,
            names: 0,
        })
    }
    /// The record with its statement.
    pub(crate) fn whole(
        reader: &mut Reader<'_>,
        record: Record<SoaVersion>,
        all: &[Numbered],
    ) -> Result<Self> {
        let (statement, names) = statements::read(reader, &record.state.sha256)?;
        Ok(SoaVersionShown {
            names,
            ..SoaVersionShown::of(record, all, Some(statement))?
        })
    }
    /// What follows from others is in the tag, and what the accounts are called.
    pub(crate) fn answer(&self) -> Result<Answer> {
        let by = [&self.created_by, &self.updated_by]
            .into_iter()
            .chain(&self.approved_by);
        let names: Vec<&str> = by.map(|actor| actor.name.as_str()).collect();
        let names = crc32fast::hash(format!("{} {}", self.names, names.join("\0")).as_bytes());
        let force = if self.in_force {
            "in force"
        } else {
            "not in force"
        };
        Ok(Answer::of(self)?.tagged(etag(self.version, names, force)))
    }
}

/// What was frozen, to compute with it.
pub fn read(frozen: &Value) -> Result<StatementOfApplicability> {
    StatementOfApplicability::deserialize(frozen).map_err(Problem::internal)
}

/// The versions of a scope, and the record of the one with that number; 404 without.
pub fn numbered(
    reader: &mut Reader<'_>,
    scope: Id,
    number: i32,
) -> Result<(Record<SoaVersion>, Vec<Numbered>)> {
    let all = soa_version::of_scope(reader, scope)?;
    let found = all.iter().find(|one| one.number == number);
    let found = found.filter(|one| shelf::seen(reader.caller(), &one.framework));
    let id = found.ok_or_else(Problem::not_found)?.id;
    soa_version::whole(reader.caller())?;
    Ok((reader.load::<SoaVersion>(&Selector::Id(id), false)?, all))
}

/// The number of the version in force; 404 without.
pub fn number_in_force(reader: &mut Reader<'_>, scope: Id, framework: &str) -> Result<i32> {
    let all = soa_version::of_scope(reader, scope)?;
    let none = || {
        Problem::new(
            crate::core::Code::NotFound,
            "No version has been approved yet. Send `from` to say what to compare.",
        )
    };
    soa_version::in_force(&all, framework)
        .map(|one| one.number)
        .ok_or_else(none)
}

/// The scope and the number of a path.
pub(crate) fn place(at: &RecordId) -> Result<(Selector, i32)> {
    Ok((at.of(&Scope::KIND)?, at.number()?))
}

async fn list(guard: Guard<Read<SoaVersion>>, at: RecordId, query: ViewQuery) -> Result<Answer> {
    let selector = at.of(&Scope::KIND)?;
    guard
        .view(query.as_of, move |reader| {
            let scope = reader
                .row::<Scope>(&selector, query.archived_too || reader.moment.past())?
                .id;
            let mut all = soa_version::of_scope(reader, scope)?;
            all.retain(|one| shelf::seen(reader.caller(), &one.framework));
            let ids: Vec<Id> = all.iter().map(|one| one.id).collect();
            let rows = v::table
                .filter(reader.seen(SoaVersion::KIND.name))
                .filter(v::id.eq_any(ids))
                .order(v::number.desc());
            let mut rows: Vec<(i16, String)> =
                rows.select((v::schema, body_of())).load(reader.conn())?;
            reader.name_actors(&mut rows.iter_mut().map(|(_, body)| body).collect::<Vec<_>>())?;
            let shown = |(schema, body): (i16, String)| {
                SoaVersionShown::of(Record::of_image(schema, &body, None)?, &all, None)
            };
            Answer::of(&SoaVersions {
                data: rows.into_iter().map(shown).collect::<Result<_>>()?,
            })
        })
        .await
}

async fn get(guard: Guard<Read<SoaVersion>>, at: RecordId, query: ViewQuery) -> Result<Answer> {
    let (selector, number) = place(&at)?;
    let csv = query.wants("csv", "text/csv")?;
    guard
        .read(query.as_of, move |reader| {
            let scope = reader
                .row::<Scope>(&selector, query.archived_too || reader.moment.past())?
                .id;
            let (record, all) = numbered(reader, scope, number)?;
            let shown = SoaVersionShown::whole(reader, record, &all)?;
            let answer = shown.answer()?.at(reader.moment.last);
            if !csv {
                return Ok(answer);
            }
            let table = as_csv(
                &read(shown.statement.as_ref().unwrap_or(&Value::Null))?,
                shown.incomplete.as_ref(),
            )?;
            Ok(Answer {
                body: Answer::json(table).body,
                ..answer
            }
            .as_media(CSV))
        })
        .await
}

/// Mounts what stands under scopes.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/scopes/{id}/soa-versions", list)
        .id("listSoaVersions")
        .says(
            "List the frozen statements of a scope",
            "Newest first, without the statements \
            themselves.",
        )
        .tag("soa-versions")
        .past()
        .answers::<SoaVersions>("The versions.");
    api.get("/v1/scopes/{id}/soa-versions/{n}", get)
        .id("getSoaVersion")
        .says(
            "Get a frozen statement of applicability",
            "Word for word as it was frozen. \
            `format=csv` (or `Accept: text/csv`) is the table of the statement.",
        )
        .tag("soa-versions")
        .past()
        .answers::<SoaVersionShown>("The version.")
        .or_csv();
}
