//! Fills the tables that are derived from the ledger anew: versions, links and each kind's own
//! table. For a new column of a filter, after a restore, and to see that nothing stands in them
//! that the ledger does not say.
use super::history::Entry;
use super::{Kind, Record, Resource, links, spine};
use crate::core::{Id, Result, TenantId};
use crate::db::schema::{ledger_entries as e, records as r, tenants as t};
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
            spine::insert(conn, tenant, &now, entry.seq, entry.schema)?;
            R::insert((tenant, id, now.spine.version), &now, conn)?;
            let (no_links, old) = (spine::no_links(), before.as_ref());
            links::replace(
                conn,
                tenant,
                id,
                old.map_or(&no_links, |old| &old.links),
                &now.links,
                entry.seq,
            )?;
            let cited = old.map_or(&[][..], |old| old.own.requirements());
            links::replace_requirements(
                conn,
                tenant,
                id,
                cited,
                now.own.requirements(),
                entry.seq,
            )?;
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

fn one(conn: &mut Conn, tenant: TenantId, replay: &Replay) -> Result<usize> {
    Head::lock(conn, tenant)?; // Nobody writes meanwhile.
    derived::clear(conn, tenant, replay.kind.name, replay.table)?;
    let ids: Vec<Id> = r::table
        .filter(r::tenant_id.eq(tenant).and(r::kind.eq(replay.kind.name)))
        .select(r::id)
        .load(conn)?;
    ids.iter()
        .try_for_each(|id| (replay.record)(conn, tenant, *id))?;
    Ok(ids.len())
}
