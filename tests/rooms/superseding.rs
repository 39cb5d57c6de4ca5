//! Who may supersede evidence, what a hold guards, and how long evidence is kept.
use super::{at, key, made};
use crate::support::TestApp;
use crate::support::make::last;
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    a_contributor_supersedes_what_is_theirs,
    nobody_supersedes_what_is_on_hold,
    a_hold_guards_all_but_new_links,
    a_machine_says_nothing_of_retention_and_attestation,
    a_manager_changes_how_long_it_is_kept,
    a_new_key_takes_over_from_the_old,
    what_a_key_does_not_see_it_does_not_meet
);

fn piece(name: &str, day: u32, payload: Value) -> Value {
    json!({"name": name, "source": "pentest", "external_id": name,
        "collected_at": format!("2026-11-{day:02}T03:00:00Z"), "payload": payload})
}

async fn a_contributor_supersedes_what_is_theirs(app: &TestApp) {
    let (manager, contributor) = (&app.keys.manager, &app.keys.contributor);
    let official = app
        .post(manager, "/v1/evidence", &piece("official", 10, json!(1)))
        .await
        .expect(201)
        .json();
    let seq = last(app);
    app.post(
        contributor,
        "/v1/evidence",
        &piece("official", 11, json!(2)),
    )
    .await
    .problem(403, "not_assigned");
    assert_eq!(last(app), seq);
    let now = app.get(manager, &at("evidence", &official)).await.json();
    assert_eq!(
        (&now["superseded_by_id"], &now["version"]),
        (&Value::Null, &json!(1))
    );
    // Theirs, and what became theirs.
    app.post(contributor, "/v1/evidence", &piece("own", 10, json!(1)))
        .await
        .expect(201);
    app.post(contributor, "/v1/evidence", &piece("own", 11, json!(2)))
        .await
        .expect(201);
    app.patch(
        manager,
        &at("evidence", &official),
        "*",
        &json!({"owner_id": app.keys.contributor_person}),
    )
    .await
    .expect(200);
    let later = app
        .post(
            contributor,
            "/v1/evidence",
            &piece("official", 11, json!(2)),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        app.get(manager, &at("evidence", &official)).await.json()["superseded_by_id"],
        later["id"]
    );
    // A key of one scope does not supersede what belongs to the whole organization, or to another
    // scope too.
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let limited = key(app, "manager", None, json!({"scope_ids": [scope["id"]]})).await;
    let whole = app
        .post(manager, "/v1/evidence", &piece("whole", 10, json!(1)))
        .await
        .expect(201)
        .json();
    let mut next = piece("whole", 11, json!(2));
    next["scope_ids"] = json!([scope["id"]]);
    app.post(&limited, "/v1/evidence", &next)
        .await
        .problem(403, "outside_limits");
    assert_eq!(
        app.get(manager, &at("evidence", &whole)).await.json()["superseded_by_id"],
        Value::Null
    );
}

async fn nobody_supersedes_what_is_on_hold(app: &TestApp) {
    let manager = &app.keys.manager;
    let held = app
        .post(manager, "/v1/evidence", &piece("held", 10, json!(1)))
        .await
        .expect(201)
        .json();
    app.act(
        manager,
        &format!("{}/hold", at("evidence", &held)),
        &json!({"comment": "court"}),
    )
    .await
    .expect(200);
    let seq = last(app);
    let refused = app
        .post(manager, "/v1/evidence", &piece("held", 11, json!(2)))
        .await
        .problem(409, "retained");
    assert_eq!(
        (&refused["needed_by"], last(app)),
        (&json!([held["code"]]), seq)
    );
    app.post(
        &app.keys.contributor,
        "/v1/evidence",
        &piece("held", 11, json!(2)),
    )
    .await
    .problem(403, "not_assigned");
    app.post(manager, "/v1/evidence", &piece("held", 9, json!(0)))
        .await
        .expect(201);
    app.act(
        manager,
        &format!("{}/release", at("evidence", &held)),
        &json!({"comment": "over"}),
    )
    .await
    .expect(200);
    app.post(manager, "/v1/evidence", &piece("held", 11, json!(2)))
        .await
        .expect(201);
}

