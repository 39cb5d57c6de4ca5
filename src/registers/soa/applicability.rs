//! Applicability (ISO/IEC 27001:2022 6.1.3 d): for each scope and requirement whether it applies,
//! and why. Kept like any record, found by its scope and requirement; where nothing is stored, it
//! applies.
use crate::access::Limits;
use crate::db::schema::{applicability, applicability as a};
use crate::records::columns::own;
use crate::records::limit::{self, Facts};
use crate::records::{
    By, Condition, Kind, Limit, NoState, PERIOD, Record, Resource, SCOPED, sight,
};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// Why a requirement applies, beside the risks that it treats.
    pub enum Reason { Law, Contract, Business }
}

/// One decision, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Applicability {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not.
    #[schema(max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[serde(default)]
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
}

impl Resource for Applicability {
    const KIND: Kind = Kind {
        name: "applicability",
        path: "applicability",
        code: "APP",
        about: "Which requirements apply to a scope, and why (6.1.3 d).",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::Fact("the framework of its requirement", of_frameworks),
            ),
            PERIOD,
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = NoState;
    fn facts(record: &Record<Self>) -> Facts {
        Facts {
            frameworks: limit::frameworks_of([&record.own.requirement]),
            ..Facts::default()
        }
    }
    fn example() -> Value {
        json!({"name": "iso-27001-2022:A.7.4", "requirement": "iso-27001-2022:A.7.4",
            "applicable": false, "justification": "No premises of its own."})
    }
}

/// Decisions about requirements of these frameworks.
fn of_frameworks(limits: &Limits) -> Condition {
    let within = |slug: &String| a::requirement.like(sight::beginning(slug)).escape('\\');
    let slugs = limits.framework_slugs.iter();
    let of = slugs
        .map(|slug| own::<Applicability>(within(slug)))
        .reduce(sight::either);
    of.unwrap_or_else(sight::nothing)
}

crate::columns! {
    applicability of Applicability as said {
        scope_id = said.links.many("scope_ids").first().unwrap_or(&said.spine.id),
        requirement,
        applicable,
        justification,
        reasons = said.own.reasons.iter().map(<&str>::from).collect::<Vec<_>>().join(","),
    }
}
