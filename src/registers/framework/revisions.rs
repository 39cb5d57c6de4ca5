//! The revisions of imported frameworks: each as it was imported, what is new, changed and gone
//! between two; and the end of one.
use crate::core::catalogue::Requirement;
use crate::core::{Code, Problem, Result, TenantId};
use crate::db::dialect::same_version;
use crate::db::schema::{
    applicability as a, gap_assessments as g, requirement_links as rl, versions as v,
};
use crate::db::{Conn, dialect::OPEN};
use crate::http::{Answer, Archive, Guard, View, ViewQuery};
use crate::records::frameworks::{self, Head, Own, OwnMapping};
use crate::records::{IfMatch, Kinds, Reader, Selector};
use crate::registers::framework::FrameworkShown;
use crate::registers::framework::Frameworks;
use crate::registers::framework::catalogue_list as shelf;
use crate::registers::framework::imported::ImportedMapping;
use crate::registers::framework::own::{ImportedFramework, read_only};
use actix_web::web::Path;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The revisions of a framework.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkRevisions {
    /// Newest first.
    #[schema(max_items = 10000)]
    pub data: Vec<FrameworkShown>,
}

/// A framework as it was imported.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkRevision {
    /// What it was called.
    pub framework: FrameworkShown,
    /// In their order.
    #[schema(max_items = 5000)]
    pub requirements: Vec<Requirement>,
    /// As they were imported.
    #[schema(max_items = 20000)]
    pub mappings: Vec<ImportedMapping>,
}

/// A requirement that says something else.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedRequirement {
    /// As it was.
    pub from: Requirement,
    /// As it is.
    pub to: Requirement,
}
/// What differs between two revisions of a framework.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkDifference {
    /// The framework.
    #[schema(max_length = 64)]
    pub slug: String,
    /// The earlier revision.
    #[schema(minimum = 1)]
    pub from: i32,
    /// The later one.
    #[schema(minimum = 1)]
    pub to: i32,
    /// Requirements that only the later one has.
    #[schema(max_items = 5000)]
    pub new: Vec<Requirement>,
    /// Requirements that both have, and that differ.
    #[schema(max_items = 5000)]
    pub changed: Vec<ChangedRequirement>,
    /// Requirements that only the earlier one has; what refers to them stays.
    #[schema(max_items = 5000)]
    pub gone: Vec<Requirement>,
    /// Mappings that only the later one has, so or with another relationship, kind or provenance.
    #[schema(max_items = 20000)]
    pub new_mappings: Vec<ImportedMapping>,
    /// Mappings that only the earlier one has.
    #[schema(max_items = 20000)]
    pub gone_mappings: Vec<ImportedMapping>,
}

fn told(mapping: &OwnMapping) -> ImportedMapping {
    let mapping = mapping.clone();
    ImportedMapping {
        source: mapping.source,
        target: mapping.target,
        relationship: mapping.relationship,
        kind: Some(mapping.kind),
        provenance: Some(mapping.provenance),
    }
}

/// The revisions that this caller sees, newest first.
fn revisions(reader: &mut Reader<'_>, slug: &str) -> Result<Vec<Head>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let own = shelf::own(reader, slug)?;
    frameworks::revisions(reader.conn(), tenant, seq, own.head.id)
}
fn whole(reader: &mut Reader<'_>, heads: &[Head], revision: i32) -> Result<Arc<Own>> {
    let head = heads
        .iter()
        .find(|head| head.revision == revision)
        .ok_or_else(Problem::not_found)?;
    let tenant = reader.tenant();
    frameworks::whole(reader.conn(), tenant, head.clone())
}

async fn list(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery,
) -> Result<Answer> {
    guard
        .view(query.as_of, move |reader| {
            let data = revisions(reader, &slug)?
                .iter()
                .map(FrameworkShown::own)
                .collect();
            Answer::of(&FrameworkRevisions { data })
        })
        .await
}

async fn get(
    guard: Guard<View<Frameworks>>,
    place: Path<(String, String)>,
    query: ViewQuery,
) -> Result<Answer> {
    let (slug, n) = place.into_inner();
    let wanted: i32 = n.parse().map_err(|_| Problem::not_found())?;
    guard
        .view(query.as_of, move |reader| {
            let heads = revisions(reader, &slug)?;
            let own = whole(reader, &heads, wanted)?;
            let (requirements, mappings) = (
                own.framework.requirements().to_vec(),
                own.mappings.iter().map(told).collect(),
            );
            Answer::of(&FrameworkRevision {
                framework: FrameworkShown::own(&own.head),
                requirements,
                mappings,
            })
        })
        .await
}

/// What can be asked of `compareFrameworkRevisions`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FrameworkRevisionsQuery {
    /// The earlier revision.
    #[param(minimum = 1)]
    from: Option<i32>,
    /// The later revision.
    #[param(minimum = 1)]
    to: Option<i32>,
}

async fn difference(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery<FrameworkRevisionsQuery>,
) -> Result<Answer> {
    let FrameworkRevisionsQuery { from, to } = query.own;
    guard
        .view(query.as_of, move |reader| {
            let heads = revisions(reader, &slug)?;
            let newest = heads.first().map_or(1, |head| head.revision);
            let to = to.unwrap_or(newest);
            let from = from.unwrap_or_else(|| (to - 1).max(1));
            let (before, after) = (whole(reader, &heads, from)?, whole(reader, &heads, to)?);
            Answer::of(&compared(&before, &after))
        })
        .await
}

