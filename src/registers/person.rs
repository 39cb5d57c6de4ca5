//! People: who owns, does, approves and learns (ISO/IEC 27001:2022 5.3, 7.2). A person may have a
//! login; most have none.
use crate::access::policy::PERSON;
use crate::core::{Invalid, Result};
use crate::db::schema::people;
use crate::records::accounts::Written;
use crate::records::limit::read_only;
use crate::records::{By, Kind, NoState, Part, Record, Relation, Resource, Writing};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
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

impl Resource for Person {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: PERSON,
        path: "people",
        code: "PER",
        about: "People who own, do, approve and learn (5.3, 7.2).",
        relations: &[Relation::acyclic("manager_id", PERSON)],
        personal: &["name", "email", "job_title"],
        limited_by: &read_only(
            By::Scopes,
            "a record is read with the name of who answers for it",
        ),
        searched: &["email"],
        remembered: true,
        counted: false,
        ..Kind::PLAIN
    };
    type State = NoState;
    fn example() -> Value {
        json!({"name": "Head of operations", "email": "operations@example.org",
            "job_title": "Head of operations", "department": "Operations",
            "worker_kind": "employee", "starts_on": "2024-02-01"})
    }
    fn faults(&self) -> Vec<Invalid> {
        let days = (("starts_on", self.starts_on), ("ends_on", self.ends_on));
        Vec::from_iter(Invalid::backwards(days.0, days.1))
    }
    fn followed(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
    ) -> Result<()> {
        match before {
            None => Ok(()),
            Some(before) => {
                let days = (before.own.ends_on, after.own.ends_on);
                Written::of(tx).last_day_moved(after.spine.id, days)
            }
        }
    }
}

crate::columns! {
    people of Person {
        email,
        worker_kind,
        starts_on,
        ends_on,
    }
    /// What a list of people can be filtered by.
    pub struct PersonFilter {
        /// Any of these kinds of work.
        #[param(max_items = 10)]
        worker_kind: Vec<WorkerKind> => any(worker_kind),
        /// Began on this day or later.
        starts_on_since: Option<NaiveDate> => since(starts_on),
        /// Began before this day.
        starts_on_before: Option<NaiveDate> => before(starts_on),
        /// Ends on this day or later.
        ends_on_since: Option<NaiveDate> => since(ends_on),
        /// Ends before this day.
        ends_on_before: Option<NaiveDate> => before(ends_on),
    }
}
