//! The overview: what is open, what comes next, and every number cut to the scope that was asked
//! for.
use super::treatment::{accepted, assess, risk};
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    what_is_finished_is_not_open,
    what_comes_next_is_more_than_due_days,
    days_end_where_the_organization_is,
    the_only_scope_is_meant_where_none_is_named,
    evidence_is_counted_within_the_scope,
    levels_without_risks_are_zero,
    numbers_are_those_of_the_lists,
    levels_of_a_hidden_methodology_are_not_told
);

async fn overview(app: &TestApp, query: &str) -> Value {
    app.get(&app.keys.manager, &format!("/v1/overview{query}"))
        .await
        .expect(200)
        .json()
}
fn of<'a>(overview: &'a Value, kind: &str) -> &'a Value {
    overview["open_by_kind"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["kind"] == kind)
        .unwrap()
}
async fn pushed(app: &TestApp, name: &str, more: Value) -> Value {
    let mut body =
        json!({"name": name, "source": "backup", "external_id": name, "payload": {"mark": name}});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.post(&app.keys.manager, "/v1/evidence", &body)
        .await
        .expect(201)
        .json()
}

async fn what_is_finished_is_not_open(app: &TestApp) {
    let manager = &app.keys.manager;
    let act = async |path: &str, verb: &str| {
        app.act(
            manager,
            &format!("{path}/{verb}"),
            &json!({"comment": "done"}),
        )
        .await
        .expect(200);
    };
    let past = json!({"due_on": "2026-11-01", "review_due_on": "2026-11-01"});
    let with = |more: Value| {
        let mut all = past.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let mut paths = Vec::new();
    for (register, kind, more, verb) in [
        ("risks", "risk", json!({}), "close"),
        ("actions", "action", json!({}), "cancel"),
        ("scopes", "scope", json!({"statement": "s"}), "retire"),
        (
            "risk-methodologies",
            "risk_methodology",
            json!({}),
            "retire",
        ),
        (
            "vulnerabilities",
            "vulnerability",
            json!({"severity": "low"}),
            "dismiss",
        ),
    ] {
        made(app, register, "stays", with(more.clone())).await;
        paths.push((
            at(register, &made(app, register, "goes", with(more)).await),
            kind,
            verb,
        ));
    }
    let before = overview(app, "").await;
    for (path, _, verb) in &paths {
        act(path, verb).await;
    }
    let after = overview(app, "").await;
    for (_, kind, verb) in &paths {
        let (was, now) = (of(&before, kind), of(&after, kind));
        let count = |one: &Value, member: &str| one[member].as_i64().unwrap();
        assert_eq!(
            (count(now, "total"), count(now, "done")),
            (count(was, "total") - 1, count(was, "done") + 1),
            "{verb}: {now}"
        );
        assert_eq!(
            now["by_status"]
                .as_object()
                .unwrap()
                .values()
                .map(|n| n.as_i64().unwrap())
                .sum::<i64>(),
            count(now, "total")
        );
    }
    for member in ["overdue", "review_due"] {
        assert_eq!(
            after[member].as_i64(),
            before[member].as_i64().map(|n| n - paths.len() as i64),
            "{member}"
        );
    }
    assert!(after["overdue"].as_i64() >= Some(5), "what stays is late");
    // A frozen statement that was withdrawn is no open one.
    let scope = app
        .get(manager, "/v1/scopes?sort=code&limit=1")
        .await
        .data()
        .remove(0);
    let soa = of(&after, "soa_version");
    assert_eq!(
        (&soa["total"], &soa["done"]),
        (&json!(0), &json!(0)),
        "{scope}"
    );
    let gaps = of(&after, "gap_assessment")["total"].as_i64();
    made(
        app,
        "gap-assessments",
        "Late",
        json!({"framework": "iso-27001-2022", "due_on": "2026-11-01"}),
    )
    .await;
    let then = overview(app, "").await;
    assert_eq!(
        of(&then, "gap_assessment")["total"].as_i64(),
        gaps.map(|n| n + 1)
    );
    assert_eq!(
        then["overdue"].as_i64(),
        after["overdue"].as_i64().map(|n| n + 1),
        "gap assessments are late, too"
    );
}

async fn what_comes_next_is_more_than_due_days(app: &TestApp) {
    let manager = &app.keys.manager;
    let bear = risk(app, "Fire", 4, 5).await;
    accepted(app, &bear, "2026-11-27").await;
    made(
        app,
        "assets",
        "Server",
        json!({"asset_type": "hardware", "classification": "internal",
        "review_due_on": "2026-11-21"}),
    )
    .await;
    let control = made(
        app,
        "controls",
        "Backups",
        json!({"implementation": "implemented"}),
    )
    .await;
    pushed(
        app,
        "Restore test",
        json!({"control_ids": [control["id"]], "expires_on": "2026-11-26"}),
    )
    .await;
    made(
        app,
        "actions",
        "Write it down",
        json!({"due_on": "2026-11-25"}),
    )
    .await;
    let next = async |query: &str| -> Vec<(String, String, String)> {
        let all = overview(app, query).await["upcoming"].clone();
        let text = |one: &Value, member: &str| one[member].as_str().unwrap().to_owned();
        let near = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["due_on"].as_str() < Some("2026-12-01"));
        near.map(|one| (text(one, "due_on"), text(one, "event"), text(one, "name")))
            .collect()
    };
    let all = [
        ("2026-11-21", "review", "Server"),
        ("2026-11-25", "due", "Write it down"),
        ("2026-11-26", "evidence_ends", "Restore test"),
        ("2026-11-27", "acceptance_ends", "Bear it"),
    ];
    let wanted = |skip: usize| {
        all[skip..]
            .iter()
            .map(|(day, event, name)| ((*day).into(), (*event).into(), (*name).into()))
            .collect::<Vec<_>>()
    };
    assert_eq!(next("").await, wanted(0));
    app.pass_days(5); // the 25th
    assert_eq!(next("").await, wanted(1), "what is over is not to come");
    app.pass_days(2);
    assert_eq!(next("").await, wanted(3), "the last day counts");
    app.pass_days(1);
    assert_eq!(next("").await, wanted(4));
    assert_eq!(
        next("?as_of=2026-11-24").await,
        wanted(1),
        "as it stood then"
    );
    // What another piece proves for longer does not end with the older one; what was revoked ends
    // no more.
    let older = made(
        app,
        "controls",
        "Logs",
        json!({"implementation": "implemented"}),
    )
    .await;
    pushed(
        app,
        "Old log",
        json!({"control_ids": [older["id"]], "expires_on": "2026-11-29"}),
    )
    .await;
    let alone = next("").await;
    assert_eq!(alone.len(), 1);
    pushed(
        app,
        "New log",
        json!({"control_ids": [older["id"]], "expires_on": "2027-02-01"}),
    )
    .await;
    assert_eq!(next("").await, []);
    accepted(app, &bear, "2026-11-30").await;
    assert_eq!(next("").await.len(), 1);
    let newest = app
        .get(manager, "/v1/risk-treatments?sort=-code&limit=1")
        .await
        .data()
        .remove(0);
    app.act(
        &app.keys.contributor,
        &format!("{}/revoke", at("risk-treatments", &newest)),
        &json!({"comment": "no"}),
    )
    .await
    .expect(200);
    assert_eq!(next("").await, []);
}

