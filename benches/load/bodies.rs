//! What is written: bodies of records, made of a number so that each is another one.
use crate::seed::{scatter, some, word};
use serde_json::{Value, json};

const TYPES: [&str; 7] = [
    "information",
    "software",
    "hardware",
    "service",
    "people",
    "site",
    "process",
];
const CLASSES: [&str; 4] = ["public", "internal", "confidential", "restricted"];
const WORDS: [&str; 16] = [
    "Payroll", "Orders", "Backup", "Mail", "Archive", "Network", "Gateway", "Ledger", "Source",
    "Build", "Customer", "Invoice", "Badge", "Sensor", "Contract", "Research",
];
const THINGS: [&str; 5] = ["server", "database", "process", "team", "archive"];
/// A word that one asset of 2,000 has.
pub const RARE: &str = "zeppelin";

pub fn name(n: usize) -> String {
    let (of, what) = (word(&WORDS, scatter(n)), word(&THINGS, scatter(n) / 16));
    format!("{of} {what} {n:06}")
}

/// An asset that may depend on another one.
pub fn asset(n: usize, hub: Option<&str>) -> Value {
    let rare = if n % 2_000 == 7 { RARE } else { "" };
    json!({
        "name": name(n),
        "description": format!("What the ISMS protects, described in a sentence or two as people \
            do. {rare}"),
        "asset_type": word(&TYPES, scatter(n)),
        "classification": word(&CLASSES, scatter(n) / 7),
        "confidentiality": 1 + scatter(n) % 5,
        "integrity": 1 + n % 5,
        "availability": 1 + n / 5 % 5,
        "location": "Frankfurt",
        "personal_data": n.is_multiple_of(3),
        "lifecycle": "in_use",
        "tags": ["load"],
        "depends_on_ids": hub.into_iter().collect::<Vec<_>>(),
    })
}

pub fn risk(n: usize, assets: &[String]) -> Value {
    let (one, other) = (some(assets, n), some(assets, n + 7_000_001));
    let both = if one == other {
        vec![one]
    } else {
        vec![one, other]
    };
    json!({
        "name": format!("{} is lost", name(n)),
        "description": "Somebody gets at what is not theirs.",
        "consequence": "Customers leave; a fine.",
        "category": word(&["access", "supply", "people", "site"], n),
        "affected_properties": ["confidentiality"],
        "asset_ids": both,
    })
}

/// An assessment of the risk of this number: inherent, or a current one that is never above it.
pub fn assessment(risk: usize, current: Option<usize>) -> Value {
    let inherent = (1 + scatter(risk) % 5, 1 + scatter(risk) / 5 % 5);
    let below = |n: usize| (1 + scatter(n) % inherent.0, 1 + scatter(n) / 7 % inherent.1);
    let (likelihood, impact) = current.map_or(inherent, below);
    let stage = if current.is_some() {
        "current"
    } else {
        "inherent"
    };
    json!({"stage": stage, "likelihood": likelihood, "impact": impact,
        "rationale": "As seen last year."})
}

pub fn treatment(n: usize, risk: &str) -> Value {
    json!({"name": format!("Treatment {n}"), "option": "mitigate", "risk_id": risk,
        "plan": "Keys for all administrators, then no login without.", "cost": 100 + n % 900,
        "expected": {"likelihood": 1, "impact": 1}, "due_on": "2099-12-31"})
}

pub fn control(n: usize, scope: &str) -> Value {
    let themes = [("A.5", 37), ("A.6", 8), ("A.7", 14), ("A.8", 34)];
    let of_theme = |(theme, most): (&'static str, usize)| (1..=most).map(move |at| (theme, at));
    let all: Vec<String> = themes
        .into_iter()
        .flat_map(of_theme)
        .map(|(theme, at)| format!("iso-27001-2022:{theme}.{at}"))
        .collect();
    json!({"name": format!("Control {n}"), "implementation": implementation(n),
        "frequency": "quarterly", "scope_ids": [scope],
        "requirements": [some(&all, n), all.get(n % all.len())]})
}

pub fn implementation(n: usize) -> &'static str {
    word(&["implemented", "in_progress", "planned", "implemented"], n)
}

pub fn evidence(n: usize, control: &str) -> Value {
    json!({"name": format!("Report {n}"), "source": "load", "external_id": format!("report-{n}"),
        "payload": {"failed": 0, "jobs": n}, "control_ids": [control]})
}

pub const BOUNDARY: &str = "a-boundary-of-parts";

/// A small file with what is told of it, as multipart.
pub fn upload(n: usize, control: &str) -> String {
    let told = json!({"name": format!("File {n}"), "source": "load",
        "external_id": format!("file-{n}"), "control_ids": [control]});
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
            Content-Type: application/json\r\n\r\n{told}\r\n--{BOUNDARY}\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"report-{n}.txt\"\r\n\
            Content-Type: text/plain\r\n\r\nBackup {n}: 12 jobs, none failed.\n\r\n\
            --{BOUNDARY}--\r\n"
    )
}

/// What changes a record, whatever was before: a fifth of the changes are new names.
pub fn patch(n: usize) -> Value {
    match n % 5 {
        0 => json!({"name": name(n), "description": format!("Renamed in step {n}.")}),
        _ => json!({"description": format!("Looked at in step {n}; what it says stays about as \
            long as it was.")}),
    }
}
