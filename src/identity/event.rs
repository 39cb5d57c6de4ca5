//! What happens at the doors, as lines of the log for those who watch it: `isms::security`.
use crate::core::Id;
use crate::http::RequestId;
use crate::http::client::client_address;
use actix_web::{HttpMessage, HttpRequest};

/// A line about an account, or about an unknown one. What is refused is a warning.
pub fn told(what: &str, refused: bool, request: &HttpRequest, account: Option<Id>) {
    let level = if refused { log::Level::Warn } else { log::Level::Info };
    let client = client_address(request).map_or_else(|| "-".into(), |ip| ip.to_string());
    let account = account.map_or_else(|| "-".into(), |id| id.to_string());
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
    let id = id.unwrap_or_else(|| "-".into());
    log::log!(target: "isms::security", level, "{what} client={client} account={account} request_id={id}");
}
