//! On the wire: methods, headers, and bodies that nobody should send; a client's fault is never a
//! fault of the house.
use crate::support::TestApp;
use crate::support::make::{all, body, id, last, make, one, rooms};
use actix_web::http::Method;
use serde_json::{Value, json};
use std::io::Read;

crate::on_both!(
    other_methods_are_405_with_allow,
    bodies_that_cannot_be_read_are_refused,
    bodies_with_wrong_values_are_refused_by_name,
    every_answer_has_its_headers,
    large_answers_are_compressed_when_asked_for,
    each_form_has_its_tag_and_conditions_take_either,
    the_way_in_is_shown,
    a_malformed_id_is_404_in_a_path,
    every_problem_is_explained_where_its_type_says
);

async fn other_methods_are_405_with_allow(app: &TestApp) {
    let document = isms::api::document::document();
    let (key, mut refused) = (&app.keys.manager, Vec::new());
    // They stand where a requirement or a record may stand, too: there their other methods look for
    // one of that name.
    let beside = ["/v1/scopes/{id}/applicability/batch", "/v1/risks/rescore"];
    let paths = document["paths"].as_object().unwrap().iter();
    for (path, item) in paths
        .filter(|(path, _)| !beside.contains(&path.as_str()) && !path.ends_with("/answers/batch"))
    {
        let mut known: Vec<String> = item
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        if known.contains(&"GET".to_owned()) {
            known.push("HEAD".into());
        }
        known.sort();
        let filled = path
            .replace("{id}", "018f0000-0000-7000-8000-000000000000")
            .replace("{requirement}", "iso-27001-2022:A.5.1");
        let filled = filled
            .replace("{relation}", "scope_ids")
            .replace("{to}", "SCO-1")
            .replace("{n}", "1")
            .replace("{slug}", "iso-27001-2022");
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::TRACE,
        ] {
            let reply = app.send(key, method.clone(), &filled, &[], None).await;
            if known.contains(&method.to_string()) {
                if reply.status == 405 {
                    refused.push(format!("{method} {path}"));
                }
                continue;
            }
            assert_eq!(
                reply.header("allow"),
                Some(known.join(", ")),
                "{method} {path}: {}",
                reply.status
            );
            if method != Method::HEAD {
                assert_eq!(
                    reply.problem(405, "method_not_allowed")["allowed"],
                    json!(known),
                    "{method} {path}"
                );
            }
        }
    }
    assert!(
        refused.is_empty(),
        "{} answer 405 although `Allow` names them: {}",
        refused.len(),
        refused.join(", ")
    );
    for nowhere in [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/assets/",
        "/v1/assets/x/y/z",
        "/v2/assets",
        "/v1//assets",
    ] {
        app.get(key, nowhere).await.problem(404, "not_found");
    }
}

async fn bodies_that_cannot_be_read_are_refused(app: &TestApp) {
    let key = &app.keys.manager;
    let json_type = [("Content-Type", "application/json"), ("If-Match", "*")];
    for room in rooms() {
        let (record, before) = (make(app, room).await, last(app));
        let deep = format!(
            "{{\"custom\":{}1{}}}",
            "{\"a\":".repeat(5000),
            "}".repeat(5000)
        );
        let arrays = "[".repeat(100_000);
        let texts: [&[u8]; 16] = [
            b"",
            b"{",
            b"nul",
            b"[]",
            b"\"text\"",
            b"1",
            b"null",
            b"{\"name\":\"\xff\xfe\"}",
            b"{\"name\":\"\\ud800\"}",
            b"{\"name\":\"a\",\"name\":\"b\"}",
            b"{\"name\":\"x\"} {}",
            b"\xef\xbb\xbf{}",
            b"{\"rank\":1e999}",
            b"{\"rank\":123456789012345678901234567890}",
            deep.as_bytes(),
            arrays.as_bytes(),
        ];
        for text in texts {
            for (method, path) in [
                (Method::POST, all(room)),
                (Method::PATCH, one(room, &record)),
            ] {
                let reply = app
                    .raw(key, method.clone(), &path, &json_type, Some(text.to_vec()))
                    .await;
                let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
                assert!(
                    [400, 422].contains(&reply.status),
                    "{method} {path} {shown}: {} {}",
                    reply.status,
                    reply.text()
                );
            }
        }
        let huge = json!({"name": "x", "description": "y".repeat(1_100_000)})
            .to_string()
            .into_bytes();
        for (method, path) in [
            (Method::POST, all(room)),
            (Method::PATCH, one(room, &record)),
        ] {
            app.raw(key, method.clone(), &path, &json_type, Some(huge.clone()))
                .await
                .problem(413, "payload_too_large");
            for media in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "application/jsonp",
                "",
                "json",
            ] {
                app.raw(
                    key,
                    method.clone(),
                    &path,
                    &[("Content-Type", media), ("If-Match", "*")],
                    Some(b"{}".to_vec()),
                )
                .await
                .problem(415, "unsupported_media_type");
            }
            let encoded = [
                ("Content-Type", "application/json"),
                ("Content-Encoding", "gzip"),
                ("If-Match", "*"),
            ];
            app.raw(key, method, &path, &encoded, Some(b"{}".to_vec()))
                .await
                .problem(415, "unsupported_media_type");
        }
        assert_eq!(last(app), before, "something was entered");
    }
}

