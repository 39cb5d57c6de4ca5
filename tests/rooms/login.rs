//! Guesses: counted before they are looked at, by account and by source, and taken back for nobody
//! but the account that logged in. No answer tells whether an address is known.
use crate::support::{PASSWORD, Reply, TestApp};
use diesel::connection::SimpleConnection;
use futures_util::future::join_all;
use isms::db::{Conn, Manager};
use serde_json::{Value, json};
use std::collections::BTreeMap;

crate::on_both!(
    guesses_that_come_together_are_counted_each,
    guesses_from_many_sources_are_counted_together,
    one_source_does_not_try_many_accounts,
    another_organization_resets_nothing,
    what_is_counted_depends_on_no_account,
    a_name_of_several_organizations_is_no_oracle,
    guesses_of_the_own_password_are_counted_each,
    logins_do_not_wait_for_writes,
    so_many_logins_wait_and_no_more,
    a_token_with_critical_extensions_is_refused,
    what_ends_a_session_ends_its_access_tokens,
    the_fingerprint_of_a_retry_needs_the_key,
    old_answers_of_others_stay
);

const WRONG: &str = "wrong horse battery";

fn body(email: &str, password: &str, organization: Option<&str>) -> Value {
    match organization {
        Some(id) => json!({"email": email, "password": password, "organization_id": id}),
        None => json!({"email": email, "password": password}),
    }
}
async fn login(app: &TestApp, email: &str, password: &str, organization: Option<&str>) -> Reply {
    app.post("", "/v1/auth/login", &body(email, password, organization))
        .await
}
fn counted(replies: &[Reply]) -> BTreeMap<u16, usize> {
    let mut all = BTreeMap::new();
    replies
        .iter()
        .for_each(|reply| *all.entry(reply.status).or_default() += 1);
    all
}

async fn guesses_that_come_together_are_counted_each(app: &TestApp) {
    for email in ["manager@a.example", "nobody@a.example"] {
        let tries = (0..100).map(|n| async move {
            let organization = (n % 2 == 0).then_some(app.keys.organization.as_str());
            login(app, email, WRONG, organization).await
        });
        let found = counted(&join_all(tries).await);
        assert_eq!(found, BTreeMap::from([(401, 5), (429, 95)]), "{email}");
        // A pause over, and again one of those that come together is looked at.
        app.pass(61);
        let again = join_all((0..40).map(|_| login(app, email, WRONG, None))).await;
        assert_eq!(counted(&again).get(&401), Some(&1), "{email}");
    }
}

async fn guesses_from_many_sources_are_counted_together(app: &TestApp) {
    let addresses: Vec<String> = (1..=60).map(|n| format!("192.0.2.{n}")).collect();
    let guess = body("manager@a.example", WRONG, None);
    let tries = addresses
        .iter()
        .map(|address| app.from(address, "/v1/auth/login", &guess));
    assert_eq!(
        counted(&join_all(tries).await),
        BTreeMap::from([(401, 5), (429, 55)])
    );
}

async fn one_source_does_not_try_many_accounts(app: &TestApp) {
    let guesses: Vec<Value> = (0..60)
        .map(|n| body(&format!("u{n}@a.example"), WRONG, None))
        .collect();
    let tries = guesses
        .iter()
        .map(|guess| app.from("192.0.2.1", "/v1/auth/login", guess));
    let found = counted(&join_all(tries).await);
    assert_eq!(found, BTreeMap::from([(401, 20), (429, 40)]));
    // The neighbours of one host in IPv6 are the same source; others go on.
    let other = body("manager@a.example", PASSWORD, None);
    app.from("192.0.2.1", "/v1/auth/login", &other)
        .await
        .problem(429, "rate_limited");
    app.from("192.0.2.2", "/v1/auth/login", &other)
        .await
        .expect(200);
    for n in 0..40 {
        let guess = body(&format!("v{n}@a.example"), WRONG, None);
        let reply = app
            .from(&format!("2001:db8::{n:x}"), "/v1/auth/login", &guess)
            .await;
        assert_eq!(reply.status, if n < 20 { 401 } else { 429 }, "{n}");
    }
    // It waits for seconds, not for ever.
    app.pass(11);
    app.from("192.0.2.1", "/v1/auth/login", &other)
        .await
        .expect(200);
}

