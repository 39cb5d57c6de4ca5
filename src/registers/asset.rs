//! Assets: what the ISMS protects (ISO/IEC 27001:2022 A.5.9), rated for confidentiality, integrity
//! and availability, and what depends on what. An asset is worth at least as much as what depends
//! on it: the effective ratings, and the walk of what an outage would reach.
mod passed_on;
mod raised;
mod ratings;

use crate::core::{Id, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::walk::distances;
use crate::http::{Answer, Guard, Read, RecordId, ViewQuery};
use crate::records::named::RecordRef;
use crate::records::reader::Ref;
use crate::records::{
    By, Kind, Limit, NoState, PERIOD, Part, Reader, Record, Relation, Resource, Row, SCOPED,
    Writing,
};
use passed_on::Passed;
pub use passed_on::Ratings;
use raised::{pass_on, refill};
use ratings::{along, effective};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};
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
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// Which type of asset.
    pub asset_type: AssetType,
    /// How widely it may be known.
    pub classification: Classification,
    /// Harm if it is disclosed, 1 to 5.
    #[schema(minimum = 1, maximum = 5)]
    pub confidentiality: Option<i32>,
    /// Harm if it is wrong, 1 to 5.
    #[schema(minimum = 1, maximum = 5)]
    pub integrity: Option<i32>,
    /// Harm if it is gone, 1 to 5.
    #[schema(minimum = 1, maximum = 5)]
    pub availability: Option<i32>,
    /// Where it is.
    #[schema(max_length = 200)]
    pub location: Option<String>,
    /// Does it hold personal data?
    #[serde(default)]
    pub personal_data: bool,
    /// Where it is in its life.
    pub lifecycle: Option<Lifecycle>,
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
            PERIOD,
        ],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = NoState;
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
        let text = |ratings: Ratings| {
            serde_json::to_string(&ratings)
                .map(|text| format!("\"effective\":{text}"))
                .map_err(Problem::internal)
        };
        effective(reader, rows)?.into_iter().map(text).collect()
    }
    fn entered(
        tx: &mut Writing<'_>,
        seq: i64,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
    ) -> Result<()> {
        let (old, new) = (before.map(passed), passed(after));
        if !Passed::matters(old.as_ref(), &new) {
            return Ok(());
        }
        let key = (tx.caller().tenant, after.spine.id, seq);
        pass_on(tx.conn(), key, old.as_ref(), &new)
    }
    fn refilled(conn: &mut Conn, tenant: TenantId) -> Result<()> {
        refill(conn, tenant)
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![("effective", json!({"$ref": "#/components/schemas/Ratings"}))]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((Ratings::name().into(), Ratings::schema()));
    }
}

crate::columns! {
    table assets of Asset {
        asset_type: Text,
        classification: Text,
        confidentiality: Nullable<Integer>,
        integrity: Nullable<Integer>,
        availability: Nullable<Integer>,
        personal_data: Bool,
        lifecycle: Nullable<Text>,
    }
    /// What a list of assets can be filtered by.
    pub struct AssetFilter {
        /// Any of these types.
        #[param(max_items = 10)]
        asset_type: Vec<AssetType> => any(asset_type),
        /// Any of these classifications.
        #[param(max_items = 10)]
        classification: Vec<Classification> => any(classification),
        /// Any of these stages of life.
        #[param(max_items = 10)]
        lifecycle: Vec<Lifecycle> => any(lifecycle),
        /// With personal data, or without.
        #[param(max_items = 2)]
        personal_data: Vec<bool> => any(personal_data),
    }
}

/// What an asset passes on to those that it depends on.
fn passed(record: &Record<Asset>) -> Passed<'_> {
    let own = Ratings {
        confidentiality: record.own.confidentiality,
        integrity: record.own.integrity,
        availability: record.own.availability,
    };
    Passed {
        own: Passed::counted(own, record.spine.archived_at.is_some()),
        on: record.links.many("depends_on_ids"),
    }
}

/// What an asset's loss would reach, and what it stands on.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetImpact {
    /// What depends on it, directly or through others, nearest first.
    #[schema(max_items = 100000)]
    pub dependents: Vec<ImpactNode>,
    /// What it depends on, directly or through others, nearest first.
    #[schema(max_items = 100000)]
    pub dependencies: Vec<ImpactNode>,
}
/// An asset on the way, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImpactNode {
    /// The asset.
    pub id: Id,
    /// What it is.
    #[serde(flatten)]
    pub what: Ref,
    /// Steps to it.
    #[schema(minimum = 1)]
    pub distance: i32,
}

async fn impact(guard: Guard<Read<Asset>>, at: RecordId, query: ViewQuery) -> Result<Answer> {
    let selector = at.of(&Asset::KIND)?;
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

fn walk(reader: &mut Reader<'_>, start: Id, up: bool) -> Result<Vec<ImpactNode>> {
    let distances = distances(&along(reader, &[start], up)?, start);
    let ids: Vec<Id> = distances
        .keys()
        .copied()
        .filter(|id| *id != start)
        .collect();
    let named = reader.refs(&ids)?;
    let mut reached: Vec<ImpactNode> = named
        .into_iter()
        .map(|(id, what)| ImpactNode {
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
