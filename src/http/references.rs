//! What the document refers to by name: schemas, parameters, headers.
use serde_json::{Map, Value, json};

/// A shared parameter, by reference.
pub fn parameter(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}
/// A reference to a schema.
pub fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
/// Content that is JSON.
pub fn json_of(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}
/// Headers, by reference.
pub fn headers(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({"$ref": format!("#/components/headers/{name}")}),
            )
        })
        .collect::<Map<_, _>>()
        .into()
}

/// The form of readable requirement ids.
pub const REQUIREMENT: &str = "^[a-z0-9.-]+:[A-Za-z0-9().,-]{1,40}$";

/// A table as text: the name of its schema, and the schema.
pub fn csv() -> (&'static str, Value) {
    (
        "Csv",
        json!({"type": "string", "maxLength": 1 << 26,
            "description": "Comma-separated values (RFC 4180), with the names of the columns \
                first.",
            "examples": ["requirement,title\niso-27001-2022:A.5.1,Policies\n"]}),
    )
}

/// A drawing as text.
pub fn svg() -> (&'static str, Value) {
    (
        "Svg",
        json!({"type": "string", "maxLength": 1 << 26, "description": "A drawing.",
            "examples": ["<svg xmlns=\"http://www.w3.org/2000/svg\"/>"]}),
    )
}

/// The bytes of a file.
pub fn binary() -> (&'static str, Value) {
    (
        "Binary",
        json!({"type": "string", "format": "binary", "maxLength": 1_i64 << 40,
            "description": "The bytes of a file."}),
    )
}
