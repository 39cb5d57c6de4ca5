//! The built-in frameworks and how their tables are read: a column `name[]` is a list, `name?` yes
//! or no, `name#` a number; what is empty is absent.
use super::{Framework, Requirement};
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};

macro_rules! frameworks {
    ($($slug:literal $title:literal $edition:literal $publisher:literal;)+) => {
        /// Every built-in framework.
        pub static FRAMEWORKS: LazyLock<Vec<Arc<Framework>>> =
            LazyLock::new(|| vec![$(Arc::new(Framework::built_in(
            $slug.into(), $title.into(), $edition.into(), $publisher.into(),
                include_str!(concat!("frameworks/", $slug, ".csv"))))),+]);
    };
}
frameworks! {
    "iso-27001-2022"      "ISO/IEC 27001:2022"                     "2022 with Amd 1:2024"       "ISO/IEC";
    "iso-27001-2013"      "ISO/IEC 27001:2013, Annex A"            "2013, superseded"           "ISO/IEC";
    "soc2-2017"           "SOC 2 trust services criteria"          "2017, points of focus 2022" "AICPA";
    "nist-csf-2.0"        "NIST Cybersecurity Framework"           "2.0"                        "NIST";
    "nist-800-53-r5"      "NIST SP 800-53"                         "Revision 5"                 "NIST";
    "nist-800-171-r2"     "NIST SP 800-171"                        "Revision 2"                 "NIST";
    "cmmc-2.0"            "CMMC, level 2"                          "2.0"                        "US Department of Defense";
    "hipaa-security-rule" "HIPAA Security Rule"                    "45 CFR 164.308 to 164.316"  "US Department of Health and Human Services";
    "nis2-art21"          "NIS2, Article 21(2)"                    "Directive (EU) 2022/2555"   "European Union";
    "nis2-2024-2690"      "NIS2 implementing regulation, annex"    "Regulation (EU) 2024/2690"  "European Union";
    "dora"                "DORA"                                   "Regulation (EU) 2022/2554"  "European Union";
    "gdpr"                "GDPR, security of processing"           "Regulation (EU) 2016/679"   "European Union";
    "pci-dss-4"           "PCI DSS"                                "4"                          "PCI Security Standards Council";
}

/// The requirements of a table, in its order.
pub(super) fn read(slug: &str, table: &'static str) -> Vec<Requirement> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let names: Vec<String> = reader
        .headers()
        .map(|all| all.iter().skip(5).map(str::to_owned).collect())
        .unwrap_or_default();
    let requirement = |row: csv::StringRecord| {
        let reference = row.get(0)?.to_owned();
        let attributes = names
            .iter()
            .zip(row.iter().skip(5))
            .filter(|(_, cell)| !cell.is_empty());
        Some(Requirement {
            id: format!("{slug}:{reference}"),
            r#ref: reference,
            title: row.get(1)?.to_owned(),
            parent_ref: row
                .get(2)
                .filter(|parent| !parent.is_empty())
                .map(str::to_owned),
            kind: row.get(3)?.to_owned(),
            assessable: row.get(4) == Some("yes"),
            attributes: attributes
                .map(|(name, cell)| attribute(name, cell))
                .collect::<Map<_, _>>(),
        })
    };
    reader
        .into_records()
        .filter_map(|row| requirement(row.ok()?))
        .collect()
}

fn attribute(column: &str, cell: &str) -> (String, Value) {
    let name = column.trim_end_matches(['[', ']', '?', '#']).to_owned();
    let value = match column.strip_prefix(name.as_str()) {
        Some("[]") => json!(cell.split(';').collect::<Vec<_>>()),
        Some("?") => json!(cell == "yes"),
        Some("#") => cell.parse::<i64>().map_or(Value::Null, Value::from),
        _ => json!(cell),
    };
    (name, value)
}

