//! The built-in catalogues: identifiers and short titles of frameworks, mappings between them,
//! threats. Read from the tables beside this file, each when it is first asked for. A framework of
//! an organization's own has the same form.
mod crosswalk;
mod frameworks;
mod near;
mod threats;
pub mod weaknesses;

pub use crosswalk::{
    CROSSWALKS, Crosswalk, Mapping, MappingKind, Relationship, mappings_of, successors,
};
pub use frameworks::{FRAMEWORKS, natural};
pub use near::{Missing, no_framework, no_requirement, slugs};
pub use threats::{TACTICS, TECHNIQUES, THREATS, Tactic, Technique, Threat, technique};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};
use utoipa::ToSchema;

/// A framework.
#[derive(Debug)]
pub struct Framework {
    /// Its readable id; part of the contract.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// Which edition.
    pub edition: String,
    /// Who publishes it.
    pub publisher: String,
    /// Does it come with the product?
    pub built_in: bool,
    table: LazyLock<Table, Read>,
}

/// How a table is read when it is first asked for.
type Read = Box<dyn FnOnce() -> Table + Send + Sync>;

/// One requirement of a framework.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Requirement {
    /// Its readable id: `iso-27001-2022:A.5.1`.
    #[schema(max_length = 120)]
    pub id: String,
    /// Its reference in the framework: `A.5.1`.
    #[schema(max_length = 40)]
    pub r#ref: String,
    /// Its short title, or its meaning in our own words.
    #[schema(max_length = 300)]
    pub title: String,
    /// Where it stands in the tree.
    #[schema(required, max_length = 40)]
    pub parent_ref: Option<String>,
    /// What it is in the framework's words: `clause`, `control`, `criterion`, `article` …
    #[schema(max_length = 40)]
    pub kind: String,
    /// Is it asked for by itself, or is it a heading, a part, or withdrawn?
    pub assessable: bool,
    /// What else is known of it.
    #[schema(value_type = RequirementAttributes)]
    pub attributes: Map<String, Value>,
}

/// What is known of a requirement, by name.
pub struct RequirementAttributes;
impl utoipa::PartialSchema for RequirementAttributes {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{ObjectBuilder, Ref};
        let all = ObjectBuilder::new()
            .additional_properties(Some(Ref::from_schema_name("AnyValue")))
            .max_properties(Some(50));
        all.description(Some("What is known of a requirement, by name."))
            .into()
    }
}
impl ToSchema for RequirementAttributes {}

/// The requirements in their order, and that order by reference.
#[derive(Debug)]
struct Table {
    all: Vec<Requirement>,
    by_ref: Vec<usize>,
}
impl Table {
    fn of(all: Vec<Requirement>) -> Self {
        let mut by_ref: Vec<usize> = (0..all.len()).collect();
        by_ref.sort_by_key(|n| all.get(*n).map(|requirement| requirement.r#ref.as_str()));
        Table { all, by_ref }
    }
}

/// The framework that statements of applicability are made from, unless another is asked for.
pub const ISO_27001: &str = "iso-27001-2022";
/// The one before it; its references are searched for, too.
pub const ISO_27001_2013: &str = "iso-27001-2013";

impl Framework {
    fn built_in(
        slug: String,
        title: String,
        edition: String,
        publisher: String,
        source: &'static str,
    ) -> Self {
        let of = slug.clone();
        let read: Read = Box::new(move || Table::of(frameworks::read(&of, source)));
        Framework {
            slug,
            title,
            edition,
            publisher,
            built_in: true,
            table: LazyLock::new(read),
        }
    }
    /// An organization's own.
    pub fn own(
        slug: String,
        title: String,
        edition: String,
        publisher: String,
        requirements: Vec<Requirement>,
    ) -> Self {
        Framework {
            slug,
            title,
            edition,
            publisher,
            built_in: false,
            table: LazyLock::new(Box::new(|| Table::of(requirements))),
        }
    }
    /// In natural order.
    pub fn requirements(&self) -> &[Requirement] {
        &self.table.all
    }
    /// Where a requirement stands, by its reference.
    pub fn place(&self, reference: &str) -> Option<usize> {
        let Table { all, by_ref } = &*self.table;
        let of = |n: &usize| {
            all.get(*n)
                .map(|requirement| requirement.r#ref.as_str())
                .unwrap_or_default()
        };
        by_ref
            .binary_search_by(|n| of(n).cmp(reference))
            .ok()
            .and_then(|at| by_ref.get(at).copied())
    }
    /// The requirement of that reference.
    pub fn requirement(&self, reference: &str) -> Option<&Requirement> {
        self.requirements().get(self.place(reference)?)
    }
    /// What is asked for by itself.
    pub fn assessable(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements()
            .iter()
            .filter(|requirement| requirement.assessable)
    }
    /// Can it be excluded from a scope? Of ISO/IEC 27001 the controls of Annex A; of others
    /// whatever is asked for by itself.
    pub fn decides(&self, requirement: &Requirement) -> bool {
        requirement.assessable && (self.slug != ISO_27001 || requirement.kind == "control")
    }
    /// What a statement of applicability is made of.
    pub fn decidable(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements()
            .iter()
            .filter(|requirement| self.decides(requirement))
    }
}

/// The built-in framework of that slug.
pub fn framework(slug: &str) -> Option<&'static Arc<Framework>> {
    FRAMEWORKS.iter().find(|framework| framework.slug == slug)
}
/// Framework and reference of a readable id.
pub fn parts(id: &str) -> Option<(&str, &str)> {
    id.split_once(':')
}
/// Pure: has the text the form of a readable id?
pub fn well_formed(id: &str) -> bool {
    let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    parts(id).is_some_and(|(framework, reference)| {
        !framework.is_empty() && framework.chars().all(slug) && is_reference(reference)
    })
}
/// The built-in requirement of that readable id.
pub fn requirement(id: &str) -> Option<&'static Requirement> {
    let (slug, reference) = parts(id)?;
    framework(slug)?.requirement(reference)
}

/// Can this be a slug: 2 to 64 small letters, digits, points and hyphens, a letter or digit first?
pub fn is_slug(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
}
/// Can this be a reference: 1 to 40 letters, digits and `().,-`?
pub fn is_reference(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"().,-".contains(&b))
}

fn rows(table: &'static str) -> impl Iterator<Item = csv::StringRecord> {
    csv::Reader::from_reader(table.as_bytes())
        .into_records()
        .filter_map(Result::ok)
}
