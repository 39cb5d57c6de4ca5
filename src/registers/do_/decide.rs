//! How applicability is decided (ISO/IEC 27001:2022 6.1.3 d): one requirement, or several at once.
use super::applicability::{Applicability, Decision, Decisions, Reason, decidable, decided, known, scope_of};
use crate::core::{Id, Invalid, Problem, Result};
use crate::http::describe::{Preconditions, Rejections};
use crate::http::{Answer, At, Change, Guard, Input, input};
use crate::records::{Draft, Known, Record, Resource, Selector, Tx, read_part};
use crate::registers::plan::scope::Scope;
use actix_web::{HttpRequest, post, put, web::Path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
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
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[serde(default)]
    #[validate(length(max = 3))]
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
}
impl ApplicabilityInput {
    fn faults(&self, at: &str) -> Vec<Invalid> {
        let silent = !self.applicable && self.justification.as_deref().is_none_or(|text| text.trim().is_empty());
        silent.then(|| Invalid::body(format!("{at}/justification"), "required", "an exclusion needs a justification")).into_iter().collect()
    }
}

/// Several decisions at once.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.7.4", "applicable": false, "justification": "No premises of its own."}]}))]
pub struct ApplicabilityBatch {
    /// Up to 1,000; all are made, or none.
    #[validate(length(min = 1, max = 1000), nested)]
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<ApplicabilityItem>,
}
/// One decision of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicabilityItem {
    /// The requirement.
    #[validate(length(min = 1, max = 120))]
    #[schema(min_length = 1, max_length = 120)]
    pub requirement: String,
    /// The version that was read; when sent, it has to match.
    #[validate(range(min = 0))]
    #[schema(minimum = 0)]
    pub if_match: Option<i32>,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not; needed where it does not apply.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[serde(default)]
    #[validate(length(max = 3))]
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
}

/// Decide whether a requirement applies to a scope
///
/// Replaces the decision. The first one is made with `If-Match: "0"` or `*`.
#[utoipa::path(operation_id = "putApplicability", tag = "applicability", security(("bearer" = [])), request_body = ApplicabilityInput,
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("requirement" = String, Path, description = "The requirement.", max_length = 120, example = "iso-27001-2022:A.7.4"),
        ("If-Match" = String, Header, description = "The ETag that was read, `\"0\"` for the first decision, or `*`.", max_length = 1000),
        ("Change-Reason" = Option<String>, Header, description = "Why: percent-encoded UTF-8 of up to 2,000 characters; it stands in the history.", max_length = 24000, pattern = "^[!-~ ]*$")),
    responses((status = 200, description = "The decision.", body = Decision), Rejections, Preconditions))]
#[put("/v1/scopes/{id}/applicability/{requirement}")]
pub async fn put(
    guard: Guard<Change<Applicability>>,
    path: Path<(String, String)>,
    known_version: Known,
    request: HttpRequest,
    input: Input,
) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, Scope::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .effect(&[], move |tx| {
            known(&mut tx.reader(), &requirement)?;
            let scope = scope_of(&mut tx.reader(), &selector)?;
            let stored = decided(&mut tx.reader(), scope, Some(&requirement))?.remove(&requirement);
            known_version.check(stored.as_ref().map_or(0, |(_, decision)| decision.version))?;
            let said: ApplicabilityInput = read_part(input.members())?;
            let faults = said.faults("");
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let decision = decide(tx, scope, &requirement, stored.map(|(id, _)| id), &said)?;
            decision.try_map(|decision| Ok(Answer::of(&decision)?.tagged(format!("\"{}\"", decision.version))))
        })
        .await
}

/// Decide for several requirements of a scope
///
/// All decisions are made, or none; each is one entry of the ledger.
#[utoipa::path(operation_id = "batchApplicability", tag = "applicability", security(("bearer" = [])), request_body = ApplicabilityBatch,
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), crate::http::document::Retried),
    responses((status = 200, description = "The decisions, in the same order.", body = Decisions), Rejections))]
