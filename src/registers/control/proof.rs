//! What evidence proves of a control (ISO/IEC 27001:2022 9.1), current or expired. Plain functions.
use crate::core::{Id, Instant};
use crate::registers::control::body::Responsibility;
use crate::registers::evidence::outcome::EvidenceOutcome;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

crate::vocabulary! {
    /// Does a control work, as far as evidence tells? `failing`: a test of it that is current
    /// failed, and none of its series passed since.
    pub enum Operation { Operating, Stale, Unproven, Failing }
}

/// The evidence behind a control: what is superseded does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceStatus {
    /// Pieces that are current.
    #[schema(minimum = 0)]
    pub current: i64,
    /// Pieces that are not any more.
    #[schema(minimum = 0)]
    pub expired: i64,
    /// Tests among the current pieces that failed, and that no later one of their series answers.
    #[schema(required, minimum = 0)]
    #[serde(default)]
    pub failed: i64,
    /// When the newest was collected.
    #[schema(required)]
    pub latest_collected_at: Option<Instant>,
    /// What the newest test showed; null where none of the evidence is a test.
    #[schema(required)]
    #[serde(default)]
    pub latest_outcome: Option<EvidenceOutcome>,
}

impl EvidenceStatus {
    /// Pure: several proofs in numbers; a piece of evidence that proves in several ways counts
    /// once, and is current when it is so in one.
    pub fn of<'p>(proofs: impl Iterator<Item = &'p Proof>) -> Self {
        let mut pieces: Vec<(Id, bool, bool)> = Vec::new();
        let (mut all, mut tried) = (EvidenceStatus::default(), None);
        for proof in proofs {
            pieces.push((proof.evidence, proof.current, proof.failing));
            all.latest_collected_at = all.latest_collected_at.max(Some(proof.collected_at));
            let test = proof.outcome.map(|outcome| {
                (
                    proof.collected_at,
                    outcome == EvidenceOutcome::Failed,
                    outcome,
                )
            });
            tried = tried
                .into_iter()
                .chain(test)
                .max_by_key(|(at, failed, _)| (*at, *failed));
        }
        pieces.sort_unstable();
        for piece in pieces.chunk_by(|a, b| a.0 == b.0) {
            let current = piece.iter().any(|(_, current, _)| *current);
            *(if current {
                &mut all.current
            } else {
                &mut all.expired
            }) += 1;
            all.failed += i64::from(piece.iter().any(|(.., failing)| *failing));
        }
        all.latest_outcome = tried.map(|(.., outcome)| outcome);
        all
    }
}

/// A piece of evidence, as it proves something on the organization's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The evidence.
    pub evidence: Id,
    /// Is it current?
    pub current: bool,
    /// Is it a provider's attestation?
    pub attests: bool,
    /// When it was collected.
    pub collected_at: Instant,
    /// What it showed, where it is a test.
    pub outcome: Option<EvidenceOutcome>,
    /// Did it fail, is it current, and is it not answered?
    pub failing: bool,
}

impl Proof {
    /// Does it show that something works? A failed or inconclusive test does not.
    fn positive(&self) -> bool {
        matches!(self.outcome, None | Some(EvidenceOutcome::Passed))
    }
}

