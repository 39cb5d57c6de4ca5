//! The statement of applicability: every Annex A control once, in natural order, the same as JSON
//! and as CSV.
use super::{at, key, made};
use crate::support::TestApp;
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    every_control_stands_there_once_in_natural_order,
    the_summary_adds_up,
    an_exclusion_keeps_its_reason_and_an_inclusion_without_one_is_flagged,
    csv_is_row_for_row_the_json,
    two_scopes_have_two_statements,
    the_first_decision_is_made_on_version_zero,
    a_batch_is_made_whole_or_not_at_all,
    what_nobody_decided_is_told_from_what_somebody_did,
    an_exclusion_that_controls_or_risks_speak_against_is_told_at_once,
    a_decision_has_a_history
);

pub async fn scope(app: &TestApp, name: &str) -> Value {
    made(app, "scopes", name, json!({"statement": name})).await
}
pub async fn statement(app: &TestApp, scope: &Value, query: &str) -> Value {
    app.get(
        &app.keys.manager,
        &format!("{}/statement-of-applicability{query}", at("scopes", scope)),
    )
    .await
    .expect(200)
    .json()
}
pub fn entry<'a>(statement: &'a Value, requirement: &str) -> &'a Value {
    let name = format!("iso-27001-2022:{requirement}");
    statement["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["requirement"] == json!(name))
        .unwrap()
}
pub async fn decide(
    app: &TestApp,
    scope: &Value,
    requirement: &str,
    tag: &str,
    body: &Value,
) -> crate::support::Reply {
    let path = format!(
        "{}/applicability/iso-27001-2022:{requirement}",
        at("scopes", scope)
    );
    app.send(
        &app.keys.manager,
        Method::PUT,
        &path,
        &[("If-Match", tag)],
        Some(body),
    )
    .await
}

async fn every_control_stands_there_once_in_natural_order(app: &TestApp) {
    let soa = statement(app, &scope(app, "Shop").await, "").await;
    let order: Vec<(u32, u32)> = soa["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let (theme, number) = entry["requirement"]
                .as_str()
                .unwrap()
                .strip_prefix("iso-27001-2022:A.")
                .unwrap()
                .split_once('.')
                .unwrap();
            (theme.parse().unwrap(), number.parse().unwrap())
        })
        .collect();
    let wanted: Vec<(u32, u32)> = [(5, 37), (6, 8), (7, 14), (8, 34)]
        .into_iter()
        .flat_map(|(theme, most)| (1..=most).map(move |n| (theme, n)))
        .collect();
    assert_eq!(order, wanted);
    assert_eq!(order.len(), 93);
    let fresh = entry(&soa, "A.5.1");
    assert_eq!(
        (
            &fresh["applicable"],
            &fresh["justification_missing"],
            &fresh["implementation"],
            &fresh["operation"]
        ),
        (
            &json!(true),
            &json!(true),
            &json!("not_implemented"),
            &json!("unproven")
        )
    );
    let listed = app
        .get(
            &app.keys.manager,
            "/v1/frameworks/iso-27001-2022/requirements?kind=control&limit=200",
        )
        .await
        .data();
    let refs: Vec<&Value> = listed
        .iter()
        .map(|requirement| &requirement["id"])
        .collect();
    assert_eq!(
        refs,
        soa["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["requirement"])
            .collect::<Vec<_>>()
    );
}

