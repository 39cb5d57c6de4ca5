//! The past: what was captured then is answered again, byte by byte, whatever has happened since.
use crate::support::TestApp;
use crate::support::make::{all, id, last, make, make_named, one, rooms, tenant};
use diesel::prelude::*;
use isms::core::Instant;
use isms::db::schema::ledger_entries as e;
use serde_json::{Value, json};

crate::on_both!(
    what_was_captured_is_answered_again_byte_by_byte,
    each_version_is_found_at_its_own_moment,
    the_future_is_refused_and_before_the_first_entry_is_nothing,
    a_day_ends_where_the_organization_is,
    history_tells_every_version
);

/// Asks a question as of a position.
fn pinned(question: &str, seq: i64) -> String {
    format!(
        "{question}{}as_of=seq:{seq}",
        if question.contains('?') { '&' } else { '?' }
    )
}

/// `RSK` of `RSK-1`.
fn prefix_of(record: &Value) -> &str {
    record["code"].as_str().unwrap().split('-').next().unwrap()
}

/// An organization with something of everything, all of it linked.
async fn populated(app: &TestApp) -> Vec<Value> {
    let (key, mut made) = (&app.keys.manager, Vec::new());
    for room in rooms() {
        for mark in ["first", "second", "third"] {
            app.pass(60);
            made.push(make_named(app, room, &format!("{mark} {}", room.kind.name)).await);
        }
    }
    let of = |path: &str, n: usize| {
        made.iter()
            .filter(|record| prefix_of(record) == path)
            .nth(n)
            .unwrap()["id"]
            .clone()
    };
    let patch = async |path: &str, record: Value, body: Value| {
        app.patch(
            key,
            &format!("/v1/{path}/{}", record.as_str().unwrap()),
            "*",
            &body,
        )
        .await
        .expect(200)
    };
    patch(
        "assets",
        of("AST", 0),
        json!({"depends_on_ids": [of("AST", 1)], "scope_ids": [of("SCO", 0)], "tags": ["x"]}),
    )
    .await;
    patch(
        "risks",
        of("RSK", 0),
        json!({"asset_ids": [of("AST", 0)],
        "existing_control_ids": [of("CTL", 0)], "scope_ids": [of("SCO", 0)]}),
    )
    .await;
    patch(
        "evidence",
        of("EVD", 0),
        json!({"control_ids": [of("CTL", 0), of("CTL", 1)]}),
    )
    .await;
    patch(
        "actions",
        of("ACT", 0),
        json!({"origin_id": of("NCR", 0), "owner_id": app.keys.person, "due_on": "2026-11-21"}),
    )
    .await;
    for (n, (likelihood, impact)) in [(4, 5), (1, 2)].into_iter().enumerate() {
        let score = json!({"stage": "current", "likelihood": likelihood, "impact": impact,
            "rationale": "seen"});
        app.post(
            key,
            &format!("/v1/risks/{}/assessments", of("RSK", n).as_str().unwrap()),
            &score,
        )
        .await
        .expect(201);
    }
    let own = json!({"slug": "own", "title": "Own", "requirements": [{"ref": "1", "title": "One"},
        {"ref": "2", "title": "Two"}],
        "mappings": [{"source": "1", "target": "iso-27001-2022:A.5.18", "relationship": "equal"}]});
    app.post(key, "/v1/frameworks", &own).await.expect(201);
    let path = format!(
        "/v1/gap-assessments/{}/answers/iso-27001-2022:A.5.1",
        of("GAP", 0).as_str().unwrap()
    );
    app.send(
        key,
        actix_web::http::Method::PUT,
        &path,
        &[("If-Match", "*")],
        Some(&json!({"state": "not_met"})),
    )
    .await
    .expect(200);
    let exclusion = json!({"applicable": false, "justification": "No premises."});
    let path = format!(
        "/v1/scopes/{}/applicability/iso-27001-2022:A.7.4",
        of("SCO", 0).as_str().unwrap()
    );
    app.send(
        key,
        actix_web::http::Method::PUT,
        &path,
        &[("If-Match", "*")],
        Some(&exclusion),
    )
    .await
    .expect(200);
    made
}

