//! Coverage: what a person finds by hand from the controls and the tables of mappings, and not one
//! path more.
use super::{at, made};
use crate::support::TestApp;
use crate::support::make::{last, tenant};
use diesel::connection::{Connection, InstrumentationEvent};
use isms::access::{Actor, ActorKind, Caller, Role};
use isms::core::Id;
use isms::records::Reader;
use isms::registers::framework::coverage;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

crate::on_both!(
    it_agrees_with_an_example_by_hand,
    composed_mappings_are_suggestions_and_do_not_count,
    scopes_and_moments_have_their_own,
    csv_is_row_for_row_the_json,
    own_mappings_count_like_others,
    it_takes_ten_queries_whatever_the_size
);

async fn coverage_of(app: &TestApp, question: &str) -> Value {
    app.get(&app.keys.manager, &format!("/v1/frameworks/{question}"))
        .await
        .expect(200)
        .json()
}
fn entry<'a>(coverage: &'a Value, requirement: &str) -> &'a Value {
    coverage["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["requirement"] == requirement)
        .unwrap_or_else(|| panic!("{requirement}"))
}
fn state(coverage: &Value, requirement: &str) -> (String, Option<String>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entry = entry(coverage, requirement);
    (
        text(&entry["state"]).unwrap(),
        text(&entry["suggested_state"]),
    )
}
/// A control that is implemented and proven.
async fn working(app: &TestApp, name: &str, requirement: &str) -> Value {
    let control = made(
        app,
        "controls",
        name,
        json!({"implementation": "implemented", "requirements": [requirement]}),
    )
    .await;
    made(
        app,
        "evidence",
        name,
        json!({"payload": name, "source": name, "control_ids": [control["id"]]}),
    )
    .await;
    control
}
fn is(state: &str, suggested: Option<&str>) -> (String, Option<String>) {
    (state.to_owned(), suggested.map(str::to_owned))
}

