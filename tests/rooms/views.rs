//! Views are made of what is kept in memory and followed: they say what a fresh look says, and cost
//! what was written since.
use super::{at, made};
use crate::support::{TestApp, make};
use actix_web::http::Method;
use diesel::Connection;
use diesel::connection::InstrumentationEvent;
use isms::access::{Actor, Caller, Role, actor::ActorKind, actor::Limits};
use isms::core::{Id, catalogue};
use isms::insight::overview;
use isms::records::model::Models;
use isms::records::{Reader, Settings};
use isms::registers::soa;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

crate::on_both!(
    what_is_kept_says_what_is_there,
    a_view_costs_what_was_written
);

/// Every view that is made of models, now and as of the last entry: the past is never kept.
async fn compared(app: &TestApp, scope: &Value, after: &str) {
    let manager = &app.keys.manager;
    let last = make::last(app);
    let statement = format!("{}/statement-of-applicability", at("scopes", scope));
    let id = scope["id"].as_str().unwrap();
    let cut = format!("/v1/overview?scope_id={id}");
    for path in [
        "/v1/overview",
        &cut,
        &statement,
        "/v1/risk-matrix",
        "/v1/risk-trend",
        "/v1/vulnerabilities/summary",
        "/v1/frameworks/iso-27001-2022/coverage",
    ] {
        let join = if path.contains('?') { '&' } else { '?' };
        let now = app.get(manager, path).await.expect(200).json();
        let then = format!("{path}{join}as_of=seq:{last}");
        let then = app.get(manager, &then).await.expect(200).json();
        assert_eq!(now, then, "{path} after {after}");
    }
}

async fn what_is_kept_says_what_is_there(app: &TestApp) {
    let manager = &app.keys.manager;
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    compared(app, &scope, "the first").await;
    for room in make::rooms().filter(|room| room.operations.is_some()) {
        let path = room.kind.path;
        let one = make::make(app, room).await;
        compared(app, &scope, &format!("a new {}", room.kind.name)).await;
        let later = json!({"due_on": "2026-11-25", "scope_ids": [scope["id"]]});
        let cut = app.patch(manager, &at(path, &one), "*", &later).await;
        if cut.status == 200 {
            compared(app, &scope, &format!("a change of {path}")).await;
        }
        if app.delete(manager, &at(path, &one), "*").await.status == 200 {
            compared(app, &scope, &format!("an archived one of {path}")).await;
        }
    }
    let control = json!({"implementation": "implemented", "frequency": "monthly",
        "requirements": ["iso-27001-2022:A.5.1"]});
    let control = made(app, "controls", "Reviews", control).await;
    let push = |name: &str, outcome: &str| {
        json!({"name": name, "source": "tests", "payload": {"mark": name}, "outcome": outcome,
            "control_ids": [control["id"]], "requirements": ["iso-27001-2022:A.5.2"]})
    };
    for (name, outcome) in [("one", "passed"), ("two", "failed"), ("three", "passed")] {
        app.post(manager, "/v1/evidence", &push(name, outcome))
            .await
            .expect(201);
        compared(app, &scope, &format!("a test that {outcome}")).await;
        app.pass(60);
    }
    let risk = json!({"existing_control_ids": [control["id"]]});
    let risk = made(app, "risks", "Fire", risk).await;
    let assessed = json!({"stage": "current", "likelihood": 4, "impact": 4, "rationale": "r"});
    let path = format!("{}/assessments", at("risks", &risk));
    assert!([200, 201].contains(&app.act(manager, &path, &assessed).await.status));
    compared(app, &scope, "an assessment").await;
    let decision = format!(
        "{}/applicability/iso-27001-2022:A.5.1",
        at("scopes", &scope)
    );
    let body = json!({"applicable": false, "justification": "Not here."});
    let headers = [("If-Match", "*")];
    let put = app
        .send(manager, Method::PUT, &decision, &headers, Some(&body))
        .await;
    assert!([200, 201].contains(&put.status), "{}", put.text());
    compared(app, &scope, "a decision").await;
}

/// How many statements views take, of a reader that keeps models as the service does; and how much
/// of a processor, in milliseconds.
struct Asked {
    models: Arc<Models>,
    caller: Caller,
    scope: Id,
}

