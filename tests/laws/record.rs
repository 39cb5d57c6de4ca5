//! A record: what a patch does, what leaves the lists and comes back, and what others need.
use crate::support::TestApp;
use crate::support::make::{all, id, last, make, make_named, one, rooms};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    a_patch_leaves_clears_replaces_and_names_each_fault,
    a_patch_that_changes_nothing_leaves_version_and_ledger,
    what_is_archived_leaves_the_lists_and_comes_back,
    what_others_need_is_not_archived,
    links_are_added_and_removed_one_by_one,
    an_external_reference_is_unique_in_its_register
);

async fn a_patch_leaves_clears_replaces_and_names_each_fault(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let path = one(room, &record);
        let full = json!({"owner_id": app.keys.person, "tags": ["b", "a"], "custom": {"x": 1,
            "y": "z"}, "due_on": "2026-12-01", "external_ref": "e1"});
        let set = app.patch(key, &path, "*", &full).await.expect(200).json();
        for (member, value) in full.as_object().unwrap() {
            assert_eq!(set[member], *value, "{path} {member}");
        }
        assert_eq!(set["name"], record["name"], "what is absent stays");
        let cleared = app
            .patch(
                key,
                &path,
                "*",
                &json!({"owner_id": null, "tags": null, "custom": {"x": null}, "due_on": null}),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(
            [
                &cleared["owner_id"],
                &cleared["tags"],
                &cleared["custom"],
                &cleared["due_on"]
            ],
            [&Value::Null, &json!([]), &json!({"y": "z"}), &Value::Null]
        );
        assert_eq!(cleared["external_ref"], "e1");
        for (body, pointers) in [
            (json!({"name": null}), vec!["/name"]),
            (json!({"name": ""}), vec!["/name"]),
            (
                json!({"due_on": "soon", "owner_id": "PER-999"}),
                vec!["/due_on", "/owner_id"],
            ),
            (json!({"name": "   "}), vec!["/name"]),
            (json!({"name": "x".repeat(201)}), vec!["/name"]),
            (json!({"nmae": "x"}), vec!["/nmae"]),
            (json!({"version": 7}), vec!["/version"]),
            (json!({"id": id(&record)}), vec!["/id"]),
            (json!({"status": "closed"}), vec!["/status"]),
            (json!({"tags": 3}), vec!["/tags"]),
            (json!({"tags": [3]}), vec!["/tags/0"]),
            (json!({"due_on": "2026-02-30"}), vec!["/due_on"]),
            (json!({"due_on": 20260201}), vec!["/due_on"]),
            (json!({"owner_id": "nobody"}), vec!["/owner_id"]),
            (json!({"owner_id": 7}), vec!["/owner_id"]),
            (
                json!({"owner_id": id(&record)}),
                if room.kind.name == "person" {
                    vec![]
                } else {
                    vec!["/owner_id"]
                },
            ),
            (
                json!({"scope_ids": [app.keys.person]}),
                vec!["/scope_ids/0"],
            ),
            (json!({"custom": {"a": {"b": 1}}}), vec!["/custom/a"]),
            (
                json!({"nmae": "x", "tags": 3, "due_on": "soon", "owner_id": 7}),
                vec!["/due_on", "/nmae", "/owner_id", "/tags"],
            ),
        ] {
            let reply = app.patch(key, &path, "*", &body).await;
            match pointers.is_empty() {
                true => drop(reply.expect(200)),
                false => assert_eq!(reply.pointers(), pointers, "{path} {body}"),
            }
        }
    }
}

async fn a_patch_that_changes_nothing_leaves_version_and_ledger(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make(app, room).await;
        let (path, before) = (one(room, &record), last(app));
        let tag = app.get(key, &path).await.expect(200).etag();
        for body in [
            json!({}),
            json!({"name": record["name"]}),
            json!({"tags": [], "custom": {}, "owner_id": null, "scope_ids": []}),
        ] {
            let same = app.patch(key, &path, &tag, &body).await.expect(200);
            assert_eq!(
                (same.etag(), same.json()),
                (tag.clone(), record.clone()),
                "{path} {body}"
            );
        }
        assert_eq!(last(app), before);
        let merged = [
            ("If-Match", "*"),
            ("Content-Type", "application/merge-patch+json"),
        ];
        assert_eq!(
            app.send(
                key,
                Method::PATCH,
                &path,
                &merged,
                Some(&json!({"tags": ["x"]}))
            )
            .await
            .expect(200)
            .json()["version"],
            2
        );
        app.send(
            key,
            Method::PATCH,
            &path,
            &[("If-Match", "*"), ("Content-Type", "text/plain")],
            Some(&json!({})),
        )
        .await
        .problem(415, "unsupported_media_type");
    }
}

