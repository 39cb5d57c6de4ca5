//! Many records in one request: batches, imports, tables; each item as if it had come alone, and a
//! table as the list says it.
use crate::support::TestApp;
use crate::support::make::{all, body, creates, id, last, make, make_named, one, rooms, walk};
use actix_web::http::Method;
use isms::http::format::neutral;
use serde_json::{Value, json};
use std::collections::BTreeMap;

crate::on_both!(
    each_item_has_its_own_outcome,
    a_batch_of_all_or_none_is_all_or_none,
    a_batch_is_answered_once,
    a_batch_that_is_no_batch_is_refused,
    a_batch_knows_walls_and_roles,
    a_table_is_the_list,
    a_table_is_of_one_state,
    text_is_no_formula,
    an_export_that_is_imported_changes_nothing,
    the_documented_table_is_imported,
    an_import_is_upserts,
    a_dry_run_stores_nothing,
    a_row_goes_by_its_code_or_its_reference,
    semicolons_and_tabs_separate_too,
    every_fault_of_a_row_is_named_at_once,
    a_table_with_faults_is_refused_whole
);

async fn batch(app: &TestApp, room: &isms::registers::Register, items: Value) -> Vec<Value> {
    let reply = app
        .post(
            &app.keys.manager,
            &format!("{}/batch", all(room)),
            &json!({"items": items}),
        )
        .await
        .expect(200)
        .json();
    let data = reply["data"].as_array().unwrap().clone();
    let done = data
        .iter()
        .filter(|outcome| outcome["problem"].is_null())
        .count();
    assert_eq!(
        (&reply["succeeded"], &reply["failed"]),
        (&json!(done), &json!(data.len() - done))
    );
    for (n, outcome) in data.iter().enumerate() {
        assert_eq!(outcome["index"], n);
        assert_ne!(outcome["record"].is_null(), outcome["problem"].is_null());
    }
    data
}
fn statuses(data: &[Value]) -> Vec<u64> {
    data.iter()
        .map(|outcome| outcome["status"].as_u64().unwrap())
        .collect()
}

async fn each_item_has_its_own_outcome(app: &TestApp) {
    for room in rooms() {
        let record = make(app, room).await;
        let (before, name) = (last(app), json!({"name": "In a batch"}));
        let patch =
            |id: &Value, if_match: Value| json!({"id": id, "if_match": if_match, "patch": name});
        let mut items = vec![
            patch(&record["code"], record["version"].clone()),
            patch(&record["id"], record["version"].clone()),
            patch(&record["id"], json!("*")),
            json!({"id": record["id"], "patch": name}),
            patch(&json!(uuid::Uuid::now_v7()), json!("*")),
            patch(&json!("no id"), json!("*")),
            json!({"id": record["id"], "if_match": "*", "patch": {"name": "", "nonsense": 1}}),
            json!({}),
            json!({"id": record["id"]}),
        ];
        let mut expected = vec![200, 412, 200, 428, 404, 422, 422, 422, 422];
        if creates(room) {
            let mut with_reference = body(app, room, "Upserted").await;
            with_reference["external_ref"] = json!("batch-1");
            items.extend([
                json!({"create": body(app, room, "Created").await}),
                json!({"upsert": with_reference}),
                json!({"upsert": {"external_ref": "batch-1", "name": "Upserted again"}}),
                json!({"upsert": body(app, room, "No reference").await}),
                json!({"create": body(app, room, "Both").await, "patch": {}}),
            ]);
            expected.extend([201, 201, 200, 422, 422]);
        }
        let data = batch(app, room, json!(items)).await;
        assert_eq!(statuses(&data), expected, "{}: {data:#?}", room.kind.path);
        // The second patch of a name that stands already changes nothing.
        let written = if creates(room) { 4 } else { 1 };
        assert_eq!(
            last(app),
            before + written,
            "{}: one entry for each change",
            room.kind.path
        );
        assert_eq!(data[0]["record"]["version"], json!(2));
        assert_eq!(data[6]["problem"]["code"], "validation_failed");
        let places: Vec<_> = data[6]["problem"]["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        assert!(
            places.contains(&"/items/6/patch/name") && places.contains(&"/items/6/patch/nonsense"),
            "{places:?}"
        );
        assert_eq!(
            data[2]["record"],
            app.get(&app.keys.manager, &one(room, &record))
                .await
                .expect(200)
                .json()
        );
        if creates(room) {
            let upserted = &data[11]["record"];
            assert_eq!(
                (&upserted["name"], &upserted["id"]),
                (&json!("Upserted again"), &data[10]["record"]["id"])
            );
            app.get(&app.keys.manager, &one(room, &data[9]["record"]))
                .await
                .expect(200);
        }
    }
}

