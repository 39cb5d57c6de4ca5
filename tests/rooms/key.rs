//! API keys: shown once, cut down to their limits, ended at once, rotated without a gap; and the rate of each.
use super::{at, key, made};
use crate::support::{Settings, TestApp};
use serde_json::{Value, json};

crate::on_both!(
    a_secret_is_shown_once,
    a_key_ends_by_the_clock_or_when_it_is_revoked,
    a_rotated_key_overlaps_for_a_day,
    a_key_of_some_scopes_sees_and_writes_those_alone,
    a_key_of_some_controls_and_a_period_sees_their_evidence
);

async fn a_secret_is_shown_once(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Robot", "role": "auditor", "expires_at": "2027-01-01T00:00:00+02:00"});
    let made = app.post(admin, "/v1/api-keys", &body).await.expect(201).json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("isms_") && secret.len() == 44, "{secret}");
    assert_eq!(made["expires_at"], "2026-12-31T22:00:00.000Z");
    for path in [
        at("api-keys", &made),
        format!("{}/history?include=body", at("api-keys", &made)),
        "/v1/api-keys?limit=200".into(),
        "/v1/events?limit=200&after=60".into(),
    ] {
        assert!(!app.get(admin, &path).await.expect(200).text().contains(secret), "{path}");
    }
    let me = app.get(secret, "/v1/me").await.expect(200).json();
    assert_eq!((&me["actor"]["id"], &me["expires_at"], &me["person_id"]), (&made["id"], &made["expires_at"], &Value::Null));
    assert_eq!(
        app.post(admin, "/v1/api-keys", &json!({"name": "x", "role": "auditor", "expires_at": "2026-11-20T00:00:00Z"})).await.pointers(),
        ["/expires_at"]
    );
    assert_eq!(
        app.post(admin, "/v1/api-keys", &json!({"name": "x", "role": "owner", "expires_at": "2027-01-01T00:00:00Z"})).await.pointers(),
        ["/role"]
    );
    let unknown = json!({"name": "x", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z", "limits": {"scope_ids": ["SCO-9"], "control_ids": [app.keys.person]}});
    assert_eq!(app.post(admin, "/v1/api-keys", &unknown).await.pointers(), ["/limits/control_ids/0", "/limits/scope_ids/0"]);
}

async fn a_key_ends_by_the_clock_or_when_it_is_revoked(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Short", "role": "auditor", "expires_at": "2026-11-20T09:10:00Z"});
    let short = app.post(admin, "/v1/api-keys", &body).await.expect(201).json();
    let (secret, path) = (short["secret"].as_str().unwrap(), at("api-keys", &short));
    app.pass(599);
    app.get(secret, "/v1/assets").await.expect(200);
    app.pass(2);
    app.get(secret, "/v1/assets").await.problem(401, "unauthenticated");
    for end in ["2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z", "2027-11-20T00:00:00Z"] {
        assert_eq!(
            app.patch(admin, &path, "*", &json!({"expires_at": end})).await.pointers(),
            ["/expires_at"],
            "what has ended stays ended"
        );
    }
    app.act(admin, &format!("{path}/rotate"), &json!({})).await.expect(422);
    app.patch(admin, &path, "*", &json!({"name": "Ended"})).await.expect(200);
    app.get(secret, "/v1/assets").await.problem(401, "unauthenticated");
    let body = json!({"name": "Longer", "role": "auditor", "expires_at": "2026-11-21T09:00:00Z"});
    let longer = app.post(admin, "/v1/api-keys", &body).await.expect(201).json();
    let (secret, path) = (longer["secret"].as_str().unwrap(), at("api-keys", &longer));
    app.patch(admin, &path, "*", &json!({"role": "collector"})).await.expect(200);
    app.get(secret, "/v1/assets").await.problem(403, "forbidden");
    assert_eq!(app.act(admin, &format!("{path}/revoke"), &json!({})).await.pointers(), ["/comment"]);
    let revoked = app.act(admin, &format!("{path}/revoke"), &json!({"comment": "lost"})).await.expect(200).json();
    assert_eq!((&revoked["status"], revoked["revoked_at"].is_string()), (&json!("revoked"), true));
    app.get(secret, "/v1/evidence").await.problem(401, "unauthenticated");
    app.act(admin, &format!("{path}/rotate"), &json!({})).await.problem(409, "illegal_transition");
}

async fn a_rotated_key_overlaps_for_a_day(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Robot", "role": "auditor", "expires_at": "2027-01-01T00:00:00Z"});
    let made = app.post(admin, "/v1/api-keys", &body).await.expect(201).json();
    let rotated = app.act(admin, &format!("{}/rotate", at("api-keys", &made)), &json!({"comment": "yearly"})).await.expect(200);
    assert_eq!(rotated.header("cache-control").as_deref(), Some("no-store"));
    let rotated = rotated.json();
    let (old, new) = (made["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(old, new);
    app.pass(24 * 3600 - 1);
    for secret in [old, new] {
        assert_eq!(app.get(secret, "/v1/me").await.expect(200).json()["actor"]["id"], made["id"]);
    }
    app.pass(2);
    app.get(old, "/v1/me").await.problem(401, "unauthenticated");
    app.get(new, "/v1/me").await.expect(200);
}

async fn a_key_of_some_scopes_sees_and_writes_those_alone(app: &TestApp) {
    let manager = &app.keys.manager;
    let (shop, other) =
        (made(app, "scopes", "Shop", json!({"statement": "s"})).await, made(app, "scopes", "Other", json!({"statement": "s"})).await);
    let limited = key(app, "manager", None, json!({"scope_ids": [shop["code"]]})).await;
    let mut paths = Vec::new();
    for (path, more) in [
        ("assets", json!({"asset_type": "software", "classification": "internal"})),
        ("risks", json!({})),
        ("controls", json!({"requirements": ["iso-27001-2022:A.5.1"]})),
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
        let seen = app.get(&limited, &format!("/v1/{path}?include=total,counts,refs&sort=code")).await.expect(200).json();
        let names: Vec<&str> = seen["data"].as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect();
        assert_eq!((names, &seen["total"]), (vec!["mine", "shared"], &json!(2)), "{path}");
        assert!(seen["refs"].get(other["id"].as_str().unwrap()).is_none() && seen["refs"][shop["id"].as_str().unwrap()].is_object());
        for rest in ["", "/history"] {
            app.get(&limited, &format!("{}{rest}", at(path, &foreign))).await.problem(404, "not_found");
            app.get(&limited, &format!("{}{rest}", at(path, &shared))).await.expect(200);
        }
        app.patch(&limited, &at(path, &foreign), "*", &json!({"tags": ["x"]})).await.problem(404, "not_found");
        app.patch(&limited, &at(path, &shared), "*", &json!({"tags": ["x"]})).await.problem(403, "outside_limits");
        app.patch(&limited, &at(path, &mine), "*", &json!({"scope_ids": [shop["id"], other["id"]]})).await.pointers();
        app.patch(&limited, &at(path, &mine), "*", &json!({"tags": ["x"]})).await.expect(200);
        paths.push((path, foreign));
    }
    for view in ["/v1/overview", "/v1/risk-matrix"] {
        assert_ne!(app.get(&limited, view).await.expect(200).text(), app.get(manager, view).await.expect(200).text(), "{view}");
    }
    assert_eq!(app.get(&limited, "/v1/scopes").await.data().len(), 1);
    let events = app.get(&limited, "/v1/events?limit=200&after=60").await.expect(200).text();
    let entries = app.get(&limited, "/v1/ledger/entries?limit=200").await.expect(200).text();
    for (path, foreign) in &paths {
        let id = foreign["id"].as_str().unwrap();
        assert!(!events.contains(id) && !entries.contains(id), "{path}: the feed tells of another scope");
    }
    let tag = app.get(manager, "/v1/assets").await.etag();
    app.get_with(&limited, "/v1/assets", &[("If-None-Match", &tag)]).await.expect(200);
}
async fn a_key_of_some_controls_and_a_period_sees_their_evidence(app: &TestApp) {
    let control = async |name: &str| made(app, "controls", name, json!({})).await;
    let (mine, other) = (control("mine").await, control("other").await);
    let push = async |name: &str, on: &str, of: &Value| {
        made(
            app,
            "evidence",
            name,
            json!({"payload": name, "source": "s", "collected_at": format!("{on}T12:00:00Z"), "control_ids": [of["id"]]}),
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
    let limits = json!({"control_ids": [mine["id"]], "period_start_on": "2026-10-01", "period_end_on": "2026-10-31"});
    let limited = key(app, "auditor", None, limits.clone()).await;
    let names = |records: Vec<Value>| records.iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(app.get(&limited, "/v1/evidence?sort=code").await.data()), ["first", "last"]);
    assert_eq!(names(app.get(&limited, "/v1/controls").await.data()), ["mine"]);
    let seen = app.get(&limited, &at("controls", &mine)).await.expect(200).json();
    assert_eq!(seen["evidence"]["current"], 2, "aggregates are cut alike");
    let me = app.get(&limited, "/v1/me").await.expect(200).json();
    assert_eq!((&me["limits"]["control_ids"], &me["limits"]["period_end_on"]), (&limits["control_ids"], &limits["period_end_on"]));
}

#[actix_web::test]
async fn each_key_has_its_own_rate() {
    let app = TestApp::sqlite_with(Settings { rate_limit: 5, ..Settings::default() }).await;
    for left in (0..5).rev() {
        let reply = app.get(&app.keys.manager, "/v1/me").await.expect(200);
        assert_eq!(reply.header("ratelimit-policy").as_deref(), Some("\"key\";q=5;w=60"));
        assert!(reply.header("ratelimit").unwrap().starts_with(&format!("\"key\";r={left};t=")), "{:?}", reply.header("ratelimit"));
    }
    let refused = app.get(&app.keys.manager, "/v1/me").await;
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    assert!(refused.header("ratelimit").unwrap().starts_with("\"key\";r=0;"));
    refused.problem(429, "rate_limited");
    app.get(&app.keys.approver, "/v1/me").await.expect(200);
    app.get("", "/healthz").await.expect(200);
}
