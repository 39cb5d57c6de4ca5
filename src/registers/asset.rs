//! Assets: what the ISMS protects (ISO/IEC 27001:2022 A.5.9), rated for confidentiality, integrity
//! and availability, and what depends on what. An asset is worth at least as much as what depends
//! on it: the effective ratings, and the walk of what an outage would reach.
use crate::core::{Id, Problem, Result, VersionKey};
use crate::db::among::among;
use crate::db::dialect::at;
use crate::db::walk::{Walk, distances};
use crate::db::{Conn, schema::assets as a, schema::versions as v};
use crate::http::{Answer, At, Guard, Read, ViewQuery};
use crate::records::ask::Moments;
use crate::records::query::RecordRef;
use crate::records::reader::Ref;
use crate::records::{
    By, Condition, Kind, Limit, Part, Reader, Record, Relation, Resource, Row, SCOPED, Stateless,
    Stored, unasked,
};
use actix_web::HttpRequest;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// What an asset is.
    pub enum AssetType { Information, Software, Hardware, Service, People, Site, Process }
}
crate::vocabulary! {
    /// How widely it may be known.
    pub enum Classification { Public, Internal, Confidential, Restricted }
}
crate::vocabulary! {
    /// Where it is in its life.
    pub enum Lifecycle { Planned, InUse, Retired, Disposed }
}

/// What clients say about an asset.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// What it is and why it matters.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// Which type of asset.
    pub asset_type: AssetType,
    /// How widely it may be known.
    pub classification: Classification,
    /// Harm if it is disclosed, 1 to 5.
    #[validate(range(min = 1, max = 5))]
    #[schema(minimum = 1, maximum = 5)]
    pub confidentiality: Option<i32>,
    /// Harm if it is wrong, 1 to 5.
    #[validate(range(min = 1, max = 5))]
    #[schema(minimum = 1, maximum = 5)]
    pub integrity: Option<i32>,
    /// Harm if it is gone, 1 to 5.
    #[validate(range(min = 1, max = 5))]
    #[schema(minimum = 1, maximum = 5)]
    pub availability: Option<i32>,
    /// Where it is.
    #[validate(length(max = 200))]
    #[schema(max_length = 200)]
    pub location: Option<String>,
    /// Does it hold personal data?
    #[serde(default)]
    pub personal_data: bool,
    /// Where it is in its life.
    pub lifecycle: Option<Lifecycle>,
}

/// What a list of assets can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AssetFilter {
    /// Any of these types.
    #[param(max_items = 10)]
    pub asset_type: Vec<AssetType>,
    /// Any of these classifications.
    #[param(max_items = 10)]
    pub classification: Vec<Classification>,
    /// Any of these stages of life.
    #[param(max_items = 10)]
    pub lifecycle: Vec<Lifecycle>,
    /// With personal data, or without.
    #[param(max_items = 2)]
    pub personal_data: Vec<bool>,
}

/// An asset in a query.
pub type AssetRef = RecordRef<Asset>;

