//! Who may do what: every operation of the document with every role and every kind of credential,
//! against the policy, with records that it succeeds on; and the table that comes of it, which an
//! auditor can be given.
mod bounds;
pub mod fixtures;
mod limited;

use crate::support::make::{id, needed};
use crate::support::{PASSWORD, TestApp};
use fixtures::{HERE, Kit, Operation, made_by};
use isms::access::{Role, allows};
use isms::records::{By, Limit, Relation};
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
const OTHERS: [&str; 9] = [
    "other organization",
    "no key",
    "expired key",
    "revoked key",
    "key of another scope",
    "of another control",
    "of another source",
    "of another period",
    "of another framework",
];
const ABOUT: &str = "# Who may do what

Made by the tests from what they saw (`ISMS_BLESS=1 cargo test access` writes it anew); what differs fails them. Each operation of the document was
called with each credential, on a record and in a state in which it succeeds for those who may.

- **yes**: it succeeded. **own**: it succeeded on what is theirs (a contributor's records,
    a collector's own pushes), and was refused (`not_assigned`,
  or 404) on the same of someone else. **-**: refused, 403 `forbidden`.
- The other organization's caller has every role there; **404**: a record of this organization does not exist for it; **apart**: it has its own.
- **401**: the credential is not good.
- The limited keys are a manager's, limited to one other scope, control, source,
    period or framework; **404**: the record, or the whole register, is
  hidden from it; **apart**: it was answered without what is hidden; **read**: the limit hides nothing of it; **outside**: refused, 403
  `outside_limits` (in a batch or an import: each item,
      or what it names is not there); **unknown**: what it names is hidden from the key, so it
  was refused like what does not exist,
      422 `unknown_reference` or 400; **yes**: it is about the key itself.

";

/// Whoever has a login may do it with their own; a key has none.
const OWN_LOGIN: &str = "/v1/me/password";

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
        let person = app
            .post(admin, "/v1/people", &json!({"name": name}))
            .await
            .expect(201)
            .json();
        let email = format!("{prefix}-{name}@a.example");
        let user =
            json!({"name": name, "email": email, "roles": [name], "person_id": person["id"]});
        app.user(admin, &user).await;
        let tokens = app
            .post(
                "",
                "/v1/auth/login",
                &json!({"email": email, "password": PASSWORD}),
            )
            .await
            .expect(200)
            .json();
        all.push(Caller {
            name,
            role,
            key: tokens["access_token"].as_str().unwrap().to_owned(),
            person: id(&person).to_owned(),
        });
    }
    all
}

/// Credentials that are good for nothing, or for something else; in the order of `OTHERS`, the
/// other organization's first.
async fn others(app: &TestApp) -> Vec<String> {
    let admin = &app.keys.admin;
    let made = async |name: &str, until: &str, limits: Value| {
        let body = json!({"name": name, "role": "manager", "expires_at": until, "limits": limits});
        app.post(admin, "/v1/api-keys", &body)
            .await
            .expect(201)
            .json()
    };
    let secret = |key: &Value| key["secret"].as_str().unwrap().to_owned();
    let (late, never) = ("2027-01-01T00:00:00Z", "2026-11-20T09:01:00Z");
    let (expired, revoked) = (
        made("expired", never, json!({})).await,
        made("revoked", late, json!({})).await,
    );
    for key in [&expired, &revoked] {
        app.get(&secret(key), "/v1/me").await.expect(200);
    }
    app.act(
        admin,
        &format!("/v1/api-keys/{}/revoke", id(&revoked)),
        &json!({"comment": "lost"}),
    )
    .await
    .expect(200);
    app.pass(120);
    let of = async |path: &str, body: Value| {
        app.post(admin, path, &body).await.expect(201).json()["id"].clone()
    };
    let scope = of(
        "/v1/scopes",
        json!({"name": "Elsewhere", "statement": "Another place."}),
    )
    .await;
    let control = of("/v1/controls", json!({"name": "Another control"})).await;
    let mut all = vec![
        app.keys.b_admin.clone(),
        String::new(),
        secret(&expired),
        secret(&revoked),
    ];
    for limits in [
        json!({"scope_ids": [scope]}),
        json!({"control_ids": [control]}),
        json!({"sources": ["elsewhere"]}),
        json!({"period_start_on": "2030-01-01", "period_end_on": "2030-12-31"}),
        json!({"framework_slugs": ["nis2-art21"]}),
    ] {
        all.push(secret(&made("limited", late, limits).await));
    }
    all
}

fn may(role: Role, operation: &Operation) -> bool {
    operation
        .permission
        .as_ref()
        .is_none_or(|(kind, action)| allows(&[role], kind, action))
}

