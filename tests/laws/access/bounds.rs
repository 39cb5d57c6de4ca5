//! A limited key writes what lies wholly within its limits, before the change and after it, at
//! every door; and what it may not see tells it nothing.
use crate::support::make::{all, creates, id, one, rooms};
use crate::support::{TestApp, quoted};
use isms::records::{By, Limit};
use isms::registers::Register;
use serde_json::{Value, json};

crate::on_both!(
    a_key_of_a_scope_takes_over_nothing,
    a_register_that_does_not_know_a_limit_is_closed,
    a_framework_outside_is_not_there,
    a_key_of_a_control_a_source_a_period_writes_within_it,
    what_was_hidden_stays_hidden_in_the_past,
    the_ledger_has_no_gaps,
    what_is_hidden_is_not_named
);

async fn key(app: &TestApp, role: &str, limits: Value) -> String {
    let body = json!({"name": "limited", "role": role, "expires_at": "2027-01-01T00:00:00Z",
        "limits": limits});
    app.post(&app.keys.admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json()["secret"]
        .as_str()
        .unwrap()
        .to_owned()
}
async fn made(app: &TestApp, path: &str, body: Value) -> Value {
    app.post(&app.keys.manager, &format!("/v1/{path}"), &body)
        .await
        .expect(201)
        .json()
}
fn room(name: &str) -> &'static Register {
    rooms().find(|room| room.kind.name == name).unwrap()
}
async fn scope(app: &TestApp, name: &str) -> Value {
    made(app, "scopes", json!({"name": name, "statement": name})).await
}

/// A record of a register in these scopes, by the manager.
async fn placed(app: &TestApp, room: &Register, scopes: &[&Value]) -> Value {
    let mut body = crate::support::make::body(app, room, "").await;
    body["scope_ids"] = json!(
        scopes
            .iter()
            .map(|scope| scope["id"].clone())
            .collect::<Vec<_>>()
    );
    if creates(room) {
        body["external_ref"] = json!(format!("ref {}", uuid::Uuid::now_v7()));
    }
    app.post(&app.keys.manager, &all(room), &body)
        .await
        .expect(201)
        .json()
}

