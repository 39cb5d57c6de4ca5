//! Risk treatments: what each option needs, who signs, what an approval writes, and what a
//! completed one settles.
use super::{at, key, made};
use crate::support::TestApp;
use crate::support::make::{last, tenant};
use isms::access::{Actor, Caller, Role};
use isms::ledger::AsOf;
use isms::records::{Reader, Settings};
use isms::registers::treatment::applications;
use serde_json::{Value, json};
use std::collections::BTreeSet;

crate::on_both!(
    each_option_needs_its_own,
    no_option_leaves_more_than_there_was,
    two_persons_sign_and_none_of_them_asked,
    what_changed_meanwhile_is_not_signed,
    the_owner_alone_signs_what_becomes_acceptable,
    a_mitigation_ends_with_a_new_assessment,
    the_plan_names_each_risk_above_the_criteria,
    the_plan_is_a_table_without_formulas,
    lists_know_what_stands_against_a_risk,
    controls_are_applied_by_treatments_that_were_approved
);

/// A risk of the contributor's, scored.
pub async fn risk(app: &TestApp, name: &str, likelihood: i64, impact: i64) -> Value {
    let risk = made(
        app,
        "risks",
        name,
        json!({"owner_id": app.keys.contributor_person}),
    )
    .await;
    assess(app, &risk, likelihood, impact).await;
    risk
}
pub async fn assess(app: &TestApp, risk: &Value, likelihood: i64, impact: i64) {
    let body = json!({"stage": "current", "likelihood": likelihood, "impact": impact,
        "rationale": "seen"});
    app.post(
        &app.keys.manager,
        &format!("{}/assessments", at("risks", risk)),
        &body,
    )
    .await
    .expect(201);
}
pub async fn evaluation(app: &TestApp, risk: &Value) -> Value {
    app.get(&app.keys.manager, &at("risks", risk))
        .await
        .expect(200)
        .json()["evaluation"]
        .clone()
}
fn acceptance(risk: &Value, until: &str) -> Value {
    json!({"risk_id": risk["id"], "option": "accept", "justification": "Costs more than it \
        saves.", "expires_on": until})
}
/// A treatment that the manager asks for, signed by the owner and the approver.
pub async fn signed(app: &TestApp, name: &str, more: Value) -> Value {
    let treatment = made(app, "risk-treatments", name, more).await;
    let path = at("risk-treatments", &treatment);
    app.act(&app.keys.manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    let mut done = app
        .act(&app.keys.contributor, &format!("{path}/sign"), &json!({}))
        .await
        .expect(200)
        .json();
    if done["status"] == "in_review" {
        done = app
            .act(&app.keys.approver, &format!("{path}/sign"), &json!({}))
            .await
            .expect(200)
            .json();
    }
    done
}
pub async fn accepted(app: &TestApp, risk: &Value, until: &str) -> Value {
    let done = signed(app, "Bear it", acceptance(risk, until)).await;
    assert_eq!(
        (&done["status"], &done["lapsed_on"], &done["lapse_reason"]),
        (&json!("accepted"), &Value::Null, &Value::Null)
    );
    done
}
fn mitigation(risk: &Value) -> Value {
    json!({"risk_id": risk["id"], "option": "mitigate", "plan": "A second factor.",
        "expected": {"likelihood": 1, "impact": 4},
        "owner_id": risk["owner_id"], "due_on": "2027-06-30"})
}
/// What is missing, by place and code.
#[track_caller]
fn lacking(reply: crate::support::Reply) -> Vec<(String, String)> {
    let problem = reply.problem(409, "not_ready");
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (text(fault, "pointer"), text(fault, "code")))
        .collect()
}
fn places(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(at, code)| ((*at).to_owned(), (*code).to_owned()))
        .collect()
}

