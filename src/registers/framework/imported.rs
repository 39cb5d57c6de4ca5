//! Requirements and mappings, as they are imported.
use crate::core::catalogue::{MappingKind, Relationship, RequirementAttributes};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

/// A requirement, as it is imported.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedRequirement {
    /// Its reference in the framework; stands once.
    #[schema(min_length = 1, max_length = 40, pattern = "^[A-Za-z0-9().,-]{1,40}$")]
    pub r#ref: String,
    /// Its short title.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 300)]
    pub title: String,
    /// The one that it belongs to.
    #[schema(min_length = 1, max_length = 40)]
    pub parent_ref: Option<String>,
    /// What it is in the framework's words; `requirement`, when absent.
    #[schema(min_length = 1, max_length = 40)]
    pub kind: Option<String>,
    /// Is it asked for by itself? When absent: where nothing stands under it.
    pub assessable: Option<bool>,
    /// What else is known of it: up to 20 names with a string, a number, a boolean, null, or a list
    /// of strings.
    #[serde(default, deserialize_with = "crate::core::text::or_default")]
    #[validate(custom(function = attributes_are_flat))]
    #[schema(value_type = RequirementAttributes)]
    pub attributes: Map<String, Value>,
}

fn attributes_are_flat(all: &Map<String, Value>) -> Result<(), validator::ValidationError> {
    let text = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.chars().count() <= 1000)
    };
    let plain = |value: &Value| match value {
        Value::Array(items) => items.len() <= 50 && items.iter().all(text),
        Value::String(_) => text(value),
        other => !other.is_object(),
    };
    let named = |name: &String| (1..=64).contains(&name.chars().count());
    match all.len() <= 20 && all.iter().all(|(name, value)| named(name) && plain(value)) {
        true => Ok(()),
        false => Err(crate::records::spine::fault(
            "attributes",
            "at most 20 names of at most 64 characters, each plain or a list of texts",
        )),
    }
}

/// A mapping, as it is imported.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedMapping {
    /// A readable requirement id, or a reference of this framework.
    #[schema(min_length = 1, max_length = 120)]
    pub source: String,
    /// A readable requirement id, or a reference of this framework.
    #[schema(min_length = 1, max_length = 120)]
    pub target: String,
    /// How they overlap, seen from the source.
    pub relationship: Relationship,
    /// `published` needs a provenance; `composed`, when absent: a suggestion.
    pub kind: Option<MappingKind>,
    /// Where the pair stands, or what it was composed of.
    #[schema(min_length = 1, max_length = 300)]
    pub provenance: Option<String>,
}
