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
    the_level_says_when_to_look_again,
    a_new_interval_counts_from_the_next_look,
    no_control_makes_a_risk_worse,
    what_was_never_assessed_closes_with_a_reason,
    one_request_draws_the_matrix,
    lists_count_by_level_owner_and_evaluation,
    assets_pass_on_what_depends_on_them
);

async fn risk(app: &TestApp, name: &str) -> String {
    at("risks", &made(app, "risks", name, json!({})).await)
}

async fn four_by_five_is_critical(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    assert_eq!(
        app.get(key, &path).await.expect(200).json()["evaluation"],
        "not_assessed"
    );
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
        let body = json!({"stage": "current", "likelihood": likelihood, "impact": impact,
            "rationale": "seen"});
        let assessed = app
            .post(key, &format!("{path}/assessments"), &body)
            .await
            .expect(201);
        let record = app.get(key, &path).await.expect(200);
        assert_eq!(assessed.etag(), record.etag());
        let (assessed, record) = (assessed.json(), record.json());
        assert_eq!(
            (&assessed["level"], &assessed["score"], &assessed["version"]),
            (
                &json!(level),
                &json!(likelihood * impact),
                &record["version"]
            ),
            "{likelihood} x {impact}"
        );
        assert_eq!(
            (
                &record["current"]["level"],
                &record["evaluation"],
                &record["inherent"]
            ),
            (&json!(level), &json!(evaluation), &Value::Null)
        );
        for (filter, wanted) in [
            (format!("level={level}"), 1),
            ("level=none".into(), 0),
            (format!("evaluation={evaluation}"), 1),
            ("evaluation=not_assessed".into(), 0),
        ] {
            assert_eq!(
                app.get(key, &format!("/v1/risks?{filter}"))
                    .await
                    .data()
                    .len(),
                wanted,
                "{filter}"
            );
        }
    }
}

