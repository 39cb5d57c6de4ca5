//! What clients say about a control, and its words.
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// When a control works: before, during or after.
    pub enum ControlType { Preventive, Detective, Corrective }
}
crate::vocabulary! {
    /// By people or by machines.
    pub enum Nature { Manual, Automated }
}
crate::vocabulary! {
    /// How often it is done.
    pub enum Frequency { Continuous, Daily, Weekly, Monthly, Quarterly, HalfYearly, Yearly,
        PerEvent }
}
crate::vocabulary! {
    /// How far it is.
    pub enum Implementation { NotStarted, Planned, InProgress, Implemented, Retired }
}
crate::vocabulary! {
    /// Who does it.
    pub enum Responsibility { Own, Shared, Provider }
}

/// What clients say about a control.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// What is really done.
    #[schema(max_length = 10000)]
    pub description: Option<String>,
    /// What it is for.
    #[schema(max_length = 4000)]
    pub objective: Option<String>,
    /// When it works.
    #[serde(default)]
    #[schema(max_items = 3)]
    pub control_types: Vec<ControlType>,
    /// By people or by machines.
    pub nature: Option<Nature>,
    /// How often it is done.
    pub frequency: Option<Frequency>,
    /// How far it is.
    #[serde(default = "not_started")]
    pub implementation: Implementation,
    /// Since when it is implemented.
    pub implemented_on: Option<NaiveDate>,
    /// Who does it.
    #[serde(default = "own")]
    pub responsibility: Responsibility,
    /// Who provides it, where it is shared or provided.
    #[schema(max_length = 200)]
    pub provider: Option<String>,
    /// What remains for the organization to do then.
    #[schema(max_length = 4000)]
    pub customer_part: Option<String>,
    /// The requirements that it meets.
    #[serde(default)]
    #[schema(max_items = 200, max_length = 120)]
    pub requirements: Vec<String>,
}
fn not_started() -> Implementation {
    Implementation::NotStarted
}
fn own() -> Responsibility {
    Responsibility::Own
}

impl Control {
    /// Is it of this type?
    pub fn is(&self, control_type: ControlType) -> bool {
        self.control_types.contains(&control_type)
    }
}
