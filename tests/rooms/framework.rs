//! Frameworks: the built-in ones, and those that an organization imports; what refers to them
//! survives each revision.
use super::{at, key, made};
use crate::support::make::{last, walk};
use crate::support::{Reply, TestApp};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(
    every_built_in_framework_is_there,
    requirements_are_found_by_words_old_numbers_and_attributes,
    mappings_are_told_from_both_sides,
    an_old_number_finds_what_has_become_of_it,
    an_own_framework_is_imported_and_referred_to,
    a_later_revision_keeps_what_was_answered,
    each_fault_of_an_import_names_its_row,
    an_import_has_limits,
    csv_is_imported_too,
    what_is_referred_to_is_not_archived,
    techniques_stand_beside_the_elementary_threats,
    frameworks_are_listed_like_everything_else,
    what_was_meant_is_suggested
);

/// Slug, and how many requirements it has.
const BUILT_IN: [(&str, usize); 13] = [
    ("iso-27001-2022", 267),
    ("iso-27001-2013", 114),
    ("soc2-2017", 82),
    ("nist-csf-2.0", 134),
    ("nist-800-53-r5", 343 + 48),
    ("nist-800-171-r2", 124),
    ("cmmc-2.0", 110),
    ("hipaa-security-rule", 73),
    ("nis2-art21", 10),
    ("nis2-2024-2690", 66),
    ("dora", 26),
    ("gdpr", 21),
    ("pci-dss-4", 75),
];

pub async fn import(app: &TestApp, body: &Value) -> Reply {
    app.post(&app.keys.manager, "/v1/frameworks", body).await
}
async fn csv_to(app: &TestApp, path: &str, text: &str) -> Reply {
    app.raw(
        &app.keys.manager,
        Method::POST,
        path,
        &[("Content-Type", "text/csv")],
        Some(text.as_bytes().to_vec()),
    )
    .await
}
/// A small framework of a house.
pub fn house_rules() -> Value {
    json!({"slug": "house-rules", "title": "House rules", "edition": "2026",
        "publisher": "The house", "requirements": [
        {"ref": "1", "title": "Access"}, {"ref": "1.1", "title": "Every account has an owner",
            "parent_ref": "1", "attributes": {"weight": 3, "teams": ["a", "b"]}},
        {"ref": "1.2", "title": "Accounts end", "parent_ref": "1"}, {"ref": "2",
            "title": "=HYPERLINK(1)", "kind": "rule"}],
        "mappings": [{"source": "1.1", "target": "iso-27001-2022:A.5.16", "relationship": "subset"},
            {"source": "nist-csf-2.0:GV.OC-01", "target": "house-rules:2", "relationship": "equal",
                "kind": "published", "provenance": "Our handbook"}]})
}
async fn refs(app: &TestApp, question: &str) -> Vec<String> {
    let all = app
        .get(&app.keys.manager, &format!("/v1/frameworks/{question}"))
        .await
        .data();
    all.iter()
        .map(|one| one["ref"].as_str().unwrap().to_owned())
        .collect()
}

async fn every_built_in_framework_is_there(app: &TestApp) {
    let key = &app.keys.manager;
    let all = app.get(key, "/v1/frameworks").await.data();
    let found: Vec<(&str, usize)> = all
        .iter()
        .map(|one| {
            (
                one["slug"].as_str().unwrap(),
                one["requirement_count"].as_u64().unwrap() as usize,
            )
        })
        .collect();
    assert_eq!(found, BUILT_IN);
    for (slug, count) in BUILT_IN {
        let one = app
            .get(key, &format!("/v1/frameworks/{slug}"))
            .await
            .expect(200)
            .json();
        assert!(
            one["built_in"] == true && one["revision"].is_null() && one["imported_at"].is_null(),
            "{one}"
        );
        let requirements = walk(
            app,
            key,
            &format!("/v1/frameworks/{slug}/requirements"),
            100,
        )
        .await;
        assert_eq!(requirements.len(), count, "{slug}");
        for one in &requirements {
            assert_eq!(
                one["id"],
                json!(format!("{slug}:{}", one["ref"].as_str().unwrap()))
            );
        }
        app.delete(key, &format!("/v1/frameworks/{slug}"), "*")
            .await
            .problem(409, "read_only");
        app.post(
            key,
            &format!("/v1/frameworks/{slug}/mappings"),
            &json!({"mappings": []}),
        )
        .await
        .problem(409, "read_only");
        assert_eq!(
            import(
                app,
                &json!({"slug": slug, "title": "x", "requirements": [{"ref": "1", "title": "x"}]})
            )
            .await
            .pointers(),
            ["/slug"]
        );
    }
    for path in ["nothing", "NOTHING", "iso-27001-1066", "a:b", "%00"] {
        for rest in [
            "",
            "/requirements",
            "/mappings",
            "/coverage",
            "/revisions",
            "/revisions/1",
            "/diff",
        ] {
            app.get(key, &format!("/v1/frameworks/{path}{rest}"))
                .await
                .problem(404, "not_found");
        }
    }
    let page = app
        .get(key, "/v1/frameworks/dora/requirements?limit=10")
        .await
        .expect(200);
    assert!(
        page.header("link")
            .unwrap()
            .starts_with("</v1/frameworks/dora/requirements?limit=10&cursor="),
        "{:?}",
        page.header("link")
    );
    let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
    for other in ["gdpr/requirements?", "dora/requirements?q=ict&"] {
        let reply = app
            .get(key, &format!("/v1/frameworks/{other}cursor={cursor}"))
            .await;
        assert!(
            reply.status == 400 && reply.json()["code"] == "invalid_cursor",
            "{other}: {}",
            reply.text()
        );
    }
    let limited = super::key(
        app,
        "auditor",
        None,
        json!({"framework_slugs": ["dora", "iso-27001-2022", "nis2-art21"]}),
    )
    .await;
    assert_eq!(app.get(&limited, "/v1/frameworks").await.data().len(), 3);
    app.get(&limited, "/v1/frameworks/gdpr/requirements")
        .await
        .problem(404, "not_found");
    let mapped = walk(app, &limited, "/v1/frameworks/iso-27001-2022/mappings", 200).await;
    assert_eq!(
        mapped.len(),
        97 + 25,
        "mappings to what it may not see are not there"
    );
}

