//! What a page of another origin may do (CORS), and what a client that keeps answers is told:
//! `Vary`, conditions, HEAD.
use crate::support::make::{all, id, make, one, rooms};
use crate::support::{Settings, TestApp, contract};
use actix_web::http::Method;
use actix_web::{test, web::Data};
use isms::api::{frame::Frame, metrics::Metrics, server};
use isms::http::cors::Cors;
use serde_json::json;

crate::on_both!(
    a_page_of_a_configured_origin_may_read_what_it_needs,
    without_origins_nothing_is_said_of_them,
    a_format_by_accept_is_kept_apart,
    conditions_are_compared_as_the_rfc_says,
    every_documented_condition_is_answered,
    conditions_have_an_end
);

const PAGE: &str = "https://grc.example.org";
const EXPOSED: [&str; 9] = [
    "ETag",
    "Location",
    "Link",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-Id",
    "Idempotency-Replayed",
    "Ledger-Position",
];

struct Heard {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
}
impl Heard {
    fn of(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
    fn words(&self, name: &str) -> Vec<&str> {
        self.of(name).unwrap_or_default().split(", ").collect()
    }
}

/// A request to the application as it is served, with a page's origin configured.
async fn heard(app: &TestApp, request: test::TestRequest) -> Heard {
    let (metrics, frame) = (
        Data::new(Metrics::new().unwrap()),
        Data::new(Frame { behind_tls: false }),
    );
    let served = server::application(app.house.clone(), metrics, frame, contract())
        .app_data(Data::new(Cors::read(PAGE).unwrap()));
    let answer = test::call_service(&test::init_service(served).await, request.to_request()).await;
    Heard {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
    }
}
fn asked(method: Method, path: &str, key: &str, origin: &str) -> test::TestRequest {
    let request = test::TestRequest::with_uri(path)
        .method(method)
        .insert_header(("Origin", origin));
    request.insert_header(("Authorization", format!("Bearer {key}")))
}

async fn a_page_of_a_configured_origin_may_read_what_it_needs(app: &TestApp) {
    let key = &app.keys.manager;
    let body = json!({"name": "x", "asset_type": "information", "classification": "internal"});
    let huge = vec![b' '; 1_100_000];
    let requests = [
        (200, asked(Method::GET, "/v1/assets", key, PAGE)),
        (200, asked(Method::HEAD, "/v1/assets", key, PAGE)),
        (
            201,
            asked(Method::POST, "/v1/assets", key, PAGE)
                .insert_header(("Idempotency-Key", "a"))
                .set_json(&body),
        ),
        (401, asked(Method::GET, "/v1/assets", "nobody", PAGE)),
        (404, asked(Method::GET, "/v1/assets/AST-999", key, PAGE)),
        (405, asked(Method::PUT, "/v1/assets", key, PAGE)),
        (
            413,
            asked(Method::POST, "/v1/assets", key, PAGE)
                .insert_header(("Content-Type", "application/json"))
                .set_payload(huge),
        ),
        (428, asked(Method::DELETE, "/v1/assets/AST-1", key, PAGE)),
        (404, asked(Method::GET, "/nowhere", "", PAGE)),
    ];
    for (status, request) in requests {
        let answer = heard(app, request).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.of("access-control-allow-origin"),
            Some(PAGE),
            "{status}"
        );
        assert!(answer.words("vary").contains(&"Origin"), "{status}");
        assert_eq!(answer.of("access-control-allow-credentials"), None);
        let readable = answer.words("access-control-expose-headers");
        assert!(
            EXPOSED.iter().all(|name| readable.contains(name)),
            "{status}: {readable:?}"
        );
    }
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let wanted = [
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "change-reason",
        ];
        let ask = test::TestRequest::with_uri("/v1/assets/AST-1")
            .method(Method::OPTIONS)
            .insert_header(("Origin", PAGE));
        let ask = ask.insert_header(("Access-Control-Request-Method", method));
        let answer = heard(
            app,
            ask.insert_header(("Access-Control-Request-Headers", wanted.join(","))),
        )
        .await;
        assert_eq!(
            (answer.status, answer.of("access-control-allow-origin")),
            (204, Some(PAGE)),
            "without a credential"
        );
        assert!(
            answer
                .words("access-control-allow-methods")
                .contains(&method)
        );
        let allowed: Vec<String> = answer
            .words("access-control-allow-headers")
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        assert!(
            wanted
                .iter()
                .all(|name| allowed.contains(&(*name).to_owned())),
            "{allowed:?}"
        );
    }
    for stranger in [
        "https://evil.example",
        "https://grc.example.org.evil.example",
        "http://grc.example.org",
        "null",
        "",
    ] {
        let answer = heard(app, asked(Method::GET, "/v1/assets", key, stranger)).await;
        assert_eq!(
            (answer.status, answer.of("access-control-allow-origin")),
            (200, None),
            "{stranger}"
        );
        assert!(
            answer.words("vary").contains(&"Origin"),
            "what is kept for one origin is not given to another"
        );
        let ask = asked(Method::OPTIONS, "/v1/assets", key, stranger)
            .insert_header(("Access-Control-Request-Method", "PATCH"));
        let answer = heard(app, ask).await;
        assert_eq!(
            (
                answer.of("access-control-allow-origin"),
                answer.of("access-control-allow-methods")
            ),
            (None, None),
            "{stranger}"
        );
    }
}