impl Resource for Asset {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "asset",
        path: "assets",
        code: "AST",
        about: "Assets: what the ISMS protects (A.5.9).",
        relations: &[
            Relation::new("custodian_id", "person"),
            Relation::acyclic("depends_on_ids", "asset"),
        ],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("assets belong to the whole ISMS, whatever the framework"),
            ),
            (
                Limit::Sources,
                By::ReadOnly("a finding of its programs is read with the name of its asset"),
            ),
            (
                Limit::Period,
                By::ReadOnly("a period limits evidence alone"),
            ),
        ],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = Stateless;
    fn example() -> Value {
        json!({"name": "Customer database", "description": "Holds what customers ordered.",
            "asset_type": "information", "classification": "confidential",
            "confidentiality": 4, "integrity": 5, "availability": 3, "location": "Frankfurt",
                "personal_data": true, "lifecycle": "in_use"})
    }
    fn rank(record: &Record<Self>) -> Option<i32> {
        let own = &record.own;
        own.confidentiality.max(own.integrity).max(own.availability)
    }
    fn computed(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        let own = rows.iter().map(|row| {
            Ok((
                row.id,
                (
                    serde_json::from_str(&row.body).map_err(Problem::internal)?,
                    row.archived,
                ),
            ))
        });
        let effective = effective(reader, own.collect::<Result<_>>()?)?;
        let text = |row: &Row| match effective.get(&row.id) {
            Some(ratings) => serde_json::to_string(ratings)
                .map(|text| format!("\"effective\":{text}"))
                .map_err(Problem::internal),
            None => Err(Problem::internal("an asset without its ratings")),
        };
        rows.iter().map(text).collect()
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![("effective", json!({"$ref": "#/components/schemas/Ratings"}))]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((
            Ratings::name().into(),
            <Ratings as utoipa::PartialSchema>::schema(),
        ));
    }
}

impl Stored for Asset {
    type Filter = AssetFilter;
    fn insert(
        (tenant, id, version): VersionKey,
        record: &Record<Self>,
        conn: &mut Conn,
    ) -> QueryResult<usize> {
        let own = &record.own;
        let row = (
            (
                a::tenant_id.eq(tenant),
                a::id.eq(id),
                a::version.eq(version),
            ),
            (
                a::asset_type.eq(own.asset_type),
                a::classification.eq(own.classification),
                a::lifecycle.eq(own.lifecycle),
            ),
            (
                a::confidentiality.eq(own.confidentiality),
                a::integrity.eq(own.integrity),
                a::availability.eq(own.availability),
            ),
            a::personal_data.eq(own.personal_data),
        );
        diesel::insert_into(a::table).values(row).execute(conn)
    }
    fn matching(filter: &AssetFilter, _: &Moments) -> Condition {
        let own = a::table.filter(
            a::tenant_id
                .eq(v::tenant_id)
                .and(a::id.eq(v::id))
                .and(a::version.eq(v::version)),
        );
        let own = own.filter(
            a::asset_type
                .eq_any(filter.asset_type.clone())
                .or(unasked(&filter.asset_type)),
        );
        let own = own.filter(
            a::classification
                .eq_any(filter.classification.clone())
                .or(unasked(&filter.classification)),
        );
        let own = own.filter(
            a::lifecycle
                .eq_any(filter.lifecycle.clone())
                .or(unasked(&filter.lifecycle)),
        );
        Box::new(exists(
            own.filter(
                a::personal_data
                    .eq_any(filter.personal_data.clone())
                    .or(unasked(&filter.personal_data)),
            ),
        ))
    }
}

/// Ratings, 1 to 5 each; null where nothing was rated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ratings {
    /// Harm if it is disclosed.
    #[schema(required, minimum = 1, maximum = 5)]
    pub confidentiality: Option<i32>,
    /// Harm if it is wrong.
    #[schema(required, minimum = 1, maximum = 5)]
    pub integrity: Option<i32>,
    /// Harm if it is gone.
    #[schema(required, minimum = 1, maximum = 5)]
    pub availability: Option<i32>,
}

impl Ratings {
    /// The higher of each.
    fn max(self, other: Self) -> Self {
        Ratings {
            confidentiality: self.confidentiality.max(other.confidentiality),
            integrity: self.integrity.max(other.integrity),
            availability: self.availability.max(other.availability),
        }
    }
}

