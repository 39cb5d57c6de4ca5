//! What is stored for good: images without names of accounts, images of every schema, tables that
//! the ledger alone makes.
use super::access::fixtures::Kit;
use crate::support::TestApp;
use crate::support::make::{all, body, creates, id, last, make, one, rooms, tenant};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use isms::core::Id;
use isms::db::Conn;
use isms::db::schema::{ledger_entries as e, versions as v};
use isms::records::rebuild;
use isms::registers::Register;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

crate::on_both!(
    no_entry_holds_the_name_of_an_account,
    actors_are_called_as_their_accounts_were_then,
    an_erased_record_is_read_and_changed,
    what_is_derived_is_rebuilt_from_the_ledger
);

async fn fill(app: &TestApp) {
    for room in rooms() {
        let record = make(app, room).await;
        let path = one(room, &record);
        app.patch(
            &app.keys.manager,
            &path,
            "*",
            &json!({"tags": ["x"], "owner_id": app.keys.person}),
        )
        .await
        .expect(200);
        if creates(room) {
            let another = body(app, room, "Another").await;
            app.post(&app.keys.manager, &all(room), &another)
                .await
                .expect(201);
        }
    }
}

async fn no_entry_holds_the_name_of_an_account(app: &TestApp) {
    fill(app).await;
    let accounts = v::table.filter(
        v::tenant_id
            .eq(tenant(app))
            .and(v::kind.eq_any(["user", "api_key"])),
    );
    let names: Vec<String> = accounts.select(v::name).load(&mut app.conn()).unwrap();
    assert!(names.len() > 5, "{names:?}");
    let bodies: Vec<(i64, String)> = e::table
        .filter(e::tenant_id.eq(tenant(app)))
        .select((e::seq, e::body))
        .load(&mut app.conn())
        .unwrap();
    for (seq, body) in bodies {
        for name in &names {
            assert!(
                !body.contains(&format!("\"name\":{}", json!(name))),
                "entry {seq} holds {name}: {body}"
            );
        }
        assert!(
            !body.contains("@a.example"),
            "entry {seq} holds an address: {body}"
        );
    }
}

async fn actors_are_called_as_their_accounts_were_then(app: &TestApp) {
    let (manager, admin) = (&app.keys.manager, &app.keys.admin);
    let room = rooms().find(|room| room.kind.name == "asset").unwrap();
    let record = make(app, room).await;
    let (path, before) = (one(room, &record), last(app));
    let tag = app.get(manager, &path).await.expect(200).etag();
    let list = app.get(manager, &all(room)).await.expect(200).etag();
    assert_eq!(
        (&record["created_by"]["name"], &record["updated_by"]["name"]),
        (&json!("First key"), &json!("First key"))
    );
    let key = record["created_by"]["id"].as_str().unwrap();
    app.patch(
        admin,
        &format!("/v1/api-keys/{key}"),
        "*",
        &json!({"name": "Zweiter \"Schlüssel\""}),
    )
    .await
    .expect(200);
    let named = |value: &Value, name: &str| assert_eq!(value["name"], name, "{value}");
    let now = app.get(manager, &path).await.expect(200);
    named(&now.json()["created_by"], "Zweiter \"Schlüssel\"");
    assert_ne!(now.etag(), tag, "the tag does not know the new name");
    app.get_with(manager, &path, &[("If-None-Match", &tag)])
        .await
        .expect(200);
    app.get_with(manager, &path, &[("If-None-Match", &now.etag())])
        .await
        .expect(304);
    app.get_with(manager, &all(room), &[("If-None-Match", &list)])
        .await
        .expect(200);
    let then = app
        .get(manager, &format!("{path}?as_of=seq:{before}"))
        .await
        .expect(200)
        .json();
    named(&then["created_by"], "First key");
    let then = app
        .get(manager, &format!("{}?as_of=seq:{before}", all(room)))
        .await
        .data()
        .pop()
        .unwrap();
    named(&then["updated_by"], "First key");
    let history = app
        .get(manager, &format!("{path}/history?include=body"))
        .await
        .expect(200)
        .json();
    named(&history["data"][0]["actor"], "Zweiter \"Schlüssel\"");
    named(
        &history["data"][0]["body"]["created_by"],
        "Zweiter \"Schlüssel\"",
    );
    let events = app
        .get(manager, &format!("/v1/events?after={}", before - 1))
        .await
        .data();
    named(&events[0]["actor"], "Zweiter \"Schlüssel\"");
    // An old tag is good for a change still: a name is no part of the version.
    let changed = app
        .patch(manager, &path, &tag, &json!({"tags": ["y"]}))
        .await
        .expect(200)
        .json();
    named(&changed["updated_by"], "Zweiter \"Schlüssel\"");
    // A rename that is undone leaves nothing behind.
    let batch = json!({"mode": "atomic", "items": [
        {"action": "patch", "id": key, "if_match": 2, "body": {"name": "Nobody"}},
            {"action": "patch", "id": key, "if_match": 77, "body": {"name": "x"}}]});
    let _ = app.post(admin, "/v1/api-keys/batch", &batch).await;
    named(
        &app.get(manager, &path).await.expect(200).json()["created_by"],
        "Zweiter \"Schlüssel\"",
    );
}

