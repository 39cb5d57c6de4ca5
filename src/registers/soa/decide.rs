//! How applicability is decided (ISO/IEC 27001:2022 6.1.3 d): one requirement, or several at once.
use crate::core::{Id, Invalid, Problem, Result};
use crate::http::{Answer, At, Change, Guard, Input};
use crate::ledger::Recorded;
use crate::records::{About, Known, Resource, Selector, Tx, about};
use crate::registers::framework::catalogue_list::Shelf;
use crate::registers::scope::Scope;
use crate::registers::soa::applicability::{
    Applicability, Decision, Decisions, Reason, decided, known, opposed, scope_of, shown,
};
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use utoipa::ToSchema;
use validator::Validate;

/// What a client decides.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"applicable": false, "justification": "No premises of its own."}))]
pub struct ApplicabilityInput {
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not; needed where it does not apply.
    #[schema(max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[serde(default, deserialize_with = "crate::core::text::or_default")]
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
}
/// What does not apply needs a justification.
fn unjustified(applicable: bool, justification: Option<&str>, at: &str) -> Option<Invalid> {
    let silent = !applicable && justification.is_none_or(|text| text.trim().is_empty());
    silent.then(|| {
        Invalid::body(
            format!("{at}/justification"),
            "required",
            "an exclusion requires a justification",
        )
    })
}

/// Several decisions at once.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.7.4", "applicable": false,
    "justification": "No premises of its own."}]}))]
pub struct ApplicabilityBatch {
    /// Up to 1,000; all are made, or none.
    #[validate(nested)]
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<ApplicabilityItem>,
}
/// One decision of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicabilityItem {
    /// The requirement.
    #[schema(min_length = 1, max_length = 120)]
    pub requirement: String,
    /// The version that was read; when sent, it has to match.
    #[schema(minimum = 0)]
    pub if_match: Option<i32>,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not; needed where it does not apply.
    #[schema(max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[serde(default, deserialize_with = "crate::core::text::or_default")]
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
}

impl About for ApplicabilityItem {
    fn requirement(&self) -> &str {
        &self.requirement
    }
    fn if_match(&self) -> Option<i32> {
        self.if_match
    }
    fn faults(&self, at: &str) -> Vec<Invalid> {
        Vec::from_iter(unjustified(
            self.applicable,
            self.justification.as_deref(),
            at,
        ))
    }
}

async fn put(
    guard: Guard<Change<Applicability>>,
    path: Path<(String, String)>,
    known_version: Known,
    input: Input,
) -> Result<Answer> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, &Scope::KIND).ok_or_else(Problem::not_found)?;
    let said = input.read::<ApplicabilityInput>();
    guard
        .effect(&[], move |tx| {
            known(&mut tx.reader(), &requirement)?;
            let scope = scope_of(&mut tx.reader(), &selector)?;
            let stored = decided(&mut tx.reader(), scope, Some(&requirement))?.remove(&requirement);
            known_version.check(stored.as_ref().map_or(0, |(_, decision)| decision.version))?;
            let said = said?;
            if let Some(fault) = unjustified(said.applicable, said.justification.as_deref(), "") {
                return Err(Problem::invalid(vec![fault]));
            }
            let ApplicabilityInput {
                applicable,
                justification,
                reasons,
            } = said;
            let own = Applicability {
                requirement,
                applicable,
                justification,
                reasons,
            };
            let made = decide(tx, scope, stored.map(|(id, _)| id), own)?;
            let mut decision = made.get().clone();
            opposed(&mut tx.reader(), scope, [&mut decision])?;
            made.try_map(|_| decision.answer())
        })
        .await
}

async fn batch(guard: Guard<Change<Applicability>>, at: At, input: Input) -> Result<Answer> {
    let (selector, said) = (
        at.of(&Scope::KIND)?,
        input.clone().read::<ApplicabilityBatch>(),
    );
    guard
        .write(&input, move |tx| {
            let scope = scope_of(&mut tx.reader(), &selector)?;
            let said = said?;
            let stored = decided(&mut tx.reader(), scope, None)?;
            let shelf = Shelf::open(&mut tx.reader())?;
            let asked = |id: &str| {
                shelf
                    .requirement(id)
                    .is_some_and(|(framework, _, found)| framework.decides(found))
            };
            let version = |id: &str| stored.get(id).map_or(0, |(_, decision)| decision.version);
            let faults = about::faults(tx.caller(), &said.items, asked, version);
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let made = tx.say_all(&said.items, |tx, item| {
                let ApplicabilityItem {
                    requirement,
                    applicable,
                    justification,
                    reasons,
                    ..
                } = item.clone();
                let before = stored.get(&requirement).map(|(id, _)| *id);
                decide(
                    tx,
                    scope,
                    before,
                    Applicability {
                        requirement,
                        applicable,
                        justification,
                        reasons,
                    },
                )
            })?;
            let mut data = made.get().clone();
            opposed(&mut tx.reader(), scope, &mut data)?;
            made.try_map(|_| Answer::of(&Decisions { data }))
        })
        .await
}

/// Stores one decision.
fn decide(
    tx: &mut Tx<'_, Change<Applicability>>,
    scope: Id,
    stored: Option<Id>,
    mut own: Applicability,
) -> Result<Recorded<Decision>> {
    own.reasons.sort_by_key(|reason| *reason as u8);
    own.reasons.dedup();
    let requirement = own.requirement.clone();
    let beside = Map::from_iter([("scope_ids".to_owned(), json!([scope]))]);
    Ok(tx
        .say(stored, &requirement, own, beside)?
        .map(|record| shown(&record, scope)))
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.put("/v1/scopes/{id}/applicability/{requirement}", put)
        .id("putApplicability")
        .says(
            "Decide whether a requirement applies to a scope",
            "Replaces the decision. The \
            first one is made with `If-Match: \"0\"` or `*`.",
        )
        .tag("applicability")
        .versioned("IfMatch")
        .body::<ApplicabilityInput>()
        .answers::<Decision>("The decision.");
    api.post("/v1/scopes/{id}/applicability/batch", batch)
        .id("batchApplicability")
        .says(
            "Decide for several requirements of a scope",
            "All decisions are made, or none; \
            each is one entry of the ledger.",
        )
        .tag("applicability")
        .retried()
        .body::<ApplicabilityBatch>()
        .answers::<Decisions>("The decisions, in the same order.");
}
