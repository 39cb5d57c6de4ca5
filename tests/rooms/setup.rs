//! Setup tokens: the holder sets the password, once, in time; and nobody chooses one for another.
use crate::rooms::at;
use crate::support::{PASSWORD, Reply, TestApp};
use diesel::prelude::*;
use futures_util::future::join_all;
use isms::db::schema::{credentials as cr, ledger_entries as e};
use serde_json::{Value, json};

crate::on_both!(
    the_holder_sets_the_password_once,
    a_setup_token_ends_with_its_week_and_its_account,
    of_two_that_come_at_once_one_wins,
    nobody_chooses_a_password_for_another,
    a_reset_ends_the_password_and_the_sessions,
    passwords_that_are_tried_first_are_refused
);

async fn new_user(app: &TestApp, email: &str) -> Value {
    let body = json!({"name": "Somebody", "email": email, "roles": ["auditor"]});
    let reply = app
        .post(&app.keys.admin, "/v1/users", &body)
        .await
        .expect(201);
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    reply.json()
}
async fn set_up(app: &TestApp, token: &Value, password: &str) -> Reply {
    app.post(
        "",
        "/v1/auth/setup",
        &json!({"setup_token": token, "password": password}),
    )
    .await
}
async fn login(app: &TestApp, email: &str, password: &str) -> Reply {
    app.post(
        "",
        "/v1/auth/login",
        &json!({"email": email, "password": password}),
    )
    .await
}

