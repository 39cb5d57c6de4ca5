//! The parameters of a query, read into the struct that documents them: what it says of their
//! lengths, numbers and days holds, and what is not in it is refused.
use crate::core::{Invalid, Result, clock};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;
use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::IntoParams;

/// Values that a parameter may have, where its documentation says nothing else.
const ANY_OF: usize = 50;

/// What a query may ask: it is read and described by the same struct.
pub trait Question: DeserializeOwned + IntoParams + Default + Send + 'static {}
impl<Q: DeserializeOwned + IntoParams + Default + Send + 'static> Question for Q {}

/// Reads these parameters. Every fault is named, once for each parameter; where one is not a list,
/// its last value counts.
pub fn read<Q: Question>(given: &[(String, String)]) -> Result<Q, Vec<Invalid>> {
    if given.is_empty() {
        return Ok(Q::default());
    }
    let (rules, mut faults) = (rules::<Q>(), Vec::new());
    let mut asked: BTreeMap<&str, Parameter<'_>> = BTreeMap::new();
    for (name, value) in given {
        match rules.get(name) {
            Some(rule) => {
                let parameter = Parameter {
                    name,
                    rule,
                    values: vec![],
                };
                let known = asked.entry(name).or_insert(parameter);
                known.values.push(value);
            }
            None => faults.push(stranger(name)),
        }
    }
    let mut refuse = |name: &str, words: String| {
        faults.push(Invalid::query(name, "invalid_parameter", words));
    };
    asked.retain(|name, parameter| match parameter.unreadable() {
        Some(words) => {
            refuse(name, words);
            false
        }
        None => true,
    });
    // What cannot be read is set aside, so that all of it is found.
    let read = loop {
        match Q::deserialize(MapDeserializer::new(asked.clone().into_iter())) {
            Ok(read) => break Some(read),
            Err(Fault { name, words }) => {
                refuse(&name, words);
                if asked.remove(name.as_str()).is_none() {
                    break None;
                }
            }
        }
    };
    for (name, parameter) in &asked {
        if let Some(words) = parameter.outside() {
            refuse(name, words);
        }
    }
    read.filter(|_| faults.is_empty()).ok_or(faults)
}

/// A parameter that there is not.
pub fn stranger(name: impl Into<String>) -> Invalid {
    Invalid::query(name, "unknown_parameter", "unknown parameter")
}

/// What is documented of a parameter.
#[derive(Debug)]
struct Rule {
    /// Characters of a value.
    longest: usize,
    /// Values.
    most: usize,
    form: Form,
}
#[derive(Debug)]
enum Form {
    Text,
    Flag,
    Day,
    Number(Option<i64>, Option<i64>),
}
type Rules = BTreeMap<String, Rule>;

/// What is documented of the parameters; looked up once for each type.
fn rules<Q: IntoParams + 'static>() -> Arc<Rules> {
    static KNOWN: Mutex<BTreeMap<TypeId, Arc<Rules>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let all = || {
        let documented = Q::into_params(|| None).into_iter();
        let rule = documented.map(|one| {
            let schema = serde_json::to_value(one.schema).unwrap_or_default();
            (one.name, Rule::of(&schema))
        });
        Arc::new(rule.collect())
    };
    known.entry(TypeId::of::<Q>()).or_insert_with(all).clone()
}

impl Rule {
    fn of(schema: &Value) -> Rule {
        let one = schema.get("items").unwrap_or(schema);
        let count = |of: &Value, word: &str| usize::try_from(of.get(word)?.as_u64()?).ok();
        let bound = |word: &str| one.get(word).and_then(Value::as_i64);
        let is = |word: &str| {
            let kind = one.get("type");
            kind.is_some_and(|kind| match kind.as_array() {
                Some(any) => any.iter().any(|kind| kind == word),
                None => kind == word,
            })
        };
        let form = match () {
            () if is("boolean") => Form::Flag,
            () if is("integer") => Form::Number(bound("minimum"), bound("maximum")),
            () if one.get("format").is_some_and(|format| format == "date") => Form::Day,
            () => Form::Text,
        };
        Rule {
            longest: count(schema, "maxLength")
                .or_else(|| count(one, "maxLength"))
                .unwrap_or(usize::MAX),
            most: count(schema, "maxItems").unwrap_or(ANY_OF),
            form,
        }
    }
    /// What has to stand there, where that can be said without looking further.
    fn needed(&self) -> Option<String> {
        match self.form {
            Form::Text => None,
            Form::Flag => Some("must be true or false".into()),
            Form::Day => Some(DAY.into()),
            Form::Number(Some(least), Some(most)) => {
                Some(format!("must be a number from {least} to {most}"))
            }
            Form::Number(Some(least), None) => {
                Some(format!("must be a number of at least {least}"))
            }
            Form::Number(..) => Some("must be a number".into()),
        }
    }
}
const DAY: &str = "must be a date in the years 0001 to 9999, such as 2026-03-31";

/// A parameter that was asked, with all of its values.
#[derive(Debug, Clone)]
struct Parameter<'a> {
    name: &'a str,
    rule: &'a Rule,
    values: Vec<&'a str>,
}