async fn requirements_are_found_by_words_old_numbers_and_attributes(app: &TestApp) {
    assert_eq!(
        refs(app, "iso-27001-2022/requirements?q=A.9.2.1").await,
        ["A.5.16"]
    );
    assert_eq!(
        refs(app, "iso-27001-2022/requirements?q=a.5.1.1").await,
        ["A.5.1"]
    );
    assert_eq!(
        refs(app, "iso-27001-2022/requirements?q=ident%20manag").await,
        ["A.5.16"]
    );
    assert_eq!(
        refs(app, "iso-27001-2022/requirements?parent_ref=4.1&kind=point").await,
        ["4.1(a)", "4.1(amd1)", "4.1(b)"]
    );
    assert_eq!(
        refs(app, "nist-csf-2.0/requirements?parent_ref=GV&parent_ref=RC")
            .await
            .len(),
        8
    );
    let low = walk(
        app,
        &app.keys.manager,
        "/v1/frameworks/nist-800-53-r5/requirements?attribute=baselines:low",
        50,
    )
    .await;
    assert!(
        low.len() == 131
            && low
                .iter()
                .all(|one| one["attributes"]["baselines"][0] == "low"),
        "{}",
        low.len()
    );
    assert_eq!(
        walk(
            app,
            &app.keys.manager,
            "/v1/frameworks/nist-800-53-r5/requirements?assessable=true",
            200
        )
        .await
        .len(),
        299
    );
    assert_eq!(
        refs(app, "cmmc-2.0/requirements?attribute=weight:3&limit=200")
            .await
            .len(),
        14
    );
    assert_eq!(
        refs(app, "cmmc-2.0/requirements?attribute=weight")
            .await
            .len(),
        0
    );
    for bad in [
        "?assessable=maybe",
        "?nmae=x",
        "?limit=0",
        "?limit=201",
        "?cursor=x",
    ] {
        app.get(
            &app.keys.manager,
            &format!("/v1/frameworks/gdpr/requirements{bad}"),
        )
        .await
        .expect(400);
    }
}

async fn mappings_are_told_from_both_sides(app: &TestApp) {
    let key = &app.keys.manager;
    let of =
        async |question: &str| walk(app, key, &format!("/v1/frameworks/{question}"), 200).await;
    let there = of("iso-27001-2022/mappings?target=nist-csf-2.0").await;
    let back = of("nist-csf-2.0/mappings?target=iso-27001-2022").await;
    assert_eq!((there.len(), back.len()), (341, 341));
    for pair in &there {
        let same =
            |other: &&Value| other["source"] == pair["target"] && other["target"] == pair["source"];
        assert_eq!(back.iter().filter(same).count(), 1, "{pair}");
        assert!(
            pair["kind"] == "published"
                && pair["provenance"] == "NIST CSF 2.0 informative references"
                && pair["imported_with"].is_null()
        );
    }
    let first = json!({"source": "iso-27001-2022:A.5.1", "target": "iso-27001-2013:A.5.1.1",
        "relationship": "superset", "kind": "published",
        "provenance": "ISO/IEC 27002:2022, Annex B", "imported_with": null});
    let old =
        of("iso-27001-2022/mappings?target=iso-27001-2013&requirement=iso-27001-2022:A.5.1").await;
    assert_eq!((old.first(), old.len()), (Some(&first), 2));
    let narrower = of("iso-27001-2013/mappings?relationship=subset").await;
    assert!(narrower.len() == 55 && narrower.iter().all(|pair| pair["relationship"] == "subset"));
    for (target, count, kind) in [
        ("cmmc-2.0", 255, "composed"),
        ("soc2-2017", 187, "composed"),
        ("hipaa-security-rule", 256, "composed"),
        ("gdpr", 51, "published"),
    ] {
        let pairs = of(&format!("iso-27001-2022/mappings?target={target}")).await;
        assert!(
            pairs.len() == count && pairs.iter().all(|pair| pair["kind"] == kind),
            "{target}: {}",
            pairs.len()
        );
    }
    assert_eq!(
        of("iso-27001-2022/mappings?kind=composed").await.len(),
        255 + 187 + 256
    );
    assert_eq!(
        (
            of("dora/mappings").await.len(),
            of("pci-dss-4/mappings").await.len()
        ),
        (0, 0)
    );
    for bad in ["?kind=rumoured", "?relationship=likes", "?nmae=x"] {
        app.get(key, &format!("/v1/frameworks/gdpr/mappings{bad}"))
            .await
            .expect(400);
    }
}

