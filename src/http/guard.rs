//! `Guard<P>`: credential → caller → rate limit → policy. The only door to the database.
use super::answer::{self, Answer};
use super::client::{Source, client_address};
use super::door::{Account, Counted, RequestId, threshold, within};
use super::idempotency::Attempt;
use super::journal::Event;
use super::kept::Question;
use super::permission::Permission;
use super::{House, Input};
use crate::access::{Caller, Role, allowed, allows};
use crate::core::{Code, Id, Instant, Invalid, Problem, Result};
use crate::ledger::{AsOf, Head, Moment, Recorded, Stamp};
use crate::records::{Reader, Settings, Tx, Writing, kind};
use actix_web::http::{Method, header, header::HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web::Data};
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant as Tick;

/// A caller who may do `P`.
pub struct Guard<P> {
    house: Data<House>,
    caller: Arc<Caller>,
    request: HttpRequest,
    may: May,
    permission: PhantomData<P>,
}

impl<P: 'static> Guard<P> {
    /// For a permission that is said as data: `P` covers the records that it is about.
    pub(super) fn enter(
        request: &HttpRequest,
        kind: &'static str,
        action: &'static str,
    ) -> Result<Self> {
        let may = May { kind, action };
        let (house, caller) = enter(request, may)?;
        let (request, permission) = (request.clone(), PhantomData);
        Ok(Guard {
            house,
            caller,
            request,
            may,
            permission,
        })
    }
    /// Who calls.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
    /// What is no record: contents, clock.
    pub fn house(&self) -> &Data<House> {
        &self.house
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
    /// When the credential of this request ends.
    pub fn ends(&self) -> Option<Instant> {
        let header = self.request.headers().get(header::AUTHORIZATION);
        let token = header.and_then(|value| value.to_str().ok());
        let ends = self.house.token_ends(token);
        Some(
            ends.unwrap_or(self.caller.expires_at)
                .min(self.caller.expires_at),
        )
    }
    /// Reads one state of the caller's organization.
    pub async fn read<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let known = (
            self.house.now(),
            self.house.settings(self.caller.tenant).await?,
        );
        self.read_with(known, as_of, work).await
    }
    /// The same at a known time, with known settings.
    pub(super) async fn read_with<T: Send + 'static>(
        &self,
        known: (Instant, Settings),
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.house.read(&self.caller, known, as_of, work).await
    }
    /// The same for the caller as it is now: for answers that take a while, in which a key may be
    /// revoked or a role taken away.
    pub async fn refreshed(self) -> Result<Self> {
        let authorization = self.request.headers().get(header::AUTHORIZATION);
        if let Some(text) = authorization.and_then(|value| value.to_str().ok()) {
            // What woke it may be the very end of its key.
            self.house.forget_credential(text);
            self.house.recognise(text, || Ok(())).await?;
        }
        let caller = self.house.caller(authorization)?;
        match self.may.kind.is_empty() || allows(&caller.roles, self.may.kind, self.may.action) {
            true => Ok(Guard { caller, ..self }),
            false => Err(Problem::new(
                Code::Forbidden,
                "Your role no longer allows this.",
            )),
        }
    }
    /// Counts this request among those that wait.
    pub fn poll(&self) -> Result<super::poll::Poll> {
        self.house.poll(self.caller.actor.id)
    }
    /// Waits until something is written after this position, or until then.
    pub async fn changed(&self, position: i64, until: tokio::time::Instant) -> Result<()> {
        self.house
            .changed(self.caller.tenant, position, until)
            .await
    }
    /// The time, and the organization's settings: what a table is read and tagged with.
    pub(super) async fn known(&self) -> Result<(Instant, Settings)> {
        Ok((
            self.house.now(),
            self.house.settings(self.caller.tenant).await?,
        ))
    }
    /// Reads again at a moment that was read before: the further parts of one answer.
    pub async fn again<T: Send + 'static>(
        &self,
        (moment, settings): (Moment, Settings),
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = self.caller.clone();
        self.house
            .database
            .read(move |conn| work(&mut Reader::again(conn, &caller, moment, settings)))
            .await
    }
    /// The same for one record by its key, which brings the position with it.
    pub async fn glance<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (caller, now, current) = (
            self.caller.clone(),
            self.house.now(),
            self.house.settings(self.caller.tenant).await?,
        );
        let run = move |conn: &mut crate::db::Conn| match as_of {
            None => work(&mut Reader::present(conn, &caller, now, current)),
            Some(_) => work(&mut Reader::open(conn, &caller, as_of, now, current)?),
        };
        self.house.database.glance(run).await
    }
    /// The weak entity tag of everything this caller sees: build, last position, the organization's
    /// date and settings, what the caller is limited to.
    pub async fn state(&self) -> Result<(String, i64)> {
        let (position, settings) = (
            self.house.position(self.caller.tenant).await?,
            self.house.settings(self.caller.tenant).await?,
        );
        Ok((
            self.tag(position, (self.house.now(), settings), None),
            position,
        ))
    }
    /// That tag for a position, and for what was read at this time with these settings.
    pub(super) fn tag(
        &self,
        position: i64,
        known: (Instant, Settings),
        format: Option<&str>,
    ) -> String {
        tag(&self.caller, position, known, format)
    }
    /// A list or a view: 304 without a query when the caller has what stands, else its answer with
    /// the tag of the state that was read.
    pub async fn view(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<Answer> + Send + 'static,
    ) -> Result<Answer> {
        self.view_as(None, as_of, work).await
    }
    /// The same for a view that has several formats: each has a tag of its own, and `Vary` says
    /// that `Accept` chooses.
    pub async fn view_as(
        &self,
        format: Option<&'static str>,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<Answer> + Send + 'static,
    ) -> Result<Answer> {
        let asked = Asked {
            house: &self.house,
            caller: &self.caller,
            request: &self.request,
        };
        asked.view(format, as_of, Box::new(work)).await
    }
    /// Changes the caller's organization, once for each idempotency key. The answer comes when the
    /// change is durable, and not without a ledger entry:
    ///
    /// ```compile_fail,E0308
    /// # use isms::{core::Result, http::{Change, Guard, Input}, registers::asset::Asset};
    /// async fn forgets(guard: Guard<Change<Asset>>, input: Input) -> Result<isms::http::Answer> {
    ///     guard.write(&input, |tx| Ok(())).await // expected `Recorded<Answer>`, found `()`
    /// }
    /// ```
    /// nor with an entry that one made oneself:
    /// ```compile_fail,E0451
    /// let forged = isms::ledger::Recorded { value: () };
    /// ```
    /// nor past the guard:
    /// ```compile_fail,E0616
    /// fn around(house: &isms::http::House) { let _ = &house.writer; }
    /// ```
    /// nor of another kind than the permission covers:
    /// ```compile_fail,E0277
    /// # use isms::{http::Change, records::{Draft, Tx}, registers::{asset::Asset, person::Person}};
    /// fn other(tx: &mut Tx<'_, Change<Asset>>, draft: Draft<Person>) { let _ = tx.create(draft); }
    /// ```
    pub async fn write(
        &self,
        input: &Input,
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        let kept = self.request.headers().contains_key("Idempotency-Key");
        let content = if kept { input.content()? } else { vec![] };
        self.effect(&content, work).await
    }
    /// The same for a content that is no JSON body.
    pub async fn effect(
        &self,
        content: &[u8],
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        let asked = Asked {
            house: &self.house,
            caller: &self.caller,
            request: &self.request,
        };
        let may = self.may;
        let answer = asked
            .effect(
                may,
                content,
                Box::new(move |writing| work(&mut Tx::of(writing))),
            )
            .await;
        if kind::named(may.kind).is_some_and(|kind| kind.remembered) {
            self.house.forget(self.caller.tenant);
        }
        answer
    }
}

