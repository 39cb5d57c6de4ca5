//! What assets are raised to, as it is stored: valid from one ledger entry to the next, and written
//! by the write that changes it.
use super::assets as a;
use super::passed_on::{self, Around, Passed, Ratings};
use super::ratings::{ALONG, Three, raised};
use crate::core::{Id, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::among::among;
use crate::db::dialect::{NOW, OPEN, same_version, standing};
use crate::db::schema::{links as l, raised_assets as ra, versions as v};
use crate::db::walk::{MOST, Walk};
use crate::ledger::in_time;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The assets around one that is written, as they are stored.
struct Stored<'a> {
    conn: &'a mut Conn,
    tenant: TenantId,
}

impl Around for Stored<'_> {
    fn below(&mut self, from: &[Id]) -> Result<Vec<(Id, Id)>> {
        let walk = Walk {
            tenant: self.tenant,
            relation: ALONG,
            seq: NOW,
            back: false,
            from,
        };
        let links = walk.links(self.conn)?;
        match links.len() > MOST {
            true => Err(Problem::invalid_one(
                "/depends_on_ids",
                "too_many",
                format!("more than {MOST} links lead on from here; remove some first"),
            )),
            false => Ok(links),
        }
    }
    fn raised(&mut self, ids: &[Id]) -> Result<BTreeMap<Id, Ratings>> {
        Ok(raised(self.conn, self.tenant, NOW, ids)?)
    }
    fn held(&mut self, ids: &BTreeSet<Id>) -> Result<BTreeMap<Id, Ratings>> {
        let mut held: BTreeMap<Id, Ratings> = BTreeMap::new();
        let mut hold = |id: Id, three: Three| {
            let high = held.entry(id).or_default();
            *high = high.max(three.into());
        };
        for some in ids.iter().copied().collect::<Vec<_>>().chunks(500) {
            in_time()?;
            let links = || {
                l::table
                    .filter(l::tenant_id.eq(self.tenant).and(among(l::to_id, some)))
                    .filter(l::relation.eq(ALONG).and(l::to_seq.eq(OPEN)))
            };
            let rated = links()
                .inner_join(v::table.on(v::tenant_id.eq(l::tenant_id).and(v::id.eq(l::from_id))))
                .inner_join(same_version!(a, v))
                .filter(standing())
                .filter(v::archived_at.is_null());
            let own = (a::confidentiality, a::integrity, a::availability);
            let rows = rated.select((l::to_id, own)).distinct();
            for (id, three) in rows.load::<(Id, Three)>(self.conn)? {
                hold(id, three);
            }
            let passing = links().inner_join(
                ra::table.on(ra::tenant_id
                    .eq(l::tenant_id)
                    .and(ra::id.eq(l::from_id))
                    .and(ra::to_seq.eq(OPEN))),
            );
            let high = (ra::confidentiality, ra::integrity, ra::availability);
            let rows = passing.select((l::from_id, l::to_id, high));
            for (from, to, three) in rows.load::<(Id, Id, Three)>(self.conn)? {
                // What is to be computed itself says nothing yet.
                if !ids.contains(&from) {
                    hold(to, three);
                }
            }
        }
        Ok(held)
    }
}

/// Stores what follows for the assets below one from its entry at `seq`, whose rows and links are
/// written already. A few queries, however many levels there are.
pub fn pass_on(
    conn: &mut Conn,
    (tenant, id, seq): (TenantId, Id, i64),
    before: Option<&Passed<'_>>,
    after: &Passed<'_>,
) -> Result<()> {
    let changes = passed_on::changes(&mut Stored { conn, tenant }, id, before, after)?;
    let ids: Vec<Id> = changes.iter().map(|(id, _)| *id).collect();
    for some in ids.chunks(500) {
        in_time()?;
        let stood = ra::table
            .filter(ra::tenant_id.eq(tenant).and(among(ra::id, some)))
            .filter(ra::to_seq.eq(OPEN));
        diesel::update(stood)
            .set(ra::to_seq.eq(seq))
            .execute(conn)?;
    }
    let rows = changes.into_iter().map(|(id, to)| (id, (seq, OPEN), to));
    insert(conn, tenant, rows)
}

fn insert(
    conn: &mut Conn,
    tenant: TenantId,
    rows: impl Iterator<Item = (Id, (i64, i64), Ratings)>,
) -> Result<()> {
    let row = |(id, (from, to), high): (Id, (i64, i64), Ratings)| {
        (
            (ra::tenant_id.eq(tenant), ra::id.eq(id)),
            (ra::from_seq.eq(from), ra::to_seq.eq(to)),
            (
                ra::confidentiality.eq(high.confidentiality),
                ra::integrity.eq(high.integrity),
                ra::availability.eq(high.availability),
            ),
        )
    };
    let some = |(_, _, high): &(Id, (i64, i64), Ratings)| *high != Ratings::default();
    let rows: Vec<_> = rows.filter(some).map(row).collect();
    for some in rows.chunks(500) {
        in_time()?;
        crate::each!(conn, |c| diesel::insert_into(ra::table)
            .values(some)
            .execute(c))?;
    }
    Ok(())
}

/// Computes all of it again, from the versions and links that there have been.
pub fn refill(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(ra::table.filter(ra::tenant_id.eq(tenant))).execute(conn)?;
    let linked = l::table.filter(l::tenant_id.eq(tenant).and(l::relation.eq(ALONG)));
    let links: Vec<(Id, Id, i64, i64)> = linked
        .select((l::from_id, l::to_id, l::from_seq, l::to_seq))
        .load(conn)?;
    let linked: BTreeSet<Id> = links.iter().map(|(from, ..)| *from).collect();
    let mut rated: Vec<(i64, Id, Ratings)> = Vec::new();
    for some in linked.into_iter().collect::<Vec<_>>().chunks(500) {
        let versions = v::table
            .inner_join(same_version!(a, v))
            .filter(v::tenant_id.eq(tenant).and(among(v::id, some)));
        let columns = (
            v::from_seq,
            v::id,
            v::archived_at.is_not_null(),
            (a::confidentiality, a::integrity, a::availability),
        );
        for (seq, id, archived, three) in versions
            .select(columns)
            .load::<(i64, Id, bool, Three)>(conn)?
        {
            rated.push((seq, id, Passed::counted(three.into(), archived)));
        }
    }
    insert(conn, tenant, passed_on::history(rated, &links)?.into_iter())
}
