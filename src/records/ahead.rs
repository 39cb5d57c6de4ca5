//! What the items of a batch will ask for, looked up for all of them at once. It is kept for
//! callers that see everything; what others see may change from one item to the next.
use super::links::{Found, References};
use super::{Body, Kind, Patch, Relation, Resource, Row, Selector, sight};
use crate::access::Caller;
use crate::core::Id;
use crate::db::dialect::NOW;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// What will be asked for.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Records of the kind that is written.
    pub selectors: Vec<Selector>,
    /// Their external references, and those that they are to have.
    pub external_refs: BTreeSet<String>,
    /// What they are to refer to.
    pub references: Vec<(&'static Relation, String)>,
}

impl Ahead {
    /// For a new record.
    pub fn body<R: Resource>(&mut self, body: &Body<R>) {
        let (external_ref, references) = body.asks();
        self.external_refs.extend(external_ref.map(str::to_owned));
        for relation in R::KIND.all_relations() {
            let texts = references.get(relation.member).into_iter().flatten();
            self.references
                .extend(texts.map(|text| (relation, text.clone())));
        }
    }
    /// For a change.
    pub fn patch<R: Resource>(&mut self, patch: &Patch<R>) {
        for (name, value) in patch.asks() {
            let texts = match value {
                Value::Array(items) => items.as_slice(),
                one => std::slice::from_ref(one),
            };
            let texts = texts.iter().filter_map(Value::as_str).map(str::to_owned);
            if name == "external_ref" {
                self.external_refs.extend(texts);
            } else if let Some(relation) = R::KIND.relation(name) {
                self.references.extend(texts.map(|text| (relation, text)));
            }
        }
    }
}

/// What is known of the database while several records are written.
#[derive(Default)]
pub(super) struct Memory {
    kept: bool,
    kind: &'static str,
    /// What references name.
    pub found: Found,
    /// Who has an external reference: its id, and the number in its code.
    pub external_refs: HashMap<String, Option<(Id, i64)>>,
    rows: HashMap<Id, Row>,
    numbers: HashMap<i64, Id>,
}

impl Memory {
    /// For writes of a kind.
    pub fn of(caller: &Caller, kind: &Kind) -> Self {
        let every = || super::kind::all().iter().filter(|kind| !kind.account);
        let mut kinds = vec![kind.name];
        for relation in kind.all_relations() {
            match relation.to {
                "" => kinds.extend(every().map(|kind| kind.name)),
                to => kinds.push(to),
            }
        }
        // Of those that every record names, people may leave meanwhile.
        let named = Relation::COMMON.iter().any(|common| common.to == kind.name);
        Memory {
            kept: !named && sight::shown(caller, &kinds, NOW).is_none(),
            kind: kind.name,
            ..Memory::default()
        }
    }
    /// Is anything kept?
    pub fn keeps(&self) -> bool {
        self.kept
    }
    /// What may not outlive the question that it was looked up for goes.
    pub fn settle(&mut self) {
        if !self.kept {
            self.found = Found::default();
        }
    }
    /// Keeps a record as it stands.
    pub fn keep(&mut self, number: i64, row: Row) {
        self.numbers.insert(number, row.id);
        self.rows.insert(row.id, row);
    }
    /// A record that is kept.
    pub fn row(&self, kind: &Kind, selector: &Selector) -> Option<&Row> {
        let id = match selector {
            Selector::Id(id) => id,
            Selector::Number(_, number) => self.numbers.get(number)?,
        };
        self.rows.get(id).filter(|_| self.kind == kind.name)
    }
    /// A record was written.
    pub fn forget(&mut self, id: Id) {
        self.rows.remove(&id);
    }
    /// Who has this external reference of the kind, where that is known.
    pub fn referred(&self, kind: &Kind, reference: &str) -> Option<Option<(Id, i64)>> {
        let known = self.external_refs.get(reference).copied();
        known.filter(|_| self.kept && self.kind == kind.name)
    }
    /// The references of a body that have to be looked up.
    pub fn missing(
        &self,
        kind: &Kind,
        wanted: &References,
        before: &super::links::Links,
    ) -> Vec<(&'static Relation, String)> {
        self.found.missing(kind, wanted, before)
    }
}
