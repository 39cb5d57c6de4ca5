//! A caller at the service: credential → caller → policy → the database, whatever door they came
//! through. The only way to records.
use super::answer::matches;
use super::house::Question;
use super::kept::Question as Kept;
use super::permission::Permission;
use super::polls::Poll;
use super::retry::Attempt;
use super::{Answer, House};
use crate::access::{Caller, Role, allowed, allows};
use crate::core::{Code, Id, Instant, Problem, Result};
use crate::db::Conn;
use crate::ledger::{AsOf, Head, Moment, Recorded, Stamp};
use crate::records::{Kinds, Reader, Settings, Tx, Writing};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant as Tick;

/// A permission, as the policy names it.
#[derive(Debug, Clone, Copy)]
pub struct May {
    kind: &'static str,
    action: &'static str,
}

impl May {
    /// What `P` asks for.
    pub const fn of<P: Permission>() -> Self {
        May::named(P::KIND, P::ACTION)
    }
    /// For a permission that is said as data.
    pub const fn named(kind: &'static str, action: &'static str) -> Self {
        May { kind, action }
    }
    /// 403 unless this caller has it, as far as the limits of its key go.
    pub fn asked(self, caller: &Caller, kinds: Kinds) -> Result<()> {
        match self.given(caller) {
            true => self.within_limits(caller, kinds),
            false => Err(self.forbidden(&caller.roles)),
        }
    }
    fn given(self, caller: &Caller) -> bool {
        self.kind.is_empty() || allows(&caller.roles, self.kind, self.action)
    }
    /// 403 with the roles that may.
    fn forbidden(self, roles: &[Role]) -> Problem {
        let list = |roles: &[Role]| {
            let names: Vec<&str> = roles.iter().map(<&str>::from).collect();
            names.join(", ")
        };
        let yours = if roles.is_empty() {
            "your key has no role that its user still has".to_owned()
        } else {
            format!("you have {}", list(roles))
        };
        let (kind, action) = (self.kind.replace('_', " "), self.action);
        let may = list(&allowed(self.kind, action));
        let words = format!("Only these roles may `{action}` {kind} records: {may}; {yours}.");
        Problem::new(Code::Forbidden, words)
    }
    /// 403 for a write of a register that the limits of the key leave no record of.
    fn within_limits(self, caller: &Caller, kinds: Kinds) -> Result<()> {
        match kinds.named(self.kind).filter(|_| self.action != "read") {
            Some(kind) => kind.open_to(&caller.limits),
            None => Ok(()),
        }
    }
}

/// What a change was made for and by which request; it stands with its entry.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The request.
    pub request: Id,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// By what a retry is known.
    pub attempt: Option<Attempt>,
}

/// What is asked of a list or a view.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Path and query.
    pub target: &'a str,
    /// The format, where there are several.
    pub format: Option<&'static str>,
    /// The entity tags that the caller has.
    pub tags: Option<&'a [&'a str]>,
}

type Work = Box<dyn FnOnce(Writing<'_>) -> Result<Recorded<Answer>> + Send>;

/// A change that its permission covers, still to be made: one type for all of them, so that what
/// follows is compiled once.
pub struct Intent<'s> {
    session: &'s Session,
    work: Work,
}

impl Intent<'_> {
    /// Makes it, once for each attempt. The answer comes when the change is durable, and not
    /// without a ledger entry.
    pub async fn done(self, cause: Cause) -> Result<Answer> {
        self.session.write(cause, self.work).await
    }
}

/// A caller who may do something.
pub struct Session {
    house: Arc<House>,
    caller: Arc<Caller>,
    credential: Option<String>,
    may: May,
}

