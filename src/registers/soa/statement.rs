//! What a statement of applicability says (ISO/IEC 27001:2022 6.1.3 d).
use crate::access::Actor;
use crate::core::{Id, Instant};
use crate::registers::control::proof::{EvidenceStatus, Operation};
use crate::registers::soa::applicability::Reason;
use crate::registers::soa::contradiction::ControlRef;
use crate::registers::soa::version::SoaSummary;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

crate::vocabulary! {
    /// How far a requirement is met by the controls for it.
    pub enum ImplementationState { NotImplemented, Planned, PartiallyImplemented, Implemented }
}
crate::vocabulary! {
    /// Why a requirement or a control is in the statement: a risk rests on it, or it was decided
    /// so.
    pub enum SoaReason { Risk, Law, Contract, Business }
}
impl From<Reason> for SoaReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Law => SoaReason::Law,
            Reason::Contract => SoaReason::Contract,
            Reason::Business => SoaReason::Business,
        }
    }
}

crate::vocabulary! {
    /// What a requirement lacks before its statement can be frozen.
    pub enum Lack { Undecided, Unjustified, Contradicted }
}

/// One requirement in the statement.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SoaEntry {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title.
    #[schema(max_length = 300)]
    pub title: String,
    /// The theme it belongs to.
    #[schema(required, max_length = 40)]
    pub theme: Option<String>,
    /// Does it apply? What nobody has decided applies until someone does.
    pub applicable: bool,
    /// Was it decided?
    pub decided: bool,
    /// When it was last decided; null where it was not.
    #[schema(required)]
    pub decided_at: Option<Instant>,
    /// By whom; null where it was not. (The SHA-256 of a frozen statement is of names that are
    /// null.)
    #[schema(required)]
    pub decided_by: Option<Actor>,
    /// What it lacks before the statement can be frozen: a decision, a reason, or that nothing
    /// speaks against its exclusion; null where it is ready.
    #[schema(required)]
    pub lacks: Option<Lack>,
    /// Why, or why not.
    #[schema(required, max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it: `risk` where risks rest on controls that meet it, the others as they were
    /// decided.
    #[schema(max_items = 4)]
    pub reasons: Vec<SoaReason>,
    /// Is it included without any reason?
    pub justification_missing: bool,
    /// Where it is excluded: the controls that meet it and are implemented, or that risks rest on.
    #[schema(max_items = 200)]
    pub contradicted_by: Vec<ControlRef>,
    /// How far it is; null where it does not apply.
    #[schema(required)]
    pub implementation: Option<ImplementationState>,
    /// Whether its controls work; null where it does not apply.
    #[schema(required)]
    pub operation: Option<Operation>,
    /// The controls that meet it, up to 200; fewer where the whole would grow past a mebibyte.
    #[schema(max_items = 200)]
    pub controls: Vec<ControlRef>,
    /// All of them.
    #[schema(minimum = 0)]
    pub control_count: i64,
    /// The risks whose present level rests on them, or whose approved treatment applies them: up to
    /// 50 codes; fewer where the whole would grow past a mebibyte.
    #[schema(max_items = 50, max_length = 32)]
    pub risk_codes: Vec<String>,
    /// All of them.
    #[schema(minimum = 0)]
    pub risk_count: i64,
    /// The approved treatments that apply its controls: up to 50 codes, or fewer.
    #[schema(max_items = 50, max_length = 32)]
    pub treatment_codes: Vec<String>,
    /// All of them.
    #[schema(minimum = 0)]
    pub treatment_count: i64,
    /// The evidence behind its controls.
    pub evidence: EvidenceStatus,
}

/// A necessary control outside the framework.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OwnControl {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// `risk` where risks rest on it.
    #[schema(max_items = 4)]
    pub reasons: Vec<SoaReason>,
    /// How far it is.
    pub implementation: ImplementationState,
    /// Whether it works.
    pub operation: Operation,
    /// The risks whose present level rests on it, or whose approved treatment applies it: up to 50
    /// codes, or fewer.
    #[schema(max_items = 50, max_length = 32)]
    pub risk_codes: Vec<String>,
    /// All of them.
    #[schema(minimum = 0)]
    pub risk_count: i64,
    /// The approved treatments that apply it: up to 50 codes, or fewer.
    #[schema(max_items = 50, max_length = 32)]
    pub treatment_codes: Vec<String>,
    /// All of them.
    #[schema(minimum = 0)]
    pub treatment_count: i64,
    /// The evidence behind it.
    pub evidence: EvidenceStatus,
}

/// The statement of applicability of a scope.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementOfApplicability {
    /// The scope.
    pub scope_id: Id,
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// Each requirement once, in natural order.
    #[schema(max_items = 5000)]
    pub entries: Vec<SoaEntry>,
    /// Necessary controls that meet no requirement of the framework, in the order of their codes;
    /// those that approved treatments apply first where the whole would grow past a mebibyte. The
    /// summary counts all.
    #[schema(max_items = 5000)]
    pub own_controls: Vec<OwnControl>,
    /// The statement in numbers.
    pub summary: SoaSummary,
}

impl SoaEntry {
    /// What it lacks.
    pub fn lacking(&self) -> Option<Lack> {
        match () {
            () if !self.decided => Some(Lack::Undecided),
            () if self.justification_missing => Some(Lack::Unjustified),
            () if !self.contradicted_by.is_empty() => Some(Lack::Contradicted),
            () => None,
        }
    }
}