async fn days_end_where_the_organization_is(app: &TestApp) {
    app.patch(
        &app.keys.admin,
        "/v1/organization",
        "*",
        &json!({"time_zone": "Pacific/Auckland"}),
    )
    .await
    .expect(200);
    let bear = risk(app, "Fire", 4, 5).await;
    accepted(app, &bear, "2026-11-20").await;
    made(
        app,
        "assets",
        "Server",
        json!({"asset_type": "hardware", "classification": "internal",
            "review_due_on": "2026-11-20", "due_on": "2026-11-20"}),
    )
    .await;
    let near = async || {
        let now = overview(app, "").await;
        let events = now["upcoming"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["due_on"] == "2026-11-20")
            .count();
        let risk = app
            .get(&app.keys.manager, &at("risks", &bear))
            .await
            .expect(200)
            .json();
        (
            events,
            now["overdue"].as_i64().unwrap(),
            now["treatments"]["lapsed"].as_i64().unwrap(),
            risk["evaluation"].as_str().unwrap().to_owned(),
        )
    };
    app.pass(3600 + 59 * 60); // 10:59Z, a minute before midnight there
    assert_eq!(near().await, (3, 0, 0, "accepted".to_owned()));
    let before = app.now();
    app.pass(120);
    assert_eq!(near().await, (0, 1, 1, "acceptance_lapsed".to_owned()));
    let then = overview(app, &format!("?as_of={before}")).await;
    assert_eq!(
        (&then["overdue"], &then["treatments"]["lapsed"]),
        (&json!(0), &json!(0))
    );
    let lapsed = app
        .get(&app.keys.manager, "/v1/risk-treatments?lapsed=true")
        .await
        .data();
    assert_eq!(lapsed[0]["lapsed_on"], "2026-11-21");
}