async fn the_holder_sets_the_password_once(app: &TestApp) {
    let made = new_user(app, "new@a.example").await;
    let token = made["setup_token"].as_str().unwrap();
    assert!(token.starts_with("setup_") && token.len() == 38, "{token}");
    assert!(made.get("secret").is_none() && made.get("password").is_none());
    login(app, "new@a.example", token)
        .await
        .problem(401, "unauthenticated");
    app.get(token, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    let short = set_up(app, &made["setup_token"], "short").await;
    assert_eq!(short.pointers(), ["/password"]);
    let tokens = set_up(app, &made["setup_token"], PASSWORD)
        .await
        .expect(200)
        .json();
    let me = app
        .get(tokens["access_token"].as_str().unwrap(), "/v1/me")
        .await
        .expect(200)
        .json();
    assert_eq!(me["actor"]["id"], made["id"]);
    login(app, "new@a.example", PASSWORD).await.expect(200);
    let again = set_up(app, &made["setup_token"], "seven green boats drift").await;
    again.problem(401, "unauthenticated");
    login(app, "new@a.example", PASSWORD).await.expect(200);
    let path = format!("{}/history?include=body", at("users", &made));
    let history = app.get(&app.keys.admin, &path).await.expect(200);
    assert!(!history.text().contains("setup_") && !history.text().contains("argon2"));
    let data = history.data();
    assert_eq!(
        (&data[0]["action"], &data[0]["actor"]["id"]),
        (&json!("set_password"), &made["id"])
    );
    // What is kept says who issued it, and that the holder has set the password since.
    let id: isms::core::Id = isms::core::Id::parse(made["id"].as_str().unwrap()).unwrap();
    let row = cr::table.filter(cr::user_id.eq(id)).select((
        cr::issued_by,
        cr::holder_set_at,
        cr::setup_hash,
    ));
    type Row = (
        Option<isms::core::Id>,
        Option<isms::core::Instant>,
        Option<Vec<u8>>,
    );
    let (by, set, token): Row = row.get_result(&mut app.conn()).unwrap();
    assert_eq!(by.unwrap().to_string(), app.keys.user);
    assert!(set.is_some() && token.is_none());
    let bodies: Vec<String> = e::table.select(e::body).load(&mut app.conn()).unwrap();
    assert!(
        bodies
            .iter()
            .all(|body| !body.contains("setup_token") && !body.contains("argon2"))
    );
}

async fn a_setup_token_ends_with_its_week_and_its_account(app: &TestApp) {
    let late = new_user(app, "late@a.example").await;
    app.pass_days(7);
    app.pass(1);
    set_up(app, &late["setup_token"], PASSWORD)
        .await
        .problem(401, "unauthenticated");
    let tokens = login(app, "manager@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let admin = tokens["access_token"].as_str().unwrap();
    let user = async |email: &str, more: Value| {
        let mut body = json!({"name": "Somebody", "email": email, "roles": ["auditor"]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        app.post(admin, "/v1/users", &body).await.expect(201).json()
    };
    let gone = user("gone@a.example", json!({})).await;
    app.delete(admin, &at("users", &gone), "*")
        .await
        .expect(204);
    let off = user("off@a.example", json!({})).await;
    app.patch(
        admin,
        &at("users", &off),
        "*",
        &json!({"disabled_at": app.now()}),
    )
    .await
    .expect(200);
    let person = app
        .post(admin, "/v1/people", &json!({"name": "Leaver"}))
        .await
        .expect(201)
        .json();
    let left = user("left@a.example", json!({"person_id": person["id"]})).await;
    let ends = json!({"ends_on": "2026-11-01"});
    app.patch(admin, &at("people", &person), "*", &ends)
        .await
        .expect(200);
    for made in [&gone, &off, &left] {
        set_up(app, &made["setup_token"], PASSWORD)
            .await
            .problem(401, "unauthenticated");
    }
    app.patch(
        admin,
        &at("users", &off),
        "*",
        &json!({"disabled_at": null}),
    )
    .await
    .expect(200);
    set_up(app, &off["setup_token"], PASSWORD).await.expect(200);
    for bad in [
        "",
        "setup_",
        "setup_0123456789ABCDEFGHIJKLMNOPQRSTUV",
        app.keys.manager.as_str(),
    ] {
        let reply = set_up(app, &json!(bad), PASSWORD).await;
        assert_eq!(
            reply.status,
            if bad.is_empty() { 422 } else { 401 },
            "{bad}"
        );
    }
    // Guesses are counted by source.
    let guess =
        json!({"setup_token": "setup_0123456789ABCDEFGHIJKLMNOPQRSTUV", "password": PASSWORD});
    let tries = (0..40).map(|_| app.from("192.0.2.9", "/v1/auth/setup", &guess));
    let found = join_all(tries)
        .await
        .iter()
        .filter(|reply| reply.status == 401)
        .count();
    assert_eq!(found, 20);
}

async fn of_two_that_come_at_once_one_wins(app: &TestApp) {
    let made = new_user(app, "race@a.example").await;
    let passwords: Vec<String> = (0..8)
        .map(|n| format!("seven green boats drift {n}"))
        .collect();
    let tries = passwords
        .iter()
        .map(|password| set_up(app, &made["setup_token"], password));
    let replies = join_all(tries).await;
    let won: Vec<usize> = (0..8).filter(|n| replies[*n].status == 200).collect();
    assert_eq!(
        won.len(),
        1,
        "{:?}",
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>()
    );
    login(app, "race@a.example", &passwords[won[0]])
        .await
        .expect(200);
    assert!(
        replies
            .iter()
            .all(|reply| [200, 401].contains(&reply.status))
    );
}

async fn nobody_chooses_a_password_for_another(app: &TestApp) {
    let (admin, path) = (
        &app.keys.admin,
        format!("/v1/users/{}", app.keys.approver_user),
    );
    let body = json!({"email": "x@a.example", "roles": ["auditor"], "password": PASSWORD});
    assert_eq!(
        app.post(admin, "/v1/users", &body).await.pointers(),
        ["/password"]
    );
    let patch = json!({"password": PASSWORD});
    assert_eq!(
        app.patch(admin, &path, "*", &patch).await.pointers(),
        ["/password"]
    );
    let batch = json!({"items": [{"id": app.keys.approver_user, "if_match": "*", "patch": patch}]});
    let reply = app
        .post(admin, "/v1/users/batch", &batch)
        .await
        .expect(200)
        .json();
    assert_eq!(
        reply["data"][0]["problem"]["errors"][0]["pointer"],
        "/items/0/patch/password"
    );
}

async fn a_reset_ends_the_password_and_the_sessions(app: &TestApp) {
    let (admin, path) = (
        &app.keys.admin,
        format!("/v1/users/{}", app.keys.approver_user),
    );
    let tokens = login(app, "approver@a.example", PASSWORD)
        .await
        .expect(200)
        .json();
    let access = tokens["access_token"].as_str().unwrap();
    app.get(access, "/v1/me").await.expect(200);
    let reset = format!("{path}/reset-password");
    app.act(&app.keys.manager, &reset, &json!({}))
        .await
        .problem(403, "forbidden");
    app.act(&app.keys.b_admin, &reset, &json!({}))
        .await
        .problem(404, "not_found");
    let stale = [("If-Match", "\"99\"")];
    let post = actix_web::http::Method::POST;
    let old = app
        .send(admin, post, &reset, &stale, Some(&json!({})))
        .await;
    old.problem(412, "version_mismatch");
    let first = app
        .post(admin, &reset, &json!({"comment": "Forgotten."}))
        .await
        .expect(200)
        .json();
    app.get(access, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    app.post("", "/v1/auth/refresh", &refresh)
        .await
        .problem(401, "unauthenticated");
    login(app, "approver@a.example", PASSWORD)
        .await
        .problem(401, "unauthenticated");
    // The key of the account is another credential.
    app.get(&app.keys.approver, "/v1/me").await.expect(200);
    let second = app.act(admin, &reset, &json!({})).await.expect(200).json();
    assert_ne!(first["setup_token"], second["setup_token"]);
    set_up(app, &first["setup_token"], "seven green boats drift")
        .await
        .problem(401, "unauthenticated");
    set_up(app, &second["setup_token"], "seven green boats drift")
        .await
        .expect(200);
    login(app, "approver@a.example", "seven green boats drift")
        .await
        .expect(200);
    let history = app.get(admin, &format!("{path}/history")).await.data();
    let actions: Vec<&str> = history
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions[..3],
        ["set_password", "reset_password", "reset_password"]
    );
    assert_eq!(history[2]["reason"], "Forgotten.");
}

async fn passwords_that_are_tried_first_are_refused(app: &TestApp) {
    let made = new_user(app, "director@a.example").await;
    let rename = json!({"name": "Example Shop"});
    app.patch(&app.keys.admin, "/v1/organization", "*", &rename)
        .await
        .expect(200);
    for bad in [
        "password1234",
        "P@ssw0rd2026!",
        "123456789012",
        "director@a.example",
        "the Director 99",
        "example-shop-2026!",
    ] {
        let reply = set_up(app, &made["setup_token"], bad).await;
        assert_eq!(reply.pointers(), ["/password"], "{bad}");
    }
    let tokens = set_up(app, &made["setup_token"], PASSWORD)
        .await
        .expect(200)
        .json();
    let token = tokens["access_token"].as_str().unwrap();
    for bad in [
        "password1234",
        "the Director 99",
        "example-shop-2026!",
        PASSWORD,
    ] {
        let change = json!({"current_password": PASSWORD, "new_password": bad});
        let reply = app.post(token, "/v1/me/password", &change).await;
        assert_eq!(reply.pointers(), ["/new_password"], "{bad}");
    }
}