/// What the limit of a column means for a kind.
fn meaning(n: usize, kind: &str) -> Option<By> {
    let limit = [
        Limit::Scopes,
        Limit::Controls,
        Limit::Sources,
        Limit::Period,
        Limit::Frameworks,
    ][n - 4];
    isms::api::KINDS
        .named(kind)
        .and_then(|known| known.meaning(limit))
}
/// Does the limit of a column hide nothing of a kind?
fn shows_all(n: usize, kind: &str) -> bool {
    matches!(meaning(n, kind), Some(By::ReadOnly(_) | By::Rule(_)))
}

/// What each limit means for each kind, as a table.
fn meanings() -> String {
    let mut table = String::from(MEANINGS);
    writeln!(
        table,
        "| register | {} |",
        Limit::ALL.map(Limit::word).join(" | ")
    )
    .unwrap();
    writeln!(table, "|---|{}", "---|".repeat(Limit::ALL.len())).unwrap();
    for kind in isms::api::KINDS.all() {
        let said = |limit| match kind.meaning(limit) {
            None => "hidden".to_owned(),
            Some(By::Itself) => "itself".to_owned(),
            Some(By::Scopes) => "by `scope_ids`".to_owned(),
            Some(By::Controls) => "by `control_ids`".to_owned(),
            Some(By::Citations) => "by `requirements`".to_owned(),
            Some(By::Fact(what, _)) => format!("by {what}"),
            Some(By::Rule(words)) => format!("all is read, and {words}"),
            Some(By::ReadOnly(why)) => format!("read only: {why}"),
        };
        writeln!(
            table,
            "| `{}` | {} |",
            kind.path,
            Limit::ALL.map(said).join(" | ")
        )
        .unwrap();
    }
    table
}
const MEANINGS: &str = "
## What a limit of a key means

A key reads a record when every limit that the key has lets it,
    and writes it when the record lies wholly within every limit, before the change and
after it. What is hidden is answered like what does not exist: 404,
    or a list without it. A write that would lie outside is 403 `outside_limits`.

- **itself**: the limit names the record. **by `scope_ids`**: read when one of its scopes is named,
    or when it has none and so belongs to the whole
  organization; written when all of its scopes are named,
      and there is one. **by `control_ids`**: read when one of its controls is named, written when
  all are. **by `requirements`**: read when it cites a requirement of a named framework,
      or none; written when all that it cites are of named
  frameworks, and there is one; citations of other frameworks are left out of what is read. **by** a member: read and written when that is named.
- **read only**: all of it is read, none of it is written,
    for the reason given. **hidden**: the register does not know the limit, so a key that has
  it neither reads nor writes any of it.
- Whoever reads the ledger sees the entries of hidden records as their position and the hash of their leaf, so that nothing is missing. Versions
  from when a record was hidden stay hidden, in its history too. Computed values,
      ratings among them, are computed from what is seen.

";