/// Pure: what evidence says of a control. What a provider does is proven by its attestations alone;
/// of a shared control, the organization's part is proven by the rest, and both have to be.
pub fn operation(implemented: bool, responsibility: Responsibility, proofs: &[Proof]) -> Operation {
    let of = |counts: &dyn Fn(&Proof) -> bool| match () {
        () if proofs.iter().any(|proof| counts(proof) && proof.failing) => Operation::Failing,
        () if proofs
            .iter()
            .any(|proof| counts(proof) && proof.positive() && proof.current) =>
        {
            Operation::Operating
        }
        () if proofs.iter().any(|proof| counts(proof) && proof.positive()) => Operation::Stale,
        () => Operation::Unproven,
    };
    match (implemented, responsibility) {
        (false, _) => Operation::Unproven,
        (true, Responsibility::Own) => of(&|_| true),
        (true, Responsibility::Provider) => of(&|proof| proof.attests),
        (true, Responsibility::Shared) => {
            match (of(&|proof| !proof.attests), of(&|proof| proof.attests)) {
                (Operation::Failing, _) | (_, Operation::Failing) => Operation::Failing,
                (Operation::Operating, Operation::Operating) => Operation::Operating,
                (Operation::Unproven, _) | (_, Operation::Unproven) => Operation::Unproven,
                _ => Operation::Stale,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_counts_once() {
        let (one, other) = (Id::new(), Id::new());
        let at = |millis| Instant::from_millis(millis).unwrap_or_else(|| panic!("{millis}"));
        let proof = |evidence, current, millis| Proof {
            evidence,
            current,
            attests: false,
            collected_at: at(millis),
            outcome: None,
            failing: false,
        };
        let all = EvidenceStatus::of(
            [
                proof(one, false, 1),
                proof(one, true, 1),
                proof(other, false, 2),
            ]
            .iter(),
        );
        assert_eq!(
            all,
            EvidenceStatus {
                current: 1,
                expired: 1,
                latest_collected_at: Some(at(2)),
                ..EvidenceStatus::default()
            }
        );
        let failed = Proof {
            outcome: Some(EvidenceOutcome::Failed),
            failing: true,
            ..proof(one, true, 3)
        };
        let passed = Proof {
            outcome: Some(EvidenceOutcome::Passed),
            ..proof(other, true, 2)
        };
        let all = EvidenceStatus::of([failed, passed, failed].iter());
        assert_eq!(
            (all.current, all.failed, all.latest_outcome),
            (2, 1, Some(EvidenceOutcome::Failed))
        );
    }

    #[test]
    fn operation_needs_both_word_and_proof() {
        let proof = |current, attests| Proof {
            evidence: Id::new(),
            current,
            attests,
            collected_at: Instant::from_millis(1).unwrap_or_else(|| panic!("1")),
            outcome: None,
            failing: false,
        };
        let failed = Proof {
            outcome: Some(EvidenceOutcome::Failed),
            failing: true,
            ..proof(true, false)
        };
        let answered = Proof {
            failing: false,
            ..failed
        };
        let vague = Proof {
            outcome: Some(EvidenceOutcome::Inconclusive),
            ..proof(true, false)
        };
        let (own, old, attested, lapsed) = (
            proof(true, false),
            proof(false, false),
            proof(true, true),
            proof(false, true),
        );
        use Operation::{Failing, Operating, Stale, Unproven};
        use Responsibility::{Own, Provider, Shared};
        for (responsibility, proofs, wanted) in [
            (Own, vec![old, own], Operating),
            (Own, vec![old], Stale),
            (Own, vec![attested], Operating),
            (Own, vec![], Unproven),
            (Provider, vec![own], Unproven),
            (Provider, vec![own, attested], Operating),
            (Provider, vec![own, lapsed], Stale),
            (Shared, vec![own], Unproven),
            (Shared, vec![attested], Unproven),
            (Shared, vec![own, attested], Operating),
            (Shared, vec![own, lapsed], Stale),
            (Shared, vec![old, attested], Stale),
            (Shared, vec![old, lapsed], Stale),
            (Own, vec![own, failed], Failing),
            (Own, vec![failed], Failing),
            (Own, vec![answered], Unproven),
            (Own, vec![answered, old], Stale),
            (Own, vec![vague], Unproven),
            (Own, vec![vague, own], Operating),
            (Provider, vec![attested, failed], Operating),
            (Shared, vec![attested, failed], Failing),
            (Shared, vec![failed], Failing),
        ] {
            assert_eq!(
                operation(true, responsibility, &proofs),
                wanted,
                "{responsibility:?} {proofs:?}"
            );
            assert_eq!(operation(false, responsibility, &proofs), Unproven);
        }
    }
}
