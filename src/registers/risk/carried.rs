//! Carrying scores over to another revision of the methodology.
use crate::core::{Id, Problem, Result};
use crate::records::{Reader, Record};
use crate::registers::methodology::{RiskMethodology, Step};
use crate::registers::revision;
use crate::registers::risk::RiskScore;
use std::collections::{BTreeMap, btree_map::Entry};

/// Pure: the step of the new scale that an old one is: that of the same label, else of the same
/// place where the scales have as many steps.
fn mapped(value: i32, old: &[Step], new: &[Step]) -> Option<i32> {
    let label = &old.iter().find(|step| step.value == value)?.label;
    let named = new
        .iter()
        .find(|step| step.label == *label)
        .map(|step| step.value);
    named.or((old.len() == new.len()).then_some(value))
}

/// Likelihood, impact, and the impact by dimension.
pub type Carried = (i32, i32, Option<BTreeMap<String, i32>>);

/// Pure: a stored pair and its dimensions on the scales of another revision.
pub fn carried(was: &RiskScore, old: &RiskMethodology, new: &RiskMethodology) -> Result<Carried> {
    let outside = |at: &str| {
        Problem::invalid_one(
            at,
            "outside_scale",
            "the scale in force does not have this step: assess the risk again",
        )
    };
    let likelihood = mapped(was.likelihood, &old.likelihood_scale, &new.likelihood_scale)
        .ok_or_else(|| outside("/likelihood"))?;
    let impact = |value| mapped(value, &old.impact_scale, &new.impact_scale);
    let Some(impacts) = &was.impacts else {
        let impact = impact(was.impact).ok_or_else(|| outside("/impact"))?;
        return Ok((likelihood, impact, None));
    };
    let kept = |(name, value): (&String, &i32)| {
        let value = impact(*value).filter(|_| new.impact_dimensions.contains(name));
        Ok((
            name.clone(),
            value.ok_or_else(|| outside(&format!("/impacts/{name}")))?,
        ))
    };
    let impacts: BTreeMap<String, i32> = impacts.iter().map(kept).collect::<Result<_>>()?;
    let worst = impacts.values().copied().max();
    Ok((
        likelihood,
        worst.ok_or_else(|| outside("/impacts"))?,
        Some(impacts),
    ))
}

/// The revisions that scores were made with, each read once.
#[derive(Default)]
pub struct Revisions(BTreeMap<Id, Vec<Record<RiskMethodology>>>);
impl Revisions {
    /// The methodology as it was then.
    pub fn of(&mut self, reader: &mut Reader<'_>, score: &RiskScore) -> Result<RiskMethodology> {
        let all = match self.0.entry(score.methodology_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(revision::approvals(reader, score.methodology_id)?)
            }
        };
        let of_it = all.iter();
        let found = of_it
            .filter(|record| record.state.revision == score.methodology_revision)
            .map(|record| record.own.clone())
            .next_back();
        found.ok_or_else(|| Problem::internal("a score without its methodology"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_carried_over_by_its_label_or_its_place() {
        let step = |(value, label): (i32, &&str)| Step {
            value,
            label: (*label).into(),
            criteria: String::new(),
        };
        let scale = |labels: &[&str]| -> Vec<Step> { (1..).zip(labels).map(step).collect() };
        let old = scale(&["rare", "possible", "likely"]);
        let renamed = scale(&["seldom", "sometimes", "often"]);
        let longer = scale(&["never", "rare", "possible", "likely"]);
        assert_eq!(mapped(1, &old, &longer), Some(2));
        assert_eq!(mapped(3, &old, &longer), Some(4));
        assert_eq!(mapped(3, &old, &renamed), Some(3));
        assert_eq!(mapped(3, &longer, &renamed), None);
        assert_eq!(mapped(1, &longer, &old), None);
        assert_eq!(mapped(9, &old, &renamed), None);
    }
}
