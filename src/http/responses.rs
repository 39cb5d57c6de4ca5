//! What operations answer, and the parameters that they share, for the document.
use super::describe::{headers, json_of, schema};
use super::door::CONDITION;
use crate::records::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use utoipa::IntoResponses;
use utoipa::openapi::{Ref as SchemaRef, RefOr, Response};

/// The answers of a workflow's handler: `#[utoipa::path(responses(Changed<Nonconformity>))]`.
pub struct Changed<R>(PhantomData<R>);
impl<R: Resource> IntoResponses for Changed<R> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let done = json!({"description": "The record after the change.",
            "headers": headers(&["ETag", "Ledger-Position", "Idempotency-Replayed"]),
                "content": json_of(schema(&R::name()))});
        let done = serde_json::from_value(done)
            .ok()
            .map(|response| ("200".to_owned(), RefOr::T(response)));
        refused(&[
            400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 428, 429, 500, 503,
        ])
        .chain(done)
        .collect()
    }
}
/// The answers of a read of one record by another path: `responses(Found<Scope>)`.
pub struct Found<R>(PhantomData<R>);
impl<R: Resource> IntoResponses for Found<R> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let found = json!({"description": "The record.", "headers": headers(&["ETag",
            "Ledger-Position"]), "content": json_of(schema(&R::name()))});
        let found = serde_json::from_value(found)
            .ok()
            .map(|response| ("200".to_owned(), RefOr::T(response)));
        refused(&[400, 401, 403, 404, 429, 500, 503])
            .chain(found)
            .chain(Unchanged::responses())
            .collect()
    }
}
/// The problems of an operation, by reference.
pub fn refused(statuses: &[u16]) -> impl Iterator<Item = (String, RefOr<Response>)> {
    statuses.iter().map(|n| {
        (
            n.to_string(),
            RefOr::Ref(SchemaRef::from_response_name(format!("Problem{n}"))),
        )
    })
}
/// The problems of a write: `responses(Rejections)` beside the good answer.
pub struct Rejections;
impl IntoResponses for Rejections {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[
            400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503,
        ])
        .collect()
    }
}
/// The problems of a range: 416.
pub struct NoRange;
impl IntoResponses for NoRange {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[416]).collect()
    }
}
/// The problem of another format: 406.
pub struct NoFormat;
impl IntoResponses for NoFormat {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[406]).collect()
    }
}
/// A view with an entity tag: 304. The document's frame adds the tag and `If-None-Match`.
pub struct Unchanged;
impl IntoResponses for Unchanged {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([(
            "304".to_owned(),
            RefOr::T(Response::new("Unchanged since the tag that was sent.")),
        )])
    }
}
/// The problem of a version that was not sent: 428.
pub struct Preconditions;
impl IntoResponses for Preconditions {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[428]).collect()
    }
}
/// The problems of a read: `responses(Refusals)` beside the good answer.
pub struct Refusals;
impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[400, 401, 403, 404, 429, 500, 503]).collect()
    }
}

/// Entity tags (RFC 9110 8.8.3), or `*`.
const TAGS: &str = r#"^([*]|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
/// The forms of `as_of`.
pub const AS_OF: &str = "^(seq:[0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?)$";

/// The parameters that operations share.
pub fn parameters() -> Value {
    let of = |name: &str, place: &str, about: &str, needed: bool, schema: Value| {
        json!({
        "name": name, "in": place, "required": needed, "description": about, "schema": schema})
    };
    json!({
        "IfMatch": of("If-Match", "header", "The ETag that was read, or `\"<version>\"` of the \
            body, or `*`.", true, json!({"type": "string", "maxLength": CONDITION, "pattern": TAGS,
                "example": "\"1\""})),
        "IfNoneMatch": of("If-None-Match", "header", "The ETag of what is there already: 304 when \
            it still stands.", false, json!({"type": "string", "maxLength": CONDITION})),
        "IdempotencyKey": of("Idempotency-Key", "header", "1 to 255 visible ASCII characters: a \
            retry with the same key gets the first answer again, for 24 hours.", false, json!({
                "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"})),
        "ChangeReason": of("Change-Reason", "header", "Why: percent-encoded UTF-8 of up to 2,000 \
            characters; it stands in the history.", false, json!({"type": "string",
                "maxLength": 24000, "pattern": "^[!-~ ]*$"})),
        "AsOf": of("as_of", "query", "As it stood then: an RFC 3339 instant (inclusive), a date \
            (the end of that day where the organization is), or `seq:<n>`.", false, json!({
                "type": "string", "maxLength": 64, "pattern": AS_OF, "example": "2026-03-31"})),
        "ArchivedToo": of("archived", "query", "`any`: archived ones too.", false, json!({
            "type": "string", "enum": ["false", "any"], "default": "false"})),
        "Limit": of("limit", "query", "How many at most.", false, json!({"type": "integer",
            "format": "int32", "minimum": 1, "maximum": 200, "default": 50})),
        "Cursor": of("cursor", "query", "`next_cursor` of the page before, with the same filters \
            and sort.", false, json!({"type": "string", "maxLength": 2000})),
    })
}

/// A shared parameter, by reference.
pub fn parameter(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}
