//! Actions: one task list for corrective actions, improvements and all else that someone has to do
//! (ISO/IEC 27001:2022 10.1, 10.2).
use crate::access::Actor;
use crate::core::Result;
use crate::http::{Api, HasComment, Step, With, workflow};
use crate::records::{
    By, Kind, Limit, PERIOD, Part, Record, Relation, Resource, SCOPED, Transition, Writing,
};
use crate::registers::nonconformity::unverify;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use validator::Validate;

/// What clients say about an action.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What is to be done.
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// How far it is, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<i32>,
    /// What came of it.
    #[schema(max_length = 4000)]
    pub result: Option<String>,
}

/// What the server says about an action.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ActionCourse {
    /// Who completed it, whoever owns it by now.
    #[schema(required)]
    pub completed_by: Option<Actor>,
}

const STEPS: &[Step<Action>] = &[
    Step::to("start", &["open"], "in_progress").says("Start {a}", "Someone has begun."),
    Step::to("complete", &["open", "in_progress"], "done")
        .says(
            "Complete {a}",
            "It is done; a result says what came of it. Whoever completes an action of a \
                nonconformity cannot verify that nonconformity.",
        )
        .body(&With::<Action, Completion>(|tx, record, said| {
            record.state.completed_by = Some(tx.caller().actor.clone());
            (record.own.result, record.own.progress) = (Some(said.result), Some(100));
            Ok(())
        })),
    Step::to("cancel", &["open", "in_progress"], "cancelled")
        .says("Cancel {a}", "It will not be done; the comment says why.")
        .because(),
];
const STATES: [Transition; 3] = workflow::transitions(STEPS);

impl Resource for Action {
    const KIND: Kind = Kind {
        part: Part::Act,
        name: "action",
        path: "actions",
        code: "ACT",
        about: "Actions: what someone has to do by when (10.1, 10.2).",
        initial: "open",
        transitions: &STATES,
        done: &["done", "cancelled"],
        relations: &[Relation::new("origin_id", "")],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("actions belong to the whole ISMS, whatever the framework"),
            ),
            PERIOD,
        ],
        ..Kind::PLAIN
    };
    type State = ActionCourse;
    fn example() -> Value {
        json!({"name": "Withdraw access of leavers within a day", "description": "Connect the \
            directory with the personnel system.", "due_on": "2027-01-31", "progress": 20})
    }
    fn followed(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
    ) -> Result<()> {
        let origins = [before, Some(after)]
            .into_iter()
            .flatten()
            .filter_map(|record| record.links.one("origin_id"));
        unverify(tx, &origins.collect::<BTreeSet<_>>())
    }
}

crate::columns! {
    table actions of Action {
        progress: Nullable<Integer>,
    }
}

/// What came of an action.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"result": "The directory is connected; access ends with the contract."}))]
pub struct Completion {
    /// What came of it.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 4000)]
    pub result: String,
    /// Why; it stands in the history.
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}

impl HasComment for Completion {
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// Mounts what is particular to actions.
pub fn actions(api: &mut Api<'_>) {
    workflow::mount(api, STEPS);
}
