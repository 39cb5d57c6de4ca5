//! Risk methodology (ISO/IEC 27001:2022 6.1.2): scales for likelihood and impact, the matrix of
//! levels, and what each level means: acceptable or not, who may accept, how often to look again.
//! Every score names the revision that it was made with and is never rewritten.
pub mod in_force;
pub mod steps;

use crate::access::ActorKind;
use crate::core::{Invalid, Problem, Result};
use crate::db::schema::risk_methodologies;
use crate::records::{By, Kind, Limit, PERIOD, Part, Reader, Record, Resource, Row, SCOPED};
use crate::registers::revision;
use crate::registers::revision::Revised;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

/// What clients say about a risk methodology. What is left out is taken from the default 5 × 5.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskMethodology {
    /// How risks are found, analysed and evaluated.
    #[schema(max_length = 10000)]
    pub description: Option<String>,
    /// How likely, 3 to 10 steps.
    #[serde(default = "likelihoods")]
    #[validate(nested)]
    #[schema(min_items = 3, max_items = 10)]
    pub likelihood_scale: Vec<Step>,
    /// How bad, 3 to 10 steps.
    #[serde(default = "impacts")]
    #[validate(nested)]
    #[schema(min_items = 3, max_items = 10)]
    pub impact_scale: Vec<Step>,
    /// Kinds of impact that are rated one by one; the highest counts. Empty: one rating.
    #[serde(default)]
    #[schema(max_items = 20, max_length = 32, pattern = "^[a-z][a-z0-9_]{0,31}$")]
    pub impact_dimensions: Vec<String>,
    /// The level of each pair: `matrix[likelihood - 1][impact - 1]`.
    #[serde(default = "five_by_five")]
    #[schema(min_items = 3, max_items = 10)]
    pub matrix: Vec<Vec<String>>,
    /// The levels, lowest first.
    #[serde(default = "levels")]
    #[validate(nested)]
    #[schema(min_items = 2, max_items = 10)]
    pub levels: Vec<Level>,
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
fn likelihoods() -> Vec<Step> {
    scale([
        ("rare", "less than once in ten years"),
        ("unlikely", "once in three to ten years"),
        ("possible", "once in one to three years"),
        ("likely", "about once a year"),
        ("almost certain", "several times a year"),
    ])
}
fn impacts() -> Vec<Step> {
    scale([
        ("negligible", "hardly noticed"),
        ("minor", "a nuisance, within the budget"),
        ("moderate", "goals of a part of the organization are missed"),
        ("major", "goals of the organization are missed"),
        ("severe", "the organization is at stake"),
    ])
}
fn levels() -> Vec<Level> {
    let level =
        |slug: &str, name: &str, acceptable, accept_by, review_every_days, colour: &str| Level {
            slug: slug.into(),
            name: name.into(),
            acceptable,
            accept_by,
            review_every_days,
            colour: colour.into(),
        };
    vec![
        level("low", "Low", true, AcceptBy::Owner, 365, "#2e7d32"),
        level("medium", "Medium", false, AcceptBy::Manager, 180, "#f9a825"),
        level("high", "High", false, AcceptBy::Approver, 90, "#ef6c00"),
        level(
            "critical",
            "Critical",
            false,
            AcceptBy::Approver,
            30,
            "#c62828",
        ),
    ]
}
fn five_by_five() -> Vec<Vec<String>> {
    let level = |score: i32| match score {
        1..=4 => "low",
        5..=9 => "medium",
        10..=15 => "high",
        _ => "critical",
    };
    (1..=5)
        .map(|likelihood| {
            (1..=5)
                .map(|impact| level(likelihood * impact).to_owned())
                .collect()
        })
        .collect()
}

