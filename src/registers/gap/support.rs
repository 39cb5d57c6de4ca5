//! What controls and evidence say of the requirements of a gap assessment.
use crate::core::{Code, Result};
use crate::records::{Reader, Record, Resource};
use crate::registers::control::proof::EvidenceStatus;
use crate::registers::evidence::Evidence;
use crate::registers::facts::{Facts, Part, Proofs, Seen};
use crate::registers::framework::coverage::{self, CoverageEntry, CoverageState};
use crate::registers::gap::GapAssessment;
use crate::registers::gap::answer::GapState;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What controls and evidence say of a requirement, beside what was answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GapSupport {
    /// How far controls cover it, as `/coverage` of the framework says: of the scope of the
    /// assessment where it has one, of the whole organization otherwise. Composed mappings do not
    /// count.
    pub coverage: CoverageState,
    /// What the coverage would be if composed mappings held; null where they would not change it.
    #[schema(required)]
    pub suggested_coverage: Option<CoverageState>,
    /// Current evidence that names the requirement itself.
    #[schema(minimum = 0)]
    pub current_evidence: i64,
    /// Is it answered `met` or `partially_met` with nothing behind it: neither a control that
    /// covers it nor current evidence?
    pub unsupported: bool,
}
/// What is said of each requirement; nothing where the framework was archived, or the key does not
/// see it.
pub fn of(
    reader: &mut Reader<'_>,
    assessment: &Record<GapAssessment>,
    answers: &[(&str, GapState)],
) -> Result<BTreeMap<String, GapSupport>> {
    let scope = match assessment.links.many("scope_ids") {
        [scope] => Some(*scope),
        _ => None,
    };
    let coverage = match coverage::compute(reader, &assessment.own.framework, scope) {
        Ok(coverage) => coverage,
        Err(problem) if problem.is(Code::NotFound) => return Ok(BTreeMap::new()),
        Err(problem) => return Err(problem),
    };
    let entries = coverage
        .entries
        .iter()
        .map(|entry| (entry.requirement.as_str(), entry));
    let covered: BTreeMap<&str, &CoverageEntry> = entries.collect();
    let facts = Facts::of(reader, &[Part::Controls, Part::Evidence])?;
    let seen = Seen::of(reader, Evidence::KIND.name)?;
    let proofs = Proofs::of(&facts, reader, &seen).direct(&seen, None);
    let of = |(requirement, state): &(&str, GapState)| {
        let entry = covered.get(requirement)?;
        let proofs = proofs
            .get(requirement)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let current_evidence = EvidenceStatus::of(proofs.iter()).current;
        let said = matches!(state, GapState::Met | GapState::PartiallyMet);
        let bare = entry.state == CoverageState::NotCovered && current_evidence == 0;
        let support = GapSupport {
            coverage: entry.state,
            suggested_coverage: entry.suggested_state,
            current_evidence,
            unsupported: said && bare,
        };
        Some(((*requirement).to_owned(), support))
    };
    Ok(answers.iter().filter_map(of).collect())
}
