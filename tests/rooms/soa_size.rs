//! The statement over many records: as few queries and as small a body whatever their number.
use super::at;
use super::soa::{scope, statement};
use crate::support::{TestApp, make};
use diesel::Connection;
use diesel::connection::{InstrumentationEvent, SimpleConnection};
use isms::access::{Actor, Caller, Role, actor::ActorKind, actor::Limits};
use isms::core::{Id, catalogue};
use isms::records::{Reader, Settings};
use isms::registers::soa;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

crate::on_both!(queries_do_not_grow_with_records);

/// How many of each.
#[derive(Clone, Copy)]
pub struct Size {
    pub controls: usize,
    pub risks: usize,
    pub evidence: usize,
}

/// Controls and risks by batches. Each control meets two requirements of Annex A, but each tenth
/// none; each risk rests on two controls.
pub async fn seed(app: &TestApp, size: Size) -> Vec<String> {
    let annex: Vec<String> = catalogue::framework(catalogue::ISO_27001)
        .unwrap()
        .decidable()
        .map(|requirement| requirement.id.clone())
        .collect();
    let control = |n: usize| {
        let met = if n.is_multiple_of(10) {
            vec![]
        } else {
            vec![&annex[n % 93], &annex[(n * 7 + 1) % 93]]
        };
        json!({"name": format!("Control number {n} of those that the organization has"),
            "implementation": "implemented", "frequency": "monthly", "requirements": met})
    };
    let controls = batch(app, "controls", size.controls, &control).await;
    let risk = |n: usize| {
        json!({"name": format!("Risk {n}"),
        "existing_control_ids": [controls[n % controls.len()],
            controls[(n * 13 + 5) % controls.len()]]})
    };
    batch(app, "risks", size.risks, &risk).await;
    evidence(app, size.evidence);
    controls
}
pub async fn batch(
    app: &TestApp,
    path: &str,
    count: usize,
    item: &dyn Fn(usize) -> Value,
) -> Vec<String> {
    let (mut ids, all) = (Vec::new(), Vec::from_iter(0..count));
    for some in all.chunks(500) {
        let items: Vec<Value> = some.iter().map(|n| json!({"create": item(*n)})).collect();
        let done = app
            .post(
                &app.keys.manager,
                &format!("/v1/{path}/batch"),
                &json!({"items": items}),
            )
            .await
            .expect(200)
            .json();
        let outcomes = done["items"]
            .as_array()
            .or(done["data"].as_array())
            .unwrap();
        ids.extend(outcomes.iter().map(|outcome| {
            outcome["record"]["id"]
                .as_str()
                .unwrap_or_else(|| panic!("{outcome}"))
                .to_owned()
        }));
    }
    ids
}

