//! The secrets of keys: one of them is current, the one before ends a day after a rotation. Only
//! their SHA-256 is kept.
use crate::access::api_key;
use crate::core::{Id, Instant, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::schema::key_secrets as ks;
use diesel::prelude::*;

/// How long the old secret of a rotated key is still good.
const OVERLAP_MILLIS: i64 = 24 * 3600 * 1000;

/// Makes the current secret of a key, and keeps what it is known by.
pub fn issue(
    conn: &mut Conn,
    (tenant, key): (TenantId, Id),
    expires_at: Instant,
    now: Instant,
) -> Result<String> {
    let secret = api_key::generate()?;
    let hash = api_key::hash(&secret).ok_or_else(|| Problem::internal("a key without its form"))?;
    let row = (
        (
            ks::hash.eq(hash.as_slice()),
            ks::tenant_id.eq(tenant),
            ks::key_id.eq(key),
        ),
        (
            ks::expires_at.eq(expires_at),
            ks::made_at.eq(now),
            ks::current.eq(true),
        ),
    );
    diesel::insert_into(ks::table).values(row).execute(conn)?;
    Ok(secret)
}

/// When the current secret of a key was made.
pub fn made_at(conn: &mut Conn, (tenant, key): (TenantId, Id)) -> Result<Option<Instant>> {
    let current = ks::table.filter(
        ks::tenant_id
            .eq(tenant)
            .and(ks::key_id.eq(key))
            .and(ks::current.eq(true)),
    );
    Ok(current.select(ks::made_at).first(conn).optional()?)
}

/// Another end of a key: its current secret lives until then, no other one longer than before, and
/// what has ended is gone.
pub fn end(
    conn: &mut Conn,
    (tenant, key): (TenantId, Id),
    until: Instant,
    now: Instant,
) -> Result<()> {
    let of_it = || ks::tenant_id.eq(tenant).and(ks::key_id.eq(key));
    diesel::delete(ks::table.filter(of_it()).filter(ks::expires_at.le(now))).execute(conn)?;
    diesel::update(ks::table.filter(of_it()).filter(ks::current.eq(true)))
        .set(ks::expires_at.eq(until))
        .execute(conn)?;
    diesel::update(ks::table.filter(of_it()).filter(ks::expires_at.gt(until)))
        .set(ks::expires_at.eq(until))
        .execute(conn)?;
    Ok(())
}

/// A new secret until the key's end; the others end within the overlap, and none of them is current
/// any more.
pub fn rotate(
    conn: &mut Conn,
    key: (TenantId, Id),
    until: Instant,
    now: Instant,
) -> Result<String> {
    let of_it = || ks::tenant_id.eq(key.0).and(ks::key_id.eq(key.1));
    let overlap = now.plus_millis(OVERLAP_MILLIS);
    diesel::delete(ks::table.filter(of_it()).filter(ks::expires_at.le(now))).execute(conn)?;
    diesel::update(ks::table.filter(of_it()))
        .set(ks::current.eq(false))
        .execute(conn)?;
    diesel::update(ks::table.filter(of_it()).filter(ks::expires_at.gt(overlap)))
        .set(ks::expires_at.eq(overlap))
        .execute(conn)?;
    issue(conn, key, until, now)
}
