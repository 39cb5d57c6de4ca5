//! Two folders of migrations, one schema; and the plans of the lists, which are as fast as their
//! indexes.
use crate::support::TestApp;
use diesel::connection::{Connection, InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use isms::access::{Actor, ActorKind, Caller, Role};
use isms::core::Id;
use isms::db::Conn;
use isms::insight::scan::{self, Asked};
use isms::ledger::AsOf;
use isms::records::{ListQuery, Reader, Resource, list};
use isms::registers::asset::Asset;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRESQL: EmbeddedMigrations = embed_migrations!("migrations/postgresql");

/// Table, column, type, `NOT NULL`?
type Columns = BTreeMap<(String, String), (String, bool)>;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}
fn lines(conn: &mut Conn, sql: &str) -> Vec<String> {
    let rows: Vec<Line> = match conn {
        Conn::Sqlite(c) => sql_query(sql).load(c).unwrap(),
        Conn::Pg(c) => sql_query(sql).load(c).unwrap(),
    };
    rows.into_iter().map(|row| row.line).collect()
}
fn columns(conn: &mut Conn) -> Columns {
    let sql = match conn {
        Conn::Sqlite(_) => {
            "SELECT m.name || ' ' || p.name || ' ' || p.type || ' ' || (p.\"notnull\" OR p.pk > 0) AS line FROM sqlite_schema m, pragma_table_info(m.name) p
             WHERE m.type =
                 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'"
        }
        Conn::Pg(_) => {
            "SELECT table_name || ' ' || column_name || ' ' || replace(data_type, ' ',
                '_') || ' ' || (is_nullable = 'NO')::int AS line
             FROM information_schema.columns WHERE table_schema =
                 'public' AND table_name NOT LIKE '\\_\\_diesel%'"
        }
    };
    let found = lines(conn, sql).into_iter().map(|line| {
        let [table, column, kind, needed] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        (
            (table.to_owned(), column.to_owned()),
            (kind.to_owned(), needed == "1"),
        )
    });
    found.collect()
}

/// The tables that rooms declare with `columns!`, in the words of `table!`.
fn of_rooms() -> String {
    let mut all = String::new();
    for (_, text) in crate::floors::files() {
        for declared in text.split("columns! {\n    table ").skip(1) {
            let (table, rest) = declared.split_once(" of ").unwrap();
            let columns = rest.split_once("{\n").unwrap().1;
            let columns = columns.split_once("\n    }").unwrap().0.lines();
            // Eight spaces, a name, a type; what it holds comes after that or on lines of its own.
            let columns = columns.filter(|line| !line.starts_with("         "));
            let columns: String = columns
                .map(|line| {
                    let (name, kind) = line.split_once(": ").unwrap();
                    let kind = kind.split([' ', ',']).next().unwrap();
                    format!("{name} -> {kind},")
                })
                .collect();
            all.push_str(&format!(
                "table! {{ core::sql::*; {table} (tenant_id, id, version) {{ tenant_id -> DbUuid,
                 id -> DbUuid, version -> Integer, {columns} }} }}"
            ));
        }
    }
    all
}

