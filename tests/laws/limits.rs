//! What the document says of a body, the house holds to: one more than a limit is refused, for
//! every member of every body.
use crate::support::make::{all, body, id, make, one, rooms};
use crate::support::{Reply, TestApp};
use actix_web::http::Method;
use isms::access::{Role, allows};
use isms::registers::Register;
use serde_json::{Value, json};
use std::collections::BTreeSet;

crate::on_both!(
    one_more_than_each_documented_limit_is_refused,
    one_more_than_each_limit_of_a_parameter_is_refused,
    what_the_document_asks_for_is_needed,
    what_is_optional_may_be_null
);

/// The values just outside of a schema, with what is wrong with each.
fn beyond(document: &Value, schema: &Value) -> Vec<(&'static str, Value)> {
    let schema = schema["$ref"]
        .as_str()
        .map_or(schema, |target| document.pointer(&target[1..]).unwrap());
    if let Some(one) = schema["oneOf"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["type"] != "null"))
    {
        return beyond(document, one);
    }
    let kinds = schema["type"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![schema["type"].clone()]);
    let is = |kind: &str| kinds.iter().any(|one| one == kind);
    let mut bad = Vec::new();
    if schema["enum"].is_array() {
        bad.push(("enum", json!("no such word")));
        return bad;
    }
    if is("string") && kinds.len() <= 2 {
        bad.push(("type", json!(7)));
        bad.extend(
            schema["maxLength"]
                .as_u64()
                .map(|most| ("maxLength", json!("é".repeat(most as usize + 1)))),
        );
        bad.extend(
            schema["minLength"]
                .as_u64()
                .filter(|least| *least > 0)
                .map(|least| ("minLength", json!("x".repeat(least as usize - 1)))),
        );
        bad.extend(
            schema["format"]
                .as_str()
                .filter(|format| *format != "password")
                .map(|_| ("format", json!("neither day nor address"))),
        );
        bad.extend(
            schema["pattern"]
                .as_str()
                .map(|_| ("pattern", json!("~ no pattern has this ~"))),
        );
    }
    if is("integer") && kinds.len() <= 2 {
        bad.push(("type", json!("seven")));
        bad.push(("fraction", json!(1.5)));
        bad.extend(
            schema["maximum"]
                .as_i64()
                .map(|most| ("maximum", json!(most + 1))),
        );
        bad.extend(
            schema["minimum"]
                .as_i64()
                .map(|least| ("minimum", json!(least - 1))),
        );
    }
    if is("boolean") && kinds.len() <= 2 {
        bad.push(("type", json!("true")));
    }
    if is("array") && kinds.len() <= 2 {
        bad.push(("type", json!("one")));
        bad.extend(
            schema["maxItems"]
                .as_u64()
                .map(|most| ("maxItems", json!(vec!["x"; most as usize + 1]))),
        );
        bad.extend(
            beyond(document, &schema["items"])
                .into_iter()
                .map(|(what, value)| (what, json!([value]))),
        );
    }
    bad
}

/// Sends a body about the version that stands.
async fn sent(app: &TestApp, key: &str, method: &Method, path: &str, body: &Value) -> Reply {
    let tag = app.tag_for(&app.keys.admin, path).await;
    let known = [("If-Match", tag.as_str())];
    app.send(key, method.clone(), path, &known, Some(body))
        .await
}

/// The steps of a register that something is said with: where, by whom who may, and the example.
async fn steps(
    app: &TestApp,
    document: &Value,
    room: &Register,
) -> Vec<(Method, String, String, String, Value)> {
    // A manager makes the records here, so others decide on them.
    let mut keys = [
        (Role::Manager, &app.keys.manager),
        (Role::InternalAuditor, &app.keys.internal_auditor),
        (Role::Approver, &app.keys.approver),
    ];
    let verbs: BTreeSet<&str> = room.kind.transitions.iter().map(|step| step.verb).collect();
    let mut found = Vec::new();
    for verb in verbs {
        keys.sort_by_key(|(role, _)| (*role == Role::Manager) == room.kind.decides(verb));
        let template = format!("{}/{{id}}/{verb}", all(room));
        let content = &document["paths"][&template]["post"]["requestBody"]["content"];
        let schema = content["application/json"]["schema"]["$ref"].as_str();
        let Some(name) = schema.and_then(|target| target.rsplit('/').next()) else {
            continue;
        };
        let may = |(role, _): &&(Role, &String)| allows(&[*role], room.kind.name, verb);
        let Some((_, key)) = keys.iter().find(may) else {
            continue;
        };
        let good = &document["components"]["schemas"][name]["example"];
        let path = format!("{}/{verb}", one(room, &make(app, room).await));
        found.push((
            Method::POST,
            path,
            (*key).clone(),
            name.to_owned(),
            good.clone(),
        ));
    }
    found
}