async fn a_batch_of_all_or_none_is_all_or_none(app: &TestApp) {
    for room in rooms() {
        let (record, path) = (
            make(app, room).await,
            format!("{}/batch?atomic=true", all(room)),
        );
        let before = last(app);
        let good = json!({"id": record["id"], "if_match": "*", "patch": {"name": "Both or none"}});
        let late = json!({"id": record["id"], "if_match": 77, "patch": {"name": "Too late"}});
        let problem = app
            .post(&app.keys.manager, &path, &json!({"items": [good, late]}))
            .await
            .problem(412, "version_mismatch");
        assert_eq!(problem["errors"][0]["pointer"], "/items/1");
        let bad = json!({"id": record["id"], "if_match": "*", "patch": {"name": ""}});
        let problem = app
            .post(
                &app.keys.manager,
                &path,
                &json!({"items": [good, bad, bad]}),
            )
            .await
            .problem(422, "validation_failed");
        let places: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        assert!(
            places.contains(&"/items/1/patch/name") && places.contains(&"/items/2/patch/name"),
            "{places:?}"
        );
        assert_eq!(
            (
                last(app),
                app.get(&app.keys.manager, &one(room, &record)).await.json()
            ),
            (before, record.clone())
        );
        let done = app
            .post(&app.keys.manager, &path, &json!({"items": [good]}))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (done["data"][0]["record"]["name"].as_str(), last(app)),
            (Some("Both or none"), before + 1)
        );
        // The numbers of what was not stored are given again: codes have no holes.
        if creates(room) {
            let create = json!({"create": body(app, room, "Created").await});
            app.post(&app.keys.manager, &path, &json!({"items": [create, bad]}))
                .await
                .expect(422);
            let number = |record: &Value| {
                record["code"]
                    .as_str()
                    .unwrap()
                    .split_once('-')
                    .unwrap()
                    .1
                    .parse::<i64>()
                    .unwrap()
            };
            assert_eq!(number(&make(app, room).await), number(&record) + 1);
        }
    }
}

async fn a_batch_is_answered_once(app: &TestApp) {
    for room in rooms() {
        let record = make(app, room).await;
        let said = json!({"items": [{"id": record["id"], "if_match": 1, "patch": {"name": "Once"}},
            {"id": record["id"], "if_match": 9, "patch": {}}]});
        let (path, key) = (
            format!("{}/batch", all(room)),
            [
                ("Idempotency-Key", "batch"),
                ("Change-Reason", "tidied%20up"),
            ],
        );
        let first = app
            .send(&app.keys.manager, Method::POST, &path, &key, Some(&said))
            .await
            .expect(200);
        let seq = last(app);
        let again = app
            .send(&app.keys.manager, Method::POST, &path, &key, Some(&said))
            .await
            .expect(200);
        assert_eq!(
            (
                again.text(),
                again.header("idempotency-replayed").as_deref(),
                last(app)
            ),
            (first.text(), Some("true"), seq)
        );
        let history = app
            .get(
                &app.keys.manager,
                &format!("{}/history", one(room, &record)),
            )
            .await
            .data();
        assert_eq!(history[0]["reason"], "tidied up");
    }
}

