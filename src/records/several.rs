//! Several changes in one write: each apart, so that one that fails leaves the others alone. In a
//! batch their rows are held and stored together; a savepoint is made only where a change has to
//! see its own rows before it is known to succeed.
use super::ahead::Memory;
use super::rows::Rows;
use super::{
    Ahead, Body, Condition, Covers, Known, Patch, Record, Resource, Selector, Tx, Writing,
};
use crate::core::{Code, Id, Invalid, Problem, Result, Schemas};
use crate::db::among::among;
use crate::db::{Conn, schema::versions as v};
use crate::ledger::{Head, Recorded, Stamp};
use diesel::connection::{Connection, TransactionManager};
use diesel::prelude::*;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
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
    /// Creates the record with this `external_ref`, or patches the one that is there: absent
    /// leaves, null clears.
    pub fn upsert<R: Resource>(
        &mut self,
        said: Upsert<R>,
    ) -> Result<(Recorded<Record<R>>, Upserted)>
    where
        P: Covers<R>,
    {
        Writing::upsert(self, said)
    }
}

/// Does the work; a panic is a fault of it alone.
fn tried<W, T>(tx: &mut W, work: impl FnOnce(&mut W) -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| work(tx)))
        .unwrap_or_else(|_| Err(Problem::internal("a change panicked")))
}

/// What a write was before a part of it was set apart.
struct Before {
    head: Head,
    stamp: Stamp,
    began: i64,
}

/// Rows that wait to be stored with others.
#[derive(Default)]
pub(super) struct Held {
    /// Do they wait?
    pub on: bool,
    /// Of the changes that were made.
    made: Rows,
    /// Of the change that is being made.
    pub item: Rows,
    /// What was before that change.
    before: Option<Before>,
    /// Does it have a savepoint?
    apart: bool,
    /// The external references that it gave or took.
    pub named: Vec<String>,
    /// Why rows could not be stored: then nothing is.
    failed: Option<Problem>,
}

impl Held {
    /// Does a version of this record wait?
    pub fn rows(&self, id: Id) -> bool {
        self.made.of(id) || self.item.of(id)
    }
}

impl Writing<'_> {
    /// Stores what waits, so that it can be seen; with a savepoint where the change that is being
    /// made has written or is about to.
    pub(super) fn settle(&mut self, writes: bool) {
        if self.held.failed.is_none()
            && let Err(problem) = self.stored(writes)
        {
            self.held.failed = Some(problem);
        }
    }
    fn stored(&mut self, writes: bool) -> Result<()> {
        let tenant = self.stamp.tenant;
        if !self.held.made.is_empty() {
            std::mem::take(&mut self.held.made).store(self.conn, tenant, self.head)?;
            if let Some(before) = &mut self.held.before {
                before.head.all_stored();
            }
        }
        let begun = self.held.before.is_some() && !self.held.apart;
        if begun && (writes || !self.held.item.is_empty()) {
            Manager::begin_transaction(self.conn)?;
            self.held.apart = true;
        }
        if !self.held.item.is_empty() {
            std::mem::take(&mut self.held.item).store(self.conn, tenant, self.head)?;
        }
        Ok(())
    }
    fn begin_item(&mut self) {
        self.held.before = Some(Before {
            head: self.head.clone(),
            stamp: self.stamp.clone(),
            began: self.began,
        });
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
        self.memory = Memory::of(self.caller, &R::KIND);
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
        let before = Before {
            head: self.head.clone(),
            stamp: self.stamp.clone(),
            began: self.began,
        };
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
    /// Creates the record with this `external_ref`, or patches the one that is there: absent
    /// leaves, null clears.
    pub(super) fn upsert<R: Resource>(
        &mut self,
        said: Upsert<R>,
    ) -> Result<(Recorded<Record<R>>, Upserted)> {
        let stored = match said.by {
            By::Code(number, ref reference) => match (self.coded::<R>(number)?, reference) {
                (Some(id), _) => Some(id),
                (None, Some(reference)) => self.of_reference::<R>(reference)?,
                (None, None) => {
                    let words = "no record has this code; leave it empty for a new one";
                    return Err(Problem::invalid(vec![Invalid::body(
                        "/code",
                        "unknown_reference",
                        words,
                    )]));
                }
            },
            By::Reference(ref reference) => self.of_reference::<R>(reference)?,
            By::Unreadable => None,
            By::Nothing => {
                return Err(Problem::invalid(vec![Invalid::body(
                    "/external_ref",
                    "required",
                    said.needed,
                )]));
            }
        };
        let Some(id) = stored else {
            let draft = self.draft(said.whole)?;
            return Ok((self.create(draft)?, Upserted::Created));
        };
        let before = self.load_any::<R>(&Selector::Id(id), &Known::any(), true)?;
        if before.spine.archived_at.is_some() {
            let code = before.spine.code;
            let words = format!("{code} is archived. Restore it first.");
            return Err(Problem::new(Code::Conflict, words).needed_by([code]));
        }
        if let (By::Code(_, Some(reference)), Some(own)) = (
            &said.by,
            before
                .common
                .external_ref
                .as_ref()
                .filter(|own| said.differs(own)),
        ) {
            let words = format!(
                "{} has the external_ref `{own}`, not `{reference}`: leave out the code or the \
                    reference",
                before.spine.code
            );
            return Err(Problem::invalid(vec![Invalid::body(
                "/external_ref",
                "conflict",
                words,
            )]));
        }
        let version = before.spine.version;
        let saved = self.patch(before, said.patch)?;
        let outcome = if saved.get().spine.version == version {
            Upserted::Unchanged
        } else {
            Upserted::Updated
        };
        Ok((saved, outcome))
    }
    /// The record with this external reference, archived or not, as far as the caller sees it.
    fn of_reference<R: Resource>(&mut self, reference: &str) -> Result<Option<Id>> {
        if let Some(known) = self.memory.referred(&R::KIND, reference) {
            return Ok(known.map(|(id, _)| id));
        }
        let reader = self.reader();
        let same = v::table
            .filter(reader.seen(R::KIND.name))
            .filter(v::external_ref.eq(reference));
        Ok(same.select(v::id).get_result(reader.conn).optional()?)
    }
    /// The record with this number, likewise.
    fn coded<R: Resource>(&mut self, number: i64) -> Result<Option<Id>> {
        let selector = Selector::Number(R::KIND.name, number);
        if let Some(row) = self.memory.row(&R::KIND, &selector) {
            return Ok(Some(row.id));
        }
        let reader = self.reader();
        let same = v::table
            .filter(reader.seen(R::KIND.name))
            .filter(v::number.eq(number));
        Ok(same.select(v::id).get_result(reader.conn).optional()?)
    }
}

