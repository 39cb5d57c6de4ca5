//! Logins (ISO/IEC 27001:2022 A.8.5): a password for an access token that lives 15 minutes and a refresh token that is used once. A refresh token
//! that comes a second time was stolen from someone: its whole family ends. Failures slow the next attempt, for known and unknown addresses alike.
use super::user::{User, folded};
use crate::access::token::{ACCESS_SECONDS, REFRESH_SECONDS};
use crate::access::{Actor, ActorKind, Limits, Role, api_key, password};
use crate::core::{Code, Id, Instant, Problem, Result, TenantId, text::hex};
use crate::db::schema::{credentials as cr, login_failures as lf, refresh_tokens as rt, users as u, versions as v};
use crate::db::{Conn, dialect::OPEN};
use crate::http::describe::{Refusals, refused};
use crate::http::{Answer, Anyone, Guard, House, Input, Permission, input, open_door};
use crate::records::{Covers, Known, Selector};
use actix_web::{HttpMessage, HttpRequest, get, post, web::Data};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use validator::Validate;

/// Organizations that one address is looked up in.
const CANDIDATES: i64 = 8;

/// A login.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "security@example.org", "password": "correct horse battery staple"}))]
pub struct Login {
    /// The user's address.
    #[validate(length(min = 1, max = 254))]
    #[schema(min_length = 1, max_length = 254)]
    pub email: String,
    /// The user's password.
    #[validate(length(min = 1, max = 128))]
    #[schema(min_length = 1, max_length = 128, format = "password")]
    pub password: String,
    /// Which organization; needed only where address and password fit in several.
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
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub refresh_token: String,
}

/// The problems of an operation without a credential.
pub struct Refused;
impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[400, 401, 408, 413, 415, 422, 429, 500, 503]).collect()
    }
}

fn wrong() -> Problem {
    Problem::new(Code::Unauthenticated, "Address and password do not fit.")
}

/// Log in
///
/// The same answer and the same time for an unknown address and for a wrong password. After five failures each attempt waits longer, up to a
/// minute; nobody is locked out for good.
#[utoipa::path(operation_id = "login", tag = "auth", security(()), request_body = Login, responses((status = 200, description = "Tokens.", body = TokenPair), Refused))]
#[post("/v1/auth/login")]
pub async fn login(house: Data<House>, request: HttpRequest, input: Input) -> Result<Answer> {
    open_door(&request)?;
    let said: Login = input.read()?;
    let (now, email) = (house.clock().now(), folded(&said.email));
    request.extensions_mut().insert(crate::http::journal::Attempted(email.clone()));
    let subject = api_key::digest(&email);
    let organization = said.organization_id;
    let candidates = house.secrets(move |conn| prepare(conn, subject, &email, organization, now)).await?;
    let hashes = candidates.iter().map(|(.., hash)| hash.clone()).collect();
    let fitting = password::matching(said.password, hashes).await?;
    let found: Vec<(TenantId, Id)> = fitting.iter().filter_map(|n| candidates.get(*n)).map(|(tenant, user, _)| (*tenant, *user)).collect();
    match found.as_slice() {
        [] => {
            house.secrets(move |conn| fail(conn, subject, now)).await?;
            Err(wrong())
        }
        [(tenant, user)] => {
            let (tenant, user) = (*tenant, *user);
            let refresh = house.secrets(move |conn| begin(conn, subject, tenant, user, now)).await?;
            tokens(&house, tenant, user, refresh, now)
        }
        several => {
            let ids: Vec<String> = several.iter().map(|(tenant, _)| tenant.0.to_string()).collect();
            Err(Problem::invalid_one("/organization_id", "required", "address and password fit in several organizations; say which")
                .allowing(ids))
        }
    }
}

/// Whether an attempt may be made now, and whom it could be.
fn prepare(conn: &mut Conn, subject: [u8; 32], email: &str, organization: Option<Id>, now: Instant) -> Result<Vec<(TenantId, Id, String)>> {
    let failed: Option<(i32, Instant)> =
        lf::table.find(subject.as_slice()).select((lf::failures, lf::last_at)).get_result(conn).optional()?;
    if let Some((failures, last_at)) = failed {
        let wait = last_at.plus_millis(password::pause(failures) * 1000).millis() - now.millis();
        if wait > 0 {
            return Err(password::too_many(wait / 1000 + 1));
        }
    }
    let of_address = cr::table.inner_join(v::table.on(v::tenant_id.eq(cr::tenant_id).and(v::id.eq(cr::user_id)).and(v::to_seq.eq(OPEN))));
    let living = of_address.inner_join(u::table.on(u::tenant_id.eq(v::tenant_id).and(u::id.eq(v::id)).and(u::version.eq(v::version))));
    let living = living.filter(cr::email.eq(email)).filter(v::archived_at.is_null()).filter(u::disabled_at.is_null());
    let rows: Vec<(TenantId, Id, String)> = living.select((cr::tenant_id, cr::user_id, cr::password_hash)).limit(CANDIDATES).load(conn)?;
    Ok(rows.into_iter().filter(|(tenant, ..)| organization.is_none_or(|wanted| wanted == tenant.record())).collect())
}

