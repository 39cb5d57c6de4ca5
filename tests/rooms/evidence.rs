//! Evidence as JSON: the same push is one record, another content is refused, a later one takes the
//! place of the first.
use super::{at, key, made};
use crate::support::TestApp;
use crate::support::make::{last, tenant};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

crate::on_both!(
    the_same_push_answers_the_first_record,
    other_content_under_one_identity_is_refused,
    a_later_piece_supersedes_and_inherits_links,
    a_payload_is_kept_in_its_canonical_form,
    what_is_held_or_retained_stays,
    a_collector_sees_and_pushes_its_own_source,
    evidence_expires_by_the_clock,
    names_that_look_the_same_are_the_same
);

fn push(name: &str, at: &str, payload: Value) -> Value {
    json!({"name": "Report", "source": "backup", "external_id": name, "collected_at": at,
        "payload": payload})
}
const FIRST: &str = "2026-11-18T03:00:00Z";
const SECOND: &str = "2026-11-19T03:00:00Z";

async fn the_same_push_answers_the_first_record(app: &TestApp) {
    let (key, body) = (
        &app.keys.manager,
        push("nightly", FIRST, json!({"failed": 0, "jobs": 12})),
    );
    let first = app.post(key, "/v1/evidence", &body).await.expect(201);
    let before = last(app);
    app.pass(3600);
    let again = app.post(key, "/v1/evidence", &body).await.expect(200);
    assert_eq!(
        (again.json(), last(app)),
        (first.json(), before),
        "no second record"
    );
    let reordered = push(
        "nightly",
        "2026-11-18T04:00:00+01:00",
        json!({"jobs": 12.0, "failed": 0}),
    );
    assert_eq!(
        app.post(key, "/v1/evidence", &reordered)
            .await
            .expect(200)
            .json()["id"],
        first.json()["id"],
        "the same moment and the same content"
    );
    let receipt = &first.json()["receipt"];
    let events = app
        .get(
            key,
            &format!("/v1/events?after={}", receipt["seq"].as_i64().unwrap() - 1),
        )
        .await
        .data();
    assert_eq!(
        (&events[0]["leaf_hash"], &events[0]["at"]),
        (&receipt["leaf_hash"], &receipt["recorded_at"])
    );
    // Without a name at its source, the content is the name.
    let unnamed =
        json!({"name": "Report", "source": "scan", "collected_at": FIRST, "payload": [1, 2]});
    let made = app
        .post(key, "/v1/evidence", &unnamed)
        .await
        .expect(201)
        .json();
    assert_eq!(
        app.post(key, "/v1/evidence", &unnamed)
            .await
            .expect(200)
            .json()["id"],
        made["id"]
    );
    assert_eq!(
        app.get(key, "/v1/evidence?source=scan&source=backup")
            .await
            .data()
            .len(),
        2
    );
}

async fn other_content_under_one_identity_is_refused(app: &TestApp) {
    let key = &app.keys.manager;
    let first = app
        .post(
            key,
            "/v1/evidence",
            &push("nightly", FIRST, json!({"jobs": 12})),
        )
        .await
        .expect(201)
        .json();
    let before = last(app);
    let refused = app
        .post(
            key,
            "/v1/evidence",
            &push("nightly", FIRST, json!({"jobs": 13})),
        )
        .await
        .problem(409, "evidence_differs");
    assert_eq!(refused["needed_by"], json!([first["code"]]));
    assert_eq!(last(app), before);
    app.post(
        key,
        "/v1/evidence",
        &push("weekly", FIRST, json!({"jobs": 13})),
    )
    .await
    .expect(201);
    for (change, pointer) in [
        (json!({"payload": null}), "/payload"),
        (
            json!({"collected_at": "2026-11-21T00:00:00Z"}),
            "/collected_at",
        ),
        (
            json!({"period_start_on": "2026-02-01", "period_end_on": "2026-01-01"}),
            "/period_end_on",
        ),
        (json!({"control_ids": ["CTL-99"]}), "/control_ids/0"),
        (
            json!({"requirements": ["iso-27001-2022:A.9.99"]}),
            "/requirements/0",
        ),
        (json!({"sha256": "00"}), "/sha256"),
        (json!({"source": ""}), "/source"),
        (json!({"source": "back\u{202e}up"}), "/source"),
        (json!({"external_id": "night\u{200b}ly"}), "/external_id"),
        (json!({"external_ref": "EX\u{2066}-1"}), "/external_ref"),
    ] {
        let mut body = push("bad", FIRST, json!(1));
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        assert_eq!(
            app.post(key, "/v1/evidence", &body).await.pointers(),
            [pointer],
            "{change}"
        );
    }
}

