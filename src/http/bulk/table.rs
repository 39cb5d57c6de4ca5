//! A register as a table: its columns are the members of its schema, the members of objects with a
//! dot (`current.level`). A list is written with `;` between its values, what has no fixed shape as
//! JSON.
use crate::core::{Problem, Result};
use crate::http::describe::Description;
use crate::http::format::{Cell, plain, table, texts};
use serde_json::{Map, Value, json};

/// How a cell is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Integer,
    Number,
    Boolean,
    List,
    Json,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading: `name`, `current.level`.
    pub name: String,
    shape: Shape,
}

/// What comes first; the rest follows in the order of the alphabet.
const FIRST: &[&str] = &["code", "external_ref", "name", "status"];
/// What says nothing in a table.
const NOT: &[&str] = &["allowed_transitions"];

/// The columns of a register's records.
pub fn columns(of: &Description) -> Vec<Column> {
    let (known, all) = (of.all_named(), of.members());
    let first = FIRST
        .iter()
        .filter_map(|name| Some((*name, all.get(*name)?)));
    let rest = all
        .iter()
        .map(|(name, schema)| (name.as_str(), schema))
        .filter(|(name, _)| !FIRST.contains(name) && !NOT.contains(name));
    let mut found = Vec::new();
    first
        .chain(rest)
        .for_each(|(name, schema)| spread(name.to_owned(), schema, &known, &mut found));
    found
}
/// The columns that clients may fill.
pub fn writable(of: &Description) -> Vec<Column> {
    let (known, all) = (of.all_named(), of.writable());
    all.iter()
        .map(|(name, schema)| Column {
            name: name.clone(),
            shape: shape(&resolved(schema, &known), &known),
        })
        .collect()
}

/// A schema behind its references, without the alternative null.
fn resolved(schema: &Value, known: &Map<String, Value>) -> Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|place| known.get(place.rsplit('/').next()?));
    let only = || {
        let all = schema.get("oneOf").or(schema.get("allOf"))?.as_array()?;
        all.iter()
            .find(|one| one.get("type").is_none_or(|kind| kind != "null"))
    };
    target
        .or_else(only)
        .map_or_else(|| schema.clone(), |inner| resolved(inner, known))
}

/// One column, or one for each member of an object.
fn spread(name: String, schema: &Value, known: &Map<String, Value>, into: &mut Vec<Column>) {
    let schema = resolved(schema, known);
    match schema
        .get("properties")
        .and_then(Value::as_object)
        .filter(|members| !members.is_empty())
    {
        Some(members) => members
            .iter()
            .for_each(|(member, schema)| spread(format!("{name}.{member}"), schema, known, into)),
        None => into.push(Column {
            name,
            shape: shape(&schema, known),
        }),
    }
}

fn shape(schema: &Value, known: &Map<String, Value>) -> Shape {
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(any)) => any
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect(),
        _ => vec![],
    };
    match kinds.as_slice() {
        ["string"] => Shape::Text,
        ["integer"] => Shape::Integer,
        ["number"] => Shape::Number,
        ["boolean"] => Shape::Boolean,
        ["array"] => match schema
            .get("items")
            .map(|items| shape(&resolved(items, known), known))
        {
            Some(Shape::Text) => Shape::List,
            _ => Shape::Json,
        },
        _ => Shape::Json,
    }
}

/// The start of a table: its headings.
pub fn headings(columns: &[Column]) -> Result<Vec<u8>> {
    table([texts(columns.iter().map(|column| column.name.as_str()))])
}
/// Records as rows.
pub fn rows(columns: &[Column], records: &[String]) -> Result<Vec<u8>> {
    let row = |text: &String| -> Result<Vec<Cell>> {
        let record: Value = serde_json::from_str(text).map_err(Problem::internal)?;
        Ok(columns.iter().map(|column| column.cell(&record)).collect())
    };
    table(records.iter().map(row).collect::<Result<Vec<_>>>()?)
}