async fn a_hold_guards_all_but_new_links(app: &TestApp) {
    let manager = &app.keys.manager;
    let (one, two) = (
        made(app, "controls", "One", json!({})).await,
        made(app, "controls", "Two", json!({})).await,
    );
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let mut body = piece("held", 10, json!(1));
    body["control_ids"] = json!([one["id"]]);
    body["subject_ids"] = json!([one["id"]]);
    body["requirements"] = json!(["iso-27001-2022:A.5.1"]);
    let held = app
        .post(manager, "/v1/evidence", &body)
        .await
        .expect(201)
        .json();
    let path = at("evidence", &held);
    app.act(
        manager,
        &format!("{path}/hold"),
        &json!({"comment": "court"}),
    )
    .await
    .expect(200);
    for change in [
        json!({"name": "Harmless"}),
        json!({"confidentiality": "public"}),
        json!({"control_ids": []}),
        json!({"control_ids": [two["id"]]}),
        json!({"subject_ids": []}),
        json!({"requirements": []}),
        json!({"scope_ids": [scope["id"]]}),
        json!({"owner_id": app.keys.contributor_person}),
        json!({"tags": ["x"]}),
        json!({"custom": {"a": 1}}),
        json!({"due_on": "2027-01-01"}),
        json!({"control_ids": [one["id"], two["id"]], "name": "Both"}),
    ] {
        app.patch(manager, &path, "*", &change)
            .await
            .problem(409, "retained");
        let batch = json!({"items": [{"id": held["id"], "if_match": "*", "patch": change}]});
        let batched = app
            .post(manager, "/v1/evidence/batch?atomic=true", &batch)
            .await;
        assert!(
            !(200..300).contains(&batched.status),
            "{change}: {}",
            batched.text()
        );
    }
    app.delete(
        manager,
        &format!("{path}/links/control_ids/{}", one["code"].as_str().unwrap()),
        "*",
    )
    .await
    .problem(409, "retained");
    app.delete(manager, &path, "*")
        .await
        .problem(409, "retained");
    app.act(manager, &format!("{path}/retain"), &json!({"comment": "c"}))
        .await
        .problem(409, "illegal_transition");
    app.patch(manager, &path, "*", &json!({"name": held["name"]}))
        .await
        .expect(200);
    let more = json!({"control_ids": [one["id"], two["id"]],
        "requirements": ["iso-27001-2022:A.5.1", "iso-27001-2022:A.5.2"]});
    app.patch(manager, &path, "*", &more).await.expect(200);
    app.act(
        manager,
        &format!("{path}/links"),
        &json!({"relation": "subject_ids", "to": two["id"]}),
    )
    .await
    .expect(200);
    app.act(
        manager,
        &format!("{path}/release"),
        &json!({"comment": "over"}),
    )
    .await
    .expect(200);
    app.patch(
        manager,
        &path,
        "*",
        &json!({"name": "Free", "control_ids": []}),
    )
    .await
    .expect(200);
}

async fn a_machine_says_nothing_of_retention_and_attestation(app: &TestApp) {
    let collectors = [
        app.keys.collector.clone(),
        key(app, "collector", None, json!({})).await,
    ];
    for collector in &collectors {
        let seq = last(app);
        for (member, value) in [
            ("retain_until_on", json!("9999-12-31")),
            ("retain_until_on", json!("2026-11-21")),
            ("attests", json!(true)),
        ] {
            let refused = app
                .post(
                    collector,
                    "/v1/evidence",
                    &json!({"name": "x", "payload": 1, member: value}),
                )
                .await;
            assert_eq!(
                refused.problem(403, "forbidden")["errors"][0]["pointer"],
                format!("/{member}")
            );
        }
        assert_eq!(last(app), seq);
        app.post(
            collector,
            "/v1/evidence",
            &json!({"name": "x", "payload": 1, "attests": false}),
        )
        .await
        .expect(201);
    }
    let far = json!({"name": "x", "payload": 1, "retain_until_on": "9999-12-31"});
    assert_eq!(
        app.post(&app.keys.contributor, "/v1/evidence", &far)
            .await
            .pointers(),
        ["/retain_until_on"]
    );
    app.post(
        &app.keys.contributor,
        "/v1/evidence",
        &json!({"name": "y", "payload": 2, "retain_until_on": "2036-12-31"}),
    )
    .await
    .expect(201);
}

async fn a_manager_changes_how_long_it_is_kept(app: &TestApp) {
    let manager = &app.keys.manager;
    let mut body = piece("kept", 10, json!(1));
    body["retain_until_on"] = json!("2036-01-01");
    let kept = app
        .post(manager, "/v1/evidence", &body)
        .await
        .expect(201)
        .json();
    let path = at("evidence", &kept);
    app.delete(manager, &path, "*")
        .await
        .problem(409, "retained");
    assert!(
        kept["allowed_transitions"]
            .as_array()
            .unwrap()
            .contains(&json!("retain"))
    );
    assert_eq!(
        app.act(
            manager,
            &format!("{path}/retain"),
            &json!({"retain_until_on": "2030-01-01"})
        )
        .await
        .pointers(),
        ["/comment"]
    );
    let far = json!({"retain_until_on": "2100-01-01", "comment": "c"});
    assert_eq!(
        app.act(manager, &format!("{path}/retain"), &far)
            .await
            .pointers(),
        ["/retain_until_on"]
    );
    for key in [
        &app.keys.contributor,
        &app.keys.auditor,
        &app.keys.approver,
        &app.keys.collector,
    ] {
        app.act(key, &format!("{path}/retain"), &json!({"comment": "c"}))
            .await
            .problem(403, "forbidden");
    }
    let shorter = json!({"retain_until_on": "2026-11-20", "comment": "The contract ended."});
    let now = app
        .act(manager, &format!("{path}/retain"), &shorter)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&now["retain_until_on"], &now["status"], &now["version"]),
        (&json!("2026-11-20"), &json!("active"), &json!(2))
    );
    let history = app.get(manager, &format!("{path}/history")).await.data();
    assert_eq!(
        (&history[0]["action"], &history[0]["reason"]),
        (&json!("retain"), &json!("The contract ended."))
    );
    app.delete(manager, &path, "*")
        .await
        .problem(409, "retained");
    app.act(
        manager,
        &format!("{path}/retain"),
        &json!({"comment": "Not needed."}),
    )
    .await
    .expect(200);
    app.delete(manager, &path, "*").await.expect(204);
}

