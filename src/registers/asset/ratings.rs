//! What an asset is worth: at least as much as what depends on it. What its dependents raise it to
//! is stored, valid from one ledger entry to the next, and written by the write that changes it.
//! For a caller that does not see every asset it is computed from those that the caller sees.
use super::passed_on::{self, Around, Passed, Ratings};
use super::{assets, assets as a};
use crate::core::{Id, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::among::among;
use crate::db::dialect::{NOW, OPEN, at, same_version, standing};
use crate::db::schema::{links, links as l, raised_assets as ra, versions as v};
use crate::db::walk::{MOST, Walk};
use crate::ledger::in_time;
use crate::records::{Reader, Row};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

diesel::allow_tables_to_appear_in_same_query!(links, assets);

/// The relation along which ratings are passed on.
const ALONG: &str = "depends_on_ids";
/// What depends on what is a matter of assets alone.
const KIND: &str = "asset";

/// Ratings as they are stored.
type Three = (Option<i32>, Option<i32>, Option<i32>);
impl From<Three> for Ratings {
    fn from((confidentiality, integrity, availability): Three) -> Self {
        Ratings {
            confidentiality,
            integrity,
            availability,
        }
    }
}

/// What depends on these assets, or what they depend on: the links on the way, in one query
/// whatever the depth.
pub fn along(reader: &mut Reader<'_>, from: &[Id], back: bool) -> Result<Vec<(Id, Id)>> {
    let walk = Walk {
        tenant: reader.tenant(),
        relation: ALONG,
        seq: reader.moment.seq,
        back,
        from,
    };
    let mut links = walk.links(reader.conn())?;
    // What the caller does not see raises nothing, and leads nowhere.
    let hidden = hidden(reader, links.iter().map(|(_, far)| *far).collect())?;
    if !hidden.is_empty() {
        let mut onward: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
        links
            .iter()
            .filter(|(_, far)| !hidden.contains(far))
            .for_each(|(near, far)| onward.entry(*near).or_default().push(*far));
        let (mut reached, mut open) = (BTreeSet::from_iter(from.iter().copied()), from.to_vec());
        while let Some(near) = open.pop() {
            open.extend(
                onward
                    .get(&near)
                    .into_iter()
                    .flatten()
                    .copied()
                    .filter(|far| reached.insert(*far)),
            );
        }
        links.retain(|(near, far)| reached.contains(near) && !hidden.contains(far));
    }
    Ok(links)
}

/// Those of these assets that the caller does not see: no query for one that sees all.
fn hidden(reader: &mut Reader<'_>, ids: BTreeSet<Id>) -> Result<BTreeSet<Id>> {
    let mut hidden = if reader.limited(KIND) {
        ids
    } else {
        BTreeSet::new()
    };
    for some in hidden.iter().copied().collect::<Vec<_>>().chunks(500) {
        let seen = v::table
            .filter(reader.seen(KIND))
            .filter(among(v::id, some))
            .select(v::id);
        for id in seen.load::<Id>(reader.conn())? {
            hidden.remove(&id);
        }
    }
    Ok(hidden)
}

/// Own ratings of these assets, and whether they are archived.
fn own_ratings(reader: &mut Reader<'_>, ids: &[Id]) -> Result<BTreeMap<Id, (Ratings, bool)>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let mut all = BTreeMap::new();
    for some in ids.chunks(500) {
        let rated = a::table.inner_join(same_version!(v, a));
        let rated = rated
            .filter(v::tenant_id.eq(tenant).and(among(v::id, some)))
            .filter(at(seq));
        let columns = (
            a::id,
            v::archived_at.is_not_null(),
            (a::confidentiality, a::integrity, a::availability),
        );
        let found = rated
            .select(columns)
            .load::<(Id, bool, Three)>(reader.conn())?;
        all.extend(
            found
                .into_iter()
                .map(|(id, archived, three)| (id, (three.into(), archived))),
        );
    }
    Ok(all)
}

/// The highest of an asset's own ratings and, transitively, of what depends on it: for each of
/// these rows, one query more.
pub fn effective(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<Ratings>> {
    let own = rows
        .iter()
        .map(|row| serde_json::from_str::<Ratings>(&row.body).map_err(Problem::internal))
        .collect::<Result<Vec<_>>>()?;
    let wanted: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let raised = if reader.limited(KIND) {
        let rated = rows.iter().zip(&own);
        let rated = rated.map(|(row, own)| (row.id, (*own, row.archived)));
        seen(reader, rated.collect(), &wanted)?
    } else {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        raised(reader.conn(), tenant, seq, &wanted)?
    };
    let of = |(id, own): (&Id, Ratings)| own.max(raised.get(id).copied().unwrap_or_default());
    Ok(wanted.iter().zip(own).map(of).collect())
}

/// What these assets are raised to, at a position; those that are raised.
fn raised(
    conn: &mut Conn,
    tenant: TenantId,
    seq: i64,
    ids: &[Id],
) -> QueryResult<BTreeMap<Id, Ratings>> {
    let mut all = BTreeMap::new();
    for some in ids.chunks(500) {
        let stood = ra::table
            .filter(ra::tenant_id.eq(tenant).and(among(ra::id, some)))
            .filter(ra::to_seq.gt(seq).and(ra::from_seq.le(seq)));
        let columns = (
            ra::id,
            (ra::confidentiality, ra::integrity, ra::availability),
        );
        let found = stood.select(columns).load::<(Id, Three)>(conn)?;
        all.extend(found.into_iter().map(|(id, three)| (id, three.into())));
    }
    Ok(all)
}

/// The same as far as this caller sees what depends on them.
fn seen(
    reader: &mut Reader<'_>,
    mut own: BTreeMap<Id, (Ratings, bool)>,
    wanted: &[Id],
) -> Result<BTreeMap<Id, Ratings>> {
    let edges = along(reader, wanted, true)?;
    let others: BTreeSet<Id> = edges
        .iter()
        .map(|(_, above)| *above)
        .filter(|id| !own.contains_key(id))
        .collect();
    own.extend(own_ratings(
        reader,
        &others.into_iter().collect::<Vec<_>>(),
    )?);
    Ok(rolled_up(&own, &edges, wanted))
}

/// Pure: ratings rolled down from what depends to what it depends on, each asset once. What is
/// archived counts for itself alone.
fn rolled_up(
    own: &BTreeMap<Id, (Ratings, bool)>,
    edges: &[(Id, Id)],
    wanted: &[Id],
) -> BTreeMap<Id, Ratings> {
    let mut above: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    edges
        .iter()
        .for_each(|(below, up)| above.entry(*below).or_default().push(*up));
    let counted = |id: &Id| {
        own.get(id)
            .copied()
            .filter(|(_, archived)| !archived)
            .map(|(ratings, _)| ratings)
            .unwrap_or_default()
    };
    let (mut from_above, mut open): (BTreeMap<Id, Ratings>, BTreeSet<Id>) =
        (BTreeMap::new(), BTreeSet::new());
    let mut stack: Vec<(Id, bool)> = wanted.iter().map(|id| (*id, false)).collect();
    while let Some((id, done)) = stack.pop() {
        let ups = above.get(&id).map(Vec::as_slice).unwrap_or_default();
        if done {
            let of = |up: &Id| counted(up).max(from_above.get(up).copied().unwrap_or_default());
            let best = ups.iter().map(of).fold(Ratings::default(), Ratings::max);
            from_above.insert(id, best);
        } else if open.insert(id) {
            stack.push((id, true));
            stack.extend(
                ups.iter()
                    .filter(|up| !open.contains(up))
                    .map(|up| (*up, false)),
            );
        }
    }
    let one = |id: &Id| {
        own.get(id)
            .map(|(ratings, _)| *ratings)
            .unwrap_or_default()
            .max(from_above.get(id).copied().unwrap_or_default())
    };
    wanted.iter().map(|id| (*id, one(id))).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_an_asset_raises_it() {
        let ids: Vec<Id> = (0..4).map(|_| Id::new()).collect();
        let [server, database, shop, other] = ids.as_slice() else {
            return;
        };
        let rated = |c, i| Ratings {
            confidentiality: Some(c),
            integrity: Some(i),
            availability: None,
        };
        let own = [
            (*server, rated(1, 1)),
            (*database, rated(5, 2)),
            (*shop, rated(2, 4)),
            (*other, rated(3, 3)),
        ];
        let own = BTreeMap::from(own.map(|(id, ratings)| (id, (ratings, false))));
        let edges = [(*server, *database), (*database, *shop), (*server, *shop)];
        let all = rolled_up(&own, &edges, &ids);
        assert_eq!(all.get(server), Some(&rated(5, 4)));
        assert_eq!(all.get(database), Some(&rated(5, 4)));
        assert_eq!(
            (all.get(shop), all.get(other)),
            (Some(&rated(2, 4)), Some(&rated(3, 3)))
        );
    }

    #[test]
    fn what_is_archived_raises_nothing_and_still_leads_on() {
        let ids: Vec<Id> = (0..3).map(|_| Id::new()).collect();
        let [server, old, shop] = ids.as_slice() else {
            return;
        };
        let rated = |c| Ratings {
            confidentiality: Some(c),
            integrity: None,
            availability: None,
        };
        let own = BTreeMap::from([
            (*server, (rated(1), false)),
            (*old, (rated(5), true)),
            (*shop, (rated(3), false)),
        ]);
        let all = rolled_up(&own, &[(*server, *old), (*old, *shop)], &ids);
        assert_eq!(
            (all.get(server), all.get(old), all.get(shop)),
            (Some(&rated(3)), Some(&rated(5)), Some(&rated(3)))
        );
    }
}
