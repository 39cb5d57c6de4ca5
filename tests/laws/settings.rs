//! What is kept like a register's record and has a place of its own: the organization, accounts and
//! keys, own frameworks, decisions, frozen statements, answers of gap assessments. The laws of
//! records, of the ledger and of the past hold for them, too.
use crate::support::make::{id, last, tenant};
use crate::support::{Reply, TestApp};
use actix_web::http::Method;
use diesel::prelude::*;
use isms::core::Id;
use isms::db::schema::ledger_entries as e;
use isms::registers::REGISTERS;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

crate::on_both!(
    a_change_of_a_setting_is_one_entry_and_the_past_stays,
    every_kind_is_under_these_laws_or_those_of_registers
);

/// A change of something that has a place of its own.
struct Change {
    kind: &'static str,
    /// Where it is read.
    read: String,
    method: Method,
    path: String,
    key: String,
    body: Value,
    /// A body that is refused.
    wrong: Option<Value>,
    /// Does it need a version?
    matched: bool,
    /// Does the same once more change nothing?
    idle: bool,
}

async fn changes(app: &TestApp) -> Vec<Change> {
    let (admin, manager) = (app.keys.admin.clone(), app.keys.manager.clone());
    let scope = app
        .post(
            &manager,
            "/v1/scopes",
            &json!({"name": "Shop", "statement": "Shop"}),
        )
        .await
        .expect(201)
        .json();
    let gap = app
        .post(
            &manager,
            "/v1/gap-assessments",
            &json!({"name": "Gaps", "framework": "nis2-art21"}),
        )
        .await
        .expect(201)
        .json();
    let own = |title: &str| {
        json!({"slug": "own", "title": title, "requirements": [{"ref": "1",
        "title": "One"}]})
    };
    app.post(&manager, "/v1/frameworks", &own("Own"))
        .await
        .expect(201);
    let (scope, gap) = (
        format!("/v1/scopes/{}", id(&scope)),
        format!("/v1/gap-assessments/{}", id(&gap)),
    );
    let said = json!({"comment": "Not all is decided.", "allow_incomplete": true});
    app.post(&manager, &format!("{scope}/soa-versions"), &said)
        .await
        .expect(201);
    let keys = app.get(&admin, "/v1/api-keys?limit=1").await.data();
    let (decision, answer) = (
        format!("{scope}/applicability/iso-27001-2022:A.5.1"),
        format!("{gap}/answers/nis2-art21:21(2)(a)"),
    );
    let (user, key) = (
        format!("/v1/users/{}", app.keys.user),
        format!("/v1/api-keys/{}", id(&keys[0])),
    );
    let patch = |kind, path: &str, body: Value, wrong: Value| Change {
        kind,
        read: path.to_owned(),
        method: Method::PATCH,
        path: path.to_owned(),
        key: admin.clone(),
        body,
        wrong: Some(wrong),
        matched: true,
        idle: true,
    };
    let put = |kind, path: &str, body: Value, wrong: Value| Change {
        method: Method::PUT,
        key: manager.clone(),
        ..patch(kind, path, body, wrong)
    };
    vec![
        patch(
            "organization",
            "/v1/organization",
            json!({"name": "Another name"}),
            json!({"name": ""}),
        ),
        patch("user", &user, json!({"tags": ["x"]}), json!({"tags": 3})),
        patch("api_key", &key, json!({"tags": ["x"]}), json!({"tags": 3})),
        put(
            "applicability",
            &decision,
            json!({"applicable": false, "justification": "No."}),
            json!({"applicable": false}),
        ),
        put(
            "gap_answer",
            &answer,
            json!({"state": "met"}),
            json!({"state": "great"}),
        ),
        Change {
            method: Method::POST,
            path: "/v1/frameworks".into(),
            matched: false,
            ..put(
                "framework",
                "/v1/frameworks/own",
                own("Another title"),
                json!({"slug": "own", "title": "", "requirements": []}),
            )
        },
        Change {
            method: Method::POST,
            path: format!("{scope}/soa-versions/1/withdraw"),
            idle: false,
            ..put(
                "soa_version",
                &format!("{scope}/soa-versions/1"),
                json!({"comment": "Too early."}),
                json!({}),
            )
        },
    ]
}

type Entry = (i64, String, String, Id, i32, String, Option<String>);
fn entries(app: &TestApp, after: i64) -> Vec<Entry> {
    let rows = e::table
        .filter(e::tenant_id.eq(tenant(app)).and(e::seq.gt(after)))
        .order(e::seq);
    let columns = (
        e::seq,
        e::kind,
        e::action,
        e::record_id,
        e::record_version,
        e::body,
        e::personal,
    );
    rows.select(columns).load(&mut app.conn()).unwrap()
}
async fn send(app: &TestApp, change: &Change, tag: Option<&str>, body: &Value) -> Reply {
    let headers: Vec<(&str, &str)> = tag.map(|tag| ("If-Match", tag)).into_iter().collect();
    app.send(
        &change.key,
        change.method.clone(),
        &change.path,
        &headers,
        Some(body),
    )
    .await
}

