//! A nonconformity's whole life: every step in its order, each with what it needs, verified by
//! someone who did none of it.
use super::{at, key, made};
use crate::support::{Reply, TestApp};
use serde_json::{Value, json};

crate::on_both!(
    a_nonconformity_lives_its_whole_life,
    what_did_not_help_is_analysed_again,
    whoever_changed_it_since_does_not_verify_it,
    steps_out_of_order_are_refused_with_what_is_allowed,
    actions_have_their_own_course,
    whoever_did_the_work_does_not_verify_it,
    what_changes_after_the_verification_is_verified_again,
    an_internal_auditor_raises_nonconformities
);

async fn open(app: &TestApp) -> Value {
    made(
        app,
        "nonconformities",
        "Leavers",
        json!({"identified_through": "audit", "severity": "minor", "detected_on": "2026-11-01"}),
    )
    .await
}
async fn step(app: &TestApp, who: &str, ncr: &Value, verb: &str, body: Value) -> Reply {
    app.act(
        who,
        &format!("{}/{verb}", at("nonconformities", ncr)),
        &body,
    )
    .await
}
async fn action(app: &TestApp, ncr: &Value, owner: &str) -> String {
    at(
        "actions",
        &made(
            app,
            "actions",
            "Fix it",
            json!({"origin_id": ncr["id"], "owner_id": owner}),
        )
        .await,
    )
}
/// Up to implemented, by the manager, with an action that the contributor owns.
async fn implemented(app: &TestApp) -> Value {
    let (manager, ncr) = (&app.keys.manager, open(app).await);
    step(
        app,
        manager,
        &ncr,
        "contain",
        json!({"correction": "withdrawn"}),
    )
    .await
    .expect(200);
    step(
        app,
        manager,
        &ncr,
        "analyse",
        json!({"root_cause": "no list", "similar_cases": "none"}),
    )
    .await
    .expect(200);
    let action = action(app, &ncr, &app.keys.contributor_person).await;
    step(app, manager, &ncr, "plan", json!({}))
        .await
        .expect(200);
    app.act(
        &app.keys.contributor,
        &format!("{action}/complete"),
        &json!({"result": "done"}),
    )
    .await
    .expect(200);
    step(app, manager, &ncr, "implement", json!({}))
        .await
        .expect(200);
    ncr
}

async fn a_nonconformity_lives_its_whole_life(app: &TestApp) {
    let (manager, ncr) = (&app.keys.manager, open(app).await);
    assert_eq!(
        (
            &ncr["status"],
            &ncr["iteration"],
            &ncr["allowed_transitions"]
        ),
        (&json!("open"), &json!(1), &json!(["contain"]))
    );
    assert_eq!(
        step(app, manager, &ncr, "contain", json!({}))
            .await
            .pointers(),
        ["/correction"]
    );
    let contained = step(
        app,
        manager,
        &ncr,
        "contain",
        json!({"correction": "withdrawn", "comment": "at once"}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (
            &contained["status"],
            &contained["correction"],
            &contained["version"]
        ),
        (&json!("contained"), &json!("withdrawn"), &json!(2))
    );
    assert_eq!(
        step(
            app,
            manager,
            &ncr,
            "analyse",
            json!({"root_cause": "no list"})
        )
        .await
        .pointers(),
        ["/similar_cases"]
    );
    step(
        app,
        manager,
        &ncr,
        "analyse",
        json!({"root_cause": "no list", "similar_cases": "none"}),
    )
    .await
    .expect(200);
    step(app, manager, &ncr, "plan", json!({}))
        .await
        .problem(409, "illegal_transition");
    let action = action(app, &ncr, &app.keys.contributor_person).await;
    assert_eq!(
        step(app, manager, &ncr, "plan", json!({}))
            .await
            .expect(200)
            .json()["status"],
        "action_planned"
    );
    step(app, manager, &ncr, "implement", json!({}))
        .await
        .problem(409, "illegal_transition");
    app.act(
        &app.keys.contributor,
        &format!("{action}/start"),
        &json!({}),
    )
    .await
    .expect(200);
    step(app, manager, &ncr, "implement", json!({}))
        .await
        .problem(409, "illegal_transition");
    app.act(
        &app.keys.contributor,
        &format!("{action}/complete"),
        &json!({"result": "list made"}),
    )
    .await
    .expect(200);
    let done = step(app, manager, &ncr, "implement", json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&done["status"], &done["implemented_by"]["person_id"]),
        (&json!("implemented"), &json!(app.keys.person))
    );
    // Whoever implemented it, with whatever credential, or owns an action of it, does not verify
    // it.
    let (second, owner) = (
        key(app, "internal_auditor", Some(&app.keys.user), json!({})).await,
        key(app, "approver", Some(&app.keys.contributor_user), json!({})).await,
    );
    for who in [
        manager,
        &app.keys.admin,
        &second,
        &owner,
        &key(app, "approver", None, json!({})).await,
    ] {
        step(app, who, &ncr, "verify", json!({"effective": true}))
            .await
            .problem(403, "segregation_of_duties");
    }
    for who in [
        &app.keys.auditor,
        &app.keys.contributor,
        &app.keys.collector,
    ] {
        step(app, who, &ncr, "verify", json!({"effective": true}))
            .await
            .problem(403, "forbidden");
    }
    assert_eq!(
        step(app, &app.keys.approver, &ncr, "verify", json!({}))
            .await
            .pointers(),
        ["/effective"]
    );
    let verified = step(
        app,
        &app.keys.internal_auditor,
        &ncr,
        "verify",
        json!({"effective": true, "comment": "ten looked at"}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&verified["status"], &verified["effective"]),
        (&json!("verified"), &json!(true))
    );
    assert_eq!(
        (
            &verified["verification"],
            verified["verified_at"].is_string()
        ),
        (&json!("ten looked at"), true)
    );
    let closed = step(app, manager, &ncr, "close", json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(closed["allowed_transitions"], json!([]));
    assert_eq!(
        (
            &closed["closed_by"]["person_id"],
            closed["closed_at"].is_string()
        ),
        (&json!(app.keys.person), true)
    );
    app.patch(
        manager,
        &at("nonconformities", &ncr),
        "*",
        &json!({"name": "x"}),
    )
    .await
    .problem(409, "illegal_transition");
    let history = app
        .get(manager, &format!("{}/history", at("nonconformities", &ncr)))
        .await
        .data();
    let actions: Vec<&str> = history
        .iter()
        .rev()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "create",
            "contain",
            "analyse",
            "plan",
            "implement",
            "verify",
            "close"
        ]
    );
}

