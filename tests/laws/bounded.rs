//! What is asked is answered in bounded work: bodies built to be slow, deep graphs, days and texts
//! that a database does not have.
use crate::support::TestApp;
use crate::support::make::{all, body, creates, id, last, make, one, rooms};
use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

crate::on_both!(
    unknown_members_cost_one_pass,
    faults_come_after_what_comes_before_them,
    a_batch_lists_fifty_faults_in_all,
    a_chain_has_a_hundred_links,
    a_chain_costs_as_many_statements_as_a_single_link,
    no_day_and_no_text_is_a_fault_of_the_service
);

/// Far more than the work takes, and far less than it took.
const SOON: Duration = Duration::from_secs(15);

fn strangers(count: usize) -> Map<String, Value> {
    (0..count)
        .map(|n| (format!("stranger_{n:06}"), json!(n)))
        .collect()
}

async fn unknown_members_cost_one_pass(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let mut patch = strangers(20_000);
        patch.insert("name".into(), json!(""));
        let began = Instant::now();
        let problem = app
            .patch(key, &one(room, &record), "*", &json!(patch))
            .await
            .problem(422, "validation_failed");
        assert_eq!(
            problem["errors"].as_array().unwrap().len(),
            50,
            "{}",
            room.kind.path
        );
        if creates(room) {
            let mut whole = body(app, room, "Slow").await;
            whole.as_object_mut().unwrap().extend(strangers(20_000));
            let problem = app
                .post(key, &all(room), &whole)
                .await
                .problem(422, "validation_failed");
            assert_eq!(
                problem["errors"].as_array().unwrap().len(),
                50,
                "{}",
                room.kind.path
            );
        }
        let many: Vec<Value> = (0..600)
            .map(|_| json!({"id": record["id"], "if_match": "*", "patch": strangers(150)}))
            .collect();
        app.post(
            key,
            &format!("{}/batch", all(room)),
            &json!({"items": many}),
        )
        .await
        .expect(200);
        assert!(
            began.elapsed() < SOON,
            "{}: {:?}",
            room.kind.path,
            began.elapsed()
        );
    }
    let action = json!(strangers(20_000));
    let record = make(app, rooms().find(|room| room.kind.name == "asset").unwrap()).await;
    let problem = app
        .act(key, &format!("/v1/assets/{}/review", id(&record)), &action)
        .await
        .problem(422, "validation_failed");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 50);
}

async fn faults_come_after_what_comes_before_them(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let (record, bad) = (
            make(app, room).await,
            json!({"name": 7, "nonsense": 1, "due_on": "never"}),
        );
        let nobody = format!("{}/{}", all(room), uuid::Uuid::now_v7());
        app.patch(key, &nobody, "*", &bad)
            .await
            .problem(404, "not_found");
        app.patch(key, &one(room, &record), "\"99\"", &bad)
            .await
            .problem(412, "version_mismatch");
        app.send(key, Method::PATCH, &one(room, &record), &[], Some(&bad))
            .await
            .problem(428, "version_required");
        app.patch(&app.keys.contributor, &one(room, &record), "*", &bad)
            .await
            .expect(403);
        assert_eq!(
            app.patch(key, &one(room, &record), "*", &bad)
                .await
                .pointers(),
            ["/due_on", "/name", "/nonsense"]
        );
        let late = json!({"items": [{"id": record["id"], "if_match": 99, "patch": bad}]});
        let outcome = app
            .post(key, &format!("{}/batch", all(room)), &late)
            .await
            .expect(200)
            .json();
        assert_eq!(outcome["data"][0]["status"], 412, "{}", room.kind.path);
    }
}

