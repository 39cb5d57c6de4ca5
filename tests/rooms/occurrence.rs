//! Occurrences: each period of a control's frequency, proven, late or missing; and what a provider
//! does, proven by attestations alone.
use super::{at, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    a_missed_review_is_missing,
    nothing_is_missing_before_it_was_implemented,
    what_was_known_then,
    a_control_without_periods_has_one,
    days_are_asked_within_limits,
    a_provider_is_proven_by_its_attestation,
    computed_members_are_filters
);

async fn control(app: &TestApp, name: &str, more: Value) -> Value {
    let mut body = json!({"implementation": "implemented"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    made(app, "controls", name, body).await
}
async fn push(app: &TestApp, control: &Value, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "source": "tests", "external_id": name, "payload": name,
        "control_ids": [control["id"]]});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.post(&app.keys.manager, "/v1/evidence", &body)
        .await
        .expect(201)
        .json()
}
async fn occurrences(app: &TestApp, control: &Value, query: &str) -> Value {
    app.get(
        &app.keys.manager,
        &format!("{}/occurrences{query}", at("controls", control)),
    )
    .await
    .expect(200)
    .json()
}
fn told(occurrences: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    occurrences["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["period_start_on"]), text(&one["status"])))
        .collect()
}
fn wanted(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(start, status)| ((*start).to_owned(), (*status).to_owned()))
        .collect()
}

async fn a_missed_review_is_missing(app: &TestApp) {
    let review = control(
        app,
        "Access review",
        json!({"frequency": "monthly", "implemented_on": "2026-06-15"}),
    )
    .await;
    let month = |start: &str, end: &str, collected: &str| {
        json!({"period_start_on": start,
        "period_end_on": end, "collected_at": format!("{collected}T10:00:00Z")})
    };
    let june = push(
        app,
        &review,
        "june",
        month("2026-06-01", "2026-06-30", "2026-07-02"),
    )
    .await;
    push(
        app,
        &review,
        "july",
        month("2026-07-01", "2026-07-31", "2026-08-20"),
    )
    .await;
    push(
        app,
        &review,
        "september",
        json!({"collected_at": "2026-09-10T10:00:00Z"}),
    )
    .await;
    // The same report again: what it supersedes still proves its own month.
    push(
        app,
        &review,
        "series",
        month("2026-10-01", "2026-10-31", "2026-11-01"),
    )
    .await;
    let next = json!({"name": "series", "source": "tests", "external_id": "series", "payload": 2,
        "control_ids": [review["id"]], "collected_at": "2026-11-10T10:00:00Z"});
    app.post(&app.keys.manager, "/v1/evidence", &next)
        .await
        .expect(201);
    let all = occurrences(app, &review, "").await;
    let statuses = [
        ("2026-06-01", "done"),
        ("2026-07-01", "late"),
        ("2026-08-01", "missing"),
        ("2026-09-01", "done"),
        ("2026-10-01", "done"),
        ("2026-11-01", "done"),
    ];
    assert_eq!(
        told(&all),
        wanted(&statuses),
        "nothing is expected before it was implemented"
    );
    assert_eq!(
        all["summary"],
        json!({"done": 4, "late": 1, "missing": 1, "due": 0, "no_event": 0, "failed": 0})
    );
    let first = &all["data"][0];
    assert_eq!(
        (
            &first["evidence"][0]["id"],
            &first["evidence"][0]["code"],
            &first["evidence_count"]
        ),
        (&june["id"], &june["code"], &json!(1))
    );
    assert_eq!(
        (&first["period_end_on"], &first["due_on"]),
        (&json!("2026-06-30"), &json!("2026-07-03"))
    );
    assert_eq!(
        all["data"][4]["evidence_count"], 1,
        "the later report covers no month of its own"
    );
    let some = occurrences(
        app,
        &review,
        "?period_start_on=2026-08-10&period_end_on=2026-09-01",
    )
    .await;
    assert_eq!(
        told(&some),
        wanted(&[("2026-08-01", "missing"), ("2026-09-01", "done")])
    );
    app.pass_days(12);
    let december = occurrences(app, &review, "?period_start_on=2026-12-01").await;
    assert_eq!(told(&december), wanted(&[("2026-12-01", "due")]));
    app.pass_days(40);
    let december = occurrences(
        app,
        &review,
        "?period_start_on=2026-12-01&period_end_on=2026-12-31",
    )
    .await;
    assert_eq!(
        told(&december),
        wanted(&[("2026-12-01", "missing")]),
        "nobody entered that"
    );
}