/// What depends on these assets, or what they depend on: the links on the way, in one query
/// whatever the depth.
fn along(reader: &mut Reader<'_>, from: &[Id], back: bool) -> Result<Vec<(Id, Id)>> {
    let walk = Walk {
        tenant: reader.tenant(),
        relation: "depends_on_ids",
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
    let mut hidden = if reader.limited(Asset::KIND.name) {
        ids
    } else {
        BTreeSet::new()
    };
    for some in hidden.iter().copied().collect::<Vec<_>>().chunks(500) {
        let seen = v::table
            .filter(reader.seen(Asset::KIND.name))
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
        let rated = a::table.inner_join(
            v::table.on(v::tenant_id
                .eq(a::tenant_id)
                .and(v::id.eq(a::id))
                .and(v::version.eq(a::version))),
        );
        let rated = rated
            .filter(v::tenant_id.eq(tenant).and(among(v::id, some)))
            .filter(at(seq));
        type Found = (Id, bool, Option<i32>, Option<i32>, Option<i32>);
        let columns = (
            a::id,
            v::archived_at.is_not_null(),
            a::confidentiality,
            a::integrity,
            a::availability,
        );
        for (id, archived, confidentiality, integrity, availability) in
            rated.select(columns).load::<Found>(reader.conn())?
        {
            all.insert(
                id,
                (
                    Ratings {
                        confidentiality,
                        integrity,
                        availability,
                    },
                    archived,
                ),
            );
        }
    }
    Ok(all)
}

/// The highest of an asset's own ratings and, transitively, of what depends on it: one query more
/// where nothing depends on any of them.
fn effective(
    reader: &mut Reader<'_>,
    mut own: BTreeMap<Id, (Ratings, bool)>,
) -> Result<BTreeMap<Id, Ratings>> {
    let wanted: Vec<Id> = own.keys().copied().collect();
    let edges = along(reader, &wanted, true)?;
    let others: BTreeSet<Id> = edges
        .iter()
        .map(|(_, above)| *above)
        .filter(|id| !own.contains_key(id))
        .collect();
    own.extend(own_ratings(
        reader,
        &others.into_iter().collect::<Vec<_>>(),
    )?);
    Ok(rolled_up(&own, &edges, &wanted))
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

/// What an asset's loss would reach, and what it stands on.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetImpact {
    /// What depends on it, directly or through others, nearest first.
    #[schema(max_items = 100000)]
    pub dependents: Vec<Reached>,
    /// What it depends on, directly or through others, nearest first.
    #[schema(max_items = 100000)]
    pub dependencies: Vec<Reached>,
}
/// An asset on the way, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reached {
    /// The asset.
    pub id: Id,
    /// What it is.
    #[serde(flatten)]
    pub what: Ref,
    /// Steps to it.
    #[schema(minimum = 1)]
    pub distance: i32,
}

async fn impact(guard: Guard<Read<Asset>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (query, selector) = (ViewQuery::plain(&request)?, at.of(&Asset::KIND)?);
    guard
        .view(query.as_of, move |reader| {
            let start = reader.row::<Asset>(&selector, query.archived_too)?.id;
            let (dependents, dependencies) =
                (walk(reader, start, true)?, walk(reader, start, false)?);
            Answer::of(&AssetImpact {
                dependents,
                dependencies,
            })
        })
        .await
}

fn walk(reader: &mut Reader<'_>, start: Id, up: bool) -> Result<Vec<Reached>> {
    let distances = distances(&along(reader, &[start], up)?, start);
    let ids: Vec<Id> = distances
        .keys()
        .copied()
        .filter(|id| *id != start)
        .collect();
    let named = reader.refs(&ids)?;
    let mut reached: Vec<Reached> = named
        .into_iter()
        .map(|(id, what)| Reached {
            id,
            distance: distances.get(&id).copied().unwrap_or_default(),
            what,
        })
        .collect();
    reached.sort_by(|x, y| (x.distance, &x.what.code).cmp(&(y.distance, &y.what.code)));
    Ok(reached)
}

/// Mounts what is particular to assets.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.get("/v1/assets/{id}/impact", impact)
        .id("getAssetImpact")
        .says(
            "Walk the dependencies of an asset",
            "Everything that depends on it, and everything \
            that it depends on.",
        )
        .past()
        .answers::<AssetImpact>("Both ways.");
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
