//! Threats: what may happen (ISO/IEC 27005): the built-in elementary threats, read only, and the
//! organization's own.
pub mod attack;

use crate::core::{Code, Invalid, Problem, Result, VersionKey, catalogue};
use crate::db::{Conn, dialect::inside, schema::threats as t, schema::versions as v};
use crate::records::ask::Moments;
use crate::records::{
    By, Condition, Kind, Limit, Part, Record, Resource, SCOPED, Stored, sight, unasked,
};
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// Where a threat comes from.
    pub enum Origin { Deliberate, Accidental, Environmental }
}
crate::vocabulary! {
    /// On which side of the organization's borders.
    pub enum Position { Internal, External }
}

/// What clients say about a threat.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Threat {
    /// What may happen, and how.
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// On which side of the borders.
    pub position: Option<Position>,
    /// MITRE ATT&CK techniques and their sub-techniques, such as `T1566` and `T1566.001`.
    #[serde(default)]
    #[schema(max_items = 50, max_length = 12, pattern = "^T[0-9]{4}(\\.[0-9]{3})?$")]
    pub attack_ids: Vec<String>,
}

/// What the server says about a threat.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ThreatState {
    /// Is it one of the built-in ones?
    pub built_in: bool,
}

/// What a list of threats can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ThreatFilter {
    /// Any of these origins.
    #[param(max_items = 10)]
    pub origin: Vec<Origin>,
    /// Any of these positions.
    #[param(max_items = 10)]
    pub position: Vec<Position>,
    /// The built-in ones, or the organization's own.
    #[param(max_items = 2)]
    pub built_in: Vec<bool>,
    /// Any of these MITRE ATT&CK techniques; a technique finds its sub-techniques, too.
    #[param(max_items = 50, max_length = 12)]
    pub attack_id: Vec<String>,
}

impl Resource for Threat {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "threat",
        path: "threats",
        code: "THR",
        about: "Threats: what may happen (ISO/IEC 27005).",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("threats concern the whole ISMS, whatever the framework"),
            ),
            (
                Limit::Period,
                By::ReadOnly("a period limits evidence alone"),
            ),
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = ThreatState;
    fn example() -> Value {
        json!({"name": "Phishing of accounts", "description": "Messages that ask for passwords.",
            "origin": "deliberate", "position": "external", "attack_ids": ["T1566"]})
    }
    fn faults(&self) -> Vec<Invalid> {
        let unknown = |(_, id): &(usize, &String)| catalogue::technique(id).is_none();
        let fault = |(n, _)| {
            Invalid::body(
                format!("/attack_ids/{n}"),
                "unknown_reference",
                "unknown technique",
            )
        };
        self.attack_ids
            .iter()
            .enumerate()
            .filter(unknown)
            .map(fault)
            .collect()
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        if record.state.built_in {
            Err(Problem::new(
                Code::ReadOnly,
                "Built-in threats cannot be changed: they are the same for everyone.",
            ))
        } else {
            Ok(())
        }
    }
}

impl Stored for Threat {
    type Filter = ThreatFilter;
    fn insert(
        (tenant, id, version): VersionKey,
        record: &Record<Self>,
        conn: &mut Conn,
    ) -> QueryResult<usize> {
        let (own, key) = (
            &record.own,
            (
                t::tenant_id.eq(tenant),
                t::id.eq(id),
                t::version.eq(version),
            ),
        );
        // Each with its technique, between line ends, so that either finds it.
        let found = own.attack_ids.iter().flat_map(|id| {
            [
                Some(id.as_str()),
                id.split_once('.').map(|(technique, _)| technique),
            ]
        });
        let attack_ids: String = found.flatten().map(|id| format!("\n{id}\n")).collect();
        let told = (
            t::origin.eq(own.origin),
            t::position.eq(own.position),
            t::attack_ids.eq(attack_ids),
        );
        let row = (key, told, t::built_in.eq(record.state.built_in));
        diesel::insert_into(t::table).values(row).execute(conn)
    }
    fn matching(filter: &ThreatFilter, _: &Moments) -> Condition {
        let own = t::table.filter(
            t::tenant_id
                .eq(v::tenant_id)
                .and(t::id.eq(v::id))
                .and(t::version.eq(v::version)),
        );
        let own = own.filter(
            t::origin
                .eq_any(filter.origin.clone())
                .or(unasked(&filter.origin)),
        );
        let own = own.filter(
            t::position
                .eq_any(filter.position.clone())
                .or(unasked(&filter.position)),
        );
        let own: Condition = Box::new(exists(
            own.filter(
                t::built_in
                    .eq_any(filter.built_in.clone())
                    .or(unasked(&filter.built_in)),
            ),
        ));
        let uses = |id: &String| -> Condition {
            let row = t::table.filter(
                t::tenant_id
                    .eq(v::tenant_id)
                    .and(t::id.eq(v::id))
                    .and(t::version.eq(v::version)),
            );
            Box::new(exists(
                row.filter(
                    t::attack_ids
                        .like(inside(&format!("\n{id}\n")))
                        .escape('\\'),
                ),
            ))
        };
        match filter
            .attack_id
            .iter()
            .map(uses)
            .reduce(|a, b| Box::new(a.or(b)))
        {
            Some(any) => sight::both(own, any),
            None => own,
        }
    }
}
