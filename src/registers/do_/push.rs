//! How evidence comes in: a JSON payload, or a file with its metadata as multipart. The content is whole and durable on disk before any row names
//! it. The same push again answers the first; other content under the same identity is refused; a later one supersedes.
use super::control::Control;
use super::evidence::{Evidence, Pushed};
use crate::access::Limits;
use crate::core::{Code, Id, Instant, Invalid, Problem, Result, TenantId, json, text::hex};
use crate::db::schema::{evidence as ev, versions as v};
use crate::db::{Conn, files::Incoming};
use crate::http::{Answer, Document, Guard, Push, describe, input};
use crate::records::{Draft, Record, Selector, Tx};
use actix_multipart::Multipart;
use actix_web::http::header;
use actix_web::{HttpRequest, post, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::NaiveDate;
use diesel::prelude::*;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use utoipa::ToSchema;
use validator::Validate;

/// Bytes of metadata, and of a payload.
const METADATA_LIMIT: usize = input::JSON_LIMIT;
/// How long a part may stay silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a push says of its evidence, beside what every record has.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Where it comes from; a key that is limited to one source need not say.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub source: Option<String>,
    /// What the source calls it.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub external_id: Option<String>,
    /// When it was collected; now, when absent.
    pub collected_at: Option<Instant>,
    /// The first day that it covers.
    pub period_start_on: Option<NaiveDate>,
    /// The last day that it covers.
    pub period_end_on: Option<NaiveDate>,
    /// The last day on which it proves something.
    pub expires_on: Option<NaiveDate>,
    /// The day until which it must be kept.
    pub retain_until_on: Option<NaiveDate>,
    /// Is it a provider's own attestation (a certificate, an assurance report)? Only such evidence proves what a provider does.
    pub attests: Option<bool>,
}

const TOLD: &[&str] =
    &["source", "external_id", "collected_at", "period_start_on", "period_end_on", "expires_on", "retain_until_on", "attests"];

/// A content that was received and is still to be kept.
struct Content {
    file: Incoming,
    sha256: String,
    size_bytes: i64,
    media_type: String,
    file_name: Option<String>,
}

/// Pushes evidence.
#[post("/v1/evidence")]
pub async fn push(guard: Guard<Push<Evidence>>, request: HttpRequest, payload: web::Payload) -> Result<Answer> {
    input::no_parameters(&request)?;
    input::media(&request, &["application/json", "multipart/form-data"])?;
    let digest = Rc::new(RefCell::new(Sha256::new()));
    let stream = hashed(payload, digest.clone());
    let multipart = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.to_ascii_lowercase().starts_with("multipart/"));
    let (mut metadata, mut content) = if multipart { receive(&guard, &request, stream).await? } else { (body(stream).await?, None) };
    check_digest(&request, &digest.borrow().clone().finalize())?;
    if let Some(payload) = metadata.remove("payload").filter(|value| !value.is_null()) {
        if content.is_some() {
            return Err(Problem::invalid_one("/payload", "either", "either a payload or a file is given"));
        }
        content = Some(payload_content(&guard, &payload)?);
    }
    let content = content.ok_or_else(|| Problem::invalid_one("/payload", "required", "a payload is needed, or a file as multipart"))?;
    let (told, draft) = read(&guard, metadata.clone())?;
    let marks = json::canonical(&serde_json::json!({"metadata": metadata, "file": content.sha256, "name": content.file_name}))?;
    let (tenant, house) = (guard.caller().tenant, guard.house().clone());
    let pushed = Pushed {
        source: told.source.unwrap_or_default(),
        external_id: told.external_id,
        period_start_on: told.period_start_on,
        period_end_on: told.period_end_on,
        expires_on: told.expires_on,
        retain_until_on: told.retain_until_on,
        attests: told.attests.unwrap_or_default(),
        file_name: content.file_name,
        sha256: content.sha256.clone(),
        size_bytes: content.size_bytes,
        media_type: content.media_type,
        pushed_by_id: guard.caller().actor.id,
        ..Pushed::default()
    };
    let (files, file) = (house.files().clone(), content.file);
    web::block(move || files.keep(tenant, &content.sha256, file)).await.map_err(Problem::internal)??;
    guard.effect(marks.as_bytes(), move |tx| enter(tx, draft, pushed, told.collected_at)).await
}

