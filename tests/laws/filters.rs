//! Filters: each leaves what it names, then and now alike; a mistyped one is refused and never
//! returns everything.
use crate::support::make::{all, id, last, make, make_named, one, rooms};
use crate::support::{TestApp, quoted};
use serde_json::{Value, json};

crate::on_both!(
    common_filters_leave_what_they_name,
    relations_are_filters_by_id_and_by_code,
    words_are_found_by_their_beginnings,
    an_unknown_or_unreadable_filter_is_refused,
    every_documented_filter_is_understood,
    totals_counts_and_references_come_when_asked_for
);

async fn common_filters_leave_what_they_name(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let (x, y) = (
            make_named(app, room, "x").await,
            make_named(app, room, "y").await,
        );
        app.pass_days(1);
        let today = app.now()[..10].to_owned();
        let due = json!({"tags": ["red", "a_b%"], "external_ref": "ref 1", "due_on": today,
            "review_due_on": "2027-03-01", "owner_id": app.keys.person});
        let x = app
            .patch(key, &one(room, &x), "*", &due)
            .await
            .expect(200)
            .json();
        let y = app
            .patch(
                key,
                &one(room, &y),
                "*",
                &json!({"tags": ["blue"], "due_on": null}),
            )
            .await
            .expect(200)
            .json();
        app.pass_days(2);
        let (mine, other) = (app.keys.person.clone(), app.keys.contributor_person.clone());
        let owner = app
            .get(key, &format!("/v1/people/{mine}"))
            .await
            .expect(200)
            .json()["code"]
            .as_str()
            .unwrap()
            .to_owned();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (code, at) = (text(&x["code"]), text(&x["updated_at"]));
        let asked = |first: bool, second: bool| (first, second);
        let (only_x, only_y, both, none) = (
            asked(true, false),
            asked(false, true),
            asked(true, true),
            asked(false, false),
        );
        for (filter, wanted) in [
            (format!("code={code}"), only_x),
            (format!("code={code}&code={}", text(&y["code"])), both),
            (format!("id={}&id={}", text(&x["id"]), text(&y["id"])), both),
            (format!("id={}", text(&x["id"])), only_x),
            ("tag=red".into(), only_x),
            ("tag=red&tag=blue".into(), both),
            ("tag=re".into(), none),
            ("tag=a_b%25".into(), only_x),
            ("tag=a_c%25".into(), none),
            ("tag=aXb%25".into(), none),
            ("external_ref=ref%201".into(), only_x),
            ("external_ref=ref".into(), none),
            ("owner_id=me".into(), only_x),
            (format!("owner_id={mine}"), only_x),
            (format!("owner_id={owner}"), only_x),
            (format!("owner_id={other}"), none),
            (format!("owner_id={other}&owner_id=me"), only_x),
            ("owner_id=PER-9999".into(), none),
            (format!("owner_id={}", uuid::Uuid::now_v7()), none),
            ("owner_none=true&tag=blue".into(), only_y),
            ("owner_none=false".into(), only_x),
            ("overdue=true".into(), only_x),
            ("overdue=false&tag=blue&tag=red".into(), only_y),
            (format!("due_on_since={today}"), only_x),
            (format!("due_on_before={today}"), none),
            (
                "review_due_on_since=2027-03-01&review_due_on_before=2027-03-02".into(),
                only_x,
            ),
            ("review_due_on_before=2027-03-01".into(), none),
            (format!("updated_at_since={at}&tag=red"), only_x),
            (format!("updated_at_before={at}&tag=red"), none),
            (format!("created_at_before={today}&tag=red&tag=blue"), both),
            (format!("created_at_since={today}&tag=red&tag=blue"), none),
            (format!("status={}&tag=red", text(&x["status"])), only_x),
            ("tag=red&owner_none=true".into(), none),
        ] {
            for question in [
                format!("{}?{filter}&limit=200", all(room)),
                format!("{}?{filter}&limit=200&as_of={}", all(room), app.now()),
            ] {
                let found = app.get(key, &question).await.data();
                let found: Vec<&str> = found.iter().map(id).collect();
                assert_eq!(
                    (found.contains(&id(&x)), found.contains(&id(&y))),
                    wanted,
                    "{question}"
                );
            }
        }
        for status in room.kind.statuses() {
            let found = app
                .get(key, &format!("{}?status={status}&limit=200", all(room)))
                .await
                .data();
            assert!(found.iter().all(|record| record["status"] == status));
        }
        // What the filters of the past find is what stood then.
        let seq = last(app);
        app.patch(
            key,
            &one(room, &x),
            "*",
            &json!({"tags": [], "owner_id": null, "due_on": null}),
        )
        .await
        .expect(200);
        for filter in ["tag=red", "owner_id=me", "overdue=true"] {
            let then = app
                .get(key, &format!("{}?{filter}&as_of=seq:{seq}", all(room)))
                .await;
            let overdue = filter == "overdue=true"; // the clock of a position is the moment of its entry
            assert_eq!(
                (
                    app.get(key, &format!("{}?{filter}", all(room)))
                        .await
                        .data()
                        .len(),
                    then.data().len()
                ),
                (0, usize::from(!overdue)),
                "{filter}"
            );
        }
    }
}

