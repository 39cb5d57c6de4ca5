//! Who may do what: every operation of the document with every role and every kind of credential, against the policy, with records that it
//! succeeds on; and the table that comes of it, which an auditor can be given.
pub mod fixtures;
mod limited;

use crate::support::make::id;
use crate::support::{PASSWORD, TestApp};
use actix_web::http::Method;
use fixtures::{HERE, Kit, Operation};
use isms::access::{Role, allows};
use isms::registers::ROOMS;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

crate::on_both!(
    everyone_does_what_the_policy_says_and_nothing_else,
    open_operations_need_no_credential,
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
const OTHERS: [&str; 8] = [
    "other organization",
    "no key",
    "expired key",
    "revoked key",
    "key of another scope",
    "of another control",
    "of another source",
    "of another period",
];
const ABOUT: &str = "# Who may do what

Made by the tests from what they saw (`ISMS_BLESS=1 cargo test access` writes it anew); what differs fails them. Each operation of the document was
called with each credential, on a record and in a state in which it succeeds for those who may.

- **yes**: it succeeded. **own**: it succeeded on what is theirs (a contributor's records, a collector's own pushes), and was refused (`not_assigned`,
  or 404) on the same of someone else. **-**: refused, 403 `forbidden`.
- The other organization's caller has every role there; **404**: a record of this organization does not exist for it; **apart**: it has its own.
- **401**: the credential is not good.
- The limited keys are a manager's, limited to one other scope, control, source or period; **404**: the record is outside of it; **apart**: the list
  was answered without it; **·**: the limit does not concern this kind, or the role may not do it anyway.

";

/// Whoever has a login may do it with their own; a key has none.
const OWN_LOGIN: &str = "/v1/me/password";

/// Kind and action of an operation, as the policy names them; `None` where every good credential will do.
fn permission(method: &Method, path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let named = |kind: &str, action: &str| Some((kind.to_owned(), action.to_owned()));
    match parts.as_slice() {
        ["me", ..] => return None,
        ["overview"] => return named("overview", "read"),
        ["events"] | ["ledger", ..] => return named("ledger", "read"),
        ["frameworks", ..] => {
            let action = if *method == Method::GET { "read" } else { "change" };
            return named("framework", if *method == Method::DELETE { "archive" } else { action });
        }
        ["attack-techniques"] => return named("threat", "read"),
        ["weaknesses"] => return named("vulnerability", "read"),
        ["vulnerabilities", "findings"] => return named("vulnerability", "report"),
        ["gap-assessments", _, "answers", ..] => return named("gap_assessment", if *method == Method::GET { "read" } else { "change" }),
        ["risk-treatment-plan"] => return named("risk_treatment", "read"),
        ["risks", "rescore"] => return named("risk", "rescore"),
        ["risk-matrix" | "risk-trend"] => return named("risk", "read"),
        [_, _, "soa-versions", rest @ ..] => {
            return named("soa_version", if *method == Method::GET { "read" } else { rest.get(1).copied().unwrap_or("submit") });
        }
        [_, _, "applicability" | "statement-of-applicability" | "soa-diff", ..] => {
            return named("applicability", if *method == Method::GET { "read" } else { "change" });
        }
        _ => {}
    }
    let mut kinds = isms::api::kinds();
    let kind = kinds.find(|kind| kind.path == parts[0]).unwrap_or_else(|| panic!("{path}")).name;
    let action = match (method.as_str(), parts.get(2).copied().unwrap_or_default()) {
        ("GET", _) => "read",
        ("POST", "") if matches!(parts.get(1), Some(&("batch" | "import"))) => "change",
        ("POST", "") if kind == "evidence" => "push",
        ("POST", "assessments") => "assess",
        ("DELETE", "") | ("POST", "restore") => "archive",
        (_, "" | "links") => "change",
        (_, verb) => verb,
    };
    named(kind, action)
}

/// Someone who calls: name, role, credential, person.
struct Caller {
    name: &'static str,
    role: Role,
    key: String,
    person: String,
}

/// One user for each role, logged in.
async fn callers(app: &TestApp, prefix: &str) -> Vec<Caller> {
    let (admin, mut all) = (&app.keys.admin, Vec::new());
    for (name, role) in ROLES {
        let person = app.post(admin, "/v1/people", &json!({"name": name})).await.expect(201).json();
        let email = format!("{prefix}-{name}@a.example");
        let user = json!({"name": name, "email": email, "roles": [name], "person_id": person["id"]});
        app.user(admin, &user).await;
        let tokens = app.post("", "/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await.expect(200).json();
        all.push(Caller { name, role, key: tokens["access_token"].as_str().unwrap().to_owned(), person: id(&person).to_owned() });
    }
    all
}

/// Credentials that are good for nothing, or for something else; in the order of `OTHERS`, the other organization's first.
async fn others(app: &TestApp) -> Vec<String> {
    let admin = &app.keys.admin;
    let made = async |name: &str, until: &str, limits: Value| {
        let body = json!({"name": name, "role": "manager", "expires_at": until, "limits": limits});
        app.post(admin, "/v1/api-keys", &body).await.expect(201).json()
    };
    let secret = |key: &Value| key["secret"].as_str().unwrap().to_owned();
    let (late, never) = ("2027-01-01T00:00:00Z", "2026-11-20T09:01:00Z");
    let (expired, revoked) = (made("expired", never, json!({})).await, made("revoked", late, json!({})).await);
    for key in [&expired, &revoked] {
        app.get(&secret(key), "/v1/me").await.expect(200);
    }
    app.act(admin, &format!("/v1/api-keys/{}/revoke", id(&revoked)), &json!({"comment": "lost"})).await.expect(200);
    app.pass(120);
    let of = async |path: &str, body: Value| app.post(admin, path, &body).await.expect(201).json()["id"].clone();
    let scope = of("/v1/scopes", json!({"name": "Elsewhere", "statement": "Another place."})).await;
    let control = of("/v1/controls", json!({"name": "Another control"})).await;
    let mut all = vec![app.keys.b_admin.clone(), String::new(), secret(&expired), secret(&revoked)];
    for limits in [
        json!({"scope_ids": [scope]}),
        json!({"control_ids": [control]}),
        json!({"sources": ["elsewhere"]}),
        json!({"period_start_on": "2030-01-01", "period_end_on": "2030-12-31"}),
    ] {
        all.push(secret(&made("limited", late, limits).await));
    }
    all
}

/// What a limit hides of a kind.
fn concerns(limit: usize, kind: &str) -> bool {
    match limit {
        4 => ROOMS.iter().any(|room| room.operations.is_some() && room.kind.name == kind),
        5 => ["control", "evidence"].contains(&kind),
        _ => kind == "evidence",
    }
}

fn may(role: Role, operation: &Operation) -> bool {
    permission(&operation.method, &operation.template).is_none_or(|(kind, action)| allows(&[role], &kind, &action))
}

async fn everyone_does_what_the_policy_says_and_nothing_else(app: &TestApp) {
    let (others, kit) = (others(app).await, Kit::new(app).await);
    // Who changes the password ends all of their sessions, so others do that.
    let (callers, passing) = (callers(app, "the").await, callers(app, "passing").await);
    let mut shared: BTreeMap<&str, Value> = BTreeMap::new();
    let mut table = String::from(ABOUT);
    writeln!(table, "| operation | {} | {} |", ROLES.map(|(name, _)| name.replace('_', " ")).join(" | "), OTHERS.join(" | ")).unwrap();
    writeln!(table, "|---|{}", "---|".repeat(ROLES.len() + OTHERS.len())).unwrap();
    let mut faults = Vec::new();
    for operation in kit.operations.iter().filter(|operation| !operation.open) {
        let record = match operation.kind().filter(|_| operation.by_id()) {
            None => String::new(),
            Some(kind) => match shared.get(kind.name) {
                Some(record) => id(record).to_owned(),
                None => {
                    let record = kit.record(&kind, &app.keys.admin, None).await;
                    id(shared.entry(kind.name).or_insert(record)).to_owned()
                }
            },
        };
        let mut row = Vec::new();
        for caller in if operation.template == OWN_LOGIN { &passing } else { &callers } {
            row.push(role_cell(&kit, operation, caller, &record).await);
        }
        if !row.iter().any(|cell| ["yes", "own"].contains(&cell.as_str())) {
            faults.push(format!("{}: it succeeded for nobody, so its refusals say nothing; {HERE} has to prepare it", operation.named()));
        }
        let foreign = shared.values().map(|record| id(record).to_owned()).collect::<Vec<_>>();
        for (n, key) in others.iter().enumerate() {
            row.push(other_cell(&kit, operation, (n, key), &record, &foreign).await);
        }
        faults.extend(row.iter().filter(|cell| cell.starts_with('!')).map(|cell| format!("{}: {cell}", operation.named())));
        writeln!(table, "| `{}` | {} |", operation.named(), row.join(" | ")).unwrap();
    }
    assert!(faults.is_empty(), "{} cells are not what the policy says:\n{}", faults.len(), faults.join("\n"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-matrix.md");
    if std::env::var("ISMS_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(file, &table).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let differs = kept.lines().zip(table.lines()).find(|(kept, found)| kept != found);
    assert!(kept == table, "docs/access-matrix.md is not what was found (ISMS_BLESS=1 writes it): {differs:?}");
}

/// What a role sees: `yes`, `own`, `-`; or `!` and what is wrong.
async fn role_cell(kit: &Kit<'_>, operation: &Operation, caller: &Caller, shared: &str) -> String {
    let wrong = |what: &str, reply: &crate::support::Reply| format!("! {} {what}: {} {}", caller.name, reply.status, reply.text());
    if operation.template != OWN_LOGIN && !may(caller.role, operation) {
        let reply = kit.call(&caller.key, operation, shared).await;
        return if reply.status == 403 && reply.json()["code"] == "forbidden" { "-".into() } else { wrong("may not", &reply) };
    }
    if caller.name == "auditor" && !operation.reads() && operation.template != OWN_LOGIN && !operation.template.starts_with("/v1/api-keys")
    {
        return "! an auditor writes".into();
    }
    let kind = operation.kind().map_or("", |kind| kind.name);
    // Whoever neither administers nor audits has their own keys; auditors see those of all, but make and change their own.
    let audits = [Role::InternalAuditor, Role::Auditor].contains(&caller.role);
    let keys = kind == "api_key" && caller.role != Role::Admin && !(audits && operation.reads());
    let pushes = (caller.role == Role::Collector || keys) && operation.by_id();
    let raises = caller.role == Role::InternalAuditor
        && permission(&operation.method, &operation.template).is_some_and(|(_, action)| action == "change");
    let contributes =
        (caller.role == Role::Contributor && !keys || kind == "nonconformity" && raises) && !operation.reads() && operation.by_id();
    let record = match (operation.by_id(), operation.reads() && !operation.template.contains("{n}") && !pushes) {
        (false, _) => String::new(),
        (true, true) => shared.to_owned(),
        (true, false) => {
            let by = if pushes { &caller.key } else { &kit.app.keys.admin };
            let owns = contributes || operation.template.ends_with("/sign");
            id(&kit.ready(operation, by, owns.then_some(caller.person.as_str())).await).to_owned()
        }
    };
    let reply = kit.call(&caller.key, operation, &record).await;
    if !(200..300).contains(&reply.status) {
        return wrong("may, but did not succeed", &reply);
    }
    if !pushes && !contributes {
        return "yes".into();
    }
    let of_others = id(&kit.ready(operation, &kit.app.keys.admin, None).await).to_owned();
    let reply = kit.call(&caller.key, operation, &of_others).await;
    match (reply.status, pushes) {
        (404, true) => "own".into(),
        (403, true) if keys && audits => "own".into(),
        (403, false) if ["not_assigned", "segregation_of_duties"].contains(&reply.json()["code"].as_str().unwrap()) => "own".into(),
        (200..300, false) => "yes".into(),
        _ => wrong("on someone else's", &reply),
    }
}

/// What another credential sees.
async fn other_cell(kit: &Kit<'_>, operation: &Operation, (n, key): (usize, &str), record: &str, hidden: &[String]) -> String {
    let wrong = |reply: &crate::support::Reply| format!("! {}: {} {}", OTHERS[n], reply.status, reply.text());
    let kind = operation.kind().map_or("", |kind| kind.name);
    if (1..4).contains(&n) {
        let reply = kit.call(key, operation, record).await;
        return if reply.status == 401 { "401".into() } else { wrong(&reply) };
    }
    let limited = n >= 4;
    if limited
        && (!may(Role::Manager, operation) || (!concerns(n, kind) && !operation.reads()) || (operation.by_id() && !concerns(n, kind)))
    {
        return "·".into();
    }
    if operation.by_id() {
        let reply = kit.call(key, operation, record).await;
        return if reply.status == 404 && reply.json()["code"] == "not_found" { "404".into() } else { wrong(&reply) };
    }
    if !operation.reads() {
        return if limited { "·".into() } else { "apart".into() };
    }
    let reply = kit.call(key, operation, record).await;
    let concerned = |id: &&String| !limited || kit_kind(operation, n, kind) && reply.text().contains(*id);
    let leaked = hidden.iter().filter(concerned).any(|id| reply.text().contains(id.as_str()));
    match (reply.status, leaked) {
        (200, false) if !limited || concerns(n, kind) => "apart".into(),
        (200, false) => "·".into(),
        _ => wrong(&reply),
    }
}
/// Is it the list of a kind that the limit concerns?
fn kit_kind(operation: &Operation, limit: usize, kind: &str) -> bool {
    operation.kind().is_some() && concerns(limit, kind)
}

async fn open_operations_need_no_credential(app: &TestApp) {
    let open: Vec<Operation> = fixtures::operations().into_iter().filter(|operation| operation.open).collect();
    let login = json!({"email": "manager@a.example", "password": PASSWORD});
    for operation in &open {
        let body = match operation.template.as_str() {
            "/v1/auth/login" => Some(login.clone()),
            "/v1/auth/refresh" | "/v1/auth/logout" => {
                let tokens = app.post("", "/v1/auth/login", &login).await.expect(200).json();
                Some(json!({"refresh_token": tokens["refresh_token"]}))
            }
            "/v1/auth/setup" => {
                let user = json!({"email": "new@a.example", "roles": ["auditor"]});
                let made = app.post(&app.keys.admin, "/v1/users", &user).await.expect(201).json();
                Some(json!({"setup_token": made["setup_token"], "password": PASSWORD}))
            }
            _ => None,
        };
        let reply = app.send("", operation.method.clone(), &operation.template, &[], body.as_ref()).await;
        assert!((200..300).contains(&reply.status), "{}: {} {}", operation.named(), reply.status, reply.text());
    }
    let names: Vec<String> = open.iter().map(Operation::named).collect();
    let known = [
        "GET /healthz",
        "GET /readyz",
        "POST /v1/auth/login",
        "POST /v1/auth/logout",
        "POST /v1/auth/refresh",
        "POST /v1/auth/setup",
        "GET /v1/openapi.json",
    ];
    assert_eq!(names, known, "an operation that needs no credential is agreed on here");
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