/// The stream, hashed on the way.
fn hashed(
    payload: web::Payload,
    digest: Rc<RefCell<Sha256>>,
) -> impl Stream<Item = std::result::Result<web::Bytes, actix_web::error::PayloadError>> {
    payload.inspect(move |chunk| {
        if let Ok(bytes) = chunk {
            digest.borrow_mut().update(bytes);
        }
    })
}

async fn body(stream: impl Stream<Item = std::result::Result<web::Bytes, actix_web::error::PayloadError>>) -> Result<Map<String, Value>> {
    let (mut bytes, mut stream) = (Vec::new(), Box::pin(stream));
    while let Some(chunk) = tokio::time::timeout(PATIENCE, stream.next()).await.map_err(late)? {
        bytes.extend_from_slice(&chunk.map_err(broken)?);
        if bytes.len() > METADATA_LIMIT {
            return Err(input::too_large(METADATA_LIMIT as u64));
        }
    }
    json::object(&bytes)
}
fn late(_: tokio::time::error::Elapsed) -> Problem {
    Problem::new(Code::RequestTimeout, "The body did not arrive in time.")
}
fn broken(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Malformed, format!("The body broke off or is not well formed: {why}."))
}

/// Receives `metadata` and `file`; the file goes to disk as it comes, hashed on the way.
async fn receive(
    guard: &Guard<Push<Evidence>>,
    request: &HttpRequest,
    stream: impl Stream<Item = std::result::Result<web::Bytes, actix_web::error::PayloadError>> + 'static,
) -> Result<(Map<String, Value>, Option<Content>)> {
    let mut parts = Multipart::new(request.headers(), stream);
    let (mut metadata, mut content, limit) = (None, None, guard.house().file_limit());
    while let Some(part) = tokio::time::timeout(PATIENCE, parts.next()).await.map_err(late)? {
        let mut part = part.map_err(broken)?;
        let disposition = part.content_disposition().cloned();
        match part.name().unwrap_or_default() {
            "metadata" if metadata.is_none() => {
                let mut bytes = Vec::new();
                while let Some(chunk) = tokio::time::timeout(PATIENCE, part.next()).await.map_err(late)? {
                    bytes.extend_from_slice(&chunk.map_err(broken)?);
                    if bytes.len() > METADATA_LIMIT {
                        return Err(input::too_large(METADATA_LIMIT as u64));
                    }
                }
                metadata = Some(json::object(&bytes)?);
            }
            "file" if content.is_none() => {
                let declared = part.content_type().map(ToString::to_string);
                let (mut file, mut sha, mut size, mut head) = (guard.house().files().receive()?, Sha256::new(), 0_u64, Vec::new());
                while let Some(chunk) = tokio::time::timeout(PATIENCE, part.next()).await.map_err(late)? {
                    let chunk = chunk.map_err(broken)?;
                    size += chunk.len() as u64;
                    if size > limit {
                        return Err(input::too_large(limit));
                    }
                    head.extend(chunk.iter().copied().take(512_usize.saturating_sub(head.len())));
                    sha.update(&chunk);
                    file.write_all(&chunk).map_err(Problem::internal)?;
                }
                let file_name = disposition.as_ref().and_then(|d| d.get_filename()).map(cleaned).filter(|name| !name.is_empty());
                let (sha256, media_type) = (hex(&sha.finalize()), media_type(&head, declared.as_deref()));
                content = Some(Content { file, sha256, size_bytes: size as i64, media_type, file_name });
            }
            other => {
                let name: String = other.chars().take(60).collect();
                return Err(Problem::invalid_one(&format!("/{name}"), "unknown_part", "the parts are `metadata` and `file`, each once"));
            }
        }
    }
    if content.is_none() {
        return Err(Problem::invalid_one("/file", "required", "a part `file` is needed"));
    }
    Ok((metadata.ok_or_else(|| Problem::invalid_one("/metadata", "required", "a part `metadata` is needed"))?, content))
}

