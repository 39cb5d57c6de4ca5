//! What is wrong with a body, as its schema finds it, in our words.
use super::{Invalid, Problem};
use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind as Kind};
use serde_json::Value;

/// Leaves so many values.
pub(super) fn cut(value: &mut Value, left: &mut usize) {
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
pub(super) fn nul(value: &Value, at: &mut String, faults: &mut Faults) {
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
pub(super) struct Faults {
    pub(super) found: Vec<Invalid>,
    /// Was the end of the body cut off? Then what is missing may be there.
    pub(super) cut: bool,
    /// Lists that are too long: what stands in them is of no interest.
    long: Vec<String>,
}

impl Faults {
    fn push(&mut self, at: String, code: &str, words: impl Into<String>) {
        if self.found.len() <= Problem::LISTED {
            self.found.push(Invalid::body(at, code, words));
        }
    }
    pub(super) fn settle(&mut self) {
        let long = std::mem::take(&mut self.long);
        let within = |fault: &Invalid| long.iter().any(|list| fault.pointer.starts_with(list));
        self.found.retain(|fault| !within(fault));
    }
    /// In our words, with our codes.
    pub(super) fn take(&mut self, error: &ValidationError<'_>) {
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
