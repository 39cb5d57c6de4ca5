//! The steps of a treatment's life, as clients take them. The last signature writes two records in
//! one transaction: the treatment, and on its risk what is left of it.
use crate::core::{Code, Problem, Result};
use crate::http::OptionalComment;
use crate::http::{Answer, Api, Guard, Input, Permission, RecordId, Step, Steps, With, workflow};
use crate::records::{Covers, Deed, IfMatch, Record, Resource, Selector, Transition, Tx, Writing};
use crate::registers::methodology::in_force;
use crate::registers::risk::{Risk, RiskScore};
use crate::registers::treatment::rules;
use crate::registers::treatment::{RiskTreatment, Signature, TreatmentBasis};

/// The permission to sign: it writes the treatment, and the residual score of its risk.
pub struct Sign;
impl Permission for Sign {
    const KIND: &'static str = RiskTreatment::KIND.name;
    const ACTION: &'static str = "sign";
}
impl Covers<RiskTreatment> for Sign {}
impl Covers<Risk> for Sign {}

/// The risk of a treatment.
fn risk_of(tx: &mut Writing<'_>, treatment: &Record<RiskTreatment>) -> Result<Record<Risk>> {
    let id = treatment.links.one("risk_id");
    let id = id.ok_or_else(|| Problem::internal("a treatment without a risk"))?;
    tx.reader().load::<Risk>(&Selector::Id(id), true)
}

/// What would be signed now.
fn basis(
    tx: &mut Writing<'_>,
    treatment: &Record<RiskTreatment>,
    risk: &Record<Risk>,
) -> Result<TreatmentBasis> {
    let method = in_force::of_risk(&mut tx.reader(), risk)?;
    let accepts = treatment.own.accepts();
    if accepts && treatment.own.expires_on.is_some_and(|day| day < tx.today()) {
        let words = "the acceptance would already have ended";
        return Err(Problem::invalid_one("/expires_on", "in_the_past", words));
    }
    rules::basis(
        treatment,
        risk,
        &method,
        (tx.now(), tx.caller().actor.clone()),
    )
}

/// A contributor decides on what is theirs: the treatment, or its risk.
fn decides(tx: &Writing<'_>, treatment: &Record<RiskTreatment>, risk: &Record<Risk>) -> Result<()> {
    let me = tx.caller().actor.person_id;
    let owners = [treatment.links.one("owner_id"), risk.links.one("owner_id")];
    let mine = me.is_some() && owners.contains(&me);
    match tx.caller().contributes() && !mine {
        true => Err(Problem::new(
            Code::NotAssigned,
            "Contributors can decide only on treatments of their own risks.",
        )),
        false => Ok(()),
    }
}

/// Whoever may decide on it: a contributor, on what is theirs.
fn theirs(tx: &mut Life<'_>, stored: &Record<RiskTreatment>) -> Result<()> {
    let risk = risk_of(tx, stored)?;
    decides(tx, stored, &risk)
}

/// The life of a treatment. The last signature that `sign` needs leads to approved, that of an
/// acceptance to accepted.
const STEPS: &[Step<RiskTreatment>] = &[
    Step::to("submit", &["draft"], "in_review")
        .says(
            "Put {a} before those who sign",
            "The risk has an owner and a current \
            score under the methodology in force. A mitigation has an owner and a due day, and \
            what is expected is not above the current score (409 `not_ready` names all that is \
            missing). `basis` says what is signed, and by whom. Whoever submits signs nothing of \
            it: where the level needs authority, three persons take part, the one who submits, \
            the owner, and one with authority.",
        )
        .by(workflow::a_person)
        .body(&With::<RiskTreatment, OptionalComment>(|tx, record, _| {
            let risk = risk_of(tx, record)?;
            record.state.basis = Some(basis(tx, record, &risk)?);
            record.state.submitted_by = Some(tx.caller().actor.clone());
            Ok(())
        })),
    Step::to("sign", &["in_review"], "in_review")
        .decides()
        .apart(),
    Step::to("return", &["in_review"], "draft")
        .says(
            "Return {a}",
            "Sends it back to draft, with the reason; its signatures \
            are gone.",
        )
        .by_right(theirs)
        .commented()
        .body(&With::<RiskTreatment, OptionalComment>(|_, record, _| {
            record.state = Default::default();
            Ok(())
        })),
    Step::to("start", &["approved"], "in_progress")
        .says("Start {a}", "The work has begun.")
        .body(&With::<RiskTreatment, OptionalComment>(|tx, record, _| {
            record.state.started_at = Some(tx.now());
            Ok(())
        })),
    Step::to("complete", &["in_progress"], "completed")
        .says(
            "Complete {a}",
            "A mitigation is completed when the current level of \
            its risk was assessed again since it began (409 otherwise).",
        )
        .body(&With::<RiskTreatment, OptionalComment>(|tx, record, _| {
            let risk = risk_of(tx, record)?;
            rules::completed(record, &risk)?;
            record.state.outcome = risk.state.current;
            Ok(())
        })),
    Step::to(
        "cancel",
        &["draft", "in_review", "approved", "in_progress"],
        "cancelled",
    )
    .says(
        "Cancel {a}",
        "It will not be done; the comment says why. An \
            acceptance that is in force is revoked instead.",
    )
    .commented(),
    Step::to("revoke", &["accepted"], "revoked")
        .says(
            "Revoke the acceptance of a risk",
            "It holds no more from now on; the comment says \
            why.",
        )
        .by_right(theirs)
        .commented()
        .body(&With::<RiskTreatment, OptionalComment>(|tx, record, _| {
            tx.person()?;
            record.state.revoked_at = Some(tx.now());
            Ok(())
        })),
];
/// The state machine.
pub const STATES: [Transition; 7] = workflow::transitions(STEPS);