async fn everyone_does_what_the_policy_says_and_nothing_else(app: &TestApp) {
    let (others, kit) = (others(app).await, Kit::new(app).await);
    // Who changes the password ends all of their sessions, so others do that.
    let (callers, passing) = (callers(app, "the").await, callers(app, "passing").await);
    let mut shared: BTreeMap<&str, Value> = BTreeMap::new();
    let mut table = String::from(ABOUT);
    writeln!(
        table,
        "| operation | {} | {} |",
        ROLES.map(|(name, _)| name.replace('_', " ")).join(" | "),
        OTHERS.join(" | ")
    )
    .unwrap();
    writeln!(table, "|---|{}", "---|".repeat(ROLES.len() + OTHERS.len())).unwrap();
    let mut faults = Vec::new();
    let there = json!({"email": "passing@b.example", "roles": ["admin"]});
    app.user(&app.keys.b_admin, &there).await;
    let there = app.login("passing@b.example").await;
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
        for caller in if operation.template == OWN_LOGIN {
            &passing
        } else {
            &callers
        } {
            row.push(role_cell(&kit, operation, caller, &record).await);
        }
        if !row
            .iter()
            .any(|cell| ["yes", "own"].contains(&cell.as_str()))
        {
            faults.push(format!(
                "{}: it succeeded for nobody, so its refusals say nothing. Does \
                src/access/policy.rs have a row for it? If it needs more than the example of its \
                body, prepare that in {HERE}",
                operation.named()
            ));
        }
        let foreign = shared
            .iter()
            .map(|(kind, record)| ((*kind).to_owned(), id(record).to_owned()))
            .collect::<Vec<_>>();
        for (n, key) in others.iter().enumerate() {
            let key = if n == 0 && operation.template == OWN_LOGIN {
                &there
            } else {
                key
            };
            row.push(other_cell(&kit, operation, (n, key), &record, &foreign).await);
        }
        faults.extend(
            row.iter()
                .filter(|cell| cell.starts_with('!'))
                .map(|cell| format!("{}: {cell}", operation.named())),
        );
        writeln!(table, "| `{}` | {} |", operation.named(), row.join(" | ")).unwrap();
    }
    table.push_str(&meanings());
    assert!(
        faults.is_empty(),
        "{} cells are not what the policy says:\n{}",
        faults.len(),
        faults.join("\n")
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-matrix.md");
    if std::env::var("ISMS_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(file, &table).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let differs = kept
        .lines()
        .zip(table.lines())
        .find(|(kept, found)| kept != found);
    assert!(
        kept == table,
        "docs/access-matrix.md is not what was found (ISMS_BLESS=1 writes it): {differs:?}"
    );
}

/// What a role sees: `yes`, `own`, `-`; or `!` and what is wrong.
async fn role_cell(kit: &Kit<'_>, operation: &Operation, caller: &Caller, shared: &str) -> String {
    let wrong = |what: &str, reply: &crate::support::Reply| {
        format!(
            "! {} {what}: {} {}",
            caller.name,
            reply.status,
            reply.text()
        )
    };
    if operation.template != OWN_LOGIN && !may(caller.role, operation) {
        let reply = kit.call(&caller.key, operation, shared).await;
        return if reply.status == 403 && reply.json()["code"] == "forbidden" {
            "-".into()
        } else {
            wrong("may not", &reply)
        };
    }
    if caller.name == "auditor"
        && !operation.reads()
        && operation.template != OWN_LOGIN
        && !operation.template.starts_with("/v1/api-keys")
    {
        return "! an auditor writes".into();
    }
    let kind = operation.kind().map_or("", |kind| kind.name);
    // Whoever neither administers nor audits has their own keys; auditors see those of all, but
    // make and change their own.
    let audits = [Role::InternalAuditor, Role::Auditor].contains(&caller.role);
    let keys = kind == "api_key" && caller.role != Role::Admin && !(audits && operation.reads());
    let pushes = (caller.role == Role::Collector || keys) && operation.by_id();
    let raises = caller.role == Role::InternalAuditor
        && operation
            .permission
            .as_ref()
            .is_some_and(|(_, action)| action == "change");
    let contributes = (caller.role == Role::Contributor && !keys
        || kind == "nonconformity" && raises)
        && !operation.reads()
        && operation.by_id();
    let record = match (
        operation.by_id(),
        operation.reads() && !operation.template.contains("{n}") && !pushes,
    ) {
        (false, _) => String::new(),
        (true, true) => shared.to_owned(),
        (true, false) => {
            let by = if pushes {
                &caller.key
            } else {
                &kit.app.keys.admin
            };
            let owns = contributes || operation.template.ends_with("/sign");
            id(&kit
                .ready(operation, by, owns.then_some(caller.person.as_str()))
                .await)
            .to_owned()
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
        (403, false)
            if ["not_assigned", "segregation_of_duties"]
                .contains(&reply.json()["code"].as_str().unwrap()) =>
        {
            "own".into()
        }
        (200..300, false) => "yes".into(),
        _ => wrong("on someone else's", &reply),
    }
}

/// What another credential sees. The request is sent for every cell.
async fn other_cell(
    kit: &Kit<'_>,
    operation: &Operation,
    (n, key): (usize, &str),
    record: &str,
    hidden: &[(String, String)],
) -> String {
    let reply = kit.call(key, operation, record).await;
    let unchanged = kit.is_as_before();
    let said = serde_json::from_slice::<Value>(&reply.bytes).unwrap_or_default();
    let cell = match (reply.status, said["code"].as_str().unwrap_or_default()) {
        (401, _) => "401",
        (404, "not_found") => "404",
        (403, "outside_limits") => "outside",
        (403, "forbidden") => "-",
        (422, "validation_failed") if n > 3 && all_unknown(&said) => "unknown",
        // The framework that is meant where none is named.
        (400, "invalid_parameter") if n == 8 && said["errors"][0]["pointer"] == "framework" => {
            "unknown"
        }
        // It is for a person, whatever the limits; where they hide nothing, that is said first.
        (403, "segregation_of_duties")
            if n > 3 && operation.template.ends_with("/soa-versions") =>
        {
            "-"
        }
        (200..300, _) if n > 3 && all_refused(&said) => "outside",
        (200..300, _)
            if n > 3
                && IDLE.contains(&operation.named().as_str())
                && idle(kit, key, &said).await =>
        {
            "idle"
        }
        (200..300, _) if operation.permission.is_none() => "yes",
        (200..300, _) => "read",
        _ => "other",
    };
    let open = n > 3 && operation.reads() && cites_nothing(kit, operation, n, record).await;
    let fits = match n {
        1..4 => cell == "401",
        0 if operation.by_id() => cell == "404",
        // It writes what is its own; what it names of this organization is nothing there.
        0 => {
            (cell != "404" || operation.template.contains('{'))
                && !["401", "outside", "-"].contains(&cell)
                && unchanged
        }
        _ if operation.template == OWN_LOGIN => cell == "-" || cell == "other",
        _ if open => cell == "read" && unchanged,
        _ => limited_fits(operation, n, cell) && unchanged,
    };
    let kind = operation
        .permission
        .as_ref()
        .map_or("", |(kind, _)| kind.as_str());
    let concerned =
        |(of, id): &&(String, String)| n < 4 || !(shows_all(n, of) || open && id == record);
    let leaked = hidden
        .iter()
        .filter(concerned)
        .find(|(_, id)| reply.text().contains(id.as_str()));
    match (fits, leaked, cell) {
        (true, Some((of, id)), "read")
            if n == 0 || operation.kind().is_some_and(|kind| kind.name == of) =>
        {
            format!("! {}: it tells of {of} {id}: {}", OTHERS[n], reply.text())
        }
        (true, _, "idle") => "apart".into(),
        (true, _, "read") if n < 4 || !shows_all(n, kind) && !open => "apart".into(),
        (true, _, "other") => {
            if n == 0 {
                "apart".into()
            } else {
                "-".into()
            }
        }
        (true, ..) => cell.into(),
        (false, ..) => format!("! {}: {cell}: {} {}", OTHERS[n], reply.status, reply.text()),
    }
}
/// Is each fault that it names hidden things?
fn all_unknown(problem: &Value) -> bool {
    problem["errors"].as_array().is_some_and(|all| {
        !all.is_empty() && all.iter().all(|fault| fault["code"] == "unknown_reference")
    })
}
/// Operations that a limited key calls without doing anything when all that it would be about is
/// hidden, or stands already.
const IDLE: [&str; 2] = [
    "POST /v1/risks/rescore",
    "POST /v1/vulnerabilities/findings",
];
/// Was nothing done, and is all that it names read by this key?
async fn idle(kit: &Kit<'_>, key: &str, said: &Value) -> bool {
    for item in said["data"].as_array().unwrap() {
        let path = format!("/v1/vulnerabilities/{}", id(item));
        if item["outcome"] != "unchanged" || kit.app.get(key, &path).await.status != 200 {
            return false;
        }
    }
    true
}
/// Is this about a record that is read because it cites nothing?
async fn cites_nothing(kit: &Kit<'_>, operation: &Operation, n: usize, record: &str) -> bool {
    let Some(kind) = operation.kind().filter(|_| operation.by_id()) else {
        return false;
    };
    let by = matches!(meaning(n, kind.name), Some(By::Citations));
    by && kit
        .app
        .get(&kit.app.keys.admin, &format!("/v1/{}/{record}", kind.path))
        .await
        .json()["requirements"]
        == json!([])
}
/// Was each item of a batch or an import refused, for its limits or because it names what is
/// hidden?
fn all_refused(said: &Value) -> bool {
    let items = said["data"]
        .as_array()
        .or(said["items"].as_array())
        .or(said["rows"].as_array());
    let refused = |item: &Value| {
        let problem = &item["problem"];
        match item["status"].as_u64() {
            Some(403) => problem["code"] == "outside_limits",
            Some(404) => problem["code"] == "not_found",
            Some(422) => all_unknown(problem),
            _ => false,
        }
    };
    items.is_some_and(|items| !items.is_empty() && items.iter().all(refused))
}
/// What a limited manager's key may be answered: nothing that it calls with lies within its limits.
fn limited_fits(operation: &Operation, n: usize, cell: &str) -> bool {
    let Some((kind, _)) = &operation.permission else {
        return cell == "yes";
    };
    if !may(Role::Manager, operation) {
        return cell == "-";
    }
    // Another record may stand before it in the path: the scope of a statement.
    let place = operation
        .kind()
        .filter(|_| operation.by_id())
        .map_or(kind.as_str(), |kind| kind.name);
    let all = shows_all(n, kind) && shows_all(n, place);
    // What may not exist: a revision that there is not, and what is named in a path.
    let (numbered, named) = (
        operation.template.contains("{n}"),
        operation.template.contains('{'),
    );
    // Whoever does not see accounts has their own keys alone, and such a key has none.
    if kind == "api_key" {
        return match (operation.reads(), operation.by_id()) {
            (true, false) => cell == "read",
            (_, true) => cell == "404" || cell == "outside" && !operation.reads(),
            (false, false) => cell == "-" || cell == "outside",
        };
    }
    // It names what this limit hides: a framework, or a record that it has to refer to.
    if cell == "unknown" {
        let hides = |relation: &Relation| !shows_all(n, relation.to);
        return n == 8 || made_by(operation).is_some_and(|room| needed(room).any(hides));
    }
    if cell == "-" {
        return operation.template.ends_with("/soa-versions");
    }
    // It is drawn on the scales of a methodology: a key that sees none has no matrix.
    if operation.named() == "GET /v1/risk-matrix" && !all && cell == "404" {
        return true;
    }
    match (operation.reads(), operation.by_id()) {
        (true, true) if all => cell == "read" || numbered && cell == "404",
        (true, true) => {
            cell == "404" || cell == "outside" || (cell == "read" && shows_all(n, place))
        }
        (true, false) => cell == "read" || named && cell == "404",
        (false, true) => cell == "404" || cell == "outside",
        (false, false) => ["outside", "idle"].contains(&cell) || named && cell == "404",
    }
}

async fn open_operations_need_no_credential(app: &TestApp) {
    let open: Vec<Operation> = fixtures::operations()
        .into_iter()
        .filter(|operation| operation.open)
        .collect();
    let login = json!({"email": "manager@a.example", "password": PASSWORD});
    for operation in &open {
        let body = match operation.template.as_str() {
            "/v1/auth/login" => Some(login.clone()),
            "/v1/auth/refresh" | "/v1/auth/logout" => {
                let tokens = app
                    .post("", "/v1/auth/login", &login)
                    .await
                    .expect(200)
                    .json();
                Some(json!({"refresh_token": tokens["refresh_token"]}))
            }
            "/v1/auth/setup" => {
                let user = json!({"email": "new@a.example", "roles": ["auditor"]});
                let made = app
                    .post(&app.keys.admin, "/v1/users", &user)
                    .await
                    .expect(201)
                    .json();
                Some(json!({"setup_token": made["setup_token"], "password": PASSWORD}))
            }
            _ => None,
        };
        let reply = app
            .send(
                "",
                operation.method.clone(),
                &operation.template,
                &[],
                body.as_ref(),
            )
            .await;
        assert!(
            (200..300).contains(&reply.status),
            "{}: {} {}",
            operation.named(),
            reply.status,
            reply.text()
        );
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
    assert_eq!(
        names, known,
        "an operation that needs no credential is agreed on here"
    );
}

async fn a_contributor_changes_what_is_theirs(app: &TestApp) {
    let (manager, contributor) = (&app.keys.manager, &app.keys.contributor);
    let of = |value: Value| value["id"].as_str().unwrap().to_owned();
    let asset = json!({"name": "Laptop", "asset_type": "hardware", "classification": "internal"});
    let theirs = app
        .post(contributor, "/v1/assets", &asset)
        .await
        .expect(201)
        .json();
    assert_eq!(
        theirs["owner_id"],
        json!(app.keys.contributor_person),
        "what a contributor makes is theirs"
    );
    let other = of(app
        .post(manager, "/v1/assets", &asset)
        .await
        .expect(201)
        .json());
    app.patch(
        contributor,
        &format!("/v1/assets/{}", of(theirs)),
        "*",
        &json!({"name": "Mine"}),
    )
    .await
    .expect(200);
    app.patch(
        contributor,
        &format!("/v1/assets/{other}"),
        "*",
        &json!({"name": "Mine"}),
    )
    .await
    .problem(403, "not_assigned");
    app.act(
        contributor,
        &format!("/v1/assets/{other}/review"),
        &json!({}),
    )
    .await
    .problem(403, "not_assigned");
    let given = json!({"name": "x", "asset_type": "hardware", "classification": "internal",
        "owner_id": app.keys.person});
    app.post(contributor, "/v1/assets", &given)
        .await
        .problem(403, "not_assigned");
    app.patch(
        manager,
        &format!("/v1/assets/{other}"),
        "*",
        &json!({"owner_id": app.keys.contributor_person}),
    )
    .await
    .expect(200);
    app.patch(
        contributor,
        &format!("/v1/assets/{other}"),
        "*",
        &json!({"name": "Mine"}),
    )
    .await
    .expect(200);
}
