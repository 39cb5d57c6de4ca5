//! Other formats of a view: which is asked for, and text that is safe in them.
use super::soa::StatementOfApplicability;
use crate::core::{Code, Invalid, Problem, Result};
use crate::http::Then;
use actix_web::{HttpRequest, http::header};

/// Is another format of the view asked for, by `format` or by `Accept`? A browser's link cannot set headers, so the parameter comes first.
pub fn wants(request: &HttpRequest, then: &Then, format: &str, media: &str) -> Result<bool> {
    match then.get("format") {
        Some("json") => Ok(false),
        Some(asked) if asked == format => Ok(true),
        Some(_) => Err(Problem::parameters(vec![Invalid::query("format", "invalid_parameter", format!("json or {format} is needed"))])),
        None => {
            let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*").to_ascii_lowercase();
            let place = |media: &str| accept.find(media).unwrap_or(usize::MAX);
            match (place(media), place("application/json").min(place("*/*")).min(place("application/*"))) {
                (usize::MAX, usize::MAX) => Err(Problem::new(Code::NotAcceptable, format!("There is application/json and {media}."))),
                (other, json) => Ok(other < json),
            }
        }
    }
}

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

/// Text that no spreadsheet takes for a formula.
pub fn neutral(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_neutral() {
        assert_eq!((neutral("=1+1"), neutral("none")), ("'=1+1".into(), "none".into()));
    }
}