fn fail(conn: &mut Conn, subject: [u8; 32], now: Instant) -> Result<()> {
    diesel::delete(lf::table.filter(lf::last_at.lt(now.plus_millis(-86_400_000)))).execute(conn)?;
    let again = diesel::update(lf::table.find(subject.as_slice())).set((lf::failures.eq(lf::failures + 1), lf::last_at.eq(now)));
    if again.execute(conn)? == 0 {
        diesel::insert_into(lf::table)
            .values((lf::subject.eq(subject.as_slice()), lf::failures.eq(1), lf::last_at.eq(now)))
            .execute(conn)?;
    }
    Ok(())
}

fn begin(conn: &mut Conn, subject: [u8; 32], tenant: TenantId, user: Id, now: Instant) -> Result<String> {
    diesel::delete(lf::table.find(subject.as_slice())).execute(conn)?;
    diesel::delete(rt::table.filter(rt::expires_at.lt(now))).execute(conn)?;
    issue(conn, tenant, user, Id::new(), now)
}

fn issue(conn: &mut Conn, tenant: TenantId, user: Id, family: Id, now: Instant) -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(Problem::internal)?;
    let token = hex(&bytes);
    let hash = api_key::digest(&token);
    let row = (
        (rt::hash.eq(hash.as_slice()), rt::tenant_id.eq(tenant), rt::user_id.eq(user)),
        (rt::family.eq(family), rt::expires_at.eq(now.plus_millis(REFRESH_SECONDS * 1000)), rt::used_at.eq(None::<Instant>)),
    );
    diesel::insert_into(rt::table).values(row).execute(conn)?;
    Ok(token)
}

fn tokens(house: &House, tenant: TenantId, user: Id, refresh_token: String, now: Instant) -> Result<Answer> {
    let access_token = house.tokens().sign(tenant, user, now)?;
    Ok(Answer::of(&TokenPair { access_token, token_type: "Bearer".into(), expires_in: ACCESS_SECONDS, refresh_token })?.private())
}

/// Refresh
///
/// New tokens for a refresh token, which is used up by that. One that comes again ends every token that came from the same login.
#[utoipa::path(operation_id = "refresh", tag = "auth", security(()), request_body = RefreshToken, responses((status = 200, description = "Tokens.", body = TokenPair), Refused))]
#[post("/v1/auth/refresh")]
pub async fn refresh_tokens(house: Data<House>, request: HttpRequest, input: Input) -> Result<Answer> {
    open_door(&request)?;
    let said: RefreshToken = input.read()?;
    let now = house.clock().now();
    let hash = api_key::digest(&said.refresh_token);
    let next = house.secrets(move |conn| rotate(conn, hash, now)).await?;
    let (tenant, user, token) =
        next.ok_or_else(|| Problem::new(Code::Unauthenticated, "The refresh token is not valid any more; log in."))?;
    tokens(&house, tenant, user, token, now)
}

fn rotate(conn: &mut Conn, hash: [u8; 32], now: Instant) -> Result<Option<(TenantId, Id, String)>> {
    let columns = (rt::tenant_id, rt::user_id, rt::family, rt::expires_at, rt::used_at);
    let row: Option<(TenantId, Id, Id, Instant, Option<Instant>)> =
        rt::table.find(hash.as_slice()).select(columns).get_result(conn).optional()?;
    let Some((tenant, user, family, expires_at, used_at)) = row else { return Ok(None) };
    // Used up in one statement, so that of two that come at once only one gets on.
    let fresh = rt::table.find(hash.as_slice()).filter(rt::used_at.is_null());
    let first = used_at.is_none() && diesel::update(fresh).set(rt::used_at.eq(now)).execute(conn)? == 1;
    if !first {
        log::warn!("a refresh token of user {user} came twice: its family ends");
        diesel::delete(rt::table.filter(rt::family.eq(family))).execute(conn)?;
        return Ok(None);
    }
    let standing = u::table.inner_join(v::table.on(v::tenant_id.eq(u::tenant_id).and(v::id.eq(u::id)).and(v::version.eq(u::version))));
    let standing = standing.filter(u::tenant_id.eq(tenant).and(u::id.eq(user)).and(v::to_seq.eq(OPEN)).and(v::archived_at.is_null()));
    let living: Option<Id> = standing.filter(u::disabled_at.is_null()).select(u::id).get_result(conn).optional()?;
    if expires_at <= now || living.is_none() {
        return Ok(None);
    }
    issue(conn, tenant, user, family, now).map(|token| Some((tenant, user, token)))
}