/// Every body of the document: where it is sent, by whom, and a good one.
async fn bodies(app: &TestApp, document: &Value) -> Vec<(Method, String, String, String, Value)> {
    let (manager, admin) = (app.keys.manager.clone(), app.keys.admin.clone());
    let mut found = Vec::new();
    for room in rooms() {
        let schema = |path: String, method: &str| {
            let content = &document["paths"][path][method]["requestBody"]["content"];
            let media = content.as_object().unwrap().values().next().unwrap();
            media["schema"]["$ref"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        };
        let record = make(app, room).await;
        found.push((
            Method::POST,
            all(room),
            manager.clone(),
            schema(all(room), "post"),
            body(app, room, "").await,
        ));
        let path = format!("{}/{}", all(room), id(&record));
        found.push((
            Method::PATCH,
            path,
            manager.clone(),
            schema(format!("{}/{{id}}", all(room)), "patch"),
            json!({}),
        ));
        for (verb, name, good) in [
            (
                "links",
                "NewLink",
                json!({"relation": "scope_ids", "to": "SCO-1"}),
            ),
            ("review", "Reviewed", json!({})),
            ("restore", "Comment", json!({})),
            (
                "assessments",
                "AssessmentInput",
                json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "r"}),
            ),
            ("hold", "Comment", json!({"comment": "c"})),
            ("retain", "Retention", json!({"comment": "c"})),
        ] {
            let template = format!("{}/{{id}}/{verb}", all(room));
            let asks = &document["paths"][&template]["post"]["requestBody"];
            if asks.to_string().contains(&format!("/schemas/{name}\"")) {
                let path = format!("{}/{}/{verb}", all(room), id(&make(app, room).await));
                found.push((Method::POST, path, manager.clone(), name.to_owned(), good));
            }
        }
        found.extend(steps(app, document, room).await);
    }
    found.push((
        Method::POST,
        "/v1/risks/rescore".into(),
        manager.clone(),
        "RescoreInput".into(),
        json!({"risk_ids": ["RSK-1"], "stage": "current", "rationale": "r"}),
    ));
    let scope = make(app, rooms().next().unwrap()).await;
    let at = format!("/v1/scopes/{}/applicability", id(&scope));
    found.push((
        Method::PUT,
        format!("{at}/iso-27001-2022:A.5.1"),
        manager.clone(),
        "ApplicabilityInput".into(),
        json!({"applicable": true}),
    ));
    found.push((
        Method::POST,
        format!("{at}/batch"),
        manager,
        "ApplicabilityBatch".into(),
        json!({"items": [{"requirement": "iso-27001-2022:A.5.1", "applicable": true}]}),
    ));
    let gap = make(
        app,
        rooms()
            .find(|room| room.kind.name == "gap_assessment")
            .unwrap(),
    )
    .await;
    let at = format!("/v1/gap-assessments/{}/answers", id(&gap));
    found.push((
        Method::PUT,
        format!("{at}/iso-27001-2022:A.5.1"),
        app.keys.manager.clone(),
        "GapAnswerInput".into(),
        json!({"state": "met"}),
    ));
    let items = json!({"items": [{"requirement": "iso-27001-2022:A.5.1", "state": "met"}]});
    found.push((
        Method::POST,
        format!("{at}/batch"),
        app.keys.manager.clone(),
        "GapAnswerBatch".into(),
        items,
    ));
    let own =
        json!({"slug": "own", "title": "Own", "requirements": [{"ref": "1", "title": "One"}]});
    app.post(&app.keys.manager, "/v1/frameworks", &own)
        .await
        .expect(201);
    found.push((
        Method::POST,
        "/v1/frameworks".into(),
        app.keys.manager.clone(),
        "FrameworkImport".into(),
        own,
    ));
    let mappings =
        json!({"mappings": [{"source": "1", "target": "dora:Art.5", "relationship": "equal"}]});
    found.push((
        Method::POST,
        "/v1/frameworks/own/mappings".into(),
        app.keys.manager.clone(),
        "MappingImport".into(),
        mappings,
    ));
    let key = json!({"name": "k", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z"});
    found.push((
        Method::POST,
        "/v1/api-keys".into(),
        admin.clone(),
        "ApiKeyInput".into(),
        key,
    ));
    found.push((
        Method::POST,
        "/v1/users".into(),
        admin.clone(),
        "UserInput".into(),
        json!({"email": "x@a.example", "roles": ["auditor"]}),
    ));
    found.push((
        Method::PATCH,
        "/v1/organization".into(),
        admin,
        "OrganizationPatch".into(),
        json!({}),
    ));
    let login = json!({"email": "x@a.example", "password": "y"});
    found.push((
        Method::POST,
        "/v1/auth/login".into(),
        String::new(),
        "Login".into(),
        login,
    ));
    found
}

async fn one_more_than_each_documented_limit_is_refused(app: &TestApp) {
    let document = isms::api::document::document();
    let (mut tried, mut taken) = (0, Vec::new());
    for (method, path, key, name, good) in bodies(app, &document).await {
        let schema = &document["components"]["schemas"][&name];
        for (member, schema) in schema["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("{name}"))
        {
            for (what, value) in beyond(&document, schema) {
                let mut whole = good.clone();
                whole[member] = value;
                let reply = sent(app, &key, &method, &path, &whole).await;
                tried += 1;
                let named = reply.status == 422
                    && reply.json()["errors"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|fault| {
                            fault["pointer"]
                                .as_str()
                                .unwrap()
                                .starts_with(&format!("/{member}"))
                        });
                if !named {
                    taken.push(format!(
                        "{name}.{member} {what}: {method} {path}: {} {}",
                        reply.status,
                        reply.text().chars().take(200).collect::<String>()
                    ));
                }
            }
        }
    }
    assert!(tried > 400, "only {tried} values were tried");
    assert!(
        taken.is_empty(),
        "{} of {tried} were not refused:\n{}",
        taken.len(),
        taken.join("\n")
    );
}

/// An id that nothing has.
const NOBODY: &str = "018f0000-0000-7000-8000-000000000000";

/// Parameters of the query and of conditions: longer than the document says, or not of its form.
async fn one_more_than_each_limit_of_a_parameter_is_refused(app: &TestApp) {
    let document = isms::api::document::document();
    let resolved = |part: &Value| {
        part["$ref"].as_str().map_or(part.clone(), |target| {
            document.pointer(&target[1..]).unwrap().clone()
        })
    };
    let (mut tried, mut taken) = (0, Vec::new());
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .all(|scheme| scheme.get("bearer").is_none());
            let path = template
                .replace("{id}", NOBODY)
                .replace("{slug}", "iso-27001-2022")
                .replace("{requirement}", "dora:Art.5");
            let path = path
                .replace("{n}", "1")
                .replace("{relation}", "scope_ids")
                .replace("{to}", NOBODY);
            let key = match template.starts_with("/v1/users")
                || template.starts_with("/v1/api-keys")
                || template == "/v1/organization"
            {
                true => &app.keys.admin,
                false => &app.keys.manager,
            };
            for parameter in operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(resolved)
            {
                let schema = resolved(&parameter["schema"]);
                let schema = if schema["type"] == "array" {
                    resolved(&schema["items"])
                } else {
                    schema
                };
                let (name, place) = (
                    parameter["name"].as_str().unwrap(),
                    parameter["in"].as_str().unwrap(),
                );
                let long = schema["maxLength"]
                    .as_u64()
                    .map(|most| "a".repeat(most as usize + 1));
                let strange = (schema["pattern"].is_string()
                    || schema["enum"].is_array()
                    || schema["type"] != "string")
                    .then(|| "~".to_owned());
                for value in long.into_iter().chain(strange) {
                    let reply = match place {
                        "query" => {
                            app.send(
                                key,
                                method.to_uppercase().parse().unwrap(),
                                &format!("{path}?{name}={value}"),
                                &[],
                                None,
                            )
                            .await
                        }
                        "header" if name == "If-None-Match" || name == "If-Match" => {
                            let key = if open { "" } else { key };
                            app.send(
                                key,
                                method.to_uppercase().parse().unwrap(),
                                &path,
                                &[(name, &value)],
                                None,
                            )
                            .await
                        }
                        _ => continue,
                    };
                    tried += 1;
                    if reply.status != 400 {
                        let length = value.len();
                        taken.push(format!(
                            "{method} {template} {name}, {length} characters: {}",
                            reply.status
                        ));
                    }
                }
            }
        }
    }
    assert!(tried > 1000, "only {tried} values were tried");
    assert!(
        taken.is_empty(),
        "{} of {tried} were not refused:\n{}",
        taken.len(),
        taken.join("\n")
    );
}

