//! What every query is held to before anything of it is read: a bounded number of parameters, and
//! none that the operation does not document.
use crate::core::{Code, Problem, Result};
use crate::records::query::stranger;
use actix_web::HttpRequest;
use actix_web::web::Data;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Parameters of one query.
pub const MOST: usize = 200;

/// The parameters of each operation, as its document has them.
pub type Parameters = BTreeMap<(String, String), BTreeSet<String>>;

/// From the paths of an OpenAPI document. A list takes `format` besides: then it answers as its
/// export is documented.
pub fn parameters(document: &Value) -> Parameters {
    let resolved = |part: &'_ Value| match part.get("$ref").and_then(Value::as_str) {
        Some(target) => document
            .pointer(target.trim_start_matches('#'))
            .cloned()
            .unwrap_or_default(),
        None => part.clone(),
    };
    let mut all = Parameters::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let given = operation
                .get("parameters")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(resolved);
            let queries = given.filter(|one| one.get("in").is_some_and(|place| place == "query"));
            let mut names: BTreeSet<String> = queries
                .filter_map(|one| one.get("name").and_then(Value::as_str).map(str::to_owned))
                .collect();
            if method == "get"
                && paths.is_some_and(|paths| paths.contains_key(&format!("{path}/export")))
            {
                names.insert("format".into());
            }
            all.insert((method.to_uppercase(), path.clone()), names);
        }
    }
    all
}

/// 400 for more parameters than any operation has a use for; before anything else is done for the
/// request.
pub fn few(query: &str) -> Result<()> {
    let count = query.split('&').filter(|part| !part.is_empty()).count();
    let much = || {
        Problem::new(
            Code::InvalidParameter,
            format!(
                "A query may have at most {MOST} parameters; this one has {count}. Send fewer, or \
                    several requests."
            ),
        )
    };
    if count <= MOST { Ok(()) } else { Err(much()) }
}

/// 400 for parameters that the operation does not document, whatever its handler would do with
/// them.
pub fn known(request: &HttpRequest) -> Result<()> {
    if request.query_string().is_empty() {
        return Ok(());
    }
    let nothing = BTreeSet::new();
    let questions = request.app_data::<Data<Parameters>>();
    let place = request
        .match_pattern()
        .map(|pattern| (request.method().to_string(), pattern));
    let known = match (questions, place) {
        (Some(questions), Some(place)) => questions.get(&place).unwrap_or(&nothing),
        _ => &nothing,
    };
    unknown(request.query_string(), |name| known.contains(name))
}

/// Every name that is not known, once each.
pub fn unknown(query: &str, known: impl Fn(&str) -> bool) -> Result<()> {
    let names: BTreeSet<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name)
        .filter(|name| !known(name))
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(Problem::parameters(
            names.into_iter().map(stranger).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_counted_as_it_is_read() {
        let many = |n: usize| vec!["a=1"; n].join("&");
        assert!(
            few(&many(MOST)).is_ok()
                && few(&format!("&&{}&&", many(MOST))).is_ok()
                && few("").is_ok()
        );
        assert!(few(&many(MOST + 1)).is_err() && few(&"a&".repeat(60_000)).is_err());
        let faults = unknown("b=1&a=2&a=3&%61=4&c", |name| name == "b")
            .err()
            .map(|problem| problem.errors().to_vec());
        let names: Vec<String> = faults
            .into_iter()
            .flatten()
            .map(|fault| fault.pointer)
            .collect();
        assert_eq!(names, ["a", "c"]);
    }
}
