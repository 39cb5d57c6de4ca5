//! The rows of an import, as JSON or as CSV: read and validated one by one, so that every fault is
//! named with its row.
use crate::core::catalogue::{self, MappingKind, Requirement};
use crate::core::schema::Schema;
use crate::core::{Code, Invalid, Problem, Result};
use crate::ledger::in_time;
use crate::records::frameworks::OwnMapping;
use crate::records::read_as;
use crate::registers::framework::imported::{ImportedMapping, ImportedRequirement};
use serde::de::DeserializeOwned;
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

/// The rows of a part, and where each stood.
pub struct Rows<T> {
    rows: Vec<T>,
    faults: Vec<Invalid>,
    member: &'static str,
    lines: bool,
    taken: usize,
}

impl<T: DeserializeOwned + Validate + ToSchema> Rows<T> {
    fn of(member: &'static str, lines: bool) -> Self {
        Rows {
            rows: vec![],
            faults: vec![],
            member,
            lines,
            taken: 0,
        }
    }
    /// From an array of a JSON body.
    pub fn of_json(schema: &Schema, member: &'static str, value: Value, most: usize) -> Rows<T> {
        let mut all = Rows::of(member, false);
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
        let mut all = Rows::of(member, true);
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
                let name: String = name.chars().take(60).collect();
                Invalid::body("/header", code, format!("row 1: column `{name}` {words}"))
            };
            match (twice, unknown) {
                (true, _) => Some(fault("twice", "occurs twice")),
                (false, true) => Some(fault("unknown_member", "is unknown")),
                (false, false) => None,
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
                let words = format!("{} columns, but the header has {wanted}", row.len());
                all.fault(n, ["", "columns"], words);
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
        for fault in faults {
            self.fault(n, [&fault.pointer, &fault.code], fault.detail);
        }
    }
    /// Could every row be read? Only then one row can be compared with another.
    fn read_all(&self) -> bool {
        self.rows.len() == self.taken
    }
    /// A fault of a row: its place there and its code, and what is wrong.
    fn fault(&mut self, n: usize, [pointer, code]: [&str; 2], detail: impl Into<String>) {
        if self.faults.len() <= FAULTS {
            let mut detail = detail.into();
            if self.lines {
                detail.insert_str(0, &format!("row {}: ", n + 2));
            }
            let pointer = format!("/{}/{n}{pointer}", self.member);
            self.faults.push(Invalid::body(pointer, code, detail));
        }
    }
    /// Are there faults?
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
                let words = format!("`{}` occurs twice in this import", row.r#ref);
                self.fault(n, ["/ref", "twice"], words);
            }
            let Some(parent) = row.parent_ref.as_deref() else {
                continue;
            };
            let up = |at: &&str| parents.get(at).copied().flatten();
            let mut way = std::iter::successors(Some(parent), up);
            let fault = match () {
                () if !parents.contains_key(parent) => {
                    Some(("unknown_reference", "unknown requirement in this import"))
                }
                () if way.clone().take(50).any(|at| at == row.r#ref) => {
                    Some(("circle", "this would make a circle"))
                }
                () if way.nth(20).is_some() => Some(("depth", "at most 20 levels are allowed")),
                () => None,
            };
            if let Some((code, words)) = fault {
                self.fault(n, ["/parent_ref", code], words);
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

const SAME: &str = "a requirement cannot be mapped to itself";
const TWICE: &str = "the pair occurs twice in this import";
const UNNAMED: &str = "a published pair must name its publication";

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
                    self.fault(n, [member, "unknown_reference"], missing.say(id, seen));
                }
            }
            let pair = (source.clone(), target.clone());
            let twice = met.contains(&(target.clone(), source.clone())) && source != target;
            let kind = row.kind.unwrap_or(MappingKind::Composed);
            let named = row
                .provenance
                .as_ref()
                .is_some_and(|text| !text.trim().is_empty());
            for (wrong, place, words) in [
                (source == target, ["/target", "same"], SAME),
                (!met.insert(pair) || twice, ["/target", "twice"], TWICE),
                (
                    kind == MappingKind::Published && !named,
                    ["/provenance", "required"],
                    UNNAMED,
                ),
            ] {
                if wrong {
                    self.fault(n, place, words);
                }
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
