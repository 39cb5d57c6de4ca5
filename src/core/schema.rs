//! The schemas of bodies, as the document publishes them: what comes in is held to them before it
//! is read. They are compiled when they are first asked for, and kept with the service.
pub use super::faults::below;
use super::faults::{Faults, cut, nul};
use super::{Instant, Invalid, Problem, Result, clock};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use validator::ValidateEmail;

/// Where a document has its schemas.
const SCHEMAS: &str = "#/components/schemas/";
/// Values of a faulty body that are looked at. A body has up to 600,000; each could be wrong, and
/// each fault takes some hundred bytes until the first of them were picked.
const LOOKED_AT: usize = 50_000;

/// The schemas of all bodies, by their names.
#[derive(Debug, Default)]
pub struct Schemas {
    sent: HashMap<String, Arc<Schema>>,
    whole: HashMap<String, Arc<Schema>>,
}

impl Schemas {
    /// Those that the requests of a finished document come to.
    pub fn of(document: &Value) -> Self {
        let mut names = BTreeSet::new();
        let items = document.get("paths").and_then(Value::as_object);
        for operation in items.into_iter().flatten().flat_map(|(_, item)| {
            let operations = item.as_object();
            operations.into_iter().flat_map(Map::values)
        }) {
            if let Some(body) = operation.get("requestBody") {
                reached(document, body, &mut names);
            }
        }
        let made = |name: &String| (name.clone(), Arc::new(Schema::of(document, name)));
        let sent: HashMap<_, _> = names.iter().map(made).collect();
        let kinds = names
            .iter()
            .filter_map(|name| name.strip_suffix("Input").or(name.strip_suffix("Patch")));
        let whole = kinds
            .filter_map(|kind| Some((kind.to_owned(), whole(&sent, kind)?)))
            .collect();
        Schemas { sent, whole }
    }
    /// The schema of that name as it is sent: `LimitsInput`, where `Limits` is what is answered.
    pub fn sent(&self, name: &str) -> Result<&Schema> {
        let found = self.sent.get(&format!("{name}Input"));
        let found = found.or_else(|| self.sent.get(name));
        found.map(Arc::as_ref).ok_or_else(|| missing(name))
    }
    /// The schema of a merge patch of such a record; none where clients do not change it.
    pub fn patch(&self, kind: &str) -> Option<&Schema> {
        self.sent.get(&format!("{kind}Patch")).map(Arc::as_ref)
    }
    /// The schema of all that clients write on such a record; none where they write none of it.
    pub fn whole(&self, kind: &str) -> Option<&Schema> {
        self.whole.get(kind).map(Arc::as_ref)
    }
    /// Compiles all of them, before a request has to wait for it; tells which cannot be.
    pub fn prepare(&self) -> Vec<&str> {
        let broken = self.sent.iter().filter(|(_, one)| one.compiled.is_none());
        broken.map(|(name, _)| name.as_str()).collect()
    }
}
fn missing(name: &str) -> Problem {
    Problem::internal(format!("the document has no schema `{name}` for requests"))
}

/// What is sent to make a record, unless that says more than the record keeps (the payload of
/// evidence); then, as where nobody makes one, what is sent to change it.
fn whole(sent: &HashMap<String, Arc<Schema>>, kind: &str) -> Option<Arc<Schema>> {
    let (input, patch) = (
        sent.get(&format!("{kind}Input")),
        sent.get(&format!("{kind}Patch")),
    );
    let kept = input.filter(|input| {
        patch.is_none_or(|patch| input.members().all(|name| patch.member(name).is_some()))
    });
    kept.or(patch).cloned()
}

/// The names of the schemas that a part of the document comes to.
fn reached(document: &Value, part: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            let target = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = target.and_then(|target| target.strip_prefix(SCHEMAS))
                && names.insert(name.to_owned())
            {
                let schema = document.pointer(&format!("/components/schemas/{name}"));
                schema
                    .into_iter()
                    .for_each(|schema| reached(document, schema, names));
            }
            members
                .iter()
                .filter(|(name, _)| !name.starts_with("example"))
                .for_each(|(_, inner)| reached(document, inner, names));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|inner| reached(document, inner, names)),
        _ => {}
    }
}

/// The schema of one body.
#[derive(Debug)]
pub struct Schema {
    /// It refers to itself, among those that it needs.
    text: Arc<Value>,
    name: String,
    compiled: LazyLock<Option<Validator>, Compile>,
}

type Compile = Box<dyn FnOnce() -> Option<Validator> + Send + Sync>;

fn compiled(text: &Value, name: &str) -> Option<Validator> {
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .with_format("date", |text: &str| clock::day(text).is_some())
        .with_format("date-time", |text: &str| text.parse::<Instant>().is_ok())
        .with_format("email", |text: &str| text.validate_email());
    options
        .build(text)
        .inspect_err(|why| log::error!("the schema {name}: {why}"))
        .ok()
}

