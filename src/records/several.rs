//! Several changes in one write: each apart, so that one that fails leaves the others alone. In a
//! batch their rows are held and stored together; a savepoint is made only where a change has to
//! see its own rows before it is known to succeed.
use super::memory::Memory;
use super::writing::{Before, Manager};
use super::{Ahead, Condition, Resource, Selector, Tx, Writing};
use crate::core::{Id, Problem, Result};
use crate::db::among::among;
use crate::db::schema::versions as v;
use diesel::connection::TransactionManager;
use diesel::prelude::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
        if keep && self.held.on && self.held.before.is_none() {
            self.begin_item();
            let outcome = tried(self, work);
            return self.end_item(outcome);
        }
        self.settle(true);
        let on = std::mem::take(&mut self.held.on);
        let before = self.set_apart()?;
        let outcome = tried(self, work);
        self.join(before, keep && outcome.is_ok())?;
        self.held.on = on;
        outcome
    }
    /// Makes changes of a kind whose rows are stored together; what they will ask for is looked up
    /// before.
    pub fn together<R: Resource, T>(
        &mut self,
        ahead: &Ahead,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.begin_together::<R>(ahead)?;
        let done = work(self);
        self.end_together(done.is_ok())?;
        done
    }
}

/// Does the work; a panic is a fault of it alone.
fn tried<W, T>(tx: &mut W, work: impl FnOnce(&mut W) -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| work(tx)))
        .unwrap_or_else(|_| Err(Problem::internal("a change panicked")))
}

impl Writing<'_> {
    fn before(&self) -> Before {
        Before {
            head: self.head.clone(),
            stamp: self.stamp.clone(),
            began: self.began,
        }
    }
    fn begin_item(&mut self) {
        self.held.before = Some(self.before());
        self.held.named.clear();
        self.began = self.head.next();
    }
    fn end_item<T>(&mut self, outcome: Result<T>) -> Result<T> {
        let (item, apart) = (
            std::mem::take(&mut self.held.item),
            std::mem::take(&mut self.held.apart),
        );
        let Some(before) = self.held.before.take() else {
            return outcome;
        };
        self.began = before.began;
        if outcome.is_ok() {
            self.held.made.append(item);
            if apart {
                Manager::commit_transaction(self.conn)?;
            }
            return outcome;
        }
        if apart {
            Manager::rollback_transaction(self.conn)?;
        }
        for reference in std::mem::take(&mut self.held.named) {
            self.memory.external_refs.remove(&reference);
        }
        (*self.head, self.stamp, self.written) = (before.head, before.stamp, None);
        outcome
    }
    fn begin_together<R: Resource>(&mut self, ahead: &Ahead) -> Result<()> {
        self.held.on = true;
        self.memory = Memory::of(self.caller, self.kinds, &R::KIND);
        if !self.memory.keeps() {
            return Ok(());
        }
        let references: Vec<&String> = ahead.external_refs.iter().collect();
        let mut conditions: Vec<Condition> = Vec::new();
        for some in references.chunks(500) {
            let same = v::table
                .filter(
                    v::tenant_id
                        .eq(self.caller.tenant)
                        .and(v::kind.eq(R::KIND.name)),
                )
                .filter(v::external_ref.eq_any(some.iter().map(|reference| reference.as_str())))
                .filter(crate::db::dialect::standing())
                .select((v::external_ref.assume_not_null(), v::id, v::number));
            let found = same.load::<(String, Id, i64)>(self.conn)?;
            let found: BTreeMap<String, (Id, i64)> = found
                .into_iter()
                .map(|(reference, id, number)| (reference, (id, number)))
                .collect();
            for reference in some {
                let other = found.get(*reference).copied();
                self.memory
                    .external_refs
                    .insert((*reference).clone(), other);
            }
            let ids: Vec<Id> = found.into_values().map(|(id, _)| id).collect();
            if !ids.is_empty() {
                conditions.push(Box::new(among(v::id, &ids)));
            }
        }
        let (mut ids, mut numbers) = (Vec::new(), Vec::new());
        for selector in &ahead.selectors {
            match selector {
                Selector::Id(id) => ids.push(*id),
                Selector::Number(_, number) => numbers.push(*number),
            }
        }
        for some in ids.chunks(500) {
            conditions.push(Box::new(among(v::id, some)));
        }
        for some in numbers.chunks(500) {
            conditions.push(Box::new(v::number.eq_any(some.to_vec())));
        }
        for condition in conditions {
            for (number, row) in self.reader().rows::<R>(condition)? {
                self.memory.keep(number, row);
            }
        }
        self.find(&ahead.references)
    }
    fn end_together(&mut self, keep: bool) -> Result<()> {
        if keep {
            self.settle(false);
        }
        self.memory = Memory::default();
        match std::mem::take(&mut self.held).failed {
            Some(problem) => Err(problem),
            None => Ok(()),
        }
    }
    fn set_apart(&mut self) -> Result<Before> {
        let before = self.before();
        Manager::begin_transaction(self.conn)?;
        self.began = self.head.next();
        Ok(before)
    }
    fn join(&mut self, before: Before, keep: bool) -> Result<()> {
        self.began = before.began;
        if keep {
            return Ok(Manager::commit_transaction(self.conn)?);
        }
        Manager::rollback_transaction(self.conn)?;
        (*self.head, self.stamp, self.written) = (before.head, before.stamp, None);
        Ok(())
    }
}
