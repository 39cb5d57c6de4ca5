//! Imports: a table of up to 5,000 rows, each the record with its `code` or its `external_ref`, new
//! or changed. All rows are stored or none; a dry run tells what would come of it. Faults name
//! their row, where the headings are row 1.
use super::rows::{FAULTS, Row, in_row, read, refused};
use crate::core::{Code, Id, Problem, Result};
use crate::http::input::{BULK_LIMIT, bytes};
use crate::http::{Answer, Change, Guard, Only};
use crate::ledger::{self, Recorded};
use crate::records::{Ahead, Covers, Record, Resource, Tx, Upserted};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::{TryFutureExt, future::LocalBoxFuture};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

crate::vocabulary! {
    /// What an import did with a row.
    pub enum ImportOutcome { Created, Updated, Unchanged }
}

/// What an import did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportResult {
    /// Was it a dry run, and nothing stored?
    pub dry_run: bool,
    /// How many records are new.
    #[schema(minimum = 0, maximum = 5000)]
    pub created: usize,
    /// How many changed.
    #[schema(minimum = 0, maximum = 5000)]
    pub updated: usize,
    /// How many were so already.
    #[schema(minimum = 0, maximum = 5000)]
    pub unchanged: usize,
    /// Each row, in the order of the table.
    #[schema(max_items = 5000)]
    pub data: Vec<ImportedRow>,
}

/// A row and its record.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportedRow {
    /// The row; the headings are row 1.
    #[schema(minimum = 2, maximum = 1000000)]
    pub row: usize,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// The record; null where a dry run would make it.
    #[schema(required)]
    pub id: Option<Id>,
    /// Its readable identifier.
    #[schema(required, max_length = 32)]
    pub code: Option<String>,
}

/// A table as body.
#[derive(Debug)]
pub struct Table(Vec<u8>);

impl FromRequest for Table {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(bytes(request.headers(), payload, &["text/csv"], BULK_LIMIT).map_ok(Table))
    }
}

/// The last change, where there was one.
type Proof<R> = Option<Recorded<Record<R>>>;

/// How a table is imported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Tell what would come of it, and store nothing.
    #[param(default = false)]
    dry_run: bool,
}

/// Imports a table into a register. All of it is read before the write begins; the database is
/// asked for references alone.
pub async fn import<R: Resource>(
    guard: Guard<Change<R>>,
    Only(ImportQuery { dry_run }): Only<ImportQuery>,
    table: Table,
) -> Result<Answer> {
    let schemas = guard.house().schemas().clone();
    let (rows, content) = guard
        .house()
        .aside()
        .by_size(table.0.len(), move || {
            read::<R>(&schemas, &table.0).map(|rows| (rows, table.0))
        })
        .await??;
    guard
        .write_raw(&content, move |tx| {
            if dry_run {
                rehearsed::<R, _>(tx, rows)
            } else {
                run::<R, _>(tx, rows)
            }
        })
        .await
}

fn run<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    rows: Vec<Row<R>>,
) -> Result<Recorded<Answer>> {
    let (data, proof) = upserted::<R, P>(tx, rows)?;
    let answer = Answer::of(&summed(data, false))?;
    match proof {
        Some(recorded) => Ok(recorded.map(|_| answer)),
        None => tx.unchanged(answer),
    }
}
fn rehearsed<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    rows: Vec<Row<R>>,
) -> Result<Recorded<Answer>> {
    let mut data = tx.rehearse(|tx| upserted::<R, P>(tx, rows).map(|(data, _)| data))?;
    for row in data
        .iter_mut()
        .filter(|row| row.outcome == ImportOutcome::Created)
    {
        (row.id, row.code) = (None, None);
    }
    tx.unchanged(Answer::of(&summed(data, true))?)
}
fn summed(data: Vec<ImportedRow>, dry_run: bool) -> ImportResult {
    let count = |outcome| data.iter().filter(|row| row.outcome == outcome).count();
    let (created, updated, unchanged) = (
        count(ImportOutcome::Created),
        count(ImportOutcome::Updated),
        count(ImportOutcome::Unchanged),
    );
    ImportResult {
        dry_run,
        created,
        updated,
        unchanged,
        data,
    }
}

/// Stores the rows; every row with a fault is named, with all of its faults, before all are given
/// up.
fn upserted<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    rows: Vec<Row<R>>,
) -> Result<(Vec<ImportedRow>, Proof<R>)> {
    let mut ahead = Ahead::default();
    rows.iter().for_each(|row| row.said.ahead(&mut ahead));
    tx.together::<R, _>(&ahead, |tx| each(tx, rows))
}
fn each<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    rows: Vec<Row<R>>,
) -> Result<(Vec<ImportedRow>, Proof<R>)> {
    let (mut data, mut faults, mut proof, mut first) =
        (Vec::with_capacity(rows.len()), Vec::new(), None, None);
    for Row {
        number: row,
        faults: of_cells,
        said,
    } in rows
    {
        ledger::in_time()?;
        let unread: BTreeSet<String> = of_cells.iter().map(|fault| fault.pointer.clone()).collect();
        let mut found = of_cells;
        match tx.attempt(|tx| tx.upsert::<R>(said)) {
            Ok((recorded, outcome)) => {
                let spine = &recorded.get().spine;
                let (id, code) = (Some(spine.id), Some(spine.code.clone()));
                data.push(ImportedRow {
                    row,
                    outcome: outcome.into(),
                    id,
                    code,
                });
                proof = Some(recorded);
            }
            Err(problem) if problem.is(Code::Unavailable) => return Err(problem),
            Err(problem) => {
                let place = format!("/rows/{row}");
                // A member whose cell could not be read is not missing besides.
                found.extend(
                    problem
                        .clone()
                        .below(&place)
                        .placed(&place)
                        .into_iter()
                        .filter(|fault| !unread.contains(&fault.pointer)),
                );
                first.get_or_insert(problem);
            }
        }
        if !found.is_empty() {
            first.get_or_insert_with(|| Problem::new(Code::ValidationFailed, ""));
        }
        found.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        faults.extend(found.into_iter().map(|fault| in_row(fault, row)));
        if faults.len() >= FAULTS {
            break;
        }
    }
    match first {
        None => Ok((data, proof)),
        Some(problem) => Err(refused(problem, faults)),
    }
}
impl From<Upserted> for ImportOutcome {
    fn from(outcome: Upserted) -> Self {
        match outcome {
            Upserted::Created => ImportOutcome::Created,
            Upserted::Updated => ImportOutcome::Updated,
            Upserted::Unchanged => ImportOutcome::Unchanged,
        }
    }
}
