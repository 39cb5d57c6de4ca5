//! Logins: nothing tells a wrong password from an unknown address, pauses end by themselves, a
//! stolen refresh token ends its family.
use crate::support::{PASSWORD, Reply, TestApp};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    an_unknown_address_is_answered_like_a_wrong_password,
    failures_slow_the_next_attempt_and_never_lock_out,
    a_refresh_token_is_used_once_and_its_reuse_ends_the_family,
    who_is_disabled_is_out_at_once,
    roles_that_are_taken_away_are_gone_at_once,
    an_access_token_lives_fifteen_minutes_and_is_pinned,
    a_user_changes_their_own_password,
    one_address_may_be_in_two_organizations,
    auditors_see_accounts_without_addresses
);

async fn login(app: &TestApp, email: &str, password: &str) -> Reply {
    app.post(
        "",
        "/v1/auth/login",
        &json!({"email": email, "password": password}),
    )
    .await
}
fn said(mut problem: Value) -> Value {
    problem["request_id"] = Value::Null;
    problem
}
async fn refresh(app: &TestApp, token: &Value) -> Reply {
    app.post("", "/v1/auth/refresh", &json!({"refresh_token": token}))
        .await
}

async fn an_unknown_address_is_answered_like_a_wrong_password(app: &TestApp) {
    let good = login(app, " Manager@A.example", PASSWORD).await.expect(200);
    assert_eq!(
        (
            good.header("cache-control").as_deref(),
            &good.json()["token_type"],
            &good.json()["expires_in"]
        ),
        (Some("no-store"), &json!("Bearer"), &json!(900))
    );
    let token = good.json()["access_token"].as_str().unwrap().to_owned();
    let me = app.get(&token, "/v1/me").await.expect(200).json();
    assert_eq!(
        (&me["organization_id"], &me["roles"], &me["person_id"]),
        (
            &json!(app.keys.organization),
            &json!(["admin", "manager"]),
            &json!(app.keys.person)
        )
    );
    let wrong = said(
        login(app, "manager@a.example", "wrong horse battery")
            .await
            .problem(401, "unauthenticated"),
    );
    let unknown = said(
        login(app, "nobody@a.example", PASSWORD)
            .await
            .problem(401, "unauthenticated"),
    );
    assert_eq!(wrong, unknown);
    let key = app
        .get(&app.keys.manager, "/v1/me")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&key["actor"]["kind"], &key["roles"], &key["person_id"]),
        (
            &json!("api_key"),
            &json!(["manager"]),
            &json!(app.keys.person)
        )
    );
}

async fn failures_slow_the_next_attempt_and_never_lock_out(app: &TestApp) {
    for email in ["manager@a.example", "nobody@a.example"] {
        for _ in 0..5 {
            login(app, email, "wrong horse battery")
                .await
                .problem(401, "unauthenticated");
        }
        for (pause, failures) in [(1, 6), (2, 7), (4, 8)] {
            let refused = login(app, email, PASSWORD).await;
            let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
            refused.problem(429, "rate_limited");
            assert!(
                (pause..=pause + 1).contains(&wait),
                "{wait} s after {} failures",
                failures - 1
            );
            app.pass(pause);
            login(app, email, "wrong horse battery")
                .await
                .problem(401, "unauthenticated");
        }
        for _ in 0..6 {
            app.pass(61);
            login(app, email, "wrong horse battery")
                .await
                .problem(401, "unauthenticated");
        }
        let wait: i64 = login(app, email, PASSWORD)
            .await
            .header("retry-after")
            .unwrap()
            .parse()
            .unwrap();
        assert!(wait <= 61, "never more than a minute: {wait}");
        app.pass(60);
    }
    login(app, "manager@a.example", PASSWORD).await.expect(200);
    login(app, "manager@a.example", "wrong horse battery")
        .await
        .problem(401, "unauthenticated");
    app.pass(10); // so many failures came from here that the source waits, too
    login(app, "manager@a.example", PASSWORD).await.expect(200);
}