async fn a_batch_that_is_no_batch_is_refused(app: &TestApp) {
    for room in rooms() {
        let (path, seq) = (format!("{}/batch", all(room)), last(app));
        for bad in [
            json!({}),
            json!({"items": []}),
            json!({"items": {}}),
            json!({"items": [{}], "more": 1}),
            json!({"items": [7]}),
            json!({"items": [{"made": {}}]}),
            json!({"items": [{"patch": []}]}),
            json!({"items": [{"id": 7, "patch": {}}]}),
            json!({"items": vec![json!({}); 1001]}),
        ] {
            app.post(&app.keys.manager, &path, &bad)
                .await
                .problem(422, "validation_failed");
        }
        app.post(
            &app.keys.manager,
            &format!("{path}?atomic=perhaps"),
            &json!({"items": [{}]}),
        )
        .await
        .problem(400, "invalid_parameter");
        app.post(
            &app.keys.manager,
            &format!("{path}?nuclear=true"),
            &json!({"items": [{}]}),
        )
        .await
        .problem(400, "unknown_parameter");
        app.get(&app.keys.manager, &path)
            .await
            .problem(405, "method_not_allowed");
        let large = format!("{{\"items\": [\"{}\"]}}", "x".repeat(9 << 20)).into_bytes();
        app.raw(
            &app.keys.manager,
            Method::POST,
            &path,
            &[("Content-Type", "application/json")],
            Some(large),
        )
        .await
        .problem(413, "payload_too_large");
        assert_eq!(last(app), seq);
    }
}

async fn a_batch_knows_walls_and_roles(app: &TestApp) {
    for room in rooms() {
        let (record, path) = (make(app, room).await, format!("{}/batch", all(room)));
        let said =
            json!({"items": [{"id": record["id"], "if_match": "*", "patch": {"name": "Theirs"}}]});
        let foreign = app
            .post(&app.keys.b_manager, &path, &said)
            .await
            .expect(200)
            .json();
        assert_eq!(
            (
                &foreign["data"][0]["status"],
                &foreign["data"][0]["problem"]["code"]
            ),
            (&json!(404), &json!("not_found"))
        );
        app.post(&app.keys.auditor, &path, &said)
            .await
            .problem(403, "forbidden");
        app.post("", &path, &said)
            .await
            .problem(401, "unauthenticated");
        assert_eq!(
            app.get(&app.keys.manager, &one(room, &record)).await.json(),
            record
        );
    }
}

/// The rows of a table by their headings.
fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headings = reader.headers().unwrap().clone();
    reader
        .records()
        .map(|row| {
            headings
                .iter()
                .map(str::to_owned)
                .zip(row.unwrap().iter().map(str::to_owned))
                .collect()
        })
        .collect()
}
async fn exported(app: &TestApp, question: &str) -> Vec<BTreeMap<String, String>> {
    let question = question.replacen('?', "/export?", 1);
    let reply = app.get(&app.keys.manager, &question).await.expect(200);
    assert_eq!(
        reply.header("content-type").as_deref(),
        Some("text/csv; charset=utf-8")
    );
    assert!(
        reply
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment; filename=\"")
    );
    table(&reply.text())
}