async fn a_key_of_a_scope_takes_over_nothing(app: &TestApp) {
    let (mine, other) = (scope(app, "Mine").await, scope(app, "Other").await);
    let limited = key(app, "manager", json!({"scope_ids": [mine["id"]]})).await;
    let to_me = json!({"name": "captured", "scope_ids": [mine["id"]]});
    for room in rooms().filter(|room| room.kind.name != "scope") {
        for (scopes, hidden) in [
            (vec![], false),
            (vec![&other], true),
            (vec![&mine, &other], false),
        ] {
            let record = placed(app, room, &scopes).await;
            let (path, batch) = (one(room, &record), format!("{}/batch", all(room)));
            let (status, code) = if hidden {
                (404, "not_found")
            } else {
                (403, "outside_limits")
            };
            app.get(&limited, &path)
                .await
                .expect(if hidden { 404 } else { 200 });
            for body in [
                &to_me,
                &json!({"tags": ["x"]}),
                &json!({"scope_ids": []}),
                &json!({"scope_ids": [mine["code"]]}),
            ] {
                app.patch(&limited, &path, "*", body)
                    .await
                    .problem(status, code);
            }
            app.delete(&limited, &path, "*").await.problem(status, code);
            let link = json!({"relation": "scope_ids", "to": mine["id"]});
            app.act(&limited, &format!("{path}/links"), &link)
                .await
                .problem(status, code);
            for scope in &scopes {
                let link = format!("{path}/links/scope_ids/{}", id(scope));
                app.delete(&limited, &link, "*").await.problem(status, code);
            }
            for transition in room.kind.transitions {
                let reply = app
                    .act(
                        &limited,
                        &format!("{path}/{}", transition.verb),
                        &json!({"comment": "x"}),
                    )
                    .await;
                let refused = (
                    reply.status,
                    reply.json()["code"].as_str().unwrap().to_owned(),
                );
                assert!(
                    refused == (status, code.to_owned())
                        || refused.1 == "forbidden"
                        || !hidden && refused.1 == "segregation_of_duties",
                    "{}: {refused:?}",
                    reply.of
                );
            }
            if creates(room) {
                let update = json!({"id": record["id"], "if_match": "*", "patch": to_me});
                let mut upsert = to_me.clone();
                upsert["external_ref"] = record["external_ref"].clone();
                let items = json!({"items": [update, {"upsert": upsert}]});
                let reply = app.post(&limited, &batch, &items).await;
                let text = reply.text();
                assert_eq!(
                    reply.json()["data"][0]["status"],
                    json!(status),
                    "{}: {text}",
                    reply.of
                );
                assert!(
                    !text.contains("\"status\":200") && !text.contains("\"status\":201"),
                    "{}: {text}",
                    reply.of
                );
            }
            assert_eq!(
                app.get(&app.keys.manager, &path).await.expect(200).json(),
                record,
                "{}: it was changed",
                room.kind.name
            );
            app.delete(&app.keys.manager, &path, "*").await;
            app.act(&limited, &format!("{path}/restore"), &json!({}))
                .await
                .problem(status, code);
        }
        // What lies within is written, and does not leave.
        let record = placed(app, room, &[&mine]).await;
        let path = one(room, &record);
        app.patch(&limited, &path, "*", &json!({"tags": ["x"]}))
            .await
            .expect(200);
        app.patch(&limited, &path, "*", &json!({"scope_ids": []}))
            .await
            .problem(403, "outside_limits");
        app.patch(&limited, &path, "*", &json!({"scope_ids": [other["id"]]}))
            .await
            .pointers();
        app.delete(&limited, &path, "*").await.expect(204);
        app.act(&limited, &format!("{path}/restore"), &json!({}))
            .await
            .expect(200);
        // Nor is anything made outside.
        let mut body = crate::support::make::body(app, room, "").await;
        app.post(&limited, &all(room), &body)
            .await
            .problem(403, "outside_limits");
        body["scope_ids"] = json!([other["id"]]);
        app.post(&limited, &all(room), &body).await.pointers();
    }
    app.post(
        &limited,
        "/v1/scopes",
        &json!({"name": "New", "statement": "x"}),
    )
    .await
    .problem(403, "outside_limits");
    app.patch(
        &limited,
        &format!("/v1/scopes/{}", id(&other)),
        "*",
        &json!({"name": "x"}),
    )
    .await
    .problem(404, "not_found");
    app.patch(
        &limited,
        &format!("/v1/scopes/{}", id(&mine)),
        "*",
        &json!({"tags": ["x"]}),
    )
    .await
    .expect(200);
}

async fn a_register_that_does_not_know_a_limit_is_closed(app: &TestApp) {
    let (control, scope) = (
        made(app, "controls", json!({"name": "Mine"})).await,
        scope(app, "Mine").await,
    );
    for (limit, limits) in [
        (Limit::Scopes, json!({"scope_ids": [scope["id"]]})),
        (
            Limit::Frameworks,
            json!({"framework_slugs": ["nis2-art21"]}),
        ),
        (Limit::Controls, json!({"control_ids": [control["id"]]})),
        (Limit::Sources, json!({"sources": ["elsewhere"]})),
        (Limit::Period, json!({"period_start_on": "2030-01-01"})),
    ] {
        let limited = key(app, "manager", limits).await;
        for room in rooms() {
            let record = crate::support::make::make(app, room).await;
            let path = one(room, &record);
            let meaning = room.kind.meaning(limit);
            if !matches!(meaning, None | Some(By::ReadOnly(_))) {
                continue;
            }
            let body = crate::support::make::body(app, room, "").await;
            app.post(&limited, &all(room), &body)
                .await
                .problem(403, "outside_limits");
            app.patch(&limited, &path, "*", &json!({"tags": ["x"]}))
                .await
                .problem(403, "outside_limits");
            app.delete(&limited, &path, "*")
                .await
                .problem(403, "outside_limits");
            let seen = app.get(&limited, &path).await;
            let listed = app
                .get(
                    &limited,
                    &format!("{}?include=total&archived=any", all(room)),
                )
                .await
                .expect(200)
                .json();
            match meaning {
                None => {
                    seen.problem(404, "not_found");
                    assert_eq!(
                        (&listed["data"], &listed["total"]),
                        (&json!([]), &json!(0)),
                        "{}",
                        room.kind.name
                    );
                    let asked = format!("/v1/events?kind={}", room.kind.name);
                    app.get(&limited, &asked)
                        .await
                        .problem(403, "outside_limits");
                }
                _ => {
                    seen.expect(200);
                    assert_ne!(listed["total"], json!(0), "{}", room.kind.name);
                }
            }
        }
    }
    // Each register has decided about each limit, and says why where it is only read.
    for kind in isms::api::KINDS.all() {
        for (_, by) in kind.limited_by {
            assert!(
                !matches!(by, By::ReadOnly(why) if why.is_empty()),
                "{}",
                kind.name
            );
        }
        let mut limits: Vec<String> = kind
            .limited_by
            .iter()
            .map(|(limit, _)| format!("{limit:?}"))
            .collect();
        limits.dedup();
        assert_eq!(
            limits.len(),
            kind.limited_by.len(),
            "{}: a limit is named twice",
            kind.name
        );
    }
}

