//! The OpenAPI document, generated from what is mounted.
use super::app;
use crate::core::{Code, problem};
use crate::http::{Api, Document, describe};
use crate::registers::ROOMS;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{PartialSchema, ToSchema};

/// The whole document.
pub fn document() -> Value {
    super::introduce();
    let mut document = Document::default();
    let mount = |app: &mut actix_web::web::ServiceConfig| app::rooms(&mut Api { app, document: &mut document });
    drop(actix_web::App::new().configure(mount));
    document.schema("Problem", json!(problem::Body::schema()));
    document.named(problem::Body::schemas);
    open_operations(&mut document);
    for name in &document.clashes {
        log::error!("two schemas are called {name}");
    }
    finished(document.framed(frame()))
}

/// What needs no key.
fn open_operations(to: &mut Document) {
    let status = json!({"type": "object", "description": "How it is.", "required": ["status"], "properties": {"status": {"type": "string", "maxLength": 16, "description": "`ok` or `ready`."}}});
    to.schema("Health", status);
    let health = |text: &str| json!({"description": text, "content": {"application/json": {"schema": describe::schema("Health"), "example": {"status": "ok"}}}});
    let refused = |status: u16| json!({"$ref": format!("#/components/responses/Problem{status}")});
    to.operation("/healthz", "get", json!({"operationId": "getHealth", "tags": ["service"], "summary": "Is the process there?", "description": "A constant answer, without the database.", "security": [], "responses": {"200": health("It is."), "400": refused(400), "429": refused(429), "500": refused(500)}}));
    to.operation("/readyz", "get", json!({"operationId": "getReadiness", "tags": ["service"], "summary": "Can it work?", "description": "Asks the database.", "security": [], "responses": {"200": health("It can."), "400": refused(400), "429": refused(429), "500": refused(500), "503": refused(503)}}));
    let any = json!({"type": "object", "description": "An OpenAPI 3.1 document.", "additionalProperties": true, "maxProperties": 100});
    to.schema("OpenApiDocument", any);
    let found = json!({"description": "The document.", "content": {"application/json": {"schema": describe::schema("OpenApiDocument"), "example": {"openapi": "3.1.0"}}}});
    to.operation("/v1/openapi.json", "get", json!({"operationId": "getOpenApi", "tags": ["service"], "summary": "Get this document", "description": "OpenAPI 3.1, as it is committed with the source.", "security": [], "responses": {"200": found, "400": refused(400), "429": refused(429), "500": refused(500)}}));
}

/// What belongs to the tags beside the registers.
const TAGS: &[(&str, &str)] = &[
    ("statement-of-applicability", "Do: the statement of applicability of a scope (6.1.3 d), live and as of any moment."),
    ("risk-matrix", "Plan: risks by likelihood and impact (6.1.2)."),
    ("overview", "Check: a dashboard's home in one request (9.1)."),
    ("ledger", "Check: the change feed and the audit trail (7.5.3, 9.1)."),
    ("auth", "Logins, tokens, and who one is."),
    ("users", "People with a login."),
    ("api-keys", "Keys for machines and for people who read."),
    ("service", "Health of the service, and this document."),
];

/// Title, security, tags, and what operations refer to.
fn frame() -> Value {
    let mut tags: Vec<Value> = ROOMS.iter().map(|room| json!({"name": room.kind.path, "description": room.kind.about})).collect();
    tags.extend(TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})));
    tags.sort_by_key(|tag| tag.get("name").and_then(Value::as_str).map(str::to_owned));
    let about = "A headless information security management system (ISO/IEC 27001:2022): scope, assets, risks, controls, statement of applicability, evidence, nonconformities. \
        Every change is an entry of an append-only ledger; every read can be asked as of any past moment.";
    json!({
        "openapi": "3.1.0",
        "info": {"title": "isms", "version": env!("CARGO_PKG_VERSION"), "description": about, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}, "contact": {"name": "Maintainers of isms", "url": "https://example.org/isms", "email": "isms@example.org"}},
        "servers": [{"url": "https://localhost:8080", "description": "Where the service is run."}],
        "tags": tags,
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`isms_…`), or an access token of a login."}},
            "responses": problems(), "headers": headers(), "parameters": describe::parameters(),
        },
    })
}

