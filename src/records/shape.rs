//! The members that a body may have, as its published schema names them: what is unknown is found
//! in one pass, however much of it there is.
use crate::core::{Invalid, Problem, clock};
use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use utoipa::ToSchema;

/// Schemas inside of schemas that are followed; none of ours goes deeper.
const DEPTH: usize = 8;

/// What a value may look like.
#[derive(Debug, Default)]
pub struct Shape {
    /// Is it an object, or null?
    object: bool,
    /// Its members.
    members: BTreeMap<String, Shape>,
    /// Has it no others?
    closed: bool,
    /// What its items look like.
    items: Option<Box<Shape>>,
    /// Is it a day?
    day: bool,
    /// The members that have to be given.
    pub required: Vec<String>,
}

/// The shape of a type, made of its schema once.
pub fn shape<T: ToSchema + 'static>() -> Arc<Shape> {
    static KNOWN: RwLock<Option<HashMap<TypeId, Arc<Shape>>>> = RwLock::new(None);
    let of = TypeId::of::<T>();
    let known = |all: &Option<HashMap<TypeId, Arc<Shape>>>| all.as_ref()?.get(&of).cloned();
    if let Some(found) = known(&KNOWN.read().unwrap_or_else(PoisonError::into_inner)) {
        return found;
    }
    let mut named = Vec::new();
    T::schemas(&mut named);
    let named = named
        .into_iter()
        .map(|(name, schema)| (name, json!(schema)))
        .collect();
    let made = Arc::new(Shape::of(&json!(T::schema()), &named, DEPTH));
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default()
        .insert(of, made.clone());
    made
}

impl Shape {
    fn of(schema: &Value, named: &BTreeMap<String, Value>, depth: usize) -> Shape {
        let Some(depth) = depth.checked_sub(1) else {
            return Shape::default();
        };
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|place| named.get(place.rsplit('/').next()?));
        if let Some(target) = target {
            return Shape::of(target, named, depth);
        }
        // Null is no alternative; between several others serde has to decide.
        let some = schema
            .get("oneOf")
            .or(schema.get("allOf"))
            .and_then(Value::as_array);
        if let Some(some) = some {
            let mut real = some
                .iter()
                .filter(|one| one.get("type").is_none_or(|kind| kind != "null"));
            return match (real.next(), real.next()) {
                (Some(only), None) => Shape::of(only, named, depth),
                _ => Shape::default(),
            };
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let members: BTreeMap<String, Shape> = properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), Shape::of(schema, named, depth)))
            .collect();
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Shape {
            object: !members.is_empty() || schema.get("type").is_some_and(|kind| kind == "object"),
            members,
            closed: schema.get("additionalProperties") == Some(&Value::Bool(false)),
            items: schema
                .get("items")
                .map(|items| Box::new(Shape::of(items, named, depth))),
            day: schema.get("format").is_some_and(|format| format == "date"),
            required: required
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
        }
    }
    /// Is it an object whose members are known?
    pub fn is_object(&self, name: &str) -> bool {
        self.members
            .get(name)
            .is_some_and(|member| !member.members.is_empty())
    }
}

/// Faults of a body: those that are listed, and one more, which says that there are more.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Invalid>);

impl Faults {
    fn push(&mut self, at: &str, code: &str, words: &str) {
        if self.0.len() <= Problem::LISTED {
            self.0.push(Invalid::body(at, code, words));
        }
    }
}

/// Takes the unknown members out of a body, at any depth, and tells of them; of U+0000, which no
/// database keeps in text; and of days outside of the years that both databases keep. `parts` know
/// the members between them.
pub fn sift(
    members: &mut Map<String, Value>,
    parts: &[&Shape],
    also: &dyn Fn(&str) -> bool,
    faults: &mut Faults,
) {
    let mut at = String::new();
    members.retain(|name, value| {
        within(&mut at, name, faults, |at, faults| {
            match parts.iter().find_map(|part| part.members.get(name)) {
                Some(shape) => look(value, shape, at, faults),
                None if also(name) => look(value, &Shape::default(), at, faults),
                None if parts
                    .iter()
                    .all(|part| part.members.is_empty() && !part.closed) =>
                {
                    look(value, &Shape::default(), at, faults)
                }
                None => unknown(at, faults),
            }
        })
    });
}

