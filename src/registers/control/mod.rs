//! Controls (ISO/IEC 27001:2022 6.1.3 b, Annex A): what is really done. Implementation is said,
//! operation is computed from evidence.
pub mod calendar;
pub mod occurrence;
pub mod proof;

use crate::core::{Id, Invalid, Problem, Result, VersionKey};
use crate::db::{Conn, schema::controls as c, schema::versions as v};
use crate::records::ask::Moments;
use crate::records::{
    By, Condition, Kind, Limit, Reader, Record, Relation, Resource, Row, SCOPED, Stateless, Stored,
    sight, unasked, unasked_flag,
};
use crate::registers::control::proof::{Operation, Support, ages, operation, proofs};
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::proving::{FAILING, Operates, Sight};
use chrono::NaiveDate;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::{IntoParams, PartialSchema, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// When a control works: before, during or after.
    pub enum ControlType { Preventive, Detective, Corrective }
}
crate::vocabulary! {
    /// By people or by machines.
    pub enum Nature { Manual, Automated }
}
crate::vocabulary! {
    /// How often it is done.
    pub enum Frequency { Continuous, Daily, Weekly, Monthly, Quarterly, HalfYearly, Yearly,
        PerEvent }
}
crate::vocabulary! {
    /// How far it is.
    pub enum Implementation { NotStarted, Planned, InProgress, Implemented, Retired }
}
crate::vocabulary! {
    /// Who does it.
    pub enum Responsibility { Own, Shared, Provider }
}

/// What clients say about a control.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// What is really done.
    #[schema(max_length = 10000)]
    pub description: Option<String>,
    /// What it is for.
    #[schema(max_length = 4000)]
    pub objective: Option<String>,
    /// When it works.
    #[serde(default)]
    #[schema(max_items = 3)]
    pub control_types: Vec<ControlType>,
    /// By people or by machines.
    pub nature: Option<Nature>,
    /// How often it is done.
    pub frequency: Option<Frequency>,
    /// How far it is.
    #[serde(default = "not_started")]
    pub implementation: Implementation,
    /// Since when it is implemented.
    pub implemented_on: Option<NaiveDate>,
    /// Who does it.
    #[serde(default = "own")]
    pub responsibility: Responsibility,
    /// Who provides it, where it is shared or provided.
    #[schema(max_length = 200)]
    pub provider: Option<String>,
    /// What remains for the organization to do then.
    #[schema(max_length = 4000)]
    pub customer_part: Option<String>,
    /// The requirements that it meets.
    #[serde(default)]
    #[schema(max_items = 200, max_length = 120)]
    pub requirements: Vec<String>,
}
fn not_started() -> Implementation {
    Implementation::NotStarted
}
fn own() -> Responsibility {
    Responsibility::Own
}

/// What a list of controls can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ControlFilter {
    /// Any of these types.
    #[param(max_items = 3)]
    pub control_type: Vec<ControlType>,
    /// By people or by machines.
    #[param(max_items = 2)]
    pub nature: Vec<Nature>,
    /// Any of these frequencies.
    #[param(max_items = 10)]
    pub frequency: Vec<Frequency>,
    /// Any of these stages.
    #[param(max_items = 10)]
    pub implementation: Vec<Implementation>,
    /// Any of these responsibilities.
    #[param(max_items = 3)]
    pub responsibility: Vec<Responsibility>,
    /// Operating, stale, unproven or failing.
    #[param(max_items = 4)]
    pub operation: Vec<Operation>,
    /// Implemented on this day or later.
    pub implemented_on_since: Option<NaiveDate>,
    /// Implemented before this day.
    pub implemented_on_before: Option<NaiveDate>,
}

