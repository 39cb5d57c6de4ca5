//! The steps of a nonconformity's life, as clients take them.
use crate::core::{Code, Invalid, Problem, Result};
use crate::http::describe::Changed;
use crate::http::handlers::Comment;
use crate::http::{
    Analyse, Answer, At, Because, Close, Contain, Guard, Implement, Input, Plan, Return, Verify,
    transit,
};
use crate::records::{Deed, Known, Record, Tx};
use crate::registers::nonconformity::Nonconformity;
use crate::registers::nonconformity::rules::{
    actions_of, ever_led, implemented, planned, verified,
};
use actix_web::post;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

/// The bodies of the steps; each member may stand in the record already.
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident),+ })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Deserialize, Validate, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$member_doc])* #[validate(length(max =
                4000))] #[schema(max_length = 4000)] pub $member: Option<String>,)+
            /// Why; it stands in the history.
            #[schema(max_length = 2000)]
            pub comment: Option<String>,
        }
        impl transit::Said for $name {
            fn comment(&self) -> Option<&str> { self.comment.as_deref() }
        }
    )+ };
}
steps! {
    /// What was done at once; or, in the comment, why nothing had to be.
    Containment {
        /// What was done at once.
        correction
    }
    /// Why it happened and where else it is; or, in the comment, why no cause need be removed.
    Analysis {
        /// Why it happened.
        root_cause,
        /// Where else it is, or may be.
        similar_cases
    }
}

/// Whether what was done helped.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"effective": true, "comment": "Ten leavers checked, none had access."}))]
pub struct Verification {
    /// Did it help? If not, the nonconformity goes back to its analysis.
    pub effective: bool,
    /// What was looked at.
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}
impl transit::Said for Verification {
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// Contain a nonconformity
///
/// Says what was done at once (`correction`); it may be skipped with a comment that says why.
#[utoipa::path(operation_id = "containNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Containment, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/contain")]
pub async fn contain(
    guard: Guard<Contain<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let change = |_: &mut Tx<'_, _>, record: &mut Record<Nonconformity>, said: Containment| {
        record.own.correction = said.correction.or(record.own.correction.take());
        given(
            record.own.correction.is_some() || said.comment.is_some(),
            "/correction",
        )
    };
    transit::transit(
        guard,
        (at, known, input),
        "contain",
        transit::anyone,
        change,
    )
    .await
}

/// Analyse a nonconformity
///
/// Says why it happened and where else it is (`root_cause`, `similar_cases`), or why no cause need
/// be removed. Once what was done did not help (`analysis_due`), a new `root_cause` is given, or a
/// comment that says why the old one still holds.
#[utoipa::path(operation_id = "analyseNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Analysis, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/analyse")]
pub async fn analyse(
    guard: Guard<Analyse<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let change = |_: &mut Tx<'_, _>, record: &mut Record<Nonconformity>, said: Analysis| {
        if record.state.analysis_due && said.root_cause.is_none() && said.comment.is_none() {
            let why = "what was done did not help: give the root cause anew, or a comment that \
                says why it still holds";
            return Err(Problem::invalid_one("/root_cause", "required", why));
        }
        record.state.analysis_due = false;
        let own = &mut record.own;
        own.root_cause = said.root_cause.or(own.root_cause.take());
        own.similar_cases = said.similar_cases.or(own.similar_cases.take());
        let explained = said.comment.is_some();
        let missing = [
            (own.root_cause.is_some(), "/root_cause"),
            (own.similar_cases.is_some(), "/similar_cases"),
        ];
        let faults = missing.iter().filter(|(there, _)| !there && !explained);
        let faults: Vec<_> = faults
            .map(|(_, at)| {
                crate::core::Invalid::body(
                    *at,
                    "required",
                    "is needed, or a comment that says why not",
                )
            })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(faults))
        }
    };
    transit::transit(
        guard,
        (at, known, input),
        "analyse",
        transit::anyone,
        change,
    )
    .await
}

/// Plan what is done about a nonconformity
///
/// At least one action whose `origin_id` is this nonconformity has to stand.
#[utoipa::path(operation_id = "planNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/plan")]
pub async fn plan(
    guard: Guard<Plan<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let change =
        |tx: &mut Tx<'_, Plan<Nonconformity>>, record: &mut Record<Nonconformity>, _: Comment| {
            if record.state.analysis_due {
                let detail =
                    "What was done did not help: analyse its cause again (`analyse`), then plan.";
                let missing = Invalid::body("/root_cause", "required", "analyse the cause again");
                return Err(Problem::new(Code::NotReady, detail)
                    .listing(vec![missing])
                    .allowing(["analyse", "return"]));
            }
            planned(&actions_of(tx, record.spine.id)?, record.state.iteration)
        };
    transit::transit(guard, (at, known, input), "plan", transit::anyone, change).await
}

