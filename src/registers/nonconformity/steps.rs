//! The steps of a nonconformity's life, as clients take them.
use crate::core::{Code, Invalid, Problem, Result};
use crate::http::OptionalComment;
use crate::http::{Api, HasComment, RequiredComment, Step, Steps, With, workflow};
use crate::records::{Deed, Record, Transition, Tx};
use crate::registers::nonconformity::Nonconformity;
use crate::registers::nonconformity::rules::{
    actions_of, ever_led, implemented, planned, verified,
};
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
            $($(#[$member_doc])* #[schema(max_length = 4000)] pub $member: Option<String>,)+
            /// Why; it stands in the history.
            #[schema(max_length = 2000)]
            pub comment: Option<String>,
        }
        impl HasComment for $name {
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
impl HasComment for Verification {
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// The life of a nonconformity. `verify` leads to verified when what was done helped; when it did
/// not, [`verified`] sends it back to analysed, and it is analysed again before it is planned.
const STEPS: &[Step<Nonconformity>] = &[
    Step::to("contain", &["open"], "contained")
        .says(
            "Contain {a}",
            "Says what was done at once (`correction`); it may be skipped with a comment that \
                says why.",
        )
        .body(&With::<Nonconformity, Containment>(contained)),
    Step::to("analyse", &["contained", "analysed"], "analysed")
        .says(
            "Analyse {a}",
            "Says why it happened and where else it is (`root_cause`, `similar_cases`), or why no \
                cause need be removed. Once what was done did not help (`analysis_due`), give a \
                new `root_cause`, or a comment that says why the old one still holds.",
        )
        .body(&With::<Nonconformity, Analysis>(analysed)),
    Step::to("plan", &["analysed"], "action_planned")
        .says(
            "Plan what is done about {a}",
            "At least one open action must have this nonconformity as its `origin_id`.",
        )
        .body(&With::<Nonconformity, OptionalComment>(|tx, record, _| {
            plan(tx, record)
        })),
    Step::to("implement", &["action_planned"], "implemented")
        .says(
            "Say that the actions of {a} are done",
            "Every action that was planned is done (or cancelled, with one done at least). A \
                person says so, no service key.",
        )
        .by(workflow::a_person)
        .body(&With::<Nonconformity, OptionalComment>(|tx, record, _| {
            record.state.implemented_by = Some(tx.caller().actor.clone());
            implemented(&actions_of(tx, record.spine.id)?)
        })),
    Step::to("verify", &["implemented"], "verified")
        .says(
            "Verify what was done about {a}",
            "By a person who implemented none of it, nor completed one of its actions. What \
                changes afterwards, it or an action of it, takes the verification away. What did \
                not help goes back to analysed, the iteration grows, and its cause has to be \
                analysed again before it is planned.",
        )
        .decides()
        .by(another)
        .body(&With::<Nonconformity, Verification>(|tx, record, said| {
            let by = tx.caller().actor.clone();
            record.spine.status = verified(&mut record.state, said.effective, by).to_owned();
            record.state.verified_at = Some(tx.now().max(record.spine.updated_at.plus_millis(1)));
            record.state.verification = said.comment;
            Ok(())
        })),
    Step::to("close", &["verified"], "closed")
        .says(
            "Close {a}",
            "What was verified is closed and stays as it is.",
        )
        .decides()
        .by(workflow::a_person)
        .body(&With::<Nonconformity, OptionalComment>(|tx, record, _| {
            let at = tx.now().max(record.spine.updated_at.plus_millis(1));
            (record.state.closed_by, record.state.closed_at) =
                (Some(tx.caller().actor.clone()), Some(at));
            Ok(())
        })),
    Step::to("return", &["contained"], "open")
        .or(&[
            (&["analysed"], "contained"),
            (&["action_planned"], "analysed"),
            (&["implemented"], "action_planned"),
            (&["verified"], "implemented"),
        ])
        .says("Send {a} one step back", "The comment says why.")
        .body(&With::<Nonconformity, RequiredComment>(|_, record, _| {
            record.state.unverified();
            Ok(())
        }))
        .commented(),
];
/// The state machine.
pub const STATES: [Transition; 11] = workflow::transitions(STEPS);

type Life<'a> = Tx<'a, Steps<Nonconformity>>;

fn contained(
    _: &mut Life<'_>,
    record: &mut Record<Nonconformity>,
    said: Containment,
) -> Result<()> {
    record.own.correction = said.correction.or(record.own.correction.take());
    given(
        record.own.correction.is_some() || said.comment.is_some(),
        "/correction",
    )
}

fn analysed(_: &mut Life<'_>, record: &mut Record<Nonconformity>, said: Analysis) -> Result<()> {
    if record.state.analysis_due && said.root_cause.is_none() && said.comment.is_none() {
        let why = "what was done did not help: give the root cause anew, or a comment that says \
            why it still holds";
        return Err(Problem::invalid_one("/root_cause", "required", why));
    }
    record.state.analysis_due = false;
    let own = &mut record.own;
    own.root_cause = said.root_cause.or(own.root_cause.take());
    own.similar_cases = said.similar_cases.or(own.similar_cases.take());
    let explained = said.comment.is_some();
    let missing = [
        (&own.root_cause, "/root_cause"),
        (&own.similar_cases, "/similar_cases"),
    ];
    let faults = missing
        .into_iter()
        .filter(|(given, _)| given.is_none() && !explained);
    let faults: Vec<_> = faults
        .map(|(_, at)| Invalid::body(at, "required", MISSING))
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(faults))
    }
}

fn plan(tx: &mut Life<'_>, record: &mut Record<Nonconformity>) -> Result<()> {
    if record.state.analysis_due {
        let detail = "What was done did not help: analyse its cause again (`analyse`), then plan.";
        let missing = Invalid::body("/root_cause", "required", "analyse the cause again");
        return Err(Problem::new(Code::NotReady, detail)
            .listing(vec![missing])
            .allowing(["analyse", "return"]));
    }
    planned(&actions_of(tx, record.spine.id)?, record.state.iteration)
}

/// Whoever did a part of it does not verify it.
fn another(tx: &mut Life<'_>, stored: &Record<Nonconformity>) -> Result<()> {
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
            "You own one of its actions. Another person has to verify it.",
        )),
        false => Ok(()),
    }
}

const MISSING: &str = "is required, or a comment that says why not";

fn given(there: bool, pointer: &str) -> Result<()> {
    if there {
        Ok(())
    } else {
        Err(Problem::invalid_one(pointer, "required", MISSING))
    }
}

/// Mounts the steps.
pub fn actions(api: &mut Api<'_>) {
    workflow::mount(api, STEPS);
}
