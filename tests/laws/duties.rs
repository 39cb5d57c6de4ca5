//! Segregation of duties: whatever is approved, signed or verified is decided by another person
//! than who asked for it or did it, with whatever credential, and at the version that was read.
//! Every operation of the document whose word is a decision is tried.
use super::access::fixtures::{HERE, Kit, Operation};
use crate::support::make::id;
use crate::support::{Reply, TestApp};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    a_decision_is_about_the_version_that_was_read,
    nobody_decides_on_what_they_asked_for,
    an_account_that_has_acted_moves_with_a_reason_and_by_another,
    whoever_edited_the_draft_does_not_approve_it,
    an_account_that_the_requester_opened_does_not_decide
);

/// The steps by which one person answers for what another did: they decide, whatever the register.
const SECOND_LOOK: [&str; 3] = ["approve", "sign", "verify"];

/// Does a path end with this step of a record?
fn takes(operation: &Operation, verb: &str) -> bool {
    operation.method == Method::POST && operation.template.ends_with(&format!("}}/{verb}"))
}

/// The operations that decide, as the rows of the workflows say.
fn decisions(kit: &Kit<'_>) -> Vec<usize> {
    let decides = |operation: &Operation| {
        let said = operation.permission.as_ref().is_some_and(|(kind, verb)| {
            let known = isms::api::KINDS.named(kind);
            known.is_some_and(|known| known.decides(verb)) && takes(operation, verb)
        });
        let looks = SECOND_LOOK.iter().any(|verb| takes(operation, verb));
        assert!(
            said || !looks,
            "{}: its step has to say `.decides()`",
            operation.named()
        );
        said
    };
    let all: Vec<usize> = (0..kit.operations.len())
        .filter(|n| decides(&kit.operations[*n]))
        .collect();
    assert!(
        all.len() >= 7,
        "approve, sign, verify, close: {}",
        all.len()
    );
    all
}

/// Calls it with this `If-Match`, or none.
async fn call(
    kit: &Kit<'_>,
    key: &str,
    operation: &Operation,
    path: &str,
    tag: Option<&str>,
) -> Reply {
    let known: Vec<(&str, &str)> = tag.map(|tag| ("If-Match", tag)).into_iter().collect();
    kit.app
        .send(key, Method::POST, path, &known, Some(&kit.body(operation)))
        .await
}
/// The tag of what is decided on.
async fn tag(app: &TestApp, path: &str) -> String {
    app.tag_for(&app.keys.admin, path).await
}

/// Someone with a login: a person, and roles.
async fn someone(
    app: &TestApp,
    name: &str,
    person: Option<&str>,
    roles: &[&str],
) -> (String, String) {
    let email = format!("{name}@a.example");
    let user = json!({"name": name, "email": email, "roles": roles, "person_id": person});
    let user = app.user(&app.keys.admin, &user).await;
    (id(&user).to_owned(), app.login(&email).await)
}
async fn person(app: &TestApp, name: &str) -> String {
    id(&app
        .post(&app.keys.admin, "/v1/people", &json!({"name": name}))
        .await
        .expect(201)
        .json())
    .to_owned()
}
const DECIDING: &[&str] = &["manager", "approver", "internal_auditor"];

async fn a_decision_is_about_the_version_that_was_read(app: &TestApp) {
    let kit = Kit::new(app).await;
    let (_, other) = someone(app, "other", Some(&person(app, "Other").await), DECIDING).await;
    for n in decisions(&kit) {
        let operation = &kit.operations[n];
        let record = kit.ready(operation, &app.keys.admin, None).await;
        let path = kit.filled(operation, id(&record));
        let keys = [&other, &app.keys.contributor, &app.keys.admin];
        for (wrong, status, code) in [
            (Some("*"), 428, "version_required"),
            (None, 428, "version_required"),
            (Some("\"*\""), 412, "version_mismatch"),
            (Some("\"99\""), 412, "version_mismatch"),
            (
                Some("\"1\", \"2\", \"3\", \"4\", \"5\", \"6\""),
                428,
                "version_required",
            ),
            (Some("1"), 400, "invalid_parameter"),
        ] {
            call(&kit, &other, operation, &path, wrong)
                .await
                .problem(status, code);
        }
        let now = tag(app, &path).await;
        let mut said = Vec::new();
        for key in keys {
            let reply = call(&kit, key, operation, &path, Some(&now)).await;
            said.push(format!("{} {}", reply.status, reply.text()));
            if reply.status == 200 {
                break;
            }
        }
        assert!(
            said.last().unwrap().starts_with("200"),
            "{HERE}: {} succeeds for nobody: {said:?}",
            operation.named()
        );
    }
    let freeze = format!("/v1/scopes/{}/soa-versions", kit.scope);
    let all = json!({"allow_incomplete": true, "comment": "Not all is decided."});
    let with = async |tag: &str| {
        app.send(
            &app.keys.admin,
            Method::POST,
            &freeze,
            &[("If-Match", tag)],
            Some(&all),
        )
        .await
    };
    with("*").await.problem(428, "version_required");
    with("\"99\"").await.problem(412, "version_mismatch");
    with("\"1\"").await.expect(201);
}