/// The work of a handler, whose permission was asked for: one type for all of them, so that what
/// follows is compiled once.
type Work = Box<dyn FnOnce(Writing<'_>) -> Result<Recorded<Answer>> + Send>;

/// The work of a list or a view.
type Look = Box<dyn FnOnce(&mut Reader<'_>) -> Result<Answer> + Send>;

/// A request of a caller who may do it.
struct Asked<'a> {
    house: &'a House,
    caller: &'a Arc<Caller>,
    request: &'a HttpRequest,
}

/// The weak entity tag of what this caller sees at a position, read at this time with these
/// settings.
fn tag(
    caller: &Caller,
    position: i64,
    (at, settings): (Instant, Settings),
    format: Option<&str>,
) -> String {
    let (version, today) = (
        env!("CARGO_PKG_VERSION"),
        at.day(settings.zone).format("%y%m%d"),
    );
    let digest = caller.digest
        ^ crc32fast::hash(format!("{} {}", settings.zone, settings.evidence_days).as_bytes());
    let format = format
        .map(|format| format!("-{format}"))
        .unwrap_or_default();
    format!("W/\"{version}-{position}-{today}-{digest:08x}{format}\"")
}

impl Asked<'_> {
    async fn view(
        &self,
        format: Option<&'static str>,
        as_of: Option<AsOf>,
        work: Look,
    ) -> Result<Answer> {
        let (house, tenant) = (self.house, self.caller.tenant);
        let path = self
            .request
            .uri()
            .path_and_query()
            .map_or("", |both| both.as_str());
        let question = Question::of(self.caller, path, format);
        let kept = house.kept.get(&question);
        // `*` is for what exists, which only the query knows.
        let conditional = answer::named(self.request.headers()).is_some_and(|tags| tags != ["*"]);
        if conditional || kept.is_some() {
            let (position, settings) =
                (house.position(tenant).await?, house.settings(tenant).await?);
            let tag = tag(self.caller, position, (house.now(), settings), format);
            if conditional && answer::known(self.request.headers(), &tag) {
                return Ok(Answer {
                    by_accept: format.is_some(),
                    ..Answer::unchanged(tag, position)
                });
            }
            if let Some(kept) = kept.filter(|kept| kept.etag.as_deref() == Some(&tag)) {
                return Ok(Answer::clone(&kept));
            }
        }
        let read = move |reader: &mut Reader<'_>| {
            let began = Tick::now();
            Ok((work(reader)?, reader.moment.last, began.elapsed()))
        };
        // The tag is of the time that was read: what was read before midnight is not taken for the
        // next day's.
        let known = (house.now(), house.settings(tenant).await?);
        let (answer, last, took) = house.read(self.caller, known, as_of, read).await?;
        if as_of.is_none() {
            house.writer.positions().publish(tenant, last);
        }
        let answer = Answer {
            by_accept: format.is_some(),
            ..answer
                .tagged(tag(self.caller, last, known, format))
                .at(last)
        };
        house.kept.keep(question, &answer, took);
        Ok(answer)
    }
    async fn effect(&self, may: May, content: &[u8], work: Work) -> Result<Answer> {
        let attempt = if self.request.method() == Method::POST {
            Attempt::read(self.request, content, self.house.tokens())?
        } else {
            None
        };
        let (known, credential) = self
            .house
            .caller_again(self.request.headers().get(header::AUTHORIZATION))
            .await?;
        may.asked(&known)?;
        let (clock, schemas) = (self.house.clock.clone(), self.house.schemas.clone());
        let settings = self.house.settings(known.tenant).await?;
        let (tenant, request, reason) = (known.tenant, self.request_id(), self.reason()?);
        let run = move |conn: &mut crate::db::Conn, head: &mut Head| {
            let (now, first) = (clock.now(), head.next());
            let at = now.max(head.last_at());
            let caller = credential.caller(conn, head.accounts(), known, now)?;
            may.asked(&caller)?;
            let replay = attempt
                .as_ref()
                .map(|attempt| attempt.replay(conn, tenant, caller.actor.id, at))
                .transpose()?
                .flatten();
            let stamp = Stamp {
                tenant,
                actor: caller.actor.clone(),
                request,
                at,
                reason,
            };
            let mut writing = Writing::open(conn, head, &caller, stamp, (settings, &schemas));
            if let Some(stored) = replay {
                stored.allowed(&mut writing.reader())?;
                return writing
                    .unchanged(stored.answer)
                    .map(|recorded| recorded.map(|answer| answer.at(head.next() - 1)));
            }
            let done = work(writing)?;
            if let Some(attempt) = attempt {
                attempt.store(conn, &caller, at, done.get(), (first, head.next() - 1))?;
            }
            let last = head.next() - 1;
            Ok(done.map(|answer| answer.at(last)))
        };
        self.house
            .writes
            .measured(self.house.writer.submit(tenant, run))
            .await
    }
    fn request_id(&self) -> Id {
        self.request
            .extensions()
            .get::<RequestId>()
            .map_or_else(Id::new, |id| id.0)
    }
    /// `Change-Reason`: percent-encoded UTF-8, up to 2,000 characters.
    fn reason(&self) -> Result<Option<String>> {
        let Some(given) = self.request.headers().get("Change-Reason") else {
            return Ok(None);
        };
        let text = percent_encoding::percent_decode(given.as_bytes())
            .decode_utf8()
            .map(|text| text.trim().to_owned());
        let bad = || {
            let fault = Invalid::query(
                "Change-Reason",
                "invalid_parameter",
                "must be percent-encoded UTF-8 of at most 2,000 characters",
            );
            Problem::new(Code::InvalidParameter, "`Change-Reason` cannot be read.").listing(vec![
                Invalid {
                    location: "header",
                    ..fault
                },
            ])
        };
        let text = text
            .ok()
            .filter(|text| text.chars().count() <= 2000 && !text.contains('\0'))
            .ok_or_else(bad)?;
        Ok((!text.is_empty()).then_some(text))
    }
}

