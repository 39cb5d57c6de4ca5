//! A write for those who have a permission: it alone lets records of a register be written.
use super::{Draft, IfMatch, Patch, Record, Resource, Selector, Writing};
use crate::core::{Id, Result};
use crate::ledger::Recorded;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A permission that lets records of `R` be written.
pub trait Covers<R> {}

/// A write transaction for those who have the permission `P`: it writes what `P` covers, and does
/// all that [`Writing`] does.
pub struct Tx<'a, P> {
    writing: Writing<'a>,
    permission: PhantomData<P>,
}

impl<'a, P> Deref for Tx<'a, P> {
    type Target = Writing<'a>;
    fn deref(&self) -> &Writing<'a> {
        &self.writing
    }
}
impl<'a, P> DerefMut for Tx<'a, P> {
    fn deref_mut(&mut self) -> &mut Writing<'a> {
        &mut self.writing
    }
}

impl<'a, P> Tx<'a, P> {
    /// Only the guard and the house open one, for a caller who was asked whether they may.
    pub fn of(writing: Writing<'a>) -> Self {
        Tx {
            writing,
            permission: PhantomData,
        }
    }
    /// The live record, at the version the caller knows: 404, then 428 or 412, then 403 where it
    /// lies outside of the key's limits or is not theirs.
    pub fn load<R: Resource>(&mut self, selector: &Selector, known: &IfMatch) -> Result<Record<R>>
    where
        P: Covers<R>,
    {
        self.writing.load(selector, known)
    }
    /// The same where another rule says who may change it than that it is theirs.
    pub fn load_of_anyone<R: Resource>(
        &mut self,
        selector: &Selector,
        known: &IfMatch,
    ) -> Result<Record<R>>
    where
        P: Covers<R>,
    {
        let record = self.reader().load::<R>(selector, false)?;
        known.check(record.spine.version)?;
        self.within(&record)?;
        Ok(record)
    }
    /// The same, archived or not.
    pub fn load_any<R: Resource>(
        &mut self,
        selector: &Selector,
        known: &IfMatch,
        archived_too: bool,
    ) -> Result<Record<R>>
    where
        P: Covers<R>,
    {
        self.writing.load_any(selector, known, archived_too)
    }
    /// A new record.
    pub fn create<R: Resource>(&mut self, draft: Draft<R>) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        self.writing.create(draft)
    }
    /// A new record with an id, a state and a status of its own.
    pub fn create_as<R: Resource>(
        &mut self,
        id: Id,
        draft: Draft<R>,
        state: R::State,
        status: &str,
    ) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        self.writing.create_as(id, draft, state, status)
    }
    /// A patch or a transition: the record as it is to be, under the word for what happened.
    pub fn save<R: Resource>(
        &mut self,
        before: &Record<R>,
        record: Record<R>,
        action: &str,
    ) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        self.writing.save(before, record, action)
    }
    /// A patch of the writable part (RFC 7396). One that changes nothing leaves the record and the
    /// ledger alone.
    pub fn patch<R: Resource>(
        &mut self,
        before: Record<R>,
        patch: Patch<R>,
    ) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        self.writing.patch(before, patch)
    }
    /// Out of the lists; the history stays. 409 when others need it.
    pub fn archive<R: Resource>(&mut self, before: Record<R>) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        self.writing.archive(before)
    }
    /// Back into the lists.
    pub fn restore<R: Resource>(&mut self, before: Record<R>) -> Result<Recorded<Record<R>>>
    where
        P: Covers<R>,
    {
        self.writing.restore(before)
    }
}