/// The last part of a path, without control characters.
fn cleaned(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|letter| !letter.is_control()).take(255).collect()
}

/// By the first bytes; text by its declared type.
fn media_type(head: &[u8], declared: Option<&str>) -> String {
    let sniffed = infer::get(head).map(|kind| kind.mime_type().to_owned());
    let declared = declared.map(str::to_ascii_lowercase).filter(|given| given.len() <= 255 && given.is_ascii());
    let plain = std::str::from_utf8(head).is_ok_and(|text| !text.contains('\0'));
    sniffed
        .or(declared.filter(|given| plain == textual(given)))
        .unwrap_or_else(|| if plain { "text/plain" } else { "application/octet-stream" }.to_owned())
}
fn textual(media: &str) -> bool {
    media.starts_with("text/") || ["json", "xml", "yaml", "javascript", "csv"].iter().any(|word| media.contains(word))
}

/// A payload's content is its canonical JSON, so that `sha256sum` of what comes out agrees.
fn payload_content(guard: &Guard<Push<Evidence>>, payload: &Value) -> Result<Content> {
    let text = json::canonical(payload)?;
    let mut file = guard.house().files().receive()?;
    file.write_all(text.as_bytes()).map_err(Problem::internal)?;
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    Ok(Content { file, sha256, size_bytes: text.len() as i64, media_type: "application/json".into(), file_name: None })
}

/// `Content-Digest` (RFC 9530) of the body, where it was sent.
fn check_digest(request: &HttpRequest, digest: &[u8]) -> Result<()> {
    let Some(sent) = request.headers().get("Content-Digest") else { return Ok(()) };
    let fault = |detail: &str| Err(Problem::new(Code::Malformed, detail));
    let value = sent.to_str().unwrap_or_default().split(',').find_map(|item| item.trim().strip_prefix("sha-256="));
    let Some(value) = value.and_then(|value| value.strip_prefix(':')?.strip_suffix(':')) else {
        return fault("Content-Digest is understood with sha-256 alone.");
    };
    match STANDARD.decode(value) {
        Ok(bytes) if bytes == digest => Ok(()),
        Ok(_) => fault("The body does not have the Content-Digest that was sent; send it again."),
        Err(_) => fault("Content-Digest cannot be read."),
    }
}

/// What was told, and what every record has; every fault is named.
fn read(guard: &Guard<Push<Evidence>>, metadata: Map<String, Value>) -> Result<(Told, Draft<Evidence>)> {
    let (told, rest): (Map<_, _>, Map<_, _>) = metadata.into_iter().partition(|(name, _)| TOLD.contains(&name.as_str()));
    let (told, draft) = (crate::records::read_part::<Told>(told), Draft::<Evidence>::read(rest));
    let faults: Vec<Invalid> =
        [told.as_ref().err(), draft.as_ref().err()].into_iter().flatten().flat_map(|p| p.errors().to_vec()).collect();
    let (Ok(mut told), Ok(draft)) = (told, draft) else { return Err(Problem::invalid(faults)) };
    let limits = &guard.caller().limits;
    if told.source.is_none() {
        told.source = Some(if let [only] = limits.sources.as_slice() { only.clone() } else { "manual".into() });
    }
    if !limits.sources.is_empty() && !told.source.as_ref().is_some_and(|source| limits.sources.contains(source)) {
        return Err(Problem::new(Code::OutsideLimits, "This key is limited to other sources."));
    }
    let mut faults = Vec::new();
    if told.period_start_on.zip(told.period_end_on).is_some_and(|(start, end)| end < start) {
        faults.push(Invalid::body("/period_end_on", "order", "lies before period_start_on"));
    }
    if told.collected_at.is_some_and(|at| at > guard.house().clock().now().plus_millis(300_000)) {
        faults.push(Invalid::body("/collected_at", "later_than_now", "lies in the future"));
    }
    if faults.is_empty() { Ok((told, draft)) } else { Err(Problem::invalid(faults)) }
}

