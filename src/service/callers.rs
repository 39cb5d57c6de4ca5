//! Who presents a credential, and what that is good for now.
use super::House;
use super::directory::{FRESH, Slot};
use crate::access::token::Session;
use crate::access::{Actor, ActorKind, Caller, Limits, Role, api_key};
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::schema::{credentials as cr, key_secrets as k, refresh_tokens as rt};
use crate::ledger;
use crate::records::{Kinds, accounts};
use diesel::prelude::*;
use serde::Deserialize;
use std::sync::Arc;

impl House {
    /// The caller of this `Authorization` header, as far as it is in memory.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Arc<Caller>> {
        let none = || {
            Problem::new(
                Code::Unauthenticated,
                "No credential was sent. Send `Authorization: Bearer <key or access token>`.",
            )
        };
        let (slot, until) = self
            .slot(authorization.ok_or_else(none)?)
            .ok_or_else(not_good)?;
        // What was fresh when the request came in is good for its handler, though the moment has
        // passed since.
        let caller = self.directory.get(slot, 2 * FRESH).ok_or_else(not_good)?;
        if self.now() < ends(until, &caller) {
            Ok(caller)
        } else {
            Err(not_good())
        }
    }
    /// The caller of this header as it is now, with the credential that says so: a body may have
    /// taken its time, in which a key was revoked.
    pub(super) async fn caller_again(
        &self,
        authorization: Option<&str>,
    ) -> Result<(Arc<Caller>, Credential)> {
        let text = authorization.unwrap_or_default();
        self.recognise(text, || Ok(())).await?;
        let (slot, _) = self.slot(text).ok_or_else(not_good)?;
        Ok((self.caller(authorization)?, Credential(slot, self.kinds)))
    }
    /// When the credential of this header ends, if it is an access token.
    pub fn token_ends(&self, authorization: Option<&str>) -> Option<Instant> {
        self.slot(authorization?)?.1
    }
    /// A user who has shown that the account is theirs, and has no credential yet.
    pub async fn holder(&self, tenant: TenantId, user: Id) -> Result<Option<Caller>> {
        let (now, kinds) = (self.now(), self.kinds);
        let found = self
            .database
            .read_one(move |conn| caller_of(conn, kinds, tenant, user, now))
            .await?;
        Ok(found.map(|caller| Caller {
            names: self.directory.names(tenant),
            ..caller
        }))
    }
    /// Sees to it that the caller is in memory; says whether there is one. `admit` is asked before
    /// a credential that was never seen is looked up.
    pub async fn recognise(
        &self,
        authorization: &str,
        admit: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let Some((slot, until)) = self.slot(authorization) else {
            return Ok(false);
        };
        let (now, kinds) = (self.now(), self.kinds);
        if let Some(caller) = self.directory.get(slot, FRESH) {
            return Ok(now < ends(until, &caller));
        }
        if !self.directory.seen(slot) {
            admit()?;
        }
        let goes_on = match slot {
            Slot::User(session) => {
                self.logins()
                    .sessions()
                    .run(move |conn| goes_on(conn, session))
                    .await?
            }
            Slot::Key(_) => true,
        };
        let found = if goes_on {
            self.database
                .read_one(move |conn| look_up(conn, kinds, slot, now))
                .await?
        } else {
            None
        };
        let known = found.is_some();
        match found {
            Some(caller) => self.directory.put(slot, caller),
            None => self.directory.drop(slot),
        }
        Ok(known)
    }
    /// Forgets who this credential is, so that the next look asks the database.
    pub(super) fn forget_credential(&self, authorization: &str) {
        if let Some((slot, _)) = self.slot(authorization) {
            self.directory.drop(slot);
        }
    }
    fn slot(&self, authorization: &str) -> Option<(Slot, Option<Instant>)> {
        let (scheme, credential) = authorization.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        if let Some(hash) = api_key::hash(credential) {
            return Some((Slot::Key(hash), None));
        }
        let (session, until) = self.tokens().check(credential, self.now()).ok()?;
        Some((Slot::User(session), Some(until)))
    }
}

/// A token ends with itself, or with what its user may do.
fn ends(until: Option<Instant>, caller: &Caller) -> Instant {
    until.map_or(caller.expires_at, |until| until.min(caller.expires_at))
}

/// Was this session ended by nobody yet?
fn goes_on(conn: &mut Conn, session: Session) -> Result<bool> {
    let tokens = rt::table.filter(
        rt::family
            .eq(session.family)
            .and(rt::user_id.eq(session.user)),
    );
    Ok(tokens
        .select(rt::epoch)
        .first::<i32>(conn)
        .optional()?
        .is_some())
}

#[derive(Deserialize)]
struct KeyImage {
    #[serde(default)]
    name: String,
    role: Role,
    user_id: Option<Id>,
    expires_at: Instant,
    revoked_at: Option<Instant>,
    limits: Limits,
}
#[derive(Deserialize)]
struct UserImage {
    #[serde(default)]
    name: String,
    roles: Vec<Role>,
    person_id: Option<Id>,
}