async fn relations_are_filters_by_id_and_by_code(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        for relation in room.kind.all_relations() {
            let Some(target) =
                rooms().find(|other| other.kind.name == relation.to || relation.to.is_empty())
            else {
                continue;
            };
            let (linked, free) = (
                make_named(app, room, "linked").await,
                make_named(app, room, "free").await,
            );
            let (to, other) = (make(app, target).await, make(app, target).await);
            let value = if relation.many() {
                json!([to["id"]])
            } else {
                to["id"].clone()
            };
            app.patch(
                key,
                &one(room, &linked),
                "*",
                &json!({relation.member: value}),
            )
            .await
            .expect(200);
            let seq = last(app);
            for pin in [String::new(), format!("&as_of=seq:{seq}")] {
                let found = async |filter: &str| {
                    let found = app
                        .get(key, &format!("{}?{filter}&limit=200{pin}", all(room)))
                        .await
                        .data();
                    let found: Vec<&str> = found.iter().map(id).collect();
                    (found.contains(&id(&linked)), found.contains(&id(&free)))
                };
                let by = |record: &Value, member: &str| {
                    format!("{}={}", relation.filter(), record[member].as_str().unwrap())
                };
                assert_eq!(
                    found(&by(&to, "id")).await,
                    (true, false),
                    "{} {}",
                    room.kind.name,
                    relation.filter()
                );
                assert_eq!(found(&by(&to, "code")).await, (true, false));
                assert_eq!(found(&by(&other, "id")).await, (false, false));
                assert_eq!(
                    found(&format!("{}&{}", by(&to, "id"), by(&other, "id"))).await,
                    (true, false)
                );
                assert_eq!(
                    found(&format!("{}_none=true", relation.stem())).await,
                    (false, !relation.required)
                );
                assert_eq!(
                    found(&format!("{}_none=false", relation.stem())).await,
                    (true, relation.required)
                );
            }
            let none = match relation.many() {
                true => json!([]),
                false if relation.required => linked[relation.member].clone(),
                false => Value::Null,
            };
            app.patch(
                key,
                &one(room, &linked),
                "*",
                &json!({relation.member: none}),
            )
            .await
            .expect(200);
            let question = format!("{}?{}={}", all(room), relation.filter(), id(&to));
            assert_eq!(
                (
                    app.get(key, &question).await.data().len(),
                    app.get(key, &format!("{question}&as_of=seq:{seq}"))
                        .await
                        .data()
                        .len()
                ),
                (0, 1)
            );
        }
    }
}

