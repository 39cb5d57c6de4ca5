//! What the document says of every operation alike and no handler repeats: headers, limits that
//! follow from formats, the half of a schema that is for requests, words that may become more,
//! examples; and nothing that is not used.
use super::example::{self, SCHEMAS};
use super::reach::{prune, reached};
use crate::http::references;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The document, complete.
pub fn finished(mut document: Value) -> Value {
    for part in ["/components", "/paths"] {
        document.pointer_mut(part).into_iter().for_each(bound);
    }
    responses(&mut document).for_each(dress);
    separate(&mut document);
    partial(&mut document);
    forgive(&mut document);
    while prune(&mut document) {}
    growing(&mut document);
    example::add(&mut document);
    document
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut())
        .filter_map(Value::as_object_mut)
}
fn responses(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let (mut shared, mut own) = (None, None);
    if let Some(document) = document.as_object_mut() {
        for (name, part) in document {
            match name.as_str() {
                "components" => {
                    shared = part
                        .pointer_mut("/responses")
                        .and_then(Value::as_object_mut)
                }
                "paths" => own = part.as_object_mut(),
                _ => {}
            }
        }
    }
    let own = own
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut());
    let own = own
        .filter_map(|operation| operation.get_mut("responses")?.as_object_mut())
        .flat_map(|all| all.values_mut());
    shared
        .into_iter()
        .flat_map(|all| all.values_mut())
        .chain(own)
}