async fn what_the_document_asks_for_is_needed(app: &TestApp) {
    let document = isms::api::document::document();
    for (method, path, key, name, good) in bodies(app, &document).await {
        let required = document["components"]["schemas"][&name]["required"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for member in required.iter().map(|member| member.as_str().unwrap()) {
            for absent in [true, false] {
                let mut whole = good.clone();
                match absent {
                    true => drop(whole.as_object_mut().unwrap().remove(member)),
                    false => whole[member] = Value::Null,
                }
                let pointers = sent(app, &key, &method, &path, &whole).await.pointers();
                assert!(
                    pointers.contains(&format!("/{member}")),
                    "{name} without {member}: {pointers:?}"
                );
            }
        }
        let mut unknown = good.clone();
        unknown["nmae"] = json!("x");
        assert_eq!(
            sent(app, &key, &method, &path, &unknown).await.pointers(),
            ["/nmae"],
            "{name}"
        );
    }
}

/// Members that are optional and null, at every depth of a body.
fn nulls(document: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    let schema = schema["$ref"]
        .as_str()
        .map_or(schema, |target| document.pointer(&target[1..]).unwrap());
    if let Some(any) = schema["oneOf"].as_array() {
        return any.iter().for_each(|one| nulls(document, one, at, found));
    }
    nulls_of_items(document, schema, at, found);
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{at}/{name}");
        if !schema["required"]
            .as_array()
            .is_some_and(|all| all.contains(&json!(name)))
        {
            found.push(place.clone());
        }
        nulls(document, member, &place, found);
    }
}
fn nulls_of_items(document: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    if schema["items"].is_object() {
        nulls(document, &schema["items"], &format!("{at}/0"), found);
    }
}