fn questions(made: &[Value]) -> Vec<String> {
    let scope = id(made
        .iter()
        .find(|record| record["code"] == "SCO-1")
        .unwrap());
    let risk = id(made
        .iter()
        .find(|record| record["code"].as_str().unwrap().starts_with("RSK"))
        .unwrap());
    let gap = id(made
        .iter()
        .find(|record| record["code"] == "GAP-1")
        .unwrap());
    let asset = id(made
        .iter()
        .find(|record| record["code"].as_str().unwrap().starts_with("AST"))
        .unwrap());
    let mut all_of_them: Vec<String> = vec![
        "/v1/risk-matrix".into(),
        "/v1/risk-matrix?format=svg".into(),
        format!("/v1/risk-matrix?stage=inherent&scope_id={scope}"),
        format!("/v1/scopes/{scope}/statement-of-applicability"),
        format!("/v1/scopes/{scope}/statement-of-applicability?format=csv"),
        format!("/v1/scopes/{scope}/applicability"),
        format!("/v1/scopes/{scope}/applicability/iso-27001-2022:A.7.4"),
        format!("/v1/scopes/{scope}/revisions"),
        "/v1/risk-treatment-plan".into(),
        format!("/v1/risk-treatment-plan?scope_id={scope}&format=csv"),
        "/v1/risk-trend?from=2026-11-01&step=day".into(),
        format!("/v1/risk-trend?stage=inherent&scope_id={scope}"),
        "/v1/risks?evaluation=treatment_needed".into(),
        "/v1/risks?treatment_none=false".into(),
        "/v1/overview".into(),
        format!("/v1/overview?scope_id={scope}"),
        format!("/v1/risks/{risk}/assessments"),
        format!("/v1/assets/{asset}/impact"),
        "/v1/frameworks".into(),
        "/v1/frameworks/own/requirements".into(),
        "/v1/frameworks/own/mappings".into(),
        "/v1/frameworks/own/revisions".into(),
        "/v1/frameworks/own/coverage".into(),
        "/v1/frameworks/iso-27001-2022/coverage".into(),
        format!("/v1/frameworks/nist-csf-2.0/coverage?format=csv&scope_id={scope}"),
        format!("/v1/gap-assessments/{gap}/answers"),
        format!("/v1/gap-assessments/{gap}/answers/iso-27001-2022:A.5.1"),
        format!("/v1/gap-assessments/{gap}/progress"),
        "/v1/organization".into(),
        "/v1/ledger/entries".into(),
    ];
    for room in rooms() {
        for query in [
            "",
            "?sort=name&include=total,refs,counts",
            "?sort=-rank&limit=2",
            "?q=first",
            "?owner_id=me",
            "?overdue=true",
            "?archived=any&sort=code",
            "?tag=x",
            "?scope_none=true",
        ] {
            all_of_them.push(format!("{}{query}", all(room)));
        }
    }
    for record in made {
        let room = rooms()
            .find(|room| prefix_of(record) == room.kind.code)
            .unwrap();
        all_of_them.push(one(room, record));
        all_of_them.push(format!("{}/history?include=body", one(room, record)));
    }
    all_of_them
}