async fn another_organization_resets_nothing(app: &TestApp) {
    let email = "manager@a.example";
    let ours = json!({"name": "Mine", "email": email, "roles": ["auditor"]});
    app.user(&app.keys.b_admin, &ours).await;
    let (a, b) = (
        app.keys.organization.as_str(),
        app.keys.b_organization.as_str(),
    );
    let mut looked_at = 0;
    for _ in 0..20 {
        looked_at += usize::from(login(app, email, WRONG, Some(a)).await.status == 401);
        login(app, email, PASSWORD, Some(b)).await.expect(200);
    }
    assert_eq!(looked_at, 5, "logins elsewhere gave guesses back");
    login(app, email, PASSWORD, Some(a))
        .await
        .problem(429, "rate_limited");
    app.pass(2);
    login(app, email, PASSWORD, Some(a)).await.expect(200);
    // That account is reset, and it alone.
    for _ in 0..5 {
        login(app, email, WRONG, Some(a))
            .await
            .problem(401, "unauthenticated");
    }
    login(app, email, WRONG, Some(a))
        .await
        .problem(429, "rate_limited");
    login(app, email, PASSWORD, Some(b)).await.expect(200);
}

/// The same questions are answered alike, whether the address is known to one organization, to the
/// other, or to none.
async fn what_is_counted_depends_on_no_account(app: &TestApp) {
    let (a, b) = (
        Some(app.keys.organization.as_str()),
        Some(app.keys.b_organization.as_str()),
    );
    let walks: [&[Option<&str>]; 4] = [
        &[None, None, None, None, None, a, b, None],
        &[a, a, a, a, a, None, b, a],
        &[a, b, None, a, b, None, a, b, None],
        &[b, b, b, b, b, b, a, None],
    ];
    for (n, walk) in walks.iter().enumerate() {
        let mut seen = Vec::new();
        for email in [
            "approver@a.example",
            "manager@b.example",
            "nobody@c.example",
        ] {
            app.pass(90_000);
            let mut answers = Vec::new();
            for organization in *walk {
                let mut reply = login(app, email, WRONG, *organization).await;
                let wait = reply.header("retry-after");
                reply.headers.clear();
                let mut problem = reply.json();
                problem["request_id"] = Value::Null;
                answers.push((wait, problem));
            }
            seen.push(answers);
        }
        assert!(
            seen.iter().all(|answers| *answers == seen[0]),
            "walk {n}: {seen:#?}"
        );
        let refused = seen[0]
            .iter()
            .filter(|(_, problem)| problem["status"] == 429)
            .count();
        assert!(refused > 0, "walk {n} was never refused");
    }
}

async fn a_name_of_several_organizations_is_no_oracle(app: &TestApp) {
    let email = "manager@a.example";
    app.user(
        &app.keys.b_admin,
        &json!({"name": "Mine", "email": email, "roles": ["auditor"]}),
    )
    .await;
    let said = |reply: Reply| {
        let mut problem = reply.problem(401, "unauthenticated");
        problem["request_id"] = Value::Null;
        problem
    };
    // The password fits both, one, none: the same answer, and each is counted.
    let fits_both = said(login(app, email, PASSWORD, None).await);
    let change = json!({"current_password": PASSWORD, "new_password": "seven green boats drift"});
    let tokens = login(app, email, PASSWORD, Some(&app.keys.b_organization))
        .await
        .expect(200)
        .json();
    app.post(
        tokens["access_token"].as_str().unwrap(),
        "/v1/me/password",
        &change,
    )
    .await
    .expect(204);
    let fits_one = said(login(app, email, PASSWORD, None).await);
    let fits_none = said(login(app, email, WRONG, None).await);
    assert!(
        fits_both == fits_one && fits_one == fits_none,
        "{fits_both} {fits_one} {fits_none}"
    );
    said(login(app, email, WRONG, None).await);
    said(login(app, email, WRONG, None).await);
    login(app, email, PASSWORD, None)
        .await
        .problem(429, "rate_limited");
    // An account that may not come in makes no ambiguity.
    app.pass(10);
    let user = app
        .get(&app.keys.b_admin, &format!("/v1/users?email={email}"))
        .await
        .data();
    let path = format!("/v1/users/{}", user[0]["id"].as_str().unwrap());
    app.delete(&app.keys.b_admin, &path, "*").await.expect(204);
    login(app, email, PASSWORD, None).await.expect(200);
}

