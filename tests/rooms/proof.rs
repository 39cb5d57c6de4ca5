//! What evidence proves: a failed test makes its control failing, and evidence proves records of
//! any kind.
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    a_failed_test_makes_its_control_failing,
    a_failed_test_is_answered_by_its_own_series,
    a_failing_control_counts_as_such_everywhere,
    the_filter_says_what_the_member_says,
    evidence_proves_any_record,
    a_later_piece_keeps_its_subjects,
    a_subject_can_leave
);

async fn control(app: &TestApp, name: &str, more: Value) -> Value {
    let mut body = json!({"implementation": "implemented", "implemented_on": "2026-01-01"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    made(app, "controls", name, body).await
}
async fn test(app: &TestApp, control: &Value, at: &str, more: Value) -> Value {
    let mut body = json!({"name": "Restore test", "payload": at, "control_ids": [control["id"]],
        "collected_at": at});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.post(&app.keys.manager, "/v1/evidence", &body)
        .await
        .expect(201)
        .json()
}
async fn read(app: &TestApp, control: &Value) -> Value {
    app.get(&app.keys.manager, &at("controls", control))
        .await
        .expect(200)
        .json()
}
const MONDAY: &str = "2026-11-16T09:00:00Z";
const TUESDAY: &str = "2026-11-17T09:00:00Z";
const WEDNESDAY: &str = "2026-11-18T09:00:00Z";

async fn a_failed_test_makes_its_control_failing(app: &TestApp) {
    let restore = control(app, "Restore", json!({})).await;
    let made = app
        .post(
            &app.keys.manager,
            "/v1/evidence",
            &json!({"name": "Restore test", "outcome": "failed", "control_ids": [restore["id"]],
                "payload": {"restored": 0, "failed": 12}, "source": "restore",
                    "external_id": "yearly", "collected_at": MONDAY}),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&made["outcome"], &made["freshness"]),
        (&json!("failed"), &json!("current"))
    );
    let now = read(app, &restore).await;
    assert_eq!(now["operation"], "failing");
    let evidence = json!({"current": 1, "expired": 0, "failed": 1,
        "latest_collected_at": "2026-11-16T09:00:00.000Z", "latest_outcome": "failed"});
    assert_eq!(now["evidence"], evidence);
    // Another proof does not outweigh it, nor does one that says nothing; a later one of the series
    // does.
    test(
        app,
        &restore,
        TUESDAY,
        json!({"source": "backup", "external_id": "nightly"}),
    )
    .await;
    test(
        app,
        &restore,
        TUESDAY,
        json!({"source": "backup", "external_id": "other", "outcome": "passed"}),
    )
    .await;
    assert_eq!(read(app, &restore).await["operation"], "failing");
    let seq = crate::support::make::last(app);
    test(
        app,
        &restore,
        WEDNESDAY,
        json!({"source": "restore", "external_id": "yearly", "outcome": "passed"}),
    )
    .await;
    let now = read(app, &restore).await;
    assert_eq!(
        (
            &now["operation"],
            &now["evidence"]["failed"],
            &now["evidence"]["latest_outcome"]
        ),
        (&json!("operating"), &json!(0), &json!("passed"))
    );
    let then = app
        .get(
            &app.keys.manager,
            &format!("{}?as_of=seq:{seq}", at("controls", &restore)),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(then["operation"], "failing", "as it stood then");
    // What expires proves nothing any more, not even a failure; an inconclusive test never did.
    let brief = control(app, "Brief", json!({})).await;
    test(
        app,
        &brief,
        MONDAY,
        json!({"outcome": "failed", "expires_on": "2026-11-20"}),
    )
    .await;
    assert_eq!(read(app, &brief).await["operation"], "failing");
    app.pass_days(1);
    assert_eq!(read(app, &brief).await["operation"], "unproven");
    let vague = control(app, "Vague", json!({})).await;
    test(
        app,
        &vague,
        MONDAY,
        json!({"outcome": "inconclusive", "source": "v"}),
    )
    .await;
    assert_eq!(read(app, &vague).await["operation"], "unproven");
    let planned = made_planned(app).await;
    test(
        app,
        &planned,
        MONDAY,
        json!({"outcome": "failed", "source": "p"}),
    )
    .await;
    assert_eq!(
        read(app, &planned).await["operation"],
        "unproven",
        "what is not implemented does not fail"
    );
    let refused = app
        .patch(
            &app.keys.manager,
            &at("evidence", &made),
            "*",
            &json!({"outcome": "passed"}),
        )
        .await;
    assert_eq!(
        refused.pointers(),
        ["/outcome"],
        "what it showed was said with the push"
    );
    let bad = json!({"name": "x", "payload": 1, "outcome": "green"});
    assert_eq!(
        app.post(&app.keys.manager, "/v1/evidence", &bad)
            .await
            .pointers(),
        ["/outcome"]
    );
    let listed = async |query: &str| {
        app.get(&app.keys.manager, &format!("/v1/evidence?{query}"))
            .await
            .data()
            .len()
    };
    assert_eq!(
        (
            listed("outcome=failed").await,
            listed("outcome=passed&outcome=inconclusive").await
        ),
        (3, 3)
    );
}
async fn made_planned(app: &TestApp) -> Value {
    made(
        app,
        "controls",
        "Planned",
        json!({"implementation": "planned"}),
    )
    .await
}

async fn a_failed_test_is_answered_by_its_own_series(app: &TestApp) {
    let restore = control(app, "Restore", json!({})).await;
    let failed = test(app, &restore, MONDAY, json!({"outcome": "failed"})).await;
    test(
        app,
        &restore,
        TUESDAY,
        json!({"outcome": "passed", "source": "elsewhere"}),
    )
    .await;
    assert_eq!(
        read(app, &restore).await["operation"],
        "failing",
        "another source"
    );
    test(
        app,
        &restore,
        "2026-11-15T09:00:00Z",
        json!({"outcome": "passed"}),
    )
    .await;
    assert_eq!(
        read(app, &restore).await["operation"],
        "failing",
        "an earlier one"
    );
    test(app, &restore, TUESDAY, json!({"outcome": "inconclusive"})).await;
    assert_eq!(
        read(app, &restore).await["operation"],
        "failing",
        "one that says nothing"
    );
    let passed = test(app, &restore, WEDNESDAY, json!({"outcome": "passed"})).await;
    assert_eq!(read(app, &restore).await["operation"], "operating");
    app.delete(&app.keys.manager, &at("evidence", &passed), "*")
        .await
        .expect(204);
    assert_eq!(
        read(app, &restore).await["operation"],
        "failing",
        "what is archived answers nothing"
    );
    app.delete(&app.keys.manager, &at("evidence", &failed), "*")
        .await
        .expect(204);
    assert_eq!(read(app, &restore).await["operation"], "operating");
    let other = control(app, "Other", json!({})).await;
    test(
        app,
        &other,
        MONDAY,
        json!({"outcome": "failed", "payload": "o"}),
    )
    .await;
    assert_eq!(
        read(app, &other).await["operation"],
        "failing",
        "a test of another control answers nothing"
    );
}

async fn a_failing_control_counts_as_such_everywhere(app: &TestApp) {
    let key = &app.keys.manager;
    let shop = made(app, "scopes", "Shop", json!({"statement": "Shop"})).await;
    let cites = json!({"frequency": "monthly", "requirements": ["iso-27001-2022:A.8.13"]});
    let (good, bad) = (
        control(app, "Good", cites.clone()).await,
        control(app, "Bad", cites).await,
    );
    let entry = async || {
        let soa = app
            .get(
                key,
                &format!("{}/statement-of-applicability", at("scopes", &shop)),
            )
            .await
            .expect(200)
            .json();
        super::soa::entry(&soa, "A.8.13").clone()
    };
    let covered = async || {
        let all = app
            .get(key, "/v1/frameworks/iso-27001-2022/coverage")
            .await
            .expect(200)
            .json();
        let entries = all["entries"].as_array().unwrap().clone();
        entries
            .into_iter()
            .find(|one| one["requirement"] == "iso-27001-2022:A.8.13")
            .unwrap()["state"]
            .clone()
    };
    test(app, &good, MONDAY, json!({"source": "a"})).await;
    assert_eq!(covered().await, "covered");
    app.delete(key, &at("controls", &good), "*")
        .await
        .problem(409, "in_use");
    app.patch(
        key,
        &at("controls", &good),
        "*",
        &json!({"requirements": []}),
    )
    .await
    .expect(200);
    test(app, &bad, TUESDAY, json!({"source": "b"})).await;
    assert_eq!(
        (entry().await["operation"].clone(), covered().await),
        (json!("operating"), json!("covered"))
    );
    test(
        app,
        &bad,
        WEDNESDAY,
        json!({"source": "c", "outcome": "failed"}),
    )
    .await;
    let now = entry().await;
    assert_eq!(
        (
            &now["operation"],
            &now["evidence"]["failed"],
            covered().await
        ),
        (&json!("failing"), &json!(1), json!("partial"))
    );
    let csv = app
        .get(
            key,
            &format!(
                "{}/statement-of-applicability?format=csv",
                at("scopes", &shop)
            ),
        )
        .await
        .expect(200)
        .text();
    assert!(
        csv.lines()
            .next()
            .unwrap()
            .ends_with("evidence_failed,evidence_latest_outcome"),
        "{csv}"
    );
    assert!(csv.contains(",failing,") && csv.contains(",1,failed"));
    let numbers = app.get(key, "/v1/overview").await.expect(200).json()["evidence"].clone();
    assert_eq!(
        (&numbers["controls_current"], &numbers["controls_failing"]),
        (&json!(1), &json!(1))
    );
    let periods = app
        .get(
            key,
            &format!(
                "{}/occurrences?period_start_on=2026-11-01",
                at("controls", &bad)
            ),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&periods["data"][0]["status"], &periods["summary"]["failed"]),
        (&json!("failed"), &json!(1))
    );
}

async fn the_filter_says_what_the_member_says(app: &TestApp) {
    let mut number = 0;
    let (shop, other) = (
        made(app, "scopes", "Shop", json!({"statement": "S"})).await,
        made(app, "scopes", "Other", json!({"statement": "S"})).await,
    );
    for responsibility in ["own", "shared", "provider"] {
        for outcomes in [
            vec!["failed"],
            vec!["passed"],
            vec!["failed", "passed"],
            vec!["passed", "failed"],
            vec!["inconclusive"],
            vec!["none", "failed", "inconclusive"],
        ] {
            for series in [Value::Null, json!("series")] {
                for attests in [false, true] {
                    number += 1;
                    let control = control(
                        app,
                        &format!("c{number}"),
                        json!({"responsibility": responsibility, "frequency": "weekly"}),
                    )
                    .await;
                    for (n, outcome) in outcomes.iter().enumerate() {
                        let scope = if number % 3 == 0 { &shop } else { &other };
                        let more = json!({
                            "outcome": if *outcome == "none" { Value::Null } else { json!(outcome) }, "attests": attests || n == 2,
                            "source": format!("s{number}"), "external_id": series,
                                "payload": [number, n],
                            "scope_ids": if number % 2 == 0 { json!([]) } else { json!([scope["id"]]) },
                            "expires_on": if number % 5 == 0 { json!("2026-11-20") } else { Value::Null }});
                        test(app, &control, [MONDAY, TUESDAY, WEDNESDAY][n], more).await;
                    }
                }
            }
        }
    }
    let limited = key(app, "auditor", None, json!({"scope_ids": [shop["id"]]})).await;
    let mut seen = std::collections::BTreeSet::new();
    for days in [0, 1, 300] {
        app.pass_days(days);
        for key in [&app.keys.manager, &limited] {
            let all = app.get(key, "/v1/controls?limit=200").await.data();
            for word in ["operating", "stale", "unproven", "failing"] {
                let wanted: Vec<&Value> = all
                    .iter()
                    .filter(|one| one["operation"] == word)
                    .map(|one| &one["name"])
                    .collect();
                let found = app
                    .get(key, &format!("/v1/controls?limit=200&operation={word}"))
                    .await
                    .data();
                assert_eq!(
                    found.iter().map(|one| &one["name"]).collect::<Vec<_>>(),
                    wanted,
                    "{word} after {days} days"
                );
                seen.extend((!wanted.is_empty()).then_some(word));
            }
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

async fn evidence_proves_any_record(app: &TestApp) {
    let key = &app.keys.manager;
    let asset = json!({"asset_type": "software", "classification": "internal"});
    let gap = made(
        app,
        "gap-assessments",
        "NIS2",
        json!({"framework": "iso-27001-2022"}),
    )
    .await;
    let path = format!(
        "{}/answers/iso-27001-2022:A.5.1",
        at("gap-assessments", &gap)
    );
    let answer = app
        .send(
            key,
            actix_web::http::Method::PUT,
            &path,
            &[("If-Match", "*")],
            Some(&json!({"state": "met"})),
        )
        .await
        .expect(200)
        .json();
    let risk = made(app, "risks", "r", json!({})).await;
    let score = json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "r"});
    app.post(key, &format!("{}/assessments", at("risks", &risk)), &score)
        .await
        .expect(201);
    let mut subjects = vec![risk.clone(), gap];
    for (path, more) in [
        ("people", json!({})),
        ("assets", asset),
        ("vulnerabilities", json!({"severity": "low"})),
        (
            "risk-treatments",
            json!({"risk_id": risk["id"], "option": "avoid", "justification": "j",
                "expected": {"likelihood": 1, "impact": 1}}),
        ),
        (
            "nonconformities",
            json!({"identified_through": "monitoring", "severity": "minor",
                "detected_on": "2026-11-02"}),
        ),
        ("actions", json!({})),
    ] {
        subjects.push(made(app, path, path, more).await);
    }
    let codes: Vec<&Value> = subjects.iter().map(|one| &one["code"]).collect();
    let piece = app
        .post(
            key,
            "/v1/evidence",
            &json!({"name": "Proof", "payload": 1, "subject_ids": codes}),
        )
        .await
        .expect(201)
        .json();
    let mut ids: Vec<&str> = subjects
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(piece["subject_ids"], json!(ids));
    for one in &subjects {
        let found = app
            .get(
                key,
                &format!(
                    "/v1/evidence?subject_id={}&include=refs",
                    one["code"].as_str().unwrap()
                ),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            (
                found["data"].as_array().unwrap().len(),
                &found["refs"][one["id"].as_str().unwrap()]["code"]
            ),
            (1, &one["code"])
        );
    }
    assert_eq!(
        app.get(key, "/v1/evidence?subject_none=true")
            .await
            .data()
            .len(),
        0
    );
    // An answer to a gap assessment has its id alone.
    if let Some(id) = answer["id"].as_str() {
        app.act(
            key,
            &format!("{}/links", at("evidence", &piece)),
            &json!({"relation": "subject_ids", "to": id}),
        )
        .await
        .expect(200);
    }
    let gone = format!(
        "{}/links/subject_ids/{}",
        at("evidence", &piece),
        risk["code"].as_str().unwrap()
    );
    app.delete(key, &gone, "*").await.expect(200);
    // Accounts, keys and what is not there are no subjects; a control is proven by either member.
    for nothing in [
        json!(app.keys.user),
        json!("USR-1"),
        json!("KEY-1"),
        json!("RSK-99"),
        json!("nonsense"),
    ] {
        let refused = app
            .post(
                key,
                "/v1/evidence",
                &json!({"name": "x", "payload": 2, "subject_ids": [nothing]}),
            )
            .await;
        assert_eq!(refused.pointers(), ["/subject_ids/0"], "{nothing}");
    }
    let control = control(app, "Either", json!({"frequency": "weekly"})).await;
    let body = json!({"name": "x", "payload": 3, "subject_ids": [control["id"]],
        "period_end_on": "2026-11-20"});
    let piece = app
        .post(key, "/v1/evidence", &body)
        .await
        .expect(201)
        .json();
    let now = read(app, &control).await;
    assert_eq!(
        (&now["operation"], &now["evidence"]["current"]),
        (&json!("operating"), &json!(1))
    );
    let both = json!({"control_ids": [control["id"]]});
    app.patch(key, &at("evidence", &piece), "*", &both)
        .await
        .expect(200);
    assert_eq!(
        read(app, &control).await["evidence"]["current"],
        1,
        "named twice, counted once"
    );
    let weeks = app
        .get(
            key,
            &format!(
                "{}/occurrences?period_start_on=2026-11-16",
                at("controls", &control)
            ),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &weeks["data"][0]["status"],
            &weeks["data"][0]["evidence_count"]
        ),
        (&json!("done"), &json!(1))
    );
    app.pass_days(9);
    assert_eq!(
        app.get(key, &at("evidence", &piece)).await.json()["freshness"],
        "expired",
        "the control's frequency counts"
    );
    assert_eq!(
        app.get(key, "/v1/controls?operation=stale")
            .await
            .data()
            .len(),
        1
    );
}

async fn a_later_piece_keeps_its_subjects(app: &TestApp) {
    let risk = made(app, "risks", "r", json!({})).await;
    let body = |n: u32| {
        json!({"name": "Scan", "source": "scan", "external_id": "weekly",
        "payload": n, "collected_at": format!("2026-11-1{n}T00:00:00Z")})
    };
    let mut first = body(1);
    first["subject_ids"] = json!([risk["id"]]);
    app.post(&app.keys.manager, "/v1/evidence", &first)
        .await
        .expect(201);
    let second = app
        .post(&app.keys.manager, "/v1/evidence", &body(2))
        .await
        .expect(201)
        .json();
    assert_eq!(second["subject_ids"], json!([risk["id"]]));
    app.delete(&app.keys.manager, &at("risks", &risk), "*")
        .await
        .expect(204);
    let third = app
        .post(&app.keys.manager, "/v1/evidence", &body(3))
        .await
        .expect(201)
        .json();
    assert_eq!(
        third["subject_ids"],
        json!([]),
        "what has left the lists is not passed on"
    );
}

async fn a_subject_can_leave(app: &TestApp) {
    let key = &app.keys.manager;
    let risk = made(app, "risks", "r", json!({})).await;
    let body = json!({"name": "Proof", "payload": 1, "subject_ids": [risk["id"]],
        "retain_until_on": "2030-01-01"});
    let piece = app
        .post(key, "/v1/evidence", &body)
        .await
        .expect(201)
        .json();
    app.act(
        key,
        &format!("{}/hold", at("evidence", &piece)),
        &json!({"comment": "c"}),
    )
    .await
    .expect(200);
    app.delete(key, &at("risks", &risk), "*").await.expect(204);
    assert_eq!(
        app.get(key, &at("evidence", &piece))
            .await
            .expect(200)
            .json()["subject_ids"],
        json!([risk["id"]])
    );
    // So can an asset whose vulnerabilities are fixed or dismissed, but not one that has an open
    // one.
    let asset = made(
        app,
        "assets",
        "a",
        json!({"asset_type": "software", "classification": "internal"}),
    )
    .await;
    let mut found = Vec::new();
    for name in ["one", "two", "three"] {
        found.push(
            made(
                app,
                "vulnerabilities",
                name,
                json!({"severity": "low", "asset_ids": [asset["id"]]}),
            )
            .await,
        );
    }
    app.act(
        key,
        &format!("{}/fix", at("vulnerabilities", &found[0])),
        &json!({}),
    )
    .await
    .expect(200);
    app.act(
        key,
        &format!("{}/dismiss", at("vulnerabilities", &found[1])),
        &json!({"comment": "c"}),
    )
    .await
    .expect(200);
    let refused = app
        .delete(key, &at("assets", &asset), "*")
        .await
        .problem(409, "in_use");
    assert_eq!(refused["needed_by"], json!([found[2]["code"]]));
    app.act(
        key,
        &format!("{}/fix", at("vulnerabilities", &found[2])),
        &json!({}),
    )
    .await
    .expect(200);
    app.delete(key, &at("assets", &asset), "*")
        .await
        .expect(204);
    app.act(
        key,
        &format!("{}/reopen", at("vulnerabilities", &found[2])),
        &json!({"comment": "c"}),
    )
    .await
    .expect(200);
}