async fn the_summary_adds_up(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    for (name, implementation, requirements) in [
        (
            "a",
            "implemented",
            json!(["iso-27001-2022:A.5.1", "iso-27001-2022:A.5.2"]),
        ),
        (
            "b",
            "planned",
            json!(["iso-27001-2022:A.5.2", "iso-27001-2022:A.5.3"]),
        ),
        ("c", "retired", json!(["iso-27001-2022:A.5.4"])),
        ("d", "in_progress", json!([])),
    ] {
        made(
            app,
            "controls",
            name,
            json!({"implementation": implementation, "requirements": requirements}),
        )
        .await;
    }
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
        "A.5.1",
        "*",
        &json!({"applicable": true, "reasons": ["law", "contract", "law"]}),
    )
    .await
    .expect(200);
    let soa = statement(app, &shop, "").await;
    let state = |requirement| {
        entry(&soa, requirement)["implementation"]
            .as_str()
            .map(str::to_owned)
    };
    let states = ["A.5.1", "A.5.2", "A.5.3", "A.5.4", "A.7.4"].map(state);
    assert_eq!(
        states.each_ref().map(Option::as_deref),
        [
            Some("implemented"),
            Some("partially_implemented"),
            Some("planned"),
            Some("not_implemented"),
            None
        ]
    );
    let (entries, summary) = (soa["entries"].as_array().unwrap(), &soa["summary"]);
    let count =
        |fits: &dyn Fn(&Value) -> bool| json!(entries.iter().filter(|entry| fits(entry)).count());
    assert_eq!(
        (&summary["applicable"], &summary["excluded"]),
        (&json!(92), &json!(1))
    );
    assert_eq!(
        summary["applicable"],
        count(&|entry| entry["applicable"] == true)
    );
    assert_eq!(
        summary["justification_missing"],
        count(&|entry| entry["justification_missing"] == true)
    );
    let mut sum = 0;
    for state in [
        "not_implemented",
        "planned",
        "partially_implemented",
        "implemented",
    ] {
        assert_eq!(
            summary["by_implementation"][state],
            count(&|entry| entry["implementation"] == state),
            "{state}"
        );
        sum += summary["by_implementation"][state].as_i64().unwrap();
    }
    assert_eq!(json!(sum), summary["applicable"]);
    let own: Vec<&str> = soa["own_controls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|control| control["name"].as_str().unwrap())
        .collect();
    assert_eq!(own, ["d"], "a necessary control of the organization's own");
    let overview = app
        .get(
            &app.keys.manager,
            &format!("/v1/overview?scope_id={}", shop["code"].as_str().unwrap()),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(overview["soa"], *summary);
}

async fn an_exclusion_keeps_its_reason_and_an_inclusion_without_one_is_flagged(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    for silent in [
        json!({"applicable": false}),
        json!({"applicable": false, "justification": "  "}),
    ] {
        assert_eq!(
            decide(app, &shop, "A.7.4", "*", &silent).await.pointers(),
            ["/justification"]
        );
    }
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
        "A.7.5",
        "*",
        &json!({"applicable": true, "justification": "Fire."}),
    )
    .await
    .expect(200);
    decide(
        app,
        &shop,
        "A.7.6",
        "*",
        &json!({"applicable": true, "reasons": ["law"]}),
    )
    .await
    .expect(200);
    let soa = statement(app, &shop, "").await;
    let excluded = entry(&soa, "A.7.4");
    assert_eq!(
        (
            &excluded["applicable"],
            &excluded["justification"],
            &excluded["justification_missing"],
            &excluded["implementation"]
        ),
        (
            &json!(false),
            &json!("No premises."),
            &json!(false),
            &Value::Null
        )
    );
    let flagged = ["A.7.4", "A.7.5", "A.7.6", "A.7.7"]
        .map(|requirement| entry(&soa, requirement)["justification_missing"] == true);
    assert_eq!(flagged, [false, false, false, true]);
    for (requirement, status) in [("A.9.1", 404), ("6.1.2", 404), ("A.7", 404)] {
        assert_eq!(
            decide(app, &shop, requirement, "*", &json!({"applicable": true}))
                .await
                .status,
            status,
            "{requirement}"
        );
    }
}

