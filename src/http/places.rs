//! The parameters of an operation, as values: those of its path, and what is made of others.
use crate::records::Kinds;
use serde_json::{Value, json};

/// The name of a parameter, or of the shared one that it refers to.
pub(super) fn named(parameter: &Value) -> &str {
    let name = parameter
        .get("name")
        .or(parameter.get("$ref"))
        .and_then(Value::as_str);
    name.map_or("", |name| {
        name.trim_start_matches("#/components/parameters/")
    })
}

/// The parts of a path that stand for something: `{id}` is a record's id or its code.
pub(super) fn places(kinds: Kinds, path: &str) -> Vec<Value> {
    let (mut places, mut before) = (Vec::new(), "");
    for part in path.split('/').skip(2) {
        match part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
        {
            Some(name) => places.push(place(kinds, name, before)),
            None => before = part,
        }
    }
    places
}
fn place(kinds: Kinds, name: &str, of: &str) -> Value {
    let kind = kinds.all().iter().find(|kind| kind.path == of);
    let (about, schema, example) = match (name, kind) {
        ("id", Some(kind)) => (
            format!("The {}: its id or its code.", kind.name.replace('_', " ")),
            json!({"type": "string", "maxLength": 64}),
            Some(json!(kind.numbered(1))),
        ),
        ("requirement", _) => (
            "The requirement, such as `iso-27001-2022:A.5.1`.".to_owned(),
            json!({"type": "string", "maxLength": 120}),
            Some(json!("iso-27001-2022:A.5.1")),
        ),
        ("n", _) => (
            "Its number.".to_owned(),
            json!({"type": "integer", "format": "int32", "minimum": 1}),
            None,
        ),
        _ => (
            String::new(),
            json!({"type": "string", "maxLength": 64}),
            None,
        ),
    };
    let mut place = json!({"name": name, "in": "path", "required": true, "description": about,
        "schema": schema});
    if let Some(members) = place.as_object_mut() {
        members.extend(example.map(|example| ("example".to_owned(), example)));
    }
    place
}

/// Takes null out of the schema of a parameter: what is optional is left out of a query, where
/// there is no null.
pub(super) fn present(schema: &mut Value) {
    let absent = |one: &Value| one == "null" || one.get("type").is_some_and(|kind| kind == "null");
    for (word, alone) in [("type", "/type"), ("oneOf", "")] {
        let Some(any) = schema.get_mut(word).and_then(Value::as_array_mut) else {
            continue;
        };
        any.retain(|one| !absent(one));
        if let [only] = any.as_mut_slice() {
            let only = only.take();
            schema
                .pointer_mut(alone)
                .into_iter()
                .for_each(|place| *place = only.clone());
        }
    }
}
