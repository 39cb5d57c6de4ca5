//! How a statement comes about: what was decided, the controls of the scope, the risks that rest on
//! them, and the evidence behind them, all of one moment.
use crate::core::catalogue::{Framework, Requirement};
use crate::core::{Id, Result};
use crate::records::{Reader, Resource};
use crate::registers::control::proof::{Operation, Proof, Support};
use crate::registers::control::{Control, Implementation as Stage};
use crate::registers::evidence::Evidence;
use crate::registers::facts::{Facts, Part, Proofs, Seen};
use crate::registers::risk::Risk;
use crate::registers::soa::applicability::{Applicability, Verdict, Verdicts};
use crate::registers::soa::contradiction::speaks_against;
use crate::registers::soa::{
    ControlRef, ImplementationState, OwnControl, SoaEntry, SoaReason, SoaSummary,
    StatementOfApplicability,
};
use crate::registers::treatment::RiskTreatment;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Controls that an entry names at most; `control_count` has all.
const NAMED: usize = 200;
/// How many it names where 200 each would not fit.
const FEWER: [usize; 10] = [150, 100, 70, 50, 30, 20, 10, 5, 2, 1];
/// Risks, and treatments, that an entry names at most; `risk_count` and `treatment_count` have all.
const CODES: usize = 50;
/// Bytes of a statement, about: what would not fit is counted and not named.
const ROOM: usize = 960_000;

/// A control as the statement needs it.
struct Standing<'f> {
    what: ControlRef,
    stage: Stage,
    requirements: &'f [String],
    proofs: &'f [Proof],
    operation: Operation,
    /// The numbers of the risks that rest on it.
    risks: Vec<i64>,
    /// The numbers of the approved treatments that apply it.
    treatments: Vec<i64>,
}

impl Standing<'_> {
    /// Bytes of its line, about.
    fn line(&self) -> usize {
        75 + self.what.code.len() + self.what.name.len()
    }
    /// Bytes of the codes that its line, or that of its requirement, has with so many of them,
    /// about.
    fn codes(&self, most: usize) -> usize {
        14 * (self.risks.len().min(most) + self.treatments.len().min(most))
    }
    fn living(&self) -> bool {
        self.stage != Stage::Retired
    }
    /// Does a risk rest on it?
    fn relied_on(&self) -> bool {
        !self.risks.is_empty()
    }
    fn against(&self) -> bool {
        speaks_against(self.stage, self.relied_on())
    }
}

/// The first codes of these numbers.
fn codes(prefix: &str, numbers: &[i64], most: usize) -> Vec<String> {
    numbers
        .iter()
        .take(most)
        .map(|number| format!("{prefix}-{number}"))
        .collect()
}
/// Each number once, in order.
fn once(numbers: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut all: Vec<i64> = numbers.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What a statement is made of, as its reader sees it.
struct Basis {
    facts: Arc<Facts>,
    verdicts: Arc<Verdicts>,
    controls: Seen,
    evidence: Seen,
    risks: Seen,
    treatments: Seen,
    scope: Id,
}

impl Basis {
    fn read(reader: &mut Reader<'_>, scope: Id) -> Result<Self> {
        const PARTS: &[Part] = &[
            Part::Controls,
            Part::Evidence,
            Part::Risks,
            Part::Treatments,
        ];
        reader.knows(&Applicability::KIND)?;
        Ok(Basis {
            facts: Facts::of(reader, PARTS)?,
            verdicts: Verdicts::of(reader)?,
            controls: Seen::of(reader, Control::KIND.name)?,
            evidence: Seen::of(reader, Evidence::KIND.name)?,
            risks: Seen::of(reader, Risk::KIND.name)?,
            treatments: Seen::of(reader, RiskTreatment::KIND.name)?,
            scope,
        })
    }
    /// The controls of the scope (its own, and those of the whole organization), in the order of
    /// their codes, with what rests on them and proves them.
    fn standing<'f>(&'f self, proofs: &'f Proofs<'f>) -> Vec<Standing<'f>> {
        let mut relying = self.relying();
        let here = self
            .facts
            .controls
            .iter()
            .enumerate()
            .filter(|(_, control)| {
                let stub = &control.stub;
                !stub.archived && stub.within(Some(self.scope)) && self.controls.has(stub.id)
            });
        let mut all: Vec<(i64, Standing<'f>)> = here
            .map(|(place, control)| {
                let (stub, own) = (&control.stub, &control.own);
                let (risks, treatments) = relying
                    .get_mut(place)
                    .map(std::mem::take)
                    .unwrap_or_default();
                let standing = Standing {
                    what: ControlRef {
                        id: stub.id,
                        code: Control::KIND.numbered(stub.number),
                        name: own.name.to_string(),
                    },
                    stage: own.stage,
                    requirements: &own.requirements,
                    proofs: proofs.at(place),
                    operation: proofs.operation(place, own),
                    risks: once(risks.into_iter()),
                    treatments: once(treatments.into_iter()),
                };
                (stub.number, standing)
            })
            .collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, standing)| standing).collect()
    }
    /// The numbers of the risks of the scope, and of their approved treatments, that rest on each
    /// control, by its place.
    fn relying(&self) -> Vec<(Vec<i64>, Vec<i64>)> {
        let facts = &self.facts;
        let mut all = vec![(vec![], vec![]); facts.controls.len()];
        let mut rest = |control: Id, risk: i64, treatment: Option<i64>| {
            let place = facts.controls.place(control);
            if let Some((risks, treatments)) = place.and_then(|place| all.get_mut(place)) {
                risks.push(risk);
                treatments.extend(treatment);
            }
        };
        for risk in facts.risks.iter().filter(|risk| !risk.stub.archived) {
            if risk.stub.within(Some(self.scope)) && self.risks.has(risk.stub.id) {
                risk.own
                    .controls
                    .iter()
                    .for_each(|id| rest(*id, risk.stub.number, None));
            }
        }
        let signed = facts.treatments.iter().filter(|one| {
            ["approved", "in_progress", "completed"].contains(&one.stub.status)
                && !one.stub.archived
                && self.treatments.has(one.stub.id)
        });
        for one in signed {
            // A treatment of a risk that was archived was signed all the same.
            let Some(risk) = facts.risks.get(one.own.risk) else {
                continue;
            };
            if risk.stub.within(Some(self.scope)) && self.risks.has(risk.stub.id) {
                let (risk, treatment) = (risk.stub.number, one.stub.number);
                one.own
                    .controls
                    .iter()
                    .for_each(|id| rest(*id, risk, Some(treatment)));
            }
        }
        all
    }
    fn verdict(&self, requirement: &Requirement) -> Option<&Verdict> {
        self.verdicts.on(self.scope, &requirement.id)
    }
}