async fn it_agrees_with_an_example_by_hand(app: &TestApp) {
    // NIST SP 800-171: 3.1.1 directly; 3.1.2 by an equal mapping from CMMC; 3.1.3 equal, but only
    // planned; 3.1.4 implemented, but unproven.
    let direct = working(app, "direct", "nist-800-171-r2:3.1.1").await;
    working(app, "equal", "cmmc-2.0:AC.L2-3.1.2").await;
    made(
        app,
        "controls",
        "planned",
        json!({"implementation": "planned", "requirements": ["cmmc-2.0:AC.L2-3.1.3"]}),
    )
    .await;
    made(
        app,
        "controls",
        "unproven",
        json!({"implementation": "implemented", "requirements": ["nist-800-171-r2:3.1.4"]}),
    )
    .await;
    made(
        app,
        "controls",
        "retired",
        json!({"implementation": "retired", "requirements": ["nist-800-171-r2:3.1.5"]}),
    )
    .await;
    // SP 800-53 AC-2 intersects 3.1.1 and 3.1.2 (App. D): partly there, and 3.1.5 so, too.
    let source = working(app, "other", "nist-800-53-r5:AC-2").await;
    let all = coverage_of(app, "nist-800-171-r2/coverage").await;
    let ac_2 = app
        .get(&app.keys.manager,
            "/v1/frameworks/nist-800-53-r5/mappings?target=nist-800-171-r2&requirement=nist-800-53-r5:AC-2&limit=200")
        .await
        .data();
    let mapped: Vec<&str> = ac_2
        .iter()
        .map(|pair| pair["target"].as_str().unwrap())
        .collect();
    assert!(
        mapped.contains(&"nist-800-171-r2:3.1.1") && mapped.len() < 20,
        "{mapped:?}"
    );
    for entry in all["entries"].as_array().unwrap() {
        let id = entry["requirement"].as_str().unwrap();
        let wanted = match id.strip_prefix("nist-800-171-r2:").unwrap() {
            "3.1.1" | "3.1.2" => "covered",
            "3.1.3" | "3.1.4" => "partial",
            _ if mapped.contains(&id) => "partial",
            _ => "not_covered",
        };
        assert_eq!(
            (entry["state"].as_str().unwrap(), &entry["suggested_state"]),
            (wanted, &Value::Null),
            "{id}"
        );
        assert_eq!(
            entry["paths"].as_array().unwrap().is_empty(),
            wanted == "not_covered",
            "{id}"
        );
    }
    let more = mapped
        .iter()
        .filter(|id| {
            !["3.1.1", "3.1.2", "3.1.3", "3.1.4"].contains(&id.rsplit(':').next().unwrap())
        })
        .count();
    let summary = json!({"requirements": 110, "covered": 2, "partial": 2 + more,
        "not_covered": 106 - more, "suggested": 0});
    assert_eq!(all["summary"], summary);
    let first = entry(&all, "nist-800-171-r2:3.1.1");
    assert_eq!(first["path_count"], json!(2));
    let control = json!({"id": direct["id"], "code": direct["code"], "name": "direct",
        "implementation": "implemented", "operation": "operating"});
    assert_eq!(
        first["paths"][0],
        json!({"cited": "nist-800-171-r2:3.1.1", "mapping": null, "state": "covered",
            "suggestion": false, "controls": [control], "control_count": 1})
    );
    let by = &first["paths"][1];
    assert_eq!(
        (&by["cited"], &by["state"], &by["controls"][0]["id"]),
        (
            &json!("nist-800-53-r5:AC-2"),
            &json!("partial"),
            &source["id"]
        )
    );
    let mapping = json!({"source": "nist-800-53-r5:AC-2", "target": "nist-800-171-r2:3.1.1",
        "relationship": "intersects", "kind": "published", "provenance": "NIST SP 800-171r2 App. \
            D", "imported_with": null});
    assert_eq!(by["mapping"], mapping);
    // One mapping and no more: what CMMC says reaches SP 800-171, and not SP 800-53 from there.
    let far = coverage_of(app, "nist-800-53-r5/coverage").await;
    assert_eq!(state(&far, "nist-800-53-r5:AC-2"), is("covered", None));
    let planned_only = app
        .get(&app.keys.manager,
            "/v1/frameworks/nist-800-171-r2/mappings?requirement=nist-800-171-r2:3.1.3&target=nist-800-53-r5")
        .await
        .data();
    assert_eq!(
        planned_only
            .first()
            .map(|pair| state(&far, pair["target"].as_str().unwrap()).0),
        Some("not_covered".into())
    );
    // Wider covers narrower, and not the other way round.
    working(app, "2022", "iso-27001-2022:A.5.1").await;
    working(app, "2013", "iso-27001-2013:A.6.1.5").await;
    let old = coverage_of(app, "iso-27001-2013/coverage").await;
    assert_eq!(
        (
            state(&old, "iso-27001-2013:A.5.1.1"),
            state(&old, "iso-27001-2013:A.5.1.2")
        ),
        (is("covered", None), is("covered", None))
    );
    let new = coverage_of(app, "iso-27001-2022/coverage").await;
    assert_eq!(
        state(&new, "iso-27001-2022:A.5.8"),
        is("partial", None),
        "A.6.1.5 is a part of A.5.8"
    );
    // A mapping to a part of a requirement covers it in part, and says so.
    let to = app
        .get(
            &app.keys.manager,
            "/v1/frameworks/iso-27001-2022/mappings?requirement=nist-800-53-r5:CM-9(1)",
        )
        .await
        .data();
    working(app, "enhancement", to[0]["source"].as_str().unwrap()).await;
    let far = coverage_of(app, "nist-800-53-r5/coverage").await;
    let paths = entry(&far, "nist-800-53-r5:CM-9")["paths"]
        .as_array()
        .unwrap();
    assert!(
        paths
            .iter()
            .any(|path| path["mapping"]["target"] == "nist-800-53-r5:CM-9(1)"
                && path["state"] == "partial"),
        "{paths:?}"
    );
    // A part of a clause covers it in part.
    working(app, "point", "iso-27001-2022:6.1.3(f)").await;
    let new = coverage_of(app, "iso-27001-2022/coverage").await;
    let clause = entry(&new, "iso-27001-2022:6.1.3");
    assert_eq!(
        (
            clause["state"].as_str(),
            clause["paths"][0]["cited"].as_str()
        ),
        (Some("partial"), Some("iso-27001-2022:6.1.3(f)"))
    );
}

async fn composed_mappings_are_suggestions_and_do_not_count(app: &TestApp) {
    working(app, "sod", "iso-27001-2022:A.5.3").await;
    let cmmc = coverage_of(app, "cmmc-2.0/coverage").await;
    assert_eq!(
        state(&cmmc, "cmmc-2.0:AC.L2-3.1.4"),
        is("not_covered", Some("partial"))
    );
    let path = &entry(&cmmc, "cmmc-2.0:AC.L2-3.1.4")["paths"][0];
    assert!(
        path["suggestion"] == true && path["mapping"]["kind"] == "composed",
        "{path}"
    );
    let summary = &cmmc["summary"];
    assert_eq!(
        (
            &summary["covered"],
            &summary["partial"],
            &summary["not_covered"]
        ),
        (&json!(0), &json!(0), &json!(110))
    );
    assert!(summary["suggested"].as_i64().unwrap() > 0, "{summary}");
    for slug in ["dora", "pci-dss-4"] {
        let none = coverage_of(app, &format!("{slug}/coverage")).await;
        assert_eq!(
            (&none["summary"]["partial"], &none["summary"]["suggested"]),
            (&json!(0), &json!(0)),
            "nobody publishes a table to {slug}"
        );
    }
}

