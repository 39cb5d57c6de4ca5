//! What the risk treatment plan says (ISO/IEC 27001:2022 6.1.3 e), and the same as a table.
use crate::core::{Id, Instant, Result};
use crate::registers::risk::{Evaluation, RiskScore};
use crate::registers::soa::contradiction::ControlRef;
use crate::registers::table::{Table, list, names, table_columns, text, word};
use crate::registers::treatment::{Capacity, ExpectedRisk, LapseReason, TreatmentOption};
use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

/// Someone who answers for something.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanOwner {
    /// The person.
    pub id: Id,
    /// What they are called; null where the caller does not see people.
    #[schema(required, max_length = 200)]
    pub name: Option<String>,
}

/// A signature in the plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanSignature {
    /// The person who signed.
    #[schema(required)]
    pub signed_by: Option<PlanOwner>,
    /// As what.
    pub capacity: Capacity,
    /// When.
    pub at: Instant,
    /// The treatment's version that was signed.
    #[schema(minimum = 1)]
    pub version: i32,
}

/// A treatment in the plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedTreatment {
    /// The treatment.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// What is done about the risk.
    pub option: TreatmentOption,
    /// Where it is in its life.
    #[schema(max_length = 64)]
    pub status: String,
    /// Who answers for it.
    #[schema(required)]
    pub owner: Option<PlanOwner>,
    /// What is to be done.
    #[schema(required, max_length = 10000)]
    pub plan: Option<String>,
    /// The controls that it applies.
    #[schema(max_items = 1000)]
    pub controls: Vec<ControlRef>,
    /// What it costs.
    #[schema(required, minimum = 0)]
    pub cost: Option<i64>,
    /// The day by which it has to be done.
    #[schema(required)]
    pub due_on: Option<NaiveDate>,
    /// Is that day over, and it is not done?
    pub overdue: bool,
    /// What the risk is expected to be afterwards.
    #[schema(required)]
    pub expected: Option<ExpectedRisk>,
    /// The level of that, once it was submitted.
    #[schema(required, max_length = 32)]
    pub expected_level: Option<String>,
    /// The signatures that were given.
    #[schema(max_items = 2)]
    pub signatures: Vec<PlanSignature>,
    /// The last day of an acceptance.
    #[schema(required)]
    pub expires_on: Option<NaiveDate>,
    /// The day on which an acceptance ceased to hold.
    #[schema(required)]
    pub lapsed_on: Option<NaiveDate>,
    /// Why.
    #[schema(required)]
    pub lapse_reason: Option<LapseReason>,
}

/// A risk in the plan, with what is done about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TreatmentPlanEntry {
    /// The risk.
    pub risk_id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// Who answers for it.
    #[schema(required)]
    pub owner: Option<PlanOwner>,
    /// Its score with the controls that are in place.
    #[schema(required)]
    pub current: Option<RiskScore>,
    /// What that asks for.
    pub evaluation: Evaluation,
    /// What is done about it, in the order of codes; what was cancelled is left out.
    #[schema(max_items = 10000)]
    pub treatments: Vec<PlannedTreatment>,
}

/// The plan in numbers.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct TreatmentPlanSummary {
    /// Risks in the plan.
    #[schema(minimum = 0)]
    pub risks: i64,
    /// Of those, without any treatment that was not cancelled.
    #[schema(minimum = 0)]
    pub untreated: i64,
    /// Treatments past their due day and not done.
    #[schema(minimum = 0)]
    pub overdue: i64,
    /// Acceptances that hold no more.
    #[schema(minimum = 0)]
    pub lapsed: i64,
}

/// The risk treatment plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskTreatmentPlan {
    /// Worst risks first, then by code.
    #[schema(max_items = 200)]
    pub entries: Vec<TreatmentPlanEntry>,
    /// The whole plan in numbers.
    pub summary: TreatmentPlanSummary,
    /// Ask with it for the next page; null on the last.
    #[schema(required, max_length = 2000)]
    pub next_cursor: Option<String>,
    /// Is there a next page?
    pub has_more: bool,
}

table_columns! { RISK of entry: TreatmentPlanEntry {
    "risk" => entry.code.clone(),
    "risk_name" => entry.name.clone(),
    "risk_owner" => called(entry.owner.as_ref()),
    "current_likelihood" => text(entry.current.as_ref().map(|score| score.likelihood)),
    "current_impact" => text(entry.current.as_ref().map(|score| score.impact)),
    "current_level" => text(entry.current.as_ref().map(|score| &score.level)),
    "evaluation" => word(Some(entry.evaluation)),
} }
table_columns! { TREATMENT of one: PlannedTreatment {
    "treatment" => one.code.clone(),
    "treatment_name" => one.name.clone(),
    "option" => word(Some(one.option)),
    "status" => one.status.clone(),
    "owner" => called(one.owner.as_ref()),
    "plan" => text(one.plan.as_ref()),
    "controls" => list(one.controls.iter().map(|control| &control.code)),
    "cost" => text(one.cost),
    "due_on" => text(one.due_on),
    "overdue" => one.overdue.to_string(),
    "expected_likelihood" => text(one.expected.map(|expected| expected.likelihood)),
    "expected_impact" => text(one.expected.map(|expected| expected.impact)),
    "expected_level" => text(one.expected_level.as_ref()),
    "signed_by_owner" => signer(one, Capacity::Owner),
    "signed_by_owner_at" => text(signed(one, Capacity::Owner).map(|given| given.at)),
    "signed_with_authority" => signer(one, Capacity::Authority),
    "signed_with_authority_at" => text(signed(one, Capacity::Authority).map(|given| given.at)),
    "expires_on" => text(one.expires_on),
    "lapse" => text(lapse_of(one)),
} }

fn called(owner: Option<&PlanOwner>) -> String {
    text(owner.and_then(|owner| owner.name.as_ref()))
}
fn signed(one: &PlannedTreatment, capacity: Capacity) -> Option<&PlanSignature> {
    one.signatures
        .iter()
        .find(|given| given.capacity == capacity)
}
fn signer(one: &PlannedTreatment, capacity: Capacity) -> String {
    called(signed(one, capacity).and_then(|given| given.signed_by.as_ref()))
}
fn lapse_of(one: &PlannedTreatment) -> Option<String> {
    let (on, reason) = one.lapsed_on.zip(one.lapse_reason)?;
    Some(format!("{on} {}", word(Some(reason))))
}

/// A row for each risk and treatment; a risk without one has a row of its own.
pub fn as_csv(plan: &RiskTreatmentPlan) -> Result<String> {
    let mut table = Table::of(names(RISK).chain(names(TREATMENT)));
    for entry in &plan.entries {
        for one in &entry.treatments {
            table.row().says(entry, RISK).says(one, TREATMENT);
        }
        if entry.treatments.is_empty() {
            table.row().says(entry, RISK);
        }
    }
    table.text()
}