fn look_up(conn: &mut Conn, kinds: Kinds, slot: Slot, now: Instant) -> Result<Option<Caller>> {
    let Some(caller) = stands(conn, kinds, slot, now)? else {
        return Ok(None);
    };
    let known_at = ledger::read::end(conn, caller.tenant)?.accounts;
    Ok(Some(Caller { known_at, ..caller }))
}

fn stands(conn: &mut Conn, kinds: Kinds, slot: Slot, now: Instant) -> Result<Option<Caller>> {
    match slot {
        Slot::Key(hash) => key(conn, kinds, &hash, now),
        Slot::User(Session {
            tenant,
            user,
            epoch,
            ..
        }) => {
            let current = cr::table
                .find((tenant, user))
                .select(cr::epoch)
                .get_result::<i32>(conn)
                .optional()?;
            if current == Some(epoch) {
                caller_of(conn, kinds, tenant, user, now)
            } else {
                Ok(None)
            }
        }
    }
}

/// The credential of a request, to be looked at again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credential(Slot, Kinds);

impl Credential {
    /// The caller as it is behind the organization's lock, where `accounts` is the position of the
    /// last entry about an account: who was found before it is asked for again. 401 when the
    /// credential is good for nothing any more.
    pub(super) fn caller(
        self,
        conn: &mut Conn,
        accounts: i64,
        known: Arc<Caller>,
        now: Instant,
    ) -> Result<Arc<Caller>> {
        // Whoever logged out through another process wrote no entry.
        if let (Slot::User(session), Conn::Pg(_)) = (self.0, &*conn)
            && !goes_on(conn, session)?
        {
            return Err(not_good());
        }
        if accounts <= known.known_at {
            return if now < known.expires_at {
                Ok(known)
            } else {
                Err(not_good())
            };
        }
        let fresh = stands(conn, self.1, self.0, now)?.ok_or_else(not_good)?;
        Ok(Arc::new(Caller {
            names: known.names.clone(),
            known_at: accounts,
            ..fresh
        }))
    }
}

fn not_good() -> Problem {
    let why = "The credential is not valid: it is unknown, expired or revoked, or its account is \
        disabled. Log in again, or ask an admin for a new key.";
    Problem::new(Code::Unauthenticated, why).of_credential()
}

fn caller_of(
    conn: &mut Conn,
    kinds: Kinds,
    tenant: TenantId,
    id: Id,
    now: Instant,
) -> Result<Option<Caller>> {
    Ok(user(conn, kinds, tenant, id, now)?.map(|(user, until)| {
        let actor = Actor {
            kind: ActorKind::User,
            id,
            name: user.name,
            person_id: Some(user.person_id.unwrap_or(id)),
        };
        let ends = now.plus_millis(3_600_000);
        Caller::new(
            tenant,
            actor,
            user.roles,
            Limits::default(),
            until.map_or(ends, |until| until.min(ends)),
        )
    }))
}

fn key(conn: &mut Conn, kinds: Kinds, hash: &[u8], now: Instant) -> Result<Option<Caller>> {
    let row = k::table
        .find(hash)
        .select((k::tenant_id, k::key_id, k::expires_at))
        .get_result(conn)
        .optional()?;
    let Some((tenant, id, until)): Option<(TenantId, Id, Instant)> = row else {
        return Ok(None);
    };
    let Some(image) = accounts::image::<KeyImage>(conn, kinds, tenant, id)? else {
        return Ok(None);
    };
    let mut expires_at = until.min(image.expires_at);
    if image.revoked_at.is_some() || expires_at <= now {
        return Ok(None);
    }
    // A key does what its own role allows and its user's roles still do.
    let (person_id, roles) = match image.user_id {
        None => (None, vec![image.role]),
        Some(of) => match user(conn, kinds, tenant, of, now)? {
            Some((user, until)) => {
                expires_at = until.map_or(expires_at, |until| until.min(expires_at));
                let roles = user
                    .roles
                    .into_iter()
                    .filter(|role| *role == image.role)
                    .take(1)
                    .collect();
                (Some(user.person_id.unwrap_or(of)), roles)
            }
            None => return Ok(None),
        },
    };
    let actor = Actor {
        kind: ActorKind::ApiKey,
        id,
        name: image.name,
        person_id,
    };
    Ok(Some(
        Caller::new(tenant, actor, roles, image.limits, expires_at).of_user(image.user_id),
    ))
}

/// A user who may come in, and until when where an end is set.
fn user(
    conn: &mut Conn,
    kinds: Kinds,
    tenant: TenantId,
    id: Id,
    now: Instant,
) -> Result<Option<(UserImage, Option<Instant>)>> {
    let Some(entry) = accounts::entry(conn, tenant, id, now)? else {
        return Ok(None);
    };
    Ok(accounts::image::<UserImage>(conn, kinds, tenant, id)?.map(|user| (user, entry.until)))
}
