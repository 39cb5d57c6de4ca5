//! The rows of a batch are stored together: its statements do not grow with its items, and what it
//! stores is what its items alone would have stored.
use crate::support::TestApp;
use crate::support::make::tenant;
use diesel::connection::{Connection, InstrumentationEvent};
use isms::access::{Actor, ActorKind, Caller, Role};
use isms::core::{Id, Problem};
use isms::db::Conn;
use isms::ledger::{Head, Stamp};
use isms::records::{Ahead, Body, IfMatch, Patch, Selector, Settings, Tx, Writing};
use isms::registers::asset::Asset;
use isms::service::house::Founding;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

crate::on_both!(
    a_batch_costs_a_few_statements,
    an_item_that_fails_leaves_no_trace
);

/// A write of assets in a transaction of its own.
fn writing<T>(app: &TestApp, conn: &mut Conn, work: impl FnOnce(&mut Tx<'_, Founding>) -> T) -> T {
    let (tenant, now) = (tenant(app), app.house.clock().now());
    let (kind, id) = (ActorKind::User, Id::new());
    let actor = Actor {
        kind,
        id,
        name: "x".into(),
        person_id: None,
    };
    let roles = vec![Role::Manager];
    let caller = Caller::new(tenant, actor.clone(), roles, Default::default(), now);
    let stamp = Stamp {
        tenant,
        actor,
        request: Id::new(),
        at: now,
        reason: None,
    };
    conn.writing(|conn| -> Result<T, Problem> {
        let mut head = Head::lock(conn, tenant)?;
        let writing = Writing::open(
            conn,
            &mut head,
            &caller,
            stamp,
            (Settings::FIRST, app.house.schemas(), app.house.kinds()),
        );
        let done = work(&mut Tx::of(writing));
        head.save(conn)?;
        Ok(done)
    })
    .unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

async fn a_batch_costs_a_few_statements(app: &TestApp) {
    let owner = crate::rooms::made(app, "people", "Owner", json!({})).await;
    let (mut conn, count) = (app.conn(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { .. } = event {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut cost = |n: usize, round: usize, held: bool| {
        let began = Instant::now();
        count.store(0, Ordering::SeqCst);
        let bodies: Vec<Body<Asset>> = (0..n)
            .map(|n| {
                json!({"name": format!("asset {n}"), "asset_type": "hardware",
                "classification": "internal", "external_ref": format!("{round}-{n}"),
                "owner_id": owner["code"], "confidentiality": n % 5 + 1})
            })
            .map(|body| Body::read(app.house.schemas(), object(body)))
            .collect();
        let mut ahead = Ahead::default();
        bodies.iter().for_each(|body| ahead.body(body));
        let ids: Vec<Id> = writing(app, &mut conn, |tx| {
            let all = |tx: &mut Tx<'_, Founding>| {
                let made = bodies.into_iter().map(|body| {
                    tx.attempt(|tx| {
                        let draft = tx.draft::<Asset>(body)?;
                        Ok(tx.create(draft)?.get().spine.id)
                    })
                });
                made.collect::<Result<Vec<Id>, Problem>>()
            };
            if held {
                tx.together::<Asset, _>(&ahead, all).unwrap()
            } else {
                all(tx).unwrap()
            }
        });
        let (made, between) = (count.swap(0, Ordering::SeqCst), Instant::now());
        let ahead = Ahead {
            selectors: ids.iter().map(|id| Selector::Id(*id)).collect(),
            ..Ahead::default()
        };
        writing(app, &mut conn, |tx| {
            let all = |tx: &mut Tx<'_, Founding>| {
                ids.iter().try_for_each(|id| {
                    tx.attempt(|tx| {
                        let before = tx.load::<Asset>(&Selector::Id(*id), &IfMatch::any())?;
                        let patch = json!({"name": "changed", "owner_id": null, "integrity": 3});
                        tx.patch(before, Patch::read(tx.schemas(), object(patch)))
                            .map(drop)
                    })
                })
            };
            if held {
                tx.together::<Asset, _>(&ahead, all).unwrap()
            } else {
                all(tx).unwrap()
            }
        });
        let changed = count.load(Ordering::SeqCst);
        println!(
            "{n} held={held}: created with {made} statements in {:?}, changed with {changed} in {:?}",
            between - began,
            between.elapsed()
        );
        (made, changed)
    };
    let (few, many) = (cost(20, 1, true), cost(200, 2, true));
    // One by one, to compare.
    let apart = cost(200, 3, false);
    assert!(apart.0 > 1000 && apart.1 > 1000, "{apart:?}");
    assert!(many.0 <= few.0 + 4, "{few:?} {many:?}");
    assert!(many.1 <= few.1 + 8, "{few:?} {many:?}");
    assert!(many.0 < 20 && many.1 < 25, "{many:?}");
}

async fn an_item_that_fails_leaves_no_trace(app: &TestApp) {
    let path = "/v1/assets/batch";
    let asset = |name: &str, more: Value| {
        let mut body = object(json!({"name": name, "asset_type": "hardware",
            "classification": "internal"}));
        body.extend(object(more));
        json!({"create": body})
    };
    let first = crate::rooms::made(
        app,
        "assets",
        "First",
        json!({"asset_type": "site",
        "classification": "internal", "external_ref": "first"}),
    )
    .await;
    let code = first["code"].as_str().unwrap();
    let number: i64 = code.strip_prefix("AST-").unwrap().parse().unwrap();
    let next = |n: i64| format!("AST-{}", number + n);
    let items = json!([
        asset("a", json!({"external_ref": "a", "confidentiality": 4, "depends_on_ids": [code]})),
        asset("taken", json!({"external_ref": "a"})),
        asset("unknown", json!({"depends_on_ids": [next(7)]})),
        // An asset of this very batch.
        asset("b", json!({"depends_on_ids": [next(1)], "integrity": 5})),
        {"patch": {"external_ref": null}, "id": next(1), "if_match": 1},
        {"patch": {"depends_on_ids": [next(2)]}, "id": code, "if_match": 1},
        asset("again", json!({"external_ref": "a"})),
        {"upsert": {"external_ref": "first", "name": "Renamed"}},
        {"patch": {"name": "late"}, "id": code, "if_match": 1},
        {"patch": {"confidentiality": 1}, "id": next(1), "if_match": 2},
    ]);
    let reply = app
        .post(&app.keys.manager, path, &json!({"items": items}))
        .await
        .expect(200);
    let data = reply.json()["data"].as_array().unwrap().clone();
    let statuses: Vec<u64> = data
        .iter()
        .map(|one| one["status"].as_u64().unwrap())
        .collect();
    assert_eq!(
        statuses,
        [201, 409, 422, 201, 200, 422, 201, 200, 412, 200],
        "{data:#?}"
    );
    assert_eq!(data[1]["problem"]["needed_by"], json!([next(1)]));
    let codes: Vec<&Value> = [0, 3, 6]
        .iter()
        .map(|n| &data[*n]["record"]["code"])
        .collect();
    assert_eq!(codes, [&json!(next(1)), &json!(next(2)), &json!(next(3))]);
    let rated = app
        .get(&app.keys.manager, &format!("/v1/assets/{code}"))
        .await
        .json();
    let effective = (
        &rated["effective"]["confidentiality"],
        &rated["effective"]["integrity"],
    );
    assert_eq!(
        (effective, &rated["name"]),
        ((&json!(1), &json!(5)), &json!("Renamed"))
    );
    // The log has no holes, and what is derived from it is what was stored.
    let before = super::stored::derived(app);
    let database = isms::db::Database::open(&app.url, 1).unwrap();
    let kinds: Vec<_> = isms::api::replays().collect();
    isms::records::rebuild::rebuild(&database, &kinds).unwrap();
    assert_eq!(super::stored::derived(app), before);
}