async fn a_new_key_takes_over_from_the_old(app: &TestApp) {
    let nightly = |day: u32, n: u32| {
        json!({"name": "Nightly", "source": "backup",
        "external_id": "nightly", "collected_at": format!("2026-11-{day:02}T03:00:00Z"),
            "payload": n})
    };
    let control = made(
        app,
        "controls",
        "Backup",
        json!({"implementation": "implemented"}),
    )
    .await;
    let (old, new) = (
        key(app, "collector", None, json!({})).await,
        key(app, "collector", None, json!({})).await,
    );
    let mut first = nightly(10, 1);
    first["control_ids"] = json!([control["id"]]);
    let first = app
        .post(&old, "/v1/evidence", &first)
        .await
        .expect(201)
        .json();
    let second = app
        .post(&new, "/v1/evidence", &nightly(11, 2))
        .await
        .expect(201)
        .json();
    assert_eq!(second["control_ids"], json!([control["id"]]));
    assert_eq!(
        app.get(&app.keys.manager, &at("evidence", &first))
            .await
            .json()["superseded_by_id"],
        second["id"]
    );
    // What the old one pushed already is answered, and other content of the same moment refused.
    assert_eq!(
        app.post(&new, "/v1/evidence", &nightly(10, 1))
            .await
            .expect(200)
            .json()["id"],
        first["id"]
    );
    let refused = app
        .post(&new, "/v1/evidence", &nightly(10, 9))
        .await
        .problem(409, "evidence_differs");
    assert_eq!(refused["needed_by"], json!([first["code"]]));
    app.get(&new, &at("evidence", &first))
        .await
        .problem(404, "not_found");
    // A key with that source meets them all; a machine without sources does not touch what people
    // pushed.
    app.post(&app.keys.collector, "/v1/evidence", &nightly(12, 3))
        .await
        .expect(201);
    let official = app
        .post(
            &app.keys.manager,
            "/v1/evidence",
            &piece("official", 10, json!(1)),
        )
        .await
        .expect(201)
        .json();
    let beside = app
        .post(&new, "/v1/evidence", &piece("official", 11, json!(2)))
        .await
        .expect(201)
        .json();
    assert_eq!(beside["superseded_by_id"], Value::Null);
    let untouched = app
        .get(&app.keys.manager, &at("evidence", &official))
        .await
        .json();
    assert_eq!(
        (&untouched["superseded_by_id"], &untouched["version"]),
        (&Value::Null, &json!(1))
    );
    app.post(&new, "/v1/evidence", &piece("official", 10, json!(7)))
        .await
        .expect(201);
    assert_eq!(
        app.post(
            &app.keys.manager,
            "/v1/evidence",
            &piece("official", 10, json!(1))
        )
        .await
        .expect(200)
        .json()["id"],
        official["id"]
    );
}

async fn what_a_key_does_not_see_it_does_not_meet(app: &TestApp) {
    let manager = &app.keys.manager;
    let (here, there) = (
        made(app, "scopes", "Here", json!({"statement": "s"})).await,
        made(app, "scopes", "There", json!({"statement": "s"})).await,
    );
    let limited = key(app, "manager", None, json!({"scope_ids": [here["id"]]})).await;
    let of = |scope: &Value, day: u32, n: u32| {
        let mut body = piece("shared", day, json!(n));
        body["scope_ids"] = json!([scope["id"]]);
        body
    };
    let hidden = app
        .post(manager, "/v1/evidence", &of(&there, 10, 1))
        .await
        .expect(201)
        .json();
    app.post(manager, "/v1/evidence", &of(&there, 15, 1))
        .await
        .expect(201);
    for (day, n) in [(10, 2), (12, 3)] {
        let reply = app
            .post(&limited, "/v1/evidence", &of(&here, day, n))
            .await
            .expect(201);
        let made = reply.json();
        assert_eq!(
            made["superseded_by_id"],
            Value::Null,
            "nothing of the other scope is told"
        );
        assert!(!reply.text().contains(hidden["id"].as_str().unwrap()));
        app.pass(60);
    }
    let mine = app
        .get(&limited, "/v1/evidence?superseded=true")
        .await
        .data();
    assert_eq!(mine.len(), 1, "its own series goes on");
    let metadata = app
        .send(manager, Method::GET, &at("evidence", &hidden), &[], None)
        .await
        .expect(200)
        .json();
    assert_eq!(
        metadata["version"], 2,
        "as the manager's own later piece left it"
    );
}