async fn bodies_with_wrong_values_are_refused_by_name(app: &TestApp) {
    let (key, document) = (&app.keys.manager, isms::api::document::document());
    let strange = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(9_007_199_254_740_991_i64),
        json!(""),
        json!("\u{0}"),
        json!("a\u{0}b"),
        json!("\u{202e}\u{feff}"),
        json!("'; DROP TABLE versions; --"),
        json!([]),
        json!([null]),
        json!([[]]),
        json!(["\u{0}"]),
        json!({}),
        json!({"a": {"b": []}}),
        json!({"\u{0}": 1}),
    ];
    for room in rooms() {
        let record = make(app, room).await;
        let name = document["paths"][all(room)]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
        for member in document
            .pointer(&format!("{}/properties", &name[1..]))
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
        {
            for value in &strange {
                let mut whole = body(app, room, "").await;
                whole[member] = value.clone();
                let patch = json!({member.as_str(): value});
                let posted = app.post(key, &all(room), &whole).await;
                let patched = app.patch(key, &one(room, &record), "*", &patch).await;
                for reply in [posted, patched] {
                    assert!(
                        [200, 201, 409, 422].contains(&reply.status),
                        "{} {member} = {value}: {} {}",
                        reply.of,
                        reply.status,
                        reply.text()
                    );
                    // Null is as good as left out: then it is what remains that may be wrong.
                    if !value.is_null()
                        && reply.status == 422
                        && reply.json()["code"] == "validation_failed"
                    {
                        let pointers: Vec<String> = reply.json()["errors"]
                            .as_array()
                            .unwrap()
                            .iter()
                            .map(|e| e["pointer"].as_str().unwrap().to_owned())
                            .collect();
                        assert!(
                            pointers.iter().any(|p| *p == format!("/{member}")
                                || p.starts_with(&format!("/{member}/"))),
                            "{} {member} = {value}: {pointers:?}",
                            reply.of
                        );
                    }
                    let text = value.as_str().unwrap_or_default();
                    assert!(
                        !text.contains('\0') || member == "payload" || reply.status == 422,
                        "U+0000 was taken: {} {member}",
                        reply.of
                    );
                }
            }
        }
    }
}