async fn csv_is_row_for_row_the_json(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let control = made(
        app,
        "controls",
        "a \"quoted\", name",
        json!({"implementation": "implemented", "requirements": ["iso-27001-2022:A.5.1"]}),
    )
    .await;
    made(
        app,
        "evidence",
        "e",
        json!({"payload": 1, "control_ids": [control["id"]]}),
    )
    .await;
    made(
        app,
        "risks",
        "r",
        json!({"existing_control_ids": [control["id"]]}),
    )
    .await;
    decide(
        app,
        &shop,
        "A.5.1",
        "*",
        &json!({"applicable": true, "justification": "a \"quoted\", text;\nof two lines",
            "reasons": ["law", "business"]}),
    )
    .await
    .expect(200);
    decide(
        app,
        &shop,
        "A.7.4",
        "*",
        &json!({"applicable": false, "justification": "=HYPERLINK(1)"}),
    )
    .await
    .expect(200);
    let soa = statement(app, &shop, "").await;
    let path = format!("{}/statement-of-applicability", at("scopes", &shop));
    let reply = app
        .get(&app.keys.manager, &format!("{path}?format=csv"))
        .await
        .expect(200);
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("text/csv")
    );
    let accepted = app
        .get_with(&app.keys.manager, &path, &[("Accept", "text/csv")])
        .await
        .expect(200);
    assert_eq!(accepted.text(), reply.text());
    let mut table = csv::Reader::from_reader(reply.bytes.as_slice());
    let header: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 93);
    for (row, entry) in rows.iter().zip(soa["entries"].as_array().unwrap()) {
        for (name, cell) in header.iter().zip(row) {
            let list = |value: &Value, member: Option<&str>| {
                let texts = value.as_array().unwrap().iter().map(|item| {
                    member
                        .map_or(item, |member| &item[member])
                        .as_str()
                        .unwrap()
                        .to_owned()
                });
                texts.collect::<Vec<_>>().join(";")
            };
            let value = name
                .strip_prefix("evidence_")
                .map_or(&entry[name], |member| &entry["evidence"][member]);
            let wanted = match value {
                Value::Null => String::new(),
                Value::String(text) if text.starts_with('=') => format!("'{text}"),
                Value::String(text) => text.clone(),
                Value::Object(_) => value["name"].as_str().unwrap().to_owned(),
                Value::Array(_) => list(
                    value,
                    ["controls", "contradicted_by"]
                        .contains(&name.as_str())
                        .then_some("code"),
                ),
                other => other.to_string(),
            };
            assert_eq!(cell, wanted, "{name} of {}", entry["requirement"]);
        }
    }
    let first = entry(&soa, "A.5.1");
    assert_eq!(
        (
            &first["risk_count"],
            &first["evidence"]["current"],
            &first["operation"]
        ),
        (&json!(1), &json!(1), &json!("operating"))
    );
    for column in [
        "decided",
        "decided_at",
        "decided_by",
        "lacks",
        "risk_codes",
        "treatment_codes",
        "treatment_count",
    ] {
        assert!(header.iter().any(|name| name == column), "{column}");
    }
}

async fn two_scopes_have_two_statements(app: &TestApp) {
    let (shop, warehouse) = (scope(app, "Shop").await, scope(app, "Warehouse").await);
    for (name, scopes) in [
        ("shop only", json!([shop["id"]])),
        ("everywhere", json!([])),
        ("warehouse only", json!([warehouse["id"]])),
    ] {
        made(
            app,
            "controls",
            name,
            json!({"requirements": ["iso-27001-2022:A.5.1"], "scope_ids": scopes}),
        )
        .await;
    }
    decide(
        app,
        &shop,
        "A.7.4",
        "*",
        &json!({"applicable": false, "justification": "No premises."}),
    )
    .await
    .expect(200);
    let (one, other) = (
        statement(app, &shop, "").await,
        statement(app, &warehouse, "").await,
    );
    let names = |soa: &Value| {
        entry(soa, "A.5.1")["controls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|control| control["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&one), names(&other)),
        (
            vec!["shop only".to_owned(), "everywhere".into()],
            vec!["everywhere".to_owned(), "warehouse only".into()]
        )
    );
    assert_eq!(
        (&one["summary"]["excluded"], &other["summary"]["excluded"]),
        (&json!(1), &json!(0))
    );
    let limited = key(app, "auditor", None, json!({"scope_ids": [shop["code"]]})).await;
    app.get(
        &limited,
        &format!("{}/statement-of-applicability", at("scopes", &shop)),
    )
    .await
    .expect(200);
    app.get(
        &limited,
        &format!("{}/statement-of-applicability", at("scopes", &warehouse)),
    )
    .await
    .problem(404, "not_found");
    let path = format!("{}/statement-of-applicability", at("scopes", &shop));
    for bad in ["?framework=iso-27001-1066", "?format=pdf", "?nmae=x"] {
        app.get(&app.keys.manager, &format!("{path}{bad}"))
            .await
            .expect(400);
    }
    app.get_with(&app.keys.manager, &path, &[("Accept", "image/png")])
        .await
        .problem(406, "not_acceptable");
}

