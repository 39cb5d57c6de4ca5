//! Risk methodologies: scales, dimensions and matrices of one's own; scores keep their revision
//! until they are scored again, deliberately.
use super::treatment::{assess, risk};
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    a_methodology_is_checked_as_a_whole,
    scales_of_three_to_ten_steps_are_in_force_once_approved,
    scores_are_carried_over_deliberately,
    the_trend_counts_what_stood_then,
    the_matrix_is_drawn_for_light_and_dark
);

fn scale(labels: &[&str]) -> Value {
    (1..)
        .zip(labels)
        .map(|(value, label)| json!({"value": value, "label": label, "criteria": ""}))
        .collect()
}
fn matrix(
    likelihoods: usize,
    impacts: usize,
    level: impl Fn(usize, usize) -> &'static str,
) -> Value {
    (1..=likelihoods)
        .map(|l| (1..=impacts).map(|i| json!(level(l, i))).collect::<Value>())
        .collect()
}
/// Puts another revision of the default in force.
pub async fn revise(app: &TestApp, patch: Value) {
    let manager = &app.keys.manager;
    let path = at(
        "risk-methodologies",
        &app.get(manager, "/v1/risk-methodologies/MET-1")
            .await
            .expect(200)
            .json(),
    );
    app.act(manager, &format!("{path}/revise"), &json!({}))
        .await
        .expect(200);
    app.patch(manager, &path, "*", &patch).await.expect(200);
    app.act(manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(manager, &format!("{path}/approve"), &json!({}))
        .await
        .problem(403, "segregation_of_duties");
    app.act(&app.keys.approver, &format!("{path}/approve"), &json!({}))
        .await
        .expect(200);
}

async fn a_methodology_is_checked_as_a_whole(app: &TestApp) {
    let level = |slug: &str, acceptable: bool| {
        json!({"slug": slug, "name": slug,
        "acceptable": acceptable, "accept_by": "manager", "review_every_days": 90,
            "colour": "#2e7d32"})
    };
    let two = scale(&["a", "b"]);
    let eleven = scale(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]);
    for (body, pointers) in [
        (
            json!({"likelihood_scale": two}),
            vec!["/likelihood_scale", "/matrix"],
        ),
        (
            json!({"impact_scale": eleven}),
            vec!["/impact_scale", "/matrix"],
        ),
        (
            json!({"impact_scale": scale(&["a", "b", "c"])}),
            vec!["/matrix"],
        ),
        (
            json!({"matrix": matrix(5, 4, |_, _| "low")}),
            vec!["/matrix"],
        ),
        (
            json!({"matrix": matrix(5, 5, |l, _| if l == 5 { "dire" } else { "low" })}),
            vec![
                "/matrix/4/0",
                "/matrix/4/1",
                "/matrix/4/2",
                "/matrix/4/3",
                "/matrix/4/4",
            ],
        ),
        (
            json!({"levels": [level("high", false), level("low", true)], "matrix": matrix(5, 5, |_,
                _| "low")}),
            vec!["/levels"],
        ),
        // A level falls nowhere: along neither axis, at no place.
        (
            json!({"matrix": matrix(5, 5, |l, i| if l * i == 1 { "high" } else { "low" })}),
            vec!["/matrix/0/1", "/matrix/1/0"],
        ),
        (
            json!({"matrix": matrix(5, 5, |l, i| if (l, i) == (5, 5) { "low" } else { "high" })}),
            vec!["/matrix/4/4"],
        ),
        (
            json!({"matrix": matrix(5, 5, |l, _| if l == 4 { "critical" } else { "medium" })}),
            vec![
                "/matrix/4/0",
                "/matrix/4/1",
                "/matrix/4/2",
                "/matrix/4/3",
                "/matrix/4/4",
            ],
        ),
        (
            json!({"matrix": matrix(5, 5, |_, i| if i == 4 { "critical" } else { "medium" })}),
            vec![
                "/matrix/0/4",
                "/matrix/1/4",
                "/matrix/2/4",
                "/matrix/3/4",
                "/matrix/4/4",
            ],
        ),
        // Something has to be unacceptable, and to be reached.
        (
            json!({"levels": [level("low", true), level("high", true)], "matrix": matrix(5, 5, |l,
                _| if l == 5 { "high" } else { "low" })}),
            vec!["/levels"],
        ),
        (
            json!({"levels": [level("low", true), level("high", false)], "matrix": matrix(5, 5, |_,
                _| "low")}),
            vec!["/matrix"],
        ),
        (
            json!({"levels": [level("low", true), level("low", false)], "matrix": matrix(5, 5, |_,
                _| "low")}),
            vec!["/levels"],
        ),
        (
            json!({"impact_dimensions": ["legal", "legal"]}),
            vec!["/impact_dimensions"],
        ),
        (
            json!({"likelihood_scale": [{"value": 2, "label": "a"}, {"value": 1, "label": "b"},
                {"value": 3, "label": "c"}], "matrix": matrix(3, 5, |_, _| "low")}),
            vec!["/likelihood_scale"],
        ),
    ] {
        let mut whole = json!({"name": "Own"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        assert_eq!(
            app.post(&app.keys.manager, "/v1/risk-methodologies", &whole)
                .await
                .pointers(),
            pointers,
            "{body}"
        );
    }
    // A change is held to the same.
    let draft = at(
        "risk-methodologies",
        &made(app, "risk-methodologies", "Own", json!({})).await,
    );
    let falls =
        json!({"matrix": matrix(5, 5, |l, i| if (l, i) == (2, 2) { "critical" } else { "low" })});
    assert_eq!(
        app.patch(&app.keys.manager, &draft, "*", &falls)
            .await
            .pointers(),
        ["/matrix/1/2", "/matrix/2/1"]
    );
    let fine = json!({"levels": [level("low", true), level("medium", true), level("high", true),
        level("critical", true)]});
    assert_eq!(
        app.patch(&app.keys.manager, &draft, "*", &fine)
            .await
            .pointers(),
        ["/levels"]
    );
}

async fn scales_of_three_to_ten_steps_are_in_force_once_approved(app: &TestApp) {
    let labels = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
    let patch = json!({"likelihood_scale": scale(&labels[..3]), "impact_scale": scale(&labels),
        "impact_dimensions": ["legal", "financial", "safety"],
        "matrix": matrix(3, 10, |l, i| if l * i > 20 { "critical" } else { "low" })});
    revise(app, patch).await;
    let risk = made(app, "risks", "Fire", json!({})).await;
    let path = format!("{}/assessments", at("risks", &risk));
    let body = json!({"stage": "current", "likelihood": 3, "impacts": {"legal": 2, "financial": 10,
        "safety": 7}, "rationale": "r"});
    let made = app
        .post(&app.keys.manager, &path, &body)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (
            &made["impact"],
            &made["score"],
            &made["level"],
            &made["level_rank"]
        ),
        (&json!(10), &json!(30), &json!("critical"), &json!(4))
    );
    assert_eq!(
        (&made["methodology_revision"], &made["impacts"]),
        (&json!(2), &body["impacts"])
    );
    let too_far =
        json!({"stage": "current", "likelihood": 4, "impacts": {"legal": 11}, "rationale": "r"});
    assert_eq!(
        app.post(&app.keys.manager, &path, &too_far)
            .await
            .pointers(),
        ["/impacts/legal", "/likelihood"]
    );
    let whole = app
        .get(&app.keys.manager, "/v1/risk-matrix")
        .await
        .expect(200)
        .json();
    assert_eq!(whole["cells"].as_array().unwrap().len(), 30);
}

async fn scores_are_carried_over_deliberately(app: &TestApp) {
    let manager = &app.keys.manager;
    let (bad, fine, lost, unscored) = (
        risk(app, "Fire", 4, 4).await,
        risk(app, "Dust", 1, 1).await,
        risk(app, "Flood", 5, 2).await,
        made(app, "risks", "New", json!({})).await,
    );
    app.pass(60);
    // Six likelihoods: the old labels but for the highest, and a new one below. Fire becomes high.
    let labels = ["never", "rare", "unlikely", "possible", "likely", "daily"];
    revise(
        app,
        json!({"likelihood_scale": scale(&labels), "matrix": matrix(6, 5, |l,
        i| if l * i > 10 { "high" } else { "low" })}),
    )
    .await;
    let old = app
        .get(manager, &at("risks", &bad))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &old["current"]["methodology_revision"],
            &old["current"]["level"]
        ),
        (&json!(1), &json!("critical")),
        "scores are never rewritten"
    );
    let rescore = async |who: &str, body: Value| app.post(who, "/v1/risks/rescore", &body).await;
    for (body, pointer) in [
        (json!({"stage": "current", "rationale": "r"}), "/risk_ids"),
        (
            json!({"stage": "current", "rationale": "r", "all": true, "risk_ids": [bad["id"]]}),
            "/risk_ids",
        ),
        (
            json!({"stage": "current", "rationale": " ", "all": true}),
            "/rationale",
        ),
        (
            json!({"stage": "residual", "rationale": "r", "all": true}),
            "/stage",
        ),
        (
            json!({"stage": "current", "rationale": "r", "risk_ids": []}),
            "/risk_ids",
        ),
    ] {
        assert_eq!(
            rescore(manager, body.clone()).await.pointers(),
            [pointer],
            "{body}"
        );
    }
    rescore(
        &app.keys.contributor,
        json!({"stage": "current", "rationale": "r", "all": true}),
    )
    .await
    .problem(403, "forbidden");
    let named = json!({"stage": "current", "rationale": "Revision 2.", "risk_ids": [bad["code"],
        "RSK-99", unscored["id"], "nonsense", lost["id"]]});
    let done = rescore(manager, named).await.expect(200).json();
    let said: Vec<(&Value, &Value, &Value)> = done["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["status"], &one["changed"], &one["problem"]["code"]))
        .collect();
    let (yes, no, none) = (json!(true), json!(false), Value::Null);
    let codes = [
        json!("not_found"),
        json!("illegal_transition"),
        json!("validation_failed"),
    ];
    assert_eq!(
        said,
        [
            (&json!(200), &yes, &none),
            (&json!(404), &no, &codes[0]),
            (&json!(409), &no, &codes[1]),
            (&json!(404), &no, &codes[0]),
            (&json!(422), &no, &codes[2])
        ]
    );
    assert_eq!(
        done["data"][4]["problem"]["errors"][0]["pointer"], "/likelihood",
        "the highest step is gone"
    );
    let now = app
        .get(manager, &at("risks", &bad))
        .await
        .expect(200)
        .json();
    let current = &now["current"];
    assert_eq!(
        (
            &current["likelihood"],
            &current["level"],
            &current["methodology_revision"]
        ),
        (&json!(5), &json!("high"), &json!(2)),
        "by its label"
    );
    let trend = app
        .get(manager, &format!("{}/assessments", at("risks", &bad)))
        .await
        .data();
    let seen: Vec<(&Value, &Value, &Value)> = trend
        .iter()
        .map(|a| {
            (
                &a["likelihood"],
                &a["methodology_revision"],
                &a["rationale"],
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (&json!(5), &json!(2), &json!("Revision 2.")),
            (&json!(4), &json!(1), &json!("seen"))
        ]
    );
    let last = |reply: &crate::support::Reply| reply.header("ledger-position");
    let all = rescore(
        manager,
        json!({"stage": "current", "rationale": "Revision 2.", "all": true}),
    )
    .await
    .expect(200);
    let rows: Vec<(Value, Value)> = all.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["risk"].clone(), one["changed"].clone()))
        .collect();
    assert_eq!(
        rows,
        [(fine["code"].clone(), yes), (lost["code"].clone(), no)]
    );
    let again = rescore(
        manager,
        json!({"stage": "current", "rationale": "Revision 2.", "all": true}),
    )
    .await
    .expect(200);
    assert_eq!(
        (last(&again), again.json()["data"].as_array().unwrap().len()),
        (last(&all), 1),
        "nothing left to change"
    );
    assert_eq!(
        app.get(manager, &at("risks", &fine))
            .await
            .expect(200)
            .json()["current"]["likelihood"],
        2
    );
}

