//! Lines of the log that programs read: each request (`isms::access`), and what concerns security
//! (`isms::security`). A line is made of members; their values are escaped, so that nobody writes a
//! line, or a member, by what they send.
use crate::access::ActorKind;
use crate::core::Id;
use actix_web::{HttpMessage, HttpRequest};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use strum::VariantArray;

/// The target of the lines about requests.
pub const ACCESS: &str = "isms::access";
/// The target of the lines about logins, refusals and rights.
pub const SECURITY: &str = "isms::security";

/// Characters of a value.
const LONGEST: usize = 500;

static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Says that lines are JSON from now on.
pub fn as_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

/// The members of a line, as they are written: `name=value` in text, an object in JSON.
pub fn line(members: &[(&str, Value)]) -> String {
    match AS_JSON.load(Ordering::Relaxed) {
        true => Value::Object(
            members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), cut(value)))
                .collect(),
        )
        .to_string(),
        false => text(members),
    }
}
fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) => text.chars().take(LONGEST).collect::<String>().into(),
        other => other.clone(),
    }
}
fn text(members: &[(&str, Value)]) -> String {
    let mut line = String::new();
    for (name, value) in members {
        // Writing to a text does not fail.
        let _ = match value {
            Value::Null => write!(line, " {name}=-"),
            Value::String(text) => write!(line, " {name}={}", quoted(text)),
            other => write!(line, " {name}={other}"),
        };
    }
    line.split_off(line.len().min(1))
}

/// Bare where it is one plain word; else in quotes, with everything escaped that is not printable
/// ASCII, and `=`: a pattern that looks for a member anywhere in a line finds only members.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:@%+,~*{}[]".contains(c);
    if !text.is_empty() && text != "-" && text.len() <= LONGEST && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars().take(LONGEST) {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ' '..='~' if letter != '=' => quoted.push(letter),
            other => quoted.extend(other.escape_unicode()),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of one line, whatever is in it: no control characters, and none that turn the direction of
/// writing.
pub fn one_line(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c,
                '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(odd) {
        return text.to_owned();
    }
    text.chars().fold(
        String::with_capacity(text.len() + 16),
        |mut line, letter| {
            match letter {
                '\n' => line.push_str("\\n"),
                letter if odd(letter) => line.extend(letter.escape_unicode()),
                letter => line.push(letter),
            }
            line
        },
    )
}

/// The members of a message of these targets, where lines are JSON.
pub fn members(target: &str, message: &str) -> Option<Map<String, Value>> {
    [ACCESS, SECURITY]
        .contains(&target)
        .then(|| serde_json::from_str(message).ok())
        .flatten()
}

/// The account, as lines name it: `api_key:<id>`, `user:<id>`.
pub fn account(request: &HttpRequest) -> Value {
    let account = request.extensions().get::<Account>().copied();
    account.map_or(Value::Null, |Account(kind, id)| {
        let kind: &'static str = kind.into();
        format!("{kind}:{id}").into()
    })
}

/// The account behind a request, for the log.
#[derive(Debug, Clone, Copy)]
pub struct Account(pub ActorKind, pub Id);

/// Whose account a login is for, as far as it was said.
#[derive(Debug, Clone)]
pub struct Attempted(pub String);

/// What concerns security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// Somebody logged in.
    Login,
    /// Address and password were wrong.
    LoginFailed,
    /// A session ended by its user.
    Logout,
    /// A refresh token was unknown or had ended.
    RefreshFailed,
    /// A refresh token came a second time: its session has ended.
    RefreshReused,
    /// A setup token was used: its holder set a password.
    Setup,
    /// A setup token was unknown or had ended.
    SetupFailed,
    /// A user changed their own password.
    PasswordChanged,
    /// The current password was wrong.
    PasswordChangeFailed,
    /// A credential was missing or not good.
    Unauthenticated,
    /// Somebody may not do that.
    Denied,
    /// There were too many requests.
    Throttled,
    /// Accounts, keys or passwords changed.
    RightsChanged,
}

/// What a handler says of its request where the status does not tell it, and the user that it is
/// about.
#[derive(Debug, Clone, Copy)]
pub struct Told(pub Event, pub Option<Id>);

impl Event {
    /// As lines and metrics name it.
    pub fn name(self) -> &'static str {
        self.into()
    }
    /// Says that this is what the request came to; its line is written with the answer.
    pub fn told(self, request: &HttpRequest, user: Option<Id>) {
        request.extensions_mut().insert(Told(self, user));
    }
    const fn level(self) -> log::Level {
        match self {
            Event::Login
            | Event::Logout
            | Event::Setup
            | Event::PasswordChanged
            | Event::RightsChanged => log::Level::Info,
            _ => log::Level::Warn,
        }
    }
    fn counter(self) -> &'static AtomicU64 {
        static COUNTERS: [AtomicU64; Event::VARIANTS.len()] =
            [const { AtomicU64::new(0) }; Event::VARIANTS.len()];
        static NONE: AtomicU64 = AtomicU64::new(0);
        COUNTERS.get(self as usize).unwrap_or(&NONE)
    }
    /// How often it happened in this process.
    pub fn count(self) -> u64 {
        self.counter().load(Ordering::Relaxed)
    }
    /// Counts it, and writes a line: `event` and `client` come first, so that fail2ban finds the
    /// address at a place that no one can write to.
    pub fn happened(self, client: IpAddr, more: &[(&str, Value)]) {
        self.counter().fetch_add(1, Ordering::Relaxed);
        let level = self.level();
        if log::log_enabled!(target: SECURITY, level) {
            let first = [
                ("event", json!(self.name())),
                ("client", json!(client.to_string())),
            ];
            log::log!(target: SECURITY, level, "{}", line(&[&first, more].concat()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_a_line_or_a_member() {
        let line = text(&[
            ("event", json!("login_failed")),
            ("path", json!("/a client=6.6.6.6")),
            (
                "account",
                json!(
                    "x\"\\\r\n[WARN isms::security] event=login_failed \
                        client=6.6.6.6\u{202e}é\u{1b}[31m"
                ),
            ),
            ("status", json!(401)),
            ("nobody", Value::Null),
            ("dash", json!("-")),
            ("empty", json!("")),
            ("plain", json!("/v1/assets/AST-1%20x")),
        ]);
        assert_eq!(
            line,
            "event=login_failed path=\"/a client\\u{3d}6.6.6.6\" \
                account=\"x\\\"\\\\\\u{d}\\u{a}[WARN isms::security] event\\u{3d}login_failed \
                client\\u{3d}6.6.6.6\\u{202e}\\u{e9}\\u{1b}[31m\" \
             status=401 nobody=- dash=\"-\" empty=\"\" plain=/v1/assets/AST-1%20x"
        );
        assert!(text(&[("path", json!("x".repeat(100_000)))]).len() < 600);
        assert_eq!(
            one_line("a\nb\u{85}\u{202e}c\u{1b}[0m"),
            "a\\nb\\u{85}\\u{202e}c\\u{1b}[0m"
        );
        assert_eq!(one_line("plain"), "plain");
    }

    #[test]
    fn lines_are_members_again() {
        let object = json!({"event": "login", "client": "::1"}).to_string();
        assert_eq!(
            members(SECURITY, &object).map(|members| members.len()),
            Some(2)
        );
        assert_eq!(
            (
                members("isms::api", &object),
                members(SECURITY, "event=login")
            ),
            (None, None)
        );
    }
}