/// A record to create or to change, read before the write begins: both are looked at, since only
/// the database knows which it will be.
#[derive(Debug)]
pub struct Upsert<R> {
    by: By,
    needed: &'static str,
    whole: Body<R>,
    patch: Patch<R>,
}

/// What the record is found by.
#[derive(Debug)]
enum By {
    /// The number in its code; by the reference, where no record has that code.
    Code(i64, Option<String>),
    /// Its external reference.
    Reference(String),
    /// A reference that no record can have.
    Unreadable,
    /// Nothing was said.
    Nothing,
}

impl<R: Resource> Upsert<R> {
    /// By its `external_ref`.
    pub fn read(schemas: &Schemas, body: Map<String, Value>) -> Self {
        let by = match body.get("external_ref") {
            Some(Value::String(reference)) if !reference.contains('\0') => {
                By::Reference(reference.clone())
            }
            Some(Value::String(_)) => By::Unreadable,
            _ => By::Nothing,
        };
        let whole = Body::read(schemas, body.clone());
        // What is a whole record is a patch, too.
        let patch = match whole.is_sound() {
            true => Patch::of(body),
            false => Patch::read(schemas, body),
        };
        Upsert {
            by,
            needed: "is required for an upsert",
            whole,
            patch,
        }
    }
    /// By its code where that is given, else by its `external_ref`: a row of a table.
    pub fn row(schemas: &Schemas, code: Option<Selector>, body: Map<String, Value>) -> Self {
        let read = Upsert::read(schemas, body);
        match code {
            Some(Selector::Number(_, number)) => {
                let reference = if let By::Reference(reference) = read.by {
                    Some(reference)
                } else {
                    None
                };
                Upsert {
                    by: By::Code(number, reference),
                    ..read
                }
            }
            _ => Upsert {
                needed: "give an external_ref or the code of an existing record: it identifies the \
                    row",
                ..read
            },
        }
    }
    /// What it will ask for.
    pub fn ahead(&self, ahead: &mut Ahead) {
        match &self.by {
            By::Code(number, reference) => {
                ahead
                    .selectors
                    .push(Selector::Number(R::KIND.name, *number));
                ahead.external_refs.extend(reference.clone());
            }
            By::Reference(reference) => drop(ahead.external_refs.insert(reference.clone())),
            By::Unreadable | By::Nothing => {}
        }
        ahead.body(&self.whole);
    }
    fn differs(&self, own: &str) -> bool {
        matches!(&self.by, By::Code(_, Some(reference)) if reference != own)
    }
}
