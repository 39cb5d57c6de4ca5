//! The statement of applicability frozen: word for word for all time, approved by another person,
//! and compared with others.
use super::soa::{decide, entry, scope, statement};
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

crate::on_both!(
    a_version_stays_word_for_word,
    a_statement_that_is_not_ready_is_frozen_only_with_a_comment,
    a_decision_about_a_version_moves_no_statement,
    a_year_is_told_quarter_by_quarter,
    another_person_approves,
    a_version_leaves_review_once,
    sides_that_cannot_be_compared_are_refused,
    a_key_that_sees_a_part_sees_no_frozen_statement,
    a_treated_risk_is_a_reason_and_contradicts_an_exclusion
);

fn versions(scope: &Value) -> String {
    format!("{}/soa-versions", at("scopes", scope))
}
async fn freeze(app: &TestApp, scope: &Value) -> Value {
    let said = json!({"comment": "For the audit.", "allow_incomplete": true});
    app.post(&app.keys.manager, &versions(scope), &said)
        .await
        .expect(201)
        .json()
}
async fn act(
    app: &TestApp,
    key: &str,
    scope: &Value,
    number: i64,
    verb: &str,
    body: Value,
) -> crate::support::Reply {
    app.act(key, &format!("{}/{number}/{verb}", versions(scope)), &body)
        .await
}
async fn version(app: &TestApp, scope: &Value, number: i64) -> Value {
    app.get(&app.keys.manager, &format!("{}/{number}", versions(scope)))
        .await
        .expect(200)
        .json()
}
async fn diff(app: &TestApp, scope: &Value, from: &str, to: &str) -> Value {
    app.get(
        &app.keys.manager,
        &format!("{}/soa-diff?from={from}&to={to}", at("scopes", scope)),
    )
    .await
    .expect(200)
    .json()
}
/// What the SHA-256 of a statement is of: names of accounts are null.
fn nameless(statement: &Value) -> Value {
    let mut statement = statement.clone();
    for entry in statement["entries"].as_array_mut().unwrap() {
        if let Some(account) = entry["decided_by"].as_object_mut() {
            account.insert("name".into(), Value::Null);
        }
    }
    statement
}
async fn push(app: &TestApp, control: &Value, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "source": "tests", "external_id": name, "payload": name,
        "control_ids": [control["id"]]});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.post(&app.keys.manager, "/v1/evidence", &body)
        .await
        .expect(201)
        .json()
}