impl<P: Permission> FromRequest for Guard<P> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Guard::enter(request, P::KIND, P::ACTION))
    }
}

fn enter(request: &HttpRequest, may: May) -> Result<(Data<House>, Arc<Caller>)> {
    let house = request
        .app_data::<Data<House>>()
        .ok_or_else(|| Problem::internal("no house"))?
        .clone();
    let caller = match house.caller(request.headers().get(header::AUTHORIZATION)) {
        Ok(caller) => caller,
        Err(problem) => {
            let counted = request.extensions().get::<Counted>().is_some();
            return if counted {
                Ok(())
            } else {
                within(request, house.limiter.take_from(client_address(request)))
            }
            .and(Err(problem));
        }
    };
    request
        .extensions_mut()
        .insert(Account(caller.actor.kind, caller.actor.id));
    within(request, house.limiter.take(caller.actor.id))?;
    may.asked(&caller)?;
    threshold(request)?;
    Ok((house, caller))
}

/// A permission, as the policy names it.
#[derive(Debug, Clone, Copy)]
struct May {
    kind: &'static str,
    action: &'static str,
}

impl May {
    /// 403 unless this caller has it, as far as the limits of its key go.
    fn asked(self, caller: &Caller) -> Result<()> {
        match self.kind.is_empty() || allows(&caller.roles, self.kind, self.action) {
            true => within_limits(self, caller),
            false => Err(forbidden(&caller.roles, self.kind, self.action)),
        }
    }
}

/// 403 with the roles that may.
fn forbidden(roles: &[Role], kind: &str, action: &str) -> Problem {
    let list = |roles: &[Role]| {
        roles
            .iter()
            .map(<&str>::from)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (may, kind) = (allowed(kind, action), kind.replace('_', " "));
    let yours = if roles.is_empty() {
        "your key has no role that its user still has".to_owned()
    } else {
        format!("you have {}", list(roles))
    };
    Problem::new(
        Code::Forbidden,
        format!(
            "Only these roles may `{action}` {kind} records: {}; {yours}.",
            list(&may)
        ),
    )
}

/// 403 for a write of a register that the limits of the key leave no record of.
fn within_limits(may: May, caller: &Caller) -> Result<()> {
    match kind::named(may.kind).filter(|_| may.action != "read") {
        Some(kind) => kind.open_to(&caller.limits),
        None => Ok(()),
    }
}
