//! Frameworks (ISO/IEC 27001:2022 6.1.3 c): the built-in catalogues of requirements, read only; the same for everyone and for all time.
use crate::core::catalogue::{self, Framework};
use crate::core::{Invalid, Problem, Result};
use crate::http::describe::{Refusals, Unchanged};
use crate::http::{Answer, Frameworks, Guard, Permission, Then, View};
use crate::records::history;
use actix_web::{HttpRequest, get, web::Path};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A framework.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Framework)]
pub struct FrameworkShown {
    /// Its readable id.
    #[schema(max_length = 64)]
    pub slug: &'static str,
    /// What it is called.
    #[schema(max_length = 200)]
    pub title: &'static str,
    /// Which edition.
    #[schema(max_length = 100)]
    pub edition: &'static str,
    /// Who publishes it.
    #[schema(max_length = 100)]
    pub publisher: &'static str,
    /// Does it come with the product?
    pub built_in: bool,
    /// How many requirements it has, of every kind.
    #[schema(minimum = 0)]
    pub requirement_count: i64,
}
/// Frameworks.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkPage {
    /// The frameworks.
    #[schema(max_items = 200)]
    pub data: Vec<FrameworkShown>,
    /// Always null: there is one page.
    #[schema(required, max_length = 2000)]
    pub next_cursor: Option<String>,
    /// Always false.
    pub has_more: bool,
}
/// A requirement of a framework.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Requirement)]
pub struct RequirementShown {
    /// Its readable id.
    #[schema(max_length = 120)]
    pub id: &'static str,
    /// Its reference in the framework.
    #[schema(max_length = 40)]
    pub r#ref: &'static str,
    /// Its short title, or its meaning in our own words.
    #[schema(max_length = 300)]
    pub title: &'static str,
    /// Where it stands in the tree.
    #[schema(required, max_length = 40)]
    pub parent_ref: Option<&'static str>,
    /// `clause`, `subclause`, `point`, `theme` or `control`.
    #[schema(max_length = 40)]
    pub kind: &'static str,
    /// What else is known of it.
    #[schema(value_type = RequirementAttributes)]
    pub attributes: &'static Map<String, Value>,
}
/// What is known of a requirement, by name.
pub struct RequirementAttributes;
impl utoipa::PartialSchema for RequirementAttributes {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{ObjectBuilder, Ref};
        let all = ObjectBuilder::new().additional_properties(Some(Ref::from_schema_name("AnyValue"))).max_properties(Some(50));
        all.description(Some("What is known of a requirement, by name.")).into()
    }
}
impl ToSchema for RequirementAttributes {}
/// Requirements of a framework.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequirementPage {
    /// In natural order.
    #[schema(max_items = 200)]
    pub data: Vec<RequirementShown>,
    /// Ask with it for the next page; null on the last.
    #[schema(required, max_length = 2000)]
    pub next_cursor: Option<String>,
    /// Is there a next page?
    pub has_more: bool,
}

impl FrameworkShown {
    fn of(framework: &Framework) -> Self {
        FrameworkShown {
            slug: framework.slug,
            title: framework.title,
            edition: framework.edition,
            publisher: framework.publisher,
            built_in: true,
            requirement_count: framework.requirements.len() as i64,
        }
    }
}

/// May this caller see it?
fn seen<P: Permission>(guard: &Guard<P>, framework: &Framework) -> bool {
    let limits = &guard.caller().limits.framework_slugs;
    limits.is_empty() || limits.iter().any(|slug| slug == framework.slug)
}

/// The framework that a view was asked for; ISO/IEC 27001:2022 when none was.
pub fn asked<P: Permission>(guard: &Guard<P>, slug: Option<&str>) -> Result<&'static Framework> {
    let slug = slug.unwrap_or(catalogue::ISO_27001);
    let unknown = || Problem::parameters(vec![Invalid::query("framework", "invalid_parameter", "there is no such framework")]);
    catalogue::framework(slug).filter(|framework| seen(guard, framework)).ok_or_else(unknown)
}

fn of_path<P: Permission>(guard: &Guard<P>, slug: &str) -> Result<&'static Framework> {
    catalogue::framework(slug).filter(|framework| seen(guard, framework)).ok_or_else(Problem::not_found)
}

/// List frameworks
///
/// The built-in catalogues.
#[utoipa::path(operation_id = "listFrameworks", tag = "frameworks", security(("bearer" = [])),
    params(("as_of" = Option<String>, Query, description = "Catalogues are the same for all time.", max_length = 64)),
    responses((status = 200, description = "The frameworks.", body = FrameworkPage), Refusals, Unchanged))]
