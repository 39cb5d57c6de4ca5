//! Evidence as files: every byte comes out as it went in, and a retry with the same key is answered
//! again.
use super::at;
use crate::support::make::{last, tenant};
use crate::support::{Reply, TestApp};
use actix_web::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

crate::on_both!(
    a_file_comes_out_as_it_went_in,
    a_range_is_a_part_of_it,
    a_retried_upload_is_answered_again,
    an_upload_that_is_not_well_formed_is_refused,
    a_byte_equal_report_renews_freshness,
    a_refused_push_leaves_no_file,
    a_lost_content_says_so,
    the_store_is_compared_with_the_records,
    text_stays_text
);

fn multipart(boundary: &str, parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, media, bytes) in parts {
        body.extend(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; \
            {disposition}\r\nContent-Type: {media}\r\n\r\n"
            )
            .into_bytes(),
        );
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").into_bytes());
    body
}

async fn upload(
    app: &TestApp,
    boundary: &str,
    headers: &[(&str, &str)],
    metadata: &Value,
    file: &[u8],
) -> Reply {
    let (media, told) = (
        format!("multipart/form-data; boundary={boundary}"),
        metadata.to_string(),
    );
    let parts = [
        ("name=\"metadata\"", "application/json", told.as_bytes()),
        (
            "name=\"file\"; filename=\"../dir/Bericht ü.pdf\"",
            "application/pdf",
            file,
        ),
    ];
    let headers = [headers, &[("Content-Type", media.as_str())]].concat();
    app.raw(
        &app.keys.manager,
        Method::POST,
        "/v1/evidence",
        &headers,
        Some(multipart(boundary, &parts)),
    )
    .await
}

/// Bytes that no text has, with line ends and a would-be boundary among them.
fn bytes(many: usize) -> Vec<u8> {
    let mut all = b"%PDF-1.7\r\n--x\r\n\0\xff".to_vec();
    all.extend((0..many).map(|n| (n * 31 % 251) as u8));
    all
}

async fn a_file_comes_out_as_it_went_in(app: &TestApp) {
    for many in [0, 1, 70_000, 300_000] {
        let (file, name) = (
            bytes(many),
            json!({"name": format!("File {many}"), "source": "manual",
                "external_id": format!("f{many}")}),
        );
        let made = upload(app, "x-y-z", &[], &name, &file)
            .await
            .expect(201)
            .json();
        let digest = isms::core::text::hex(&Sha256::digest(&file));
        assert_eq!(
            (
                &made["sha256"],
                made["size_bytes"].as_u64(),
                &made["media_type"]
            ),
            (
                &json!(digest),
                Some(file.len() as u64),
                &json!("application/pdf")
            )
        );
        assert_eq!(
            made["file_name"], "Bericht ü.pdf",
            "the last part of the name alone"
        );
        let path = format!("{}/content", at("evidence", &made));
        let content = app.get(&app.keys.auditor, &path).await.expect(200);
        assert_eq!(content.bytes, file);
        assert_eq!(
            content.header("content-type").as_deref(),
            Some("application/octet-stream")
        );
        assert!(
            content
                .header("content-disposition")
                .unwrap()
                .starts_with("attachment; filename*=UTF-8''Bericht%20%C3%BC"),
            "{:?}",
            content.header("content-disposition")
        );
        assert_eq!(
            content.header("repr-digest"),
            Some(format!(
                "sha-256=:{}:",
                STANDARD.encode(Sha256::digest(&file))
            ))
        );
        app.get_with(
            &app.keys.manager,
            &path,
            &[("If-None-Match", &content.etag())],
        )
        .await
        .expect(304);
        app.get(&app.keys.b_manager, &path)
            .await
            .problem(404, "not_found");
    }
}

async fn a_range_is_a_part_of_it(app: &TestApp) {
    let (key, file) = (&app.keys.manager, bytes(1000));
    let made = upload(app, "b", &[], &json!({"name": "Ranged"}), &file)
        .await
        .expect(201)
        .json();
    let (path, whole) = (format!("{}/content", at("evidence", &made)), file.len());
    for (range, from, to) in [
        ("bytes=0-9", 0, 9),
        ("bytes=10-", 10, whole - 1),
        ("bytes=-5", whole - 5, whole - 1),
        ("bytes=5-999999", 5, whole - 1),
    ] {
        let part = app
            .get_with(key, &path, &[("Range", range)])
            .await
            .expect(206);
        assert_eq!(part.bytes, file[from..=to], "{range}");
        assert_eq!(
            part.header("content-range"),
            Some(format!("bytes {from}-{to}/{whole}"))
        );
    }
    for ignored in ["bytes=0-1,4-5", "lines=1-2", "bytes=9-3", "bytes"] {
        assert_eq!(
            app.get_with(key, &path, &[("Range", ignored)])
                .await
                .expect(200)
                .bytes,
            file,
            "{ignored}"
        );
    }
    for outside in [format!("bytes={whole}-"), "bytes=-0".into()] {
        app.get_with(key, &path, &[("Range", &outside)])
            .await
            .problem(416, "range_not_satisfiable");
        assert_eq!(
            app.get_with(key, &path, &[("Range", &outside), ("If-Range", "\"x\"")])
                .await
                .expect(200)
                .bytes,
            file,
            "another content"
        );
    }
}