impl RiskMethodology {
    /// The level of a pair; `None` outside the scales.
    pub fn level(&self, likelihood: i32, impact: i32) -> Option<&Level> {
        let index = |value: i32| usize::try_from(value.checked_sub(1)?).ok();
        let slug = self.matrix.get(index(likelihood)?)?.get(index(impact)?)?;
        self.levels.iter().find(|level| level.slug == *slug)
    }
    /// The level of that slug.
    pub fn named(&self, slug: &str) -> Option<&Level> {
        self.levels.iter().find(|level| level.slug == slug)
    }
    /// Where the matrix falls: a higher likelihood or impact never has a lower level.
    fn falling(&self) -> Vec<Invalid> {
        let mut faults = Vec::new();
        let mut above: Vec<i32> = Vec::new();
        for (n, row) in self.matrix.iter().enumerate() {
            let ranks: Vec<i32> = row.iter().map(|slug| self.rank(slug)).collect();
            let mut left = 0;
            for (k, rank) in ranks.iter().enumerate() {
                let falls = match (
                    *rank < left,
                    above.get(k).is_some_and(|before| rank < before),
                ) {
                    (true, _) => Some("impact"),
                    (_, true) => Some("likelihood"),
                    _ => None,
                };
                left = *rank;
                let words =
                    |axis: &str| format!("is a lower level than for the lower {axis} beside it");
                faults.extend(
                    falls.map(|axis| {
                        Invalid::body(format!("/matrix/{n}/{k}"), "falls", words(axis))
                    }),
                );
            }
            above = ranks;
        }
        faults
    }
    /// Where nothing is unacceptable, nothing is evaluated.
    fn boundless(&self) -> Option<Invalid> {
        if self.levels.iter().all(|level| level.acceptable) {
            return Some(Invalid::body(
                "/levels",
                "all_acceptable",
                "at least one level must not be acceptable",
            ));
        }
        let reached = |slug: &String| self.named(slug).is_some_and(|level| !level.acceptable);
        let none = !self.matrix.iter().flatten().any(reached);
        none.then(|| {
            Invalid::body(
                "/matrix",
                "all_acceptable",
                "at least one pair must have a level that is not acceptable",
            )
        })
    }
    /// The place of a level among the levels, 1 the lowest.
    pub fn rank(&self, slug: &str) -> i32 {
        (1..)
            .zip(&self.levels)
            .find(|(_, level)| level.slug == slug)
            .map_or(0, |(rank, _)| rank)
    }
}

impl Resource for RiskMethodology {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "risk_methodology",
        path: "risk-methodologies",
        code: "MET",
        about: "Risk methodologies: how risks are scored and evaluated (6.1.2).",
        initial: "draft",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("risks are assessed for the whole ISMS, whatever the framework"),
            ),
            PERIOD,
        ],
        transitions: &steps::STATES,
        done: &["retired"],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = Revised;
    fn example() -> Value {
        json!({"name": "Risk methodology of operations", "description": "Workshops by asset and \
            by scenario.", "impact_dimensions": ["financial", "legal"]})
    }
    fn faults(&self) -> Vec<Invalid> {
        let mut faults = Vec::new();
        for (name, scale) in [
            ("likelihood_scale", &self.likelihood_scale),
            ("impact_scale", &self.impact_scale),
        ] {
            if (1..).zip(scale).any(|(n, step)| step.value != n) {
                faults.push(Invalid::body(
                    format!("/{name}"),
                    "order",
                    "the values must be 1, 2, … in order",
                ));
            }
        }
        let shape = self.matrix.len() == self.likelihood_scale.len()
            && self
                .matrix
                .iter()
                .all(|row| row.len() == self.impact_scale.len());
        if !shape {
            faults.push(Invalid::body(
                "/matrix",
                "shape",
                "must have one row for each likelihood, with one level for each impact",
            ));
        }
        let slugs: BTreeSet<&str> = self
            .levels
            .iter()
            .map(|level| level.slug.as_str())
            .collect();
        if slugs.len() != self.levels.len() {
            faults.push(Invalid::body(
                "/levels",
                "twice",
                "each level must have a different slug",
            ));
        }
        if self
            .levels
            .iter()
            .skip_while(|level| level.acceptable)
            .any(|level| level.acceptable)
        {
            faults.push(Invalid::body(
                "/levels",
                "order",
                "the levels that meet the acceptance criteria must come first",
            ));
        }
        for (n, row) in self.matrix.iter().enumerate() {
            let unknown = row
                .iter()
                .enumerate()
                .filter(|(_, slug)| !slugs.contains(slug.as_str()));
            faults.extend(unknown.map(|(k, _)| {
                Invalid::body(format!("/matrix/{n}/{k}"), "unknown_level", "unknown level")
            }));
        }
        if faults.is_empty() && shape {
            faults.extend(self.falling());
            faults.extend(self.boundless());
        }
        let dimensions: BTreeSet<&String> = self.impact_dimensions.iter().collect();
        if dimensions.len() != self.impact_dimensions.len() {
            faults.push(Invalid::body(
                "/impact_dimensions",
                "slug",
                "each dimension may be named only once",
            ));
        }
        faults
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        revision::changeable(record)
    }
    fn archivable(record: &Record<Self>, _: chrono::NaiveDate) -> Result<()> {
        revision::archivable(record)
    }
    fn computed(_: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        rows.iter().map(standing).collect()
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        let in_force = "Does it score risks now: those of its scopes, or without scopes those of \
            the whole organization? A scope's own comes first.";
        let adopted = "Did a person approve the revision in force? False for the built-in \
            default, which nobody has approved, and while none is in force.";
        vec![
            (
                "in_force",
                json!({"type": "boolean", "description": in_force}),
            ),
            (
                "adopted",
                json!({"type": "boolean", "description": adopted}),
            ),
        ]
    }
}

