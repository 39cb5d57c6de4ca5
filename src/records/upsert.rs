//! Creates the record with an external reference, or patches the one that is there.
use super::{Ahead, Body, Covers, IfMatch, Patch, Record, Resource, Selector, Tx, Writing};
use crate::core::{Code, Id, Invalid, Problem, Result, Schemas};
use crate::db::schema::versions as v;
use crate::ledger::Recorded;
use diesel::prelude::*;
use serde_json::{Map, Value};

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

impl Writing<'_> {
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
        let before = self.load_any::<R>(&Selector::Id(id), &IfMatch::any(), true)?;
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