/// Renames, scores anew, links anew, archives, approves a new methodology: everything changes.
async fn everything_changes(app: &TestApp, admin: &str, made: &[Value]) {
    let key = &app.keys.manager;
    app.patch(
        admin,
        "/v1/organization",
        "*",
        &json!({"name": "Another name", "evidence_default_valid_days": 1}),
    )
    .await
    .expect(200);
    let of = |prefix: &str, n: usize| {
        made.iter()
            .filter(|record| prefix_of(record) == prefix)
            .nth(n)
            .unwrap()
    };
    let methodology = &app
        .get(key, "/v1/risk-methodologies/MET-1")
        .await
        .expect(200)
        .json();
    let method = format!("/v1/risk-methodologies/{}", id(methodology));
    app.act(key, &format!("{method}/revise"), &json!({}))
        .await
        .expect(200);
    let mut matrix = methodology["matrix"].clone();
    matrix[0][4] = json!("high");
    app.patch(key, &method, "*", &json!({"matrix": matrix}))
        .await
        .expect(200);
    app.act(key, &format!("{method}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&app.keys.approver, &format!("{method}/approve"), &json!({}))
        .await
        .expect(200);
    let score = json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "better"});
    app.post(
        key,
        &format!("/v1/risks/{}/assessments", id(of("RSK", 0))),
        &score,
    )
    .await
    .expect(201);
    let path = format!(
        "/v1/scopes/{}/applicability/iso-27001-2022:A.7.4",
        id(of("SCO", 0))
    );
    app.send(
        key,
        actix_web::http::Method::PUT,
        &path,
        &[("If-Match", "*")],
        Some(&json!({"applicable": true})),
    )
    .await
    .expect(200);
    let next = json!({"slug": "own", "title": "Own, again", "requirements": [{"ref": "2",
        "title": "Another two"}]});
    app.post(key, "/v1/frameworks", &next).await.expect(201);
    let path = format!(
        "/v1/gap-assessments/{}/answers/iso-27001-2022:A.5.1",
        id(of("GAP", 0))
    );
    app.send(
        key,
        actix_web::http::Method::PUT,
        &path,
        &[("If-Match", "*")],
        Some(&json!({"state": "met"})),
    )
    .await
    .expect(200);
    app.patch(
        key,
        &format!("/v1/assets/{}", id(of("AST", 0))),
        "*",
        &json!({"depends_on_ids": [], "scope_ids": [], "confidentiality": 1}),
    )
    .await
    .expect(200);
    app.patch(
        key,
        &format!("/v1/controls/{}", id(of("CTL", 0))),
        "*",
        &json!({"implementation": "planned", "implemented_on": null, "requirements": []}),
    )
    .await
    .expect(200);
    app.patch(
        key,
        &format!("/v1/evidence/{}", id(of("EVD", 0))),
        "*",
        &json!({"control_ids": []}),
    )
    .await
    .expect(200);
    for room in rooms() {
        let records: Vec<&Value> = made
            .iter()
            .filter(|record| prefix_of(record) == room.kind.code)
            .collect();
        app.patch(
            key,
            &one(room, records[1]),
            "*",
            &json!({"name": "Renamed", "tags": ["later"], "owner_id": app.keys.contributor_person}),
        )
        .await
        .expect(200);
        app.delete(key, &one(room, records[2]), "*")
            .await
            .expect(204);
        make_named(app, room, "newcomer").await;
    }
}

async fn what_was_captured_is_answered_again_byte_by_byte(app: &TestApp) {
    let made = populated(app).await;
    let (questions, key) = (questions(&made), &app.keys.manager);
    app.pass(1);
    let (seq, moment) = (last(app), app.now());
    let mut captured = Vec::new();
    for question in &questions {
        captured.push(app.get(key, question).await.expect(200).text());
    }
    app.pass_days(3);
    let login = json!({"email": "manager@a.example", "password": crate::support::PASSWORD});
    let tokens = app
        .post("", "/v1/auth/login", &login)
        .await
        .expect(200)
        .json();
    everything_changes(app, tokens["access_token"].as_str().unwrap(), &made).await;
    let mut different = 0;
    for (question, before) in questions.iter().zip(&captured) {
        let join = if question.contains('?') { '&' } else { '?' };
        assert_eq!(
            app.get(key, &pinned(question, seq))
                .await
                .expect(200)
                .text(),
            *before,
            "{question} as of the position"
        );
        assert_eq!(
            app.get(key, &format!("{question}{join}as_of={moment}"))
                .await
                .expect(200)
                .text(),
            *before,
            "{question} as of the moment"
        );
        different += usize::from(app.get(key, question).await.text() != *before);
    }
    assert!(
        different > questions.len() / 2,
        "only {different} of {} answers have changed since",
        questions.len()
    );
}

