//! A retry has its effect once: the stored answer comes again, another content does not, and
//! secrets are never stored.
use crate::support::TestApp;
use crate::support::make::{all, body, body_as, id, last, make, one, rooms};
use actix_web::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

crate::on_both!(
    two_hundred_posts_with_one_key_make_one_record,
    a_key_belongs_to_one_caller_operation_and_content,
    a_transition_that_is_sent_again_happened_once,
    a_refusal_is_not_kept,
    a_key_lasts_a_day,
    a_replay_is_within_the_limits_of_now,
    a_secret_is_not_in_the_replay
);

async fn two_hundred_posts_with_one_key_make_one_record(app: &TestApp) {
    for room in rooms() {
        let body = body(app, room, "Once").await;
        let before = last(app);
        let key = [("Idempotency-Key", "once-and-only-once")];
        let all_at_once = (0..200).map(|_| {
            app.send(
                &app.keys.manager,
                Method::POST,
                &all(room),
                &key,
                Some(&body),
            )
        });
        let replies = join_all(all_at_once).await;
        let first = replies
            .iter()
            .find(|reply| reply.header("idempotency-replayed").is_none())
            .expect("nobody was the first");
        assert_eq!(
            replies
                .iter()
                .filter(|reply| reply.header("idempotency-replayed").is_none())
                .count(),
            1
        );
        for reply in &replies {
            assert_eq!(
                (
                    reply.status,
                    reply.text(),
                    reply.header("etag"),
                    reply.header("location")
                ),
                (
                    201,
                    first.text(),
                    first.header("etag"),
                    first.header("location")
                )
            );
        }
        assert_eq!(last(app), before + 1, "{}", room.kind.path);
        assert_eq!(
            app.get(&app.keys.manager, &format!("{}?q=once", all(room)))
                .await
                .data()
                .len(),
            1
        );
    }
}

async fn a_key_belongs_to_one_caller_operation_and_content(app: &TestApp) {
    let send = async |who: &str, path: &str, key: &str, body: &Value| {
        app.send(
            who,
            Method::POST,
            path,
            &[("Idempotency-Key", key)],
            Some(body),
        )
        .await
    };
    for room in rooms() {
        let (manager, path, mine) = (&app.keys.manager, all(room), body(app, room, "Mine").await);
        let first = send(manager, &path, "k", &mine).await.expect(201).json();
        let mut other = mine.clone();
        other["tags"] = json!(["other"]);
        send(manager, &path, "k", &other)
            .await
            .problem(422, "idempotency_key_reused");
        let reordered = format!("{{ \"tags\" : [ ] , {}", &mine.to_string()[1..]);
        let with_tags: Value = serde_json::from_str(&reordered).unwrap();
        send(manager, &path, "k2", &with_tags).await;
        let headers = [
            ("Idempotency-Key", "k2"),
            ("Content-Type", "application/json; charset=utf-8"),
        ];
        let again = app
            .raw(
                manager,
                Method::POST,
                &path,
                &headers,
                Some(reordered.into_bytes()),
            )
            .await;
        assert_eq!(
            again.header("idempotency-replayed").as_deref(),
            Some("true"),
            "the same content in another form"
        );
        let theirs = body_as(app, &app.keys.b_manager, room, "Theirs").await;
        if room.kind.name != "evidence" {
            assert_ne!(
                send(&app.keys.b_manager, &path, "k", &theirs)
                    .await
                    .expect(201)
                    .json()["id"],
                first["id"]
            );
        }
        for bad in ["", "a b", &"x".repeat(256)] {
            let problem = app
                .send(
                    manager,
                    Method::POST,
                    &path,
                    &[("Idempotency-Key", bad)],
                    Some(&mine),
                )
                .await
                .problem(400, "invalid_parameter");
            assert_eq!(
                (
                    &problem["errors"][0]["location"],
                    &problem["errors"][0]["pointer"]
                ),
                (&json!("header"), &json!("Idempotency-Key"))
            );
        }
        assert_eq!(
            send(manager, &path, "k", &mine).await.expect(201).json(),
            first
        );
    }
}

async fn a_transition_that_is_sent_again_happened_once(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let scope = make(app, rooms().find(|room| room.kind.name == "scope").unwrap()).await;
        let (path, link) = (
            format!("{}/links", one(room, &record)),
            json!({"relation": "scope_ids", "to": scope["id"]}),
        );
        let tag = app.get(key, &one(room, &record)).await.etag();
        let headers = [("Idempotency-Key", "link"), ("If-Match", tag.as_str())];
        let first = app
            .send(key, Method::POST, &path, &headers, Some(&link))
            .await
            .expect(200);
        let before = last(app);
        let again = app
            .send(key, Method::POST, &path, &headers, Some(&link))
            .await
            .expect(200);
        assert_eq!(
            (again.text(), again.etag(), last(app)),
            (first.text(), first.etag(), before),
            "the replay comes before If-Match"
        );
        let other = make(app, room).await;
        app.send(
            key,
            Method::POST,
            &format!("{}/links", one(room, &other)),
            &headers,
            Some(&link),
        )
        .await
        .problem(422, "idempotency_key_reused");
    }
}