async fn assessments_are_kept_newest_first(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    for (stage, likelihood, rationale) in [
        ("inherent", 5, "before"),
        ("current", 3, "with controls"),
        ("inherent", 4, "again"),
    ] {
        app.pass(5);
        let body =
            json!({"stage": stage, "likelihood": likelihood, "impact": 2, "rationale": rationale});
        app.post(key, &format!("{path}/assessments"), &body)
            .await
            .expect(201);
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
    assert_eq!(
        said,
        [
            ("inherent", 4, "again", 4),
            ("current", 3, "with controls", 3),
            ("inherent", 5, "before", 2)
        ]
    );
    let history: Vec<Value> = app
        .get(key, &format!("{path}/history"))
        .await
        .data()
        .iter()
        .map(|h| h["reason"].clone())
        .collect();
    assert_eq!(
        history,
        [
            json!("again"),
            json!("with controls"),
            json!("before"),
            Value::Null
        ]
    );
    for (body, pointer) in [
        (
            json!({"stage": "current", "likelihood": 6, "impact": 1, "rationale": "r"}),
            "/likelihood",
        ),
        (
            json!({"stage": "current", "likelihood": 0, "impact": 1, "rationale": "r"}),
            "/likelihood",
        ),
        (
            json!({"stage": "current", "likelihood": 1, "impact": 6, "rationale": "r"}),
            "/impact",
        ),
        (
            json!({"stage": "current", "likelihood": 1, "rationale": "r"}),
            "/impact",
        ),
        (
            json!({"stage": "residual", "likelihood": 1, "impact": 1, "rationale": "r"}),
            "/stage",
        ),
        (
            json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": " "}),
            "/rationale",
        ),
    ] {
        assert_eq!(
            app.post(key, &format!("{path}/assessments"), &body)
                .await
                .pointers(),
            [pointer],
            "{body}"
        );
    }
}

async fn impacts_are_taken_by_dimension(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    let unknown =
        json!({"stage": "current", "likelihood": 1, "impacts": {"legal": 3}, "rationale": "r"});
    assert_eq!(
        app.post(key, &format!("{path}/assessments"), &unknown)
            .await
            .pointers(),
        ["/impacts/legal"]
    );
    let method = at(
        "risk-methodologies",
        &app.get(key, "/v1/risk-methodologies/MET-1")
            .await
            .expect(200)
            .json(),
    );
    app.act(key, &format!("{method}/revise"), &json!({}))
        .await
        .expect(200);
    app.patch(
        key,
        &method,
        "*",
        &json!({"impact_dimensions": ["legal", "financial"]}),
    )
    .await
    .expect(200);
    app.act(key, &format!("{method}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&app.keys.approver, &format!("{method}/approve"), &json!({}))
        .await
        .expect(200);
    let both = json!({"stage": "current", "likelihood": 4, "impacts": {"legal": 2, "financial": 5},
        "rationale": "r"});
    let assessed = app
        .post(key, &format!("{path}/assessments"), &both)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (
            &assessed["impact"],
            &assessed["level"],
            &assessed["impacts"]
        ),
        (&json!(5), &json!("critical"), &both["impacts"]),
        "the highest counts"
    );
    let either = json!({"stage": "current", "likelihood": 4, "impact": 1, "impacts": {"legal": 2},
        "rationale": "r"});
    assert_eq!(
        app.post(key, &format!("{path}/assessments"), &either)
            .await
            .pointers(),
        ["/impacts"]
    );
}

async fn the_matrix_counts_each_open_risk_once(app: &TestApp) {
    let key = &app.keys.manager;
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    for (n, pair) in [Some((4, 5)), Some((4, 5)), Some((1, 1)), None]
        .into_iter()
        .enumerate()
    {
        let scopes = if n == 0 {
            json!([scope["id"]])
        } else {
            json!([])
        };
        let path = at(
            "risks",
            &made(
                app,
                "risks",
                &format!("risk {n}"),
                json!({"scope_ids": scopes}),
            )
            .await,
        );
        if let Some((likelihood, impact)) = pair {
            let body = json!({"stage": "current", "likelihood": likelihood, "impact": impact,
                "rationale": "r"});
            app.post(key, &format!("{path}/assessments"), &body)
                .await
                .expect(201);
        }
    }
    let elsewhere = made(app, "scopes", "Warehouse", json!({"statement": "s"})).await;
    let cell = |matrix: &Value, likelihood: i64, impact: i64| {
        let cells = matrix["cells"].as_array().unwrap();
        assert_eq!(cells.len(), 25);
        cells
            .iter()
            .find(|cell| cell["likelihood"] == likelihood && cell["impact"] == impact)
            .unwrap()
            .clone()
    };
    let whole = app.get(key, "/v1/risk-matrix").await.expect(200).json();
    let worst = cell(&whole, 4, 5);
    assert_eq!(
        (
            &worst["count"],
            &worst["level"],
            worst["risk_ids"].as_array().unwrap().len()
        ),
        (&json!(2), &json!("critical"), 2)
    );
    assert_eq!(
        (
            &cell(&whole, 1, 1)["count"],
            &whole["not_assessed"],
            &whole["outside"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    let other = app
        .get(
            key,
            &format!(
                "/v1/risk-matrix?scope_id={}",
                elsewhere["code"].as_str().unwrap()
            ),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        cell(&other, 4, 5)["count"],
        1,
        "a risk of the whole organization counts in each scope, another scope's does not"
    );
    let inherent = app
        .get(key, "/v1/risk-matrix?stage=inherent")
        .await
        .expect(200)
        .json();
    assert_eq!(inherent["not_assessed"], 4);
    let drawn = app.get(key, "/v1/risk-matrix?format=svg").await.expect(200);
    assert!(
        drawn
            .header("content-type")
            .unwrap()
            .starts_with("image/svg+xml")
            && drawn.text().starts_with("<svg")
            && drawn.text().contains("Critical")
    );
    let accepted = app
        .get_with(key, "/v1/risk-matrix", &[("Accept", "image/svg+xml")])
        .await
        .expect(200);
    assert_eq!(accepted.text(), drawn.text());
    app.get_with(key, "/v1/risk-matrix", &[("Accept", "application/pdf")])
        .await
        .problem(406, "not_acceptable");
    for bad in ["stage=none", "scope_id=x", "format=pdf", "nmae=x"] {
        app.get(key, &format!("/v1/risk-matrix?{bad}"))
            .await
            .expect(400);
    }
}

async fn a_risk_above_the_criteria_stays_open(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    let assess = async |likelihood: i64| {
        let body =
            json!({"stage": "current", "likelihood": likelihood, "impact": 5, "rationale": "r"});
        app.post(key, &format!("{path}/assessments"), &body).await
    };
    assess(4).await.expect(201);
    app.act(key, &format!("{path}/close"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    let low = json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "r"});
    app.post(key, &format!("{path}/assessments"), &low)
        .await
        .expect(201);
    assert_eq!(
        app.act(key, &format!("{path}/close"), &json!({}))
            .await
            .expect(200)
            .json()["status"],
        "closed"
    );
    app.patch(key, &path, "*", &json!({"name": "x"}))
        .await
        .problem(409, "illegal_transition");
    assess(2).await.problem(409, "illegal_transition");
    assert_eq!(
        app.act(key, &format!("{path}/reopen"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    app.act(key, &format!("{path}/reopen"), &json!({"comment": "again"}))
        .await
        .expect(200);
    assess(2).await.expect(201);
}

async fn scored(
    app: &TestApp,
    path: &str,
    stage: &str,
    pair: (i64, i64),
    more: Value,
) -> crate::support::Reply {
    let mut body =
        json!({"stage": stage, "likelihood": pair.0, "impact": pair.1, "rationale": "r"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.post(&app.keys.manager, &format!("{path}/assessments"), &body)
        .await
}
async fn due(app: &TestApp, path: &str) -> Value {
    app.get(&app.keys.manager, path).await.expect(200).json()["review_due_on"].clone()
}

async fn the_level_says_when_to_look_again(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    assert_eq!(
        due(app, &path).await,
        "2027-11-20",
        "not assessed: the organization's default"
    );
    // By the inherent score, as long as there is no current one; then by that alone.
    scored(app, &path, "inherent", (5, 5), json!({}))
        .await
        .expect(201);
    assert_eq!(due(app, &path).await, "2026-12-20", "critical: 30 days");
    for (pair, day) in [
        ((1, 1), "2027-11-20"),
        ((3, 3), "2027-05-19"),
        ((3, 4), "2027-02-18"),
        ((5, 5), "2026-12-20"),
    ] {
        scored(app, &path, "current", pair, json!({}))
            .await
            .expect(201);
        assert_eq!(due(app, &path).await, day, "{pair:?}");
        let reviewed = app
            .act(
                key,
                &format!("{path}/review"),
                &json!({"comment": "Still so."}),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            reviewed["review_due_on"], day,
            "a review looks at the level, too: {pair:?}"
        );
    }
    // What the request says counts, and lies in the future.
    scored(
        app,
        &path,
        "current",
        (5, 5),
        json!({"review_due_on": "2026-11-27"}),
    )
    .await
    .expect(201);
    assert_eq!(due(app, &path).await, "2026-11-27");
    let reviewed = app
        .act(
            key,
            &format!("{path}/review"),
            &json!({"review_due_on": "2026-11-28"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(reviewed["review_due_on"], "2026-11-28");
    for day in ["2026-11-20", "2020-01-01"] {
        assert_eq!(
            scored(app, &path, "current", (5, 5), json!({"review_due_on": day}))
                .await
                .pointers(),
            ["/review_due_on"]
        );
    }
    // The day is the organization's: in Auckland it is the next one already.
    app.patch(
        &app.keys.admin,
        "/v1/organization",
        "*",
        &json!({"time_zone": "Pacific/Auckland"}),
    )
    .await
    .expect(200);
    app.pass(2 * 3600); // 2026-11-20T11:00Z
    scored(app, &path, "current", (5, 5), json!({}))
        .await
        .expect(201);
    assert_eq!(due(app, &path).await, "2026-12-21");
    // Past that day it is found, until it is closed.
    let found = async |filter: &str| {
        app.get(key, &format!("/v1/risks?{filter}"))
            .await
            .data()
            .len()
    };
    assert_eq!(
        (
            found("review_overdue=true").await,
            found("review_overdue=false").await
        ),
        (0, 1)
    );
    app.pass_days(31);
    assert_eq!(
        (
            found("review_overdue=true").await,
            found("review_overdue=false").await,
            found("overdue=true").await
        ),
        (1, 0, 0)
    );
    scored(
        app,
        &path,
        "current",
        (1, 1),
        json!({"review_due_on": "2026-12-23"}),
    )
    .await
    .expect(201);
    app.pass_days(3);
    app.act(key, &format!("{path}/close"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        found("review_overdue=true").await,
        0,
        "what is closed waits for nothing"
    );
    app.get(key, "/v1/risks?review_overdue=perhaps")
        .await
        .expect(400);
}

async fn a_new_interval_counts_from_the_next_look(app: &TestApp) {
    let (key, path) = (&app.keys.manager, risk(app, "Fire").await);
    scored(app, &path, "current", (5, 5), json!({}))
        .await
        .expect(201);
    let mut levels = app
        .get(key, "/v1/risk-methodologies/MET-1")
        .await
        .expect(200)
        .json()["levels"]
        .clone();
    levels[3]["review_every_days"] = json!(7);
    super::methodology::revise(app, json!({"levels": levels})).await;
    assert_eq!(
        due(app, &path).await,
        "2026-12-20",
        "nothing moves by itself"
    );
    app.act(key, &format!("{path}/review"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        due(app, &path).await,
        "2026-11-27",
        "as the revision in force says, whichever scored it"
    );
    // Scoring again is no look: it brings the day nearer, never puts it off.
    app.patch(key, &path, "*", &json!({"review_due_on": "2026-11-22"}))
        .await
        .expect(200);
    let again = json!({"risk_ids": ["RSK-1"], "stage": "current", "rationale": "Revision 2."});
    app.post(key, "/v1/risks/rescore", &again).await.expect(200);
    assert_eq!(due(app, &path).await, "2026-11-22");
    levels[3]["slug"] = json!("gravest");
    levels[3]["review_every_days"] = json!(2);
    let mut matrix = app
        .get(key, "/v1/risk-methodologies/MET-1")
        .await
        .expect(200)
        .json()["matrix"]
        .clone();
    for cell in matrix
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .flat_map(|row| row.as_array_mut().unwrap())
    {
        if cell == "critical" {
            *cell = json!("gravest");
        }
    }
    super::methodology::revise(app, json!({"levels": levels, "matrix": matrix})).await;
    app.act(key, &format!("{path}/review"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        due(app, &path).await,
        "2026-11-27",
        "there is no such level any more: as the one said that it was scored with"
    );
    let again = json!({"all": true, "stage": "current", "rationale": "Revision 3."});
    app.post(key, "/v1/risks/rescore", &again).await.expect(200);
    assert_eq!(
        due(app, &path).await,
        "2026-11-22",
        "nearer by the new level"
    );
}

async fn no_control_makes_a_risk_worse(app: &TestApp) {
    let path = risk(app, "Fire").await;
    let code = async |stage: &str, pair: (i64, i64)| {
        let problem = scored(app, &path, stage, pair, json!({}))
            .await
            .problem(422, "validation_failed");
        problem["errors"][0]["code"].as_str().unwrap().to_owned()
    };
    scored(app, &path, "inherent", (2, 2), json!({}))
        .await
        .expect(201);
    for pair in [(4, 4), (1, 5), (5, 1), (3, 2)] {
        assert_eq!(code("current", pair).await, "above_inherent", "{pair:?}");
    }
    for pair in [(2, 2), (1, 4), (1, 1)] {
        scored(app, &path, "current", pair, json!({}))
            .await
            .expect(201);
    }
    scored(app, &path, "inherent", (3, 3), json!({}))
        .await
        .expect(201);
    scored(app, &path, "current", (3, 3), json!({}))
        .await
        .expect(201);
    for pair in [(1, 1), (2, 4), (1, 5)] {
        assert_eq!(code("inherent", pair).await, "below_current", "{pair:?}");
    }
    let version = app.get(&app.keys.manager, &path).await.expect(200).json()["version"].clone();
    assert_eq!(version, 7, "what was refused left nothing behind");
}

async fn what_was_never_assessed_closes_with_a_reason(app: &TestApp) {
    let key = &app.keys.manager;
    let (path, other) = (risk(app, "Fire").await, risk(app, "Flood").await);
    scored(app, &other, "inherent", (1, 1), json!({}))
        .await
        .expect(201);
    for path in [&path, &other] {
        for body in [
            json!({}),
            json!({"comment": null}),
            json!({"comment": ""}),
            json!({"comment": "  "}),
        ] {
            assert_eq!(
                app.act(key, &format!("{path}/close"), &body)
                    .await
                    .pointers(),
                ["/comment"],
                "{body}"
            );
        }
        app.act(
            key,
            &format!("{path}/close"),
            &json!({"comment": "Entered twice."}),
        )
        .await
        .expect(200);
    }
}

async fn one_request_draws_the_matrix(app: &TestApp) {
    let path = risk(app, "Fire").await;
    scored(app, &path, "current", (4, 5), json!({}))
        .await
        .expect(201);
    let matrix = app
        .get(&app.keys.auditor, "/v1/risk-matrix?include=refs")
        .await
        .expect(200)
        .json();
    let critical = json!({"slug": "critical", "name": "Critical", "rank": 4, "acceptable": false,
        "colour": "#c62828"});
    assert_eq!(
        (
            matrix["levels"].as_array().unwrap().len(),
            &matrix["levels"][3]
        ),
        (4, &critical)
    );
    assert_eq!(
        (
            &matrix["likelihood_scale"][4]["label"],
            &matrix["impact_scale"][0]["label"]
        ),
        (&json!("almost certain"), &json!("negligible"))
    );
    assert_eq!(
        (&matrix["methodology_code"], &matrix["methodology_name"]),
        (&json!("MET-1"), &json!("Default 5 × 5"))
    );
    let (id, found) = matrix["refs"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(
        (path.ends_with(id.as_str()), &found["name"], &found["code"]),
        (true, &json!("Fire"), &json!("RSK-1"))
    );
    let plain = app
        .get(&app.keys.auditor, "/v1/risk-matrix")
        .await
        .expect(200)
        .json();
    assert!(plain.get("refs").is_none());
    app.get(&app.keys.auditor, "/v1/risk-matrix?include=names")
        .await
        .expect(400);
    // A level that another revision gave is not drawn as the one that the matrix has now.
    let matrix = plain["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["level"].clone());
    let mut matrix: Vec<Vec<Value>> = matrix
        .collect::<Vec<_>>()
        .chunks(5)
        .map(<[Value]>::to_vec)
        .collect();
    matrix[3][4] = json!("high");
    matrix[3][3] = json!("high");
    super::methodology::revise(app, json!({"matrix": matrix})).await;
    let after = app
        .get(&app.keys.auditor, "/v1/risk-matrix")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &after["outside"],
            after["cells"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["count"].as_i64().unwrap())
                .sum::<i64>()
        ),
        (&json!(1), 0)
    );
}

async fn lists_count_by_level_owner_and_evaluation(app: &TestApp) {
    let key = &app.keys.manager;
    for (name, pair) in [
        ("a", Some((4, 5))),
        ("b", Some((4, 5))),
        ("c", Some((1, 1))),
        ("d", None),
    ] {
        let path = risk(app, name).await;
        if let Some(pair) = pair {
            scored(app, &path, "current", pair, json!({}))
                .await
                .expect(201);
        }
    }
    app.patch(
        key,
        "/v1/risks/RSK-1",
        "*",
        &json!({"owner_id": app.keys.contributor_person, "due_on": "2026-11-01"}),
    )
    .await
    .expect(200);
    let counts = async |filter: &str| {
        app.get(key, &format!("/v1/risks?include=counts{filter}"))
            .await
            .expect(200)
            .json()["counts"]
            .clone()
    };
    let whole = counts("").await;
    let evaluations = json!({"not_assessed": 1, "acceptable": 1, "treatment_needed": 2,
        "in_treatment": 0, "accepted": 0, "acceptance_lapsed": 0});
    assert_eq!(
        (
            &whole["by_level"],
            &whole["not_assessed"],
            &whole["by_evaluation"]
        ),
        (
            &json!({"low": 1, "medium": 0, "high": 0, "critical": 2}),
            &json!(1),
            &evaluations
        )
    );
    assert_eq!(
        (&whole["by_owner"], &whole["without_owner"]),
        (&json!({app.keys.contributor_person.as_str(): 1}), &json!(3))
    );
    assert_eq!(
        (
            &whole["overdue"],
            &whole["review_overdue"],
            &whole["by_status"]
        ),
        (&json!(1), &json!(0), &json!({"open": 4}))
    );
    let some = counts("&level=critical").await;
    assert_eq!(
        (
            &some["by_level"]["critical"],
            &some["by_level"]["low"],
            &some["not_assessed"]
        ),
        (&json!(2), &json!(0), &json!(0))
    );
    // Worst first, by score.
    scored(app, "/v1/risks/RSK-4", "inherent", (5, 5), json!({}))
        .await
        .expect(201);
    let order = app.get(key, "/v1/risks?sort=-rank&limit=1").await.data();
    assert_eq!(
        order[0]["code"], "RSK-4",
        "of the inherent score, where there is no current one"
    );
    let people = app
        .get(key, "/v1/people?include=counts")
        .await
        .expect(200)
        .json()["counts"]
        .clone();
    assert!(
        people.get("by_level").is_none() && people["without_owner"].as_i64() > Some(0),
        "{people}"
    );
}

async fn assets_pass_on_what_depends_on_them(app: &TestApp) {
    let key = &app.keys.manager;
    let asset = async |name: &str, c: i64, on: Value| {
        made(
            app,
            "assets",
            name,
            json!({"asset_type": "software", "classification": "internal", "confidentiality": c,
                "depends_on_ids": on}),
        )
        .await
    };
    let server = asset("Server", 1, json!([])).await;
    let database = asset("Database", 5, json!([server["id"]])).await;
    let shop = asset("Shop", 2, json!([database["code"], server["id"]])).await;
    let effective = async |record: &Value| {
        app.get(key, &at("assets", record)).await.expect(200).json()["effective"]["confidentiality"]
            .clone()
    };
    assert_eq!(
        (
            effective(&server).await,
            effective(&database).await,
            effective(&shop).await
        ),
        (json!(5), json!(5), json!(2))
    );
    let tag = app.get(key, &at("assets", &server)).await.etag();
    app.patch(
        key,
        &at("assets", &database),
        "*",
        &json!({"confidentiality": 3}),
    )
    .await
    .expect(200);
    let changed = app
        .get_with(key, &at("assets", &server), &[("If-None-Match", &tag)])
        .await
        .expect(200);
    assert_eq!(
        (
            &changed.json()["effective"]["confidentiality"],
            &changed.json()["version"]
        ),
        (&json!(3), &json!(1)),
        "computed members are in the tag"
    );
    app.patch(key, &at("assets", &server), &tag, &json!({"tags": ["x"]}))
        .await
        .expect(200);
    let impact = app
        .get(key, &format!("{}/impact", at("assets", &server)))
        .await
        .expect(200)
        .json();
    let reached: Vec<(&str, i64)> = impact["dependents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["name"].as_str().unwrap(), r["distance"].as_i64().unwrap()))
        .collect();
    assert_eq!(
        (reached, impact["dependencies"].as_array().unwrap().len()),
        (vec![("Database", 1), ("Shop", 1)], 0)
    );
    let built_in = app
        .get(key, "/v1/threats?built_in=true&limit=1")
        .await
        .data()
        .remove(0);
    app.patch(key, &at("threats", &built_in), "*", &json!({"name": "x"}))
        .await
        .problem(409, "read_only");
    app.delete(key, &at("threats", &built_in), "*")
        .await
        .problem(409, "read_only");
}
