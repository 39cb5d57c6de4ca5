//! What became of the periods of a control (ISO/IEC 27001:2022 8.1). Plain functions.
use crate::core::{Id, Instant};
use crate::registers::control::calendar::grace;
use crate::registers::evidence::outcome::EvidenceOutcome;
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

crate::vocabulary! {
    /// What became of a period: proven in time, proven after its grace, not proven and over, not
    /// over yet; a control that waits for events had none; or a test of it failed, and none of its
    /// series passed within the period.
    pub enum OccurrenceState { Done, Late, Missing, Due, NoEvent, Failed }
}

/// A piece of evidence in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EvidenceRef {
    /// The evidence.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// When it was collected.
    pub collected_at: Instant,
}

/// Evidence as a period looks at it.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Which it is.
    pub what: EvidenceRef,
    /// The day of its collection.
    pub collected_on: NaiveDate,
    /// The first day that it covers.
    pub start: NaiveDate,
    /// The last.
    pub end: NaiveDate,
    /// Source and external id.
    pub series: (String, Option<String>),
    /// What it showed, where it is a test.
    pub outcome: Option<EvidenceOutcome>,
}

impl Piece {
    /// Pure: does it prove this period: by covering it, or as something that was done within it?
    pub fn proves(&self, (start, end): (NaiveDate, NaiveDate)) -> bool {
        (self.start <= start && self.end >= end) || (self.start >= start && self.end <= end)
    }
}

/// Pure: did a test fail that none of its series answered? The pieces come in the order of their
/// collection.
fn failed(proofs: &[&Piece]) -> bool {
    let mut last: BTreeMap<&(String, Option<String>), bool> = BTreeMap::new();
    for piece in proofs {
        match piece.outcome {
            Some(EvidenceOutcome::Failed) => drop(last.insert(&piece.series, true)),
            Some(EvidenceOutcome::Passed) => drop(last.insert(&piece.series, false)),
            Some(EvidenceOutcome::Inconclusive) | None => {}
        }
    }
    last.values().any(|failed| *failed)
}

/// Pure: what became of a period.
pub fn became(
    of: (NaiveDate, NaiveDate),
    proofs: &[&Piece],
    events: bool,
    today: NaiveDate,
) -> OccurrenceState {
    let due = grace(of);
    let shows = |piece: &&&Piece| matches!(piece.outcome, None | Some(EvidenceOutcome::Passed));
    match proofs
        .iter()
        .filter(shows)
        .map(|piece| piece.collected_on)
        .min()
    {
        _ if failed(proofs) => OccurrenceState::Failed,
        Some(first) if first <= due => OccurrenceState::Done,
        Some(_) => OccurrenceState::Late,
        None if events => OccurrenceState::NoEvent,
        None if due < today => OccurrenceState::Missing,
        None => OccurrenceState::Due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EvidenceOutcome::{Failed, Inconclusive, Passed};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }
    fn march() -> (NaiveDate, NaiveDate) {
        (day("2026-03-01"), day("2026-03-31"))
    }
    fn piece([collected, start, end]: [&str; 3]) -> Piece {
        let at = format!("{collected}T10:00:00Z");
        Piece {
            what: EvidenceRef {
                id: Id::new(),
                code: "EVD-1".into(),
                name: "e".into(),
                collected_at: at.parse().unwrap_or_else(|e| panic!("{e}")),
            },
            collected_on: day(collected),
            start: day(start),
            end: day(end),
            series: ("tests".to_owned(), None),
            outcome: None,
        }
    }

    #[test]
    fn what_became_of_a_period() {
        use OccurrenceState::{Done, Due, Late, Missing, NoEvent};
        let of = |piece: Option<&Piece>, events, today: &str| {
            let all: Vec<&Piece> = piece
                .into_iter()
                .filter(|one| one.proves(march()))
                .collect();
            became(march(), &all, events, day(today))
        };
        assert_eq!(of(None, false, "2026-04-04"), Due);
        assert_eq!(of(None, false, "2026-04-05"), Missing);
        assert_eq!(of(None, true, "2026-06-01"), NoEvent);
        for (days, state, why) in [
            (["2026-04-04", "2026-03-01", "2026-03-31"], Done, "in time"),
            (["2026-04-05", "2026-03-01", "2026-03-31"], Late, "after it"),
            (
                ["2026-04-02", "2026-01-01", "2026-03-31"],
                Done,
                "a longer period",
            ),
            (
                ["2026-03-15", "2026-03-15", "2026-03-15"],
                Done,
                "within it",
            ),
            (
                ["2026-04-02", "2026-03-20", "2026-04-02"],
                Missing,
                "neither",
            ),
        ] {
            assert_eq!(of(Some(&piece(days)), false, "2026-06-01"), state, "{why}");
        }
    }

    #[test]
    fn a_failed_test_is_answered_by_its_own_series() {
        let one = |(series, outcome): &(&str, Option<EvidenceOutcome>)| Piece {
            series: ((*series).to_owned(), None),
            outcome: *outcome,
            ..piece(["2026-03-02"; 3])
        };
        for (tests, state) in [
            (
                vec![("a", Some(Failed)), ("a", Some(Passed))],
                OccurrenceState::Done,
            ),
            (
                vec![("a", Some(Passed)), ("a", Some(Failed))],
                OccurrenceState::Failed,
            ),
            (
                vec![("a", Some(Failed)), ("b", Some(Passed)), ("b", None)],
                OccurrenceState::Failed,
            ),
            (
                vec![("a", Some(Failed)), ("a", Some(Inconclusive)), ("a", None)],
                OccurrenceState::Failed,
            ),
            (vec![("a", Some(Inconclusive))], OccurrenceState::Missing),
            (
                vec![("a", Some(Inconclusive)), ("a", None)],
                OccurrenceState::Done,
            ),
        ] {
            let all: Vec<Piece> = tests.iter().map(one).collect();
            let proofs: Vec<&Piece> = all.iter().collect();
            assert_eq!(
                became(march(), &proofs, false, day("2026-06-01")),
                state,
                "{tests:?}"
            );
        }
    }
}