async fn a_table_is_the_list(app: &TestApp) {
    for room in rooms() {
        for n in 0..7 {
            let record = make_named(app, room, &format!("Row {n}")).await;
            if n == 3 {
                app.delete(&app.keys.manager, &one(room, &record), "*")
                    .await
                    .expect(204);
            }
        }
        let seq = last(app);
        make_named(app, room, "Row 99").await;
        for question in [
            "",
            "q=row",
            "sort=name",
            "sort=-code&archived=any",
            "q=99",
            &format!("as_of=seq:{seq}"),
        ] {
            let path = format!("{}?{question}", all(room));
            let listed = walk(app, &app.keys.manager, &path, 5).await;
            let rows = exported(app, &path).await;
            let codes =
                |of: &str| -> Vec<String> { rows.iter().map(|row| row[of].clone()).collect() };
            let wanted: Vec<_> = listed
                .iter()
                .map(|record| record["code"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(codes("code"), wanted, "{path}");
            for (row, record) in rows.iter().zip(&listed) {
                for (name, cell) in row {
                    let value = name
                        .split('.')
                        .try_fold(record, |value, member| value.get(member));
                    match value {
                        Some(Value::String(text)) => assert_eq!(cell, &neutral(text), "{name}"),
                        Some(Value::Number(number)) => {
                            assert_eq!(cell, &number.to_string(), "{name}")
                        }
                        Some(Value::Bool(flag)) => assert_eq!(cell, &flag.to_string(), "{name}"),
                        None | Some(Value::Null) => assert_eq!(cell, "", "{name}"),
                        Some(_) => {}
                    }
                }
                let missing = record.as_object().unwrap().keys().find(|name| {
                    !row.keys()
                        .any(|column| column.split('.').next() == Some(name))
                });
                assert!(
                    missing.is_none_or(|name| name == "allowed_transitions"),
                    "{}: no column {missing:?}",
                    room.kind.path
                );
            }
            // The list, asked for a table, is the same.
            assert_eq!(
                table(
                    &app.get(&app.keys.manager, &format!("{path}&format=csv"))
                        .await
                        .expect(200)
                        .text()
                ),
                rows
            );
            assert_eq!(
                table(
                    &app.get_with(&app.keys.manager, &path, &[("Accept", "text/csv")])
                        .await
                        .expect(200)
                        .text()
                ),
                rows
            );
        }
        let path = format!("{}/export", all(room));
        for paged in ["limit=2", "cursor=x", "include=total", "format=csv"] {
            app.get(&app.keys.manager, &format!("{path}?{paged}"))
                .await
                .problem(400, "unknown_parameter");
        }
        let tag = app.get(&app.keys.manager, &path).await.expect(200).etag();
        app.get_with(&app.keys.manager, &path, &[("If-None-Match", &tag)])
            .await
            .expect(304);
        app.get_with(&app.keys.manager, &path, &[("Accept", "application/json")])
            .await
            .problem(406, "not_acceptable");
        app.post(&app.keys.manager, &path, &json!({}))
            .await
            .problem(405, "method_not_allowed");
        assert_ne!(
            app.get(&app.keys.manager, &all(room)).await.etag(),
            tag,
            "a table is no JSON"
        );
        app.get_with(&app.keys.manager, &all(room), &[("Accept", "image/png")])
            .await
            .problem(406, "not_acceptable");
        app.get(&app.keys.manager, &format!("{}?format=xml", all(room)))
            .await
            .problem(400, "invalid_parameter");
    }
}

async fn a_table_is_of_one_state(app: &TestApp) {
    let room = rooms().find(|room| room.kind.name == "asset").unwrap();
    let mut items = Vec::new();
    for n in 0..600 {
        items.push(json!({"create": body(app, room, &format!("Asset {n}")).await}));
    }
    assert!(
        statuses(&batch(app, room, json!(items)).await)
            .iter()
            .all(|status| *status == 201)
    );
    let seq = last(app);
    // More than one part is read; all of them at the position of the first.
    let rows = exported(app, &format!("{}?sort=code", all(room))).await;
    assert_eq!(rows.len(), 600);
    assert!(rows.windows(2).all(|pair| {
        pair[0]["code"]
            .trim_start_matches("AST-")
            .parse::<u32>()
            .unwrap()
            + 1
            == pair[1]["code"]
                .trim_start_matches("AST-")
                .parse::<u32>()
                .unwrap()
    }));
    make(app, room).await;
    assert_eq!(
        exported(app, &format!("{}?as_of=seq:{seq}", all(room)))
            .await
            .len(),
        600
    );
    assert_eq!(exported(app, &format!("{}?", all(room))).await.len(), 601);
}

async fn text_is_no_formula(app: &TestApp) {
    for room in rooms().filter(|room| creates(room)) {
        for (formula, neutral) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\t=1", "'\t'=1"),
            (" =1", "' =1"),
            ("\u{a0}=1", "'\u{a0}=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("＝1", "'＝1"),
            ("x;=1+1;y", "x;'=1+1;y"),
            ("x,-1", "x,'-1"),
            ("x\n@y", "x\n'@y"),
        ] {
            let name = |of: &str| format!("{of} {}", room.kind.name);
            let record = app
                .post(
                    &app.keys.manager,
                    &all(room),
                    &body(app, room, &name(formula)).await,
                )
                .await
                .expect(201)
                .json();
            let code = record["code"].as_str().unwrap();
            let question = format!("{}?code={code}", all(room));
            assert_eq!(
                exported(app, &question).await[0]["name"],
                name(neutral),
                "{}",
                room.kind.path
            );
        }
    }
}

/// The registers that take tables.
fn importing() -> impl Iterator<Item = &'static isms::registers::Register> {
    rooms().filter(|room| room.operations.unwrap().import)
}
async fn import(
    app: &TestApp,
    room: &isms::registers::Register,
    query: &str,
    text: &str,
) -> crate::support::Reply {
    let path = format!("{}/import{query}", all(room));
    app.raw(
        &app.keys.manager,
        Method::POST,
        &path,
        &[("Content-Type", "text/csv")],
        Some(text.as_bytes().to_vec()),
    )
    .await
}

async fn an_export_that_is_imported_changes_nothing(app: &TestApp) {
    let mut seen = 0;
    for room in importing() {
        for n in 0..3 {
            let mut said = body(app, room, &format!("=formula {n}")).await;
            // The first is one that the API made without a reference of its own: it goes by its
            // code.
            if n > 0 {
                said["external_ref"] = json!(format!("row-{n}"));
            }
            said["tags"] = json!(["a", "b;c"]);
            said["custom"] =
                json!({"cost centre": -7, "note": "=x", "list": "a;=b,-c", "mark": "'=1"});
            app.post(&app.keys.manager, &all(room), &said)
                .await
                .expect(201);
        }
        let (text, seq) = (
            app.get(&app.keys.manager, &format!("{}/export?tag=a", all(room)))
                .await
                .expect(200)
                .text(),
            last(app),
        );
        let result = import(app, room, "", &text).await.expect(200).json();
        assert_eq!(
            (&result["unchanged"], &result["created"], &result["updated"]),
            (&json!(3), &json!(0), &json!(0)),
            "{}",
            room.kind.path
        );
        assert_eq!(last(app), seq);
        seen += 1;
    }
    assert_eq!(
        seen, 5,
        "assets, vulnerabilities, risks, controls and people"
    );
}

/// A table of some of a register's members.
fn as_table(room: &isms::registers::Register, rows: usize, mark: &str) -> String {
    let example = (room.example)();
    let needed: Vec<&str> = ["asset_type", "classification", "severity"]
        .into_iter()
        .filter(|name| example.get(name).is_some())
        .collect();
    let mut text = format!(
        "external_ref,name,{}\n",
        [needed.as_slice(), &["tags"]].concat().join(",")
    );
    for n in 0..rows {
        let own: Vec<&str> = needed
            .iter()
            .map(|name| example[*name].as_str().unwrap())
            .collect();
        text.push_str(&format!(
            "import-{n},\"{mark} \"\"{n}\"\"\",{}\n",
            [own.as_slice(), &["x;y"]].concat().join(",")
        ));
    }
    text
}

async fn the_documented_table_is_imported(app: &TestApp) {
    let document = isms::api::document::document();
    for room in importing() {
        let table = &document["paths"][format!("{}/import", all(room))]["post"]["requestBody"]["content"]
            ["text/csv"]["example"];
        let made = import(app, room, "", table.as_str().unwrap())
            .await
            .expect(200)
            .json();
        assert_eq!(made["created"], 1, "{}", room.kind.path);
    }
}

async fn an_import_is_upserts(app: &TestApp) {
    for room in importing() {
        let before = last(app);
        let made = import(app, room, "", &as_table(room, 3, "First"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&made["created"], &made["dry_run"], last(app)),
            (&json!(3), &json!(false), before + 3)
        );
        let record = app
            .get(
                &app.keys.manager,
                &format!(
                    "{}/{}",
                    all(room),
                    made["data"][1]["code"].as_str().unwrap()
                ),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&record["name"], &record["tags"], id(&record)),
            (
                &json!("First \"1\""),
                &json!(["x", "y"]),
                made["data"][1]["id"].as_str().unwrap()
            )
        );
        let text = as_table(room, 4, "First").replace("First \"\"2\"\"", "Second");
        let made = import(app, room, "", &format!("\u{feff}{text}"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&made["created"], &made["updated"], &made["unchanged"]),
            (&json!(1), &json!(1), &json!(2))
        );
        let outcomes: Vec<_> = made["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["row"].clone(), row["outcome"].clone()))
            .collect();
        assert_eq!(
            json!(outcomes),
            json!([
                [2, "unchanged"],
                [3, "unchanged"],
                [4, "updated"],
                [5, "created"]
            ])
        );
        let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", "import")];
        let path = format!("{}/import", all(room));
        let first = app
            .raw(
                &app.keys.manager,
                Method::POST,
                &path,
                &headers,
                Some(text.clone().into_bytes()),
            )
            .await
            .expect(200);
        let again = app
            .raw(
                &app.keys.manager,
                Method::POST,
                &path,
                &headers,
                Some(text.into_bytes()),
            )
            .await
            .expect(200);
        assert_eq!(
            (
                again.text(),
                again.header("idempotency-replayed").as_deref()
            ),
            (first.text(), Some("true"))
        );
    }
}

async fn a_dry_run_stores_nothing(app: &TestApp) {
    for room in importing() {
        import(app, room, "", &as_table(room, 2, "There"))
            .await
            .expect(200);
        let (seq, text) = (last(app), as_table(room, 3, "Other"));
        let told = import(app, room, "?dry_run=true", &text)
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&told["created"], &told["updated"], &told["dry_run"]),
            (&json!(1), &json!(2), &json!(true))
        );
        assert_eq!((&told["data"][2]["id"], last(app)), (&Value::Null, seq));
        assert_eq!(
            app.get(&app.keys.manager, &format!("{}?q=other", all(room)))
                .await
                .data()
                .len(),
            0
        );
        let done = import(app, room, "", &text).await.expect(200).json();
        assert_eq!(
            (&done["created"], &done["updated"]),
            (&told["created"], &told["updated"])
        );
    }
}