async fn the_only_scope_is_meant_where_none_is_named(app: &TestApp) {
    let none = overview(app, "").await;
    assert_eq!(
        (&none["soa"], &none["soa_scope_id"]),
        (&Value::Null, &Value::Null)
    );
    let shop = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let one = overview(app, "").await;
    assert_eq!(
        (&one["soa_scope_id"], &one["soa"]["applicable"]),
        (&shop["id"], &json!(93))
    );
    let depot = made(app, "scopes", "Depot", json!({"statement": "s"})).await;
    assert_eq!(overview(app, "").await["soa"], Value::Null, "which one?");
    let asked = overview(
        app,
        &format!("?scope_id={}", depot["code"].as_str().unwrap()),
    )
    .await;
    assert_eq!(
        (&asked["soa_scope_id"], asked["soa"].is_object()),
        (&depot["id"], true)
    );
    app.act(
        &app.keys.manager,
        &format!("{}/retire", at("scopes", &depot)),
        &json!({}),
    )
    .await
    .expect(200);
    assert_eq!(
        overview(app, "").await["soa_scope_id"],
        shop["id"],
        "one is in use"
    );
}

async fn evidence_is_counted_within_the_scope(app: &TestApp) {
    let (shop, depot) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Depot", json!({"statement": "s"})).await,
    );
    for (name, scopes) in [
        ("shop", json!([shop["id"]])),
        ("depot", json!([depot["id"]])),
        ("whole", json!([])),
    ] {
        let control = made(
            app,
            "controls",
            name,
            json!({"implementation": "implemented", "scope_ids": scopes}),
        )
        .await;
        pushed(
            app,
            name,
            json!({"control_ids": [control["id"]], "scope_ids": scopes,
            "expires_on": "2026-11-30"}),
        )
        .await;
    }
    let numbers = async |query: &str| {
        let evidence = overview(app, query).await["evidence"].clone();
        ["standing", "controls_current", "controls_expired"]
            .map(|member| evidence[member].as_i64().unwrap())
    };
    let of_shop = format!("?scope_id={}", shop["code"].as_str().unwrap());
    assert_eq!(
        (numbers("").await, numbers(&of_shop).await),
        ([3, 3, 0], [2, 2, 0])
    );
    let next = overview(app, &of_shop).await["upcoming"].clone();
    let ends = next
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["event"] == "evidence_ends")
        .count();
    assert_eq!(ends, 2);
    app.pass_days(11);
    assert_eq!(
        (numbers("").await, numbers(&of_shop).await),
        ([3, 0, 3], [2, 0, 2])
    );
}

async fn levels_without_risks_are_zero(app: &TestApp) {
    let none = json!({"low": 0, "medium": 0, "high": 0, "critical": 0});
    let levels = overview(app, "").await["risk_levels"].clone();
    assert_eq!(
        levels,
        json!({"inherent": none, "current": none, "inherent_not_assessed": 0,
            "current_not_assessed": 0})
    );
    let fire = made(app, "risks", "Fire", json!({})).await;
    made(app, "risks", "Flood", json!({})).await;
    assess(app, &fire, 3, 3).await;
    let levels = overview(app, "").await["risk_levels"].clone();
    assert_eq!(
        levels["current"],
        json!({"low": 0, "medium": 1, "high": 0, "critical": 0})
    );
    assert_eq!(
        (
            &levels["inherent"],
            &levels["inherent_not_assessed"],
            &levels["current_not_assessed"]
        ),
        (&none, &json!(2), &json!(1))
    );
}

