//! `Guard<P>`: credential → caller → rate limit → policy. The only door to the database.
use super::answer::{self, Answer};
use super::idempotency::Attempt;
use super::{House, Input};
use crate::access::{Caller, Role, allowed, allows};
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::ledger::{AsOf, Head, Moment, Recorded, Stamp};
use crate::records::{Covers, Reader, Resource, Settings, Tx, kind};
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web::Data};
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;

/// What a handler needs permission for.
pub trait Permission: 'static {
    /// The kind.
    const KIND: &'static str;
    /// The action, as `access::policy` names it.
    const ACTION: &'static str;
}

/// The verbs of the product, each on any register: `Guard<Contain<Nonconformity>>`. `verbs! { Contain "contain" }` expands to the unit type
/// `Contain<R>`, its `Permission`, and `Covers<R>`: with it, records of `R` can be written, and of no other kind.
macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident $action:literal),+ $(,)?) => { $(
        $(#[$doc])*
        pub struct $verb<R>(PhantomData<fn() -> R>);
        impl<R: Resource> Permission for $verb<R> {
            const KIND: &'static str = R::KIND.name;
            const ACTION: &'static str = $action;
        }
        impl<R: Resource> Covers<R> for $verb<R> {}
    )+ };
}
verbs! {
    /// See records and their history.
    Read "read",
    /// Create and update.
    Change "change",
    /// Take out of the lists, and bring back.
    Archive "archive",
    /// Ask for approval.
    Submit "submit",
    /// Approve.
    Approve "approve",
    /// Send back.
    Return "return",
    /// Open a new revision.
    Revise "revise",
    /// Put out of force.
    Retire "retire",
    /// Record that it was looked at.
    Review "review",
    /// Score a risk.
    Assess "assess",
    /// Score risks again under the methodology in force.
    Rescore "rescore",
    /// Close.
    Close "close",
    /// Open again.
    Reopen "reopen",
    /// Push evidence.
    Push "push",
    /// Hand in what a scanner found.
    Report "report",
    /// Say that it is mended.
    Fix "fix",
    /// Say that it is none.
    Dismiss "dismiss",
    /// Keep evidence from being removed.
    Hold "hold",
    /// End that.
    Release "release",
    /// Say how long evidence must be kept.
    Retain "retain",
    /// Stop a nonconformity from spreading.
    Contain "contain",
    /// Find its cause.
    Analyse "analyse",
    /// Say what will be done.
    Plan "plan",
    /// Say that it was done.
    Implement "implement",
    /// Say whether it helped.
    Verify "verify",
    /// Begin.
    Start "start",
    /// Finish.
    Complete "complete",
    /// Give up.
    Cancel "cancel",
    /// Take back what waits for approval.
    Withdraw "withdraw",
    /// End a key.
    Revoke "revoke",
    /// Replace a key.
    Rotate "rotate",
    /// Take a password away, for another one.
    ResetPassword "reset-password",
}

/// Permissions on what is no register: `Guard<View<Overview>>`.
pub struct View<T>(PhantomData<fn() -> T>);
/// A view's name in the policy.
pub trait Viewed: 'static {
    /// As `access::policy` names it.
    const NAME: &'static str;
}
impl<T: Viewed> Permission for View<T> {
    const KIND: &'static str = T::NAME;
    const ACTION: &'static str = "read";
}
/// The dashboard's home.
pub struct Overview;
impl Viewed for Overview {
    const NAME: &'static str = "overview";
}
/// The ledger.
pub struct Ledger;
impl Viewed for Ledger {
    const NAME: &'static str = "ledger";
}
/// Catalogues of requirements.
pub struct Frameworks;
impl Viewed for Frameworks {
    const NAME: &'static str = "framework";
}

/// Everyone whose credential is good.
pub struct Anyone;
impl Permission for Anyone {
    const KIND: &'static str = "";
    const ACTION: &'static str = "";
}

/// The request's id, as the middleware gave it.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(pub Id);

/// A caller who may do `P`.
pub struct Guard<P> {
    house: Data<House>,
    caller: Arc<Caller>,
    request: HttpRequest,
    permission: PhantomData<P>,
}