async fn a_row_goes_by_its_code_or_its_reference(app: &TestApp) {
    for room in importing() {
        let mine = make_named(app, room, "Mine").await;
        let (code, at) = (mine["code"].as_str().unwrap(), one(room, &mine));
        let named = |text: &str| text.to_owned();
        let done = import(app, room, "", &format!("code,name\n{code},Renamed\n"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&done["updated"], &done["data"][0]["code"]),
            (&json!(1), &json!(code))
        );
        let by_code = app.get(&app.keys.manager, &at).await.json();
        assert_eq!(
            (&by_code["name"], &by_code["external_ref"]),
            (&json!("Renamed"), &Value::Null)
        );
        // A reference can be given to it, and is its own from then on.
        import(app, room, "", &format!("code,external_ref\n{code},ref-1\n"))
            .await
            .expect(200);
        import(app, room, "", "external_ref,name\nref-1,By reference\n")
            .await
            .expect(200);
        assert_eq!(
            app.get(&app.keys.manager, &at).await.json()["name"],
            "By reference"
        );
        // A code of elsewhere does not overwrite the record that happens to have it here.
        assert_eq!(
            import(app, room, "", &format!("code,external_ref\n{code},ref-2\n"))
                .await
                .pointers(),
            ["/rows/2/external_ref"]
        );
        for (text, pointer) in [
            (
                format!("code,name\n{}-99999,x\n", room.kind.code),
                "/rows/2/code",
            ),
            (named("code,name\nXXX-1,x\n"), "/rows/2/code"),
            (format!("code,name\n{code},x\n{code},y\n"), "/rows/3/code"),
            (
                named("code,external_ref,name\n,,x\n"),
                "/rows/2/external_ref",
            ),
            (named("name\nx\n"), "/rows/1"),
        ] {
            assert!(
                import(app, room, "", &text)
                    .await
                    .pointers()
                    .contains(&pointer.to_owned()),
                "{}: {text}",
                room.kind.path
            );
        }
        let unknown = import(app, room, "", "external_ref,Name\nx,y\n")
            .await
            .problem(422, "validation_failed");
        let said = unknown["errors"][0]["detail"].as_str().unwrap();
        assert!(
            said.contains("`Name`") && said.contains("code, ") && said.contains(" name"),
            "it lists the columns: {said}"
        );
    }
}