/// Whether it is in force, and by whose decision.
fn standing(row: &Row) -> Result<String> {
    #[derive(Deserialize)]
    struct Seen {
        revision_in_force: Option<i32>,
        approved_by: Option<By>,
    }
    #[derive(Deserialize)]
    struct By {
        kind: ActorKind,
    }
    let seen: Seen = serde_json::from_str(&row.body).map_err(Problem::internal)?;
    let in_force = seen.revision_in_force.is_some() && !row.archived;
    let adopted = in_force
        && seen
            .approved_by
            .is_some_and(|by| by.kind != ActorKind::System);
    Ok(format!("\"adopted\":{adopted},\"in_force\":{in_force}"))
}

crate::columns! {
    risk_methodologies of RiskMethodology as methodology {
        revision = methodology.state.revision,
        revision_in_force = methodology.state.revision_in_force,
    }
    /// What a list of methodologies can be filtered by.
    pub struct MethodologyFilter {
        /// In force, or not.
        #[param(max_items = 2)]
        in_force: Vec<bool> => set(revision_in_force),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> RiskMethodology {
        serde_json::from_value(json!({})).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_default_is_five_by_five() {
        let method = default();
        assert!(method.faults().is_empty());
        let level = |l, i| method.level(l, i).map(|level| level.slug.as_str());
        assert_eq!(
            (
                level(1, 4),
                level(1, 5),
                level(3, 3),
                level(2, 5),
                level(3, 5),
                level(4, 4),
                level(4, 5)
            ),
            (
                Some("low"),
                Some("medium"),
                Some("medium"),
                Some("high"),
                Some("high"),
                Some("critical"),
                Some("critical")
            )
        );
        assert_eq!((level(0, 1), level(6, 1), level(1, 6)), (None, None, None));
    }

    #[test]
    fn a_matrix_has_a_known_level_for_each_pair() {
        let bad = RiskMethodology {
            matrix: vec![vec!["low".into(); 5]; 4],
            ..default()
        };
        assert_eq!(
            bad.faults().first().map(|f| f.pointer.clone()),
            Some("/matrix".into())
        );
        let mut bad = default();
        bad.matrix.iter_mut().for_each(|row| {
            row.iter_mut()
                .take(1)
                .for_each(|level| *level = "none".into())
        });
        assert_eq!(bad.faults().len(), 5);
    }
}