/// The version that an entity tag begins with.
fn version_of(reply: &crate::support::Reply) -> String {
    reply
        .etag()
        .trim_matches('"')
        .split('.')
        .next()
        .unwrap()
        .to_owned()
}
async fn the_first_decision_is_made_on_version_zero(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let path = format!("{}/applicability/iso-27001-2022:A.5.1", at("scopes", &shop));
    let default = app.get(&app.keys.manager, &path).await.expect(200);
    assert_eq!(
        (
            version_of(&default),
            &default.json()["version"],
            &default.json()["applicable"],
            &default.json()["updated_at"]
        ),
        ("0".into(), &json!(0), &json!(true), &Value::Null)
    );
    let yes = json!({"applicable": true, "justification": "yes"});
    decide(app, &shop, "A.5.1", "\"1\"", &yes)
        .await
        .problem(412, "version_mismatch");
    let first = decide(app, &shop, "A.5.1", "\"0\"", &yes).await.expect(200);
    assert_eq!(
        (version_of(&first), &first.json()["version"]),
        ("1".into(), &json!(1))
    );
    decide(app, &shop, "A.5.1", "\"0\"", &yes)
        .await
        .problem(412, "version_mismatch");
    assert_eq!(
        decide(app, &shop, "A.5.1", "\"1\"", &yes)
            .await
            .expect(200)
            .json()["version"],
        1,
        "what changes nothing keeps the version"
    );
    let second = decide(app, &shop, "A.5.1", "\"1\"", &json!({"applicable": true}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &second["version"],
            &second["justification"],
            &second["updated_by"]["person_id"]
        ),
        (&json!(2), &Value::Null, &json!(app.keys.person))
    );
    assert_eq!(
        app.get(&app.keys.manager, &path).await.expect(200).json(),
        second
    );
}

