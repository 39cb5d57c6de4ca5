//! Ending what stood until now: many rows in one statement.
use super::{Backend, Conn};
use crate::core::sql::DbUuid;
use crate::core::{Id, TenantId};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::{QueryResult, RunQueryDsl};

/// Rows of one statement.
const TOGETHER: usize = 128;

/// What names a row beside the organization and its record.
#[derive(Debug, Clone)]
pub enum Which {
    /// A version.
    Version(i32),
    /// A link: in which member, to what.
    Link(&'static str, Id),
    /// A requirement.
    Requirement(String),
}

/// The position at which a row begins or ends.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The record.
    pub id: Id,
    /// Which row of it.
    pub which: Which,
    /// The position.
    pub seq: i64,
}

/// Rows of one table.
#[derive(Debug)]
struct Ending<'a> {
    tenant: TenantId,
    rows: &'a [Turn],
}

/// Ends these rows, which are all of one table; tells how many there were.
pub fn end(conn: &mut Conn, tenant: TenantId, rows: &[Turn]) -> QueryResult<usize> {
    let mut count = 0;
    for rows in rows.chunks(TOGETHER) {
        count += Ending { tenant, rows }.execute(conn)?;
    }
    Ok(count)
}

impl QueryFragment<Backend> for Ending<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let (table, columns): (_, &[&str]) = match self.rows.first().map(|row| &row.which) {
            Some(Which::Version(_)) => ("versions", &["id", "version"]),
            Some(Which::Link(..)) => ("links", &["from_id", "relation", "to_id"]),
            Some(Which::Requirement(_)) | None => {
                ("requirement_links", &["from_id", "requirement"])
            }
        };
        out.push_sql("WITH ended (");
        for column in columns {
            out.push_sql(column);
            out.push_sql(", ");
        }
        out.push_sql("seq) AS (VALUES ");
        // A few lengths, so that the statement stays prepared.
        let (count, last) = (self.rows.len().next_power_of_two(), self.rows.last());
        let more = std::iter::repeat_n(last, count - self.rows.len()).flatten();
        for (n, row) in self.rows.iter().chain(more).enumerate() {
            out.push_sql(if n == 0 { "(" } else { "), (" });
            out.push_bind_param::<DbUuid, _>(&row.id)?;
            out.push_sql(", ");
            match &row.which {
                Which::Version(version) => out.push_bind_param::<Integer, _>(version)?,
                Which::Link(relation, to) => {
                    out.push_bind_param::<Text, _>(relation)?;
                    out.push_sql(", ");
                    out.push_bind_param::<DbUuid, _>(to)?;
                }
                Which::Requirement(requirement) => out.push_bind_param::<Text, _>(requirement)?,
            }
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&row.seq)?;
        }
        out.push_sql(")) UPDATE ");
        out.push_sql(table);
        out.push_sql(" SET to_seq = ended.seq FROM ended WHERE ");
        out.push_sql(table);
        out.push_sql(".to_seq = 9223372036854775807 AND ");
        for column in columns {
            out.push_sql(table);
            out.push_sql(".");
            out.push_sql(column);
            out.push_sql(" = ended.");
            out.push_sql(column);
            out.push_sql(" AND ");
        }
        out.push_sql(table);
        out.push_sql(".tenant_id = ");
        out.push_bind_param::<DbUuid, _>(&self.tenant)
    }
}
impl QueryId for Ending<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl RunQueryDsl<Conn> for Ending<'_> {}
