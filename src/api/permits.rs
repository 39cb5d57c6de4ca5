//! Which permission each operation needs, in the words of the policy: published as `x-permission`,
//! so that a client can hide what it may not do.
use serde_json::{Value, json};

/// Paths that need no register's permission, or another's than the one that they begin with; the
/// first that fits counts. `*` is one part, `**` the rest. Without an action it is `read` for GET
/// and `change` for the rest.
const APART: &[(&str, &str, &str, &str)] = &[
    ("*", "me/**", "", ""),
    ("*", "overview", "overview", "read"),
    ("*", "events", "ledger", "read"),
    ("*", "ledger/**", "ledger", "read"),
    ("delete", "frameworks/**", "framework", "archive"),
    ("*", "frameworks/**", "framework", ""),
    ("*", "attack-techniques", "threat", "read"),
    ("*", "weaknesses", "vulnerability", "read"),
    ("*", "vulnerabilities/findings", "vulnerability", "report"),
    ("*", "gap-assessments/*/answers/**", "gap_assessment", ""),
    ("*", "risk-treatment-plan", "risk_treatment", "read"),
    ("*", "risks/rescore", "risk", "rescore"),
    ("*", "risk-matrix", "risk", "read"),
    ("*", "risk-trend", "risk", "read"),
    ("get", "*/*/soa-versions/**", "soa_version", "read"),
    ("*", "*/*/soa-versions", "soa_version", "submit"),
    ("*", "*/*/soa-versions/*/*", "soa_version", "{verb}"),
    ("*", "*/*/applicability/**", "applicability", ""),
    (
        "*",
        "*/*/statement-of-applicability",
        "applicability",
        "read",
    ),
    ("*", "*/*/soa-diff", "applicability", "read"),
    ("post", "evidence", "evidence", "push"),
    ("*", "*/*/assessments", "", "assess"),
];

/// Kind and action of an operation; `None` where every good credential will do.
pub fn permission(method: &str, path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let plain = if method == "get" { "read" } else { "change" };
    let kind = || {
        super::kinds()
            .find(|kind| Some(&kind.path) == parts.first())
            .map(|kind| kind.name)
    };
    let apart = APART
        .iter()
        .find(|(of, pattern, ..)| ["*", method].contains(of) && fits(pattern, &parts));
    let (kind, action) = match apart {
        Some((_, _, "", "")) => return None,
        Some((_, _, "", _)) if method == "get" => (kind()?, "read"),
        Some((_, _, "", action)) => (kind()?, *action),
        Some((_, _, kind, "")) => (*kind, plain),
        Some((_, _, kind, "{verb}")) => (*kind, parts.last().copied()?),
        Some((_, _, kind, action)) => (*kind, *action),
        None => (kind()?, usual(method, &parts)),
    };
    Some((kind.to_owned(), action.to_owned()))
}

/// What the operations that every register has need.
fn usual<'p>(method: &str, parts: &[&'p str]) -> &'p str {
    match (method, parts.get(2).copied().unwrap_or_default()) {
        ("get", _) => "read",
        ("delete", "") | ("post", "restore") => "archive",
        (_, "" | "links") => "change",
        (_, verb) => verb,
    }
}

fn fits(pattern: &str, parts: &[&str]) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let open = pattern.last() == Some(&"**");
    let wanted = if open {
        pattern.len() - 1
    } else {
        pattern.len()
    };
    let same = |(wanted, part): (&&str, &&str)| *wanted == "*" || wanted == part;
    (parts.len() == wanted || open && parts.len() >= wanted)
        && pattern.iter().take(wanted).zip(parts).all(same)
}

/// Puts `x-permission` on every operation that needs a credential.
pub fn publish(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else {
        return;
    };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let bearer = |scheme: &Value| scheme.get("bearer").is_some();
            let asks = operation
                .get("security")
                .and_then(Value::as_array)
                .is_none_or(|all| all.iter().any(bearer));
            if let (true, Some(operation)) = (asks, operation.as_object_mut()) {
                let said = permission(method, path)
                    .map(|(kind, action)| json!({"kind": kind, "action": action}));
                operation.insert("x-permission".into(), said.unwrap_or(Value::Null));
            }
        }
    }
}
