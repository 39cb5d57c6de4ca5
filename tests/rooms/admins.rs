//! An organization always has somebody who administers it, whatever door is tried; and an address
//! belongs to one account that is not archived.
use crate::rooms::at;
use crate::support::{PASSWORD, TestApp};
use actix_web::http::Method;
use futures_util::future::join;
use serde_json::{Value, json};

crate::on_both!(
    the_last_admin_stays_by_every_door,
    two_admins_do_not_demote_each_other,
    who_cannot_log_in_for_long_is_no_other_admin,
    a_day_to_be_disabled_is_a_day_to_come,
    an_archived_account_frees_its_address
);

async fn token(app: &TestApp, email: &str) -> String {
    let tokens = app
        .post(
            "",
            "/v1/auth/login",
            &json!({"email": email, "password": PASSWORD}),
        )
        .await;
    tokens.expect(200).json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn the_last_admin_stays_by_every_door(app: &TestApp) {
    let (admin, user) = (&app.keys.admin, format!("/v1/users/{}", app.keys.user));
    let person = format!("/v1/people/{}", app.keys.person);
    for patch in [
        json!({"roles": ["manager"]}),
        json!({"disabled_at": "2026-01-01T00:00:00Z"}),
        json!({"disabled_at": "2999-01-01T00:00:00Z"}),
    ] {
        app.patch(admin, &user, "*", &patch)
            .await
            .problem(409, "last_admin");
        let item = json!({"id": app.keys.user, "if_match": "*", "patch": patch});
        let done = app
            .post(admin, "/v1/users/batch", &json!({"items": [item]}))
            .await
            .expect(200)
            .json();
        assert_eq!(done["data"][0]["problem"]["code"], "last_admin");
        let all = json!({"items": [item]});
        let refused = app.post(admin, "/v1/users/batch?atomic=true", &all).await;
        refused.problem(409, "last_admin");
    }
    for day in ["2026-01-01", "2027-01-01"] {
        let patch = json!({"ends_on": day});
        app.patch(admin, &person, "*", &patch)
            .await
            .problem(409, "last_admin");
        let item = json!({"id": app.keys.person, "if_match": "*", "patch": patch});
        let done = app
            .post(admin, "/v1/people/batch", &json!({"items": [item]}))
            .await
            .expect(200)
            .json();
        assert_eq!(done["data"][0]["problem"]["code"], "last_admin");
    }
    let reference = json!({"external_ref": "E1"});
    app.patch(admin, &person, "*", &reference).await.expect(200);
    let table = b"external_ref,ends_on\nE1,2026-01-01\n".to_vec();
    let csv = [("Content-Type", "text/csv")];
    let import = app
        .raw(admin, Method::POST, "/v1/people/import", &csv, Some(table))
        .await;
    import.problem(409, "last_admin");
    let left = json!({"name": "Left", "ends_on": "2026-01-01"});
    let left = app
        .post(admin, "/v1/people", &left)
        .await
        .expect(201)
        .json();
    assert_eq!(
        app.patch(admin, &user, "*", &json!({"person_id": left["id"]}))
            .await
            .pointers(),
        ["/person_id"]
    );
    // The key of the first user needs it; without it, archiving is refused for the same reason.
    let keys = app
        .get(admin, &format!("/v1/api-keys?user_id={}", app.keys.user))
        .await
        .data();
    for key in keys {
        app.patch(admin, &at("api-keys", &key), "*", &json!({"user_id": null}))
            .await;
    }
    let gone = app.delete(admin, &user, "*").await;
    assert_eq!(gone.status, 409, "{}", gone.text());
    // With another admin, all of it is possible; then that one stays.
    let second = json!({"name": "Second", "email": "second@a.example", "roles": ["admin"]});
    let second = app.user(admin, &second).await;
    app.patch(admin, &user, "*", &json!({"roles": ["manager"]}))
        .await
        .expect(200);
    let admin = &token(app, "second@a.example").await;
    app.delete(admin, &at("users", &second), "*")
        .await
        .problem(409, "last_admin");
    let nobody = json!({"roles": ["auditor"]});
    app.patch(admin, &at("users", &second), "*", &nobody)
        .await
        .problem(409, "last_admin");
    app.patch(admin, &at("users", &second), "*", &json!({"name": "Other"}))
        .await
        .expect(200);
    // The other organization's admins do not count.
    app.get(&app.keys.b_admin, "/v1/users").await.expect(200);
}

async fn two_admins_do_not_demote_each_other(app: &TestApp) {
    let first = &app.keys.admin;
    let second = json!({"name": "Second", "email": "second@a.example", "roles": ["admin"]});
    let second = app.user(first, &second).await;
    let other = &token(app, "second@a.example").await;
    let (one, two) = (format!("/v1/users/{}", app.keys.user), at("users", &second));
    let nobody = json!({"roles": ["manager"]});
    let (a, b) = join(
        app.patch(first, &two, "*", &nobody),
        app.patch(other, &one, "*", &nobody),
    )
    .await;
    let mut all = [a.status, b.status];
    all.sort_unstable();
    assert_eq!(all[0], 200, "{} {}", a.text(), b.text());
    assert!([403, 409].contains(&all[1]), "{} {}", a.text(), b.text());
    let admins = async |key: &str| app.get(key, "/v1/users").await.status;
    assert_eq!(
        [admins(first).await, admins(other).await]
            .iter()
            .filter(|status| **status == 200)
            .count(),
        1
    );
}

async fn who_cannot_log_in_for_long_is_no_other_admin(app: &TestApp) {
    let (admin, user) = (&app.keys.admin, format!("/v1/users/{}", app.keys.user));
    let demote = json!({"roles": ["manager"]});
    let person = json!({"name": "Temporary", "ends_on": "2027-06-30"});
    let person = app
        .post(admin, "/v1/people", &person)
        .await
        .expect(201)
        .json();
    for more in [
        json!({"disabled_at": "2027-01-01T00:00:00Z"}),
        json!({"person_id": person["id"]}),
    ] {
        let mut body = json!({"name": "Other", "email": format!("{}@a.example",
            more.to_string().len()), "roles": ["admin"]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        app.user(admin, &body).await;
        app.patch(admin, &user, "*", &demote)
            .await
            .problem(409, "last_admin");
    }
    // Who is to set a password can; not when the token has ended.
    let made = json!({"name": "New", "email": "new@a.example", "roles": ["admin"]});
    app.post(admin, "/v1/users", &made).await.expect(201);
    app.pass_days(8);
    let admin = &token(app, "manager@a.example").await;
    app.patch(admin, &user, "*", &demote)
        .await
        .problem(409, "last_admin");
    let users = app.get(admin, "/v1/users?email=new@a.example").await.data();
    app.post(
        admin,
        &format!("{}/reset-password", at("users", &users[0])),
        &json!({}),
    )
    .await
    .expect(200);
    app.patch(admin, &user, "*", &demote).await.expect(200);
}

async fn a_day_to_be_disabled_is_a_day_to_come(app: &TestApp) {
    let (admin, user) = (
        &app.keys.admin,
        format!("/v1/users/{}", app.keys.approver_user),
    );
    let later = json!({"disabled_at": "2026-11-20T09:01:00Z"});
    app.patch(admin, &user, "*", &later).await.expect(200);
    let access = token(app, "approver@a.example").await;
    for credential in [&access, &app.keys.approver] {
        let me = app.get(credential, "/v1/me").await.expect(200).json();
        assert_eq!(me["expires_at"], "2026-11-20T09:01:00.000Z");
    }
    app.pass(59);
    app.get(&access, "/v1/assets").await.expect(200);
    app.pass(1);
    for credential in [&access, &app.keys.approver] {
        app.get(credential, "/v1/assets")
            .await
            .problem(401, "unauthenticated");
    }
    let body = json!({"email": "approver@a.example", "password": PASSWORD});
    app.post("", "/v1/auth/login", &body)
        .await
        .problem(401, "unauthenticated");
}

async fn an_archived_account_frees_its_address(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Old", "email": "burnt@a.example", "roles": ["auditor"]});
    let old = app.user(admin, &body).await;
    let taken = app
        .post(
            admin,
            "/v1/users",
            &json!({"name": "New", "email": "Burnt@A.example", "roles": ["auditor"]}),
        )
        .await;
    let taken = taken.problem(409, "conflict");
    assert_eq!(
        (&taken["needed_by"], &taken["errors"][0]["pointer"]),
        (&json!([old["code"]]), &json!("/email"))
    );
    app.delete(admin, &at("users", &old), "*").await.expect(204);
    let new = app.user(admin, &body).await;
    let restore = format!("{}/restore", at("users", &old));
    let refused = app
        .act(admin, &restore, &json!({}))
        .await
        .problem(409, "conflict");
    assert_eq!(refused["needed_by"], json!([new["code"]]));
    // The same by PATCH and by batch.
    let other = json!({"name": "Third", "email": "third@a.example", "roles": ["auditor"]});
    let third = app.user(admin, &other).await;
    let patch = json!({"email": "burnt@a.example"});
    let refused = app
        .patch(admin, &at("users", &third), "*", &patch)
        .await
        .problem(409, "conflict");
    assert_eq!(refused["needed_by"], json!([new["code"]]));
    let item = json!({"id": third["id"], "if_match": "*", "patch": patch});
    let done = app
        .post(admin, "/v1/users/batch", &json!({"items": [item]}))
        .await
        .expect(200)
        .json();
    assert_eq!(done["data"][0]["problem"]["code"], "conflict");
    app.patch(
        admin,
        &at("users", &new),
        "*",
        &json!({"email": "fresh@a.example"}),
    )
    .await
    .expect(200);
    app.act(admin, &restore, &json!({})).await.expect(200);
    let login = async |email: &str| {
        let body = json!({"email": email, "password": PASSWORD});
        app.post("", "/v1/auth/login", &body)
            .await
            .expect(200)
            .json()
    };
    let who = async |tokens: Value| {
        app.get(tokens["access_token"].as_str().unwrap(), "/v1/me")
            .await
            .json()["actor"]["id"]
            .clone()
    };
    assert_eq!(who(login("burnt@a.example").await).await, old["id"]);
    assert_eq!(who(login("fresh@a.example").await).await, new["id"]);
}