/// What `schema.rs` and the rooms say, with the types of either database.
fn declared(embedded: bool) -> Columns {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/schema.rs")).unwrap();
    let text = text + &of_rooms();
    let mut all = Columns::new();
    for part in text
        .split("table! {")
        .skip(1)
        .filter(|part| part.contains("->"))
    {
        let (name, rest) = part
            .split_once("core::sql::*;")
            .unwrap()
            .1
            .split_once('(')
            .unwrap();
        let body = rest.split_once('{').unwrap().1.split_once('}').unwrap().0;
        for column in body.split(',').filter(|column| column.contains("->")) {
            let (column, kind) = column.split_once("->").unwrap();
            let (needed, kind) = match kind.trim().strip_prefix("Nullable<") {
                Some(inner) => (false, inner.trim_end_matches('>')),
                None => (true, kind.trim()),
            };
            let (sqlite, pg) = match kind {
                "DbUuid" => ("BLOB", "uuid"),
                "DbInstant" => ("INTEGER", "timestamp_with_time_zone"),
                "Text" => ("TEXT", "text"),
                "SmallInt" => ("INTEGER", "smallint"),
                "Integer" => ("INTEGER", "integer"),
                "BigInt" => ("INTEGER", "bigint"),
                "Bool" => ("BOOLEAN", "boolean"),
                "Date" => ("TEXT", "date"),
                "Binary" => ("BLOB", "bytea"),
                other => panic!("{other} is not known here"),
            };
            let kind = if embedded { sqlite } else { pg };
            all.insert(
                (name.trim().to_owned(), column.trim().to_owned()),
                (kind.to_owned(), needed),
            );
        }
    }
    assert!(all.len() > 150, "only {} columns were read", all.len());
    all
}

crate::on_both!(
    the_tables_are_those_that_the_code_knows,
    every_foreign_key_includes_the_organization,
    migrations_go_back_and_forth
);

async fn the_tables_are_those_that_the_code_knows(app: &TestApp) {
    let (mut found, declared) = (columns(&mut app.conn()), declared(app.embedded()));
    if app.embedded() {
        // Sessions have a file, and a write lock, of their own.
        let url = format!("sqlite:{}", app.sessions().display());
        let mut sessions =
            r2d2::ManageConnection::connect(&isms::db::Manager::new(&url).unwrap()).unwrap();
        let more = columns(&mut sessions);
        assert!(
            more.keys().all(|name| !found.contains_key(name)),
            "{more:?}"
        );
        found.extend(more);
    }
    let differing: Vec<_> = declared
        .iter()
        .filter(|(name, what)| found.get(*name) != Some(*what))
        .map(|(name, what)| (name, what, found.get(name)))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
    let more: BTreeSet<_> = found
        .keys()
        .filter(|name| !declared.contains_key(*name))
        .collect();
    assert!(more.is_empty(), "the database has more: {more:?}");
    if !app.embedded() {
        // Text is ordered by its bytes on both.
        let other =
            "SELECT table_name || '.' || column_name AS line FROM information_schema.columns
                     WHERE table_schema =
                         'public' AND table_name NOT LIKE '\\_\\_diesel%' AND data_type =
                             'text' AND collation_name IS DISTINCT FROM 'C'";
        assert_eq!(lines(&mut app.conn(), other), Vec::<String>::new());
    }
}

async fn every_foreign_key_includes_the_organization(app: &TestApp) {
    let sql = match app.embedded() {
        true => {
            "SELECT m.name || ' ' || k.\"table\" || ' ' || group_concat(k.\"from\") AS line FROM sqlite_schema m, pragma_foreign_key_list(m.name) k
             WHERE m.type = 'table' GROUP BY m.name, k.id, k.\"table\""
        }
        false => {
            "SELECT c.conrelid::regclass || ' ' || c.confrelid::regclass || ' ' || string_agg(a.attname, ',') AS line FROM pg_constraint c
             JOIN pg_attribute a ON a.attrelid =
                 c.conrelid AND a.attnum = ANY (c.conkey) WHERE c.contype = 'f' GROUP BY c.oid,
                     c.conrelid, c.confrelid"
        }
    };
    let keys = lines(&mut app.conn(), sql);
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        assert!(
            key.split(' ')
                .nth(2)
                .unwrap()
                .split(',')
                .any(|column| column == "tenant_id"),
            "{key}"
        );
    }
}

