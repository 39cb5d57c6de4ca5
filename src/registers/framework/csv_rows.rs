//! The rows of an import, as JSON or as CSV: read and validated one by one, so that every fault is
//! named with its row.
use crate::core::catalogue::{self, MappingKind, Relationship, Requirement, RequirementAttributes};
use crate::core::schema::Schema;
use crate::core::{Code, Invalid, Problem, Result};
use crate::ledger::in_time;
use crate::records::frameworks::OwnMapping;
use crate::records::read_as;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;
use validator::Validate;

/// Requirements of one framework.
pub const REQUIREMENTS: usize = 5_000;
/// Mappings of one framework.
pub const MAPPINGS: usize = 20_000;
/// Faults that one answer names.
const FAULTS: usize = 1_000;

/// A requirement, as it is imported.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedRequirement {
    /// Its reference in the framework; stands once.
    #[schema(min_length = 1, max_length = 40, pattern = "^[A-Za-z0-9().,-]{1,40}$")]
    pub r#ref: String,
    /// Its short title.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 300)]
    pub title: String,
    /// The one that it belongs to.
    #[schema(min_length = 1, max_length = 40)]
    pub parent_ref: Option<String>,
    /// What it is in the framework's words; `requirement`, when absent.
    #[schema(min_length = 1, max_length = 40)]
    pub kind: Option<String>,
    /// Is it asked for by itself? When absent: where nothing stands under it.
    pub assessable: Option<bool>,
    /// What else is known of it: up to 20 names with a string, a number, a boolean, null, or a list
    /// of strings.
    #[serde(default, deserialize_with = "crate::core::text::or_default")]
    #[validate(custom(function = attributes_are_flat))]
    #[schema(value_type = RequirementAttributes)]
    pub attributes: Map<String, Value>,
}

fn attributes_are_flat(all: &Map<String, Value>) -> Result<(), validator::ValidationError> {
    let text = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.chars().count() <= 1000)
    };
    let plain = |value: &Value| match value {
        Value::Array(items) => items.len() <= 50 && items.iter().all(text),
        Value::String(_) => text(value),
        other => !other.is_object(),
    };
    let named = |name: &String| (1..=64).contains(&name.chars().count());
    match all.len() <= 20 && all.iter().all(|(name, value)| named(name) && plain(value)) {
        true => Ok(()),
        false => Err(crate::records::spine::fault(
            "attributes",
            "at most 20 names of at most 64 characters, each plain or a list of texts",
        )),
    }
}

/// A mapping, as it is imported.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedMapping {
    /// A readable requirement id, or a reference of this framework.
    #[schema(min_length = 1, max_length = 120)]
    pub source: String,
    /// A readable requirement id, or a reference of this framework.
    #[schema(min_length = 1, max_length = 120)]
    pub target: String,
    /// How they overlap, seen from the source.
    pub relationship: Relationship,
    /// `published` needs a provenance; `composed`, when absent: a suggestion.
    pub kind: Option<MappingKind>,
    /// Where the pair stands, or what it was composed of.
    #[schema(min_length = 1, max_length = 300)]
    pub provenance: Option<String>,
}

/// The rows of a part, and where each stood.
pub struct Rows<T> {
    rows: Vec<T>,
    faults: Vec<Invalid>,
    member: &'static str,
    lines: bool,
    taken: usize,
}

