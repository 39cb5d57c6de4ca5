//! A nonconformity's whole life: every step in its order, each with what it needs, verified by someone who did none of it.
use super::{at, key, made};
use crate::support::{Reply, TestApp};
use serde_json::{Value, json};

crate::on_both!(
    a_nonconformity_lives_its_whole_life,
    what_did_not_help_is_analysed_again,
    steps_out_of_order_are_refused_with_what_is_allowed,
    actions_have_their_own_course
);

async fn open(app: &TestApp) -> Value {
    made(app, "nonconformities", "Leavers", json!({"identified_through": "audit", "severity": "minor", "detected_on": "2026-11-01"})).await
}
async fn step(app: &TestApp, who: &str, ncr: &Value, verb: &str, body: Value) -> Reply {
    app.act(who, &format!("{}/{verb}", at("nonconformities", ncr)), &body).await
}
async fn action(app: &TestApp, ncr: &Value, owner: &str) -> String {
    at("actions", &made(app, "actions", "Fix it", json!({"origin_id": ncr["id"], "owner_id": owner})).await)
}
/// Up to implemented, by the manager, with an action that the contributor owns.
async fn implemented(app: &TestApp) -> Value {
    let (manager, ncr) = (&app.keys.manager, open(app).await);
    step(app, manager, &ncr, "contain", json!({"correction": "withdrawn"})).await.expect(200);
    step(app, manager, &ncr, "analyse", json!({"root_cause": "no list", "similar_cases": "none"})).await.expect(200);
    let action = action(app, &ncr, &app.keys.contributor_person).await;
    step(app, manager, &ncr, "plan", json!({})).await.expect(200);
    app.act(&app.keys.contributor, &format!("{action}/complete"), &json!({"result": "done"})).await.expect(200);
    step(app, manager, &ncr, "implement", json!({})).await.expect(200);
    ncr
}

async fn a_nonconformity_lives_its_whole_life(app: &TestApp) {
    let (manager, ncr) = (&app.keys.manager, open(app).await);
    assert_eq!((&ncr["status"], &ncr["iteration"], &ncr["allowed_transitions"]), (&json!("open"), &json!(1), &json!(["contain"])));
    assert_eq!(step(app, manager, &ncr, "contain", json!({})).await.pointers(), ["/correction"]);
    let contained = step(app, manager, &ncr, "contain", json!({"correction": "withdrawn", "comment": "at once"})).await.expect(200).json();
    assert_eq!(
        (&contained["status"], &contained["correction"], &contained["version"]),
        (&json!("contained"), &json!("withdrawn"), &json!(2))
    );
    assert_eq!(step(app, manager, &ncr, "analyse", json!({"root_cause": "no list"})).await.pointers(), ["/similar_cases"]);
    step(app, manager, &ncr, "analyse", json!({"root_cause": "no list", "similar_cases": "none"})).await.expect(200);
    step(app, manager, &ncr, "plan", json!({})).await.problem(409, "illegal_transition");
    let action = action(app, &ncr, &app.keys.contributor_person).await;
    assert_eq!(step(app, manager, &ncr, "plan", json!({})).await.expect(200).json()["status"], "action_planned");
    step(app, manager, &ncr, "implement", json!({})).await.problem(409, "illegal_transition");
    app.act(&app.keys.contributor, &format!("{action}/start"), &json!({})).await.expect(200);
    step(app, manager, &ncr, "implement", json!({})).await.problem(409, "illegal_transition");
    app.act(&app.keys.contributor, &format!("{action}/complete"), &json!({"result": "list made"})).await.expect(200);
    let done = step(app, manager, &ncr, "implement", json!({})).await.expect(200).json();
    assert_eq!((&done["status"], &done["implemented_by"]["person_id"]), (&json!("implemented"), &json!(app.keys.person)));
    // Whoever implemented it, with whatever credential, or owns an action of it, does not verify it.
    let (second, owner) = (
        key(app, "internal_auditor", Some(&app.keys.user), json!({})).await,
        key(app, "approver", Some(&app.keys.contributor_user), json!({})).await,
    );
    for who in [manager, &app.keys.admin, &second, &owner, &key(app, "approver", None, json!({})).await] {
        step(app, who, &ncr, "verify", json!({"effective": true})).await.problem(403, "segregation_of_duties");
    }
    for who in [&app.keys.auditor, &app.keys.contributor, &app.keys.collector] {
        step(app, who, &ncr, "verify", json!({"effective": true})).await.problem(403, "forbidden");
    }
    assert_eq!(step(app, &app.keys.approver, &ncr, "verify", json!({})).await.pointers(), ["/effective"]);
    let verified = step(app, &app.keys.internal_auditor, &ncr, "verify", json!({"effective": true, "comment": "ten looked at"}))
        .await
        .expect(200)
        .json();
    assert_eq!((&verified["status"], &verified["effective"]), (&json!("verified"), &json!(true)));
    assert_eq!((&verified["verification"], verified["verified_at"].is_string()), (&json!("ten looked at"), true));
    let closed = step(app, manager, &ncr, "close", json!({})).await.expect(200).json();
    assert_eq!(closed["allowed_transitions"], json!([]));
    assert_eq!((&closed["closed_by"]["person_id"], closed["closed_at"].is_string()), (&json!(app.keys.person), true));
    app.patch(manager, &at("nonconformities", &ncr), "*", &json!({"name": "x"})).await.problem(409, "illegal_transition");
    let history = app.get(manager, &format!("{}/history", at("nonconformities", &ncr))).await.data();
    let actions: Vec<&str> = history.iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "contain", "analyse", "plan", "implement", "verify", "close"]);
}

