//! The filters of one register: which there are, how long their values may be, and what is wrong
//! with them.
use crate::core::{Invalid, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::IntoParams;
use utoipa::openapi::path::Parameter;

/// The filters that there are, and how many characters their values may have, as they are
/// documented; looked up once for each type.
pub(super) fn longest<F: IntoParams + 'static>() -> Arc<BTreeMap<String, usize>> {
    static KNOWN: Mutex<BTreeMap<TypeId, Arc<BTreeMap<String, usize>>>> =
        Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = |parameter: Parameter| {
        let schema = serde_json::to_value(parameter.schema).unwrap_or_default();
        let most = schema
            .get("maxLength")
            .or(schema.pointer("/items/maxLength"))
            .and_then(Value::as_u64);
        (
            parameter.name,
            most.and_then(|most| usize::try_from(most).ok())
                .unwrap_or(usize::MAX),
        )
    };
    let limits = || Arc::new(F::into_params(|| None).into_iter().map(limit).collect());
    known
        .entry(TypeId::of::<F>())
        .or_insert_with(limits)
        .clone()
}

pub(super) fn filters<F: DeserializeOwned>(own: &[(String, String)]) -> Result<F, Invalid> {
    let text = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(own)
        .finish();
    let read = serde_path_to_error::deserialize(serde_html_form::Deserializer::new(
        form_urlencoded::parse(text.as_bytes()),
    ));
    read.map_err(|e| {
        let (path, words) = (e.path().to_string(), e.inner().to_string());
        let unknown = words
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split('`').next());
        let place = unknown.or_else(|| {
            path.split(['[', '.'])
                .next()
                .filter(|place| !place.is_empty())
        });
        let place = place
            .or_else(|| own.first().map(|(name, _)| name.as_str()))
            .unwrap_or_default();
        match unknown {
            Some(_) => Invalid::query(place, "unknown_parameter", "unknown parameter"),
            None => Invalid::query(place, "invalid_parameter", words.clone()),
        }
    })
}
/// The first parameter that has more values than `most`.
pub fn too_often(asked: &[(String, String)], most: usize) -> Option<Invalid> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    asked
        .iter()
        .for_each(|(name, _)| *counts.entry(name).or_default() += 1);
    let name = counts.into_iter().find(|(_, count)| *count > most)?.0;
    Some(Invalid::query(
        name,
        "invalid_parameter",
        format!("at most {most} values are allowed"),
    ))
}
