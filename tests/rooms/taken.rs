//! What is taken away is gone: a revoked key, a role, a session, an account; also from requests
//! that were under way.
use super::at;
use crate::support::{PASSWORD, Reply, TestApp};
use actix_web::http::Method;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

crate::on_both!(
    nothing_is_written_after_the_revocation,
    a_key_raises_nothing_of_its_person,
    an_account_with_revoked_keys_is_archived,
    limits_are_members_with_a_period_in_order,
    a_session_that_was_ended_has_no_next_token,
    a_tag_is_of_one_person,
    a_cursor_goes_on_with_its_question
);

const UNTIL: &str = "2027-11-20T00:00:00Z";

async fn nothing_is_written_after_the_revocation(app: &TestApp) {
    let admin = &app.keys.admin;
    for round in 0..4 {
        let body = json!({"name": format!("k{round}"), "role": "manager", "expires_at": UNTIL});
        let made = app
            .post(admin, "/v1/api-keys", &body)
            .await
            .expect(201)
            .json();
        let (secret, id) = (
            made["secret"].as_str().unwrap(),
            made["id"].as_str().unwrap(),
        );
        app.get(secret, "/v1/me").await.expect(200);
        let asset = json!({"name": "x", "asset_type": "hardware", "classification": "internal"});
        let writes = join_all((0..40).map(|_| app.post(secret, "/v1/assets", &asset)));
        let path = format!("/v1/api-keys/{id}");
        let end = async {
            // Its role is taken away, or all of it.
            match round % 2 {
                0 => app
                    .act(
                        admin,
                        &format!("{path}/revoke"),
                        &json!({"comment": "lost"}),
                    )
                    .await
                    .expect(200),
                _ => app
                    .patch(
                        admin,
                        &path,
                        "*",
                        &json!({"role": "auditor", "expires_at": "2026-12-20T00:00:00Z"}),
                    )
                    .await
                    .expect(200),
            }
        };
        let (replies, _) = join(writes, end).await;
        let refused = if round % 2 == 0 { 401 } else { 403 };
        assert!(
            replies
                .iter()
                .all(|reply| [201, refused].contains(&reply.status)),
            "{:?}",
            replies.iter().map(Reply::text).collect::<Vec<_>>()
        );
        let entries = app
            .get(admin, &format!("/v1/ledger/entries?record_id={id}&limit=1"))
            .await
            .data();
        let ended = entries[0]["seq"].as_i64().unwrap();
        let written = app
            .get(
                &app.keys.manager,
                &format!("/v1/ledger/entries?actor_id={id}&limit=200"),
            )
            .await
            .data();
        let late: Vec<&Value> = written
            .iter()
            .filter(|entry| entry["seq"].as_i64().unwrap() > ended)
            .collect();
        assert!(late.is_empty(), "after {ended}: {late:?}");
        assert_eq!(
            written.len(),
            replies.iter().filter(|reply| reply.status == 201).count()
        );
    }
}

