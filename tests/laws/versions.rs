//! Versions on the wire: entity tags, conditions, and answers that need not be sent again.
use crate::support::TestApp;
use crate::support::make::{all, id, make, one, rooms};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    an_unchanged_record_is_304,
    a_change_needs_the_version_that_was_read,
    every_operation_that_documents_if_match_needs_it,
    an_unchanged_list_is_304,
    views_are_304_until_something_changes,
    the_clock_alone_changes_the_tag_of_a_list
);

async fn an_unchanged_record_is_304(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let made = app
            .post(
                key,
                &all(room),
                &crate::support::make::body(app, room, "").await,
            )
            .await
            .expect(201);
        let (tag, record) = (made.etag(), made.json());
        let path = one(room, &record);
        assert_eq!(made.header("location").as_deref(), Some(path.as_str()));
        assert!(tag == "\"1\"" || tag.starts_with("\"1."), "{tag}");
        let found = app.get(key, &path).await.expect(200);
        assert_eq!((found.etag(), found.json()), (tag.clone(), record.clone()));
        assert_eq!(
            found.header("cache-control").as_deref(),
            Some("private, no-cache")
        );
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"0\", {tag}"),
            "*".to_owned(),
        ] {
            let same = app
                .get_with(key, &path, &[("If-None-Match", &known)])
                .await
                .expect(304);
            assert_eq!((same.etag(), same.bytes.len()), (tag.clone(), 0), "{known}");
        }
        app.get_with(key, &path, &[("If-None-Match", "\"0\"")])
            .await
            .expect(200);
        let next = app
            .patch(key, &path, &tag, &json!({"tags": ["x"]}))
            .await
            .expect(200);
        assert_ne!(next.etag(), tag);
        let changed = app
            .get_with(key, &path, &[("If-None-Match", &tag)])
            .await
            .expect(200);
        assert_eq!((changed.etag(), changed.json()), (next.etag(), next.json()));
        let head = app
            .send(key, Method::HEAD, &path, &[], None)
            .await
            .expect(200);
        assert_eq!(head.etag(), next.etag());
    }
}

async fn a_change_needs_the_version_that_was_read(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let path = one(room, &record);
        app.send(
            key,
            Method::PATCH,
            &path,
            &[],
            Some(&json!({"tags": ["x"]})),
        )
        .await
        .problem(428, "version_required");
        for stale in [
            "\"2\"", "\"0\"", "\"11\"", "\"\"", "\"1a\"", "\"*\"", "\"2,1\"", "W/\"1\"",
        ] {
            app.patch(key, &path, stale, &json!({"tags": ["x"]}))
                .await
                .problem(412, "version_mismatch");
        }
        for malformed in ["1", "1a", "\"1", "*, \"1\"", "\"1\" \"1\"", "W/1"] {
            let refused = app
                .patch(key, &path, malformed, &json!({"tags": ["x"]}))
                .await
                .problem(400, "invalid_parameter");
            assert_eq!(
                (
                    &refused["errors"][0]["location"],
                    &refused["errors"][0]["pointer"]
                ),
                (&json!("header"), &json!("If-Match"))
            );
        }
        assert_eq!(
            app.patch(key, &path, "\"1\"", &json!({"tags": ["1"]}))
                .await
                .expect(200)
                .json()["version"],
            2
        );
        assert_eq!(
            app.patch(key, &path, "\"9\", \"2\"", &json!({"tags": ["2"]}))
                .await
                .expect(200)
                .json()["version"],
            3
        );
        assert_eq!(
            app.patch(key, &path, "\"3.00000000\"", &json!({"tags": ["3"]}))
                .await
                .expect(200)
                .json()["version"],
            4
        );
        assert_eq!(
            app.patch(key, &path, "*", &json!({"tags": ["4"]}))
                .await
                .expect(200)
                .json()["version"],
            5
        );
        let tag = app.get(key, &path).await.expect(200).etag();
        app.delete(key, &path, &tag).await.expect(204);
    }
}

