//! The statement of applicability, and the difference between two, as tables.
use crate::core::{Problem, Result};
use crate::http::format;
use crate::registers::control::proof::Support;
use crate::registers::soa::diff::{SoaDiff, SoaFace};
use crate::registers::soa::{ControlRef, SoaIncomplete, SoaReason, StatementOfApplicability};

/// Rows of text as a table.
fn table<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<String> {
    let bytes = format::table(
        [format::texts(header)]
            .into_iter()
            .chain(rows.map(format::texts)),
    )?;
    String::from_utf8(bytes).map_err(Problem::internal)
}
fn codes(controls: &[ControlRef]) -> String {
    controls
        .iter()
        .map(|control| control.code.as_str())
        .collect::<Vec<_>>()
        .join(";")
}
fn words(reasons: &[SoaReason]) -> String {
    reasons
        .iter()
        .map(<&str>::from)
        .collect::<Vec<_>>()
        .join(";")
}
fn word<T: Into<&'static str>>(word: Option<T>) -> String {
    word.map(Into::into).unwrap_or_default().to_owned()
}
fn evidence(evidence: &Support) -> [String; 5] {
    let latest = evidence
        .latest_collected_at
        .map(|at| at.to_string())
        .unwrap_or_default();
    let counts = [evidence.current, evidence.expired, evidence.failed].map(|n| n.to_string());
    let [current, expired, failed] = counts;
    [
        current,
        expired,
        latest,
        failed,
        word(evidence.latest_outcome),
    ]
}

/// A row for each entry, with the members of the JSON as columns; then one for each control outside
/// the framework, without a requirement; and a last one where a statement was frozen incomplete,
/// with the comment that says why.
pub fn as_csv(
    statement: &StatementOfApplicability,
    incomplete: Option<&SoaIncomplete>,
) -> Result<String> {
    let header = [
        "requirement",
        "title",
        "theme",
        "applicable",
        "decided",
        "decided_at",
        "decided_by",
        "lacks",
        "justification",
        "reasons",
        "justification_missing",
        "contradicted_by",
        "implementation",
        "operation",
        "controls",
        "control_count",
        "risk_codes",
        "risk_count",
        "treatment_codes",
        "treatment_count",
        "evidence_current",
        "evidence_expired",
        "evidence_latest_collected_at",
        "evidence_failed",
        "evidence_latest_outcome",
    ];
    let entries = statement.entries.iter().map(|entry| {
        let [current, expired, latest, failed, outcome] = evidence(&entry.evidence);
        [
            entry.requirement.clone(),
            entry.title.clone(),
            entry.theme.clone().unwrap_or_default(),
            entry.applicable.to_string(),
            entry.decided.to_string(),
            entry
                .decided_at
                .map(|at| at.to_string())
                .unwrap_or_default(),
            entry
                .decided_by
                .as_ref()
                .map(|by| by.name.clone())
                .unwrap_or_default(),
            word(entry.lacks),
            entry.justification.clone().unwrap_or_default(),
            words(&entry.reasons),
            entry.justification_missing.to_string(),
            codes(&entry.contradicted_by),
            word(entry.implementation),
            word(entry.operation),
            codes(&entry.controls),
            entry.control_count.to_string(),
            entry.risk_codes.join(";"),
            entry.risk_count.to_string(),
            entry.treatment_codes.join(";"),
            entry.treatment_count.to_string(),
            current,
            expired,
            latest,
            failed,
            outcome,
        ]
    });
    let own = statement.own_controls.iter().map(|control| {
        let [current, expired, latest, failed, outcome] = evidence(&control.evidence);
        [
            String::new(),
            control.name.clone(),
            String::new(),
            true.to_string(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            words(&control.reasons),
            String::new(),
            String::new(),
            word(Some(control.implementation)),
            word(Some(control.operation)),
            control.code.clone(),
            "1".to_owned(),
            control.risk_codes.join(";"),
            control.risk_count.to_string(),
            control.treatment_codes.join(";"),
            control.treatment_count.to_string(),
            current,
            expired,
            latest,
            failed,
            outcome,
        ]
    });
    let note = incomplete.map(|incomplete| {
        let SoaIncomplete {
            comment,
            undecided,
            unjustified,
            contradicted,
        } = incomplete;
        let mut row = std::array::from_fn(|_| String::new());
        let said = [
            format!(
                "Frozen incomplete: {undecided} undecided, {unjustified} unjustified, \
                {contradicted} contradicted"
            ),
            "incomplete".to_owned(),
            comment.clone(),
        ];
        for (name, text) in ["title", "lacks", "justification"].into_iter().zip(said) {
            let cell = header
                .iter()
                .position(|column| *column == name)
                .and_then(|at| row.get_mut(at));
            cell.into_iter().for_each(|cell| cell.clone_from(&text));
        }
        row
    });
    table(header, entries.chain(own).chain(note))
}

/// A row for each requirement and control that differs.
pub fn diff_as_csv(diff: &SoaDiff) -> Result<String> {
    let header = [
        "requirement",
        "control",
        "title",
        "changed",
        "from_applicable",
        "to_applicable",
        "from_decided",
        "to_decided",
        "from_justification",
        "to_justification",
        "from_reasons",
        "to_reasons",
        "from_implementation",
        "to_implementation",
        "from_operation",
        "to_operation",
        "controls_added",
        "controls_removed",
    ];
    let row =
        |what: [String; 4], from: Option<&SoaFace>, to: Option<&SoaFace>, controls: [String; 2]| {
            let sides = |of: &dyn Fn(&SoaFace) -> String| {
                [
                    from.map(of).unwrap_or_default(),
                    to.map(of).unwrap_or_default(),
                ]
            };
            let [requirement, control, title, changed] = what;
            let [from_applicable, to_applicable] = sides(&|face| face.applicable.to_string());
            let [from_decided, to_decided] = sides(&|face| {
                face.decided
                    .map(|decided| decided.to_string())
                    .unwrap_or_default()
            });
            let [from_justification, to_justification] =
                sides(&|face| face.justification.clone().unwrap_or_default());
            let [from_reasons, to_reasons] = sides(&|face| words(&face.reasons));
            let [from_implementation, to_implementation] = sides(&|face| word(face.implementation));
            let [from_operation, to_operation] = sides(&|face| word(face.operation));
            let [added, removed] = controls;
            [
                requirement,
                control,
                title,
                changed,
                from_applicable,
                to_applicable,
                from_decided,
                to_decided,
                from_justification,
                to_justification,
                from_reasons,
                to_reasons,
                from_implementation,
                to_implementation,
                from_operation,
                to_operation,
                added,
                removed,
            ]
        };
    let entries = diff.entries.iter().map(|one| {
        let what = [
            one.requirement.clone(),
            String::new(),
            one.title.clone(),
            one.changed.join(";"),
        ];
        row(
            what,
            one.from.as_ref(),
            one.to.as_ref(),
            [codes(&one.controls_added), codes(&one.controls_removed)],
        )
    });
    let own = diff.own_controls.iter().map(|one| {
        let what = [
            String::new(),
            one.control.code.clone(),
            one.control.name.clone(),
            one.changed.join(";"),
        ];
        row(
            what,
            one.from.as_ref(),
            one.to.as_ref(),
            [String::new(), String::new()],
        )
    });
    table(header, entries.chain(own))
}
