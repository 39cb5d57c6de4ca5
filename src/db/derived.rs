//! Emptying the tables that are derived from the ledger.
use super::Conn;
use crate::core::TenantId;
use crate::core::sql::DbUuid;
use diesel::sql_types::Text;
use diesel::{QueryResult, RunQueryDsl, sql_query};

/// Takes away the versions of a kind, their links and the rows of its own table. The table's name
/// is a constant of the product.
pub fn clear(
    conn: &mut Conn,
    tenant: TenantId,
    kind: &str,
    table: Option<&str>,
) -> QueryResult<()> {
    let of_kind = "(SELECT id FROM records WHERE tenant_id = $1 AND kind = $2)";
    // Its own rows refer to those of `versions`.
    let own =
        table.map(|table| format!("DELETE FROM {table} WHERE tenant_id = $1 AND id IN {of_kind}"));
    for statement in own.into_iter().chain([
        format!("DELETE FROM links WHERE tenant_id = $1 AND from_id IN {of_kind}"),
        format!("DELETE FROM requirement_links WHERE tenant_id = $1 AND from_id IN {of_kind}"),
        "DELETE FROM versions WHERE tenant_id = $1 AND kind = $2".to_owned(),
    ]) {
        sql_query(statement)
            .bind::<DbUuid, _>(tenant)
            .bind::<Text, _>(kind)
            .execute(conn)?;
    }
    Ok(())
}
