//! How a statement comes about: what was decided, the controls of the scope, the risks that rest on
//! them, and the evidence behind them, read at one moment by as many queries whatever their number.
use crate::core::catalogue::{Framework, Requirement};
use crate::core::{Id, Result};
use crate::db::dialect::at;
use crate::db::schema::{controls as c, links as l, requirement_links as rl, versions as v};
use crate::insight::overview::elsewhere_of;
use crate::records::{Reader, Resource};
use crate::registers::control::proof as support;
use crate::registers::control::proof::{Operation, Proof, Support};
use crate::registers::control::{Frequency, Implementation as Stage, Responsibility};
use crate::registers::risk::Risk;
use crate::registers::soa::applicability;
use crate::registers::soa::applicability::{Applicability, Verdict};
use crate::registers::soa::contradiction::speaks_against;
use crate::registers::soa::{
    ControlRef, ImplementationState, OwnControl, SoaEntry, SoaReason, SoaSummary,
    StatementOfApplicability,
};
use crate::registers::treatment;
use crate::registers::treatment::RiskTreatment;
use diesel::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Controls that an entry names at most; `control_count` has all.
const NAMED: usize = 200;
/// How many it names where 200 each would not fit.
const FEWER: [usize; 10] = [150, 100, 70, 50, 30, 20, 10, 5, 2, 1];
/// Risks, and treatments, that an entry names at most; `risk_count` and `treatment_count` have all.
const CODES: usize = 50;
/// Bytes of a statement, about: what would not fit is counted and not named.
const ROOM: usize = 960_000;

/// A control as the statement needs it.
struct Standing {
    what: ControlRef,
    stage: Stage,
    requirements: Vec<String>,
    proofs: Vec<Proof>,
    operation: Operation,
    /// The numbers of the risks that rest on it.
    risks: BTreeSet<i64>,
    /// The numbers of the approved treatments that apply it.
    treatments: BTreeSet<i64>,
}

impl Standing {
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
fn codes<'n>(prefix: &str, numbers: impl IntoIterator<Item = &'n i64>, most: usize) -> Vec<String> {
    numbers
        .into_iter()
        .take(most)
        .map(|number| format!("{prefix}-{number}"))
        .collect()
}

/// The statement at the reader's moment.
pub fn compute(
    reader: &mut Reader<'_>,
    scope: Id,
    framework: &Framework,
) -> Result<StatementOfApplicability> {
    reader.knows(&Applicability::KIND)?;
    let mut decided = applicability::verdicts(reader, scope)?;
    let elsewhere = elsewhere_of(reader, &["control", "evidence", "risk"], scope)?;
    let controls = standing_controls(reader, &elsewhere)?;
    let mut direct = support::by_requirement(reader)?;
    direct
        .values_mut()
        .for_each(|proofs| proofs.retain(|proof| !elsewhere.contains(&proof.evidence)));
    let mut by_requirement: HashMap<&str, Vec<&Standing>> = HashMap::new();
    controls.iter().for_each(|control| {
        control
            .requirements
            .iter()
            .for_each(|requirement| by_requirement.entry(requirement).or_default().push(control))
    });
    let annex = || framework.decidable();
    let met: BTreeSet<&str> = annex().map(|requirement| requirement.id.as_str()).collect();
    let outside = controls.iter().filter(|control| {
        control.living()
            && !control
                .requirements
                .iter()
                .any(|r| met.contains(r.as_str()))
    });
    let outside: Vec<&Standing> = outside.collect();
    let lists: Vec<&[&Standing]> = annex()
        .map(|r| {
            by_requirement
                .get(r.id.as_str())
                .map(Vec::as_slice)
                .unwrap_or_default()
        })
        .collect();
    let said = |verdict: &Verdict| {
        200 + verdict.by.name.len() + verdict.justification.as_ref().map_or(0, String::len)
    };
    let words = annex().map(|r| 690 + r.title.len() + decided.get(&r.id).map_or(0, said));
    let words: usize = words.sum();
    let excluded = |r: &Requirement| {
        decided
            .get(&r.id)
            .is_some_and(|verdict| !verdict.applicable)
    };
    let twice: Vec<bool> = annex().map(excluded).collect();
    let (named, owned) = fitting(&lists, &twice, &outside, ROOM.saturating_sub(words));
    let entries: Vec<SoaEntry> = annex()
        .zip(&lists)
        .map(|(requirement, controls)| {
            let direct = direct
                .get(&requirement.id)
                .map(Vec::as_slice)
                .unwrap_or_default();
            entry(
                requirement,
                decided.remove(&requirement.id),
                controls,
                direct,
                named,
            )
        })
        .collect();
    let own_controls: Vec<OwnControl> = owned
        .into_iter()
        .map(|control| own(control, named))
        .collect();
    let summary = summary(&entries, outside.len());
    Ok(StatementOfApplicability {
        scope_id: scope,
        framework: framework.slug.to_owned(),
        entries,
        own_controls,
        summary,
    })
}

