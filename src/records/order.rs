//! Keyset paging: a total order (sort key, then id) and the rows after a known one, on whole
//! columns.
use super::ask::{Key, Keyset, ListQuery, Sort};
use crate::core::{Id, Instant, Problem, Result, TenantId};
use crate::db::{Backend, Conn, schema::versions as v};
use chrono::NaiveDate;
use diesel::{helper_types::IntoBoxed, prelude::*};
use serde_json::json;

/// Rows of the spine, still to be ordered.
pub type Rows<'a> = IntoBoxed<'a, v::table, Backend>;

/// Order and position for one column. `order!(query, ask, v::name: String)` expands to: after (v,
/// i) `name > v OR (name = v AND id > i)`, then `ORDER BY name, id` (or the mirror of both).
macro_rules! order {
    ($query:ident, $ask:ident, $column:path: $type:ty) => {{
        let after = $ask
            .after
            .as_ref()
            .map(|p| Ok::<_, Problem>((p.value::<$type>()?, p.id)))
            .transpose()?;
        match (after, $ask.sort.down) {
            (None, false) => $query.order(($column, v::id)),
            (None, true) => $query.order(($column.desc(), v::id.desc())),
            (Some((k, id)), false) => $query
                .filter($column.ge(k.clone()))
                .filter($column.gt(k).or(v::id.gt(id)))
                .order(($column, v::id)),
            (Some((k, id)), true) => $query
                .filter($column.le(k.clone()))
                .filter($column.lt(k).or(v::id.lt(id)))
                .order(($column.desc(), v::id.desc())),
        }
    }};
}

/// The same for a column that may be empty: rows without a value come last in both directions. They
/// are another half of the list, asked when the half with values is used up, so that each half runs
/// along an index (and the two databases need not agree about NULLs).
macro_rules! halves {
    ($query:ident, $ask:ident, $half:ident, $column:path: $type:ty) => {{
        let after = $ask
            .after
            .as_ref()
            .map(|p| Ok::<_, Problem>((p.value::<Option<$type>>()?, p.id)))
            .transpose()?;
        let down = $ask.sort.down;
        match ($half, after) {
            (Half::With, Some((None, _))) => return Ok(None),
            (Half::With, after) => {
                let some = $query.filter($column.is_not_null());
                let rest = match (after, down) {
                    (Some((Some(k), id)), false) => some
                        .filter($column.ge(k.clone()))
                        .filter($column.gt(k).or(v::id.gt(id).nullable())),
                    (Some((Some(k), id)), true) => some
                        .filter($column.le(k.clone()))
                        .filter($column.lt(k).or(v::id.lt(id).nullable())),
                    _ => some,
                };
                if down {
                    rest.order(($column.desc(), v::id.desc()))
                } else {
                    rest.order(($column, v::id))
                }
            }
            (Half::Without, after) => {
                let none = $query.filter($column.is_null());
                let rest = match (after, down) {
                    (Some((None, id)), false) => none.filter(v::id.gt(id)),
                    (Some((None, id)), true) => none.filter(v::id.lt(id)),
                    _ => none,
                };
                if down {
                    rest.order(v::id.desc())
                } else {
                    rest.order(v::id)
                }
            }
        }
    }};
}

/// Which half of a list: with a value in the sort column, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Those with a value (all, where the column always has one).
    With,
    /// Those without.
    Without,
}

/// Can the sort column be empty?
pub fn has_halves(sort: Sort) -> bool {
    matches!(sort.key, Key::DueOn | Key::ReviewDueOn | Key::Rank)
}

/// The rows of a half in the order asked for, after the position asked for; `None` when that half
/// is used up.
pub fn ordered<'a>(query: Rows<'a>, ask: &ListQuery, half: Half) -> Result<Option<Rows<'a>>> {
    Ok(Some(match ask.sort.key {
        Key::CreatedAt => order!(query, ask, v::created_at: Instant),
        Key::UpdatedAt => order!(query, ask, v::updated_at: Instant),
        Key::Name => order!(query, ask, v::name: String),
        Key::Status => order!(query, ask, v::status: String),
        Key::Code => order!(query, ask, v::number: i64),
        Key::DueOn => halves!(query, ask, half, v::due_on: NaiveDate),
        Key::ReviewDueOn => halves!(query, ask, half, v::review_due_on: NaiveDate),
        Key::Rank => halves!(query, ask, half, v::rank: i32),
    }))
}

/// Where a version stands in that order.
pub fn place(
    conn: &mut Conn,
    tenant: TenantId,
    sort: Sort,
    id: Id,
    version: i32,
) -> Result<Keyset> {
    let (name, number, status, due_on, review_due_on, rank, created_at, updated_at) =
        keys(conn, tenant, id, version)?;
    let value = match sort.key {
        Key::CreatedAt => json!(created_at),
        Key::UpdatedAt => json!(updated_at),
        Key::Name => json!(name),
        Key::Code => json!(number),
        Key::Status => json!(status),
        Key::DueOn => json!(due_on),
        Key::ReviewDueOn => json!(review_due_on),
        Key::Rank => json!(rank),
    };
    Ok(Keyset { value, id })
}

/// The sort keys of one version: where the next page begins.
type Keys = (
    String,
    i64,
    String,
    Option<NaiveDate>,
    Option<NaiveDate>,
    Option<i32>,
    Instant,
    Instant,
);

/// Reads them.
fn keys(conn: &mut Conn, tenant: TenantId, id: Id, version: i32) -> QueryResult<Keys> {
    let columns = (
        v::name,
        v::number,
        v::status,
        v::due_on,
        v::review_due_on,
        v::rank,
        v::created_at,
        v::updated_at,
    );
    v::table
        .find((tenant, id, version))
        .select(columns)
        .get_result(conn)
}