async fn without_origins_nothing_is_said_of_them(app: &TestApp) {
    let answer = app
        .get_with(&app.keys.manager, "/v1/assets", &[("Origin", PAGE)])
        .await
        .expect(200);
    assert!(
        answer
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("access-control-"))
    );
    assert!(!answer.header("vary").unwrap_or_default().contains("Origin"));
}

async fn a_format_by_accept_is_kept_apart(app: &TestApp) {
    let key = &app.keys.manager;
    let scope = make(app, rooms().find(|room| room.kind.name == "scope").unwrap()).await;
    let soa = format!("/v1/scopes/{}/statement-of-applicability", id(&scope));
    for (view, media) in [
        (soa.as_str(), "text/csv"),
        ("/v1/risk-matrix", "image/svg+xml"),
    ] {
        let plain = app.get(key, view).await.expect(200);
        let other = app
            .get_with(key, view, &[("Accept", media)])
            .await
            .expect(200);
        assert!(other.header("content-type").unwrap().starts_with(media));
        for answer in [&plain, &other] {
            assert!(
                answer
                    .header("vary")
                    .unwrap()
                    .split(", ")
                    .any(|name| name == "Accept"),
                "{view}"
            );
        }
        assert_ne!(plain.etag(), other.etag(), "{view}");
        app.get_with(
            key,
            view,
            &[("Accept", media), ("If-None-Match", &plain.etag())],
        )
        .await
        .expect(200);
        let same = app
            .get_with(
                key,
                view,
                &[("Accept", media), ("If-None-Match", &other.etag())],
            )
            .await
            .expect(304);
        assert!(same.header("vary").unwrap().contains("Accept"), "{view}");
    }
}

async fn conditions_are_compared_as_the_rfc_says(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let path = one(room, &record);
        // If-Match: strong; a list is any of them; a weak tag is never the same.
        for (tag, status) in [
            ("W/\"1\"", 412),
            ("W/\"1\", \"9\"", 412),
            ("\"9\",\"1\"", 200),
            ("\"2\" , W/\"2\"", 200),
            ("\"9\"", 412),
            ("", 400),
            ("*", 200),
        ] {
            let change = json!({"tags": [format!("after {}", tag.replace(['"', '*', ','], ""))]});
            let answer = app.patch(key, &path, tag, &change).await;
            assert_eq!(answer.status, status, "If-Match: {tag}: {}", answer.text());
        }
        // If-None-Match: weak; `*` is for what exists, on lists and views too.
        app.get_with(key, &path, &[("If-None-Match", "*")])
            .await
            .expect(304);
        app.get_with(key, &all(room), &[("If-None-Match", "*")])
            .await
            .expect(304);
        let list = app.get(key, &all(room)).await.expect(200).etag();
        let strong = list.trim_start_matches("W/").to_owned();
        for known in [list.clone(), strong, format!("\"0\", {list}")] {
            app.get_with(key, &all(room), &[("If-None-Match", &known)])
                .await
                .expect(304);
            app.send(
                key,
                Method::HEAD,
                &all(room),
                &[("If-None-Match", &known)],
                None,
            )
            .await
            .expect(304);
        }
    }
    let nothing = "/v1/scopes/018f0000-0000-7000-8000-000000000000/statement-of-applicability";
    app.get_with(key, nothing, &[("If-None-Match", "*")])
        .await
        .problem(404, "not_found");
    app.get_with(key, "/v1/assets/AST-999", &[("If-None-Match", "*")])
        .await
        .problem(404, "not_found");
}

