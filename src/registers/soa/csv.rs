//! The statement of applicability, and the difference between two, as tables.
use crate::core::Result;
use crate::registers::soa::contradiction::ControlRef;
use crate::registers::soa::difference::{OwnControlChange, SoaDiff, SoaEntryChange, SoaEntryState};
use crate::registers::soa::statement::{OwnControl, SoaEntry, SoaReason, StatementOfApplicability};
use crate::registers::soa::version::SoaIncomplete;
use crate::registers::table::{Table, list, names, table_columns, text, word};

fn codes(controls: &[ControlRef]) -> String {
    list(controls.iter().map(|control| control.code.as_str()))
}
fn words(reasons: &[SoaReason]) -> String {
    list(reasons.iter().map(<&str>::from))
}

table_columns! { ENTRY of entry: SoaEntry {
    "requirement" => entry.requirement.clone(),
    "title" => entry.title.clone(),
    "theme" => text(entry.theme.as_ref()),
    "applicable" => entry.applicable.to_string(),
    "decided" => entry.decided.to_string(),
    "decided_at" => text(entry.decided_at),
    "decided_by" => text(entry.decided_by.as_ref().map(|by| &by.name)),
    "lacks" => word(entry.lacks),
    "justification" => text(entry.justification.as_ref()),
    "reasons" => words(&entry.reasons),
    "justification_missing" => entry.justification_missing.to_string(),
    "contradicted_by" => codes(&entry.contradicted_by),
    "implementation" => word(entry.implementation),
    "operation" => word(entry.operation),
    "controls" => codes(&entry.controls),
    "control_count" => entry.control_count.to_string(),
    "risk_codes" => list(&entry.risk_codes),
    "risk_count" => entry.risk_count.to_string(),
    "treatment_codes" => list(&entry.treatment_codes),
    "treatment_count" => entry.treatment_count.to_string(),
    "evidence_current" => entry.evidence.current.to_string(),
    "evidence_expired" => entry.evidence.expired.to_string(),
    "evidence_latest_collected_at" => text(entry.evidence.latest_collected_at),
    "evidence_failed" => entry.evidence.failed.to_string(),
    "evidence_latest_outcome" => word(entry.evidence.latest_outcome),
} }
table_columns! { OWN of control: OwnControl {
    "title" => control.name.clone(),
    "applicable" => true.to_string(),
    "reasons" => words(&control.reasons),
    "implementation" => word(Some(control.implementation)),
    "operation" => word(Some(control.operation)),
    "controls" => control.code.clone(),
    "control_count" => 1.to_string(),
    "risk_codes" => list(&control.risk_codes),
    "risk_count" => control.risk_count.to_string(),
    "treatment_codes" => list(&control.treatment_codes),
    "treatment_count" => control.treatment_count.to_string(),
    "evidence_current" => control.evidence.current.to_string(),
    "evidence_expired" => control.evidence.expired.to_string(),
    "evidence_latest_collected_at" => text(control.evidence.latest_collected_at),
    "evidence_failed" => control.evidence.failed.to_string(),
    "evidence_latest_outcome" => word(control.evidence.latest_outcome),
} }
table_columns! { NOTE of without: SoaIncomplete {
    "title" => format!(
        "Frozen incomplete: {} undecided, {} unjustified, {} contradicted",
        without.undecided, without.unjustified, without.contradicted
    ),
    "lacks" => "incomplete".to_owned(),
    "justification" => without.comment.clone(),
} }

/// A row for each entry, with the members of the JSON as columns; then one for each control outside
/// the framework, without a requirement; and a last one where a statement was frozen incomplete,
/// with the comment that says why.
pub fn as_csv(
    statement: &StatementOfApplicability,
    incomplete: Option<&SoaIncomplete>,
) -> Result<String> {
    let mut table = Table::of(names(ENTRY));
    for entry in &statement.entries {
        table.row().says(entry, ENTRY);
    }
    for control in &statement.own_controls {
        table.row().says(control, OWN);
    }
    if let Some(without) = incomplete {
        table.row().says(without, NOTE);
    }
    table.text()
}

table_columns! { ENTRY_CHANGE of one: SoaEntryChange {
    "requirement" => one.requirement.clone(),
    "title" => one.title.clone(),
    "changed" => list(&one.changed),
    "controls_added" => codes(&one.controls_added),
    "controls_removed" => codes(&one.controls_removed),
} }
table_columns! { OWN_CHANGE of one: OwnControlChange {
    "control" => one.control.code.clone(),
    "title" => one.control.name.clone(),
    "changed" => list(&one.changed),
} }
table_columns! { FACE of face: SoaEntryState {
    "applicable" => face.applicable.to_string(),
    "decided" => text(face.decided),
    "justification" => text(face.justification.as_ref()),
    "reasons" => words(&face.reasons),
    "implementation" => word(face.implementation),
    "operation" => word(face.operation),
} }

/// A row for each requirement and control that differs.
pub fn diff_as_csv(diff: &SoaDiff) -> Result<String> {
    let sides = names(FACE).flat_map(|name| [format!("from_{name}"), format!("to_{name}")]);
    let what = ["requirement", "control", "title", "changed"].map(str::to_owned);
    let controls = ["controls_added", "controls_removed"].map(str::to_owned);
    let mut table = Table::of(what.into_iter().chain(sides).chain(controls));
    for one in &diff.entries {
        let row = table.row().says(one, ENTRY_CHANGE);
        row.says_as("from_", one.from.as_ref(), FACE)
            .says_as("to_", one.to.as_ref(), FACE);
    }
    for one in &diff.own_controls {
        let row = table.row().says(one, OWN_CHANGE);
        row.says_as("from_", one.from.as_ref(), FACE)
            .says_as("to_", one.to.as_ref(), FACE);
    }
    table.text()
}