/// One response for each status that a problem has.
fn problems() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<(&str, &str, &str)>> = BTreeMap::new();
    for code in Code::ALL {
        let (place, name, status, title) = code.row();
        by_status.entry(status).or_default().push((place, name, title));
    }
    let response = |(status, codes): (u16, Vec<(&str, &str, &str)>)| {
        let words: Vec<String> = codes.iter().map(|(_, name, title)| format!("`{name}`: {title}.")).collect();
        let (place, name, title) = codes.first().copied().unwrap_or_default();
        let example = json!({"type": place, "title": title, "status": status, "code": name, "detail": title, "request_id": "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e", "errors": [], "allowed": [], "needed_by": []});
        let mut response = json!({"description": words.join(" "), "content": {"application/problem+json": {"schema": describe::schema("Problem"), "example": example}}});
        let with: &[&str] = match status {
            401 => &["WWW-Authenticate"],
            429 => &["Retry-After", "RateLimit", "RateLimit-Policy"],
            503 => &["Retry-After"],
            _ => &[],
        };
        if let Some(members) = response.as_object_mut().filter(|_| !with.is_empty()) {
            members.insert("headers".into(), describe::headers(with));
        }
        (format!("Problem{status}"), response)
    };
    by_status.into_iter().map(response).collect()
}

fn headers() -> Value {
    let text = |about: &str| json!({"description": about, "schema": {"type": "string", "maxLength": 4000}});
    let number =
        |about: &str| json!({"description": about, "schema": {"type": "integer", "format": "int64", "minimum": -1, "maximum": i64::MAX}});
    json!({
        "ETag": text("Stands for what was read; `If-Match` and `If-None-Match` take it."),
        "Location": text("Where the new record is."),
        "Link": text("The next page, `rel=\"next\"` (RFC 8288)."),
        "Ledger-Position": number("The ledger's last position that was seen."),
        "Content-Disposition": text("A name for the file (RFC 6266)."),
        "Idempotency-Replayed": {"description": "`true` when the stored answer of the first attempt is given again.", "schema": {"type": "string", "enum": ["true"]}},
        "Retry-After": number("Seconds to wait."),
        "WWW-Authenticate": text("How to authenticate."),
        "X-Request-Id": text("The request, as in the log and in problems."),
        "RateLimit": text("Requests left, and when there are all again (IETF draft)."),
        "RateLimit-Policy": text("Requests a minute and key (IETF draft)."),
    })
}

/// What every answer has and no handler says: limits that follow from formats, headers of every answer, and nothing that is not used.
fn finished(mut document: Value) -> Value {
    for part in ["/components", "/paths"] {
        document.pointer_mut(part).into_iter().for_each(bound);
    }
    let operations = document.pointer_mut("/paths").and_then(Value::as_object_mut).into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        operation.pointer_mut("/responses").and_then(Value::as_object_mut).into_iter().flatten().for_each(|(_, response)| dress(response));
    }
    document
        .pointer_mut("/components/responses")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .for_each(|(_, response)| dress(response));
    while prune(&mut document) {}
    document
}

/// Limits of numbers, texts and lists, where the type has them but the generator does not say so.
fn bound(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is = |members: &Map<String, Value>, kind: &str| match members.get("type") {
                Some(Value::String(one)) => one == kind,
                Some(Value::Array(any)) => any.iter().any(|one| one == kind),
                _ => false,
            };
            if is(members, "integer") {
                let wide = members.get("format").is_some_and(|format| format == "int64");
                members.entry("format").or_insert(json!("int32"));
                members.entry("minimum").or_insert(json!(if wide { i64::MIN } else { i64::from(i32::MIN) }));
                members.entry("maximum").or_insert(json!(if wide { i64::MAX } else { i64::from(i32::MAX) }));
            }
            if is(members, "string") && !members.contains_key("enum") {
                let longest = match members.get("format").and_then(Value::as_str) {
                    Some("uuid") => 36,
                    Some("date") => 10,
                    Some("date-time") => 40,
                    _ => 4000,
                };
                members.entry("maxLength").or_insert(json!(longest));
            }
            if is(members, "array") {
                members.entry("maxItems").or_insert(json!(1000));
                members.entry("items").or_insert(json!({"description": "Any JSON value."}));
            }
            members.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// The headers that every answer may have.
fn dress(response: &mut Value) {
    if let Some(members) = response.as_object_mut().filter(|members| !members.contains_key("$ref")) {
        let headers = members.entry("headers").or_insert(json!({}));
        for (name, header) in describe::headers(&["X-Request-Id", "RateLimit", "RateLimit-Policy"]).as_object().cloned().unwrap_or_default()
        {
            headers.as_object_mut().map(|all| all.entry(name).or_insert(header));
        }
    }
}

/// Takes out components that nothing refers to; tells whether there were any.
fn prune(document: &mut Value) -> bool {
    fn refs(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|inner| refs(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| refs(inner, found)),
            _ => {}
        }
    }
    let (mut found, mut pruned) = (BTreeSet::new(), false);
    refs(document, &mut found);
    for group in ["schemas", "responses", "parameters", "headers"] {
        if let Some(all) = document.pointer_mut(&format!("/components/{group}")).and_then(Value::as_object_mut) {
            let before = all.len();
            all.retain(|name, _| found.contains(&format!("#/components/{group}/{name}")));
            pruned |= all.len() < before;
        }
    }
    pruned
}
