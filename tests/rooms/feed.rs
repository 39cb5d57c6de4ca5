//! The organization, the change feed and the audit trail.
use super::{at, made};
use crate::support::TestApp;
use crate::support::make::{last, seqs};
use futures_util::StreamExt;
use isms::insight::scan::{self, Asked, Effort};
use serde_json::{Value, json};

crate::on_both!(
    the_organization_is_changed_like_a_record,
    the_feed_tells_everything_once_in_order,
    the_feed_waits_for_what_comes,
    who_lost_the_key_gets_no_news,
    a_few_may_wait_at_once,
    the_feed_has_an_end,
    a_running_export_ends_with_its_key,
    changes_are_told_by_the_version_before,
    entries_answer_who_changed_what,
    a_narrowed_question_comes_to_its_end,
    an_administrator_sees_accounts_and_no_registers
);

async fn the_organization_is_changed_like_a_record(app: &TestApp) {
    let admin = &app.keys.admin;
    let found = app
        .get(&app.keys.collector, "/v1/organization")
        .await
        .expect(200);
    assert_eq!(
        (
            &found.json()["name"],
            &found.json()["time_zone"],
            &found.json()["locale"],
            &found.json()["evidence_default_valid_days"]
        ),
        (&json!("A"), &json!("UTC"), &json!("en"), &json!(365))
    );
    app.patch(
        &app.keys.manager,
        "/v1/organization",
        "*",
        &json!({"name": "x"}),
    )
    .await
    .problem(403, "forbidden");
    let changed = app
        .patch(
            admin,
            "/v1/organization",
            &found.etag(),
            &json!({"time_zone": "America/New_York"}),
        )
        .await
        .expect(200);
    assert!(changed.etag().starts_with("\"2."), "{}", changed.etag());
    assert_eq!(changed.json()["time_zone"], "America/New_York");
    app.patch(
        admin,
        "/v1/organization",
        &found.etag(),
        &json!({"time_zone": "UTC"}),
    )
    .await
    .problem(412, "version_mismatch");
    for (body, pointer) in [
        (json!({"time_zone": "Mars/Olympus"}), "/time_zone"),
        (
            json!({"evidence_default_valid_days": 0}),
            "/evidence_default_valid_days",
        ),
        (json!({"locale": "e"}), "/locale"),
        (json!({"id": "x"}), "/id"),
        (json!({"name": null}), "/name"),
    ] {
        assert_eq!(
            app.patch(admin, "/v1/organization", "*", &body)
                .await
                .pointers(),
            [pointer],
            "{body}"
        );
    }
    // The day there decides what is late, from the very next request on.
    made(app, "actions", "Late", json!({"due_on": "2026-11-19"})).await;
    let late = async || {
        app.get(&app.keys.manager, "/v1/actions?overdue=true")
            .await
            .data()
            .len()
    };
    assert_eq!(late().await, 1);
    app.patch(
        admin,
        "/v1/organization",
        "*",
        &json!({"time_zone": "Pacific/Kiritimati"}),
    )
    .await
    .expect(200);
    made(app, "actions", "Later", json!({"due_on": "2026-11-20"})).await;
    assert_eq!(late().await, 1, "there it is 23:00 of the 20th");
    app.pass(2 * 3600);
    assert_eq!(late().await, 2, "there it is the 21st already");
}