/// Say that a nonconformity's actions are done
///
/// Every action that was planned is done (or cancelled, with one done at least). A person says so,
/// no service key.
#[utoipa::path(operation_id = "implementNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/implement")]
pub async fn implement(
    guard: Guard<Implement<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let change = |tx: &mut Tx<'_, Implement<Nonconformity>>,
                  record: &mut Record<Nonconformity>,
                  _: Comment| {
        record.state.implemented_by = Some(tx.caller().actor.clone());
        implemented(&actions_of(tx, record.spine.id)?)
    };
    transit::transit(
        guard,
        (at, known, input),
        "implement",
        transit::a_person,
        change,
    )
    .await
}

/// Verify what was done about a nonconformity
///
/// By a person who implemented none of it, nor completed one of its actions. What changes
/// afterwards, it or an action of it, takes the verification away. What did not help goes back to
/// analysed, the iteration grows, and its cause has to be analysed again before it is planned.
#[utoipa::path(operation_id = "verifyNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Verification, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Decided))]
#[post("/v1/nonconformities/{id}/verify")]
pub async fn verify(
    guard: Guard<Verify<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let another = |tx: &mut Tx<'_, Verify<Nonconformity>>, stored: &Record<Nonconformity>| {
        let (me, led) = (tx.person()?, ever_led(tx, stored.spine.id)?);
        let said = stored.state.implemented_by.iter();
        let said = said.map(|by| Deed {
            by,
            record: stored.spine.id,
            action: "implement",
            what: "said that it was implemented",
        });
        let done = led.iter().filter_map(|action| {
            let by = action.state.completed_by.as_ref()?;
            Some(Deed {
                by,
                record: action.spine.id,
                action: "complete",
                what: "completed one of its actions",
            })
        });
        tx.another_than(&said.chain(done).collect::<Vec<_>>())?;
        tx.another_than_editors_since(
            stored.spine.id,
            "implement",
            "changed it since it was implemented",
        )?;
        for action in led
            .iter()
            .filter(|action| action.state.completed_by.is_some())
        {
            tx.another_than_editors_since(
                action.spine.id,
                "complete",
                "changed one of its completed actions",
            )?;
        }
        match led
            .iter()
            .any(|action| action.links.one("owner_id") == Some(me))
        {
            true => Err(Problem::new(
                Code::SegregationOfDuties,
                "You own one of its actions: another person has to verify it.",
            )),
            false => Ok(()),
        }
    };
    let change = |tx: &mut Tx<'_, Verify<Nonconformity>>,
                  record: &mut Record<Nonconformity>,
                  said: Verification| {
        let by = tx.caller().actor.clone();
        record.spine.status = verified(&mut record.state, said.effective, by).to_owned();
        (record.state.verified_at, record.state.verification) = (
            Some(tx.now().max(record.spine.updated_at.plus_millis(1))),
            said.comment,
        );
        Ok(())
    };
    transit::transit(guard, (at, known, input), "verify", another, change).await
}

/// Close a nonconformity
///
/// What was verified is closed and stays as it is.
#[utoipa::path(operation_id = "closeNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Decided))]
#[post("/v1/nonconformities/{id}/close")]
pub async fn close(
    guard: Guard<Close<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let change =
        |tx: &mut Tx<'_, Close<Nonconformity>>, record: &mut Record<Nonconformity>, _: Comment| {
            let (by, at) = (
                tx.caller().actor.clone(),
                tx.now().max(record.spine.updated_at.plus_millis(1)),
            );
            (record.state.closed_by, record.state.closed_at) = (Some(by), Some(at));
            Ok(())
        };
    transit::transit(
        guard,
        (at, known, input),
        "close",
        transit::a_person,
        change,
    )
    .await
}

/// Send a nonconformity one step back
///
/// The comment says why.
#[utoipa::path(operation_id = "returnNonconformity", tag = "nonconformities",
    security(("bearer" = [])), request_body = Because, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/return")]
pub async fn return_nonconformity(
    guard: Guard<Return<Nonconformity>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let back =
        |_: &mut Tx<'_, Return<Nonconformity>>, record: &mut Record<Nonconformity>, _: Because| {
            record.state.unverified();
            Ok(())
        };
    transit::transit(guard, (at, known, input), "return", transit::anyone, back).await
}

fn given(there: bool, pointer: &str) -> Result<()> {
    if there {
        Ok(())
    } else {
        Err(Problem::invalid_one(
            pointer,
            "required",
            "is needed, or a comment that says why not",
        ))
    }
}

/// Mounts the steps.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.service(contain);
    api.service(analyse);
    api.service(plan);
    api.service(implement);
    api.service(verify);
    api.service(close);
    api.service(return_nonconformity);
}