async fn a_key_raises_nothing_of_its_person(app: &TestApp) {
    let person = app
        .post(&app.keys.manager, "/v1/people", &json!({"name": "P"}))
        .await
        .expect(201)
        .json();
    let user = json!({"name": "P", "email": "p@a.example", "roles": ["manager", "collector",
        "admin"], "person_id": person["id"]});
    app.user(&app.keys.admin, &user).await;
    let login = app.login("p@a.example").await;
    let key = app
        .own_key(&login, "collector", json!({"sources": ["backup"]}))
        .await;
    let (secret, path) = (key["secret"].as_str().unwrap(), at("api-keys", &key));
    app.get(secret, "/v1/risks").await.problem(403, "forbidden");
    for raised in [
        json!({"role": "manager"}),
        json!({"role": "admin"}),
        json!({"expires_at": "2027-12-01T00:00:00Z"}),
        json!({"limits": null}),
        json!({"limits": {"sources": []}}),
        json!({"limits": {"sources": ["backup", "other"]}}),
        json!({"role": "manager", "limits": {"sources": ["backup"], "framework_slugs": ["soc2"]}}),
    ] {
        let refused = app.patch(secret, &path, "*", &raised).await;
        assert_eq!(refused.status, 403, "{raised}: {}", refused.text());
    }
    app.get(secret, "/v1/risks").await.problem(403, "forbidden");
    // The person may, after a login; and the key may end itself.
    app.patch(
        &login,
        &path,
        "*",
        &json!({"role": "manager", "limits": null}),
    )
    .await
    .expect(200);
    app.get(secret, "/v1/risks").await.expect(200);
    app.act(
        secret,
        &format!("{path}/revoke"),
        &json!({"comment": "done"}),
    )
    .await
    .expect(200);
    app.get(secret, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    let refused = app
        .act(&login, &format!("{path}/rotate"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    assert!(
        refused["detail"].as_str().unwrap().contains("revoked"),
        "{refused}"
    );
}

async fn an_account_with_revoked_keys_is_archived(app: &TestApp) {
    let made = app
        .user(
            &app.keys.admin,
            &json!({"name": "Q", "email": "q@a.example", "roles": ["auditor"]}),
        )
        .await;
    let login = app.login("q@a.example").await;
    let body = json!({"name": "k", "role": "auditor", "user_id": made["id"],
        "expires_at": "2027-06-01T00:00:00Z"});
    let key = app
        .post(&login, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let path = at("users", &made);
    let gone = async || {
        app.send(
            &app.keys.admin,
            Method::DELETE,
            &path,
            &[("If-Match", "*")],
            None,
        )
        .await
    };
    let refused = gone().await;
    assert_eq!(
        (refused.status, &refused.json()["needed_by"]),
        (409, &json!([key["code"]]))
    );
    app.act(
        &app.keys.admin,
        &format!("{}/revoke", at("api-keys", &key)),
        &json!({"comment": "left"}),
    )
    .await
    .expect(200);
    gone().await.expect(204);
    app.get(key["secret"].as_str().unwrap(), "/v1/me")
        .await
        .problem(401, "unauthenticated");
}

async fn limits_are_members_with_a_period_in_order(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = |limits: Value| {
        json!({"name": "k", "role": "collector", "expires_at": UNTIL,
        "limits": limits})
    };
    let key = app
        .post(admin, "/v1/api-keys", &body(json!({"sources": ["backup"]})))
        .await
        .expect(201)
        .json();
    for limits in [
        json!([]),
        json!([[], ["iso-27001-2022"], [], ["x"], null, null]),
        json!("x"),
        json!(7),
        json!(true),
    ] {
        assert_eq!(
            app.post(admin, "/v1/api-keys", &body(limits.clone()))
                .await
                .pointers(),
            ["/limits"],
            "{limits}"
        );
        assert_eq!(
            app.patch(
                admin,
                &at("api-keys", &key),
                "*",
                &json!({"limits": limits})
            )
            .await
            .pointers(),
            ["/limits"],
            "{limits}"
        );
    }
    let backwards = json!({"period_start_on": "2027-01-01", "period_end_on": "2026-01-01"});
    assert_eq!(
        app.post(admin, "/v1/api-keys", &body(backwards))
            .await
            .status,
        422
    );
    let one_day = json!({"period_start_on": "2026-01-01", "period_end_on": "2026-01-01"});
    app.post(admin, "/v1/api-keys", &body(one_day))
        .await
        .expect(201);
}

async fn a_tag_is_of_one_person(app: &TestApp) {
    let person = async |name: &str| {
        app.post(&app.keys.manager, "/v1/people", &json!({"name": name}))
            .await
            .expect(201)
            .json()["id"]
            .clone()
    };
    let (one, other) = (person("One").await, person("Other").await);
    let user = json!({"name": "U", "email": "u@a.example", "roles": ["manager"], "person_id": one});
    let made = app.user(&app.keys.admin, &user).await;
    let login = app.login("u@a.example").await;
    let asset = json!({"name": "x", "asset_type": "hardware", "classification": "internal",
        "owner_id": other});
    app.post(&app.keys.manager, "/v1/assets", &asset)
        .await
        .expect(201);
    let list = "/v1/assets?owner_id=me";
    let before = app.get(&login, list).await.expect(200);
    let (was, found) = (before.etag(), before.data());
    assert!(found.is_empty());
    app.patch(
        &app.keys.admin,
        &at("users", &made),
        "*",
        &json!({"person_id": other}),
    )
    .await
    .expect(200);
    let after = app.get(&login, list).await.expect(200);
    let (is, found) = (after.etag(), after.data());
    assert_eq!(found.len(), 1);
    // Apart from the position, too.
    let digest = |tag: &str| tag.rsplit('-').next().unwrap().to_owned();
    assert_ne!(digest(&was), digest(&is));
}

async fn a_cursor_goes_on_with_its_question(app: &TestApp) {
    let key = &app.keys.manager;
    for n in 0..4 {
        let asset = json!({"name": format!("x{n}"), "asset_type": "hardware",
            "classification": "internal"});
        app.post(key, "/v1/assets", &asset).await.expect(201);
        app.post(key, "/v1/actions", &json!({"name": format!("x{n}")}))
            .await
            .expect(201);
    }
    let page = app.get(key, "/v1/assets?limit=2").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        app.get(key, &format!("/v1/assets?limit=2&cursor={cursor}"))
            .await
            .data()
            .len(),
        2
    );
    for other in [
        "/v1/actions?limit=2",
        "/v1/assets?limit=2&sort=name",
        "/v1/assets?limit=2&q=x",
    ] {
        assert_eq!(
            app.get(key, &format!("{other}&cursor={cursor}"))
                .await
                .status,
            400,
            "{other}"
        );
    }
}

async fn a_session_that_was_ended_has_no_next_token(app: &TestApp) {
    let begin = async || {
        let body = json!({"email": "contributor@a.example", "password": PASSWORD});
        app.post("", "/v1/auth/login", &body)
            .await
            .expect(200)
            .json()["refresh_token"]
            .clone()
    };
    for round in 0..6 {
        let refresh = json!({"refresh_token": begin().await});
        let again = (0..5).map(|n| match (round + n) % 3 {
            0 => app.post("", "/v1/auth/logout", &refresh),
            _ => app.post("", "/v1/auth/refresh", &refresh),
        });
        let replies = join_all(again).await;
        // Reuse was seen, or the session was ended: whatever token came out of it is good for
        // nothing.
        for won in replies
            .iter()
            .filter(|reply| reply.status == 200)
            .map(Reply::json)
        {
            app.get(won["access_token"].as_str().unwrap(), "/v1/me")
                .await
                .problem(401, "unauthenticated");
            let next = json!({"refresh_token": won["refresh_token"]});
            app.post("", "/v1/auth/refresh", &next)
                .await
                .problem(401, "unauthenticated");
        }
    }
}
