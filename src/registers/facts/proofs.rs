//! What evidence proves of controls and requirements on a day: functions of the facts.
use super::{ControlFact, Fact, Facts, Piece, Seen};
use crate::core::{Id, Instant};
use crate::records::Reader;
use crate::registers::control::Implementation;
use crate::registers::control::currency::{current_until, shortest};
use crate::registers::control::proof::{Operation, Proof, operation};
use crate::registers::evidence::outcome::EvidenceOutcome;
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The proofs of each control, and of each requirement that evidence names itself.
#[derive(Debug)]
pub struct Proofs<'f> {
    facts: &'f Facts,
    /// By the place of the control among the facts.
    of_controls: Vec<Vec<Proof>>,
    today: NaiveDate,
    default_days: i32,
}

/// A test without a name of its own is answered by a later one of the same source.
type Series<'f> = (usize, &'f str, bool);

impl<'f> Proofs<'f> {
    /// On the reader's day, by the evidence that its caller sees.
    pub fn of(facts: &'f Facts, reader: &Reader<'_>, seen: &Seen) -> Self {
        let mut all = Proofs {
            facts,
            of_controls: vec![Vec::new(); facts.controls.len()],
            today: reader.today,
            default_days: reader.settings.evidence_days,
        };
        let mut failed = false;
        for piece in all.standing().filter(|piece| seen.has(piece.stub.id)) {
            for (place, control) in piece.own.proves().filter_map(|id| placed(facts, id)) {
                let until = current_until(&piece.own.span, control.own.frequency, all.default_days);
                let proof = proof(piece, until >= all.today);
                failed |= proof.failing;
                if let Some(of) = all.of_controls.get_mut(place) {
                    of.push(proof);
                }
            }
        }
        if failed {
            let answered = all.answered();
            for (place, proofs) in all.of_controls.iter_mut().enumerate() {
                for proof in proofs.iter_mut().filter(|proof| proof.failing) {
                    proof.failing = !answered.contains(&(place, proof.evidence));
                }
            }
        }
        all
    }
    /// What stands: neither archived nor superseded.
    fn standing(&self) -> impl Iterator<Item = &'f Fact<Piece>> + use<'f> {
        let all = self.facts.evidence.iter();
        all.filter(|piece| !piece.stub.archived && !piece.own.superseded)
    }
    /// Failed tests after which one of their series passed. What a caller sees of them does not
    /// matter, as it does not for what is superseded.
    fn answered(&self) -> HashSet<(usize, Id)> {
        let tests = |outcome: EvidenceOutcome| {
            let such =
                move |piece: &&Fact<Piece>| !piece.own.named && piece.own.outcome == Some(outcome);
            self.standing().filter(such).flat_map(|piece| {
                let places = piece
                    .own
                    .proves()
                    .filter_map(|id| self.facts.controls.place(id));
                places.map(move |place| (place, piece))
            })
        };
        let series = |place: usize, piece: &'f Fact<Piece>| -> Series<'f> {
            (place, &piece.own.source, piece.own.attests)
        };
        let mut passed: HashMap<Series<'f>, Instant> = HashMap::new();
        for (place, piece) in tests(EvidenceOutcome::Passed) {
            let last = passed
                .entry(series(place, piece))
                .or_insert(piece.own.collected_at);
            *last = (*last).max(piece.own.collected_at);
        }
        let later = |(place, piece): &(usize, &'f Fact<Piece>)| {
            let last = passed.get(&series(*place, piece));
            last.is_some_and(|passed| *passed > piece.own.collected_at)
        };
        let failed = tests(EvidenceOutcome::Failed).filter(later);
        failed
            .map(|(place, piece)| (place, piece.stub.id))
            .collect()
    }
    /// Those of a control, by its place among the facts.
    pub fn at(&self, place: usize) -> &[Proof] {
        self.of_controls
            .get(place)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
    /// Does this control work?
    pub fn operation(&self, place: usize, control: &ControlFact) -> Operation {
        let implemented = control.stage == Implementation::Implemented;
        operation(implemented, control.responsibility, self.at(place))
    }
    /// Evidence that names requirements itself, by requirement: of a scope and of the whole
    /// organization, or all.
    pub fn direct(&self, seen: &Seen, scope: Option<Id>) -> BTreeMap<&'f str, Vec<Proof>> {
        let mut all: BTreeMap<&'f str, Vec<Proof>> = BTreeMap::new();
        let here = |piece: &&Fact<Piece>| {
            !piece.own.requirements.is_empty()
                && piece.stub.within(scope)
                && seen.has(piece.stub.id)
        };
        for piece in self.standing().filter(here) {
            let until = current_until(&piece.own.span, None, self.default_days);
            for requirement in &piece.own.requirements {
                let proof = proof(piece, until >= self.today);
                all.entry(requirement).or_default().push(proof);
            }
        }
        all
    }
}

fn placed(facts: &Facts, id: Id) -> Option<(usize, &Fact<ControlFact>)> {
    let place = facts.controls.place(id)?;
    Some((place, facts.controls.iter().as_slice().get(place)?))
}

fn proof(piece: &Fact<Piece>, current: bool) -> Proof {
    let Piece {
        collected_at,
        attests,
        outcome,
        ..
    } = piece.own;
    let failing = current && outcome == Some(EvidenceOutcome::Failed);
    Proof {
        evidence: piece.stub.id,
        current,
        attests,
        collected_at,
        outcome,
        failing,
    }
}

impl Facts {
    /// The last day on which a piece of evidence is current: the shortest frequency of its controls
    /// counts.
    pub fn current_until(&self, piece: &Piece, default_days: i32) -> NaiveDate {
        let controls = piece.proves().filter_map(|id| self.controls.get(id));
        let frequency = shortest(controls.filter_map(|control| control.own.frequency));
        current_until(&piece.span, frequency, default_days)
    }
}
