//! How long evidence must be kept (ISO/IEC 27001:2022 7.5.3 f): said with the push, and changed by
//! a manager who says why. A machine says nothing of it: a day that it set could not be taken back
//! by those who answer for the evidence.
use crate::core::{Invalid, Problem, Result};
use crate::http::{HasComment, Steps};
use crate::records::{Record, Tx};
use crate::registers::evidence::Evidence;
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

impl HasComment for Retention {
    fn comment(&self) -> Option<&str> {
        Some(&self.comment)
    }
}

/// The fault of a day that is too far away.
pub fn too_long(until: Option<NaiveDate>, today: NaiveDate) -> Option<Invalid> {
    let last = today
        .checked_add_months(Months::new(12 * YEARS))
        .unwrap_or(NaiveDate::MAX);
    let words = || format!("is more than {YEARS} years ahead");
    until
        .filter(|day| *day > last)
        .map(|_| Invalid::body("/retain_until_on", "too_long", words()))
}

/// Says anew until when it must be kept.
pub fn retained(
    tx: &mut Tx<'_, Steps<Evidence>>,
    record: &mut Record<Evidence>,
    said: Retention,
) -> Result<()> {
    if let Some(fault) = too_long(said.retain_until_on, tx.today()) {
        return Err(Problem::invalid(vec![fault]));
    }
    record.state.retain_until_on = said.retain_until_on;
    Ok(())
}