/// Clears the personal half of a record's newest version, as an erasure does.
fn erase(app: &TestApp, id: &str) {
    let (conn, id) = (&mut app.conn(), Id::parse(id).unwrap());
    let of_it = e::table.filter(e::tenant_id.eq(tenant(app)).and(e::record_id.eq(id)));
    let seq: i64 = of_it
        .order(e::seq.desc())
        .select(e::seq)
        .first(conn)
        .unwrap();
    let by = last(app);
    assert!(by > seq, "an erasure is a later entry");
    let gone = (
        e::personal.eq(None::<String>),
        e::personal_salt.eq(None::<Vec<u8>>),
        e::erased_by.eq(Some(by)),
    );
    assert_eq!(
        diesel::update(e::table.find((tenant(app), seq)))
            .set(gone)
            .execute(conn)
            .unwrap(),
        1
    );
}

async fn an_erased_record_is_read_and_changed(app: &TestApp) {
    let (manager, admin) = (&app.keys.manager, &app.keys.admin);
    for room in rooms().filter(|room| !room.kind.personal.is_empty()) {
        let record = make(app, room).await;
        make(app, rooms().next().unwrap()).await;
        let path = one(room, &record);
        erase(app, record["id"].as_str().unwrap());
        let read = app.get(manager, &path).await.expect(200).json();
        for name in room.kind.personal {
            assert_eq!(read[*name], Value::Null, "{}", room.kind.path);
        }
        app.get(manager, &all(room)).await.expect(200);
        app.get(manager, &format!("{path}/history?include=body"))
            .await
            .expect(200);
        let changed = app
            .patch(manager, &path, "*", &json!({"tags": ["x"]}))
            .await
            .expect(200)
            .json();
        if room.kind.personal.contains(&"name") {
            assert_eq!(
                changed["name"],
                format!("Erased {}", record["code"].as_str().unwrap())
            );
        }
        app.delete(manager, &path, "*").await.expect(204);
        app.act(manager, &format!("{path}/restore"), &json!({}))
            .await
            .expect(200);
    }
    for (path, id) in [
        ("users", &app.keys.contributor_user),
        (
            "api-keys",
            &app.get(&app.keys.collector, "/v1/me").await.json()["actor"]["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        ),
    ] {
        make(app, rooms().next().unwrap()).await;
        erase(app, id);
        app.get(admin, &format!("/v1/{path}/{id}"))
            .await
            .expect(200);
        app.get(admin, &format!("/v1/{path}")).await.expect(200);
        let changed = app
            .patch(
                admin,
                &format!("/v1/{path}/{id}"),
                "*",
                &json!({"tags": ["x"]}),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            changed["name"],
            format!("Erased {}", changed["code"].as_str().unwrap())
        );
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}
fn lines(conn: &mut Conn, sql: &str) -> Vec<String> {
    sql_query(sql)
        .load::<Line>(conn)
        .unwrap()
        .into_iter()
        .map(|row| row.line)
        .collect()
}
/// The derived tables that are not of one kind, and what is derived of several records.
const SHARED: [&str; 5] = [
    "versions",
    "links",
    "requirement_links",
    "records",
    "raised_assets",
];
/// Every row of every derived table.
pub fn derived(app: &TestApp) -> BTreeMap<String, Vec<String>> {
    let conn = &mut app.conn();
    let own = isms::api::replays().filter_map(|replay| replay.table);
    let own = own.map(str::to_owned);
    let tables = own.chain(SHARED.map(str::to_owned));
    let rows = |table: String| {
        let sql = match app.embedded() {
            true => {
                let columns = lines(
                    conn,
                    &format!(
                        "SELECT 'quote(\"' || name || '\")' AS line FROM \
                            pragma_table_info('{table}')"
                    ),
                );
                format!(
                    "SELECT {} AS line FROM {table} ORDER BY 1",
                    columns.join(" || ',' || ")
                )
            }
            false => format!("SELECT row_to_json(t)::text AS line FROM {table} t ORDER BY 1"),
        };
        let found = lines(conn, &sql);
        (table, found)
    };
    tables.map(rows).collect()
}

async fn what_is_derived_is_rebuilt_from_the_ledger(app: &TestApp) {
    fill(app).await;
    let before = derived(app);
    assert!(before.values().map(Vec::len).sum::<usize>() > 200);
    let database = isms::db::Database::open(&app.url, 1).unwrap();
    let kinds: Vec<_> = isms::api::replays().collect();
    let count = rebuild::rebuild(&database, &kinds).unwrap();
    assert_eq!(count, before["records"].len());
    assert_eq!(derived(app), before);
    // What does not come from the ledger goes.
    diesel::update(v::table)
        .set((v::name.eq("forged"), v::status.eq("forged")))
        .execute(&mut app.conn())
        .unwrap();
    sql_query("UPDATE assets SET classification = 'forged'")
        .execute(&mut app.conn())
        .unwrap();
    rebuild::rebuild(&database, &kinds).unwrap();
    assert_eq!(derived(app), before);
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images")
}

/// How new images are written.
const BLESS: &str = "`ISMS_BLESS=1 cargo test --test isms -- golden_images_load`";

/// The files of a kind, each with its schema.
fn images(kind: &str) -> Vec<(i16, PathBuf)> {
    let files = std::fs::read_dir(golden().join(kind)).into_iter().flatten();
    let schema = |path: &PathBuf| {
        let (schema, _) = path.file_name()?.to_str()?.split_once('-')?;
        schema.parse().ok()
    };
    files
        .map(|file| file.unwrap().path())
        .map(|path| {
            let schema = schema(&path);
            let schema = schema.unwrap_or_else(|| panic!("{}: no schema", path.display()));
            (schema, path)
        })
        .collect()
}

/// Writes the images of the registers that have none of their present schema: of each operation
/// that changes a record, what it left in the ledger.
async fn bless() {
    let new = |room: &&Register| {
        let found = images(room.kind.name);
        !found.iter().any(|(schema, _)| *schema == room.kind.schema)
    };
    let new: Vec<&Register> = rooms().filter(new).collect();
    if new.is_empty() {
        return;
    }
    let app = TestApp::sqlite().await;
    let kit = Kit::new(&app).await;
    for operation in kit.operations.iter().filter(|one| !one.reads()) {
        let kind = operation.kind().map_or("", |kind| kind.name);
        if !operation.by_id() || !new.iter().any(|room| room.kind.name == kind) {
            continue;
        }
        let owner = Some(app.keys.contributor_person.as_str());
        let record = kit.ready(operation, &app.keys.admin, owner).await;
        for key in [&app.keys.admin, &app.keys.contributor, &app.keys.approver] {
            let reply = kit.call(key, operation, id(&record)).await;
            if (200..300).contains(&reply.status) {
                break;
            }
        }
    }
    keep(&mut app.conn(), |kind| {
        new.iter().any(|room| room.kind.name == kind)
    });
}

/// Every image that a released version could have written is read by this one. A new schema of a
/// kind gets new images beside the old ones, which stay; those of a new register are written with
/// `ISMS_BLESS=1`.
#[actix_web::test]
async fn golden_images_load() {
    if std::env::var("ISMS_BLESS").is_ok_and(|value| value == "1") {
        bless().await;
    }
    for replay in isms::api::replays() {
        let mut seen = vec![0; usize::try_from(replay.kind.schema).unwrap() + 1];
        for (schema, path) in images(replay.kind.name) {
            seen[usize::try_from(schema).unwrap()] += 1;
            let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let canonical = |value: &Value| isms::core::json::canonical(value).unwrap();
            let personal = (!golden["personal"].is_null()).then(|| canonical(&golden["personal"]));
            let body = canonical(&golden["body"]);
            let read = (replay.read)(schema, &body, personal.as_deref())
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if schema == replay.kind.schema {
                assert_eq!(read, (body.clone(), personal.clone()), "{}", path.display());
            }
            // Its personal half may be erased any day.
            let erased = (replay.read)(schema, &body, None)
                .unwrap_or_else(|e| panic!("{} erased: {e}", path.display()));
            assert_eq!(erased.1.is_some(), !replay.kind.personal.is_empty());
        }
        assert!(
            seen[1..].iter().all(|count| *count > 0),
            "{}: no golden image of a schema: {seen:?}. For a register, {BLESS} writes those of \
            the present one; for what stands at a place of its own, `write_golden_images` does",
            replay.kind.name
        );
    }
}

/// `ISMS_WRITE_IMAGES=sqlite:…/isms.db cargo test write_golden_images` adds the images that a
/// database (of `isms demo`, say) has and this folder has not.
#[actix_web::test]
async fn write_golden_images() {
    let Ok(url) = std::env::var("ISMS_WRITE_IMAGES") else {
        return;
    };
    let mut conn: Conn =
        r2d2::ManageConnection::connect(&isms::db::Manager::new(&url).unwrap()).unwrap();
    keep(&mut conn, |_| true);
}
/// Adds the images that a database has of these kinds.
fn keep(conn: &mut Conn, of: impl Fn(&str) -> bool) {
    type Found = (String, i16, String, Option<String>, String);
    let rows = e::table
        .order(e::seq)
        .select((e::kind, e::schema, e::body, e::personal, e::action));
    let rows = rows.load::<Found>(conn).unwrap().into_iter();
    for (kind, schema, body, personal, action) in rows.filter(|row| of(&row.0)) {
        let path = golden().join(&kind).join(format!("{schema}-{action}.json"));
        if path.exists() {
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let golden = json!({"body": parse(&body), "personal": personal.as_deref().map(parse)});
        std::fs::write(path, serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
    }
}
