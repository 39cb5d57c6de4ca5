//! Who presents a credential. Resolved ones stay in memory for a few seconds, so that a request costs no query to know its caller; what this
//! process changes is forgotten at once.
use super::House;
use super::house::FRESH;
use crate::access::{Actor, ActorKind, Caller, KnownNames, Limits, Role, api_key};
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::schema::{key_secrets as k, ledger_entries as e, versions as v};
use diesel::prelude::*;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant as Tick};

/// What credentials are kept under: the digest of a key, or the user of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Slot {
    Key([u8; 32]),
    User(TenantId, Id),
}

/// The callers that were seen lately.
#[derive(Default)]
pub struct Directory {
    callers: RwLock<HashMap<Slot, (Arc<Caller>, Tick)>>,
    names: RwLock<HashMap<TenantId, Arc<KnownNames>>>,
}

impl Directory {
    /// Forgets an organization's callers.
    pub fn forget(&self, tenant: TenantId) {
        if let Ok(mut all) = self.callers.write() {
            all.retain(|_, (caller, _)| caller.tenant != tenant);
        }
    }
    /// A caller that was looked up within `age`.
    fn get(&self, slot: Slot, age: Duration) -> Option<Arc<Caller>> {
        self.callers.read().ok()?.get(&slot).filter(|(_, since)| since.elapsed() < age).map(|(caller, _)| caller.clone())
    }
    fn drop(&self, slot: Slot) {
        if let Ok(mut all) = self.callers.write() {
            all.remove(&slot);
        }
    }
    /// What the accounts of an organization are called: one piece of memory for all its callers.
    fn names(&self, tenant: TenantId) -> Arc<KnownNames> {
        self.names.write().map(|mut all| all.entry(tenant).or_default().clone()).unwrap_or_default()
    }
    fn put(&self, slot: Slot, caller: Caller) {
        let caller = Caller { names: self.names(caller.tenant), ..caller };
        if let Ok(mut all) = self.callers.write() {
            if all.len() >= 10_000 {
                all.retain(|_, (_, since)| since.elapsed() < FRESH);
            }
            all.insert(slot, (Arc::new(caller), Tick::now()));
        }
    }
}

impl House {
    /// The caller of this `Authorization` header, as far as it is in memory.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Arc<Caller>> {
        let unknown = || Problem::new(Code::Unauthenticated, "Send `Authorization: Bearer <key or access token>`.");
        let (slot, until) = self.slot(authorization).ok_or_else(unknown)?;
        // What was fresh when the request came in is good for its handler, though the moment has passed since.
        let caller = self.directory.get(slot, 2 * FRESH).ok_or_else(unknown)?;
        if self.now() < until.unwrap_or(caller.expires_at) { Ok(caller) } else { Err(unknown()) }
    }
    /// Sees to it that the caller is in memory, if there is one.
    pub async fn recognise(&self, authorization: Option<&str>) -> Result<()> {
        let Some((slot, _)) = self.slot(authorization) else { return Ok(()) };
        if self.directory.get(slot, FRESH).is_some() {
            return Ok(());
        }
        let now = self.now();
        let found = self.database.glance(move |conn| look_up(conn, slot, now)).await?;
        match found {
            Some(caller) => self.directory.put(slot, caller),
            None => self.directory.drop(slot),
        }
        Ok(())
    }
    fn slot(&self, authorization: Option<&str>) -> Option<(Slot, Option<Instant>)> {
        let (scheme, credential) = authorization?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        if let Some(hash) = api_key::hash(credential) {
            return Some((Slot::Key(hash), None));
        }
        let (tenant, user, until) = self.tokens().check(credential, self.now()).ok()?;
        Some((Slot::User(tenant, user), Some(until)))
    }
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
    disabled_at: Option<Instant>,
}

fn look_up(conn: &mut Conn, slot: Slot, now: Instant) -> Result<Option<Caller>> {
    match slot {
        Slot::Key(hash) => key(conn, &hash, now),
        Slot::User(tenant, id) => Ok(user(conn, tenant, id)?.map(|user| {
            let actor = Actor { kind: ActorKind::User, id, name: user.name, person_id: Some(user.person_id.unwrap_or(id)) };
            Caller::new(tenant, actor, user.roles, Limits::default(), now.plus_millis(3_600_000))
        })),
    }
}

fn key(conn: &mut Conn, hash: &[u8], now: Instant) -> Result<Option<Caller>> {
    let row = k::table.find(hash).select((k::tenant_id, k::key_id, k::expires_at)).get_result(conn).optional()?;
    let Some((tenant, id, until)): Option<(TenantId, Id, Instant)> = row else { return Ok(None) };
    let Some(image) = image::<KeyImage>(conn, tenant, id)? else { return Ok(None) };
    let expires_at = until.min(image.expires_at);
    if image.revoked_at.is_some() || expires_at <= now {
        return Ok(None);
    }
    // A key does what its own role allows and its user's roles still do.
    let (person_id, roles) = match image.user_id {
        None => (None, vec![image.role]),
        Some(of) => match user(conn, tenant, of)? {
            Some(user) => (Some(user.person_id.unwrap_or(of)), user.roles.into_iter().filter(|role| *role == image.role).take(1).collect()),
            None => return Ok(None),
        },
    };
    let actor = Actor { kind: ActorKind::ApiKey, id, name: image.name, person_id };
    Ok(Some(Caller::new(tenant, actor, roles, image.limits, expires_at).of_user(image.user_id)))
}

/// A user who may come in.
fn user(conn: &mut Conn, tenant: TenantId, id: Id) -> Result<Option<UserImage>> {
    Ok(image::<UserImage>(conn, tenant, id)?.filter(|user| user.disabled_at.is_none()))
}

/// The standing image of an account that is not archived.
fn image<T: serde::de::DeserializeOwned>(conn: &mut Conn, tenant: TenantId, id: Id) -> Result<Option<T>> {
    let row = v::table.inner_join(e::table.on(e::tenant_id.eq(v::tenant_id).and(e::seq.eq(v::from_seq))));
    let row =
        row.filter(v::tenant_id.eq(tenant).and(v::id.eq(id)).and(v::archived_at.is_null()).and(v::to_seq.eq(crate::db::dialect::OPEN)));
    let found: Option<(String, i16, String, Option<String>)> =
        row.select((v::kind, e::schema, e::body, e::personal)).get_result(conn).optional()?;
    let Some((kind, schema, body, personal)) = found else { return Ok(None) };
    let kind = crate::records::kind::named(&kind).ok_or_else(|| Problem::internal(format!("an account of kind {kind}")))?;
    let image = crate::records::record::image(kind, schema, &body, personal.as_deref()).map_err(Problem::internal)?;
    serde_json::from_value(image.into()).map(Some).map_err(Problem::internal)
}