async fn whoever_changed_it_since_does_not_verify_it(app: &TestApp) {
    let person = app
        .post(&app.keys.manager, "/v1/people", &json!({"name": "Second"}))
        .await
        .expect(201)
        .json();
    let user = json!({"name": "Second", "email": "second@a.example", "roles": ["manager",
        "approver"], "person_id": person["id"]});
    app.user(&app.keys.admin, &user).await;
    let second = app.login("second@a.example").await;
    let ncr = implemented(app).await;
    let path = at("nonconformities", &ncr);
    app.patch(
        &second,
        &path,
        "*",
        &json!({"name": "Leavers keep their accounts"}),
    )
    .await
    .expect(200);
    let refused = step(app, &second, &ncr, "verify", json!({"effective": true}))
        .await
        .problem(403, "segregation_of_duties");
    assert!(
        refused["detail"].as_str().unwrap().contains("changed"),
        "{refused}"
    );
    step(
        app,
        &app.keys.approver,
        &ncr,
        "verify",
        json!({"effective": true}),
    )
    .await
    .expect(200);
}

async fn what_did_not_help_is_analysed_again(app: &TestApp) {
    let (manager, ncr) = (&app.keys.manager, implemented(app).await);
    let again = step(
        app,
        &app.keys.approver,
        &ncr,
        "verify",
        json!({"effective": false}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (
            &again["status"],
            &again["iteration"],
            &again["effective"],
            &again["implemented_by"]
        ),
        (&json!("analysed"), &json!(2), &json!(false), &Value::Null)
    );
    assert_eq!(
        (&again["analysis_due"], &again["verified_at"].is_string()),
        (&json!(true), &true)
    );
    // Not with the old cause: it is analysed again, whatever actions there are.
    let open = action(app, &ncr, &app.keys.contributor_person).await;
    let refused = step(app, manager, &ncr, "plan", json!({}))
        .await
        .problem(409, "not_ready");
    assert_eq!(refused["allowed"], json!(["analyse", "return"]));
    app.act(
        manager,
        &format!("{open}/cancel"),
        &json!({"comment": "another way"}),
    )
    .await
    .expect(200);
    assert_eq!(
        step(app, manager, &ncr, "analyse", json!({}))
            .await
            .pointers(),
        ["/root_cause"]
    );
    assert_eq!(
        step(
            app,
            manager,
            &ncr,
            "analyse",
            json!({"similar_cases": "none"})
        )
        .await
        .pointers(),
        ["/root_cause"]
    );
    let found = step(
        app,
        manager,
        &ncr,
        "analyse",
        json!({"root_cause": "Nobody was told."}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (
            &found["status"],
            &found["analysis_due"],
            &found["root_cause"]
        ),
        (
            &json!("analysed"),
            &json!(false),
            &json!("Nobody was told.")
        )
    );
    step(app, manager, &ncr, "plan", json!({}))
        .await
        .problem(409, "illegal_transition");
    let second = action(app, &ncr, &app.keys.contributor_person).await;
    step(app, manager, &ncr, "plan", json!({}))
        .await
        .expect(200);
    step(app, manager, &ncr, "implement", json!({}))
        .await
        .problem(409, "illegal_transition");
    app.act(
        manager,
        &format!("{second}/complete"),
        &json!({"result": "better"}),
    )
    .await
    .expect(200);
    step(app, manager, &ncr, "implement", json!({}))
        .await
        .expect(200);
    let verified = step(
        app,
        &app.keys.approver,
        &ncr,
        "verify",
        json!({"effective": true}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&verified["iteration"], &verified["effective"]),
        (&json!(2), &json!(true))
    );
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
        let refused = step(app, manager, &ncr, verb, body)
            .await
            .problem(409, "illegal_transition");
        assert_eq!(refused["allowed"], json!(["contain"]), "{verb}");
    }
    step(
        app,
        manager,
        &ncr,
        "contain",
        json!({"comment": "nothing was urgent"}),
    )
    .await
    .expect(200);
    assert_eq!(
        step(app, manager, &ncr, "return", json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    assert_eq!(
        step(app, manager, &ncr, "return", json!({"comment": "it was"}))
            .await
            .expect(200)
            .json()["status"],
        "open"
    );
    app.patch(
        manager,
        &at("nonconformities", &ncr),
        "*",
        &json!({"status": "closed"}),
    )
    .await
    .expect(422);
    assert_eq!(
        app.get(manager,
            "/v1/nonconformities?status=open&severity=minor&identified_through=audit&detected_on_since=2026-11-01")
            .await
            .data()
            .len(),
        1
    );
    assert_eq!(
        app.get(manager, "/v1/nonconformities?detected_on_before=2026-11-01")
            .await
            .data()
            .len(),
        0
    );
}

async fn actions_have_their_own_course(app: &TestApp) {
    let manager = &app.keys.manager;
    let path = at(
        "actions",
        &made(app, "actions", "Fix", json!({"due_on": "2026-11-19"})).await,
    );
    assert_eq!(
        app.get(manager, "/v1/actions?overdue=true")
            .await
            .data()
            .len(),
        1
    );
    assert_eq!(
        app.act(manager, &format!("{path}/complete"), &json!({}))
            .await
            .pointers(),
        ["/result"]
    );
    let done = app
        .act(
            manager,
            &format!("{path}/complete"),
            &json!({"result": "done"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&done["status"], &done["result"], &done["progress"]),
        (&json!("done"), &json!("done"), &json!(100))
    );
    assert_eq!(
        app.get(manager, "/v1/actions?overdue=true")
            .await
            .data()
            .len(),
        0,
        "what is done is not late"
    );
    for (verb, body) in [
        ("start", json!({})),
        ("cancel", json!({"comment": "x"})),
        ("complete", json!({"result": "x"})),
    ] {
        assert_eq!(
            app.act(manager, &format!("{path}/{verb}"), &body)
                .await
                .problem(409, "illegal_transition")["allowed"],
            json!([]),
            "{verb}"
        );
    }
    let other = at("actions", &made(app, "actions", "Other", json!({})).await);
    assert_eq!(
        app.act(manager, &format!("{other}/cancel"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    app.act(
        manager,
        &format!("{other}/cancel"),
        &json!({"comment": "not needed"}),
    )
    .await
    .expect(200);
}

/// Planned, with an action.
async fn with_action(app: &TestApp, action: Value) -> (Value, String) {
    let (manager, ncr) = (&app.keys.manager, open(app).await);
    step(
        app,
        manager,
        &ncr,
        "contain",
        json!({"correction": "withdrawn"}),
    )
    .await
    .expect(200);
    step(
        app,
        manager,
        &ncr,
        "analyse",
        json!({"root_cause": "no list", "similar_cases": "none"}),
    )
    .await
    .expect(200);
    let mut body = action;
    body["origin_id"] = ncr["id"].clone();
    let action = made(app, "actions", "Fix it", body).await;
    step(app, manager, &ncr, "plan", json!({}))
        .await
        .expect(200);
    (ncr, at("actions", &action))
}

async fn whoever_did_the_work_does_not_verify_it(app: &TestApp) {
    let (manager, effective) = (&app.keys.manager, json!({"effective": true}));
    let both = key(app, "manager", Some(&app.keys.contributor_user), json!({})).await;
    let hidden: [fn(&Value) -> Value; 2] = [
        |person| json!({"owner_id": person}),
        |_| json!({"owner_id": null}),
    ];
    for hide in hidden {
        let (ncr, action) =
            with_action(app, json!({"owner_id": app.keys.contributor_person})).await;
        let done = app
            .act(
                &app.keys.contributor,
                &format!("{action}/complete"),
                &json!({"result": "done"}),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            done["completed_by"]["person_id"],
            json!(app.keys.contributor_person)
        );
        step(app, manager, &ncr, "implement", json!({}))
            .await
            .expect(200);
        // Whoever owns it now: what counts is who completed it. Nor does it help to archive it, or
        // to hang it elsewhere.
        let moved = app
            .patch(&both, &action, "*", &hide(&json!(app.keys.approver_person)))
            .await
            .expect(200)
            .json();
        assert_eq!(moved["completed_by"], done["completed_by"]);
        step(app, &both, &ncr, "verify", effective.clone())
            .await
            .problem(403, "segregation_of_duties");
        app.patch(
            &both,
            &action,
            "*",
            &json!({"origin_id": null, "owner_id": null}),
        )
        .await
        .expect(200);
        step(app, &both, &ncr, "verify", effective.clone())
            .await
            .problem(403, "segregation_of_duties");
        app.delete(&both, &action, "*").await.expect(204);
        step(app, &both, &ncr, "verify", effective.clone())
            .await
            .problem(403, "segregation_of_duties");
        step(
            app,
            &app.keys.internal_auditor,
            &ncr,
            "verify",
            effective.clone(),
        )
        .await
        .expect(200);
    }
    // A service key does not say that it is implemented; what it completes was done by who made it.
    let (ncr, action) = with_action(app, json!({})).await;
    let service = key(app, "manager", None, json!({})).await;
    app.act(
        &service,
        &format!("{action}/complete"),
        &json!({"result": "done"}),
    )
    .await
    .expect(200);
    step(app, &service, &ncr, "implement", json!({}))
        .await
        .problem(403, "segregation_of_duties");
    step(app, &both, &ncr, "implement", json!({}))
        .await
        .expect(200);
    for who in [manager, &app.keys.admin, &both, &service] {
        step(app, who, &ncr, "verify", effective.clone())
            .await
            .problem(403, "segregation_of_duties");
    }
    step(app, &app.keys.approver, &ncr, "verify", effective.clone())
        .await
        .expect(200);
    app.patch(manager, &action, "*", &json!({"completed_by": null}))
        .await
        .expect(422);
}

async fn what_changes_after_the_verification_is_verified_again(app: &TestApp) {
    let manager = &app.keys.manager;
    let verified = async || {
        let (ncr, action) = with_action(app, json!({})).await;
        app.act(
            manager,
            &format!("{action}/complete"),
            &json!({"result": "done"}),
        )
        .await
        .expect(200);
        step(app, manager, &ncr, "implement", json!({}))
            .await
            .expect(200);
        let done = step(
            app,
            &app.keys.approver,
            &ncr,
            "verify",
            json!({"effective": true}),
        )
        .await
        .expect(200)
        .json();
        assert_eq!(
            (&done["status"], done["verified_by"].is_object()),
            (&json!("verified"), true)
        );
        (ncr, action)
    };
    let taken_back = async |ncr: &Value, what: &str| {
        let now = app
            .get(manager, &at("nonconformities", ncr))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&now["status"], &now["verified_by"], &now["effective"]),
            (&json!("implemented"), &Value::Null, &Value::Null),
            "{what}"
        );
        step(app, manager, ncr, "close", json!({}))
            .await
            .problem(409, "illegal_transition");
        step(app, manager, ncr, "verify", json!({"effective": true}))
            .await
            .problem(403, "segregation_of_duties");
        step(
            app,
            &app.keys.approver,
            ncr,
            "verify",
            json!({"effective": true}),
        )
        .await
        .expect(200);
    };
    let (ncr, action) = verified().await;
    let path = at("nonconformities", &ncr);
    app.patch(manager, &path, "*", &json!({"root_cause": "no list"}))
        .await
        .expect(200);
    assert_eq!(
        app.get(manager, &path).await.expect(200).json()["status"],
        "verified",
        "what changes nothing takes nothing back"
    );
    app.patch(manager, &path, "*", &json!({"root_cause": "nobody cared"}))
        .await
        .expect(200);
    taken_back(&ncr, "a patch").await;
    let batch = json!({"items": [{"id": ncr["id"], "if_match": "*",
        "patch": {"severity": "observation"}}]});
    app.post(manager, "/v1/nonconformities/batch", &batch)
        .await
        .expect(200);
    taken_back(&ncr, "a batch").await;
    app.patch(manager, &action, "*", &json!({"result": "well, nearly"}))
        .await
        .expect(200);
    taken_back(&ncr, "a patch of an action").await;
    let batch = json!({"items": [{"id": action.rsplit('/').next().unwrap(), "if_match": "*",
        "patch": {"tags": ["x"]}}]});
    app.post(manager, "/v1/actions/batch", &batch)
        .await
        .expect(200);
    taken_back(&ncr, "a batch of actions").await;
    let late = at(
        "actions",
        &made(app, "actions", "One more", json!({"origin_id": ncr["id"]})).await,
    );
    taken_back(&ncr, "a new action").await;
    app.delete(manager, &late, "*").await.expect(204);
    taken_back(&ncr, "an action that is archived").await;
    app.patch(manager, &action, "*", &json!({"origin_id": null}))
        .await
        .expect(200);
    taken_back(&ncr, "an action that is moved away").await;
    let history = app
        .get(manager, &format!("{path}/history?limit=2"))
        .await
        .data();
    assert_eq!(
        (&history[0]["action"], &history[1]["action"]),
        (&json!("verify"), &json!("unverify"))
    );
    let back = step(
        app,
        &app.keys.approver,
        &ncr,
        "return",
        json!({"comment": "look again"}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&back["status"], &back["verified_by"], &back["effective"]),
        (&json!("implemented"), &Value::Null, &Value::Null)
    );
}

async fn an_internal_auditor_raises_nonconformities(app: &TestApp) {
    let (auditor, manager) = (&app.keys.internal_auditor, &app.keys.manager);
    let body = json!({"name": "Found in the audit", "identified_through": "audit",
        "severity": "minor", "detected_on": "2026-11-01"});
    let raised = app
        .post(auditor, "/v1/nonconformities", &body)
        .await
        .expect(201)
        .json();
    let path = at("nonconformities", &raised);
    app.patch(auditor, &path, "*", &json!({"severity": "major"}))
        .await
        .expect(200);
    let other = open(app).await;
    app.patch(
        auditor,
        &at("nonconformities", &other),
        "*",
        &json!({"severity": "major"}),
    )
    .await
    .problem(403, "not_assigned");
    let me = app.get(auditor, "/v1/me").await.expect(200).json()["person_id"].clone();
    app.patch(
        manager,
        &at("nonconformities", &other),
        "*",
        &json!({"owner_id": me}),
    )
    .await
    .expect(200);
    app.patch(
        auditor,
        &at("nonconformities", &other),
        "*",
        &json!({"severity": "major"}),
    )
    .await
    .expect(200);
    for (verb, body) in [
        ("contain", json!({"correction": "x"})),
        ("implement", json!({})),
    ] {
        let refused = step(app, auditor, &raised, verb, body)
            .await
            .problem(403, "forbidden");
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("manager, contributor"),
            "a refusal says who may: {refused}"
        );
    }
    app.delete(auditor, &path, "*")
        .await
        .problem(403, "forbidden");
    app.post(auditor, "/v1/risks", &json!({"name": "x"}))
        .await
        .problem(403, "forbidden");
    // Whoever raised it may verify what others did, but not what is theirs.
    step(
        app,
        manager,
        &raised,
        "contain",
        json!({"correction": "withdrawn"}),
    )
    .await
    .expect(200);
    step(
        app,
        manager,
        &raised,
        "analyse",
        json!({"root_cause": "x", "similar_cases": "none"}),
    )
    .await
    .expect(200);
    let action = at(
        "actions",
        &made(
            app,
            "actions",
            "Fix it",
            json!({"origin_id": raised["id"], "owner_id": me}),
        )
        .await,
    );
    step(app, manager, &raised, "plan", json!({}))
        .await
        .expect(200);
    app.act(
        manager,
        &format!("{action}/complete"),
        &json!({"result": "done"}),
    )
    .await
    .expect(200);
    step(app, manager, &raised, "implement", json!({}))
        .await
        .expect(200);
    step(app, auditor, &raised, "verify", json!({"effective": true}))
        .await
        .problem(403, "segregation_of_duties");
    app.patch(manager, &action, "*", &json!({"owner_id": null}))
        .await
        .expect(200);
    step(app, auditor, &raised, "verify", json!({"effective": true}))
        .await
        .expect(200);
}
