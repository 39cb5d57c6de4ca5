//! Which methodology scores what: one for the whole organization, one for each scope that names it;
//! how one takes the place of another.
use super::treatment::{accepted, assess, evaluation, risk};
use super::{at, key, made};
use crate::support::TestApp;
use serde_json::{Value, json};

crate::on_both!(
    one_is_in_force_for_the_whole_organization,
    the_default_was_approved_by_nobody,
    a_scope_may_have_its_own,
    a_scopes_own_scores_its_risks_everywhere,
    acceptances_lapse_with_their_own_methodology,
    what_risks_need_is_not_retired,
    what_is_in_force_stays_in_the_lists
);

/// Three by three, two levels: `fine`, and `grave` from a score of 6.
fn small() -> Value {
    let steps = |labels: [&str; 3]| {
        (1..)
            .zip(labels)
            .map(|(value, label)| json!({"value": value, "label": label}))
            .collect::<Value>()
    };
    let level = |slug: &str, name: &str, acceptable: bool, days: i64, colour: &str| {
        json!({
        "slug": slug, "name": name, "acceptable": acceptable, "accept_by": "manager",
            "review_every_days": days, "colour": colour})
    };
    let cell = |l: i64, i: i64| json!(if l * i >= 6 { "grave" } else { "fine" });
    let matrix: Value = (1..=3)
        .map(|l| (1..=3).map(|i| cell(l, i)).collect::<Value>())
        .collect();
    json!({"likelihood_scale": steps(["seldom", "yearly", "monthly"]),
        "impact_scale": steps(["light", "hard", "fatal"]), "matrix": matrix,
        "levels": [level("fine", "Fine", true, 200, "#2e7d32"), level("grave", "Grave", false, 14,
            "#c62828")]})
}
/// One that waits for approval.
async fn asked(app: &TestApp, name: &str, scopes: &[&Value]) -> String {
    let mut body = small();
    body["scope_ids"] = scopes.iter().map(|scope| scope["id"].clone()).collect();
    let path = at(
        "risk-methodologies",
        &made(app, "risk-methodologies", name, body).await,
    );
    app.act(&app.keys.manager, &format!("{path}/submit"), &json!({}))
        .await
        .expect(200);
    path
}
async fn approve(app: &TestApp, path: &str, body: Value) -> crate::support::Reply {
    app.act(&app.keys.approver, &format!("{path}/approve"), &body)
        .await
}
async fn state(app: &TestApp, path: &str) -> (String, bool, bool) {
    let record = app.get(&app.keys.manager, path).await.expect(200).json();
    (
        record["status"].as_str().unwrap().to_owned(),
        record["in_force"].as_bool().unwrap(),
        record["adopted"].as_bool().unwrap(),
    )
}
fn stands(status: &str, in_force: bool, adopted: bool) -> (String, bool, bool) {
    (status.to_owned(), in_force, adopted)
}
async fn codes(app: &TestApp, question: &str) -> Vec<String> {
    let found = app.get(&app.keys.manager, question).await.data();
    found
        .iter()
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}
async fn scored(app: &TestApp, risk: &Value, likelihood: i64, impact: i64) -> Value {
    assess(app, risk, likelihood, impact).await;
    app.get(&app.keys.manager, &at("risks", risk))
        .await
        .expect(200)
        .json()["current"]
        .clone()
}