async fn a_batch_is_made_whole_or_not_at_all(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let path = format!("{}/applicability/batch", at("scopes", &shop));
    let item = |requirement: &str, more: Value| {
        let mut item =
            json!({"requirement": format!("iso-27001-2022:{requirement}"), "applicable": true});
        item.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        item
    };
    let before = crate::support::make::last(app);
    for (items, pointer) in [
        (
            json!([
                item("A.5.1", json!({})),
                item("A.5.2", json!({"applicable": false}))
            ]),
            "/items/1/justification",
        ),
        (
            json!([item("A.5.1", json!({})), item("A.5.1", json!({}))]),
            "/items/1/requirement",
        ),
        (
            json!([item("A.5.1", json!({})), item("A.55.1", json!({}))]),
            "/items/1/requirement",
        ),
        (
            json!([
                item("A.5.1", json!({})),
                item("A.5.2", json!({"if_match": 3}))
            ]),
            "/items/1/if_match",
        ),
        (
            json!([item("A.5.1", json!({})), item("A.5.2", json!({"nmae": 3}))]),
            "/items/1/nmae",
        ),
        (json!([]), "/items"),
    ] {
        let pointers = app
            .post(&app.keys.manager, &path, &json!({"items": items}))
            .await
            .pointers();
        assert_eq!(pointers, [pointer], "{items}");
    }
    assert_eq!(
        crate::support::make::last(app),
        before,
        "a part of a batch was made"
    );
    let items = json!([
        item("A.5.2", json!({"reasons": ["law"]})),
        item(
            "A.5.1",
            json!({"applicable": false, "justification": "no", "if_match": 0})
        )
    ]);
    let done = app
        .post(&app.keys.manager, &path, &json!({"items": items}))
        .await
        .data();
    assert_eq!(
        done.iter()
            .map(|d| (
                d["requirement"].as_str().unwrap(),
                d["version"].as_i64().unwrap()
            ))
            .collect::<Vec<_>>(),
        [("iso-27001-2022:A.5.2", 1), ("iso-27001-2022:A.5.1", 1)]
    );
    assert_eq!(crate::support::make::last(app), before + 2);
    let again = app
        .post(
            &app.keys.manager,
            &path,
            &json!({"items": [items[0].clone(), item("A.5.1", json!({"applicable": false,
                "justification": "no"}))]}),
        )
        .await
        .data();
    assert_eq!(
        (again.len(), crate::support::make::last(app)),
        (2, before + 2),
        "what stands already is no change"
    );
    app.post(&app.keys.auditor, &path, &json!({"items": items}))
        .await
        .problem(403, "forbidden");
}

