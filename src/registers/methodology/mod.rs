//! Risk methodology (ISO/IEC 27001:2022 6.1.2): scales for likelihood and impact, the matrix of
//! levels, and what each level means: acceptable or not, who may accept, how often to look again.
//! Every score names the revision that it was made with and is never rewritten.
pub mod in_force;
pub mod scales;
pub mod steps;

pub use scales::{AcceptBy, Level, Step};

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

/// What clients say about a risk methodology. What is left out is taken from the default 5 × 5.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskMethodology {
    /// How risks are found, analysed and evaluated.
    #[schema(max_length = 10000)]
    pub description: Option<String>,
    /// How likely, 3 to 10 steps.
    #[serde(default = "scales::likelihoods")]
    #[validate(nested)]
    #[schema(min_items = 3, max_items = 10)]
    pub likelihood_scale: Vec<Step>,
    /// How bad, 3 to 10 steps.
    #[serde(default = "scales::impacts")]
    #[validate(nested)]
    #[schema(min_items = 3, max_items = 10)]
    pub impact_scale: Vec<Step>,
    /// Kinds of impact that are rated one by one; the highest counts. Empty: one rating.
    #[serde(default)]
    #[schema(max_items = 20, max_length = 32, pattern = "^[a-z][a-z0-9_]{0,31}$")]
    pub impact_dimensions: Vec<String>,
    /// The level of each pair: `matrix[likelihood - 1][impact - 1]`.
    #[serde(default = "scales::five_by_five")]
    #[schema(min_items = 3, max_items = 10)]
    pub matrix: Vec<Vec<String>>,
    /// The levels, lowest first.
    #[serde(default = "scales::levels")]
    #[validate(nested)]
    #[schema(min_items = 2, max_items = 10)]
    pub levels: Vec<Level>,
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
        let (mut faults, mut above) = (Vec::new(), Vec::new());
        for (n, row) in self.matrix.iter().enumerate() {
            let ranks: Vec<i32> = row.iter().map(|slug| self.rank(slug)).collect();
            let mut left = 0;
            for (k, rank) in ranks.iter().enumerate() {
                let axis = match above.get(k) {
                    _ if *rank < left => Some("impact"),
                    Some(before) if rank < before => Some("likelihood"),
                    _ => None,
                };
                left = *rank;
                faults.extend(axis.map(|axis| {
                    let words = format!("is a lower level than for the lower {axis} beside it");
                    Invalid::body(format!("/matrix/{n}/{k}"), "falls", words)
                }));
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
        let ordered = |scale: &[Step]| (1..).zip(scale).all(|(n, step)| step.value == n);
        let wide = |row: &Vec<String>| row.len() == self.impact_scale.len();
        let shape =
            self.matrix.len() == self.likelihood_scale.len() && self.matrix.iter().all(wide);
        let slugs: BTreeSet<&String> = self.levels.iter().map(|level| &level.slug).collect();
        let dimensions: BTreeSet<&String> = self.impact_dimensions.iter().collect();
        let order = "the values must be 1, 2, … in order";
        let found = |holds: bool, [at, code, words]: [&str; 3]| {
            (!holds).then(|| Invalid::body(at, code, words))
        };
        let of_scales = [
            found(
                ordered(&self.likelihood_scale),
                ["/likelihood_scale", "order", order],
            ),
            found(
                ordered(&self.impact_scale),
                ["/impact_scale", "order", order],
            ),
            found(shape, ["/matrix", "shape", SHAPE]),
            found(
                slugs.len() == self.levels.len(),
                ["/levels", "twice", TWICE],
            ),
            found(
                self.levels.is_sorted_by_key(|one| !one.acceptable),
                ["/levels", "order", FIRST],
            ),
        ];
        let cells = self.matrix.iter().enumerate().flat_map(|(n, row)| {
            row.iter()
                .enumerate()
                .map(move |(k, slug)| (format!("/matrix/{n}/{k}"), slug))
        });
        let unknown = cells.filter(|(_, slug)| !slugs.contains(slug));
        let unknown = unknown.map(|(at, _)| Invalid::body(at, "unknown_level", "unknown level"));
        let mut faults: Vec<Invalid> = of_scales.into_iter().flatten().chain(unknown).collect();
        if faults.is_empty() {
            faults.extend(self.falling());
            faults.extend(self.boundless());
        }
        let once = dimensions.len() == self.impact_dimensions.len();
        faults.extend(found(once, ["/impact_dimensions", "slug", ONCE]));
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

const SHAPE: &str = "must have one row for each likelihood, with one level for each impact";
const TWICE: &str = "each level must have a different slug";
const FIRST: &str = "the levels that meet the acceptance criteria must come first";
const ONCE: &str = "each dimension may be named only once";

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
        for (likelihood, impact, slug) in [
            (1, 4, "low"),
            (1, 5, "medium"),
            (3, 3, "medium"),
            (2, 5, "high"),
            (3, 5, "high"),
            (4, 4, "critical"),
            (4, 5, "critical"),
        ] {
            assert_eq!(level(likelihood, impact), Some(slug));
        }
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
        for level in bad.matrix.iter_mut().filter_map(|row| row.first_mut()) {
            *level = "none".into();
        }
        assert_eq!(bad.faults().len(), 5);
    }
}
