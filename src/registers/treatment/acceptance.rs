//! An acceptance that was approved, as it is compared with what happened since.
use crate::core::{Id, Instant};
use crate::records::Record;
use crate::registers::facts::{Approval, Fact, TreatmentFact};
use crate::registers::treatment::RiskTreatment;

/// An acceptance that was approved.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The treatment.
    pub id: Id,
    /// The risk.
    pub risk: Id,
    /// What was approved, and when.
    pub approval: Approval,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
}

/// States of an acceptance that was approved.
pub const APPROVED: [&str; 2] = ["accepted", "revoked"];

impl Acceptance {
    /// Of a treatment, where it is one and was approved.
    pub fn of(record: &Record<RiskTreatment>) -> Option<Self> {
        let (state, basis) = (&record.state, record.state.basis.as_ref()?);
        let acceptance = Acceptance {
            id: record.spine.id,
            risk: record.links.one("risk_id")?,
            approval: Approval {
                expires_on: record.own.expires_on?,
                seq: state.approved_seq?,
                owner: basis.risk_owner_id,
                rank: basis.score.level_rank,
                methodology: basis.score.methodology_id,
            },
            revoked_at: state.revoked_at,
        };
        APPROVED
            .contains(&record.spine.status.as_str())
            .then_some(acceptance)
    }
    /// The same of its facts.
    pub fn of_fact(Fact { stub, own }: &Fact<TreatmentFact>) -> Option<Self> {
        Self::found(
            (stub.id, own.risk),
            own.approval,
            (stub.status, stub.updated_at),
        )
    }
    /// The same of a treatment of a risk that is in a state since a moment.
    pub fn found(
        (id, risk): (Id, Id),
        approval: Option<Approval>,
        (status, since): (&str, Instant),
    ) -> Option<Self> {
        let acceptance = Acceptance {
            id,
            risk,
            approval: approval?,
            revoked_at: (status == "revoked").then_some(since),
        };
        APPROVED.contains(&status).then_some(acceptance)
    }
}