/// Log out
///
/// Ends every refresh token that came from the same login. Access tokens end by themselves.
#[utoipa::path(operation_id = "logout", tag = "auth", security(()), request_body = RefreshToken, responses((status = 204, description = "Ended."), Refused))]
#[post("/v1/auth/logout")]
pub async fn logout(house: Data<House>, request: HttpRequest, input: Input) -> Result<Answer> {
    open_door(&request)?;
    let said: RefreshToken = input.read()?;
    let hash = api_key::digest(&said.refresh_token);
    let end = move |conn: &mut Conn| -> Result<()> {
        let family: Option<Id> = rt::table.find(hash.as_slice()).select(rt::family).get_result(conn).optional()?;
        if let Some(family) = family {
            diesel::delete(rt::table.filter(rt::family.eq(family))).execute(conn)?;
        }
        Ok(())
    };
    house.secrets(end).await?;
    Ok(Answer::nothing().private())
}

/// Who one is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The organization.
    pub organization_id: Id,
    /// The account.
    pub actor: Actor,
    /// The person behind it.
    #[schema(required)]
    pub person_id: Option<Id>,
    /// What one may do.
    #[schema(max_items = 7)]
    pub roles: Vec<Role>,
    /// What one is cut down to.
    pub limits: Limits,
    /// When the credential ends.
    #[schema(required)]
    pub expires_at: Option<Instant>,
}

/// Get who one is
///
/// The account behind the credential, its person, roles, limits and end.
#[utoipa::path(operation_id = "getMe", tag = "auth", security(("bearer" = [])), responses((status = 200, description = "Who one is.", body = Me), Refusals))]
#[get("/v1/me")]
pub async fn me(guard: Guard<Anyone>, request: HttpRequest) -> Result<Answer> {
    input::no_parameters(&request)?;
    let caller = guard.caller();
    let actor = caller.actor.clone();
    let expires_at = (actor.kind == ActorKind::ApiKey).then_some(caller.expires_at);
    let me = Me {
        organization_id: caller.tenant.record(),
        person_id: actor.person_id,
        actor,
        roles: caller.roles.clone(),
        limits: caller.limits.clone(),
        expires_at,
    };
    let (_, position) = guard.state().await?;
    Ok(Answer::of(&me)?.at(position).private())
}

/// The permission over one's own login.
pub struct OwnLogin;
impl Permission for OwnLogin {
    const KIND: &'static str = "";
    const ACTION: &'static str = "";
}
impl Covers<User> for OwnLogin {}

/// A change of one's password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correct horse battery staple", "new_password": "another long sentence of mine"}))]
pub struct PasswordChange {
    /// The one that is good now.
    #[validate(length(min = 1, max = 128))]
    #[schema(min_length = 1, max_length = 128, format = "password")]
    pub current_password: String,
    /// The one to come.
    #[validate(length(min = 12, max = 128))]
    #[schema(min_length = 12, max_length = 128, format = "password")]
    pub new_password: String,
}

/// Change one's password
///
/// For users, not for keys. Every refresh token of the user ends.
#[utoipa::path(operation_id = "changePassword", tag = "auth", security(("bearer" = [])), request_body = PasswordChange, params(crate::http::document::Retried),
    responses((status = 204, description = "Changed."), crate::http::describe::Rejections))]
#[post("/v1/me/password")]
pub async fn change_password(guard: Guard<OwnLogin>, request: HttpRequest, input: Input) -> Result<Answer> {
    input::no_parameters(&request)?;
    let caller = guard.caller().clone();
    if caller.actor.kind != ActorKind::User {
        return Err(Problem::new(Code::Forbidden, "A key has no password."));
    }
    let said: PasswordChange = input.clone().read()?;
    let (tenant, user, now) = (caller.tenant, caller.actor.id, guard.house().clock().now());
    let subject = api_key::digest(&format!("password of {user}"));
    let stored: Vec<(TenantId, Id, String)> = guard
        .house()
        .secrets(move |conn| {
            prepare(conn, subject, "", None, now)?;
            Ok(cr::table.find((tenant, user)).select((cr::tenant_id, cr::user_id, cr::password_hash)).load(conn)?)
        })
        .await?;
    if password::matching(said.current_password, stored.into_iter().map(|(.., hash)| hash).collect()).await?.is_empty() {
        guard.house().secrets(move |conn| fail(conn, subject, now)).await?;
        return Err(Problem::invalid_one("/current_password", "wrong", "is not the current password"));
    }
    let hash = password::hash(said.new_password).await?;
    guard
        .write(&input, move |tx| {
            let record = tx.load::<User>(&Selector::Id(user), &Known::any())?;
            diesel::update(cr::table.find((tenant, user))).set(cr::password_hash.eq(hash)).execute(tx.conn())?;
            diesel::delete(rt::table.filter(rt::tenant_id.eq(tenant).and(rt::user_id.eq(user)))).execute(tx.conn())?;
            let saved = tx.save(&record, record.clone(), "change_password")?;
            Ok(saved.map(|_| Answer::nothing().private()))
        })
        .await
}

/// Mounts logins.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.service(login);
    api.service(refresh_tokens);
    api.service(logout);
    api.service(me);
    api.service(change_password);
}
