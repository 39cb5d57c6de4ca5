//! What comes in: bodies, places, moments. Each fault is a problem of its own kind, in the order
//! that the contract gives.
use super::House;
use crate::core::{Code, Invalid, Problem, Result, Schemas, json};
use crate::records::{Body, IfMatch, Kind, Patch, Resource, Selector, read_part};
use crate::service::aside::Aside;
use actix_web::http::{Method, header, header::HeaderMap};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use futures_util::{StreamExt, TryFutureExt, future::LocalBoxFuture};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use validator::Validate;

/// Bytes of a JSON body.
pub const JSON_LIMIT: usize = 1024 * 1024;
/// Bytes of a body with many records: a batch, or a table.
pub const BULK_LIMIT: usize = 8 * 1024 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A JSON object as body, read strictly but not yet understood; an action's may be absent.
#[derive(Debug, Clone)]
pub struct Input {
    members: Map<String, Value>,
    size: usize,
    schemas: Arc<Schemas>,
    aside: Aside,
}

impl Input {
    /// The members.
    pub fn members(self) -> Map<String, Value> {
        self.members
    }
    /// As a whole record of a kind: read before the writer's queue, where it does not hold up
    /// others.
    pub async fn body<R: Resource>(self) -> Result<Body<R>> {
        let read = move || Body::read(&self.schemas, self.members);
        self.aside.by_size(self.size, read).await
    }
    /// As a merge patch of a kind, likewise.
    pub async fn patch<R: Resource>(self) -> Result<Patch<R>> {
        let read = move || Patch::read(&self.schemas, self.members);
        self.aside.by_size(self.size, read).await
    }
    /// As the body of an action, validated. Call it before the write begins and ask for the outcome
    /// inside of it, after what comes before 422.
    pub fn read<T: DeserializeOwned + Validate + ToSchema>(self) -> Result<T> {
        read_part(&self.schemas, self.members)
    }
    /// The members, held to the schema of that name.
    pub fn checked(mut self, name: &str) -> Result<Map<String, Value>> {
        let faults = self.schemas.sent(name)?.faults(&mut self.members);
        match faults.is_empty() {
            true => Ok(self.members),
            false => Err(Problem::invalid(faults)),
        }
    }
    /// The schemas of bodies.
    pub fn schemas(&self) -> Arc<Schemas> {
        self.schemas.clone()
    }
    /// Bytes that it came in.
    pub fn size(&self) -> usize {
        self.size
    }
    /// Canonical, for the fingerprint of a retry.
    pub fn content(&self) -> Result<Vec<u8>> {
        json::canonical(&self.members).map(String::into_bytes)
    }
}

impl FromRequest for Input {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        receive(request, payload, JSON_LIMIT)
    }
}

/// A JSON object of many records.
#[derive(Debug)]
pub struct Large(pub Input);

impl FromRequest for Large {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(receive(request, payload, BULK_LIMIT).map_ok(Large))
    }
}

fn receive(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> LocalBoxFuture<'static, Result<Input>> {
    let accepted = ["application/json", "application/merge-patch+json"];
    let may_be_empty = request.method() == Method::POST && request.match_info().get("id").is_some();
    let bytes = bytes(request.headers(), payload, &accepted, limit);
    let house = request.app_data::<Data<House>>().cloned();
    Box::pin(async move {
        let bytes = bytes.await?;
        let house = house.ok_or_else(|| Problem::internal("no house"))?;
        let (schemas, aside) = (house.schemas().clone(), house.aside().clone());
        let size = bytes.len();
        let members = match bytes.is_empty() && may_be_empty {
            true => Map::new(),
            false => {
                let read = move || json::object(&bytes);
                aside.by_size(size, read).await??
            }
        };
        Ok(Input {
            members,
            size,
            schemas,
            aside,
        })
    })
}

/// A body of one of these media types and up to so many bytes; it has to arrive in time.
pub fn bytes(
    headers: &HeaderMap,
    payload: &mut Payload,
    accepted: &[&str],
    limit: usize,
) -> LocalBoxFuture<'static, Result<Vec<u8>>> {
    if let Err(problem) = media(headers, accepted).and_then(|()| announced(headers, limit)) {
        return Box::pin(ready(Err(problem)));
    }
    let mut payload = payload.take();
    Box::pin(async move {
        let mut bytes = Vec::new();
        let reading = async {
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|e| {
                    Problem::new(
                        Code::Malformed,
                        format!("The body was cut off: {e}. Send it again."),
                    )
                })?;
                if bytes.len() + chunk.len() > limit {
                    return Err(too_large(limit as u64));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let late = |_| Problem::new(Code::RequestTimeout, "The body did not arrive in time.");
        tokio::time::timeout(PATIENCE, reading)
            .await
            .map_err(late)??;
        Ok(bytes)
    })
}