async fn the_feed_tells_everything_once_in_order(app: &TestApp) {
    let manager = &app.keys.manager;
    let before = last(app);
    let asset = made(
        app,
        "assets",
        "Server",
        json!({"asset_type": "hardware", "classification": "internal"}),
    )
    .await;
    app.patch(
        manager,
        &at("assets", &asset),
        "*",
        &json!({"name": "Old server", "tags": ["x"]}),
    )
    .await
    .expect(200);
    made(app, "actions", "Replace it", json!({})).await;
    app.delete(manager, &at("assets", &asset), "*")
        .await
        .expect(204);
    let all = app
        .get(manager, &format!("/v1/events?after={before}"))
        .await
        .expect(200)
        .json();
    let said: Vec<(&str, &str, i64)> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            (
                e["kind"].as_str().unwrap(),
                e["action"].as_str().unwrap(),
                e["version"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("asset", "create", 1),
            ("asset", "update", 2),
            ("action", "create", 1),
            ("asset", "archive", 3)
        ]
    );
    assert_eq!(
        (&all["last_seq"], &all["has_more"]),
        (&json!(before + 4), &json!(false))
    );
    let update = &all["data"][1];
    assert_eq!(
        (
            &update["changed"],
            &update["name"],
            &update["code"],
            &update["id"]
        ),
        (
            &json!(["name", "tags"]),
            &json!("Old server"),
            &asset["code"],
            &asset["id"]
        )
    );
    assert_eq!(update["actor"], asset["created_by"]);
    let (mut after, mut seen) = (before, Vec::new());
    loop {
        let page = app
            .get(manager, &format!("/v1/events?after={after}&limit=1"))
            .await
            .expect(200)
            .json();
        seen.extend(page["data"].as_array().unwrap().clone());
        after = page["last_seq"].as_i64().unwrap();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(json!(seen), all["data"]);
    let assets = app
        .get(manager, &format!("/v1/events?after={before}&kind=asset"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            assets["data"].as_array().unwrap().len(),
            &assets["last_seq"]
        ),
        (3, &json!(before + 4))
    );
    let end = app
        .get(manager, &format!("/v1/events?after={}", before + 4))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&end["data"], &end["last_seq"]),
        (&json!([]), &json!(before + 4))
    );
    let whole = crate::support::make::walk(
        app,
        manager,
        "/v1/ledger/entries?kind=threat&kind=asset",
        20,
    )
    .await;
    let order: Vec<i64> = whole
        .iter()
        .map(|entry| entry["seq"].as_i64().unwrap())
        .collect();
    assert!(
        order.is_sorted_by(|a, b| a > b) && order.len() > 40,
        "{order:?}"
    );
    for bad in [
        "after=x",
        "limit=0",
        "kind=nothing",
        "wait=31",
        "wait=x",
        "nmae=x",
    ] {
        app.get(manager, &format!("/v1/events?{bad}"))
            .await
            .expect(400);
    }
}

async fn the_feed_waits_for_what_comes(app: &TestApp) {
    let manager = &app.keys.manager;
    let question = format!("/v1/events?after={}&wait=20", last(app));
    let waiting = app.get(manager, &question);
    let writing = async {
        actix_web::rt::time::sleep(std::time::Duration::from_millis(300)).await;
        made(app, "actions", "Come", json!({})).await
    };
    let began = std::time::Instant::now();
    let (events, action) = futures_util::future::join(waiting, writing).await;
    assert!(
        began.elapsed() < std::time::Duration::from_secs(10),
        "it waited on"
    );
    assert_eq!(events.data()[0]["id"], action["id"]);
    let nothing = app
        .get(manager, &format!("/v1/events?after={}&wait=1", last(app)))
        .await
        .data();
    assert_eq!(nothing, Vec::<Value>::new());
}

async fn who_lost_the_key_gets_no_news(app: &TestApp) {
    let admin = &app.keys.admin;
    let body = json!({"name": "Poller", "role": "auditor", "expires_at": "2027-11-20T00:00:00Z"});
    let made_key = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let (secret, id) = (
        made_key["secret"].as_str().unwrap(),
        made_key["id"].as_str().unwrap(),
    );
    let question = format!("/v1/events?after={}&wait=20", last(app));
    let waiting = app.get(secret, &question);
    let revoking = async {
        actix_web::rt::time::sleep(std::time::Duration::from_millis(300)).await;
        app.act(
            admin,
            &format!("/v1/api-keys/{id}/revoke"),
            &json!({"comment": "Leaked."}),
        )
        .await
        .expect(200);
        made(app, "actions", "Secret", json!({})).await;
    };
    let began = std::time::Instant::now();
    let (news, ()) = futures_util::future::join(waiting, revoking).await;
    news.problem(401, "unauthenticated");
    assert!(
        began.elapsed() < std::time::Duration::from_secs(10),
        "it waited on"
    );
}