impl<P: Permission> Guard<P> {
    /// Who calls.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
    /// What is no record: contents, clock.
    pub fn house(&self) -> &Data<House> {
        &self.house
    }
    /// The request.
    pub fn request(&self) -> &HttpRequest {
        &self.request
    }
    /// Reads one state of the caller's organization.
    pub async fn read<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (caller, now, current) = (self.caller.clone(), self.house.now(), self.house.settings(self.caller.tenant).await?);
        self.house.database.read(move |conn| work(&mut Reader::open(conn, &caller, as_of, now, current)?)).await
    }
    /// Reads again at a moment that was read before: the further parts of one answer.
    pub async fn again<T: Send + 'static>(
        &self,
        (moment, settings): (Moment, Settings),
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = self.caller.clone();
        self.house.database.read(move |conn| work(&mut Reader::again(conn, &caller, moment, settings))).await
    }
    /// The same for one record by its key, which brings the position with it.
    pub async fn glance<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (caller, now, current) = (self.caller.clone(), self.house.now(), self.house.settings(self.caller.tenant).await?);
        let run = move |conn: &mut crate::db::Conn| match as_of {
            None => work(&mut Reader::present(conn, &caller, now, current)),
            Some(_) => work(&mut Reader::open(conn, &caller, as_of, now, current)?),
        };
        self.house.database.glance(run).await
    }
    /// The weak entity tag of everything this caller sees: build, last position, the organization's date, what the caller is limited to.
    pub async fn state(&self) -> Result<(String, i64)> {
        let position = self.house.position(self.caller.tenant).await?;
        Ok((self.tag(position, self.zone().await?, None), position))
    }
    /// Where the organization's days begin and end.
    pub(super) async fn zone(&self) -> Result<chrono_tz::Tz> {
        Ok(self.house.settings(self.caller.tenant).await?.zone)
    }
    /// That tag for a position.
    pub(super) fn tag(&self, position: i64, zone: chrono_tz::Tz, format: Option<&str>) -> String {
        let today = self.house.now().day(zone);
        let format = format.map(|format| format!("-{format}")).unwrap_or_default();
        format!("W/\"{}-{position}-{}-{:08x}{format}\"", env!("CARGO_PKG_VERSION"), today.format("%y%m%d"), self.caller.digest)
    }
    /// A list or a view: 304 without a query when the caller has what stands, else its answer with the tag of the state that was read.
    pub async fn view(&self, as_of: Option<AsOf>, work: impl FnOnce(&mut Reader<'_>) -> Result<Answer> + Send + 'static) -> Result<Answer> {
        self.view_as(None, as_of, work).await
    }
    /// The same for a view that has several formats: each has a tag of its own, and `Vary` says that `Accept` chooses.
    pub async fn view_as(
        &self,
        format: Option<&'static str>,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<Answer> + Send + 'static,
    ) -> Result<Answer> {
        // `*` is for what exists, which only the query knows.
        if answer::named(&self.request).is_some_and(|tags| tags != ["*"]) {
            let (position, zone) = (self.house.position(self.caller.tenant).await?, self.house.settings(self.caller.tenant).await?.zone);
            let tag = self.tag(position, zone, format);
            if answer::known(&self.request, &tag) {
                return Ok(Answer { by_accept: format.is_some(), ..Answer::unchanged(tag, position) });
            }
        }
        let read = move |reader: &mut Reader<'_>| Ok((work(reader)?, reader.moment.last));
        let (answer, last) = self.read(as_of, read).await?;
        if as_of.is_none() {
            self.house.writer.positions().publish(self.caller.tenant, last);
        }
        Ok(Answer { by_accept: format.is_some(), ..answer.tagged(self.tag(last, self.zone().await?, format)).at(last) })
    }
    /// Changes the caller's organization, once for each idempotency key. The answer comes when the change is durable, and not without a
    /// ledger entry:
    ///
    /// ```compile_fail,E0308
    /// # use isms::{core::Result, http::{Change, Guard, Input}, registers::plan::asset::Asset};
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
    /// # use isms::{http::Change, records::{Draft, Tx}, registers::{plan::asset::Asset, plan::person::Person}};
    /// fn other(tx: &mut Tx<'_, Change<Asset>>, draft: Draft<Person>) { let _ = tx.create(draft); }
    /// ```
    pub async fn write(
        &self,
        input: &Input,
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        self.effect(&input.content()?, work).await
    }
    /// The same for a content that is no JSON body.
    pub async fn effect(
        &self,
        content: &[u8],
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        let attempt =
            if self.request.method() == Method::POST { Attempt::read(&self.request, content, self.house.tokens())? } else { None };
        let (caller, clock, settings) = (self.caller.clone(), self.house.clock.clone(), self.house.settings(self.caller.tenant).await?);
        let (tenant, request, reason) = (caller.tenant, self.request_id(), self.reason()?);
        let run = move |conn: &mut crate::db::Conn, head: &mut Head| {
            let (at, first) = (clock.now().max(head.last_at()), head.next());
            let replay = attempt.as_ref().map(|attempt| attempt.replay(conn, tenant, caller.actor.id, at)).transpose()?.flatten();
            let stamp = Stamp { tenant, actor: caller.actor.clone(), request, at, reason };
            let mut tx = Tx::open(conn, head, &caller, stamp, settings);
            if let Some(stored) = replay {
                stored.allowed(&mut tx.reader())?;
                return tx.unchanged(stored.answer).map(|recorded| recorded.map(|answer| answer.at(head.next() - 1)));
            }
            let done = work(&mut tx)?;
            if let Some(attempt) = attempt {
                attempt.store(conn, &caller, at, done.get(), (first, head.next() - 1))?;
            }
            let last = head.next() - 1;
            Ok(done.map(|answer| answer.at(last)))
        };
        let answer = self.house.writer.submit(tenant, run).await;
        if ["user", "api_key", "person", "organization"].contains(&P::KIND) {
            self.house.forget(tenant);
        }
        answer
    }
    fn request_id(&self) -> Id {
        self.request.extensions().get::<RequestId>().map_or_else(Id::new, |id| id.0)
    }
    /// `Change-Reason`: percent-encoded UTF-8, up to 2,000 characters.
    fn reason(&self) -> Result<Option<String>> {
        let Some(given) = self.request.headers().get("Change-Reason") else { return Ok(None) };
        let text = percent_encoding::percent_decode(given.as_bytes()).decode_utf8().map(|text| text.trim().to_owned());
        let bad = || {
            let fault = Invalid::query("Change-Reason", "invalid_parameter", "percent-encoded UTF-8 of up to 2,000 characters is needed");
            Problem::new(Code::InvalidParameter, "Change-Reason cannot be read.").listing(vec![Invalid { location: "header", ..fault }])
        };
        let text = text.ok().filter(|text| text.chars().count() <= 2000 && !text.contains('\0')).ok_or_else(bad)?;
        Ok((!text.is_empty()).then_some(text))
    }
}