/// The order in which people read references: 4.2 before 4.10, clauses before Annex A.
pub fn natural(reference: &str) -> Vec<(u8, u64, String)> {
    let parts = reference
        .split(['.', '(', ')', '-'])
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.parse().map_or_else(
                |_| (1, 0, part.to_owned()),
                |number| (0, number, String::new()),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ISO_27001, framework, is_reference, is_slug, requirement};
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    type Kinds = &'static [(&'static str, usize)];
    /// As the sources count them: all of a framework, and those of each kind. Of SP 800-53 the
    /// enhancements that published pairs name come on top.
    const COUNTS: &[(&str, usize, Kinds)] = &[
        (
            "iso-27001-2022",
            267,
            &[
                ("clause", 7),
                ("subclause", 34),
                ("point", 129),
                ("theme", 4),
                ("control", 93),
            ],
        ),
        ("iso-27001-2013", 114, &[("control", 114)]),
        (
            "soc2-2017",
            82,
            &[("series", 13), ("subseries", 8), ("criterion", 61)],
        ),
        (
            "nist-csf-2.0",
            134,
            &[("function", 6), ("category", 22), ("subcategory", 106)],
        ),
        (
            "nist-800-53-r5",
            343 + 48,
            &[("family", 20), ("control", 323), ("enhancement", 48)],
        ),
        (
            "nist-800-171-r2",
            124,
            &[("family", 14), ("requirement", 110)],
        ),
        ("cmmc-2.0", 110, &[("practice", 110)]),
        (
            "hipaa-security-rule",
            73,
            &[
                ("section", 5),
                ("standard", 22),
                ("implementation_specification", 46),
            ],
        ),
        ("nis2-art21", 10, &[("measure", 10)]),
        ("nis2-2024-2690", 66, &[("section", 13), ("subsection", 53)]),
        ("dora", 26, &[("article", 26)]),
        ("gdpr", 21, &[("article", 12), ("point", 9)]),
        (
            "pci-dss-4",
            75,
            &[("principal_requirement", 12), ("requirement_group", 63)],
        ),
    ];

    #[test]
    fn every_framework_is_whole() {
        let slugs: Vec<&str> = FRAMEWORKS
            .iter()
            .map(|framework| framework.slug.as_str())
            .collect();
        assert_eq!(
            slugs,
            COUNTS.iter().map(|(slug, ..)| *slug).collect::<Vec<_>>()
        );
        for (slug, count, kinds) in COUNTS {
            let all = framework(slug)
                .map(|found| found.requirements())
                .unwrap_or_default();
            assert_eq!(all.len(), *count, "{slug}");
            let mut found: BTreeMap<&str, usize> = BTreeMap::new();
            all.iter()
                .for_each(|one| *found.entry(one.kind.as_str()).or_default() += 1);
            assert_eq!(found, kinds.iter().copied().collect(), "{slug}");
            assert_eq!(
                all.iter()
                    .map(|one| &one.r#ref)
                    .collect::<BTreeSet<_>>()
                    .len(),
                *count,
                "{slug}: each reference once"
            );
            for one in all {
                assert!(
                    is_slug(slug)
                        && is_reference(&one.r#ref)
                        && one.id == format!("{slug}:{}", one.r#ref),
                    "{}",
                    one.id
                );
                assert!(
                    !one.title.is_empty() && one.title.len() <= 300,
                    "{}",
                    one.id
                );
                assert!(
                    one.parent_ref
                        .as_deref()
                        .is_none_or(|parent| framework(slug)
                            .and_then(|f| f.place(parent))
                            .is_some()),
                    "{}",
                    one.id
                );
                assert_eq!(requirement(&one.id).map(|again| &again.id), Some(&one.id));
            }
        }
        let assessable = |slug| framework(slug).map(|found| found.assessable().count());
        assert_eq!(
            (
                assessable("nist-800-53-r5"),
                assessable("nist-csf-2.0"),
                assessable("soc2-2017")
            ),
            (Some(299), Some(106), Some(61))
        );
    }

    #[test]
    fn iso_27001_is_in_order() {
        let Some(iso) = framework(ISO_27001) else {
            panic!("no {ISO_27001}")
        };
        let refs: Vec<&str> = iso
            .requirements()
            .iter()
            .map(|one| one.r#ref.as_str())
            .collect();
        assert!(refs.is_sorted_by_key(|one| natural(one)));
        let controls: Vec<&str> = iso.decidable().map(|one| one.r#ref.as_str()).collect();
        let counts = ["A.5.", "A.6.", "A.7.", "A.8."]
            .map(|theme| controls.iter().filter(|one| one.starts_with(theme)).count());
        assert_eq!((controls.len(), counts), (93, [37, 8, 14, 34]));
        assert_eq!(
            (controls.first(), controls.get(9), controls.last()),
            (Some(&"A.5.1"), Some(&"A.5.10"), Some(&"A.8.34"))
        );
        assert!(
            requirement("iso-27001-2022:6.1.3(f)").is_some()
                && requirement("iso-27001-2022:A.9.1").is_none()
        );
        let first = requirement("iso-27001-2022:A.5.1")
            .map(|one| json!(one.attributes))
            .unwrap_or_default();
        let wanted = json!({"theme": "organizational", "control_types": ["preventive"],
            "properties": ["confidentiality", "integrity", "availability"],
            "cybersecurity_concepts": ["identify"], "new_in_2022": false,
                "iso_27001_2013": ["A.5.1.1", "A.5.1.2"]});
        assert_eq!(first, wanted);
    }
}
