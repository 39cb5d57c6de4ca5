//! The trend of risks (ISO/IEC 27001:2022 9.1): how many open ones stood at which level, at the end
//! of each step of a period. Counted in one pass: a version stands until the next one of its
//! record.
use crate::core::{Id, Instant, Problem, Result};
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::records::{Reader, Resource};
use crate::registers::facts::{CountsByName, Facts, Part, Seen};
use crate::registers::methodology::in_force::InForce;
use crate::registers::risk::Risk;
use crate::registers::risk::matrix::MatrixStage;
use crate::registers::risk::turns::{Turn, Turns};
use crate::registers::scope::{Cut, ScopeRef};
use chrono::{Datelike, Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Points of one trend.
const MOST: usize = 400;

crate::vocabulary! {
    /// How far apart the points of a trend are.
    pub enum TrendStep { Day, Week, Month, Quarter, Year }
}

/// The open risks at the end of a day.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TrendPoint {
    /// The last day of the step; the last point is the end of the period.
    pub on: NaiveDate,
    /// Open risks by level, 0 where there are none: the levels of the methodologies in force, and
    /// every other that a point of the trend has.
    #[schema(value_type = CountsByName)]
    pub levels: BTreeMap<String, i64>,
    /// Open risks without a score of this stage.
    #[schema(minimum = 0)]
    pub not_assessed: i64,
    /// Open risks whose level did not meet the acceptance criteria; null for stages other than
    /// `current`.
    #[schema(required, minimum = 0)]
    pub above_criteria: Option<i64>,
    /// Open risks.
    #[schema(minimum = 0)]
    pub open: i64,
}
/// The trend of risks.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskTrend {
    /// Which scores.
    pub stage: MatrixStage,
    /// How far apart the points are.
    pub step: TrendStep,
    /// Oldest first.
    #[schema(max_items = 400)]
    pub points: Vec<TrendPoint>,
}

/// What can be asked of `getRiskTrend`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RiskTrendQuery {
    /// The first day; a year before the last when absent.
    from: Option<NaiveDate>,
    /// The last day; today when absent.
    to: Option<NaiveDate>,
    /// How far apart the points are; a month when absent. Up to 400 points.
    step: Option<TrendStep>,
    /// Which scores; the current ones when absent.
    stage: Option<MatrixStage>,
    /// Only risks of this scope and of the whole organization: id or code.
    #[param(inline)]
    scope_id: Option<ScopeRef>,
}

async fn get_trend(guard: Guard<Read<Risk>>, query: ViewQuery<RiskTrendQuery>) -> Result<Answer> {
    let asked = query.own;
    let (from, to) = (asked.from, asked.to);
    let step = asked.step.unwrap_or(TrendStep::Month);
    let stage = asked.stage.unwrap_or(MatrixStage::Current);
    let cut = Cut(asked.scope_id);
    guard
        .view(query.as_of, move |reader| {
            let scope = cut.scope(reader)?;
            let to = to.unwrap_or(reader.today);
            let from = from
                .or_else(|| to.checked_sub_months(Months::new(12)))
                .unwrap_or(to);
            if to > reader.today {
                return Err(Problem::parameter("to", "must not be in the future"));
            }
            let days = days(from, to, step).ok_or_else(|| {
                Problem::parameter(
                    "from",
                    "must be a date up to `to`, with at most 400 steps between them",
                )
            })?;
            Answer::of(&RiskTrend {
                stage,
                step,
                points: compute(reader, stage, scope, &days)?,
            })
        })
        .await
}

/// Pure: the last days of the steps from one day to another, which is the last; `None` where there
/// are none, or too many.
fn days(from: NaiveDate, to: NaiveDate, step: TrendStep) -> Option<Vec<NaiveDate>> {
    let month_ends = |day: NaiveDate, months: u32| {
        let first = day
            .with_day(1)?
            .with_month((day.month0() / months) * months + 1)?;
        first.checked_add_months(Months::new(months))?.pred_opt()
    };
    let end = |day: NaiveDate| match step {
        TrendStep::Day => Some(day),
        TrendStep::Week => day.checked_add_days(Days::new(
            6 - u64::from(day.weekday().num_days_from_monday()),
        )),
        TrendStep::Month => month_ends(day, 1),
        TrendStep::Quarter => month_ends(day, 3),
        TrendStep::Year => month_ends(day, 12),
    };
    let (mut all, mut day) = (Vec::new(), from);
    while day <= to {
        let last = end(day)?.min(to);
        all.push(last);
        day = last.succ_opt()?;
        if all.len() > MOST {
            return None;
        }
    }
    (!all.is_empty()).then_some(all)
}

fn compute(
    reader: &mut Reader<'_>,
    stage: MatrixStage,
    scope: Option<Id>,
    days: &[NaiveDate],
) -> Result<Vec<TrendPoint>> {
    let kind = Risk::KIND.name;
    let ends: Vec<(NaiveDate, Instant)> = days
        .iter()
        .filter_map(|day| Some((*day, Instant::end_of(*day, reader.settings.zone)?)))
        .collect();
    let (turns, seen) = (Turns::of(reader)?, Seen::of(reader, kind)?);
    // As long as a risk lay outside of what the caller sees, it counts as one that had left the
    // lists.
    let past = reader.all_past_seen(kind)?;
    let hidden = |turn: &Turn| past.as_ref().is_some_and(|seen| !seen.contains(&turn.seq));
    let facts = match scope {
        Some(_) => Some(Facts::of(reader, &[Part::Risks])?),
        None => None,
    };
    let here = |id: Id| {
        let risk = facts.as_ref().and_then(|facts| facts.risks.get(id));
        seen.has(id) && risk.is_none_or(|risk| risk.stub.within(scope))
    };
    let mut points = counted(&turns, &ends, stage, &here, &hidden);
    let mut levels = InForce::seen(reader)?.levels(scope);
    levels.extend(
        points
            .iter()
            .flat_map(|point| point.levels.keys())
            .map(|level| (level.clone(), 0)),
    );
    for point in &mut points {
        let there = std::mem::replace(&mut point.levels, levels.clone());
        point.levels.extend(there);
    }
    Ok(points)
}

