//! How an answer goes out: entity tags, 304, positions.
use crate::service::answer::{Answer, GZIP, Keep, matches};
use actix_web::http::{StatusCode, header, header::HeaderMap};
use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody};

/// The tags of `If-None-Match`; `None` when it was not sent.
pub fn named(headers: &HeaderMap) -> Option<Vec<&str>> {
    let given = headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok());
    let tags: Vec<&str> = given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    (!tags.is_empty()).then_some(tags)
}

/// Does `If-None-Match` name this tag?
pub fn known(headers: &HeaderMap, etag: &str) -> bool {
    named(headers).is_some_and(|tags| matches(&tags, etag))
}

/// The tag of the compressed form: other bytes have another strong tag (RFC 9110 8.8.3). A weak one
/// is for both.
pub fn of_gzip(tag: &str) -> String {
    match tag.strip_suffix('"') {
        Some(rest) if !tag.starts_with("W/") && !rest.ends_with(GZIP) => format!("{rest}{GZIP}\""),
        _ => tag.to_owned(),
    }
}

impl Responder for Answer {
    type Body = BoxBody;
    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let reading = request.method().is_safe();
        let fresh = reading
            && self.status == StatusCode::OK
            && self
                .etag
                .as_deref()
                .is_some_and(|tag| known(request.headers(), tag));
        let status = if fresh {
            StatusCode::NOT_MODIFIED
        } else {
            self.status
        };
        let mut answer = HttpResponse::build(status);
        answer.insert_header((
            header::CACHE_CONTROL,
            if self.keep == Keep::No {
                "no-store"
            } else {
                "private, no-cache"
            },
        ));
        if let Some(tag) = self.etag {
            answer.insert_header((header::ETAG, tag));
        }
        if let Some(position) = self.position {
            answer.insert_header(("Ledger-Position", position));
        }
        if let Some(location) = self.location {
            answer.insert_header((header::LOCATION, location));
        }
        if let Some(link) = self.link {
            answer.insert_header((header::LINK, link));
        }
        if self.by_accept {
            answer.insert_header((header::VARY, "Accept"));
        }
        if self.replayed {
            answer.insert_header(("Idempotency-Replayed", "true"));
        }
        if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT) {
            return answer.finish();
        }
        let body = match self.secret {
            Some((name, value)) => {
                let secret = serde_json::Value::String(value);
                format!(
                    "{{\"{name}\":{secret},{}",
                    self.body.get(1..).unwrap_or("}")
                )
            }
            None => self.body,
        };
        answer.content_type(self.media).body(body)
    }
}
