//! What an asset is worth: at least as much as what depends on it. What its dependents raise it to
//! is stored, valid from one ledger entry to the next, and written by the write that changes it.
//! For a caller that does not see every asset it is computed from those that the caller sees.
use super::passed_on::Ratings;
use super::{assets, assets as a};
use crate::core::{Id, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::among::among;
use crate::db::dialect::{at, same_version};
use crate::db::schema::{links, raised_assets as ra, versions as v};
use crate::db::walk::Walk;
use crate::records::{Reader, Row};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

diesel::allow_tables_to_appear_in_same_query!(links, assets);

/// The relation along which ratings are passed on.
pub const ALONG: &str = "depends_on_ids";
/// What depends on what is a matter of assets alone.
const KIND: &str = "asset";

/// Ratings as they are stored.
pub type Three = (Option<i32>, Option<i32>, Option<i32>);
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
            let next = onward.get(&near).into_iter().flatten();
            open.extend(next.copied().filter(|far| reached.insert(*far)));
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
pub fn raised(
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
    let counted = |id: &Id| match own.get(id) {
        Some((ratings, false)) => *ratings,
        _ => Ratings::default(),
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
            let next = ups.iter().filter(|up| !open.contains(up));
            stack.extend(next.map(|up| (*up, false)));
        }
    }
    let one = |id: &Id| {
        let own = own.get(id).map(|(ratings, _)| *ratings).unwrap_or_default();
        own.max(from_above.get(id).copied().unwrap_or_default())
    };
    wanted.iter().map(|id| (*id, one(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(confidentiality: i32, integrity: i32) -> Ratings {
        Ratings {
            confidentiality: Some(confidentiality),
            integrity: Some(integrity),
            availability: None,
        }
    }

    #[test]
    fn what_depends_on_an_asset_raises_it() {
        let [server, database, shop, other] = [(); 4].map(|()| Id::new());
        let own = BTreeMap::from([
            (server, (rated(1, 1), false)),
            (database, (rated(5, 2), false)),
            (shop, (rated(2, 4), false)),
            (other, (rated(3, 3), false)),
        ]);
        let edges = [(server, database), (database, shop), (server, shop)];
        let all = rolled_up(&own, &edges, &[server, database, shop, other]);
        let raised = [
            (server, rated(5, 4)),
            (database, rated(5, 4)),
            (shop, rated(2, 4)),
            (other, rated(3, 3)),
        ];
        assert_eq!(all, BTreeMap::from(raised));
    }

    #[test]
    fn what_is_archived_raises_nothing_and_still_leads_on() {
        let [server, old, shop] = [(); 3].map(|()| Id::new());
        let own = BTreeMap::from([
            (server, (rated(1, 1), false)),
            (old, (rated(5, 5), true)),
            (shop, (rated(3, 3), false)),
        ]);
        let all = rolled_up(&own, &[(server, old), (old, shop)], &[server, old, shop]);
        let raised = [
            (server, rated(3, 3)),
            (old, rated(5, 5)),
            (shop, rated(3, 3)),
        ];
        assert_eq!(all, BTreeMap::from(raised));
    }
}