async fn an_old_number_finds_what_has_become_of_it(app: &TestApp) {
    let key = &app.keys.manager;
    let new = made(
        app,
        "controls",
        "new",
        json!({"requirements": ["iso-27001-2022:A.5.16"]}),
    )
    .await;
    let old = made(
        app,
        "controls",
        "old",
        json!({"requirements": ["iso-27001-2013:A.9.2.1"]}),
    )
    .await;
    made(
        app,
        "controls",
        "other",
        json!({"requirements": ["iso-27001-2022:A.5.17", "soc2-2017:CC6.1"]}),
    )
    .await;
    let found = async |filter: &str| {
        let all = app
            .get(key, &format!("/v1/controls?sort=code&requirement={filter}"))
            .await
            .data();
        all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        found("iso-27001-2013:A.9.2.1").await,
        [new["id"].clone(), old["id"].clone()]
    );
    assert_eq!(found("iso-27001-2022:A.5.16").await, [new["id"].clone()]);
    assert_eq!(found("soc2-2017:CC6.1").await.len(), 1);
}

async fn an_own_framework_is_imported_and_referred_to(app: &TestApp) {
    let (key, other) = (&app.keys.manager, &app.keys.b_manager);
    let (reply, before) = (import(app, &house_rules()).await.expect(201), last(app));
    assert_eq!(
        (reply.header("location").as_deref(), reply.etag().as_str()),
        (Some("/v1/frameworks/house-rules"), "\"1\"")
    );
    let shown = reply.json();
    assert_eq!(
        (
            &shown["built_in"],
            &shown["revision"],
            &shown["requirement_count"]
        ),
        (&json!(false), &json!(1), &json!(4))
    );
    assert_eq!(
        app.get(key, "/v1/frameworks/house-rules")
            .await
            .expect(200)
            .json(),
        shown
    );
    assert_eq!(
        app.get(key, "/v1/frameworks").await.data().last(),
        Some(&shown)
    );
    assert_eq!(
        import(app, &house_rules()).await.expect(200).json(),
        shown,
        "the same again"
    );
    assert_eq!(last(app), before, "is no change");
    let requirements = app
        .get(key, "/v1/frameworks/house-rules/requirements")
        .await
        .data();
    let assessable: Vec<(&str, bool)> = requirements
        .iter()
        .map(|one| (one["ref"].as_str().unwrap(), one["assessable"] == true))
        .collect();
    assert_eq!(
        assessable,
        [("1", false), ("1.1", true), ("1.2", true), ("2", true)]
    );
    assert_eq!(
        (&requirements[1]["attributes"], &requirements[3]["kind"]),
        (&json!({"weight": 3, "teams": ["a", "b"]}), &json!("rule"))
    );
    assert_eq!(
        refs(app, "house-rules/requirements?attribute=teams:b").await,
        ["1.1"]
    );
    let told = app
        .get(
            key,
            "/v1/frameworks/iso-27001-2022/mappings?target=house-rules",
        )
        .await
        .data();
    let pair = json!({"source": "iso-27001-2022:A.5.16", "target": "house-rules:1.1",
        "relationship": "superset", "kind": "composed",
        "provenance": "composed by the organization", "imported_with": "house-rules"});
    assert_eq!(told, [pair]);
    assert_eq!(
        app.get(key, "/v1/frameworks/house-rules/mappings?kind=published")
            .await
            .data()
            .len(),
        1
    );
    // What cites requirements may cite these.
    let cites = json!({"requirements": ["house-rules:1.1", "iso-27001-2022:A.5.1"]});
    made(app, "controls", "c", cites.clone()).await;
    made(
        app,
        "evidence",
        "e",
        json!({"payload": 1, "source": "s", "requirements": ["house-rules:1.2"]}),
    )
    .await;
    made(
        app,
        "nonconformities",
        "n",
        json!({"requirements": ["house-rules:2"], "identified_through": "audit",
            "severity": "minor", "detected_on": "2026-11-01"}),
    )
    .await;
    let scope = made(
        app,
        "scopes",
        "s",
        json!({"statement": "s", "frameworks": ["house-rules", "dora"]}),
    )
    .await;
    let decision = json!({"applicable": false, "justification": "no accounts"});
    let path = format!("{}/applicability/house-rules:1.1", at("scopes", &scope));
    app.send(
        key,
        Method::PUT,
        &path,
        &[("If-Match", "*")],
        Some(&decision),
    )
    .await
    .expect(200);
    let soa = app
        .get(
            key,
            &format!(
                "{}/statement-of-applicability?framework=house-rules",
                at("scopes", &scope)
            ),
        )
        .await
        .expect(200)
        .json();
    let entries: Vec<(&str, bool)> = soa["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["requirement"].as_str().unwrap(),
                one["applicable"] == true,
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            ("house-rules:1.1", false),
            ("house-rules:1.2", true),
            ("house-rules:2", true)
        ]
    );
    assert_eq!(
        app.get(
            key,
            &format!("{}/applicability?framework=soc2-2017", at("scopes", &scope))
        )
        .await
        .data()
        .len(),
        61
    );
    // What is not there, or another organization's, is unknown.
    for (path, body, pointer) in [
        (
            "controls",
            json!({"name": "x", "requirements": ["house-rules:9", "house-rules:1.1",
                "house-rules:", "other:1"]}),
            vec!["/requirements/0", "/requirements/2", "/requirements/3"],
        ),
        (
            "scopes",
            json!({"name": "x", "statement": "x", "frameworks": ["dora", "other"]}),
            vec!["/frameworks/1"],
        ),
        (
            "evidence",
            json!({"name": "x", "payload": 2, "source": "s", "requirements": ["house-rules:9"]}),
            vec!["/requirements/0"],
        ),
    ] {
        assert_eq!(
            app.post(key, &format!("/v1/{path}"), &body)
                .await
                .pointers(),
            pointer
        );
    }
    assert_eq!(
        app.post(
            other,
            "/v1/controls",
            &json!({"name": "x", "requirements": ["house-rules:1.1"]})
        )
        .await
        .pointers(),
        ["/requirements/0"]
    );
    assert_eq!(
        app.post(
            other,
            "/v1/evidence",
            &json!({"name": "x", "payload": 1, "source": "s", "requirements": ["house-rules:1.1"]})
        )
        .await
        .pointers(),
        ["/requirements/0"]
    );
    for rest in [
        "",
        "/requirements",
        "/mappings",
        "/coverage",
        "/revisions",
        "/revisions/1",
        "/diff",
    ] {
        app.get(other, &format!("/v1/frameworks/house-rules{rest}"))
            .await
            .problem(404, "not_found");
    }
    assert_eq!(app.get(other, "/v1/frameworks").await.data().len(), 13);
    app.delete(other, "/v1/frameworks/house-rules", "*")
        .await
        .problem(404, "not_found");
    assert_eq!(
        app.post(other, "/v1/frameworks", &house_rules())
            .await
            .expect(201)
            .json()["revision"],
        1,
        "slugs are each organization's own"
    );
    app.post(&app.keys.contributor, "/v1/frameworks", &house_rules())
        .await
        .problem(403, "forbidden");
}

