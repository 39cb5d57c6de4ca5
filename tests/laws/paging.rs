//! Pages: complete, in one total order, the same on both databases, and stable while others write.
use crate::support::TestApp;
use crate::support::make::{all, body, id, last, make_named, one, rooms, walk};
use isms::registers::Register;
use serde_json::{Value, json};

crate::on_both!(
    every_sort_walks_every_record_once_in_order,
    a_walk_is_not_disturbed_by_others,
    a_pinned_walk_sees_one_moment,
    a_cursor_belongs_to_its_question,
    an_equal_key_is_ordered_by_id,
    the_next_page_is_linked
);

const KEYS: [&str; 8] = [
    "created_at",
    "updated_at",
    "name",
    "code",
    "status",
    "due_on",
    "review_due_on",
    "rank",
];

/// Records with equal names, names that collations order differently, and missing days.
async fn several(app: &TestApp, room: &Register, many: usize) -> Vec<Value> {
    let mut made = Vec::new();
    for n in 0..many {
        let mut body = body(
            app,
            room,
            &format!("{} {}", ["b", "A", "ä", "a_", "a-", "Z"][n % 6], n % 4),
        )
        .await;
        body["tags"] = json!(["walk"]);
        if n % 3 == 0 {
            body["due_on"] = json!(format!("2027-01-{:02}", n % 4 + 1));
        }
        if n % 4 == 0 {
            body["review_due_on"] = json!(format!("2027-02-{:02}", n % 3 + 1));
        }
        app.pass(i64::from(n % 2 == 0));
        let record = app
            .post(&app.keys.manager, &all(room), &body)
            .await
            .expect(201)
            .json();
        if room.kind.name == "risk" && n % 2 == 0 {
            let score = json!({"stage": "current", "likelihood": n % 5 + 1, "impact": 3,
                "rationale": "seen"});
            app.post(
                &app.keys.manager,
                &format!("{}/assessments", one(room, &record)),
                &score,
            )
            .await
            .expect(201);
        }
        made.push(record);
    }
    made
}

fn ids(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| id(record).to_owned()).collect()
}

/// The order that the contract promises: by the member, empty ones last, then by id; text by its
/// bytes.
fn sorted(mut records: Vec<Value>, key: &str, down: bool) -> Vec<String> {
    let number = |record: &Value| {
        record["code"]
            .as_str()
            .unwrap()
            .rsplit('-')
            .next()
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    let value = |record: &Value| match key {
        "code" => Some((String::new(), number(record))),
        _ => record[key].as_str().map(|text| (text.to_owned(), 0)),
    };
    records.sort_by(|x, y| {
        let (kx, ky) = (value(x), value(y));
        match (&kx, &ky) {
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            _ if down => (ky, id(y)).cmp(&(kx, id(x))),
            _ => (kx, id(x)).cmp(&(ky, id(y))),
        }
    });
    ids(&records)
}

async fn every_sort_walks_every_record_once_in_order(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        several(app, room, 13).await;
        let seq = last(app);
        for by in KEYS {
            for sort in [by.to_owned(), format!("-{by}")] {
                let question = format!("{}?tag=walk&sort={sort}", all(room));
                let whole = walk(app, key, &question, 200).await;
                assert_eq!(whole.len(), 13);
                assert_eq!(
                    walk(app, key, &question, 4).await,
                    whole,
                    "{question} by fours"
                );
                assert_eq!(
                    walk(app, key, &format!("{question}&as_of=seq:{seq}"), 5).await,
                    whole,
                    "{question} as of the last entry"
                );
                if by != "rank" {
                    assert_eq!(
                        ids(&whole),
                        sorted(whole.clone(), by, sort.starts_with('-')),
                        "{question}"
                    );
                }
            }
        }
    }
}

