//! What is particular to each room.
mod account;
mod admins;
mod asset;
mod control;
mod coverage;
mod evidence;
mod feed;
mod framework;
mod gap;
mod in_force;
mod key;
mod leaver;
mod login;
mod methodology;
mod midnight;
mod nonconformity;
mod occurrence;
mod overview;
mod proof;
mod reporter;
mod risk;
mod scope;
mod setup;
mod soa;
mod soa_size;
mod soa_version;
mod superseding;
mod taken;
mod treatment;
mod upload;
mod views;
mod vulnerability;
mod year;

use crate::support::TestApp;
use serde_json::{Value, json};

/// A key for a service, or one that a user makes; an administrator gives them the role before.
pub async fn key(app: &TestApp, role: &str, user: Option<&str>, limits: Value) -> String {
    let admin = &app.keys.admin;
    let made = match user {
        None => {
            let body = json!({"name": role, "role": role, "expires_at": "2027-11-20T00:00:00Z",
                "limits": limits});
            app.post(admin, "/v1/api-keys", &body)
                .await
                .expect(201)
                .json()
        }
        Some(user) => {
            let path = format!("/v1/users/{user}");
            let account = app.get(admin, &path).await.expect(200).json();
            let mut roles = account["roles"].as_array().unwrap().clone();
            if !roles.contains(&json!(role)) {
                roles.push(json!(role));
                app.patch(admin, &path, "*", &json!({"roles": roles}))
                    .await
                    .expect(200);
            }
            let login = app.login(account["email"].as_str().unwrap()).await;
            app.own_key(&login, role, limits).await
        }
    };
    made["secret"].as_str().unwrap().to_owned()
}
/// A record, by its path and what it says besides its name.
pub async fn made(app: &TestApp, path: &str, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.post(&app.keys.manager, &format!("/v1/{path}"), &body)
        .await
        .expect(201)
        .json()
}
/// Where a record is.
pub fn at(path: &str, record: &Value) -> String {
    format!("/v1/{path}/{}", record["id"].as_str().unwrap())
}
