//! Actions: one task list for corrective actions, improvements and all else that someone has to do
//! (ISO/IEC 27001:2022 10.1, 10.2).
use crate::access::Actor;
use crate::core::Result;
use crate::http::describe::Changed;
use crate::http::handlers::Comment;
use crate::http::{Answer, At, Because, Cancel, Complete, Guard, Input, Start, transit};
use crate::records::{
    By, Comment as Needs, Kind, Known, Limit, Part, Record, Relation, Resource, SCOPED, Transition,
    Tx, Writing,
};
use crate::registers::nonconformity::unverify;
use actix_web::post;
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
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// How far it is, in percent.
    #[validate(range(min = 0, max = 100))]
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<i32>,
    /// What came of it.
    #[validate(length(max = 4000))]
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

const STATES: &[Transition] = &[
    Transition {
        verb: "start",
        from: &["open"],
        to: "in_progress",
        comment: Needs::Optional,
    },
    Transition {
        verb: "complete",
        from: &["open", "in_progress"],
        to: "done",
        comment: Needs::Optional,
    },
    Transition {
        verb: "cancel",
        from: &["open", "in_progress"],
        to: "cancelled",
        comment: Needs::Required,
    },
];

impl Resource for Action {
    const KIND: Kind = Kind {
        part: Part::Act,
        name: "action",
        path: "actions",
        code: "ACT",
        about: "Actions: what someone has to do by when (10.1, 10.2).",
        initial: "open",
        transitions: STATES,
        done: &["done", "cancelled"],
        relations: &[Relation::new("origin_id", "")],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("actions belong to the whole ISMS, whatever the framework"),
            ),
            (
                Limit::Period,
                By::ReadOnly("a period limits evidence alone"),
            ),
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
    #[validate(length(min = 1, max = 4000), custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 4000)]
    pub result: String,
    /// Why; it stands in the history.
    #[validate(length(max = 2000))]
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}

impl transit::Said for Completion {
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// Start an action
///
/// Someone has begun.
#[utoipa::path(operation_id = "startAction", tag = "actions", security(("bearer" = [])),
    request_body = Option<Comment>, responses(Changed<Action>),
    params(("id" = String, Path, description = "The action: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/actions/{id}/start")]
pub async fn start(
    guard: Guard<Start<Action>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    transit::transit::<Action, _, Comment>(
        guard,
        (at, known, input),
        "start",
        transit::anyone,
        transit::nothing,
    )
    .await
}

/// Complete an action
///
/// It is done; a result says what came of it. Whoever completes an action of a nonconformity does
/// not verify that.
#[utoipa::path(operation_id = "completeAction", tag = "actions", security(("bearer" = [])),
    request_body = Completion, responses(Changed<Action>),
    params(("id" = String, Path, description = "The action: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/actions/{id}/complete")]
pub async fn complete(
    guard: Guard<Complete<Action>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let done = |tx: &mut Tx<'_, _>, record: &mut Record<Action>, said: Completion| {
        record.state.completed_by = Some(tx.caller().actor.clone());
        (record.own.result, record.own.progress) = (Some(said.result), Some(100));
        Ok(())
    };
    transit::transit(guard, (at, known, input), "complete", transit::anyone, done).await
}

/// Cancel an action
///
/// It will not be done; the comment says why.
#[utoipa::path(operation_id = "cancelAction", tag = "actions", security(("bearer" = [])),
    request_body = Because, responses(Changed<Action>),
    params(("id" = String, Path, description = "The action: its id or its code.", max_length = 64),
        crate::http::document::Conditional))]
#[post("/v1/actions/{id}/cancel")]
pub async fn cancel(
    guard: Guard<Cancel<Action>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    transit::transit::<Action, _, Because>(
        guard,
        (at, known, input),
        "cancel",
        transit::anyone,
        transit::nothing,
    )
    .await
}

/// Mounts what is particular to actions.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.service(start);
    api.service(complete);
    api.service(cancel);
}
