//! Everything that links lead to, however many steps away: one recursive query, whatever the depth.
use super::{Backend, Conn};
use crate::core::sql::DbUuid;
use crate::core::{Id, TenantId};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, RunQueryDsl};
use std::collections::{BTreeMap, BTreeSet};

/// Links that one walk follows.
pub const MOST: usize = 100_000;

/// A walk along one relation.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    /// Of which organization.
    pub tenant: TenantId,
    /// Along which member.
    pub relation: &'static str,
    /// At which position.
    pub seq: i64,
    /// From the targets to what refers to them?
    pub back: bool,
    /// Where it begins.
    pub from: &'a [Id],
}

impl Walk<'_> {
    /// The links on the way, each as what is nearer and what is farther; up to [`MOST`] and one
    /// more.
    pub fn links(&self, conn: &mut Conn) -> QueryResult<Vec<(Id, Id)>> {
        if self.from.is_empty() {
            Ok(vec![])
        } else {
            Following(self).load(conn)
        }
    }
}

#[derive(Debug)]
struct Following<'a>(&'a Walk<'a>);

impl Following<'_> {
    /// The live links from what was reached.
    fn live<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let near = if self.0.back { "to_id" } else { "from_id" };
        // The cross join makes SQLite begin with what was reached.
        out.push_sql(" FROM reached CROSS JOIN links l WHERE l.tenant_id = ");
        out.push_bind_param::<DbUuid, _>(&self.0.tenant)?;
        out.push_sql(" AND l.");
        out.push_sql(near);
        out.push_sql(" = reached.id AND l.relation = ");
        out.push_bind_param::<Text, _>(&self.0.relation)?;
        out.push_sql(" AND l.from_seq <= ");
        out.push_bind_param::<BigInt, _>(&self.0.seq)?;
        out.push_sql(" AND l.to_seq > ");
        out.push_bind_param::<BigInt, _>(&self.0.seq)
    }
}
impl QueryFragment<Backend> for Following<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let (near, far) = if self.0.back {
            ("to_id", "from_id")
        } else {
            ("from_id", "to_id")
        };
        out.push_sql(
            "WITH RECURSIVE reached(id) AS (SELECT r.id FROM records r WHERE r.tenant_id = ",
        );
        out.push_bind_param::<DbUuid, _>(&self.0.tenant)?;
        // A few lengths, so that the statement stays prepared.
        let (count, last) = (self.0.from.len().next_power_of_two(), self.0.from.last());
        for (n, id) in self
            .0
            .from
            .iter()
            .chain(std::iter::repeat_n(last, count - self.0.from.len()).flatten())
            .enumerate()
        {
            out.push_sql(if n == 0 { " AND r.id IN (" } else { ", " });
            out.push_bind_param::<DbUuid, _>(id)?;
        }
        out.push_sql(") UNION SELECT l.");
        out.push_sql(far);
        self.live(&mut out)?;
        out.push_sql(") SELECT l.");
        out.push_sql(near);
        out.push_sql(", l.");
        out.push_sql(far);
        self.live(&mut out)?;
        out.push_sql(" LIMIT 100001");
        Ok(())
    }
}
impl QueryId for Following<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl Query for Following<'_> {
    type SqlType = (DbUuid, DbUuid);
}
impl RunQueryDsl<Conn> for Following<'_> {}

/// Pure: how many steps the longest way along these links is, from any of these.
pub fn longest(links: &[(Id, Id)], from: &[Id]) -> usize {
    let (mut next, mut heights): (BTreeMap<Id, Vec<Id>>, BTreeMap<Id, usize>) =
        (BTreeMap::new(), BTreeMap::new());
    links
        .iter()
        .for_each(|(near, far)| next.entry(*near).or_default().push(*far));
    let (mut open, mut stack): (BTreeSet<Id>, Vec<(Id, bool)>) = (
        BTreeSet::new(),
        from.iter().map(|id| (*id, false)).collect(),
    );
    while let Some((id, done)) = stack.pop() {
        let after = next.get(&id).map(Vec::as_slice).unwrap_or_default();
        if done {
            let height = after
                .iter()
                .filter_map(|far| heights.get(far))
                .max()
                .map_or(0, |height| height + 1);
            heights.insert(id, height);
        } else if open.insert(id) {
            stack.push((id, true));
            stack.extend(
                after
                    .iter()
                    .filter(|far| !open.contains(far))
                    .map(|far| (*far, false)),
            );
        }
    }
    from.iter()
        .filter_map(|id| heights.get(id))
        .copied()
        .max()
        .unwrap_or_default()
}

/// Pure: how far each is from the start by the shortest way, nearest first.
pub fn distances(links: &[(Id, Id)], start: Id) -> BTreeMap<Id, i32> {
    let mut next: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    links
        .iter()
        .for_each(|(near, far)| next.entry(*near).or_default().push(*far));
    let (mut found, mut frontier, mut steps) = (BTreeMap::from([(start, 0)]), vec![start], 0);
    while !frontier.is_empty() {
        steps += 1;
        let reached: Vec<Id> = frontier
            .iter()
            .filter_map(|id| next.get(id))
            .flatten()
            .copied()
            .collect();
        frontier = reached
            .into_iter()
            .filter(|id| !found.contains_key(id))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        found.extend(frontier.iter().map(|id| (*id, steps)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_way_counts() {
        let ids: Vec<Id> = (0..5).map(|_| Id::new()).collect();
        let [a, b, c, d, e] = ids.as_slice() else {
            return;
        };
        let links = [(*a, *b), (*b, *c), (*a, *c), (*c, *d)];
        assert_eq!(
            (
                longest(&links, &[*a]),
                longest(&links, &[*c]),
                longest(&links, &[*e]),
                longest(&links, &[*c, *a])
            ),
            (3, 1, 0, 3)
        );
        let far = distances(&links, *a);
        assert_eq!(
            (far.get(c), far.get(d), far.get(e)),
            (Some(&1), Some(&2), None)
        );
    }

    #[test]
    fn a_circle_ends_and_a_lattice_is_quick() {
        let ids: Vec<Id> = (0..200).map(|_| Id::new()).collect();
        let ring: Vec<(Id, Id)> = ids
            .iter()
            .zip(ids.iter().cycle().skip(1))
            .map(|(a, b)| (*a, *b))
            .collect();
        assert!(longest(&ring, &ids) >= 199);
        let dense: Vec<(Id, Id)> = (0..200)
            .flat_map(|n| {
                ids.iter()
                    .skip(n + 1)
                    .filter_map(|b| Some((*ids.get(n)?, *b)))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(longest(&dense, &ids), 199);
    }
}