async fn nobody_decides_on_what_they_asked_for(app: &TestApp) {
    let (kit, founder) = (Kit::new(app).await, app.keys.person.as_str());
    let (approver, contributor) = (&app.keys.approver, &app.keys.contributor);
    let text = |value: &Value| value["secret"].as_str().unwrap().to_owned();
    let second_key = text(&app.own_key(&app.keys.admin, "manager", json!({})).await);
    let (_, second_account) = someone(app, "second", Some(founder), DECIDING).await;
    let key_of_second = text(&app.own_key(&second_account, "approver", json!({})).await);
    let (_, nobody) = someone(app, "nobody", None, DECIDING).await;
    let (_, other_admin) = someone(
        app,
        "admin-two",
        Some(&person(app, "Admin two").await),
        &["admin"],
    )
    .await;
    let service = async |role: &str| {
        let body = json!({"name": role, "role": role, "expires_at": "2027-01-01T00:00:00Z"});
        text(
            &app.post(&app.keys.admin, "/v1/api-keys", &body)
                .await
                .expect(201)
                .json(),
        )
    };
    let mut others = vec![
        app.keys.admin.clone(),
        app.keys.manager.clone(),
        second_key,
        second_account,
        key_of_second,
        nobody,
    ];
    for role in DECIDING {
        others.push(service(role).await);
    }
    // One whose account was somebody else's long before is another person by now.
    let (corrected, corrected_login) = someone(app, "corrected", Some(founder), DECIDING).await;
    let body = json!({"person_id": person(app, "Corrected").await});
    app.patch(
        &app.keys.admin,
        &format!("/v1/users/{corrected}"),
        "*",
        &body,
    )
    .await
    .expect(200);
    for (turn, n) in decisions(&kit).into_iter().enumerate() {
        let operation = &kit.operations[n];
        if !SECOND_LOOK.iter().any(|verb| takes(operation, verb)) {
            continue; // closing what was verified is nobody's second look
        }
        // Moved between persons after it was asked for: both are one.
        let (moved, moved_login) =
            someone(app, &format!("moved-{turn}"), Some(founder), DECIDING).await;
        let (joined, joined_login) = someone(
            app,
            &format!("joined-{turn}"),
            Some(&person(app, "Joined").await),
            DECIDING,
        )
        .await;
        let record = kit.ready(operation, &app.keys.admin, None).await;
        let path = kit.filled(operation, id(&record));
        let new = person(app, "New").await;
        for (user, to) in [(&moved, new.as_str()), (&joined, founder)] {
            let headers = [("If-Match", "*"), ("Change-Reason", "mistaken")];
            let patch = json!({"person_id": to});
            app.send(
                &other_admin,
                Method::PATCH,
                &format!("/v1/users/{user}"),
                &headers,
                Some(&patch),
            )
            .await
            .expect(200);
        }
        let (_, third) = someone(app, &format!("third-{turn}"), Some(&new), DECIDING).await;
        let now = tag(app, &path).await;
        for (n, who) in others
            .iter()
            .chain([&moved_login, &joined_login, &third])
            .enumerate()
        {
            let reply = call(&kit, who, operation, &path, Some(&now)).await;
            assert!(
                reply.status == 403,
                "{} by {n}: {} {}",
                operation.named(),
                reply.status,
                reply.text()
            );
            let code = reply.json()["code"].clone();
            assert!(
                ["segregation_of_duties", "forbidden"].contains(&code.as_str().unwrap()),
                "{} by {n}: {code}",
                operation.named()
            );
        }
        let mut done = false;
        for key in [&corrected_login, approver, contributor] {
            done = done || call(&kit, key, operation, &path, Some(&now)).await.status == 200;
        }
        assert!(done, "{}: another person decides", operation.named());
    }
    // Nobody gets at the credential of another person.
    for (verb, body) in [
        ("rotate", json!({})),
        ("rotate", json!({"comment": "for them"})),
    ] {
        let key = app.get(approver, "/v1/me").await.expect(200).json()["actor"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        app.act(
            &app.keys.admin,
            &format!("/v1/api-keys/{key}/{verb}"),
            &body,
        )
        .await
        .problem(403, "segregation_of_duties");
    }
    let theirs = json!({"name": "x", "role": "approver", "user_id": app.keys.approver_user,
        "expires_at": "2027-01-01T00:00:00Z"});
    app.post(&app.keys.admin, "/v1/api-keys", &theirs)
        .await
        .problem(403, "segregation_of_duties");
}

async fn an_account_that_has_acted_moves_with_a_reason_and_by_another(app: &TestApp) {
    let (_, other) = someone(
        app,
        "admin-two",
        Some(&person(app, "Admin two").await),
        &["admin"],
    )
    .await;
    let new = person(app, "New").await;
    let (fresh, login) = someone(
        app,
        "fresh",
        Some(&person(app, "Fresh").await),
        &["admin", "manager"],
    )
    .await;
    let service = json!({"name": "x", "role": "admin", "expires_at": "2027-01-01T00:00:00Z"});
    let service = app
        .post(&app.keys.admin, "/v1/api-keys", &service)
        .await
        .expect(201)
        .json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/users/{fresh}");
    let moved = async |who: &str, path: &str, to: &str, reason: &[(&str, &str)]| {
        let headers = [&[("If-Match", "*")], reason].concat();
        app.send(
            who,
            Method::PATCH,
            path,
            &headers,
            Some(&json!({"person_id": to})),
        )
        .await
    };
    let why = [("Change-Reason", "a mistake")];
    moved(&app.keys.admin, &path, &new, &[]).await.expect(200); // it has done nothing yet
    app.post(&login, "/v1/people", &json!({"name": "Someone"}))
        .await
        .expect(201);
    let another = person(app, "Another").await;
    moved(&login, &path, &another, &why)
        .await
        .problem(403, "segregation_of_duties");
    moved(&service, &path, &another, &why)
        .await
        .problem(403, "segregation_of_duties");
    let silent = moved(&other, &path, &another, &[])
        .await
        .problem(422, "validation_failed");
    assert_eq!(
        (
            &silent["errors"][0]["location"],
            &silent["errors"][0]["pointer"]
        ),
        (&json!("header"), &json!("Change-Reason"))
    );
    // In a batch, too; and the person's other account is no other administrator.
    let (_, twin) = someone(app, "twin", Some(&new), &["admin"]).await;
    moved(&twin, &path, &another, &why)
        .await
        .problem(403, "segregation_of_duties");
    let batch = json!({"items": [{"id": fresh, "if_match": "*", "patch": {"person_id": another}}]});
    let outcome = app
        .post(&login, "/v1/users/batch", &batch)
        .await
        .expect(200)
        .json();
    assert_eq!(
        outcome["data"][0]["problem"]["code"],
        "segregation_of_duties"
    );
    let first = format!("/v1/users/{}", app.keys.user);
    moved(&app.keys.admin, &first, &another, &why)
        .await
        .problem(403, "segregation_of_duties");
    let null = app
        .send(
            &app.keys.admin,
            Method::PATCH,
            &first,
            &[("If-Match", "*"), why[0]],
            Some(&json!({"person_id": null})),
        )
        .await;
    null.problem(403, "segregation_of_duties");
    moved(&other, &path, &another, &why).await.expect(200);
    let history = app
        .get(&app.keys.auditor, &format!("{path}/history"))
        .await
        .data();
    assert_eq!(
        (&history[0]["reason"], &history[0]["changes"][0]["pointer"]),
        (&json!("a mistake"), &json!("/person_id")),
        "an auditor sees it"
    );
}

async fn whoever_edited_the_draft_does_not_approve_it(app: &TestApp) {
    let (manager, approver) = (&app.keys.manager, &app.keys.approver);
    let (_, editor) = someone(
        app,
        "editor",
        Some(&person(app, "Editor").await),
        &["manager", "approver"],
    )
    .await;
    // A methodology takes the place of the one that is in force.
    let replaces = json!({"replaces": "MET-1"});
    for (path, body, edit, first) in [
        (
            "/v1/scopes",
            json!({"name": "Shop", "statement": "The shop."}),
            json!({"statement": "The shop and the van."}),
            json!({}),
        ),
        (
            "/v1/risk-methodologies",
            json!({"name": "Own"}),
            json!({"description": "Ours."}),
            replaces,
        ),
    ] {
        let record = app.post(manager, path, &body).await.expect(201).json();
        let at = format!("{path}/{}", id(&record));
        app.patch(&editor, &at, "*", &edit).await.expect(200);
        app.act(manager, &format!("{at}/submit"), &json!({}))
            .await
            .expect(200);
        let refused = app
            .act(&editor, &format!("{at}/approve"), &json!({}))
            .await
            .problem(403, "segregation_of_duties");
        assert!(
            refused["detail"].as_str().unwrap().contains("edited"),
            "{refused}"
        );
        // Whoever sends it back has written nothing.
        app.act(
            approver,
            &format!("{at}/return"),
            &json!({"comment": "why?"}),
        )
        .await
        .expect(200);
        app.act(&editor, &format!("{at}/submit"), &json!({}))
            .await
            .expect(200);
        app.act(manager, &format!("{at}/approve"), &json!({}))
            .await
            .problem(403, "segregation_of_duties");
        app.act(approver, &format!("{at}/approve"), &first)
            .await
            .expect(200);
        // The next revision is another text: who wrote the last one may approve it.
        app.act(manager, &format!("{at}/revise"), &json!({}))
            .await
            .expect(200);
        app.patch(manager, &at, "*", &json!({"tags": ["next"]}))
            .await
            .expect(200);
        app.act(manager, &format!("{at}/submit"), &json!({}))
            .await
            .expect(200);
        app.act(&editor, &format!("{at}/approve"), &json!({}))
            .await
            .expect(200);
    }
}

async fn an_account_that_the_requester_opened_does_not_decide(app: &TestApp) {
    let (_, boss) = someone(
        app,
        "boss",
        Some(&person(app, "Boss").await),
        &["admin", "manager"],
    )
    .await;
    let director = person(app, "Director").await;
    let account = async |name: &str| {
        let user = json!({"name": name, "email": format!("{name}@a.example"),
            "roles": ["approver"], "person_id": director});
        app.post(&boss, "/v1/users", &user).await.expect(201).json()
    };
    let submitted = async || {
        let scope = app
            .post(
                &boss,
                "/v1/scopes",
                &json!({"name": "S", "statement": "All of it."}),
            )
            .await
            .expect(201)
            .json();
        let path = format!("/v1/scopes/{}", id(&scope));
        app.act(&boss, &format!("{path}/submit"), &json!({}))
            .await
            .expect(200);
        format!("{path}/approve")
    };
    let refused = async |login: &str, path: &str| {
        app.act(login, path, &json!({}))
            .await
            .problem(403, "segregation_of_duties");
    };
    let session = |tokens: Value| tokens["access_token"].as_str().unwrap().to_owned();
    // The account and its password were there before: the director decides.
    let real = account("director").await;
    app.set_up(&real["setup_token"]).await;
    let path = submitted().await;
    app.act(&app.login("director@a.example").await, &path, &json!({}))
        .await
        .expect(200);
    // Made after it was submitted.
    let path = submitted().await;
    refused(
        &session(app.set_up(&account("second").await["setup_token"]).await),
        &path,
    )
    .await;
    // Made before, and the token used afterwards.
    let made = account("third").await;
    let path = submitted().await;
    refused(&session(app.set_up(&made["setup_token"]).await), &path).await;
    // A reset by the requester, or by a service key that they made; whatever came first, the reset
    // or the draft.
    let reset = format!("/v1/users/{}/reset-password", id(&real));
    let body = json!({"name": "machine", "role": "admin", "expires_at": "2027-11-20T00:00:00Z"});
    let machine = app
        .post(&boss, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    for by in [&boss, &machine] {
        let path = submitted().await;
        let token = app.act(by, &reset, &json!({})).await.expect(200).json()["setup_token"].clone();
        refused(&session(app.set_up(&token).await), &path).await;
        let token = app.act(by, &reset, &json!({})).await.expect(200).json()["setup_token"].clone();
        let path = submitted().await;
        let login = session(app.set_up(&token).await);
        refused(&login, &path).await;
        // What is submitted after that is decided by whoever holds the password.
        app.act(&login, &submitted().await, &json!({}))
            .await
            .expect(200);
    }
    // Another admin resets it: that is nothing to the requester.
    let path = submitted().await;
    let token = app
        .act(&app.keys.admin, &reset, &json!({}))
        .await
        .expect(200)
        .json()["setup_token"]
        .clone();
    app.act(&session(app.set_up(&token).await), &path, &json!({}))
        .await
        .expect(200);
}