async fn each_version_is_found_at_its_own_moment(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let path = one(room, &record);
        let mut versions = vec![app.get(key, &path).await.expect(200)];
        for n in 0..4 {
            app.pass(i64::from(n % 2 == 0)); // some share their millisecond on the clock
            versions.push(
                app.patch(key, &path, "*", &json!({"tags": [format!("{n}")]}))
                    .await
                    .expect(200),
            );
        }
        app.delete(key, &path, "*").await.expect(204);
        app.act(key, &format!("{path}/restore"), &json!({}))
            .await
            .expect(200);
        app.pass(10);
        for version in versions {
            let (then, text) = (
                version.json()["updated_at"].as_str().unwrap().to_owned(),
                version.text(),
            );
            let found = app
                .get(key, &format!("{path}?as_of={then}"))
                .await
                .expect(200);
            assert_eq!(
                found.json()["version"],
                version.json()["version"],
                "{path} as of {then}"
            );
            assert_eq!(found.text(), text, "{path} as of {then}");
            let offset: chrono::DateTime<chrono::FixedOffset> = then.parse().unwrap();
            let elsewhere = offset
                .with_timezone(&chrono::FixedOffset::east_opt(7200).unwrap())
                .to_rfc3339();
            assert_eq!(
                app.get(
                    key,
                    &format!("{path}?as_of={}", crate::support::quoted(&elsewhere))
                )
                .await
                .expect(200)
                .text(),
                text
            );
        }
        let gone = app
            .get(key, &format!("{path}/history?limit=2"))
            .await
            .data();
        app.get(key, &format!("{path}?as_of=seq:{}", gone[1]["seq"]))
            .await
            .problem(404, "not_found");
        app.get(
            key,
            &format!("{path}?as_of=seq:{}&archived=any", gone[1]["seq"]),
        )
        .await
        .expect(200);
    }
}

async fn the_future_is_refused_and_before_the_first_entry_is_nothing(app: &TestApp) {
    let key = &app.keys.manager;
    let scope = make(app, rooms().find(|room| room.kind.name == "scope").unwrap()).await;
    for room in rooms() {
        let record = make(app, room).await;
        let (path, list) = (one(room, &record), all(room));
        for future in [
            format!("seq:{}", last(app) + 1),
            "2026-11-20T09:01:00Z".into(),
            "2026-11-21".into(),
            "9999-12-31".into(),
            "9999-12-31T23:59:59Z".into(),
        ] {
            for question in [&path, &list, &format!("{path}/history")] {
                app.get(key, &format!("{question}?as_of={future}"))
                    .await
                    .problem(400, "invalid_parameter");
            }
        }
        for before in [
            "2026-11-19",
            "2020-01-01T00:00:00Z",
            "0001-01-01",
            "1969-12-31T23:59:59.999Z",
        ] {
            assert_eq!(
                app.get(key, &format!("{list}?as_of={before}")).await.data(),
                Vec::<Value>::new()
            );
            app.get(key, &format!("{path}?as_of={before}"))
                .await
                .problem(404, "not_found");
            app.get(key, &format!("{path}/history?as_of={before}"))
                .await
                .problem(404, "not_found");
        }
        assert_eq!(
            app.get(key, &format!("{list}?as_of=seq:0")).await.data(),
            Vec::<Value>::new(),
            "the first entry is the organization's"
        );
        let day = app
            .get(key, &format!("{path}?as_of={}", &app.now()[..10]))
            .await
            .expect(200);
        assert_eq!(day.json(), app.get(key, &path).await.json(), "today so far");
    }
    let soa = format!("/v1/scopes/{}/statement-of-applicability", id(&scope));
    for view in [
        "/v1/overview",
        "/v1/risk-matrix",
        "/v1/risk-treatment-plan",
        "/v1/risk-trend",
        soa.as_str(),
        "/v1/organization",
        "/v1/ledger/entries",
    ] {
        app.get(key, &format!("{view}?as_of=2026-11-21"))
            .await
            .problem(400, "invalid_parameter");
        for before in ["2026-11-19", "seq:0"] {
            let reply = app.get(key, &format!("{view}?as_of={before}")).await;
            assert!(
                [200, 404].contains(&reply.status),
                "{}: {} {}",
                reply.of,
                reply.status,
                reply.text()
            );
        }
    }
}

