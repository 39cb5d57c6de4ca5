//! Gap assessments: each requirement once, answered by those who may, in numbers and over time.
use super::{at, made};
use crate::support::make::last;
use crate::support::{Reply, TestApp};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    the_first_answer_is_given_on_version_zero,
    a_batch_is_made_whole_or_not_at_all,
    the_summary_and_the_series_agree_with_the_answers,
    whoever_may_change_the_assessment_may_answer,
    an_answer_has_an_owner_and_a_history,
    what_is_met_with_nothing_behind_it_says_so
);

async fn answer(
    app: &TestApp,
    key: &str,
    gap: &Value,
    requirement: &str,
    tag: &str,
    body: Value,
) -> Reply {
    let path = format!("{}/answers/{requirement}", at("gap-assessments", gap));
    app.send(key, Method::PUT, &path, &[("If-Match", tag)], Some(&body))
        .await
}
/// An answer without what controls and evidence say, as a write answers it.
fn bare(mut answer: Value) -> Value {
    assert!(answer["support"].is_object(), "{answer}");
    answer["support"] = Value::Null;
    answer
}
async fn gap(app: &TestApp, framework: &str) -> Value {
    made(
        app,
        "gap-assessments",
        "Gaps",
        json!({"framework": framework}),
    )
    .await
}

async fn the_first_answer_is_given_on_version_zero(app: &TestApp) {
    let (key, gap) = (&app.keys.manager, gap(app, "nis2-art21").await);
    assert!(gap["code"].as_str().unwrap().starts_with("GAP-"));
    let path = format!(
        "{}/answers/nis2-art21:21(2)(a)",
        at("gap-assessments", &gap)
    );
    let fresh = app.get(key, &path).await.expect(200);
    assert!(fresh.etag().starts_with("\"0."), "{}", fresh.etag());
    assert_eq!(
        (&fresh.json()["state"], &fresh.json()["version"]),
        (&json!("not_assessed"), &json!(0))
    );
    let said = json!({"state": "partially_met", "target_state": "met", "due_on": "2027-03-31",
        "note": "Written, not approved."});
    answer(app, key, &gap, "nis2-art21:21(2)(a)", "\"1\"", said.clone())
        .await
        .problem(412, "version_mismatch");
    let first = answer(app, key, &gap, "nis2-art21:21(2)(a)", "\"0\"", said.clone())
        .await
        .expect(200);
    for (member, value) in said.as_object().unwrap() {
        assert_eq!(first.json()[member], *value);
    }
    assert_eq!(
        (
            first.etag().split('.').next(),
            &first.json()["in_framework"]
        ),
        (Some("\"1"), &json!(true))
    );
    let seq = last(app);
    assert_eq!(
        answer(app, key, &gap, "nis2-art21:21(2)(a)", "\"1\"", said)
            .await
            .expect(200)
            .json()["version"],
        1,
        "what changes nothing keeps the version"
    );
    let second = answer(
        app,
        key,
        &gap,
        "nis2-art21:21(2)(a)",
        "*",
        json!({"state": "met"}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&second["version"], &second["note"], &second["due_on"]),
        (&json!(2), &Value::Null, &Value::Null)
    );
    assert_eq!(bare(app.get(key, &path).await.expect(200).json()), second);
    assert_eq!(
        bare(
            app.get(key, &format!("{path}?as_of=seq:{seq}"))
                .await
                .expect(200)
                .json()
        ),
        first.json()
    );
    for (requirement, status) in [
        ("nis2-art21:21(2)(z)", 404),
        ("dora:Art.5", 404),
        ("nonsense", 404),
    ] {
        assert_eq!(
            answer(app, key, &gap, requirement, "*", json!({"state": "met"}))
                .await
                .status,
            status,
            "{requirement}"
        );
    }
    let iso = self::gap(app, "iso-27001-2022").await;
    for (requirement, status) in [
        ("6.1.3", 200),
        ("6.1.3(f)", 404),
        ("6", 404),
        ("A.5", 404),
        ("A.5.1", 200),
    ] {
        assert_eq!(
            answer(
                app,
                key,
                &iso,
                &format!("iso-27001-2022:{requirement}"),
                "*",
                json!({"state": "met"})
            )
            .await
            .status,
            status,
            "{requirement}"
        );
    }
    for (body, pointers) in [
        (json!({}), vec!["/state"]),
        (json!({"state": "great"}), vec!["/state"]),
        (
            json!({"state": "not_applicable", "note": " "}),
            vec!["/note"],
        ),
        (
            json!({"state": "met", "target_state": "not_assessed", "nmae": 1}),
            vec!["/nmae", "/target_state"],
        ),
        (
            json!({"state": "met", "target_state": "not_assessed"}),
            vec!["/target_state"],
        ),
    ] {
        assert_eq!(
            answer(app, key, &gap, "nis2-art21:21(2)(b)", "*", body.clone())
                .await
                .pointers(),
            pointers,
            "{body}"
        );
    }
    let unknown = json!({"name": "x", "framework": "nothing"});
    assert_eq!(
        app.post(key, "/v1/gap-assessments", &unknown)
            .await
            .pointers(),
        ["/framework"]
    );
    assert_eq!(
        app.get(key, "/v1/gap-assessments?framework=nis2-art21")
            .await
            .data()
            .len(),
        1
    );
}

