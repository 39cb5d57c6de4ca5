//! Queries: no operation takes a parameter that it does not document, and none costs more than it
//! is worth, however it is written.
use crate::support::{Settings, TestApp, quoted};
use actix_web::http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

crate::on_both!(
    no_operation_takes_a_parameter_that_it_does_not_document,
    more_parameters_than_anyone_needs_are_refused,
    a_long_query_costs_little,
    credentials_that_are_not_good_are_counted_and_cost_no_query,
    whether_it_is_there_can_always_be_asked
);

/// An id that nothing has.
const NOBODY: &str = "018f0000-0000-7000-8000-000000000000";

fn filled(template: &str) -> String {
    let path = template
        .replace("{id}", NOBODY)
        .replace("{slug}", "iso-27001-2022")
        .replace("{requirement}", "dora:Art.5");
    path.replace("{n}", "1")
        .replace("{relation}", "scope_ids")
        .replace("{to}", NOBODY)
}

/// Asks as everyone, until somebody may.
async fn ask(app: &TestApp, method: &Method, uri: &str) -> crate::support::Reply {
    let keys = &app.keys;
    let body = (*method != Method::GET).then(|| json!({}));
    let mut last = None;
    for key in [
        "",
        &keys.manager,
        &keys.admin,
        &keys.approver,
        &keys.internal_auditor,
        &keys.contributor,
        &keys.collector,
        &keys.auditor,
    ] {
        let reply = app
            .send(
                key,
                method.clone(),
                uri,
                &[("If-Match", "\"1\"")],
                body.as_ref(),
            )
            .await;
        if ![401, 403].contains(&reply.status) {
            return reply;
        }
        last = Some(reply);
    }
    last.unwrap()
}

async fn no_operation_takes_a_parameter_that_it_does_not_document(app: &TestApp) {
    let document = isms::api::document::document();
    let resolved = |part: &Value| {
        part["$ref"].as_str().map_or(part.clone(), |target| {
            document.pointer(&target[1..]).unwrap().clone()
        })
    };
    let (mut tried, mut taken) = (0, Vec::new());
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let known: Vec<String> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(resolved)
                .filter(|one| one["in"] == "query")
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect();
            let strange = [
                "nonsense=1",
                "as_of=seq:0",
                "archived=any",
                "limit=1",
                "dry_run=true",
                "Limit=1",
                "%6eonsense",
                "a%00b=1",
            ];
            for query in strange.iter().filter(|query| {
                !known
                    .iter()
                    .any(|name| query.split('=').next() == Some(name))
            }) {
                tried += 1;
                let method: Method = method.to_uppercase().parse().unwrap();
                let reply = ask(app, &method, &format!("{}?{query}", filled(template))).await;
                if reply.status != 400 || reply.json()["code"] != "unknown_parameter" {
                    taken.push(format!(
                        "{method} {template}?{query}: {} {}",
                        reply.status,
                        reply.text().chars().take(120).collect::<String>()
                    ));
                }
            }
        }
    }
    for beside in ["/", "/docs", "/docs/page.js", "/problems/not_found"] {
        app.get("", &format!("{beside}?nonsense=1"))
            .await
            .problem(400, "unknown_parameter");
    }
    assert!(tried > 1000, "only {tried} were tried");
    assert!(
        taken.is_empty(),
        "{} of {tried} were taken:\n{}",
        taken.len(),
        taken.join("\n")
    );
}

/// Where queries are read, each in its own way, with a parameter that there is.
const READERS: [(&str, &str, &str); 8] = [
    ("GET", "/v1/assets", "status"),
    ("GET", "/v1/assets/export", "asset_type"),
    ("GET", "/v1/overview", "scope_id"),
    ("GET", "/v1/events", "kind"),
    ("GET", "/v1/ledger/entries", "actor_id"),
    ("POST", "/v1/vulnerabilities/findings", "dry_run"),
    ("POST", "/v1/assets/batch", "atomic"),
    ("GET", "/v1/frameworks/iso-27001-2022/requirements", "kind"),
];

async fn more_parameters_than_anyone_needs_are_refused(app: &TestApp) {
    for (method, path, name) in READERS {
        let method: Method = method.parse().unwrap();
        for parameter in [format!("{name}=x"), "strange".to_owned(), name.to_owned()] {
            let many = vec![parameter.as_str(); 201].join("&");
            let problem = ask(app, &method, &format!("{path}?{many}"))
                .await
                .problem(400, "invalid_parameter");
            assert!(
                problem["detail"].as_str().unwrap().contains("200"),
                "{problem}"
            );
        }
        let strange = (0..200)
            .map(|n| format!("a{n}"))
            .collect::<Vec<_>>()
            .join("&");
        let problem = ask(app, &method, &format!("{path}?{strange}"))
            .await
            .problem(400, "unknown_parameter");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 50, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains("150 more"),
            "{path}: {problem}"
        );
    }
    let wrong = vec!["due_on_since=soon"; 200].join("&");
    let problem = app
        .get(&app.keys.manager, &format!("/v1/assets?{wrong}"))
        .await
        .problem(400, "invalid_parameter");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 50);
    // As many as there may be are read.
    let all = (0..200)
        .map(|n| format!("tag=t{n}"))
        .collect::<Vec<_>>()
        .join("&");
    app.get(&app.keys.manager, &format!("/v1/assets?{all}"))
        .await
        .expect(200);
    // Whoever asks: it is refused before a credential is looked at, wherever it is asked.
    for path in ["/healthz", "/v1/nothing", "/v1/assets", "/docs", "/"] {
        app.get("", &format!("{path}?{}", "a&".repeat(201)))
            .await
            .problem(400, "invalid_parameter");
    }
}