type Life<'a> = Tx<'a, Steps<RiskTreatment>>;

async fn sign(guard: Guard<Sign>, at: RecordId, known: IfMatch, input: Input) -> Result<Answer> {
    let (selector, known) = (at.of(&RiskTreatment::KIND)?, known.for_decision());
    let said = input.clone().read::<OptionalComment>();
    guard
        .write(&input, move |tx| {
            let stored = tx.reader().load::<RiskTreatment>(&selector, false)?;
            known.check(stored.spine.version)?;
            tx.within(&stored)?;
            let (me, record) = (tx.person()?, stored.spine.id);
            let deed = |by, action, what| Deed {
                by,
                record,
                action,
                what,
            };
            let asked = stored.state.submitted_by.iter();
            let asked = asked.map(|by| deed(by, "submit", "submitted it"));
            let in_review = stored.spine.status == "in_review";
            let given = stored.state.signatures.iter().filter(|_| in_review);
            let signed = given.map(|given| deed(&given.person, "sign", "signed it"));
            tx.another_than(&asked.chain(signed).collect::<Vec<_>>())?;
            tx.another_than_editors(record)?;
            let submitted = stored.state.basis.clone().filter(|_| in_review);
            let roles = &tx.caller().roles;
            let capacity = submitted
                .as_ref()
                .map(|basis| rules::capacity(&stored.state, basis, me, roles))
                .transpose()?;
            let said = said?;
            let mut record = stored.clone();
            tx.step(&mut record, "sign", said.comment.as_deref())?;
            let (Some(submitted), Some(capacity)) = (submitted, capacity) else {
                return Err(Problem::internal("in review without a basis"));
            };
            let risk = risk_of(tx, &stored)?;
            rules::unchanged(&submitted, &basis(tx, &stored, &risk)?)?;
            let at = tx.now().max(stored.spine.updated_at.plus_millis(1));
            let person = tx.caller().actor.clone();
            record.state.signatures.push(Signature {
                person: person.clone(),
                capacity,
                at,
                version: stored.spine.version,
            });
            let approved = rules::complete(&record.state, &submitted);
            if approved {
                let accepts = record.own.accepts();
                record.spine.status = if accepts { "accepted" } else { "approved" }.to_owned();
                record.state.approved_at = Some(at);
                record.state.approved_seq = Some(tx.position() + 1);
            }
            let saved = tx.save(&stored, record, "sign")?;
            if approved {
                let mut treated = risk.clone();
                treated.state.residual = Some(RiskScore {
                    assessed_at: at,
                    assessed_by: person,
                    ..submitted.score
                });
                let _risk = tx.save(&risk, treated, "treat")?;
            }
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

/// Mounts the steps.
pub fn actions(api: &mut Api<'_>) {
    super::plan::mount(api);
    workflow::mount(api, STEPS);
    api.post("/v1/risk-treatments/{id}/sign", sign)
        .id("signRiskTreatment")
        .says(
            "Sign a risk treatment",
            "As the owner of the risk, or with authority for its \
            level, where `basis.authority` asks for it: two different persons, and neither is one \
            who wrote or submitted it, whatever their keys. The last signature makes an \
            acceptance `accepted`, any other treatment `approved`, and writes the residual score \
            of the risk.",
        )
        .decides::<RiskTreatment>()
        .body::<OptionalComment>()
        .optional();
}
