//! API keys: shown once, cut down to their limits, ended at once, rotated without a gap; and the
//! rate of each.
use super::{at, key, made};
use crate::support::{Settings, TestApp};
use serde_json::{Value, json};

crate::on_both!(
    a_secret_is_shown_once,
    a_key_ends_by_the_clock_or_when_it_is_revoked,
    a_rotated_key_overlaps_for_a_day,
    what_was_rotated_out_stays_dead,
    a_shorter_end_is_that_of_every_secret,
    no_key_lives_for_ever,
    a_key_of_a_person_is_made_by_that_person,
    everyone_sees_their_own_keys,
    a_key_shrinks_with_its_user,
    a_limited_key_makes_nothing_wider,
    a_key_of_some_scopes_sees_and_writes_those_alone,
    a_key_of_some_controls_and_a_period_sees_their_evidence
);

async fn a_secret_is_shown_once(app: &TestApp) {
    let admin = &app.keys.admin;
    let body =
        json!({"name": "Robot", "role": "auditor", "expires_at": "2027-01-01T00:00:00+02:00"});
    let made = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let secret = made["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("isms_") && secret.len() == 44,
        "{secret}"
    );
    assert_eq!(made["expires_at"], "2026-12-31T22:00:00.000Z");
    for path in [
        at("api-keys", &made),
        format!("{}/history?include=body", at("api-keys", &made)),
        "/v1/api-keys?limit=200".into(),
        "/v1/events?limit=200&after=60".into(),
    ] {
        assert!(
            !app.get(admin, &path)
                .await
                .expect(200)
                .text()
                .contains(secret),
            "{path}"
        );
    }
    let me = app.get(secret, "/v1/me").await.expect(200).json();
    assert_eq!(
        (&me["actor"]["id"], &me["expires_at"], &me["person_id"]),
        (&made["id"], &made["expires_at"], &Value::Null)
    );
    assert_eq!(
        app.post(
            admin,
            "/v1/api-keys",
            &json!({"name": "x", "role": "auditor", "expires_at": "2026-11-20T00:00:00Z"})
        )
        .await
        .pointers(),
        ["/expires_at"]
    );
    assert_eq!(
        app.post(
            admin,
            "/v1/api-keys",
            &json!({"name": "x", "role": "owner", "expires_at": "2027-01-01T00:00:00Z"})
        )
        .await
        .pointers(),
        ["/role"]
    );
    let unknown = json!({"name": "x", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z",
        "limits": {"scope_ids": ["SCO-9"], "control_ids": [app.keys.person]}});
    assert_eq!(
        app.post(admin, "/v1/api-keys", &unknown).await.pointers(),
        ["/limits/control_ids/0", "/limits/scope_ids/0"]
    );
}