async fn a_change_of_a_setting_is_one_entry_and_the_past_stays(app: &TestApp) {
    for change in changes(app).await {
        let (kind, began) = (change.kind, last(app));
        let before = app.get(&change.key, &change.read).await.expect(200);
        let (tag, before) = (before.header("etag"), before.json());
        // What is refused leaves no entry.
        if change.matched {
            send(app, &change, None, &change.body)
                .await
                .problem(428, "version_required");
            send(app, &change, Some("\"99\""), &change.body)
                .await
                .problem(412, "version_mismatch");
        }
        let current = tag.as_deref().filter(|_| change.matched);
        if let Some(wrong) = &change.wrong {
            send(app, &change, current, wrong)
                .await
                .problem(422, "validation_failed");
        }
        let by_auditor = Change {
            key: app.keys.auditor.clone(),
            read: String::new(),
            path: change.path.clone(),
            method: change.method.clone(),
            body: json!({}),
            wrong: None,
            ..change
        };
        send(app, &by_auditor, current, &change.body)
            .await
            .problem(403, "forbidden");
        assert_eq!(
            last(app),
            began,
            "{kind}: a refused change is in the ledger"
        );
        // What is taken is one entry, and its image is what is answered.
        let done = send(app, &change, current, &change.body).await;
        assert!(
            [200, 201].contains(&done.status),
            "{kind}: {} {}",
            done.status,
            done.text()
        );
        let rows = entries(app, began);
        let [(seq, of, action, record, version, body, personal)] = rows.as_slice() else {
            panic!("{kind}: {} entries for one change", rows.len())
        };
        assert_eq!(of, kind);
        assert!(
            ["create", "update", "withdraw", "import"].contains(&action.as_str()),
            "{kind}: {action}"
        );
        let after = app.get(&change.key, &change.read).await.expect(200);
        assert_eq!(
            after.header("ledger-position"),
            Some(last(app).to_string()),
            "{kind}"
        );
        let after = after.json();
        assert_ne!(after, before, "{kind}");
        let mut image: Map<String, Value> = serde_json::from_str(body).unwrap();
        image.extend(
            personal
                .iter()
                .flat_map(|text| serde_json::from_str::<Map<String, Value>>(text).unwrap()),
        );
        let plain = |value: &&Value| !value.is_object() && !value.is_array();
        let same: BTreeSet<&String> = image
            .iter()
            .filter(|(name, value)| plain(value) && after.get(name.as_str()) == Some(value))
            .map(|(name, _)| name)
            .collect();
        let differs: Vec<&String> = image
            .iter()
            .filter(|(name, value)| {
                plain(value)
                    && after
                        .get(name.as_str())
                        .is_some_and(|shown| shown != *value)
            })
            .map(|(name, _)| name)
            .collect();
        assert!(
            differs.is_empty(),
            "{kind}: the image and the answer differ in {differs:?}"
        );
        assert!(
            same.len() >= 2,
            "{kind}: only {same:?} of {image:?} is answered"
        );
        assert_eq!(
            (&image["id"], &image["version"]),
            (&json!(record), &json!(version))
        );
        let listed = app
            .get(
                &app.keys.admin,
                &format!(
                    "/v1/ledger/entries?record_id={}",
                    image["code"].as_str().unwrap()
                ),
            )
            .await;
        if isms::access::allows(&[isms::access::Role::Admin], kind, "read") {
            assert_eq!(listed.data()[0]["seq"], json!(seq), "{kind}");
        }
        // The past stays.
        assert_eq!(
            app.get(&change.key, &format!("{}?as_of=seq:{began}", change.read))
                .await
                .expect(200)
                .json(),
            before,
            "{kind}"
        );
        assert_eq!(
            app.get(&change.key, &format!("{}?as_of=seq:{seq}", change.read))
                .await
                .expect(200)
                .json(),
            after,
            "{kind}"
        );
        // The same once more changes nothing.
        if change.idle {
            let again = send(app, &change, change.matched.then_some("*"), &change.body).await;
            assert!(
                [200, 201].contains(&again.status),
                "{kind}: {}",
                again.text()
            );
            assert_eq!(
                last(app),
                *seq,
                "{kind}: what changes nothing is in the ledger"
            );
        }
        if kind != "organization" {
            let other = app.get(&app.keys.b_manager, &change.read).await.status;
            assert!([403, 404].contains(&other), "{kind}: {other}");
        }
    }
}

async fn every_kind_is_under_these_laws_or_those_of_registers(app: &TestApp) {
    let mine: BTreeSet<&str> = changes(app)
        .await
        .iter()
        .map(|change| change.kind)
        .collect();
    let all = REGISTERS
        .iter()
        .filter(|room| room.operations.is_none())
        .map(|room| room.kind.name)
        .chain(["user", "api_key"]);
    assert_eq!(all.collect::<BTreeSet<_>>(), mine);
}
