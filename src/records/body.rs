//! What clients write: one struct per kind, taken apart and validated whole, for create and for
//! patch alike. Every fault is named. All of this happens before the writer's queue; what only the
//! database knows is looked up in the transaction.
use super::links::{self, References};
use super::shape::{Faults, shape, sift};
use super::{Common, Resource};
use crate::core::{Invalid, Problem, Result, catalogue, merge::merge};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::marker::PhantomData;
use utoipa::ToSchema;
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
    /// Reads and validates a whole body.
    ///
    /// What only the database knows is looked up when the record is written: references, and the
    /// organization's own requirements.
    pub fn read(body: Map<String, Value>) -> Result<Self> {
        Body::<R>::read(body).settled(
            &mut |own| Ok(own_unknown(own, &mut built_in, &|_| true)),
            &mut |_| vec![],
        )
    }
}

/// A whole body that was read: a draft, or what is wrong with it.
#[derive(Debug, Clone)]
pub struct Body<R> {
    common: Option<Common>,
    own: Option<R>,
    references: References,
    faults: Vec<Invalid>,
}

impl<R: Resource> Body<R> {
    /// Reads it; no database is asked. (`flatten` and `deny_unknown_fields` do not go together in
    /// serde, so the members are dealt out by name.)
    pub fn read(mut body: Map<String, Value>) -> Self {
        let (common, own, mut faults) = (shape::<Common>(), shape::<R>(), Faults::default());
        sift(
            &mut body,
            &[&common, &own],
            &|name| R::KIND.relation(name).is_some(),
            &mut faults,
        );
        let Faults(mut faults) = faults;
        let references = links::take(&mut body, &R::KIND, &mut faults);
        body.retain(|_, value| !value.is_null());
        let (common, own) = parts::<R>(body, &mut faults);
        if let Some(own) = &own {
            faults.extend(own.faults());
            faults.extend(own.linked_faults(&references));
        }
        Body {
            common,
            own,
            references,
            faults,
        }
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
    /// A draft, when nothing is wrong with it: `uncited` adds the faults of frameworks and
    /// requirements, and `unknown` those of references, where there are faults anyway.
    pub(super) fn settled(
        self,
        uncited: &mut dyn FnMut(&R) -> Result<Vec<Invalid>>,
        unknown: &mut dyn FnMut(&References) -> Vec<Invalid>,
    ) -> Result<Draft<R>> {
        let Body {
            common,
            own,
            references,
            mut faults,
        } = self;
        if let Some(own) = own.as_ref().filter(|_| faults.len() < Problem::LISTED) {
            faults.extend(uncited(own)?);
        }
        match (common, own) {
            (Some(common), Some(own)) if faults.is_empty() => Ok(Draft {
                common,
                own,
                references,
            }),
            _ => {
                if faults.len() < Problem::LISTED {
                    faults.extend(unknown(&references));
                }
                Err(Problem::invalid(faults))
            }
        }
    }
}
impl<R: Resource> From<Map<String, Value>> for Body<R> {
    fn from(body: Map<String, Value>) -> Self {
        Body::read(body)
    }
}

/// The members that every record has, and those of this kind.
fn parts<R: Resource>(
    body: Map<String, Value>,
    faults: &mut Vec<Invalid>,
) -> (Option<Common>, Option<R>) {
    let (common, own): (Map<_, _>, Map<_, _>) = body
        .into_iter()
        .partition(|(name, _)| Common::MEMBERS.contains(&name.as_str()));
    (
        part::<Common>(common, &example::<R>, faults),
        part::<R>(own, &example::<R>, faults),
    )
}
fn example<R: Resource>() -> Map<String, Value> {
    match R::example() {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A merge patch, not yet applied and not looked at.
#[derive(Debug, Clone)]
pub struct MergePatch(pub Map<String, Value>);

/// A merge patch of a kind that was looked at: what it says member by member was validated; the
/// whole is validated when it is applied.
#[derive(Debug, Clone)]
pub struct Patch<R> {
    members: Map<String, Value>,
    faults: Vec<Invalid>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Resource> Patch<R> {
    /// Looks at it; no database is asked. What it clears has to be there to be cleared.
    pub fn read(mut members: Map<String, Value>) -> Self {
        let (common, own, mut faults) = (shape::<Common>(), shape::<R>(), Faults::default());
        sift(
            &mut members,
            &[&common, &own],
            &|name| R::KIND.relation(name).is_some(),
            &mut faults,
        );
        let Faults(mut faults) = faults;
        // What replaces a member is held to its rules on its own; what merges into one, and what
        // goes with another, only the whole can tell.
        let merges = |name: &str| common.is_object(name) || own.is_object(name);
        let alone = |name: &str, value: &Value| {
            !value.is_null() && R::KIND.relation(name).is_none() && !merges(name)
        };
        let said: Map<String, Value> = members
            .iter()
            .filter(|(name, value)| alone(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !said.is_empty() {
            let mut body = example::<R>();
            body.retain(|name, value| R::KIND.relation(name).is_none() && !value.is_null());
            body.extend(said.clone());
            let mut found = Vec::new();
            parts::<R>(body, &mut found);
            faults.extend(
                found
                    .into_iter()
                    .filter(|fault| said.contains_key(top(&fault.pointer))),
            );
        }
        Patch {
            members,
            faults,
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
    /// What is written when it is applied to `body`, and what is wrong with it already; then the
    /// members at fault are left as they were, so that the rest can still be looked at.
    pub(super) fn apply(self, body: &mut Map<String, Value>) -> Vec<Invalid> {
        let Patch {
            mut members,
            faults,
            ..
        } = self;
        for fault in &faults {
            members.remove(top(&fault.pointer));
        }
        merge(body, members);
        faults
    }
}
impl<R: Resource> From<MergePatch> for Patch<R> {
    fn from(MergePatch(members): MergePatch) -> Self {
        Patch::read(members)
    }
}
/// The member that a place lies in.
fn top(pointer: &str) -> &str {
    pointer.split('/').nth(1).unwrap_or_default()
}

/// Reads and validates the body of an action; unknown members and every invalid value are named.
pub fn read_part<T: DeserializeOwned + Validate + ToSchema + 'static>(
    mut body: Map<String, Value>,
) -> Result<T> {
    let mut faults = Faults::default();
    sift(&mut body, &[&shape::<T>()], &|_| false, &mut faults);
    let Faults(mut faults) = faults;
    body.retain(|_, value| !value.is_null());
    let read = part::<T>(body, &Map::new, &mut faults);
    read.filter(|_| faults.is_empty())
        .ok_or_else(|| Problem::invalid(faults))
}

/// Reads a part. After a fault the member is set aside and reading goes on, so that each faulty
/// member is found: as often as the type has members, for what is unknown was taken out before.
/// Where a required one is missing or set aside, the example stands in for it meanwhile.
fn part<T: DeserializeOwned + Validate + ToSchema + 'static>(
    members: Map<String, Value>,
    example: &dyn Fn() -> Map<String, Value>,
    faults: &mut Vec<Invalid>,
) -> Option<T> {
    let (before, mut aside, mut whole) =
        (faults.len(), Vec::<String>::new(), Value::Object(members));
    loop {
        let error = match T::deserialize(&whole) {
            Ok(part) => {
                if let Err(errors) = part.validate() {
                    flatten("", &errors, faults);
                }
                return Some(part);
            }
            // Once more, for the place of the fault.
            Err(_) => match serde_path_to_error::deserialize::<_, T>(&whole) {
                Ok(_) => break,
                Err(error) => error,
            },
        };
        let (path, words) = (error.path().clone(), error.inner().to_string());
        let pointer = pointer(&path);
        let (unread, Value::Object(members)) = (top(&pointer).to_owned(), &mut whole) else {
            break;
        };
        match quoted(&words).filter(|name| {
            words.starts_with("unknown field")
                && pointer.matches('/').count() <= 1
                && members.contains_key(*name)
        }) {
            Some(name) => {
                faults.push(Invalid::body(
                    format!("/{name}"),
                    "unknown_member",
                    "there is no such member, or clients cannot write it",
                ));
                members.remove(name);
            }
            None if members.remove(&unread).is_some() => {
                faults.push(Invalid::body(pointer, "invalid", words));
                aside.push(unread);
            }
            None => break,
        }
    }
    // Something required is missing.
    let Value::Object(members) = &mut whole else {
        return None;
    };
    for name in shape::<T>().required.iter() {
        if members.contains_key(name) {
            continue;
        }
        if !aside.contains(name) {
            faults.push(Invalid::body(format!("/{name}"), "required", "is needed"));
        }
        if let Some(value) = example().remove(name) {
            members.insert(name.clone(), value);
        }
    }
    if let Ok(part) = T::deserialize(&whole)
        && let Err(errors) = part.validate()
    {
        flatten("", &errors, faults);
    }
    if faults.len() == before {
        faults.push(Invalid::body("", "invalid", "the body cannot be read"));
    }
    None
}

/// A place in a body as a JSON Pointer (RFC 6901).
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().map(segment).collect()
}
fn segment(segment: &serde_path_to_error::Segment) -> String {
    match segment {
        serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
        serde_path_to_error::Segment::Map { key } => {
            format!("/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        serde_path_to_error::Segment::Enum { variant } => format!("/{variant}"),
        serde_path_to_error::Segment::Unknown => String::new(),
    }
}
fn quoted(words: &str) -> Option<&str> {
    words.split('`').nth(1)
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
    let limit = |name: &str| error.params.get(name).map(Value::to_string);
    let words = error
        .message
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_else(|| {
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

/// Faults of what a record says of frameworks: the slugs and readable requirement ids
/// (`iso-27001-2022:A.5.1`) that are not `known`; suggestions are of frameworks that are `seen`.
pub fn own_unknown<R: Resource>(
    own: &R,
    known: &mut dyn FnMut(Cited<'_>) -> bool,
    seen: &dyn Fn(&str) -> bool,
) -> Vec<Invalid> {
    let mut faults = Vec::new();
    for (pointer, slug) in own.frameworks() {
        if !known(Cited::Framework(slug)) {
            faults.push(Invalid::body(
                pointer,
                "unknown_reference",
                catalogue::no_framework(slug, catalogue::slugs().filter(|slug| seen(slug))),
            ));
        }
    }
    let mut missing = catalogue::Missing::default();
    for (n, text) in own.requirements().iter().enumerate() {
        // One more than is listed says that there are more.
        if faults.len() > Problem::LISTED {
            break;
        }
        if !known(Cited::Requirement(text)) {
            faults.push(Invalid::body(
                format!("/requirements/{n}"),
                "unknown_reference",
                missing.say(text, seen),
            ));
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
        Cited::Requirement(id) => {
            catalogue::parts(id).is_some_and(|(slug, reference)| match catalogue::framework(slug) {
                Some(framework) => framework.place(reference).is_some(),
                None => catalogue::is_slug(slug) && catalogue::is_reference(reference),
            })
        }
    }
}
