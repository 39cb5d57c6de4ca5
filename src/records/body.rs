//! What clients write: one struct per kind. It is held to the schema that the document publishes
//! and read whole, for create and for patch alike, before the writer's queue; every fault is named.
//! What only the database knows is looked up in the transaction, which makes a draft of it.
use super::links::{self, References};
use super::{Common, Resource};
use crate::core::schema::{Schema, below};
use crate::core::{Invalid, Problem, Result, Schemas, merge::merge};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use utoipa::ToSchema;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

/// A whole body in which nothing is wrong, as far as it says itself.
#[derive(Debug, Clone)]
pub struct Sound<R> {
    /// What every record has.
    pub common: Common,
    /// What this kind has.
    pub own: R,
    /// What it refers to, not looked up yet.
    pub references: References,
}

/// A whole body that was read, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Body<R> {
    pub(super) common: Option<Common>,
    pub(super) own: Option<R>,
    pub(super) references: References,
    pub(super) faults: Vec<Invalid>,
}

impl<R: Resource> Body<R> {
    /// Reads it; no database is asked.
    pub fn read(schemas: &Schemas, body: Map<String, Value>) -> Self {
        Body::held(schemas.whole(&R::name()), body)
    }
    /// The same by another schema, or by none where the server wrote it.
    pub fn held(to: Option<&Schema>, mut body: Map<String, Value>) -> Self {
        let faults = held(to, &mut body);
        Body::taken(body, faults)
    }
    /// Of members that were held to their schema. (`flatten` and `deny_unknown_fields` do not go
    /// together in serde, so the members are dealt out by name.)
    pub fn taken(mut body: Map<String, Value>, mut faults: Vec<Invalid>) -> Self {
        let (sound, mut more) = (faults.is_empty(), Vec::new());
        let references = links::take(&mut body, &R::KIND, &mut more);
        let named: BTreeSet<String> = faults.iter().map(|fault| top(&fault.pointer)).collect();
        faults.extend(
            more.into_iter()
                .filter(|fault| !named.contains(&top(&fault.pointer))),
        );
        let (common, own): (Map<_, _>, Map<_, _>) = body
            .into_iter()
            .partition(|(name, _)| Common::MEMBERS.contains(&name.as_str()));
        let common = part::<Common>(common, example::<R>, &mut faults);
        let own = part::<R>(own, example::<R>, &mut faults);
        if let Some(own) = &own {
            faults.extend(own.faults());
            faults.extend(own.linked_faults(&references));
        }
        if !sound {
            once(&mut faults);
        }
        Body {
            common,
            own,
            references,
            faults,
        }
    }
    /// Is nothing wrong with it?
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
    /// What the database will be asked about it: whose its external reference is, and what it
    /// refers to.
    pub(super) fn asks(&self) -> (Option<&str>, &References) {
        let common = self.common.as_ref();
        let external_ref = common.and_then(|common| common.external_ref.as_deref());
        (external_ref, &self.references)
    }
    /// What is wrong with it, whatever the database says.
    pub fn faults(&self) -> &[Invalid] {
        &self.faults
    }
    /// The same, with what else is wrong.
    pub fn with(mut self, faults: Vec<Invalid>) -> Self {
        self.faults.extend(faults);
        self
    }
    /// What is read, when nothing is wrong with it.
    pub fn sound(self) -> Result<Sound<R>> {
        match (self.common, self.own) {
            (Some(common), Some(own)) if self.faults.is_empty() => Ok(Sound {
                common,
                own,
                references: self.references,
            }),
            _ => Err(Problem::invalid(self.faults)),
        }
    }
}
impl<R> From<Sound<R>> for Body<R> {
    fn from(sound: Sound<R>) -> Self {
        Body {
            common: Some(sound.common),
            own: Some(sound.own),
            references: sound.references,
            faults: vec![],
        }
    }
}