async fn every_operation_that_documents_if_match_needs_it(app: &TestApp) {
    let document = isms::api::document::document();
    let names_it = |parameter: &Value| {
        let resolved = parameter["$ref"]
            .as_str()
            .map_or(parameter, |target| document.pointer(&target[1..]).unwrap());
        resolved["name"] == "If-Match" && resolved["required"] == json!(true)
    };
    let own =
        json!({"slug": "own", "title": "Own", "requirements": [{"ref": "1", "title": "One"}]});
    app.post(&app.keys.manager, "/v1/frameworks", &own)
        .await
        .expect(201);
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !operation["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(names_it))
            {
                continue;
            }
            let room = rooms().find(|room| path.starts_with(&format!("{}/", all(room))));
            let key = if room.is_some() || path.starts_with("/v1/frameworks/") {
                &app.keys.manager
            } else {
                &app.keys.admin
            };
            let record = match (room, path.as_str()) {
                (Some(room), _) => make(app, room).await,
                (None, path) if path.starts_with("/v1/users") => json!({"id": app.keys.user}),
                (None, path) if path.starts_with("/v1/api-keys") => {
                    app.get(key, "/v1/api-keys?limit=1").await.data()[0].clone()
                }
                _ => json!({"id": ""}),
            };
            let filled = path
                .replace("{id}", id(&record))
                .replace("{relation}", "scope_ids")
                .replace("{to}", "SCO-1");
            let filled = filled
                .replace("{requirement}", "iso-27001-2022:A.5.1")
                .replace("{slug}", "own")
                .replace("{n}", "1");
            if path.contains("/soa-versions/") {
                app.post(
                    key,
                    &format!("/v1/scopes/{}/soa-versions", id(&record)),
                    &json!({"comment": "Not all is decided.", "allow_incomplete": true}),
                )
                .await
                .expect(201);
            }
            let (method, body): (Method, _) = (
                method.to_uppercase().parse().unwrap(),
                if method == "delete" {
                    None
                } else {
                    Some(json!({}))
                },
            );
            app.send(key, method.clone(), &filled, &[], body.as_ref())
                .await
                .problem(428, "version_required");
            app.send(
                key,
                method,
                &filled,
                &[("If-Match", "\"99\"")],
                body.as_ref(),
            )
            .await
            .problem(412, "version_mismatch");
            tried += 1;
        }
    }
    assert!(tried > 70, "only {tried} operations");
}

async fn an_unchanged_list_is_304(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let first = app.get(key, &all(room)).await.expect(200);
        let tag = first.etag();
        assert!(tag.starts_with("W/\""), "{tag}");
        let same = app
            .get_with(key, &all(room), &[("If-None-Match", &tag)])
            .await
            .expect(304);
        assert_eq!(
            (same.etag(), same.header("ledger-position")),
            (tag.clone(), first.header("ledger-position"))
        );
        app.patch(key, &one(room, &record), "*", &json!({"tags": ["x"]}))
            .await
            .expect(200);
        let next = app
            .get_with(key, &all(room), &[("If-None-Match", &tag)])
            .await
            .expect(200);
        assert_ne!(next.etag(), tag);
        let other = app
            .get(&app.keys.approver, &all(room))
            .await
            .expect(200)
            .etag();
        assert_ne!(
            other,
            next.etag(),
            "what another caller sees has another tag"
        );
    }
}

async fn views_are_304_until_something_changes(app: &TestApp) {
    let key = &app.keys.manager;
    let scope = make(app, rooms().find(|room| room.kind.name == "scope").unwrap()).await;
    let risk = make(app, rooms().find(|room| room.kind.name == "risk").unwrap()).await;
    let soa = format!("/v1/scopes/{}/statement-of-applicability", id(&scope));
    let views = [
        "/v1/overview",
        "/v1/risk-matrix",
        "/v1/risk-treatment-plan",
        "/v1/risk-trend",
        &soa,
        "/v1/frameworks",
        "/v1/frameworks/nist-csf-2.0/coverage",
        "/v1/frameworks/iso-27001-2022/mappings",
        "/v1/attack-techniques",
        &format!("/v1/scopes/{}/applicability", id(&scope)),
        &format!("/v1/risks/{}/assessments", id(&risk)),
    ];
    let mut tags = Vec::new();
    for view in views {
        tags.push(app.get(key, view).await.expect(200).etag());
        app.get_with(key, view, &[("If-None-Match", tags.last().unwrap())])
            .await
            .expect(304);
    }
    app.patch(
        key,
        &format!("/v1/risks/{}", id(&risk)),
        "*",
        &json!({"tags": ["x"]}),
    )
    .await
    .expect(200);
    for (view, tag) in views.iter().zip(&tags) {
        app.get_with(key, view, &[("If-None-Match", tag)])
            .await
            .expect(200);
    }
}

async fn the_clock_alone_changes_the_tag_of_a_list(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        app.patch(
            key,
            &one(room, &record),
            "*",
            &json!({"due_on": &app.now()[..10]}),
        )
        .await
        .expect(200);
        let late = format!("{}?overdue=true", all(room));
        let (before, tag) = (
            app.get(key, &late).await,
            app.get(key, &all(room)).await.etag(),
        );
        assert_eq!(
            before.json()["data"],
            json!([]),
            "the due day itself is not late"
        );
        app.pass(60);
        app.get_with(key, &all(room), &[("If-None-Match", &tag)])
            .await
            .expect(304);
        app.pass_days(1);
        app.get_with(key, &all(room), &[("If-None-Match", &tag)])
            .await
            .expect(200);
        let after = app
            .get_with(key, &late, &[("If-None-Match", &before.etag())])
            .await
            .expect(200);
        assert_eq!(
            after.data().iter().map(id).collect::<Vec<_>>(),
            [id(&record)]
        );
    }
}
