//! The OpenAPI document: current, complete, and without a reference that leads nowhere.
use crate::support::contract::examined;
use isms::api::reach::reached;
use isms::api::{document::document, rooms};
use isms::http::{Api, Document};
use serde_json::Value;
use std::collections::BTreeSet;

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(|(m, o)| (m.clone(), path.clone(), o.clone()))
    });
    all.collect()
}
fn resolved<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    part["$ref"].as_str().map_or(part, |target| {
        document
            .pointer(&target[1..])
            .unwrap_or_else(|| panic!("{target} leads nowhere"))
    })
}
/// Every value of the document with its place.
fn walk<'a>(at: &str, value: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(at, value);
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| walk(&format!("{at}/{name}"), value, visit)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, item)| walk(&format!("{at}/{n}"), item, visit)),
        _ => {}
    }
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let file =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"))
            .unwrap();
    let (kept, made): (Value, Value) = (serde_json::from_str(&file).unwrap(), document());
    let mut different = Vec::new();
    walk("", &made, &mut |at, value| {
        if !value.is_object()
            && !value.is_array()
            && kept.pointer(at) != Some(value)
            && !at.contains("~")
        {
            different.push(at.to_owned());
        }
    });
    let named: Vec<_> = different
        .iter()
        .filter(|at| !at.starts_with("/paths"))
        .take(5)
        .collect();
    assert!(
        kept == made,
        "`isms openapi > openapi/openapi.json` writes it anew; it differs at {named:?}"
    );
    assert_eq!(
        file.trim_end(),
        serde_json::to_string_pretty(&made).unwrap()
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut named = BTreeSet::new();
    walk("", &document, &mut |at, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            assert!(
                document
                    .pointer(target.strip_prefix('#').unwrap())
                    .is_some(),
                "{at}: {target}"
            );
            named.insert(target.to_owned());
        }
    });
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            named.contains(&format!("#/components/schemas/{name}")),
            "nothing refers to the schema {name}"
        );
    }
}

#[test]
fn every_operation_is_named_once_and_described() {
    let (document, mut ids) = (document(), BTreeSet::new());
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document.get("jsonSchemaDialect").is_none());
    let tags: Vec<&Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    for (method, path, operation) in operations(&document) {
        let of = format!("{method} {path}");
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{of}: no operationId"));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(
            id.chars().all(char::is_alphanumeric) && id.starts_with(char::is_lowercase),
            "{id}"
        );
        for member in ["summary", "description"] {
            assert!(
                operation[member]
                    .as_str()
                    .is_some_and(|text| !text.trim().is_empty()),
                "{of}: {member}"
            );
        }
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{of}");
        assert!(
            tags.contains(&&operation["tags"][0]),
            "{of}: its tag is not declared"
        );
        assert!(operation["security"].is_array(), "{of}");
        assert!(
            !path.ends_with('/')
                && path
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "/{}-_.1".contains(c)),
            "{path}"
        );
    }
}

#[test]
fn every_parameter_is_documented() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let of = format!("{method} {path}");
        let parameters: Vec<&Value> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| resolved(&document, p))
            .collect();
        let in_path: BTreeSet<&str> = path
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap())
            .collect();
        let documented: BTreeSet<&str> = parameters
            .iter()
            .filter(|p| p["in"] == "path")
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(documented, in_path, "{of}");
        let mut seen = BTreeSet::new();
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            assert!(
                seen.insert((parameter["in"].as_str().unwrap(), name)),
                "{of}: {name} twice"
            );
            assert!(
                parameter["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{of}: {name} has no description"
            );
            assert!(
                parameter["schema"].is_object(),
                "{of}: {name} has no schema"
            );
            assert!(
                parameter["in"] != "path" || parameter["required"] == true,
                "{of}: {name}"
            );
        }
        let transition = method == "post"
            && path.matches('/').count() == 4
            && operation["requestBody"]["required"] != true;
        let takes_key = seen.contains(&("header", "Idempotency-Key"));
        assert!(
            !transition || takes_key || path.starts_with("/v1/auth"),
            "{of}: a POST without Idempotency-Key"
        );
    }
}

