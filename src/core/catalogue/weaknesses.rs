//! Generic weaknesses to pick from when vulnerabilities are described (ISO/IEC 27005): short labels
//! and ids of our own.
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A generic weakness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Weakness {
    /// Its id in the catalogue.
    #[schema(max_length = 16, example = "SW-02")]
    pub id: String,
    /// What it is, in short.
    #[schema(max_length = 200)]
    pub label: String,
    /// What it is a weakness of: `hardware`, `software`, `network`, `personnel`, `site` or
    /// `organization`.
    #[schema(max_length = 40)]
    pub group: String,
}

/// Every generic weakness, in the order of the table.
pub static WEAKNESSES: LazyLock<Vec<Weakness>> = LazyLock::new(|| {
    let row = |row: csv::StringRecord| {
        let cell = |n: usize| row.get(n).map(str::to_owned);
        Some(Weakness {
            id: cell(0)?,
            label: cell(1)?,
            group: cell(2)?,
        })
    };
    super::rows(include_str!("weaknesses.csv"))
        .filter_map(row)
        .collect()
});

/// The weakness of that id.
pub fn weakness(id: &str) -> Option<&'static Weakness> {
    WEAKNESSES.iter().find(|weakness| weakness.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_weaknesses_are_whole() {
        let ids: BTreeSet<_> = WEAKNESSES
            .iter()
            .map(|weakness| weakness.id.as_str())
            .collect();
        let groups: BTreeSet<_> = WEAKNESSES
            .iter()
            .map(|weakness| weakness.group.as_str())
            .collect();
        assert_eq!((WEAKNESSES.len(), ids.len()), (85, 85));
        assert_eq!(
            groups.into_iter().collect::<Vec<_>>(),
            [
                "hardware",
                "network",
                "organization",
                "personnel",
                "site",
                "software"
            ]
        );
        assert_eq!(
            weakness("SI-03").map(|found| found.label.as_str()),
            Some("Building, doors or windows weakly protected")
        );
    }
}
