//! Controls: implementation is said, operation follows from evidence and the clock.
use super::{at, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    a_control_operates_while_its_evidence_is_fresh,
    each_frequency_gives_its_own_time,
    the_default_is_the_organizations,
    requirements_have_to_exist
);

async fn operation(app: &TestApp, control: &Value) -> (String, i64, i64) {
    let found = app
        .get(&app.keys.manager, &at("controls", control))
        .await
        .expect(200)
        .json();
    let evidence = &found["evidence"];
    (
        found["operation"].as_str().unwrap().to_owned(),
        evidence["current"].as_i64().unwrap(),
        evidence["expired"].as_i64().unwrap(),
    )
}

async fn a_control_operates_while_its_evidence_is_fresh(app: &TestApp) {
    let key = &app.keys.manager;
    let control = made(
        app,
        "controls",
        "Reviews",
        json!({"implementation": "planned", "frequency": "quarterly"}),
    )
    .await;
    assert_eq!(operation(app, &control).await, ("unproven".into(), 0, 0));
    let evidence = made(
        app,
        "evidence",
        "Q3",
        json!({"payload": 1, "source": "s",
            "control_ids": [control["id"]], "expires_on": "2026-11-25"}),
    )
    .await;
    assert_eq!(
        operation(app, &control).await,
        ("unproven".into(), 1, 0),
        "what is not implemented does not operate"
    );
    app.patch(
        key,
        &at("controls", &control),
        "*",
        &json!({"implementation": "implemented"}),
    )
    .await
    .expect(200);
    assert_eq!(operation(app, &control).await, ("operating".into(), 1, 0));
    let tag = app.get(key, &at("controls", &control)).await.etag();
    app.pass_days(5);
    assert_eq!(
        operation(app, &control).await,
        ("operating".into(), 1, 0),
        "the last day is still current"
    );
    app.pass_days(1);
    assert_eq!(operation(app, &control).await, ("stale".into(), 0, 1));
    app.get_with(key, &at("controls", &control), &[("If-None-Match", &tag)])
        .await
        .expect(200);
    app.patch(
        key,
        &at("controls", &control),
        &tag,
        &json!({"tags": ["x"]}),
    )
    .await
    .expect(200);
    made(
        app,
        "evidence",
        "Q4",
        json!({"payload": 2, "source": "s", "control_ids": [control["id"]]}),
    )
    .await;
    assert_eq!(operation(app, &control).await, ("operating".into(), 1, 1));
    app.delete(key, &at("evidence", &evidence), "*")
        .await
        .expect(204);
    assert_eq!(
        operation(app, &control).await,
        ("operating".into(), 1, 0),
        "what is archived does not count"
    );
}

async fn each_frequency_gives_its_own_time(app: &TestApp) {
    for (frequency, days) in [
        ("daily", 2),
        ("weekly", 8),
        ("monthly", 34),
        ("quarterly", 101),
        ("half_yearly", 201),
    ] {
        let control = made(
            app,
            "controls",
            frequency,
            json!({"implementation": "implemented", "frequency": frequency}),
        )
        .await;
        let today = app.now()[..10].to_owned();
        made(
            app,
            "evidence",
            frequency,
            json!({"payload": frequency, "source": "s", "control_ids": [control["id"]],
                "period_end_on": today}),
        )
        .await;
        app.pass_days(days);
        assert_eq!(
            operation(app, &control).await.0,
            "operating",
            "{frequency} after {days} days"
        );
        app.pass_days(1);
        assert_eq!(
            operation(app, &control).await.0,
            "stale",
            "{frequency} after {} days",
            days + 1
        );
    }
}

async fn the_default_is_the_organizations(app: &TestApp) {
    let control = made(
        app,
        "controls",
        "Any",
        json!({"implementation": "implemented"}),
    )
    .await;
    made(
        app,
        "evidence",
        "e",
        json!({"payload": 1, "source": "s", "control_ids": [control["id"]]}),
    )
    .await;
    app.patch(
        &app.keys.admin,
        "/v1/organization",
        "*",
        &json!({"evidence_default_valid_days": 3}),
    )
    .await
    .expect(200);
    app.pass_days(3);
    assert_eq!(operation(app, &control).await.0, "operating");
    app.pass_days(1);
    assert_eq!(operation(app, &control).await.0, "stale");
}

async fn requirements_have_to_exist(app: &TestApp) {
    let key = &app.keys.manager;
    let body = json!({"name": "c", "requirements": ["iso-27001-2022:A.5.1",
        "iso-27001-2022:A.5.99", "nonsense"]});
    assert_eq!(
        app.post(key, "/v1/controls", &body).await.pointers(),
        ["/requirements/1", "/requirements/2"]
    );
    let early = json!({"name": "c", "implementation": "planned", "implemented_on": "2026-01-01"});
    assert_eq!(
        app.post(key, "/v1/controls", &early).await.pointers(),
        ["/implemented_on"]
    );
    let control = made(
        app,
        "controls",
        "c",
        json!({"requirements": ["iso-27001-2022:A.5.1", "iso-27001-2022:6.1.3(f)"]}),
    )
    .await;
    for (filter, many) in [
        ("requirement=iso-27001-2022:A.5.1", 1),
        ("requirement=iso-27001-2022:A.5.2", 0),
        (
            "requirement=iso-27001-2022:A.5.2&requirement=iso-27001-2022:6.1.3(f)",
            1,
        ),
    ] {
        assert_eq!(
            app.get(key, &format!("/v1/controls?{filter}"))
                .await
                .data()
                .len(),
            many,
            "{filter}"
        );
    }
    app.patch(
        key,
        &at("controls", &control),
        "*",
        &json!({"requirements": []}),
    )
    .await
    .expect(200);
    assert_eq!(
        app.get(key, "/v1/controls?requirement=iso-27001-2022:A.5.1")
            .await
            .data(),
        Vec::<Value>::new()
    );
}