async fn semicolons_and_tabs_separate_too(app: &TestApp) {
    for room in importing() {
        let comma = as_table(room, 2, "Cells").replace("x;y", "x");
        for (n, (separator, start)) in [(";", ""), ("\t", ""), (";", "\u{feff}"), (",", "\u{feff}")]
            .into_iter()
            .enumerate()
        {
            let text = comma
                .replace(',', separator)
                .replace("import-", &format!("import-{n}-"));
            let made = import(app, room, "", &format!("{start}{text}"))
                .await
                .expect(200)
                .json();
            assert_eq!(made["created"], 2, "{}: {separator:?}", room.kind.path);
        }
        // An export of an empty list is a template.
        let empty = app
            .get(
                &app.keys.manager,
                &format!("{}/export?q=nothing-has-this", all(room)),
            )
            .await
            .expect(200)
            .text();
        assert!(
            empty.starts_with("code,external_ref,name,") && empty.lines().count() == 1,
            "{empty}"
        );
    }
}

async fn every_fault_of_a_row_is_named_at_once(app: &TestApp) {
    let room = rooms().find(|room| room.kind.name == "asset").unwrap();
    let text = "code,external_ref,name,asset_type,classification,confidentiality,personal_data,due_on,owner_id,custom\n\
                ,row,,wood,internal,x,perhaps,-5000-01-01,PER-999,{\n";
    let found = import(app, room, "", text).await.pointers();
    let wanted = [
        "asset_type",
        "confidentiality",
        "custom",
        "due_on",
        "name",
        "owner_id",
        "personal_data",
    ];
    assert_eq!(found, wanted.map(|name| format!("/rows/2/{name}")));
}