async fn words_are_found_by_their_beginnings(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make_named(app, room, "Größte  Backup-Anlage 100%").await;
        let found = async |q: &str| {
            app.get(key, &format!("{}?q={}", all(room), quoted(q)))
                .await
                .data()
                .iter()
                .filter(|other| other["id"] == record["id"])
                .count()
        };
        for q in [
            "größ",
            "GRÖSSTE".to_lowercase().as_str(),
            "backup größte",
            "100%",
            "backup-an",
            record["code"].as_str().unwrap(),
            "",
            " ",
        ] {
            let wanted = usize::from(q != "grösste");
            assert_eq!(found(q).await, wanted, "{} `{q}`", room.kind.path);
        }
        for q in [
            "rößte",
            "anlage",
            "backup zzz",
            "100_",
            "\\",
            "'",
            "\"; DROP TABLE versions",
        ] {
            assert_eq!(found(q).await, 0, "{} `{q}`", room.kind.path);
        }
        app.get(key, &format!("{}?q={}", all(room), "x".repeat(201)))
            .await
            .problem(400, "invalid_parameter");
    }
}

async fn an_unknown_or_unreadable_filter_is_refused(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        for unknown in [
            "nmae=x",
            "owner=me",
            "tags=x",
            "due_on=2026-01-01",
            "limit_=1",
            "status_none=true",
        ] {
            let problem = app
                .get(key, &format!("{}?{unknown}", all(room)))
                .await
                .problem(400, "unknown_parameter");
            assert_eq!(
                problem["errors"][0]["pointer"],
                json!(unknown.split('=').next().unwrap()),
                "{problem}"
            );
            assert_eq!(problem["errors"][0]["location"], "query");
        }
        for bad in [
            "status=opne",
            "status=",
            "code=7",
            "code=XXX-1",
            "owner_id=nobody",
            "owner_none=maybe",
            "overdue=1",
            "archived=yes",
            "due_on_since=soon",
            "due_on_before=2026-02-30",
            "due_on_since=2026-1-1",
            "created_at_since=yesterday",
            "scope_id=x",
            "scope_none=x",
            "include=all",
            "as_of=yesterday",
            "as_of=seq:-1",
            "as_of=seq:x",
            "as_of=2026-13-01",
            "tag=%00",
            "q=%00",
        ] {
            let problem = app
                .get(key, &format!("{}?{bad}", all(room)))
                .await
                .problem(400, "invalid_parameter");
            assert_eq!(
                problem["errors"][0]["pointer"],
                json!(bad.split('=').next().unwrap()),
                "{problem}"
            );
        }
        let both = app
            .get(key, &format!("{}?status=opne&overdue=1", all(room)))
            .await
            .problem(400, "invalid_parameter");
        assert_eq!(
            both["errors"].as_array().unwrap().len(),
            2,
            "each fault is named: {both}"
        );
        for path in [make(app, room).await]
            .iter()
            .map(|record| one(room, record))
        {
            app.get(key, &format!("{path}?nmae=x"))
                .await
                .problem(400, "unknown_parameter");
            app.get(key, &format!("{path}/history?nmae=x"))
                .await
                .problem(400, "unknown_parameter");
            app.patch(key, &format!("{path}?nmae=x"), "*", &json!({}))
                .await
                .problem(400, "unknown_parameter");
            app.delete(key, &format!("{path}?nmae=x"), "*")
                .await
                .problem(400, "unknown_parameter");
        }
        app.post(key, &format!("{}?nmae=x", all(room)), &json!({}))
            .await
            .problem(400, "unknown_parameter");
    }
}