impl<T: DeserializeOwned + Validate + ToSchema> Rows<T> {
    /// From an array of a JSON body.
    pub fn of_json(schema: &Schema, member: &'static str, value: Value, most: usize) -> Rows<T> {
        let mut all = Rows {
            rows: vec![],
            faults: vec![],
            member,
            lines: false,
            taken: 0,
        };
        match value {
            Value::Array(items) if items.len() <= most => {
                items.into_iter().for_each(|item| all.take(schema, item))
            }
            _ => all.faults.push(Invalid::body(
                format!("/{member}"),
                "length",
                format!("must be an array of at most {most}"),
            )),
        }
        all
    }
    /// From a CSV body, whose header names the members; other columns are attributes, where rows
    /// have such.
    pub fn of_csv(
        schema: &Schema,
        member: &'static str,
        bytes: &[u8],
        most: usize,
        members: &[&str],
        attributes: bool,
    ) -> Result<Rows<T>> {
        let mut all = Rows {
            rows: vec![],
            faults: vec![],
            member,
            lines: true,
            taken: 0,
        };
        let unread =
            |e: csv::Error| Problem::new(Code::Malformed, format!("The CSV cannot be read: {e}."));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let names: Vec<String> = reader
            .headers()
            .map_err(unread)?
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        let strange = |(n, name): (usize, &String)| {
            let twice = names.iter().take(n).any(|other| other == name);
            let unknown = name.is_empty() || (!attributes && !members.contains(&name.as_str()));
            let fault = |code, words: &str| {
                Invalid::body(
                    "/header",
                    code,
                    format!(
                        "row 1: column `{}` {words}",
                        name.chars().take(60).collect::<String>()
                    ),
                )
            };
            if twice {
                Some(fault("twice", "occurs twice"))
            } else {
                unknown.then(|| fault("unknown_member", "is unknown"))
            }
        };
        all.faults
            .extend(names.iter().enumerate().filter_map(strange));
        if !all.faults.is_empty() {
            return Ok(all);
        }
        for row in reader.into_records() {
            let row = row.map_err(unread)?;
            if all.taken >= most {
                all.faults.push(Invalid::body(
                    format!("/{member}"),
                    "length",
                    format!("at most {most} rows are allowed"),
                ));
                break;
            }
            if row.len() != names.len() {
                let (n, wanted) = (all.taken, names.len());
                all.taken += 1;
                all.fault(
                    n,
                    "",
                    "columns".into(),
                    format!("{} columns, but the header has {wanted}", row.len()),
                );
                continue;
            }
            let (mut item, mut more) = (Map::new(), Map::new());
            for (name, cell) in names
                .iter()
                .zip(row.iter())
                .filter(|(_, cell)| !cell.is_empty())
            {
                match name.as_str() {
                    "assessable" if attributes => drop(item.insert(name.clone(), flag(cell))),
                    known if members.contains(&known) => {
                        drop(item.insert(name.clone(), json!(cell)))
                    }
                    _ => drop(more.insert(name.clone(), json!(cell))),
                }
            }
            if !more.is_empty() {
                item.insert("attributes".into(), Value::Object(more));
            }
            all.take(schema, Value::Object(item));
        }
        Ok(all)
    }
    fn take(&mut self, schema: &Schema, item: Value) {
        let n = self.taken;
        self.taken += 1;
        let (row, faults) = match item {
            Value::Object(members) => read_as::<T>(schema, members),
            _ => {
                let fault = Invalid::body("", "invalid", "send an object with members, in braces");
                (None, vec![fault])
            }
        };
        self.rows.extend(row);
        faults
            .into_iter()
            .for_each(|fault| self.fault(n, &fault.pointer, fault.code.clone(), fault.detail));
    }
    /// Could every row be read? Only then one row can be compared with another.
    fn read_all(&self) -> bool {
        self.rows.len() == self.taken
    }
    fn fault(&mut self, n: usize, pointer: &str, code: String, detail: String) {
        let detail = if self.lines {
            format!("row {}: {detail}", n + 2)
        } else {
            detail
        };
        if self.faults.len() <= FAULTS {
            self.faults.push(Invalid::body(
                format!("/{}/{n}{pointer}", self.member),
                code,
                detail,
            ));
        }
    }
    /// How many faults there are.
    pub fn faulty(&self) -> bool {
        !self.faults.is_empty()
    }
}

fn flag(cell: &str) -> Value {
    match cell.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => json!(true),
        "no" | "false" | "0" => json!(false),
        _ => json!(cell),
    }
}

/// 422 with the first thousand of them.
pub fn refused(mut faults: Vec<Invalid>) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let more = faults.len().saturating_sub(FAULTS);
    faults.truncate(FAULTS);
    if more > 0 {
        faults.push(Invalid::body("", "more", format!("and {more} more")));
    }
    Err(Problem::invalid_all(faults))
}

