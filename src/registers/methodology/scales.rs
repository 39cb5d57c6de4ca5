//! The scales and levels of a risk methodology, and those that it has when nothing is said.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// Who may accept a risk of a level.
    pub enum AcceptBy { Owner, Manager, Approver }
}

/// A step of a scale.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// 1, 2, … in order.
    #[schema(minimum = 1, maximum = 10)]
    pub value: i32,
    /// What it is called.
    #[schema(min_length = 1, max_length = 100)]
    pub label: String,
    /// How to tell it from the others.
    #[serde(default, deserialize_with = "crate::core::text::or_default")]
    #[schema(max_length = 1000)]
    pub criteria: String,
}

/// A level of risk, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// How scores name it.
    #[schema(min_length = 1, max_length = 32, pattern = "^[a-z][a-z0-9_]{0,31}$")]
    pub slug: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Does it meet the acceptance criteria?
    pub acceptable: bool,
    /// Who may accept it.
    pub accept_by: AcceptBy,
    /// Days between reviews.
    #[schema(minimum = 1, maximum = 3650)]
    pub review_every_days: i32,
    /// Its colour in drawings, `#rrggbb`.
    #[schema(pattern = "^#[0-9a-f]{6}$", max_length = 7, example = "#2e7d32")]
    pub colour: String,
}

fn scale(labels: [(&str, &str); 5]) -> Vec<Step> {
    (1..)
        .zip(labels)
        .map(|(value, (label, criteria))| Step {
            value,
            label: label.into(),
            criteria: criteria.into(),
        })
        .collect()
}
/// By default.
pub fn likelihoods() -> Vec<Step> {
    scale([
        ("rare", "less than once in ten years"),
        ("unlikely", "once in three to ten years"),
        ("possible", "once in one to three years"),
        ("likely", "about once a year"),
        ("almost certain", "several times a year"),
    ])
}
/// By default.
pub fn impacts() -> Vec<Step> {
    scale([
        ("negligible", "hardly noticed"),
        ("minor", "a nuisance, within the budget"),
        ("moderate", "goals of a part of the organization are missed"),
        ("major", "goals of the organization are missed"),
        ("severe", "the organization is at stake"),
    ])
}
/// By default.
pub fn levels() -> Vec<Level> {
    let level =
        |slug: &str, name: &str, acceptable, accept_by, review_every_days, colour: &str| Level {
            slug: slug.into(),
            name: name.into(),
            acceptable,
            accept_by,
            review_every_days,
            colour: colour.into(),
        };
    use AcceptBy::{Approver, Manager, Owner};
    vec![
        level("low", "Low", true, Owner, 365, "#2e7d32"),
        level("medium", "Medium", false, Manager, 180, "#f9a825"),
        level("high", "High", false, Approver, 90, "#ef6c00"),
        level("critical", "Critical", false, Approver, 30, "#c62828"),
    ]
}
/// By default.
pub fn five_by_five() -> Vec<Vec<String>> {
    let level = |score: i32| match score {
        1..=4 => "low",
        5..=9 => "medium",
        10..=15 => "high",
        _ => "critical",
    };
    let row = |l: i32| (1..=5).map(|i| level(l * i).to_owned()).collect();
    (1..=5).map(row).collect()
}
