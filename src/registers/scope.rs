//! Scope of the ISMS (ISO/IEC 27001:2022 4.3): what it covers, where its borders are, and what it
//! leaves out, each with a justification. Several scopes may stand side by side.
use crate::access::policy::SCOPE;
use crate::core::{Id, Result};
use crate::http::{Api, Step, workflow};
use crate::records::named::RecordRef;
use crate::records::{By, Kind, Limit, Part, Reader, Record, Resource, Transition};
use crate::registers::revision;
use crate::registers::revision::Revised;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What clients say about a scope.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// What the ISMS covers, in one statement.
    #[schema(min_length = 1, max_length = 10000)]
    pub statement: String,
    /// Parts of the organization.
    #[serde(default)]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub business_units: Vec<String>,
    /// What is done there.
    #[serde(default)]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub processes: Vec<String>,
    /// Where.
    #[serde(default)]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub locations: Vec<String>,
    /// With which systems.
    #[serde(default)]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub systems: Vec<String>,
    /// On which cloud services it relies.
    #[serde(default)]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub cloud_services: Vec<String>,
    /// Interfaces and dependencies with what lies outside.
    #[serde(default)]
    #[schema(max_items = 200, min_length = 1, max_length = 500)]
    pub interfaces: Vec<String>,
    /// What is left out, and why.
    #[serde(default)]
    #[validate(nested)]
    #[schema(max_items = 200)]
    pub exclusions: Vec<Exclusion>,
    /// The frameworks that it answers to.
    #[serde(default)]
    #[schema(max_items = 50, max_length = 64)]
    pub frameworks: Vec<String>,
}

/// Something that is left out of the scope.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// What.
    #[schema(min_length = 1, max_length = 500)]
    pub item: String,
    /// Why it may be.
    #[schema(min_length = 1, max_length = 4000)]
    pub justification: String,
}

/// A scope in a query.
pub type ScopeRef = RecordRef<Scope>;

impl Resource for Scope {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: SCOPE,
        searched: &["statement"],
        path: "scopes",
        code: "SCO",
        about: "Scopes of the ISMS (4.3).",
        initial: "draft",
        limited_by: &[
            (Limit::Scopes, By::Itself),
            (
                Limit::Frameworks,
                By::ReadOnly(
                    "a statement of applicability is of a scope; other frameworks that it names \
                        are left out",
                ),
            ),
            (
                Limit::Controls,
                By::ReadOnly("controls and evidence are read with the name of their scope"),
            ),
            (
                Limit::Sources,
                By::ReadOnly("evidence is read with the name of its scope"),
            ),
            (
                Limit::Period,
                By::ReadOnly("evidence is read with the name of its scope"),
            ),
        ],
        transitions: &STATES,
        done: &["retired"],
        reviewed: true,
        ..Kind::PLAIN
    };
    type State = Revised;
    fn example() -> Value {
        json!({"name": "Online shop", "statement": "Development and operation of the online \
            shop.", "business_units": ["Engineering"], "locations": ["Frankfurt"],
            "exclusions": [{"item": "Warehouse", "justification": "No information of the shop is \
                processed there."}], "frameworks": ["iso-27001-2022"]})
    }
    fn frameworks(&self) -> Vec<(String, &str)> {
        self.frameworks
            .iter()
            .enumerate()
            .map(|(n, slug)| (format!("/frameworks/{n}"), slug.as_str()))
            .collect()
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        revision::changeable(record)
    }
    fn archivable(record: &Record<Self>, _: chrono::NaiveDate) -> Result<()> {
        revision::archivable(record)
    }
}

crate::columns! {
    table scopes of Scope as scope {
        revision: Integer = scope.state.revision,
        revision_in_force: Nullable<Integer> = scope.state.revision_in_force,
    }
    /// What a list of scopes can be filtered by.
    pub struct ScopeFilter {
        /// With a revision in force, or without.
        #[param(max_items = 2)]
        in_force: Vec<bool> => set(revision_in_force),
    }
}

const STEPS: &[Step<Scope>] = &[
    revision::submit(),
    revision::approve(),
    revision::return_to_draft(),
    revision::revise(),
    revision::retire(),
];
const STATES: [Transition; 5] = workflow::transitions(STEPS);

/// Mounts what is particular to scopes.
pub fn actions(api: &mut Api<'_>) {
    revision::mount(api, STEPS);
}

/// The scope that a view is cut to, as `scope_id` names it; none where nothing was asked.
#[derive(Debug)]
pub struct Cut(pub Option<ScopeRef>);

impl Cut {
    /// 404 where the caller sees no such scope.
    pub fn scope(&self, reader: &mut Reader<'_>) -> Result<Option<Id>> {
        self.0.as_ref().map(|scope| scope.id(reader)).transpose()
    }
}