#[post("/v1/scopes/{id}/applicability/batch")]
pub async fn batch(guard: Guard<Change<Applicability>>, at: At, request: HttpRequest, input: Input) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (selector, body) = (at.of(&Scope::KIND)?, input.clone());
    guard
        .write(&input, move |tx| {
            let scope = scope_of(&mut tx.reader(), &selector)?;
            let said: ApplicabilityBatch = read_part(body.members())?;
            let stored = decided(&mut tx.reader(), scope, None)?;
            let mut faults: Vec<Invalid> =
                said.items.iter().enumerate().flat_map(|(n, item)| item_faults(&said.items, &stored, n, item)).collect();
            for (n, item) in said.items.iter().enumerate() {
                if !decidable(&mut tx.reader(), &item.requirement)? {
                    faults.push(Invalid::body(format!("/items/{n}/requirement"), "unknown_reference", "there is no such requirement"));
                }
            }
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let (mut data, mut last) = (Vec::with_capacity(said.items.len()), None);
            for item in said.items {
                let input = ApplicabilityInput { applicable: item.applicable, justification: item.justification, reasons: item.reasons };
                let made = decide(tx, scope, &item.requirement, stored.get(&item.requirement).map(|(id, _)| *id), &input)?;
                data.push(made.get().clone());
                last = Some(made);
            }
            let last = last.ok_or_else(|| Problem::internal("an empty batch"))?;
            let answer = Answer::of(&Decisions { data })?;
            Ok(last.map(|_| answer))
        })
        .await
}

fn item_faults(all: &[ApplicabilityItem], stored: &BTreeMap<String, (Id, Decision)>, n: usize, item: &ApplicabilityItem) -> Vec<Invalid> {
    let at = format!("/items/{n}");
    let input = ApplicabilityInput { applicable: item.applicable, justification: item.justification.clone(), reasons: vec![] };
    let mut faults = input.faults(&at);
    if all.iter().take(n).any(|other| other.requirement == item.requirement) {
        faults.push(Invalid::body(format!("{at}/requirement"), "twice", "stands in this batch twice"));
    }
    let version = stored.get(&item.requirement).map_or(0, |(_, decision)| decision.version);
    if item.if_match.is_some_and(|known| known != version) {
        faults.push(Invalid::body(format!("{at}/if_match"), "version_mismatch", format!("it is at version {version} now")));
    }
    faults
}

/// Stores one decision; one that changes nothing leaves it as it is.
fn decide(
    tx: &mut Tx<'_, Change<Applicability>>,
    scope: Id,
    requirement: &str,
    stored: Option<Id>,
    said: &ApplicabilityInput,
) -> Result<crate::ledger::Recorded<Decision>> {
    let mut reasons = said.reasons.clone();
    reasons.sort_by_key(|reason| *reason as u8);
    reasons.dedup();
    let own = json!({"requirement": requirement, "applicable": said.applicable, "justification": said.justification, "reasons": reasons});
    let decision = |record: &Record<Applicability>| Decision {
        scope_id: scope,
        requirement: requirement.to_owned(),
        applicable: record.own.applicable,
        justification: record.own.justification.clone(),
        reasons: record.own.reasons.clone(),
        version: record.spine.version,
        updated_at: Some(record.spine.updated_at),
        updated_by: Some(record.spine.updated_by.clone()),
    };
    let recorded = match stored {
        Some(id) => {
            let before = tx.load::<Applicability>(&Selector::Id(id), &Known::any())?;
            let mut record = before.clone();
            record.own = serde_json::from_value(own).map_err(Problem::internal)?;
            match record.body()? == before.body()? {
                true => tx.kept(before)?,
                false => tx.save(&before, record, "update")?,
            }
        }
        None => {
            let mut body: Map<String, Value> = serde_json::from_value(own).map_err(Problem::internal)?;
            body.insert("name".into(), json!(requirement));
            body.insert("scope_ids".into(), json!([scope]));
            tx.create(Draft::<Applicability>::read(body)?)?
        }
    };
    let shown = decision(recorded.get());
    Ok(recorded.map(|_| shown))
}
