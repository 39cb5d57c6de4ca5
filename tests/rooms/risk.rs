//! Risks: levels come from the matrix, assessments are the trend, the matrix counts each risk once.
use super::{at, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    four_by_five_is_critical,
    assessments_are_kept_newest_first,
    impacts_are_taken_by_dimension,
    the_matrix_counts_each_open_risk_once,
    a_risk_above_the_criteria_stays_open,
    assets_pass_on_what_depends_on_them
);

async fn risk(app: &TestApp, name: &str) -> String {
    at("risks", &made(app, "risks", name, json!({})).await)
}

async fn four_by_five_is_critical(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    assert_eq!(app.get(key, &path).await.expect(200).json()["evaluation"], "not_assessed");
    for (likelihood, impact, level, evaluation) in [
        (4, 5, "critical", "treatment_needed"),
        (1, 1, "low", "acceptable"),
        (1, 4, "low", "acceptable"),
        (1, 5, "medium", "treatment_needed"),
        (2, 5, "high", "treatment_needed"),
        (3, 5, "high", "treatment_needed"),
        (4, 4, "critical", "treatment_needed"),
        (5, 5, "critical", "treatment_needed"),
    ] {
        let body = json!({"stage": "current", "likelihood": likelihood, "impact": impact, "rationale": "seen"});
        let assessed = app.post(key, &format!("{path}/assessments"), &body).await.expect(201);
        let record = app.get(key, &path).await.expect(200);
        assert_eq!(assessed.etag(), record.etag());
        let (assessed, record) = (assessed.json(), record.json());
        assert_eq!(
            (&assessed["level"], &assessed["score"], &assessed["version"]),
            (&json!(level), &json!(likelihood * impact), &record["version"]),
            "{likelihood} x {impact}"
        );
        assert_eq!(
            (&record["current"]["level"], &record["evaluation"], &record["inherent"]),
            (&json!(level), &json!(evaluation), &Value::Null)
        );
        for (filter, wanted) in [
            (format!("level={level}"), 1),
            ("level=none".into(), 0),
            (format!("evaluation={evaluation}"), 1),
            ("evaluation=not_assessed".into(), 0),
        ] {
            assert_eq!(app.get(key, &format!("/v1/risks?{filter}")).await.data().len(), wanted, "{filter}");
        }
    }
}

