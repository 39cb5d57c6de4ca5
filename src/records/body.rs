//! What clients write: one struct per kind, taken apart and validated whole, for create and for patch alike. Every fault is named.
use super::links::{self, References};
use super::{Common, Resource};
use crate::core::{Invalid, Problem, Result, catalogue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::PartialSchema;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

/// The writable part of a record: what all have, what this kind has, and what it refers to.
#[derive(Debug, Clone)]
pub struct Draft<R> {
    /// What every record has.
    pub common: Common,
    /// What this kind has.
    pub own: R,
    /// What it refers to, not looked up yet.
    pub references: References,
}

impl<R: Resource> Draft<R> {
    /// Reads and validates a whole body. (`flatten` and `deny_unknown_fields` do not go together in serde, so the members are dealt out
    /// by name.)
    ///
    /// What only the database knows is looked up when the record is written: references, and the organization's own requirements.
    pub fn read(body: Map<String, Value>) -> Result<Self> {
        Self::read_with(body, &mut |_| vec![], &mut |own: &R| Ok(own_unknown(own, &mut built_in)))
    }
    /// The same; where there are faults, `unknown` adds those of the references, and `uncited` those of frameworks and requirements.
    pub fn read_with(
        mut body: Map<String, Value>,
        unknown: &mut dyn FnMut(&References) -> Vec<Invalid>,
        uncited: &mut dyn FnMut(&R) -> Result<Vec<Invalid>>,
    ) -> Result<Self> {
        let mut faults = nuls("", &body);
        let references = links::take(&mut body, &R::KIND, &mut faults);
        faults.extend(unknown_nulls::<R>(&body).filter(|name| !Common::MEMBERS.contains(&name.as_str())).map(unknown_member));
        body.retain(|_, value| !value.is_null());
        let (common, own): (Map<_, _>, Map<_, _>) = body.into_iter().partition(|(name, _)| Common::MEMBERS.contains(&name.as_str()));
        let example = || match R::example() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let common = part::<Common>(common, &example, &mut faults);
        let own = part::<R>(own, &example, &mut faults);
        if let Some(own) = &own {
            faults.extend(own.faults());
            faults.extend(own.linked_faults(&references));
            faults.extend(uncited(own)?);
        }
        match (common, own) {
            (Some(common), Some(own)) if faults.is_empty() => Ok(Draft { common, own, references }),
            _ => {
                faults.extend(unknown(&references));
                Err(Problem::invalid(faults))
            }
        }
    }
}

/// A merge patch, not yet applied.
#[derive(Debug, Clone)]
pub struct MergePatch(pub Map<String, Value>);

impl MergePatch {
    /// What it clears has to be there to be cleared.
    pub fn known<R: Resource>(&self) -> Result<()> {
        let known = |name: &str| Common::MEMBERS.contains(&name) || R::KIND.relation(name).is_some();
        let faults: Vec<Invalid> = unknown_nulls::<R>(&self.0).filter(|name| !known(name)).map(unknown_member).collect();
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
    }
}

/// The members that are null and that a type does not have: a null says as little of a misspelt name as a value would.
fn unknown_nulls<T: PartialSchema>(body: &Map<String, Value>) -> impl Iterator<Item = &String> {
    let nulls: Vec<&String> = body.iter().filter_map(|(name, value)| value.is_null().then_some(name)).collect();
    let schema = if nulls.is_empty() { Value::Null } else { serde_json::to_value(T::schema()).unwrap_or_default() };
    nulls.into_iter().filter(move |name| schema.get("properties").is_none_or(|known| known.get(name.as_str()).is_none()))
}
fn unknown_member(name: impl std::fmt::Display) -> Invalid {
    Invalid::body(format!("/{name}"), "unknown_member", "there is no such member, or it is not for clients to write")
}

/// Reads and validates the body of an action; unknown members and every invalid value are named.
pub fn read_part<T: DeserializeOwned + Validate + PartialSchema>(mut body: Map<String, Value>) -> Result<T> {
    let mut faults = nuls("", &body);
    faults.extend(unknown_nulls::<T>(&body).map(unknown_member));
    body.retain(|_, value| !value.is_null());
    let read = part::<T>(body, &Map::new, &mut faults);
    read.filter(|_| faults.is_empty()).ok_or_else(|| Problem::invalid(faults))
}

/// Reads a part. After a fault the member is set aside and reading goes on, so that all of them are found; where a required one is missing
/// or set aside, the example stands in for it meanwhile.
fn part<T: DeserializeOwned + Validate + PartialSchema>(
    mut members: Map<String, Value>,
    example: &dyn Fn() -> Map<String, Value>,
    faults: &mut Vec<Invalid>,
) -> Option<T> {
    let before = faults.len();
    let mut aside: Vec<String> = Vec::new();
    for _ in 0..=200 {
        match serde_path_to_error::deserialize::<_, T>(Value::Object(members.clone())) {
            Ok(part) => {
                if let Err(errors) = part.validate() {
                    flatten("", &errors, faults);
                }
                return Some(part);
            }
            Err(error) => {
                let (path, words) = (error.path().clone(), error.inner().to_string());
                let pointer = pointer(&path);
                let top = pointer.split('/').nth(1).map(str::to_owned);
                match (top.filter(|name| members.contains_key(name)), quoted(&words)) {
                    (_, Some(name))
                        if words.starts_with("unknown field") && members.contains_key(name) && pointer.matches('/').count() <= 1 =>
                    {
                        faults.push(unknown_member(name));
                        members.remove(name);
                    }
                    (Some(name), _) => {
                        faults.push(Invalid::body(pointer, "invalid", words));
                        members.remove(&name);
                        aside.push(name);
                    }
                    (None, _) => break,
                }
            }
        }
    }
    // Something required is missing.
    let needed: Vec<String> =
        serde_json::to_value(T::schema()).ok().and_then(|s| serde_json::from_value(s.get("required")?.clone()).ok())?;
    for name in needed {
        if members.contains_key(&name) {
            continue;
        }
        if !aside.contains(&name) {
            faults.push(Invalid::body(format!("/{name}"), "required", "is needed"));
        }
        if let Some(value) = example().remove(&name) {
            members.insert(name, value);
        }
    }
    if let Ok(part) = serde_json::from_value::<T>(Value::Object(members))
        && let Err(errors) = part.validate()
    {
        flatten("", &errors, faults);
    }
    if faults.len() == before {
        faults.push(Invalid::body("", "invalid", "the body cannot be read"));
    }
    None
}

/// U+0000, which no database keeps in text.
fn nuls(at: &str, members: &Map<String, Value>) -> Vec<Invalid> {
    fn walk(at: &str, value: &Value, faults: &mut Vec<Invalid>) {
        match value {
            Value::String(text) if text.contains('\0') => faults.push(Invalid::body(at, "invalid", "text cannot hold U+0000")),
            Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| walk(&format!("{at}/{n}"), item, faults)),
            Value::Object(inner) => faults.extend(nuls(at, inner)),
            _ => {}
        }
    }
    let mut faults = Vec::new();
    for (name, value) in members {
        if name.contains('\0') {
            faults.push(Invalid::body(at, "invalid", "a name cannot hold U+0000"));
        }
        walk(&format!("{at}/{name}"), value, &mut faults);
    }
    faults
}