async fn a_framework_outside_is_not_there(app: &TestApp) {
    const MINE: &str = "iso-27001-2022:A.5.1";
    const SECRET: &str = "secret-rules";
    let manager = &app.keys.manager;
    made(
        app,
        "frameworks",
        json!({"slug": SECRET, "title": "Unheard-of",
        "requirements": [{"ref": "1", "title": "Unheard-of demand"}]}),
    )
    .await;
    let hidden = format!("{SECRET}:1");
    let limited = key(
        app,
        "manager",
        json!({"framework_slugs": ["iso-27001-2022"]}),
    )
    .await;
    let gap = made(
        app,
        "gap-assessments",
        json!({"name": "Unheard-of gap", "framework": SECRET}),
    )
    .await;
    let both = made(
        app,
        "controls",
        json!({"name": "Both", "requirements": [MINE, hidden]}),
    )
    .await;
    let only = made(
        app,
        "controls",
        json!({"name": "Unheard-of control", "requirements": [hidden]}),
    )
    .await;
    let none = made(app, "controls", json!({"name": "Neither"})).await;
    let path = |record: &Value| format!("/v1/controls/{}", id(record));
    // It is read without the citation, and its history too.
    assert_eq!(
        app.get(&limited, &path(&both)).await.expect(200).json()["requirements"],
        json!([MINE])
    );
    app.get(&limited, &path(&only))
        .await
        .problem(404, "not_found");
    app.get(&limited, &path(&none)).await.expect(200);
    app.patch(&limited, &path(&both), "*", &json!({"name": "x"}))
        .await
        .problem(403, "outside_limits");
    app.patch(
        &limited,
        &path(&none),
        "*",
        &json!({"requirements": [MINE]}),
    )
    .await
    .problem(403, "outside_limits");
    let pointers = app
        .post(
            &limited,
            "/v1/controls",
            &json!({"name": "x", "requirements": [hidden]}),
        )
        .await
        .pointers();
    assert_eq!(pointers, ["/requirements/0"]);
    let mine = app
        .post(
            &limited,
            "/v1/controls",
            &json!({"name": "x", "requirements": [MINE]}),
        )
        .await
        .expect(201)
        .json();
    app.patch(&limited, &path(&mine), "*", &json!({"name": "y"}))
        .await
        .expect(200);
    app.patch(&limited, &path(&mine), "*", &json!({"requirements": []}))
        .await
        .problem(403, "outside_limits");
    let asked = format!("/v1/controls?requirement={}&include=total", quoted(&hidden));
    assert_eq!(
        app.get(&limited, &asked).await.expect(200).json()["total"],
        json!(0)
    );
    assert_eq!(
        app.get(manager, &asked).await.expect(200).json()["total"],
        json!(2)
    );
    // Whatever is about it is not there.
    for rest in [
        "",
        "/answers",
        &format!("/answers/{}", quoted(&hidden)),
        "/history",
    ] {
        app.get(&limited, &format!("/v1/gap-assessments/{}{rest}", id(&gap)))
            .await
            .problem(404, "not_found");
    }
    let body = json!({"name": "x", "framework": SECRET});
    assert_eq!(
        app.post(&limited, "/v1/gap-assessments", &body)
            .await
            .pointers(),
        ["/framework"]
    );
    for slug in [SECRET, "no-such-rules"] {
        let mappings =
            json!({"mappings": [{"source": "1", "target": MINE, "relationship": "equal"}]});
        app.post(
            &limited,
            &format!("/v1/frameworks/{slug}/mappings"),
            &mappings,
        )
        .await
        .problem(404, "not_found");
        app.get(&limited, &format!("/v1/frameworks/{slug}/requirements"))
            .await
            .problem(404, "not_found");
        let import =
            json!({"slug": slug, "title": "x", "requirements": [{"ref": "1", "title": "x"}]});
        app.post(&limited, "/v1/frameworks", &import)
            .await
            .problem(403, "outside_limits");
    }
    let history = format!("{}/history?include=body", path(&both));
    for question in [
        "/v1/events?limit=200",
        "/v1/ledger/entries?limit=200",
        "/v1/controls?include=refs",
        "/v1/controls/export",
        &history,
        "/v1/frameworks",
    ] {
        let text = app.get(&limited, question).await.expect(200).text();
        assert!(
            !text.contains("Unheard-of") && !text.contains(SECRET),
            "{question}: {text}"
        );
        assert!(
            app.get(manager, question).await.text().contains(SECRET)
                || question.contains("ledger")
                || question.contains("events")
        );
    }
}