async fn what_is_optional_may_be_null(app: &TestApp) {
    let document = isms::api::document::document();
    let (mut tried, mut refused) = (0, Vec::new());
    for (method, path, key, name, good) in bodies(app, &document).await {
        if name.ends_with("Patch") {
            continue; // null clears, and some members have to stand
        }
        let schema = &document["components"]["schemas"][&name];
        let mut places = Vec::new();
        nulls(&document, schema, "", &mut places);
        for place in places {
            let (parent, member) = place.rsplit_once('/').unwrap();
            let mut whole = good.clone();
            // What is deeper stands in the example alone.
            if whole.pointer(parent).is_none() {
                let top = place.split('/').nth(1).unwrap();
                whole[top] = schema["example"][top].clone();
            }
            let Some(within) = whole.pointer_mut(parent).and_then(Value::as_object_mut) else {
                continue;
            };
            within.insert(member.to_owned(), Value::Null);
            let reply = sent(app, &key, &method, &path, &whole).await;
            tried += 1;
            if reply.status < 300 {
                continue;
            }
            // What is refused is refused in the same words where the member is left out.
            whole
                .pointer_mut(parent)
                .and_then(Value::as_object_mut)
                .unwrap()
                .remove(member);
            let absent = sent(app, &key, &method, &path, &whole).await;
            let said = |reply: &Reply| {
                let problem = reply.json();
                let faults = problem["errors"].as_array().cloned().unwrap_or_default();
                let places: Vec<(Value, Value)> = faults
                    .iter()
                    .map(|fault| (fault["pointer"].clone(), fault["code"].clone()))
                    .collect();
                (reply.status, problem["code"].clone(), places)
            };
            if said(&absent) != said(&reply) {
                refused.push(format!(
                    "{name} {place}: {} (absent: {})",
                    reply.text(),
                    absent.text()
                ));
            }
        }
    }
    assert!(tried > 200, "only {tried} nulls were sent");
    assert!(
        refused.is_empty(),
        "{} of {tried} were refused:\n{}",
        refused.len(),
        refused.join("\n")
    );
}