async fn the_trend_counts_what_stood_then(app: &TestApp) {
    let manager = &app.keys.manager;
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let limited = key(app, "auditor", None, json!({"scope_ids": [scope["id"]]})).await;
    let (fire, flood) = (
        risk(app, "Fire", 4, 5).await,
        risk(app, "Flood", 2, 3).await,
    ); // 2026-11-20
    let depot = made(app, "scopes", "Depot", json!({"statement": "s"})).await;
    app.patch(
        manager,
        &at("risks", &flood),
        "*",
        &json!({"scope_ids": [depot["id"]]}),
    )
    .await
    .expect(200);
    app.pass_days(20); // 2026-12-10
    assess(app, &fire, 1, 2).await;
    app.pass_days(30); // 2027-01-09
    assess(app, &flood, 1, 1).await;
    app.act(
        manager,
        &format!("{}/close", at("risks", &flood)),
        &json!({}),
    )
    .await
    .expect(200);
    made(app, "risks", "New", json!({})).await;
    let trend = async |who: &str, query: &str| {
        app.get(who, &format!("/v1/risk-trend?{query}"))
            .await
            .expect(200)
            .json()["points"]
            .clone()
    };
    let point = |on: &str, levels: Value, not_assessed: i64, above: i64, open: i64| {
        json!({
        "on": on, "levels": levels, "not_assessed": not_assessed, "above_criteria": above,
            "open": open})
    };
    let monthly = trend(manager, "from=2026-11-01").await;
    let wanted = [
        point(
            "2026-11-30",
            json!({"low": 0, "medium": 1, "high": 0, "critical": 1}),
            0,
            2,
            2,
        ),
        point(
            "2026-12-31",
            json!({"low": 1, "medium": 1, "high": 0, "critical": 0}),
            0,
            1,
            2,
        ),
        point(
            "2027-01-09",
            json!({"low": 1, "medium": 0, "high": 0, "critical": 0}),
            1,
            0,
            2,
        ),
    ];
    assert_eq!(monthly, json!(wanted));
    assert_eq!(
        trend(manager, "from=2026-11-01&as_of=2026-12-31").await,
        json!(wanted[..2]),
        "as it was known then"
    );
    assert_eq!(
        trend(manager, "from=2026-12-09&to=2026-12-10&step=day").await[1],
        point(
            "2026-12-10",
            json!({"low": 1, "medium": 1, "high": 0, "critical": 0}),
            0,
            1,
            2
        )
    );
    assert_eq!(
        trend(&limited, "from=2026-12-31&to=2026-12-31").await[0]["open"],
        1,
        "a limited key sees its scopes"
    );
    let other = trend(
        manager,
        &format!(
            "from=2026-12-31&to=2026-12-31&scope_id={}",
            scope["code"].as_str().unwrap()
        ),
    )
    .await;
    assert_eq!(other[0]["open"], 1);
    let inherent = trend(manager, "from=2026-12-31&to=2026-12-31&stage=inherent").await;
    assert_eq!(
        (&inherent[0]["not_assessed"], &inherent[0]["above_criteria"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(
        trend(manager, "").await.as_array().unwrap().len(),
        13,
        "a year in months when nothing is said"
    );
    for bad in [
        "from=soon",
        "to=2027-01-10",
        "from=2027-01-09&to=2026-01-01",
        "step=hour",
        "from=2000-01-01&step=day",
        "stage=none",
        "nmae=x",
    ] {
        app.get(manager, &format!("/v1/risk-trend?{bad}"))
            .await
            .expect(400);
    }
}

async fn the_matrix_is_drawn_for_light_and_dark(app: &TestApp) {
    risk(app, "Fire", 4, 5).await;
    let labels = scale(&[
        "rare",
        "<b>&",
        "a label that is far longer than a cell is wide",
    ]);
    revise(
        app,
        json!({"impact_scale": labels, "matrix": matrix(5, 3, |l,
        i| if l * i > 10 { "high" } else { "low" })}),
    )
    .await;
    let drawn = app
        .get(&app.keys.manager, "/v1/risk-matrix?format=svg")
        .await
        .expect(200)
        .text();
    for part in [
        "<title id=\"title\">",
        "<desc id=\"desc\">",
        "aria-labelledby=\"title desc\"",
        "prefers-color-scheme: dark",
        "&lt;b&gt;&amp;",
        "5 almost certain",
    ] {
        assert!(drawn.contains(part), "{part} in {drawn}");
    }
    assert!(
        !drawn.contains("<b>") && drawn.contains("1 open risk of another revision"),
        "{drawn}"
    );
    assert_eq!(
        drawn.matches("<rect").count(),
        15 + drawn.matches("<rect class=\"page\"").count()
    );
}
