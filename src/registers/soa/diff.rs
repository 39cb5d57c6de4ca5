//! The difference between two statements of applicability: frozen versions, past days or moments,
//! and what stands now.
use crate::access::Caller;
use crate::core::catalogue::Framework;
use crate::core::{Id, Invalid, Problem, Result};
use crate::http::{Answer, Guard, Read, RecordId, ViewQuery};
use crate::ledger::AsOf;
use crate::records::{Reader, Resource};
use crate::registers::framework::asked;
use crate::registers::scope::Scope;
use crate::registers::soa::applicability::Applicability;
use crate::registers::soa::compute::compute;
use crate::registers::soa::csv::diff_as_csv;
use crate::registers::soa::difference::{SoaDiff, SoaSide, entries, own_controls};
use crate::registers::soa::statement::StatementOfApplicability;
use crate::registers::soa::{statements, versions};
use crate::registers::table;
use serde::Deserialize;
use utoipa::IntoParams;

/// A side of the comparison.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
enum Side {
    InForce,
    Version(i32),
    Then(AsOf),
    Live,
}

impl TryFrom<String> for Side {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Side, String> {
        match text.as_str() {
            "live" => Ok(Side::Live),
            digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits
                .parse()
                .map(Side::Version)
                .map_err(|_| "must be the number of a version".into()),
            moment => moment
                .parse()
                .map(Side::Then)
                .map_err(|fault: Invalid| fault.detail),
        }
    }
}

/// The statement of a side. A version of another framework is refused.
fn statement(
    reader: &mut Reader<'_>,
    caller: &Caller,
    (scope, framework): (Id, &Framework),
    (name, side): (&'static str, Side),
) -> Result<(SoaSide, StatementOfApplicability)> {
    let (number, at, statement) = match side {
        Side::Live => (None, reader.moment.at, compute(reader, scope, framework)?),
        Side::Then(as_of) => {
            let (now, settings, kinds) = (reader.moment.at, reader.settings, reader.kinds());
            let mut then = Reader::open(reader.conn(), caller, kinds, Some(as_of), now, settings)?;
            (None, then.moment.at, compute(&mut then, scope, framework)?)
        }
        Side::InForce | Side::Version(_) => {
            let number = match side {
                Side::Version(number) => number,
                _ => versions::number_in_force(reader, scope, &framework.slug)?,
            };
            let (record, _) = versions::numbered(reader, scope, number)?;
            if record.own.framework != framework.slug {
                let detail = format!(
                    "version {number} is of {}; send that `framework`",
                    record.own.framework
                );
                return Err(Problem::parameter(name, detail));
            }
            (
                Some(number),
                record.spine.created_at,
                versions::read(&statements::read(reader, &record.state.sha256)?.0)?,
            )
        }
    };
    let summary = statement.summary.clone();
    Ok((
        SoaSide {
            number,
            at,
            summary,
        },
        statement,
    ))
}

/// What can be asked of `getSoaDiff`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SoaDiffQuery {
    /// The number of a version, a date, or `live`; the version in force when absent, and 404
    /// without one.
    #[param(value_type = Option<String>, max_length = 64, example = "2026-03-31")]
    from: Option<Side>,
    /// The same; `live` when absent.
    #[param(value_type = Option<String>, max_length = 64, example = "live")]
    to: Option<Side>,
    /// The framework; ISO/IEC 27001:2022 when absent.
    #[param(max_length = 64)]
    framework: Option<String>,
}

async fn get_diff(
    guard: Guard<Read<Applicability>>,
    at: RecordId,
    query: ViewQuery<SoaDiffQuery>,
) -> Result<Answer> {
    let selector = at.of(&Scope::KIND)?;
    let csv = query.wants("csv", "text/csv")?;
    let (caller, own) = (guard.caller().clone(), query.own);
    let work = move |reader: &mut Reader<'_>| {
        let past = query.archived_too || reader.moment.past();
        let scope = reader.row::<Scope>(&selector, past)?.id;
        let framework = asked(reader, own.framework.as_deref())?;
        let mut side = |name, side| statement(reader, &caller, (scope, &framework), (name, side));
        let (from, before) = side("from", own.from.unwrap_or(Side::InForce))?;
        let (to, after) = side("to", own.to.unwrap_or(Side::Live))?;
        Ok(SoaDiff {
            scope_id: scope,
            framework: framework.slug.clone(),
            from,
            to,
            entries: entries(&before.entries, &after.entries),
            own_controls: own_controls(&before.own_controls, &after.own_controls),
        })
    };
    table::view(&guard, csv, query.as_of, work, diff_as_csv).await
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/scopes/{id}/soa-diff", get_diff)
        .id("getSoaDiff")
        .says(
            "Compare two statements of applicability of a scope",
            "Each side is the number of a \
            frozen version, a date (or another moment as `as_of` takes it), or `live`; when \
            nothing is asked, what changed since the version in force. What differs is told: \
            whether a requirement applies and why, how far it is and whether it works, and the \
            controls that were added or removed among those that the statements name. \
            `format=csv` (or `Accept: text/csv`) is the same computation, a row for each \
            requirement and control that differs.",
        )
        .tag("statement-of-applicability")
        .past()
        .query::<SoaDiffQuery>()
        .answers::<SoaDiff>("The difference.")
        .or_csv();
}
