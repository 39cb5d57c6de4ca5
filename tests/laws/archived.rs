//! After DELETE a record is gone for every operation that does not ask for archived ones: 404,
//! never an effect.
use crate::support::TestApp;
use crate::support::make::{all, id, last, make, one, rooms};
use actix_web::http::Method;
use serde_json::{Value, json};

crate::on_both!(what_is_archived_is_not_found);

/// What answers for archived records, too: where they are brought back, and what happened to them.
const STILL: [&str; 2] = ["restore", "history"];

async fn what_is_archived_is_not_found(app: &TestApp) {
    let (key, document, mut tried) = (&app.keys.manager, isms::api::document::document(), 0);
    for room in rooms() {
        let record = make(app, room).await;
        let (path, code) = (one(room, &record), record["code"].as_str().unwrap());
        app.delete(key, &path, "*").await.expect(204);
        let before = last(app);
        for (template, item) in document["paths"].as_object().unwrap() {
            let Some(rest) = template.strip_prefix(&format!("{}/{{id}}", all(room))) else {
                continue;
            };
            if STILL.contains(&rest.trim_start_matches('/')) {
                continue;
            }
            let rest = rest
                .replace("{relation}", "scope_ids")
                .replace("{to}", &app.keys.person)
                .replace("{n}", "1");
            let rest = rest
                .replace("{requirement}", "iso-27001-2022:A.5.1")
                .replace("soa-diff", "soa-diff?from=live&to=live");
            for method in item.as_object().unwrap().keys() {
                let method: Method = method.to_uppercase().parse().unwrap();
                for place in [
                    format!("{path}{rest}"),
                    format!("{}/{code}{rest}", all(room)),
                ] {
                    let body = if [Method::GET, Method::DELETE].contains(&method) {
                        None
                    } else {
                        Some(json!({}))
                    };
                    let reply = app
                        .send(
                            key,
                            method.clone(),
                            &place,
                            &[("If-Match", "*")],
                            body.as_ref(),
                        )
                        .await;
                    reply.problem(404, "not_found");
                    tried += 1;
                }
            }
        }
        assert_eq!(last(app), before, "{path}: something was entered");
        app.get(key, &format!("{path}?archived=any"))
            .await
            .expect(200);
        app.patch(
            key,
            &format!("{path}?archived=any"),
            "*",
            &json!({"name": "Still there"}),
        )
        .await
        .expect(200);
        let told: Vec<Value> = app.get(key, &format!("{path}/history")).await.data();
        assert_eq!(told.len(), 3, "the history of what is archived stays");
        app.act(key, &format!("{path}/restore"), &json!({}))
            .await
            .expect(200);
        assert_eq!(
            app.get(key, &path).await.expect(200).json()["id"],
            json!(id(&record))
        );
    }
    assert!(tried > 100, "only {tried} requests");
}
