//! The answers of a gap assessment, as they are kept.
use crate::access::Limits;
use crate::core::Id;
use crate::records::columns::own;
use crate::records::limit::{self, Facts};
use crate::records::{
    By, Condition, Kind, Limit, NoState, PERIOD, Part, Record, Resource, SCOPED, sight,
};
use diesel::prelude::*;
use gap_answers as ga;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// How far a requirement is met.
    pub enum GapState { NotAssessed, NotMet, PartiallyMet, Met, NotApplicable }
}
crate::vocabulary! {
    /// How far a requirement should be met.
    pub enum GapTarget { NotMet, PartiallyMet, Met, NotApplicable }
}
impl GapTarget {
    /// The state in which it is reached.
    pub fn state(self) -> GapState {
        match self {
            GapTarget::NotMet => GapState::NotMet,
            GapTarget::PartiallyMet => GapState::PartiallyMet,
            GapTarget::Met => GapState::Met,
            GapTarget::NotApplicable => GapState::NotApplicable,
        }
    }
}

/// One answer, as it is kept; its day is that of the record.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAnswer {
    /// The assessment.
    pub assessment_id: Id,
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapTarget>,
    /// What was seen, and what is missing.
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}

impl Resource for GapAnswer {
    const KIND: Kind = Kind {
        part: Part::Check,
        name: "gap_answer",
        path: "gap-answers",
        code: "GAN",
        about: "Answers of gap assessments (9.1).",
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
        json!({"name": "iso-27001-2022:A.5.1",
            "assessment_id": "018f0000-0000-7000-8000-000000000000",
                "requirement": "iso-27001-2022:A.5.1", "state": "partially_met"})
    }
}
/// Answers about requirements of these frameworks.
fn of_frameworks(limits: &Limits) -> Condition {
    let within = |slug: &String| ga::requirement.like(sight::beginning(slug)).escape('\\');
    let slugs = limits.framework_slugs.iter();
    let of = slugs
        .map(|slug| own::<GapAnswer>(within(slug)))
        .reduce(sight::either);
    of.unwrap_or_else(sight::nothing)
}

crate::columns! {
    table gap_answers of GapAnswer {
        assessment_id: DbUuid,
        requirement: Text,
        state: Text,
        target_state: Nullable<Text>,
    }
}