/// How many risks stand now, kept as one version after another comes.
#[derive(Default)]
struct Tally<'t> {
    levels: BTreeMap<&'t str, i64>,
    not_assessed: i64,
    above: i64,
    open: i64,
}
impl<'t> Tally<'t> {
    fn add(&mut self, turn: &'t Turn, stage: MatrixStage, n: i64) {
        self.open += n;
        match turn.level(stage) {
            Some(level) => *self.levels.entry(level).or_default() += n,
            None => self.not_assessed += n,
        }
        self.above += if turn.acceptable == Some(false) { n } else { 0 };
    }
}

/// Pure: what stood at each of these ends; the versions come in the order of time.
fn counted(
    turns: &Turns,
    ends: &[(NaiveDate, Instant)],
    stage: MatrixStage,
    here: &dyn Fn(Id) -> bool,
    hidden: &dyn Fn(&Turn) -> bool,
) -> Vec<TrendPoint> {
    let counts = |turn: &Turn| turn.open && !hidden(turn);
    let mut standing: Vec<Option<&Turn>> = vec![None; turns.risks()];
    let whole: Vec<bool> = turns.ids().map(here).collect();
    let (mut tally, mut next) = (Tally::default(), turns.iter().peekable());
    let point = |(on, end): &(NaiveDate, Instant)| {
        while let Some(turn) = next.next_if(|turn| turn.at <= *end) {
            if whole.get(turn.risk).copied().unwrap_or_default()
                && let Some(place) = standing.get_mut(turn.risk)
            {
                let before = place.replace(turn);
                if let Some(before) = before.filter(|turn| counts(turn)) {
                    tally.add(before, stage, -1);
                }
                if counts(turn) {
                    tally.add(turn, stage, 1);
                }
            }
        }
        let levels = tally.levels.iter().filter(|(_, n)| **n > 0);
        TrendPoint {
            on: *on,
            levels: levels.map(|(level, n)| ((*level).to_owned(), *n)).collect(),
            not_assessed: tally.not_assessed,
            above_criteria: (stage == MatrixStage::Current).then_some(tally.above),
            open: tally.open,
        }
    };
    ends.iter().map(point).collect()
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/risk-trend", get_trend)
        .id("getRiskTrend")
        .says(
            "Get the trend of risks",
            "Open risks by level at the end of each step between two \
            days (the last year until today when absent), as they were scored then. The trend of \
            one risk is the list of its assessments. With `scope_id`, risks that belong to the \
            scope at the moment that is asked for.",
        )
        .as_of()
        .query::<RiskTrendQuery>()
        .answers::<RiskTrend>("The trend.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn steps_end_where_the_calendar_does() {
        let ends = |from, to, step| {
            days(day(from), day(to), step)
                .map(|all| all.iter().map(NaiveDate::to_string).collect::<Vec<_>>())
        };
        let of = |days: &[&str]| Some(days.iter().map(|day| (*day).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            ends("2026-01-15", "2026-03-10", TrendStep::Month),
            of(&["2026-01-31", "2026-02-28", "2026-03-10"])
        );
        assert_eq!(
            ends("2025-11-30", "2026-06-30", TrendStep::Quarter),
            of(&["2025-12-31", "2026-03-31", "2026-06-30"])
        );
        assert_eq!(
            ends("2024-02-29", "2025-01-01", TrendStep::Year),
            of(&["2024-12-31", "2025-01-01"])
        );
        assert_eq!(
            ends("2026-11-20", "2026-11-30", TrendStep::Week),
            of(&["2026-11-22", "2026-11-29", "2026-11-30"])
        );
        assert_eq!(
            ends("2026-11-30", "2026-11-30", TrendStep::Day),
            of(&["2026-11-30"])
        );
        assert_eq!(
            (
                ends("2026-12-01", "2026-11-30", TrendStep::Day),
                ends("2020-01-01", "2026-01-01", TrendStep::Day)
            ),
            (None, None)
        );
    }

    #[test]
    fn a_version_counts_until_the_next() {
        let (one, other) = (Id::new(), Id::new());
        let at = |n: i64| Instant::from_millis(n).unwrap_or_else(|| panic!("{n}"));
        let mut turns = Turns::default();
        for (id, n, open, level) in [
            (one, 1, true, ""),
            (other, 2, true, "low"),
            (one, 3, true, "high"),
            (other, 5, false, "low"),
        ] {
            let level = Some(level.to_owned()).filter(|level| !level.is_empty());
            let acceptable = level.as_ref().map(|_| false);
            turns.add(id, (n, at(n), open, acceptable), [None, level, None]);
        }
        let on = day("2026-01-01");
        let points = counted(
            &turns,
            &[(on, at(0)), (on, at(2)), (on, at(4)), (on, at(9))],
            MatrixStage::Current,
            &|_| true,
            &|_| false,
        );
        let seen: Vec<_> = points
            .iter()
            .map(|p| (p.open, p.not_assessed, p.levels.len(), p.above_criteria))
            .collect();
        assert_eq!(
            seen,
            [
                (0, 0, 0, Some(0)),
                (2, 1, 1, Some(1)),
                (2, 0, 2, Some(2)),
                (1, 0, 1, Some(1))
            ]
        );
    }
}
