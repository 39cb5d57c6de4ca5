//! A limited key sees what it is limited to: whatever is made outside of it changes no answer that
//! the key gets.
use super::fixtures::{Kit, Operation};
use crate::support::make::{
    after_what_they_need, all, id, linked, make_named, needed, of_kind, rooms,
};
use crate::support::{TestApp, quoted};
use serde_json::{Value, json};
use std::collections::BTreeMap;

crate::on_both!(
    what_lies_outside_of_a_key_changes_nothing_that_it_sees,
    a_link_tells_no_more_than_an_id
);

/// Members that follow the ledger, which is one for the whole organization.
const FOLLOWING: [&str; 3] = ["position", "last_seq", "next_cursor"];

/// Answers that a key gets, without what follows the ledger.
async fn answers(app: &TestApp, key: &str, questions: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for question in questions {
        let reply = app.get(key, question).await;
        let text = match serde_json::from_slice::<Value>(&reply.bytes) {
            Ok(mut value) => {
                if let Some(members) = value.as_object_mut() {
                    // What is hidden keeps its place in the ledger, and says nothing else.
                    if let Some(data) = members.get_mut("data").and_then(Value::as_array_mut) {
                        data.retain(|item| item["hidden"] != json!(true));
                    }
                    members.retain(|name, _| {
                        !FOLLOWING.contains(&name.as_str()) && name != "request_id"
                    });
                }
                value.to_string()
            }
            Err(_) => reply.text(),
        };
        found.insert(question.clone(), format!("{} {text}", reply.status));
    }
    found
}

/// Every read of the document on what the key sees, with everything that can be included.
fn questions(kit: &Kit<'_>, seen: &BTreeMap<&str, Value>) -> Vec<String> {
    let mut all_of_them = Vec::new();
    for operation in kit
        .operations
        .iter()
        .filter(|operation| operation.reads() && !operation.open)
    {
        // Hidden entries have a place on the pages of the whole ledger: `bounds` looks at them.
        if ["/v1/events", "/v1/ledger/entries"].contains(&operation.template.as_str()) {
            continue;
        }
        let kind = operation.kind().map_or("", |kind| kind.name);
        match operation.by_id() {
            false => all_of_them.push(operation.template.replace("{slug}", "iso-27001-2022")),
            true => all_of_them.extend(
                seen.get(kind)
                    .map(|record| kit.filled(operation, id(record))),
            ),
        }
    }
    for room in rooms() {
        for query in [
            "?include=total,refs,counts&archived=any&limit=200",
            "?q=outside&include=total",
            "?overdue=true&include=total,counts",
        ] {
            all_of_them.push(format!("{}{query}", all(room)));
        }
    }
    let scope = id(&seen["scope"]);
    all_of_them
        .extend(["overview", "risk-matrix"].map(|view| format!("/v1/{view}?scope_id={scope}")));
    all_of_them
        .extend(["csv", "json"].map(|format| {
            format!("/v1/scopes/{scope}/statement-of-applicability?format={format}")
        }));
    all_of_them.push("/v1/risk-matrix?format=svg&stage=current".into());
    all_of_them.extend(
        ["asset", "evidence", "control", "scope"]
            .map(|kind| format!("/v1/events?limit=200&after=0&kind={kind}")),
    );
    all_of_them.extend(
        ["risk", "evidence", "control"]
            .map(|kind| format!("/v1/ledger/entries?limit=200&kind={kind}")),
    );
    all_of_them
}