fn example<R: Resource>() -> Map<String, Value> {
    match R::example() {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A merge patch of a kind, held to its schema; the whole is read when it is applied.
#[derive(Debug, Clone)]
pub struct Patch<R> {
    members: Map<String, Value>,
    faults: Vec<Invalid>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Resource> Patch<R> {
    /// Looks at it; no database is asked.
    pub fn read(schemas: &Schemas, mut members: Map<String, Value>) -> Self {
        let schema = schemas.patch(&R::name());
        let faults = schema.map_or_else(Vec::new, |schema| schema.faults(&mut members));
        Patch {
            faults,
            ..Patch::of(members)
        }
    }
    /// Of members in which nothing is wrong.
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Patch {
            members,
            faults: vec![],
            kind: PhantomData,
        }
    }
    /// The members among which are those that the database will be asked about.
    pub(super) fn asks(&self) -> &Map<String, Value> {
        &self.members
    }
    /// What is wrong with it, whatever it is applied to.
    pub fn faults(&self) -> &[Invalid] {
        &self.faults
    }
    /// A whole body that has it applied. The members at fault are left as they were, so that the
    /// rest can still be looked at.
    pub(super) fn over(
        mut self,
        schemas: &Schemas,
        mut body: Map<String, Value>,
    ) -> Result<Body<R>> {
        if self.faults.len() > Problem::LISTED {
            return Err(Problem::invalid(self.faults));
        }
        for fault in &self.faults {
            self.members.remove(&top(&fault.pointer));
        }
        merge(&mut body, self.members);
        Ok(Body::read(schemas, body).with(self.faults))
    }
}

/// What is wrong by the schema, if there is one. What is null is as good as absent from then on.
pub fn held(to: Option<&Schema>, body: &mut Map<String, Value>) -> Vec<Invalid> {
    let faults = to.map_or_else(Vec::new, |schema| schema.faults(body));
    body.retain(|name, value| {
        !value.is_null() && to.is_none_or(|schema| schema.member(name).is_some())
    });
    faults
}

/// The member that a place lies in.
fn top(pointer: &str) -> String {
    let name = pointer.split('/').nth(1).unwrap_or_default();
    name.replace("~1", "/").replace("~0", "~")
}

/// Reads and validates the body of an action; every fault is named.
pub fn read_part<T: DeserializeOwned + Validate + ToSchema>(
    schemas: &Schemas,
    body: Map<String, Value>,
) -> Result<T> {
    match read_as(schemas.sent(&T::name())?, body) {
        (Some(read), faults) if faults.is_empty() => Ok(read),
        (_, faults) => Err(Problem::invalid(faults)),
    }
}
/// The same by this schema: what could be read, and what is wrong with it.
pub fn read_as<T: DeserializeOwned + Validate>(
    schema: &Schema,
    mut body: Map<String, Value>,
) -> (Option<T>, Vec<Invalid>) {
    let mut faults = held(Some(schema), &mut body);
    let read = part::<T>(body, Map::new, &mut faults);
    once(&mut faults);
    (read, faults)
}

/// Reads a part of a body whose faults by the schema are known. Where they do not let it be read,
/// the members that they lie in are left out, or taken from the example, so that what is wrong with
/// the others is named as well.
pub fn part<T: DeserializeOwned + Validate>(
    members: Map<String, Value>,
    example: impl FnOnce() -> Map<String, Value>,
    faults: &mut Vec<Invalid>,
) -> Option<T> {
    let mut whole = Value::Object(members);
    match T::deserialize(&whole) {
        Ok(part) => {
            validated(&part, faults);
            return Some(part);
        }
        Err(_) if faults.is_empty() => {
            // Rare: the type is narrower than its schema. Once more, for the place.
            let place = serde_path_to_error::deserialize::<_, T>(&whole)
                .err()
                .map(|error| (pointer(error.path()), error.into_inner().to_string()));
            let (at, words) = place.unwrap_or_default();
            faults.push(Invalid::body(at, "invalid", words));
        }
        Err(_) => {
            let aside: BTreeSet<String> = faults.iter().map(|fault| top(&fault.pointer)).collect();
            if let Value::Object(members) = &mut whole {
                let instead = example().into_iter();
                members.retain(|name, _| !aside.contains(name));
                members.extend(instead.filter(|(name, _)| aside.contains(name)));
            }
            if let Ok(part) = T::deserialize(&whole) {
                validated(&part, faults);
            }
        }
    }
    None
}
fn validated(part: &impl Validate, faults: &mut Vec<Invalid>) {
    if let Err(errors) = part.validate() {
        flatten("", &errors, faults);
    }
}

/// Each place once: what the schema says of it, unless a rule says more than that it does not match
/// a pattern.
fn once(faults: &mut Vec<Invalid>) {
    faults.sort_by_key(|fault| fault.code == "pattern");
    let mut named = BTreeSet::new();
    faults.retain(|fault| named.insert(fault.pointer.clone()));
}

/// A place in a body as a JSON Pointer (RFC 6901).
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().map(segment).collect()
}
fn segment(segment: &serde_path_to_error::Segment) -> String {
    match segment {
        serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
        serde_path_to_error::Segment::Map { key } => below("", key),
        serde_path_to_error::Segment::Enum { variant } => format!("/{variant}"),
        serde_path_to_error::Segment::Unknown => String::new(),
    }
}

fn flatten(at: &str, errors: &ValidationErrors, into: &mut Vec<Invalid>) {
    for (member, kind) in errors.errors() {
        let pointer = format!("{at}/{}", member.strip_prefix("r#").unwrap_or(member));
        match kind {
            ValidationErrorsKind::Field(field) => {
                into.extend(field.iter().map(|error| said(&pointer, error)))
            }
            ValidationErrorsKind::Struct(inner) => flatten(&pointer, inner, into),
            ValidationErrorsKind::List(items) => items
                .iter()
                .for_each(|(n, inner)| flatten(&format!("{pointer}/{n}"), inner, into)),
        }
    }
}
fn said(pointer: &str, error: &validator::ValidationError) -> Invalid {
    let words = match &error.message {
        Some(words) => words.to_string(),
        None => format!("does not meet the rule `{}`", error.code),
    };
    Invalid::body(pointer, error.code.to_string(), words)
}