async fn a_refresh_token_is_used_once_and_its_reuse_ends_the_family(app: &TestApp) {
    let first = login(app, "manager@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let other = login(app, "manager@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let second = refresh(app, &first["refresh_token"])
        .await
        .expect(200)
        .json();
    app.get(second["access_token"].as_str().unwrap(), "/v1/me")
        .await
        .expect(200);
    let third = refresh(app, &second["refresh_token"])
        .await
        .expect(200)
        .json();
    refresh(app, &first["refresh_token"])
        .await
        .problem(401, "unauthenticated");
    refresh(app, &third["refresh_token"])
        .await
        .problem(401, "unauthenticated");
    let next = refresh(app, &other["refresh_token"])
        .await
        .expect(200)
        .json();
    for bad in [json!("nothing"), next["access_token"].clone()] {
        let reply = refresh(app, &bad).await;
        assert!([401, 422].contains(&reply.status), "{}", reply.text());
    }
    app.post(
        "",
        "/v1/auth/logout",
        &json!({"refresh_token": next["refresh_token"]}),
    )
    .await
    .expect(204);
    refresh(app, &next["refresh_token"])
        .await
        .problem(401, "unauthenticated");
    let old = login(app, "manager@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    app.pass_days(31);
    refresh(app, &old["refresh_token"])
        .await
        .problem(401, "unauthenticated");
}

async fn who_is_disabled_is_out_at_once(app: &TestApp) {
    let (admin, user) = (
        &app.keys.admin,
        format!("/v1/users/{}", app.keys.approver_user),
    );
    let tokens = login(app, "approver@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let token = tokens["access_token"].as_str().unwrap();
    app.get(token, "/v1/assets").await.expect(200);
    app.get(&app.keys.approver, "/v1/assets").await.expect(200);
    app.patch(
        admin,
        &user,
        "*",
        &json!({"disabled_at": "2026-11-20T00:00:00Z"}),
    )
    .await
    .expect(200);
    for credential in [token, &app.keys.approver] {
        app.get(credential, "/v1/assets")
            .await
            .problem(401, "unauthenticated");
    }
    login(app, "approver@a.example", PASSWORD)
        .await
        .problem(401, "unauthenticated");
    refresh(app, &tokens["refresh_token"])
        .await
        .problem(401, "unauthenticated");
    app.patch(admin, &user, "*", &json!({"disabled_at": null}))
        .await
        .expect(200);
    login(app, "approver@a.example", PASSWORD).await.expect(200);
    app.get(&app.keys.approver, "/v1/assets").await.expect(200);
    app.delete(admin, &user, "*").await.problem(409, "in_use"); // its key needs it
    let made = app
        .user(
            admin,
            &json!({"email": "passing@a.example", "roles": ["auditor"]}),
        )
        .await;
    login(app, "passing@a.example", PASSWORD).await.expect(200);
    app.delete(
        admin,
        &format!("/v1/users/{}", made["id"].as_str().unwrap()),
        "*",
    )
    .await
    .expect(204);
    login(app, "passing@a.example", PASSWORD)
        .await
        .problem(401, "unauthenticated");
}

async fn roles_that_are_taken_away_are_gone_at_once(app: &TestApp) {
    let (admin, user) = (
        &app.keys.admin,
        format!("/v1/users/{}", app.keys.contributor_user),
    );
    let tokens = login(app, "contributor@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let token = tokens["access_token"].as_str().unwrap();
    let action = json!({"name": "Mine"});
    app.post(token, "/v1/actions", &action).await.expect(201);
    app.patch(admin, &user, "*", &json!({"roles": ["auditor"]}))
        .await
        .expect(200);
    app.post(token, "/v1/actions", &action)
        .await
        .problem(403, "forbidden");
    app.get(token, "/v1/actions").await.expect(200);
    assert_eq!(
        app.patch(admin, &user, "*", &json!({"roles": []}))
            .await
            .pointers(),
        ["/roles"]
    );
    assert_eq!(
        app.patch(admin, &user, "*", &json!({"roles": ["owner"]}))
            .await
            .pointers(),
        ["/roles/0"]
    );
}

async fn an_access_token_lives_fifteen_minutes_and_is_pinned(app: &TestApp) {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = &app.keys.admin;
    app.pass(899);
    app.get(token, "/v1/me").await.expect(200);
    let parts: Vec<&str> = token.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(br#"{"typ":"at+jwt","alg":"none"}"#);
    let other = URL_SAFE_NO_PAD.encode(br#"{"typ":"JWT","alg":"HS256"}"#);
    for forged in [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{other}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{token}x"),
    ] {
        app.get(&forged, "/v1/me")
            .await
            .problem(401, "unauthenticated");
    }
    let foreign = login(app, "manager@b.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let swapped = format!(
        "{}.{}.{}",
        parts[0],
        foreign["access_token"]
            .as_str()
            .unwrap()
            .split('.')
            .nth(1)
            .unwrap(),
        parts[2]
    );
    app.get(&swapped, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    app.pass(2);
    app.get(token, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    for scheme in ["Basic", "bearer", "Token"] {
        let authorization = format!("{scheme} {}", app.keys.manager);
        let status = app
            .send(
                "",
                Method::GET,
                "/v1/me",
                &[("Authorization", &authorization)],
                None,
            )
            .await
            .status;
        assert_eq!(
            status,
            if scheme == "bearer" { 200 } else { 401 },
            "{scheme}"
        );
    }
}

async fn a_user_changes_their_own_password(app: &TestApp) {
    let tokens = login(app, "approver@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let token = tokens["access_token"].as_str().unwrap();
    let change = |old: &str, new: &str| json!({"current_password": old, "new_password": new});
    app.post(
        &app.keys.approver,
        "/v1/me/password",
        &change(PASSWORD, "another horse battery"),
    )
    .await
    .problem(403, "forbidden");
    assert_eq!(
        app.post(
            token,
            "/v1/me/password",
            &change("wrong horse battery", "another horse battery")
        )
        .await
        .pointers(),
        ["/current_password"]
    );
    assert_eq!(
        app.post(token, "/v1/me/password", &change(PASSWORD, "short"))
            .await
            .pointers(),
        ["/new_password"]
    );
    app.post(
        token,
        "/v1/me/password",
        &change(PASSWORD, "another horse battery"),
    )
    .await
    .expect(204);
    login(app, "approver@a.example", PASSWORD)
        .await
        .problem(401, "unauthenticated");
    login(app, "approver@a.example", "another horse battery")
        .await
        .expect(200);
    refresh(app, &tokens["refresh_token"])
        .await
        .problem(401, "unauthenticated");
    let entries = app
        .get(
            &app.keys.admin,
            &format!("/v1/users/{}/history?include=body", app.keys.approver_user),
        )
        .await;
    assert!(
        !entries.text().contains("horse") && !entries.text().contains("argon2"),
        "a secret stands in the history"
    );
    assert_eq!(entries.data()[0]["action"], "change_password");
}

async fn one_address_may_be_in_two_organizations(app: &TestApp) {
    let user = json!({"email": "manager@b.example", "roles": ["auditor"]});
    app.user(&app.keys.admin, &user).await;
    app.post(&app.keys.admin, "/v1/users", &user)
        .await
        .problem(409, "conflict");
    // Which of them is meant has to be said; that the password fits is not.
    let refused = said(
        login(app, "manager@b.example", PASSWORD)
            .await
            .problem(401, "unauthenticated"),
    );
    let wrong = said(
        login(app, "manager@a.example", "wrong horse battery")
            .await
            .problem(401, "unauthenticated"),
    );
    assert_eq!(refused, wrong);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("organization_id")
    );
    for organization in [&app.keys.organization, &app.keys.b_organization] {
        let body = json!({"email": "manager@b.example", "password": PASSWORD,
            "organization_id": organization});
        let tokens = app
            .post("", "/v1/auth/login", &body)
            .await
            .expect(200)
            .json();
        let me = app
            .get(tokens["access_token"].as_str().unwrap(), "/v1/me")
            .await
            .expect(200)
            .json();
        assert_eq!(me["organization_id"], json!(organization));
    }
}

async fn auditors_see_accounts_without_addresses(app: &TestApp) {
    let user = format!("/v1/users/{}", app.keys.approver_user);
    app.patch(
        &app.keys.admin,
        &user,
        "*",
        &json!({"roles": ["approver", "auditor"], "email": "director@a.example"}),
    )
    .await
    .expect(200);
    for key in [&app.keys.auditor, &app.keys.internal_auditor] {
        let one = app.get(key, &user).await.expect(200).json();
        assert_eq!(
            (&one["email"], &one["roles"], &one["name"]),
            (
                &Value::Null,
                &json!(["approver", "auditor"]),
                &json!("approver")
            )
        );
        assert_eq!(one["person_id"], json!(app.keys.approver_person));
        let history = app
            .get(key, &format!("{user}/history?include=body"))
            .await
            .expect(200);
        assert_eq!(
            history.json()["data"][0]["changes"]
                .as_array()
                .unwrap()
                .len(),
            1,
            "{}",
            history.text()
        );
        for path in [
            "/v1/users?include=refs,total&limit=200",
            "/v1/users/export",
            "/v1/ledger/entries?kind=user&limit=200",
            "/v1/events?kind=user",
        ] {
            let reply = app.get(key, path).await.expect(200);
            assert!(
                reply.bytes.len() > 200 && !reply.text().contains("director@"),
                "{path}: {}",
                reply.text()
            );
        }
        for text in [
            one.to_string(),
            history.text(),
            app.get(key, "/v1/users/export").await.text(),
        ] {
            assert!(
                !text.contains("director@") && !text.contains("contributor@"),
                "{text}"
            );
        }
        assert!(
            app.get(key, "/v1/users?q=director").await.data().is_empty(),
            "nor are they found by them"
        );
        for path in [
            "/v1/users?email=director@a.example",
            "/v1/users/export?email=director@a.example",
        ] {
            app.get(key, path).await.problem(403, "forbidden");
        }
        app.patch(key, &user, "*", &json!({"name": "x"}))
            .await
            .problem(403, "forbidden");
    }
    let admin = &app.keys.admin;
    assert_eq!(
        app.get(admin, &user).await.expect(200).json()["email"],
        "director@a.example"
    );
    assert_eq!(
        app.get(admin, "/v1/users?email=director@a.example")
            .await
            .data()
            .len(),
        1
    );
}
