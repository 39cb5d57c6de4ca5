//! Pages of other origins (the Fetch standard's CORS protocol): those that the settings name, and
//! no others. Credentials come in `Authorization`, which a page has to set by itself; cookies are
//! not used, and not allowed.
use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};

/// What a page may read of an answer, beside what it always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Location, Link, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, \
        Idempotency-Replayed, Ledger-Position, Content-Disposition",
);
/// What a page may send.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Change-Reason, \
        Content-Digest, Range",
);
/// Seconds that a browser may remember that.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may use the service.
#[derive(Debug, Clone, Default)]
pub struct Cors(Vec<String>);

impl Cors {
    /// From `https://grc.example.org, http://localhost:5173`; empty is none. What is no origin is a
    /// fault.
    pub fn read(text: &str) -> Result<Self, String> {
        let origins = text
            .split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty())
            .map(|origin| match is_origin(origin) {
                true => Ok(origin.to_ascii_lowercase()),
                false => Err(format!(
                    "`{origin}` is not an origin like https://grc.example.org"
                )),
            });
        origins.collect::<Result<_, _>>().map(Cors)
    }
    /// Is any origin named?
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }
    /// The origin that asks, when it may.
    pub fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        self.0
            .iter()
            .any(|known| origin.as_bytes() == known.as_bytes())
            .then(|| origin.clone())
    }
    /// The answer to a browser that asks first, when its page may.
    pub fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        self.allowed(request.headers()).filter(|_| asks)?;
        let mut answer = HttpResponse::build(StatusCode::NO_CONTENT);
        answer
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS));
        Some(
            answer
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, REMEMBERED))
                .finish(),
        )
    }
}

/// Tells the browser that the page of this origin may read the answer.
pub fn open(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Adds a name to `Vary`.
pub fn vary(headers: &mut HeaderMap, by: &HeaderName) {
    let before = headers
        .get(header::VARY)
        .and_then(|value| value.to_str().ok())
        .map(|names| format!("{names}, "))
        .unwrap_or_default();
    let title: Vec<String> = by
        .as_str()
        .split('-')
        .map(|word| {
            word.chars()
                .take(1)
                .flat_map(char::to_uppercase)
                .chain(word.chars().skip(1))
                .collect()
        })
        .collect();
    if let Ok(value) = HeaderValue::try_from(format!("{before}{}", title.join("-"))) {
        headers.insert(header::VARY, value);
    }
}

/// Scheme, host and perhaps a port (RFC 6454 7), without a path.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole() {
        assert_eq!(
            Cors::read("https://a.example, http://localhost:5173,").map(|cors| cors.0.len()),
            Ok(2)
        );
        assert!(!Cors::read(" ").unwrap_or_default().any());
        for bad in [
            "*",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "null",
            "https://*.example",
        ] {
            assert!(Cors::read(bad).is_err(), "{bad}");
        }
    }
}
