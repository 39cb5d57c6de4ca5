//! What is said about requirements, one record each: whether it applies to a scope, how far an
//! assessment found it met. Found by what it is about; where nothing is stored yet, its version is
//! 0.
use super::history::Entry;
use super::{Covers, Draft, Reader, Record, Resource, Selector, Tx, frameworks, record::members};
use crate::access::Caller;
use crate::core::{Id, Invalid, Problem, Result, catalogue};
use crate::db::schema::ledger_entries as e;
use crate::ledger::Recorded;
use diesel::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One of several things that are said at once.
pub trait About {
    /// The requirement.
    fn requirement(&self) -> &str;
    /// The version that was read, where it was sent.
    fn if_match(&self) -> Option<i32>;
    /// What is wrong with it, whatever is stored; `at` is its place.
    fn faults(&self, at: &str) -> Vec<Invalid>;
}

/// The faults of several that are said at once, each named by its place. `asked` tells whether
/// something can be said about a requirement, `version` that of what is stored about it.
pub fn faults<T: About>(
    caller: &Caller,
    items: &[T],
    asked: impl Fn(&str) -> bool,
    version: impl Fn(&str) -> i32,
) -> Vec<Invalid> {
    let mut missing = catalogue::Missing::default();
    let mut near =
        |requirement: &str| missing.say(requirement, &|slug| frameworks::seen(caller, slug));
    let mut seen = BTreeSet::new();
    let one = |(n, item): (usize, &T)| {
        let (at, requirement, now) = (
            format!("/items/{n}"),
            item.requirement(),
            version(item.requirement()),
        );
        let unknown = (!asked(requirement)).then(|| {
            Invalid::body(
                format!("{at}/requirement"),
                "unknown_reference",
                near(requirement),
            )
        });
        let twice = !seen.insert(requirement.to_owned());
        let twice = twice.then(|| {
            Invalid::body(
                format!("{at}/requirement"),
                "twice",
                "stands in this batch twice",
            )
        });
        let gone = item.if_match().is_some_and(|known| known != now);
        let gone = gone.then(|| {
            Invalid::body(
                format!("{at}/if_match"),
                "version_mismatch",
                format!("it is at version {now} now"),
            )
        });
        item.faults(&at)
            .into_iter()
            .chain(unknown)
            .chain(twice)
            .chain(gone)
            .collect::<Vec<_>>()
    };
    items
        .iter()
        .enumerate()
        .flat_map(one)
        .take(Problem::LISTED + 1)
        .collect()
}

impl Reader<'_> {
    /// What was written by these entries of the ledger: one query.
    pub fn written<R: Resource>(&mut self, seqs: &[i64]) -> Result<Vec<Record<R>>> {
        let entries = e::table
            .filter(e::tenant_id.eq(self.tenant()))
            .filter(e::seq.eq_any(seqs));
        let mut entries: Vec<Entry> = entries.select(Entry::as_select()).load(self.conn())?;
        super::history::name(self, &mut entries)?;
        entries.iter().map(Entry::record).collect()
    }
}

impl<P> Tx<'_, P> {
    /// Says it, with what else its record has (`scope_ids`, `owner_id`, `due_on`): makes the
    /// record, or changes the one that is stored; what says the same is left as it is. Whether the
    /// caller may was asked for that which it belongs to.
    pub fn say<R: Resource>(
        &mut self,
        stored: Option<Id>,
        requirement: &str,
        own: R,
        beside: Map<String, Value>,
    ) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        let mut body = members(&own)?;
        body.insert("name".to_owned(), json!(requirement));
        body.extend(beside);
        let draft = Draft::<R>::read(body)?;
        let Some(id) = stored else {
            return self.create(draft);
        };
        let before = self.reader().load::<R>(&Selector::Id(id), false)?;
        let links = self.resolve(&R::KIND, &draft.references, &before.links)?;
        let record = before.clone().with(draft, links);
        if record.body()? == before.body()? {
            self.kept(before)
        } else {
            self.save(&before, record, "update")
        }
    }
    /// Says several, in order; all of them, or none.
    pub fn say_all<T, S: Clone>(
        &mut self,
        items: &[T],
        mut one: impl FnMut(&mut Self, &T) -> Result<Recorded<S>>,
    ) -> Result<Recorded<Vec<S>>> {
        let (mut all, mut last) = (Vec::with_capacity(items.len()), None);
        for (n, item) in items.iter().enumerate() {
            let said = one(self, item).map_err(|problem| problem.below(&format!("/items/{n}")))?;
            all.push(said.get().clone());
            last = Some(said);
        }
        Ok(last
            .ok_or_else(|| Problem::internal("nothing was said"))?
            .map(|_| all))
    }
}