async fn assessments_are_kept_newest_first(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    for (stage, likelihood, rationale) in [("inherent", 5, "before"), ("current", 3, "with controls"), ("inherent", 4, "again")] {
        app.pass(5);
        let body = json!({"stage": stage, "likelihood": likelihood, "impact": 2, "rationale": rationale});
        app.post(key, &format!("{path}/assessments"), &body).await.expect(201);
    }
    let all = app.get(key, &format!("{path}/assessments")).await.data();
    let said: Vec<(&str, i64, &str, i64)> = all
        .iter()
        .map(|a| {
            (
                a["stage"].as_str().unwrap(),
                a["likelihood"].as_i64().unwrap(),
                a["rationale"].as_str().unwrap(),
                a["version"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [("inherent", 4, "again", 4), ("current", 3, "with controls", 3), ("inherent", 5, "before", 2)]);
    let history: Vec<Value> = app.get(key, &format!("{path}/history")).await.data().iter().map(|h| h["reason"].clone()).collect();
    assert_eq!(history, [json!("again"), json!("with controls"), json!("before"), Value::Null]);
    for (body, pointer) in [
        (json!({"stage": "current", "likelihood": 6, "impact": 1, "rationale": "r"}), "/likelihood"),
        (json!({"stage": "current", "likelihood": 0, "impact": 1, "rationale": "r"}), "/likelihood"),
        (json!({"stage": "current", "likelihood": 1, "impact": 6, "rationale": "r"}), "/impact"),
        (json!({"stage": "current", "likelihood": 1, "rationale": "r"}), "/impact"),
        (json!({"stage": "residual", "likelihood": 1, "impact": 1, "rationale": "r"}), "/stage"),
        (json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": " "}), "/rationale"),
    ] {
        assert_eq!(app.post(key, &format!("{path}/assessments"), &body).await.pointers(), [pointer], "{body}");
    }
}

async fn impacts_are_taken_by_dimension(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    let unknown = json!({"stage": "current", "likelihood": 1, "impacts": {"legal": 3}, "rationale": "r"});
    assert_eq!(app.post(key, &format!("{path}/assessments"), &unknown).await.pointers(), ["/impacts/legal"]);
    let method = at("risk-methodologies", &app.get(key, "/v1/risk-methodologies/MET-1").await.expect(200).json());
    app.act(key, &format!("{method}/revise"), &json!({})).await.expect(200);
    app.patch(key, &method, "*", &json!({"impact_dimensions": ["legal", "financial"]})).await.expect(200);
    app.act(key, &format!("{method}/submit"), &json!({})).await.expect(200);
    app.act(&app.keys.approver, &format!("{method}/approve"), &json!({})).await.expect(200);
    let both = json!({"stage": "current", "likelihood": 4, "impacts": {"legal": 2, "financial": 5}, "rationale": "r"});
    let assessed = app.post(key, &format!("{path}/assessments"), &both).await.expect(201).json();
    assert_eq!(
        (&assessed["impact"], &assessed["level"], &assessed["impacts"]),
        (&json!(5), &json!("critical"), &both["impacts"]),
        "the highest counts"
    );
    let either = json!({"stage": "current", "likelihood": 4, "impact": 1, "impacts": {"legal": 2}, "rationale": "r"});
    assert_eq!(app.post(key, &format!("{path}/assessments"), &either).await.pointers(), ["/impacts"]);
}

async fn the_matrix_counts_each_open_risk_once(app: &TestApp) {
    let key = &app.keys.manager;
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    for (n, pair) in [Some((4, 5)), Some((4, 5)), Some((1, 1)), None].into_iter().enumerate() {
        let scopes = if n == 0 { json!([scope["id"]]) } else { json!([]) };
        let path = at("risks", &made(app, "risks", &format!("risk {n}"), json!({"scope_ids": scopes})).await);
        if let Some((likelihood, impact)) = pair {
            let body = json!({"stage": "current", "likelihood": likelihood, "impact": impact, "rationale": "r"});
            app.post(key, &format!("{path}/assessments"), &body).await.expect(201);
        }
    }
    let elsewhere = made(app, "scopes", "Warehouse", json!({"statement": "s"})).await;
    let cell = |matrix: &Value, likelihood: i64, impact: i64| {
        let cells = matrix["cells"].as_array().unwrap();
        assert_eq!(cells.len(), 25);
        cells.iter().find(|cell| cell["likelihood"] == likelihood && cell["impact"] == impact).unwrap().clone()
    };
    let whole = app.get(key, "/v1/risk-matrix").await.expect(200).json();
    let worst = cell(&whole, 4, 5);
    assert_eq!((&worst["count"], &worst["level"], worst["risk_ids"].as_array().unwrap().len()), (&json!(2), &json!("critical"), 2));
    assert_eq!((&cell(&whole, 1, 1)["count"], &whole["not_assessed"], &whole["outside"]), (&json!(1), &json!(1), &json!(0)));
    let other = app.get(key, &format!("/v1/risk-matrix?scope_id={}", elsewhere["code"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(cell(&other, 4, 5)["count"], 1, "a risk of the whole organization counts in each scope, another scope's does not");
    let inherent = app.get(key, "/v1/risk-matrix?stage=inherent").await.expect(200).json();
    assert_eq!(inherent["not_assessed"], 4);
    let drawn = app.get(key, "/v1/risk-matrix?format=svg").await.expect(200);
    assert!(
        drawn.header("content-type").unwrap().starts_with("image/svg+xml")
            && drawn.text().starts_with("<svg")
            && drawn.text().contains("Critical")
    );
    let accepted = app.get_with(key, "/v1/risk-matrix", &[("Accept", "image/svg+xml")]).await.expect(200);
    assert_eq!(accepted.text(), drawn.text());
    app.get_with(key, "/v1/risk-matrix", &[("Accept", "application/pdf")]).await.problem(406, "not_acceptable");
    for bad in ["stage=none", "scope_id=x", "format=pdf", "nmae=x"] {
        app.get(key, &format!("/v1/risk-matrix?{bad}")).await.expect(400);
    }
}

async fn a_risk_above_the_criteria_stays_open(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    let assess = async |likelihood: i64| {
        let body = json!({"stage": "current", "likelihood": likelihood, "impact": 5, "rationale": "r"});
        app.post(key, &format!("{path}/assessments"), &body).await
    };
    assess(4).await.expect(201);
    app.act(key, &format!("{path}/close"), &json!({})).await.problem(409, "illegal_transition");
    let low = json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "r"});
    app.post(key, &format!("{path}/assessments"), &low).await.expect(201);
    assert_eq!(app.act(key, &format!("{path}/close"), &json!({})).await.expect(200).json()["status"], "closed");
    app.patch(key, &path, "*", &json!({"name": "x"})).await.problem(409, "illegal_transition");
    assess(2).await.problem(409, "illegal_transition");
    assert_eq!(app.act(key, &format!("{path}/reopen"), &json!({})).await.pointers(), ["/comment"]);
    app.act(key, &format!("{path}/reopen"), &json!({"comment": "again"})).await.expect(200);
    assess(2).await.expect(201);
}

async fn assets_pass_on_what_depends_on_them(app: &TestApp) {
    let key = &app.keys.manager;
    let asset = async |name: &str, c: i64, on: Value| {
        made(
            app,
            "assets",
            name,
            json!({"asset_type": "software", "classification": "internal", "confidentiality": c, "depends_on_ids": on}),
        )
        .await
    };
    let server = asset("Server", 1, json!([])).await;
    let database = asset("Database", 5, json!([server["id"]])).await;
    let shop = asset("Shop", 2, json!([database["code"], server["id"]])).await;
    let effective =
        async |record: &Value| app.get(key, &at("assets", record)).await.expect(200).json()["effective"]["confidentiality"].clone();
    assert_eq!((effective(&server).await, effective(&database).await, effective(&shop).await), (json!(5), json!(5), json!(2)));
    let tag = app.get(key, &at("assets", &server)).await.etag();
    app.patch(key, &at("assets", &database), "*", &json!({"confidentiality": 3})).await.expect(200);
    let changed = app.get_with(key, &at("assets", &server), &[("If-None-Match", &tag)]).await.expect(200);
    assert_eq!(
        (&changed.json()["effective"]["confidentiality"], &changed.json()["version"]),
        (&json!(3), &json!(1)),
        "computed members are in the tag"
    );
    app.patch(key, &at("assets", &server), &tag, &json!({"tags": ["x"]})).await.expect(200);
    let impact = app.get(key, &format!("{}/impact", at("assets", &server))).await.expect(200).json();
    let reached: Vec<(&str, i64)> =
        impact["dependents"].as_array().unwrap().iter().map(|r| (r["name"].as_str().unwrap(), r["distance"].as_i64().unwrap())).collect();
    assert_eq!((reached, impact["dependencies"].as_array().unwrap().len()), (vec![("Database", 1), ("Shop", 1)], 0));
    let built_in = app.get(key, "/v1/threats?built_in=true&limit=1").await.data().remove(0);
    app.patch(key, &at("threats", &built_in), "*", &json!({"name": "x"})).await.problem(409, "read_only");
    app.delete(key, &at("threats", &built_in), "*").await.problem(409, "read_only");
}
