//! `Guard<P>`: a request whose caller may do `P`. It makes the session of the request's credential,
//! and reads from the headers what the session is asked with.
use super::client::client_address;
use super::door::{Counted, RequestId, house, threshold, within};
use super::journal::{Account, Event};
use super::{Input, answer};
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::ledger::{AsOf, Recorded};
use crate::records::{Reader, Tx};
use crate::service::house::Question;
use crate::service::retry::Attempt;
use crate::service::session::{Asked, Intent, May, Permitted};
use crate::service::{Answer, Cause, Permission, Session, Source};
use actix_web::http::{Method, header, header::HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use std::future::{Ready, ready};
use std::ops::Deref;

/// A request whose caller may do `P`.
pub struct Guard<P> {
    session: Permitted<P>,
    request: HttpRequest,
}

impl<P> Deref for Guard<P> {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<P: 'static> Guard<P> {
    /// For a permission that is said as data: `P` covers the records that it is about.
    pub(super) fn enter(request: &HttpRequest, may: May) -> Result<Self> {
        Ok(Guard {
            session: Permitted::by(enter(request, may)?),
            request: request.clone(),
        })
    }
    /// What the request says in its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }
    /// Where the request comes from.
    pub fn source(&self) -> Source {
        Source(client_address(&self.request))
    }
    /// Says what the request came to; its line is written with the answer.
    pub fn tell(&self, event: Event, user: Option<Id>) {
        event.told(&self.request, user);
    }
    /// For the caller as it is now.
    pub async fn refreshed(self) -> Result<Self> {
        let session = self.session.refreshed().await?;
        Ok(Guard { session, ..self })
    }
    /// A list or a view: 304 without a query when the caller has what there is, else its answer
    /// with the tag of the state that was read.
    pub fn view(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<Answer> + Send + 'static,
    ) -> impl Future<Output = Result<Answer>> {
        viewed(&self.session, &self.request, None, as_of, Box::new(work))
    }
    /// The same for a view that has several formats: each has a tag of its own, and `Vary` says
    /// that `Accept` chooses.
    pub fn view_as(
        &self,
        format: Option<&'static str>,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<Answer> + Send + 'static,
    ) -> impl Future<Output = Result<Answer>> {
        viewed(&self.session, &self.request, format, as_of, Box::new(work))
    }
    /// Changes the caller's organization, once for each idempotency key. The answer comes when the
    /// change is durable, and not without a ledger entry:
    ///
    /// ```compile_fail,E0308
    /// # use isms::service::{Answer, Change};
    /// # use isms::{core::Result, http::{Guard, Input}, registers::asset::Asset};
    /// async fn forgets(guard: Guard<Change<Asset>>, input: Input) -> Result<Answer> {
    ///     guard.write(&input, |tx| Ok(())).await // expected `Recorded<Answer>`, found `()`
    /// }
    /// ```
    /// nor with an entry that one made oneself:
    /// ```compile_fail,E0451
    /// let forged = isms::ledger::Recorded { value: () };
    /// ```
    /// nor past the guard:
    /// ```compile_fail,E0616
    /// fn around(house: &isms::service::House) { let _ = &house.writer; }
    /// ```
    /// nor of another kind than the permission covers:
    /// ```compile_fail,E0277
    /// # use isms::records::{Draft, Tx};
    /// # use isms::{registers::{asset::Asset, person::Person}, service::Change};
    /// fn other(tx: &mut Tx<'_, Change<Asset>>, draft: Draft<Person>) { let _ = tx.create(draft); }
    /// ```
    pub fn write(
        &self,
        input: &Input,
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> impl Future<Output = Result<Answer>> {
        let kept = self.headers().contains_key(KEY);
        let content = if kept { input.content() } else { Ok(vec![]) };
        written(&self.request, content, self.session.intend(work))
    }
    /// The same for a content that is no JSON body.
    pub fn write_raw(
        &self,
        content: &[u8],
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> impl Future<Output = Result<Answer>> {
        let content = Ok(content.to_vec());
        written(&self.request, content, self.session.intend(work))
    }
}

// What follows has one type for all handlers, so that it is compiled once.

async fn viewed(
    session: &Session,
    request: &HttpRequest,
    format: Option<&'static str>,
    as_of: Option<AsOf>,
    work: Question<Answer>,
) -> Result<Answer> {
    let target = request.uri().path_and_query();
    let tags = answer::named(request.headers());
    let asked = Asked {
        target: target.map_or("", |both| both.as_str()),
        format,
        tags: tags.as_deref(),
    };
    session.view(asked, as_of, work).await
}

async fn written(
    request: &HttpRequest,
    content: Result<Vec<u8>>,
    intent: Intent<'_>,
) -> Result<Answer> {
    let cause = cause(request, &content?)?;
    intent.done(cause).await
}

impl<P: Permission> FromRequest for Guard<P> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Guard::enter(request, May::of::<P>()))
    }
}

