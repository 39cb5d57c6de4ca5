//! What happens at the doors, as lines of the log for those who watch it: `isms::security`.
use crate::core::Id;
use crate::http::client::client_address;
use crate::http::{RequestId, journal};
use actix_web::{HttpMessage, HttpRequest};
use serde_json::json;

/// A line about an account, or about an unknown one. What is refused is a warning.
pub fn told(what: &str, refused: bool, request: &HttpRequest, account: Option<Id>) {
    let level = if refused { log::Level::Warn } else { log::Level::Info };
    let client = client_address(request).to_string();
    let account = account.map_or_else(|| "-".into(), |id| id.to_string());
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
    let id = id.unwrap_or_else(|| "-".into());
    let members = [("event", json!(what)), ("client", json!(client)), ("account", json!(account)), ("request_id", json!(id))];
    log::log!(target: journal::SECURITY, level, "{}", journal::line(&members));
}