async fn one_is_in_force_for_the_whole_organization(app: &TestApp) {
    let manager = &app.keys.manager;
    let (default, own) = ("/v1/risk-methodologies/MET-1", asked(app, "Own", &[]).await);
    let problem = approve(app, &own, json!({})).await.problem(409, "conflict");
    assert_eq!(
        (&problem["needed_by"], &problem["errors"][0]["pointer"]),
        (&json!(["MET-1"]), &json!("/replaces"))
    );
    assert!(
        problem["detail"].as_str().unwrap().contains("MET-1"),
        "{problem}"
    );
    for other in [
        "MET-2",
        "MET-9",
        "RSK-1",
        "nonsense",
        "018f0000-0000-7000-8000-000000000000",
    ] {
        assert_eq!(
            approve(app, &own, json!({"replaces": other}))
                .await
                .pointers(),
            ["/replaces"],
            "{other}"
        );
    }
    assert_eq!(
        (state(app, default).await, state(app, &own).await),
        (
            stands("approved", true, false),
            stands("in_review", false, false)
        )
    );
    let before = app
        .get(manager, "/v1/risk-methodologies")
        .await
        .expect(200)
        .header("ledger-position")
        .unwrap();
    let done = approve(
        app,
        &own,
        json!({"replaces": "MET-1", "comment": "Our own."}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (
            &done["in_force"],
            &done["adopted"],
            &done["revision_in_force"]
        ),
        (&json!(true), &json!(true), &json!(1))
    );
    assert_eq!(state(app, default).await, stands("retired", false, false));
    assert_eq!(
        codes(app, "/v1/risk-methodologies?in_force=true").await,
        ["MET-2"]
    );
    assert_eq!(
        codes(app, "/v1/risk-methodologies?in_force=false").await,
        ["MET-1"]
    );
    assert_eq!(
        codes(
            app,
            &format!("/v1/risk-methodologies?in_force=true&as_of=seq:{before}")
        )
        .await,
        ["MET-1"]
    );
    let entries = app.get(manager, "/v1/ledger/entries?limit=2").await.data();
    let said: Vec<(&Value, &Value)> = entries
        .iter()
        .map(|entry| (&entry["action"], &entry["reason"]))
        .collect();
    assert_eq!(
        said,
        [
            (&json!("approve"), &json!("Our own.")),
            (&json!("retire"), &json!("Our own."))
        ],
        "in one step"
    );
    assert_eq!(entries[0]["request_id"], entries[1]["request_id"]);
    // What is retired stays so; revising, describing and approving it again is not possible.
    for verb in ["revise", "submit", "approve", "retire"] {
        app.act(manager, &format!("{default}/{verb}"), &json!({}))
            .await
            .problem(409, "illegal_transition");
    }
    let risk = risk(app, "Fire", 3, 3).await;
    let current = app
        .get(manager, &at("risks", &risk))
        .await
        .expect(200)
        .json()["current"]
        .clone();
    assert_eq!(
        (&current["level"], &current["level_rank"]),
        (&json!("grave"), &json!(2)),
        "scored by the one in force"
    );
    // A next revision of the one in force replaces nobody.
    app.act(manager, &format!("{own}/revise"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        state(app, &own).await,
        stands("draft", true, true),
        "the revision in force stays in force"
    );
    app.act(manager, &format!("{own}/submit"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        approve(app, &own, json!({"replaces": "MET-1"}))
            .await
            .pointers(),
        ["/replaces"]
    );
    approve(app, &own, json!({})).await.expect(200);
    // Replaced while its own next revision waits for approval: that is not approved any more.
    app.act(manager, &format!("{own}/revise"), &json!({}))
        .await
        .expect(200);
    app.act(manager, &format!("{own}/submit"), &json!({}))
        .await
        .expect(200);
    let third = asked(app, "Third", &[]).await;
    let id = own.rsplit('/').next().unwrap();
    approve(app, &third, json!({"replaces": id}))
        .await
        .expect(200);
    approve(app, &own, json!({"replaces": "MET-3"}))
        .await
        .problem(409, "illegal_transition");
    assert_eq!(
        codes(app, "/v1/risk-methodologies?in_force=true").await,
        ["MET-3"]
    );
}

async fn the_default_was_approved_by_nobody(app: &TestApp) {
    let path = "/v1/risk-methodologies/MET-1";
    let default = app.get(&app.keys.auditor, path).await.expect(200).json();
    assert_eq!(
        (&default["in_force"], &default["adopted"]),
        (&json!(true), &json!(false)),
        "{default}"
    );
    assert_eq!(default["approved_by"]["kind"], "system");
    super::methodology::revise(app, json!({"description": "Adopted."})).await;
    assert_eq!(
        state(app, path).await,
        stands("approved", true, true),
        "a person has approved it now"
    );
}

async fn a_scope_may_have_its_own(app: &TestApp) {
    let (shop, depot) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Depot", json!({"statement": "s"})).await,
    );
    let own = asked(app, "Of the shop", &[&shop]).await;
    assert_eq!(
        approve(app, &own, json!({"replaces": "MET-1"}))
            .await
            .pointers(),
        ["/replaces"],
        "the default is for another target"
    );
    approve(app, &own, json!({})).await.expect(200);
    assert_eq!(
        codes(app, "/v1/risk-methodologies?in_force=true&sort=code").await,
        ["MET-1", "MET-2"]
    );
    let both = asked(app, "Of both", &[&depot, &shop]).await;
    let problem = approve(app, &both, json!({}))
        .await
        .problem(409, "conflict");
    assert_eq!(problem["needed_by"], json!(["MET-2"]));
    let other = asked(app, "Of the depot", &[&depot]).await;
    approve(app, &other, json!({})).await.expect(200);
    let problem = approve(app, &both, json!({"replaces": "MET-2"}))
        .await
        .problem(409, "conflict");
    assert_eq!(
        problem["needed_by"],
        json!(["MET-4"]),
        "one approval replaces one"
    );
    app.act(&app.keys.manager, &format!("{other}/retire"), &json!({}))
        .await
        .expect(200);
    approve(app, &both, json!({"replaces": "MET-2"}))
        .await
        .expect(200);
    assert_eq!(
        codes(app, "/v1/risk-methodologies?in_force=true&sort=code").await,
        ["MET-1", "MET-3"]
    );
    // A revision that turns to the whole organization meets the default.
    app.act(&app.keys.manager, &format!("{both}/revise"), &json!({}))
        .await
        .expect(200);
    app.patch(&app.keys.manager, &both, "*", &json!({"scope_ids": []}))
        .await
        .expect(200);
    let shops = made(app, "risks", "Theft", json!({"scope_ids": [shop["id"]]})).await;
    assert_eq!(
        scored(app, &shops, 3, 3).await["level"],
        "grave",
        "a draft changes nothing"
    );
    app.act(&app.keys.manager, &format!("{both}/submit"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        approve(app, &both, json!({}))
            .await
            .problem(409, "conflict")["needed_by"],
        json!(["MET-1"])
    );
}

async fn a_scopes_own_scores_its_risks_everywhere(app: &TestApp) {
    let manager = &app.keys.manager;
    let (shop, depot) = (
        made(app, "scopes", "Shop", json!({"statement": "s"})).await,
        made(app, "scopes", "Depot", json!({"statement": "s"})).await,
    );
    let of = async |name: &str, scopes: &[&Value]| {
        let scopes: Value = scopes.iter().map(|scope| scope["id"].clone()).collect();
        made(
            app,
            "risks",
            name,
            json!({"owner_id": app.keys.contributor_person, "scope_ids": scopes}),
        )
        .await
    };
    let (shops, both, depots, whole) = (
        of("shop", &[&shop]).await,
        of("both", &[&depot, &shop]).await,
        of("depot", &[&depot]).await,
        of("whole", &[]).await,
    );
    assert_eq!(
        scored(app, &shops, 2, 2).await["level"],
        "low",
        "the default, as long as the shop has none of its own"
    );
    let path = asked(app, "Of the shop", &[&shop]).await;
    approve(app, &path, json!({})).await.expect(200);
    let method = app.get(manager, &path).await.expect(200).json();
    let rescore =
        json!({"risk_ids": [shops["code"], whole["code"]], "stage": "current", "rationale": "r"});
    for (risk, level, by) in [
        (&shops, "grave", true),
        (&both, "grave", true),
        (&depots, "medium", false),
        (&whole, "medium", false),
    ] {
        let score = scored(app, risk, 3, 3).await;
        assert_eq!(
            (&score["level"], score["methodology_id"] == method["id"]),
            (&json!(level), by),
            "{}",
            risk["name"]
        );
    }
    let path_of = |risk: &Value| format!("{}/assessments", at("risks", risk));
    let too_far = json!({"stage": "current", "likelihood": 4, "impact": 1, "rationale": "r"});
    assert_eq!(
        app.post(manager, &path_of(&shops), &too_far)
            .await
            .pointers(),
        ["/likelihood"]
    );
    // Scoring again: each by its own.
    let done = app
        .post(manager, "/v1/risks/rescore", &rescore)
        .await
        .expect(200)
        .json();
    let changed: Vec<&Value> = done["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["changed"])
        .collect();
    assert_eq!(
        changed,
        [&json!(false), &json!(false)],
        "both have a score of theirs"
    );
    // The matrix of a scope is its own; risks that another methodology scores are not put into its
    // cells.
    let matrix = async |query: &str| {
        app.get(manager, &format!("/v1/risk-matrix{query}"))
            .await
            .expect(200)
            .json()
    };
    let counted = |matrix: &Value| {
        matrix["cells"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cell| cell["count"].as_i64().unwrap())
            .sum::<i64>()
    };
    let all = matrix("").await;
    assert_eq!(
        (
            all["cells"].as_array().unwrap().len(),
            counted(&all),
            &all["other_methodology"]
        ),
        (25, 2, &json!(2))
    );
    let own = matrix(&format!("?scope_id={}", shop["code"].as_str().unwrap())).await;
    assert_eq!(
        (
            own["cells"].as_array().unwrap().len(),
            counted(&own),
            &own["other_methodology"]
        ),
        (9, 2, &json!(1))
    );
    assert_eq!(
        (&own["methodology_code"], &own["methodology_name"]),
        (&json!("MET-2"), &json!("Of the shop"))
    );
    let elsewhere = matrix(&format!("?scope_id={}", depot["code"].as_str().unwrap())).await;
    assert_eq!(
        (
            &elsewhere["methodology_code"],
            counted(&elsewhere),
            &elsewhere["other_methodology"]
        ),
        (&json!("MET-1"), 2, &json!(1))
    );
    let drawn = app
        .get(
            manager,
            &format!(
                "/v1/risk-matrix?format=svg&scope_id={}",
                shop["code"].as_str().unwrap()
            ),
        )
        .await
        .expect(200)
        .text();
    assert!(
        drawn.contains("Grave") && drawn.contains("1 open risk of another methodology"),
        "{drawn}"
    );
    // A treatment is signed on the scale of its risk.
    let body = json!({"risk_id": shops["id"], "option": "transfer", "counterparty": "Insurer",
        "expected": {"likelihood": 3, "impact": 2}});
    let treatment = at(
        "risk-treatments",
        &made(app, "risk-treatments", "Insure", body).await,
    );
    let asked = app
        .act(manager, &format!("{treatment}/submit"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &asked["basis"]["score"]["level"],
            &asked["basis"]["authority"]
        ),
        (&json!("grave"), &json!("manager"))
    );
    // Trend and overview know the levels of both.
    let levels = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let trend = app
        .get(manager, "/v1/risk-trend?from=2026-11-20")
        .await
        .expect(200)
        .json();
    assert_eq!(
        levels(&trend["points"][0]["levels"]),
        ["critical", "fine", "grave", "high", "low", "medium"]
    );
    let overview = app.get(manager, "/v1/overview").await.expect(200).json();
    assert_eq!(
        overview["risk_levels"]["current"],
        json!({"critical": 0, "fine": 0, "grave": 2, "high": 0, "low": 0, "medium": 2})
    );
    let depot = format!("/v1/overview?scope_id={}", depot["code"].as_str().unwrap());
    let cut = app.get(manager, &depot).await.expect(200).json();
    assert_eq!(
        levels(&cut["risk_levels"]["current"]),
        ["critical", "grave", "high", "low", "medium"],
        "{}",
        cut["risk_levels"]
    );
    // A key that does not see the methodology's scope scores by the same one.
    let limited = key(app, "manager", None, json!({"scope_ids": [shop["id"]]})).await;
    let body = json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "r"});
    assert_eq!(
        app.post(&limited, &path_of(&shops), &body)
            .await
            .expect(201)
            .json()["level"],
        "fine"
    );
}

async fn acceptances_lapse_with_their_own_methodology(app: &TestApp) {
    let manager = &app.keys.manager;
    let shop = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let (here, there) = (
        risk(app, "here", 4, 5).await,
        risk(app, "there", 4, 5).await,
    );
    app.patch(
        manager,
        &at("risks", &here),
        "*",
        &json!({"scope_ids": [shop["id"]]}),
    )
    .await
    .expect(200);
    for one in [&here, &there] {
        accepted(app, one, "2027-10-31").await;
    }
    app.pass_days(2);
    let own = asked(app, "Of the shop", &[&shop]).await;
    approve(app, &own, json!({})).await.expect(200);
    let words = async || (evaluation(app, &here).await, evaluation(app, &there).await);
    let (held, lapsed) = (json!("accepted"), json!("acceptance_lapsed"));
    assert_eq!(
        words().await,
        (lapsed.clone(), held.clone()),
        "only in the scope that has its own now"
    );
    let found = async |word: &str| codes(app, &format!("/v1/risks?evaluation={word}")).await;
    assert_eq!(
        (found("accepted").await, found("acceptance_lapsed").await),
        (vec!["RSK-2".to_owned()], vec!["RSK-1".to_owned()])
    );
    let one = app
        .get(manager, "/v1/risk-treatments?lapsed=true")
        .await
        .data();
    assert_eq!(
        (one.len(), &one[0]["lapse_reason"], &one[0]["lapsed_on"]),
        (1, &json!("methodology_revised"), &json!("2026-11-22"))
    );
    // Accepted under the shop's own: a revision of the organization's does not touch it.
    app.pass_days(1);
    assess(app, &here, 3, 3).await;
    accepted(app, &here, "2027-10-31").await;
    super::methodology::revise(app, json!({"description": "New words."})).await;
    assert_eq!(words().await, (held.clone(), lapsed.clone()));
    // The end of the shop's own ends what was accepted under it.
    app.act(
        manager,
        &format!("{own}/retire"),
        &json!({"comment": "One for all."}),
    )
    .await
    .expect(200);
    assert_eq!(words().await, (lapsed.clone(), lapsed));
    assert_eq!(found("acceptance_lapsed").await.len(), 2);
    let all = app.get(manager, "/v1/overview").await.expect(200).json();
    assert_eq!(
        (&all["treatments"]["accepted"], &all["treatments"]["lapsed"]),
        (&json!(0), &json!(3))
    );
}

async fn what_risks_need_is_not_retired(app: &TestApp) {
    let (manager, default) = (&app.keys.manager, "/v1/risk-methodologies/MET-1");
    let shop = made(app, "scopes", "Shop", json!({"statement": "s"})).await;
    let theirs = risk(app, "Fire", 2, 2).await;
    app.patch(
        manager,
        &at("risks", &theirs),
        "*",
        &json!({"scope_ids": [shop["id"]]}),
    )
    .await
    .expect(200);
    let retire = format!("{default}/retire");
    app.act(&app.keys.approver, &retire, &json!({}))
        .await
        .problem(403, "forbidden");
    let problem = app
        .act(manager, &retire, &json!({}))
        .await
        .problem(409, "in_use");
    assert_eq!(problem["needed_by"], json!(["RSK-1"]));
    // Once the scope has its own, every assessed risk is covered.
    let own = asked(app, "Of the shop", &[&shop]).await;
    approve(app, &own, json!({})).await.expect(200);
    app.act(manager, &retire, &json!({"comment": "Not used."}))
        .await
        .expect(200);
    assert_eq!(state(app, default).await, stands("retired", false, false));
    let unscoped = made(app, "risks", "Flood", json!({})).await;
    let body = json!({"stage": "current", "likelihood": 1, "impact": 1, "rationale": "r"});
    app.post(
        manager,
        &format!("{}/assessments", at("risks", &unscoped)),
        &body,
    )
    .await
    .problem(409, "illegal_transition");
    app.get(manager, "/v1/risk-matrix")
        .await
        .problem(404, "not_found");
    app.get(manager, "/v1/overview").await.expect(200);
    app.act(manager, &format!("{own}/retire"), &json!({}))
        .await
        .problem(409, "in_use");
    // Nor does a revision turn away from what it scores.
    let depot = made(app, "scopes", "Depot", json!({"statement": "s"})).await;
    app.act(manager, &format!("{own}/revise"), &json!({}))
        .await
        .expect(200);
    app.patch(manager, &own, "*", &json!({"scope_ids": [depot["id"]]}))
        .await
        .expect(200);
    app.act(manager, &format!("{own}/submit"), &json!({}))
        .await
        .expect(200);
    approve(app, &own, json!({})).await.problem(409, "in_use");
    app.act(manager, &format!("{own}/return"), &json!({"comment": "no"}))
        .await
        .expect(200);
    // A closed risk needs none.
    assess(app, &theirs, 1, 1).await;
    app.act(
        manager,
        &format!("{}/close", at("risks", &theirs)),
        &json!({}),
    )
    .await
    .expect(200);
    app.act(manager, &format!("{own}/retire"), &json!({}))
        .await
        .expect(200);
    // Nothing scored, nothing needed: the next one needs to replace nobody.
    let next = asked(app, "Next", &[]).await;
    approve(app, &next, json!({})).await.expect(200);
}

async fn what_is_in_force_stays_in_the_lists(app: &TestApp) {
    let (manager, default) = (&app.keys.manager, "/v1/risk-methodologies/MET-1");
    app.delete(manager, default, "*")
        .await
        .problem(409, "revise_first");
    app.act(manager, &format!("{default}/revise"), &json!({}))
        .await
        .expect(200);
    let problem = app
        .delete(manager, default, "*")
        .await
        .problem(409, "illegal_transition");
    assert!(
        problem["allowed"]
            .as_array()
            .unwrap()
            .contains(&json!("retire")),
        "{problem}"
    );
    assert_eq!(state(app, default).await, stands("draft", true, false));
    app.act(manager, &format!("{default}/retire"), &json!({}))
        .await
        .expect(200);
    app.delete(manager, default, "*").await.expect(204);
    // The same of scopes.
    let scope = at(
        "scopes",
        &made(app, "scopes", "Shop", json!({"statement": "s"})).await,
    );
    app.act(manager, &format!("{scope}/submit"), &json!({}))
        .await
        .expect(200);
    app.act(&app.keys.approver, &format!("{scope}/approve"), &json!({}))
        .await
        .expect(200);
    app.act(manager, &format!("{scope}/revise"), &json!({}))
        .await
        .expect(200);
    app.delete(manager, &scope, "*")
        .await
        .problem(409, "illegal_transition");
    app.act(manager, &format!("{scope}/retire"), &json!({}))
        .await
        .expect(200);
    app.delete(manager, &scope, "*").await.expect(204);
}