#[test]
fn every_post_but_logins_takes_an_idempotency_key() {
    let document = document();
    for (method, path, operation) in operations(&document)
        .into_iter()
        .filter(|(method, path, _)| method == "post" && !path.starts_with("/v1/auth/"))
    {
        let mut parameters = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| resolved(&document, p));
        assert!(
            parameters.any(|p| p["name"] == "Idempotency-Key"),
            "{method} {path}"
        );
    }
}

#[test]
fn every_answer_has_a_schema_and_every_problem_is_documented() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let of = format!("{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{of}: no good answer"
        );
        assert!(responses.contains_key("500"), "{of}");
        for (status, response) in responses {
            let response = resolved(&document, response);
            assert!(
                response["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{of} {status}"
            );
            let silent = ["204", "304"].contains(&status.as_str());
            assert_eq!(response.get("content").is_none(), silent, "{of} {status}");
            for (media, content) in response["content"].as_object().into_iter().flatten() {
                let schema = &content["schema"];
                assert!(
                    schema.is_object() && !schema.as_object().unwrap().is_empty(),
                    "{of} {status} {media}"
                );
                if media.contains("json") {
                    assert!(
                        schema["$ref"].is_string(),
                        "{of} {status}: an anonymous object"
                    );
                }
                assert_eq!(
                    status.starts_with('4') || status.starts_with('5'),
                    media == "application/problem+json",
                    "{of} {status}"
                );
            }
        }
        let guarded = operation["security"]
            .as_array()
            .unwrap()
            .iter()
            .any(|scheme| scheme.get("bearer").is_some());
        assert!(
            !guarded
                || ["401", "429", "503"]
                    .iter()
                    .all(|status| responses.contains_key(*status)),
            "{of}"
        );
    }
}