async fn a_later_piece_supersedes_and_inherits_links(app: &TestApp) {
    let key = &app.keys.manager;
    let control = made(
        app,
        "controls",
        "Backup",
        json!({"implementation": "implemented"}),
    )
    .await;
    let mut body = push("nightly", FIRST, json!({"jobs": 12}));
    body["control_ids"] = json!([control["code"]]);
    body["requirements"] = json!(["iso-27001-2022:A.8.13"]);
    let first = app
        .post(key, "/v1/evidence", &body)
        .await
        .expect(201)
        .json();
    let later = app
        .post(
            key,
            "/v1/evidence",
            &push("nightly", SECOND, json!({"jobs": 12})),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        (
            &later["control_ids"],
            &later["requirements"],
            &later["sha256"]
        ),
        (
            &first["control_ids"],
            &first["requirements"],
            &first["sha256"]
        )
    );
    let old = app
        .get(key, &at("evidence", &first))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&old["superseded_by_id"], &old["freshness"], &old["version"]),
        (&later["id"], &json!("superseded"), &json!(2))
    );
    assert_eq!(
        app.get(key, &at("controls", &control))
            .await
            .expect(200)
            .json()["evidence"]["current"],
        1,
        "what is superseded does not count"
    );
    // One that comes late finds its place between.
    let between = app
        .post(
            key,
            "/v1/evidence",
            &push("nightly", "2026-11-18T12:00:00Z", json!({"jobs": 11})),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&between["superseded_by_id"], &between["freshness"]),
        (&later["id"], &json!("superseded"))
    );
    assert_eq!(
        app.get(key, "/v1/evidence?superseded=false")
            .await
            .data()
            .len(),
        1
    );
    let mut unlinked = push("nightly", "2026-11-19T04:00:00Z", json!({"jobs": 1}));
    unlinked["requirements"] = json!(["iso-27001-2022:A.8.14"]);
    let own = app
        .post(key, "/v1/evidence", &unlinked)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&own["control_ids"], &own["requirements"]),
        (&json!([]), &json!(["iso-27001-2022:A.8.14"])),
        "links that are named are not inherited"
    );
    assert_eq!(
        app.post(key, "/v1/evidence", &body)
            .await
            .expect(200)
            .json()["id"],
        first["id"],
        "the first push is still known"
    );
}

async fn a_payload_is_kept_in_its_canonical_form(app: &TestApp) {
    let key = &app.keys.manager;
    for (payload, canonical) in [
        (
            json!({"b": 1.0, "a": [1e30, "é\u{0}\n"], "€": null}),
            "{\"a\":[1e+30,\"é\\u0000\\n\"],\"b\":1,\"€\":null}",
        ),
        (json!("text"), "\"text\""),
        (json!([]), "[]"),
        (json!(false), "false"),
    ] {
        let made = app
            .post(
                key,
                "/v1/evidence",
                &json!({"name": "p", "source": "s", "payload": payload}),
            )
            .await
            .expect(201)
            .json();
        let content = app
            .get(key, &format!("{}/content", at("evidence", &made)))
            .await
            .expect(200);
        assert_eq!(content.text(), canonical);
        assert_eq!(
            content.header("content-type").as_deref(),
            Some("application/json")
        );
        assert!(
            content
                .header("content-disposition")
                .unwrap()
                .starts_with("attachment")
        );
        assert!(
            content
                .header("content-security-policy")
                .unwrap()
                .ends_with("; sandbox")
        );
        assert_eq!(
            content.header("x-content-type-options").as_deref(),
            Some("nosniff")
        );
        let digest = isms::core::text::hex(&Sha256::digest(&content.bytes));
        assert_eq!(
            (
                &made["sha256"],
                made["size_bytes"].as_u64(),
                &made["media_type"]
            ),
            (
                &json!(digest),
                Some(content.bytes.len() as u64),
                &json!("application/json")
            )
        );
        assert_eq!(content.etag(), format!("\"{digest}\""));
        let kept = app
            .dir
            .path()
            .join("object_store")
            .join(tenant(app).0.to_string())
            .join(&digest[..2])
            .join(&digest);
        assert_eq!(std::fs::read(kept).unwrap(), content.bytes);
    }
}