impl Schema {
    fn of(document: &Value, name: &str) -> Self {
        let root = json!({"$ref": format!("{SCHEMAS}{name}")});
        let mut names = BTreeSet::new();
        reached(document, &root, &mut names);
        let schema = |name: String| {
            let schema = document.pointer(&format!("/components/schemas/{name}"))?;
            Some((name, schema.clone()))
        };
        let schemas: Map<String, Value> = names.into_iter().filter_map(schema).collect();
        let text = json!({"$ref": format!("{SCHEMAS}{name}"), "components": {"schemas": schemas}});
        let (text, name) = (Arc::new(text), name.to_owned());
        let (source, called) = (text.clone(), name.clone());
        let compile: Compile = Box::new(move || compiled(&source, &called));
        Schema {
            text,
            name,
            compiled: LazyLock::new(compile),
        }
    }
    fn properties(&self) -> Option<&Map<String, Value>> {
        let place = format!("/components/schemas/{}/properties", self.name);
        self.text.pointer(&place)?.as_object()
    }
    fn members(&self) -> impl Iterator<Item = &String> {
        self.properties().into_iter().flat_map(Map::keys)
    }
    /// The schema of a member.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.properties()?.get(name)
    }
    /// What is wrong with an object: as many faults as are listed, and one more where there are
    /// more. Of a very large one that is faulty, the end is cut off.
    pub fn faults(&self, body: &mut Map<String, Value>) -> Vec<Invalid> {
        let Some(compiled) = &*self.compiled else {
            let words = "the service cannot read its schema; see the server's log";
            return vec![Invalid::body("", "invalid", words)];
        };
        let mut value = Value::Object(std::mem::take(body));
        let mut faults = Faults::default();
        if !compiled.is_valid(&value) {
            let mut left = LOOKED_AT;
            cut(&mut value, &mut left);
            faults.cut = left == 0;
            compiled
                .iter_errors(&value)
                .for_each(|error| faults.take(&error));
            faults.settle();
            if faults.found.is_empty() {
                let words =
                    format!("a value after the first {LOOKED_AT} is wrong; send the body in parts");
                faults.found.push(Invalid::body("", "invalid", words));
            }
        }
        nul(&value, &mut String::new(), &mut faults);
        if let Value::Object(members) = value {
            *body = members;
        }
        faults.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Schemas {
        let step = json!({"type": "object", "additionalProperties": false, "required": ["label"],
            "properties": {"label": {"type": "string", "minLength": 1, "maxLength": 3}}});
        let thing = json!({"type": "object", "additionalProperties": false, "required": ["name"],
            "properties": {"name": {"type": "string", "minLength": 1}, "day": {"type": ["string",
                "null"], "format": "date"}, "rank": {"type": "integer", "maximum": 5},
                "word": {"oneOf": [{"enum": ["a", "b"], "type": "string"}, {"type": "null"}]},
                "one": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Step"}]},
                "steps": {"type": "array", "maxItems": 2,
                    "items": {"$ref": "#/components/schemas/Step"}},
                "free": {"type": "object", "additionalProperties": {"type": "string"}}}});
        Schemas::of(
            &json!({"paths": {"/things": {"post": {"requestBody": {"content":
            {"application/json": {"schema": {"$ref": "#/components/schemas/ThingInput"}}}}}}},
            "components": {"schemas": {"ThingInput": thing, "Step": step, "Unused": true}}}),
        )
    }
    fn faults(body: Value) -> Vec<(String, String)> {
        let Value::Object(mut members) = body else {
            return vec![];
        };
        let schemas = schemas();
        let found = schemas
            .sent("Thing")
            .map(|schema| schema.faults(&mut members));
        let said = |fault: Invalid| (fault.pointer, fault.code);
        let mut all: Vec<_> = found.unwrap_or_default().into_iter().map(said).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_right_has_no_fault() {
        let body = json!({"name": "x", "day": "0001-01-01", "rank": 5, "word": null,
            "one": {"label": "äöü"}, "steps": [{"label": "y"}], "free": {"a": "-4713-01-01"}});
        assert_eq!(faults(body), []);
    }

    #[test]
    fn every_fault_is_named_at_its_place() {
        for (more, at, code) in [
            (json!({"a/b": 1}), "/a~1b", "unknown_member"),
            (
                json!({"one": {"lable": 1, "label": "x"}}),
                "/one/lable",
                "unknown_member",
            ),
            (json!({"one": {}}), "/one/label", "required"),
            (json!({"one": 7}), "/one", "invalid"),
            (json!({"name": null}), "/name", "required"),
            (json!({"name": ""}), "/name", "length"),
            (json!({"name": "a\0"}), "/name", "invalid"),
            (json!({"free": {"a\0": "x"}}), "/free", "invalid"),
            (json!({"day": "0000-01-01"}), "/day", "invalid"),
            (json!({"day": "-4713-01-01"}), "/day", "invalid"),
            (json!({"day": "+12026-01-01"}), "/day", "invalid"),
            (json!({"rank": 6}), "/rank", "range"),
            (json!({"rank": 1.5}), "/rank", "invalid"),
            (json!({"word": "c"}), "/word", "invalid"),
            (
                json!({"steps": [{"label": "four"}]}),
                "/steps/0/label",
                "length",
            ),
            (json!({"steps": [["x"]]}), "/steps/0", "invalid"),
            (
                json!({"steps": [{"label": "a"}, {"label": "b"}, {"label": "c"}]}),
                "/steps",
                "length",
            ),
        ] {
            let mut body = json!({"name": "x"});
            if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
                body.extend(more.clone());
            }
            assert_eq!(faults(body), [(at.to_owned(), code.to_owned())], "{more}");
        }
        assert_eq!(
            faults(json!({})),
            [("/name".to_owned(), "required".to_owned())]
        );
    }

    #[test]
    fn many_faults_cost_one_pass() {
        let many: Map<String, Value> = (0..100_000).map(|n| (format!("m{n}"), json!(n))).collect();
        let began = std::time::Instant::now();
        for body in [
            Value::Object(many.clone()),
            json!({"name": "x", "free": many}),
            json!({"name": "x", "steps": vec![1; 100_000]}),
        ] {
            assert!((1..=Problem::LISTED + 1).contains(&faults(body).len()));
        }
        let late: Vec<Value> = (0..100_000)
            .map(|n| json!({"label": if n < 99_999 { "x" } else { "" }}))
            .collect();
        assert!(!faults(json!({"name": "x", "steps": late})).is_empty());
        assert!(
            began.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    }
}
