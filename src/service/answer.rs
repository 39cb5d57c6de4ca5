//! What goes out: bytes made where the record was read, with what a door needs to say of them.
use crate::core::Problem;
use crate::records::RenderedRecord;
use actix_web::http::StatusCode;
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
    pub fn shown(shown: RenderedRecord) -> Self {
        Answer {
            etag: Some(shown.etag),
            position: Some(shown.position),
            ..Self::json(shown.json)
        }
    }
    /// 201 with its place.
    pub fn created(shown: RenderedRecord, path: &str) -> Self {
        let location = Some(format!("/v1/{path}/{}", shown.id));
        Answer {
            status: StatusCode::CREATED,
            location,
            ..Self::shown(shown)
        }
    }
    /// 204.
    pub fn gone(shown: &RenderedRecord) -> Self {
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

/// Is this entity tag among those? (Weak comparison, RFC 9110 13.1.2.)
pub fn matches(tags: &[&str], etag: &str) -> bool {
    let bare = |tag: &str| plain(tag.trim_start_matches("W/"));
    tags.iter()
        .any(|tag| *tag == "*" || bare(tag) == bare(etag))
}

/// What the tag of a compressed form ends with.
pub const GZIP: &str = "-gzip";

/// The tag that the one of a compressed form is made of: conditions are about the record, in
/// whatever form it was read.
pub fn plain(tags: &str) -> String {
    tags.replace("-gzip\"", "\"")
}