/// Goes down to a member and comes back; is the member kept?
fn within(
    at: &mut String,
    name: &str,
    faults: &mut Faults,
    look: impl FnOnce(&mut String, &mut Faults) -> bool,
) -> bool {
    if name.contains('\0') {
        faults.push(at, "invalid", "a name cannot contain U+0000");
        return false;
    }
    let length = at.len();
    at.push('/');
    match name.contains(['~', '/']) {
        true => at.push_str(&name.replace('~', "~0").replace('/', "~1")),
        false => at.push_str(name),
    }
    let kept = look(at, faults);
    at.truncate(length);
    kept
}
fn unknown(at: &str, faults: &mut Faults) -> bool {
    faults.push(
        at,
        "unknown_member",
        "unknown member, or one that clients cannot write",
    );
    false
}

fn look(value: &mut Value, shape: &Shape, at: &mut String, faults: &mut Faults) -> bool {
    match value {
        // An array would be read as the members in their order.
        Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) if shape.object => {
            faults.push(at, "invalid", "must be an object, in braces");
            return false;
        }
        Value::String(text) if text.contains('\0') => {
            faults.push(at, "invalid", "text cannot contain U+0000")
        }
        Value::String(text) if shape.day && out_of_range(text) => {
            faults.push(
                at,
                "invalid",
                "must be a date in the years 0001 to 9999, such as 2026-03-31",
            );
        }
        Value::Array(items) => {
            let (plain, length) = (Shape::default(), at.len());
            let of = shape.items.as_deref().unwrap_or(&plain);
            for (n, item) in items.iter_mut().enumerate() {
                if of.object || item.is_string() || item.is_object() || item.is_array() {
                    at.push_str(&format!("/{n}"));
                    look(item, of, at, faults);
                    at.truncate(length);
                }
            }
        }
        Value::Object(members) => members.retain(|name, value| {
            within(at, name, faults, |at, faults| {
                match shape.members.get(name) {
                    Some(shape) => look(value, shape, at, faults),
                    None if shape.closed => unknown(at, faults),
                    None => look(value, &Shape::default(), at, faults),
                }
            })
        }),
        _ => {}
    }
    true
}

/// A day that chrono reads, and that RFC 3339 and PostgreSQL do not have.
fn out_of_range(text: &str) -> bool {
    text.parse::<NaiveDate>().is_ok_and(|day| !clock::kept(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, ToSchema)]
    #[schema(as = ShapeTestInner)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Inner {
        label: String,
    }
    #[derive(serde::Deserialize, ToSchema)]
    #[schema(as = ShapeTestOuter)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Outer {
        day: Option<NaiveDate>,
        steps: Vec<Inner>,
        one: Option<Inner>,
        free: BTreeMap<String, i32>,
    }

    fn faults(body: Value) -> (Value, Vec<String>) {
        let Value::Object(mut members) = body else {
            return (Value::Null, vec![]);
        };
        let mut faults = Faults::default();
        sift(
            &mut members,
            &[&shape::<Outer>()],
            &|name| name == "owner_id",
            &mut faults,
        );
        (
            Value::Object(members),
            faults.0.into_iter().map(|fault| fault.pointer).collect(),
        )
    }

    #[test]
    fn unknown_members_are_found_at_any_depth_in_one_pass() {
        let body = json!({"a/b": 1, "owner_id": "x", "steps": [{"label": "x"}, {"label": "y",
            "more": 1}], "one": {"lable": 1}, "free": {"x": 1}});
        let (left, found) = faults(body);
        assert_eq!(found, ["/a~1b", "/one/lable", "/steps/1/more"]);
        assert_eq!(
            left,
            json!({"owner_id": "x", "steps": [{"label": "x"}, {"label": "y"}], "one": {},
                "free": {"x": 1}})
        );
    }

    #[test]
    fn days_and_texts_that_no_database_keeps_are_named() {
        for (body, at) in [
            (json!({"day": "-4713-01-01"}), "/day"),
            (json!({"day": "0000-01-01"}), "/day"),
            (json!({"day": "+12026-01-01"}), "/day"),
            (json!({"one": {"label": "a\0"}}), "/one/label"),
            (json!({"free": {"a\0": 1}}), "/free"),
        ] {
            assert_eq!(faults(body.clone()).1, [at], "{body}");
        }
        assert!(
            faults(json!({"day": "0001-01-01", "one": {"label": "-4713-01-01"}}))
                .1
                .is_empty()
        );
    }

    #[test]
    fn a_hundred_thousand_unknown_members_cost_one_pass() {
        let many: Map<String, Value> = (0..100_000).map(|n| (format!("m{n}"), json!(n))).collect();
        let began = std::time::Instant::now();
        let (left, found) = faults(Value::Object(many));
        assert_eq!((left, found.len()), (json!({}), Problem::LISTED + 1));
        assert!(
            began.elapsed() < std::time::Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
}