async fn migrations_go_back_and_forth(app: &TestApp) {
    let mut conn = app.conn();
    let before = columns(&mut conn);
    match &mut conn {
        Conn::Sqlite(c) => drop(c.revert_all_migrations(SQLITE).unwrap()),
        Conn::Pg(c) => drop(c.revert_all_migrations(POSTGRESQL).unwrap()),
    }
    assert_eq!(columns(&mut conn), Columns::new());
    match &mut conn {
        Conn::Sqlite(c) => drop(c.run_pending_migrations(SQLITE).unwrap()),
        Conn::Pg(c) => drop(c.run_pending_migrations(POSTGRESQL).unwrap()),
    }
    assert_eq!(columns(&mut conn), before);
}

#[test]
fn both_folders_have_the_same_migrations() {
    let names = |folder: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(folder);
        let all = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        all.collect::<BTreeSet<_>>()
    };
    assert_eq!(names("sqlite"), names("postgresql"));
    let both = |columns: Columns| {
        columns
            .into_iter()
            .map(|(name, (_, needed))| (name, needed))
            .collect::<Vec<_>>()
    };
    assert_eq!(both(declared(true)), both(declared(false)));
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

fn page<R: Resource>(reader: &mut Reader<'_>, question: &str) {
    let ask = ListQuery::read::<R::Filter>(reader.kinds(), &R::KIND, question).unwrap();
    list::page::<R>(reader, &ask).unwrap();
}

/// The statements that are asked, each with its plan.
fn plans(
    app: &TestApp,
    as_of: Option<AsOf>,
    ask: impl FnOnce(&mut Reader<'_>),
) -> Vec<(String, Vec<String>)> {
    let actor = Actor {
        kind: ActorKind::User,
        id: Id::new(),
        name: "x".into(),
        person_id: None,
    };
    let tenant = crate::support::make::tenant(app);
    let caller = Caller::new(
        tenant,
        actor,
        vec![Role::Manager],
        Default::default(),
        app.house.clock().now(),
    );
    let (asked, mut conn) = (Arc::new(Mutex::new(Vec::<String>::new())), app.conn());
    {
        let (sink, settings) = (asked.clone(), isms::records::Settings::FIRST);
        let mut reader = Reader::open(
            &mut conn,
            &caller,
            app.house.kinds(),
            as_of,
            app.house.clock().now(),
            settings,
        )
        .unwrap();
        reader
            .conn()
            .set_instrumentation(move |event: InstrumentationEvent<'_>| {
                if let InstrumentationEvent::StartQuery { query, .. } = event {
                    sink.lock().unwrap().push(query.to_string());
                }
            });
        ask(&mut reader);
    }
    let Conn::Sqlite(plain) = &mut app.conn() else {
        panic!("SQLite only")
    };
    let asked = asked.lock().unwrap().clone();
    let explain = |text: String| {
        let sql = text.split(" -- binds").next().unwrap().to_owned();
        let steps: Vec<Step> = sql_query(format!("EXPLAIN QUERY PLAN {sql}"))
            .load(plain)
            .unwrap_or_else(|e| panic!("{e}: {sql}"));
        (sql, steps.into_iter().map(|step| step.detail).collect())
    };
    asked.into_iter().map(explain).collect()
}