async fn a_batch_lists_fifty_faults_in_all(app: &TestApp) {
    for room in rooms() {
        let (record, before) = (make(app, room).await, last(app));
        let item = json!({"id": record["id"], "if_match": "*", "patch": strangers(30)});
        let path = format!("{}/batch", all(room));
        let outcomes = app
            .post(
                &app.keys.manager,
                &path,
                &json!({"items": [item, item, item]}),
            )
            .await
            .expect(200)
            .json();
        let listed: Vec<usize> = outcomes["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["problem"]["errors"].as_array().unwrap().len())
            .collect();
        assert_eq!(
            (listed, &outcomes["failed"]),
            (vec![30, 20, 0], &json!(3)),
            "{}",
            room.kind.path
        );
        let all_or_none = format!("{path}?atomic=true");
        let refused = app
            .post(
                &app.keys.manager,
                &all_or_none,
                &json!({"items": [item, item]}),
            )
            .await
            .problem(422, "validation_failed");
        assert_eq!(
            (refused["errors"].as_array().unwrap().len(), last(app)),
            (50, before)
        );
    }
}

/// So many assets, each of which depends on the one before it, from `first` on.
async fn chain(app: &TestApp, first: &Value, count: usize) -> (Vec<Value>, Vec<Value>) {
    let create = |n: usize| {
        json!({"create": {"name": format!("Link {n}"),
        "asset_type": "software", "classification": "internal"}})
    };
    let path = "/v1/assets/batch";
    let made = app
        .post(
            &app.keys.manager,
            path,
            &json!({"items": (0..count).map(create).collect::<Vec<_>>()}),
        )
        .await
        .expect(200)
        .json();
    let ids: Vec<Value> = made["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["record"]["id"].clone())
        .collect();
    let before = std::iter::once(&first["id"]).chain(&ids);
    let link = |(id, on): (&Value, &Value)| {
        json!({"id": id, "if_match": "*",
        "patch": {"depends_on_ids": [on]}})
    };
    let items: Vec<Value> = ids.iter().zip(before).map(link).collect();
    let linked = app
        .post(&app.keys.manager, path, &json!({"items": items}))
        .await
        .expect(200)
        .json();
    (ids, linked["data"].as_array().unwrap().clone())
}

async fn a_chain_has_a_hundred_links(app: &TestApp) {
    let key = &app.keys.manager;
    let first = make(app, rooms().find(|room| room.kind.name == "asset").unwrap()).await;
    let began = Instant::now();
    let (ids, outcomes) = chain(app, &first, 400).await;
    let refused: Vec<usize> = (0..400).filter(|n| outcomes[*n]["status"] == 422).collect();
    // A link that is refused ends a chain, and the next begins one.
    assert_eq!(refused, [100, 201, 302], "each chain has 100 links");
    let fault = &outcomes[100]["problem"]["errors"][0];
    assert_eq!(
        (&fault["code"], &fault["pointer"]),
        (&json!("depth"), &json!("/items/100/patch/depends_on_ids"))
    );
    assert!(fault["detail"].as_str().unwrap().contains("100"), "{fault}");
    assert!(began.elapsed() < 4 * SOON, "{:?}", began.elapsed());
    // From the middle too: what is above counts with what is below.
    let path = |n: usize| format!("/v1/assets/{}", ids[n].as_str().unwrap());
    let joined = app
        .patch(
            key,
            &path(150),
            "*",
            &json!({"depends_on_ids": [ids[149], ids[50]]}),
        )
        .await
        .problem(422, "validation_failed");
    assert_eq!(joined["errors"][0]["code"], "depth");
    let circle = app
        .patch(key, &path(0), "*", &json!({"depends_on_ids": [ids[99]]}))
        .await
        .problem(422, "validation_failed");
    assert_eq!(circle["errors"][0]["code"], "circle");
    // The whole chain is walked, and rated from its far end.
    app.patch(key, &path(99), "*", &json!({"confidentiality": 5}))
        .await
        .expect(200);
    let rated = app
        .get(
            key,
            &one(
                rooms().find(|room| room.kind.name == "asset").unwrap(),
                &first,
            ),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(rated["effective"]["confidentiality"], 5);
    let impact = app
        .get(key, &format!("/v1/assets/{}/impact", id(&first)))
        .await
        .expect(200)
        .json();
    let far = impact["dependents"].as_array().unwrap();
    assert_eq!((far.len(), &far[99]["distance"]), (100, &json!(100)));
    let back = app
        .get(key, &format!("{}/impact", path(99)))
        .await
        .expect(200)
        .json();
    assert_eq!(back["dependencies"].as_array().unwrap().len(), 100);
    // What does not touch the chain is not held up by it.
    app.patch(key, &path(50), "*", &json!({"name": "Still there"}))
        .await
        .expect(200);
    for (relation, path) in [
        ("manager_id", "people"),
        ("recurrence_of_id", "nonconformities"),
    ] {
        let room = rooms().find(|room| room.kind.path == path).unwrap();
        let (a, b) = (make(app, room).await, make(app, room).await);
        app.patch(key, &one(room, &a), "*", &json!({relation: b["id"]}))
            .await
            .expect(200);
        assert_eq!(
            app.patch(key, &one(room, &b), "*", &json!({relation: a["id"]}))
                .await
                .pointers(),
            [format!("/{relation}")]
        );
        assert_eq!(
            app.patch(key, &one(room, &b), "*", &json!({relation: b["id"]}))
                .await
                .pointers(),
            [format!("/{relation}")]
        );
    }
}

async fn a_chain_costs_as_many_statements_as_a_single_link(app: &TestApp) {
    use isms::core::{Id, TenantId};
    use isms::db::walk::{Walk, longest};
    let first = make(app, rooms().find(|room| room.kind.name == "asset").unwrap()).await;
    let (ids, _) = chain(app, &first, 90).await;
    let (tenant, mut conn) = (TenantId(app.keys.organization.parse().unwrap()), app.conn());
    let counted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = counted.clone();
    diesel::Connection::set_instrumentation(
        &mut conn,
        move |event: diesel::connection::InstrumentationEvent<'_>| {
            if matches!(
                event,
                diesel::connection::InstrumentationEvent::StartQuery { .. }
            ) {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        },
    );
    let from = [Id(id(&first).parse().unwrap())];
    let walk = Walk {
        tenant,
        relation: "depends_on_ids",
        seq: isms::db::dialect::NOW,
        back: true,
        from: &from,
    };
    let links = walk.links(&mut conn).unwrap();
    assert_eq!((links.len(), longest(&links, &from)), (90, 90));
    assert_eq!(
        counted.load(std::sync::atomic::Ordering::SeqCst),
        1,
        "one statement, whatever the depth"
    );
    let end = [Id(ids[89].as_str().unwrap().parse().unwrap())];
    assert_eq!(
        Walk {
            back: false,
            from: &end,
            ..walk
        }
        .links(&mut conn)
        .unwrap()
        .len(),
        90
    );
}

/// The days that PostgreSQL or a client cannot have, and the texts.
const DAYS: [&str; 4] = ["-4713-01-01", "-5000-06-30", "0000-01-01", "+12026-01-01"];

async fn no_day_and_no_text_is_a_fault_of_the_service(app: &TestApp) {
    let key = &app.keys.manager;
    let document = isms::api::document::document();
    // Every parameter of every list and view: a day out of range, U+0000, a cursor that somebody
    // made up.
    let paths = document["paths"].as_object().unwrap();
    let mut asked = 0;
    for (path, operation) in paths
        .iter()
        .filter_map(|(path, item)| Some((path, item.get("get")?)))
    {
        let path = path
            .replace("{id}", "X-1")
            .replace("{slug}", "iso-27001-2022")
            .replace("{number}", "1")
            .replace("{requirement}", "x:y");
        if path.contains('{') || path.contains("/docs") {
            continue;
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = match parameter["$ref"].as_str() {
                Some(target) => document.pointer(&target[1..]).unwrap(),
                None => parameter,
            };
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let values = DAYS
                .iter()
                .map(|day| day.replace('+', "%2B"))
                .chain(["%00".into(), "a%00b".into()]);
            let instants = DAYS
                .iter()
                .map(|day| format!("{}T00:00:00Z", day.replace('+', "%2B")));
            for value in values.chain(instants) {
                let reply = app.get(key, &format!("{path}?{name}={value}")).await;
                assert!(
                    reply.status < 500,
                    "{path}?{name}={value}: {}",
                    reply.text()
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 1000, "only {asked}");
    for room in rooms() {
        let record = make(app, room).await;
        for sort in [
            "created_at",
            "updated_at",
            "name",
            "code",
            "status",
            "due_on",
            "review_due_on",
            "rank",
        ] {
            let page = app
                .get(key, &format!("{}?sort={sort}&limit=1", all(room)))
                .await
                .expect(200)
                .json();
            let Some(cursor) = page["next_cursor"].as_str() else {
                continue;
            };
            let read: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
            for value in [
                json!("a\0b"),
                json!("-5000-01-01"),
                json!("-5000-01-01T00:00:00Z"),
                json!(i64::MAX),
                json!(null),
                json!({}),
            ] {
                let forged = json!([read[0], {"value": value, "id": read[1]["id"]}]);
                let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
                let reply = app
                    .get(
                        key,
                        &format!("{}?sort={sort}&limit=1&cursor={forged}", all(room)),
                    )
                    .await;
                assert!(
                    reply.status < 500,
                    "{} {sort} {value}: {}",
                    room.kind.path,
                    reply.text()
                );
            }
        }
        // Every member of the body.
        let content =
            &document["paths"][format!("{}/{{id}}", all(room))]["patch"]["requestBody"]["content"];
        let schema = content["application/json"]["schema"]["$ref"]
            .as_str()
            .unwrap();
        let patch = &document.pointer(&schema[1..]).unwrap()["properties"];
        for (name, schema) in patch.as_object().into_iter().flatten() {
            for day in DAYS {
                let reply = app
                    .patch(key, &one(room, &record), "*", &json!({name: day}))
                    .await;
                assert!(
                    reply.status < 500,
                    "{}: {name} {day}: {}",
                    room.kind.path,
                    reply.text()
                );
                if schema["format"] == "date" {
                    assert_eq!(reply.pointers(), [format!("/{name}")]);
                }
            }
            for bad in [
                json!("a\0b"),
                json!(["a\0b"]),
                json!({"a\0b": 1}),
                json!({"a": "b\0"}),
            ] {
                app.patch(key, &one(room, &record), "*", &json!({name: bad}))
                    .await
                    .expect(422);
            }
        }
        let import = format!("external_ref,name,due_on\nx,\"a\0b\",{}\n", DAYS[0]);
        let headers = [("Content-Type", "text/csv")];
        if room.operations.unwrap().import {
            app.raw(
                key,
                Method::POST,
                &format!("{}/import", all(room)),
                &headers,
                Some(import.into_bytes()),
            )
            .await
            .expect(422);
        }
    }
    let risk = make(app, rooms().find(|room| room.kind.name == "risk").unwrap()).await;
    for day in DAYS {
        let said = json!({"comment": "x", "review_due_on": day});
        let reply = app
            .act(key, &format!("/v1/risks/{}/review", id(&risk)), &said)
            .await;
        assert_eq!(reply.pointers(), ["/review_due_on"]);
    }
}
