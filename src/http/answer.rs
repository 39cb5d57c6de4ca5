//! What goes out: bytes made where the record was read, with what its headers need. Entity tags,
//! 304, positions.
use crate::core::Problem;
use crate::records::Shown;
use actix_web::http::{StatusCode, header, header::HeaderMap};
use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody};
use serde::Serialize;

/// How long others may keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Ask again, with the entity tag.
    Private,
    /// Not at all: it holds a secret.
    No,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Its entity tag, quotes included.
    pub etag: Option<String>,
    /// Where the new record is.
    pub location: Option<String>,
    /// The body.
    pub body: String,
    /// Its media type.
    pub media: &'static str,
    /// Where the next page is.
    pub link: Option<String>,
    /// The position that was read, or written.
    pub position: Option<i64>,
    /// Is it a stored answer?
    pub replayed: bool,
    /// How long it may be kept.
    pub keep: Keep,
    /// Did `Accept` choose its format?
    pub by_accept: bool,
    /// A member that is shown once and never stored.
    pub secret: Option<(&'static str, String)>,
}

impl Answer {
    /// 200 with JSON.
    pub fn json(body: String) -> Self {
        Answer {
            status: StatusCode::OK,
            etag: None,
            location: None,
            body,
            media: "application/json",
            link: None,
            position: None,
            replayed: false,
            keep: Keep::Private,
            by_accept: false,
            secret: None,
        }
    }
    /// 200 with anything that serialises.
    pub fn of(value: &impl Serialize) -> Result<Self, Problem> {
        serde_json::to_string(value)
            .map(Self::json)
            .map_err(Problem::internal)
    }
    /// 200 with a record.
    pub fn shown(shown: Shown) -> Self {
        Answer {
            etag: Some(shown.etag),
            position: Some(shown.position),
            ..Self::json(shown.json)
        }
    }
    /// 201 with its place.
    pub fn created(shown: Shown, path: &str) -> Self {
        let location = Some(format!("/v1/{path}/{}", shown.id));
        Answer {
            status: StatusCode::CREATED,
            location,
            ..Self::shown(shown)
        }
    }
    /// 204.
    pub fn gone(shown: &Shown) -> Self {
        Answer {
            status: StatusCode::NO_CONTENT,
            position: Some(shown.position),
            etag: Some(shown.etag.clone()),
            ..Self::json(String::new())
        }
    }
    /// 204 without a record.
    pub fn nothing() -> Self {
        Answer {
            status: StatusCode::NO_CONTENT,
            ..Self::json(String::new())
        }
    }
    /// 304 for a tag that the caller has.
    pub fn unchanged(etag: String, position: i64) -> Self {
        Answer {
            status: StatusCode::NOT_MODIFIED,
            etag: Some(etag),
            position: Some(position),
            ..Self::json(String::new())
        }
    }
    /// With another media type.
    pub fn as_media(self, media: &'static str) -> Self {
        Answer { media, ..self }
    }
    /// With an entity tag.
    pub fn tagged(self, etag: String) -> Self {
        Answer {
            etag: Some(etag),
            ..self
        }
    }
    /// At a position.
    pub fn at(self, position: i64) -> Self {
        Answer {
            position: Some(position),
            ..self
        }
    }
    /// With a secret member that is shown now and never again.
    pub fn with_secret(self, name: &'static str, value: String) -> Self {
        Answer {
            secret: Some((name, value)),
            keep: Keep::No,
            ..self
        }
    }
    /// Never to be kept.
    pub fn private(self) -> Self {
        Answer {
            keep: Keep::No,
            ..self
        }
    }
}

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

/// Does `If-None-Match` name this tag? (Weak comparison, RFC 9110 13.1.2.)
pub fn known(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| of_plain(tag.trim_start_matches("W/"));
    named(headers).is_some_and(|tags| {
        tags.iter()
            .any(|tag| *tag == "*" || bare(tag) == bare(etag))
    })
}

/// The tag of the compressed form: other bytes have another strong tag (RFC 9110 8.8.3). A weak one
/// is for both.
pub fn of_gzip(tag: &str) -> String {
    match tag.strip_suffix('"') {
        Some(rest) if !tag.starts_with("W/") && !rest.ends_with(GZIP) => format!("{rest}{GZIP}\""),
        _ => tag.to_owned(),
    }
}
/// The tag that it is made of: conditions are about the record, in whatever form it was read.
pub fn of_plain(tags: &str) -> String {
    tags.replace("-gzip\"", "\"")
}
const GZIP: &str = "-gzip";

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
