//! Logins (ISO/IEC 27001:2022 A.8.5): a password for an access token that lives 15 minutes and a
//! refresh token that is used once. A refresh token that comes a second time was stolen from
//! someone: its whole family ends, the access tokens of it included. Attempts are counted before
//! they are looked at, for known and unknown addresses alike.
use super::attempts::{self, Attempt};
use super::credential;
use super::user::folded;
use crate::access::api_key;
use crate::access::token::{ACCESS_SECONDS, REFRESH_SECONDS, Session};
use crate::core::{Code, Id, Instant, Problem, Result, TenantId, text::hex};
use crate::db::{Conn, schema::refresh_tokens as rt};
use crate::http::journal::Event;
use crate::http::{Answer, House, Input, Visitor};
use crate::records::accounts;
use actix_web::web::Data;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

/// A login.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "security@example.org", "password": "correct horse battery \
    staple"}))]
pub struct Login {
    /// The user's address.
    #[schema(min_length = 1, max_length = 254)]
    pub email: String,
    /// The user's password.
    #[schema(min_length = 1, max_length = 128, format = "password")]
    pub password: String,
    /// Which organization; needed where the address has an account in several.
    pub organization_id: Option<Id>,
}
/// Tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenPair {
    /// What to send as `Authorization: Bearer`.
    #[schema(max_length = 4000)]
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(max_length = 10)]
    pub token_type: String,
    /// Seconds that the access token lives.
    #[schema(minimum = 1)]
    pub expires_in: i64,
    /// What to refresh with, once.
    #[schema(max_length = 200)]
    pub refresh_token: String,
}
/// A refresh token.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefreshTokenInput, example = json!({"refresh_token": "3b1f…"}))]
pub struct RefreshToken {
    /// As the last answer had it.
    #[schema(min_length = 1, max_length = 200)]
    pub refresh_token: String,
}

fn wrong() -> Problem {
    let detail = "E-mail address or password is wrong. If the address has an account in several \
                  organizations, send `organization_id` as well.";
    Problem::new(Code::Unauthenticated, detail)
}

/// Counts an attempt, or refuses it.
pub(super) async fn count(house: &House, attempt: Attempt) -> Result<Attempt> {
    let now = house.clock().now();
    house
        .logins()
        .sessions()
        .run(move |conn| attempts::take(conn, attempt, now))
        .await
}

/// Takes back an attempt that could not be looked at.
pub(super) async fn uncounted<T>(house: &House, attempt: &Attempt, why: Problem) -> Result<T> {
    let (now, attempt) = (house.clock().now(), attempt.clone());
    house
        .logins()
        .sessions()
        .run(move |conn| attempts::undo(conn, &attempt, now))
        .await?;
    Err(why)
}

async fn login(visitor: Visitor, house: Data<House>, input: Input) -> Result<Answer> {
    let said: Login = input.read()?;
    let (now, email) = (house.clock().now(), folded(&said.email));
    visitor.attempts(&email);
    let organization = said.organization_id;
    let attempt = Attempt::login(&email, organization, visitor.source);
    let attempt = count(&house, attempt).await?;
    let look = move |conn: &mut Conn| credential::candidate(conn, &email, organization, now);
    let candidate = match house.look(look).await {
        Ok(found) => found,
        Err(why) => return uncounted(&house, &attempt, why).await,
    };
    let hash = candidate.as_ref().and_then(|found| found.hash.clone());
    let fits = match house.logins().passwords().fits(said.password, hash).await {
        Ok(fits) => fits,
        Err(why) => return uncounted(&house, &attempt, why).await,
    };
    let Some(found) = candidate.filter(|_| fits) else {
        return Err(wrong());
    };
    begin(&house, found.tenant, found.user, found.epoch, attempt).await
}

/// Begins a session: the attempt is taken back, and tokens are issued.
pub(super) async fn begin(
    house: &House,
    tenant: TenantId,
    user: Id,
    epoch: i32,
    attempt: Attempt,
) -> Result<Answer> {
    let now = house.clock().now();
    let session = Session {
        tenant,
        user,
        family: Id::new(),
        epoch,
    };
    let work = move |conn: &mut Conn| {
        attempts::succeeded(conn, &attempt, tenant, now)?;
        attempts::sweep(conn, now)?;
        diesel::delete(rt::table.filter(rt::expires_at.lt(now))).execute(conn)?;
        issue(conn, session, now)
    };
    let refresh = house.logins().sessions().run(work).await?;
    tokens(house, session, refresh, now)
}

fn issue(conn: &mut Conn, session: Session, now: Instant) -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(Problem::internal)?;
    let token = hex(&bytes);
    let hash = api_key::digest(&token);
    let Session {
        tenant,
        user,
        family,
        epoch,
    } = session;
    let row = (
        (
            rt::hash.eq(hash.as_slice()),
            rt::tenant_id.eq(tenant),
            rt::user_id.eq(user),
        ),
        (
            rt::family.eq(family),
            rt::epoch.eq(epoch),
            rt::used_at.eq(None::<Instant>),
        ),
        rt::expires_at.eq(now.plus_millis(REFRESH_SECONDS * 1000)),
    );
    diesel::insert_into(rt::table).values(row).execute(conn)?;
    Ok(token)
}

fn tokens(house: &House, session: Session, refresh_token: String, now: Instant) -> Result<Answer> {
    let access_token = house.tokens().sign(session, now)?;
    let (token_type, expires_in) = ("Bearer".into(), ACCESS_SECONDS);
    Ok(Answer::of(&TokenPair {
        access_token,
        token_type,
        expires_in,
        refresh_token,
    })?
    .private())
}