impl Resource for Control {
    const KIND: Kind = Kind {
        name: "control",
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
            (
                Limit::Period,
                By::ReadOnly("a period limits evidence alone"),
            ),
        ],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = Stateless;
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
        early
            .then(|| {
                Invalid::body(
                    "/implemented_on",
                    "state",
                    "is only allowed if the control is implemented",
                )
            })
            .into_iter()
            .collect()
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
            let evidence =
                serde_json::to_string(&Support::of(proofs.iter())).map_err(Problem::internal)?;
            Ok(format!(
                "\"evidence\":{evidence},\"operation\":\"{operation}\""
            ))
        };
        rows.iter().map(text).collect()
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![
            ("evidence", json!({"$ref": "#/components/schemas/Support"})),
            (
                "operation",
                json!({"$ref": "#/components/schemas/Operation"}),
            ),
        ]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((Support::name().into(), Support::schema()));
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
    type Found = (Id, i32, Implementation, Responsibility);
    let found: Vec<Found> = own
        .select((c::id, c::version, c::implementation, c::responsibility))
        .load(reader.conn())?;
    let fits = |(id, version, ..): &Found| {
        rows.iter()
            .any(|row| row.id == *id && row.version == *version)
    };
    Ok(found
        .into_iter()
        .filter(fits)
        .map(|(id, _, stage, responsibility)| (id, (stage, responsibility)))
        .collect())
}

impl Stored for Control {
    type Filter = ControlFilter;
    fn insert(
        (tenant, id, version): VersionKey,
        record: &Record<Self>,
        conn: &mut Conn,
    ) -> QueryResult<usize> {
        let own = &record.own;
        let is = |kind| own.control_types.contains(&kind);
        let row = (
            (
                c::tenant_id.eq(tenant),
                c::id.eq(id),
                c::version.eq(version),
            ),
            (
                c::implementation.eq(own.implementation),
                c::implemented_on.eq(own.implemented_on),
                c::frequency.eq(own.frequency),
            ),
            (
                c::nature.eq(own.nature),
                c::responsibility.eq(own.responsibility),
                c::preventive.eq(is(ControlType::Preventive)),
            ),
            (
                c::detective.eq(is(ControlType::Detective)),
                c::corrective.eq(is(ControlType::Corrective)),
            ),
        );
        diesel::insert_into(c::table).values(row).execute(conn)
    }
    fn matching(filter: &ControlFilter, then: &Moments) -> Condition {
        let own = c::table.filter(
            c::tenant_id
                .eq(v::tenant_id)
                .and(c::id.eq(v::id))
                .and(c::version.eq(v::version)),
        );
        let own = own.filter(
            c::nature
                .eq_any(filter.nature.clone())
                .or(unasked(&filter.nature)),
        );
        let own = own.filter(
            c::frequency
                .eq_any(filter.frequency.clone())
                .or(unasked(&filter.frequency)),
        );
        let own = own.filter(
            c::implementation
                .eq_any(filter.implementation.clone())
                .or(unasked(&filter.implementation)),
        );
        let own = own.filter(
            c::responsibility
                .eq_any(filter.responsibility.clone())
                .or(unasked(&filter.responsibility)),
        );
        let own = own.filter(
            c::implemented_on
                .ge(filter.implemented_on_since)
                .or(unasked_flag(&filter.implemented_on_since)),
        );
        let own = own.filter(
            c::implemented_on
                .lt(filter.implemented_on_before)
                .or(unasked_flag(&filter.implemented_on_before)),
        );
        let wants = |kind| filter.control_type.contains(&kind);
        let typed = c::preventive
            .eq(true)
            .and(c::preventive.eq(wants(ControlType::Preventive)));
        let typed = typed.or(c::detective
            .eq(true)
            .and(c::detective.eq(wants(ControlType::Detective))));
        let typed = typed.or(c::corrective
            .eq(true)
            .and(c::corrective.eq(wants(ControlType::Corrective))));
        let own: Condition = Box::new(exists(own.filter(typed.or(unasked(&filter.control_type)))));
        if filter.operation.is_empty() {
            return own;
        }
        let rank = |word: &Operation| match word {
            Operation::Unproven => 0,
            Operation::Stale => 1,
            Operation::Operating => 2,
            Operation::Failing => FAILING,
        };
        let ranks = filter.operation.iter().map(rank).collect();
        sight::both(
            own,
            Box::new(Operates {
                seq: then.seq,
                ranks,
                ages: ages(then),
                sight: Sight::of(&then.caller),
            }),
        )
    }
}
