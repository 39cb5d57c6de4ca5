//! What an operation of the document needs before it can succeed: a record in the right state, a
//! body, the places in its path. All of it comes from the document and from the state machines;
//! what cannot be known from there is in `before`, `body` and `filled`: **a new operation that
//! needs more is added there**.
use crate::support::make::{after_what_they_need, id, last, linked, needed, of_kind, rooms};
use crate::support::{PASSWORD, Reply, TestApp};
use actix_web::http::Method;
use isms::records::Kind;
use isms::registers::{REGISTERS, Register};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where new fixtures belong.
pub const HERE: &str = "tests/laws/access/fixtures.rs";

/// An operation of the document.
pub struct Operation {
    pub method: Method,
    pub template: String,
    /// Does it need no credential?
    pub open: bool,
    /// Kind and action, as the document says; `None` where every good credential will do.
    pub permission: Option<(String, String)>,
    example: Option<Value>,
}

/// Every operation of the document.
pub fn operations() -> Vec<Operation> {
    let document = isms::api::document::document();
    let resolved = |part: &Value| {
        part["$ref"].as_str().map_or(part.clone(), |target| {
            document.pointer(&target[1..]).unwrap().clone()
        })
    };
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = operation["requestBody"]["content"]
                .as_object()
                .and_then(|content| content.get("application/json").or(content.values().next()));
            let example = content.map(|content| match &content["example"] {
                Value::Null => {
                    let schema = resolved(&content["schema"]);
                    [&schema["example"], &schema["examples"][0]]
                        .into_iter()
                        .find(|one| !one.is_null())
                        .cloned()
                        .unwrap_or_default()
                }
                example => example.clone(),
            });
            let open = !operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .any(|scheme| scheme.get("bearer").is_some());
            let named = |part: &str| operation["x-permission"][part].as_str().map(str::to_owned);
            assert!(
                open || operation.get("x-permission").is_some(),
                "{method} {template} says no permission"
            );
            let permission = named("kind").zip(named("action"));
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                template: template.clone(),
                open,
                permission,
                example,
            });
        }
    }
    all
}

impl Operation {
    pub fn named(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
    pub fn reads(&self) -> bool {
        self.method == Method::GET
    }
    /// The kind whose records its path begins with.
    pub fn kind(&self) -> Option<Kind> {
        let path = self.template.split('/').nth(2)?;
        isms::api::KINDS
            .all()
            .iter()
            .copied()
            .find(|kind| kind.path == path)
    }
    pub fn by_id(&self) -> bool {
        self.template.contains("/{id}")
    }
    /// What follows the id.
    fn rest(&self) -> &str {
        self.template
            .split_once("/{id}")
            .map_or("", |(_, rest)| rest.trim_start_matches('/'))
    }
}

/// A framework of both organizations' own.
const OWN: &str = "house-rules";
fn framework(slug: &str) -> Value {
    json!({"slug": slug, "title": "House rules", "requirements": [{"ref": "1", "title": "Doors"},
        {"ref": "2", "title": "Windows"}]})
}

/// The register that an operation makes records of.
pub fn made_by(operation: &Operation) -> Option<&'static Register> {
    let makes = |room: &&Register| operation.template == format!("/v1/{}", room.kind.path);
    rooms()
        .filter(|_| operation.method == Method::POST)
        .find(makes)
}

/// One record of each kind that records of another have to refer to, in this scope.
async fn needs(app: &TestApp, scope: &str) -> BTreeMap<&'static str, String> {
    let asked: BTreeSet<&str> = rooms()
        .flat_map(needed)
        .map(|relation| of_kind(relation.to).kind.name)
        .collect();
    let mut made = BTreeMap::from([("scope", scope.to_owned())]);
    for room in after_what_they_need().filter(|room| asked.contains(room.kind.name)) {
        if made.contains_key(room.kind.name) {
            continue;
        }
        let mut body = (room.example)();
        body["scope_ids"] = json!([scope]);
        for relation in needed(room) {
            body[relation.member] = linked(relation, &json!(made[of_kind(relation.to).kind.name]));
        }
        let path = format!("/v1/{}", room.kind.path);
        let record = app.post(&app.keys.admin, &path, &body).await.expect(201);
        made.insert(room.kind.name, id(&record.json()).to_owned());
    }
    made
}