/// A piece of the same source and name.
type Other = (Id, Instant, String);

fn of_identity(conn: &mut Conn, tenant: TenantId, said: &Pushed, at: std::cmp::Ordering) -> QueryResult<Option<Other>> {
    let mut same = ev::table
        .inner_join(v::table.on(v::tenant_id.eq(ev::tenant_id).and(v::id.eq(ev::id)).and(v::version.eq(ev::version))))
        .filter(
            ev::tenant_id
                .eq(tenant)
                .and(ev::source.eq(&said.source))
                .and(v::to_seq.eq(crate::db::dialect::OPEN))
                .and(v::archived_at.is_null()),
        )
        .select((ev::id, ev::collected_at, ev::sha256))
        .into_boxed();
    same = match &said.external_id {
        Some(name) => same.filter(ev::external_id.eq(name)),
        None => same.filter(ev::external_id.is_null()).filter(ev::sha256.eq(&said.sha256)),
    };
    let same = match at {
        std::cmp::Ordering::Less => same.filter(ev::collected_at.lt(said.collected_at)).order(ev::collected_at.desc()),
        std::cmp::Ordering::Equal => same.filter(ev::collected_at.eq(said.collected_at)).order(ev::collected_at),
        std::cmp::Ordering::Greater => same.filter(ev::collected_at.gt(said.collected_at)).order(ev::collected_at),
    };
    same.first(conn).optional()
}

/// Enters the evidence: once for an identity, superseding what came before it.
fn enter(
    tx: &mut Tx<'_, Push<Evidence>>,
    mut draft: Draft<Evidence>,
    mut said: Pushed,
    collected_at: Option<Instant>,
) -> Result<crate::ledger::Recorded<Answer>> {
    let tenant = tx.caller().tenant;
    said.collected_at = collected_at.unwrap_or_else(|| tx.now());
    if let Some((id, _, sha256)) = of_identity(tx.conn(), tenant, &said, std::cmp::Ordering::Equal)? {
        if sha256 != said.sha256 {
            let problem = Problem::new(Code::EvidenceDiffers, "This source has pushed other content under this name and moment.");
            return Err(problem.needed_by([id.to_string()]));
        }
        let first = tx.reader().shown::<Evidence>(&Selector::Id(id), false)?;
        return tx.unchanged(Answer::shown(first));
    }
    let named = said.external_id.is_some();
    let neighbour = |tx: &mut Tx<'_, _>, at| if named { of_identity(tx.conn(), tenant, &said, at) } else { Ok(None) };
    let (before, after) = (neighbour(tx, std::cmp::Ordering::Less)?, neighbour(tx, std::cmp::Ordering::Greater)?);
    let id = Id::new();
    let before: Option<Record<Evidence>> = before.map(|(id, ..)| tx.reader().load(&Selector::Id(id), false)).transpose()?;
    if let Some(before) = &before {
        inherit(&mut draft, before);
        if tx.caller().limits != Limits::default() {
            // What the key does not see it does not pass on.
            if let Some(controls) = draft.references.get_mut("control_ids") {
                controls.retain(|id| Selector::parse(id, "control").is_some_and(|at| tx.reader().row::<Control>(&at, false).is_ok()));
            }
        }
    }
    said.superseded_by_id = after.map(|(id, ..)| id);
    let made = tx.create_as(id, draft, said, "active")?;
    let answer = tx.shown(made)?.map(|shown| Answer::created(shown, "evidence"));
    if let Some(before) = before {
        let mut old = before.clone();
        old.state.superseded_by_id = Some(id);
        tx.because(Some("A later piece took its place.".into()));
        let _superseded = tx.save(&before, old, "supersede")?;
    }
    Ok(answer)
}