async fn scopes_and_moments_have_their_own(app: &TestApp) {
    let key = &app.keys.manager;
    let (shop, warehouse) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Warehouse", json!({"statement": "w"})).await,
    );
    let limited = super::key(
        app,
        "auditor",
        None,
        json!({"scope_ids": [warehouse["code"]]}),
    )
    .await;
    let narrow = super::key(
        app,
        "auditor",
        None,
        json!({"framework_slugs": ["nist-800-171-r2"]}),
    )
    .await;
    let control = made(
        app,
        "controls",
        "c",
        json!({"implementation": "implemented", "requirements": ["dora:Art.5"]}),
    )
    .await;
    made(
        app,
        "evidence",
        "c",
        json!({"payload": 1, "source": "c", "control_ids": [control["id"]],
        "expires_on": "2026-12-01"}),
    )
    .await;
    app.patch(
        key,
        &at("controls", &control),
        "*",
        &json!({"scope_ids": [shop["id"]]}),
    )
    .await
    .expect(200);
    let seq = last(app);
    let of = async |question: String| {
        state(
            &coverage_of(app, &format!("dora/coverage?{question}")).await,
            "dora:Art.5",
        )
        .0
    };
    assert_eq!(of(String::new()).await, "covered");
    assert_eq!(
        of(format!("scope_id={}", shop["code"].as_str().unwrap())).await,
        "covered"
    );
    assert_eq!(
        of(format!("scope_id={}", warehouse["id"].as_str().unwrap())).await,
        "not_covered"
    );
    app.pass_days(20);
    assert_eq!(
        of(String::new()).await,
        "partial",
        "its evidence has expired"
    );
    app.patch(
        key,
        &at("controls", &control),
        "*",
        &json!({"requirements": []}),
    )
    .await
    .expect(200);
    assert_eq!(
        (
            of(String::new()).await,
            of(format!("as_of=seq:{seq}")).await
        ),
        ("not_covered".into(), "covered".into())
    );
    for (question, status) in [
        ("scope_id=x", 400),
        ("scope_id=SCO-99", 404),
        ("format=pdf", 400),
        ("nmae=x", 400),
    ] {
        app.get(key, &format!("/v1/frameworks/dora/coverage?{question}"))
            .await
            .expect(status);
    }
    let seen = app
        .get(
            &limited,
            &format!("/v1/frameworks/dora/coverage?as_of=seq:{seq}"),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        state(&seen, "dora:Art.5").0,
        "not_covered",
        "a key that is limited to another scope does not see it"
    );
    app.get(
        &limited,
        &format!(
            "/v1/frameworks/dora/coverage?scope_id={}",
            shop["code"].as_str().unwrap()
        ),
    )
    .await
    .problem(404, "not_found");
    working(app, "cmmc", "cmmc-2.0:AC.L2-3.1.1").await;
    let seen = app
        .get(&narrow, "/v1/frameworks/nist-800-171-r2/coverage")
        .await
        .expect(200)
        .json();
    assert_eq!(
        seen["summary"]["covered"], 0,
        "what it may not see does not count"
    );
}

async fn csv_is_row_for_row_the_json(app: &TestApp) {
    working(app, "a \"quoted\", name", "iso-27001-2022:A.5.1").await;
    working(app, "b", "nist-csf-2.0:GV.OV-01").await;
    made(
        app,
        "controls",
        "c",
        json!({"requirements": ["nist-csf-2.0:GV.OV-01"]}),
    )
    .await;
    let all = coverage_of(app, "nist-csf-2.0/coverage").await;
    let path = "/v1/frameworks/nist-csf-2.0/coverage";
    let reply = app
        .get_with(&app.keys.manager, path, &[("Accept", "text/csv")])
        .await
        .expect(200);
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("text/csv")
    );
    let mut table = csv::Reader::from_reader(reply.bytes.as_slice());
    let found: Vec<Vec<String>> = table
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut wanted = Vec::new();
    for entry in all["entries"].as_array().unwrap() {
        let of_it = ["requirement", "title", "state", "suggested_state"]
            .map(|member| text(&entry[member]))
            .to_vec();
        for path in entry["paths"].as_array().unwrap() {
            let codes: Vec<String> = path["controls"]
                .as_array()
                .unwrap()
                .iter()
                .map(|control| text(&control["code"]))
                .collect();
            let mapping = ["target", "relationship", "kind", "provenance"]
                .map(|member| text(&path["mapping"][member]))
                .to_vec();
            let way = [text(&path["cited"]), text(&path["state"])]
                .into_iter()
                .chain(mapping);
            let way = way.chain([
                path["suggestion"].to_string(),
                codes.join(";"),
                path["control_count"].to_string(),
            ]);
            wanted.push(of_it.iter().cloned().chain(way).collect::<Vec<_>>());
        }
        if entry["paths"] == json!([]) {
            wanted.push(of_it.into_iter().chain(vec![String::new(); 9]).collect());
        }
    }
    assert_eq!(found, wanted);
    assert!(found.len() > 106, "some requirements have several ways");
    app.get_with(&app.keys.manager, path, &[("Accept", "image/png")])
        .await
        .problem(406, "not_acceptable");
}

