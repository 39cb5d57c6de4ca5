//! For whom a report speaks: what others reported is neither closed, nor changed, nor told to who
//! may not read it.
use super::{key, made};
use crate::support::make::last;
use crate::support::{Reply, TestApp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

crate::on_both!(
    what_others_reported_stays_open,
    a_machine_learns_nothing_of_others,
    a_key_with_sources_speaks_for_its_programs,
    an_unknown_asset_and_a_hidden_one_are_alike,
    reports_are_read_beside_other_requests
);

fn log(tool: &str, rules: &[(&str, &str)]) -> Value {
    let result = |(rule, level): &(&str, &str)| {
        json!({"ruleId": rule, "level": level, "message": {"text": "here"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "x.py"}}}]})
    };
    json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool}},
        "results": rules.iter().map(result).collect::<Vec<_>>()}]})
}
async fn report(app: &TestApp, key: &str, asset: &Value, more: &str, body: &Value) -> Reply {
    let path = format!(
        "/v1/vulnerabilities/findings?asset_id={}{more}",
        asset["code"].as_str().unwrap()
    );
    app.post(key, &path, body).await
}
fn counts(result: &Value) -> [i64; 5] {
    ["created", "updated", "unchanged", "reopened", "fixed"]
        .map(|name| result[name].as_i64().unwrap())
}
async fn asset(app: &TestApp) -> Value {
    made(
        app,
        "assets",
        "Shop",
        json!({"asset_type": "software", "classification": "internal"}),
    )
    .await
}
async fn open(app: &TestApp) -> usize {
    app.get(
        &app.keys.manager,
        "/v1/vulnerabilities?status=open&limit=200",
    )
    .await
    .data()
    .len()
}

async fn what_others_reported_stays_open(app: &TestApp) {
    let asset = asset(app).await;
    let other = key(app, "manager", None, json!({})).await;
    let two = [("A", "error"), ("B", "note")];
    let first = report(
        app,
        &app.keys.manager,
        &asset,
        "&complete=true",
        &log("lint", &two),
    )
    .await
    .expect(200)
    .json();
    let seq = last(app);
    let closed = report(app, &other, &asset, "&complete=true", &log("lint", &[]))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (counts(&closed), last(app), open(app).await),
        ([0; 5], seq, 2),
        "another account's report closes nothing"
    );
    // Who may change vulnerabilities may say that they are there again, and speaks for that then.
    let again = report(app, &other, &asset, "", &log("lint", &two))
        .await
        .expect(200)
        .json();
    assert_eq!(counts(&again), [0, 0, 2, 0, 0]);
    let id = |n: usize| {
        format!(
            "/v1/vulnerabilities/{}",
            first["data"][n]["id"].as_str().unwrap()
        )
    };
    let me = app
        .get(&app.keys.manager, "/v1/me")
        .await
        .expect(200)
        .json();
    let of_a = app.get(&app.keys.manager, &id(0)).await.expect(200).json();
    assert_eq!(of_a["reported_by_id"], of_a["created_by"]["id"], "{me}");
    app.act(&app.keys.manager, &format!("{}/fix", id(0)), &json!({}))
        .await
        .expect(200);
    let back = report(app, &other, &asset, "", &log("lint", &two))
        .await
        .expect(200)
        .json();
    assert_eq!(counts(&back), [0, 0, 1, 1, 0]);
    assert_ne!(
        app.get(&app.keys.manager, &id(0)).await.json()["reported_by_id"],
        of_a["reported_by_id"]
    );
    let mine = report(
        app,
        &app.keys.manager,
        &asset,
        "&complete=true",
        &log("lint", &[]),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (counts(&mine), open(app).await),
        ([0, 0, 0, 0, 1], 1),
        "each closes what it reported"
    );
    let theirs = report(app, &other, &asset, "&complete=true", &log("lint", &[]))
        .await
        .expect(200)
        .json();
    assert_eq!((counts(&theirs), open(app).await), ([0, 0, 0, 0, 1], 0));
}

