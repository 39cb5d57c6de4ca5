//! What the items of a batch will ask for, to be looked up for all of them at once.
use super::{Body, Patch, Relation, Resource, Selector};
use serde_json::Value;
use std::collections::BTreeSet;

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
