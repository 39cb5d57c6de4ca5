//! Fills the tables that are derived from the ledger anew: versions, links and each kind's own
//! table. For a new column of a filter, after a restore, and to see that nothing stands in them
//! that the ledger does not say.
use super::history::Entry;
use super::rows::Rows;
use super::{Kind, Record, Resource};
use crate::core::{Id, Result, TenantId};
use crate::db::schema::{ledger_entries as e, records as r, tenants as t, unfilled as un};
use crate::db::{Conn, Database, derived};
use crate::ledger::Head;
use diesel::prelude::*;

/// The two halves of an image: what stays, and what can be erased.
pub type Image = (String, Option<String>);

/// How a kind is replayed, for those who do not know its type.
#[derive(Clone, Copy)]
pub struct Replay {
    /// The kind.
    pub kind: Kind,
    /// Its own table.
    pub table: Option<&'static str>,
    record: fn(&mut Conn, TenantId, Id) -> Result<()>,
    together: fn(&mut Conn, TenantId) -> Result<()>,
    /// Reads an image of it, written in this schema, and gives it back as it would be written
    /// today.
    pub read: fn(i16, &str, Option<&str>) -> Result<Image>,
}

impl Replay {
    /// Of the kind of `R`.
    pub const fn of<R: Resource>() -> Self {
        Replay {
            kind: R::KIND,
            table: R::TABLE,
            record: record::<R>,
            together: R::refilled,
            read: |schema, body, personal| Record::<R>::of_image(schema, body, personal)?.image(),
        }
    }
}

/// Entries that are read at once.
const SOME: i64 = 200;

/// Replays the versions of one record, in order.
fn record<R: Resource>(conn: &mut Conn, tenant: TenantId, id: Id) -> Result<()> {
    let (mut before, mut last): (Option<Record<R>>, i64) = (None, -1);
    loop {
        let next = e::table.filter(
            e::tenant_id
                .eq(tenant)
                .and(e::record_id.eq(id))
                .and(e::seq.gt(last)),
        );
        let entries: Vec<Entry> = next
            .order(e::seq)
            .limit(SOME)
            .select(Entry::as_select())
            .load(conn)?;
        let Some(end) = entries.last().map(|entry| entry.seq) else {
            return Ok(());
        };
        last = end;
        for entry in entries {
            let now: Record<R> = entry.record()?;
            let mut rows = Rows::default();
            rows.version(&now, before.as_ref(), entry.seq, entry.schema)?;
            rows.own((tenant, id, now.spine.version), now.clone());
            rows.derive(conn, tenant)?;
            before = Some(now);
        }
    }
}

/// Rebuilds what is derived of these kinds, an organization and a kind at a time, each in one
/// transaction. Tells how many records there were.
pub fn rebuild(database: &Database, kinds: &[Replay]) -> Result<usize> {
    let mut conn = database.connect()?;
    let tenants: Vec<TenantId> = t::table.select(t::id).load(&mut conn)?;
    let mut count = 0;
    for tenant in tenants {
        for replay in kinds {
            count += conn.writing(|conn| one(conn, tenant, replay))?;
        }
    }
    Ok(count)
}

/// Computes what the last migrations have left to compute, before anything is read.
pub fn fill(database: &Database, kinds: impl Iterator<Item = Replay>) -> Result<()> {
    let mut conn = database.connect()?;
    let left: Vec<String> = un::table.select(un::kind).load(&mut conn)?;
    for replay in kinds.filter(|replay| left.iter().any(|kind| kind == replay.kind.name)) {
        conn.writing(|conn| -> Result<()> {
            for tenant in t::table.select(t::id).load::<TenantId>(conn)? {
                Head::lock(conn, tenant)?; // Nobody writes meanwhile.
                (replay.together)(conn, tenant)?;
            }
            diesel::delete(un::table.find(replay.kind.name)).execute(conn)?;
            Ok(())
        })?;
    }
    Ok(())
}

fn one(conn: &mut Conn, tenant: TenantId, replay: &Replay) -> Result<usize> {
    Head::lock(conn, tenant)?; // Nobody writes meanwhile.
    derived::clear(conn, tenant, replay.kind.name, replay.table)?;
    let ids: Vec<Id> = r::table
        .filter(r::tenant_id.eq(tenant).and(r::kind.eq(replay.kind.name)))
        .select(r::id)
        .load(conn)?;
    ids.iter()
        .try_for_each(|id| (replay.record)(conn, tenant, *id))?;
    (replay.together)(conn, tenant)?;
    Ok(ids.len())
}