async fn a_version_stays_word_for_word(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    app.act(
        &app.keys.manager,
        &format!("{}/submit", at("scopes", &shop)),
        &json!({}),
    )
    .await
    .expect(200);
    app.act(
        &app.keys.approver,
        &format!("{}/approve", at("scopes", &shop)),
        &json!({}),
    )
    .await
    .expect(200);
    let control = made(
        app,
        "controls",
        "Policies",
        json!({"implementation": "implemented", "requirements": ["iso-27001-2022:A.5.1"]}),
    )
    .await;
    made(
        app,
        "controls",
        "Seals on lorries",
        json!({"implementation": "implemented"}),
    )
    .await;
    decide(
        app,
        &shop,
        "A.5.1",
        "*",
        &json!({"applicable": true, "reasons": ["law"]}),
    )
    .await
    .expect(200);
    push(app, &control, "e", json!({"expires_on": "2027-01-31"})).await;
    let live = statement(app, &shop, "").await;
    let said = json!({"comment": "Not all is decided.", "allow_incomplete": true});
    let reply = app
        .post(&app.keys.manager, &versions(&shop), &said)
        .await
        .expect(201);
    let frozen = reply.json();
    assert_eq!(
        reply.header("location").unwrap(),
        format!("{}/1", versions(&shop))
    );
    assert_eq!(frozen["statement"], live);
    assert_eq!(
        frozen["statement"]["own_controls"][0]["name"],
        "Seals on lorries"
    );
    let head = json!({"code": frozen["code"], "number": frozen["number"],
        "status": frozen["status"], "framework": frozen["framework"],
        "scope_revision": frozen["scope_revision"],
            "methodology_revision": frozen["methodology_revision"],
                "in_force": frozen["in_force"]});
    let wanted = json!({"code": "SOA-1", "number": 1, "status": "in_review",
        "framework": "iso-27001-2022", "scope_revision": 1,
        "methodology_revision": 1, "in_force": false});
    assert_eq!(head, wanted);
    assert_eq!(frozen["position"], crate::support::make::last(app));
    let canonical = isms::core::json::canonical(&nameless(&frozen["statement"])).unwrap();
    assert_eq!(
        frozen["sha256"],
        json!(isms::core::text::hex(&Sha256::digest(canonical.as_bytes())))
    );
    act(app, &app.keys.approver, &shop, 1, "approve", json!({}))
        .await
        .expect(200);
    // What happens later changes the live statement, and not this one.
    app.pass_days(90);
    app.patch(
        &app.keys.manager,
        &at("controls", &control),
        "*",
        &json!({"implementation": "retired"}),
    )
    .await
    .expect(200);
    app.act(
        &app.keys.manager,
        &format!("{}/revise", at("scopes", &shop)),
        &json!({}),
    )
    .await
    .expect(200);
    let later = version(app, &shop, 1).await;
    assert_eq!(
        (&later["statement"], &later["sha256"], &later["position"]),
        (&frozen["statement"], &frozen["sha256"], &frozen["position"])
    );
    assert_eq!(
        (
            &later["status"],
            &later["in_force"],
            &later["scope_revision"]
        ),
        (&json!("approved"), &json!(true), &json!(1))
    );
    assert_ne!(statement(app, &shop, "").await, frozen["statement"]);
    let then = statement(app, &shop, &format!("?as_of=seq:{}", frozen["position"])).await;
    assert_eq!(then, frozen["statement"], "the position says the same");
    let csv = app
        .get(
            &app.keys.manager,
            &format!("{}/1?format=csv", versions(&shop)),
        )
        .await
        .expect(200);
    let path = format!(
        "{}/statement-of-applicability?format=csv&as_of=seq:{}",
        at("scopes", &shop),
        frozen["position"]
    );
    let live = app.get(&app.keys.manager, &path).await.expect(200).text();
    let note = csv.text().strip_prefix(&live).unwrap().to_owned();
    assert!(
        note.contains("Frozen incomplete: 92 undecided, 0 unjustified, 0 contradicted")
            && note.contains("Not all is decided."),
        "{note}"
    );
    assert_eq!(csv.text().lines().count(), 1 + 93 + 1 + 1);
    let tag = app
        .get(&app.keys.manager, &format!("{}/1", versions(&shop)))
        .await
        .expect(200)
        .etag();
    app.get_with(
        &app.keys.manager,
        &format!("{}/1", versions(&shop)),
        &[("If-None-Match", &tag)],
    )
    .await
    .expect(304);
    let actions: Vec<Value> = app
        .get(&app.keys.manager, "/v1/events?kind=soa_version")
        .await
        .data();
    assert_eq!(
        actions
            .iter()
            .map(|event| event["action"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["create", "approve"]
    );
    assert_eq!(actions[0]["seq"], frozen["position"]);
}

async fn a_year_is_told_quarter_by_quarter(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let review = json!({"implementation": "planned", "frequency": "quarterly",
        "requirements": ["iso-27001-2022:A.5.18"]});
    let control = made(app, "controls", "Access review", review).await;
    let seals = made(
        app,
        "controls",
        "Seals on lorries",
        json!({"implementation": "implemented"}),
    )
    .await;
    let mut told: Vec<(String, Value)> = Vec::new();
    let quarter = async |told: &mut Vec<(String, Value)>| {
        app.pass(60);
        told.push((app.now(), statement(app, &shop, "").await));
    };
    quarter(&mut told).await;
    app.pass_days(91);
    app.patch(
        &app.keys.manager,
        &at("controls", &control),
        "*",
        &json!({"implementation": "implemented"}),
    )
    .await
    .expect(200);
    decide(
        app,
        &shop,
        "A.7.4",
        "*",
        &json!({"applicable": false, "justification": "No premises."}),
    )
    .await
    .expect(200);
    push(
        app,
        &control,
        "first",
        json!({"period_end_on": app.now()[..10], "period_start_on": app.now()[..10]}),
    )
    .await;
    let first = freeze(app, &shop).await;
    act(app, &app.keys.approver, &shop, 1, "approve", json!({}))
        .await
        .expect(200);
    quarter(&mut told).await;
    // The evidence of the first quarter has expired, and nobody has changed anything.
    app.pass_days(111);
    quarter(&mut told).await;
    app.pass_days(91);
    decide(
        app,
        &shop,
        "A.7.4",
        "*",
        &json!({"applicable": true, "reasons": ["law"]}),
    )
    .await
    .expect(200);
    app.patch(
        &app.keys.manager,
        &at("controls", &seals),
        "*",
        &json!({"implementation": "retired"}),
    )
    .await
    .expect(200);
    let tapes = made(
        app,
        "controls",
        "Tapes",
        json!({"requirements": ["iso-27001-2022:A.5.18"]}),
    )
    .await;
    quarter(&mut told).await;
    let second = freeze(app, &shop).await;
    let operations: Vec<&Value> = told
        .iter()
        .map(|(_, soa)| &entry(soa, "A.5.18")["operation"])
        .collect();
    assert_eq!(operations, ["unproven", "operating", "stale", "stale"]);
    for (when, soa) in &told {
        assert_eq!(
            statement(app, &shop, &format!("?as_of={when}")).await,
            *soa,
            "{when}"
        );
    }
    // The difference of the two versions, and the same by their moments.
    let difference = diff(app, &shop, "1", "2").await;
    let changed: Vec<(&str, Vec<&str>)> = difference["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["requirement"].as_str().unwrap(),
                one["changed"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n.as_str().unwrap())
                    .collect(),
            )
        })
        .collect();
    assert_eq!(
        changed,
        [
            (
                "iso-27001-2022:A.5.18",
                vec!["implementation", "operation", "controls"]
            ),
            (
                "iso-27001-2022:A.7.4",
                vec![
                    "applicable",
                    "justification",
                    "reasons",
                    "implementation",
                    "operation"
                ]
            )
        ]
    );
    let entries = difference["entries"].as_array().unwrap();
    assert_eq!(
        (
            &entries[0]["controls_added"][0]["id"],
            &entries[0]["controls_removed"]
        ),
        (&tapes["id"], &json!([]))
    );
    assert_eq!(
        (
            &entries[0]["from"]["operation"],
            &entries[0]["to"]["operation"]
        ),
        (&json!("operating"), &json!("stale"))
    );
    assert_eq!(
        (
            &entries[1]["from"]["justification"],
            &entries[1]["to"]["reasons"]
        ),
        (&json!("No premises."), &json!(["law"]))
    );
    let own = difference["own_controls"].as_array().unwrap();
    assert_eq!(
        (own.len(), &own[0]["control"]["id"], &own[0]["to"]),
        (1, &seals["id"], &Value::Null)
    );
    assert_eq!(
        (&difference["from"]["summary"], &difference["to"]["summary"]),
        (&first["summary"], &second["summary"])
    );
    let at_position = |frozen: &Value| format!("seq:{}", frozen["position"]);
    let by_position = diff(app, &shop, &at_position(&first), &at_position(&second)).await;
    assert_eq!(
        (&by_position["entries"], &by_position["own_controls"]),
        (&difference["entries"], &difference["own_controls"])
    );
    let live = diff(app, &shop, "1", "live").await;
    assert_eq!(
        (&live["entries"], &live["to"]["number"]),
        (&difference["entries"], &Value::Null)
    );
    let back = diff(app, &shop, "2", "1").await;
    assert_eq!(
        (
            &back["entries"][0]["controls_removed"][0]["id"],
            &back["own_controls"][0]["from"]
        ),
        (&tapes["id"], &Value::Null)
    );
    let none = diff(app, &shop, "2", "2").await;
    assert_eq!(
        (&none["entries"], &none["own_controls"]),
        (&json!([]), &json!([]))
    );
    let quarters = diff(app, &shop, &told[0].0, &told[1].0).await;
    assert_eq!(quarters["entries"].as_array().unwrap().len(), 2);
    let day = diff(app, &shop, &told[0].0[..10], "live").await;
    assert_eq!(
        day["entries"][0]["from"]["operation"], "unproven",
        "a date is the end of its day"
    );
    let path = format!("{}/soa-diff?from=1&to=2&format=csv", at("scopes", &shop));
    let table = app.get(&app.keys.manager, &path).await.expect(200);
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(table.bytes.as_slice())
        .records()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        rows.iter()
            .map(|row| (row[0].to_owned(), row[1].to_owned()))
            .collect::<Vec<_>>(),
        [
            ("iso-27001-2022:A.5.18".to_owned(), String::new()),
            ("iso-27001-2022:A.7.4".into(), String::new()),
            (String::new(), seals["code"].as_str().unwrap().into())
        ]
    );
    let listed = app.get(&app.keys.manager, &versions(&shop)).await.data();
    let shown: Vec<_> = listed
        .iter()
        .map(|one| {
            (
                one["number"].as_i64().unwrap(),
                one["in_force"] == true,
                one["statement"].is_null(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [(2, false, true), (1, true, true)],
        "newest first, the approved one in force"
    );
    act(app, &app.keys.approver, &shop, 2, "approve", json!({}))
        .await
        .expect(200);
    let in_force = async |when: &str| {
        let listed = app
            .get(&app.keys.manager, &format!("{}{when}", versions(&shop)))
            .await
            .data();
        listed
            .iter()
            .find(|one| one["in_force"] == true)
            .map(|one| one["number"].clone())
    };
    assert_eq!(in_force("").await, Some(json!(2)));
    assert_eq!(
        in_force(&format!("?as_of=seq:{}", second["position"])).await,
        Some(json!(1)),
        "as it was then"
    );
    assert_eq!(
        in_force(&format!("?as_of=seq:{}", first["position"])).await,
        None
    );
}

async fn another_person_approves(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let service = key(app, "manager", None, json!({})).await;
    app.post(&service, &versions(&shop), &json!({}))
        .await
        .problem(403, "segregation_of_duties");
    app.post(&app.keys.auditor, &versions(&shop), &json!({}))
        .await
        .problem(403, "forbidden");
    freeze(app, &shop).await;
    let other = key(app, "manager", Some(&app.keys.user), json!({})).await;
    for mine in [&app.keys.manager, &other, &app.keys.admin, &service] {
        act(app, mine, &shop, 1, "approve", json!({}))
            .await
            .problem(403, "segregation_of_duties");
    }
    act(app, &app.keys.contributor, &shop, 1, "approve", json!({}))
        .await
        .problem(403, "forbidden");
    let path = format!("{}/1/approve", versions(&shop));
    app.post(&app.keys.approver, &path, &json!({}))
        .await
        .problem(428, "version_required");
    app.send(
        &app.keys.approver,
        actix_web::http::Method::POST,
        &path,
        &[("If-Match", "\"2\"")],
        Some(&json!({})),
    )
    .await
    .expect(412);
    let done = act(
        app,
        &app.keys.approver,
        &shop,
        1,
        "approve",
        json!({"comment": "As discussed."}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&done["status"], &done["approved_by"]["person_id"]),
        (&json!("approved"), &json!(app.keys.approver_person))
    );
    assert_eq!(
        (
            &done["created_by"]["person_id"],
            &done["in_force"],
            &done["version"]
        ),
        (&json!(app.keys.person), &json!(true), &json!(2))
    );
}

async fn a_version_leaves_review_once(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    for number in 1..=3 {
        assert_eq!(freeze(app, &shop).await["number"], number);
    }
    assert_eq!(
        act(app, &app.keys.approver, &shop, 1, "return", json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    assert_eq!(
        act(
            app,
            &app.keys.manager,
            &shop,
            2,
            "withdraw",
            json!({"comment": " "})
        )
        .await
        .pointers(),
        ["/comment"]
    );
    let why = json!({"comment": "A.7.4 is missing."});
    let returned = act(app, &app.keys.approver, &shop, 1, "return", why.clone())
        .await
        .expect(200)
        .json();
    let withdrawn = act(app, &app.keys.manager, &shop, 2, "withdraw", why.clone())
        .await
        .expect(200)
        .json();
    act(app, &app.keys.approver, &shop, 3, "approve", json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&returned["status"], &withdrawn["status"]),
        (&json!("returned"), &json!("withdrawn"))
    );
    for number in 1..=3 {
        for (key, verb) in [
            (&app.keys.approver, "approve"),
            (&app.keys.approver, "return"),
            (&app.keys.manager, "withdraw"),
        ] {
            let problem = act(app, key, &shop, number, verb, why.clone())
                .await
                .problem(409, "illegal_transition");
            assert_eq!(problem["allowed"], json!([]));
        }
    }
    act(app, &app.keys.approver, &shop, 4, "approve", json!({}))
        .await
        .problem(404, "not_found");
    let warehouse = scope(app, "Warehouse").await;
    assert_eq!(
        freeze(app, &warehouse).await["number"],
        1,
        "each scope counts for itself"
    );
    assert_eq!(
        app.post(
            &app.keys.manager,
            &versions(&shop),
            &json!({"framework": "iso-1"})
        )
        .await
        .pointers(),
        ["/framework"]
    );
    assert_eq!(
        app.post(&app.keys.manager, &versions(&shop), &json!({"nmae": "x"}))
            .await
            .pointers(),
        ["/nmae"]
    );
    app.get(&app.keys.b_manager, &format!("{}/1", versions(&shop)))
        .await
        .problem(404, "not_found");
}

async fn sides_that_cannot_be_compared_are_refused(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let path = format!("{}/soa-diff", at("scopes", &shop));
    for (query, places) in [
        ("?from=yesterday&to=99999999999", vec!["from", "to"]),
        ("?from=live&to=2026-13-01", vec!["to"]),
        ("?from=live&to=live&nmae=x", vec!["nmae"]),
    ] {
        let problem = app
            .get(&app.keys.manager, &format!("{path}{query}"))
            .await
            .expect(400)
            .json();
        let faults: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(faults, places, "{query}");
    }
    app.get(&app.keys.manager, &path)
        .await
        .problem(404, "not_found");
    freeze(app, &shop).await;
    app.get(&app.keys.manager, &path)
        .await
        .problem(404, "not_found");
    act(app, &app.keys.approver, &shop, 1, "approve", json!({}))
        .await
        .expect(200);
    let since = app.get(&app.keys.manager, &path).await.expect(200).json();
    assert_eq!(
        (&since["from"]["number"], &since["to"]["number"]),
        (&json!(1), &Value::Null),
        "what changed since the version in force"
    );
    app.get(&app.keys.manager, &format!("{path}?from=2&to=live"))
        .await
        .problem(404, "not_found");
    app.get(
        &app.keys.manager,
        &format!("{path}?from=live&to=2027-12-31"),
    )
    .await
    .expect(400);
}

async fn a_key_that_sees_a_part_sees_no_frozen_statement(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let control = made(
        app,
        "controls",
        "Policies",
        json!({"requirements": ["iso-27001-2022:A.5.1"]}),
    )
    .await;
    freeze(app, &shop).await;
    let one = format!("{}/1", versions(&shop));
    let limits = [
        json!({"control_ids": [control["code"]]}),
        json!({"sources": ["backup"]}),
        json!({"period_end_on": "2026-12-31"}),
    ];
    for limits in limits {
        let limited = key(app, "auditor", None, limits.clone()).await;
        app.get(&limited, &one).await.problem(403, "outside_limits");
        app.get(
            &limited,
            &format!("{}/soa-diff?from=1&to=live", at("scopes", &shop)),
        )
        .await
        .problem(403, "outside_limits");
        app.get(&limited, &versions(&shop)).await.expect(200);
        let limited = key(app, "manager", Some(&app.keys.user), limits).await;
        app.post(&limited, &versions(&shop), &json!({}))
            .await
            .problem(403, "outside_limits");
    }
    let here = key(app, "auditor", None, json!({"scope_ids": [shop["code"]]})).await;
    app.get(&here, &one).await.expect(200);
    let warehouse = scope(app, "Warehouse").await;
    freeze(app, &warehouse).await;
    app.get(&here, &format!("{}/1", versions(&warehouse)))
        .await
        .problem(404, "not_found");
}

async fn a_treated_risk_is_a_reason_and_contradicts_an_exclusion(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let control = made(
        app,
        "controls",
        "Fence",
        json!({"implementation": "implemented", "requirements": ["iso-27001-2022:A.7.4",
            "iso-27001-2022:A.7.1"]}),
    )
    .await;
    let seals = made(
        app,
        "controls",
        "Seals on lorries",
        json!({"implementation": "implemented"}),
    )
    .await;
    let risk = made(
        app,
        "risks",
        "Theft",
        json!({"owner_id": app.keys.contributor_person}),
    )
    .await;
    let said = json!({"stage": "current", "likelihood": 4, "impact": 4, "rationale": "seen"});
    app.post(
        &app.keys.manager,
        &format!("{}/assessments", at("risks", &risk)),
        &said,
    )
    .await
    .expect(201);
    let expected = json!({"likelihood": 1, "impact": 2});
    let body = json!({"risk_id": risk["id"], "option": "mitigate", "plan": "A fence.",
        "expected": expected, "control_ids": [control["id"], seals["id"]],
        "owner_id": app.keys.person, "due_on": "2027-06-30"});
    let treatment = made(app, "risk-treatments", "Build it", body).await;
    decide(
        app,
        &shop,
        "A.7.4",
        "*",
        &json!({"applicable": false, "justification": "No premises."}),
    )
    .await
    .expect(200);
    decide(
        app,
        &shop,
        "A.7.1",
        "*",
        &json!({"applicable": true, "reasons": ["law"]}),
    )
    .await
    .expect(200);
    app.patch(
        &app.keys.manager,
        &at("controls", &control),
        "*",
        &json!({"implementation": "planned"}),
    )
    .await
    .expect(200);
    let before = statement(app, &shop, "").await;
    assert_eq!(
        (
            &entry(&before, "A.7.1")["reasons"],
            &before["own_controls"][0]["reasons"]
        ),
        (&json!(["law"]), &json!([]))
    );
    assert_eq!(
        (
            &entry(&before, "A.7.4")["contradicted_by"],
            &before["summary"]["contradicted"]
        ),
        (&json!([]), &json!(0))
    );
    let path = at("risk-treatments", &treatment);
    app.act(&app.keys.manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    let signed = app
        .act(&app.keys.contributor, &format!("{path}/sign"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(signed["status"], "approved");
    let after = statement(app, &shop, "").await;
    let included = entry(&after, "A.7.1");
    assert_eq!(
        (&included["reasons"], &included["risk_count"]),
        (&json!(["risk", "law"]), &json!(1))
    );
    assert_eq!(
        (&included["risk_codes"], &included["treatment_codes"]),
        (&json!([risk["code"]]), &json!([treatment["code"]]))
    );
    let excluded = entry(&after, "A.7.4");
    assert_eq!(
        (
            &excluded["applicable"],
            &excluded["contradicted_by"][0]["code"]
        ),
        (&json!(false), &control["code"])
    );
    assert_eq!(
        (
            &after["summary"]["contradicted"],
            &after["summary"]["own_controls"]
        ),
        (&json!(1), &json!(1))
    );
    let own = &after["own_controls"][0];
    assert_eq!(
        (&own["code"], &own["reasons"], &own["risk_count"]),
        (&seals["code"], &json!(["risk"]), &json!(1))
    );
    // A risk of another scope is no reason here.
    let warehouse = scope(app, "Warehouse").await;
    app.patch(
        &app.keys.manager,
        &at("risks", &risk),
        "*",
        &json!({"scope_ids": [warehouse["id"]]}),
    )
    .await
    .expect(200);
    assert_eq!(
        entry(&statement(app, &shop, "").await, "A.7.1")["reasons"],
        json!(["law"])
    );
    assert_eq!(
        entry(&statement(app, &warehouse, "").await, "A.7.1")["reasons"],
        json!(["risk"])
    );
    assert!(
        entry(&statement(app, &warehouse, "").await, "A.7.1")["justification_missing"] == false
    );
}

/// Decides every requirement of Annex A.
pub async fn decide_all(app: &TestApp, scope: &Value) {
    let annex = isms::core::catalogue::framework(isms::core::catalogue::ISO_27001).unwrap();
    let item = |requirement: &isms::core::catalogue::Requirement| {
        json!({
        "requirement": requirement.id, "applicable": true, "reasons": ["business"]})
    };
    let items: Vec<Value> = annex.decidable().map(item).collect();
    app.post(
        &app.keys.manager,
        &format!("{}/applicability/batch", at("scopes", scope)),
        &json!({"items": items}),
    )
    .await
    .expect(200);
}

async fn a_statement_that_is_not_ready_is_frozen_only_with_a_comment(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let before = crate::support::make::last(app);
    let refused = app
        .post(&app.keys.manager, &versions(&shop), &json!({}))
        .await
        .problem(409, "not_ready");
    let faults = refused["errors"].as_array().unwrap();
    assert_eq!(
        (faults.len(), &faults[0]["pointer"], &faults[0]["code"]),
        (93, &json!("/iso-27001-2022:A.5.1"), &json!("undecided"))
    );
    assert_eq!(refused["needed_by"].as_array().unwrap().len(), 93);
    assert!(
        refused["detail"].as_str().unwrap().contains("93 undecided"),
        "{refused}"
    );
    for silent in [
        json!({"allow_incomplete": true}),
        json!({"allow_incomplete": true, "comment": " "}),
    ] {
        assert_eq!(
            app.post(&app.keys.manager, &versions(&shop), &silent)
                .await
                .pointers(),
            ["/comment"]
        );
    }
    app.post(
        &app.keys.manager,
        &versions(&shop),
        &json!({"allow_incomplete": false, "comment": "x"}),
    )
    .await
    .problem(409, "not_ready");
    assert_eq!(
        crate::support::make::last(app),
        before,
        "nothing was frozen"
    );
    decide_all(app, &shop).await;
    let backups = made(
        app,
        "controls",
        "Backups",
        json!({"implementation": "implemented", "requirements": ["iso-27001-2022:A.8.13"]}),
    )
    .await;
    decide(
        app,
        &shop,
        "A.8.13",
        "*",
        &json!({"applicable": false, "justification": "none"}),
    )
    .await
    .expect(200);
    decide(app, &shop, "A.5.7", "*", &json!({"applicable": true}))
        .await
        .expect(200);
    let refused = app
        .post(
            &app.keys.manager,
            &versions(&shop),
            &json!({"comment": "x"}),
        )
        .await
        .problem(409, "not_ready");
    let told: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (&fault["pointer"], &fault["code"]))
        .collect();
    let wanted = [
        (json!("/iso-27001-2022:A.5.7"), json!("unjustified")),
        (json!("/iso-27001-2022:A.8.13"), json!("contradicted")),
    ];
    assert_eq!(
        told,
        wanted.each_ref().map(|(pointer, code)| (pointer, code))
    );
    assert!(
        refused["errors"][1]["detail"]
            .as_str()
            .unwrap()
            .contains(backups["code"].as_str().unwrap())
    );
    let said = json!({"comment": "The audit is tomorrow.", "allow_incomplete": true});
    let frozen = app
        .post(&app.keys.manager, &versions(&shop), &said)
        .await
        .expect(201)
        .json();
    let incomplete = json!({"comment": "The audit is tomorrow.", "undecided": 0, "unjustified": 1,
        "contradicted": 1});
    assert_eq!(frozen["incomplete"], incomplete);
    let approved = act(app, &app.keys.approver, &shop, 1, "approve", json!({}))
        .await
        .expect(200)
        .json();
    let listed = app.get(&app.keys.auditor, &versions(&shop)).await.data();
    for shown in [&approved, &version(app, &shop, 1).await, &listed[0]] {
        assert_eq!(
            (&shown["incomplete"], &shown["summary"]["contradicted"]),
            (&incomplete, &json!(1))
        );
    }
    let csv = app
        .get(
            &app.keys.auditor,
            &format!("{}/1?format=csv", versions(&shop)),
        )
        .await
        .expect(200)
        .text();
    assert!(
        csv.lines()
            .last()
            .unwrap()
            .contains("The audit is tomorrow."),
        "{csv}"
    );
    // What was mended is frozen without a word, and what was frozen stays as it was.
    decide(
        app,
        &shop,
        "A.8.13",
        "*",
        &json!({"applicable": true, "reasons": ["law"]}),
    )
    .await
    .expect(200);
    decide(
        app,
        &shop,
        "A.5.7",
        "*",
        &json!({"applicable": true, "justification": "News."}),
    )
    .await
    .expect(200);
    let complete = app
        .post(&app.keys.manager, &versions(&shop), &json!({}))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&complete["number"], &complete["incomplete"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(
        (
            &complete["summary"]["undecided"],
            &complete["summary"]["justification_missing"]
        ),
        (&json!(0), &json!(0))
    );
    assert_eq!(version(app, &shop, 1).await["incomplete"], incomplete);
}

async fn a_decision_about_a_version_moves_no_statement(app: &TestApp) {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use isms::db::schema::{ledger_entries as e, soa_statements as st};
    let shop = scope(app, "Shop").await;
    decide_all(app, &shop).await;
    let said = json!({"comment": "First."});
    let frozen = app
        .post(&app.keys.manager, &versions(&shop), &said)
        .await
        .expect(201)
        .json();
    act(
        app,
        &app.keys.manager,
        &shop,
        1,
        "withdraw",
        json!({"comment": "Too early."}),
    )
    .await
    .expect(200);
    app.post(&app.keys.manager, &versions(&shop), &said)
        .await
        .expect(201);
    act(app, &app.keys.approver, &shop, 2, "approve", json!({}))
        .await
        .expect(200);
    let bodies: Vec<String> = e::table
        .filter(e::kind.eq("soa_version"))
        .select(e::body)
        .load(&mut app.conn())
        .unwrap();
    let largest = bodies.iter().map(String::len).max().unwrap();
    assert!(
        bodies.len() == 4 && largest < 4096,
        "{} bodies of up to {largest} bytes",
        bodies.len()
    );
    assert!(
        bodies
            .iter()
            .all(|body| body.contains(frozen["sha256"].as_str().unwrap())),
        "the entries commit to the statement"
    );
    let kept: Vec<String> = st::table.select(st::sha256).load(&mut app.conn()).unwrap();
    assert_eq!(
        kept,
        [frozen["sha256"].as_str().unwrap()],
        "the same statement is kept once"
    );
    assert_eq!(
        version(app, &shop, 2).await["statement"],
        frozen["statement"]
    );
    // A list reads no statement; one that was tampered with, or taken away, is never answered.
    let listed = app.get(&app.keys.manager, &versions(&shop)).await.data();
    let one = format!("{}/2", versions(&shop));
    let other =
        isms::core::packed::pack(&isms::core::json::canonical(&json!({"entries": []})).unwrap())
            .unwrap();
    diesel::update(st::table)
        .set(st::content.eq(other))
        .execute(&mut app.conn())
        .unwrap();
    app.get(&app.keys.manager, &one)
        .await
        .problem(500, "internal");
    app.conn()
        .batch_execute("DELETE FROM soa_statements")
        .unwrap();
    app.get(&app.keys.manager, &one)
        .await
        .problem(500, "internal");
    app.get(
        &app.keys.manager,
        &format!("{}/soa-diff?from=2&to=live", at("scopes", &shop)),
    )
    .await
    .problem(500, "internal");
    assert_eq!(
        app.get(&app.keys.manager, &versions(&shop)).await.data(),
        listed
    );
}
