//! Scopes and methodologies: what is approved is a revision; whoever asks does not approve, with
//! whatever credential.
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    a_scope_is_approved_by_another_person,
    a_revision_stays_as_it_was_approved,
    only_one_in_force_scores,
    a_service_key_decides_nothing
);

async fn scope(app: &TestApp) -> String {
    at(
        "scopes",
        &made(app, "scopes", "Shop", json!({"statement": "The shop."})).await,
    )
}

async fn a_scope_is_approved_by_another_person(app: &TestApp) {
    let (manager, path) = (&app.keys.manager, scope(app).await);
    let fresh = app.get(manager, &path).await.expect(200).json();
    assert_eq!(
        (
            &fresh["status"],
            &fresh["revision"],
            &fresh["revision_in_force"]
        ),
        (&json!("draft"), &json!(1), &Value::Null)
    );
    assert_eq!(fresh["allowed_transitions"], json!(["submit", "retire"]));
    let early = app
        .act(&app.keys.approver, &format!("{path}/approve"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    assert_eq!(early["allowed"], json!(["submit", "retire"]));
    app.act(&app.keys.approver, &format!("{path}/submit"), &json!({}))
        .await
        .problem(403, "forbidden");
    let submitted = app
        .act(
            manager,
            &format!("{path}/submit"),
            &json!({"comment": "please"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &submitted["status"],
            &submitted["submitted_by"]["person_id"]
        ),
        (&json!("in_review"), &json!(app.keys.person))
    );
    app.patch(manager, &path, "*", &json!({"name": "x"}))
        .await
        .problem(409, "illegal_transition");
    // The same person: the same key, the login, and a second key with another role.
    let second = key(app, "approver", Some(&app.keys.user), json!({})).await;
    for same_person in [manager, &app.keys.admin, &second] {
        app.act(same_person, &format!("{path}/approve"), &json!({}))
            .await
            .problem(403, "segregation_of_duties");
    }
    for (other, code) in [
        (&app.keys.auditor, "forbidden"),
        (&app.keys.contributor, "forbidden"),
        (&app.keys.collector, "forbidden"),
    ] {
        app.act(other, &format!("{path}/approve"), &json!({}))
            .await
            .problem(403, code);
    }
    assert_eq!(
        app.act(&app.keys.approver, &format!("{path}/return"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    assert_eq!(
        app.act(
            &app.keys.approver,
            &format!("{path}/return"),
            &json!({"comment": "  "})
        )
        .await
        .pointers(),
        ["/comment"]
    );
    let back = app
        .act(
            &app.keys.approver,
            &format!("{path}/return"),
            &json!({"comment": "too wide"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&back["status"], &back["submitted_by"]),
        (&json!("draft"), &Value::Null)
    );
    app.act(manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    let approved = app
        .act(
            &app.keys.approver,
            &format!("{path}/approve"),
            &json!({"comment": "right"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&approved["status"], &approved["revision_in_force"]),
        (&json!("approved"), &json!(1))
    );
    assert_eq!(
        approved["approved_by"]["person_id"],
        json!(app.keys.approver_person)
    );
    let history = app.get(manager, &format!("{path}/history")).await.data();
    assert_eq!(
        (&history[0]["action"], &history[0]["reason"]),
        (&json!("approve"), &json!("right"))
    );
}

async fn a_service_key_decides_nothing(app: &TestApp) {
    let path = scope(app).await;
    let (robot, deciding) = (
        key(app, "manager", None, json!({})).await,
        key(app, "approver", None, json!({})).await,
    );
    app.act(&robot, &format!("{path}/submit"), &json!({}))
        .await
        .problem(403, "segregation_of_duties");
    app.act(&app.keys.manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&deciding, &format!("{path}/approve"), &json!({}))
        .await
        .problem(403, "segregation_of_duties");
    app.patch(&robot, &path, "*", &json!({"tags": ["x"]}))
        .await
        .problem(409, "illegal_transition");
}

async fn a_revision_stays_as_it_was_approved(app: &TestApp) {
    let (manager, path) = (&app.keys.manager, scope(app).await);
    app.act(manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&app.keys.approver, &format!("{path}/approve"), &json!({}))
        .await
        .expect(200);
    let first = app.get(manager, &path).await.expect(200).json();
    let refused = app
        .patch(manager, &path, "*", &json!({"statement": "Wider."}))
        .await
        .problem(409, "revise_first");
    assert_eq!(refused["allowed"], json!(["revise", "retire"]));
    app.delete(manager, &path, "*")
        .await
        .problem(409, "revise_first");
    let draft = app
        .act(manager, &format!("{path}/revise"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &draft["status"],
            &draft["revision"],
            &draft["revision_in_force"]
        ),
        (&json!("draft"), &json!(2), &json!(1))
    );
    app.patch(manager, &path, "*", &json!({"statement": "Wider."}))
        .await
        .expect(200);
    assert_eq!(
        app.get(manager, &format!("{path}/revisions/1"))
            .await
            .expect(200)
            .json(),
        first
    );
    app.get(manager, &format!("{path}/revisions/2"))
        .await
        .problem(404, "not_found");
    app.act(manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&app.keys.approver, &format!("{path}/approve"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        app.get(manager, &format!("{path}/revisions/1"))
            .await
            .expect(200)
            .json(),
        first
    );
    assert_eq!(
        app.get(manager, &format!("{path}/revisions/2"))
            .await
            .expect(200)
            .json()["statement"],
        "Wider."
    );
    let listed: Vec<(i64, bool)> = app
        .get(manager, &format!("{path}/revisions"))
        .await
        .data()
        .iter()
        .map(|r| (r["revision"].as_i64().unwrap(), r["in_force"] == true))
        .collect();
    assert_eq!(listed, [(2, true), (1, false)]);
    for (filter, many) in [("in_force=true", 1), ("in_force=false", 0)] {
        assert_eq!(
            app.get(manager, &format!("/v1/scopes?{filter}"))
                .await
                .data()
                .len(),
            many,
            "{filter}"
        );
    }
    let retired = app
        .act(manager, &format!("{path}/retire"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &retired["status"],
            &retired["revision_in_force"],
            &retired["allowed_transitions"]
        ),
        (&json!("retired"), &Value::Null, &json!([]))
    );
}

async fn only_one_in_force_scores(app: &TestApp) {
    let manager = &app.keys.manager;
    let method = at(
        "risk-methodologies",
        &app.get(manager, "/v1/risk-methodologies/MET-1")
            .await
            .expect(200)
            .json(),
    );
    let standing = app.get(manager, &method).await.expect(200).json();
    assert_eq!(
        (&standing["status"], &standing["approved_by"]["kind"]),
        (&json!("approved"), &json!("system")),
        "a default is there from the start"
    );
    let risk = at("risks", &made(app, "risks", "Fire", json!({})).await);
    let assess = async || {
        let body = json!({"stage": "current", "likelihood": 2, "impact": 2, "rationale": "r"});
        let made = app
            .post(manager, &format!("{risk}/assessments"), &body)
            .await
            .expect(201)
            .json();
        (made["level"].clone(), made["methodology_revision"].clone())
    };
    assert_eq!(assess().await, (json!("low"), json!(1)));
    app.act(manager, &format!("{method}/revise"), &json!({}))
        .await
        .expect(200);
    let mut matrix = standing["matrix"].clone();
    for (likelihood, impact) in (1..5).flat_map(|l| (1..5).map(move |i| (l, i))) {
        matrix[likelihood][impact] = json!("critical");
    }
    app.patch(manager, &method, "*", &json!({"matrix": matrix}))
        .await
        .expect(200);
    assert_eq!(
        assess().await,
        (json!("low"), json!(1)),
        "a draft is not in force"
    );
    app.act(manager, &format!("{method}/submit"), &json!({}))
        .await
        .expect(200);
    assert_eq!(assess().await, (json!("low"), json!(1)));
    app.act(&app.keys.approver, &format!("{method}/approve"), &json!({}))
        .await
        .expect(200);
    assert_eq!(assess().await, (json!("critical"), json!(2)));
    let levels: Vec<Value> = app
        .get(manager, &format!("{risk}/assessments"))
        .await
        .data()
        .iter()
        .map(|a| a["level"].clone())
        .collect();
    assert_eq!(
        levels,
        [json!("critical"), json!("low"), json!("low"), json!("low")],
        "old scores keep their level"
    );
    assert_eq!(
        app.get(manager, "/v1/risk-matrix").await.expect(200).json()["methodology_revision"],
        2
    );
    matrix[0][0] = json!("unheard");
    app.act(manager, &format!("{method}/revise"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        app.patch(manager, &method, "*", &json!({"matrix": matrix}))
            .await
            .pointers(),
        ["/matrix/0/0"]
    );
    assert_eq!(
        app.patch(manager, &method, "*", &json!({"matrix": [["low"]]}))
            .await
            .pointers(),
        ["/matrix"]
    );
}
