//! One value that is not accepted, as problems list them.
use serde::Serialize;
use utoipa::ToSchema;

/// Characters of a name, and of a reason, in the list of faults.
const NAMED: usize = 200;
const REASON: usize = 500;

/// One invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invalid {
    /// Where it stands: `body`, `query`, `path` or `header`.
    #[schema(max_length = 10)]
    pub location: &'static str,
    /// JSON Pointer (RFC 6901) into the body, or the name of the parameter.
    #[schema(max_length = 500)]
    pub pointer: String,
    /// Why, for programs.
    #[schema(max_length = 64)]
    pub code: String,
    /// Why, for people.
    #[schema(max_length = 1000)]
    pub detail: String,
}

impl Invalid {
    /// A value of the body.
    pub fn body(pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Invalid { location: "body", pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
    /// A query parameter.
    pub fn query(name: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let short = |text: String, most: usize| if text.len() <= most { text } else { text.chars().take(most).collect() };
        Invalid { location: "query", pointer: short(name.into(), NAMED), code: code.into(), detail: short(detail.into(), REASON) }
    }
}