async fn a_few_may_wait_at_once(app: &TestApp) {
    let question = format!("/v1/events?after={}&wait=20", last(app));
    let waiting: Vec<_> = (0..12)
        .map(|_| {
            app.send(
                &app.keys.manager,
                actix_web::http::Method::GET,
                &question,
                &[],
                None,
            )
        })
        .collect();
    let writing = async {
        actix_web::rt::time::sleep(std::time::Duration::from_millis(500)).await;
        // Another key still may.
        let other = app
            .get(
                &app.keys.auditor,
                &format!("/v1/events?after={}&wait=1", last(app)),
            )
            .await;
        assert_eq!(other.status, 200);
        made(app, "actions", "Come", json!({})).await;
    };
    let (replies, ()) =
        futures_util::future::join(futures_util::future::join_all(waiting), writing).await;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert_eq!(
        (
            refused.len(),
            replies.iter().filter(|reply| reply.status == 200).count()
        ),
        (2, 10)
    );
    assert!(
        refused
            .iter()
            .all(|reply| reply.header("retry-after").is_some())
    );
    app.get(
        &app.keys.manager,
        &format!("/v1/events?after={}&wait=1", last(app)),
    )
    .await
    .expect(200);
}

async fn the_feed_has_an_end(app: &TestApp) {
    let end = last(app);
    app.get(&app.keys.manager, &format!("/v1/events?after={end}"))
        .await
        .expect(200);
    for after in [end + 1, 1_000_000_000, i64::MAX] {
        let problem = app
            .get(&app.keys.manager, &format!("/v1/events?after={after}"))
            .await
            .problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], "after");
    }
}

async fn a_running_export_ends_with_its_key(app: &TestApp) {
    let create = |n: usize| {
        json!({"create": {"name": format!("Asset {n}"),
        "asset_type": "software", "classification": "internal"}})
    };
    let items: Vec<Value> = (0..600).map(create).collect();
    app.post(
        &app.keys.manager,
        "/v1/assets/batch",
        &json!({"items": items}),
    )
    .await
    .expect(200);
    let admin = &app.keys.admin;
    let body = json!({"name": "Exporter", "role": "auditor", "expires_at": "2027-11-20T00:00:00Z"});
    let key = app
        .post(admin, "/v1/api-keys", &body)
        .await
        .expect(201)
        .json();
    let (secret, id) = (key["secret"].as_str().unwrap(), key["id"].as_str().unwrap());
    let table = app
        .get(secret, "/v1/assets/export")
        .await
        .expect(200)
        .text();
    assert_eq!(table.lines().count(), 601);
    // The first part is read before the answer begins; what is left asks for the caller again.
    let mut parts = app.parts(secret, "/v1/assets/export").await;
    assert!(parts.next().await.is_some_and(|part| part.is_ok()));
    app.act(
        admin,
        &format!("/v1/api-keys/{id}/revoke"),
        &json!({"comment": "Leaked."}),
    )
    .await
    .expect(200);
    let mut rest = 0;
    while let Some(Ok(part)) = parts.next().await {
        rest += part.len();
    }
    assert_eq!(rest, 0, "nothing came after the key was revoked");
}

async fn changes_are_told_by_the_version_before(app: &TestApp) {
    let before = last(app);
    let manager = &app.keys.manager;
    let assets = [
        made(app, "actions", "A", json!({})).await,
        made(app, "actions", "B", json!({})).await,
    ];
    for n in 0..5 {
        for asset in &assets {
            app.patch(
                manager,
                &at("actions", asset),
                "*",
                &json!({"name": format!("n{n}"), "tags": [format!("t{n}")]}),
            )
            .await
            .expect(200);
        }
        app.patch(
            manager,
            &at("actions", &assets[0]),
            "*",
            &json!({"description": format!("d{n}")}),
        )
        .await
        .expect(200);
    }
    let events = app
        .get(manager, &format!("/v1/events?after={before}&limit=200"))
        .await
        .data();
    let changed: Vec<Value> = events
        .iter()
        .filter(|event| event["action"] == "update")
        .map(|event| event["changed"].clone())
        .collect();
    assert_eq!(changed.len(), 15);
    for round in changed.chunks(3) {
        assert_eq!(
            round,
            [
                json!(["name", "tags"]),
                json!(["name", "tags"]),
                json!(["description"])
            ]
        );
    }
}