impl Rows<ImportedRequirement> {
    /// The requirements of a framework: each reference once, each parent there, no circles.
    pub fn requirements(mut self, slug: &str) -> (Vec<Requirement>, Vec<Invalid>) {
        if !self.read_all() {
            return (vec![], self.faults);
        }
        let rows = std::mem::take(&mut self.rows);
        let mut seen = HashSet::new();
        let parents: HashMap<&str, Option<&str>> = rows
            .iter()
            .map(|row| (row.r#ref.as_str(), row.parent_ref.as_deref()))
            .collect();
        let above: HashSet<&str> = parents.values().flatten().copied().collect();
        for (n, row) in rows.iter().enumerate() {
            if !seen.insert(row.r#ref.as_str()) {
                self.fault(
                    n,
                    "/ref",
                    "twice".into(),
                    format!("`{}` occurs twice in this import", row.r#ref),
                );
            }
            let Some(parent) = &row.parent_ref else {
                continue;
            };
            if !parents.contains_key(parent.as_str()) {
                self.fault(
                    n,
                    "/parent_ref",
                    "unknown_reference".into(),
                    "unknown requirement in this import".into(),
                );
            } else if std::iter::successors(Some(parent.as_str()), |at| {
                parents.get(at).copied().flatten()
            })
            .take(50)
            .any(|at| at == row.r#ref)
            {
                self.fault(
                    n,
                    "/parent_ref",
                    "circle".into(),
                    "this would make a circle".into(),
                );
            } else if std::iter::successors(Some(parent.as_str()), |at| {
                parents.get(at).copied().flatten()
            })
            .nth(20)
            .is_some()
            {
                self.fault(
                    n,
                    "/parent_ref",
                    "depth".into(),
                    "at most 20 levels are allowed".into(),
                );
            }
        }
        let requirement = |row: &ImportedRequirement| Requirement {
            id: format!("{slug}:{}", row.r#ref),
            r#ref: row.r#ref.clone(),
            title: row.title.clone(),
            parent_ref: row.parent_ref.clone(),
            kind: row.kind.clone().unwrap_or_else(|| "requirement".into()),
            assessable: row
                .assessable
                .unwrap_or(!above.contains(row.r#ref.as_str())),
            attributes: row.attributes.clone(),
        };
        (rows.iter().map(requirement).collect(), self.faults)
    }
}

impl Rows<ImportedMapping> {
    /// The mappings of a framework; `known` says which readable ids there are.
    pub fn mappings(
        mut self,
        slug: &str,
        known: &mut dyn FnMut(&str) -> Result<bool>,
        seen: &dyn Fn(&str) -> bool,
    ) -> Result<(Vec<OwnMapping>, Vec<Invalid>)> {
        if self.faulty() {
            return Ok((vec![], self.faults));
        }
        let rows = std::mem::take(&mut self.rows);
        let whole = |text: &str| {
            if text.contains(':') {
                text.to_owned()
            } else {
                format!("{slug}:{text}")
            }
        };
        let (mut all, mut met) = (Vec::with_capacity(rows.len()), HashSet::new());
        let mut missing = catalogue::Missing::default();
        for (n, row) in rows.iter().enumerate() {
            if self.faults.len() > FAULTS {
                break;
            }
            in_time()?;
            let (source, target) = (whole(&row.source), whole(&row.target));
            for (member, id) in [("/source", &source), ("/target", &target)] {
                if !known(id)? {
                    self.fault(n, member, "unknown_reference".into(), missing.say(id, seen));
                }
            }
            if source == target {
                self.fault(
                    n,
                    "/target",
                    "same".into(),
                    "a requirement cannot be mapped to itself".into(),
                );
            }
            if !met.insert((source.clone(), target.clone()))
                || met.contains(&(target.clone(), source.clone())) && source != target
            {
                self.fault(
                    n,
                    "/target",
                    "twice".into(),
                    "the pair occurs twice in this import".into(),
                );
            }
            let kind = row.kind.unwrap_or(MappingKind::Composed);
            if kind == MappingKind::Published
                && row
                    .provenance
                    .as_deref()
                    .is_none_or(|text| text.trim().is_empty())
            {
                self.fault(
                    n,
                    "/provenance",
                    "required".into(),
                    "a published pair must name its publication".into(),
                );
            }
            let provenance = row
                .provenance
                .clone()
                .unwrap_or_else(|| "composed by the organization".into());
            all.push(OwnMapping {
                source,
                target,
                relationship: row.relationship,
                kind,
                provenance,
            });
        }
        Ok((all, self.faults))
    }
}
