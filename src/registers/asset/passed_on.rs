//! Pure: how ratings are passed on from assets to what they depend on, one write after the other.
use crate::core::{Id, Result};
use crate::db::dialect::OPEN;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Ratings, 1 to 5 each; null where nothing was rated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ratings {
    /// Harm if it is disclosed.
    #[schema(required, minimum = 1, maximum = 5)]
    pub confidentiality: Option<i32>,
    /// Harm if it is wrong.
    #[schema(required, minimum = 1, maximum = 5)]
    pub integrity: Option<i32>,
    /// Harm if it is gone.
    #[schema(required, minimum = 1, maximum = 5)]
    pub availability: Option<i32>,
}

impl Ratings {
    /// The higher of each.
    pub fn max(self, other: Self) -> Self {
        Ratings {
            confidentiality: self.confidentiality.max(other.confidentiality),
            integrity: self.integrity.max(other.integrity),
            availability: self.availability.max(other.availability),
        }
    }
    /// Where it is rated lower than before, was that as high as this? Then something else has to
    /// be looked for that is.
    pub fn misses(self, before: Self, high: Self) -> bool {
        let lost = |now: Option<i32>, before: Option<i32>, high| now < before && before >= high;
        lost(
            self.confidentiality,
            before.confidentiality,
            high.confidentiality,
        ) || lost(self.integrity, before.integrity, high.integrity)
            || lost(self.availability, before.availability, high.availability)
    }
}

/// What an asset passes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passed<'a> {
    /// Its own ratings, as far as they count.
    pub own: Ratings,
    /// To what.
    pub on: &'a [Id],
}

impl Passed<'_> {
    /// What is archived counts for itself alone.
    pub fn counted(own: Ratings, archived: bool) -> Ratings {
        if archived { Ratings::default() } else { own }
    }
    /// Can a change from the one to the other matter to what is below?
    pub fn matters(before: Option<&Passed<'_>>, after: &Passed<'_>) -> bool {
        match before {
            Some(before) if before.on.is_empty() && after.on.is_empty() => false,
            Some(before) => before.own != after.own || before.on != after.on,
            None => !after.on.is_empty() && after.own != Ratings::default(),
        }
    }
}

/// The assets around one that is written, as they are after that.
pub trait Around {
    /// The links on the way down from these, each as what depends and what it depends on.
    fn below(&mut self, from: &[Id]) -> Result<Vec<(Id, Id)>>;
    /// What these were raised to before; those that were.
    fn raised(&mut self, ids: &[Id]) -> Result<BTreeMap<Id, Ratings>>;
    /// What these are raised to by the own ratings of their dependents, and by what those are
    /// raised to that are not among them.
    fn held(&mut self, ids: &BTreeSet<Id>) -> Result<BTreeMap<Id, Ratings>>;
}

/// What a write of one asset changes for those below it: each with what it is raised to now.
pub fn changes(
    around: &mut impl Around,
    id: Id,
    before: Option<&Passed<'_>>,
    after: &Passed<'_>,
) -> Result<Vec<(Id, Ratings)>> {
    if !Passed::matters(before, after) {
        return Ok(vec![]);
    }
    // Nothing depends on what has only just begun.
    let up = match before {
        Some(_) => around.raised(&[id])?.remove(&id).unwrap_or_default(),
        None => Ratings::default(),
    };
    let before = before.copied().unwrap_or_default();
    let (was, is) = (before.own.max(up), after.own.max(up));
    if was == Ratings::default() && is == Ratings::default() {
        return Ok(vec![]);
    }
    let next: BTreeSet<Id> = before.on.iter().chain(after.on).copied().collect();
    let links = around.below(&next.iter().copied().collect::<Vec<_>>())?;
    let below: BTreeSet<Id> = next
        .iter()
        .copied()
        .chain(links.iter().map(|(_, far)| *far))
        .collect();
    let stood = around.raised(&below.iter().copied().collect::<Vec<_>>())?;
    let high = |id: &Id| stood.get(id).copied().unwrap_or_default();
    let missed = |on: &Id| {
        let is = if after.on.contains(on) {
            is
        } else {
            Ratings::default()
        };
        is.misses(was, high(on))
    };
    let mut now = if before.on.iter().any(missed) {
        spread(around.held(&below)?, &links, below.iter().copied())
    } else {
        let mut more = stood.clone();
        for on in after.on {
            more.insert(*on, high(on).max(is));
        }
        spread(more, &links, after.on.iter().copied())
    };
    let now = below
        .into_iter()
        .map(|id| (id, now.remove(&id).unwrap_or_default()));
    Ok(now.filter(|(id, now)| *now != high(id)).collect())
}