async fn guesses_of_the_own_password_are_counted_each(app: &TestApp) {
    let change = json!({"current_password": WRONG, "new_password": "seven green boats drift"});
    let tries = (0..40).map(|_| app.post(&app.keys.admin, "/v1/me/password", &change));
    assert_eq!(
        counted(&join_all(tries).await),
        BTreeMap::from([(422, 5), (429, 35)])
    );
    app.pass(2);
    let right = json!({"current_password": PASSWORD, "new_password": "seven green boats drift"});
    app.post(&app.keys.admin, "/v1/me/password", &right)
        .await
        .expect(204);
}

async fn logins_do_not_wait_for_writes(app: &TestApp) {
    let tokens = login(app, "manager@a.example", PASSWORD, None)
        .await
        .expect(200)
        .json();
    let mut conn: Conn = r2d2::ManageConnection::connect(&Manager::new(&app.url).unwrap()).unwrap();
    let hold = if app.embedded() {
        "BEGIN IMMEDIATE"
    } else {
        "BEGIN; LOCK TABLE ledger_heads"
    };
    conn.batch_execute(hold).unwrap();
    let began = std::time::Instant::now();
    login(app, "manager@a.example", PASSWORD, None)
        .await
        .expect(200);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let next = app
        .post("", "/v1/auth/refresh", &refresh)
        .await
        .expect(200)
        .json();
    login(app, "manager@a.example", WRONG, None)
        .await
        .problem(401, "unauthenticated");
    let refresh = json!({"refresh_token": next["refresh_token"]});
    app.post("", "/v1/auth/logout", &refresh).await.expect(204);
    assert!(
        began.elapsed() < std::time::Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    conn.batch_execute("ROLLBACK").unwrap();
}

async fn so_many_logins_wait_and_no_more(app: &TestApp) {
    let all: Vec<(String, Value)> = (0..120)
        .map(|n| {
            (
                format!("192.0.2.{n}"),
                body(&format!("u{n}@a.example"), WRONG, None),
            )
        })
        .collect();
    let tries = all
        .iter()
        .map(|(address, guess)| app.from(address, "/v1/auth/login", guess));
    let replies = join_all(tries).await;
    let found = counted(&replies);
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        [401, 503],
        "{found:?}"
    );
    assert!(found[&401] > 32 && found[&503] > 20, "{found:?}");
    let busy = replies
        .iter()
        .position(|reply| reply.status == 503)
        .unwrap();
    assert!(replies[busy].header("retry-after").is_some());
    // What was not looked at is not counted.
    let (address, guess) = &all[busy];
    for n in 0..6 {
        let status = app.from(address, "/v1/auth/login", guess).await.status;
        assert_eq!(status, if n < 5 { 401 } else { 429 });
    }
}

async fn a_token_with_critical_extensions_is_refused(app: &TestApp) {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    use hmac::{Hmac, KeyInit, Mac};
    let key = std::fs::read(app.dir.path().join("token.key")).unwrap();
    let parts: Vec<&str> = app.keys.admin.split('.').collect();
    let signed = |header: Value| {
        let text = format!("{}.{}", B64.encode(header.to_string()), parts[1]);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(text.as_bytes());
        format!("{text}.{}", B64.encode(mac.finalize().into_bytes()))
    };
    let good = signed(json!({"typ": "at+jwt", "alg": "HS256"}));
    app.get(&good, "/v1/me").await.expect(200);
    for crit in [json!(["exp"]), json!(["x"]), json!([]), Value::Null] {
        let token = signed(json!({"typ": "at+jwt", "alg": "HS256", "crit": crit, "x": 1}));
        app.get(&token, "/v1/me")
            .await
            .problem(401, "unauthenticated");
    }
}

