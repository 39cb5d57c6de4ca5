//! The steps of a methodology's life: asked for, approved in the place of another, revised,
//! retired.
use crate::core::{Problem, Result};
use crate::http::OptionalComment;
use crate::http::{Api, Step, With, workflow};
use crate::records::{Record, Resource, Transition};
use crate::registers::methodology::RiskMethodology;
use crate::registers::methodology::in_force::{self, Approval};
use crate::registers::revision;

const STEPS: &[Step<RiskMethodology>] = &[
    revision::submit()
        .says(
            "Ask for approval of {a}",
            "The draft goes into review; another person approves it. A matrix that falls, or in \
                which everything is acceptable, is refused.",
        )
        .body(&With::<RiskMethodology, OptionalComment>(
            |tx, record, _| {
                sound(record)?;
                revision::submitted(tx, record)
            },
        )),
    revision::approve()
        .says(
            "Approve {a}",
            "Puts the revision in force for new scores: those of risks in its scopes, or without \
                scopes those of the whole organization; a scope's own comes first. Old scores \
                keep theirs. Where another one is in force for the same scopes, `replaces` names \
                it, and it is retired in the same step (409 otherwise). Whoever submitted it \
                cannot approve it.",
        )
        .body(&With::<RiskMethodology, Approval>(|tx, record, said| {
            sound(record)?;
            in_force::replace(tx, record, said.replaces.as_deref())?;
            revision::approved(tx, record)
        })),
    revision::return_to_draft(),
    revision::revise(),
    revision::retire()
        .says(
            "Retire {a}",
            "It is out of force for good: what it scored keeps its scores, and acceptances that \
                were signed under it lapse. 409 while assessed risks would be left without a \
                methodology; approve another one with `replaces` instead.",
        )
        .body(&With::<RiskMethodology, OptionalComment>(
            |tx, record, _| in_force::retire(tx, record),
        )),
];
/// The state machine.
pub const STATES: [Transition; 5] = workflow::transitions(STEPS);

/// What was written under older rules is checked again before it is put to use.
fn sound(record: &Record<RiskMethodology>) -> Result<()> {
    let faults = record.own.faults();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(faults))
    }
}

/// Mounts them.
pub fn actions(api: &mut Api<'_>) {
    revision::mount(api, STEPS);
}
