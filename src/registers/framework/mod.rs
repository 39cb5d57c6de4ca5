//! Frameworks (ISO/IEC 27001:2022 6.1.3 c): catalogues of requirements and the mappings between
//! them. The built-in ones are read only, the same for everyone and for all time; the
//! organization's own are imported.
pub mod catalogue_list;
pub mod coverage;
pub mod csv_rows;
pub mod enter;
pub mod import;
pub mod imported;
pub mod mappings;
pub mod own;
pub mod requirements;
pub mod revisions;

use crate::access::policy::FRAMEWORK;
use crate::core::catalogue::{self, FRAMEWORKS, Framework};
use crate::core::{Code, Instant, Problem, Result, text::folded};
use crate::http::{Answer, Guard, View, ViewQuery, Viewed};
use crate::records::Reader;
use crate::records::frameworks::{self, Head};
use crate::registers::framework::catalogue_list as shelf;
use crate::registers::framework::catalogue_list::seen;
use crate::registers::pages::{Walk, begins, page};
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
        if !problem.is(Code::NotFound) {
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
            let own = own.iter().filter(|head| seen(reader.caller(), &head.slug));
            let built_in = FRAMEWORKS
                .iter()
                .filter(|one| seen(reader.caller(), &one.slug));
            let built_in = built_in.map(|framework| FrameworkShown::built_in(framework));
            let mut all: Vec<FrameworkShown> =
                built_in.chain(own.map(FrameworkShown::own)).collect();
            let texts = |one: &FrameworkShown| {
                [&*one.slug, &one.title, &one.edition, &one.publisher].join(" ")
            };
            all.retain(|one| begins(&texts(one), &words));
            if let Some((member, backwards)) = order {
                all.sort_by_cached_key(|one| (folded(member(one)), one.slug.clone()));
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
    requirements::mount(api);
    mappings::mount(api);
    coverage::mount(api);
    import::mount(api);
    revisions::mount(api);
}
