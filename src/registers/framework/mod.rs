//! Frameworks (ISO/IEC 27001:2022 6.1.3 c): catalogues of requirements and the mappings between
//! them. The built-in ones are read only, the same for everyone and for all time; the
//! organization's own are imported.
pub mod catalogue_list;
pub mod coverage;
pub mod csv_rows;
pub mod import;
pub mod revisions;

use crate::access::policy::FRAMEWORK;
use crate::core::catalogue::{self, FRAMEWORKS, Framework, MappingKind, Relationship, Requirement};
use crate::core::{Instant, Problem, Result};
use crate::http::{Answer, Guard, View, ViewQuery, Viewed};
use crate::records::Reader;
use crate::records::frameworks::{self, Head};
use crate::registers::framework::catalogue_list as shelf;
use crate::registers::framework::catalogue_list::{Shelf, seen};
use crate::registers::pages::{Walk, any, begins, page};
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A framework.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Framework)]
pub struct FrameworkShown {
    /// Its readable id.
    #[schema(max_length = 64)]
    pub slug: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub title: String,
    /// Which edition.
    #[schema(max_length = 100)]
    pub edition: String,
    /// Who publishes it.
    #[schema(max_length = 100)]
    pub publisher: String,
    /// Does it come with the product?
    pub built_in: bool,
    /// How many requirements it has, of every kind.
    #[schema(minimum = 0)]
    pub requirement_count: i64,
    /// Which import it is; null of a built-in one.
    #[schema(required, minimum = 1)]
    pub revision: Option<i32>,
    /// Grows with each import; null of a built-in one.
    #[schema(required, minimum = 1)]
    pub version: Option<i32>,
    /// When it was imported; null of a built-in one.
    #[schema(required)]
    pub imported_at: Option<Instant>,
}
/// The permission to read catalogues.
pub struct Frameworks;
impl Viewed for Frameworks {
    const NAME: &'static str = FRAMEWORK;
}

page! {
    /// Frameworks.
    FrameworkPage of FrameworkShown: "The built-in ones, then the organization's own."
}
page! {
    /// Requirements of a framework.
    RequirementPage of Requirement: "In natural order."
}
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
    pub fn of(by: Option<&str>, pair: catalogue::Mapping<'_>) -> Self {
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
    RequirementMappingPage of RequirementMapping: "In the order of the sources, then of the targets."
}

impl FrameworkShown {
    fn built_in(framework: &Framework) -> Self {
        FrameworkShown {
            slug: framework.slug.clone(),
            title: framework.title.clone(),
            edition: framework.edition.clone(),
            publisher: framework.publisher.clone(),
            built_in: true,
            requirement_count: framework.requirements().len() as i64,
            revision: None,
            version: None,
            imported_at: None,
        }
    }
    /// Of an imported one.
    pub fn own(head: &Head) -> Self {
        let head = head.clone();
        FrameworkShown {
            slug: head.slug,
            title: head.title,
            edition: head.edition,
            publisher: head.publisher,
            built_in: false,
            requirement_count: i64::from(head.requirement_count),
            revision: Some(head.revision),
            version: Some(head.version),
            imported_at: Some(head.imported_at),
        }
    }
}

/// The framework that a view was asked for; ISO/IEC 27001:2022 when none was.
pub fn asked(reader: &mut Reader<'_>, slug: Option<&str>) -> Result<Arc<Framework>> {
    shelf::framework(reader, slug.unwrap_or(catalogue::ISO_27001)).map_err(|problem| {
        if !problem.is(crate::core::Code::NotFound) {
            return problem;
        }
        let said = problem.said();
        Problem::parameter("framework", said.detail).allowing(said.allowed)
    })
}

/// What can be asked of `listFrameworks`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FrameworksQuery {
    /// Words that begin like this, in slug, title, edition and publisher.
    #[param(max_length = 200, example = "27001")]
    q: Option<String>,
    /// `slug`, `title` (`name` is the same), `edition` or `publisher`; with a minus, backwards.
    #[param(max_length = 64, pattern = "^-?(slug|title|name|edition|publisher)$")]
    sort: Option<String>,
}