impl Column {
    /// What stands in it for this record.
    fn cell(&self, record: &Value) -> Cell {
        match self
            .name
            .split('.')
            .try_fold(record, |value, member| value.get(member))
        {
            None | Some(Value::Null) => Cell::Plain(String::new()),
            Some(Value::String(text)) => Cell::Text(text.clone()),
            Some(Value::Array(items)) if self.shape == Shape::List => {
                Cell::Text(joined(items).unwrap_or_else(|| Value::Array(items.clone()).to_string()))
            }
            Some(Value::Object(members)) if members.is_empty() => Cell::Plain(String::new()),
            Some(other @ (Value::Number(_) | Value::Bool(_))) => Cell::Plain(other.to_string()),
            Some(other) => Cell::Text(other.to_string()),
        }
    }
    /// The value of a cell that was written; an empty one clears.
    pub fn value(&self, cell: &str) -> std::result::Result<Value, &'static str> {
        let text = plain(cell);
        let text = text.as_str();
        match self.shape {
            _ if text.is_empty() => Ok(if self.shape == Shape::List {
                json!([])
            } else {
                Value::Null
            }),
            Shape::Text => Ok(json!(text)),
            Shape::Integer => text
                .trim()
                .parse::<i64>()
                .map(|n| json!(n))
                .map_err(|_| "must be a whole number"),
            Shape::Number => text
                .trim()
                .parse::<f64>()
                .map(|n| json!(n))
                .map_err(|_| "must be a number"),
            Shape::Boolean => text
                .trim()
                .to_ascii_lowercase()
                .parse::<bool>()
                .map(|b| json!(b))
                .map_err(|_| "must be true or false"),
            Shape::List if text.starts_with('[') => {
                serde_json::from_str(text).map_err(|_| "must be a list as JSON")
            }
            Shape::List => Ok(text
                .split(';')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| json!(item))
                .collect()),
            Shape::Json => serde_json::from_str(text).map_err(|_| "must be JSON"),
        }
    }
}

/// The values of a list in one cell; `None` where that could not be read again.
fn joined(items: &[Value]) -> Option<String> {
    let texts: Option<Vec<&str>> = items
        .iter()
        .map(|item| {
            item.as_str()
                .filter(|text| !text.contains(';') && text.trim() == *text)
        })
        .collect();
    texts
        .map(|texts| texts.join(";"))
        .filter(|text| !text.starts_with('['))
}

/// Is it a column that the server writes?
pub fn is_read_only(name: &str, columns: &[Column]) -> bool {
    columns.iter().any(|column| column.name == name) || NOT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::format::neutral;

    fn column(shape: Shape) -> Column {
        Column {
            name: "x".into(),
            shape,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let both = |shape, value: Value| {
            let cell = match column(shape).cell(&json!({"x": value})) {
                Cell::Text(text) => neutral(&text),
                Cell::Plain(value) => value,
            };
            assert_eq!(column(shape).value(&cell), Ok(value), "{cell}");
        };
        for text in [
            "plain",
            "=1+1",
            "-3",
            "@x",
            "'quoted",
            "a;b",
            "tab\there",
            "\tx",
            "ü",
            "'=1",
            "x;=1;y",
            " =1",
            "''-",
            "＝1",
        ] {
            both(Shape::Text, json!(text));
        }
        both(Shape::Integer, json!(7));
        both(Shape::Boolean, json!(false));
        both(Shape::Json, json!({"a": 1, "b": null}));
        both(Shape::Json, json!(["=1", {"a": "-x,=y"}, -2]));
        for list in [
            json!([]),
            json!(["a"]),
            json!(["a", "b"]),
            json!(["a;b", "c"]),
            json!(["[x", "y"]),
            json!(["=a", "b"]),
        ] {
            both(Shape::List, list);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (shape, text) in [
            (Shape::Integer, "x"),
            (Shape::Boolean, "maybe"),
            (Shape::Json, "{"),
            (Shape::List, "["),
        ] {
            assert!(column(shape).value(text).is_err(), "{text}");
        }
    }
}