/// A value that a parameter's schema allows.
fn allowed(document: &Value, schema: &Value) -> String {
    let schema = schema["$ref"]
        .as_str()
        .map_or(schema, |target| document.pointer(&target[1..]).unwrap());
    let either = schema["oneOf"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["type"] != "null"));
    if let Some(one) = either {
        return allowed(document, one);
    }
    if let Some(one) = schema["anyOf"].get(0) {
        return allowed(document, one);
    }
    let kinds = schema["type"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![schema["type"].clone()]);
    match (
        schema["enum"][0].as_str(),
        kinds[0].as_str().unwrap_or_default(),
        schema["format"].as_str(),
    ) {
        (Some(word), ..) => word.to_owned(),
        (_, "array", _) => allowed(document, &schema["items"]),
        (_, "boolean", _) => "true".into(),
        (_, "integer", _) => "1".into(),
        (_, _, Some("date")) => "2026-01-01".into(),
        (_, _, Some("date-time")) => "2026-01-01T00:00:00Z".into(),
        _ => "iso-27001-2022:A.5.1".into(),
    }
}

async fn every_documented_filter_is_understood(app: &TestApp) {
    let document = isms::api::document::document();
    for room in rooms() {
        make(app, room).await;
        for parameter in document["paths"][all(room)]["get"]["parameters"]
            .as_array()
            .unwrap()
        {
            let parameter = parameter["$ref"]
                .as_str()
                .map_or(parameter, |target| document.pointer(&target[1..]).unwrap());
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" || name == "cursor" {
                continue;
            }
            let value = match name {
                "as_of" => app.now(),
                "include" => "total,refs,counts".into(),
                "code" => format!("{}-1", room.kind.code),
                "id" => app.keys.person.clone(),
                "attack_id" => "T1566".into(),
                "weakness" => "SW-02".into(),
                name if room
                    .kind
                    .all_relations()
                    .any(|relation| relation.filter() == name) =>
                {
                    app.keys.person.clone()
                }
                _ => allowed(&document, &parameter["schema"]),
            };
            app.get(
                &app.keys.manager,
                &format!("{}?{name}={}", all(room), quoted(&value)),
            )
            .await
            .expect(200);
            app.get(
                &app.keys.manager,
                &format!(
                    "{}?{name}={}&as_of=seq:{}",
                    all(room),
                    quoted(&value),
                    last(app)
                ),
            )
            .await
            .expect(200);
        }
    }
}

async fn totals_counts_and_references_come_when_asked_for(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        app.patch(
            key,
            &one(room, &record),
            "*",
            &json!({"tags": ["counted"], "owner_id": app.keys.person, "due_on": "2026-11-01"}),
        )
        .await
        .expect(200);
        let another = make_named(app, room, "another").await;
        app.patch(
            key,
            &one(room, &another),
            "*",
            &json!({"tags": ["counted"]}),
        )
        .await
        .expect(200);
        let plain = app
            .get(key, &format!("{}?tag=counted", all(room)))
            .await
            .expect(200)
            .json();
        assert_eq!(
            plain.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["data", "has_more", "next_cursor"]
        );
        let page = app
            .get(
                key,
                &format!(
                    "{}?tag=counted&include=total,refs,counts&limit=1&sort=code",
                    all(room)
                ),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&page["total"], page["data"].as_array().unwrap().len()),
            (&json!(2), 1)
        );
        let counts = &page["counts"];
        assert_eq!(
            (&counts["by_status"], &counts["overdue"]),
            (&json!({record["status"].as_str().unwrap(): 2}), &json!(1))
        );
        assert_eq!(
            (&counts["by_owner"], &counts["without_owner"]),
            (&json!({app.keys.person.as_str(): 1}), &json!(1))
        );
        assert_eq!(counts["review_overdue"], 0);
        let owner = app
            .get(key, &format!("/v1/people/{}", app.keys.person))
            .await
            .expect(200)
            .json();
        let wanted = json!({"kind": "person", "code": owner["code"], "name": owner["name"],
            "status": owner["status"]});
        assert_eq!(page["refs"][&app.keys.person], wanted, "{}", room.kind.path);
        let repeated = app
            .get(
                key,
                &format!("{}?tag=counted&include=total&include=counts", all(room)),
            )
            .await
            .expect(200)
            .json();
        assert!(repeated["total"] == 2 && repeated["counts"].is_object());
    }
}