async fn a_key_of_a_control_a_source_a_period_writes_within_it(app: &TestApp) {
    let (mine, other) = (
        made(app, "controls", json!({"name": "Mine"})).await,
        made(app, "controls", json!({"name": "Other"})).await,
    );
    let of_control = key(app, "manager", json!({"control_ids": [mine["id"]]})).await;
    let push = |more: Value| {
        let mut body = json!({"name": "x", "source": "backup", "external_id": uuid::Uuid::now_v7(),
            "payload": 1});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    app.post(&of_control, "/v1/controls", &json!({"name": "x"}))
        .await
        .problem(403, "outside_limits");
    app.patch(
        &of_control,
        &format!("/v1/controls/{}", id(&mine)),
        "*",
        &json!({"tags": ["x"]}),
    )
    .await
    .expect(200);
    app.patch(
        &of_control,
        &format!("/v1/controls/{}", id(&other)),
        "*",
        &json!({"tags": ["x"]}),
    )
    .await
    .problem(404, "not_found");
    app.post(&of_control, "/v1/evidence", &push(json!({})))
        .await
        .problem(403, "outside_limits");
    assert_eq!(
        app.post(
            &of_control,
            "/v1/evidence",
            &push(json!({"control_ids": [other["id"]]}))
        )
        .await
        .pointers(),
        ["/control_ids/0"]
    );
    app.post(
        &of_control,
        "/v1/evidence",
        &push(json!({"control_ids": [mine["id"]]})),
    )
    .await
    .expect(201);
    let shared = made(
        app,
        "evidence",
        push(json!({"control_ids": [mine["id"], other["id"]]})),
    )
    .await;
    let path = format!("/v1/evidence/{}", id(&shared));
    app.get(&of_control, &path).await.expect(200);
    app.patch(
        &of_control,
        &path,
        "*",
        &json!({"control_ids": [mine["id"]]}),
    )
    .await
    .problem(403, "outside_limits");
    app.act(
        &of_control,
        &format!("{path}/hold"),
        &json!({"comment": "x"}),
    )
    .await
    .problem(403, "outside_limits");
    for (body, fits) in [
        (push(json!({"collected_at": "2020-06-01T12:00:00Z"})), false),
        (push(json!({"collected_at": "2026-06-01T12:00:00Z"})), true),
        (push(json!({})), true),
    ] {
        for role in ["manager", "collector"] {
            let of_period = key(
                app,
                role,
                json!({"period_start_on": "2026-01-01", "period_end_on": "2026-12-31"}),
            )
            .await;
            let reply = app
                .post(&of_period, "/v1/evidence", &push(body.clone()))
                .await;
            assert!(
                if fits {
                    [200, 201].contains(&reply.status)
                } else {
                    reply.status == 403
                },
                "{}",
                reply.text()
            );
        }
    }
    let of_source = key(app, "manager", json!({"sources": ["mine"]})).await;
    let piece = made(app, "evidence", push(json!({"control_ids": [mine["id"]]}))).await;
    app.patch(
        &of_source,
        &format!("/v1/evidence/{}", id(&piece)),
        "*",
        &json!({"name": "y"}),
    )
    .await
    .problem(404, "not_found");
    app.post(&of_source, "/v1/evidence", &push(json!({})))
        .await
        .problem(403, "outside_limits");
}

async fn what_was_hidden_stays_hidden_in_the_past(app: &TestApp) {
    let (mine, other) = (scope(app, "Mine").await, scope(app, "Other").await);
    let limited = key(app, "auditor", json!({"scope_ids": [mine["id"]]})).await;
    for room in rooms().filter(|room| room.kind.name != "scope") {
        let record = placed(app, room, &[&other]).await;
        let path = one(room, &record);
        let secret = json!({"name": "Unheard-of", "tags": ["unheard-of"]});
        app.patch(&app.keys.manager, &path, "*", &secret)
            .await
            .expect(200);
        let seq = crate::support::make::last(app);
        let moved = json!({"name": "Told", "tags": [], "scope_ids": [mine["id"]]});
        app.patch(&app.keys.manager, &path, "*", &moved)
            .await
            .expect(200);
        app.get(&limited, &path).await.expect(200);
        app.get(&limited, &format!("{path}?as_of=seq:{seq}"))
            .await
            .problem(404, "not_found");
        let history = app
            .get(&limited, &format!("{path}/history?include=body"))
            .await
            .expect(200);
        assert!(
            !history.text().to_lowercase().contains("unheard-of"),
            "{}",
            history.text()
        );
        let history = history.json();
        assert_eq!(history["data"].as_array().unwrap().len(), 1, "{history}");
        let asked = format!("/v1/ledger/entries?record_id={}", id(&record));
        let entries = app.get(&limited, &asked).await.expect(200);
        assert!(!entries.text().to_lowercase().contains("unheard-of"));
        assert_eq!(entries.data().len(), 1);
        // Gone again, it is gone with its past.
        app.patch(
            &app.keys.manager,
            &path,
            "*",
            &json!({"scope_ids": [other["id"]]}),
        )
        .await
        .expect(200);
        assert_eq!(app.get(&limited, &asked).await.data().len(), 0);
        app.get(&limited, &format!("{path}/history"))
            .await
            .problem(404, "not_found");
    }
}

async fn the_ledger_has_no_gaps(app: &TestApp) {
    let (mine, other) = (scope(app, "Mine").await, scope(app, "Other").await);
    let mut keys = vec![app.keys.manager.clone()];
    for role in ["auditor", "manager"] {
        keys.push(key(app, role, json!({"scope_ids": [mine["id"]]})).await);
        keys.push(key(app, role, json!({"sources": ["elsewhere"]})).await);
    }
    for n in 0..5 {
        placed(
            app,
            room("asset"),
            &[if n % 2 == 0 { &mine } else { &other }],
        )
        .await;
    }
    let seqs = crate::support::make::seqs(app);
    for key in &keys {
        let (mut after, mut forth) = (-1, Vec::new());
        loop {
            let page = app
                .get(key, &format!("/v1/events?limit=7&after={after}"))
                .await
                .expect(200)
                .json();
            forth.extend(page["data"].as_array().unwrap().clone());
            after = page["last_seq"].as_i64().unwrap();
            if page["has_more"] == json!(false) {
                break;
            }
        }
        let mut back = crate::support::make::walk(app, key, "/v1/ledger/entries", 7).await;
        back.reverse();
        assert_eq!(forth, back);
        assert_eq!(
            forth
                .iter()
                .map(|event| event["seq"].as_i64().unwrap())
                .collect::<Vec<_>>(),
            seqs
        );
        let hidden: Vec<&Value> = forth
            .iter()
            .filter(|event| event["hidden"] == json!(true))
            .collect();
        assert!(!hidden.is_empty());
        for event in &hidden {
            let names: Vec<&str> = event
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(
                (names, event["leaf_hash"].as_str().unwrap().len()),
                (vec!["hidden", "leaf_hash", "seq"], 64)
            );
        }
        // A filter leaves them out, or it would tell of them.
        for filter in ["kind=asset", "action=create", "at_since=2026-01-01"] {
            let asked = app
                .get(key, &format!("/v1/ledger/entries?limit=200&{filter}"))
                .await;
            if asked.status == 403 {
                asked.problem(403, "outside_limits");
                continue;
            }
            assert!(
                asked
                    .data()
                    .iter()
                    .all(|event| event["hidden"] == json!(false)),
                "{filter}"
            );
        }
    }
    app.get(&app.keys.contributor, "/v1/events?kind=user")
        .await
        .problem(403, "forbidden");
}

async fn what_is_hidden_is_not_named(app: &TestApp) {
    let (mine, other) = (scope(app, "Mine").await, scope(app, "Other").await);
    let limited = key(app, "manager", json!({"scope_ids": [mine["id"]]})).await;
    let hardware = |name: &str, scope: &Value, more: Value| {
        let mut body = json!({"name": name, "asset_type": "hardware", "classification": "internal",
            "confidentiality": 1, "scope_ids": [scope["id"]]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let server = made(
        app,
        "assets",
        hardware("Server", &mine, json!({"external_ref": "srv"})),
    )
    .await;
    let path = format!("/v1/assets/{}", id(&server));
    let before = app.get(&limited, &path).await.expect(200).text();
    let hidden =
        json!({"confidentiality": 5, "depends_on_ids": [server["id"]], "external_ref": "hid"});
    let hidden = made(app, "assets", hardware("Hidden", &other, hidden)).await;
    let code = hidden["code"].as_str().unwrap();
    assert_eq!(
        app.get(&limited, &path).await.text(),
        before,
        "what is hidden raises nothing"
    );
    let rated = app.get(&app.keys.manager, &path).await.json();
    assert_eq!(
        rated["effective"]["confidentiality"],
        json!(5),
        "others see what depends on it"
    );
    let impact = app
        .get(&limited, &format!("{path}/impact"))
        .await
        .expect(200)
        .json();
    assert_eq!(impact["dependents"], json!([]));
    let taken = app
        .post(
            &limited,
            "/v1/assets",
            &hardware("x", &mine, json!({"external_ref": "hid"})),
        )
        .await;
    assert!(!taken.text().contains(code), "{}", taken.text());
    taken.problem(409, "conflict");
    let taken = app
        .post(
            &limited,
            "/v1/assets",
            &hardware("x", &mine, json!({"external_ref": "srv"})),
        )
        .await;
    assert!(taken.text().contains(server["code"].as_str().unwrap()));
    let needed = app.delete(&limited, &path, "*").await;
    assert!(!needed.text().contains(code), "{}", needed.text());
    assert_eq!(needed.problem(409, "in_use")["needed_by"], json!([]));
    for name in [code, id(&hidden)] {
        let link = hardware("x", &mine, json!({"depends_on_ids": [name]}));
        assert_eq!(
            app.post(&limited, "/v1/assets", &link).await.pointers(),
            ["/depends_on_ids/0"]
        );
        let asked = format!("/v1/assets?depends_on_id={name}&include=total");
        assert_eq!(
            app.get(&limited, &asked).await.expect(200).json()["total"],
            json!(0),
            "{name}"
        );
    }
    // A filter by a code that is hidden tells nothing of what is linked with it.
    let linked = made(
        app,
        "assets",
        hardware("Linked", &mine, json!({"depends_on_ids": [hidden["id"]]})),
    )
    .await;
    assert_eq!(
        app.get(&limited, &format!("/v1/assets?depends_on_id={code}"))
            .await
            .data(),
        Vec::<Value>::new()
    );
    assert_eq!(
        app.get(
            &app.keys.manager,
            &format!("/v1/assets?depends_on_id={code}")
        )
        .await
        .data()[0]["id"],
        linked["id"]
    );
}
