//! Time is a parameter: this file is the only caller of `Utc::now`.
use super::sql::DbInstant;
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use diesel::{deserialize::FromSqlRow, expression::AsExpression};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// A point in time, in whole milliseconds: RFC 3339 in UTC with `Z` and three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = DbInstant)]
pub struct Instant(DateTime<Utc>);

impl Instant {
    /// Cut to whole milliseconds.
    pub fn new(at: DateTime<Utc>) -> Self {
        Instant(at.trunc_subsecs(3))
    }
    /// From milliseconds since 1970; `None` outside the calendar.
    pub fn from_millis(millis: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(millis).map(Instant)
    }
    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }
    /// As chrono knows it.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }
    /// The day it is there.
    pub fn day(self, zone: Tz) -> NaiveDate {
        self.0.with_timezone(&zone).date_naive()
    }
    /// The first millisecond of a day there.
    pub fn start_of(day: NaiveDate, zone: Tz) -> Option<Self> {
        Instant::end_of(day.pred_opt()?, zone).map(|end| end.plus_millis(1))
    }
    /// The last millisecond of a day there.
    pub fn end_of(day: NaiveDate, zone: Tz) -> Option<Self> {
        let midnight = day.succ_opt()?.and_hms_opt(0, 0, 0)?;
        // A day may begin later than midnight where the clocks go forward then.
        let next = (0..4).find_map(|hours| {
            zone.from_local_datetime(&(midnight + TimeDelta::hours(hours)))
                .earliest()
        })?;
        Some(Instant::new(next.to_utc()).plus_millis(-1))
    }
    /// That much later.
    pub fn plus_millis(self, millis: i64) -> Self {
        Instant(
            self.0
                .checked_add_signed(TimeDelta::milliseconds(millis))
                .unwrap_or(self.0),
        )
    }
}
impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}
/// Years that RFC 3339 writes with four digits, and that both databases keep.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// Is it a day that both databases keep, and every client can read back?
pub fn kept(day: NaiveDate) -> bool {
    YEARS.contains(&day.year())
}
/// A day as RFC 3339 writes it: four digits, two, two.
pub fn day(text: &str) -> Option<NaiveDate> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10 && kept(day)).then_some(day)
}

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoInstant {
    /// It has another form.
    Form,
    /// Its year has not four digits.
    Year,
}
impl std::fmt::Display for NoInstant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoInstant::Form => "must be an RFC 3339 instant, such as 2026-03-01T09:00:00Z",
            NoInstant::Year => "the year is out of range",
        })
    }
}
impl std::str::FromStr for Instant {
    type Err = NoInstant;
    fn from_str(text: &str) -> Result<Self, NoInstant> {
        let at = DateTime::parse_from_rfc3339(text)
            .map(|at| Instant::new(at.to_utc()))
            .map_err(|_| NoInstant::Form)?;
        if YEARS.contains(&at.0.year()) {
            Ok(at)
        } else {
            Err(NoInstant::Year)
        }
    }
}
impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
impl utoipa::PartialSchema for Instant {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::formatted(
            utoipa::openapi::KnownFormat::DateTime,
            "2026-03-01T09:00:00.000Z",
        )
    }
}
impl utoipa::ToSchema for Instant {}

/// A moment, or a day where the organization is: what `…_since` and `…_before` take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Edge {
    /// An RFC 3339 instant.
    RecordId(Instant),
    /// A day, which begins there.
    On(NaiveDate),
}

impl Edge {
    /// The moment that it means in this zone.
    pub fn instant(self, zone: Tz) -> Instant {
        match self {
            Edge::RecordId(at) => at,
            Edge::On(day) => Instant::start_of(day, zone)
                .unwrap_or_else(|| Instant::new(day.and_time(chrono::NaiveTime::MIN).and_utc())),
        }
    }
}
impl TryFrom<String> for Edge {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
            .map_err(|_| "must be an RFC 3339 instant or a date")
    }
}
impl std::str::FromStr for Edge {
    type Err = NoInstant;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() {
            10 => day(text).map(Edge::On).ok_or(NoInstant::Form),
            _ => text.parse().map(Edge::RecordId),
        }
    }
}

/// The source of time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Clock(Arc::new(Utc::now))
    }
    /// A clock that tests move.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }
    /// Now.
    pub fn now(&self) -> Instant {
        Instant::new((self.0)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_where_the_organization_is() {
        for (day, zone, begins) in [
            (
                "2026-01-01",
                chrono_tz::Pacific::Auckland,
                "2025-12-31T11:00:00.000Z",
            ),
            (
                "2026-01-01",
                chrono_tz::Europe::Berlin,
                "2025-12-31T23:00:00.000Z",
            ),
            (
                "2026-03-29",
                chrono_tz::Europe::Berlin,
                "2026-03-28T23:00:00.000Z",
            ),
            ("2026-01-01", chrono_tz::UTC, "2026-01-01T00:00:00.000Z"),
        ] {
            let edge: Edge = day.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(edge.instant(zone).to_string(), begins);
        }
        assert_eq!(
            "2026-01-01T00:00:00+01:00"
                .parse::<Edge>()
                .map(|edge| edge.instant(chrono_tz::UTC).to_string())
                .as_deref(),
            Ok("2025-12-31T23:00:00.000Z")
        );
        assert!("2026-1-1".parse::<Edge>().is_err() && "2026-02-30".parse::<Edge>().is_err());
    }

    #[test]
    fn years_have_four_digits() {
        for text in [
            "-4713-01-01",
            "0000-01-01",
            "+12026-1-1",
            "10000-01-01",
            "2026-1-1",
            "-001-01-01",
            "2026-02-30",
        ] {
            assert_eq!(day(text), None, "{text}");
            assert!(
                format!("{text}T00:00:00Z").parse::<Instant>().is_err(),
                "{text}"
            );
        }
        assert!(day("0001-01-01").is_some() && day("9999-12-31").is_some());
        assert_eq!(
            "0001-01-01T00:00:00+14:00".parse::<Instant>(),
            Err(NoInstant::Year),
            "in UTC it is a year earlier"
        );
    }

    #[test]
    fn a_day_ends_where_the_organization_is() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 29);
        let ends = |zone: Tz| {
            day.and_then(|day| Instant::end_of(day, zone))
                .map(|at| at.to_string())
        };
        assert_eq!(
            ends(chrono_tz::Europe::Berlin).as_deref(),
            Some("2026-03-29T21:59:59.999Z")
        );
        assert_eq!(
            ends(chrono_tz::UTC).as_deref(),
            Some("2026-03-29T23:59:59.999Z")
        );
        assert_eq!(
            ends(chrono_tz::Pacific::Auckland).as_deref(),
            Some("2026-03-29T10:59:59.999Z")
        );
    }
}
