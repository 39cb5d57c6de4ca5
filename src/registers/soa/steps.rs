//! How a statement is frozen and decided on (ISO/IEC 27001:2022 6.1.3 d, 7.5.3): it has to be
//! ready, or say for ever what it lacks; another person than who froze it approves it.
use crate::core::{Code, Id, Invalid, Problem, Result, catalogue, json, packed};
use crate::http::HasComment;
use crate::http::OptionalComment;
use crate::http::{Answer, Approve, Guard, Input, Permission, RecordId, Return, Submit, Withdraw};
use crate::records::{
    Body, Covers, Deed, IfMatch, Record, Resource, Selector, Tx, record::members,
};
use crate::registers::framework::catalogue_list as shelf;
use crate::registers::methodology::in_force::InForce;
use crate::registers::scope::Scope;
use crate::registers::soa::compute::compute;
use crate::registers::soa::statement::{Lack, SoaEntry, StatementOfApplicability};
use crate::registers::soa::statements;
use crate::registers::soa::version as soa_version;
use crate::registers::soa::version::{Frozen, SoaIncomplete, SoaVersion};
use crate::registers::soa::versions::{SoaVersionShown, numbered, place};
use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What is to be frozen.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "The cloud services are decided after their review.",
    "allow_incomplete": true}))]
pub struct SoaFreeze {
    /// The framework; ISO/IEC 27001:2022 when absent.
    #[schema(min_length = 1, max_length = 64)]
    pub framework: Option<String>,
    /// Why; required with `allow_incomplete`.
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
    /// Freeze it though requirements are undecided, unjustified or contradicted? The version shows
    /// for ever that it is so, and the comment.
    #[serde(default, deserialize_with = "crate::core::text::or_default")]
    pub allow_incomplete: bool,
}

async fn freeze(
    guard: Guard<Submit<SoaVersion>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, known, said) = (
        at.of(&Scope::KIND)?,
        known.for_decision().or_any(),
        input.clone().read::<SoaFreeze>(),
    );
    guard
        .write(&input, move |tx| {
            let scope: Record<Scope> = tx.reader().load(&selector, false)?;
            known.check(scope.spine.version)?;
            tx.person()?;
            soa_version::whole(tx.caller())?;
            let said = said?;
            let slug = said.framework.as_deref().unwrap_or(catalogue::ISO_27001);
            let framework = shelf::framework(&mut tx.reader(), slug).map_err(|problem| {
                if !problem.is(Code::NotFound) {
                    return problem;
                }
                let said = problem.said();
                Problem::invalid_one("/framework", "unknown_reference", said.detail)
                    .allowing(said.allowed)
            })?;
            let comment = said.comment.clone().filter(|text| !text.trim().is_empty());
            if said.allow_incomplete && comment.is_none() {
                return Err(Problem::invalid_one(
                    "/comment",
                    "required",
                    "say why you freeze it incomplete",
                ));
            }
            tx.because(said.comment);
            let number = soa_version::of_scope(&mut tx.reader(), scope.spine.id)?
                .first()
                .map_or(1, |newest| newest.number + 1);
            let statement = compute(&mut tx.reader(), scope.spine.id, &framework)?;
            let incomplete = ready(&statement, said.allow_incomplete, comment)?;
            let methodology = InForce::read(&mut tx.reader())?
                .of(&[scope.spine.id])
                .cloned();
            let summary = statement.summary.clone();
            let statement = serde_json::to_value(statement).map_err(Problem::internal)?;
            let canonical = json::canonical(&statements::nameless(statement.clone()))?;
            let sha256 = packed::digest(&canonical);
            statements::keep(tx, &sha256, &canonical)?;
            let frozen = Frozen {
                number,
                position: tx.position() + 1,
                scope_revision: scope.state.revision_in_force,
                methodology_id: methodology.as_ref().map(|record| record.spine.id),
                methodology_revision: methodology.and_then(|record| record.state.revision_in_force),
                sha256,
                summary,
                incomplete,
                ..Frozen::default()
            };
            let name = format!("Statement of applicability {number}");
            let mut draft: Map<String, Value> = members(&SoaVersion {
                framework: slug.to_owned(),
            })?;
            draft.extend([
                ("name".to_owned(), json!(name)),
                ("scope_ids".to_owned(), json!([scope.spine.id])),
            ]);
            let draft = tx.draft(Body::<SoaVersion>::held(None, draft))?;
            let made = tx.create_as(Id::new(), draft, frozen, SoaVersion::KIND.initial)?;
            let all = soa_version::of_scope(&mut tx.reader(), scope.spine.id)?;
            let shown = SoaVersionShown::of(made.get().clone(), &all, Some(statement))?;
            let location = Some(format!(
                "/v1/scopes/{}/soa-versions/{number}",
                scope.spine.id
            ));
            let answer = Answer {
                status: StatusCode::CREATED,
                location,
                ..shown.answer()?
            };
            Ok(made.map(|_| answer))
        })
        .await
}