/// Pieces of evidence, in turns for each control; straight into the tables, for fifty thousand
/// pushes take minutes.
fn evidence(app: &TestApp, count: usize) {
    let controls = "(SELECT c.id, row_number() OVER (ORDER BY c.number) - 1 AS place, count(*) \
        OVER () AS size FROM records c WHERE c.tenant_id = s.tenant_id AND c.kind = 'control')";
    let (tenant, number, id, at, day) = match app.embedded() {
        true => {
            let hex = app.keys.organization.replace('-', "");
            (
                format!("X'{hex}'"),
                "CAST(value AS INTEGER)",
                "CAST(printf('evidence%08d', n) AS BLOB)",
                "1795000000000",
                "'2026-11-18'",
            )
        }
        false => {
            let id = "('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid";
            (
                format!("'{}'::uuid", app.keys.organization),
                "value",
                id,
                "TIMESTAMPTZ '2026-11-18 12:00:00Z'",
                "DATE '2026-11-18'",
            )
        }
    };
    let numbers = match app.embedded() {
        true => format!(
            "WITH RECURSIVE g(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < \
                {count}), s AS (SELECT {number} AS n, {tenant} AS tenant_id FROM g)"
        ),
        false => format!(
            "WITH s AS (SELECT value AS n, {tenant} AS tenant_id FROM generate_series(1, {count}) \
                AS value)"
        ),
    };
    let sha = "'0000000000000000000000000000000000000000000000000000000000000000'";
    let conn = &mut app.conn();
    for statement in [
        format!("INSERT INTO records {numbers} SELECT s.tenant_id, {id}, 'evidence', n FROM s"),
        format!(
            "INSERT INTO versions {numbers} SELECT s.tenant_id, {id}, 1, 'evidence', n, NULL, \
                'Evidence', 'active', NULL, NULL, NULL, NULL, '', '', {at}, {at}, NULL, 1000000 + \
                n, 9223372036854775807, 1 FROM s"
        ),
        format!(
            "INSERT INTO evidence (tenant_id, id, version, source, collected_at, collected_on, \
                period_end_on, confidentiality, hold, attests, sha256, pushed_by) \
             {numbers} SELECT s.tenant_id, {id}, 1, 'tests', {at}, {day}, {day}, 'internal', \
             false, false, {sha}, s.tenant_id FROM s"
        ),
        format!(
            "INSERT INTO links (tenant_id, from_id, relation, to_id, from_seq, to_seq) \
             {numbers} SELECT s.tenant_id, {id}, 'control_ids', k.id, 1000000, \
             9223372036854775807 FROM s JOIN {} k ON k.place = s.n % k.size",
            controls.replace("s.tenant_id", &tenant)
        ),
    ] {
        conn.batch_execute(&statement)
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

/// How many queries a statement takes, opening the read included; and how much of a processor, in
/// milliseconds.
fn counted(app: &TestApp, shop: &Value) -> (usize, f64) {
    let (conn, queries) = (&mut app.conn(), Arc::new(AtomicUsize::new(0)));
    let seen = queries.clone();
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let actor = Actor {
        kind: ActorKind::ApiKey,
        id: Id::new(),
        name: "reader".into(),
        person_id: None,
    };
    let now = app.house.clock().now();
    let caller = Caller::new(
        make::tenant(app),
        actor,
        vec![Role::Manager],
        Limits::default(),
        now,
    );
    let (framework, scope) = (
        catalogue::framework(catalogue::ISO_27001).unwrap(),
        Id::parse(shop["id"].as_str().unwrap()).unwrap(),
    );
    let once = |conn: &mut isms::db::Conn| {
        let settings = Settings::FIRST;
        let mut reader =
            Reader::open(conn, &caller, isms::api::KINDS, None, now, settings).unwrap();
        let selector = isms::records::Selector::Id(scope);
        let scope = reader
            .row::<isms::registers::scope::Scope>(&selector, false)
            .unwrap()
            .id;
        serde_json::to_string(&soa::compute(&mut reader, scope, framework).unwrap())
            .unwrap()
            .len()
    };
    once(conn);
    let count = queries.load(Ordering::SeqCst);
    let busy = || {
        std::fs::read_to_string("/proc/thread-self/schedstat")
            .ok()?
            .split(' ')
            .next()?
            .parse::<f64>()
            .ok()
    };
    let before = busy().unwrap_or_default();
    let bytes: usize = (0..5).map(|_| once(conn)).sum();
    assert!(bytes > 0);
    (count, (busy().unwrap_or_default() - before) / 5e6)
}

async fn queries_do_not_grow_with_records(app: &TestApp) {
    let shop = scope(app, "Shop").await;
    let (none, _) = counted(app, &shop);
    seed(
        app,
        Size {
            controls: 200,
            risks: 100,
            evidence: 500,
        },
    )
    .await;
    let (some, _) = counted(app, &shop);
    assert_eq!(none, some);
    assert!(some <= 12, "{some} queries");
    let soa = statement(app, &shop, "").await;
    assert_eq!(soa["summary"]["own_controls"], 20);
    assert_eq!(
        soa["own_controls"][0]["evidence"]["current"], 2,
        "500 pieces in turns for 200 controls: two or three each"
    );
    assert_eq!(soa["entries"][0]["operation"], "operating");
}

/// Too large for every run: `cargo test --release a_large_statement -- --ignored --nocapture`.
#[actix_web::test]
#[ignore = "takes minutes without optimisation"]
async fn a_large_statement_is_quick_and_small() {
    let app = TestApp::sqlite().await;
    let shop = scope(&app, "Shop").await;
    seed(
        &app,
        Size {
            controls: 5000,
            risks: 5000,
            evidence: 50_000,
        },
    )
    .await;
    let (queries, milliseconds) = counted(&app, &shop);
    let path = format!("{}/statement-of-applicability", at("scopes", &shop));
    let reply = app.get(&app.keys.manager, &path).await.expect(200);
    let (size, tag) = (reply.bytes.len(), reply.etag());
    println!("{queries} queries, {milliseconds:.1} ms of a processor, {size} bytes");
    app.get_with(&app.keys.manager, &path, &[("If-None-Match", &tag)])
        .await
        .expect(304);
    let soa = reply.json();
    let evidence: i64 = soa["own_controls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|control| control["evidence"]["current"].as_i64().unwrap())
        .sum();
    assert_eq!(
        (soa["summary"]["own_controls"].as_i64(), evidence),
        (Some(500), 5000)
    );
    assert!(
        queries <= 12 && size < 1 << 20,
        "{queries} queries, {size} bytes"
    );
    assert!(
        cfg!(debug_assertions) || milliseconds < 150.0,
        "{milliseconds} ms"
    );
    app.pass_days(60);
    let later = app
        .get_with(&app.keys.manager, &path, &[("If-None-Match", &tag)])
        .await
        .expect(200)
        .json();
    assert_eq!(
        later["entries"][0]["operation"], "stale",
        "another day, another answer"
    );
}
