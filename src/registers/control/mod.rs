//! Controls (ISO/IEC 27001:2022 6.1.3 b, Annex A): what is really done. Implementation is said,
//! operation is computed from evidence.
pub mod became;
pub mod body;
pub mod calendar;
pub mod currency;
pub mod in_force;
pub mod occurrence;
pub mod proof;
pub mod proven;

pub use body::{Control, ControlType, Frequency, Implementation, Nature, Responsibility};

use crate::core::{Id, Invalid, Problem, Result};
use crate::db::{own::Test, schema::controls, schema::controls as c};
use crate::records::ask::ListContext;
use crate::records::{
    By, Condition, Kind, Limit, NoState, PERIOD, Reader, Record, Relation, Resource, Row, SCOPED,
};
use crate::registers::control::currency::ages;
use crate::registers::control::proof::{EvidenceStatus, Operation, operation};
use crate::registers::control::proven::proofs;
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::proving::{FAILING, Operates, Sight};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::{PartialSchema, ToSchema};

impl Resource for Control {
    const KIND: Kind = Kind {
        name: "control",
        searched: &["description", "objective"],
        addressed: true,
        path: "controls",
        code: "CTL",
        about: "Controls: what is done against risks (6.1.3, Annex A).",
        relations: &[Relation::new("asset_ids", "asset")],
        cites: true,
        limited_by: &[
            SCOPED,
            (Limit::Frameworks, By::Citations),
            (Limit::Controls, By::Itself),
            (
                Limit::Sources,
                By::ReadOnly("evidence is read with the name of its controls"),
            ),
            PERIOD,
        ],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = NoState;
    fn example() -> Value {
        json!({"name": "Access reviews", "description": "Each quarter the owners confirm who may \
            use their systems.", "objective": "Nobody has access without need.",
            "control_types": ["detective"], "nature": "manual", "frequency": "quarterly",
                "implementation": "implemented", "implemented_on": "2026-01-15",
            "responsibility": "own", "requirements": ["iso-27001-2022:A.5.18"]})
    }
    fn faults(&self) -> Vec<Invalid> {
        let early = self.implemented_on.is_some()
            && matches!(
                self.implementation,
                Implementation::NotStarted | Implementation::Planned
            );
        Vec::from_iter(early.then(|| {
            Invalid::body(
                "/implemented_on",
                "state",
                "is only allowed if the control is implemented",
            )
        }))
    }
    fn checked(record: &Record<Self>, _: Option<&Record<Self>>, today: NaiveDate) -> Result<()> {
        let stage = record.own.implementation;
        let done = matches!(stage, Implementation::Implemented | Implementation::Retired);
        match record.own.implemented_on {
            Some(day) if done && day > today => {
                let fault =
                    "is in the future; an implemented control was implemented today or earlier";
                Err(Problem::invalid_one(
                    "/implemented_on",
                    "in_the_future",
                    fault,
                ))
            }
            _ => Ok(()),
        }
    }
    fn requirements(&self) -> &[String] {
        &self.requirements
    }
    fn computed(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
        let (said, proven) = (standing(reader, rows)?, proofs(reader, &ids)?);
        let text = |row: &Row| {
            let proofs = proven.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let word = said
                .get(&row.id)
                .map_or(Operation::Unproven, |(stage, responsibility)| {
                    operation(
                        *stage == Implementation::Implemented,
                        *responsibility,
                        proofs,
                    )
                });
            let operation = <&'static str>::from(word);
            let evidence = serde_json::to_string(&EvidenceStatus::of(proofs.iter()))
                .map_err(Problem::internal)?;
            Ok(format!(
                "\"evidence\":{evidence},\"operation\":\"{operation}\""
            ))
        };
        rows.iter().map(text).collect()
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![
            (
                "evidence",
                json!({"$ref": "#/components/schemas/EvidenceStatus"}),
            ),
            (
                "operation",
                json!({"$ref": "#/components/schemas/Operation"}),
            ),
        ]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((EvidenceStatus::name().into(), EvidenceStatus::schema()));
        to.push((Operation::name().into(), Operation::schema()));
        to.push((EvidenceOutcome::name().into(), EvidenceOutcome::schema()));
    }
}

/// How far these versions are, and who does them.
fn standing(
    reader: &mut Reader<'_>,
    rows: &[Row],
) -> Result<BTreeMap<Id, (Implementation, Responsibility)>> {
    let (ids, versions): (Vec<Id>, Vec<i32>) = rows.iter().map(|row| (row.id, row.version)).unzip();
    let own = c::table
        .filter(c::tenant_id.eq(reader.tenant()))
        .filter(c::id.eq_any(ids))
        .filter(c::version.eq_any(versions));
    let said = (c::implementation, c::responsibility);
    let mut found: Vec<((Id, i32), (Implementation, Responsibility))> = own
        .select(((c::id, c::version), said))
        .load(reader.conn())?;
    found.retain(|(key, _)| rows.iter().any(|row| (row.id, row.version) == *key));
    Ok(found
        .into_iter()
        .map(|((id, _), said)| (id, said))
        .collect())
}

crate::columns! {
    controls of Control as control {
        implementation,
        implemented_on,
        frequency,
        nature,
        responsibility,
        preventive = control.own.is(ControlType::Preventive),
        detective = control.own.is(ControlType::Detective),
        corrective = control.own.is(ControlType::Corrective),
    }
    /// What a list of controls can be filtered by.
    pub struct ControlFilter {
        /// Any of these types.
        #[param(max_items = 3)]
        control_type: Vec<ControlType> => row(typed),
        /// By people or by machines.
        #[param(max_items = 2)]
        nature: Vec<Nature> => any(nature),
        /// Any of these frequencies.
        #[param(max_items = 10)]
        frequency: Vec<Frequency> => any(frequency),
        /// Any of these stages.
        #[param(max_items = 10)]
        implementation: Vec<Implementation> => any(implementation),
        /// Any of these responsibilities.
        #[param(max_items = 3)]
        responsibility: Vec<Responsibility> => any(responsibility),
        /// Operating, stale, unproven or failing.
        #[param(max_items = 4)]
        operation: Vec<Operation> => with(operating),
        /// Implemented on this day or later.
        implemented_on_since: Option<NaiveDate> => since(implemented_on),
        /// Implemented before this day.
        implemented_on_before: Option<NaiveDate> => before(implemented_on),
    }
}

fn typed(types: &[ControlType]) -> Vec<Test> {
    let one = |control_type: &ControlType| -> Test {
        match control_type {
            ControlType::Preventive => Box::new(c::preventive.eq(true)),
            ControlType::Detective => Box::new(c::detective.eq(true)),
            ControlType::Corrective => Box::new(c::corrective.eq(true)),
        }
    };
    types.iter().map(one).collect()
}

fn operating(words: &[Operation], then: &ListContext) -> Option<Condition> {
    if words.is_empty() {
        return None;
    }
    let rank = |word: &Operation| match word {
        Operation::Unproven => 0,
        Operation::Stale => 1,
        Operation::Operating => 2,
        Operation::Failing => FAILING,
    };
    Some(Box::new(Operates {
        seq: then.seq,
        ranks: words.iter().map(rank).collect(),
        ages: ages(then),
        sight: Sight::of(&then.caller),
    }))
}
