//! The statement of applicability as a table.
use super::soa::StatementOfApplicability;
use crate::core::{Problem, Result};
use crate::http::format::neutral;

/// A row for each entry, with the members of the JSON as columns.
pub fn as_csv(statement: &StatementOfApplicability) -> Result<String> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = [
        "requirement",
        "title",
        "theme",
        "applicable",
        "justification",
        "reasons",
        "justification_missing",
        "implementation",
        "operation",
        "controls",
        "risk_count",
        "evidence_current",
        "evidence_expired",
        "evidence_latest_collected_at",
    ];
    table.write_record(header).map_err(Problem::internal)?;
    for entry in &statement.entries {
        let reasons: Vec<&str> = entry.reasons.iter().map(|reason| reason.into()).collect();
        let controls: Vec<&str> = entry.controls.iter().map(|control| control.code.as_str()).collect();
        let row = [
            entry.requirement.clone(),
            entry.title.clone(),
            entry.theme.clone().unwrap_or_default(),
            entry.applicable.to_string(),
            neutral(entry.justification.as_deref().unwrap_or_default()),
            reasons.join(";"),
            entry.justification_missing.to_string(),
            entry.implementation.map(<&str>::from).unwrap_or_default().to_owned(),
            entry.operation.map(<&str>::from).unwrap_or_default().to_owned(),
            controls.join(";"),
            entry.risk_count.to_string(),
            entry.evidence.current.to_string(),
            entry.evidence.expired.to_string(),
            entry.evidence.latest_collected_at.map(|at| at.to_string()).unwrap_or_default(),
        ];
        table.write_record(row).map_err(Problem::internal)?;
    }
    String::from_utf8(table.into_inner().map_err(Problem::internal)?).map_err(Problem::internal)
}