async fn nothing_is_missing_before_it_was_implemented(app: &TestApp) {
    let key = &app.keys.manager;
    let daily = control(app, "Daily", json!({"frequency": "daily"})).await;
    let quarterly = control(app, "Quarterly", json!({"frequency": "quarterly"})).await;
    let today = json!({"done": 0, "late": 0, "missing": 0, "due": 1, "no_event": 0, "failed": 0});
    assert_eq!(
        (
            occurrences(app, &daily, "").await["summary"].clone(),
            told(&occurrences(app, &quarterly, "").await).len()
        ),
        (today, 1)
    );
    assert_eq!(
        told(&occurrences(app, &daily, "?period_start_on=2020-01-01").await).len(),
        1,
        "however early it is asked for"
    );
    push(app, &daily, "today", json!({})).await;
    assert_eq!(occurrences(app, &daily, "").await["summary"]["done"], 1);
    // Planned first: from the entry that made it implemented; and again, when it was not for a
    // while.
    let later = made(
        app,
        "controls",
        "Later",
        json!({"implementation": "planned", "frequency": "daily"}),
    )
    .await;
    let stage = async |stage: &str| {
        app.patch(
            key,
            &at("controls", &later),
            "*",
            &json!({"implementation": stage}),
        )
        .await
        .expect(200)
    };
    app.pass_days(10);
    stage("implemented").await;
    app.patch(key, &at("controls", &later), "*", &json!({"tags": ["x"]}))
        .await
        .expect(200);
    app.pass_days(3);
    let seq = crate::support::make::last(app);
    let days = |all: &Value| {
        (
            all["period_start_on"].clone(),
            all["data"].as_array().unwrap().len(),
        )
    };
    assert_eq!(
        days(&occurrences(app, &later, "").await),
        (json!("2026-11-30"), 4)
    );
    stage("in_progress").await;
    assert_eq!(occurrences(app, &later, "").await["data"], json!([]));
    app.pass_days(5);
    stage("implemented").await;
    assert_eq!(
        days(&occurrences(app, &later, "").await),
        (json!("2026-12-08"), 1)
    );
    assert_eq!(
        days(&occurrences(app, &later, &format!("?as_of=seq:{seq}")).await).0,
        json!("2026-11-30"),
        "as it stood then"
    );
    // Retired: until that day.
    app.pass_days(2);
    stage("retired").await;
    app.pass_days(20);
    assert_eq!(
        days(&occurrences(app, &later, "").await),
        (json!("2026-12-08"), 3)
    );
    // What is said comes first.
    app.patch(
        key,
        &at("controls", &quarterly),
        "*",
        &json!({"implemented_on": "2026-04-01"}),
    )
    .await
    .expect(200);
    assert_eq!(
        occurrences(app, &quarterly, "?period_end_on=2026-11-20").await["summary"]["missing"],
        2
    );
    for (stage, day, fits) in [
        ("implemented", "2030-01-01", false),
        ("retired", "2030-01-01", false),
        ("in_progress", "2030-01-01", true),
    ] {
        let body = json!({"name": "x", "implementation": stage, "implemented_on": day});
        let reply = app.post(key, "/v1/controls", &body).await;
        match fits {
            true => {
                let planned = reply.expect(201).json();
                let done = json!({"implementation": "implemented"});
                assert_eq!(
                    app.patch(key, &at("controls", &planned), "*", &done)
                        .await
                        .pointers(),
                    ["/implemented_on"]
                );
            }
            false => assert_eq!(reply.pointers(), ["/implemented_on"], "{stage}"),
        }
    }
}

async fn what_was_known_then(app: &TestApp) {
    let review = control(
        app,
        "Restore test",
        json!({"frequency": "quarterly", "implemented_on": "2026-01-01"}),
    )
    .await;
    let days = "?period_start_on=2026-07-01&period_end_on=2026-09-30";
    app.pass(60);
    let now = app.now();
    assert_eq!(
        told(&occurrences(app, &review, days).await),
        wanted(&[("2026-07-01", "missing")])
    );
    app.pass_days(1);
    push(
        app,
        &review,
        "late",
        json!({"period_start_on": "2026-07-01", "period_end_on": "2026-09-30"}),
    )
    .await;
    assert_eq!(
        told(&occurrences(app, &review, days).await),
        wanted(&[("2026-07-01", "late")])
    );
    let then = occurrences(app, &review, &format!("{days}&as_of={now}")).await;
    assert_eq!(told(&then), wanted(&[("2026-07-01", "missing")]));
    let path = format!("{}/occurrences{days}", at("controls", &review));
    let tag = app.get(&app.keys.manager, &path).await.expect(200).etag();
    app.get_with(&app.keys.manager, &path, &[("If-None-Match", &tag)])
        .await
        .expect(304);
    app.get(&app.keys.b_manager, &path)
        .await
        .problem(404, "not_found");
}