async fn a_batch_is_made_whole_or_not_at_all(app: &TestApp) {
    let (key, gap) = (&app.keys.manager, gap(app, "nis2-art21").await);
    let path = format!("{}/answers/batch", at("gap-assessments", &gap));
    let item = |letter: &str, more: Value| {
        let mut item =
            json!({"requirement": format!("nis2-art21:21(2)({letter})"), "state": "not_met"});
        item.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        item
    };
    let before = last(app);
    for (items, pointer) in [
        (
            json!([item("a", json!({})), item("z", json!({}))]),
            "/items/1/requirement",
        ),
        (
            json!([item("a", json!({})), item("a", json!({}))]),
            "/items/1/requirement",
        ),
        (
            json!([
                item("a", json!({})),
                item("b", json!({"state": "not_applicable"}))
            ]),
            "/items/1/note",
        ),
        (
            json!([item("a", json!({})), item("b", json!({"if_match": 4}))]),
            "/items/1/if_match",
        ),
        (json!([]), "/items"),
    ] {
        assert_eq!(
            app.post(key, &path, &json!({"items": items}))
                .await
                .pointers(),
            [pointer],
            "{items}"
        );
    }
    assert_eq!(last(app), before, "a part of a batch was made");
    let items = json!([
        item("b", json!({"if_match": 0})),
        item("a", json!({"note": "n", "state": "met"}))
    ]);
    let done = app.post(key, &path, &json!({"items": items})).await.data();
    assert_eq!(
        done.iter()
            .map(|one| one["version"].as_i64().unwrap())
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(last(app), before + 2);
    app.post(
        key,
        &path,
        &json!({"items": items.as_array().unwrap()[1..]}),
    )
    .await
    .expect(200);
    assert_eq!(last(app), before + 2, "what stands already is no change");
    app.post(&app.keys.auditor, &path, &json!({"items": items}))
        .await
        .problem(403, "forbidden");
}

async fn the_summary_and_the_series_agree_with_the_answers(app: &TestApp) {
    let (key, gap) = (&app.keys.manager, gap(app, "nis2-art21").await);
    let path = at("gap-assessments", &gap);
    assert_eq!(
        gap["summary"],
        json!({"requirements": 10, "not_assessed": 10, "not_met": 0, "partially_met": 0, "met": 0,
            "not_applicable": 0, "overdue": 0})
    );
    let put = async |letter: &str, body: Value| {
        answer(
            app,
            key,
            &gap,
            &format!("nis2-art21:21(2)({letter})"),
            "*",
            body,
        )
        .await
        .expect(200);
    };
    put(
        "a",
        json!({"state": "not_met", "target_state": "met", "due_on": "2026-11-25"}),
    )
    .await;
    put(
        "b",
        json!({"state": "met", "target_state": "met", "due_on": "2026-11-01"}),
    )
    .await;
    put("c", json!({"state": "not_applicable", "note": "none"})).await;
    app.pass_days(10);
    put(
        "a",
        json!({"state": "partially_met", "target_state": "met", "due_on": "2026-11-25"}),
    )
    .await;
    let summary = app.get(key, &path).await.expect(200).json()["summary"].clone();
    assert_eq!(
        summary,
        json!({"requirements": 10, "not_assessed": 7, "not_met": 0, "partially_met": 1, "met": 1,
            "not_applicable": 1, "overdue": 1})
    );
    let answers = app.get(key, &format!("{path}/answers")).await.data();
    for state in [
        "not_assessed",
        "not_met",
        "partially_met",
        "met",
        "not_applicable",
    ] {
        let count = answers.iter().filter(|one| one["state"] == state).count();
        assert_eq!(summary[state], json!(count), "{state}");
        assert_eq!(
            app.get(key, &format!("{path}/answers?state={state}"))
                .await
                .data()
                .len(),
            count
        );
    }
    assert_eq!(
        app.get(key, "/v1/gap-assessments").await.data()[0]["summary"],
        summary
    );
    let series = app.get(key, &format!("{path}/progress")).await.data();
    assert_eq!(
        series
            .iter()
            .map(|one| one["on"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["2026-11-20", "2026-11-30"]
    );
    assert_eq!(series[1]["summary"], summary);
    assert_eq!(
        (
            &series[0]["summary"]["not_met"],
            &series[0]["summary"]["overdue"]
        ),
        (&json!(1), &json!(0))
    );
    let then = app
        .get(key, &format!("{path}?as_of=2026-11-20"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        then["summary"], series[0]["summary"],
        "as of that day it says the same"
    );
    assert_eq!(
        app.get(key, &format!("{path}/progress?as_of=2026-11-20"))
            .await
            .data(),
        series[..1]
    );
    app.get(key, &format!("{path}/answers?state=great"))
        .await
        .problem(400, "invalid_parameter");
}

async fn whoever_may_change_the_assessment_may_answer(app: &TestApp) {
    let (manager, contributor, mine) = (
        &app.keys.manager,
        &app.keys.contributor,
        gap(app, "nis2-art21").await,
    );
    let one = "nis2-art21:21(2)(a)";
    answer(app, contributor, &mine, one, "*", json!({"state": "met"}))
        .await
        .problem(403, "not_assigned");
    answer(app, manager, &mine, one, "*", json!({"state": "not_met"}))
        .await
        .expect(200);
    app.patch(
        manager,
        &at("gap-assessments", &mine),
        "*",
        &json!({"owner_id": app.keys.contributor_person}),
    )
    .await
    .expect(200);
    answer(
        app,
        contributor,
        &mine,
        one,
        "\"1\"",
        json!({"state": "met"}),
    )
    .await
    .expect(200);
    answer(
        app,
        contributor,
        &mine,
        "nis2-art21:21(2)(b)",
        "\"0\"",
        json!({"state": "met"}),
    )
    .await
    .expect(200);
    let theirs = app
        .post(
            contributor,
            "/v1/gap-assessments",
            &json!({"name": "theirs", "framework": "dora"}),
        )
        .await
        .expect(201)
        .json();
    answer(
        app,
        contributor,
        &theirs,
        "dora:Art.5",
        "*",
        json!({"state": "met"}),
    )
    .await
    .expect(200);
    answer(
        app,
        manager,
        &theirs,
        "dora:Art.5",
        "\"1\"",
        json!({"state": "not_met"}),
    )
    .await
    .expect(200);
    answer(
        app,
        &app.keys.auditor,
        &theirs,
        "dora:Art.5",
        "*",
        json!({"state": "met"}),
    )
    .await
    .problem(403, "forbidden");
    answer(
        app,
        &app.keys.b_manager,
        &theirs,
        "dora:Art.5",
        "*",
        json!({"state": "met"}),
    )
    .await
    .problem(404, "not_found");
    // A key that is limited to a scope sees and answers what belongs to it.
    let (shop, other) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Other", json!({"statement": "o"})).await,
    );
    let scoped = made(
        app,
        "gap-assessments",
        "scoped",
        json!({"framework": "dora", "scope_ids": [shop["id"]]}),
    )
    .await;
    let (in_it, outside) = (
        super::key(app, "manager", None, json!({"scope_ids": [shop["code"]]})).await,
        super::key(app, "manager", None, json!({"scope_ids": [other["code"]]})).await,
    );
    answer(
        app,
        &in_it,
        &scoped,
        "dora:Art.5",
        "*",
        json!({"state": "met"}),
    )
    .await
    .expect(200);
    answer(
        app,
        &outside,
        &scoped,
        "dora:Art.5",
        "*",
        json!({"state": "met"}),
    )
    .await
    .problem(404, "not_found");
}

async fn an_answer_has_an_owner_and_a_history(app: &TestApp) {
    let (key, gap) = (&app.keys.manager, gap(app, "nis2-art21").await);
    let person = app
        .get(key, &format!("/v1/people/{}", app.keys.person))
        .await
        .expect(200)
        .json();
    let (path, past) = {
        let path = format!(
            "{}/answers/nis2-art21:21(2)(a)",
            at("gap-assessments", &gap)
        );
        (path.clone(), format!("{path}/history"))
    };
    assert_eq!(app.get(key, &past).await.data(), Vec::<Value>::new());
    let said = json!({"state": "not_met", "owner_id": person["code"]});
    let first = answer(app, key, &gap, "nis2-art21:21(2)(a)", "*", said)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &first["owner_id"],
            first["code"].as_str().unwrap().starts_with("GAN-")
        ),
        (&person["id"], true)
    );
    let nobody = json!({"state": "not_met", "owner_id": "PER-999"});
    assert_eq!(
        answer(app, key, &gap, "nis2-art21:21(2)(a)", "*", nobody)
            .await
            .pointers(),
        ["/owner_id"]
    );
    let items = json!({"items": [{"requirement": "nis2-art21:21(2)(b)", "state": "met"},
        {"requirement": "nis2-art21:21(2)(c)", "state": "met", "owner_id": "PER-999"}]});
    let batch = format!("{}/answers/batch", at("gap-assessments", &gap));
    assert_eq!(
        app.post(key, &batch, &items).await.pointers(),
        ["/items/1/owner_id"]
    );
    answer(
        app,
        key,
        &gap,
        "nis2-art21:21(2)(a)",
        "\"1\"",
        json!({"state": "met"}),
    )
    .await
    .expect(200);
    let told = app.get(&app.keys.auditor, &past).await.data();
    assert_eq!(
        told.iter()
            .map(|one| one["version"].as_i64().unwrap())
            .collect::<Vec<_>>(),
        [2, 1]
    );
    let changes = told[0]["changes"].as_array().unwrap();
    let change = |pointer: &str| {
        changes
            .iter()
            .find(|change| change["pointer"] == pointer)
            .unwrap_or_else(|| panic!("{changes:?}"))
    };
    assert_eq!(
        (&change("/state")["from"], &change("/state")["to"]),
        (&json!("not_met"), &json!("met"))
    );
    assert_eq!(
        (&change("/owner_id")["from"], &change("/owner_id")["to"]),
        (&person["id"], &Value::Null)
    );
    for name in ["id", "code"] {
        let entries = app
            .get(
                &app.keys.auditor,
                &format!(
                    "/v1/ledger/entries?record_id={}",
                    first[name].as_str().unwrap()
                ),
            )
            .await
            .data();
        assert_eq!(entries.len(), 2, "{name}");
    }
    app.get(
        key,
        &format!(
            "{}/answers/nis2-art21:9/history",
            at("gap-assessments", &gap)
        ),
    )
    .await
    .problem(404, "not_found");
    app.get(&app.keys.b_manager, &past)
        .await
        .problem(404, "not_found");
    let listed = app
        .get(key, &format!("{}/answers", at("gap-assessments", &gap)))
        .await
        .data();
    assert!(
        listed.iter().any(|one| one["code"] == first["code"]),
        "{path}"
    );
}

async fn what_is_met_with_nothing_behind_it_says_so(app: &TestApp) {
    let (key, gap) = (&app.keys.manager, gap(app, "iso-27001-2022").await);
    for requirement in ["A.5.1", "A.5.2", "A.5.3", "A.5.4"] {
        let state = if requirement == "A.5.4" {
            "not_met"
        } else {
            "met"
        };
        answer(
            app,
            key,
            &gap,
            &format!("iso-27001-2022:{requirement}"),
            "*",
            json!({"state": state}),
        )
        .await
        .expect(200);
    }
    let control = made(
        app,
        "controls",
        "Policies",
        json!({"implementation": "implemented", "requirements": ["iso-27001-2022:A.5.1"]}),
    )
    .await;
    made(
        app,
        "evidence",
        "e",
        json!({"payload": 1, "control_ids": [control["id"]]}),
    )
    .await;
    made(
        app,
        "evidence",
        "f",
        json!({"payload": 2, "expires_on": "2026-12-31", "requirements": ["iso-27001-2022:A.5.2"]}),
    )
    .await;
    let one = async |requirement: &str| {
        let path = format!(
            "{}/answers/iso-27001-2022:{requirement}",
            at("gap-assessments", &gap)
        );
        app.get(key, &path).await.expect(200).json()["support"].clone()
    };
    let listed = app
        .get(key, &format!("{}/answers", at("gap-assessments", &gap)))
        .await
        .data();
    let coverage = app
        .get(key, "/v1/frameworks/iso-27001-2022/coverage")
        .await
        .expect(200)
        .json();
    let wanted = [
        ("A.5.1", "covered", 0, false),
        ("A.5.2", "not_covered", 1, false),
        ("A.5.3", "not_covered", 0, true),
        ("A.5.4", "not_covered", 0, false),
    ];
    for (requirement, state, evidence, unsupported) in wanted {
        let said = one(requirement).await;
        assert_eq!(
            (
                &said["coverage"],
                &said["current_evidence"],
                &said["unsupported"]
            ),
            (&json!(state), &json!(evidence), &json!(unsupported)),
            "{requirement}"
        );
        let name = json!(format!("iso-27001-2022:{requirement}"));
        assert_eq!(
            listed
                .iter()
                .find(|one| one["requirement"] == name)
                .unwrap()["support"],
            said
        );
        let entry = coverage["entries"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["requirement"] == name)
            .unwrap();
        assert_eq!(
            (&entry["state"], &entry["suggested_state"]),
            (&said["coverage"], &said["suggested_coverage"])
        );
    }
    // Another day, another answer, and another tag.
    let path = format!(
        "{}/answers/iso-27001-2022:A.5.2",
        at("gap-assessments", &gap)
    );
    let tag = app.get(key, &path).await.expect(200).etag();
    app.pass_days(60);
    let later = app
        .get_with(key, &path, &[("If-None-Match", &tag)])
        .await
        .expect(200)
        .json();
    assert_eq!(later["support"]["unsupported"], true);
}
