//! The OpenAPI document, generated from what is mounted.
use super::complete::finished;
use super::rooms::rooms;
use crate::core::{Code, Schemas, problem};
use crate::http::{Api, Document, parameters, references};
use crate::registers::REGISTERS;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{PartialSchema, ToSchema};

/// The whole document.
pub fn document() -> Value {
    let mut document = Document::default();
    let mount =
        |app: &mut actix_web::web::ServiceConfig| rooms(Api::new(app, &mut document, super::KINDS));
    drop(actix_web::App::new().configure(mount));
    document.schema("Problem", json!(problem::Body::schema()));
    document.named(problem::Body::schemas);
    open_operations(&mut document);
    for name in &document.clashes {
        log::error!("two schemas are called {name}");
    }
    finished(document.framed(frame()))
}

/// The schemas that bodies are held to: those of the document.
pub fn schemas() -> Arc<Schemas> {
    Arc::new(Schemas::of(&document()))
}

/// What needs no key.
fn open_operations(to: &mut Document) {
    let status = json!({"type": "object", "description": "How it is.", "required": ["status"],
        "properties": {"status": {"type": "string", "maxLength": 16,
            "description": "`ok` or `ready`."}}});
    to.schema("Health", status);
    let health = |text: &str| {
        json!({"description": text,
        "content": {"application/json": {"schema": references::schema("Health"),
            "example": {"status": "ok"}}}})
    };
    let refused = |status: u16| json!({"$ref": format!("#/components/responses/Problem{status}")});
    to.operation(
        "/healthz",
        "get",
        json!({"operationId": "getHealth", "tags": ["service"],
        "summary": "Is the process there?", "description": "A constant answer, without the \
            database.", "security": [{}], "responses": {"200": health("It is."),
                "400": refused(400), "500": refused(500)}}),
    );
    to.operation(
        "/readyz",
        "get",
        json!({"operationId": "getReadiness", "tags": ["service"],
        "summary": "Can it work?", "description": "Asks the database and the object store.",
            "security": [{}], "responses": {"200": health("It can."), "400": refused(400),
                "500": refused(500), "503": refused(503)}}),
    );
    let any = json!({"type": "object", "description": "An OpenAPI 3.1 document.",
        "additionalProperties": true, "maxProperties": 100});
    to.schema("OpenApiDocument", any);
    let found = json!({"description": "The document.", "headers": references::headers(&["ETag"]),
        "content": {"application/json": {"schema": references::schema("OpenApiDocument"),
            "example": {"openapi": "3.1.0"}}}});
    to.operation(
        "/v1/openapi.json",
        "get",
        json!({"operationId": "getOpenApi",
        "tags": ["service"], "summary": "Get this document", "description": "OpenAPI 3.1, as it \
            is committed with the source.", "security": [{}],
            "parameters": [references::parameter("IfNoneMatch")], "responses": {"200": found,
                "304": {"description": "Unchanged since the tag that you sent.",
                    "headers": references::headers(&["ETag"])},
                    "400": refused(400), "429": refused(429), "500": refused(500)}}),
    );
}

/// What belongs to the tags beside the registers.
const TAGS: &[(&str, &str)] = &[
    (
        "statement-of-applicability",
        "Do: the statement of applicability of a scope (6.1.3 d), live and as of any moment.",
    ),
    (
        "risk-matrix",
        "Plan: risks by likelihood and impact (6.1.2).",
    ),
    (
        "risk-treatment-plan",
        "Plan: what is done about each risk above the acceptance criteria, by whom and until when \
            (6.1.3 e).",
    ),
    (
        "risk-trend",
        "Check: how many risks stood at which level, over time (9.1).",
    ),
    (
        "overview",
        "Check: a dashboard's home in one request (9.1).",
    ),
    (
        "ledger",
        "Check: the change feed and the audit trail (7.5.3, 9.1).",
    ),
    (
        "auth",
        "Do: logins, tokens, and who one is (A.5.17, A.8.5).",
    ),
    ("users", "Do: people with a login (A.5.16)."),
    (
        "api-keys",
        "Do: keys for machines and for people who read (A.5.17).",
    ),
    (
        "service",
        "Apart from the cycle: health of the service, and this document.",
    ),
];

fn lowered(text: &str) -> String {
    text.chars()
        .take(1)
        .flat_map(char::to_lowercase)
        .chain(text.chars().skip(1))
        .collect()
}