async fn a_machine_learns_nothing_of_others(app: &TestApp) {
    let asset = asset(app).await;
    let known = [("CVE-2024-0001", "error"), ("CVE-2024-0002", "error")];
    let there = report(app, &app.keys.manager, &asset, "", &log("trivy", &known))
        .await
        .expect(200)
        .json();
    let machine = key(app, "collector", None, json!({})).await;
    let seq = last(app);
    for query in ["&complete=true&dry_run=true", "&complete=true"] {
        for empty in [
            log("trivy", &[]),
            json!({"bomFormat": "CycloneDX", "specVersion": "1.6",
                "metadata": {"tools": {"components": [{"name": "trivy"}]}}, "vulnerabilities": []}),
        ] {
            let told = report(app, &machine, &asset, query, &empty)
                .await
                .expect(200);
            assert_eq!(
                (counts(&told.json()), &told.json()["data"]),
                ([0; 5], &json!([])),
                "{query}"
            );
            assert!(!told.text().contains("CVE-2024"));
        }
    }
    assert_eq!((last(app), open(app).await), (seq, 2));
    // Its own word on the same finding is a finding of its own: the answer is the same whether
    // others reported it or not.
    let dry = async |rules: &[(&str, &str)]| {
        report(app, &machine, &asset, "&dry_run=true", &log("trivy", rules))
            .await
            .expect(200)
            .json()
    };
    let (guessed, wrong) = (
        dry(&[("CVE-2024-0001", "note")]).await,
        dry(&[("CVE-2024-9999", "note")]).await,
    );
    let alike = |told: &Value| told.to_string().replace("9999", "0001");
    assert_eq!(alike(&guessed), alike(&wrong));
    let lowered = report(
        app,
        &machine,
        &asset,
        "",
        &log("trivy", &[("CVE-2024-0001", "note")]),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(counts(&lowered), [1, 0, 0, 0, 0]);
    let path = format!(
        "/v1/vulnerabilities/{}",
        there["data"][0]["id"].as_str().unwrap()
    );
    let untouched = app.get(&app.keys.manager, &path).await.expect(200).json();
    assert_eq!(
        (&untouched["severity"], &untouched["version"]),
        (&json!("high"), &json!(1))
    );
    // What it reported itself it tells, changes and closes as before.
    let again = report(
        app,
        &machine,
        &asset,
        "&complete=true",
        &log("trivy", &[("CVE-2024-0001", "note")]),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (counts(&again), &again["data"][0]["code"]),
        ([0, 0, 1, 0, 0], &lowered["data"][0]["code"])
    );
    let gone = report(app, &machine, &asset, "&complete=true", &log("trivy", &[]))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            counts(&gone),
            gone["data"][0]["code"].clone(),
            open(app).await
        ),
        ([0, 0, 0, 0, 1], lowered["data"][0]["code"].clone(), 2)
    );
    let another = key(app, "collector", None, json!({})).await;
    let seq = last(app);
    assert_eq!(
        counts(
            &report(app, &another, &asset, "&complete=true", &log("trivy", &[]))
                .await
                .expect(200)
                .json()
        ),
        [0; 5]
    );
    assert_eq!(last(app), seq);
}

