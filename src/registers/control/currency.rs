//! Until when evidence is current (ISO/IEC 27001:2022 9.1), on the organization's date; right
//! without any job having run.
use crate::records::ask::ListContext;
use crate::registers::control::body::Frequency;
use crate::registers::evidence::proving::Ages;
use chrono::{Days, NaiveDate};
use diesel::Queryable;

/// The days that decide until when a piece of evidence is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Span {
    /// When it was collected.
    pub collected_on: NaiveDate,
    /// The end of the period that it covers.
    pub period_end_on: Option<NaiveDate>,
    /// When it says itself that it ends.
    pub expires_on: Option<NaiveDate>,
}

/// Pure: its last current day: `expires_on`, else the end of its period and one frequency of the
/// control and 10 % more, else the organization's default after it was collected.
pub fn current_until(span: &Span, frequency: Option<Frequency>, default_days: i32) -> NaiveDate {
    let default = span
        .collected_on
        .checked_add_days(Days::new(u64::from(default_days.unsigned_abs())))
        .unwrap_or(NaiveDate::MAX);
    let of_period = || {
        span.period_end_on?
            .checked_add_days(Days::new(allowance(frequency?)?))
    };
    span.expires_on.or_else(of_period).unwrap_or(default)
}

/// One period of a frequency and 10 % more, in days.
fn allowance(frequency: Frequency) -> Option<u64> {
    match frequency {
        Frequency::Daily => Some(2),
        Frequency::Weekly => Some(8),
        Frequency::Monthly => Some(34),
        Frequency::Quarterly => Some(101),
        Frequency::HalfYearly => Some(201),
        Frequency::Yearly => Some(402),
        Frequency::Continuous | Frequency::PerEvent => None,
    }
}

/// Pure: the shortest of these frequencies that has periods.
pub fn shortest(all: impl Iterator<Item = Frequency>) -> Option<Frequency> {
    all.filter(|frequency| allowance(*frequency).is_some())
        .min_by_key(|frequency| allowance(*frequency))
}

/// Pure: the first days that are current still, for filters: what `current_until` says, turned
/// around.
pub fn ages(then: &ListContext) -> Ages {
    let before = |days: u64| {
        then.today
            .checked_sub_days(Days::new(days))
            .unwrap_or(NaiveDate::MIN)
    };
    let regular = [
        Frequency::Daily,
        Frequency::Weekly,
        Frequency::Monthly,
        Frequency::Quarterly,
        Frequency::HalfYearly,
        Frequency::Yearly,
    ];
    let ended = regular
        .into_iter()
        .filter_map(|frequency| Some((frequency.into(), before(allowance(frequency)?))))
        .collect();
    Ages {
        expires: then.today,
        ended,
        collected: before(u64::from(then.settings.evidence_days.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn how_long_evidence_is_current() {
        let span = Span {
            collected_on: day("2026-04-02"),
            period_end_on: Some(day("2026-03-31")),
            expires_on: None,
        };
        assert_eq!(
            current_until(&span, Some(Frequency::Quarterly), 365),
            day("2026-07-10")
        );
        assert_eq!(
            current_until(&span, Some(Frequency::Continuous), 365),
            day("2027-04-02"),
            "no period of a frequency: the default"
        );
        assert_eq!(current_until(&span, None, 30), day("2026-05-02"));
        let own = Span {
            expires_on: Some(day("2026-04-30")),
            ..span
        };
        assert_eq!(
            current_until(&own, Some(Frequency::Yearly), 365),
            day("2026-04-30"),
            "its own word comes first"
        );
        let open = Span {
            period_end_on: None,
            ..span
        };
        assert_eq!(
            current_until(&open, Some(Frequency::Daily), 365),
            day("2027-04-02")
        );
    }
}
