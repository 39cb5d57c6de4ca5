//! Mappings between frameworks. A published pair stands in the publication that is named with it; a
//! composed one joins two tables, and is a suggestion. Each is kept once, as its source tells it,
//! and answered in both directions.
use super::{ISO_27001, ISO_27001_2013, framework, parts, rows};
use std::sync::LazyLock;

crate::vocabulary! {
    /// How what two requirements ask for overlaps, seen from the source: it is a subset of the
    /// target, or a superset, equal, or they intersect.
    pub enum Relationship { Equal, Subset, Superset, Intersects }
}
crate::vocabulary! {
    /// Does the pair stand in a publication, or was it composed, as a suggestion?
    pub enum MappingKind { Published, Composed }
}

impl Relationship {
    /// Seen from the other side.
    pub fn inverse(self) -> Self {
        match self {
            Relationship::Subset => Relationship::Superset,
            Relationship::Superset => Relationship::Subset,
            same => same,
        }
    }
    /// Does meeting the source meet the target as well?
    pub fn carries(self) -> bool {
        matches!(self, Relationship::Equal | Relationship::Superset)
    }
}

/// A pair of requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// Readable id.
    pub source: &'a str,
    /// Readable id.
    pub target: &'a str,
    /// Seen from the source.
    pub relationship: Relationship,
    /// Published, or composed.
    pub kind: MappingKind,
    /// Where it stands, or what it was composed of.
    pub provenance: &'a str,
}
impl Mapping<'_> {
    /// The same, told from the other side.
    pub fn inverse(self) -> Self {
        Mapping {
            source: self.target,
            target: self.source,
            relationship: self.relationship.inverse(),
            ..self
        }
    }
}

/// A built-in table of pairs between two frameworks.
#[derive(Debug)]
pub struct Crosswalk {
    /// The framework of its sources.
    pub source: &'static str,
    /// The framework of its targets.
    pub target: &'static str,
    /// Published, or composed.
    pub kind: MappingKind,
    /// Where its pairs stand.
    pub provenance: &'static str,
    pairs: LazyLock<Vec<Mapping<'static>>>,
}

macro_rules! crosswalks {
    ($($source:literal $target:literal $kind:ident $provenance:literal;)+) => {
        /// Every built-in crosswalk.
        pub static CROSSWALKS: LazyLock<Vec<Crosswalk>> = LazyLock::new(|| vec![$(Crosswalk {
            source: $source, target: $target, kind: MappingKind::$kind, provenance: $provenance,
            pairs: LazyLock::new(|| read(
                ($source, $target), MappingKind::$kind, $provenance,
                include_str!(concat!("crosswalks/", $source, "_", $target, ".csv")))) }),+]);
    };
}
crosswalks! {
    "iso-27001-2013" "iso-27001-2022" Published "ISO/IEC 27002:2022, Annex B";
    "iso-27001-2022" "nist-csf-2.0" Published "NIST CSF 2.0 informative references";
    "iso-27001-2022" "nist-800-53-r5" Published "NIST OLIR, SP 800-53r5 to ISO/IEC 27001:2022, \
        2023-10-12";
    "iso-27001-2022" "nis2-art21" Published "ENISA NIS2 technical implementation guidance, \
        mapping table, 2025 (CC BY 4.0)";
    "iso-27001-2022" "nis2-2024-2690" Published "ENISA NIS2 technical implementation guidance, \
        mapping table, 2025 (CC BY 4.0)";
    "iso-27001-2022" "gdpr" Published "ISO/IEC 27701:2019 Annex D as in the MIT-licensed data \
        protection mapping project, carried to 2022 ids";
    "iso-27001-2022" "soc2-2017" Composed "composed from measures that name both (MIT-licensed \
        list)";
    "iso-27001-2022" "hipaa-security-rule" Composed "composed: NIST SP 800-66r2 and NIST OLIR \
        800-53r5";
    "iso-27001-2022" "cmmc-2.0" Composed "composed: NIST SP 800-171r2 App. D and NIST OLIR \
        800-53r5";
    "hipaa-security-rule" "nist-800-53-r5" Published "NIST SP 800-66r2";
    "nist-800-171-r2" "nist-800-53-r5" Published "NIST SP 800-171r2 App. D";
    "cmmc-2.0" "nist-800-171-r2" Published "32 CFR 170.14: the requirements of level 2 are those \
        of NIST SP 800-171r2";
    "nis2-2024-2690" "nis2-art21" Published "Commission Implementing Regulation (EU) 2024/2690, \
        annex: the points that its sections name";
}

