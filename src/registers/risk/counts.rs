//! What `include=counts` says of risks (ISO/IEC 27001:2022 9.1): how many at which current level,
//! and what they ask for.
use crate::core::{Id, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{risks as r, versions as v};
use crate::records::{Again, Reader};
use crate::registers::methodology::in_force::InForce;
use crate::registers::risk::{Evaluation, evaluation};
use crate::registers::treatment::standing;
use diesel::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use strum::VariantNames;

/// The counts of these risks; levels and evaluations that none has are 0.
pub fn of(reader: &mut Reader<'_>, records: Again<'_>) -> Result<Map<String, Value>> {
    let wanted: BTreeSet<Id> = v::table
        .filter(records(reader)?)
        .select(v::id)
        .load(reader.conn())?
        .into_iter()
        .collect();
    let own = r::table.inner_join(same_version!(v, r));
    let own = own
        .filter(v::tenant_id.eq(reader.tenant()).and(v::kind.eq("risk")))
        .filter(at(reader.moment.seq));
    let mut rows: Vec<(Id, Option<String>, Option<bool>)> = own
        .select((r::id, r::current_level, r::current_acceptable))
        .load(reader.conn())?;
    rows.retain(|row| wanted.contains(&row.0));
    let above: Vec<Id> = rows
        .iter()
        .filter(|row| row.2 == Some(false))
        .map(|row| row.0)
        .collect();
    let standing = standing::of_risks(reader, &above)?;
    let mut by_level = InForce::seen(reader)?.levels(None);
    let mut by_evaluation: BTreeMap<&str, i64> =
        Evaluation::VARIANTS.iter().map(|word| (*word, 0)).collect();
    let mut not_assessed = 0;
    for (id, level, acceptable) in rows {
        let word: &str =
            evaluation(acceptable, standing.get(&id).copied().unwrap_or_default()).into();
        *by_evaluation.entry(word).or_default() += 1;
        match level {
            Some(level) => *by_level.entry(level).or_default() += 1,
            None => not_assessed += 1,
        }
    }
    let all =
        json!({"by_level": by_level, "not_assessed": not_assessed, "by_evaluation": by_evaluation});
    Ok(all.as_object().cloned().unwrap_or_default())
}

/// Their schemas.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let number = json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX});
    let by = |what: &str| {
        json!({"type": "object", "description": what, "maxProperties": 1000,
        "additionalProperties": number})
    };
    vec![
        (
            "by_level",
            by("By current level; 0 where a level of a methodology in force has none."),
        ),
        (
            "not_assessed",
            json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX,
                "description": "Without a current score."}),
        ),
        ("by_evaluation", by("By what the current level asks for.")),
    ]
}