/// Passes on what these are raised to until nothing rises any more.
fn spread(
    mut raised: BTreeMap<Id, Ratings>,
    links: &[(Id, Id)],
    from: impl Iterator<Item = Id>,
) -> BTreeMap<Id, Ratings> {
    let mut next: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for (near, far) in links {
        next.entry(*near).or_default().push(*far);
    }
    let mut open: Vec<Id> = from.collect();
    while let Some(near) = open.pop() {
        let high = raised.get(&near).copied().unwrap_or_default();
        for far in next.get(&near).into_iter().flatten() {
            let before = raised.get(far).copied().unwrap_or_default();
            if before.max(high) != before {
                raised.insert(*far, before.max(high));
                open.push(*far);
            }
        }
    }
    raised
}

/// All assets that ever depended on others, at one moment of their history.
#[derive(Debug, Default)]
struct Then {
    own: BTreeMap<Id, Ratings>,
    on: BTreeMap<Id, BTreeSet<Id>>,
    by: BTreeMap<Id, BTreeSet<Id>>,
    raised: BTreeMap<Id, (i64, Ratings)>,
}

impl Around for Then {
    fn below(&mut self, from: &[Id]) -> Result<Vec<(Id, Id)>> {
        let (mut reached, mut open) =
            (from.iter().copied().collect::<BTreeSet<_>>(), from.to_vec());
        let mut links = Vec::new();
        while let Some(near) = open.pop() {
            for far in self.on.get(&near).into_iter().flatten() {
                links.push((near, *far));
                if reached.insert(*far) {
                    open.push(*far);
                }
            }
        }
        Ok(links)
    }
    fn raised(&mut self, ids: &[Id]) -> Result<BTreeMap<Id, Ratings>> {
        let stood = |id: &Id| Some((*id, self.raised.get(id)?.1));
        Ok(ids.iter().filter_map(stood).collect())
    }
    fn held(&mut self, ids: &BTreeSet<Id>) -> Result<BTreeMap<Id, Ratings>> {
        let passed = |from: &Id| {
            let own = self.own.get(from).copied().unwrap_or_default();
            match self.raised.get(from) {
                Some((_, high)) if !ids.contains(from) => own.max(*high),
                _ => own,
            }
        };
        let held = |id: &Id| {
            let by = self.by.get(id).into_iter().flatten();
            (*id, by.map(passed).fold(Ratings::default(), Ratings::max))
        };
        Ok(ids.iter().map(held).collect())
    }
}

/// An asset, from which position to which, and what it was raised to.
pub type Span = (Id, (i64, i64), Ratings);

/// What every asset was raised to and when, by what counted of those that depended on others since
/// which position, and by the links, each with the positions from which and to which it stood.
pub fn history(
    mut rated: Vec<(i64, Id, Ratings)>,
    links: &[(Id, Id, i64, i64)],
) -> Result<Vec<Span>> {
    rated.sort_by_key(|(seq, ..)| *seq);
    let mut turns: Vec<(i64, bool, Id, Id)> = Vec::new();
    for (from, to, since, until) in links {
        turns.push((*since, true, *from, *to));
        if *until != OPEN {
            turns.push((*until, false, *from, *to));
        }
    }
    turns.sort_by_key(|(seq, ..)| *seq);
    let (mut then, mut turns, mut spans) = (Then::default(), turns.into_iter().peekable(), vec![]);
    for (seq, id, own) in rated {
        let old: Vec<Id> = then.on.get(&id).into_iter().flatten().copied().collect();
        while let Some((_, begins, from, to)) = turns.next_if(|(turn, ..)| *turn <= seq) {
            let (on, by) = (
                then.on.entry(from).or_default(),
                then.by.entry(to).or_default(),
            );
            if begins {
                on.insert(to);
                by.insert(from);
            } else {
                on.remove(&to);
                by.remove(&from);
            }
        }
        let new: Vec<Id> = then.on.get(&id).into_iter().flatten().copied().collect();
        let before = then.own.insert(id, own);
        let before = before.map(|own| Passed { own, on: &old });
        let after = Passed { own, on: &new };
        for (id, high) in changes(&mut then, id, before.as_ref(), &after)? {
            if let Some((since, stood)) = then.raised.insert(id, (seq, high)) {
                spans.push((id, (since, seq), stood));
            }
        }
    }
    let open = then.raised.into_iter();
    spans.extend(open.map(|(id, (since, high))| (id, (since, OPEN), high)));
    Ok(spans)
}
