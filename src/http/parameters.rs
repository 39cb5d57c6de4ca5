//! The parameters that operations share, for the document.
use super::door::CONDITION;
use serde_json::{Value, json};

/// Entity tags (RFC 9110 8.8.3), or `*`.
const TAGS: &str = r#"^([*]|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
/// Entity tags without `*`.
const TAG: &str = r#"^(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*$"#;
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
        "DecidedOn": of("If-Match", "header", "The ETag that was read, or `\"<version>\"` of the \
            body. \
            `*` is not accepted: you decide on what you read.", true, json!({"type": "string",
            "maxLength": CONDITION, "pattern": TAG, "example": "\"1\""})),
        "IfMatchMaybe": of("If-Match", "header", "The ETag that was read, or `\"<version>\"` of \
            the \
            body, or `*`; when sent, it has to match.", false, json!({"type": "string",
            "maxLength": CONDITION, "pattern": TAGS, "example": "\"1\""})),
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
