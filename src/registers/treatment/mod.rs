//! Risk treatments (ISO/IEC 27001:2022 6.1.3 e f, 8.3): what is done about a risk: mitigate, avoid,
//! transfer, or accept it. draft → in_review → approved → in_progress → completed; an acceptance
//! goes from in_review to accepted and may be revoked. Two persons sign; that an acceptance has
//! lapsed is computed at reading, never stored.
pub mod acceptance;
pub mod applied;
pub mod holding;
pub mod lapse;
pub mod methods;
pub mod plan;
pub mod planned;
pub mod rules;
pub mod standing;
pub mod steps;

pub use applied::applications;
pub use steps::actions;

use crate::access::Actor;
use crate::core::{Code, Id, Instant, Invalid, Problem, Result};
use crate::db::schema::{risk_treatments, versions as v};
use crate::records::ask::ListContext;
use crate::records::links::References;
use crate::records::{
    By, Condition, Kind, Limit, PERIOD, Part, Reader, Record, Relation, Resource, Row, SCOPED,
    sight,
};
use crate::registers::methodology::AcceptBy;
use crate::registers::risk::score::RiskScore;
use crate::registers::treatment::holding::Stands;
use chrono::NaiveDate;
use diesel::dsl::not;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// What is done about a risk.
    pub enum TreatmentOption { Mitigate, Accept, Avoid, Transfer }
}
crate::vocabulary! {
    /// As what someone signs: the risk's owner, or a person with authority for its level.
    pub enum Capacity { Owner, Authority }
}
crate::vocabulary! {
    /// Why an acceptance holds no more.
    pub enum LapseReason { Expired, LevelRose, MethodologyRevised, OwnerChanged, Revoked }
}

/// What the risk is expected to be after a treatment, on the scales of the methodology in force.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedRisk {
    /// How likely.
    #[schema(minimum = 1, maximum = 10)]
    pub likelihood: i32,
    /// How bad.
    #[schema(minimum = 1, maximum = 10)]
    pub impact: i32,
}

/// What clients say about a risk treatment.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskTreatment {
    /// What is done about the risk.
    pub option: TreatmentOption,
    /// What is to be done; a mitigation has this, or controls.
    #[schema(max_length = 10000)]
    pub plan: Option<String>,
    /// What it costs, in whole units of the organization's currency.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub cost: Option<i64>,
    /// What the risk is expected to be afterwards, not above its current score; required by all
    /// options but `accept`, which leaves the risk as it is.
    #[validate(nested)]
    pub expected: Option<ExpectedRisk>,
    /// Why the risk may be borne; needed for `accept`.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 4000)]
    pub justification: Option<String>,
    /// The last day of an acceptance; needed for `accept`.
    pub expires_on: Option<NaiveDate>,
    /// Who takes the risk over: the insurer, the partner to a contract, the supplier; needed for
    /// `transfer`.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 200)]
    pub counterparty: Option<String>,
}

/// A signature: who, as what, when, and what was signed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Signature {
    /// Who.
    pub person: Actor,
    /// As what.
    pub capacity: Capacity,
    /// When.
    pub at: Instant,
    /// The treatment's version that was signed.
    #[schema(minimum = 1)]
    pub version: i32,
}

/// What is put before those who sign. When it changes meanwhile, the treatment has to be returned
/// and submitted again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TreatmentBasis {
    /// The person who answers for the risk.
    pub risk_owner_id: Id,
    /// What would be left of the risk: its current score for an acceptance, else the expected one.
    pub score: RiskScore,
    /// Whose signature is needed beside the owner's; null where the level meets the acceptance
    /// criteria, or the owner may accept it.
    #[schema(required)]
    pub authority: Option<AcceptBy>,
}

/// What the server says about a risk treatment.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct TreatmentCourse {
    /// Who asked for the signatures.
    #[schema(required)]
    pub submitted_by: Option<Actor>,
    /// What is signed.
    #[schema(required)]
    pub basis: Option<TreatmentBasis>,
    /// The signatures that were given.
    #[schema(max_items = 2)]
    pub signatures: Vec<Signature>,
    /// When the last needed signature was given.
    #[schema(required)]
    pub approved_at: Option<Instant>,
    /// The position of that entry in the organization's ledger.
    #[schema(required, minimum = 0)]
    pub approved_seq: Option<i64>,
    /// When the work began.
    #[schema(required)]
    pub started_at: Option<Instant>,
    /// What the risk was assessed at when the treatment was completed.
    #[schema(required)]
    pub outcome: Option<RiskScore>,
    /// When an acceptance was revoked.
    #[schema(required)]
    pub revoked_at: Option<Instant>,
}