async fn list(guard: Guard<View<Frameworks>>, query: ViewQuery<FrameworksQuery>) -> Result<Answer> {
    let walk = Walk::read(&query)?;
    let asked = query.own;
    let order = asked.sort.as_deref().map(order).transpose()?;
    let words = asked.q.unwrap_or_default();
    guard
        .view(query.as_of, move |reader| {
            let (tenant, seq) = (reader.tenant(), reader.moment.seq);
            let own = frameworks::heads(reader.conn(), tenant, seq)?;
            let own = own
                .iter()
                .filter(|head| seen(reader.caller(), &head.slug))
                .map(FrameworkShown::own);
            let built_in = FRAMEWORKS
                .iter()
                .filter(|framework| seen(reader.caller(), &framework.slug));
            let mut all: Vec<FrameworkShown> = built_in
                .map(|framework| FrameworkShown::built_in(framework))
                .chain(own)
                .collect();
            let texts = |one: &FrameworkShown| {
                format!(
                    "{} {} {} {}",
                    one.slug, one.title, one.edition, one.publisher
                )
            };
            all.retain(|one| begins(&texts(one), &words));
            if let Some((member, backwards)) = order {
                all.sort_by_cached_key(|one| {
                    (crate::core::text::folded(member(one)), one.slug.clone())
                });
                if backwards {
                    all.reverse();
                }
            }
            FrameworkPage::answer(walk.page(all.into_iter(), |one| one.slug.clone())?)
        })
        .await
}

/// What a list is sorted by, and whether backwards.
type Order = (fn(&FrameworkShown) -> &str, bool);
fn order(asked: &str) -> Result<Order> {
    let (word, backwards) = asked
        .strip_prefix('-')
        .map_or((asked, false), |word| (word, true));
    let member: fn(&FrameworkShown) -> &str = match word {
        "slug" => |one| &one.slug,
        "title" | "name" => |one| &one.title,
        "edition" => |one| &one.edition,
        "publisher" => |one| &one.publisher,
        _ => {
            let words = ["slug", "title", "edition", "publisher"];
            let detail = format!(
                "must be one of {}, with a minus for descending order",
                words.join(", ")
            );
            return Err(Problem::parameter("sort", detail).allowing(words));
        }
    };
    Ok((member, backwards))
}

async fn get(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery,
) -> Result<Answer> {
    guard
        .view(query.as_of, move |reader| {
            match catalogue::framework(&slug).filter(|_| seen(reader.caller(), &slug)) {
                Some(framework) => Answer::of(&FrameworkShown::built_in(framework)),
                None => Answer::of(&FrameworkShown::own(&shelf::own(reader, &slug)?.head)),
            }
        })
        .await
}

/// What can be asked of `listRequirements`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RequirementsQuery {
    /// Only of this kind. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 64)]
    kind: Vec<String>,
    /// Only right under this one. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 64)]
    parent_ref: Vec<String>,
    /// Only what is asked for by itself, or only what is not.
    assessable: Option<bool>,
    /// Only with this attribute, as `name:value`. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 200, example = "baselines:low")]
    attribute: Vec<String>,
    /// Words that begin like this, in reference and title; a reference of ISO/IEC 27001:2013 finds
    /// what has become of it.
    #[param(max_length = 200, example = "A.9.2.1")]
    q: Option<String>,
}