/// Adds headers by reference; where the house has one of that name, its own words stand.
fn with_headers(response: &mut Value, names: &[&str]) {
    let Some(members) = response
        .as_object_mut()
        .filter(|members| !members.contains_key("$ref"))
    else {
        return;
    };
    if let Some(headers) = members
        .entry("headers")
        .or_insert(json!({}))
        .as_object_mut()
    {
        headers.extend(
            references::headers(names)
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
    }
}
/// The headers that every answer may have.
fn dress(response: &mut Value) {
    with_headers(response, &["X-Request-Id", "RateLimit", "RateLimit-Policy"]);
}

/// An object that stands in requests and in answers has two schemas: `Limits` as it is answered,
/// every member there, and `LimitsInput` as it is sent, closed, with codes as good as ids.
fn separate(document: &mut Value) {
    let asked = reached(document, &mut |at| at.contains("/requestBody/"));
    let answered = reached(document, &mut |at| at.contains("/responses/"));
    let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let both: BTreeSet<String> = asked
        .intersection(&answered)
        .filter(|name| {
            schemas
                .get(*name)
                .is_some_and(|schema| schema.get("properties").is_some())
        })
        .cloned()
        .collect();
    for name in &asked {
        let Some(schema) = schemas.get_mut(name) else {
            continue;
        };
        match both.contains(name) {
            false => sent(schema, &both),
            true => {
                let mut input = schema.clone();
                sent(&mut input, &both);
                if let Some(members) = schema.as_object_mut() {
                    members.remove("additionalProperties");
                    let all: Vec<String> = members
                        .get("properties")
                        .and_then(Value::as_object)
                        .into_iter()
                        .flat_map(|all| all.keys().cloned())
                        .collect();
                    members.insert("required".into(), json!(all));
                }
                schemas.insert(format!("{name}Input"), input);
            }
        }
    }
    operations(document)
        .filter_map(|operation| operation.get_mut("requestBody"))
        .for_each(|body| sent(body, &both));
}
/// A merge patch goes on inside of an object: there, too, what is absent stays. `ExpectedRiskPatch`
/// is `ExpectedRiskInput` without what it needs.
fn partial(document: &mut Value) {
    let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let patches: Vec<String> = schemas
        .keys()
        .filter(|name| name.ends_with("Patch"))
        .cloned()
        .collect();
    for patch in patches {
        let Some(mut schema) = schemas.get(&patch).cloned() else {
            continue;
        };
        for (_, member) in schema
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            let one = match member.get("oneOf").is_some() {
                true => member
                    .get_mut("oneOf")
                    .and_then(Value::as_array_mut)
                    .and_then(|any| any.iter_mut().find(|one| one.get("$ref").is_some())),
                false => Some(member),
            };
            let Some(one) = one else { continue };
            let Some(name) = one
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|target| target.strip_prefix(SCHEMAS))
                .map(str::to_owned)
            else {
                continue;
            };
            let Some(mut part) = schemas
                .get(&name)
                .filter(|part| part.get("properties").is_some() && part.get("required").is_some())
                .cloned()
            else {
                continue;
            };
            part.as_object_mut().map(|part| part.remove("required"));
            let partial = format!("{}Patch", name.strip_suffix("Input").unwrap_or(&name));
            one.as_object_mut()
                .map(|one| one.insert("$ref".into(), json!(format!("{SCHEMAS}{partial}"))));
            schemas.insert(partial, part);
        }
        schemas.insert(patch, schema);
    }
}
/// What is optional in a request may be null, too, which says the same. (In a patch null clears:
/// what has to stand is not null there.)
fn forgive(document: &mut Value) {
    let asked = reached(document, &mut |at| at.contains("/requestBody/"));
    let schemas = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten();
    for (_, schema) in schemas.filter(|(name, _)| asked.contains(*name) && !name.ends_with("Patch"))
    {
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let members = schema
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten();
        members
            .filter(|(name, _)| !required.contains(&json!(name)))
            .for_each(|(_, member)| or_null(member));
    }
}
fn or_null(schema: &mut Value) {
    let none = json!({"type": "null"});
    if schema.get("$ref").is_some() || schema.get("enum").is_some() {
        *schema = json!({"oneOf": [schema.take(), none]});
    } else if let Some(any) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        if !any.iter().any(|one| one.get("type") == none.get("type")) {
            any.push(none);
        }
    } else if let Some(kind) = schema.get_mut("type").filter(|kind| kind.is_string()) {
        *kind = json!([kind.take(), "null"]);
    }
}
/// As requests have it.
fn sent(value: &mut Value, both: &BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let target = members
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|target| target.strip_prefix(SCHEMAS))
                .map(str::to_owned);
            match target {
                Some(name) if name == "Id" => {
                    members.remove("$ref");
                    members
                        .entry("description")
                        .or_insert(json!("A record: its id or its code."));
                    members.extend([
                        ("type".to_owned(), json!("string")),
                        ("maxLength".to_owned(), json!(64)),
                    ]);
                }
                Some(name) if both.contains(&name) => {
                    drop(members.insert("$ref".into(), json!(format!("{SCHEMAS}{name}Input"))))
                }
                _ => members
                    .iter_mut()
                    .filter(|(name, _)| !name.starts_with("example"))
                    .for_each(|(_, inner)| sent(inner, both)),
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| sent(inner, both)),
        _ => {}
    }
}

/// Words of answers may become more within `/v1`: beside `enum`, which has today's,
/// `x-extensible-enum` says so. Requests are closed.
fn growing(document: &mut Value) {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if let Some(words) = members.get("enum").cloned() {
                    members.insert("x-extensible-enum".into(), words);
                }
                members
                    .iter_mut()
                    .filter(|(name, _)| !name.starts_with("example"))
                    .for_each(|(_, inner)| walk(inner));
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let answered = reached(document, &mut |at| at.contains("/responses/"));
    let schemas = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten();
    schemas
        .filter(|(name, _)| answered.contains(*name))
        .for_each(|(_, schema)| walk(schema));
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
                let wide = members
                    .get("format")
                    .is_some_and(|format| format == "int64");
                members.entry("format").or_insert(json!("int32"));
                members.entry("minimum").or_insert(json!(if wide {
                    i64::MIN
                } else {
                    i64::from(i32::MIN)
                }));
                members.entry("maximum").or_insert(json!(if wide {
                    i64::MAX
                } else {
                    i64::from(i32::MAX)
                }));
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
            }
            members.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}
