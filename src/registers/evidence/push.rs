//! How evidence comes in: a JSON payload, or a file with its metadata as multipart. The content is
//! whole and durable on disk before any row names it, and takes its place in the store only when
//! the push is accepted. The same push again answers the first; other content under the same
//! identity is refused; a later one supersedes.
use crate::access::Limits;
use crate::core::{Code, Id, Instant, Invalid, Problem, Result, json};
use crate::db::dialect::standing;
use crate::db::files::{Files, Incoming};
use crate::db::schema::versions as v;
use crate::http::references::schema;
use crate::http::{Answer, Document, Guard, Push, describe, input};
use crate::records::body::{held, part};
use crate::records::{Body, Kind, Record, Resource, Sound, Tx, sight};
use crate::registers::evidence::identity::{Side, other, superseded};
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::receive;
use crate::registers::evidence::receive::Content;
use crate::registers::evidence::retention;
use crate::registers::evidence::{Evidence, Pushed};
use actix_web::web;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use validator::Validate;

/// What a push says of its evidence, beside what every record has.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Where it comes from; a key that is limited to one source need not say.
    #[serde(default, deserialize_with = "crate::core::text::composed_name")]
    #[validate(custom(function = crate::core::text::legible))]
    #[schema(min_length = 1, max_length = 200)]
    pub source: Option<String>,
    /// What the source calls it.
    #[serde(default, deserialize_with = "crate::core::text::composed_name")]
    #[validate(custom(function = crate::core::text::legible))]
    #[schema(min_length = 1, max_length = 200)]
    pub external_id: Option<String>,
    /// When it was collected; now, when absent.
    pub collected_at: Option<Instant>,
    /// What it showed, where it is a test: a current one that failed makes its controls failing.
    pub outcome: Option<EvidenceOutcome>,
    /// The first day that it covers.
    pub period_start_on: Option<NaiveDate>,
    /// The last day that it covers.
    pub period_end_on: Option<NaiveDate>,
    /// The last day on which it proves something.
    pub expires_on: Option<NaiveDate>,
    /// The day until which it must be kept, at most 50 years ahead. A collector does not say it.
    pub retain_until_on: Option<NaiveDate>,
    /// Is it a provider's own attestation (a certificate, an assurance report)? Only such evidence
    /// proves what a provider does. A collector does not say it.
    pub attests: Option<bool>,
}

const TOLD: &[&str] = &[
    "source",
    "external_id",
    "collected_at",
    "outcome",
    "period_start_on",
    "period_end_on",
    "expires_on",
    "retain_until_on",
    "attests",
];

/// Pushes evidence.
pub async fn push(guard: Guard<Push<Evidence>>, payload: web::Payload) -> Result<Answer> {
    let headers = guard.headers();
    input::media(headers, &["application/json", "multipart/form-data"])?;
    let multipart = input::essence(headers).is_some_and(|media| media.starts_with("multipart/"));
    let files = guard.house().files().clone();
    let limit = guard.house().file_limit();
    let received = receive::body(headers, payload, multipart, &files, limit);
    let (mut metadata, mut content) = received.await?;
    if let Some(payload) = metadata.remove("payload").filter(|value| !value.is_null()) {
        if content.is_some() {
            return Err(Problem::invalid_one(
                "/payload",
                "either",
                "send either a payload or a file",
            ));
        }
        content = Some(receive::of_payload(&files, &payload).await?);
    }
    let content = content.ok_or_else(|| {
        Problem::invalid_one(
            "/payload",
            "required",
            "send a payload, or a file as multipart",
        )
    })?;
    let (told, draft) = read(&guard, metadata.clone())?;
    let marks = json::canonical(
        &serde_json::json!({"metadata": metadata, "file": content.sha256,
            "name": content.file_name}),
    )?;
    let Content {
        file,
        sha256,
        size_bytes,
        media_type,
        file_name,
    } = content;
    let pushed = Pushed {
        source: told.source.unwrap_or_default(),
        external_id: told.external_id,
        outcome: told.outcome,
        period_start_on: told.period_start_on,
        period_end_on: told.period_end_on,
        expires_on: told.expires_on,
        retain_until_on: told.retain_until_on,
        attests: told.attests.unwrap_or_default(),
        file_name,
        sha256,
        size_bytes,
        media_type,
        pushed_by_id: guard.caller().actor.id,
        ..Pushed::default()
    };
    guard
        .effect(marks.as_bytes(), move |tx| {
            enter(tx, draft, pushed, told.collected_at, (&files, file))
        })
        .await
}

