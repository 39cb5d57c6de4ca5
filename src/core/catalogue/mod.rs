//! The built-in catalogues: identifiers and short titles of frameworks, and elementary threats. Read from the tables beside this file, once.
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A framework.
#[derive(Debug)]
pub struct Framework {
    /// Its readable id; part of the contract.
    pub slug: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// Which edition.
    pub edition: &'static str,
    /// Who publishes it.
    pub publisher: &'static str,
    /// In natural order.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a framework.
#[derive(Debug, Clone, Serialize)]
pub struct Requirement {
    /// `iso-27001-2022:A.5.1`.
    pub id: String,
    /// `A.5.1`.
    pub r#ref: String,
    /// Its short title.
    pub title: String,
    /// Where it stands in the tree.
    pub parent_ref: Option<String>,
    /// `clause`, `subclause`, `point`, `theme` or `control`.
    pub kind: String,
    /// What else is known of it.
    pub attributes: Map<String, Value>,
}

/// An elementary threat.
#[derive(Debug)]
pub struct Threat {
    /// `G0.1`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `deliberate`, `accidental` or `environmental`.
    pub origin: &'static str,
}

/// The framework that statements of applicability are made from, unless another is asked for.
pub const ISO_27001: &str = "iso-27001-2022";

/// Every built-in framework.
pub static FRAMEWORKS: LazyLock<Vec<Framework>> = LazyLock::new(|| vec![iso_27001_2022()]);

static REQUIREMENTS: LazyLock<HashMap<&'static str, &'static Requirement>> = LazyLock::new(|| {
    let all = FRAMEWORKS.iter().flat_map(|framework| &framework.requirements);
    all.map(|requirement| (requirement.id.as_str(), requirement)).collect()
});

/// The framework of that slug.
pub fn framework(slug: &str) -> Option<&'static Framework> {
    FRAMEWORKS.iter().find(|framework| framework.slug == slug)
}
/// The requirement of that readable id.
pub fn requirement(id: &str) -> Option<&'static Requirement> {
    REQUIREMENTS.get(id).copied()
}

/// The elementary threats (BSI).
pub static THREATS: LazyLock<Vec<Threat>> = LazyLock::new(|| {
    let deliberate = [13, 14, 15, 16, 20, 21, 22, 23, 24, 30, 32, 34, 35, 36, 37, 39, 40, 41, 42, 43, 44, 47];
    let threat = |row: Vec<String>| {
        let [catalogue, id, name, ..] = row.as_slice() else { return None };
        let number: u32 = id.strip_prefix("G0.")?.parse().ok()?;
        let origin = match number {
            1..=7 => "environmental",
            n if deliberate.contains(&n) => "deliberate",
            _ => "accidental",
        };
        (catalogue == "bsi").then(|| Threat { id: id.clone(), name: name.clone(), origin })
    };
    rows(include_str!("threats.csv")).filter_map(threat).collect()
});

fn rows(table: &'static str) -> impl Iterator<Item = Vec<String>> {
    let reader = csv::Reader::from_reader(table.as_bytes());
    reader.into_records().filter_map(Result::ok).map(|row| row.iter().map(str::to_owned).collect())
}

fn requirement_of(slug: &str, reference: &str, title: &str, parent: &str, kind: &str, attributes: Value) -> Requirement {
    let parent_ref = (!parent.is_empty()).then(|| parent.to_owned());
    let attributes = if let Value::Object(members) = attributes { members } else { Map::new() };
    let (id, r#ref) = (format!("{slug}:{reference}"), reference.to_owned());
    Requirement { id, r#ref, title: title.to_owned(), parent_ref, kind: kind.to_owned(), attributes }
}

fn iso_27001_2022() -> Framework {
    let mut all: Vec<Requirement> = Vec::new();
    let clauses = rows(include_str!("iso27001_2022_clauses.csv")).filter_map(|row| match row.as_slice() {
        [id, parent, kind, heading, assessable, _] => {
            Some(requirement_of(ISO_27001, id, heading, parent, kind, json!({"assessable": assessable == "yes"})))
        }
        _ => None,
    });
    all.extend(clauses);
    let points = rows(include_str!("iso27001_requirement_points.csv")).filter_map(|row| match row.as_slice() {
        [clause, point, topic, words] => {
            Some(requirement_of(ISO_27001, &format!("{clause}({point})"), words, clause, "point", json!({"topic": topic})))
        }
        _ => None,
    });
    all.extend(points);
    let themes =
        [("A.5", "Organizational controls"), ("A.6", "People controls"), ("A.7", "Physical controls"), ("A.8", "Technological controls")];
    all.extend(themes.map(|(id, title)| requirement_of(ISO_27001, id, title, "", "theme", json!({}))));
    let list = |text: &str| json!(text.split(';').filter(|part| !part.is_empty()).collect::<Vec<_>>());
    let controls = rows(include_str!("iso27001_2022_annex_a.csv")).filter_map(|row| match row.as_slice() {
        [id, theme, parent, _, title, types, properties, concepts, new] => {
            let attributes = json!({"theme": theme, "control_types": list(types), "properties": list(properties),
                "cybersecurity_concepts": list(concepts), "new_in_2022": new == "yes"});
            Some(requirement_of(ISO_27001, id, title, parent, "control", attributes))
        }
        _ => None,
    });
    all.extend(controls);
    all.sort_by_key(|requirement| natural(&requirement.r#ref));
    Framework { slug: ISO_27001, title: "ISO/IEC 27001:2022", edition: "2022 with Amd 1:2024", publisher: "ISO/IEC", requirements: all }
}

/// The order in which people read references: 4.2 before 4.10, clauses before Annex A.
pub fn natural(reference: &str) -> Vec<(u8, u64, String)> {
    let parts = reference.split(['.', '(', ')', '-']).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_or_else(|_| (1, 0, part.to_owned()), |number| (0, number, String::new()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_27001_is_whole_and_in_order() {
        let all = framework(ISO_27001).map(|f| f.requirements.as_slice()).unwrap_or_default();
        let of_kind = |kind: &str| all.iter().filter(|r| r.kind == kind).map(|r| r.r#ref.as_str()).collect::<Vec<_>>();
        let controls = of_kind("control");
        assert_eq!((controls.len(), of_kind("subclause").len() + of_kind("clause").len(), of_kind("point").len()), (93, 41, 129));
        let counts = ["A.5.", "A.6.", "A.7.", "A.8."].map(|theme| controls.iter().filter(|c| c.starts_with(theme)).count());
        assert_eq!(counts, [37, 8, 14, 34]);
        assert_eq!(
            (controls.first(), controls.get(1), controls.get(9), controls.last()),
            (Some(&"A.5.1"), Some(&"A.5.2"), Some(&"A.5.10"), Some(&"A.8.34"))
        );
        assert_eq!(REQUIREMENTS.len(), all.len(), "each id once");
        assert!(requirement("iso-27001-2022:6.1.3(f)").is_some() && requirement("iso-27001-2022:A.9.1").is_none());
    }

    #[test]
    fn the_elementary_threats_are_whole() {
        assert_eq!(THREATS.len(), 47);
        assert_eq!(THREATS.first().map(|t| (t.id.as_str(), t.name.as_str(), t.origin)), Some(("G0.1", "Fire", "environmental")));
    }
}