async fn a_table_with_faults_is_refused_whole(app: &TestApp) {
    for room in importing() {
        let (seq, good) = (last(app), as_table(room, 3, "Good"));
        let long = "x".repeat(300);
        let bad = good
            .replace("\"Good \"\"1\"\"\"", &long)
            .replace("import-2", "");
        let problem = import(app, room, "", &bad)
            .await
            .problem(422, "validation_failed");
        let places: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        assert!(
            places.contains(&"/rows/3/name") && places.contains(&"/rows/4/external_ref"),
            "{places:?}"
        );
        assert!(
            problem["errors"][0]["detail"]
                .as_str()
                .unwrap()
                .starts_with("row 3: ")
        );
        let twice = good.replace("import-2", "import-0");
        let same = import(app, room, "", &twice).await.pointers();
        assert_eq!(same, ["/rows/4/external_ref"]);
        assert_eq!(
            import(app, room, "", &good.replace("tags", "tugs"))
                .await
                .pointers(),
            ["/rows/1"]
        );
        assert_eq!(
            import(app, room, "", &good.replace("tags", "name"))
                .await
                .pointers(),
            ["/rows/1"]
        );
        assert_eq!(
            import(app, room, "", &good.replace("external_ref", "description"))
                .await
                .pointers(),
            ["/rows/1"]
        );
        assert_eq!(
            import(app, room, "", "external_ref,name\n")
                .await
                .pointers(),
            ["/rows"]
        );
        assert_eq!(import(app, room, "", "").await.status, 422);
        import(app, room, "", &good.replace("x;y\n", "x;y,more\n"))
            .await
            .problem(400, "malformed");
        import(app, room, "", &format!("{good}\"open"))
            .await
            .expect(400);
        let many: String = as_table(room, 5001, "Many");
        let problem = import(app, room, "", &many)
            .await
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["code"], "too_many");
        let path = format!("{}/import", all(room));
        let latin = [good.as_bytes(), b"import-9,\xe4,"].concat();
        let problem = app
            .raw(
                &app.keys.manager,
                Method::POST,
                &path,
                &[("Content-Type", "text/csv")],
                Some(latin),
            )
            .await
            .problem(400, "malformed");
        assert_eq!(problem["detail"], "Row 5 is not UTF-8.");
        app.post(&app.keys.manager, &path, &json!({}))
            .await
            .problem(415, "unsupported_media_type");
        import(app, room, "?dry=1", &good)
            .await
            .problem(400, "unknown_parameter");
        let nul = good.replace("Good", "Go\0d");
        assert_eq!(import(app, room, "", &nul).await.status, 422);
        app.raw(
            &app.keys.auditor,
            Method::POST,
            &path,
            &[("Content-Type", "text/csv")],
            Some(good.clone().into_bytes()),
        )
        .await
        .problem(403, "forbidden");
        assert_eq!(last(app), seq, "{}: nothing was stored", room.kind.path);
    }
}