#[get("/v1/frameworks")]
pub async fn list(guard: Guard<View<Frameworks>>, request: HttpRequest) -> Result<Answer> {
    let then = Then::read(&request, &[])?;
    let data: Vec<_> = catalogue::FRAMEWORKS.iter().filter(|framework| seen(&guard, framework)).map(FrameworkShown::of).collect();
    guard.view(then.as_of, move |_| Answer::of(&FrameworkPage { data, next_cursor: None, has_more: false })).await
}

/// Get a framework
///
/// By its slug.
#[utoipa::path(operation_id = "getFramework", tag = "frameworks", security(("bearer" = [])),
    params(("slug" = String, Path, description = "The framework.", max_length = 64, example = "iso-27001-2022"), ("as_of" = Option<String>, Query, description = "Catalogues are the same for all time.", max_length = 64)),
    responses((status = 200, description = "The framework.", body = FrameworkShown), Refusals, Unchanged))]
#[get("/v1/frameworks/{slug}")]
pub async fn get(guard: Guard<View<Frameworks>>, slug: Path<String>, request: HttpRequest) -> Result<Answer> {
    let (then, framework) = (Then::read(&request, &[])?, of_path(&guard, &slug)?);
    guard.view(then.as_of, move |_| Answer::of(&FrameworkShown::of(framework))).await
}

/// List the requirements of a framework
///
/// In natural order; filtered by kind, parent or words of the title.
#[utoipa::path(operation_id = "listRequirements", tag = "frameworks", security(("bearer" = [])),
    params(("slug" = String, Path, description = "The framework.", max_length = 64, example = "iso-27001-2022"),
        ("kind" = Option<String>, Query, description = "Only of this kind.", max_length = 40), ("parent_ref" = Option<String>, Query, description = "Only under this one.", max_length = 40),
        ("q" = Option<String>, Query, description = "Words that begin like this, in reference and title.", max_length = 200),
        ("limit" = Option<i32>, Query, description = "How many at most.", minimum = 1, maximum = 200), ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 2000),
        ("as_of" = Option<String>, Query, description = "Catalogues are the same for all time.", max_length = 64)),
    responses((status = 200, description = "The requirements.", body = RequirementPage), Refusals, Unchanged))]
#[get("/v1/frameworks/{slug}/requirements")]
pub async fn requirements(guard: Guard<View<Frameworks>>, slug: Path<String>, request: HttpRequest) -> Result<Answer> {
    let then = Then::read(&request, &["kind", "parent_ref", "q", "limit", "cursor"])?;
    let framework = of_path(&guard, &slug)?;
    let limit = usize::try_from(history::limit(&then.parsed("limit", "a number from 1 to 200")?)?).unwrap_or(50);
    let words = crate::core::text::folded(then.get("q").unwrap_or_default());
    let fits = |requirement: &&catalogue::Requirement| {
        let text = format!(" {} {}", crate::core::text::folded(&requirement.r#ref), crate::core::text::folded(&requirement.title));
        then.get("kind").is_none_or(|kind| requirement.kind == kind)
            && then.get("parent_ref").is_none_or(|parent| requirement.parent_ref.as_deref() == Some(parent))
            && words.split(' ').filter(|word| !word.is_empty()).all(|word| text.contains(&format!(" {word}")))
    };
    let all: Vec<_> = framework.requirements.iter().filter(fits).collect();
    let start = match then.get("cursor") {
        None => 0,
        Some(cursor) => all
            .iter()
            .position(|requirement| requirement.r#ref == cursor)
            .map(|n| n + 1)
            .ok_or_else(|| Problem::new(crate::core::Code::InvalidCursor, "Ask with the same filters as for the page before."))?,
    };
    let page: Vec<_> = all.iter().skip(start).take(limit).map(|requirement| RequirementShown::of(requirement)).collect();
    let has_more = all.len() > start + page.len();
    let next_cursor = page.last().filter(|_| has_more).map(|last| last.r#ref.to_owned());
    guard.view(then.as_of, move |_| Answer::of(&RequirementPage { data: page, next_cursor, has_more })).await
}

impl RequirementShown {
    fn of(requirement: &'static catalogue::Requirement) -> Self {
        RequirementShown {
            id: &requirement.id,
            r#ref: &requirement.r#ref,
            title: &requirement.title,
            parent_ref: requirement.parent_ref.as_deref(),
            kind: &requirement.kind,
            attributes: &requirement.attributes,
        }
    }
}

/// Mounts the catalogues.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.service(list);
    api.service(get);
    api.service(requirements);
}
