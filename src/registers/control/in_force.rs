//! Since when a control is done, and until when (ISO/IEC 27001:2022 8.1).
use crate::core::{Instant, Invalid, Problem, Result};
use crate::db::dialect::same_version;
use crate::db::schema::{controls as c, versions as v};
use crate::records::{Reader, Record};
use crate::registers::control::body::{Control, Implementation};
use chrono::{Months, NaiveDate};
use diesel::prelude::*;

/// Since when a control is done, and until when: as it says itself, else as the ledger tells. It
/// begins with the entry that made it `implemented` (again, when it had not been so for a while),
/// and ends with the one that retired it.
pub fn in_force(
    reader: &mut Reader<'_>,
    record: &Record<Control>,
) -> Result<(Option<NaiveDate>, Option<NaiveDate>)> {
    let (tenant, zone, spine) = (reader.tenant(), reader.settings.zone, &record.spine);
    let stages = c::table.inner_join(same_version!(v, c));
    let stages = stages
        .filter(
            c::tenant_id
                .eq(tenant)
                .and(c::id.eq(spine.id))
                .and(c::version.le(spine.version)),
        )
        .order(c::version);
    let stages: Vec<(Implementation, Instant)> = stages
        .select((c::implementation, v::updated_at))
        .load(reader.conn())?;
    let days: Vec<(Implementation, NaiveDate)> = stages
        .into_iter()
        .map(|(stage, at)| (stage, at.day(zone)))
        .collect();
    let (since, until) = span_of(&days);
    let retired = record.own.implementation == Implementation::Retired;
    Ok((
        record.own.implemented_on.or(since),
        until.filter(|_| retired),
    ))
}

/// Pure: when the last time of being implemented began and ended, by the stage of each version and
/// its day.
fn span_of(stages: &[(Implementation, NaiveDate)]) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let (mut since, mut until) = (None, None);
    for (stage, day) in stages {
        match stage {
            Implementation::Implemented if since.is_none() || until.is_some() => {
                (since, until) = (Some(*day), None)
            }
            Implementation::Implemented => {}
            Implementation::Retired => until = until.or(Some(*day)),
            _ if since.is_some() => until = until.or(Some(*day)),
            _ => {}
        }
    }
    (since, until)
}

/// The days that are looked at: those asked for (a year up to today when none are), not before the
/// control was implemented, not after it was retired and not after today.
pub fn span(
    (since, until): (Option<NaiveDate>, Option<NaiveDate>),
    asked: (Option<NaiveDate>, Option<NaiveDate>),
    today: NaiveDate,
) -> Result<(NaiveDate, NaiveDate)> {
    let end = asked.1.unwrap_or(today).min(today);
    let year_before = || {
        end.checked_sub_months(Months::new(12))
            .and_then(|day| day.succ_opt())
            .unwrap_or(end)
    };
    let start = asked.0.unwrap_or_else(year_before);
    if asked.1.is_some_and(|end| end < start) {
        return Err(Problem::parameters(vec![Invalid::query(
            "period_end_on",
            "order",
            "is before period_start_on",
        )]));
    }
    Ok((
        since.map_or(start, |since| start.max(since)),
        until.map_or(end, |until| end.min(until)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_control_is_in_force_since_it_was_implemented() {
        use Implementation::{Implemented, InProgress, Planned, Retired};
        let of = |all: &[(Implementation, &str)]| {
            span_of(
                &all.iter()
                    .map(|(stage, on)| (*stage, day(on)))
                    .collect::<Vec<_>>(),
            )
        };
        let (one, two, three, four) = ("2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01");
        assert_eq!(
            of(&[(Planned, one), (Implemented, two), (Implemented, three)]),
            (Some(day(two)), None)
        );
        assert_eq!(
            of(&[(Implemented, one), (InProgress, two), (Implemented, three)]),
            (Some(day(three)), None),
            "again"
        );
        assert_eq!(
            of(&[(Implemented, one), (Retired, three), (Retired, four)]),
            (Some(day(one)), Some(day(three)))
        );
        assert_eq!(of(&[(Retired, two)]), (None, Some(day(two))));
        assert_eq!(of(&[(Planned, one)]), (None, None));
    }
}
