//! The schemas of bodies, as the document publishes them: what comes in is held to them before it
//! is read. They are compiled when they are first asked for, and kept with the service.
use super::{Instant, Invalid, Problem, Result, clock};
use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind as Kind};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
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
        let broken = self.sent.iter().filter(|(_, one)| one.compiled().is_none());
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
    text: Value,
    name: String,
    compiled: OnceLock<Option<Validator>>,
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
        Schema {
            text: json!({"$ref": format!("{SCHEMAS}{name}"), "components": {"schemas": schemas}}),
            name: name.to_owned(),
            compiled: OnceLock::new(),
        }
    }
    fn compiled(&self) -> Option<&Validator> {
        let compile = || {
            let options = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                .with_pattern_options(PatternOptions::regex())
                .with_format("date", |text: &str| clock::day(text).is_some())
                .with_format("date-time", |text: &str| text.parse::<Instant>().is_ok())
                .with_format("email", |text: &str| text.validate_email());
            options
                .build(&self.text)
                .inspect_err(|why| log::error!("the schema {}: {why}", self.name))
                .ok()
        };
        self.compiled.get_or_init(compile).as_ref()
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
        let Some(compiled) = self.compiled() else {
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

/// Leaves so many values.
fn cut(value: &mut Value, left: &mut usize) {
    let mut kept = |value: &mut Value| {
        *left = left.saturating_sub(1);
        *left > 0 && {
            cut(value, left);
            true
        }
    };
    match value {
        Value::Array(items) => items.retain_mut(kept),
        Value::Object(members) => members.retain(|_, value| kept(value)),
        _ => {}
    }
}

/// No database keeps U+0000 in text.
fn nul(value: &Value, at: &mut String, faults: &mut Faults) {
    let length = at.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            faults.push(at.clone(), "invalid", "remove U+0000 from this text");
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                if item.is_string() || item.is_array() || item.is_object() {
                    at.push_str(&format!("/{n}"));
                    nul(item, at, faults);
                    at.truncate(length);
                }
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if name.contains('\0') {
                    faults.push(at.clone(), "invalid", "remove U+0000 from this name");
                } else if member.is_string() || member.is_array() || member.is_object() {
                    at.push_str(&below("", name));
                    nul(member, at, faults);
                    at.truncate(length);
                }
            }
        }
        _ => {}
    }
}

/// The place of a member (RFC 6901).
pub fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Faults of a body.
#[derive(Default)]
struct Faults {
    found: Vec<Invalid>,
    /// Was the end of the body cut off? Then what is missing may be there.
    cut: bool,
    /// Lists that are too long: what stands in them is of no interest.
    long: Vec<String>,
}

impl Faults {
    fn push(&mut self, at: String, code: &str, words: impl Into<String>) {
        if self.found.len() <= Problem::LISTED {
            self.found.push(Invalid::body(at, code, words));
        }
    }
    fn settle(&mut self) {
        let long = std::mem::take(&mut self.long);
        let within = |fault: &Invalid| long.iter().any(|list| fault.pointer.starts_with(list));
        self.found.retain(|fault| !within(fault));
    }
    /// In our words, with our codes.
    fn take(&mut self, error: &ValidationError<'_>) {
        if self.found.len() > Problem::LISTED {
            return;
        }
        let at = error.instance_path().as_str().to_owned();
        let absent = error.instance().is_null() && !in_array(&at);
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                for name in unexpected.iter().take(Problem::LISTED + 1) {
                    let (code, words) = match name.contains('\0') {
                        true => continue, // Named with every other U+0000.
                        false => ("unknown_member", "unknown or read-only; leave it out"),
                    };
                    self.push(below(&at, name), code, words);
                }
            }
            Kind::Required { .. } | Kind::MinItems { .. } | Kind::MinProperties { .. }
                if self.cut => {}
            Kind::MaxItems { .. } => {
                let (code, words) = worded(error);
                self.long.push(format!("{at}/"));
                self.push(at, code, words);
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                self.push(below(&at, name), "required", "is required");
            }
            // One of several, or null: what is wrong with what it is not is of no interest.
            Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                let mut real = context.iter().filter(|branch| !is_null(branch));
                match (real.next(), real.next()) {
                    (Some(only), None) => only.iter().for_each(|error| self.take(error)),
                    _ if absent => self.push(at, "required", "is required"),
                    _ => self.push(at, "invalid", "matches none of the accepted forms"),
                }
            }
            Kind::Type { .. } | Kind::Enum { .. } if absent => {
                self.push(at, "required", "is required");
            }
            Kind::PropertyNames { error } => {
                let (code, words) = worded(error);
                self.push(at, code, format!("a member name is wrong: {words}"));
            }
            _ => {
                let (code, words) = worded(error);
                self.push(at, code, words);
            }
        }
    }
}

fn in_array(at: &str) -> bool {
    let last = at.rsplit('/').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
}

/// Is it the branch of null?
fn is_null(branch: &[ValidationError<'_>]) -> bool {
    match branch {
        [only] => matches!(only.kind(), Kind::Type { kind: TypeKind::Single(one) }
            if one.as_str() == "null"),
        _ => false,
    }
}

/// A fault for programs and for people.
fn worded(error: &ValidationError<'_>) -> (&'static str, String) {
    let many = |n: &u64, one: &str| match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {one}s"),
    };
    match error.kind() {
        Kind::Type { kind } => ("invalid", format!("send {}", types(kind))),
        Kind::Enum { options } => ("invalid", format!("send {}", any(options))),
        Kind::MaxLength { limit } => ("length", format!("at most {}", many(limit, "character"))),
        Kind::MinLength { limit } => ("length", format!("at least {}", many(limit, "character"))),
        Kind::MaxItems { limit } => ("length", format!("at most {}", many(limit, "item"))),
        Kind::MinItems { limit } => ("length", format!("at least {}", many(limit, "item"))),
        Kind::MaxProperties { limit } => ("length", format!("at most {}", many(limit, "member"))),
        Kind::MinProperties { limit } => ("length", format!("at least {}", many(limit, "member"))),
        Kind::Maximum { limit } => ("range", format!("at most {limit}")),
        Kind::Minimum { limit } => ("range", format!("at least {limit}")),
        Kind::Pattern { pattern } => ("pattern", format!("does not match `{pattern}`")),
        Kind::Format { format } => match format.as_str() {
            "date" => (
                "invalid",
                "send a day within the years 0001 to 9999: 2026-03-31".into(),
            ),
            "date-time" => ("invalid", "send an instant: 2026-03-31T09:30:00Z".into()),
            "email" => ("email", "send an email address: name@example.org".into()),
            other => ("invalid", format!("send a value of the format {other}")),
        },
        _ => ("invalid", "does not fit the schema in the document".into()),
    }
}
fn types(kind: &TypeKind) -> String {
    let word = |name: &str| match name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "an array",
        "object" => "an object with members, in braces",
        _ => "null",
    };
    match kind {
        TypeKind::Single(one) => word(one.as_str()).to_owned(),
        TypeKind::Multiple(several) => {
            let words: Vec<_> = several.iter().map(|one| word(one.as_str())).collect();
            words
                .into_iter()
                .filter(|word| *word != "null")
                .collect::<Vec<_>>()
                .join(", or ")
        }
    }
}
fn any(options: &Value) -> String {
    let words = options.as_array().into_iter().flatten();
    let words: Vec<_> = words
        .filter_map(Value::as_str)
        .map(|word| format!("`{word}`"))
        .collect();
    match words.split_last() {
        None => "one of the accepted values".into(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
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