async fn a_long_query_costs_little(app: &TestApp) {
    let long = |text: &str| text.repeat(60_000 / text.len());
    let began = Instant::now();
    let mut asked = 0;
    for (method, path, name) in READERS {
        let method: Method = method.parse().unwrap();
        let kinds = [
            long("a&"),
            (0..9000)
                .map(|n| format!("a{n}"))
                .collect::<Vec<_>>()
                .join("&"),
            long(&format!("{name}=x&")),
            format!("{name}={}", long("x")),
            format!("{}=1", long("x")),
            format!("{name}={}", long("%C3%A9")),
            format!("q={}", long("a+")),
            format!("cursor={}", long("A")),
            format!("include={}", long("total,")),
            (0..199)
                .map(|n| format!("{name}={}{n}", "x".repeat(290)))
                .collect::<Vec<_>>()
                .join("&"),
            (0..199)
                .map(|n| format!("{}{n}", "y".repeat(290)))
                .collect::<Vec<_>>()
                .join("&"),
            (0..199)
                .map(|n| format!("q=a{n}+b+c+d+e+f+g+h+i+j+k"))
                .collect::<Vec<_>>()
                .join("&"),
        ];
        for query in kinds {
            let one = Instant::now();
            let reply = ask(app, &method, &format!("{path}?{query}")).await;
            assert!(
                reply.status < 500,
                "{}: {}",
                reply.of.chars().take(80).collect::<String>(),
                reply.status
            );
            assert!(reply.bytes.len() < 200_000, "{} bytes", reply.bytes.len());
            let (took, start) = (one.elapsed(), query.chars().take(40).collect::<String>());
            assert!(took < Duration::from_secs(4), "{path}?{start}…: {took:?}");
            asked += 1;
        }
    }
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{asked} took {:?}",
        began.elapsed()
    );
}

async fn credentials_that_are_not_good_are_counted_and_cost_no_query(app: &TestApp) {
    // The limit of this house is 10: see `limited`.
    let app = &limited(app).await;
    let Some(app) = app else { return };
    let strangers = [
        isms::access::api_key::generate().unwrap(),
        "rubbish".into(),
        String::new(),
        "isms_short_000000".into(),
        "a.b.c".into(),
    ];
    app.get(&app.keys.auditor, "/v1/me").await.expect(200);
    for n in 0..10 {
        let (stranger, path) = (
            &strangers[n % strangers.len()],
            if n % 2 == 0 { "/v1/assets" } else { "/v1/me" },
        );
        let refused = app.get(stranger, path).await;
        assert_eq!(
            refused.header("ratelimit").unwrap(),
            format!("\"key\";r={};t=60", 9 - n),
            "each counts once"
        );
        let words = refused.problem(401, "unauthenticated")["detail"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            words.contains("No credential was sent"),
            stranger.is_empty(),
            "{words}"
        );
    }
    let reads = app.house.measures().await.reads;
    for path in [
        "/v1/assets",
        "/v1/nothing",
        "/v1/auth/login",
        "/docs",
        "/v1/openapi.json",
    ] {
        for stranger in [
            &isms::access::api_key::generate().unwrap(),
            &strangers[0],
            "rubbish",
            "",
        ] {
            let refused = app.get(stranger, path).await;
            assert!(refused.header("retry-after").is_some());
            refused.problem(429, "rate_limited");
        }
    }
    assert_eq!(
        app.house.measures().await.reads,
        reads + 1,
        "only the measuring itself has read"
    );
    // Whoever was known before stays known, whatever comes from the same address: also after a
    // change of the accounts.
    app.get(&app.keys.auditor, "/v1/me").await.expect(200);
    app.house.forget(crate::support::make::tenant(app));
    app.get(&app.keys.auditor, "/v1/me").await.expect(200);
}

async fn whether_it_is_there_can_always_be_asked(app: &TestApp) {
    let app = &limited(app).await;
    let Some(app) = app else { return };
    for _ in 0..30 {
        let healthy = app.get("", "/healthz").await.expect(200);
        assert_eq!(healthy.header("ratelimit"), None);
        app.get("", "/readyz").await.expect(200);
    }
    for _ in 0..10 {
        app.get("", "/docs").await.expect(200);
    }
    app.get("", "/docs").await.problem(429, "rate_limited");
    app.get("", "/").await.problem(429, "rate_limited");
    app.get("", "/v1/nowhere")
        .await
        .problem(429, "rate_limited");
    app.get("", "/healthz").await.expect(200);
    app.get("", "/readyz").await.expect(200);
    for metrics in ["/metrics", "/%6detrics", "/metrics/", "/v1/metrics"] {
        let app = TestApp::sqlite().await;
        app.get("", metrics).await.problem(404, "not_found");
        app.get(&app.keys.admin, &format!("{metrics}?{}", quoted("a")))
            .await
            .problem(404, "not_found");
    }
}

/// The same database with a limit of ten.
async fn limited(app: &TestApp) -> Option<TestApp> {
    let settings = Settings {
        rate_limit: 10,
        ..Settings::default()
    };
    if app.embedded() {
        Some(TestApp::sqlite_with(settings).await)
    } else {
        TestApp::postgresql_with(settings).await
    }
}
