//! Every register says how its records end, whether the overview counts them, and whether they are
//! looked at again.
use crate::support::TestApp;
use crate::support::make::{all, body, creates, make, one, rooms};
use isms::registers::REGISTERS;
use serde_json::{Value, json};
use std::collections::BTreeSet;

crate::on_both!(
    the_overview_counts_every_register_that_says_so,
    what_is_reviewed_has_its_first_day_from_the_start,
    the_first_day_is_counted_where_the_organization_is,
    a_review_moves_the_day
);

#[test]
fn every_state_without_a_way_out_is_an_end_state() {
    let mut ends = 0;
    for kind in isms::api::KINDS.all() {
        let stuck = |status: &&str| kind.allowed(status).next().is_none();
        for status in kind
            .statuses()
            .into_iter()
            .filter(stuck)
            .filter(|_| !kind.transitions.is_empty())
        {
            assert!(
                kind.finished(status),
                "{} stays `{status}` for ever, which is no end state of it",
                kind.name
            );
            ends += 1;
        }
        let known: BTreeSet<&str> = kind.statuses().into_iter().collect();
        assert!(
            kind.done.iter().all(|status| known.contains(status)),
            "{} has an end state that it never reaches: {:?}",
            kind.name,
            kind.done
        );
        assert!(
            !kind.finished(kind.initial),
            "{} ends as it begins",
            kind.name
        );
    }
    assert!(ends >= 12, "{ends} end states were looked at");
}

#[test]
fn what_is_reviewed_can_be_reviewed() {
    for room in REGISTERS {
        let reviews = room.operations.is_some_and(|does| does.review);
        assert_eq!(
            reviews, room.kind.reviewed,
            "{}: a day of review that nothing can move, or the other way round",
            room.kind.name
        );
    }
}

async fn the_overview_counts_every_register_that_says_so(app: &TestApp) {
    let overview = app
        .get(&app.keys.manager, "/v1/overview")
        .await
        .expect(200)
        .json();
    let counted: BTreeSet<&str> = overview["open_by_kind"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    let wanted: BTreeSet<&str> = REGISTERS
        .iter()
        .filter(|room| room.kind.counted)
        .map(|room| room.kind.name)
        .collect();
    assert_eq!(
        counted, wanted,
        "what is counted is what `Kind::counted` says"
    );
}

async fn what_is_reviewed_has_its_first_day_from_the_start(app: &TestApp) {
    let organization = app
        .get(&app.keys.admin, "/v1/organization")
        .await
        .expect(200)
        .json();
    assert_eq!(organization["review_every_days"], 365);
    for (days, due) in [(365, "2027-11-20"), (30, "2026-12-20")] {
        app.patch(
            &app.keys.admin,
            "/v1/organization",
            "*",
            &json!({"review_every_days": days}),
        )
        .await
        .expect(200);
        for room in rooms().filter(|room| creates(room)) {
            let made = make(app, room).await;
            let wanted = if room.kind.reviewed {
                json!(due)
            } else {
                Value::Null
            };
            assert_eq!(made["review_due_on"], wanted, "{}", room.kind.name);
            let mut said = body(app, room, "said").await;
            said["review_due_on"] = json!("2026-12-01");
            let made = app
                .post(&app.keys.manager, &all(room), &said)
                .await
                .expect(201)
                .json();
            assert_eq!(
                made["review_due_on"], "2026-12-01",
                "{}: what is said counts",
                room.kind.name
            );
        }
    }
    for days in [0, 3651] {
        let problem = app
            .patch(
                &app.keys.admin,
                "/v1/organization",
                "*",
                &json!({"review_every_days": days}),
            )
            .await;
        assert_eq!(problem.pointers(), ["/review_every_days"]);
    }
}

async fn the_first_day_is_counted_where_the_organization_is(app: &TestApp) {
    let reviewed = || rooms().filter(|room| room.kind.reviewed);
    app.patch(
        &app.keys.admin,
        "/v1/organization",
        "*",
        &json!({"time_zone": "Pacific/Auckland", "review_every_days": 1}),
    )
    .await
    .expect(200);
    app.pass(3600 + 59 * 60); // 2026-11-20T10:59Z: a minute before midnight in Auckland
    for (seconds, due) in [(0, "2026-11-21"), (120, "2026-11-22")] {
        app.pass(seconds);
        for room in reviewed() {
            assert_eq!(
                make(app, room).await["review_due_on"],
                due,
                "{}",
                room.kind.name
            );
        }
    }
    // The day itself is not over there until midnight there.
    let late = async |wanted: i64| {
        for room in reviewed() {
            let question = format!(
                "{}?review_overdue=true&review_due_on_since=2026-11-21&include=total",
                all(room)
            );
            let page = app
                .get(&app.keys.manager, &question)
                .await
                .expect(200)
                .json();
            assert_eq!(page["total"], wanted, "{} at {}", room.kind.name, app.now());
        }
    };
    late(0).await;
    app.pass(86_400 - 180); // 2026-11-21T10:58Z
    late(0).await;
    app.pass(180); // a minute past midnight
    late(1).await;
    app.pass_days(1);
    late(2).await;
}

async fn a_review_moves_the_day(app: &TestApp) {
    for room in rooms().filter(|room| room.kind.reviewed) {
        let made = make(app, room).await;
        app.pass_days(10);
        let path = format!("{}/review", one(room, &made));
        let reviewed = app
            .act(
                &app.keys.manager,
                &path,
                &json!({"comment": "Still right."}),
            )
            .await
            .expect(200)
            .json();
        let today: chrono::NaiveDate = app.now()[..10].parse().unwrap();
        let wanted = json!(today + chrono::Days::new(365));
        assert_eq!(reviewed["review_due_on"], wanted, "{}", room.kind.name);
        for day in ["2020-01-01", &app.now()[..10]] {
            assert_eq!(
                app.act(&app.keys.manager, &path, &json!({"review_due_on": day}))
                    .await
                    .pointers(),
                ["/review_due_on"]
            );
        }
    }
}