async fn what_is_archived_leaves_the_lists_and_comes_back(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let record = make_named(app, room, "Passing").await;
        let path = one(room, &record);
        let listed = async |query: &str| {
            app.get(key, &format!("{}?q=passing{query}", all(room)))
                .await
                .data()
                .len()
        };
        assert_eq!(
            (
                listed("").await,
                listed("&archived=true").await,
                listed("&archived=any").await
            ),
            (1, 0, 1)
        );
        let seq = last(app);
        app.delete(key, &path, "\"1\"").await.expect(204);
        assert_eq!(
            (
                listed("").await,
                listed("&archived=true").await,
                listed("&archived=any").await
            ),
            (0, 1, 1)
        );
        assert_eq!(
            listed(&format!("&as_of=seq:{seq}")).await,
            1,
            "then it was there"
        );
        for gone in [
            app.get(key, &path).await,
            app.patch(key, &path, "*", &json!({"tags": ["x"]})).await,
            app.delete(key, &path, "*").await,
        ] {
            gone.problem(404, "not_found");
        }
        let archived = app
            .get(key, &format!("{path}?archived=any"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&archived["version"], archived["archived_at"].is_string()),
            (&json!(2), true)
        );
        if !room.kind.transitions.is_empty() {
            assert_eq!(archived["allowed_transitions"], json!([]));
        }
        let history: Vec<Value> = app
            .get(key, &format!("{path}/history"))
            .await
            .data()
            .iter()
            .map(|entry| entry["action"].clone())
            .collect();
        assert_eq!(history, ["archive", "create"]);
        let back = app
            .act(key, &format!("{path}/restore"), &json!({}))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&back["version"], &back["archived_at"], &back["code"]),
            (&json!(3), &Value::Null, &record["code"])
        );
        app.act(key, &format!("{path}/restore"), &json!({}))
            .await
            .problem(409, "illegal_transition");
        assert_eq!((listed("").await, listed("&archived=true").await), (1, 0));
        app.get(key, &path).await.expect(200);
    }
}

async fn what_others_need_is_not_archived(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        for relation in room.kind.all_relations() {
            let Some(target) = rooms().find(|other| other.kind.name == relation.to) else {
                continue;
            };
            let (needing, needed) = (
                make(app, room).await,
                make_named(app, target, "Needed").await,
            );
            let value = if relation.many() {
                json!([needed["id"]])
            } else {
                needed["id"].clone()
            };
            app.patch(
                key,
                &one(room, &needing),
                "*",
                &json!({relation.member: value}),
            )
            .await
            .expect(200);
            let refused = app
                .delete(key, &one(target, &needed), "*")
                .await
                .problem(409, "in_use");
            assert_eq!(
                refused["needed_by"],
                json!([needing["code"]]),
                "{} {}",
                room.kind.name,
                relation.member
            );
            let none = match relation.many() {
                true => json!([]),
                false if relation.required => needing[relation.member].clone(),
                false => Value::Null,
            };
            app.patch(
                key,
                &one(room, &needing),
                "*",
                &json!({relation.member: none}),
            )
            .await
            .expect(200);
            app.delete(key, &one(target, &needed), "*")
                .await
                .expect(204);
            let pointer = format!(
                "/{}{}",
                relation.member,
                if relation.many() { "/0" } else { "" }
            );
            assert_eq!(
                app.patch(
                    key,
                    &one(room, &needing),
                    "*",
                    &json!({relation.member: value})
                )
                .await
                .pointers(),
                [pointer],
                "what is archived is not linked"
            );
        }
    }
}

