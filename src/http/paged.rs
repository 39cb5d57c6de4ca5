//! The answer of a list, described: the page, and what `include` adds to it.
use super::describe::Description;
use serde_json::{Value, json};

/// A page of a register's records.
pub(super) fn page(of: &Description) -> Value {
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    json!({"type": "object", "description": "A page of a list; `total`, `counts` and `refs` only \
        where asked for with `include`.", "required": ["data", "next_cursor", "has_more"],
        "properties": {
            "data": {"type": "array", "maxItems": 200, "items": schema(&of.name),
                "description": "The records, in the order asked for."},
            "next_cursor": {"type": ["string", "null"], "maxLength": 2000,
                "description": "Ask with it for the next page; null on the last."},
            "has_more": {"type": "boolean", "description": "Is there a next page?"},
            "total": {"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX,
                "description": "How many there are under these filters."},
            "counts": schema(&counts_of(of)),
            "refs": {"type": "object", "description": "What the ids in this page are.",
                "maxProperties": 200000, "additionalProperties": schema("Ref")}}})
}

/// The name of a register's counts: `ListCounts`, or one of its own where it counts more.
fn counts_of(of: &Description) -> String {
    if of.counts.is_empty() {
        "ListCounts".into()
    } else {
        format!("{}Counts", of.name)
    }
}

/// Counts under the filters of a list, and what their schema is called.
pub(super) fn counts(of: &Description) -> (String, Value) {
    let number =
        || json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX});
    let said = |what: &str| {
        json!({"type": "integer", "format": "int64", "minimum": 0,
        "maximum": i64::MAX, "description": what})
    };
    let by = |what: &str, most: i64| {
        json!({"type": "object", "description": what,
        "maxProperties": most, "additionalProperties": number()})
    };
    let mut counts = json!({"type": "object", "description": "Counts under the same filters.",
        "required": ["by_status", "by_owner", "without_owner", "overdue", "review_overdue"],
        "properties": {
            "by_status": by("By state.", 50),
            "by_owner": by("By owner: the id of the person.", 1_000_000),
            "without_owner": said("Without an owner."),
            "overdue": said("Past their due day and not done."),
            "review_overdue": said("Past the day of their review and not done.")}});
    for (name, schema) in &of.counts {
        if let Some(members) = counts.get_mut("properties").and_then(Value::as_object_mut) {
            members.insert((*name).to_owned(), schema.clone());
        }
        if let Some(needed) = counts.get_mut("required").and_then(Value::as_array_mut) {
            needed.push(json!(name));
        }
    }
    (counts_of(of), counts)
}
