//! An example of every schema that a body has: what the schema says of itself, a register's own
//! example, and for the rest the first good value.
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where schemas are.
pub const SCHEMAS: &str = "#/components/schemas/";
/// Members that are empty in the life of most records.
const SELDOM: &[&str] = &[
    "archived_at",
    "disabled_at",
    "next_cursor",
    "revoked_at",
    "superseded_by_id",
];
/// The id of examples.
const ID: &str = "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e";
/// How deep an example goes.
const DEEP: usize = 40;

/// Gives an example to each schema that a body is, and to each body that refers to none.
pub fn add(document: &mut Value) {
    let (whole, mut named) = (document.clone(), BTreeSet::new());
    let paths = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|paths| paths.values_mut());
    for operation in paths
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut())
        .filter_map(Value::as_object_mut)
    {
        operation
            .get_mut("requestBody")
            .into_iter()
            .for_each(|body| shown(&whole, body, &mut named));
        operation
            .get_mut("responses")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
            .for_each(|(_, response)| shown(&whole, response, &mut named));
    }
    let schemas = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten();
    for (name, schema) in schemas.filter(|(name, schema)| named.contains(*name) && !has(schema)) {
        let example = of(&whole, &json!({"$ref": format!("{SCHEMAS}{name}")}), DEEP);
        schema
            .as_object_mut()
            .map(|members| members.insert("example".into(), example));
    }
}

fn has(schema: &Value) -> bool {
    ["example", "examples"]
        .iter()
        .any(|word| schema.get(*word).is_some())
}

/// A body whose schema has no name has its example beside the schema.
fn shown(document: &Value, body: &mut Value, named: &mut BTreeSet<String>) {
    for (_, content) in body
        .get_mut("content")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let Some(schema) = content.get("schema").cloned() else {
            continue;
        };
        match schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix(SCHEMAS))
        {
            Some(name) => drop(named.insert(name.to_owned())),
            None if has(content) => {}
            None => {
                let example = of(document, &schema, DEEP);
                content
                    .as_object_mut()
                    .map(|members| members.insert("example".into(), example));
            }
        }
    }
}

/// An example of a schema.
fn of(document: &Value, schema: &Value, deep: usize) -> Value {
    let given = schema
        .get("example")
        .cloned()
        .or_else(|| schema.get("examples")?.as_array()?.first().cloned());
    if let Some(given) = given {
        return given;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer))
            .unwrap_or(&Value::Null);
        let mut made = of(document, found, deep.saturating_sub(1));
        let told = target
            .strip_prefix(SCHEMAS)
            .and_then(|name| document.pointer(&format!("/components/schemas/{name}Input/example")));
        overlaid(&mut made, told);
        return made;
    }
    let parts = |word: &str| schema.get(word).and_then(Value::as_array);
    if let Some(first) = parts("enum").and_then(|words| words.first()) {
        return first.clone();
    }
    if let Some(all) = parts("allOf") {
        let members = all
            .iter()
            .filter_map(|part| of(document, part, deep).as_object().cloned());
        return members.flatten().collect::<Map<_, _>>().into();
    }
    if let Some(any) = parts("oneOf")
        .or_else(|| parts("anyOf"))
        .filter(|_| schema.get("type").is_none())
    {
        return any
            .iter()
            .find(|one| one.get("type").is_none_or(|kind| kind != "null"))
            .map_or(Value::Null, |one| of(document, one, deep));
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    let least = schema
        .get("minimum")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    match kind {
        Some("object") => object(document, schema, deep),
        Some("array") if deep == 0 => json!([]),
        Some("array") => {
            let some = schema
                .get("minItems")
                .and_then(Value::as_u64)
                .and_then(|least| usize::try_from(least).ok())
                .unwrap_or_default()
                .max(1);
            schema.get("items").map_or_else(
                || json!([]),
                |items| json!(vec![of(document, items, deep - 1); some]),
            )
        }
        Some("integer") => {
            json!(
                least.max(i64::from(least < 0)).max(1).min(
                    schema
                        .get("maximum")
                        .and_then(Value::as_i64)
                        .unwrap_or(i64::MAX)
                )
            )
        }
        Some("number") => json!(schema.get("minimum").and_then(Value::as_f64).unwrap_or(1.0)),
        Some("boolean") => json!(false),
        Some("string") => json!(text(schema)),
        _ => Value::Null,
    }
}

fn object(document: &Value, schema: &Value, deep: usize) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let member = |(name, schema): (&String, &Value)| {
        let value = if SELDOM.contains(&name.as_str()) {
            Value::Null
        } else {
            of(document, schema, deep.saturating_sub(1))
        };
        (name.clone(), value)
    };
    properties
        .into_iter()
        .flatten()
        .filter(|_| deep > 0)
        .map(member)
        .collect::<Map<_, _>>()
        .into()
}

fn text(schema: &Value) -> String {
    let format = schema
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let length = |word: &str| {
        schema
            .get(word)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
    };
    let longest = length("maxLength").unwrap_or(usize::MAX);
    let known = match format {
        _ if (length("minLength"), longest) == (Some(64), 64) => {
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        }
        "uuid" => ID,
        "date" => "2026-11-20",
        "date-time" => "2026-11-20T09:00:00.000Z",
        "email" => "security@example.org",
        _ => "text",
    };
    known.chars().take(longest).collect()
}

/// What a register's example says of its members; references to other records stay ids, though a
/// code may stand for them there.
fn overlaid(made: &mut Value, told: Option<&Value>) {
    let (Some(made), Some(told)) = (made.as_object_mut(), told.and_then(Value::as_object)) else {
        return;
    };
    for (name, value) in told {
        let refers = |member: &Value| {
            [member, member.get(0).unwrap_or(&Value::Null)]
                .iter()
                .any(|one| *one == ID)
        };
        if let Some(member) = made
            .get_mut(name)
            .filter(|member| member.is_object() == value.is_object() && !refers(member))
        {
            match member.is_object() {
                true => overlaid(member, Some(value)),
                false => *member = value.clone(),
            }
        }
    }
}