async fn links_are_added_and_removed_one_by_one(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        for relation in room.kind.all_relations().filter(|relation| relation.many()) {
            let of_any = |kind: &str| relation.to.is_empty() && kind == "asset";
            let target = rooms()
                .find(|other| other.kind.name == relation.to || of_any(other.kind.name))
                .unwrap();
            let (record, x, y) = (
                make(app, room).await,
                make_named(app, target, "x").await,
                make_named(app, target, "y").await,
            );
            let path = one(room, &record);
            let mut both = [id(&x).to_owned(), id(&y).to_owned()];
            both.sort();
            app.act(
                key,
                &format!("{path}/links"),
                &json!({"relation": relation.member, "to": x["code"]}),
            )
            .await
            .expect(200);
            let linked = app
                .act(
                    key,
                    &format!("{path}/links"),
                    &json!({"relation": relation.member, "to": y["id"]}),
                )
                .await
                .expect(200)
                .json();
            assert_eq!(linked[relation.member], json!(both));
            let same = app
                .act(
                    key,
                    &format!("{path}/links"),
                    &json!({"relation": relation.member, "to": y["id"]}),
                )
                .await
                .expect(200)
                .json();
            assert_eq!(
                same["version"], linked["version"],
                "a link that is there changes nothing"
            );
            let rest = app
                .delete(
                    key,
                    &format!("{path}/links/{}/{}", relation.member, id(&x)),
                    "*",
                )
                .await
                .expect(200)
                .json();
            assert_eq!(rest[relation.member], json!([y["id"]]));
            app.delete(
                key,
                &format!("{path}/links/{}/{}", relation.member, id(&x)),
                "*",
            )
            .await
            .problem(404, "not_found");
            app.delete(key, &format!("{path}/links/nothing/{}", id(&x)), "*")
                .await
                .problem(404, "not_found");
            assert_eq!(
                app.act(
                    key,
                    &format!("{path}/links"),
                    &json!({"relation": "nothing", "to": x["id"]})
                )
                .await
                .pointers(),
                ["/relation"]
            );
            let found = app
                .get(
                    key,
                    &format!("{}?{}={}", all(room), relation.filter(), id(&y)),
                )
                .await
                .data();
            assert_eq!(found.iter().map(id).collect::<Vec<_>>(), [id(&record)]);
        }
        for relation in room
            .kind
            .relations
            .iter()
            .filter(|relation| relation.acyclic)
        {
            let (below, above) = (
                make_named(app, room, "below").await,
                make_named(app, room, "above").await,
            );
            let value = |record: &Value| {
                if relation.many() {
                    json!([record["id"]])
                } else {
                    record["id"].clone()
                }
            };
            app.patch(
                key,
                &one(room, &above),
                "*",
                &json!({relation.member: value(&below)}),
            )
            .await
            .expect(200);
            assert_eq!(
                app.patch(
                    key,
                    &one(room, &below),
                    "*",
                    &json!({relation.member: value(&above)})
                )
                .await
                .pointers(),
                [format!("/{}", relation.member)]
            );
            assert_eq!(
                app.patch(
                    key,
                    &one(room, &below),
                    "*",
                    &json!({relation.member: value(&below)})
                )
                .await
                .pointers(),
                [format!("/{}", relation.member)]
            );
        }
    }
}

async fn an_external_reference_is_unique_in_its_register(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let (x, y) = (
            make_named(app, room, "x").await,
            make_named(app, room, "y").await,
        );
        app.patch(
            key,
            &one(room, &x),
            "*",
            &json!({"external_ref": "import 1"}),
        )
        .await
        .expect(200);
        let taken = app
            .patch(
                key,
                &one(room, &y),
                "*",
                &json!({"external_ref": "import 1"}),
            )
            .await
            .problem(409, "conflict");
        assert_eq!(
            (&taken["errors"][0]["pointer"], &taken["needed_by"]),
            (&json!("/external_ref"), &json!([x["code"]]))
        );
        app.patch(key, &one(room, &x), "*", &json!({"external_ref": null}))
            .await
            .expect(200);
        app.patch(
            key,
            &one(room, &y),
            "*",
            &json!({"external_ref": "import 1"}),
        )
        .await
        .expect(200);
    }
}