async fn a_retried_upload_is_answered_again(app: &TestApp) {
    let (file, told) = (
        bytes(500),
        json!({"name": "Nightly", "source": "s", "external_id": "n"}),
    );
    let key = [("Idempotency-Key", "upload-1")];
    let first = upload(app, "one", &key, &told, &file).await.expect(201);
    let before = last(app);
    app.pass(60);
    let again = upload(app, "another-boundary", &key, &told, &file)
        .await
        .expect(201);
    assert_eq!(
        (
            again.header("idempotency-replayed").as_deref(),
            again.text(),
            last(app)
        ),
        (Some("true"), first.text(), before),
        "the boundary is no content"
    );
    upload(app, "one", &key, &told, &bytes(501))
        .await
        .problem(422, "idempotency_key_reused");
    upload(
        app,
        "one",
        &key,
        &json!({"name": "Other", "source": "s", "external_id": "n"}),
        &file,
    )
    .await
    .problem(422, "idempotency_key_reused");
    let incoming = std::fs::read_dir(app.dir.path().join("incoming"))
        .unwrap()
        .count();
    assert_eq!(incoming, 0, "what was received in vain is left behind");
}

async fn an_upload_that_is_not_well_formed_is_refused(app: &TestApp) {
    let (key, before) = (&app.keys.manager, last(app));
    let send = async |body: Vec<u8>| {
        app.raw(
            key,
            Method::POST,
            "/v1/evidence",
            &[("Content-Type", "multipart/form-data; boundary=b")],
            Some(body),
        )
        .await
    };
    let (told, file) = (
        (
            "name=\"metadata\"",
            "application/json",
            &br#"{"name":"x"}"#[..],
        ),
        ("name=\"file\"; filename=\"f\"", "text/plain", &b"f"[..]),
    );
    assert_eq!(send(multipart("b", &[told])).await.pointers(), ["/file"]);
    assert_eq!(
        send(multipart("b", &[file])).await.pointers(),
        ["/metadata"]
    );
    assert_eq!(
        send(multipart("b", &[told, file, file])).await.pointers(),
        ["/file"]
    );
    assert_eq!(
        send(multipart(
            "b",
            &[told, file, ("name=\"more\"", "text/plain", b"f")]
        ))
        .await
        .pointers(),
        ["/more"]
    );
    let payload = (
        "name=\"metadata\"",
        "application/json",
        &br#"{"name":"x","payload":1}"#[..],
    );
    assert_eq!(
        send(multipart("b", &[payload, file])).await.pointers(),
        ["/payload"]
    );
    let nameless = (
        "name=\"metadata\"",
        "application/json",
        &br#"{"source":"x"}"#[..],
    );
    assert_eq!(
        send(multipart("b", &[nameless, file])).await.pointers(),
        ["/name"]
    );
    for broken in [
        &b""[..],
        b"--b\r\n",
        b"no boundary at all",
        b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf",
    ] {
        let reply = send(broken.to_vec()).await;
        assert!(
            [400, 422].contains(&reply.status),
            "{}: {}",
            reply.status,
            reply.text()
        );
    }
    let bad_json = ("name=\"metadata\"", "application/json", &br#"{"name":"#[..]);
    send(multipart("b", &[bad_json, file]))
        .await
        .problem(400, "malformed");
    let large = bytes((1 << 20) + 1); // the limit of the tests
    send(multipart(
        "b",
        &[
            told,
            ("name=\"file\"; filename=\"f\"", "text/plain", &large),
        ],
    ))
    .await
    .problem(413, "payload_too_large");
    let reply = app
        .raw(
            key,
            Method::POST,
            "/v1/evidence",
            &[("Content-Type", "multipart/form-data")],
            Some(b"--b--".to_vec()),
        )
        .await;
    assert!(
        [400, 415, 422].contains(&reply.status),
        "no boundary: {} {}",
        reply.status,
        reply.text()
    );
    let good = multipart("b", &[told, file]);
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&good)));
    let headers = |digest: &'static str| {
        [
            ("Content-Type", "multipart/form-data; boundary=b"),
            ("Content-Digest", digest),
        ]
    };
    app.raw(
        key,
        Method::POST,
        "/v1/evidence",
        &headers("sha-256=:AAAA:"),
        Some(good.clone()),
    )
    .await
    .problem(400, "malformed");
    assert_eq!(last(app), before, "something was entered");
    let right = [
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("Content-Digest", digest.as_str()),
    ];
    app.raw(key, Method::POST, "/v1/evidence", &right, Some(good))
        .await
        .expect(201);
    let store = app
        .dir
        .path()
        .join("object_store")
        .join(tenant(app).0.to_string());
    assert_eq!(
        std::fs::read_dir(store).unwrap().count(),
        1,
        "refused contents are kept"
    );
}