async fn a_walk_is_not_disturbed_by_others(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let made = ids(&several(app, room, 9).await);
        for sort in ["-created_at", "name", "-due_on", "code"] {
            let question = format!("{}?tag=walk&sort={sort}", all(room));
            let before = ids(&walk(app, key, &question, 200).await);
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = app
                    .get(key, &format!("{question}&limit=2{cursor}"))
                    .await
                    .expect(200)
                    .json();
                seen.extend(ids(page["data"].as_array().unwrap()));
                let other = make_named(app, room, &format!("between {}", seen.len())).await;
                app.patch(key, &one(room, &other), "*", &json!({"tags": ["walk"]}))
                    .await
                    .expect(200);
                app.delete(key, &one(room, &other), "*").await.expect(204);
                let stays = make_named(app, room, &format!("beside {}", seen.len())).await;
                app.patch(key, &one(room, &stays), "*", &json!({"tags": ["other"]}))
                    .await
                    .expect(200);
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, before, "{question}");
            assert_eq!(seen.len(), made.len());
        }
    }
}

async fn a_pinned_walk_sees_one_moment(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let made = several(app, room, 7).await;
        let question = format!("{}?tag=walk&sort=name&as_of=seq:{}", all(room), last(app));
        let before = walk(app, key, &question, 200).await;
        let first = app
            .get(key, &format!("{question}&limit=3"))
            .await
            .expect(200)
            .json();
        app.patch(key, &one(room, &made[0]), "*", &json!({"name": "zz moved"}))
            .await
            .expect(200);
        app.patch(key, &one(room, &made[1]), "*", &json!({"tags": []}))
            .await
            .expect(200);
        app.delete(key, &one(room, &made[2]), "*").await.expect(204);
        let rest = format!(
            "{question}&limit=100&cursor={}",
            first["next_cursor"].as_str().unwrap()
        );
        let both = [
            first["data"].as_array().unwrap().clone(),
            app.get(key, &rest).await.data(),
        ]
        .concat();
        assert_eq!(both, before, "{}", room.kind.path);
    }
}

async fn a_cursor_belongs_to_its_question(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        several(app, room, 3).await;
        let page = app
            .get(key, &format!("{}?tag=walk&limit=1", all(room)))
            .await
            .expect(200)
            .json();
        let cursor = page["next_cursor"].as_str().unwrap();
        app.get(
            key,
            &format!("{}?tag=walk&limit=2&cursor={cursor}", all(room)),
        )
        .await
        .expect(200);
        for other in [
            "tag=walk&sort=name",
            "tag=walks",
            "",
            "tag=walk&archived=any",
            "tag=walk&q=a",
        ] {
            app.get(key, &format!("{}?{other}&cursor={cursor}", all(room)))
                .await
                .problem(400, "invalid_cursor");
        }
        for broken in ["x", "", "e30", "W10", "!!"] {
            app.get(key, &format!("{}?tag=walk&cursor={broken}", all(room)))
                .await
                .problem(400, "invalid_cursor");
        }
        for limit in ["0", "201", "-1", "x", "1.5", ""] {
            app.get(key, &format!("{}?limit={limit}", all(room)))
                .await
                .problem(400, "invalid_parameter");
        }
        for sort in ["nmae", "", "-", "--name", "name,code", "Name"] {
            app.get(key, &format!("{}?sort={sort}", all(room)))
                .await
                .problem(400, "invalid_parameter");
        }
    }
}

async fn an_equal_key_is_ordered_by_id(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(id(&make_named(app, room, "the same").await).to_owned());
        }
        made.sort();
        let question = |sort: &str| format!("{}?q=same&sort={sort}", all(room));
        assert_eq!(ids(&walk(app, key, &question("name"), 2).await), made);
        made.reverse();
        assert_eq!(ids(&walk(app, key, &question("-name"), 2).await), made);
    }
}

async fn the_next_page_is_linked(app: &TestApp) {
    let key = &app.keys.manager;
    for room in rooms() {
        several(app, room, 3).await;
        let first = app
            .get(key, &format!("{}?tag=walk&sort=name&limit=2", all(room)))
            .await
            .expect(200);
        let link = first.header("link").unwrap();
        let next = link
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix(">; rel=\"next\""))
            .unwrap_or_else(|| panic!("{link}"));
        let second = app.get(key, next).await.expect(200);
        assert_eq!(
            (second.header("link"), second.json()["next_cursor"].clone()),
            (None, Value::Null)
        );
        let both = [first.data(), second.data()].concat();
        assert_eq!(
            both,
            walk(app, key, &format!("{}?tag=walk&sort=name", all(room)), 200).await
        );
    }
}