/// Requirements that are named at most when a statement is not ready.
const NAMED: usize = 200;

/// Pure: what a statement that is frozen incomplete lacks; null where it is complete. 409 when it
/// may not be so.
fn ready(
    statement: &StatementOfApplicability,
    allowed: bool,
    comment: Option<String>,
) -> Result<Option<SoaIncomplete>> {
    let lacking: Vec<(&SoaEntry, Lack)> = statement
        .entries
        .iter()
        .filter_map(|entry| Some((entry, entry.lacks?)))
        .collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    let of = |lack: Lack| lacking.iter().filter(|(_, found)| *found == lack).count() as i64;
    let (undecided, unjustified) = (of(Lack::Undecided), of(Lack::Unjustified));
    let contradicted = of(Lack::Contradicted);
    if let (true, Some(comment)) = (allowed, comment) {
        return Ok(Some(SoaIncomplete {
            comment,
            undecided,
            unjustified,
            contradicted,
        }));
    }
    let fault = |(entry, lack): &(&SoaEntry, Lack)| {
        let name = &entry.requirement;
        let codes: Vec<&str> = entry
            .contradicted_by
            .iter()
            .take(5)
            .map(|control| control.code.as_str())
            .collect();
        let detail = match lack {
            Lack::Undecided => format!("{name} is undecided: decide whether it applies"),
            Lack::Unjustified => {
                format!("{name} applies without a reason: give a justification or a reason")
            }
            Lack::Contradicted => format!(
                "{name} is excluded, but implemented or relied on: {}",
                codes.join(", ")
            ),
        };
        Invalid::body(
            format!("/{}", name.replace('~', "~0").replace('/', "~1")),
            <&str>::from(*lack),
            detail,
        )
    };
    let more = lacking.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" {more} more are not named here.")
    } else {
        String::new()
    };
    let detail = format!(
        "{} requirements are not ready: {undecided} undecided, {unjustified} without a reason, \
            {contradicted} excluded though controls or risks \
         speak against it. Decide them, or send `allow_incomplete` with a comment.{more}",
        lacking.len()
    );
    let names = lacking
        .iter()
        .take(100)
        .map(|(entry, _)| entry.requirement.as_str());
    Err(Problem::new(Code::NotReady, detail)
        .listing(lacking.iter().take(NAMED).map(fault).collect())
        .needed_by(names))
}