async fn each_option_needs_its_own(app: &TestApp) {
    let (key, risk) = (&app.keys.manager, risk(app, "Fire", 4, 5).await);
    let expected = json!({"likelihood": 1, "impact": 2});
    for (body, pointers) in [
        (
            json!({"option": "accept"}),
            vec!["/expires_on", "/justification"],
        ),
        (
            json!({"option": "accept", "justification": " ", "expires_on": "2027-01-01"}),
            vec!["/justification"],
        ),
        (
            json!({"option": "mitigate", "expected": expected}),
            vec!["/control_ids", "/plan"],
        ),
        (
            json!({"option": "mitigate"}),
            vec!["/control_ids", "/expected", "/plan"],
        ),
        (
            json!({"option": "transfer", "expected": expected}),
            vec!["/counterparty"],
        ),
        (json!({"option": "avoid"}), vec!["/expected"]),
        (
            json!({"option": "avoid", "expected": {"likelihood": 0, "impact": 11}}),
            vec!["/expected/impact", "/expected/likelihood"],
        ),
        (json!({"option": "ignore"}), vec!["/option"]),
        (
            json!({"option": "avoid", "expected": expected, "risk_id": "RSK-999"}),
            vec!["/risk_id"],
        ),
        (
            json!({"option": "avoid", "expected": expected, "risk_id": null}),
            vec!["/risk_id"],
        ),
        (
            json!({"option": "avoid", "expected": expected, "signatures": []}),
            vec!["/signatures"],
        ),
    ] {
        let mut whole = json!({"name": "x", "risk_id": risk["id"]});
        whole
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        assert_eq!(
            app.post(key, "/v1/risk-treatments", &whole)
                .await
                .pointers(),
            pointers,
            "{body}"
        );
    }
    let control = made(app, "controls", "Second factor", json!({})).await;
    let applied = json!({"risk_id": risk["code"], "option": "mitigate",
        "control_ids": [control["code"]], "expected": expected});
    let treatment = made(app, "risk-treatments", "Apply it", applied).await;
    let path = at("risk-treatments", &treatment);
    assert_eq!(treatment["code"], "TRT-1");
    assert_eq!(
        app.patch(key, &path, "*", &json!({"control_ids": []}))
            .await
            .pointers(),
        ["/control_ids", "/plan"]
    );
    app.patch(key, &path, "*", &json!({"option": "accept"}))
        .await
        .expect(422);
    app.patch(
        key,
        &path,
        "*",
        &json!({"expected": {"likelihood": 9, "impact": 1}}),
    )
    .await
    .expect(200);
    let wanted = places(&[
        ("/owner_id", "required"),
        ("/due_on", "required"),
        ("/expected", "range"),
    ]);
    assert_eq!(
        lacking(app.act(key, &format!("{path}/submit"), &json!({})).await),
        wanted,
        "all of it at once"
    );
    let past = made(
        app,
        "risk-treatments",
        "Late",
        acceptance(&risk, "2026-11-19"),
    )
    .await;
    assert_eq!(
        app.act(
            key,
            &format!("{}/submit", at("risk-treatments", &past)),
            &json!({})
        )
        .await
        .pointers(),
        ["/expires_on"]
    );
    // What state does not allow.
    let nobody = made(app, "risks", "Flood", json!({})).await;
    let path = at(
        "risk-treatments",
        &made(
            app,
            "risk-treatments",
            "Bear it",
            acceptance(&nobody, "2027-01-01"),
        )
        .await,
    );
    app.act(key, &format!("{path}/submit"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    app.patch(
        key,
        &at("risks", &nobody),
        "*",
        &json!({"owner_id": app.keys.contributor_person}),
    )
    .await
    .expect(200);
    let problem = app
        .act(key, &format!("{path}/submit"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    assert!(
        problem["detail"].as_str().unwrap().contains("not assessed"),
        "{problem}"
    );
    app.act(key, &format!("{path}/start"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    app.act(key, &format!("{path}/revoke"), &json!({"comment": "x"}))
        .await
        .problem(409, "illegal_transition");
    assert_eq!(
        app.act(key, &format!("{path}/cancel"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    app.act(key, &format!("{path}/cancel"), &json!({"comment": "no"}))
        .await
        .expect(200);
    app.delete(key, &path, "*").await.expect(204);
}

async fn no_option_leaves_more_than_there_was(app: &TestApp) {
    let (key, risk) = (&app.keys.manager, risk(app, "Fire", 2, 3).await);
    let submitted = async |more: Value| {
        let mut body =
            json!({"risk_id": risk["id"], "owner_id": app.keys.person, "due_on": "2027-06-30"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let path = at(
            "risk-treatments",
            &made(app, "risk-treatments", "x", body).await,
        );
        app.act(key, &format!("{path}/submit"), &json!({})).await
    };
    let options = [
        json!({"option": "mitigate", "plan": "p"}),
        json!({"option": "transfer", "counterparty": "Insurer"}),
        json!({"option": "avoid"}),
    ];
    let with = |option: &Value, more: Value| {
        let mut body = option.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    for option in &options {
        for (likelihood, impact) in [(5, 5), (2, 4), (1, 7), (4, 2)] {
            let body = with(
                option,
                json!({"expected": {"likelihood": likelihood, "impact": impact}}),
            );
            let code = if impact > 5 { "range" } else { "above_current" };
            assert_eq!(
                lacking(submitted(body).await),
                places(&[("/expected", code)]),
                "{option} {likelihood} x {impact}"
            );
        }
        for (likelihood, impact) in [(2, 3), (3, 2), (1, 1), (1, 5)] {
            let body = with(
                option,
                json!({"expected": {"likelihood": likelihood, "impact": impact}}),
            );
            submitted(body).await.expect(200);
        }
    }
    // An acceptance leaves it as it is, and says nothing else.
    let accept = json!({"option": "accept", "justification": "j", "expires_on": "2027-01-01"});
    let less = with(&accept, json!({"expected": {"likelihood": 1, "impact": 1}}));
    assert_eq!(
        lacking(submitted(less).await),
        places(&[("/expected", "not_current")])
    );
    let same = with(&accept, json!({"expected": {"likelihood": 2, "impact": 3}}));
    submitted(same).await.expect(200);
    // Only a mitigation needs somebody who does it, and a day.
    let nobody =
        json!({"owner_id": null, "due_on": null, "expected": {"likelihood": 1, "impact": 1}});
    assert_eq!(
        lacking(submitted(with(&options[0], nobody.clone())).await),
        places(&[("/owner_id", "required"), ("/due_on", "required")])
    );
    submitted(with(&options[1], nobody)).await.expect(200);
    // What the risk itself lacks is named beside it.
    let bare = made(app, "risks", "Flood", json!({})).await;
    let body = with(
        &options[0],
        json!({"risk_id": bare["id"], "owner_id": null, "expected": {"likelihood": 1,
            "impact": 1}}),
    );
    let wanted = places(&[
        ("/owner_id", "required"),
        ("/risk_id", "not_ready"),
        ("/risk_id", "not_ready"),
    ]);
    assert_eq!(lacking(submitted(body).await), wanted);
    // The risk got better while the treatment waited: what was expected is more than there is.
    let path = at(
        "risk-treatments",
        &made(
            app,
            "risk-treatments",
            "Second factor",
            with(&mitigation(&risk), json!({})),
        )
        .await,
    );
    app.act(key, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    assess(app, &risk, 1, 2).await;
    assert_eq!(
        lacking(
            app.act(&app.keys.contributor, &format!("{path}/sign"), &json!({}))
                .await
        ),
        places(&[("/expected", "above_current")])
    );
}

async fn two_persons_sign_and_none_of_them_asked(app: &TestApp) {
    let someone = made(app, "people", "Someone", json!({})).await;
    let user = json!({"email": "someone@a.example", "name": "someone", "roles": ["manager",
        "contributor"], "person_id": someone["id"]});
    let user = app.user(&app.keys.admin, &user).await;
    let risk = risk(app, "Fire", 4, 5).await;
    let treatment = made(
        app,
        "risk-treatments",
        "Bear it",
        acceptance(&risk, "2027-11-19"),
    )
    .await;
    let path = at("risk-treatments", &treatment);
    let (submit, sign) = (format!("{path}/submit"), format!("{path}/sign"));
    let service = key(app, "manager", None, json!({})).await;
    let service_approver = key(app, "approver", None, json!({})).await;
    app.act(&service, &submit, &json!({}))
        .await
        .problem(403, "segregation_of_duties");
    let asked = app
        .act(&app.keys.manager, &submit, &json!({"comment": "please"}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &asked["status"],
            &asked["basis"]["authority"],
            &asked["basis"]["score"]["level"]
        ),
        (&json!("in_review"), &json!("approver"), &json!("critical"))
    );
    assert_eq!(
        asked["basis"]["risk_owner_id"],
        json!(app.keys.contributor_person)
    );
    assert_eq!(
        asked["allowed_transitions"],
        json!(["sign", "return", "cancel"])
    );
    app.patch(&app.keys.manager, &path, "*", &json!({"name": "Other"}))
        .await
        .problem(409, "illegal_transition");
    app.delete(&app.keys.manager, &path, "*")
        .await
        .problem(409, "illegal_transition");
    // Whoever asked does not sign, with whatever key of theirs.
    let other_key = key(app, "approver", Some(&app.keys.user), json!({})).await;
    for who in [
        &app.keys.manager,
        &app.keys.admin,
        &other_key,
        &service_approver,
    ] {
        app.act(who, &sign, &json!({}))
            .await
            .problem(403, "segregation_of_duties");
    }
    app.act(&app.keys.auditor, &sign, &json!({}))
        .await
        .problem(403, "forbidden");
    app.act(&app.keys.collector, &sign, &json!({}))
        .await
        .problem(403, "forbidden");
    app.act(&app.keys.b_manager, &sign, &json!({}))
        .await
        .problem(404, "not_found");
    // A person without authority for the level, who does not own the risk.
    for role in ["manager", "contributor"] {
        let theirs = key(app, role, user["id"].as_str(), json!({})).await;
        app.act(&theirs, &sign, &json!({}))
            .await
            .problem(403, "not_assigned");
    }
    let first = app
        .act(&app.keys.contributor, &sign, &json!({"comment": "mine"}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &first["status"],
            first["signatures"].as_array().unwrap().len()
        ),
        (&json!("in_review"), 1)
    );
    assert_eq!(
        (
            &first["signatures"][0]["capacity"],
            &first["signatures"][0]["version"]
        ),
        (&json!("owner"), &json!(2))
    );
    // Never the same person twice, even with another key that has the authority.
    let owner_approves = key(app, "approver", Some(&app.keys.contributor_user), json!({})).await;
    for who in [&app.keys.contributor, &owner_approves] {
        app.act(who, &sign, &json!({}))
            .await
            .problem(403, "segregation_of_duties");
    }
    assert_eq!(evaluation(app, &risk).await, "treatment_needed");
    let at_risk = app
        .get(&app.keys.manager, &at("risks", &risk))
        .await
        .expect(200)
        .json();
    let done = app
        .act(&app.keys.approver, &sign, &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&done["status"], &done["signatures"][1]["capacity"]),
        (&json!("accepted"), &json!("authority"))
    );
    assert_eq!(
        done["signatures"][1]["person"]["person_id"],
        json!(app.keys.approver_person)
    );
    assert_eq!(done["allowed_transitions"], json!(["revoke"]));
    let after = app
        .get(&app.keys.manager, &at("risks", &risk))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (after["version"].as_i64(), &after["residual"]["level"]),
        (
            at_risk["version"].as_i64().map(|v| v + 1),
            &json!("critical")
        )
    );
    assert_eq!(
        (&at_risk["residual"], &after["evaluation"]),
        (&Value::Null, &json!("accepted"))
    );
    let entries = app
        .get(&app.keys.manager, "/v1/ledger/entries?limit=2")
        .await
        .data();
    let said: Vec<(&str, &str)> = entries
        .iter()
        .map(|e| (e["kind"].as_str().unwrap(), e["action"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [("risk", "treat"), ("risk_treatment", "sign")],
        "one entry for each record"
    );
    assert_eq!(entries[1]["seq"], done["approved_seq"]);
    app.act(&app.keys.approver, &sign, &json!({}))
        .await
        .problem(409, "illegal_transition");
    app.patch(&app.keys.manager, &path, "*", &json!({"name": "Other"}))
        .await
        .problem(409, "illegal_transition");
    app.delete(&app.keys.manager, &path, "*")
        .await
        .problem(409, "illegal_transition");
    app.delete(&app.keys.manager, &at("risks", &risk), "*")
        .await
        .problem(409, "in_use");
    // A service key revokes nothing; a contributor who owns the risk may.
    app.act(
        &service,
        &format!("{path}/revoke"),
        &json!({"comment": "x"}),
    )
    .await
    .problem(403, "segregation_of_duties");
    assert_eq!(
        app.act(&app.keys.contributor, &format!("{path}/revoke"), &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    let revoked = app
        .act(
            &app.keys.contributor,
            &format!("{path}/revoke"),
            &json!({"comment": "not any more"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&revoked["lapsed_on"], &revoked["lapse_reason"]),
        (&json!("2026-11-20"), &json!("revoked"))
    );
    assert_eq!(evaluation(app, &risk).await, "acceptance_lapsed");
}

async fn what_changed_meanwhile_is_not_signed(app: &TestApp) {
    let (manager, risk) = (&app.keys.manager, risk(app, "Fire", 4, 5).await);
    let path = at(
        "risk-treatments",
        &made(
            app,
            "risk-treatments",
            "Bear it",
            acceptance(&risk, "2027-01-31"),
        )
        .await,
    );
    let (submit, sign, back) = (
        format!("{path}/submit"),
        format!("{path}/sign"),
        format!("{path}/return"),
    );
    app.act(manager, &submit, &json!({})).await.expect(200);
    app.act(&app.keys.contributor, &sign, &json!({}))
        .await
        .expect(200);
    assess(app, &risk, 5, 5).await;
    let problem = app
        .act(&app.keys.approver, &sign, &json!({}))
        .await
        .problem(409, "illegal_transition");
    assert_eq!(problem["allowed"], json!(["return", "cancel"]));
    assert_eq!(
        app.act(&app.keys.contributor, &back, &json!({}))
            .await
            .pointers(),
        ["/comment"]
    );
    let draft = app
        .act(
            &app.keys.contributor,
            &back,
            &json!({"comment": "score has changed"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&draft["status"], &draft["signatures"], &draft["basis"]),
        (&json!("draft"), &json!([]), &Value::Null)
    );
    app.act(manager, &submit, &json!({})).await.expect(200);
    app.patch(
        manager,
        &at("risks", &risk),
        "*",
        &json!({"owner_id": app.keys.approver_person}),
    )
    .await
    .expect(200);
    app.act(&app.keys.approver, &sign, &json!({}))
        .await
        .problem(409, "illegal_transition");
    app.patch(
        manager,
        &at("risks", &risk),
        "*",
        &json!({"owner_id": app.keys.contributor_person}),
    )
    .await
    .expect(200);
    app.act(&app.keys.contributor, &sign, &json!({}))
        .await
        .expect(200);
    app.pass_days(73); // its last day is over before the last signature
    assert_eq!(
        app.act(&app.keys.approver, &sign, &json!({}))
            .await
            .pointers(),
        ["/expires_on"]
    );
}

async fn the_owner_alone_signs_what_becomes_acceptable(app: &TestApp) {
    let (manager, risk) = (&app.keys.manager, risk(app, "Fire", 4, 5).await);
    let done = made(app, "risk-treatments", "Second factor", mitigation(&risk)).await;
    let path = at("risk-treatments", &done);
    let asked = app
        .act(manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &asked["basis"]["authority"],
            &asked["basis"]["score"]["level"]
        ),
        (&Value::Null, &json!("low"))
    );
    app.act(&app.keys.approver, &format!("{path}/sign"), &json!({}))
        .await
        .problem(403, "not_assigned");
    let done = app
        .act(&app.keys.contributor, &format!("{path}/sign"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &done["status"],
            done["signatures"].as_array().unwrap().len()
        ),
        (&json!("approved"), 1)
    );
    let record = app
        .get(manager, &at("risks", &risk))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &record["residual"]["level"],
            &record["current"]["level"],
            &record["evaluation"]
        ),
        (&json!("low"), &json!("critical"), &json!("in_treatment"))
    );
    // A medium residual level asks for a manager or an approver; whoever asked is neither.
    let medium = json!({"risk_id": risk["id"], "option": "transfer", "counterparty": "Insurer",
        "expected": {"likelihood": 1, "impact": 5}});
    let path = at(
        "risk-treatments",
        &made(app, "risk-treatments", "Insure it", medium).await,
    );
    let asked = app
        .act(manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(asked["basis"]["authority"], "manager");
    app.act(&app.keys.approver, &format!("{path}/sign"), &json!({}))
        .await
        .expect(200);
    let done = app
        .act(&app.keys.contributor, &format!("{path}/sign"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&done["status"], &done["signatures"][0]["capacity"]),
        (&json!("approved"), &json!("authority")),
        "in any order"
    );
}

async fn a_mitigation_ends_with_a_new_assessment(app: &TestApp) {
    let (manager, risk) = (&app.keys.manager, risk(app, "Fire", 4, 5).await);
    let path = at(
        "risk-treatments",
        &signed(app, "Second factor", mitigation(&risk)).await,
    );
    app.act(manager, &format!("{path}/complete"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    app.pass(60);
    app.act(manager, &format!("{path}/start"), &json!({}))
        .await
        .expect(200);
    assert_eq!(evaluation(app, &risk).await, "in_treatment");
    app.pass(60);
    let problem = app
        .act(manager, &format!("{path}/complete"), &json!({}))
        .await
        .problem(409, "illegal_transition");
    assert_eq!(problem["allowed"], json!(["complete", "cancel"]));
    app.act(
        manager,
        &format!("{}/close", at("risks", &risk)),
        &json!({}),
    )
    .await
    .problem(409, "illegal_transition");
    assess(app, &risk, 2, 4).await; // better, but above the criteria
    let done = app
        .act(manager, &format!("{path}/complete"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &done["status"],
            &done["outcome"]["level"],
            &done["allowed_transitions"]
        ),
        (&json!("completed"), &json!("medium"), &json!([]))
    );
    assert_eq!(evaluation(app, &risk).await, "treatment_needed");
    assess(app, &risk, 4, 5).await; // worse than when it was completed
    app.act(
        manager,
        &format!("{}/close", at("risks", &risk)),
        &json!({}),
    )
    .await
    .problem(409, "illegal_transition");
    assess(app, &risk, 2, 4).await;
    assert_eq!(
        app.act(
            manager,
            &format!("{}/close", at("risks", &risk)),
            &json!({})
        )
        .await
        .expect(200)
        .json()["status"],
        "closed"
    );
    app.act(
        manager,
        &format!(
            "{}/submit",
            at(
                "risk-treatments",
                &made(app, "risk-treatments", "More", mitigation(&risk)).await
            )
        ),
        &json!({}),
    )
    .await
    .problem(409, "illegal_transition");
    // An acceptance that holds lets a risk be closed, too.
    let other = self::risk(app, "Flood", 5, 5).await;
    let close = format!("{}/close", at("risks", &other));
    accepted(app, &other, "2026-11-30").await;
    app.pass_days(30);
    app.act(manager, &close, &json!({}))
        .await
        .problem(409, "illegal_transition");
    accepted(app, &other, "2027-11-30").await;
    app.act(manager, &close, &json!({})).await.expect(200);
}

async fn the_plan_names_each_risk_above_the_criteria(app: &TestApp) {
    let manager = &app.keys.manager;
    let (worst, bad, fine) = (
        risk(app, "Fire", 5, 5).await,
        risk(app, "Flood", 2, 3).await,
        risk(app, "Dust", 1, 1).await,
    );
    let control = made(app, "controls", "Sprinklers", json!({})).await;
    let mut body = mitigation(&worst);
    body["control_ids"] = json!([control["id"]]);
    body["due_on"] = json!("2026-11-25");
    body["owner_id"] = json!(app.keys.person);
    let treatment = signed(app, "Sprinklers", body).await;
    let scope = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let elsewhere = made(app, "scopes", "Depot", json!({"statement": "s"})).await;
    let limited = key(
        app,
        "auditor",
        None,
        json!({"scope_ids": [elsewhere["id"]]}),
    )
    .await;
    app.patch(
        manager,
        &at("risks", &bad),
        "*",
        &json!({"scope_ids": [scope["id"]]}),
    )
    .await
    .expect(200);
    let plan = async |query: &str| {
        app.get(manager, &format!("/v1/risk-treatment-plan{query}"))
            .await
            .expect(200)
            .json()
    };
    let whole = plan("").await;
    let codes: Vec<&Value> = whole["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["code"])
        .collect();
    assert_eq!(
        codes,
        [&worst["code"], &bad["code"]],
        "worst first; what is acceptable needs no plan: {}",
        fine["code"]
    );
    let one = plan("?limit=1").await;
    let next = one["next_cursor"].as_str().unwrap();
    let rest = plan(&format!("?limit=1&cursor={next}")).await;
    assert_eq!(
        (&one["entries"][0], &rest["entries"][0]),
        (&whole["entries"][0], &whole["entries"][1]),
        "page by page"
    );
    assert_eq!(
        (&one["summary"], &rest["has_more"], &rest["next_cursor"]),
        (&whole["summary"], &json!(false), &json!(null))
    );
    let first = &whole["entries"][0];
    assert_eq!(
        (
            &first["evaluation"],
            &first["current"]["level"],
            &first["owner"]["name"]
        ),
        (
            &json!("in_treatment"),
            &json!("critical"),
            &json!("Contributor")
        )
    );
    let planned = &first["treatments"][0];
    assert_eq!(
        (&planned["code"], &planned["option"], &planned["status"]),
        (&treatment["code"], &json!("mitigate"), &json!("approved"))
    );
    assert_eq!(
        (
            &planned["controls"][0]["code"],
            &planned["expected_level"],
            &planned["overdue"]
        ),
        (&control["code"], &json!("low"), &json!(false))
    );
    assert_eq!(
        (
            &planned["due_on"],
            planned["signatures"].as_array().unwrap().len()
        ),
        (&json!("2026-11-25"), 1)
    );
    assert_eq!(
        whole["summary"],
        json!({"risks": 2, "untreated": 1, "overdue": 0, "lapsed": 0})
    );
    let other = plan(&format!(
        "?scope_id={}",
        elsewhere["code"].as_str().unwrap()
    ))
    .await;
    assert_eq!(
        other["entries"].as_array().unwrap().len(),
        1,
        "a risk of another scope is left out"
    );
    app.pass_days(6);
    assert_eq!(
        (
            &plan("").await["summary"]["overdue"],
            &plan("?as_of=2026-11-25").await["summary"]["overdue"]
        ),
        (&json!(1), &json!(0))
    );
    // A risk whose level is fine by now stays in the plan until the work is done.
    assess(app, &worst, 1, 1).await;
    assert_eq!(plan("").await["summary"]["risks"], 2);
    let path = at("risk-treatments", &treatment);
    app.act(manager, &format!("{path}/start"), &json!({}))
        .await
        .expect(200);
    app.pass(1);
    assess(app, &worst, 1, 1).await;
    app.act(manager, &format!("{path}/complete"), &json!({}))
        .await
        .expect(200);
    assert_eq!(plan("").await["summary"]["risks"], 1);
    let seen = app
        .get(&limited, "/v1/risk-treatment-plan")
        .await
        .expect(200)
        .json();
    assert_eq!(
        seen["entries"],
        json!([]),
        "a limited key sees its scopes: {bad}"
    );
    for bad in [
        "?format=pdf",
        "?scope_id=x",
        "?nmae=x",
        "?format=csv&limit=1",
        "?cursor=x",
    ] {
        app.get(manager, &format!("/v1/risk-treatment-plan{bad}"))
            .await
            .expect(400);
    }
    app.get(&app.keys.collector, "/v1/risk-treatment-plan")
        .await
        .problem(403, "forbidden");
}

async fn the_plan_is_a_table_without_formulas(app: &TestApp) {
    let risk = risk(app, "=HYPERLINK(\"x\")", 4, 5).await;
    let mut body = mitigation(&risk);
    body["plan"] = json!("@SUM(A1), \"quoted\"");
    signed(app, "+1", body).await;
    self::risk(app, "Flood", 5, 5).await;
    let table = app
        .get(&app.keys.manager, "/v1/risk-treatment-plan?format=csv")
        .await
        .expect(200);
    assert!(
        table
            .header("content-type")
            .unwrap()
            .starts_with("text/csv")
    );
    let accepts = app
        .get_with(
            &app.keys.manager,
            "/v1/risk-treatment-plan",
            &[("Accept", "text/csv")],
        )
        .await
        .expect(200);
    assert_eq!(accepts.text(), table.text());
    app.get_with(
        &app.keys.manager,
        "/v1/risk-treatment-plan",
        &[("Accept", "image/png")],
    )
    .await
    .problem(406, "not_acceptable");
    let text = table.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let columns = lines[0].split(',').count();
    assert!(
        lines[1].starts_with("RSK-2,Flood,Contributor,5,5,critical,treatment_needed,,")
            && lines[1].split(',').count() == columns
    );
    for neutral in [
        "\"'=HYPERLINK(\"\"x\"\")\"",
        ",'+1,mitigate,approved,",
        "\"'@SUM(A1), \"\"quoted\"\"\"",
        ",1,4,low,Contributor,",
    ] {
        assert!(lines[2].contains(neutral), "{neutral} in {}", lines[2]);
    }
}

async fn lists_know_what_stands_against_a_risk(app: &TestApp) {
    let manager = &app.keys.manager;
    let (needed, treated, held, lapsed) = (
        risk(app, "needed", 4, 5).await,
        risk(app, "treated", 4, 5).await,
        risk(app, "held", 4, 5).await,
        risk(app, "lapsed", 4, 5).await,
    );
    let (fine, unknown) = (
        risk(app, "fine", 1, 1).await,
        made(app, "risks", "unknown", json!({})).await,
    );
    signed(app, "Do it", mitigation(&treated)).await;
    let holds = accepted(app, &held, "2026-12-31").await;
    let ends = accepted(app, &lapsed, "2026-11-21").await;
    app.pass_days(2);
    let seq = app
        .get(manager, "/v1/risks")
        .await
        .expect(200)
        .header("ledger-position")
        .unwrap();
    let pairs = [
        ("needed", "treatment_needed"),
        ("treated", "in_treatment"),
        ("held", "accepted"),
        ("lapsed", "acceptance_lapsed"),
        ("fine", "acceptable"),
        ("unknown", "not_assessed"),
    ];
    for pin in [String::new(), format!("&as_of={}", app.now())] {
        for (name, word) in pairs {
            let found = app
                .get(manager, &format!("/v1/risks?evaluation={word}{pin}"))
                .await
                .data();
            let names: Vec<(&Value, &Value)> = found
                .iter()
                .map(|risk| (&risk["name"], &risk["evaluation"]))
                .collect();
            assert_eq!(names, [(&json!(name), &json!(word))], "{word}{pin}");
        }
        let all = app
            .get(
                manager,
                &format!("/v1/risks?evaluation=accepted&evaluation=acceptable&include=total{pin}"),
            )
            .await;
        assert_eq!(all.expect(200).json()["total"], 2);
        let without = app
            .get(
                manager,
                &format!("/v1/risks?treatment_none=true&sort=code{pin}"),
            )
            .await
            .data();
        let ids: Vec<&Value> = without.iter().map(|risk| &risk["id"]).collect();
        assert_eq!(ids, [&needed["id"], &fine["id"], &unknown["id"]]);
        let filters = [
            ("lapsed=true", &ends),
            ("option=accept&lapsed=false", &holds),
            ("option=accept&expires_on_since=2026-12-01", &holds),
        ];
        for (filter, wanted) in filters {
            let found = app
                .get(manager, &format!("/v1/risk-treatments?{filter}{pin}"))
                .await
                .data();
            assert_eq!(
                found.iter().map(|one| &one["id"]).collect::<Vec<_>>(),
                [&wanted["id"]],
                "{filter}{pin}"
            );
        }
    }
    // The clock of a position is the moment of its entry: nothing had lapsed then.
    let then = app
        .get(
            manager,
            &format!("/v1/risks?evaluation=accepted&as_of=seq:{seq}"),
        )
        .await
        .data();
    assert_eq!(then.len(), 2);
    let overview = app.get(manager, "/v1/overview").await.expect(200).json();
    assert_eq!(
        overview["treatments"],
        json!({"underway": 1, "accepted": 1, "lapsed": 1, "expiring": 0})
    );
    app.pass_days(20);
    let overview = app.get(manager, "/v1/overview").await.expect(200).json();
    assert_eq!(
        overview["treatments"],
        json!({"underway": 1, "accepted": 1, "lapsed": 1, "expiring": 1}),
        "within 30 days"
    );
}

async fn controls_are_applied_by_treatments_that_were_approved(app: &TestApp) {
    let (fire, flood) = (
        risk(app, "Fire", 4, 5).await,
        risk(app, "Flood", 4, 5).await,
    );
    let (pump, alarm) = (
        made(app, "controls", "Pump", json!({})).await,
        made(app, "controls", "Alarm", json!({})).await,
    );
    let with = |risk: &Value, controls: &[&Value]| {
        let mut body = mitigation(risk);
        body["control_ids"] = controls
            .iter()
            .map(|control| control["id"].clone())
            .collect();
        body
    };
    let before = last(app);
    made(
        app,
        "risk-treatments",
        "Only drafted",
        with(&fire, &[&pump]),
    )
    .await;
    signed(app, "Both", with(&fire, &[&pump, &alarm])).await;
    let both = signed(app, "Again", with(&flood, &[&alarm])).await;
    let meanwhile = last(app);
    app.act(
        &app.keys.manager,
        &format!("{}/cancel", at("risk-treatments", &both)),
        &json!({"comment": "no"}),
    )
    .await
    .expect(200);
    let pairs = |as_of| {
        let (actor, now) = (Actor::system(tenant(app)), app.house.clock().now());
        let caller = Caller::new(
            tenant(app),
            actor,
            vec![Role::Manager],
            Default::default(),
            now,
        );
        let settings = Settings::FIRST;
        let mut conn = app.conn();
        let found = applications(
            &mut Reader::open(&mut conn, &caller, isms::api::KINDS, as_of, now, settings).unwrap(),
        )
        .unwrap();
        found
            .into_iter()
            .map(|one| (json!(one.control), json!(one.risk)))
            .map(|(control, risk)| format!("{control} {risk}"))
            .collect::<BTreeSet<_>>()
    };
    let pair = |control: &Value, risk: &Value| format!("{} {}", control["id"], risk["id"]);
    assert_eq!(pairs(Some(AsOf::Seq(before))), BTreeSet::new());
    assert_eq!(
        pairs(Some(AsOf::Seq(meanwhile))),
        BTreeSet::from([
            pair(&pump, &fire),
            pair(&alarm, &fire),
            pair(&alarm, &flood)
        ])
    );
    assert_eq!(
        pairs(None),
        BTreeSet::from([pair(&pump, &fire), pair(&alarm, &fire)])
    );
}