async fn numbers_are_those_of_the_lists(app: &TestApp) {
    let (shop, depot) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Depot", json!({"statement": "s"})).await,
    );
    let control =
        async |name: &str, more: Value| made(app, "controls", name, more).await["id"].clone();
    let hidden = control(
        "hidden",
        json!({"implementation": "implemented", "scope_ids": [depot["id"]]}),
    )
    .await;
    let planned = control("planned", json!({"implementation": "planned"})).await;
    let provided = control(
        "provided",
        json!({"implementation": "implemented", "responsibility": "provider"}),
    )
    .await;
    let plain = control("plain", json!({"implementation": "implemented"})).await;
    pushed(
        app,
        "a",
        json!({"control_ids": [hidden, planned, provided], "scope_ids": [shop["id"]],
        "outcome": "failed"}),
    )
    .await;
    pushed(
        app,
        "b",
        json!({"control_ids": [plain, provided], "scope_ids": [shop["id"]], "outcome": "passed"}),
    )
    .await;
    pushed(
        app,
        "c",
        json!({"control_ids": [control("open", json!({
        "implementation": "implemented"})).await], "outcome": "inconclusive"}),
    )
    .await;
    let limited = key(app, "auditor", None, json!({"scope_ids": [shop["id"]]})).await;
    for who in [&app.keys.manager, &app.keys.auditor, &limited] {
        let evidence = app.get(who, "/v1/overview").await.expect(200).json()["evidence"].clone();
        for (member, operation) in [
            ("controls_current", "operating"),
            ("controls_expired", "stale"),
            ("controls_failing", "failing"),
        ] {
            let listed = app
                .get(
                    who,
                    &format!("/v1/controls?operation={operation}&include=total&limit=1"),
                )
                .await
                .expect(200)
                .json();
            assert_eq!(evidence[member], listed["total"], "{member}: {listed}");
        }
    }
    let failing = async |who: &str| {
        app.get(who, "/v1/overview").await.expect(200).json()["evidence"]["controls_failing"]
            .clone()
    };
    assert_eq!(
        (failing(&app.keys.manager).await, failing(&limited).await),
        (json!(1), json!(0))
    );
    // Limits that say nothing of decisions leave the rest of it.
    for limits in [
        json!({"sources": ["backup"]}),
        json!({"control_ids": [plain]}),
        json!({"period_start_on": "2026-01-01"}),
    ] {
        let who = key(app, "auditor", None, limits).await;
        app.get(&who, "/v1/overview").await.expect(200);
    }
}

async fn levels_of_a_hidden_methodology_are_not_told(app: &TestApp) {
    let (shop, depot) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Depot", json!({"statement": "s"})).await,
    );
    let own = app
        .get(&app.keys.manager, "/v1/risk-methodologies/MET-1")
        .await
        .expect(200)
        .json();
    let mut body = json!({"name": "Depot's", "scope_ids": [depot["id"]]});
    for member in ["levels", "matrix"] {
        body[member] = serde_json::from_str(
            &own[member]
                .to_string()
                .replace("\"critical\"", "\"zq_hidden\""),
        )
        .unwrap();
    }
    let method = made(app, "risk-methodologies", "Depot's", body).await;
    let path = at("risk-methodologies", &method);
    app.act(&app.keys.manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&app.keys.approver, &format!("{path}/approve"), &json!({}))
        .await
        .expect(200);
    let places = [
        "/v1/overview",
        "/v1/risk-trend",
        "/v1/risks?include=counts",
        "/v1/risk-matrix",
    ];
    let told = async |who: &str| {
        let mut all = Vec::new();
        for place in places {
            all.push(app.get(who, place).await.text().contains("zq_hidden"));
        }
        all
    };
    assert_eq!(told(&app.keys.manager).await, [true, true, true, false]);
    for limits in [
        json!({"scope_ids": [shop["id"]]}),
        json!({"sources": ["backup"]}),
    ] {
        let who = key(app, "auditor", None, limits.clone()).await;
        app.get(&who, &path).await.expect(404);
        assert_eq!(told(&who).await, [false; 4], "{limits}");
    }
    let sources = key(app, "auditor", None, json!({"sources": ["backup"]})).await;
    assert!(
        !app.get(&sources, "/v1/risk-matrix")
            .await
            .text()
            .contains("Default")
    );
}
