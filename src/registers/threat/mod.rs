//! Threats: what may happen (ISO/IEC 27005): the built-in elementary threats, read only, and the
//! organization's own.
pub mod attack;

use crate::core::{Code, Invalid, Problem, Result, catalogue};
use crate::db::dialect::inside;
use crate::db::own::Test;
use crate::records::{By, Kind, Limit, PERIOD, Part, Record, Resource, SCOPED};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// Where a threat comes from.
    pub enum Origin { Deliberate, Accidental, Environmental }
}
crate::vocabulary! {
    /// On which side of the organization's borders.
    pub enum Position { Internal, External }
}

/// What clients say about a threat.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Threat {
    /// What may happen, and how.
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// On which side of the borders.
    pub position: Option<Position>,
    /// MITRE ATT&CK techniques and their sub-techniques, such as `T1566` and `T1566.001`.
    #[serde(default)]
    #[schema(max_items = 50, max_length = 12, pattern = "^T[0-9]{4}(\\.[0-9]{3})?$")]
    pub attack_ids: Vec<String>,
}

/// What the server says about a threat.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ThreatState {
    /// Is it one of the built-in ones?
    pub built_in: bool,
}

impl Resource for Threat {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "threat",
        path: "threats",
        code: "THR",
        about: "Threats: what may happen (ISO/IEC 27005).",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("threats concern the whole ISMS, whatever the framework"),
            ),
            PERIOD,
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = ThreatState;
    fn example() -> Value {
        json!({"name": "Phishing of accounts", "description": "Messages that ask for passwords.",
            "origin": "deliberate", "position": "external", "attack_ids": ["T1566"]})
    }
    fn faults(&self) -> Vec<Invalid> {
        let unknown = |(_, id): &(usize, &String)| catalogue::technique(id).is_none();
        let fault = |(n, _)| {
            Invalid::body(
                format!("/attack_ids/{n}"),
                "unknown_reference",
                "unknown technique",
            )
        };
        self.attack_ids
            .iter()
            .enumerate()
            .filter(unknown)
            .map(fault)
            .collect()
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        if record.state.built_in {
            Err(Problem::new(
                Code::ReadOnly,
                "Built-in threats cannot be changed: they are the same for everyone.",
            ))
        } else {
            Ok(())
        }
    }
}

crate::columns! {
    table threats of Threat as threat {
        origin: Nullable<Text>,
        position: Nullable<Text>,
        built_in: Bool = threat.state.built_in,
        attack_ids: Text = findable(&threat.own.attack_ids),
    }
    /// What a list of threats can be filtered by.
    pub struct ThreatFilter {
        /// Any of these origins.
        #[param(max_items = 10)]
        origin: Vec<Origin> => any(origin),
        /// Any of these positions.
        #[param(max_items = 10)]
        position: Vec<Position> => any(position),
        /// The built-in ones, or the organization's own.
        #[param(max_items = 2)]
        built_in: Vec<bool> => any(built_in),
        /// Any of these MITRE ATT&CK techniques; a technique finds its sub-techniques, too.
        #[param(max_items = 50, max_length = 12)]
        attack_id: Vec<String> => row(uses),
    }
}

/// Each with its technique, between line ends, so that either finds it.
fn findable(attack_ids: &[String]) -> String {
    let with_technique = attack_ids.iter().flat_map(|id| {
        let technique = id.split_once('.').map(|(technique, _)| technique);
        [Some(id.as_str()), technique]
    });
    with_technique
        .flatten()
        .map(|id| format!("\n{id}\n"))
        .collect()
}

fn uses(attack_ids: &[String]) -> Vec<Test> {
    let one = |id: &String| -> Test {
        let found = threats::attack_ids.like(inside(&format!("\n{id}\n")));
        Box::new(found.escape('\\'))
    };
    attack_ids.iter().map(one).collect()
}