const KEY: &str = "Idempotency-Key";

fn cause(request: &HttpRequest, content: &[u8]) -> Result<Cause> {
    let attempt = match request.headers().get(KEY) {
        Some(key) if request.method() == Method::POST => {
            Some(attempt(request, key.as_bytes(), content)?)
        }
        _ => None,
    };
    let id = request.extensions().get::<RequestId>().map(|id| id.0);
    Ok(Cause {
        request: id.unwrap_or_else(Id::new),
        reason: reason(request.headers())?,
        attempt,
    })
}

/// What a retry of this request is known by.
fn attempt(request: &HttpRequest, key: &[u8], content: &[u8]) -> Result<Attempt> {
    let words = "must have 1 to 255 visible ASCII characters";
    let key = std::str::from_utf8(key).ok().filter(|key| {
        (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let key = key.ok_or_else(|| fault(KEY, words, format!("`{KEY}` {words}.")))?;
    let mut query: Vec<_> = form_urlencoded::parse(request.query_string().as_bytes()).collect();
    query.sort();
    let asked = serde_json::to_vec(&(request.method().as_str(), request.path(), query))
        .map_err(Problem::internal)?;
    let place = request.match_pattern().unwrap_or_default();
    let operation = format!("{} {place}", request.method());
    Attempt::of(key, operation, &asked, content, house(request)?.tokens())
}

/// `Change-Reason`, percent-encoded UTF-8 (RFC 3986).
fn reason(headers: &HeaderMap) -> Result<Option<String>> {
    const NAME: &str = "Change-Reason";
    let Some(given) = headers.get(NAME) else {
        return Ok(None);
    };
    let text = percent_encoding::percent_decode(given.as_bytes()).decode_utf8();
    let text = text.ok().map(|text| text.trim().to_owned());
    let text = text.filter(|text| text.chars().count() <= 2000 && !text.contains('\0'));
    let words = "must be percent-encoded UTF-8 of at most 2,000 characters";
    let text = text.ok_or_else(|| fault(NAME, words, "`Change-Reason` cannot be read."))?;
    Ok((!text.is_empty()).then_some(text))
}

fn fault(name: &str, words: &str, detail: impl Into<String>) -> Problem {
    let fault = Invalid {
        location: "header",
        ..Invalid::query(name, "invalid_parameter", words)
    };
    Problem::new(Code::InvalidParameter, detail.into()).listing(vec![fault])
}

fn enter(request: &HttpRequest, may: May) -> Result<Session> {
    let house = house(request)?;
    let credential = request.headers().get(header::AUTHORIZATION);
    let credential = credential.map(|value| value.to_str().unwrap_or("?"));
    let caller = match house.caller(credential) {
        Ok(caller) => caller,
        Err(problem) => {
            if request.extensions().get::<Counted>().is_none() {
                let standing = house.limiter().take_from(client_address(request));
                within(request, standing)?;
            }
            return Err(problem);
        }
    };
    let account = Account(caller.actor.kind, caller.actor.id);
    request.extensions_mut().insert(account);
    within(request, house.limiter().take(caller.actor.id))?;
    let credential = credential.map(str::to_owned);
    let session = Session::open(house.clone().into_inner(), caller, credential, may)?;
    threshold(request)?;
    Ok(session)
}
