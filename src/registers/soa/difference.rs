//! What differs between two statements of applicability. What changed is told, not what follows
//! from it (counts of evidence and of risks). Plain functions.
use crate::core::{Id, Instant};
use crate::registers::control::proof::Operation;
use crate::registers::soa::contradiction::ControlRef;
use crate::registers::soa::statement::{ImplementationState, OwnControl, SoaEntry, SoaReason};
use crate::registers::soa::version::SoaSummary;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// What was compared.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SoaSide {
    /// The frozen version; null for a moment.
    #[schema(required, minimum = 1)]
    pub number: Option<i32>,
    /// Its clock: when it was frozen, the moment that was asked for, or now.
    pub at: Instant,
    /// In numbers.
    pub summary: SoaSummary,
}

/// What a requirement or a control says in a statement, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SoaEntryState {
    /// Does it apply?
    pub applicable: bool,
    /// Was it decided? Null of a control outside the framework.
    #[schema(required)]
    pub decided: Option<bool>,
    /// Why, or why not.
    #[schema(required, max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[schema(max_items = 4)]
    pub reasons: Vec<SoaReason>,
    /// How far it is.
    #[schema(required)]
    pub implementation: Option<ImplementationState>,
    /// Whether it works.
    #[schema(required)]
    pub operation: Option<Operation>,
}

/// A requirement that says something else.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SoaEntryChange {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title.
    #[schema(max_length = 300)]
    pub title: String,
    /// The members that differ; `controls` where some were added or removed.
    #[schema(max_items = 10, max_length = 32)]
    pub changed: Vec<&'static str>,
    /// What it said; null where it was not there.
    #[schema(required)]
    pub from: Option<SoaEntryState>,
    /// What it says; null where it is not there any more.
    #[schema(required)]
    pub to: Option<SoaEntryState>,
    /// Controls that it names now and did not before.
    #[schema(max_items = 200)]
    pub controls_added: Vec<ControlRef>,
    /// Controls that it named before and does not now.
    #[schema(max_items = 200)]
    pub controls_removed: Vec<ControlRef>,
}

/// A control outside the framework that was added, removed or changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnControlChange {
    /// The control.
    pub control: ControlRef,
    /// The members that differ; empty where it was added or removed.
    #[schema(max_items = 10, max_length = 32)]
    pub changed: Vec<&'static str>,
    /// What it said; null where it was added.
    #[schema(required)]
    pub from: Option<SoaEntryState>,
    /// What it says; null where it was removed.
    #[schema(required)]
    pub to: Option<SoaEntryState>,
}

/// The difference between two statements of applicability.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SoaDiff {
    /// The scope.
    pub scope_id: Id,
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// The earlier side, as it was asked for.
    pub from: SoaSide,
    /// The later side.
    pub to: SoaSide,
    /// The requirements that differ, in natural order.
    #[schema(max_items = 5000)]
    pub entries: Vec<SoaEntryChange>,
    /// The controls outside the framework that differ.
    #[schema(max_items = 10000)]
    pub own_controls: Vec<OwnControlChange>,
}

impl SoaEntryState {
    fn of(entry: &SoaEntry) -> Self {
        SoaEntryState {
            applicable: entry.applicable,
            decided: Some(entry.decided),
            justification: entry.justification.clone(),
            reasons: entry.reasons.clone(),
            implementation: entry.implementation,
            operation: entry.operation,
        }
    }
    fn of_own(control: &OwnControl) -> Self {
        SoaEntryState {
            applicable: true,
            decided: None,
            justification: None,
            reasons: control.reasons.clone(),
            implementation: Some(control.implementation),
            operation: Some(control.operation),
        }
    }
    /// Pure: the members that differ.
    fn against(&self, other: &SoaEntryState) -> Vec<&'static str> {
        let all = [
            ("applicable", self.applicable != other.applicable),
            ("decided", self.decided != other.decided),
            ("justification", self.justification != other.justification),
            ("reasons", self.reasons != other.reasons),
            (
                "implementation",
                self.implementation != other.implementation,
            ),
            ("operation", self.operation != other.operation),
        ];
        all.into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| name)
            .collect()
    }
}

/// Pure: what one list of controls has that the other has not.
fn beyond(these: &[ControlRef], those: &[ControlRef]) -> Vec<ControlRef> {
    let there: BTreeSet<Id> = those.iter().map(|control| control.id).collect();
    let gone = these.iter().filter(|control| !there.contains(&control.id));
    gone.cloned().collect()
}

/// A thing on either side.
type Pair<'s, T> = (Option<&'s T>, Option<&'s T>);

/// Pure: what both sides name alike, in the order of the later one; then what that is without.
fn paired<'s, T, K: Ord>(from: &'s [T], to: &'s [T], key: fn(&'s T) -> K) -> Vec<Pair<'s, T>> {
    let mut before: BTreeMap<K, &T> = from.iter().map(|one| (key(one), one)).collect();
    let mut pairs: Vec<Pair<'s, T>> = to
        .iter()
        .map(|one| (before.remove(&key(one)), Some(one)))
        .collect();
    let gone = from.iter().filter(|one| before.contains_key(&key(one)));
    pairs.extend(gone.map(|one| (Some(one), None)));
    pairs
}

/// Pure: the members that differ; none where a side is missing.
fn differing(before: Option<&SoaEntryState>, after: Option<&SoaEntryState>) -> Vec<&'static str> {
    let both = before.zip(after);
    both.map(|(before, after)| before.against(after))
        .unwrap_or_default()
}

/// Pure: the requirements that differ.
pub fn entries(from: &[SoaEntry], to: &[SoaEntry]) -> Vec<SoaEntryChange> {
    let change = |(from, to): Pair<'_, SoaEntry>| {
        let named = from.or(to)?;
        let controls = |entry: Option<&SoaEntry>| {
            entry
                .map(|entry| entry.controls.clone())
                .unwrap_or_default()
        };
        let (had, has) = (controls(from), controls(to));
        let (controls_added, controls_removed) = (beyond(&has, &had), beyond(&had, &has));
        let (before, after) = (from.map(SoaEntryState::of), to.map(SoaEntryState::of));
        let mut changed = differing(before.as_ref(), after.as_ref());
        if !controls_added.is_empty() || !controls_removed.is_empty() {
            changed.push("controls");
        }
        let same = changed.is_empty() && before.is_some() && after.is_some();
        (!same).then(|| SoaEntryChange {
            requirement: named.requirement.clone(),
            title: named.title.clone(),
            changed,
            from: before,
            to: after,
            controls_added,
            controls_removed,
        })
    };
    paired(from, to, |entry| entry.requirement.as_str())
        .into_iter()
        .filter_map(change)
        .collect()
}

/// Pure: the controls outside the framework that differ.
pub fn own_controls(from: &[OwnControl], to: &[OwnControl]) -> Vec<OwnControlChange> {
    let change = |(from, to): Pair<'_, OwnControl>| {
        let OwnControl { id, code, name, .. } = to.or(from)?.clone();
        let (before, after) = (
            from.map(SoaEntryState::of_own),
            to.map(SoaEntryState::of_own),
        );
        let changed = differing(before.as_ref(), after.as_ref());
        let same = changed.is_empty() && before.is_some() && after.is_some();
        (!same).then_some(OwnControlChange {
            control: ControlRef { id, code, name },
            changed,
            from: before,
            to: after,
        })
    };
    paired(from, to, |control| control.id)
        .into_iter()
        .filter_map(change)
        .collect()
}