async fn refresh_tokens(visitor: Visitor, house: Data<House>, input: Input) -> Result<Answer> {
    let said: RefreshToken = input.read()?;
    let now = house.clock().now();
    let hash = api_key::digest(&said.refresh_token);
    let ended = || {
        let detail = "The refresh token is unknown, already used or has expired; log in again.";
        Problem::new(Code::Unauthenticated, detail)
    };
    let sessions = house.logins().sessions();
    let session = match sessions.run(move |conn| use_up(conn, hash, now)).await? {
        Used::First(session) => session,
        Used::Again(session) => {
            visitor.tell(Event::RefreshReused, Some(session.user));
            house.forget(session.tenant);
            return Err(ended());
        }
        Used::Unknown => {
            visitor.tell(Event::RefreshFailed, None);
            return Err(ended());
        }
    };
    if !house.look(move |conn| goes_on(conn, session, now)).await? {
        visitor.tell(Event::RefreshFailed, Some(session.user));
        sessions
            .run(move |conn| Ok(end(conn, session.family)?))
            .await?;
        house.forget(session.tenant);
        return Err(ended());
    }
    let Some(token) = sessions
        .run(move |conn| issue_next(conn, session, now))
        .await?
    else {
        return Err(ended());
    };
    tokens(&house, session, token, now)
}

/// The next token of a session, unless that was ended meanwhile. Its rows are locked until the
/// token stands, so that whoever ends it finds that, too.
fn issue_next(conn: &mut Conn, session: Session, now: Instant) -> Result<Option<String>> {
    let standing = diesel::update(rt::table.filter(rt::family.eq(session.family)))
        .set(rt::epoch.eq(rt::epoch))
        .execute(conn)?;
    if standing == 0 {
        Ok(None)
    } else {
        issue(conn, session, now).map(Some)
    }
}

/// What a refresh token came to.
enum Used {
    /// It was good, and is used up now.
    First(Session),
    /// It had been used before; its family has ended.
    Again(Session),
    /// There is none such, or its time is over.
    Unknown,
}

fn use_up(conn: &mut Conn, hash: [u8; 32], now: Instant) -> Result<Used> {
    type Row = (TenantId, Id, Id, i32, Instant);
    let columns = (
        rt::tenant_id,
        rt::user_id,
        rt::family,
        rt::epoch,
        rt::expires_at,
    );
    let row = rt::table
        .find(hash.as_slice())
        .select(columns)
        .get_result::<Row>(conn);
    let Some((tenant, user, family, epoch, expires_at)) = row.optional()? else {
        return Ok(Used::Unknown);
    };
    let session = Session {
        tenant,
        user,
        family,
        epoch,
    };
    // Used up in one statement, so that of two that come at once only one gets on.
    let fresh = rt::table
        .find(hash.as_slice())
        .filter(rt::used_at.is_null());
    if diesel::update(fresh)
        .set(rt::used_at.eq(now))
        .execute(conn)?
        == 0
    {
        end(conn, family)?;
        return Ok(Used::Again(session));
    }
    Ok(if now < expires_at {
        Used::First(session)
    } else {
        Used::Unknown
    })
}

/// Ends a session: its refresh tokens, and with them its access tokens.
fn end(conn: &mut Conn, family: Id) -> QueryResult<()> {
    // A statement that waited for a row does not see what was inserted meanwhile; the next one
    // does.
    while diesel::delete(rt::table.filter(rt::family.eq(family))).execute(conn)? > 0 {}
    Ok(())
}

/// May the account still come in, and did nothing end all of its sessions?
fn goes_on(conn: &mut Conn, session: Session, now: Instant) -> Result<bool> {
    let account = (session.tenant, session.user);
    Ok(credential::epoch(conn, account)? == Some(session.epoch)
        && accounts::entry(conn, session.tenant, session.user, now)?.is_some())
}

async fn logout(visitor: Visitor, house: Data<House>, input: Input) -> Result<Answer> {
    let said: RefreshToken = input.read()?;
    let hash = api_key::digest(&said.refresh_token);
    let work = move |conn: &mut Conn| -> Result<Option<(TenantId, Id)>> {
        let own = rt::table
            .find(hash.as_slice())
            .select((rt::tenant_id, rt::user_id, rt::family));
        let found = own.get_result::<(TenantId, Id, Id)>(conn).optional()?;
        found
            .iter()
            .try_for_each(|(.., family)| end(conn, *family))?;
        Ok(found.map(|(tenant, user, _)| (tenant, user)))
    };
    if let Some((tenant, user)) = house.logins().sessions().run(work).await? {
        house.forget(tenant);
        visitor.tell(Event::Logout, Some(user));
    }
    Ok(Answer::nothing().private())
}

/// Mounts logins.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/auth/login", login)
        .id("login")
        .says(
            "Log in",
            "The same answer and the same time for an unknown address, a wrong \
            password, and an address with accounts in several organizations when \
            `organization_id` says none. Attempts are counted before they are checked; after five \
            failures the next ones wait, up to a minute; nobody is locked out for good. When too \
            many logins wait for their turn, the answer is 503 with `Retry-After`.",
        )
        .body::<Login>()
        .answers::<TokenPair>("Tokens.");
    api.post("/v1/auth/refresh", refresh_tokens)
        .id("refresh")
        .says(
            "Refresh",
            "New tokens for a refresh token, which is used up by that. One that \
            comes again ends every token that came from the same login.",
        )
        .body::<RefreshToken>()
        .answers::<TokenPair>("Tokens.");
    api.post("/v1/auth/logout", logout)
        .id("logout")
        .says(
            "Log out",
            "Ends every token that came from the same login, access tokens included.",
        )
        .body::<RefreshToken>()
        .ends("Ended.");
}