/// Pure: how many controls each entry names, and which own controls are named, so that both fit
/// into so many bytes. Where an entry is excluded, what speaks against it is named `twice`. Own
/// controls that approved treatments apply come first when not all fit.
fn fitting<'c>(
    lists: &[&[&Standing]],
    twice: &[bool],
    outside: &[&'c Standing],
    room: usize,
) -> (usize, Vec<&'c Standing>) {
    let line = |control: &&Standing| 350 + control.line() + control.codes(CODES);
    let own: usize = outside.iter().map(line).sum();
    let left = room.saturating_sub(own).max(room / 2);
    let entry = |(list, twice): (&&[&Standing], &bool), most: usize| {
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

fn entry(
    requirement: &Requirement,
    verdict: Option<Verdict>,
    controls: &[&Standing],
    direct: &[Proof],
    named: usize,
) -> SoaEntry {
    let (decided, applicable) = (
        verdict.is_some(),
        verdict.as_ref().is_none_or(|verdict| verdict.applicable),
    );
    let (decided_at, decided_by) = verdict
        .as_ref()
        .map(|verdict| (verdict.at, verdict.by.clone()))
        .unzip();
    let (justification, said) = verdict.map_or((None, vec![]), |verdict| {
        (verdict.justification, verdict.reasons)
    });
    let risks: BTreeSet<i64> = controls
        .iter()
        .flat_map(|control| &control.risks)
        .copied()
        .collect();
    let treatments: BTreeSet<i64> = controls
        .iter()
        .flat_map(|control| &control.treatments)
        .copied()
        .collect();
    let risk = (!risks.is_empty()).then_some(SoaReason::Risk);
    let reasons: Vec<SoaReason> = risk
        .into_iter()
        .chain(said.into_iter().map(SoaReason::from))
        .collect();
    let against = controls
        .iter()
        .filter(|control| !applicable && control.against());
    let contradicting = against
        .take(named.max(1))
        .map(|control| control.what.clone());
    let mut entry = SoaEntry {
        lacks: None,
        decided,
        decided_at,
        decided_by,
        requirement: requirement.id.clone(),
        title: requirement.title.clone(),
        theme: requirement
            .attributes
            .get("theme")
            .and_then(|theme| theme.as_str())
            .map(str::to_owned),
        applicable,
        justification_missing: applicable
            && reasons.is_empty()
            && justification
                .as_deref()
                .is_none_or(|text| text.trim().is_empty()),
        contradicted_by: contradicting.collect(),
        justification,
        reasons,
        implementation: applicable
            .then(|| implementation(controls.iter().map(|control| control.stage))),
        operation: applicable.then(|| {
            operating(
                controls
                    .iter()
                    .map(|control| (control.stage, control.operation)),
            )
        }),
        controls: controls
            .iter()
            .take(named)
            .map(|control| control.what.clone())
            .collect(),
        control_count: controls.len() as i64,
        risk_codes: codes(Risk::KIND.code, &risks, named.min(CODES)),
        risk_count: risks.len() as i64,
        treatment_codes: codes(RiskTreatment::KIND.code, &treatments, named.min(CODES)),
        treatment_count: treatments.len() as i64,
        evidence: Support::of(
            controls
                .iter()
                .flat_map(|control| &control.proofs)
                .chain(direct),
        ),
    };
    entry.lacks = entry.lacking();
    entry
}

fn own(control: &Standing, named: usize) -> OwnControl {
    let ControlRef { id, code, name } = control.what.clone();
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
        risk_codes: codes(Risk::KIND.code, &control.risks, named.min(CODES)),
        risk_count: control.risks.len() as i64,
        treatment_codes: codes(
            RiskTreatment::KIND.code,
            &control.treatments,
            named.min(CODES),
        ),
        treatment_count: control.treatments.len() as i64,
        evidence: Support::of(control.proofs.iter()),
    }
}

/// Pure: the entries in numbers.
fn summary(entries: &[SoaEntry], own_controls: usize) -> SoaSummary {
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
        all.justification_missing += i64::from(entry.justification_missing);
        all.contradicted += i64::from(!entry.contradicted_by.is_empty());
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

/// The controls of a scope (its own, and those of the whole organization), in the order of their
/// codes, with what rests on them and proves them.
fn standing_controls(reader: &mut Reader<'_>, elsewhere: &BTreeSet<Id>) -> Result<Vec<Standing>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let seen = support::visible(reader, "control")?;
    let own = c::table.inner_join(
        v::table.on(v::tenant_id
            .eq(c::tenant_id)
            .and(v::id.eq(c::id))
            .and(v::version.eq(c::version))),
    );
    let own = own
        .filter(
            v::tenant_id
                .eq(tenant)
                .and(v::kind.eq("control"))
                .and(v::archived_at.is_null()),
        )
        .filter(at(seq));
    type Found = (Id, i64, String, Stage, Responsibility, Option<Frequency>);
    let columns = (
        v::id,
        v::number,
        v::name,
        c::implementation,
        c::responsibility,
        c::frequency,
    );
    let mut rows: Vec<Found> = own.order(v::number).select(columns).load(reader.conn())?;
    rows.retain(|(id, ..)| {
        seen.as_ref().is_none_or(|seen| seen.contains(id)) && !elsewhere.contains(id)
    });
    let met = rl::table
        .inner_join(v::table.on(v::tenant_id.eq(rl::tenant_id).and(v::id.eq(rl::from_id))));
    let met = met.filter(
        rl::tenant_id
            .eq(tenant)
            .and(rl::from_seq.le(seq))
            .and(rl::to_seq.gt(seq)),
    );
    let met = met
        .filter(v::kind.eq("control"))
        .filter(at(seq))
        .select((rl::from_id, rl::requirement));
    let mut requirements: HashMap<Id, Vec<String>> = HashMap::new();
    for (id, requirement) in met.load::<(Id, String)>(reader.conn())? {
        requirements.entry(id).or_default().push(requirement);
    }
    let frequencies = rows
        .iter()
        .filter_map(|row| Some((row.0, row.5?)))
        .collect();
    let mut proofs = support::proofs_at(reader, None, &frequencies)?;
    let mut relying = relying(reader, elsewhere)?;
    let standing = |(id, number, name, stage, responsibility, _): Found| {
        let proofs = proofs.remove(&id).unwrap_or_default();
        let (risks, treatments) = relying.remove(&id).unwrap_or_default();
        Standing {
            risks,
            treatments,
            operation: support::operation(stage == Stage::Implemented, responsibility, &proofs),
            what: ControlRef {
                id,
                code: format!("CTL-{number}"),
                name,
            },
            stage,
            requirements: requirements.remove(&id).unwrap_or_default(),
            proofs,
        }
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// The numbers of the risks, and of the approved treatments, that rest on a control.
type Relying = HashMap<Id, (BTreeSet<i64>, BTreeSet<i64>)>;

/// Which risks of the scope rest on which controls, or are treated by them.
fn relying(reader: &mut Reader<'_>, elsewhere: &BTreeSet<Id>) -> Result<Relying> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let seen = support::visible(reader, "risk")?;
    let here = |risk: &Id| {
        !elsewhere.contains(risk) && seen.as_ref().is_none_or(|seen| seen.contains(risk))
    };
    let existing =
        l::table.inner_join(v::table.on(v::tenant_id.eq(l::tenant_id).and(v::id.eq(l::from_id))));
    let existing = existing.filter(
        l::tenant_id
            .eq(tenant)
            .and(l::relation.eq("existing_control_ids")),
    );
    let existing = existing.filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
    let existing = existing
        .filter(v::kind.eq("risk").and(v::archived_at.is_null()))
        .filter(at(seq));
    let existing: Vec<(Id, Id, i64)> = existing
        .select((l::to_id, l::from_id, v::number))
        .load(reader.conn())?;
    let mut all = Relying::new();
    for (control, _, number) in existing.into_iter().filter(|(_, risk, _)| here(risk)) {
        all.entry(control).or_default().0.insert(number);
    }
    for applied in treatment::applications(reader)?
        .into_iter()
        .filter(|applied| here(&applied.risk))
    {
        let (risks, treatments) = all.entry(applied.control).or_default();
        risks.insert(applied.risk_number);
        treatments.insert(applied.treatment_number);
    }
    Ok(all)
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

    fn control(name: &str, applied: bool) -> Standing {
        Standing {
            what: ControlRef {
                id: Id::new(),
                code: "CTL-1".into(),
                name: name.into(),
            },
            stage: Stage::Implemented,
            requirements: vec![],
            proofs: vec![],
            operation: Operation::Unproven,
            risks: BTreeSet::new(),
            treatments: if applied {
                BTreeSet::from([1])
            } else {
                BTreeSet::new()
            },
        }
    }

    #[test]
    fn what_does_not_fit_is_not_named() {
        let (plain, applied) = (control("a", false), control("b", true));
        let many: Vec<&Standing> = std::iter::repeat_n(&plain, 1000).collect();
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