impl<P: Permission> FromRequest for Guard<P> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(enter(request))
    }
}

/// What needs no credential: no query parameters, and as many requests from one address as one key has.
pub fn open_door(request: &HttpRequest) -> Result<()> {
    let house = request.app_data::<Data<House>>().ok_or_else(|| Problem::internal("no house"))?;
    within(request, house.limiter.take_from(request.peer_addr().map(|peer| peer.ip())))?;
    conditions(request)?;
    super::input::no_parameters(request)
}

/// 429 when there were too many; what is left stands in the answer's headers.
fn within(request: &HttpRequest, standing: Option<super::limit::Standing>) -> Result<()> {
    let Some(standing) = standing else { return Ok(()) };
    request.extensions_mut().insert(standing);
    match standing.retry_after {
        Some(seconds) => Err(Problem::new(Code::RateLimited, "There were too many requests for now.").retry_after(seconds)),
        None => Ok(()),
    }
}

fn enter<P: Permission>(request: &HttpRequest) -> Result<Guard<P>> {
    let house = request.app_data::<Data<House>>().ok_or_else(|| Problem::internal("no house"))?.clone();
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = house.caller(authorization)?;
    within(request, house.limiter.take(caller.actor.id))?;
    match P::KIND.is_empty() || allows(&caller.roles, P::KIND, P::ACTION) {
        true => within_limits::<P>(&caller).and_then(|()| conditions(request)).map(|()| Guard {
            house,
            caller,
            request: request.clone(),
            permission: PhantomData,
        }),
        false => Err(forbidden(&caller.roles, P::KIND, P::ACTION)),
    }
}

/// 403 with the roles that may.
fn forbidden(roles: &[Role], kind: &str, action: &str) -> Problem {
    let list = |roles: &[Role]| roles.iter().map(<&str>::from).collect::<Vec<_>>().join(", ");
    let (may, kind) = (allowed(kind, action), kind.replace('_', " "));
    let yours =
        if roles.is_empty() { "your key has no role left that its user has".to_owned() } else { format!("you have {}", list(roles)) };
    Problem::new(Code::Forbidden, format!("`{action}` of {kind} is for the roles {}; {yours}.", list(&may)))
}

/// 403 for a write of a register that the limits of the key leave no record of.
fn within_limits<P: Permission>(caller: &Caller) -> Result<()> {
    match kind::named(P::KIND).filter(|_| P::ACTION != "read") {
        Some(kind) => kind.open_to(&caller.limits),
        None => Ok(()),
    }
}

/// Characters of a condition, as the document says.
pub const CONDITION: usize = 1000;

/// 400 for conditions that are longer than anyone needs.
fn conditions(request: &HttpRequest) -> Result<()> {
    let long = |name: &header::HeaderName| request.headers().get_all(name).map(|value| value.len() + 1).sum::<usize>() > CONDITION + 1;
    let faults: Vec<Invalid> = [header::IF_MATCH, header::IF_NONE_MATCH]
        .iter()
        .filter(|name| long(name))
        .map(|name| Invalid { location: "header", ..Invalid::query(name.as_str(), "invalid_parameter", "at most 1,000 characters") })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::parameters(faults)) }
}