/// A push that names no links has those of the piece that it supersedes.
fn inherit(draft: &mut Draft<Evidence>, before: &Record<Evidence>) {
    let named = ["control_ids", "scope_ids"].iter().any(|member| draft.references.get(member).is_some_and(|ids| !ids.is_empty()));
    if named || !draft.own.requirements.is_empty() {
        return;
    }
    for member in ["control_ids", "scope_ids"] {
        draft.references.insert(member, before.links.many(member).iter().map(Id::to_string).collect());
    }
    draft.own.requirements.clone_from(&before.own.requirements);
}

/// Describes the push: one operation with two media types.
pub fn describe(to: &mut Document) {
    use crate::records::{Common, Resource};
    use serde_json::json;
    let nullable = |(name, schema): (String, Value)| if name == "name" { (name, schema) } else { (name, describe::nullable(schema)) };
    let payload = json!({"description": "Any JSON value but null; kept and hashed in its canonical form (RFC 8785).", "$ref": "#/components/schemas/AnyValue"});
    let common = describe::members::<Common>().into_iter().chain(describe::members::<Evidence>()).chain(describe::members::<Told>());
    let links = Evidence::KIND.all_relations().map(|relation| describe::link(relation, true));
    let told: Map<String, Value> = common.chain(links).map(nullable).collect();
    let mut with_payload = told.clone();
    with_payload.insert("payload".into(), payload);
    let about = "Evidence to push: a payload here, or a file beside it as multipart.";
    to.schema("EvidenceInput", json!({"type": "object", "description": about, "additionalProperties": false, "required": ["name", "payload"], "properties": with_payload,
        "example": {"name": "Backup report", "source": "backup", "external_id": "nightly", "collected_at": "2026-11-20T03:00:00Z", "payload": {"jobs": 12, "failed": 0}}}));
    to.schema("EvidenceMetadata", json!({"type": "object", "description": "What is told of a file.", "additionalProperties": false, "required": ["name"], "properties": told}));
    to.schema("EvidenceUpload", json!({"type": "object", "description": "A file with what is told of it.", "additionalProperties": false, "required": ["metadata", "file"],
        "properties": {"metadata": {"$ref": "#/components/schemas/EvidenceMetadata"}, "file": {"type": "string", "format": "binary", "maxLength": 104857600, "description": "The file, up to 100 MiB by default."}}}));
    let answer = |text: &str| json!({"description": text, "headers": describe::headers(&["ETag"]), "content": {"application/json": {"schema": describe::schema("Evidence")}}});
    let mut responses = json!({"200": answer("It was there already: the first answer."), "201": answer("Entered.")});
    for status in [400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503] {
        if let Some(all) = responses.as_object_mut() {
            all.insert(status.to_string(), json!({"$ref": format!("#/components/responses/Problem{status}")}));
        }
    }
    let digest = json!({"name": "Content-Digest", "in": "header", "required": false, "description": "RFC 9530 digest of the body; checked when sent.", "schema": {"type": "string", "maxLength": 200, "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"}});
    to.operation("/v1/evidence", "post", json!({"operationId": "createEvidence", "tags": ["evidence"], "summary": "Push evidence", "security": [{"bearer": []}],
        "description": "The same source, external id and moment again, with the same content, answers the first. A later moment supersedes the piece before and takes its links when it names none.",
        "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}, digest],
        "requestBody": {"required": true, "content": {"application/json": {"schema": describe::schema("EvidenceInput")}, "multipart/form-data": {"schema": describe::schema("EvidenceUpload"), "encoding": {"metadata": {"contentType": "application/json"}}}}},
        "responses": responses}));
}
