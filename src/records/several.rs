//! Several changes in one write: each in a savepoint of its own, so that one that fails leaves the others alone.
use super::{Covers, Known, MergePatch, Record, Resource, Selector, Tx};
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::db::{Conn, schema::versions as v};
use crate::ledger::Recorded;
use diesel::connection::{Connection, TransactionManager};
use diesel::prelude::*;
use serde_json::{Map, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Manager = <Conn as Connection>::TransactionManager;

/// What an upsert came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upserted {
    /// There was none with that reference.
    Created,
    /// There was one, and it was another.
    Updated,
    /// There was one, and it was the same.
    Unchanged,
}

impl<P> Tx<'_, P> {
    /// Makes one change of several; when it fails, it alone is undone.
    pub fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.apart(true, work)
    }
    /// Makes changes and undoes them: what would come of them.
    pub fn rehearse<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.apart(false, work)
    }
    fn apart<T>(&mut self, keep: bool, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let (head, stamp, began) = (self.head.clone(), self.stamp.clone(), self.began);
        Manager::begin_transaction(self.conn)?;
        self.began = self.head.next();
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| Err(Problem::internal("a change panicked")));
        self.began = began;
        if keep && outcome.is_ok() {
            Manager::commit_transaction(self.conn)?;
            return outcome;
        }
        Manager::rollback_transaction(self.conn)?;
        (*self.head, self.stamp, self.written) = (head, stamp, None);
        outcome
    }
    /// Creates the record with this `external_ref`, or patches the one that is there: absent leaves, null clears.
    pub fn upsert<R: Resource>(&mut self, body: Map<String, Value>) -> Result<(Recorded<Record<R>>, Upserted)>
    where
        P: Covers<R>,
    {
        let standing = match body.get("external_ref") {
            Some(Value::String(reference)) if !reference.contains('\0') => self.of_reference::<R>(reference)?,
            Some(Value::String(_)) => None,
            _ => return Err(Problem::invalid(vec![Invalid::body("/external_ref", "required", "an upsert goes by it")])),
        };
        let Some(id) = standing else {
            let draft = self.draft::<R>(body)?;
            return Ok((self.create(draft)?, Upserted::Created));
        };
        let before = self.load_any::<R>(&Selector::Id(id), &Known::any(), true)?;
        if before.spine.archived_at.is_some() {
            let code = before.spine.code;
            return Err(
                Problem::new(Code::Conflict, format!("{code} has this external_ref and is archived; restore it first.")).needed_by([code])
            );
        }
        let version = before.spine.version;
        let saved = self.patch(before, MergePatch(body))?;
        let outcome = if saved.get().spine.version == version { Upserted::Unchanged } else { Upserted::Updated };
        Ok((saved, outcome))
    }
    /// The record with this external reference, archived or not, as far as the caller sees it.
    fn of_reference<R: Resource>(&mut self, reference: &str) -> Result<Option<Id>> {
        let reader = self.reader();
        let same = v::table.filter(reader.seen(R::KIND.name)).filter(v::external_ref.eq(reference));
        Ok(same.select(v::id).get_result(reader.conn).optional()?)
    }
}