impl Resource for RiskTreatment {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "risk_treatment",
        path: "risk-treatments",
        code: "TRT",
        about: "Risk treatments: what is done about risks, signed by those who answer for them \
            (6.1.3, 8.3).",
        initial: "draft",
        transitions: &steps::STATES,
        done: &["completed", "cancelled", "accepted", "revoked"],
        relations: &[
            Relation::new("risk_id", "risk").required(),
            Relation::new("control_ids", "control"),
        ],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("risks are treated for the whole ISMS, whatever the framework"),
            ),
            PERIOD,
        ],
        ..Kind::PLAIN
    };
    type State = TreatmentCourse;
    fn example() -> Value {
        json!({"name": "Second factor for every administrator", "risk_id": "RSK-1",
            "option": "mitigate", "plan": "Keys for all 14 administrators, then no login without.",
            "cost": 1200, "expected": {"likelihood": 1, "impact": 4}, "due_on": "2027-03-31"})
    }
    fn faults(&self) -> Vec<Invalid> {
        rules::faults(self)
    }
    fn linked_faults(&self, references: &References) -> Vec<Invalid> {
        rules::linked_faults(self, references)
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        match record.spine.status.as_str() {
            "draft" => Ok(()),
            status => Err(Problem::new(
                Code::IllegalTransition,
                format!("The record cannot change while it is `{status}`."),
            )
            .allowing(Self::KIND.allowed(status))),
        }
    }
    fn archivable(record: &Record<Self>, _: NaiveDate) -> Result<()> {
        match record.spine.status.as_str() {
            "draft" | "completed" | "cancelled" | "revoked" => Ok(()),
            status => Err(Problem::new(
                Code::IllegalTransition,
                format!("The record cannot be archived while it is `{status}`."),
            )
            .allowing(Self::KIND.allowed(status))),
        }
    }
    fn computed(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        let lapsed = lapse::of_rows(reader, rows)?;
        let text = |row: &Row| match lapsed.get(&row.id) {
            None => "\"lapse_reason\":null,\"lapsed_on\":null".to_owned(),
            Some(lapse) => format!(
                "\"lapse_reason\":\"{}\",\"lapsed_on\":\"{}\"",
                <&'static str>::from(lapse.reason),
                lapse.on
            ),
        };
        Ok(rows.iter().map(text).collect())
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        let day = "The day on which an acceptance ceased to hold; null while it holds.";
        vec![
            (
                "lapsed_on",
                json!({"type": ["string", "null"], "format": "date", "description": day}),
            ),
            (
                "lapse_reason",
                json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/LapseReason"}]}),
            ),
        ]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((LapseReason::name().into(), LapseReason::schema()));
    }
}

impl RiskTreatment {
    /// Does it leave the risk as it is?
    pub fn accepts(&self) -> bool {
        self.option == TreatmentOption::Accept
    }
}

impl TreatmentCourse {
    /// Did someone sign as this?
    pub fn signed_as(&self, capacity: Capacity) -> bool {
        self.signatures
            .iter()
            .any(|given| given.capacity == capacity)
    }
    /// What was signed, once it is approved.
    fn approved(&self) -> Option<&TreatmentBasis> {
        self.basis.as_ref().filter(|_| self.approved_seq.is_some())
    }
}

crate::columns! {
    risk_treatments of RiskTreatment as treatment {
        risk_id = treatment.links.one("risk_id").ok_or(diesel::NotFound)?,
        option,
        expires_on,
        approved_seq = treatment.state.approved_seq,
        approved_owner_id =
            treatment.state.approved().map(|basis| basis.risk_owner_id),
        approved_rank =
            treatment.state.approved().map(|basis| basis.score.level_rank),
        approved_methodology_id =
            treatment.state.approved().map(|basis| basis.score.methodology_id),
    }
    /// What a list of risk treatments can be filtered by.
    pub struct TreatmentFilter {
        /// Any of these options.
        #[param(max_items = 4)]
        option: Vec<TreatmentOption> => any(option),
        /// Acceptances that have lapsed, or what has not.
        #[param(max_items = 2)]
        lapsed: Vec<bool> => with(lapsed),
        /// Accepted until this day or later.
        expires_on_since: Option<NaiveDate> => since(expires_on),
        /// Accepted until before this day.
        expires_on_before: Option<NaiveDate> => before(expires_on),
    }
}

/// Acceptances that have lapsed, or all that have not.
fn lapsed(wanted: &[bool], then: &ListContext) -> Option<Condition> {
    let asked = |wanted_too| wanted.contains(&wanted_too);
    if asked(true) == asked(false) {
        return None;
    }
    let once: Condition = Box::new(v::status.eq_any(["accepted", "revoked"]));
    let stands = Stands {
        seq: then.seq,
        today: then.today,
    };
    let lapsed = sight::both(once, Box::new(not(stands)));
    Some(if asked(true) {
        lapsed
    } else {
        Box::new(not(lapsed))
    })
}