async fn what_did_not_help_is_analysed_again(app: &TestApp) {
    let (manager, ncr) = (&app.keys.manager, implemented(app).await);
    let again = step(app, &app.keys.approver, &ncr, "verify", json!({"effective": false})).await.expect(200).json();
    assert_eq!(
        (&again["status"], &again["iteration"], &again["effective"], &again["implemented_by"]),
        (&json!("analysed"), &json!(2), &json!(false), &Value::Null)
    );
    assert_eq!((&again["analysis_due"], &again["verified_at"].is_string()), (&json!(true), &true));
    // Not with the old cause: it is analysed again, whatever actions there are.
    let open = action(app, &ncr, &app.keys.contributor_person).await;
    let refused = step(app, manager, &ncr, "plan", json!({})).await.problem(409, "not_ready");
    assert_eq!(refused["allowed"], json!(["analyse", "return"]));
    app.act(manager, &format!("{open}/cancel"), &json!({"comment": "another way"})).await.expect(200);
    assert_eq!(step(app, manager, &ncr, "analyse", json!({})).await.pointers(), ["/root_cause"]);
    assert_eq!(step(app, manager, &ncr, "analyse", json!({"similar_cases": "none"})).await.pointers(), ["/root_cause"]);
    let found = step(app, manager, &ncr, "analyse", json!({"root_cause": "Nobody was told."})).await.expect(200).json();
    assert_eq!(
        (&found["status"], &found["analysis_due"], &found["root_cause"]),
        (&json!("analysed"), &json!(false), &json!("Nobody was told."))
    );
    step(app, manager, &ncr, "plan", json!({})).await.problem(409, "illegal_transition");
    let second = action(app, &ncr, &app.keys.contributor_person).await;
    step(app, manager, &ncr, "plan", json!({})).await.expect(200);
    step(app, manager, &ncr, "implement", json!({})).await.problem(409, "illegal_transition");
    app.act(manager, &format!("{second}/complete"), &json!({"result": "better"})).await.expect(200);
    step(app, manager, &ncr, "implement", json!({})).await.expect(200);
    let verified = step(app, &app.keys.approver, &ncr, "verify", json!({"effective": true})).await.expect(200).json();
    assert_eq!((&verified["iteration"], &verified["effective"]), (&json!(2), &json!(true)));
}

async fn steps_out_of_order_are_refused_with_what_is_allowed(app: &TestApp) {
    let (manager, ncr) = (&app.keys.manager, open(app).await);
    for (verb, body) in [
        ("analyse", json!({"root_cause": "x", "similar_cases": "y"})),
        ("plan", json!({})),
        ("implement", json!({})),
        ("close", json!({})),
        ("return", json!({"comment": "x"})),
    ] {
        let refused = step(app, manager, &ncr, verb, body).await.problem(409, "illegal_transition");
        assert_eq!(refused["allowed"], json!(["contain"]), "{verb}");
    }
    step(app, manager, &ncr, "contain", json!({"comment": "nothing was urgent"})).await.expect(200);
    assert_eq!(step(app, manager, &ncr, "return", json!({})).await.pointers(), ["/comment"]);
    assert_eq!(step(app, manager, &ncr, "return", json!({"comment": "it was"})).await.expect(200).json()["status"], "open");
    app.patch(manager, &at("nonconformities", &ncr), "*", &json!({"status": "closed"})).await.expect(422);
    assert_eq!(
        app.get(manager, "/v1/nonconformities?status=open&severity=minor&identified_through=audit&detected_on_since=2026-11-01")
            .await
            .data()
            .len(),
        1
    );
    assert_eq!(app.get(manager, "/v1/nonconformities?detected_on_before=2026-11-01").await.data().len(), 0);
}

async fn actions_have_their_own_course(app: &TestApp) {
    let manager = &app.keys.manager;
    let path = at("actions", &made(app, "actions", "Fix", json!({"due_on": "2026-11-19"})).await);
    assert_eq!(app.get(manager, "/v1/actions?overdue=true").await.data().len(), 1);
    assert_eq!(app.act(manager, &format!("{path}/complete"), &json!({})).await.pointers(), ["/result"]);
    let done = app.act(manager, &format!("{path}/complete"), &json!({"result": "done"})).await.expect(200).json();
    assert_eq!((&done["status"], &done["result"], &done["progress"]), (&json!("done"), &json!("done"), &json!(100)));
    assert_eq!(app.get(manager, "/v1/actions?overdue=true").await.data().len(), 0, "what is done is not late");
    for (verb, body) in [("start", json!({})), ("cancel", json!({"comment": "x"})), ("complete", json!({"result": "x"}))] {
        assert_eq!(
            app.act(manager, &format!("{path}/{verb}"), &body).await.problem(409, "illegal_transition")["allowed"],
            json!([]),
            "{verb}"
        );
    }
    let other = at("actions", &made(app, "actions", "Other", json!({})).await);
    assert_eq!(app.act(manager, &format!("{other}/cancel"), &json!({})).await.pointers(), ["/comment"]);
    app.act(manager, &format!("{other}/cancel"), &json!({"comment": "not needed"})).await.expect(200);
}