async fn a_byte_equal_report_renews_freshness(app: &TestApp) {
    let (key, file) = (&app.keys.manager, bytes(100));
    let control = super::made(
        app,
        "controls",
        "Backup",
        json!({"implementation": "implemented", "frequency": "monthly"}),
    )
    .await;
    let told = |day: &str| {
        json!({"name": "Report", "source": "s", "external_id": "monthly",
        "collected_at": format!("{day}T01:00:00Z"), "period_end_on": day,
            "control_ids": [control["id"]]})
    };
    upload(app, "b", &[], &told("2026-11-01"), &file)
        .await
        .expect(201);
    let operation = async || {
        app.get(key, &at("controls", &control))
            .await
            .expect(200)
            .json()["operation"]
            .clone()
    };
    assert_eq!(operation().await, "operating");
    app.pass_days(40);
    assert_eq!(operation().await, "stale");
    upload(app, "b", &[], &told("2026-12-29"), &file)
        .await
        .expect(201);
    assert_eq!(operation().await, "operating");
}

/// The contents in the store of A.
fn kept(app: &TestApp) -> Vec<String> {
    let folder = app
        .dir
        .path()
        .join("object_store")
        .join(tenant(app).0.to_string());
    let Ok(folders) = std::fs::read_dir(folder) else {
        return vec![];
    };
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}
fn incoming(app: &TestApp) -> usize {
    std::fs::read_dir(app.dir.path().join("incoming"))
        .unwrap()
        .count()
}

async fn a_refused_push_leaves_no_file(app: &TestApp) {
    let (key, seq) = (&app.keys.manager, last(app));
    let named = |n: u32, more: Value| {
        let mut told = json!({"name": "x", "source": "s", "external_id": format!("n{n}")});
        told.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        told
    };
    for (n, (more, status)) in [
        (json!({"control_ids": ["CTL-99"]}), 422),
        (json!({"subject_ids": ["RSK-99"]}), 422),
        (json!({"requirements": ["iso-27001-2022:A.9.99"]}), 422),
        (json!({"name": ""}), 422),
        (json!({"collected_at": "2030-01-01T00:00:00Z"}), 422),
        (json!({"owner_id": "PER-99"}), 422),
    ]
    .into_iter()
    .enumerate()
    {
        upload(app, "b", &[], &named(n as u32, more), &bytes(100 + n))
            .await
            .expect(status);
        let payload = json!({"name": "x", "payload": n, "control_ids": ["CTL-99"]});
        app.post(key, "/v1/evidence", &payload).await.expect(422);
    }
    app.post(
        &app.keys.collector,
        "/v1/evidence",
        &json!({"name": "x", "payload": "c", "source": "other"}),
    )
    .await
    .problem(403, "outside_limits");
    app.post(
        &app.keys.auditor,
        "/v1/evidence",
        &json!({"name": "x", "payload": "a"}),
    )
    .await
    .problem(403, "forbidden");
    assert_eq!((kept(app), incoming(app), last(app)), (vec![], 0, seq));
    let at_once = json!({"name": "x", "source": "s", "external_id": "same",
        "collected_at": "2026-11-18T03:00:00Z"});
    upload(app, "b", &[], &at_once, &bytes(500))
        .await
        .expect(201);
    upload(app, "b", &[], &at_once, &bytes(501))
        .await
        .problem(409, "evidence_differs");
    let mut theirs = at_once.clone();
    theirs["collected_at"] = json!("2026-11-19T03:00:00Z");
    app.post(
        &app.keys.contributor,
        "/v1/evidence",
        &json!({"name": "x", "source": "s", "external_id": "same", "payload": 1}),
    )
    .await
    .problem(403, "not_assigned");
    assert_eq!((kept(app).len(), incoming(app)), (1, 0));
    upload(app, "b", &[], &theirs, &bytes(500))
        .await
        .expect(201);
    assert_eq!(kept(app).len(), 1, "the same content is kept once");
}

