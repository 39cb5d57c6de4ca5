//! How a statement comes about: each requirement with what was decided and what its controls come
//! to, all of one moment.
use crate::core::catalogue::{Framework, Requirement};
use crate::core::{Id, Result};
use crate::records::{Reader, Resource};
use crate::registers::control::Implementation as Stage;
use crate::registers::control::proof::{EvidenceStatus, Operation, Proof};
use crate::registers::facts::Proofs;
use crate::registers::risk::Risk;
use crate::registers::soa::basis::{Basis, Met, Standing, once};
use crate::registers::soa::contradiction::ControlRef;
use crate::registers::soa::fitting::{CODES, ROOM, fitting};
use crate::registers::soa::statement::{
    ImplementationState, OwnControl, SoaEntry, SoaReason, StatementOfApplicability,
};
use crate::registers::soa::verdicts::Verdict;
use crate::registers::soa::version::SoaSummary;
use crate::registers::treatment::RiskTreatment;

/// The statement at the reader's moment.
pub fn compute(
    reader: &mut Reader<'_>,
    scope: Id,
    framework: &Framework,
) -> Result<StatementOfApplicability> {
    let basis = Basis::read(reader, scope)?;
    let names = basis.verdicts.names(reader, scope)?;
    let proofs = Proofs::of(&basis.facts, reader, &basis.evidence);
    let direct = proofs.direct(&basis.evidence, Some(scope));
    let controls = basis.standing(&proofs);
    let met = Met::of(&controls, framework);
    let lists: Vec<&[&Standing<'_>]> = met.by.iter().map(|(_, list)| list.as_slice()).collect();
    let verdicts: Vec<Option<Verdict>> = met
        .by
        .iter()
        .map(|(requirement, _)| {
            let mut verdict = basis.verdict(requirement).cloned()?;
            if let Some(name) = names.get(&verdict.by.id) {
                verdict.by.name.clone_from(name);
            }
            Some(verdict)
        })
        .collect();
    let said = |verdict: &Verdict| {
        200 + verdict.by.name.len() + verdict.justification.as_ref().map_or(0, String::len)
    };
    let both = || met.by.iter().zip(&verdicts);
    let words: usize = both()
        .map(|((r, _), verdict)| 690 + r.title.len() + verdict.as_ref().map_or(0, said))
        .sum();
    let excluded = |verdict: &Option<Verdict>| verdict.as_ref().is_some_and(|one| !one.applicable);
    let twice: Vec<bool> = verdicts.iter().map(excluded).collect();
    let (named, owned) = fitting(&lists, &twice, &met.outside, ROOM.saturating_sub(words));
    let judged: Vec<Judged> = both()
        .map(|((_, controls), verdict)| Judged::of(verdict.as_ref(), controls))
        .collect();
    let summary = summary(&judged, met.outside.len());
    let entries = met.by.iter().zip(verdicts).zip(judged).map(
        |(((requirement, controls), verdict), judged)| {
            let direct = direct
                .get(requirement.id.as_str())
                .map(Vec::as_slice)
                .unwrap_or_default();
            entry(requirement, (verdict, judged), controls, direct, named)
        },
    );
    Ok(StatementOfApplicability {
        scope_id: scope,
        framework: framework.slug.clone(),
        entries: entries.collect(),
        own_controls: owned
            .into_iter()
            .map(|control| own(control, named))
            .collect(),
        summary,
    })
}

/// The statement in numbers alone.
pub fn numbers(reader: &mut Reader<'_>, scope: Id, framework: &Framework) -> Result<SoaSummary> {
    let basis = Basis::read(reader, scope)?;
    let proofs = Proofs::of(&basis.facts, reader, &basis.evidence);
    let controls = basis.standing(&proofs);
    let met = Met::of(&controls, framework);
    let judged = met
        .by
        .iter()
        .map(|(requirement, controls)| Judged::of(basis.verdict(requirement), controls));
    Ok(summary(&judged.collect::<Vec<_>>(), met.outside.len()))
}

/// Pure: how far the controls for a requirement are; what is retired does not count.
fn implementation(stages: impl Iterator<Item = Stage>) -> ImplementationState {
    let living: Vec<Stage> = stages.filter(|stage| *stage != Stage::Retired).collect();
    let done = living
        .iter()
        .filter(|stage| **stage == Stage::Implemented)
        .count();
    match (living.len(), done) {
        (0, _) => ImplementationState::NotImplemented,
        (all, done) if done == all => ImplementationState::Implemented,
        (_, 1..) => ImplementationState::PartiallyImplemented,
        _ => ImplementationState::Planned,
    }
}

/// Pure: whether a requirement's controls work: one fails, or all of them do, or some are stale, or
/// none is proven; what is retired does not count.
fn operating(controls: impl Iterator<Item = (Stage, Operation)>) -> Operation {
    let words: Vec<Operation> = controls
        .filter(|(stage, _)| *stage != Stage::Retired)
        .map(|(_, word)| word)
        .collect();
    match () {
        () if words.contains(&Operation::Failing) => Operation::Failing,
        () if !words.is_empty() && words.iter().all(|word| *word == Operation::Operating) => {
            Operation::Operating
        }
        () if words.iter().any(|word| *word != Operation::Unproven) => Operation::Stale,
        () => Operation::Unproven,
    }
}

/// The first codes of these numbers.
fn codes(prefix: &str, numbers: &[i64], most: usize) -> Vec<String> {
    let first = numbers.iter().take(most);
    first.map(|number| format!("{prefix}-{number}")).collect()
}

/// What a decision and the controls for a requirement come to.
#[derive(Debug, Clone, Copy)]
struct Judged {
    decided: bool,
    applicable: bool,
    /// Is it included without any reason?
    unjustified: bool,
    /// Is it excluded although something speaks against that?
    contradicted: bool,
    implementation: Option<ImplementationState>,
}
impl Judged {
    fn of(verdict: Option<&Verdict>, controls: &[&Standing<'_>]) -> Self {
        let applicable = verdict.is_none_or(|verdict| verdict.applicable);
        let said = verdict.is_some_and(|verdict| {
            let words = verdict.justification.as_deref().unwrap_or_default();
            !verdict.reasons.is_empty() || !words.trim().is_empty()
        });
        let relied_on = controls.iter().any(|control| control.relied_on());
        Judged {
            decided: verdict.is_some(),
            applicable,
            unjustified: applicable && !said && !relied_on,
            contradicted: !applicable && controls.iter().any(|control| control.against()),
            implementation: applicable
                .then(|| implementation(controls.iter().map(|control| control.stage))),
        }
    }
}

fn entry(
    requirement: &Requirement,
    (verdict, judged): (Option<Verdict>, Judged),
    controls: &[&Standing<'_>],
    direct: &[Proof],
    named: usize,
) -> SoaEntry {
    let applicable = judged.applicable;
    let said = verdict.iter().flat_map(|verdict| &verdict.reasons);
    let risks = once(controls.iter().flat_map(|control| &control.risks).copied());
    let treatments = controls.iter().flat_map(|control| &control.treatments);
    let treatments = once(treatments.copied());
    let risk = (!risks.is_empty()).then_some(SoaReason::Risk);
    let reasons = risk
        .into_iter()
        .chain(said.map(|reason| SoaReason::from(*reason)));
    let against = controls
        .iter()
        .filter(|control| !applicable && control.against());
    let what = |control: &&Standing<'_>| control.what.clone();
    let theme = requirement
        .attributes
        .get("theme")
        .and_then(|theme| theme.as_str());
    let works = || operating(controls.iter().map(|one| (one.stage, one.operation)));
    let proofs = controls.iter().flat_map(|control| control.proofs);
    let mut entry = SoaEntry {
        lacks: None,
        decided: judged.decided,
        reasons: reasons.collect(),
        decided_at: verdict.as_ref().map(|verdict| verdict.at),
        decided_by: verdict.as_ref().map(|verdict| verdict.by.clone()),
        requirement: requirement.id.clone(),
        title: requirement.title.clone(),
        theme: theme.map(str::to_owned),
        applicable,
        justification_missing: judged.unjustified,
        contradicted_by: against.take(named.max(1)).map(what).collect(),
        justification: verdict.and_then(|verdict| verdict.justification),
        implementation: judged.implementation,
        operation: applicable.then(works),
        controls: controls.iter().take(named).map(what).collect(),
        control_count: controls.len() as i64,
        risk_codes: codes(Risk::KIND.code, &risks, named.min(CODES)),
        risk_count: risks.len() as i64,
        treatment_codes: codes(RiskTreatment::KIND.code, &treatments, named.min(CODES)),
        treatment_count: treatments.len() as i64,
        evidence: EvidenceStatus::of(proofs.chain(direct)),
    };
    entry.lacks = entry.lacking();
    entry
}

fn own(control: &Standing<'_>, named: usize) -> OwnControl {
    let ControlRef { id, code, name } = control.what.clone();
    let most = named.min(CODES);
    OwnControl {
        id,
        code,
        name,
        reasons: Vec::from_iter(control.relied_on().then_some(SoaReason::Risk)),
        implementation: implementation([control.stage].into_iter()),
        operation: control.operation,
        risk_codes: codes(Risk::KIND.code, &control.risks, most),
        risk_count: control.risks.len() as i64,
        treatment_codes: codes(RiskTreatment::KIND.code, &control.treatments, most),
        treatment_count: control.treatments.len() as i64,
        evidence: EvidenceStatus::of(control.proofs.iter()),
    }
}

/// Pure: the entries in numbers.
fn summary(entries: &[Judged], own_controls: usize) -> SoaSummary {
    let mut all = SoaSummary {
        own_controls: own_controls as i64,
        ..SoaSummary::default()
    };
    for entry in entries {
        *(if entry.applicable {
            &mut all.applicable
        } else {
            &mut all.excluded
        }) += 1;
        all.undecided += i64::from(!entry.decided);
        all.justification_missing += i64::from(entry.unjustified);
        all.contradicted += i64::from(entry.contradicted);
        let by = &mut all.by_implementation;
        match entry.implementation {
            Some(ImplementationState::NotImplemented) => by.not_implemented += 1,
            Some(ImplementationState::Planned) => by.planned += 1,
            Some(ImplementationState::PartiallyImplemented) => by.partially_implemented += 1,
            Some(ImplementationState::Implemented) => by.implemented += 1,
            None => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_requirement_is() {
        use ImplementationState::{Implemented, NotImplemented, PartiallyImplemented, Planned};
        for (stages, state) in [
            (vec![], NotImplemented),
            (vec![Stage::Retired], NotImplemented),
            (vec![Stage::Implemented, Stage::Retired], Implemented),
            (
                vec![Stage::Implemented, Stage::Planned],
                PartiallyImplemented,
            ),
            (vec![Stage::NotStarted, Stage::InProgress], Planned),
        ] {
            assert_eq!(implementation(stages.iter().copied()), state, "{stages:?}");
        }
    }

    #[test]
    fn whether_it_works() {
        use Operation::{Operating, Stale, Unproven};
        use Stage::{Implemented, Planned, Retired};
        for (controls, word) in [
            (vec![], Unproven),
            (
                vec![(Implemented, Operating), (Retired, Unproven)],
                Operating,
            ),
            (
                vec![(Implemented, Operating), (Implemented, Unproven)],
                Stale,
            ),
            (vec![(Planned, Unproven)], Unproven),
        ] {
            assert_eq!(operating(controls.iter().copied()), word, "{controls:?}");
        }
    }
}