async fn a_key_ends_by_the_clock_or_when_it_is_revoked(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Short", "role": "auditor", "expires_at": "2026-11-20T09:10:00Z"});
    let short = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let (secret, path) = (short["secret"].as_str().unwrap(), at("api-keys", &short));
    app.pass(599);
    app.get(secret, "/v1/assets").await.expect(200);
    app.pass(2);
    app.get(secret, "/v1/assets")
        .await
        .problem(401, "unauthenticated");
    for end in [
        "2026-11-20T10:00:00Z",
        "2026-11-20T09:00:00Z",
        "2027-11-20T00:00:00Z",
    ] {
        assert_eq!(
            app.patch(admin, &path, "*", &json!({"expires_at": end}))
                .await
                .pointers(),
            ["/expires_at"],
            "what has ended stays ended"
        );
    }
    app.act(admin, &format!("{path}/rotate"), &json!({}))
        .await
        .expect(422);
    app.patch(admin, &path, "*", &json!({"name": "Ended"}))
        .await
        .expect(200);
    app.get(secret, "/v1/assets")
        .await
        .problem(401, "unauthenticated");
    let body = json!({"name": "Longer", "role": "auditor", "expires_at": "2026-11-21T09:00:00Z"});
    let longer = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let (secret, path) = (longer["secret"].as_str().unwrap(), at("api-keys", &longer));
    app.patch(admin, &path, "*", &json!({"role": "collector"}))
        .await
        .expect(200);
    app.get(secret, "/v1/assets")
        .await
        .problem(403, "forbidden");
    assert_eq!(
        app.act(admin, &format!("{path}/revoke"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    let revoked = app
        .act(
            admin,
            &format!("{path}/revoke"),
            &json!({"comment": "lost"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&revoked["status"], revoked["revoked_at"].is_string()),
        (&json!("revoked"), true)
    );
    app.get(secret, "/v1/evidence")
        .await
        .problem(401, "unauthenticated");
    app.act(admin, &format!("{path}/rotate"), &json!({}))
        .await
        .problem(409, "illegal_transition");
}

async fn a_rotated_key_overlaps_for_a_day(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Robot", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z"});
    let made = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let rotated = app
        .act(
            admin,
            &format!("{}/rotate", at("api-keys", &made)),
            &json!({"comment": "yearly"}),
        )
        .await
        .expect(200);
    assert_eq!(rotated.header("cache-control").as_deref(), Some("no-store"));
    let rotated = rotated.json();
    let (old, new) = (
        made["secret"].as_str().unwrap(),
        rotated["secret"].as_str().unwrap(),
    );
    assert_ne!(old, new);
    app.pass(24 * 3600 - 1);
    for secret in [old, new] {
        assert_eq!(
            app.get(secret, "/v1/me").await.expect(200).json()["actor"]["id"],
            made["id"]
        );
    }
    app.pass(2);
    app.get(old, "/v1/me").await.problem(401, "unauthenticated");
    app.get(new, "/v1/me").await.expect(200);
}

/// A service key until a year from now, and its place.
async fn service(app: &TestApp, role: &str, until: &str) -> (String, String) {
    let body = json!({"name": "Robot", "role": role, "expires_at": until});
    let made = app
        .post(&app.keys.admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    (
        made["secret"].as_str().unwrap().to_owned(),
        at("api-keys", &made),
    )
}
async fn rotated(app: &TestApp, path: &str) -> String {
    let rotated = app
        .act(&app.keys.admin, &format!("{path}/rotate"), &json!({}))
        .await
        .expect(200)
        .json();
    rotated["secret"].as_str().unwrap().to_owned()
}
/// The admin's token lives 15 minutes.
async fn again(app: &TestApp) -> String {
    app.login("manager@a.example").await
}
async fn alive(app: &TestApp, secrets: &[&str]) -> Vec<bool> {
    let mut all = Vec::new();
    for secret in secrets {
        all.push(app.get(secret, "/v1/me").await.status == 200);
    }
    all
}

async fn what_was_rotated_out_stays_dead(app: &TestApp) {
    let (first, path) = service(app, "auditor", "2027-11-20T00:00:00Z").await;
    let second = rotated(app, &path).await;
    // While both are good, no change gives the old one more than its day.
    for patch in [
        json!({"name": "Renamed"}),
        json!({"limits": {"sources": ["x"]}}),
        json!({"expires_at": "2027-11-19T00:00:00Z"}),
    ] {
        app.patch(&app.keys.admin, &path, "*", &patch)
            .await
            .expect(200);
    }
    app.pass(24 * 3600 + 1);
    assert_eq!(alive(app, &[&first, &second]).await, [false, true]);
    let admin = again(app).await;
    for patch in [
        json!({"name": "Leaked"}),
        json!({"role": "auditor", "tags": ["x"]}),
        json!({"limits": {}}),
        json!({"expires_at": "2027-11-18T00:00:00Z"}),
        json!({"expires_at": "2027-12-01T00:00:00Z"}),
    ] {
        app.patch(&admin, &path, "*", &patch).await.expect(200);
        assert_eq!(
            alive(app, &[&first, &second]).await,
            [false, true],
            "{patch}"
        );
    }
    let third = app
        .act(&admin, &format!("{path}/rotate"), &json!({}))
        .await
        .expect(200)
        .json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let fourth = app
        .act(&admin, &format!("{path}/rotate"), &json!({}))
        .await
        .expect(200)
        .json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    app.patch(
        &admin,
        &path,
        "*",
        &json!({"expires_at": "2027-12-02T00:00:00Z"}),
    )
    .await
    .expect(200);
    assert_eq!(
        alive(app, &[&first, &second, &third, &fourth]).await,
        [false, true, true, true]
    );
    app.pass(24 * 3600 + 1);
    app.patch(
        &again(app).await,
        &path,
        "*",
        &json!({"expires_at": "2027-12-03T00:00:00Z"}),
    )
    .await
    .expect(200);
    assert_eq!(
        alive(app, &[&first, &second, &third, &fourth]).await,
        [false, false, false, true]
    );
}

async fn a_shorter_end_is_that_of_every_secret(app: &TestApp) {
    let (first, path) = service(app, "auditor", "2027-11-20T00:00:00Z").await;
    let second = rotated(app, &path).await;
    app.patch(
        &app.keys.admin,
        &path,
        "*",
        &json!({"expires_at": "2026-11-20T10:00:00Z"}),
    )
    .await
    .expect(200);
    assert_eq!(alive(app, &[&first, &second]).await, [true, true]);
    app.patch(
        &app.keys.admin,
        &path,
        "*",
        &json!({"expires_at": "2026-12-20T10:00:00Z"}),
    )
    .await
    .expect(200);
    app.pass(3601);
    assert_eq!(
        alive(app, &[&first, &second]).await,
        [false, true],
        "a longer end is for the current one alone"
    );
    app.pass_days(30);
    assert_eq!(alive(app, &[&first, &second]).await, [false, false]);
}

async fn no_key_lives_for_ever(app: &TestApp) {
    let admin = &app.keys.admin;
    let make = async |role: &str, until: &str| {
        app.post(
            admin,
            "/v1/api-keys",
            &json!({"name": "x", "role": role, "expires_at": until}),
        )
        .await
    };
    for (role, late, good) in [
        ("auditor", "2027-12-25T09:00:01Z", "2027-12-25T09:00:00Z"),
        ("manager", "2028-11-20T09:00:01Z", "2028-11-20T09:00:00Z"),
        ("collector", "9999-12-31T00:00:00Z", "2028-11-20T09:00:00Z"),
    ] {
        let refused = make(role, late).await;
        let said = refused.json();
        assert_eq!(refused.pointers(), ["/expires_at"], "{role}");
        assert_eq!(said["errors"][0]["code"], "too_late");
        let made = make(role, good).await.expect(201).json();
        assert_eq!(
            app.patch(
                admin,
                &at("api-keys", &made),
                "*",
                &json!({"expires_at": late})
            )
            .await
            .pointers(),
            ["/expires_at"]
        );
    }
    let (_, path) = service(app, "manager", "2028-11-20T00:00:00Z").await;
    assert_eq!(
        app.patch(admin, &path, "*", &json!({"role": "auditor"}))
            .await
            .pointers(),
        ["/expires_at"],
        "an auditor's ends sooner"
    );
    app.pass_days(300);
    let admin = &again(app).await;
    assert_eq!(
        app.patch(
            admin,
            &path,
            "*",
            &json!({"expires_at": "2029-01-01T00:00:00Z"})
        )
        .await
        .pointers(),
        ["/expires_at"]
    );
    app.act(admin, &format!("{path}/rotate"), &json!({}))
        .await
        .expect(200);
    app.patch(
        admin,
        &path,
        "*",
        &json!({"expires_at": "2029-01-01T00:00:00Z"}),
    )
    .await
    .expect(200);
}

async fn a_key_of_a_person_is_made_by_that_person(app: &TestApp) {
    let (admin, user) = (&app.keys.admin, &app.keys.approver_user);
    let body = |role: &str, user: Value| {
        json!({"name": "x", "role": role, "user_id": user,
        "expires_at": "2027-11-20T00:00:00Z"})
    };
    // Nobody makes a key for somebody else, administrators included.
    app.post(admin, "/v1/api-keys", &body("approver", json!(user)))
        .await
        .problem(403, "segregation_of_duties");
    let login = app.login("approver@a.example").await;
    let made = app
        .post(&login, "/v1/api-keys", &body("approver", json!(user)))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&made["created_by"]["id"], &made["user_id"]),
        (&json!(user), &json!(user))
    );
    let (secret, path) = (made["secret"].as_str().unwrap(), at("api-keys", &made));
    let me = app.get(secret, "/v1/me").await.expect(200).json();
    assert_eq!(
        (&me["person_id"], &me["roles"]),
        (&json!(app.keys.approver_person), &json!(["approver"]))
    );
    app.post(
        &login,
        "/v1/api-keys",
        &body("approver", json!(app.keys.user)),
    )
    .await
    .problem(403, "segregation_of_duties");
    app.post(&login, "/v1/api-keys", &body("approver", Value::Null))
        .await
        .problem(403, "forbidden");
    assert_eq!(
        app.post(&login, "/v1/api-keys", &body("manager", json!(user)))
            .await
            .pointers(),
        ["/role"],
        "none of their roles"
    );
    // A key makes no secrets: one that leaked would outlive its end.
    app.post(secret, "/v1/api-keys", &body("approver", json!(user)))
        .await
        .problem(403, "forbidden");
    app.act(secret, &format!("{path}/rotate"), &json!({}))
        .await
        .problem(403, "forbidden");
    app.act(admin, &format!("{path}/rotate"), &json!({}))
        .await
        .problem(403, "segregation_of_duties");
    app.act(&login, &format!("{path}/rotate"), &json!({}))
        .await
        .expect(200);
    // Its user never changes.
    for who in [admin, &login] {
        for other in [json!(app.keys.user), Value::Null] {
            let refused = app.patch(who, &path, "*", &json!({"user_id": other})).await;
            assert_eq!(refused.json()["errors"][0]["code"], "immutable");
            assert_eq!(refused.pointers(), ["/user_id"]);
        }
    }
    let (_, service) = service(app, "approver", "2027-11-20T00:00:00Z").await;
    assert_eq!(
        app.patch(admin, &service, "*", &json!({"user_id": user}))
            .await
            .pointers(),
        ["/user_id"]
    );
    assert_eq!(
        app.patch(&login, &path, "*", &json!({"role": "manager"}))
            .await
            .pointers(),
        ["/role"]
    );
    app.patch(
        &login,
        &path,
        "*",
        &json!({"name": "Mine", "limits": {"sources": ["x"]}}),
    )
    .await
    .expect(200);
    // An administrator ends it, and cuts it down.
    app.patch(
        admin,
        &path,
        "*",
        &json!({"expires_at": "2027-01-01T00:00:00Z"}),
    )
    .await
    .expect(200);
    app.act(
        admin,
        &format!("{path}/revoke"),
        &json!({"comment": "left"}),
    )
    .await
    .expect(200);
    app.get(secret, "/v1/me")
        .await
        .problem(401, "unauthenticated");
}

async fn everyone_sees_their_own_keys(app: &TestApp) {
    let mine = app
        .get(&app.keys.contributor, "/v1/me")
        .await
        .expect(200)
        .json()["actor"]["id"]
        .clone();
    let seen = async |key: &str| {
        let keys = app
            .get(key, "/v1/api-keys?include=total&limit=200")
            .await
            .expect(200)
            .json();
        (
            keys["total"].as_i64().unwrap(),
            keys["data"].as_array().unwrap().clone(),
        )
    };
    let (all, _) = seen(&app.keys.admin).await;
    assert!(all >= 6);
    let (one, keys) = seen(&app.keys.contributor).await;
    assert_eq!((one, &keys[0]["id"]), (1, &mine));
    assert_eq!(seen(&app.keys.manager).await.0, 1);
    assert_eq!(
        seen(&app.keys.collector).await.0,
        0,
        "a service key is its administrator's"
    );
    let others = format!(
        "/v1/api-keys/{}",
        app.get(&app.keys.auditor, "/v1/me")
            .await
            .expect(200)
            .json()["actor"]["id"]
            .as_str()
            .unwrap()
    );
    for key in [&app.keys.contributor, &app.keys.manager, &app.keys.approver] {
        for path in [others.clone(), format!("{others}/history")] {
            app.get(key, &path).await.problem(404, "not_found");
        }
        app.patch(key, &others, "*", &json!({"name": "Mine"}))
            .await
            .problem(404, "not_found");
        app.act(key, &format!("{others}/revoke"), &json!({"comment": "x"}))
            .await
            .problem(404, "not_found");
        app.act(key, &format!("{others}/rotate"), &json!({}))
            .await
            .problem(404, "not_found");
        app.get(key, "/v1/ledger/entries?kind=api_key&limit=200")
            .await
            .problem(403, "forbidden");
        app.get(key, "/v1/users").await.problem(403, "forbidden");
    }
    // Auditors see whose they are, and change none.
    for key in [&app.keys.auditor, &app.keys.internal_auditor] {
        assert_eq!(seen(key).await.0, all);
        app.get(key, &others).await.expect(200);
        app.patch(key, &others, "*", &json!({"name": "Mine"}))
            .await
            .expect(403);
    }
    let path = format!("/v1/api-keys/{}", mine.as_str().unwrap());
    app.act(
        &app.keys.contributor,
        &format!("{path}/revoke"),
        &json!({"comment": "lost"}),
    )
    .await
    .expect(200);
    app.get(&app.keys.contributor, "/v1/me")
        .await
        .problem(401, "unauthenticated");
}

async fn a_key_shrinks_with_its_user(app: &TestApp) {
    let (admin, user) = (
        &app.keys.admin,
        format!("/v1/users/{}", app.keys.contributor_user),
    );
    let both = key(app, "manager", Some(&app.keys.contributor_user), json!({})).await;
    let asset = json!({"name": "x", "asset_type": "hardware", "classification": "internal"});
    app.post(&both, "/v1/assets", &asset).await.expect(201);
    app.patch(
        admin,
        &user,
        "*",
        &json!({"roles": ["contributor", "auditor"]}),
    )
    .await
    .expect(200);
    let refused = app
        .post(&both, "/v1/assets", &asset)
        .await
        .problem(403, "forbidden");
    assert!(
        refused["detail"].as_str().unwrap().contains("no role left"),
        "{refused}"
    );
    assert_eq!(
        app.get(&both, "/v1/me").await.expect(200).json()["roles"],
        json!([])
    );
    app.get(&both, "/v1/assets").await.problem(403, "forbidden");
    app.post(&app.keys.contributor, "/v1/assets", &asset)
        .await
        .expect(201);
    app.patch(admin, &user, "*", &json!({"roles": ["manager"]}))
        .await
        .expect(200);
    app.post(&both, "/v1/assets", &asset).await.expect(201);
    app.get(&app.keys.contributor, "/v1/assets")
        .await
        .problem(403, "forbidden");
}

async fn a_limited_key_makes_nothing_wider(app: &TestApp) {
    let admin = &app.keys.admin;
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await["id"].clone();
    let control = made(app, "controls", "Doors", json!({"scope_ids": [scope]})).await["id"].clone();
    for (limits, wider) in [
        (json!({"scope_ids": [scope]}), "scope_ids"),
        (json!({"control_ids": [control]}), "control_ids"),
        (json!({"sources": ["backup"]}), "sources"),
        (
            json!({"framework_slugs": ["iso-27001-2022"]}),
            "framework_slugs",
        ),
        (json!({"period_start_on": "2026-01-01"}), "period_start_on"),
        (json!({"period_end_on": "2026-12-31"}), "period_end_on"),
    ] {
        let robot = key(app, "admin", None, limits.clone()).await;
        let body = |limits: &Value| {
            json!({"name": "x", "role": "manager",
            "expires_at": "2027-01-01T00:00:00Z", "limits": limits})
        };
        let refused = app
            .post(&robot, "/v1/api-keys", &body(&json!({})))
            .await
            .problem(403, "outside_limits");
        if let Some(fault) = refused["errors"].as_array().unwrap().first() {
            assert_eq!(fault["pointer"], format!("/limits/{wider}"), "{refused}");
        }
        let user = json!({"email": "wider@a.example", "roles": ["admin"]});
        app.post(&robot, "/v1/users", &user)
            .await
            .problem(403, "outside_limits");
        let made = app
            .post(admin, "/v1/api-keys", &body(&limits))
            .await
            .expect(201)
            .json();
        let reply = app
            .patch(
                &robot,
                &at("api-keys", &made),
                "*",
                &json!({"limits": {(wider): null}}),
            )
            .await;
        assert!(
            [403, 404].contains(&reply.status),
            "{}: {}",
            reply.status,
            reply.text()
        );
        let user = format!("/v1/users/{}", app.keys.contributor_user);
        let reply = app
            .patch(&robot, &user, "*", &json!({"roles": ["admin"]}))
            .await;
        assert!(
            [403, 404].contains(&reply.status),
            "{}: {}",
            reply.status,
            reply.text()
        );
    }
}

async fn a_key_of_some_scopes_sees_and_writes_those_alone(app: &TestApp) {
    let manager = &app.keys.manager;
    let (shop, other) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Other", json!({"statement": "s"})).await,
    );
    let limited = key(app, "manager", None, json!({"scope_ids": [shop["code"]]})).await;
    let mut paths = Vec::new();
    for (path, more) in [
        (
            "assets",
            json!({"asset_type": "software", "classification": "internal"}),
        ),
        ("risks", json!({})),
        (
            "controls",
            json!({"requirements": ["iso-27001-2022:A.5.1"]}),
        ),
        ("actions", json!({"due_on": "2026-11-01"})),
        ("evidence", json!({"source": "s"})),
    ] {
        let with = |scopes: Value| {
            let mut body = more.clone();
            if path == "evidence" {
                body["payload"] = scopes.clone();
            }
            body["scope_ids"] = scopes;
            body
        };
        let mine = made(app, path, "mine", with(json!([shop["id"]]))).await;
        let foreign = made(app, path, "foreign", with(json!([other["id"]]))).await;
        let shared = made(app, path, "shared", with(json!([]))).await;
        let seen = app
            .get(
                &limited,
                &format!("/v1/{path}?include=total,counts,refs&sort=code"),
            )
            .await
            .expect(200)
            .json();
        let names: Vec<&str> = seen["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (names, &seen["total"]),
            (vec!["mine", "shared"], &json!(2)),
            "{path}"
        );
        assert!(
            seen["refs"].get(other["id"].as_str().unwrap()).is_none()
                && seen["refs"][shop["id"].as_str().unwrap()].is_object()
        );
        for rest in ["", "/history"] {
            app.get(&limited, &format!("{}{rest}", at(path, &foreign)))
                .await
                .problem(404, "not_found");
            app.get(&limited, &format!("{}{rest}", at(path, &shared)))
                .await
                .expect(200);
        }
        app.patch(&limited, &at(path, &foreign), "*", &json!({"tags": ["x"]}))
            .await
            .problem(404, "not_found");
        app.patch(&limited, &at(path, &shared), "*", &json!({"tags": ["x"]}))
            .await
            .problem(403, "outside_limits");
        app.patch(
            &limited,
            &at(path, &mine),
            "*",
            &json!({"scope_ids": [shop["id"], other["id"]]}),
        )
        .await
        .pointers();
        app.patch(&limited, &at(path, &mine), "*", &json!({"tags": ["x"]}))
            .await
            .expect(200);
        paths.push((path, foreign));
    }
    for view in ["/v1/overview", "/v1/risk-matrix"] {
        assert_ne!(
            app.get(&limited, view).await.expect(200).text(),
            app.get(manager, view).await.expect(200).text(),
            "{view}"
        );
    }
    assert_eq!(app.get(&limited, "/v1/scopes").await.data().len(), 1);
    let events = app
        .get(&limited, "/v1/events?limit=200&after=60")
        .await
        .expect(200)
        .text();
    let entries = app
        .get(&limited, "/v1/ledger/entries?limit=200")
        .await
        .expect(200)
        .text();
    for (path, foreign) in &paths {
        let id = foreign["id"].as_str().unwrap();
        assert!(
            !events.contains(id) && !entries.contains(id),
            "{path}: the feed tells of another scope"
        );
    }
    let tag = app.get(manager, "/v1/assets").await.etag();
    app.get_with(&limited, "/v1/assets", &[("If-None-Match", &tag)])
        .await
        .expect(200);
}
async fn a_key_of_some_controls_and_a_period_sees_their_evidence(app: &TestApp) {
    let control = async |name: &str| made(app, "controls", name, json!({})).await;
    let (mine, other) = (control("mine").await, control("other").await);
    let push = async |name: &str, on: &str, of: &Value| {
        made(
            app,
            "evidence",
            name,
            json!({"payload": name, "source": "s", "collected_at": format!("{on}T12:00:00Z"),
                "control_ids": [of["id"]]}),
        )
        .await
    };
    for (name, on, of) in [
        ("early", "2026-09-30", &mine),
        ("first", "2026-10-01", &mine),
        ("last", "2026-10-31", &mine),
        ("late", "2026-11-01", &mine),
        ("other", "2026-10-15", &other),
    ] {
        push(name, on, of).await;
    }
    let limits = json!({"control_ids": [mine["id"]], "period_start_on": "2026-10-01",
        "period_end_on": "2026-10-31"});
    let limited = key(app, "auditor", None, limits.clone()).await;
    let names = |records: Vec<Value>| {
        records
            .iter()
            .map(|record| record["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(app.get(&limited, "/v1/evidence?sort=code").await.data()),
        ["first", "last"]
    );
    assert_eq!(
        names(app.get(&limited, "/v1/controls").await.data()),
        ["mine"]
    );
    let seen = app
        .get(&limited, &at("controls", &mine))
        .await
        .expect(200)
        .json();
    assert_eq!(seen["evidence"]["current"], 2, "aggregates are cut alike");
    let me = app.get(&limited, "/v1/me").await.expect(200).json();
    assert_eq!(
        (&me["limits"]["control_ids"], &me["limits"]["period_end_on"]),
        (&limits["control_ids"], &limits["period_end_on"])
    );
}

#[actix_web::test]
async fn each_key_has_its_own_rate() {
    let app = TestApp::sqlite_with(Settings {
        rate_limit: 5,
        ..Settings::default()
    })
    .await;
    for left in (0..5).rev() {
        let reply = app.get(&app.keys.manager, "/v1/me").await.expect(200);
        assert_eq!(
            reply.header("ratelimit-policy").as_deref(),
            Some("\"key\";q=5;w=60")
        );
        assert!(
            reply
                .header("ratelimit")
                .unwrap()
                .starts_with(&format!("\"key\";r={left};t=")),
            "{:?}",
            reply.header("ratelimit")
        );
    }
    let refused = app.get(&app.keys.manager, "/v1/me").await;
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            <= 60
    );
    assert!(
        refused
            .header("ratelimit")
            .unwrap()
            .starts_with("\"key\";r=0;")
    );
    refused.problem(429, "rate_limited");
    app.get(&app.keys.approver, "/v1/me").await.expect(200);
    app.get("", "/healthz").await.expect(200);
}