#[actix_web::test]
async fn every_list_runs_along_an_index() {
    let app = TestApp::sqlite().await;
    let room = crate::support::make::rooms()
        .find(|room| room.kind.name == "asset")
        .unwrap();
    for n in 0..30 {
        crate::support::make::make_named(&app, room, &format!("record {n}")).await;
    }
    app.conn().batch_execute("ANALYZE").unwrap();
    for (key, index) in [
        ("created_at", "created"),
        ("updated_at", "updated"),
        ("name", "name"),
        ("code", "number"),
        ("status", "status"),
        ("due_on", "due"),
        ("review_due_on", "review"),
        ("rank", "rank"),
    ] {
        for down in ["", "-"] {
            let plans = plans(&app, None, |reader| {
                page::<Asset>(reader, &format!("sort={down}{key}&limit=5"))
            });
            let pages: Vec<_> = plans
                .iter()
                .filter(|(sql, _)| sql.contains("ORDER BY"))
                .collect();
            assert!(!pages.is_empty(), "{plans:#?}");
            for (sql, plan) in pages {
                assert!(
                    !plan.iter().any(|step| step.contains("TEMP B-TREE")),
                    "{down}{key}: {plan:#?}\n{sql}"
                );
                assert!(
                    plan.iter()
                        .any(|step| step.contains(&format!("versions_now_by_{index}"))),
                    "{down}{key}: {plan:#?}\n{sql}"
                );
            }
            for (sql, plan) in &plans {
                // What a recursive query has reached is no table.
                let scans = |step: &String| {
                    step.starts_with("SCAN ") && step != "SCAN reached" && !step.contains("USING")
                };
                assert!(!plan.iter().any(scans), "{down}{key}: {plan:#?}\n{sql}");
            }
        }
    }
    let then = Some(AsOf::Seq(crate::support::make::last(&app)));
    for (key, index) in [
        ("created_at", "created"),
        ("updated_at", "updated"),
        ("name", "name"),
        ("rank", "rank"),
    ] {
        for (sql, plan) in plans(&app, then, |reader| {
            page::<Asset>(reader, &format!("sort=-{key}&limit=5"))
        })
        .iter()
        .filter(|(sql, _)| sql.contains("ORDER BY"))
        {
            assert!(
                plan.iter()
                    .any(|step| step.contains(&format!("versions_then_by_{index}")))
                    && !plan.iter().any(|step| step.contains("TEMP B-TREE")),
                "{key} then: {plan:#?}\n{sql}"
            );
        }
    }
}

#[actix_web::test]
async fn every_question_to_the_ledger_runs_along_an_index() {
    let app = TestApp::sqlite().await;
    let room = crate::support::make::rooms()
        .find(|room| room.kind.name == "asset")
        .unwrap();
    for n in 0..10 {
        crate::support::make::make_named(&app, room, &format!("record {n}")).await;
    }
    let (kinds, last) = (vec!["asset", "risk"], crate::support::make::last(&app));
    let every = Asked {
        kinds: kinds.clone(),
        limit: 2,
        backwards: true,
        ..Asked::default()
    };
    let now = app.house.clock().now();
    for analysed in [false, true] {
        if analysed {
            app.conn().batch_execute("ANALYZE").unwrap();
        }
        for (asked, index) in [
            (
                Asked {
                    some: true,
                    ..every.clone()
                },
                "ledger_by_kind",
            ),
            (
                Asked {
                    some: true,
                    backwards: false,
                    after: Some(3),
                    actions: vec!["archive".into()],
                    ..every.clone()
                },
                "ledger_by_kind",
            ),
            (
                Asked {
                    records: vec![Id::new()],
                    actors: vec![Id::new()],
                    ..every.clone()
                },
                "ledger_by_record",
            ),
            (
                Asked {
                    actors: vec![Id::new()],
                    before: Some(9),
                    ..every.clone()
                },
                "ledger_by_actor",
            ),
            (
                Asked {
                    since: Some(now),
                    until: Some(now),
                    ..every.clone()
                },
                "ledger_by_time",
            ),
            (
                Asked {
                    actions: vec!["archive".into()],
                    ..every.clone()
                },
                "sqlite_autoindex_ledger_entries_1",
            ),
        ] {
            let plans = plans(&app, None, |reader| {
                drop(scan::find(reader, &asked, last, scan::EFFORT).unwrap())
            });
            let steps: Vec<&String> = plans.iter().flat_map(|(_, plan)| plan).collect();
            assert!(
                steps
                    .iter()
                    .any(|step| step.contains(&format!("USING INDEX {index} "))
                        || step.contains(&format!("INDEX {index} ("))),
                "{index}: {plans:#?}"
            );
            assert!(
                !steps
                    .iter()
                    .any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN ")),
                "{index}: {plans:#?}"
            );
        }
    }
}
