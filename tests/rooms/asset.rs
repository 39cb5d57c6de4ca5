//! Assets: what is stored of effective ratings is what follows from the dependents, at any time.
use super::{at, made};
use crate::support::TestApp;
use crate::support::make::{id, last};
use serde_json::{Value, json};

crate::on_both!(what_is_stored_is_what_follows);

/// Numbers that are the same at each run.
struct Dice(u64);
impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

/// A key that sees less than all is told what follows from what it sees: here everything.
async fn both_ways(app: &TestApp, limited: &str) {
    let now = last(app);
    for seq in now.saturating_sub(90)..=now {
        let path = format!("/v1/assets?limit=200&sort=code&archived=any&as_of=seq:{seq}");
        let stored = app.get(&app.keys.manager, &path).await.expect(200).data();
        assert_eq!(
            app.get(limited, &path).await.expect(200).data(),
            stored,
            "{seq}"
        );
    }
    let path = "/v1/assets?limit=200&sort=code&archived=any";
    let stored = app.get(&app.keys.manager, path).await.expect(200).data();
    assert_eq!(app.get(limited, path).await.expect(200).data(), stored);
    let raised = |asset: &&Value| {
        asset["effective"]["confidentiality"].as_i64() > asset["confidentiality"].as_i64()
    };
    assert!(stored.iter().filter(raised).count() > 2, "{stored:#?}");
}

async fn what_is_stored_is_what_follows(app: &TestApp) {
    let (key, mut dice) = (&app.keys.manager, Dice(7));
    let scope = made(app, "scopes", "A", json!({"statement": "All of it."})).await;
    let limited = super::key(app, "auditor", None, json!({"scope_ids": [scope["id"]]})).await;
    let mut assets: Vec<Value> = Vec::new();
    let mut turn = async |n: usize, assets: &mut Vec<Value>| {
        let mut rating = || match dice.below(6) {
            0 => Value::Null,
            n => json!(n),
        };
        let rated = json!({"confidentiality": rating(), "integrity": rating()});
        if n < 14 || dice.below(8) == 0 {
            let on: Vec<&Value> = assets.iter().filter(|_| dice.below(4) == 0).collect();
            let on: Vec<&Value> = on.into_iter().map(|asset| &asset["id"]).collect();
            let mut body = json!({"asset_type": "software", "classification": "internal",
                "depends_on_ids": on});
            body.as_object_mut()
                .unwrap()
                .extend(rated.as_object().unwrap().clone());
            return assets.push(made(app, "assets", &format!("asset {n}"), body).await);
        }
        let which = dice.below(assets.len() as u64) as usize;
        let path = at("assets", &assets[which]);
        // An asset depends on those before it alone: no circle can come of that.
        let on: Vec<&str> = assets[..which]
            .iter()
            .filter(|_| dice.below(3) == 0)
            .map(id)
            .collect();
        let change = match dice.below(5) {
            0 => app.delete(key, &path, "*").await,
            1 => app.act(key, &format!("{path}/restore"), &json!({})).await,
            2 => {
                app.patch(key, &path, "*", &json!({"depends_on_ids": on}))
                    .await
            }
            _ => app.patch(key, &path, "*", &rated).await,
        };
        // Some are archived already, some are needed, some depend on what is archived.
        assert!(
            [200, 204, 404, 409, 422].contains(&change.status),
            "{}",
            change.text()
        );
    };
    for n in 0..70 {
        turn(n, &mut assets).await;
    }
    both_ways(app, &limited).await;
    let database = isms::db::Database::open(&app.url, 1).unwrap();
    let kinds: Vec<_> = isms::api::replays().collect();
    isms::records::rebuild::rebuild(&database, &kinds).unwrap();
    both_ways(app, &limited).await;
}
