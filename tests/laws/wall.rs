//! The wall between organizations: what is not one's own is not there, on any path, in any body,
//! list, filter or count.
use crate::support::TestApp;
use crate::support::make::{all, id, last, make, make_as, one, rooms};
use actix_web::http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

crate::on_both!(
    a_foreign_record_is_not_there_on_any_path,
    a_foreign_record_is_in_no_list_count_or_filter,
    a_foreign_id_in_a_body_is_an_unknown_one,
    views_know_nothing_of_others
);

/// Every operation of the document with an id in its path, as a method and a path for a record.
fn with_id() -> Vec<(Method, String)> {
    let document = isms::api::document::document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|_| path.contains("{id}"))
        {
            found.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    found
}

async fn a_foreign_record_is_not_there_on_any_path(app: &TestApp) {
    let (a, b) = (&app.keys.manager, &app.keys.b_manager);
    let mut seen = BTreeSet::new();
    for room in rooms() {
        let record = make(app, room).await;
        let seq = last(app);
        for (method, path) in with_id()
            .into_iter()
            .filter(|(_, path)| path.starts_with(&format!("{}/", all(room))))
        {
            let to = if path.contains("{relation}") {
                app.keys.person.as_str()
            } else {
                "1"
            };
            let path = path
                .replace("{id}", id(&record))
                .replace("{relation}", "scope_ids")
                .replace("{to}", to)
                .replace("{n}", to);
            let path = path.replace("{requirement}", "iso-27001-2022:A.5.1");
            let body = if method == Method::GET || method == Method::DELETE {
                None
            } else {
                Some(json!({}))
            };
            let foreign = app
                .send(
                    b,
                    method.clone(),
                    &path,
                    &[("If-Match", "*")],
                    body.as_ref(),
                )
                .await
                .problem(404, "not_found");
            let none = path.replace(id(&record), &uuid::Uuid::now_v7().to_string());
            let nothing = app
                .send(
                    b,
                    method.clone(),
                    &none,
                    &[("If-Match", "*")],
                    body.as_ref(),
                )
                .await
                .problem(404, "not_found");
            assert_eq!(
                foreign["detail"], nothing["detail"],
                "{method} {path}: a foreign record is told from none"
            );
            seen.insert((method.to_string(), path.clone()));
            if method == Method::GET {
                app.get(b, &format!("{path}?as_of={}", app.now()))
                    .await
                    .problem(404, "not_found");
                if !["/revisions/", "/soa-versions/", "/soa-diff"]
                    .iter()
                    .any(|past| path.contains(past))
                {
                    app.get(a, &path).await.expect(200);
                    app.get(a, &format!("{path}?as_of=seq:{seq}"))
                        .await
                        .expect(200);
                }
            }
        }
        assert_eq!(
            app.get(a, &one(room, &record)).await.expect(200).json(),
            record,
            "B has changed nothing"
        );
        assert_eq!(last(app), seq, "B has entered nothing");
        app.patch(a, &one(room, &record), "*", &json!({"name": "Mine"}))
            .await
            .expect(200);
    }
    assert!(seen.len() > 80, "only {} operations were tried", seen.len());
}

async fn a_foreign_record_is_in_no_list_count_or_filter(app: &TestApp) {
    let (a, b) = (&app.keys.manager, &app.keys.b_manager);
    for room in rooms() {
        let before = app
            .get(b, &format!("{}?include=total,counts&limit=200", all(room)))
            .await
            .expect(200)
            .json();
        let record = make(app, room).await;
        app.patch(
            a,
            &one(room, &record),
            "*",
            &json!({"tags": ["walled"], "external_ref": "walled", "owner_id": app.keys.person}),
        )
        .await
        .expect(200);
        let after = app
            .get(b, &format!("{}?include=total,counts&limit=200", all(room)))
            .await
            .expect(200)
            .json();
        assert_eq!(before, after, "{}", room.kind.path);
        for filter in [
            "tag=walled".to_owned(),
            "external_ref=walled".to_owned(),
            format!("owner_id={}", app.keys.person),
        ] {
            assert_eq!(
                app.get(b, &format!("{}?{filter}", all(room))).await.data(),
                Vec::<Value>::new(),
                "{filter}"
            );
            assert_eq!(
                app.get(a, &format!("{}?{filter}", all(room)))
                    .await
                    .data()
                    .len(),
                1,
                "{filter}"
            );
        }
        let foreign = make_as(app, b, room, "").await;
        let ids: Vec<Value> = app
            .get(b, &format!("{}?limit=200&include=refs", all(room)))
            .await
            .data()
            .into_iter()
            .map(|r| r["id"].clone())
            .collect();
        assert!(ids.contains(&foreign["id"]) && !ids.contains(&record["id"]));
    }
    for key in [a, b] {
        for event in app.get(key, "/v1/events?limit=200&after=60").await.data() {
            let path = rooms()
                .find(|room| room.kind.name == event["kind"])
                .map(|room| format!("{}/{}?archived=any", all(room), id(&event)));
            if let Some(path) = path {
                app.get(key, &path).await.expect(200);
            }
        }
    }
}