async fn a_control_without_periods_has_one(app: &TestApp) {
    for (frequency, empty) in [
        (json!("per_event"), "no_event"),
        (Value::Null, "no_event"),
        (json!("continuous"), "due"),
    ] {
        let control = control(
            app,
            "Leavers",
            json!({"frequency": frequency, "implemented_on": "2026-01-01"}),
        )
        .await;
        let days = "?period_start_on=2026-11-01&period_end_on=2026-11-20";
        assert_eq!(
            told(&occurrences(app, &control, days).await),
            wanted(&[("2026-11-01", empty)])
        );
        push(
            app,
            &control,
            &format!("leaver {empty} {frequency}"),
            json!({"collected_at": "2026-11-05T10:00:00Z"}),
        )
        .await;
        assert_eq!(
            told(&occurrences(app, &control, days).await),
            wanted(&[("2026-11-01", "done")])
        );
    }
    let planned = made(
        app,
        "controls",
        "Planned",
        json!({"implementation": "planned", "frequency": "monthly"}),
    )
    .await;
    assert_eq!(
        occurrences(app, &planned, "").await["data"],
        json!([]),
        "nothing is expected of what is not implemented"
    );
}

async fn days_are_asked_within_limits(app: &TestApp) {
    let logs = control(
        app,
        "Logs",
        json!({"frequency": "daily", "implemented_on": "2024-01-01"}),
    )
    .await;
    let path = format!("{}/occurrences", at("controls", &logs));
    assert_eq!(
        occurrences(app, &logs, "?period_start_on=2025-10-17").await["data"]
            .as_array()
            .unwrap()
            .len(),
        400
    );
    assert_eq!(
        occurrences(app, &logs, "").await["data"]
            .as_array()
            .unwrap()
            .len(),
        365,
        "a year"
    );
    assert_eq!(
        occurrences(
            app,
            &logs,
            "?period_start_on=2026-11-19&period_end_on=2027-06-01"
        )
        .await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        occurrences(app, &logs, "?period_start_on=2027-01-01").await["data"],
        json!([])
    );
    for (query, place) in [
        ("?period_start_on=2025-10-16", "period_start_on"),
        ("?period_start_on=yesterday", "period_start_on"),
        (
            "?period_start_on=2026-11-01&period_end_on=2026-10-01",
            "period_end_on",
        ),
        ("?from=2026-11-01", "from"),
    ] {
        let problem = app
            .get(&app.keys.manager, &format!("{path}{query}"))
            .await
            .expect(400)
            .json();
        assert_eq!(problem["errors"][0]["pointer"], place, "{query}");
    }
}

async fn a_provider_is_proven_by_its_attestation(app: &TestApp) {
    let shop = made(app, "scopes", "Shop", json!({"statement": "Shop"})).await;
    let operation = async |control: &Value| {
        app.get(&app.keys.manager, &at("controls", control))
            .await
            .expect(200)
            .json()["operation"]
            .clone()
    };
    let entry = async |requirement: &str| {
        let path = format!("{}/statement-of-applicability", at("scopes", &shop));
        let soa = app.get(&app.keys.manager, &path).await.expect(200).json();
        super::soa::entry(&soa, requirement)["operation"].clone()
    };
    let of = |responsibility: &str, requirement: &str| {
        json!({"responsibility": responsibility,
        "requirements": [format!("iso-27001-2022:{requirement}")]})
    };
    let provided = control(app, "Power of the data centre", of("provider", "A.7.11")).await;
    let shared = control(app, "Backups in the cloud", of("shared", "A.8.13")).await;
    for control in [&provided, &shared] {
        push(
            app,
            control,
            &format!("screenshot of {}", control["code"]),
            json!({}),
        )
        .await;
        assert_eq!(operation(control).await, "unproven");
    }
    assert_eq!(
        (entry("A.7.11").await, entry("A.8.13").await),
        (json!("unproven"), json!("unproven"))
    );
    let report = json!({"attests": true, "expires_on": "2026-12-31"});
    for control in [&provided, &shared] {
        let piece = push(
            app,
            control,
            &format!("report for {}", control["code"]),
            report.clone(),
        )
        .await;
        assert_eq!(piece["attests"], true);
        assert_eq!(operation(control).await, "operating");
        let refused = app
            .patch(
                &app.keys.manager,
                &at("evidence", &piece),
                "*",
                &json!({"attests": false}),
            )
            .await;
        assert_eq!(
            refused.pointers(),
            ["/attests"],
            "what it is was said with the push"
        );
    }
    assert_eq!(
        (entry("A.7.11").await, entry("A.8.13").await),
        (json!("operating"), json!("operating"))
    );
    let attesting = app
        .get(&app.keys.manager, "/v1/evidence?attests=true")
        .await
        .data();
    assert_eq!(
        (
            attesting.len(),
            app.get(&app.keys.manager, "/v1/evidence?attests=false")
                .await
                .data()
                .len()
        ),
        (2, 2)
    );
    app.pass_days(60);
    assert_eq!(
        (operation(&provided).await, operation(&shared).await),
        (json!("stale"), json!("stale")),
        "the report has expired"
    );
    let other = control(app, "Only a report", of("shared", "A.8.14")).await;
    push(app, &other, "report alone", json!({"attests": true})).await;
    assert_eq!(
        operation(&other).await,
        "unproven",
        "the organization's own part is not proven"
    );
}

