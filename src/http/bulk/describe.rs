//! Batches, imports and tables in OpenAPI.
use super::batch::{BatchQuery, MOST};
use super::import::{ImportOutcome, ImportQuery, ImportResult, ImportedRow};
use crate::http::describe::Description;
use crate::http::references::schema;
use crate::http::{Document, Operation, Operations};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

/// `AssetBatch`, `AssetBatchItem`, `AssetBatchResult`, `AssetBatchOutcome`; a table.
pub fn schemas(to: &mut Document, of: &Description, does: Operations) {
    let name = &of.name;
    let table = json!({"type": "string", "maxLength": 1_073_741_824, "description": "A table (RFC \
        4180, UTF-8): headings, then a row for each record. A list has `;` between its values, a \
        member of an object a dot in its heading; an apostrophe stands before what a spreadsheet \
        might take for a formula, at the beginning of a text and after each separator in it; an \
        import takes it away."});
    to.schema("Table", table);
    if does.import {
        for (name, schema) in [
            (ImportResult::name(), json!(ImportResult::schema())),
            (ImportedRow::name(), json!(ImportedRow::schema())),
            (ImportOutcome::name(), json!(ImportOutcome::schema())),
        ] {
            to.schema(&name, schema);
        }
    }
    if !does.update {
        return;
    }
    let object = |about: &str, needed: &[&str], members: Value| {
        json!({"type": "object",
        "description": about, "additionalProperties": false, "required": needed,
            "properties": members})
    };
    let mut item = json!({
        "id": {"type": "string", "maxLength": 64, "pattern": "^[ -~]*$",
            "description": "What a patch is for: id or code."},
        "if_match": {"type": ["string", "integer"], "format": "int32", "maxLength": 255,
            "pattern": "^[ -~]*$", "minimum": 0, "description": "The version that was read, or \
                its entity tag, or `*`; a patch needs it."},
        "patch": schema("BatchBody"),
    });
    if let Some(members) = item.as_object_mut().filter(|_| does.create) {
        members.insert("create".into(), schema("BatchBody"));
        members.insert("upsert".into(), schema("BatchBody"));
    }
    to.schema(
        "BatchBody",
        json!({"type": "object", "additionalProperties": true,
        "maxProperties": 200, "example": {"name": "A better name"},
        "description": "A record or its patch, as a request for it alone would have it. It is \
            looked at item by item: what is wrong with it is the outcome of this item."}),
    );
    let ways = match does.create {
        true => format!(
            "One of `create` and `upsert` (by `external_ref`), as {name}Input, and `patch` with \
                `id` and `if_match`, as {name}Patch."
        ),
        false => format!("A `patch` with `id` and `if_match`, as {name}Patch."),
    };
    to.schema(&format!("{name}BatchItem"), object(&ways, &[], item));
    let example = if does.create {
        json!({"items": [{"create": of.example}]})
    } else {
        json!({"items": [{"id": format!("{}-1", of.kind.code), "if_match": 1,
            "patch": {"name": "A better name"}}]})
    };
    let items = json!({"type": "array", "minItems": 1, "maxItems": MOST,
        "items": schema(&format!("{name}BatchItem")), "description": "What is to be done, in this \
            order."});
    let mut batch = object("Several changes.", &["items"], json!({"items": items}));
    batch
        .as_object_mut()
        .map(|members| members.insert("example".into(), example));
    to.schema(&format!("{name}Batch"), batch);
    let count = |about: &str| {
        json!({"type": "integer", "format": "int32", "minimum": 0,
        "maximum": MOST, "description": about})
    };
    let outcome = json!({
        "index": count("Which item, from 0."),
        "status": {"type": "integer", "format": "int32", "minimum": 200, "maximum": 599,
            "description": "As a request for it alone would have been answered."},
        "record": {"oneOf": [{"type": "null"}, schema(name)], "description": "The record after \
            it; null where it was refused."},
        "problem": {"oneOf": [{"type": "null"}, schema("Problem")],
            "description": "Why it was refused; null where it was done."},
    });
    to.schema(
        &format!("{name}BatchOutcome"),
        object(
            "What became of an item.",
            &["index", "status", "record", "problem"],
            outcome,
        ),
    );
    let result = json!({
        "data": {"type": "array", "maxItems": MOST,
            "items": schema(&format!("{name}BatchOutcome")), "description": "The outcomes, in the \
                order of the items."},
        "succeeded": count("How many were done."),
        "failed": count("How many were refused."),
    });
    to.schema(
        &format!("{name}BatchResult"),
        object(
            "What became of a batch.",
            &["data", "succeeded", "failed"],
            result,
        ),
    );
}

/// `batchAssets`.
pub fn batch(op: &mut Operation, of: &Description, many: &str, some: &str) {
    op.id(format!("batch{many}")).says(
        format!("Change several {some}"),
        "Up to 1,000 items, one ledger entry for each change. Each item has its own outcome; \
            with `atomic=true` all are done or none. 50 faults are listed in all.",
    );
    op.query::<BatchQuery>()
        .shared("ChangeReason")
        .retried()
        .refuses(&[428]);
    op.body_named(&format!("{}Batch", of.name));
    op.record(
        &format!("{}BatchResult", of.name),
        "What became of each item.",
    );
}

/// `importAssets`.
pub fn import(op: &mut Operation, of: &Description, many: &str, some: &str) {
    op.id(format!("import{many}")).says(
        format!("Import {some} from a table"),
        "Up to 5,000 rows; each is the record with its `code` or, without one, with its \
            `external_ref`, new or changed. Cells are separated by commas, semicolons or \
            tabs, as the headings are. An empty cell clears, a column that is not there \
            leaves, columns that the server writes are passed over. All rows are stored or \
            none; faults name their row, where the headings are row 1.",
    );
    op.query::<ImportQuery>()
        .shared("ChangeReason")
        .retried()
        .never(&[404, 412]);
    op.content_with(
        "text/csv",
        json!({"schema": schema("Table"), "example": sample(&of.example)}),
    );
    op.record("ImportResult", "What became of each row.");
}

/// A table that can be imported: the example of the kind, as far as its members are values, with
/// what the row goes by.
fn sample(example: &Value) -> String {
    let mut example = example.clone();
    if let Some(members) = example.as_object_mut() {
        members.insert("external_ref".to_owned(), json!("register-of-2025/17"));
    }
    let members = example
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_string() || value.is_number() || value.is_boolean());
    let cell = |value: &Value| {
        value.as_str().map_or_else(
            || value.to_string(),
            |text| format!("\"{}\"", text.replace('"', "\"\"")),
        )
    };
    let (names, cells): (Vec<&str>, Vec<String>) = members
        .map(|(name, value)| (name.as_str(), cell(value)))
        .unzip();
    format!("{}\r\n{}\r\n", names.join(","), cells.join(","))
}
