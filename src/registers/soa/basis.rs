//! What a statement is made of: the controls of the scope, the risks and treatments that rest on
//! them, the evidence behind them, and what was decided, all of one moment.
use crate::core::catalogue::{Framework, Requirement};
use crate::core::{Id, Result};
use crate::records::{Reader, Resource};
use crate::registers::control::proof::{Operation, Proof};
use crate::registers::control::{Control, Implementation as Stage};
use crate::registers::evidence::Evidence;
use crate::registers::facts::{ControlFact, Fact, Facts, Part, Proofs, Seen};
use crate::registers::risk::Risk;
use crate::registers::soa::applicability::Applicability;
use crate::registers::soa::contradiction::{ControlRef, speaks_against};
use crate::registers::soa::verdicts::{Verdict, Verdicts};
use crate::registers::treatment::RiskTreatment;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A control as the statement needs it.
pub struct Standing<'f> {
    /// Which it is.
    pub what: ControlRef,
    /// How far it is.
    pub stage: Stage,
    /// What it meets.
    pub requirements: &'f [String],
    /// What proves it.
    pub proofs: &'f [Proof],
    /// Whether it works.
    pub operation: Operation,
    /// The numbers of the risks that rest on it.
    pub risks: Vec<i64>,
    /// The numbers of the approved treatments that apply it.
    pub treatments: Vec<i64>,
}

impl Standing<'_> {
    /// Bytes of its line, about.
    pub fn line(&self) -> usize {
        75 + self.what.code.len() + self.what.name.len()
    }
    /// Bytes of the codes that its line, or that of its requirement, has with so many of them,
    /// about.
    pub fn codes(&self, most: usize) -> usize {
        14 * (self.risks.len().min(most) + self.treatments.len().min(most))
    }
    /// Is it not retired?
    pub fn living(&self) -> bool {
        self.stage != Stage::Retired
    }
    /// Does a risk rest on it?
    pub fn relied_on(&self) -> bool {
        !self.risks.is_empty()
    }
    /// Does it speak against an exclusion?
    pub fn against(&self) -> bool {
        speaks_against(self.stage, self.relied_on())
    }
}

/// Each number once, in order.
pub fn once(numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
    BTreeSet::from_iter(numbers).into_iter().collect()
}

/// What a statement is made of, as its reader sees it.
pub struct Basis {
    /// What stands.
    pub facts: Arc<Facts>,
    /// What was decided.
    pub verdicts: Arc<Verdicts>,
    controls: Seen,
    /// The evidence that the reader sees.
    pub evidence: Seen,
    risks: Seen,
    treatments: Seen,
    scope: Id,
}

impl Basis {
    /// At the reader's moment.
    pub fn read(reader: &mut Reader<'_>, scope: Id) -> Result<Self> {
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
    pub fn standing<'f>(&'f self, proofs: &'f Proofs<'f>) -> Vec<Standing<'f>> {
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
        let mut here: Vec<_> = here.collect();
        here.sort_by_key(|(_, control)| control.stub.number);
        let standing = |(place, control): (usize, &'f Fact<ControlFact>)| {
            let (stub, own) = (&control.stub, &control.own);
            let relying = relying.get_mut(place).map(std::mem::take);
            let (risks, treatments) = relying.unwrap_or_default();
            Standing {
                what: ControlRef {
                    id: stub.id,
                    code: Control::KIND.numbered(stub.number),
                    name: own.name.to_string(),
                },
                stage: own.stage,
                requirements: &own.requirements,
                proofs: proofs.at(place),
                operation: proofs.operation(place, own),
                risks: once(risks),
                treatments: once(treatments),
            }
        };
        here.into_iter().map(standing).collect()
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
                let controls = risk.own.controls.iter();
                controls.for_each(|id| rest(*id, risk.stub.number, None));
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
                let controls = one.own.controls.iter();
                controls.for_each(|id| rest(*id, risk, Some(treatment)));
            }
        }
        all
    }
    /// What was decided about a requirement.
    pub fn verdict(&self, requirement: &Requirement) -> Option<&Verdict> {
        self.verdicts.on(self.scope, &requirement.id)
    }
}

/// The controls by the requirements of a framework, in its order, and the necessary ones outside of
/// it.
pub struct Met<'s, 'f> {
    /// By requirement.
    pub by: Vec<(&'f Requirement, Vec<&'s Standing<'f>>)>,
    /// Necessary, and outside.
    pub outside: Vec<&'s Standing<'f>>,
}
impl<'s, 'f> Met<'s, 'f> {
    /// Each control where it belongs.
    pub fn of(controls: &'s [Standing<'f>], framework: &'f Framework) -> Self {
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
