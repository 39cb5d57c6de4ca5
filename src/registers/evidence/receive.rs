//! How the body of a push arrives: JSON, or `metadata` and `file` as multipart. The file goes to
//! disk as it comes, written and hashed off the worker threads; a body that drips is ended.
use crate::core::{Code, Problem, Result, json};
use crate::db::files::Files;
use crate::http::input;
use crate::registers::evidence::sink::{Sink, cleaned};
use actix_multipart::Multipart;
use actix_web::{http::header::HeaderMap, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant as Tick;

/// Bytes of metadata, and of a payload.
const METADATA_LIMIT: usize = input::JSON_LIMIT;
/// How long a body may stay silent; and how long it has before its rate counts.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second that a body has to bring on the whole. 100 MiB have less than an hour so.
const LEAST_RATE: u64 = 32 * 1024;
pub use crate::registers::evidence::sink::Content;

/// What a push brought: what is told, and the file where there is one.
pub type Received = (Map<String, Value>, Option<Content>);

/// The whole body of a push, with the `Content-Digest` that it has.
pub async fn body(
    headers: &HeaderMap,
    payload: web::Payload,
    multipart: bool,
    files: &Files,
    limit: u64,
) -> Result<Received> {
    let raw = Raw::of(headers)?;
    let pace = Rc::new(Pace::new());
    let (noted, counted) = (raw.clone(), pace.clone());
    let stream = payload.inspect(move |chunk| {
        if let Ok(bytes) = chunk {
            counted.got(bytes.len());
            noted.note(bytes);
        }
    });
    let body = Body {
        pace,
        raw: raw.clone(),
        files: files.clone(),
        limit,
    };
    let received = match multipart {
        true => body.parts(Multipart::new(headers, stream)).await?,
        false => (json::object(&body.all(&mut Box::pin(stream)).await?)?, None),
    };
    raw.check().await?;
    Ok(received)
}

/// A payload's content is its canonical JSON, so that `sha256sum` of what comes out agrees.
pub async fn of_payload(files: &Files, payload: &Value) -> Result<Content> {
    let text = Bytes::from(json::canonical(payload)?);
    let mut sink = Sink::new(files.clone());
    sink.take(text).await?;
    Ok(Content {
        media_type: "application/json".into(),
        ..sink.kept(None, None).await?
    })
}

/// How fast a body comes.
struct Pace {
    began: Tick,
    bytes: Cell<u64>,
}

impl Pace {
    fn new() -> Self {
        Pace {
            began: Tick::now(),
            bytes: Cell::new(0),
        }
    }
    fn got(&self, bytes: usize) {
        self.bytes
            .set(self.bytes.get().saturating_add(bytes as u64));
    }
    /// How long the next part of it may take.
    fn left(&self) -> Duration {
        allowed(self.bytes.get())
            .saturating_sub(self.began.elapsed())
            .min(PATIENCE)
    }
    async fn next<S: Stream + Unpin>(&self, stream: &mut S) -> Result<Option<S::Item>> {
        let late = |_| Problem::new(Code::RequestTimeout, "The body did not arrive in time.");
        tokio::time::timeout(self.left(), stream.next())
            .await
            .map_err(late)
    }
}

/// Pure: the time in which so many bytes have to be there.
fn allowed(bytes: u64) -> Duration {
    PATIENCE.saturating_add(Duration::from_millis(
        bytes.saturating_mul(1000) / LEAST_RATE,
    ))
}

/// The body as it was sent, where its digest has to be checked.
#[derive(Clone)]
struct Raw(Option<Rc<RefCell<Digested>>>);
struct Digested {
    wanted: Vec<u8>,
    so_far: Sha256,
    waiting: Vec<Bytes>,
}

impl Raw {
    /// `Content-Digest` (RFC 9530), where it was sent.
    fn of(headers: &HeaderMap) -> Result<Self> {
        let Some(sent) = headers.get("Content-Digest") else {
            return Ok(Raw(None));
        };
        let fault = |detail: &str| Problem::new(Code::Malformed, detail);
        let value = sent
            .to_str()
            .unwrap_or_default()
            .split(',')
            .find_map(|item| item.trim().strip_prefix("sha-256="));
        let value = value.and_then(|value| value.strip_prefix(':')?.strip_suffix(':'));
        let value =
            value.ok_or_else(|| fault("`Content-Digest` is supported with sha-256 only."))?;
        let wanted = STANDARD
            .decode(value)
            .map_err(|_| fault("`Content-Digest` cannot be read."))?;
        Ok(Raw(Some(Rc::new(RefCell::new(Digested {
            wanted,
            so_far: Sha256::new(),
            waiting: vec![],
        })))))
    }
    fn note(&self, bytes: &Bytes) {
        if let Some(digested) = &self.0 {
            digested.borrow_mut().waiting.push(bytes.clone());
        }
    }
    /// Hashes what is waiting.
    async fn digest(&self) -> Result<()> {
        let Some(digested) = &self.0 else {
            return Ok(());
        };
        let (mut so_far, waiting) = {
            let mut digested = digested.borrow_mut();
            (
                digested.so_far.clone(),
                std::mem::take(&mut digested.waiting),
            )
        };
        let hashing = move || {
            waiting.iter().for_each(|bytes| so_far.update(bytes));
            so_far
        };
        let so_far = web::block(hashing).await.map_err(Problem::internal)?;
        digested.borrow_mut().so_far = so_far;
        Ok(())
    }
    async fn check(&self) -> Result<()> {
        self.digest().await?;
        let differs = self.0.as_ref().is_some_and(|digested| {
            let digested = digested.borrow();
            digested.so_far.clone().finalize().as_slice() != digested.wanted.as_slice()
        });
        match differs {
            true => Err(Problem::new(
                Code::Malformed,
                "The body does not match `Content-Digest`. Send it again.",
            )),
            false => Ok(()),
        }
    }
}

/// A body on its way in.
struct Body {
    pace: Rc<Pace>,
    raw: Raw,
    files: Files,
    limit: u64,
}

fn broken(why: impl std::fmt::Display) -> Problem {
    Problem::new(
        Code::Malformed,
        format!("The body was cut off or is malformed: {why}."),
    )
}

impl Body {
    /// All of a small stream.
    async fn all<E: std::fmt::Display>(
        &self,
        stream: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.pace.next(stream).await? {
            bytes.extend_from_slice(&chunk.map_err(broken)?);
            if bytes.len() > METADATA_LIMIT {
                return Err(input::too_large(METADATA_LIMIT as u64));
            }
        }
        Ok(bytes)
    }
    /// `metadata` and `file`, each once.
    async fn parts(&self, mut parts: Multipart) -> Result<Received> {
        let (mut metadata, mut content) = (None, None);
        while let Some(part) = self.pace.next(&mut parts).await? {
            let mut part = part.map_err(broken)?;
            match part.name().unwrap_or_default() {
                "metadata" if metadata.is_none() => {
                    metadata = Some(json::object(&self.all(&mut part).await?)?)
                }
                "file" if content.is_none() => {
                    let declared = part.content_type().map(ToString::to_string);
                    let name = part
                        .content_disposition()
                        .and_then(|disposition| disposition.get_filename())
                        .map(cleaned);
                    let mut sink = Sink::new(self.files.clone());
                    while let Some(chunk) = self.pace.next(&mut part).await? {
                        if sink.take(chunk.map_err(broken)?).await? {
                            self.raw.digest().await?;
                        }
                        if sink.size > self.limit {
                            return Err(input::too_large(self.limit));
                        }
                    }
                    content = Some(
                        sink.kept(name.filter(|name| !name.is_empty()), declared.as_deref())
                            .await?,
                    );
                }
                other => {
                    let name: String = other.chars().take(60).collect();
                    return Err(Problem::invalid_one(
                        &format!("/{name}"),
                        "unknown_part",
                        "send the parts `metadata` and `file`, each once",
                    ));
                }
            }
        }
        if content.is_none() {
            return Err(Problem::invalid_one(
                "/file",
                "required",
                "the part `file` is required",
            ));
        }
        let needed =
            || Problem::invalid_one("/metadata", "required", "the part `metadata` is required");
        Ok((metadata.ok_or_else(needed)?, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_to_come_on() {
        assert_eq!(allowed(0), PATIENCE);
        assert_eq!(allowed(LEAST_RATE * 60), PATIENCE + Duration::from_secs(60));
        assert!(allowed(100 * 1024 * 1024) < Duration::from_secs(3600));
        assert!(
            allowed(120) < PATIENCE + Duration::from_secs(1),
            "a byte each second earns no time"
        );
        assert!(allowed(u64::MAX) >= PATIENCE);
    }
}
