//! A year of one risk: accepted, lapsed by date, by its level, by another owner, by a new
//! methodology, and treated in the end. What was asked each quarter is asked again at the end as of
//! then, and the answers are the same.
use super::methodology::revise;
use super::treatment::{accepted, assess, evaluation, risk, signed};
use super::{at, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(a_year_is_told_as_it_was);

const VIEWS: [&str; 14] = [
    "/v1/risks",
    "/v1/risks?evaluation=accepted",
    "/v1/risks?evaluation=acceptance_lapsed",
    "/v1/risks?evaluation=in_treatment",
    "/v1/risks?evaluation=treatment_needed&evaluation=acceptable&include=total,counts",
    "/v1/risk-treatments?sort=code&limit=200",
    "/v1/risk-treatments?lapsed=true&sort=code",
    "/v1/risk-treatments?lapsed=false&sort=code",
    "/v1/risk-matrix",
    "/v1/risk-matrix?stage=residual",
    "/v1/risk-treatment-plan",
    "/v1/risk-treatment-plan?format=csv",
    "/v1/risk-trend",
    "/v1/overview",
];

/// What was answered at a moment.
struct Quarter {
    moment: String,
    evaluation: &'static str,
    reasons: Vec<&'static str>,
    answers: Vec<String>,
}

async fn told(
    app: &TestApp,
    risk: &Value,
    evaluation: &'static str,
    reasons: &[&'static str],
) -> Quarter {
    app.pass(3600);
    let mut answers = vec![
        app.get(&app.keys.manager, &at("risks", risk))
            .await
            .expect(200)
            .text(),
    ];
    for view in VIEWS {
        answers.push(app.get(&app.keys.manager, view).await.expect(200).text());
    }
    assert_eq!(self::evaluation(app, risk).await, evaluation);
    assert_eq!(lapses(app, "").await, reasons);
    let moment = app.now();
    app.pass(1);
    Quarter {
        moment,
        evaluation,
        reasons: reasons.to_vec(),
        answers,
    }
}
/// Why each treatment lapsed, in the order of their codes; "-" where it has not.
async fn lapses(app: &TestApp, pin: &str) -> Vec<String> {
    let all = app
        .get(
            &app.keys.manager,
            &format!("/v1/risk-treatments?sort=code{pin}"),
        )
        .await
        .data();
    all.iter()
        .map(|one| one["lapse_reason"].as_str().unwrap_or("-").to_owned())
        .collect()
}
/// The day on which the newest treatment lapsed.
async fn lapsed_on(app: &TestApp) -> Value {
    app.get(&app.keys.manager, "/v1/risk-treatments?sort=-code&limit=1")
        .await
        .data()[0]["lapsed_on"]
        .clone()
}

async fn a_year_is_told_as_it_was(app: &TestApp) {
    let manager = &app.keys.manager;
    let owned = |person: &str| json!({"owner_id": person});
    // 2026-11-20: found, assessed, accepted until the end of March.
    let risk = risk(app, "Fire", 3, 5).await;
    assert_eq!(evaluation(app, &risk).await, "treatment_needed");
    accepted(app, &risk, "2027-03-31").await;
    app.pass_days(41);
    let mut quarters = vec![told(app, &risk, "accepted", &["-"]).await]; // 2026-12-31
    app.pass_days(90);
    assert_eq!(
        (&app.now()[..10], evaluation(app, &risk).await),
        ("2027-03-31", json!("accepted")),
        "its last day"
    );
    let list = app.get(manager, "/v1/risks").await.expect(200);
    app.pass_days(1);
    // Nothing was written, and no job ran: it has lapsed the moment that the day is over, in the
    // organization's zone.
    assert_eq!(
        (evaluation(app, &risk).await, lapsed_on(app).await),
        (json!("acceptance_lapsed"), json!("2027-04-01"))
    );
    app.get_with(manager, "/v1/risks", &[("If-None-Match", &list.etag())])
        .await
        .expect(200);
    quarters.push(told(app, &risk, "acceptance_lapsed", &["expired"]).await); // 2027-04-01
    // Accepted anew; assessed as bad as before: it holds; worse: it lapses, and does not come back
    // when the level falls again.
    accepted(app, &risk, "2028-12-31").await;
    app.pass_days(10);
    assess(app, &risk, 2, 5).await;
    assess(app, &risk, 3, 5).await;
    assert_eq!(evaluation(app, &risk).await, "accepted");
    app.pass_days(10); // 2027-04-21
    assess(app, &risk, 4, 5).await;
    assert_eq!(
        (evaluation(app, &risk).await, lapsed_on(app).await),
        (json!("acceptance_lapsed"), json!("2027-04-21"))
    );
    app.pass_days(10);
    assess(app, &risk, 3, 5).await;
    assert_eq!(
        (evaluation(app, &risk).await, lapsed_on(app).await),
        (json!("acceptance_lapsed"), json!("2027-04-21"))
    );
    // Another owner has not accepted it, and the first one coming back does not either.
    accepted(app, &risk, "2028-12-31").await;
    app.pass_days(5); // 2027-05-06
    app.patch(manager, &at("risks", &risk), "*", &owned(&app.keys.person))
        .await
        .expect(200);
    assert_eq!(
        (evaluation(app, &risk).await, lapsed_on(app).await),
        (json!("acceptance_lapsed"), json!("2027-05-06"))
    );
    app.pass_days(5);
    app.patch(
        manager,
        &at("risks", &risk),
        "*",
        &owned(&app.keys.contributor_person),
    )
    .await
    .expect(200);
    app.pass_days(50);
    quarters.push(
        told(
            app,
            &risk,
            "acceptance_lapsed",
            &["expired", "level_rose", "owner_changed"],
        )
        .await,
    ); // 2027-06-30
    // A new revision of the methodology: what was accepted was accepted under the old one.
    accepted(app, &risk, "2028-12-31").await;
    app.pass_days(30); // 2027-07-30
    assert_eq!(evaluation(app, &risk).await, "accepted");
    let methodology = app
        .get(manager, "/v1/risk-methodologies/MET-1")
        .await
        .expect(200)
        .json();
    let mut matrix = methodology["matrix"].clone();
    matrix[2][4] = json!("critical");
    revise(app, json!({"matrix": matrix})).await;
    assert_eq!(
        (evaluation(app, &risk).await, lapsed_on(app).await),
        (json!("acceptance_lapsed"), json!("2027-07-30"))
    );
    let stale = json!({"risk_id": risk["id"], "option": "accept", "justification": "j",
        "expires_on": "2028-12-31"});
    let stale = at(
        "risk-treatments",
        &made(app, "risk-treatments", "Under the old one", stale).await,
    );
    app.act(manager, &format!("{stale}/submit"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    app.act(
        manager,
        &format!("{stale}/cancel"),
        &json!({"comment": "assess first"}),
    )
    .await
    .expect(200);
    app.delete(manager, &stale, "*").await.expect(204);
    let rescored = json!({"all": true, "stage": "current", "rationale": "Revision 2."});
    let rescored = app
        .post(manager, "/v1/risks/rescore", &rescored)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &rescored["data"][0]["score"]["level"],
            &rescored["data"][0]["score"]["methodology_revision"]
        ),
        (&json!("critical"), &json!(2))
    );
    accepted(app, &risk, "2028-12-31").await;
    app.pass_days(61);
    let reasons = [
        "expired",
        "level_rose",
        "owner_changed",
        "methodology_revised",
    ];
    quarters.push(told(app, &risk, "accepted", &[&reasons[..], &["-"]].concat()).await); // 2027-09-29
    // Revoked, treated, assessed again, closed.
    let newest = app
        .get(manager, "/v1/risk-treatments?sort=-code&limit=1")
        .await
        .data()
        .remove(0);
    app.act(
        &app.keys.contributor,
        &format!("{}/revoke", at("risk-treatments", &newest)),
        &json!({"comment": "it burned next door"}),
    )
    .await
    .expect(200);
    assert_eq!(evaluation(app, &risk).await, "acceptance_lapsed");
    let expected = json!({"risk_id": risk["id"], "option": "mitigate", "plan": "Sprinklers.",
        "expected": {"likelihood": 1, "impact": 3},
        "owner_id": risk["owner_id"], "due_on": "2027-12-31"});
    let work = at(
        "risk-treatments",
        &signed(app, "Sprinklers", expected).await,
    );
    app.act(manager, &format!("{work}/start"), &json!({}))
        .await
        .expect(200);
    let reasons = [&reasons[..], &["revoked"]].concat();
    quarters.push(told(app, &risk, "in_treatment", &[&reasons[..], &["-"]].concat()).await);
    app.pass_days(20);
    app.act(manager, &format!("{work}/complete"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    assess(app, &risk, 1, 3).await;
    app.act(manager, &format!("{work}/complete"), &json!({}))
        .await
        .expect(200);
    app.pass_days(20);
    quarters.push(told(app, &risk, "acceptable", &[&reasons[..], &["-"]].concat()).await); // 2027-11-08
    app.act(
        manager,
        &format!("{}/close", at("risks", &risk)),
        &json!({}),
    )
    .await
    .expect(200);
    app.patch(
        manager,
        "/v1/risk-treatments/TRT-7",
        "*",
        &json!({"name": "x"}),
    )
    .await
    .problem(409, "illegal_transition");
    app.pass_days(2);
    // The same questions as of each of those moments.
    for quarter in &quarters {
        let pin = format!("as_of={}", quarter.moment);
        let question =
            |path: &str| format!("{path}{}{pin}", if path.contains('?') { '&' } else { '?' });
        let path = at("risks", &risk);
        for (view, before) in [path.as_str()].iter().chain(&VIEWS).zip(&quarter.answers) {
            assert_eq!(
                app.get(manager, &question(view)).await.expect(200).text(),
                *before,
                "{view} as of {}",
                quarter.moment
            );
        }
        let then = app.get(manager, &question(&path)).await.expect(200).json();
        assert_eq!(
            (&then["evaluation"], lapses(app, &format!("&{pin}")).await),
            (
                &json!(quarter.evaluation),
                quarter.reasons.iter().map(|r| (*r).to_owned()).collect()
            )
        );
    }
}