/// Pure: what differs.
fn compared(before: &Own, after: &Own) -> FrameworkDifference {
    let (old, new) = (
        before.framework.requirements(),
        after.framework.requirements(),
    );
    let known: HashMap<&str, &Requirement> = old.iter().map(|one| (one.id.as_str(), one)).collect();
    let standing: BTreeSet<&str> = new.iter().map(|one| one.id.as_str()).collect();
    let changed = |to: &Requirement| {
        let from = known.get(to.id.as_str()).filter(|from| **from != to)?;
        Some(ChangedRequirement {
            from: (*from).clone(),
            to: to.clone(),
        })
    };
    let fresh = |one: &&Requirement| !known.contains_key(one.id.as_str());
    let gone = |one: &&Requirement| !standing.contains(one.id.as_str());
    let only = |these: &[OwnMapping], those: &[OwnMapping]| {
        let those: HashSet<&OwnMapping> = those.iter().collect();
        these
            .iter()
            .filter(|mapping| !those.contains(mapping))
            .map(told)
            .collect()
    };
    FrameworkDifference {
        slug: after.head.slug.clone(),
        from: before.head.revision,
        to: after.head.revision,
        new: new.iter().filter(fresh).cloned().collect(),
        changed: new.iter().filter_map(changed).collect(),
        gone: old.iter().filter(gone).cloned().collect(),
        new_mappings: only(&after.mappings, &before.mappings),
        gone_mappings: only(&before.mappings, &after.mappings),
    }
}

async fn archive(
    guard: Guard<Archive<ImportedFramework>>,
    slug: Path<String>,
    known: IfMatch,
) -> Result<Answer> {
    read_only(&slug)?;
    guard
        .write_raw(&[], move |tx| {
            let own = shelf::own(&mut tx.reader(), &slug)?;
            let stored = tx.load::<ImportedFramework>(&Selector::Id(own.head.id), &known)?;
            let (kinds, tenant) = (tx.kinds(), tx.caller().tenant);
            let needing = needing(tx.conn(), kinds, tenant, &slug)?;
            if !needing.is_empty() {
                return Err(Problem::new(
                    Code::InUse,
                    "Records refer to its requirements. Remove these references first.",
                )
                .needed_by(needing));
            }
            let gone = tx.archive(stored)?;
            Ok(tx.shown(gone)?.map(|shown| Answer::gone(&shown)))
        })
        .await
}

/// The codes of live records that refer to a framework; a hundred of them.
fn needing(conn: &mut Conn, kinds: Kinds, tenant: TenantId, slug: &str) -> Result<Vec<String>> {
    let of_it = format!("{slug}:%");
    let live = || {
        v::tenant_id
            .eq(tenant)
            .and(v::to_seq.eq(OPEN))
            .and(v::archived_at.is_null())
    };
    let cited = v::table
        .inner_join(rl::table.on(rl::tenant_id.eq(v::tenant_id).and(rl::from_id.eq(v::id))))
        .filter(live());
    let cited = cited.filter(rl::to_seq.eq(OPEN).and(rl::requirement.like(of_it.clone())));
    let cited = cited.select((v::kind, v::number)).distinct();
    let mut all: Vec<(String, i64)> = cited.order((v::kind, v::number)).limit(100).load(conn)?;
    let decided = v::table.inner_join(same_version!(a, v)).filter(live());
    let decided = decided
        .filter(a::requirement.like(of_it))
        .select((v::kind, v::number));
    all.extend(
        decided
            .order(v::number)
            .limit(100)
            .load::<(String, i64)>(conn)?,
    );
    let assessed = v::table.inner_join(same_version!(g, v)).filter(live());
    let assessed = assessed
        .filter(g::framework.eq(slug))
        .select((v::kind, v::number));
    all.extend(
        assessed
            .order(v::number)
            .limit(100)
            .load::<(String, i64)>(conn)?,
    );
    all.truncate(100);
    Ok(all
        .into_iter()
        .map(|(kind, number)| kinds.code(&kind, number))
        .collect())
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/frameworks/{slug}/revisions", list)
        .id("listFrameworkRevisions")
        .says(
            "List the revisions of a framework",
            "Of one of the organization's own, newest \
            first: each import is one.",
        )
        .place("slug", "A framework of the organization's own.", "")
        .past()
        .answers::<FrameworkRevisions>("The revisions.");
    api.get("/v1/frameworks/{slug}/revisions/{n}", get)
        .id("getFrameworkRevision")
        .says(
            "Get a revision of a framework",
            "Whole, as it was imported.",
        )
        .place("slug", "A framework of the organization's own.", "")
        .past()
        .answers::<FrameworkRevision>("The revision.");
    api.get("/v1/frameworks/{slug}/diff", difference)
        .id("compareFrameworkRevisions")
        .says(
            "Compare two revisions of a framework",
            "What is new, what has changed, and what is \
            gone. Without `from` and `to`: the newest with the one before it.",
        )
        .place("slug", "A framework of the organization's own.", "")
        .past()
        .query::<FrameworkRevisionsQuery>()
        .answers::<FrameworkDifference>("The difference.");
    api.delete("/v1/frameworks/{slug}", archive)
        .id("deleteFramework")
        .says(
            "Archive a framework",
            "Takes a framework of the organization's own out of use. One \
            that records refer to stays (409 names them).",
        )
        .place("slug", "A framework of the organization's own.", "")
        .versioned("IfMatch")
        .ends("Archived.");
}