async fn what_is_held_or_retained_stays(app: &TestApp) {
    let key = &app.keys.manager;
    let path = at(
        "evidence",
        &made(
            app,
            "evidence",
            "Held",
            json!({"payload": 1, "source": "s"}),
        )
        .await,
    );
    assert_eq!(
        app.act(key, &format!("{path}/hold"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    app.act(key, &format!("{path}/hold"), &json!({"comment": "court"}))
        .await
        .expect(200);
    app.delete(key, &path, "*").await.problem(409, "retained");
    app.act(key, &format!("{path}/release"), &json!({"comment": "over"}))
        .await
        .expect(200);
    app.delete(key, &path, "*").await.expect(204);
    let path = at(
        "evidence",
        &made(
            app,
            "evidence",
            "Kept",
            json!({"payload": 2, "source": "s", "retain_until_on": "2026-11-21"}),
        )
        .await,
    );
    app.delete(key, &path, "*").await.problem(409, "retained");
    app.pass_days(1);
    app.delete(key, &path, "*").await.problem(409, "retained");
    app.pass_days(1);
    app.delete(key, &path, "*").await.expect(204);
    for (member, value) in [
        ("source", json!("x")),
        ("payload", json!(1)),
        ("collected_at", json!(FIRST)),
        ("retain_until_on", json!("2020-01-01")),
        ("collected_on", json!("2020-01-01")),
        ("hold", json!(false)),
    ] {
        let path = at(
            "evidence",
            &made(
                app,
                "evidence",
                "Fixed",
                json!({"payload": member, "source": "s"}),
            )
            .await,
        );
        assert_eq!(
            app.patch(key, &path, "*", &json!({member: value}))
                .await
                .pointers(),
            [format!("/{member}")]
        );
        app.patch(
            key,
            &path,
            "*",
            &json!({"name": "n", "tags": ["t"], "confidentiality": "restricted"}),
        )
        .await
        .expect(200);
    }
}

async fn a_collector_sees_and_pushes_its_own_source(app: &TestApp) {
    let collector = &app.keys.collector;
    let mine = app
        .post(
            collector,
            "/v1/evidence",
            &json!({"name": "Mine", "payload": 1}),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        mine["source"], "backup",
        "a key of one source need not say it"
    );
    let theirs = made(
        app,
        "evidence",
        "Theirs",
        json!({"payload": 1, "source": "scan"}),
    )
    .await;
    let other = json!({"name": "x", "payload": 2, "source": "scan"});
    app.post(collector, "/v1/evidence", &other)
        .await
        .problem(403, "outside_limits");
    let seen = app
        .get(collector, "/v1/evidence?include=total,counts")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            seen["data"].as_array().unwrap().len(),
            &seen["total"],
            &seen["counts"]["by_status"]
        ),
        (1, &json!(1), &json!({"active": 1}))
    );
    for rest in ["", "/content", "/history"] {
        app.get(collector, &format!("{}{rest}", at("evidence", &mine)))
            .await
            .expect(200);
        app.get(collector, &format!("{}{rest}", at("evidence", &theirs)))
            .await
            .problem(404, "not_found");
    }
    let by_code = theirs["code"].as_str().unwrap();
    app.get(collector, &format!("/v1/evidence/{by_code}"))
        .await
        .problem(404, "not_found");
    for forbidden in ["/v1/assets", "/v1/controls", "/v1/overview", "/v1/events"] {
        app.get(collector, forbidden)
            .await
            .problem(403, "forbidden");
    }
    // A collector without sources sees what it pushed itself.
    let (one, two) = (
        key(app, "collector", None, json!({})).await,
        key(app, "collector", None, json!({})).await,
    );
    app.post(&one, "/v1/evidence", &json!({"name": "x", "payload": 7}))
        .await
        .expect(201);
    assert_eq!(
        (
            app.get(&one, "/v1/evidence").await.data().len(),
            app.get(&two, "/v1/evidence").await.data().len()
        ),
        (1, 0)
    );
}

async fn evidence_expires_by_the_clock(app: &TestApp) {
    let key = &app.keys.manager;
    let path = at(
        "evidence",
        &made(
            app,
            "evidence",
            "Brief",
            json!({"payload": 1, "expires_on": "2026-11-21"}),
        )
        .await,
    );
    let tag = app.get(key, &path).await.etag();
    app.pass_days(1);
    app.get_with(key, &path, &[("If-None-Match", &tag)])
        .await
        .expect(304);
    app.pass_days(1);
    let expired = app
        .get_with(key, &path, &[("If-None-Match", &tag)])
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&expired["freshness"], &expired["version"]),
        (&json!("expired"), &json!(1))
    );
    assert_eq!(
        app.get(key, &format!("{path}?as_of=2026-11-21"))
            .await
            .expect(200)
            .json()["freshness"],
        "current"
    );
}

async fn names_that_look_the_same_are_the_same(app: &TestApp) {
    let key = &app.keys.manager;
    let (typed, composed) = ("Pru\u{308}fung", "Pr\u{fc}fung");
    let body = |name: &str, at: &str| {
        json!({"name": "x", "source": name, "external_id": name,
        "collected_at": at, "payload": at})
    };
    let first = app
        .post(key, "/v1/evidence", &body(typed, FIRST))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&first["source"], &first["external_id"]),
        (&json!(composed), &json!(composed))
    );
    let second = app
        .post(key, "/v1/evidence", &body(composed, SECOND))
        .await
        .expect(201)
        .json();
    assert_eq!(
        app.get(key, &at("evidence", &first)).await.json()["superseded_by_id"],
        second["id"]
    );
    let person = made(app, "people", "P", json!({"external_ref": typed})).await;
    assert_eq!(person["external_ref"], composed);
    app.post(
        key,
        "/v1/people",
        &json!({"name": "Q", "external_ref": composed}),
    )
    .await
    .problem(409, "conflict");
    let found = app
        .get(
            key,
            &format!("/v1/people?external_ref={}", crate::support::quoted(typed)),
        )
        .await
        .data();
    assert_eq!(found.len(), 1);
}
