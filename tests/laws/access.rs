//! Who may do what: every operation of the document with every role, against the policy and a readable snapshot.
use crate::support::TestApp;
use actix_web::http::Method;
use isms::access::{Role, allows};
use isms::identity::KINDS;
use isms::registers::ROOMS;
use serde_json::{Value, json};
use std::fmt::Write;

crate::on_both!(
    roles_do_what_the_policy_says_and_nothing_else,
    every_operation_but_the_open_ones_needs_a_credential,
    a_contributor_changes_what_is_theirs
);

const ROLES: [(&str, Role); 7] = [
    ("admin", Role::Admin),
    ("manager", Role::Manager),
    ("contributor", Role::Contributor),
    ("approver", Role::Approver),
    ("internal_auditor", Role::InternalAuditor),
    ("auditor", Role::Auditor),
    ("collector", Role::Collector),
];

/// Whoever has a login may do it with their own; a key has none.
const OWN_LOGIN: &str = "/v1/me/password";

/// Every operation that needs a credential.
fn operations() -> Vec<(Method, String)> {
    let document = isms::api::document::document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            if security.iter().any(|scheme| scheme.get("bearer").is_some()) {
                all.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    all
}

/// Kind and action of an operation, as the policy names them; `None` where every good credential will do.
fn permission(method: &Method, path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let named = |kind: &str, action: &str| Some((kind.to_owned(), action.to_owned()));
    match parts.as_slice() {
        ["me"] => return None,
        ["overview"] => return named("overview", "read"),
        ["events"] | ["ledger", ..] => return named("ledger", "read"),
        ["frameworks", ..] => {
            let action = if *method == Method::DELETE { "archive" } else { "change" };
            return named("framework", if *method == Method::GET { "read" } else { action });
        }
        ["attack-techniques"] => return named("threat", "read"),
        ["risk-matrix"] => return named("risk", "read"),
        [_, _, "applicability" | "statement-of-applicability", ..] => {
            return named("applicability", if *method == Method::GET { "read" } else { "change" });
        }
        _ => {}
    }
    let mut kinds = ROOMS.iter().map(|room| room.kind).chain(KINDS.iter().copied());
    let kind = kinds.find(|kind| kind.path == parts[0]).unwrap_or_else(|| panic!("{path}")).name;
    let action = match (method.as_str(), parts.get(2).copied().unwrap_or_default()) {
        ("GET", _) => "read",
        ("POST", "") if matches!(parts.get(1), Some(&("batch" | "import"))) => "change",
        ("POST", "") if kind == "evidence" => "push",
        ("POST", "assessments") => "assess",
        ("DELETE", "") | ("POST", "restore") => "archive",
        (_, "" | "links" | "answers") => "change",
        (_, verb) => verb,
    };
    named(kind, action)
}

fn filled(path: &str) -> String {
    let id = uuid::Uuid::now_v7().to_string();
    let path = path.replace("{id}", &id).replace("{relation}", "scope_ids").replace("{to}", &id).replace("{n}", "1");
    path.replace("{requirement}", "iso-27001-2022:A.5.1").replace("{slug}", "iso-27001-2022")
}

async fn roles_do_what_the_policy_says_and_nothing_else(app: &TestApp) {
    let mut keys = Vec::new();
    for (name, role) in ROLES {
        let body = json!({"name": name, "role": name, "expires_at": "2027-01-01T00:00:00Z"});
        let made = app.post(&app.keys.admin, "/v1/api-keys", &body).await.expect(201).json();
        keys.push((name, role, made["secret"].as_str().unwrap().to_owned()));
    }
    let mut table =
        String::from("# Which role may call which operation. Made by the tests (ISMS_BLESS=1 writes it anew); what differs fails them.\n");
    table.push_str("# POST /v1/me/password is left out: everyone with a login changes their own password.\n");
    writeln!(table, "{:<66}{}", "operation", keys.iter().map(|(name, ..)| format!("{name:<18}")).collect::<String>().trim_end()).unwrap();
    for (method, path) in operations().into_iter().filter(|(_, path)| path != OWN_LOGIN) {
        let mut row = format!("{:<66}", format!("{method} {path}"));
        let mut someone = false;
        for (name, role, key) in &keys {
            let body = if [Method::GET, Method::DELETE].contains(&method) { None } else { Some(json!({})) };
            let table: &[(&str, &str)] = if path.ends_with("/import") { &[("Content-Type", "text/csv")] } else { &[] };
            let reply = app.send(key, method.clone(), &filled(&path), table, body.as_ref()).await;
            assert!(![401, 405, 415].contains(&reply.status) && reply.status < 500, "{name} {method} {path}: {}", reply.text());
            let may = !(reply.status == 403 && reply.json()["code"] == "forbidden");
            let wanted = permission(&method, &path).is_none_or(|(kind, action)| allows(&[*role], &kind, &action));
            assert_eq!(may, wanted, "{name}: {method} {path}: {} {}", reply.status, reply.text());
            assert!(!may || reply.status != 403, "{name}: {method} {path}: {}", reply.text());
            let reads = method == Method::GET;
            assert!(reads || !may || *name != "auditor", "an auditor writes: {method} {path}");
            someone |= may;
            write!(row, "{:<18}", if may { "yes" } else { "-" }).unwrap();
        }
        assert!(someone, "nobody may {method} {path}: the refusals say nothing");
        writeln!(table, "{}", row.trim_end()).unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/access-matrix.txt");
    if std::env::var("ISMS_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(file, &table).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let differs = kept.lines().zip(table.lines()).find(|(kept, found)| kept != found);
    assert!(kept == table, "tests/access-matrix.txt is not what was found (ISMS_BLESS=1 writes it): {differs:?}");
}

async fn every_operation_but_the_open_ones_needs_a_credential(app: &TestApp) {
    let gone = json!({"name": "gone", "role": "manager", "expires_at": "2027-01-01T00:00:00Z"});
    let gone = app.post(&app.keys.admin, "/v1/api-keys", &gone).await.expect(201).json();
    let secret = gone["secret"].as_str().unwrap();
    app.get(secret, "/v1/assets").await.expect(200);
    app.act(&app.keys.admin, &format!("/v1/api-keys/{}/revoke", gone["code"].as_str().unwrap()), &json!({"comment": "lost"}))
        .await
        .expect(200);
    for (method, path) in operations() {
        for key in ["", "nonsense", "isms_0000000000000000000000000000000A_000000", secret] {
            let reply = app.send(key, method.clone(), &filled(&path), &[], Some(&json!({}))).await;
            assert_eq!(reply.header("www-authenticate").as_deref(), Some("Bearer realm=\"isms\""), "{method} {path}");
            reply.problem(401, "unauthenticated");
        }
    }
    for open in ["/healthz", "/readyz", "/v1/openapi.json"] {
        app.get("", open).await.expect(200);
    }
}

async fn a_contributor_changes_what_is_theirs(app: &TestApp) {
    let (manager, contributor) = (&app.keys.manager, &app.keys.contributor);
    let of = |value: Value| value["id"].as_str().unwrap().to_owned();
    let asset = json!({"name": "Laptop", "asset_type": "hardware", "classification": "internal"});
    let theirs = app.post(contributor, "/v1/assets", &asset).await.expect(201).json();
    assert_eq!(theirs["owner_id"], json!(app.keys.contributor_person), "what a contributor makes is theirs");
    let other = of(app.post(manager, "/v1/assets", &asset).await.expect(201).json());
    app.patch(contributor, &format!("/v1/assets/{}", of(theirs)), "*", &json!({"name": "Mine"})).await.expect(200);
    app.patch(contributor, &format!("/v1/assets/{other}"), "*", &json!({"name": "Mine"})).await.problem(403, "not_assigned");
    app.act(contributor, &format!("/v1/assets/{other}/review"), &json!({})).await.problem(403, "not_assigned");
    let given = json!({"name": "x", "asset_type": "hardware", "classification": "internal", "owner_id": app.keys.person});
    app.post(contributor, "/v1/assets", &given).await.problem(403, "not_assigned");
    app.patch(manager, &format!("/v1/assets/{other}"), "*", &json!({"owner_id": app.keys.contributor_person})).await.expect(200);
    app.patch(contributor, &format!("/v1/assets/{other}"), "*", &json!({"name": "Mine"})).await.expect(200);
}