async fn every_documented_condition_is_answered(app: &TestApp) {
    let (document, key) = (isms::api::document::document(), &app.keys.manager);
    let (mut asked, mut paths) = (0, Vec::new());
    let scope = make(app, rooms().find(|room| room.kind.name == "scope").unwrap()).await;
    let own = json!({"slug": "house-rules", "title": "House rules", "requirements": [{"ref": "1",
        "title": "Doors"}]});
    app.post(key, "/v1/frameworks", &own).await.expect(201);
    for room in rooms() {
        let record = make(app, room).await;
        paths.push((format!("/v1/{}/", room.kind.path), id(&record).to_owned()));
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        let resolved = |one: &serde_json::Value| {
            one["$ref"].as_str().map_or(one.clone(), |at| {
                document.pointer(&at[1..]).unwrap().clone()
            })
        };
        let mut parameters = item["get"]["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(resolved);
        let asks = parameters.any(|one| one["in"] == "query" && one["required"] == true);
        let tagged = item["get"]["responses"].get("304").is_some();
        let own = paths
            .iter()
            .find(|(of, _)| path.starts_with(of))
            .map_or(id(&scope), |(_, id)| id);
        let filled = path
            .replace("{id}", own)
            .replace("{requirement}", "iso-27001-2022:A.5.1")
            .replace("{slug}", "house-rules");
        let key = if path.contains("users") || path.contains("api-keys") {
            &app.keys.admin
        } else {
            key
        };
        // What has to be asked something, or needs a record with a past, has tests in its room.
        if !tagged
            || asks
            || filled.contains('{')
            || filled.ends_with("/soa-diff")
            || filled.contains("/users/")
            || filled.contains("/api-keys/")
        {
            continue;
        }
        let first = app.get(key, &filled).await.expect(200);
        let again = app
            .get_with(key, &filled, &[("If-None-Match", &first.etag())])
            .await
            .expect(304);
        assert_eq!(
            (again.header("etag"), again.bytes.len()),
            (first.header("etag"), 0),
            "{path}"
        );
        let head = app
            .send(key, Method::HEAD, &filled, &[], None)
            .await
            .expect(200);
        assert_eq!(head.header("etag"), first.header("etag"), "HEAD {path}");
        asked += 1;
    }
    assert!(asked > 40, "only {asked} reads document 304");
}

async fn conditions_have_an_end(app: &TestApp) {
    let key = &app.keys.manager;
    let long = format!("\"{}\"", "1".repeat(1001));
    for name in ["If-Match", "If-None-Match"] {
        let problem = app
            .get_with(key, "/v1/assets", &[(name, &long)])
            .await
            .problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["location"], "header");
    }
}

#[actix_web::test]
async fn a_page_hears_that_it_asks_too_often() {
    let app = TestApp::sqlite_with(Settings {
        rate_limit: 1,
        ..Settings::default()
    })
    .await;
    assert_eq!(
        heard(
            &app,
            asked(Method::GET, "/v1/assets", &app.keys.manager, PAGE)
        )
        .await
        .status,
        200
    );
    let answer = heard(
        &app,
        asked(Method::GET, "/v1/assets", &app.keys.manager, PAGE),
    )
    .await;
    assert_eq!(
        (answer.status, answer.of("access-control-allow-origin")),
        (429, Some(PAGE))
    );
    for name in [
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "x-request-id",
    ] {
        assert!(answer.of(name).is_some(), "{name}");
        assert!(
            answer
                .words("access-control-expose-headers")
                .iter()
                .any(|exposed| exposed.eq_ignore_ascii_case(name)),
            "{name}"
        );
    }
    let ask = asked(Method::OPTIONS, "/v1/assets", "", PAGE)
        .insert_header(("Access-Control-Request-Method", "PATCH"));
    assert_eq!(
        heard(&app, ask).await.status,
        204,
        "asking first is not counted"
    );
}
