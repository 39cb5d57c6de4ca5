//! Days begin and end where the organization is: of evidence, of filters, of the period that limits
//! a key.
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    evidence_is_of_the_day_it_was_collected_on,
    a_date_in_a_filter_begins_where_the_organization_is,
    a_control_begins_on_the_day_it_was_entered
);

async fn zone(app: &TestApp, name: &str) {
    app.patch(
        &app.keys.admin,
        "/v1/organization",
        "*",
        &json!({"time_zone": name}),
    )
    .await
    .expect(200);
}

async fn evidence_is_of_the_day_it_was_collected_on(app: &TestApp) {
    // Auckland is 13 hours ahead then, Berlin one, Los Angeles eight behind.
    for (name, at_night, day, before) in [
        (
            "Pacific/Auckland",
            "2026-11-18T11:30:00Z",
            "2026-11-19",
            "2026-11-18T10:30:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-11-18T23:30:00Z",
            "2026-11-19",
            "2026-11-18T22:30:00Z",
        ),
        (
            "America/Los_Angeles",
            "2026-11-19T08:30:00Z",
            "2026-11-19",
            "2026-11-19T07:30:00Z",
        ),
    ] {
        zone(app, name).await;
        let control = made(
            app,
            "controls",
            name,
            json!({"implementation": "implemented",
                "implemented_on": "2026-11-18", "frequency": "daily"}),
        )
        .await;
        let push = async |at: &str| {
            let body = json!({"name": at, "source": name, "payload": at, "collected_at": at,
                "control_ids": [control["id"]]});
            app.post(&app.keys.manager, "/v1/evidence", &body)
                .await
                .expect(201)
                .json()
        };
        let (late, early) = (push(at_night).await, push(before).await);
        assert_eq!(
            (&late["collected_on"], &early["collected_on"]),
            (&json!(day), &json!("2026-11-18")),
            "{name}"
        );
        let limited = key(
            app,
            "auditor",
            None,
            json!({"period_start_on": day, "sources": [name]}),
        )
        .await;
        let seen = app.get(&limited, "/v1/evidence").await.data();
        assert_eq!(
            seen.iter().map(|one| &one["id"]).collect::<Vec<_>>(),
            [&late["id"]],
            "{name}"
        );
        let days = app
            .get(
                &app.keys.manager,
                &format!(
                    "{}/occurrences?period_end_on=2026-11-19",
                    at("controls", &control)
                ),
            )
            .await
            .expect(200)
            .json();
        let of = |n: usize| days["data"][n]["evidence"][0]["id"].clone();
        assert_eq!(
            (of(0), of(1)),
            (early["id"].clone(), late["id"].clone()),
            "{name}: {days}"
        );
        // The default of a year is counted from that day, for the member and the filter alike.
        app.patch(
            &app.keys.admin,
            "/v1/organization",
            "*",
            &json!({"evidence_default_valid_days": 1}),
        )
        .await
        .expect(200);
        let current = app
            .get(
                &app.keys.manager,
                &format!(
                    "/v1/evidence?source={}&freshness=current",
                    crate::support::quoted(name)
                ),
            )
            .await
            .data();
        assert_eq!(
            current.iter().map(|one| &one["id"]).collect::<Vec<_>>(),
            [&late["id"]],
            "{name}"
        );
        assert!(current.iter().all(|one| one["freshness"] == "current"));
        app.patch(
            &app.keys.admin,
            "/v1/organization",
            "*",
            &json!({"evidence_default_valid_days": 365}),
        )
        .await
        .expect(200);
    }
}

async fn a_date_in_a_filter_begins_where_the_organization_is(app: &TestApp) {
    zone(app, "Pacific/Auckland").await;
    // It is 22:00 of 20 November there; three hours later it is the 21st.
    let before = made(app, "people", "Before", json!({})).await;
    app.pass(3 * 3600);
    let after = made(app, "people", "After", json!({})).await;
    let named = async |query: &str| -> Vec<Value> {
        let all = app
            .get(&app.keys.manager, &format!("/v1/people?sort=code&{query}"))
            .await
            .data();
        all.iter()
            .map(|one| one["name"].clone())
            .filter(|name| name == "Before" || name == "After")
            .collect()
    };
    assert_eq!(named("created_at_since=2026-11-21").await, [json!("After")]);
    assert_eq!(
        named("created_at_before=2026-11-21").await,
        [json!("Before")]
    );
    assert_eq!(
        named("created_at_since=2026-11-20&created_at_before=2026-11-22")
            .await
            .len(),
        2
    );
    assert_eq!(
        named("created_at_since=2026-11-20T11:00:00Z").await,
        [json!("After")],
        "an instant is an instant"
    );
    app.patch(
        &app.keys.manager,
        &at("people", &before),
        "*",
        &json!({"tags": ["x"]}),
    )
    .await
    .expect(200);
    assert_eq!(
        named("updated_at_before=2026-11-21").await,
        Vec::<Value>::new()
    );
    assert_eq!(named("updated_at_since=2026-11-21").await.len(), 2);
    let entries = async |query: &str| -> Vec<Value> {
        let all = app
            .get(
                &app.keys.manager,
                &format!("/v1/ledger/entries?kind=person&action=create&{query}"),
            )
            .await
            .data();
        all.iter().map(|one| one["id"].clone()).collect()
    };
    assert_eq!(entries("at_since=2026-11-21").await, [after["id"].clone()]);
    assert!(
        entries("at_before=2026-11-21")
            .await
            .contains(&before["id"])
            && !entries("at_before=2026-11-21").await.contains(&after["id"])
    );
    assert_eq!(entries("at_since=2026-11-22").await, Vec::<Value>::new());
    for bad in ["2026-11-31", "2026-1-1", "yesterday"] {
        app.get(
            &app.keys.manager,
            &format!("/v1/people?created_at_since={bad}"),
        )
        .await
        .problem(400, "invalid_parameter");
        app.get(
            &app.keys.manager,
            &format!("/v1/ledger/entries?at_since={bad}"),
        )
        .await
        .expect(400);
    }
}

async fn a_control_begins_on_the_day_it_was_entered(app: &TestApp) {
    zone(app, "Pacific/Auckland").await;
    app.pass(3 * 3600);
    let control = made(
        app,
        "controls",
        "Logs",
        json!({"implementation": "implemented", "frequency": "daily"}),
    )
    .await;
    let days = app
        .get(
            &app.keys.manager,
            &format!("{}/occurrences", at("controls", &control)),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &days["period_start_on"],
            days["data"].as_array().unwrap().len()
        ),
        (&json!("2026-11-21"), 1)
    );
    assert_eq!(days["summary"]["missing"], 0);
    // Today is the 21st there: tomorrow has not come, though the day has one more hour to go in
    // UTC.
    let early =
        json!({"name": "Soon", "implementation": "implemented", "implemented_on": "2026-11-22"});
    assert_eq!(
        app.post(&app.keys.manager, "/v1/controls", &early)
            .await
            .pointers(),
        ["/implemented_on"]
    );
    made(
        app,
        "controls",
        "Now",
        json!({"implementation": "implemented", "implemented_on": "2026-11-21"}),
    )
    .await;
}
