//! The facts behind the overview, cut to what its reader sees.
use crate::core::{Id, Result};
use crate::records::{Kind, Reader, Resource};
use crate::registers::facts::{Facts, Part, Seen, Stub};
use crate::registers::scope::Scope;
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The facts behind the overview, as its reader sees them.
pub struct Basis {
    /// What stands.
    pub facts: Arc<Facts>,
    seen: BTreeMap<&'static str, Seen>,
    /// The scope that was asked for.
    pub scope: Option<Id>,
    /// The organization's date.
    pub today: NaiveDate,
}

impl Basis {
    /// Reads them; of a scope, where one is asked for.
    pub fn read(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<Self> {
        const ALL: &[Part] = &[
            Part::Controls,
            Part::Evidence,
            Part::Risks,
            Part::Treatments,
            Part::Vulnerabilities,
            Part::Others,
        ];
        let counted = reader.kinds().all().iter().filter(|kind| kind.counted);
        let seen = counted.map(|kind| Ok((kind.name, Seen::of(reader, kind.name)?)));
        Ok(Basis {
            seen: seen.collect::<Result<_>>()?,
            facts: Facts::of(reader, ALL)?,
            scope,
            today: reader.today,
        })
    }
    /// Is it seen, in use, and of the scope or of the whole organization?
    pub fn here(&self, kind: &str, stub: &Stub) -> bool {
        let seen = self.seen.get(kind).is_some_and(|seen| seen.has(stub.id));
        // A scope belongs to no scope.
        let scope = self.scope.filter(|_| kind != Scope::KIND.name);
        !stub.archived && seen && stub.within(scope)
    }
    /// The records of a kind that the overview counts.
    pub fn stubs<'b>(&'b self, kind: &'b Kind) -> impl Iterator<Item = &'b Stub> {
        self.facts
            .stubs(kind)
            .filter(|stub| self.here(kind.name, stub))
    }
    /// What the caller sees of a kind, whichever scope it belongs to.
    pub fn seen(&self, kind: &Kind) -> &Seen {
        static NOTHING: Seen = Seen::NOTHING;
        self.seen.get(kind.name).unwrap_or(&NOTHING)
    }
}