/// The controls by the requirements of a framework, in its order, and the necessary ones outside of
/// it.
struct Met<'s, 'f> {
    by: Vec<(&'f Requirement, Vec<&'s Standing<'f>>)>,
    outside: Vec<&'s Standing<'f>>,
}
impl<'s, 'f> Met<'s, 'f> {
    fn of(controls: &'s [Standing<'f>], framework: &'f Framework) -> Self {
        let mut by: Vec<(&'f Requirement, Vec<&'s Standing<'f>>)> = framework
            .decidable()
            .map(|requirement| (requirement, vec![]))
            .collect();
        let places: HashMap<&str, usize> = by
            .iter()
            .enumerate()
            .map(|(n, (one, _))| (one.id.as_str(), n))
            .collect();
        let mut outside = Vec::new();
        for control in controls {
            let mut necessary = control.living();
            for place in control
                .requirements
                .iter()
                .filter_map(|met| places.get(met.as_str()))
            {
                necessary = false;
                if let Some((_, controls)) = by.get_mut(*place) {
                    controls.push(control);
                }
            }
            outside.extend(necessary.then_some(control));
        }
        Met { by, outside }
    }
}

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
    let twice: Vec<bool> = verdicts
        .iter()
        .map(|verdict| verdict.as_ref().is_some_and(|verdict| !verdict.applicable))
        .collect();
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
        framework: framework.slug.to_owned(),
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

/// Pure: how many controls each entry names, and which own controls are named, so that both fit
/// into so many bytes. Where an entry is excluded, what speaks against it is named `twice`. Own
/// controls that approved treatments apply come first when not all fit.
fn fitting<'c>(
    lists: &[&[&Standing<'_>]],
    twice: &[bool],
    outside: &[&'c Standing<'c>],
    room: usize,
) -> (usize, Vec<&'c Standing<'c>>) {
    let line = |control: &&Standing<'_>| 350 + control.line() + control.codes(CODES);
    let own: usize = outside.iter().map(line).sum();
    let left = room.saturating_sub(own).max(room / 2);
    let entry = |(list, twice): (&&[&Standing<'_>], &bool), most: usize| {
        let lines: usize = list.iter().take(most).map(|control| control.line()).sum();
        let codes: usize = list
            .iter()
            .map(|control| control.codes(most.min(CODES)))
            .sum();
        lines * if *twice { 2 } else { 1 } + codes.min(2 * 14 * most.min(CODES))
    };
    let takes = |most: usize| {
        lists
            .iter()
            .zip(twice)
            .map(|both| entry(both, most))
            .sum::<usize>()
    };
    let named = [NAMED]
        .into_iter()
        .chain(FEWER)
        .find(|most| takes(*most) <= left)
        .unwrap_or_default();
    let mut left = room.saturating_sub(takes(named));
    if own <= left {
        return (named, outside.to_vec());
    }
    let mut chosen: BTreeSet<Id> = BTreeSet::new();
    for applied in [true, false] {
        for control in outside
            .iter()
            .filter(|control| control.treatments.is_empty() != applied)
        {
            if line(control) <= left {
                left -= line(control);
                chosen.insert(control.what.id);
            }
        }
    }
    (
        named,
        outside
            .iter()
            .copied()
            .filter(|control| chosen.contains(&control.what.id))
            .collect(),
    )
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
    let Judged {
        decided,
        applicable,
        ..
    } = judged;
    let (justification, said, decided_at, decided_by) = match verdict {
        Some(Verdict {
            justification,
            reasons,
            at,
            by,
            ..
        }) => (justification, reasons, Some(at), Some(by)),
        None => (None, vec![], None, None),
    };
    let risks = once(controls.iter().flat_map(|control| &control.risks).copied());
    let treatments = once(
        controls
            .iter()
            .flat_map(|control| &control.treatments)
            .copied(),
    );
    let risk = (!risks.is_empty()).then_some(SoaReason::Risk);
    let reasons = risk
        .into_iter()
        .chain(said.into_iter().map(SoaReason::from));
    let against = controls
        .iter()
        .filter(|control| !applicable && control.against());
    let what = |control: &&Standing<'_>| control.what.clone();
    let theme = requirement
        .attributes
        .get("theme")
        .and_then(|theme| theme.as_str());
    let works = || {
        operating(
            controls
                .iter()
                .map(|control| (control.stage, control.operation)),
        )
    };
    let mut entry = SoaEntry {
        lacks: None,
        decided,
        decided_at,
        decided_by,
        requirement: requirement.id.clone(),
        title: requirement.title.clone(),
        theme: theme.map(str::to_owned),
        applicable,
        justification_missing: judged.unjustified,
        contradicted_by: against.take(named.max(1)).map(what).collect(),
        justification,
        reasons: reasons.collect(),
        implementation: judged.implementation,
        operation: applicable.then(works),
        controls: controls.iter().take(named).map(what).collect(),
        control_count: controls.len() as i64,
        risk_codes: codes(Risk::KIND.code, &risks, named.min(CODES)),
        risk_count: risks.len() as i64,
        treatment_codes: codes(RiskTreatment::KIND.code, &treatments, named.min(CODES)),
        treatment_count: treatments.len() as i64,
        evidence: Support::of(
            controls
                .iter()
                .flat_map(|control| control.proofs)
                .chain(direct),
        ),
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
        reasons: control
            .relied_on()
            .then_some(SoaReason::Risk)
            .into_iter()
            .collect(),
        implementation: implementation([control.stage].into_iter()),
        operation: control.operation,
        risk_codes: codes(Risk::KIND.code, &control.risks, most),
        risk_count: control.risks.len() as i64,
        treatment_codes: codes(RiskTreatment::KIND.code, &control.treatments, most),
        treatment_count: control.treatments.len() as i64,
        evidence: Support::of(control.proofs.iter()),
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
        let of = |stages: &[Stage]| implementation(stages.iter().copied());
        assert_eq!(of(&[]), ImplementationState::NotImplemented);
        assert_eq!(of(&[Stage::Retired]), ImplementationState::NotImplemented);
        assert_eq!(
            of(&[Stage::Implemented, Stage::Retired]),
            ImplementationState::Implemented
        );
        assert_eq!(
            of(&[Stage::Implemented, Stage::Planned]),
            ImplementationState::PartiallyImplemented
        );
        assert_eq!(
            of(&[Stage::NotStarted, Stage::InProgress]),
            ImplementationState::Planned
        );
    }

    #[test]
    fn whether_it_works() {
        use Operation::{Operating, Stale, Unproven};
        let of = |words: &[(Stage, Operation)]| operating(words.iter().copied());
        assert_eq!(of(&[]), Unproven);
        assert_eq!(
            of(&[(Stage::Implemented, Operating), (Stage::Retired, Unproven)]),
            Operating
        );
        assert_eq!(
            of(&[
                (Stage::Implemented, Operating),
                (Stage::Implemented, Unproven)
            ]),
            Stale
        );
        assert_eq!(of(&[(Stage::Planned, Unproven)]), Unproven);
    }

    fn control(name: &str, applied: bool) -> Standing<'static> {
        Standing {
            what: ControlRef {
                id: Id::new(),
                code: "CTL-1".into(),
                name: name.into(),
            },
            stage: Stage::Implemented,
            requirements: &[],
            proofs: &[],
            operation: Operation::Unproven,
            risks: vec![],
            treatments: if applied { vec![1] } else { vec![] },
        }
    }

    #[test]
    fn what_does_not_fit_is_not_named() {
        let (plain, applied) = (control("a", false), control("b", true));
        let many: Vec<&Standing<'_>> = std::iter::repeat_n(&plain, 1000).collect();
        let (named, own) = fitting(&[&many], &[false], &[&plain, &applied], ROOM);
        assert_eq!((named, own.len()), (200, 2));
        let (named, own) = fitting(&[&many, &many], &[false, false], &[&plain, &applied], 4200);
        assert_eq!(
            (named, own.len()),
            (20, 2),
            "two lists of twenty, and both own controls"
        );
        let (named, _) = fitting(&[&many, &many], &[true, true], &[], 4200);
        assert_eq!(named, 10, "what speaks against an exclusion is named twice");
        let (_, own) = fitting(&[], &[], &[&plain, &applied], 470);
        assert_eq!(
            own.iter().map(|c| c.what.name.as_str()).collect::<Vec<_>>(),
            ["b"],
            "what treats a risk comes first"
        );
    }
}