async fn what_ends_a_session_ends_its_access_tokens(app: &TestApp) {
    let (admin, email) = (&app.keys.admin, "contributor@a.example");
    let begin = async || {
        let tokens = login(app, email, PASSWORD, None).await.expect(200).json();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        app.get(&text("access_token"), "/v1/me").await.expect(200);
        (
            text("access_token"),
            json!({"refresh_token": text("refresh_token")}),
        )
    };
    let ended = async |(access, refresh): &(String, Value)| {
        app.get(access, "/v1/me")
            .await
            .problem(401, "unauthenticated");
        app.post("", "/v1/auth/refresh", refresh)
            .await
            .problem(401, "unauthenticated");
    };
    let path = format!("/v1/users/{}", app.keys.contributor_user);
    // A logout ends that session and no other.
    let (one, other) = (begin().await, begin().await);
    app.post("", "/v1/auth/logout", &one.1).await.expect(204);
    ended(&one).await;
    app.get(&other.0, "/v1/me").await.expect(200);
    // A refresh token that comes twice ends the access tokens of its session.
    app.post("", "/v1/auth/refresh", &other.1).await.expect(200);
    app.post("", "/v1/auth/refresh", &other.1)
        .await
        .problem(401, "unauthenticated");
    ended(&other).await;
    // So do the end of the account, for good, and a change of the password.
    let was = begin().await;
    for disabled in [json!("2026-11-20T00:00:00Z"), Value::Null] {
        app.patch(admin, &path, "*", &json!({"disabled_at": disabled}))
            .await
            .expect(200);
        ended(&was).await;
    }
    let (one, other) = (begin().await, begin().await);
    let change = json!({"current_password": PASSWORD, "new_password": "seven green boats drift"});
    app.post(&one.0, "/v1/me/password", &change)
        .await
        .expect(204);
    ended(&one).await;
    ended(&other).await;
    // `GET /v1/me` says when the token ends.
    let me = app.get(admin, "/v1/me").await.expect(200).json();
    assert_eq!(me["expires_at"], "2026-11-20T09:15:00.000Z");
    // What is said of a missing credential is not said of one that has ended.
    let none = app.get("", "/v1/me").await.problem(401, "unauthenticated");
    let unknown = app
        .get(&one.0, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    let rubbish = app
        .get("rubbish", "/v1/me")
        .await
        .problem(401, "unauthenticated");
    assert_ne!(none["detail"], unknown["detail"]);
    assert_eq!(rubbish["detail"], unknown["detail"]);
}

async fn the_fingerprint_of_a_retry_needs_the_key(app: &TestApp) {
    use diesel::prelude::*;
    use isms::db::schema::idempotency_keys as i;
    use sha2::{Digest, Sha256};
    let body = json!({"email": "new@a.example", "roles": ["auditor"]});
    let headers = [("Idempotency-Key", "guess")];
    let send = app.send(
        &app.keys.admin,
        actix_web::http::Method::POST,
        "/v1/users",
        &headers,
        Some(&body),
    );
    send.await.expect(201);
    let stored: Vec<Vec<u8>> = i::table
        .select(i::fingerprint)
        .load(&mut app.conn())
        .unwrap();
    let asked = serde_json::to_vec(&("POST", "/v1/users", Vec::<(String, String)>::new())).unwrap();
    let content = serde_json::to_vec(&body).unwrap();
    let plain = Sha256::new()
        .chain_update(&asked)
        .chain_update([0])
        .chain_update(&content)
        .finalize();
    assert!(
        stored
            .iter()
            .all(|found| found.len() == 32 && found.as_slice() != plain.as_slice())
    );
}

async fn old_answers_of_others_stay(app: &TestApp) {
    use diesel::prelude::*;
    use isms::db::schema::idempotency_keys as i;
    let asset = json!({"name": "x", "asset_type": "software", "classification": "public"});
    let send = async |key: &str, name: &str| {
        let headers = [("Idempotency-Key", name)];
        let post = actix_web::http::Method::POST;
        app.send(key, post, "/v1/assets", &headers, Some(&asset))
            .await
            .expect(201);
    };
    for n in 0..30 {
        app.pass(1);
        send(&app.keys.manager, &format!("a{n}")).await;
    }
    send(&app.keys.b_manager, "b").await;
    app.pass_days(2);
    let left = || i::table.count().get_result::<i64>(&mut app.conn()).unwrap();
    send(&app.keys.manager, "c").await;
    assert_eq!(
        left(),
        12,
        "twenty at a time, and none of another organization"
    );
    send(&app.keys.manager, "c2").await;
    assert_eq!(left(), 3);
    send(&app.keys.b_manager, "b").await;
    assert_eq!(left(), 3, "an old key is free again");
}
