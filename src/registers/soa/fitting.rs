//! How much a statement names, so that it does not grow past a mebibyte.
use crate::core::Id;
use crate::registers::soa::basis::Standing;
use std::collections::BTreeSet;

/// Controls that an entry names at most; `control_count` has all.
const NAMED: usize = 200;
/// How many it names where 200 each would not fit.
const FEWER: [usize; 10] = [150, 100, 70, 50, 30, 20, 10, 5, 2, 1];
/// Risks, and treatments, that an entry names at most; `risk_count` and `treatment_count` have all.
pub const CODES: usize = 50;
/// Bytes of a statement, about: what would not fit is counted and not named.
pub const ROOM: usize = 960_000;

/// Pure: how many controls each entry names, and which own controls are named, so that both fit
/// into so many bytes. Where an entry is excluded, what speaks against it is named `twice`. Own
/// controls that approved treatments apply come first when not all fit.
pub fn fitting<'c>(
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
    let takes =
        |most: usize| -> usize { lists.iter().zip(twice).map(|both| entry(both, most)).sum() };
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
        let such = |control: &&&Standing<'_>| control.treatments.is_empty() != applied;
        for control in outside.iter().filter(such) {
            if line(control) <= left {
                left -= line(control);
                chosen.insert(control.what.id);
            }
        }
    }
    let chosen = |control: &&Standing<'_>| chosen.contains(&control.what.id);
    (named, outside.iter().copied().filter(chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::control::Implementation;
    use crate::registers::control::proof::Operation;
    use crate::registers::soa::contradiction::ControlRef;

    fn control(name: &str, applied: bool) -> Standing<'static> {
        Standing {
            what: ControlRef {
                id: Id::new(),
                code: "CTL-1".into(),
                name: name.into(),
            },
            stage: Implementation::Implemented,
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
        assert_eq!((named, own.len()), (20, 2), "two lists of twenty");
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