impl<'a> Parameter<'a> {
    fn last(&self) -> &'a str {
        self.values.last().copied().unwrap_or_default()
    }
    /// What is wrong with it, whatever its type.
    fn unreadable(&self) -> Option<String> {
        if self.values.len() > self.rule.most {
            Some(format!("must have at most {} values", self.rule.most))
        } else if self.values.iter().any(|value| value.contains('\0')) {
            Some("must be text without U+0000".into())
        } else {
            None
        }
    }
    /// What is wrong with values that its type takes.
    fn outside(&self) -> Option<String> {
        let longest = self.rule.longest;
        let long = |value: &&str| value.len() > longest && value.chars().count() > longest;
        if self.values.iter().any(long) {
            return Some(format!("must have at most {longest} characters"));
        }
        let within = |value: &&str| match self.rule.form {
            Form::Day => clock::day(value).is_some(),
            Form::Number(least, most) => value.parse().is_ok_and(|n: i64| {
                least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most)
            }),
            Form::Text | Form::Flag => true,
        };
        match self.values.iter().all(within) {
            true => None,
            false => self.rule.needed(),
        }
    }
    fn named<T>(&self, read: Result<T, Fault>) -> Result<T, Fault> {
        read.map_err(|fault| match fault.name.is_empty() {
            true => Fault {
                name: self.name.to_owned(),
                words: self.rule.needed().unwrap_or(fault.words),
            },
            false => fault,
        })
    }
    fn parsed<T: std::str::FromStr<Err: Display>>(&self) -> Result<T, Fault> {
        self.last().parse().map_err(Fault::custom)
    }
}

impl<'de, 'a> IntoDeserializer<'de, Fault> for Parameter<'a> {
    type Deserializer = Parameter<'a>;
    fn into_deserializer(self) -> Parameter<'a> {
        self
    }
}

impl<'de> Deserializer<'de> for Parameter<'_> {
    type Error = Fault;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.named(visitor.visit_str(self.last()))
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.named(self.parsed().and_then(|flag| visitor.visit_bool(flag)))
    }
    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.named(self.parsed().and_then(|number| visitor.visit_i64(number)))
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.named(visitor.visit_some(self.clone()))
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.named(visitor.visit_newtype_struct(self.clone()))
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let all = self.values.iter().map(|value| Parameter {
            values: vec![value],
            ..self
        });
        self.named(visitor.visit_seq(SeqDeserializer::new(all)))
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.named(visitor.visit_enum(self.last().into_deserializer()))
    }
    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map struct identifier ignored_any
    }
}

/// What is wrong with which parameter.
#[derive(Debug)]
struct Fault {
    name: String,
    words: String,
}
impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}
impl std::error::Error for Fault {}
impl serde::de::Error for Fault {
    fn custom<T: Display>(words: T) -> Self {
        Fault {
            name: String::new(),
            words: words.to_string(),
        }
    }
    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Fault::custom(match words {
            [all @ .., last] if !all.is_empty() => {
                format!("must be {} or {last}", all.join(", "))
            }
            _ => format!("must be {}", words.concat()),
        })
    }
}

/// No parameters of its own.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::named::{AccountRef, AnyRef};
    use chrono::NaiveDate;
    use utoipa::ToSchema;

    #[derive(Debug, PartialEq, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        Green,
        Blue,
    }
    #[derive(Debug, Default, Deserialize, IntoParams)]
    #[serde(default, deny_unknown_fields)]
    struct Asked {
        #[param(max_length = 3)]
        word: Option<String>,
        #[param(minimum = 1, maximum = 9)]
        n: Option<i32>,
        #[param(minimum = -1)]
        after: Option<i64>,
        on: Option<NaiveDate>,
        yes: bool,
        #[param(max_items = 2)]
        colour: Vec<Colour>,
        flags: Vec<bool>,
        #[param(value_type = Option<String>)]
        record: Option<AnyRef>,
        #[param(value_type = Option<String>)]
        account: Vec<AccountRef>,
    }
    fn ask(query: &str) -> Result<Asked, Vec<String>> {
        let given: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let told = |fault: Invalid| format!("{}: {}", fault.pointer, fault.detail);
        read(&given).map_err(|faults| faults.into_iter().map(told).collect())
    }

    #[test]
    fn what_is_documented_is_read() {
        let asked = ask(
            "word=a&word=%C3%A9%C3%A9%C3%A9&n=9&after=-1&on=2026-03-31&yes=true&colour=red\
                &colour=blue&flags=false",
        )
        .unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(
            (asked.word.as_deref(), asked.n, asked.after, asked.yes),
            (Some("ééé"), Some(9), Some(-1), true)
        );
        assert_eq!(
            asked.on.map(|day| day.to_string()),
            Some("2026-03-31".into())
        );
        assert_eq!(
            (asked.colour, asked.flags),
            (vec![Colour::Red, Colour::Blue], vec![false])
        );
    }

    #[test]
    fn every_fault_is_named_with_what_is_needed() {
        let faults =
            ask("word=abcd&n=10&after=-2&on=0000-01-01&yes=1&colour=pink&flags=no&strange=1&on_=2")
                .err()
                .unwrap_or_default();
        assert_eq!(
            faults,
            [
                "strange: unknown parameter",
                "on_: unknown parameter",
                "colour: must be red, green or blue",
                "flags: must be true or false",
                "yes: must be true or false",
                "after: must be a number of at least -1",
                "n: must be a number from 1 to 9",
                &format!("on: {DAY}"),
                "word: must have at most 3 characters",
            ]
        );
        for (query, wanted) in [
            ("n=x", "n: must be a number from 1 to 9"),
            ("n=99999999999", "n: must be a number from 1 to 9"),
            ("on=2026-3-1", "on: must be a date in the years"),
            (
                "colour=red&colour=red&colour=red",
                "colour: must have at most 2 values",
            ),
            ("record=x", "record: must be an id or a code"),
            ("account=x", "account: must be an id"),
            ("word=%00", "word: must be text without U+0000"),
        ] {
            let faults = ask(query).err().unwrap_or_default();
            assert!(
                faults.len() == 1 && faults.iter().all(|fault| fault.starts_with(wanted)),
                "{query}: {faults:?}"
            );
        }
    }
}
