//! People: who owns, does, approves and learns (ISO/IEC 27001:2022 5.3, 7.2). A person may have a
//! login; most have none.
use crate::core::{Result, VersionKey};
use crate::db::{Conn, schema::people as p, schema::versions as v};
use crate::records::accounts::Written;
use crate::records::ask::Moments;
use crate::records::{
    By, Condition, Kind, Limit, Part, Record, Relation, Resource, SCOPED, Stateless, Stored,
    Writing, unasked, unasked_flag,
};
use chrono::NaiveDate;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// How someone works for the organization.
    pub enum WorkerKind { Employee, Contractor, Temporary, External }
}

/// What clients say about a person.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Where mail reaches them.
    #[schema(max_length = 254, format = "email")]
    pub email: Option<String>,
    /// What they do.
    #[schema(max_length = 200)]
    pub job_title: Option<String>,
    /// Where they do it.
    #[schema(max_length = 200)]
    pub department: Option<String>,
    /// How they work for the organization.
    pub worker_kind: Option<WorkerKind>,
    /// Their first day.
    pub starts_on: Option<NaiveDate>,
    /// Their last day.
    pub ends_on: Option<NaiveDate>,
}

/// What a list of people can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PersonFilter {
    /// Any of these kinds of work.
    #[param(max_items = 10)]
    pub worker_kind: Vec<WorkerKind>,
    /// Began on this day or later.
    pub starts_on_since: Option<NaiveDate>,
    /// Began before this day.
    pub starts_on_before: Option<NaiveDate>,
    /// Ends on this day or later.
    pub ends_on_since: Option<NaiveDate>,
    /// Ends before this day.
    pub ends_on_before: Option<NaiveDate>,
}

impl Resource for Person {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "person",
        path: "people",
        code: "PER",
        about: "People who own, do, approve and learn (5.3, 7.2).",
        relations: &[Relation::acyclic("manager_id", "person")],
        personal: &["name", "email", "job_title"],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("a record is read with the name of who answers for it"),
            ),
            (
                Limit::Controls,
                By::ReadOnly("a record is read with the name of who answers for it"),
            ),
            (
                Limit::Sources,
                By::ReadOnly("a record is read with the name of who answers for it"),
            ),
            (
                Limit::Period,
                By::ReadOnly("a record is read with the name of who answers for it"),
            ),
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = Stateless;
    fn example() -> Value {
        json!({"name": "Head of operations", "email": "operations@example.org",
            "job_title": "Head of operations", "department": "Operations",
            "worker_kind": "employee", "starts_on": "2024-02-01"})
    }
    fn faults(&self) -> Vec<crate::core::Invalid> {
        let backwards = self
            .starts_on
            .zip(self.ends_on)
            .is_some_and(|(starts, ends)| ends < starts);
        backwards
            .then(|| crate::core::Invalid::body("/ends_on", "order", "is before starts_on"))
            .into_iter()
            .collect()
    }
    /// A last day is one for the person's accounts, too; whoever comes back logs in anew.
    fn followed(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
    ) -> Result<()> {
        match before {
            Some(before) if before.own.ends_on != after.own.ends_on => {
                let mut written = Written::of(tx);
                if before.own.ends_on.is_some() {
                    written.end_sessions_of(after.spine.id)?;
                }
                written.administered()
            }
            _ => Ok(()),
        }
    }
}

impl Stored for Person {
    type Filter = PersonFilter;
    fn insert(
        (tenant, id, version): VersionKey,
        record: &Record<Self>,
        conn: &mut Conn,
    ) -> QueryResult<usize> {
        let own = &record.own;
        let row = (
            (
                p::tenant_id.eq(tenant),
                p::id.eq(id),
                p::version.eq(version),
                p::email.eq(&own.email),
            ),
            (
                p::worker_kind.eq(own.worker_kind),
                p::starts_on.eq(own.starts_on),
                p::ends_on.eq(own.ends_on),
            ),
        );
        diesel::insert_into(p::table).values(row).execute(conn)
    }
    fn matching(filter: &PersonFilter, _: &Moments) -> Condition {
        let own = p::table.filter(
            p::tenant_id
                .eq(v::tenant_id)
                .and(p::id.eq(v::id))
                .and(p::version.eq(v::version)),
        );
        let own = own.filter(
            p::worker_kind
                .eq_any(filter.worker_kind.clone())
                .or(unasked(&filter.worker_kind)),
        );
        let own = own.filter(
            p::starts_on
                .ge(filter.starts_on_since)
                .or(unasked_flag(&filter.starts_on_since)),
        );
        let own = own.filter(
            p::starts_on
                .lt(filter.starts_on_before)
                .or(unasked_flag(&filter.starts_on_before)),
        );
        let own = own.filter(
            p::ends_on
                .ge(filter.ends_on_since)
                .or(unasked_flag(&filter.ends_on_since)),
        );
        Box::new(exists(
            own.filter(
                p::ends_on
                    .lt(filter.ends_on_before)
                    .or(unasked_flag(&filter.ends_on_before)),
            ),
        ))
    }
}
