//! The statement of applicability (ISO/IEC 27001:2022 6.1.3 d): every control of Annex A once (of
//! other frameworks whatever is asked for by itself), in natural order, with whether it applies and
//! why, how far it is implemented, and what proves it; and every necessary control outside it.
//! Computed from what stands at a moment, one computation for JSON and CSV; frozen in `versions`,
//! compared in `diff`.
pub mod applicability;
pub mod basis;
pub mod compute;
pub mod contradiction;
pub mod csv;
pub mod decide;
pub mod diff;
pub mod difference;
pub mod fitting;
pub mod statement;
pub mod statements;
pub mod steps;
pub mod verdicts;
pub mod version;
pub mod versions;

pub use compute::{compute, numbers};
pub use contradiction::ControlRef;
pub use version::{ByImplementation, SoaIncomplete, SoaSummary};

use crate::core::Result;
use crate::http::{Answer, Guard, Read, RecordId, ViewQuery};
use crate::records::{Reader, Resource};
use crate::registers::framework::asked;
use crate::registers::scope::Scope;
use crate::registers::soa::applicability::Applicability;
use crate::registers::soa::csv::as_csv;
use crate::registers::soa::statement::StatementOfApplicability;
use crate::registers::table;
use serde::Deserialize;
use utoipa::IntoParams;

/// What can be asked of `getStatementOfApplicability`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementOfApplicabilityQuery {
    /// The framework; ISO/IEC 27001:2022 when absent.
    #[param(max_length = 64)]
    framework: Option<String>,
}

async fn get_statement(
    guard: Guard<Read<Applicability>>,
    at: RecordId,
    query: ViewQuery<StatementOfApplicabilityQuery>,
) -> Result<Answer> {
    let selector = at.of(&Scope::KIND)?;
    let csv = query.wants("csv", "text/csv")?;
    let work = move |reader: &mut Reader<'_>| {
        let framework = asked(reader, query.own.framework.as_deref())?;
        let past = query.archived_too || reader.moment.past();
        let scope = reader.row::<Scope>(&selector, past)?.id;
        compute(reader, scope, &framework)
    };
    table::view(&guard, csv, query.as_of, work, |statement| {
        as_csv(statement, None)
    })
    .await
}

/// Mounts the statement, its versions and their difference.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/scopes/{id}/statement-of-applicability", get_statement)
        .id("getStatementOfApplicability")
        .says(
            "Get the statement of applicability of a scope",
            "Live, or as of a moment. \
            `format=csv` (or `Accept: text/csv`) is the same computation, a row for each entry \
            and for each control outside the framework.",
        )
        .tag("statement-of-applicability")
        .past()
        .query::<StatementOfApplicabilityQuery>()
        .answers::<StatementOfApplicability>("The statement.")
        .or_csv();
    diff::mount(api);
    versions::mount(api);
    steps::mount(api);
}