async fn every_answer_has_its_headers(app: &TestApp) {
    let key = &app.keys.manager;
    let record = make(app, rooms().find(|room| room.kind.name == "asset").unwrap()).await;
    let path = format!("/v1/assets/{}", id(&record));
    for (key, path) in [
        (key, "/v1/assets"),
        (key, &path),
        (key, "/v1/nothing"),
        (&String::new(), "/v1/assets"),
        (key, "/healthz"),
        (key, "/v1/me"),
    ] {
        let reply = app.get(key, path).await;
        let request = reply.header("x-request-id").unwrap();
        assert!(uuid::Uuid::parse_str(&request).is_ok());
        assert_eq!(
            reply.header("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert!(
            reply
                .header("content-security-policy")
                .unwrap()
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(
            reply.header("referrer-policy").as_deref(),
            Some("no-referrer")
        );
        assert_eq!(
            reply.header("strict-transport-security"),
            None,
            "not behind TLS"
        );
        if reply.status >= 400 {
            assert_eq!(
                reply.header("content-type").as_deref(),
                Some("application/problem+json")
            );
            let problem = reply.json();
            assert_eq!(
                (&problem["request_id"], &problem["status"]),
                (&json!(request), &json!(reply.status)),
                "{path}"
            );
            for member in [
                "type",
                "title",
                "code",
                "detail",
                "errors",
                "allowed",
                "needed_by",
            ] {
                assert!(!problem[member].is_null(), "{path}: {member}");
            }
        }
        if reply.status == 200 && path.starts_with("/v1/") {
            assert_eq!(
                reply.header("ledger-position"),
                Some(last(app).to_string()),
                "{path}"
            );
        }
    }
    for bad in ["%ff", "%00", &"x".repeat(2001)] {
        let headers = [("If-Match", "*"), ("Change-Reason", bad)];
        app.send(
            key,
            Method::PATCH,
            &path,
            &headers,
            Some(&json!({"name": "x"})),
        )
        .await
        .problem(400, "invalid_parameter");
    }
}

async fn large_answers_are_compressed_when_asked_for(app: &TestApp) {
    let key = &app.keys.manager;
    let plain = app.get(key, "/v1/threats?limit=50").await.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    for accept in ["gzip", "br, gzip;q=0.5", "*"] {
        let small = app
            .get_with(key, "/v1/threats?limit=50", &[("Accept-Encoding", accept)])
            .await
            .expect(200);
        assert_eq!(
            (
                small.header("content-encoding").as_deref(),
                small.header("vary").as_deref()
            ),
            (Some("gzip"), Some("Accept-Encoding"))
        );
        let mut text = String::new();
        flate2::read::GzDecoder::new(small.bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, plain.text());
        assert!(small.bytes.len() < plain.bytes.len() / 2);
    }
    for accept in ["identity", "gzip;q=0", "br"] {
        assert_eq!(
            app.get_with(key, "/v1/threats?limit=50", &[("Accept-Encoding", accept)])
                .await
                .header("content-encoding"),
            None,
            "{accept}"
        );
    }
    assert_eq!(
        app.get_with(key, "/v1/me", &[("Accept-Encoding", "gzip")])
            .await
            .header("content-encoding"),
        None,
        "too small to be worth it"
    );
}

async fn each_form_has_its_tag_and_conditions_take_either(app: &TestApp) {
    let (key, gzip) = (&app.keys.manager, ("Accept-Encoding", "gzip"));
    let long = json!({"name": "Long", "asset_type": "information", "classification": "internal",
        "description": "long ".repeat(400)});
    let made = app.post(key, "/v1/assets", &long).await.expect(201).json();
    let path = format!("/v1/assets/{}", id(&made));
    for (path, key) in [
        (path.as_str(), key.as_str()),
        ("/v1/openapi.json", ""),
        ("/docs/page.js", ""),
    ] {
        let (plain, small) = (
            app.get(key, path).await.expect(200),
            app.get_with(key, path, &[gzip]).await.expect(200),
        );
        assert_eq!(
            (
                plain.header("content-encoding"),
                small.header("content-encoding").as_deref()
            ),
            (None, Some("gzip")),
            "{path}"
        );
        assert_ne!(
            plain.etag(),
            small.etag(),
            "{path}: other bytes, another strong tag"
        );
        assert!(
            small.header("vary").unwrap().contains("Accept-Encoding"),
            "{path}"
        );
        let mut text = String::new();
        flate2::read::GzDecoder::new(small.bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, plain.text(), "{path}");
        for tag in [plain.etag(), small.etag()] {
            app.get_with(key, path, &[("If-None-Match", &tag)])
                .await
                .expect(304);
            app.get_with(key, path, &[("If-None-Match", &tag), gzip])
                .await
                .expect(304);
        }
    }
    let small = app.get_with(key, &path, &[gzip]).await.expect(200).etag();
    app.patch(key, &path, &small, &json!({"name": "Renamed"}))
        .await
        .expect(200);
    app.patch(key, &path, &small, &json!({"name": "Again"}))
        .await
        .problem(412, "version_mismatch");
    // What reads alike is weak, and the same for both.
    let (plain, small) = (
        app.get(key, "/v1/threats").await,
        app.get_with(key, "/v1/threats", &[gzip]).await,
    );
    assert!(plain.etag().starts_with("W/") && plain.etag() == small.etag());
}

async fn the_way_in_is_shown(app: &TestApp) {
    let links = app.get("", "/").await.expect(200).json();
    for place in ["docs", "openapi", "health", "readiness"] {
        app.get("", links[place].as_str().unwrap())
            .await
            .expect(200);
    }
    let browser = app
        .get_with(
            "",
            "/",
            &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
        )
        .await
        .expect(303);
    assert_eq!(browser.header("location").as_deref(), Some("/docs"));
    std::fs::rename(
        app.dir.path().join("object_store"),
        app.dir.path().join("gone"),
    )
    .unwrap();
    app.get("", "/readyz").await.problem(503, "unavailable");
    app.get("", "/healthz").await.expect(200);
    std::fs::rename(
        app.dir.path().join("gone"),
        app.dir.path().join("object_store"),
    )
    .unwrap();
    app.get("", "/readyz").await.expect(200);
}

async fn a_malformed_id_is_404_in_a_path(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let code = record["code"].as_str().unwrap();
        for good in [id(&record), code, &id(&record).to_uppercase()] {
            assert_eq!(
                app.get(key, &format!("{}/{good}", all(room)))
                    .await
                    .expect(200)
                    .json()["id"],
                record["id"]
            );
        }
        let other = if room.kind.code == "AST" {
            "RSK-1"
        } else {
            "AST-1"
        };
        let glued = id(&record).replace('-', "");
        for bad in [
            "x",
            "0",
            "%00",
            "%ff",
            "..%2f",
            other,
            &code.to_lowercase(),
            &format!("{code}x"),
            &format!("{}-+1", room.kind.code),
            "'",
            &glued,
            "AST-99999999999999999999999",
        ] {
            app.get(key, &format!("{}/{bad}", all(room)))
                .await
                .problem(404, "not_found");
            app.patch(key, &format!("{}/{bad}", all(room)), "*", &json!({}))
                .await
                .problem(404, "not_found");
        }
    }
}

async fn every_problem_is_explained_where_its_type_says(app: &TestApp) {
    let mut silent = Vec::new();
    for code in isms::core::Code::ALL {
        let (place, name, ..) = code.row();
        assert_eq!(place, format!("/problems/{name}"));
        if app.get("", place).await.status != 200 {
            silent.push(place);
        }
    }
    assert!(silent.is_empty(), "nothing stands at {silent:?}");
    app.get("", "/problems/nothing")
        .await
        .problem(404, "not_found");
}