/// Who makes fixtures, and where they are.
pub struct Kit<'a> {
    pub app: &'a TestApp,
    pub operations: Vec<Operation>,
    /// The scope of every record.
    pub scope: String,
    /// What the records of some registers have to refer to, by kind.
    needed: BTreeMap<&'static str, String>,
    /// Is the next treatment to be signed by the one whose it is, or an acceptance?
    signing: Cell<bool>,
    accepting: Cell<bool>,
    /// The last entry before the request that was called last.
    began: Cell<i64>,
}

impl<'a> Kit<'a> {
    pub async fn new(app: &'a TestApp) -> Kit<'a> {
        let body = json!({"name": "Fixtures", "statement": "Everything that these tests make."});
        let scope = app
            .post(&app.keys.admin, "/v1/scopes", &body)
            .await
            .expect(201)
            .json();
        for key in [&app.keys.admin, &app.keys.b_admin] {
            app.post(key, "/v1/frameworks", &framework(OWN))
                .await
                .expect(201);
        }
        let scope = id(&scope).to_owned();
        let needed = needs(app, &scope).await;
        Kit {
            app,
            operations: operations(),
            scope,
            needed,
            signing: Cell::new(false),
            accepting: Cell::new(false),
            began: Cell::new(0),
        }
    }
    /// A record of a kind, by whom, for whom.
    pub async fn record(&self, kind: &Kind, by: &str, owner: Option<&str>) -> Value {
        if kind.name == "organization" {
            return self
                .app
                .get(by, "/v1/organization")
                .await
                .expect(200)
                .json();
        }
        let create = self
            .operations
            .iter()
            .find(|one| one.method == Method::POST && one.template == format!("/v1/{}", kind.path));
        let create = create
            .unwrap_or_else(|| panic!("{HERE}: `record` has to know how a {} is made", kind.name));
        let mut body = if kind.name == "api_key" {
            self.own_key(by).await
        } else {
            self.body(create)
        };
        if !["user", "api_key"].contains(&kind.name) {
            body["scope_ids"] = json!([self.scope]);
            body["owner_id"] = json!(owner);
        }
        if kind.name == "risk_treatment" {
            self.of_a_risk(&mut body, owner).await;
        }
        let made = self.app.post(by, &create.template, &body).await;
        assert_eq!(
            made.status,
            201,
            "{HERE}: `body` has none that makes a {}: {}",
            kind.name,
            made.text()
        );
        made.json()
    }
    /// A treatment is of a risk that was assessed. It belongs to a contributor who signs, unless
    /// `sign` is asked for.
    async fn of_a_risk(&self, body: &mut Value, owner: Option<&str>) {
        let (app, risk) = (
            self.app,
            REGISTERS
                .iter()
                .find(|room| room.kind.name == "risk")
                .unwrap(),
        );
        let owner = owner
            .filter(|_| self.signing.get())
            .unwrap_or(&app.keys.contributor_person);
        let risk = Box::pin(self.record(&risk.kind, &app.keys.admin, Some(owner))).await;
        let score = json!({"stage": "current", "likelihood": 4, "impact": 5, "rationale": "Seen."});
        app.post(
            &app.keys.admin,
            &format!("/v1/risks/{}/assessments", id(&risk)),
            &score,
        )
        .await
        .expect(201);
        body["risk_id"] = risk["id"].clone();
        if body["owner_id"].is_null() {
            body["owner_id"] = json!(app.keys.person); // a mitigation names who does it
        }
        if self.accepting.get() {
            let accepts = json!({"name": "Live with it", "risk_id": risk["id"], "option": "accept",
                "justification": "Costs more.",
                "expires_on": "2027-06-30", "scope_ids": body["scope_ids"],
                    "owner_id": body["owner_id"]});
            *body = accepts;
        }
    }
    /// A body that the operation takes.
    pub fn body(&self, operation: &Operation) -> Value {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let (own, n) = (&operation.example, NEXT.fetch_add(1, Ordering::SeqCst));
        match (operation.method.as_str(), operation.template.as_str()) {
            ("POST", "/v1/evidence") => {
                json!({"name": "Access review", "source": "backup",
                    "external_id": format!("piece {n}"), "payload": {"n": n}})
            }
            ("POST", "/v1/evidence/batch") => {
                // At whatever version it is, so that the limits answer and not the version.
                let mut body = own.clone().unwrap();
                for item in body["items"].as_array_mut().unwrap() {
                    item["if_match"] = json!("*");
                }
                body
            }
            ("POST", "/v1/risk-methodologies/{id}/approve") => json!({}),
            // each has a scope of its own, and replaces none
            ("POST", "/v1/frameworks") => framework(&format!("fixture-{n}")),
            ("POST", "/v1/frameworks/{slug}/mappings") => {
                json!({"mappings": [{"source": format!("{OWN}:1"),
                    "target": "iso-27001-2022:A.7.4", "relationship": "equal"}]})
            }
            ("POST", "/v1/users") => {
                json!({"email": format!("{n}@a.example"), "roles": ["auditor"]})
            }
            ("POST", "/v1/me/password") => {
                json!({"current_password": PASSWORD, "new_password": format!("{PASSWORD} {n}")})
            }
            ("POST", template) if template.ends_with("/links") => {
                json!({"relation": "scope_ids", "to": self.scope})
            }
            _ => {
                let mut body = own.clone().unwrap_or(json!({}));
                for relation in made_by(operation).into_iter().flat_map(needed) {
                    body[relation.member] = linked(
                        relation,
                        &json!(self.needed[of_kind(relation.to).kind.name]),
                    );
                }
                body
            }
        }
    }
    /// The example of a kind as a table of one row.
    fn table(&self, kind: &Kind) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut row = (REGISTERS
            .iter()
            .find(|room| room.kind.name == kind.name)
            .unwrap()
            .example)();
        row["external_ref"] = json!(format!("row {}", NEXT.fetch_add(1, Ordering::SeqCst)));
        let members = row
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array());
        let (names, values): (Vec<&str>, Vec<String>) = members
            .map(|(name, value)| {
                (
                    name.as_str(),
                    value.as_str().map_or(value.to_string(), str::to_owned),
                )
            })
            .unzip();
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(names).unwrap();
        table.write_record(values).unwrap();
        String::from_utf8(table.into_inner().unwrap()).unwrap()
    }
    /// A built-in framework, or one's own where only that will do.
    fn slug(&self, operation: &Operation) -> &str {
        let own = ["/mappings", "/revisions", "/revisions/{n}", "/diff"]
            .iter()
            .any(|end| operation.template.ends_with(end));
        if own { OWN } else { "iso-27001-2022" }
    }
    /// The path of an operation on a record.
    pub fn filled(&self, operation: &Operation, record: &str) -> String {
        let path = operation
            .template
            .replace("{id}", record)
            .replace("{relation}", "scope_ids")
            .replace("{to}", &self.scope);
        let path = path
            .replace("{requirement}", "iso-27001-2022:A.7.4")
            .replace("{slug}", self.slug(operation))
            .replace("{n}", "1");
        let path = if path.ends_with("/soa-diff") {
            format!("{path}?from=live&to=live")
        } else {
            path
        };
        assert!(
            !path.contains('{'),
            "{HERE}: `filled` has to know what stands in {path}"
        );
        path
    }
    /// Has nothing happened in this organization since the last request?
    pub fn is_as_before(&self) -> bool {
        last(self.app) == self.began.get()
    }
    /// Calls an operation on a record.
    pub async fn call(&self, key: &str, operation: &Operation, record: &str) -> Reply {
        self.began.set(last(self.app));
        if operation.template.ends_with("/import") {
            let (media, table) = (
                [("Content-Type", "text/csv")],
                self.table(&operation.kind().unwrap()).into_bytes(),
            );
            return self
                .app
                .raw(key, Method::POST, &operation.template, &media, Some(table))
                .await;
        }
        if operation.named() == "DELETE /v1/frameworks/{slug}" {
            static NEXT: AtomicU32 = AtomicU32::new(1);
            let slug = format!("gone-{}", NEXT.fetch_add(1, Ordering::SeqCst));
            self.app
                .post(&self.app.keys.admin, "/v1/frameworks", &framework(&slug))
                .await
                .expect(201);
            self.began.set(last(self.app));
            return self
                .app
                .delete(key, &format!("/v1/frameworks/{slug}"), "*")
                .await;
        }
        if operation.named() == "POST /v1/api-keys" {
            return self
                .app
                .post(key, &operation.template, &self.own_key(key).await)
                .await;
        }
        let sends = ![Method::GET, Method::DELETE].contains(&operation.method);
        let body = sends.then(|| self.body(operation));
        let path = self.filled(operation, record);
        let tag = self.app.tag_for(&self.app.keys.admin, &path).await;
        let known: &[(&str, &str)] = if operation.reads() || path.ends_with("/soa-versions") {
            &[]
        } else {
            &[("If-Match", &tag)]
        };
        self.app
            .send(key, operation.method.clone(), &path, known, body.as_ref())
            .await
    }
    /// The body of a key: of the one who makes it after a login; of a service where an
    /// administrator does.
    async fn own_key(&self, login: &str) -> Value {
        let me = self.app.get(login, "/v1/me").await;
        let me = if me.status == 200 {
            me.json()
        } else {
            Value::Null
        };
        let administers = me["roles"]
            .as_array()
            .is_some_and(|roles| roles.contains(&json!("admin")));
        let own = me["actor"]["kind"] == "user" && !administers;
        let (user, role) = if own {
            (me["actor"]["id"].clone(), me["roles"][0].clone())
        } else {
            (Value::Null, json!("collector"))
        };
        json!({"name": "A key", "role": role, "user_id": user,
            "expires_at": "2027-01-01T00:00:00Z"})
    }
    /// A record on which the operation is possible.
    pub async fn ready(&self, operation: &Operation, by: &str, owner: Option<&str>) -> Value {
        let kind = operation.kind().unwrap_or_else(|| {
            panic!(
                "{HERE}: `ready` has to know what {} is about",
                operation.named()
            )
        });
        self.signing.set(operation.rest() == "sign");
        self.accepting.set(operation.rest() == "revoke");
        let record = self.record(&kind, by, owner).await;
        let maker = &self.app.keys.admin;
        let path = format!(
            "/v1/{}/{}",
            kind.path,
            record["id"].as_str().unwrap_or_default()
        );
        match operation.rest() {
            "restore" => drop(self.app.delete(maker, &path, "*").await.expect(204)),
            "links/{relation}/{to}" => {
                let link = json!({"relation": "scope_ids", "to": self.scope});
                self.app
                    .act(maker, &format!("{path}/links"), &link)
                    .await
                    .expect(200);
            }
            "revisions/{n}" => {
                self.walk(
                    &kind,
                    &record,
                    &kind
                        .transitions
                        .iter()
                        .filter(|t| t.verb == "approve")
                        .map(|t| t.to)
                        .collect::<Vec<_>>(),
                )
                .await
            }
            rest if rest.starts_with("soa-versions/") => {
                self.app
                    .post(
                        maker,
                        &format!("{path}/soa-versions"),
                        &json!({"comment": "Not all is decided.", "allow_incomplete": true}),
                    )
                    .await
                    .expect(201);
            }
            verb => {
                let from: Vec<&str> = kind
                    .transitions
                    .iter()
                    .filter(|t| t.verb == verb)
                    .flat_map(|t| t.from.iter().copied())
                    .collect();
                if !from.is_empty() {
                    self.walk(&kind, &record, &from).await;
                    self.before(&kind, verb, &record).await;
                }
            }
        }
        record
    }
    /// Brings a record into one of these states, by the shortest way through its state machine.
    async fn walk(&self, kind: &Kind, record: &Value, to: &[&str]) {
        let begin = record["status"].as_str().unwrap();
        let can = |verb: &str| {
            self.operations
                .iter()
                .find(|one| one.template == format!("/v1/{}/{{id}}/{verb}", kind.path))
        };
        let (mut open, mut seen) = (
            VecDeque::from([(begin, Vec::<&str>::new())]),
            BTreeSet::from([begin]),
        );
        let way = loop {
            let (state, way) = open
                .pop_front()
                .unwrap_or_else(|| panic!("no way of a {} from {begin} to {to:?}", kind.name));
            if to.contains(&state) {
                break way;
            }
            let steps = kind
                .transitions
                .iter()
                .filter(|t| t.from.contains(&state) && can(t.verb).is_some())
                .map(|t| (t.verb, t.to));
            // The last signature leads further than the state machine says.
            let signed = [("sign", "approved"), ("sign", "accepted")]
                .into_iter()
                .filter(|_| (kind.name, state) == ("risk_treatment", "in_review"));
            for (verb, next) in steps.chain(signed) {
                if seen.insert(next) {
                    open.push_back((next, [way.clone(), vec![verb]].concat()));
                }
            }
        };
        for verb in way {
            self.before(kind, verb, record).await;
            let (mut said, operation) = (Vec::new(), can(verb).unwrap());
            for key in [
                &self.app.keys.admin,
                &self.app.keys.contributor,
                &self.app.keys.approver,
            ] {
                let reply = self.call(key, operation, id(record)).await;
                let status = reply.status;
                said.push(format!("{status} {}", reply.text()));
                if status == 200 && (verb != "sign" || reply.json()["status"] != "in_review") {
                    break;
                }
            }
            assert!(
                said.last().unwrap().starts_with("200"),
                "{HERE}: `before` has to prepare {verb} of a {}: {said:?}",
                kind.name
            );
        }
    }
    /// What a step needs besides its state.
    async fn before(&self, kind: &Kind, verb: &str, record: &Value) {
        let (app, maker) = (self.app, &self.app.keys.admin);
        let actions = || format!("/v1/actions?origin_id={}", id(record));
        match (kind.name, verb) {
            ("risk_methodology", "submit") if record["scope_ids"] == json!([]) => {
                let scope = json!({"name": "Its own", "statement": "s"});
                let scope = app
                    .post(maker, "/v1/scopes", &scope)
                    .await
                    .expect(201)
                    .json();
                let path = format!("/v1/risk-methodologies/{}", id(record));
                app.patch(maker, &path, "*", &json!({"scope_ids": [scope["id"]]}))
                    .await
                    .expect(200);
            }
            ("risk_methodology", "approve") => {
                // The one before it in the same scope makes room.
                for scope in record["scope_ids"].as_array().into_iter().flatten() {
                    let question = format!(
                        "/v1/risk-methodologies?in_force=true&scope_id={}",
                        scope.as_str().unwrap()
                    );
                    for other in app.get(maker, &question).await.data() {
                        app.act(
                            maker,
                            &format!("/v1/risk-methodologies/{}/retire", id(&other)),
                            &json!({}),
                        )
                        .await
                        .expect(200);
                    }
                }
            }
            ("nonconformity", "plan") => {
                let action = json!({"name": "Correct it", "origin_id": record["id"]});
                app.post(maker, "/v1/actions", &action).await.expect(201);
            }
            ("risk_treatment", "complete") => {
                let score =
                    json!({"stage": "current", "likelihood": 1, "impact": 4, "rationale": "Done."});
                app.post(
                    maker,
                    &format!(
                        "/v1/risks/{}/assessments",
                        record["risk_id"].as_str().unwrap()
                    ),
                    &score,
                )
                .await
                .expect(201);
            }
            ("nonconformity", "implement") => {
                for action in app.get(maker, &actions()).await.data() {
                    let path = format!("/v1/actions/{}", id(&action));
                    app.act(maker, &format!("{path}/start"), &json!({}))
                        .await
                        .expect(200);
                    app.act(
                        maker,
                        &format!("{path}/complete"),
                        &json!({"result": "Done."}),
                    )
                    .await
                    .expect(200);
                }
            }
            _ => {}
        }
    }
}