impl Asked {
    fn new(app: &TestApp, scope: &Value) -> Self {
        let actor = Actor {
            kind: ActorKind::ApiKey,
            id: Id::new(),
            name: "reader".into(),
            person_id: None,
        };
        let now = app.house.clock().now();
        let (roles, limits) = (vec![Role::Manager], Limits::default());
        Asked {
            models: Arc::default(),
            caller: Caller::new(make::tenant(app), actor, roles, limits, now),
            scope: Id::parse(scope["id"].as_str().unwrap()).unwrap(),
        }
    }
    fn counted(&self, app: &TestApp, view: &dyn Fn(&mut Reader<'_>) -> String) -> (usize, f64) {
        let (conn, queries) = (&mut app.conn(), Arc::new(AtomicUsize::new(0)));
        let seen = queries.clone();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                seen.fetch_add(1, Ordering::SeqCst);
                if std::env::var("SHOW_STATEMENTS").is_ok() {
                    println!("{query}");
                }
            }
        });
        let busy = || {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        let before = busy().unwrap_or_default();
        let now = app.house.clock().now();
        let opened = Reader::open(
            conn,
            &self.caller,
            isms::api::KINDS,
            None,
            now,
            Settings::FIRST,
        );
        let mut reader = opened.unwrap().keeping(self.models.clone());
        assert!(!view(&mut reader).is_empty());
        let spent = busy().unwrap_or_default() - before;
        (queries.load(Ordering::SeqCst), spent / 1e6)
    }
    fn overview(&self, app: &TestApp) -> (usize, f64) {
        self.counted(app, &|reader| {
            serde_json::to_string(&overview::compute(reader, None).unwrap()).unwrap()
        })
    }
    fn statement(&self, app: &TestApp) -> (usize, f64) {
        let framework = catalogue::framework(catalogue::ISO_27001).unwrap();
        self.counted(app, &|reader| {
            let all = soa::compute(reader, self.scope, framework).unwrap();
            serde_json::to_string(&all).unwrap()
        })
    }
}

async fn a_view_costs_what_was_written(app: &TestApp) {
    let shop = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let asked = Asked::new(app, &shop);
    asked.overview(app);
    let hardware = json!({"asset_type": "hardware", "classification": "internal"});
    for (path, more) in [
        ("assets", hardware),
        ("controls", json!({})),
        ("risks", json!({})),
    ] {
        made(app, path, "One", more).await;
        let (overview, _) = asked.overview(app);
        let (statement, _) = asked.statement(app);
        assert!(overview <= 10, "{path}: {overview} statements");
        assert!(statement <= 10, "{path}: {statement} statements");
    }
    let (overview, statement) = (asked.overview(app).0, asked.statement(app).0);
    assert!(overview <= 3 && statement <= 3, "{overview} {statement}");
}

/// Figures of a size that organizations have:
/// `cargo test a_view_in_figures -- --ignored --nocapture`.
#[actix_web::test]
#[ignore = "prints figures"]
async fn a_view_in_figures() {
    figures(&TestApp::sqlite().await).await;
    if let Some(app) = TestApp::postgresql().await {
        figures(&app).await;
    }
}

async fn figures(app: &TestApp) {
    let (shop, n) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        2000,
    );
    let size = super::soa_size::Size {
        controls: 200,
        risks: n,
        evidence: n,
    };
    super::soa_size::seed(app, size).await;
    let asset = |n: usize| json!({"name": format!("Asset {n}"), "asset_type": "hardware", "classification": "internal"});
    super::soa_size::batch(app, "assets", n, &asset).await;
    let asked = Asked::new(app, &shop);
    println!("SQLite: {}", app.embedded());
    println!(
        "first: overview {:?}, statement {:?}",
        asked.overview(app),
        asked.statement(app)
    );
    let hardware = json!({"asset_type": "hardware", "classification": "internal"});
    for (path, more) in [
        ("assets", hardware),
        ("controls", json!({})),
        ("risks", json!({})),
    ] {
        made(app, path, "One", more).await;
        let (overview, statement) = (asked.overview(app), asked.statement(app));
        println!("after {path}: overview {overview:?}, statement {statement:?}");
        let (overview, statement) = (asked.overview(app), asked.statement(app));
        println!("again: overview {overview:?}, statement {statement:?}");
    }
}

/// The statements of a push: `cargo test a_push_in_statements -- --ignored --nocapture`.
#[actix_web::test]
#[ignore = "prints statements"]
async fn a_push_in_statements() {
    static LOUD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    struct Loud;
    impl diesel::connection::Instrumentation for Loud {
        fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
            if let InstrumentationEvent::StartQuery { query, .. } = event
                && LOUD.load(Ordering::SeqCst)
            {
                println!("- {query}");
            }
        }
    }
    diesel::connection::set_default_instrumentation(|| Some(Box::new(Loud))).unwrap();
    let app = TestApp::sqlite().await;
    let mut controls = Vec::new();
    for name in ["One", "Two", "Three"] {
        let control = made(&app, "controls", name, json!({"frequency": "monthly"})).await;
        controls.push(control["id"].clone());
    }
    for n in 0..3 {
        LOUD.store(n == 2, Ordering::SeqCst);
        let body = json!({"name": format!("piece {n}"), "source": "tests", "external_id": "one",
            "payload": {"mark": n}, "control_ids": controls});
        app.post(&app.keys.manager, "/v1/evidence", &body)
            .await
            .expect(201);
        app.pass(60);
    }
}