async fn what_nobody_decided_is_told_from_what_somebody_did(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let path = format!("{}/applicability", at("scopes", &shop));
    app.pass(60);
    let said = decide(app, &shop, "A.5.1", "*", &json!({"applicable": true}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &said["decided"],
            said["code"].as_str().unwrap().starts_with("APP-")
        ),
        (&json!(true), true)
    );
    let fresh = app
        .get(&app.keys.manager, &format!("{path}/iso-27001-2022:A.5.2"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&fresh["decided"], &fresh["code"], &fresh["id"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    let listed = app.get(&app.keys.manager, &path).await.data();
    assert_eq!(
        listed
            .iter()
            .filter(|one| one["decided"] == true)
            .collect::<Vec<_>>(),
        [&said]
    );
    let soa = statement(app, &shop, "").await;
    let (decided, other) = (entry(&soa, "A.5.1"), entry(&soa, "A.5.2"));
    assert_eq!(
        (&decided["applicable"], &other["applicable"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (
            &decided["decided"],
            &decided["decided_at"],
            &decided["lacks"]
        ),
        (&json!(true), &said["updated_at"], &json!("unjustified"))
    );
    assert_eq!(decided["decided_by"], said["updated_by"]);
    assert_eq!(decided["decided_by"]["person_id"], json!(app.keys.person));
    let nothing = [
        &other["decided"],
        &other["decided_at"],
        &other["decided_by"],
        &other["lacks"],
    ];
    assert_eq!(
        nothing,
        [
            &json!(false),
            &Value::Null,
            &Value::Null,
            &json!("undecided")
        ]
    );
    assert_eq!(
        (
            &soa["summary"]["undecided"],
            &soa["summary"]["justification_missing"]
        ),
        (&json!(92), &json!(93))
    );
    let overview = app
        .get(
            &app.keys.manager,
            &format!("/v1/overview?scope_id={}", shop["code"].as_str().unwrap()),
        )
        .await;
    assert_eq!(overview.expect(200).json()["soa"]["undecided"], 92);
    let csv = app
        .get(
            &app.keys.manager,
            &format!(
                "{}/statement-of-applicability?format=csv",
                at("scopes", &shop)
            ),
        )
        .await
        .expect(200);
    let mut table = csv::Reader::from_reader(csv.bytes.as_slice());
    let column = table
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "decided")
        .unwrap();
    assert_eq!(
        table
            .records()
            .filter(|row| &row.as_ref().unwrap()[column] == "true")
            .count(),
        1
    );
}

async fn an_exclusion_that_controls_or_risks_speak_against_is_told_at_once(app: &TestApp) {
    let (shop, warehouse) = (scope(app, "Shop").await, scope(app, "Warehouse").await);
    let control = async |name: &str, implementation: &str, requirement: &str, scopes: Value| {
        let met = json!({"implementation": implementation,
            "requirements": [format!("iso-27001-2022:{requirement}")], "scope_ids": scopes});
        made(app, "controls", name, met).await
    };
    let backups = control("Backups", "implemented", "A.8.13", json!([])).await;
    let planned = control("Fence", "planned", "A.7.4", json!([])).await;
    let idle = control("Seals", "planned", "A.7.5", json!([])).await;
    control(
        "Elsewhere",
        "implemented",
        "A.7.6",
        json!([warehouse["id"]]),
    )
    .await;
    let risk = made(
        app,
        "risks",
        "Theft",
        json!({"existing_control_ids": [planned["id"], backups["id"]]}),
    )
    .await;
    let no = json!({"applicable": false, "justification": "none"});
    for (requirement, against) in [
        ("A.8.13", Some(&backups)),
        ("A.7.4", Some(&planned)),
        ("A.7.5", None),
        ("A.7.6", None),
    ] {
        let codes = |decision: &Value| {
            let all = decision["contradicted_by"].as_array().unwrap().iter();
            all.map(|control| control["code"].clone())
                .collect::<Vec<_>>()
        };
        let wanted: Vec<Value> = against
            .iter()
            .map(|control| control["code"].clone())
            .collect();
        let said = decide(app, &shop, requirement, "*", &no).await.expect(200);
        assert_eq!(codes(&said.json()), wanted, "{requirement}");
        let path = format!(
            "{}/applicability/iso-27001-2022:{requirement}",
            at("scopes", &shop)
        );
        let found = app.get(&app.keys.manager, &path).await.expect(200);
        assert_eq!((found.json(), found.etag()), (said.json(), said.etag()));
        let items = json!({"items": [{"requirement": format!("iso-27001-2022:{requirement}"),
            "applicable": false, "justification": "none"}]});
        let batch = app
            .post(
                &app.keys.manager,
                &format!("{}/applicability/batch", at("scopes", &shop)),
                &items,
            )
            .await
            .data();
        assert_eq!(batch, [said.json()]);
        let listed = app
            .get(
                &app.keys.manager,
                &format!("{}/applicability", at("scopes", &shop)),
            )
            .await
            .data();
        assert!(listed.contains(&said.json()), "{requirement}");
        let soa = statement(app, &shop, "").await;
        let lacks = if against.is_some() {
            json!("contradicted")
        } else {
            Value::Null
        };
        assert_eq!(
            (
                codes(entry(&soa, requirement)),
                &entry(&soa, requirement)["lacks"]
            ),
            (wanted, &lacks),
            "{requirement}"
        );
    }
    let soa = statement(app, &shop, "").await;
    assert_eq!(soa["summary"]["contradicted"], 2);
    let fence = entry(&soa, "A.7.4");
    assert_eq!(
        (
            &fence["reasons"],
            &fence["risk_codes"],
            &fence["risk_count"]
        ),
        (&json!(["risk"]), &json!([risk["code"]]), &json!(1))
    );
    assert_eq!(
        (
            &entry(&soa, "A.7.5")["reasons"],
            &entry(&soa, "A.7.5")["risk_codes"]
        ),
        (&json!([]), &json!([]))
    );
    // As soon as nothing speaks against it any more, that is told, and the tag is another.
    let path = format!(
        "{}/applicability/iso-27001-2022:A.8.13",
        at("scopes", &shop)
    );
    let before = app.get(&app.keys.manager, &path).await.expect(200).etag();
    app.patch(
        &app.keys.manager,
        &at("controls", &backups),
        "*",
        &json!({"implementation": "retired"}),
    )
    .await
    .expect(200);
    app.patch(
        &app.keys.manager,
        &at("risks", &risk),
        "*",
        &json!({"existing_control_ids": [idle["id"]]}),
    )
    .await
    .expect(200);
    let after = app
        .get_with(&app.keys.manager, &path, &[("If-None-Match", &before)])
        .await
        .expect(200);
    assert_eq!(after.json()["contradicted_by"], json!([]));
    let soa = statement(app, &shop, "").await;
    assert_eq!(
        entry(&soa, "A.7.5")["contradicted_by"][0]["code"],
        idle["code"],
        "a risk rests on it now"
    );
    assert_eq!(soa["summary"]["contradicted"], 1);
}

async fn a_decision_has_a_history(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let path = format!("{}/applicability/iso-27001-2022:A.8.5", at("scopes", &shop));
    let past = format!("{path}/history");
    let none = app.get(&app.keys.auditor, &past).await.expect(200).json();
    assert_eq!(
        (&none["data"], &none["has_more"]),
        (&json!([]), &json!(false))
    );
    let first = decide(
        app,
        &shop,
        "A.8.5",
        "\"0\"",
        &json!({"applicable": true, "reasons": ["law"]}),
    )
    .await
    .expect(200)
    .json();
    let reason = [("If-Match", "\"1\""), ("Change-Reason", "no%20logins")];
    let no = json!({"applicable": false, "justification": "Nobody logs in."});
    app.send(&app.keys.manager, Method::PUT, &path, &reason, Some(&no))
        .await
        .expect(200);
    let told = app.get(&app.keys.auditor, &past).await.data();
    let said: Vec<_> = told
        .iter()
        .map(|one| {
            (
                one["version"].as_i64().unwrap(),
                one["action"].as_str().unwrap(),
                &one["reason"],
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (2, "update", &json!("no logins")),
            (1, "create", &Value::Null)
        ]
    );
    let change = |pointer: &str| {
        told[0]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|change| change["pointer"] == pointer)
            .unwrap()
    };
    assert_eq!(
        (&change("/applicable")["from"], &change("/applicable")["to"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (
            &change("/justification")["from"],
            &change("/justification")["to"]
        ),
        (&Value::Null, &json!("Nobody logs in."))
    );
    assert_eq!(told[0]["actor"]["person_id"], json!(app.keys.person));
    let page = app
        .get(&app.keys.auditor, &format!("{past}?limit=1&include=body"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&page["has_more"], &page["data"][0]["body"]["applicable"]),
        (&json!(true), &json!(false))
    );
    let then = app
        .get(
            &app.keys.auditor,
            &format!("{past}?as_of=seq:{}", told[1]["seq"]),
        )
        .await
        .data();
    assert_eq!(then.len(), 1);
    // The ledger knows it by its id and by its code.
    for name in ["id", "code"] {
        let entries = app
            .get(
                &app.keys.auditor,
                &format!(
                    "/v1/ledger/entries?record_id={}",
                    first[name].as_str().unwrap()
                ),
            )
            .await
            .data();
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (&entry["seq"], &entry["kind"]))
            .collect();
        assert_eq!(
            found,
            [
                (&told[0]["seq"], &json!("applicability")),
                (&told[1]["seq"], &json!("applicability"))
            ],
            "{name}"
        );
        assert_eq!(
            entries[0]["changed"],
            json!(["applicable", "justification", "reasons"])
        );
    }
    app.get(
        &app.keys.auditor,
        &format!(
            "{}/applicability/iso-27001-2022:A.9.9/history",
            at("scopes", &shop)
        ),
    )
    .await
    .problem(404, "not_found");
    app.get(&app.keys.b_manager, &past)
        .await
        .problem(404, "not_found");
    app.get(&app.keys.auditor, &format!("{past}?include=all"))
        .await
        .problem(400, "invalid_parameter");
}
