//! Threats: the elementary ones of the BSI, and the tactics and techniques of MITRE ATT&CK.
use super::rows;
use std::sync::LazyLock;

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

/// What an adversary wants to reach (MITRE ATT&CK).
#[derive(Debug)]
pub struct Tactic {
    /// `TA0001`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// How an adversary goes about it (MITRE ATT&CK).
#[derive(Debug)]
pub struct Technique {
    /// `T1566`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The tactics that it serves.
    pub tactics: Vec<String>,
}

const TABLE: &str = include_str!("threats.csv");

/// The rows of one catalogue and kind: id, name, parents.
fn of(
    catalogue: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = (String, String, String)> {
    rows(TABLE)
        .filter(move |row| row.get(0) == Some(catalogue) && row.get(4) == Some(kind))
        .map(|row| {
            let cell = |n| row.get(n).unwrap_or_default().to_owned();
            (cell(1), cell(2), cell(3))
        })
}

/// The elementary threats (BSI).
pub static THREATS: LazyLock<Vec<Threat>> = LazyLock::new(|| {
    let deliberate = [
        13, 14, 15, 16, 20, 21, 22, 23, 24, 30, 32, 34, 35, 36, 37, 39, 40, 41, 42, 43, 44, 47,
    ];
    let threat = |(id, name, _): (String, String, String)| {
        let origin = match id.strip_prefix("G0.")?.parse::<u32>().ok()? {
            1..=7 => "environmental",
            n if deliberate.contains(&n) => "deliberate",
            _ => "accidental",
        };
        Some(Threat { id, name, origin })
    };
    of("bsi", "elementary_threat").filter_map(threat).collect()
});

/// The tactics of MITRE ATT&CK, in its order.
pub static TACTICS: LazyLock<Vec<Tactic>> = LazyLock::new(|| {
    of("mitre_attack", "tactic")
        .map(|(id, name, _)| Tactic { id, name })
        .collect()
});

/// The techniques of MITRE ATT&CK, by their ids.
pub static TECHNIQUES: LazyLock<Vec<Technique>> = LazyLock::new(|| {
    let technique = |(id, name, tactics): (String, String, String)| Technique {
        id,
        name,
        tactics: tactics.split(';').map(str::to_owned).collect(),
    };
    let mut all: Vec<Technique> = of("mitre_attack", "technique").map(technique).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
});

/// The technique of that id; of a sub-technique (`T1566.001`) the one it belongs to.
pub fn technique(id: &str) -> Option<&'static Technique> {
    let base = match id.split_once('.') {
        Some((base, sub)) if sub.len() == 3 && sub.bytes().all(|b| b.is_ascii_digit()) => base,
        Some(_) => return None,
        None => id,
    };
    let at = TECHNIQUES
        .binary_search_by(|technique| technique.id.as_str().cmp(base))
        .ok()?;
    TECHNIQUES.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threats_are_whole() {
        assert_eq!(
            (THREATS.len(), TACTICS.len(), TECHNIQUES.len()),
            (47, 15, 222)
        );
        assert_eq!(
            THREATS
                .first()
                .map(|t| (t.id.as_str(), t.name.as_str(), t.origin)),
            Some(("G0.1", "Fire", "environmental"))
        );
        for technique in TECHNIQUES.iter() {
            assert!(
                technique
                    .tactics
                    .iter()
                    .all(|id| TACTICS.iter().any(|tactic| tactic.id == *id)),
                "{}",
                technique.id
            );
        }
    }

    #[test]
    fn a_sub_technique_belongs_to_a_technique() {
        assert_eq!(
            technique("T1566").map(|found| found.name.as_str()),
            Some("Phishing")
        );
        assert_eq!(
            technique("T1566.001").map(|found| found.id.as_str()),
            Some("T1566")
        );
        for none in ["T9999", "T1566.1", "T1566.", "", "TA0001", "t1566"] {
            assert!(technique(none).is_none(), "{none}");
        }
    }
}