async fn a_day_ends_where_the_organization_is(app: &TestApp) {
    let key = &app.keys.manager;
    app.patch(
        &app.keys.admin,
        "/v1/organization",
        "*",
        &json!({"time_zone": "Pacific/Auckland"}),
    )
    .await
    .expect(200);
    let room = rooms().find(|room| room.kind.name == "asset").unwrap();
    let record = make(app, room).await; // 22:00 there
    app.pass(3 * 3600); // 01:00 of the 21st there, 12:00 of the 20th in UTC
    app.patch(key, &one(room, &record), "*", &json!({"name": "Tomorrow"}))
        .await
        .expect(200);
    let name = async |day: &str| {
        app.get(key, &format!("{}?as_of={day}", one(room, &record)))
            .await
            .expect(200)
            .json()["name"]
            .clone()
    };
    assert_eq!(
        (name("2026-11-20").await, name("2026-11-21").await),
        (record["name"].clone(), json!("Tomorrow"))
    );
    app.get(key, &format!("{}?as_of=2026-11-22", one(room, &record)))
        .await
        .problem(400, "invalid_parameter");
}

async fn history_tells_every_version(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let path = one(room, &record);
        let reason = [("If-Match", "*"), ("Change-Reason", "a%20reason")];
        app.send(
            key,
            actix_web::http::Method::PATCH,
            &path,
            &reason,
            Some(&json!({"name": "Second", "tags": ["t"]})),
        )
        .await
        .expect(200);
        app.patch(key, &path, "*", &json!({"tags": []}))
            .await
            .expect(200);
        let history = app
            .get(key, &format!("{path}/history?include=body"))
            .await
            .data();
        let said: Vec<(i64, &str, Option<&str>)> = history
            .iter()
            .map(|h| {
                (
                    h["version"].as_i64().unwrap(),
                    h["action"].as_str().unwrap(),
                    h["reason"].as_str(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                (3, "update", None),
                (2, "update", Some("a reason")),
                (1, "create", None)
            ]
        );
        assert_eq!(
            history[1]["changes"],
            json!([{"pointer": "/name", "from": record["name"], "to": "Second"},
                {"pointer": "/tags", "from": [], "to": ["t"]}])
        );
        assert_eq!(history[1]["actor"], record["created_by"]);
        for entry in &history {
            let kept: Instant = e::table
                .find((tenant(app), entry["seq"].as_i64().unwrap()))
                .select(e::at)
                .get_result(&mut app.conn())
                .unwrap();
            assert_eq!(
                (&entry["at"], &entry["body"]["updated_at"]),
                (&json!(kept), &json!(kept))
            );
            assert_eq!(entry["body"]["version"], entry["version"]);
        }
        let first = app
            .get(key, &format!("{path}/history?limit=1"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&first["has_more"], &first["data"][0]["body"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(
            first["data"][0]["changes"], history[0]["changes"],
            "a page knows the version before its last"
        );
        let rest = app
            .get(
                key,
                &format!("{path}/history?before_seq={}", first["data"][0]["seq"]),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            (rest["data"].as_array().unwrap().len(), &rest["has_more"]),
            (2, &json!(false))
        );
        app.get(key, &format!("{path}/history?include=all"))
            .await
            .problem(400, "invalid_parameter");
        app.get(&app.keys.b_manager, &format!("{path}/history"))
            .await
            .problem(404, "not_found");
    }
}
