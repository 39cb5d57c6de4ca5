//! How long evidence must be kept (ISO/IEC 27001:2022 7.5.3 f): said with the push, and changed by
//! a manager who says why. A machine says nothing of it: a day that it set could not be taken back
//! by those who answer for the evidence.
use crate::core::{Invalid, Result};
use crate::http::describe::Changed;
use crate::http::{Answer, At, Guard, Input, Retain, transit};
use crate::records::{Known, Record, Tx};
use crate::registers::evidence::Evidence;
use actix_web::post;
use chrono::{Months, NaiveDate};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

/// Years for which evidence can be kept at most: longer than any law asks, and no slip of the hand.
const YEARS: u32 = 50;

/// The day until which evidence must be kept.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"retain_until_on": "2030-12-31", "comment": "The contract asks for four \
    years."}))]
pub struct Retention {
    /// The day; null where it need not be kept.
    pub retain_until_on: Option<NaiveDate>,
    /// Why; it stands in the history.
    #[schema(min_length = 1, max_length = 2000)]
    pub comment: String,
}

impl transit::Said for Retention {
    fn comment(&self) -> Option<&str> {
        Some(&self.comment)
    }
}

/// The fault of a day that is too far away.
pub fn too_long(until: Option<NaiveDate>, today: NaiveDate) -> Option<Invalid> {
    let last = today
        .checked_add_months(Months::new(12 * YEARS))
        .unwrap_or(NaiveDate::MAX);
    let words = || format!("lies more than {YEARS} years ahead");
    until
        .filter(|day| *day > last)
        .map(|_| Invalid::body("/retain_until_on", "too_long", words()))
}

/// Change how long evidence must be kept
///
/// Until that day it cannot be archived; a sooner one, or none, ends it earlier. The comment says
/// why. What is on hold is released first.
#[utoipa::path(operation_id = "retainEvidence", tag = "evidence", security(("bearer" = [])),
    request_body = Retention, responses(Changed<Evidence>),
    params(("id" = String, Path, description = "The evidence: its id or its code.",
        max_length = 64), crate::http::document::Conditional))]
#[post("/v1/evidence/{id}/retain")]
pub async fn retain(
    guard: Guard<Retain<Evidence>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let until = |tx: &mut Tx<'_, _>, record: &mut Record<Evidence>, said: Retention| {
        if let Some(fault) = too_long(said.retain_until_on, tx.today()) {
            return Err(crate::core::Problem::invalid(vec![fault]));
        }
        record.state.retain_until_on = said.retain_until_on;
        Ok(())
    };
    transit::transit(guard, (at, known, input), "retain", transit::anyone, until).await
}