/// Title, security, tags, and what operations refer to.
fn frame() -> Value {
    let mut tags: Vec<Value> = REGISTERS
        .iter()
        .map(|room| {
            json!({"name": room.kind.path, "description": format!("{:?}: {}",
            room.kind.part, lowered(room.kind.about))})
        })
        .collect();
    tags.extend(
        TAGS.iter()
            .map(|(name, about)| json!({"name": name, "description": about})),
    );
    tags.sort_by_key(|tag| tag.get("name").and_then(Value::as_str).map(str::to_owned));
    let about = "A headless information security management system (ISO/IEC 27001:2022): scope, \
        assets, risks, controls, statement of applicability, evidence, nonconformities. \
        Every change is an entry of an append-only ledger; every read can be asked as of any past \
        moment. \
        Where `x-extensible-enum` stands beside `enum`, answers may have further words in a later \
        minor version; requests take those of `enum` alone.";
    json!({
        "openapi": "3.1.0",
        "info": {"title": "isms", "version": env!("CARGO_PKG_VERSION"), "description": about,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                "contact": {"name": "Maintainers of isms", "url": "https://example.org/isms",
                    "email": "isms@example.org"}},
        "servers": [{"url": "https://localhost:8080", "description": "Where the service is run."}],
        "tags": tags,
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer",
                "description": "An API key (`isms_…`), or an access token of a login."}},
            "responses": problems(), "headers": headers(), "parameters": parameters::parameters(),
        },
    })
}

/// One response for each status that a problem has.
fn problems() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<(&str, &str, &str)>> = BTreeMap::new();
    for code in Code::ALL {
        let (place, name, status, title) = code.row();
        by_status
            .entry(status)
            .or_default()
            .push((place, name, title));
    }
    let response = |(status, codes): (u16, Vec<(&str, &str, &str)>)| {
        let words: Vec<String> = codes
            .iter()
            .map(|(_, name, title)| format!("`{name}`: {title}."))
            .collect();
        let (place, name, title) = codes.first().copied().unwrap_or_default();
        let example = json!({"type": place, "title": title, "status": status, "code": name,
            "detail": title, "request_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e", "errors": [],
                "allowed": [], "needed_by": []});
        let mut response = json!({"description": words.join(" "),
            "content": {"application/problem+json": {"schema": references::schema("Problem"),
                "example": example}}});
        let with: &[&str] = match status {
            401 => &["WWW-Authenticate"],
            429 => &["Retry-After", "RateLimit", "RateLimit-Policy"],
            503 => &["Retry-After"],
            _ => &[],
        };
        if let Some(members) = response.as_object_mut().filter(|_| !with.is_empty()) {
            members.insert("headers".into(), references::headers(with));
        }
        if status == 409 {
            let wait = json!({"Retry-After": {"description": "Seconds to wait, while the same \
                request is being worked on.", "schema": {"type": "integer", "format": "int32",
                    "minimum": 0, "maximum": 3600}}});
            response
                .as_object_mut()
                .map(|members| members.insert("headers".into(), wait));
        }
        (format!("Problem{status}"), response)
    };
    by_status.into_iter().map(response).collect()
}

fn headers() -> Value {
    let header = |about: &str, always: bool, schema: Value| {
        json!({"description": about,
        "required": always, "schema": schema})
    };
    let text = |about: &str, always: bool| {
        header(about, always, json!({"type": "string", "maxLength": 4000}))
    };
    let number = |about: &str| {
        header(
            about,
            true,
            json!({"type": "integer", "format": "int64", "minimum": -1, "maximum": i64::MAX}),
        )
    };
    json!({
        "ETag": text("Stands for what was read; `If-Match` and `If-None-Match` take it.", true),
        "Location": text("Where the new record is.", true),
        "Link": text("The next page, `rel=\"next\"` (RFC 8288).", false),
        "Ledger-Position": number("The ledger's last position that was seen."),
        "Content-Disposition": text("A name for the file (RFC 6266).", false),
        "Accept-Ranges": text("`bytes`.", false),
        "Content-Range": text("Which bytes these are, and of how many, where it is a range.", false),
        "Repr-Digest": text("The digest of the whole content (RFC 9530).", false),
        "Idempotency-Replayed": header("`true` when the stored answer of the first attempt is \
            given again.", false, json!({"type": "string", "enum": ["true"]})),
        "Retry-After": number("Seconds to wait."),
        "WWW-Authenticate": text("How to authenticate.", true),
        "X-Request-Id": header("The request, as in the log and in problems.", true, json!({
            "type": "string", "format": "uuid", "maxLength": 36})),
        "RateLimit": text("Requests left, and when there are all again (IETF draft); where there \
            is a limit.", false),
        "RateLimit-Policy": text("Requests a minute and key (IETF draft); where there is a \
            limit.", false),
    })
}
