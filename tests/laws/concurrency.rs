//! Several at once: nobody's change is lost, no position is left out, no code is given twice.
use crate::support::TestApp;
use crate::support::make::{all, body, last, make, one, rooms, seqs};
use actix_web::http::Method;
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeSet;

crate::on_both!(
    fifty_writers_leave_a_ledger_without_gaps,
    of_two_patches_of_one_version_one_is_refused,
    readers_see_whole_states_while_others_write
);

async fn fifty_writers_leave_a_ledger_without_gaps(app: &TestApp) {
    for room in rooms() {
        let mut bodies = Vec::new();
        for n in 0..50 {
            bodies.push(body(app, room, &format!("writer {n}")).await);
        }
        let before = last(app);
        let writers = bodies
            .iter()
            .map(|body| app.send(&app.keys.manager, Method::POST, &all(room), &[], Some(body)));
        let made = join_all(writers).await;
        let codes: BTreeSet<String> = made
            .into_iter()
            .map(|reply| reply.expect(201).json()["code"].to_string())
            .collect();
        assert_eq!(codes.len(), 50, "{}", room.kind.path);
        assert_eq!(seqs(app), (0..=before + 50).collect::<Vec<_>>());
    }
}

async fn of_two_patches_of_one_version_one_is_refused(app: &TestApp) {
    for room in rooms() {
        let record = make(app, room).await;
        let tag = app.get(&app.keys.manager, &one(room, &record)).await.etag();
        let patches = ["left", "right"].map(|tag_text| (tag_text, json!({"tags": [tag_text]})));
        let sent = patches.iter().map(|(_, body)| {
            app.send(
                &app.keys.manager,
                Method::PATCH,
                &one(room, &record),
                &[("If-Match", &tag)],
                Some(body),
            )
        });
        let replies = join_all(sent).await;
        let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        let winner = patches[statuses
            .iter()
            .position(|status| *status == 200)
            .expect("neither was taken")]
        .0;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
        let after = app
            .get(&app.keys.manager, &one(room, &record))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&after["tags"], &after["version"]),
            (&json!([winner]), &json!(2))
        );
    }
}

async fn readers_see_whole_states_while_others_write(app: &TestApp) {
    let room = rooms().find(|room| room.kind.name == "asset").unwrap();
    let record = make(app, room).await;
    let path = one(room, &record);
    let requests = (0..60).map(|n| {
        let body = json!({"name": format!("name {n}"), "tags": [format!("name {n}")]});
        match n % 3 {
            0 => app.send(
                &app.keys.manager,
                Method::PATCH,
                &path,
                &[("If-Match", "*")],
                Some(&body),
            ),
            1 => app.send(&app.keys.manager, Method::GET, &path, &[], None),
            _ => app.send(
                &app.keys.manager,
                Method::GET,
                &format!(
                    "{}?code={}&include=total",
                    all(room),
                    record["code"].as_str().unwrap()
                ),
                &[],
                None,
            ),
        }
    });
    for reply in join_all(requests).await {
        let answer = reply.expect(200).json();
        let seen = if answer["data"].is_array() {
            answer["data"][0].clone()
        } else {
            answer
        };
        let whole = seen["version"] == 1 || seen["tags"] == json!([seen["name"]]);
        assert!(whole, "half of a change was seen: {seen}");
    }
    assert_eq!(
        app.get(&app.keys.manager, &path).await.expect(200).json()["version"],
        21
    );
}
