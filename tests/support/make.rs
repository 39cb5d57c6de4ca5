//! Records for the laws: one of any register, and what its ledger says.
use super::TestApp;
use diesel::prelude::*;
use isms::core::TenantId;
use isms::db::schema::ledger_entries as e;
use isms::records::Relation;
use isms::registers::{REGISTERS, Register};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// The registers that have common operations.
pub fn rooms() -> impl Iterator<Item = &'static Register> {
    REGISTERS.iter().filter(|room| room.operations.is_some())
}
pub fn creates(room: &Register) -> bool {
    room.operations.unwrap().create
}
/// Where a register is.
pub fn all(room: &Register) -> String {
    format!("/v1/{}", room.kind.path)
}
/// Where a record is.
pub fn one(room: &Register, record: &Value) -> String {
    format!("{}/{}", all(room), id(record))
}
#[track_caller]
pub fn id(record: &Value) -> &str {
    record["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {record}"))
}

/// The register of a kind; any will do where a relation leads to any.
pub fn of_kind(name: &str) -> &'static Register {
    let name = if name.is_empty() { "asset" } else { name };
    rooms()
        .find(|room| room.kind.name == name)
        .unwrap_or_else(|| panic!("`{name}` is no register that records can be made in"))
}
/// What a record of this register has to refer to.
pub fn needed(room: &Register) -> impl Iterator<Item = &'static Relation> {
    room.kind
        .relations
        .iter()
        .filter(|relation| relation.required)
}
/// The registers, each after those that its records have to refer to.
pub fn after_what_they_need() -> impl Iterator<Item = &'static Register> {
    let mut ordered: Vec<&'static Register> = Vec::new();
    let mut open: Vec<&'static Register> = rooms().collect();
    while !open.is_empty() {
        let ready = |room: &Register| {
            needed(room).all(|relation| {
                let to = of_kind(relation.to).kind.name;
                ordered.iter().any(|other| other.kind.name == to)
            })
        };
        let (next, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|room| ready(room));
        let stuck: Vec<&str> = rest.iter().map(|room| room.kind.name).collect();
        assert!(
            !next.is_empty(),
            "{stuck:?} need each other, so none can be made"
        );
        ordered.extend(next);
        open = rest;
    }
    ordered.into_iter()
}
/// The member of a relation that leads to this record alone.
pub fn linked(relation: &Relation, to: &Value) -> Value {
    match relation.many() {
        true => json!([to]),
        false => to.clone(),
    }
}
/// The oldest record of a register; it is made where there is none.
async fn first(app: &TestApp, key: &str, room: &'static Register) -> Value {
    let oldest = format!("{}?limit=1&sort=created_at", all(room));
    match app.get(key, &oldest).await.data().pop() {
        Some(record) => record,
        None => Box::pin(make_as(app, key, room, "")).await,
    }
}

/// A body that makes a record; `mark` makes it another one. What it has to refer to is made first,
/// where nothing is there.
pub async fn body(app: &TestApp, room: &Register, mark: &str) -> Value {
    body_as(app, &app.keys.manager, room, mark).await
}
pub async fn body_as(app: &TestApp, key: &str, room: &Register, mark: &str) -> Value {
    match creates(room) {
        true => {
            let mut body = (room.example)();
            for relation in needed(room) {
                let first = first(app, key, of_kind(relation.to)).await;
                body[relation.member] = linked(relation, &first["id"]);
            }
            if !mark.is_empty() {
                body["name"] = json!(mark);
            }
            body
        }
        false => {
            static NEXT: AtomicU32 = AtomicU32::new(1);
            let name = format!("piece {}", NEXT.fetch_add(1, Ordering::SeqCst));
            json!({"name": if mark.is_empty() { "Access review" } else { mark },
                "source": "backup", "external_id": name, "payload": {"mark": mark}})
        }
    }
}
/// A record by the manager of A.
pub async fn make(app: &TestApp, room: &Register) -> Value {
    make_as(app, &app.keys.manager, room, "").await
}
pub async fn make_named(app: &TestApp, room: &Register, mark: &str) -> Value {
    make_as(app, &app.keys.manager, room, mark).await
}
pub async fn make_as(app: &TestApp, key: &str, room: &Register, mark: &str) -> Value {
    let body = body_as(app, key, room, mark).await;
    app.post(key, &all(room), &body).await.expect(201).json()
}

/// The organization A.
pub fn tenant(app: &TestApp) -> TenantId {
    TenantId(app.keys.organization.parse().unwrap())
}
/// The positions of A's ledger.
pub fn seqs(app: &TestApp) -> Vec<i64> {
    e::table
        .filter(e::tenant_id.eq(tenant(app)))
        .order(e::seq)
        .select(e::seq)
        .load(&mut app.conn())
        .unwrap()
}
/// The last position of A's ledger.
pub fn last(app: &TestApp) -> i64 {
    *seqs(app).last().unwrap()
}

/// Every record of a list, page by page.
pub async fn walk(app: &TestApp, key: &str, question: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    let join = if question.contains('?') { '&' } else { '?' };
    loop {
        let page = app
            .get(key, &format!("{question}{join}limit={limit}{cursor}"))
            .await
            .expect(200)
            .json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        all.extend(data.clone());
        assert_eq!(page["has_more"], json!(page["next_cursor"].is_string()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}