async fn a_later_revision_keeps_what_was_answered(app: &TestApp) {
    let key = &app.keys.manager;
    import(app, &house_rules()).await.expect(201);
    let control = made(
        app,
        "controls",
        "c",
        json!({"requirements": ["house-rules:1.1", "house-rules:1.2"]}),
    )
    .await;
    let gap = made(
        app,
        "gap-assessments",
        "g",
        json!({"framework": "house-rules"}),
    )
    .await;
    let answer = format!("{}/answers/house-rules:1.2", at("gap-assessments", &gap));
    app.send(
        key,
        Method::PUT,
        &answer,
        &[("If-Match", "\"0\"")],
        Some(&json!({"state": "met"})),
    )
    .await
    .expect(200);
    let seq = last(app);
    app.pass(60);
    let mut next = house_rules();
    next["requirements"] = json!([{"ref": "1", "title": "Access"}, {"ref": "1.1",
        "title": "Every account has one owner", "parent_ref": "1"}, {"ref": "3", "title": "New"}]);
    next.as_object_mut().unwrap().remove("mappings");
    app.send(
        key,
        Method::POST,
        "/v1/frameworks",
        &[("If-Match", "\"7\"")],
        Some(&next),
    )
    .await
    .problem(412, "version_mismatch");
    let second = app
        .send(
            key,
            Method::POST,
            "/v1/frameworks",
            &[("If-Match", "\"1\"")],
            Some(&next),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(
        (
            &second["revision"],
            &second["version"],
            &second["requirement_count"]
        ),
        (&json!(2), &json!(2), &json!(3))
    );
    assert_eq!(
        refs(app, "house-rules/requirements").await,
        ["1", "1.1", "3"]
    );
    assert_eq!(
        refs(app, &format!("house-rules/requirements?as_of=seq:{seq}")).await,
        ["1", "1.1", "1.2", "2"]
    );
    let difference = app
        .get(key, "/v1/frameworks/house-rules/diff")
        .await
        .expect(200)
        .json();
    let named = |member: &str| {
        difference[member]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["ref"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (named("new"), named("gone")),
        (vec!["3".to_owned()], vec!["1.2".to_owned(), "2".into()])
    );
    assert_eq!(
        (
            difference["changed"][0]["to"]["title"].as_str(),
            difference["changed"].as_array().unwrap().len()
        ),
        (Some("Every account has one owner"), 1)
    );
    assert_eq!(
        difference["gone_mappings"][0]["target"], "house-rules:2",
        "a mapping goes with its requirement"
    );
    assert_eq!(
        (
            difference["new_mappings"].as_array().unwrap().len(),
            &difference["from"],
            &difference["to"]
        ),
        (0, &json!(1), &json!(2))
    );
    let same = app
        .get(key, "/v1/frameworks/house-rules/diff?from=2&to=2")
        .await
        .expect(200)
        .json();
    assert!(
        ["new", "changed", "gone", "new_mappings", "gone_mappings"]
            .iter()
            .all(|member| same[member] == json!([])),
        "{same}"
    );
    let revisions = app
        .get(key, "/v1/frameworks/house-rules/revisions")
        .await
        .data();
    assert_eq!(
        revisions
            .iter()
            .map(|one| one["revision"].as_i64().unwrap())
            .collect::<Vec<_>>(),
        [2, 1]
    );
    let first = app
        .get(key, "/v1/frameworks/house-rules/revisions/1")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            first["requirements"].as_array().unwrap().len(),
            first["mappings"].as_array().unwrap().len()
        ),
        (4, 2)
    );
    for none in [
        "revisions/3",
        "revisions/0",
        "revisions/x",
        "diff?from=1&to=9",
    ] {
        app.get(key, &format!("/v1/frameworks/house-rules/{none}"))
            .await
            .problem(404, "not_found");
    }
    // What referred to 1.2 still does, and can be changed; anew nothing can.
    let kept = app
        .patch(
            key,
            &at("controls", &control),
            "*",
            &json!({"name": "changed"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        kept["requirements"],
        json!(["house-rules:1.1", "house-rules:1.2"])
    );
    assert_eq!(
        app.patch(
            key,
            &at("controls", &control),
            "*",
            &json!({"requirements": ["house-rules:2"]})
        )
        .await
        .pointers(),
        ["/requirements/0"]
    );
    assert_eq!(
        app.post(
            key,
            "/v1/controls",
            &json!({"name": "x", "requirements": ["house-rules:1.2"]})
        )
        .await
        .pointers(),
        ["/requirements/0"]
    );
    let answers = app
        .get(key, &format!("{}/answers", at("gap-assessments", &gap)))
        .await
        .data();
    let told: Vec<(&str, &str, bool)> = answers
        .iter()
        .map(|one| {
            (
                one["requirement"].as_str().unwrap(),
                one["state"].as_str().unwrap(),
                one["in_framework"] == true,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("house-rules:1.1", "not_assessed", true),
            ("house-rules:3", "not_assessed", true),
            ("house-rules:1.2", "met", false)
        ]
    );
    app.send(
        key,
        Method::PUT,
        &answer,
        &[("If-Match", "\"1\"")],
        Some(&json!({"state": "not_met"})),
    )
    .await
    .expect(200);
    let history = app
        .get(key, "/v1/ledger/entries?kind=framework")
        .await
        .data();
    let actions: Vec<&str> = history
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert!(
        actions == ["create", "import"] || actions == ["import", "create"],
        "{actions:?}"
    );
}

async fn each_fault_of_an_import_names_its_row(app: &TestApp) {
    let before = last(app);
    let row = |reference: &str, parent: Value| {
        json!({"ref": reference, "title": "t",
        "parent_ref": parent})
    };
    let of = |requirements: Value, mappings: Value| {
        json!({"slug": "mine", "title": "Mine",
        "requirements": requirements, "mappings": mappings})
    };
    for (body, pointers) in [
        (
            json!({"slug": "mine", "title": "Mine"}),
            vec!["/requirements"],
        ),
        (
            json!({"slug": "Mine!", "title": " ", "nmae": 1, "requirements": [{"ref": "1",
                "title": "t"}]}),
            vec!["/nmae", "/slug", "/title"],
        ),
        (
            json!({"requirements": [{"ref": "1", "title": "t"}]}),
            vec!["/slug", "/title"],
        ),
        (
            of(
                json!([{"ref": "1", "title": "t"}, {"ref": "2"}, {"title": "t", "ref": "3",
                    "nmae": 1}, 7]),
                json!([]),
            ),
            vec![
                "/requirements/1/title",
                "/requirements/2/nmae",
                "/requirements/3",
            ],
        ),
        (
            of(
                json!([
                    row("1", json!(null)),
                    row("1", json!(null)),
                    row("a b", json!(null)),
                    row("4", json!("9"))
                ]),
                json!([]),
            ),
            vec![
                "/requirements/1/ref",
                "/requirements/2/ref",
                "/requirements/3/parent_ref",
            ],
        ),
        (
            of(
                json!([
                    row("1", json!("2")),
                    row("2", json!("1")),
                    row("3", json!("3"))
                ]),
                json!([]),
            ),
            vec![
                "/requirements/0/parent_ref",
                "/requirements/1/parent_ref",
                "/requirements/2/parent_ref",
            ],
        ),
        (
            of(
                json!([{"ref": "1", "title": "a\u{0}b"}, {"ref": "2", "title": "t",
                    "attributes": {"a": {"b": 1}}}]),
                json!([]),
            ),
            vec!["/requirements/0/title", "/requirements/1/attributes"],
        ),
        (of(json!("x"), json!(3)), vec!["/mappings", "/requirements"]),
        (
            of(
                json!([row("1", json!(null))]),
                json!([
            {"source": "1", "target": "iso-27001-2022:A.5.1", "relationship": "equal"},
            {"source": "2", "target": "iso-27001-2022:A.99", "relationship": "equal"},
            {"source": "iso-27001-2022:A.5.1", "target": "1", "relationship": "equal"},
            {"source": "1", "target": "mine:1", "relationship": "equal"},
            {"source": "1", "target": "dora:Art.5", "relationship": "equal", "kind": "published"}]),
            ),
            vec![
                "/mappings/1/source",
                "/mappings/1/target",
                "/mappings/2/target",
                "/mappings/3/target",
                "/mappings/4/provenance",
            ],
        ),
        (
            of(
                json!([row("1", json!(null))]),
                json!([{"source": "1", "target": "dora:Art.5", "relationship": "likes"},
                    {"source": "1"}]),
            ),
            vec![
                "/mappings/0/relationship",
                "/mappings/1/relationship",
                "/mappings/1/target",
            ],
        ),
    ] {
        assert_eq!(import(app, &body).await.pointers(), pointers, "{body}");
    }
    let rows = csv_to(
        app,
        "/v1/frameworks?slug=mine&title=Mine",
        "ref,title,assessable\n1,a,yes\n2,,\n3,c,perhaps\n",
    )
    .await
    .problem(422, "validation_failed");
    let said: Vec<(&str, bool)> = rows["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["pointer"].as_str().unwrap(),
                one["detail"].as_str().unwrap().starts_with("row "),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("/requirements/1/title", true),
            ("/requirements/2/assessable", true)
        ]
    );
    assert!(
        rows["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .starts_with("row 3:"),
        "{rows}"
    );
    for (text, pointer) in [
        ("ref,title\n1,a\n2,a,b\n", "/requirements/1"),
        ("ref,title,ref\n1,a,2\n", "/header"),
        ("ref,title,\n1,a,2\n", "/header"),
        ("", "/requirements"),
        ("ref,title\n\"1,a\n", "/requirements/0"),
        ("ref,title\n1,\u{0}\n", "/requirements/0/title"),
    ] {
        assert_eq!(
            csv_to(app, "/v1/frameworks?slug=mine&title=Mine", text)
                .await
                .pointers(),
            [pointer],
            "{text}"
        );
    }
    let latin = [("Content-Type", "text/csv")];
    let reply = app
        .raw(
            &app.keys.manager,
            Method::POST,
            "/v1/frameworks?slug=mine&title=M",
            &latin,
            Some(b"ref,title\n1,\xff\n".to_vec()),
        )
        .await;
    reply.problem(400, "malformed");
    csv_to(
        app,
        "/v1/frameworks?slug=mine&title=Mine&nmae=x",
        "ref,title\n1,a\n",
    )
    .await
    .problem(400, "unknown_parameter");
    app.post(&app.keys.manager, "/v1/frameworks?slug=x", &house_rules())
        .await
        .problem(400, "unknown_parameter");
    assert_eq!(last(app), before, "nothing of it was stored");
    app.get(&app.keys.manager, "/v1/frameworks/mine")
        .await
        .problem(404, "not_found");
}

async fn an_import_has_limits(app: &TestApp) {
    let key = &app.keys.manager;
    let many = |n: usize| {
        (0..n)
            .map(|n| json!({"ref": n.to_string(), "title": "t"}))
            .collect::<Vec<_>>()
    };
    let large = json!({"slug": "large", "title": "Large", "requirements": many(5000)});
    assert_eq!(
        import(app, &large).await.expect(201).json()["requirement_count"],
        5000
    );
    let larger = json!({"slug": "large", "title": "Large", "requirements": many(5001)});
    assert_eq!(import(app, &larger).await.pointers(), ["/requirements"]);
    let pairs: Vec<Value> = (0..20_001)
        .map(|n| {
            json!({"source": (n % 5000).to_string(), "target": "dora:Art.5",
            "relationship": "equal"})
        })
        .collect();
    assert_eq!(
        app.post(
            key,
            "/v1/frameworks/large/mappings",
            &json!({"mappings": pairs})
        )
        .await
        .pointers(),
        ["/mappings"]
    );
    let lines = format!(
        "ref,title\n{}",
        (0..5001).map(|n| format!("{n},t\n")).collect::<String>()
    );
    assert_eq!(
        csv_to(app, "/v1/frameworks?slug=large&title=Large", &lines)
            .await
            .pointers(),
        ["/requirements"]
    );
    let faulty = json!({"slug": "large", "title": "Large", "requirements": (0..5000).map(|_| json!({
        "ref": "1"})).collect::<Vec<_>>()});
    let problem = import(app, &faulty).await.problem(422, "validation_failed");
    assert_eq!(
        problem["errors"].as_array().unwrap().len(),
        1001,
        "the first thousand, and how many more"
    );
    let huge = json!({"slug": "large", "title": "x".repeat(6 << 20)})
        .to_string()
        .into_bytes();
    let media = [("Content-Type", "application/json")];
    app.raw(key, Method::POST, "/v1/frameworks", &media, Some(huge))
        .await
        .problem(413, "payload_too_large");
    app.raw(
        key,
        Method::POST,
        "/v1/frameworks",
        &[("Content-Type", "text/plain")],
        Some(b"x".to_vec()),
    )
    .await
    .problem(415, "unsupported_media_type");
    let retry = [("Idempotency-Key", "import-1")];
    let small = json!({"slug": "small", "title": "Small", "requirements": many(3)});
    let first = app
        .send(key, Method::POST, "/v1/frameworks", &retry, Some(&small))
        .await
        .expect(201);
    let again = app
        .send(key, Method::POST, "/v1/frameworks", &retry, Some(&small))
        .await
        .expect(201);
    assert_eq!(
        (
            first.json(),
            again.header("idempotency-replayed").as_deref()
        ),
        (again.json(), Some("true"))
    );
    app.send(key, Method::POST, "/v1/frameworks", &retry, Some(&large))
        .await
        .problem(422, "idempotency_key_reused");
}

async fn csv_is_imported_too(app: &TestApp) {
    let key = &app.keys.manager;
    let text = "\u{feff}ref,title,parent_ref,kind,assessable,team\nA,Access,,chapter,,\nA-1,\"=cmd|' /C calc'!A0\",A,,,red\nA-2,\"Two\nlines, quoted\",A,rule,no,\n";
    let made = csv_to(
        app,
        "/v1/frameworks?slug=from-csv&title=From%20CSV&edition=1",
        text,
    )
    .await
    .expect(201)
    .json();
    assert_eq!(
        (&made["title"], &made["edition"], &made["requirement_count"]),
        (&json!("From CSV"), &json!("1"), &json!(3))
    );
    let all = app
        .get(key, "/v1/frameworks/from-csv/requirements")
        .await
        .data();
    assert_eq!(
        (&all[1]["title"], &all[1]["attributes"], &all[1]["kind"]),
        (
            &json!("=cmd|' /C calc'!A0"),
            &json!({"team": "red"}),
            &json!("requirement")
        )
    );
    assert_eq!(
        (
            &all[1]["assessable"],
            &all[2]["assessable"],
            &all[2]["title"]
        ),
        (&json!(true), &json!(false), &json!("Two\nlines, quoted"))
    );
    let pairs = "source,target,relationship,kind,provenance\nA-1,iso-27001-2022:A.5.15,equal,published,The handbook\nA-2,gdpr:Art.32,intersects,,\n";
    let second = csv_to(app, "/v1/frameworks/from-csv/mappings", pairs)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&second["revision"], &second["requirement_count"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(
        app.get(key, "/v1/frameworks/from-csv/mappings")
            .await
            .data()
            .len(),
        2
    );
    assert_eq!(
        csv_to(app, "/v1/frameworks/from-csv/mappings", pairs)
            .await
            .expect(200)
            .json(),
        second
    );
    assert_eq!(
        csv_to(
            app,
            "/v1/frameworks/from-csv/mappings",
            "source,target,relationship,nmae\nA-1,gdpr:Art.32,equal,x\n"
        )
        .await
        .pointers(),
        ["/header"]
    );
    csv_to(app, "/v1/frameworks/nothing/mappings", pairs)
        .await
        .problem(404, "not_found");
    // No spreadsheet takes a title for a formula.
    let coverage = app
        .get(key, "/v1/frameworks/from-csv/coverage?format=csv")
        .await
        .expect(200)
        .text();
    assert!(
        coverage.contains("from-csv:A-1,'=cmd|' /C calc'!A0,not_covered"),
        "{coverage}"
    );
}

async fn what_is_referred_to_is_not_archived(app: &TestApp) {
    let key = &app.keys.manager;
    import(app, &house_rules()).await.expect(201);
    let control = made(
        app,
        "controls",
        "c",
        json!({"requirements": ["house-rules:1.1"]}),
    )
    .await;
    let gap = made(
        app,
        "gap-assessments",
        "g",
        json!({"framework": "house-rules"}),
    )
    .await;
    let refused = app
        .delete(key, "/v1/frameworks/house-rules", "\"1\"")
        .await
        .problem(409, "in_use");
    assert_eq!(refused["needed_by"], json!([control["code"], gap["code"]]));
    app.delete(key, &at("controls", &control), "*")
        .await
        .expect(204);
    app.delete(key, &at("gap-assessments", &gap), "*")
        .await
        .expect(204);
    app.delete(key, "/v1/frameworks/house-rules", "\"7\"")
        .await
        .problem(412, "version_mismatch");
    let seq = last(app);
    app.delete(key, "/v1/frameworks/house-rules", "\"1\"")
        .await
        .expect(204);
    app.get(key, "/v1/frameworks/house-rules")
        .await
        .problem(404, "not_found");
    app.get(key, &format!("/v1/frameworks/house-rules?as_of=seq:{seq}"))
        .await
        .expect(200);
    assert_eq!(app.get(key, "/v1/frameworks").await.data().len(), 13);
    assert_eq!(
        import(app, &house_rules()).await.expect(201).json()["revision"],
        1,
        "the slug is free again"
    );
    app.get(&app.keys.auditor, "/v1/frameworks/house-rules")
        .await
        .expect(200);
    app.delete(&app.keys.auditor, "/v1/frameworks/house-rules", "*")
        .await
        .problem(403, "forbidden");
    let limited = key_limited(app).await;
    app.post(&limited, "/v1/frameworks", &house_rules())
        .await
        .problem(403, "outside_limits");
}
async fn key_limited(app: &TestApp) -> String {
    key(app, "manager", None, json!({"framework_slugs": ["dora"]})).await
}

async fn techniques_stand_beside_the_elementary_threats(app: &TestApp) {
    let key = &app.keys.manager;
    let all = walk(app, key, "/v1/attack-techniques", 100).await;
    assert_eq!(all.len(), 222);
    let ids = async |question: &str| {
        let all = app
            .get(key, &format!("/v1/attack-techniques?limit=200&{question}"))
            .await
            .data();
        all.iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (ids("q=phish").await, ids("q=t1566").await),
        (
            vec!["T1566".to_owned(), "T1598".into()],
            vec!["T1566".to_owned()]
        )
    );
    let (by_id, by_name) = (
        ids("tactic=TA0001").await,
        ids("tactic=initial%20access").await,
    );
    assert!(
        by_id == by_name && by_id.contains(&"T1566".to_owned()) && by_id.len() > 5,
        "{by_id:?}"
    );
    assert_eq!(ids("tactic=TA9999").await, Vec::<String>::new());
    let phishing = all.iter().find(|one| one["id"] == "T1566").unwrap();
    assert_eq!(
        phishing,
        &json!({"id": "T1566", "name": "Phishing", "tactics": [{"id": "TA0001",
            "name": "Initial Access"}]})
    );
    app.get(key, "/v1/attack-techniques?nmae=x")
        .await
        .problem(400, "unknown_parameter");
    let bad = json!({"name": "t", "attack_ids": ["T1566", "T9999", "T1566.001"]});
    assert_eq!(
        app.post(key, "/v1/threats", &bad).await.pointers(),
        ["/attack_ids/1"]
    );
    let one = made(
        app,
        "threats",
        "one",
        json!({"attack_ids": ["T1566.001", "T1110"]}),
    )
    .await;
    let two = made(app, "threats", "two", json!({"attack_ids": ["T1566"]})).await;
    made(app, "threats", "none", json!({})).await;
    let found = async |filter: &str| {
        app.get(key, &format!("/v1/threats?sort=code&{filter}"))
            .await
            .data()
            .iter()
            .map(|one| one["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found("attack_id=T1566").await,
        [one["id"].clone(), two["id"].clone()]
    );
    assert_eq!(found("attack_id=T1566.001").await, [one["id"].clone()]);
    assert_eq!(found("attack_id=T1110&attack_id=T1566").await.len(), 2);
    assert_eq!(
        (found("attack_id=T15").await, found("attack_id=%25").await),
        (vec![], vec![])
    );
}

async fn frameworks_are_listed_like_everything_else(app: &TestApp) {
    let key = &app.keys.manager;
    let own = json!({"slug": "aaa-own", "title": "Zebra rules", "requirements": [{"ref": "1",
        "title": "One"}]});
    app.post(key, "/v1/frameworks", &own).await.expect(201);
    let slugs = |all: &[Value]| {
        all.iter()
            .map(|one| one["slug"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let whole = slugs(&app.get(key, "/v1/frameworks").await.data());
    assert_eq!(
        (
            whole.len(),
            whole.first().unwrap().as_str(),
            whole.last().unwrap().as_str()
        ),
        (14, "iso-27001-2022", "aaa-own")
    );
    for (question, first) in [
        ("?sort=slug", "aaa-own"),
        ("?sort=-title", "aaa-own"),
        ("?sort=-name", "aaa-own"),
        ("?", "iso-27001-2022"),
    ] {
        let asked = format!("/v1/frameworks{question}");
        let all = slugs(&app.get(key, &asked).await.data());
        assert_eq!(all[0], first, "{question}");
        for limit in [1, 5, 13, 200] {
            assert_eq!(
                slugs(&crate::support::make::walk(app, key, &asked, limit).await),
                all,
                "{question} by {limit}"
            );
        }
    }
    assert_eq!(
        slugs(&app.get(key, "/v1/frameworks?q=zeb").await.data()),
        ["aaa-own"]
    );
    assert_eq!(
        slugs(&app.get(key, "/v1/frameworks?q=iso+2013").await.data()),
        ["iso-27001-2013"]
    );
    let page = app.get(key, "/v1/frameworks?limit=2").await.expect(200);
    assert!(page.header("link").unwrap().contains("rel=\"next\""));
    let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
    app.get(key, &format!("/v1/frameworks?sort=slug&cursor={cursor}"))
        .await
        .problem(400, "invalid_cursor");
    let refused = app
        .get(key, "/v1/frameworks?sort=colour")
        .await
        .problem(400, "invalid_parameter");
    assert_eq!(
        refused["allowed"],
        json!(["slug", "title", "edition", "publisher"])
    );
    for bad in ["?limit=0", "?limit=201", "?state=x", "?cursor=zz"] {
        app.get(key, &format!("/v1/frameworks{bad}"))
            .await
            .expect(400);
    }
}

async fn what_was_meant_is_suggested(app: &TestApp) {
    let key = &app.keys.manager;
    let own = json!({"slug": "our-rules", "title": "Own", "requirements": [{"ref": "1",
        "title": "One"}]});
    app.post(key, "/v1/frameworks", &own).await.expect(201);
    let scope = made(app, "scopes", "Shop", json!({"statement": "Shop"})).await;
    let soa = format!("{}/statement-of-applicability", at("scopes", &scope));
    for (slug, meant) in [
        ("nis2", "nis2-art21"),
        ("soc-2", "soc2-2017"),
        ("our-rule", "our-rules"),
        ("iso27001", "iso-27001-2022"),
    ] {
        let refused = app
            .get(key, &format!("{soa}?framework={slug}"))
            .await
            .problem(400, "invalid_parameter");
        assert!(
            refused["errors"][0]["detail"]
                .as_str()
                .unwrap()
                .contains(meant),
            "{slug}: {refused}"
        );
        assert!(
            refused["allowed"]
                .as_array()
                .unwrap()
                .contains(&json!(meant)),
            "{slug}: {refused}"
        );
        let missing = app
            .get(key, &format!("/v1/frameworks/{slug}"))
            .await
            .problem(404, "not_found");
        assert!(
            missing["detail"].as_str().unwrap().contains(meant),
            "{slug}: {missing}"
        );
    }
    let detail = |reply: crate::support::Reply| {
        reply.problem(422, "validation_failed")["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let control = json!({"name": "c", "requirements": ["A.8.5"]});
    assert!(
        detail(app.post(key, "/v1/controls", &control).await)
            .contains("did you mean iso-27001-2022:A.8.5")
    );
    let gap = json!({"name": "g", "framework": "nis2"});
    assert!(detail(app.post(key, "/v1/gap-assessments", &gap).await).contains("nis2-art21"));
    let items = json!({"items": [{"requirement": "A.8.5", "applicable": true}]});
    let batch = format!("{}/applicability/batch", at("scopes", &scope));
    assert!(detail(app.post(key, &batch, &items).await).contains("iso-27001-2022:A.8.5"));
    let missing = app
        .get(
            key,
            &format!("{}/applicability/A.8.5", at("scopes", &scope)),
        )
        .await
        .problem(404, "not_found");
    assert!(
        missing["detail"]
            .as_str()
            .unwrap()
            .contains("iso-27001-2022:A.8.5"),
        "{missing}"
    );
    let limited = super::key(
        app,
        "auditor",
        None,
        json!({"framework_slugs": ["nis2-art21"]}),
    )
    .await;
    let missing = app
        .get(&limited, "/v1/frameworks/our-rule")
        .await
        .problem(404, "not_found");
    assert!(
        !missing.to_string().contains("our-rules"),
        "a key learns nothing of what it does not see: {missing}"
    );
}