/// 413 for a body of more bytes.
pub fn too_large(limit: u64) -> Problem {
    Problem::new(
        Code::PayloadTooLarge,
        format!("The body may have at most {limit} bytes."),
    )
}
fn announced(headers: &HeaderMap, limit: usize) -> Result<()> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        Err(too_large(limit as u64))
    } else {
        Ok(())
    }
}
/// The media type of a body, without its parameters.
pub fn essence(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(given.split(';').next()?.trim().to_ascii_lowercase())
}
/// 415 unless the body has one of these media types (or there is none).
pub fn media(headers: &HeaderMap, accepted: &[&str]) -> Result<()> {
    let wrong = |what: &str| {
        Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("{what}; send {}.", accepted.join(" or ")),
        ))
    };
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding != "identity")
    {
        return wrong("Encoded bodies are not accepted");
    }
    let given = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?"));
    let empty = headers
        .get(header::CONTENT_LENGTH)
        .is_none_or(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    match given {
        None if empty => Ok(()),
        None => wrong("Content-Type is missing"),
        Some(value) => {
            let essence = value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            if accepted.contains(&essence.as_str()) {
                Ok(())
            } else {
                wrong("The media type is not accepted")
            }
        }
    }
}

/// The `{id}` of a path, an id or a code, and its `{n}`, a number. What can be neither is 404.
#[derive(Debug, Clone)]
pub struct RecordId {
    id: String,
    number: Option<i32>,
}

impl RecordId {
    /// Which record of a kind.
    pub fn of(&self, kind: &Kind) -> Result<Selector> {
        Selector::parse(&self.id, kind).ok_or_else(Problem::not_found)
    }
    /// Which of what the record has several of.
    pub fn number(&self) -> Result<i32> {
        self.number.ok_or_else(Problem::not_found)
    }
}
impl FromRequest for RecordId {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let place = request.match_info();
        ready(Ok(RecordId {
            id: place.query("id").to_owned(),
            number: place.query("n").parse().ok(),
        }))
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let bad = || {
            let needed = "send entity tags in double quotes, as in `ETag`, or *";
            Problem::parameters(vec![Invalid {
                location: "header",
                ..Invalid::query("If-Match", "invalid_parameter", needed)
            }])
        };
        let tags: Vec<_> = request
            .headers()
            .get_all(header::IF_MATCH)
            .map(|value| value.to_str().unwrap_or("?"))
            .collect();
        let plain = crate::service::answer::plain(&tags.join(","));
        ready(if tags.is_empty() {
            Ok(IfMatch::Missing)
        } else {
            IfMatch::read(&plain).ok_or_else(bad)
        })
    }
}

/// How long an upload may take before its pace is asked.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes a second that an upload has from then on, in the mean since it began.
pub const LEAST_RATE: u64 = 1024;

/// The pace of an upload. What drips in byte by byte would hold a connection and a file without
/// end.
#[derive(Debug)]
pub struct Pace {
    began: std::time::Instant,
    bytes: u64,
}
impl Pace {
    /// It begins now.
    pub fn begin() -> Self {
        Pace {
            began: std::time::Instant::now(),
            bytes: 0,
        }
    }
    /// So many bytes came; 408 when all of it came too slowly.
    pub fn came(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        match keeps_up(self.began.elapsed(), self.bytes) {
            true => Ok(()),
            false => Err(Problem::new(
                Code::RequestTimeout,
                format!("The upload was too slow; send at least {LEAST_RATE} bytes a second."),
            )),
        }
    }
}
fn keeps_up(took: Duration, bytes: u64) -> bool {
    took <= GRACE || bytes >= took.as_secs().saturating_mul(LEAST_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_drips_is_ended() {
        let taken = |seconds, bytes| keeps_up(Duration::from_secs(seconds), bytes);
        assert!(taken(29, 1) && taken(31, 31 * LEAST_RATE) && taken(3600, 3600 * LEAST_RATE));
        assert!(!taken(31, 31) && !taken(60, 30 * LEAST_RATE) && !taken(3600, 3600));
        let mut pace = Pace::begin();
        assert!(pace.came(1).is_ok());
    }
}