impl Crosswalk {
    /// Its pairs, as the source tells them.
    pub fn pairs(&'static self) -> &'static [Mapping<'static>] {
        &self.pairs
    }
}

/// Pure: the pairs of a table between two frameworks.
fn read(
    (source, target): (&'static str, &'static str),
    kind: MappingKind,
    provenance: &'static str,
    table: &'static str,
) -> Vec<Mapping<'static>> {
    let id = |slug: &str, reference: &str| {
        let found = framework(slug)?.requirement(reference);
        found.map(|found| found.id.as_str())
    };
    let of_row = |row: csv::StringRecord| -> Vec<Mapping<'static>> {
        let (Some(from), Some(relationship)) =
            (row.get(0), row.get(1).and_then(|word| word.parse().ok()))
        else {
            return vec![];
        };
        let targets = row.get(2).unwrap_or_default().split(' ');
        let pair = |to| {
            Some(Mapping {
                source: id(source, from)?,
                target: id(target, to)?,
                relationship,
                kind,
                provenance,
            })
        };
        targets.filter_map(pair).collect()
    };
    rows(table).flat_map(of_row).collect()
}

/// The built-in pairs of a framework, told from its side.
pub fn mappings_of(slug: &str) -> impl Iterator<Item = Mapping<'static>> {
    CROSSWALKS.iter().flat_map(move |crosswalk| {
        let (from, to) = (crosswalk.source == slug, crosswalk.target == slug);
        let pairs = if from || to { crosswalk.pairs() } else { &[] };
        pairs
            .iter()
            .map(move |pair| if from { *pair } else { pair.inverse() })
    })
}

/// What a requirement of ISO/IEC 27001:2013 has become in 2022.
pub fn successors(id: &str) -> impl Iterator<Item = &'static str> {
    let old = parts(id).is_some_and(|(slug, _)| slug == ISO_27001_2013);
    let all = if old {
        CROSSWALKS
            .iter()
            .find(|crosswalk| (crosswalk.source, crosswalk.target) == (ISO_27001_2013, ISO_27001))
    } else {
        None
    };
    all.into_iter()
        .flat_map(|crosswalk| crosswalk.pairs())
        .filter(move |pair| pair.source == id)
        .map(|pair| pair.target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of each table, as the sources count them.
    const COUNTS: &[(&str, &str, usize)] = &[
        ("iso-27001-2013", "iso-27001-2022", 115),
        ("iso-27001-2022", "nist-csf-2.0", 244 + 97),
        ("iso-27001-2022", "nist-800-53-r5", 439 + 203),
        ("iso-27001-2022", "nis2-art21", 97 + 25),
        ("iso-27001-2022", "nis2-2024-2690", 98),
        ("iso-27001-2022", "gdpr", 51),
        ("iso-27001-2022", "soc2-2017", 187),
        ("iso-27001-2022", "hipaa-security-rule", 256),
        ("iso-27001-2022", "cmmc-2.0", 255),
        ("hipaa-security-rule", "nist-800-53-r5", 185),
        ("nist-800-171-r2", "nist-800-53-r5", 127),
        ("cmmc-2.0", "nist-800-171-r2", 110),
        ("nis2-2024-2690", "nis2-art21", 16),
    ];

    #[test]
    fn every_pair_resolves() {
        let found: Vec<_> = CROSSWALKS
            .iter()
            .map(|one| (one.source, one.target, one.pairs().len()))
            .collect();
        assert_eq!(found, COUNTS);
        for crosswalk in CROSSWALKS.iter() {
            let file = format!(
                "{}/src/core/catalogue/crosswalks/{}_{}.csv",
                env!("CARGO_MANIFEST_DIR"),
                crosswalk.source,
                crosswalk.target
            );
            let table = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
            let written: usize = rows(table.leak())
                .map(|row| row.get(2).unwrap_or_default().split(' ').count())
                .sum();
            assert_eq!(
                written,
                crosswalk.pairs().len(),
                "{} {}: a pair that leads nowhere",
                crosswalk.source,
                crosswalk.target
            );
            assert!(
                crosswalk.kind == MappingKind::Published
                    || crosswalk.provenance.starts_with("composed")
            );
        }
    }

    #[test]
    fn a_pair_is_told_from_both_sides() {
        let of = |slug: &str, source: &str, target: &str| {
            mappings_of(slug).find(|one| one.source == source && one.target == target)
        };
        let (old, new) = ("iso-27001-2013:A.5.1.1", "iso-27001-2022:A.5.1");
        assert_eq!(
            of(ISO_27001_2013, old, new).map(|one| one.relationship),
            Some(Relationship::Subset)
        );
        assert_eq!(
            of(ISO_27001, new, old).map(|one| one.relationship),
            Some(Relationship::Superset)
        );
        assert_eq!(
            successors("iso-27001-2013:A.9.2.1").collect::<Vec<_>>(),
            ["iso-27001-2022:A.5.16"]
        );
        assert_eq!(
            (
                successors("iso-27001-2022:A.5.16").count(),
                successors("nonsense").count()
            ),
            (0, 0)
        );
        assert!(
            mappings_of("dora").next().is_none() && mappings_of("pci-dss-4").next().is_none(),
            "nobody publishes one"
        );
    }
}