impl Session {
    /// 403 unless the caller, who was recognised by this credential, may do it.
    pub fn open(
        house: Arc<House>,
        caller: Arc<Caller>,
        credential: Option<String>,
        may: May,
    ) -> Result<Self> {
        may.asked(&caller, house.kinds)?;
        Ok(Session {
            house,
            caller,
            credential,
            may,
        })
    }
    /// Who calls.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
    /// What is no record: contents, clock.
    pub fn house(&self) -> &Arc<House> {
        &self.house
    }
    /// When the credential ends.
    pub fn ends(&self) -> Instant {
        let ends = self.house.token_ends(self.credential.as_deref());
        let of_caller = self.caller.expires_at;
        ends.map_or(of_caller, |ends| ends.min(of_caller))
    }
    /// For the caller as it is now: for answers that take a while, in which a key may be revoked or
    /// a role taken away.
    pub async fn refreshed(self) -> Result<Self> {
        let credential = self.credential.as_deref();
        if let Some(text) = credential {
            // What woke it may be the very end of its key.
            self.house.forget_credential(text);
            self.house.recognise(text, || Ok(())).await?;
        }
        let caller = self.house.caller(credential)?;
        let words = "Your role no longer allows this.";
        match self.may.given(&caller) {
            true => Ok(Session { caller, ..self }),
            false => Err(Problem::new(Code::Forbidden, words)),
        }
    }
    /// The time, and the organization's settings: what is read and tagged with.
    pub async fn known(&self) -> Result<(Instant, Settings)> {
        let settings = self.house.settings(self.caller.tenant).await?;
        Ok((self.house.now(), settings))
    }
    /// Reads one state of the caller's organization.
    pub fn read<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        self.reading(None, as_of, Box::new(work))
    }
    /// The same at a known time, with known settings.
    pub fn read_with<T: Send + 'static>(
        &self,
        known: (Instant, Settings),
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        self.reading(Some(known), as_of, Box::new(work))
    }
    async fn reading<T: Send + 'static>(
        &self,
        known: Option<(Instant, Settings)>,
        as_of: Option<AsOf>,
        work: Question<T>,
    ) -> Result<T> {
        let known = match known {
            Some(known) => known,
            None => self.known().await?,
        };
        self.house.read(&self.caller, known, as_of, work).await
    }
    /// Reads again at a moment that was read before: the further parts of one answer.
    pub async fn read_at<T: Send + 'static>(
        &self,
        (moment, settings): (Moment, Settings),
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (by, kinds) = (self.caller.clone(), self.house.kinds);
        let run =
            move |conn: &mut Conn| work(&mut Reader::read_at(conn, &by, kinds, moment, settings));
        self.house.database.read(run).await
    }
    /// Reads one record by its key, which brings the position with it.
    pub fn read_one<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        self.reading_one(as_of, Box::new(work))
    }
    async fn reading_one<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        work: Question<T>,
    ) -> Result<T> {
        let (by, kinds) = (self.caller.clone(), self.house.kinds);
        let (now, set) = self.known().await?;
        let run = move |conn: &mut Conn| match as_of {
            None => work(&mut Reader::present(conn, &by, kinds, now, set)),
            Some(_) => work(&mut Reader::open(conn, &by, kinds, as_of, now, set)?),
        };
        self.house.database.read_one(run).await
    }
    /// Counts this request among those that wait.
    pub fn poll(&self) -> Result<Poll> {
        self.house.polls.begin(self.caller.actor.id)
    }
    /// Waits until something is written after this position, or until then.
    pub async fn changed(&self, position: i64, until: tokio::time::Instant) -> Result<()> {
        let tenant = self.caller.tenant;
        self.house.changed(tenant, position, until).await
    }
    /// The weak entity tag of everything this caller sees, and its position.
    pub async fn state(&self) -> Result<(String, i64)> {
        let position = self.house.position(self.caller.tenant).await?;
        Ok((self.tag(position, self.known().await?, None), position))
    }
    /// The weak entity tag of what this caller sees at a position, read at this time with these
    /// settings: build, position, the organization's date and settings, what the caller is limited
    /// to.
    pub fn tag(
        &self,
        position: i64,
        (at, settings): (Instant, Settings),
        format: Option<&str>,
    ) -> String {
        let (version, today) = (
            env!("CARGO_PKG_VERSION"),
            at.day(settings.zone).format("%y%m%d"),
        );
        let set = format!("{} {}", settings.zone, settings.evidence_days);
        let digest = self.caller.digest ^ crc32fast::hash(set.as_bytes());
        let format = format
            .map(|format| format!("-{format}"))
            .unwrap_or_default();
        format!("W/\"{version}-{position}-{today}-{digest:08x}{format}\"")
    }
    /// A list or a view: 304 without a query when the caller has what there is, else its answer
    /// with the tag of the state that was read.
    pub async fn view(
        &self,
        asked: Asked<'_>,
        as_of: Option<AsOf>,
        work: Question<Answer>,
    ) -> Result<Answer> {
        let (house, tenant, format) = (&self.house, self.caller.tenant, asked.format);
        let question = Kept::of(&self.caller, asked.target, format);
        let kept = house.kept.get(&question);
        // `*` is for what exists, which only the query knows.
        let tags = asked.tags.filter(|tags| *tags != ["*"]);
        if tags.is_some() || kept.is_some() {
            let position = house.position(tenant).await?;
            let tag = self.tag(position, self.known().await?, format);
            if tags.is_some_and(|tags| matches(tags, &tag)) {
                let by_accept = format.is_some();
                let answer = Answer::unchanged(tag, position);
                return Ok(Answer {
                    by_accept,
                    ..answer
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
        let known = self.known().await?;
        let (answer, last, took) = self.read_with(known, as_of, read).await?;
        if as_of.is_none() {
            house.writer.positions().publish(tenant, last);
        }
        let answer = answer.tagged(self.tag(last, known, format)).at(last);
        let by_accept = format.is_some();
        let answer = Answer {
            by_accept,
            ..answer
        };
        house.kept.keep(question, &answer, took);
        Ok(answer)
    }
    async fn write(&self, cause: Cause, work: Work) -> Result<Answer> {
        let (house, may) = (&self.house, self.may);
        let credential = self.credential.as_deref();
        let (known, credential) = house.caller_again(credential).await?;
        may.asked(&known, house.kinds)?;
        let (clock, schemas) = (house.clock.clone(), house.schemas.clone());
        let (tenant, kinds) = (known.tenant, house.kinds);
        let settings = house.settings(tenant).await?;
        let Cause {
            request,
            reason,
            attempt,
        } = cause;
        let run = move |conn: &mut Conn, head: &mut Head| {
            let (now, first) = (clock.now(), head.next());
            let at = now.max(head.last_at());
            let caller = credential.caller(conn, head.accounts(), known, now)?;
            may.asked(&caller, kinds)?;
            let done_before = match &attempt {
                Some(attempt) => attempt.replay(conn, tenant, caller.actor.id, at)?,
                None => None,
            };
            let stamp = Stamp {
                tenant,
                actor: caller.actor.clone(),
                request,
                at,
                reason,
            };
            let mut writing =
                Writing::open(conn, head, &caller, stamp, (settings, &schemas, kinds));
            if let Some(stored) = done_before {
                stored.allowed(&mut writing.reader())?;
                let answer = writing.unchanged(stored.answer)?;
                return Ok(answer.map(|answer| answer.at(head.next() - 1)));
            }
            let done = work(writing)?;
            if let Some(attempt) = attempt {
                attempt.store(conn, &caller, at, done.get(), (first, head.next() - 1))?;
            }
            let last = head.next() - 1;
            Ok(done.map(|answer| answer.at(last)))
        };
        let written = house.writer.submit(tenant, run);
        let answer = house.writes.measured(written).await;
        if kinds.named(may.kind).is_some_and(|kind| kind.remembered) {
            house.forget(tenant);
        }
        answer
    }
}

/// A session whose permission is a type: with `P` the records that it covers can be written, and no
/// others.
pub struct Permitted<P> {
    session: Session,
    permission: PhantomData<P>,
}

impl<P> Deref for Permitted<P> {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<P: 'static> Permitted<P> {
    /// Of a session that was opened for what `P` says.
    pub(crate) fn by(session: Session) -> Self {
        Permitted {
            session,
            permission: PhantomData,
        }
    }
    /// For the caller as it is now.
    pub async fn refreshed(self) -> Result<Self> {
        self.session.refreshed().await.map(Permitted::by)
    }
    /// Intends to change the caller's organization.
    pub fn intend(
        &self,
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<Answer>> + Send + 'static,
    ) -> Intent<'_> {
        let work = Box::new(move |writing: Writing<'_>| work(&mut Tx::of(writing)));
        let session = &self.session;
        Intent { session, work }
    }
}