async fn entries_answer_who_changed_what(app: &TestApp) {
    let manager = &app.keys.manager;
    let asset = made(
        app,
        "assets",
        "Server",
        json!({"asset_type": "hardware", "classification": "internal",
            "owner_id": app.keys.contributor_person}),
    )
    .await;
    app.pass_days(2);
    app.patch(
        &app.keys.contributor,
        &at("assets", &asset),
        "*",
        &json!({"name": "New"}),
    )
    .await
    .expect(200);
    app.pass_days(2);
    made(app, "actions", "Other", json!({})).await;
    let actor = app
        .get(&app.keys.contributor, "/v1/me")
        .await
        .expect(200)
        .json()["actor"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (id, code) = (
        asset["id"].as_str().unwrap(),
        asset["code"].as_str().unwrap(),
    );
    for (filter, wanted) in [
        (format!("record_id={id}"), vec!["update", "create"]),
        (format!("record_id={code}"), vec!["update", "create"]),
        (format!("record_id={id}&action=update"), vec!["update"]),
        (format!("actor_id={actor}"), vec!["update"]),
        ("kind=asset".into(), vec!["update", "create"]),
        (
            "kind=asset&kind=action".into(),
            vec!["create", "update", "create"],
        ),
        (
            "at_since=2026-11-22&at_before=2026-11-24".into(),
            vec!["update"],
        ),
        (
            "at_since=2026-11-22T09:00:00.000Z&at_before=2026-11-22T09:00:00.001Z".into(),
            vec!["update"],
        ),
        ("kind=asset&as_of=2026-11-21".into(), vec!["create"]),
        (format!("record_id={}", uuid::Uuid::now_v7()), vec![]),
        ("record_id=AST-99".into(), vec![]),
    ] {
        let found = app
            .get(manager, &format!("/v1/ledger/entries?{filter}"))
            .await
            .data();
        assert_eq!(
            found
                .iter()
                .map(|entry| entry["action"].as_str().unwrap())
                .collect::<Vec<_>>(),
            wanted,
            "{filter}"
        );
    }
    for bad in [
        "actor_id=x",
        "record_id=x",
        "at_since=x",
        "cursor=x",
        "limit=201",
        "kind=x",
        "nmae=x",
        "as_of=2027-01-01",
    ] {
        app.get(manager, &format!("/v1/ledger/entries?{bad}"))
            .await
            .expect(400);
    }
}

async fn a_narrowed_question_comes_to_its_end(app: &TestApp) {
    let manager = &app.keys.manager;
    let mut ids = Vec::new();
    for n in 0..12 {
        let (kind, beside) = match n % 3 {
            0 => (
                "assets",
                json!({"asset_type": "hardware", "classification": "internal"}),
            ),
            1 => ("actions", json!({})),
            _ => ("people", json!({})),
        };
        let record = made(app, kind, &format!("r{n}"), beside).await;
        if n % 2 == 0 {
            app.patch(
                manager,
                &at(kind, &record),
                "*",
                &json!({"name": format!("r{n} again")}),
            )
            .await
            .expect(200);
        }
        ids.push(record["id"].as_str().unwrap().to_owned());
        app.pass_days(1);
    }
    let all = app
        .get(manager, "/v1/ledger/entries?limit=200")
        .await
        .data();
    let all: Vec<&Value> = all
        .iter()
        .filter(|entry| entry.get("hidden") != Some(&json!(true)))
        .collect();
    assert!(all.len() > 18);
    type Fits<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let is = |entry: &Value, name: &str, of: &[&str]| of.iter().any(|value| entry[name] == *value);
    let day = |entry: &Value| entry["at"].as_str().unwrap()[..10].to_owned();
    let middle = all[5]["at"].as_str().unwrap()[..10].to_owned();
    let questions: Vec<(String, Fits<'_>)> = vec![
        (
            "kind=asset".into(),
            Box::new(|entry| is(entry, "kind", &["asset"])),
        ),
        (
            "kind=asset&kind=person&action=update".into(),
            Box::new(|entry| {
                is(entry, "kind", &["asset", "person"]) && is(entry, "action", &["update"])
            }),
        ),
        (
            "action=update".into(),
            Box::new(|entry| is(entry, "action", &["update"])),
        ),
        (
            format!("record_id={}&record_id={}", ids[0], ids[4]),
            Box::new(|entry| is(entry, "id", &[&ids[0], &ids[4]])),
        ),
        (
            format!("record_id={}&action=create&kind=asset", ids[0]),
            Box::new(|entry| is(entry, "id", &[&ids[0]]) && is(entry, "action", &["create"])),
        ),
        (
            format!("at_since={middle}"),
            Box::new(|entry| day(entry) >= middle),
        ),
        (
            format!("at_before={middle}&kind=action"),
            Box::new(|entry| day(entry) < middle && is(entry, "kind", &["action"])),
        ),
    ];
    for (question, fits) in &questions {
        let wanted: Vec<&Value> = all
            .iter()
            .copied()
            .filter(|entry| fits(entry))
            .map(|entry| &entry["seq"])
            .collect();
        assert!(!wanted.is_empty(), "{question}");
        for limit in [1, 2, 7] {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = app
                    .get(
                        manager,
                        &format!("/v1/ledger/entries?{question}&limit={limit}{cursor}"),
                    )
                    .await
                    .expect(200)
                    .json()
                    .clone();
                let data = page["data"].as_array().unwrap();
                assert!(data.len() <= limit);
                found.extend(data.iter().map(|entry| entry["seq"].clone()));
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(
                found.iter().collect::<Vec<_>>(),
                wanted,
                "{question}, {limit} at once"
            );
        }
    }
    // With little effort a page ends before it is full, and says up to where it looked.
    let (actor, tenant) = (
        isms::access::Actor::system(crate::support::make::tenant(app)),
        crate::support::make::tenant(app),
    );
    let caller = isms::access::Caller::new(
        tenant,
        actor,
        vec![isms::access::Role::Manager],
        Default::default(),
        app.house.clock().now(),
    );
    for backwards in [true, false] {
        let mut conn = app.conn();
        let settings = isms::records::Settings::FIRST;
        let mut reader = isms::records::Reader::open(
            &mut conn,
            &caller,
            app.house.kinds(),
            None,
            app.house.clock().now(),
            settings,
        )
        .unwrap();
        let mut asked = Asked {
            kinds: vec!["asset", "person"],
            some: true,
            actions: vec!["update".into()],
            limit: 1,
            backwards,
            ..Asked::default()
        };
        let (mut found, mut short) = (Vec::new(), 0);
        loop {
            let effort = Effort {
                some: 2,
                least: 1,
                rounds: 2,
            };
            let page = scan::find(&mut reader, &asked, last(app), effort).unwrap();
            let full = page.entries.len() > 1;
            found.extend(page.entries.iter().take(1).map(|entry| entry.seq));
            let end = match (full, page.looked_to) {
                (true, _) => found.last().copied().unwrap(),
                (false, Some(seq)) => seq,
                (false, None) => break,
            };
            short += usize::from(!full);
            (asked.before, asked.after) = if backwards {
                (Some(end), None)
            } else {
                (None, Some(end))
            };
        }
        found.sort();
        let mut wanted: Vec<i64> = all
            .iter()
            .filter(|entry| (questions[1].1)(entry))
            .map(|entry| entry["seq"].as_i64().unwrap())
            .collect();
        wanted.sort();
        assert_eq!(found, wanted);
        assert!(short > 0);
    }
}

async fn an_administrator_sees_accounts_and_no_registers(app: &TestApp) {
    made(app, "actions", "Secret", json!({})).await;
    let admin = super::key(app, "admin", None, json!({})).await;
    let kinds = |events: Vec<Value>| {
        events
            .iter()
            .filter_map(|event| event["kind"].as_str().map(str::to_owned))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let seen = kinds(app.get(&admin, "/v1/ledger/entries?limit=200").await.data());
    assert!(
        seen.contains("api_key")
            && seen.contains("user")
            && !seen.contains("action")
            && !seen.contains("person"),
        "{seen:?}"
    );
    let seen = kinds(
        app.get(&app.keys.manager, "/v1/ledger/entries?limit=200")
            .await
            .data(),
    );
    assert!(
        seen.contains("action") && !seen.contains("api_key") && !seen.contains("user"),
        "{seen:?}"
    );
    assert_eq!(seqs(app).len() as i64, last(app) + 1);
}
