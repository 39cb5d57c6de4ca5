//! How evidence comes in: a JSON payload, or a file with its metadata as multipart. The content is
//! whole and durable on disk before any row names it, and takes its place in the store only when
//! the push is accepted. The same push again answers the first; other content under the same
//! identity is refused; a later one supersedes.
use crate::access::Limits;
use crate::core::{Code, Id, Instant, Problem, Result, json};
use crate::db::dialect::{NOW, standing};
use crate::db::files::{Files, Incoming};
use crate::db::schema::versions as v;
use crate::http::references::schema;
use crate::http::{Answer, Guard, Push, input};
use crate::ledger::Recorded;
use crate::records::{Kind, Record, RenderedRecord, Resource, Sound, Tx, sight};
use crate::registers::evidence::identity::{Side, other, superseded};
use crate::registers::evidence::receive::{self, Content};
use crate::registers::evidence::told::{read, schemas};
use crate::registers::evidence::{Evidence, Pushed};
use actix_web::web;
use diesel::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

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
    let marks = json::canonical(&json!({"metadata": metadata, "file": content.sha256,
            "name": content.file_name}))?;
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
        .write_raw(marks.as_bytes(), move |tx| {
            enter(tx, draft, pushed, told.collected_at, (&files, file))
        })
        .await
}

/// Enters the evidence: once for an identity, superseding what came before it.
fn enter(
    tx: &mut Tx<'_, Push<Evidence>>,
    mut draft: Sound<Evidence>,
    mut said: Pushed,
    collected_at: Option<Instant>,
    (files, file): (&Files, Incoming),
) -> Result<Recorded<Answer>> {
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
        return tx.unchanged(Answer::shown(RenderedRecord { position, ..shown }));
    }
    let named = said.external_id.is_some();
    let neighbour = |tx: &mut Tx<'_, _>, side| match named {
        true => other(tx, &said, side),
        false => Ok(None),
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
        if let Some(shown) = sight::shown(caller, &kinds, NOW) {
            live = live.filter(shown);
        }
    }
    let found: Vec<Id> = live.select(v::id).load(tx.conn())?;
    Ok(found.into_iter().collect())
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