/// A transition of a frozen statement: checked in the order of every other.
async fn step<P: Permission + Covers<SoaVersion>>(
    guard: Guard<P>,
    (at, known, input): (RecordId, IfMatch, Input),
    verb: &'static str,
    may: impl FnOnce(&mut Tx<'_, P>, &Record<SoaVersion>) -> Result<()> + Send + 'static,
    change: impl FnOnce(&mut Tx<'_, P>, &mut Record<SoaVersion>) + Send + 'static,
) -> Result<Answer> {
    let (selector, number) = place(&at)?;
    let known = match SoaVersion::KIND.decides(verb) {
        true => known.for_decision(),
        false => known,
    };
    let said = input.clone().read::<OptionalComment>();
    guard
        .write(&input, move |tx| {
            let scope = tx.reader().row::<Scope>(&selector, false)?.id;
            let id = numbered(&mut tx.reader(), scope, number)?.0.spine.id;
            let stored = tx.load::<SoaVersion>(&Selector::Id(id), &known)?;
            may(tx, &stored)?;
            let said = said?;
            let mut record = stored.clone();
            tx.step(&mut record, verb, said.comment())?;
            change(tx, &mut record);
            let saved = tx.save(&stored, record, verb)?;
            let all = soa_version::of_scope(&mut tx.reader(), scope)?;
            let shown = SoaVersionShown::whole(&mut tx.reader(), saved.get().clone(), &all)?;
            let answer = shown.answer()?;
            Ok(saved.map(|_| answer))
        })
        .await
}

async fn approve(
    guard: Guard<Approve<SoaVersion>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let another = |tx: &mut Tx<'_, _>, stored: &Record<SoaVersion>| {
        tx.another_than(&[Deed {
            by: &stored.spine.created_by,
            record: stored.spine.id,
            action: "create",
            what: "froze it",
        }])
    };
    let approved = |tx: &mut Tx<'_, _>, record: &mut Record<SoaVersion>| {
        record.state.approved_at = Some(tx.now());
        record.state.approved_by = Some(tx.caller().actor.clone());
    };
    step(guard, (at, known, input), "approve", another, approved).await
}

/// Returns or withdraws it; a person returns it.
async fn end<P: Permission + Covers<SoaVersion>>(
    guard: Guard<P>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let may = |tx: &mut Tx<'_, P>, _: &Record<SoaVersion>| match P::ACTION {
        "return" => tx.person().map(drop),
        _ => Ok(()),
    };
    step(guard, (at, known, input), P::ACTION, may, |_, _| ()).await
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/scopes/{id}/soa-versions", freeze)
        .id("createSoaVersion")
        .says(
            "Freeze the statement of applicability of a scope",
            "The present statement becomes \
            the next version, and waits for the approval of another person. It never changes. \
            Every requirement has to be decided, included ones need a reason, and no implemented \
            control or risk may speak against an excluded one: otherwise 409 `not_ready`, which \
            names them. `allow_incomplete` with a comment freezes it all the same; the version \
            shows that for ever. `If-Match` may name the version of the scope that was read.",
        )
        .tag("soa-versions")
        .shared("IfMatchMaybe")
        .retried()
        .refuses(&[428])
        .body::<SoaFreeze>()
        .optional()
        .makes::<SoaVersionShown>("The version.");
    api.post("/v1/scopes/{id}/soa-versions/{n}/approve", approve)
        .id("approveSoaVersion")
        .says(
            "Approve a frozen statement of applicability",
            "Puts it in force. Whoever froze it cannot approve it: persons are compared, not \
                credentials. Of a version that was frozen incomplete, `incomplete` says what is \
                approved without.",
        )
        .tag("soa-versions")
        .versioned("DecidedOn")
        .body::<OptionalComment>()
        .optional()
        .answers::<SoaVersionShown>("The version.");
    api.post(
        "/v1/scopes/{id}/soa-versions/{n}/return",
        end::<Return<SoaVersion>>,
    )
    .id("returnSoaVersion")
    .says(
        "Return a frozen statement of applicability",
        "It is not approved, and the comment \
            says why; a better one is frozen anew.",
    )
    .tag("soa-versions")
    .versioned("IfMatch")
    .body::<OptionalComment>()
    .optional()
    .answers::<SoaVersionShown>("The version.");
    api.post(
        "/v1/scopes/{id}/soa-versions/{n}/withdraw",
        end::<Withdraw<SoaVersion>>,
    )
    .id("withdrawSoaVersion")
    .says(
        "Withdraw a frozen statement of applicability",
        "Takes it back before it was \
            approved; the comment says why.",
    )
    .tag("soa-versions")
    .versioned("IfMatch")
    .body::<OptionalComment>()
    .optional()
    .answers::<SoaVersionShown>("The version.");
}
