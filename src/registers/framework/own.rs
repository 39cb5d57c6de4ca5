//! Frameworks of an organization's own, as they are kept (ISO/IEC 27001:2022 6.1.3 c).
use crate::access::{Limits, policy::FRAMEWORK};
use crate::core::{Code, Problem, Result, catalogue};
use crate::db::schema::{frameworks, frameworks as f};
use crate::records::columns::own;
use crate::records::limit::Facts;
use crate::records::{By, Condition, Kind, Limit, PERIOD, Record, Resource, SCOPED};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What an import says of the framework itself.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedFramework {
    /// Its readable id; none of the built-in ones.
    #[validate(custom(function = slug))]
    #[schema(min_length = 2, max_length = 64, pattern = "^[a-z0-9.-]{2,64}$")]
    pub slug: String,
    /// Which edition.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub edition: String,
    /// Who publishes it.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub publisher: String,
}
fn slug(text: &str) -> Result<(), validator::ValidationError> {
    let fault = |code, words| Err(crate::records::spine::fault(code, words));
    match catalogue::framework(text) {
        _ if !catalogue::is_slug(text) => fault("pattern", NO_SLUG),
        Some(_) => fault(
            "taken",
            "a built-in framework has this slug; choose another one",
        ),
        None => Ok(()),
    }
}
const NO_SLUG: &str = "must start with a lower-case letter or a digit, followed by letters, \
    digits, points or hyphens";

/// What the server says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ImportedState {
    /// Which import it is.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// How many requirements it has.
    #[schema(minimum = 0)]
    pub requirement_count: i32,
    /// How many mappings it has.
    #[schema(minimum = 0)]
    pub mapping_count: i32,
    /// Of its requirements and mappings as canonical JSON.
    #[schema(min_length = 64, max_length = 64)]
    pub sha256: String,
}

impl Resource for ImportedFramework {
    const KIND: Kind = Kind {
        name: FRAMEWORK,
        path: "frameworks",
        code: "FRW",
        about: "Plan: catalogues of requirements and the mappings between them (6.1.3 c), built \
            in and imported.",
        limited_by: &[
            SCOPED,
            (Limit::Frameworks, By::Fact("its slug", of_slugs)),
            (
                Limit::Controls,
                By::ReadOnly("controls are read with the requirements that they meet"),
            ),
            (
                Limit::Sources,
                By::ReadOnly("evidence is read with the requirements that it meets"),
            ),
            PERIOD,
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = ImportedState;
    fn facts(record: &Record<Self>) -> Facts {
        Facts {
            frameworks: vec![record.own.slug.clone()],
            ..Facts::default()
        }
    }
    fn example() -> Value {
        json!({"name": "House rules", "slug": "house-rules", "edition": "2026",
            "publisher": "The organization"})
    }
}

fn of_slugs(limits: &Limits) -> Condition {
    own::<ImportedFramework>(f::slug.eq_any(limits.framework_slugs.clone()))
}

crate::columns! {
    frameworks of ImportedFramework as framework {
        slug,
        edition,
        publisher,
        revision = framework.state.revision,
        requirement_count = framework.state.requirement_count,
        mapping_count = framework.state.mapping_count,
        sha256 = &framework.state.sha256,
    }
}

/// 409 for a built-in framework.
pub fn read_only(slug: &str) -> Result<()> {
    catalogue::framework(slug).map_or(Ok(()), |_| {
        Err(Problem::new(
            Code::ReadOnly,
            "Built-in frameworks cannot be changed: they are the same for everyone.",
        ))
    })
}
