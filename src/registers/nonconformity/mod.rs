//! Nonconformities (ISO/IEC 27001:2022 10.2): open → contained → analysed → action_planned →
//! implemented → verified → closed. What did not help goes back to analysed, in the next iteration;
//! whoever did the work does not verify it, and what changes after the verification is verified
//! again.
pub mod rules;
pub mod steps;
pub mod unverify;

pub use steps::actions;
pub use unverify::unverify;

use crate::access::Actor;
use crate::core::{Code, Instant, Problem, Result};
use crate::records::{By, Kind, Limit, PERIOD, Part, Record, Relation, Resource, SCOPED, Writing};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// How it was found.
    pub enum IdentifiedThrough { Audit, Incident, Monitoring, Review, Violation, Complaint,
        Supplier }
}
crate::vocabulary! {
    /// How bad it is.
    pub enum Severity { Observation, Minor, Major }
}

/// What clients say about a nonconformity.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nonconformity {
    /// What was found.
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// How it was found.
    pub identified_through: IdentifiedThrough,
    /// How bad it is.
    pub severity: Severity,
    /// The requirements that are not met.
    #[serde(default)]
    #[schema(max_items = 200, max_length = 120)]
    pub requirements: Vec<String>,
    /// The day on which it was found.
    pub detected_on: NaiveDate,
    /// What was done about it at once.
    #[schema(max_length = 4000)]
    pub correction: Option<String>,
    /// Why it happened.
    #[schema(max_length = 4000)]
    pub root_cause: Option<String>,
    /// Where else it is, or may be.
    #[schema(max_length = 4000)]
    pub similar_cases: Option<String>,
    /// What it led to.
    #[schema(max_length = 4000)]
    pub consequences: Option<String>,
}

/// What the server says about a nonconformity.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Course {
    /// How often its cause was sought.
    #[schema(minimum = 1)]
    pub iteration: i32,
    /// Did what was done help?
    #[schema(required)]
    pub effective: Option<bool>,
    /// Who said that it was implemented.
    #[schema(required)]
    pub implemented_by: Option<Actor>,
    /// Who verified it.
    #[schema(required)]
    pub verified_by: Option<Actor>,
    /// When.
    #[schema(required)]
    pub verified_at: Option<Instant>,
    /// What was looked at to verify it, and what was found.
    #[schema(required, max_length = 2000)]
    pub verification: Option<String>,
    /// What was done did not help: its cause has to be analysed again before anything else is
    /// planned.
    pub analysis_due: bool,
    /// Who closed it.
    #[schema(required)]
    pub closed_by: Option<Actor>,
    /// When.
    #[schema(required)]
    pub closed_at: Option<Instant>,
}
impl Default for Course {
    fn default() -> Self {
        Course {
            iteration: 1,
            effective: None,
            implemented_by: None,
            verified_by: None,
            verified_at: None,
            verification: None,
            analysis_due: false,
            closed_by: None,
            closed_at: None,
        }
    }
}
impl Course {
    /// Nobody has verified it.
    pub fn unverified(&mut self) {
        (
            self.effective,
            self.verified_by,
            self.verified_at,
            self.verification,
        ) = (None, None, None, None);
    }
}

impl Resource for Nonconformity {
    const KIND: Kind = Kind {
        part: Part::Act,
        name: "nonconformity",
        path: "nonconformities",
        code: "NCR",
        about: "Nonconformities and their correction (10.2).",
        initial: "open",
        transitions: &steps::STATES,
        done: &["closed"],
        relations: &[
            Relation::new("identified_in_id", ""),
            Relation::acyclic("recurrence_of_id", "nonconformity"),
        ],
        cites: true,
        limited_by: &[SCOPED, (Limit::Frameworks, By::Citations), PERIOD],
        ..Kind::PLAIN
    };
    type State = Course;
    fn example() -> Value {
        json!({"name": "Access of leavers not withdrawn", "description": "Two leavers still had \
            access after a week.", "identified_through": "audit",
            "severity": "minor", "requirements": ["iso-27001-2022:A.5.18"],
                "detected_on": "2026-11-02"})
    }
    fn rank(record: &Record<Self>) -> Option<i32> {
        Some(record.own.severity as i32)
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        match record.spine.status.as_str() {
            "closed" => Err(Problem::new(
                Code::IllegalTransition,
                "A closed nonconformity cannot change. Record a recurrence instead.",
            )),
            _ => Ok(()),
        }
    }
    fn settle(record: &mut Record<Self>, before: Option<&Record<Self>>, _: NaiveDate) {
        if before.is_some() && record.spine.status == "verified" {
            unverify::unverified(record);
        }
    }
    fn permitted(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        _: &Record<Self>,
        action: &str,
    ) -> Result<()> {
        match before {
            Some(before) if action == "update" => rules::raised(tx.caller(), before),
            _ => Ok(()),
        }
    }
    fn requirements(&self) -> &[String] {
        &self.requirements
    }
}

crate::columns! {
    table nonconformities of Nonconformity {
        identified_through: Text,
        severity: Text,
        detected_on: Date,
    }
    /// What a list of nonconformities can be filtered by.
    pub struct NonconformityFilter {
        /// Found in any of these ways.
        #[param(max_items = 10)]
        identified_through: Vec<IdentifiedThrough> => any(identified_through),
        /// Any of these severities.
        #[param(max_items = 10)]
        severity: Vec<Severity> => any(severity),
        /// Found on this day or later.
        detected_on_since: Option<NaiveDate> => since(detected_on),
        /// Found before this day.
        detected_on_before: Option<NaiveDate> => before(detected_on),
    }
}