async fn a_foreign_id_in_a_body_is_an_unknown_one(app: &TestApp) {
    let (a, b) = (&app.keys.manager, &app.keys.b_manager);
    for room in rooms() {
        let record = make(app, room).await;
        for relation in room.kind.all_relations() {
            let Some(target) =
                rooms().find(|other| other.kind.name == relation.to || relation.to.is_empty())
            else {
                continue;
            };
            let (mine, foreign) = (
                make_as(app, a, target, "target").await,
                make_as(app, b, target, "target").await,
            );
            let value = |id: &Value| {
                if relation.many() {
                    json!([id])
                } else {
                    json!(id)
                }
            };
            let (path, pointer) = (
                one(room, &record),
                format!(
                    "/{}{}",
                    relation.member,
                    if relation.many() { "/0" } else { "" }
                ),
            );
            let refused = app
                .patch(
                    a,
                    &path,
                    "*",
                    &json!({relation.member: value(&foreign["id"])}),
                )
                .await
                .expect(422)
                .json();
            let unknown = json!(uuid::Uuid::now_v7());
            let nothing = app
                .patch(a, &path, "*", &json!({relation.member: value(&unknown)}))
                .await
                .expect(422)
                .json();
            assert_eq!(refused["errors"][0]["pointer"], json!(pointer), "{refused}");
            assert_eq!(
                refused["errors"], nothing["errors"],
                "a foreign id has the words of an unknown one"
            );
            if relation.many() {
                let link = |id: &Value| json!({"relation": relation.member, "to": id});
                assert_eq!(
                    app.act(a, &format!("{path}/links"), &link(&foreign["id"]))
                        .await
                        .pointers(),
                    ["/to"]
                );
                app.act(a, &format!("{path}/links"), &link(&mine["id"]))
                    .await
                    .expect(200);
            }
            let linked = app
                .patch(
                    a,
                    &path,
                    "*",
                    &json!({relation.member: value(&mine["code"])}),
                )
                .await
                .expect(200)
                .json();
            assert_eq!(
                linked[relation.member],
                value(&mine["id"]),
                "a code is taken where an id is"
            );
        }
    }
}

async fn views_know_nothing_of_others(app: &TestApp) {
    let (a, b) = (&app.keys.manager, &app.keys.b_manager);
    let scope = make(app, rooms().find(|room| room.kind.name == "scope").unwrap()).await;
    let views = [
        "/v1/overview",
        "/v1/risk-matrix",
        "/v1/risk-treatment-plan",
        "/v1/risk-trend",
    ];
    let mut before = Vec::new();
    for view in views {
        before.push(app.get(b, view).await.expect(200).text());
    }
    for name in [
        "asset",
        "risk",
        "risk_treatment",
        "control",
        "nonconformity",
        "action",
        "evidence",
    ] {
        make(app, rooms().find(|room| room.kind.name == name).unwrap()).await;
    }
    for (view, before) in views.iter().zip(before) {
        assert_eq!(app.get(b, view).await.expect(200).text(), before, "{view}");
        app.get(b, &format!("{view}?scope_id={}", id(&scope)))
            .await
            .problem(404, "not_found");
        app.get(a, &format!("{view}?scope_id={}", id(&scope)))
            .await
            .expect(200);
    }
    let foreign = app
        .get(b, &format!("/v1/ledger/entries?record_id={}", id(&scope)))
        .await
        .data();
    assert_eq!(
        (
            foreign,
            app.get(a, &format!("/v1/ledger/entries?record_id={}", id(&scope)))
                .await
                .data()
                .len()
        ),
        (vec![], 1)
    );
    let key = json!({"name": "x", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z",
        "limits": {"scope_ids": [scope["id"]]}});
    assert_eq!(
        app.post(&app.keys.b_admin, "/v1/api-keys", &key)
            .await
            .pointers(),
        ["/limits/scope_ids/0"]
    );
    app.post(&app.keys.admin, "/v1/api-keys", &key)
        .await
        .expect(201);
}
