//! What of the document is reached from where, and what is not reached at all.
use super::example::SCHEMAS;
use serde_json::Value;
use std::collections::BTreeSet;

/// The schemas that one comes to from the places of the document which `from` picks.
pub fn reached(document: &Value, from: &mut dyn FnMut(&str) -> bool) -> BTreeSet<String> {
    fn roots(at: &str, value: &Value, from: &mut dyn FnMut(&str) -> bool, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                let target = members
                    .get("$ref")
                    .and_then(Value::as_str)
                    .filter(|_| from(&format!("{at}/")));
                found.extend(target.map(str::to_owned));
                members
                    .iter()
                    .for_each(|(name, inner)| roots(&format!("{at}/{name}"), inner, from, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| roots(at, inner, from, found)),
            _ => {}
        }
    }
    let (mut open, mut seen) = (Vec::new(), BTreeSet::new());
    document
        .get("paths")
        .into_iter()
        .for_each(|paths| roots("", paths, from, &mut open));
    while let Some(target) = open.pop() {
        if seen.insert(target.clone()) {
            let part = target
                .strip_prefix('#')
                .and_then(|pointer| document.pointer(pointer));
            part.into_iter()
                .for_each(|part| roots("", part, &mut |_| true, &mut open));
        }
    }
    seen.iter()
        .filter_map(|target| target.strip_prefix(SCHEMAS))
        .map(str::to_owned)
        .collect()
}

/// Takes out components that nothing refers to; tells whether there were any.
pub(super) fn prune(document: &mut Value) -> bool {
    fn refs(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members.values().for_each(|inner| refs(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| refs(inner, found)),
            _ => {}
        }
    }
    let (mut found, mut pruned) = (BTreeSet::new(), false);
    refs(document, &mut found);
    for group in ["schemas", "responses", "parameters", "headers"] {
        if let Some(all) = document
            .pointer_mut(&format!("/components/{group}"))
            .and_then(Value::as_object_mut)
        {
            let before = all.len();
            all.retain(|name, _| found.contains(&format!("#/components/{group}/{name}")));
            pruned |= all.len() < before;
        }
    }
    pruned
}
