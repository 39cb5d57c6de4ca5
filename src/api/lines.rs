//! What of a request is written to the log: one line each, and one more where it concerns security.
use crate::core::Id;
use crate::http::journal::{self, ACCESS, Attempted, Event, Told};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

/// A request that was answered.
pub struct Line<'a> {
    /// The request, after it was routed.
    pub request: &'a HttpRequest,
    /// Its method, as it was sent.
    pub method: &'a Method,
    /// The template of its path, where there is one.
    pub route: Option<&'a str>,
    /// What it was answered with.
    pub status: StatusCode,
    /// Where the answer says that the record is.
    pub location: Option<&'a str>,
    /// How long it took.
    pub took: Duration,
    /// Where it came from.
    pub client: IpAddr,
    /// Its id.
    pub id: Id,
}

/// Paths that are asked every few seconds by machines.
const QUIET: [&str; 2] = ["/healthz", "/readyz"];

impl Line<'_> {
    /// Writes what there is to write.
    pub fn write(&self) {
        let path = self.request.uri().path();
        let account = journal::account(self.request);
        let level = if QUIET.contains(&path) {
            log::Level::Debug
        } else {
            log::Level::Info
        };
        if log::log_enabled!(target: ACCESS, level) {
            let members = [
                ("method", json!(self.method.as_str())),
                ("path", json!(path)),
                ("status", json!(self.status.as_u16())),
                (
                    "ms",
                    json!((self.took.as_secs_f64() * 10_000.0).round() / 10.0),
                ),
                ("client", json!(self.client.to_string())),
                ("account", account.clone()),
                ("request_id", json!(self.id.to_string())),
            ];
            log::log!(target: ACCESS, level, "{}", journal::line(&members));
        }
        let told = self.request.extensions().get::<Told>().copied();
        if let Some(event) = self.event(told) {
            let attempted = self
                .request
                .extensions()
                .get::<Attempted>()
                .map(|attempted| json!(attempted.0));
            let user = told
                .and_then(|Told(_, user)| user)
                .map(|user| json!(format!("user:{user}")));
            let mut members: Vec<(&str, Value)> = vec![
                ("account", attempted.or(user).unwrap_or(account)),
                ("method", json!(self.method.as_str())),
                ("path", json!(path)),
                ("status", json!(self.status.as_u16())),
            ];
            members.extend(self.location.map(|location| ("location", json!(location))));
            members.push(("request_id", json!(self.id.to_string())));
            event.happened(self.client, &members);
        }
    }
    fn event(&self, told: Option<Told>) -> Option<Event> {
        let route = self.route.unwrap_or_default();
        let login = route == "/v1/auth/login";
        match self.status.as_u16() {
            429 => Some(Event::Throttled),
            _ if told.is_some() => told.map(|Told(event, _)| event),
            401 if login => Some(Event::LoginFailed),
            401 => Some(Event::Unauthenticated),
            403 => Some(Event::Denied),
            200..=299 if login => Some(Event::Login),
            200..=299
                if !matches!(*self.method, Method::GET | Method::HEAD) && about_rights(route) =>
            {
                Some(Event::RightsChanged)
            }
            _ => None,
        }
    }
}

/// Accounts, keys and passwords.
fn about_rights(route: &str) -> bool {
    let below = |place: &str| {
        route
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below("/v1/users")
        || below("/v1/api-keys")
        || route == "/v1/me/password"
        || route == "/v1/auth/setup"
}