/// What was told, and what every record has; every fault is named.
fn read(
    guard: &Guard<Push<Evidence>>,
    mut metadata: Map<String, Value>,
) -> Result<(Told, Sound<Evidence>)> {
    let schema = guard.house().schemas().sent("EvidenceMetadata")?;
    let mut faults = held(Some(schema), &mut metadata);
    let (told, rest): (Map<_, _>, Map<_, _>) = metadata
        .into_iter()
        .partition(|(name, _)| TOLD.contains(&name.as_str()));
    let told = part::<Told>(told, Map::new, &mut faults);
    let sound = Body::<Evidence>::taken(rest, faults).sound()?;
    let mut told = told.ok_or_else(|| Problem::internal("a push that says nothing"))?;
    let limits = &guard.caller().limits;
    if told.source.is_none() {
        told.source = Some(if let [only] = limits.sources.as_slice() {
            only.clone()
        } else {
            "manual".into()
        });
    }
    if !limits.sources.is_empty()
        && !told
            .source
            .as_ref()
            .is_some_and(|source| limits.sources.contains(source))
    {
        return Err(Problem::new(
            Code::OutsideLimits,
            "Your key is limited to other sources.",
        ));
    }
    if guard.caller().collects() {
        for_people(&told)?;
    }
    let mut faults = Vec::new();
    if told
        .period_start_on
        .zip(told.period_end_on)
        .is_some_and(|(start, end)| end < start)
    {
        faults.push(Invalid::body(
            "/period_end_on",
            "order",
            "is before period_start_on",
        ));
    }
    let now = guard.house().clock().now();
    if told
        .collected_at
        .is_some_and(|at| at > now.plus_millis(300_000))
    {
        faults.push(Invalid::body(
            "/collected_at",
            "later_than_now",
            "is in the future",
        ));
    }
    faults.extend(retention::too_long(
        told.retain_until_on,
        now.utc().date_naive(),
    ));
    if faults.is_empty() {
        Ok((told, sound))
    } else {
        Err(Problem::invalid(faults))
    }
}

/// What a machine does not say: how long something must be kept, and that it is a provider's word.
fn for_people(told: &Told) -> Result<()> {
    let said = [
        ("retain_until_on", told.retain_until_on.is_some()),
        ("attests", told.attests == Some(true)),
    ];
    let faults: Vec<Invalid> = said
        .into_iter()
        .filter(|(_, said)| *said)
        .map(|(member, _)| {
            Invalid::body(
                format!("/{member}"),
                "forbidden",
                "collectors cannot set this; ask a manager",
            )
        })
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => {
            let detail = "Collectors cannot decide how long evidence is kept, or that it is a \
                provider's attestation.";
            Err(Problem::new(Code::Forbidden, detail).listing(faults))
        }
    }
}

/// Enters the evidence: once for an identity, superseding what came before it.
fn enter(
    tx: &mut Tx<'_, Push<Evidence>>,
    mut draft: Sound<Evidence>,
    mut said: Pushed,
    collected_at: Option<Instant>,
    (files, file): (&Files, Incoming),
) -> Result<crate::ledger::Recorded<Answer>> {
    let tenant = tx.caller().tenant;
    said.collected_at = collected_at.unwrap_or_else(|| tx.now());
    said.collected_on = said.collected_at.day(tx.settings().zone);
    if let Some(first) = other(tx, &said, Side::Same)? {
        if first.sha256 != said.sha256 {
            let problem = Problem::new(
                Code::EvidenceDiffers,
                "This source has already pushed different content with this external id and time \
                    of collection. Send a new `collected_at` with new content.",
            );
            return Err(problem.needed_by([Evidence::KIND.numbered(first.number)]));
        }
        // It is there already; should the store have lost it, this brings it back.
        files.keep(tenant, &said.sha256, file)?;
        let row = tx.reader().standing::<Evidence>(first.id)?;
        let position = tx.position();
        let shown = tx.reader().show::<Evidence>(row)?;
        return tx.unchanged(Answer::shown(crate::records::Shown { position, ..shown }));
    }
    let named = said.external_id.is_some();
    let neighbour = |tx: &mut Tx<'_, _>, side| {
        if named {
            other(tx, &said, side)
        } else {
            Ok(None)
        }
    };
    let (before, after) = (neighbour(tx, Side::Before)?, neighbour(tx, Side::After)?);
    let id = Id::new();
    let before: Option<Record<Evidence>> =
        before.map(|before| superseded(tx, before.id)).transpose()?;
    if let Some(before) = &before {
        inherit(tx, &mut draft, before)?;
    }
    let sha256 = said.sha256.clone();
    said.superseded_by_id = after.map(|after| after.id);
    let draft = tx.draft(draft)?;
    let made = tx.create_as(id, draft, said, "active")?;
    let answer = tx
        .shown(made)?
        .map(|shown| Answer::created(shown, "evidence"));
    if let Some(before) = before {
        let mut old = before.clone();
        old.state.superseded_by_id = Some(id);
        tx.because(Some("A later piece superseded it.".into()));
        let _superseded = tx.save(&before, old, "supersede")?;
    }
    // Last: what was refused above has left nothing in the store; what fails below leaves a content
    // without a row, never a row without its content.
    files.keep(tenant, &sha256, file)?;
    Ok(answer)
}