async fn computed_members_are_filters(app: &TestApp) {
    let (shop, none) = (
        made(app, "scopes", "Shop", json!({"statement": "Shop"})).await,
        json!({}),
    );
    let limits = [
        none,
        json!({"sources": ["backup"]}),
        json!({"scope_ids": [shop["code"]]}),
        json!({"period_start_on": "2026-11-01"}),
    ];
    let mut keys = Vec::new();
    for limits in limits {
        keys.push(super::key(app, "auditor", None, limits).await);
    }
    let mut number = 0;
    for frequency in [
        "daily",
        "weekly",
        "monthly",
        "quarterly",
        "half_yearly",
        "yearly",
        "continuous",
        "per_event",
    ] {
        for responsibility in ["own", "shared", "provider"] {
            let of = json!({"frequency": frequency, "responsibility": responsibility});
            let control = control(app, &format!("{frequency} {responsibility}"), of).await;
            for (n, more) in [
                json!({"attests": number % 2 == 0, "period_end_on": "2026-11-01"}),
                json!({"attests": number % 3 == 0,
                    "expires_on": if number % 2 == 0 { "2026-12-01" } else { "2027-03-01" }}),
                json!({"collected_at": "2026-01-10T10:00:00Z"}),
            ]
            .into_iter()
            .enumerate()
            .take(number % 4)
            {
                push(
                    app,
                    &control,
                    &format!("{frequency} {responsibility} {n}"),
                    more,
                )
                .await;
            }
            number += 1;
        }
    }
    made(
        app,
        "controls",
        "Planned",
        json!({"implementation": "planned"}),
    )
    .await;
    let both = made(
        app,
        "controls",
        "Weekly too",
        json!({"implementation": "implemented", "frequency": "weekly"}),
    )
    .await;
    let yearly = app
        .get(&app.keys.manager, "/v1/controls?q=yearly%20own")
        .await
        .data();
    let pair = json!({"name": "both", "source": "tests", "external_id": "series", "payload": 1,
        "period_end_on": "2026-11-01", "control_ids": [both["id"], yearly[0]["id"]]});
    app.post(&app.keys.manager, "/v1/evidence", &pair)
        .await
        .expect(201);
    app.pass(3600);
    let next = json!({"name": "next", "source": "tests", "external_id": "series", "payload": 2});
    app.post(&app.keys.manager, "/v1/evidence", &next)
        .await
        .expect(201);
    let mut seen = std::collections::BTreeSet::new();
    for days in [0, 7, 40, 200] {
        app.pass_days(days);
        for (path, member, words) in [
            ("controls", "operation", ["operating", "stale", "unproven"]),
            (
                "evidence",
                "freshness",
                ["current", "expired", "superseded"],
            ),
        ] {
            for key in &keys {
                for pin in [String::new(), format!("&as_of={}", app.now())] {
                    let all = app
                        .get(key, &format!("/v1/{path}?limit=200{pin}"))
                        .await
                        .data();
                    for word in words {
                        let wanted: Vec<&Value> = all
                            .iter()
                            .filter(|record| record[member] == word)
                            .map(|record| &record["code"])
                            .collect();
                        let found = app
                            .get(key, &format!("/v1/{path}?limit=200&{member}={word}{pin}"))
                            .await
                            .data();
                        assert_eq!(
                            found
                                .iter()
                                .map(|record| &record["code"])
                                .collect::<Vec<_>>(),
                            wanted,
                            "{member} {word} {pin} after {days} days"
                        );
                        seen.extend((!wanted.is_empty()).then_some(word));
                    }
                    let two = app
                        .get(
                            key,
                            &format!(
                                "/v1/{path}?limit=200&{member}={}&{member}={}{pin}",
                                words[0], words[1]
                            ),
                        )
                        .await
                        .data();
                    assert_eq!(
                        two.len(),
                        all.iter()
                            .filter(|record| record[member] != words[2])
                            .count()
                    );
                }
            }
        }
    }
    assert_eq!(seen.len(), 6, "every word was true of something: {seen:?}");
    app.get(&keys[0], "/v1/controls?operation=working")
        .await
        .problem(400, "invalid_parameter");
}
