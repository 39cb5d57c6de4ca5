//! The mappings of a framework to others.
use crate::core::catalogue::{self, Mapping, MappingKind, Relationship};
use crate::core::{Problem, Result};
use crate::http::{Answer, Api, Guard, View, ViewQuery};
use crate::registers::framework::Frameworks;
use crate::registers::framework::catalogue_list::Shelf;
use crate::registers::pages::{Walk, any, page};
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A pair of requirements of two frameworks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RequirementMapping {
    /// The requirement that it leads from.
    #[schema(max_length = 120)]
    pub source: String,
    /// The requirement that it leads to.
    #[schema(max_length = 120)]
    pub target: String,
    /// How they overlap, seen from the source.
    pub relationship: Relationship,
    /// `published`: the pair stands in the publication named; `composed`: it is a suggestion.
    pub kind: MappingKind,
    /// Where it stands, or what it was composed of.
    #[schema(max_length = 300)]
    pub provenance: String,
    /// The organization's own framework that brought it; null where it is built in.
    #[schema(required, max_length = 64)]
    pub imported_with: Option<String>,
}
impl RequirementMapping {
    /// As it is answered; `by` is the own framework that brought it.
    pub fn of(by: Option<&str>, pair: Mapping<'_>) -> Self {
        Self {
            source: pair.source.to_owned(),
            target: pair.target.to_owned(),
            relationship: pair.relationship,
            kind: pair.kind,
            provenance: pair.provenance.to_owned(),
            imported_with: by.map(str::to_owned),
        }
    }
}
page! {
    /// Mappings of a framework.
    RequirementMappingPage of RequirementMapping:
        "In the order of the sources, then of the targets."
}

/// What can be asked of `listMappings`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MappingsQuery {
    /// Only with this framework. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 64, example = "nist-csf-2.0")]
    target: Vec<String>,
    /// Only of this requirement, on either side. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 120)]
    requirement: Vec<String>,
    /// Only of this relationship. Repeated: any of them.
    #[param(
        value_type = Option<String>,
        max_length = 10,
        pattern = "^(equal|subset|superset|intersects)$"
    )]
    relationship: Vec<Relationship>,
    /// `published` or `composed`.
    #[param(value_type = Option<String>, pattern = "^(published|composed)$", max_length = 10)]
    kind: Vec<MappingKind>,
}

async fn mappings(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery<MappingsQuery>,
) -> Result<Answer> {
    let walk = Walk::read(&query)?;
    let asked = query.own;
    guard
        .view(query.as_of, move |reader| {
            let shelf = Shelf::open(reader)?;
            shelf.framework(&slug).ok_or_else(Problem::not_found)?;
            let target = |id: &str| {
                let parts = catalogue::parts(id);
                parts.map(|(slug, _)| slug.to_owned()).unwrap_or_default()
            };
            let places = shelf.places();
            let place = |id: &str| shelf.requirement(id).map(|(_, place, _)| place);
            let fits = |(_, pair): &(Option<&str>, Mapping<'_>)| {
                any(&asked.target, |slug| target(pair.target) == *slug)
                    && any(&asked.requirement, |id| {
                        [pair.source, pair.target].contains(&&**id)
                    })
                    && any(&asked.relationship, |one| pair.relationship == *one)
                    && any(&asked.kind, |one| pair.kind == *one)
            };
            let mut all: Vec<_> = shelf.mappings(&slug).filter(fits).collect();
            all.sort_by_cached_key(|(by, pair)| {
                let at = places.iter().position(|slug| *slug == target(pair.target));
                (
                    place(pair.source),
                    at,
                    place(pair.target),
                    by.map(str::to_owned),
                )
            });
            let key = |(by, pair): &(Option<&str>, Mapping<'_>)| {
                format!("{} {} {}", pair.source, pair.target, by.unwrap_or_default())
            };
            let page = walk.page(all.into_iter(), key)?;
            RequirementMappingPage::answer(page.map(|(by, pair)| RequirementMapping::of(by, pair)))
        })
        .await
}

/// Mounts them.
pub fn mount(api: &mut Api<'_>) {
    api.get("/v1/frameworks/{slug}/mappings", mappings)
        .id("listMappings")
        .says(
            "List the mappings of a framework",
            "Told from its side, whichever side the source \
            tells. `composed` pairs are suggestions: no publication has them.",
        )
        .place("slug", "The framework.", "iso-27001-2022")
        .past()
        .query::<MappingsQuery>()
        .paged()
        .answers::<RequirementMappingPage>("The mappings.");
}
