//! Who has left: no login, no key, nothing new; what was theirs is found.
use crate::rooms::{at, made};
use crate::support::make::{all, body, id, one, rooms};
use crate::support::{PASSWORD, TestApp};
use serde_json::json;

crate::on_both!(
    who_has_left_stays_out_from_the_day_after,
    nothing_new_is_given_to_who_has_left,
    what_belongs_to_leavers_is_found_in_every_register
);

async fn who_has_left_stays_out_from_the_day_after(app: &TestApp) {
    let admin = &app.keys.admin;
    let person = format!("/v1/people/{}", app.keys.approver_person);
    let zone = json!({"time_zone": "Pacific/Auckland"});
    app.patch(admin, "/v1/organization", "*", &zone)
        .await
        .expect(200);
    // It is 22:00 of the 20th there: the last day ends in two hours.
    app.patch(admin, &person, "*", &json!({"ends_on": "2026-11-20"}))
        .await
        .expect(200);
    let login = json!({"email": "approver@a.example", "password": PASSWORD});
    let tokens = app
        .post("", "/v1/auth/login", &login)
        .await
        .expect(200)
        .json();
    let access = tokens["access_token"].as_str().unwrap();
    app.get(&app.keys.approver, "/v1/assets").await.expect(200);
    app.pass(2 * 3600 - 1);
    app.get(&app.keys.approver, "/v1/assets").await.expect(200);
    app.pass(1);
    for credential in [access, app.keys.approver.as_str()] {
        app.get(credential, "/v1/assets")
            .await
            .problem(401, "unauthenticated");
    }
    app.post("", "/v1/auth/login", &login)
        .await
        .problem(401, "unauthenticated");
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    app.post("", "/v1/auth/refresh", &refresh)
        .await
        .problem(401, "unauthenticated");
    let scope = made(app, "scopes", "Shop", json!({"statement": "All."})).await;
    app.act(
        &app.keys.manager,
        &format!("{}/submit", at("scopes", &scope)),
        &json!({}),
    )
    .await
    .expect(200);
    app.act(
        &app.keys.approver,
        &format!("{}/approve", at("scopes", &scope)),
        &json!({}),
    )
    .await
    .problem(401, "unauthenticated");
    // Who comes back logs in anew.
    app.patch(&app.keys.manager, &person, "*", &json!({"ends_on": null}))
        .await
        .expect(200);
    app.get(access, "/v1/assets")
        .await
        .problem(401, "unauthenticated");
    app.post("", "/v1/auth/login", &login).await.expect(200);
    app.get(&app.keys.approver, "/v1/assets").await.expect(200);
}

async fn nothing_new_is_given_to_who_has_left(app: &TestApp) {
    let key = &app.keys.manager;
    let gone = made(app, "people", "Leaver", json!({})).await;
    let mut owned = Vec::new();
    for room in rooms() {
        let body = body(app, room, "").await;
        let record = app.post(key, &all(room), &body).await.expect(201).json();
        let own = json!({"owner_id": gone["id"]});
        app.patch(key, &one(room, &record), "*", &own)
            .await
            .expect(200);
        owned.push((room, one(room, &record)));
    }
    app.patch(
        key,
        &at("people", &gone),
        "*",
        &json!({"ends_on": "2026-11-19"}),
    )
    .await
    .expect(200);
    for (room, path) in owned {
        // What was theirs stays so, and may be changed.
        let tagged = json!({"tags": ["seen"], "owner_id": gone["id"]});
        app.patch(key, &path, "*", &tagged).await.expect(200);
        let mut body = body(app, room, "").await;
        body["owner_id"] = gone["code"].clone();
        let refused = app
            .post(key, &all(room), &body)
            .await
            .problem(422, "validation_failed");
        assert_eq!(
            (
                &refused["errors"][0]["pointer"],
                &refused["errors"][0]["code"]
            ),
            (&json!("/owner_id"), &json!("person_left"))
        );
        assert!(
            refused["errors"][0]["detail"]
                .as_str()
                .unwrap()
                .contains(gone["code"].as_str().unwrap())
        );
        app.patch(key, &path, "*", &json!({"owner_id": null}))
            .await
            .expect(200);
        let again = json!({"owner_id": gone["id"]});
        assert_eq!(
            app.patch(key, &path, "*", &again).await.pointers(),
            ["/owner_id"]
        );
    }
    let asset = json!({"name": "x", "asset_type": "software", "classification": "public",
        "custodian_id": gone["id"]});
    assert_eq!(
        app.post(key, "/v1/assets", &asset).await.pointers(),
        ["/custodian_id"]
    );
}

async fn what_belongs_to_leavers_is_found_in_every_register(app: &TestApp) {
    let key = &app.keys.manager;
    let gone = made(app, "people", "Leaver", json!({})).await;
    for room in rooms() {
        let make = async |owner: &serde_json::Value| {
            let record = app
                .post(key, &all(room), &body(app, room, "").await)
                .await
                .expect(201)
                .json();
            let own = json!({"owner_id": owner});
            app.patch(key, &one(room, &record), "*", &own)
                .await
                .expect(200);
            id(&record).to_owned()
        };
        app.patch(key, &at("people", &gone), "*", &json!({"ends_on": null}))
            .await
            .expect(200);
        let theirs = make(&gone["id"]).await;
        let (mine, nobodys) = (
            make(&json!(app.keys.person)).await,
            make(&json!(null)).await,
        );
        let found = async |question: &str| {
            let found = app
                .get(key, &format!("{}?limit=200&{question}", all(room)))
                .await
                .data();
            let has = |wanted: &String| found.iter().any(|record| id(record) == wanted);
            (has(&theirs), has(&mine), has(&nobodys))
        };
        // Who leaves today is here today.
        app.patch(
            key,
            &at("people", &gone),
            "*",
            &json!({"ends_on": &app.now()[..10]}),
        )
        .await
        .expect(200);
        assert_eq!(
            found("owner_left=true").await,
            (false, false, false),
            "{}",
            room.kind.name
        );
        let before = app.now();
        app.pass_days(1);
        assert_eq!(
            found("owner_left=true").await,
            (true, false, false),
            "{}",
            room.kind.name
        );
        assert_eq!(
            found("owner_left=false").await,
            (false, true, true),
            "{}",
            room.kind.name
        );
        assert_eq!(
            found(&format!("owner_left=true&as_of={before}")).await,
            (false, false, false)
        );
        app.get(key, &format!("{}?owner_left=perhaps", all(room)))
            .await
            .problem(400, "invalid_parameter");
    }
}