async fn what_lies_outside_of_a_key_changes_nothing_that_it_sees(app: &TestApp) {
    let (admin, kit) = (&app.keys.admin, Kit::new(app).await);
    let room = |name: &str| rooms().find(|room| room.kind.name == name).unwrap();
    let (scope, control) = (
        make_named(app, room("scope"), "inside").await,
        make_named(app, room("control"), "inside").await,
    );
    let mut seen: BTreeMap<&str, Value> = BTreeMap::new();
    for room in rooms().filter(|room| !["scope", "control"].contains(&room.kind.name)) {
        let record = make_named(app, room, "inside").await;
        let linked = json!({"scope_ids": [scope["id"]], "tags": ["inside"]});
        app.patch(
            admin,
            &format!("{}/{}", all(room), id(&record)),
            "*",
            &linked,
        )
        .await
        .expect(200);
        seen.insert(room.kind.name, record);
    }
    let evidence = format!("/v1/evidence/{}", id(&seen["evidence"]));
    app.patch(
        admin,
        &evidence,
        "*",
        &json!({"control_ids": [control["id"]]}),
    )
    .await
    .expect(200);
    seen.extend([("scope", scope.clone()), ("control", control.clone())]);
    let mut keys = Vec::new();
    for (name, limits) in [
        ("scope", json!({"scope_ids": [scope["id"]]})),
        ("control", json!({"control_ids": [control["id"]]})),
        ("source", json!({"sources": ["backup"]})),
        (
            "period",
            json!({"period_start_on": "2026-11-01", "period_end_on": "2026-11-30"}),
        ),
    ] {
        let body = json!({"name": name, "role": "manager", "expires_at": "2027-01-01T00:00:00Z",
            "limits": limits});
        keys.push((
            name,
            app.post(admin, "/v1/api-keys", &body)
                .await
                .expect(201)
                .json()["secret"]
                .as_str()
                .unwrap()
                .to_owned(),
        ));
    }
    let asked = questions(&kit, &seen);
    let mut before = Vec::new();
    for (_, key) in &keys {
        before.push(answers(app, key, &asked).await);
    }
    let mut faults = Vec::new();
    for (n, (limit, key)) in keys.iter().enumerate() {
        let made = outside(app, &kit, limit).await;
        let after = answers(app, key, &asked).await;
        assert!(
            before[n]
                .values()
                .filter(|text| text.starts_with("200"))
                .count()
                > 40,
            "the key sees too little to prove anything"
        );
        for (question, was) in &before[n] {
            if after[question] != *was {
                faults.push(format!(
                    "{limit}: {question}\n    was {}\n    is  {}",
                    around(was, &after[question]),
                    around(&after[question], was)
                ));
            }
        }
        for record in made {
            faults.extend(
                by_name(app, key, &kit, &record)
                    .await
                    .into_iter()
                    .map(|fault| format!("{limit}: {fault}")),
            );
        }
        // The next limit begins with what is there now.
        for (m, (_, key)) in keys.iter().enumerate().skip(n + 1) {
            before[m] = answers(app, key, &asked).await;
        }
    }
    assert!(
        faults.is_empty(),
        "{} answers tell of what lies outside:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
/// Where two texts begin to differ.
fn around(text: &str, other: &str) -> String {
    let same = text
        .chars()
        .zip(other.chars())
        .take_while(|(a, b)| a == b)
        .count();
    text.chars()
        .skip(same.saturating_sub(60))
        .take(200)
        .collect()
}

/// Records outside of a limit, which refer to each other and are assessed.
async fn outside(app: &TestApp, kit: &Kit<'_>, limit: &str) -> Vec<Value> {
    let (admin, mut made) = (&app.keys.admin, Vec::new());
    let elsewhere = [json!(kit.scope)];
    for room in after_what_they_need() {
        let concerned = match limit {
            "scope" => true,
            "control" => ["control", "evidence"].contains(&room.kind.name),
            _ => room.kind.name == "evidence",
        };
        if !concerned {
            continue;
        }
        let mut body = crate::support::make::body(app, room, "outside").await;
        for relation in needed(room) {
            // What lies outside too, where it is made by now.
            let outside = made.iter().find(|one: &&Value| one["kind"] == relation.to);
            if let Some(outside) = outside {
                body[relation.member] = linked(relation, &outside["id"]);
            }
        }
        if limit == "scope" {
            body["scope_ids"] = json!(elsewhere);
        }
        match (limit, room.kind.name) {
            ("source", "evidence") => body["source"] = json!("outside"),
            ("period", "evidence") => body["collected_at"] = json!("2026-10-01T00:00:00Z"),
            _ => {}
        }
        let record = app.post(admin, &all(room), &body).await.expect(201).json();
        made.push(
            json!({"path": all(room), "kind": room.kind.name, "id": record["id"],
            "code": record["code"]}),
        );
        if room.kind.name == "risk" {
            let score =
                json!({"stage": "current", "likelihood": 5, "impact": 5, "rationale": "outside"});
            app.post(
                admin,
                &format!("{}/{}/assessments", all(room), id(&record)),
                &score,
            )
            .await
            .expect(201);
        }
        app.patch(
            admin,
            &format!("{}/{}", all(room), id(&record)),
            "*",
            &json!({"due_on": "2026-11-01", "tags": ["outside"]}),
        )
        .await
        .expect(200);
    }
    made
}

/// A record outside is not there by id, by code, in filters, or by any operation on it.
async fn by_name(app: &TestApp, key: &str, kit: &Kit<'_>, record: &Value) -> Vec<String> {
    let (path, mut faults) = (record["path"].as_str().unwrap(), Vec::new());
    let reads = |operation: &&Operation| {
        operation.reads()
            && operation.by_id()
            && operation.template.starts_with(&format!("{path}/"))
    };
    for operation in kit.operations.iter().filter(reads) {
        for name in [&record["id"], &record["code"]] {
            let asked = kit.filled(operation, name.as_str().unwrap());
            for question in [
                asked.clone(),
                format!(
                    "{asked}{}as_of={}",
                    if asked.contains('?') { '&' } else { '?' },
                    app.now()
                ),
            ] {
                let reply = app.get(key, &question).await;
                faults.extend(
                    (reply.status != 404)
                        .then(|| format!("{question}: {} {}", reply.status, reply.text())),
                );
            }
        }
    }
    let entries = app
        .get(
            key,
            &format!(
                "/v1/ledger/entries?record_id={}",
                quoted(record["code"].as_str().unwrap())
            ),
        )
        .await
        .expect(200);
    faults.extend(
        (!entries.json()["data"].as_array().unwrap().is_empty())
            .then(|| format!("the ledger's entries of {record}")),
    );
    faults
}

/// A record inside may refer to one outside, and be referred to: its name and its code stay
/// unknown, in every read.
async fn a_link_tells_no_more_than_an_id(app: &TestApp) {
    const SECRET: &str = "Unheard-of";
    let (admin, kit) = (&app.keys.admin, Kit::new(app).await);
    let room = |name: &str| rooms().find(|room| room.kind.name == name).unwrap();
    let scope = make_named(app, room("scope"), "inside").await;
    let (mut seen, mut hidden) = (
        BTreeMap::from([("scope", scope.clone())]),
        BTreeMap::from([("scope", json!({"id": kit.scope}))]),
    );
    for room in after_what_they_need().filter(|room| room.kind.name != "scope") {
        for (name, of, into) in [
            ("inside", &scope["id"], &mut seen),
            (SECRET, &json!(kit.scope), &mut hidden),
        ] {
            let mut body = crate::support::make::body(app, room, name).await;
            for relation in needed(room) {
                body[relation.member] =
                    linked(relation, &into[of_kind(relation.to).kind.name]["id"]);
            }
            body["scope_ids"] = json!([of]);
            into.insert(
                room.kind.name,
                app.post(admin, &all(room), &body).await.expect(201).json(),
            );
        }
    }
    app.patch(
        admin,
        &format!("/v1/scopes/{}", kit.scope),
        "*",
        &json!({"name": SECRET}),
    )
    .await
    .expect(200);
    for room in rooms() {
        for relation in room.kind.relations {
            let to = if relation.to.is_empty() {
                "nonconformity"
            } else {
                relation.to
            };
            for (from, target) in [(&seen, &hidden), (&hidden, &seen)] {
                if (room.kind.name, to) == ("asset", "asset") && std::ptr::eq(from, &hidden) {
                    continue; // a circle
                }
                let value = if relation.many() {
                    json!([target[to]["id"]])
                } else {
                    target[to]["id"].clone()
                };
                let path = format!("{}/{}", all(room), id(&from[room.kind.name]));
                let reply = app
                    .patch(admin, &path, "*", &json!({relation.member: value}))
                    .await;
                assert!(
                    [200, 409, 422].contains(&reply.status),
                    "{}: {}",
                    reply.of,
                    reply.text()
                );
            }
        }
    }
    let body = json!({"name": "limited", "role": "manager", "expires_at": "2027-01-01T00:00:00Z",
        "limits": {"scope_ids": [scope["id"]]}});
    let key = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let codes: Vec<String> = hidden
        .values()
        .filter_map(|record| Some(format!("\"{}\"", record["code"].as_str()?)))
        .collect();
    let (mut faults, asked, mut unlimited) = (Vec::new(), questions(&kit, &seen), 0);
    for question in &asked {
        unlimited += usize::from(
            app.get(&app.keys.manager, question)
                .await
                .text()
                .contains(SECRET),
        );
    }
    assert!(unlimited > 20, "only {unlimited} answers would tell of it");
    for record in hidden.values().filter(|record| record["code"].is_string()) {
        for name in [&record["id"], &record["code"]] {
            let link = json!({"name": "x", "description": "x", "origin_id": name});
            assert_eq!(
                app.post(&key, "/v1/actions", &link).await.pointers(),
                ["/origin_id"],
                "what is outside is no reference"
            );
        }
    }
    for question in asked.iter().chain(&[format!(
        "/v1/risks/{}/history?include=body",
        id(&seen["risk"])
    )]) {
        let text = app.get(&key, question).await.text();
        let told = codes
            .iter()
            .map(String::as_str)
            .chain([SECRET])
            .find(|word| text.contains(*word));
        faults.extend(told.map(|word| {
            format!(
                "{question}: {word}: {}",
                around(&text, &text.replace(word, ""))
            )
        }));
    }
    assert!(
        asked.len() > 60 && faults.is_empty(),
        "{} of {} answers name what is outside:\n{}",
        faults.len(),
        asked.len(),
        faults.join("\n")
    );
}
