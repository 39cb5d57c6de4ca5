//! The periods of a control's frequency (ISO/IEC 27001:2022 8.1), by the calendar.
use crate::registers::control::Frequency;
use chrono::{Datelike, Days, Months, NaiveDate};

/// Periods that one answer has.
pub const MOST: usize = 400;

/// Pure: the period of a frequency that a day lies in, by the calendar; weeks begin on Monday.
/// `None` for what has no periods.
pub fn period(frequency: Frequency, day: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    let months = |n: u32| {
        let first = NaiveDate::from_ymd_opt(day.year(), day.month0() / n * n + 1, 1)?;
        Some((first, first.checked_add_months(Months::new(n))?.pred_opt()?))
    };
    match frequency {
        Frequency::Daily => Some((day, day)),
        Frequency::Weekly => {
            let first =
                day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday())))?;
            Some((first, first.checked_add_days(Days::new(6))?))
        }
        Frequency::Monthly => months(1),
        Frequency::Quarterly => months(3),
        Frequency::HalfYearly => months(6),
        Frequency::Yearly => months(12),
        Frequency::Continuous | Frequency::PerEvent => None,
    }
}

/// Pure: the periods that these days touch, each whole; `None` when there are too many.
pub fn periods(
    frequency: Frequency,
    first: NaiveDate,
    last: NaiveDate,
) -> Option<Vec<(NaiveDate, NaiveDate)>> {
    let next = |(_, end): &(NaiveDate, NaiveDate)| {
        period(frequency, end.succ_opt()?).filter(|(start, _)| *start <= last)
    };
    let first = period(frequency, first).filter(|_| first <= last);
    let all: Vec<_> = std::iter::successors(first, next).take(MOST + 1).collect();
    (all.len() <= MOST).then_some(all)
}

/// Pure: the last day on which evidence of a period is in time.
pub fn grace((start, end): (NaiveDate, NaiveDate)) -> NaiveDate {
    let days = (end - start).num_days().unsigned_abs() + 1;
    end.checked_add_days(Days::new(days.div_ceil(10)))
        .unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }
    fn days(first: &str, last: &str) -> (NaiveDate, NaiveDate) {
        (day(first), day(last))
    }

    #[test]
    fn periods_go_by_the_calendar() {
        for (frequency, first, last) in [
            (Frequency::Daily, "2024-02-29", "2024-02-29"),
            (Frequency::Weekly, "2024-02-26", "2024-03-03"),
            (Frequency::Monthly, "2024-02-01", "2024-02-29"),
            (Frequency::Quarterly, "2024-01-01", "2024-03-31"),
            (Frequency::HalfYearly, "2024-01-01", "2024-06-30"),
            (Frequency::Yearly, "2024-01-01", "2024-12-31"),
        ] {
            assert_eq!(
                period(frequency, day("2024-02-29")),
                Some(days(first, last))
            );
        }
        assert_eq!(period(Frequency::PerEvent, day("2024-02-29")), None);
        let quarters = periods(Frequency::Quarterly, day("2026-02-15"), day("2026-10-01"));
        let wanted = vec![
            days("2026-01-01", "2026-03-31"),
            days("2026-04-01", "2026-06-30"),
            days("2026-07-01", "2026-09-30"),
            days("2026-10-01", "2026-12-31"),
        ];
        assert_eq!(quarters, Some(wanted), "each whole that is touched");
        assert_eq!(
            periods(Frequency::Daily, day("2025-01-01"), day("2026-02-04")).map(|all| all.len()),
            Some(400)
        );
        assert_eq!(
            periods(Frequency::Daily, day("2025-01-01"), day("2026-02-05")),
            None
        );
        assert_eq!(
            periods(Frequency::Daily, day("2025-01-02"), day("2025-01-01")),
            Some(vec![])
        );
    }

    #[test]
    fn evidence_has_a_tenth_of_its_period_more() {
        assert_eq!(
            grace(days("2026-03-01", "2026-03-31")),
            day("2026-04-04"),
            "31 days and 10 %"
        );
    }
}