/// A place in a body as a JSON Pointer (RFC 6901).
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().map(segment).collect()
}
fn segment(segment: &serde_path_to_error::Segment) -> String {
    match segment {
        serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
        serde_path_to_error::Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        serde_path_to_error::Segment::Enum { variant } => format!("/{variant}"),
        serde_path_to_error::Segment::Unknown => String::new(),
    }
}
fn quoted(words: &str) -> Option<&str> {
    words.split('`').nth(1)
}

fn flatten(at: &str, errors: &ValidationErrors, into: &mut Vec<Invalid>) {
    for (member, kind) in errors.errors() {
        let pointer = format!("{at}/{member}");
        match kind {
            ValidationErrorsKind::Field(field) => into.extend(field.iter().map(|error| said(&pointer, error))),
            ValidationErrorsKind::Struct(inner) => flatten(&pointer, inner, into),
            ValidationErrorsKind::List(items) => items.iter().for_each(|(n, inner)| flatten(&format!("{pointer}/{n}"), inner, into)),
        }
    }
}

fn said(pointer: &str, error: &validator::ValidationError) -> Invalid {
    let limit = |name: &str| error.params.get(name).map(Value::to_string);
    let words = error.message.as_ref().map(ToString::to_string).unwrap_or_else(|| {
        let bounds: Vec<_> = [("min", "at least"), ("max", "at most")]
            .iter()
            .filter_map(|(name, words)| limit(name).map(|n| format!("{words} {n}")))
            .collect();
        match (error.code.as_ref(), bounds.is_empty()) {
            ("length", false) => format!("a length of {}", bounds.join(" and ")),
            ("range", false) => bounds.join(" and "),
            (code, _) => format!("is no valid {code}"),
        }
    });
    Invalid::body(pointer, error.code.to_string(), words)
}

/// Faults of what a record says of frameworks: the slugs and readable requirement ids (`iso-27001-2022:A.5.1`) that are not `known`.
pub fn own_unknown<R: Resource>(own: &R, known: &mut dyn FnMut(Cited<'_>) -> bool) -> Vec<Invalid> {
    let mut faults = Vec::new();
    for (pointer, slug) in own.frameworks() {
        if !known(Cited::Framework(slug)) {
            faults.push(Invalid::body(pointer, "unknown_reference", catalogue::no_framework(slug, catalogue::slugs())));
        }
    }
    for (n, text) in own.requirements().iter().enumerate() {
        if !known(Cited::Requirement(text)) {
            faults.push(Invalid::body(format!("/requirements/{n}"), "unknown_reference", catalogue::no_requirement(text)));
        }
    }
    faults
}
/// What a record says of frameworks.
#[derive(Debug, Clone, Copy)]
pub enum Cited<'a> {
    /// A slug.
    Framework(&'a str),
    /// A readable requirement id.
    Requirement(&'a str),
}
/// Known, or perhaps the organization's own.
fn built_in(cited: Cited<'_>) -> bool {
    match cited {
        Cited::Framework(slug) => catalogue::is_slug(slug),
        Cited::Requirement(id) => catalogue::parts(id).is_some_and(|(slug, reference)| match catalogue::framework(slug) {
            Some(framework) => framework.place(reference).is_some(),
            None => catalogue::is_slug(slug) && catalogue::is_reference(reference),
        }),
    }
}