async fn a_lost_content_says_so(app: &TestApp) {
    let (key, file) = (&app.keys.manager, bytes(200));
    let told = json!({"name": "x", "source": "s", "external_id": "lost",
        "collected_at": "2026-11-18T03:00:00Z"});
    let made = upload(app, "b", &[], &told, &file).await.expect(201).json();
    let path = format!("{}/content", at("evidence", &made));
    let digest = made["sha256"].as_str().unwrap();
    std::fs::remove_file(
        app.dir
            .path()
            .join("object_store")
            .join(tenant(app).0.to_string())
            .join(&digest[..2])
            .join(digest),
    )
    .unwrap();
    app.get(key, &path).await.problem(500, "content_missing");
    app.get(key, "/problems/content_missing").await.expect(200);
    let again = upload(app, "b", &[], &told, &file).await.expect(200).json();
    assert_eq!(again["id"], made["id"]);
    assert_eq!(
        app.get(key, &path).await.expect(200).bytes,
        file,
        "the same push brings it back"
    );
}

async fn the_store_is_compared_with_the_records(app: &TestApp) {
    use std::collections::BTreeSet;
    let made = upload(app, "b", &[], &json!({"name": "x"}), &bytes(300))
        .await
        .expect(201)
        .json();
    let named = BTreeSet::from([made["sha256"].as_str().unwrap().to_owned()]);
    let compare = |named: &BTreeSet<String>| {
        let found = app.house.files().compare(tenant(app), named).unwrap();
        (found.missing, found.unnamed)
    };
    assert_eq!(compare(&named), (0, 0));
    assert_eq!(compare(&BTreeSet::new()), (0, 1));
    assert_eq!(compare(&BTreeSet::from(["00".to_owned()])), (1, 1));
    // What an earlier process was still receiving is removed: all of it where nobody else can be.
    let left = app.dir.path().join("incoming").join("left");
    std::fs::write(&left, b"half").unwrap();
    app.house.files().sweep(false).unwrap();
    assert!(left.exists(), "it may be another's");
    app.house.files().sweep(true).unwrap();
    assert!(!left.exists());
}

async fn text_stays_text(app: &TestApp) {
    // The 512th byte lies within a letter.
    let text = format!("{}{}", "a".repeat(511), "ü".repeat(600));
    let told = json!({"name": "Bericht"}).to_string();
    let parts = [
        ("name=\"metadata\"", "application/json", told.as_bytes()),
        (
            "name=\"file\"; filename=\"\u{202e}txt.b\u{200b}\"",
            "text/plain",
            text.as_bytes(),
        ),
    ];
    let headers = [("Content-Type", "multipart/form-data; boundary=b")];
    let made = app
        .raw(
            &app.keys.manager,
            Method::POST,
            "/v1/evidence",
            &headers,
            Some(multipart("b", &parts)),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&made["media_type"], &made["file_name"]),
        (&json!("text/plain"), &json!("txt.b"))
    );
    let path = format!("{}/content", at("evidence", &made));
    let content = app.get(&app.keys.manager, &path).await.expect(200);
    assert_eq!(
        (content.header("content-type").as_deref(), content.text()),
        (Some("text/plain; charset=utf-8"), text.clone())
    );
    let part = app
        .get_with(
            &app.keys.manager,
            &path,
            &[("Range", "bytes=0-9"), ("Accept-Encoding", "gzip")],
        )
        .await
        .expect(206);
    assert_eq!(
        (part.bytes.as_slice(), part.header("content-encoding")),
        (&text.as_bytes()[..10], None)
    );
    let html = [
        parts[0],
        (
            "name=\"file\"; filename=\"x.html\"",
            "text/html",
            &b"<script>alert(1)</script>"[..],
        ),
    ];
    let made = app
        .raw(
            &app.keys.manager,
            Method::POST,
            "/v1/evidence",
            &headers,
            Some(multipart("b", &html)),
        )
        .await
        .expect(201)
        .json();
    let content = app
        .get(
            &app.keys.manager,
            &format!("{}/content", at("evidence", &made)),
        )
        .await
        .expect(200);
    assert_eq!(
        content.header("content-type").as_deref(),
        Some("application/octet-stream")
    );
}