async fn a_key_with_sources_speaks_for_its_programs(app: &TestApp) {
    let asset = asset(app).await;
    report(
        app,
        &app.keys.manager,
        &asset,
        "",
        &log("zap", &[("A", "error"), ("B", "error")]),
    )
    .await
    .expect(200);
    let backup = key(app, "collector", None, json!({"sources": ["backup"]})).await;
    let seq = last(app);
    for name in ["zap", "Backup", "backup2", "backup:", "", " backup"] {
        for query in ["", "&dry_run=true", "&complete=true"] {
            report(app, &backup, &asset, query, &log(name, &[]))
                .await
                .problem(403, "outside_limits");
            report(app, &backup, &asset, query, &log(name, &[("A", "note")]))
                .await
                .problem(403, "outside_limits");
        }
    }
    // One program among several that is not its own: nothing is stored of any.
    let mut both = log("backup", &[("A", "error")]);
    both["runs"]
        .as_array_mut()
        .unwrap()
        .push(log("zap", &[])["runs"][0].clone());
    report(app, &backup, &asset, "&complete=true", &both)
        .await
        .problem(403, "outside_limits");
    let manager = key(app, "manager", None, json!({"sources": ["backup"]})).await;
    report(app, &manager, &asset, "&complete=true", &log("zap", &[]))
        .await
        .problem(403, "outside_limits");
    assert_eq!(
        (last(app), open(app).await),
        (seq + 1, 2),
        "the key that was made, and nothing else"
    );
    // The next key for the program goes on where others began; it is told of its own findings
    // alone.
    let zap = key(app, "collector", None, json!({"sources": ["zap"]})).await;
    let told = report(
        app,
        &zap,
        &asset,
        "&complete=true",
        &log("zap", &[("A", "error")]),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (counts(&told), open(app).await),
        ([0, 0, 1, 0, 0], 1),
        "it closed B, which it did not report"
    );
    assert_eq!(
        (
            told["data"].as_array().unwrap().len(),
            &told["data"][0]["code"]
        ),
        (1, &Value::Null),
        "A is another's record"
    );
    let own = report(app, &zap, &asset, "", &log("zap", &[("C", "error")]))
        .await
        .expect(200)
        .json();
    assert!(own["data"][0]["code"].is_string());
    let told = report(app, &zap, &asset, "&complete=true", &log("zap", &[]))
        .await
        .expect(200)
        .json();
    assert_eq!((counts(&told), open(app).await), ([0, 0, 0, 0, 1], 0));
}

async fn an_unknown_asset_and_a_hidden_one_are_alike(app: &TestApp) {
    let (here, there) = (
        made(app, "scopes", "Here", json!({"statement": "s"})).await,
        made(app, "scopes", "There", json!({"statement": "s"})).await,
    );
    let more =
        json!({"asset_type": "software", "classification": "internal", "scope_ids": [there["id"]]});
    let hidden = made(app, "assets", "Hidden", more).await;
    let machine = key(app, "collector", None, json!({"scope_ids": [here["id"]]})).await;
    let of = async |asset: &str, query: &str| {
        let path = format!("/v1/vulnerabilities/findings?asset_id={asset}{query}");
        let mut problem = app
            .post(&machine, &path, &log("lint", &[("A", "error")]))
            .await
            .problem(422, "validation_failed");
        problem["request_id"] = Value::Null;
        problem
    };
    for query in ["", "&dry_run=true", "&complete=true"] {
        assert_eq!(
            of(hidden["code"].as_str().unwrap(), query).await,
            of("AST-99", query).await
        );
        assert_eq!(
            of(hidden["id"].as_str().unwrap(), query).await,
            of("01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e", query).await
        );
    }
}

async fn reports_are_read_beside_other_requests(app: &TestApp) {
    let rules: Vec<Value> = (0..20_000)
        .map(|n| json!({"id": format!("R{n}")}))
        .collect();
    let results: Vec<Value> = vec![json!({"ruleId": "none"}); 5000];
    let heavy = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x",
        "rules": rules}}, "results": results}]});
    let machine = key(app, "collector", None, json!({})).await;
    let sent = (0..6).map(|_| {
        app.post(
            &machine,
            "/v1/vulnerabilities/findings?dry_run=true",
            &heavy,
        )
    });
    let began = Instant::now();
    let replies = futures_util::future::join_all(sent).await;
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    let (done, full): (Vec<Reply>, Vec<Reply>) =
        replies.into_iter().partition(|reply| reply.status == 200);
    assert!(!done.is_empty() && done.iter().all(|reply| reply.json()["found"] == 5000));
    for reply in full {
        assert!(reply.header("retry-after").is_some());
        reply.problem(503, "unavailable");
    }
    let more: Vec<Value> = (0..20_001)
        .map(|n| json!({"id": format!("R{n}")}))
        .collect();
    let many = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x",
        "rules": more}}, "results": []}]});
    let problem = app
        .post(&machine, "/v1/vulnerabilities/findings", &many)
        .await
        .problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/runs/0/tool/driver/rules");
    app.post(&machine, "/v1/vulnerabilities/findings", &log("x", &[]))
        .await
        .expect(200);
}