async fn a_refusal_is_not_kept(app: &TestApp) {
    for room in rooms() {
        let (manager, path, good) = (&app.keys.manager, all(room), body(app, room, "Good").await);
        let key = [("Idempotency-Key", "second-try")];
        app.send(
            manager,
            Method::POST,
            &path,
            &key,
            Some(&json!({"name": ""})),
        )
        .await
        .expect(422);
        app.send(&app.keys.auditor, Method::POST, &path, &key, Some(&good))
            .await
            .expect(403);
        let made = app
            .send(manager, Method::POST, &path, &key, Some(&good))
            .await
            .expect(201);
        assert_eq!(made.header("idempotency-replayed"), None);
    }
}

async fn a_key_lasts_a_day(app: &TestApp) {
    let (path, asset) = (
        "/v1/assets",
        json!({"name": "Daily", "asset_type": "software", "classification": "public"}),
    );
    let send = async || {
        app.send(
            &app.keys.manager,
            Method::POST,
            path,
            &[("Idempotency-Key", "daily")],
            Some(&asset),
        )
        .await
        .expect(201)
        .json()
    };
    let first = send().await;
    app.pass(24 * 3600 - 1);
    assert_eq!(id(&send().await), id(&first));
    app.pass(2);
    assert_ne!(id(&send().await), id(&first));
}

/// What its caller does not see any more is not answered again.
async fn a_replay_is_within_the_limits_of_now(app: &TestApp) {
    let admin = &app.keys.admin;
    let of = async |path: &str, body: Value| app.post(admin, path, &body).await.expect(201).json();
    let scope = async |name: &str| {
        of("/v1/scopes", json!({"name": name, "statement": "s"})).await["id"].clone()
    };
    let (here, there) = (scope("Here").await, scope("There").await);
    let key = json!({"name": "Robot", "role": "manager", "expires_at": "2027-01-01T00:00:00Z",
        "limits": {"scope_ids": [here]}});
    let key = of("/v1/api-keys", key).await;
    let (secret, at) = (
        key["secret"].as_str().unwrap(),
        format!("/v1/api-keys/{}", id(&key)),
    );
    let asset = json!({"name": "x", "asset_type": "software", "classification": "public",
        "scope_ids": [here]});
    let batch = json!({"items": [{"create": asset}]});
    let again = async |path: &str, name: &str, body: &Value| {
        app.send(
            secret,
            Method::POST,
            path,
            &[("Idempotency-Key", name)],
            Some(body),
        )
        .await
    };
    let made = again("/v1/assets", "one", &asset).await.expect(201).json();
    again("/v1/assets/batch", "many", &batch).await.expect(200);
    again("/v1/assets", "one", &asset).await.expect(201);
    app.patch(admin, &at, "*", &json!({"limits": {"scope_ids": [there]}}))
        .await
        .expect(200);
    app.get(secret, &format!("/v1/assets/{}", id(&made)))
        .await
        .problem(404, "not_found");
    again("/v1/assets", "one", &asset)
        .await
        .problem(403, "outside_limits");
    again("/v1/assets/batch", "many", &batch)
        .await
        .problem(403, "outside_limits");
    app.patch(admin, &at, "*", &json!({"limits": {"scope_ids": [here]}}))
        .await
        .expect(200);
    assert_eq!(
        again("/v1/assets", "one", &asset).await.expect(201).json()["id"],
        made["id"]
    );
    app.patch(
        admin,
        &format!("/v1/assets/{}", id(&made)),
        "*",
        &json!({"scope_ids": [there]}),
    )
    .await
    .expect(200);
    again("/v1/assets", "one", &asset)
        .await
        .problem(403, "outside_limits");
}

async fn a_secret_is_not_in_the_replay(app: &TestApp) {
    let admin = &app.keys.admin;
    let key = json!({"name": "Robot", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z"});
    let user = json!({"email": "new@a.example", "roles": ["auditor"]});
    for (path, body, member) in [
        ("/v1/api-keys", key, "secret"),
        ("/v1/users", user, "setup_token"),
    ] {
        let send = async || {
            app.send(
                admin,
                Method::POST,
                path,
                &[("Idempotency-Key", "secret")],
                Some(&body),
            )
            .await
            .expect(201)
        };
        let (first, again) = (send().await, send().await);
        assert_eq!(first.header("cache-control").as_deref(), Some("no-store"));
        let secret = first.json()[member].as_str().unwrap().to_owned();
        assert_eq!(
            again.header("idempotency-replayed").as_deref(),
            Some("true"),
            "{path}"
        );
        assert!(
            again.json().get(member).is_none() && !again.text().contains(&secret),
            "{path}"
        );
        assert_eq!(again.json()["id"], first.json()["id"]);
    }
    let used: Vec<u8> = std::fs::read(app.dir.path().join("token.key")).unwrap();
    assert_eq!(used.len(), 64);
}