/// The members that a later piece takes over.
const INHERITED: [&str; 3] = ["control_ids", "subject_ids", "scope_ids"];

/// A push that names no links has those of the piece that it supersedes, as far as its key sees
/// them.
fn inherit(
    tx: &mut Tx<'_, Push<Evidence>>,
    draft: &mut Sound<Evidence>,
    before: &Record<Evidence>,
) -> Result<()> {
    let named = INHERITED.iter().any(|member| {
        draft
            .references
            .get(member)
            .is_some_and(|ids| !ids.is_empty())
    });
    if named || !draft.own.requirements.is_empty() {
        return Ok(());
    }
    draft.own.requirements.clone_from(&before.own.requirements);
    let linked = |member: &&str| before.links.many(member).to_vec();
    let ids: Vec<Id> = INHERITED.iter().flat_map(linked).collect();
    let seen = living(tx, &ids)?;
    for member in INHERITED {
        let kept = before
            .links
            .many(member)
            .iter()
            .filter(|id| seen.contains(id))
            .map(Id::to_string);
        draft.references.insert(member, kept.collect());
    }
    Ok(())
}

/// Which of these stand, and are seen: one query.
fn living(tx: &mut Tx<'_, Push<Evidence>>, ids: &[Id]) -> Result<BTreeSet<Id>> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let caller = tx.caller();
    let live = v::table
        .filter(v::tenant_id.eq(caller.tenant).and(v::archived_at.is_null()))
        .filter(standing());
    let mut live = live.filter(v::id.eq_any(ids.to_vec())).into_boxed();
    if caller.limits != Limits::default() {
        let kinds: Vec<&Kind> = tx.kinds().all().iter().collect();
        if let Some(shown) = sight::shown(caller, &kinds, crate::db::dialect::NOW) {
            live = live.filter(shown);
        }
    }
    Ok(live
        .select(v::id)
        .load::<Id>(tx.conn())?
        .into_iter()
        .collect())
}

/// What can be pushed.
fn schemas(to: &mut Document) {
    use crate::records::Common;
    let nullable = |(name, schema): (String, Value)| {
        if name == "name" {
            (name, schema)
        } else {
            (name, describe::nullable(schema))
        }
    };
    let payload = json!({"description": "Any JSON value but null; kept and hashed in its \
        canonical form (RFC 8785).", "$ref": "#/components/schemas/AnyValue"});
    let common = describe::members::<Common>()
        .into_iter()
        .chain(describe::members::<Evidence>())
        .chain(describe::members::<Told>());
    let links = Evidence::KIND
        .all_relations()
        .map(|relation| describe::link(relation, true));
    let told: Map<String, Value> = common.chain(links).map(nullable).collect();
    let mut with_payload = told.clone();
    with_payload.insert("payload".into(), payload);
    let about = "Evidence to push: a payload here, or a file beside it as multipart.";
    to.schema(
        "EvidenceInput",
        json!({"type": "object", "description": about,
        "additionalProperties": false, "required": ["name", "payload"], "properties": with_payload,
        "example": {"name": "Backup report", "source": "backup", "external_id": "nightly",
            "collected_at": "2026-11-20T03:00:00Z", "payload": {"jobs": 12, "failed": 0}}}),
    );
    to.schema(
        "EvidenceMetadata",
        json!({"type": "object", "description": "What is told of a \
        file.", "additionalProperties": false, "required": ["name"], "properties": told}),
    );
    to.schema(
        "EvidenceUpload",
        json!({"type": "object", "description": "A file with what is told \
        of it.", "additionalProperties": false, "required": ["metadata", "file"],
        "properties": {"metadata": {"$ref": "#/components/schemas/EvidenceMetadata"},
            "file": {"type": "string", "format": "binary", "maxLength": 104857600,
                "description": "The file, up to 100 MiB by default."}}}),
    );
}

/// Mounts the push: one operation with two media types.
pub fn mount(api: &mut crate::http::Api<'_>) {
    schemas(api.document);
    let op = api.post("/v1/evidence", push).id("createEvidence");
    op.says(
        "Push evidence",
        "The same source, external id and moment again, with the same content, answers the \
            first. A later moment supersedes the piece before and takes its links when it names \
            none.",
    );
    op.parameter(
        json!({"name": "Content-Digest", "in": "header", "required": false,
        "description": "RFC 9530 digest of the body; checked when sent.",
        "schema": {"type": "string", "maxLength": 200,
            "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"}}),
    );
    op.retried().never(&[404, 412]).body_named("EvidenceInput");
    let upload = json!({"schema": schema("EvidenceUpload"),
        "encoding": {"metadata": {"contentType": "application/json"}}});
    op.content_with("multipart/form-data", upload);
    op.record("Evidence", "It was there already: the first answer.")
        .header("ETag");
    op.answer(201, "Entered.", "application/json", schema("Evidence"));
}
