//! What users log in with: a password, or the one-time setup token with which they set one. Beside
//! the records, never in the ledger.
use crate::access::{Actor, ActorKind, api_key};
use crate::core::{Id, Instant, Result, TenantId};
use crate::db::Conn;
use crate::db::dialect::{OPEN, standing};
use crate::db::schema::{credentials as cr, users as u, versions as v};
use crate::records::accounts;
use diesel::prelude::*;

/// How long a setup token is good.
const SETUP_MILLIS: i64 = 7 * 24 * 3600 * 1000;
/// Organizations that one address is looked up in.
const ORGANIZATIONS: i64 = 50;

/// The account that a login is for.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The organization.
    pub tenant: TenantId,
    /// The user.
    pub user: Id,
    /// The hash of the password, once it was set.
    pub hash: Option<String>,
    /// The account's epoch.
    pub epoch: i32,
}

/// The one account with this address that may come in; `None` where there is none, or are several
/// in as many organizations and it was not said which.
pub fn candidate(
    conn: &mut Conn,
    email: &str,
    organization: Option<Id>,
    now: Instant,
) -> Result<Option<Candidate>> {
    let credentials = cr::table.on(cr::tenant_id.eq(u::tenant_id).and(cr::user_id.eq(u::id)));
    let current = v::tenant_id
        .eq(u::tenant_id)
        .and(v::id.eq(u::id))
        .and(v::version.eq(u::version));
    let living = u::table
        .inner_join(v::table.on(current))
        .inner_join(credentials);
    let living = living
        .filter(v::to_seq.eq(OPEN))
        .filter(v::archived_at.is_null());
    let mut living = living.filter(u::email.eq(email)).into_boxed();
    if let Some(organization) = organization {
        living = living.filter(u::tenant_id.eq(organization));
    }
    type Row = (TenantId, Id, Option<String>, i32);
    let columns = (u::tenant_id, u::id, cr::password_hash, cr::epoch);
    let rows: Vec<Row> = living.select(columns).limit(ORGANIZATIONS).load(conn)?;
    let mut found = Vec::new();
    for (tenant, user, hash, epoch) in rows {
        if accounts::entry(conn, tenant, user, now)?.is_some() {
            found.push(Candidate {
                tenant,
                user,
                hash,
                epoch,
            });
        }
    }
    Ok(found.pop().filter(|_| found.is_empty()))
}

/// Issues a setup token, the only credential of the account from then on; every session ends.
pub fn issue(
    conn: &mut Conn,
    (tenant, user): (TenantId, Id),
    by: &Actor,
    now: Instant,
) -> Result<String> {
    let token = api_key::setup_token()?;
    let hash = api_key::digest(&token);
    let issuer = (by.kind != ActorKind::System).then_some(by.id);
    let issued = (
        (
            cr::password_hash.eq(None::<String>),
            cr::setup_hash.eq(hash.as_slice()),
        ),
        cr::setup_expires_at.eq(now.plus_millis(SETUP_MILLIS)),
        (
            cr::issued_by.eq(issuer),
            cr::issued_by_person.eq(issuer.and(by.person_id)),
        ),
        (cr::issued_at.eq(now), cr::holder_set_at.eq(None::<Instant>)),
    );
    there(conn, (tenant, user), now)?;
    let own = diesel::update(cr::table.find((tenant, user)));
    own.set((issued, cr::epoch.eq(cr::epoch + 1)))
        .execute(conn)?;
    Ok(token)
}

/// Makes the row of an account that has none yet.
fn there(conn: &mut Conn, (tenant, user): (TenantId, Id), now: Instant) -> QueryResult<()> {
    if epoch(conn, (tenant, user))?.is_none() {
        let key = (cr::tenant_id.eq(tenant), cr::user_id.eq(user));
        let row = (key, cr::epoch.eq(0), cr::issued_at.eq(now));
        diesel::insert_into(cr::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// Keeps a password that the system was given for the account; every session ends.
pub fn set_by_system(
    conn: &mut Conn,
    (tenant, user): (TenantId, Id),
    hash: &str,
    now: Instant,
) -> QueryResult<usize> {
    let set = (
        (
            cr::password_hash.eq(hash),
            cr::setup_hash.eq(None::<Vec<u8>>),
        ),
        cr::setup_expires_at.eq(None::<Instant>),
        (
            cr::issued_by.eq(None::<Id>),
            cr::issued_by_person.eq(None::<Id>),
        ),
        (cr::issued_at.eq(now), cr::holder_set_at.eq(None::<Instant>)),
    );
    there(conn, (tenant, user), now)?;
    let own = diesel::update(cr::table.find((tenant, user)));
    own.set((set, cr::epoch.eq(cr::epoch + 1))).execute(conn)
}

/// Keeps a password that the holder has chosen; every session ends.
pub fn set_by_holder(
    conn: &mut Conn,
    (tenant, user): (TenantId, Id),
    hash: &str,
    now: Instant,
) -> QueryResult<usize> {
    let set = (
        (
            cr::password_hash.eq(hash),
            cr::setup_hash.eq(None::<Vec<u8>>),
        ),
        cr::setup_expires_at.eq(None::<Instant>),
        (cr::holder_set_at.eq(now), cr::epoch.eq(cr::epoch + 1)),
    );
    diesel::update(cr::table.find((tenant, user)))
        .set(set)
        .execute(conn)
}

/// Whose setup token this is, if it is still good and the account may come in.
pub fn holder(conn: &mut Conn, hash: [u8; 32], now: Instant) -> Result<Option<(TenantId, Id)>> {
    let own = cr::table.filter(cr::setup_hash.assume_not_null().eq(hash.as_slice()));
    let own = own.filter(cr::setup_hash.is_not_null());
    let row = own.select((cr::tenant_id, cr::user_id, cr::setup_expires_at));
    type Row = (TenantId, Id, Option<Instant>);
    match row.get_result::<Row>(conn).optional()? {
        Some((tenant, user, Some(until))) if now < until => {
            let entry = accounts::entry(conn, tenant, user, now)?;
            Ok(entry.map(|_| (tenant, user)))
        }
        _ => Ok(None),
    }
}

/// The account's epoch.
pub fn epoch(conn: &mut Conn, (tenant, user): (TenantId, Id)) -> QueryResult<Option<i32>> {
    cr::table
        .find((tenant, user))
        .select(cr::epoch)
        .get_result(conn)
        .optional()
}

/// The hash of the account's password.
pub fn hash(conn: &mut Conn, (tenant, user): (TenantId, Id)) -> QueryResult<Option<String>> {
    let row = cr::table.find((tenant, user)).select(cr::password_hash);
    row.get_result(conn).optional().map(Option::flatten)
}

/// What others know of an account: its address, and what its organization is called.
pub fn known(conn: &mut Conn, (tenant, user): (TenantId, Id)) -> Result<Vec<String>> {
    let named = v::table.filter(v::tenant_id.eq(tenant).and(v::id.eq(tenant.record())));
    let mut all: Vec<String> = named.filter(standing()).select(v::name).load(conn)?;
    let current = v::tenant_id
        .eq(u::tenant_id)
        .and(v::id.eq(u::id))
        .and(v::version.eq(u::version));
    let own = u::table
        .inner_join(v::table.on(current))
        .filter(v::to_seq.eq(OPEN));
    let own = own.filter(u::tenant_id.eq(tenant).and(u::id.eq(user)));
    all.extend(own.select(u::email).load::<String>(conn)?);
    Ok(all)
}