async fn requirements(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery<RequirementsQuery>,
) -> Result<Answer> {
    let walk = Walk::read(&query)?;
    let asked = query.own;
    guard
        .view(query.as_of, move |reader| {
            let framework = shelf::framework(reader, &slug)?;
            let fits = |one: &&Requirement| {
                any(&asked.kind, |kind| one.kind == *kind)
                    && any(&asked.parent_ref, |parent| {
                        one.parent_ref.as_ref() == Some(parent)
                    })
                    && any(&asked.attribute, |asked| {
                        asked
                            .split_once(':')
                            .is_some_and(|(name, value)| has(one, name, value))
                    })
                    && asked
                        .assessable
                        .is_none_or(|wanted| one.assessable == wanted)
                    && said(one, asked.q.as_deref().unwrap_or_default())
            };
            let all = framework.requirements().iter().filter(fits);
            let page = walk.page(all, |one| one.r#ref.clone())?;
            RequirementPage::answer(page.map(Requirement::clone))
        })
        .await
}

/// Pure: has it an attribute of that value, or one with it in its list?
fn has(requirement: &Requirement, name: &str, value: &str) -> bool {
    let is = |found: &serde_json::Value| {
        found.as_str().map_or_else(
            || serde_json::from_str(value).is_ok_and(|asked: serde_json::Value| *found == asked),
            |text| text == value,
        )
    };
    requirement.attributes.get(name).is_some_and(|found| {
        found
            .as_array()
            .map_or_else(|| is(found), |all| all.iter().any(is))
    })
}

/// Pure: do all of these words begin one of its own, or one of its references of 2013?
fn said(requirement: &Requirement, words: &str) -> bool {
    let before = requirement
        .attributes
        .get("iso_27001_2013")
        .and_then(|all| all.as_array())
        .into_iter()
        .flatten();
    let before: Vec<&str> = before.filter_map(|one| one.as_str()).collect();
    begins(
        &format!(
            "{} {} {}",
            requirement.r#ref,
            requirement.title,
            before.join(" ")
        ),
        words,
    )
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
                catalogue::parts(id)
                    .map(|(slug, _)| slug.to_owned())
                    .unwrap_or_default()
            };
            let places = shelf.places();
            let place = |id: &str| shelf.requirement(id).map(|(_, place, _)| place);
            let mut all: Vec<_> = shelf
                .mappings(&slug)
                .filter(|(_, pair)| {
                    any(&asked.target, |slug| target(pair.target) == *slug)
                        && any(&asked.requirement, |id| {
                            pair.source == id || pair.target == id
                        })
                        && any(&asked.relationship, |one| pair.relationship == *one)
                        && any(&asked.kind, |one| pair.kind == *one)
                })
                .collect();
            all.sort_by_cached_key(|(by, pair)| {
                let at = places.iter().position(|slug| *slug == target(pair.target));
                (
                    place(pair.source),
                    at,
                    place(pair.target),
                    by.map(str::to_owned),
                )
            });
            let key = |(by, pair): &(Option<&str>, catalogue::Mapping<'_>)| {
                format!("{} {} {}", pair.source, pair.target, by.unwrap_or_default())
            };
            let page = walk.page(all.into_iter(), key)?;
            RequirementMappingPage::answer(page.map(|(by, pair)| RequirementMapping::of(by, pair)))
        })
        .await
}

/// Mounts the catalogues.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/frameworks", list)
        .id("listFrameworks")
        .says(
            "List frameworks",
            "The built-in catalogues, then the organization's own, unless \
            another order is asked for. Their slugs are what requirements begin with.",
        )
        .past()
        .query::<FrameworksQuery>()
        .paged()
        .answers::<FrameworkPage>("The frameworks.");
    api.get("/v1/frameworks/{slug}", get)
        .id("getFramework")
        .says("Get a framework", "By its slug.")
        .place("slug", "The framework.", "iso-27001-2022")
        .past()
        .answers::<FrameworkShown>("The framework.");
    api.get("/v1/frameworks/{slug}/requirements", requirements)
        .id("listRequirements")
        .says(
            "List the requirements of a framework",
            "In natural order. Those of ISO/IEC \
            27001:2022 are found by their numbers of 2013, too.",
        )
        .place("slug", "The framework.", "iso-27001-2022")
        .past()
        .query::<RequirementsQuery>()
        .paged()
        .answers::<RequirementPage>("The requirements.");
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
    coverage::mount(api);
    import::mount(api);
    revisions::mount(api);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_old_references_are_found() {
        let Some(found) = catalogue::requirement("iso-27001-2022:A.5.16") else {
            panic!("no A.5.16")
        };
        for words in ["identity", "a.5.16", "IDENT manag", "A.9.2.1", "a.9.2", ""] {
            assert!(said(found, words), "{words}");
        }
        assert!(!said(found, "A.9.2.2") && !said(found, "entity") && !said(found, "identity zzz"));
        assert!(
            has(found, "theme", "organizational")
                && has(found, "control_types", "preventive")
                && has(found, "new_in_2022", "false")
        );
        assert!(!has(found, "theme", "people") && !has(found, "nothing", ""));
    }
}