async fn own_mappings_count_like_others(app: &TestApp) {
    super::framework::import(app, &super::framework::house_rules())
        .await
        .expect(201);
    working(app, "csf", "nist-csf-2.0:GV.OC-01").await;
    working(app, "iso", "iso-27001-2022:A.5.16").await;
    let rules = coverage_of(app, "house-rules/coverage").await;
    assert_eq!(
        state(&rules, "house-rules:2"),
        is("covered", None),
        "by a published pair that is equal"
    );
    assert_eq!(
        state(&rules, "house-rules:1.1"),
        is("not_covered", Some("covered")),
        "a composed pair is a suggestion"
    );
    assert_eq!(
        entry(&rules, "house-rules:2")["paths"][0]["mapping"]["imported_with"],
        "house-rules"
    );
    // Pairs between others may be imported, too: nobody publishes a table to DORA.
    let pairs = json!({"slug": "our-dora", "title": "Our table to DORA",
        "mappings": [{"source": "iso-27001-2022:A.5.16", "target": "dora:Art.9",
            "relationship": "intersects", "kind": "published", "provenance": "Our regulator"}]});
    super::framework::import(app, &pairs).await.expect(201);
    let dora = coverage_of(app, "dora/coverage").await;
    assert_eq!(
        (state(&dora, "dora:Art.9"), &dora["summary"]["partial"]),
        (is("partial", None), &json!(1))
    );
    assert_eq!(
        coverage_of(app, "our-dora/coverage").await["entries"],
        json!([])
    );
}

async fn it_takes_ten_queries_whatever_the_size(app: &TestApp) {
    super::framework::import(app, &super::framework::house_rules())
        .await
        .expect(201);
    let scope = made(app, "scopes", "s", json!({"statement": "s"})).await;
    let actor = Actor {
        kind: ActorKind::User,
        id: Id::new(),
        name: "x".into(),
        person_id: None,
    };
    let scope = Id::parse(scope["id"].as_str().unwrap()).unwrap();
    let limits = isms::access::Limits {
        scope_ids: vec![scope],
        ..Default::default()
    };
    let caller = Caller::new(
        tenant(app),
        actor,
        vec![Role::Manager],
        limits,
        app.house.clock().now(),
    );
    let count = |wanted: i64| {
        let (asked, mut conn) = (Arc::new(AtomicUsize::new(0)), app.conn());
        let (sink, settings) = (asked.clone(), isms::records::Settings::FIRST);
        let mut reader = Reader::open(
            &mut conn,
            &caller,
            isms::api::KINDS,
            None,
            app.house.clock().now(),
            settings,
        )
        .unwrap();
        reader
            .conn()
            .set_instrumentation(move |event: InstrumentationEvent<'_>| {
                if let InstrumentationEvent::StartQuery { .. } = event {
                    sink.fetch_add(1, Ordering::SeqCst);
                }
            });
        let found = coverage::compute(&mut reader, "nist-csf-2.0", Some(scope)).unwrap();
        assert_eq!(
            found.summary.covered + found.summary.partial > 0,
            wanted > 0
        );
        asked.load(Ordering::SeqCst)
    };
    count(0);
    let few = count(0);
    for n in 0..12 {
        working(
            app,
            &format!("c{n}"),
            [
                "iso-27001-2022:A.5.1",
                "nist-csf-2.0:GV.OC-01",
                "soc2-2017:CC6.1",
            ][n % 3],
        )
        .await;
    }
    let many = count(1);
    assert!(
        few == many && many <= 10,
        "{few} queries for nothing, {many} for a few"
    );
}