#[test]
fn no_schema_is_empty_or_without_limits() {
    let document = document();
    let mut faults = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        walk(&format!("/{name}"), schema, &mut |at, value| {
            let Some(members) = value.as_object().filter(|_| is_schema(at)) else {
                return;
            };
            let says = ["type", "$ref", "oneOf", "allOf", "enum", "anyOf"]
                .iter()
                .any(|word| members.contains_key(*word));
            if !says && at != "/AnyValue" {
                faults.push(format!("{at} says nothing"));
            }
            let is = |kind: &str| {
                value["type"] == kind
                    || value["type"]
                        .as_array()
                        .is_some_and(|all| all.len() == 2 && all.iter().any(|one| one == kind))
            };
            let bounded = ["maxLength", "enum", "format", "pattern", "const"]
                .iter()
                .any(|word| members.contains_key(*word));
            if is("string") && !bounded {
                faults.push(format!("{at} is text without a limit"));
            }
            if is("array") && !members.contains_key("maxItems") {
                faults.push(format!("{at} is a list without a limit"));
            }
            if is("object")
                && !["properties", "additionalProperties"]
                    .iter()
                    .any(|word| members.contains_key(*word))
            {
                faults.push(format!("{at} is an object of nothing"));
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
/// What is optional is left out of a request.
#[test]
fn no_parameter_and_no_body_is_null() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let parameters = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| &resolved(&document, p)["schema"]);
        let bodies = operation["requestBody"]["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, content)| &content["schema"]);
        for schema in parameters.chain(bodies) {
            walk("", schema, &mut |at, value| {
                assert!(value != "null", "{method} {path}{at}: {schema}")
            });
        }
    }
}

/// Does a schema stand at this place?
fn is_schema(at: &str) -> bool {
    let parts: Vec<&str> = at.split('/').skip(1).collect();
    match parts.as_slice() {
        [_] => true,
        [.., "properties", _] => !at.contains("/example"),
        [.., "items"] => !at.contains("/properties/items") || at.ends_with("/properties/items"),
        _ => false,
    }
}

#[test]
fn no_two_schemas_have_one_name() {
    let mut document = Document::default();
    let mount = |app: &mut actix_web::web::ServiceConfig| {
        rooms::rooms(Api::new(app, &mut document, isms::api::KINDS))
    };
    drop(actix_web::App::new().configure(mount));
    assert_eq!(document.clashes, Vec::<String>::new());
}

/// Generated clients make a type of each schema: none may hide one that their languages bring
/// along.
#[test]
fn no_schema_is_called_as_a_language_calls_its_own() {
    let taken = [
        "Any",
        "Array",
        "Blob",
        "Boolean",
        "Bytes",
        "Callable",
        "Class",
        "Client",
        "Date",
        "Dict",
        "Double",
        "Enum",
        "Error",
        "Exception",
        "File",
        "Float",
        "Function",
        "Headers",
        "Int",
        "Integer",
        "Iterable",
        "Iterator",
        "List",
        "Literal",
        "Long",
        "Map",
        "Mapping",
        "None",
        "Null",
        "Number",
        "Object",
        "Option",
        "Optional",
        "Partial",
        "Promise",
        "Readonly",
        "Record",
        "Request",
        "Response",
        "Result",
        "Self",
        "Sequence",
        "Set",
        "String",
        "Symbol",
        "Tuple",
        "Type",
        "Union",
        "Unset",
        "Url",
        "Uuid",
        "Vec",
        "Void",
    ];
    let document = document();
    let named = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys();
    let clashing: Vec<&String> = named
        .filter(|name| taken.contains(&name.as_str()))
        .collect();
    assert!(clashing.is_empty(), "{clashing:?}");
}

/// Every content of requests and good answers: where, whether it is an answer, its place, itself.
fn contents(document: &Value) -> Vec<(String, bool, String, Value)> {
    let mut all = Vec::new();
    for (method, path, operation) in operations(document) {
        let at = format!("/paths/{}/{method}", piece(&path));
        let mut add = |answer: bool, at: String, holder: &Value| {
            for (media, content) in holder["content"].as_object().into_iter().flatten() {
                all.push((
                    format!("{method} {path} {media}"),
                    answer,
                    format!("{at}/content/{}/schema", piece(media)),
                    content.clone(),
                ));
            }
        };
        add(
            false,
            format!("{at}/requestBody"),
            &operation["requestBody"],
        );
        for (status, response) in operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(status, _)| status.starts_with('2'))
        {
            add(
                true,
                format!("{at}/responses/{status}"),
                resolved(document, response),
            );
        }
    }
    all
}
fn piece(name: &str) -> String {
    let pointer = name.replace('~', "~0").replace('/', "~1");
    percent_encoding::utf8_percent_encode(&pointer, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn every_body_has_an_example_that_its_schema_takes() {
    let (document, mut faults) = (document(), Vec::new());
    for (of, answer, place, content) in contents(&document) {
        let schema = resolved(&document, &content["schema"]);
        let example = [
            &content["example"],
            &schema["example"],
            &schema["examples"][0],
        ]
        .into_iter()
        .find(|one| !one.is_null());
        match example {
            None if of.ends_with("multipart/form-data") => {}
            None => faults.push(format!("{of}: no example")),
            Some(example) => {
                faults.extend(
                    examined(answer, &place, &content["schema"], example)
                        .into_iter()
                        .map(|fault| format!("{of}: {fault}")),
                );
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in [&schema["example"], &schema["examples"][0]]
            .into_iter()
            .filter(|one| !one.is_null())
        {
            let reference = serde_json::json!({"$ref": format!("#/components/schemas/{name}")});
            faults.extend(
                examined(false, "", &reference, example)
                    .into_iter()
                    .map(|fault| format!("{name}: {fault}")),
            );
        }
    }
    assert!(
        faults.is_empty(),
        "give the schema an `example`, or the register one that is whole:\n{}",
        faults.join("\n")
    );
}

#[test]
fn what_answers_document_is_always_there() {
    // What is asked for with `include`, and what is shown once.
    const ASKED_FOR: [&str; 5] = ["counts", "refs", "total", "secret", "setup_token"];
    let (document, mut faults) = (document(), Vec::new());
    let answered = reached(&document, &mut |at| at.contains("/responses/"));
    let schemas = document["components"]["schemas"].as_object().unwrap();
    // Of a hidden entry of the ledger only its position and its leaf are told.
    let whole = |name: &String| answered.contains(name) && name != "LedgerEvent";
    for (name, schema) in schemas.iter().filter(|(name, _)| whole(name)) {
        walk(&format!("/{name}"), schema, &mut |at, value| {
            let Some(members) = value["properties"]
                .as_object()
                .filter(|_| !at.contains("/example") && !at.ends_with("/properties"))
            else {
                return;
            };
            let required = value["required"].as_array().cloned().unwrap_or_default();
            let loose = members.keys().filter(|name| {
                !required.contains(&serde_json::json!(name)) && !ASKED_FOR.contains(&name.as_str())
            });
            faults.extend(loose.map(|name| format!("{at}/{name}")));
        });
    }
    assert!(
        faults.is_empty(),
        "documented for answers, but not required (`#[schema(required)]`):\n{}",
        faults.join("\n")
    );
}

#[test]
fn no_object_is_anonymous_and_every_number_has_its_limits() {
    let (document, mut faults) = (document(), Vec::new());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        walk(&format!("/{name}"), schema, &mut |at, value| {
            if !is_schema(at) {
                return;
            }
            if at.matches('/').count() > 1 && value["properties"].is_object() {
                faults.push(format!("{at} is an object without a name"));
            }
            let number = ["integer", "number"].iter().any(|kind| {
                value["type"] == *kind
                    || value["type"]
                        .as_array()
                        .is_some_and(|all| all.len() == 2 && all.iter().any(|one| one == kind))
            });
            if number && (value["minimum"].is_null() || value["maximum"].is_null()) {
                faults.push(format!("{at} is a number without limits"));
            }
        });
    }
    for (method, path, operation) in operations(&document) {
        for (of, holder) in operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .chain([(&"request".to_owned(), &operation["requestBody"])])
        {
            for (media, content) in resolved(&document, holder)["content"]
                .as_object()
                .into_iter()
                .flatten()
            {
                walk(media, &content["schema"], &mut |at, value| {
                    if value["properties"].is_object() {
                        faults.push(format!(
                            "{method} {path} {of} {at} is an object without a name"
                        ));
                    }
                });
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_tag_says_which_part_of_the_cycle_it_is() {
    for tag in document()["tags"].as_array().unwrap() {
        let about = tag["description"].as_str().unwrap();
        let parts = [
            "Plan: ",
            "Do: ",
            "Check: ",
            "Act: ",
            "Apart from the cycle: ",
        ];
        assert!(
            parts.iter().any(|part| about.starts_with(part)),
            "{}: {about}",
            tag["name"]
        );
    }
}

#[test]
fn words_of_answers_may_grow_and_words_of_requests_are_closed() {
    let document = document();
    let (asked, answered) = (
        reached(&document, &mut |at| at.contains("/requestBody/")),
        reached(&document, &mut |at| at.contains("/responses/")),
    );
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        walk(&format!("/{name}"), schema, &mut |at, value| {
            if let Some(words) = value
                .get("enum")
                .filter(|words| words.is_array() && !at.contains("/example"))
            {
                match answered.contains(name) {
                    true => assert_eq!(value.get("x-extensible-enum"), Some(words), "{at}"),
                    false => assert!(
                        asked.contains(name) && value.get("x-extensible-enum").is_none(),
                        "{at}"
                    ),
                }
            }
        });
    }
}

#[test]
fn every_body_has_a_schema_that_it_is_held_to() {
    let (schemas, document) = (isms::api::document::schemas(), document());
    assert_eq!(schemas.prepare(), Vec::<&str>::new());
    let sent = reached(&document, &mut |at| at.contains("/requestBody/"));
    assert!(sent.len() > 70);
    for name in sent {
        schemas.sent(&name).unwrap();
        if let Some(kind) = name.strip_suffix("Patch") {
            // `ExpectedRiskPatch` is a part of one.
            let of_a_record = document["components"]["schemas"][format!("{kind}Page")].is_object();
            assert!(!of_a_record || schemas.whole(kind).is_some(), "{name}");
        }
    }
}
